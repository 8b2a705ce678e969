"""Standard output and error of a command, before its first word and after its reader has gone."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["abandon_stdout", "ready_streams"]


def ready_streams() -> None:
    """Both are there, and take any text."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by the caller (``2>&-``): what would be said there is lost, and nothing else.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open until the process ends)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal without UTF-8 shows escapes instead of ending the program.
            reconfigure(errors="backslashreplace")


def abandon_stdout() -> None:
    """Nothing more can be written to standard output (the reader of a pipe has gone, a disk is full): what is printed
    from now on is lost, without a word and also at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
