"""What every emulated device has around its services: listening, discovery, subscriptions, capture, a clean end.

A device is used as ``async with Scanner(...) as scanner:``; it listens when the block begins, and says Bye and
SubscriptionEnd when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from dissector import __version__
from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.catalog import SERVICES
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import malform, relate_otherwise
from replay.behaviour.rules import Behaviour, Occasion
from replay.devices.discovery import DiscoveryHost, Transmission, transmit
from replay.devices.eventing import Subscription, SubscriptionTable
from replay.devices.host import Call, Host, Ignored, Reply
from replay.devices.metadata import DeviceInfo, HostedService, asked_dialects, device_metadata, service_metadata
from replay.devices.source import EventSource
from replay.net.client import HttpClient
from replay.net.interfaces import local_addresses
from replay.net.server import USUAL_LIMITS, HttpServer, ServerLimits
from replay.net.tap import PacketTap
from replay.net.target import is_loopback
from replay.net.udp import DiscoverySockets
from replay.soap.caller import Caller
from replay.soap.compose import USUAL, Style

__all__ = ["Around", "Emulator", "Encryption"]

DIRECTED_PROBE = "/StableWSDiscoveryEndpoint/schemas-xmlsoap-org_ws_2005_04_discovery"
"""Path of the Probe over HTTP (lore: Windows and many devices; fact table wsstack.yaml, directed_probe)."""

MAX_SUBSCRIPTIONS = 200

MAX_SPREADING = 500
"""Questions by UDP that are being answered at once; who asks more is not heard."""

MATCH_DELAY = 0.5
"""Seconds up to which Hello and ProbeMatches are delayed at random: APP_MAX_DELAY of WS-Discovery 2005. The device
profile allows 5 s, but clients such as airscan-discover listen for 2.5 s in all."""


@dataclass(slots=True)
class Encryption:
    """How the device speaks TLS: contexts for both halves."""

    server: ssl.SSLContext | None = None
    client: Callable[[], ssl.SSLContext] | None = None
    pinned: str | None = None
    keylog: Path | None = None


@dataclass(slots=True)
class Around:
    """What an emulated device stands in; every field has a default that is safe on one machine.

    Attributes:
        listen: addresses to listen on; port 0 takes any free one.
        name: host name for its addresses, "" for the numeric address that a client came to.
        interfaces: for discovery by multicast: names or addresses; empty: none.
        discovery_port: UDP port of WS-Discovery.
        unicast_ports: further UDP ports that take unicast Probes.
        discovery: answer and announce at all.
        must_be_found: it is an error where the sockets for it cannot be had (else a warning).
        encryption: None: plain HTTP.
        pcap: binary file for the capture of its own traffic, None for none.
        behaviour: what is ordered to go wrong.
        clock, log: None: the real clock, a log that nobody reads.
        seed: makes identifiers and delays the same at each run.
        limits: of its HTTP server.
        subscriptions: of one service at once.
    """

    listen: Sequence[tuple[str, int]] = (("127.0.0.1", 0),)
    name: str = ""
    interfaces: Sequence[str] = ()
    discovery_port: int = 3702
    unicast_ports: Sequence[int] = ()
    discovery: bool = True
    must_be_found: bool = False
    encryption: Encryption | None = None
    pcap: BinaryIO | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    clock: Clock | None = None
    log: Log | None = None
    seed: int | None = None
    limits: ServerLimits = USUAL_LIMITS
    subscriptions: int = MAX_SUBSCRIPTIONS


class Emulator:
    """A device with services on one host.

    Args:
        around: what it stands in.
        path: of the device itself.
        style: how its messages are dressed.
    """

    kind = "device"

    def __init__(self, around: Around, *, path: str = "/wsd", style: Style = USUAL) -> None:
        self.around = around
        self.clock: Clock = around.clock or RealClock()
        self.log = around.log or Log(self.clock)
        self.ids = Ids(around.seed)
        self.behaviour = around.behaviour
        self.path = path
        self._closing = contextlib.AsyncExitStack()
        self._pcap = around.pcap
        encryption = around.encryption
        self.tap = (
            PacketTap(
                around.pcap, application=f"dsmreplay {__version__}", clock=self.clock,
                keylog=encryption.keylog if encryption is not None else None,
            )
            if around.pcap is not None
            else None
        )  # fmt: skip
        self.host = Host(
            clock=self.clock, ids=self.ids, log=self.log, behaviour=self.behaviour, style=style,
        )  # fmt: skip
        self.server = HttpServer(
            self.host.handle, clock=self.clock, log=self.log, limits=around.limits, tap=self.tap,
            context=encryption.server if encryption is not None else None,
        )  # fmt: skip
        self.client = HttpClient(
            clock=self.clock,
            tls=encryption.client if encryption is not None else None,
            tap=self.tap,
            pinned=encryption.pinned if encryption is not None else None,
        )
        self.caller = Caller(self.client, clock=self.clock, ids=self.ids, log=self.log, style=style)
        self.sources: list[EventSource] = []
        self._events: set[Occasion] = set()
        self._sockets: DiscoverySockets | None = None
        self.discovery: DiscoveryHost | None = None
        self._info: DeviceInfo | None = None
        self._services: list[tuple[str, HostedService]] = []
        self._spreading: set[asyncio.Task[None]] = set()
        self.silent = False
        """Answers no Probe by UDP, only over HTTP."""
        self.shy = False
        """Tells its addresses in ResolveMatches only."""

    # -- what a device is made of --------------------------------------------------------------------------------

    def describe(self, info: DeviceInfo, services: Sequence[tuple[str, HostedService]]) -> None:
        """Say who the device is: (path, service) for each hosted service; addresses are filled in when asked."""
        self._info = info
        self._services = list(services)
        device = self.host.point(self.path)
        device.offer("WS-Transfer", {"Get": self._get})
        device.offer("WS-MetadataExchange", {"GetMetadata": self._get})
        device.offer("WS-Discovery", {"Probe": self._probe})
        self.host.point(DIRECTED_PROBE).offer("WS-Discovery", {"Probe": self._probe})
        for path, _ in self._services:
            self.host.point(path).offer("WS-Transfer", {"Get": self._get_service})
            self.host.point(path).offer("WS-MetadataExchange", {"GetMetadata": self._get_service})

    def event_source(
        self, path: str, service: str, *, one_only: bool = False,
        on_subscribed: Callable[[Subscription], None] | None = None,
    ) -> EventSource:  # fmt: skip
        """Offer subscriptions to the events of a service at its path."""
        table = SubscriptionTable(
            self.ids,
            events_of(service),
            limit=self.around.subscriptions,
            one_only=one_only,
            may_notify=self.may_contact,
        )
        manager = f"{path}/subscriptions"
        source = EventSource(
            self.host, self.caller, table, clock=self.clock, ids=self.ids, log=self.log, behaviour=self.behaviour,
            manager=lambda call: self.url(manager, call.request.local.address), on_subscribed=on_subscribed,
        )  # fmt: skip
        source.offer(path, manager)
        self.sources.append(source)
        self._events |= {(service, action.rpartition("/")[2], "event") for action in events_of(service)}
        self._events.add(("WS-Eventing", "SubscriptionEnd", "event"))
        return source

    def occasions(self) -> set[Occasion]:
        """All that rules of behaviour can be about at this device."""
        found = self._events | self.host.occasions()
        if self._info is not None:
            found |= {("WS-Discovery", name, "request") for name in ("Hello", "Bye", "Probe", "Resolve")}
        return found

    def may_contact(self, address: str) -> bool:
        """Whether a sink may be sent to: while the device listens on loopback only, nothing leaves the machine."""
        if not all(is_loopback(host) for host, _ in self.around.listen):
            return True
        try:
            return is_loopback(urlsplit(address).hostname or "")
        except ValueError:
            return False

    # -- addresses -----------------------------------------------------------------------------------------------

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.around.encryption is not None and self.around.encryption.server is not None else "http"

    def url(self, path: str = "", local: str = "") -> str:
        """An address of the device.

        Args:
            path: default that of the device itself.
            local: own IP address that a client came to; "" for anywhere: the first address it listens on.
        """
        return self._url_at(self._end(local) or self.server.addresses[0], path, local)

    def xaddrs(self, local: str = "") -> tuple[str, ...]:
        """The device's addresses for a client that came to ``local``; none where it does not listen there."""
        end = self._end(local)
        return (self._url_at(end, self.path, local),) if end is not None else ()

    def _end(self, local: str) -> Endpoint | None:
        """The listening end that a client of ``local`` can reach."""
        ends = self.server.addresses
        if not local:
            return ends[0]
        family = ":" in local
        exact = next((one for one in ends if one.address == local), None)
        return exact or next((one for one in ends if _is_any(one.address) and (":" in one.address) == family), None)

    def _url_at(self, end: Endpoint, path: str, local: str) -> str:
        host = self.around.name or (local if local and _is_any(end.address) else end.address)
        if _is_any(host):
            # Listening everywhere: the first address that others can reach, or loopback where there is none.
            family = ":" in host
            known = [one.address for one in local_addresses() if (":" in one.address) == family]
            outer = [one for one in known if not is_loopback(one) and not one.startswith("fe80")]
            host = (outer or known or ["::1" if family else "127.0.0.1"])[0]
        shown = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{shown}:{end.port}{path or self.path}"

    # -- life ----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def _start(self) -> None:
        self.behaviour.belong_to(self.kind, self.occasions())
        close = self._closing
        if self.tap is not None:
            close.callback(self.tap.close)
        close.push_async_callback(self.client.close)
        close.push_async_callback(self.server.stop)
        for host, port in self.around.listen:
            at = await self.server.listen(host, port)
            self.log.say("listening", f"{self.kind} listens on {self.scheme}://{at}", address=str(at))
        close.push_async_callback(self.stopping)
        for source in self.sources:
            close.push_async_callback(source.stop)
        if self.around.discovery and self._info is not None:
            await self._announce()

    async def stopping(self) -> None:
        """What a device does first when it ends; devices add to it."""

    async def _announce(self) -> None:
        info = self._info
        assert info is not None
        self.discovery = DiscoveryHost(
            info, xaddrs=self.xaddrs, ids=self.ids, instance_id=self.clock.time_ns() // 10**9, seed=self.around.seed,
            max_delay=MATCH_DELAY, udp=not self.silent, resolve_only_xaddrs=self.shy,
        )  # fmt: skip
        if not self.around.interfaces and not self.around.unicast_ports:
            return
        families = {"ipv6" if ":" in one.address else "ipv4" for one in self.server.addresses}
        sockets = DiscoverySockets(
            self.around.interfaces, self.around.discovery_port, extra_ports=self.around.unicast_ports,
            on_datagram=self._datagram, on_traffic=self.tap.datagram if self.tap is not None else None,
            on_problem=lambda text: self.log.say("warning", text), families=sorted(families),
        )  # fmt: skip
        try:
            await self._closing.enter_async_context(sockets)
        except UsageError as error:
            if self.around.must_be_found:
                raise
            self.log.say("warning", f"no discovery: {error}")
            return
        self._sockets = sockets
        self._closing.push_async_callback(self._bye)
        hello = self._harmed("Hello", self.discovery.hello(sockets.addresses))
        self._spread(hello)
        if hello:
            self.log.say("sent", f"Hello, by UDP on {', '.join(dict.fromkeys(sockets.addresses))}")

    async def _bye(self) -> None:
        assert self.discovery is not None
        assert self._sockets is not None
        for task in list(self._spreading):
            task.cancel()
        await asyncio.gather(*self._spreading, return_exceptions=True)
        # At the end the random waits are left out: nobody waits for a device that goes away.
        farewell = self._harmed("Bye", self.discovery.bye())
        for one in farewell:
            self._sockets.send(one.data, one.destination)
        if farewell:
            self.log.say("sent", "Bye, by UDP")

    def _datagram(self, data: bytes, source: Endpoint, local: str, multicast: bool) -> None:
        assert self.discovery is not None
        answers = self.discovery.receive(data, source, local, multicast)
        if not answers or len(self._spreading) >= MAX_SPREADING:
            return
        asked = answers[0].kind.removesuffix("Matches")
        answers = self._harmed(asked, answers)
        if not answers:
            return
        self.log.say("received", f"{source} {asked} by UDP, answered with {answers[0].kind}", peer=str(source))
        self._spread(answers)

    def _harmed(self, name: str, datagrams: Sequence[Transmission]) -> list[Transmission]:
        """Datagrams as the behaviour orders; those of an answer go by the name of the question."""
        effects = self.behaviour.choose("WS-Discovery", name, "request", {})
        if not effects:
            return list(datagrams)
        self.log.say("behaviour", f"{name}: {effects.describe()}", operation=name)
        if effects.ignore or effects.lost:
            return []
        made, other = [], self.ids.urn()
        for one in datagrams:
            data = relate_otherwise(one.data, effects, lambda: other)
            data = malform(data) if effects.malformed else data
            made.append(replace(one, data=data, delay=one.delay + effects.delay))
        return made * (2 if effects.doubled else 1)

    def _spread(self, transmissions: Sequence[Transmission]) -> None:
        assert self._sockets is not None
        task = asyncio.create_task(transmit(transmissions, self._sockets.send, self.clock))
        self._spreading.add(task)
        task.add_done_callback(self._spreading.discard)

    # -- operations of every device ------------------------------------------------------------------------------

    def _hosted(self, local: str) -> list[HostedService]:
        return [one.at(self.url(path, local)) for path, one in self._services]

    async def _get(self, call: Call) -> Reply:
        assert self._info is not None
        body = device_metadata(
            self._info, self._hosted(call.request.local.address), dialects=asked_dialects(call.message.body)
        )
        return Reply(body, "GetResponse" if call.operation == "Get" else "GetMetadataResponse")

    async def _get_service(self, call: Call) -> Reply:
        assert self._info is not None
        path, hosted = next((path, one) for path, one in self._services if path == call.point.path)
        body = service_metadata(
            self._info, hosted.at(self.url(path, call.request.local.address)),
            dialects=asked_dialects(call.message.body),
        )  # fmt: skip
        return Reply(body, "GetResponse" if call.operation == "Get" else "GetMetadataResponse")

    async def _probe(self, call: Call) -> Reply:
        """A Probe over HTTP: ProbeMatches, or HTTP 202 where nothing matches (DPWS R1021, R1022)."""
        if self.discovery is None:
            raise Ignored("discovery is switched off")
        found = self.discovery.answer_probe(call.message, call.request.local.address)
        if found is None:
            return Reply(empty=True)
        return Reply(found, "ProbeMatches", headers=(self.discovery.app_sequence(),))


def events_of(service: str) -> list[str]:
    """The actions of a service's events."""
    return [row.actions[0] for row in SERVICES[service].messages if row.kind == "event" and row.actions]


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")
