"""The command ``dsmreplay``. So far it answers for its version; its commands come with the emulators and the player."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dissector import __version__
from dissector.base.errors import ExitCode

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dsmreplay``; gives an exit code of :class:`~dissector.base.errors.ExitCode`."""
    parser = argparse.ArgumentParser(
        prog="dsmreplay",
        description="Replays captured WSD sequences and emulates scanners, DSM devices and scan servers. "
        "This version has no commands yet: reading captures is done by dsmshark.",
    )
    parser.add_argument("--version", action="version", version=f"dsmreplay {__version__}")
    try:
        parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    parser.print_usage(sys.stderr)
    print("dsmreplay: this version has no commands yet; see “dsmshark --help” for reading captures", file=sys.stderr)
    return ExitCode.USAGE
