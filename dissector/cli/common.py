"""What the commands share: opening the input, where output goes, progress, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TextIO

from dissector.base.errors import ExitCode, UnreadableInput, UnwritableOutput, UsageError
from dissector.base.findings import Finding, Severity
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.linktypes import link_name
from dissector.capture.model import SourceInfo
from dissector.http.model import HttpMessage
from dissector.keyfiles import PASSWORD, KeyFiles
from dissector.messages import Message
from dissector.output.findings import finding_lines
from dissector.output.text import Palette, printable
from dissector.output.times import Clock
from dissector.reader import Capture, open_capture
from dissector.transport.model import TransportStats

__all__ = [
    "Count",
    "StartedClock",
    "exit_code",
    "keyfiles_of",
    "keylogs_of",
    "limits_of",
    "live",
    "note",
    "opened",
    "output",
    "palette",
    "report",
    "terminal_columns",
]

_LONG_FILE = 16 << 20
"""Bytes of input from which a progress bar is worth its line."""


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits, with those of ``--limit``."""
    given = dict(args.limit or [])
    return replace(DEFAULT_LIMITS, **given) if given else DEFAULT_LIMITS


def keylogs_of(args: argparse.Namespace) -> list[str]:
    """The key logs of ``--keylog``, and the one that the environment names, if it is there, or may come during a live
    capture."""
    found = list(args.keylog)
    if [*found, *getattr(args, "files", ())].count("-") > 1:
        raise UsageError("standard input (-) can be given only once")
    from_environment = os.environ.get("SSLKEYLOGFILE")
    if from_environment and from_environment not in found and (os.path.isfile(from_environment) or _live(args)):
        found.append(from_environment)
    return found


def _live(args: argparse.Namespace) -> bool:
    """Standard input is read, and is no file."""
    with contextlib.suppress(OSError, ValueError):
        return "-" in getattr(args, "files", ()) and not stat.S_ISREG(os.fstat(0).st_mode)
    return False


def keyfiles_of(args: argparse.Namespace) -> KeyFiles:
    """The keys for TLS that the options name."""
    password = os.environ.get(PASSWORD)
    return KeyFiles(keylogs_of(args), args.rsa_key, args.pre_master, password.encode() if password else None)


@contextlib.contextmanager
def opened(
    args: argparse.Namespace,
    *,
    keep: bool = False,
    digest: bool = True,
    quiet: bool = False,
    any_link: bool = False,
    watch_tls: bool = False,
    tls_records: bool = False,
) -> Iterator[Capture]:
    """The capture of ``FILE…``, with a progress bar where standard error is a terminal and the input is long.

    Raises:
        UnreadableInput: it is no capture, or (but for ``any_link``) all its packets have link types that are not read.
    """
    files: list[str] = args.files
    if files.count("-") > 1:
        raise UsageError("standard input (-) can be given only once")
    bar = _Progress() if not quiet and sys.stderr.isatty() else None
    with open_capture(
        files if len(files) > 1 else files[0],
        keep=keep,
        digest=digest,
        limits=limits_of(args),
        progress=bar,
        keylog=keylogs_of(args),
        rsa_key=args.rsa_key,
        pre_master=args.pre_master,
        key_password=os.environ.get(PASSWORD),
        watch_tls=watch_tls,
        tls_records=tls_records,
        jobs=args.processes,
    ) as capture:
        for name, times in sorted(Counter(files).items()):
            if times > 1:
                note(f"{name} is given {times} times: its packets are read as often")
        if capture.undivided:
            note(f"--jobs {args.processes} makes nothing faster here: {capture.undivided}")
        try:
            yield capture
        finally:
            if bar is not None:
                bar.clear()
        stats = capture.stats
        if not any_link and stats.unknown_link and stats.unknown_link == stats.frames:
            names = " and ".join(f"{link} ({link_name(link)})" for link in sorted(stats.link_types))
            raise UnreadableInput(
                f"{', '.join(files)}: all {stats.frames} packets have link type {names}, which is not read"
            )
    if capture.interrupted:
        note("interrupted: this is what was read until then")


@contextlib.contextmanager
def output(args: argparse.Namespace) -> Iterator[TextIO]:
    """Standard output, or the file of ``-o``.

    Raises:
        UnwritableOutput: the file cannot be written, or not to its end.
    """
    path = getattr(args, "output", None)
    if path in (None, "-"):
        yield sys.stdout
        return
    never_the_input(path, args)
    try:
        file = open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise UnwritableOutput(f"{path}: cannot write: {error.strerror}") from error
    try:
        with file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        # A write has no name of its own; standard error loses what it cannot write.
        raise UnwritableOutput(f"{path}: cannot write: {error.strerror or error}") from error


def never_the_input(path: str, args: argparse.Namespace) -> None:
    """Refuse to write over what is read: the capture, a key log, keys.

    Raises:
        UsageError: the path is one of the files.
    """
    keys = [*keylogs_of(args), *args.rsa_key, *getattr(args, "trust", ())]
    for what, names in (("the capture itself", args.files), ("one of the keys that are read", keys)):
        for name in names:
            with contextlib.suppress(OSError):
                if name != "-" and os.path.samefile(path, name):
                    raise UsageError(f"{path} is {what}; give -o another file")


def palette(args: argparse.Namespace, out: TextIO | None) -> Palette:
    """Colours as ``--color`` says; "auto": on a terminal, unless NO_COLOR is set or the terminal is dumb."""
    if args.color == "auto":
        on = out is not None and out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return Palette(on)
    return Palette(args.color == "always")


def terminal_columns(out: TextIO) -> int:
    """Columns of the terminal, 160 where there is none."""
    if not out.isatty() and not os.environ.get("COLUMNS"):
        return 160
    import shutil

    return shutil.get_terminal_size((160, 24)).columns


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """1 where a finding of severity error is among them, else 0."""
    return ExitCode.FINDINGS if any(f.severity is Severity.ERROR for f in findings) else ExitCode.OK


def live(args: argparse.Namespace) -> bool:
    """The capture comes by a pipe, and may be under way: what is shown of it is shown at once."""
    for name in args.files:
        with contextlib.suppress(OSError, ValueError):
            if name == "-" or not stat.S_ISREG(os.stat(name).st_mode):
                return True
    return False


def note(text: str) -> None:
    """One sentence to standard error."""
    print(f"dsmshark: {printable(text)}", file=sys.stderr)


class Count:
    """Counts what a pass sees: WSD messages, those with findings of severity error, and all HTTP messages."""

    def __init__(self) -> None:
        self.messages = 0
        self.faulty = 0
        self.https = 0

    def message(self, message: Message) -> None:
        """A sink for the pass."""
        self.messages += 1
        for one in message.findings:
            if one.severity is Severity.ERROR:
                self.faulty += 1
                break

    def http(self, message: HttpMessage) -> None:
        """For ``Capture.on_http``."""
        self.https += 1


def report(said: Iterable[str], findings: Iterable[Finding]) -> None:
    """Notes and the graver findings on the capture, to standard error."""
    graver = [finding for finding in findings if finding.severity in (Severity.ERROR, Severity.WARN)]
    for text in [*finding_lines(graver), *said]:
        note(text)


class StartedClock(Clock):
    """Relative times count from the capture's first packet, which is known once a message is."""

    def __init__(self, style: str, capture: Capture) -> None:
        super().__init__(style)
        self._capture = capture

    def __call__(self, ns: int, digits: int = 6) -> str:
        """See :class:`Clock`."""
        if self.start is None:
            self.start = self._capture.stats.first_time
        return super().__call__(ns, digits)


class _Progress:
    """A bar on standard error, redrawn at most ten times a second and only for long inputs."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 0.5
        self._drawn = False

    def __call__(self, info: SourceInfo, stats: TransportStats) -> None:
        if info.bytes_total is not None and info.bytes_total < _LONG_FILE:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        if info.bytes_total:
            share = min(info.bytes_read / info.bytes_total, 1.0)
            done = int(share * 30)
            text = f"[{'#' * done}{'.' * (30 - done)}] {share:4.0%}  {stats.frames:,} packets"
        else:
            text = f"{info.bytes_read >> 20:,} MiB  {stats.frames:,} packets"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
        self._drawn = True

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False
