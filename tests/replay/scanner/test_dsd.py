"""WS-DSD of the emulated scanner: the same scanner under another address, in its own namespace, with its own jobs.

The shape of events is that of the published examples; requests and answers are an open question of the sources, so
both namespaces are taken.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import dissector
from dissector.base.findings import Severity
from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.model import QName
from dissector.soap.namespaces import DSD, WSCN, WSDP06
from replay.behaviour.file import rule_from_json
from replay.behaviour.rules import Behaviour
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.scanner import Scanner
from tests.support.scan_client import ScanClient, element, found, problems, scanning, ticket

SECTIONS = ["ScannerDescription", "ScannerConfiguration", "ScannerStatus", "DefaultScanTicket"]


def asked(*names: str, prefix: str = "wscn") -> dict[str, Any]:
    space = WSCN if prefix == "wscn" else DSD
    return {"requested_elements": {"name": [QName(space, one, prefix) for one in names]}}


def tree(message: Message) -> list[set[str]]:
    """The namespaces of the body element, of its children, and of everything deeper."""
    body = message.envelope.content if message.envelope is not None else None
    assert body is not None
    levels: list[set[str]] = [{body.tag}, {one.tag for one in body}, {two.tag for one in body for two in one.iter()}]
    levels[2] -= levels[1]
    return [{tag[1:].partition("}")[0] for tag in level} for level in levels]


async def ask(client: ScanClient, name: str, data: Any = None, **more: Any) -> Message:
    answer = await client.ask(name, data, service="WS-DSD", **more)
    assert (answer.service, answer.action) == ("WS-DSD", f"{DSD}/{name}Response")
    assert tree(answer) in ([{DSD}, {DSD}, {WSCN}], [{DSD}, {DSD}, set()])
    return answer


def own_scan(scanner: Scanner, pages: int = 2, name: str = "At the device") -> ScanJob:
    """The device scans on its own, as far as its first image."""
    data = {"job_description": {"job_name": name, "job_originating_user_name": "EXAMPLE\\user"}}
    job = scanner.engine.create(data, {}, "ADF", pages, "jfif", service="WS-DSD")
    scanner.engine.begin_image(job)
    return job


def finish(scanner: Scanner, job: ScanJob) -> None:
    while True:
        scanner.engine.image_sent(job, 1, "page", sent=True)
        if job.over:
            return
        scanner.engine.begin_image(job)


def test_it_has_an_address_of_its_own_on_the_same_host() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            assert scanner.dsd_url.rpartition("/")[0] == scanner.scan_url.rpartition("/")[0]
            body = build("wsx:GetMetadata", {})
            action = "http://schemas.xmlsoap.org/ws/2004/09/mex/GetMetadata/Request"
            reply = await client.send("GetMetadata", url=scanner.dsd_url, body=body, action=action)
            message = reply.accepted()
            assert message is not None
            assert message.envelope is not None
            assert scanner.dsd_url.encode() in message.envelope.xml
            assert DSD.encode() in message.envelope.xml
            model = build("wsx:GetMetadata", {"dialect": f"{WSDP06}/ThisModel"})
            for url, told in ((scanner.url(), 1), (scanner.dsd_url, 0)):
                answer = (await client.send("GetMetadata", url=url, body=model, action=action)).accepted()
                assert answer is not None
                assert found(answer, "MetadataSection") == found(answer, "MetadataSection/ThisModel") == told

    asyncio.run(run())


@pytest.mark.parametrize("prefix", ["wscn", "dsd"])
@pytest.mark.parametrize(("kind", "space"), [("dsd", DSD), ("dsd", WSCN), ("wscn", WSCN)], ids=["", "action", "all"])
def test_sections_in_whatever_namespace_they_are_asked_for(prefix: str, kind: str, space: str) -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            body = build(f"{kind}:GetScannerElementsRequest", asked(*SECTIONS, "Nonsense", prefix=prefix))
            answer = await ask(client, "GetScannerElements", body=body, action=f"{space}/GetScannerElements")
            assert answer.body is not None
            told = answer.body.find_all("ScannerElements/ElementData")
            assert [(one.attributes["Name"][0].local, one.attributes["Valid"][0]) for one in told] == [
                *((name, True) for name in SECTIONS), ("Nonsense", False),
            ]  # fmt: skip
            assert [[child.name for child in one.children] for one in told] == [*([one] for one in SECTIONS), []]
            assert answer.get("ScannerElements/ElementData/ScannerDescription/ScannerName") == "Emulated scanner"

    asyncio.run(run())


def test_a_ticket_for_a_scan_process() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            good = await ask(client, "ValidateScanTicket", {"scan_ticket": ticket("ADF")})
            assert good.get("ValidationInfo/ValidTicket") is True
            wrong = await ask(client, "ValidateScanTicket", {"scan_ticket": ticket("ADF", resolution=7000)})
            assert wrong.get("ValidationInfo/ValidTicket") is False
            front = "ValidationInfo/ValidScanTicket/DocumentParameters/MediaSides/MediaFront"
            assert wrong.get(f"{front}/Resolution/Width") == 600
            conflict = ticket(format="jfif", color="BlackAndWhite1", honor=("format", "color_processing"))
            refusal = await client.refused("ValidateScanTicket", {"scan_ticket": conflict}, service="WS-DSD")
            assert refusal.name == "ClientErrorConflictingRequiredParameters"

    asyncio.run(run())


def test_jobs_of_the_device_are_shown_here_and_those_of_clients_there() -> None:
    async def run() -> None:
        async with scanning(pages=4) as (scanner, client):
            job = own_scan(scanner)
            active = await ask(client, "GetActiveJobs")
            summary = "ActiveJobs/JobSummary"
            assert (active.get(f"{summary}/JobId"), active.get(f"{summary}/JobState")) == (1, "Processing")
            assert found(await client.ask("GetActiveJobs"), summary) == 0
            # The one scanner is busy.
            refusal = await client.refused("CreateScanJob", {"scan_ticket": ticket()})
            assert refusal.name == "ServerErrorNotAcceptingJobs"
            assert (await client.refused("CancelJob", {"job_id": 1})).name == "ClientErrorJobIdNotFound"
            finish(scanner, job)
            history = await ask(client, "GetJobHistory")
            summary = "JobHistory/JobSummary"
            assert (history.get(f"{summary}/JobName"), history.get(f"{summary}/JobState")) == (
                "At the device", "Completed",
            )  # fmt: skip
            assert found(await client.ask("GetJobHistory"), summary) == 0
            await client.to_the_end(await client.create())
            assert found(await client.ask("GetJobHistory"), summary) == 1
            assert found(await ask(client, "GetJobHistory"), summary) == 1
            elements = await ask(client, "GetJobElements", {"job_id": 1, **asked("JobStatus", "Nonsense")})
            assert elements.body is not None
            told = elements.body.find_all("JobElements/ElementData")
            assert [one.attributes["Valid"][0] for one in told] == [True, False]
            assert told[0].get("JobStatus/ScansCompleted") == 2

    asyncio.run(run())


def test_faults() -> None:
    async def run() -> None:
        async with scanning() as (_, client):
            more = {"service": "WS-DSD"}
            job = await client.create()
            assert found(await ask(client, "GetActiveJobs"), "ActiveJobs/JobSummary") == 0
            for number in (job.get("JobId"), 0, 99):
                refusal = await client.refused("GetJobElements", {"job_id": number, **asked("JobStatus")}, **more)
                assert refusal.name == "ClientErrorJobIdNotFound"
            wanted = "<d:RequestedElements><w:Name>w:JobStatus</w:Name></d:RequestedElements>"
            body = element(f"<d:GetJobElementsRequest><d:JobId>x</d:JobId>{wanted}</d:GetJobElementsRequest>")
            assert (await client.refused("GetJobElements", body=body, **more)).name == "InvalidArgs"
            # A DSM device scans on its own: it neither takes jobs nor hands out images (rule D04).
            for name, data in (
                ("CreateScanJob", {"scan_ticket": ticket()}), ("CancelJob", {"job_id": 1}),
                ("RetrieveImage", {"job_id": 1, "job_token": "x", "document_description": {"document_name": "x"}}),
            ):  # fmt: skip
                body = build(f"wscn:{name}Request", data)
                assert (await client.refused(name, body=body, **more)).name == "ActionNotSupported"

    asyncio.run(run())


def test_the_events_of_a_scan_at_the_device() -> None:
    async def run() -> None:
        async with scanning(pages=2) as (scanner, client), ScanClient(scanner) as puller:
            await client.subscribe(service="WS-DSD")
            await puller.subscribe()
            job = own_scan(scanner)
            finish(scanner, job)
            await client.event("ScannerStatusSummaryEvent", 2)
            await client.drained()
            assert client.states() == ["Started 0", "Processing 0", "Processing 1", "end: Completed"]
            assert puller.states() == []
            for one in client.told:
                assert (one.service, one.action) == ("WS-DSD", f"{WSCN}/{one.name}")
                assert tree(one) == [{DSD}, {DSD}, {WSCN}]
            end = next(one for one in client.told if one.name == "JobEndStateEvent")
            assert end.get("JobEndState/JobOriginatingUserName") == "EXAMPLE\\user"
            # What a client of WS-Scan does is told there.
            client.told.clear()
            await puller.to_the_end(await puller.create())
            await puller.event("JobEndStateEvent")
            await client.drained()
            assert client.states() == []
            assert puller.states()[-1] == "end: Completed"

    asyncio.run(run())


def test_the_other_events() -> None:
    async def run() -> None:
        async with scanning() as (scanner, client):
            await client.subscribe(service="WS-DSD")
            jam = scanner.engine.set_condition("MediaJam", "ADF", "Critical")
            scanner.engine.clear_condition(jam.number)
            scanner.engine.redescribe(configuration=scanner.device.configuration)
            told = await client.event("ScannerElementsChangeEvent")
            assert client.names() == [
                "ScannerStatusConditionEvent", "ScannerStatusSummaryEvent", "ScannerStatusConditionClearedEvent",
                "ScannerStatusSummaryEvent", "ScannerElementsChangeEvent",
            ]  # fmt: skip
            assert all(tree(one) == [{DSD}, {DSD}, {WSCN}] for one in client.told)
            condition = client.told[0].body.find("DeviceCondition") if client.told[0].body is not None else None
            assert condition is not None
            assert condition.attributes["Id"][0] == client.told[2].get("DeviceConditionCleared/ConditionId") == 1
            assert told.body is not None
            assert [one.name for one in told.body.children[0].children] == ["ScannerConfiguration"]

    asyncio.run(run())


def test_an_end_that_behaviour_changes() -> None:
    rule = rule_from_json({"on": "WS-DSD.JobEndStateEvent", "end_state": "Aborted|ScannerStopped"})

    async def run() -> None:
        async with scanning(behaviour=Behaviour([rule])) as (scanner, client):
            await client.subscribe("JobEndStateEvent", service="WS-DSD")
            finish(scanner, own_scan(scanner, 1))
            end = await client.event("JobEndStateEvent")
            assert end.get("JobEndState/JobCompletedState") == "Aborted"
            assert end.get("JobEndState/JobCompletedStateReasons/JobStateReason") == "ScannerStopped"

    asyncio.run(run())


def test_the_capture_of_it(tmp_path: Path) -> None:
    path = tmp_path / "dsd.pcapng"

    async def run() -> None:
        async with scanning(pages=2, pcap=path) as (scanner, client):
            await client.subscribe(service="WS-DSD")
            await ask(client, "GetScannerElements", asked(*SECTIONS))
            finish(scanner, own_scan(scanner))
            await client.event("JobEndStateEvent")
            await ask(client, "GetJobHistory")

    asyncio.run(run())
    with dissector.open(str(path)) as capture:
        assert [text for message in capture.messages for text in problems(message)] == []
        assert [(job.id, job.completed_state) for job in capture.jobs] == [("1", "Completed")]
        holders: list[Any] = [*capture.jobs, *capture.exchanges, *capture.events]
        findings = [one for holder in holders for one in holder.findings]
        assert [str(one) for one in findings if one.severity in (Severity.ERROR, Severity.WARN)] == []
