"""Which findings of the capture concern a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dissector.analysis.model import Job
from dissector.base.findings import Finding
from dissector.output.text import host_of

__all__ = ["concerning"]


def concerning(findings: Iterable[Finding], jobs: Sequence[Job]) -> list[Finding]:
    """Those that may tell why one of the jobs is as it is: all that are of no single connection (a damaged file, keys
    that came too late), and those of connections between hosts of the job, whether or not a message of it is seen
    there: what is missing may have been one. Not what was over before the job began, or came when it had ended.
    """
    spans = [(_hosts(job), *_span(job)) for job in jobs]
    return [
        finding
        for finding in findings
        if not finding.hosts or any(_touches(finding, hosts, first, last) for hosts, first, last in spans)
    ]


def _hosts(job: Job) -> set[str]:
    ends = {end for step in job.timeline for end in (step.source, step.destination)} | {job.device, job.server}
    return {host_of(end) for end in ends if end}


def _span(job: Job) -> tuple[int, float]:
    """Its first and last frame; a beginning or an end that is not in the capture may have been anywhere."""
    begun = job.created is not None and job.partial != "no-start"
    return job.first_frame if begun else 0, job.last_frame if job.completed_by == "event" else float("inf")


def _touches(finding: Finding, hosts: set[str], first: int, last: float) -> bool:
    if not hosts.issuperset(finding.hosts):
        return False
    return not finding.frames or (min(finding.frames) <= last and max(finding.frames) >= first)
