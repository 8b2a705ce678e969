"""A device host, an event source and sinks, all by one clock that stands still: for tests of what is on the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Self

from dissector.catalog import build
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import DSP, WSCN, WSE
from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.eventing import SubscriptionTable
from replay.devices.host import Call, Host, Reply
from replay.devices.source import EventSource, Notice
from replay.net.client import HttpClient, target_of
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.soap.caller import Caller, action_of, read_message
from replay.soap.compose import USUAL, Packed, Picture, Style, http_request, http_response
from tests.support.loopback import Raw, until

EVENT = f"{WSCN}/ScanAvailableEvent"
PICTURE = bytes(range(256)) * 40


def envelope(name: str, data: Any, *, element: str = "", service: str = "WS-Scan", **given: Any) -> bytes:
    """A request of the catalogue; ``given`` goes to ``build_envelope``."""
    given.setdefault("action", action_of(name, service))
    given.setdefault("to", "http://127.0.0.1/scan")
    given.setdefault("message_id", "urn:uuid:asked")
    body = build(element or f"wscn:{name}", data) if data is not None else None
    return build_envelope(body, **given)


def over_http(xml: bytes, path: str = "/scan", content_type: str = "application/soap+xml; charset=utf-8") -> bytes:
    """The request as bytes."""
    dress = http_request(path, "127.0.0.1", Packed(content_type, xml, xml))
    return dress.head + dress.body


CANCEL = over_http(envelope("CancelJobRequest", {"job_id": 1}))
RETRIEVE = over_http(
    envelope("RetrieveImageRequest", {"job_id": 1, "job_token": "t", "document_description": {"document_name": "d"}})
)


class Sink:
    """An event sink.

    Attributes:
        events: what came, in order, as the dissector reads it.
        status: HTTP status of the answers.
        hold: set: answers are given; clear: they wait.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.events: list[Message] = []
        self.statuses: list[int] = []
        self.cut = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.server = HttpServer(self._take, clock=clock, log=Log(clock))

    async def _take(self, request: HttpRequest) -> Answer:
        if not request.http.complete:
            self.cut += 1
            return Answer(close="close")
        message = read_message(request.http)
        assert message is not None
        self.events.append(message)
        await self.hold.wait()
        status = self.statuses.pop(0) if self.statuses else 202
        return Answer(http_response(status, None, USUAL).pieces)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.server.addresses[0]}/sink"

    @property
    def told(self) -> list[str]:
        """The identifiers of the ScanAvailableEvents that came."""
        return [str(one.get("ScanIdentifier")) for one in self.events if one.name == "ScanAvailableEvent"]

    @property
    def ends(self) -> list[str]:
        """The reasons of the SubscriptionEnds that came."""
        return [str(one.get("Status")).rpartition("/")[2] for one in self.events if one.name == "SubscriptionEnd"]


class Rig:
    """The device. ``rules`` are of behaviour, as on the command line."""

    def __init__(
        self,
        *rules: str,
        style: Style = USUAL,
        may_notify: Callable[[str], bool] = lambda address: True,
        limit: int = 9,
    ) -> None:
        self.clock = ManualClock()
        self.log = Log(self.clock)
        self.ids = Ids(1)
        self.behaviour = Behaviour([parse_rule(one) for one in rules])
        self.host = Host(clock=self.clock, ids=self.ids, log=self.log, behaviour=self.behaviour, style=style)
        self.server = HttpServer(self.host.handle, clock=self.clock, log=self.log)
        self.client = HttpClient(clock=self.clock)
        self.mine = HttpClient(clock=self.clock)
        self.caller = Caller(self.client, clock=self.clock, ids=self.ids, log=self.log)
        table = SubscriptionTable(self.ids, [EVENT, f"{WSCN}/JobStatusEvent"], may_notify=may_notify, limit=limit)
        self.source = EventSource(
            self.host, self.caller, table, clock=self.clock, ids=self.ids, log=self.log, behaviour=self.behaviour,
            manager=lambda call: f"http://{self.server.addresses[0]}/manager",
        )  # fmt: skip
        self.calls: list[Call] = []
        self.after: list[bool] = []
        point = self.host.point("/scan", "WS-Scan")
        point.offer("WS-Scan", {"CancelJob": self._cancel, "RetrieveImage": self._retrieve})
        self.source.offer("/scan", "/manager")
        self._sinks = contextlib.AsyncExitStack()
        self._number = 0

    async def __aenter__(self) -> Self:
        self.port = (await self.server.listen("127.0.0.1", 0)).port
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.source.stop()
        await self._sinks.aclose()
        await self.mine.close()
        await self.client.close()
        await self.server.stop()

    async def _cancel(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(build("wscn:CancelJobResponse", {}), after=self.after.append)

    async def _retrieve(self, call: Call) -> Reply:
        self.calls.append(call)
        body = build("wscn:RetrieveImageResponse", {"scan_data": {"include": {"@href": "cid:p@x"}}})
        return Reply(body, pictures=[Picture("p@x", PICTURE, "image/jpeg")], after=self.after.append)

    @property
    def said(self) -> list[str]:
        """The lines of the log."""
        return [f"{entry.kind}: {entry.text}" for entry in self.log.entries]

    # -- asking --------------------------------------------------------------------------------------------------

    async def ask(self, data: bytes, method: str = "POST") -> HttpMessage:
        """Send bytes, give the answer."""
        return await self.mine.exchange(target_of(f"http://127.0.0.1:{self.port}/"), [data], method=method)

    async def soap(self, data: bytes) -> Message:
        """Send bytes, give the answer as the dissector reads it."""
        message = read_message(await self.ask(data))
        assert message is not None
        return message

    def raw(self) -> Raw:
        """A raw client."""
        return Raw(self.port)

    # -- events --------------------------------------------------------------------------------------------------

    async def sink(self) -> Sink:
        """One more sink."""
        made = Sink(self.clock)
        await made.server.listen("127.0.0.1", 0)
        self._sinks.push_async_callback(made.server.stop)
        return made

    async def subscribe(self, sink: Sink | str, *, ends: bool = True, **given: Any) -> Message:
        """Subscribe a sink to everything; the answer."""
        address = sink if isinstance(sink, str) else sink.url
        to = {"address": address, "reference_parameters": {f"{{{WSE}}}Identifier": "urn:mine", f"{{{DSP}}}Odd": "<&>"}}
        data = {"delivery": {"notify_to": to}, **({"end_to": to} if ends else {}), **given}
        return await self.soap(over_http(envelope("Subscribe", data, element="wse:Subscribe", service="WS-Eventing")))

    async def manage(self, operation: str, identifier: str, data: Any = None) -> Message:
        """Renew, GetStatus or Unsubscribe."""
        parameters: Iterable[tuple[QName, str]] = [(QName(WSE, "Identifier", "wse"), identifier)]
        xml = envelope(operation, data or {}, element=f"wse:{operation}", service="WS-Eventing", parameters=parameters)
        return await self.soap(over_http(xml, "/manager"))

    def notify(self, count: int = 1) -> None:
        """So many events, numbered on."""
        for _ in range(count):
            self._number += 1
            data = {"client_context": "c", "scan_identifier": str(self._number)}

            def body(effects: Effects, data: Any = data) -> Any:
                return build("wscn:ScanAvailableEvent", data)

            self.source.notify(Notice("WS-Scan", "ScanAvailableEvent", body))

    async def told(self, sink: Sink, *numbers: int) -> None:
        """Wait until a sink was told these."""
        await until(lambda: len(sink.told) >= len(numbers))
        assert sink.told == [str(one) for one in numbers]


def identifier_of(answer: Message) -> str:
    """Of a SubscribeResponse."""
    assert answer.body is not None
    found = answer.body.find("SubscriptionManager/ReferenceParameters/Identifier")
    assert found is not None
    return found.text


def plain_answers(message: Message) -> tuple[str, str, str]:
    """Name, MessageID that it relates to, and To."""
    assert message.envelope is not None
    addressing = message.envelope.addressing
    related = addressing.relates_to[0][1] if addressing.relates_to else ""
    return message.name, related, addressing.to or ""


ANONYMOUS = anonymous()
