"""What a command says and writes: files that are looked at before a run begins, its end, key logs beside captures.

A suite may play for hours. That its report cannot be written has to be said before, and not when the result is lost;
and what cannot be written then (a full disk, a terminal that is gone) takes nothing else along.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from dissector.base.errors import ExitCode, UnwritableOutput, UsageError
from dissector.cli.streams import abandon_stdout
from dissector.output.text import printable
from replay.base.log import Entry, Sink
from replay.scenario.folder import MAIN

if TYPE_CHECKING:
    # Not all commands have sockets.
    from replay.net.tap import PacketTap

__all__ = [
    "Output", "capture_file", "check_outputs", "inputs_of", "key_log_of", "no_dash", "not_an_input", "why_not_writable",
]  # fmt: skip

INPUTS = (
    "authorities", "behaviour", "capture", "certificate", "client_certificate", "device", "keylog", "pages", "process",
    "rsa_key", "scenario", "trust",
)  # fmt: skip
"""Arguments that name files that are read."""


def inputs_of(arguments: argparse.Namespace) -> list[str]:
    """The files that a command reads; of the folder of a scenario its main one."""
    found = []
    for name in INPUTS:
        given = getattr(arguments, name, None)
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, str) and one:
                found.append(os.path.join(one, MAIN) if os.path.isdir(one) else one)
    return found


def check_outputs(outputs: Mapping[str, str | None], inputs: Iterable[str]) -> None:
    """Look whether all files can be written; what is in them stays, and none is left behind.

    Args:
        outputs: option → path; an empty one or None is not asked for.
        inputs: files that are read.

    Raises:
        UsageError: two options name one file, or one names an input.
        UnwritableOutput: one cannot be written.
    """
    seen: dict[str, str] = {}
    inputs = list(inputs)
    for option, path in outputs.items():
        if not path:
            continue
        no_dash(option, path)
        not_an_input(option, path, inputs)
        real = os.path.realpath(path)
        # Terminals and pipes take one after the other.
        if real in seen and (os.path.isfile(real) or not os.path.exists(real)):
            raise UsageError(f"{seen[real]} and {option} name the same file, {path}")
        seen[real] = option
    for option, path in outputs.items():
        why = why_not_writable(Path(path)) if path else ""
        if why:
            raise UnwritableOutput(f"{option} {path}: {why}")


class Output:
    """Standard output as long as it takes what is said, and the files of the end, each for itself.

    A run goes on without its reader (``| head``), and its exit code is its own: 0 would say that all was as recorded.
    Any other failure is said on standard error.

    Args:
        gone: called where standard output takes nothing more.

    Attributes:
        failed: something was not written, which was said.
    """

    def __init__(self, gone: Callable[[], object] = lambda: None) -> None:
        self._gone = gone
        self.failed = False

    def say(self, *lines: str) -> None:
        """Lines to standard output."""
        with self._taken():
            print(*lines, sep="\n", flush=True)

    def heard(self, sink: Sink) -> Sink:
        """A sink that prints to standard output."""

        def take(entry: Entry) -> None:
            with self._taken():
                sink(entry)

        return take

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """A file is written that has its name in what goes wrong."""
        try:
            yield
        except UnwritableOutput as error:
            self._lost(str(error))

    def captured(self, path: str | None, tap: PacketTap | None) -> None:
        """A capture is over, whole or not."""
        if tap is not None and tap.failure is not None:
            failure = tap.failure
            self._lost(f"{path}: not all could be written: {getattr(failure, 'strerror', None) or failure}")

    def code(self, own: ExitCode) -> ExitCode:
        """The exit code of the command, with its ``own``: what came of it counts before what was not written."""
        return ExitCode.UNREADABLE if self.failed and own is ExitCode.OK else own

    @contextlib.contextmanager
    def _taken(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not isinstance(error, BrokenPipeError) and not _terminal_gone(error):
                self._lost(f"standard output: cannot write: {error.strerror or error}")
            abandon_stdout()
            self._gone()

    def _lost(self, words: str) -> None:
        self.failed = True
        print(printable(f"dsmreplay: {words}"), file=sys.stderr, flush=True)


def no_dash(option: str, path: str) -> None:
    """Refuse "-": standard output has the text of the command.

    Raises:
        UsageError: the path is that.
    """
    if path == "-":
        raise UsageError(f"{option} -: standard output is taken; give a file, or a pipe such as >(cat)")


def _terminal_gone(error: OSError) -> bool:
    """Nobody sits there any more, which is as good as a pipe without a reader."""
    # A terminal that was hung up no longer says that it is one.
    return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)


@contextlib.contextmanager
def capture_file(path: str) -> Iterator[BinaryIO]:
    """A capture that is to be written. That it finds no room takes nothing else along: see :meth:`Output.captured`.

    Raises:
        UnwritableOutput: it cannot be written at all.
        UsageError: it is standard output.
    """
    no_dash("--pcap", path)
    try:
        file = open(path, "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnwritableOutput(f"{path}: {error.strerror or error}") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


@cache
def key_log_of(pcap: str | None) -> Path | None:
    """Where the TLS secrets go on their way into a capture: beside it; of a capture that goes through a pipe into a
    temporary folder, which goes with the process. None without a capture."""
    if not pcap:
        return None
    beside = Path(f"{pcap}.keys")
    if not os.path.exists(pcap) or os.path.isfile(pcap):
        return beside
    folder = tempfile.mkdtemp(prefix="dsmreplay-keys-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "keys"


def why_not_writable(path: Path) -> str:
    """What keeps a file from being written, "" for nothing."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            # A pipe would take our opening and closing for the end of what is written. That of ``>(cat)`` has no path
            # but the link.
            return "" if os.access(path, os.W_OK) else os.strerror(13)
        # What a link that leads nowhere is to lead to is made and taken away, not the link.
        path = Path(os.path.realpath(path))
        before = path.exists()
        with path.open("ab"):
            pass
        if not before:
            path.unlink()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a null byte
        return str(error)
    return ""


def not_an_input(option: str, path: str | None, inputs: Iterable[str]) -> None:
    """Refuse to write over what is read.

    Raises:
        UsageError: the file is one of the inputs.
    """
    for name in inputs:
        with contextlib.suppress(OSError, ValueError):  # ValueError: a null byte
            if path and os.path.samefile(path, name):
                raise UsageError(f"{option} {path}: that file is read; give it another one")
