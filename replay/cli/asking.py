"""A person is asked before anything is sent to where nobody said that it may be sent."""

from __future__ import annotations

import sys

from dissector.base.errors import UsageError
from dissector.output.text import printable

__all__ = ["ask"]


def ask(what: str, unasked: str, *, taken: bool = False) -> None:
    """Ask whether to go on. Anything but a yes is none, also the end of the input.

    Args:
        what: would be done, a sentence.
        unasked: says what to do where nobody can be asked.
        taken: standard input is no keyboard, since it is read for something else.

    Raises:
        UsageError: nobody said yes.
    """
    if taken or sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(unasked)
    # Standard output may be a file that is to hold JSON.
    print(f"dsmreplay: {printable(what)}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        # Typed in another encoding than the terminal is said to have.
        line = "?\n"
    if not line.endswith("\n"):
        # The end of the input (Ctrl-D) leaves the cursor behind the question.
        print(file=sys.stderr)
    if line.strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent")
