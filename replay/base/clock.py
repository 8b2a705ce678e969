"""One clock for everything that waits: delays, expiries, time-outs, retries.

The emulators and the player never call ``asyncio.sleep`` or ``time.time`` themselves. They take a :class:`Clock`: the
real one in the field, a :class:`ManualClock` in tests, which stands still until it is told to go on. Sockets are not
part of it: with a manual clock messages still travel at once, and only what is due *later* waits.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "ManualClock", "RealClock", "Timer"]

_NS = 1_000_000_000


class Timer(Protocol):
    """Something that will be called; can be called off."""

    def cancel(self) -> None:
        """Do not call it. Harmless when it was called already."""
        ...


class Clock(Protocol):
    """What tells the time."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970 UTC, for what is written and sent."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, for what is measured and awaited."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; at once for 0 or less."""
        ...

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Call ``action`` in the event loop after so many seconds."""
        ...


class RealClock:
    """The clock of the machine."""

    def time_ns(self) -> int:
        """See :class:`Clock`."""
        return time.time_ns()

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        if seconds > 0:
            await asyncio.sleep(seconds)

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """See :class:`Clock`."""
        return asyncio.get_running_loop().call_later(max(seconds, 0.0), action)


class _Due:
    """One entry of a manual clock."""

    __slots__ = ("action", "at", "number")

    def __init__(self, at: float, number: int, action: Callable[[], object]) -> None:
        self.at = at
        self.number = number
        self.action: Callable[[], object] | None = action

    def __lt__(self, other: _Due) -> bool:
        return (self.at, self.number) < (other.at, other.number)

    def cancel(self) -> None:
        self.action = None


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


class ManualClock:
    """A clock that stands still until :meth:`advance` is called.

    Args:
        start_ns: the time it shows first, nanoseconds since 1970 UTC.
    """

    def __init__(self, start_ns: int = 1_700_000_000 * _NS) -> None:
        self._start = start_ns
        self._passed = 0.0
        self._number = 0
        self._due: list[_Due] = []

    def time_ns(self) -> int:
        """See :class:`Clock`."""
        return self._start + round(self._passed * _NS)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was advanced so far."""
        if seconds <= 0:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: _wake(woken))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, action: Callable[[], object]) -> Timer:
        """See :class:`Clock`."""
        self._number += 1
        due = _Due(self._passed + max(seconds, 0.0), self._number, action)
        heapq.heappush(self._due, due)
        return due

    @property
    def next_due(self) -> float | None:
        """Seconds until the next thing is due, None where nothing waits."""
        while self._due and self._due[0].action is None:
            heapq.heappop(self._due)
        return max(self._due[0].at - self._passed, 0.0) if self._due else None

    async def advance(self, seconds: float) -> None:
        """Go on by so many seconds; what falls due is called in order, and tasks run in between."""
        until = self._passed + seconds
        while (wait := self.next_due) is not None and self._passed + wait <= until + 1e-12:
            due = heapq.heappop(self._due)
            self._passed = max(self._passed, due.at)
            action, due.action = due.action, None
            if action is not None:
                action()
            await self.settle()
        self._passed = max(self._passed, until)
        await self.settle()

    async def settle(self, turns: int = 20) -> None:
        """Let tasks that can go on go on; time stands still."""
        for _ in range(turns):
            await asyncio.sleep(0)
