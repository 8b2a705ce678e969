"""``dsmshark export pcap``: the capture anew, decrypted or with its secrets."""

from __future__ import annotations

import argparse
import os

from dissector.base.errors import ExitCode, UnwritableOutput, UsageError
from dissector.cli.common import limits_of, never_the_input, note, opened
from dissector.output.decrypted import write_plain, write_with_secrets
from dissector.output.text import count, size_text

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    if "-" in args.files:
        raise UsageError("export pcap reads each file twice, so it needs files, not standard input")
    path: str = args.output
    never_the_input(path, args)
    if os.path.exists(path) and not args.force:
        raise UsageError(f"{path} exists; --force overwrites it")
    with opened(args, digest=False) as capture:
        capture.run()
        found = capture.tls_opened
        interrupted = capture.interrupted
    if interrupted:
        return ExitCode.OK
    if not found:
        note("no TLS connection could be opened: nothing is written (“dsmshark tls” says what can be seen)")
        return ExitCode.FINDINGS
    try:
        # It holds secrets, or what they protected: for its owner alone.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnwritableOutput(f"{path}: cannot write: {error.strerror}") from error
    with open(descriptor, "wb") as file:
        if args.secrets:
            write_with_secrets(args.files, found, file)
        else:
            write_plain(args.files, found, file, limits_of(args))
    kind = "with the secrets of" if args.secrets else "with the plain bytes of"
    note(f"{path}, {size_text(os.path.getsize(path))}, {kind} {count(len(found), 'TLS connection')}")
    return ExitCode.OK
