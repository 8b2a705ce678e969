"""A suite as text, JUnit XML and plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from dissector.output.text import printable
from dissector.output.times import duration_text, iso_time
from replay.report.junit import add_case, suite_element
from replay.report.text import step_lines
from replay.suite.last import Changes
from replay.suite.model import BAD, SCHEMA, STATES, CaseResult, Run, SuiteResult

__all__ = ["MARKS", "case_suites", "run_line", "runs_words", "suite_json", "suite_lines"]

MARKS = {"same": "ok", "different": "DIFF", "unreachable": "GONE", "broken": "FAIL"}
"""Outcome of a run → its mark."""

_NS = 1_000_000_000


def run_line(case: CaseResult, run: Run, several: bool) -> str:
    """The line about a run that is over."""
    number = f" #{run.number}" if several else ""
    text = "" if run.outcome == "same" else f"  {run.text}"
    return printable(f"{MARKS[run.outcome]:5} {case.name}{number}  ({duration_text(round(run.seconds * _NS))}){text}")


def suite_lines(result: SuiteResult, changed: Changes, *, apart: bool = True) -> Iterator[str]:
    """What it came to: what is not as recorded and why, what changed, and the headline last. ``apart``: lines about
    runs stand before it."""
    if apart:
        yield ""
    for state in BAD:
        for case in result.of([state]):
            yield printable(f"{STATES[state]}: {case.name}{_how_often(case)}: {case.text}")
            shown = case.shown
            if shown is not None and shown.first:
                yield printable(f"    first: {shown.first}")
    for case in result.of(["skipped"]):
        yield printable(f"skipped: {case.name}: {case.text}")
    if changed.since:
        words = list(changed.words())
        yield f"since the last run ({changed.since[:16].replace('T', ' ')} UTC){':' if words else ': no change'}"
        for one in words:
            yield printable(f"    {one}")
    states = ", ".join(f"{count} {STATES[state]}" for state, count in result.states().items())
    yield f"{states}; {runs_words(result)}"
    yield printable(result.headline)


def runs_words(result: SuiteResult) -> str:
    """``12 runs in 3.4 s``."""
    return f"{result.runs} run{'s' * (result.runs != 1)} in {duration_text(round(result.seconds * _NS))}"


def case_suites(result: SuiteResult) -> list[Element]:
    """JUnit: a suite for each scenario, a test case for each of its runs."""
    return [_case_suite(result, one) for one in result.cases]


def _case_suite(result: SuiteResult, case: CaseResult) -> Element:
    cases = []
    for run in case.runs:
        kind = {"same": "", "different": "failure"}.get(run.outcome, "error")
        text = ""
        if case.shown is not None and run.text == case.shown.verdict and kind == "failure":
            text = "\n".join(line for step in case.shown.bad for line in step_lines(step))
        cases.append(add_case(case.name, f"run {run.number}", run.seconds, kind, run.text, text or printable(run.text)))
    if not cases:
        kind = "error" if case.state == "broken" else "skipped"
        words = case.text or STATES[case.state]
        cases.append(add_case(case.name, "run 1", 0.0, kind, words, printable(words)))
    shown = case.shown
    properties = {
        "suite": result.name, "state": STATES[case.state], "tags": ", ".join(sorted(case.tags)),
        "target": shown.target if shown is not None else "", "capture": shown.capture if shown is not None else "",
    }  # fmt: skip
    began = case.runs[0].began if case.runs else result.began
    seconds = sum(run.seconds for run in case.runs)
    out = [f"{case.name}: {STATES[case.state]}{_how_often(case)}", *([case.text] if case.text else [])]
    return suite_element(case.name, cases, began=began, seconds=seconds, properties=properties, out=out)


def suite_json(result: SuiteResult, changed: Changes) -> dict[str, Any]:
    """Plain data, see ``schemas/suite.json``."""
    return {
        "schema": SCHEMA, "suite": result.name, "began": iso_time(result.began), "seconds": round(result.seconds, 6),
        "headline": result.headline, "interrupted": result.interrupted, "states": result.states(), "runs": result.runs,
        "changes": changed.to_json(), "scenarios": [one.to_json() for one in result.cases],
    }  # fmt: skip


def _how_often(case: CaseResult) -> str:
    if case.played < 2:
        return ""
    return f" ({case.counts['same']} of {case.played} runs as recorded)"
