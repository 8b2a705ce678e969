"""``dsmreplay run``: a scenario is played against a peer, and what differs is said."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from ipaddress import ip_address
from pathlib import Path
from xml.etree import ElementTree

from dissector import __version__
from dissector.base.errors import ExitCode, UnreadableInput, UsageError
from dissector.output.text import printable
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log, TextSink
from replay.cli.addresses import endpoints_of
from replay.net.certificates import load_identity
from replay.net.client import HttpClient, Target, target_of
from replay.net.tap import PacketTap
from replay.net.tls import client_context
from replay.player.play import Options, Player
from replay.player.result import Result, StepResult
from replay.scenario.files import Folder, load_scenario
from replay.scenario.model import Scenario

__all__ = ["run_scenario"]

MARKS = {"same": "ok", "different": "DIFF", "failed": "FAIL", "missing": "MISS", "unexpected": "MORE", "skipped": "--"}


def run_scenario(arguments: argparse.Namespace) -> int:
    """Play one scenario."""
    scenario, folder = load_scenario(arguments.scenario)
    plays = arguments.plays or scenario.plays
    if plays not in scenario.parties:
        raise UsageError(f"--as {plays}: the parties are {', '.join(scenario.parties)}")
    target = target_of(arguments.target)
    if arguments.dry_run:
        return _dry(scenario, plays, target)
    _ask_leave(target, yes=arguments.yes)
    given = dict(_pair(text) for text in arguments.set)
    options = Options(
        plays=plays, speed=arguments.speed, keep_going=arguments.keep_going, slack=arguments.slack, given=given,
        listen=endpoints_of([arguments.listen])[0], first=arguments.from_step, only=_numbers(arguments.only),
    )  # fmt: skip
    result = asyncio.run(_play(arguments, scenario, folder, options))
    if arguments.junit:
        _junit(result, Path(arguments.junit))
    if arguments.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print(printable(result.headline))
    if result.unreachable:
        return ExitCode.UNREACHABLE
    return ExitCode.OK if result.same else ExitCode.FINDINGS


async def _play(arguments: argparse.Namespace, scenario: Scenario, folder: Folder, options: Options) -> Result:
    clock = RealClock()
    log = Log(clock)
    if arguments.verbose:
        log.add(TextSink(sys.stderr, bodies=True))
    keylog = Path(arguments.pcap + ".keys") if arguments.pcap else None
    shown = arguments.client_certificate
    identity = load_identity(Path(shown[0]), Path(shown[1])) if shown else None
    trust: str | Path = arguments.trust
    if arguments.trust not in ("system", "none"):
        trust = (
            arguments.trust.removeprefix("sha256:") if arguments.trust.startswith("sha256:") else Path(arguments.trust)
        )
    with contextlib.ExitStack() as stack:
        tap = None
        if arguments.pcap:
            try:
                file = stack.enter_context(open(arguments.pcap, "wb"))
            except OSError as error:
                raise UnreadableInput(f"{arguments.pcap}: {error.strerror or error}") from error
            tap = PacketTap(file, application=f"dsmreplay {__version__}", clock=clock, keylog=keylog)
            stack.callback(tap.close)
        pinned = arguments.trust.removeprefix("sha256:") if arguments.trust.startswith("sha256:") else None
        client = HttpClient(clock=clock, tls=lambda: client_context(trust, identity, keylog), pinned=pinned, tap=tap)
        player = Player(
            scenario, folder, arguments.target, options=options, clock=clock, log=log, ids=Ids(arguments.seed),
            client=client, tap=tap, progress=(lambda result: None) if arguments.json else _show,
        )  # fmt: skip
        return await player.run()


def _show(result: StepResult) -> None:
    number = f"{result.number:3}" if result.number else "  -"
    print(
        f"{number}  {MARKS[result.outcome]:4}  {printable(result.name)}  ({result.seconds * 1000:.0f} ms)", flush=True
    )
    if result.text and not result.differences:
        print(f"           {printable(result.text)}")
    for one in result.differences:
        where = f"{one.path}: " if one.path else ""
        print(printable(f"           {where}{one.text}"))
    if result.differences and result.origin:
        print(printable(f"           recorded: {result.origin}"))


def _dry(scenario: Scenario, plays: str, target: Target) -> int:
    """What would be sent where."""
    print(f"{scenario.parties[plays].role} against {target}; nothing is sent")
    for step in scenario.steps:
        if step.sender == plays:
            print(printable(f"{step.number:3}  send   {step.name}  (recorded at {step.time:.3f} s)"))
        else:
            print(printable(f"{step.number:3}  await  {step.name}  (recorded at {step.time:.3f} s)"))
    return ExitCode.OK


def _ask_leave(target: Target, *, yes: bool) -> None:
    """Only loopback is sent to without a word; for anything else somebody has to say yes."""
    try:
        loopback = ip_address(target.host).is_loopback
    except ValueError:
        loopback = target.host.lower() == "localhost"
    if loopback or yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{target} is another machine: --yes says that it may be sent to")
    answer = input(f"The scenario will be sent to {target}. Go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent")


def _junit(result: Result, path: Path) -> None:
    """JUnit XML: one test case for each step."""
    bad = [one for one in result.steps if one.outcome not in ("same", "skipped")]
    suite = ElementTree.Element(
        "testsuite", name=result.name, tests=str(len(result.steps)), failures=str(len(bad)),
        errors=str(int(bool(result.unreachable))), skipped=str(sum(one.outcome == "skipped" for one in result.steps)),
    )  # fmt: skip
    for one in result.steps:
        case = ElementTree.SubElement(
            suite, "testcase", classname=result.name, name=f"{one.number} {one.name}", time=f"{one.seconds:.3f}"
        )
        if one.outcome == "skipped":
            ElementTree.SubElement(case, "skipped", message=printable(one.text))
        elif one.outcome != "same":
            failure = ElementTree.SubElement(case, "failure", type=one.outcome, message=printable(one.text))
            failure.text = "\n".join(printable(f"{two.path}: {two.text}") for two in one.differences)
    if result.unreachable:
        case = ElementTree.SubElement(suite, "testcase", classname=result.name, name="target")
        ElementTree.SubElement(case, "error", message=printable(result.unreachable))
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror or error}") from error


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise UsageError(f"--set {text!r}: NAME=VALUE is expected")
    return name, value


def _numbers(text: str) -> frozenset[int]:
    if not text:
        return frozenset()
    pieces = text.split(",")
    if not all(one.strip().isdecimal() for one in pieces):
        raise UsageError(f"--only {text!r}: numbers of steps are expected, such as 3,4,5")
    return frozenset(int(one) for one in pieces)
