"""What carries a packet inside a packet: GRE, VXLAN, PPP, PPPoE, Cisco HDLC, MPLS.

Steps of the row-by-row walk, see :mod:`dissector.transport.layers`.
"""

from __future__ import annotations

from dissector.transport.layers import DAMAGED, OTHER, Layer, Step
from dissector.transport.link import ETHERTYPE_MIN, ETHERTYPES, by_ethertype

__all__ = [
    "VXLAN_PORTS",
    "cisco_hdlc",
    "gre",
    "looks_like_vxlan",
    "mpls",
    "ppp",
    "ppp_hdlc",
    "ppp_with_direction",
    "pppoe",
    "vxlan",
]

VXLAN_PORTS = frozenset([4789, 8472])
"""UDP destination ports: IANA's, and the one that the Linux kernel used before there was one."""

_GRE_CHECKSUM = 0x8000
_GRE_ROUTING = 0x4000
_GRE_KEY = 0x2000
_GRE_SEQUENCE = 0x1000
_GRE_ACKNOWLEDGEMENT = 0x0080

_ERSPAN_2 = 0x88BE
_ERSPAN_3 = 0x22EB

_PPP_PROTOCOLS = {0x0021: Layer.IPV4, 0x0057: Layer.IPV6, 0x0281: Layer.MPLS, 0x0283: Layer.MPLS}

_MPLS_LABELS = 16
"""Labels of one stack that are read; networks use up to about six."""


def gre(data: bytes, pos: int, end: int, wire: int) -> Step:
    """GRE with checksum, key and sequence number (RFC 2784, RFC 2890), and PPTP's version 1 (RFC 2637, 4.1)."""
    if end - pos < 4:
        return DAMAGED
    flags = data[pos] << 8 | data[pos + 1]
    protocol = data[pos + 2] << 8 | data[pos + 3]
    size = 4
    size += 4 if flags & _GRE_KEY else 0
    size += 4 if flags & _GRE_SEQUENCE else 0
    version = flags & 7
    if version == 1:
        size += 4 if flags & _GRE_ACKNOWLEDGEMENT else 0
    elif version == 0:
        size += 4 if flags & (_GRE_CHECKSUM | _GRE_ROUTING) else 0
    else:
        return OTHER
    if flags & _GRE_ROUTING:
        # Source route entries of RFC 1701, withdrawn by RFC 2784.
        return OTHER
    pos += size
    if protocol == _ERSPAN_2:
        # Mirrored frames; type I has neither a sequence number nor a header of its own.
        pos += 8 if flags & _GRE_SEQUENCE else 0
        return (Layer.ETHERNET, pos, end, wire) if pos <= end else DAMAGED
    if protocol == _ERSPAN_3:
        if end - pos < 12:
            return DAMAGED
        pos += 20 if data[pos + 11] & 1 else 12
        return (Layer.ETHERNET, pos, end, wire) if pos <= end else DAMAGED
    return by_ethertype(protocol, pos, end, wire) if pos <= end else DAMAGED


def looks_like_vxlan(data: bytes, pos: int, end: int) -> bool:
    """Whether a UDP payload is VXLAN (RFC 7348, 5: the I flag set, the reserved fields zero) with a frame in it.

    The flag of the group policy extension is let through; its group stands in reserved bytes.
    """
    if end - pos < 8 + 14:
        return False
    flags = data[pos]
    if flags != 0x08 and flags != 0x88:
        return False
    if data[pos + 7] or (flags == 0x08 and any(data[pos + 1 : pos + 4])):
        return False
    ethertype = data[pos + 20] << 8 | data[pos + 21]
    return ethertype >= ETHERTYPE_MIN or ethertype <= end - pos


def vxlan(data: bytes, pos: int, end: int, wire: int) -> Step:
    """Eight bytes, then an Ethernet frame."""
    return (Layer.ETHERNET, pos + 8, end, wire)


def ppp(data: bytes, pos: int, end: int, wire: int) -> Step:
    """PPP with or without address and control, protocol number of one or two bytes (RFC 1661, 2 and 6.5)."""
    if data[pos : min(pos + 2, end)] == b"\xff\x03":
        pos += 2
    if pos >= end:
        return DAMAGED
    if data[pos] & 1:
        protocol = data[pos]
        pos += 1
    elif end - pos >= 2:
        protocol = data[pos] << 8 | data[pos + 1]
        pos += 2
    else:
        return DAMAGED
    return (_PPP_PROTOCOLS.get(protocol, Layer.OTHER), pos, end, wire)


def ppp_hdlc(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_PPP_HDLC: RFC 1662, 3.1, or Cisco's framing, told by the address byte."""
    if end - pos >= 1 and data[pos] in (0x0F, 0x8F):
        return cisco_hdlc(data, pos, end, wire)
    return ppp(data, pos, end, wire)


def ppp_with_direction(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_PPP_WITH_DIR: one byte for the direction before PPP."""
    return (Layer.PPP, pos + 1, end, wire) if pos < end else DAMAGED


def cisco_hdlc(data: bytes, pos: int, end: int, wire: int) -> Step:
    """LINKTYPE_C_HDLC: address, control, EtherType."""
    if end - pos < 4:
        return DAMAGED
    return by_ethertype(data[pos + 2] << 8 | data[pos + 3], pos + 4, end, wire)


def pppoe(data: bytes, pos: int, end: int, wire: int) -> Step:
    """A PPPoE session (RFC 2516, 4): version and type 0x11, code 0, session, length."""
    if end - pos < 6:
        return DAMAGED
    if data[pos] != 0x11 or data[pos + 1]:
        return OTHER
    length = data[pos + 4] << 8 | data[pos + 5]
    pos += 6
    # Behind it is Ethernet padding; 0 is written by segmentation offload.
    stop = pos + length if length else wire
    return (Layer.PPP, pos, min(end, stop), min(wire, stop))


def mpls(data: bytes, pos: int, end: int, wire: int) -> Step:
    """A label stack (RFC 3032, 2.1), IP or an Ethernet pseudowire behind it.

    A first nibble of 4 or 6 is IP (RFC 4928, 2). Whether a pseudowire has the control word (RFC 4448, 4.6) was agreed
    between its ends; it is where a known EtherType stands that tells.
    """
    for _ in range(_MPLS_LABELS):
        if end - pos < 4:
            return DAMAGED
        bottom = data[pos + 2] & 1
        pos += 4
        if bottom:
            break
    else:
        return OTHER
    if pos >= end:
        return DAMAGED
    if data[pos] >> 4 in (4, 6):
        return (Layer.IP, pos, end, wire)
    for frame in (pos + 4, pos):
        if end - frame >= 14 and (data[frame + 12] << 8 | data[frame + 13]) in ETHERTYPES:
            return (Layer.ETHERNET, frame, end, wire)
    return OTHER
