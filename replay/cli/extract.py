"""``dsmreplay extract``: a capture becomes a scenario."""

from __future__ import annotations

import argparse
import json
from typing import Any

import dissector
from dissector.base.errors import ExitCode, UsageError
from dissector.output.text import printable
from replay.scenario.extract import Choice, extract, stories
from replay.scenario.files import save_scenario
from replay.scenario.model import Scenario

__all__ = ["run_extract"]


def run_extract(arguments: argparse.Namespace) -> int:
    """List what could be extracted, or extract it."""
    if arguments.list:
        return _list(arguments)
    if not arguments.output and not arguments.explain:
        raise UsageError("-o DIR says where the scenario goes (or --list, --explain)")
    choice = Choice(arguments.job, arguments.host, arguments.service, arguments.stream)
    scenario, contents = extract(arguments.capture, choice, plays=arguments.plays)
    if arguments.explain:
        for value in scenario.values.values():
            # Passwords in an Authorization header are nobody's business, here too.
            shown = "(not shown)" if value.name.startswith("authorization") else value.recorded
            born = f"step {value.step}, {value.path}" if value.step else "before the capture, or by a person"
            print(printable(f"{value.name}  = {shown}"))
            print(printable(f"    {value.kind} of {value.maker or 'the site'}; from {born}"))
            print(printable(f"    {value.why}"))
    if arguments.output:
        path = save_scenario(scenario, contents, arguments.output)
        events = sum(step.event for step in scenario.steps)
        site = [value.name for value in scenario.values.values() if not value.maker]
        print(f"{path}: {len(scenario.steps)} steps ({events} events), {len(scenario.values)} values")
        print(f"  plays     {scenario.parties[scenario.plays].role} against a {_other(scenario)}")
        print(printable(f"  of a site {', '.join(site) or 'nothing'} (--set NAME=VALUE)"))
        print("  it holds what the capture held: names, addresses, pictures")
    for text in scenario.missing:
        print(printable(f"  missing   {text}"))
    return ExitCode.FINDINGS if scenario.missing else ExitCode.OK


def _other(scenario: Scenario) -> str:
    return next(one.role for one in scenario.parties.values() if one.name != scenario.plays)


def _list(arguments: argparse.Namespace) -> int:
    with dissector.open(arguments.capture) as capture:
        found = stories([one for one in capture.messages if one.http is not None])
        jobs = list(capture.jobs)
    rows: list[dict[str, Any]] = []
    for story in found:
        hosts = {story.asking, story.answering}
        ids = [job.id for job in jobs if job.id and any(one.source.address in hosts for one in story.messages)]
        rows.append(
            {
                "asking": story.asking, "role": story.roles[0], "answering": story.answering,
                "answering_role": story.roles[1], "service": story.service, "messages": len(story.messages),
                "jobs": ids,
            }
        )  # fmt: skip
    if arguments.json:
        print(json.dumps(rows, indent=2))
    for row, story in zip(rows, found, strict=True):
        if not arguments.json:
            one, other = story.roles
            told = (
                f"{one} {story.asking} and {other} {story.answering}: {story.service}, {len(story.messages)} messages"
            )
            print(printable(f"{told}, jobs {', '.join(map(str, row['jobs'])) or 'none'}"))
    if not rows:
        print("no sequence in this capture")
    return ExitCode.OK
