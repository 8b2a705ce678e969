"""A client of an emulated scanner: asks, subscribes, keeps what it is told, and finds fault with whatever the dissector
finds fault with."""

from __future__ import annotations

import asyncio
import contextlib
import io
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.etree import _Element as Element
from PIL import Image

from dissector.base.findings import Severity
from dissector.catalog import build, check
from dissector.catalog import fault as catalogue_fault
from dissector.messages import Message
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import DSD, WSA04, WSCN, WSDP06, WSE
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.devices.emulator import Around
from replay.devices.scanner.device import Device
from replay.devices.scanner.scanner import Scanner
from replay.net.client import HttpClient, target_of
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.soap.caller import Caller, Refused, Reply, read_message
from replay.soap.compose import Packed, Style, http_request, http_response

PATIENCE = 60.0
"""Seconds that a test waits for an event before it fails."""

TOP = (0, 0, 4200, 1000)
"""The part of a test page that holds its mark: 315 x 75 pixels at 75 dpi."""

PREFIX = {"WS-Scan": "wscn", "WS-DSD": "dsd", "WS-Eventing": "wse"}


def problems(message: Message) -> list[str]:
    """What the dissector has against a message, notes left out."""
    all_of_them = message.all_findings() + (check(message.body) if message.body is not None else [])
    return [str(one) for one in all_of_them if one.severity in (Severity.ERROR, Severity.WARN)]


def found(message: Message, path: str) -> int:
    """How many elements there are by a path."""
    return len(message.body.find_all(path)) if message.body is not None else 0


def ticket(
    source: str = "Platen", *, format: str = "png", color: str = "Grayscale8", resolution: int = 75,
    images: int | None = None, region: tuple[int, int, int, int] = TOP, name: str = "Test", honor: Sequence[str] = (),
    **parameters: Any,
) -> dict[str, Any]:  # fmt: skip
    """The plain form of a ScanTicket for a small picture; ``honor``: parameters with MustHonor."""
    side: dict[str, Any] = {
        "scan_region": {
            "scan_region_x_offset": region[0], "scan_region_y_offset": region[1],
            "scan_region_width": region[2], "scan_region_height": region[3],
        },
        "color_processing": color,
        "resolution": {"width": resolution, "height": resolution},
    }  # fmt: skip
    made = {
        "format": format, "input_source": source, "images_to_transfer": images,
        "media_sides": {"media_front": side, **({"media_back": side} if source == "ADFDuplex" else {})}, **parameters,
    }  # fmt: skip
    made = {key: value for key, value in made.items() if value is not None}
    for one in honor:
        if one == "color_processing":
            side["color_processing@must_honor"] = True
        else:
            made[f"{one}@must_honor"] = True
    description = {"job_name": name, "job_originating_user_name": "EXAMPLE\\user"}
    return {"job_description": description, "document_parameters": made}


class ScanClient:
    """The client; use it with ``async with``.

    Attributes:
        told: the events that came, in order.
        ends: the SubscriptionEnd messages that came.
        lenient: take answers that the dissector finds fault with (made so by rules of behaviour).
        broken: what the dissector had against the events; looked at when the client ends.
    """

    def __init__(self, scanner: Scanner) -> None:
        clock = RealClock()
        log = Log(clock)
        self.scanner = scanner
        self.told: list[Message] = []
        self.ends: list[Message] = []
        self.lenient = False
        self.broken: list[str] = []
        self.http: HttpClient = HttpClient(clock=clock)
        self.caller = Caller(self.http, clock=clock, ids=Ids(1), log=log)
        self._sink = HttpServer(self._take, clock=clock, log=log)
        self._news = asyncio.Condition()

    async def __aenter__(self) -> ScanClient:
        await self._sink.listen("127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        await self.http.close()
        await self._sink.stop()
        if kind is None:
            assert self.broken == []

    # -- asking --------------------------------------------------------------------------------------------------

    def url(self, service: str) -> str:
        """Where a service is."""
        return self.scanner.dsd_url if service == "WS-DSD" else self.scanner.scan_url

    async def send(
        self, name: str, data: Any = None, *, service: str = "WS-Scan", url: str = "", body: Element | None = None,
        action: str = "", **more: Any,
    ) -> Reply:  # fmt: skip
        """One request of a service, whatever is answered.

        Args:
            name: of the operation.
            data: plain form of its body.
            url: default that of the service.
            body: element in place of ``data``.
            action: default the service's namespace and the name.
        """
        if body is None:
            body = build(f"{PREFIX[service]}:{name}Request", {} if data is None else data)
        action = action or f"{DSD if service == 'WS-DSD' else WSCN}/{name}"
        reply = await self.caller.call(url or self.url(service), body, action, name=name, **more)
        if reply.message is not None and not self.lenient:
            assert problems(reply.message) == []
        return reply

    async def ask(self, name: str, data: Any = None, **more: Any) -> Message:
        """One request that is to be granted.

        Raises:
            Refused: it is not.
        """
        message = (await self.send(name, data, **more)).accepted()
        assert message is not None
        assert message.name == f"{name}Response"
        assert message.status == 200
        return message

    async def refused(self, name: str, data: Any = None, **more: Any) -> Refused:
        """One request that is to be refused; gives the refusal."""
        try:
            message = await self.ask(name, data, **more)
        except Refused as refusal:
            fault = refusal.message
            assert fault is not None
            assert fault.action == f"{WSA04}/fault"  # rule F01
            assert fault.relates_to
            assert fault.attachments == []  # rule M05
            decl = catalogue_fault(refusal.name)
            assert fault.fault is not None
            assert decl is None or fault.fault.code == decl.code  # rule F02
            return refusal
        raise AssertionError(f"{message.name} came, a fault was expected")

    async def create(self, given: Mapping[str, Any] | None = None, **more: Any) -> Message:
        """CreateScanJob with a ticket, that of :func:`ticket` by default."""
        return await self.ask("CreateScanJob", {"scan_ticket": given or ticket(), **more})

    async def retrieve(self, job: Message, **more: Any) -> Message:
        """RetrieveImage for the answer to CreateScanJob."""
        return await self.ask("RetrieveImage", image_request(job), **more)

    async def picture(self, job: Message) -> Image.Image:
        """The next picture of a job, loaded."""
        return opened(await self.retrieve(job))

    async def to_the_end(self, job: Message) -> list[Image.Image]:
        """All pictures of a job, until the scanner says that there are no more."""
        pictures: list[Image.Image] = []
        while True:
            reply = await self.send("RetrieveImage", image_request(job))
            if reply.message is not None and reply.message.fault is not None:
                assert reply.message.fault.subcode == "ClientErrorNoImagesAvailable"
                return pictures
            message = reply.accepted()
            assert message is not None
            pictures.append(opened(message))

    async def status(self, job: Message) -> tuple[str, list[str], int]:
        """JobState, JobStateReasons and ScansCompleted of a job."""
        data = {"job_id": job.get("JobId"), "requested_elements": {"name": [QName(WSCN, "JobStatus", "wscn")]}}
        answer = await self.ask("GetJobElements", data)
        assert answer.body is not None
        status = answer.body.find("JobElements/ElementData/JobStatus")
        assert status is not None
        reasons = [one.text for one in status.find_all("JobStateReasons/JobStateReason")]
        return str(status.get("JobState")), reasons, int(status.get("ScansCompleted"))

    # -- being told ----------------------------------------------------------------------------------------------

    @property
    def sink(self) -> str:
        """Where events come."""
        return f"http://{self._sink.addresses[0]}/sink"

    async def subscribe(
        self, *events: str, service: str = "WS-Scan", destinations: Mapping[str, str] | None = None,
        expires: str = "PT1H", parameters: Mapping[str, str] | None = None,
    ) -> Message:  # fmt: skip
        """Subscribe to events, all by default.

        Args:
            destinations: ClientContext → ClientDisplayName.
            parameters: reference parameters of the sink, ``{namespace}name`` → text.
        """
        address = {"address": self.sink, **({"reference_parameters": parameters} if parameters else {})}
        data: dict[str, Any] = {
            "end_to": {"address": self.sink},
            "delivery": {"@mode": f"{WSE}/DeliveryModes/Push", "notify_to": address},
            "expires": expires,
        }
        if events:
            data["filter"] = [f"{WSCN}/{one}" for one in events]
            data["filter@dialect"] = f"{WSDP06}/Action"
        if destinations:
            data["scan_destinations"] = {
                "scan_destination": [
                    {"client_display_name": name, "client_context": context} for context, name in destinations.items()
                ]
            }
        return await self.ask(
            "Subscribe", url=self.url(service), body=build("wse:Subscribe", data), action=f"{WSE}/Subscribe"
        )

    async def until(self, condition: Callable[[list[Message]], bool]) -> list[Message]:
        """The events, as soon as a condition holds for them."""
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: condition(self.told))
        except TimeoutError:
            raise AssertionError(f"only these events came: {self.names()}") from None
        return self.told

    async def event(self, name: str, count: int = 1) -> Message:
        """The event of a name, the ``count``-th of them, as soon as it is there."""

        def there(told: list[Message]) -> bool:
            return sum(one.name == name for one in told) >= count

        await self.until(there)
        return [one for one in self.told if one.name == name][count - 1]

    async def drained(self) -> None:
        """Return when the scanner has delivered all that it had to tell."""
        async with asyncio.timeout(PATIENCE):
            for source in self.scanner.sources:
                await source.drained()

    def names(self) -> list[str]:
        """The names of the events, in order."""
        return [one.name for one in self.told]

    def states(self) -> list[str]:
        """The story of the jobs as the events told it: JobState with ScansCompleted, and the end."""
        story = []
        for one in self.told:
            if one.name == "JobStatusEvent":
                story.append(f"{one.get('JobStatus/JobState')} {one.get('JobStatus/ScansCompleted')}")
            elif one.name == "JobEndStateEvent":
                story.append(f"end: {one.get('JobEndState/JobCompletedState')}")
        return story

    async def _take(self, request: HttpRequest) -> Answer:
        message = read_message(request.http)
        if message is None:
            self.broken.append("an event without SOAP")
        else:
            self.broken += problems(message)
            async with self._news:
                (self.ends if message.name == "SubscriptionEnd" else self.told).append(message)
                self._news.notify_all()
        return Answer(http_response(202, None, Style()).pieces)


@contextlib.asynccontextmanager
async def scanning(
    device: Device | str = "default", pages: Any = 1, *, clock: Clock | None = None, pcap: Path | None = None,
    **more: Any,
) -> AsyncIterator[tuple[Scanner, ScanClient]]:  # fmt: skip
    """A scanner on loopback and its client. ``more``: ``behaviour`` for around, the rest for :class:`Scanner`."""
    with contextlib.ExitStack() as files:
        capture = files.enter_context(pcap.open("wb")) if pcap is not None else None
        kept = {key: more.pop(key) for key in ("behaviour",) if key in more}
        around = Around(clock=clock, seed=7, pcap=capture, **kept)
        scanner = Scanner(device, pages, around=around, **more)
        # The client outlives the scanner, so that it is told of the end.
        async with ScanClient(scanner) as client, scanner:
            yield scanner, client


def image_request(job: Message, token: str | None = None, name: str = "page") -> dict[str, Any]:
    """The plain form of a RetrieveImageRequest."""
    return {
        "job_id": job.get("JobId"),
        "job_token": token if token is not None else job.get("JobToken"),
        "document_description": {"document_name": name},
    }


def image_bytes(answer: Message) -> bytes:
    """The one image of a RetrieveImageResponse."""
    assert [one.element for one in answer.attachments] == ["ScanData"], answer.attachments
    return bytes(answer.attachments[0].content.data())


def opened(answer: Message) -> Image.Image:
    """The one image of a RetrieveImageResponse, loaded."""
    image = Image.open(io.BytesIO(image_bytes(answer)))
    image.load()
    return image


def element(xml: str) -> Element:
    """An element out of XML, ``w`` and ``d`` being the prefixes of WS-Scan and WS-DSD."""
    return etree.fromstring(f'<x xmlns:w="{WSCN}" xmlns:d="{DSD}">{xml}</x>')[0]


def soap(body: Element, name: str) -> bytes:
    """A request of WS-Scan as XML."""
    return build_envelope(body, action=f"{WSCN}/{name}", message_id="urn:uuid:1", reply_to=anonymous())


async def connected(url: str, envelope: bytes, *, close: bool = True) -> tuple[StreamReader, StreamWriter]:
    """A connection of its own on which a request was sent; the answer is to be read.

    Args:
        close: ask for the connection to be closed after the answer, so that it can be read to its end.
    """
    target = target_of(url)
    reader, writer = await asyncio.open_connection(target.host, target.port)
    headers = [("Connection", "close")] if close else []
    packed = Packed("application/soap+xml; charset=utf-8", envelope, envelope)
    for piece in http_request(target.path, target.authority, packed, headers=headers).pieces:
        writer.write(piece)
    await writer.drain()
    return reader, writer


async def on_the_wire(url: str, envelope: bytes) -> bytes:
    """The answer to a request, byte for byte."""
    reader, writer = await connected(url, envelope)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
