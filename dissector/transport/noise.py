"""Which new flows of a block are noise, told at once by columns: most of a capture.

The byte after the SYN was seen and begins no word, or no SYN was seen and none of the segments can be one. What this
leaves undecided is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import numpy.typing as npt

from dissector.transport.flow import UNDECIDED, Flow
from dissector.transport.grouping import members
from dissector.transport.model import SYN, PacketColumns

__all__ = ["dismiss_noise"]

Rows = npt.NDArray[np.int64]


def dismiss_noise(
    c: PacketColumns,
    rows: Rows,
    match: npt.NDArray[np.bool_],
    order: Rows,
    starts: Rows,
    flow_of: Sequence[Flow],
    again: Container[int],
) -> None:
    """Dismiss the undecided flows that are noise.

    Args:
        c: the block.
        rows: its TCP rows.
        match: of each row, whether it begins with a word.
        order, starts: the groups of rows by flow.
        flow_of: the flow of each group.
        again: hashes of flows whose ports are used again in this block; they are left alone.
    """
    undecided = [at for at, f in enumerate(flow_of) if f.state == UNDECIDED and not f.held]
    if not undecided:
        return
    mine, starts = members(order, starts, np.array(undecided))
    rows, match = rows[mine], match[mine]
    flow = c.flow[rows]
    side = c.side[rows]
    wire = c.wire[rows]
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
    any_noise = np.logical_or.reduceat(noise, starts)
    any_match = np.logical_or.reduceat(match, starts)
    any_syn = np.logical_or.reduceat(syn, starts)
    any_data = np.logical_or.reduceat(wire > 0, starts)
    any_short = np.logical_or.reduceat((wire > 0) & ~payload, starts)
    # A flow whose SYN came in an earlier block may have its first segment still to come.
    late = ~any_noise & ~any_syn & any_data & ~any_short
    # Segments too short to hold a word may make one up together: those are weighed.
    dull = ~any_match & ~any_short & (any_noise | late)
    groups = np.flatnonzero(dull)
    hashes, unopened = flow[starts[groups]].tolist(), late[groups].tolist()
    for group, h, late_syn in zip(groups.tolist(), hashes, unopened, strict=True):
        known = flow_of[undecided[group]]
        if h not in again and not (late_syn and known.syn_seen):
            known.dismiss()
