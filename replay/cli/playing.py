"""What the commands that play a scenario have in common: the scenario, its target, permission, TLS, the capture."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dissector import __version__
from dissector.base.errors import UnwritableOutput, UsageError
from dissector.output.text import printable
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import Log, TextSink
from replay.cli.addresses import endpoints_of
from replay.cli.asking import ask
from replay.cli.outputs import capture_file, key_log_of
from replay.cli.trust import checked_trust, trust_of
from replay.net.certificates import load_identity, own_certificate
from replay.net.client import HttpClient, Target, target_of
from replay.net.tap import PacketTap
from replay.net.target import is_loopback
from replay.net.tls import client_context, server_context
from replay.player.options import Options
from replay.player.play import Player
from replay.player.result import Result
from replay.player.step import StepResult, describe_step
from replay.player.targets import played_of, targets_of
from replay.scenario.files import Folder
from replay.scenario.model import Scenario, Step

__all__ = [
    "Bench", "Keyboard", "ask_leave", "bench", "check_playing", "listen_of", "options_of", "own_context", "play_once",
    "player_of", "targets_named", "values_given",
]  # fmt: skip


@dataclass(slots=True)
class Bench:
    """What a run stands on."""

    clock: Clock
    log: Log
    ids: Ids
    client: HttpClient
    tap: PacketTap | None


@contextlib.asynccontextmanager
async def bench(arguments: argparse.Namespace) -> AsyncIterator[Bench]:
    """Clock, log, client and capture, as the command line has them.

    Raises:
        UsageError, UnreadableInput, UnwritableOutput: an option is wrong, or a file of it cannot be used.
    """
    clock = RealClock()
    log = Log(clock)
    if arguments.verbose:
        log.add(TextSink(sys.stderr, bodies=True))
    keylog = key_log_of(arguments.pcap)
    shown = arguments.client_certificate
    identity = load_identity(Path(shown[0]), Path(shown[1])) if shown else None
    trust = checked_trust(trust_of(arguments.trust))
    pinned = str(trust) if arguments.trust.startswith("sha256:") else None
    with contextlib.ExitStack() as stack:
        tap = None
        if arguments.pcap:
            file = stack.enter_context(capture_file(arguments.pcap))
            tap = PacketTap(file, application=f"dsmreplay {__version__}", clock=clock, keylog=keylog)
            stack.callback(tap.close)
        client = HttpClient(
            clock=clock, tls=lambda: client_context(trust, identity, keylog), pinned=pinned, tap=tap,
            timeout=arguments.timeout, proxy=target_of(arguments.proxy) if arguments.proxy else None,
        )  # fmt: skip
        yield Bench(clock, log, Ids(arguments.seed), client, tap)


def player_of(
    scenario: Scenario, folder: Folder, options: Options, target: str, on: Bench, progress: Callable[[StepResult], None]
) -> Player:
    """A player on a bench."""
    return Player(
        scenario, folder, target, options=options, clock=on.clock, log=on.log, ids=on.ids, client=on.client,
        tap=on.tap, progress=progress,
    )  # fmt: skip


async def play_once(
    scenario: Scenario,
    folder: Folder,
    options: Options,
    target: str,
    on: Bench,
    progress: Callable[[StepResult], None] = lambda one: None,
    *,
    keep: bool = False,
) -> Result:
    """Play a scenario once; the result and each of its steps say when and between whom.

    ``keep``: an interrupt (the cancelling of this task) gives what was known by then and is no error.
    """
    began, begun = on.clock.time_ns(), on.clock.monotonic()

    def over(one: StepResult) -> None:
        one.at = on.clock.monotonic() - begun
        describe_step(one, scenario)
        progress(one)

    player = player_of(scenario, folder, options, target, on, over)
    result = player.result
    try:
        await player.run()
    except asyncio.CancelledError:
        if not keep:
            raise
        result.interrupted = True
    result.began, result.seconds = began, on.clock.monotonic() - begun
    result.describe(scenario, sorted(played_of(scenario, options.plays)))
    return result


def check_playing(arguments: argparse.Namespace) -> None:
    """Look at the options that hold for all scenarios: what is wrong with them is no fault of each.

    Raises:
        UsageError, UnreadableInput: one is wrong, or a file of it cannot be used.
    """
    for given in (arguments.certificate, arguments.client_certificate):
        if given:
            load_identity(Path(given[0]), Path(given[1]))
    checked_trust(trust_of(arguments.trust))
    if arguments.proxy:
        target_of(arguments.proxy)
    if arguments.listen:
        endpoints_of([arguments.listen])


def options_of(arguments: argparse.Namespace, scenario: Scenario) -> tuple[Options, str]:
    """How a scenario is played, and the main target.

    Raises:
        UsageError: an option is wrong.
    """
    main, others = targets_named(arguments.target)
    played = played_of(scenario, arguments.plays)
    targets = targets_of(scenario, played, main, others)
    listen = listen_of(arguments.listen, list(targets.values()))
    options = Options(
        plays=arguments.plays, speed=arguments.speed, keep_going=arguments.keep_going, slack=arguments.slack,
        wait=arguments.wait, given=values_given(arguments.set), targets=others,
        listen=listen, context=own_context(arguments, scenario, played, [listen[0]]),
        connections=arguments.connections, normalise=arguments.normalise, first=arguments.from_step,
        only=_chosen(arguments.only, scenario), gate=Keyboard() if arguments.step_by_step else None,
        others=arguments.yes, max_time=arguments.max_time,
    )  # fmt: skip
    return options, main


def targets_named(texts: Sequence[str]) -> tuple[str, dict[str, str]]:
    """``URL`` and ``NAME=URL`` texts → the main target ("" for none), and those of named parties."""
    main = ""
    others: dict[str, str] = {}
    for text in texts:
        name, mark, url = text.partition("=")
        if mark and name.isidentifier():
            if name in others:
                raise UsageError(f"--target {name}: it is given twice, with {others[name]} and {url}")
            others[name] = url
        elif main:
            raise UsageError(f"--target {text}: a second one needs the name of its party: --target NAME={text}")
        else:
            main = text
    return main, others


def listen_of(text: str, targets: Sequence[Target]) -> tuple[str, int]:
    """The address to listen on: as given, else the one of this machine from which the target is reached.

    A peer on another machine has to be told an address that it can reach; loopback is none.
    """
    if text:
        return endpoints_of([text])[0]
    for target in targets:
        with contextlib.suppress(OSError):
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
            for family, kind, protocol, _, address in found:
                # Connecting a datagram socket sends nothing: it only asks for the route.
                with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
                    probe.connect(address)
                    return str(probe.getsockname()[0]), 0
    return "127.0.0.1", 0


def own_context(
    arguments: argparse.Namespace, scenario: Scenario, played: frozenset[str], hosts: Sequence[str] = ()
) -> ssl.SSLContext | None:
    """TLS for what the played parties listen on, where they did so in the recording, or ``--certificate`` says so.

    ``hosts`` are names and addresses that a certificate of its own is made for, besides loopback.
    """
    recorded = any(base.startswith("https:") for name in played for base in scenario.parties[name].bases)
    keylog = key_log_of(arguments.pcap)
    if arguments.certificate:
        return server_context(
            load_identity(Path(arguments.certificate[0]), Path(arguments.certificate[1])), keylog=keylog
        )
    if not recorded:
        return None
    folder = Path.home() / ".local/share/dsmshark"
    try:
        names = ["localhost", "127.0.0.1", "::1", *(one for one in hosts if one not in ("0.0.0.0", "::"))]
        identity = own_certificate(folder, list(dict.fromkeys(names)), datetime.now(UTC))
    except OSError as error:
        raise UnwritableOutput(f"the certificate cannot be kept in {folder}: {error.strerror or error}") from error
    return server_context(identity, keylog=keylog)


def ask_leave(targets: Sequence[Target], *, yes: bool) -> None:
    """Only loopback is sent to without a word; for anything else somebody has to say yes.

    Raises:
        UsageError: nobody did.
    """
    for target in targets:
        if not yes and not is_loopback(target.host):
            words = f"{target} is another machine: --yes says that it may be sent to"
            ask(f"the scenario will be sent to {target}", words)


class Keyboard:
    """Asks before a step: Enter sends it, s leaves it out, q ends the run, v shows the request first."""

    def __init__(self) -> None:
        self._typed = b""
        self._over = False
        self._asking = asyncio.Lock()
        """Steps that were under way at once are asked for one after the other: one keyboard has one line."""

    async def __call__(self, step: Step, pieces: Sequence[bytes]) -> str:
        """What is said to a step: ``go``, ``skip`` or ``stop``."""
        async with self._asking:
            said = "stop" if self._over else await self._ask(step, pieces)
            self._over = said == "stop"
            return said

    async def _ask(self, step: Step, pieces: Sequence[bytes]) -> str:
        while True:
            _show(f"{step.number:3}  next: {step.name} to {step.receiver}  [Enter, s skip, v view, q quit] ", end="")
            line = await self._line()
            word = line.strip().lower()[:1].decode("ascii", "replace")
            if word == "v":
                for one in b"".join(pieces)[:4096].decode("utf-8", "replace").splitlines():
                    _show(f"     | {one}")
            elif word in ("", "s", "q"):
                if not line.endswith(b"\n"):
                    _show("")
                # The end of the input is no Enter: nobody is there to say yes.
                return {"": "go" if line else "stop", "s": "skip", "q": "stop"}[word]

    async def _line(self) -> bytes:
        """The next line; "" at the end of the input.

        No thread waits in a read: the program could not end before somebody presses Enter, Ctrl-C or not.
        """
        if sys.stdin is None:
            return b""
        descriptor = sys.stdin.fileno()
        while b"\n" not in self._typed:
            await _readable(descriptor)
            try:
                came = os.read(descriptor, 4096)
            except OSError:
                # The terminal is gone.
                break
            if not came:
                break
            self._typed += came
        line, mark, self._typed = self._typed.partition(b"\n")
        return line + mark


def _show(text: str, end: str = "\n") -> None:
    """To who sits there; standard output may be a file that is to hold JSON."""
    print(printable(text), end=end, file=sys.stderr, flush=True)


async def _readable(descriptor: int) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:
        # A file, which is always ready.
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def values_given(texts: Sequence[str]) -> dict[str, str]:
    """The values of ``--set NAME=VALUE``, by name.

    Raises:
        UsageError: one has another form, or is given twice: only one could hold.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise UsageError(f"--set {text!r}: NAME=VALUE is expected")
        if name in found:
            raise UsageError(f"--set {name}: it is given twice, with {found[name]} and {value}")
        found[name] = value
    return found


def _chosen(text: str, scenario: Scenario) -> frozenset[int]:
    """``3,4`` and ``3-7``; ``events`` for all of them."""
    if text == "events":
        events = frozenset(step.number for step in scenario.steps if step.event)
        if not events:
            # Empty would be all.
            raise UsageError(f"--only events: {scenario.name} has none")
        return events
    found: set[int] = set()
    for piece in text.split(",") if text else ():
        low, mark, high = (one.strip() for one in piece.partition("-"))
        wrong = not low.isdecimal() or (mark and not high.isdecimal()) or len(low + high) > 12
        if wrong or (mark and int(high) < int(low)):
            raise UsageError(f"--only {text!r}: numbers of steps are expected, such as 3,4,7-9, or “events”")
        found |= set(range(int(low), min(int(high), int(low) + 100_000) + 1)) if mark else {int(low)}
    return frozenset(found)
