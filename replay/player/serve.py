"""A virtual device made from a capture: it answers a real client as the recorded peer did.

Requests are matched by meaning, not by bytes: the operation, in the order of the story; a request that comes more often
than recorded gets the last answer of its kind. Tokens are fresh ones. Events go to whoever subscribed, when the
recording sent them: behind the answer that they followed. What came that the recording did not have is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from dissector.base.errors import DsmsharkError, UsageError
from dissector.messages import Message
from dissector.output.summary import summary
from dissector.soap.build import build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import WSA04
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import HttpClient, target_of
from replay.net.server import Answer, HttpRequest, HttpServer, Tap
from replay.player.values import Values
from replay.scenario.files import Folder
from replay.scenario.model import Scenario, Step
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from replay.soap.compose import USUAL, http_response, pack

__all__ = ["Virtual"]


class Virtual:
    """A device out of a scenario that was extracted with the answering side as the one that is played.

    Args:
        scenario, folder: as loaded.
        clock, log, ids: of the run.
        client: carries events.
        given: values by the user.
        tap: the capture, None for none.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Folder,
        *,
        clock: Clock,
        log: Log,
        ids: Ids,
        client: HttpClient,
        given: Mapping[str, str] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._asked = [step for step in scenario.steps if not step.event and step.name != "SubscriptionEnd"]
        if not self._asked or any(step.receiver != scenario.plays for step in self._asked):
            raise UsageError(f"{scenario.name} plays the side that asks: extract it --as the side that answers")
        self._scenario = scenario
        self._folder = folder
        self._clock = clock
        self._log = log
        self._ids = ids
        self._client = client
        self._given = dict(given or {})
        self._server = HttpServer(self._handle, clock=clock, log=log, tap=tap)
        self._used: set[int] = set()
        self._last: dict[str, Step] = {}
        self._events: set[asyncio.Task[None]] = set()
        self._values: Values | None = None
        self.unknown: list[str] = []
        """Requests that the recording does not have, in words."""
        self.url = ""

    async def listen(self, host: str, port: int) -> str:
        """Listen; gives the address that the first recorded request went to, as it is now."""
        at = await self._server.listen(host, port)
        base = f"http://{at}"
        sink = next((one.base for one in self._scenario.parties.values() if one.name != self._scenario.plays), "")
        self._values = Values(
            self._scenario, target_of(f"{base}/"), sink=base, ids=self._ids, given=self._given, base=sink, first="",
            played=frozenset(one.number for one in self._scenario.steps),
        )  # fmt: skip
        self.url = base + self._path(self._asked[0])
        self._log.say("listening", f"virtual device listens on {base}", address=str(at))
        return self.url

    def _path(self, step: Step) -> str:
        assert self._values is not None
        known = self._values.recorded() | self._values.now
        head = bytes_of(step.message, self._folder, known)[0]
        words = head.partition(b"\r\n")[0].split()
        return words[1].decode("latin-1") if len(words) > 1 else "/"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()
        for task in list(self._events):
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        await self._client.close()

    @property
    def left(self) -> list[str]:
        """Recorded requests that did not come."""
        return [f"{step.number} {step.name}" for step in self._asked if step.number not in self._used]

    # -- answering -----------------------------------------------------------------------------------------------

    async def _handle(self, request: HttpRequest) -> Answer:
        message = read_message(request.http)
        step = self._matching(message) if message is not None else None
        if message is None or step is None or step.answer is None:
            name = message.name if message is not None else f"{request.http.method} {request.http.target}"
            self.unknown.append(name)
            self._log.say("warning", f"{request.peer} {name}: the recording has no answer to it")
            return self._refused(message)
        assert self._values is not None
        self._log.say("received", f"{request.peer} {message.name} {summary(message)}".rstrip(), message=message.name)
        # A later run of the story gets tokens of its own.
        self._values.renew(step.number, self._ids)
        self._values.born(step.number, message)
        try:
            pieces = bytes_of(step.answer, self._folder, self._values.known())
        except KeyError as lacking:
            self._log.say("warning", f"{message.name}: {lacking} is not known")
            return self._refused(message)
        self._log.say("sent", f"{request.peer} answer of step {step.number}, {step.name}", step=step.number)
        return Answer(pieces, after=lambda sent: self._follow(step) if sent else None)

    def _matching(self, message: Message) -> Step | None:
        """The recorded request of its kind whose turn it is: one that asks the same, then the next, then the last."""
        mine = [step for step in self._asked if step.name == message.name]
        fresh = [step for step in mine if step.number not in self._used]
        alike = [step for step in fresh if self._asks(step) == _sections(message)]
        found = next(iter(alike or fresh), None) or self._last.get(message.name) or (mine[-1] if mine else None)
        if found is not None:
            self._used.add(found.number)
            self._last[message.name] = found
        return found

    def _asks(self, step: Step) -> str:
        """What a recorded request asks for, where that tells requests of one kind apart."""
        xml = self._folder.read(step.message.xml) if step.message.xml else b""
        return ",".join(sorted(one for one in SECTIONS if one.encode() in xml.partition(b"RequestedElements")[2]))

    def _refused(self, message: Message | None) -> Answer:
        fault = build_fault(
            "Sender", QName(WSA04, "ActionNotSupported", "wsa"), "The recording has no such request",
            message_id=self._ids.urn(), relates_to=message.message_id if message is not None else None,
        )  # fmt: skip
        return Answer(http_response(400, pack(fault, (), self._ids), USUAL).pieces)

    # -- events --------------------------------------------------------------------------------------------------

    def _follow(self, step: Step) -> None:
        """Send the events that the recording has behind this answer."""
        events = []
        for one in self._scenario.steps[step.number :]:
            if not one.event:
                break
            events.append(one)
        if events:
            task = asyncio.create_task(self._send(events))
            self._events.add(task)
            task.add_done_callback(self._events.discard)

    async def _send(self, events: list[Step]) -> None:
        assert self._values is not None
        for step in events:
            try:
                pieces = bytes_of(step.message, self._folder, self._values.known())
            except KeyError as lacking:
                self._log.say("note", f"{step.name} is not sent: nobody subscribed ({lacking} is not known)")
                continue
            host = next((line[5:].strip() for line in pieces[0].split(b"\r\n") if line[:5].lower() == b"host:"), b"")
            with contextlib.suppress(DsmsharkError):
                await self._client.exchange(target_of(f"http://{host.decode('latin-1')}/"), pieces)
                self._log.say("event", f"{step.name} to {host.decode('latin-1')}", event=step.name)


SECTIONS = (
    "ScannerDescription", "ScannerConfiguration", "ScannerStatus", "DefaultScanTicket", "JobStatus", "ScanTicket",
    "Documents", "JobDescription", "RepositoryConfiguration", "RepositoryStatus",
)  # fmt: skip
"""Names in RequestedElements, by which requests of one kind are told apart."""


def _sections(message: Message) -> str:
    body = message.body
    wanted = body.find_all("RequestedElements/Name") if body is not None else []
    names = {one.text.strip().rpartition(":")[2] for one in wanted}
    return ",".join(sorted(one for one in SECTIONS if one in names))
