"""Entry point: parse, run one command, turn whatever happens into an exit code and at most one sentence."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dissector.base.breaking import as_ctrl_c
from dissector.base.errors import DsmsharkError, ExitCode
from dissector.cli.parser import build_parser
from dissector.cli.streams import abandon_stdout, ready_streams
from dissector.cli.usage import with_help

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsmshark``.

    Args:
        argv: arguments without the program's name; default: those of the process.

    Returns:
        The exit code, see :class:`~dissector.base.errors.ExitCode`.
    """
    ready_streams()
    given = with_help(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given
    if argv is None:
        _prepare()
        as_ctrl_c()
    try:
        args = build_parser(given).parse_args(given)
        command = import_module(f"dissector.cli.{args.module}")
        if argv is None:
            # A pass makes millions of small objects and hardly a cycle, but keeps many: with the default threshold the
            # collector takes a fifth of the time on captures of many messages, with this one a fiftieth.
            gc.freeze()
            gc.set_threshold(250_000, 50, 100)
            gc.enable()
        code = int(command.run(args))
        sys.stdout.flush()
        if argv is None:
            # The process ends: what it made needs no search for circles any more.
            gc.disable()
            gc.freeze()
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(ExitCode.OK)
    except BrokenPipeError:
        abandon_stdout()
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        _say("interrupted")
        return int(ExitCode.INTERRUPTED)
    except DsmsharkError as error:
        if debug:
            raise
        _say(str(error))
        return int(error.exit_code)
    except OSError as error:
        # The input's errors are DsmsharkErrors by now: this is our own output, such as a full disk.
        if debug:
            raise
        abandon_stdout()
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}cannot write: {error.strerror or error}")
        return int(ExitCode.UNREADABLE)
    except MemoryError:
        _say("out of memory; see “dsmshark --help” for the limits that bound it")
        return int(ExitCode.UNREADABLE)
    except Exception as error:
        if debug:
            raise
        _say(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return int(ExitCode.UNREADABLE)


def _prepare() -> None:
    """What makes the start of the process cheaper; a program that uses the package decides this for itself."""
    # Imports make many objects and no garbage.
    gc.disable()
    # numpy starts a thread for each processor, for algebra that is not used here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _say(text: str) -> None:
    from dissector.output.text import printable

    with contextlib.suppress(OSError):
        print(f"dsmshark: {printable(text)}", file=sys.stderr)
