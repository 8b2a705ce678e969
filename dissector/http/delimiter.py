"""Finding the delimiter lines of a multipart body in a stream of pieces, at the speed of ``bytes.find``.

A delimiter is a line ``--boundary`` or ``--boundary--`` with blanks behind it at most (RFC 2046 5.1.1); the line end
before it belongs to it. Whatever else begins like one is data: images hold any bytes. The Xerox WorkCentre 3025
leaves out the line end before the delimiter; such a one counts only if a header line follows it, or if it is the
final one. The final one needs no line end behind it: where Content-Length says too much, the next message follows at
once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dissector.http.start import METHODS

__all__ = ["Delimiter", "DelimiterSearch"]

MAX_BLANKS = 100
"""Blanks behind a boundary that still make a delimiter."""

MAX_NAME = 64
"""Characters of the header name looked for behind a delimiter in the middle of a line."""

MAX_REJECTED = 10_000
"""Candidates in the middle of a line that were none, before only lines' beginnings are looked at (time bound)."""

_FIRST = re.compile(rb"[\r\n-]")
_BEGINS = frozenset(b"H") | {method[0] for method in METHODS}
"""First bytes of start lines."""
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,%d}" % (MAX_NAME - 1))


class Delimiter(NamedTuple):
    """A delimiter in a window.

    Attributes:
        start: where it begins, the line end before it included: the data ends here.
        end: behind its line end: the next part begins here.
        final: it is the final one.
        mid_line: the line end before it is missing.
        bare_lf: a line end of it is LF alone.
    """

    start: int
    end: int
    final: bool
    mid_line: bool
    bare_lf: bool


class DelimiterSearch:
    """Looks for the delimiters of one boundary.

    Args:
        boundary: without the leading hyphens.
    """

    __slots__ = ("_dense", "_rejected", "_starts", "boundary", "longest", "needle")

    def __init__(self, boundary: bytes) -> None:
        self.boundary = boundary
        self.needle = b"--" + boundary
        self.longest = len(self.needle) + MAX_BLANKS + MAX_NAME + 8
        """A window of so many bytes from the beginning of a delimiter decides about it."""
        self._starts = (b"\r\n" + self.needle, b"\n" + self.needle, self.needle)
        # A boundary of hyphens would be found at each byte of a row of hyphens.
        self._dense = not boundary.strip(b"-")
        self._rejected = 0

    def find(self, window: bytes, start: int, *, line_start: bool, final: bool) -> tuple[Delimiter | None, int]:
        """The first delimiter in the window, and up to where the bytes are surely data.

        Args:
            window: bytes at hand.
            start: where to begin. What an earlier call left undecided stands there.
            line_start: the byte at ``start`` begins a line.
            final: no more bytes follow.

        Returns:
            (delimiter, its start), or (None, n): the bytes from n on may begin a delimiter (all are data where
            ``final``).
        """
        at = start if line_start and window.startswith(self.needle, start) else self._next(window, start)
        while at >= 0:
            found = self._look(window, start, at, line_start, final)
            if found is None:
                self._rejected += 1
                if self._rejected > MAX_REJECTED:
                    self._dense = True
                at = self._next(window, at + 1)
            elif isinstance(found, int):
                return None, found
            else:
                return found, found.start
        if final:
            return None, len(window)
        return None, self._begins(window, start)

    def _next(self, window: bytes, at: int) -> int:
        if not self._dense:
            return window.find(self.needle, at)
        feed = window.find(b"\n" + self.needle, max(at - 1, 0))
        return feed + 1 if feed >= 0 else -1

    def _look(self, window: bytes, low: int, at: int, line_start: bool, final: bool) -> Delimiter | int | None:
        """The delimiter whose hyphens stand at ``at``; None: it is none; a number: undecided, hold from there."""
        start, mid_line, bare = at, False, False
        if at > low and window[at - 1] == 10:
            start = at - 1
            if start > low and window[start - 1] == 13:
                start -= 1
            else:
                bare = True
        elif at > low or not line_start:
            mid_line = True
        size = len(window)
        end = at + len(self.needle)
        last = window.startswith(b"--", end)
        if last:
            end += 2
        elif end + 1 == size and window[end] == 45 and not final:
            return start
        stop = end
        while stop < size and window[stop] in b" \t":
            stop += 1
            if stop - end > MAX_BLANKS:
                return None
        if stop == size or (window[stop] == 13 and stop + 1 == size):
            if not final:
                return start
            return None if mid_line and not last else Delimiter(start, size, last, mid_line, bare)
        if last and not mid_line and stop == end and window[stop] in _BEGINS:
            return Delimiter(start, end, True, False, bare)
        if window[stop] == 10:
            bare = True
        elif window[stop] != 13 or window[stop + 1] != 10:
            return None
        else:
            stop += 1
        stop += 1
        if mid_line and not last:
            name = _NAME.match(window, stop)
            after = name.end() if name else stop
            if after == size and not final:
                return start
            if not name or window[after : after + 1] != b":":
                return None
        return Delimiter(start, stop, last, mid_line, bare)

    def _begins(self, window: bytes, start: int) -> int:
        """Where the longest end of the window begins that could begin a delimiter; its size if there is none."""
        size = len(window)
        low = max(size - len(self._starts[0]), start)
        tail = window[low:]
        if not _FIRST.search(tail):
            return size
        best = size
        for whole in self._starts:
            at = tail.find(whole[:1])
            while 0 <= at < best - low:
                if whole.startswith(tail[at:]):
                    best = low + at
                    break
                at = tail.find(whole[:1], at + 1)
        return best
