"""Stories as built packets: a small TCP that segments, acknowledges and closes, with a clock that ticks.

Only for tests and damaged samples; the whole samples were recorded from a real TCP stack.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from tests.support.stories import Channel, Story

__all__ = ["Frame", "Wire", "frames_of", "write_pcap"]

START = 1_772_442_904_000_000_000
"""2026-03-02T09:15:04Z in nanoseconds."""


@dataclass
class Frame:
    """One Ethernet frame. ``payload`` is its TCP or UDP payload's length, ``key`` its channel and sender."""

    time: int
    data: bytes
    channel: str = ""
    back: bool = False
    payload: int = 0
    wirelen: int | None = None


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\x00"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


@cache
def parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address)


def packet(source: str, destination: str, protocol: int, transport: bytes, number: int = 0, sums: bool = True) -> bytes:
    """Ethernet, IPv4 or IPv6, and a TCP or UDP packet whose checksum is filled in (``sums``)."""
    src, dst = parsed(source), parsed(destination)
    at = 16 if protocol == 6 else 6
    if src.version == 4:
        pseudo = src.packed + dst.packed + struct.pack(">BBH", 0, protocol, len(transport))
    else:
        pseudo = src.packed + dst.packed + struct.pack(">IHBB", len(transport), 0, 0, protocol)
    value = checksum(pseudo + transport) if sums else 0
    transport = transport[:at] + struct.pack(">H", value or (0xFFFF if protocol == 17 else 0)) + transport[at + 2 :]
    macs = b"\x02\x00\x00\x00\x00" + dst.packed[-1:] + b"\x02\x00\x00\x00\x00" + src.packed[-1:]
    if src.version == 6:
        header = struct.pack(">IHBB", 0x60000000, len(transport), protocol, 64) + src.packed + dst.packed
        return macs + b"\x86\xdd" + header + transport
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), number & 0xFFFF, 0x4000, 64, protocol, 0)
    header += src.packed + dst.packed
    header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
    return macs + b"\x08\x00" + header + transport


@dataclass
class Side:
    address: str
    port: int
    seq: int
    sent: int = 0
    closed: bool = False


@dataclass
class Wire:
    """Carries stories. ``mss``: payload of a segment; ``map_address`` renames the parties."""

    mss: int = 1460
    clock: int = START
    tick: int = 20_000
    addresses: dict[str, str] = field(default_factory=dict)
    first_port: int = 49152
    first_seq: int = 1_000_000
    acks: bool = True
    sums: bool = True

    def __post_init__(self) -> None:
        self._ports = self.first_port
        self._open: dict[str, tuple[Side, Side]] = {}
        self._number = 0

    def carry(self, story: Story) -> Iterator[Frame]:
        """The frames of a story, connections opened at their first turn and closed at the end."""
        for turn in story.turns:
            channel = story.channels[turn.channel]
            self.clock += int(turn.pause * 1e9)
            yield from self._turn(turn.channel, channel, turn.data, turn.back)
            if turn.close and not channel.udp:
                yield from self._close(turn.channel, turn.back)
        for name in list(self._open):
            if not story.channels[name].udp:
                yield from self._close(name, False)
        self._open.clear()

    def _sides(self, name: str, channel: Channel) -> Iterator[Frame]:
        self._ports = self._ports + 1 if self._ports < 65000 else self.first_port
        client = Side(self.addresses.get(channel.client, channel.client), self._ports, self.first_seq)
        server = Side(
            self.addresses.get(channel.server, channel.server), channel.port, (self.first_seq + 77_777) & 0xFFFFFFFF
        )
        self._open[name] = (client, server)
        if channel.udp:
            return
        yield self._tcp(name, False, 0x02, b"")
        client.sent = 1
        yield self._tcp(name, True, 0x12, b"")
        server.sent = 1
        yield self._tcp(name, False, 0x10, b"")

    def _turn(self, name: str, channel: Channel, data: bytes, back: bool) -> Iterator[Frame]:
        if name not in self._open:
            yield from self._sides(name, channel)
        if channel.udp:
            one, two = self._open[name][::-1] if back else self._open[name]
            header = struct.pack(">HHHH", one.port, two.port, 8 + len(data), 0)
            yield self._frame(name, back, one, two, 17, header + data, len(data))
            return
        side = self._open[name][back]
        for start in range(0, len(data), self.mss):
            piece = data[start : start + self.mss]
            yield self._tcp(name, back, 0x18 if start + self.mss >= len(data) else 0x10, piece)
            side.sent += len(piece)
            if self.acks and (start // self.mss) % 2:
                yield self._tcp(name, not back, 0x10, b"")
        if self.acks:
            yield self._tcp(name, not back, 0x10, b"")

    def _close(self, name: str, back: bool) -> Iterator[Frame]:
        if name not in self._open:
            return
        for who in (back, not back):
            yield self._tcp(name, who, 0x11, b"")
            self._open[name][who].sent += 1
        yield self._tcp(name, back, 0x10, b"")
        del self._open[name]

    def _tcp(self, name: str, back: bool, flags: int, data: bytes) -> Frame:
        client, server = self._open[name]
        one, two = (server, client) if back else (client, server)
        ack = (two.seq + two.sent) & 0xFFFFFFFF if flags & 0x10 else 0
        header = struct.pack(
            ">HHIIBBHHH", one.port, two.port, (one.seq + one.sent) & 0xFFFFFFFF, ack, 0x50, flags, 64240, 0, 0
        )
        return self._frame(name, back, one, two, 6, header + data, len(data))

    def _frame(self, name: str, back: bool, one: Side, two: Side, protocol: int, data: bytes, payload: int) -> Frame:
        self.clock += self.tick
        self._number += 1
        return Frame(
            self.clock, packet(one.address, two.address, protocol, data, self._number, self.sums), name, back, payload
        )


def frames_of(story: Story, **options: object) -> list[Frame]:
    """All frames of a story carried by a fresh :class:`Wire` with these options."""
    return list(replace(Wire(), **options).carry(story))


def write_pcap(frames: list[Frame], *, nanoseconds: bool = False, order: str = "<") -> bytes:
    """A pcap file, Ethernet."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds else 1000
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1)]
    for frame in frames:
        seconds, rest = divmod(frame.time, 1_000_000_000)
        size = len(frame.data)
        out.append(struct.pack(order + "IIII", seconds, rest // unit, size, frame.wirelen or size) + frame.data)
    return b"".join(out)
