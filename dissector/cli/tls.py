"""``dsmshark tls``: the TLS connections, with keys or without."""

from __future__ import annotations

import argparse

from dissector.base.errors import ExitCode
from dissector.cli.common import Count, exit_code, opened, output, palette, report
from dissector.output.notes import notes
from dissector.output.text import count
from dissector.output.tls_json import tls_json_text
from dissector.output.tls_text import connection_lines, failed, record_lines, summary

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    counted = Count()
    store = None
    if args.trust:
        from dissector.truststore import read_trust

        store = read_trust(args.trust)
    with opened(args, digest=False, watch_tls=True, tls_records=args.records) as capture:
        capture.on_http = counted.http
        capture.run(counted.message)
        connections = capture.tls
        total = len(connections)
        if args.stream is not None:
            connections = [facts for facts in connections if facts.number == args.stream]
        if args.failed:
            connections = [facts for facts in connections if failed(facts)]
        left_out = capture.tls_left_out
        # Those of connections are shown with them.
        of_keys = ("tls.keylog", "tls.secrets")
        of_capture = [
            one for one in capture.findings if not one.rule.startswith("tls.") or one.rule.startswith(of_keys)
        ]
        said = [] if total else notes(capture.stats, counted.messages, counted.https)
        # Which is this command.
        said = [one for one in said if not one.startswith("“dsmshark tls”")]
        sealed = bool(capture.stats.opaque.get("tls"))
        digits, interrupted = capture.digits, capture.interrupted
    if store is not None:
        for facts in connections:
            store.judge(facts)
    if left_out:
        said.append(f"{count(left_out, 'more connection')} not kept; see the limit tls_connections")
    with output(args) as out:
        if args.json:
            for text in tls_json_text(
                connections, digits, records=args.records, left_out=left_out, notes=said, findings=of_capture,
                interrupted=interrupted,
            ):  # fmt: skip
                out.write(text)
        else:
            paint = palette(args, out)
            shown: dict[str, int] = {}
            for place, facts in enumerate(connections):
                if place:
                    print(file=out)
                for line in connection_lines(facts, digits, paint, shown):
                    print(line, file=out)
                if args.records:
                    for line in record_lines(facts, digits):
                        print(line, file=out)
            if not connections:
                print(_none(args, total, sealed=sealed), file=out)
            elif len(connections) > 1:
                print(f"\n{summary(connections)}", file=out)
            out.flush()
            report(said, of_capture)
    return exit_code([*(finding for facts in connections for finding in facts.findings), *of_capture])


def _none(args: argparse.Namespace, total: int, *, sealed: bool) -> str:
    """What is said where no connection is shown; ``sealed``: there are some."""
    if sealed and not total:
        return "No TLS handshake is in the capture: it began later, or its packets are cut."
    if total and args.stream is not None:
        which = "failed in" if args.failed else "is in"
        return f"None of {count(total, 'TLS connection')} {which} stream {args.stream}."
    return "No TLS connection failed." if args.failed else "No TLS connections."
