"""A run as text, JUnit XML, JSON and HTML: whole, valid, and safe whatever the peer sent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from dissector.base.errors import UnwritableOutput
from dissector.output.jsontext import dumps
from replay.player.difference import Difference
from replay.player.result import Result
from replay.player.step import OUTCOMES
from replay.report.html import run_page, write_page
from replay.report.jsontext import SCHEMAS, schema
from replay.report.junit import run_suite, write_junit
from replay.report.page import Html, tag
from replay.report.rules import rules_text
from replay.report.text import MARKS, step_lines, summary_lines, value_lines
from tests.support.results import NASTY, every_outcome, hostile, result, step
from tests.support.schemas import closed, every_key_is_required

XSD = etree.XMLSchema(etree.parse(Path(__file__).parent / "junit.xsd"))
RESULTS = {"every outcome": every_outcome, "hostile": hostile, "empty": result}


def junit_of(found: Result, folder: Path) -> etree._Element:
    path = folder / "junit.xml"
    write_junit([run_suite(found)], path, name="dsmreplay")
    return etree.parse(path).getroot()


# -- text ------------------------------------------------------------------------------------------------------------


def test_the_text_of_a_run() -> None:
    found = every_outcome()
    lines = [line for one in found.steps for line in step_lines(one)] + list(summary_lines(found))
    assert (
        lines
        == """\
  1  ok    device → server  CreatePostScanJobRequest  (20 ms)
  2  --    device → server  SendImageRequest  (20 ms)
           the recording holds nothing to compare with
  3  DIFF  device → server  SendImageRequest  (20 ms)
           the fault OperationFailed came (no paper), SendImageResponse was recorded
           recorded: frames 3 of x.pcap, after 0.5 s
  4  FAIL  device → server  SendImageRequest  (20 ms)
           not sent: job_token is not known
           recorded: frames 4 of x.pcap, after 0.5 s
  5  MISS  server → device  PostScanJobStatusEvent
           did not come within 10 s of its time
           recorded: frames 5 of x.pcap, after 0.5 s
  6  LATE  device → server  SendImageRequest  (20 ms)
           came after it had been given up; x
           JobToken is t-3, t-2 was expected
             at JobToken
             - recorded: t-1
             = expected: t-2
             + received: t-3
           recorded: frames 6 of x.pcap, after 0.5 s; came: frames 9 of own.pcapng
  -  MORE  Odd
           the recording has no such message
  -  TWICE Odd  (20 ms)
           came twice (step 6)
  7  DIFF  server → device  PostScanJobEndStateEvent
           JobCompletedState is Aborted, was Completed
             at PostScanJobEndState/JobCompletedState
           recorded: frames 7 of x.pcap, after 0.5 s

1 as recorded, 2 different, 1 not sent, 1 missing, 1 not recorded, 1 came twice, 1 late, 1 skipped in 2.5 s, \
against http://127.0.0.1:5362/ScanServer
first: step 3: SendImage was refused with OperationFailed (no paper)
in own.pcapng: step 6: frames 9
Two pages: differs: the job ended Aborted, recorded was Completed (6 other steps differ)""".splitlines()
    )


def test_a_run_without_a_difference_ends_in_one_line() -> None:
    assert list(summary_lines(result(step(1, "same")))) == ["Two pages: as recorded (1 step)"]


def test_long_values_are_shown_on_lines_of_their_own_and_cut() -> None:
    long = "x" * 500
    lines = list(value_lines(Difference("body", "A/B", long, "y\nz", "B is y z, was xxx…")))
    assert lines == ["at A/B", "- recorded: " + "x" * 199 + "…", "+ received: y\nz"]


def test_every_outcome_has_a_mark_and_a_word() -> None:
    assert MARKS.keys() == OUTCOMES.keys()
    assert all(len(mark) <= 5 for mark in MARKS.values())


def test_nothing_of_a_peer_steers_a_terminal() -> None:
    found = hostile()
    text = "\n".join([*(line for one in found.steps for line in step_lines(one)), *summary_lines(found)])
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\\x1b[31m" in text


# -- JUnit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_junit_is_valid(name: str, tmp_path: Path) -> None:
    root = junit_of(RESULTS[name](), tmp_path)
    XSD.assertValid(root)


def test_junit_counts_what_failed(tmp_path: Path) -> None:
    suite = junit_of(every_outcome(), tmp_path)[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time", "timestamp")} == {
        "tests": "9", "failures": "7", "errors": "0", "skipped": "1", "time": "2.500",
        "timestamp": "2026-09-21T14:13:20",
    }  # fmt: skip
    cases = {one.get("name"): one for one in suite.iter("testcase")}
    assert list(cases) == [
        "001 CreatePostScanJobRequest", "002 SendImageRequest", "003 SendImageRequest", "004 SendImageRequest",
        "005 PostScanJobStatusEvent", "006 SendImageRequest", "Odd (unexpected 1)", "Odd (doubled 2)",
        "007 PostScanJobEndStateEvent",
    ]  # fmt: skip
    failure = cases["006 SendImageRequest"][0]
    assert (failure.tag, failure.get("type"), failure.get("message")) == (
        "failure", "late", "came after it had been given up; x",
    )  # fmt: skip
    assert failure.text is not None
    assert failure.text.splitlines() == [
        "JobToken is t-3, t-2 was expected", "  at JobToken", "  - recorded: t-1", "  = expected: t-2",
        "  + received: t-3", "recorded: frames 6 of x.pcap, after 0.5 s", "came: frames 9 of own.pcapng",
    ]  # fmt: skip
    assert {one.get("name"): one.get("value") for one in suite.iter("property")} == {
        "scenario": "Two pages", "target": "http://127.0.0.1:5362/ScanServer", "capture": "x.pcap", "plays": "device",
    }  # fmt: skip


def test_a_target_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    root = junit_of(result(unreachable="cannot be reached"), tmp_path)
    XSD.assertValid(root)
    assert root[0].get("errors") == "1"
    assert root.find(".//testcase[@name='target']/error") is not None


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnwritableOutput, match="No such file or directory"):
        write_junit([run_suite(result())], tmp_path / "no" / "junit.xml", name="x")
    with pytest.raises(UnwritableOutput, match="No such file or directory"):
        write_page("x", tmp_path / "no" / "page.html")


# -- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_json_fits_its_schema_and_the_schema_names_every_key(name: str) -> None:
    data = json.loads(dumps(RESULTS[name]().to_json()))
    jsonschema.Draft202012Validator(closed(schema(data["schema"]))).validate(data)


def test_the_schemas_are_sound() -> None:
    for name in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema(name))
        assert schema(name)["properties"]["schema"]["const"] == name
        assert every_key_is_required({key: value for key, value in schema(name).items() if key != "counts"})


# -- HTML ------------------------------------------------------------------------------------------------------------


def test_a_page_shows_the_line_the_ladder_and_both_values() -> None:
    text = run_page(every_outcome())
    root = etree.HTML(text)
    assert root.findtext(".//title") == every_outcome().headline
    verdict = root.find(".//p[@class='verdict bad']")
    assert verdict is not None
    assert "".join(verdict.itertext()) == (
        "Differs: the job ended Aborted, recorded was Completed (6 other steps differ)"
        "First difference: step 3: SendImage was refused with OperationFailed (no paper)"
    )
    assert len(root.findall(".//div[@class='row']")) == 9
    rows = [["".join(cell.itertext()) for cell in row.findall("td")] for row in root.iter("tr")]
    assert ["JobToken is t-3, t-2 was expected", "JobToken", "t-1now expected: t-2", "t-3"] in rows
    assert len(root.findall(".//i[@class='arrow right good']")) == 1
    assert len(root.findall(".//i[@class='arrow left dashed bad']")) == 1
    assert "Recorded: frames 6 of x.pcap, after 0.5 s. Came: frames 9 of own.pcapng." in text


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    for found in (every_outcome(), hostile()):
        text = run_page(found)
        assert "default-src 'none'" in text
        root = etree.HTML(text)
        assert {element.tag for element in root.iter("*")} <= {
            "html", "head", "body", "meta", "title", "style", "main", "h1", "h2", "p", "small", "dl", "dt", "dd", "div",
            "span", "i", "table", "tr", "th", "td", "footer",
        }  # fmt: skip
        names = {name for element in root.iter("*") for name in element.keys()}  # noqa: SIM118 (no mapping)
        assert names <= {"lang", "charset", "http-equiv", "content", "name", "class", "style"}
        assert "url(" not in text
        assert "@import" not in text
        body = text.partition("</style>")[2]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", body)


def test_a_page_is_written_whatever_is_in_it(tmp_path: Path) -> None:
    write_page(run_page(hostile()), tmp_path / "page.html")
    assert "<script>" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_markup_is_only_made_by_tags() -> None:
    assert tag("p", "<b>", Html("<i>"), None, class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;<i></p>'
    assert NASTY not in run_page(hostile())


def test_a_step_between_unknown_parties_has_no_arrow() -> None:
    found = result(step(1, "same", sender="", receiver=""), parties={})
    assert 'class="arrow' not in run_page(found)


# -- rules -----------------------------------------------------------------------------------------------------------


def test_the_manual_of_rules_has_every_row() -> None:
    text = rules_text()
    for word in ("one of A|B|C", "pixels", "JobToken ", "everything else", "type dateTime", "Header/To"):
        assert word in text
    assert all(len(line) <= 120 for line in text.splitlines())
