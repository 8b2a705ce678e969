"""What became of a scenario that was played: step by step, and in one line that everybody understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from replay.player.judge import Difference

__all__ = ["Result", "StepResult"]


@dataclass(slots=True)
class StepResult:
    """What became of a step: ``same``, ``different``, ``failed``, ``missing``, ``unexpected``,
    ``doubled``, ``late`` or ``skipped``."""

    number: int
    name: str
    outcome: str
    text: str = ""
    seconds: float = 0.0
    origin: str = ""
    differences: list[Difference] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "step": self.number or None,
            "name": self.name,
            "outcome": self.outcome,
            "text": self.text or None,
            "seconds": round(self.seconds, 6),
            "differences": [one.to_json() for one in self.differences],
        }


@dataclass(slots=True)
class Result:
    """What became of a scenario."""

    name: str
    target: str
    steps: list[StepResult] = field(default_factory=list)
    unreachable: str = ""

    @property
    def same(self) -> bool:
        """Everything was as recorded."""
        return not self.unreachable and all(one.outcome in ("same", "skipped") for one in self.steps)

    @property
    def headline(self) -> str:
        """One line that everybody understands."""
        if self.unreachable:
            return f"{self.name}: {self.unreachable}"
        bad = [one for one in self.steps if one.outcome not in ("same", "skipped")]
        if not bad:
            played = sum(one.outcome == "same" for one in self.steps)
            return f"{self.name}: as recorded ({played} steps)"
        # What the story came to says more than where it first went another way.
        worst = next((one for one in reversed(bad) if one.name.endswith("EndStateEvent")), bad[0])
        why = worst.differences[0].text if worst.differences else worst.text
        return f"{self.name}: differs: {worst.name}: {why}" + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")

    def to_json(self) -> dict[str, Any]:
        """The result as plain data (``dsmreplay.result/1``)."""
        return {
            "schema": "dsmreplay.result/1", "scenario": self.name, "target": self.target, "same": self.same,
            "headline": self.headline, "unreachable": self.unreachable or None,
            "steps": [one.to_json() for one in self.steps],
        }  # fmt: skip
