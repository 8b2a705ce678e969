"""The story of one job, whatever its kind: what trackers collect while messages come, and what both kinds of job
share. A story is settled once, at the end, from everything that was collected: so it does not matter in which
order connections delivered it, and events that overtake the answer that names their job do no harm.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from dissector.analysis.model import FilterResult, Image, Job, JobFault, Step
from dissector.analysis.reading import LONGEST, end_text, frame_of
from dissector.analysis.resting import Resting
from dissector.analysis.words import FAULTS, is_end_state, size_text
from dissector.base.findings import Finding, Rule, Severity, rule
from dissector.messages import Attachment, Message

__all__ = ["Call", "Final", "Report", "Story", "refusal"]

KEPT = 10_000
"""Steps, state reports, images and faults kept of one job; more are only counted."""

FAULT = rule("job.fault", "warn", "a request of the job was refused")
UNANSWERED = rule("job.unanswered", "warn", "a request of the job has no answer in the capture")
IMAGE_INCOMPLETE = rule("job.image-incomplete", "error", "bytes of an image are not in the capture")
CUT = rule("job.story-cut", "note", "the job has more messages than are kept of one job")


@dataclass(slots=True)
class Call:
    """One request of the job, with what became of it.

    Attributes:
        answer: number of the answer, 0 while there is none; ``ok`` tells whether it was no fault.
        host: who sent the request. stream: number of the connection. image: the one that the request or its answer
            carried.
    """

    operation: str
    number: int
    time: int
    frame: int
    host: str = ""
    answer: int = 0
    answer_time: int = 0
    answer_frame: int = 0
    ok: bool = False
    fault: str | None = None
    image: Image | None = None
    stream: int = -1

    def answered(self, message: Message, fault: str | None) -> None:
        """Its answer came."""
        self.answer = message.number
        self.answer_time = message.time
        self.answer_frame = frame_of(message)
        self.fault = fault
        self.ok = fault is None

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that completed the request and its answer."""
        return tuple(sorted({frame for frame in (self.frame, self.answer_frame) if frame}))


@dataclass(slots=True)
class Report:
    """A state that was told before the end: by a status event ("event"), an answer about the job ("poll"), the list
    of active jobs ("active") or of finished ones ("history").

    Attributes:
        to: who was told, to compare what one listener heard.
    """

    by: str
    number: int
    time: int
    frame: int
    to: str
    state: str | None
    reasons: list[str] = field(default_factory=list)
    filters: list[FilterResult] = field(default_factory=list)
    images: int | None = None
    created_time: str | None = None
    completed_time: str | None = None


@dataclass(slots=True)
class Final(Report):
    """What a completion event said. ``status`` is the sink's HTTP answer."""

    service: str = ""
    status: int | None = None
    process: str | None = None
    has_reasons: bool = True


_Kept = TypeVar("_Kept")

_number = attrgetter("number")
_sent = attrgetter("frame", "number")


def refusal(message: Message) -> str | None:
    """Why an answer is none: subcode or code of the fault, or the HTTP status; None for a good answer."""
    if message.fault is not None:
        return message.fault.subcode or message.fault.code or "Fault"
    if message.status is not None and message.status >= 300:
        return f"HTTP {message.status}"
    return None


class Story:
    """One job under way. It may be put to rest between two messages, see :mod:`dissector.analysis.resting`; what has a
    slot stays.

    Attributes:
        job: what the faces get; complete after it was settled.
        calls: the requests of the job, by operation.
        create: the request that made it, None where it is not in the capture.
        first: number of its first message.
        begun: the job's first frame.
        into: the story that this one turned out to belong to.
    """

    __slots__ = ("__dict__", "_packed", "_resting", "begun", "first", "into")

    def __init__(self, kind: str, message: Message, resting: Resting) -> None:
        self._packed = b""
        self._resting = resting
        resting.awake(self)
        self.job = Job(kind, "")
        self.first = message.number
        self.begun = 0
        self.last = message.number
        self.create: Call | None = None
        self.calls: dict[str, list[Call]] = {}
        self.reports: list[Report] = []
        self.finals: list[Final] = []
        self.into: Story | None = None
        self._left_out = 0

    @property
    def awake(self) -> bool:
        """It is an object, not packed."""
        return bool(self.__dict__)

    def rest(self) -> None:
        """Pack what has no slot."""
        if self.__dict__:
            self._packed = self._resting.packer.pack(self.__dict__)
            del self.__dict__

    def forget(self) -> None:
        """The job is told: nothing of the story is needed any more."""
        self._packed = b""
        del self.__dict__

    if not TYPE_CHECKING:  # so that a misspelt attribute is still found

        def __getattr__(self, name: str) -> Any:
            # Called only where an attribute is missing: the story is at rest.
            packed, self._packed = self._packed, b""
            if not packed:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            # What was set meanwhile is newer.
            self.__dict__ = self._resting.packer.unpack(packed) | self.__dict__
            self._resting.awake(self)
            return getattr(self, name)

    def called(self, operation: str) -> list[Call]:
        """The requests of one operation, in order."""
        return self.calls.get(operation, [])

    def asked(self, operation: str, number: int) -> Call:
        """The request of a number; one by itself where it is not kept."""
        calls = self.called(operation)
        at = bisect_left(calls, number, key=_number)
        return calls[at] if at < len(calls) and calls[at].number == number else Call(operation, number, 0, 0)

    def answered(self, number: int, status: int | None) -> None:
        """The sink answered the completion event of a number."""
        at = bisect_left(self.finals, number, key=_number)
        if at < len(self.finals) and self.finals[at].number == number:
            self.finals[at].status = status

    @property
    def heard(self) -> list[Report]:
        """All that was told of its state, in the order in which it was sent: what waited behind a gap is read later."""
        return sorted([*self.reports, *self.finals], key=_sent)

    # -- collecting ---------------------------------------------------------------------------------------------

    def step(self, message: Message, text: str = "") -> None:
        """A message of the job: one step of its timeline."""
        job = self.job
        frame = frame_of(message)
        first = message.frames[0] if message.frames else frame
        self.first = min(self.first, message.number)
        if not job.timeline or 0 < first < job.first_frame:
            job.first_time, job.first_frame = message.first_time or message.time, first
            self.begun = first
        job.last_time = max(job.last_time, message.time)
        job.last_frame = max(job.last_frame, frame)
        self.last = max(self.last, message.number)
        job.digits = max(job.digits, message.digits) if job.timeline else message.digits
        if len(job.timeline) >= KEPT:
            self._left_out += 1
            return
        job.timeline.append(
            Step(
                message.time,
                frame,
                message.number,
                message.name,
                text[:LONGEST],
                end_text(message.source),
                end_text(message.destination),
            )
        )

    def call(self, message: Message, operation: str) -> Call:
        """A request of the job."""
        made = Call(operation, message.number, message.time, frame_of(message), message.source.address)
        made.stream = message.stream.number
        some = self.calls.setdefault(operation, [])
        if len(some) < KEPT:
            some.append(made)
        return made

    def report(self, report: Report) -> None:
        """A state that was told."""
        some: list[Report] | list[Final] = self.finals if isinstance(report, Final) else self.reports
        if len(some) < KEPT:
            some.append(report)  # type: ignore[arg-type]  # to the list of its kind

    def fault(self, message: Message, operation: str, *, normal: bool = False, subject: str = "") -> None:
        """A request was refused; a finding too, unless that is its normal end."""
        code = refusal(message) or "Fault"
        fault = message.fault
        reason = (fault.reason if fault is not None else message.http.reason if message.http else "").strip()[:LONGEST]
        frame = frame_of(message)
        if len(self.job.faults) < KEPT:
            self.job.faults.append(
                JobFault(
                    message.number,
                    frame,
                    message.time,
                    operation,
                    fault.code if fault is not None else code,
                    fault.subcode if fault is not None else None,
                    reason,
                    normal,
                )
            )
            if not normal:
                said = f' "{reason}"' if reason else ""
                words = FAULTS.get(code)
                self.find(
                    FAULT,
                    f"{subject or operation} was refused with {code}{said}" + (f": {words}" if words else ""),
                    frame,
                )

    def find(self, kind: Rule, text: str, *frames: int, severity: Severity | None = None) -> None:
        """A finding of the job."""
        if len(self.job.findings) < KEPT:
            self.job.findings.append(
                kind(text[:LONGEST], frames=tuple(sorted({frame for frame in frames if frame})), severity=severity)
            )

    def missing_answers(self, operations: Iterable[str]) -> None:
        """A finding for each request of these operations that was never answered."""
        for operation in operations:
            for call in self.called(operation):
                if not call.answer:
                    what = f"{operation} of image {call.image.document_id}" if call.image else operation
                    self.find(
                        UNANSWERED,
                        f"{what} (frame {call.frame}) has no answer in the capture: the peer did not answer, or the "
                        "capture lost it or ended before",
                        call.frame,
                    )

    def image(self, message: Message, document_id: int | str | None, declared: str | None) -> Image:
        """The image that a message carries, with a finding where bytes are missing."""
        attachment = _picture(message)
        frame = frame_of(message)
        if attachment is None:
            gaps = message.http.gaps if message.http is not None else []
            missing = sum(gap.length for gap in gaps)
            if not message.complete:
                edges = [f for gap in gaps for f in (gap.before, gap.after) if f]
                self.find(
                    IMAGE_INCOMPLETE,
                    f"image {document_id} could not be read: the head of its MIME part is among "
                    f"{size_text(missing)} missing from the capture"
                    + (f" between frames {edges[0]} and {edges[-1]}" if len(edges) > 1 else ""),
                    *(edges or [frame]),
                )
            return Image(
                document_id, declared, None, "", 0, None, message.complete, (frame,) if frame else (),
                message.number, message.time, missing=missing,
            )  # fmt: skip
        content = attachment.content
        gaps = content.gaps or ([] if content.complete or message.http is None else message.http.gaps)
        missing = sum(gap.length for gap in gaps)
        image = Image(
            document_id,
            declared or attachment.declared,
            attachment.real_type,
            attachment.media_type,
            content.size,
            content.sha256 if content.complete else None,
            content.complete,
            attachment.frames or message.frames,
            message.number,
            message.time,
            missing=missing,
        )
        if not content.complete:
            lost = f"{size_text(missing)} missing" if missing else "its end is missing"
            # The holes of a part count its own bytes; those of the message know the frames around them.
            around = message.http.gaps if message.http is not None and message.http.gaps else gaps
            after = next((gap.before for gap in around if gap.before), 0)
            before = next((gap.after for gap in around if gap.after), 0)
            where = f" between frames {after} and {before}" if after and before else f" after frame {after or frame}"
            self.find(
                IMAGE_INCOMPLETE,
                f"image {document_id} is incomplete in the capture: {size_text(content.size)} seen, {lost}{where}; "
                "this does not say that the peer got it incomplete",
                *(f for f in (after, before, frame) if f),
            )
        return image

    def absorb(self, other: Story) -> None:
        """The other story is about the same job: take over what it knows, as far as that is kept of one job (requests
        for one scan can be many, and each answer names another job)."""
        other.into = self
        mine, its = self.job, other.job
        self._left_out += other._left_out + _take(mine.timeline, its.timeline)
        _take(mine.faults, its.faults)
        _take(mine.findings, its.findings)
        for operation, calls in other.calls.items():
            own = self.calls.setdefault(operation, [])
            _take(own, calls)
            own.sort(key=_number)
        _take(self.reports, other.reports)
        _take(self.finals, other.finals)
        self.finals.sort(key=_number)
        for name in ("device", "server", "user", "user_sid", "process", "process_name", "document_name"):
            if not getattr(mine, name):
                setattr(mine, name, getattr(its, name))
        self.first = min(self.first, other.first)
        if not mine.first_frame or 0 < its.first_frame < mine.first_frame:
            mine.first_time, mine.first_frame = its.first_time, its.first_frame
            self.begun = its.first_frame
        self.last = max(self.last, other.last)
        mine.last_time = max(mine.last_time, its.last_time)
        mine.last_frame = max(mine.last_frame, its.last_frame)

    # -- the end ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Put together what was collected: states, end, filters, counts. The judging comes after it."""
        job = self.job
        job.timeline.sort(key=lambda step: step.message)
        job.faults.sort(key=lambda fault: fault.message)
        # What the rules take for the first that was told is what was sent first, not what was read first.
        self.reports.sort(key=_sent)
        self.finals.sort(key=_sent)
        if self.create is not None:
            job.created = self.create.time
        heard = self.heard
        for report in heard:
            if report.state and (not job.states or job.states[-1][1:] != (report.state, report.reasons)):
                job.states.append((report.time, report.state, list(report.reasons)))
            if report.filters:
                job.filters = report.filters
            if report.images is not None:
                job.images_received = report.images
            job.created_time = job.created_time or report.created_time
            job.completed_time = job.completed_time or report.completed_time
        if job.states:
            job.state = job.states[-1][1]
        if self.finals:
            final = self.finals[0]
            job.completed_state = job.state = final.state
            job.completed_state_reasons = list(final.reasons)
            job.completed_by, job.ended = "event", final.time
            job.filters = final.filters or job.filters
            job.images_received = final.images if final.images is not None else job.images_received
            job.completed_time = final.completed_time or job.completed_time
        else:
            over = next((report for report in heard if is_end_state(report.state)), None)
            if over is not None:
                job.state, job.ended = over.state, over.time
                job.completed_by = "inferred" if over.by == "event" else "history"
        if self._left_out:
            self.find(CUT, f"{self._left_out:,} further messages of this job are not in its timeline")

    def sort_findings(self) -> None:
        """Order by the first frame that each finding names; those without a frame last."""

        def place(finding: Finding) -> int:
            return finding.frames[0] if finding.frames else 1 << 62

        self.job.findings.sort(key=place)


def _take(own: list[_Kept], more: list[_Kept]) -> int:
    """Add what is kept of it; gives how much is not."""
    room = max(KEPT - len(own), 0)
    own += more[:room]
    return max(len(more) - room, 0)


def _picture(message: Message) -> Attachment | None:
    """The attachment that an element includes, else the first one."""
    included = next((a for a in message.attachments if a.element), None)
    return included or (message.attachments[0] if message.attachments else None)
