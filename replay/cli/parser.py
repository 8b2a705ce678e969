"""The command line of ``dsmreplay``: commands, options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

from dissector import __version__
from dissector.cli.parser import add_keys
from replay.cli.packets import add_packets
from replay.cli.serve import add_serve
from replay.cli.suite import add_suite

__all__ = ["make_parser"]

EXIT_CODES = """exit codes:
  0  fine; as recorded; the job ended as expected; stopped by Ctrl-C
  1  differs from the recording; the job ended otherwise than expected
  2  the command line or a description file is wrong
  3  an input cannot be read, or an output cannot be written
  4  the target cannot be reached"""


LIMITS = {
    "request": "bytes of one request", "arriving": "bytes of all requests at once", "connections": "at once",
    "subscriptions": "of one service", "jobs": "at once", "history": "ended jobs remembered, with their images",
    "images": "of one job", "disk": "bytes of images kept, and of images written to shares",
}  # fmt: skip
"""Bounds that --limit changes."""


CONTROL = ("status", "behaviour", "do", "reset", "press", "load", "condition", "clear", "cancel", "filters", "stop")
"""What a control port is told."""

WIDTH = 110
"""Columns of the help."""

MAX_SECONDS = 366 * 86400
"""Of a time that is given."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


class _Lazy(argparse.Action):
    """A list that is printed and ends the command, as --help does."""

    def __init__(self, option_strings: Sequence[str], dest: str, text: Callable[[], str], **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)
        self._text = text

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        print(self._text())
        parser.exit(0)


def _seconds(text: str) -> float:
    """A time of the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds from 0 to {MAX_SECONDS} are expected")
    return value


def _count(text: str) -> int:
    """A number of things, none included."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 0 on is expected")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``arguments.run(arguments)`` of what it gives runs the command."""
    parser = argparse.ArgumentParser(
        prog="dsmreplay",
        description="Sends captured WSD sequences again and judges what differs; emulates scanners, DSM devices and\n"
        "scan servers. Captures are read by dsmshark.",
        epilog=EXIT_CODES,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"dsmreplay {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _emulate(commands)
    _extract(commands)
    _run(commands)
    add_serve(commands)
    add_suite(commands)
    add_packets(commands)
    _control(commands)
    _certificate(commands)
    return parser


def _command(commands: Any, name: str, summary: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=fill(description, WIDTH),
        epilog=epilog or EXIT_CODES,
        formatter_class=_Formatter,
    )
    return parser


# -- emulate -----------------------------------------------------------------------------------------------------


def _emulate(commands: Any) -> None:
    emulate = _command(
        commands, "emulate", "be a scanner, a scan server or a DSM device",
        "Be a device: real sockets, real messages, told how to behave and how to fail. Everything listens on loopback "
        "unless --listen says otherwise.",
    )  # fmt: skip
    kinds = emulate.add_subparsers(metavar="DEVICE", required=True)
    _scanner(kinds)
    _scan_server(kinds)
    _dsm_device(kinds)


def _scanner(kinds: Any) -> None:
    parser = _command(
        kinds, "scanner", "WS-Scan and WS-DSD, discovery, metadata, events",
        "Be a scanner. The address that a client needs is printed as soon as it answers.",
        "examples:\n"
        "  dsmreplay emulate scanner --listen 127.0.0.1:0 --pages 3\n"
        "  dsmreplay emulate scanner --listen 0.0.0.0:5357 --device kyocera-m2040dn --pcap own.pcapng\n"
        "  dsmreplay emulate scanner --from customer.pcap --do 'RetrieveImage: close_after=5000, times=1'\n\n"
        + EXIT_CODES,
    )  # fmt: skip
    _paper(parser)
    group = parser.add_argument_group("scanner")
    group.add_argument(
        "--from", dest="capture", metavar="CAPTURE", help="be the scanner whose metadata are in a capture"
    )
    group.add_argument("--host", metavar="ADDRESS", help="with --from: which scanner, where the capture has several")
    group.add_argument(
        "--show-device", action="store_true",
        help="print the whole device file of the profile, the file or the capture, to be kept and edited, and end",
    )  # fmt: skip
    group.add_argument("--once", action="store_true", help="do not fill the feeder anew when a job has emptied it")
    group.add_argument(
        "--press", nargs="?", const="", metavar="DESTINATION",
        help="press the scan button as soon as this destination (ClientContext or display name; default: any) is "
        "registered",
    )  # fmt: skip
    add_keys(parser)
    _around(parser, "127.0.0.1:5357")
    parser.set_defaults(run=_later("run_scanner"))


def _scan_server(kinds: Any) -> None:
    parser = _command(
        kinds, "scan-server", "WS-DSP and WS-DSC, filters, completion events",
        "Be a DSM scan server: takes post-scan jobs, runs their filters, tells how they ended.",
        "examples:\n"
        "  dsmreplay emulate scan-server --http --listen 127.0.0.1:0 --share '\\\\fs1\\scans=out'\n"
        "  dsmreplay emulate scan-server --client-certificates required --authorities users.pem\n"
        "  dsmreplay emulate scan-server --http --outcome email=CompletedWithErrors:UnableToSendEmail\n\n" + EXIT_CODES,
    )  # fmt: skip
    group = parser.add_argument_group("server")
    group.add_argument(
        "--output", metavar="DIR",
        help="folder for the images of jobs, as long as they are remembered (default: a temporary one)",
    )  # fmt: skip
    group.add_argument(
        "--profile", default="specification", metavar="NAME",
        help="how it answers: specification (default), windows-2008-r2, windows-2012-r2, windows-2016",
    )  # fmt: skip
    group.add_argument(
        "--processes", metavar="DIR",
        help="the directory: scan processes as XML files; instructions are compared with them (default: any is taken)",
    )  # fmt: skip
    group.add_argument("--user", action="append", default=[], metavar="SID=NAME", help="who a SID is; may be repeated")
    group.add_argument(
        "--admin", action="append", default=[], metavar="WHO",
        help="a scan administrator, who may cancel jobs by WS-DSC: a name or the fingerprint in a client "
        "certificate, or an address; may be repeated (default: everybody)",
    )  # fmt: skip
    group.add_argument(
        "--ending", type=_seconds, default=600.0, metavar="SECONDS",
        help="time without EndPostScanJob after which a job is aborted (default 600, as specified)",
    )  # fmt: skip
    filters = parser.add_argument_group("filters")
    filters.add_argument(
        "--share",
        action="append",
        default=[],
        metavar="UNC=DIR",
        help="the file share filter writes this UNC path to this folder, made where it is missing",
    )
    filters.add_argument("--smtp", metavar="HOST:PORT", help="the mail server that the e-mail filter sends to")
    filters.add_argument(
        "--smtp-tls", choices=("none", "starttls", "tls"), default="none",
        help="how it is spoken to (default none); its certificate is judged by --trust. "
        "DSMREPLAY_SMTP_USER and DSMREPLAY_SMTP_PASSWORD in the environment are its login",
    )  # fmt: skip
    filters.add_argument("--mail-from", default="scan-server@localhost", metavar="ADDRESS", help="sender of mails")
    filters.add_argument(
        "--site", action="append", default=[], metavar="URL=TARGET",
        help="the SharePoint filter puts images for this library to the HTTP URL TARGET",
    )  # fmt: skip
    filters.add_argument("--my-site", metavar="URL", help="stands for everybody's personal library (SaveToMySite)")
    filters.add_argument(
        "--outcome", action="append", default=[], metavar="FILTER=STATE[:REASON,...]",
        help="give fileshare, email or sharepoint an outcome instead of running it",
    )  # fmt: skip
    tls = parser.add_argument_group("encryption")
    tls.add_argument("--http", action="store_true", help="plain HTTP, for the laboratory (default: https)")
    tls.add_argument("--certificates", metavar="DIR", help="folder of its certificate, made at first start")
    tls.add_argument(
        "--client-certificates", choices=("none", "asked", "required"), default="none", help="default: none"
    )
    tls.add_argument(
        "--authorities", metavar="FILE", help="PEM of the authorities that client certificates must come from"
    )
    _around(parser, "127.0.0.1:5362", trust=True)
    parser.set_defaults(run=_later("run_scan_server"))


def _dsm_device(kinds: Any) -> None:
    parser = _command(
        kinds, "dsm-device", "finds a scan server, sends it a job, waits for its end",
        "Be a DSM device: find the scan server, subscribe, create a post-scan job, send the images, wait for the "
        "completion event. Prints the story and exits by the end state.",
        "examples:\n"
        "  dsmreplay emulate dsm-device --server http://127.0.0.1:5362/ScanServer --process invoices.xml --pages 3\n"
        "  dsmreplay emulate dsm-device --server scans.example.test --process invoices.xml --trust ca.pem\n\n"
        + EXIT_CODES,
    )  # fmt: skip
    group = parser.add_argument_group("job")
    group.add_argument(
        "--server", required=True, metavar="HOST|URL", help="found by a unicast Probe, or the URL of the server"
    )
    group.add_argument(
        "--direct", action="store_true", help="the URL is that of WS-DSP itself: no metadata are asked for"
    )
    group.add_argument(
        "--process", metavar="FILE", help="the scan process, a psp:PostScanProcess document (default: an example)"
    )
    group.add_argument("--process-id", metavar="GUID", help="PSP_Identifier (default: the file's name, if it is one)")
    group.add_argument("--user-identifier", metavar="SID", help="of the scanning user")
    group.add_argument("--cancel-after", type=_count, metavar="N", help="cancel the job after N images")
    group.add_argument("--leave", action="store_true", help="do not end the job: wait for the server's time-out")
    group.add_argument("--no-events", action="store_true", help="do not subscribe; ask for the job's state instead")
    group.add_argument(
        "--wait", type=_seconds, default=120.0, metavar="SECONDS", help="for the end of the job (default 120)"
    )
    group.add_argument(
        "--expires", type=_seconds, default=3600.0, metavar="SECONDS",
        help="of the subscription; it is renewed in good time (default 3600)",
    )  # fmt: skip
    group.add_argument("--pause", type=_seconds, default=0.0, metavar="SECONDS", help="between two images")
    group.add_argument(
        "--expect", metavar="STATE",
        help="end state of exit code 0 (default: Completed without errors; Canceled with --cancel-after)",
    )  # fmt: skip
    group.add_argument("--host", action="store_true", help="offer the scanner's services too (WS-Scan, WS-DSD)")
    group.add_argument("--https", action="store_true", help="take events over https, with a certificate of its own")
    group.add_argument("--certificates", metavar="DIR", help="folder of its own certificate, made at first start")
    _paper(parser)
    _around(parser, "127.0.0.1:0", trust=True)
    parser.set_defaults(run=_later("run_dsm_device"))


def _paper(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("device and paper")
    group.add_argument(
        "--device", metavar="FILE|PROFILE", help="a device file, or a profile that ships (default: default)"
    )
    group.add_argument("--profiles", action=_Lazy, text=_profiles, help="list the profiles and the quirks, and end")
    group.add_argument(
        "--pages", nargs="+", default=["1"], metavar="N|FILE",
        help="so many drawn test pages, or the pages of these files (PNG, JPEG, TIFF, PDF)",
    )  # fmt: skip


def _around(parser: argparse.ArgumentParser, listen: str, *, trust: bool = False) -> None:
    net = parser.add_argument_group("network")
    net.add_argument(
        "--listen", action="append", metavar="HOST:PORT", help=f"default {listen}; port 0: any; may be repeated"
    )
    net.set_defaults(default_listen=listen)
    net.add_argument("--name", default="", metavar="HOST", help="host name in its addresses (default: numeric)")
    net.add_argument(
        "--interface", action="append", default=[], metavar="NAME",
        help="announce and answer by multicast on this interface; may be repeated (default: that of --listen)",
    )  # fmt: skip
    net.add_argument("--no-discovery", action="store_true", help="no Hello, Bye, Probe and Resolve")
    if trust:
        net.add_argument(
            "--trust", default="system", metavar="HOW",
            help="certificates of peers: system, none, a PEM file, or sha256:FINGERPRINT (default system)",
        )  # fmt: skip
        net.add_argument(
            "--client-certificate", nargs=2, metavar=("CERT", "KEY"), help="PEM files to show to peers that ask"
        )
    net.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER",
        help=f"another bound: {', '.join(f'{name} ({text})' for name, text in LIMITS.items())}",
    )  # fmt: skip
    wrong = parser.add_argument_group("behaviour and faults")
    wrong.add_argument("--behaviour", metavar="FILE", help="rules of behaviour, YAML")
    wrong.add_argument(
        "--do",
        action="append",
        default=[],
        metavar="RULE",
        help="one rule, such as 'SendImage: fault=OperationFailed, times=1'",
    )
    wrong.add_argument("--effects", action=_Lazy, text=_effects, help="list what a rule can order, and end")
    wrong.add_argument("--seed", type=int, metavar="N", help="makes identifiers and chances the same at each run")
    wrong.add_argument(
        "--control", nargs="?", const=0, type=int, metavar="PORT", help="open the control port on loopback"
    )
    out = parser.add_argument_group("output")
    out.add_argument("--pcap", metavar="FILE", help="write its own traffic as pcapng, with the TLS secrets")
    out.add_argument("-v", "--verbose", action="store_true", help="print the XML of each message")
    out.add_argument("-q", "--quiet", action="store_true", help="print addresses, jobs and troubles only")
    out.add_argument("--json", action="store_true", help="print one JSON object a line")
    out.add_argument("--for", dest="duration", type=_seconds, metavar="SECONDS", help="end after so long")


# -- sending again -----------------------------------------------------------------------------------------------


def _extract(commands: Any) -> None:
    parser = _command(
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
    parser.set_defaults(run=_later("run_extract", "replay.cli.extract"))


def _run(commands: Any) -> None:
    parser = _command(
        commands, "run", "play a scenario against a device or server, and say what differs",
        "Play a scenario against a real or emulated peer. Only the target's host is ever contacted.",
        "examples:\n"
        "  dsmreplay run scenario --target http://127.0.0.1:5362/ScanServer\n"
        "  dsmreplay run scenario --target https://bench.example.test:5362/ScanServer --trust ca.pem --yes\n\n"
        + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("scenario", metavar="SCENARIO", help="folder, or its scenario.yaml")
    _playing(parser)
    parser.add_argument(
        "--speed", type=_factor, default=0.0, metavar="FACTOR", help="1: as recorded; default: as fast as possible"
    )
    parser.add_argument(
        "--slack", type=_span, default=10.0, metavar="SECONDS", help="that a message may be late (default 10)"
    )
    parser.add_argument(
        "--wait", type=_span, default=120.0, metavar="SECONDS", help="that another party has to begin (default 120)"
    )
    parser.add_argument("--keep-going", action="store_true", help="go on after a difference")
    parser.add_argument("--from-step", type=int, default=1, metavar="N", help="begin with this step")
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
    parser.add_argument("--rules", action=_Lazy, text=_rules, help="list how values are judged, and end")
    parser.set_defaults(run=_later("run_scenario", "replay.cli.run"))


def _playing(parser: argparse._ActionsContainer, pcap: tuple[str, str] = ("FILE", "the traffic of the replay")) -> None:
    """The options of all commands that play a scenario; ``pcap``: what --pcap takes and writes."""
    parser.add_argument(
        "--target", action="append", default=[], metavar="URL",
        help="the peer; of further parties NAME=URL, may be repeated; not needed for one that comes by itself",
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
    parser.add_argument("--timeout", type=_span, default=30.0, metavar="SECONDS", help="of silence (default 30)")
    parser.add_argument("--pcap", metavar=pcap[0], help=f"write {pcap[1]} as pcapng")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each step's log")


def _factor(text: str) -> float:
    """A number of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value


def _span(text: str) -> float:
    """Seconds above 0."""
    value = _factor(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: seconds above 0 are expected")
    return value


def _control(commands: Any) -> None:
    parser = _command(
        commands, "control", "tell a running emulator what to do, by its control port",
        "Tell a running emulator what to do. Arguments are name=value pairs.",
        "examples:\n"
        "  dsmreplay control http://127.0.0.1:9000 status\n"
        "  dsmreplay control http://127.0.0.1:9000 press destination=Scan\n"
        "  dsmreplay control http://127.0.0.1:9000 do 'SendImage: delay=2'\n"
        "  dsmreplay control http://127.0.0.1:9000 condition name=CoverOpen severity=Critical\n"
        "  dsmreplay control http://127.0.0.1:9000 filters filters=email,fileshare\n\n" + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("url", metavar="URL", help="of the control port")
    parser.add_argument(
        "order", metavar="COMMAND",
        choices=CONTROL, help=f"{', '.join(CONTROL[:-1])} or {CONTROL[-1]}",
    )  # fmt: skip
    parser.add_argument("arguments", nargs="*", metavar="NAME=VALUE")
    parser.set_defaults(run=_later("run_control", "replay.cli.control"))


def _certificate(commands: Any) -> None:
    parser = _command(
        commands, "certificate", "make an authority and a client certificate for the laboratory",
        "Make a client certificate of a laboratory authority (made at first call), as a DSM user would have on a card.",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="of the user, such as alice@example.test")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the PEM files")
    parser.set_defaults(run=_later("run_certificate"))


def _later(function: str, module: str = "replay.cli.emulate") -> Callable[[argparse.Namespace], int]:
    """The command's code is imported when it runs: --help must not wait for it."""

    def run(arguments: argparse.Namespace) -> int:
        from importlib import import_module

        return int(getattr(import_module(module), function)(arguments))

    return run


def _profiles() -> str:
    from replay.devices.scanner.device_file import profiles
    from replay.devices.scanner.quirks import QUIRKS

    lines = ["profiles:", *_table(sorted(profiles().items())), "", "quirks (in a device file):"]
    return "\n".join([*lines, *_table([(name, one.meaning) for name, one in sorted(QUIRKS.items())])])


def _rules() -> str:
    from replay.report.rules import rules_text

    return rules_text()


def _effects() -> str:
    from replay.behaviour.file import help_text

    return help_text()


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    return [f"  {name:{width}}  {text}" for name, text in rows]
