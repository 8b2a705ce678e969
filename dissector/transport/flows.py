"""The flow table: which TCP connections are of interest, and their segments in order.

Most packets are noise, so the work on them is vectorised: one sort of a block's flow hashes, one comparison of
the first four payload bytes with the words of :class:`~dissector.transport.model.Interest`. Python sees a flow when
it is new, when a SYN opens it again, when one of its segments starts with a word, and when it is taken. A taken
flow's segments go to two :class:`~dissector.transport.tcp.Direction` objects: stretches that run on from the
expected byte in one step (joined), everything else segment by segment in frame order.

Order: inside one block a stretch of one direction may be handed over before the other direction's segments that lie
between; the direction that spoke first goes first. Consumers that need the exact order use frame numbers.

Which flow a row belongs to is told in ``openings``; what is noise at first sight in ``noise``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.burden import Burden
from dissector.transport.flow import LET_GO, NOISE, TAKEN, UNDECIDED, Flow, Observer
from dissector.transport.grouping import by_flow
from dissector.transport.model import (
    FIN,
    RST,
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
from dissector.transport.noise import dismiss_noise
from dissector.transport.oneway import OneWay
from dissector.transport.opaque import OpaqueCounter
from dissector.transport.openings import Openings
from dissector.transport.pair import Pair
from dissector.transport.segment import Segment, segments, whole_segments
from dissector.transport.tcp import PIECE, Direction
from dissector.transport.udp import DatagramPicker
from dissector.transport.words import Words, first_words

__all__ = ["FlowTable"]

I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

CHUNK = 32
"""Rows of an undecided flow looked at in one go."""

HELD = 64
"""Segments of one flow held until it is decided."""

SMALL = 64
"""Rows of a flow in one block up to which it is a small one."""

TOGETHER = 4096
"""Rows of small flows that are made objects at once (about 1 MB)."""

FINDINGS = 1000
"""Findings of one conversation; a stream torn to pieces says no more with ten thousand."""

STREAMS = rule(
    "tcp.streams", "warn", "more connections than the limit: those idle for longest were closed to make room"
)

TOO_MANY = rule("tcp.findings", "error", "more findings on connections than are kept")


def _together(sizes: I64) -> Iterator[tuple[int, int]]:
    """Ranges of neighbours: one flow, or several small ones."""
    low, count = 0, 0
    for at, size in enumerate(sizes.tolist()):
        if size > SMALL or count + size > TOGETHER:
            if at > low:
                yield low, at
            low, count = at, 0
        if size > SMALL:
            yield at, at + 1
            low = at + 1
        else:
            count += size
    if len(sizes) > low:
        yield low, len(sizes)


class FlowTable:
    """Takes the packets of a capture, block by block, in order.

    Args:
        interest: what to take.
        factory: makes the consumer of each direction of a taken conversation.
        datagram: takes UDP payloads of interest.
        stats: counts of taken packets, conversations and opaque flows are added here.
        limits: bounds.
        kept: tells how many decoded bytes the consumers keep in memory.
        bulk: hand over stretches in one step (False: segment by segment, for tests; the result is the same).
        observer: is shown the packets of each block too.
        opaque_met: called once, before the first packet that begins as an opaque protocol does.
    """

    def __init__(
        self,
        interest: Interest,
        factory: ConsumerFactory,
        datagram: Callable[[Datagram], None],
        stats: TransportStats,
        limits: Limits = DEFAULT_LIMITS,
        *,
        kept: Callable[[], int] = int,
        bulk: bool = True,
        observer: Observer | None = None,
        opaque_met: Callable[[], None] | None = None,
    ) -> None:
        self._opaque_met = opaque_met
        self._observer = observer
        self._interest = interest
        self._factory = factory
        self._stats = stats
        self._limits = limits
        self._bulk = bulk
        self._flows: dict[int, Flow] = {}
        # Those whose conversation has ended, packed (see Flow.asleep); the hashes that are to go there.
        self._asleep: dict[int, bytes] = {}
        self._ended: list[int] = []
        self._openings = Openings(self._flows, self._asleep)
        self._words = Words(interest.words)
        self._opaque = OpaqueCounter(interest, stats)
        self._datagrams = DatagramPicker(interest, datagram, stats)
        self._burden = Burden(limits, stats, kept)
        self._one_way = OneWay()
        self._closed = 0
        self._blocks = 0

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
        word = first_words(c, rows)
        match = self._words.among(word)
        words = match
        if self._opaque_met is not None and self._opaque.any(word):
            look, self._opaque_met = self._opaque_met, None
            look()
        if self._interest.opened:
            match = match | self._begins_opened(word)
        hashes = c.flow[rows]
        order = by_flow(hashes)
        hashes = hashes[order]
        starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
        ends = np.append(starts[1:], len(order))
        first_rows = order[starts]

        openings = self._openings
        met = openings.met
        flow_of = openings.settle(c, rows, order, starts)
        self._stats.conversations = openings.met
        self._blocks = block = self._blocks + 1
        for flow in flow_of:
            flow.last = block
        # Before any of them is dismissed: an opaque flow counts from its handshake on.
        self._opaque.count(c, rows, word, words, order, starts, flow_of, openings.again)
        if openings.met > met:
            dismiss_noise(c, rows, match, order, starts, flow_of, openings.again)
        has_match = np.logical_or.reduceat(match[order], starts)
        # What is held waits for the rest of a word, or for a FIN or RST behind it.
        state = np.array([TAKEN if f.held else f.state for f in flow_of], dtype=np.int8)

        # Undecided flows whose rows carry no payload need no look; the rest of them do.
        has_payload = np.logical_or.reduceat((c.wire[rows] > 0)[order], starts)
        wanted = (state == TAKEN) | has_match | ((state == UNDECIDED) & has_payload)
        if openings.again:
            wanted |= [h in openings.again for h in hashes[starts].tolist()]
        picked = np.flatnonzero(wanted)
        # In order of first row, so that consumers are made, and findings left, in a fixed order.
        picked = picked[np.argsort(first_rows[picked], kind="stable")]
        sizes = (ends - starts)[picked]
        for low, high in _together(sizes):
            group = [order[starts[at] : ends[at]] for at in picked[low:high].tolist()]
            # The rows of many small flows become objects at once: what each flow's own dozen numpy calls cost (35 µs)
            # is more than the rest of the work on a connection with one exchange.
            made = segments(c, rows[np.concatenate(group)]) if high - low > 1 and not c.fragments else None
            start = 0
            for mine, key in zip(group, hashes[starts[picked[low:high]]].tolist(), strict=True):
                ready = made[start : start + len(mine)] if made is not None else None
                self._visit(c, rows[mine], match[mine], key, ready)
                start += len(mine)
                if self._burden.crowded:
                    self._burden.relieve()
        if self._observer is not None:
            self._observer.feed(c, rows, word, order, starts, flow_of, openings.again)
        # Only now: until here the flows of this block are in use.
        self._put_to_sleep()
        if len(self._flows) + len(self._asleep) > self._limits.streams:
            self._make_room()
        # A byte may be kept twice: by who reads the stream, and to compare copies with.
        self._burden.relieve(2 * int(c.length[rows].sum()) + PIECE * len(rows))

    def _begins_opened(self, word: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Rows that begin as an opened protocol does."""
        found = np.zeros(len(word), dtype=np.bool_)
        for mask, value, _ in self._interest.beginnings():
            found |= (word & np.uint32(mask)) == np.uint32(value)
        return found

    def _make_room(self) -> None:
        """Forget the flows that were idle for longest, a quarter of all, ending the taken ones among them."""
        flows, asleep = self._flows, self._asleep
        hashes = [*asleep, *flows]
        leave = max(len(hashes) // 4 + 1, len(hashes) - self._limits.streams)
        idle = [*map(Flow.idle_since, asleep.values()), *((flow.last, flow.number) for flow in flows.values())]
        last, number = np.array(idle, np.int64).T
        # Of one block the first ones: in which order they went to sleep depends on the salt of the hash.
        for at in np.lexsort((number, last))[:leave].tolist():
            flow = flows.pop(hashes[at], None)
            if flow is None:
                del asleep[hashes[at]]
            elif flow.pair is not None:
                # Known later than all that was told, as at the end of the capture.
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0, self._stats.frames)
                self._over(flow)
        if not self._closed:
            self._stats.findings.append(
                STREAMS(f"more than {self._limits.streams} connections: those idle for longest were closed")
            )
        self._closed += leave

    def _put_to_sleep(self) -> None:
        """Pack the flows of this block whose conversation has ended."""
        for h in (*self._openings.woken, *self._ended):
            flow = self._flows.get(h)
            # An opaque one is counted in its own way, and rare.
            if flow is not None and flow.remains is not None and flow.pair is None and flow.opaque is None:
                self._asleep[h] = self._flows.pop(h).asleep()
        self._ended.clear()

    # -- flows of interest -------------------------------------------------------------------------------------------

    def _visit(
        self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], h: int, ready: list[Segment] | None
    ) -> None:
        """The rows of a flow; ``ready``: the same as objects, where they were made already."""
        flow = self._flows[h]
        low = 0
        for row, fresh in self._openings.again.get(h, ()):
            high = int(np.searchsorted(rows, row))
            self._carry(c, rows[low:high], match[low:high], flow, ready[low:high] if ready is not None else None)
            if flow.pair is not None:
                flow.pair.stop(StreamEnd.REUSED, int(c.frame[row]), int(c.time[row]))
                self._over(flow)
            self._flows[h] = flow = fresh
            low = high
        self._carry(c, rows[low:], match[low:], flow, ready[low:] if ready is not None and low else ready)
        if flow.remains is not None:
            self._ended.append(h)

    def _carry(
        self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], flow: Flow, ready: list[Segment] | None
    ) -> None:
        """The next rows of a flow in whatever state."""
        at = 0
        if flow.state == UNDECIDED:
            at = self._weigh(c, rows, match, flow, ready)
        if flow.state in (NOISE, LET_GO):
            words = np.flatnonzero(match[at:])
            if flow.state == LET_GO and len(words):
                words = words[self._words.among(first_words(c, rows[at:][words]))]
            if not len(words):
                return
            at += int(words[0])
            self._take(c, int(rows[at]), flow)
        if flow.remains is not None and at < len(rows):
            flow.pair = Pair.of_remains(flow.remains, flow.number, self._reporter, self._limits)
        pair = flow.pair
        if pair is None:
            return
        if at < len(rows):
            self._stats.taken += len(rows) - at
            pair.take(c, rows[at:], bulk=self._bulk, ready=ready[at:] if ready is not None and at else ready)
        if pair.conversation.released:
            flow.pair = None
            flow.dismiss(LET_GO if pair.conversation.protocol else NOISE)
        elif pair.ended and not pair.conversation.protocol:
            self._over(flow)
            flow.retire(pair.remains())
            self._burden.over(flow)

    def _weigh(
        self, c: PacketColumns, rows: Rows, match: npt.NDArray[np.bool_], flow: Flow, ready: list[Segment] | None
    ) -> int:
        """Hold rows of an undecided flow until its first bytes tell what it is. Returns how many rows were used."""
        waiting = flow.held or []
        held = sum(len(s.data) for s in waiting)
        for start in range(0, len(rows), CHUNK):
            made = ready if ready is not None else segments(c, rows[start : start + CHUNK])
            for number, s in enumerate(made, start):
                if match[number]:
                    self._take(c, int(rows[number]), flow)
                    return number
                # The end of the stream counts only behind data; what a SYN says is known already.
                if not s.wire and not (waiting and s.flags & (FIN | RST)):
                    continue
                # A copy: what waits for a decision must not pin the block.
                s.data = bytes(s.data)
                waiting.append(s)
                if flow.held is None:
                    flow.held = waiting
                    self._burden.weighed(flow)
                held += len(s.data)
                verdict = self._decide(flow) if s.wire else None
                if verdict:
                    self._take(c, int(rows[number]), flow)
                    return number + 1
                if verdict is False or held > self._limits.undecided or len(waiting) > HELD:
                    flow.dismiss()
                    return number + 1
            if ready is not None:
                break
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
            verdict = self._interest.begins(start)
            if verdict:
                return True
            verdicts.append(verdict)
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
        conversation.protocol = self._protocol(c, row, flow)
        # Of one that was noise before, what was seen of either side is forgotten.
        fresh, flow.state = flow.state == UNDECIDED, TAKEN
        # Its SYN/ACK carries no data, and is not among what was held.
        conversation.both = flow.syn(not first, frame) is not None
        held, flow.held = flow.held or [], None
        report = self._reporter(conversation)
        sides: dict[bool, Direction] = {}
        for side in (first, not first):
            stream = StreamRef("tcp", flow.number, by_side[side], by_side[not side])
            sides[side] = Direction(self._factory(conversation, stream), report, self._limits)
            isn = flow.syn(side, frame)
            base = flow.base(side)
            if isn is not None:
                sides[side].open(isn)
            elif not fresh:
                if bool(c.side[row]) != side:
                    sides[side].acknowledge(int(c.ack[row]))
            elif base is not None:
                sides[side].acknowledge(base + 1 & 0xFFFFFFFF)
        flow.pair = Pair(conversation, (sides[False], sides[True]), first)
        self._burden.taken(flow)
        for s in held:
            flow.pair.segment(s)
        flow.pair.flush()
        self._stats.taken += len(held)

    def _over(self, flow: Flow) -> None:
        """The conversation of a flow has ended."""
        pair = flow.pair
        if pair is None:
            return
        if flow.remains is None:
            size = pair.one_way
            if size is not None:
                self._one_way.add(pair.conversation, size)
        # It had ended before, and was looked at then.
        elif pair.conversation.both:
            self._one_way.drop(flow.number)

    def _reporter(self, conversation: Conversation) -> Callable[[Finding], None]:
        """What takes the findings of a conversation's directions."""

        def report(finding: Finding) -> None:
            if len(conversation.findings) < FINDINGS and self._may_say():
                conversation.findings.append(finding)
                text = f"TCP stream {conversation.number}: {finding.text}"
                self._stats.findings.append(replace(finding, text=text, hosts=conversation.hosts))

        return report

    def _may_say(self) -> bool:
        """Whether there is room for one more finding on a connection."""
        count, most = len(self._stats.findings), self._limits.findings
        if count == most:
            self._stats.findings.append(TOO_MANY(f"more than {most} findings on connections: the others are left out"))
        return count < most

    def _protocol(self, c: PacketColumns, row: int, flow: Flow) -> str:
        """The opened protocol that a flow is taken for, "" where it begins with a word."""
        if not self._interest.opened:
            return ""
        for s in [*(flow.held or []), *whole_segments(c, np.array([row]))]:
            for mask, value, name in self._interest.beginnings():
                if len(s.data) >= 4 and int.from_bytes(s.data[:4], "little") & mask == value:
                    return name
        # Its first segments are too short to tell: they are no word, or it would have been taken for one.
        starts = [bytes(s.data) for s in flow.held or [] if len(s.data)]
        words = self._interest.words
        return "" if not starts or any(word.startswith(starts[0]) for word in words) else min(self._interest.opened)

    def finish(self) -> None:
        """The capture is over: every direction ends."""
        for flow in self._flows.values():
            if flow.state == UNDECIDED:
                continue
            if flow.pair is not None:
                # What waits until now is known later than all that was told: pairs must not go by when it was told.
                flow.pair.stop(StreamEnd.CAPTURE, 0, 0, self._stats.frames + 1)
                self._over(flow)
        self._stats.findings += self._one_way.findings()
        if self._observer is not None:
            self._observer.finish()
        self._flows.clear()
