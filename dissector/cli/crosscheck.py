"""``dsmshark crosscheck``: our reading against Wireshark's."""

from __future__ import annotations

import argparse

from dissector.base.errors import ExitCode

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    from dissector import crosscheck
    from dissector.cli.common import keyfiles_of, limits_of, note, output

    crosscheck.check(args.files)
    if args.processes > 1:
        note(f"--jobs {args.processes} makes nothing faster here: streams are digested by one process")
    with output(args) as out:
        return crosscheck.run(
            args.files, as_json=args.json, out=out, limits=limits_of(args), keyfiles=keyfiles_of(args)
        )  # fmt: skip
