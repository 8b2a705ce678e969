"""``suite.yaml``: what holds for which scenario; every wrong edit is told with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dissector.base.errors import UsageError
from replay.suite.file import SuiteFile, load_suite_file
from replay.suite.model import Settings

NAMES = ["customer-a", "nightly/one", "nightly/two"]
FULL = """\
name: bench
target: http://192.0.2.1/ScanServer
set: {user: alice, other: 7}
repeat: 2
jobs: 3
scenarios:
  nightly/*:
    repeat: 10
    slack: 30
    tags: smoke
    set: {user: bob}
  nightly/two/:
    target: {server: "http://192.0.2.2/", device: "http://192.0.2.3/"}
    as: client
    tags: [adf, paper]
    speed: 1.5
    wait: 5
    max-time: 900
    device: bench-2
    steps: 3-7
  customer-a:
    skip: needs somebody
"""


def load(text: str, folder: Path) -> SuiteFile:
    (folder / "suite.yaml").write_text(text, encoding="utf-8")
    return load_suite_file(folder, NAMES)


def test_what_holds_for_which_scenario(tmp_path: Path) -> None:
    file = load(FULL, tmp_path)
    assert (file.name, file.jobs) == ("bench", 3)
    common = Settings(
        target="http://192.0.2.1/ScanServer", given={"user": "alice", "other": "7"}, repeat=2,
        shared=frozenset({"user", "other"}),
    )  # fmt: skip
    assert file.settings("customer-a") == replace(common, skip="needs somebody")
    nightly = replace(
        common,
        repeat=10,
        slack=30.0,
        tags=frozenset({"smoke"}),
        given={"user": "bob", "other": "7"},
        shared=frozenset({"other"}),
    )
    assert file.settings("nightly/one") == nightly
    assert file.settings("nightly/two") == replace(
        nightly, target="", targets={"server": "http://192.0.2.2/", "device": "http://192.0.2.3/"}, plays="client",
        tags=frozenset({"adf", "paper"}), speed=1.5, wait=5.0, max_time=900.0, device="bench-2", steps="3-7",
    )  # fmt: skip


def test_the_command_line_is_for_all_and_an_entry_for_one(tmp_path: Path) -> None:
    file = load(FULL, tmp_path)

    def over(settings: Settings) -> Settings:
        return replace(settings, target="http://192.0.2.9/", repeat=5)

    assert file.settings("customer-a", over).target == "http://192.0.2.9/"
    assert file.settings("nightly/one", over).repeat == 10
    assert file.settings("nightly/two", over).target == ""


@pytest.mark.parametrize("text", ["", "# nothing\n", "scenarios:\n", "scenarios:\n  customer-a:\n"])
def test_all_of_it_is_optional(text: str, tmp_path: Path) -> None:
    assert load(text, tmp_path).settings("customer-a") == Settings()
    (tmp_path / "suite.yaml").unlink()
    assert load_suite_file(tmp_path, NAMES).settings("customer-a") == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "no suite; expected a mapping with target"),
        ("name: x\ntagret: y\n", ":2: tagret is not known; expected target"),
        ("scenarios: [a]\n", ":1: scenarios is no mapping; expected folders"),
        ("scenarios:\n  customer-b: {}\n", ":2: there is no scenario customer-b; expected customer-a"),
        ("scenarios:\n  zzz: {}\n", ":2: there is no scenario zzz; expected customer-a, nightly/one, nightly/two"),
        ("scenarios:\n  customer-a: often\n", ":2: customer-a is 'often'; expected a mapping"),
        ("scenarios:\n  customer-a:\n    jobs: 2\n", ":3: jobs is not known; expected target, as, set"),
        ("target: 7.5\n", ":1: target is 7.5; expected a URL"),
        ("target: {server: [x]}\n", "target is .*; expected URLs by name of party"),
        ("target: ''\n", ":1: target is ''; expected a URL"),
        ("set: x\n", ":1: set is 'x'; expected values by name"),
        ("set: {x: }\n", ":1: set is .*; expected values by name"),
        ("repeat: 0\n", ":1: repeat is 0; expected a number from 1 to 1000000"),
        ("repeat: true\n", ":1: repeat is True; expected a number"),
        ("jobs: 65\n", ":1: jobs is 65; expected a number from 1 to 64"),
        ("speed: -1\n", ":1: speed is -1; expected a factor"),
        ("slack: 0\n", ":1: slack is 0; expected seconds above 0"),
        ("wait: soon\n", ":1: wait is 'soon'; expected seconds above 0"),
        ("max-time: 0\n", ":1: max-time is 0; expected seconds above 0"),
        ("max_time: 5\n", ":1: max_time is not known; expected max-time"),
        ("scenarios:\n  customer-a: {tags: [[x]]}\n", "tags is .*; expected words"),
        ("scenarios:\n  customer-a: {skip: true}\n", ":2: skip is True; expected why it is left out"),
        ("scenarios:\n  customer-a: {device: [x]}\n", "device is .*; expected a text"),
        ("as: []\n", ":1: as is .*; expected a party"),
        ("name: [\n", r"suite.yaml:\d+:\d+: "),
    ],
)  # fmt: skip
def test_wrong_edits(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        load(text, tmp_path)
