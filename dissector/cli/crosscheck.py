"""``dsmshark crosscheck``: our reading against Wireshark's."""

from __future__ import annotations

import argparse
import sys

from dissector.base.errors import ExitCode, UsageError

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    if "-" in args.files:
        raise UsageError("crosscheck reads each file twice, so it needs files, not standard input")
    from dissector import crosscheck
    from dissector.cli.common import keyfiles_of

    return ExitCode(crosscheck.run(args.files, as_json=args.json, out=sys.stdout, keyfiles=keyfiles_of(args)))
