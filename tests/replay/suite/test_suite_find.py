"""The scenarios below a folder, and what each touches."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import UnreadableInput, UsageError
from replay.net.client import target_of
from replay.scenario.extract import extract
from replay.scenario.files import save_scenario
from replay.suite.find import chosen, devices_of, find_scenarios, prepare
from replay.suite.model import Settings


def place(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "scenario.yaml").touch()


def test_every_folder_with_a_scenario_and_no_hidden_one(tmp_path: Path) -> None:
    place(tmp_path, "b", "a/two", "a/one", ".git/x", "b/bodies")
    (tmp_path / "empty").mkdir()
    assert list(find_scenarios(tmp_path)) == ["a/one", "a/two", "b"]
    assert find_scenarios(tmp_path)["a/one"] == tmp_path / "a" / "one"
    assert list(find_scenarios(tmp_path / "b")) == ["b"]


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"there is no scenario.yaml in it or below it"):
        find_scenarios(tmp_path)
    with pytest.raises(UnreadableInput, match="no such folder"):
        find_scenarios(tmp_path / "no")
    (tmp_path / "capture.pcap").touch()
    with pytest.raises(UnreadableInput, match="is a file; a suite is a folder of scenarios"):
        find_scenarios(tmp_path / "capture.pcap")


def test_choosing_by_name() -> None:
    names = ["a/one", "a/two", "b"]
    assert chosen(names, []) == names
    assert chosen(names, ["a/*"]) == ["a/one", "a/two"]
    assert chosen(names, ["b", "*/two"]) == ["a/two", "b"]
    with pytest.raises(UsageError, match="--only c: no scenario is called so; there is a/one"):
        chosen(names, ["b", "c"])


def test_what_is_touched() -> None:
    def of(*urls: str) -> set[str]:
        return set(devices_of(target_of(url) for url in urls))

    assert of("http://127.0.0.1:1/", "http://localhost:2/", "http://[::1]:3/") == {
        "127.0.0.1:1",
        "localhost:2",
        "::1:3",
    }
    assert of("http://192.0.2.1:80/a", "https://192.0.2.1:5358/b") == {"192.0.2.1"}
    assert of("http://Bench.Example.test/") == {"bench.example.test"}
    assert of() == {"anybody"}


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = Path(__file__).parent.parent.parent.parent / "pcaps"
    made, contents = extract(samples / "emulated" / "device-polls.pcap")
    save_scenario(made, contents, tmp_path_factory.mktemp("find") / "s")
    return next(tmp_path_factory.getbasetemp().glob("find*/s"))


def test_preparing(scenario: Path) -> None:
    case, targets = prepare("s", scenario, Settings(target="http://192.0.2.1:5/", targets={"elsewhere": "http://x/"}))
    assert case.problem is None
    assert case.devices == {"192.0.2.1"}
    assert [str(one) for one in targets.values()] == ["http://192.0.2.1:5/"]
    assert prepare("s", scenario, Settings(target="http://h/", device="bench"))[0].devices == {"bench"}
    with pytest.raises(UsageError, match="s: --target URL is missing"):
        prepare("s", scenario, Settings())
    with pytest.raises(UsageError, match="s: 'ftp://h/' is no URL"):
        prepare("s", scenario, Settings(target="ftp://h/"))


def test_values_that_are_given_for_all_are_put_where_they_are_known(scenario: Path) -> None:
    given = {"user_identifier": "S-1", "nobody": "1", "own": "2"}
    case, _ = prepare("s", scenario, Settings(target="http://h/", given=given, shared=frozenset({"nobody"})))
    assert set(case.settings.given) == {"user_identifier", "own"}


def test_what_cannot_be_played_is_a_case_with_a_problem(scenario: Path, tmp_path: Path) -> None:
    place(tmp_path, "empty")
    case, targets = prepare("empty", tmp_path / "empty", Settings(target="http://h/"))
    assert "scenario.yaml" in str(case.problem)
    assert targets == {}
    assert "the parties are" in str(prepare("s", scenario, Settings(plays="nobody"))[0].problem)
    assert prepare("empty", tmp_path / "empty", Settings(skip="x"))[0].problem is None
