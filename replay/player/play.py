"""Playing one party of a scenario against a real or emulated peer, over real sockets, and judging what comes back.

Requests go out in order; what they need and do not have yet is awaited, never slept for. Events come to an own sink
while the story goes on; each is held against the recorded one of its turn. Only the target's host is ever contacted,
also where an answer names another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dissector.base.errors import DsmsharkError, TargetUnreachable
from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.messages import Message
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import HttpClient, Target, target_of
from replay.net.receiver import HttpReceiver
from replay.net.server import Answer, HttpRequest, HttpServer, Tap
from replay.player.judge import Difference, Judge, ValueRule
from replay.player.result import Result, StepResult
from replay.player.values import Values
from replay.scenario.files import Folder
from replay.scenario.model import Scenario, Step, Wire
from replay.scenario.template import fill, names_in
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from replay.soap.compose import USUAL, http_response

__all__ = ["Options", "Player"]

SLACK = 10.0
"""Seconds that an event may come later than recorded."""


@dataclass(slots=True)
class Options:
    """How a scenario is played.

    Attributes:
        plays: party, "" for the scenario's own choice.
        speed: 1.0 as recorded, 2.0 twice as fast; 0: as fast as possible.
        keep_going: go on after a difference.
        slack: seconds that an event may come later than recorded.
        given: values by the user.
        listen: address for the event sink.
        first, only: steps to begin with, or to play alone (numbers; empty: all).
    """

    plays: str = ""
    speed: float = 0.0
    keep_going: bool = False
    slack: float = SLACK
    given: Mapping[str, str] = field(default_factory=dict)
    listen: tuple[str, int] = ("127.0.0.1", 0)
    first: int = 1
    only: frozenset[int] = frozenset()


class Player:
    """Plays a scenario once.

    Args:
        scenario, folder: as loaded.
        target: URL of the peer, the address that the first request goes to.
        options: how.
        clock, log, ids: of the run.
        client: carries requests.
        tap: the capture, None for none.
        progress: called with each result as it comes.
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
        self._target = target_of(target)
        self._options = options
        self._clock = clock
        self._ids = ids
        self._client = client
        self._progress = progress
        self._plays = options.plays or scenario.plays
        self._mine = [step for step in scenario.steps if step.sender == self._plays and self._wanted(step)]
        # Only notifications come by themselves; what the other side asks is its own affair.
        self._theirs = [
            step for step in scenario.steps if step.sender != self._plays and step.event and self._wanted(step)
        ]
        self._sink = HttpServer(self._deliver, clock=clock, log=log, tap=tap)
        self._came: dict[int, StepResult] = {}
        self._given_up: set[int] = set()
        self._news = asyncio.Event()
        self._values: Values | None = None
        self._log = log
        self.result = Result(scenario.name, str(self._target))

    def _wanted(self, step: Step) -> bool:
        options = self._options
        return step.number >= options.first and (not options.only or step.number in options.only)

    async def run(self) -> Result:
        """Play; differences and failures are in the result."""
        sink = ""
        try:
            if self._theirs:
                at = await self._sink.listen(*self._options.listen)
                sink = f"http://{at}"
            base = next(
                (one.base for one in self._scenario.parties.values() if one.name != self._plays and one.base), ""
            )
            self._values = Values(
                self._scenario, self._target, sink=sink, ids=self._ids, given=self._options.given, base=base,
                first=self._first_path(), played=frozenset(one.number for one in [*self._mine, *self._theirs]),
            )  # fmt: skip
            start = self._clock.monotonic()
            for step in self._mine:
                if self._options.speed > 0:
                    due = start + step.time / self._options.speed
                    await self._clock.sleep(due - self._clock.monotonic())
                await self._await_before(step)
                result = await self._play(step)
                self._say(result)
                if result.outcome not in ("same", "skipped") and not self._options.keep_going:
                    break
            else:
                await self._await_events(start)
        except TargetUnreachable as error:
            self.result.unreachable = str(error)
        finally:
            await self._sink.stop()
            await self._client.close()
        return self.result

    def _first_path(self) -> str:
        """The path that the first own request went to, as recorded."""
        if not self._mine:
            return ""
        recorded = {name: value.recorded for name, value in self._scenario.values.items()}
        line = fill(self._folder.text(self._mine[0].message.head), recorded).partition("\r\n")[0].split()
        return line[1] if len(line) > 1 else ""

    # -- own steps -----------------------------------------------------------------------------------------------

    async def _play(self, step: Step) -> StepResult:
        assert self._values is not None
        begun = self._clock.monotonic()
        lacking = await self._await_values(step)
        if lacking:
            text = f"not sent: {', '.join(lacking)} is not known, since what hands it out did not come"
            return StepResult(step.number, step.name, "failed", text, origin=step.origin)
        pieces = bytes_of(step.message, self._folder, self._values.now)
        http = await self._client.exchange(self._where(pieces[0]), pieces)
        received = read_message(http)
        result = self._judged(step, step.answer, http, received)
        if received is not None:
            self._values.born(step.number, received)
        result.seconds = self._clock.monotonic() - begun
        return result

    def _where(self, head: bytes) -> Target:
        """Whom a request goes to: the Host that it names, if that is the target's host; else the target itself."""
        host = next((line[5:].strip() for line in head.split(b"\r\n") if line[:5].lower() == b"host:"), b"").decode(
            "latin-1"
        )
        try:
            named = target_of(f"{self._target.scheme}://{host}/") if host else self._target
        except DsmsharkError:
            return self._target
        return named if named.host.lower() == self._target.host.lower() else self._target

    async def _await_values(self, step: Step) -> list[str]:
        """Wait for the events that hand out what a step needs; gives the names that are still missing."""
        assert self._values is not None
        needed = self._names(step.message)
        events = {one.number: one for one in self._theirs}
        waiting = [name for name in needed if name not in self._values.now]
        awaited = [
            events[self._scenario.values[name].step] for name in waiting if self._scenario.values[name].step in events
        ]
        if awaited:
            await self._until(lambda: self._have(awaited), self._options.slack)
        return [name for name in needed if name not in self._values.now]

    def _names(self, wire: Wire) -> list[str]:
        names = names_in(self._folder.text(wire.head))
        if wire.xml:
            names += names_in(self._folder.read(wire.xml).decode("latin-1"))
        return list(dict.fromkeys(names))

    # -- what comes back -----------------------------------------------------------------------------------------

    def _judged(self, step: Step, wire: Wire | None, http: HttpMessage, received: Message | None) -> StepResult:
        assert self._values is not None
        result = StepResult(step.number, step.name, "same", origin=step.origin)
        if wire is None:
            result.outcome, result.text = "skipped", "the recording holds nothing to compare with"
            return result
        expected = self._recorded(wire, step.event and wire is step.message)
        if expected is None:
            result.outcome, result.text = "skipped", "the recording cannot be read"
            return result
        wanted, recorded = expected
        if recorded is None or received is None:
            if recorded is None and received is None and wanted.status == http.status:
                return result
            result.differences.append(_bare(wanted, recorded, http, received))
        else:
            rules = [ValueRule(path, how) for path, how in step.rules]
            judge = Judge(rules, translate=self._values.translation(step.number))
            result.differences = judge.compare(recorded, received)
        if result.differences:
            result.outcome = "different"
            result.text = "; ".join(one.text for one in result.differences[:3])
        return result

    def _recorded(self, wire: Wire, request: bool) -> tuple[HttpMessage, Message | None] | None:
        """A recorded message, read again from its files with the recorded values."""
        assert self._values is not None
        here, there = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
        receiver = HttpReceiver(here, there, responses=not request)
        if not request:
            receiver.asked()
        read = receiver.feed(b"".join(bytes_of(wire, self._folder, self._values.recorded())), 1)
        read += receiver.end()
        return (read[0], read_message(read[0])) if read else None

    async def _deliver(self, request: HttpRequest) -> Answer:
        """An event came to the sink."""
        message = read_message(request.http)
        name = message.name if message is not None else request.http.method
        step = next((one for one in self._theirs if one.name == name and one.number not in self._came), None)
        if step is None or message is None:
            self._say(StepResult(0, name, "unexpected", "the recording has no such event, or not so many"))
            return Answer(http_response(202, None, USUAL).pieces)
        assert self._values is not None
        result = self._judged(step, step.message, request.http, message)
        self._values.born(step.number, message)
        self._came[step.number] = result
        self._say(result)
        self._news.set()
        if step.answer is not None:
            return Answer(bytes_of(step.answer, self._folder, self._values.now))
        return Answer(http_response(202, None, USUAL).pieces)

    async def _await_before(self, step: Step) -> None:
        """Wait for the events that were recorded before a step: a device unsubscribes when it was told the end."""
        due = [one for one in self._theirs if one.number < step.number and not one.optional]
        due = [one for one in due if one.number not in self._came and one.number not in self._given_up]
        if due and not await self._until(lambda: self._have(due), self._options.slack):
            self._give_up(due)

    def _give_up(self, due: Sequence[Step]) -> None:
        for step in due:
            if step.number not in self._came and step.number not in self._given_up:
                self._given_up.add(step.number)
                text = f"did not come within {self._options.slack:g} s of its time"
                self._say(StepResult(step.number, step.name, "missing", text, origin=step.origin))

    async def _await_events(self, start: float) -> None:
        """The events that are still due, each with its own deadline."""
        due = [step for step in self._theirs if not step.optional and step.number not in self._given_up]
        if due:
            late = max(step.time for step in due) - max((step.time for step in self._mine), default=0.0)
            await self._until(lambda: self._have(due), max(late, 0.0) + self._options.slack)
        self._give_up(due)

    def _have(self, steps: Sequence[Step]) -> bool:
        return all(step.number in self._came for step in steps)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for a condition that news can make true; False where the time was over first."""
        over = asyncio.Event()

        def end() -> None:
            over.set()
            self._news.set()

        timer = self._clock.call_later(seconds, end)
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
        self._log.say("step", f"{result.number or '-'} {result.name}: {result.outcome}{why}", **facts)
        self._progress(result)


def _bare(wanted: HttpMessage, recorded: Message | None, http: HttpMessage, received: Message | None) -> Difference:
    """One of the two has no SOAP, or another HTTP status."""
    was = recorded.name if recorded is not None else f"HTTP {wanted.status}"
    came = received.name if received is not None else f"HTTP {http.status}"
    return Difference("status", "", was, came, f"{came} came, {was} was recorded")
