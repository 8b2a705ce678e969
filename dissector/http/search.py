"""Looking for the next message where the place in the protocol is not known; what was skipped until then.

Behind a gap, damage, or bytes that begin no message, every byte may be the first of a start line. A tail of a few times
:data:`TAIL` bytes is held, so that one is found however the bytes were cut into runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from dissector.base.findings import Finding, Rule, rule
from dissector.http.start import RESYNC_LINE, RESYNC_TAIL, find_start

__all__ = ["JOINED", "NO_START_LINE", "SKIPPED", "Search", "Skipped"]

TAIL = RESYNC_LINE + RESYNC_TAIL
"""Bytes that are held: the longest request line that is looked for, and what may be incomplete."""

SKIPPED = rule("http.skipped", "note", "behind a gap")
JOINED = rule("http.joined", "note", "the capture begins inside a message")
NO_START_LINE = rule("http.no-start-line", "warn", "a message has to begin there", "RFC 9112 2.1")


class Search:
    """One search.

    Args:
        region: stream offset from which on start lines are looked for.
        why: what it means that there was none, None where nothing more is to be said of it.
        held: bytes from there on that came already, in which no start line ends.

    Attributes:
        region, why: as given.
        at: stream offset of the first byte that is held; once a start line is found, of its first byte.
        found: a start line was found.
        back: the bytes of it that earlier calls took.
    """

    __slots__ = ("_buffer", "at", "back", "found", "region", "why")

    def __init__(self, region: int, why: Rule | None, held: bytes = b"") -> None:
        self.region = region
        self.why = why
        self.at = region
        self.found = False
        self.back = b""
        self._buffer = bytearray(held)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._buffer)

    @property
    def passed(self) -> int:
        """Bytes that were looked at, without success."""
        return self.at + len(self._buffer) - self.region

    def feed(self, data: bytes | memoryview, base: int, pos: int, size: int, *, requests: bool, responses: bool) -> int:
        """Look through ``data[pos:size]`` until a start line is found; gives where it stopped.

        Args:
            data, base, pos, size: ``base + pos`` is the stream offset of the first byte.
            requests, responses: which start lines to look for.
        """
        buffer = self._buffer
        before = len(buffer)
        window: bytes | bytearray | memoryview = data[pos:size]
        if before and size - pos > TAIL:
            window = bytes(buffer) + bytes(window)
        elif before:
            buffer += window
            window = buffer
        line_start = self.at == self.region
        found = find_start(window, before - RESYNC_TAIL, line_start=line_start, requests=requests, responses=responses)
        if found >= 0:
            self.found = True
            self.at = self.at + found if before else base + pos + found
            self.back = bytes(window[found:before])
            return pos + max(found - before, 0)
        if window is not buffer:
            self._buffer = bytearray(window[-TAIL:])
            self.at = base + size - len(self._buffer)
        elif len(buffer) > 4 * TAIL:
            # Cut now and then only, so that single bytes do not move the tail each time.
            drop = len(buffer) - TAIL
            del buffer[:drop]
            self.at += drop
        return size


class Skipped:
    """Bytes that were skipped, until they are told with the next message, or with the connection."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: dict[str, tuple[Rule, int, Sequence[int], int]] = {}

    def add(self, why: Rule, offset: int, frames: Sequence[int], count: int) -> None:
        """So many bytes from a stream offset on; ``frames`` are those of the first."""
        _, first, numbers, total = self._items.get(why.id, (why, offset, frames, 0))
        self._items[why.id] = (why, first, numbers, total + count)

    def findings(self) -> list[Finding]:
        """One for each reason."""
        return [
            why(f"{count} bytes are no start line and were skipped: {why.summary}", frames=frames, offset=offset)
            for why, offset, frames, count in self._items.values()
        ]
