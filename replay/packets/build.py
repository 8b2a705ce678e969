"""IP packets of a datagram, by Scapy: lengths and checksums computed, cut into fragments where the link is too narrow.

Scapy is imported when the first packet is made.
"""

from __future__ import annotations

from typing import Any

from replay.packets.plan import Planned

__all__ = ["packets_of"]

_IP_HEADER = 20


def packets_of(planned: Planned, *, mtu: int, identification: int) -> list[Any]:
    """The packets that carry a datagram, in order, from the IP header on.

    Args:
        planned: the datagram.
        mtu: bytes of the longest packet.
        identification: tells its fragments from those of other datagrams; 16 bits of it count in IPv4, 32 in IPv6.
    """
    from scapy.layers.inet import IP, UDP, fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6

    source, destination = planned.source, planned.destination
    udp = UDP(sport=source.port, dport=destination.port) / planned.payload
    if ":" in destination.address:
        head = IPv6(src=source.address, dst=destination.address, hlim=planned.hops)
        if len(bytes(whole := head / udp)) <= mtu:
            return [whole]
        return list(fragment6(head / IPv6ExtHdrFragment(id=identification & 0xFFFFFFFF) / udp, mtu))
    whole = IP(src=source.address, dst=destination.address, ttl=planned.hops, id=identification & 0xFFFF or 1) / udp
    if len(bytes(whole)) <= mtu:
        return [whole]
    # In whole eights: Scapy before 2.7 rounds up.
    return list(fragment(whole, (mtu - _IP_HEADER) // 8 * 8))
