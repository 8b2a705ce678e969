"""What is made of the messages: exchanges, subscriptions, jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint

__all__ = ["Exchange", "FilterResult", "Image", "Job", "JobFault", "Notification", "Step", "Subscription"]


@dataclass(slots=True)
class Exchange:
    """A request and its answer. Members are message numbers; summaries are kept, not messages, so that memory
    does not grow with the bodies.

    Attributes:
        request, response: message numbers, None for the side that the capture does not hold.
        by: how they were paired: "connection", "relates-to", "both".
        latency: nanoseconds from the request's last byte to the answer's first byte, None where one is missing.
        status: HTTP status, None over UDP.
        fault: subcode (or code) of a fault answer.
    """

    service: str
    operation: str
    request: int | None
    response: int | None
    by: str
    client: Endpoint
    server: Endpoint
    time: int
    latency: int | None = None
    status: int | None = None
    fault: str | None = None
    message_id: str | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Subscription:
    """One WS-Eventing subscription.

    Attributes:
        number: from 1, in order of the Subscribe (or of the first sign of it).
        identifier: of the subscription manager, None where it has none or the answer is missing.
        manager, notify_to, end_to: addresses.
        actions: of the filter.
        requested, granted: wse:Expires as sent.
        ended: how: "Unsubscribe", the local name of the SubscriptionEnd status, "refused", None while open.
        destinations: client context → destination token (push scan), "" until the answer tells it.
        renewals: nanoseconds of each renewal granted.
        messages: numbers of the Subscribe, Renew, … and their answers.
        events: message numbers of the events delivered for it.
    """

    number: int
    source: str
    created: int
    identifier: str | None = None
    manager: str | None = None
    notify_to: str | None = None
    end_to: str | None = None
    notify_parameters: list[tuple[str, str]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    requested: str | None = None
    granted: str | None = None
    renewals: list[int] = field(default_factory=list)
    ended: str | None = None
    ended_time: int | None = None
    destinations: dict[str, str] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Notification:
    """One event delivered.

    Attributes:
        message: message number; ``event`` its name, such as ``PostScanJobEndStateEvent``.
        job_id: JobToken or JobId, None for events of no job.
        subscription: number of the subscription it was delivered for, None where that cannot be known.
        http_status: the sink's answer, None where the capture holds none.
    """

    message: int
    time: int
    frame: int
    event: str
    service: str
    job_id: str | None = None
    subscription: int | None = None
    http_status: int | None = None
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Image:
    """One image of a job.

    Attributes:
        document_id: dsp:DocumentId; for scan jobs the running number of the image.
        format: as declared; ``real_type`` as told from the bytes.
        sha256: None where bytes are missing or it was not computed.
        accepted: the transfer was answered without fault (None: no answer seen).
    """

    document_id: int | str | None
    format: str | None
    real_type: str | None
    media_type: str
    size: int
    sha256: str | None
    complete: bool
    frames: Sequence[int]
    message: int
    time: int
    accepted: bool | None = None
    missing: int = 0


@dataclass(slots=True)
class FilterResult:
    """State of one filter of a post-scan job, the last one seen."""

    dialect: str
    state: str
    reasons: list[str] = field(default_factory=list)


@dataclass(slots=True)
class JobFault:
    """A fault in the course of a job."""

    message: int
    frame: int
    time: int
    operation: str
    code: str
    subcode: str | None
    reason: str
    normal: bool = False
    """It is the usual end of something (ClientErrorNoImagesAvailable after the last page)."""


@dataclass(slots=True)
class Step:
    """One step of a job's story: ``text`` says in few words what it tells (state, image, reasons)."""

    time: int
    frame: int
    message: int
    name: str
    text: str = ""
    source: str = ""
    destination: str = ""


@dataclass(slots=True)
class Job:
    """One job, from the first message seen to its completion event.

    Attributes:
        kind: "post-scan" or "scan".
        id: JobToken of a post-scan job (as sent), JobId of a scan job (as text); "" where no message told it.
        push: a scan job that the device announced (ScanAvailableEvent).
        device, server: for post-scan: the DSM device and the scan server; for scan: the scanner and the client
            (as ``server``: who pulled the images). Endpoint addresses as text: host only where ports vary.
        created, ended: nanoseconds, None where not in the capture. ``ended`` is the time of the completion event,
            or of what else ended it.
        state: last state seen, whatever told it.
        completed_state: of the completion event (JobCompletedState as sent, trimmed), None without one.
        completed_by: how the end is known: "event", "history" (GetJobHistory, GetPostScanJobElements),
            "inferred" (all images fetched), None.
        states: (time, state, reasons) in order.
        images_received: as the last event or answer said (scan jobs: ScansCompleted).
        created_time, completed_time: JobCreatedTime and JobCompletedTime as sent: the server's clock, often
            without a zone, so never to be compared with capture times.
        instructions: what is asked for: filters and their targets, or the scan ticket, in few words each.
        user, process: user name or SID; scan process identifier or name.
        first_frame, last_frame: frames of the first and last message.
        partial: "no-start", "no-end" or "" where the capture holds the whole.
    """

    kind: str
    id: str
    device: str = ""
    server: str = ""
    push: bool = False
    created: int | None = None
    ended: int | None = None
    state: str | None = None
    completed_state: str | None = None
    completed_state_reasons: list[str] = field(default_factory=list)
    completed_by: str | None = None
    states: list[tuple[int, str, list[str]]] = field(default_factory=list)
    filters: list[FilterResult] = field(default_factory=list)
    images_received: int | None = None
    images: list[Image] = field(default_factory=list)
    faults: list[JobFault] = field(default_factory=list)
    timeline: list[Step] = field(default_factory=list)
    user: str | None = None
    user_sid: str | None = None
    process: str | None = None
    process_name: str | None = None
    document_name: str | None = None
    instructions: list[str] = field(default_factory=list)
    created_time: str | None = None
    completed_time: str | None = None
    scan_identifier: str | None = None
    first_time: int = 0
    last_time: int = 0
    first_frame: int = 0
    last_frame: int = 0
    digits: int = 6
    partial: str = ""
    findings: list[Finding] = field(default_factory=list)
