"""The arguments. Nothing but argparse is imported here; what is costly to say is said when help is asked for."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from dissector import __version__
from dissector.base.limits import Limits
from dissector.cli.help import EXAMPLES, EXIT_CODES, INPUT, SCHEMA_NAMES, SUMMARY, limits_help
from dissector.cli.usage import UsageParser

__all__ = ["Parser", "build_parser"]


class _Unmeasured(argparse.RawDescriptionHelpFormatter):
    """Checks each argument as it is added, as argparse wants; the terminal is measured only where help is shown."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class Parser(UsageParser):
    """Help is made when asked for."""

    sections: Callable[[], list[tuple[str, str]]] | None = None

    def format_help(self) -> str:
        """Usage, options and the sections."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        text = super().format_help()
        for title, body in self.sections() if self.sections is not None else []:
            text += f"\n{title}:\n{textwrap.indent(textwrap.dedent(body).strip(chr(10)), '  ')}\n"
        return text


def _limit(text: str) -> tuple[str, int]:
    """``NAME=VALUE`` of ``--limit``; the value may end in K, M or G (powers of 1024)."""
    name, _, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if name not in {field.name for field in dataclasses.fields(Limits)}:
        raise argparse.ArgumentTypeError(f"there is no limit {name!r}; dsmshark --help lists them")
    shift = {"K": 10, "M": 20, "G": 30}.get(value[-1:].upper(), 0)
    digits = value[:-1] if shift else value
    if not (digits.isascii() and digits.isdecimal()) or not int(digits):
        raise argparse.ArgumentTypeError(f"the limit {name} needs a number above 0, such as {name}=64M, not {value!r}")
    return name, int(digits) << shift


def _processes(text: str) -> int:
    """The number of ``--jobs``."""
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a number from 1 on is needed, not {text!r}")
    return int(text)


def _stream(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"a stream is a number from 0, not {text!r}")
    return int(text)


def build_parser(given: Sequence[str] = ()) -> Parser:
    """The parser of ``dsmshark``; the namespace names the command's module in ``module``.

    Args:
        given: the arguments that it is to parse. Where they name a command, the parsers of the others are not made:
            that takes 5 ms.
    """
    parser = Parser(
        prog="dsmshark",
        description=SUMMARY,
        formatter_class=_Unmeasured,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dsmshark {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser.sections = lambda: [
        ("examples", EXAMPLES[""]),
        ("input", INPUT),
        ("exit codes", EXIT_CODES),
        ("JSON", SCHEMA_NAMES),
        ("limits (--limit NAME=VALUE)", limits_help()),
    ]
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    makers = {
        "read": _read,
        "jobs": _jobs,
        "events": _events,
        "export": _export,
        "info": _info,
        "tls": _tls,
        "crosscheck": _crosscheck,
        "rules": _rules,
        "completion": _completion,
    }
    # No option before the command takes a value.
    word = next((word for word in given if not word.startswith("-")), "")
    for make in [makers[word]] if word in makers else makers.values():
        make(commands)
    return parser


# -- one function a command --------------------------------------------------------------------------------


def _command(
    commands: Any, name: str, help: str, description: str, *, module: str | None = None, examples: str | None = None
) -> Parser:
    made: Parser = commands.add_parser(
        name,
        help=help,
        description=textwrap.fill(" ".join(description.split()), 100),
        formatter_class=_Unmeasured,
        allow_abbrev=False,
    )
    made.set_defaults(module=module or name)
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error comes from")
    shown = EXAMPLES[examples or name]
    made.sections = lambda: [("examples", shown), ("exit codes", EXIT_CODES)]
    return made


def _files(parser: Parser, *, color: bool = True, twice: bool = False) -> None:
    how = "capture; it is read twice, so it has to be a file" if twice else "capture, “-” for standard input"
    parser.add_argument("files", metavar="FILE", nargs="+", help=how)
    add_keys(parser)
    parser.add_argument(
        "--limit", action="append", type=_limit, metavar="NAME=VALUE",
        help="change a limit (dsmshark --help lists them)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=_processes, default=1, metavar="N", dest="processes",
        help="with 2 or more: read, reassemble and hash in processes of their own (up to 4 in all); pays for files "
        "of 16 MB or more where two cores are idle: up to 1.7 times as fast",
    )  # fmt: skip
    if color:
        parser.add_argument(
            "--color", choices=("auto", "always", "never"), default="auto",
            help="colours: auto (on a terminal, unless NO_COLOR is set), always, never",
        )  # fmt: skip


def add_keys(parser: argparse.ArgumentParser) -> None:
    """The options that name keys for TLS; :func:`dissector.cli.common.keylogs_of` reads them."""
    keys = parser.add_argument_group(
        "keys for TLS", "Secrets inside a pcapng file are used without; $SSLKEYLOGFILE counts as a --keylog."
    )
    keys.add_argument(
        "--keylog",
        action="append",
        metavar="FILE",
        default=[],
        help="NSS key log (SSLKEYLOGFILE): a file, which may grow while the capture does, a pipe, or “-”",
    )
    keys.add_argument(
        "--rsa-key",
        action="append",
        metavar="FILE",
        default=[],
        help="the server's private RSA key: PEM, DER or PKCS#12 (password in $DSMSHARK_KEY_PASSWORD)",
    )
    keys.add_argument(
        "--pre-master",
        action="append",
        metavar="HEX",
        default=[],
        help="pre-master secret, or CLIENT-RANDOM:SECRET; tried where no other key is known",
    )


def _out(parser: Parser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")


def _read(commands: Any) -> None:
    parser = _command(
        commands,
        "read",
        "list the messages, one line each, or whole",
        """
        One line for each message: number, findings (E error, W warning), time, source, destination, service, what it
        is, what it says. -V gives the whole tree: frames, HTTP head, addressing, header blocks, every element with its
        typed value, unit and meaning, attachments, findings. Times are those of the packet that made a message whole.
        """,
    )
    _files(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("-V", "--verbose", action="store_true", help="each message whole, as a tree")
    shape.add_argument("--json", action="store_true", help="one JSON object (dsmshark.messages/1)")
    shape.add_argument("--ndjson", action="store_true", help="one JSON object a line, as soon as it is known")
    parser.add_argument("--origin", action="store_true", help="with -V: frame:start+length of the bytes of each line")
    _out(parser)
    parser.add_argument(
        "--time", choices=("relative", "absolute", "delta"), default="relative",
        help="seconds since the first packet (default), UTC, or seconds since the line before",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="also SOAP messages that do not belong to WSD")
    parser.add_argument(
        "--strict", action="store_true",
        help="judge bodies by the specifications too: elements missing, too many, out of order (rules content.*)",
    )  # fmt: skip
    only = parser.add_argument_group("only messages")
    only.add_argument("--job", metavar="ID", help="of the job whose id begins so")
    only.add_argument("--service", metavar="NAME", help="of a service, such as WS-DSP or dsp")
    only.add_argument("--host", metavar="ADDR", help="from or to an address")
    only.add_argument("--stream", metavar="N", type=_stream, help="of a TCP stream, as tcp.stream of Wireshark counts")
    only.add_argument("--kind", choices=("request", "response", "event", "fault", "discovery"), help="of a kind")


def _jobs(commands: Any) -> None:
    parser = _command(
        commands,
        "jobs",
        "list the scan jobs and how each ended",
        """
        A table with one row a job: post-scan jobs (by JobToken) and scan jobs (by JobId at their scanner), followed
        across connections to the completion event. Below it the findings in words, and what to know of the capture.
        --job tells the story of one job: each step with time and frame, images, filters, faults, findings; of those of
        the capture the general ones, and what is of connections between hosts of the job, while it ran.
        """,
    )
    _files(parser)
    parser.add_argument("--job", metavar="ID", help="the story of the job whose id begins so")
    parser.add_argument("--json", action="store_true", help="JSON (dsmshark.jobs/1)")
    _out(parser)


def _events(commands: Any) -> None:
    parser = _command(
        commands,
        "events",
        "show every event notification, decoded",
        """
        Every event notification in order: what it says, element by element, which job and subscription it belongs to,
        and the HTTP status its sink answered. Of a pipe each is shown when it comes, and how it was taken when that is
        known. With --job this is so for a whole id; what begins so is shown at the end, when all ids are known. --json
        gives one object, at the end.
        """,
    )
    _files(parser)
    parser.add_argument("--job", metavar="ID", help="only events of the job whose id begins so")
    parser.add_argument("--json", action="store_true", help="JSON (dsmshark.events/1)")
    _out(parser)
    parser.add_argument(
        "--time", choices=("relative", "absolute", "delta"), default="absolute",
        help="UTC (default), seconds since the first packet, or seconds since the event before",
    )  # fmt: skip


def _export(commands: Any) -> None:
    parser = _command(
        commands,
        "export",
        "write images, messages, bodies or a decrypted capture to files",
        """
        Writes what a capture carried to files of a folder. Names tell job, page and the type that the bytes really are
        (post-scan-264a19bf-doc9.png); what is not whole ends in .partial. Nothing that exists is overwritten without
        --force. The files hold people's documents: treat them so.
        """,
    )
    kinds = parser.add_subparsers(title="what", metavar="WHAT", dest="what", required=True)
    for name, said in (
        ("images", "the scanned images"),
        ("messages", "the SOAP envelopes, as XML"),
        ("bodies", "the bodies of the HTTP messages, content coding undone"),
    ):
        one = _command(kinds, name, said, f"Write {said} to files.", module="export", examples="export")
        _files(one, color=False)
        one.add_argument("-o", "--output", metavar="DIR", required=True, dest="folder", help="folder, made if need be")
        one.add_argument("--force", action="store_true", help="overwrite files that exist")
        if name == "images":
            one.add_argument("--job", metavar="ID", help="only images of the job whose id begins so")
        elif name == "messages":
            one.add_argument("--pretty", action="store_true", help="indented; default: the bytes as sent")
        else:
            one.add_argument("--all", action="store_true", help="also bodies of HTTP messages that are not WSD")
    _export_pcap(kinds)


def _export_pcap(kinds: Any) -> None:
    parser = _command(
        kinds,
        "pcap",
        "the capture anew, its TLS decrypted or with the secrets inside (pcapng)",
        """
        Writes the capture anew, for Wireshark or for a colleague. --decrypted: in place of the packets of each
        connection that the keys open stand TCP packets with the plain bytes, at the same times. --secrets: all
        packets as they are, with the secrets of just these connections inside; a private key is not given away.
        """,
        module="export_pcap",
        examples="export",
    )
    _files(parser, color=False)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="pcapng file, made anew")
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--decrypted", action="store_true", help="plain streams")
    how.add_argument("--secrets", action="store_true", help="the original packets, and what opens them")


def _info(commands: Any) -> None:
    parser = _command(
        commands,
        "info",
        "say what the capture is and what speaks WSD in it",
        """
        Container, link types, time span, packets and the share of noise; the hosts that speak WSD with their roles,
        services and names; message counts by service; connections that could not be read (TLS); findings.
        """,
    )
    _files(parser)
    parser.add_argument("--json", action="store_true", help="JSON (dsmshark.info/1)")
    _out(parser)


def _tls(commands: Any) -> None:
    parser = _command(
        commands,
        "tls",
        "show the TLS connections: certificates, alerts, why a handshake failed",
        """
        Every TLS connection, with keys or without: server name, versions and cipher suites offered and chosen,
        certificates with their validity at the capture's time, whether a client certificate was asked for and given,
        alerts in words, and what went wrong. With keys, what is encrypted in the handshake is shown too.
        """,
    )
    _files(parser)
    parser.add_argument("--json", action="store_true", help="JSON (dsmshark.tls/1)")
    _out(parser)
    parser.add_argument("--failed", action="store_true", help="only connections that failed")
    parser.add_argument("--records", action="store_true", help="sizes and times of the records")
    parser.add_argument(
        "--trust", action="append", metavar="FILE", default=[],
        help="say whether the certificates lead to these authorities: PEM or DER, a folder, or “system”",
    )  # fmt: skip
    parser.add_argument("--stream", type=_stream, metavar="N", help="only the TCP stream with this number")


def _crosscheck(commands: Any) -> None:
    parser = _command(
        commands,
        "crosscheck",
        "compare with Wireshark's own reassembly (needs tshark)",
        """
        Reads the capture with tshark too, and compares streams, HTTP messages and hashes of bodies, one line each.
        Every difference is explained: which of the two is right, and why.
        """,
    )
    _files(parser, color=False, twice=True)
    parser.add_argument("--json", action="store_true", help="JSON")
    _out(parser)


def _rules(commands: Any) -> None:
    parser = _command(
        commands,
        "rules",
        "list the rules that findings come from",
        """
        Every rule that a finding can be of: identifier, usual severity, what it means, and the specification it is
        from.
        Printed from the code that applies them.
        """,
    )
    parser.add_argument("--json", action="store_true", help="JSON (dsmshark.rules/1)")


def _completion(commands: Any) -> None:
    parser = _command(
        commands, "completion", "print a completion script for a shell", "Prints a completion script for a shell."
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")
