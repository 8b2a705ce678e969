"""Why each value was taken for one: for people (``--explain``) and as JSON.

A value is told by where it was born, where it is used and the reason; a doubtful one is called so. Steps are counted as
a scenario counts them: each message that asks or tells is one, its answer belongs to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dissector.analysis.exchanges import is_answer
from dissector.analysis.reading import frame_of
from dissector.messages import Message
from replay.scenario.secret import is_credential
from replay.scenario.values import Place, Value

__all__ = ["explain", "explain_json", "steps_of"]

SHOWN = 100
"""Characters of a recorded text that are shown."""

_WHERE = {"body": "body", "header": "SOAP header", "target": "request target", "http": "HTTP header"}


def steps_of(messages: Sequence[Message]) -> dict[int, int]:
    """Index of a message → number of its step, from 1; an answer has that of its request."""
    numbers = {message.number: index for index, message in enumerate(messages)}
    steps: dict[int, int] = {}
    count = 0
    for index, message in enumerate(messages):
        asked = numbers.get(message.request) if message.request is not None else None
        if is_answer(message) and asked is not None and asked in steps:
            steps[index] = steps[asked]
        else:
            count += 1
            steps[index] = count
    return steps


def explain(
    values: Sequence[Value],
    messages: Sequence[Message],
    *,
    steps: Mapping[int, int] | None = None,
    secret: Collection[str] = (),
) -> list[str]:
    """Lines of text, a block for each value.

    Args:
        values: as found in ``messages``.
        messages: the conversation.
        steps: index of a message → number of its step in the scenario, counted here where it is not given.
        secret: names of values that are not shown.
    """
    numbered = steps_of(messages) if steps is None else steps
    lines: list[str] = []
    for value in values:
        doubt = "" if value.sure else ", doubtful"
        lines.append(
            f"{value.name} = {_shown(value, secret)}  ({value.kind.replace('_', ' ')}, {_maker(value)}{doubt})"
        )
        if value.born is None:
            lines.append("    born  not in the capture")
        else:
            lines.append(f"    born  {_told(value.born, messages, numbered)}: {_path(value.born)}")
        for (name, path), places in _grouped(value, messages).items():
            told = "; ".join(f"step {numbered.get(one.message, 0)}, frame {_frame(one, messages)}" for one in places)
            lines.append(f"    used  {name} ({told}): {path}")
        if not value.uses:
            lines.append("    used  nowhere else")
        lines.append(f"    why   {value.why}" + ("" if value.sure else " A second recording would settle it."))
    return lines


def explain_json(
    values: Sequence[Value],
    messages: Sequence[Message],
    *,
    steps: Mapping[int, int] | None = None,
    secret: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The same as plain data, an object for each value: ``name``, ``recorded``, ``kind``, ``maker``, ``sure``, ``why``,
    ``born`` (None, or ``step``, ``message``, ``frame``, ``where``, ``path``, ``whole``) and ``uses`` (a list of
    those)."""
    numbered = steps_of(messages) if steps is None else steps

    def plain(place: Place) -> dict[str, Any]:
        return {
            "step": numbered.get(place.message, 0), "message": _name(place, messages), "frame": _frame(place, messages),
            "where": place.where, "path": place.path, "whole": place.whole,
        }  # fmt: skip

    return [
        {
            "name": value.name, "recorded": _hidden(value, secret) or value.recorded, "kind": value.kind,
            "maker": value.maker, "sure": value.sure, "why": value.why,
            "born": plain(value.born) if value.born is not None else None,
            "uses": [plain(place) for place in value.uses],
        }
        for value in values
    ]  # fmt: skip


def _maker(value: Value) -> str:
    return f"made by the {value.maker}" if value.maker else "of the site: as recorded unless given"


def _grouped(value: Value, messages: Sequence[Message]) -> dict[tuple[str, str], list[Place]]:
    found: dict[tuple[str, str], list[Place]] = {}
    for place in value.uses:
        found.setdefault((_name(place, messages), _path(place)), []).append(place)
    return found


def _told(place: Place, messages: Sequence[Message], steps: Mapping[int, int]) -> str:
    return f"{_name(place, messages)} (step {steps.get(place.message, 0)}, frame {_frame(place, messages)})"


def _name(place: Place, messages: Sequence[Message]) -> str:
    return messages[place.message].name or "a message"


def _frame(place: Place, messages: Sequence[Message]) -> int:
    return frame_of(messages[place.message])


def _path(place: Place) -> str:
    told = " ".join(part for part in (_WHERE[place.where], place.path) if part)
    return told if place.whole else f"{told}, a part of it"


def _shown(value: Value, secret: Collection[str]) -> str:
    hidden = _hidden(value, secret)
    if hidden:
        return hidden
    text = "".join(one if one.isprintable() else " " for one in value.recorded)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _hidden(value: Value, secret: Collection[str]) -> str:
    """What stands for a text that nobody should read over a shoulder; "" for one that may be shown."""
    hidden = value.name in secret or (not value.maker and is_credential(value.name))
    return f"({len(value.recorded)} characters, not shown)" if hidden else ""
