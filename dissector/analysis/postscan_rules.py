"""What a post-scan job should look like, and how this one differs: the rules of dsp.yaml that need the whole job.

Each rule is one function over a settled story; it leaves findings that say what was seen, in which frames, and what
that means to the person who looks for the fault. Most of the order rules are inferred from the step list of the DSM
pages, hence warnings; what makes data doubtful is an error.
"""

from __future__ import annotations

from dissector.analysis.postscan_end_rules import judge_end
from dissector.analysis.postscan_story import PostScanStory
from dissector.analysis.story import Call
from dissector.analysis.subscriptions import Subscriptions
from dissector.analysis.words import (
    count,
    is_end_state,
    join,
)
from dissector.base.findings import Severity, rule

__all__ = ["judge"]

LIMIT = 600 * 10**9
"""Nanoseconds that a server waits for EndPostScanJob (MS-BDSRR 2.2.5.11)."""

SWAPPED = 10**6
"""Nanoseconds by which a capture can swap packets of both directions: several receive queues do so within microseconds.
How far the other side had acknowledged them is not kept."""

PATIENCE = 60 * 10**9
"""Nanoseconds after EndPostScanJob from which a missing end event is a warning, not a note."""

_BASES = (
    "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing/",
    "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/configuration/",
    "http://schemas.microsoft.com/windows/2008/02/wdp/repository/processing/",
)
_END_ACTIONS = [f"{base}PostScanJobEndStateEvent" for base in _BASES]

NO_CREATE = rule("job.no-create", "note", "the capture does not hold the beginning of the job", "dsp.yaml P39")
TOKEN_UNKNOWN = rule("job.token-unknown", "warn", "the server does not know the job's token", "dsp.yaml P39")
TOKEN_REUSED = rule("job.token-reused", "error", "the server gave a JobToken twice", "dsp.yaml P37")
NO_END = rule("job.no-end", "note", "the capture holds no end event of the job", "dsp.yaml P52, P64")
NOT_CLOSED = rule("job.not-closed", "note", "the device never sent EndPostScanJob or CancelPostScanJob", "dsp.yaml P52")
BEFORE_CREATE = rule("job.before-create", "error", "the token was used before it was handed out", "dsp.yaml P40")
DUPLICATE = rule("job.duplicate-document", "error", "a DocumentId was used twice in the job", "dsp.yaml P44")
MIXED = rule("job.mixed-formats", "note", "the images of the job have different formats", "dsp.yaml P46")
END_TOO_EARLY = rule("job.end-too-early", "error", "EndPostScanJob came while an image was being sent", "dsp.yaml P48")
AFTER_END = rule("job.image-after-end", "error", "SendImage after EndPostScanJob or cancel", "dsp.yaml P49")
SECOND_END = rule("job.second-end", "error", "EndPostScanJob was sent twice", "dsp.yaml P49")
EMPTY = rule("job.empty", "note", "the job has no image", "dsp.yaml P50")
TIME_OUT = rule(
    "job.time-out", "warn", "more than 10 minutes passed without EndPostScanJob", "MS-BDSRR 2.2.5.11; dsp.yaml P51"
)
OTHER_USER = rule("job.cancel-by-other", "warn", "another host than the job's device cancelled it", "dsp.yaml P53")
CANCEL_LATE = rule("job.cancel-late", "note", "the job completed although it was cancelled", "dsp.yaml P54")
CANCEL_ABORTED = rule("job.cancel-aborted", "warn", "a cancelled job ended as Aborted", "dsp.yaml P55")
TOLD_OTHER = rule(
    "job.answer-mismatch", "warn", "an answer tells of something else than was asked", "dsp.yaml P56, P58"
)


def judge(story: PostScanStory, subscriptions: Subscriptions, last_time: int) -> None:
    """Say how much of the job is there, and what is wrong with it."""
    job = story.job
    story.missing_answers(("CreatePostScanJob", "SendImage", "EndPostScanJob", "CancelPostScanJob"))
    if story.create is not None and story.create.fault is not None and not story.token:
        job.ended = story.create.answer_time
        return
    job.images = [call.image for call in story.called("SendImage") if call.image is not None]
    known = story.finals or job.completed_by is not None
    if story.create is None and not story.named:
        job.partial = "no-start"
        _no_create(story)
    elif not known:
        job.partial = "no-end"
    if not story.token:
        return
    if not story.finals:
        _no_end(story, subscriptions, last_time)
    if story.reused:
        story.find(
            TOKEN_REUSED,
            f"the server gave the token {job.id} again; frame {story.reused} had given it to an earlier job, and "
            "what belongs to which can no longer be told",
            story.reused,
            story.named_frame,
        )
    for frame, text in story.mismatches:
        story.find(TOLD_OTHER, text, frame)
    _order(story)
    _images(story)
    _time_limit(story, last_time)
    _cancel(story)
    judge_end(story)


# -- beginning and end ---------------------------------------------------------------------------------------------


def _no_create(story: PostScanStory) -> None:
    refused = [f for f in story.job.faults if f.subcode == "ClientErrorJobTokenNotFound"]
    frame = story.job.first_frame
    if refused:
        story.find(
            TOKEN_UNKNOWN,
            f"the server does not know the token {story.job.id}, and no CreatePostScanJobResponse in the capture "
            "gave it: the job is over, the server was restarted, or the token is wrong",
            *(f.frame for f in refused),
        )
        return
    sources = {report.by for report in story.reports}
    if sources and sources <= {"history", "active"} and not story.finals and not story.calls:
        text = "the job is known only from the server's job list: it ran outside this capture"
    elif not story.calls:
        # Of DSM over https this is what a capture without keys has: the events alone may go in the clear.
        text = (
            "the capture holds no request of this job, only what the server told of it: the requests were sent before "
            f"frame {frame}, or on connections that could not be read"
        )
    else:
        text = f"the capture holds no CreatePostScanJob of this job: it was created before frame {frame}"
    story.find(NO_CREATE, text, frame)


def _no_end(story: PostScanStory, subscriptions: Subscriptions, last_time: int) -> None:
    job = story.job
    lists_only = not story.calls and all(report.by in ("history", "active") for report in story.reports)
    if lists_only:
        return
    ends = [call for call in (*story.called("EndPostScanJob"), *story.called("CancelPostScanJob")) if call.ok]
    if not ends and not is_end_state(job.state):
        sent = len(story.called("SendImage"))
        story.find(
            NOT_CLOSED,
            f"the capture holds no accepted EndPostScanJob or CancelPostScanJob after {count(sent, 'image')}: the "
            "device stopped, or the capture ended before or lacks it",
            job.last_frame,
        )
    watches = [w for host in story.hosts for w in subscriptions.of_source(host) if w.passes(_END_ACTIONS)]
    live = [w for w in watches if not w.over(last_time)]
    since = max((call.time for call in ends), default=job.last_time)
    wait = last_time - since
    severity = None
    if job.completed_by is not None:
        why = f"that it is {job.state} is known by other means"
    elif not watches:
        why = "no subscription to it is in the capture: made before the capture began, or nobody listens"
    elif not live:
        watch = watches[-1].subscription
        how = f"ended ({watch.ended})" if watch.ended else f"ran out (granted for {watch.granted})"
        why = f"subscription {watch.number} had {how}, so the server had nobody to tell"
        severity = Severity.WARN
    elif ends and wait > PATIENCE:
        why = f"it did not come to subscription {live[-1].number} within {wait / 1e9:,.0f} s"
        severity = Severity.WARN
    else:
        why = f"the capture ends {wait / 1e9:,.1f} s after the job's last request"
    story.find(NO_END, f"no PostScanJobEndStateEvent of this job: {why}", job.last_frame, severity=severity)


# -- requests ------------------------------------------------------------------------------------------------------


def _sent(story: PostScanStory, operation: str) -> list[Call]:
    """The requests in the order in which they were sent: what waited behind a gap, on another connection, is read
    later."""
    return sorted(story.called(operation), key=lambda call: call.frame)


def _order(story: PostScanStory) -> None:
    sends, ends = _sent(story, "SendImage"), _sent(story, "EndPostScanJob")
    closing = [call for call in (*ends, *story.called("CancelPostScanJob")) if call.ok]
    if story.create is not None and story.named:
        for call in (*sends, *ends):
            if 0 < call.frame < story.named_frame:
                story.find(
                    BEFORE_CREATE,
                    f"{call.operation} in frame {call.frame} uses the token that CreatePostScanJobResponse gives only "
                    f"in frame {story.named_frame}",
                    call.frame,
                    story.named_frame,
                )
    for closed in closing[:1]:
        for send in sends:
            if send.frame > closed.answer_frame:
                took = " and was accepted" if send.ok else ""
                story.find(
                    AFTER_END,
                    f"SendImage in frame {send.frame} came after {closed.operation} was accepted in frame "
                    f"{closed.answer_frame}{took}",
                    send.frame,
                    closed.answer_frame,
                )
    for send in sends if story.finals and not closing else []:
        if send.frame > story.finals[0].frame:
            took = "was accepted" if send.ok else "was not accepted; the device did not know yet"
            story.find(
                AFTER_END,
                f"SendImage in frame {send.frame} came after the job had ended (frame {story.finals[0].frame}) and "
                f"{took}",
                send.frame,
                story.finals[0].frame,
                severity=None if send.ok else Severity.NOTE,
            )
    for end in ends[1:]:
        if ends[0].ok:
            story.find(
                SECOND_END,
                f"EndPostScanJob in frame {end.frame} although the one in frame {ends[0].frame} was accepted",
                ends[0].frame,
                end.frame,
            )
    for end in ends[:1]:
        for send in sends:
            # On one connection nobody asks before the answer: what stands so close was swapped by the capture.
            swapped = send.stream == end.stream and send.answer_time < end.time + SWAPPED
            if send.frame < end.frame < send.answer_frame and not swapped:
                story.find(
                    END_TOO_EARLY,
                    f"EndPostScanJob in frame {end.frame} did not wait for the answer to SendImage "
                    f"(frames {send.frame} to {send.answer_frame})",
                    send.frame,
                    end.frame,
                    send.answer_frame,
                )
    if ends and ends[0].ok and not sends and story.create is not None:
        story.find(EMPTY, "EndPostScanJob without any SendImage: an empty job, which servers accept", ends[0].frame)


def _images(story: PostScanStory) -> None:
    seen: dict[int | str, Call] = {}
    for call in _sent(story, "SendImage"):
        image = call.image
        if image is None or image.document_id is None:
            continue
        before = seen.get(image.document_id)
        if before is not None and before.fault is None:
            sure = before.ok and not call.fault
            story.find(
                DUPLICATE,
                f"DocumentId {image.document_id} of frame {call.frame} was used before in frame {before.frame}"
                + ("" if sure else "; it may be a repetition, as the first got no good answer or this one was refused"),
                before.frame,
                call.frame,
                severity=None if sure else Severity.NOTE,
            )
        seen[image.document_id] = call
    formats = sorted({image.format for image in story.job.images if image.format})
    if len(formats) > 1:
        story.find(MIXED, f"the images of one job have {len(formats)} formats: {join(formats)}", story.job.first_frame)


def _time_limit(story: PostScanStory, last_time: int) -> None:
    """P51: each SendImage restarts the ten minutes, as the wording fits best (notes-dsm 37)."""
    done = [*story.called("EndPostScanJob"), *story.called("CancelPostScanJob")]
    until = min((call.time for call in done), default=0)
    if not until:
        until = story.finals[0].time if story.finals else last_time
    marks = [(call.time, call.frame, call.operation) for call in story.called("SendImage") if call.time <= until]
    if story.named:
        marks.append((story.named_time, story.named_frame, "CreatePostScanJobResponse"))
    if not marks:
        return
    marks.sort()
    ends = [(time, frame) for time, frame, _ in marks[1:]] + [(until, done[0].frame if done else 0)]
    for (time, frame, what), (after, next_frame) in zip(marks, ends, strict=True):
        if after - time > LIMIT:
            minutes = (after - time) / 60e9
            story.find(
                TIME_OUT,
                f"{minutes:,.1f} minutes passed after {what} in frame {frame}; a server gives a job up after 10 "
                "minutes (PostScanJobTimedOut)",
                frame,
                next_frame,
            )


def _cancel(story: PostScanStory) -> None:
    cancels = [call for call in story.called("CancelPostScanJob") if call.ok]
    if not cancels:
        return
    first, state = cancels[0], story.job.completed_state
    by_console = any(step.message == first.number and step.text for step in story.job.timeline)
    if not by_console and story.create is not None and first.host != story.create.host:
        story.find(
            OTHER_USER,
            f"CancelPostScanJob came from {first.host}, but the job was created by {story.create.host}; only the "
            "creating user may cancel",
            first.frame,
        )
    if state == "Completed":
        story.find(CANCEL_LATE, "cancelling is best effort: the job was already done and ended Completed", first.frame)
    elif state == "Aborted":
        story.find(
            CANCEL_ABORTED,
            "CancelPostScanJob was accepted, but the job ended Aborted instead of Canceled",
            first.frame,
            story.finals[0].frame,
        )
