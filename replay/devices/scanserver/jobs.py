"""Post-scan jobs as data: their states, what may follow what, and their plain forms for the two services.

Pure: times are passed in. WS-DSP and WS-DSC show the same jobs, each in its own namespace, so one plain form serves
both.

Sources: MS-BDSRR 2.2.4.10 to 2.2.4.22, 2.2.5.6, 2.2.5.11, 2.2.5.12; state machine: fact table dsc.yaml state_machines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replay.devices.requested import element_data

__all__ = ["FINAL", "Document", "FilterState", "JobTable", "PostScanJob", "clock_text", "image_path", "may_follow"]

FINAL = frozenset({"Completed", "Canceled", "Aborted"})

_EDGES: dict[str, frozenset[str]] = {
    "Creating": frozenset({"Pending", "Terminating", "Canceled", "Aborted"}),
    "Pending": frozenset({"Started", "Processing", "Pending-Held", "Terminating", "Canceled", "Aborted"}),
    "Pending-Held": frozenset({"Pending", "Terminating", "Canceled", "Aborted"}),
    "Started": frozenset({"Processing", "Terminating", "Canceled", "Aborted"}),
    "Processing": frozenset({"Completed", "Terminating", "Canceled", "Aborted"}),
    "Terminating": frozenset({"Canceled", "Aborted"}),
}
"""State → states that may follow (inferred by the fact table; a vendor's own end state may follow every state)."""


def may_follow(before: str, after: str) -> bool:
    """Whether a job may go from one state to another."""
    return after in _EDGES.get(before, frozenset())


def clock_text(time_ns: int) -> str:
    """A time as the services write it: without zone, with milliseconds (the sample of the driver documentation). The
    real servers mean their local time; here it is UTC, so that a capture reads the same everywhere."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def image_path(folder: Path, document_id: int) -> Path:
    """Where an image of a job is written."""
    return folder / f"{document_id:05d}"


@dataclass(slots=True)
class Document:
    """One image that came. There may be millions of them: each keeps what cannot be reckoned from the rest.

    Attributes:
        document_id: as the device numbers it.
        format: as it says.
        folder: of its job.
        size: bytes.
        sha256: hex digest.
    """

    document_id: int
    format: str
    folder: Path
    size: int
    sha256: str = ""

    @property
    def path(self) -> Path:
        """Where it was written."""
        return image_path(self.folder, self.document_id)


@dataclass(slots=True)
class FilterState:
    """One filter of a job, by its dialect."""

    dialect: str
    state: str = "Pending"
    reasons: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The plain form of FilterStatus."""
        data: dict[str, Any] = {"dialect": self.dialect, "filter_state": self.state}
        if self.reasons:
            data["filter_state_reasons"] = {"filter_state_reason": list(self.reasons)}
        return data


@dataclass(slots=True)
class PostScanJob:
    """One job.

    Attributes:
        token: JobToken.
        process: PSP_Identifier as the device sent it.
        process_name: PSP_DisplayName.
        user: JobOriginatingUserName.
        user_identifier: SID as the device sent it.
        owner: who may go on with it (certificate or address of the creator).
        created: nanoseconds since 1970.
        filters: in the order of the instructions.
        state, reasons: JobState, JobStateReasons.
        documents: images, in the order in which they came.
        completed: time of the end, None before it.
        folder: where its images are.
        arriving: images that are being written, DocumentId → bytes.
        missing: DocumentId of images that could not be kept and did not come again.
        canceling: CancelPostScanJob was accepted, whatever the state still says.
    """

    token: str
    process: str
    process_name: str
    user: str
    user_identifier: str
    owner: str
    created: int
    folder: Path
    filters: list[FilterState] = field(default_factory=list)
    state: str = "Creating"
    reasons: list[str] = field(default_factory=lambda: ["None"])
    documents: list[Document] = field(default_factory=list)
    completed: int | None = None
    arriving: dict[int, int] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    canceling: bool = False
    _ids: set[int] = field(default_factory=set, repr=False)
    """DocumentId of the documents, while more may come."""

    @property
    def over(self) -> bool:
        """It has an end state."""
        return self.completed is not None

    def go(self, state: str, reasons: Sequence[str] = ()) -> None:
        """The next state.

        Raises:
            ValueError: it cannot follow; a fault of ours.
        """
        if not may_follow(self.state, state):
            raise ValueError(f"a job cannot go from {self.state} to {state}")
        self.state = state
        self.reasons = list(reasons) or ["None"]

    def keep(self, document: Document) -> None:
        """An image came."""
        self.documents.append(document)
        self._ids.add(document.document_id)

    def has(self, document_id: int) -> bool:
        """It has an image of that number, or one is being written."""
        return document_id in self.arriving or document_id in self._ids

    def end(self, state: str, reasons: Sequence[str], time: int) -> None:
        """The end. Filters that did not run by then are Canceled: an end event lists final states only (P75)."""
        if state in FINAL and self.state != state:
            self.go(state, reasons)
        self.state, self.reasons = state, list(reasons) or ["None"]
        self.completed = time
        self._ids = set()
        for one in self.filters:
            if one.state in ("Pending", "Processing"):
                one.state = "Canceled"

    # -- plain forms ---------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """JobStatus."""
        data: dict[str, Any] = {
            "job_token": self.token,
            "job_state": self.state,
            "job_state_reasons": {"job_state_reason": list(self.reasons)},
            "filter_statuses": {"filter_status": [one.plain() for one in self.filters]},
            "images_received": len(self.documents),
            "job_created_time": clock_text(self.created),
        }
        if self.completed is not None:
            data["job_completed_time"] = clock_text(self.completed)
        return data

    def description(self) -> dict[str, Any]:
        """JobDescription."""
        return {
            "psp_identifier": self.process,
            "psp_display_name": self.process_name,
            "job_originating_user_name": self.user,
        }

    def document_list(self) -> dict[str, Any]:
        """Documents."""
        return {
            "document": [
                {"document_description": {"document_id": one.document_id, "format": one.format}}
                for one in self.documents
            ]
        }

    def summary(self) -> dict[str, Any]:
        """JobSummary."""
        return {
            "job_token": self.token,
            **self.description(),
            "job_state": self.state,
            "job_state_reasons": {"job_state_reason": list(self.reasons)},
            "filter_statuses": {"filter_status": [one.plain() for one in self.filters]},
            "images_received": len(self.documents),
        }

    def end_state(self, state: str = "", reasons: Sequence[str] = ()) -> dict[str, Any]:
        """PostScanJobEndState; ``state`` and ``reasons`` say something else than the truth."""
        return {
            "job_token": self.token,
            **self.description(),
            "job_completed_state": state or self.state,
            "job_completed_state_reasons": {"job_state_reason": list(reasons or self.reasons)},
            "filter_completed_statuses": {"filter_status": [one.plain() for one in self.filters]},
            "images_received": len(self.documents),
            "job_completed_time": clock_text(self.completed or self.created),
        }

    def sections(self, names: Sequence[tuple[str, str]], namespace: str) -> list[dict[str, Any]]:
        """ElementData for the requested names (namespace, local), in their order; Valid false where there is none.

        Args:
            names: a name without namespace counts as the service's own.
            namespace: of the service.
        """
        known: dict[str, tuple[str, Callable[[], Any]]] = {
            "JobStatus": ("job_status", self.status),
            "JobDescription": ("job_description", self.description),
            "Documents": ("documents", self.document_list),
        }
        return element_data(names, known, namespace)


class JobTable:
    """The jobs of a server: those under way, and a history of those that are over.

    Args:
        active: jobs under way at once.
        history: ended jobs remembered, at least one.
    """

    def __init__(self, active: int = 200, history: int = 100) -> None:
        self._active: OrderedDict[str, PostScanJob] = OrderedDict()
        self._history: OrderedDict[str, PostScanJob] = OrderedDict()
        self.limit = active
        self._remembered = max(history, 1)
        self.ended = 0
        """Jobs that have ended, those forgotten too."""

    @property
    def full(self) -> bool:
        """No further job is taken."""
        return len(self._active) >= self.limit

    def add(self, job: PostScanJob) -> None:
        """A new job."""
        self._active[_key(job.token)] = job

    def retire(self, job: PostScanJob) -> list[PostScanJob]:
        """A job is over; gives the jobs that are forgotten by it."""
        self._active.pop(_key(job.token), None)
        self._history[_key(job.token)] = job
        self.ended += 1
        forgotten = []
        while len(self._history) > self._remembered:
            forgotten.append(self._history.popitem(last=False)[1])
        return forgotten

    def active(self, token: str) -> PostScanJob | None:
        """The job under way with this token."""
        return self._active.get(_key(token))

    def find(self, token: str) -> PostScanJob | None:
        """The job with this token, running or over."""
        return self._active.get(_key(token)) or self._history.get(_key(token))

    def other(self, job: PostScanJob) -> str:
        """The token of a job before this one, "" where there is none that is known."""
        return next((one.token for one in reversed(self._history.values()) if one is not job), "")

    def all_active(self) -> list[PostScanJob]:
        """Jobs under way, oldest first."""
        return list(self._active.values())

    def all_ended(self) -> list[PostScanJob]:
        """Jobs that are over, oldest first."""
        return list(self._history.values())


def _key(token: str) -> str:
    """Tokens are GUIDs: case and braces do not matter (fact table, type guid)."""
    return token.strip().strip("{}").lower()
