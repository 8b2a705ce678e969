"""Which job a person means by the beginning of its id."""

from __future__ import annotations

from collections.abc import Sequence

from dissector.analysis.model import Job
from dissector.base.errors import UsageError
from dissector.output.jobs_text import job_name
from dissector.output.text import printable

__all__ = ["begins_so", "choose_job", "is_whole", "same_job"]

_CANDIDATES = 8


def _bare(text: str) -> str:
    return text.strip().strip("{}").lower().removeprefix("urn:").removeprefix("uuid:")


def choose_job(jobs: Sequence[Job], wanted: str) -> list[Job]:
    """The jobs whose id is, or else begins as, ``wanted`` (case, braces and ``urn:uuid:`` do not matter). More than one
    only where several jobs have the very same id.

    Raises:
        UsageError: no job, or jobs of several ids, begin so.
    """
    prefix = _bare(wanted)
    if not prefix:
        raise UsageError("--job needs the beginning of a job's id")
    exact = [job for job in jobs if _bare(job.id) == prefix]
    if exact:
        return exact
    found = [job for job in jobs if _bare(job.id).startswith(prefix)]
    if not found:
        known = ", ".join(job_name(job) for job in jobs[:_CANDIDATES] if job.id)
        more = f" and {len(jobs) - _CANDIDATES} more" if len(jobs) > _CANDIDATES else ""
        raise UsageError(f"no job's id begins with {wanted}" + (f"; there are {known}{more}" if known else ""))
    ids = list(dict.fromkeys(_bare(job.id) for job in found))
    if len(ids) > 1:
        shown = ", ".join(f"{job.kind} {printable(job.id)}" for job in found[:_CANDIDATES])
        more = f" and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
        raise UsageError(f"{len(ids)} jobs have an id that begins with {wanted}: {shown}{more}")
    return found


def is_whole(job_id: str | None, wanted: str) -> bool:
    """The id is ``wanted`` itself: its job is meant whatever others there are."""
    return job_id is not None and _bare(job_id) == _bare(wanted)


def begins_so(job_id: str | None, wanted: str) -> bool:
    """The id begins as ``wanted``: its job is meant where no other one is."""
    return job_id is not None and _bare(job_id).startswith(_bare(wanted))


def same_job(job_id: str | None, chosen: Sequence[Job]) -> bool:
    """The id is that of the chosen jobs, which have one."""
    return job_id is not None and bool(chosen) and _bare(chosen[0].id) == _bare(job_id)
