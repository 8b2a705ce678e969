"""A suite as text, JUnit XML, JSON and HTML."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from dissector.base.errors import UsageError
from dissector.output.jsontext import dumps
from replay.player.result import Result
from replay.report.jsontext import schema
from replay.report.junit import write_junit
from replay.report.suite_html import suite_page
from replay.report.suites import case_suites, run_line, suite_json, suite_lines
from replay.suite.last import Changes
from replay.suite.model import CaseResult, Run, SuiteResult
from tests.support.results import END, NASTY, every_outcome, hostile, result, step
from tests.support.schemas import closed

XSD = etree.XMLSchema(etree.parse(Path(__file__).parent.parent / "report" / "junit.xsd"))
BEGAN = 1_790_000_000_000_000_000
CHANGED = Changes("2026-09-20T10:00:00Z", ["ended"], ["fine"], [], [("fine", 1.0, 2.5)])


def case(name: str, *runs: Result, **more: object) -> CaseResult:
    made = CaseResult(name, **more)
    for number, one in enumerate(runs, start=1):
        outcome = "unreachable" if one.unreachable else "same" if one.same else "different"
        made.add(Run(number, outcome, one.verdict, BEGAN, 0.5 * number), one)
    return made


def suite() -> SuiteResult:
    good = result(step(1, "same"))
    ended = result(step(7, "different", "PostScanJobEndStateEvent", differences=[END]))
    return SuiteResult("bench", [
        case("fine", good, tags=frozenset({"smoke"})),
        case("ended", every_outcome()),
        case("now and then", good, ended, good),
        case("away", result(unreachable="127.0.0.1:9 cannot be reached: refused")),
        case("wrong", problem=UsageError("scenario.yaml:3: JobState: 'maybe' is no way to judge a value")),
        case("later", skip="no paper"), case("never"),
    ], BEGAN, 12.5, True)  # fmt: skip


def nasty() -> SuiteResult:
    return SuiteResult(NASTY, [
        case(NASTY, hostile(), tags=frozenset({NASTY})), case(NASTY + "2", skip=NASTY),
        case(NASTY + "3", problem=UsageError(NASTY)), case(NASTY + "4", result(unreachable=NASTY)),
    ], BEGAN, 1.0)  # fmt: skip


SUITES = {"all": suite, "nasty": nasty, "empty": lambda: SuiteResult("x", [])}


def test_the_text_of_a_suite() -> None:
    found = suite()
    assert list(suite_lines(found, CHANGED)) == [
        "",
        "different: ended: differs: the job ended Aborted, recorded was Completed (6 other steps differ)",
        "    first: step 3: SendImage was refused with OperationFailed (no paper)",
        "flaky: now and then (2 of 3 runs as recorded): differs: the job ended Aborted, recorded was Completed",
        "    first: step 7: PostScanJobEndStateEvent: JobCompletedState is Aborted, was Completed",
        "not reached: away: not played: 127.0.0.1:9 cannot be reached: refused",
        "broken: wrong: scenario.yaml:3: JobState: 'maybe' is no way to judge a value",
        "skipped: later: no paper",
        "since the last run (2026-09-20 10:00 UTC):",
        "    newly failing: ended",
        "    mended: fine",
        "    slower: fine (1.00 s → 2.50 s)",
        "1 as recorded, 1 different, 1 flaky, 1 not reached, 1 broken, 1 skipped, 1 not run; 6 runs in 12.5 s",
        (
            "bench: of 6 scenarios, 1 differs, 1 is flaky, 1 could not reach its target and 1 cannot be played; "
            "interrupted, 1 not run"
        ),
    ]
    assert "since the last run (2026-09-20 10:00 UTC): no change" in suite_lines(found, Changes("2026-09-20T10:00:00Z"))
    assert not any("since" in line for line in suite_lines(found, Changes()))


def test_the_lines_of_runs() -> None:
    ended = suite().cases[1]
    assert run_line(ended, ended.runs[0], False) == (
        "DIFF  ended  (500 ms)  differs: the job ended Aborted, recorded was Completed (6 other steps differ)"
    )
    fine = suite().cases[0]
    assert run_line(fine, fine.runs[0], True) == "ok    fine #1  (500 ms)"


@pytest.mark.parametrize("name", SUITES)
def test_junit_is_valid(name: str, tmp_path: Path) -> None:
    write_junit(case_suites(SUITES[name]()), tmp_path / "junit.xml", name="x")
    XSD.assertValid(etree.parse(tmp_path / "junit.xml"))


def test_junit_has_a_case_for_each_run(tmp_path: Path) -> None:
    write_junit(case_suites(suite()), tmp_path / "junit.xml", name="bench")
    root = etree.parse(tmp_path / "junit.xml").getroot()
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["9", "2", "2", "2"]
    found = [(one.get("name"), [(case.get("name"), [child.tag for child in case]) for case in one.iter("testcase")])
             for one in root]  # fmt: skip
    assert found == [
        ("fine", [("run 1", [])]), ("ended", [("run 1", ["failure"])]),
        ("now and then", [("run 1", []), ("run 2", ["failure"]), ("run 3", [])]), ("away", [("run 1", ["error"])]),
        ("wrong", [("run 1", ["error"])]), ("later", [("run 1", ["skipped"])]), ("never", [("run 1", ["skipped"])]),
    ]  # fmt: skip
    text = root[1].find(".//failure").text
    assert "SendImageRequest" in text
    assert "JobCompletedState is Aborted, was Completed" in text


@pytest.mark.parametrize("name", SUITES)
def test_json_fits_its_schemas(name: str) -> None:
    data = json.loads(dumps(suite_json(SUITES[name](), CHANGED)))
    jsonschema.Draft202012Validator(closed(schema("dsmreplay.suite/1"))).validate(data)
    for one in data["scenarios"]:
        if one["result"] is not None:
            jsonschema.Draft202012Validator(closed(schema("dsmreplay.result/1"))).validate(one["result"])


def test_the_page_of_a_suite() -> None:
    root = etree.HTML(suite_page(suite(), CHANGED))
    assert root.findtext(".//title") == suite().headline
    rows = [[" ".join(cell.itertext()) for cell in row.findall("td")] for row in root.find(".//table").iter("tr")]
    assert [row[:3] for row in rows[1:]] == [
        ["ended", "different", "✕"], ["away", "not reached", "✕"], ["wrong", "broken", ""],
        ["now and then", "flaky", "● ✕ ●  2 of 3"], ["fine smoke", "as recorded", "●"], ["later", "skipped", ""],
        ["never", "not run", ""],
    ]  # fmt: skip
    assert [one.findtext("summary") for one in root.iter("details")] == ["ended", "away", "now and then, run 2"]
    assert "newly failing: ended" in "".join(root.itertext())


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    root = etree.HTML(suite_page(nasty(), CHANGED))
    assert not list(root.iter("script", "img", "link", "a", "iframe"))
    assert {name for element in root.iter("*") for name in element.keys()} <= {  # noqa: SIM118 (no mapping)
        "lang", "charset", "http-equiv", "content", "name", "class", "style", "open",
    }  # fmt: skip
