"""Packet columns built directly, without frames: for tests of the flow table that need rows no real sender makes."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise

import numpy as np

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.transport.flows import FlowTable
from dissector.transport.model import ACK, TCP, UDP, PacketColumns
from tests.support.streams import INTEREST, Passed

__all__ = ["CLIENT", "SERVER", "Packet", "columns", "fed", "udp"]

CLIENT = ("192.0.2.1", 49152)
SERVER = ("192.0.2.2", 5357)


@dataclass
class Packet:
    """One row. ``wire`` defaults to the length of the data; ``pieces`` are IP fragments as in PacketColumns."""

    data: bytes = b""
    seq: int = 0
    flags: int = ACK
    ack: int = 0
    source: tuple[str, int] = CLIENT
    destination: tuple[str, int] = SERVER
    protocol: int = TCP
    wire: int | None = None
    multicast: bool = False
    pieces: tuple[tuple[int, int, int], ...] = ()

    def back(self) -> Packet:
        """The same from the server to the client."""
        return replace(self, source=self.destination, destination=self.source)


@dataclass
class _Buffer:
    data: bytearray = field(default_factory=bytearray)

    def put(self, data: bytes) -> int:
        at = len(self.data)
        self.data += data
        return at


def columns(packets: Sequence[Packet], first: int = 1) -> PacketColumns:
    """The rows of some packets, numbered from ``first``; rebuilt datagrams lie in a buffer of their own."""
    block, rebuilt = _Buffer(), _Buffer()
    plain = {f.name for f in fields(PacketColumns)} - {"buffers", "fragments", "words"}
    rows: dict[str, list[int]] = {name: [] for name in plain}
    for n, p in enumerate(packets):
        ends = [ipaddress.ip_address(end[0]).packed for end in (p.source, p.destination)]
        buffer = rebuilt if p.pieces else block
        address = buffer.put(b"".join(ends))
        values = {
            "frame": first + n,
            "time": (first + n) * 1000,
            "protocol": p.protocol,
            "flow": hash((p.protocol, *sorted((p.source, p.destination)))) & 0xFFFFFFFFFFFFFFFF,
            "side": p.source < p.destination,
            "sport": p.source[1],
            "dport": p.destination[1],
            "family": 4 if len(ends[0]) == 4 else 6,
            "address": address,
            "seq": p.seq & 0xFFFFFFFF,
            "ack": p.ack & 0xFFFFFFFF,
            "flags": p.flags if p.protocol == TCP else 0,
            "buffer": int(bool(p.pieces)),
            "payload": buffer.put(p.data),
            "length": len(p.data),
            "wire": len(p.data) if p.wire is None else p.wire,
            "at": -1 if p.pieces else 54,
            "multicast": p.multicast,
        }
        for name, value in values.items():
            rows[name].append(value)
    kinds = {
        "protocol": np.uint8, "flow": np.uint64, "side": np.bool_, "sport": np.int32, "dport": np.int32,
        "family": np.uint8, "flags": np.uint8, "buffer": np.int32, "multicast": np.bool_,
    }  # fmt: skip
    return PacketColumns(
        buffers=[bytes(block.data), bytes(rebuilt.data)],
        fragments={n: p.pieces for n, p in enumerate(packets) if p.pieces},
        **{name: np.array(values, dtype=kinds.get(name, np.int64)) for name, values in rows.items()},
    )


def fed(
    packets: Sequence[Packet], *, cuts: Sequence[int] = (), bulk: bool = True, limits: Limits = DEFAULT_LIMITS
) -> Passed:
    """Give packets to a flow table, cut into blocks before the given places."""
    done = Passed()
    table = FlowTable(INTEREST, done.factory, done.datagrams.append, done.stats, limits, bulk=bulk)
    edges = sorted({0, *cuts, len(packets)})
    for low, high in pairwise(edges):
        table.feed(columns(packets[low:high], low + 1))
    table.finish()
    return done


def udp(data: bytes, **options: object) -> Packet:
    """A datagram."""
    return replace(Packet(data, protocol=UDP), **options)
