"""Waiting for a condition on things that change: it is looked at after each change, never by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Waiting"]


class Waiting:
    """Those who wait for conditions on one thing; it says when it changed."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition holds.

        Raises:
            asyncio.CancelledError: :meth:`stop` was called: it will never hold.
        """
        if condition():
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, woken))
        try:
            await woken
        finally:
            # Who waits no longer is not asked for either.
            self._waiting = [one for one in self._waiting if one[1] is not woken]

    def changed(self) -> None:
        """Wake those whose condition holds now."""
        for condition, woken in self._waiting:
            if not woken.done() and condition():
                woken.set_result(None)

    def stop(self) -> None:
        """Nothing changes any more: who waits is told so."""
        for _, woken in self._waiting:
            woken.cancel()
