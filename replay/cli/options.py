"""What the commands of ``dsmreplay`` share on the command line: form of the help, exit codes, numbers and times."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

__all__ = [
    "EXIT_CODES", "Formatter", "Lazy", "add_command", "add_playing", "effects", "example_process", "factor",
    "host_name", "later", "port", "seconds", "span", "table", "whole_number",
]  # fmt: skip

EXIT_CODES = """exit codes:
  0    fine; as recorded; the job ended as expected; an emulated scanner or server was stopped by Ctrl-C
  1    differs from the recording; the job ended otherwise than expected; extract: the capture lacks something
  2    the command line or a description file is wrong
  3    an input cannot be read, or an output cannot be written
  4    the target cannot be reached
  130  broken off by Ctrl-C before it was done (SIGTERM, or SIGHUP of a closed terminal, is as good everywhere)"""

WIDTH = 110
"""Columns of the help, on a terminal that has them."""

MAX_SECONDS = 366 * 86400
"""Of a time that is given."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of examples."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_columns())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Paragraphs are filled, examples and tables stay as they are."""
        if text.startswith(("examples:", "exit codes:", "commands:")):
            return super()._fill_text(text, width, indent)
        return fill(" ".join(text.split()), width)


def _columns() -> int:
    """Columns for the help: no line is broken by a narrower terminal; in a pipe it is always the same."""
    return max(60, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns - 2)) if sys.stdout.isatty() else WIDTH


class Lazy(argparse.Action):
    """A list that is printed and ends the command, as --help does."""

    def __init__(self, option_strings: Sequence[str], dest: str, text: Callable[[], str], **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)
        self._text = text

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Print it, and end."""
        print(self._text())
        parser.exit(0)


def seconds(text: str) -> float:
    """A time of the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds from 0 to {MAX_SECONDS} are expected")
    return value


def whole_number(text: str) -> int:
    """A number of things, none included."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 0 on is expected")
    return int(text)


def add_command(commands: Any, name: str, summary: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A command with its help; the exit codes stand at its end."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog or EXIT_CODES,
        formatter_class=Formatter,
    )
    return parser


def factor(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value


def port(text: str) -> int:
    """A port to listen on; 0 for any."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: a port from 0 (any) to 65535 is expected")
    return int(text)


def host_name(text: str) -> str:
    """A host name or address that can stand in a URL, others than ASCII as DNS has them; "" for none."""
    try:
        name = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        name = ""
    if text and not re.fullmatch(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}", name):
        raise argparse.ArgumentTypeError(f"{text!r} is no host name and no address")
    return name


def span(text: str) -> float:
    """Seconds above 0."""
    value = factor(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: seconds above 0 are expected")
    return value


def later(function: str, module: str = "replay.cli.emulate") -> Callable[[argparse.Namespace], int]:
    """The command's code is imported when it runs: --help must not wait for it."""

    def run(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        return int(getattr(import_module(module), function)(arguments))

    return run


def add_playing(
    parser: argparse._ActionsContainer, pcap: tuple[str, str] = ("FILE", "the traffic of the replay")
) -> None:
    """The options of all commands that play a scenario; ``pcap``: what --pcap takes and writes."""
    parser.add_argument(
        "--target", action="append", default=[], metavar="URL",
        help="the peer: the address that the first request that is played goes to; of further parties NAME=URL, may be "
        "repeated; not needed for one that comes by itself",
    )  # fmt: skip
    parser.add_argument(
        "--as", dest="plays", default="", metavar="PARTY", help="the party that is played, or several with commas"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another value; may be repeated"
    )
    parser.add_argument(
        "--listen", default="", metavar="HOST:PORT",
        help="of the event sink and services (default: any port of the address that the target is reached from)",
    )  # fmt: skip
    parser.add_argument(
        "--certificate", nargs=2, metavar=("CERT", "KEY"), help="PEM files: listen with TLS, as this server"
    )
    parser.add_argument(
        "--trust", default="system", metavar="HOW", help="system, none, a PEM file, or sha256:FINGERPRINT"
    )
    parser.add_argument("--client-certificate", nargs=2, metavar=("CERT", "KEY"), help="PEM files to show")
    parser.add_argument("--seed", type=int, metavar="N", help="makes identifiers the same at each run")
    parser.add_argument("--yes", action="store_true", help="another machine may be sent to")
    parser.add_argument("--proxy", metavar="URL", help="go through this proxy (those of the environment are not used)")
    parser.add_argument("--timeout", type=span, default=30.0, metavar="SECONDS", help="of silence (default 30)")
    parser.add_argument(
        "--max-time", type=span, metavar="SECONDS",
        help="of one answer as a whole (default 600, or three times as long as it took in the recording)",
    )  # fmt: skip
    parser.add_argument("--pcap", metavar=pcap[0], help=f"write {pcap[1]} as pcapng")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each step's log")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what differs, and the end")


def effects() -> str:
    """What a rule of behaviour can order, for people."""
    from replay.behaviour.file import help_text

    return help_text()


def example_process() -> str:
    """A scan process to start from."""
    from replay.devices.scanserver.processes import ScanProcess

    return ScanProcess.example().xml().decode().rstrip("\n")


def table(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of names and texts."""
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:{width}}  {text}" for name, text in rows]
