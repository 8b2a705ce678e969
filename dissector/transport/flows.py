"""The flow table: which TCP connections are of interest, and their segments in order.

Most packets are noise, so the work on them is vectorised: one sort of a block's flow hashes, one comparison of
the first four payload bytes with the words of :class:`~dissector.transport.model.Interest`. Python sees a flow when
it is new, when a SYN opens it again, when one of its segments starts with a word, and when it is taken. A taken
flow's segments go to two :class:`~dissector.transport.tcp.Direction` objects: stretches that run on from the
expected byte in one step (joined), everything else segment by segment in frame order.

Order: inside one block a stretch of one direction may be handed over before the other direction's segments that lie
between; the direction that spoke first goes first. Consumers that need the exact order use frame numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import (
    ACK,
    FIN,
    RST,
    SYN,
    TCP,
    UDP,
    ConsumerFactory,
    Conversation,
    Datagram,
    Interest,
    PacketColumns,
    StreamEnd,
    TransportStats,
)
from dissector.transport.tcp import Direction
from dissector.transport.udp import DatagramPicker

__all__ = ["FlowTable"]

I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

BULK = 12
"""Rows from which a stretch is worth the numpy calls: below it, row by row is faster (about 20 µs a stretch against
3 µs a row)."""

CHUNK = 32
"""Rows of an undecided flow looked at in one go."""

HELD = 64
"""Segments of one flow held until it is decided."""

BEHIND = 1 << 20
"""Bytes of one side that may wait for a gap of the other to be settled."""

FINDINGS = 1000
"""Findings of one conversation; a stream torn to pieces says no more with ten thousand."""

STREAMS = rule("tcp.streams", "warn", "more connections than the limit: the oldest were closed to make room")

NOISE, UNDECIDED, TAKEN = 0, 1, 2


class Flow:
    """What is remembered of a flow.

    ``isn`` holds the sequence number that each side's SYN (or first segment) had, to tell when the ports are used
    again; ``syn`` that of the SYN, with its frame, where it was seen and still says where the data begins.
    """

    __slots__ = ("client", "first_side", "held", "isn", "number", "opaque", "pair", "state", "syn")

    def __init__(self, number: int, first_side: bool) -> None:
        self.number = number
        self.first_side = first_side
        self.client: bool | None = None
        self.state = UNDECIDED
        self.isn: list[int | None] = [None, None]
        self.syn: list[tuple[int, int] | None] = [None, None]
        self.held: list[Segment] = []
        self.opaque: str | None = None
        self.pair: Pair | None = None

    def opened(self, side: bool, frame: int) -> int | None:
        """Sequence number of the side's SYN, if that came before the frame."""
        syn = self.syn[side]
        return syn[0] if syn is not None and syn[1] <= frame else None


class Segment:
    """One row, out of its columns."""

    __slots__ = ("ack", "at", "data", "flags", "frame", "seq", "side", "time", "wire")

    def __init__(
        self, side: bool, seq: int, ack: int, flags: int, data: memoryview, wire: int, frame: int, at: int, time: int
    ) -> None:
        self.side = side
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.data = data
        self.wire = wire
        self.frame = frame
        self.at = at
        self.time = time


class Pair:
    """Both directions of a taken conversation. ``sides[False]`` sends rows whose ``side`` is False; which endpoint
    that is changes from run to run with the salt of the hash, so nothing is ordered by it: ``ordered`` has the
    direction of the first packet first."""

    __slots__ = ("conversation", "ordered", "sides")

    def __init__(self, conversation: Conversation, sides: tuple[Direction, Direction], first: bool) -> None:
        self.conversation = conversation
        self.sides = sides
        self.ordered = (sides[first], sides[not first])

    @property
    def ended(self) -> bool:
        return self.sides[0].ended is not None and self.sides[1].ended is not None

    def segment(self, s: Segment) -> None:
        """Any segment, in frame order."""
        own, other = self.sides[s.side], self.sides[not s.side]
        if s.flags & SYN:
            own.open(s.seq)
        if s.flags & ACK:
            other.acknowledge(s.ack)
        if s.wire:
            # What one side says while the other's bytes wait behind a gap is most likely the answer to them: it is
            # handed over after them.
            if not own.held or other.waiting > BEHIND:
                other.flush()
            seq = s.seq + 1 if s.flags & SYN else s.seq
            # A keep-alive has one byte of junk just before the expected one (RFC 9293 3.8.4).
            if not (s.wire == 1 and own.started and own.unwrap(seq) == own.next - 1 and not s.flags & (FIN | SYN)):
                own.segment(seq, s.data, s.wire, s.frame, s.at, s.time)
        if s.flags & FIN:
            other.release(s.frame, s.time)
            own.fin((s.seq + s.wire + (1 if s.flags & SYN else 0)) & 0xFFFFFFFF, s.frame, s.time)
        if s.flags & RST:
            self.stop(StreamEnd.RESET, s.frame, s.time)
            return
        own.passed(s.frame, s.time)
        other.passed(s.frame, s.time)

    def stop(self, how: StreamEnd, frame: int, time: int) -> None:
        for side in self.ordered:
            side.stop(how, frame, time)

    def flush(self) -> None:
        one, two = self.ordered
        for own, other in ((one, two), (two, one)):
            if not other.held or own.waiting > BEHIND:
                own.flush()


class FlowTable:
    """Takes the packets of a capture, block by block, in order.

    Args:
        interest: what to take.
        factory: makes the consumer of each direction of a taken conversation.
        datagram: takes UDP payloads of interest.
        stats: counts of taken packets, conversations and opaque flows are added here.
        limits: bounds.
        bulk: hand over stretches in one step (False: segment by segment, for tests; the result is the same).
    """

    def __init__(
        self,
        interest: Interest,
        factory: ConsumerFactory,
        datagram: Callable[[Datagram], None],
        stats: TransportStats,
        limits: Limits = DEFAULT_LIMITS,
        *,
        bulk: bool = True,
    ) -> None:
        self._interest = interest
        self._factory = factory
        self._stats = stats
        self._limits = limits
        self._bulk = bulk
        self._flows: dict[int, Flow] = {}
        self._next_number = 0
        self._words = np.array(sorted(int.from_bytes(word, "little") for word in interest.words), dtype=np.uint32)
        self._opaque = {int.from_bytes(start, "little"): name for start, name in interest.opaque.items()}
        self._datagrams = DatagramPicker(interest, datagram, stats)
        self._closed = 0
        self._reopened: dict[int, list[tuple[int, Flow]]] = {}

    # -- a block -------------------------------------------------------------------------------------------------

    def feed(self, columns: PacketColumns) -> None:
        """The packets of the next block."""
        if not len(columns):
            return
        udp = np.flatnonzero(columns.protocol == UDP)
        if len(udp):
            self._datagrams.feed(columns, udp)
        rows = np.flatnonzero(columns.protocol == TCP)
        if len(rows):
            self._feed_tcp(columns, rows)

    def _feed_tcp(self, c: PacketColumns, rows: Rows) -> None:
        word = self._first_words(c, rows)
        match = np.isin(word, self._words) if len(self._words) else np.zeros(len(rows), dtype=np.bool_)
        order = np.argsort(c.flow[rows], kind="stable")
        hashes = c.flow[rows][order]
        starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
        ends = np.append(starts[1:], len(order))
        first_rows = order[starts]

        self._settle_openings(c, rows, match, order, starts, first_rows)

        flow_of = [self._flows[h] for h in hashes[starts].tolist()]
        has_match = np.logical_or.reduceat(match[order], starts)
        state = np.fromiter((f.state for f in flow_of), dtype=np.int8, count=len(flow_of))
        self._count_opaque(c, rows, word, order, starts, flow_of)

        # Undecided flows whose rows carry no payload need no look; the rest of them do.
        has_payload = np.logical_or.reduceat((c.wire[rows] > 0)[order], starts)
        wanted = (state == TAKEN) | has_match | ((state == UNDECIDED) & has_payload)
        if self._reopened:
            wanted |= np.isin(hashes[starts], np.fromiter(self._reopened, dtype=np.uint64))
        picked = np.flatnonzero(wanted)
        # In order of first row, so that consumers are made, and findings left, in a fixed order.
        for at in picked[np.argsort(first_rows[picked], kind="stable")].tolist():
            mine = order[starts[at] : ends[at]]
            self._visit(c, rows[mine], match[mine], int(hashes[starts[at]]))
        if len(self._flows) > self._limits.streams:
            self._make_room()

    def _first_words(self, c: PacketColumns, rows: Rows) -> npt.NDArray[np.uint32]:
        """The first four payload bytes of each row, 0 where there are fewer."""
        word = np.zeros(len(rows), dtype=np.uint32)
        length = c.length[rows]
        which = c.buffer[rows]
        for number, buffer in enumerate(c.buffers):
            data = np.frombuffer(buffer, dtype=np.uint8)
            long = np.flatnonzero((length >= 4) & (which == number))
            if len(long):
                at = c.payload[rows[long]]
                word[long] = (
                    data[at].astype(np.uint32)
                    | data[at + 1].astype(np.uint32) << np.uint32(8)
                    | data[at + 2].astype(np.uint32) << np.uint32(16)
                    | data[at + 3].astype(np.uint32) << np.uint32(24)
                )
        return word

    # -- new flows -------------------------------------------------------------------------------------------------

    def _settle_openings(
        self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], order: Rows, starts: Rows, first_rows: Rows
    ) -> None:
        """Make a :class:`Flow` for each new hash and number it as Wireshark does, in order of first row."""
        flows = self._flows
        firsts = np.sort(first_rows)
        hashes = c.flow[rows[firsts]].tolist()
        sides = c.side[rows[firsts]].tolist()
        new = [(int(row), h, side) for row, h, side in zip(firsts, hashes, sides, strict=True) if h not in flows]
        events: list[tuple[int, int, bool]] = new
        flags = c.flags[rows]
        opening = np.flatnonzero(flags & SYN)
        if len(opening):
            events = new + [
                (int(row), h, side)
                for row, h, side in zip(
                    opening, c.flow[rows[opening]].tolist(), c.side[rows[opening]].tolist(), strict=True
                )
            ]
            events.sort()
        self._reopened = {}
        for row, h, side in events:
            seq = int(c.seq[rows[row]])
            reopened = self._reopened.get(h)
            flow = reopened[-1][1] if reopened else flows.get(h)
            if flow is None:
                flow = flows[h] = self._new_flow(side)
                flow.isn[side] = seq
            if not flags[row] & SYN:
                continue
            if not flags[row] & ACK and flow.isn[side] not in (None, seq):
                # Wireshark's rule: a SYN with another number starts a new conversation on the same ports. The
                # rows before it belong to the old one, so the change is made when they are visited.
                flow = self._new_flow(side)
                self._reopened.setdefault(h, []).append((int(rows[row]), flow))
            flow.isn[side] = seq
            if flow.state == UNDECIDED:
                flow.syn[side] = flow.syn[side] or (seq, int(c.frame[rows[row]]))
                if not flags[row] & ACK:
                    flow.client = side
        self._stats.conversations = self._next_number
        if new:
            self._dismiss(c, rows, match, order, starts)

    def _new_flow(self, side: bool) -> Flow:
        flow = Flow(self._next_number, side)
        self._next_number += 1
        return flow

    def _dismiss(self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], order: Rows, starts: Rows) -> None:
        """Tell at once which undecided flows are noise: the byte after the SYN was seen and is no word, or no SYN was
        seen and none of the segments can be one."""
        flow = c.flow[rows]
        side = c.side[rows]
        payload = c.length[rows] >= 4
        syn = (c.flags[rows] & SYN) != 0
        key = np.where(side, flow ^ np.uint64(0x9E3779B97F4A7C15), flow)
        opened = np.flatnonzero(syn)
        noise = np.zeros(len(rows), dtype=np.bool_)
        data = np.flatnonzero(payload & ~match)
        if len(opened) and len(data):
            ranked = opened[np.argsort(key[opened], kind="stable")]
            keys = key[ranked]
            at = np.minimum(np.searchsorted(keys, key[data]), len(keys) - 1)
            same = keys[at] == key[data]
            expected = (c.seq[rows[ranked[at]]] + 1) & 0xFFFFFFFF
            first = same & (c.seq[rows[data]] == expected)
            noise[data[first & (ranked[at] < data)]] = True
        any_noise = np.logical_or.reduceat(noise[order], starts)
        any_match = np.logical_or.reduceat(match[order], starts)
        any_syn = np.logical_or.reduceat(syn[order], starts)
        any_data = np.logical_or.reduceat((c.wire[rows] > 0)[order], starts)
        length = c.length[rows]
        any_short = np.logical_or.reduceat(((length > 0) & (length < 4))[order], starts)
        # A flow whose SYN came in an earlier block may have its first segment still to come.
        late = ~any_noise & ~any_syn & any_data & ~any_short
        dull = ~any_match & (any_noise | late)
        groups = np.flatnonzero(dull)
        for h, unopened in zip(flow[order[starts[groups]]].tolist(), late[groups].tolist(), strict=True):
            known = self._flows[h]
            if known.state == UNDECIDED and not known.held and not (unopened and known.syn != [None, None]):
                known.state = NOISE
                known.syn = [None, None]

    def _make_room(self) -> None:
        """Forget the flows that were met first, a quarter of all, ending the taken ones among them."""
        leave = len(self._flows) // 4 + 1
        for h in list(self._flows)[:leave]:
            flow = self._flows.pop(h)
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0)
        if not self._closed:
            self._stats.findings.append(
                STREAMS(f"more than {self._limits.streams} connections: the oldest were closed")
            )
        self._closed += leave

    # -- opaque protocols ------------------------------------------------------------------------------------------

    def _count_opaque(
        self,
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        order: Rows,
        starts: Rows,
        flow_of: Sequence[Flow],
    ) -> None:
        if not self._opaque:
            return
        begin = np.isin(word & np.uint32(0xFFFF), np.fromiter(self._opaque, dtype=np.uint32)) & (word != 0)
        begins = np.logical_or.reduceat(begin[order], starts)
        for at in np.flatnonzero(begins).tolist():
            flow = flow_of[at]
            if flow.opaque is None and flow.state != TAKEN:
                mine = order[starts[at] : starts[at + 1] if at + 1 < len(starts) else len(order)]
                flow.opaque = self._opaque[int(word[mine[np.flatnonzero(begin[mine])[0]]]) & 0xFFFF]
        marked = [at for at, flow in enumerate(flow_of) if flow.opaque is not None and flow.state != TAKEN]
        if not marked:
            return
        counts = np.diff(np.append(starts, len(order)))
        sizes = np.add.reduceat(c.wire[rows][order], starts)
        for at in marked:
            row = int(rows[order[starts[at]]])
            flow = flow_of[at]
            one, two = c.endpoints(row)
            if bool(c.side[row]) != flow.first_side:
                one, two = two, one
            table = self._stats.opaque.setdefault(flow.opaque or "", {})
            packets, size = table.get((one, two), (0, 0))
            table[one, two] = (packets + int(counts[at]), size + int(sizes[at]))

    # -- flows of interest -------------------------------------------------------------------------------------------

    def _visit(self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], h: int) -> None:
        flow = self._flows[h]
        low = 0
        for row, fresh in self._reopened.get(h, ()):
            high = int(np.searchsorted(rows, row))
            self._carry(c, rows[low:high], match[low:high], flow)
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.REUSED, int(c.frame[row]), int(c.time[row]))
            self._flows[h] = flow = fresh
            low = high
        self._carry(c, rows[low:], match[low:], flow)

    def _carry(self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], flow: Flow) -> None:
        """The next rows of a flow in whatever state."""
        at = 0
        if flow.state == UNDECIDED:
            at = self._weigh(c, rows, match, flow)
        if flow.state == NOISE:
            words = np.flatnonzero(match[at:])
            if not len(words):
                return
            at += int(words[0])
            self._take(c, int(rows[at]), flow)
        if flow.state == TAKEN and at < len(rows):
            self._stats.taken += len(rows) - at
            self._deliver(c, rows[at:], flow)

    def _weigh(self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], flow: Flow) -> int:
        """Hold rows of an undecided flow until its first bytes tell what it is. Returns how many rows were used."""
        held = sum(len(s.data) for s in flow.held)
        for start in range(0, len(rows), CHUNK):
            for number, s in enumerate(segments(c, rows[start : start + CHUNK]), start):
                if match[number]:
                    self._take(c, int(rows[number]), flow)
                    return number
                if not s.wire and not s.flags & (SYN | FIN | RST):
                    continue
                # A copy: what waits for a decision must not pin the block.
                s.data = memoryview(bytes(s.data))
                flow.held.append(s)
                held += len(s.data)
                verdict = self._decide(flow) if s.wire else None
                if verdict:
                    self._take(c, int(rows[number]), flow)
                    return number + 1
                if verdict is False or held > self._limits.undecided or len(flow.held) > HELD:
                    flow.state = NOISE
                    flow.held = []
                    # Where it is taken after all, later, that is in the middle of it.
                    flow.syn = [None, None]
                    return number + 1
        return len(rows)

    def _decide(self, flow: Flow) -> bool | None:
        """What the first bytes of both sides say: a word, no word, or too few to tell."""
        verdicts: list[bool | None] = []
        for side in (False, True):
            mine = [s for s in flow.held if s.side == side and s.wire]
            if not mine:
                continue
            isn = flow.opened(side, flow.held[-1].frame)
            expected = (isn + 1) & 0xFFFFFFFF if isn is not None else mine[0].seq
            start = b""
            for s in sorted(mine, key=lambda s: (s.seq - expected) & 0xFFFFFFFF):
                skip = len(start) - ((s.seq - expected) & 0xFFFFFFFF)
                if 0 <= skip < len(s.data):
                    start += bytes(s.data[skip:])
            if len(start) >= 4:
                if start[:4] in self._interest.words:
                    return True
                verdicts.append(False)
            elif any(word.startswith(start) for word in self._interest.words):
                verdicts.append(None)
            else:
                verdicts.append(False)
        return False if False in verdicts else None

    def _take(self, c: PacketColumns, row: int, flow: Flow) -> None:
        """The flow is of interest from now on: make its consumers and feed what was held."""
        one, two = c.endpoints(row)
        first = flow.first_side
        if bool(c.side[row]) != first:
            one, two = two, one
        by_side: dict[bool, Endpoint] = {first: one, (not first): two}
        frame = int(c.frame[row])
        known = flow.client is not None and flow.opened(flow.client, frame) is not None
        client = by_side[flow.client] if known and flow.client is not None else None
        conversation = Conversation(flow.number, one, two, client is not None, client)
        flow.state = TAKEN
        held, flow.held = flow.held, []

        def report(finding: Finding) -> None:
            if len(conversation.findings) < FINDINGS:
                conversation.findings.append(finding)
                self._stats.findings.append(replace(finding, text=f"TCP stream {flow.number}: {finding.text}"))

        sides: dict[bool, Direction] = {}
        for side in (first, not first):
            stream = StreamRef("tcp", flow.number, by_side[side], by_side[not side])
            sides[side] = Direction(self._factory(conversation, stream), report, self._limits)
            isn = flow.opened(side, frame)
            if isn is not None:
                sides[side].open(isn)
        flow.pair = Pair(conversation, (sides[False], sides[True]), first)
        for s in held:
            flow.pair.segment(s)
        flow.pair.flush()
        self._stats.taken += len(held)

    # -- delivery ----------------------------------------------------------------------------------------------------

    def _deliver(self, c: PacketColumns, rows: Rows, flow: Flow) -> None:
        pair = flow.pair
        assert pair is not None
        count = len(rows)
        if not self._bulk or count < BULK:
            for s in segments(c, rows):
                pair.segment(s)
            pair.flush()
            return
        odd = self._irregular(c, rows)
        at = 0
        while at < count:
            after = int(odd[np.searchsorted(odd, at)]) if len(odd) and odd[-1] >= at else count
            if after - at >= BULK and self._stretch(c, rows[at:after], pair):
                at = after
                continue
            # Row by row, over the odd one and until the next stretch could begin.
            upto = min(max(after + 1, at + 1), at + BULK, count)
            for s in segments(c, rows[at:upto]):
                pair.segment(s)
            at = upto
        pair.flush()

    def _irregular(self, c: PacketColumns, rows: Rows) -> Rows:
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

    def _stretch(self, c: PacketColumns, rows: Rows, pair: Pair) -> bool:
        """Hand over regular rows in one step, if both sides are ready for it."""
        side = c.side[rows]
        wire = c.wire[rows]
        parts: list[tuple[Direction, Rows]] = []
        for who in (False, True):
            direction = pair.sides[who]
            mine = rows[(side == who) & (wire > 0)]
            if direction.held or (len(mine) and (direction.ended is not None or not direction.started)):
                return False
            if len(mine):
                if int(c.seq[mine[0]]) != direction.next & 0xFFFFFFFF:
                    return False
                parts.append((direction, mine))
        parts.sort(key=lambda part: int(part[1][0]))
        view = memoryview(c.buffers[0])
        for direction, mine in parts:
            length = c.length[mine]
            begin = c.payload[mine]
            data = b"".join([view[a:b] for a, b in zip(begin.tolist(), (begin + length).tolist(), strict=True)])
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
                pair.sides[not who].acknowledge(int(c.ack[acks[-1]]))
        return True

    def finish(self) -> None:
        """The capture is over: every direction ends."""
        for flow in self._flows.values():
            if flow.state == UNDECIDED:
                continue
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0)
        self._flows.clear()


def segments(c: PacketColumns, rows: Rows) -> list[Segment]:
    """The rows as objects, for the slow path."""
    views: list[memoryview] = [memoryview(buffer) for buffer in c.buffers]
    columns: tuple[list[Any], ...] = (
        c.side[rows].tolist(),
        c.seq[rows].tolist(),
        c.ack[rows].tolist(),
        c.flags[rows].tolist(),
        c.buffer[rows].tolist(),
        c.payload[rows].tolist(),
        c.length[rows].tolist(),
        c.wire[rows].tolist(),
        c.frame[rows].tolist(),
        c.at[rows].tolist(),
        c.time[rows].tolist(),
    )
    return [
        Segment(side, seq, ack, flags, views[buffer][start : start + length], wire, frame, at, time)
        for side, seq, ack, flags, buffer, start, length, wire, frame, at, time in zip(*columns, strict=True)
    ]
