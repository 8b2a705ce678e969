"""The options of ``dsmreplay emulate``: which device it is, where it listens, how it behaves."""

from __future__ import annotations

import argparse
from typing import Any

from dissector.cli.parser import add_keys
from replay.cli.options import (
    EXIT_CODES,
    Lazy,
    add_command,
    effects,
    example_process,
    host_name,
    later,
    port,
    seconds,
    table,
    whole_number,
)

__all__ = ["LIMITS", "add_emulate"]

LIMITS = {
    "request": "bytes of one request", "arriving": "bytes of all requests at once", "connections": "at once",
    "subscriptions": "of one service", "jobs": "at once", "history": "ended jobs remembered, with their images",
    "images": "of one job", "instructions": "bytes of the filters of all active jobs",
    "disk": "bytes of images kept, and of images written to shares",
}  # fmt: skip
"""Bounds that --limit changes."""


def add_emulate(commands: Any) -> None:
    """The command with its three devices."""
    emulate = add_command(
        commands, "emulate", "be a scanner, a scan server or a DSM device",
        "Be a device: real sockets, real messages, told how to behave and how to fail. Everything listens on loopback "
        "unless --listen says otherwise.",
    )  # fmt: skip
    kinds = emulate.add_subparsers(metavar="DEVICE", required=True)
    _scanner(kinds)
    _scan_server(kinds)
    _dsm_device(kinds)


def _scanner(kinds: Any) -> None:
    parser = add_command(
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
    parser.set_defaults(run=later("run_scanner"))


def _scan_server(kinds: Any) -> None:
    parser = add_command(
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
        "--ending", type=seconds, default=600.0, metavar="SECONDS",
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
    parser.set_defaults(run=later("run_scan_server"))


def _dsm_device(kinds: Any) -> None:
    parser = add_command(
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
    group.add_argument(
        "--show-process", action=Lazy, text=example_process, help="print the example, to start from, and end"
    )
    group.add_argument("--process-id", metavar="GUID", help="PSP_Identifier (default: the file's name, if it is one)")
    group.add_argument("--user-identifier", metavar="SID", help="of the scanning user")
    group.add_argument("--cancel-after", type=whole_number, metavar="N", help="cancel the job after N images")
    group.add_argument("--leave", action="store_true", help="do not end the job: wait for the server's time-out")
    group.add_argument("--no-events", action="store_true", help="do not subscribe; ask for the job's state instead")
    group.add_argument(
        "--wait", type=seconds, default=120.0, metavar="SECONDS", help="for the end of the job (default 120)"
    )
    group.add_argument(
        "--expires", type=seconds, default=3600.0, metavar="SECONDS",
        help="of the subscription; it is renewed in good time (default 3600)",
    )  # fmt: skip
    group.add_argument("--pause", type=seconds, default=0.0, metavar="SECONDS", help="between two images")
    group.add_argument(
        "--expect", metavar="STATE",
        help="end state of exit code 0 (default: Completed without errors; Canceled with --cancel-after)",
    )  # fmt: skip
    group.add_argument("--host", action="store_true", help="offer the scanner's services too (WS-Scan, WS-DSD)")
    group.add_argument("--https", action="store_true", help="take events over https, with a certificate of its own")
    group.add_argument("--certificates", metavar="DIR", help="folder of its own certificate, made at first start")
    _paper(parser)
    _around(parser, "127.0.0.1:0", trust=True)
    parser.set_defaults(run=later("run_dsm_device"))


def _paper(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("device and paper")
    group.add_argument(
        "--device", metavar="FILE|PROFILE", help="a device file, or a profile that ships (default: default)"
    )
    group.add_argument("--profiles", action=Lazy, text=_profiles, help="list the profiles and the quirks, and end")
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
    net.add_argument(
        "--name", type=host_name, default="", metavar="HOST", help="host name in its addresses (default: numeric)"
    )
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
    wrong.add_argument("--effects", action=Lazy, text=effects, help="list what a rule can order, and end")
    wrong.add_argument("--seed", type=int, metavar="N", help="makes identifiers and chances the same at each run")
    wrong.add_argument(
        "--control", nargs="?", const=0, type=port, metavar="PORT", help="open the control port on loopback"
    )
    out = parser.add_argument_group("output")
    out.add_argument("--pcap", metavar="FILE", help="write its own traffic as pcapng, with the TLS secrets")
    out.add_argument("-v", "--verbose", action="store_true", help="print the XML of each message")
    out.add_argument("-q", "--quiet", action="store_true", help="print addresses, jobs and troubles only")
    out.add_argument("--json", action="store_true", help="print one JSON object a line")
    out.add_argument("--for", dest="duration", type=seconds, metavar="SECONDS", help="end after so long")


def _profiles() -> str:
    from replay.devices.scanner.device_file import profiles
    from replay.devices.scanner.quirks import QUIRKS

    lines = ["profiles:", *table(sorted(profiles().items())), "", "quirks (in a device file):"]
    return "\n".join([*lines, *table([(name, one.meaning) for name, one in sorted(QUIRKS.items())])])
