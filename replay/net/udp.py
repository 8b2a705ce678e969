"""UDP of WS-Discovery: the sockets of a device (those of a client are in ``probing``).

Rules:

- A socket for each address, bound to it, so that every datagram leaves with the right source; beside it a socket for
  each interface and family that is a member of the group there and hears that interface only. So what another
  interface carries is never heard, and where a datagram came in is known without asking.
- An answer goes out of the socket bound to the address that the question came to.
- Multicast stays on the link (TTL and hop limit 1) and goes out once on each interface and family.
- Loopback only, unless told otherwise.
- Sending never raises: UDP promises nothing. What could not be sent is told once (``on_problem``).

Several programs may share port 3702 (all hear multicast; unicast reaches the one that came last), the extra ports are
for one alone. Sources: SOAP-over-UDP; WS-Discovery 2005/04, 2.4; ip(7), ipv6(7), socket(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dissector.base.origin import Endpoint
from replay.net.datagram import (
    DISCOVERY_PORT,
    GROUPS,
    MAX_DATAGRAM,
    OnTraffic,
    bind_address,
    join_group,
    socket_name,
    unzoned,
)
from replay.net.interfaces import FAMILIES, LocalAddress, choose, local_addresses
from replay.net.probing import probe_multicast, probe_unicast

__all__ = [
    "DISCOVERY_PORT",
    "GROUPS",
    "DiscoverySockets",
    "OnDatagram",
    "OnTraffic",
    "probe_multicast",
    "probe_unicast",
]

MAX_HEARD = 1000
"""Senders of whom it is remembered which socket heard them."""

MAX_SAID = 32
"""Own datagrams to a group that are remembered, to be known when they come back."""

AT_ONCE = 64
"""Datagrams that one socket is asked for before the others get their turn."""

OnDatagram = Callable[[bytes, Endpoint, str, bool], object]
"""(data, source, own address, multicast); an IPv6 link-local source keeps its zone, ``fe80::1%eth0``."""


@dataclass(slots=True)
class _Socket:
    """An open socket: ``at`` is the address it speaks for; a member hears a group instead of an address."""

    sock: socket.socket
    at: LocalAddress
    port: int
    member: bool = False


class DiscoverySockets:
    """The sockets of a device on the discovery port; use as ``async with``.

    Args:
        interfaces: names or addresses (see :func:`replay.net.interfaces.choose`); none: no multicast, and
            ``extra_ports`` on loopback only.
        port: of WS-Discovery, on all chosen addresses and in the groups; not 0.
        extra_ports: further ports on all chosen addresses, for unicast alone; 0 takes any free one.
        on_datagram: called with each datagram, save those that this object sent itself.
        on_traffic: called with each datagram received or sent.
        on_problem: called once with each text of what goes wrong in sending.
        families: ``ipv4``, ``ipv6``; an interface that has no address of one of them does without.

    Raises:
        UsageError: on entering: a port is taken, or there is no such interface.

    Attributes:
        addresses: own addresses in use, without zones, in order.
        endpoints: what is listened on for unicast.
    """

    def __init__(
        self,
        interfaces: Sequence[str] = ("lo",),
        port: int = DISCOVERY_PORT,
        *,
        extra_ports: Sequence[int] = (),
        on_datagram: OnDatagram,
        on_traffic: OnTraffic | None = None,
        on_problem: Callable[[str], object] | None = None,
        families: Sequence[str] = FAMILIES,
    ) -> None:
        self._interfaces = list(interfaces)
        self._port = port
        self._extra_ports = list(extra_ports)
        self._families = families
        self._on_datagram = on_datagram
        self._on_traffic = on_traffic
        self._on_problem = on_problem
        self._sockets: list[_Socket] = []
        self._speakers: list[_Socket] = []
        self._heard: dict[Endpoint, _Socket] = {}
        self._said: deque[bytes] = deque(maxlen=MAX_SAID)
        self._problems: set[str] = set()
        self.addresses: list[str] = []
        self.endpoints: list[Endpoint] = []

    async def __aenter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all sockets; what is sent later is dropped."""
        for one in self._sockets:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(one.sock)
            one.sock.close()
        self._sockets.clear()
        self._speakers.clear()
        self._heard.clear()

    def send(self, data: bytes, destination: Endpoint | None) -> None:
        """Send a datagram.

        Args:
            data: its payload.
            destination: None: to the group, on each interface and family; else out of the socket that heard this
                endpoint, or of the first that fits.
        """
        if destination is None:
            self._said.append(data)
            for speaker in self._speakers:
                self._send(speaker, data, Endpoint(GROUPS[speaker.at.family], self._port))
            return
        heard = self._heard.get(destination)
        from_here = heard if heard is not None else self._fitting(destination.address)
        if from_here is None:
            self._problem(f"nothing can be sent to {destination}: no socket of its family is open")
        else:
            self._send(from_here, data, destination)

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._interfaces:
            chosen = choose(self._interfaces, self._families)
        else:
            there = [one for one in local_addresses() if one.address in ("127.0.0.1", "::1")]
            there = there or [LocalAddress("", 0, "127.0.0.1", 8)]
            chosen = [one for one in there if one.family in self._families]
        groups: dict[tuple[str, str], _Socket] = {}
        for at in chosen:
            ports = [(self._port, True)] if self._interfaces else []
            ports += [(port, False) for port in self._extra_ports if port != self._port or not self._interfaces]
            for port, shared in ports:
                speaker = self._keep(bind_address(at, port, shared=shared), at)
                self.endpoints.append(Endpoint(at.address, speaker.port))
                if shared:
                    groups.setdefault((at.interface or at.address, at.family), speaker)
            self.addresses.append(at.address)
        for speaker in groups.values():
            self._keep(join_group(speaker.at, self._port), speaker.at, member=True)
            self._speakers.append(speaker)

    def _keep(self, sock: socket.socket, at: LocalAddress, *, member: bool = False) -> _Socket:
        kept = _Socket(sock, at, sock.getsockname()[1], member)
        self._sockets.append(kept)
        asyncio.get_running_loop().add_reader(sock, self._ready, kept)
        return kept

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _ready(self, at: _Socket) -> None:
        for _ in range(AT_ONCE):
            if at.sock.fileno() < 0:
                return
            try:
                data, name = at.sock.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # An earlier answer of ours was refused (ICMP); what comes next is another matter.
                continue
            self._received(at, data, Endpoint(str(name[0]), int(name[1])))

    def _received(self, at: _Socket, data: bytes, source: Endpoint) -> None:
        # Multicast comes back to its sender, so that other programs on this machine hear it too; those may have the
        # same address and port, and are told apart by what they say.
        if at.member and data in self._said and unzoned(source) in self.endpoints:
            return
        answering = self._answering(at, source.address) if at.member else at
        self._heard.pop(source, None)
        self._heard[source] = answering
        if len(self._heard) > MAX_HEARD:
            del self._heard[next(iter(self._heard))]
        local = answering.at.address
        if self._on_traffic is not None:
            there = GROUPS[at.at.family] if at.member else local
            self._on_traffic(unzoned(source), Endpoint(there, at.port), data)
        self._on_datagram(data, source, local, at.member)

    def _answering(self, at: _Socket, source: str) -> _Socket:
        """The socket that answers what a group heard: that of the interface's address in the sender's network."""
        here = [
            one
            for one in self._sockets
            if not one.member
            and one.port == self._port
            and (one.at.index, one.at.family) == (at.at.index, at.at.family)
        ]
        near = [one for one in here if one.at.reaches(source)]
        return (near or here)[0]

    # -- sending -----------------------------------------------------------------------------------------------------

    def _fitting(self, address: str) -> _Socket | None:
        family = "ipv6" if ":" in address else "ipv4"
        here = [one for one in self._sockets if not one.member and one.at.family == family]
        near = [one for one in here if one.at.reaches(address)]
        return next(iter(near or here), None)

    def _send(self, speaker: _Socket, data: bytes, destination: Endpoint) -> None:
        try:
            speaker.sock.sendto(data, socket_name(destination, speaker.at))
        except (OSError, OverflowError) as error:
            source = Endpoint(speaker.at.address, speaker.port)
            self._problem(f"cannot send from {source} to {destination}: {getattr(error, 'strerror', None) or error}")
            return
        if self._on_traffic is not None:
            self._on_traffic(Endpoint(speaker.at.address, speaker.port), unzoned(destination), data)

    def _problem(self, text: str) -> None:
        if text not in self._problems and len(self._problems) < MAX_HEARD:
            self._problems.add(text)
            if self._on_problem is not None:
                self._on_problem(text)
