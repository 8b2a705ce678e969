"""IPv4 and IPv6 headers, up to what they carry.

RFC 791 (3.1), RFC 8200 (3 and 4), RFC 4302 for the authentication header. Lengths are those of the IP header, so
that Ethernet padding never counts as payload. A total or payload length of 0 stands in frames that were captured
before segmentation offload or after receive offload: there the frame's own length is taken.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AUTHENTICATION",
    "EXTENSION_HEADERS",
    "FRAGMENT",
    "GRE",
    "IN_IP",
    "IPV4_IN_IP",
    "IPV6_IN_IP",
    "MPLS_IN_IP",
    "TCP",
    "UDP",
    "FragmentPart",
    "IpPacket",
    "open_extensions",
    "open_ip",
]

TCP = 6
UDP = 17
IPV4_IN_IP = 4
IPV6_IN_IP = 41
GRE = 47
MPLS_IN_IP = 137
FRAGMENT = 44
AUTHENTICATION = 51

IN_IP = frozenset([IPV4_IN_IP, IPV6_IN_IP, GRE, MPLS_IN_IP])
"""Protocol numbers that carry another packet."""

EXTENSION_HEADERS = frozenset([0, 43, 60, 135, 139, 140])
"""Next header numbers whose second byte is a length in units of eight bytes without the first: hop-by-hop,
routing, destination options, mobility, host identity, shim6 (RFC 8200, RFC 6275, RFC 7401, RFC 5533)."""

_EXTENSIONS_READ = 32
"""Extension headers of one packet that are read; RFC 8200 foresees at most seven."""


class FragmentPart(NamedTuple):
    """What an IP header says of a fragment.

    Attributes:
        key: names the datagram that it is a part of: addresses, identification, IPv4's protocol too.
        offset: bytes before it in the datagram.
        more: others follow.
    """

    key: bytes
    offset: int
    more: bool


class IpPacket(NamedTuple):
    """A packet behind its IP header.

    Attributes:
        family: 4 or 6.
        address: where the source address begins; the destination follows.
        protocol: what begins at ``pos``.
        pos, end, wire: see :mod:`dissector.transport.layers`.
        fragment: None for a whole packet.
    """

    family: int
    address: int
    protocol: int
    pos: int
    end: int
    wire: int
    fragment: FragmentPart | None


def open_ip(data: bytes, pos: int, end: int, wire: int, family: int = 0) -> IpPacket | None:
    """Read the IP header at ``pos`` and its extension headers.

    Args:
        data, pos, end, wire: see :mod:`dissector.transport.layers`.
        family: 4 or 6, where the layer below says which; 0 to go by the version.

    Returns:
        The packet, None where a header is cut or contradicts itself.
    """
    if pos >= end:
        return None
    version = data[pos] >> 4
    if family and version != family:
        return None
    if version == 4:
        return _open_ipv4(data, pos, end, wire)
    if version == 6:
        return _open_ipv6(data, pos, end, wire)
    return None


def _open_ipv4(data: bytes, pos: int, end: int, wire: int) -> IpPacket | None:
    if end - pos < 20:
        return None
    size = (data[pos] & 15) * 4
    total = data[pos + 2] << 8 | data[pos + 3]
    if total:
        wire = pos + total
        end = min(end, wire)
    if size < 20 or size > end - pos:
        return None
    flags = data[pos + 6] << 8 | data[pos + 7]
    protocol = data[pos + 9]
    fragment = None
    if flags & 0x3FFF:
        key = data[pos + 12 : pos + 20] + data[pos + 4 : pos + 6] + data[pos + 9 : pos + 10]
        fragment = FragmentPart(key, (flags & 0x1FFF) * 8, bool(flags & 0x2000))
    packet = IpPacket(4, pos + 12, protocol, pos + size, end, wire, fragment)
    return open_extensions(data, packet) if protocol == AUTHENTICATION and fragment is None else packet


def _open_ipv6(data: bytes, pos: int, end: int, wire: int) -> IpPacket | None:
    if end - pos < 40:
        return None
    length = data[pos + 4] << 8 | data[pos + 5]
    if length:
        wire = pos + 40 + length
        end = min(end, wire)
    return open_extensions(data, IpPacket(6, pos + 8, data[pos + 6], pos + 40, end, wire, None))


def open_extensions(data: bytes, packet: IpPacket) -> IpPacket | None:
    """Go behind the extension headers (IPv6) or the authentication header (both), if there are any.

    Returns:
        The packet at its upper layer or at the bytes of a fragment, None where a header is cut.
    """
    family, address, protocol, pos, end, wire, _ = packet
    for _ in range(_EXTENSIONS_READ):
        if protocol == AUTHENTICATION:
            if end - pos < 2:
                return None
            size = (data[pos + 1] + 2) * 4
        elif family == 6 and protocol in EXTENSION_HEADERS:
            if end - pos < 2:
                return None
            size = (data[pos + 1] + 1) * 8
        elif family == 6 and protocol == FRAGMENT:
            if end - pos < 8:
                return None
            size = 8
            flags = data[pos + 2] << 8 | data[pos + 3]
            if flags & 0xFFF9:
                key = data[address : address + 32] + data[pos + 4 : pos + 8]
                part = FragmentPart(key, flags & 0xFFF8, bool(flags & 1))
                return IpPacket(6, address, data[pos], pos + 8, end, wire, part)
            # An "atomic" fragment is the whole packet (RFC 6946, 4).
        else:
            return IpPacket(family, address, protocol, pos, end, wire, None)
        if size > end - pos:
            return None
        protocol = data[pos]
        pos += size
    return None
