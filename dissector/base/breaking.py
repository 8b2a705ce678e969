"""Signals that break a pass off: SIGTERM (``timeout``, build servers) and SIGHUP (a terminal that is closed) as Ctrl-C.

A package does not take signals away from the program that uses it: Ctrl-C where Python's own handler is set, the others
where the command line set :func:`broken_off`.
"""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

__all__ = ["as_ctrl_c", "broken_off", "heeded", "left_to_the_parent", "repeated"]

AT_ONCE = 1.0
"""Seconds in which another signal is the same wish once more: ``timeout`` sends SIGTERM to its child and to the group,
shells do so with the SIGHUP of their terminal."""

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_last = -math.inf
"""When one other than Ctrl-C came last, by the machine's clock."""


def as_ctrl_c() -> None:
    """SIGTERM and SIGHUP are heeded, where nobody decided otherwise: ``nohup`` has SIGHUP ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, broken_off)


def broken_off(number: int, frame: FrameType | None) -> None:
    """Handle a signal outside of a pass.

    Raises:
        KeyboardInterrupt: unless it was heeded just now.
    """
    if not repeated(number):
        raise KeyboardInterrupt


def repeated(number: int) -> bool:
    """A signal that came is the one that was heeded just now, handed on. Who presses Ctrl-C twice means it."""
    global _last
    if number == signal.SIGINT:
        return False
    now = time.monotonic()
    if now < _last + AT_ONCE:
        return True
    _last = now
    return False


def heeded() -> list[signal.Signals]:
    """The signals that may break a pass off."""
    return [number for number in _NUMBERS if signal.getsignal(number) in (signal.default_int_handler, broken_off)]


def left_to_the_parent() -> None:
    """Of a forked process: signals go to all of a group, and the first one decides what becomes of it."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
