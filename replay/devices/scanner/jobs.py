"""Scan jobs as data: states, what may follow what, and their plain forms for WS-Scan and WS-DSD.

Pure: times are passed in. Sources: jobstate.md, jobstatereason.md, jobsummary.md, jobendstate.md; state machine: fact
table wsscan.yaml job_state_machine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dissector.soap.namespaces import DSD, WSCN
from replay.base.clock import Timer
from replay.devices.requested import element_data
from replay.devices.scanner.pages import Page

__all__ = ["FINAL", "ScanJob", "ScanJobTable", "date_time", "may_follow", "short"]

FINAL = frozenset({"Completed", "Canceled", "Aborted"})

_EDGES: dict[str, frozenset[str]] = {
    "Creating": frozenset({"Pending", "Terminating", "Canceled", "Aborted"}),
    "Pending": frozenset({"Started", "Processing", "Held", "Terminating", "Canceled", "Aborted"}),
    "Started": frozenset({"Processing", "Terminating", "Canceled", "Aborted"}),
    "Processing": frozenset({"Completed", "Terminating", "Canceled", "Aborted"}),
    "Held": frozenset({"Pending", "Terminating", "Canceled", "Aborted"}),
    "Terminating": frozenset({"Canceled", "Aborted"}),
}
"""State → states that may follow. No page publishes a table; this one is inferred from the states' descriptions."""


def may_follow(before: str, after: str) -> bool:
    """Whether a job may go from one state to another."""
    return after in _EDGES.get(before, frozenset())


def date_time(time_ns: int) -> str:
    """A time as xs:dateTime in UTC, with seconds."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class ScanJob:
    """One job.

    Attributes:
        job_id: JobId.
        token: JobToken.
        ticket: plain form of the ScanTicket as it was used.
        final: plain form of DocumentFinalParameters.
        pages: the pages still to come, in the order of transfer; each entry is the pages of one file.
        created: nanoseconds since 1970.
        service: ``WS-Scan``, or ``WS-DSD`` for a scan that the device itself began.
        source: InputSource.
        peer: who created it.
        documents: names of the documents retrieved so far.
        rendering: a RetrieveImage is under way.
    """

    job_id: int
    token: str
    ticket: Mapping[str, Any]
    final: Mapping[str, Any]
    pages: list[list[Page]]
    created: int
    service: str = "WS-Scan"
    source: str = "Platen"
    peer: str = ""
    state: str = "Pending"
    reasons: list[str] = field(default_factory=lambda: ["None"])
    scans_completed: int = 0
    completed: int | None = None
    documents: list[str] = field(default_factory=list)
    rendering: bool = False
    timer: Timer | None = None

    @property
    def over(self) -> bool:
        """It has an end state."""
        return self.completed is not None

    @property
    def name(self) -> str:
        """JobName."""
        return short(self.ticket.get("job_description", {}).get("job_name"))

    @property
    def user(self) -> str:
        """JobOriginatingUserName."""
        return short(self.ticket.get("job_description", {}).get("job_originating_user_name"))

    @property
    def next_is_back(self) -> bool:
        """The next side is a back: every second one of a duplex job."""
        return self.source == "ADFDuplex" and self.scans_completed % 2 == 1

    def go(self, state: str, reasons: Sequence[str] = ()) -> None:
        """The next state.

        Raises:
            ValueError: it cannot follow; a fault of ours.
        """
        if not may_follow(self.state, state):
            raise ValueError(f"a job cannot go from {self.state} to {state}")
        self.state = state
        self.reasons = list(reasons) or ["None"]

    def end(self, state: str, reasons: Sequence[str], time: int) -> None:
        """The end."""
        if state == "Completed" and self.state in ("Pending", "Started"):
            self.go("Processing")
        self.go(state, reasons)
        self.completed = time
        self.pages.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # -- plain forms ---------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """JobStatus."""
        data: dict[str, Any] = {
            "job_id": self.job_id,
            "job_state": self.state,
            "job_state_reasons": {"job_state_reason": list(self.reasons)},
            "scans_completed": self.scans_completed,
            "job_created_time": date_time(self.created),
        }
        if self.completed is not None:
            data["job_completed_time"] = date_time(self.completed)
        return data

    def summary(self) -> dict[str, Any]:
        """JobSummary."""
        return {
            "job_id": self.job_id,
            "job_name": self.name,
            "job_originating_user_name": self.user,
            "job_state": self.state,
            "job_state_reasons": {"job_state_reason": list(self.reasons)},
            "scans_completed": self.scans_completed,
        }

    def end_state(self, state: str = "", reasons: Sequence[str] = ()) -> dict[str, Any]:
        """JobEndState; ``state`` and ``reasons`` say something else than the truth."""
        return {
            "job_id": self.job_id,
            "job_completed_state": state or self.state,
            "job_completed_state_reasons": {"job_state_reason": list(reasons or self.reasons)},
            "job_name": self.name,
            "job_originating_user_name": self.user,
            "scans_completed": self.scans_completed,
            "job_completed_time": date_time(self.completed or self.created),
        }

    def documents_form(self) -> dict[str, Any]:
        """Documents."""
        names = self.documents or [self.name or "scan"]
        return {
            "document_final_parameters": self.final,
            "document": [{"document_description": {"document_name": name}} for name in names],
        }

    def sections(self, names: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """ElementData for the requested names (namespace, local), in their order; Valid false where there is none."""
        known: dict[str, tuple[str, Callable[[], Any]]] = {
            "JobStatus": ("job_status", self.status),
            "ScanTicket": ("scan_ticket", lambda: self.ticket),
            "Documents": ("documents", self.documents_form),
        }
        return element_data(names, known, WSCN, DSD)


class ScanJobTable:
    """The jobs of a scanner.

    Args:
        history: ended jobs remembered.
    """

    def __init__(self, history: int = 20) -> None:
        self._active: OrderedDict[int, ScanJob] = OrderedDict()
        self._ended: OrderedDict[int, ScanJob] = OrderedDict()
        self._history = history
        self._last = 0

    def number(self) -> int:
        """The next JobId: one that was not used recently (rule Q12), 1 to 2147483647."""
        self._last = self._last % 0x7FFFFFFF + 1
        return self._last

    def add(self, job: ScanJob) -> None:
        """A new job."""
        self._active[job.job_id] = job

    def retire(self, job: ScanJob) -> None:
        """A job is over."""
        self._active.pop(job.job_id, None)
        self._ended[job.job_id] = job
        while len(self._ended) > self._history:
            self._ended.popitem(last=False)

    def find(self, job_id: int, service: str = "") -> ScanJob | None:
        """The job with this JobId, running or over."""
        job = self._active.get(job_id) or self._ended.get(job_id)
        return job if job is not None and service in ("", job.service) else None

    def active(self, service: str = "") -> list[ScanJob]:
        """Jobs that are not over, oldest first."""
        return [job for job in self._active.values() if service in ("", job.service)]

    def ended(self, service: str = "") -> list[ScanJob]:
        """Jobs that are over, oldest first."""
        return [job for job in self._ended.values() if service in ("", job.service)]


def short(value: Any) -> str:
    """A text of a client, at most 255 characters (rule V19)."""
    return str(value)[:255] if value is not None else ""
