"""``dsmreplay run``: a scenario is played against a peer, and what differs is said."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from dissector.base.errors import ExitCode, UsageError
from dissector.output.jsontext import dumps
from dissector.output.text import printable
from replay.base.log import TextSink
from replay.cli.ending import run_until_broken_off
from replay.cli.outputs import Output, check_outputs, inputs_of
from replay.cli.playing import ask_leave, bench, options_of, play_once
from replay.net.client import Target
from replay.player.judge import ValueRule
from replay.player.options import Options
from replay.player.recorded import Recorded
from replay.player.result import Result
from replay.player.step import StepResult
from replay.player.targets import played_of, targets_of
from replay.report.html import run_page, write_page
from replay.report.junit import run_suite, write_junit
from replay.report.located import locate
from replay.report.text import step_lines, summary_lines
from replay.scenario.files import Folder, ill_formed, load_scenario
from replay.scenario.model import Scenario

__all__ = ["run_scenario"]


def run_scenario(arguments: argparse.Namespace) -> int:
    """Play one scenario."""
    scenario, folder = load_scenario(arguments.scenario, ValueRule)
    options, main = options_of(arguments, scenario)
    played = played_of(scenario, arguments.plays)
    targets = targets_of(scenario, played, main, options.targets)
    for text in ill_formed(scenario, folder, played):
        print(printable(f"dsmreplay: {text}"), file=sys.stderr)
    if arguments.dry_run and arguments.json:
        raise UsageError("--dry-run has no JSON: it shows what would be sent, for people")
    if arguments.dry_run:
        return _dry(scenario, folder, played, targets, options)
    outputs = {"--junit": arguments.junit, "--html": arguments.html, "--pcap": arguments.pcap}
    check_outputs(outputs, inputs_of(arguments))
    ask_leave(list(targets.values()), yes=arguments.yes)
    output = Output()
    result = run_until_broken_off(_play(arguments, scenario, folder, options, main, output))
    if arguments.pcap:
        # A large capture takes its time. Who has none gets the report without its frames.
        with contextlib.suppress(KeyboardInterrupt):
            locate(result, arguments.pcap)
    _report(result, arguments, output)
    return output.code(_code(result))


def _report(result: Result, arguments: argparse.Namespace, output: Output) -> None:
    """Say what it came to, in all forms that were asked for."""
    if arguments.json:
        output.say(dumps(result.to_json(), indent=2))
    else:
        told = any(not (arguments.quiet and one.fine) for one in result.steps)
        output.say(*summary_lines(result, apart=told))
    if arguments.junit:
        with output.writing():
            write_junit([run_suite(result)], Path(arguments.junit), name="dsmreplay")
    if arguments.html:
        with output.writing():
            write_page(run_page(result), Path(arguments.html))


def _code(result: Result) -> ExitCode:
    if result.unreachable:
        return ExitCode.UNREACHABLE
    if result.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.OK if result.same else ExitCode.FINDINGS


async def _play(
    arguments: argparse.Namespace, scenario: Scenario, folder: Folder, options: Options, target: str, output: Output
) -> Result:
    async with bench(arguments) as on:
        if not arguments.json and not arguments.verbose:
            wanted = ("listening", "note", "warning")
            on.log.add(TextSink(sys.stderr, wanted=lambda entry: entry.kind in wanted))

        def progress(one: StepResult) -> None:
            if not arguments.json and not (arguments.quiet and one.fine):
                output.say(*step_lines(one))

        result = await play_once(scenario, folder, options, target, on, progress, keep=True)
    output.captured(arguments.pcap, on.tap)
    return result


def _dry(
    scenario: Scenario, folder: Folder, played: frozenset[str], targets: Mapping[str, Target], options: Options
) -> int:
    """What would be sent where: of the first request to each party the whole address, since the target's path stands
    for the recorded one there. The others' may be handed out on the way."""
    recorded = Recorded(folder, {name: value.recorded for name, value in scenario.values.items()})
    begun: set[str] = set()
    steps = [one for one in scenario.steps if options.wants(one) and (one.sender in played) != (one.receiver in played)]
    if not steps:
        last = max((one.number for one in scenario.steps), default=0)
        told = f"{', '.join(sorted(played))} has nothing to do in these steps; there are 1 to {last}"
        raise UsageError(f"{scenario.name}: {told}")
    roles = " and ".join(scenario.parties[name].role for name in sorted(played))
    told = ", ".join(f"{scenario.parties[name].role} {target}" for name, target in targets.items())
    print(printable(f"{roles} against {told or 'nobody'}; nothing is sent"))
    for step in steps:
        sends, gets = step.sender in played, step.receiver in played
        target = targets.get(step.receiver)
        where = f" from the {step.sender}" if gets else ""
        if sends and target is not None:
            where = f" to {target.host}"
            if step.receiver not in begun:
                begun.add(step.receiver)
                path = target.path if target.path != "/" else recorded.path(step.message)
                where = f" to {target.scheme}://{target.authority}{path}"
        print(
            printable(f"{step.number:3}  {'send ' if sends else 'await'}  {step.name}{where}  (at {step.time:.3f} s)")
        )
    return ExitCode.OK
