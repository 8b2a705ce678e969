"""``dsmshark info``: what the capture is, and what speaks WSD in it."""

from __future__ import annotations

import argparse
from collections import Counter

from dissector.base.errors import ExitCode
from dissector.base.findings import Severity
from dissector.cli.common import exit_code, opened, output, palette
from dissector.output.info import Report, Tally, info_json, info_lines
from dissector.output.notes import notes

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    tally = Tally()
    with opened(args, digest=False, any_link=True) as capture:
        capture.on_http = tally.on_http
        capture.run(tally.message)
        analysis = capture.analysis
        jobs = capture.jobs
        report = Report(
            info=capture.info,
            interfaces=capture.interfaces,
            stats=capture.stats,
            digits=capture.digits,
            tally=tally,
            hosts=analysis.endpoints,
            jobs=Counter(job.kind for job in jobs),
            events=len(capture.events),
            subscriptions=len(capture.subscriptions),
            findings=capture.findings,
            notes=notes(capture.stats, sum(tally.messages.values()), tally.http),
            interrupted=capture.interrupted,
            decrypted=capture.tls_decrypted,
        )
    with output(args) as out:
        if args.json:
            from dissector.output.jsontext import dumps

            print(dumps(info_json(report), indent=2), file=out)
        else:
            for line in info_lines(report, palette(args, out)):
                print(line, file=out)
    # The findings on messages are shown too, by rule and severity.
    wrong = any(severity == Severity.ERROR.value for _, severity in tally.rules)
    return ExitCode.FINDINGS if wrong else exit_code(report.findings)
