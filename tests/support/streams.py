"""Frames through the packet decoder and the flow table, with consumers that write down what they are given."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import FrameMap, Gap, StreamRef
from dissector.capture import open_source
from dissector.transport.flows import FlowTable
from dissector.transport.model import Conversation, Datagram, Interest, Run, StreamEnd, TransportStats
from dissector.transport.packets import PacketDecoder
from tests.support.wire import Frame, write_pcap

INTEREST = Interest(
    words=frozenset([b"POST", b"HTTP", b"GET "]),
    opaque={b"\x16\x03": "tls"},
    midst={b"\x17\x03\x03": "tls"},
    datagram=frozenset([b"<"]),
    ports=frozenset([3702]),
)


@dataclass
class Taken:
    """What one direction gave: events in order, bytes joined between gaps."""

    stream: StreamRef
    events: list[tuple[object, ...]] = field(default_factory=list)
    frames: FrameMap = field(default_factory=FrameMap)
    consumed: int = 0

    def data(self, run: Run) -> None:
        if self.events and self.events[-1][0] == "data":
            offset, before = self.events[-1][1:]
            assert isinstance(offset, int)
            assert isinstance(before, bytes)
            assert offset + len(before) == run.offset
            self.events[-1] = ("data", offset, before + bytes(run.data))
        else:
            self.events.append(("data", run.offset, bytes(run.data)))
        self.frames = run.frames

    def gap(self, gap: Gap) -> None:
        self.events.append(("gap", gap))

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        self.events.append(("end", how, frame))

    @property
    def bytes(self) -> bytes:
        return b"".join(e[2] for e in self.events if e[0] == "data" and isinstance(e[2], bytes))

    @property
    def gaps(self) -> list[Gap]:
        return [e[1] for e in self.events if e[0] == "gap" and isinstance(e[1], Gap)]


@dataclass
class Passed:
    """One pass: the directions taken, in the order they were taken."""

    taken: list[Taken] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    datagrams: list[Datagram] = field(default_factory=list)
    stats: TransportStats = field(default_factory=TransportStats)

    def factory(self, conversation: Conversation, stream: StreamRef) -> Taken:
        if conversation not in self.conversations:
            self.conversations.append(conversation)
        self.taken.append(Taken(stream))
        return self.taken[-1]

    def events(self) -> list[tuple[str, list[tuple[object, ...]]]]:
        return [(str(t.stream), t.events) for t in self.taken]


def pass_over(
    frames: list[Frame] | bytes, *, block: int = 8 << 20, bulk: bool = True, limits: Limits = DEFAULT_LIMITS
) -> Passed:
    """Read frames (or a capture file's bytes) in blocks of so many bytes."""
    raw = frames if isinstance(frames, bytes) else write_pcap(frames)
    source = open_source(io.BytesIO(raw), block_bytes=block, limits=limits)
    done = Passed()
    decoder = PacketDecoder(source.interfaces, done.stats, limits)
    table = FlowTable(INTEREST, done.factory, done.datagrams.append, done.stats, limits, bulk=bulk)
    for piece in source:
        table.feed(decoder.decode(piece))
    table.finish()
    return done
