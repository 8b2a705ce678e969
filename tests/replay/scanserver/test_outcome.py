"""The end state of a job out of its filters, the order in which they run, and outcomes that are ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from dissector.base.errors import UsageError
from replay.devices.scanserver.filters import FilterResult, Outcome, Places, parse_outcome
from replay.devices.scanserver.instructions import FilterInstructions, Instructions
from replay.devices.scanserver.outcome import FilterRun, judge
from tests.support.postscan import email, fileshare, filter_job, sharepoint

GOOD = FilterResult("CompletedSuccessfully")
WARNED = FilterResult("CompletedWithWarnings", ("UnknownError",))
FAILED = FilterResult("CompletedWithErrors", ("UnknownError",))
CANCELED = FilterResult("Canceled")
VENDOR = FilterResult("acme:Shredded")
ALL = (fileshare(r"\\a\b"), email("a@example.com"), sharepoint("http://a/b"))


@pytest.mark.parametrize(
    ("results", "go_on", "state", "reason"),
    [
        ([GOOD, GOOD, GOOD], False, "Completed", "PostScanJobCompletedSuccessfully"),
        ([GOOD, WARNED, GOOD], False, "Completed", "PostScanJobCompletedWithWarnings"),
        ([GOOD, WARNED, FAILED], True, "Completed", "PostScanJobCompletedWithErrors"),
        ([FAILED, GOOD, GOOD], True, "Completed", "PostScanJobCompletedWithErrors"),
        ([GOOD, GOOD, FAILED], False, "Completed", "PostScanJobCompletedWithErrors"),
        ([GOOD, FAILED, CANCELED], False, "Aborted", "PostScanJobProcessingFailed"),
        ([GOOD, FAILED], False, "Aborted", "PostScanJobProcessingFailed"),
        ([GOOD, CANCELED, CANCELED], True, "Canceled", "PostScanJobCanceled"),
        ([GOOD], True, "Canceled", "PostScanJobCanceled"),
        ([FAILED, CANCELED, CANCELED], True, "Canceled", "PostScanJobCanceled"),
        ([GOOD, VENDOR, GOOD], False, "Completed", "None"),
        ([GOOD, VENDOR, FAILED], False, "Completed", "PostScanJobCompletedWithErrors"),
    ],
)
def test_end_state(results: list[FilterResult], go_on: bool, state: str, reason: str):
    judged = judge(Instructions(go_on, "a", ALL), results)
    assert (judged.completed_state, judged.reasons) == (state, (reason,))
    assert [one.dialect for one in judged.statuses] == [one.dialect for one in ALL]
    assert [one.state for one in judged.statuses][: len(results)] == [one.state for one in results]
    assert all(one.state == "Canceled" for one in judged.statuses[len(results) :])


def test_server_without_warnings_says_neither_clean_nor_failed():
    judged = judge(Instructions(False, "a", ALL), [GOOD, WARNED, GOOD], warnings_known=False)
    assert (judged.completed_state, judged.reasons) == ("Completed", ("None",))


@pytest.mark.parametrize("filters", [(), (FilterInstructions("urn:x"),)])
def test_no_known_filter(filters: tuple[FilterInstructions, ...]):
    judged = judge(Instructions(True, "a", filters), [FAILED] * len(filters))
    assert (judged.completed_state, judged.reasons) == ("Aborted", ("NoValidPostScanInstructionsFound",))


def steps(
    instructions: Instructions, outcomes: Mapping[str, Outcome], cancel_at: int = 99
) -> tuple[list[tuple[int, str, tuple[str, ...]]], list[str], str]:
    seen: list[tuple[int, str, tuple[str, ...]]] = []
    run = FilterRun(instructions, filter_job(canceled=lambda: len(seen) >= cancel_at), Places(), outcomes)

    async def go() -> None:
        async for step in run.steps():
            seen.append((step.index, step.state, step.reasons))

    asyncio.run(go())
    return seen, [one.state for one in run.results], judge(instructions, run.results).reasons[0]


ORDERED = {
    "fileshare": Outcome("CompletedWithErrors", ("FileShareAccessDenied",)),
    "email": Outcome("CompletedSuccessfully"),
    "sharepoint": Outcome("acme:Odd", ("acme:Why",)),
}


def test_each_change_is_a_step():
    seen, states, reason = steps(Instructions(True, "a", ALL), ORDERED)
    assert seen == [
        (0, "Processing", ()),
        (0, "CompletedWithErrors", ("FileShareAccessDenied",)),
        (1, "Processing", ()),
        (1, "CompletedSuccessfully", ()),
        (2, "Processing", ()),
        (2, "acme:Odd", ("acme:Why",)),
    ]
    assert states == ["CompletedWithErrors", "CompletedSuccessfully", "acme:Odd"]
    assert reason == "PostScanJobCompletedWithErrors"


def test_without_continue_on_error_the_rest_never_runs():
    seen, states, reason = steps(Instructions(False, "a", ALL), ORDERED)
    assert [state for _, state, _ in seen] == ["Processing", "CompletedWithErrors", "Canceled", "Canceled"]
    assert states == ["CompletedWithErrors", "Canceled", "Canceled"]
    assert reason == "PostScanJobProcessingFailed"


def test_cancelled_between_filters():
    seen, states, reason = steps(Instructions(True, "a", ALL), ORDERED, cancel_at=2)
    assert [state for _, state, _ in seen] == ["Processing", "CompletedWithErrors", "Canceled", "Canceled"]
    assert reason == "PostScanJobCanceled"
    assert states[1:] == ["Canceled", "Canceled"]


def test_unknown_dialect_among_others_fails_alone():
    seen, _, reason = steps(Instructions(True, "a", (FilterInstructions("urn:x"), ALL[1])), ORDERED)
    assert seen[1] == (0, "CompletedWithErrors", ("InvalidArgs",))
    assert seen[3] == (1, "CompletedSuccessfully", ())
    assert reason == "PostScanJobCompletedWithErrors"


# -- ordered outcomes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "state", "reasons"),
    [
        (
            "fileshare=CompletedWithErrors:FileShareAccessDenied",
            "fileshare",
            "CompletedWithErrors",
            ("FileShareAccessDenied",),
        ),
        ("Email=completedsuccessfully", "email", "CompletedSuccessfully", ()),
        (
            "email = CompletedWithErrors : invalidsmtpserver , UnableToSendEmail",
            "email",
            "CompletedWithErrors",
            ("InvalidSMTPServer", "UnableToSendEmail"),
        ),
        (f"{ALL[2].dialect}=Canceled", "sharepoint", "Canceled", ()),
        (
            "sharepoint=CompletedWithErrors:SharepointAccessDenied",
            "sharepoint",
            "CompletedWithErrors",
            ("SharepointAccessDenied",),
        ),
        ("fileshare=acme:Jammed", "fileshare", "acme:Jammed", ()),
        (
            "fileshare=acme:Jammed:acme:NoPaper,UnknownError",
            "fileshare",
            "acme:Jammed",
            ("acme:NoPaper", "UnknownError"),
        ),
        ("fileshare=CompletedWithErrors:acme:NoPaper", "fileshare", "CompletedWithErrors", ("acme:NoPaper",)),
    ],
)
def test_parse_outcome(text: str, kind: str, state: str, reasons: tuple[str, ...]):
    assert parse_outcome(text) == (kind, Outcome(state, reasons))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fileshare", "no outcome of a filter"),
        ("fax=Canceled", "expected one of email, fileshare, sharepoint"),
        ("email=", "does not begin with a FilterState"),
        ("email=Nonsense", "does not begin with a FilterState"),
        ("email=Processing", "Processing is no end state"),
        ("email=acme:Jam med", "does not begin with a FilterState"),
        ("email=Canceled:Nonsense", "'Nonsense' is no FilterStateReason"),
    ],
)
def test_wrong_outcome(text: str, told: str):
    with pytest.raises(UsageError, match=told):
        parse_outcome(text)
