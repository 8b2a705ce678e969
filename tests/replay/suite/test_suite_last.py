"""The last result: remembered scenario by scenario, compared, and never trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissector.base.errors import UnwritableOutput
from replay.suite.last import changes, load_last, save_last
from replay.suite.model import CaseResult, Run, SuiteResult

BEGAN = 1_790_000_000_000_000_000


def suite(**seconds: float | str) -> SuiteResult:
    """Name → seconds of a good run, or an outcome."""
    cases = []
    for name, told in seconds.items():
        one = CaseResult(name)
        if told == "skipped":
            one.skip = "no"
        elif told == "flaky":
            one.add(Run(1, "different", "x", BEGAN, 1.0), None)
            one.add(Run(2, "same", "", BEGAN, 1.0), None)
        elif told != "not run":
            outcome = told if isinstance(told, str) else "same"
            one.add(Run(1, outcome, "x", BEGAN, told if isinstance(told, float) else 1.0), None)
        cases.append(one)
    return SuiteResult("bench", cases, BEGAN)


def test_what_changed_since(tmp_path: Path) -> None:
    path = tmp_path / "last"
    before = suite(a=1.0, b=1.0, c="different", d="different", e=1.0, f=1.0, g="unreachable", h=0.1, gone=1.0)
    save_last(path, load_last(path), before)
    now = suite(
        a=1.0, b="different", c=1.0, d="flaky", e=1.6, f=0.5, g="different", h=0.3, new=1.0, s="skipped", n="not run"
    )
    found = changes(load_last(path), now)
    assert found.to_json() == {
        "since": "2026-09-21T14:13:20.000000Z", "newly_failing": ["b"], "mended": ["c"], "still_failing": ["d", "g"],
        "new": ["new"], "slower": [{"scenario": "e", "before": 1.0, "now": 1.6}],
        "faster": [{"scenario": "f", "before": 1.0, "now": 0.5}],
    }  # fmt: skip
    assert list(found.words()) == [
        "newly failing: b", "mended: c", "still failing: d, g", "new: new", "slower: e (1.00 s → 1.60 s)",
        "faster: f (1.00 s → 0.50 s)",
    ]  # fmt: skip


def test_what_was_not_played_is_still_remembered(tmp_path: Path) -> None:
    path = tmp_path / "last"
    save_last(path, load_last(path), suite(a=1.0, b="different", c=1.0))
    save_last(path, load_last(path), suite(a="different", b="not run", c="skipped"))
    assert {name: one.state for name, one in load_last(path).cases.items()} == {
        "a": "different", "b": "different", "c": "same",
    }  # fmt: skip
    assert [one.name for one in tmp_path.iterdir()] == ["last"]


def test_nothing_to_compare_with(tmp_path: Path) -> None:
    last = load_last(tmp_path / "none")
    assert last.problem == ""
    found = changes(last, suite(a=1.0))
    assert found.to_json() is None
    assert list(found.words()) == []


GOOD = {"schema": "dsmreplay.suite-last/1", "scenarios": {"a": {"state": "same", "seconds": 1.0, "began": "x"}}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read"), ("{", "cannot be read"), ("[" * 100_000, "cannot be read"), ("\xff", "cannot be read"),
        ("[]", "not written by dsmreplay suite"), ('{"schema": "x"}', "not written by dsmreplay suite"),
        (json.dumps(GOOD | {"scenarios": []}), "not written by"),
        (json.dumps(GOOD | {"scenarios": {"a": 1}}), "'a' is damaged"),
        (json.dumps(GOOD | {"scenarios": {"a": {"state": "odd", "began": ""}}}), "'a' is damaged"),
        (json.dumps(GOOD | {"scenarios": {"a": {"state": "same", "began": 1}}}), "'a' is damaged"),
    ],
)  # fmt: skip
def test_files_that_are_none(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "last").write_bytes(text.encode("latin-1"))
    found = load_last(tmp_path / "last")
    assert told in found.problem
    assert found.cases == {}


@pytest.mark.parametrize("seconds", [None, True, "1"])
def test_seconds_that_are_none(seconds: object, tmp_path: Path) -> None:
    data = GOOD | {"scenarios": {"a": {"state": "same", "seconds": seconds, "began": "x"}}}
    (tmp_path / "last").write_text(json.dumps(data))
    assert load_last(tmp_path / "last").cases["a"].seconds is None


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnwritableOutput, match="No such file"):
        save_last(tmp_path / "no" / "last", load_last(tmp_path / "x"), suite(a=1.0))
