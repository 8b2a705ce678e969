"""``dsmreplay suite``: its options. What it does is in :mod:`replay.cli.regression`, imported when it runs."""

from __future__ import annotations

import argparse
from typing import Any

from replay.cli.options import EXIT_CODES, add_command, add_playing, later, span
from replay.suite import MAX_JOBS, MAX_REPEAT

__all__ = ["add_suite"]


def add_suite(commands: Any) -> None:
    """Add the command to the sub-parsers of ``dsmreplay``."""
    parser = add_command(
        commands, "suite", "play all scenarios below a folder, and say what changed since the last time",
        "Play all scenarios in and below a folder as a regression suite: at once where they do not touch the same "
        "device (a host; on loopback a port). A suite.yaml in the folder can give each its target, values, tags and "
        "repeats. What differs in some runs only is told as flaky. Ctrl-C (SIGTERM, SIGHUP) ends it with a summary of "
        "what is known by then.",
        "examples:\n"
        "  dsmreplay suite scenarios --target http://127.0.0.1:5362/ScanServer --junit result.xml\n"
        "  dsmreplay suite scenarios --repeat 20 --tag smoke --html result.html\n"
        "  dsmreplay suite scenarios --only 'customer-*' --until-failure --pcap captures\n\n" + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", help="folder of the scenarios")
    choice = parser.add_argument_group("choice")
    choice.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="scenarios of this name, * for anything; repeatable"
    )
    choice.add_argument("--tag", action="append", default=[], metavar="WORD", help="those with this tag; repeatable")
    choice.add_argument("--list", action="store_true", help="list the scenarios with their targets, and send nothing")
    often = parser.add_argument_group("how often")
    often.add_argument("--jobs", type=_from_1_to(MAX_JOBS), metavar="N", help="scenarios at once (default 4)")
    often.add_argument("--repeat", type=_from_1_to(MAX_REPEAT), metavar="N", help="play each so often (default 1)")
    often.add_argument("--until-failure", action="store_true", help="play on until one is not as recorded")
    often.add_argument("--first-difference", action="store_true", help="end a scenario at its first difference")
    add_playing(parser.add_argument_group("playing"), ("FOLDER", "the traffic of each run"))
    parser.add_argument("--slack", type=span, metavar="SECONDS", help="that a message may be late (default 10)")
    parser.add_argument("--wait", type=span, metavar="SECONDS", help="that another party has to begin (default 120)")
    out = parser.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="print the result as JSON")
    out.add_argument("--junit", metavar="FILE", help="write the result as JUnit XML")
    out.add_argument("--html", metavar="FILE", help="write the result as one HTML page")
    out.add_argument("--last", metavar="FILE", help="remembers the last result (default: .dsmreplay-suite.json in DIR)")
    out.add_argument("--forget", action="store_true", help="neither compare with the last result nor remember this one")
    parser.set_defaults(run=later("run_suite", "replay.cli.regression"))


def _from_1_to(most: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text[:12]) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 to {most} is expected")
        return int(text)

    return number
