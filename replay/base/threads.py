"""Work that may take long, in a thread of its own.

``asyncio.to_thread`` has few threads and waits for them when the program ends: half a dozen mail servers that do not
answer would keep all images of all jobs waiting, and Ctrl-C too. A thread of one's own does neither; what it gives
after nobody waits for it any more is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Do something that blocks; gives what it gives, raises what it raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def done(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # it may be None

    def run() -> None:
        value, error = None, None
        try:
            value = work(*arguments, **named)
        except BaseException as problem:
            error = problem
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
            loop.call_soon_threadsafe(done, value, error)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await result
