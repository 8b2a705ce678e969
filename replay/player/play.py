"""Playing one party of a scenario, or several on one clock, against real or emulated peers, and judging what comes.

What a played party sent is sent again, what it received is awaited and held against the recording. Requests go out in
the recorded order: one waits for all that was over before it began in the recording, so what was under way at once is
so again. What a request needs and what has to come first is awaited with a deadline, never slept for. Only the targets'
hosts are ever contacted, also where an answer or the recording names others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from dissector.base.errors import DsmsharkError, TargetUnreachable, UsageError
from dissector.base.origin import Endpoint
from dissector.messages import Message
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import LONGEST, AnswerCut, HttpClient, Target, in_few_writes, target_of
from replay.net.server import Answer, HttpRequest, HttpServer, Tap
from replay.net.target import is_loopback
from replay.player.awaited import Arrival, Awaited, Deadlines
from replay.player.clean import cleaned, refusal
from replay.player.headline import ended
from replay.player.judge import Difference
from replay.player.options import SLOWER, Options
from replay.player.recorded import Recorded
from replay.player.result import Result
from replay.player.step import FINE, StepResult
from replay.player.targets import played_of, targets_of
from replay.player.values import Values, receives
from replay.player.verdict import Verdicts
from replay.scenario.files import Folder
from replay.scenario.model import Scenario, Step, Wire
from replay.scenario.parties import is_notice
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from replay.soap.compose import USUAL, http_response

__all__ = ["Options", "Player", "Result", "StepResult"]

MAX_EXTRA = 1000
"""Messages too many that are told one by one: who sends them may go on as long as something is awaited."""

MAX_NAME = 200
"""Characters of the name of one: the peer chooses it."""


class Player:
    """Plays a scenario once.

    Args:
        scenario, folder: as loaded.
        target: URL of the peer that the played parties speak with, the address that the first request to it goes to;
            "" where only parties are played against that come by themselves.
        options: how.
        clock, log, ids: of the run.
        client: carries requests.
        tap: the capture, None for none.
        progress: called with each result as it comes.

    Raises:
        UsageError: a party is not of the scenario, or nothing is left to play.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Folder,
        target: str,
        *,
        options: Options,
        clock: Clock,
        log: Log,
        ids: Ids,
        client: HttpClient,
        tap: Tap | None = None,
        progress: Callable[[StepResult], None] = lambda result: None,
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._options = options
        self._clock = clock
        self._ids = ids
        self.log = log
        self._client = client
        self._tap = tap
        self._progress = progress
        self._played = played_of(scenario, options.plays)
        self._targets = targets_of(scenario, self._played, target, options.targets)
        """Party → where it is. Only the hosts of these are ever contacted."""
        wanted = [step for step in scenario.steps if options.wants(step)]
        self._mine = [one for one in wanted if one.sender in self._played and one.receiver not in self._played]
        theirs = [one for one in wanted if receives(one, "message", self._played)]
        if not self._mine and not theirs:
            last = max((one.number for one in scenario.steps), default=0)
            told = f"{', '.join(sorted(self._played))} has nothing to do in these steps; there are 1 to {last}"
            raise UsageError(f"{scenario.name}: {told}")
        names = {name: value.recorded for name, value in scenario.values.items()}
        self._recorded = Recorded(folder, names)
        self._awaited = Awaited(theirs, self._repeats(theirs))
        self._deadlines = Deadlines(clock.monotonic(), options.slack, options.wait)
        self._kept_from: dict[str, str] = {}
        """Party → address of another machine that it came from, where nobody allowed that it is sent anything."""
        self._servers: dict[str, HttpServer] = {}
        self._news = asyncio.Event()
        self._answering = 0
        """Messages that came and are being answered: what became of them is not said yet."""
        self._extra_came = 0
        self._stopped = False
        self._reached = False
        """A peer answered, so that a silent one is a difference and no unreachable target."""
        self._values: Values | None = None
        self._verdicts: Verdicts
        """Known with the values."""
        self.result = Result(scenario.name, ", ".join(str(one) for one in self._targets.values()))

    def _repeats(self, steps: Sequence[Step]) -> dict[int, int]:
        """Steps that say an earlier one's message once more, as the recording has it."""
        ids = {value.name for value in self._scenario.values.values() if value.kind == "message_id"}
        first: dict[tuple[str, ...], int] = {}
        found = {}
        for step in steps:
            own = tuple(one for one in self._recorded.names(step.message) if one in ids)
            if own and own in first:
                found[step.number] = first[own]
            elif own:
                first[own] = step.number
        return found

    @property
    def values(self) -> Values:
        """The values of the run."""
        assert self._values is not None
        return self._values

    # -- the run -------------------------------------------------------------------------------------------------

    async def run(self) -> Result:
        """Play; differences and failures are in the result."""
        flying: dict[asyncio.Task[None], Step] = {}
        try:
            await self._prepare()
            start = self._clock.monotonic()
            for step in self._mine:
                await self._landed(flying, before=step.time)
                await self._await_before(step)
                if self._stopped:
                    break
                if self._options.speed > 0:
                    await self._clock.sleep(start + step.time / self._options.speed - self._clock.monotonic())
                flying[asyncio.create_task(self._own_step(step))] = step
            await self._landed(flying)
            await self._await_rest()
            await self._all_answered()
        except TargetUnreachable as error:
            self.result.unreachable = str(error)
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
            for server in self._servers.values():
                await server.stop()
            await self._client.close()
        return self.result

    async def _prepare(self) -> None:
        """Listen for what is due, and say what is known of the values by then."""
        host, port = self._options.listen
        scheme = "https" if self._options.context is not None else "http"
        own = {}
        for party in dict.fromkeys(step.receiver for step in self._awaited.steps):
            server = HttpServer(
                partial(self._deliver, party),
                clock=self._clock,
                log=self.log,
                context=self._options.context,
                tap=self._tap,
            )
            at = await server.listen(host, port if not self._servers else 0)
            self._servers[party] = server
            own[party] = f"{scheme}://{at}"
            role = self._scenario.parties[party].role
            self.log.say("listening", f"the {role} listens on {own[party]}", party=party, address=str(at))
        steps = {one.number for one in [*self._mine, *self._awaited.steps]}
        self._values = Values(
            self._scenario, played=self._played, targets=self._targets, own=own, first=self._first_paths(),
            steps=steps, ids=self._ids, given=self._options.given,
        )  # fmt: skip
        self._verdicts = Verdicts(self._scenario, self._recorded, self._values)
        self._deadlines = Deadlines(self._clock.monotonic(), self._options.slack, self._options.wait)
        self._say_what_is_old()
        begins = next(iter(self._awaited.left()), None)
        if begins is not None and all(begins.number < one.number for one in self._mine):
            role = self._scenario.parties[begins.sender].role
            self.log.say("note", f"waiting for {begins.name} of the {role}, {self._options.wait:g} s at most")

    def _say_what_is_old(self) -> None:
        """What the steps that are left out would have handed out is as recorded: a token of yesterday is no token."""
        old: dict[int, list[str]] = {}
        for name in dict.fromkeys(name for step in self._mine for name in self._recorded.names(step.message)):
            if born := self.values.left_out(name):
                old.setdefault(born, []).append(name)
        for number, names in old.items():
            words = f"as recorded, since step {number}, which hands it out, is not played: {', '.join(names)}"
            self.log.say("note", f"{words} (--set NAME=VALUE gives another one)", step=number)

    def _say_where_it_went(self, step: Step) -> None:
        """The target's path stands for the recorded one. Where the peer refuses the first request, it may be another
        request's: a control point, say, was recorded with the address of one service, not with that of the device."""
        target, recorded = self._targets[step.receiver], self._recorded.path(step.message)
        if target.path not in ("/", recorded):
            words = f"{step.name} went to {target.path}, the target's path; it was recorded at {recorded}"
            self.log.say("note", f"{words}: --target is the address that this request goes to", step=step.number)

    def _first_paths(self) -> dict[str, str]:
        """Party → recorded path that the first request to it went to."""
        found: dict[str, str] = {}
        for step in self._mine:
            if step.receiver not in found:
                found[step.receiver] = self._recorded.path(step.message)
        return found

    async def _landed(self, flying: dict[asyncio.Task[None], Step], before: float | None = None) -> None:
        """Wait for the own steps under way: those that were over by a recorded time, or all."""
        due = [task for task, one in flying.items() if before is None or one.time + one.took <= before]
        if due:
            await asyncio.wait(due)
        for task in [one for one in flying if one.done()]:
            del flying[task]
            task.result()

    async def _own_step(self, step: Step) -> None:
        result = await self._play(step)
        self._deadlines.done(step, self._clock.monotonic())
        self._say(result)
        if result.outcome not in FINE and not self._options.keep_going:
            self._stopped = True
            self._news.set()

    # -- own steps -----------------------------------------------------------------------------------------------

    async def _play(self, step: Step) -> StepResult:
        begun = self._clock.monotonic()
        lacking = await self._await_values(step.message)
        if lacking:
            text = f"not sent: {', '.join(lacking)} is not known, since what hands it out did not come"
            return StepResult(step.number, step.name, "failed", text, origin=step.origin)
        if step.receiver not in self._targets:
            came = self._kept_from.get(step.receiver)
            why = f"came from {came}, which was not named as a target" if came else "did not come by itself"
            text = f"not sent: no target was named for the {step.receiver}, and it {why}"
            return StepResult(step.number, step.name, "failed", text, origin=step.origin)
        pieces = self._bytes(step.message, request=True)
        if self._options.gate is not None:
            said = await self._options.gate(step, pieces)
            if said != "go":
                self._stopped = self._stopped or said == "stop"
                return StepResult(step.number, step.name, "skipped", "not sent: skipped by hand", origin=step.origin)
        lane = step.connection if self._options.connections == "recorded" else ""
        method = pieces[0].partition(b" ")[0].decode("latin-1")
        cut = ""
        try:
            where = self._where(step, pieces[0])
            longest = self._options.max_time or max(LONGEST, SLOWER * step.took)
            http = await self._client.exchange(where, in_few_writes(pieces), method=method, lane=lane, longest=longest)
        except AnswerCut as error:
            http, cut = error.http, str(error)
        except TargetUnreachable as error:
            if not self._reached:
                raise
            return self._unanswered(step, str(error), self._clock.monotonic() - begun)
        if http.status >= 400 and not self._reached:
            self._say_where_it_went(step)
        self._reached = True
        received = read_message(http)
        result = self._verdicts.judged(step, "answer", step.answer, http, received, cut)
        if received is not None:
            self.values.born(step.number, "answer", received)
        result.seconds = self._clock.monotonic() - begun
        return result

    def _unanswered(self, step: Step, words: str, seconds: float) -> StepResult:
        """The peer was there before, and gives no answer now."""
        if step.answer is None:
            words = f"no answer, as recorded ({words})"
            return StepResult(step.number, step.name, "same", words, seconds, step.origin)
        found = Difference("status", "", "an answer", None, f"no answer came: {words}")
        return StepResult(step.number, step.name, "different", found.text, seconds, step.origin, [found])

    def _bytes(self, wire: Wire, *, request: bool) -> list[bytes]:
        """A message as it is sent now."""
        pieces = bytes_of(wire, self._folder, self.values.now)
        return cleaned(pieces, self._ids, request=request) if self._options.normalise else pieces

    def _where(self, step: Step, head: bytes) -> Target:
        """Whom a request goes to: the host of the receiver's target, at the port that the Host header names.

        Devices name addresses of their own in their answers; none but the target's host is contacted.
        """
        target = self._targets[step.receiver]
        lines = head.split(b"\r\n") if b"\r\n" in head else head.split(b"\n")
        host = next((line[5:].strip() for line in lines if line[:5].lower() == b"host:"), b"").decode("latin-1")
        if not host or host.lower() == target.authority.lower():
            return target
        scheme = self.values.scheme_of(host) or target.scheme
        try:
            named = target_of(f"{scheme}://{host}/")
        except DsmsharkError:
            return target
        if named.host.lower() != target.host.lower():
            words = f"{step.name} names {host}; only {target.host} is contacted, at port {named.port}"
            self.log.say("note", words, step=step.number)
        return Target(named.scheme, target.host, named.port, named.path, named.authority)

    async def _await_values(self, wire: Wire) -> list[str]:
        """Wait for what hands out the values of a message; gives the names that are still missing."""
        needed = self._recorded.names(wire)

        def missing() -> list[str]:
            return [name for name in needed if name not in self.values.now]

        steps = {self.values.birth(name) for name in missing()} - {0}
        awaited = [one for one in self._awaited.left() if one.number in steps]
        if awaited:
            until = max(self._deadlines.of(one) for one in awaited)
            await self._until(lambda: self._stopped or not missing(), until)
        return missing()

    # -- what comes ----------------------------------------------------------------------------------------------

    async def _deliver(self, party: str, request: HttpRequest) -> Answer:
        """A message came to a played party."""
        self._answering += 1
        try:
            return await self._taken(party, request)
        finally:
            self._answering -= 1
            self._news.set()

    async def _taken(self, party: str, request: HttpRequest) -> Answer:
        message = read_message(request.http)
        name = message.name if message is not None else f"{request.http.method} {request.http.target}"
        service = message.service if message is not None else ""
        arrival = self._awaited.arrive(
            party,
            name,
            service,
            message.message_id if message is not None else None,
            lambda step: self._verdicts.distance(step, message),
        )
        step = arrival.step
        if arrival.how in ("doubled", "unexpected") or step is None:
            return self._extra(arrival, name, message)
        self._adopt(step.sender, request.peer)
        result = self._verdicts.judged(step, "message", step.message, request.http, message)
        if arrival.how == "late":
            result.outcome = "late"
            result.text = "came after it had been given up" + (f"; {result.text}" if result.text else "")
            self.result.steps = [one for one in self.result.steps if one.number != step.number]
        if message is not None:
            self.values.born(step.number, "message", message)
        answer = await self._answered(step, message)
        self._deadlines.done(step, self._clock.monotonic())
        self._say(result)
        if result.outcome not in FINE and not self._options.keep_going:
            self._stopped = True
        return answer

    def _adopt(self, party: str, peer: Endpoint) -> None:
        """Who came by itself may be answered by events, where no target was named for it."""
        if party in self._targets:
            return
        if is_loopback(peer.address) or self._options.others:
            self._targets[party] = Target("http", peer.address, peer.port, "/", str(peer))
        else:
            if self._kept_from.get(party) != peer.address:
                words = f"the {party} came from {peer.address}, another machine: it is sent nothing (--yes allows it)"
                self.log.say("warning", words, party=party)
            self._kept_from[party] = peer.address

    def _extra(self, arrival: Arrival, name: str, message: Message | None) -> Answer:
        """A message too many: said, and answered as far as the recording has an answer."""
        step = arrival.step
        if arrival.how == "doubled":
            text = f"came twice (step {step.number if step is not None else 0})"
        else:
            text = "the recording has no such message" if step is None else "the recording has not so many of it"
        self._extra_came += 1
        if message is not None and name == "SubscriptionEnd":
            text = f"{ended(message)}; {text}"
        if self._extra_came <= MAX_EXTRA:
            self._say(StepResult(0, name[:MAX_NAME], arrival.how, text))
        elif self._extra_came == MAX_EXTRA + 1:
            self._say(StepResult(0, name[:MAX_NAME], arrival.how, f"{text}; further ones are not listed"))
        if not self._options.keep_going:
            self._stopped = True
        if step is not None and step.answer is not None:
            if message is not None:
                self.values.born(step.number, "message", message)
            self.values.renew(step.number, "answer")
            return self._recorded_answer(step, message)
        if message is not None and is_notice(message):
            return Answer(http_response(202, None, USUAL).pieces)
        return Answer(refusal(message, self._ids, "The recording has no such request"))

    async def _answered(self, step: Step, message: Message | None) -> Answer:
        """The recorded answer, when what it holds is known, and at its recorded pace."""
        begun = self._clock.monotonic()
        if step.answer is not None:
            await self._await_values(step.answer)
        if self._options.speed > 0:
            await self._clock.sleep(begun + step.took / self._options.speed - self._clock.monotonic())
        return self._recorded_answer(step, message)

    def _recorded_answer(self, step: Step, message: Message | None) -> Answer:
        if step.answer is None:
            if step.event or (message is not None and is_notice(message)):
                return Answer(http_response(202, None, USUAL).pieces)
            return Answer(refusal(message, self._ids, "The recording holds no answer to this request"))
        try:
            return Answer(self._bytes(step.answer, request=False))
        except KeyError as lacking:
            self.log.say("warning", f"{step.name}: no answer, {lacking} is not known", step=step.number)
            return Answer(refusal(message, self._ids, f"The value {lacking} is not known"))

    # -- waiting -------------------------------------------------------------------------------------------------

    async def _await_before(self, step: Step) -> None:
        """Wait for what was recorded before a step: a device unsubscribes when it was told the end."""
        for one in self._awaited.due_before(step.number):
            if self._stopped:
                return
            if one.number not in self._awaited.came and not await self._come(one):
                self._give_up(one)

    async def _await_rest(self) -> None:
        """What is still due, each with its own deadline."""
        for one in self._awaited.left():
            if self._stopped:
                return
            if one.number not in self._awaited.came and not await self._come(one):
                self._give_up(one)

    async def _all_answered(self) -> None:
        """What came has its answer, at the recorded pace, and what became of it is said."""
        while self._answering:
            self._news.clear()
            await self._news.wait()

    async def _come(self, step: Step) -> bool:
        # The deadline moves on while the steps before this one are being done.
        while (until := self._deadlines.of(step)) > self._clock.monotonic():
            if await self._until(lambda: self._stopped or step.number in self._awaited.came, until):
                return True
        return step.number in self._awaited.came

    def _give_up(self, step: Step) -> None:
        self._awaited.given_up.add(step.number)
        text = f"did not come {self._deadlines.words(step)}"
        self._say(StepResult(step.number, step.name, "missing", text, origin=step.origin))
        if not self._options.keep_going:
            self._stopped = True

    async def _until(self, condition: Callable[[], bool], until: float) -> bool:
        """Wait for a condition that news can make true; False where the time was over first."""
        over = asyncio.Event()

        def end() -> None:
            over.set()
            self._news.set()

        timer = self._clock.call_later(until - self._clock.monotonic(), end)
        try:
            while not condition() and not over.is_set():
                self._news.clear()
                await self._news.wait()
        finally:
            timer.cancel()
        return condition()

    def _say(self, result: StepResult) -> None:
        self.result.steps.append(result)
        facts = {key: value for key, value in result.to_json().items() if key != "text"}
        why = f": {result.text}" if result.text else ""
        self.log.say("step", f"{result.number or '-'} {result.name}: {result.outcome}{why}", **facts)
        self._progress(result)
