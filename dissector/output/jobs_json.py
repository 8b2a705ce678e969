"""Jobs as plain data: ``dsmshark.jobs/1``, see ``schemas/jobs.json``.

Every key is always there. Times are the capture's, ISO 8601 in UTC; ``created_time`` and ``completed_time`` are what
the server or scanner wrote, by its own clock, untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dissector.analysis.model import Image, Job
from dissector.analysis.summary import duration, outcome
from dissector.base.findings import Finding
from dissector.output.findings import findings_json
from dissector.output.jsontext import pieces
from dissector.output.times import iso_time

__all__ = ["SCHEMA", "job_json", "jobs_json", "jobs_text"]

SCHEMA = "dsmshark.jobs/1"


def _image(image: Image, digits: int, plain: bool) -> dict[str, Any]:
    return {
        "document_id": image.document_id,
        "format": image.format,
        "real_type": image.real_type,
        "media_type": image.media_type or None,
        "size": image.size,
        "sha256": image.sha256,
        "complete": image.complete,
        "missing": image.missing,
        "accepted": image.accepted,
        "time": iso_time(image.time, digits),
        "number": image.message,
        "frames": list(image.frames) if plain else image.frames,
    }


def job_json(job: Job, *, plain: bool = True) -> dict[str, Any]:
    """One job. ``plain``: frame numbers as lists."""
    digits = job.digits
    lasted = duration(job)
    return {
        "kind": job.kind,
        "id": job.id or None,
        "push": job.push,
        "device": job.device or None,
        "server": job.server or None,
        "user": job.user,
        "user_sid": job.user_sid,
        "process": job.process,
        "process_name": job.process_name,
        "document_name": job.document_name,
        "scan_identifier": job.scan_identifier,
        "instructions": list(job.instructions),
        "created": iso_time(job.created, digits),
        "ended": iso_time(job.ended, digits),
        "duration": None if lasted is None else lasted / 1_000_000_000,
        "created_time": job.created_time,
        "completed_time": job.completed_time,
        "outcome": outcome(job),
        "state": job.state,
        "states": [
            {"time": iso_time(time, digits), "state": state, "reasons": list(reasons)}
            for time, state, reasons in job.states
        ],
        "completed_state": job.completed_state,
        "completed_state_reasons": list(job.completed_state_reasons),
        "completed_by": job.completed_by,
        "filters": [
            {"dialect": result.dialect, "state": result.state, "reasons": list(result.reasons)}
            for result in job.filters
        ],
        "images_received": job.images_received,
        "images": [_image(image, digits, plain) for image in job.images],
        "faults": [
            {
                "time": iso_time(fault.time, digits),
                "frame": fault.frame,
                "number": fault.message,
                "operation": fault.operation,
                "code": fault.code,
                "subcode": fault.subcode,
                "reason": fault.reason,
                "normal": fault.normal,
            }
            for fault in job.faults
        ],
        "timeline": [
            {
                "time": iso_time(step.time, digits),
                "frame": step.frame,
                "number": step.message,
                "message": step.name,
                "text": step.text,
                "source": step.source,
                "destination": step.destination,
            }
            for step in job.timeline
        ],
        "first_frame": job.first_frame,
        "last_frame": job.last_frame,
        "partial": job.partial or None,
        "findings": findings_json(job.findings),
    }


def jobs_json(
    jobs: Iterable[Job], notes: Iterable[str], findings: Iterable[Finding], *, interrupted: bool
) -> dict[str, Any]:
    """The whole answer.

    Args:
        jobs: in the order to be shown.
        notes: what a reader must know of the capture to understand the list, in words.
        findings: of the container, the network and the transport.
        interrupted: reading was ended before the end of the capture.
    """
    return {
        "schema": SCHEMA,
        "jobs": [job_json(job) for job in jobs],
        "notes": list(notes),
        "findings": findings_json(findings),
        "interrupted": interrupted,
    }


def jobs_text(
    jobs: Iterable[Job], notes: Iterable[str], findings: Iterable[Finding], *, interrupted: bool
) -> Iterator[str]:
    """:func:`jobs_json` as indented JSON, in pieces and job by job: as plain data the jobs of a large capture take more
    memory than the whole pass."""
    answer = jobs_json((), notes, findings, interrupted=interrupted)
    answer["jobs"] = (job_json(job, plain=False) for job in jobs)
    return pieces(answer, indent=2)
