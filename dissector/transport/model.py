"""What the transport room gives to the next one: runs of stream bytes, gaps, datagrams.

``packets`` turns blocks into :class:`PacketColumns` (no state but IP fragments); ``flows`` and ``tcp`` turn those
into the calls of a :class:`StreamConsumer` for each direction that is of interest, and into :class:`Datagram`.
What is of interest is told by the room above through :class:`Interest`, since the transport knows no protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint, FrameMap, Gap, StreamRef

__all__ = [
    "NOBODY",
    "Conversation",
    "Datagram",
    "Interest",
    "PacketColumns",
    "Run",
    "StreamConsumer",
    "StreamEnd",
    "TransportStats",
]

TCP = 6
UDP = 17

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10


@lru_cache(maxsize=1 << 14)
def _address(raw: bytes) -> str:
    """An IPv4 or IPv6 address as text. A new flow asks for two, and there are more flows than hosts."""
    if len(raw) == 4:
        return ".".join(map(str, raw))
    from socket import AF_INET6, inet_ntop

    return inet_ntop(AF_INET6, raw)


@dataclass(slots=True)
class PacketColumns:
    """The TCP and UDP packets of one block, one array entry each, in frame order.

    A frame gives no entry (ARP, other protocols, a fragment that waits) or one. The payload of most packets lies
    in the block's bytes; that of a reassembled IP datagram has a buffer of its own.

    Attributes:
        buffers: ``buffers[0]`` is the block's data, the others hold reassembled datagrams.
        frame: frame number, int64.
        time: nanoseconds since 1970, int64.
        protocol: 6 or 17, uint8.
        flow: hash of both endpoints, the same in both directions, uint64. Salted at random for each process, so
            that a sender cannot aim for collisions: never show it, never order by it.
        side: which of the two endpoints sent it, bool; only equality within a flow means something.
        sport, dport: ports, int32.
        family: 4 or 6, uint8.
        address: where in its buffer the source address begins (the destination address follows), int64.
        seq, ack: TCP numbers, int64 (0..2³²-1); 0 for UDP.
        flags: TCP flags, uint8; 0 for UDP.
        buffer: index into ``buffers``, int32.
        payload: where the payload begins in its buffer, int64.
        length: payload bytes that are there, int64.
        wire: payload bytes that the packet had (more than ``length`` where the capture length cut it), int64.
        at: offset of the payload in its frame, int64; -1 where it was reassembled from fragments.
        multicast: destination is a multicast or broadcast address, bool.
        fragments: for a row that was reassembled from IP fragments, where its payload came from: row → pieces
            (frame, start offset in the frame, length) in payload order; their lengths add up to ``length``.
        words: the first four payload bytes of the TCP rows, uint32, where that was looked up already
            (:func:`~dissector.transport.words.look_up`).
    """

    buffers: Sequence[bytes | memoryview]
    frame: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    protocol: npt.NDArray[np.uint8]
    flow: npt.NDArray[np.uint64]
    side: npt.NDArray[np.bool_]
    sport: npt.NDArray[np.int32]
    dport: npt.NDArray[np.int32]
    family: npt.NDArray[np.uint8]
    address: npt.NDArray[np.int64]
    seq: npt.NDArray[np.int64]
    ack: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]
    buffer: npt.NDArray[np.int32]
    payload: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    wire: npt.NDArray[np.int64]
    at: npt.NDArray[np.int64]
    multicast: npt.NDArray[np.bool_]
    fragments: dict[int, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    words: npt.NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def endpoints(self, row: int) -> tuple[Endpoint, Endpoint]:
        """Source and destination of one row."""
        size = 4 if self.family[row] == 4 else 16
        start = int(self.address[row])
        raw = bytes(self.buffers[self.buffer[row]][start : start + 2 * size])
        source, destination = _address(raw[:size]), _address(raw[size:])
        return Endpoint(source, int(self.sport[row])), Endpoint(destination, int(self.dport[row]))

    def endpoints_of(self, rows: npt.NDArray[np.int64]) -> list[tuple[Endpoint, Endpoint]]:
        """Source and destination of many rows, at half the cost of asking for each."""
        columns = (self.family, self.buffer, self.address, self.sport, self.dport)
        found, make = [], tuple.__new__
        for family, buffer, start, sport, dport in zip(*(column[rows].tolist() for column in columns), strict=True):
            size = 4 if family == 4 else 16
            data = self.buffers[buffer]
            middle = start + size
            source, destination = _address(bytes(data[start:middle])), _address(bytes(data[middle : middle + size]))
            # As Endpoint(), whose own way through Python takes twice the time.
            found.append((make(Endpoint, (source, sport)), make(Endpoint, (destination, dport))))
        return found


@dataclass(slots=True)
class Interest:
    """What the room above wants to have reassembled.

    A direction is taken as soon as one of its segments starts with one of ``words``; one whose beginning was seen
    and does not is noise (it is looked at again at each later segment, by its first four bytes only).

    Attributes:
        words: first four bytes, such as ``b"POST"``; all exactly four long.
        opaque: first bytes of protocols that are counted but not read, such as ``{b"\\x16\\x03": "tls"}``, two
            bytes each.
        opened: those of these protocols that are taken too, since there are keys; may change during the pass.
        masked: other beginnings of opened protocols, as (mask, value, protocol): the first four bytes as a
            little-endian number, masked, are the value.
        midst: first bytes, three each, of segments of opaque protocols whose connection was opened before the capture
            began.
        datagram: first bytes (one byte each) that a datagram of interest can start with.
        ports: UDP ports whose datagrams are of interest whatever they start with.
    """

    words: frozenset[bytes]
    opaque: dict[bytes, str] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    masked: tuple[tuple[int, int, str], ...] = ()
    midst: dict[bytes, str] = field(default_factory=dict)
    datagram: frozenset[bytes] = frozenset()
    ports: frozenset[int] = frozenset()

    def beginnings(self) -> list[tuple[int, int, str]]:
        """How the opened protocols begin, each as in ``masked``."""
        plain = [(0xFFFF, int.from_bytes(start, "little"), name) for start, name in self.opaque.items()]
        return [one for one in (*plain, *self.masked) if one[2] in self.opened]

    def begins(self, start: bytes) -> bool | None:
        """Whether the first bytes of a direction begin something to be taken; None: too few to tell."""
        opened = self.beginnings() if self.opened else ()
        if len(start) >= 4:
            word = int.from_bytes(start[:4], "little")
            return start[:4] in self.words or any(word & mask == value for mask, value, _ in opened)
        if any(word.startswith(start) for word in self.words):
            return None
        size = len(start)
        word, seen = int.from_bytes(start, "little"), (1 << 8 * size) - 1
        return None if any(word & mask == value & seen for mask, value, _ in opened) else False


@dataclass(slots=True)
class Run:
    """Contiguous bytes of one direction, in stream order.

    Attributes:
        offset: stream offset of the first byte.
        data: the bytes (bytes or memoryview; slices of it stay valid).
        frames: the direction's frame map, which already covers these bytes. Shared and growing: take
            :meth:`~dissector.base.origin.FrameMap.cut` of what is to be kept.
        released: the frame that ended the wait for missing bytes of the other direction, 0 where nothing was waited
            for. The bytes are known from there on, whatever frames carried them.
    """

    offset: int
    data: bytes | memoryview
    frames: FrameMap
    released: int = 0


class StreamEnd(Enum):
    """How a direction ended."""

    FIN = "fin"
    RESET = "reset"
    REUSED = "reused"
    """The port pair was used again by a new connection."""
    CAPTURE = "capture"
    """The capture ended, or the stream limit closed it."""


class StreamConsumer(Protocol):
    """Takes the bytes of one direction, in order. Made by the factory given to the flow table."""

    def data(self, run: Run) -> None:
        """The next bytes."""
        ...

    def gap(self, gap: Gap) -> None:
        """Bytes that the capture does not hold; the next run begins behind them."""
        ...

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes. ``frame`` is the frame that ended it (0: none), ``time`` its time or the last seen."""
        ...


class _Nobody:
    """A consumer that takes nothing."""

    def data(self, run: Run) -> None:
        """Nothing."""

    def gap(self, gap: Gap) -> None:
        """Nothing."""

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """Nothing."""


NOBODY = _Nobody()
"""Takes what nobody is to look at, or what comes when a direction has ended."""


@dataclass(slots=True)
class Conversation:
    """One TCP connection, as far as the capture shows it.

    Attributes:
        number: as Wireshark's tcp.stream.
        first: the sender of the first packet seen.
        second: the other endpoint.
        opened: the SYN of the opening side was seen.
        client: the endpoint that opened it (by SYN, SYN/ACK), None where that was not seen.
        findings: of the transport: differing retransmission, data after the end, …
        protocol: the opaque protocol that it was taken for, "" for a word.
        ordering: how many of its consumers need both directions in the order of the frames, at the cost of speed.
        released: its consumers want no more of it.
        ended: how many of its directions have ended, as their consumers were told.
        reset_by: the endpoint that reset it, None where nobody did.
        both: packets of ``second`` were seen too.
    """

    number: int
    first: Endpoint
    second: Endpoint
    opened: bool = False
    client: Endpoint | None = None
    findings: list[Finding] = field(default_factory=list)
    protocol: str = ""
    ordering: int = 0
    released: bool = False
    ended: int = 0
    reset_by: Endpoint | None = None
    both: bool = False

    @property
    def hosts(self) -> tuple[str, str]:
        """The addresses of both ends."""
        return self.first.address, self.second.address


ConsumerFactory = Callable[[Conversation, StreamRef], StreamConsumer]
"""Called once for each direction of a conversation as soon as one of its two directions is of interest."""


@dataclass(slots=True)
class Datagram:
    """One UDP payload of interest.

    Attributes:
        stream: number counts UDP conversations of interest from 0.
        frames: maps its bytes (offsets from 0) to the frame, or frames of its fragments.
        wire: payload bytes it had; more than ``len(data)`` where it was cut.
    """

    stream: StreamRef
    data: bytes
    wire: int
    frame: int
    time: int
    frames: FrameMap
    multicast: bool = False


@dataclass(slots=True)
class TransportStats:
    """Counts of one pass over a capture; the unit is packets unless the name says otherwise."""

    frames: int = 0
    bytes: int = 0
    link_types: dict[int, int] = field(default_factory=dict)
    tcp: int = 0
    udp: int = 0
    other: int = 0
    unknown_link: int = 0
    damaged: int = 0
    fragments: int = 0
    cut: int = 0
    taken: int = 0
    """Packets of conversations and datagrams of interest."""
    conversations: int = 0
    opaque: dict[str, dict[tuple[Endpoint, Endpoint], tuple[int, int]]] = field(default_factory=dict)
    """For each opaque protocol: (client or first sender, other) → (packets, payload bytes)."""
    failed: dict[tuple[Endpoint, Endpoint], int] = field(default_factory=dict)
    """(client, server) → opaque connections of these that failed before they came about."""
    late: dict[tuple[Endpoint, Endpoint], int] = field(default_factory=dict)
    """(client, server) → TLS connections of these whose keys came when they were over."""
    keyed: bool = False
    """Keys for TLS were given."""
    first_time: int | None = None
    last_time: int | None = None
    findings: list[Finding] = field(default_factory=list)

    def take_over(self, other: TransportStats) -> None:
        """Add what was counted in another process, where the packets were decoded or the streams followed. Nothing is
        counted in two of them."""
        for name in self.__slots__:
            own, more = getattr(self, name), getattr(other, name)
            if isinstance(more, list):
                own.extend(more)
            elif isinstance(more, dict):
                own.update(more)
            elif more or own is None:
                setattr(self, name, more)
