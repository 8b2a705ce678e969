"""Who took part in a recorded conversation: requests with their answers, and the parties that sent and got them.

A party is a role on a host. What it asks and what it serves tells the role; a request that any service takes (Get,
Subscribe) tells what others on its connection, to its path or its end tell. Two roles that are served at one end are
one party, since nobody outside can tell them apart. A sink is the subscriber's, unless it is on another host.

Sources: WS-Eventing 2004/08 3.1 (NotifyTo may be anywhere); MS-DSM and WS-Scan: who calls whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from dissector.analysis.endpoints import ROLES
from dissector.analysis.model import Exchange, Subscription
from dissector.base.origin import Endpoint
from dissector.catalog import SERVICES, canonical_action
from dissector.messages import Message
from replay.scenario.values import authority_of, base_of, is_url

__all__ = ["Actor", "Round", "is_notice", "named", "rounds_of"]

NAMES = {
    "DSM device": "device", "scan server": "server", "scanner": "scanner", "scan client": "client",
    "control point": "control", "event sink": "sink",
}  # fmt: skip
"""Role → name of a party."""

_EVENTS_OF = {service.namespace: service.name for service in SERVICES.values()}

UNKNOWN = ("scan client", "peer")
"""Roles of two that nothing tells of."""


@dataclass(slots=True, eq=False)
class Actor:
    """A party in a capture.

    Attributes:
        host: its address.
        roles: in order of first sight.
        ends: what it listens on.
        name: in a scenario, "" as long as it is in none.
    """

    host: str
    roles: list[str] = field(default_factory=list)
    ends: list[Endpoint] = field(default_factory=list)
    name: str = ""

    @property
    def role(self) -> str:
        """Its roles in words."""
        return " and ".join(self.roles)

    @property
    def base_name(self) -> str:
        """Name of a party with its first role."""
        return NAMES.get(self.roles[0], "peer") if self.roles else "peer"


@dataclass(slots=True, eq=False)
class Round:
    """One request with its answer.

    Attributes:
        request, answer: the messages; ``answer`` None where the capture has none.
        notice: a notification: it comes when there is something to tell.
        service: of the request, or what its surroundings tell; "" where nothing does.
        sender, receiver: who sent the request, and who got it.
        secure: it went over TLS.
    """

    request: Message
    answer: Message | None
    notice: bool
    service: str
    sender: Actor
    receiver: Actor
    secure: bool = False

    @property
    def messages(self) -> list[Message]:
        """Request and answer."""
        return [self.request] if self.answer is None else [self.request, self.answer]

    @property
    def base(self) -> str:
        """Base URL that the request went to."""
        assert self.request.http is not None
        target = self.request.http.target
        if is_url(target):
            return base_of(target)
        return base_of(
            f"http{'s' if self.secure else ''}://{self.request.http.header('Host') or self.request.destination}/"
        )


def rounds_of(
    messages: Sequence[Message],
    exchanges: Iterable[Exchange],
    subscriptions: Sequence[Subscription],
    secure: Collection[int] = (),
) -> list[Round]:
    """The rounds of a capture, in the order of their requests.

    Args:
        messages: those over HTTP that belong to WSD, in order.
        exchanges: how requests and answers belong together.
        subscriptions: which events were sent for which Subscribe.
        secure: numbers of the TCP streams that were TLS.
    """
    known = {one.number: one for one in messages}
    pairs = {one.request: known.get(one.response or 0) for one in exchanges if one.request is not None}
    answers = {one.number for one in pairs.values() if one is not None}
    requests = [one for one in messages if one.http is not None and one.http.is_request and one.number not in answers]
    cast = _Cast(requests, subscriptions)
    found = [cast.round(one, pairs.get(one.number)) for one in requests]
    for one in found:
        one.secure = one.request.stream.number in secure
    return found


def is_notice(message: Message) -> bool:
    """A notification, or the end of a subscription told."""
    return message.kind == "event" or message.name == "SubscriptionEnd"


class _Cast:
    """Finds the parties: first by what requests say themselves, then by their surroundings."""

    def __init__(self, requests: Sequence[Message], subscriptions: Sequence[Subscription]) -> None:
        self._on: dict[str, list[Actor]] = {}
        """Host → the parties there, in order of first sight; what one listens on is there too."""
        self._requests = requests
        self._services = _Services(requests, subscriptions)
        self._callers: dict[int, Actor] = {}
        """Number of a request that is no notice → who sent it."""
        self._servers: dict[int, Actor] = {}
        self._sinks: dict[str, int] = {}
        """``host:port`` of a sink → number of the Subscribe that names it."""
        for one in requests:
            for url in _sinks_of(one):
                self._sinks.setdefault(authority_of(url).lower(), one.number)
        for one in sorted((one for one in requests if not is_notice(one)), key=self._telling):
            caller, server = ROLES.get(self._services.of(one), ("", ""))
            back = self._asked_back(one, caller, server)
            if back is not None:
                self._callers[one.number], self._servers[one.number] = back
                continue
            self._servers[one.number] = self._server(one.destination, server)
            self._callers[one.number] = self._caller(one.source.address, caller)

    def _telling(self, call: Message) -> int:
        """How well a request tells who takes part: 0 by its own service, 1 by its surroundings, 3 not at all."""
        if call.service in ROLES:
            return 0
        return (1 if call.name == "Subscribe" else 2) if self._services.of(call) else 3

    def _asked_back(self, call: Message, caller: str, server: str) -> tuple[Actor, Actor] | None:
        """Sender and receiver where the party that serves asks the other one something (a device that looks at the
        metadata of who subscribed); None where it is the usual way round."""
        if call.service in ROLES or not caller:
            return None
        end = call.destination
        subscribe = self._sinks.get(str(end).lower(), 0)
        asked, asking = self._callers.get(subscribe), self._servers.get(subscribe)
        if asked is None or asking is None or asked.host != end.address or asking.host != call.source.address:
            asked, asking = self._at(end.address, caller), self._at(call.source.address, server)
            usual = self._at(end.address, server) is not None and self._at(call.source.address, caller) is not None
            if asked is None or asking is None or usual:
                return None
        if end not in asked.ends:
            asked.ends.append(end)
        return asking, asked

    def round(self, request: Message, answer: Message | None) -> Round:
        """A request with its parties."""
        service = self._services.of(request)
        if not is_notice(request):
            sender, receiver = self._callers[request.number], self._servers[request.number]
            return Round(request, answer, False, service, sender, receiver)
        roles = ROLES.get(service, ("", ""))
        receiver = self._sink(request.destination, roles[0])
        return Round(request, answer, True, service, self._caller(request.source.address, roles[1]), receiver)

    def _at(self, host: str, role: str) -> Actor | None:
        """The party on a host; without a role (or with one that nobody has there) the only one there."""
        here = self._on.get(host, [])
        if role:
            return next((one for one in here if role in one.roles), None)
        return here[0] if len(here) == 1 else None

    def _owner(self, end: Endpoint) -> Actor | None:
        """The party that listens on an end."""
        return next((one for one in self._on.get(end.address, ()) if end in one.ends), None)

    def _caller(self, host: str, role: str) -> Actor:
        return self._at(host, role) or self._new(host, role or UNKNOWN[0])

    def _server(self, end: Endpoint, role: str) -> Actor:
        owner = self._owner(end)
        known = self._at(end.address, role) if role or owner is None else owner
        if owner is not None and known is not None and owner is not known:
            # One end serves both: they are one.
            owner.roles += [one for one in known.roles if one not in owner.roles]
            owner.ends += [one for one in known.ends if one not in owner.ends]
            self._on[known.host].remove(known)
            for found in (self._callers, self._servers):
                found.update({number: owner for number, actor in found.items() if actor is known})
            known = owner
        found_actor = known or owner or self._new(end.address, role or UNKNOWN[1])
        if role and role not in found_actor.roles:
            found_actor.roles.append(role)
        if end not in found_actor.ends:
            found_actor.ends.append(end)
        return found_actor

    def _sink(self, end: Endpoint, role: str) -> Actor:
        owner = self._owner(end)
        if owner is None:
            subscriber = self._callers.get(self._sinks.get(str(end).lower(), 0))
            if subscriber is not None and subscriber.host == end.address:
                owner = subscriber
            else:
                owner = self._at(end.address, role) or self._at(end.address, "")
            owner = owner or self._new(end.address, "event sink")
            owner.ends.append(end)
        return owner

    def _new(self, host: str, role: str) -> Actor:
        made = Actor(host, [role])
        self._on.setdefault(host, []).append(made)
        return made


class _Services:
    """What service a request is about, also where it does not say so itself."""

    def __init__(self, requests: Sequence[Message], subscriptions: Sequence[Subscription]) -> None:
        self._told: dict[int, str] = {}
        own = {one.number: one.service for one in requests if one.service in ROLES}
        self._told |= own
        for one in subscriptions:
            about = [own[number] for number in one.events if number in own]
            if about:
                for number in one.messages:
                    self._told.setdefault(number, about[0])
        for request in requests:
            if request.number not in self._told and (service := _asked_for(request)):
                self._told[request.number] = service
        votes: dict[tuple[object, ...], Counter[str]] = {}
        for request in requests:
            if request.number in self._told:
                for key in _surroundings(request):
                    votes.setdefault(key, Counter())[self._told[request.number]] += 1
        for request in requests:
            if request.number not in self._told:
                found = next((votes[key] for key in _surroundings(request) if key in votes), None)
                self._told[request.number] = found.most_common(1)[0][0] if found else ""

    def of(self, request: Message) -> str:
        """The service, "" where nothing tells it."""
        return self._told.get(request.number, "")


def _asked_for(request: Message) -> str:
    """The service whose events a Subscribe asks for by their actions, "" for none."""
    field = request.body.find("Filter") if request.name == "Subscribe" and request.body is not None else None
    for action in field.text.split() if field is not None else ():
        service = _EVENTS_OF.get(canonical_action(action)[0].rpartition("/")[0], "")
        if service in ROLES:
            return service
    return ""


def _surroundings(request: Message) -> list[tuple[object, ...]]:
    """What a request has in common with others, the closest first."""
    source, end = request.source.address, request.destination
    path = request.http.target if request.http is not None else ""
    return [
        ("stream", request.stream.number), ("path", source, end, path), ("end", source, end),
        ("hosts", source, end.address), ("anybody", end),
    ]  # fmt: skip


def _sinks_of(request: Message) -> list[str]:
    """Addresses that events are to be sent to, by a Subscribe."""
    if request.name != "Subscribe" or request.body is None:
        return []
    fields = [request.body.find(path) for path in ("Delivery/NotifyTo/Address", "EndTo/Address")]
    return [one.text.strip() for one in fields if one is not None and one.text and is_url(one.text.strip())]


def named(actors: Iterable[Actor]) -> dict[str, Actor]:
    """Unique names for the parties of a story, in order."""
    found: dict[str, Actor] = {}
    for actor in actors:
        base, number = actor.base_name, 1
        name = base
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found[name] = actor
    return found
