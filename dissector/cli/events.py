"""``dsmshark events``: every event notification, decoded."""

from __future__ import annotations

import argparse
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TextIO

from dissector.analysis.model import Notification
from dissector.base.errors import ExitCode
from dissector.base.findings import Finding, Severity
from dissector.cli.choose import begins_so, choose_job, is_whole, same_job
from dissector.cli.common import Count, StartedClock, exit_code, live, opened, output, palette, report
from dissector.messages import Message
from dissector.output.events import (
    EventBodies,
    Kept,
    KeptEvents,
    all_findings,
    answer_lines,
    event_lines,
    events_text,
    keep,
    said_lines,
)
from dissector.output.notes import notes
from dissector.output.text import Palette
from dissector.output.times import Clock

__all__ = ["run"]

AWAITED = 1000
"""Events shown as they come whose answers are awaited; of the oldest of more it is shown that there is none yet."""


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    # JSON is one object, with how each event was taken and with the findings of the whole capture.
    return _as_they_come(args) if live(args) and not args.json else _at_the_end(args)


def _at_the_end(args: argparse.Namespace) -> ExitCode:
    count = Count()
    # Text is kept ready for printing, so its colours must be known before the pass.
    paint = palette(args, sys.stdout if args.output is None else None)
    bodies = EventBodies(text=not args.json, paint=paint)
    with opened(args, digest=False) as capture:
        capture.on_http = count.http
        capture.run(count.message, bodies)
        events: Sequence[Notification] = capture.events
        if args.job is not None:
            chosen = choose_job(capture.jobs, args.job)
            events = [event for event in events if same_job(event.job_id, chosen)]
        said = notes(capture.stats, count.messages, count.https)
        of_capture: list[Finding] = capture.findings
        clock = Clock(args.time, capture.stats.first_time)
        interrupted = capture.interrupted

    def pairs() -> Iterator[tuple[Notification, Kept | None]]:
        # Each time anew, not as a list: where there are thousands, both are packed.
        return ((event, bodies.kept.get(event.message)) for event in events)

    with output(args) as out:
        if args.json:
            out.writelines(events_text(pairs(), said, of_capture, interrupted=interrupted))
            out.write("\n")
        else:
            for event, kept in pairs():
                for line in event_lines(event, kept, clock(event.time, kept.digits if kept else 6), paint):
                    print(line, file=out)
            if not events:
                print("No event notifications.", file=out)
            out.flush()
            report(said, of_capture)
    of_events = (finding for event, kept in pairs() for finding in all_findings(event, kept))
    return exit_code(chain(of_capture, of_events))


def _as_they_come(args: argparse.Namespace) -> ExitCode:
    count = Count()
    with opened(args, digest=False, quiet=args.output is None) as capture, output(args) as out:
        lines = _Lines(out, palette(args, out), StartedClock(args.time, capture), args.job)
        capture.on_http = count.http
        capture.on_event = lines.event
        capture.run(count.message)
        of_capture = capture.findings
        events: Sequence[Notification] = capture.events
        if args.job is not None:
            chosen = choose_job(capture.jobs, args.job)
            events = [event for event in events if same_job(event.job_id, chosen)]
        lines.end(events)
        report(notes(capture.stats, count.messages, count.https), of_capture)
    return exit_code([*of_capture, *lines.bad])


class _Lines:
    """Shows each event when it comes, and how it was taken when that is known.

    Of a ``job`` those with the whole id are. What ids only begin as may be that of two jobs, or of one whose id is just
    that: these events are kept until all ids are known.
    """

    def __init__(self, out: TextIO, paint: Palette, clock: Clock, job: str | None = None) -> None:
        self._out, self._paint, self._clock, self._job = out, paint, clock, job
        self._kept = KeptEvents()
        self._awaited: OrderedDict[int, tuple[Notification, list[Finding]]] = OrderedDict()
        """By number, with the findings of the message, which are shown with the answer."""
        self._last = 0
        """Number of the event that the last lines are of; -1: they say themselves of which."""
        self.bad: list[Finding] = []

    def event(self, event: Notification, message: Message) -> None:
        """An event came, or its answer."""
        if self._job is not None and not is_whole(event.job_id, self._job):
            if event.message == message.number and not self._last and begins_so(event.job_id, self._job):
                self._kept.add(event.message, keep(message, text=True, paint=self._paint))
            return
        if event.message != message.number:
            _, findings = self._awaited.pop(event.message, (event, []))
            self._answer(event, findings)
        else:
            kept = keep(message, text=True, paint=self._paint)
            for line in said_lines(event, kept, self._clock(event.time, kept.digits), self._paint):
                print(line, file=self._out)
            self._last = event.message
            self._awaited[event.message] = event, kept.findings
            if len(self._awaited) > AWAITED:
                self._answer(*self._awaited.popitem(last=False)[1], over=False)
        self._out.flush()

    def _answer(self, event: Notification, findings: list[Finding], *, over: bool = True) -> None:
        shown = [*event.findings, *(finding for finding in findings if finding not in event.findings)]
        if not self.bad:
            self.bad = [finding for finding in shown if finding.severity is Severity.ERROR]
        apart = self._last != event.message
        for line in answer_lines(event, shown, self._paint, apart=apart, over=over):
            print(line, file=self._out)
        if apart:
            self._last = -1

    def end(self, events: Sequence[Notification]) -> None:
        """All came: what was not answered."""
        for event in events if self._awaited else ():
            if event.message in self._awaited:
                self._answer(event, self._awaited.pop(event.message)[1])
        for event in events if not self._last else ():
            kept = self._kept.get(event.message)
            for line in event_lines(event, kept, self._clock(event.time, kept.digits if kept else 6), self._paint):
                print(line, file=self._out)
            self.bad += [one for one in all_findings(event, kept) if one.severity is Severity.ERROR][: not self.bad]
        if not events:
            print("No event notifications.", file=self._out)
        self._out.flush()
