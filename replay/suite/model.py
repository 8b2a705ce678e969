"""What a suite consists of, and what became of it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissector.base.errors import DsmsharkError, ExitCode
from dissector.output.times import iso_time
from replay.player.result import Result
from replay.scenario.files import Folder
from replay.scenario.model import Scenario

__all__ = ["BAD", "KEPT", "SCHEMA", "STATES", "Case", "CaseResult", "Run", "Settings", "SuiteResult"]

SCHEMA = "dsmreplay.suite/1"
"""Name and version of the plain data; ``replay/report/schemas/suite.json`` describes them."""

KEPT = 1000
"""Runs of one scenario that are kept one by one; of further ones only their number is, and the first that was not as
recorded."""

BAD = ("different", "flaky", "unreachable", "broken")
"""States of a scenario that is not as recorded, what counts most first."""

STATES = {
    "same": "as recorded", "different": "different", "flaky": "flaky", "unreachable": "not reached", "broken": "broken",
    "skipped": "skipped", "not run": "not run",
}  # fmt: skip
"""What can become of a scenario → the word for it. Flaky: as recorded in some of its runs, not in others."""


@dataclass(slots=True)
class Settings:
    """How a scenario of a suite is played.

    Attributes:
        target: URL of the party that is played against first, "" for none.
        targets: URLs of further parties by name.
        plays: parties that are played, "" for the scenario's own choice.
        given: values by name.
        shared: names of values that were given for all scenarios: one that has no such value goes without.
        repeat: how often.
        tags: words to choose by.
        skip: why it is left out, "" where it is not.
        device: name of what it touches; scenarios that touch the same are not played at once. "": its targets.
        speed, slack, wait, max_time: as for ``dsmreplay run``.
        steps: those that are played, "" for all.
    """

    target: str = ""
    targets: dict[str, str] = field(default_factory=dict)
    plays: str = ""
    given: dict[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    repeat: int = 1
    tags: frozenset[str] = frozenset()
    skip: str = ""
    device: str = ""
    speed: float = 0.0
    slack: float = 10.0
    wait: float = 120.0
    max_time: float | None = None
    steps: str = ""


@dataclass(slots=True)
class Case:
    """A scenario of a suite.

    Attributes:
        name: path of its folder below that of the suite.
        path: its folder.
        settings: how it is played.
        scenario, folder: as loaded, None where it cannot be.
        devices: what it touches.
        problem: why it cannot be played.
    """

    name: str
    path: Path
    settings: Settings
    scenario: Scenario | None = None
    folder: Folder | None = None
    devices: frozenset[str] = frozenset()
    problem: DsmsharkError | None = None


@dataclass(slots=True)
class Run:
    """One run of a scenario: ``same``, ``different``, ``unreachable`` or ``broken``, with the words for it."""

    number: int
    outcome: str
    text: str
    began: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The run as plain data."""
        return {
            "run": self.number, "outcome": self.outcome, "text": self.text, "began": iso_time(self.began),
            "seconds": round(self.seconds, 6),
        }  # fmt: skip


@dataclass(slots=True)
class CaseResult:
    """What became of a scenario.

    Attributes:
        name, tags, skip: as in its :class:`Case`.
        runs: the first :data:`KEPT`, in order, and the first one that was not as recorded where it came later.
        counts: outcome → number of runs.
        shown: the result of the first run that was not as recorded, else of the last one.
        problem: why it could not be played.
    """

    name: str
    tags: frozenset[str] = frozenset()
    skip: str = ""
    runs: list[Run] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    shown: Result | None = None
    problem: DsmsharkError | None = None

    def add(self, run: Run, result: Result | None) -> None:
        """One more run is over; ``result`` None for one that could not be played."""
        if len(self.runs) < KEPT or (run.outcome != "same" and set(self.counts) <= {"same"}):
            self.runs.append(run)
        self.counts[run.outcome] += 1
        if result is not None and (self.shown is None or self.shown.same):
            self.shown = result

    @property
    def played(self) -> int:
        """Number of runs."""
        return self.counts.total()

    @property
    def state(self) -> str:
        """One of :data:`STATES`."""
        if self.skip:
            return "skipped"
        if self.problem is not None:
            return "broken"
        kinds = [kind for kind, count in self.counts.items() if count]
        if len(kinds) > 1:
            return "flaky" if "same" in kinds else "different"
        return kinds[0] if kinds else "not run"

    @property
    def seconds(self) -> float | None:
        """Median of the runs that were as recorded, None where none was."""
        times = [one.seconds for one in self.runs if one.outcome == "same"]
        return statistics.median(times) if times else None

    @property
    def text(self) -> str:
        """Why it is not as recorded: the first such run's words; "" where there is nothing to say."""
        if self.skip:
            return self.skip
        if self.problem is not None:
            return str(self.problem)
        return next((one.text for one in self.runs if one.outcome != "same"), "")

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        seconds = self.seconds
        return {
            "scenario": self.name, "tags": sorted(self.tags), "state": self.state, "text": self.text or None,
            "seconds": None if seconds is None else round(seconds, 6), "counts": dict(self.counts),
            "runs": [one.to_json() for one in self.runs],
            "result": self.shown.to_json() if self.shown is not None and not self.shown.same else None,
        }  # fmt: skip


@dataclass(slots=True)
class SuiteResult:
    """What became of a suite.

    Attributes:
        name: for people.
        cases: in the order of the suite.
        began: nanoseconds since 1970.
        seconds: that it took.
        interrupted: it was ended before its end.
        endless: it had none, but for the first difference: ending it by hand is no breaking off.
    """

    name: str
    cases: list[CaseResult]
    began: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    endless: bool = False

    def states(self) -> dict[str, int]:
        """State → how many scenarios, in the order of :data:`STATES`; none with 0."""
        found = Counter(one.state for one in self.cases)
        return {state: found[state] for state in STATES if found[state]}

    def of(self, states: Iterable[str]) -> list[CaseResult]:
        """The scenarios in some states."""
        wanted = set(states)
        return [one for one in self.cases if one.state in wanted]

    @property
    def runs(self) -> int:
        """Number of runs."""
        return sum(one.played for one in self.cases)

    @property
    def exit_code(self) -> ExitCode:
        """What differs counts most, then what cannot be reached, then what cannot be played, then what was not played
        since it was broken off."""
        if self.of(["different", "flaky"]):
            return ExitCode.FINDINGS
        if self.of(["unreachable"]):
            return ExitCode.UNREACHABLE
        for one in self.of(["broken"]):
            return one.problem.exit_code if one.problem is not None else ExitCode.USAGE
        if self.interrupted and (not self.endless or self.of(["not run"])):
            return ExitCode.INTERRUPTED
        return ExitCode.OK

    @property
    def headline(self) -> str:
        """One line that everybody understands."""
        states, total = self.states(), len(self.cases) - len(self.of(["skipped"]))
        bad = [
            f"{count} {_HEAD[state][count > 1]}" for state, count in states.items() if state in _HEAD
        ]  # fmt: skip
        scenarios = f"{total} scenario{'s' * (total != 1)}"
        left = states.get("not run", 0)
        if bad:
            text = f"of {scenarios}, {' and '.join(filter(None, (', '.join(bad[:-1]), bad[-1])))}"
        elif left:
            text = f"{total - left} of {scenarios} as recorded"
        else:
            text = f"{'all ' if total > 1 else ''}{scenarios} as recorded"
        return f"{self.name}: {text}" + (f"; interrupted, {left} not run" if self.interrupted else "")


_HEAD = {
    "different": ("differs", "differ"), "flaky": ("is flaky", "are flaky"),
    "unreachable": ("could not reach its target", "could not reach their targets"),
    "broken": ("cannot be played", "cannot be played"),
}  # fmt: skip
