"""What is sent, from where to where, and when.

Rules, for the sake of those who are on the network:

- One interface, named by a person. Its own addresses are the source; another source must be of its network, since
  the answers go there, and is asked for.
- Multicast goes to the groups of WS-Discovery alone and stays on the link (TTL and hop limit 1).
- Unicast goes to the target that a person named, whatever the capture says, and nowhere without one. Only loopback
  needs no consent.
- What is not sent is told, with the reason.

Sources: WS-Discovery 2005/04, 2.4 (groups, port); SOAP-over-UDP 4 (TTL).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from replay.base.clock import Clock
from replay.net.datagram import GROUPS
from replay.net.interfaces import LocalAddress, choose, local_addresses
from replay.packets.identities import Identities, rewritten
from replay.packets.recorded import Recorded

__all__ = ["LARGEST", "LeftOut", "Plan", "Planned", "Route", "plan", "play", "route_of"]

LARGEST = {"ipv4": 65507, "ipv6": 65527}
"""Bytes that one datagram carries at the most."""

HOPS = 64
"""TTL and hop limit of unicast (RFC 1700); that of multicast is 1."""

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Route:
    """Where datagrams go out and to.

    Attributes:
        interface: name.
        own: addresses of the interface.
        source: address to send from where the family fits, None: one of ``own``.
        target: of unicast, None: unicast is not sent.
        port: of unicast at the target, None: as recorded.
    """

    interface: str
    own: tuple[LocalAddress, ...]
    source: str | None = None
    target: str | None = None
    port: int | None = None

    def source_for(self, destination: str) -> str | None:
        """The address to send from, None where the interface has none of that family."""
        family = _family(destination)
        if self.source is not None and _family(self.source) == family:
            return self.source
        usable = [one for one in self.own if one.family == family]
        if destination in GROUPS.values():
            # A group of the link is spoken to from an address of the link.
            usable.sort(key=lambda one: not one.link_local)
        else:
            usable.sort(key=lambda one: (not one.reaches(destination), one.link_local))
        return usable[0].address if usable else None

    def consents(self) -> list[str]:
        """What a person must agree to, a sentence each."""
        asked = []
        if self.target is not None and not ipaddress.ip_address(self.target).is_loopback:
            asked.append(f"unicast datagrams go to {self.target}")
        if self.source is not None and all(one.address != self.source for one in self.own):
            asked.append(
                f"{self.source} is no address of {self.interface}: whoever has it gets the answers to what is sent"
            )
        return asked


def route_of(
    interface: str,
    *,
    source: str | None = None,
    target: str | None = None,
    port: int | None = None,
    there: Sequence[LocalAddress] | None = None,
) -> Route:
    """What a person said of the way, checked.

    Args:
        interface: name of a network interface of this machine, or one of its addresses.
        source, target: IP addresses; a link-local one may have a zone (``fe80::1%eth0``).
        port: 1–65535.
        there: addresses of the interface; None: asked of the machine.

    Raises:
        UsageError: something does not fit, and what would.
    """
    if there is None:
        meant = {one.interface for one in choose([interface])}
        if len(meant) != 1:
            raise UsageError(
                f"--interface {interface}: one interface is expected; there are {', '.join(sorted(meant))}"
            )
        interface = meant.pop()
        there = [one for one in local_addresses() if one.interface == interface]
    own = tuple(there)
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"--port {port}: a port is 1 to 65535")
    if source is not None:
        source = _address("--source", source, own)
        if not any(one.reaches(source) for one in own):
            raise UsageError(f"--source {source} is not of a network of {interface} ({_networks(own)})")
    if target is not None:
        target = _address("--target", target, own)
        if all(one.family != _family(target) for one in own):
            raise UsageError(f"--target {target}: {interface} has no address of its family ({_networks(own)})")
        if ipaddress.ip_address(target).is_loopback != any(one.address in ("127.0.0.1", "::1") for one in own):
            raise UsageError(f"--target {target} is not reached over {interface}")
    return Route(interface, own, source, target, port)


def _address(option: str, text: str, own: Sequence[LocalAddress]) -> str:
    bare, _, zone = text.strip("[]").partition("%")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError as error:
        raise UsageError(f"{option} {text}: an IP address is expected, such as 192.0.2.10 or fe80::1") from error
    if zone and all(zone not in (one.interface, str(one.index)) for one in own):
        raise UsageError(f"{option} {text}: {zone} is not the interface that is sent on")
    broadcast = {
        str(ipaddress.IPv4Network(f"{one.address}/{one.prefix}", strict=False).broadcast_address)
        for one in own
        if one.family == "ipv4" and one.prefix < 31
    }
    if address.is_multicast or address.is_unspecified or str(address) in {"255.255.255.255", *broadcast}:
        raise UsageError(f"{option} {text}: the address of one host is expected")
    return str(address)


def _family(address: str) -> str:
    return "ipv6" if ":" in address else "ipv4"


def _networks(own: Sequence[LocalAddress]) -> str:
    return ", ".join(f"{one.address}/{one.prefix}" for one in own)


# -- the plan --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """A datagram to send.

    Attributes:
        due: seconds after the first one.
        hops: TTL or hop limit.
        payload: what stands in UDP.
        recorded: what it was.
    """

    due: float
    source: Endpoint
    destination: Endpoint
    hops: int
    payload: bytes
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A datagram that is not sent, and why."""

    recorded: Recorded
    why: str


@dataclass(slots=True)
class Plan:
    """What is sent, in order, and what is not."""

    sent: list[Planned] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def plan(
    recorded: Sequence[Recorded],
    route: Route,
    *,
    identities: Callable[[Sequence[Recorded]], Identities] | None = None,
    speed: float | None = 1.0,
    rewrite_xaddrs: bool = False,
) -> Plan:
    """What is sent of the datagrams of a capture.

    Args:
        recorded: in order.
        route: the way.
        identities: makes new identities for those that are sent; None: they stay.
        speed: 2 is twice as fast as recorded; None: as fast as possible.
        rewrite_xaddrs: XAddrs name the address that is sent from.
    """
    made = Plan()
    taken: list[tuple[Recorded, Endpoint, Endpoint]] = []
    for one in recorded:
        ends = _ends(one, route)
        if isinstance(ends, str):
            made.left_out.append(LeftOut(one, ends))
        else:
            taken.append((one, *ends))
    new = identities([one for one, _, _ in taken]) if identities is not None else None
    due, first = 0.0, taken[0][0].time if taken else 0
    for one, source, destination in taken:
        payload = rewritten(one, new, source.address if rewrite_xaddrs else None)
        if len(payload) > LARGEST[_family(destination.address)]:
            made.left_out.append(LeftOut(one, f"{len(payload)} bytes are more than one datagram carries"))
            continue
        if speed is not None:
            # The clock of a capture may step back; sending does not.
            due = max(due, (one.time - first) / _NS / speed)
        hops = 1 if destination.address in GROUPS.values() else HOPS
        made.sent.append(Planned(due, source, destination, hops, payload, one))
    return made


def _ends(one: Recorded, route: Route) -> tuple[Endpoint, Endpoint] | str:
    """From where to where, or why not."""
    if not one.whole:
        return "the capture holds only its beginning"
    if one.multicast:
        if one.destination.address not in GROUPS.values():
            return f"{one.destination.address} is no group of WS-Discovery"
        destination = one.destination
    elif route.target is None:
        return "sent to one host, which --target must name"
    else:
        destination = Endpoint(route.target, route.port or one.destination.port)
    if not (0 < destination.port < 65536):
        return "sent to port 0"
    source = route.source_for(destination.address)
    if source is None:
        return f"{route.interface} has no {'IPv6' if ':' in destination.address else 'IPv4'} address"
    return Endpoint(source, one.source.port), destination


async def play(planned: Sequence[Planned], send: Callable[[Planned, float], object], clock: Clock) -> None:
    """Call ``send`` with each datagram when it is due, and the seconds since the first one."""
    start = clock.monotonic()
    for one in planned:
        await clock.sleep(one.due - (clock.monotonic() - start))
        # At full speed nothing waits: Ctrl-C is heard here.
        await asyncio.sleep(0)
        send(one, clock.monotonic() - start)
