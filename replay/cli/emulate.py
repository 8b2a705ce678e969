"""``dsmreplay emulate`` and ``dsmreplay certificate``: from the options to a running device and a clean end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from dissector.base.errors import ExitCode, UnreadableInput, UsageError
from dissector.output.text import count, printable
from replay.base.clock import RealClock
from replay.base.log import Entry, JsonSink, Log, Sink, TextSink
from replay.behaviour.file import load_behaviour, parse_rule
from replay.behaviour.rules import Behaviour
from replay.cli.addresses import endpoints_of
from replay.cli.main import abandon_stdout
from replay.cli.parser import LIMITS
from replay.devices.control import ControlPort
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around, Emulator, Encryption, is_loopback
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import load_device
from replay.devices.scanner.from_capture import device_from_capture
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.engine import SPECIFIED, EngineLimits
from replay.devices.scanserver.filters import DISK, MailServer, Places, parse_outcome
from replay.devices.scanserver.processes import ScanProcess, read_process
from replay.devices.scanserver.profiles import PROFILES
from replay.devices.scanserver.server import ScanServer
from replay.net.certificates import Identity, issue, load_identity, make_authority, own_certificate
from replay.net.tls import client_context, server_context

E = TypeVar("E", bound=Emulator)
Ready = tuple[str, dict[str, str]]
"""A headline, and what clients need to know by name."""

__all__ = ["run_certificate", "run_dsm_device", "run_scan_server", "run_scanner"]

MAIL_LOGIN = ("DSMREPLAY_SMTP_USER", "DSMREPLAY_SMTP_PASSWORD")
"""Environment variables with the login of the mail server."""

QUIET = frozenset({"listening", "job", "story", "failed", "warning"})
"""Kinds of log entries that --quiet prints."""


def run_scanner(arguments: argparse.Namespace) -> int:
    """``dsmreplay emulate scanner``."""
    device = _device(arguments)

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
        shares={unc: _folder(folder) for unc, folder in map(_named("--share", "UNC=DIR"), arguments.share)},
        smtp=_mail_server(arguments),
        sender=arguments.mail_from,
        my_site=arguments.my_site,
        disk=given.get("disk", DISK),
        sites=dict(map(_named("--site", "URL=TARGET"), arguments.site)),
    )
    outcomes = dict(map(parse_outcome, arguments.outcome))
    users = dict(map(_named("--user", "SID=NAME"), arguments.user))
    identity: list[Identity] = []
    engine_limits = EngineLimits(
        ending=arguments.ending, active=given.get("jobs", SPECIFIED.active), disk=given.get("disk", SPECIFIED.disk),
        images=given.get("images", SPECIFIED.images), history=given.get("history", SPECIFIED.history),
    )  # fmt: skip

    def make(around: Around) -> ScanServer:
        if not arguments.http:
            found, around.encryption = _server_encryption(arguments, around)
            identity.append(found)
        return ScanServer(
            arguments.output, places=places, outcomes=outcomes, processes=arguments.processes,
            profile=arguments.profile,
            users=users, limits=engine_limits, around=around,
        )  # fmt: skip

    def ready(server: ScanServer) -> Ready:
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
        emulator.log.say(
            "story", _told(story.completed_state, story.reasons, story.images, story.failure), **story.to_json()
        )
        result.append(ExitCode.OK if good else ExitCode.FINDINGS)

    code = _serve(arguments, make, lambda device: ("DSM device is ready", {}), work=work)
    return code or (result[0] if result else ExitCode.OK)


def run_certificate(arguments: argparse.Namespace) -> int:
    """``dsmreplay certificate``."""
    folder = Path(arguments.output)
    try:
        authority = make_authority(folder)
        made = issue(authority, folder, arguments.name, [arguments.name], client=True)
    except OSError as error:
        raise UnreadableInput(f"{folder}: {error.strerror or error}") from error
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
    behaviour = _behaviour(arguments)
    listen = endpoints_of(arguments.listen or [arguments.default_listen])
    pcap = _opened(arguments.pcap) if arguments.pcap else None
    interfaces = arguments.interface or list(dict.fromkeys(host for host, _ in listen))
    around = Around(
        listen=listen, name=arguments.name, interfaces=interfaces, unicast_ports=unicast,
        discovery=not arguments.no_discovery and (work is None or arguments.host),
        must_be_found=bool(arguments.interface), pcap=pcap, behaviour=behaviour, clock=RealClock(), seed=arguments.seed,
    )  # fmt: skip
    limits = limits_of(arguments.limit)
    of_server = {name: value for name, value in limits.items() if name in ("request", "arriving", "connections")}
    around.limits = replace(around.limits, **of_server)
    around.subscriptions = limits.get("subscriptions", around.subscriptions)
    _client_encryption(arguments, around)
    try:
        return asyncio.run(_run(arguments, around, make, ready, work))
    finally:
        if pcap is not None:
            pcap.close()


async def _run(
    arguments: argparse.Namespace,
    around: Around,
    make: Callable[[Around], E],
    ready: Callable[[E], Ready],
    work: Callable[[E], Awaitable[None]] | None,
) -> int:
    clock = around.clock or RealClock()
    stop = asyncio.Event()
    wanted = (lambda entry: entry.kind in QUIET) if arguments.quiet else None
    sink = JsonSink(sys.stdout) if arguments.json else TextSink(sys.stdout, bodies=arguments.verbose, wanted=wanted)
    log = around.log = Log(clock, _while_read(sink, stop))
    async with _until_signal(stop), make(around) as emulator:
        headline, facts = ready(emulator)
        if arguments.json:
            log.say("ready", headline, url=emulator.url(), addresses=facts)
        elif work is None:
            _tell(stop, headline, facts)
        async with contextlib.AsyncExitStack() as stack:
            waits: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait())]
            if arguments.control is not None:
                control = await stack.enter_async_context(ControlPort(emulator, port=arguments.control))
                waits.append(asyncio.create_task(control.stopped.wait()))
                if not arguments.json:
                    _tell(stop, "", {"control": control.url})
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
    return ExitCode.OK


def _while_read(sink: Sink, stop: asyncio.Event) -> Sink:
    """Prints as long as somebody reads; when the reader of a pipe has gone, the emulator ends in order."""

    def take(entry: Entry) -> None:
        try:
            sink(entry)
        except BrokenPipeError:
            abandon_stdout()
            stop.set()

    return take


def _tell(stop: asyncio.Event, headline: str, facts: Mapping[str, str]) -> None:
    """What clients need to know. Names in it may come out of a capture."""
    width = max(map(len, facts))
    lines = [headline] if headline else []
    lines += [f"  {name:{width}}  {value}" for name, value in facts.items()]
    try:
        for line in lines:
            print(printable(line), flush=True)
    except BrokenPipeError:
        abandon_stdout()
        stop.set()


@contextlib.asynccontextmanager
async def _until_signal(stop: asyncio.Event) -> AsyncIterator[None]:
    """Ctrl-C and SIGTERM end the emulator in order: Bye and SubscriptionEnd are said. A second one ends it at once."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


# -- options -----------------------------------------------------------------------------------------------------


def _device(arguments: argparse.Namespace) -> Device:
    capture = getattr(arguments, "capture", None)
    if capture:
        return device_from_capture(capture, address=arguments.host)
    return load_device(arguments.device)


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
    if len(given) == 1 and given[0].isdecimal() and not Path(given[0]).exists():
        number = int(given[0])
        if number > 1000:
            raise UsageError(f"--pages {number}: at most 1000 test pages")
        return number
    return given


def _behaviour(arguments: argparse.Namespace) -> Behaviour:
    if arguments.seed is None and (arguments.behaviour or arguments.do):
        # A run with chances must be had again: the seed is chosen here, so that it can be told.
        seed = secrets.randbelow(1 << 32)
        behaviour = load_behaviour(arguments.behaviour, None) if arguments.behaviour else Behaviour(seed=seed)
        if not arguments.behaviour and any("probability" in text for text in arguments.do):
            print(f"dsmreplay: chances by --seed {seed}", file=sys.stderr)
    else:
        seed = arguments.seed
        behaviour = load_behaviour(arguments.behaviour, seed) if arguments.behaviour else Behaviour(seed=seed)
    for text in arguments.do:
        behaviour.add(parse_rule(text))
    return behaviour


def _server_encryption(arguments: argparse.Namespace, around: Around) -> tuple[Identity, Encryption]:
    """A certificate of its own (made at first start), and what its peers must show."""
    folder = Path(arguments.certificates) if arguments.certificates else Path.home() / ".local/share/dsmshark"
    names = list(dict.fromkeys([*([around.name] if around.name else []), "localhost", "127.0.0.1", "::1",
                                *(host for host, _ in around.listen if host not in ("0.0.0.0", "::"))]))  # fmt: skip
    try:
        identity = own_certificate(folder, names, datetime.now(UTC))
    except OSError as error:
        raise UsageError(f"the certificate cannot be kept in {folder}: {error.strerror or error}") from error
    keylog = _keylog(arguments)
    authorities = getattr(arguments, "authorities", None)
    context = server_context(
        identity, client_certificates=getattr(arguments, "client_certificates", "none"),
        authorities=Path(authorities) if authorities else None, keylog=keylog,
    )  # fmt: skip
    before = around.encryption or Encryption()
    return identity, Encryption(context, before.client, before.pinned, keylog)


def _client_encryption(arguments: argparse.Namespace, around: Around) -> None:
    """How peers are trusted when this device connects to them over https."""
    trust = getattr(arguments, "trust", None)
    if trust is None:
        trust = "none"
    keylog = _keylog(arguments)
    shown = getattr(arguments, "client_certificate", None)
    identity = load_identity(Path(shown[0]), Path(shown[1])) if shown else None
    around.encryption = Encryption(
        None, lambda: client_context(trust_of(trust), identity, keylog),
        trust.removeprefix("sha256:") if trust.startswith("sha256:") else None, keylog,
    )  # fmt: skip


def limits_of(texts: list[str]) -> dict[str, int]:
    """The options --limit, by name."""
    found = {}
    for name, text in map(_named("--limit", "NAME=NUMBER"), texts):
        if name not in LIMITS or not text.isdecimal() or not 0 < int(text) < 1 << 60:
            raise UsageError(f"--limit {name}={text}: a number is expected, for one of {', '.join(LIMITS)}")
        found[name] = int(text)
    return found


def trust_of(text: str) -> str | Path:
    """The option --trust → what :func:`client_context` takes."""
    if text in ("system", "none"):
        return text
    return text.removeprefix("sha256:") if text.startswith("sha256:") else Path(text)


def _keylog(arguments: argparse.Namespace) -> Path | None:
    """The key log goes beside the capture, and from there into it."""
    return Path(arguments.pcap + ".keys") if arguments.pcap else None


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror or error}") from error


def _mail_server(arguments: argparse.Namespace) -> MailServer | None:
    """The mail server; who logs in there is said in the environment, where others do not see it."""
    if not arguments.smtp:
        return None
    host, port = _host_port(arguments.smtp, "--smtp")
    user, password = (os.environ.get(name, "") for name in MAIL_LOGIN)
    if user and arguments.smtp_tls == "none" and not is_loopback(host):
        raise UsageError(f"{MAIL_LOGIN[0]} is set, and {host} would get the password unencrypted: add --smtp-tls")
    trust = trust_of(arguments.trust)
    if arguments.smtp_tls != "none" and arguments.trust.startswith("sha256:"):
        raise UsageError("--smtp-tls needs --trust system, none or a PEM file")
    return MailServer(
        host, port, arguments.smtp_tls, (user, password) if user else None, lambda: client_context(trust)
    )  # fmt: skip


def _folder(path: str) -> Path:
    """A folder of the user's, made where it is missing."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--share {path}: {error.strerror or error}; expected a folder") from error
    return folder


def _named(option: str, form: str) -> Callable[[str], tuple[str, str]]:
    def split(text: str) -> tuple[str, str]:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise UsageError(f"{option} {text!r}: {form} is expected")
        return name, value

    return split


def _host_port(text: str, option: str) -> tuple[str, int]:
    host, mark, port = text.rpartition(":")
    if not mark or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text!r}: HOST:PORT is expected")
    return host.strip("[]"), int(port)


def _told(state: str | None, reasons: list[str], images: int, failure: str) -> str:
    if state is None:
        return f"the job has no known end: {failure or 'it was left'}"
    told = f"job ended {state}: {', '.join(reasons)}; {count(images, 'image')} sent"
    return f"{told}; {failure}" if failure else told
