"""``dsmreplay emulate`` and ``dsmreplay certificate``: from the options to a running device and a clean end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import ssl
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from dissector.base.errors import ExitCode, UnreadableInput, UnwritableOutput, UsageError
from dissector.cli.common import keylogs_of
from dissector.keyfiles import PASSWORD
from dissector.output.text import count, printable
from replay.base.clock import RealClock
from replay.base.log import JsonSink, Log, Sink, TextSink
from replay.cli.addresses import endpoints_of
from replay.cli.living import (
    behaviour_of,
    client_encryption,
    keylog_of,
    limits_of,
    pairs,
    tell,
    unfinished,
    until_signal,
)
from replay.cli.outputs import Output, capture_file, inputs_of, not_an_input
from replay.cli.trust import trust_of
from replay.devices.control import ControlPort
from replay.devices.dsmdevice import DsmDevice, Order, Story
from replay.devices.emulator import Around, Emulator, Encryption
from replay.devices.host import Call
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import device_to_yaml, load_device
from replay.devices.scanner.from_capture import device_from_capture
from replay.devices.scanner.pages import MAX_PAGES
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.engine import SPECIFIED, EngineLimits
from replay.devices.scanserver.filters import DISK, MailServer, Outcome, Places, parse_outcome
from replay.devices.scanserver.processes import ScanProcess, read_process
from replay.devices.scanserver.profiles import PROFILES
from replay.devices.scanserver.server import ScanServer, callers
from replay.net.certificates import Identity, issue, make_authority, own_certificate
from replay.net.interfaces import local_addresses
from replay.net.target import is_loopback
from replay.net.tls import client_context, server_context

E = TypeVar("E", bound=Emulator)
Ready = tuple[str, dict[str, str]]
"""A headline, and what clients need to know by name."""

__all__ = ["run_certificate", "run_dsm_device", "run_scan_server", "run_scanner"]

MAIL_LOGIN = ("DSMREPLAY_SMTP_USER", "DSMREPLAY_SMTP_PASSWORD")
"""Environment variables with the login of the mail server."""

QUIET = frozenset({"listening", "ready", "job", "story", "failed", "warning"})
"""Kinds of log entries that --quiet prints."""


def run_scanner(arguments: argparse.Namespace) -> int:
    """``dsmreplay emulate scanner``."""
    if arguments.capture and arguments.device is not None:
        raise UsageError("--from and --device exclude each other: the device is that of the capture")
    if arguments.host and not arguments.capture:
        raise UsageError("--host chooses a scanner of a capture: it needs --from")
    if (arguments.keylog or arguments.rsa_key or arguments.pre_master) and not arguments.capture:
        raise UsageError("keys for TLS open a capture: they need --from")
    device = _device(arguments)
    if arguments.show_device:
        if arguments.capture:
            where = printable(Path(arguments.capture).name)
            print(f"# The scanner of {where}: its names, addresses and serial number are the real ones.")
        print(device_to_yaml(device), end="")
        return ExitCode.OK

    def make(around: Around) -> Scanner:
        return Scanner(device, _pages(arguments), refill=not arguments.once, press=arguments.press, around=around)

    def ready(scanner: Scanner) -> Ready:
        return f"scanner “{scanner.device.friendly_name}” is ready", {
            "device": scanner.url(),
            "WS-Scan": scanner.scan_url,
            "WS-DSD": scanner.dsd_url,
            "address": scanner.device.address,
        }

    return _serve(arguments, make, ready)


def run_scan_server(arguments: argparse.Namespace) -> int:
    """``dsmreplay emulate scan-server``."""
    if arguments.profile not in PROFILES:
        raise UsageError(f"there is no profile {arguments.profile}; there are {', '.join(PROFILES)}")
    if arguments.client_certificates != "none" and arguments.http:
        raise UsageError("client certificates need https: leave out --http")
    if arguments.client_certificates == "required" and not arguments.authorities:
        raise UsageError("--client-certificates required needs --authorities FILE, to know whose certificates are good")
    given = limits_of(arguments.limit)
    places = Places(
        shares={unc: Path(folder) for unc, folder in pairs("--share", "UNC=DIR", arguments.share).items()},
        smtp=_mail_server(arguments),
        sender=arguments.mail_from,
        my_site=arguments.my_site,
        disk=given.get("disk", DISK),
        context=_filter_trust(arguments),
        sites=pairs("--site", "URL=TARGET", arguments.site),
    )
    outcomes = _outcomes(arguments.outcome)
    users = pairs("--user", "SID=NAME", arguments.user)
    identity: list[Identity] = []
    engine_limits = EngineLimits(
        ending=arguments.ending, active=given.get("jobs", SPECIFIED.active), disk=given.get("disk", SPECIFIED.disk),
        images=given.get("images", SPECIFIED.images), history=given.get("history", SPECIFIED.history),
        instructions=given.get("instructions", SPECIFIED.instructions),
    )  # fmt: skip

    def make(around: Around) -> ScanServer:
        if not arguments.http:
            found, around.encryption = _server_encryption(arguments, around)
            identity.append(found)
        return ScanServer(
            arguments.output, places=places, outcomes=outcomes, processes=arguments.processes,
            profile=arguments.profile, may_manage=_managers(arguments.admin) if arguments.admin else None,
            users=users, limits=engine_limits, around=around,
        )  # fmt: skip

    def ready(server: ScanServer) -> Ready:
        # Not before: a command line that is wrong leaves nothing behind.
        for folder in places.shares.values():
            _make_share(folder)
        facts = {
            "host": server.url(),
            "WS-DSP": server.processing_url,
            "WS-DSC": server.configuration_url,
            "answers": f"as {arguments.profile}",
            "images": str(server.output),
        }
        if identity:
            facts |= {"certificate": str(identity[0].cert_path), "SHA-256": identity[0].fingerprint}
        return "scan server is ready", facts

    return _serve(arguments, make, ready, unicast=(5362, 3702))


def run_dsm_device(arguments: argparse.Namespace) -> int:
    """``dsmreplay emulate dsm-device``."""
    if arguments.cancel_after is not None and arguments.leave:
        raise UsageError("--cancel-after and --leave exclude each other")
    if not arguments.server.strip():
        raise UsageError("--server is empty: a host or a URL is expected")
    process = _process(arguments)
    finish = "leave" if arguments.leave else "cancel" if arguments.cancel_after is not None else "end"
    order = Order(
        arguments.server, process, finish=finish, cancel_after=arguments.cancel_after or 0,
        subscribe=not arguments.no_events, wait=arguments.wait, pause=arguments.pause, direct=arguments.direct,
        expires=arguments.expires,
    )  # fmt: skip
    if arguments.user_identifier:
        order.user_identifier = arguments.user_identifier
    device = _device(arguments)
    result: list[int] = []

    def make(around: Around) -> DsmDevice:
        if arguments.https:
            _, around.encryption = _server_encryption(arguments, around)
        return DsmDevice(device, _pages(arguments), host=arguments.host, around=around)

    async def work(emulator: DsmDevice) -> None:
        story = await emulator.run(order)
        expected = arguments.expect or ("Canceled" if finish == "cancel" else "")
        good = story.completed_state == expected if expected else story.clean
        good = good and not story.failure
        emulator.log.say("story", _told(story), **story.to_json())
        result.append(ExitCode.OK if good else ExitCode.FINDINGS)

    code = _serve(arguments, make, lambda device: ("DSM device is ready", {}), work=work)
    return (result[0] if result else ExitCode.OK) or code


def run_certificate(arguments: argparse.Namespace) -> int:
    """``dsmreplay certificate``."""
    folder = Path(arguments.output)
    try:
        authority = make_authority(folder)
        made = issue(authority, folder, arguments.name, [arguments.name], client=True)
    except OSError as error:
        raise UnwritableOutput(f"{folder}: {error.strerror or error}") from error
    print(f"authority    {printable(str(authority.cert_path))}")
    print(f"certificate  {printable(str(made.cert_path))}")
    print(f"key          {printable(str(made.key_path))}")
    print(f"SHA-256      {made.fingerprint}")
    return ExitCode.OK


# -- running -----------------------------------------------------------------------------------------------------


def _serve(
    arguments: argparse.Namespace,
    make: Callable[[Around], E],
    ready: Callable[[E], Ready],
    *,
    unicast: tuple[int, ...] = (),
    work: Callable[[E], Awaitable[None]] | None = None,
) -> int:
    if arguments.interface and arguments.no_discovery:
        raise UsageError("--interface and --no-discovery exclude each other: nothing would be announced on it")
    if arguments.interface and work is not None and not arguments.host:
        raise UsageError("--interface announces the services of a scanner: it needs --host")
    not_an_input("--pcap", arguments.pcap, inputs_of(arguments))
    behaviour = behaviour_of(arguments)
    listen = endpoints_of(arguments.listen or [arguments.default_listen])
    interfaces = arguments.interface or list(dict.fromkeys(host for host, _ in listen))
    around = Around(
        listen=listen, name=arguments.name, interfaces=interfaces, unicast_ports=unicast,
        discovery=not arguments.no_discovery and (work is None or arguments.host),
        must_be_found=bool(arguments.interface), behaviour=behaviour, clock=RealClock(), seed=arguments.seed,
    )  # fmt: skip
    limits = limits_of(arguments.limit)
    of_server = {name: value for name, value in limits.items() if name in ("request", "arriving", "connections")}
    around.limits = replace(around.limits, **of_server)
    around.subscriptions = limits.get("subscriptions", around.subscriptions)
    client_encryption(arguments, around)
    with contextlib.ExitStack() as files:
        if arguments.pcap:
            around.pcap = files.enter_context(capture_file(arguments.pcap))
        return asyncio.run(_run(arguments, around, make, ready, work))


async def _run(
    arguments: argparse.Namespace,
    around: Around,
    make: Callable[[Around], E],
    ready: Callable[[E], Ready],
    work: Callable[[E], Awaitable[None]] | None,
) -> int:
    clock = around.clock or RealClock()
    stop = asyncio.Event()
    output = Output(stop.set)
    wanted = (lambda entry: entry.kind in QUIET) if arguments.quiet else None
    kind = JsonSink if arguments.json else TextSink
    sink: Sink = kind(sys.stdout, bodies=arguments.verbose, wanted=wanted)
    log = around.log = Log(clock, output.heard(sink))
    code = ExitCode.OK
    async with until_signal(stop), make(around) as emulator, contextlib.AsyncExitStack() as stack:
        waits: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait())]
        control = None
        if arguments.control is not None:
            # Before it is said that all is ready: its port may be taken.
            control = await stack.enter_async_context(ControlPort(emulator, port=arguments.control))
            waits.append(asyncio.create_task(control.stopped.wait()))
        headline, facts = ready(emulator)
        if arguments.json:
            log.say("ready", headline, url=emulator.url(), addresses=facts)
        elif work is None:
            tell(output, headline, facts)
        if control is not None and not arguments.json:
            tell(output, "", {"control": control.url})
        if arguments.duration is not None:
            waits.append(asyncio.create_task(clock.sleep(arguments.duration)))
        if work is not None:
            waits.append(asyncio.ensure_future(work(emulator)))
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in rest:
            one.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for one in done:
            one.result()
        if work is not None and waits[-1] not in done:
            code = unfinished(stop, output)
    output.captured(arguments.pcap, emulator.tap)
    return output.code(code)


# -- options -----------------------------------------------------------------------------------------------------


def _device(arguments: argparse.Namespace) -> Device:
    capture = getattr(arguments, "capture", None)
    if capture:
        return device_from_capture(
            capture, address=arguments.host, keylog=keylogs_of(arguments), rsa_key=arguments.rsa_key,
            pre_master=arguments.pre_master, key_password=os.environ.get(PASSWORD),
        )  # fmt: skip
    return load_device(arguments.device or "default")


def _process(arguments: argparse.Namespace) -> ScanProcess:
    """The scan process that is sent: a document of the user's, or an example."""
    identifier = arguments.process_id or str(uuid.uuid5(uuid.NAMESPACE_URL, str(arguments.process)))
    if not arguments.process:
        return ScanProcess.example(identifier=arguments.process_id) if arguments.process_id else ScanProcess.example()
    path = Path(arguments.process)
    with contextlib.suppress(ValueError):
        identifier = arguments.process_id or str(uuid.UUID(path.stem))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror or error}") from error
    return read_process(data, str(path), identifier)


def _pages(arguments: argparse.Namespace) -> int | list[str]:
    given: list[str] = arguments.pages
    if len(given) == 1 and re.fullmatch(r"-?\d{1,18}", given[0]) and not Path(given[0]).exists():
        number = int(given[0])
        if not 0 <= number <= MAX_PAGES:
            raise UsageError(f"--pages {number}: 0 to {MAX_PAGES} test pages")
        return number
    return given


def _server_encryption(arguments: argparse.Namespace, around: Around) -> tuple[Identity, Encryption]:
    """A certificate of its own (made at first start), and what its peers must show."""
    folder = Path(arguments.certificates) if arguments.certificates else Path.home() / ".local/share/dsmshark"
    names = list(dict.fromkeys([*([around.name] if around.name else []), "localhost", "127.0.0.1", "::1",
                                *(name for host, _ in around.listen for name in _names_of(host))]))  # fmt: skip
    try:
        identity = own_certificate(folder, names, datetime.now(UTC))
    except OSError as error:
        raise UnwritableOutput(f"the certificate cannot be kept in {folder}: {error.strerror or error}") from error
    keylog = keylog_of(arguments)
    authorities = getattr(arguments, "authorities", None)
    context = server_context(
        identity, client_certificates=getattr(arguments, "client_certificates", "none"),
        authorities=Path(authorities) if authorities else None, keylog=keylog,
    )  # fmt: skip
    before = around.encryption or Encryption()
    return identity, Encryption(context, before.client, before.pinned, keylog)


def _names_of(host: str) -> list[str]:
    """The addresses under which clients come to a listening address."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    return [one.address for one in local_addresses() if (":" in one.address) == (host == "::") and not one.link_local]


def _mail_server(arguments: argparse.Namespace) -> MailServer | None:
    """The mail server; who logs in there is said in the environment, where others do not see it."""
    if not arguments.smtp:
        return None
    host, port = _host_port(arguments.smtp, "--smtp")
    user, password = (os.environ.get(name, "") for name in MAIL_LOGIN)
    if user and arguments.smtp_tls == "none" and not is_loopback(host):
        raise UsageError(f"{MAIL_LOGIN[0]} is set, and {host} would get the password unencrypted: add --smtp-tls")
    login = (user, password) if user else None
    return MailServer(host, port, arguments.smtp_tls, login, _filter_trust(arguments))


def _filter_trust(arguments: argparse.Namespace) -> Callable[[], ssl.SSLContext]:
    """How mail servers and libraries are trusted. A pinned fingerprint is that of one device: it is none of theirs."""
    trust = "system" if arguments.trust.startswith("sha256:") else trust_of(arguments.trust)
    return lambda: client_context(trust)


def _outcomes(texts: list[str]) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for kind, outcome in map(parse_outcome, texts):
        if kind in found:
            raise UsageError(f"--outcome {kind}: it is given twice")
        found[kind] = outcome
    return found


def _managers(admins: list[str]) -> Callable[[Call], bool]:
    """Who may cancel the jobs of others by WS-DSC."""
    known = {one.casefold() for one in admins}
    return lambda call: any(one.casefold() in known for one in callers(call))


def _make_share(folder: Path) -> None:
    """Make a folder of the user's where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableOutput(f"--share {folder}: {error.strerror or error}; expected a folder") from error


def _host_port(text: str, option: str) -> tuple[str, int]:
    host, mark, port = text.rpartition(":")
    if not mark or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text!r}: HOST:PORT is expected")
    return host.strip("[]"), int(port)


def _told(story: Story) -> str:
    if story.completed_state is None:
        what = "the job has no known end" if story.job_token else "there is no job"
        return f"{what}: {story.failure or 'it was left'}"
    told = f"job ended {story.completed_state}: {', '.join(story.reasons)}; {count(story.images, 'image')} sent"
    return f"{told}; {story.failure}" if story.failure else told
