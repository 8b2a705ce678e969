"""Whom a scan server serves: a device that sends post-scan jobs, a control point that watches them, over real sockets.

Whatever the server sends, answer or event, is looked at by the dissector; and what is told of each job is held against
the order that the specifications give. A test that orders the server to misbehave says ``lenient``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from lxml.etree import _Element as Element

from dissector.base.findings import Severity
from dissector.base.origin import Endpoint
from dissector.catalog import FILTER_NAMES, Field, build, check, fault, findings_of
from dissector.messages import Message
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, DSP, WSA04, WSDP06, WSE
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import other_image
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.emulator import Around
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.instructions import FilterInstructions
from replay.devices.scanserver.jobs import FINAL, may_follow
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.client import HttpClient, target_of
from replay.net.receiver import HttpReceiver
from replay.net.server import Answer, HttpRequest, HttpServer
from replay.soap.caller import Caller, Refused, Reply, read_message
from replay.soap.compose import USUAL, Picture, http_request, http_response, pack
from tests.support.loopback import ANYWHERE, PATIENCE

SPACE = {"WS-DSP": DSP, "WS-DSC": DSC}
PREFIX = {"WS-DSP": "dsp", "WS-DSC": "dsc"}
SID = "S-1-5-21-1004336348-1177238915-682003330-1109"
USER = "anna@example.com"
PNG = other_image(b"", "png")
GOOD = Outcome("CompletedSuccessfully")
ALL_GOOD = {"fileshare": GOOD, "email": GOOD, "sharepoint": GOOD}


def problems(message: Message) -> list[str]:
    """What the dissector has against a message, notes left out."""
    found = message.all_findings()
    if message.body is not None:
        found = [*found, *check(message.body), *findings_of(message.body)]
    return [f"{message.name}: {one}" for one in found if one.severity in (Severity.ERROR, Severity.WARN)]


def process(*filters: FilterInstructions, **more: Any) -> ScanProcess:
    """A scan process with these filters, one file share by default."""
    return ScanProcess.example(filters=filters or None, **more)


def names(service: str, *wanted: str) -> dict[str, Any]:
    """RequestedElements; a name without namespace, as ``{urn:x}a``, is the service's own."""
    found = []
    for one in wanted:
        space, _, local = one[1:].rpartition("}") if one.startswith("{") else (SPACE[service], "", one)
        found.append(QName(space, local, "x" if space not in (DSP, DSC) else ""))
    return {"requested_elements": {"name": found}}


class Dsm:
    """The client; use it with ``async with``.

    Attributes:
        told: sink (``1``, ``2`` … in the order of the subscriptions) → the events that came there.
        services: sink → service that it subscribed to.
    """

    def __init__(self, server: ScanServer, *, lenient: bool = False) -> None:
        clock = RealClock()
        log = Log(clock)
        self.server = server
        self.lenient = lenient
        self.told: dict[str, list[Message]] = {}
        self.services: dict[str, str] = {}
        self.broken: list[str] = []
        self.http = HttpClient(clock=clock)
        self.caller = Caller(self.http, clock=clock, ids=Ids(2), log=log)
        self._sink = HttpServer(self._take, clock=clock, log=log)
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Dsm:
        await self._sink.listen("127.0.0.1", 0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            await self.drained()
        await self.http.close()
        await self._sink.stop()
        if kind is None:
            assert self.broken == []
            for sink in self.told:
                self.check_order(sink)

    # -- asking --------------------------------------------------------------------------------------------------

    def url(self, service: str) -> str:
        """Where a service is."""
        return self.server.processing_url if service == "WS-DSP" else self.server.configuration_url

    async def send(
        self, name: str, data: Any = None, *, service: str = "WS-DSP", url: str = "", body: Element | None = None,
        action: str = "", **more: Any,
    ) -> Reply:  # fmt: skip
        """One request, whatever is answered.

        Args:
            name: of the operation.
            data: plain form of its body.
            body: element in place of ``data``.
            action: default that of the operation.
        """
        if body is None:
            body = build(f"{PREFIX[service]}:{name}Request", {} if data is None else data)
        action = action or f"{SPACE[service]}/{name}"
        reply = await self.caller.call(url or self.url(service), body, action, name=name, **more)
        if reply.message is not None and not self.lenient:
            self.broken += problems(reply.message)
        return reply

    async def ask(self, name: str, data: Any = None, **more: Any) -> Message:
        """One request that is to be granted.

        Raises:
            Refused: it is not.
        """
        message = (await self.send(name, data, **more)).accepted()
        assert message is not None
        assert (message.name, message.status) == (f"{name}Response", 200)
        return message

    async def refused(self, name: str, data: Any = None, **more: Any) -> Refused:
        """One request that is to be refused with a fault; gives it."""
        try:
            message = await self.ask(name, data, **more)
        except Refused as refusal:
            judge_fault(refusal)
            return refusal
        raise AssertionError(f"{message.name} came, a fault was expected")

    async def create(self, of: ScanProcess | None = None) -> str:
        """CreatePostScanJob; gives the token."""
        message = await self.ask("CreatePostScanJob", body=(of or process()).request(SID))
        return str(message.get("JobToken"))

    def image(
        self, token: str, number: Any = 1, data: bytes = PNG, *, format: str = "png", include: str = "image@test",
        part: str = "image@test",
    ) -> dict[str, Any]:  # fmt: skip
        """What :meth:`ask` and :meth:`refused` need for SendImage; ``part`` is "" for none."""
        description = {"document_id": number, "format": format}
        return {
            "name": "SendImage",
            "data": {
                "job_token": token, "document_description": description,
                "image_data": {"include": {"@href": f"cid:{include}"}},
            },
            "pictures": [Picture(part, data)] if part else [],
        }  # fmt: skip

    async def send_image(self, token: str, number: int = 1, data: bytes = PNG, **more: Any) -> Message:
        """SendImage that is to be granted."""
        return await self.ask(**self.image(token, number, data, **more))

    async def end(self, token: str) -> Message:
        """EndPostScanJob."""
        return await self.ask("EndPostScanJob", {"job_token": token})

    async def cancel(self, token: str, service: str = "WS-DSP") -> Message:
        """CancelPostScanJob."""
        return await self.ask("CancelPostScanJob", {"job_token": token}, service=service)

    async def job(self, of: ScanProcess | None = None, images: int = 1) -> str:
        """A whole job up to EndPostScanJob; gives the token."""
        token = await self.create(of)
        for number in range(1, images + 1):
            await self.send_image(token, number)
        await self.end(token)
        return token

    async def elements(self, token: str, *wanted: str, service: str = "WS-DSP") -> list[Field]:
        """The ElementData of GetPostScanJobElements."""
        data = {"job_token": token, **names(service, *wanted)}
        message = await self.ask("GetPostScanJobElements", data, service=service)
        assert message.body is not None
        return message.body.find_all("JobElements/ElementData")

    async def state(self, token: str, service: str = "WS-DSP") -> tuple[str, str]:
        """JobState and its first reason, as the server says now."""
        status = (await self.elements(token, "JobStatus", service=service))[0].find("JobStatus")
        assert status is not None
        return str(status.get("JobState")), status.find_all("JobStateReasons/JobStateReason")[0].text

    # -- being told ----------------------------------------------------------------------------------------------

    async def subscribe(self, service: str = "WS-DSP", *events: str) -> str:
        """Subscribe to events, all by default; gives the name of the sink."""
        sink = str(len(self.told) + 1)
        self.told[sink], self.services[sink] = [], service
        address = {"address": f"http://{self._sink.addresses[0]}/{sink}"}
        data: dict[str, Any] = {
            "delivery": {"@mode": f"{WSE}/DeliveryModes/Push", "notify_to": address},
            "expires": "PT1H",
        }
        if events:
            data["filter"] = [f"{SPACE[service]}/{one}" for one in events]
            data["filter@dialect"] = f"{WSDP06}/Action"
        await self.ask("Subscribe", body=build("wse:Subscribe", data), action=f"{WSE}/Subscribe", url=self.url(service))
        return sink

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as a condition on what was told holds."""
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: bool(condition()))
        except TimeoutError:
            raise AssertionError(f"only this was told: { ({one: self.story(one) for one in self.told}) }") from None

    async def ended(self, token: str, sink: str = "1") -> Message:
        """The end event of a job, as soon as it is there."""
        await self.until(lambda: self.ends(token, sink))
        return self.ends(token, sink)[0]

    def ends(self, token: str, sink: str = "1") -> list[Message]:
        """The end events of a job that came to a sink."""
        told = [one for one in self.told[sink] if one.name == "PostScanJobEndStateEvent"]
        return [one for one in told if one.get("PostScanJobEndState/JobToken") == token]

    async def drained(self) -> None:
        """Return when the server has delivered all that it had to tell."""
        async with asyncio.timeout(PATIENCE):
            for source in self.server.sources:
                await source.drained()

    def story(self, sink: str = "1", token: str = "") -> list[str]:
        """What came to a sink, one line each: state and images, filters by their first letters, and how it ended."""
        return [_line(one) for one in self.told[sink] if not token or token_of(one) == token]

    def check_order(self, sink: str) -> None:
        """What a sink was told of each job: states that may follow each other, then one end event, and nothing more."""
        service = self.services[sink]
        for one in self.told[sink]:
            known = one.service == service or (self.lenient and one.name == "unreadable")
            assert known, f"{one.name} of {one.service} came to a subscriber of {service}"
        if self.lenient:
            return
        for token in {token_of(one) for one in self.told[sink]} - {""}:
            told = [one for one in self.told[sink] if token_of(one) == token]
            last, images = "Creating", 0
            for one in told:
                if one.name == "PostScanJobStatusEvent":
                    state, count = one.get("JobStatus/JobState"), one.get("JobStatus/ImagesReceived")
                    assert state == last or may_follow(last, state) or state not in FINAL | _KNOWN, (last, state)
                    assert count >= images
                    last, images = state, count
            ends = [place for place, one in enumerate(told, 1) if one.name == "PostScanJobEndStateEvent"]
            assert ends in ([], [len(told)]), self.story(sink, token)
            if ends and len(told) > 1:
                assert told[-1].get("PostScanJobEndState/JobCompletedState") == last
                assert told[-1].get("PostScanJobEndState/ImagesReceived") == images

    async def _take(self, request: HttpRequest) -> Answer:
        message = read_message(request.http)
        sink = request.path.strip("/")
        if message is None:
            self.broken.append("an event without SOAP")
        else:
            if not self.lenient:
                self.broken += problems(message)
            if message.name != "SubscriptionEnd":
                async with self._news:
                    self.told[sink].append(message)
                    self._news.notify_all()
        return Answer(http_response(202, None, USUAL).pieces)


_KNOWN = frozenset({"Creating", "Pending", "Started", "Processing", "Terminating"})


@contextlib.asynccontextmanager
async def serving(
    *rules: str, clock: Clock | None = None, pcap: Path | None = None, lenient: bool = False, **more: Any
) -> AsyncIterator[Dsm]:
    """A scan server on loopback and its client.

    Args:
        rules: of behaviour, as on the command line.
        more: for :class:`ScanServer`; outcomes are good ones by default.
    """
    more.setdefault("users", {SID: USER})
    if "places" not in more:
        more.setdefault("outcomes", ALL_GOOD)
    behaviour = Behaviour([parse_rule(one) for one in rules], seed=1)
    with contextlib.ExitStack() as files:
        capture = files.enter_context(pcap.open("wb")) if pcap is not None else None
        around = Around(clock=clock, seed=1, pcap=capture, behaviour=behaviour)
        async with ScanServer(around=around, **more) as server, Dsm(server, lenient=lenient) as dsm:
            yield dsm


async def call_from(
    address: str, url: str, name: str, data: Any, service: str = "WS-DSP", pictures: Sequence[Picture] = ()
) -> Message:
    """One request of a service from another address of loopback; gives the answer."""
    target = target_of(url)
    envelope = build_envelope(
        build(f"{PREFIX[service]}:{name}Request", data), action=f"{SPACE[service]}/{name}", to=url,
        message_id="urn:uuid:1", reply_to=anonymous(),
    )  # fmt: skip
    packed = pack(envelope, pictures, Ids(3))
    dress = http_request(target.path, target.authority, packed, headers=[("Connection", "close")])
    reader, writer = await asyncio.open_connection(target.host, target.port, local_addr=(address, 0))
    try:
        for piece in dress.pieces:
            writer.write(piece)
        receiver = HttpReceiver(Endpoint(target.host, target.port), ANYWHERE, responses=True)
        receiver.asked()
        async with asyncio.timeout(PATIENCE):
            came = [*receiver.feed(await reader.read(-1), 0), *receiver.end()]
    finally:
        writer.close()
        await writer.wait_closed()
    message = read_message(came[0])
    assert message is not None
    assert problems(message) == []
    return message


def judge_fault(refusal: Refused) -> None:
    """A fault is dressed as the specifications say: action, relation, code of the subcode."""
    message = refusal.message
    assert message is not None
    assert message.fault is not None
    assert message.action == f"{WSA04}/fault"
    assert message.relates_to
    assert refusal.reason
    row = fault(refusal.name)
    assert row is not None
    assert message.fault.code == row.code
    assert refusal.status in ({"Sender": (400, 403), "Receiver": (500, 403)}[row.code])


def argument(refusal: Refused) -> str:
    """What the Detail of a fault holds, as text."""
    assert refusal.message is not None
    assert refusal.message.fault is not None
    detail = refusal.message.fault.detail
    return "".join(map(str, detail.itertext())).strip() if detail is not None else ""


def token_of(message: Message) -> str:
    """The JobToken of an event, "" where it is about the repository."""
    return str(message.get("JobStatus/JobToken") or message.get("PostScanJobEndState/JobToken") or "")


def filters_of(parent: Field, holder: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """(kind, FilterState, reasons) of FilterStatuses or FilterCompletedStatuses."""
    found = []
    for one in parent.find_all(f"{holder}/FilterStatus"):
        dialect = str(one.get("Dialect"))
        reasons = tuple(reason.text for reason in one.find_all("FilterStateReasons/FilterStateReason"))
        found.append((FILTER_NAMES.get(dialect, dialect), str(one.get("FilterState")), reasons))
    return found


def end_of(message: Message) -> tuple[str, list[str], list[str]]:
    """JobCompletedState, its reasons, and ``kind FilterState reasons…`` of an end event."""
    assert message.body is not None
    end = message.body.find("PostScanJobEndState")
    assert end is not None
    reasons = [one.text for one in end.find_all("JobCompletedStateReasons/JobStateReason")]
    filters = [" ".join((kind, state, *why)) for kind, state, why in filters_of(end, "FilterCompletedStatuses")]
    return str(end.get("JobCompletedState")), reasons, filters


def _line(message: Message) -> str:
    if message.name == "PostScanJobEndStateEvent":
        return f"end {end_of(message)[0]}"
    if message.name == "PostScanJobStatusEvent":
        assert message.body is not None
        status = message.body.find("JobStatus")
        assert status is not None
        filters = " ".join(f"{kind}={state}" for kind, state, _ in filters_of(status, "FilterStatuses"))
        return f"{status.get('JobState')} {status.get('ImagesReceived')} {filters}"
    if message.name == "RepositoryStatusSummaryEvent":
        return f"repository {message.get('StatusSummary/RepositoryState')}"
    return message.name
