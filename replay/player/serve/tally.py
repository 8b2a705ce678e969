"""What came of serving: what was as recorded, what was not, what the recording does not have, and what never came."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dissector.output.text import count

__all__ = ["Tally"]

MAX_TOLD = 1000
"""Entries of one kind that are kept; of more only the number."""

MAX_NAME = 200
"""Characters of the name of a request that the recording does not have: the client chooses it."""


@dataclass(slots=True)
class Tally:
    """The account of one virtual device.

    Attributes:
        answered: requests that got a recorded answer.
        different: of those, requests that did not mean what was recorded: (step, name, what differs).
        unknown: requests that the recording does not have: (name, why).
        sent: notices that were delivered.
        failed: notices that could not be: (name, why).
        used: numbers of the exchanges and notices that happened, in any run.
    """

    answered: int = 0
    different: list[tuple[int, str, str]] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    more: Counter[str] = field(default_factory=Counter)
    """Entries that are not kept: ``different``, ``unknown`` or ``failed`` → how many."""

    def differs(self, step: int, name: str, text: str) -> None:
        """A request did not mean what was recorded."""
        self._keep("different", self.different, (step, name, text))

    def lacks(self, name: str, why: str) -> None:
        """A request that the recording does not have."""
        self._keep("unknown", self.unknown, (name[:MAX_NAME], why))

    def fails(self, name: str, why: str) -> None:
        """A notice that could not be delivered."""
        self._keep("failed", self.failed, (name, why))

    def _keep(self, kind: str, kept: list[Any], one: tuple[Any, ...]) -> None:
        if len(kept) < MAX_TOLD:
            kept.append(one)
        else:
            self.more[kind] += 1

    @property
    def clean(self) -> bool:
        """All that came was as recorded, and all that was sent arrived."""
        return not (self.different or self.unknown or self.failed)

    def lines(self, runs: int, left: list[str], unsent: list[str]) -> list[str]:
        """The account for people, one sentence a line.

        Args:
            runs: of the story.
            left: recorded requests that never came.
            unsent: recorded notices that were never due.
        """
        told = [f"{count(self.answered, 'request')} answered, {count(self.sent, 'event')} sent, {count(runs, 'run')}"]
        if self.unknown:
            names = Counter(name for name, _ in self.unknown)
            listed = ", ".join(f"{name} ({number})" if number > 1 else name for name, number in names.items())
            more = f" (and {self.more['unknown']} more)" if self.more["unknown"] else ""
            told.append(f"the recording does not have: {listed}{more}")
        if self.different:
            first, others = self.different[0], len(self.different) + self.more["different"] - 1
            more = f" (and {others} more)" if others else ""
            told.append(f"not as recorded: {first[1]}: {first[2]}{more}")
        if self.failed:
            told.append(
                f"not delivered: {', '.join(dict.fromkeys(name for name, _ in self.failed))}: {self.failed[0][1]}"
            )
        if left:
            told.append(f"never came: {', '.join(left)}")
        if unsent:
            told.append(f"never due: {', '.join(unsent)}")
        return told

    def to_json(self, runs: int, left: list[str], unsent: list[str]) -> dict[str, Any]:
        """The account as plain data (``dsmreplay.served/1``)."""
        return {
            "schema": "dsmreplay.served/1", "answered": self.answered, "sent": self.sent, "runs": runs,
            "different": [{"step": step, "name": name, "text": text} for step, name, text in self.different],
            "unknown": [{"name": name, "text": text} for name, text in self.unknown],
            "failed": [{"name": name, "text": text} for name, text in self.failed],
            "never_came": left, "never_due": unsent, "clean": self.clean and not left and not unsent,
        }  # fmt: skip
