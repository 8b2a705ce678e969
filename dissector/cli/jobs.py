"""``dsmshark jobs``: which jobs are in the capture, and how did each end."""

from __future__ import annotations

import argparse

from dissector.base.errors import ExitCode
from dissector.base.findings import Severity
from dissector.cli.common import exit_code, opened, output, palette, terminal_columns

__all__ = ["run"]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    counted = _Count()
    with opened(args) as capture:
        if not args.json:
            capture.on_http = counted.on_http
        jobs = capture.jobs
        messages = capture.analysis.messages_seen if hasattr(capture.analysis, "messages_seen") else None
    raise NotImplementedError(messages, jobs, Severity)
