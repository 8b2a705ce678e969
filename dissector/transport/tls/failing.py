"""TLS connections that failed, found among all those that are counted and not read, at next to no cost.

A connection that never came about needs no keys, and why it did not is the answer that a person with a capture and no
keys looks for: every command has to tell it. But a capture may hold a hundred thousand TLS connections that are well.
Those are told by columns: behind its part of the handshake the client sent something, and then the server sent
application data, a segment beginning with each. Of the others the segments are kept (copies) until the connection ends,
and only then it is read as ``dsmshark tls`` reads it, certificates included.

A segment of just one sealed alert (24 bytes in TLS 1.3, 40 by Java) proves nothing: that is how a certificate is
refused. Where segments hide the edges of records, a connection that is well may be read in vain; one that failed ends
early, and is not missed.

Memory: :data:`HELD` bytes of one connection, :data:`ALL_HELD` of all. Time: :data:`LOOKS` connections are read, and as
many more of those ports that WSD over TLS is at home at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding, Severity, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.flow import Flow
from dissector.transport.grouping import members
from dissector.transport.model import FIN, NOBODY, RST, SYN, Conversation, PacketColumns, StreamEnd, TransportStats
from dissector.transport.pair import Pair
from dissector.transport.segment import Segment, segments
from dissector.transport.tcp import Direction
from dissector.transport.tls.rules import WHY

if TYPE_CHECKING:
    from dissector.transport.tls.model import TlsFacts

__all__ = ["PORTS", "Failing"]

Rows = npt.NDArray[np.int64]

PORTS = {5362: "DSM scan server", 5358: "WSD over TLS", 5357: "WSD"}
"""TCP ports at which WSD is to be expected, and what speaks there. Source: DSM examples (5362), WSDAPI (the others)."""

HELD = 64 << 10
"""Bytes kept of one connection; a handshake with a chain of twenty certificates is about 40 KiB."""
SEGMENT = 400
"""Bytes that a segment takes besides what it carries: of a flood of hellos that is nearly all."""
ALL_HELD = 16 << 20
LOOKS = 1000
"""Connections that are read; each takes about 0.5 ms."""
SHOWN = 10
"""Findings told; the others are counted."""
FRAMES = 100
"""Frames named by one finding."""
MANY = 8
"""Segments of the server that begin with application data, from which on all is well whatever the client said: its part
of a handshake has five messages."""

HELLO = 11
"""Bytes by which a hello is told: header of the record, type and length of the message, major version."""
SEALED_ALERT = 24
PADDED_ALERT = 40
CHANGE_AND_ALERT = 46
"""Bytes of a segment with a ChangeCipherSpec and a sealed alert behind it; with a Finished behind it it is longer."""
ALERT, HANDSHAKE, DATA, CHANGE = 21, 22, 23, 20

MORE = rule("tls.more-failed", "warn", "more TLS connections failed than are told one by one")


@dataclass(slots=True)
class _Failed:
    """Connections of one client with one server that failed for the same reason."""

    number: int
    client: Endpoint
    server: Endpoint
    finding: Finding
    count: int = 1
    frames: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Watched:
    """A connection that may fail: its segments from the hello on, and what those say."""

    flow: Flow
    ends: tuple[Endpoint, Endpoint]
    """The sender of segments whose ``side`` is False, and of those whose is True."""
    client: bool
    held: list[Segment] = field(default_factory=list)
    size: int = 0
    kept: int = 0
    said: bool = False
    """The client sent something behind its part of the handshake."""
    served: int = 0
    alert: bool = False
    fins: int = 0
    reset: bool = False

    def take(self, made: Sequence[Segment]) -> bool | None:
        """The next segments: True: all is well, False: it is over, None: not known yet."""
        for s in made:
            if not s.wire and not s.flags & (SYN | FIN | RST):
                continue
            self.held.append(s)
            self.size += SEGMENT + len(s.data)
            if s.side != self.client and s.data[:5] == b"HTTP/" and not self.served:
                # It expects no TLS.
                return False
            if s.flags & FIN:
                self.fins |= 1 << s.side
            self.reset = self.reset or bool(s.flags & RST)
            if len(s.data) < 5 or s.data[1] != 3:
                continue
            kind, size = s.data[0], s.wire
            if kind == ALERT or (kind == DATA and size in (SEALED_ALERT, PADDED_ALERT)):
                self.alert = True
            elif s.side == self.client:
                self.said = self.said or kind == DATA or (kind == CHANGE and size > CHANGE_AND_ALERT)
            elif kind == DATA:
                self.served += 1
                if self.said or self.served > MANY:
                    return True
        if self.reset or self.fins == 3 or (self.fins and self.alert):
            return False
        return None

    def keep(self) -> None:
        """Copies: what waits must not pin the block."""
        for s in self.held[self.kept :]:
            s.data = memoryview(bytes(s.data))
        self.kept = len(self.held)


class Failing:
    """Watches the connections of a pass that nobody reads.

    Args:
        stats: ``stats.failed`` is counted.
        limits: bounds.
        masked: other beginnings of TLS, see :class:`~dissector.transport.model.Interest`.
    """

    def __init__(
        self, stats: TransportStats, limits: Limits = DEFAULT_LIMITS, masked: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        self._stats = stats
        self._limits = limits
        self._masked = masked
        self._watched: dict[int, _Watched] = {}
        self._size = 0
        self._looks = {False: 0, True: 0}
        """How many were read, at other ports and at those of WSD."""
        self._failed: dict[tuple[str, Endpoint, str], _Failed] = {}
        self._unseen = 0

    # -- what it tells -----------------------------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """Why connections failed, those at ports of WSD first; complete after the pass. None is an error: a capture may
        hold connections that have nothing to do with what is looked for."""
        groups = sorted(self._failed.values(), key=lambda one: (one.server.port not in PORTS, -one.count, one.number))
        found = []
        for one in sorted(groups[:SHOWN], key=lambda one: one.number):
            rest = one.count - 1
            more = f" (and so did {rest} more connection{'s' if rest > 1 else ''} between the two)" if rest else ""
            who = f"TCP stream {one.number}, {one.client} → {one.server}"
            found.append(
                Finding(
                    one.finding.rule,
                    Severity.WARN,
                    f"{who}: {one.finding.text}{more}",
                    frames=tuple(sorted(one.frames)[:FRAMES]),
                    hosts=(one.client.address, one.server.address),
                )
            )
        rest = sum(one.count for one in groups[SHOWN:])
        said = [
            f"{rest:,} more TLS connections failed" if rest else "",
            f"{self._unseen:,} that look as if they failed were not looked at" if self._unseen else "",
        ]
        if any(said):
            found.append(MORE(f"{', and '.join(part for part in said if part)} (“dsmshark tls” tells of each)"))
        return found

    # -- a block -----------------------------------------------------------------------------------------------------

    def feed(
        self,
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        order: Rows,
        starts: Rows,
        flow_of: Sequence[Flow],
        reopened: Mapping[int, Sequence[tuple[int, Flow]]],
    ) -> None:
        """The TCP packets of the next block, grouped by flow as the flow table has them."""
        hellos, asks = self._hellos(c, rows, word)
        if not len(hellos) and not self._watched:
            return
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        group_of = np.searchsorted(starts, place[hellos], side="right") - 1
        ranked = np.argsort(group_of, kind="stable")
        groups = group_of[ranked]
        differ = np.ones(len(groups), dtype=np.bool_)
        differ[1:] = groups[1:] != groups[:-1]
        groups, first = groups[differ], ranked[differ]
        client = c.side[rows[hellos[first]]] == asks[first]
        hashes = c.flow[rows[order[starts]]]
        known = np.zeros(len(starts), dtype=np.bool_)
        if self._watched:
            known[:] = [h in self._watched for h in hashes.tolist()]
        ends = np.append(starts[1:], len(order))
        fresh = ~known[groups]
        if len(groups):
            fresh &= ~self._well(c, rows, word, order, starts, groups, client)
        known[groups[fresh]] = True
        wanted = np.flatnonzero(known)
        # In order of the frames: that of the groups changes from run to run.
        for at in wanted[np.argsort(order[starts[wanted]])].tolist():
            self._group(c, rows[order[starts[at] : ends[at]]], int(hashes[at]), flow_of[at], reopened)

    def finish(self) -> None:
        """The capture is over."""
        for h in list(self._watched):
            watched = self._watched.pop(h)
            if watched.fins or watched.alert:
                self._look(watched, StreamEnd.CAPTURE)
        self._size = 0

    def _hellos(self, c: PacketColumns, rows: Rows, word: npt.NDArray[np.uint32]) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Rows that begin with a hello, in order, and whether each is the client's."""
        # Frames that were rebuilt from fragments are in buffers of their own, and few.
        likely = np.flatnonzero((word & np.uint32(0xFFFF)) == np.uint32(0x0316))
        likely = likely[(c.length[rows[likely]] >= HELLO) & (c.buffer[rows[likely]] == 0)]
        data = np.frombuffer(c.buffers[0], dtype=np.uint8)
        at = c.payload[rows[likely]]
        kind = data[at + 5]
        hello = ((kind == 1) | (kind == 2)) & (data[at + 6] == 0) & (data[at + 9] == 3)
        likely, client = likely[hello], kind[hello] == 1
        for mask, value, _ in self._masked:
            more = np.flatnonzero((word & np.uint32(mask)) == np.uint32(value))
            # Of a million segments ten begin so by chance.
            more = more[[_is_hello(s) for s in segments(c, rows[more])]] if len(more) and not c.fragments else more[:0]
            if len(more):
                both = np.concatenate((likely, more))
                client = np.concatenate((client, np.ones(len(more), dtype=np.bool_)))
                ranked = np.argsort(both, kind="stable")
                likely, client = both[ranked], client[ranked]
        return likely, client

    @staticmethod
    def _well(
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        order: Rows,
        starts: Rows,
        groups: Rows,
        client: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Which of the groups are well, as :meth:`_Watched.take` would find."""
        mine, begin = members(order, starts, groups)
        index, size = np.arange(len(mine)), np.diff(np.append(begin, len(mine)))
        kind, major = word[mine] & np.uint32(0xFF), word[mine] >> np.uint32(8) & np.uint32(0xFF)
        wire = c.wire[rows[mine]]
        data = (kind == DATA) & (major == 3) & (wire != SEALED_ALERT) & (wire != PADDED_ALERT)
        own = c.side[rows[mine]] == np.repeat(client, size)
        says = own & (data | ((kind == CHANGE) & (major == 3) & (wire > CHANGE_AND_ALERT)))
        serves = data & ~own
        said = np.minimum.reduceat(np.where(says, index, len(index)), begin)
        last = np.maximum.reduceat(np.where(serves, index, -1), begin)
        return (last > said) | (np.add.reduceat(serves.astype(np.int64), begin) > MANY)

    def _group(
        self, c: PacketColumns, mine: Rows, h: int, flow: Flow, reopened: Mapping[int, Sequence[tuple[int, Flow]]]
    ) -> None:
        """The rows of a flow, which may be used for one connection after the other."""
        low = 0
        for row, fresh in reopened.get(h, ()):
            high = int(np.searchsorted(mine, row))
            self._rows(c, mine[low:high], h, flow)
            watched = self._forget(h)
            if watched is not None:
                self._look(watched, StreamEnd.REUSED)
            low, flow = high, fresh
        self._rows(c, mine[low:], h, flow)

    def _rows(self, c: PacketColumns, mine: Rows, h: int, flow: Flow) -> None:
        if not len(mine):
            return
        watched = self._forget(h)
        if flow.pair is not None and (flow.pair.conversation.protocol or not (watched or c.flags[mine[0]] & SYN)):
            # It is read: what is to be said of it is said there.
            return
        made = segments(c, mine)
        if flow.pair is not None and watched is None and not _is_hello(next((s for s in made if s.wire), made[0])):
            return
        if watched is None:
            hello = next((s for s in made if _is_hello(s)), None)
            if hello is None:
                return
            one, two = c.endpoints(int(mine[0]))
            ends = (two, one) if c.side[mine[0]] else (one, two)
            watched = _Watched(flow, ends, hello.side == (hello.data[0] != HANDSHAKE or hello.data[5] == 1))
        well = watched.take(made)
        if well is False:
            self._look(watched, StreamEnd.CAPTURE)
        elif well is None and watched.size <= HELD:
            watched.keep()
            self._watched[h] = watched
            self._size += watched.size
            while self._size > ALL_HELD:
                self._forget(next(iter(self._watched)))

    def _forget(self, h: int) -> _Watched | None:
        watched = self._watched.pop(h, None)
        if watched is not None:
            self._size -= watched.size
        return watched

    # -- one connection ----------------------------------------------------------------------------------------------

    def _look(self, watched: _Watched, how: StreamEnd) -> None:
        """Read a connection that is over; ``how``: the end of directions that did not say."""
        flow, ends, client = watched.flow, watched.ends, watched.client
        at_home = ends[not client].port in PORTS
        if self._looks[at_home] >= LOOKS:
            self._unseen += 1
            return
        self._looks[at_home] += 1
        from dissector.transport.tls.keys import KeyMaterial
        from dissector.transport.tls.table import TlsTable

        table = TlsTable(KeyMaterial(), lambda _, __: lambda _: NOBODY, self._limits, watch=True)
        first = flow.first_side
        conversation = Conversation(flow.number, ends[first], ends[not first], flow.opened, ends[client])
        sides = {
            side: Direction(
                table.consumer(conversation, StreamRef("tcp", flow.number, ends[side], ends[not side])),
                lambda _: None,
                self._limits,
            )
            for side in (first, not first)
        }
        pair = Pair(conversation, (sides[False], sides[True]), first)
        for s in watched.held:
            pair.segment(s)
            pair.flush()
        pair.stop(how, 0, 0)
        for facts in table.facts:
            self._judge(facts)

    def _judge(self, facts: TlsFacts) -> None:
        why = next((finding for finding in facts.findings if finding.rule in WHY), None)
        if why is None:
            return
        pair = (facts.client, facts.server)
        self._stats.failed[pair] = self._stats.failed.get(pair, 0) + 1
        key = (facts.client.address, facts.server, why.text)
        known = self._failed.get(key)
        if known is None:
            known = self._failed[key] = _Failed(facts.number, facts.client, facts.server, why, 0)
        elif facts.number < known.number:
            # In which order they end depends on how the input is cut into blocks.
            known.number, known.client = facts.number, facts.client
        known.count += 1
        known.frames += why.frames


def _is_hello(s: Segment) -> bool:
    """Whether a segment begins with a hello, of SSL 2.0: is one."""
    start = bytes(s.data[:HELLO])
    if len(start) < HELLO:
        return False
    if start[:2] == b"\x16\3":
        return start[5] in (1, 2) and start[6] == 0 and start[9] == 3
    size = (start[0] & 0x7F) << 8 | start[1]
    versions = (start[2:4] == b"\1\3" and start[4] <= 3) or start[2:5] == b"\1\0\2"
    return bool(start[0] & 0x80) and versions and size == s.wire - 2
