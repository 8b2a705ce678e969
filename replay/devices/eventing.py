"""Subscriptions of an event source: who wants to be told what, until when.

Pure: times are passed in, nothing is sent here (see ``delivery``). Push delivery and the Action filter of the device
profile; granted times are durations, as Windows grants them.

Sources: WS-Eventing 2004/08, 3 and 5; DPWS R3005 to R3020, 6.1.1; scan destinations: scandestinations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dissector.catalog import DateTime, Duration, Field, build
from dissector.messages import Message
from dissector.soap.model import EndpointReference, QName
from dissector.soap.namespaces import WSA04, WSCN, WSDP06, WSE
from replay.base.ids import Ids
from replay.soap.faults import SoapFault, eventing_fault

__all__ = ["Subscription", "SubscriptionTable", "actions_of", "reference_of", "too_much"]

PUSH = f"{WSE}/DeliveryModes/Push"
ACTION_DIALECT = f"{WSDP06}/Action"

DEFAULT_EXPIRES = 3600.0
"""Seconds granted where the client asks for an endless subscription."""

MAX_EXPIRES = 24 * 3600.0
"""Seconds granted at most."""

MAX_SUBSCRIBE = 64 << 10
"""Bytes of the envelope of a Subscribe: its addresses and destinations are kept as long as the subscription lives."""

MAX_PARAMETERS = 32
"""Reference parameters of one address: each event carries them."""

MAX_ACTIONS = 64
"""Actions of one filter: each event is held against them."""

MAX_DESTINATIONS = 256
"""Destinations of one subscription."""


@dataclass(slots=True)
class Subscription:
    """One subscription.

    Attributes:
        identifier: urn:uuid, the reference parameter of the subscription manager.
        notify_to: where notifications go; its parameters are echoed as header blocks.
        end_to: who is told of the end, None for nobody.
        actions: action URIs or prefixes of them; empty: all.
        expires: monotonic time of its end.
        destinations: ClientContext → (ClientDisplayName, DestinationToken), for push scans.
        peer: address of the subscriber.
        path: of the service that it was made at.
    """

    identifier: str
    notify_to: EndpointReference
    end_to: EndpointReference | None
    actions: tuple[str, ...]
    expires: float
    destinations: dict[str, tuple[str, str]] = field(default_factory=dict)
    peer: str = ""
    path: str = ""

    def wants(self, action: str) -> bool:
        """Whether its filter lets an action through: equal, or a prefix by whole path segments (DPWS 6.1.1, the rule
        rfc2396 of WS-Discovery 5.1)."""
        return not self.actions or any(
            action == one or action.startswith(one.rstrip("/") + "/") for one in self.actions
        )


class SubscriptionTable:
    """The subscriptions of one event source.

    Args:
        ids: for identifiers and destination tokens.
        offered: actions that this source can send.
        limit: subscriptions at once.
        one_only: a new subscription ends the one before (Samsung M288x).
        may_notify: whether a sink's address may be contacted.
    """

    def __init__(
        self,
        ids: Ids,
        offered: Sequence[str],
        *,
        limit: int = 100,
        one_only: bool = False,
        may_notify: Callable[[str], bool] = lambda address: True,
    ) -> None:
        self._ids = ids
        self._offered = tuple(offered)
        self._limit = limit
        self._one_only = one_only
        self._may_notify = may_notify
        self._table: dict[str, Subscription] = {}

    def all(self) -> list[Subscription]:
        """The living subscriptions, oldest first."""
        return list(self._table.values())

    def __len__(self) -> int:
        return len(self._table)

    # -- what clients ask for ------------------------------------------------------------------------------------

    def subscribe(self, body: Field, now: float, wall: float, *, peer: str = "", path: str = "") -> Subscription:
        """A new subscription.

        Args:
            body: decoded wse:Subscribe.
            now: monotonic seconds.
            wall: seconds since 1970, for a client that asks for a date.
            peer, path: for the record.

        Raises:
            SoapFault: as WS-Eventing says.
        """
        delivery = body.find("Delivery")
        mode = delivery.attributes.get("Mode", (PUSH, PUSH))[1] if delivery is not None else PUSH
        if mode.strip() != PUSH:
            raise eventing_fault(
                "DeliveryModeRequestedUnavailable",
                "Only push delivery is offered",
                build("wse:SupportedDeliveryMode", PUSH),
            )
        notify_to = reference_of(delivery.find("NotifyTo") if delivery is not None else None)
        if notify_to is None or not notify_to.address:
            raise eventing_fault("InvalidMessage", "Delivery has no NotifyTo with an Address")
        end_to = reference_of(body.find("EndTo"))
        for reference in (notify_to, end_to):
            if reference is not None and not self._may_notify(reference.address):
                raise SoapFault(
                    "Sender", QName(WSA04, "DestinationUnreachable", "wsa"),
                    f"No route to {reference.address}: this emulator talks to loopback only",
                )  # fmt: skip
        actions = self._filter(body.find("Filter"))
        seconds = self._granted(body.find("Expires"), wall)
        if len(self._table) >= self._limit:
            raise eventing_fault("EventSourceUnableToProcess", f"No more than {self._limit} subscriptions")
        if self._one_only:
            self._table.clear()
        made = Subscription(self._ids.urn(), notify_to, end_to, actions, now + seconds, peer=peer, path=path)
        for one in body.find_all("ScanDestinations/ScanDestination"):
            context = _text(one, "ClientContext")
            made.destinations[context] = (_text(one, "ClientDisplayName"), self._ids.guid())
        self._table[made.identifier] = made
        return made

    def response(self, made: Subscription, manager: str, now: float) -> dict[str, Any]:
        """The plain form of wse:SubscribeResponse."""
        data: dict[str, Any] = {
            "subscription_manager": {
                "address": manager,
                "reference_parameters": {f"{{{WSE}}}Identifier": made.identifier},
            },
            "expires": duration(made.expires - now),
        }
        if made.destinations:
            data["destination_responses"] = {
                "destination_response": [
                    {"client_context": context, "destination_token": token}
                    for context, (_, token) in made.destinations.items()
                ]
            }
        return data

    def renew(self, message: Message, now: float, wall: float) -> Subscription:
        """A longer life.

        Raises:
            SoapFault: no such subscription, or no such time.
        """
        found = self._of(message)
        body = message.body
        found.expires = now + self._granted(body.find("Expires") if body is not None else None, wall)
        return found

    def status(self, message: Message) -> Subscription:
        """The subscription that a message to the manager is about.

        Raises:
            SoapFault: no such subscription.
        """
        return self._of(message)

    def unsubscribe(self, message: Message) -> Subscription:
        """The end of a subscription, by its client.

        Raises:
            SoapFault: no such subscription.
        """
        found = self._of(message)
        del self._table[found.identifier]
        return found

    # -- what the source does -----------------------------------------------------------------------------------

    def expired(self, now: float) -> list[Subscription]:
        """Take out what is over; nobody is told (WS-Eventing 3.5: SubscriptionEnd is for unexpected ends)."""
        over = [one for one in self._table.values() if one.expires <= now]
        for one in over:
            del self._table[one.identifier]
        return over

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._table.pop(subscription.identifier, None)

    def wanting(self, action: str, now: float) -> list[Subscription]:
        """The living subscriptions whose filter lets an action through."""
        self.expired(now)
        return [one for one in self._table.values() if one.wants(action)]

    def destination(self, token: str) -> tuple[Subscription, str] | None:
        """Who was given a DestinationToken: subscription and ClientContext."""
        for one in self._table.values():
            for context, (_, given) in one.destinations.items():
                if given == token:
                    return one, context
        return None

    # -- pieces --------------------------------------------------------------------------------------------------

    def _of(self, message: Message) -> Subscription:
        envelope = message.envelope
        parameters = envelope.addressing.parameters if envelope is not None else []
        given = next((text for name, text in parameters if name.local == "Identifier"), "")
        found = self._table.get(given)
        if found is None:
            raise eventing_fault(
                "InvalidMessage", f"No subscription {given!r}" if given else "No wse:Identifier header"
            )
        return found

    def _filter(self, field: Field | None) -> tuple[str, ...]:
        if field is None:
            return ()
        dialect = field.attributes.get("Dialect", ("", ""))[1].strip()
        if dialect and dialect != ACTION_DIALECT:
            raise eventing_fault(
                "FilteringRequestedUnavailable", f"The filter dialect {dialect} is not offered",
                build("wse:SupportedDialect", ACTION_DIALECT),
            )  # fmt: skip
        actions = actions_of(field)
        probe = Subscription("", EndpointReference(""), None, actions, 0.0)
        if not actions or not any(probe.wants(one) for one in self._offered):
            raise eventing_fault("FilterActionNotSupported", "No event of this service passes the filter")
        return actions

    def _granted(self, field: Field | None, wall: float) -> float:
        if field is None or not field.text.strip():
            return DEFAULT_EXPIRES
        value = field.value
        if isinstance(value, Duration):
            seconds = value.seconds
        elif isinstance(value, DateTime) and (when := value.datetime) is not None:
            seconds = (
                (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.fromtimestamp(wall, UTC)
            ).total_seconds()
        else:
            raise eventing_fault("InvalidExpirationTime", f"{field.text.strip()[:60]!r} is no duration and no date")
        if seconds <= 0:
            raise eventing_fault("InvalidExpirationTime", "The time is zero or past")
        return min(seconds, MAX_EXPIRES)


def duration(seconds: float) -> str:
    """Seconds as xs:duration, such as ``PT1H`` or ``PT90S``."""
    whole = max(round(seconds), 0)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    text = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + (f"{left}S" if left else "")
    return f"PT{text or '0S'}"


def actions_of(field: Field | None) -> tuple[str, ...]:
    """The actions that a wse:Filter lets through; () for all."""
    words = field.text.split() if field is not None else []
    # The page example of the scan service has bare event names and no dialect.
    return tuple(word if ":" in word else f"{WSCN}/{word}" for word in words)


def too_much(message: Message) -> str:
    """Why more would be kept of a Subscribe than of any honest one, "" where it would not."""
    body, envelope = message.body, message.envelope
    if envelope is not None and len(envelope.xml) > MAX_SUBSCRIBE:
        return f"a Subscribe of more than {MAX_SUBSCRIBE} bytes"
    if body is None:
        return ""
    for place in ("Delivery/NotifyTo", "EndTo"):
        reference = reference_of(body.find(place))
        if reference is not None and len(reference.parameters) > MAX_PARAMETERS:
            return f"more than {MAX_PARAMETERS} reference parameters of {place.rpartition('/')[2]}"
    if len(actions_of(body.find("Filter"))) > MAX_ACTIONS:
        return f"a Filter of more than {MAX_ACTIONS} actions"
    if len(body.find_all("ScanDestinations/ScanDestination")) > MAX_DESTINATIONS:
        return f"more than {MAX_DESTINATIONS} destinations"
    return ""


def reference_of(field: Field | None) -> EndpointReference | None:
    """An endpoint reference with its reference parameters, None for no element."""
    if field is None:
        return None
    parameters: list[tuple[QName, str]] = []
    for holder in ("ReferenceProperties", "ReferenceParameters"):
        inside = field.find(holder)
        if inside is not None:
            parameters += [(QName(one.namespace, one.name, one.prefix), one.text.strip()) for one in inside.children]
    return EndpointReference(_text(field, "Address"), parameters)


def _text(field: Field, path: str) -> str:
    found = field.find(path)
    return found.text.strip() if found is not None else ""


def end_body(subscription: Subscription, manager: str, status: str, reason: str) -> Mapping[str, Any]:
    """The plain form of wse:SubscriptionEnd (section 3.5)."""
    return {
        "subscription_manager": {
            "address": manager,
            "reference_parameters": {f"{{{WSE}}}Identifier": subscription.identifier},
        },
        "status": f"{WSE}/{status}",
        "reason": [{"#text": reason, "@lang": "en"}],
    }
