"""Rows of the columns as objects: for the few segments that need a look of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dissector.transport.model import FIN, RST, SYN, PacketColumns

__all__ = ["Segment", "segments", "whole_segments"]

Rows = npt.NDArray[np.int64]


class Segment:
    """One row, out of its columns."""

    __slots__ = ("ack", "at", "data", "flags", "frame", "seq", "side", "time", "wire")

    def __init__(
        self,
        side: bool,
        seq: int,
        ack: int,
        flags: int,
        data: bytes | memoryview,
        wire: int,
        frame: int,
        at: int,
        time: int,
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
