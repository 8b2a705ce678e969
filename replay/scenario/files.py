"""A scenario as a folder: ``scenario.yaml`` that a person reads and edits, and the files it names beside it.

Every wrong edit is told with file, line and what was expected. Names of files never lead out of the folder.
"""

from __future__ import annotations

import codecs
import difflib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from dissector.base.errors import UnreadableInput, UsageError
from dissector.http.inflate import CODINGS
from replay.base.yamlfile import load_yaml, wrong
from replay.scenario.chunks import is_chunk_line
from replay.scenario.material import Material
from replay.scenario.model import FORMAT, KINDS, PARTS, Bound, Part, Party, Scenario, Step, Wire
from replay.scenario.template import names_in
from replay.scenario.values import is_url

__all__ = ["MAIN", "Folder", "load_scenario", "save_scenario"]

MAIN = "scenario.yaml"
RuleCheck = Callable[[str, str], object]

SITE = "site"
"""Maker of what a person gives, in the file."""

MAX_FILE = 512 << 20
"""Bytes of one file beside a scenario."""

_TOP = ("format", "name", "capture", "missing", "parties", "plays", "rules", "values", "steps")
_PARTY = ("role", "bases")
_VALUE = (
    "maker",
    "kind",
    "recorded",
    "default",
    "secret",
    "step",
    "part",
    "where",
    "path",
    "within",
    "doubtful",
    "why",
)
_STEP = (
    "step", "event", "seen", "service", "from", "to", "connection", "at", "took", "optional", "send", "answer", "rules",
)  # fmt: skip
_WIRE = ("head", "xml", "file", "encoding", "parts", "final", "codings", "chunks", "trailer", "written")
_PART = ("head", "file", "before", "coding")


class Folder:
    """The files of a scenario.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnreadableInput: it is not there, too long, or out of the folder.
        """
        place = self.check(name)
        try:
            return place.read_bytes()
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error

    def check(self, name: str) -> Path:
        """The path of a file that can be read.

        Raises:
            UnreadableInput: as for :meth:`read`.
        """
        place = (self.path / name).resolve()
        if not place.is_relative_to(self.path.resolve()):
            raise UnreadableInput(f"{self.path / MAIN}: {name} is not in the scenario's folder")
        try:
            found = place.stat()
        except OSError as error:
            raise UnreadableInput(f"{place}: {error.strerror or error}") from error
        if not stat.S_ISREG(found.st_mode) or not os.access(place, os.R_OK):
            raise UnreadableInput(f"{place}: no file that can be read")
        if found.st_size > MAX_FILE:
            raise UnreadableInput(f"{place}: more than {MAX_FILE} bytes")
        return place

    def text(self, name: str) -> str:
        """The text of a file that may hold ``${name}``.

        Raises:
            UsageError: it is not UTF-8.
            UnreadableInput: as for :meth:`read`.
        """
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path / name}: byte {error.start} is not UTF-8") from error


def save_scenario(scenario: Scenario, contents: Mapping[str, Material], folder: str | Path) -> Path:
    """Write a scenario and its files; gives the path of ``scenario.yaml``.

    Raises:
        UsageError: the folder holds something else already.
        UnreadableInput: it cannot be written.
    """
    place = Path(folder)
    if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not (place / MAIN).exists())):
        raise UsageError(f"{place} is not empty and holds no scenario: choose another folder")
    try:
        for name, data in contents.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for piece in (data,) if isinstance(data, bytes) else data.pieces():
                    file.write(piece)
        place.mkdir(parents=True, exist_ok=True)
        (place / MAIN).write_text(_written(scenario), encoding="utf-8")
    except OSError as error:
        raise UnreadableInput(f"{place}: {error.strerror or error}") from error
    return place / MAIN


def load_scenario(folder: str | Path, check_rule: RuleCheck = lambda path, how: None) -> tuple[Scenario, Folder]:
    """Read a scenario: a folder, or its ``scenario.yaml``.

    Args:
        folder: where it is.
        check_rule: called with path and judgement of each rule; raises UsageError for a wrong one. The player knows
            what rules there are (:class:`replay.player.rules.ValueRule`).

    Raises:
        UnreadableInput: it is not there.
        UsageError: something in it is wrong; says file, line and what was expected.
    """
    place = Path(folder)
    path = place / MAIN if place.is_dir() else place
    data = load_yaml(path)
    name = str(path)
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise wrong(name, data, "format" if isinstance(data, Mapping) else None, "no scenario", f"format: {FORMAT}")
    _known(name, data, _TOP)
    parties = {str(key): _party(name, str(key), one) for key, one in _mappings(name, data, "parties")}
    if len(parties) < 2:
        raise wrong(name, data, "parties", f"{len(parties)} parties", "two at least")
    plays = str(_need(name, data, "plays"))
    if plays not in parties:
        raise wrong(name, data, "plays", f"{plays} is no party", ", ".join(parties))
    values = {str(key): _value(name, str(key), one, parties) for key, one in _mappings(name, data, "values")}
    steps = data.get("steps")
    if not isinstance(steps, list) or not steps:
        raise wrong(name, data, "steps", "no steps", "a list of steps")
    made = Scenario(
        str(data.get("name", path.parent.name)), str(data.get("capture", "")), parties, plays, values,
        [_step(name, steps, number, parties, check_rule) for number in range(len(steps))],
        _rules(name, data, check_rule), [str(one) for one in _list(name, data, "missing")],
    )  # fmt: skip
    for value in made.values.values():
        if value.step > len(made.steps):
            raise wrong(
                name, data["values"][value.name], "step", f"there is no step {value.step}", f"1 to {len(made.steps)}"
            )
    opened = Folder(path.parent)
    _check_names(made, opened, name)
    return made, opened


# -- writing -----------------------------------------------------------------------------------------------------


def _written(scenario: Scenario) -> str:
    top = CommentedMap()
    top["format"] = FORMAT
    top["name"] = scenario.name
    top["capture"] = scenario.capture
    if scenario.missing:
        top["missing"] = list(scenario.missing)
    top["parties"] = {
        one.name: {"role": one.role} | ({"bases": list(one.bases)} if one.bases else {})
        for one in scenario.parties.values()
    }
    top["plays"] = scenario.plays
    if scenario.rules:
        top["rules"] = [{path: how} for path, how in scenario.rules]
    values = top["values"] = CommentedMap()
    for value in scenario.values.values():
        values[value.name] = _value_map(value)
    steps = top["steps"] = CommentedSeq()
    for place, step in enumerate(scenario.steps):
        steps.append(_step_map(step))
        steps.yaml_set_comment_before_after_key(place, before=f"\n{step.number}", indent=2)
    top.yaml_set_comment_before_after_key("plays", before="the party that is played, unless --as says otherwise")
    top.yaml_set_comment_before_after_key(
        "values", before="\nwhat a replay must change: ${name} stands for it in the files"
    )
    top.yaml_set_comment_before_after_key("steps", before="\nwho sends what, in order; times in seconds")
    top.yaml_set_start_comment(
        "A recorded sequence. It holds what the capture held: names, addresses, pictures.\n"
        "Edit it freely; a wrong edit is told with its line."
    )
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(top, out)
    return out.getvalue()


def _value_map(value: Bound) -> dict[str, Any]:
    data: dict[str, Any] = {"maker": value.maker or SITE, "kind": value.kind, "recorded": value.recorded}
    if not value.maker:
        data["default"] = value.default
    if value.secret:
        data["secret"] = value.secret
    if value.step:
        data |= {"step": value.step, "part": value.part, "where": value.where, "path": value.path}
        if value.within:
            data["within"] = value.within
    if not value.sure:
        data["doubtful"] = True
    if value.why:
        data["why"] = value.why
    return data


def _step_map(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {"event" if step.event else "step": step.name, "seen": step.origin, "service": step.service}
    data |= {"from": step.sender, "to": step.receiver}
    if step.connection:
        data["connection"] = step.connection
    data |= {"at": round(step.time, 6), "took": round(step.took, 6)}
    if step.optional:
        data["optional"] = True
    data["send"] = _wire_map(step.message)
    if step.answer is not None:
        data["answer"] = _wire_map(step.answer)
    if step.rules:
        data["rules"] = [{path: how} for path, how in step.rules]
    return data


def _wire_map(wire: Wire) -> dict[str, Any]:
    data: dict[str, Any] = {"head": wire.head}
    if wire.xml:
        data["xml"] = wire.xml
    for key, text in (("file", wire.file), ("encoding", wire.encoding)):
        if text:
            data[key] = text
    if wire.parts:
        data["parts"] = [_part_map(one) for one in wire.parts]
        data["final"] = wire.final
    if wire.codings:
        data["codings"] = list(wire.codings)
    if wire.chunks:
        data["chunks"] = list(wire.chunks)
    if wire.trailer:
        data["trailer"] = wire.trailer
    if wire.written:
        data["written"] = dict(wire.written)
    return data


def _part_map(part: Part) -> dict[str, Any]:
    data: dict[str, Any] = {} if part.before is None else {"before": part.before}
    data["head"] = part.head
    if part.file:
        data["file"] = part.file
    if part.coding:
        data["coding"] = part.coding
    return data


# -- reading -----------------------------------------------------------------------------------------------------


def _known(name: str, data: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            raise wrong(name, data, key, f"{key} is not known", near[0] if near else ", ".join(keys))


def _need(name: str, data: Any, key: str) -> Any:
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, f"{data!r} is no mapping", f"a mapping with {key}")
    if data.get(key) in (None, ""):
        raise wrong(name, data, None, f"{key} is missing", key)
    return data[key]


def _mappings(name: str, data: Mapping[str, Any], key: str) -> list[tuple[Any, Any]]:
    found = data.get(key) or {}
    if not isinstance(found, Mapping):
        raise wrong(name, data, key, f"{key} is no mapping", "names, each with what belongs to it")
    for inner, one in found.items():
        if not isinstance(one, Mapping):
            raise wrong(name, found, inner, f"{inner} is {one!r}", "a mapping")
    return list(found.items())


def _party(name: str, key: str, data: Mapping[str, Any]) -> Party:
    _known(name, data, _PARTY)
    bases = _list(name, data, "bases")
    for place, one in enumerate(bases):
        if not is_url(str(one)):
            raise wrong(name, bases, place, f"{one!r} is no URL", "such as http://192.0.2.20:5362")
    return Party(key, str(_need(name, data, "role")), tuple(str(one) for one in bases))


def _value(name: str, key: str, data: Mapping[str, Any], parties: Mapping[str, Party]) -> Bound:
    _known(name, data, _VALUE)
    maker = str(_need(name, data, "maker"))
    if maker != SITE and maker not in parties:
        raise wrong(name, data, "maker", f"{maker} is no party", ", ".join([*parties, SITE]))
    kind, part = str(data.get("kind", "parameter")), str(data.get("part", "answer"))
    if kind not in KINDS:
        raise wrong(name, data, "kind", f"kind is {kind!r}", ", ".join(KINDS))
    if part not in PARTS:
        raise wrong(name, data, "part", f"part is {part!r}", ", ".join(PARTS))
    step = data.get("step", 0)
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise wrong(name, data, "step", f"step is {step!r}", "the number of a step")
    return Bound(
        key, str(data.get("recorded", "")), "" if maker == SITE else maker, kind, step, part,
        str(data.get("where", "")), str(data.get("path", "")), str(data.get("within", "")), str(data.get("why", "")),
        str(data.get("default", "")), str(data.get("secret", "")), data.get("doubtful") is not True,
    )  # fmt: skip


def _rules(name: str, data: Mapping[str, Any], check: RuleCheck) -> list[tuple[str, str]]:
    rules = []
    given = _list(name, data, "rules")
    for number, rule in enumerate(given):
        if not isinstance(rule, Mapping) or len(rule) != 1:
            raise wrong(name, given, number, f"{rule!r} is no rule", "PATH: how")
        for path, how in rule.items():
            try:
                check(str(path), str(how))
            except UsageError as error:
                raise wrong(name, given, number, str(error), "PATH: how, such as JobCompletedTime: ignore") from error
            rules.append((str(path), str(how)))
    return rules


def _list(name: str, data: Mapping[str, Any], key: str) -> list[Any]:
    found = data.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise wrong(name, data, key, f"{key} is {found!r}", "a list")
    return found


def _step(name: str, steps: Sequence[Any], place: int, parties: Mapping[str, Party], check_rule: RuleCheck) -> Step:
    data = steps[place]
    if not isinstance(data, Mapping):
        raise wrong(name, steps, place, f"step {place + 1} is {data!r}", "a mapping")
    _known(name, data, _STEP)
    if ("step" in data) == ("event" in data):
        raise wrong(name, steps, place, "neither or both of step and event", "step: NAME, or event: NAME")
    for key in ("from", "to"):
        if _need(name, data, key) not in parties:
            raise wrong(name, data, key, f"{data[key]} is no party", ", ".join(parties))
    answer = data.get("answer")
    return Step(
        place + 1, str(data.get("step", data.get("event"))), str(data.get("service", "")), "event" in data,
        str(data["from"]), str(data["to"]), _seconds(name, data, "at"), _seconds(name, data, "took"),
        _wire(name, _need(name, data, "send")), _wire(name, answer) if answer is not None else None,
        origin=str(data.get("seen", "")), connection=str(data.get("connection", "")),
        optional=data.get("optional") is True, rules=_rules(name, data, check_rule),
    )  # fmt: skip


def _seconds(name: str, data: Mapping[str, Any], key: str) -> float:
    value = data.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise wrong(name, data, key, f"{key} is {value!r}", "seconds")
    return float(value)


def _wire(name: str, data: Any) -> Wire:
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, f"{data!r} is no message", "a mapping with head, and maybe xml")
    _known(name, data, _WIRE)
    chunks = _texts(name, data, "chunks")
    for place, one in enumerate(chunks):
        if not is_chunk_line(one):
            raise wrong(
                name, data["chunks"], place, f"{one!r} is no size of a chunk", 'hexadecimal, such as "1000 x 12"'
            )
    codings = _texts(name, data, "codings")
    for place, one in enumerate(codings):
        if one not in CODINGS:
            raise wrong(name, data["codings"], place, f"{one!r} is no coding", ", ".join(CODINGS))
    encoding = _text(name, data, "encoding")
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        raise wrong(name, data, "encoding", f"encoding is {encoding!r}", "such as utf-16-le") from error
    written = data.get("written") or {}
    if not isinstance(written, Mapping):
        raise wrong(name, data, "written", f"written is {written!r}", "names of values, each with how it is written")
    made = Wire(
        str(_need(name, data, "head")), _text(name, data, "xml"), _text(name, data, "file"), encoding,
        [_part(name, one) for one in _list(name, data, "parts")], _text(name, data, "final"), codings, chunks,
        _text(name, data, "trailer"), {str(key): str(one) for key, one in written.items()},
    )  # fmt: skip
    if made.parts and not made.xml and any(not one.file for one in made.parts):
        raise wrong(name, data, "parts", "a part has no file, and there is no envelope", "file, or xml")
    return made


def _part(name: str, data: Any) -> Part:
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, f"{data!r} is no part", "a mapping with head and file")
    _known(name, data, _PART)
    coding = _text(name, data, "coding")
    if coding not in ("", "base64", "quoted-printable"):
        raise wrong(name, data, "coding", f"coding is {coding!r}", "base64, quoted-printable")
    before = _text(name, data, "before") if data.get("before") is not None else None
    return Part(_text(name, data, "head"), _text(name, data, "file"), before, coding)


def _text(name: str, data: Mapping[str, Any], key: str) -> str:
    found = data.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise wrong(name, data, key, f"{key} is {found!r}", "a text, in quotes")
    return str(found)


def _texts(name: str, data: Mapping[str, Any], key: str) -> list[str]:
    found = _list(name, data, key)
    for place, one in enumerate(found):
        if not isinstance(one, str):
            raise wrong(name, found, place, f"{one!r} is no text", "a text, in quotes")
    return [str(one) for one in found]


def _check_names(scenario: Scenario, folder: Folder, name: str) -> None:
    """Every file is there, and every ``${name}`` in them is a value."""
    for step in scenario.steps:
        for wire in (step.message, step.answer):
            if wire is None:
                continue
            for file in (wire.head, wire.xml):
                if not file:
                    continue
                for used in names_in(folder.read(file).decode("utf-8", "replace")):
                    if used not in scenario.values:
                        near = difflib.get_close_matches(used, scenario.values, 1)
                        raise UsageError(
                            f"{folder.path / file}: ${{{used}}} is no value of {name}"
                            + (f"; near: {near[0]}" if near else "")
                        )
            for name_of_file in (wire.file, *(part.file for part in wire.parts)):
                if name_of_file:
                    folder.check(name_of_file)
