"""Sending what the recorded parties told unasked, to those who subscribed today.

A notice is due behind the exchange that it followed in the recording, after as long a time (``speed``). Each
subscription has a line of its own: one that is slow or gone does not hold up the others. Nothing is sent to anybody who
did not subscribe, nor what a subscription's filter does not let through, nor after its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from dissector.base.errors import DsmsharkError
from dissector.base.origin import Endpoint
from dissector.catalog import canonical_action
from dissector.messages import Message
from dissector.soap.model import EndpointReference
from replay.base.clock import Clock
from replay.base.log import Log
from replay.behaviour.rules import Behaviour
from replay.devices.eventing import Subscription, actions_of, reference_of, too_much
from replay.net.client import HttpClient, Target
from replay.player.serve.harm import harmed
from replay.player.serve.notices import addressed_head, addressed_xml
from replay.player.serve.session import Run, Runs, Told
from replay.player.serve.story import Exchange, Notice, Story
from replay.player.serve.subscriber import Allowed
from replay.player.serve.tally import Tally
from replay.player.serve.template import Templates

__all__ = ["Delivery"]

PATIENCE = 3
"""Notices in a row that may fail before a subscriber is given up."""


class _Due(NamedTuple):
    """A notice and when it is due, by the monotonic clock."""

    notice: Notice
    when: float


class Delivery:
    """The notices of all runs.

    Args:
        story, templates: what is sent.
        runs: of the clients.
        clock, log, client, behaviour: of the device.
        speed: 1.0 as recorded, 2.0 twice as fast; 0: at once.
        allowed: where notices may go.
        tally: takes what came of them.
        dress: changes the pieces of each message (``--normalise``).
        progress: called when nothing more is in line for a subscription.
    """

    def __init__(
        self,
        story: Story,
        templates: Templates,
        runs: Runs,
        *,
        clock: Clock,
        log: Log,
        client: HttpClient,
        behaviour: Behaviour,
        speed: float,
        allowed: Allowed,
        tally: Tally,
        dress: Callable[[list[bytes], bool], list[bytes]],
        progress: Callable[[], None],
    ) -> None:
        self._story = story
        self._templates = templates
        self._runs = runs
        self._clock = clock
        self._log = log
        self._client = client
        self._behaviour = behaviour
        self._speed = speed
        self._allowed = allowed
        self._tally = tally
        self._dress = dress
        self._progress = progress
        self._lanes: dict[tuple[int, int], asyncio.Queue[_Due]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.lined: set[int] = set()
        """Steps of the notices that were due in any run."""
        self._identifiers = {
            value.name: value.step for value in story.scenario.values.values() if "SubscriptionManager/" in value.path
        }
        """Name of a value that identifies a subscription → number of its Subscribe."""

    # -- subscriptions -------------------------------------------------------------------------------------------

    def subscribed(self, run: Run, step: int, message: Message, peer: Endpoint, own: Mapping[str, str]) -> None:
        """A Subscribe is answered."""
        body = message.body
        delivery = body.find("Delivery") if body is not None else None
        notify_to = reference_of(delivery.find("NotifyTo") if delivery is not None else None)
        if body is None or notify_to is None or not notify_to.address:
            self._log.say("warning", f"{peer}: a Subscribe without an address; it is told nothing")
            return
        if refused := too_much(message):
            self._log.say("warning", f"{peer}: {refused}; it is told nothing")
            return
        actions = actions_of(body.find("Filter"))
        terms = Subscription(
            "", notify_to, reference_of(body.find("EndTo")), (*actions, *(canonical_action(one)[0] for one in actions)),
            0.0, peer=peer.address,
        )  # fmt: skip
        known = {name: text for name, text in run.values.now.items() if self._story.scenario.values[name].step == step}
        before = run.told.get(step)
        if before is not None:
            before.over = True
        run.told[step] = Told(step, terms, peer, known, dict(own))
        names = ", ".join(action.rpartition("/")[2] for action in actions) or "all events"
        self._log.say("subscription", f"{peer} subscribed to {names} at {notify_to.address}", run=run.number)

    def unsubscribed(self, run: Run, names: Collection[str], step: int) -> None:
        """An Unsubscribe is answered: it ends the subscription that it names, else the one that the recorded one ended.

        Args:
            run: of the client.
            names: of the values that it carried.
            step: number of the recorded Unsubscribe, 0 where there is none.
        """
        steps = [self._identifiers[name] for name in names if name in self._identifiers]
        living = [number for number, told in run.told.items() if not told.over]
        wanted = steps or [number for number in living if not step or number < step][:1]
        for number in wanted:
            told = run.told.get(number)
            if told is not None and not told.over:
                told.over = True
                self._log.say("subscription", f"{told.peer} unsubscribed", run=run.number)

    # -- when ----------------------------------------------------------------------------------------------------

    def follow(self, run: Run, exchange: Exchange, *, answered: bool) -> None:
        """An exchange has come so far; puts what follows it in line.

        Args:
            run: of the client.
            exchange: that happened.
            answered: its answer went out; False: its request has come, which some events follow that overtake it.
        """
        now = self._clock.monotonic()
        front = run.progress.told if answered else exchange.number
        for notice in self._story.notices:
            if notice.step.number in run.noticed or notice.anchor > front:
                continue
            here = notice.anchor == exchange.number
            if not answered and not (here and notice.offset < 0):
                continue
            after = notice.offset + (0.0 if answered else exchange.step.took)
            wait = max(after, 0.0) / self._speed if here and self._speed > 0 else 0.0
            run.noticed.add(notice.step.number)
            self.lined.add(notice.step.number)
            self._line_up(run, _Due(notice, now + wait))

    def _line_up(self, run: Run, due: _Due) -> None:
        key = (run.number, due.notice.subscribe)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = asyncio.Queue()
            task = asyncio.create_task(self._work(run, key, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        lane.put_nowait(due)

    async def _work(self, run: Run, key: tuple[int, int], lane: asyncio.Queue[_Due]) -> None:
        while not lane.empty():
            notice, when = lane.get_nowait()
            await self._clock.sleep(when - self._clock.monotonic())
            try:
                await self._deliver(run, notice)
            except Exception as error:
                # A fault of ours must not silence the line, nor be kept quiet.
                self._failed(notice, f"internal error: {type(error).__name__}: {error}")
        del self._lanes[key]
        self._progress()

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not self._lanes

    async def stop(self) -> None:
        """Send nothing more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lanes.clear()

    # -- what ----------------------------------------------------------------------------------------------------

    def _subscription(self, run: Run, notice: Notice) -> Told | None:
        """Who is told: the subscriber of this run, else the one of another run of the same host: a client may subscribe
        once for all its jobs."""
        told = run.told.get(notice.subscribe)
        if told is not None:
            return told
        others = [
            one.told[notice.subscribe]
            for one in reversed(self._runs.all())
            if one.peer == run.peer and notice.subscribe in one.told
        ]
        return next((one for one in others if not one.over), None)

    async def _deliver(self, run: Run, notice: Notice) -> None:
        step = notice.step
        told = self._subscription(run, notice)
        if told is None:
            self._log.say("note", f"{step.name} is not sent: nobody subscribed to it", step=step.number)
            return
        if told.over:
            return
        to = told.terms.end_to if notice.ending else told.terms.notify_to
        if to is None or not to.address or not told.terms.wants(notice.action):
            self._log.say("note", f"{step.name} is not sent: {told.peer} did not ask for it", step=step.number)
            return
        effects = self._behaviour.choose(step.service, step.name, "event", {})
        if effects:
            self._log.say("behaviour", f"{step.name}: {effects.describe()}", event=step.name)
            await self._clock.sleep(effects.delay)
            if effects.lost:
                return
        target = await self._allowed.target(to.address, told.peer)
        if isinstance(target, str):
            told.over = True
            self._failed(notice, target)
            return
        pieces = self._pieces(run, told, notice, to, target)
        plan = harmed(pieces, effects)
        for _ in range(2 if effects.doubled else 1):
            if told.over:
                return
            try:
                http = await self._client.exchange(target, plan.pieces, end=plan.close, rate=plan.rate)
            except DsmsharkError as error:
                self._lost(told, notice, str(error))
                continue
            if http.status >= 300:
                self._lost(told, notice, f"{target} answered HTTP {http.status}")
                continue
            told.failures = 0
            self._tally.sent += 1
            self._tally.used.add(step.number)
            body = b"".join(pieces).partition(b"\r\n\r\n")[2]
            self._log.say(
                "event", f"{step.name} to {to.address} (step {step.number})", body=body, event=step.name,
                step=step.number, run=run.number,
            )  # fmt: skip

    def _pieces(self, run: Run, told: Told, notice: Notice, to: EndpointReference, target: Target) -> list[bytes]:
        run.values.reach(told.own)
        recorded = self._parameters(notice)
        pieces = self._templates.of(notice.step.message).fill(
            {**run.texts(), **told.known},
            head=lambda head: addressed_head(head, target),
            xml=lambda xml: addressed_xml(xml, to, recorded),
        )
        return self._dress(pieces, True)

    def _parameters(self, notice: Notice) -> set[tuple[str, str]]:
        """Names of the reference parameters that the recorded subscriber gave."""
        exchange = self._story.by_number.get(notice.subscribe)
        message = self._story.message(exchange.step) if exchange is not None else None
        if message is None or message.body is None:
            return set()
        holder = message.body.find("EndTo") if notice.ending else message.body.find("Delivery/NotifyTo")
        reference = reference_of(holder)
        return {(name.namespace, name.local) for name, _ in reference.parameters} if reference is not None else set()

    def _lost(self, told: Told, notice: Notice, why: str) -> None:
        told.failures += 1
        self._failed(notice, why)
        if told.failures >= PATIENCE and not told.over:
            told.over = True
            self._log.say("subscription", f"{told.peer} is not told any more: {PATIENCE} events in a row failed")

    def _failed(self, notice: Notice, why: str) -> None:
        self._tally.fails(notice.step.name, why)
        self._log.say("failed", f"{notice.step.name}: {why}", event=notice.step.name, step=notice.step.number)
