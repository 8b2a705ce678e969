"""How jobs end, and what the scan server tells of it: states, filters, order of the events, profiles, the capture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dissector
from dissector.base.findings import Severity
from dissector.soap.namespaces import DSC, DSP, PSP
from replay.base.clock import ManualClock
from replay.devices.scanserver import outcome
from replay.devices.scanserver.filters import CANCELED, SUCCESS, FilterJob, FilterResult, Outcome
from replay.devices.scanserver.instructions import FilterInstructions
from tests.support.dsm import ALL_GOOD, SID, Dsm, end_of, process, serving, token_of
from tests.support.loopback import run, until
from tests.support.postscan import email, fileshare, sharepoint

SHARE, MAIL, SITE = fileshare(r"\\files.example.com\scans"), email("a@example.com"), sharepoint("http://a/b")
UNKNOWN = FilterInstructions("urn:example:shredder")
FAILED = Outcome("CompletedWithErrors", ("UnknownError",))
WARNED = Outcome("CompletedWithWarnings", ("UnknownError",))
STATUS, END = "PostScanJobStatusEvent", "PostScanJobEndStateEvent"


def on_server(work: Callable[[Dsm], Awaitable[None]], *rules: str, **given: Any) -> None:
    """Run ``work(dsm)`` with a server."""

    async def whole() -> None:
        async with serving(*rules, **given) as dsm:
            await work(dsm)

    run(whole())


class Gate:
    """A file share filter that runs until it is let go, or cancelled and let go."""

    def __init__(self) -> None:
        self.running = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        """Let it go."""
        self._open.set()

    async def run(self, instructions: FilterInstructions, job: FilterJob, places: Any) -> FilterResult:
        """The filter."""
        self.running += 1
        await self._open.wait()
        return FilterResult(CANCELED if job.canceled() else SUCCESS)


@contextmanager
def gated(dsm: Dsm) -> Iterator[Gate]:
    """File share filters wait at a gate."""
    gate = Gate()
    dsm.server.engine.outcomes.pop("fileshare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(outcome._RUN, "fileshare", gate.run)
        yield gate


# -- the order -----------------------------------------------------------------------------------------------------


def test_every_change_is_told_once_and_in_order_to_the_subscribers_of_both_services() -> None:
    async def work(dsm: Dsm) -> None:
        device, console = await dsm.subscribe("WS-DSP"), await dsm.subscribe("WS-DSC")
        other = await dsm.subscribe("WS-DSP")
        token = await dsm.job(process(SHARE, MAIL), images=2)
        await dsm.ended(token, console)
        await dsm.drained()
        wait, done = "Pending", "CompletedSuccessfully"
        said = [
            f"Creating 0 fileshare={wait} email={wait}",
            f"Creating 1 fileshare={wait} email={wait}",
            f"Creating 2 fileshare={wait} email={wait}",
            f"Pending 2 fileshare={wait} email={wait}",
            f"Processing 2 fileshare={wait} email={wait}",
            f"Processing 2 fileshare=Processing email={wait}",
            f"Processing 2 fileshare={done} email={wait}",
            f"Processing 2 fileshare={done} email=Processing",
            f"Processing 2 fileshare={done} email={done}",
            f"Completed 2 fileshare={done} email={done}",
            "end Completed",
        ]
        assert dsm.story(device) == dsm.story(other) == dsm.story(console, token) == said
        assert dsm.story(console) == ["repository Processing", *said, "repository Idle"]
        for sink, space in ((device, DSP), (console, DSC)):
            assert {(one.action or "").rpartition("/")[0] for one in dsm.told[sink]} == {space}
            assert {one.body.namespace for one in dsm.told[sink] if one.body is not None} == {space}

    on_server(work)


def test_the_end_comes_after_the_answer_that_led_to_it() -> None:
    seen: list[str] = []

    async def work(dsm: Dsm) -> None:
        dsm.server.log.add(
            lambda one: (
                seen.append(one.text.split()[0] if one.kind == "event" else one.facts.get("message", "?"))
                if one.kind == "event" or (one.kind == "sent" and "PostScanJob" in one.text)
                else None
            )
        )
        await dsm.subscribe("WS-DSP")
        await dsm.ended(await dsm.job(images=0))
        token = await dsm.create()
        await dsm.cancel(token)
        await dsm.ended(token)

    on_server(work)
    first = seen.index(END)
    assert seen[: first + 1] == [
        "CreatePostScanJobResponse", STATUS, "EndPostScanJobResponse", STATUS, STATUS, STATUS, STATUS, STATUS, END,
    ]  # fmt: skip
    assert seen[first + 1 :] == ["CreatePostScanJobResponse", STATUS, "CancelPostScanJobResponse", STATUS, END]


@pytest.mark.parametrize(("how", "state"), [("End", "Pending"), ("Cancel", "Creating")])
def test_nothing_is_told_while_the_answer_is_still_on_its_way(how: str, state: str) -> None:
    clock = ManualClock()

    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        token = await dsm.create()
        answer = asyncio.create_task(dsm.ask(f"{how}PostScanJob", {"job_token": token}))
        await until(lambda: clock.next_due is not None and clock.next_due < 1)  # the answer trickles
        await dsm.drained()
        assert [one.split()[0] for one in dsm.story()] == ["Creating"]
        assert dsm.server.jobs[0].state == state
        assert (await dsm.refused(**dsm.image(token))).name == (
            "OperationFailed" if how == "End" else "ServerErrorPostScanJobCanceled"
        )
        while not answer.done():
            await clock.advance(1)
        await clock.advance(1)
        await dsm.ended(token)

    on_server(work, f"{how}PostScanJob: slow=100", clock=clock)


@pytest.mark.parametrize(("wanted", "lines"), [(STATUS, 7), (END, 1), ("RepositoryStatusSummaryEvent", 2)])
def test_a_subscriber_gets_what_it_asked_for(wanted: str, lines: int) -> None:
    async def work(dsm: Dsm) -> None:
        everything = await dsm.subscribe("WS-DSC")
        sink = await dsm.subscribe("WS-DSC", wanted)
        await dsm.job(images=1)
        await dsm.until(lambda: dsm.story(everything)[-1:] == ["repository Idle"])
        await dsm.drained()
        assert {one.name for one in dsm.told[sink]} == {wanted}
        assert len(dsm.told[sink]) == lines

    on_server(work)


def test_several_jobs_at_once_are_told_apart() -> None:
    async def work(dsm: Dsm) -> None:
        sink, console = await dsm.subscribe("WS-DSP"), await dsm.subscribe("WS-DSC")
        with gated(dsm) as gate:
            tokens = await asyncio.gather(*(dsm.job(images=number) for number in range(4)))
            await until(lambda: gate.running == 4)
            await dsm.cancel(tokens[3], "WS-DSC")
            gate.open()
            for token in tokens:
                await dsm.ended(token, sink)
                await dsm.ended(token, console)
        assert [end_of(dsm.ends(token, sink)[0])[0] for token in tokens] == [*["Completed"] * 3, "Canceled"]
        counts = [dsm.ends(token)[0].get("PostScanJobEndState/ImagesReceived") for token in tokens]
        assert counts == [0, 1, 2, 3]
        await dsm.until(lambda: "repository Idle" in dsm.story(console))
        states = [one for one in dsm.story(console) if one.startswith("repository")]
        assert states == ["repository Processing", "repository Idle"]

    on_server(work)


# -- end states ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "outcomes", "go_on", "state", "reason", "ends"),
    [
        ((SHARE, MAIL), {}, None, "Completed", "CompletedSuccessfully", ["good", "good"]),
        ((SHARE, MAIL), {"fileshare": WARNED}, None, "Completed", "CompletedWithWarnings", ["warned", "good"]),
        ((SHARE, MAIL), {"email": FAILED}, None, "Completed", "CompletedWithErrors", ["good", "failed"]),
        ((SHARE, MAIL), {"fileshare": FAILED}, True, "Completed", "CompletedWithErrors", ["failed", "good"]),
        ((SHARE, MAIL), {"fileshare": FAILED}, False, "Aborted", "ProcessingFailed", ["failed", "Canceled"]),
        ((SHARE, MAIL), {"fileshare": Outcome(CANCELED)}, True, "Canceled", "Canceled", ["Canceled", "good"]),
        ((SHARE,), {"fileshare": Outcome("acme:Odd", ("acme:Why",))}, None, "Completed", "None", ["acme:Odd acme:Why"]),
        ((UNKNOWN,), {}, None, "Aborted", "NoValidPostScanInstructionsFound", ["unknown"]),
        ((UNKNOWN, SITE), {}, True, "Completed", "CompletedWithErrors", ["unknown", "good"]),
        ((UNKNOWN, SITE), {}, None, "Aborted", "ProcessingFailed", ["unknown", "Canceled"]),
    ],
)
def test_the_end_state_follows_the_filters(
    filters: tuple[FilterInstructions, ...], outcomes: dict[str, Outcome], go_on: bool | None, state: str, reason: str,
    ends: list[str],
) -> None:  # fmt: skip
    words = {
        "good": "CompletedSuccessfully", "warned": "CompletedWithWarnings UnknownError",
        "failed": "CompletedWithErrors UnknownError", "unknown": "CompletedWithErrors InvalidArgs",
    }  # fmt: skip

    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        known = [one if one.kind else SITE for one in filters]
        body = process(*known, continue_on_error=go_on).request(SID)
        for one, dialect in zip(filters, list(body.iter(f"{{{PSP}}}Dialect")), strict=True):
            dialect.text = one.dialect
        token = str((await dsm.ask("CreatePostScanJob", body=body)).get("JobToken"))
        await dsm.send_image(token)
        await dsm.end(token)
        told, reasons, said = end_of(await dsm.ended(token))
        assert (told, [one.removeprefix("PostScanJob") for one in reasons]) == (state, [reason])
        due = zip(filters, ends, strict=True)
        assert said == [f"{one.kind or one.dialect} {words.get(end, end)}" for one, end in due]
        assert await dsm.state(token) == (state, reasons[0])

    on_server(work, outcomes={**ALL_GOOD, **outcomes})


def test_a_server_without_warnings_calls_them_nothing() -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        token = await dsm.job()
        assert end_of(await dsm.ended(token))[:2] == ("Completed", ["None"])

    on_server(work, profile="windows-2008-r2", outcomes={"fileshare": WARNED})


@pytest.mark.parametrize("service", ["WS-DSP", "WS-DSC"])
def test_canceled_before_its_end(service: str) -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        token = await dsm.create()
        await dsm.send_image(token)
        await dsm.cancel(token, service)
        assert end_of(await dsm.ended(token)) == ("Canceled", ["PostScanJobCanceled"], ["fileshare Canceled"])
        assert dsm.story()[-2:] == ["Canceled 1 fileshare=Canceled", "end Canceled"]

    on_server(work)


@pytest.mark.parametrize(
    ("profile", "between"),
    [("specification", ["Terminating"]), ("windows-2008-r2", []), ("windows-2012-r2", []), ("windows-2016", [])],
)
def test_canceled_while_its_filters_run(profile: str, between: list[str]) -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        with gated(dsm) as gate:
            token = await dsm.job(process(SHARE, MAIL))
            await until(lambda: gate.running)
            await dsm.cancel(token)
            await dsm.cancel(token, "WS-DSC")  # once more does no harm
            assert (await dsm.refused(**dsm.image(token, 2))).name == "ServerErrorPostScanJobCanceled"
            assert await dsm.state(token) == (
                ("Terminating", "PostScanJobCanceled") if between else ("Processing", "None")
            )
            gate.open()
            end = end_of(await dsm.ended(token))
        assert end == ("Canceled", ["PostScanJobCanceled"], ["fileshare Canceled", "email Canceled"])
        states = [one.split()[0] for one in dsm.story()]
        assert [one for one in dict.fromkeys(states) if one != "end"] == [
            "Creating", "Pending", "Processing", *between, "Canceled",
        ]  # fmt: skip

    on_server(work, profile=profile)


def test_canceled_between_two_filters_the_second_never_runs() -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        with gated(dsm) as gate:
            token = await dsm.job(process(MAIL, SHARE, SITE))
            await until(lambda: gate.running)
            await dsm.cancel(token)
            gate.open()
            end = end_of(await dsm.ended(token))
        assert end[2] == ["email CompletedSuccessfully", "fileshare Canceled", "sharepoint Canceled"]

    on_server(work)


def test_a_failure_of_ours_ends_the_job_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*given: Any) -> FilterResult:
        raise RuntimeError("a fault of ours")

    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        dsm.server.engine.outcomes.clear()
        monkeypatch.setitem(outcome._RUN, "fileshare", broken)
        end = end_of(await dsm.ended(await dsm.job()))
        assert end == ("Aborted", ["PostScanJobProcessingFailed"], ["fileshare Canceled"])

    on_server(work)


# -- ten minutes ---------------------------------------------------------------------------------------------------


def test_ten_minutes_after_the_creation_the_job_is_aborted() -> None:
    clock = ManualClock()

    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        token = await dsm.create()
        await clock.advance(599.9)
        assert await dsm.state(token) == ("Creating", "None")
        await clock.advance(0.2)
        assert end_of(await dsm.ended(token)) == ("Aborted", ["PostScanJobTimedOut"], ["fileshare Canceled"])
        assert (await dsm.refused(**dsm.image(token))).name == "ClientErrorJobTokenNotFound"

    on_server(work, clock=clock)


def test_each_image_begins_the_ten_minutes_anew_and_the_end_stops_them() -> None:
    clock = ManualClock()

    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        with gated(dsm) as gate:
            token = await dsm.create()
            for number in (1, 2):
                await clock.advance(400)
                await dsm.send_image(token, number)
            await clock.advance(599)
            await dsm.end(token)
            await until(lambda: gate.running)
            await clock.advance(2000)
            assert await dsm.state(token) == ("Processing", "None")
            gate.open()
            assert end_of(await dsm.ended(token))[0] == "Completed"

    on_server(work, clock=clock)


# -- behaviour -----------------------------------------------------------------------------------------------------


def test_an_end_state_of_a_vendor_by_the_request() -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        console = await dsm.subscribe("WS-DSC")
        token = await dsm.job()
        for sink in ("1", console):
            end = end_of(await dsm.ended(token, sink))
            assert end == ("vendor:Parked", ["vendor:Late"], ["fileshare CompletedSuccessfully"])
        assert await dsm.state(token) == ("vendor:Parked", "vendor:Late")
        assert dsm.story()[-2:] == ["vendor:Parked 1 fileshare=CompletedSuccessfully", "end vendor:Parked"]
        await dsm.server.job_over()
        assert [one.state for one in dsm.server.jobs] == ["vendor:Parked"]

    on_server(work, "EndPostScanJob: end_state=vendor:Parked|vendor:Late")


def test_an_end_state_of_a_vendor_in_the_event_only() -> None:
    async def work(dsm: Dsm) -> None:
        await dsm.subscribe("WS-DSP")
        token = await dsm.job()
        assert end_of(await dsm.ended(token))[:2] == ("vendor:Parked", ["vendor:Late"])
        assert await dsm.state(token) == ("Completed", "PostScanJobCompletedSuccessfully")

    on_server(work, "PostScanJobEndStateEvent: end_state=vendor:Parked|vendor:Late", lenient=True)


def test_events_are_lost_doubled_and_misdirected_as_ordered() -> None:
    async def work(dsm: Dsm) -> None:
        device, console = await dsm.subscribe("WS-DSP"), await dsm.subscribe("WS-DSC")
        token = await dsm.job()
        await dsm.until(lambda: len(dsm.ends(token, device)) == 2)
        await dsm.until(lambda: dsm.story(console)[-1:] == ["repository Idle"])
        await dsm.drained()
        assert not [one for one in dsm.story(device) if one.startswith("Processing")]
        assert dsm.ends(token, console) == []
        odd = [token_of(one) for one in dsm.told[console] if one.name == END]
        assert len(odd) == 1
        assert odd[0] != token

    on_server(
        work, "WS-DSP.PostScanJobStatusEvent: lost, where.job_state=Processing",
        "WS-DSP.PostScanJobEndStateEvent: doubled", "WS-DSC.PostScanJobEndStateEvent: token=unknown", lenient=True,
    )  # fmt: skip


# -- the repository ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "told"), [("specification", 2), ("windows-2016", 0)])
def test_a_change_of_the_configuration_is_told_where_the_profile_does(profile: str, told: int) -> None:
    async def work(dsm: Dsm) -> None:
        sink = await dsm.subscribe("WS-DSC")
        for filters in (("email",), ()):
            dsm.server.configuration.set_filters(filters)
        await dsm.drained()
        assert [one.name for one in dsm.told[sink]] == ["RepositoryElementsChangeEvent"] * told
        if told:
            body = dsm.told[sink][0].body
            assert body is not None
            found = body.find_all("ElementChanges/RepositoryConfiguration/Filters/Filter/Dialect")
            assert [one.text for one in found] == ["ftr:email"]

    on_server(work, profile=profile)


# -- stopping ------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_leaves_jobs_as_they_are_and_nothing_behind(tmp_path: Path) -> None:
    async def work(dsm: Dsm) -> None:
        with gated(dsm) as gate:
            await dsm.create()
            await dsm.job()
            await until(lambda: gate.running)
            waiting = asyncio.create_task(dsm.server.job_over(9))
            await asyncio.sleep(0)
            folder = dsm.server.output
            assert folder.is_dir()
            await dsm.server.__aexit__(None, None, None)
            assert not folder.exists()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert [one.state for one in dsm.server.jobs] == ["Creating", "Processing"]

    on_server(work)


# -- the capture ---------------------------------------------------------------------------------------------------


def test_the_capture_of_it_all_tells_the_same_story_and_has_no_faults(tmp_path: Path) -> None:
    file = tmp_path / "server.pcapng"
    clock = ManualClock()
    ended: dict[str, tuple[str, list[str], list[str]]] = {}

    async def work(dsm: Dsm) -> None:
        device, console = await dsm.subscribe("WS-DSP"), await dsm.subscribe("WS-DSC")

        async def note(token: str) -> None:
            ended[token] = end_of(await dsm.ended(token, device))
            await dsm.ended(token, console)

        await note(await dsm.job(process(SHARE, MAIL), images=3))
        await note(await dsm.job(process(SITE)))
        await note(await dsm.job(process(SITE, MAIL)))
        await note(await dsm.job(process(SITE, SHARE, continue_on_error=True)))
        token = await dsm.create()
        await dsm.send_image(token, 5)
        await dsm.cancel(token)
        await note(token)
        await dsm.elements(token, "JobStatus", "JobDescription", "Documents")
        with gated(dsm) as gate:
            token = await dsm.job()
            await until(lambda: gate.running)
            await dsm.cancel(token, "WS-DSC")
            gate.open()
            await note(token)
        for name in ("GetActiveJobs", "GetJobHistory"):
            await dsm.ask(name, service="WS-DSC")
        await dsm.ask(
            "GetRepositoryElements", {"requested_elements": {"name": ["dsc:RepositoryConfiguration"]}}, service="WS-DSC"
        )

    on_server(
        work, "EndPostScanJob: end_state=vendor:Parked|vendor:Late, after=1, times=1", pcap=file, clock=clock,
        outcomes={**ALL_GOOD, "sharepoint": FAILED},
    )  # fmt: skip
    assert [state for state, _, _ in ended.values()] == [
        "Completed", "vendor:Parked", "Aborted", "Completed", "Canceled", "Canceled",
    ]  # fmt: skip
    with dissector.open(file) as capture:
        bad = (Severity.ERROR, Severity.WARN)
        messages = list(capture.messages)
        assert [str(it) for one in messages for it in one.all_findings() if it.severity in bad] == []
        told = [*capture.jobs, *capture.exchanges, *capture.subscriptions, *capture.events]
        found = [*capture.findings, *(it for one in told for it in one.findings)]
        # That filters and jobs failed is news of them, not a fault of the server.
        assert {it.rule for it in found if it.severity in bad} == {"job.filter-failed", "job.ended-badly"}
        assert capture.exchanges
        assert len(capture.subscriptions) == 2
        jobs = {job.id: job for job in capture.jobs}
        assert set(jobs) == set(ended)
        for token, (state, reasons, _) in ended.items():
            job = jobs[token]
            assert (job.completed_state, job.completed_state_reasons) == (state, reasons)
            assert job.user_sid == SID
