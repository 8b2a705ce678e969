"""Times for people and programs. All capture times are nanoseconds since 1970-01-01 UTC; integers throughout, since a
float cannot hold them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["Clock", "duration_text", "iso_time", "seconds_text"]

_SECOND = 1_000_000_000


def iso_time(ns: int | None, digits: int = 6) -> str | None:
    """ISO 8601 in UTC with the capture's resolution, such as ``2026-11-23T10:25:01.123456Z``; None for None.

    Args:
        ns: nanoseconds since 1970.
        digits: decimal digits of a second that the capture's times have; 9 are the most shown.
    """
    if ns is None:
        return None
    seconds, rest = divmod(ns, _SECOND)
    try:
        whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        # A damaged record can claim any year; the number is all that can be said.
        whole = f"@{seconds}"
    return f"{whole}{_fraction(rest, digits)}Z"


def _fraction(rest: int, digits: int) -> str:
    digits = min(max(digits, 0), 9)
    return f".{rest:09d}"[: digits + 1] if digits else ""


def seconds_text(ns: int, digits: int = 6) -> str:
    """Seconds with so many decimals, ``-`` in front of a negative one."""
    sign = "-" if ns < 0 else ""
    seconds, rest = divmod(abs(ns), _SECOND)
    return f"{sign}{seconds}{_fraction(rest, digits)}"


def duration_text(ns: int | None) -> str:
    """A duration for people: ``850 ms``, ``4.2 s``, ``2 min 05 s``, ``1 h 02 min``; ``-5.0 s`` where a clock
    stepped back; ``–`` for None."""
    if ns is None:
        return "–"
    if ns < 0:
        return f"-{duration_text(-ns)}"
    # Each unit goes as far as what it would be rounded to: 999.6 ms are no "1000 ms".
    for size, unit in ((1_000, "µs"), (1_000_000, "ms")):
        if round(ns / size) < 1000:
            return f"{ns / size:.0f} {unit}"
    if round(ns / _SECOND, 1) < 60:
        return f"{ns / _SECOND:.1f} s"
    minutes, seconds = divmod(max(ns // _SECOND, 60), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


class Clock:
    """The time column of a packet list.

    Args:
        style: "relative" (seconds since the first packet), "absolute" (ISO 8601) or "delta" (seconds since the
            line before).
        start: time of the first packet, None to count from the first time asked for.
    """

    def __init__(self, style: str, start: int | None = None) -> None:
        self.style = style
        self.start = start
        self._last: int | None = None

    def __call__(self, ns: int, digits: int = 6) -> str:
        """The text for one time; "delta" counts from the call before."""
        if self.style == "absolute":
            return iso_time(ns, digits) or ""
        if self.start is None:
            self.start = ns
        zero = (ns if self._last is None else self._last) if self.style == "delta" else self.start
        self._last = ns
        return seconds_text(ns - zero, digits)
