"""Results of runs for the reports: one of each outcome, and one whose every text is hostile."""

from __future__ import annotations

from replay.player.difference import Difference
from replay.player.result import Result
from replay.player.step import StepResult

NASTY = "<script>alert(1)</script>&amp;\"'\x00\x1b[31m\u202e\ud800]]>\n-->\r\n\t</style>"
"""Markup, quotes, controls, a lone surrogate, ends of what could be around it."""

PARTIES = {"device": "DSM device", "server": "scan server"}


def step(number: int, outcome: str, name: str = "SendImageRequest", **more: object) -> StepResult:
    given = {
        "seconds": 0.02, "origin": f"frames {number} of x.pcap, after 0.5 s", "sender": "device", "receiver": "server",
        "time": 0.5, "at": 1.25,
    } | more  # fmt: skip
    return StepResult(number, name, outcome, **given)


def result(*steps: StepResult, **more: object) -> Result:
    given = {
        "parties": dict(PARTIES), "plays": ("device",), "capture": "x.pcap", "began": 1_790_000_000_123_456_789,
        "seconds": 2.5,
    } | more  # fmt: skip
    return Result("Two pages", "http://127.0.0.1:5362/ScanServer", list(steps), **given)


END = Difference(
    "body",
    "PostScanJobEndState/JobCompletedState",
    "Completed",
    "Aborted",
    "JobCompletedState is Aborted, was Completed",
)
REFUSED = Difference(
    "fault", "", "SendImageResponse", "the fault OperationFailed",
    "the fault OperationFailed came (no paper), SendImageResponse was recorded",
)  # fmt: skip
TOKEN = Difference("body", "JobToken", "t-1", "t-3", "JobToken is t-3, t-2 was expected", expected="t-2")


def every_outcome() -> Result:
    ended = {
        "name": "PostScanJobEndStateEvent",
        "sender": "server",
        "receiver": "device",
        "seconds": 0.0,
        "event": True,
    }
    return result(
        step(1, "same", "CreatePostScanJobRequest"),
        step(2, "skipped", text="the recording holds nothing to compare with"),
        step(3, "different", text=REFUSED.text, differences=[REFUSED]),
        step(4, "failed", text="not sent: job_token is not known"),
        step(5, "missing", text="did not come within 10 s of its time", **(ended | {"name": "PostScanJobStatusEvent"})),
        step(6, "late", text="came after it had been given up; x", differences=[TOKEN], came="frames 9 of own.pcapng"),
        step(0, "unexpected", "Odd", text="the recording has no such message", origin="", sender="", receiver="",
             time=None, seconds=0.0),
        step(0, "doubled", "Odd", text="came twice (step 6)", origin="", sender="", receiver="", time=None, at=None),
        step(7, "different", text=END.text, differences=[END], **ended),
    )  # fmt: skip


def hostile() -> Result:
    bad = Difference("body", NASTY, NASTY, NASTY * 100, NASTY, expected=NASTY)
    return Result(
        NASTY, NASTY,
        [StepResult(number, NASTY, outcome, NASTY, 0.1, NASTY, [bad], NASTY, NASTY + "2", False, 1.0, 1.0, NASTY)
         for number, outcome in enumerate(["different", "missing", "skipped", "same", "unexpected"])],
        NASTY, {NASTY: NASTY, NASTY + "2": NASTY}, (NASTY,), NASTY, 1, 1.0,
    )  # fmt: skip
