"""Small capture files, made by code, and what reading them must give."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture import CaptureSource, PcapngWriter, PcapWriter, open_source

__all__ = ["BEGIN", "FRAMES", "Frame", "frames_of", "pcap", "pcap_by_hand", "pcapng", "read"]

BEGIN = 1_700_000_000_123_456_789


class Frame(NamedTuple):
    """One frame as read: all that a block's columns say of it."""

    number: int
    time: int
    data: bytes
    wirelen: int
    interface: int


FRAMES = [
    (BEGIN + i * 1_000_001_000, bytes([0x40 + i]) * length, length + extra)
    for i, (length, extra) in enumerate([(60, 0), (0, 14), (1, 0), (255, 1200), (64, 0), (33, 1), (90, 0), (7, 3)])
]
"""(time, bytes, length on the wire), with lengths of all remainders by four."""


def pcap(frames: Sequence[tuple[int, bytes, int]] = tuple(FRAMES), link_type: int = 1, **how: bool) -> bytes:
    """A pcap file by the writer."""
    file = io.BytesIO()
    writer = PcapWriter(file, link_type, **how)
    for time, data, wirelen in frames:
        writer.write(time, data, wirelen)
    return file.getvalue()


def pcapng(frames: Sequence[tuple[int, bytes, int]] = tuple(FRAMES), **how: bool) -> bytes:
    """A pcapng file by the writer: one section, one interface."""
    file = io.BytesIO()
    writer = PcapngWriter(file, **how)
    writer.add_interface()
    for time, data, wirelen in frames:
        writer.write_packet(time, data, wirelen=wirelen)
    return file.getvalue()


def pcap_by_hand(
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    snaplen: int = 65535,
    network: int = 1,
    head_extra: bytes = b"",
    record_extra: bytes = b"",
    swapped: bool = False,
    unit: int = 1000,
    frames: Sequence[tuple[int, bytes, int]] = tuple(FRAMES),
) -> bytes:
    """A pcap file without the writer, with anything in its headers."""
    made = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, network) + head_extra
    for time, data, wirelen in frames:
        seconds, rest = divmod(time, 10**9)
        lengths = (wirelen, len(data)) if swapped else (len(data), wirelen)
        made += struct.pack(order + "IIII", seconds, rest // unit, *lengths) + record_extra + data
    return made


def frames_of(source: CaptureSource) -> list[Frame]:
    """All frames of a source; checks on the way that the blocks are what they should be."""
    frames: list[Frame] = []
    for block in source:
        assert type(block.data) is bytes
        columns = (block.offset, block.caplen, block.wirelen, block.time, block.interface)
        assert {(column.dtype, column.shape) for column in columns} == {(np.dtype(np.int64), (len(block),))}
        assert len(block) > 0
        assert block.first == len(frames) + 1
        assert int(block.interface.max()) < len(source.interfaces)
        for i in range(len(block)):
            at, size = int(block.offset[i]), int(block.caplen[i])
            assert 0 <= at <= at + size <= len(block.data)
            frames.append(
                Frame(
                    block.first + i,
                    int(block.time[i]),
                    block.data[at : at + size],
                    int(block.wirelen[i]),
                    int(block.interface[i]),
                )
            )
        assert source.info.frames == len(frames)
    return frames


def read(data: bytes, block_bytes: int = 8 << 20, limits: Limits = DEFAULT_LIMITS) -> tuple[list[Frame], CaptureSource]:
    """The frames of a file's bytes, and the source that gave them."""
    source = open_source(io.BytesIO(data), block_bytes=block_bytes, limits=limits)
    return frames_of(source), source
