"""What clients may make an emulated device keep is bounded, each bound at its edge; what fails leaves nothing held."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dissector.base.origin import Endpoint
from dissector.catalog import build, decode
from dissector.soap.build import build_envelope
from dissector.soap.namespaces import DSP
from replay.devices import dsmsink
from replay.devices import emulator as emulator_module
from replay.devices.discovery import build_probe
from replay.devices.dsmdevice import DsmDevice
from replay.devices.dsmsink import MAX_EVENT, MAX_TOKEN
from replay.devices.eventing import ACTION_DIALECT, MAX_ACTIONS, MAX_DESTINATIONS, MAX_PARAMETERS, MAX_SUBSCRIBE
from replay.devices.host import Call
from replay.devices.scanner import service as scan_service
from replay.devices.scanserver import fileshare as fileshare_module
from replay.devices.scanserver import sharepoint as sharepoint_module
from replay.devices.scanserver.engine import EngineLimits
from replay.devices.scanserver.filters import Places
from replay.devices.scanserver.instructions import MAX_TEXT, MAX_URL, read_instructions
from replay.devices.scanserver.outcome import run_filter
from replay.net.server import HttpRequest
from replay.soap.caller import Refused, read_message
from replay.soap.compose import http_request, pack
from replay.soap.faults import SoapFault
from tests.support.dsm import SID, process, serving
from tests.support.event_rig import EVENT, Rig, envelope, over_http, plain_answers
from tests.support.loopback import ANYWHERE, received, run
from tests.support.postscan import fileshare, filter_job, images, library, sharepoint
from tests.support.scan_client import image_request, scanning, ticket

SHARE = r"\\files.example.com\scans"
SITE = "http://portal.example.com/Documents"


# -- subscriptions and events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "taken"), [(-1, True), (0, True), (1, False)])
def test_a_subscribe(more: int, taken: bool) -> None:
    def subscribe(filler: int) -> bytes:
        to = {"address": "http://127.0.0.1:9/" + "p" * filler}
        return envelope("Subscribe", {"delivery": {"notify_to": to}}, element="wse:Subscribe", service="WS-Eventing")

    async def story() -> None:
        async with Rig() as rig:
            xml = subscribe(MAX_SUBSCRIBE - len(subscribe(0)) + more)
            assert len(xml) == MAX_SUBSCRIBE + more
            answer = await rig.soap(over_http(xml))
            assert plain_answers(answer)[0] == ("SubscribeResponse" if taken else "Fault")
            assert len(rig.source.table) == taken

    run(story())


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("most", "kind"),
    [(MAX_PARAMETERS, "notify_to"), (MAX_PARAMETERS, "end_to"), (MAX_ACTIONS, "filter"), (MAX_DESTINATIONS, "places")],
)
def test_what_a_subscription_keeps(most: int, kind: str, more: int) -> None:
    """A few bytes of XML each, and hundreds in memory, or work at each event."""
    number = most + more
    parameters = {f"{{urn:x}}p{at}": "" for at in range(number)}
    reference = {"address": "http://127.0.0.1:9/", "reference_parameters": parameters}
    data: dict[str, Any] = {"delivery": {"notify_to": reference if kind == "notify_to" else {"address": "urn:x"}}}
    if kind == "end_to":
        data["end_to"] = reference
    elif kind == "filter":
        data |= {"filter": [EVENT] * number, "filter@dialect": ACTION_DIALECT}
    elif kind == "places":
        one = {"client_display_name": "a", "client_context": "c"}
        data["scan_destinations"] = {"scan_destination": [one] * number}
    asked = over_http(envelope("Subscribe", data, element="wse:Subscribe", service="WS-Eventing"))

    async def story() -> None:
        async with Rig() as rig:
            answer = await rig.soap(asked)
            assert plain_answers(answer)[0] == ("Fault" if more else "SubscribeResponse")
            assert len(rig.source.table) == 1 - more
            if more:
                assert answer.fault.reason.startswith("This event source does not take ")
                assert f"more than {most} " in answer.fault.reason

    run(story())


def event(token: str, filler: int = 0) -> Call:
    """PostScanJobStatusEvent at the sink of a device."""
    status = {"job_token": token, "job_state": "Creating", "images_received": 0}
    body = build("dsp:PostScanJobStatusEvent", {"job_status": status})
    body.set("filler", "x" * filler)
    xml = build_envelope(body, action=f"{DSP}/PostScanJobStatusEvent", to="urn:x", message_id="urn:m")
    http = received(b"".join(http_request("/", "x", pack(xml, [], DsmDevice().ids)).pieces))
    message = read_message(http)
    assert message is not None
    return Call(message, HttpRequest(http, ANYWHERE, ANYWHERE), "WS-DSP", "", None, None)


@pytest.mark.parametrize(("number", "refused"), [(1, False), (2, False), (3, True)])
def test_events_of_one_job(monkeypatch: pytest.MonkeyPatch, number: int, refused: bool) -> None:
    monkeypatch.setattr(dsmsink, "MAX_EVENTS", 2)

    async def story() -> None:
        device = DsmDevice()
        for _ in range(number - 1):
            await device.sink.event(event("urn:job"))
        if refused:
            with pytest.raises(SoapFault, match="No more than 2 events"):
                await device.sink.event(event("urn:job"))
        else:
            await device.sink.event(event("urn:job"))
        assert len(device.sink.told["urn:job"].names) == min(number, 2)

    asyncio.run(story())


@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (MAX_TOKEN, True), (MAX_TOKEN + 1, False)])
def test_the_token_of_an_event(length: int, taken: bool) -> None:
    async def story() -> None:
        device = DsmDevice()
        if taken:
            await device.sink.event(event("t" * length))
        else:
            with pytest.raises(SoapFault, match="names no job"):
                await device.sink.event(event("t" * length))
        assert len(device.sink.told) == taken

    asyncio.run(story())


@pytest.mark.parametrize(("more", "taken"), [(-1, True), (0, True), (1, False)])
def test_the_size_of_an_event(more: int, taken: bool) -> None:
    async def story() -> None:
        device, empty = DsmDevice(), event("urn:job").message.envelope
        assert empty is not None
        given = event("urn:job", MAX_EVENT - len(empty.xml) + more)
        if taken:
            await device.sink.event(given)
        else:
            with pytest.raises(SoapFault, match=f"No event of more than {MAX_EVENT} bytes"):
                await device.sink.event(given)
        assert len(device.sink.told) == taken

    asyncio.run(story())


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_jobs_of_others(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The first of them is forgotten, never one's own."""
    monkeypatch.setattr(dsmsink, "MAX_JOBS", 3)

    async def story() -> None:
        device = DsmDevice()
        device.sink.expect("urn:Mine")
        tokens = ["urn:mine", *(f"urn:{place}" for place in range(number))]
        for token in tokens:
            await device.sink.event(event(token))
        assert list(device.sink.told) == [tokens[0], *tokens[1:][-2:]]

    asyncio.run(story())


@pytest.mark.parametrize(("most", "answered"), [(1, 1), (2, 2), (3, 2)])
def test_questions_that_are_answered_at_once(monkeypatch: pytest.MonkeyPatch, most: int, answered: int) -> None:
    monkeypatch.setattr(emulator_module, "MAX_SPREADING", most)

    async def story() -> None:
        async with scanning() as (scanner, _):
            assert scanner.discovery is not None
            spread: list[Any] = []

            def spreading(answers: Any) -> None:
                spread.append(answers)
                scanner._spreading.add(asyncio.create_task(asyncio.sleep(0)))

            monkeypatch.setattr(scanner, "_spread", spreading)
            for _ in range(2):
                scanner._datagram(build_probe((), (), scanner.ids)[1], Endpoint("127.0.0.1", 9), "127.0.0.1", True)
            assert len(spread) == answered

    asyncio.run(story())


# -- the scanner -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), OSError("gone")])
def test_a_scan_that_fails_ends_its_job(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def broken(*given: Any) -> Any:
        raise error

    async def story() -> None:
        async with scanning() as (scanner, client):
            job = await client.ask("CreateScanJob", {"scan_ticket": ticket()})
            monkeypatch.setattr(scan_service, "scan_picture", broken)
            with pytest.raises(Refused):
                await client.ask("RetrieveImage", image_request(job))
            assert [one.state for one in scanner.engine.jobs.ended()] == ["Aborted"]
            assert scanner.engine.accepting

    asyncio.run(story())


@pytest.mark.parametrize("length", [254, 255, 256])
def test_the_name_of_a_document(length: int) -> None:
    async def story() -> None:
        async with scanning() as (scanner, client):
            job = await client.ask("CreateScanJob", {"scan_ticket": ticket()})
            await client.ask("RetrieveImage", image_request(job, name="n" * length))
            (done,) = scanner.engine.jobs.ended()
            assert done.documents == ["n" * min(length, 255)]

    asyncio.run(story())


# -- the scan server -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "taken"), [(MAX_TEXT - 1, True), (MAX_TEXT, True), (MAX_TEXT + 1, False)])
def test_the_format_of_an_image(length: int, taken: bool) -> None:
    async def story() -> None:
        async with serving() as dsm:
            token = await dsm.create()
            given = dsm.image(token, 1, format="acme/" + "f" * (length - 5))
            if taken:
                await dsm.ask(**given)
            else:
                assert (await dsm.refused(**given)).name == "InvalidArgs"

    asyncio.run(story())


@pytest.mark.parametrize(("number", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_images_that_are_missing(tmp_path: Path, number: int, kept: int) -> None:
    async def story() -> None:
        async with serving(limits=EngineLimits(images=2)) as dsm:
            job = dsm.server.engine.jobs.find(await dsm.create())
            assert job is not None
            for document_id in range(number):
                dsm.server.engine.image_lost(job, document_id)
            assert len(job.missing) == kept

    asyncio.run(story())


@pytest.mark.parametrize(("more", "taken"), [(-1, False), (0, True), (1, True)])
def test_what_all_active_jobs_are_to_do(more: int, taken: bool) -> None:
    """The filters of each have thousands of targets; of all together there is a bound, until one is over."""
    wanted = process(*[fileshare(*(rf"\\files.example.com\{one:0>200}" for one in range(256)))] * 8)
    held = read_instructions(decode(wanted.request(SID)).find("PostScanInstructions"))[0].held
    assert held > 400_000

    async def story() -> None:
        async with serving(limits=EngineLimits(instructions=2 * held + more)) as dsm:
            first = await dsm.create(wanted)
            if not taken:
                refusal = await dsm.refused("CreatePostScanJob", body=wanted.request(SID))
                words = f"The filters of the active jobs would take more than {2 * held + more} bytes"
                assert (refusal.name, refusal.reason) == ("OperationFailed", words)
                await dsm.cancel(first)
            await dsm.create(wanted)

    asyncio.run(story())


@pytest.mark.parametrize(("length", "taken"), [(MAX_URL - 1, True), (MAX_URL, True), (MAX_URL + 1, False)])
def test_a_dialect(length: int, taken: bool) -> None:
    async def story() -> None:
        async with serving() as dsm:
            body = process().request(SID)
            dialect = next(one for one in body.iter() if str(one.tag).endswith("}Dialect"))
            dialect.text = "urn:" + "d" * (length - 4)
            for one in next(one for one in body.iter() if str(one.tag).endswith("}Instructions")):
                one.getparent().remove(one)
            reply = await dsm.send("CreatePostScanJob", body=body)
            if taken:
                reply.accepted()
            else:
                with pytest.raises(Refused, match="InvalidArgs"):
                    reply.accepted()

    asyncio.run(story())


@pytest.mark.parametrize(("there", "written"), [(1, True), (2, True), (3, False)])
def test_files_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int, written: bool) -> None:
    monkeypatch.setattr(fileshare_module, "MAX_NUMBER", 3)
    spool, share = tmp_path / "spool", tmp_path / "share"
    spool.mkdir()
    share.mkdir()
    job = filter_job(*images(spool, b"x"))
    for _ in range(there):
        asyncio.run(run_filter(fileshare(SHARE), job, Places(shares={SHARE: share})))
    result = asyncio.run(run_filter(fileshare(SHARE), job, Places(shares={SHARE: share})))
    assert len(list(share.rglob("*.jpg"))) == min(there + 1, 3)
    assert (result.state == "CompletedSuccessfully") is written


@pytest.mark.parametrize(("taken", "put"), [(1, True), (2, True), (3, False)])
def test_names_that_are_tried_in_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int, put: bool
) -> None:
    monkeypatch.setattr(sharepoint_module, "MAX_NUMBER", 3)
    job = filter_job(*images(tmp_path, b"x"))
    tried: list[str] = []

    def answer(method: str, path: str) -> int:
        tried.append(path)
        return 412 if len(tried) <= taken else 0

    with library(answer) as there:
        result = asyncio.run(run_filter(sharepoint(SITE), job, Places(sites={SITE: there.url})))
    assert (result.state == "CompletedSuccessfully") is put
    assert len(tried) == min(taken + 1, 3)
