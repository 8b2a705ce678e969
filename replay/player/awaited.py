"""What the other parties are due to send: which recorded step a message that came is, and until when each is awaited.

A message belongs to the step of its name that it fits best: two jobs at once send the same events in another order. One
that comes twice, comes too late, or was never recorded is told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from replay.scenario.model import Step

__all__ = ["Arrival", "Awaited", "Deadlines"]

CANDIDATES = 16
"""Steps of one name that a message is held against: the next ones of the story."""


@dataclass(slots=True)
class Arrival:
    """What a message turned out to be.

    Attributes:
        step: the recorded step, None where the recording has none for it.
        how: ``due``, ``late`` (it had been given up), ``doubled`` (the step's message came before) or ``unexpected``.
    """

    step: Step | None
    how: str


@dataclass(slots=True)
class Awaited:
    """The steps of others.

    Args:
        steps: in order.
        repeats: number of a step that repeats an earlier one in the recording (the same MessageID) → that one's.
    """

    steps: Sequence[Step]
    repeats: dict[int, int] = field(default_factory=dict)
    came: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)
    _ids: dict[str, int] = field(default_factory=dict)

    def arrive(
        self, party: str, name: str, service: str, message_id: str | None, distance: Callable[[Step], int]
    ) -> Arrival:
        """A message came.

        Args:
            party: the played one that got it.
            name, service: of the catalogue: events of WS-DSP and WS-DSC have the same names.
            message_id: its MessageID.
            distance: how far it is from what a step recorded, 0 for the same.
        """
        before = self._ids.get(message_id) if message_id else None
        alike = [one for one in self.steps if (one.receiver, one.name, one.service) == (party, name, service)]
        mine = [one for one in alike if one.number not in self.came]
        if before is not None:
            again = next((one for one in mine if self.repeats.get(one.number) == before), None)
            return self._taken(again, message_id) if again else Arrival(self._step(before), "doubled")
        fresh = [one for one in mine if one.number not in self.repeats][:CANDIDATES] or mine[:CANDIDATES]
        if not fresh:
            return Arrival(next((one for one in reversed(alike) if one.number in self.came), None), "unexpected")
        # The first of those that are equally near: events of one kind come in the order of the recording.
        best = fresh[0] if len(fresh) == 1 else min(fresh, key=lambda one: (distance(one), one.number))
        return self._taken(best, message_id)

    def _taken(self, step: Step, message_id: str | None) -> Arrival:
        self.came.add(step.number)
        if message_id:
            self._ids.setdefault(message_id, step.number)
        return Arrival(step, "late" if step.number in self.given_up else "due")

    def _step(self, number: int) -> Step:
        return next(one for one in self.steps if one.number == number)

    def due_before(self, number: int) -> list[Step]:
        """Those recorded before a step that did not come and are still hoped for."""
        return [one for one in self.left() if one.number < number]

    def left(self) -> list[Step]:
        """Those that did not come and are still hoped for."""
        return [
            one
            for one in self.steps
            if not one.optional and one.number not in self.came and one.number not in self.given_up
        ]


@dataclass(slots=True)
class Deadlines:
    """Until when a step is awaited: as long after the last step that is done as it was recorded after that one, and the
    slack.

    Args:
        begun: when the run began, by the monotonic clock.
        slack: seconds.
        first: seconds that a party is given to begin, where nothing was done before its first step.
    """

    begun: float
    slack: float
    first: float
    _done: list[tuple[int, float, float]] = field(default_factory=list)

    def done(self, step: Step, now: float) -> None:
        """A step is done: its answer came, or it came itself."""
        self._done.append((step.number, step.time + step.took, now))

    def of(self, step: Step) -> float:
        """Until when a step is awaited, by the monotonic clock."""
        before = [one for one in self._done if one[0] < step.number]
        if not before:
            return self.begun + step.time + self.first
        _, recorded, now = before[-1]
        return now + max(step.time - recorded, 0.0) + self.slack

    def words(self, step: Step) -> str:
        """How long a step was awaited: ``within 10 s of its time``."""
        if any(number < step.number for number, _, _ in self._done):
            return f"within {self.slack:g} s of its time"
        return f"within {self.first:g} s"
