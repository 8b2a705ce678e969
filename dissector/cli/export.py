"""``dsmshark export``: images, messages and bodies as files."""

from __future__ import annotations

import argparse

from dissector.base.errors import ExitCode, UsageError
from dissector.base.findings import Severity
from dissector.cli.choose import choose_job
from dissector.cli.common import Count, note, opened
from dissector.output.export import Bodies, Envelopes, Folder, Images
from dissector.output.notes import notes
from dissector.output.text import count, printable, size_text

__all__ = ["run"]

_SHOWN = 20


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    if args.folder == "-":
        raise UsageError("-o -: several files are written; name a folder")
    counted = Count()
    left_out = 0
    with opened(args, keep=args.what != "messages", digest=False) as capture:
        folder = Folder(args.folder, force=args.force)
        try:
            if args.what == "images":
                images = Images(folder)
                capture.run(counted.message, images)
                chosen = choose_job(capture.jobs, args.job) if args.job is not None else None
                images.finish(capture.jobs, chosen)
            elif args.what == "messages":
                capture.run(counted.message, Envelopes(folder, pretty=args.pretty))
            else:
                bodies = Bodies(folder)
                if args.all:
                    capture.on_http = bodies.http
                    capture.run(counted.message)
                else:
                    capture.run(counted.message, bodies.message)
                left_out = bodies.left_out
        finally:
            folder.clean()
        said = notes(capture.stats, counted.messages)
        for finding in capture.findings:
            if finding.severity is Severity.ERROR:
                note(str(finding))
    for name, size in folder.written:
        print(f"{printable(str(folder.path / name))}  {size_text(size)}")
    if folder.written:
        partial = sum(name.endswith(".partial") for name, _ in folder.written)
        whole = f", {partial} of them incomplete (.partial)" if partial else ""
        note(f"{count(len(folder.written), 'file')} written to {args.folder}{whole}; they hold people's documents")
    else:
        note("nothing written" if folder.refused or folder.lost else f"nothing written: no {args.what} found")
    if left_out:
        note(f"{count(left_out, 'body', 'bodies')} could not be kept")
    for text in said:
        note(text)
    if folder.refused:
        names = ", ".join(folder.refused[:3]) + (", …" if len(folder.refused) > 3 else "")
        note(f"left as they are: {count(len(folder.refused), 'file')} that exist ({names}); --force overwrites")
    if folder.lost:
        for name in folder.lost[:_SHOWN]:
            note(f"not written: {name}")
        more = f" ({len(folder.lost) - _SHOWN} of them are not named here)" if len(folder.lost) > _SHOWN else ""
        note(f"{count(len(folder.lost), 'file')} could not be written to {args.folder}: {folder.why}{more}")
        return ExitCode.UNREADABLE
    return ExitCode.USAGE if folder.refused else ExitCode.OK
