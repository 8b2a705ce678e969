"""``dsmshark jobs``: which jobs are in the capture, and how did each end."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain

from dissector.analysis.model import Job
from dissector.base.errors import ExitCode
from dissector.base.findings import Finding, Severity
from dissector.cli.common import Count, exit_code, opened, output, palette, terminal_columns
from dissector.output.notes import notes
from dissector.output.text import Palette, printable
from dissector.output.text import count as count_text

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    count = Count()
    # The table shows no SHA-256; computing it is a quarter of the time on a capture of images.
    with opened(args, digest=args.json or args.job is not None) as capture:
        capture.on_http = count.http
        capture.run(count.message)
        jobs: Sequence[Job] = capture.jobs
        shown = jobs
        if args.job is not None:
            from dissector.cli.choose import choose_job

            shown = choose_job(jobs, args.job)
        said = notes(capture.stats, count.messages, count.https, jobs=len(jobs), faulty=count.faulty)
        of_capture = capture.findings
        if args.job is not None:
            of_capture, others = _of_job(of_capture, shown)
            said += others
        interrupted = capture.interrupted
    with output(args) as out:
        if args.json:
            from dissector.output.jobs_json import jobs_text

            out.writelines(jobs_text(shown, said, of_capture, interrupted=interrupted))
            out.write("\n")
        else:
            paint = palette(args, out)
            if args.job is not None:
                lines = _stories(shown, paint)
            else:
                lines = _table(shown, terminal_columns(out), paint)
            for line in lines:
                print(line, file=out)
            for line in _capture(of_capture, said, paint):
                print(line, file=out)
    return exit_code(chain(of_capture, (finding for job in shown for finding in job.findings)))


def _of_job(findings: list[Finding], jobs: Sequence[Job]) -> tuple[list[Finding], list[str]]:
    """The findings of the capture that concern the job, and what is said of the others."""
    from dissector.cli.concerns import concerning

    kept = concerning(findings, jobs)
    rest = sum(map(_grave, findings)) - sum(map(_grave, kept))
    said = f"{count_text(rest, 'more finding')} of other hosts' connections, or of another time (see “dsmshark jobs”)"
    return kept, [said] if rest else []


def _grave(finding: Finding) -> bool:
    return finding.severity in (Severity.ERROR, Severity.WARN)


def _stories(jobs: Sequence[Job], paint: Palette) -> Iterator[str]:
    from dissector.output.jobs_text import job_story

    for number, job in enumerate(jobs):
        if number:
            yield ""
        yield from job_story(job, paint)


def _table(jobs: Sequence[Job], columns: int, paint: Palette) -> Iterator[str]:
    from dissector.output.jobs_text import job_findings, jobs_table

    if jobs:
        yield from jobs_table(jobs, columns, paint)
        yield from job_findings(jobs, paint)
    else:
        yield "No jobs."


def _capture(findings: Sequence[Finding], said: Sequence[str], paint: Palette) -> Iterator[str]:
    from dissector.output.findings import finding_lines

    shown = [finding for finding in findings if _grave(finding)]
    if shown:
        yield ""
        yield paint("title", "The capture")
        for line in finding_lines(shown, paint):
            yield f"  {line}"
    if said:
        yield ""
        for text in said:
            yield f"note: {printable(text)}"
