"""One direction of a TCP connection: segments in, contiguous bytes and gaps out.

No clock, no sockets, no HTTP. Rules:

- the first copy of a byte wins; a later copy that differs is a finding (RFC 9293 3.10.7.4 lets a receiver choose);
- nothing is filled in: bytes that the capture does not hold become a :class:`Gap`, and decoding goes on behind it;
- when a gap is given up depends on frames alone, never on how the capture is cut into blocks: when the peer
  acknowledged the missing bytes and then either ``Limits.gap_wait_segments`` further segments of the connection or
  :data:`GAP_WAIT` went by, when more than ``Limits.out_of_order`` bytes wait behind it, or when the direction ends.

Sequence numbers are unwrapped to 64 bits on arrival, so wrap-around is no case anywhere else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import NO_FRAMES, FrameMap, Gap
from dissector.transport.model import NOBODY, Run, StreamConsumer, StreamEnd

__all__ = ["Direction"]

WRAP = 1 << 32
HALF = 1 << 31
AHEAD = 1 << 30
"""A segment this far ahead belongs to no window that TCP allows (RFC 7323 2.3): it is not held."""
TAIL = 16 << 10
"""Delivered bytes kept to compare retransmissions with."""
JOINED = 1024
"""What is kept in smaller pieces is joined, so that there are few pieces."""
GAP_WAIT = 10_000_000
"""Nanoseconds of capture time after the acknowledgement of missing bytes in which they may still turn up: a capture
that swaps packets (several receive queues) does so within microseconds."""
PIECES = 1 << 16
"""Pieces held behind a gap."""
TRIM = 512
"""Frame map entries above which the consumed ones are dropped."""
PIECE = 400
"""Bytes that a held segment costs besides its data."""
COPY = 150
"""And one that is kept to compare with."""
ENTRY = 32
"""Bytes of an entry of a frame map."""
LATE = 64
"""Gaps remembered to tell late segments from retransmissions."""

DIFFERS = rule(
    "tcp.differing-copy", "warn", "a retransmitted segment carries other bytes than the first copy", "RFC 9293 3.8.1"
)
LATE_SEGMENT = rule(
    "tcp.late-segment", "note", "a segment came after its place had been given up as lost; it is not used"
)
FAR_AHEAD = rule("tcp.far-ahead", "warn", "a segment lies more than 1 GiB ahead of the expected one; it is not used")
AFTER_END = rule("tcp.after-end", "note", "data after the end of the stream is not used", "RFC 9293 3.10.7.4")
LOST = rule("tcp.gap", "warn", "bytes of the stream are not in the capture")
CUT = rule("tcp.cut", "warn", "a segment was shortened by the capture length")


class Piece(NamedTuple):
    """A segment, or what is left of it, that waits behind a gap. ``end`` is where it ended on the wire."""

    start: int
    end: int
    data: bytes | memoryview
    frame: int
    at: int
    time: int


class Direction:
    """Reassembles one direction.

    Args:
        consumer: takes the bytes.
        report: takes findings.
        limits: bounds.

    Attributes:
        frames: map of stream offsets to frames, shared with the consumer.
        next: unwrapped sequence number expected next; offset 0 is ``base``.
        held: pieces behind a gap, ascending, without overlaps.
        ended: how the direction ended, None while open.
        fin_at: unwrapped sequence number of the end that a FIN told, None while none did.
        waits: what was delivered is handed over when the missing bytes of the other direction are there or given up,
            too (see :meth:`Pair.segment`).
    """

    __slots__ = (
        "_acked_frames", "_acked_time", "_cut_reported", "_given_up", "_held_bytes", "_last_time", "_limits",
        "_pending", "_pending_bytes", "_pending_start", "_report", "_tail", "_tail_bytes", "_trim_at", "acked",
        "base", "consumer", "ended", "fin_at", "frames", "held", "last_frame", "next", "started", "syn_seen",
        "waits",
    )  # fmt: skip

    def __init__(
        self, consumer: StreamConsumer, report: Callable[[Finding], None], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.consumer = consumer
        # Made with the first bytes: the other direction of a connection may never say any.
        self.frames = NO_FRAMES
        self.base = 0
        self.next = 0
        self.started = False
        self.syn_seen = False
        self.held: list[Piece] = []
        self.ended: StreamEnd | None = None
        self.acked = 0
        self.waits = False
        self.last_frame = 0
        self._limits = limits
        self._report = report
        self._held_bytes = 0
        self._acked_frames = 0
        self._acked_time = 0
        self.fin_at: int | None = None
        self._tail: list[tuple[int, bytes]] | None = None
        self._tail_bytes = 0
        self._trim_at = TRIM
        self._given_up: list[tuple[int, int]] = []
        self._pending: list[bytes | memoryview] = []
        self._pending_start = 0
        self._pending_bytes = 0
        self._cut_reported = False
        self._last_time = 0

    # -- segments ----------------------------------------------------------------------------------------------

    def unwrap(self, seq: int) -> int:
        """The 64-bit sequence number next to the expected one."""
        return self.next + ((seq - self.next + HALF) % WRAP) - HALF

    def open(self, seq: int) -> None:
        """A SYN with this sequence number was seen (or is known of)."""
        if not self.started:
            self.started = self.syn_seen = True
            self.base = self.next = self.acked = seq + 1 + WRAP

    def begin(self, seq: int, frame: int) -> None:
        """The first segment seen has this number: what came before is not in the capture."""
        self.started = True
        self.base = self.next = self.acked = seq + WRAP
        self.consumer.gap(Gap(0, 0, "start", 0, frame, frame))

    def segment(self, seq: int, data: bytes | memoryview, wire: int, frame: int, at: int, time: int) -> None:
        """A segment with payload. ``wire`` is the payload's length on the wire, ``at`` its place in the frame."""
        self._last_time = time
        if not self.started:
            self.begin(seq, frame)
        if self.ended is not None:
            if self.unwrap(seq) + wire > self.next:
                self._report(AFTER_END(frames=(frame,), offset=self.next - self.base))
            return
        start = self.unwrap(seq)
        end = start + wire
        if start > self.next + AHEAD:
            self._report(FAR_AHEAD(frames=(frame,), offset=start - self.base))
            return
        if len(data) < wire and not self._cut_reported:
            self._cut_reported = True
            self._report(
                CUT(
                    f"the capture length cut the packets: of {wire} bytes of this segment {len(data)} are there",
                    frames=(frame,),
                    offset=max(start - self.base, 0),
                )
            )
        if start < self.next:
            # A keep-alive repeats the last byte, or sends none; it tells nothing.
            self._compare(start, data, frame)
            if end <= self.next:
                return
            data = data[self.next - start :]
            at = at + self.next - start if at >= 0 else -1
            start = self.next
        if start == self.next and not self.held:
            self._deliver(Piece(start, end, data, frame, at, time))
            self._finish_if_due(frame, time)
            return
        if not self.held and not self.waits:
            # What is behind the gap is known later than what is before it.
            self.flush()
        self._hold(Piece(start, end, data, frame, at, time))
        self._drain(frame, time)
        if self._held_bytes > self._limits.out_of_order or len(self.held) > PIECES:
            self._give_up(frame)
            self._finish_if_due(frame, time)

    def fin(self, seq_end: int, frame: int, time: int) -> None:
        """The sender is done; its last byte is before ``seq_end`` (32-bit)."""
        if not self.started:
            self.begin(seq_end % WRAP, frame)
        last = self.unwrap(seq_end)
        if self.fin_at is None and self.next <= last <= self.next + AHEAD:
            # One that lies elsewhere contradicts the bytes that were seen: it is out of the window (RFC 9293 3.10.7.4).
            self.fin_at = last
        self._finish_if_due(frame, time)

    def acknowledge(self, ack: int) -> None:
        """The peer acknowledged up to ``ack`` (32-bit)."""
        if self.started or self.acked:
            value = self.acked + ((ack - self.acked + HALF) % WRAP) - HALF
            if value > self.acked:
                self.acked = value
        else:
            # Nothing of this direction was seen yet. What is acknowledged from here on tells how much there was.
            self.base = self.acked = ack + WRAP

    def passed(self, frame: int, time: int) -> None:
        """Any segment of the connection went by: give a gap up that has been acknowledged for long enough."""
        if self.ended is not None or (not self.held and self.fin_at is None):
            return
        if self.acked > self.next:
            if not self._acked_frames:
                self._acked_time = time
            self._acked_frames += 1
            if self._acked_frames > self._limits.gap_wait_segments or time > self._acked_time + GAP_WAIT:
                self._give_up(frame)
                self._finish_if_due(frame, time)

    def release(self, frame: int, time: int) -> None:
        """The peer closed its side: what it acknowledged and is missing will not come any more."""
        while self.held and self.held[0].start <= self.acked:
            self._give_up(frame)
        self._finish_if_due(frame, time)

    def stop(self, how: StreamEnd, frame: int, time: int, known: int = 0) -> None:
        """No more segments: release what is held, with gaps, and end.

        Args:
            how: it ends.
            frame: that ends it, 0 where none does.
            time: of that frame.
            known: the frame from which on what is held counts as known; 0: that frame.
        """
        if self.ended is not None:
            return
        known = known or frame
        while self.held:
            self._give_up(known or self.held[-1].frame)
        if self.fin_at is not None and self.next < self.fin_at <= self.next + AHEAD:
            self._gap(self.fin_at, 0, known)
        self.flush(known)
        self._end(StreamEnd.FIN if self.fin_at is not None and how is not StreamEnd.REUSED else how, frame, time)

    def over(self, started: bool, base: int, following: int) -> None:
        """It has ended before: only what tells data behind the end is known of it."""
        self.started, self.base, self.next = started, base, following
        self.ended = StreamEnd.FIN

    # -- bulk ----------------------------------------------------------------------------------------------------

    def bulk(self, data: bytes, starts: bytes, frames: bytes, at: bytes, times: bytes, last: tuple[int, int]) -> None:
        """Many segments that run on from the expected one, joined. The columns are int64 buffers, ``starts`` holds
        stream offsets; ``last`` is the frame and time of the last segment."""
        self.flush()
        offset = self.next - self.base
        self._map().extend(starts, frames, at, times, offset + len(data))
        self.next += len(data)
        self.last_frame, self._last_time = last
        self._remember(self.next, data)
        self.consumer.data(Run(offset, data, self.frames))
        self._trim()

    def flush(self, frame: int = 0) -> None:
        """Hand over what was delivered since the last call, as one run.

        Args:
            frame: at which, where that ends a wait for the other direction.
        """
        released, self.waits = frame if self.waits else 0, False
        if not self._pending:
            return
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        self.consumer.data(Run(self._pending_start, data, self.frames, released))
        self._trim()

    def unpin(self) -> None:
        """Copy what waits to be handed over: views would keep whole blocks of the capture in memory."""
        if self._pending:
            self._pending = [b"".join(self._pending)]

    @property
    def burden(self) -> int:
        """Bytes that it holds, roughly, but for the tail and the frame map."""
        return self._held_bytes + PIECE * len(self.held) + self._pending_bytes

    @property
    def mapped(self) -> int:
        """Bytes of its frame map: of the messages that are not whole yet."""
        return ENTRY * len(self.frames)

    @property
    def tail(self) -> int:
        """Bytes that it keeps only to compare copies with."""
        return self._tail_bytes + COPY * len(self._tail) if self._tail is not None else 0

    def forget(self) -> None:
        """Keep no tail: copies of what was delivered so far are not compared any more."""
        self._tail, self._tail_bytes = None, 0

    @property
    def unseen(self) -> int:
        """Of a direction of which nothing was seen: its bytes that the peer acknowledged (and its FIN, as one byte)."""
        return 0 if self.started else self.acked - self.base

    @property
    def settled(self) -> bool:
        """Nothing waits for missing bytes: neither held pieces nor the end of the stream."""
        return not self.held and (self.fin_at is None or self.ended is not None)

    @property
    def waiting(self) -> int:
        """Bytes delivered that were not handed over yet."""
        return self._pending_bytes

    @property
    def waiting_since(self) -> int:
        """Frame of the first of these, 0 where there are none."""
        first = self._pending_start
        return min(self.frames.frames_of(first, first + 1), default=0) if self._pending else 0

    # -- inside ----------------------------------------------------------------------------------------------------

    def _deliver(self, piece: Piece) -> None:
        offset = piece.start - self.base
        if len(piece.data):
            if not self._pending:
                self._pending_start = offset
            self._pending.append(piece.data)
            self._pending_bytes += len(piece.data)
            self._map().add(offset, len(piece.data), piece.frame, piece.at, piece.time)
            self._remember(piece.start + len(piece.data), piece.data)
        self.last_frame = piece.frame
        self.next = piece.start + len(piece.data)
        if piece.end > self.next:
            self._gap(piece.end, piece.frame, piece.frame, "cut")

    def _map(self) -> FrameMap:
        if self.frames is NO_FRAMES:
            self.frames = FrameMap()
        return self.frames

    def _remember(self, end: int, data: memoryview | bytes) -> None:
        """Keep what was delivered up to ``end``: at least the last :data:`TAIL` bytes, so that what a copy is compared
        with depends neither on the size of the segments nor on the path they took."""
        kept = bytes(data[-TAIL:])
        start = end - len(kept)
        self._tail_bytes += len(kept)
        tail = self._tail
        if tail is None:
            tail = self._tail = [(start, kept)]
        elif len(tail[-1][1]) < JOINED and tail[-1][0] + len(tail[-1][1]) == start:
            tail[-1] = (tail[-1][0], tail[-1][1] + kept)
        else:
            tail.append((start, kept))
        while self._tail_bytes - len(tail[0][1]) >= TAIL:
            self._tail_bytes -= len(tail.pop(0)[1])

    def _hold(self, new: Piece) -> None:
        """Put a piece among the held ones; where they overlap, what is there already wins."""
        held = self.held
        at = bisect_right(held, new.start, key=lambda piece: piece.start)
        start = new.start
        if at and held[at - 1].end > start:
            self._compare_held(held[at - 1], new)
            start = held[at - 1].end
        while start < new.end:
            stop = min(held[at].start, new.end) if at < len(held) else new.end
            if stop > start:
                skip = start - new.start
                # A copy: a view of one byte would keep the whole block of the capture in memory.
                part = bytes(new.data[skip : stop - new.start])
                held.insert(at, Piece(start, stop, part, new.frame, new.at + skip if new.at >= 0 else -1, new.time))
                self._held_bytes += stop - start
                at += 1
            if at >= len(held) or held[at].start >= new.end:
                break
            self._compare_held(held[at], new)
            start = held[at].end
            at += 1

    def _drain(self, frame: int, time: int) -> None:
        count = 0
        for piece in self.held:
            if piece.start != self.next:
                break
            self._held_bytes -= piece.end - piece.start
            self._deliver(piece)
            count += 1
        if count:
            del self.held[:count]
            self._acked_frames = 0
            self.waits = True
            self._finish_if_due(frame, time)

    def _give_up(self, frame: int) -> None:
        if self.held:
            self._gap(self.held[0].start, self.held[0].frame, frame)
            self._drain(frame, self._last_time)
        elif self.fin_at is not None and self.next < self.fin_at <= self.next + AHEAD:
            self._gap(self.fin_at, 0, frame)
        self._acked_frames = 0

    def _gap(self, end: int, after: int, released: int, reason: str = "lost") -> None:
        self.flush(released)
        offset, length = self.next - self.base, end - self.next
        gap = Gap(offset, length, reason, self.last_frame, after, released)
        self._given_up.append((self.next, end))
        del self._given_up[:-LATE]
        self._map().add(offset, length, 0, -1, self._last_time)
        self.next = end
        if reason == "lost":
            lost = "1 byte of the stream is" if length == 1 else f"{length} bytes of the stream are"
            self._report(
                LOST(
                    f"{lost} not in the capture, after frame {gap.before or '?'}"
                    f"{f' and before frame {after}' if after else ''}",
                    frames=tuple(f for f in (gap.before, after) if f),
                    offset=offset,
                )
            )
        self.consumer.gap(gap)

    def _finish_if_due(self, frame: int, time: int) -> None:
        if self.fin_at is not None and self.next >= self.fin_at and self.ended is None:
            self._end(StreamEnd.FIN, frame, time)

    def _end(self, how: StreamEnd, frame: int, time: int) -> None:
        self.flush(frame)
        self.ended = how
        self.consumer.end(how, frame, time or self._last_time)
        # A capture can hold a million ended connections: keep no more of them than tells late segments.
        self.consumer = NOBODY
        self.frames = NO_FRAMES
        self.forget()
        self.held.clear()

    def _trim(self) -> None:
        if len(self.frames) > self._trim_at:
            end = self.frames.end
            # The frames of the tail stay: a differing copy names the first one.
            self.frames.drop_before(min(getattr(self.consumer, "consumed", end), end - TAIL))
            # Amortised: what could not be dropped now is not looked at again after every run.
            self._trim_at = max(TRIM, 2 * len(self.frames))

    def _compare(self, start: int, data: bytes | memoryview, frame: int) -> None:
        """Compare a copy with what was delivered, as far as that is still there."""
        for low, high in self._given_up:
            if start < high and start + len(data) > low:
                self._report(LATE_SEGMENT(frames=(frame,), offset=max(start, low) - self.base))
                return
        end = start + len(data)
        for first, kept in self._tail or ():
            low, high = max(start, first, self.next - TAIL), min(end, first + len(kept))
            if high > low and data[low - start : high - start] != kept[low - first : high - first]:
                self._differs(low, frame)
                return

    def _compare_held(self, old: Piece, new: Piece) -> None:
        low = max(old.start, new.start)
        high = min(old.start + len(old.data), new.start + len(new.data))
        if high > low and old.data[low - old.start : high - old.start] != new.data[low - new.start : high - new.start]:
            self._differs(low, new.frame, old.frame)

    def _differs(self, where: int, frame: int, first: int | None = None) -> None:
        offset = where - self.base
        if first is None:
            known = self.frames.frames_of(offset, offset + 1)
            first = known[0] if known else None
        self._report(
            DIFFERS(
                f"a retransmitted segment carries other bytes than the first copy"
                f"{f' in frame {first}' if first else ''}; the first copy is used",
                frames=tuple(f for f in (first, frame) if f),
                offset=offset,
            )
        )
