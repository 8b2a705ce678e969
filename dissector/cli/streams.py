"""Standard output and error of a command, before its first word and after its reader has gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any

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
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        # What is told beside the work (a note, progress) must not end it, nor change the exit code.
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lossy(sys.stderr.fileno(), "wb", closefd=False)), encoding=sys.stderr.encoding,
            errors="backslashreplace", line_buffering=True,
        )  # fmt: skip


class _Lossy(io.FileIO):
    """What cannot be written (its reader has gone, its disk is full, its terminal is closed) is lost."""

    def write(self, data: Any) -> int:
        """Write what can be."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def abandon_stdout() -> None:
    """Nothing more can be written to standard output (the reader of a pipe has gone, a disk is full): what is printed
    from now on is lost, without a word and also at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
