"""WS-DSC without sockets: what the repository says of itself by its profile, and who may cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lxml.etree import _Element as Element

from dissector.base.findings import Severity
from dissector.base.origin import Endpoint
from dissector.catalog import Field, build, check, decode, findings_of
from dissector.http.writer import build_request
from dissector.soap.build import build_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, FTR
from replay.base.clock import ManualClock
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Ignored, Reply, ServicePoint
from replay.devices.scanserver.configuration import Configuration
from replay.devices.scanserver.engine import JobEngine
from replay.devices.scanserver.filters import Places
from replay.devices.scanserver.instructions import Instructions
from replay.devices.scanserver.profiles import PROFILES, Profile
from replay.devices.source import Notice
from replay.net.receiver import HttpReceiver
from replay.net.server import HttpRequest
from replay.soap.caller import read_message
from replay.soap.faults import SoapFault
from tests.support.dsm import ALL_GOOD
from tests.support.loopback import ANYWHERE
from tests.support.postscan import fileshare

HERE = Endpoint("127.0.0.1", 2)
TOKEN = "0f8c2a4e-0000-4000-8000-000000000001"


class Told:
    """In place of an event source."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def notify(self, notice: Notice) -> int:
        """Keep it."""
        self.notices.append(notice)
        return 1

    def bodies(self) -> list[tuple[str, Field]]:
        """Name and what is read of each."""
        return [(one.name, read(one.body(Effects()))) for one in self.notices]


class Service:
    """The service with an engine of its own."""

    def __init__(self, folder: Path, profile: str = "specification", **given: Any) -> None:
        clock = ManualClock()
        self.engine = JobEngine(clock=clock, log=Log(clock), folder=folder, places=Places(), outcomes=ALL_GOOD)
        self.configuration = Configuration(self.engine, profile=PROFILES[profile], **given)
        self.told = Told()
        self.configuration.source = self.told

    async def ask(self, name: str, data: Any = None) -> Field:
        """One request; gives what is read of the answer.

        Raises:
            SoapFault, Ignored: as the service does.
        """
        reply = await self.reply(name, data)
        assert reply.body is not None
        if reply.after is not None:
            reply.after(True)
        return read(reply.body)

    async def reply(self, name: str, data: Any = None) -> Reply:
        """The same, as the service gave it."""
        body = data if isinstance(data, Element) else build(f"dsc:{name}Request", data or {})
        envelope = build_envelope(body, action=f"{DSC}/{name}", message_id="urn:uuid:1")
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/soap+xml")]
        http = HttpReceiver(ANYWHERE, HERE).feed(build_request("POST", "/", headers, envelope), 0)[0]
        message = read_message(http)
        assert message is not None
        call = Call(message, HttpRequest(http, HERE, ANYWHERE), "WS-DSC", name, ServicePoint("/"), Effects())
        return await self.configuration.operations()[name](call)

    def job(self) -> None:
        """A job under way."""
        instructions = Instructions(False, "Invoice", (fileshare(r"\\a\b"),))
        self.engine.create(TOKEN, "P", "Process", "anna@example.com", "S", "owner", instructions)


def read(body: Element) -> Field:
    """What a control point reads; nothing to find fault with."""
    field = decode(body)
    found = [*check(field), *findings_of(field)]
    assert [str(one) for one in found if one.severity in (Severity.ERROR, Severity.WARN)] == []
    return field


def wanted(*names: tuple[str, str]) -> dict[str, Any]:
    return {"requested_elements": {"name": [QName(space, local, "q" if space else "") for space, local in names]}}


def in_service(
    folder: Path, work: Callable[[Service], Awaitable[None]], profile: str = "specification", **given: Any
) -> Service:
    """Run ``work(service)``."""

    async def whole() -> Service:
        service = Service(folder, profile, **given)
        await work(service)
        await service.engine.stop()
        return service

    return asyncio.run(whole())


@pytest.mark.parametrize("filters", [("email", "fileshare", "sharepoint"), ("fileshare",), ()])
def test_the_configuration_lists_the_filters(tmp_path: Path, filters: tuple[str, ...]) -> None:
    async def work(service: Service) -> None:
        answer = await service.ask("GetRepositoryElements", wanted((DSC, "RepositoryConfiguration")))
        data = answer.find("RepositoryElements/ElementData")
        assert data is not None
        assert data.attributes["Valid"][0] is True
        found = data.find_all("RepositoryConfiguration/Filters/Filter/Dialect")
        assert [(one.value.namespace, one.value.local) for one in found] == [(FTR, name) for name in filters]

    in_service(tmp_path, work, filters=filters)


@pytest.mark.parametrize("profile", [name for name, one in PROFILES.items() if not one.ignores_unknown_names])
def test_unknown_sections_are_said_not_to_be_there(tmp_path: Path, profile: str) -> None:
    async def work(service: Service) -> None:
        names = [("urn:x", "RepositoryStatus"), (DSC, "Other"), ("", "RepositoryStatus")]
        answer = await service.ask("GetRepositoryElements", wanted(*names))
        found = answer.find_all("RepositoryElements/ElementData")
        assert [one.attributes["Valid"][0] for one in found] == [False, False, True]
        assert [one.attributes["Name"][0].local for one in found] == [local for _, local in names]

    in_service(tmp_path, work, profile)


@pytest.mark.parametrize(
    ("name", "fault"), [((DSC, "Other"), "InvalidArgs"), (("urn:x", "RepositoryStatus"), None), (("", "Other"), None)]
)
def test_windows_2008_r2_and_unknown_sections(tmp_path: Path, name: tuple[str, str], fault: str | None) -> None:
    async def work(service: Service) -> None:
        data = wanted((DSC, "RepositoryStatus"), name)
        with pytest.raises(SoapFault if fault else Ignored) as refused:
            await service.ask("GetRepositoryElements", data)
        if fault:
            assert refused.value.name == fault

    in_service(tmp_path, work, "windows-2008-r2")


def test_the_state_of_the_repository_and_its_event(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        async def state() -> str:
            answer = await service.ask("GetRepositoryElements", wanted((DSC, "RepositoryStatus")))
            status = answer.find("RepositoryElements/ElementData/RepositoryStatus")
            assert status is not None
            assert status.get("RepositoryStateReasons/RepositoryStateReason") == "None"
            return str(status.get("RepositoryState"))

        assert await state() == "Idle"
        service.job()
        assert await state() == "Processing"
        await service.ask("CancelPostScanJob", {"job_token": TOKEN})
        assert await state() == "Idle"

    told = in_service(tmp_path, work).told.bodies()
    assert [name for name, _ in told] == [
        "RepositoryStatusSummaryEvent", "PostScanJobStatusEvent", "PostScanJobEndStateEvent",
        "RepositoryStatusSummaryEvent",
    ]  # fmt: skip
    states = [body.get("StatusSummary/RepositoryState") for name, body in told if name.startswith("Repository")]
    assert states == ["Processing", "Idle"]


def test_a_cancel_is_carried_out_when_its_answer_is_out(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        service.job()
        reply = await service.reply("CancelPostScanJob", {"job_token": TOKEN})
        job = service.engine.jobs.active(TOKEN)
        assert job is not None
        assert (job.state, job.canceling) == ("Creating", True)
        assert reply.after is not None
        reply.after(False)  # whether or not the answer arrived
        assert job.state == "Canceled"
        with pytest.raises(SoapFault) as refused:
            await service.ask("CancelPostScanJob", {"job_token": TOKEN})
        assert refused.value.name == "ClientErrorJobTokenNotFound"
        assert refused.value.detail is not None
        assert (refused.value.detail.tag, refused.value.detail.text) == (f"{{{DSC}}}JobToken", TOKEN)

    in_service(tmp_path, work)


def test_only_an_administrator_cancels(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        service.job()
        for allowed in (False, True):
            service.configuration._may_manage = lambda call, allowed=allowed: allowed
            if allowed:
                await service.ask("CancelPostScanJob", {"job_token": TOKEN})
                continue
            with pytest.raises(SoapFault) as refused:
                await service.ask("CancelPostScanJob", {"job_token": TOKEN})
            assert refused.value.name == "ClientErrorCurrentUserNotScanAdmin"
        await service.ask("GetActiveJobs")

    assert in_service(tmp_path, work).engine.jobs.ended == 1


def test_jobs_in_lists(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        service.job()
        active = await service.ask("GetActiveJobs")
        assert active.get("ActiveJobs/JobSummary/JobToken") == TOKEN
        assert active.get("ActiveJobs/JobSummary/JobOriginatingUserName") == "anna@example.com"
        assert active.get("ActiveJobs/JobSummary/FilterStatuses/FilterStatus/FilterState") == "Pending"
        assert (await service.ask("GetJobHistory")).find_all("JobHistory/JobSummary") == []

    in_service(tmp_path, work)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_change_is_told_by_those_who_tell_it(tmp_path: Path, profile: str) -> None:
    async def work(service: Service) -> None:
        service.configuration.set_filters(("email",))

    told = in_service(tmp_path, work, profile).told.bodies()
    assert len(told) == (profile == "specification")
    for name, body in told:
        assert name == "RepositoryElementsChangeEvent"
        assert len(body.find_all("ElementChanges/RepositoryConfiguration/Filters/Filter")) == 1


def test_profiles_of_windows_follow_the_notes() -> None:
    """Notes 8, 9, 13 to 18 of MS-BDSRR, section 7."""

    def traits(one: Profile) -> tuple[bool, ...]:
        return (one.token_must_be_guid, one.ignores_unknown_names, one.terminating, one.warnings, one.change_event,
                one.extensions)  # fmt: skip

    assert next(iter(PROFILES)) == "specification"
    assert {name: traits(one) for name, one in PROFILES.items()} == {
        "specification": (False, False, True, True, True, True),
        "windows-2008-r2": (True, True, False, False, False, False),
        "windows-2012-r2": (False, False, False, True, False, True),
        "windows-2016": (False, False, False, True, False, True),
    }
    for name, one in PROFILES.items():
        assert (one.style.server != "") is name.startswith("windows")
        assert one.summary
