"""What ``dsmreplay suite`` does: from the folder to its scenarios, from their results to summary and exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from dissector.base.errors import ExitCode, UnreadableInput, UnwritableOutput, UsageError
from dissector.output.jsontext import dumps
from dissector.output.text import printable
from replay.base.clock import RealClock
from replay.base.log import Entry
from replay.cli.ending import run_until_broken_off
from replay.cli.outputs import Output, check_outputs, inputs_of, why_not_writable
from replay.cli.parser import make_parser
from replay.cli.playing import (
    ask_leave,
    bench,
    check_playing,
    options_of,
    play_once,
    targets_named,
    values_given,
)
from replay.net.client import Target
from replay.player.result import Result
from replay.report.html import write_page
from replay.report.junit import write_junit
from replay.report.located import locate
from replay.report.suite_html import suite_page
from replay.report.suites import case_suites, run_line, suite_json, suite_lines
from replay.scenario.folder import MAIN as SCENARIO
from replay.suite.file import MAIN as SUITE
from replay.suite.file import load_suite_file
from replay.suite.find import chosen, find_scenarios, prepare
from replay.suite.last import NAME, Last, beside_of, changes, load_last, save_last
from replay.suite.model import Case, CaseResult, Run, Settings, SuiteResult
from replay.suite.runner import Suite

__all__ = ["run_suite"]

JOBS = 4
"""Scenarios at once, unless told otherwise."""


def run_suite(arguments: argparse.Namespace) -> int:
    """Play a suite."""
    folder = Path(arguments.folder)
    found = find_scenarios(folder)
    file = load_suite_file(folder, list(found))
    names = chosen(list(found), arguments.only)
    main, others = targets_named(arguments.target)
    values = values_given(arguments.set)

    def over(settings: Settings) -> Settings:
        """The targets of the command line hold where the file has none for the scenario itself."""
        given = replace(settings, target=main, targets=others) if main or others else settings
        return replace(given, given=given.given | values, shared=given.shared | set(values))

    settings = {name: _settings(arguments, file.settings(name, over)) for name in names}
    if arguments.tag:
        settings = {name: one for name, one in settings.items() if one.tags & set(arguments.tag)}
        if not settings:
            raise UsageError(f"--tag {', '.join(arguments.tag)}: no scenario has it")
    prepared = [prepare(name, found[name], one, listed=arguments.list) for name, one in settings.items()]
    cases = [case for case, _ in prepared]
    for name in values:
        loaded = [case.scenario for case in cases if case.scenario is not None]
        if loaded and not any(name in scenario.values for scenario in loaded):
            raise UsageError(f"--set {name}: no scenario has such a value")
    if arguments.list:
        return _list(prepared)
    check_playing(arguments)
    read = [*inputs_of(arguments), str(folder / SUITE), *(str(path / SCENARIO) for path in found.values())]
    memory = _memory(arguments, folder, read)
    ask_leave(list(dict.fromkeys(one for _, targets in prepared for one in targets.values())), yes=arguments.yes)
    captures = _captures(arguments)
    jobs = arguments.jobs or file.jobs or JOBS
    if arguments.listen.rpartition(":")[2] not in ("", "0"):
        # One port is there for one at a time.
        jobs = 1
    last = Last() if arguments.forget else load_last(memory or folder / NAME)
    if last.problem:
        print(printable(f"dsmreplay: {last.problem}; nothing is compared"), file=sys.stderr)
    several = arguments.until_failure or any(one.settings.repeat > 1 for one in cases)

    output = Output()

    async def play(case: Case, number: int) -> Result:
        return await _play(_own(arguments, case, captures, number), case, output)

    def progress(case: CaseResult, run: Run) -> None:
        if not arguments.json and _told(arguments, run.outcome):
            output.say(run_line(case, run, several))

    suite = Suite(
        file.name or folder.resolve().name, cases, play, clock=RealClock(), jobs=jobs,
        until_failure=arguments.until_failure, progress=progress,
    )  # fmt: skip
    result = run_until_broken_off(suite.run())
    _report(arguments, result, last, memory, output)
    return output.code(result.exit_code)


def _told(arguments: argparse.Namespace, outcome: str) -> bool:
    """Runs with this outcome have a line."""
    return not (arguments.quiet and outcome == "same")


def _settings(arguments: argparse.Namespace, settings: Settings) -> Settings:
    """What the command line says before the file."""
    settings.plays = arguments.plays or settings.plays
    settings.repeat = arguments.repeat or settings.repeat
    settings.slack = arguments.slack or settings.slack
    settings.wait = arguments.wait or settings.wait
    settings.max_time = arguments.max_time or settings.max_time
    return settings


def _own(arguments: argparse.Namespace, case: Case, captures: Path | None, number: int) -> argparse.Namespace:
    """The command line of one run, as ``dsmreplay run`` would have it."""
    settings = case.settings
    targets = [settings.target] if settings.target else []
    targets += [f"{name}={url}" for name, url in settings.targets.items()]
    pcap = "" if captures is None else str(captures / f"{case.name.replace('/', '-')}-{number}.pcapng")
    return argparse.Namespace(**(_usual() | vars(arguments) | {
        "target": targets, "plays": settings.plays, "set": [f"{one}={text}" for one, text in settings.given.items()],
        "speed": settings.speed, "slack": settings.slack, "wait": settings.wait, "max_time": settings.max_time,
        "pcap": pcap, "only": settings.steps, "keep_going": not arguments.first_difference,
    }))  # fmt: skip


@cache
def _usual() -> dict[str, Any]:
    """What each option of ``dsmreplay run`` is where it is not given."""
    return vars(make_parser().parse_args(["run", "."]))


async def _play(arguments: argparse.Namespace, case: Case, output: Output) -> Result:
    assert case.scenario is not None
    assert case.folder is not None
    options, main = options_of(arguments, case.scenario)

    def warn(entry: Entry) -> None:
        if entry.kind == "warning":
            print(printable(f"dsmreplay: {case.name}: {entry.text}"), file=sys.stderr)

    async with bench(arguments) as on:
        if not arguments.json and not arguments.verbose:
            on.log.add(warn)
        result = await play_once(case.scenario, case.folder, options, main, on)
    output.captured(arguments.pcap, on.tap)
    if arguments.pcap:
        locate(result, arguments.pcap)
    return result


def _captures(arguments: argparse.Namespace) -> Path | None:
    """The folder for the captures of the runs."""
    if not arguments.pcap:
        return None
    folder = Path(arguments.pcap)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnreadableInput(f"{folder}: {error.strerror or error}") from error
    return folder


def _memory(arguments: argparse.Namespace, folder: Path, read: list[str]) -> Path | None:
    """The file that remembers the result, None for none. All that is written at the end is looked at now, so that none
    of it can fail then or take the place of what is ``read``.

    Raises:
        UsageError, UnwritableOutput: an output is none.
    """
    given = None if arguments.forget else arguments.last
    check_outputs({"--junit": arguments.junit, "--html": arguments.html, "--last": given}, read)
    if arguments.forget:
        return None
    memory = Path(given) if given else folder / NAME
    if memory.exists() and not memory.is_file():
        raise UsageError(f"--last {memory}: no file; --forget remembers nothing")
    why = why_not_writable(memory) or why_not_writable(beside_of(memory))
    if why and given:
        raise UnwritableOutput(f"--last {memory}: {why}")
    if why:
        # Scenarios may lie where nobody writes, such as in the checkout of a build server.
        text = f"{folder / NAME}: {why}; this result is not remembered (--last FILE keeps it elsewhere)"
        print(printable(f"dsmreplay: {text}"), file=sys.stderr)
        return None
    return memory


def _list(prepared: Sequence[tuple[Case, Mapping[str, Target]]]) -> ExitCode:
    for case, targets in prepared:
        tags = f"  [{', '.join(sorted(case.settings.tags))}]" if case.settings.tags else ""
        where = ", ".join(f"{name} {target}" for name, target in targets.items())
        words = f"skipped: {case.settings.skip}" if case.settings.skip else str(case.problem or where)
        often = f"  {case.settings.repeat} times" if case.settings.repeat > 1 else ""
        print(printable(f"{case.name}{tags}{often}  {words}"))
    return ExitCode.OK


def _report(
    arguments: argparse.Namespace, result: SuiteResult, last: Last, memory: Path | None, output: Output
) -> None:
    """Say what it came to, in all forms that were asked for, and remember it."""
    changed = changes(last, result)
    if arguments.json:
        output.say(dumps(suite_json(result, changed), indent=2))
    else:
        told = any(count for one in result.cases for kind, count in one.counts.items() if _told(arguments, kind))
        output.say(*suite_lines(result, changed, apart=told))
    if arguments.junit:
        with output.writing():
            write_junit(case_suites(result), Path(arguments.junit), name=result.name)
    if arguments.html:
        with output.writing():
            write_page(suite_page(result, changed), Path(arguments.html))
    if memory is not None:
        with output.writing():
            save_last(memory, last, result)
