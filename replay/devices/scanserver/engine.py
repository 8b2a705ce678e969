"""What happens to post-scan jobs: created, filled with images, ended, run through their filters, over.

The services (WS-DSP for the device, WS-DSC for the control point) ask the engine; the engine tells its listeners of
every change, and they make events of it. All waiting goes by the clock.

A job ends once, and is told of in this order: the answer to the request that led there, PostScanJobStatusEvent with the
end state, PostScanJobEndStateEvent, and RepositoryStatusSummaryEvent where it was the last one. The end of a request
whose answer must go out first is a call of its own (:meth:`JobEngine.process`, :meth:`JobEngine.cancel`).

A job that lacks an image which the server could not keep is aborted at its end with SendImageFailed, unless the image
came again: a job that says Completed has all images that the device was not refused for a fault of its own.

Sources: DSM pages of windows-driver-docs (scan-job-execution, dsm-scan-job-sequence-diagram); MS-BDSRR 2.2.5.11 (ten
minutes), 2.2.5.12; fact tables dsp.yaml job_message_machine and dsc.yaml state_machines.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dissector.output.text import count
from replay.base.clock import Clock, Timer
from replay.base.log import Log
from replay.base.waiting import Waiting
from replay.devices.scanserver.filters import FilterJob, Outcome, Places
from replay.devices.scanserver.instructions import Instructions
from replay.devices.scanserver.jobs import Document, FilterState, JobTable, PostScanJob
from replay.devices.scanserver.outcome import FilterRun, judge

__all__ = ["SPECIFIED", "EngineLimits", "JobEngine", "Listener"]


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Bounds and times.

    Attributes:
        ending: seconds without EndPostScanJob after which a job is aborted (MS-BDSRR 2.2.5.11).
        active: jobs at once.
        history: ended jobs remembered.
        images: images of one job.
        disk: bytes of images that are on the disk, of all jobs together.
        instructions: bytes of memory of what active jobs are to do, of all together: one job may name thousands of
            targets.
    """

    ending: float = 600.0
    active: int = 200
    history: int = 100
    images: int = 10_000
    disk: int = 16 << 30
    instructions: int = 64 << 20


SPECIFIED = EngineLimits()
"""The times of the specification, and bounds that a laboratory does not meet."""


class Listener:
    """Is told of changes; the services override what they want to know."""

    def changed(self, job: PostScanJob) -> None:
        """Any part of a job's status changed."""

    def ended(self, job: PostScanJob) -> None:
        """A job has its end state."""

    def repository(self, state: str) -> None:
        """The server's own state changed: Idle or Processing."""


@dataclass(slots=True)
class _Run:
    """What belongs to a job while it runs; ``held``: bytes of its instructions."""

    job: PostScanJob
    instructions: Instructions
    held: int
    timer: Timer | None = None
    task: asyncio.Task[None] | None = None
    outcome: tuple[str, tuple[str, ...]] | None = None


@dataclass(slots=True)
class _State:
    runs: dict[str, _Run] = field(default_factory=dict)
    disk: int = 0
    stopped: bool = False


class JobEngine:
    """The jobs of one scan server.

    Args:
        clock, log: of the whole server.
        folder: where images are kept while their job is known.
        places: what the filters may write to.
        outcomes: kind of filter → outcome instead of running.
        limits: bounds.
        terminating: show the state Terminating when a running job is cancelled; Windows servers do not (note 9).
        warnings_known: whether PostScanJobCompletedWithWarnings exists (not on 2008 R2, note 8).
    """

    def __init__(
        self,
        *,
        clock: Clock,
        log: Log,
        folder: Path,
        places: Places,
        outcomes: Mapping[str, Outcome] | None = None,
        limits: EngineLimits = SPECIFIED,
        terminating: bool = True,
        warnings_known: bool = True,
    ) -> None:
        self.jobs = JobTable(limits.active, limits.history)
        self.outcomes = dict(outcomes or {})
        self.places = places
        self._clock = clock
        self._log = log
        self._folder = folder
        self._limits = limits
        self._terminating = terminating
        self._warnings_known = warnings_known
        self._listeners: list[Listener] = []
        self._state = _State()
        self._waiting = Waiting()

    def listen(self, listener: Listener) -> None:
        """Tell this one too."""
        self._listeners.append(listener)

    @property
    def repository_state(self) -> str:
        """RepositoryState: Processing while a job is under way."""
        return "Processing" if self._state.runs else "Idle"

    # -- what devices ask for ------------------------------------------------------------------------------------

    def create(
        self, token: str, process: str, process_name: str, user: str, user_identifier: str, owner: str,
        instructions: Instructions,
    ) -> PostScanJob:  # fmt: skip
        """A new job, in the state Creating; nobody is told of it yet (see :meth:`announce`).

        Raises:
            OSError: there is no folder to be had for its images.
        """
        folder = self._folder / token
        folder.mkdir(parents=True, exist_ok=True)
        filters = [FilterState(one.dialect) for one in instructions.filters]
        job = PostScanJob(
            token, process, process_name, user, user_identifier, owner, self._clock.time_ns(), folder, filters
        )
        idle = not self._state.runs
        run = self._state.runs[token] = _Run(job, instructions, instructions.held)
        self.jobs.add(job)
        self._restart(run)
        self._log.say(
            "job", f"job {token} created for {user}, process {process_name or process}", job_token=token,
            state=job.state,
            user=user, process=process,
        )  # fmt: skip
        if idle:
            self._tell(lambda one: one.repository("Processing"))
        return job

    def announce(self, job: PostScanJob) -> None:
        """Tell that the job is there."""
        self._changed(job)

    def image_begins(self, job: PostScanJob, document_id: int, size: int) -> None:
        """An image came and will be written: it takes its room, and the ten minutes stand still meanwhile."""
        job.arriving[document_id] = size
        self._state.disk += size
        run = self._state.runs.get(job.token)
        if run is not None and run.timer is not None:
            run.timer.cancel()
            run.timer = None

    def image_ends(self, job: PostScanJob, document_id: int, document: Document | None) -> None:
        """The image is written, or (None) it could not be."""
        size = job.arriving.pop(document_id)
        run = self._state.runs.get(job.token)
        if document is None:
            self._state.disk -= size
            self.image_lost(job, document_id)
        else:
            job.missing.discard(document_id)
            job.keep(document)
            self._log.say(
                "image", f"job {job.token}: image {document.document_id}, {document.format}, {document.size} bytes",
                job_token=job.token, document_id=document.document_id, format=document.format, size=document.size,
                sha256=document.sha256,
            )  # fmt: skip
        if run is None or job.over:
            return
        if job.state == "Creating" and not job.arriving:
            self._restart(run)
        if document is not None:
            self._changed(job)

    def image_lost(self, job: PostScanJob, document_id: int) -> None:
        """The device was told that an image cannot be kept, by no fault of its own."""
        if len(job.missing) < self._limits.images:
            job.missing.add(document_id)

    @property
    def room(self) -> int:
        """Bytes of images that may still be kept."""
        return self._limits.disk - self._state.disk

    def takes(self, instructions: Instructions) -> bool:
        """Whether there is room for what one more job is to do."""
        return sum(run.held for run in self._state.runs.values()) + instructions.held <= self._limits.instructions

    @property
    def most_instructions(self) -> int:
        """Bytes of what active jobs are to do, of all together."""
        return self._limits.instructions

    @property
    def most_images(self) -> int:
        """Images that one job may have."""
        return self._limits.images

    def end(self, job: PostScanJob, outcome: tuple[str, tuple[str, ...]] | None = None) -> None:
        """EndPostScanJob: no more images are taken. Nobody is told yet, and nothing runs (see :meth:`process`).

        Args:
            outcome: state and reasons in which the job is to end, ordered by the behaviour.
        """
        run = self._state.runs[job.token]
        if run.timer is not None:
            run.timer.cancel()
        run.outcome = outcome
        job.go("Pending")

    def process(self, job: PostScanJob) -> None:
        """Run the filters of a job that was ended, unless it was cancelled meanwhile; tell that it is Pending."""
        run = self._state.runs.get(job.token)
        if run is not None and run.task is None and job.state == "Pending" and not self._state.stopped:
            self._changed(job)
            run.task = asyncio.create_task(self._process(run))

    def cancel(self, job: PostScanJob) -> None:
        """Carry out a cancel, best effort: what is written stays, and a filter that runs comes to its next image.

        A job that is over, or cancelled already, is left as it is.
        """
        run = self._state.runs.get(job.token)
        if run is None or job.state == "Terminating":
            return
        job.canceling = True
        self._log.say("job", f"job {job.token} is being cancelled", job_token=job.token)
        if job.state in ("Processing", "Started"):
            if self._terminating:
                job.go("Terminating", ["PostScanJobCanceled"])
                self._changed(job)
            return
        if run.task is not None:
            run.task.cancel()
        self._over(run, "Canceled", ["PostScanJobCanceled"])

    # -- what happens by itself ----------------------------------------------------------------------------------

    def _restart(self, run: _Run) -> None:
        """The ten minutes begin again: at the creation and at each image (the wording fits a restart, note 37)."""
        if run.timer is not None:
            run.timer.cancel()
        run.timer = self._clock.call_later(self._limits.ending, lambda: self._timed_out(run))

    def _timed_out(self, run: _Run) -> None:
        if not run.job.over and run.job.state == "Creating":
            self._over(run, "Aborted", ["PostScanJobTimedOut"])

    async def _process(self, run: _Run) -> None:
        job = run.job
        try:
            if job.missing:
                self._over(run, "Aborted", ["SendImageFailed"])
                return
            job.go("Processing")
            self._changed(job)
            work = FilterJob(
                token=job.token, user=job.user, document_root_name=run.instructions.document_root_name,
                created=job.created, images=tuple(job.documents), canceled=lambda: job.canceling,
            )  # fmt: skip
            running = FilterRun(run.instructions, work, self.places, self.outcomes)
            async for step in running.steps():
                job.filters[step.index].state = step.state
                job.filters[step.index].reasons = list(step.reasons)
                for note in step.notes:
                    self._log.say("note", f"job {job.token}: {note}", job_token=job.token)
                self._changed(job)
            if job.canceling:
                self._over(run, "Canceled", ["PostScanJobCanceled"])
                return
            if run.outcome is not None:
                self._over(run, run.outcome[0], run.outcome[1] or ("None",))
                return
            judged = judge(run.instructions, running.results, warnings_known=self._warnings_known)
            self._over(run, judged.completed_state, judged.reasons)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A fault of ours must not leave a job that never ends: the device waits for its event.
            self._log.say("warning", f"job {job.token}: processing failed: {error!r}", job_token=job.token)
            if not job.over:
                self._over(run, "Aborted", ["PostScanJobProcessingFailed"])

    def _over(self, run: _Run, state: str, reasons: Sequence[str]) -> None:
        job = run.job
        if run.timer is not None:
            run.timer.cancel()
        job.end(state, reasons, self._clock.time_ns())
        self._state.runs.pop(job.token, None)
        self._log.say(
            "job", f"job {job.token} {state}: {', '.join(job.reasons)}; {count(len(job.documents), 'image')}",
            job_token=job.token, state=state, reasons=list(job.reasons), images=len(job.documents),
            filters=[one.plain() for one in job.filters],
        )  # fmt: skip
        for gone in self.jobs.retire(job):
            self._state.disk -= sum(one.size for one in gone.documents)
            shutil.rmtree(gone.folder, ignore_errors=True)
        self._changed(job)
        self._tell(lambda one: one.ended(job))
        if not self._state.runs:
            self._tell(lambda one: one.repository("Idle"))

    def _changed(self, job: PostScanJob) -> None:
        self._tell(lambda one: one.changed(job))
        self._waiting.changed()

    def _tell(self, what: Callable[[Listener], None]) -> None:
        for listener in self._listeners:
            what(listener)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition on the jobs holds; looked at after each change."""
        await self._waiting.until(condition)

    async def stop(self) -> None:
        """Stop timers and filters; jobs stay as they are, and who waits for them is told so (CancelledError)."""
        self._state.stopped = True
        self._waiting.stop()
        tasks = []
        for run in self._state.runs.values():
            if run.timer is not None:
                run.timer.cancel()
            if run.task is not None:
                run.task.cancel()
                tasks.append(run.task)
        await asyncio.gather(*tasks, return_exceptions=True)
