"""What a scan job should look like, and how this one differs: the rules of wsscan.yaml that need the whole job.

The fault that ends a feeder job (ClientErrorNoImagesAvailable) is its normal end and no finding (Q08). Where no
JobEndStateEvent tells the end, it is inferred from the images (see :meth:`ScanStory.last_page`).
"""

from __future__ import annotations

from dissector.analysis.end_rules import completion, states
from dissector.analysis.scan_story import ScanStory
from dissector.analysis.story import Report
from dissector.analysis.subscriptions import Subscriptions
from dissector.analysis.words import CANCELED, SCAN_JOB_STATES, count, is_end_state
from dissector.base.findings import Severity, rule

__all__ = ["judge"]

LIMIT = 60 * 10**9
"""Nanoseconds that a device waits for the next RetrieveImage (WS-Scan, CreateScanJobResponse)."""

_ACTIONS = [
    "http://schemas.microsoft.com/windows/2006/08/wdp/scan/JobEndStateEvent",
    "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/device/JobEndStateEvent",
]

NO_CREATE = rule("job.no-scan-create", "note", "the scan job was created before the capture began")
NO_END = rule("job.no-scan-end", "note", "the capture does not tell how the scan job ended", "wsscan.yaml Q07")
NOT_FOLLOWED = rule("job.push-not-followed", "warn", "the announced scan was not fetched by anybody", "wsscan.yaml Q03")
NOT_ANNOUNCED = rule(
    "job.push-not-announced", "note", "the scan was announced before the capture began", "wsscan.yaml Q03"
)
PUSH_PAIR = rule(
    "job.push-incomplete", "warn", "ScanIdentifier and DestinationToken must come together", "wsscan.yaml Q02"
)
TOKEN = rule(
    "job.destination-unknown", "warn", "the DestinationToken was not given out in the capture", "wsscan.yaml Q03"
)
IDENTIFIER_AGAIN = rule("job.push-repeated", "note", "a ScanIdentifier was used more than once", "wsscan.yaml Q04")
OTHER_TOKEN = rule("job.token-mismatch", "warn", "RetrieveImage has the JobToken of another job", "wsscan.yaml Q05")
SLOW = rule("job.slow-client", "warn", "the client asked for an image after more than 60 s", "wsscan.yaml Q06")
NO_IMAGE = rule("job.no-images", "warn", "the device had no image for the job", "wsscan.yaml Q08")
CANCEL_LATE = rule("job.cancel-after-end", "note", "CancelJob for a job that was over", "wsscan.yaml Q11")
REUSED = rule("job.id-reused", "note", "the device gave the JobId before", "wsscan.yaml Q12")
AFTER_FINAL = rule("job.scan-status-after-end", "note", "a status event came after the end event", "wsscan.yaml Q13")
DECREASED = rule("job.scans-completed", "note", "ScansCompleted went down", "wsscan.yaml Q14")
SCANS = rule("job.scans-count", "note", "ScansCompleted is not the number of images fetched", "wsscan.yaml Q14")


def judge(story: ScanStory, subscriptions: Subscriptions, last_time: int) -> None:
    """Say how much of the job is there, how it ended, and what is wrong with it."""
    job = story.job
    job.images = [call.image for call in story.images if call.image is not None]
    calls = story.called("CreateScanJob")
    if job.push and not story.create and not story.named:
        job.partial = "no-end"
        wait = (last_time - job.last_time) / 1e9
        whom = f" for destination {story.context}" if story.context else ""
        story.find(
            NOT_FOLLOWED,
            f"the device announced scan {job.scan_identifier}{whom}, and no CreateScanJob followed within the "
            f"{wait:,.1f} s to the end of the capture: the client did not take the event, or could not reach the "
            "device, or the capture lacks it",
            *story.announced,
        )
        return
    _push(story, subscriptions)
    story.missing_answers(("CreateScanJob", "RetrieveImage", "CancelJob"))
    if calls and not story.named and all(call.fault for call in calls):
        job.ended = calls[-1].answer_time
        return
    _ended(story)
    if not story.create and not story.named and not _from_the_panel(story):
        job.partial = "no-start"
        _no_create(story)
    elif job.completed_by is None:
        job.partial = "no-end"
        if story.named or not story.create:
            _no_end(story, subscriptions, last_time)
    if story.reused:
        story.find(
            REUSED,
            f"the device had given JobId {job.id} in frame {story.reused} before: it was restarted, or counts badly",
            story.reused,
            story.named_frame,
        )
    _retrieval(story)
    _cancel(story)
    states(story, SCAN_JOB_STATES, AFTER_FINAL)
    _counts(story)
    if story.finals:
        completion(story)


def _from_the_panel(story: ScanStory) -> bool:
    """A job that WS-DSD tells of from its beginning: a DSM device's jobs begin at its panel, without any request."""
    if story.calls or not story.reports:
        return False
    first = story.reports[0]
    if (
        not first.to.startswith("WS-DSD")
        or first.by != "event"
        or first.state not in ("Creating", "Pending", "Started")
    ):
        return False
    story.job.created = first.time
    return True


def _no_create(story: ScanStory) -> None:
    heard = [*story.reports, *story.finals]
    if not story.calls and heard and all(report.by in ("active", "history") for report in heard):
        text = "the job is known only from the device's job list: it ran outside this capture"
    elif not story.calls and heard and all(report.to.startswith("WS-DSD") for report in heard):
        text = f"the job began at the device before frame {story.job.first_frame}"
    else:
        text = (
            f"the capture holds no CreateScanJob of job {story.job.id}: it was created before frame "
            f"{story.job.first_frame}, or somebody else's request is not in the capture"
        )
    story.find(NO_CREATE, text, story.job.first_frame)


def _push(story: ScanStory, subscriptions: Subscriptions) -> None:
    job = story.job
    frame = story.create.frame if story.create is not None else story.named_frame
    if (story.identifier is None) != (story.destination is None):
        here, gone = ("ScanIdentifier", "DestinationToken")
        if story.identifier is None:
            here, gone = gone, here
        story.find(PUSH_PAIR, f"CreateScanJob has {here} but no {gone}", frame)
    if job.push and not story.announced:
        story.find(
            NOT_ANNOUNCED,
            f"no ScanAvailableEvent with ScanIdentifier {story.identifier} is in the capture",
            frame,
            severity=Severity.CHAT if job.partial else None,
        )
    if story.destination is not None:
        watches = list(subscriptions.of_source(story.host))
        given = [token for w in watches for token in w.subscription.destinations.values()]
        if any(given) and story.destination not in given and not any(w.cut for w in watches):
            story.find(
                TOKEN,
                f"DestinationToken {story.destination} is none of those that the device gave in the capture: "
                f"{', '.join(token for token in given if token)}",
                frame,
            )
    if story.again:
        story.find(
            IDENTIFIER_AGAIN,
            f"ScanIdentifier {story.identifier} came in further CreateScanJob requests",
            frame,
            *story.again,
        )


def _ended(story: ScanStory) -> None:
    """The end without an end event: what status events or lists told, else what the images say."""
    job = story.job
    if job.completed_by is not None:
        return
    last = story.last_page()
    cancelled = next((call for call in story.called("CancelJob") if call.ok), None)
    pulls = story.called("RetrieveImage")
    told = next((c for c in pulls if c.fault and c.fault.startswith("ClientErrorJobCancel")), None)
    end = last or told or cancelled
    if end is not None:
        job.state = "Completed" if last is not None else CANCELED
        job.ended, job.completed_by = end.answer_time, "inferred"


def _no_end(story: ScanStory, subscriptions: Subscriptions, last_time: int) -> None:
    job = story.job
    got = count(len(job.images), "image")
    live = [w for w in subscriptions.of_source(story.host) if w.actions and w.passes(_ACTIONS)]
    if job.faults and not job.images:
        text = "the job has no image and no end in the capture"
    else:
        text = f"after {got} the capture does not tell whether there were more"
    if live:
        text += f"; no JobEndStateEvent came to subscription {live[-1].number}"
    wait = (last_time - job.last_time) / 1e9
    story.find(NO_END, f"{text} (the capture goes on for {wait:,.1f} s)", job.last_frame)


def _retrieval(story: ScanStory) -> None:
    since, what, at = story.named_time, "CreateScanJobResponse", story.named_frame
    for call in story.called("RetrieveImage"):
        if call.number == call.answer:  # only the answer is in the capture
            continue
        if since and call.time - since > LIMIT:
            story.find(
                SLOW,
                f"RetrieveImage in frame {call.frame} came {(call.time - since) / 1e9:,.0f} s after {what} in frame "
                f"{at}; a device gives the job up after 60 s (JobTimedOut)",
                at,
                call.frame,
            )
        if call.number in story.strangers:
            story.find(OTHER_TOKEN, f"RetrieveImage in frame {call.frame} has another JobToken than the one given "
                       f"with job {story.job.id}", story.named_frame, call.frame)  # fmt: skip
        since, what, at = (call.answer_time or since), "the image before", (call.answer_frame or at)
    empty = next((c for c in story.called("RetrieveImage") if c.fault == "ClientErrorNoImagesAvailable"), None)
    if empty is not None and not story.images:
        story.find(
            NO_IMAGE,
            "the device had nothing to scan (ClientErrorNoImagesAvailable on the first RetrieveImage): the feeder is "
            "empty, or the ticket names another source",
            *empty.frames,
        )


def _cancel(story: ScanStory) -> None:
    ends = (story.finals, [report for report in story.reports if is_end_state(report.state)])
    # The first of each kind is enough: what did not come after it came after none.
    firsts = [min(some, key=lambda report: report.frame) for some in ends if some]
    for cancel in story.called("CancelJob"):
        over = next((report for report in firsts if report.frame < cancel.frame), None)
        if over is not None:
            story.find(
                CANCEL_LATE,
                f"CancelJob in frame {cancel.frame} is for a job that was over in frame {over.frame}",
                over.frame,
                cancel.frame,
            )


def _counts(story: ScanStory) -> None:
    heard: dict[str, Report] = {}
    for report in story.heard:
        before = heard.get(report.to)
        if report.images is None:
            continue
        if before is not None and before.images is not None and report.images < before.images:
            story.find(
                DECREASED,
                f"ScansCompleted went down from {before.images} (frame {before.frame}) to {report.images}",
                before.frame,
                report.frame,
            )
        heard[report.to] = report
    if story.finals and story.create is not None and not story.multi_page:
        told, got = story.finals[0].images, len(story.job.images)
        if told is not None and told != got:
            story.find(
                SCANS,
                f"the device completed {count(told, 'scan')}, {count(got, 'image')} {'was' if got == 1 else 'were'} "
                "fetched in the capture",
                story.finals[0].frame,
                severity=Severity.WARN if told > got else None,
            )
