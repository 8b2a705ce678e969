"""The scenarios below a folder, each with how it is played and what it touches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from dissector.base.errors import DsmsharkError, UnreadableInput, UsageError
from replay.net.target import Target, is_loopback
from replay.player.judge import ValueRule
from replay.player.targets import played_of, targets_of
from replay.scenario.files import MAIN, load_scenario
from replay.suite.model import Case, Settings

__all__ = ["MAX_DEPTH", "chosen", "devices_of", "find_scenarios", "prepare"]

MAX_DEPTH = 16
"""Folders below that of the suite."""


def find_scenarios(folder: Path) -> dict[str, Path]:
    """Name → folder of each scenario in or below a folder, sorted by name.

    Raises:
        UnreadableInput: there is no such folder, or no scenario in it.
    """
    if not folder.is_dir():
        why = "is a file; a suite is a folder of scenarios" if folder.exists() else "no such folder"
        raise UnreadableInput(f"{folder}: {why}")
    found: dict[str, Path] = {}
    root = str(folder)
    for place, folders, files in os.walk(root):
        below = Path(place).relative_to(folder)
        if MAIN in files:
            name = below.as_posix() if below.parts else folder.resolve().name
            found[name] = Path(place)
            # What is in a scenario's folder are its files.
            folders.clear()
        elif len(below.parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = [one for one in folders if not one.startswith(".")]
    if not found:
        raise UnreadableInput(f"{folder}: there is no {MAIN} in it or below it; dsmreplay extract makes one")
    return dict(sorted(found.items()))


def chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that one of the patterns fits; all where there is none.

    Raises:
        UsageError: a pattern fits nothing.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"--only {pattern}: no scenario is called so; there is {', '.join(names[:10])}")
    return [name for name in names if not patterns or any(fnmatchcase(name, one) for one in patterns)]


def prepare(name: str, path: Path, settings: Settings, *, listed: bool = False) -> tuple[Case, Mapping[str, Target]]:
    """Load a scenario; what is wrong with it is in ``problem``. ``listed``: it is not played, a lack of a target too.

    Returns:
        The case, and where its parties are that are not played.

    Raises:
        UsageError: it has no target, or a wrong one.
    """
    case = Case(name, path, settings)
    if settings.skip:
        return case, {}
    try:
        case.scenario, case.folder = load_scenario(path, ValueRule)
        played = played_of(case.scenario, settings.plays)
    except DsmsharkError as error:
        case.problem = error
        return case, {}
    # What is given for all need not be of use to each.
    settings.given = {
        one: text for one, text in settings.given.items() if one in case.scenario.values or one not in settings.shared
    }
    others = {party: url for party, url in settings.targets.items() if party in case.scenario.parties}
    settings.targets = {party: url for party, url in others.items() if party not in played}
    try:
        targets = targets_of(case.scenario, played, settings.target, settings.targets)
    except UsageError as error:
        if listed:
            case.problem = error
            return case, {}
        raise UsageError(f"{name}: {error}") from error
    case.devices = frozenset({settings.device}) if settings.device else devices_of(targets.values())
    return case, targets


def devices_of(targets: Iterable[Target]) -> frozenset[str]:
    """What must not be touched by two scenarios at once: each host; on loopback, where emulators live, each port."""
    found = set()
    for one in targets:
        host = one.host.lower()
        found.add(f"{host}:{one.port}" if is_loopback(host) else host)
    # Who comes by itself may be anybody.
    return frozenset(found or {"anybody"})
