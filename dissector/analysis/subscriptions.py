"""WS-Eventing subscriptions: from Subscribe to their end.

A subscription is known by what its manager's reference parameters say (wse:Identifier, else the manager's address),
an event by what NotifyTo's said (see :mod:`dissector.analysis.notifications`). Sources: WS-Eventing 3, the device
profile's Action dialect, and the push-scan extension of WS-Scan (ScanDestinations, DestinationResponses).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from sys import intern
from typing import TypeVar

from dissector.analysis.exchanges import WAITING, Role, Turn
from dissector.analysis.expiry import nanoseconds
from dissector.analysis.model import Subscription
from dissector.analysis.reading import LONGEST, frame_of, operation_of, parameters_of, text_of, texts_of
from dissector.analysis.resting import Resting
from dissector.base.findings import rule
from dissector.base.origin import Endpoint
from dissector.catalog.field import Field
from dissector.messages import Message

__all__ = ["Subscriptions", "Watch"]

_Key = TypeVar("_Key", str, tuple[str, str])

SAME_KEY = 64
"""Subscriptions remembered under one identifier or sink address, the newest ones."""

MANY = 100
"""Actions, destinations and reference parameters kept of one subscription."""

SCAN_AVAILABLE = "ScanAvailableEvent"

REFUSED = rule("subscription.refused", "warn", "the event source refused the subscription", "WS-Eventing 3.1")
RENEW_REFUSED = rule("subscription.renew-refused", "warn", "the renewal was refused", "WS-Eventing 3.2")
SOURCE_ENDED = rule("subscription.source-ended", "warn", "the event source ended the subscription", "WS-Eventing 3.5")
EXPIRED = rule("subscription.expired", "note", "the subscription ran out without a renewal", "WS-Eventing 3.1")
NO_ANSWER = rule("subscription.no-answer", "note", "the capture holds no answer to Subscribe")
DESTINATIONS = rule(
    "subscription.destinations", "warn", "ScanDestinations and DestinationResponses do not match", "wsscan.yaml Q17"
)
NO_DESTINATIONS = rule(
    "subscription.no-destinations",
    "warn",
    "the filter names ScanAvailableEvent, but there are no ScanDestinations",
    "wsscan.yaml Q18",
)


@dataclass(slots=True, eq=False)
class Watch:
    """A subscription under way, with what the model has no place for. Between two messages the subscription may be put
    to rest; what is asked of many to find the one of an event is here, so that none is woken for it.

    Attributes:
        number: of the subscription.
        created: when it was asked for; ``ended_time``: when it ended, None where nothing told its end.
        actions: of the filter.
        plain: its NotifyTo has no reference parameters.
        cut: the Subscribe names more than is kept (:data:`MANY`): of what is not there nothing is concluded.
        server: whom the Subscribe went to, None where it is not in the capture.
        client: who subscribed.
        by_action: the filter is a list of action URIs (else what it passes cannot be told).
        expires: nanoseconds at which it runs out, None where that is not known.
        accepted: its answer was seen.
        whole: the Subscribe is in the capture, and nothing of it is missing.
    """

    number: int
    _held: Subscription | bytes
    _resting: Resting
    server: Endpoint | None = None
    client: Endpoint | None = None
    created: int = 0
    ended_time: int | None = None
    actions: tuple[str, ...] = ()
    plain: bool = True
    cut: bool = False
    by_action: bool = True
    expires: int | None = None
    accepted: bool = False
    whole: bool = False
    frame: int = 0

    @property
    def subscription(self) -> Subscription:
        """What is told of it."""
        held = self._held
        if isinstance(held, bytes):
            self._held = held = self._resting.packer.unpack(held)
            self._resting.awake(self)
        return held

    def rest(self) -> None:
        """Pack what is told of it."""
        self._held = self._resting.packer.pack(self._held)

    def passes(self, actions: list[str]) -> bool:
        """The filter lets an event of one of these actions pass: equal, or a prefix by whole path steps (the
        rfc2396 rule of the device profile); the bare event name of a WS-Scan page example counts too."""
        if not self.actions or not self.by_action or self.cut:
            return True
        return any(_selects(_plain(one), _plain(action)) for one in self.actions for action in actions if action)

    def over(self, time: int) -> bool:
        """It had ended, or run out, at that time."""
        if self.ended_time is not None and self.ended_time <= time:
            return True
        return self.expires is not None and self.expires < time


@lru_cache(maxsize=1024)
def _plain(action: str) -> str:
    return action.strip().rstrip("/").replace("https://", "http://", 1).replace("/2006/01/wdp/", "/2006/08/wdp/")


def _selects(wanted: str, action: str) -> bool:
    return action == wanted or action.startswith(f"{wanted}/") or ("/" not in wanted and action.endswith(f"/{wanted}"))


@lru_cache(maxsize=1024)
def _shared(actions: tuple[str, ...]) -> tuple[str, ...]:
    """The same few actions as one object for all subscriptions."""
    return actions


def _kept(actions: list[str]) -> list[str]:
    """Of the actions of a filter up to :data:`MANY`, and no more than is kept of one value: without the line breaks
    and the indentation between them, which can be longer than they are."""
    sizes = accumulate(map(len, actions[:MANY]))
    # Interned: they are the same few in all subscriptions.
    return [intern(action) for action, size in zip(actions, sizes, strict=False) if size <= LONGEST]


def references(root: Field | None, path: str) -> list[tuple[str, str]]:
    """(local name, text) of the reference properties and parameters of the endpoint reference at the path, up to
    :data:`MANY`."""
    found: list[tuple[str, str]] = []
    endpoint = root.find(path) if root is not None else None
    for name in ("ReferenceProperties", "ReferenceParameters"):
        holder = endpoint.find(name) if endpoint is not None else None
        for child in holder.children if holder is not None else ():
            text = text_of(child)
            if text is not None and len(found) < MANY:
                found.append((child.name, text))
    return found


class _Index(dict[_Key, Watch | list[Watch]]):
    """Key → the newest watches of it. Nearly always there is one, and then no list around it (90 bytes)."""

    def add(self, key: _Key, watch: Watch) -> None:
        """One more, the newest."""
        some = self.get(key)
        if some is None:
            self[key] = watch
        elif isinstance(some, list):
            some.append(watch)
            del some[:-SAME_KEY]
        else:
            self[key] = [some, watch]

    def of(self, key: _Key) -> list[Watch]:
        """All of the key, the newest last."""
        some = self.get(key)
        return [] if some is None else some if isinstance(some, list) else [some]


class Subscriptions:
    """Follows the subscriptions.

    Attributes:
        subscriptions: in order of their Subscribe, or of the first sign of them.
    """

    def __init__(self) -> None:
        self._watches: list[Watch] = []
        self._resting = Resting()
        self._asked: OrderedDict[int, tuple[str, Watch]] = OrderedDict()
        self._by_reference: _Index[tuple[str, str]] = _Index()
        self._by_manager: _Index[str] = _Index()
        self._by_sink: _Index[str] = _Index()
        self._by_source: _Index[str] = _Index()
        self._last_time = 0

    @property
    def subscriptions(self) -> list[Subscription]:
        """All of them, in order."""
        return [watch.subscription for watch in self._watches]

    def feed(self, message: Message, turn: Turn) -> None:
        """Take the next message."""
        self._last_time = max(self._last_time, message.time)
        self._resting.settle()
        if turn.role is Role.ANSWER:
            if turn.request is not None and turn.request in self._asked and not turn.late:
                operation, watch = self._asked.pop(turn.request)
                watch.subscription.messages.append(message.number)
                self._answer(operation, watch, message)
            elif message.name == "SubscribeResponse" and not turn.late:
                watch = self._new(message, server=message.source, client=message.destination)
                self._answer("Subscribe", watch, message)
            return
        if turn.role is not Role.REQUEST:
            return
        operation = operation_of(message)
        if operation == "Subscribe":
            self._ask(message, "Subscribe", self._subscribe(message))
        elif operation in ("Renew", "GetStatus", "Unsubscribe"):
            self._ask(message, operation, self._managed(message))
        elif message.name == "SubscriptionEnd":
            self._ended_by_source(message)

    def finish(self) -> None:
        """No more messages."""
        for operation, watch in self._asked.values():
            if operation == "Subscribe":
                watch.subscription.findings.append(NO_ANSWER(frames=(watch.frame,) if watch.frame else ()))
        self._asked.clear()
        for watch in self._watches:
            if watch.expires is None or watch.expires >= self._last_time:
                continue
            one = watch.subscription
            if one.ended is None:
                late = (self._last_time - watch.expires) / 1e9
                one.findings.append(
                    EXPIRED(
                        f"the subscription was granted for {one.granted} and not renewed in time: it ran out "
                        f"{late:,.0f} s before the capture's last message; events after that are lost",
                        frames=(watch.frame,) if watch.frame else (),
                    )
                )

    # -- what others ask --------------------------------------------------------------------------------------

    def with_reference(self, name: str, text: str) -> list[Watch]:
        """Those whose NotifyTo had that reference parameter."""
        return self._by_reference.of((name, text))

    def with_sink(self, address: str) -> list[Watch]:
        """Those whose NotifyTo has that address."""
        return self._by_sink.of(address.strip())

    def of_source(self, host: str) -> Iterator[Watch]:
        """Those that a host serves as event source, the newest ones."""
        return iter(self._by_source.of(host))

    def watch(self, number: int) -> Watch | None:
        """The subscription of that number."""
        return self._watches[number - 1] if 0 < number <= len(self._watches) else None

    # -- messages -----------------------------------------------------------------------------------------------

    def _new(self, message: Message, *, server: Endpoint | None, client: Endpoint | None) -> Watch:
        subscription = Subscription(len(self._watches) + 1, str(server) if server else "", message.time)
        subscription.messages.append(message.number)
        watch = Watch(subscription.number, subscription, self._resting, server, client, message.time)
        watch.frame = frame_of(message)
        self._resting.awake(watch)
        self._watches.append(watch)
        if server is not None:
            self._by_source.add(server.address, watch)
        return watch

    def _ask(self, message: Message, operation: str, watch: Watch | None) -> None:
        if watch is None:
            return
        self._asked[message.number] = (operation, watch)
        if len(self._asked) > WAITING:
            self._asked.popitem(last=False)

    def _subscribe(self, message: Message) -> Watch:
        watch = self._new(message, server=message.destination, client=message.source)
        watch.whole = message.complete
        one, body = watch.subscription, message.body
        one.notify_to = text_of(body, "Delivery/NotifyTo/Address")
        one.end_to = text_of(body, "EndTo/Address")
        one.notify_parameters = references(body, "Delivery/NotifyTo")
        one.requested = text_of(body, "Expires")
        filter_field = body.find("Filter") if body is not None else None
        if filter_field is not None:
            dialect = filter_field.attributes.get("Dialect", ("", ""))[1]
            watch.by_action = not dialect or dialect.rstrip("/").endswith("/Action")
            actions = filter_field.text.split()
            one.actions = _kept(actions)
            watch.actions = _shared(tuple(one.actions))
            watch.cut = len(actions) > len(one.actions)
        contexts = texts_of(body, "ScanDestinations/ScanDestination/ClientContext")
        one.destinations = dict.fromkeys(contexts[:MANY], "")
        watch.cut = watch.cut or len(contexts) > MANY
        watch.plain = not one.notify_parameters
        wants_scans = watch.by_action and any(a.endswith(SCAN_AVAILABLE) for a in one.actions)
        if wants_scans and watch.whole and not one.destinations:
            one.findings.append(NO_DESTINATIONS(frames=(watch.frame,)))
        for parameter in one.notify_parameters:
            self._by_reference.add(parameter, watch)
        if one.notify_to:
            self._by_sink.add(one.notify_to, watch)
        return watch

    def _managed(self, message: Message) -> Watch | None:
        """The subscription that Renew, GetStatus or Unsubscribe is about: by Identifier, else by the manager's
        address; the newest of them, since an identifier may be used again. A new one where none is known."""
        given = dict.fromkeys(text for name, text in parameters_of(message) if name == "Identifier")
        found: list[Watch] = []
        for text in given:
            found += self._by_manager.of(text)
        if not found and not given and message.to:
            found = self._by_manager.of(message.to.strip())
        if found:
            found[-1].subscription.messages.append(message.number)
            return found[-1]
        watch = self._new(message, server=message.destination, client=message.source)
        watch.subscription.identifier = min(given, default=None)
        watch.subscription.manager = message.to
        self._index(watch)
        return watch

    def _index(self, watch: Watch) -> None:
        one = watch.subscription
        key = one.identifier or one.manager
        if key:
            self._by_manager.add(key, watch)

    def _answer(self, operation: str, watch: Watch, message: Message) -> None:
        one, body = watch.subscription, message.body
        failed = _failure(message)
        frames = (frame_of(message),)
        if operation == "Subscribe":
            if failed:
                self._over(watch, "refused", message.time)
                one.findings.append(REFUSED(f"the event source refused the subscription: {failed}", frames=frames))
                return
            watch.accepted = True
            one.manager = text_of(body, "SubscriptionManager/Address")
            given = references(body, "SubscriptionManager")
            one.identifier = next((text for name, text in given if name == "Identifier"), None)
            self._granted(watch, message)
            self._index(watch)
            self._destinations(watch, message)
        elif operation == "Renew":
            if failed:
                one.findings.append(RENEW_REFUSED(f"the renewal was refused: {failed}", frames=frames))
            else:
                one.renewals.append(message.time)
                self._granted(watch, message)
        elif operation == "Unsubscribe" and not failed:
            self._over(watch, "Unsubscribe", message.time)

    def _over(self, watch: Watch, how: str, time: int) -> None:
        watch.subscription.ended = how
        watch.subscription.ended_time = watch.ended_time = time

    def _granted(self, watch: Watch, message: Message) -> None:
        granted = text_of(message.body, "Expires")
        watch.subscription.granted = granted or watch.subscription.granted
        lifetime = nanoseconds(granted)
        watch.expires = message.time + lifetime if lifetime is not None else None

    def _destinations(self, watch: Watch, message: Message) -> None:
        one = watch.subscription
        if message.body is None:
            return
        answers: dict[str, str] = {}
        responses = message.body.find_all("DestinationResponses/DestinationResponse")
        watch.cut = watch.cut or len(responses) > MANY
        for response in responses[:MANY]:
            answers[text_of(response, "ClientContext") or ""] = text_of(response, "DestinationToken") or ""
        if watch.whole and message.complete and not watch.cut and set(answers) != set(one.destinations):
            asked = ", ".join(sorted(one.destinations)) or "none"
            given = ", ".join(sorted(answers)) or "none"
            one.findings.append(
                DESTINATIONS(
                    f"destinations asked for: {asked}; answered: {given}", frames=(watch.frame, frame_of(message))
                )
            )
        one.destinations.update(answers)

    def _ended_by_source(self, message: Message) -> None:
        given = {text for _, text in parameters_of(message)}
        given |= {text for _, text in references(message.body, "SubscriptionManager")}
        found: list[Watch] = []
        for text in given:
            found += self._by_manager.of(text)
            found += self._by_reference.of(("Identifier", text))
        manager = text_of(message.body, "SubscriptionManager/Address")
        if not found and manager:
            found = self._by_manager.of(manager)
        if found:
            watch = max(found, key=lambda w: w.number)
            watch.subscription.messages.append(message.number)
        else:
            watch = self._new(message, server=None, client=message.destination)
        status = text_of(message.body, "Status") or text_of(message.body, "Code") or "SubscriptionEnd"
        one = watch.subscription
        self._over(watch, status.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1], message.time)
        reason = text_of(message.body, "Reason")
        one.findings.append(
            SOURCE_ENDED(
                f"the event source ended the subscription: {one.ended}" + (f", {reason}" if reason else ""),
                frames=(frame_of(message),),
            )
        )


def _failure(message: Message) -> str | None:
    if message.fault is not None:
        return message.fault.subcode or message.fault.code
    if message.status is not None and message.status >= 400:
        return f"HTTP {message.status}"
    return None
