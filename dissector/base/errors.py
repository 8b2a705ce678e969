"""Exit codes and the exceptions that reach the command line.

Peer input never raises: what is wrong with a capture is a :class:`~dissector.base.findings.Finding` on the
thing it was found in. Exceptions are for misuse, for input that cannot be read at all, and for targets that
cannot be reached. This is the one place where exit codes are given numbers; README.md documents them.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "ContentNotKept",
    "DsmsharkError",
    "ExitCode",
    "TargetUnreachable",
    "UnreadableInput",
    "UnwritableOutput",
    "UsageError",
]


class ExitCode(IntEnum):
    """Exit codes of ``dsmshark`` and ``dsmreplay``."""

    OK = 0
    """Fine: everything was read and nothing is wrong."""
    FINDINGS = 1
    """The input was read; there are findings of severity error, or differences."""
    USAGE = 2
    """The command line is wrong."""
    UNREADABLE = 3
    """The input cannot be read (missing, no capture, an unknown link type only), or the output cannot be written."""
    UNREACHABLE = 4
    """The target of a replay cannot be reached."""
    INTERRUPTED = 130
    """Broken off by Ctrl-C before it was done: what a shell says of a program that a signal ended."""


class DsmsharkError(Exception):
    """Base of all exceptions that the package raises on purpose; never raised itself."""

    exit_code = ExitCode.FINDINGS


class UsageError(DsmsharkError):
    """The caller asked for something that makes no sense: says what was expected."""

    exit_code = ExitCode.USAGE


class UnreadableInput(DsmsharkError):
    """The input is no capture, or cannot be opened: says the file, the offset and what stands there."""

    exit_code = ExitCode.UNREADABLE


class UnwritableOutput(DsmsharkError):
    """A file or folder of the output cannot be made or written: says which and why."""

    exit_code = ExitCode.UNREADABLE


class TargetUnreachable(DsmsharkError):
    """The peer of a replay did not answer."""

    exit_code = ExitCode.UNREACHABLE


class ContentNotKept(DsmsharkError):
    """The bytes of a body were asked for, but the capture was read without keeping them."""

    exit_code = ExitCode.USAGE
