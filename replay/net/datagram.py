"""UDP sockets bound to one address, and sockets that hear one multicast group on one interface.

Sources: ip(7), ipv6(7), socket(7); WS-Discovery 2005/04, 2.4 (groups); SOAP-over-UDP 4 (TTL 1).
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from replay.net.interfaces import LocalAddress

__all__ = [
    "DISCOVERY_PORT",
    "GROUPS",
    "MAX_DATAGRAM",
    "OnTraffic",
    "bind_address",
    "join_group",
    "socket_name",
    "unzoned",
]

DISCOVERY_PORT = 3702
GROUPS = {"ipv4": "239.255.255.250", "ipv6": "ff02::c"}

MAX_DATAGRAM = 1 << 16
"""Bytes of one datagram that are read: more than UDP carries."""

OnTraffic = Callable[[Endpoint, Endpoint, bytes], object]
"""(source, destination, data) of each datagram in either direction, without zones: for the packet capture."""

_AF = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_SHARED = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
_IP_MULTICAST_ALL = 49
"""Of Linux: 0: only the memberships of this socket count, not those of any on the machine."""


def bind_address(at: LocalAddress, port: int, *, shared: bool = False) -> socket.socket:
    """A socket bound to an address of this machine, ready to send to the group on its interface.

    Args:
        at: the address.
        port: 0: any.
        shared: other programs may have the port too.

    Raises:
        UsageError: the port is taken, or not permitted, or the address is gone.
    """
    return _bound(at, (at.address, port), at.address, (socket.SO_REUSEADDR,) if shared else ())


def unzoned(endpoint: Endpoint) -> Endpoint:
    """An endpoint as it is on the wire, where no zones are."""
    return Endpoint(endpoint.address.partition("%")[0], endpoint.port)


def join_group(at: LocalAddress, port: int) -> socket.socket:
    """A socket that hears the group on one interface, and nothing else.

    Raises:
        UsageError: the port is taken by a program that does not share it, or the interface takes no part in multicast.
    """
    sock = _bound(at, (GROUPS[at.family], port), f"{GROUPS[at.family]} on {at.interface or at.address}", _SHARED)
    try:
        if at.family == "ipv4":
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            # The index counts: an address alone may be on several interfaces.
            group = socket.inet_aton(GROUPS["ipv4"]) + socket.inet_aton(at.address) + struct.pack("@i", at.index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        else:
            group = socket.inet_pton(socket.AF_INET6, GROUPS["ipv6"]) + struct.pack("@I", at.index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
    except OSError as error:
        sock.close()
        where = at.interface or at.address
        raise UsageError(f"cannot listen for multicast on {where}: {error.strerror or error}") from error
    return sock


def _bound(at: LocalAddress, name: tuple[str, int], shown: str, options: Iterable[int]) -> socket.socket:
    try:
        sock = socket.socket(_AF[at.family], socket.SOCK_DGRAM)
    except OSError as error:
        raise UsageError(f"this machine has no {at.family} sockets: {error.strerror or error}") from error
    try:
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        if at.family == "ipv4":
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            mreqn = socket.inet_aton("0.0.0.0") + socket.inet_aton(at.address) + struct.pack("@i", at.index)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mreqn)
            sock.bind(name)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, at.index)
            sock.bind(socket_name(Endpoint(*name), at))
    except (OSError, OverflowError) as error:
        sock.close()
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on UDP port {name[1]} of {shown}: {why}") from error
    return sock


def socket_name(endpoint: Endpoint, at: LocalAddress) -> Any:
    """An endpoint as the socket calls take it; what is on the link gets the number of the link.

    Args:
        endpoint: a numeric address, with or without a zone, and a port.
        at: own address that it is spoken to from.

    Raises:
        OSError: the zone is none.
    """
    address, _, zone = endpoint.address.partition("%")
    if ":" not in address:
        return (address, endpoint.port)
    scope = 0
    if zone:
        scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    elif address.lower().startswith(("fe8", "fe9", "fea", "feb", "ff02")):
        scope = at.index
    return (address, endpoint.port, 0, scope)
