"""What ``dsmreplay packets`` does: from the options to a plan, from the plan to packets on the wire and lines on the
terminal."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import dissector
from dissector.base.errors import ExitCode, UnreadableInput, UnwritableOutput, UsageError
from dissector.capture.linktypes import link_name
from dissector.capture.writer import PcapngWriter
from dissector.output.text import printable
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import JsonSink, Log
from replay.cli.asking import ask
from replay.cli.ending import run_until_broken_off
from replay.cli.outputs import Output, not_an_input
from replay.net.raw import RawSender, mtu_of
from replay.net.tap import LINKTYPE_RAW
from replay.packets import (
    Chosen,
    Identities,
    LeftOut,
    Planned,
    Recorded,
    Route,
    choose,
    packets_of,
    plan,
    play,
    route_of,
)

__all__ = ["resend"]

_NS = 1_000_000_000


def resend(arguments: argparse.Namespace, clock: Clock | None = None) -> int:
    """Run ``dsmreplay packets``."""
    clock = clock or RealClock()
    route = route_of(arguments.interface, source=arguments.source, target=arguments.target, port=arguments.port)
    mtu = mtu_of(route.interface)
    chosen = _chosen(arguments)
    made: list[Identities] = []

    def identities(taken: Sequence[Recorded]) -> Identities:
        made.append(Identities(taken, Ids(), clock.time_ns() // _NS))
        return made[0]

    planned = plan(
        chosen.datagrams,
        route,
        identities=None if arguments.keep_ids else identities,
        speed=None if arguments.fast else arguments.speed,
        rewrite_xaddrs=arguments.rewrite_xaddrs,
    )
    notes = [*_left_out(planned.left_out), *(note for one in made for note in one.notes)]
    if chosen.over_tcp:
        tcp = chosen.over_tcp.total()
        notes.append(f"{tcp} message{'s' * (tcp != 1)} over TCP left out: see dsmreplay extract and dsmreplay run")
    if chosen.more:
        notes.append(f"only the first {len(chosen.datagrams)} datagrams are taken; choose others with --only")
    if not planned.sent:
        raise UsageError(f"nothing to send: {'; '.join(notes)}")
    for note in notes:
        _note(note)
    if not arguments.dry_run:
        _consent(route, arguments)
    show = _Show(arguments, route, clock)
    with _pcap(arguments, route) as tap, _sender(arguments, route) as sender:
        mill = _Mill(mtu, arguments.capture, tap, sender)
        if arguments.dry_run:
            begin = clock.time_ns()
            for one in planned.sent:
                show.datagram(one, one.due, mill.make(one, begin + round(one.due * _NS)))
            show.summary(planned.left_out, chosen)
            return show.output.code(ExitCode.OK)

        def send(one: Planned, at: float) -> None:
            show.datagram(one, at, mill.make(one, clock.time_ns()))

        ended = "failed"
        try:
            run_until_broken_off(play(planned.sent, send, clock))
            ended = ""
        except KeyboardInterrupt:
            ended = "interrupted"
        finally:
            show.summary(planned.left_out, chosen, ended)
    return show.output.code(ExitCode.INTERRUPTED if ended else ExitCode.OK)


def _chosen(arguments: argparse.Namespace) -> Chosen:
    only = [name for names in arguments.only for name in names.split(",") if name.strip()]
    with dissector.open(arguments.capture, digest=False) as capture:
        try:
            return choose(capture.all_soap, only=only, count=arguments.count)
        except UsageError:
            stats = capture.stats
            if stats.unknown_link and stats.unknown_link == stats.frames:
                names = " and ".join(f"{link} ({link_name(link)})" for link in sorted(stats.link_types))
                raise UnreadableInput(
                    f"{arguments.capture}: all {stats.frames} packets have link type {names}, which is not read"
                ) from None
            raise


# -- agreeing --------------------------------------------------------------------------------------------------------


def _consent(route: Route, arguments: argparse.Namespace) -> None:
    """Ask a person for what needs it.

    Raises:
        UsageError: it was not given, or nobody can be asked.
    """
    asked = route.consents()
    if not asked or arguments.yes:
        return
    what = "; ".join(asked)
    ask(what, f"{what}: agree to it with --yes", taken=arguments.capture == "-")


# -- packets ---------------------------------------------------------------------------------------------------------


class _Mill:
    """Makes the packets of each datagram, sends them and writes them down."""

    def __init__(self, mtu: int, capture: str, tap: PcapngWriter | None, sender: RawSender | None) -> None:
        self._mtu = mtu
        self._capture = "standard input" if capture == "-" else Path(capture).name
        self._tap = tap
        self._sender = sender
        self._identification = int.from_bytes(os.urandom(4), "big")

    def make(self, one: Planned, time_ns: int) -> int:
        """Gives the number of packets."""
        self._identification += 1
        packets = packets_of(one, mtu=self._mtu, identification=self._identification)
        if self._sender is not None:
            self._sender.send(packets)
        if self._tap is not None:
            comment = f"{one.recorded.name} of frame {one.recorded.frame} in {self._capture}"
            for packet in packets:
                self._tap.write_packet(time_ns, bytes(packet), comment=comment)
        return len(packets)


@contextlib.contextmanager
def _sender(arguments: argparse.Namespace, route: Route) -> Iterator[RawSender | None]:
    if arguments.dry_run:
        yield None
        return
    with RawSender(route.interface) as sender:
        yield sender


@contextlib.contextmanager
def _pcap(arguments: argparse.Namespace, route: Route) -> Iterator[PcapngWriter | None]:
    path = arguments.pcap
    if not path:
        yield None
        return
    not_an_input("--pcap", path, [arguments.capture])
    try:
        file = open(path, "wb")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise UnwritableOutput(f"{path}: {error.strerror or error}") from error
    with file:
        tap = PcapngWriter(file, application=f"dsmreplay {dissector.__version__}")
        tap.add_interface(LINKTYPE_RAW, name=route.interface)
        yield tap


# -- telling ---------------------------------------------------------------------------------------------------------


class _Show:
    """Lines for people, or JSON for programs."""

    def __init__(self, arguments: argparse.Namespace, route: Route, clock: Clock) -> None:
        self._dry = arguments.dry_run
        self._interface = route.interface
        self._names: Counter[str] = Counter()
        self._seconds = 0.0
        self.output = Output()
        """Who reads along may go (``| head``): what is sent does not depend on it."""
        self._log = Log(clock, self.output.heard(JsonSink(sys.stdout))) if arguments.json else None

    def datagram(self, one: Planned, at: float, packets: int) -> None:
        """One datagram was sent, or would be, so many seconds after the first."""
        name, size = one.recorded.name, len(one.payload)
        self._names[name] += 1
        self._seconds = at
        text = f"{name:14} {one.source} → {one.destination}  {size} bytes"
        if packets > 1:
            text += f" in {packets} fragments"
        if self._log is None:
            self.output.say(printable(f"{at:12.6f}  {text}"))
            return
        self._log.say(
            "planned" if self._dry else "sent", text, seconds=round(at, 6), frame=one.recorded.frame, name=name,
            source=str(one.source), destination=str(one.destination), hops=one.hops, bytes=size, packets=packets,
        )  # fmt: skip

    def summary(self, left_out: Sequence[LeftOut], chosen: Chosen, ended: str = "") -> None:
        """How it went; ``ended``: a word where it ended early."""
        total = self._names.total()
        done = "would be sent" if self._dry else "sent"
        text = f"{total} datagram{'s' * (total != 1)} {done} on {self._interface} in {self._seconds:.3f} s"
        if self._names:
            text += f": {_counted(self._names)}"
        if ended:
            text += f"; {ended}"
        if self._log is None:
            self.output.say(printable(text))
            return
        self._log.say(
            "summary", text, datagrams=total, names=dict(self._names), seconds=round(self._seconds, 6),
            left_out=[{"frame": one.recorded.frame, "name": one.recorded.name, "why": one.why} for one in left_out],
            over_tcp=dict(chosen.over_tcp), ended=ended or "done",
        )  # fmt: skip


def _left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """A sentence for each reason."""
    whys: dict[str, Counter[str]] = {}
    for one in left_out:
        whys.setdefault(one.why, Counter())[one.recorded.name] += 1
    return [f"{_counted(names)} left out: {why}" for why, names in whys.items()]


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in names.most_common())


def _note(text: str) -> None:
    print(f"dsmreplay: {printable(text)}", file=sys.stderr)
