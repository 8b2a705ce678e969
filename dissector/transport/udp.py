"""UDP: picks the datagrams of interest and gives each with the frames that carried it.

Repeats of a datagram are not judged here: the transport knows no MessageID.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dissector.base.origin import FrameMap, StreamRef
from dissector.transport.gather import one_of
from dissector.transport.model import Datagram, Interest, PacketColumns, TransportStats
from dissector.transport.words import first_words

__all__ = ["DatagramPicker"]

DTLS = "dtls"
_HELLOS = (0xFDFE16, 0xFFFE16)
"""How a datagram of DTLS 1.2 or 1.0 that holds a handshake message begins, as a little-endian number of three bytes."""
_SHAKE = 13
"""Place of the message's type: behind the header of the record (RFC 6347 4.1)."""
REMEMBERED = 200_000
"""Pairs of endpoints whose number is remembered."""


class DatagramPicker:
    """Takes the UDP rows of each block.

    Args:
        interest: first bytes and ports of interest.
        take: called with each datagram of interest, in frame order.
        stats: the count of taken packets is added here.
    """

    def __init__(self, interest: Interest, take: Callable[[Datagram], None], stats: TransportStats) -> None:
        self._take = take
        self._stats = stats
        self._first = np.zeros(256, dtype=np.bool_)
        self._first[[start[0] for start in interest.datagram]] = True
        self._ports = sorted(interest.ports)
        self._numbers: dict[int, int] = {}
        self._next = 0

    def feed(self, c: PacketColumns, rows: npt.NDArray[np.int64]) -> None:
        """The UDP rows of a block, in order."""
        wanted = np.zeros(len(rows), dtype=np.bool_)
        which = c.buffer[rows]
        filled = c.length[rows] > 0
        for number, buffer in enumerate(c.buffers):
            here = np.flatnonzero(filled & (which == number))
            if len(here):
                data = np.frombuffer(buffer, dtype=np.uint8)
                wanted[here] = self._first[data[c.payload[rows[here]]]]
        if self._ports:
            wanted |= filled & (one_of(c.sport[rows], self._ports) | one_of(c.dport[rows], self._ports))
        for row in rows[wanted].tolist():
            self._give(c, row)
        start = first_words(c, rows) & np.uint32(0xFFFFFF)
        for row in rows[(start == _HELLOS[0]) | (start == _HELLOS[1])].tolist():
            self._count_dtls(c, row)

    def _count_dtls(self, c: PacketColumns, row: int) -> None:
        """DTLS is named and not read: WSD has no use for it. Its ClientHellos are counted."""
        place = int(c.payload[row]) + _SHAKE
        if c.length[row] > _SHAKE and c.buffers[c.buffer[row]][place] == 1:
            table = self._stats.opaque.setdefault(DTLS, {})
            pair = c.endpoints(row)
            if len(table) < REMEMBERED or pair in table:
                packets, size = table.get(pair, (0, 0))
                table[pair] = (packets + 1, size + int(c.wire[row]))

    def _give(self, c: PacketColumns, row: int) -> None:
        source, destination = c.endpoints(row)
        number = self._numbers.get(flow := int(c.flow[row]))
        if number is None:
            if len(self._numbers) >= REMEMBERED:
                # A flood: those that go on are numbered anew.
                self._numbers.clear()
            number = self._numbers[flow] = self._next
            self._next += 1
        start, length = int(c.payload[row]), int(c.length[row])
        frame, time = int(c.frame[row]), int(c.time[row])
        frames = FrameMap()
        at = 0
        for piece_frame, piece_at, size in c.fragments.get(row, ((frame, int(c.at[row]), length),)):
            frames.add(at, size, piece_frame, piece_at, time)
            at += size
        self._stats.taken += 1
        self._take(
            Datagram(
                StreamRef("udp", number, source, destination),
                bytes(c.buffers[c.buffer[row]][start : start + length]),
                int(c.wire[row]),
                frame,
                time,
                frames,
                bool(c.multicast[row]),
            )
        )
