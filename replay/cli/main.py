"""The command ``dsmreplay``: parse the command line, run one command, give its exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from dissector.base.errors import DsmsharkError, ExitCode
from dissector.cli.streams import abandon_stdout, ready_streams
from dissector.cli.usage import with_help
from replay.cli.ending import breaking_off
from replay.cli.parser import make_parser

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsmreplay``; gives an exit code of :class:`~dissector.base.errors.ExitCode`."""
    ready_streams()
    try:
        arguments = make_parser().parse_args(with_help(sys.argv[1:] if argv is None else argv))
        with breaking_off(program=argv is None):
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
        abandon_stdout()
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}cannot write: {error.strerror or error}")
        return int(ExitCode.UNREADABLE)
    except Exception as error:
        _say(f"internal error: {type(error).__name__}: {error}")
        return int(ExitCode.UNREADABLE)


def _say(text: str) -> None:
    from dissector.output.text import printable

    with contextlib.suppress(OSError):
        print(f"dsmreplay: {printable(text)}", file=sys.stderr)
