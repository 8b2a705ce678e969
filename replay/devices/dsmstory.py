"""What a DSM device is ordered to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dissector.catalog import Field
from replay.devices.scanserver.processes import ScanProcess

__all__ = ["End", "Order", "Story", "filters_of", "read_end"]


@dataclass(slots=True)
class Order:
    """What the device is to do.

    Attributes:
        server: host name or address (found by a unicast Probe), the URL of the server, or that of its WS-DSP service.
        process: the scan process.
        user_identifier: SID of the scanning user.
        finish: ``end``, ``cancel`` (after ``cancel_after`` images), or ``leave`` the job to its fate.
        cancel_after: images before CancelPostScanJob.
        subscribe: ask for events; else the end is asked for.
        wait: seconds until the end of the job at most, after the last request.
        expires: seconds asked for in Subscribe.
        pause: seconds between two images.
        direct: ``server`` is the address of WS-DSP itself: no Probe, no Get.
    """

    server: str
    process: ScanProcess
    user_identifier: str = "S-1-5-21-1004336348-1177238915-682003330-1109"
    finish: str = "end"
    cancel_after: int = 1
    subscribe: bool = True
    wait: float = 120.0
    expires: float = 3600.0
    pause: float = 0.0
    direct: bool = False


@dataclass(slots=True)
class End:
    """How a job ended: state and reasons, (dialect, state, reasons) of its filters, number of images as it is said."""

    state: str
    reasons: list[str]
    filters: list[tuple[str, str, list[str]]]
    images: str


@dataclass(slots=True)
class Story:
    """What happened.

    Attributes:
        steps: one line each, in order.
        job_token: of the job, "" where there is none.
        completed_state, reasons: how it ended, None where that was not told.
        filters: (dialect, state, reasons) of the end.
        images: images the server took.
        events: names of the events that came for this job.
        failure: what went wrong on the way, "" for nothing.
    """

    steps: list[str] = field(default_factory=list)
    job_token: str = ""
    completed_state: str | None = None
    reasons: list[str] = field(default_factory=list)
    filters: list[tuple[str, str, list[str]]] = field(default_factory=list)
    images: int = 0
    events: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def clean(self) -> bool:
        """It was completed without errors and warnings."""
        return self.completed_state == "Completed" and "PostScanJobCompletedSuccessfully" in self.reasons

    def ended(self, end: End) -> None:
        """PostScanJobEndStateEvent came."""
        self.completed_state, self.reasons, self.filters = end.state, end.reasons, end.filters
        self.steps.append(f"PostScanJobEndStateEvent: {end.state}, {', '.join(end.reasons)}, {end.images} images")

    def to_json(self) -> dict[str, Any]:
        """The story as plain data."""
        return {
            "job_token": self.job_token or None,
            "completed_state": self.completed_state,
            "completed_state_reasons": self.reasons,
            "filters": [{"dialect": d, "state": s, "reasons": r} for d, s, r in self.filters],
            "images": self.images,
            "events": self.events,
            "failure": self.failure or None,
            "steps": self.steps,
        }


def filters_of(field: Field, path: str) -> list[tuple[str, str, list[str]]]:
    """(dialect, state, reasons) of each FilterStatus below a path."""
    found = []
    for one in field.find_all(f"{path}/FilterStatus"):
        reasons = [reason.text.strip() for reason in one.find_all("FilterStateReasons/FilterStateReason")]
        found.append((str(one.get("Dialect") or ""), str(one.get("FilterState") or ""), reasons))
    return found


def read_end(body: Field) -> End:
    """The end of a job, out of the event that tells it."""
    end = body.find("PostScanJobEndState") or body
    return End(
        str(end.get("JobCompletedState") or ""),
        [one.text.strip() for one in end.find_all("JobCompletedStateReasons/JobStateReason")],
        filters_of(end, "FilterCompletedStatuses"),
        str(end.get("ImagesReceived")),
    )
