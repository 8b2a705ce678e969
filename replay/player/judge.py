"""Does an answer mean the same as the recorded one? Messages are compared as what they say, not as text.

Prefixes, order of attributes and white space around values mean nothing; the order of elements counts where the
specification fixes it. Values are equal by their type (``1`` is ``true``, ``07`` is ``7``); what was handed out is held
against what is handed out now; dates, addresses and counters of the peer have to be of their kind. What is meant by
default is in :data:`DEFAULTS`; a scenario's rules come first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dissector.base.errors import UsageError
from dissector.catalog import DateTime, Duration, Field, canonical_action
from dissector.messages import Attachment, Message
from dissector.soap.model import QName

__all__ = ["DEFAULTS", "HOW", "Difference", "Judge", "ValueRule"]

HOW = ("equal", "ignore", "any", "uuid", "date", "url", "number", "text")
"""What a rule can say of a value; also ``number LOW..HIGH`` and ``one of A|B``."""

DEFAULTS: Mapping[str, tuple[str, str]] = {
    "Address": ("url", "addresses of the peer are its own"),
    "XAddrs": ("any", "addresses of the peer are its own"),
    "MetadataVersion": ("number", "grows with the peer's own history"),
    "ServiceId": ("any", "named by the device; often made of its address"),
    "ScannerCurrentTime": ("date", "the peer's clock"),
    "Expires": ("any", "the peer grants what it likes; a date or a duration"),
    "MessageNumber": ("number", "counts the peer's messages"),
    "InstanceId": ("number", "grows with each restart of the peer"),
    "ContainerId": ("any", "identity of the device"),
    "SerialNumber": ("any", "identity of the device"),
    "PresentationUrl": ("any", "address of the device"),
    "href": ("any", "names a part of this very message"),
}
"""Local name of an element or attribute → how its value is judged, and why."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
_SHORT = 6
"""Values shorter than this are only replaced where they are the whole text."""

_LONG = 80
"""Characters of a value that a text repeats."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        what: ``status``, ``action``, ``fault``, ``body``, ``attachment``, ``missing``, ``unexpected`` or ``order``.
        path: element path, "" where it is none of an element.
        recorded, received: the two values, None for none.
        text: one sentence for people.
    """

    what: str
    path: str
    recorded: str | None
    received: str | None
    text: str

    def to_json(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {
            "what": self.what, "path": self.path or None, "recorded": self.recorded, "received": self.received,
            "text": self.text,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ValueRule:
    """How a value is judged.

    Args:
        path: element path with ``*`` for anything, such as ``*/JobCompletedTime``; a name alone stands for ``*/NAME``.
        how: one of :data:`HOW`, ``number LOW..HIGH`` or ``one of A|B``.

    Raises:
        UsageError: ``how`` is none of these.
    """

    path: str
    how: str

    def __post_init__(self) -> None:
        if self.how not in HOW and not re.fullmatch(r"number -?\d+\.\.-?\d+|one of .+", self.how):
            raise UsageError(
                f"{self.path}: {self.how!r} is no rule; there is {', '.join(HOW)}, number 1..9, one of A|B"
            )

    def fits(self, path: str) -> bool:
        """Whether it is about a path (without numbers of repeated elements)."""
        plain = re.sub(r"\[\d+\]", "", path)
        return fnmatchcase(plain, self.path) or ("/" not in self.path and plain.rpartition("/")[2] == self.path)


class Judge:
    """Compares messages.

    Args:
        rules: of the scenario; the first that fits a path holds.
        translate: recorded text → text that is expected now; None: it is handed out here, and may be anything.
    """

    def __init__(self, rules: Sequence[ValueRule] = (), *, translate: Mapping[str, str | None] | None = None) -> None:
        self._rules = list(rules)
        self._translate = dict(translate or {})
        parts = sorted((one for one in self._translate if len(one) >= _SHORT), key=len, reverse=True)
        self._parts = re.compile("|".join(map(re.escape, parts))) if parts else None

    def compare(self, recorded: Message, received: Message) -> list[Difference]:
        """What differs; empty where both mean the same."""
        found: list[Difference] = []
        if recorded.status != received.status and None not in (recorded.status, received.status):
            text = f"HTTP status {received.status} came, {recorded.status} was recorded"
            found.append(Difference("status", "", str(recorded.status), str(received.status), text))
        if recorded.fault is not None or received.fault is not None:
            self._faults(recorded, received, found)
            return found
        was, came = _action(recorded), _action(received)
        if was != came:
            found.append(Difference("action", "", was, came, f"the action is {came or 'missing'}, was {was or 'none'}"))
        if recorded.body is None or received.body is None:
            if recorded.body is not received.body:
                one, other = (None if body is None else body.name for body in (recorded.body, received.body))
                found.append(
                    Difference("body", "", one, other, f"the Body holds {other or 'nothing'}, was {one or 'empty'}")
                )
        elif (recorded.body.namespace, recorded.body.name) != (received.body.namespace, received.body.name):
            one, other = recorded.body.name, received.body.name
            found.append(Difference("body", "", one, other, f"{other} came, {one} was recorded"))
        else:
            self._element(recorded.body, received.body, "", found)
        self._attachments(recorded.attachments, received.attachments, found)
        return found

    # -- faults and attachments ----------------------------------------------------------------------------------

    def _faults(self, recorded: Message, received: Message, found: list[Difference]) -> None:
        one, other = recorded.fault, received.fault
        if one is None or other is None:
            was = f"the fault {one.subcode or one.code}" if one is not None else recorded.name
            came = f"the fault {other.subcode or other.code}" if other is not None else received.name
            reason = f" ({other.reason})" if other is not None and other.reason else ""
            found.append(Difference("fault", "", was, came, f"{came} came{reason}, {was} was recorded"))
        elif (one.subcode or one.code) != (other.subcode or other.code):
            was, came = one.subcode or one.code, other.subcode or other.code
            found.append(Difference("fault", "", was, came, f"the fault is {came}, was {was}"))

    def _attachments(
        self, recorded: Sequence[Attachment], received: Sequence[Attachment], found: list[Difference]
    ) -> None:
        if len(recorded) != len(received):
            text = f"{len(received)} attachments came, {len(recorded)} were recorded"
            found.append(Difference("attachment", "", str(len(recorded)), str(len(received)), text))
            return
        for number, (one, other) in enumerate(zip(recorded, received, strict=True), start=1):
            if one.real_type != other.real_type:
                text = (
                    f"attachment {number} is {other.real_type or 'of no known type'}, was {one.real_type or 'unknown'}"
                )
                found.append(Difference("attachment", "", one.real_type, other.real_type, text))
            elif bool(one.content.size) != bool(other.content.size):
                text = f"attachment {number} has {other.content.size} bytes, had {one.content.size}"
                found.append(Difference("attachment", "", str(one.content.size), str(other.content.size), text))

    # -- elements ------------------------------------------------------------------------------------------------

    def _element(self, recorded: Field, received: Field, path: str, found: list[Difference]) -> None:
        for name, (value, text) in recorded.attributes.items():
            there = received.attributes.get(name)
            at = f"{path}/@{name}".lstrip("/")
            if there is None:
                found.append(
                    Difference("missing", at, text, None, f"the attribute {name} of {recorded.name} is missing")
                )
            else:
                self._value(name, at, (value, text), there, found)
        for name in received.attributes:
            if name not in recorded.attributes:
                text = received.attributes[name][1]
                at = f"{path}/@{name}".lstrip("/")
                found.append(Difference("unexpected", at, None, text, f"{received.name} has an attribute {name}"))
        if not recorded.children and not received.children:
            pair = (recorded.value, recorded.text), (received.value, received.text)
            self._value(recorded.name, path, *pair, found)
            return
        self._children(recorded, received, path, found)

    def _children(self, recorded: Field, received: Field, path: str, found: list[Difference]) -> None:
        groups: dict[tuple[str, str], tuple[list[Field], list[Field]]] = {}
        for side, field in enumerate((recorded, received)):
            for child in field.children:
                groups.setdefault((child.namespace, child.name), ([], []))[side].append(child)
        for (_, name), (one, other) in groups.items():
            inner = f"{path}/{name}".lstrip("/")
            if self._rule(inner) == "ignore":
                continue
            for place in range(max(len(one), len(other))):
                at = inner if max(len(one), len(other)) == 1 else f"{inner}[{place + 1}]"
                if place >= len(other):
                    text = f"{name} is missing in {recorded.name}"
                    found.append(Difference("missing", at, one[place].text.strip()[:_LONG] or None, None, text))
                elif place >= len(one):
                    text = f"{name} is new in {recorded.name}"
                    found.append(Difference("unexpected", at, None, other[place].text.strip()[:_LONG] or None, text))
                else:
                    self._element(one[place], other[place], at, found)
        if recorded.decl is not None and recorded.decl.ordered and recorded.decl.content == "sequence":
            orders = [
                list(dict.fromkeys((c.namespace, c.name) for c in field.children)) for field in (recorded, received)
            ]
            if orders[0] != orders[1] and set(orders[0]) == set(orders[1]):
                was, came = (", ".join(name for _, name in order) for order in orders)
                found.append(Difference("order", path, was, came, f"{recorded.name} has its elements in another order"))

    # -- values --------------------------------------------------------------------------------------------------

    def _rule(self, path: str) -> str:
        return next((rule.how for rule in self._rules if rule.fits(path)), "")

    def _value(
        self, name: str, path: str, recorded: tuple[Any, str], received: tuple[Any, str], found: list[Difference]
    ) -> None:
        how = self._rule(path)
        was, came = recorded[1].strip(), received[1].strip()
        expected: str | None = was
        if not how:
            if was in self._translate:
                expected = self._translate[was]
                if expected is None:
                    how = "any"
            elif self._parts is not None and self._parts.search(was):
                if any(self._translate[one] is None for one in self._parts.findall(was)):
                    how = "any"
                else:
                    expected = self._parts.sub(lambda match: self._translate[match[0]] or "", was)
        if not how and came != expected:
            how = DEFAULTS.get(name, ("", ""))[0] or _kind(recorded[0])
        if came == expected or _fits(how, expected, came, recorded[0], received[0]):
            return
        shown = (expected or was)[:_LONG]
        found.append(
            Difference(
                "body", path, expected or was, came, f"{name} is {came[:_LONG] or 'empty'}, was {shown or 'empty'}"
            )
        )


def _action(message: Message) -> str:
    return canonical_action(message.action)[0] if message.action else ""


def _kind(value: Any) -> str:
    """How a value of a type is judged where nothing is said of it."""
    return "date" if isinstance(value, DateTime) else "equal"


def _fits(how: str, expected: str | None, came: str, was_value: Any, came_value: Any) -> bool:
    if how == "ignore":
        return True
    if how in ("any", "text"):
        return bool(came)
    if how == "uuid":
        return _UUID.search(came) is not None
    if how == "url":
        return _URL.fullmatch(came) is not None
    if how == "date":
        return isinstance(came_value, (DateTime, Duration))
    if how.startswith("number"):
        low, _, high = how[6:].strip().partition("..")
        number = re.fullmatch(r"-?\d+(\.\d+)?", came) is not None
        return number and (not low or float(low) <= float(came) <= float(high))
    if how.startswith("one of "):
        return came in [one.strip() for one in how[7:].split("|")]
    return expected is not None and _same(was_value, came_value)


def _same(one: Any, other: Any) -> bool:
    """Two typed values that are written otherwise: 1 and true, 07 and 7, two prefixes of one namespace."""
    if isinstance(one, QName) and isinstance(other, QName):
        return (one.namespace, one.local) == (other.namespace, other.local)
    if isinstance(one, list) and isinstance(other, list):
        return {str(item) for item in one} == {str(item) for item in other}
    return not isinstance(one, str) and type(one) is type(other) and bool(one == other)
