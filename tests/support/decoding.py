"""Decoding frames on the fast path and row by row, and comparing what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.model import Block, Interface
from dissector.transport.columns import FlowHash
from dissector.transport.model import PacketColumns, TransportStats
from dissector.transport.packets import PacketDecoder
from tests.support.packets import block


def plain(columns: PacketColumns) -> dict[str, object]:
    """All columns as lists."""
    return {
        f.name: value.tolist() if isinstance(value := getattr(columns, f.name), np.ndarray) else value
        for f in fields(columns)
    }


def decode(
    frames: Sequence[bytes] | Block,
    link: int | Sequence[int] = 1,
    *,
    limits: Limits = DEFAULT_LIMITS,
    fast: bool = True,
    finish: bool = True,
) -> tuple[PacketColumns, TransportStats]:
    """The columns of one block, and the counts."""
    columns, stats = _decode(frames, link, limits, fast, FlowHash(), finish)
    return columns, stats


def decode_both(
    frames: Sequence[bytes] | Block, link: int | Sequence[int] = 1, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[PacketColumns, TransportStats]:
    """The same, after checking that both paths agree in every column and every count."""
    flow_hash = FlowHash()
    columns, stats = _decode(frames, link, limits, True, flow_hash, True)
    walked, walked_stats = _decode(frames, link, limits, False, flow_hash, True)
    assert plain(walked) == plain(columns)
    assert walked_stats == stats
    for name, dtype in DTYPES.items():
        assert getattr(columns, name).dtype == np.dtype(dtype), name
        assert len(getattr(columns, name)) == len(columns), name
    assert sum(stats.link_types.values()) == stats.frames
    return columns, stats


def _decode(
    frames: Sequence[bytes] | Block,
    link: int | Sequence[int],
    limits: Limits,
    fast: bool,
    flow_hash: FlowHash,
    finish: bool,
) -> tuple[PacketColumns, TransportStats]:
    stats = TransportStats()
    links = [link] if isinstance(link, int) else link
    interfaces = [Interface(n, number) for n, number in enumerate(links)]
    decoder = PacketDecoder(interfaces, stats, limits, fast=fast, flow_hash=flow_hash)
    columns = decoder.decode(frames if isinstance(frames, Block) else block(frames))
    if finish:
        decoder.finish()
    return columns, stats


def payload(columns: PacketColumns, row: int = 0) -> bytes:
    """The payload of one row."""
    start = int(columns.payload[row])
    return columns.buffers[columns.buffer[row]][start : start + int(columns.length[row])]


DTYPES = {
    "frame": "i8",
    "time": "i8",
    "protocol": "u1",
    "flow": "u8",
    "side": "?",
    "sport": "i4",
    "dport": "i4",
    "family": "u1",
    "address": "i8",
    "seq": "i8",
    "ack": "i8",
    "flags": "u1",
    "buffer": "i4",
    "payload": "i8",
    "length": "i8",
    "wire": "i8",
    "at": "i8",
    "multicast": "?",
}
