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

STREAMS = rule(
    "tcp.streams", "warn", "more connections than the limit: those idle for longest were closed to make room"
)

NOISE, UNDECIDED, TAKEN = 0, 1, 2


class Flow:
    """What is remembered of a flow: as little as possible, since there may be a million.

    The two ``base`` values are each side's initial sequence number, as far as the capture tells it (of the SYN; one
    less than the first number seen; one less than the first acknowledgement by the peer): they tell when the ports
    are used again. The two ``syn`` values are number and frame of the SYNs, while those still say where the data
    begins. ``last``: the block that last had packets of it. ``early``: packets so far, -1 once one carried data.
    """

    __slots__ = (
        "base_false",
        "base_true",
        "client",
        "client_frame",
        "early",
        "first_side",
        "held",
        "last",
        "number",
        "opaque",
        "opened",
        "pair",
        "state",
        "syn_false",
        "syn_true",
    )

    def __init__(self, number: int, first_side: bool) -> None:
        self.number = number
        self.first_side = first_side
        self.client: bool | None = None
        self.client_frame = 0
        self.opened = False
        self.state = UNDECIDED
        self.base_false: int | None = None
        self.base_true: int | None = None
        self.syn_false: tuple[int, int] | None = None
        self.syn_true: tuple[int, int] | None = None
        self.last = 0
        self.early = 0
        self.held: list[Segment] | None = None
        self.opaque: tuple[str, Endpoint, Endpoint] | None = None
        self.pair: Pair | None = None

    def base(self, side: bool) -> int | None:
        """Initial sequence number of a side."""
        return self.base_true if side else self.base_false

    def settle(self, side: bool, base: int, again: bool = False) -> None:
        """The initial sequence number of a side became known; the first value counts, unless ``again``."""
        if side:
            if again or self.base_true is None:
                self.base_true = base & 0xFFFFFFFF
        elif again or self.base_false is None:
            self.base_false = base & 0xFFFFFFFF

    def syn(self, side: bool, frame: int) -> int | None:
        """Sequence number of the side's SYN, if that came not after the frame."""
        seen = self.syn_true if side else self.syn_false
        return seen[0] if seen is not None and seen[1] <= frame else None

    @property
    def syn_seen(self) -> bool:
        """Where the data of one of the sides begins is known."""
        return self.syn_true is not None or self.syn_false is not None

    def dismiss(self) -> None:
        """It is noise. Where it is taken after all, later, that is in the middle of it."""
        self.state = NOISE
        self.held = None
        self.syn_true = self.syn_false = None
        self.early = -1


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
        # The payload of an RST says why, and is no part of the stream (RFC 9293 3.5.2).
        if s.wire and not s.flags & RST:
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
            else:
                own.unpin()


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
        self._blocks = 0
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

        met = self._next_number
        flow_of = self._settle_openings(c, rows, order, starts)
        self._blocks = block = self._blocks + 1
        for flow in flow_of:
            flow.last = block
        # Before any of them is dismissed: an opaque flow counts from its handshake on.
        self._count_opaque(c, rows, word, match, order, starts, flow_of)
        if self._next_number > met:
            self._dismiss(c, rows, match, order, starts)
        has_match = np.logical_or.reduceat(match[order], starts)
        # What is held waits for the rest of a word, or for a FIN or RST behind it.
        state = np.fromiter((TAKEN if f.held else f.state for f in flow_of), dtype=np.int8, count=len(flow_of))

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
        # Only now: until here the flows of this block are in use.
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

    def _settle_openings(self, c: PacketColumns, rows: Rows, order: Rows, starts: Rows) -> list[Flow]:
        """Make a :class:`Flow` for each new hash and number it as Wireshark does, in order of first row.

        The rule was found by comparing with tshark 4.0: a SYN without ACK starts a new conversation where its number is
        not the base of its side. The base is the number of the side's SYN or SYN/ACK, or one less than the first number
        it sent, or one less than the first acknowledgement by its peer. FIN and RST do not matter.

        Returns:
            The flow of each group of rows, as it was before the ports were used again.
        """
        flows = self._flows
        hashes = c.flow[rows[order[starts]]].tolist()
        groups = [flows.get(h) for h in hashes]
        flags = c.flags[rows]
        opening = (flags & (SYN | ACK)) == SYN
        telling = np.flatnonzero(flags & SYN)
        open_groups = [at for at, f in enumerate(groups) if f is None or f.base_false is None or f.base_true is None]
        if open_groups:
            telling = np.union1d(telling, self._base_rows(c, rows, order, starts, np.array(open_groups)))
        if opening.any():
            # Where the ports may be used again, perhaps more than once, every row counts.
            opened = np.add.reduceat(opening[order].astype(np.int64), starts)
            fresh = np.fromiter((f is None for f in groups), dtype=np.int64, count=len(groups))
            again = np.repeat(opened > fresh, np.diff(np.append(starts, len(order))))
            telling = np.union1d(telling, order[again])
        at = rows[telling]
        columns = (at, c.flow[at], c.side[at], c.seq[at], c.ack[at], flags[telling], c.frame[at])
        self._reopened = {}
        for row, h, side, seq, ack, bits, frame in zip(*(column.tolist() for column in columns), strict=True):
            reopened = self._reopened.get(h)
            flow = reopened[-1][1] if reopened else flows.get(h)
            if flow is None:
                flow = flows[h] = self._new_flow(side)
            elif bits & (SYN | ACK) == SYN and flow.base(side) not in (None, seq):
                # The rows before it belong to the old one: the change is made when they are visited.
                flow = self._new_flow(side)
                self._reopened.setdefault(h, []).append((row, flow))
            flow.settle(side, seq if bits & SYN else seq - 1, bool(bits & SYN))
            if bits & ACK:
                flow.settle(not side, ack - 1)
            if bits & SYN:
                self._note_syn(flow, side, seq, bits, frame)
        self._stats.conversations = self._next_number
        return [flow or flows[h] for flow, h in zip(groups, hashes, strict=True)]

    @staticmethod
    def _base_rows(c: PacketColumns, rows: Rows, order: Rows, starts: Rows, groups: Rows) -> Rows:
        """The rows that can tell the bases of some groups: the first of either side, and the first with ACK."""
        place = np.arange(len(order))
        side = c.side[rows[order]]
        never = len(order)
        found = [starts[groups]]
        for tells in (side, ~side, (c.flags[rows[order]] & ACK) != 0):
            first = np.minimum.reduceat(np.where(tells, place, never), starts)[groups]
            found.append(first[first < never])
        return order[np.concatenate(found)]

    @staticmethod
    def _note_syn(flow: Flow, side: bool, seq: int, bits: int, frame: int) -> None:
        if flow.state == UNDECIDED:
            if side:
                flow.syn_true = flow.syn_true or (seq, frame)
            else:
                flow.syn_false = flow.syn_false or (seq, frame)
        if flow.client is None:
            flow.client = side if not bits & ACK else not side
            flow.client_frame = frame
            flow.opened = not bits & ACK

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
        any_short = np.logical_or.reduceat(((c.wire[rows] > 0) & (length < 4))[order], starts)
        # A flow whose SYN came in an earlier block may have its first segment still to come.
        late = ~any_noise & ~any_syn & any_data & ~any_short
        # Segments too short to hold a word may make one up together: those are left to _weigh.
        dull = ~any_match & ~any_short & (any_noise | late)
        groups = np.flatnonzero(dull)
        for h, unopened in zip(flow[order[starts[groups]]].tolist(), late[groups].tolist(), strict=True):
            if h in self._reopened:
                continue
            known = self._flows[h]
            if known.state == UNDECIDED and not known.held and not (unopened and known.syn_seen):
                known.dismiss()

    def _make_room(self) -> None:
        """Forget the flows that were idle for longest, a quarter of all, ending the taken ones among them."""
        leave = max(len(self._flows) // 4 + 1, len(self._flows) - self._limits.streams)
        hashes = list(self._flows)
        last = np.fromiter((flow.last for flow in self._flows.values()), dtype=np.int64, count=len(hashes))
        for at in np.argsort(last, kind="stable")[:leave].tolist():
            flow = self._flows.pop(hashes[at])
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0)
        if not self._closed:
            self._stats.findings.append(
                STREAMS(f"more than {self._limits.streams} connections: those idle for longest were closed")
            )
        self._closed += leave

    # -- opaque protocols ------------------------------------------------------------------------------------------

    def _count_opaque(
        self,
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        match: npt.NDArray[np.bool_],
        order: Rows,
        starts: Rows,
        flow_of: Sequence[Flow],
    ) -> None:
        """Count the packets of opaque flows: from the first segment that starts like one, and what came before
        (the handshake) where that carried no data."""
        if not self._opaque:
            return
        begin = np.isin(word & np.uint32(0xFFFF), np.fromiter(self._opaque, dtype=np.uint32)) & (word != 0)
        begins = np.logical_or.reduceat(begin[order], starts).tolist()
        ends = np.append(starts[1:], len(order))
        wire = c.wire[rows]
        counts = np.diff(np.append(starts, len(order))).tolist()
        data = np.logical_or.reduceat((wire > 0)[order], starts).tolist()
        sizes = np.add.reduceat(wire[order], starts).tolist()
        matches = np.logical_or.reduceat(match[order], starts).tolist()
        for at, flow in enumerate(flow_of):
            if flow.opaque is not None and flow.state != TAKEN and not matches[at] and not self._reopened:
                self._add_opaque(flow.opaque, counts[at], sizes[at])
                continue
            if not begins[at] and flow.opaque is None:
                # Most flows, and all of a flood of SYNs: nothing but a sum.
                if flow.state == UNDECIDED and not self._reopened:
                    flow.early = -1 if data[at] or flow.early < 0 else flow.early + counts[at]
                    continue
                if flow.state != UNDECIDED:
                    continue
            mine = order[starts[at] : ends[at]]
            low = 0
            words = match[mine]
            for row, fresh in self._reopened.get(int(c.flow[rows[mine[0]]]), ()):
                high = int(np.searchsorted(rows[mine], row))
                self._count_rows(c, rows, before_word(mine[low:high], words[low:high]), flow, begin, word, wire)
                low, flow = high, fresh
            self._count_rows(c, rows, before_word(mine[low:], words[low:]), flow, begin, word, wire)

    def _count_rows(
        self,
        c: PacketColumns,
        rows: Rows,
        mine: Rows,
        flow: Flow,
        begin: npt.NDArray[np.bool_],
        word: npt.NDArray[np.uint32],
        wire: I64,
    ) -> None:
        if flow.state == TAKEN or not len(mine):
            return
        packets, start = len(mine), 0
        if flow.opaque is None:
            found = np.flatnonzero(begin[mine])
            data = np.flatnonzero(wire[mine])
            if not len(found):
                flow.early = -1 if len(data) or flow.early < 0 else flow.early + packets
                return
            start = int(found[0])
            if flow.early < 0 or data[0] < start:
                packets -= start
            else:
                packets += flow.early
            row = int(rows[mine[start]])
            one, two = c.endpoints(row)
            known = flow.client is not None and flow.client_frame <= int(c.frame[row])
            if bool(c.side[row]) != (flow.client if known else flow.first_side):
                one, two = two, one
            flow.opaque = (self._opaque[int(word[mine[start]]) & 0xFFFF], one, two)
        self._add_opaque(flow.opaque, packets, int(wire[mine[start:]].sum()))

    def _add_opaque(self, opaque: tuple[str, Endpoint, Endpoint], packets: int, size: int) -> None:
        name, one, two = opaque
        table = self._stats.opaque.setdefault(name, {})
        packets_before, size_before = table.get((one, two), (0, 0))
        table[one, two] = (packets_before + packets, size_before + size)

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
        waiting = flow.held or []
        held = sum(len(s.data) for s in waiting)
        for start in range(0, len(rows), CHUNK):
            for number, s in enumerate(segments(c, rows[start : start + CHUNK]), start):
                if match[number]:
                    self._take(c, int(rows[number]), flow)
                    return number
                # The end of the stream counts only behind data; what a SYN says is known already.
                if not s.wire and not (waiting and s.flags & (FIN | RST)):
                    continue
                # A copy: what waits for a decision must not pin the block.
                s.data = memoryview(bytes(s.data))
                waiting.append(s)
                flow.held = waiting
                held += len(s.data)
                verdict = self._decide(flow) if s.wire else None
                if verdict:
                    self._take(c, int(rows[number]), flow)
                    return number + 1
                if verdict is False or held > self._limits.undecided or len(waiting) > HELD:
                    flow.dismiss()
                    return number + 1
        return len(rows)

    def _decide(self, flow: Flow) -> bool | None:
        """What the first bytes of both sides say: a word, no word, or too few to tell."""
        held = flow.held or []
        verdicts: list[bool | None] = []
        for side in (False, True):
            mine = [s for s in held if s.side == side and s.wire]
            if not mine:
                continue
            isn = flow.syn(side, held[-1].frame)
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
        client = by_side[flow.client] if flow.client is not None and flow.client_frame <= frame else None
        conversation = Conversation(flow.number, one, two, client is not None and flow.opened, client)
        flow.state = TAKEN
        held, flow.held = flow.held or [], None

        def report(finding: Finding) -> None:
            if len(conversation.findings) < FINDINGS:
                conversation.findings.append(finding)
                self._stats.findings.append(replace(finding, text=f"TCP stream {flow.number}: {finding.text}"))

        sides: dict[bool, Direction] = {}
        for side in (first, not first):
            stream = StreamRef("tcp", flow.number, by_side[side], by_side[not side])
            sides[side] = Direction(self._factory(conversation, stream), report, self._limits)
            isn = flow.syn(side, frame)
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
            if not direction.settled or (len(mine) and (direction.ended is not None or not direction.started)):
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
                # The furthest one, not the last: acknowledgements are reordered too. All lie near the last.
                ack = c.ack[acks]
                furthest = int(np.argmax((ack - ack[-1] + (1 << 31)) & 0xFFFFFFFF))
                pair.sides[not who].acknowledge(int(ack[furthest]))
        return True

    def finish(self) -> None:
        """The capture is over: every direction ends."""
        for flow in self._flows.values():
            if flow.state == UNDECIDED:
                continue
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0)
        self._flows.clear()


def before_word(rows: Rows, match: npt.NDArray[np.bool_]) -> Rows:
    """The rows before the first that starts with a word: from there on the flow is taken."""
    found = np.flatnonzero(match)
    return rows[: int(found[0])] if len(found) else rows


def segments(c: PacketColumns, rows: Rows) -> list[Segment]:
    """The rows as objects, for the slow path. A row rebuilt from IP fragments gives one for each of them, so that
    every byte knows its frame."""
    made = whole_segments(c, rows)
    if not c.fragments:
        return made
    split: list[Segment] = []
    for row, s in zip(rows.tolist(), made, strict=True):
        pieces = c.fragments.get(row)
        if not pieces or not s.wire:
            split.append(s)
            continue
        start, last = 0, len(pieces) - 1
        seq = s.seq
        for n, (frame, at, size) in enumerate(pieces):
            flags = s.flags & ~(0 if n == last else FIN | RST) & ~(0 if n == 0 else SYN)
            wire = size if n < last else s.wire - start
            split.append(Segment(s.side, seq, s.ack, flags, s.data[start : start + size], wire, frame, at, s.time))
            seq = (seq + size + (1 if flags & SYN else 0)) & 0xFFFFFFFF
            start += size
    return split


def whole_segments(c: PacketColumns, rows: Rows) -> list[Segment]:
    """One object for each row."""
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
