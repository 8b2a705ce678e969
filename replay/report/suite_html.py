"""A suite as one HTML page: a table that a manager reads, and behind each scenario that differs its ladder."""

from __future__ import annotations

from dissector.output.times import duration_text, iso_time
from replay.report.html import FOOTER, facts, ladder, verdict_box
from replay.report.page import Html, page, tag
from replay.report.suites import runs_words
from replay.suite.last import Changes
from replay.suite.model import STATES, CaseResult, SuiteResult

__all__ = ["suite_page"]

_LOOK = {
    "same": "good", "different": "bad", "flaky": "warn", "unreachable": "bad", "broken": "bad", "skipped": "quiet",
    "not run": "quiet",
}  # fmt: skip
_ORDER = list(STATES)
OPEN = 3
"""Scenarios that differ whose ladders are shown at once; the others are a click away."""

_DOTS = 60
"""Runs of one scenario that are shown as dots."""
_NS = 1_000_000_000


def suite_page(result: SuiteResult, changed: Changes) -> str:
    """The page of a suite."""
    states = result.states()
    good = not any(_LOOK[state] in ("bad", "warn") for state in states)
    look = "good" if good and not result.interrupted else "warn" if good or set(states) <= _MILD else "bad"
    text = result.headline.removeprefix(f"{result.name}: ")
    words = ", ".join(f"{count} {STATES[state]}" for state, count in states.items())
    parts: list[Html] = [
        tag("h1", result.name),
        tag("p", text[:1].upper() + text[1:], tag("small", f"{words}; {runs_words(result)}"), class_=f"verdict {look}"),
        tag("dl", tag("dt", "begun"), tag("dd", iso_time(result.began, 0) or "")),
    ]
    if changed.since:
        lines = [tag("p", one) for one in changed.words()] or [tag("p", "No change.")]
        since = changed.since[:16].replace("T", " ")
        parts += [tag("h2", f"Since the last run ({since} UTC)"), *lines]
    worst = sorted(result.cases, key=lambda one: (_rank(one.state), one.name))
    parts += [tag("h2", "Scenarios"), _table(worst)]
    shown = [one for one in worst if one.shown is not None and not one.shown.same]
    if shown:
        parts += [tag("h2", "What differs"), *(_details(one, place < OPEN) for place, one in enumerate(shown))]
    return page(result.headline, *parts, FOOTER)


_MILD = {"same", "flaky", "skipped", "not run"}


def _rank(state: str) -> int:
    return {"good": 2, "quiet": 3, "warn": 1, "bad": 0}[_LOOK[state]] * len(_ORDER) + _ORDER.index(state)


def _table(cases: list[CaseResult]) -> Html:
    head = tag("tr", *(tag("th", name) for name in ("scenario", "state", "runs", "seconds", "why")))
    return tag("div", tag("table", head, *map(_row, cases), class_="suite"), class_="card")


def _row(case: CaseResult) -> Html:
    seconds = case.seconds
    tags = tag("div", " ".join(sorted(case.tags)), class_="none") if case.tags else None
    return tag(
        "tr", tag("td", case.name, tags), tag("td", tag("span", STATES[case.state],
            class_=f"badge {_LOOK[case.state]}")),
        tag("td", _runs(case)), tag("td", "" if seconds is None else duration_text(round(seconds * _NS))),
        tag("td", case.text),
    )  # fmt: skip


def _runs(case: CaseResult) -> Html:
    """A dot for each run, and how many there were where they are many."""
    dots = [
        tag("span", "●" if run.outcome == "same" else "✕", class_="good" if run.outcome == "same" else "bad")
        for run in case.runs[:_DOTS]
    ]
    more = f" {case.counts['same']} of {case.played}" if case.played > 1 else ""
    return tag("span", *dots, more, class_="runs")


def _details(case: CaseResult, opened: bool) -> Html:
    assert case.shown is not None
    number = next((run.number for run in case.runs if run.outcome != "same"), 1)
    title = f"{case.name}, run {number}" if case.played > 1 else case.name
    body = [verdict_box(case.shown), facts(case.shown)]
    if case.shown.steps:
        body.append(ladder(case.shown))
    return tag("details", tag("summary", title), *body, open="" if opened else None)
