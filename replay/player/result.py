"""What became of a scenario that was played: step by step, and in one line that everybody understands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from replay.player.headline import said, verdict
from replay.player.step import OUTCOMES, StepResult, describe_step
from replay.scenario.model import Scenario

__all__ = ["SCHEMA", "Result"]

SCHEMA = "dsmreplay.result/1"
"""Name and version of the plain data; ``replay/report/schemas/result.json`` describes them."""


@dataclass(slots=True)
class Result:
    """What became of a scenario.

    Attributes:
        name: of the scenario.
        target: who it was played against.
        steps: in the order in which they were over.
        unreachable: why the target cannot be reached, "" where it can.
        parties: name → role, in the order of the scenario.
        plays: names of the parties that were played.
        capture: name of the capture it was made from.
        began: when, nanoseconds since 1970 UTC; 0 where not known.
        seconds: that it took.
        interrupted: it was broken off by hand, so that it says nothing of the steps that are not here.
    """

    name: str
    target: str
    steps: list[StepResult] = field(default_factory=list)
    unreachable: str = ""
    parties: dict[str, str] = field(default_factory=dict)
    plays: tuple[str, ...] = ()
    capture: str = ""
    began: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def describe(self, scenario: Scenario, plays: Sequence[str]) -> None:
        """Add what the scenario says of itself, and of each step that is over."""
        self.parties = {one.name: one.role for one in scenario.parties.values()}
        self.plays = tuple(plays)
        self.capture = scenario.capture
        for one in self.steps:
            describe_step(one, scenario)

    @property
    def same(self) -> bool:
        """Everything was as recorded, and something was."""
        return not self.unreachable and not self.interrupted and not self.bad and self.judged

    @property
    def judged(self) -> bool:
        """At least one step was held against the recording: of a capture of one direction none can be."""
        return any(one.outcome != "skipped" for one in self.steps)

    @property
    def bad(self) -> list[StepResult]:
        """The steps that were not as recorded, in the order of the story; what was not recorded last."""
        return sorted((one for one in self.steps if not one.fine), key=lambda one: (not one.number, one.number))

    @property
    def verdict(self) -> str:
        """The headline without the scenario's name."""
        if self.unreachable:
            return f"not played: {self.unreachable}"
        bad = self.bad
        if bad:
            others = len(bad) - 1
            more = f" ({others} other step{'s differ' if others > 1 else ' differs'})" if others else ""
            return f"differs: {verdict(bad)}{more}"
        skipped = sum(one.outcome == "skipped" for one in self.steps)
        if self.interrupted:
            return f"interrupted ({len(self.steps) or 'no'} step{'s' * (len(self.steps) != 1)} until then)"
        if not self.judged:
            return f"nothing was compared ({skipped} step{'s' * (skipped != 1)} skipped)"
        played = len(self.steps) - skipped
        return f"as recorded ({played} step{'s' * (played != 1)}{f', {skipped} skipped' if skipped else ''})"

    @property
    def headline(self) -> str:
        """One line that everybody understands."""
        return f"{self.name}: {self.verdict}"

    @property
    def first(self) -> str:
        """Where the story first went another way, where the headline does not say that; else ""."""
        bad = self.bad
        if not bad or self.unreachable or said(bad[0]) == verdict(bad):
            return ""
        return f"step {bad[0].number}: {said(bad[0])}" if bad[0].number else said(bad[0])

    def counts(self) -> dict[str, int]:
        """Outcome → how many steps, in the order of :data:`OUTCOMES`; none with 0."""
        found = Counter(one.outcome for one in self.steps)
        return {outcome: found[outcome] for outcome in OUTCOMES if found[outcome]}

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        from dissector.output.times import iso_time

        return {
            "schema": SCHEMA, "scenario": self.name, "capture": self.capture or None, "target": self.target,
            "plays": list(self.plays), "parties": [{"name": name, "role": role} for name, role in self.parties.items()],
            "began": iso_time(self.began) if self.began else None, "seconds": round(self.seconds, 6), "same": self.same,
            "headline": self.headline, "first": self.first or None, "unreachable": self.unreachable or None,
            "interrupted": self.interrupted,
            "counts": self.counts(), "steps": [one.to_json() for one in self.steps],
        }  # fmt: skip
