"""Builds packets: IPv4 and IPv6, TCP segments, check sums. For captures that are written, not recorded.

Formats: RFC 791, RFC 8200, RFC 9293 3.1, RFC 1071.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from dissector.base.origin import Endpoint

__all__ = ["TCP", "Address", "address_pair", "checksum", "ip_packet", "pseudo_header", "tcp_segment"]

TCP = 6
WINDOW = 65535

Address = IPv4Address | IPv6Address


def _address(text: str) -> Address | None:
    bare = text.partition("%")[0]
    if not bare:
        return None
    address = ip_address(bare)
    # A socket for both families shows IPv4 peers like this; on the wire they speak IPv4.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def address_pair(source: Endpoint, destination: Endpoint) -> tuple[Address, Address]:
    """Both addresses, of one family."""
    for end in (source, destination):
        if not 0 <= end.port <= 0xFFFF:
            raise ValueError(f"{end.port} is no port")
    one, two = _address(source.address), _address(destination.address)
    six = isinstance(one, IPv6Address) or isinstance(two, IPv6Address)
    return _family(one, six), _family(two, six)


def _family(address: Address | None, six: bool) -> Address:
    if address is None or (six and address == IPv4Address(0)):
        return IPv6Address(0) if six else IPv4Address(0)
    return IPv6Address(f"::ffff:{address}") if six and address.version == 4 else address


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 2**16 is 1 modulo 65535, so the folded sum is the number modulo 65535.

    For data that are not all zero, as those with a header are.
    """
    if len(data) % 2:
        data += b"\0"
    rest = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - rest if rest else 0


def pseudo_header(source: Address, destination: Address, protocol: int, length: int) -> bytes:
    """The pseudo header of the check sums (RFC 9293, 3.1; RFC 8200, 8.1)."""
    form = ">HH" if source.version == 4 else ">II"
    ends = (protocol, length) if source.version == 4 else (length, protocol)
    return source.packed + destination.packed + struct.pack(form, *ends)


def ip_packet(source: Address, destination: Address, protocol: int, segment: bytes, ident: int) -> bytes:
    """An IP packet; discovery's multicast has one hop, as SOAP-over-UDP 3.3 wants."""
    hops: Literal[1, 64] = 1 if destination.is_multicast else 64
    if source.version == 6:
        return (
            struct.pack(">IHBB", 6 << 28, len(segment), protocol, hops) + source.packed + destination.packed + segment
        )
    dont_fragment = 0x4000 if protocol == TCP else 0
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), ident, dont_fragment, hops, protocol, 0)
    value = checksum(head + source.packed + destination.packed)
    return head[:10] + struct.pack(">H", value) + source.packed + destination.packed + segment


def tcp_segment(
    source: tuple[Address, int],
    destination: tuple[Address, int],
    numbers: tuple[int, int],
    flags: int,
    data: bytes = b"",
    options: bytes = b"",
) -> bytes:
    """A TCP segment with its check sum.

    Args:
        source, destination: addresses and ports.
        numbers: sequence and acknowledgement number.
        flags: of the header.
        data: payload.
        options: a multiple of four bytes.
    """
    head = struct.pack(
        ">HHIIBBHHH", source[1], destination[1], *numbers, (20 + len(options)) // 4 << 4, flags, WINDOW, 0, 0
    )
    segment = head + options + data
    value = checksum(pseudo_header(source[0], destination[0], TCP, len(segment)) + segment)
    return segment[:16] + struct.pack(">H", value) + segment[18:]
