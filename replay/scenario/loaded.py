"""``scenario.yaml`` as a person left it → a scenario. A wrong edit is told with file, line and what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dissector.base.errors import UsageError
from dissector.http.inflate import CODINGS
from replay.base.yamlfile import wrong
from replay.scenario.chunks import is_chunk_line
from replay.scenario.model import FORMAT, PARTS, Birth, Bound, Part, Party, Scenario, Step, Wire
from replay.scenario.values import KINDS, WHERE, is_url

__all__ = ["SITE", "RuleCheck", "scenario_of"]

RuleCheck = Callable[[str, str], object]
"""Called with path and judgement of a rule; raises UsageError for a wrong one."""

SITE = "site"
"""Maker of what a person gives, in the file."""

_TOP = ("format", "name", "capture", "missing", "parties", "plays", "rules", "values", "steps")
_PARTY = ("role", "bases")
_BIRTH = ("step", "part", "where", "path", "within")
_VALUE = ("maker", "kind", "recorded", "default", "secret", *_BIRTH, "again", "doubtful", "why")
_STEP = (
    "step", "event", "seen", "service", "from", "to", "connection", "at", "took", "optional", "send", "answer", "rules",
)  # fmt: skip
_WIRE = ("head", "xml", "file", "encoding", "parts", "final", "codings", "chunks", "trailer", "written")
_PART = ("head", "file", "before", "coding")

_VALUE_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def scenario_of(data: Any, name: str, title: str, check_rule: RuleCheck) -> Scenario:
    """The scenario in loaded YAML.

    Args:
        data: with the places of its lines.
        name: of the file, for messages.
        title: of the scenario where it has none.
        check_rule: for each rule.

    Raises:
        UsageError: something in it is wrong.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise wrong(name, data, "format" if isinstance(data, Mapping) else None, "no scenario", f"format: {FORMAT}")
    top = _Node(name, data, "the scenario", _TOP)
    parties = {one.key: _party(one) for one in top.nodes("parties", _PARTY)}
    if len(parties) < 2:
        raise top.wrong("parties", f"{len(parties)} parties", "two at least")
    plays = top.text("plays", need=True)
    if plays not in parties:
        raise top.wrong("plays", f"{plays} is no party", ", ".join(parties))
    steps = top.listed("steps")
    if not steps:
        raise top.wrong("steps", "no steps", "a list of steps")
    values = {}
    for one in top.nodes("values", _VALUE):
        if not _VALUE_NAME.fullmatch(one.key):
            raise wrong(name, data["values"], one.key, f"{one.key!r} is no name", "small letters, digits and _")
        values[one.key] = _value(one, parties, len(steps))
    return Scenario(
        top.text("name") or title, top.text("capture"), parties, plays, values,
        [_step(top.item("steps", place, _STEP), place, parties, check_rule) for place in range(len(steps))],
        _rules(top, check_rule), top.texts("missing"),
    )  # fmt: skip


class _Node:
    """A mapping in the file, with what messages say of its place.

    Args:
        name: of the file.
        data: the mapping.
        what: it is, in words.
        known: its keys.
        key: the one that it stands at.
    """

    def __init__(self, name: str, data: Any, what: str, known: Sequence[str], key: str = "") -> None:
        if not isinstance(data, Mapping):
            raise wrong(name, data, None, f"{what} is {data!r}", f"a mapping with {', '.join(known[:3])}")
        self.name = name
        self.data = data
        self.what = what
        self.key = key
        for one in data:
            if one not in known:
                near = difflib.get_close_matches(str(one), known, 1)
                raise self.wrong(one, f"{one} is not known", near[0] if near else ", ".join(known))

    def wrong(self, key: Any, problem: str, expected: str) -> UsageError:
        """The error of a wrong value at a key (None: of all of it)."""
        return wrong(self.name, self.data, key if key in self.data else None, problem, expected)

    def text(self, key: str, *, need: bool = False) -> str:
        """A text, "" where there is none."""
        found = self.data.get(key)
        if found is None or found == "":
            if need:
                raise self.wrong(key, f"{self.what} has no {key}", key)
            return ""
        if not isinstance(found, str):
            raise self.wrong(key, f"{key} is {found!r}", "a text; put it in quotes")
        return str(found)

    def raw(self, key: str) -> str:
        """Bytes as text in latin-1."""
        found = self.text(key)
        try:
            found.encode("latin-1")
        except UnicodeEncodeError as error:
            raise self.wrong(key, f"{key} has the character {found[error.start]!r}", "bytes, in latin-1") from error
        return found

    def flag(self, key: str) -> bool:
        """Yes or no."""
        found = self.data.get(key)
        if found is None:
            return False
        if not isinstance(found, bool):
            raise self.wrong(key, f"{key} is {found!r}", "true or false")
        return bool(found)

    def seconds(self, key: str) -> float:
        """A time."""
        found = self.data.get(key, 0)
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < 1e9:
            raise self.wrong(key, f"{key} is {found!r}", "seconds")
        return float(found)

    def one_of(self, key: str, allowed: Sequence[str], default: str = "") -> str:
        """One of some words."""
        found = self.text(key) or default
        if found not in allowed:
            raise self.wrong(key, f"{key} is {found!r}" if found else f"{self.what} has no {key}", ", ".join(allowed))
        return found

    def listed(self, key: str) -> list[Any]:
        """A list, empty where there is none."""
        found = self.data.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.wrong(key, f"{key} is {found!r}", "a list")
        return found

    def texts(self, key: str, check: Callable[[str], str] = lambda text: "") -> list[str]:
        """A list of texts; ``check`` says what was expected instead, "" where it is right."""
        found = self.listed(key)
        for place, one in enumerate(found):
            if not isinstance(one, str):
                raise wrong(self.name, found, place, f"{one!r} is no text", "a text; put it in quotes")
            expected = check(one)
            if expected:
                raise wrong(self.name, found, place, f"{one!r} in {key}", expected)
        return [str(one) for one in found]

    def item(self, key: str, place: int, known: Sequence[str]) -> _Node:
        """A mapping in a list."""
        found = self.listed(key)
        if not isinstance(found[place], Mapping):
            raise wrong(self.name, found, place, f"number {place + 1} of {key} is {found[place]!r}", "a mapping")
        return _Node(self.name, found[place], f"number {place + 1} of {key}", known)

    def nodes(self, key: str, known: Sequence[str]) -> list[_Node]:
        """Mappings by name."""
        found = self.data.get(key)
        if found is None:
            return []
        if not isinstance(found, Mapping):
            raise self.wrong(key, f"{key} is {found!r}", "names, each with what belongs to it")
        for inner, one in found.items():
            if not isinstance(inner, str):
                raise wrong(self.name, found, inner, f"{inner!r} is no name", "a text; put it in quotes")
            if not isinstance(one, Mapping):
                raise wrong(self.name, found, inner, f"{inner} is {one!r}", f"a mapping with {', '.join(known[:3])}")
        return [_Node(self.name, one, inner, known, inner) for inner, one in found.items()]


def _party(node: _Node) -> Party:
    bases = node.texts("bases", lambda text: "" if is_url(text) else "a URL such as http://192.0.2.20:5362")
    return Party(node.key, node.text("role", need=True), tuple(bases))


def _value(node: _Node, parties: Mapping[str, Party], steps: int) -> Bound:
    maker = node.one_of("maker", [*parties, SITE])
    secret = node.text("secret")
    if secret and not _VARIABLE.fullmatch(secret):
        raise node.wrong("secret", f"secret is {secret!r}", "the name of an environment variable")
    made = Bound(
        node.key, node.text("recorded"), "" if maker == SITE else maker, node.one_of("kind", KINDS, "parameter"),
        why=node.text("why"), default=node.text("default"), secret=secret, sure=not node.flag("doubtful"),
        again=[_birth(node.item("again", place, _BIRTH), steps) for place in range(len(node.listed("again")))],
    )  # fmt: skip
    if "step" in node.data and node.data["step"] != 0:
        birth = _birth(node, steps)
        made.step, made.part, made.where = birth.step, birth.part, birth.where
        made.path, made.within = birth.path, birth.within
    return made


def _birth(node: _Node, steps: int) -> Birth:
    step = node.data.get("step")
    if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= steps:
        raise node.wrong("step", f"there is no step {step!r}", f"1 to {steps}")
    part, where = node.one_of("part", PARTS, "answer"), node.one_of("where", WHERE, "body")
    return Birth(int(step), part, where, node.text("path"), node.text("within"))


def _rules(node: _Node, check: RuleCheck) -> list[tuple[str, str]]:
    rules = []
    given = node.listed("rules")
    for number, rule in enumerate(given):
        if not isinstance(rule, Mapping) or len(rule) != 1:
            raise wrong(node.name, given, number, f"{rule!r} is no rule", "PATH: how")
        for path, how in rule.items():
            try:
                check(str(path), str(how))
            except UsageError as error:
                expected = "PATH: how, such as JobCompletedTime: ignore"
                raise wrong(node.name, given, number, str(error), expected) from error
            rules.append((str(path), str(how)))
    return rules


def _step(node: _Node, place: int, parties: Mapping[str, Party], check_rule: RuleCheck) -> Step:
    if ("step" in node.data) == ("event" in node.data):
        raise node.wrong(None, "neither or both of step and event", "step: NAME, or event: NAME")
    event = "event" in node.data
    for key in ("from", "to"):
        if node.text(key, need=True) not in parties:
            raise node.wrong(key, f"{node.data[key]} is no party", ", ".join(parties))
    if "send" not in node.data:
        raise node.wrong("send", f"{node.what} has no send", "send: what is sent")
    answer = node.data.get("answer")
    return Step(
        place + 1, node.text("event" if event else "step", need=True), node.text("service"), event, node.text("from"),
        node.text("to"), node.seconds("at"), node.seconds("took"), _wire(node, "send"),
        _wire(node, "answer") if answer is not None else None,
        origin=node.text("seen"), connection=node.text("connection"), optional=node.flag("optional"),
        rules=_rules(node, check_rule),
    )  # fmt: skip


def _wire(step: _Node, key: str) -> Wire:
    if not isinstance(step.data[key], Mapping):
        raise step.wrong(key, f"{key} is {step.data[key]!r}", "a mapping with head, and maybe xml")
    node = _Node(step.name, step.data[key], key, _WIRE)
    encoding = node.text("encoding")
    try:
        "<a/>".encode(encoding or "utf-8", "xmlcharrefreplace")
    except (LookupError, ValueError) as error:
        raise node.wrong("encoding", f"encoding is {encoding!r}", "such as utf-16-le") from error
    written = node.data.get("written")
    if written is not None and not isinstance(written, Mapping):
        raise node.wrong("written", f"written is {written!r}", "names of values, each with how it is written")
    made = Wire(
        node.text("head", need=True), node.text("xml"), node.text("file"), encoding,
        [_part(node.item("parts", place, _PART)) for place in range(len(node.listed("parts")))], node.raw("final"),
        node.texts("codings", lambda text: "" if text in CODINGS else ", ".join(CODINGS)),
        node.texts("chunks", lambda text: "" if is_chunk_line(text) else 'a size such as "1000 x 12", hexadecimal'),
        node.raw("trailer"), {str(name): str(text) for name, text in (written or {}).items()},
    )  # fmt: skip
    if made.parts and not made.xml and any(not part.file for part in made.parts):
        raise node.wrong("parts", "a part has no file, and there is no envelope", "file, or xml")
    return made


def _part(node: _Node) -> Part:
    coding = node.one_of("coding", ("", "base64", "quoted-printable"))
    before = node.raw("before") if node.data.get("before") is not None else None
    return Part(node.raw("head"), node.text("file"), before, coding)
