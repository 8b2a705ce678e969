"""``dsmreplay serve``: its options. What it does is in :mod:`replay.cli.serving`, imported when it runs."""

from __future__ import annotations

from typing import Any

from replay.cli.options import EXIT_CODES, Lazy, add_command, effects, factor, host_name, later

__all__ = ["add_serve"]


def add_serve(commands: Any) -> None:
    """Add the command to the sub-parsers of ``dsmreplay``."""
    parser = add_command(
        commands, "serve", "be the device of a scenario: answer as recorded, send the recorded events",
        "Be the scanner or scan server of a scenario. Requests are matched by what they mean and by how far their "
        "client is in the story; each client gets tokens of its own; recorded events go to whoever subscribed. What "
        "came that the recording does not have, and what never came, is said.",
        "examples:\n"
        "  dsmreplay serve scenario --listen 127.0.0.1:5357\n"
        "  dsmreplay serve scenario --listen 0.0.0.0:5357 --discovery --interface eth0 --speed 2\n"
        "  dsmreplay serve scenario --listen 127.0.0.1:5362 --once --pcap served.pcapng\n"
        "  dsmreplay serve scenario --listen 127.0.0.1:5357 --do 'RetrieveImage: close_after=5000, times=1'\n\n"
        + EXIT_CODES,
    )  # fmt: skip
    parser.add_argument("scenario", metavar="SCENARIO", help="folder, or its scenario.yaml")
    parser.add_argument(
        "--as", dest="plays", default="", metavar="PARTY",
        help="the party that is served, or several with commas (default: all that were asked something)",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another value; may be repeated"
    )
    parser.add_argument(
        "--speed", type=factor, default=1.0, metavar="FACTOR",
        help="of answers and events: 2 is twice as fast as recorded, 0 at once (default 1)",
    )  # fmt: skip
    parser.add_argument("--normalise", action="store_true", help="send clean messages, not the recorded bytes")
    parser.add_argument(
        "--once", action="store_true",
        help="end when the story is over; exit code 1 where something was not as recorded, or did not come",
    )  # fmt: skip
    parser.add_argument("--for", dest="duration", type=factor, metavar="SECONDS", help="end after so long")
    net = parser.add_argument_group("network")
    net.add_argument(
        "--listen", action="append", default=[], metavar="[PARTY=]HOST:PORT",
        help="default 127.0.0.1:0; port 0: any; may be repeated; a further party has the port that is named for it",
    )  # fmt: skip
    net.add_argument(
        "--name",
        type=host_name,
        default="",
        metavar="HOST",
        help="host name in its addresses (default: as it is reached)",
    )
    net.add_argument(
        "--allow", action="append", default=[], metavar="HOST",
        help="events may go to this host or network too (default: only to each subscriber's own host)",
    )  # fmt: skip
    net.add_argument(
        "--discovery",
        action="store_true",
        help="announce the (first) device by Hello and Bye, and answer Probe and Resolve",
    )
    net.add_argument(
        "--interface", action="append", default=[], metavar="NAME",
        help="multicast on this interface; may be repeated (default: that of --listen); switches --discovery on",
    )  # fmt: skip
    net.add_argument(
        "--certificate", nargs=2, metavar=("CERT", "KEY"),
        help="PEM files: listen with TLS (default: a certificate of its own where the recording was https)",
    )  # fmt: skip
    net.add_argument(
        "--trust", default="none", metavar="HOW",
        help="certificates of event sinks: system, none, a PEM file, or sha256:FINGERPRINT (default none)",
    )  # fmt: skip
    net.add_argument("--client-certificate", nargs=2, metavar=("CERT", "KEY"), help="PEM files to show to event sinks")
    wrong = parser.add_argument_group("behaviour and faults")
    wrong.add_argument("--behaviour", metavar="FILE", help="rules of behaviour, YAML")
    wrong.add_argument(
        "--do", action="append", default=[], metavar="RULE", help="one rule, such as 'SendImage: delay=2, times=1'"
    )
    wrong.add_argument("--effects", action=Lazy, text=effects, help="list what a rule can order, and end")
    wrong.add_argument("--seed", type=int, metavar="N", help="makes identifiers and chances the same at each run")
    out = parser.add_argument_group("output")
    out.add_argument("--pcap", metavar="FILE", help="write its own traffic as pcapng, with the TLS secrets")
    out.add_argument("-v", "--verbose", action="store_true", help="print the XML of each message")
    out.add_argument("-q", "--quiet", action="store_true", help="print the address, troubles and the end only")
    out.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=later("run_serve", "replay.cli.serving"))
