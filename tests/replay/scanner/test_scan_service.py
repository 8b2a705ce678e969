"""WS-Scan of the emulated scanner, asked over real sockets: what is answered, refused and told.

Whatever the scanner sends is read by the dissector and must be without fault (see ``scan_client``).
"""

from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from PIL import Image, ImageSequence

import dissector
from dissector.base.findings import Severity
from dissector.catalog import SERVICES, build, decode
from dissector.messages import Message
from dissector.soap.model import QName
from dissector.soap.namespaces import WSCN
from replay.base.clock import ManualClock
from replay.behaviour.file import rule_from_json
from replay.behaviour.rules import Behaviour
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import device_of
from replay.devices.scanner.pages import A4, DrawnPage
from replay.devices.scanner.testpage import read_mark
from tests.support.scan_client import (
    ScanClient,
    connected,
    element,
    found,
    image_bytes,
    image_request,
    on_the_wire,
    opened,
    problems,
    scanning,
    soap,
    ticket,
)

SECTIONS = ["ScannerDescription", "ScannerConfiguration", "ScannerStatus", "DefaultScanTicket"]


def scan_name(local: str) -> QName:
    return QName(WSCN, local, "wscn")


def asked(*names: Any) -> dict[str, Any]:
    return {"requested_elements": {"name": [scan_name(one) if isinstance(one, str) else one for one in names]}}


def sections(answer: Message, holder: str = "ScannerElements") -> dict[str, bool]:
    """The sections of an answer and whether they are valid; what is valid holds the section, and only that."""
    assert answer.body is not None
    valid_of: dict[str, bool] = {}
    for one in answer.body.find_all(f"{holder}/ElementData"):
        name, valid = one.attributes["Name"][0], one.attributes["Valid"][0]
        assert [child.name for child in one.children] == ([name.local] if valid else [])
        key = f"{{{name.namespace}}}{name.local}"
        assert key not in valid_of
        valid_of[key] = valid
    return valid_of


def marks(pictures: list[Image.Image], dpi: int = 75) -> list[int]:
    """The page numbers that the pictures bear."""
    found = [read_mark(one, dpi) for one in pictures]
    return [one.page if one is not None else 0 for one in found]


def with_jobs(**jobs: Any) -> Device:
    return device_of({"scanner": {"formats": ["png"], "adf": {}, "platen": {}}, "jobs": jobs})


def ordering(on: str, **orders: Any) -> Behaviour:
    return Behaviour([rule_from_json({"on": on, **orders})])


# -- reading -----------------------------------------------------------------------------------------------------


def test_all_sections() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            answer = await client.ask("GetScannerElements", asked(*SECTIONS))
            assert sections(answer) == {f"{{{WSCN}}}{name}": True for name in SECTIONS}
            data = answer.body.to_json() if answer.body is not None else {}
            by_name = {one["@name"].rpartition("}")[2]: one for one in data["scanner_elements"]["element_data"]}
            for name, key, plain in (
                ("ScannerDescription", "scanner_description", scanner.device.description),
                ("ScannerConfiguration", "scanner_configuration", scanner.device.configuration),
                ("DefaultScanTicket", "default_scan_ticket", scanner.device.default_ticket),
            ):
                assert by_name[name][key] == decode(build(f"wscn:{name}", plain)).to_json()
            status = by_name["ScannerStatus"]["scanner_status"]
            assert (status["scanner_state"], status["scanner_state_reasons"]) == (
                "Idle", {"scanner_state_reason": ["None"]},
            )  # fmt: skip

    asyncio.run(run())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ScannerStatus"], {f"{{{WSCN}}}ScannerStatus": True}),
        (
            ["DefaultScanTicket", "ScannerDescription"],
            {f"{{{WSCN}}}DefaultScanTicket": True, f"{{{WSCN}}}ScannerDescription": True},
        ),
        (["ScannerStatus", "ScannerStatus"], {f"{{{WSCN}}}ScannerStatus": True}),
        (["Nonsense", "ScannerStatus"], {f"{{{WSCN}}}Nonsense": False, f"{{{WSCN}}}ScannerStatus": True}),
        ([QName("urn:vendor", "ScannerStatus", "v")], {"{urn:vendor}ScannerStatus": False}),
        (["JobStatus"], {f"{{{WSCN}}}JobStatus": False}),
    ],
    ids=lambda one: "-".join(map(str, one))[:40] if isinstance(one, list) else "",
)
def test_sections_as_requested_and_only_those(names: list[Any], expected: dict[str, bool]) -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            assert sections(await client.ask("GetScannerElements", asked(*names))) == expected

    asyncio.run(run())


@pytest.mark.parametrize("default", ["", f' xmlns="{WSCN}"'], ids=["no namespace", "default namespace"])
def test_names_without_a_prefix_are_those_of_the_scan_service(default: str) -> None:
    async def run() -> None:
        request = f"<w:RequestedElements{default}><w:Name>ScannerStatus</w:Name></w:RequestedElements>"
        async with scanning() as (_, client):
            answer = await client.ask(
                "GetScannerElements",
                body=element(f"<w:GetScannerElementsRequest>{request}</w:GetScannerElementsRequest>"),
            )
            assert sections(answer) == {f"{{{WSCN}}}ScannerStatus": True}

    asyncio.run(run())


# -- tickets -----------------------------------------------------------------------------------------------------


def test_a_ticket_that_can_be_done_is_valid() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            answer = await client.ask("ValidateScanTicket", {"scan_ticket": ticket("ADFDuplex", format="dib")})
            assert answer.get("ValidationInfo/ValidTicket") is True
            assert found(answer, "ValidationInfo/ValidScanTicket") == 0
            image = "ValidationInfo/ImageInformation/MediaBackImageInfo"
            assert (answer.get(f"{image}/PixelsPerLine"), answer.get(f"{image}/NumberOfLines")) == (315, 75)
            assert answer.get(f"{image}/BytesPerLine") == 316
            assert found(await client.ask("GetActiveJobs"), "ActiveJobs/JobSummary") == 0

    asyncio.run(run())


@pytest.mark.parametrize("honor", [(), ("color_processing",)], ids=["", "insisted on"])
def test_what_cannot_be_done_is_corrected(honor: tuple[str, ...]) -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            wrong = ticket(color="RGB48", resolution=99, honor=honor)
            answer = await client.ask("ValidateScanTicket", {"scan_ticket": wrong})
            assert answer.get("ValidationInfo/ValidTicket") is False
            corrected = answer.body.find("ValidationInfo/ValidScanTicket") if answer.body is not None else None
            assert corrected is not None
            assert corrected.get("JobDescription/JobName") == "Test"
            front = "DocumentParameters/MediaSides/MediaFront"
            assert corrected.get(f"{front}/ColorProcessing") == "RGB24"
            assert corrected.get(f"{front}/Resolution/Width") == 100
            again = await client.ask("ValidateScanTicket", {"scan_ticket": corrected.to_json()})
            assert again.get("ValidationInfo/ValidTicket") is True

    asyncio.run(run())


def test_a_format_that_cannot_be_made_is_corrected_by_validation_and_refused_by_creation() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            answer = await client.ask("ValidateScanTicket", {"scan_ticket": ticket(format="xps")})
            assert answer.get("ValidationInfo/ValidTicket") is False
            assert answer.get("ValidationInfo/ValidScanTicket/DocumentParameters/Format") == "jfif"
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket(format="xps")})
            assert refusal.name == "ClientErrorFormatNotSupported"
            assert refusal.message is not None
            xml = refusal.message.envelope.xml if refusal.message.envelope is not None else b""
            assert b"<wscn:FormatsSupported><wscn:FormatValue>jfif</wscn:FormatValue>" in xml

    asyncio.run(run())


def test_what_the_catalogue_does_not_know_in_a_ticket_harms_nobody() -> None:
    async def run() -> None:
        request = build("wscn:CreateScanJobRequest", {"scan_ticket": ticket(color="RGB48", name="N" * 400)})
        description = request[0][0]
        description.append(element('<v:More xmlns:v="urn:vendor" v:x="1"><v:Inner/></v:More>'))
        async with scanning() as (_, client):
            job = await client.ask("CreateScanJob", body=request)
            answer = await client.ask("GetJobElements", {"job_id": job.get("JobId"), **asked("ScanTicket")})
            told = answer.get("JobElements/ElementData/ScanTicket/JobDescription/JobOriginatingUserName")
            assert told == "EXAMPLE\\user"
            await client.subscribe("JobEndStateEvent")
            await client.ask("CancelJob", {"job_id": job.get("JobId")})
            assert len((await client.event("JobEndStateEvent")).get("JobEndState/JobName")) == 255
            request.tag = f"{{{WSCN}}}ValidateScanTicketRequest"
            validated = await client.ask("ValidateScanTicket", body=request)
            assert validated.get("ValidationInfo/ValidTicket") is False

    asyncio.run(run())


# -- a pull scan -------------------------------------------------------------------------------------------------


def test_a_job_tells_what_it_will_do() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            job = await client.create(ticket(color="RGB48", resolution=75, rotation="0"))
            final = job.body.to_json()["document_final_parameters"] if job.body is not None else {}
            front = final["media_sides"]["media_front"]
            assert (front["color_processing"], front["color_processing@override"]) == ("RGB24", True)
            assert front["resolution"] == {"width": 75, "height": 75}
            assert (final["images_to_transfer"], final["images_to_transfer@used_default"]) == (1, True)
            assert "rotation@used_default" not in final
            image = "ImageInformation/MediaFrontImageInfo"
            picture = await client.picture(job)
            assert picture.mode == "RGB"
            assert picture.size == (job.get(f"{image}/PixelsPerLine"), job.get(f"{image}/NumberOfLines")) == (315, 75)

    asyncio.run(run())


@pytest.mark.parametrize("length", [False, True], ids=["chunked", "with length"])
def test_an_image_comes_as_an_mtom_part(length: bool) -> None:
    device = device_of({"scanner": {"formats": ["png"]}, "quirks": ["images-with-length"] if length else []})

    async def run() -> None:
        async with scanning(device) as (_, client):
            answer = await client.retrieve(await client.create(ticket(resolution=150)))
            http = answer.http
            assert http is not None
            headers = {one.name.lower(): one.value for one in http.headers}
            assert ("content-length" in headers) is length
            assert (headers.get("transfer-encoding") == "chunked") is not length
            assert headers["content-type"].startswith("multipart/related;")
            assert 'type="application/xop+xml"' in headers["content-type"]
            assert (answer.attachments[0].media_type, answer.attachments[0].real_type) == ("image/png", "png")
            mark = read_mark(opened(answer), 150)
            assert mark is not None
            assert (mark.page, mark.count, mark.resolution, mark.mode) == (1, 1, (150, 150), "L")

    asyncio.run(run())


def test_the_feeder_to_its_end_and_the_paper_again_for_the_next_client() -> None:
    async def run() -> None:
        async with scanning(pages=3) as (_, client):
            for _ in range(2):
                job = await client.create(ticket("ADF"))
                assert marks(await client.to_the_end(job)) == [1, 2, 3]
                assert await client.status(job) == ("Completed", ["None"], 3)

    asyncio.run(run())


def test_a_feeder_that_nobody_fills_again() -> None:
    async def run() -> None:
        async with scanning(pages=3, refill=False) as (scanner, client):
            job = await client.create(ticket("ADF"))
            assert marks([await client.picture(job)]) == [1]
            await client.ask("CancelJob", {"job_id": job.get("JobId")})
            # The sheets that were not scanned are still there.
            assert marks(await client.to_the_end(await client.create(ticket("ADF")))) == [2, 3]
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket("ADF")})
            assert refusal.name == "ClientErrorNoImagesAvailable"
            assert marks(await client.to_the_end(await client.create(ticket("Platen")))) == [1]
            scanner.load(2)
            assert marks(await client.to_the_end(await client.create(ticket("ADF")))) == [1, 2]
            scanner.load(0)
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket("Platen")})
            assert refusal.name == "ClientErrorNoImagesAvailable"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("source", "images", "first", "second"),
    [
        ("ADF", 2, [1, 2], [3, 4]),
        ("ADF", 9, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ("ADF", 0, [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ("ADFDuplex", 2, [1, 2], [3, 4]),
        # Of an odd number only the front of the last sheet is scanned (rule Q10); the sheet is through.
        ("ADFDuplex", 3, [1, 2, 3], [5]),
        ("Platen", 0, [1], [1]),
        ("Platen", 1, [1], [1]),
        ("Platen", 5, [1], [1]),
    ],
)
def test_images_to_transfer(source: str, images: int, first: list[int], second: list[int]) -> None:
    async def run() -> None:
        async with scanning(pages=5) as (_, client):
            for pages in (first, second):
                job = await client.create(ticket(source, images=images))
                assert marks(await client.to_the_end(job)) == pages

    asyncio.run(run())


@pytest.mark.parametrize(("format", "start"), [("tiff-multi-uncompressed", b"II*\0"), ("pdf-a", b"%PDF-")])
def test_a_format_of_many_pages_is_one_file(format: str, start: bytes) -> None:
    async def run() -> None:
        async with scanning(pages=3) as (_, client):
            job = await client.create(ticket("ADF", format=format))
            data = image_bytes(await client.retrieve(job))
            assert data.startswith(start)
            if format != "pdf-a":
                with Image.open(io.BytesIO(data)) as file:
                    assert marks([one.copy() for one in ImageSequence.Iterator(file)]) == [1, 2, 3]
            assert (await client.refused("RetrieveImage", image_request(job))).name == "ClientErrorNoImagesAvailable"
            assert await client.status(job) == ("Completed", ["None"], 3)

    asyncio.run(run())


def test_cancel() -> None:
    async def run() -> None:
        async with scanning(pages=3) as (_, client):
            job = await client.create(ticket("ADF"))
            await client.picture(job)
            answer = await client.ask("CancelJob", {"job_id": job.get("JobId")})
            assert answer.body is not None
            assert answer.body.children == []
            assert await client.status(job) == ("Canceled", ["None"], 1)
            assert (await client.refused("RetrieveImage", image_request(job))).name == "ClientErrorJobCancelled"
            assert (await client.refused("CancelJob", {"job_id": job.get("JobId")})).name == "ClientErrorJobIdNotFound"
            await client.create()

    asyncio.run(run())


def test_a_client_that_names_no_document_gets_its_page() -> None:
    # An airscand leaves DocumentName out; real devices take that.
    async def story() -> None:
        async with scanning() as (_, client):
            job = await client.create()
            message = await client.ask("RetrieveImage", {**image_request(job), "document_description": {}})
            assert opened(message).size[0] > 0

    asyncio.run(story())


def test_sections_of_a_job() -> None:
    async def run() -> None:
        async with scanning(pages=2) as (_, client):
            job = await client.create(ticket("ADF", honor=("format",)))
            await client.picture(job)
            await client.ask("RetrieveImage", image_request(job, name="second"))
            names = ["Documents", "ScanTicket", "Nonsense", "JobStatus"]
            answer = await client.ask("GetJobElements", {"job_id": job.get("JobId"), **asked(*names)})
            assert sections(answer, "JobElements") == {f"{{{WSCN}}}{one}": one != "Nonsense" for one in names}
            assert answer.body is not None
            data = [one.to_json() for one in answer.body.find_all("JobElements/ElementData")]
            documents = data[0]["documents"]
            assert job.body is not None
            assert documents["document_final_parameters"] == job.body.to_json()["document_final_parameters"]
            assert [one["document_description"]["document_name"] for one in documents["document"]] == ["page", "second"]
            told = data[1]["scan_ticket"]
            assert told == {**ticket("ADF")}
            status = data[3]["job_status"]
            assert status["job_completed_time"] >= status["job_created_time"]

    asyncio.run(run())


def test_active_jobs_and_history() -> None:
    async def run() -> None:
        device = with_jobs(active=2, history=2)
        async with scanning(device, 5) as (_, client):
            assert found(await client.ask("GetActiveJobs"), "ActiveJobs/JobSummary") == 0
            jobs = [await client.create(ticket("ADF", images=2, name=f"Job {n}")) for n in (1, 2)]
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket("ADF")})
            assert refusal.name == "ServerErrorNotAcceptingJobs"
            active = await client.ask("GetActiveJobs")
            assert summaries(active, "ActiveJobs") == [(1, "Job 1", "Pending", 0), (2, "Job 2", "Pending", 0)]
            # The two go on side by side, each with its own paper.
            assert marks([await client.picture(jobs[1]), await client.picture(jobs[0])]) == [3, 1]
            await client.ask("CancelJob", {"job_id": 2})
            await client.to_the_end(jobs[0])
            await client.to_the_end(await client.create(ticket("ADF", name="Job 3")))
            history = await client.ask("GetJobHistory")
            assert summaries(history, "JobHistory") == [(1, "Job 1", "Completed", 2), (3, "Job 3", "Completed", 1)]
            # A job that is not remembered any more is not known; its number is not given out again (rule Q12).
            assert (await client.refused("GetJobElements", {"job_id": 2, **asked("JobStatus")})).name == (
                "ClientErrorJobIdNotFound"
            )
            assert (await client.create()).get("JobId") == 4

    asyncio.run(run())


def summaries(answer: Message, holder: str) -> list[tuple[int, str, str, int]]:
    assert answer.body is not None
    names = ("JobId", "JobName", "JobState", "ScansCompleted")
    found = answer.body.find_all(f"{holder}/JobSummary")
    return [(one.get(names[0]), one.get(names[1]), one.get(names[2]), one.get(names[3])) for one in found]


# -- faults ------------------------------------------------------------------------------------------------------


async def unsupported(client: ScanClient) -> str:
    """An operation that nobody knows."""
    refusal = await client.refused("Nonsense", body=element("<w:NonsenseRequest/>"))
    detail = refusal.message.fault.detail if refusal.message is not None and refusal.message.fault is not None else None
    assert detail is not None
    assert "Nonsense" in etree.tostring(detail, encoding="unicode", method="text")
    return refusal.name


async def misplaced(client: ScanClient) -> str:
    """An operation of the service at another address."""
    return (await client.refused("CreateScanJob", {"scan_ticket": ticket()}, url=client.scanner.dsd_url)).name


async def no_ticket(client: ScanClient) -> str:
    return (await client.refused("CreateScanJob", {})).name


async def no_number(client: ScanClient) -> str:
    body = element("<w:CancelJobRequest><w:JobId>first</w:JobId></w:CancelJobRequest>")
    return (await client.refused("CancelJob", body=body)).name


async def no_name(client: ScanClient) -> str:
    inner = "<w:RequestedElements><w:Name>Scanner Status</w:Name></w:RequestedElements>"
    body = element(f"<w:GetScannerElementsRequest>{inner}</w:GetScannerElementsRequest>")
    return (await client.refused("GetScannerElements", body=body)).name


async def nothing_requested(client: ScanClient) -> str:
    return (await client.refused("GetScannerElements", {"requested_elements": {}})).name


async def must_honor(client: ScanClient) -> str:
    wrong = ticket(color="RGB48", honor=("color_processing",))
    return (await client.refused("CreateScanJob", {"scan_ticket": wrong})).name


async def conflicting(client: ScanClient) -> str:
    wrong = ticket(format="jfif", color="BlackAndWhite1", honor=("format", "color_processing"))
    return (await client.refused("ValidateScanTicket", {"scan_ticket": wrong})).name


async def unknown_format(client: ScanClient) -> str:
    return (await client.refused("CreateScanJob", {"scan_ticket": ticket(format="jbig")})).name


async def busy(client: ScanClient) -> str:
    await client.create()
    return (await client.refused("CreateScanJob", {"scan_ticket": ticket()})).name


async def stopped(client: ScanClient) -> str:
    client.scanner.engine.set_condition("MediaJam", "ADF", "Critical")
    name = (await client.refused("CreateScanJob", {"scan_ticket": ticket()})).name
    client.scanner.engine.clear_condition(1)
    await client.create()
    return name


async def paused(client: ScanClient) -> str:
    client.scanner.engine.pause()
    name = (await client.refused("CreateScanJob", {"scan_ticket": ticket()})).name
    client.scanner.engine.pause(False)
    await client.create()
    return name


async def empty_feeder(client: ScanClient) -> str:
    client.scanner.load(0)
    return (await client.refused("CreateScanJob", {"scan_ticket": ticket("ADF")})).name


async def no_more_images(client: ScanClient) -> str:
    job = await client.create()
    await client.picture(job)
    return (await client.refused("RetrieveImage", image_request(job))).name


async def no_job_to_retrieve(client: ScanClient) -> str:
    job = await client.create()
    wrong = {**image_request(job), "job_id": 99}
    refusal = await client.refused("RetrieveImage", wrong)
    detail = refusal.message.body.find("Detail") if refusal.message is not None and refusal.message.body else None
    assert detail is not None
    assert [(one.name, one.value) for one in detail.children] == [("JobId", 99)]
    return refusal.name


async def no_job_to_read(client: ScanClient) -> str:
    return (await client.refused("GetJobElements", {"job_id": 1, **asked("JobStatus")})).name


async def no_job_to_cancel(client: ScanClient) -> str:
    return (await client.refused("CancelJob", {"job_id": 0})).name


async def wrong_token(client: ScanClient) -> str:
    job = await client.create()
    name = (await client.refused("RetrieveImage", image_request(job, token="wrong"))).name
    await client.picture(job)
    return name


async def canceled(client: ScanClient) -> str:
    job = await client.create()
    client.scanner.engine.cancel(client.scanner.engine.jobs.active()[0], at_device=True)
    assert await client.status(job) == ("Canceled", ["JobCanceledAtDevice"], 0)
    return (await client.refused("RetrieveImage", image_request(job))).name


async def unknown_destination(client: ScanClient) -> str:
    wrong = {"scan_identifier": "x", "destination_token": "y", "scan_ticket": ticket()}
    return (await client.refused("CreateScanJob", wrong)).name


async def unknown_identifier(client: ScanClient) -> str:
    answer = await client.subscribe("ScanAvailableEvent", destinations={"Scan": "My computer"})
    token = answer.get("DestinationResponses/DestinationResponse/DestinationToken")
    wrong = {"scan_identifier": "x", "destination_token": token, "scan_ticket": ticket()}
    return (await client.refused("CreateScanJob", wrong)).name


DUE = [
    (unsupported, "ActionNotSupported"), (misplaced, "ActionNotSupported"), (no_ticket, "InvalidArgs"),
    (no_number, "InvalidArgs"), (no_name, "InvalidArgs"), (nothing_requested, "InvalidArgs"),
    (must_honor, "InvalidArgs"), (conflicting, "ClientErrorConflictingRequiredParameters"),
    (unknown_format, "ClientErrorFormatNotSupported"), (busy, "ServerErrorNotAcceptingJobs"),
    (stopped, "ServerErrorNotAcceptingJobs"), (paused, "ServerErrorNotAcceptingJobs"),
    (empty_feeder, "ClientErrorNoImagesAvailable"), (no_more_images, "ClientErrorNoImagesAvailable"),
    (no_job_to_retrieve, "ClientErrorJobIdNotFound"), (no_job_to_read, "ClientErrorJobIdNotFound"),
    (no_job_to_cancel, "ClientErrorJobIdNotFound"), (wrong_token, "ClientErrorInvalidJobToken"),
    (canceled, "ClientErrorJobCancelled"), (unknown_destination, "ClientErrorInvalidDestinationToken"),
    (unknown_identifier, "ClientErrorInvalidScanIdentifier"),
]  # fmt: skip

ON_ORDER = ["ServerErrorTemporaryError", "ClientErrorDocumentFormatNotSupported"]
"""Faults that no state of this scanner brings about; a rule of behaviour orders them."""

ELSEWHERE = ["OperationFailed", "ServerErrorInternalError"]
"""Faults with a test of their own."""


@pytest.mark.parametrize(("case", "name"), DUE, ids=lambda one: getattr(one, "__name__", one))
def test_a_fault_where_it_is_due(case: Any, name: str) -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            assert await case(client) == name

    asyncio.run(run())


@pytest.mark.parametrize("name", ON_ORDER)
def test_a_fault_on_order(name: str) -> None:
    async def run() -> None:
        async with scanning(behaviour=ordering("CreateScanJob", fault=name)) as (_, client):
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket()})
            assert refusal.name == name
            assert refusal.status == (500 if name.startswith("Server") else 400)

    asyncio.run(run())


def test_every_fault_of_the_service_has_a_test() -> None:
    # The second name of ClientErrorFormatNotSupported, on the page of Format.
    known = {one.subcode for one in SERVICES["WS-Scan"].faults} | {"ClientErrorDocumentFormatNotSupported"}
    assert known == {name for _, name in DUE} | {*ON_ORDER, *ELSEWHERE}


def test_a_page_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    Image.new("L", (100, 100)).save(tmp_path / "page.png")

    async def run() -> None:
        async with scanning(pages=[tmp_path / "page.png"]) as (_, client):
            job = await client.create()
            (tmp_path / "page.png").unlink()
            assert (await client.refused("RetrieveImage", image_request(job))).name == "ServerErrorInternalError"
            assert await client.status(job) == ("Aborted", ["ImageTransferError"], 0)

    asyncio.run(run())


# -- time, and clients that go away ------------------------------------------------------------------------------


def test_the_first_image_is_to_be_fetched_within_a_minute() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with scanning(clock=clock) as (_, client):
            await client.subscribe("JobEndStateEvent")
            job = await client.create()
            await clock.advance(59.9)
            assert await client.status(job) == ("Pending", ["None"], 0)
            await clock.advance(0.1)
            assert await client.status(job) == ("Aborted", ["JobTimedOut"], 0)
            end = await client.event("JobEndStateEvent")
            assert end.get("JobEndState/JobCompletedStateReasons/JobStateReason") == "JobTimedOut"
            assert end.get("JobEndState/JobCompletedTime").text == "2023-11-14T22:14:20Z"
            assert (await client.refused("RetrieveImage", image_request(job))).name == "ClientErrorJobIdNotFound"
            await client.create()

    asyncio.run(run())


def test_and_each_further_one_within_a_minute_of_the_one_before() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with scanning(pages=4, clock=clock) as (_, client):
            job = await client.create(ticket("ADF"))
            for _ in range(3):
                await clock.advance(59.9)
                await client.picture(job)
            assert await client.status(job) == ("Processing", ["JobScanningAndTransferring"], 3)
            await clock.advance(60)
            assert await client.status(job) == ("Aborted", ["JobTimedOut"], 3)

    asyncio.run(run())


def test_the_device_file_says_other_times() -> None:
    async def run() -> None:
        clock = ManualClock()
        device = with_jobs(first_image_timeout=5, next_image_timeout=7)
        async with scanning(device, 2, clock=clock) as (_, client):
            job = await client.create(ticket("ADF"))
            await clock.advance(4.9)
            await client.picture(job)
            await clock.advance(6.9)
            assert (await client.status(job))[0] == "Processing"
            await clock.advance(0.1)
            assert (await client.status(job))[0] == "Aborted"

    asyncio.run(run())


def test_a_client_that_breaks_off_during_the_transfer() -> None:
    async def run() -> None:
        clock = ManualClock()
        slow = ordering("RetrieveImage", slow=1000, times=1)
        async with scanning(pages=2, clock=clock, behaviour=slow) as (scanner, client):
            await client.subscribe()
            job = await client.create(ticket("ADF"))
            request = soap(build("wscn:RetrieveImageRequest", image_request(job)), "RetrieveImage")
            reader, writer = await connected(scanner.scan_url, request)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert await client.status(job) == ("Processing", ["JobScanningAndTransferring"], 0)
            writer.transport.abort()
            for _ in range(20):
                if not scanner.engine.jobs.active():
                    break
                await clock.advance(0.5)
            assert await client.status(job) == ("Aborted", ["ImageTransferError"], 0)
            await client.event("ScannerStatusSummaryEvent", 2)
            assert client.states() == ["Started 0", "Processing 0", "end: Aborted"]

    asyncio.run(run())


def test_one_image_of_a_job_at_a_time() -> None:
    async def run() -> None:
        clock = ManualClock()
        slow = ordering("RetrieveImage", slow=20, times=1)
        async with scanning(pages=2, clock=clock, behaviour=slow) as (scanner, client):
            job = await client.create(ticket("ADF"))
            request = soap(build("wscn:RetrieveImageRequest", image_request(job)), "RetrieveImage")
            reader, writer = await connected(scanner.scan_url, request)
            head = await reader.readline()
            assert (await client.refused("RetrieveImage", image_request(job))).name == "OperationFailed"
            # The minute stands still as long as an image is on its way.
            before = clock.monotonic()
            while scanner.engine.jobs.active()[0].rendering:
                await clock.advance(5)
            assert clock.monotonic() - before > 60
            assert b"RetrieveImageResponse" in head + await reader.read()
            writer.close()
            await writer.wait_closed()
            assert marks([await client.picture(job)]) == [2]
            assert await client.status(job) == ("Completed", ["None"], 2)

    asyncio.run(run())


def test_a_job_that_is_cancelled_while_its_image_is_made() -> None:
    gate, begun = threading.Event(), threading.Event()

    @dataclass(frozen=True)
    class Slow(DrawnPage):
        """A page that is scanned as soon as the gate is open."""

        def tones(self, *given: Any) -> Image.Image:
            begun.set()
            assert gate.wait(60)
            return super().tones(*given)

    async def run() -> None:
        async with scanning(pages=[Slow(*A4)]) as (_, client):
            job = await client.create()
            waiting = asyncio.create_task(client.refused("RetrieveImage", image_request(job)))
            await asyncio.to_thread(begun.wait, 60)
            await client.ask("CancelJob", {"job_id": job.get("JobId")})
            gate.set()
            assert (await waiting).name == "ClientErrorJobCancelled"
            assert await client.status(job) == ("Canceled", ["None"], 0)

    asyncio.run(run())


# -- events ------------------------------------------------------------------------------------------------------


def test_the_story_of_a_job_as_a_subscriber_is_told_it() -> None:
    async def run() -> None:
        async with scanning(pages=2) as (_, client):
            await client.subscribe(parameters={"{urn:client}Line": "7"})
            job = await client.create(ticket("ADF"))
            await client.to_the_end(job)
            await client.event("ScannerStatusSummaryEvent", 2)
            await client.drained()
            assert client.names() == [
                "ScannerStatusSummaryEvent", "JobStatusEvent", "JobStatusEvent", "JobStatusEvent", "JobEndStateEvent",
                "ScannerStatusSummaryEvent",
            ]  # fmt: skip
            assert client.states() == ["Started 0", "Processing 0", "Processing 1", "end: Completed"]
            states = [one.get("StatusSummary/ScannerState") for one in client.told]
            assert states == ["Processing", None, None, None, None, "Idle"]
            end = client.told[4]
            assert end.get("JobEndState/JobId") == job.get("JobId")
            assert end.get("JobEndState/ScansCompleted") == 2
            assert end.get("JobEndState/JobName") == "Test"
            for one in client.told:
                assert one.action == f"{WSCN}/{one.name}"
                assert one.envelope is not None
                line = next(block for block in one.envelope.headers if block.tag == "{urn:client}Line")
                assert line.text == "7"

    asyncio.run(run())


def test_nothing_of_a_job_follows_its_end() -> None:
    async def run() -> None:
        async with scanning(pages=2) as (_, client):
            await client.subscribe("JobStatusEvent", "JobEndStateEvent")
            first = await client.create(ticket("ADF"))
            await client.picture(first)
            await client.ask("CancelJob", {"job_id": first.get("JobId")})
            await client.refused("RetrieveImage", image_request(first))
            await client.refused("CancelJob", {"job_id": first.get("JobId")})
            await client.to_the_end(await client.create())
            await client.event("JobEndStateEvent", 2)
            await client.drained()
            assert client.states() == [
                "Started 0", "Processing 0", "Processing 1", "Terminating 1", "end: Canceled",
                "Started 0", "Processing 0", "end: Completed",
            ]  # fmt: skip

    asyncio.run(run())


def test_a_subscriber_is_told_what_it_asked_for() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            await client.subscribe("JobEndStateEvent")
            await client.to_the_end(await client.create())
            await client.event("JobEndStateEvent")
            await client.drained()
            assert client.names() == ["JobEndStateEvent"]

    asyncio.run(run())


def test_conditions_come_and_go() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            await client.subscribe()
            warning = scanner.engine.set_condition("LampWarming", "Platen", "Informational")
            jam = scanner.engine.set_condition("MediaJam", "ADF", "Critical")
            status = await client.ask("GetScannerElements", asked("ScannerStatus"))
            assert status.body is not None
            active = "ScannerElements/ElementData/ScannerStatus/ActiveConditions/DeviceCondition"
            found = [(one.attributes["Id"][0], one.get("Name")) for one in status.body.find_all(active)]
            assert found == [(1, "LampWarming"), (2, "MediaJam")]
            assert scanner.engine.clear_condition(jam.number) is jam
            assert scanner.engine.clear_condition(warning.number) is warning
            assert scanner.engine.clear_condition(warning.number) is None
            await client.event("ScannerStatusSummaryEvent", 4)
            assert client.names() == [
                "ScannerStatusConditionEvent", "ScannerStatusSummaryEvent",
                "ScannerStatusConditionEvent", "ScannerStatusSummaryEvent",
                "ScannerStatusConditionClearedEvent", "ScannerStatusSummaryEvent",
                "ScannerStatusConditionClearedEvent", "ScannerStatusSummaryEvent",
            ]  # fmt: skip
            reasons = [
                (one.get("StatusSummary/ScannerState"), [two.text for two in one.body.find_all(REASONS)])
                for one in client.told
                if one.name == "ScannerStatusSummaryEvent" and one.body is not None
            ]
            assert reasons == [
                ("Idle", ["LampWarming"]), ("Stopped", ["LampWarming", "MediaJam", "AttentionRequired"]),
                ("Idle", ["LampWarming"]), ("Idle", ["None"]),
            ]  # fmt: skip
            gone = [one.get("DeviceConditionCleared/ConditionId") for one in client.told]
            assert [one for one in gone if one is not None] == [2, 1]
            again = await client.ask("GetScannerElements", asked("ScannerStatus"))
            assert again.body is not None
            entries = "ScannerElements/ElementData/ScannerStatus/ConditionHistory/ConditionHistoryEntry"
            assert [one.get("Name") for one in again.body.find_all(entries)] == ["LampWarming", "MediaJam"]

    asyncio.run(run())


REASONS = "StatusSummary/ScannerStateReasons/ScannerStateReason"


def test_sections_that_change_are_told_whole() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            await client.subscribe("ScannerElementsChangeEvent")
            description = {"scanner_name": [{"#text": "Renamed", "@lang": "en"}]}
            scanner.engine.redescribe(description=description)
            told = await client.event("ScannerElementsChangeEvent")
            assert told.body is not None
            assert told.body.to_json() == {"element_changes": {"scanner_description": description}}
            answer = await client.ask("GetScannerElements", asked("ScannerDescription"))
            assert answer.get("ScannerElements/ElementData/ScannerDescription/ScannerName") == "Renamed"
            other = {**scanner.device.configuration}
            other.pop("adf")
            scanner.engine.redescribe(configuration=other, default_ticket=scanner.device.default_ticket)
            told = await client.event("ScannerElementsChangeEvent", 2)
            assert [one.name for one in told.body.find_all("ElementChanges")[0].children] == [
                "ScannerConfiguration", "DefaultScanTicket",
            ]  # fmt: skip
            # The feeder is gone.
            job = await client.create(ticket("ADF"))
            assert job.get("DocumentFinalParameters/InputSource") == "Platen"

    asyncio.run(run())


# -- the button --------------------------------------------------------------------------------------------------


def tokens(answer: Message) -> dict[str, str]:
    assert answer.body is not None
    found = answer.body.find_all("DestinationResponses/DestinationResponse")
    return {one.get("ClientContext"): one.get("DestinationToken") for one in found}


def test_a_push_scan() -> None:
    async def run() -> None:
        async with scanning(pages=2) as (scanner, client), ScanClient(scanner) as other:
            given = tokens(await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC", "Mail": "Mail it"}))
            await other.subscribe("ScanAvailableEvent", destinations={"Scan": "Another PC"})
            assert list(given) == ["Scan", "Mail"]
            assert len(set(given.values())) == 2
            for wanted, context in (("", "Scan"), ("Mail", "Mail"), ("Mail it", "Mail")):
                identifier = scanner.press(wanted)
                told = (await client.until(lambda told: bool(told)))[0]
                client.told.clear()
                assert told.get("ClientContext") == context
                assert told.get("ScanIdentifier") == identifier
                keys = {"scan_identifier": identifier, "destination_token": given[context]}
                job = await client.create(ticket("ADF"), **keys)
                assert marks(await client.to_the_end(job)) == [1, 2]
            await other.drained()
            assert other.told == []
            scanner.press("Another PC")
            await other.event("ScanAvailableEvent")
            assert client.told == []
            assert scanner.press("nobody") is None

    asyncio.run(run())


def test_the_button_is_pressed_as_soon_as_somebody_registers() -> None:
    async def run() -> None:
        async with scanning(press="Mail") as (_, client):
            await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"})
            await client.subscribe("ScanAvailableEvent", destinations={"Mail": "PC"})
            assert (await client.event("ScanAvailableEvent")).get("ClientContext") == "Mail"
            await client.drained()
            assert len(client.told) == 1

    asyncio.run(run())


def test_a_destination_whose_client_does_not_want_the_event() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            assert scanner.press() is None
            await client.subscribe("JobEndStateEvent", destinations={"Scan": "PC"})
            assert scanner.press() is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"destination_token": None}, "ClientErrorInvalidDestinationToken"),
        ({"scan_identifier": None}, "ClientErrorInvalidScanIdentifier"),
        ({"destination_token": "x"}, "ClientErrorInvalidDestinationToken"),
        ({"scan_identifier": "x"}, "ClientErrorInvalidScanIdentifier"),
        ({"destination_token": "Mail"}, "ClientErrorInvalidScanIdentifier"),
    ],
    ids=["no token", "no identifier", "wrong token", "wrong identifier", "another destination"],
)
def test_wrong_tokens(change: dict[str, str | None], fault: str) -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            given = tokens(await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC", "Mail": "Mail"}))
            keys: dict[str, Any] = {"scan_identifier": scanner.press("Scan"), "destination_token": given["Scan"]}
            wrong = {**keys, **change}
            if wrong["destination_token"] == "Mail":
                wrong["destination_token"] = given["Mail"]
            wrong = {key: value for key, value in wrong.items() if value is not None}
            assert (await client.refused("CreateScanJob", {"scan_ticket": ticket(), **wrong})).name == fault
            # The right ones are still good.
            await client.create(**keys)

    asyncio.run(run())


def test_an_identifier_is_good_once_and_a_refused_job_does_not_use_it_up() -> None:
    async def run() -> None:
        async with scanning(pages=1) as (scanner, client):
            given = tokens(await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"}))
            keys: dict[str, Any] = {"scan_identifier": scanner.press(), "destination_token": given["Scan"]}
            await client.refused("CreateScanJob", {"scan_ticket": ticket(format="xps"), **keys})
            await client.to_the_end(await client.create(**keys))
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket(), **keys})
            assert refusal.name == "ClientErrorInvalidScanIdentifier"

    asyncio.run(run())


def test_an_identifier_is_good_for_a_minute_and_a_token_as_long_as_the_subscription() -> None:
    async def run() -> None:
        clock = ManualClock()
        async with scanning(clock=clock) as (scanner, client):
            answer = await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"}, expires="PT100S")
            token = tokens(answer)["Scan"]
            identifier = scanner.press()
            await clock.advance(60.1)
            late = {"scan_ticket": ticket(), "scan_identifier": identifier, "destination_token": token}
            assert (await client.refused("CreateScanJob", late)).name == "ClientErrorInvalidScanIdentifier"
            late["scan_identifier"] = scanner.press()
            await clock.advance(40)
            assert (await client.refused("CreateScanJob", late)).name == "ClientErrorInvalidDestinationToken"
            assert scanner.press() is None

    asyncio.run(run())


def test_tokens_that_behaviour_spoils() -> None:
    rules = [{"on": "CreateScanJob", "token": "unknown", "times": 1}, {"on": "ScanAvailableEvent", "token": "stale"}]

    async def run() -> None:
        async with scanning(behaviour=Behaviour(map(rule_from_json, rules))) as (scanner, client):
            job = await client.create()
            assert (await client.refused("RetrieveImage", image_request(job))).name == "ClientErrorInvalidJobToken"
            await client.ask("CancelJob", {"job_id": job.get("JobId")})
            await client.subscribe("ScanAvailableEvent", destinations={"Scan": "PC"})
            first, second = scanner.press(), scanner.press()
            shown = (await client.event("ScanAvailableEvent", 2)).get("ScanIdentifier")
            assert first != second
            assert shown == first

    asyncio.run(run())


# -- behaviour ---------------------------------------------------------------------------------------------------


def test_images_and_ends_that_behaviour_changes() -> None:
    rules = [
        {"on": "RetrieveImage", "image": {"cut": 100}, "times": 1},
        {"on": "RetrieveImage", "image": {"as": "jfif"}, "after": 1},
        {"on": "JobEndStateEvent", "end_state": "Aborted|ImageTransferError"},
    ]

    async def run() -> None:
        async with scanning(pages=2, behaviour=Behaviour(map(rule_from_json, rules))) as (_, client):
            await client.subscribe("JobEndStateEvent")
            job = await client.create(ticket("ADF"))
            client.lenient = True
            assert len(image_bytes(await client.retrieve(job))) == 100
            assert (await client.retrieve(job)).attachments[0].real_type == "jfif"
            end = await client.event("JobEndStateEvent")
            assert end.get("JobEndState/JobCompletedState") == "Aborted"
            assert (await client.status(job))[0] == "Completed"

    asyncio.run(run())


# -- the capture -------------------------------------------------------------------------------------------------


def test_the_capture_of_it_all_tells_the_same_story(tmp_path: Path) -> None:
    path = tmp_path / "scanner.pcapng"

    async def run() -> None:
        async with scanning(pages=2, pcap=path) as (scanner, client):
            await client.ask("GetScannerElements", asked(*SECTIONS))
            given = tokens(await client.subscribe(destinations={"Scan": "PC"}))
            await client.ask("ValidateScanTicket", {"scan_ticket": ticket("ADF")})
            await client.to_the_end(await client.create(ticket("ADF")))
            identifier = scanner.press()
            keys = {"scan_identifier": identifier, "destination_token": given["Scan"]}
            await client.event("ScanAvailableEvent")
            await client.to_the_end(await client.create(ticket("ADFDuplex", format="tiff-multi-uncompressed"), **keys))
            await client.ask("CancelJob", {"job_id": (await client.create()).get("JobId")})
            await client.event("JobEndStateEvent", 3)
            await client.ask("GetJobHistory")
            jam = scanner.engine.set_condition("MediaJam", "ADF", "Critical")
            scanner.engine.clear_condition(jam.number)
            await client.drained()

    asyncio.run(run())
    with dissector.open(str(path)) as capture:
        bad = [text for message in capture.messages for text in problems(message)]
        stories = [(job.id, job.completed_state, job.completed_by, job.push, len(job.images)) for job in capture.jobs]
        holders: list[Any] = [*capture.jobs, *capture.events, *capture.exchanges, *capture.subscriptions, capture]
        findings = [one for holder in holders for one in holder.findings]
        assert bad == []
        assert stories == [
            ("1", "Completed", "event", False, 2), ("2", "Completed", "event", True, 1),
            ("3", "Canceled", "event", False, 0),
        ]  # fmt: skip
        serious = [one for one in findings if one.severity in (Severity.ERROR, Severity.WARN)]
        # That the scanner went away while somebody was subscribed is all there is to say.
        assert [one.rule for one in serious] == ["subscription.source-ended"]
        assert [one.ended for one in capture.subscriptions] == ["SourceShuttingDown"]


def test_a_request_that_is_no_soap_gets_a_fault_and_the_scanner_goes_on() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            assert (await on_the_wire(scanner.scan_url, b"<not soap")).startswith(b"HTTP/1.1 400")
            await client.create()

    asyncio.run(run())
