"""The command line of ``dsmreplay``: commands, options and their help."""

from __future__ import annotations

import argparse
from typing import Any

from dissector import __version__
from dissector.cli.parser import add_keys
from dissector.cli.usage import UsageParser
from replay.cli.emulated import add_emulate
from replay.cli.options import EXIT_CODES, Formatter, Lazy, add_command, add_playing, factor, later, span, whole_number
from replay.cli.packets import add_packets
from replay.cli.serve import add_serve
from replay.cli.suite import add_suite

__all__ = ["make_parser"]


CONTROL = ("status", "behaviour", "do", "reset", "press", "load", "condition", "clear", "cancel", "filters", "stop")
"""What a control port is told."""


CONTROLLED = """commands:
  status                            jobs, subscriptions, conditions, behaviour
  behaviour                         the rules, and how often each fired
  do 'RULE'                         one rule more, such as 'SendImage: delay=2'
  reset                             no rules
  press [destination=NAME]          press the scan button (scanner)
  load pages=N | files=FILE         other paper (scanner); several files: 'files=["a.png", "b.png"]'
  condition [name=CoverOpen] [component=MediaPath] [severity=Warning]
                                    the device's condition from now on (scanner)
  clear id=N                        end a condition (scanner)
  cancel job=N | job=TOKEN          a job: at the scanner, at the server
  filters filters=NAME,NAME         those that the server says it has
  stop                              end the emulator in order

"""
"""What each of :data:`CONTROL` takes."""


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``arguments.run(arguments)`` of what it gives runs the command."""
    parser = UsageParser(
        prog="dsmreplay",
        description="Sends captured WSD sequences again and judges what differs; emulates scanners, DSM devices and\n"
        "scan servers. Captures are read by dsmshark.",
        epilog=EXIT_CODES,
        formatter_class=Formatter,
    )
    parser.usual = "extract --list"
    parser.add_argument("--version", action="version", version=f"dsmreplay {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_emulate(commands)
    _extract(commands)
    _run(commands)
    add_serve(commands)
    add_suite(commands)
    add_packets(commands)
    _control(commands)
    _certificate(commands)
    _completion(commands)
    return parser


# -- sending again -----------------------------------------------------------------------------------------------


def _extract(commands: Any) -> None:
    parser = add_command(
        commands, "extract", "make a scenario out of a capture",
        "Make a scenario out of a capture: steps, bodies, and the values that a replay must change. Authorization "
        "headers and passwords are never written down: they come from the environment when the scenario is played.",
        "examples:\n"
        "  dsmreplay extract customer.pcap --list\n"
        "  dsmreplay extract customer.pcap --job 8a2a -o scenario\n"
        "  dsmreplay extract customer.pcap --host 192.0.2.10 --secret 'email_address*' -o scenario\n\n" + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("captures", nargs="+", metavar="CAPTURE", help="a capture, or the files of a rotated one")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the scenario")
    parser.add_argument("--force", action="store_true", help="write over a scenario that is there")
    parser.add_argument("--list", action="store_true", help="list what could be extracted, with the roles")
    parser.add_argument("--explain", action="store_true", help="say of each value where it was born, and why it is one")
    group = parser.add_argument_group("which story")
    group.add_argument("--job", default="", metavar="ID", help="that of a job (JobToken or JobId, or its beginning)")
    group.add_argument("--host", default="", metavar="ADDRESS", help="what this host takes part in")
    group.add_argument("--service", default="", metavar="NAME", help="what belongs to a service, such as WS-DSP")
    group.add_argument("--stream", type=int, metavar="N", help="what the two of this TCP stream say to each other")
    group.add_argument("--all", action="store_true", help="all stories as one scenario")
    add_keys(parser)
    group = parser.add_argument_group("values")
    group.add_argument("--with", dest="other", metavar="CAPTURE", help="a second recording: what differs is a value")
    group.add_argument(
        "--secret", action="append", default=[], metavar="NAME[=VARIABLE]",
        help="do not write this value down; it comes from the environment (default DSMREPLAY_NAME)",
    )  # fmt: skip
    parser.add_argument(
        "--as", dest="plays", default="", metavar="PARTY", help="the party to play (default: the one that asks)"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=later("run_extract", "replay.cli.extract"))


def _run(commands: Any) -> None:
    parser = add_command(
        commands, "run", "play a scenario against a device or server, and say what differs",
        "Play a scenario against a real or emulated peer. Only the target's host is ever contacted.",
        "examples:\n"
        "  dsmreplay run scenario --target http://127.0.0.1:5362/ScanServer\n"
        "  dsmreplay run scenario --target https://bench.example.test:5362/ScanServer --trust ca.pem --yes\n\n"
        + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("scenario", metavar="SCENARIO", help="folder, or its scenario.yaml")
    add_playing(parser)
    parser.add_argument(
        "--speed", type=factor, default=0.0, metavar="FACTOR", help="1: as recorded; default: as fast as possible"
    )
    parser.add_argument(
        "--slack", type=span, default=10.0, metavar="SECONDS", help="that a message may be late (default 10)"
    )
    parser.add_argument(
        "--wait", type=span, default=120.0, metavar="SECONDS", help="that another party has to begin (default 120)"
    )
    parser.add_argument("--keep-going", action="store_true", help="go on after a difference")
    parser.add_argument("--from-step", type=_step, default=1, metavar="N", help="begin with this step")
    parser.add_argument("--only", default="", metavar="N,N-N", help="play these steps only; “events”: the events alone")
    parser.add_argument("--step-by-step", action="store_true", help="ask at the keyboard before each step")
    parser.add_argument(
        "--connections", choices=("recorded", "one"), default="recorded",
        help="as many as recorded, or one that is kept open (default recorded)",
    )  # fmt: skip
    parser.add_argument("--normalise", action="store_true", help="send clean messages, not the recorded bytes")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--junit", metavar="FILE", help="write the result as JUnit XML")
    parser.add_argument("--html", metavar="FILE", help="write the result as one HTML page")
    parser.add_argument("--rules", action=Lazy, text=_rules, help="list how values are judged, and end")
    parser.set_defaults(run=later("run_scenario", "replay.cli.run"))


def _control(commands: Any) -> None:
    parser = add_command(
        commands, "control", "tell a running emulator what to do, by its control port",
        "Tell a running emulator what to do. Arguments are name=value pairs.",
        "examples:\n"
        "  dsmreplay control http://127.0.0.1:9000 status\n"
        "  dsmreplay control http://127.0.0.1:9000 press destination=Scan\n"
        "  dsmreplay control http://127.0.0.1:9000 do 'SendImage: delay=2'\n"
        "  dsmreplay control http://127.0.0.1:9000 condition name=CoverOpen severity=Critical\n"
        "  dsmreplay control http://127.0.0.1:9000 load pages=3\n"
        "  dsmreplay control http://127.0.0.1:9000 filters filters=email,fileshare\n\n"
        + CONTROLLED + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("url", metavar="URL", help="of the control port")
    parser.add_argument(
        "order", metavar="COMMAND",
        choices=CONTROL, help=f"{', '.join(CONTROL[:-1])} or {CONTROL[-1]}",
    )  # fmt: skip
    parser.add_argument("arguments", nargs="*", default=[], metavar="NAME=VALUE")
    parser.set_defaults(run=later("run_control", "replay.cli.control"))


def _certificate(commands: Any) -> None:
    parser = add_command(
        commands, "certificate", "make an authority and a client certificate for the laboratory",
        "Make a client certificate of a laboratory authority (made at first call), as a DSM user would have on a card.",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="of the user, such as alice@example.test")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the PEM files")
    parser.set_defaults(run=later("run_certificate"))


def _step(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r}: steps are counted from 1")
    return number


def _completion(commands: Any) -> None:
    parser = add_command(
        commands, "completion", "print a completion script for a shell", "Print a completion script for a shell.",
        "examples:\n"
        "  dsmreplay completion bash > ~/.local/share/bash-completion/completions/dsmreplay\n"
        "  dsmreplay completion zsh > ~/.zfunc/_dsmreplay\n"
        "  dsmreplay completion fish > ~/.config/fish/completions/dsmreplay.fish\n\n" + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
    parser.set_defaults(run=_print_completion)


def _print_completion(arguments: argparse.Namespace) -> int:
    from dissector.cli.completion import script

    print(script(arguments.shell, make_parser()), end="")
    return 0


def _rules() -> str:
    from replay.report.rules import rules_text

    return rules_text()
