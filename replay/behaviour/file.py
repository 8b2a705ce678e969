"""Rules as people write them: in a YAML file, on the command line, as JSON for the control port.

    seed: 7
    rules:
      - on: SendImage
        after: 1
        times: 1
        where: {document_id: 3}
        fault: OperationFailed

The same on the command line: ``--do 'SendImage: fault=OperationFailed, after=1, times=1, where.document_id=3'``; a
value with commas stands in double quotes. What can be ordered: :data:`~replay.behaviour.orders.ORDERS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dissector.base.errors import UsageError
from dissector.catalog import SERVICES
from replay.base.yamlfile import load_yaml, wrong
from replay.behaviour.orders import ORDERS, effects_of, near, number, ordered, shown, whole
from replay.behaviour.rules import Behaviour, Rule

__all__ = ["ORDERS", "help_text", "load_behaviour", "parse_rule", "rule_from_json", "rule_to_json"]

MAX_COUNT = 1_000_000_000
"""Of ``times`` and ``after``."""

_CONTROL = ("on", "times", "after", "probability", "where")
_PIECE = re.compile(r'(?:[^,"]|"[^"]*"|")+')

Wrong = Callable[[str | None, str], UsageError]
"""Makes the error of a key (None: of the whole rule), with its place."""


@cache
def _names() -> dict[str, dict[tuple[str, str], None]]:
    """What a rule can name → the occasions that it is about, as (kind, name)."""
    names: dict[str, dict[tuple[str, str], None]] = {}
    for service in SERVICES.values():
        for row in service.messages:
            if row.kind in ("request", "event", "discovery"):
                # Nobody asks for it: the end of a subscription is told.
                kind = "event" if row.operation == "SubscriptionEnd" else row.kind
                groups = ("*",) if kind == "discovery" else ("*", "operations" if kind == "request" else "events")
                for name in (row.operation, f"{service.name}.{row.operation}", *groups):
                    names.setdefault(name, {})[kind, row.operation] = None
    return names


def rule_from_json(data: Any) -> Rule:
    """A rule from plain data: ``on``, ``times``, ``after``, ``probability``, ``where``, and orders by name.

    Raises:
        UsageError: says what is wrong; the text begins with the key.
    """
    return _rule(data, lambda key, problem: UsageError(f"{key}: {problem}" if key else problem))


def _rule(data: Any, error: Wrong) -> Rule:
    if not isinstance(data, Mapping):
        raise error(None, "a rule is a mapping with on and what is ordered")
    if "on" not in data:
        raise error(None, "a rule needs on: the operation or event that it is about")
    on = data["on"]
    if not isinstance(on, str) or on not in _names():
        known = near(on, _names()) if isinstance(on, str) else ""
        raise error("on", f"{shown(on)} is no operation and no event{known}")
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key in _CONTROL:
            continue
        order = ORDERS.get(str(key)[:100])
        if order is None:
            told = f"{shown(key)} is nothing that can be ordered{near(str(key), [*ORDERS, *_CONTROL])}"
            raise error(str(key)[:100], told)
        try:
            values[str(key)] = order.read(value)
        except UsageError as problem:
            raise error(str(key), f"{problem}; {key} takes {order.argument}") from None
        if not any(order.fits(*occasion) for occasion in _names()[on]):
            raise error(str(key), f"{on} has no use for this: {order.meaning}")
    if not values:
        raise error(None, f"nothing is ordered for {on}; there is {', '.join(ORDERS)}")
    return Rule(
        str(on), effects_of(values), _count(data, "times", 1, error), _count(data, "after", 0, error) or 0,
        _chance(data, error), _where(data, error),
    )  # fmt: skip


def _count(data: Mapping[str, Any], key: str, low: int, error: Wrong) -> int | None:
    if data.get(key) is None:
        return None
    try:
        return whole(low, MAX_COUNT)(data[key])
    except UsageError as problem:
        raise error(key, f"{problem}; {key} is a count") from None


def _chance(data: Mapping[str, Any], error: Wrong) -> float:
    try:
        return number(0, 1)(data.get("probability", 1.0))
    except UsageError as problem:
        raise error("probability", f"{problem}; probability is a number from 0 to 1") from None


def _where(data: Mapping[str, Any], error: Wrong) -> dict[str, str]:
    given = data.get("where", {})
    if not isinstance(given, Mapping):
        raise error("where", "where is a mapping of names to values, such as {document_id: 2}")
    for key, value in given.items():
        if not isinstance(key, str) or not key or not isinstance(value, (str, int, float)):
            raise error("where", f"{shown(key)}: {shown(value)} in where is no name with a text or a number")
    return {str(key): str(value) if isinstance(value, str) else shown(value) for key, value in given.items()}


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """The plain form that :func:`rule_from_json` reads; what comes of it is equal to ``rule``."""
    data: dict[str, Any] = {"on": rule.on}
    if rule.times is not None:
        data["times"] = rule.times
    if rule.after:
        data["after"] = rule.after
    if rule.probability < 1.0:
        data["probability"] = rule.probability
    if rule.where:
        data["where"] = dict(rule.where)
    return data | ordered(rule.effects)


def parse_rule(text: str) -> Rule:
    """A rule of the command line: ``NAME: key=value, key=value``; a key alone is switched on.

    Raises:
        UsageError: says what is wrong.
    """
    on, mark, rest = text.partition(":")
    if not mark or not rest.strip():
        raise UsageError(f"{text!r} is no rule: 'SendImage: fault=OperationFailed, times=1' is the form")
    data: dict[str, Any] = {"on": on.strip()}
    where: dict[str, str] = {}
    for piece in _PIECE.findall(rest):
        key, equals, value = (one.strip() for one in piece.partition("="))
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not key and not equals:
            continue
        fact = key.removeprefix("where.")
        if not fact or key == "where":
            raise UsageError(f"{piece.strip()!r} names nothing: NAME=VALUE, or where.NAME=VALUE, is expected")
        if key in data or (fact != key and fact in where):
            raise UsageError(f"{key}: it is said twice")
        if fact != key:
            where[fact] = value
        else:
            data[key] = value if equals else True
    return rule_from_json(data | ({"where": where} if where else {}))


def load_behaviour(path: str | Path, seed: int | None = None) -> Behaviour:
    """The behaviour that a file describes.

    Args:
        path: of the file.
        seed: in place of the file's own.

    Raises:
        UnreadableInput: it cannot be read.
        UsageError: something in it is wrong; says file, line and what was expected.
    """
    name, data = str(path), load_yaml(path)
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, "no behaviour", "a mapping with rules, and maybe seed")
    for key in data:
        if key not in ("seed", "rules"):
            raise wrong(name, data, key, f"{key} is not known", "seed or rules")
    given = data.get("seed")
    if given is not None and (not isinstance(given, int) or isinstance(given, bool)):
        raise wrong(name, data, "seed", f"{shown(given)} is no seed", "a whole number")
    rules = data["rules"] if data.get("rules") is not None else []
    if not isinstance(rules, list):
        raise wrong(name, data, "rules", "rules is no list", "a list of rules")
    made = []
    for place, one in enumerate(rules):

        def error(key: str | None, problem: str, one: Any = one, place: int = place) -> UsageError:
            return wrong(name, one, key, problem) if key is not None else wrong(name, rules, place, problem)

        length = one.get("content_length") if isinstance(one, Mapping) else None
        if isinstance(length, int) and length > 0 and not isinstance(length, bool):
            # YAML takes +10 for the number 10: what was meant cannot be told any more.
            problem = f"{shown(length)} without quotes may be {length:+d} or {length:d}"
            raise wrong(name, one, "content_length", problem, f"'{length:+d}' or '{length:d}', in quotes")
        made.append(_rule(one, error))
    return Behaviour(made, given if seed is None else seed)


def help_text() -> str:
    """What can be ordered, one line each."""
    names = [f"{name}={one.argument}" for name, one in ORDERS.items()]
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {one.meaning}" for name, one in zip(names, ORDERS.values(), strict=True)]
    return "\n".join(
        [
            "A rule is 'NAME: order=value, order=value'. NAME is an operation (SendImage), an event",
            "(PostScanJobEndStateEvent), SERVICE.NAME, operations, events or *.", "", "orders:", *lines, "",
            "when:",
            f"  {'times=N':{width}}  at most so often",
            f"  {'after=N':{width}}  let the first N occasions pass",
            f"  {'probability=P':{width}}  with this chance (see --seed)",
            f"  {'where.NAME=VALUE':{width}}  only where the message says so, such as where.document_id=2",
        ]
    )  # fmt: skip
