"""Link layers: their numbers, and where the network layer begins behind their headers.

The layouts are those of https://www.tcpdump.org/linktypes.html; Ethernet tags are IEEE 802.1Q, clause 9. These
steps serve the row-by-row walk; :mod:`dissector.transport.fastpath` knows the frequent ones by the block.
"""

from __future__ import annotations

from dissector.transport.layers import DAMAGED, OTHER, Layer, Step

__all__ = [
    "AF_INET",
    "AF_INET6",
    "ETHERTYPES",
    "ETHERTYPE_IPV4",
    "ETHERTYPE_IPV6",
    "ETHERTYPE_MIN",
    "LINK_LAYERS",
    "TUNNEL_ETHERTYPES",
    "VLAN_ETHERTYPES",
    "by_ethertype",
    "ethernet",
    "linux_sll",
    "linux_sll2",
    "llc",
    "null",
    "vlan",
]

LINK_LAYERS: dict[int, Layer] = {
    0: Layer.NULL,
    1: Layer.ETHERNET,
    9: Layer.PPP,
    12: Layer.IP,
    14: Layer.IP,
    50: Layer.PPP_HDLC,
    51: Layer.PPPOE,
    101: Layer.IP,
    104: Layer.CISCO_HDLC,
    105: Layer.WLAN,
    108: Layer.NULL,
    113: Layer.LINUX_SLL,
    119: Layer.PRISM,
    127: Layer.RADIOTAP,
    163: Layer.AVS,
    192: Layer.PPI,
    204: Layer.PPP_WITH_DIRECTION,
    228: Layer.IP,
    229: Layer.IP,
    276: Layer.LINUX_SLL2,
}
"""Link type number → what a frame begins with. Raw IP has 12 and 14 as DLT_RAW of several systems beside 101."""

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
VLAN_ETHERTYPES = frozenset([0x8100, 0x88A8, 0x9100])
ETHERTYPE_MIN = 0x0600
"""Smaller numbers are an 802.3 length."""

TUNNEL_ETHERTYPES: dict[int, Layer] = {
    0x6558: Layer.ETHERNET,
    0x8847: Layer.MPLS,
    0x8848: Layer.MPLS,
    0x8864: Layer.PPPOE,
    0x880B: Layer.PPP,
}

_BY_ETHERTYPE: dict[int, Layer] = {
    ETHERTYPE_IPV4: Layer.IPV4,
    ETHERTYPE_IPV6: Layer.IPV6,
    **dict.fromkeys(VLAN_ETHERTYPES, Layer.VLAN),
    **TUNNEL_ETHERTYPES,
}

ETHERTYPES = frozenset(_BY_ETHERTYPE)
"""The EtherTypes that are looked into."""

_SLL_LLC = frozenset([0x0004, 0x0001])
"""Linux cooked protocol numbers of frames that begin with an 802.2 LLC header."""

AF_INET = frozenset([2])
AF_INET6 = frozenset([10, 23, 24, 28, 30])
"""IPv6 in the null header: Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin."""

_SNAP_OUIS = frozenset([b"\x00\x00\x00", b"\x00\x00\xf8"])
"""Encapsulated Ethernet (RFC 1042) and bridge tunnel (802.1H)."""


def by_ethertype(ethertype: int, pos: int, end: int, wire: int) -> Step:
    """What an EtherType says about the bytes from ``pos`` on."""
    return (_BY_ETHERTYPE.get(ethertype, Layer.OTHER), pos, end, wire)


def ethernet(data: bytes, pos: int, end: int, wire: int) -> Step:
    """Destination, source, type or length (IEEE 802.3, clause 3)."""
    if end - pos < 14:
        return DAMAGED
    ethertype = data[pos + 12] << 8 | data[pos + 13]
    if ethertype < ETHERTYPE_MIN:
        return (Layer.LLC, pos + 14, end, wire)
    return by_ethertype(ethertype, pos + 14, end, wire)


def vlan(data: bytes, pos: int, end: int, wire: int) -> Step:
    """Tag control information, then type or length."""
    if end - pos < 4:
        return DAMAGED
    ethertype = data[pos + 2] << 8 | data[pos + 3]
    if ethertype < ETHERTYPE_MIN:
        return (Layer.LLC, pos + 4, end, wire)
    return by_ethertype(ethertype, pos + 4, end, wire)


def llc(data: bytes, pos: int, end: int, wire: int) -> Step:
    """An 802.2 LLC header; only SNAP with an EtherType (RFC 1042) is looked into."""
    if end - pos < 3:
        return DAMAGED
    if data[pos : pos + 3] != b"\xaa\xaa\x03":
        return OTHER
    if end - pos < 8:
        return DAMAGED
    if data[pos + 3 : pos + 6] not in _SNAP_OUIS:
        return OTHER
    return by_ethertype(data[pos + 6] << 8 | data[pos + 7], pos + 8, end, wire)


def linux_sll(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_LINUX_SLL: 16 bytes, protocol last."""
    if end - pos < 16:
        return DAMAGED
    protocol = data[pos + 14] << 8 | data[pos + 15]
    return (Layer.LLC, pos + 16, end, wire) if protocol in _SLL_LLC else by_ethertype(protocol, pos + 16, end, wire)


def linux_sll2(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_LINUX_SLL2: 20 bytes, protocol first."""
    if end - pos < 20:
        return DAMAGED
    protocol = data[pos] << 8 | data[pos + 1]
    return (Layer.LLC, pos + 20, end, wire) if protocol in _SLL_LLC else by_ethertype(protocol, pos + 20, end, wire)


def null(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_NULL and LINKTYPE_LOOP: four bytes of address family, in the byte order of who captured."""
    if end - pos < 4:
        return DAMAGED
    head = data[pos : pos + 4]
    families = {int.from_bytes(head, "big"), int.from_bytes(head, "little")}
    if families & AF_INET:
        return (Layer.IPV4, pos + 4, end, wire)
    if families & AF_INET6:
        return (Layer.IPV6, pos + 4, end, wire)
    return OTHER
