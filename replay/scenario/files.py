"""A scenario as a folder: ``scenario.yaml`` that a person reads and edits, and the files it names beside it."""

from __future__ import annotations

import contextlib
import difflib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from lxml import etree

from dissector.base.errors import UnreadableInput, UnwritableOutput, UsageError
from replay.base.yamlfile import load_yaml
from replay.scenario.folder import MAIN, Folder
from replay.scenario.loaded import RuleCheck, scenario_of
from replay.scenario.material import Material
from replay.scenario.model import Scenario
from replay.scenario.template import names_in
from replay.scenario.written import as_yaml

__all__ = ["MAIN", "Folder", "check_place", "ill_formed", "load_scenario", "save_scenario"]

KINDS = ("heads", "bodies", "images")
"""Folders of files beside a scenario."""

CAPTURES = frozenset(
    [b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a"]
)
"""How pcap (both orders, micro- and nanoseconds) and pcapng files begin."""


def save_scenario(
    scenario: Scenario, contents: Mapping[str, Material], folder: str | Path, *, replace: bool = False
) -> Path:
    """Write a scenario and its files; gives the path of ``scenario.yaml``.

    What is broken off, or finds no room, leaves behind what was there before.

    Args:
        scenario, contents: as extracted.
        folder: where to; made where it is not there.
        replace: a scenario that is there already is taken away.

    Raises:
        UsageError: the folder holds something already.
        UnwritableOutput: it cannot be written.
    """
    place = Path(folder)
    try:
        check_place(place, replace=replace)
        before = place.exists()
        place.mkdir(parents=True, exist_ok=True)
        try:
            # What cannot be taken away of the scenario before is no reason to do without the new one.
            with tempfile.TemporaryDirectory(prefix=".new-", dir=place, ignore_cleanup_errors=True) as new:
                _write(scenario, contents, Path(new))
                _take_the_place(Path(new), place)
        except BaseException:
            if not before:
                with contextlib.suppress(OSError):
                    place.rmdir()
            raise
    except OSError as error:
        raise UnwritableOutput(f"{place}: {error.strerror or error}") from error
    return place / MAIN


def _write(scenario: Scenario, contents: Mapping[str, Material], place: Path) -> None:
    for name, data in contents.items():
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for piece in (data,) if isinstance(data, bytes) else data.pieces():
                file.write(piece)
    (place / MAIN).write_text(as_yaml(scenario), encoding="utf-8")


def _take_the_place(new: Path, place: Path) -> None:
    """What was written takes the place of what is there, which moves aside; broken off on the way it comes back."""
    old = new / "old"
    old.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in ((place, old), (new, place)):
            for name in (*KINDS, MAIN):
                if (source / name).exists():
                    moved.append((source / name, target / name))
                    (source / name).rename(target / name)
    except BaseException:
        for was, now in reversed(moved):
            # The last one may not have got so far.
            if not was.exists():
                now.rename(was)
        raise


def check_place(folder: str | Path, *, replace: bool = False) -> None:
    """Look whether a scenario may be written to a folder.

    Raises:
        UsageError: it holds something already.
        UnwritableOutput: it is no folder that can be looked into.
    """
    place = Path(folder)
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            if not (place / MAIN).exists():
                raise UsageError(f"{place} is not empty and holds no scenario: choose another folder")
            if not replace:
                raise UsageError(f"{place} holds a scenario, which may have been edited: --force writes it anew")
    except OSError as error:
        raise UnwritableOutput(f"{place}: {error.strerror or error}") from error


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
    if place.is_dir() and not path.exists():
        raise UnreadableInput(f"{place}: there is no {MAIN} in it; dsmreplay extract makes one of a capture")
    if _is_capture(path):
        raise UsageError(f"{path}: is a capture and no scenario; dsmreplay extract makes one of it")
    made = scenario_of(load_yaml(path), str(path), path.absolute().parent.name, check_rule)
    opened = Folder(path.parent)
    _check_files(made, opened, path)
    return made, opened


def ill_formed(scenario: Scenario, folder: Folder, senders: Collection[str]) -> Iterator[str]:
    """Sentences about envelopes of some parties that are no well-formed XML: recorded so, or damaged by an edit."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, encoding="utf-8")
    for step in scenario.steps:
        for sender, wire in ((step.sender, step.message), (step.receiver, step.answer)):
            if wire is None or not wire.xml or sender not in senders:
                continue
            try:
                etree.fromstring(folder.read(wire.xml), parser)
            except etree.XMLSyntaxError as error:
                yield f"{folder.path / wire.xml}:{error.lineno}: is sent as it is, and is not well-formed: {error.msg}"


def _is_capture(path: Path) -> bool:
    """A pcap or pcapng file. What cannot be read is told by who reads it."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(4) in CAPTURES
    return False


def _check_files(scenario: Scenario, folder: Folder, main: Path) -> None:
    """Every file is there, and every ``${name}`` in them is a value."""
    for step in scenario.steps:
        for wire in (step.message, step.answer):
            if wire is None:
                continue
            for name in filter(None, (wire.head, wire.xml, wire.file, *(part.file for part in wire.parts))):
                try:
                    folder.check(name)
                except UnreadableInput as error:
                    why = str(error).removeprefix(f"{folder.path / MAIN}: ")
                    raise UnreadableInput(f"{main}:{_line_of(name, main)}: {why}") from error
            _check_names(scenario, folder, wire.head, folder.text(wire.head))
            if wire.xml:
                _check_names(scenario, folder, wire.xml, folder.read(wire.xml).decode("utf-8", "replace"))


def _line_of(name: str, main: Path) -> int:
    """Where a file is named first."""
    text = main.read_text("utf-8", "replace")
    return text.count("\n", 0, max(text.find(name), 0)) + 1


def _check_names(scenario: Scenario, folder: Folder, file: str, text: str) -> None:
    for used in names_in(text):
        if used not in scenario.values:
            line = text.count("\n", 0, text.find(f"${{{used}}}")) + 1
            near = difflib.get_close_matches(used, scenario.values, 1)
            raise UsageError(
                f"{folder.path / file}:{line}: ${{{used}}} is no value of {folder.path / MAIN}"
                + (f"; near: {near[0]}" if near else "")
            )
