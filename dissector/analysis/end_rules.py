"""Rules on states and ends that post-scan jobs and scan jobs share.

A job ends Completed, Canceled or Aborted, or with a vendor's word; a value of JobState that is no end state does
not belong into JobCompletedState (dsp.yaml P68, wsscan.yaml V18). From an end state there is no way back (P66, Q13).
"""

from __future__ import annotations

from dissector.analysis.story import Final, Report, Story
from dissector.analysis.words import (
    END_FILTER_STATES,
    END_STATES,
    JOB_STATES,
    SCAN_JOB_STATES,
    explain,
    filter_name,
    in_another_case,
    is_end_state,
    is_vendor_keyword,
    join,
    lookalike,
)
from dissector.base.findings import Rule, Severity, rule

__all__ = ["completion", "filters_failed", "states"]

COMPLETED_STATE = rule(
    "job.completed-state",
    "error",
    "JobCompletedState holds a state that does not end a job",
    "dsp.yaml P68; wsscan.yaml V18",
)
VENDOR_STATE = rule("job.vendor-state", "note", "the job ended with a vendor's own state", "MS-BDSRR 1.8")
UNKNOWN_STATE = rule(
    "job.unknown-state", "warn", "the job's end state is neither specified nor of a vendor's form", "MS-BDSRR 1.8"
)
STATE_CASE = rule(
    "job.state-case", "warn", "the job's end state is a known one in another case; values are case-sensitive",
    "XML Schema part 2, 4.3.5",
)  # fmt: skip
NOT_GOOD = rule("job.ended-badly", "warn", "the job did not end Completed and clean")
BACKWARDS = rule("job.state-backwards", "warn", "the job left an end state", "dsp.yaml P66; wsscan.yaml Q13")
FILTER_FAILED = rule("job.filter-failed", "warn", "a filter of the job did not complete successfully")


def completion(story: Story) -> None:
    """The end state of the completion event: legal, a vendor's, or wrong; and what it means where it is not good."""
    job, final = story.job, story.finals[0]
    state = final.state
    reasons = join([explain(reason) for reason in final.reasons if reason != "None"])
    if state is None:
        story.find(COMPLETED_STATE, "the end event has no JobCompletedState", final.frame)
    elif state in END_STATES:
        bad = [r for r in final.reasons if r.endswith(("WithErrors", "WithWarnings"))]
        if state != "Completed":
            story.find(NOT_GOOD, f"the job ended {state}" + (f": {reasons}" if reasons else ""), final.frame,
                       severity=Severity.NOTE if state == "Canceled" else None)  # fmt: skip
        elif bad:
            story.find(NOT_GOOD, f"the job ended {state}, but {join([explain(r) for r in bad])}", final.frame)
    elif (known := in_another_case(state, END_STATES)) is not None:
        story.find(
            STATE_CASE,
            f"JobCompletedState is {state}, {known} in another case: receivers may take it for an unknown one",
            final.frame,
        )
    elif (known := in_another_case(state, JOB_STATES | SCAN_JOB_STATES)) is not None:
        case = f" ({known}, in another case)" if known != state else ""
        story.find(
            COMPLETED_STATE,
            f"JobCompletedState is {state}{case}, which is a state of a running job; expected Aborted, Canceled, "
            "Completed or a vendor's value",
            final.frame,
        )
    elif is_vendor_keyword(state):
        story.find(VENDOR_STATE, f"the job ended with the vendor's state {state}", final.frame)
    else:
        meant = lookalike(state)
        hint = f"; {meant} is probably meant" if meant else ""
        story.find(
            UNKNOWN_STATE,
            f"JobCompletedState is {state}: neither Aborted, Canceled or Completed nor of the form prefix:word that "
            f"vendors must use{hint}",
            final.frame,
        )
    job.completed_state = state


def states(story: Story, known: frozenset[str], after_final: Rule) -> None:
    """What each listener was told must not leave an end state, and nothing comes to it after the end event.

    Listeners are compared with themselves only: their events run on connections of their own, at their own pace.
    """
    over: dict[str, Report] = {}
    for report in story.heard:
        before = over.get(report.to)
        is_final = isinstance(report, Final)
        if before is not None and report.by in ("event", "poll") and not is_final:
            was_final = isinstance(before, Final)
            if not is_end_state(report.state) and report.state in known:
                story.find(
                    BACKWARDS,
                    f"the job is told to be {report.state} in frame {report.frame}, after {before.state} in frame "
                    f"{before.frame}",
                    before.frame,
                    report.frame,
                )
            elif was_final and report.by == "event":
                story.find(
                    after_final,
                    f"status event ({report.state}) in frame {report.frame}, after the end event in frame "
                    f"{before.frame}",
                    before.frame,
                    report.frame,
                )
        if is_final or is_end_state(report.state):
            over[report.to] = report


def filters_failed(story: Story) -> None:
    """Each filter that did not do its work, with its reasons in words."""
    frame = story.finals[0].frame if story.finals else story.job.last_frame
    for result in story.job.filters:
        ended = result.state in END_FILTER_STATES or is_vendor_keyword(result.state)
        if result.state == "CompletedSuccessfully" or not ended:
            continue
        reasons = join([explain(reason) for reason in result.reasons])
        story.find(
            FILTER_FAILED,
            f"filter {filter_name(result.dialect)} ended {result.state}" + (f": {reasons}" if reasons else ""),
            frame,
            severity=Severity.NOTE if result.state == "Canceled" or is_vendor_keyword(result.state) else None,
        )
