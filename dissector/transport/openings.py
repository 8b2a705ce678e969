"""Which flow the rows of a block belong to: new flows, ports that are used again, and numbers as Wireshark gives them.

The rule was found by comparing with tshark 4.0: a SYN without ACK starts a new conversation where its number is not the
base of its side. The base is the number of the side's SYN or SYN/ACK, or one less than the first number it sent, or one
less than the first acknowledgement by its peer. FIN and RST do not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dissector.transport.flow import Flow
from dissector.transport.grouping import members
from dissector.transport.model import ACK, SYN, PacketColumns

__all__ = ["Openings"]

Rows = npt.NDArray[np.int64]


class Openings:
    """Makes the flows.

    Args:
        flows: hash → flow; the new ones are put there.
        asleep: hash → packed flow; those that have packets again are put among the others.

    Attributes:
        met: conversations so far, which is the number of the next one.
        again: of the last block: hash → first row and flow of each use of the same ports after the first. The table
            still holds the flow before them: the change is made when the rows are visited.
        woken: hashes of the flows of the last block that were asleep.
    """

    def __init__(self, flows: dict[int, Flow], asleep: dict[int, bytes]) -> None:
        self.met = 0
        self.again: dict[int, list[tuple[int, Flow]]] = {}
        self.woken: list[int] = []
        self._flows = flows
        self._asleep = asleep

    def settle(self, c: PacketColumns, rows: Rows, order: Rows, starts: Rows) -> list[Flow]:
        """Make a :class:`Flow` for each new hash and number it, in order of first row.

        Args:
            c: the block.
            rows: its TCP rows.
            order, starts: their groups by hash.

        Returns:
            The flow of each group of rows, as it was before the ports were used again.
        """
        flows = self._flows
        hashes = c.flow[rows[order[starts]]].tolist()
        self.woken = self._wake(hashes)
        groups = [flows.get(h) for h in hashes]
        flags = c.flags[rows]
        opening = (flags & (SYN | ACK)) == SYN
        tells = (flags & SYN) != 0
        open_groups = [at for at, f in enumerate(groups) if f is None or f.base_false is None or f.base_true is None]
        if open_groups:
            tells[_base_rows(c, rows, order, starts, np.array(open_groups))] = True
        if opening.any():
            # Where the ports may be used again, perhaps more than once, every row counts.
            opened = np.add.reduceat(opening[order].astype(np.int64), starts)
            fresh = np.fromiter((f is None for f in groups), dtype=np.int64, count=len(groups))
            perhaps = np.repeat(opened > fresh, np.diff(np.append(starts, len(order))))
            tells[order[perhaps]] = True
        telling = np.flatnonzero(tells)
        at = rows[telling]
        columns = (at, c.flow[at], c.side[at], c.seq[at], c.ack[at], flags[telling], c.frame[at])
        again: dict[int, list[tuple[int, Flow]]] = {}
        self.again = again
        for row, h, side, seq, ack, bits, frame in zip(*(column.tolist() for column in columns), strict=True):
            flow = again[h][-1][1] if h in again else flows.get(h)
            if flow is None:
                flow = flows[h] = self._new_flow(side)
            elif bits & (SYN | ACK) == SYN and flow.base(side) not in (None, seq):
                flow = self._new_flow(side)
                again.setdefault(h, []).append((row, flow))
            flow.tell(side, seq, ack, bits, frame)
        return [flow or flows[h] for flow, h in zip(groups, hashes, strict=True)]

    def _wake(self, hashes: list[int]) -> list[int]:
        """Unpack those of the flows that are asleep, and tell which they were."""
        woken = [h for h in hashes if h in self._asleep]
        for h in woken:
            self._flows[h] = Flow.awake(self._asleep.pop(h))
        return woken

    def _new_flow(self, side: bool) -> Flow:
        flow = Flow(self.met, side)
        self.met += 1
        return flow


def _base_rows(c: PacketColumns, rows: Rows, order: Rows, starts: Rows, groups: Rows) -> Rows:
    """The rows that can tell the bases of some groups: the first of either side, and the first with ACK."""
    mine, begin = members(order, starts, groups)
    place, never = np.arange(len(mine)), len(mine)
    side = c.side[rows[mine]]
    found = [begin]
    for tells in (side, ~side, (c.flags[rows[mine]] & ACK) != 0):
        first = np.minimum.reduceat(np.where(tells, place, never), begin)
        found.append(first[first < never])
    return mine[np.concatenate(found)]
