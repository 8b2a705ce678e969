"""The virtual device: real sockets around a recorded story.

Used as the emulated devices are: ``async with VirtualDevice("scenario") as device:``. It listens for every party of the
scenario that was asked something (or for those that are named), answers each request with the recorded answer that
fits, sends the recorded events, and keeps an account of what came.

What a client is told of addresses is what it came by: its Host header, or the address that it came to.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissector.base.errors import UsageError
from dissector.http.model import BodyPolicy
from dissector.messages import Message
from dissector.output.text import count
from replay.behaviour.effects import Effects
from replay.behaviour.rules import Occasion
from replay.devices.emulator import Around, Emulator
from replay.devices.host import facts_of, ordered_fault, unreadable
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.player.clean import cleaned
from replay.player.judge import Judge, ValueRule
from replay.player.serve.delivery import Delivery
from replay.player.serve.harm import check_rules, harmed
from replay.player.serve.hearing import LONGEST, Heard, Hearing
from replay.player.serve.identity import identity_of
from replay.player.serve.refusals import (
    bare_status,
    fault_answer,
    no_answer,
    no_operation,
    plain_answer,
)
from replay.player.serve.session import Maker, Run, Runs
from replay.player.serve.story import Exchange, Story, told_unasked
from replay.player.serve.subscriber import Allowed
from replay.player.serve.tally import Tally
from replay.player.serve.template import Template, Templates
from replay.scenario.files import load_scenario
from replay.scenario.model import Scenario, Wire
from replay.soap.caller import read_message
from replay.soap.faults import SoapFault

__all__ = ["Served", "VirtualDevice"]

QUIET = 3.0
"""Seconds without a request after which a story is over of which all that changes something has happened."""

OWN = (("Header/To", "ignore"), ("EndTo/**", "ignore"), ("NotifyTo/**", "ignore"), ("ClientContext", "any"))
"""What is a client's own in its requests, behind a scenario's rules: how it calls the device, and where its sink is."""

NONE = Effects()

KNOWN_FORMS = 2000
"""Forms of requests (those that are no longer than a remembered one) whose differences from the recorded ones are
remembered."""

_AUTHORITY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


@dataclass(slots=True)
class Served:
    """How a scenario is served.

    Attributes:
        parties: that are served, with commas; "" for all that were asked something.
        speed: of answers and events: 1.0 as recorded, 2.0 twice as fast; 0: at once.
        given: values by the user, name → text.
        allow: hosts, besides each subscriber's own, that events may go to.
        normalise: clean messages in place of the recorded bytes.
        listen: further parties' addresses by name; the first party has those of ``around``.
    """

    parties: str = ""
    speed: float = 0.0
    given: Mapping[str, str] = field(default_factory=dict)
    allow: Sequence[str] = ()
    normalise: bool = False
    listen: Mapping[str, tuple[str, int]] = field(default_factory=dict)


class VirtualDevice(Emulator):
    """A device out of a scenario.

    Args:
        scenario: folder of the scenario.
        served: how.
        around: what it stands in, as for the emulated devices.

    Raises:
        UsageError, UnreadableInput: the scenario is wrong, or has nobody to be served.

    Attributes:
        scenario, folder: what is served.
        parties: names of those that are served; the first one has the addresses of ``around``.
        tally: what came so far.
    """

    kind = "virtual device"

    def __init__(self, scenario: str | Path, served: Served | None = None, *, around: Around | None = None) -> None:
        options = self._options = served or Served()
        self.scenario, folder = load_scenario(scenario, ValueRule)
        self.folder = folder.path
        check_rules((around or Around()).behaviour.rules)
        self.parties = served_of(self.scenario, options.parties)
        self.story = Story(self.scenario, folder, frozenset(self.parties))
        super().__init__(around or Around(), path=self.story.exchanges[0].question.path)
        self._news = asyncio.Event()
        self.tally = Tally()
        self._templates = Templates(folder)
        self.runs = Runs(
            self.story, frozenset(self.parties), ids=self.ids, given=options.given, now=self.clock.monotonic
        )
        self._hearing = Hearing(self.story, self.runs)
        self._servers: dict[str, HttpServer] = {}
        policy = policy_of(self.scenario)
        for party in self.parties:
            self._servers[party] = HttpServer(
                self._handler(party), clock=self.clock, log=self.log, limits=self.around.limits, tap=self.tap,
                context=self.around.encryption.server if self.around.encryption is not None else None, policy=policy,
            )  # fmt: skip
        self.server = self._servers[self.parties[0]]
        self.delivery = Delivery(
            self.story, self._templates, self.runs, clock=self.clock, log=self.log, client=self.client,
            behaviour=self.behaviour, speed=options.speed, allowed=Allowed(options.allow), tally=self.tally,
            dress=self._dress, progress=self._news.set,
        )  # fmt: skip
        self._rules = [ValueRule(path, how) for path, how in [*self.scenario.rules, *OWN]]
        self._known: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._info, self.path = identity_of(self.story, self.parties[0], self._renamed)

    # -- life ----------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        await super()._start()
        host = self.around.listen[0][0]
        for party in self.parties[1:]:
            server = self._servers[party]
            at = await server.listen(*self._options.listen.get(party, (host, 0)))
            self._closing.push_async_callback(server.stop)
            role = self.scenario.parties[party].role
            self.log.say("listening", f"{role} listens on {self.scheme}://{at}", party=party, address=str(at))
        asked = [one for one in self.scenario.steps if one.sender in self.parties and not told_unasked(one)]
        if asked:
            self.log.say("note", f"{count(len(asked), 'request')} of the served side itself: “run” sends these")

    def occasions(self) -> set[Occasion]:
        """What the served parties are asked and tell in the scenario, and what is asked of any device."""
        found = super().occasions()
        for step in self.scenario.steps:
            kind = "event" if told_unasked(step) else "request"
            if (step.sender if kind == "event" else step.receiver) in self.parties:
                found.add((step.service, step.name.removesuffix("Request"), kind))
        return found

    async def stopping(self) -> None:
        """No event is sent any more."""
        await self.delivery.stop()

    def url_of(self, party: str) -> str:
        """The address that the first recorded request to a party went to, as it is now."""
        path = next(one.question.path for one in self.story.exchanges if one.step.receiver == party)
        at = self._servers[party].addresses[0]
        return self._url_at(at, path, "")

    def left(self) -> list[str]:
        """Recorded requests that did not come, as ``number name``."""
        wanted = [one.step for one in self.story.exchanges if not one.step.optional]
        return [f"{step.number} {step.name}" for step in wanted if step.number not in self.tally.used]

    def unsent(self) -> list[str]:
        """Recorded notices that were never due, as ``number name``."""
        steps = [one.step for one in self.story.notices if not one.step.optional]
        return [f"{step.number} {step.name}" for step in steps if step.number not in self.delivery.lined]

    async def over(self) -> None:
        """Return when the story is over: all of it has happened; or all that changes something, and nothing more is
        asked for :data:`QUIET` seconds."""
        while True:
            done = not self.unsent() and self.delivery.idle
            if done and not self.left():
                return
            self._news.clear()
            if not (done and self.story.changing <= self.tally.used):
                await self._news.wait()
                continue
            quiet = False

            def end() -> None:
                nonlocal quiet
                quiet = True
                self._news.set()

            timer = self.clock.call_later(QUIET, end)
            await self._news.wait()
            timer.cancel()
            if quiet:
                return

    # -- who and where -------------------------------------------------------------------------------------------

    def _renamed(self, text: str) -> str:
        maker = Maker(self.ids)
        for value in self.scenario.values.values():
            if value.kind == "uuid" and value.maker == self.parties[0]:
                text = text.replace(value.recorded, self._options.given.get(value.name) or maker.fresh(value))
        return text

    def _own(self, party: str, request: HttpRequest) -> dict[str, str]:
        """Party → base URL, as this client reaches us."""
        given = request.http.header("Host") or ""
        here = given.strip() if _AUTHORITY.fullmatch(given.strip()) else str(request.local)
        if self.around.name:
            here = f"{self.around.name}:{request.local.port}"
        host = here if here.endswith("]") else here.rpartition(":")[0] or here
        found = {party: f"{self.scheme}://{here}"}
        for other in self.parties:
            if other != party and self._servers[other].addresses:
                found[other] = f"{self.scheme}://{host}:{self._servers[other].addresses[0].port}"
        return found

    # -- answering -----------------------------------------------------------------------------------------------

    def _handler(self, party: str) -> Callable[[HttpRequest], Any]:
        async def take(request: HttpRequest) -> Answer:
            return await self._take(party, request)

        return take

    async def _take(self, party: str, request: HttpRequest) -> Answer:
        start = self.clock.monotonic()
        http = request.http
        if not http.complete:
            self.log.say("received", f"{request.peer} {http.method} {http.target}, broken off", peer=str(request.peer))
            return Answer(close="close")
        heard = self._hearing.hear(request)
        if not isinstance(heard, Heard):
            return self._unreadable(request, heard)
        message, peer = heard.message, str(request.peer)
        self.log.say(
            "received", f"{peer} {heard.said}", body=heard.xml, peer=peer, message=message.name,
            service=message.service, message_id=heard.message_id,
        )  # fmt: skip
        strange = self._hearing.strange(heard)
        if strange is not None:
            return self._refused(request, heard, strange, start)
        run = self.runs.find(heard.question, heard.runs, request.peer)
        exchange = self.story.choose(heard.question, run.progress, lambda one: self._distance(one, run, message))
        if exchange is None:
            if message.name == "Unsubscribe":
                self.delivery.unsubscribed(run, heard.names, 0)
            return self._refused(request, heard, no_operation(message), start)
        first = run.progress.take(exchange)
        self.tally.used.add(exchange.number)
        run.values.hear(exchange.number, message, heard.message_id)
        self._compare(exchange, heard, run, request)
        if exchange.step.answer is None:
            return self._refused(request, heard, no_answer(message), start)
        return await self._answer(party, request, heard, run, exchange, exchange.step.answer, first, start)

    async def _answer(
        self, party: str, request: HttpRequest, heard: Heard, run: Run, exchange: Exchange, wire: Wire, first: bool,
        start: float,
    ) -> Answer:  # fmt: skip
        step, message = exchange.step, heard.message
        effects, wait = NONE, 0.0
        if self.behaviour.rules:
            operation = message.operation or step.name
            effects = self.behaviour.choose(message.service, operation, "request", facts_of(message))
            if effects:
                self.log.say("behaviour", f"{operation}: {effects.describe()}", operation=operation)
        if self._options.speed > 0:
            wait = max(step.took / self._options.speed - (self.clock.monotonic() - start), 0.0)
        wait += effects.delay
        self.delivery.follow(run, exchange, answered=False)
        if wait > 0:
            await self.clock.sleep(wait)
            # What others said meanwhile is not what this client said.
            run.values.hear(step.number, message, heard.message_id)
        if effects.ignore:
            return Answer(close="close")
        if effects.status is not None:
            self.log.say("sent", f"{request.peer} HTTP {effects.status}", peer=str(request.peer))
            return Answer(plain_answer(effects.status))
        if effects.fault is not None:
            return self._faulted(request, heard, ordered_fault(effects, message.service), start)
        own = self._own(party, request)
        template = self._templates.of(wire)
        pieces = self._filled(run, step.number, template, own, first)
        status = int(pieces[0][9:12])
        if step.name == "Subscribe" and status < 300:
            self.delivery.subscribed(run, step.number, message, request.peer, own)
        elif step.name == "Unsubscribe":
            self.delivery.unsubscribed(run, heard.names, step.number)
        plan = harmed(self._dress(pieces, False), effects)

        def after(sent: bool) -> None:
            if sent:
                self.tally.answered += 1
                run.progress.answered(exchange)
                self.delivery.follow(run, exchange, answered=True)
                self._news.set()

        took = (self.clock.monotonic() - start) * 1000
        again = "" if first else ", again"
        peer = str(request.peer)
        self.log.say(
            "sent", f"{peer} {status} step {step.number}{again} ({took:.0f} ms)",
            body=pieces[0].partition(b"\r\n\r\n")[2], peer=peer, step=step.number, run=run.number,
        )  # fmt: skip
        close = plan.close if plan.close != "keep" or not template.closes else "close"
        return Answer(plan.pieces, close, plan.rate, after)

    def _filled(self, run: Run, step: int, template: Template, own: Mapping[str, str], first: bool) -> list[bytes]:
        """The recorded answer of a step with the values of today."""
        if not first:
            # Said again, it hands out another one.
            run.values.renew(step, "answer")
            self.runs.remember(run)
        run.values.reach(own)
        pieces = template.fill(run.texts())
        self._templates.trim()
        return pieces

    def _dress(self, pieces: list[bytes], request: bool) -> list[bytes]:
        return cleaned(pieces, self.ids, request=request) if self._options.normalise else pieces

    # -- understanding -------------------------------------------------------------------------------------------

    def _judged(self, exchange: Exchange, run: Run, message: Message) -> list[str]:
        """What differs from the recorded request."""
        recorded = self.story.message(exchange.step)
        if recorded is None:
            return []
        rules = [ValueRule(path, how) for path, how in exchange.step.rules] + self._rules
        judge = Judge(rules, translate=run.values.translation(exchange.number, "message"))
        return [one.text for one in judge.compare(recorded, message)]

    def _distance(self, exchange: Exchange, run: Run, message: Message) -> int:
        return len(self._judged(exchange, run, message))

    def _compare(self, exchange: Exchange, heard: Heard, run: Run, request: HttpRequest) -> None:
        """Say what is not as recorded. Equal requests are judged once: a client may fetch thousands of pages."""
        form = (exchange.number, heard.question, heard.images)
        text = self._known.get(form)
        if text is None:
            message = read_message(request.http) if heard.known else heard.message
            text = "; ".join(self._judged(exchange, run, message or heard.message)[:3])
            if max(len(heard.xml), len(request.http.head)) <= LONGEST:
                self._known[form] = text
            if len(self._known) > KNOWN_FORMS:
                self._known.popitem(last=False)
        if text:
            self.tally.differs(exchange.number, heard.message.name, text)
            self.log.say("note", f"{heard.message.name} is not as recorded (step {exchange.number}): {text}")

    # -- refusing ------------------------------------------------------------------------------------------------

    def _unreadable(self, request: HttpRequest, message: Message | None) -> Answer:
        http = request.http
        status = bare_status(http)
        why = unreadable(message) or "no SOAP envelope that can be read"
        said = f"HTTP {status}" if status else why
        self.log.say(
            "warning", f"{request.peer} {http.method} {http.target}: the recording has no such request ({said})"
        )
        self.tally.lacks(f"{http.method} {http.target}", why)
        if status:
            return Answer(plain_answer(status))
        return Answer(fault_answer(SoapFault("Sender", None, f"The message holds {why}"), None, self.ids))

    def _refused(self, request: HttpRequest, heard: Heard, fault: SoapFault, start: float) -> Answer:
        """Refuse what the recording does not have, and say so."""
        name = heard.message.name
        self.tally.lacks(name, fault.reason)
        self.log.say("warning", f"{request.peer} {name}: {fault.reason}", peer=str(request.peer), message=name)
        return self._faulted(request, heard, fault, start)

    def _faulted(self, request: HttpRequest, heard: Heard, fault: SoapFault, start: float) -> Answer:
        took = (self.clock.monotonic() - start) * 1000
        text = f"{request.peer} {fault.status} Fault {fault.name}: {fault.reason} ({took:.0f} ms)"
        self.log.say("sent", text, peer=str(request.peer), status=fault.status)
        return Answer(fault_answer(fault, heard.message, self.ids, heard.message_id))


def served_of(scenario: Scenario, names: str) -> list[str]:
    """The parties that are served.

    Args:
        scenario: with its parties.
        names: with commas; "" for all that were asked something by another one.

    Raises:
        UsageError: one is none of the scenario's, or none is left that asks.
    """
    given = [one.strip() for one in names.split(",") if one.strip()]
    for one in given:
        if one not in scenario.parties:
            raise UsageError(f"--as {one}: the parties are {', '.join(scenario.parties)}")
    asked = [step.receiver for step in scenario.steps if not told_unasked(step)]
    found = given or list(dict.fromkeys(asked))
    if set(found) >= set(scenario.parties):
        raise UsageError("--as: all parties are served, nobody is left who asks; name those that are to be served")
    if not found:
        raise UsageError(f"{scenario.name}: nobody is asked anything")
    return list(dict.fromkeys(found))


def policy_of(scenario: Scenario) -> BodyPolicy:
    """What is kept of requests: their images are looked at by type and size, unless a rule asks for more."""
    rules = [*scenario.rules, *(rule for step in scenario.steps for rule in step.rules)]
    deep = any(how in ("exact", "pixels") for _, how in rules)
    return BodyPolicy(digest=deep, keep=deep)
