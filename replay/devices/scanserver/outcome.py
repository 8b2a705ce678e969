"""The filters of a job, one after the other, and the end state of the job out of how they ended.

The rule of the end (what the sources say, and what was decided where they say nothing):

* Filters run in the order of FiltersToProcess, after EndPostScanJob.
* ContinueOnError true: every filter runs. False or left out: the job stops at the first filter that ended with an error
  (MS-BDSRR 2.2.3.36, dsp.yaml P27); the filters behind it never ran. An end event lists final states only (P75), so
  they are Canceled. Images of a Completed job have gone through all its filters (2.2.5.12), these have not: the job is
  Aborted with PostScanJobProcessingFailed ("did not run to the end"). Decided, no source has a sample.
* All filters ran: Completed. At least one CompletedWithErrors: PostScanJobCompletedWithErrors; else at least one
  CompletedWithWarnings: PostScanJobCompletedWithWarnings; all successful: PostScanJobCompletedSuccessfully (2.2.5.11,
  dsc.yaml C75, C76). Windows Server 2008 R2 does not know the warning (note 8), and the other two would be untrue: it
  says None. A vendor's own state is neither: None too.
* A filter that was Canceled makes the job Canceled, with PostScanJobCanceled, unless the job had been stopped before.
* No filter of a known dialect: Aborted, NoValidPostScanInstructionsFound (2.2.5.11).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from replay.devices.scanserver.email_filter import run_email
from replay.devices.scanserver.fileshare import run_fileshare
from replay.devices.scanserver.filters import (
    CANCELED,
    ERRORS,
    SUCCESS,
    WARNINGS,
    FilterJob,
    FilterResult,
    Outcome,
    Places,
)
from replay.devices.scanserver.instructions import FilterInstructions, Instructions
from replay.devices.scanserver.sharepoint import run_sharepoint

__all__ = ["FilterProgress", "FilterRun", "FilterStatus", "JobOutcome", "judge", "run_filter"]

_RUN = {"fileshare": run_fileshare, "email": run_email, "sharepoint": run_sharepoint}


@dataclass(frozen=True, slots=True)
class FilterProgress:
    """A filter changed.

    Attributes:
        index: its place in the instructions, from 0.
        state: FilterState.
        reasons: FilterStateReason values.
        notes: for people.
    """

    index: int
    state: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterStatus:
    """How one filter is reported at the end."""

    dialect: str
    state: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ends: JobCompletedState, JobCompletedStateReasons, FilterCompletedStatuses."""

    completed_state: str
    reasons: tuple[str, ...]
    statuses: tuple[FilterStatus, ...]


async def run_filter(
    instructions: FilterInstructions, job: FilterJob, places: Places, outcome: Outcome | None = None
) -> FilterResult:
    """Run one filter, or end it as ``outcome`` says.

    Never raises for what is in the instructions or happens at the targets: that is in the result.
    """
    if outcome is not None:
        return FilterResult(outcome.state, outcome.reasons, (f"the {instructions.kind} filter ends as ordered",))
    run = _RUN.get(instructions.kind)
    if run is None:
        return FilterResult(ERRORS, ("InvalidArgs",), (f"the dialect {instructions.dialect!r} is not known",))
    return await run(instructions, job, places)


class FilterRun:
    """The filters of one job.

    Args:
        instructions: of the job.
        job: what they work on.
        places: where they may write to.
        outcomes: kind of filter → how it ends instead of running.
    """

    def __init__(
        self, instructions: Instructions, job: FilterJob, places: Places, outcomes: Mapping[str, Outcome] | None = None
    ) -> None:
        self._instructions = instructions
        self._job = job
        self._places = places
        self._outcomes = outcomes or {}
        self.results: list[FilterResult] = []
        """One for each filter, in order, those that never ran included."""

    async def steps(self) -> AsyncIterator[FilterProgress]:
        """Run them; each change is one step, for one PostScanJobStatusEvent."""
        filters = self._instructions.filters
        for index, one in enumerate(filters):
            stopped = _stops(self._instructions, self.results)
            if stopped or self._job.canceled():
                note = "an earlier filter failed and ContinueOnError is not set" if stopped else "the job was cancelled"
                result = FilterResult(CANCELED, (), (f"the {one.kind or 'unknown'} filter did not run: {note}",))
            else:
                yield FilterProgress(index, "Processing")
                result = await run_filter(one, self._job, self._places, self._outcomes.get(one.kind))
            self.results.append(result)
            yield FilterProgress(index, result.state, result.reasons, result.notes)


def judge(instructions: Instructions, results: Sequence[FilterResult], *, warnings_known: bool = True) -> JobOutcome:
    """The end state of a job whose filters ended so.

    Args:
        instructions: of the job.
        results: in the order of the filters; those that are missing never ran.
        warnings_known: the server has PostScanJobCompletedWithWarnings (Windows Server 2008 R2 has not).
    """
    filters = instructions.filters
    never = FilterResult(CANCELED)
    all_results = [*results[: len(filters)], *[never] * (len(filters) - len(results))]
    statuses = tuple(
        FilterStatus(one.dialect, result.state, result.reasons)
        for one, result in zip(filters, all_results, strict=True)
    )
    if not any(one.kind for one in filters):
        return JobOutcome("Aborted", ("NoValidPostScanInstructionsFound",), statuses)
    for ran, result in enumerate(all_results, 1):
        if result.state == CANCELED:
            return JobOutcome("Canceled", ("PostScanJobCanceled",), statuses)
        if ran < len(filters) and _stops(instructions, [result]):
            return JobOutcome("Aborted", ("PostScanJobProcessingFailed",), statuses)
    states = {result.state for result in all_results}
    if ERRORS in states:
        reason = "PostScanJobCompletedWithErrors"
    elif WARNINGS in states and warnings_known:
        reason = "PostScanJobCompletedWithWarnings"
    elif states == {SUCCESS}:
        reason = "PostScanJobCompletedSuccessfully"
    else:
        reason = "None"
    return JobOutcome("Completed", (reason,), statuses)


def _stops(instructions: Instructions, results: Sequence[FilterResult]) -> bool:
    """Nothing more is run after these."""
    return not instructions.continue_on_error and any(one.state == ERRORS for one in results)
