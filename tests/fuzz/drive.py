"""Everything that can be asked of a capture, asked of one."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import dissector
from dissector.base.errors import UnreadableInput
from dissector.output.events import EventBodies, events_json
from dissector.output.jobs_json import jobs_json
from dissector.output.jobs_text import job_story, jobs_table
from dissector.output.plain import message_json
from dissector.output.summary import summary
from dissector.output.tree import message_tree

__all__ = ["TooLong", "drive", "within"]


class TooLong(Exception):
    """The time was over."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A guard against hanging: raises :class:`TooLong` after so many seconds."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def drive(data: bytes) -> list[str]:
    """Read a capture, and make every text and object of it; gives the names of its messages.

    Only :class:`UnreadableInput` is an answer; every other exception is a defect and goes through.
    """
    names = []
    try:
        with dissector.open(io.BytesIO(data)) as capture:
            bodies = EventBodies()
            for message in capture.all_soap:
                names.append(message.name)
                bodies(message)
                summary(message)
                "\n".join(message_tree(message, origin=True))
                json.dumps(message_json(message))
                for field in [message.body, *message.headers]:
                    if field is not None:
                        message.place_of(field)
            found = capture.findings
            json.dumps(jobs_json(capture.jobs, [], found, interrupted=False))
            pairs = [(event, bodies.kept.get(event.message)) for event in capture.events]
            json.dumps(events_json(pairs, [], found, interrupted=False))
            for finding in found:
                str(finding)
            for job in capture.jobs:
                "\n".join(job_story(job))
            "\n".join(jobs_table(capture.jobs))
            for host in capture.analysis.endpoints:
                json.dumps(host.to_json())
    except UnreadableInput:
        pass
    return names
