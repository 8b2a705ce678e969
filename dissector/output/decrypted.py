"""Writes a capture anew so that Wireshark, or anybody, can read what was encrypted in it.

Two ways. *With secrets*: all packets as they are, and before them the secrets of the connections that could be opened,
no others: also where a private RSA key opened them, which then need not be given away. *Plain*: in place of the packets
of each opened connection stand packets of a TCP connection between the same two endpoints, with what the TLS records
held; all other packets stay as they are.

Of the plain packets times, endpoints and every byte are true; a byte stands in a packet with the time of the one that
carried it. Sequence numbers, handshake and acknowledgements are made. Where records are missing, sequence numbers
jump, so that the hole is seen as one.

The capture is read twice: which connections can be opened is known only at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from dissector.assembly import INTEREST, TLS
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, Gap, StreamRef
from dissector.capture import TLS_KEY_LOG, PcapngWriter, open_source
from dissector.capture.building import TCP, address_pair, ip_packet, tcp_segment
from dissector.capture.copying import FrameCopier
from dissector.capture.model import Block
from dissector.http.connection import HttpConnection
from dissector.http.model import BodyPolicy
from dissector.http.reader import MessageReader
from dissector.transport.flows import FlowTable
from dissector.transport.model import (
    ACK,
    FIN,
    NOBODY,
    PSH,
    RST,
    SYN,
    Conversation,
    PacketColumns,
    Run,
    StreamConsumer,
    StreamEnd,
    TransportStats,
)
from dissector.transport.packets import PacketDecoder
from dissector.transport.tls import KeyMaterial
from dissector.transport.tls.model import TlsFacts
from dissector.transport.tls.table import TlsTable

__all__ = ["write_plain", "write_with_secrets"]

LINKTYPE_RAW = 101
LARGEST = 16 << 10
"""Payload of one made packet; packets of a capture can be as large where the network card cuts them."""


def write_with_secrets(paths: Sequence[str], opened: Sequence[TlsFacts], file: BinaryIO) -> None:
    """Write all packets, and the secrets that open the connections.

    Raises:
        UnreadableInput: it is no capture.
    """
    lines = [line for facts in opened for line in facts.secrets]
    with open_source(list(paths)) as source:
        writer = PcapngWriter(file, application="dsmshark")
        if lines:
            writer.write_secrets(TLS_KEY_LOG, ("\n".join(dict.fromkeys(lines)) + "\n").encode())
        copier = FrameCopier(source, writer, secrets=False)
        for block in source:
            copier.copy(block)


def write_plain(
    paths: Sequence[str],
    opened: Sequence[TlsFacts],
    file: BinaryIO,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Write the packets, those of the opened connections with what the TLS records held.

    Raises:
        UnreadableInput: it is no capture.
    """
    with open_source(list(paths)) as source:
        # The secrets that opened them: also where they came from a pipe, or stand behind the packets.
        keys = KeyMaterial()
        keys.add_log("".join(f"{line}\n" for facts in opened for line in facts.secrets).encode())
        again = _Again(opened, keys, file, limits)
        stats = TransportStats()
        decoder = PacketDecoder(source.interfaces, stats, limits)
        words = INTEREST.words if any(facts.tunnel for facts in opened) else frozenset()
        interest = replace(INTEREST, words=words, datagram=frozenset(), ports=frozenset(), opened={TLS})
        flows = FlowTable(interest, again.consumer, lambda _: None, stats, limits)
        copier = FrameCopier(source, again.writer, secrets=False)
        for block in source:
            again.first = block.first
            columns = decoder.decode(block)
            flows.feed(columns)
            again.write(block, copier, again.kept(block, columns))
        decoder.finish()
        flows.finish()
        again.write(None, copier, None)


class _Again:
    """The second reading: plain streams become packets, in the order of the frames that carried them."""

    def __init__(self, opened: Sequence[TlsFacts], keys: KeyMaterial, file: BinaryIO, limits: Limits) -> None:
        self.writer = PcapngWriter(file, application="dsmshark")
        self.raw = self.writer.add_interface(
            LINKTYPE_RAW, name="plain", description="made by dsmshark from what TLS records held"
        )
        self.first = 1
        self._deepest: dict[int, int] = {}
        """Of each opened connection: how many TLS connections are inside of one another."""
        for facts in opened:
            self._deepest[facts.number] = max(facts.depth, self._deepest.get(facts.number, 0))
        self._pairs = {frozenset((facts.client, facts.server)) for facts in opened}
        self._ports = np.array(sorted({end.port for pair in self._pairs for end in pair}), dtype=np.int32)
        self._table = TlsTable(keys, self._inner, limits)
        self._limits = limits
        self._tunnels: dict[int, _Tunnel] = {}
        """Of one direction, until the other one comes."""
        self._made_for: dict[int, _Connection] = {}
        self._events: list[_Event] = []
        self._made = 0

    def consumer(self, conversation: Conversation, stream: StreamRef) -> StreamConsumer:
        """For the flow table."""
        if conversation.number not in self._deepest:
            conversation.released = True
            return NOBODY
        if conversation.protocol == TLS:
            return self._table.consumer(conversation, stream)
        tunnel = self._tunnels.pop(conversation.number, None)
        if tunnel is None:
            made = _Connection(self, conversation.number)
            tunnel = _Tunnel(self, conversation, self._table, self._limits, made, 0)
            self._tunnels[conversation.number] = tunnel
        return tunnel.direction(stream)

    def _inner(self, conversation: Conversation, depth: int) -> Callable[[StreamRef], StreamConsumer]:
        made = self.connection(conversation)
        if depth < self._deepest[conversation.number]:
            return _Tunnel(self, conversation, self._table, self._limits, made, depth + 1).direction
        return made.direction

    def connection(self, conversation: Conversation) -> _Connection:
        """The made connection of a conversation: what stood before its TLS goes before what was inside."""
        made = self._made_for.pop(conversation.number, None)
        return _Connection(self, conversation.number) if made is None else made

    def before(self, conversation: Conversation, connection: _Connection) -> None:
        """The plain beginning of a conversation goes to this connection."""
        self._made_for[conversation.number] = connection

    def put(self, event: _Event) -> None:
        """Something that a connection says; of a frame of an earlier block, at the begin of this one."""
        self._made += 1
        self._events.append(event._replace(frame=max(event.frame, self.first), order=self._made))

    def kept(self, block: Block, columns: PacketColumns) -> npt.NDArray[np.bool_]:
        """The frames that are not of opened connections."""
        keep = np.ones(len(block), dtype=np.bool_)
        likely = (columns.protocol == TCP) & np.isin(columns.sport, self._ports) & np.isin(columns.dport, self._ports)
        for row in np.flatnonzero(likely).tolist():
            if frozenset(columns.endpoints(row)) in self._pairs:
                frames = [frame for frame, _, _ in columns.fragments.get(row, ())] or [int(columns.frame[row])]
                for frame in frames:
                    if frame >= block.first:
                        keep[frame - block.first] = False
        return keep

    def write(self, block: Block | None, copier: FrameCopier, keep: npt.NDArray[np.bool_] | None) -> None:
        """Write the frames to be kept and the packets made, in order."""
        events, self._events = sorted(self._events, key=lambda one: (one.frame, one.order)), []
        at = 0
        if block is not None and keep is not None:
            copier.begin(block)
            for row in np.flatnonzero(keep).tolist():
                while at < len(events) and events[at].frame <= block.first + row:
                    self._say(events[at])
                    at += 1
                copier.frame(block, row)
        for event in events[at:]:
            self._say(event)

    def _say(self, event: _Event) -> None:
        # Only now are numbers given: one direction may have been read before the other.
        for packet in event.connection.packets(event):
            self.writer.write_packet(event.time, packet, self.raw)


class _Event(NamedTuple):
    """A side of a connection sends a packet, or (``skip``) leaves out sequence numbers."""

    connection: _Connection
    side: int
    flags: int
    data: bytes
    frame: int
    time: int
    skip: int = 0
    order: int = 0


class _Connection:
    """One made TCP connection."""

    def __init__(self, again: _Again, number: int) -> None:
        self.again = again
        # Others for each connection: ports that are used again are not taken for a retransmission.
        self._numbers = [number * 0x10000 + 1 & 0xFFFFFFFF, number * 0x10000 + 0x8001 & 0xFFFFFFFF]
        self.ends: list[Endpoint] = []
        self._begun = False
        self._reset = False

    def direction(self, stream: StreamRef) -> _Direction:
        """The client's is made first."""
        self.ends = self.ends or [stream.source, stream.destination]
        return _Direction(self, 0 if stream.source == self.ends[0] else 1)

    def packets(self, event: _Event) -> Iterator[bytes]:
        """The packets of an event; the handshake comes before the first."""
        if event.skip:
            self._advance(event.side, event.skip)
            return
        if not self._begun:
            self._begun = True
            for who, bits in ((0, SYN), (1, SYN | ACK), (0, ACK)):
                yield self._packet(who, bits, b"")
        if not self._reset:
            yield self._packet(event.side, event.flags, event.data)
            self._reset = bool(event.flags & RST)

    def _packet(self, side: int, flags: int, data: bytes) -> bytes:
        one, two = self.ends[side], self.ends[1 - side]
        source, destination = address_pair(one, two)
        numbers = (self._numbers[side], self._numbers[1 - side] if flags & ACK else 0)
        segment = tcp_segment((source, one.port), (destination, two.port), numbers, flags, data)
        self._advance(side, len(data) + bool(flags & (SYN | FIN)))
        return ip_packet(source, destination, TCP, segment, 0)

    def _advance(self, side: int, size: int) -> None:
        self._numbers[side] = self._numbers[side] + size & 0xFFFFFFFF


class _Tunnel:
    """One connection of HTTP that TLS begins in: what stands before the TLS is written as it is. ``depth`` is the
    TLS's."""

    def __init__(
        self,
        again: _Again,
        conversation: Conversation,
        table: TlsTable,
        limits: Limits,
        made: _Connection,
        depth: int,
    ) -> None:
        self._made = made
        client = conversation.client or conversation.first
        server = conversation.second if client == conversation.first else conversation.first
        self._made.ends = [client, server]
        again.before(conversation, self._made)
        self._http = HttpConnection(
            conversation,
            lambda _: None,
            BodyPolicy(digest=False),
            limits,
            lambda one, asked: lambda stream: table.consumer(one, stream, asked, depth),
            ordered=depth > 0,
        )

    def direction(self, stream: StreamRef) -> StreamConsumer:
        """The consumer of one direction."""
        return _Before(self._http.direction(stream), self._made.direction(stream))


class _Before:
    """Takes one direction of it."""

    def __init__(self, reader: MessageReader, plain: _Direction) -> None:
        self._reader = reader
        self._plain = plain

    @property
    def consumed(self) -> int:
        return self._reader.consumed

    def data(self, run: Run) -> None:
        self._reader.data(run)
        upto = self._reader.tunnelled
        if upto is None or upto > run.offset:
            data = run.data if upto is None else run.data[: upto - run.offset]
            self._plain.data(Run(run.offset, data, run.frames))

    def gap(self, gap: Gap) -> None:
        self._reader.gap(gap)
        if self._reader.tunnelled is None:
            self._plain.gap(gap)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        self._reader.end(how, frame, time)
        if self._reader.tunnelled is None:
            self._plain.end(how, frame, time)


class _Direction:
    """Takes one plain stream."""

    def __init__(self, connection: _Connection, side: int) -> None:
        self._connection = connection
        self._side = side
        self._frame = 0
        self._time = 0
        self.consumed = 0

    def data(self, run: Run) -> None:
        """The next bytes: a packet for each that carried some of them."""
        end = run.offset + len(run.data)
        for low, high, frame, time in run.frames.pieces(run.offset, end):
            self._frame, self._time = frame, time
            for start in range(low, high, LARGEST):
                part = bytes(run.data[start - run.offset : min(start + LARGEST, high) - run.offset])
                self._say(ACK | PSH, part)
        self.consumed = end

    def gap(self, gap: Gap) -> None:
        """Bytes that are missing; one, where it is not known how many."""
        self._say(0, b"", gap.length or 1)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """The end, as far as the capture shows one."""
        if how in (StreamEnd.FIN, StreamEnd.RESET):
            bits = FIN | ACK if how is StreamEnd.FIN else RST | ACK
            self._frame, self._time = frame or self._frame, time or self._time
            self._say(bits, b"")

    def _say(self, flags: int, data: bytes, skip: int = 0) -> None:
        connection = self._connection
        connection.again.put(_Event(connection, self._side, flags, data, self._frame, self._time, skip))
