"""What became of one step of a scenario that was played."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dissector.base.origin import Endpoint
from replay.player.difference import Difference
from replay.scenario.model import Scenario

__all__ = ["FINE", "OUTCOMES", "Heard", "StepResult", "describe_step"]

OUTCOMES = {
    "same": "as recorded", "different": "different", "failed": "not sent", "missing": "missing",
    "unexpected": "not recorded", "doubled": "came twice", "late": "late", "skipped": "skipped",
}  # fmt: skip
"""What can become of a step → the word for it."""

FINE = ("same", "skipped")
"""Outcomes that are no difference."""


class Heard(NamedTuple):
    """When a message came on which connection: sender, receiver, and nanoseconds since 1970 of its last byte."""

    source: Endpoint
    destination: Endpoint
    time: int


@dataclass(slots=True)
class StepResult:
    """What became of a step.

    Attributes:
        number: of the step, 0 for a message that the recording does not have.
        name: of its message.
        outcome: one of :data:`OUTCOMES`.
        text: why, in words; "" where there is nothing to say.
        seconds: from sending the request to its answer; 0 for what only came.
        origin: where it was recorded.
        differences: of what came from what was recorded.
        sender, receiver: names of parties, "" where not known.
        event: a notification.
        time: seconds of its recording since the first step, None where not known.
        at: seconds since the run began when it was over, None where not known.
        came: where the message that came is in the capture of the replay, "" where there is none.
        heard: when it came on which connection, None where nothing came.
    """

    number: int
    name: str
    outcome: str
    text: str = ""
    seconds: float = 0.0
    origin: str = ""
    differences: list[Difference] = field(default_factory=list)
    sender: str = ""
    receiver: str = ""
    event: bool = False
    time: float | None = None
    at: float | None = None
    came: str = ""
    heard: Heard | None = None

    @property
    def fine(self) -> bool:
        """It is no difference."""
        return self.outcome in FINE

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "step": self.number or None,
            "name": self.name,
            "event": self.event,
            "from": self.sender or None,
            "to": self.receiver or None,
            "outcome": self.outcome,
            "text": self.text or None,
            "recorded_at": None if self.time is None else round(self.time, 6),
            "at": None if self.at is None else round(self.at, 6),
            "seconds": round(self.seconds, 6),
            "recorded_in": self.origin or None,
            "came_in": self.came or None,
            "differences": [one.to_json() for one in self.differences],
        }


def describe_step(one: StepResult, scenario: Scenario) -> None:
    """Add what the scenario says of a step."""
    if 0 < one.number <= len(scenario.steps):
        step = scenario.steps[one.number - 1]
        one.sender, one.receiver, one.event, one.time = step.sender, step.receiver, step.event, step.time
