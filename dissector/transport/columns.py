"""TCP and UDP headers, by the block: from where they begin to the columns that the flow table takes.

RFC 9293 (3.1), RFC 768. Both paths come through here, so that they cannot differ in what they say of a packet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dissector.transport.gather import PORTS_AND_NUMBERS, Gather
from dissector.transport.ip import UDP
from dissector.transport.walk import TCP_HEADER, UDP_HEADER, Located

__all__ = ["FlowHash", "Headers", "Rows", "concatenated", "ports_of", "read_headers"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

_IPV4_ADDRESSES = np.dtype([("source", ">u4"), ("destination", ">u4")])
_IPV6_ADDRESSES = np.dtype([("s1", ">u8"), ("s0", ">u8"), ("d1", ">u8"), ("d0", ">u8")])


@dataclass(slots=True)
class Rows:
    """Where TCP and UDP headers begin, one entry a packet; the columns of :data:`~dissector.transport.walk.Located`.

    At least 20 (TCP) or 8 (UDP) bytes lie between ``pos`` and ``end``, and ``end`` is not behind ``wire``.
    """

    row: I64
    family: U8
    protocol: U8
    address: I64
    pos: I64
    end: I64
    wire: I64

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, keep: Bool | I64) -> Rows:
        """Some of the rows."""
        index = np.flatnonzero(keep) if keep.dtype == np.bool_ else keep
        return Rows(*(getattr(self, name)[index] for name in _ROWS))

    @staticmethod
    def made(located: list[Located]) -> Rows:
        """The rows of what the walk found."""
        row, family, protocol, *rest = np.array(located, dtype=np.int64).reshape(-1, 7).T.copy()
        return Rows(row, family.astype(np.uint8), protocol.astype(np.uint8), *rest)

    @staticmethod
    def merged(parts: list[Rows]) -> Rows:
        """All rows, in the order of their numbers, equal ones in the order of the parts."""
        if len(parts) == 1:
            return parts[0]
        joined = Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in _ROWS))
        return joined.pick(np.argsort(joined.row, kind="stable"))


_ROWS = tuple(Rows.__slots__)


@dataclass(slots=True)
class Headers:
    """What the headers of one buffer's rows say; members as in
    :class:`~dissector.transport.model.PacketColumns`."""

    row: I64
    family: U8
    protocol: U8
    address: I64
    flow: U64
    side: Bool
    sport: I64
    dport: I64
    seq: I64
    ack: I64
    flags: U8
    payload: I64
    length: I64
    wire: I64
    multicast: Bool

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, keep: Bool | I64) -> Headers:
        """Some of the rows."""
        return Headers(*(getattr(self, name)[keep] for name in _HEADERS))


_HEADERS = tuple(Headers.__slots__)


def concatenated(parts: list[Headers]) -> Headers:
    """All rows, in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    return Headers(*(np.concatenate([getattr(part, name) for part in parts]) for name in _HEADERS))


class FlowHash:
    """The salted hash of a conversation: the same for both directions, and nobody can aim for a collision.

    Each end is mixed by two rounds of "multiply by a secret odd number, fold the upper half down", so that
    exchanging the ports of two ends gives another sum.
    """

    def __init__(self) -> None:
        words = np.frombuffer(os.urandom(8 * 8), np.uint64)
        self._first, self._second, self._third, self._fourth = (np.uint64(w) | np.uint64(1) for w in words[:4])
        self._ipv6, self._tcp, self._udp, self._word = (np.uint64(w) for w in words[4:])

    def _mix(self, value: U64) -> U64:
        """Scramble in place."""
        value *= self._first
        value ^= value >> np.uint64(32)
        value *= self._second
        value ^= value >> np.uint64(29)
        value *= self._third
        return value

    def fold(self, upper: U64, lower: U64) -> U64:
        """The two halves of IPv6 addresses as one word."""
        mixed = self._mix(upper ^ self._word)
        mixed ^= mixed >> np.uint64(32)
        mixed += lower
        mixed *= self._fourth
        mixed ^= mixed >> np.uint64(32)
        mixed += self._ipv6
        return mixed

    def flows(self, source: U64, destination: U64, sport: U64, dport: U64, udp: Bool) -> tuple[U64, Bool]:
        """Hash of both ends and the protocol, and whether the source's is the smaller.

        Args:
            source, destination: IPv4 addresses, or folded IPv6 addresses.
            sport, dport: ports.
            udp: protocol is UDP.
        """
        # Ports sit above an IPv4 address: two ends are never the same word before they are mixed.
        sender = self._mix(source + (sport << np.uint64(32)))
        receiver = self._mix(destination + (dport << np.uint64(32)))
        side = sender < receiver
        sender += receiver
        sender += np.where(udp, self._udp, self._tcp)
        return sender, side


def _addresses(gather: Gather, rows: Rows, flow_hash: FlowHash) -> tuple[U64, U64, Bool]:
    """Source, destination (IPv6 folded), and whether the destination is a group."""
    four = rows.family == 4
    if four.all():
        return _ipv4_addresses(gather, rows.address)
    if not four.any():
        return _ipv6_addresses(gather, rows.address, flow_hash)
    source, destination = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
    group = np.empty(len(rows), np.bool_)
    source[four], destination[four], group[four] = _ipv4_addresses(gather, rows.address[four])
    source[~four], destination[~four], group[~four] = _ipv6_addresses(gather, rows.address[~four], flow_hash)
    return source, destination, group


def _ipv4_addresses(gather: Gather, address: I64) -> tuple[U64, U64, Bool]:
    records = gather.take(address, _IPV4_ADDRESSES)
    destination = records["destination"].astype(np.uint64)
    # 224.0.0.0/4 (RFC 5771) and the limited broadcast.
    group = (destination >> np.uint64(28) == 14) | (destination == 0xFFFFFFFF)
    return records["source"].astype(np.uint64), destination, group


def _ipv6_addresses(gather: Gather, address: I64, flow_hash: FlowHash) -> tuple[U64, U64, Bool]:
    records = gather.take(address, _IPV6_ADDRESSES)
    upper = records["d1"].astype(np.uint64)
    source = flow_hash.fold(records["s1"].astype(np.uint64), records["s0"].astype(np.uint64))
    destination = flow_hash.fold(upper, records["d0"].astype(np.uint64))
    # ff00::/8 (RFC 4291, 2.7).
    return source, destination, upper >> np.uint64(56) == 0xFF


def ports_of(gather: Gather, rows: Rows) -> npt.NDArray[Any]:
    """The records at the transport headers of the rows."""
    return gather.take(rows.pos, PORTS_AND_NUMBERS)


def read_headers(
    gather: Gather, rows: Rows, flow_hash: FlowHash, records: npt.NDArray[Any] | None = None
) -> tuple[Headers, int]:
    """Read the TCP and UDP headers.

    Args:
        gather: the buffer.
        rows: where the headers are.
        flow_hash: makes ``flow``.
        records: what :func:`ports_of` gave for the rows, if it was asked before.

    Returns:
        The headers, and the number of rows left out since their header contradicts itself.
    """
    if records is None:
        records = ports_of(gather, rows)
    sport, dport = records["sport"].astype(np.int64), records["dport"].astype(np.int64)
    seq, ack = records["seq"].astype(np.int64), records["ack"].astype(np.int64)
    flags = records["flags"].copy()
    carried = rows.wire - rows.pos
    header = (records["size"] >> 4).astype(np.int64) << 2
    udp = rows.protocol == UDP
    if udp.any():
        told = seq >> 16
        # Length 0 is a jumbogram (RFC 2675, 4) or a frame before segmentation offload.
        bound = np.where(udp & (told > 0), np.minimum(carried, told), carried)
        header[udp] = UDP_HEADER
        seq[udp] = 0
        ack[udp] = 0
        flags[udp] = 0
        good = (header >= np.where(udp, UDP_HEADER, TCP_HEADER)) & (header <= bound)
    else:
        bound = carried
        good = (header >= TCP_HEADER) & (header <= bound)
    source, destination, group = _addresses(gather, rows, flow_hash)
    flow, side = flow_hash.flows(source, destination, sport.view(np.uint64), dport.view(np.uint64), udp)
    wire = bound - header
    # Options that the capture length cut leave no payload.
    payload = np.minimum(rows.pos + header, rows.end)
    length = np.minimum(wire, rows.end - payload)
    headers = Headers(
        rows.row,
        rows.family,
        rows.protocol,
        rows.address,
        flow,
        side,
        sport,
        dport,
        seq,
        ack,
        flags,
        payload,
        length,
        wire,
        group,
    )
    if good.all():
        return headers, 0
    return headers.pick(good), int(len(good) - np.count_nonzero(good))
