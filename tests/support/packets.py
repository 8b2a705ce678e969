"""Frames for tests, built header by header, with right lengths and checksums; independent of the code under test.

Each function puts one header before ``payload``: ``ether(ipv4(tcp(b"GET", 1024, 80)))``. ``ipv4`` and ``ipv6`` fill in
the checksum of a TCP or UDP packet that they carry whole.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from dissector.capture.model import Block

A4, B4 = "192.0.2.1", "198.51.100.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
TCP, UDP = 6, 17
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(
    payload: bytes = b"",
    sport: int = 40000,
    dport: int = 80,
    seq: int = 1000,
    ack: int = 2000,
    flags: int = ACK,
    options: bytes = b"",
    window: int = 65535,
) -> bytes:
    options += b"\0" * (-len(options) % 4)
    size = (20 + len(options)) // 4
    seq, ack = seq & 0xFFFFFFFF, ack & 0xFFFFFFFF
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, size << 4, flags, window, 0, 0) + options + payload


def udp(payload: bytes = b"", sport: int = 40000, dport: int = 3702, length: int | None = None) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def _filled(protocol: int, pseudo: bytes, segment: bytes) -> bytes:
    """A TCP or UDP packet with its checksum."""
    at = {TCP: 16, UDP: 6}.get(protocol)
    if at is None or len(segment) < at + 2 or segment[at : at + 2] != b"\0\0":
        return segment
    value = checksum(pseudo + segment) or 0xFFFF
    return segment[:at] + struct.pack(">H", value) + segment[at + 2 :]


def ipv4(
    payload: bytes,
    src: str = A4,
    dst: str = B4,
    protocol: int = TCP,
    *,
    options: bytes = b"",
    ident: int = 1,
    offset: int = 0,
    more: bool = False,
    total: int | None = None,
    ttl: int = 64,
) -> bytes:
    """``offset`` in bytes; ``total`` overrides the total length."""
    options += b"\0" * (-len(options) % 4)
    size = 20 + len(options)
    addresses = IPv4Address(src).packed + IPv4Address(dst).packed
    if not offset and not more:
        payload = _filled(protocol, addresses + struct.pack(">HH", protocol, len(payload)), payload)
    length = size + len(payload) if total is None else total
    flags = offset // 8 | (0x2000 if more else 0)
    head = struct.pack(">BBHHHBBH", 0x40 | size // 4, 0, length & 0xFFFF, ident, flags, ttl, protocol, 0)
    value = checksum(head + addresses + options)
    return head[:10] + struct.pack(">H", value) + addresses + options + payload


def ipv6(
    payload: bytes, src: str = A6, dst: str = B6, protocol: int = TCP, *, length: int | None = None, hops: int = 64
) -> bytes:
    """``protocol`` is the next header; ``length`` overrides the payload length."""
    addresses = IPv6Address(src).packed + IPv6Address(dst).packed
    payload = _filled(protocol, addresses + struct.pack(">II", len(payload), protocol), payload)
    size = len(payload) if length is None else length
    return struct.pack(">IHBB", 6 << 28, size & 0xFFFF, protocol, hops) + addresses + payload


def extension(payload: bytes, following: int, size: int = 8) -> bytes:
    """A hop-by-hop, routing or destination options header of ``size`` bytes, padded."""
    return struct.pack(">BB", following, size // 8 - 1) + b"\1" + bytes([size - 4]) + bytes(size - 4) + payload


def fragment_header(payload: bytes, following: int, offset: int, more: bool, ident: int = 7) -> bytes:
    """The IPv6 fragment header."""
    return struct.pack(">BBHI", following, 0, offset | more, ident) + payload


def authentication(payload: bytes, following: int) -> bytes:
    """An authentication header with a value of 12 bytes."""
    return struct.pack(">BBHII", following, 4, 0, 1, 1) + bytes(12) + payload


def ether(payload: bytes, ethertype: int | None = None, *, pad: bool = False) -> bytes:
    """``pad`` fills up to 60 bytes, as a network card does."""
    frame = bytes.fromhex("020000000002020000000001") + struct.pack(">H", _type(payload, ethertype)) + payload
    return frame + b"\xee" * (60 - len(frame)) if pad else frame


def _type(payload: bytes, ethertype: int | None) -> int:
    if ethertype is not None:
        return ethertype
    return 0x0800 if payload[0] >> 4 == 4 else 0x86DD


def vlan(payload: bytes, ethertype: int | None = None, ident: int = 5) -> bytes:
    """What follows a tag's type number: put it behind ``ether(…, 0x8100)``."""
    return struct.pack(">HH", ident, _type(payload, ethertype)) + payload


def snap(payload: bytes, ethertype: int | None = None) -> bytes:
    """802.2 LLC and SNAP."""
    return b"\xaa\xaa\x03\0\0\0" + struct.pack(">H", _type(payload, ethertype)) + payload


def ether_llc(payload: bytes) -> bytes:
    """Ethernet with a length instead of a type."""
    inner = snap(payload)
    return ether(inner, len(inner))


def sll(payload: bytes, ethertype: int | None = None) -> bytes:
    return struct.pack(">HHH", 0, 1, 6) + bytes(8) + struct.pack(">H", _type(payload, ethertype)) + payload


def sll2(payload: bytes, ethertype: int | None = None) -> bytes:
    return struct.pack(">HHIHBB", _type(payload, ethertype), 0, 3, 1, 0, 6) + bytes(8) + payload


def null(payload: bytes, order: str = "<", ipv6_family: int = 30) -> bytes:
    """BSD null; ``order`` "<" or ">"."""
    return struct.pack(order + "I", 2 if payload[0] >> 4 == 4 else ipv6_family) + payload


def ppp(payload: bytes, *, framed: bool = True, compressed: bool = False) -> bytes:
    number = 0x21 if payload[0] >> 4 == 4 else 0x57
    return (b"\xff\x03" if framed else b"") + struct.pack(">B" if compressed else ">H", number) + payload


def pppoe(payload: bytes) -> bytes:
    """A session packet around PPP without framing: put it behind ``ether(…, 0x8864)``."""
    inner = ppp(payload, framed=False)
    return struct.pack(">BBHH", 0x11, 0, 1, len(inner)) + inner


def gre(
    payload: bytes, protocol: int = 0x0800, *, checked: bool = False, key: bool = False, seq: bool = False
) -> bytes:
    flags = 0x8000 * checked | 0x2000 * key | 0x1000 * seq
    return struct.pack(">HH", flags, protocol) + bytes(4 * (checked + key + seq)) + payload


def pptp(payload: bytes, *, ack: bool = False) -> bytes:
    """GRE version 1 with a sequence number."""
    return struct.pack(">HHHHI", 0x3001 | 0x80 * ack, 0x880B, len(payload), 1, 1) + bytes(4 * ack) + payload


def vxlan(payload: bytes, network: int = 42) -> bytes:
    return struct.pack(">II", 0x08000000, network << 8) + payload


def mpls(payload: bytes, labels: int = 2) -> bytes:
    return b"".join(struct.pack(">I", 100 << 12 | (n == labels - 1) << 8 | 64) for n in range(labels)) + payload


def wlan(
    payload: bytes,
    *,
    qos: bool = True,
    four_addresses: bool = False,
    ht_control: bool = False,
    protected: bool = False,
    amsdu: bool = False,
    padded: bool = False,
) -> bytes:
    """An 802.11 data frame around LLC (``snap``) or A-MSDU subframes."""
    control = 0x88 if qos else 0x08
    flags = (3 if four_addresses else 1) | 0x40 * protected | 0x80 * ht_control
    head = struct.pack("<BBH", control, flags, 0) + bytes(18) + struct.pack("<H", 1 << 4)
    head += bytes(6 * four_addresses)
    if qos:
        head += bytes([0x80 * amsdu, 0]) + bytes(4 * ht_control)
    return head + bytes(-len(head) % 4 if padded else 0) + payload


def amsdu(*payloads: bytes) -> bytes:
    """A-MSDU subframes around LLC payloads."""
    data = b""
    for n, payload in enumerate(payloads):
        part = bytes(12) + struct.pack(">H", len(payload)) + payload
        data += part + (bytes(-len(part) % 4) if n < len(payloads) - 1 else b"")
    return data


def radiotap(payload: bytes, *, flags: int | None = None, tsft: bool = False, extended: bool = False) -> bytes:
    present = 1 * tsft | 2 * (flags is not None) | (1 << 31) * extended
    fields = b""
    if tsft:
        fields += bytes(-(8 + 4 * extended) % 8) + bytes(8)
    if flags is not None:
        fields += bytes([flags])
    words = struct.pack("<I", present) + (struct.pack("<I", 0) if extended else b"")
    return struct.pack("<BBH", 0, 0, 4 + len(words) + len(fields)) + words + fields + payload


def block(
    frames: Sequence[bytes],
    *,
    wirelens: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    interfaces: Sequence[int] | None = None,
    first: int = 1,
    between: bytes = b"\xa5" * 16,
) -> Block:
    """A block of whole frames, with ``between`` before each, as the headers of the file format are."""
    offsets = []
    data = b""
    for frame in frames:
        data += between
        offsets.append(len(data))
        data += frame
    size = len(frames)

    def column(values: Sequence[int]) -> np.typing.NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    return Block(
        data=data,
        offset=column(offsets),
        caplen=column([len(f) for f in frames]),
        wirelen=column([len(f) for f in frames] if wirelens is None else wirelens),
        time=column([1_000_000_000 + 1000 * n for n in range(size)] if times is None else times),
        interface=column([0] * size if interfaces is None else interfaces),
        first=first,
    )
