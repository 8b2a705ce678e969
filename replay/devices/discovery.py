"""The device's half of WS-Discovery: Hello, Bye, and the answers to Probe and Resolve.

Rules: no sockets, no clock. What is to be sent is given as :class:`Transmission`, with the seconds to wait; a datagram
in, transmissions out. Everybody on the network may send anything: what cannot be read, is not asked of this device,
would have the answer sent elsewhere, or was answered before, gets no answer.

Sources: WS-Discovery 2005/04: 4.1 (Hello), 4.2 (Bye), 5.2, 5.3 (Probe), 6 (Resolve), appendix I (AppSequence);
SOAP-over-UDP; DPWS 2006/02 3.5 and appendix I (delays); what Windows does: the pages
``additional-ws-discovery-functionality.md``, ``probematches-message.md`` and ``dpws-specification-compliance.md`` of
the win32 documentation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml.etree import _Element as Element

from dissector.base.origin import Endpoint
from dissector.catalog import build, decode
from dissector.messages import Message
from dissector.soap.build import anonymous, build_fault
from dissector.soap.model import Envelope, QName
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.repeats import DPWS_2006, Repeats
from replay.devices.metadata import DeviceInfo
from replay.devices.probing import Match, build_probe, build_resolve, read_matches
from replay.devices.scopes import rule_of, scopes_match, supported_rules, types_match
from replay.devices.wsdiscovery import MAX_DATAGRAM, VERSIONS, Version, compose, read_discovery, version_of
from replay.soap.faults import SoapFault

__all__ = [
    "APP_MAX_DELAY",
    "LATEST_MATCH",
    "MAX_DATAGRAM",
    "DiscoveryHost",
    "Match",
    "Transmission",
    "build_probe",
    "build_resolve",
    "read_matches",
    "transmit",
]

APP_MAX_DELAY = 5.0
"""Seconds up to which Hello and ProbeMatches are delayed at random (DPWS 2006/02, appendix I)."""

LATEST_MATCH = 2.5
"""Seconds after which Windows sends no match: its firewall lets answers in for 4 s."""

REMEMBERED = 1000
"""MessageIDs of questions that are remembered, so that a repeated datagram is answered once."""

MAX_URI = 2048
"""Characters of a MessageID; one with more is not answered (MAX_URI_SIZE of DPWS)."""

XAddrs = Callable[[str], Sequence[str]] | Sequence[str]
"""The addresses of the device: fixed, or as seen from one of its own IP addresses ("": from anywhere)."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """One datagram to send.

    Attributes:
        delay: seconds from now.
        data: the message; its repeats have the same bytes.
        destination: None: multicast.
        kind: name of the message, such as ``ProbeMatches``.
    """

    delay: float
    data: bytes
    destination: Endpoint | None
    kind: str


async def transmit(
    transmissions: Iterable[Transmission], send: Callable[[bytes, Endpoint | None], object], clock: Clock
) -> None:
    """Send each when it is due."""
    start = clock.monotonic()
    for one in sorted(transmissions, key=lambda one: one.delay):
        await clock.sleep(one.delay - (clock.monotonic() - start))
        send(one.data, one.destination)


class DiscoveryHost:
    """A device that can be discovered.

    Args:
        info: the device; may be replaced, with a greater ``metadata_version``, and :meth:`hello` be said again.
        xaddrs: its addresses.
        ids: makes message ids.
        instance_id: grows at each restart, such as the seconds since 1970 (appendix I).
        seed, rng: of the random delays; ``rng`` counts where both are given.
        versions: of WS-Discovery that are spoken: ``2005/04``, ``2009/01``.
        sequence_id: of AppSequence, None for none.
        max_delay: seconds up to which Hello and answers to a multicast Probe are delayed at random; APP_MAX_DELAY at
            the most.
        repeats: when and how often datagrams are sent again.
        xaddrs_in_hello: False: left out, as Windows does; clients then send a Resolve.
        resolve_only_xaddrs: addresses are told in ResolveMatches only.
        udp: False: neither announces nor answers over UDP; only :meth:`answer_probe` (a Samsung M288x).
    """

    def __init__(
        self,
        info: DeviceInfo,
        *,
        xaddrs: XAddrs,
        ids: Ids,
        instance_id: int,
        seed: int | str | None = None,
        rng: random.Random | None = None,
        versions: Sequence[str] = ("2005/04",),
        sequence_id: str | None = None,
        max_delay: float = LATEST_MATCH,
        repeats: Repeats = DPWS_2006,
        xaddrs_in_hello: bool = True,
        resolve_only_xaddrs: bool = False,
        udp: bool = True,
    ) -> None:
        self.info = info
        self._xaddrs = xaddrs
        self._ids = ids
        self._instance = instance_id & 0xFFFFFFFF
        self._random = rng if rng is not None else random.Random(seed)
        self._versions = [VERSIONS[name] for name in versions]
        self._sequence = sequence_id
        self._max_delay = min(max_delay, APP_MAX_DELAY)
        self._repeats = repeats
        self._hello_xaddrs = xaddrs_in_hello and not resolve_only_xaddrs
        self._probe_xaddrs = not resolve_only_xaddrs
        self._udp = udp
        self._number = 0
        self._seen: dict[str, None] = {}

    # -- announcing --------------------------------------------------------------------------------------------------

    def hello(self, locals_: Iterable[str] = ()) -> list[Transmission]:
        """The device is there, or its metadata changed; delayed at random, so that devices do not all speak at once.

        Args:
            locals_: own IP addresses that it is announced on: the addresses as seen from each are told; none: those
                seen from anywhere.
        """
        if not self._udp:
            return []
        data = self._facts(list(locals_) or [""], xaddrs=self._hello_xaddrs)
        delay = self._random.uniform(0, self._max_delay)
        return self._announce("Hello", data, delay)

    def bye(self) -> list[Transmission]:
        """The device leaves."""
        return self._announce("Bye", self._reference(), 0.0) if self._udp else []

    def _announce(self, name: str, data: dict[str, Any], delay: float) -> list[Transmission]:
        found = []
        for version in self._versions:
            message = compose(version, name, data, self._ids.urn(), headers=[self.app_sequence(version.name)])
            found += self._repeated(message, None, name, delay, self._repeats.multicast)
        return found

    def _repeated(
        self, data: bytes, destination: Endpoint | None, kind: str, delay: float, count: int
    ) -> list[Transmission]:
        offsets = self._repeats.offsets(count, self._random)
        return [Transmission(delay + offset, data, destination, kind) for offset in offsets]

    # -- answering ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Endpoint, local: str = "", multicast: bool = True) -> list[Transmission]:
        """What a datagram is answered with.

        Args:
            data: its payload.
            source: who sent it, and gets the answer.
            local: own IP address that it came to, or that of the interface where it was sent to all.
            multicast: it was sent to all.

        Returns:
            The answer and its repeats; nothing for what is not to be answered.
        """
        envelope = read_discovery(data) if self._udp else None
        version = self._spoken(envelope)
        if envelope is None or envelope.name is None or version is None:
            return []
        headers = envelope.addressing
        if not headers.message_id or len(headers.message_id) > MAX_URI:
            return []
        if not (headers.action or "").endswith(f"/{envelope.name.local}"):
            return []
        # An answer elsewhere would let anybody have datagrams sent to anybody.
        if headers.reply_to is not None and headers.reply_to.address not in _ANONYMOUS:
            return []
        if envelope.name.local not in ("Probe", "Resolve") or self._known(headers.message_id):
            return []
        try:
            if envelope.name.local == "Resolve":
                kind, answer, delay = "ResolveMatches", self._resolved(envelope, local), 0.0
            else:
                kind, answer = "ProbeMatches", self._probed(envelope, version, local)
                delay = self._random.uniform(0, min(self._max_delay, LATEST_MATCH)) if multicast else 0.0
        except SoapFault as fault:
            if multicast:
                return []
            return self._refused(fault, version, headers.message_id, source)
        if answer is None:
            return []
        message = compose(
            version, kind, answer, self._ids.urn(), to=anonymous(version.addressing),
            relates_to=headers.message_id, headers=[self.app_sequence(version.name)],
        )  # fmt: skip
        return self._repeated(message, source, kind, delay, self._repeats.unicast)

    def answer_probe(self, message: Message | Envelope, local: str = "") -> Element | None:
        """The body that answers a Probe which came over HTTP (DPWS R1021, R1022); its header is :meth:`app_sequence`.

        Args:
            message: the Probe.
            local: own IP address that it came to.

        Returns:
            ProbeMatches in the version of the Probe; None: no match, HTTP 202 with an empty body is due.

        Raises:
            SoapFault: wsd:MatchingRuleNotSupported.
        """
        envelope = message.envelope if isinstance(message, Message) else message
        version = self._spoken(envelope)
        if envelope is None or version is None or envelope.name is None or envelope.name.local != "Probe":
            return None
        answer = self._probed(envelope, version, local)
        return build(f"{version.prefix}:ProbeMatches", answer) if answer is not None else None

    def app_sequence(self, version: str = "2005/04") -> Element:
        """The header AppSequence of one message; the next one has a greater MessageNumber (appendix I)."""
        self._number += 1
        data: dict[str, Any] = {"@instance_id": self._instance, "@message_number": self._number}
        if self._sequence is not None:
            data["@sequence_id"] = self._sequence
        return build(f"{VERSIONS[version].prefix}:AppSequence", data)

    def _spoken(self, envelope: Envelope | None) -> Version | None:
        version = version_of(envelope) if envelope is not None else None
        return version if version in self._versions else None

    def _known(self, message_id: str) -> bool:
        if message_id in self._seen:
            return True
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def _probed(self, envelope: Envelope, version: Version, local: str) -> dict[str, Any] | None:
        assert envelope.content is not None
        probe = decode(envelope.content)
        types, scopes = probe.find("Types"), probe.find("Scopes")
        wanted = types.value if types is not None and isinstance(types.value, list) else []
        # Words that are no names match nothing.
        if (types is not None and types.children) or not all(isinstance(one, QName) for one in wanted):
            return None
        uris: list[str] = []
        rule = rule_of(None, version.namespace)
        if scopes is not None:
            rule = rule_of(scopes.attributes.get("MatchBy", ("", ""))[1], version.namespace)
            uris = scopes.text.split()
        if rule is None:
            raise SoapFault(
                "Sender", QName(version.namespace, "MatchingRuleNotSupported", version.prefix),
                "The matching rule is not supported",
                build(f"{version.prefix}:SupportedMatchingRules", supported_rules(version.namespace)),
                action=f"{version.namespace}/fault",
            )  # fmt: skip
        if not types_match(wanted, self.info.types):
            return None
        if not scopes_match(uris, self.info.scopes, rule, version.namespace):
            return None
        return {"probe_match": self._facts([local], xaddrs=self._probe_xaddrs)}

    def _resolved(self, envelope: Envelope, local: str) -> dict[str, Any] | None:
        assert envelope.content is not None
        address = decode(envelope.content).find("EndpointReference/Address")
        if address is None or address.text.strip().lower() != self.info.address.lower():
            return None
        return {"resolve_match": self._facts([local], xaddrs=True)}

    def _refused(self, fault: SoapFault, version: Version, message_id: str, source: Endpoint) -> list[Transmission]:
        message = build_fault(
            fault.code, fault.subcode, fault.reason, fault.detail, action=fault.action,
            to=anonymous(version.addressing), message_id=self._ids.urn(), relates_to=message_id,
            addressing=version.addressing,
        )  # fmt: skip
        return self._repeated(message, source, "Fault", 0.0, self._repeats.unicast)

    def _reference(self) -> dict[str, Any]:
        return {"endpoint_reference": {"address": self.info.address}}

    def _facts(self, locals_: Sequence[str], *, xaddrs: bool) -> dict[str, Any]:
        info = self.info
        given = self._xaddrs
        urls = [one for local in locals_ for one in (given(local) if callable(given) else given)] if xaddrs else []
        return {
            **self._reference(),
            **({"types": list(info.types)} if info.types else {}),
            **({"scopes": list(info.scopes)} if info.scopes else {}),
            **({"xaddrs": list(dict.fromkeys(urls))} if urls else {}),
            "metadata_version": info.metadata_version,
        }


_ANONYMOUS = (anonymous("2004/08"), anonymous("2005/08"))
