"""What a capture does not hold of a story, in words, with step, frames and lengths. Nothing is filled in for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dissector.analysis.model import Job
from dissector.analysis.reading import frame_of
from dissector.base.findings import Finding, Severity
from dissector.messages import Message
from replay.scenario.parties import Round
from replay.scenario.values import Value

__all__ = [
    "lacking_answers", "lacking_births", "lacking_bytes", "lacking_of_capture", "lacking_of_jobs", "numbered",
]  # fmt: skip

_STREAM = re.compile(r"TCP stream (\d+):")

READING = ("tcp.", "http.", "mime.", "xml.", "soap.", "image.", "udp.")
"""Rules that say that something could not be read as it was sent."""

BEGUN = frozenset(("job.no-create", "job.no-scan-create", "job.push-not-announced", "job.story-cut"))
ENDED = frozenset(("job.no-end", "job.no-scan-end"))
"""Rules that say that a job began before the capture, or ended behind it."""

SHOWN = 3
"""Findings told of one message."""


def lacking_bytes(number: int, message: Message, *, answer: bool) -> list[str]:
    """What is missing of a message.

    Args:
        number: of the step.
        message: request or answer.
        answer: it is the answer.
    """
    where = f"step {number}, {message.name or 'a message'}{' (answer)' if answer else ''}"
    http = message.http
    lost = [gap for gap in http.gaps if gap.length] if http is not None else []
    # Lost bytes are told once; that the rest cannot be read follows from it, but for which picture has a hole.
    rules = ("image.",) if lost else READING
    found = [one for one in message.findings if one.severity is Severity.ERROR and one.rule.startswith(rules)]
    told = list(dict.fromkeys(f"{where}: {_told(one, message)}" for one in found))
    if len(told) > SHOWN:
        told[SHOWN:] = [f"{where}: and {len(told) - SHOWN} more of that kind"]
    if lost:
        ends = [frame for gap in lost for frame in (gap.before, gap.after) if frame]
        low, high = min(ends, default=frame_of(message)), max(ends, default=frame_of(message))
        between = f" (between frames {low} and {high})" if low != high else f" (frame {low})"
        told.insert(0, f"{where}: {sum(gap.length for gap in lost)} bytes are not in the capture{between}")
    elif not message.complete and not told:
        told.append(f"{where}: the end is not in the capture (frame {frame_of(message)})")
    return told


def _told(finding: Finding, message: Message) -> str:
    frame = finding.frames[0] if finding.frames else frame_of(message)
    return f"{finding.text} (frame {frame})"


def lacking_answers(rounds: Sequence[Round], messages: Iterable[Message]) -> list[str]:
    """Requests without answer, and answers without request.

    Args:
        rounds: of the story; their places are the steps' numbers.
        messages: of the capture, over HTTP.
    """
    told = [
        f"step {number}, {one.request.name}: the capture holds no answer (frame {frame_of(one.request)})"
        for number, one in numbered(rounds)
        if one.answer is None
    ]
    taken = {message.number for one in rounds for message in one.messages}
    streams = {one.request.stream.number for one in rounds}
    told += [
        f"{one.name or 'an answer'}: its request is not in the capture (frame {frame_of(one)}); it is left out"
        for one in messages
        if one.http is not None and not one.http.is_request and one.http.status >= 200
        and one.request is None and one.number not in taken and one.stream.number in streams
    ]  # fmt: skip
    return told


def lacking_of_capture(findings: Iterable[Finding], rounds: Sequence[Round]) -> list[str]:
    """Damage of the capture that touches a story: of the file as a whole, and of the story's TCP streams."""
    streams = {one.request.stream.number for one in rounds}
    told = []
    for one in findings:
        stream = _STREAM.match(one.text)
        if one.severity in (Severity.ERROR, Severity.WARN) and (stream is None or int(stream[1]) in streams):
            frame = f" (frame {one.frames[0]})" if one.frames else ""
            told.append(f"capture: {one.text}{frame}")
    return told


def lacking_of_jobs(jobs: Iterable[Job], rounds: Sequence[Round]) -> list[str]:
    """Jobs of which the capture holds a part. That the end event is missing counts where somebody subscribed to it."""
    subscribed = any(one.request.name == "Subscribe" or one.notice for one in rounds)
    rules = BEGUN | (ENDED if subscribed else frozenset())
    return [
        f"job {job.id or '(no id)'}: {one.text}{f' (frame {one.frames[0]})' if one.frames else ''}"
        for job in jobs
        for one in job.findings
        if one.rule in rules
    ]


def lacking_births(values: Iterable[Value]) -> list[str]:
    """Tokens and identifiers that somebody made before the capture began: they are sent as recorded."""
    return [
        f"{value.name}: what handed it out is not in the capture; the recorded one is used unless another one is given"
        for value in values
        if value.born is None and value.maker and value.kind in ("token", "identifier", "cookie")
    ]


def numbered(rounds: Sequence[Round]) -> Iterable[tuple[int, Round]]:
    """Rounds with the numbers of their steps."""
    return enumerate(rounds, start=1)
