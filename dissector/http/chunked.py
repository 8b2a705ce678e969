"""Chunked transfer coding (RFC 9112 7.1), undone while it streams by.

Chunks of real devices are often small (4 KiB), so the usual framing is one regular expression, and the data of many
chunks is joined before it is handed on (one join of 256 KiB costs 20 µs, 64 calls down to the digest cost five times
that).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from dissector.base.findings import rule
from dissector.base.limits import Limits
from dissector.http.head import BARE_LF
from dissector.http.report import Report
from dissector.http.start import parse_start_line

__all__ = ["ChunkedReader", "State"]

MAX_CHUNK = 1 << 40
"""A chunk said to be larger (one tebibyte) is taken for damage."""

JOIN = 256 << 10
"""Bytes of chunks that are joined."""

JOIN_COUNT = 4096
"""Chunks that are joined."""

MAX_RUNS = 10_000
"""Runs of equal chunk sizes that are kept of one body."""

CHUNK_LINE = rule("http.chunk-line", "error", "the chunk size line cannot be read", "RFC 9112 7.1")
CHUNK_LIMIT = rule("http.chunk-limit", "error", "the chunk size line is longer than is read")
CHUNK_END = rule("http.chunk-end", "warn", "the line end behind a chunk is missing", "RFC 9112 7.1")
TRAILER_LIMIT = rule("http.trailer-limit", "error", "the trailer section is longer than is read")
TRAILER_END = rule("http.trailer-end", "warn", "no empty line ends the chunked body", "RFC 9112 7.1")

_NEXT = re.compile(rb"\r\n([0-9A-Fa-f]{1,10})\r\n")
_FIRST = re.compile(rb"([0-9A-Fa-f]{1,10})\r\n")
_SIZE = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\Z", re.DOTALL)
_FEED = re.compile(rb"\n")


class State:
    """What the reader expects next."""

    SIZE = 0
    DATA = 1
    AFTER_DATA = 2
    TRAILERS = 3
    DONE = 4
    BROKEN = 5
    """The framing is lost."""


class ChunkedReader:
    """Takes one chunked body.

    Args:
        write: takes the data of chunks, and the stream ranges (start, length) it came from.
        limits: ``chunk_line`` and ``head`` (of the trailers).
        report: takes the deviations.
        record: keep the size lines, for who wants to send the body again as it was sent.

    Attributes:
        state: one of :class:`State`.
        left: bytes left of the present chunk.
        trailers: the raw trailer lines with the empty line, once done.
        trailer_start: stream offset of them.
        back: bytes of earlier calls that the reader took and that belong to what follows the body.
        told: stream offset of the end of the line behind the body that tells that it is over, 0 where none does.
        runs: size lines as sent, without CRLF, and how many equal ones stood in a row; the last chunk's included. Empty
            where they are not recorded, or were too many.
    """

    __slots__ = (
        "_limits", "_line", "_record", "_report", "_write", "back", "left", "runs", "state", "told", "trailer_start",
        "trailers",
    )  # fmt: skip

    def __init__(
        self,
        write: Callable[[bytes | memoryview, list[tuple[int, int]]], None],
        limits: Limits,
        report: Report,
        *,
        record: bool = False,
    ) -> None:
        self._write = write
        self._limits = limits
        self._report = report
        self._line = bytearray()
        self.state = State.SIZE
        self.left = 0
        self.trailers = bytearray()
        self.trailer_start = 0
        self.back = b""
        self.told = 0
        self.runs: list[tuple[bytes, int]] = []
        self._record = record

    def feed(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        """Take bytes from ``data[pos:size]`` until the body is done or broken; gives where it stopped.

        ``base + pos`` is the stream offset of the first byte.
        """
        view = memoryview(data)
        slices: list[memoryview] = []
        ranges: list[tuple[int, int]] = []
        joined = 0
        while pos < size:
            state = self.state
            if state == State.DATA:
                take = self.left
                if take > size - pos:
                    take = size - pos
                slices.append(view[pos : pos + take])
                ranges.append((base + pos, take))
                joined += take
                pos += take
                self.left -= take
                if self.left:
                    break
                state = self.state = State.AFTER_DATA
                if joined >= JOIN or len(slices) >= JOIN_COUNT:
                    self._flush(slices, ranges)
                    slices, ranges, joined = [], [], 0
            elif state >= State.DONE:
                break
            if not self._line and state != State.TRAILERS:
                found = (_NEXT if state == State.AFTER_DATA else _FIRST).match(data, pos, size)
                if found:
                    pos = found.end()
                    self._begin(int(found[1], 16), base + pos, found[1])
                    continue
            if pos < size:
                pos = self._framing(data, base, pos, size)
        if slices:
            self._flush(slices, ranges)
        return pos

    def hole(self, length: int) -> None:
        """So many bytes of the present chunk are missing; at most ``left``."""
        self.left -= length
        if not self.left:
            self.state = State.AFTER_DATA

    def _flush(self, slices: list[memoryview], ranges: list[tuple[int, int]]) -> None:
        self._write(slices[0] if len(slices) == 1 else b"".join(slices), ranges)

    def _begin(self, length: int, offset: int, line: bytes) -> None:
        if self._record:
            runs = self.runs
            if runs and runs[-1][0] == line:
                runs[-1] = (line, runs[-1][1] + 1)
            elif len(runs) < MAX_RUNS:
                runs.append((line, 1))
            else:
                self._record = False
                runs.clear()
        if length:
            self.left = length
            self.state = State.DATA
        else:
            self.state = State.TRAILERS
            self.trailer_start = offset

    # -- the slow way, line by line ----------------------------------------------------------------------------------

    def _framing(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        line = self._line
        before = len(line)
        trailers = self.state == State.TRAILERS
        limit = self._limits.head - len(self.trailers) if trailers else self._limits.chunk_line
        feed = _FEED.search(data, pos, min(size, pos + max(limit - before, 0)))
        end = feed.end() if feed else min(size, pos + max(limit - before, 0))
        line += data[pos:end]
        if not feed:
            if len(line) >= limit:
                self._too_long(trailers, base + pos - before)
            return end
        whole = bytes(line)
        line.clear()
        if not whole.endswith(b"\r\n"):
            self._report(BARE_LF, offset=base + end - 1)
        if trailers:
            return self._trailer(whole, before, pos, end, base)
        bare = whole.rstrip(b"\r\n")
        if self.state == State.AFTER_DATA:
            if not bare:
                self.state = State.SIZE
                return end
            self._report(CHUNK_END, offset=base + pos - before)
        found = _SIZE.match(bare)
        length = int(found[1], 16) if found else -1
        if not 0 <= length <= MAX_CHUNK:
            shown = bare[:40].decode("latin-1")
            self._report(CHUNK_LINE, f"the chunk size line {shown!r} cannot be read", offset=base + pos - before)
            self.state = State.BROKEN
            self.back, self.told = whole[:before], base + end
            return pos
        self._begin(length, base + end, whole.removesuffix(b"\r\n"))
        return end

    def _trailer(self, whole: bytes, before: int, pos: int, end: int, base: int) -> int:
        if not self.trailers and parse_start_line(whole) is not None:
            # The body ends without the empty line, and the next message begins.
            self._report(TRAILER_END, offset=base + pos - before)
            self.state = State.DONE
            self.back, self.told = whole[:before], base + end
            return pos
        if whole.rstrip(b"\r\n"):
            self.trailers += whole
        else:
            self.state = State.DONE
        return end

    def _too_long(self, trailers: bool, offset: int) -> None:
        if trailers:
            self._report(TRAILER_LIMIT, f"the trailer section is longer than {self._limits.head} bytes", offset=offset)
        else:
            self._report(CHUNK_LIMIT, f"a chunk size line is longer than {self._limits.chunk_line}", offset=offset)
        self.state = State.BROKEN
        self._line.clear()
