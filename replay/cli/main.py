"""``dsmreplay``: parse the command line, run one command, give its exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from dissector.base.errors import DsmsharkError, ExitCode
from replay.cli.parser import make_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsmreplay``; gives an exit code of :class:`~dissector.base.errors.ExitCode`."""
    parser = make_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        return int(arguments.run(arguments))
    except DsmsharkError as error:
        print(f"dsmreplay: {error}", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return ExitCode.OK
    except BrokenPipeError:
        # The reader of a pipe has gone; nothing more can be said to it.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
