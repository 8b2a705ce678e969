"""Rules as people write them: in a YAML file, on the command line, as JSON for the control port.

    seed: 7
    rules:
      - on: SendImage
        after: 1
        times: 1
        where: {document_id: 3}
        fault: OperationFailed

The same on the command line: ``--do 'SendImage: fault=OperationFailed, after=1, times=1, where.document_id=3'``.
:data:`ORDERS` is the list of what can be ordered; help and errors are made from it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from dissector.base.errors import UsageError
from dissector.catalog import FAULTS, SERVICES
from replay.base.yamlfile import load_yaml, wrong
from replay.behaviour.effects import Effects, EndState, FaultOrder, ImageOrder, WireEffects
from replay.behaviour.rules import Behaviour, Rule, merged

__all__ = ["ORDERS", "help_text", "load_behaviour", "parse_rule", "rule_from_json", "rule_to_json"]


class Order(NamedTuple):
    """One thing that can be ordered: what its argument is, what it does, and the effects it makes."""

    argument: str
    meaning: str
    make: Callable[[Any], Effects]


def _number(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise UsageError(f"{value!r} is no number") from None
        if isinstance(value, bool) or not low <= number <= high:
            raise UsageError(f"{value!r} is not from {low:g} to {high:g}")
        return number

    return check


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = _number(low, high)(value)
        if number != int(number):
            raise UsageError(f"{value!r} is no whole number")
        return int(number)

    return check


def _flag(value: Any) -> bool:
    if value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "on", "1")):
        return True
    raise UsageError(f"{value!r}: this is switched on by true, and off by leaving it out")


def _text(value: Any) -> str:
    if not isinstance(value, (str, int)) or isinstance(value, bool) or len(str(value)) > 1000:
        raise UsageError(f"{value!r} is no text")
    return str(value)


def _fault(value: Any) -> FaultOrder:
    if isinstance(value, Mapping):
        unknown = set(value) - {"subcode", "code", "reason"}
        if unknown or "subcode" not in value:
            raise UsageError("a fault has subcode, and may have code and reason")
        name = _text(value["subcode"])
        namespace, _, local = name[1:].rpartition("}") if name[:1] == "{" else ("", "", name)
        code = _text(value.get("code", ""))
        if code not in ("", "Sender", "Receiver"):
            raise UsageError(f"{code!r} is neither Sender nor Receiver")
        return FaultOrder(local, namespace, code, _text(value.get("reason", "")))
    name = _text(value)
    if name[:1] == "{":
        namespace, _, local = name[1:].rpartition("}")
        return FaultOrder(local, namespace)
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, 3)
        raise UsageError(f"{name!r} is no fault of the catalogue" + (f"; near: {', '.join(near)}" if near else ""))
    return FaultOrder(name)


def _end_state(value: Any) -> EndState:
    if isinstance(value, Mapping):
        reasons = value.get("reasons", ())
        if set(value) - {"state", "reasons"} or "state" not in value or isinstance(reasons, (str, bool)):
            raise UsageError("an end state has state, and may have a list of reasons")
        return EndState(_text(value["state"]), tuple(_text(one) for one in reasons))
    state, *reasons = _text(value).split("|")
    return EndState(state, tuple(reasons))


def _image(value: Any) -> ImageOrder:
    if isinstance(value, Mapping):
        if not value or set(value) - {"cut", "as"}:
            raise UsageError("image has cut (bytes) or as (a format)")
        cut = value.get("cut")
        return ImageOrder(None if cut is None else _whole(0, 1 << 40)(cut), _text(value.get("as", "")))
    kind, _, rest = _text(value).partition("-")
    if kind == "cut":
        return ImageOrder(cut=_whole(0, 1 << 40)(rest))
    if kind == "as" and rest:
        return ImageOrder(as_format=rest)
    raise UsageError(f"{value!r}: cut-N or as-FORMAT is expected")


def _length(value: Any) -> str:
    text = _text(value)
    if re.fullmatch(r"[+-]?\d{1,12}", text) is None:
        raise UsageError(f"{value!r} is no length: +N, -N or N is expected")
    return text


def _boundary(value: Any) -> bool:
    if value not in ("bare", True):
        raise UsageError(f"{value!r}: bare is expected")
    return True


def _wire(**given: Any) -> Effects:
    return Effects(wire=WireEffects(**given))


_bytes = _whole(0, 1 << 40)

ORDERS: Mapping[str, Order] = {
    "delay": Order("SECONDS", "wait before it is answered or sent", lambda v: Effects(delay=_number(0, 86400)(v))),
    "fault": Order("SUBCODE", "answer with this SOAP fault", lambda v: Effects(fault=_fault(v))),
    "status": Order("CODE", "answer with this HTTP status and no SOAP", lambda v: Effects(status=_whole(200, 599)(v))),
    "ignore": Order("true", "give no answer at all and close", lambda v: Effects(ignore=_flag(v))),
    "close_after": Order("BYTES", "close the connection after so many bytes", lambda v: _wire(close_after=_bytes(v))),
    "reset_after": Order("BYTES", "reset the connection after so many bytes", lambda v: _wire(reset_after=_bytes(v))),
    "truncate": Order("BYTES", "send only so many bytes of the body, then close", lambda v: _wire(truncate=_bytes(v))),
    "slow": Order("RATE", "send the body with so many bytes a second", lambda v: _wire(slow=_number(1, 1e9)(v))),
    "content_length": Order("+N|-N|N", "say a wrong Content-Length", lambda v: _wire(content_length=_length(v))),
    "malformed": Order("true", "send XML that is not well-formed", lambda v: Effects(malformed=_flag(v))),
    "relates_to": Order(
        "wrong|none|TEXT", "relate the answer to another message, or to none", lambda v: Effects(relates_to=_text(v))
    ),
    "token": Order(
        "unknown|stale|TEXT", "hand out (or send) a token that is not known, one of before, or this text",
        lambda v: Effects(token=_text(v)),
    ),
    "lost": Order("true", "do not send the event", lambda v: Effects(lost=_flag(v))),
    "doubled": Order("true", "send the event twice", lambda v: Effects(doubled=_flag(v))),
    "reordered": Order("true", "send the event after the next one", lambda v: Effects(reordered=_flag(v))),
    "expire": Order("true", "drop the subscription without a word", lambda v: Effects(expire=_flag(v))),
    "end_state": Order(
        "STATE[|REASON...]", "another end state of the job, such as vendor:Parked",
        lambda v: Effects(end_state=_end_state(v)),
    ),
    "image": Order(
        "cut-N|as-FORMAT", "cut the image, or send another format than declared", lambda v: Effects(image=_image(v))
    ),
    "boundary": Order("bare", "no line end before MIME boundaries", lambda v: _wire(bare_boundary=_boundary(v))),
    "reason": Order("TEXT", "another reason phrase in the status line", lambda v: _wire(reason=_line(v))),
    "split_head": Order("true", "send head and body in two segments", lambda v: _wire(split_head=_flag(v))),
}  # fmt: skip
"""Name → what it is."""

_CONTROL = ("on", "times", "after", "probability", "where")
_GROUPS = ("*", "operations", "events")


def _line(value: Any) -> str:
    text = _text(value)
    if not text.isprintable() or not text.isascii():
        raise UsageError(f"{value!r} cannot stand in a status line")
    return text


def _names() -> dict[str, None]:
    """Operations and events that a rule can name."""
    names: dict[str, None] = {}
    for service in SERVICES.values():
        for row in service.messages:
            if row.kind in ("request", "event", "discovery"):
                names[row.operation] = None
                names[f"{service.name}.{row.operation}"] = None
    return names


def rule_from_json(data: Any) -> Rule:
    """A rule from plain data: ``on``, ``times``, ``after``, ``probability``, ``where``, and orders by name.

    Raises:
        UsageError: says what is wrong; the text begins with the key.
    """
    return _rule(data, lambda key, problem: UsageError(f"{key}: {problem}" if key else problem))


def _rule(data: Any, error: Callable[[str | None, str], UsageError]) -> Rule:
    if not isinstance(data, Mapping):
        raise error(None, "a rule is a mapping with on and what is ordered")
    if "on" not in data:
        raise error(None, "a rule needs on: the operation or event that it is about")
    on = str(data["on"])
    if on not in _GROUPS and on not in _names():
        near = difflib.get_close_matches(on, _names(), 3)
        raise error("on", f"{on!r} is no operation and no event" + (f"; near: {', '.join(near)}" if near else ""))
    effects = Effects()
    said: list[str] = []
    for key, value in data.items():
        if key in _CONTROL:
            continue
        order = ORDERS.get(str(key))
        if order is None:
            near = difflib.get_close_matches(str(key), [*ORDERS, *_CONTROL], 3)
            raise error(
                str(key), f"{key} is nothing that can be ordered" + (f"; near: {', '.join(near)}" if near else "")
            )
        try:
            made = order.make(value)
        except UsageError as problem:
            raise error(str(key), f"{problem}; {key} takes {order.argument}") from None
        effects = merged(replace(effects, said=("",)), replace(made, said=("",)))
        said.append(f"{key} {_shown(value)}")
    if not said:
        raise error(None, f"nothing is ordered for {on}; there is {', '.join(ORDERS)}")
    return Rule(
        on, replace(effects, said=tuple(said)), _control(data, "times", 1, error),
        _control(data, "after", 0, error) or 0,
        _chance(data, error), _where(data, error),
    )  # fmt: skip


def _control(data: Mapping[str, Any], key: str, low: int, error: Callable[[str | None, str], UsageError]) -> int | None:
    if data.get(key) is None:
        return None
    try:
        return _whole(low, 1_000_000_000)(data[key])
    except UsageError as problem:
        raise error(key, f"{problem}; {key} is a count") from None


def _chance(data: Mapping[str, Any], error: Callable[[str | None, str], UsageError]) -> float:
    try:
        return _number(0, 1)(data.get("probability", 1.0))
    except UsageError as problem:
        raise error("probability", f"{problem}; probability is a number from 0 to 1") from None


def _where(data: Mapping[str, Any], error: Callable[[str | None, str], UsageError]) -> dict[str, str]:
    given = data.get("where", {})
    if not isinstance(given, Mapping):
        raise error("where", "where is a mapping of names to values, such as {document_id: 2}")
    return {str(key): str(value) for key, value in given.items()}


def rule_to_json(rule: Rule) -> dict[str, Any]:
    """The plain form that :func:`rule_from_json` reads."""
    data: dict[str, Any] = {"on": rule.on}
    if rule.times is not None:
        data["times"] = rule.times
    if rule.after:
        data["after"] = rule.after
    if rule.probability < 1.0:
        data["probability"] = rule.probability
    if rule.where:
        data["where"] = dict(rule.where)
    effects, wire = rule.effects, rule.effects.wire
    for key in ("ignore", "malformed", "lost", "doubled", "reordered", "expire"):
        if getattr(effects, key):
            data[key] = True
    for key, value in (
        ("delay", effects.delay or None), ("status", effects.status), ("relates_to", effects.relates_to),
        ("token", effects.token or None), ("close_after", wire.close_after), ("reset_after", wire.reset_after),
        ("truncate", wire.truncate), ("slow", wire.slow), ("content_length", wire.content_length or None),
        ("reason", wire.reason), ("boundary", "bare" if wire.bare_boundary else None),
        ("split_head", wire.split_head or None),
    ):  # fmt: skip
        if value is not None:
            data[key] = value
    if effects.fault is not None:
        fault = effects.fault
        name = f"{{{fault.namespace}}}{fault.subcode}" if fault.namespace else fault.subcode
        more = {key: value for key, value in (("code", fault.code), ("reason", fault.reason)) if value}
        data["fault"] = {"subcode": name, **more} if more else name
    if effects.end_state is not None:
        data["end_state"] = {"state": effects.end_state.state, "reasons": list(effects.end_state.reasons)}
    if effects.image is not None:
        image: dict[str, Any] = {"cut": effects.image.cut} if effects.image.cut is not None else {}
        data["image"] = image | ({"as": effects.image.as_format} if effects.image.as_format else {})
    return data


def parse_rule(text: str) -> Rule:
    """A rule of the command line: ``NAME: key=value, key=value``; a key alone is switched on.

    Raises:
        UsageError: says what is wrong.
    """
    on, mark, rest = text.partition(":")
    if not mark or not rest.strip():
        raise UsageError(f"{text!r} is no rule: 'SendImage: fault=OperationFailed, times=1' is the form")
    data: dict[str, Any] = {"on": on.strip()}
    for piece in rest.split(","):
        key, equals, value = piece.strip().partition("=")
        if not key:
            continue
        if key.startswith("where."):
            data.setdefault("where", {})[key[6:]] = value
        else:
            data[key] = value if equals else True
    return rule_from_json(data)


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
        raise wrong(name, data, "seed", f"{given!r} is no seed", "a whole number")
    rules = data.get("rules") or []
    if not isinstance(rules, list):
        raise wrong(name, data, "rules", "rules is no list", "a list of rules")
    made = []
    for place, one in enumerate(rules):

        def error(key: str | None, problem: str, one: Any = one, place: int = place) -> UsageError:
            return wrong(name, one, key, problem) if key is not None else wrong(name, rules, place, problem)

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


def _shown(value: Any) -> str:
    if value is True:
        return ""
    if isinstance(value, Mapping):
        return " ".join(str(one) for one in value.values())
    return str(value)
