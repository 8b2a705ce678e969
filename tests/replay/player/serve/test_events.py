"""Recorded events: to whom, where in the story, how fast, and when no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.soap.namespaces import DSP, WSCN
from replay.base.clock import ManualClock
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.emulator import Around
from replay.devices.scanserver.processes import ScanProcess
from replay.player.serve import Served, VirtualDevice
from replay.player.serve.subscriber import Allowed
from tests.support.loopback import run as bounded
from tests.support.loopback import until
from tests.support.serving import Client, identifier_of, scenario_folder

PUSHED = f"{WSCN}/ScanAvailableEvent"
ENDED = f"{WSCN}/JobEndStateEvent"


@pytest.fixture(scope="module")
def push(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subscribe; ScanAvailableEvent 22 ms later; CreateScanJob, RetrieveImage; JobEndStateEvent."""
    return scenario_folder("scan-push.pcapng", tmp_path_factory.mktemp("push"))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subscribe, CreatePostScanJob, an event, three images, the end, three events."""
    return scenario_folder("dsm-completed.pcapng", tmp_path_factory.mktemp("job"))


def serve(
    folder: Path, story: Callable[[VirtualDevice, Client], Awaitable[Any]], *, rules: tuple[str, ...] = (),
    **served: Any,
) -> VirtualDevice:  # fmt: skip
    """A client talks to a virtual device."""

    async def run() -> VirtualDevice:
        around = Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]))
        async with VirtualDevice(folder, Served(**served), around=around) as device, Client(device.url()) as client:
            await story(device, client)
            await until(lambda: device.delivery.idle)
        return device

    device: VirtualDevice = bounded(run())
    return device


def test_an_event_goes_to_the_subscriber_with_its_own_parameters(push: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        await client.subscribe(parameters={"{urn:x}Mine": "4711 & more"})
        await client.until(1)
        (event,) = client.events
        assert event.http is not None
        assert event.http.target == "/sink"
        assert event.http.header("Host") == client.sink.removeprefix("http://").removesuffix("/sink")
        assert event.to == client.sink
        assert event.envelope is not None
        assert [(one.local, text) for one, text in event.envelope.addressing.parameters] == [("Mine", "4711 & more")]

    device = serve(push, story)
    assert device.tally.sent == 1


def test_a_subscriber_like_the_recorded_one_gets_the_recorded_bytes(job: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        url = device.url_of("server")
        await client.subscribe(parameters={"{http://schemas.xmlsoap.org/ws/2004/08/eventing}Identifier": "urn:uuid:1"})
        await client.ask("CreatePostScanJobRequest", "WS-DSP", ScanProcess.example().request("S-1-5"), url=url)
        await client.until(1)
        (event,) = client.events
        step = next(one for one in device.scenario.steps if one.event)
        recorded = device.story.message(step)
        assert recorded is not None
        assert recorded.envelope is not None
        assert event.envelope is not None
        # Written as recorded: the same prefixes, the same order, the same blanks.
        tags = [text.split(b">")[0] for text in event.envelope.xml.split(b"<")]
        assert tags == [text.split(b">")[0] for text in recorded.envelope.xml.split(b"<")]
        assert event.envelope.addressing.parameters[0][1] == "urn:uuid:1"

    serve(job, story)


def test_a_push_scan_of_a_client_with_a_destination_of_its_own(push: Path) -> None:
    """As an airscand does it: it registers a destination, is told of a scan, and fetches it with what it was told."""

    async def story(device: VirtualDevice, client: Client) -> None:
        answer = await client.subscribe(destinations={"my-own-context": "My PC"})
        assert answer.get("DestinationResponses/DestinationResponse/ClientContext") == "my-own-context"
        await client.until(1)
        (told,) = client.events
        assert told.get("ClientContext") == "my-own-context"
        ticket = {"job_description": {"job_name": "x", "job_originating_user_name": "y"}}
        asked = {
            "scan_identifier": told.get("ScanIdentifier"),
            "destination_token": answer.get("DestinationResponses/DestinationResponse/DestinationToken"),
            "scan_ticket": ticket,
        }
        job = (
            await client.ask("CreateScanJobRequest", "WS-Scan", build("wscn:CreateScanJobRequest", asked))
        ).accepted()
        assert job is not None
        page = {"job_id": job.get("JobId"), "job_token": job.get("JobToken")}
        got = (await client.ask("RetrieveImageRequest", "WS-Scan", build("wscn:RetrieveImageRequest", page))).accepted()
        assert got is not None
        wire = device.scenario.steps[3].answer
        assert wire is not None
        (image,) = [part.file for part in wire.parts if part.file]
        assert got.attachments[0].content.data() == (push / image).read_bytes()
        assert await client.until(2) == ["ScanAvailableEvent", "JobEndStateEvent"]
        assert client.events[1].get("JobEndState/JobId") == job.get("JobId")
        wrong = {**asked, "scan_identifier": "another"}
        refused = await client.ask("CreateScanJobRequest", "WS-Scan", build("wscn:CreateScanJobRequest", wrong))
        assert refused.message is not None
        assert refused.message.fault is not None
        assert refused.message.fault.subcode == "ClientErrorInvalidScanIdentifier"

    serve(push, story)


@pytest.mark.parametrize(
    ("actions", "told"), [((), 1), ((PUSHED,), 1), ((WSCN,), 1), ((ENDED,), 0), ((f"{DSP}/X",), 0)]
)
def test_a_filter_lets_through_what_it_covers(push: Path, actions: tuple[str, ...], told: int) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        await client.subscribe(*actions)
        await until(lambda: 2 in device.delivery.lined and device.delivery.idle)
        assert len(client.events) == told

    serve(push, story)


def test_nobody_is_told_who_did_not_subscribe(job: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        await client.ask("CreatePostScanJobRequest", "WS-DSP", ScanProcess.example().request("S-1-5"))
        await until(lambda: device.delivery.lined and device.delivery.idle)
        assert client.told == []

    device = serve(job, story)
    assert device.tally.failed == []
    assert any("nobody subscribed" in one.text for one in device.log.entries)


def test_an_unsubscribed_client_is_told_no_more(push: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        answer = await client.subscribe()
        await client.until(1)
        # The recording has no Unsubscribe: it is refused, and heeded.
        reply = await client.unsubscribe(identifier_of(answer))
        assert reply.message is not None
        assert reply.message.fault is not None
        assert reply.message.fault.subcode == "ActionNotSupported"
        ticket = {"scan_ticket": {"job_description": {"job_name": "x", "job_originating_user_name": "y"}}}
        created = await client.ask("CreateScanJobRequest", "WS-Scan", build("wscn:CreateScanJobRequest", ticket))
        job = created.accepted()
        assert job is not None
        asked = {"job_id": job.get("JobId"), "job_token": job.get("JobToken")}
        await client.ask("RetrieveImageRequest", "WS-Scan", build("wscn:RetrieveImageRequest", asked))
        await until(lambda: not device.unsent() and device.delivery.idle)
        assert client.told == ["ScanAvailableEvent"]

    serve(push, story)


def test_a_sink_elsewhere_is_not_sent_to(push: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        await client.subscribe(sink="http://192.0.2.99:80/sink")
        await until(lambda: device.tally.failed)

    device = serve(push, story)
    ((name, why),) = device.tally.failed
    assert name == "ScanAvailableEvent"
    assert why == "192.0.2.99 is not the subscriber's own host (127.0.0.1); --allow 192.0.2.99 lets events go there"


@pytest.mark.parametrize(
    ("url", "peer", "allow", "host"),
    [
        ("http://192.0.2.5:80/s", "192.0.2.5", (), "192.0.2.5"),
        ("http://[::ffff:192.0.2.5]/s", "192.0.2.5", (), "::ffff:192.0.2.5"),
        ("http://[2001:db8::5]/s", "2001:db8:0:0::5", (), "2001:db8::5"),
        ("http://[fe80::5%25eth0]/s", "fe80::5", (), "fe80::5%eth0"),
        ("http://pc.example.test/s", "192.0.2.7", (), "192.0.2.7"),
        ("http://pc.example.test/s", "192.0.2.8", (), None),
        ("http://192.0.2.6/s", "192.0.2.5", (), None),
        ("http://192.0.2.6/s", "192.0.2.5", ("192.0.2.6",), "192.0.2.6"),
        ("http://192.0.2.6/s", "192.0.2.5", ("192.0.2.0/24",), "192.0.2.6"),
        ("http://192.0.3.6/s", "192.0.2.5", ("192.0.2.0/24",), None),
        ("http://pc.example.test/s", "192.0.2.8", ("PC.example.test",), "pc.example.test"),
        ("http://unknown.example.test/s", "192.0.2.8", (), None),
        ("http://localhost/s", "127.0.0.1", (), "127.0.0.1"),
        ("http://127.0.0.1/s", "192.0.2.5", (), None),
        ("ftp://192.0.2.5/s", "192.0.2.5", (), None),
        ("http://192.0.2.5:99999/s", "192.0.2.5", (), None),
        ("nonsense", "192.0.2.5", (), None),
    ],
)
def test_where_events_may_go(url: str, peer: str, allow: tuple[str, ...], host: str | None) -> None:
    names = {"pc.example.test": ["192.0.2.7"], "localhost": ["127.0.0.1"]}
    allowed = Allowed(allow, resolve=lambda name: names.get(name, []))
    found = asyncio.run(allowed.target(url, Endpoint(peer, 4000)))
    assert (None if isinstance(found, str) else found.host) == host


def test_a_network_that_is_none() -> None:
    with pytest.raises(UsageError, match="--allow"):
        Allowed(["300.0.0.0/8"])


def test_a_subscriber_that_is_gone_stops_nobody_else(job: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        async with Client(client.url) as other:
            # Nobody listens at this port.
            await client.subscribe(sink="http://127.0.0.1:9/gone")
            await other.subscribe()
            for one in (client, other):
                body = ScanProcess.example().request("S-1-5")
                created = (await one.ask("CreatePostScanJobRequest", "WS-DSP", body)).accepted()
                assert created is not None
                token = {"job_token": created.get("JobToken")}
                await one.ask("EndPostScanJobRequest", "WS-DSP", build("dsp:EndPostScanJobRequest", token))
            await other.until(4)
            assert other.told[-1] == "PostScanJobEndStateEvent"
            tokens = {one.get("JobStatus/JobToken") or one.get("PostScanJobEndState/JobToken") for one in other.events}
            assert len(tokens) == 1

    device = serve(job, story)
    # Three in a row, then no more is tried.
    assert len(device.tally.failed) == 3
    assert device.tally.sent == 4


def test_a_sink_that_refuses_is_a_failure(push: Path) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        client.status = 500
        await client.subscribe()
        await until(lambda: device.tally.failed)

    device = serve(push, story)
    assert "answered HTTP 500" in device.tally.failed[0][1]


@pytest.mark.parametrize(("rule", "told"), [("lost", 0), ("doubled", 2), ("delay=0.01", 1)])
def test_events_can_be_ordered_to_go_wrong(push: Path, rule: str, told: int) -> None:
    async def story(device: VirtualDevice, client: Client) -> None:
        await client.subscribe()
        await until(lambda: 2 in device.delivery.lined and device.delivery.idle)
        assert client.told == ["ScanAvailableEvent"] * told
        assert len({one.message_id for one in client.events}) == min(told, 1)

    serve(push, story, rules=(f"ScanAvailableEvent: {rule}",))


def test_an_event_comes_when_it_came(push: Path) -> None:
    """22 ms after the answer, by the recording; twice as long at half the speed."""

    async def run() -> None:
        clock = ManualClock()
        device = VirtualDevice(push, Served(speed=0.5), around=Around(clock=clock))
        offset = device.story.notices[0].offset
        assert 0.015 < offset < 0.03
        async with device, Client(device.url()) as client:
            asking = asyncio.create_task(client.subscribe())
            await until(lambda: clock.next_due is not None and device.runs.count)
            await clock.advance(2 * device.scenario.steps[0].took)
            await asking
            await until(lambda: 2 in device.delivery.lined)
            await clock.advance(2 * offset * 0.9)
            assert client.told == []
            await clock.advance(2 * offset * 0.2)
            await client.until(1)

    bounded(run())
