"""A job in a word or two, for tables."""

from __future__ import annotations

from dissector.analysis.model import Job
from dissector.analysis.words import is_end_state

__all__ = ["duration", "outcome"]


def outcome(job: Job) -> str:
    """How the job ended, in the words of a table's column.

    ``Completed``, ``Completed with errors``, ``Completed with warnings``, ``Canceled``, ``Aborted``, a vendor's or a
    wrong value as sent; where no message told the end: ``failed to start`` (refused, or announced and never
    fetched), ``incomplete`` (the capture has neither beginning nor end), ``no end seen``.
    """
    state = job.completed_state
    if state is None and job.completed_by is not None and is_end_state(job.state):
        state = job.state
    if state == "Completed":
        reasons = [*job.completed_state_reasons, *(job.states[-1][2] if job.states else [])]
        states = [result.state for result in job.filters]
        for word, text in (("WithErrors", "errors"), ("WithWarnings", "warnings")):
            if any(value.endswith(word) for value in (*reasons, *states)):
                return f"Completed with {text}"
        return state
    if state is not None:
        return state
    refused = any(not fault.normal and fault.operation.startswith("Create") for fault in job.faults)
    if not job.id and (refused or (job.push and job.created is None)):
        return "failed to start"
    return "incomplete" if job.partial == "no-start" else "no end seen"


def duration(job: Job) -> int | None:
    """Nanoseconds from the job's creation to its end, None where one is not in the capture."""
    if job.created is None or job.ended is None:
        return None
    return max(job.ended - job.created, 0)
