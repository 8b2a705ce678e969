"""A scenario as YAML that a person reads: what is usual is left out, and comments say where each step came from."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from replay.base.yamlfile import dump_yaml
from replay.scenario.loaded import SITE
from replay.scenario.model import FORMAT, Birth, Bound, Part, Scenario, Step, Wire

__all__ = ["as_yaml"]

NOTICE = """A recorded sequence. It holds what the capture held: names, addresses, pictures, maybe more.
Look at it before you give it away.
Edit it freely; a wrong edit is told with its line."""


VALUES = """
What a replay must change: ${name} stands for it in the files ($$ for a dollar, ${#length} for the length of a body).
  maker      the party that makes it anew when it is played; site: a person gives it (--set NAME=VALUE), or the default
  step, part, where, path   where it is handed out: who is not its maker reads it there; again: where others do
  within     the whole text there, where the value is a part of it
  secret     the environment variable that gives it; doubtful: it only looks like a value"""

STEPS = """
Who sends what to whom, in order.
  at, took   seconds since the first step, and until the answer; connection: what was sent on one
  optional   true: it need not come
  rules      PATH: how, for what is received ("dsmreplay run --rules" lists how)
  send, answer   files: head, xml (an envelope) or file; parts of a package with what stands before them and final;
             chunks (hexadecimal sizes as sent), trailer, codings, encoding; written: how a value is written here"""


def as_yaml(scenario: Scenario) -> str:
    """The text of ``scenario.yaml``."""
    top = CommentedMap()
    top["format"] = FORMAT
    top["name"] = scenario.name
    top["capture"] = scenario.capture
    if scenario.missing:
        top["missing"] = list(scenario.missing)
        top.yaml_set_comment_before_after_key("missing", before="what the capture did not hold; nothing is filled in")
    top["parties"] = {
        one.name: {"role": one.role} | ({"bases": list(one.bases)} if one.bases else {})
        for one in scenario.parties.values()
    }
    top["plays"] = scenario.plays
    if scenario.rules:
        top["rules"] = [{path: how} for path, how in scenario.rules]
    values = top["values"] = CommentedMap()
    for value in scenario.values.values():
        values[value.name] = _value_map(value)
        if value.kind == "message_id":
            # There are two for each step, and all are alike: a line each.
            values[value.name] = CommentedMap(values[value.name])
            values[value.name].fa.set_flow_style()
    steps = top["steps"] = CommentedSeq()
    for place, step in enumerate(scenario.steps):
        steps.append(_step_map(step))
        told = f"{step.number}  {step.origin}" if step.origin else str(step.number)
        steps.yaml_set_comment_before_after_key(place, before=f"\n{_line(told)}", indent=2)
    top.yaml_set_comment_before_after_key("plays", before="the party that is played, unless --as says otherwise")
    top.yaml_set_comment_before_after_key("values", before=VALUES)
    top.yaml_set_comment_before_after_key("steps", before=STEPS)
    top.yaml_set_start_comment(NOTICE)
    return dump_yaml(top)


def _line(text: str) -> str:
    """A comment is one line, whatever the name of a capture holds."""
    return "".join(one if one.isprintable() else " " for one in text)


def _value_map(value: Bound) -> dict[str, Any]:
    data: dict[str, Any] = {"maker": value.maker or SITE, "kind": value.kind}
    if value.secret:
        data["secret"] = value.secret
    if value.recorded or not value.secret:
        data["recorded"] = value.recorded
    if not value.maker and not value.secret:
        data["default"] = value.default
    if value.step:
        data |= _birth_map(Birth(value.step, value.part, value.where, value.path, value.within))
    if value.again:
        data["again"] = [_birth_map(one) for one in value.again]
    if not value.sure:
        data["doubtful"] = True
    if value.why:
        data["why"] = value.why
    return data


def _birth_map(birth: Birth) -> dict[str, Any]:
    data: dict[str, Any] = {"step": birth.step, "part": birth.part, "where": birth.where, "path": birth.path}
    if birth.within:
        data["within"] = birth.within
    return data


def _step_map(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {"event" if step.event else "step": step.name, "seen": step.origin, "service": step.service}
    data |= {"from": step.sender, "to": step.receiver}
    if step.connection:
        data["connection"] = step.connection
    data |= {"at": round(step.time, 6), "took": round(step.took, 6)}
    if step.optional:
        data["optional"] = True
    data["send"] = _wire_map(step.message)
    if step.answer is not None:
        data["answer"] = _wire_map(step.answer)
    if step.rules:
        data["rules"] = [{path: how} for path, how in step.rules]
    return data


def _wire_map(wire: Wire) -> dict[str, Any]:
    data: dict[str, Any] = {"head": wire.head}
    if wire.xml:
        data["xml"] = wire.xml
    for key, text in (("file", wire.file), ("encoding", wire.encoding)):
        if text:
            data[key] = text
    if wire.parts:
        data["parts"] = [_part_map(one) for one in wire.parts]
        data["final"] = wire.final
    if wire.codings:
        data["codings"] = list(wire.codings)
    if wire.chunks:
        data["chunks"] = list(wire.chunks)
    if wire.trailer:
        data["trailer"] = wire.trailer
    if wire.written:
        data["written"] = dict(wire.written)
    return data


def _part_map(part: Part) -> dict[str, Any]:
    data: dict[str, Any] = {} if part.before is None else {"before": part.before}
    data["head"] = part.head
    if part.file:
        data["file"] = part.file
    if part.coding:
        data["coding"] = part.coding
    return data
