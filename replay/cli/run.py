"""``dsmreplay run``: a scenario is played against a peer, and what differs is said."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from dissector.base.errors import ExitCode, UnreadableInput
from dissector.output.text import printable
from replay.base.log import TextSink
from replay.cli.playing import ask_leave, bench, options_of, player_of
from replay.net.client import Target
from replay.player.judge import ValueRule
from replay.player.play import Options, played_of, targets_of
from replay.player.result import Result, StepResult
from replay.scenario.files import Folder, load_scenario
from replay.scenario.model import Scenario

__all__ = ["run_scenario"]

MARKS = {
    "same": "ok",
    "different": "DIFF",
    "failed": "FAIL",
    "missing": "MISS",
    "unexpected": "MORE",
    "doubled": "TWICE",
    "late": "LATE",
    "skipped": "--",
}


def run_scenario(arguments: argparse.Namespace) -> int:
    """Play one scenario."""
    scenario, folder = load_scenario(arguments.scenario, ValueRule)
    options, main = options_of(arguments, scenario)
    played = played_of(scenario, arguments.plays)
    targets = targets_of(scenario, played, main, options.targets)
    if arguments.dry_run:
        return _dry(scenario, played, targets)
    ask_leave(list(targets.values()), yes=arguments.yes)
    result = asyncio.run(_play(arguments, scenario, folder, options, main))
    if arguments.junit:
        _junit(result, Path(arguments.junit))
    if arguments.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print(printable(result.headline))
    if result.unreachable:
        return ExitCode.UNREACHABLE
    return ExitCode.OK if result.same else ExitCode.FINDINGS


async def _play(
    arguments: argparse.Namespace, scenario: Scenario, folder: Folder, options: Options, target: str
) -> Result:
    async with bench(arguments) as on:
        if not arguments.json and not arguments.verbose:
            on.log.add(TextSink(sys.stderr, wanted=lambda entry: entry.kind in ("listening", "note", "warning")))
        progress = _show if not arguments.json else lambda result: None
        return await player_of(scenario, folder, options, target, on, progress).run()


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


def _dry(scenario: Scenario, played: frozenset[str], targets: Mapping[str, Target]) -> int:
    """What would be sent where."""
    roles = " and ".join(scenario.parties[name].role for name in sorted(played))
    told = ", ".join(f"{scenario.parties[name].role} {target}" for name, target in targets.items())
    print(printable(f"{roles} against {told or 'nobody'}; nothing is sent"))
    for step in scenario.steps:
        sends, gets = step.sender in played, step.receiver in played
        if sends == gets:
            continue
        target = targets.get(step.receiver)
        where = f" to {target.host}" if sends and target is not None else f" from the {step.sender}" if gets else ""
        print(
            printable(f"{step.number:3}  {'send ' if sends else 'await'}  {step.name}{where}  (at {step.time:.3f} s)")
        )
    return ExitCode.OK


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
