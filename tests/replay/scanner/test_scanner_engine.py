"""Paper, jobs, times and conditions of the emulated scanner, without a network."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from dissector.catalog import build, check, decode, findings_of
from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.devices.scanner.device_file import device_of
from replay.devices.scanner.engine import MAX_CONDITIONS, MAX_HISTORY, Condition, Listener, ScannerEngine
from replay.devices.scanner.feeder import Feeder
from replay.devices.scanner.jobs import FINAL, ScanJob, ScanJobTable, date_time, may_follow
from replay.devices.scanner.pages import DrawnPage, Page
from replay.devices.scanner.pages import test_pages as drawn_pages

TICKET = {"job_description": {"job_name": "Test", "job_originating_user_name": "me"}}
STATES = ["Creating", "Pending", "Started", "Processing", "Held", "Terminating", "Completed", "Canceled", "Aborted"]


class Ear(Listener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def job_changed(self, job: ScanJob) -> None:
        self.heard.append(f"{job.job_id} {job.state}")

    def job_ended(self, job: ScanJob) -> None:
        self.heard.append(f"{job.job_id} ended {job.state} {' '.join(job.reasons)}")

    def status_changed(self) -> None:
        self.heard.append("status")

    def condition_set(self, condition: Condition) -> None:
        self.heard.append(f"set {condition.name}")

    def condition_cleared(self, condition: Condition) -> None:
        self.heard.append(f"cleared {condition.name}")

    def elements_changed(self, names: Sequence[str]) -> None:
        self.heard.append(f"changed {' '.join(names)}")


def engine(pages: int = 3, refill: bool = True, quirks: Sequence[Any] = (), **jobs: Any) -> ScannerEngine:
    clock = ManualClock()
    device = device_of({"scanner": {"adf": {"duplex": True}, "platen": {}}, "jobs": jobs, "quirks": list(quirks)})
    made = ScannerEngine(device, Feeder(drawn_pages(pages), refill=refill), clock=clock, ids=Ids(1), log=Log(clock))
    made.listen(Listener())  # one that wants to know nothing
    return made


def clock_of(one: ScannerEngine) -> ManualClock:
    clock = one._clock
    assert isinstance(clock, ManualClock)
    return clock


def numbers(pages: Sequence[Page]) -> list[int]:
    return [one.number for one in pages if isinstance(one, DrawnPage)]


def files(job: ScanJob) -> list[list[int]]:
    return [numbers(one) for one in job.pages]


def create(one: ScannerEngine, source: str = "ADF", images: int = 0, format: str = "jfif", **more: Any) -> ScanJob:
    return one.create(TICKET, {}, source, images, format, **more)


# -- the feeder --------------------------------------------------------------------------------------------------


def test_paper_is_taken_in_order_and_comes_again_when_it_is_used_up() -> None:
    feeder = Feeder(drawn_pages(3))
    assert numbers(feeder.take(2)) == [1, 2]
    feeder.job_over()
    assert numbers(feeder.pages) == [3]
    assert numbers(feeder.take(0)) == [3]
    assert feeder.empty
    feeder.job_over()
    assert numbers(feeder.pages) == [1, 2, 3]
    feeder.load(drawn_pages(1))
    assert numbers(feeder.take(9)) == [1]


def test_without_refilling_what_was_not_scanned_stays() -> None:
    feeder = Feeder(drawn_pages(4), refill=False)
    taken = feeder.take(3)
    feeder.job_over(taken[1:])
    assert numbers(feeder.pages) == [2, 3, 4]
    feeder.take(0)
    feeder.job_over()
    assert feeder.empty


@pytest.mark.parametrize(
    ("source", "images", "format", "expected", "left"),
    [
        ("ADF", 0, "jfif", [[1], [2], [3], [4], [5]], []),
        ("ADF", 2, "jfif", [[1], [2]], [3, 4, 5]),
        ("ADF", 99, "jfif", [[1], [2], [3], [4], [5]], []),
        ("ADF", 0, "pdf-a", [[1, 2, 3, 4, 5]], []),
        ("ADF", 3, "tiff-multi-g4", [[1, 2, 3]], [4, 5]),
        ("ADFDuplex", 2, "jfif", [[1], [2]], [3, 4, 5]),
        ("ADFDuplex", 3, "jfif", [[1], [2], [3]], [5]),
        ("ADFDuplex", 1, "pdf-a", [[1]], [3, 4, 5]),
        ("ADFDuplex", 5, "jfif", [[1], [2], [3], [4], [5]], []),
        ("Platen", 0, "jfif", [[1]], [1, 2, 3, 4, 5]),
        ("Platen", 0, "pdf-a", [[1]], [1, 2, 3, 4, 5]),
        ("Film", 1, "jfif", [[1]], [1, 2, 3, 4, 5]),
    ],
)
def test_the_files_of_a_job(
    source: str, images: int, format: str, expected: list[list[int]], left: list[int]
) -> None:  # fmt: skip
    async def run() -> None:
        one = engine(5)
        assert files(create(one, source, images, format)) == expected
        assert numbers(one.feeder.pages) == left
        one.stop()

    asyncio.run(run())


def test_nothing_is_there() -> None:
    one = engine(0)
    assert [one.empty(source) for source in ("ADF", "ADFDuplex", "Platen", "Film")] == [True] * 4
    one.feeder.platen = drawn_pages(1)[0]
    assert [one.empty(source) for source in ("ADF", "Platen")] == [True, False]


# -- jobs --------------------------------------------------------------------------------------------------------


def test_the_course_of_a_job_as_listeners_hear_it() -> None:
    async def run() -> None:
        one, ear = engine(2), Ear()
        one.listen(ear)
        job = create(one)
        assert (job.state, job.reasons) == ("Pending", ["None"])
        assert numbers(one.begin_image(job)) == [1]
        assert (job.state, job.reasons) == ("Processing", ["JobScanningAndTransferring"])
        one.image_sent(job, 1, "first", sent=True)
        assert numbers(one.begin_image(job)) == [2]
        one.image_sent(job, 1, "second", sent=True)
        assert (job.state, job.reasons, job.scans_completed) == ("Completed", ["None"], 2)
        assert job.documents == ["first", "second"]
        assert ear.heard == [
            "status", "1 Started", "1 Processing", "1 Processing", "1 Completed", "1 ended Completed None", "status",
        ]  # fmt: skip
        # The end comes once, whatever is late.
        one.image_sent(job, 1, "third", sent=False)
        await clock_of(one).advance(100)
        assert ear.heard[-1] == "status"
        assert job.scans_completed == 2

    asyncio.run(run())


@pytest.mark.parametrize("after", [0, 1])
def test_cancelled_and_nothing_after_it(after: int) -> None:
    async def run() -> None:
        one, ear = engine(3), Ear()
        job = create(one)
        for _ in range(after):
            one.begin_image(job)
            one.image_sent(job, 1, "page", sent=True)
        one.listen(ear)
        one.cancel(job, at_device=True)
        assert (job.state, job.reasons, job.over, job.pages) == ("Canceled", ["JobCanceledAtDevice"], True, [])
        await clock_of(one).advance(100)
        assert ear.heard == ["1 Terminating", "1 Canceled", "1 ended Canceled JobCanceledAtDevice", "status"]

    asyncio.run(run())


@pytest.mark.parametrize(("begun", "limit"), [(False, 60), (True, 60)])
def test_time_runs_out(begun: bool, limit: float) -> None:
    async def run() -> None:
        one = engine(3)
        job = create(one)
        if begun:
            await clock_of(one).advance(59)
            one.begin_image(job)
            await clock_of(one).advance(500)  # while an image is under way nothing runs out
            one.image_sent(job, 1, "page", sent=True)
        await clock_of(one).advance(limit - 0.01)
        assert not job.over
        await clock_of(one).advance(0.01)
        assert (job.state, job.reasons) == ("Aborted", ["JobTimedOut"])
        assert job.completed == clock_of(one).time_ns()

    asyncio.run(run())


def test_jobs_at_once() -> None:
    async def run() -> None:
        one = engine(6, active=2)
        first = create(one, images=2)
        assert one.accepting
        second = create(one, images=2, service="WS-DSD")
        assert not one.accepting
        assert [job.job_id for job in one.jobs.active()] == [1, 2]
        assert [job.job_id for job in one.jobs.active("WS-DSD")] == [2]
        assert one.jobs.find(2, "WS-Scan") is None
        assert one.jobs.find(2, "WS-DSD") is second
        assert one.state == ("Processing", ("None",))
        one.cancel(first)
        assert one.accepting
        assert one.state[0] == "Processing"
        one.cancel(second)
        assert one.state == ("Idle", ("None",))
        assert [job.job_id for job in one.jobs.ended()] == [1, 2]

    asyncio.run(run())


def test_only_the_last_jobs_are_remembered() -> None:
    async def run() -> None:
        one = engine(1, history=2)
        for _ in range(4):
            one.cancel(create(one))
        assert [job.job_id for job in one.jobs.ended()] == [3, 4]
        assert one.jobs.find(2) is None

    asyncio.run(run())


def test_numbers_of_jobs_begin_again_after_the_highest_that_can_be() -> None:
    table = ScanJobTable()
    table._last = 0x7FFFFFFF - 1
    assert [table.number(), table.number()] == [0x7FFFFFFF, 1]


def test_states_follow_as_the_table_of_the_sources_has_it() -> None:
    known = {
        "Creating": {"Pending"}, "Pending": {"Started", "Processing", "Held"}, "Started": {"Processing"},
        "Processing": {"Completed"}, "Held": {"Pending"}, "Terminating": {"Canceled", "Aborted"},
    }  # fmt: skip
    for before in ("Creating", "Pending", "Started", "Processing", "Held"):
        known[before] |= {"Terminating", "Aborted", "Canceled"}
    for before, after in itertools.product(STATES, STATES):
        assert may_follow(before, after) is (after in known.get(before, set())), (before, after)


def test_a_job_cannot_go_where_none_can_go() -> None:
    job = ScanJob(1, "token", TICKET, {}, [], 0, state="Completed")
    with pytest.raises(ValueError, match="from Completed to Pending"):
        job.go("Pending")


STEPS = st.lists(
    st.sampled_from(["create", "begin", "sent", "broken", "cancel", "wait", "jam", "clear"]), max_size=40
)  # fmt: skip


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_jobs_keep_to_their_states_and_end_once(steps: list[str]) -> None:
    async def run() -> None:
        one, ear = engine(3, active=2), Ear()
        one.listen(ear)
        jobs: list[ScanJob] = []
        for step in steps:
            job = next((job for job in jobs if not job.over), None)
            if step == "create" and one.accepting and not one.empty("ADF"):
                jobs.append(create(one, images=2))
            elif step == "begin" and job is not None and job.pages and not job.rendering:
                one.begin_image(job)
            elif step in ("sent", "broken") and job is not None and job.rendering:
                one.image_sent(job, 1, "page", sent=step == "sent")
            elif step == "cancel" and job is not None:
                one.cancel(job)
            elif step == "wait":
                await clock_of(one).advance(61)
            elif step == "jam":
                one.set_condition("MediaJam", "ADF", "Critical")
            elif step == "clear" and one.conditions:
                one.clear_condition(min(one.conditions))
        for job in [job for job in jobs if not job.over]:
            one.cancel(job)
        for job in jobs:
            told = [line for line in ear.heard if line.startswith(f"{job.job_id} ")]
            assert job.state in FINAL
            assert sum("ended" in line for line in told) == 1
            assert "ended" in told[-1]
            states = ["Pending", *(line.split()[1] for line in told[:-1])]
            for before, after in itertools.pairwise(states):
                # A file more is told in the same state.
                assert may_follow(before, after) or before == after == "Processing", states
        assert one.jobs.active() == []

    asyncio.run(run())


# -- quirks ------------------------------------------------------------------------------------------------------


def test_busy_after_a_job() -> None:
    async def run() -> None:
        for quirk, seconds in (("busy-after-job", 30.0), ({"busy-after-job": 7}, 7.0)):
            one = engine(1, quirks=[quirk])
            one.cancel(create(one))
            assert (one.accepting, one.state[0]) == (False, "Idle")
            await clock_of(one).advance(seconds)
            assert one.accepting

    asyncio.run(run())


def test_a_job_that_stays_processing_unless_the_client_hangs_up() -> None:
    async def run() -> None:
        for quirks, lasts, seconds in (
            (["stays-processing"], True, 10.0), (["stays-processing"], False, 0.0), ([], True, 0.0),
        ):  # fmt: skip
            one = engine(1, quirks=quirks)
            job = create(one)
            one.begin_image(job)
            one.image_sent(job, 1, "page", sent=True, lasts=lasts)
            assert job.over is (seconds == 0)
            assert one.accepting is (seconds == 0)
            await clock_of(one).advance(seconds)
            assert (job.state, one.accepting) == ("Completed", True)

    asyncio.run(run())


def test_a_job_that_stays_processing_can_be_cancelled() -> None:
    async def run() -> None:
        one = engine(1, quirks=["stays-processing"])
        job = create(one)
        one.begin_image(job)
        one.image_sent(job, 1, "page", sent=True, lasts=True)
        one.cancel(job)
        await clock_of(one).advance(20)
        assert job.state == "Canceled"

    asyncio.run(run())


# -- state and conditions ----------------------------------------------------------------------------------------


def test_state_and_reasons() -> None:
    one, ear = engine(), Ear()
    one.listen(ear)
    one.set_condition("InputTrayEmpty", "ADF", "Informational")
    assert one.state == ("Idle", ("None",))  # a name of conditions, but of no reason
    one.set_condition("CoverOpen", "ADF", "Warning")
    one.set_condition("CoverOpen", "Platen", "Warning")
    assert one.state == ("Idle", ("CoverOpen",))
    one.set_condition("MediaJam", "ADF", "Critical")
    assert one.state == ("Stopped", ("CoverOpen", "MediaJam", "AttentionRequired"))
    assert not one.accepting
    one.pause()
    assert one.state == ("Stopped", ("CoverOpen", "MediaJam", "Paused"))
    for number in list(one.conditions):
        one.clear_condition(number)
    assert one.state == ("Stopped", ("Paused",))
    one.pause(False)
    assert one.state == ("Idle", ("None",))
    assert [line for line in ear.heard if line != "status"] == [
        "set InputTrayEmpty", "set CoverOpen", "set CoverOpen", "set MediaJam", "cleared InputTrayEmpty",
        "cleared CoverOpen", "cleared CoverOpen", "cleared MediaJam",
    ]  # fmt: skip


def test_conditions_are_bounded_and_their_numbers_not_used_again() -> None:
    one = engine()
    for _ in range(MAX_CONDITIONS + 30):
        one.set_condition("MultipleFeedError")
    assert len(one.conditions) == MAX_CONDITIONS
    assert max(one.conditions) == MAX_CONDITIONS + 30
    assert len(one.history) == MAX_HISTORY
    assert one.history[0].number == 30
    body = decode(build("wscn:ScannerStatus", one.status()))
    assert [*check(body), *findings_of(body)] == []


def test_other_sections() -> None:
    one, ear = engine(), Ear()
    one.listen(ear)
    one.redescribe()
    assert ear.heard == []
    ticket = {**one.device.default_ticket, "job_description": {"job_name": "x", "job_originating_user_name": ""}}
    one.redescribe(default_ticket=ticket, description=one.device.description)
    assert one.device.default_ticket == ticket
    assert ear.heard == ["changed ScannerDescription DefaultScanTicket"]
    with pytest.raises(UsageError):
        one.redescribe(configuration={"nonsense": 1})
    assert ear.heard == ["changed ScannerDescription DefaultScanTicket"]


def test_waiting_for_a_change() -> None:
    async def run() -> None:
        one = engine()
        waiting = asyncio.create_task(one.wait_for(lambda: len(one.jobs.ended()) == 1))
        await asyncio.sleep(0)
        job = create(one)
        await asyncio.sleep(0)
        assert not waiting.done()
        one.cancel(job)
        await waiting
        await one.wait_for(lambda: True)

    asyncio.run(run())


def test_times_are_those_of_the_clock() -> None:
    async def run() -> None:
        one = engine()
        job = create(one)
        await clock_of(one).advance(3)
        one.cancel(job)
        status = job.status()
        assert status["job_created_time"] == "2023-11-14T22:13:20Z"
        assert status["job_completed_time"] == "2023-11-14T22:13:23Z"
        assert one.status()["scanner_current_time"] == date_time(clock_of(one).time_ns()) == "2023-11-14T22:13:23Z"

    asyncio.run(run())
