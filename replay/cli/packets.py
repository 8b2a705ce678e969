"""``dsmreplay packets``: its options. What it does is in :mod:`replay.cli.resend`, imported when it runs."""

from __future__ import annotations

import argparse
import math
from typing import Any

from replay.cli.options import EXIT_CODES, add_command

__all__ = ["add_packets", "run_packets"]


def add_packets(commands: Any) -> None:
    """Add the command to the sub-parsers of ``dsmreplay``."""
    parser = add_command(
        commands, "packets", "send the discovery datagrams of a capture again, packet by packet",
        "Send SOAP over UDP of a capture again (Hello, Bye, Probe, ProbeMatches, Resolve, ResolveMatches and others): "
        "from an address of an interface, with new MessageIDs and a higher InstanceId, so that receivers take them as "
        "new. Messages of the real device with a lower InstanceId may be stale to receivers from then on. Multicast "
        "stays on the link; unicast goes to --target alone. Connections are not sent again so: see dsmreplay run. "
        "Needs root.",
        "examples:\n"
        "  dsmreplay packets customer.pcap --interface eth0 --only Hello,Bye --dry-run\n"
        "  dsmreplay packets customer.pcap --interface eth0 --only Hello --speed 4 --rewrite-xaddrs\n"
        "  dsmreplay packets customer.pcap --interface eth0 --only ProbeMatches --target 192.0.2.20 --port 40000 --yes"
        "\n\n" + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("capture", metavar="CAPTURE", help="a capture file, - for standard input")
    way = parser.add_argument_group("way")
    way.add_argument("--interface", required=True, metavar="IF", help="send on this network interface, and no other")
    way.add_argument(
        "--source", metavar="ADDR", help="send from this address (default: the interface's own); another one of its "
        "network is asked for"
    )  # fmt: skip
    way.add_argument("--target", metavar="ADDR", help="send unicast datagrams to this host (default: not at all)")
    way.add_argument("--port", type=int, metavar="N", help="UDP port of the target (default: as recorded)")
    choice = parser.add_argument_group("choice")
    choice.add_argument(
        "--only", action="append", default=[], metavar="NAME,...", help="messages of these names, such as Hello,Bye"
    )
    choice.add_argument("--count", type=whole_number, metavar="N", help="at most N datagrams")
    change = parser.add_argument_group("content")
    change.add_argument(
        "--keep-ids", action="store_true", help="leave MessageID, RelatesTo and AppSequence as recorded"
    )
    change.add_argument("--rewrite-xaddrs", action="store_true", help="XAddrs name the address that is sent from")
    pace = parser.add_argument_group("pace").add_mutually_exclusive_group()
    pace.add_argument(
        "--speed", type=factor, default=1.0, metavar="FACTOR", help="2 is twice as fast as recorded (default 1)"
    )
    pace.add_argument("--fast", action="store_true", help="as fast as possible")
    out = parser.add_argument_group("sending and output")
    out.add_argument("--dry-run", action="store_true", help="show what would be sent where, and send nothing")
    out.add_argument("--yes", action="store_true", help="do not ask before sending to a host or from another's address")
    out.add_argument("--pcap", metavar="FILE", help="write the packets as pcapng, with --dry-run too")
    out.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run_packets)


def run_packets(arguments: argparse.Namespace) -> int:
    """Run the command; gives an exit code of :class:`~dissector.base.errors.ExitCode`."""
    from replay.cli.resend import resend

    return resend(arguments)


def whole_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) > 0 and len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 1 is expected")
    return int(text)


def factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not (math.isfinite(factor) and factor > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: a factor over 0 is expected, such as 2 or 0.5")
    return factor
