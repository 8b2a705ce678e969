"""How a scenario is played."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from replay.scenario.model import Step

__all__ = ["FIRST", "SLACK", "SLOWER", "Options"]

SLACK = 10.0
"""Seconds that an awaited message may come later than recorded."""

SLOWER = 3.0
"""Times as long as recorded that an answer may take: a scanner sends an image while it scans."""

FIRST = 120.0
"""Seconds that another party is given to begin a story."""


@dataclass(slots=True)
class Options:
    """How a scenario is played.

    Attributes:
        plays: party, or several with commas; "" for the scenario's own choice.
        speed: 1.0 as recorded, 2.0 twice as fast; 0: as fast as possible.
        keep_going: go on after a difference.
        slack: seconds that an awaited message may come later than recorded.
        wait: seconds that another party is given to begin the story, where it does.
        given: values by the user.
        targets: URLs of further parties by name.
        listen: address for what is received (event sink, services); of several played parties the first has this port,
            the others any free one.
        others: a party that comes by itself from another machine may be sent events.
        context: TLS of the played parties' own servers, None for plain HTTP.
        connections: ``recorded`` (as many as recorded) or ``one`` (kept open).
        normalise: send clean messages in place of the recorded bytes.
        gate: asked before each own step; gives ``go``, ``skip`` or ``stop``.
        max_time: seconds that an answer may take as a whole; None: what is usual, or :data:`SLOWER` times as long as in
            the recording where that is more.
        first, only: steps to begin with, or to play alone (numbers; empty: all).
    """

    plays: str = ""
    speed: float = 0.0
    keep_going: bool = False
    slack: float = SLACK
    wait: float = FIRST
    given: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    listen: tuple[str, int] = ("127.0.0.1", 0)
    others: bool = False
    context: ssl.SSLContext | None = None
    connections: str = "recorded"
    normalise: bool = False
    gate: Callable[[Step, Sequence[bytes]], Awaitable[str]] | None = None
    max_time: float | None = None
    first: int = 1
    only: frozenset[int] = frozenset()

    def wants(self, step: Step) -> bool:
        """The step is among those that are played."""
        return step.number >= self.first and (not self.only or step.number in self.only)
