"""A run as text, step by step while it goes on: for the one who sits at the device, and the one on the phone.

Each line says the step, what became of it, who speaks to whom and how long it took; a difference says where it is, what
was recorded and what came, and in which frames both can be looked at. What the peer sent is shown with escapes for all
that a terminal could obey.
"""

from __future__ import annotations

from collections.abc import Iterator

from dissector.output.text import printable
from dissector.output.times import duration_text
from replay.player.difference import Difference
from replay.player.result import Result
from replay.player.step import OUTCOMES, StepResult
from replay.report.located import located_words

__all__ = ["MARKS", "SHOWN", "counted", "step_lines", "summary_lines", "value_lines"]

MARKS = {
    "same": "ok", "different": "DIFF", "failed": "FAIL", "missing": "MISS", "unexpected": "MORE", "doubled": "TWICE",
    "late": "LATE", "skipped": "--",
}  # fmt: skip
"""Outcome → its mark, of five columns at most."""

PLACES = 8
"""Steps whose frames in the capture of the replay the summary names."""

SHOWN = 200
"""Characters of a value that are shown on a line of its own."""

_INDENT = " " * 11
_NS = 1_000_000_000


def step_lines(one: StepResult) -> Iterator[str]:
    """The lines about a step that is over."""
    number = f"{one.number:3}" if one.number else "  -"
    way = f"{one.sender} → {one.receiver}  " if one.sender and one.receiver else ""
    took = f"  ({duration_text(round(one.seconds * _NS))})" if one.seconds else ""
    yield printable(f"{number}  {MARKS[one.outcome]:5} {way}{one.name}{took}")
    if one.text and (not one.differences or one.outcome == "late"):
        yield printable(f"{_INDENT}{one.text}")
    for difference in one.differences:
        yield printable(_INDENT + difference.text)
        for line in value_lines(difference):
            yield printable(f"{_INDENT}  {line}")
    if not one.fine and one.origin:
        came = f"; came: {one.came}" if one.came else ""
        yield printable(f"{_INDENT}recorded: {one.origin}{came}")


def value_lines(one: Difference) -> Iterator[str]:
    """Where a difference is, and the values that its sentence does not show in full."""
    if one.path:
        yield f"at {one.path}"
    if any(value not in one.text for value in (one.recorded, one.expected, one.received) if value):
        for sign, value in (("-", one.recorded), ("=", one.expected), ("+", one.received)):
            if value is not None:
                what = {"-": "recorded", "=": "expected", "+": "received"}[sign]
                yield f"{sign} {what}: {value if len(value) <= SHOWN else value[: SHOWN - 1] + '…'}"


def summary_lines(result: Result, *, apart: bool = True) -> Iterator[str]:
    """What it came to, the headline last: it stays in sight. ``apart``: lines about steps stand before it."""
    if result.steps and not result.same:
        if apart:
            yield ""
        took = f" in {duration_text(round(result.seconds * _NS))}" if result.seconds else ""
        against = f", against {result.target}" if result.target else ""
        yield printable(f"{counted(result)}{took}{against}")
        if result.first:
            yield printable(f"first: {result.first}")
        places = [one for one in result.bad if one.came]
        if places:
            more = ", …" if len(places) > PLACES else ""
            words = ", ".join(located_words(places[:PLACES]))
            yield printable(f"in {places[0].came.partition(' of ')[2]}: {words}{more}")
    yield printable(result.headline)


def counted(result: Result) -> str:
    """``17 as recorded, 2 different, 1 missing``."""
    return ", ".join(f"{count} {OUTCOMES[outcome]}" for outcome, count in result.counts().items()) or "no step"
