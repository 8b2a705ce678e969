"""Which findings of the capture concern a job."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import itemgetter

from dissector.analysis.model import Job
from dissector.base.findings import Finding
from dissector.output.text import host_of

__all__ = ["concerning"]


def concerning(findings: Iterable[Finding], jobs: Sequence[Job]) -> list[Finding]:
    """Those that may tell why one of the jobs is as it is: all that are of no single connection (a damaged file, keys
    that came too late), and those of connections between hosts of the job, whether or not a message of it is seen
    there: what is missing may have been one. Not what was over before the job began, or came when it had ended.
    """
    spans = _Spans(jobs)
    return [finding for finding in findings if not finding.hosts or spans.touch(finding)]


class _Spans:
    """From which frame to which the jobs go, for each pair of hosts: of jobs with the same id (a scanner that counts
    anew) and of findings there can be thousands."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._of_host: dict[str, list[tuple[set[str], float, float]]] = {}
        for job in jobs:
            hosts = _hosts(job)
            for host in hosts:
                self._of_host.setdefault(host, []).append((hosts, *_span(job)))
        self._between: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        """Those of jobs with these hosts, in order, without overlaps."""

    def touch(self, finding: Finding) -> bool:
        """It is of a connection between hosts of a job, and of a time within it."""
        spans = self._between.get(finding.hosts)
        if spans is None:
            spans = self._between[finding.hosts] = self._joined(finding.hosts)
        if not finding.frames:
            return bool(spans)
        at = bisect_left(spans, min(finding.frames), key=itemgetter(1))
        return at < len(spans) and spans[at][0] <= max(finding.frames)

    def _joined(self, hosts: tuple[str, ...]) -> list[tuple[float, float]]:
        some = min((self._of_host.get(host, []) for host in hosts), key=len)
        joined: list[tuple[float, float]] = []
        for first, last in sorted((first, last) for of_job, first, last in some if of_job.issuperset(hosts)):
            if joined and first <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(last, joined[-1][1])
            else:
                joined.append((first, last))
        return joined


def _hosts(job: Job) -> set[str]:
    ends = {end for step in job.timeline for end in (step.source, step.destination)} | {job.device, job.server}
    return {host_of(end) for end in ends if end}


def _span(job: Job) -> tuple[float, float]:
    """Its first and last frame; a beginning or an end that is not in the capture may have been anywhere."""
    begun = job.created is not None and job.partial != "no-start"
    return job.first_frame if begun else 0, job.last_frame if job.completed_by == "event" else float("inf")
