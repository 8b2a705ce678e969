"""``dsmreplay extract``: a capture becomes a scenario."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from dissector.base.errors import ExitCode, UsageError
from dissector.cli.common import keylogs_of
from dissector.cli.select import address_of, service_named
from dissector.keyfiles import PASSWORD
from dissector.output.jsontext import dumps
from dissector.output.text import count, printable
from dissector.output.times import iso_time
from replay.scenario.explain import explain, explain_json
from replay.scenario.extract import Extracted, Recording, extracted, recorded
from replay.scenario.files import check_place, save_scenario
from replay.scenario.model import Scenario
from replay.scenario.parties import named
from replay.scenario.secret import secrets_of
from replay.scenario.stories import Choice, Story, narrowed

__all__ = ["run_extract"]

LIST = "dsmreplay.stories/1"
SCENARIO = "dsmreplay.extracted/1"
"""Names and versions of the JSON; their schemas are in ``replay/report/schemas``."""


def run_extract(arguments: argparse.Namespace) -> int:
    """List what could be extracted, or extract it. What is broken off writes nothing, and says so."""
    choice = _choice(arguments)
    if not (arguments.list or arguments.output or arguments.explain):
        raise UsageError("-o DIR says where the scenario goes (or --list, --explain)")
    if arguments.output == "-":
        raise UsageError("-o -: several files are written; name a folder")
    writes = arguments.output and not arguments.list
    if writes:
        # Reading a large capture takes minutes.
        check_place(arguments.output, replace=arguments.force)
    path = ""
    try:
        recording = _recorded(arguments, arguments.captures)
        for text in recording.notes:
            # Of what could not be read, nothing is a sequence.
            print(f"dsmreplay: {printable(text)}", file=sys.stderr)
        if arguments.list:
            return _list(recording, choice, as_json=arguments.json)
        story = recording.story(choice)
        made = extracted(
            recording, story, plays=arguments.plays, secrets=secrets_of(arguments.secret),
            other=_other(arguments, story, choice),
        )  # fmt: skip
        if writes:
            path = str(save_scenario(made.scenario, made.contents, arguments.output, replace=arguments.force))
    except KeyboardInterrupt:
        if not writes:
            raise
        print(printable(f"dsmreplay: interrupted; nothing was written to {arguments.output}"), file=sys.stderr)
        return ExitCode.INTERRUPTED
    if arguments.json:
        print(dumps(_as_json(made, path, explained=arguments.explain), indent=2))
    else:
        _tell(made, path, explained=arguments.explain)
    return ExitCode.FINDINGS if made.scenario.missing else ExitCode.OK


def _recorded(arguments: argparse.Namespace, paths: list[str]) -> Recording:
    return recorded(
        paths, keylog=keylogs_of(arguments), rsa_key=arguments.rsa_key, pre_master=arguments.pre_master,
        key_password=os.environ.get(PASSWORD),
    )  # fmt: skip


def _choice(arguments: argparse.Namespace) -> Choice:
    return Choice(
        arguments.job, address_of(arguments.host) if arguments.host else "",
        service_named(arguments.service) if arguments.service else "", arguments.stream, arguments.all,
    )  # fmt: skip


def _other(arguments: argparse.Namespace, story: Story, choice: Choice) -> list[Any]:
    """The rounds of the recording of ``--with``: its story with the same services."""
    if not arguments.other:
        return []
    second = _recorded(arguments, [arguments.other])
    # Job and addresses are others there.
    fitting = [one for one in second.stories if not story.services or set(one.services) & set(story.services)]
    if not fitting:
        raise UsageError(f"--with {arguments.other}: it holds nothing of {', '.join(story.services)}")
    if len(fitting) > 1:
        raise UsageError(f"--with {arguments.other}: it holds {len(fitting)} sequences of {', '.join(story.services)}")
    wanted = [job for job in fitting[0].jobs if job.kind in {one.kind for one in story.jobs}]
    if choice.job and len(wanted) > 1:
        return second.story(Choice(job=wanted[0].id)).rounds
    return fitting[0].rounds


# -- what was made ------------------------------------------------------------------------------------------------


def _tell(made: Extracted, path: str, *, explained: bool) -> None:
    scenario = made.scenario
    if explained:
        for line in explain(made.values, made.messages, steps=made.steps, secret=_secret(scenario)):
            print(printable(line))
    if path:
        events = sum(step.event for step in scenario.steps)
        site = [value.name for value in scenario.values.values() if not value.maker and not value.secret]
        steps, values = count(len(scenario.steps), "step"), count(len(scenario.values), "value")
        print(printable(f"{path}: {steps} ({count(events, 'event')}), {values}"))
        for party in scenario.parties.values():
            bases = f" at {', '.join(party.bases)}" if party.bases else ""
            plays = ", plays unless --as says otherwise" if party.name == scenario.plays else ""
            print(printable(f"  {party.name:<9} {party.role}{bases}{plays}"))
        print(printable(f"  of a site {', '.join(site) or 'nothing'} (--set NAME=VALUE)"))
        doubtful = [value.name for value in scenario.values.values() if not value.sure]
        if doubtful:
            print(printable(f"  doubtful  {', '.join(doubtful)} (--with a second recording settles them)"))
        for value in scenario.values.values():
            if value.secret:
                print(printable(f"  secret    {value.name}: not written down; give it in {value.secret}"))
        print("  it holds what the capture held: names, addresses, pictures")
    for text in made.inexact:
        print(printable(f"  inexact   {text}"))
    for text in scenario.missing:
        print(printable(f"  missing   {text}"))


def _as_json(made: Extracted, path: str, *, explained: bool) -> dict[str, Any]:
    scenario = made.scenario
    data: dict[str, Any] = {
        "schema": SCENARIO, "scenario": path or None, "name": scenario.name, "capture": scenario.capture,
        "parties": [
            {"name": one.name, "role": one.role, "bases": list(one.bases)} for one in scenario.parties.values()
        ],
        "plays": scenario.plays, "steps": len(scenario.steps), "events": sum(one.event for one in scenario.steps),
        "secrets": {one.name: one.secret for one in scenario.values.values() if one.secret},
        "missing": list(scenario.missing), "inexact": list(made.inexact), "values": None,
    }  # fmt: skip
    if explained:
        data["values"] = explain_json(made.values, made.messages, steps=made.steps, secret=_secret(scenario))
    return data


def _secret(scenario: Scenario) -> set[str]:
    return {value.name for value in scenario.values.values() if value.secret}


# -- what could be ------------------------------------------------------------------------------------------------


def _list(recording: Recording, choice: Choice, *, as_json: bool) -> int:
    stories = narrowed(recording.stories, choice, recording.jobs)
    if as_json:
        print(dumps({"schema": LIST, "stories": [_row(story) for story in stories]}, indent=2))
        return ExitCode.OK
    for number, story in enumerate(stories, start=1):
        row = _row(story)
        print(
            f"{number}  {', '.join(row['services']) or 'metadata'}: {row['messages']} messages, {row['events']} events "
            f"in {row['seconds']:.3f} s, from {row['time']}"
        )
        for party in row["parties"]:
            bases = f"  listens at {', '.join(party['bases'])}" if party["bases"] else ""
            print(printable(f"     {party['name']:<9} {party['role']:<14} {party['host']}{bases}"))
        for job in row["jobs"]:
            state = job["state"] or "end not in the capture"
            print(
                printable(
                    f"     job       {job['id'] or '(no id)'}  {job['kind']}, {state}, {count(job['images'], 'image')}"
                )
            )
    if not stories:
        print("no sequence in this capture" if not recording.stories else "no sequence in this capture fits")
    return ExitCode.OK


def _row(story: Story) -> dict[str, Any]:
    first = min(one.request.first_time for one in story.rounds)
    last = max(message.time for one in story.rounds for message in one.messages)
    return {
        "parties": [
            {
                "name": name, "role": actor.role, "host": actor.host,
                "bases": list(dict.fromkeys(one.base for one in story.rounds if one.receiver is actor)),
            }
            for name, actor in named(story.actors).items()
        ],
        "services": story.services, "messages": sum(len(one.messages) for one in story.rounds),
        "steps": len(story.rounds), "events": sum(one.notice for one in story.rounds),
        "streams": sorted({one.request.stream.number for one in story.rounds}),
        "time": iso_time(first), "seconds": round((last - first) / 1e9, 6),
        "jobs": [
            {
                "id": job.id, "kind": job.kind, "state": job.completed_state or job.state,
                "images": len(job.images), "partial": job.partial or None,
            }
            for job in story.jobs
        ],
    }  # fmt: skip
