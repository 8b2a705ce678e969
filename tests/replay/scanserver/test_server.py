"""The scan server's two services over real sockets: each operation, and each fault where it is due."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from dissector.base.errors import UnwritableOutput, UsageError
from dissector.catalog import DateTime, build
from dissector.http.content import Content
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, DSP, FTR, PSP
from replay.base.clock import ManualClock
from replay.cli.emulate import _managers
from replay.devices.scanserver import processing
from replay.devices.scanserver.engine import EngineLimits
from replay.devices.scanserver.filters import Places
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.soap.caller import Refused
from replay.soap.compose import Picture
from tests.support.dsm import PNG, SID, USER, Dsm, argument, call_from, filters_of, names, process, serving
from tests.support.loopback import run, until
from tests.support.postscan import email, fileshare, sharepoint

STRANGER = "11111111-2222-4333-8444-555555555555"
OVER = "ClientErrorJobTokenNotFound"
PROCESS = process(fileshare(r"\\files.example.com\scans"), email("a@example.com"), sharepoint("http://a/b"))


def on_server(work: Any, *rules: str, **given: Any) -> None:
    """Run ``work(dsm)`` with a server."""

    async def whole() -> None:
        async with serving(*rules, **given) as dsm:
            await work(dsm)

    run(whole())


def request_for(name: str, token: str, service: str = "WS-DSP") -> dict[str, Any]:
    """The plain form of a request that names a job only."""
    return {"job_token": token, **(names(service, "JobStatus") if name == "GetPostScanJobElements" else {})}


# -- operations ----------------------------------------------------------------------------------------------------


def test_images_arrive_whole_and_go_where_the_filter_says(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    large = PNG + bytes(range(256)) * 4096

    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.send_image(token, 9)
        await dsm.send_image(token, 4, large)
        kept = dsm.server.jobs[0].documents
        assert [(one.document_id, one.format) for one in kept] == [(9, "png"), (4, "png")]
        assert [one.size for one in kept] == [len(PNG), len(large)]
        assert [one.path.read_bytes() for one in kept] == [PNG, large]
        assert [one.sha256 for one in kept] == [hashlib.sha256(data).hexdigest() for data in (PNG, large)]
        await dsm.end(token)
        job = await dsm.server.job_over()
        assert (job.token, job.state, job.user, job.user_identifier) == (token, "Completed", USER, SID)
        written = sorted((tmp_path / "share").rglob("*.png"), key=lambda one: one.stat().st_size)
        assert [one.read_bytes() for one in written] == [PNG, large]

    on_server(work, places=Places(shares={r"\\files.example.com\scans": tmp_path / "share"}))


def test_what_a_job_is_asked_for_while_it_runs_and_afterwards() -> None:
    clock = ManualClock()

    async def work(dsm: Dsm) -> None:
        token = await dsm.create(PROCESS)
        await dsm.send_image(token, 7, format="png")
        for service in ("WS-DSP", "WS-DSC"):
            wanted = ("JobStatus", "{urn:x}Other", "JobDescription", "Documents", "Nonsense")
            found = await dsm.elements(token, *wanted, service=service)
            said = [(str(one.attributes["Name"][0]), one.attributes["Valid"][0]) for one in found]
            space = DSP if service == "WS-DSP" else DSC
            assert said == [
                (f"{{{space}}}JobStatus", True), ("{urn:x}Other", False), (f"{{{space}}}JobDescription", True),
                (f"{{{space}}}Documents", True), (f"{{{space}}}Nonsense", False),
            ]  # fmt: skip
            status = found[0].find("JobStatus")
            assert status is not None
            assert status.get("JobToken") == token
            assert (status.get("JobState"), status.get("ImagesReceived")) == ("Creating", 1)
            assert isinstance(status.get("JobCreatedTime"), DateTime)
            assert status.get("JobCompletedTime") is None
            kinds = [(kind, state) for kind, state, _ in filters_of(status, "FilterStatuses")]
            assert kinds == [("fileshare", "Pending"), ("email", "Pending"), ("sharepoint", "Pending")]
            assert found[2].get("JobDescription/PSP_Identifier") == PROCESS.identifier
            assert found[2].get("JobDescription/JobOriginatingUserName") == USER
            assert found[3].get("Documents/Document/DocumentDescription/DocumentId") == 7
        await clock.advance(5)
        await dsm.end(token)
        await dsm.server.job_over()
        status = (await dsm.elements(token.upper(), "JobStatus"))[0].find("JobStatus")
        assert status is not None
        assert (status.get("JobState"), status.get("JobCompletedTime").text[17:]) == ("Completed", "25.000")

    on_server(work, clock=clock)


def test_a_section_of_the_other_service_is_no_section() -> None:
    async def work(dsm: Dsm) -> None:
        found = await dsm.elements(await dsm.create(), f"{{{DSC}}}JobStatus")
        assert [one.attributes["Valid"][0] for one in found] == [False]

    on_server(work)


def test_what_the_repository_is_asked_for() -> None:
    async def work(dsm: Dsm) -> None:
        async def ask(*wanted: str) -> list[Any]:
            message = await dsm.ask("GetRepositoryElements", names("WS-DSC", *wanted), service="WS-DSC")
            assert message.body is not None
            return message.body.find_all("RepositoryElements/ElementData")

        found = await ask("RepositoryConfiguration", "RepositoryStatus", "{urn:x}Other")
        assert [one.attributes["Valid"][0] for one in found] == [True, True, False]
        dialects = [one.value for one in found[0].find_all("RepositoryConfiguration/Filters/Filter/Dialect")]
        assert [(one.namespace, one.local) for one in dialects] == [
            (FTR, "email"), (FTR, "fileshare"), (FTR, "sharepoint"),
        ]  # fmt: skip
        assert found[1].get("RepositoryStatus/RepositoryState") == "Idle"
        await dsm.create()
        assert (await ask("RepositoryStatus"))[0].get("RepositoryStatus/RepositoryState") == "Processing"

    on_server(work)


def test_lists_of_jobs_go_from_active_to_history() -> None:
    async def work(dsm: Dsm) -> None:
        async def listed(name: str) -> list[tuple[str, str]]:
            message = await dsm.ask(name, service="WS-DSC")
            assert message.body is not None
            jobs = message.body.find_all(("ActiveJobs" if name == "GetActiveJobs" else "JobHistory") + "/JobSummary")
            return [(str(one.get("JobToken")), str(one.get("JobState"))) for one in jobs]

        assert await listed("GetActiveJobs") == await listed("GetJobHistory") == []
        one, two = await dsm.create(), await dsm.create(PROCESS)
        assert await listed("GetActiveJobs") == [(one, "Creating"), (two, "Creating")]
        await dsm.end(two)
        await dsm.server.job_over()
        assert await listed("GetActiveJobs") == [(one, "Creating")]
        assert await listed("GetJobHistory") == [(two, "Completed")]
        await dsm.cancel(one, "WS-DSC")
        await dsm.server.job_over(2)
        assert await listed("GetJobHistory") == [(two, "Completed"), (one, "Canceled")]
        assert {one.token for one in dsm.server.jobs} == {one, two}

    on_server(work)


def test_history_forgets_the_oldest_and_their_images(tmp_path: Path) -> None:
    async def work(dsm: Dsm) -> None:
        tokens = [await dsm.job() for _ in range(3)]
        await dsm.server.job_over(3)
        assert [one.token for one in dsm.server.engine.jobs.all_ended()] == tokens[1:]
        assert {one.name for one in (tmp_path / "jobs").iterdir()} == set(tokens[1:])
        assert dsm.server.engine.room == 1000 - 2 * len(PNG)
        await dsm.refused("GetPostScanJobElements", request_for("GetPostScanJobElements", tokens[0]))

    on_server(work, output=tmp_path, limits=EngineLimits(history=2, disk=1000))


# -- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["WS-DSP", "WS-DSC"])
def test_a_token_that_nobody_knows(service: str) -> None:
    async def work(dsm: Dsm) -> None:
        # The type of a token is a GUID for WS-DSP, and any text for WS-DSC (MS-BDSRR 2.2.3.28).
        own, odd = (["SendImage", "EndPostScanJob"], "InvalidArgs") if service == "WS-DSP" else ([], OVER)
        for name in ("CancelPostScanJob", "GetPostScanJobElements", *own):
            for token, fault in ((STRANGER, OVER), ("nonsense", odd), ("", "InvalidArgs"), ("   ", "InvalidArgs")):
                given = {"name": name, "data": request_for(name, token, service)}
                refusal = await dsm.refused(**(dsm.image(token) if name == "SendImage" else given), service=service)
                assert refusal.name == fault, (name, token)
                assert argument(refusal).endswith(token if fault == OVER else "JobToken")

    on_server(work)


@pytest.mark.parametrize("service", ["WS-DSP", "WS-DSC"])
def test_windows_2008_r2_has_no_endpoint_for_a_token_that_is_no_guid(service: str) -> None:
    async def work(dsm: Dsm) -> None:
        for name in ("CancelPostScanJob", "GetPostScanJobElements"):
            for token in (f"{{{STRANGER}}}", "nonsense", ""):
                fault = OVER if STRANGER in token else "EndpointUnavailable"
                refusal = await dsm.refused(name, request_for(name, token, service), service=service)
                assert refusal.name == fault, (name, token)

    on_server(work, profile="windows-2008-r2")


@pytest.mark.parametrize("how", ["End", "Cancel"])
def test_a_job_that_is_over_takes_nothing_more(how: str) -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.ask(f"{how}PostScanJob", {"job_token": token})
        await dsm.server.job_over()
        late = OVER if how == "End" else "ServerErrorPostScanJobCanceled"
        assert (await dsm.refused(**dsm.image(token))).name == late
        assert (await dsm.refused("EndPostScanJob", {"job_token": token})).name == late
        for service in ("WS-DSP", "WS-DSC"):
            refusal = await dsm.refused("CancelPostScanJob", {"job_token": token}, service=service)
            assert (refusal.name, argument(refusal)) == (OVER, token)
        assert (await dsm.state(token))[0] == ("Completed" if how == "End" else "Canceled")

    on_server(work)


def test_after_end_neither_images_nor_another_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(dsm: Dsm) -> None:
        monkeypatch.setattr(dsm.server.engine, "process", lambda job: None)  # the job stays Pending
        token = await dsm.job()
        assert await dsm.state(token) == ("Pending", "None")
        refusals = [await dsm.refused(**dsm.image(token, 2)), await dsm.refused("EndPostScanJob", {"job_token": token})]
        assert [one.name for one in refusals] == ["OperationFailed", "OperationFailed"]
        assert len(dsm.server.jobs[0].documents) == 1

    on_server(work)


def test_a_token_with_braces_or_in_capitals_is_the_same() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.send_image(f"{{{token.upper()}}}")
        await dsm.end(f" {token} ")

    on_server(work)


# -- images --------------------------------------------------------------------------------------------------------


def test_images_that_are_refused() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.send_image(token, 1)
        where = "DocumentDescription/DocumentId"
        for given, fault, said in [
            (dsm.image(token, 1), "InvalidArgs", where),
            (dsm.image(token, 2, include="other@test", part=""), "InvalidArgs", "ImageData"),
            (dsm.image(token, 1 << 31), "InvalidArgs", where),
        ]:
            refusal = await dsm.refused(**given)
            assert refusal.name == fault
            assert argument(refusal).endswith(said), argument(refusal)
        two = dsm.image(token, 2, include="other@test")
        two["pictures"] = [Picture("one@test", PNG), Picture("two@test", PNG)]
        assert (await dsm.refused(**two)).name == "InvalidArgs"
        assert [one.document_id for one in dsm.server.jobs[0].documents] == [1]
        await dsm.send_image(token, -5)
        await dsm.end(token)
        assert len((await dsm.server.job_over()).documents) == 2

    on_server(work)


def test_what_came_is_not_gone_through_for_each_image() -> None:
    """Thousands of images took the square of their number."""

    class Sealed(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("all documents are looked at")

    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.send_image(token, 1)
        job = dsm.server.jobs[0]
        job.documents = Sealed(job.documents)
        await dsm.send_image(token, 2)
        for again in (1, 2):
            assert (await dsm.refused(**dsm.image(token, again))).name == "InvalidArgs"
        assert len(job.documents) == 2

    on_server(work)


def test_the_only_part_is_the_image_whatever_it_is_called() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.ask(**dsm.image(token, 3, include="other@test"))
        assert dsm.server.jobs[0].documents[0].path.read_bytes() == PNG

    on_server(work)


def test_room_is_kept_free_and_a_job_without_all_its_images_is_aborted(tmp_path: Path) -> None:
    async def work(dsm: Dsm) -> None:
        one, two = await dsm.create(), await dsm.create()
        await dsm.send_image(one, 1)
        refusal = await dsm.refused(**dsm.image(two, 1, PNG + b"longer"))
        assert refusal.name == "OperationFailed"
        await dsm.end(two)
        job = await dsm.server.job_over()
        assert (job.token, job.state, job.reasons) == (two, "Aborted", ["SendImageFailed"])
        await dsm.send_image(one, 2)
        await dsm.end(one)
        assert (await dsm.server.job_over(2)).reasons == ["PostScanJobCompletedSuccessfully"]

    on_server(work, output=tmp_path, limits=EngineLimits(disk=2 * len(PNG)))


def test_an_image_that_cannot_be_written_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    write = processing._write

    def broken(content: Content, path: Path) -> str:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        monkeypatch.setattr(processing, "_write", broken)
        refusal = await dsm.refused(**dsm.image(token))
        assert (refusal.name, "No space left" in refusal.reason) == ("OperationFailed", True)
        monkeypatch.setattr(processing, "_write", write)
        await dsm.send_image(token)
        await dsm.end(token)
        job = await dsm.server.job_over()
        assert (job.state, job.documents[0].path.read_bytes()) == ("Completed", PNG)

    on_server(work)


def test_while_an_image_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    write, gate, begun = processing._write, threading.Event(), threading.Event()

    def slow(content: Content, path: Path) -> str:
        begun.set()
        gate.wait(60)
        return write(content, path)

    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        monkeypatch.setattr(processing, "_write", slow)
        sending = asyncio.create_task(dsm.refused(**dsm.image(token)))
        try:
            await until(begun.is_set)
            early = await dsm.refused("EndPostScanJob", {"job_token": token})
            twice = await dsm.refused(**dsm.image(token))
            assert (early.name, twice.name) == ("OperationFailed", "InvalidArgs")
            await dsm.cancel(token)
            await dsm.server.job_over()
        finally:
            gate.set()
        assert (await sending).name == "ServerErrorPostScanJobCanceled"
        assert dsm.server.jobs[0].documents == []
        assert list(dsm.server.jobs[0].folder.iterdir()) == []

    on_server(work)


def test_no_more_images_than_the_limit() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        await dsm.send_image(token, 1)
        assert (await dsm.refused(**dsm.image(token, 2))).name == "OperationFailed"

    on_server(work, limits=EngineLimits(images=1))


# -- creation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "where"),
    [
        ("DocumentRootName", "", "PostScanInstructions/DocumentRootName"),
        ("FiltersToProcess/Filter/Dialect", "", "PostScanInstructions/FiltersToProcess/Filter/Dialect"),
        ("FiltersToProcess/Filter/Instructions", None, "PostScanInstructions/FiltersToProcess/Filter"),
        ("FiltersToProcess/Filter", None, "PostScanInstructions/FiltersToProcess"),
        ("FiltersToProcess", None, "PostScanInstructions"),
        (None, None, ""),
    ],
)
def test_instructions_that_cannot_be_followed_are_refused_with_their_place(
    path: str | None, text: str | None, where: str
) -> None:
    async def work(dsm: Dsm) -> None:
        body = process().request(SID)
        given = body.find(f"{{{DSP}}}PostScanInstructions")
        assert given is not None
        at = given.find("/".join(f"{{{PSP}}}{one}" for one in path.split("/"))) if path else given
        assert at is not None
        if text is None:
            parent = at.getparent()
            assert parent is not None
            parent.remove(at)
        else:
            at.text = text
        refusal = await dsm.refused("CreatePostScanJob", body=body)
        assert refusal.name == "InvalidArgs"
        assert argument(refusal).removeprefix("CreatePostScanJobRequest").strip("/") == where
        assert where in refusal.reason
        assert dsm.server.jobs == []

    on_server(work)


@pytest.mark.parametrize("missing", ["UserIdentifier", "PSP_Identifier"])
def test_a_request_without_an_element_is_refused(missing: str) -> None:
    async def work(dsm: Dsm) -> None:
        body = process().request(SID)
        for one in body.findall(f"{{{DSP}}}{missing}"):
            body.remove(one)
        refusal = await dsm.refused("CreatePostScanJob", body=body)
        assert (refusal.name, missing in refusal.reason) == ("InvalidArgs", True)

    on_server(work)


@pytest.mark.parametrize("name", ["CreatePostScanJob", "SendImage", "EndPostScanJob", "GetPostScanJobElements"])
def test_a_body_that_belongs_to_another_message_is_refused(name: str) -> None:
    async def work(dsm: Dsm) -> None:
        for body in (build("dsp:CancelPostScanJobResponse", {}), etree.Element("{urn:x}Other")):
            refusal = await dsm.refused(name, body=body)
            assert refusal.name in ("InvalidArgs", "ActionNotSupported")
        assert not [one for one in dsm.server.log.entries if "internal error" in one.text]

    on_server(work)


def test_the_directory_decides_what_is_taken() -> None:
    kept = process(fileshare(r"\\a\b"), identifier=STRANGER, display_name="To a", document_root_name="Root")

    async def work(dsm: Dsm) -> None:
        refusal = await dsm.refused("CreatePostScanJob", body=process().request(SID))
        assert (refusal.name, argument(refusal)) == ("InvalidArgs", "PSP_Identifier")
        for other, where in [
            (process(fileshare(r"\\a\c"), identifier=STRANGER, document_root_name="Root"), "FileShares"),
            (process(fileshare(r"\\a\b"), identifier=STRANGER, document_root_name="Else"), "DocumentRootName"),
            (process(email("a@b.example"), identifier=STRANGER, document_root_name="Root"), "FiltersToProcess"),
        ]:
            refusal = await dsm.refused("CreatePostScanJob", body=other.request(SID))
            assert refusal.name == "InvalidArgs"
            assert argument(refusal).startswith("PostScanInstructions/")
            assert argument(refusal).endswith(where)
        token = await dsm.create(kept)
        assert dsm.server.engine.jobs.active(token).process_name == "To a"

    on_server(work, processes={kept.identifier: kept})


@pytest.mark.parametrize(
    ("profile", "taken"),
    [("specification", True), ("windows-2008-r2", False), ("windows-2012-r2", True), ("windows-2016", True)],
)
def test_a_device_may_change_the_name_where_the_server_knows_the_extension(profile: str, taken: bool) -> None:
    kept = process(allow_name_change=True)

    async def work(dsm: Dsm) -> None:
        body = kept.request(SID, document_root_name="Mine")
        if taken:
            await dsm.ask("CreatePostScanJob", body=body)
        else:
            refusal = await dsm.refused("CreatePostScanJob", body=body)
            assert argument(refusal) == "PostScanInstructions/DocumentRootName"

    on_server(work, processes={kept.identifier: kept}, profile=profile)


def test_a_folder_of_processes(tmp_path: Path) -> None:
    one = ScanProcess.example()
    (tmp_path / f"{one.identifier}.xml").write_bytes(one.xml())

    async def work(dsm: Dsm) -> None:
        await dsm.create(one)

    on_server(work, processes=tmp_path)
    (tmp_path / f"{STRANGER}.xml").write_bytes(one.xml().replace(b"Dialect>", b"Dialekt>"))
    with pytest.raises(UsageError, match="no scan process"):
        ScanServer(processes=tmp_path)


def test_an_output_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableOutput, match="expected a folder"):
        ScanServer(tmp_path / "file")


def test_no_folder_for_a_job(tmp_path: Path) -> None:
    async def work(dsm: Dsm) -> None:
        (tmp_path / "jobs").rmdir()
        (tmp_path / "jobs").write_bytes(b"in the way")
        refusal = await dsm.refused("CreatePostScanJob", body=process().request(SID))
        assert refusal.name == "OperationFailed"
        assert dsm.server.jobs == []
        assert dsm.server.engine.repository_state == "Idle"

    on_server(work, output=tmp_path)


def test_no_more_jobs_than_the_limit_and_room_again_afterwards() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        refusal = await dsm.refused("CreatePostScanJob", body=process().request(SID))
        assert (refusal.name, "1" in refusal.reason) == ("OperationFailed", True)
        await dsm.cancel(token)
        await dsm.server.job_over()
        await dsm.create()

    on_server(work, limits=EngineLimits(active=1))


# -- who may -------------------------------------------------------------------------------------------------------


def test_another_user_is_refused_what_is_not_his() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        url = dsm.server.processing_url
        image = dsm.image(token)
        for name, data, pictures in [
            ("SendImage", image["data"], image["pictures"]),
            ("EndPostScanJob", {"job_token": token}, []),
            ("CancelPostScanJob", {"job_token": token}, []),
            ("GetPostScanJobElements", request_for("GetPostScanJobElements", token), []),
        ]:
            answer = await call_from("127.0.0.2", url, name, data, pictures=pictures)
            assert (answer.status, answer.fault is not None) == (403, True), name
        assert await dsm.state(token) == ("Creating", "None")
        assert dsm.server.jobs[0].documents == []
        # The control point is no user of the job.
        answer = await call_from(
            "127.0.0.2", dsm.server.configuration_url, "CancelPostScanJob", {"job_token": token}, "WS-DSC"
        )
        assert answer.name == "CancelPostScanJobResponse"
        await dsm.server.job_over()

    on_server(work)


def test_who_is_no_scan_administrator_cancels_nothing() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        refusal = await dsm.refused("CancelPostScanJob", {"job_token": token}, service="WS-DSC")
        assert refusal.name == "ClientErrorCurrentUserNotScanAdmin"
        await dsm.cancel(token)

    on_server(work, may_manage=lambda call: False)


@pytest.mark.parametrize(("admins", "may"), [(["127.0.0.1"], True), (["ALICE", "127.0.0.2"], False)])
def test_scan_administrators_of_the_command_line(admins: list[str], may: bool) -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        if may:
            await dsm.cancel(token, "WS-DSC")
        else:
            refusal = await dsm.refused("CancelPostScanJob", {"job_token": token}, service="WS-DSC")
            assert refusal.name == "ClientErrorCurrentUserNotScanAdmin"

    on_server(work, may_manage=_managers(admins))


def test_a_user_who_is_not_listed_is_called_by_his_sid() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        found = await dsm.elements(token, "JobDescription")
        assert found[0].get("JobDescription/JobOriginatingUserName") == SID

    on_server(work, users={})


# -- profiles and behaviour ----------------------------------------------------------------------------------------


def test_windows_2008_r2_does_not_answer_unknown_sections() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        for service, name, data in [
            ("WS-DSP", "GetPostScanJobElements", {"job_token": token, **names("WS-DSP", "JobStatus", "{urn:x}Other")}),
            ("WS-DSC", "GetPostScanJobElements", {"job_token": token, **names("WS-DSC", "Nonsense")}),
            ("WS-DSC", "GetRepositoryElements", names("WS-DSC", "{urn:x}Other")),
        ]:
            with pytest.raises(Exception, match="closed"):
                await dsm.send(name, data, service=service)
        refusal = await dsm.refused("GetRepositoryElements", names("WS-DSC", "Nonsense"), service="WS-DSC")
        assert (refusal.name, argument(refusal)) == ("InvalidArgs", "RequestedElements/Name")
        await dsm.elements(token, "JobStatus")

    on_server(work, profile="windows-2008-r2")


def test_other_windows_servers_say_that_a_section_is_not_there() -> None:
    async def work(dsm: Dsm) -> None:
        found = await dsm.elements(await dsm.create(), "JobStatus", "{urn:x}Other")
        assert [one.attributes["Valid"][0] for one in found] == [True, False]

    on_server(work, profile="windows-2012-r2")


def test_a_requested_name_that_is_none() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        for service in ("WS-DSP", "WS-DSC"):
            space = DSP if service == "WS-DSP" else DSC
            body = build(
                f"{'dsp' if service == 'WS-DSP' else 'dsc'}:GetPostScanJobElementsRequest",
                {"job_token": token, "requested_elements": {"name": [QName(space, "JobStatus", "p")]}},
            )
            next(body.iter(f"{{{space}}}Name")).text = "1 2"
            refusal = await dsm.refused("GetPostScanJobElements", body=body, service=service)
            assert refusal.name == "InvalidArgs"

    on_server(work)


def test_an_operation_of_the_other_service_is_not_offered() -> None:
    async def work(dsm: Dsm) -> None:
        refusal = await dsm.refused("GetActiveJobs", service="WS-DSC", url=dsm.server.processing_url)
        assert refusal.name == "ActionNotSupported"

    on_server(work)


def test_a_fault_that_is_ordered_comes_instead_of_the_answer() -> None:
    async def work(dsm: Dsm) -> None:
        token = await dsm.create()
        assert (await dsm.refused(**dsm.image(token))).name == "ServerErrorTemporaryError"
        await dsm.send_image(token)

    on_server(work, "SendImage: fault=ServerErrorTemporaryError, times=1")


def test_a_token_that_is_ordered_is_handed_out_instead() -> None:
    async def work(dsm: Dsm) -> None:
        said = await dsm.create()
        real = dsm.server.jobs[0].token
        assert said != real
        with pytest.raises(Refused, match=OVER):
            await dsm.send_image(said)
        assert await dsm.create() == real  # the one of before
        assert await dsm.create() == "mine"

    on_server(
        work, "CreatePostScanJob: token=unknown, times=1", "CreatePostScanJob: token=stale, after=1, times=1",
        "CreatePostScanJob: token=mine, after=2",
    )  # fmt: skip
