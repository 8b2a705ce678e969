"""How a value is judged where it is not as recorded: a scenario's own rules first, then what holds by default.

The defaults are read off the catalogue: by the element (:data:`DEFAULTS`), else by its type (:data:`BY_TYPE`). Each
says why, and :func:`default_rows` gives all of them for help and documentation. A vendor's own element has no type;
what looks like a date in it is one, everything else has to be equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dissector.base.errors import UsageError
from dissector.catalog import TYPES, DateTime, ElementDecl, Field
from dissector.catalog.times import parse_date_time
from replay.player.kinds import Kind, Value, kind

__all__ = [
    "ATTACHMENT_CHECKS",
    "BY_TYPE",
    "DEFAULTS",
    "HANDED_OUT",
    "Default",
    "Rules",
    "ValueRule",
    "attribute_default",
    "base_of",
    "default_how",
    "default_rows",
    "header_matters",
    "translatable",
]


class Default(NamedTuple):
    """How something is judged by default, and why."""

    how: str
    reason: str


DEFAULTS: Mapping[str, Default] = {
    # identities that are handed out
    "JobToken": Default("any", "made by the server for each job"),
    "JobId": Default("any", "counted by the device"),
    "wse:Identifier": Default("any", "made by the event source for each subscription"),
    "ReferenceParameters/*": Default("any", "belong to whoever made the address"),
    "ReferenceProperties/*": Default("any", "belong to whoever made the address"),
    "DestinationToken": Default("any", "made by the device for each destination"),
    "ScanIdentifier": Default("any", "made by the device for each event"),
    "MessageID": Default("any", "made for each message"),
    "RelatesTo": Default("any", "names a message of this run"),
    "ConditionId": Default("any", "counted by the device"),
    "@Id": Default("any", "conditions are counted by the device"),
    "ServiceId": Default("any", "named by the device, often after its address"),
    "ContainerId": Default("any", "says which device it is, not what kind"),
    # addresses
    "Address": Default("address", "the peer has addresses of its own"),
    "To": Default("address", "the address of this run"),
    "XAddrs": Default("address", "the peer has addresses of its own"),
    "Location": Default("address", "the peer has addresses of its own"),
    "PresentationUrl": Default("address", "the peer has addresses of its own"),
    # clocks and counters
    "Expires": Default("duration", "a subscription's life is granted, not promised to the second"),
    "MetadataVersion": Default("number", "grows with the peer's own history"),
    "@InstanceId": Default("number", "grows with each start of the peer"),
    "@MessageNumber": Default("number", "counts the peer's messages"),
    "@SequenceId": Default("any", "names one sequence of the peer's messages"),
    # what says nothing of the content
    "@href": Default("ignore", "names a part of this very message"),
    "@schemaLocation": Default("ignore", "tells a validator where a schema lies"),
    "@mustUnderstand": Default("ignore", "asks the receiver to know a header block"),
    "@IsReferenceParameter": Default("ignore", "marks a header block, the block itself is judged"),
    "Action": Default("ignore", "judged by itself, under its canonical form"),
    "ReplyTo": Default("ignore", "where answers go; the one who asks decides"),
    "FaultTo": Default("ignore", "where faults go; the one who asks decides"),
    "From": Default("ignore", "names the sender, whose addresses are its own"),
    "Security": Default("ignore", "a signature over this very message"),
}
"""Element, ``@attribute`` or ``Element/*`` (all below it), with a prefix where the name alone is not enough → default.
They hold for elements that the catalogue knows, and for attributes on them."""

HANDED_OUT = frozenset(name for name, one in DEFAULTS.items() if one.how == "any" and name[0] != "@")
"""Elements whose values are handed out at run time: always held against what is known of this run."""

_DATE = Default("date", "the peer's clock")
_EQUAL = Default("equal", "it says what happened")

BY_TYPE: Mapping[str, Default] = {
    base: _DATE if base == "dateTime" else _EQUAL for base in sorted({one.base for one in TYPES.values()})
}
"""Base of a simple type → default."""

ATTACHMENT_CHECKS: Mapping[str, str] = {
    "type": "the same type by the first bytes, and about as many bytes",
    "size": "the same type, and exactly as many bytes",
    "exact": "the same bytes, by SHA-256",
    "pixels": "pictures of the same size that look alike",
    "ignore": "not looked at",
}
"""How attachments can be judged → what it means. In a scenario: a rule with the path ``attachments``, or
``attachments[2]`` for one of them."""

_ATTACHMENTS = re.compile(r"attachments(?:\[\d+\])?").fullmatch
_PART = re.compile(r"@?[\w.*:\-]+(?:\[[1-9]\d{0,5}\])?").fullmatch


@dataclass(frozen=True, slots=True)
class ValueRule:
    """One rule of a scenario: how the values of a path are judged.

    Args:
        path: names of elements from the body element down, parted by ``/``; ``*`` stands for anything in a name,
            ``**`` for any number of elements, ``[2]`` for the second of a repeated element, ``@Name`` for an attribute.
            It may begin anywhere (``JobStatus/JobState``, or a name alone), or with ``/`` at the body.
            ``Header/…`` is for header blocks, ``attachments`` for attachments.
        how: one of :data:`~replay.player.kinds.HOW`, with its limits or values; for attachments one of
            :data:`ATTACHMENT_CHECKS`.

    Raises:
        UsageError: path or ``how`` is none of these; it says what there is.
    """

    path: str
    how: str
    _fits: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _ATTACHMENTS(self.path):
            if self.how not in ATTACHMENT_CHECKS:
                known = ", ".join(ATTACHMENT_CHECKS)
                raise UsageError(f"{self.path}: {self.how!r} is no rule for attachments; there is {known}")
        else:
            try:
                kind(self.how)
            except ValueError as error:
                raise UsageError(f"{self.path}: {error}") from None
        object.__setattr__(self, "_fits", re.compile(_pattern(self.path)))

    def fits(self, path: str, body: str = "") -> bool:
        """Whether it is about an element path; ``body`` names the body element, which a rule may begin with."""
        whole = f"{body}/{path}"
        return self._fits.fullmatch(whole) is not None or (
            self.path.startswith("/") and self._fits.fullmatch(path) is not None
        )

    @property
    def kind(self) -> Kind:
        """What it asks for."""
        return kind(self.how)


class Rules:
    """The rules of a scenario; the first that fits holds."""

    __slots__ = ("_attachments", "_rules")

    def __init__(self, rules: Sequence[ValueRule]) -> None:
        self._attachments = [rule for rule in rules if _ATTACHMENTS(rule.path)]
        self._rules = [rule for rule in rules if not _ATTACHMENTS(rule.path)]

    def find(self, body: str, path: str) -> Kind | None:
        """What is asked of a path by the scenario, None where it says nothing.

        Args:
            body: name of the body element.
            path: below it.
        """
        for rule in self._rules:
            if rule.fits(path, body):
                return rule.kind
        return None

    def attachment(self, number: int, usual: str) -> str:
        """How attachment ``number`` (from 1) is judged; 0 stands for all of them together."""
        for rule in self._attachments:
            if rule.path in ("attachments", f"attachments[{number}]"):
                return rule.how
        return usual


def base_of(decl: ElementDecl | None) -> str:
    """Base of the type of an element's text: "enum" for enumerated words, "" where there is none or it is unknown."""
    if decl is None or decl.type is None or decl.content not in ("simple", "xop"):
        return ""
    return "enum" if decl.type == "enum" else TYPES[decl.type].base


def default_how(one: Field, path: str) -> Default:
    """How the value of an element is judged where the scenario says nothing."""
    decl = one.decl
    above = path.split("/")[:-1]
    for parent in ("ReferenceParameters", "ReferenceProperties"):
        if parent in above:
            return DEFAULTS[f"{parent}/*"]
    if decl is None:
        return _DATE if parse_date_time(one.text.strip()) else _EQUAL
    found = DEFAULTS.get(decl.key.partition("@")[0]) or DEFAULTS.get(decl.name)
    return found or BY_TYPE.get(base_of(decl), _EQUAL)


def attribute_default(decl: ElementDecl | None, name: str, value: Value) -> Default:
    """How the value of an attribute is judged where the scenario says nothing; ``decl`` is that of its element."""
    found = DEFAULTS.get(f"@{name}")
    if found is not None and (decl is not None or found.how == "ignore"):
        return found
    return _DATE if isinstance(value.value, DateTime) else _EQUAL


def header_matters(block: Field) -> bool:
    """Whether a header block says anything; what is ignored by default may be missing, or new."""
    return block.decl is None or default_how(block, block.name).how != "ignore"


def translatable(one: Field) -> bool:
    """Whether a value may be one that is handed out or belongs to the site.

    A number, a state or a date of the catalogue says what happened: that three images came has nothing to do with a
    job that has the number 3. (The job's own number is among :data:`HANDED_OUT`.)
    """
    decl = one.decl
    if decl is None or decl.name in HANDED_OUT or decl.key in HANDED_OUT:
        return True
    return base_of(decl) not in ("enum", "int", "bool", "dateTime", "duration", "expires", "qname", "list-qname")


def default_rows() -> Iterator[tuple[str, str, str]]:
    """All defaults as (element or type, how, why), for help and documentation."""
    for name, (how, reason) in DEFAULTS.items():
        yield name, how, reason
    for base, (how, reason) in BY_TYPE.items():
        if how != "equal":
            yield f"type {base}", how, reason
    yield "everything else", *_EQUAL


def _pattern(path: str) -> str:
    """The regular expression of a path pattern; it is matched against whole paths."""
    parts = path.strip("/").split("/")
    wrong = next((part for part in parts if part != "**" and not _PART(part)), None)
    if wrong is not None:
        raise UsageError(
            f"{path!r} is no element path: {wrong!r} is no name; a path looks like JobStatus/JobState, */JobState, "
            "ElementData[2]/** or ElementData/@Valid"
        )
    # A path is matched as a whole; without a leading "/", whatever stands before the first name will do.
    found = "" if path.startswith("/") else "(?:[^/]*/)*"
    for place, part in enumerate(parts):
        last, rest = place == len(parts) - 1, parts[place + 1 :]
        if part != "**":
            found += _name(part) + ("" if last or rest == ["**"] else "/")
        elif not last:
            found += "(?:[^/]+/)*"
        else:
            found += "(?:/.*)?" if place else ".*"
    return found


def _name(part: str) -> str:
    name, _, number = part.rstrip("]").partition("[")
    text = re.escape(name).replace(r"\*", r"[^/@\[\]]*") if name != "*" else r"[^/@\[\]]+"
    if not number:
        return text + r"(?:\[\d+\])?"
    # The first of a repeated element has no number in a path.
    return text + (r"(?:\[1\])?" if int(number) == 1 else rf"\[{int(number)}\]")
