"""Where bytes came from: frames, streams, byte ranges.

A message, a header, an element or an attachment has an :class:`Origin`. It holds ranges, not bytes: its own
bytes → bytes of one direction of a stream (:class:`RangeMap`: chunked coding and gaps make several pieces) →
frames (:class:`FrameMap`). Both maps are compact arrays, since one image can span thousands of frames.

Words: a *stream offset* counts the payload bytes of one direction from its first byte seen (0).
A *frame* is a packet of the capture, numbered from 1 over all files, as Wireshark does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

__all__ = [
    "NO_FRAMES",
    "ByteRange",
    "Endpoint",
    "FrameMap",
    "FrameNumbers",
    "Gap",
    "Origin",
    "RangeMap",
    "StreamRef",
]


FEW = 64
"""Frames of one message up to which they are told by a set; then numpy is faster."""

MANY = 64
"""Frames of one message from which they are held by arrays."""

KEPT = 64 << 10
"""Bytes before the end of a message whose frames the direction's map keeps: retransmissions are compared with them."""


class Endpoint(NamedTuple):
    """Address and port; ``str()`` gives ``192.0.2.1:5357`` or ``[2001:db8::1]:5357``."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class StreamRef:
    """One direction of a conversation.

    Attributes:
        protocol: "tcp" or "udp".
        number: number of the conversation, as Wireshark's ``tcp.stream`` counts (from 0, by first frame).
        source: the sender of this direction.
        destination: the receiver of this direction.
    """

    protocol: str
    number: int
    source: Endpoint
    destination: Endpoint

    def reversed(self) -> StreamRef:
        """The other direction of the same conversation."""
        return StreamRef(self.protocol, self.number, self.destination, self.source)

    def __str__(self) -> str:
        return f"{self.protocol}.stream {self.number} {self.source} → {self.destination}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a direction that the capture does not hold. Nothing is ever filled in for them.

    Attributes:
        offset: stream offset of the first missing byte (in a body or part: offset in that content).
        length: number of missing bytes.
        reason: "lost" (no segment with these bytes), "cut" (segment shortened by the capture length),
            "start" (the direction began before the capture; length 0, since it is unknown), "end".
        before: the frame whose bytes come last before the gap, 0 where there is none.
        after: the frame whose bytes come first after the gap, 0 where there is none.
        released: the frame at which the gap was given up; decoding goes on from there.
    """

    offset: int
    length: int
    reason: str = "lost"
    before: int = 0
    after: int = 0
    released: int = 0

    def to_json(self) -> dict[str, Any]:
        """The gap as plain data."""
        return {
            "offset": self.offset,
            "length": self.length,
            "reason": self.reason,
            "before": self.before,
            "after": self.after,
        }


class ByteRange(NamedTuple):
    """Bytes inside one frame: ``frame`` number, ``start`` offset in the frame (-1: unknown, the datagram was
    reassembled from fragments), ``length``."""

    frame: int
    start: int
    length: int


class FrameNumbers(Sequence[int]):
    """Frame numbers, ascending, without repeats: a tuple that takes a byte or two a number instead of 40.

    An image has a frame for each 1,460 bytes of it, and the numbers are kept as long as the capture is read: as objects
    they would take 270 MB for 10 GB of images. So what is held is how far each is from the one before, which is little.
    """

    __slots__ = ("_first", "_steps")

    def __init__(self, numbers: Iterable[int]) -> None:
        held = numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, np.int64)
        self._first = int(held[0]) if len(held) else 0
        # A third of the time of numpy.diff and its like.
        steps = held.copy()
        steps[1:] -= held[:-1]
        steps[:1] = 0
        most = int(steps.max()) if len(held) else 0
        code = "B" if most < 1 << 8 else "H" if most < 1 << 16 else "I" if most < 1 << 32 else "Q"
        self._steps = array(code, steps.astype(code).tobytes())

    def _whole(self) -> npt.NDArray[np.int64]:
        return np.cumsum(np.frombuffer(self._steps, self._steps.typecode), dtype=np.int64) + self._first

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[int, ...]: ...
    def __getitem__(self, index: int | slice) -> int | tuple[int, ...]:
        if isinstance(index, slice):
            return tuple(self._whole()[index].tolist())
        return int(self._whole()[index])

    def __iter__(self) -> Iterator[int]:
        return iter(self._whole().tolist())

    def __contains__(self, number: object) -> bool:
        return number in self._whole().tolist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrameNumbers):
            return self._first == other._first and self._steps == other._steps
        return isinstance(other, tuple) and len(other) == len(self) and other == tuple(self)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"<{len(self)} frames, {self[0]} to {self[-1]}>" if self._steps else "<no frames>"


def _numbers(columns: Iterable[array[int]]) -> Sequence[int]:
    """The frame numbers in some columns, ascending, without repeats, without 0."""
    parts = list(columns)
    size = sum(map(len, parts))
    if size < FEW and size < MANY:
        found = set().union(*parts)
        found.discard(0)
        return tuple(sorted(found))
    joined = np.concatenate([np.frombuffer(part, np.int64) for part in parts if part])
    if not (joined[1:] > joined[:-1]).all() or not joined[0]:
        # As np.unique, which imports numpy.ma. 0 is no frame.
        joined.sort()
        joined = joined[(joined != 0) & np.concatenate(([True], joined[1:] != joined[:-1]))]
    return tuple(joined.tolist()) if size < MANY else FrameNumbers(joined)


class FrameMap:
    """Stream offsets → frames, for one direction. Entries are in ascending order of stream offset.

    Four parallel columns: ``starts`` (stream offset of the entry's first byte; the entry ends where the next
    begins, the last one at ``end``), ``frames``, ``at`` (offset of that byte in its frame), ``times``
    (nanoseconds since 1970). A gap is an entry with frame 0.
    """

    __slots__ = ("at", "end", "frames", "starts", "times")

    def __init__(self) -> None:
        self.starts = array("q")
        self.frames = array("q")
        self.at = array("q")
        self.times = array("q")
        self.end = 0

    def __len__(self) -> int:
        return len(self.starts)

    def add(self, start: int, length: int, frame: int, at: int, time: int) -> None:
        """Append one entry; ``start`` is not below the present end."""
        self.starts.append(start)
        self.frames.append(frame)
        self.at.append(at)
        self.times.append(time)
        self.end = start + length

    def extend(self, starts: bytes, frames: bytes, at: bytes, times: bytes, end: int) -> None:
        """Append many entries from the buffers of int64 arrays (numpy's ``tobytes()``)."""
        self.starts.frombytes(starts)
        self.frames.frombytes(frames)
        self.at.frombytes(at)
        self.times.frombytes(times)
        self.end = end

    def _span(self, start: int, end: int) -> tuple[int, int]:
        first = max(bisect_right(self.starts, start) - 1, 0)
        last = max(bisect_left(self.starts, end), first + 1) if self.starts else 0
        return first, last

    def cut(self, start: int, end: int) -> FrameMap:
        """A new map of the entries that hold the stream bytes start..end."""
        first, last = self._span(start, end)
        # Without the four empty arrays: a message is cut out for each of the small ones, of which there are many.
        part = FrameMap.__new__(FrameMap)
        part.starts = self.starts[first:last]
        part.frames = self.frames[first:last]
        part.at = self.at[first:last]
        part.times = self.times[first:last]
        part.end = self.starts[last] if last < len(self.starts) else self.end
        return part

    def carrier(self, offset: int) -> tuple[int, int]:
        """Frame and time that carried the byte at a stream offset; (0, 0) where there is no entry."""
        at = bisect_right(self.starts, offset) - 1
        return (self.frames[at], self.times[at]) if at >= 0 else (0, 0)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """What carried the stream bytes start..end: (start, end, frame, time), in stream order."""
        first, last = self._span(start, end)
        for i in range(first, last):
            low = max(self.starts[i], start)
            high = min(self.starts[i + 1] if i + 1 < len(self.starts) else self.end, end)
            yield low, high, self.frames[i], self.times[i]

    def copy_to(self, other: FrameMap, at: int, start: int, end: int) -> None:
        """Append to another map, from its offset ``at`` on, what carried the stream bytes start..end of this one."""
        first, last = self._span(start, end)
        if last <= first:
            return
        shift = at - start
        starts, places = [begin + shift for begin in self.starts[first:last]], self.at[first:last]
        cut = start - self.starts[first]
        if cut > 0:
            starts[0] = at
            places[0] += cut if places[0] >= 0 else 0
        other.starts.extend(starts)
        other.at.extend(places)
        other.frames.extend(self.frames[first:last])
        other.times.extend(self.times[first:last])
        other.end = end + shift

    def cut_off(self, start: int, end: int) -> FrameMap:
        """As :meth:`cut`, where what lies before ``end`` is not asked for again, but for :data:`KEPT` bytes of it.

        The map of a message of 2 GB takes 45 MB: it is handed on, not copied.
        """
        first, last = self._span(start, end)
        if first or last < max(len(self.starts), MANY):
            return self.cut(start, end)
        part = FrameMap.__new__(FrameMap)
        part.starts, part.frames, part.at, part.times, part.end = (
            self.starts,
            self.frames,
            self.at,
            self.times,
            self.end,
        )
        rest = part.cut(max(end - KEPT, start), self.end)
        self.starts, self.frames, self.at, self.times = rest.starts, rest.frames, rest.at, rest.times
        return part

    def drop_before(self, offset: int) -> None:
        """Forget entries that end at or before the stream offset."""
        first = max(bisect_right(self.starts, offset) - 1, 0)
        if first:
            del self.starts[:first]
            del self.frames[:first]
            del self.at[:first]
            del self.times[:first]

    def frames_of(self, start: int, end: int) -> Sequence[int]:
        """The frame numbers, ascending, without repeats, that hold the stream bytes start..end."""
        column = self.column(start, end)
        if len(column) == 1 < MANY:
            # Most small messages.
            return (column[0],) if column[0] else ()
        return _numbers([column])

    def column(self, start: int, end: int) -> array[int]:
        """The part of ``frames`` that holds the stream bytes start..end."""
        first, last = self._span(start, end)
        return self.frames[first:last]

    def ranges_of(self, start: int, end: int) -> list[ByteRange]:
        """The byte ranges inside frames that hold the stream bytes start..end, in stream order."""
        found = []
        first, last = self._span(start, end)
        for i in range(first, last):
            low = max(self.starts[i], start)
            high = min(self.starts[i + 1] if i + 1 < len(self.starts) else self.end, end)
            if high > low and self.frames[i]:
                at = self.at[i]
                found.append(ByteRange(self.frames[i], at + low - self.starts[i] if at >= 0 else -1, high - low))
        return found


NO_FRAMES = FrameMap()
"""Stands where no frames are (any more): never added to."""


_content_start = itemgetter(0)


class RangeMap:
    """Offsets of some content → stream offsets: pieces ``(content start, stream start, length)`` in order."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterable[tuple[int, int, int]] = ()) -> None:
        self.pieces: list[tuple[int, int, int]] = list(pieces)

    def add(self, content: int, stream: int, length: int) -> None:
        """Append a piece, joined to the last one where both run on."""
        if self.pieces:
            c, s, n = self.pieces[-1]
            if c + n == content and s + n == stream:
                self.pieces[-1] = (c, s, n + length)
                return
        self.pieces.append((content, stream, length))

    def locate(self, start: int, end: int) -> list[tuple[int, int]]:
        """The stream ranges (start, end) that hold the content bytes start..end."""
        return [(s + low - c, s + high - c) for c, s, low, high in self._overlaps(start, end)]

    def _overlaps(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Of each piece that holds some of start..end: where it begins (content, stream), and what part it holds."""
        # Looked up, not searched: a body may have come in 100,000 chunks, and every element of it asks.
        pieces = self.pieces
        for at in range(max(bisect_right(pieces, start, key=_content_start) - 1, 0), len(pieces)):
            c, s, n = pieces[at]
            if c >= end:
                return
            low, high = max(c, start), min(c + n, end)
            if high > low:
                yield c, s, low, high


@dataclass(slots=True)
class Origin:
    """Where some bytes came from.

    Attributes:
        stream: the direction that carried them.
        ranges: their offsets → stream offsets.
        frames: stream offsets → frames.
        size: number of bytes this origin speaks of.
        exact: False where the bytes were decoded (gzip) so that only the whole has a place.
    """

    stream: StreamRef
    ranges: RangeMap
    frames: FrameMap
    size: int
    exact: bool = True

    def frame_numbers(self, start: int = 0, end: int | None = None) -> Sequence[int]:
        """Frames, ascending, that hold the bytes start..end (default: all)."""
        places = self._located(start, end)
        if len(places) == 1:
            return self.frames.frames_of(*places[0])
        return _numbers(self.frames.column(low, high) for low, high in places)

    def byte_ranges(self, start: int = 0, end: int | None = None) -> list[ByteRange]:
        """Byte ranges inside frames that hold the bytes start..end (default: all)."""
        found: list[ByteRange] = []
        for low, high in self._located(start, end):
            found.extend(self.frames.ranges_of(low, high))
        return found

    def stream_ranges(self, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
        """Ranges of stream offsets that hold the bytes start..end (default: all)."""
        return self._located(start, end)

    def _located(self, start: int, end: int | None) -> list[tuple[int, int]]:
        if not self.exact:
            start, end = 0, None
        if end is None:
            return [(s, s + n) for _, s, n in self.ranges.pieces] if start == 0 else self.ranges.locate(start, 1 << 62)
        return self.ranges.locate(start, end)

    def part(self, start: int, end: int) -> Origin:
        """The origin of the bytes start..end of this one."""
        if not self.exact:
            return Origin(self.stream, self.ranges, self.frames, end - start, exact=False)
        overlaps = self.ranges._overlaps(start, end)
        pieces = [(low - start, s + low - c, high - low) for c, s, low, high in overlaps]
        return Origin(self.stream, RangeMap(pieces), self.frames, end - start)

    @staticmethod
    def whole(stream: StreamRef, start: int, end: int, frames: FrameMap) -> Origin:
        """The origin of a plain run of stream bytes start..end."""
        return Origin(stream, RangeMap([(0, start, end - start)]), frames, end - start)
