"""Each order of a rule, end to end: what a peer sees on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dissector.base.errors import TargetUnreachable
from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.messages import Message
from replay.base.clock import ManualClock
from replay.behaviour.file import ORDERS, parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.dsmdevice import DsmDevice, Order, Story
from replay.devices.emulator import Around
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.client import AnswerCut
from replay.soap.caller import action_of
from tests.support.event_rig import CANCEL, PICTURE, RETRIEVE, Rig, Sink, identifier_of
from tests.support.loopback import run, until


def with_rig(*rules: str) -> Callable[[Callable[[Rig], Awaitable[Any]]], Any]:
    """Run a story with a device that has these rules."""

    def story(tell: Callable[[Rig], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with Rig(*rules) as rig:
                return await tell(rig)

        return run(whole())

    return story


# -- answers -----------------------------------------------------------------------------------------------------


def test_delay_is_by_the_clock() -> None:
    async def tell(rig: Rig) -> None:
        task = asyncio.create_task(rig.soap(CANCEL))
        await until(lambda: 2.5 in _due(rig.clock))
        assert rig.calls == []
        await rig.clock.advance(2.4)
        assert not task.done()
        await rig.clock.advance(0.1)
        assert (await task).name == "CancelJobResponse"
        # Only the first one is delayed.
        assert (await rig.soap(CANCEL)).name == "CancelJobResponse"

    with_rig("CancelJob: delay=2.5, times=1")(tell)


def _due(clock: ManualClock) -> list[float]:
    return [round(one.at - clock.monotonic(), 6) for one in clock._due if one.action is not None]


@pytest.mark.parametrize(
    ("order", "code", "name"),
    [
        ("fault=OperationFailed", "Receiver", "OperationFailed"),
        ("fault=ClientErrorJobIdNotFound", "Sender", "ClientErrorJobIdNotFound"),
        ("fault={urn:vendor}OutOfStaples", "Sender", "OutOfStaples"),
    ],
)
def test_fault(order: str, code: str, name: str) -> None:
    async def tell(rig: Rig) -> None:
        answer = await rig.soap(CANCEL)
        assert answer.fault is not None
        assert (answer.fault.code, answer.fault.subcode) == (code, name)
        assert answer.envelope is not None
        assert answer.envelope.addressing.relates_to == [("", "urn:uuid:asked")]
        assert rig.calls == []
        assert any(line.startswith("behaviour: CancelJob: fault") for line in rig.said)

    with_rig(f"CancelJob: {order}")(tell)


@pytest.mark.parametrize("status", [200, 401, 503])
def test_status(status: int) -> None:
    async def tell(rig: Rig) -> None:
        answer = await rig.ask(CANCEL)
        assert (answer.status, answer.body.size, answer.complete, rig.calls) == (status, 0, True, [])

    with_rig(f"CancelJob: status={status}")(tell)


def test_ignore() -> None:
    async def tell(rig: Rig) -> None:
        with pytest.raises(TargetUnreachable, match="without an answer"):
            await rig.ask(CANCEL)
        assert rig.calls == []

    with_rig("CancelJob: ignore")(tell)


@pytest.mark.parametrize("size", [0, 20, 300])
def test_close_after(size: int) -> None:
    async def tell(rig: Rig) -> None:
        async with rig.raw() as raw:
            await raw.send(CANCEL)
            got = await raw.rest()
            assert len(got) == size
            assert b"HTTP/1.1 200 OK\r\n".startswith(got[:17])

    with_rig(f"CancelJob: close_after={size}")(tell)


@pytest.mark.parametrize("size", [0, 300])
def test_reset_after(size: int) -> None:
    async def tell(rig: Rig) -> None:
        async with rig.raw() as raw:
            await raw.send(CANCEL)
            with pytest.raises(ConnectionResetError):
                await raw.rest()

    with_rig(f"CancelJob: reset_after={size}")(tell)


def test_truncate() -> None:
    async def tell(rig: Rig) -> None:
        with pytest.raises(AnswerCut, match="the connection was closed") as cut:
            await rig.ask(CANCEL)
        http = cut.value.http
        assert http.body.size == 100
        assert int(http.header("Content-Length") or 0) > 100

    with_rig("CancelJob: truncate=100")(tell)


def test_truncate_of_a_chunked_answer() -> None:
    async def tell(rig: Rig) -> None:
        with pytest.raises(AnswerCut) as cut:
            await rig.ask(RETRIEVE)
        assert cut.value.http.header("Transfer-Encoding") == "chunked"

    with_rig("RetrieveImage: truncate=5000")(tell)


def test_slow() -> None:
    async def tell(rig: Rig) -> None:
        start = rig.clock.monotonic()
        task = asyncio.create_task(rig.ask(CANCEL))
        while not task.done():
            await rig.clock.settle()
            short = [one for one in _due(rig.clock) if 0 < one <= 0.2]
            if short:
                await rig.clock.advance(min(short))
        answer = await task
        assert answer.complete
        assert rig.clock.monotonic() - start == pytest.approx(answer.body.size / 200, abs=0.2)

    with_rig("CancelJob: slow=200")(tell)


@pytest.mark.parametrize(("order", "extra"), [("-10", -10), ("7", None)])
def test_content_length_too_small(order: str, extra: int | None) -> None:
    async def tell(rig: Rig) -> None:
        answer = await rig.ask(CANCEL)
        whole = int((await rig.ask(CANCEL)).header("Content-Length") or 0)
        said = int(answer.header("Content-Length") or 0)
        assert said == (7 if extra is None else whole + extra)

    with_rig(f"CancelJob: content_length={order}, times=1")(tell)


def test_content_length_too_large() -> None:
    async def tell(rig: Rig) -> None:
        task = asyncio.create_task(rig.ask(CANCEL))
        await until(lambda: rig.after)
        await rig.clock.settle(200)
        await rig.clock.advance(30)
        with pytest.raises(AnswerCut, match="nothing more for 30 s"):
            await task

    with_rig("CancelJob: content_length=+10")(tell)


def test_malformed() -> None:
    async def tell(rig: Rig) -> None:
        answer = await rig.soap(CANCEL)
        assert [one.rule for one in answer.findings] == ["xml.not-well-formed"]
        assert answer.name == "CancelJobResponse"

    with_rig("CancelJob: malformed")(tell)


@pytest.mark.parametrize(("order", "related"), [("none", []), ("urn:other", ["urn:other"]), ("wrong", None)])
def test_relates_to(order: str, related: list[str] | None) -> None:
    async def tell(rig: Rig) -> None:
        for data in (CANCEL, RETRIEVE):
            answer = await rig.soap(data)
            assert answer.envelope is not None
            found = [one for _, one in answer.envelope.addressing.relates_to]
            if related is None:
                assert found[0].startswith("urn:uuid:")
                assert found != ["urn:uuid:asked"]
            else:
                assert found == related

    with_rig(f"*: relates_to={order}")(tell)


def test_boundary() -> None:
    async def tell(rig: Rig) -> None:
        async with rig.raw() as raw:
            await raw.send(RETRIEVE)
            http = await raw.answer()
            mark = f"--{http.parameters['boundary']}".encode()
            assert raw.raw.count(mark) == 3
            assert raw.raw.count(b"\r\n" + mark) < 3
        answer = await rig.soap(RETRIEVE)
        assert [one.content.data() for one in answer.attachments] == [PICTURE]

    with_rig("RetrieveImage: boundary=bare")(tell)


def test_reason() -> None:
    async def tell(rig: Rig) -> None:
        assert (await rig.ask(CANCEL)).reason == "Paper Jam"

    with_rig("CancelJob: reason=Paper Jam")(tell)


class Recorder:
    """A capture that keeps what the server wrote, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def connection(self, client: Endpoint, server: Endpoint, encrypted: bool = False) -> Recorder:
        return self

    def sent(self, side: str, data: bytes) -> None:
        if side == "server":
            self.writes.append(data)

    def secrets_ready(self) -> None: ...

    def fin(self, side: str) -> None: ...

    def reset(self, side: str) -> None: ...


@pytest.mark.parametrize(("rules", "writes"), [((), 1), (("CancelJob: split_head",), 2)])
def test_split_head(rules: tuple[str, ...], writes: int) -> None:
    async def tell(rig: Rig) -> None:
        rig.server._tap = recorder = Recorder()
        assert (await rig.soap(CANCEL)).name == "CancelJobResponse"
        assert len(recorder.writes) == writes
        assert recorder.writes[0].endswith(b"\r\n\r\n") is (writes == 2)

    with_rig(*rules)(tell)


def test_several_orders_of_one_rule_and_of_several() -> None:
    async def tell(rig: Rig) -> None:
        answer = await rig.ask(CANCEL)
        assert (answer.status, answer.reason) == (500, "No")
        assert b"OperationFailed" in answer.body.data()
        assert b"urn:else" in answer.body.data()
        assert (await rig.ask(RETRIEVE)).status == 200

    with_rig("CancelJob: fault=OperationFailed, reason=No", "CancelJob: relates_to=urn:else")(tell)


def test_where_after_and_times() -> None:
    async def tell(rig: Rig) -> None:
        assert [(await rig.ask(CANCEL)).status for _ in range(5)] == [200, 200, 503, 503, 200]
        assert rig.behaviour.report()[0]["fired"] == 2
        assert rig.behaviour.report()[1]["fired"] == 0

    with_rig("CancelJob: status=503, after=2, times=2", "CancelJob: status=500, where.job_id=2")(tell)


# -- events ------------------------------------------------------------------------------------------------------


def with_sink(*rules: str) -> Callable[[Callable[[Rig, Sink], Awaitable[Any]]], Any]:
    """Run a story with a device that has these rules, and a sink that is subscribed."""

    def story(tell: Callable[[Rig, Sink], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with Rig(*rules) as rig:
                sink = await rig.sink()
                await rig.subscribe(sink)
                return await tell(rig, sink)

        return run(whole())

    return story


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("lost, after=1, times=1", [1, 3, 4]),
        ("doubled, times=1", [1, 1, 2, 3, 4]),
        ("reordered, times=1", [2, 1, 3, 4]),
        ("reordered, after=1, times=2", [1, 3, 2, 4]),
        ("lost, probability=0", [1, 2, 3, 4]),
    ],
)
def test_events_that_are_lost_doubled_or_reordered(order: str, told: list[int]) -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        rig.notify(4)
        await rig.told(sink, *told)
        await rig.source.drained()
        # A doubled event is one message twice.
        assert len({one.message_id for one in sink.events}) == len(set(told))

    with_sink(f"ScanAvailableEvent: {order}")(tell)


def test_a_delayed_event_holds_up_those_behind_it() -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        rig.notify(2)
        await until(lambda: 5 in _due(rig.clock))
        await rig.clock.advance(4.9)
        assert sink.told == []
        await rig.clock.advance(0.1)
        await rig.told(sink, 1, 2)

    with_sink("events: delay=5, times=1")(tell)


def test_an_expired_subscription() -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        identifier = rig.source.table.all()[0].identifier
        rig.notify(1)
        await rig.told(sink, 1)
        rig.notify(2)
        gone = await rig.manage("Renew", identifier)
        assert gone.fault is not None
        await rig.source.stop()
        assert (sink.told, sink.ends) == (["1"], [])

    with_sink("ScanAvailableEvent: expire, after=1, times=1")(tell)


@pytest.mark.parametrize("order", ["close_after=100", "reset_after=100", "truncate=50"])
def test_an_event_that_is_cut_comes_whole_at_the_next_try(order: str) -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        rig.notify(2)
        await until(lambda: 1 in _due(rig.clock))
        await until(lambda: sink.cut == 1)
        await rig.clock.advance(1)
        await rig.told(sink, 1, 2)
        assert sum("try 1 of 3" in line for line in rig.said) == 1

    with_sink(f"ScanAvailableEvent: {order}, times=1")(tell)


def test_a_malformed_event() -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        sink.statuses = [400]
        rig.notify()
        await until(lambda: 1 in _due(rig.clock))
        await rig.clock.advance(1)
        await rig.told(sink, 1, 1)
        assert [[one.rule for one in event.findings] for event in sink.events] == [["xml.not-well-formed"], []]

    with_sink("ScanAvailableEvent: malformed, times=1")(tell)


def test_a_slow_event() -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        rig.notify()
        while not sink.told:
            await rig.clock.settle()
            short = [one for one in _due(rig.clock) if 0 < one <= 0.2]
            if short:
                await rig.clock.advance(min(short))
        assert rig.clock.monotonic() > 2
        await rig.told(sink, 1)

    with_sink("ScanAvailableEvent: slow=300")(tell)


# -- tokens, images, end states: whole devices --------------------------------------------------------------------


def around(*rules: str) -> Around:
    return Around(behaviour=Behaviour([parse_rule(one) for one in rules]), seed=1, discovery=False)


def job(
    *, server: tuple[str, ...] = (), device: tuple[str, ...] = (), pages: int = 1, **order: Any
) -> tuple[Story, list[Any], list[str]]:
    """A whole job by a device and a server with rules: the story, the server's jobs, the server's log."""

    async def story() -> tuple[Story, list[Any], list[str]]:
        scan_server = ScanServer(around=around(*server))
        async with scan_server, DsmDevice(pages=pages, around=around(*device)) as dsm:
            told = await dsm.run(Order(scan_server.url(), ScanProcess.example(), **order))
            return told, scan_server.jobs, [entry.text for entry in scan_server.log.entries]

    found: tuple[Story, list[Any], list[str]] = run(story())
    return found


@pytest.mark.parametrize("token", ["unknown", "stale", "5b7fa4ec-7bf4-4e34-9b5e-3ba1cd1b6b9a"])
def test_a_token_that_the_server_does_not_know(token: str) -> None:
    story, jobs, _ = job(server=(f"CreatePostScanJob: token={token}",))
    assert story.failure.startswith("ClientErrorJobTokenNotFound")
    assert story.job_token != jobs[0].token
    if "-" in token:
        assert story.job_token == token


@pytest.mark.parametrize("operation", ["SendImage", "EndPostScanJob"])
def test_a_device_that_sends_a_wrong_token(operation: str) -> None:
    story, _, _ = job(device=(f"{operation}: token=unknown",))
    assert story.failure.startswith("ClientErrorJobTokenNotFound")


def test_a_vendor_end_state() -> None:
    story, _, _ = job(server=("EndPostScanJob: end_state=vendor:Parked|vendor:NoStaples",))
    assert (story.completed_state, story.reasons) == ("vendor:Parked", ["vendor:NoStaples"])


def test_the_end_state_of_one_event() -> None:
    story, jobs, _ = job(server=("PostScanJobEndStateEvent: end_state=Aborted|AbortedBySystem",))
    assert (story.completed_state, story.reasons) == ("Aborted", ["AbortedBySystem"])
    assert jobs[0].state == "Completed"


def test_an_image_that_the_device_cuts_or_swaps() -> None:
    for rule, wanted in (("image=cut-1000", 1000), ("image=as-png", None)):
        story, jobs, _ = job(device=(f"SendImage: {rule}",))
        assert story.images == 1
        received = jobs[0].documents[0]
        assert received.size == wanted if wanted is not None else received.size < 200


def test_an_image_that_the_device_breaks_off() -> None:
    async def story() -> None:
        rule = "SendImage: close_after=2000, times=1"
        async with ScanServer(around=around()) as server, DsmDevice(around=around(rule)) as dsm:
            with pytest.raises(TargetUnreachable, match="closed on purpose"):
                await dsm.run(Order(server.url(), ScanProcess.example()))
            broken = "SendImageRequest, broken off"
            await until(lambda: any(broken in entry.text for entry in server.log.entries))
            assert server.jobs[0].documents == []

    run(story())


async def retrieve(scanner: Scanner) -> Message:
    """One image of the scanner, by its own client."""
    ticket = {
        "job_description": {"job_name": "j", "job_originating_user_name": "u"},
        "document_parameters": {"format": "jfif", "input_source": "Platen", "images_to_transfer": 1},
    }

    async def ask(name: str, data: Any) -> Message:
        reply = await scanner.caller.call(
            scanner.scan_url, build(f"wscn:{name}", data), action_of(name, "WS-Scan"), name=name
        )
        message = reply.accepted()
        assert message is not None
        return message

    created = await ask("CreateScanJobRequest", {"scan_ticket": ticket})
    return await ask(
        "RetrieveImageRequest",
        {
            "job_id": created.get("JobId"), "job_token": str(created.get("JobToken")),
            "document_description": {"document_name": "d"},
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "size", "first"), [("image=cut-100", 100, b"\xff\xd8"), ("image=as-pdf", None, b"%PDF")]
)
def test_an_image_that_the_scanner_cuts_or_swaps(order: str, size: int | None, first: bytes) -> None:
    async def story() -> None:
        async with Scanner(around=around(f"RetrieveImage: {order}")) as scanner:
            answer = await retrieve(scanner)
            data = answer.attachments[0].content.data()
            assert data.startswith(first)
            assert size is None or len(data) == size

    run(story())


def test_a_token_that_the_scanner_does_not_know() -> None:
    async def story() -> None:
        async with Scanner(around=around("CreateScanJob: token=unknown")) as scanner:
            with pytest.raises(Exception, match="ClientErrorInvalidJobToken"):
                await retrieve(scanner)

    run(story())


def test_tokens_of_scan_destinations() -> None:
    async def tell(rig: Rig, sink: Sink) -> None:
        destinations = [{"client_display_name": "Scan", "client_context": "c"}]
        answer = await rig.subscribe(sink, scan_destinations={"scan_destination": destinations})
        assert identifier_of(answer)
        token = answer.get("DestinationResponses/DestinationResponse/DestinationToken")
        assert token is not None
        assert rig.source.table.destination(str(token)) is None

    with_sink("Subscribe: token=unknown, times=2")(tell)


def test_every_order_is_shown_here() -> None:
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    assert [name for name in ORDERS if name not in text] == []
