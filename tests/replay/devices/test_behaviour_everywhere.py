"""Each order at each operation and event that it makes sense for: scan server, DSM device, datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dissector.base.errors import TargetUnreachable
from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import WSDP06, WSE
from replay.base.clock import ManualClock, RealClock
from replay.base.ids import Ids
from replay.behaviour.effects import Effects
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.discovery import build_probe, read_matches
from replay.devices.dsmdevice import DsmDevice, Order, Story
from replay.devices.dsmsink import MAX_JOBS
from replay.devices.emulator import Around
from replay.devices.host import Call
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.engine import EngineLimits
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.client import target_of
from replay.net.probing import every, probe_unicast
from replay.net.receiver import HttpReceiver
from replay.net.server import HttpRequest
from replay.soap.caller import action_of, read_message
from replay.soap.compose import Picture, http_request, pack
from tests.support.dsm import ALL_GOOD, PNG, SID, SPACE, names, process, serving, token_of
from tests.support.loopback import ANYWHERE, Raw, run, until

# -- the scan server's answers -------------------------------------------------------------------------------------

BY_TOKEN = ("SendImage", "EndPostScanJob", "CancelPostScanJob", "GetPostScanJobElements")
OPERATIONS = [
    *(("WS-DSP", name) for name in ("CreatePostScanJob", *BY_TOKEN)),
    *(("WS-DSC", name) for name in ("GetRepositoryElements", "GetActiveJobs", "GetJobHistory", *BY_TOKEN[2:])),
    *(("WS-Eventing", name) for name in ("Subscribe", "Renew", "GetStatus", "Unsubscribe")),
    ("WS-Transfer", "Get"),
    ("WS-MetadataExchange", "GetMetadata"),
    ("WS-Discovery", "Probe"),
]


class Asking:
    """A scan server on a clock that stands still, and its requests as bytes."""

    def __init__(self, server: ScanServer) -> None:
        self.server = server
        self.port = server.server.addresses[0].port

    def _envelope(self, service: str, name: str, parameters: Any) -> tuple[str, bytes, list[Picture]]:
        server, token, pictures = self.server, "", []
        jobs = server.engine.jobs.all_active()
        if name in BY_TOKEN:
            token = jobs[-1].token
        data: dict[str, Any] = {"job_token": token} if token else {}
        url = server.configuration_url if service == "WS-DSC" else server.processing_url
        if name == "GetPostScanJobElements":
            data |= names(service, "JobStatus")
        if name == "GetRepositoryElements":
            data = names(service, "RepositoryStatus")
        if name == "SendImage":
            description = {"document_id": len(jobs[-1].documents) + 1, "format": "png"}
            data |= {"document_description": description, "image_data": {"include": {"@href": "cid:i@x"}}}
            pictures = [Picture("i@x", PNG)]
        if name == "CreatePostScanJob":
            body: Any = process().request(SID)
        elif service in SPACE:
            body = build(f"{'dsp' if service == 'WS-DSP' else 'dsc'}:{name}Request", data)
        elif name == "Subscribe":
            to = {"address": "http://127.0.0.1:9/sink"}
            delivery = {"@mode": f"{WSE}/DeliveryModes/Push", "notify_to": to}
            # What is subscribed to never happens here: no event goes to nobody.
            wanted = [f"{SPACE['WS-DSC']}/RepositoryElementsChangeEvent"]
            url = server.configuration_url
            more = {"expires": "PT1H", "filter": wanted, "filter@dialect": f"{WSDP06}/Action"}
            body = build("wse:Subscribe", {"delivery": delivery, **more})
        elif service == "WS-Eventing":
            url, body = server.configuration_url, build(f"wse:{name}", {"expires": "PT1H"} if name == "Renew" else {})
        elif name == "GetMetadata":
            body = build("wsx:GetMetadata", {})
        elif name == "Probe":
            url, body = server.url(), build("wsd:Probe", {})
        else:
            url, body = server.url(), None
        row = f"{name}Request" if service in SPACE else name
        xml = build_envelope(
            body, action=action_of(row, service), to=url, message_id="urn:uuid:asked", reply_to=anonymous(),
            parameters=parameters,
        )  # fmt: skip
        return target_of(url).path, xml, pictures

    def request(self, service: str, name: str) -> bytes:
        """The request, such that it is granted."""
        parameters = []
        if name in ("Renew", "GetStatus", "Unsubscribe"):
            identifier = self.server.sources[1].table.all()[-1].identifier
            parameters = [(QName(WSE, "Identifier", "wse"), identifier)]
        path, xml, pictures = self._envelope(service, name, parameters)
        dress = http_request(path, "127.0.0.1", pack(xml, pictures, Ids(5)), headers=[("Connection", "close")])
        return dress.head + dress.body

    async def prepare(self) -> None:
        """A job in the state Creating, and a subscription, whatever was ordered before."""
        self.server.behaviour.clear()
        for service, name in (("WS-DSP", "CreatePostScanJob"), ("WS-Eventing", "Subscribe")):
            assert (await self.message(service, name)).fault is None

    async def raw(self, service: str, name: str) -> bytes:
        """All that comes back."""
        async with Raw(self.port) as raw:
            await raw.send(self.request(service, name))
            return await raw.rest()

    async def message(self, service: str, name: str) -> Message:
        """The answer, as the dissector reads it."""
        async with Raw(self.port) as raw:
            await raw.send(self.request(service, name))
            raw.asked()
            message = read_message(await raw.answer())
        assert message is not None
        return message

    def order(self, rule: str) -> None:
        self.server.behaviour.set_rules([parse_rule(rule)])


def with_server(tell: Callable[[Asking], Any], **more: Any) -> None:
    async def story() -> None:
        around = Around(clock=ManualClock(), seed=1, **more)
        async with ScanServer(outcomes=ALL_GOOD, around=around) as server:
            await tell(Asking(server))
            # Nobody listens at the sink: let it go without waiting for it.
            server.sources[1].table._table.clear()

    run(story())


@pytest.mark.parametrize(("service", "name"), OPERATIONS, ids=str)
def test_every_operation_of_the_scan_server_as_ordered(service: str, name: str) -> None:
    async def tell(asking: Asking) -> None:
        on = f"{service}.{name}"
        for rule, check in ANSWERS.items():
            await asking.prepare()
            asking.order(f"{on}: {rule}")
            check(await asking.raw(service, name))
            assert asking.server.behaviour.report()[0]["fired"] == 1, rule
        await asking.prepare()
        asking.order(f"{on}: reset_after=20")
        with pytest.raises(ConnectionResetError):
            await asking.raw(service, name)
        await asking.prepare()
        asking.order(f"{on}: delay=5")
        clock = asking.server.clock
        assert isinstance(clock, ManualClock)
        waiting = asyncio.create_task(asking.raw(service, name))
        await until(lambda: asking.server.behaviour.report()[0]["fired"])
        await clock.settle()
        assert not waiting.done()
        await clock.advance(5)
        assert b"HTTP/1.1 " in await waiting
        # And when nothing is ordered, it is as it should be.
        await asking.prepare()
        assert (await asking.message(service, name)).fault is None

    with_server(tell)


def _head(data: bytes) -> tuple[bytes, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def _ignored(data: bytes) -> None:
    assert data == b""


def _status(data: bytes) -> None:
    assert data.startswith(b"HTTP/1.1 503 ")
    assert _head(data)[1] == b""


def _fault(data: bytes) -> None:
    assert data.startswith(b"HTTP/1.1 500 ")
    assert b"Jammed" in data
    assert b"no paper" in data


def _closed(data: bytes) -> None:
    assert len(data) == 20


def _truncated(data: bytes) -> None:
    head, body = _head(data)
    assert len(body) == 30 < _length(head)


def _short(data: bytes) -> None:
    head, body = _head(data)
    assert _length(head) == 5 < len(body)


def _malformed(data: bytes) -> None:
    assert b"Envelope" in data
    assert not data.rstrip().endswith(b"Envelope>")


def _related(data: bytes) -> None:
    assert b"RelatesTo>urn:x:y<" in data
    assert b"urn:uuid:asked" not in data


def _unrelated(data: bytes) -> None:
    assert b"Envelope>" in data
    assert b"RelatesTo" not in data


def _reason(data: bytes) -> None:
    assert data.partition(b"\r\n")[0].endswith(b" Paper Jam")


def _both(data: bytes) -> None:
    assert data == b"HTTP/1.1 50"


ANSWERS: dict[str, Callable[[bytes], None]] = {
    "ignore": _ignored,
    "status=503": _status,
    "fault={urn:v}Jammed|Receiver|no paper": _fault,
    "close_after=20": _closed,
    "truncate=30": _truncated,
    "content_length=5": _short,
    "malformed": _malformed,
    "relates_to=urn:x:y": _related,
    "relates_to=none": _unrelated,
    "reason=Paper Jam": _reason,
    "status=503, close_after=11": _both,
}


SCANNING = ("GetScannerElements", "ValidateScanTicket", "GetJobElements", "GetActiveJobs", "GetJobHistory")


@pytest.mark.parametrize(
    ("service", "name"),
    [
        *(("WS-Scan", name) for name in (*SCANNING, "CreateScanJob", "RetrieveImage", "CancelJob")),
        *(("WS-DSD", name) for name in SCANNING), ("WS-Transfer", "Get"),
    ],
    ids=str,
)  # fmt: skip
def test_every_operation_of_the_scanner_as_ordered(service: str, name: str) -> None:
    async def story() -> None:
        async with Scanner(around=Around(seed=1, discovery=False)) as scanner:
            url = {"WS-Scan": scanner.scan_url, "WS-DSD": scanner.dsd_url}.get(service, scanner.url())
            scan = service != "WS-Transfer"
            # Most of these empty requests are refused: a fault is an answer like any other.
            body = build(f"{'wscn' if service == 'WS-Scan' else 'dsd'}:{name}Request", {}) if scan else None
            action = action_of(f"{name}Request" if scan else name, service)
            xml = build_envelope(body, action=action, to=url, message_id="urn:uuid:asked", reply_to=anonymous())
            target = target_of(url)
            dress = http_request(target.path, "x", pack(xml, [], Ids(5)), headers=[("Connection", "close")])
            for rule, check in ANSWERS.items():
                scanner.behaviour.set_rules([parse_rule(f"{service}.{name}: {rule}")])
                async with Raw(target.port) as raw:
                    await raw.send(dress.head + dress.body)
                    check(await raw.rest())
                assert scanner.behaviour.report()[0]["fired"] == 1, rule

    run(story())


@pytest.mark.parametrize("name", ["Renew", "GetStatus", "Unsubscribe"])
def test_a_subscription_expires_when_it_is_asked_about(name: str) -> None:
    async def tell(asking: Asking) -> None:
        await asking.prepare()
        asking.order(f"{name}: expire, times=1")
        gone = asking.request("WS-Eventing", name)
        async with Raw(asking.port) as raw:
            await raw.send(gone)
            answer = await raw.rest()
        assert b"InvalidMessage" in answer
        assert asking.server.sources[1].table.all() == []

    with_server(tell)


@pytest.mark.parametrize("service", ["WS-DSP", "WS-DSC"])
@pytest.mark.parametrize("order", ["unknown", "stale", "another"])
def test_another_token_in_a_status(service: str, order: str) -> None:
    async def story() -> None:
        async with serving(f"GetPostScanJobElements: token={order}, times=1", lenient=True) as dsm:
            before = await dsm.job()
            await dsm.server.job_over()
            token = await dsm.create()
            status = (await dsm.elements(token, "JobStatus", service=service))[0].find("JobStatus")
            assert status is not None
            told = str(status.get("JobToken"))
            assert told != token
            assert (told == before) is (order == "stale")
            assert order != "another" or told == order
            status = (await dsm.elements(token, "JobStatus", service=service))[0].find("JobStatus")
            assert status is not None
            assert status.get("JobToken") == token

    run(story())


# -- the scan server's events --------------------------------------------------------------------------------------

EVENTS = [
    ("WS-DSP", "PostScanJobStatusEvent"), ("WS-DSP", "PostScanJobEndStateEvent"), ("WS-DSC", "PostScanJobStatusEvent"),
    ("WS-DSC", "PostScanJobEndStateEvent"), ("WS-DSC", "RepositoryStatusSummaryEvent"),
    ("WS-DSC", "RepositoryElementsChangeEvent"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "name"), EVENTS, ids=str)
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("lost", 0), ("doubled", 2), ("malformed", 1), ("relates_to=wrong", 1), ("relates_to=urn:x:y", 1),
        ("content_length=5", 1), ("expire", 0),
    ],
)  # fmt: skip
def test_every_event_of_the_scan_server_as_ordered(service: str, name: str, rule: str, told: int) -> None:
    async def story() -> None:
        async with serving(f"{service}.{name}: {rule}, times=1", lenient=True) as dsm:
            await dsm.subscribe(service, name)
            await dsm.job()
            await dsm.server.job_over()
            dsm.server.configuration.set_filters(("email",))
            if "expire" in rule:
                # The first one was the last straw: neither it nor those after it are told.
                await dsm.drained()
                assert dsm.told["1"] == []
                assert not any(source.table.all() for source in dsm.server.sources)
                return
            if rule == "content_length=5":
                # Five bytes are no message; what follows them is no request.
                await until(lambda: dsm.told["1"])
                assert dsm.told["1"][0].name == "unreadable"
                dsm.server.sources[0]._stopping = dsm.server.sources[1]._stopping = True
                return
            await dsm.drained()
            came = dsm.told["1"]
            usual = {"PostScanJobStatusEvent": 7, "RepositoryStatusSummaryEvent": 2}.get(name, 1)
            assert len(came) == usual - 1 + told
            if rule == "doubled":
                assert len({one.message_id for one in came}) == len(came) - 1
            elif rule == "malformed":
                assert [one.rule for one in came[0].findings] == ["xml.not-well-formed"]
            elif "relates_to" in rule:
                related = [to for _, to in _addressing(came[0]).relates_to]
                assert len(related) == 1
                assert related[0] == "urn:x:y" or related[0].startswith("urn:uuid:")
                assert all(not _addressing(one).relates_to for one in came[1:])

    run(story())


def _addressing(message: Message) -> Any:
    assert message.envelope is not None
    return message.envelope.addressing


@pytest.mark.parametrize("name", ["PostScanJobStatusEvent", "PostScanJobEndStateEvent"])
@pytest.mark.parametrize("service", ["WS-DSP", "WS-DSC"])
def test_events_about_a_job_of_before(service: str, name: str) -> None:
    async def story() -> None:
        async with serving(f"{name}: token=stale, times=1", lenient=True) as dsm:
            before = await dsm.job()
            await dsm.server.job_over()
            dsm.server.behaviour.set_rules([parse_rule(f"{name}: token=stale, times=1")])
            await dsm.subscribe(service, name)
            token = await dsm.job()
            await dsm.until(lambda: dsm.told["1"])
            assert token_of(dsm.told["1"][0]) == before != token

    run(story())


@pytest.mark.parametrize(("rule", "ends"), [("lost", 0), ("doubled", 2), ("malformed", 1), ("delay=0.01", 1)])
def test_the_end_of_a_subscription_as_ordered(rule: str, ends: int) -> None:
    async def story() -> None:
        async with DsmDevice(around=Around(discovery=False)) as sink:
            around = Around(seed=1, behaviour=Behaviour([parse_rule(f"SubscriptionEnd: {rule}")]))
            async with ScanServer(outcomes=ALL_GOOD, around=around) as server:
                body = build(
                    "wse:Subscribe",
                    {
                        "end_to": {"address": sink.sink_url()},
                        "delivery": {"notify_to": {"address": sink.sink_url()}},
                    },
                )
                await sink.caller.call(
                    server.processing_url, body, action_of("Subscribe", "WS-Eventing"), name="Subscribe"
                )
            lines = [entry.text for entry in sink.log.entries if entry.kind == "received"]
            wanted = "not well-formed" if rule == "malformed" else " SubscriptionEnd"
            assert sum(wanted in line for line in lines) == ends, lines

    run(story())


def test_what_only_answers_can_do_is_said_to_do_nothing() -> None:
    async def story() -> None:
        async with serving("PostScanJobEndStateEvent: status=500, times=1") as dsm:
            await dsm.subscribe("WS-DSP", "PostScanJobEndStateEvent")
            token = await dsm.job()
            await dsm.ended(token)
            said = [entry.text for entry in dsm.server.log.entries if entry.kind == "warning"]
            assert said == ["PostScanJobEndStateEvent: status is for who answers, nothing is done here"]

    run(story())


# -- the DSM device ------------------------------------------------------------------------------------------------


def job(*rules: str, **order: Any) -> tuple[Story | TargetUnreachable, list[Message], list[str]]:
    """A job by a device with rules: how it went, what came to the server, what the device said."""

    async def story() -> Any:
        came: list[Message] = []
        around = Around(behaviour=Behaviour([parse_rule(one) for one in rules]), seed=1, discovery=False)
        async with ScanServer(outcomes=ALL_GOOD) as server, DsmDevice(pages=1, around=around) as device:
            server.host.on_request = lambda message, point: came.append(message)
            told: Story | TargetUnreachable
            try:
                told = await device.run(Order(server.url(), ScanProcess.example(), **order))
            except TargetUnreachable as error:
                told = error
            return told, came, [entry.text for entry in device.log.entries]

    found: tuple[Story | TargetUnreachable, list[Message], list[str]] = run(story())
    return found


REQUESTS = [
    ("Get", {}), ("Subscribe", {}), ("CreatePostScanJob", {}), ("SendImage", {}), ("EndPostScanJob", {}),
    ("CancelPostScanJob", {"finish": "cancel"}), ("GetPostScanJobElements", {"subscribe": False}), ("Unsubscribe", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "order"), REQUESTS, ids=str)
def test_every_request_of_the_device_as_ordered(name: str, order: dict[str, Any]) -> None:
    quiet = name == "Unsubscribe"  # the job is over: what happens to it hurts nobody
    story, came, _ = job(f"{name}: relates_to=urn:x:y, times=1", **order)
    assert isinstance(story, Story)
    assert story.failure == ""
    related = {one.decl.operation for one in came if one.decl is not None and one.relates_to}
    assert related == {name}
    for rule in ("close_after=40", "reset_after=40", "truncate=30"):
        story, came, _ = job(f"{name}: {rule}, times=1", **order)
        assert isinstance(story, Story if quiet else TargetUnreachable), rule
        assert name not in [one.decl.operation for one in came if one.decl is not None]
    story, came, said = job(f"{name}: malformed, times=1", **order)
    assert isinstance(story, Story)
    assert quiet or story.failure.startswith("Sender: The message holds no SOAP envelope that can be read")
    assert any("malformed" in line for line in said)


@pytest.mark.parametrize(
    ("rule", "failure"),
    [
        ("SendImage: boundary=bare", ""),
        ("SendImage: split_head", ""),
        ("SendImage: slow=1e7", ""),
        ("SendImage: content_length=-10", "HTTP 400|broke"),
        ("CreatePostScanJob: content_length=-10", "not well-formed"),
        ("Subscribe: content_length=3", "not well-formed"),
    ],
)
def test_requests_of_the_device_that_are_dressed_as_ordered(rule: str, failure: str) -> None:
    story, came, _ = job(rule)
    told = story.failure if isinstance(story, Story) else str(story)
    assert re.search(failure, told) if failure else told == ""
    images = [one for one in came if one.name == "SendImageRequest"]
    found = [one.rule for message in images for one in message.all_findings()]
    assert found == (["mime.no-crlf"] if "boundary" in rule else [])


def test_a_job_whose_image_is_refused_is_cancelled() -> None:
    async def story() -> None:
        rule = "SendImage: fault=OperationFailed, where.document_id=2"
        around = Around(behaviour=Behaviour([parse_rule(rule)]), seed=1)
        async with (
            ScanServer(outcomes=ALL_GOOD, around=around) as server,
            DsmDevice(pages=3, around=Around(discovery=False)) as device,
        ):
            told = await device.run(Order(server.url(), ScanProcess.example()))
            assert (told.images, told.failure.partition(":")[0]) == (1, "OperationFailed")
            assert server.jobs[0].state == "Canceled"
            assert "job cancelled: an image was refused" in told.steps

    run(story())


def test_events_are_told_of_a_job_that_failed() -> None:
    story, _, _ = job("EndPostScanJob: token=unknown")
    assert isinstance(story, Story)
    assert story.failure
    assert set(story.events) == {"PostScanJobStatusEvent"}


def test_a_wrong_token_is_sent_once_and_then_the_right_one() -> None:
    for order in ("unknown", "stale", "5b7fa4ec-7bf4-4e34-9b5e-3ba1cd1b6b9a"):
        story, _, _ = job(f"GetPostScanJobElements: token={order}, times=1", subscribe=False)
        assert isinstance(story, Story)
        assert story.failure.startswith("ClientErrorJobTokenNotFound")


def test_a_stale_token_is_that_of_the_job_before() -> None:
    async def story() -> None:
        rules = [parse_rule("EndPostScanJob: token=stale, after=1, times=1")]
        around = Around(behaviour=Behaviour(rules), seed=1, discovery=False)
        async with ScanServer(outcomes=ALL_GOOD) as server, DsmDevice(pages=1, around=around) as device:
            asked: list[str] = []
            server.host.on_request = lambda message, point: asked.append(str(message.get("JobToken")))
            first = await device.run(Order(server.url(), ScanProcess.example()))
            second = await device.run(Order(server.url(), ScanProcess.example()))
            assert first.clean
            assert second.failure.startswith("ClientErrorJobTokenNotFound")
            assert asked.count(second.job_token) == 1
            assert asked.count(first.job_token) == 3

    run(story())


@pytest.mark.parametrize(
    ("rule", "refused"),
    [("events: status=503, times=2", 2), ("PostScanJobEndStateEvent: fault=OperationFailed, times=1", 1),
     ("events: ignore, times=1", 1), ("PostScanJobStatusEvent: truncate=0, status=500, times=1", 1)],
)  # fmt: skip
def test_a_sink_that_answers_events_as_ordered(rule: str, refused: int) -> None:
    async def story() -> None:
        clock = ManualClock()
        around = Around(behaviour=Behaviour([parse_rule(rule)]), seed=1, discovery=False)
        async with (
            ScanServer(outcomes=ALL_GOOD, around=Around(clock=clock)) as server,
            DsmDevice(pages=1, around=around) as device,
        ):
            going = asyncio.create_task(device.run(Order(server.url(), ScanProcess.example())))
            while not going.done():
                await until(lambda: going.done() or any(one.at - clock.monotonic() <= 3 for one in clock._due))
                await clock.advance(1)
            assert going.result().clean
            assert sum(", try " in entry.text for entry in server.log.entries) == refused

    run(story())


def _pauses(clock: ManualClock, until_when: float) -> bool:
    """Whether somebody waits for this time."""
    return any(one.at == until_when and one.action is not None for one in clock._due)


@pytest.mark.parametrize("number", [1, 2])
def test_a_scan_that_is_cancelled_at_the_device_cancels_the_job(number: int) -> None:
    async def story() -> None:
        clock = ManualClock()
        async with (
            ScanServer(outcomes=ALL_GOOD) as server,
            DsmDevice(pages=3, around=Around(clock=clock, discovery=False)) as device,
        ):
            going = asyncio.create_task(device.run(Order(server.url(), ScanProcess.example(), pause=100)))
            for image in range(1, number + 1):
                await until(partial(_pauses, clock, 100.0 * image))
                if image < number:
                    await clock.advance(100)
            device.engine.cancel(device.engine.jobs.active()[0], at_device=True)
            await clock.advance(100)
            told = await going
            assert (told.completed_state, told.images, told.failure) == ("Canceled", number, "")

    run(story())


def test_the_events_of_others_do_not_push_out_ones_own() -> None:
    async def story() -> None:
        async with (
            ScanServer(outcomes=ALL_GOOD, limits=EngineLimits(active=1000)) as server,
            DsmDevice(pages=2, around=Around(clock=ManualClock(), discovery=False)) as device,
        ):
            going = asyncio.create_task(device.run(Order(server.url(), ScanProcess.example(), pause=100)))
            await until(lambda: any(one.at == 100.0 and one.action is not None for one in device.clock._due))
            made = [await server.processing.create(_created(server)) for _ in range(MAX_JOBS + 5)]
            for one in made:
                assert one.after is not None
                one.after(True)
            await server.sources[0].drained()
            assert len(device.sink.told) == MAX_JOBS
            await device.clock.advance(100)
            told = await going
            assert told.clean
            assert told.events[-1] == "PostScanJobEndStateEvent"
            assert len(told.events) == 9
            assert device.sink.mine == set()

    run(story())


def _created(server: ScanServer) -> Call:
    """A CreatePostScanJob that somebody else sent."""
    xml = build_envelope(process().request(SID), action=f"{SPACE['WS-DSP']}/CreatePostScanJob", to="urn:x")
    receiver = HttpReceiver(ANYWHERE, ANYWHERE)
    dress = http_request("/", "h", pack(xml, [], Ids(9)))
    (http,) = receiver.feed(dress.head + dress.body, 0)
    message = read_message(http)
    assert message is not None
    request = HttpRequest(http, ANYWHERE, ANYWHERE)
    return Call(message, request, "WS-DSP", "CreatePostScanJob", server.host.point("/x"), Effects())


def test_a_device_that_is_stopped_leaves_nothing_behind() -> None:
    async def story() -> None:
        async with (
            ScanServer(outcomes=ALL_GOOD) as server,
            DsmDevice(pages=3, around=Around(clock=ManualClock(), discovery=False)) as device,
        ):
            going = asyncio.create_task(device.run(Order(server.url(), ScanProcess.example(), pause=100)))
            await until(lambda: server.jobs and server.jobs[0].documents)
            going.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await going
            await until(lambda: server.jobs[0].over)
            assert server.jobs[0].state == "Canceled"
            assert not any(source.table.all() for source in server.sources)

    run(story())


def test_a_subscription_is_renewed_in_good_time() -> None:
    async def story() -> None:
        clock = ManualClock()
        async with (
            ScanServer(outcomes=ALL_GOOD) as server,
            DsmDevice(pages=2, around=Around(clock=clock, discovery=False)) as device,
        ):
            order = Order(server.url(), ScanProcess.example(), expires=60, pause=100)
            going = asyncio.create_task(device.run(order))

            def due(at: float) -> Callable[[], bool]:
                return lambda: any(one.at == at and one.action is not None for one in clock._due)

            def renewed(times: int) -> Callable[[], bool]:
                lines = server.log.entries
                return lambda: sum(one.text.endswith("renewed for PT1M") for one in lines) == times

            await until(due(100.0))
            for number in range(1, 4):
                await until(due(30.0 * number))
                await clock.advance(30)
                await until(renewed(number))
            await clock.advance(10)
            assert (await going).clean

    run(story())


# -- datagrams -----------------------------------------------------------------------------------------------------


def probing(*rules: str) -> list[bytes]:
    """What a scan server with these rules answers to a unicast Probe."""

    async def story() -> list[bytes]:
        around = Around(
            unicast_ports=(0,), discovery_port=0, interfaces=("127.0.0.1",), seed=1,
            behaviour=Behaviour([parse_rule(one) for one in rules]),
        )  # fmt: skip
        async with ScanServer(around=around) as server:
            assert server._sockets is not None
            port = next(end.port for end in server._sockets.endpoints if end.port)
            _, data = build_probe((), (), Ids(1))
            answers = await probe_unicast(Endpoint("127.0.0.1", port), data, RealClock(), 0.3, 1, enough=every)
        return [one for one, _ in answers]

    found: list[bytes] = run(story())
    return found


def test_the_answer_to_a_probe_as_ordered() -> None:
    message_id, _ = build_probe((), (), Ids(1))
    usual = probing()
    assert read_matches(usual[0], message_id)
    assert len(probing("Probe: doubled")) == 2 * len(usual)
    assert probing("Probe: lost") == probing("Probe: ignore") == []
    assert all(not one.rstrip().endswith(b"Envelope>") for one in probing("Probe: malformed"))
    for rule in ("wrong", "none", "urn:a&b"):
        (answer, *_) = probing(f"Probe: relates_to={rule}")
        assert not read_matches(answer, message_id)
        assert (b"RelatesTo>" in answer) is (rule != "none")
        assert (b"urn:a&amp;b" in answer) is (rule == "urn:a&b")


@pytest.mark.parametrize(("rule", "sent"), [("doubled", 2), ("lost", 0), ("malformed", 1)])
@pytest.mark.parametrize("name", ["Hello", "Bye"])
def test_hello_and_bye_as_ordered(name: str, rule: str, sent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from replay.net.udp import DiscoverySockets

    told: list[bytes] = []
    monkeypatch.setattr(DiscoverySockets, "send", lambda self, data, to: told.append(data))

    async def story(*rules: str) -> list[bytes]:
        told.clear()
        clock = ManualClock()
        around = Around(
            interfaces=("127.0.0.1",), discovery_port=0, seed=1, clock=clock,
            behaviour=Behaviour([parse_rule(one) for one in rules]),
        )  # fmt: skip
        async with ScanServer(around=around):
            await clock.settle()
            await clock.advance(10)
        return [one for one in told if f"discovery/{name}".encode() in one]

    usual = len(run(story()))
    assert usual
    came = run(story(f"{name}: {rule}"))
    assert len(came) == sent * usual
    assert all(one.rstrip().endswith(b"Envelope>") is (rule != "malformed") for one in came)


@pytest.mark.parametrize(("rule", "found"), [("Probe: lost", False), ("Probe: malformed", False), ("", True)])
def test_the_probe_of_the_device_as_ordered(rule: str, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        server_around = Around(unicast_ports=(0,), discovery_port=0, interfaces=("127.0.0.1",))
        rules = Behaviour([parse_rule(rule)] if rule else [])
        async with (
            ScanServer(outcomes=ALL_GOOD, around=server_around) as server,
            DsmDevice(around=Around(behaviour=rules, clock=ManualClock(), discovery=False)) as device,
        ):
            assert server._sockets is not None
            port = next(end.port for end in server._sockets.endpoints if end.port)
            monkeypatch.setattr("replay.devices.dsmdevice.PROBE_PORTS", (port,))
            going = asyncio.create_task(device.run(Order("127.0.0.1", ScanProcess.example())))
            clock = device.clock
            assert isinstance(clock, ManualClock)
            while not going.done() and not found:
                await clock.settle()
                await clock.advance(1)
            if found:
                assert (await going).clean
                return
            with contextlib.suppress(TargetUnreachable):
                await going
            assert isinstance(going.exception(), TargetUnreachable)
            heard = [entry.text for entry in server.log.entries if "Probe" in entry.text]
            assert heard == []

    run(story())
