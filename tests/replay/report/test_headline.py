"""The one line that a manager understands."""

from __future__ import annotations

import pytest

from replay.player.difference import Difference
from replay.player.step import StepResult
from tests.support.results import END, REFUSED, TOKEN, every_outcome, result, step

READ = Difference("body", "JobElements/ElementData/JobStatus/JobState", "Completed", "Canceled", "x")
BUSY = Difference("body", "JobStatus/JobState", "Started", "Pending", "JobState is Pending, was Started")
ACCEPTED = Difference("fault", "", "the fault InvalidArgs", "SendImageResponse", "x")
SUBCODE = Difference("fault", "Code/Subcode/Value", "A", "B", "the fault is B, was A")


@pytest.mark.parametrize(
    ("steps", "verdict", "first"),
    [
        ([step(1, "same")], "as recorded (1 step)", ""),
        ([step(1, "same"), step(2, "same"), step(3, "skipped")], "as recorded (2 steps, 1 skipped)", ""),
        ([], "nothing was compared (0 steps skipped)", ""),
        ([step(7, "different", differences=[TOKEN, END])], "differs: the job ended Aborted, recorded was Completed",
         "step 7: SendImage: JobToken is t-3, t-2 was expected"),
        ([step(7, "different", differences=[END]), step(3, "different", differences=[REFUSED])],
         "differs: the job ended Aborted, recorded was Completed (1 other step differs)",
         "step 3: SendImage was refused with OperationFailed (no paper)"),
        ([step(3, "different", differences=[READ])], "differs: the job ended Canceled, recorded was Completed",
         "step 3: SendImage: x"),
        ([step(3, "different", differences=[BUSY])], "differs: SendImage: JobState is Pending, was Started", ""),
        ([step(2, "different", differences=[TOKEN]), step(3, "different", differences=[REFUSED]), step(4, "late")],
         "differs: SendImage was refused with OperationFailed (no paper) (2 other steps differ)",
         "step 2: SendImage: JobToken is t-3, t-2 was expected"),
        ([step(3, "different", differences=[ACCEPTED])],
         "differs: SendImage was accepted, recorded was the fault InvalidArgs", ""),
        ([step(3, "different", differences=[SUBCODE])], "differs: SendImage: the fault is B, was A", ""),
        ([step(9, "missing", "PostScanJobEndStateEvent"), step(3, "different", differences=[TOKEN])],
         "differs: the end of the job was never told (PostScanJobEndStateEvent did not come) (1 other step differs)",
         "step 3: SendImage: JobToken is t-3, t-2 was expected"),
        ([step(9, "missing", "JobEndStateEvent")],
         "differs: the end of the job was never told (JobEndStateEvent did not come)",
             "step 9: JobEndStateEvent did not come"),
        ([step(9, "missing", "JobStatusEvent")], "differs: JobStatusEvent did not come", ""),
        ([step(0, "unexpected", "Odd")], "differs: Odd came, and was not recorded", ""),
        ([step(0, "doubled", "Odd"), step(4, "late", "Late")], "differs: Late came too late (1 other step differs)",
         ""),
        ([step(0, "doubled", "Odd")], "differs: Odd came twice", ""),
        ([step(4, "failed", text="not sent: job_token is not known")],
         "differs: SendImage was not sent: job_token is not known", ""),
        ([step(4, "failed", text="no connection")], "differs: SendImage: no connection", ""),
    ],
)  # fmt: skip
def test_verdicts(steps: list[StepResult], verdict: str, first: str) -> None:
    found = result(*steps)
    assert found.verdict == verdict
    assert found.headline == f"Two pages: {verdict}"
    assert found.first == first
    assert found.same is verdict.startswith("as recorded")


def test_nobody_is_there() -> None:
    found = result(step(1, "same"), unreachable="127.0.0.1:9 cannot be reached: refused")
    assert found.verdict == "not played: 127.0.0.1:9 cannot be reached: refused"
    assert not found.same
    assert found.first == ""


def test_steps_are_counted_by_outcome() -> None:
    assert every_outcome().counts() == {
        "same": 1, "different": 2, "failed": 1, "missing": 1, "unexpected": 1, "doubled": 1, "late": 1, "skipped": 1,
    }  # fmt: skip
    assert [one.number for one in every_outcome().bad] == [3, 4, 5, 6, 7, 0, 0]
