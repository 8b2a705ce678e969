"""A script for a replay: what the player has to send, what its peer answers and tells, and how time goes by.

The peer is a real socket that says what the scenario recorded, with the player's message ids and sink put in, and
changed where the script says so. Time stands still but for :class:`Passes`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dissector.messages import Message
from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import HttpClient, target_of
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.player.play import Options, Player, Result
from replay.scenario.files import Folder, load_scenario
from replay.scenario.model import Scenario, Step, Wire
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from tests.support.loopback import PATIENCE, until

__all__ = ["Answers", "Came", "Gets", "Passes", "Playbook", "Tells", "play"]

MADE_BY_THE_PLAYER = (
    rb"MessageID>\s*([^<\s]+)",
    rb"NotifyTo>.*?Address>\s*([^<\s]+)",
    rb"NotifyTo>.*?Identifier[^>]*>\s*([^<\s]+)",
)
"""Where the player says another text than was recorded, which the peer has to give back."""

Change = Callable[[bytes], bytes]


def _same(data: bytes) -> bytes:
    return data


@dataclass
class Gets:
    """The player sends this message, and nothing else before it."""

    name: str


@dataclass
class Answers:
    """The peer answers the oldest request that has no answer: as recorded, or changed; ``raw`` changes the very bytes,
    when lengths are right already."""

    change: Change = _same
    raw: Change = _same


@dataclass
class Tells:
    """The peer sends the recorded event of a name (the n-th of it, from 1) to the player's sink."""

    name: str
    which: int = 1
    change: Change = _same


@dataclass
class Came:
    """The player has got the event of a step, be it answered or not: no clock of ours tells how long sockets take."""

    number: int


@dataclass
class Passes:
    """So many seconds go by."""

    seconds: float


@dataclass
class Playbook:
    """What a script stands on, and what it saw.

    Attributes:
        asked: requests that the player sent, in order.
        statuses: of the answers that the peer's events got.
    """

    folder: Path
    scenario: Scenario
    files: Folder
    clock: ManualClock
    player: Player | None = None
    asked: list[Message] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    waits: bool = True
    """The script goes on when an event has its answer (at a recorded pace that takes time)."""
    read: int = 0
    _told: list[asyncio.Task[None]] = field(default_factory=list)
    _waiting: list[tuple[Step | None, asyncio.Future[list[bytes]]]] = field(default_factory=list)
    _texts: dict[bytes, bytes] = field(default_factory=dict)

    async def handle(self, request: HttpRequest) -> Answer:
        """A request of the player."""
        message = read_message(request.http)
        assert message is not None, request.http.head
        number = sum(one.name == message.name for one in self.asked)
        steps = [one for one in self.scenario.steps if one.name == message.name]
        step = steps[min(number, len(steps) - 1)] if steps else None
        self._learn(step, message)
        self.asked.append(message)
        self.heads.append(request.http.head)
        self.connections.add(request.peer)
        waiting: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, waiting))
        return Answer(await waiting)

    def _learn(self, step: Step | None, message: Message) -> None:
        """What of the recording the player said in another way."""
        if step is None:
            return
        recorded = b"".join(bytes_of(step.message, self.files, self._recorded()))
        for pattern in MADE_BY_THE_PLAYER:
            was = re.search(pattern, recorded, re.DOTALL)
            xml = message.envelope.xml if message.envelope is not None else b""
            now = re.search(pattern, xml, re.DOTALL)
            if was is not None and now is not None:
                self._texts[was[1]] = now[1]

    def _recorded(self) -> dict[str, str]:
        return {name: value.recorded for name, value in self.scenario.values.items()}

    def bytes(self, wire: Wire, change: Change) -> list[bytes]:
        """A recorded message as the peer says it now."""
        data = b"".join(bytes_of(wire, self.files, self._recorded()))
        for was, now in self._texts.items():
            data = data.replace(was, now)
        data = change(data)
        head, mark, body = data.partition(b"\r\n\r\n")
        head = re.sub(rb"(?i)(content-length:) *\d+", rb"\1 %d" % len(body), head)
        return [head + mark + body]

    async def _tell(self, client: HttpClient, sink: str, pieces: list[bytes]) -> None:
        http = await client.exchange(target_of(sink), pieces)
        self.statuses.append(http.status)

    async def do(self, action: Any, client: HttpClient) -> None:
        """One line of the script."""
        if isinstance(action, Gets):
            await until(lambda: len(self.asked) > self.read)
            assert self.asked[self.read].name == action.name
            self.read += 1
        elif isinstance(action, Answers):
            step, waiting = self._waiting.pop(0)
            assert step is not None
            assert step.answer is not None
            waiting.set_result([action.raw(one) for one in self.bytes(step.answer, action.change)])
        elif isinstance(action, Tells):
            steps = [one for one in self.scenario.steps if one.name == action.name]
            pieces = self.bytes(steps[action.which - 1].message, action.change)
            sink = next(now for was, now in self._texts.items() if b"://" in was and now != was)
            told = asyncio.create_task(self._tell(client, sink.decode(), pieces))
            self._told.append(told)
            if self.waits:
                await told
        elif isinstance(action, Came):
            assert self.player is not None
            came = self.player._awaited.came
            await until(lambda: action.number in came)
        else:
            await self.clock.advance(action.seconds)
        await self.clock.settle()


def play(
    folder: Path, script: Sequence[Gets | Answers | Tells | Came | Passes], *, ends: bool = True, **options: Any
) -> tuple[Result, Playbook]:
    """Play a scenario against a script; the run has to be over with the script (``ends``), or is stopped then."""

    async def run() -> tuple[Result, Playbook]:
        scenario, files = load_scenario(folder)
        clock = ManualClock()
        book = Playbook(folder, scenario, files, clock, waits=not options.get("speed"))
        log = Log(clock)
        server = HttpServer(book.handle, clock=clock, log=log)
        events = HttpClient(clock=clock)
        at = await server.listen("127.0.0.1", 0)
        given = Options(**{"keep_going": True, "slack": 5.0, **options})
        player = book.player = Player(
            scenario, files, f"http://{at}/ScanServer", options=given, clock=clock, log=log, ids=Ids(7),
            client=HttpClient(clock=clock),
        )  # fmt: skip
        playing = asyncio.create_task(player.run())
        try:
            async with asyncio.timeout(PATIENCE):
                for action in script:
                    await book.do(action, events)
                if ends:
                    await until(playing.done)
                    assert book.read == len(book.asked), [one.name for one in book.asked[book.read :]]
        finally:
            playing.cancel()
            await asyncio.gather(playing, *book._told, return_exceptions=True)
            await events.close()
            await server.stop()
        return player.result, book

    return asyncio.run(run())
