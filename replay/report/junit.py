"""JUnit XML, as build servers read it: one suite for a scenario, one test case for each step.

The form is the one that Ant's JUnit task writes and all of them understand: the strictest of the schemas in use wants
each attribute and element that is here. What a peer sent is shown with escapes, so that the file is XML whatever it
was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dissector.base.errors import UnwritableOutput
from dissector.output.text import printable
from replay.player.result import Result
from replay.player.step import StepResult
from replay.report.text import counted, value_lines

__all__ = ["add_case", "run_suite", "suite_element", "write_junit"]

HOST = "localhost"
"""The name of the machine that ran it is nobody's business in a file that is passed on."""


def write_junit(suites: Sequence[Element], path: Path, *, name: str) -> None:
    """Write suites to a file.

    Raises:
        UnwritableOutput: it cannot be written.
    """
    root = Element("testsuites", name=printable(name))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(one.get(total, "0")) for one in suites)))
    root.set("time", f"{sum(float(one.get('time', '0')) for one in suites):.3f}")
    for number, one in enumerate(suites):
        one.set("id", str(number))
        root.append(one)
    ElementTree.indent(root)
    try:
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UnwritableOutput(f"{path}: {error.strerror or error}") from error


def run_suite(result: Result) -> Element:
    """One run of a scenario: a test case for each step, and one for what kept the run from its end."""
    cases = []
    seen: dict[str, int] = {}
    for one in result.steps:
        name = f"{one.number:03} {one.name}" if one.number else one.name
        seen[name] = seen.get(name, 0) + 1
        if not one.number or seen[name] > 1:
            name = f"{name} ({one.outcome} {seen[name]})"
        cases.append(_step_case(result.name, name, one))
    if result.unreachable:
        cases.append(_broken_off(result, "target", "unreachable", result.unreachable))
    if result.interrupted:
        cases.append(_broken_off(result, "end", "interrupted", result.verdict))
    properties = {
        "scenario": result.name, "target": result.target, "capture": result.capture, "plays": ", ".join(result.plays),
    }  # fmt: skip
    return suite_element(
        result.name, cases, began=result.began, seconds=result.seconds, properties=properties,
        out=[result.headline, counted(result), *([f"first: {result.first}"] if result.first else [])],
    )  # fmt: skip


def suite_element(
    name: str,
    cases: Sequence[Element],
    *,
    began: int,
    seconds: float,
    properties: dict[str, str],
    out: Iterable[str] = (),
) -> Element:
    """A suite of test cases.

    Args:
        name: of the suite.
        cases: ``testcase`` elements.
        began: nanoseconds since 1970.
        seconds: that all took.
        properties: facts by name; empty ones are left out.
        out: lines for people.
    """
    suite = Element(
        "testsuite", name=printable(name), package="dsmreplay", hostname=HOST, tests=str(len(cases)),
        failures=_count(cases, "failure"), errors=_count(cases, "error"), skipped=_count(cases, "skipped"),
        time=f"{seconds:.3f}",
        timestamp=datetime.fromtimestamp(began // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip
    holder = SubElement(suite, "properties")
    for key, value in properties.items():
        if value:
            SubElement(holder, "property", name=key, value=printable(value))
    suite.extend(cases)
    SubElement(suite, "system-out").text = "\n".join(map(printable, out))
    SubElement(suite, "system-err").text = ""
    return suite


def add_case(
    suite_name: str, name: str, seconds: float, outcome: str = "", message: str = "", text: str = ""
) -> Element:
    """A test case.

    Args:
        suite_name: what it belongs to.
        name: of the case.
        seconds: that it took.
        outcome: "" for a pass, ``failure``, ``error`` or ``skipped``.
        message, text: why, in one line and in several.
    """
    case = Element("testcase", classname=_class(suite_name), name=printable(name), time=f"{max(seconds, 0.0):.3f}")
    if outcome == "skipped":
        SubElement(case, "skipped", message=printable(message))
    elif outcome:
        SubElement(case, outcome, type=outcome, message=printable(message)).text = text
    return case


def _broken_off(result: Result, name: str, kind: str, words: str) -> Element:
    case = add_case(result.name, name, 0.0, "error", words, printable(words))
    case[0].set("type", kind)
    return case


def _step_case(scenario: str, name: str, one: StepResult) -> Element:
    if one.fine:
        return add_case(scenario, name, one.seconds, "skipped" if one.outcome == "skipped" else "", one.text)
    lines = [one.text] if one.text and not one.differences else []
    for difference in one.differences:
        lines += [difference.text, *(f"  {line}" for line in value_lines(difference))]
    if one.origin:
        lines.append(f"recorded: {one.origin}")
    if one.came:
        lines.append(f"came: {one.came}")
    case = add_case(scenario, name, one.seconds, "failure", one.text or one.outcome, "\n".join(map(printable, lines)))
    case[0].set("type", one.outcome)
    return case


def _count(cases: Iterable[Element], tag: str) -> str:
    return str(sum(case.find(tag) is not None for case in cases))


def _class(name: str) -> str:
    """Build servers take what stands before the last dot for a package."""
    return "dsmreplay." + printable(name).replace(".", "_")
