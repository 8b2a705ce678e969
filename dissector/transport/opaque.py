"""Conversations that are counted and not read: TLS without keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dissector.base.origin import Endpoint
from dissector.transport.flow import TAKEN, UNDECIDED, Flow
from dissector.transport.gather import one_of
from dissector.transport.grouping import members
from dissector.transport.model import Interest, PacketColumns, TransportStats
from dissector.transport.tls.failing import PORTS

__all__ = ["OpaqueCounter"]

I64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


MOST = 100_000
"""Connections of one protocol that are counted each for itself."""
OTHERS = (Endpoint("others", 0), Endpoint("others", 0))
"""Those beyond."""


class OpaqueCounter:
    """Counts packets and bytes of flows that begin as an opaque protocol does.

    Args:
        interest: the protocols' first bytes.
        stats: ``stats.opaque`` is filled.
    """

    def __init__(self, interest: Interest, stats: TransportStats) -> None:
        self._starts = {int.from_bytes(start, "little"): name for start, name in interest.opaque.items()}
        self._midst = {int.from_bytes(start, "little"): name for start, name in interest.midst.items()}
        self._stats = stats

    def any(self, word: npt.NDArray[np.uint32]) -> bool:
        """Whether any of these first words begins an opaque protocol."""
        short = word.astype(np.uint16)
        return any(bool((short == start).any()) for start in self._starts)

    def count(
        self,
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        match: npt.NDArray[np.bool_],
        order: Rows,
        starts: Rows,
        flow_of: Sequence[Flow],
        reopened: Mapping[int, Sequence[tuple[int, Flow]]],
    ) -> None:
        """Count the packets of opaque flows: from the first segment that starts like one, and what came before
        (the handshake) where that carried no data."""
        if not self._starts:
            return
        begin = one_of(word & np.uint32(0xFFFF), self._starts) & (word != 0)
        self._opened_before(c, rows, word, order, starts, flow_of, reopened, begin)
        begins = np.logical_or.reduceat(begin[order], starts).tolist()
        ends = np.append(starts[1:], len(order))
        wire = c.wire[rows]
        counts = np.diff(np.append(starts, len(order))).tolist()
        data = np.logical_or.reduceat((wire > 0)[order], starts).tolist()
        sizes = np.add.reduceat(wire[order], starts).tolist()
        matches = np.logical_or.reduceat(match[order], starts).tolist()
        fresh_groups: list[int] = []
        # Most flows are noise of other kinds: half of the time went into telling that of each.
        told = (
            range(len(flow_of))
            if reopened
            else [at for at, f in enumerate(flow_of) if begins[at] or f.opaque is not None or f.state == UNDECIDED]
        )
        for at in told:
            flow = flow_of[at]
            if (
                flow.opaque is not None
                and not reopened
                and (flow.opaque_taken or (flow.state != TAKEN and not matches[at]))
            ):
                self._add(flow.opaque, counts[at], sizes[at])
                continue
            if flow.opaque is None:
                if begins[at]:
                    if flow.state != TAKEN and not matches[at] and not reopened:
                        fresh_groups.append(at)
                        continue
                # Most flows, and all of a flood of SYNs: nothing but a sum.
                elif flow.state == UNDECIDED and not reopened:
                    flow.early = -1 if data[at] or flow.early < 0 else flow.early + counts[at]
                    continue
                elif flow.state != UNDECIDED:
                    continue
            mine = order[starts[at] : ends[at]]
            low = 0
            words = match[mine]
            for row, fresh in reopened.get(int(c.flow[rows[mine[0]]]), ()):
                high = int(np.searchsorted(rows[mine], row))
                self._rows(c, rows, before_word(mine[low:high], words[low:high]), flow, begin, word, wire)
                low, flow = high, fresh
            self._rows(c, rows, before_word(mine[low:], words[low:]), flow, begin, word, wire)
        if fresh_groups:
            self._groups(c, rows, order, np.array(fresh_groups), (starts, ends), flow_of, begin, word, wire)

    def _opened_before(
        self,
        c: PacketColumns,
        rows: Rows,
        word: npt.NDArray[np.uint32],
        order: Rows,
        starts: Rows,
        flow_of: Sequence[Flow],
        reopened: Mapping[int, Sequence[tuple[int, Flow]]],
        begin: npt.NDArray[np.bool_],
    ) -> None:
        """Let the flows begin whose handshake is not in the capture, at their first segment that looks like it."""
        likely = one_of(word & np.uint32(0xFFFFFF), self._midst)
        if not likely.any():
            return
        ends = np.append(starts[1:], len(order))
        # Only where it looks like it before it begins: data follow nearly every handshake in the same block.
        for at in np.flatnonzero(_first(likely[order], starts) < _first(begin[order], starts)).tolist():
            flow = flow_of[at]
            if flow.opaque is not None or flow.state == TAKEN:
                continue
            mine = order[starts[at] : ends[at]]
            for row, _ in reopened.get(int(c.flow[rows[mine[0]]]), ())[:1]:
                mine = mine[: int(np.searchsorted(rows[mine], row))]
            mine = mine[likely[mine]]
            # Where the SYN was seen the beginning has told that it is none.
            if len(mine) and (flow.client is None or flow.client_frame > int(c.frame[rows[mine[0]]])):
                begin[mine] = True

    def _name(self, begins: int) -> str:
        """The protocol of a segment that begins with this word."""
        return self._starts.get(begins & 0xFFFF) or self._midst[begins & 0xFFFFFF]

    def _groups(
        self,
        c: PacketColumns,
        rows: Rows,
        order: Rows,
        groups: Rows,
        bounds: tuple[Rows, Rows],
        flow_of: Sequence[Flow],
        begin: npt.NDArray[np.bool_],
        word: npt.NDArray[np.uint32],
        wire: I64,
    ) -> None:
        """As :meth:`_rows` for all the rows of each of some groups, whose flows are not opaque yet and begin here.

        By columns: a busy network opens a hundred TLS connections in a block, and the numpy calls for one of them cost
        16 µs (0.15 of 0.55 s for a million packets of noise).
        """
        mine, low = members(order, bounds[0], groups)
        high = np.append(low[1:], len(mine))
        place = np.arange(len(mine))
        sizes = wire[mine]
        before = np.concatenate(([0], np.cumsum(sizes)))
        first = np.minimum.reduceat(np.where(begin[mine], place, len(mine)), low)
        first_data = np.minimum.reduceat(np.where(sizes > 0, place, len(mine)), low)
        at = rows[mine[first]]
        columns = (
            groups,
            high - low,
            first - low,
            first_data < first,
            before[high] - before[first],
            word[mine[first]],
            c.side[at],
            c.frame[at],
        )
        for (group, packets, start, late, size, begins, side, frame), ends in zip(
            zip(*(column.tolist() for column in columns), strict=True), c.endpoints_of(at), strict=True
        ):
            flow = flow_of[group]
            if flow.early < 0 or late:
                packets -= start
            else:
                packets += flow.early
            known = flow.client is not None and flow.client_frame <= frame
            one, two = ends if side == (flow.client if known else flow.first_side) else ends[::-1]
            flow.opaque = (self._name(begins), *((one, two) if known else _by_port(one, two)))
            self._add(flow.opaque, packets, size)

    def _rows(
        self,
        c: PacketColumns,
        rows: Rows,
        mine: Rows,
        flow: Flow,
        begin: npt.NDArray[np.bool_],
        word: npt.NDArray[np.uint32],
        wire: I64,
    ) -> None:
        if (flow.state == TAKEN and not flow.opaque_taken) or not len(mine):
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
            flow.opaque = (self._name(int(word[mine[start]])), *((one, two) if known else _by_port(one, two)))
        self._add(flow.opaque, packets, int(wire[mine[start:]].sum()))

    def _add(self, opaque: tuple[str, Endpoint, Endpoint], packets: int, size: int) -> None:
        name, one, two = opaque
        table = self._stats.opaque.setdefault(name, {})
        if len(table) >= MOST and (one, two) not in table:
            one, two = OTHERS
        packets_before, size_before = table.get((one, two), (0, 0))
        table[one, two] = (packets_before + packets, size_before + size)


def _first(those: npt.NDArray[np.bool_], starts: Rows) -> Rows:
    """Of each group of rows, the first of those; their number where it has none."""
    first: Rows = np.minimum.reduceat(np.where(those, np.arange(len(those)), len(those)), starts)
    return first


def _by_port(one: Endpoint, two: Endpoint) -> tuple[Endpoint, Endpoint]:
    """Client and server where nobody saw who opened it: the first to speak is the client, but for ports of WSD."""
    return (two, one) if one.port in PORTS and two.port not in PORTS else (one, two)


def before_word(rows: Rows, match: npt.NDArray[np.bool_]) -> Rows:
    """The rows before the first that starts with a word: from there on the flow is taken."""
    found = np.flatnonzero(match)
    return rows[: int(found[0])] if len(found) else rows
