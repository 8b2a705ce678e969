"""What happens to post-scan jobs, without sockets and with time standing still."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from replay.base.clock import ManualClock
from replay.base.log import Log
from replay.devices.scanserver import outcome
from replay.devices.scanserver.engine import EngineLimits, JobEngine, Listener
from replay.devices.scanserver.filters import SUCCESS, FilterJob, FilterResult, Outcome, Places
from replay.devices.scanserver.instructions import FilterInstructions, Instructions
from replay.devices.scanserver.jobs import Document, PostScanJob
from tests.support.dsm import ALL_GOOD
from tests.support.postscan import email, fileshare

TOKEN = "0f8c2a4e-0000-4000-8000-00000000000{}"
SHARE, MAIL = fileshare(r"\\a\b"), email("a@example.com")


class Story(Listener):
    """What was told, one line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, job: PostScanJob) -> None:
        filters = " ".join(one.state for one in job.filters)
        self.lines.append(f"{job.state} {len(job.documents)} {filters}")

    def ended(self, job: PostScanJob) -> None:
        self.lines.append(f"end {job.state} {job.reasons[0]}")

    def repository(self, state: str) -> None:
        self.lines.append(f"repository {state}")

    @property
    def states(self) -> list[str]:
        """The states only, each once."""
        return list(dict.fromkeys(one.split()[0] for one in self.lines))


class Lab:
    """An engine with its clock and its listener."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.clock = ManualClock()
        self.log = Log(self.clock)
        self.story = Story()
        given.setdefault("outcomes", ALL_GOOD)
        self.engine = JobEngine(clock=self.clock, log=self.log, folder=folder, places=Places(), **given)
        self.engine.listen(self.story)
        self._made = 0

    def create(self, *filters: FilterInstructions, go_on: bool = False) -> PostScanJob:
        """A job that was told of."""
        self._made += 1
        instructions = Instructions(go_on, "Invoice", filters or (SHARE,))
        job = self.engine.create(TOKEN.format(self._made), "P", "Process", "anna", "S", "owner", instructions)
        self.engine.announce(job)
        return job

    def image(self, job: PostScanJob, number: int = 1, *, size: int = 3) -> None:
        """An image that is there at once."""
        self.engine.image_begins(job, number, size)
        self.engine.image_ends(job, number, Document(number, "png", job.folder, size))

    async def finish(self, job: PostScanJob, outcome: tuple[str, tuple[str, ...]] | None = None) -> None:
        """EndPostScanJob with all that comes of it."""
        self.engine.end(job, outcome)
        self.engine.process(job)
        await self.clock.settle()


def in_lab(folder: Path, work: Callable[[Lab], Awaitable[None]], **given: Any) -> Lab:
    """Run ``work(lab)``."""

    async def whole() -> Lab:
        lab = Lab(folder, **given)
        await work(lab)
        await lab.engine.stop()
        return lab

    return asyncio.run(whole())


def test_a_job_from_its_creation_to_its_end(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create(SHARE, MAIL)
        assert job.folder.is_dir()
        lab.image(job)
        await lab.finish(job)
        assert job.completed == lab.clock.time_ns()

    assert in_lab(tmp_path, work).story.lines == [
        "repository Processing",
        "Creating 0 Pending Pending",
        "Creating 1 Pending Pending",
        "Pending 1 Pending Pending",
        "Processing 1 Pending Pending",
        "Processing 1 Processing Pending",
        "Processing 1 CompletedSuccessfully Pending",
        "Processing 1 CompletedSuccessfully Processing",
        "Processing 1 CompletedSuccessfully CompletedSuccessfully",
        "Completed 1 CompletedSuccessfully CompletedSuccessfully",
        "end Completed PostScanJobCompletedSuccessfully",
        "repository Idle",
    ]


def test_nothing_runs_and_nothing_is_told_before_the_answer_to_the_end_is_out(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        told = len(lab.story.lines)
        lab.engine.end(job)
        await lab.clock.settle()
        assert (job.state, len(lab.story.lines)) == ("Pending", told)
        lab.engine.process(job)
        lab.engine.process(job)
        await lab.clock.settle()
        assert lab.story.lines.count("end Completed PostScanJobCompletedSuccessfully") == 1

    in_lab(tmp_path, work)


def test_the_repository_is_idle_when_the_last_job_is_over(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        assert lab.engine.repository_state == "Idle"
        one, two = lab.create(), lab.create()
        assert lab.engine.repository_state == "Processing"
        lab.engine.cancel(one)
        assert lab.engine.repository_state == "Processing"
        lab.engine.cancel(two)
        assert lab.engine.repository_state == "Idle"

    lines = in_lab(tmp_path, work).story.lines
    assert [one for one in lines if one.startswith("repository")] == ["repository Processing", "repository Idle"]
    assert lines[-1] == "repository Idle"


# -- ten minutes ---------------------------------------------------------------------------------------------------


def test_the_ten_minutes(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        await lab.clock.advance(599)
        assert not job.over
        await lab.clock.advance(1)
        assert (job.state, job.reasons) == ("Aborted", ["PostScanJobTimedOut"])
        assert [one.state for one in job.filters] == ["Canceled"]
        assert lab.clock.next_due is None

    assert in_lab(tmp_path, work).story.lines[-3:] == [
        "Aborted 0 Canceled", "end Aborted PostScanJobTimedOut", "repository Idle",
    ]  # fmt: skip


@pytest.mark.parametrize("kept", [True, False])
def test_an_image_begins_them_anew_and_they_stand_still_while_it_is_written(tmp_path: Path, kept: bool) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        await lab.clock.advance(500)
        lab.engine.image_begins(job, 1, 3)
        lab.engine.image_begins(job, 2, 3)
        await lab.clock.advance(5000)
        lab.engine.image_ends(job, 1, Document(1, "png", Path(), 3) if kept else None)
        await lab.clock.advance(5000)
        lab.engine.image_ends(job, 2, Document(2, "png", Path(), 3) if kept else None)
        await lab.clock.advance(599)
        assert job.state == "Creating"
        await lab.clock.advance(1)
        assert job.reasons == ["PostScanJobTimedOut"]

    in_lab(tmp_path, work)


def test_the_end_stops_them(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.finish(lab.create())
        assert lab.clock.next_due is None

    in_lab(tmp_path, work)


# -- cancel --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["Creating", "Pending"])
def test_a_cancel_before_the_filters_run_ends_the_job_at_once(tmp_path: Path, state: str) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        if state == "Pending":
            lab.engine.end(job)
            lab.engine.process(job)
        lab.engine.cancel(job)
        assert (job.state, job.reasons, job.canceling) == ("Canceled", ["PostScanJobCanceled"], True)
        lab.engine.cancel(job)
        lab.engine.process(job)
        await lab.clock.settle()
        assert lab.clock.next_due is None

    assert in_lab(tmp_path, work).story.lines[-3:] == [
        "Canceled 0 Canceled", "end Canceled PostScanJobCanceled", "repository Idle",
    ]  # fmt: skip


@pytest.mark.parametrize("terminating", [True, False])
def test_a_cancel_while_they_run_waits_for_them(
    tmp_path: Path, terminating: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(lab: Lab) -> None:
        gate = asyncio.Event()

        async def waits(instructions: FilterInstructions, job: FilterJob, places: Places) -> FilterResult:
            await gate.wait()
            assert job.canceled()
            return FilterResult(SUCCESS)

        monkeypatch.setitem(outcome._RUN, "fileshare", waits)
        job = lab.create(SHARE, MAIL)
        await lab.finish(job)
        lab.engine.cancel(job)
        lab.engine.cancel(job)
        assert job.state == ("Terminating" if terminating else "Processing")
        gate.set()
        await lab.clock.settle()
        assert [one.state for one in job.filters] == ["CompletedSuccessfully", "Canceled"]
        assert (job.state, job.reasons) == ("Canceled", ["PostScanJobCanceled"])

    story = in_lab(tmp_path, work, outcomes={}, terminating=terminating).story
    assert ("Terminating" in story.states) is terminating
    assert sum(one.startswith("end") for one in story.lines) == 1


# -- other ends ----------------------------------------------------------------------------------------------------


def test_an_end_that_was_ordered(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        await lab.finish(job, ("vendor:Parked", ("vendor:Late",)))
        assert (job.state, job.reasons) == ("vendor:Parked", ["vendor:Late"])
        other = lab.create()
        await lab.finish(other, ("vendor:Parked", ()))
        assert other.reasons == ["None"]

    in_lab(tmp_path, work)


def test_a_job_that_lacks_an_image_is_aborted_unless_the_image_came_again(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        for again in (False, True):
            job = lab.create()
            lab.image(job, 1)
            lab.engine.image_begins(job, 2, 3)
            lab.engine.image_ends(job, 2, None)
            if again:
                lab.image(job, 2)
            await lab.finish(job)
            assert job.reasons == ["PostScanJobCompletedSuccessfully" if again else "SendImageFailed"]
            assert job.state == ("Completed" if again else "Aborted")

    in_lab(tmp_path, work)


def test_an_error_stops_the_job_unless_it_is_to_go_on(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        stopped, going = lab.create(SHARE, MAIL), lab.create(SHARE, MAIL, go_on=True)
        await lab.finish(stopped)
        await lab.finish(going)
        assert (stopped.state, [one.state for one in stopped.filters]) == (
            "Aborted",
            ["CompletedWithErrors", "Canceled"],
        )
        assert stopped.filters[0].reasons == ["UnknownError"]
        assert (going.state, going.reasons) == ("Completed", ["PostScanJobCompletedWithErrors"])

    in_lab(tmp_path, work, outcomes={**ALL_GOOD, "fileshare": Outcome("CompletedWithErrors", ("UnknownError",))})


# -- bounds --------------------------------------------------------------------------------------------------------


def test_room_is_taken_while_an_image_is_written_and_given_back_when_it_is_gone(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        one, two = lab.create(), lab.create()
        assert lab.engine.room == 100
        lab.engine.image_begins(one, 1, 60)
        assert lab.engine.room == 40
        lab.engine.image_ends(one, 1, None)
        assert lab.engine.room == 100
        lab.image(one, 2, size=30)
        lab.image(two, 1, size=20)
        lab.engine.cancel(one)
        assert lab.engine.room == 50
        assert one.folder.exists()
        lab.engine.cancel(two)
        assert lab.engine.room == 80
        assert not one.folder.exists()

    in_lab(tmp_path, work, limits=EngineLimits(history=1, disk=100))


def test_an_image_that_ends_after_its_job_changes_nothing_more(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        lab.engine.image_begins(job, 1, 3)
        lab.engine.cancel(job)
        told = list(lab.story.lines)
        lab.engine.image_ends(job, 1, None)
        assert lab.story.lines == told
        assert lab.clock.next_due is None
        assert lab.engine.room == lab.engine._limits.disk

    in_lab(tmp_path, work)


def test_waiting_for_a_condition_and_stopping(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        await lab.engine.wait_for(lambda: True)
        ended = asyncio.create_task(lab.engine.wait_for(lambda: job.over))
        never = asyncio.create_task(lab.engine.wait_for(lambda: False))
        await lab.clock.settle()
        assert not ended.done()
        await lab.finish(job)
        assert ended.done()
        held = lab.create()
        await lab.engine.stop()
        lab.engine.end(held)
        lab.engine.process(held)
        await lab.clock.settle()
        assert held.state == "Pending"
        assert lab.clock.next_due is None
        with pytest.raises(asyncio.CancelledError):
            await never

    in_lab(tmp_path, work)


def test_the_log_tells_how_a_job_went(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        job = lab.create()
        lab.image(job)
        await lab.finish(job)

    lab = in_lab(tmp_path, work)
    created, image, *_, ended = lab.log.entries
    assert created.text == f"job {TOKEN.format(1)} created for anna, process Process"
    assert image.text == f"job {TOKEN.format(1)}: image 1, png, 3 bytes"
    assert ended.text == f"job {TOKEN.format(1)} Completed: PostScanJobCompletedSuccessfully; 1 image"
    assert ended.facts["filters"][0]["filter_state"] == "CompletedSuccessfully"
