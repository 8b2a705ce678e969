"""The hosts that speak WSD in the capture: what each is, what it serves, what it is called.

Roles follow from who says what to whom; in WS-DSP the scanner is the client, in WS-Scan and WS-DSD it is the server
(notes-dsm 3), so they are read off a table and never guessed from ports. Names come from the metadata a host gives
about itself, addresses from what it announces; a proxy may announce others, which is not told apart here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dissector.analysis.exchanges import Role, Turn
from dissector.analysis.reading import is_event, number_of, operation_of, text_of, texts_of
from dissector.catalog.field import Field
from dissector.messages import Message

__all__ = ["Endpoints", "Host", "Hosted"]

HOSTS = 10_000
"""Hosts remembered."""

KEPT = 100
"""Values kept of each kind for one host (addresses, types, hosted services)."""

ROLES = {
    "WS-Scan": ("scan client", "scanner"),
    "WS-DSD": ("control point", "DSM device"),
    "WS-DSP": ("DSM device", "scan server"),
    "WS-DSC": ("control point", "scan server"),
}
"""Service → role of who calls, role of who serves (and sends the events)."""

_LOWER = ("WS-Eventing", "WS-Discovery", "WS-Transfer", "WS-MetadataExchange")


@dataclass(slots=True)
class Hosted:
    """A service in a device's metadata: addresses, types (as sent), ServiceId."""

    addresses: list[str]
    types: list[str]
    service_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"addresses": self.addresses, "types": self.types, "service_id": self.service_id}


@dataclass(slots=True)
class Host:
    """One host, by address.

    Attributes:
        roles: in order of first sight: "DSM device", "scan server", "scanner", "scan client", "control point",
            "event sink", "discovery host", "discovery client".
        serves: port → services, for what it listens on.
        calls: services that it calls.
        identifiers: its endpoint addresses (urn:uuid:…), types and xaddrs as announced.
        messages: number of messages sent; first_time, last_time: of those sent or received.
    """

    address: str
    first_time: int
    last_time: int
    roles: list[str] = field(default_factory=list)
    serves: dict[int, list[str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    manufacturer: str | None = None
    model: str | None = None
    friendly_name: str | None = None
    firmware: str | None = None
    serial: str | None = None
    identifiers: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    xaddrs: list[str] = field(default_factory=list)
    hosted: list[Hosted] = field(default_factory=list)
    metadata_version: int | None = None
    messages: int = 0

    @property
    def name(self) -> str | None:
        """What to call it: friendly name, else maker and model."""
        if self.friendly_name:
            return self.friendly_name
        parts = [part for part in (self.manufacturer, self.model) if part]
        return " ".join(parts) or None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "address": self.address,
            "name": self.name,
            "roles": self.roles,
            "serves": [{"port": port, "services": names} for port, names in sorted(self.serves.items())],
            "calls": self.calls,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "friendly_name": self.friendly_name,
            "firmware": self.firmware,
            "serial": self.serial,
            "identifiers": self.identifiers,
            "types": self.types,
            "xaddrs": self.xaddrs,
            "hosted": [one.to_json() for one in self.hosted],
            "messages": self.messages,
        }


def _add(values: list[str], *new: str | None) -> None:
    for value in new:
        if value and len(values) < KEPT and value not in values:
            values.append(value)


class Endpoints:
    """Collects the hosts."""

    def __init__(self) -> None:
        self._hosts: dict[str, Host] = {}

    @property
    def hosts(self) -> list[Host]:
        """All hosts that sent a WSD message, or serve one, in order of first sight."""
        return [host for host in self._hosts.values() if host.messages or host.serves]

    def feed(self, message: Message, turn: Turn) -> None:
        """Take the next message."""
        sender = self._host(message.source.address, message.time)
        sender.messages += 1
        if message.multicast:
            self._discovery(message, sender)
            return
        receiver = self._host(message.destination.address, message.time)
        if turn.role is Role.REQUEST:
            self._asked(message, sender, receiver)
        elif turn.role is Role.ANSWER and message.envelope is not None and message.fault is None:
            roles = ROLES.get(message.service)
            if roles is not None:
                _add(receiver.roles, roles[0])
                _add(sender.roles, roles[1])
                _serve(sender, message.source.port, message.service)
        self._discovery(message, sender)
        if message.name == "GetResponse" or message.service in ("WS-Transfer", "WS-MetadataExchange"):
            self._metadata(sender, message.body)

    def _host(self, address: str, time: int) -> Host:
        host = self._hosts.get(address)
        if host is None:
            host = Host(address, time, time)
            if len(self._hosts) < HOSTS:
                self._hosts[address] = host
        host.last_time = max(host.last_time, time)
        return host

    def _asked(self, message: Message, sender: Host, receiver: Host) -> None:
        port, service = message.destination.port, message.service
        roles = ROLES.get(service)
        if is_event(message):
            _add(receiver.roles, "event sink")
            _serve(receiver, port, "events")
            if roles is not None:
                _add(sender.roles, roles[1])
                _add(receiver.roles, roles[0])
            return
        if roles is not None:
            _add(sender.roles, roles[0])
            _add(receiver.roles, roles[1])
            _add(sender.calls, service)
            _serve(receiver, port, service)
        elif service in _LOWER and message.http is not None:
            if message.name == "SubscriptionEnd":
                _serve(receiver, port, "events")
                return
            _add(sender.calls, service)
            _serve(receiver, port, service)
            if operation_of(message) == "Subscribe":
                _add(sender.roles, "event sink")

    def _discovery(self, message: Message, sender: Host) -> None:
        if message.service != "WS-Discovery":
            return
        body = message.body
        if message.name in ("Probe", "Resolve"):
            _add(sender.roles, "discovery client")
        elif message.name in ("Hello", "Bye"):
            _add(sender.roles, "discovery host")
            self._announced(sender, body)
        elif message.name in ("ProbeMatches", "ResolveMatches"):
            _add(sender.roles, "discovery host")
            if body is not None:
                for match in body.find_all("ProbeMatch") + body.find_all("ResolveMatch"):
                    self._announced(sender, match)

    def _announced(self, host: Host, root: Field | None) -> None:
        _add(host.identifiers, text_of(root, "EndpointReference/Address"))
        _add(host.types, *(text_of(root, "Types") or "").split())
        _add(host.xaddrs, *(text_of(root, "XAddrs") or "").split())
        version = number_of(root, "MetadataVersion")
        host.metadata_version = version if version is not None else host.metadata_version

    def _metadata(self, host: Host, body: Field | None) -> None:
        for section in body.find_all("MetadataSection") if body is not None else []:
            model, device = section.find("ThisModel"), section.find("ThisDevice")
            host.manufacturer = text_of(model, "Manufacturer") or host.manufacturer
            host.model = text_of(model, "ModelName") or host.model
            host.friendly_name = text_of(device, "FriendlyName") or host.friendly_name
            host.firmware = text_of(device, "FirmwareVersion") or host.firmware
            host.serial = text_of(device, "SerialNumber") or host.serial
            relationship = section.find("Relationship")
            if relationship is None:
                continue
            for root in relationship.find_all("Host"):
                _add(host.types, *(text_of(root, "Types") or "").split())
                _add(host.identifiers, text_of(root, "EndpointReference/Address"))
            for root in relationship.find_all("Hosted"):
                hosted = Hosted(
                    texts_of(root, "EndpointReference/Address")[:KEPT],
                    (text_of(root, "Types") or "").split()[:KEPT],
                    text_of(root, "ServiceId"),
                )
                if len(host.hosted) < KEPT and hosted not in host.hosted:
                    host.hosted.append(hosted)


def _serve(host: Host, port: int, service: str) -> None:
    if port in host.serves or len(host.serves) < KEPT:
        _add(host.serves.setdefault(port, []), service)
