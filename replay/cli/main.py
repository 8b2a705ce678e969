"""The command ``dsmreplay``: parse the command line, run one command, give its exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from dissector.base.errors import DsmsharkError, ExitCode
from replay.cli.parser import make_parser

__all__ = ["abandon_stdout", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsmreplay``; gives an exit code of :class:`~dissector.base.errors.ExitCode`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by the caller (``2>&-``): what would be said there is lost, and nothing else.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open until the process ends)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal without UTF-8 shows escapes instead of ending the program.
            reconfigure(errors="backslashreplace")
    try:
        arguments = make_parser().parse_args(argv)
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(ExitCode.OK)
    except DsmsharkError as error:
        _say(str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        abandon_stdout()
        return int(ExitCode.OK)
    except OSError as error:
        # Inputs and sockets have their own errors by now: this is an output, such as a folder that cannot be made.
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}cannot write: {error.strerror or error}")
        return int(ExitCode.UNREADABLE)
    except Exception as error:
        _say(f"internal error: {type(error).__name__}: {error}")
        return int(ExitCode.UNREADABLE)


def abandon_stdout() -> None:
    """The reader of a pipe has gone: what is printed from now on is lost, without a word and also at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    from dissector.output.text import printable

    with contextlib.suppress(OSError):
        print(f"dsmreplay: {printable(text)}", file=sys.stderr)
