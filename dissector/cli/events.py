"""``dsmshark events``: every event notification, decoded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from dissector.analysis.model import Notification
from dissector.base.errors import ExitCode
from dissector.base.findings import Finding
from dissector.cli.choose import choose_job, same_job
from dissector.cli.common import Count, exit_code, opened, output, palette, report
from dissector.output.events import EventBodies, Kept, all_findings, event_lines, events_text
from dissector.output.notes import notes
from dissector.output.times import Clock

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
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
