"""Two recordings of the same story: what differs between them was made for the one conversation.

Messages are aligned by what they are and their order among their like. A text that differs where no value was found is
a value after all; a doubtful value that is the same in both is none. Enumerated values, numbers and dates of the
catalogue may differ by chance and timing, and are left to the judgement of a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dissector.analysis.exchanges import is_answer
from dissector.analysis.reading import operation_of
from dissector.messages import Message
from replay.scenario.looks import LONGEST, distinctive, is_date
from replay.scenario.places import Text, texts
from replay.scenario.unnamed import can_be_token
from replay.scenario.values import Place, Value, snake

__all__ = ["align", "settle"]

DIFFERS = "differs between the two recordings"


def align(first: Sequence[Message], second: Sequence[Message]) -> dict[int, int]:
    """Index in the first recording → index of the message of the second that says the same.

    The n-th message of one kind and operation belongs to the n-th; a message without its like is left out.
    """
    places: dict[tuple[str, str, str, int], int] = {}
    for index, key in _keys(second):
        places[key] = index
    return {index: places[key] for index, key in _keys(first) if key in places}


def _keys(messages: Sequence[Message]) -> list[tuple[int, tuple[str, str, str, int]]]:
    numbers = {message.number: message for message in messages}
    counts: dict[tuple[str, str, str], int] = {}
    keys = []
    for index, message in enumerate(messages):
        if message.repeat_of is not None:
            continue  # a copy of a datagram tells nothing, and their number is a matter of chance
        asked = numbers.get(message.request) if message.request is not None else None
        operation = operation_of(asked if is_answer(message) and asked is not None else message)
        kind = (message.kind, operation, message.name)
        counts[kind] = counts.get(kind, 0) + 1
        keys.append((index, (*kind, counts[kind])))
    return keys


def settle(
    first: Sequence[Message],
    second: Sequence[Message],
    values: Sequence[Value],
    party_of: Callable[[Message], str],
) -> list[Value]:
    """The values of the first recording, settled by the second.

    Args:
        first: the recording that ``values`` were found in.
        second: another one of the same story.
        values: of :func:`~replay.scenario.correlate.find_values`; they are not changed.
        party_of: as there.

    Returns:
        Values with unique names: new ones where texts differ (kind ``vendor``), without the doubtful ones that are
        the same in both; those that differ are sure now.
    """
    paired = align(first, second)
    mine, others = _Texts(first), _Texts(second)

    def counterpart(message: int, where: str, path: str) -> Text | None:
        return others.at(paired[message], where, path) if message in paired else None

    kept = []
    for value in values:
        if value.sure:
            kept.append(value)
            continue
        same = _same(value, mine, counterpart)
        if same is None:
            kept.append(value)
        elif not same:
            why = f"{value.why.rstrip('.')}, and it {DIFFERS}."
            kept.append(replace(value, sure=True, why=why, uses=list(value.uses)))
    names = {value.name for value in kept}
    dropped = [value for value in values if value.name not in names]
    covered = {(place.message, place.where, place.path) for value in [*kept, *dropped] for place in value.places}
    made = _differing(first, paired, covered, counterpart, party_of)
    counts: dict[str, int] = {}
    for value in made:
        base = value.name
        while value.name in names:
            counts[base] = counts.get(base, 1) + 1
            value.name = f"{base}_{counts[base]}"
        names.add(value.name)
    settled = [*kept, *made]
    settled.sort(key=lambda one: (one.kind == "message_id", min((place.message for place in one.places), default=0)))
    return settled


class _Texts:
    """The texts of a recording by their places, those of each message read once; the first one of a place counts."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._read: dict[int, dict[tuple[str, str], Text]] = {}

    def at(self, index: int, where: str, path: str) -> Text | None:
        found = self._read.get(index)
        if found is None:
            all_of_it = list(texts(self._messages[index]))
            found = self._read[index] = {(one.where, one.path): one for one in reversed(all_of_it)}
        return found.get((where, path))


def _same(value: Value, first: _Texts, counterpart: Callable[[int, str, str], Text | None]) -> bool | None:
    """Whether the second recording has the same text at the value's places, None where it has none of them."""
    seen = False
    for place in value.places:
        other = counterpart(place.message, place.where, place.path)
        if other is None:
            continue
        seen = True
        mine = first.at(place.message, place.where, place.path)
        if mine is not None and mine.text != other.text:
            return False
    return True if seen else None


def _differing(
    first: Sequence[Message],
    paired: dict[int, int],
    covered: set[tuple[int, str, str]],
    counterpart: Callable[[int, str, str], Text | None],
    party_of: Callable[[Message], str],
) -> list[Value]:
    made: dict[tuple[str, str, str], Value] = {}
    for index in paired:
        for text in texts(first[index]):
            if (index, text.where, text.path) in covered or not can_be_token(text) or not 0 < len(text.text) <= LONGEST:
                continue
            other = counterpart(index, text.where, text.path)
            if other is None or other.text == text.text or not other.text or is_date(text.text):
                continue
            # Short texts that change alike in elements of other names change by chance.
            key = (text.text, other.text, "" if distinctive(text.text) else text.name)
            place = Place(index, text.where, text.path)
            known = made.get(key)
            if known is not None:
                known.uses.append(place)
                continue
            # What a request says otherwise, somebody wanted otherwise; an answer or an event hands it out.
            told = is_answer(first[index]) or first[index].kind == "event"
            maker = party_of(first[index]) if told else ""
            made[key] = Value(
                snake(text.name), text.text, "vendor", maker, place, [],
                f"{text.name} of {first[index].name or 'a message'} {DIFFERS}.",
            )  # fmt: skip
    return list(made.values())
