"""An event source at work: the operations of WS-Eventing at its addresses, and notifications sent in order.

Each subscription has its own line: one notification after the other, each tried again when it fails, so that a slow
sink holds up nobody else. Notifications that could not be delivered end the subscription (DeliveryFailure).

Sources: WS-Eventing 2004/08, 3; SubscriptionEnd 3.5; DPWS R0030 (one-way messages are answered with 202).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lxml.etree import _Element as Element

from dissector.base.errors import DsmsharkError
from dissector.catalog import build
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.behaviour.rules import Behaviour
from replay.devices.eventing import Subscription, SubscriptionTable, duration, end_body, too_much
from replay.devices.host import Call, Host, Reply
from replay.soap.caller import Caller, action_of
from replay.soap.faults import eventing_fault

__all__ = ["EventSource", "Notice"]

ATTEMPTS = 3
"""Tries of one notification."""

BACKOFF = (1.0, 3.0)
"""Seconds before the second and the third try."""

FAREWELL = 5.0
"""Seconds that sinks have to take SubscriptionEnd when the device stops."""

HELD = 2.0
"""Seconds that a reordered event waits for the next one."""

QUEUE = 1000
"""Notifications that wait for one subscription; with more, the subscription is ended."""


class Notice:
    """One notification: what every interested sink gets.

    Args:
        service, name: of the event in the catalogue.
        body: makes the body element, given the behaviour ordered for this delivery.
        action: default the usual one.
        facts: what rules of behaviour can ask about.
    """

    def __init__(
        self,
        service: str,
        name: str,
        body: Callable[[Effects], Element],
        *,
        action: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> None:
        self.service = service
        self.name = name
        self.body = body
        self.action = action or action_of(name, service)
        self.facts = dict(facts or {})


class _Letter(NamedTuple):
    """A notification on its way to one sink; a doubled one is the same message twice, id and all."""

    notice: Notice
    effects: Effects
    message_id: str


class _Sending:
    """The line of one subscription."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.queue: asyncio.Queue[_Letter] = asyncio.Queue(QUEUE)
        self.held: _Letter | None = None
        self.task: asyncio.Task[None] | None = None


class EventSource:
    """Subscriptions and their delivery.

    Args:
        host: where the operations are offered.
        caller: carries notifications.
        clock, ids, log, behaviour: of the whole emulator.
        table: the subscriptions.
        manager: gives the subscription manager's address for a path.
        on_subscribed: called with each new subscription.
    """

    def __init__(
        self,
        host: Host,
        caller: Caller,
        table: SubscriptionTable,
        *,
        clock: Clock,
        ids: Ids,
        log: Log,
        behaviour: Behaviour,
        manager: Callable[[Call], str],
        on_subscribed: Callable[[Subscription], None] | None = None,
    ) -> None:
        self.table = table
        self._host = host
        self._caller = caller
        self._clock = clock
        self._ids = ids
        self._log = log
        self._behaviour = behaviour
        self._manager = manager
        self._managers: dict[str, str] = {}
        self._on_subscribed = on_subscribed
        self._sending: dict[str, _Sending] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._stopping = False

    def offer(self, path: str, manager_path: str) -> None:
        """Offer Subscribe at a service's path, and the rest at the manager's and there too."""
        self._host.point(path).offer("WS-Eventing", {"Subscribe": self.subscribe})
        for place in (path, manager_path):
            self._host.point(place).offer(
                "WS-Eventing",
                {"Renew": self.renew, "GetStatus": self.get_status, "Unsubscribe": self.unsubscribe},
            )

    # -- operations ----------------------------------------------------------------------------------------------

    async def subscribe(self, call: Call) -> Reply:
        """wse:Subscribe."""
        if refused := too_much(call.message):
            raise eventing_fault("InvalidMessage", f"This event source does not take {refused}")
        now, wall = self._sweep(), self._clock.time_ns() / 1e9
        before = {one.identifier for one in self.table.all()}
        made = self.table.subscribe(call.body, now, wall, peer=call.request.peer.address, path=call.point.path)
        for gone in before - {one.identifier for one in self.table.all()}:
            self._forget(gone)
        manager = self._managers[made.identifier] = self._manager(call)
        data = self.table.response(made, manager, now)
        if call.effects.token:
            _spoil(data, call.effects.token, self._ids)
        names = ", ".join(action.rpartition("/")[2] for action in made.actions) or "all events"
        self._log.say(
            "subscription", f"{made.notify_to.address} subscribed to {names} for {duration(made.expires - now)}",
            identifier=made.identifier, notify_to=made.notify_to.address, actions=list(made.actions),
            destinations=list(made.destinations),
        )  # fmt: skip

        def after(sent: bool) -> None:
            # The client must know its identifiers before it is told anything.
            if self._on_subscribed is not None and sent:
                self._on_subscribed(made)

        return Reply(build("wse:SubscribeResponse", data), "SubscribeResponse", after=after)

    async def renew(self, call: Call) -> Reply:
        """wse:Renew."""
        now = self._sweep(call)
        found = self.table.renew(call.message, now, self._clock.time_ns() / 1e9)
        self._log.say("subscription", f"{found.notify_to.address} renewed for {duration(found.expires - now)}")
        return Reply(build("wse:RenewResponse", {"expires": duration(found.expires - now)}), "RenewResponse")

    async def get_status(self, call: Call) -> Reply:
        """wse:GetStatus."""
        now = self._sweep(call)
        found = self.table.status(call.message)
        return Reply(build("wse:GetStatusResponse", {"expires": duration(found.expires - now)}), "GetStatusResponse")

    async def unsubscribe(self, call: Call) -> Reply:
        """wse:Unsubscribe."""
        self._sweep(call)
        found = self.table.unsubscribe(call.message)
        self._log.say("subscription", f"{found.notify_to.address} unsubscribed")
        self._forget(found.identifier)
        return Reply(None, "UnsubscribeResponse")

    # -- notifications -------------------------------------------------------------------------------------------

    def notify(self, notice: Notice, only: Callable[[Subscription], bool] | None = None) -> int:
        """Put a notification in line for every subscription that wants it.

        Returns:
            How many there are.
        """
        count = 0
        for subscription in self.table.wanting(notice.action, self._sweep()):
            if only is None or only(subscription):
                count += 1
                self._put(subscription, notice)
        return count

    def _sweep(self, call: Call | None = None) -> float:
        """Forget what has expired, that of a request included where the behaviour orders it; gives the time."""
        now = self._clock.monotonic()
        if call is not None and call.effects.expire:
            self.table.status(call.message).expires = now
        for gone in self.table.expired(now):
            self._log.say("subscription", f"{gone.notify_to.address}: the subscription has expired")
            self._forget(gone.identifier)
        return now

    def _chosen(self, service: str, name: str, facts: Mapping[str, str]) -> Effects:
        """What the behaviour orders for an event."""
        effects = self._behaviour.choose(service, name, "event", facts)
        if effects:
            self._log.say("behaviour", f"{name}: {effects.describe()}", event=name)
        return effects

    def _put(self, subscription: Subscription, notice: Notice) -> None:
        effects = self._chosen(notice.service, notice.name, notice.facts)
        if effects.expire:
            self.table.drop(subscription)
            self._forget(subscription.identifier)
            return
        if effects.lost:
            return
        sending = self._sending.get(subscription.identifier)
        if sending is None:
            sending = self._sending[subscription.identifier] = _Sending(subscription)
            sending.task = asyncio.create_task(self._run(sending))
        # The message keeps its id when it is tried again, so that the sink can tell (WS-Addressing 3).
        letter = _Letter(notice, effects, self._ids.urn())
        if effects.reordered and sending.held is None:
            sending.held = letter
            # Where no other event follows, it comes late instead.
            self._clock.call_later(HELD, lambda: self._release(sending))
            return
        self._line_up(sending, [letter] * (2 if effects.doubled else 1))
        self._release(sending)

    def _release(self, sending: _Sending) -> None:
        held, sending.held = sending.held, None
        if held is not None:
            self._line_up(sending, [held])

    def _line_up(self, sending: _Sending, letters: Sequence[_Letter]) -> None:
        for one in letters:
            try:
                sending.queue.put_nowait(one)
            except asyncio.QueueFull:
                self._give_up(sending, f"more than {QUEUE} notifications wait")
                return

    async def _run(self, sending: _Sending) -> None:
        while True:
            letter = await sending.queue.get()
            try:
                if not await self._deliver(sending.subscription, letter):
                    self._give_up(sending, f"{ATTEMPTS} tries failed")
                    return
            finally:
                sending.queue.task_done()

    async def _deliver(self, subscription: Subscription, letter: _Letter) -> bool:
        notice, effects, message_id = letter
        if effects.delay:
            await self._clock.sleep(effects.delay)
        to = subscription.notify_to
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._clock.sleep(BACKOFF[attempt - 1])
            # What harms the message is ordered once: the next try is whole, as that of a device would be.
            harm = Effects() if attempt else effects.without_delay()
            try:
                reply = await self._caller.call(
                    to.address, notice.body(effects), notice.action, name=notice.name, parameters=to.parameters,
                    one_way=True, effects=harm, message_id=message_id, kind="event",
                )  # fmt: skip
            except (DsmsharkError, ValueError) as error:
                # ValueError: what is in the subscription, or was ordered, cannot stand in a message.
                why = str(error)
            else:
                if reply.http.status < 300 and (reply.message is None or reply.message.fault is None):
                    return True
                why = f"HTTP {reply.http.status}"
            self._log.say(
                "failed", f"{notice.name} to {to.address}, try {attempt + 1} of {ATTEMPTS}: {why}", event=notice.name,
                notify_to=to.address, attempt=attempt + 1,
            )  # fmt: skip
            if self._stopping:
                return True
        return False

    def _give_up(self, sending: _Sending, why: str) -> None:
        subscription = sending.subscription
        manager = self._managers.get(subscription.identifier, "")
        self.table.drop(subscription)
        self._log.say("subscription", f"{subscription.notify_to.address} is not told any more: {why}")
        self._forget(subscription.identifier)
        ending = asyncio.create_task(self._end(subscription, manager, "DeliveryFailure", why))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _forget(self, identifier: str) -> None:
        """Nothing is sent to a subscription any more; who waits for its line waits no longer."""
        self._managers.pop(identifier, None)
        sending = self._sending.pop(identifier, None)
        if sending is None:
            return
        if sending.task is not None and sending.task is not asyncio.current_task():
            sending.task.cancel()
        while not sending.queue.empty():
            sending.queue.get_nowait()
            sending.queue.task_done()

    async def _end(self, subscription: Subscription, manager: str, status: str, reason: str) -> None:
        if subscription.end_to is None or not subscription.end_to.address:
            return
        name, to = "SubscriptionEnd", subscription.end_to
        effects = self._chosen("WS-Eventing", name, {"status": status})
        if effects.lost:
            return
        body = build("wse:SubscriptionEnd", end_body(subscription, manager, status, reason))
        message_id = self._ids.urn()
        for _ in range(2 if effects.doubled else 1):
            with contextlib.suppress(DsmsharkError, ValueError):
                await self._caller.call(
                    to.address, body, action_of(name, "WS-Eventing"), name=name, parameters=to.parameters, one_way=True,
                    effects=effects, message_id=message_id, kind="event",
                )  # fmt: skip

    async def drained(self) -> None:
        """Return when every notification so far is delivered or given up."""
        await asyncio.gather(*(one.queue.join() for one in list(self._sending.values())))

    async def stop(self, reason: str = "The device shuts down") -> None:
        """End all subscriptions in order (SourceShuttingDown); nobody is waited for longer than :data:`FAREWELL`."""
        self._stopping = True
        self._sweep()
        for sending in list(self._sending.values()):
            if sending.task is not None:
                sending.task.cancel()
                await asyncio.gather(sending.task, return_exceptions=True)
        self._sending.clear()
        left: Sequence[Subscription] = self.table.all()
        for one in left:
            manager = self._managers.pop(one.identifier, "")
            self._endings.add(asyncio.create_task(self._end(one, manager, "SourceShuttingDown", reason)))
            self.table.drop(one)
        endings = list(self._endings)
        timer = self._clock.call_later(FAREWELL, lambda: [task.cancel() for task in endings])
        await asyncio.gather(*endings, return_exceptions=True)
        timer.cancel()
        self._endings.clear()


def _spoil(data: dict[str, Any], token: str, ids: Ids) -> None:
    """The answer names other destination tokens than the ones that are known here."""
    responses = data.get("destination_responses", {}).get("destination_response", [])
    for one in responses:
        one["destination_token"] = ids.guid() if token in ("unknown", "stale") else token
