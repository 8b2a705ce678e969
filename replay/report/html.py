"""A run as one HTML page: the one line, the ladder of steps with times, and each difference with both values."""

from __future__ import annotations

from pathlib import Path

from dissector import __version__
from dissector.base.errors import UnwritableOutput
from dissector.output.times import duration_text, iso_time
from replay.player.difference import Difference
from replay.player.result import Result
from replay.player.step import OUTCOMES, StepResult
from replay.report.page import Html, page, tag
from replay.report.text import counted

__all__ = ["FOOTER", "facts", "ladder", "run_page", "verdict_box", "write_page"]

LONG = 4000
"""Characters of a value that the page shows."""

_NS = 1_000_000_000
_SOFT = ("late", "doubled", "unexpected", "skipped")
_LEFT = {"missing": "dashed", "failed": "dashed"}

FOOTER = tag("footer", f"dsmreplay {__version__}")


def run_page(result: Result) -> str:
    """The page of one run."""
    return page(
        result.headline, tag("h1", result.name), verdict_box(result), facts(result), tag("h2", "Steps"),
        ladder(result), FOOTER,
    )  # fmt: skip


def write_page(text: str, path: Path) -> None:
    """Write a page.

    Raises:
        UnwritableOutput: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UnwritableOutput(f"{path}: {error.strerror or error}") from error


def verdict_box(result: Result) -> Html:
    """The one line that everybody understands, and where it first went wrong."""
    first = tag("small", f"First difference: {result.first}") if result.first else None
    text = result.verdict
    return tag("p", text[:1].upper() + text[1:], first, class_=f"verdict {'good' if result.same else 'bad'}")


def facts(result: Result) -> Html:
    """What was played against whom, when and how long."""
    played = ", ".join(result.parties.get(name, name) for name in result.plays)
    rows = [
        ("played", f"the {played}" if played else ""), ("against", result.target), ("recorded in", result.capture),
        ("begun", (iso_time(result.began, 0) or "") if result.began else ""),
        ("took", duration_text(round(result.seconds * _NS)) if result.seconds else ""), ("steps", counted(result)),
    ]  # fmt: skip
    return tag("dl", *(one for name, text in rows if text for one in (tag("dt", name), tag("dd", text))))


def ladder(result: Result) -> Html:
    """The steps, with an arrow each from who sent it to who got it."""
    lanes = list(result.parties) or sorted(
        {name for one in result.steps for name in (one.sender, one.receiver) if name}
    )
    head = tag(
        "div", tag("span", "step", class_="number"), tag("span", "recorded", class_="time"),
        tag("span", "now", class_="time"), _lanes(lanes, *(_party(result, lanes, name) for name in lanes)),
        tag("span", ""), tag("span", "took", class_="time"), class_="row head",
    )  # fmt: skip
    return tag("div", head, *(_row(one, lanes) for one in result.steps), class_="card")


# -- one step --------------------------------------------------------------------------------------------------------


def _row(one: StepResult, lanes: list[str]) -> Html:
    look = _look(one)
    row = tag(
        "div",
        tag("span", str(one.number or "–"), class_="number"),
        tag("span", _seconds(one.time), class_="time"),
        tag("span", _seconds(one.at), class_="time"),
        _lanes(lanes, _arrow(one, lanes, look)),
        tag("span", tag("span", OUTCOMES[one.outcome], class_=f"badge {look}")),
        tag("span", duration_text(round(one.seconds * _NS)) if one.seconds else "", class_="time"),
        class_="row",
    )
    return row if one.fine and not one.text else Html(row + _why(one, look))


def _look(one: StepResult) -> str:
    if one.outcome == "same":
        return "good"
    if one.outcome == "skipped":
        return "quiet"
    return "warn" if one.outcome in _SOFT else "bad"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f} s"


def _lanes(lanes: list[str], *content: Html) -> Html:
    lines = [tag("i", style=f"left:{_middle(lanes, place):.2f}%", class_="life") for place in range(len(lanes))]
    return tag("div", *lines, *content, class_="lanes")


def _middle(lanes: list[str], place: int) -> float:
    return (place + 0.5) / len(lanes) * 100


def _party(result: Result, lanes: list[str], name: str) -> Html:
    role = result.parties.get(name, name)
    mark = " (played)" if name in result.plays else ""
    return tag("span", role + mark, class_="party", style=f"left:{_middle(lanes, lanes.index(name)):.2f}%")


def _arrow(one: StepResult, lanes: list[str], look: str) -> Html:
    if one.sender not in lanes or one.receiver not in lanes or one.sender == one.receiver:
        return tag("span", one.name, class_="label")
    start, end = (_middle(lanes, lanes.index(name)) for name in (one.sender, one.receiver))
    way = "right" if end > start else "left"
    place = f"left:{min(start, end):.2f}%;width:{abs(end - start):.2f}%"
    label = tag("span", one.name, class_="label", style=place)
    # An arrow takes its colour from the outcome, its label does not.
    return Html(
        tag("i", class_=" ".join(filter(None, ("arrow", way, _LEFT.get(one.outcome), look))), style=place) + label
    )


# -- differences -----------------------------------------------------------------------------------------------------


def _why(one: StepResult, look: str) -> Html:
    parts: list[Html] = []
    if one.text and (not one.differences or one.outcome == "late"):
        parts.append(tag("p", one.text))
    if one.differences:
        head = tag("tr", *(tag("th", name) for name in ("difference", "element", "recorded", "received")))
        parts.append(tag("table", head, *map(_difference, one.differences)))
    where = [f"Recorded: {one.origin}."] if one.origin else []
    where += [f"Came: {one.came}."] if one.came else []
    if where and not one.fine:
        parts.append(tag("p", " ".join(where), class_="from"))
    return tag("div", *parts, class_=f"why {look}" if look in ("warn", "quiet") else "why")


def _difference(one: Difference) -> Html:
    recorded = _value(one.recorded)
    if one.expected is not None:
        recorded = Html(recorded + tag("div", "now expected: ", class_="none") + _value(one.expected))
    return tag(
        "tr", tag("td", one.text), tag("td", one.path, class_="path"), tag("td", recorded, class_="value"),
        tag("td", _value(one.received), class_="value"),
    )  # fmt: skip


def _value(text: str | None) -> Html:
    if text is None:
        return tag("span", "nothing", class_="none")
    if not text:
        return tag("span", "empty", class_="none")
    return tag("span", text if len(text) <= LONG else text[: LONG - 1] + "…")
