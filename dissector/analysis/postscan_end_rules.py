"""How a post-scan job ended, and whether its end event fits what was seen before: rules of dsp.yaml on
PostScanJobEndStateEvent, its reasons, filters and counts."""

from __future__ import annotations

from dissector.analysis.end_rules import completion, filters_failed, states
from dissector.analysis.postscan_story import PostScanStory
from dissector.analysis.reading import normal_token
from dissector.analysis.story import Final, Report
from dissector.analysis.words import (
    END_FILTER_STATES,
    FILTER_OF_REASON,
    JOB_STATES,
    REASONS_OF_STATE,
    count,
    filter_name,
    in_another_case,
    is_vendor_keyword,
    join,
)
from dissector.base.findings import Severity, rule

__all__ = ["judge_end"]

AFTER_FINAL = rule("job.status-after-end", "warn", "a status event came after the end event", "dsp.yaml P63")
END_REPEATED = rule("job.end-repeated", "warn", "one subscriber got the end event twice", "dsp.yaml P64")
END_CONTRADICTS = rule("job.end-contradiction", "error", "two end events of the job contradict", "dsp.yaml P64, P81")
END_EARLY = rule("job.end-early", "warn", "the job completed before EndPostScanJob", "dsp.yaml P65")
IMAGES = rule("job.images-received", "warn", "ImagesReceived is not the number of images sent", "dsp.yaml P71")
IMAGES_ODD = rule("job.images-count", "warn", "ImagesReceived is not plausible", "dsp.yaml P72")
PROCESS = rule("job.process-mismatch", "warn", "the end event names another scan process", "dsp.yaml P73")
FILTERS = rule("job.filters-mismatch", "warn", "other filters reported than were asked for", "dsp.yaml P74")
FILTER_OPEN = rule("job.filter-open", "warn", "a filter is not in an end state at the end of the job", "dsp.yaml P75")
FILTER_REASON = rule("job.filter-reason", "warn", "the reason belongs to another kind of filter", "dsp.yaml P76")
NO_REASON = rule("job.filter-no-reason", "note", "reasons that do not fit the filter's state", "dsp.yaml P77")
REASON = rule("job.reason-mismatch", "warn", "the reasons do not fit the end state", "dsp.yaml P69")
INCONSISTENT = rule("job.inconsistent", "warn", "the job's reasons contradict its filters", "dsp.yaml P78")
TIMES = rule("job.times", "warn", "JobCompletedTime is before JobCreatedTime", "dsp.yaml P79")
CONTINUED = rule("job.continue-on-error", "note", "filters ran on after an error", "dsp.yaml P27")


def judge_end(story: PostScanStory) -> None:
    """States, end events and filters of a settled story."""
    states(story, JOB_STATES, AFTER_FINAL)
    if story.finals:
        _finals(story)
        completion(story)
        _final(story, story.finals[0])
    filters_failed(story)


def _finals(story: PostScanStory) -> None:
    """Several subscribers get an end event each; they must agree, and each should get one."""
    first = story.finals[0]
    heard: dict[str, Final] = {first.to: first}
    for other in story.finals[1:]:
        differs = _difference(first, other)
        if differs:
            story.find(
                END_CONTRADICTS,
                f"the end events in frames {first.frame} and {other.frame} contradict: {differs}",
                first.frame,
                other.frame,
            )
        before = heard.get(other.to)
        if before is not None and before.status is not None and before.status < 300:
            story.find(
                END_REPEATED,
                f"the end event of frame {before.frame} was accepted, yet it came to the same subscriber again in "
                f"frame {other.frame}",
                before.frame,
                other.frame,
            )
        heard[other.to] = other


def _difference(one: Final, other: Final) -> str:
    pairs: list[tuple[str, object, object]] = [
        ("state", one.state, other.state),
        ("reasons", sorted(one.reasons), sorted(other.reasons)),
        ("images received", one.images, other.images),
        *(
            (f"filter {filter_name(dialect)}", state, later)
            for dialect, state in ((f.dialect, f.state) for f in one.filters)
            for later in (f.state for f in other.filters if f.dialect == dialect)
        ),
    ]
    return "; ".join(f"{what} {_show(a)} and {_show(b)}" for what, a, b in pairs if a != b)


def _show(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _final(story: PostScanStory, final: Final) -> None:
    job = story.job
    state = final.state or ""
    ends = story.called("EndPostScanJob")
    whole = story.create is not None
    if state == "Completed" and whole and not any(call.frame < final.frame for call in ends):
        story.find(
            END_EARLY,
            "the job ended Completed, and no EndPostScanJob is in the capture before: none was sent, or it is lost",
            final.frame,
        )
    fitting = REASONS_OF_STATE.get(state)
    odd = [r for r in final.reasons if fitting is not None and _belongs_elsewhere(r, fitting)]
    if odd:
        story.find(REASON, f"{join(odd)} does not fit the end state {state}", final.frame)
    if not final.has_reasons:
        story.find(REASON, "the end event gives no JobStateReason; at least one is required", final.frame)
    _received(story, final)
    asked, told = normal_token(story.asked_process), normal_token(final.process)
    if asked and told and asked != told:
        story.find(
            PROCESS,
            f"the job was created for scan process {story.asked_process}, its end event names {final.process}",
            story.create.frame if story.create else 0,
            final.frame,
        )
    _filters(story, final)
    created, completed = job.created_time or "", job.completed_time or ""
    if len(created) >= 19 and created[19:] == "" == completed[19:] and completed < created:
        story.find(TIMES, f"JobCompletedTime {completed} is before JobCreatedTime {created}", final.frame)


def _belongs_elsewhere(reason: str, fitting: frozenset[str]) -> bool:
    return reason not in fitting and any(reason in some for some in REASONS_OF_STATE.values())


def _received(story: PostScanStory, final: Final) -> None:
    images = story.job.images
    accepted = sum(image.accepted is True for image in images)
    possible = sum(image.accepted is not False for image in images)
    received = final.images
    if received is None:
        return
    if received < accepted or (received > possible and story.create is not None):
        story.find(
            IMAGES,
            f"the server says it received {count(received, 'image')}, but {count(accepted, 'image')} were sent and "
            f"accepted in the capture",
            final.frame,
        )
    elif received > possible:
        held = f"only {possible} of them {'is' if possible == 1 else 'are'}" if possible else "none of them is"
        why = ", the others were sent before it began" if story.calls else ", which holds no request of this job"
        story.find(
            IMAGES,
            f"the server received {count(received, 'image')}; {held} in the capture{why}",
            final.frame,
            severity=Severity.NOTE,
        )
    highest: dict[str, Report] = {}
    for report in story.heard:
        before = highest.get(report.to)
        if report.images is None or report.by in ("active", "history"):
            continue
        if before is not None and before.images is not None and report.images < before.images:
            story.find(
                IMAGES_ODD,
                f"ImagesReceived went down from {before.images} (frame {before.frame}) to {report.images}",
                before.frame,
                report.frame,
            )
        highest[report.to] = report


def _filters(story: PostScanStory, final: Final) -> None:
    told = [result.dialect for result in final.filters]
    if story.dialects is not None and final.filters and sorted(told) != sorted(story.dialects):
        asked = join([filter_name(d) for d in story.dialects]) or "none"
        story.find(
            FILTERS,
            f"filters asked for: {asked}; reported at the end: {join([filter_name(d) for d in told])}",
            story.create.frame if story.create else 0,
            final.frame,
        )
    failed_before = False
    for result in final.filters:
        name, state = filter_name(result.dialect), result.state
        if state and state not in END_FILTER_STATES and not is_vendor_keyword(state):
            meant = in_another_case(state, END_FILTER_STATES)
            case = f", {meant} in another case" if meant is not None else ""
            story.find(FILTER_OPEN, f"filter {name} is {state} at the end of the job{case}", final.frame)
        for reason in result.reasons:
            kind = FILTER_OF_REASON.get(reason.lower())
            if kind is not None and kind != name.lower() and name.lower() in ("email", "fileshare", "sharepoint"):
                story.find(FILTER_REASON, f"{reason} belongs to the {kind} filter, not to {name}", final.frame)
        if state in ("CompletedWithErrors", "CompletedWithWarnings") and not result.reasons:
            story.find(NO_REASON, f"filter {name} is {state}, but gives no reason", final.frame)
        elif state == "CompletedSuccessfully" and result.reasons:
            story.find(NO_REASON, f"filter {name} is {state}, yet gives {join(result.reasons)}", final.frame)
        if failed_before and state == "CompletedSuccessfully" and story.dialects and not story.continue_on_error:
            story.find(
                CONTINUED,
                f"ContinueOnError is not set, but filter {name} ran on after another had failed",
                final.frame,
            )
        failed_before = failed_before or state == "CompletedWithErrors"
    bad = [filter_name(r.dialect) for r in final.filters if r.state == "CompletedWithErrors"]
    if "PostScanJobCompletedSuccessfully" in final.reasons and bad:
        story.find(
            INCONSISTENT, f"the job says PostScanJobCompletedSuccessfully, but {join(bad)} has errors", final.frame
        )
    if "PostScanJobCompletedWithErrors" in final.reasons and final.filters and not bad:
        story.find(INCONSISTENT, "the job says PostScanJobCompletedWithErrors, but no filter has errors", final.frame)
