"""``dsmshark read``: the messages, one line each, or whole, or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from dissector.base.errors import ExitCode, UsageError
from dissector.base.findings import Finding, Severity, worst
from dissector.cli.choose import choose_job
from dissector.cli.common import Count, StartedClock, exit_code, live, note, opened, output, palette, report
from dissector.cli.select import chosen_by, numbers_of
from dissector.messages import Message
from dissector.output.jsontext import dumps
from dissector.output.notes import notes
from dissector.output.packetlist import PacketList
from dissector.output.text import Palette
from dissector.output.text import count as count_text
from dissector.reader import Capture

__all__ = ["run"]

CHOICES = ("job", "service", "host", "stream", "kind")
"""Options that choose messages."""

OTHER_FAULTS = {"soap.fault-form", "soap.bare-fault"}
"""Findings of faults that have not the content which SOAP 1.2 asks for."""


class _Face(Protocol):
    """One way of showing messages."""

    def show(self, message: Message, findings: list[Finding]) -> None: ...

    def end(self, findings: list[Finding], said: list[str], interrupted: bool) -> None: ...


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    chosen = chosen_by(args)
    if args.origin:
        if args.json or args.ndjson:
            raise UsageError("--origin belongs to the text of -V: JSON has the frames of each message and attachment")
        args.verbose = True
    count = Count()
    bad: list[Finding] = []
    shown = 0
    with opened(args, digest=args.verbose or args.json or args.ndjson, quiet=args.output is None) as capture:
        capture.on_http = count.http
        with output(args) as out:
            face = _face(args, capture, out)

            def sink(message: Message) -> None:
                nonlocal shown
                if chosen(message):
                    shown += 1
                    if args.strict:
                        _judge(message)
                    found = message.all_findings()
                    if not bad:
                        bad.extend(f for f in found if f.severity is Severity.ERROR)
                    face.show(message, found)

            if args.job is not None:
                _of_job(args, capture, count, sink)
            else:
                _pass(args, capture, count.message, sink)
            found = capture.findings
            said = notes(capture.stats, count.messages, count.https)
            face.end(found, said, capture.interrupted)
            if count.messages and not shown:
                wanted = " ".join(f"--{name} {value}" for name in CHOICES if (value := getattr(args, name)) is not None)
                note(f"none of {count_text(count.messages, 'message')} is left by {wanted}")
    return exit_code([*bad, *found])


def _judge(message: Message) -> None:
    """Add what the content model asks for and the body does not have. Of what is damaged, or a fault of another form
    than that of SOAP 1.2 (which is told anyway), nothing is concluded."""
    from dissector.catalog import check

    whole = message.complete and message.envelope is not None and not message.envelope.recovered
    if whole and message.body is not None and not OTHER_FAULTS & {finding.rule for finding in message.findings}:
        message.findings.extend(check(message.body))


def _pass(args: argparse.Namespace, capture: Capture, *sinks: Callable[[Message], None]) -> None:
    capture.run(*sinks, all_soap=args.all)


def _of_job(args: argparse.Namespace, capture: Capture, count: Count, sink: Callable[[Message], None]) -> None:
    """What belongs to a job is known only at the end: files are read twice; of standard input the messages are held,
    without their images."""
    held: list[Message] = []
    again = "-" not in args.files
    _pass(args, capture, count.message, *([] if again else [held.append]))
    jobs = choose_job(capture.jobs, args.job)
    numbers = numbers_of(jobs)

    def wanted(message: Message) -> None:
        if message.number in numbers or message.request in numbers:
            sink(message)

    if not again:
        for message in held:
            wanted(message)
    elif not capture.interrupted:
        _pass(args, capture, wanted)


def _face(args: argparse.Namespace, capture: Capture, out: TextIO) -> _Face:
    if args.ndjson:
        return _Lines(out)
    if args.json:
        return _Object(out)
    paint = palette(args, out)
    clock = StartedClock(args.time, capture)
    flush = out.isatty() or live(args)
    return _Trees(out, paint, args.origin, flush) if args.verbose else _List(out, PacketList(clock, paint), flush)


class _List:
    def __init__(self, out: TextIO, lines: PacketList, flush: bool) -> None:
        self._out, self._lines, self._flush = out, lines, flush
        self._shown = 0

    def show(self, message: Message, findings: list[Finding]) -> None:
        # No heading in a pipe or a file: there, lines are counted and cut.
        if not self._shown and self._out.isatty():
            print(self._lines.heading(message), file=self._out)
        self._shown += 1
        print(self._lines.line(message, worst(findings)), file=self._out, flush=self._flush)

    def end(self, findings: list[Finding], said: list[str], interrupted: bool) -> None:
        self._out.flush()
        report(said, findings)


class _Trees:
    def __init__(self, out: TextIO, paint: Palette, origin: bool, flush: bool) -> None:
        self._out, self._paint, self._origin, self._flush = out, paint, origin, flush
        self._shown = 0

    def show(self, message: Message, findings: list[Finding]) -> None:
        from dissector.output.tree import message_tree

        if self._shown:
            print(file=self._out)
        self._shown += 1
        for line in message_tree(message, self._paint, origin=self._origin):
            print(line, file=self._out)
        if self._flush:
            self._out.flush()

    def end(self, findings: list[Finding], said: list[str], interrupted: bool) -> None:
        self._out.flush()
        report(said, findings)


class _Lines:
    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, message: Message, findings: list[Finding]) -> None:
        print(dumps(_plain(message)), file=self._out, flush=True)

    def end(self, findings: list[Finding], said: list[str], interrupted: bool) -> None:
        report(said, findings)


class _Object:
    """One object, written as the messages come: the list may be longer than memory."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown = 0

    def show(self, message: Message, findings: list[Finding]) -> None:
        if not self._shown:
            self._out.write('{\n"schema": "dsmshark.messages/1",\n"messages": [')
        self._out.write(",\n" if self._shown else "\n")
        self._shown += 1
        self._out.write(dumps(_plain(message)))

    def end(self, findings: list[Finding], said: list[str], interrupted: bool) -> None:
        from dissector.output.findings import findings_json

        if not self._shown:
            self._out.write('{\n"schema": "dsmshark.messages/1",\n"messages": [')
        self._out.write(
            f'\n],\n"notes": {dumps(said)},\n"findings": {dumps(findings_json(findings))},\n'
            f'"interrupted": {dumps(interrupted)}\n}}\n'
        )


def _plain(message: Message) -> dict[str, Any]:
    from dissector.output.plain import message_json

    return message_json(message)
