"""How a command is broken off: by Ctrl-C, and by SIGTERM and SIGHUP as well.

``timeout`` and build servers end a command by SIGTERM, a terminal that is closed and a connection that is lost by
SIGHUP. What is known by then is still told, what was begun is not left half done, and the exit code is that of Ctrl-C.
A second signal ends the command at once.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    # --help must not wait for it.
    import asyncio

__all__ = ["breaking_off", "heard", "not_ignored", "run_until_broken_off"]

AT_ONCE = 1.0
"""Seconds in which a further signal is the same wish once more: who wraps a command hands on what the whole group got
by itself (``timeout`` sends SIGTERM to its child and to the group, runners of tools do so with Ctrl-C, shells with the
SIGHUP of their terminal)."""

T = TypeVar("T")

_last = -math.inf
"""When a signal was heeded, by the machine's clock: the end of a loop is not the end of a wish."""


@contextlib.contextmanager
def heard(
    action: Callable[[], object], *numbers: signal.Signals, loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[None]:
    """The first of some signals calls ``action``, a later one raises KeyboardInterrupt where the program just is.

    In another thread than the first nothing is heard: Python does not allow it.

    Args:
        action: called between two instructions of Python; with a loop, from the loop.
        numbers: the signals.
        loop: that runs, None where none does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first = True

    def come(number: int, frame: FrameType | None) -> None:
        nonlocal first
        global _last
        now = time.monotonic()
        if now < _last + AT_ONCE:
            return
        _last = now
        if not first:
            raise KeyboardInterrupt
        first = False
        if loop is None:
            action()
        else:
            loop.call_soon_threadsafe(action)

    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if loop is not None:
            # A signal just before the loop waits wakes it up: that is all this is for.
            loop.add_signal_handler(number, lambda: None)
        signal.signal(number, come)
    try:
        yield
    finally:
        for number, handler in before.items():
            if loop is not None:
                loop.remove_signal_handler(number)
            # None: it was not set by Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def not_ignored(*numbers: signal.Signals) -> list[signal.Signals]:
    """Those that who started the command did not have ignored: ``nohup`` does so with SIGHUP."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _numbers() -> list[signal.Signals]:
    """What breaks off."""
    # Where it is ignored, a shell started the command in the background: who presses Ctrl-C means what is in front.
    return [signal.SIGTERM, *not_ignored(signal.SIGINT, signal.SIGHUP)]


@contextlib.contextmanager
def breaking_off(*, program: bool) -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does.

    Args:
        program: it ends with this. What was broken off has its exit code then: a signal that is handed on while Python
            takes itself down does not change it.
    """

    def broken_off() -> None:
        raise KeyboardInterrupt

    try:
        with heard(broken_off, *_numbers()):
            yield
    finally:
        if program and _last > -math.inf:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


def run_until_broken_off(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, where Ctrl-C, SIGTERM and SIGHUP cancel the task, which may make a result of what is known
    by then.

    Raises:
        KeyboardInterrupt: it was broken off, and makes nothing of it.
    """
    import asyncio

    async def heeding() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with heard(task.cancel, *_numbers(), loop=loop):
            return await work

    try:
        return asyncio.run(heeding())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
