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
from dissector.messages import Message
from dissector.output.summary import summary
from dissector.output.text import count
from replay.base.clock import Timer
from replay.devices.emulator import Around, Emulator
from replay.devices.host import facts_of, ordered_fault, unreadable
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.player.clean import cleaned
from replay.player.judge import Judge, ValueRule
from replay.player.serve.delivery import Delivery
from replay.player.serve.harm import check_rules, harmed
from replay.player.serve.identity import identity_of
from replay.player.serve.question import Question, question_of
from replay.player.serve.refusals import (
    bare_status,
    fault_answer,
    no_answer,
    no_operation,
    not_handed_out,
    plain_answer,
)
from replay.player.serve.session import UNSPECIFIED, Maker, Run, Runs
from replay.player.serve.story import Exchange, Story, told_unasked
from replay.player.serve.subscriber import Allowed
from replay.player.serve.tally import Tally
from replay.player.serve.template import Templates
from replay.scenario.files import load_scenario
from replay.scenario.model import Scenario
from replay.soap.caller import read_message
from replay.soap.faults import SoapFault

__all__ = ["Served", "VirtualDevice"]

QUIET = 3.0
"""Seconds without a request after which a story is over of which all that changes something has happened."""

OWN = (("Header/To", "ignore"), ("EndTo/**", "ignore"), ("NotifyTo/**", "ignore"), ("ClientContext", "any"))
"""What is a client's own in its requests, behind a scenario's rules: how it calls the device, and where its sink is."""

KNOWN_FORMS = 2000
"""Forms of requests whose differences from the recorded ones are remembered."""

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
        tally: what came so far.
        finished: set when everything recorded has happened.
    """

    kind = "virtual device"

    def __init__(self, scenario: str | Path, served: Served | None = None, *, around: Around | None = None) -> None:
        options = self._options = served or Served()
        self.scenario, folder = load_scenario(scenario, ValueRule)
        check_rules((around or Around()).behaviour.rules)
        self.parties = served_of(self.scenario, options.parties)
        self.story = Story(self.scenario, folder, frozenset(self.parties))
        super().__init__(around or Around(), path=self.story.exchanges[0].question.path)
        self.finished = asyncio.Event()
        self._ending: Timer | None = None
        self.tally = Tally()
        self._templates = Templates(folder)
        self.runs = Runs(
            self.story, frozenset(self.parties), ids=self.ids, given=options.given, now=self.clock.monotonic
        )
        self._servers: dict[str, HttpServer] = {}
        for party in self.parties:
            self._servers[party] = HttpServer(
                self._handler(party), clock=self.clock, log=self.log, limits=self.around.limits, tap=self.tap,
                context=self.around.encryption.server if self.around.encryption is not None else None,
            )  # fmt: skip
        self.server = self._servers[self.parties[0]]
        self.delivery = Delivery(
            self.story, self._templates, self.runs, clock=self.clock, log=self.log, client=self.client,
            behaviour=self.behaviour, speed=options.speed, allowed=Allowed(options.allow), tally=self.tally,
            dress=self._dress, progress=self._look,
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

    def _look(self) -> None:
        """Is the story over? All of it happened; or all that changes something, and then nothing more was asked."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self.unsent() or not self.delivery.idle:
            return
        if not self.left():
            self.finished.set()
        elif self.story.changing <= self.tally.used:
            self._ending = self.clock.call_later(QUIET, self.finished.set)

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
        message = read_message(http)
        if message is None or message.envelope is None or message.envelope.recovered:
            return self._unreadable(request, message)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        asked, carried, names = self._asked(request, message)
        self.log.say(
            "received", f"{request.peer} {message.name} {summary(message)}".rstrip(), body=message.envelope.xml,
            peer=str(request.peer), message=message.name, service=message.service, message_id=message.message_id,
        )  # fmt: skip
        strange = self._strange(asked, message)
        if strange is not None:
            return self._refused(request, message, strange, start)
        run = self.runs.find(asked, carried, request.peer)
        exchange = self.story.choose(asked, run.progress, lambda one: self._distance(one, run, message))
        if exchange is None:
            if message.name == "Unsubscribe":
                self.delivery.unsubscribed(run, names, 0)
            return self._refused(request, message, no_operation(message), start)
        first = run.progress.take(exchange)
        self.tally.used.add(exchange.number)
        run.values.hear(exchange.number, message)
        self._compare(exchange, asked, run, message)
        if exchange.step.answer is None:
            return self._refused(request, message, no_answer(message), start)
        return await self._answer(party, request, message, run, exchange, names, first, start)

    async def _answer(
        self, party: str, request: HttpRequest, message: Message, run: Run, exchange: Exchange, names: list[str],
        first: bool, start: float,
    ) -> Answer:  # fmt: skip
        step = exchange.step
        operation = message.operation or step.name
        effects = self.behaviour.choose(message.service, operation, "request", facts_of(message))
        wait = step.took / self._options.speed - (self.clock.monotonic() - start) if self._options.speed > 0 else 0.0
        if effects:
            self.log.say("behaviour", f"{operation}: {effects.describe()}", operation=operation)
            wait = max(wait, 0.0) + effects.delay
        self.delivery.follow(run, exchange, answered=False)
        if wait > 0:
            await self.clock.sleep(wait)
            # What others said meanwhile is not what this client said.
            run.values.hear(step.number, message)
        if effects.ignore:
            return Answer(close="close")
        if effects.status is not None:
            self.log.say("sent", f"{request.peer} HTTP {effects.status}", peer=str(request.peer))
            return Answer(plain_answer(effects.status))
        if effects.fault is not None:
            return self._faulted(request, message, ordered_fault(effects, message.service), start)
        own = self._own(party, request)
        pieces = self._filled(run, exchange, message, own, first)
        closes = self._templates.of(step.answer).closes if step.answer is not None else False
        plan = harmed(self._dress(pieces, False), effects)
        if step.name == "Subscribe" and not pieces[0][9:12].startswith((b"4", b"5")):
            self.delivery.subscribed(run, step.number, message, request.peer, own)
        elif step.name == "Unsubscribe":
            self.delivery.unsubscribed(run, names, step.number)

        def after(sent: bool) -> None:
            if sent:
                self.tally.answered += 1
                run.progress.answered(exchange)
                self.delivery.follow(run, exchange, answered=True)
                self._look()

        took = (self.clock.monotonic() - start) * 1000
        again = "" if first else ", again"
        self.log.say(
            "sent", f"{request.peer} {pieces[0][9:12].decode('latin-1')} step {step.number}{again} ({took:.0f} ms)",
            body=_envelope(pieces[0]), peer=str(request.peer), step=step.number, run=run.number,
        )  # fmt: skip
        close = plan.close if plan.close != "keep" or not closes else "close"
        return Answer(plan.pieces, close, plan.rate, after)

    def _filled(
        self, run: Run, exchange: Exchange, message: Message, own: Mapping[str, str], first: bool
    ) -> list[bytes]:
        """The recorded answer with the values of today."""
        step = exchange.step
        assert step.answer is not None
        if not first:
            # Said again, it hands out another one.
            run.values.renew(step.number, "answer")
            self.runs.remember(run)
        run.values.reach(own)
        texts = dict(run.texts())
        if message.message_id is None:
            for value in self.scenario.values.values():
                if value.kind == "message_id" and (value.step, value.part) == (step.number, "message"):
                    texts[value.name] = UNSPECIFIED
        pieces = self._templates.of(step.answer).fill(texts)
        self._templates.trim()
        return pieces

    def _dress(self, pieces: list[bytes], request: bool) -> list[bytes]:
        return cleaned(pieces, self.ids, request=request) if self._options.normalise else pieces

    # -- understanding -------------------------------------------------------------------------------------------

    def _asked(self, request: HttpRequest, message: Message) -> tuple[Question, list[Run], list[str]]:
        """The request as a question; the runs of which it carries something, and the names of that."""
        carried: list[Run] = []
        names: list[str] = []

        def named(element: str, text: str) -> str:
            found = self.runs.holder(element, text) if text else None
            if found is None:
                return text
            carried.append(found[0])
            names.append(found[1])
            return f"${{{found[1]}}}"

        asked = question_of(message, request.path.rstrip("/") or "/", named)
        for cookie in (request.http.header("Cookie") or "").split(";")[:64]:
            name, _, text = cookie.strip().partition("=")
            named(name, text.strip('"'))
        return asked, carried, names

    def _strange(self, asked: Question, message: Message) -> SoapFault | None:
        """The fault for a token that was never handed out, None where all is known, or was recorded so."""
        for element, text in asked.keys:
            if element not in self.runs.holders or text.startswith("${") or not text:
                continue
            recorded = self.story.by_name.get(asked.name, ())
            if any((element, text) in one.question.keys for one in recorded):
                continue
            if not any(
                key == element and value.startswith("${") for one in recorded for key, value in one.question.keys
            ):
                continue
            return not_handed_out(message, element)
        return None

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

    def _compare(self, exchange: Exchange, asked: Question, run: Run, message: Message) -> None:
        """Say what is not as recorded. Equal requests are judged once: a client may fetch thousands of pages."""
        form = (exchange.number, asked, tuple((one.real_type, one.content.size) for one in message.attachments))
        text = self._known.get(form)
        if text is None:
            text = self._known[form] = "; ".join(self._judged(exchange, run, message)[:3])
            if len(self._known) > KNOWN_FORMS:
                self._known.popitem(last=False)
        if text:
            self.tally.differs(exchange.number, message.name, text)
            self.log.say("note", f"{message.name} is not as recorded (step {exchange.number}): {text}")

    # -- refusing ------------------------------------------------------------------------------------------------

    def _unreadable(self, request: HttpRequest, message: Message | None) -> Answer:
        http = request.http
        status = bare_status(http)
        why = unreadable(message) or "no SOAP envelope that can be read"
        said = f"HTTP {status}" if status else why
        self.log.say(
            "warning", f"{request.peer} {http.method} {http.target}: the recording has no such request ({said})"
        )
        self.tally.lacks(f"{http.method} {http.target}"[:200], why)
        if status:
            return Answer(plain_answer(status))
        return Answer(fault_answer(SoapFault("Sender", None, f"The message holds {why}"), None, self.ids))

    def _refused(self, request: HttpRequest, message: Message, fault: SoapFault, start: float) -> Answer:
        """Refuse what the recording does not have, and say so."""
        self.tally.lacks(message.name, fault.reason)
        self.log.say(
            "warning", f"{request.peer} {message.name}: {fault.reason}", peer=str(request.peer), message=message.name
        )
        return self._faulted(request, message, fault, start)

    def _faulted(self, request: HttpRequest, message: Message, fault: SoapFault, start: float) -> Answer:
        took = (self.clock.monotonic() - start) * 1000
        text = f"{request.peer} {fault.status} Fault {fault.name}: {fault.reason} ({took:.0f} ms)"
        self.log.say("sent", text, peer=str(request.peer), status=fault.status)
        return Answer(fault_answer(fault, message, self.ids))


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


def _envelope(piece: bytes) -> bytes:
    """What the log shows of an answer: its first piece without the head."""
    return piece.partition(b"\r\n\r\n")[2]
