"""What became of a suite the last time, kept in a file, and what changed since.

The file remembers each scenario by itself: a run of some of them, or one that was interrupted, leaves the others as
they were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissector.base.errors import UnwritableOutput
from dissector.output.jsontext import dumps
from dissector.output.times import iso_time
from replay.suite.model import BAD, STATES, SuiteResult

__all__ = ["NAME", "SLOWER", "Changes", "Last", "beside_of", "changes", "load_last", "save_last"]

NAME = ".dsmreplay-suite.json"
"""The file in the folder of a suite."""

FORM = "dsmreplay.suite-last/1"
MAX_FILE = 32 << 20
"""Bytes of the file that are read; what is longer is not what was written."""

SLOWER = 1.5
"""Times the last duration from which on a scenario is slower."""

LEAST = 0.25
"""Seconds by which it has to be slower: what is less is the machine's own business."""


@dataclass(frozen=True, slots=True)
class Before:
    """A scenario the last time: its state, the median of its good runs in seconds (None for none), and when."""

    state: str
    seconds: float | None
    began: str


@dataclass(slots=True)
class Last:
    """All scenarios that are remembered.

    Attributes:
        cases: by name.
        problem: why the file cannot be used, "" where it can (or there is none).
    """

    cases: dict[str, Before] = field(default_factory=dict)
    problem: str = ""


@dataclass(slots=True)
class Changes:
    """What changed since.

    Attributes:
        since: when the last run was, the latest of those compared; "" where there is nothing to compare with.
        failing: scenarios that were as recorded, and are not now.
        mended: the other way round.
        still: not as recorded, as before.
        slower, faster: name, seconds then and now.
        new: scenarios that are not remembered.
    """

    since: str = ""
    failing: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    slower: list[tuple[str, float, float]] = field(default_factory=list)
    faster: list[tuple[str, float, float]] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any] | None:
        """The changes as plain data, None where there is nothing to compare with."""
        if not self.since:
            return None
        return {
            "since": self.since, "newly_failing": self.failing, "mended": self.mended, "still_failing": self.still,
            "new": self.new,
            "slower": [{"scenario": name, "before": was, "now": now} for name, was, now in self.slower],
            "faster": [{"scenario": name, "before": was, "now": now} for name, was, now in self.faster],
        }  # fmt: skip

    def words(self) -> Iterator[str]:
        """One line for each kind of change."""
        for what, names in (
            ("newly failing", self.failing), ("mended", self.mended), ("still failing", self.still), ("new", self.new),
        ):  # fmt: skip
            if names:
                yield f"{what}: {', '.join(names)}"
        for what, several in (("slower", self.slower), ("faster", self.faster)):
            if several:
                yield f"{what}: " + ", ".join(f"{name} ({was:.2f} s → {now:.2f} s)" for name, was, now in several)


def load_last(path: Path) -> Last:
    """What is remembered; a file that is no such file is told, and nothing is remembered."""
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_FILE))
    except FileNotFoundError:
        return Last()
    except (OSError, ValueError, RecursionError) as error:
        return Last(problem=f"{path}: cannot be read: {error}")
    if not isinstance(data, dict) or data.get("schema") != FORM or not isinstance(data.get("scenarios"), dict):
        return Last(problem=f"{path}: not written by dsmreplay suite")
    found = {}
    for name, one in data["scenarios"].items():
        if not isinstance(one, dict) or one.get("state") not in STATES or not isinstance(one.get("began"), str):
            return Last(problem=f"{path}: {name!r} is damaged")
        seconds = one.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            seconds = None
        found[name] = Before(one["state"], seconds, one["began"])
    return Last(found)


def save_last(path: Path, last: Last, result: SuiteResult) -> None:
    """Remember a result; scenarios that were not played stay as they are.

    Raises:
        UnwritableOutput: it cannot be written.
    """
    cases = {name: {"state": one.state, "seconds": one.seconds, "began": one.began} for name, one in last.cases.items()}
    for case in result.cases:
        if case.state not in ("skipped", "not run"):
            began = case.runs[-1].began if case.runs else result.began
            cases[case.name] = {"state": case.state, "seconds": case.seconds, "began": iso_time(began) or ""}
    text = dumps({"schema": FORM, "scenarios": cases}, indent=2) + "\n"
    # As a whole or not at all: it is compared with the next time.
    beside = beside_of(path)
    path = path.resolve()
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise UnwritableOutput(f"{path}: {error.strerror or error}") from error


def beside_of(path: Path) -> Path:
    """The file that is written first, and then takes the place of what is remembered."""
    path = path.resolve()
    return path.with_name(f"{path.name}.{os.getpid()}")


def changes(last: Last, result: SuiteResult) -> Changes:
    """What changed since the last time."""
    found = Changes(
        since=max((last.cases[one.name].began for one in result.cases if one.name in last.cases), default="")
    )
    if not found.since:
        return found
    for case in result.cases:
        state, before = case.state, last.cases.get(case.name)
        if state in ("skipped", "not run"):
            continue
        if before is None:
            found.new.append(case.name)
            continue
        bad, was_bad = state in BAD, before.state in BAD
        if bad or was_bad:
            {(True, False): found.failing, (False, True): found.mended, (True, True): found.still}[bad, was_bad].append(
                case.name
            )
        now, was = case.seconds, before.seconds
        if now is not None and was is not None:
            if now > was * SLOWER and now > was + LEAST:
                found.slower.append((case.name, was, now))
            elif was > now * SLOWER and was > now + LEAST:
                found.faster.append((case.name, was, now))
    return found
