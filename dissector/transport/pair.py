"""Both directions of a conversation that is taken: its segments, row by row or in stretches.

What runs on from the expected byte is handed over in one step (joined); everything else goes segment by segment in
frame order. Both ways give the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding, Severity
from dissector.base.limits import Limits
from dissector.base.origin import Endpoint
from dissector.transport.model import ACK, FIN, NOBODY, RST, SYN, Conversation, PacketColumns, StreamEnd
from dissector.transport.segment import Segment, segments
from dissector.transport.tcp import Direction

__all__ = ["Pair"]

Rows = npt.NDArray[np.int64]

BULK = 12
"""Rows from which a stretch is worth the numpy calls: below it, row by row is faster (about 20 µs a stretch against
3 µs a row)."""

IN_ORDER = 32
"""Most rows handed over in one go to consumers that need the order of the frames."""

BEHIND = 1 << 20
"""Bytes of one side that may wait for a gap of the other to be settled."""


NOWHERE = Endpoint("", 0)
SAID = Finding("tcp.said", Severity.CHAT, "was told before")
"""Stands for a finding of a conversation that has ended: only their number counts."""

_REMAINS = Struct("<?I?qq?qq")


class Pair:
    """Both directions of a taken conversation. ``sides[False]`` sends rows whose ``side`` is False; which endpoint
    that is changes from run to run with the salt of the hash, so nothing is ordered by it: ``ordered`` has the
    direction of the first packet first."""

    __slots__ = ("_first", "conversation", "ordered", "sides")

    def __init__(self, conversation: Conversation, sides: tuple[Direction, Direction], first: bool) -> None:
        self.conversation = conversation
        self.sides = sides
        self.ordered = (sides[first], sides[not first])
        self._first = first

    @property
    def ended(self) -> bool:
        """Both directions are over."""
        return self.sides[0].ended is not None and self.sides[1].ended is not None

    @property
    def one_way(self) -> int | None:
        """Where the capture lacks all that the second endpoint sent: how many bytes of it the first one acknowledged.
        None where packets of both are there, or where nothing proves that there were any."""
        seen, unseen = self.ordered
        if self.conversation.both or unseen.started:
            return None
        if unseen.unseen > 1:
            return unseen.unseen
        # One byte is the FIN. Who saw the handshake through was answered by a packet that is not here (but packets that
        # a program made up may acknowledge 0).
        return 0 if seen.syn_seen and unseen.acked & 0xFFFFFFFF else None

    def remains(self) -> bytes:
        """What has to be remembered of a conversation that has ended, for segments that still come: 1.8 kB less than
        the whole, and a capture can hold a million."""
        one, two = self.sides
        return _REMAINS.pack(
            self.ordered[0] is two, len(self.conversation.findings),
            one.started, one.base, one.next, two.started, two.base, two.next,
        )  # fmt: skip

    @classmethod
    def of_remains(
        cls, remains: bytes, number: int, report: Callable[[Conversation], Callable[[Finding], None]], limits: Limits
    ) -> Pair:
        """The conversation again, as far as further segments need it.

        Args:
            remains: of it.
            number: of the conversation.
            report: makes what takes its findings.
            limits: bounds.
        """
        first, said, *ends = _REMAINS.unpack(remains)
        conversation = Conversation(number, NOWHERE, NOWHERE)
        take = report(conversation)
        conversation.findings.extend([SAID] * said)
        sides = (Direction(NOBODY, take, limits), Direction(NOBODY, take, limits))
        for side, (started, base, following) in zip(sides, (ends[:3], ends[3:]), strict=True):
            side.over(started, base, following)
        return cls(conversation, sides, first)

    def segment(self, s: Segment) -> None:
        """Any segment, in frame order."""
        own, other = self.sides[s.side], self.sides[not s.side]
        if s.side != self._first:
            self.conversation.both = True
        if s.flags & SYN:
            own.open(s.seq)
        if s.flags & ACK:
            other.acknowledge(s.ack)
        # The payload of an RST says why, and is no part of the stream (RFC 9293 3.5.2).
        if s.wire and not s.flags & RST:
            if not own.held:
                other.flush(s.frame)
            seq = s.seq + 1 if s.flags & SYN else s.seq
            # A keep-alive has one byte of junk just before the expected one (RFC 9293 3.8.4).
            if not (s.wire == 1 and own.started and own.unwrap(seq) == own.next - 1 and not s.flags & (FIN | SYN)):
                own.segment(seq, s.data, s.wire, s.frame, s.at, s.time)
            # What one side says while the other's bytes wait behind a gap is most likely the answer to them: it is
            # handed over after them, and is known from that frame on.
            if other.held and own.waiting:
                own.waits = True
        if s.flags & FIN:
            other.release(s.frame, s.time)
            own.fin((s.seq + s.wire + (1 if s.flags & SYN else 0)) & 0xFFFFFFFF, s.frame, s.time)
        if s.flags & RST:
            conversation = self.conversation
            if conversation.reset_by is None:
                conversation.reset_by = conversation.first if own is self.ordered[0] else conversation.second
            self.stop(StreamEnd.RESET, s.frame, s.time)
            return
        # Asked here too, where the answer is nearly always no: the calls cost a tenth of a small connection.
        if own.held or own.fin_at is not None:
            own.passed(s.frame, s.time)
        if other.held or other.fin_at is not None:
            other.passed(s.frame, s.time)
        if own.waits or other.waits:
            self._hand_over(s.frame)

    def _hand_over(self, frame: int) -> None:
        """What waited for missing bytes of the other side, or was held behind missing ones of its own: what was sent
        first comes first."""
        one, two = self.ordered
        if one.waits and two.waits and two.waiting_since < one.waiting_since:
            one, two = two, one
        for own, other in ((one, two), (two, one)):
            if own.waits and (not other.held or own.waiting > BEHIND):
                own.flush(frame)

    def stop(self, how: StreamEnd, frame: int, time: int, known: int = 0) -> None:
        """No more segments; see :meth:`Direction.stop`."""
        for side in self.ordered:
            side.stop(how, frame, time, known)

    def flush(self) -> None:
        """Hand over what was delivered, but for what waits for a gap of the other side."""
        one, two = self.ordered
        for own, other in ((one, two), (two, one)):
            if not other.held:
                own.flush()
            else:
                own.unpin()

    def take(self, c: PacketColumns, rows: Rows, *, bulk: bool = True, ready: list[Segment] | None = None) -> None:
        """The next rows of the conversation, in frame order.

        Args:
            c: columns of the block.
            rows: of the conversation.
            bulk: hand over stretches in one step.
            ready: the rows as objects, where they were made already.
        """
        at, step = 0, 2
        while self.conversation.ordering and at < len(rows):
            # In pieces that grow, since the consumers may soon need no order, or nothing, any more.
            made = segments(c, rows[at : at + step]) if ready is None else ready[at : at + step]
            for s in made:
                self.segment(s)
            self.flush()
            if self.conversation.released:
                return
            at, step = at + step, min(step * 2, IN_ORDER)
        rows = rows[at:]
        if ready is not None and at:
            ready = ready[at:]
        count = len(rows)
        if not bulk or count < BULK:
            for s in segments(c, rows) if ready is None else ready:
                self.segment(s)
            self.flush()
            return
        odd = irregular(c, rows)
        at = 0
        while at < count:
            after = int(odd[np.searchsorted(odd, at)]) if len(odd) and odd[-1] >= at else count
            if after - at >= BULK and self._stretch(c, rows[at:after]):
                at = after
                continue
            # Row by row, over the odd one and until the next stretch could begin.
            upto = min(max(after + 1, at + 1), at + BULK, count)
            for s in segments(c, rows[at:upto]) if ready is None else ready[at:upto]:
                self.segment(s)
            at = upto
        self.flush()

    def _stretch(self, c: PacketColumns, rows: Rows) -> bool:
        """Hand over regular rows in one step, if both sides are ready for it."""
        side = c.side[rows]
        if not self.conversation.both and (side != self._first).any():
            self.conversation.both = True
        wire = c.wire[rows]
        parts: list[tuple[Direction, Rows]] = []
        for who in (False, True):
            direction = self.sides[who]
            mine = rows[(side == who) & (wire > 0)]
            if not direction.settled or (len(mine) and (direction.ended is not None or not direction.started)):
                return False
            if len(mine):
                if int(c.seq[mine[0]]) != direction.next & 0xFFFFFFFF:
                    return False
                parts.append((direction, mine))
        parts.sort(key=lambda part: int(part[1][0]))
        for direction, mine in parts:
            length = c.length[mine]
            data = _joined(c.buffers[0], c.payload[mine], length)
            offsets = np.cumsum(length) - length + (direction.next - direction.base)
            last = int(mine[-1])
            direction.bulk(
                data,
                offsets.tobytes(),
                c.frame[mine].tobytes(),
                c.at[mine].tobytes(),
                c.time[mine].tobytes(),
                (int(c.frame[last]), int(c.time[last])),
            )
        for who in (False, True):
            acks = rows[(side == who) & ((c.flags[rows] & ACK) != 0)]
            if len(acks):
                # The furthest one, not the last: acknowledgements are reordered too. All lie near the last.
                ack = c.ack[acks]
                furthest = int(np.argmax((ack - ack[-1] + (1 << 31)) & 0xFFFFFFFF))
                self.sides[not who].acknowledge(int(ack[furthest]))
        return True


def _joined(data: bytes | memoryview, begin: Rows, length: Rows) -> bytes:
    """The payloads of segments as one. Of a large body all are of one length but its last: numpy gathers those at half
    the cost of slicing each."""
    ends = np.flatnonzero(length[1:] != length[:-1]) + 1
    if len(ends) * 16 > len(length):
        view = memoryview(data)
        return b"".join([view[a:b] for a, b in zip(begin.tolist(), (begin + length).tolist(), strict=True)])
    pieces: list[Any] = []
    for low, high in zip([0, *ends.tolist()], [*ends.tolist(), len(length)], strict=True):
        size = int(length[low])
        places: npt.NDArray[Any] = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))
        pieces.append(places[begin[low:high]])
    return b"".join(pieces)


def irregular(c: PacketColumns, rows: Rows) -> Rows:
    """Places of rows that do not simply run on from the row before of their side."""
    flags = c.flags[rows]
    wire = c.wire[rows]
    odd = (flags & (SYN | FIN | RST)) != 0
    odd |= (c.length[rows] != wire) | (c.buffer[rows] != 0)
    side = c.side[rows]
    for who in (False, True):
        mine = np.flatnonzero((side == who) & (wire > 0))
        if len(mine) > 1:
            seq = c.seq[rows[mine]]
            broken = seq[1:] != ((seq[:-1] + wire[mine[:-1]]) & 0xFFFFFFFF)
            odd[mine[1:][broken]] = True
    return np.flatnonzero(odd)
