"""What a capture gives: blocks of frames as columns, and the interfaces they came from.

A field capture has millions of packets and most are noise, so there is no object for a packet: a :class:`Block`
is a piece of the file with one numpy array for each header field, pointing into its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding

__all__ = ["Block", "FilePlace", "FrameSource", "Interface", "SourceInfo"]

I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class Interface:
    """One capture interface (pcapng IDB; a pcap file has exactly one).

    Attributes:
        number: index over all sections and files, as :attr:`Block.interface` counts.
        link_type: LINKTYPE_ number.
        snaplen: capture length limit in bytes, 0 for none.
        digits: decimal digits of a second that its timestamps have (6 for microseconds, 9 for nanoseconds).
        name, description, os: as the capture says, empty where it does not.
    """

    number: int
    link_type: int
    snaplen: int = 0
    digits: int = 6
    name: str = ""
    description: str = ""
    os: str = ""


@dataclass(slots=True)
class Block:
    """A batch of frames. All columns have one entry a frame, in file order.

    Attributes:
        data: the bytes that ``offset`` points into (headers of the file format included).
        offset: where the frame's bytes begin in ``data``.
        caplen: bytes of the frame that are there.
        wirelen: bytes the frame had on the wire.
        time: nanoseconds since 1970-01-01 UTC (if_tsoffset applied).
        interface: index into :attr:`FrameSource.interfaces`.
        first: number of the first frame (1-based over all files).
    """

    data: bytes
    offset: I64
    caplen: I64
    wirelen: I64
    time: I64
    interface: I64
    first: int

    def __len__(self) -> int:
        return len(self.offset)

    def parts(self, most: int) -> Iterator[tuple[int, Block]]:
        """The same frames in blocks of about as many each, at most ``most``, with only the bytes they point into; and
        where those begin in these."""
        count = len(self)
        if count <= most:
            yield 0, self
            return
        step = -(-count // -(-count // most))
        for low in range(0, count, step):
            part = slice(low, low + step)
            offset, caplen = self.offset[part], self.caplen[part]
            begin, end = int(offset[0]), int(offset[-1] + caplen[-1])
            yield begin, Block(
                self.data[begin:end], offset - begin, caplen, self.wirelen[part], self.time[part],
                self.interface[part], self.first + low,
            )  # fmt: skip


@dataclass(slots=True)
class SourceInfo:
    """What is known of the input besides its frames; grows while it is read.

    Attributes:
        paths: files in the order read ("-" for standard input).
        containers: for each file, such as ``pcap little-endian microseconds`` or ``pcapng, gzip``.
        starts: for each file, the number of its first frame.
        bytes_read: bytes of the files consumed so far (compressed size where compressed).
        bytes_total: size of the files together, None for a pipe.
        frames: frames given so far.
        comments: section, interface and packet comments as (frame number or 0, text).
        secrets: decryption secrets blocks as (type, bytes): 0x544c534b is a TLS key log.
        names: name resolution: address → names.
        findings: what was wrong with the container (cut file, bad block), never fatal once a frame was read.
    """

    paths: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    bytes_read: int = 0
    bytes_total: int | None = None
    frames: int = 0
    comments: list[tuple[int, str]] = field(default_factory=list)
    secrets: list[tuple[int, bytes]] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class FilePlace(NamedTuple):
    """Where some bytes are in an opened plain file: ``file`` tells it from the others of one capture, as the number of
    its descriptor does not once one of them is closed."""

    descriptor: int
    offset: int
    file: int = 0


class FrameSource(Protocol):
    """An opened input. Iterating gives blocks as soon as they are whole; one pass only."""

    interfaces: list[Interface]
    info: SourceInfo
    paths: list[str]

    def __iter__(self) -> Iterator[Block]:
        """The blocks, in order."""
        ...

    def close(self) -> None:
        """Close the files; iterating ends."""
        ...

    def locate(self, frame: int) -> tuple[str, int]:
        """File and number inside that file of a frame."""
        ...

    def place(self, block: Block) -> FilePlace | None:
        """Where the bytes of the block just given are, None where they are in no file as they are."""
        ...
