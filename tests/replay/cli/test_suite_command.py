"""``dsmreplay suite`` as it is called, against emulated devices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import dissector
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.cli import main, regression
from replay.cli.playing import Bench
from replay.devices.emulator import Around
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.server import ScanServer
from replay.player.options import Options
from replay.player.result import Result
from replay.pytest_plugin import Running
from replay.scenario.extract import extract
from replay.scenario.files import save_scenario
from replay.scenario.folder import Folder
from replay.scenario.model import Scenario
from replay.suite.last import NAME
from tests.support.commands import heeds_ctrl_c
from tests.support.results import result, step

DONE = Outcome("CompletedSuccessfully", ())
USER = {"S-1-5-21-1004336348-1177238915-682003330-1109": "alice@example.test"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    samples = Path(__file__).parent.parent.parent.parent / "pcaps" / "emulated"
    for name, capture in (("dsm", "device-completed"), ("scans/platen", "airscan-platen")):
        scenario, contents = extract(samples / f"{capture}.pcap")
        save_scenario(scenario, contents, folder / name)
    return folder


@pytest.fixture
def suite(made: Path) -> Iterator[Path]:
    yield made
    for name in ("suite.yaml", ".dsmreplay-suite.json"):
        (made / name).unlink(missing_ok=True)


def server(*rules: str) -> Running[ScanServer]:
    def make() -> ScanServer:
        around = Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]))
        return ScanServer(outcomes={"fileshare": DONE, "email": DONE}, users=USER, around=around)

    return Running(make)


def describe(folder: Path, dsm: str, scan: str, more: str = "") -> None:
    text = (
        f"name: bench\nscenarios:\n  dsm: {{target: '{dsm}', tags: [smoke]}}\n  scans/*: {{target: '{scan}'}}\n{more}"
    )
    (folder / "suite.yaml").write_text(text)


def test_a_suite_with_all_its_outputs(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as dsm, Running(lambda: Scanner(pages=2)) as scanner:
        describe(suite, dsm.url, scanner.url)
        outputs = [
            "--junit",
            str(tmp_path / "j.xml"),
            "--html",
            str(tmp_path / "h.html"),
            "--pcap",
            str(tmp_path / "p"),
        ]
        assert main(["suite", str(suite), *outputs]) == 0
        told = capsys.readouterr().out
    assert sorted(line.split("  (")[0] for line in told.splitlines()[:2]) == ["ok    dsm", "ok    scans/platen"]
    assert told.endswith("bench: all 2 scenarios as recorded\n")
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("failures") == "0"
    assert "All 2 scenarios as recorded" in (tmp_path / "h.html").read_text()
    assert sorted(one.name for one in (tmp_path / "p").glob("*.pcapng")) == ["dsm-1.pcapng", "scans-platen-1.pcapng"]
    with dissector.open(str(tmp_path / "p" / "dsm-1.pcapng")) as capture:
        assert [job.completed_state for job in capture.jobs] == ["Completed"]
    assert set(json.loads((suite / ".dsmreplay-suite.json").read_text())["scenarios"]) == {"dsm", "scans/platen"}


def test_a_list_needs_no_target(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suite", str(suite), "--list", "--target", "server=http://127.0.0.1:9/"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "dsm  server http://127.0.0.1:9/",
        "scans/platen  --target URL is missing: where the scanner is",
    ]
    assert main(["suite", str(suite), "--target", "server=http://127.0.0.1:9/"]) == 2


def test_a_choice_by_tag_asks_nothing_of_the_others(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are not played need no target."""
    (suite / "suite.yaml").write_text("scenarios:\n  dsm: {target: 'http://127.0.0.1:9/', tags: [smoke]}\n")
    assert main(["suite", str(suite), "--tag", "smoke", "--forget"]) == 4
    assert main(["suite", str(suite), "--forget"]) == 2
    assert "scans/platen: --target URL is missing" in capsys.readouterr().err


def test_what_changed_since_the_last_time(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as dsm:
        (suite / "suite.yaml").write_text("scenarios:\n  scans/platen: {skip: not today}\n")
        assert main(["suite", str(suite), "--target", dsm.url]) == 0
        assert "since" not in capsys.readouterr().out
    with server("EndPostScanJob: end_state=Aborted|PostScanJobProcessingFailed") as dsm:
        assert main(["suite", str(suite), "--target", dsm.url, "--json"]) == 1
        data = json.loads(capsys.readouterr().out)
        assert data["changes"]["newly_failing"] == ["dsm"]
        assert data["states"] == {"different": 1, "skipped": 1}
        assert "the job ended Aborted, recorded was Completed" in data["scenarios"][0]["text"]
        assert main(["suite", str(suite), "--target", dsm.url, "--forget"]) == 1
        assert "since" not in capsys.readouterr().out
    with server() as dsm:
        assert main(["suite", str(suite), "--target", dsm.url]) == 0
        assert "    mended: dsm" in capsys.readouterr().out


def test_a_scenario_that_fails_now_and_then_is_flaky(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server("EndPostScanJob: end_state=Aborted, after=1, times=1") as dsm:
        assert main(["suite", str(suite), "--only", "dsm", "--target", dsm.url, "--repeat", "3", "--quiet"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("DIFF  dsm #2  (")
    assert "ok    dsm" not in told
    assert "flaky: dsm (2 of 3 runs as recorded): differs: the job ended Aborted, recorded was Completed" in told
    assert told.splitlines()[-1].endswith("of 1 scenario, 1 is flaky")


def test_quietly_there_is_no_empty_line_first(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as dsm:
        assert main(["suite", str(suite), "--only", "dsm", "--target", dsm.url, "-q"]) == 0
    assert capsys.readouterr().out.startswith("1 as recorded; 1 run in ")


def test_what_a_run_warns_of_is_told_with_its_name(
    suite: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a server did not trust our sink is why no event came."""

    async def played(scenario: Scenario, folder: Folder, options: Options, target: str, on: Bench) -> Result:
        on.log.say("note", "nothing to heed")
        on.log.say("warning", "the client refused\x1b[2J")
        return result(step(1, "missing"))

    monkeypatch.setattr(regression, "play_once", played)
    arguments = ["suite", str(suite), "--only", "dsm", "--target", "http://127.0.0.1:9/"]
    assert main(arguments) == 1
    assert capsys.readouterr().err == "dsmreplay: dsm: the client refused\\x1b[2J\n"
    assert main([*arguments, "--json"]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("more", "longest"), [((), [7.5, 900.0]), (("--max-time", "5"), [5.0, 5.0])])
def test_how_long_an_answer_may_take(
    suite: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], longest: list[float]
) -> None:
    """What the file says holds for its scenarios, before it what the command line says."""
    found: list[float] = []

    async def played(scenario: Scenario, folder: Folder, options: Options, target: str, on: Bench) -> Result:
        assert options.max_time is not None
        found.append(options.max_time)
        return result(step(1, "same"))

    monkeypatch.setattr(regression, "play_once", played)
    (suite / "suite.yaml").write_text("max-time: 7.5\nscenarios:\n  dsm: {max-time: 900}\n")
    assert main(["suite", str(suite), "--target", "http://127.0.0.1:9/", *more]) == 0
    assert sorted(found) == longest


def test_until_a_failure(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server("CreatePostScanJob: fault=InvalidArgs, after=2, times=1") as dsm:
        arguments = ["suite", str(suite), "--only", "dsm", "--target", dsm.url, "--until-failure", "--first-difference"]
        assert main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  (")[0] for line in lines[:3]] == ["ok    dsm #1", "ok    dsm #2", "DIFF  dsm #3"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--target", "http://127.0.0.1:9/"], 4, "of 2 scenarios, 2 could not reach their targets"),
        ([], 2, "--target URL is missing"),
        (["--target", "ftp://x"], 2, "is no URL"),
        (["--target", "http://192.0.2.1/"], 2, "--yes says that it may be sent to"),
        (["--only", "x"], 2, "no scenario is called so"),
        (["--tag", "x", "--target", "http://127.0.0.1:9/"], 2, "--tag x: no scenario has it"),
        (["--repeat", "0"], 2, "a number from 1 to"),
        (["--set", "x"], 2, "NAME=VALUE"),
        (["--set", "nobody=1", "--target", "http://127.0.0.1:9/"], 2, "--set nobody: no scenario has such a value"),
        (["--set", "share_unc=1", "--target", "http://127.0.0.1:9/"], 4, "2 could not reach their targets"),
        (["--target", "http://127.0.0.1:9/", "--list"], 0, "dsm  server http://127.0.0.1:9/"),
    ],
)  # fmt: skip
def test_exit_codes(
    suite: Path, arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suite", str(suite), *arguments]) == code
    said = capsys.readouterr()
    assert told in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--trust", "none.pem"], 3),
        (["--trust", "sha256:x"], 2),
        (["--client-certificate", "none.pem", "none.pem"], 3),
        (["--certificate", "none.pem", "none.pem"], 3),
        (["--proxy", "ftp://x"], 2),
        (["--listen", "nowhere"], 2),
    ],
)
def test_what_is_wrong_for_all_is_told_once_and_not_remembered(
    suite: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert main(["suite", str(suite), "--target", "http://127.0.0.1:9/", *arguments]) == code
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert not (suite / NAME).exists()


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["suite", str(tmp_path / "no")]) == 3
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "serve", "suite"])
def test_a_folder_without_a_scenario_is_the_same_to_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, str(tmp_path)]) == 3
    assert f"{tmp_path}: there is no scenario.yaml in it" in capsys.readouterr().err


def test_a_broken_scenario_does_not_hold_up_the_others(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (suite / "wrong").mkdir()
    try:
        (suite / "wrong" / "scenario.yaml").write_text("format: other\n")
        with server() as dsm:
            assert main(["suite", str(suite), "--only", "dsm", "--only", "wrong", "--target", dsm.url]) == 2
    finally:
        (suite / "wrong" / "scenario.yaml").unlink()
        (suite / "wrong").rmdir()
    told = capsys.readouterr().out
    assert "ok    dsm" in told
    assert "broken: wrong: " in told
    assert "scenario.yaml:1: no scenario" in told


def test_a_memory_that_is_none_is_told(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last").write_text("x")
    arguments = ["--only", "dsm", "--target", "http://127.0.0.1:9/", "--last", str(tmp_path / "last")]
    assert main(["suite", str(suite), *arguments]) == 4
    assert "nothing is compared" in capsys.readouterr().err
    assert "dsm" in json.loads((tmp_path / "last").read_text())["scenarios"]


@pytest.mark.parametrize("option", ["--junit", "--html", "--last"])
def test_outputs_are_looked_at_before_anything_is_sent(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    arguments = ["--only", "dsm", "--target", "http://127.0.0.1:9/", option, str(tmp_path / "no" / "such")]
    assert main(["suite", str(suite), *arguments]) == 3
    told = capsys.readouterr()
    assert (told.out, told.err.count(option)) == ("", 1)


@pytest.mark.parametrize("option", ["--junit", "--html", "--last"])
@pytest.mark.parametrize("name", ["suite.yaml", "dsm/scenario.yaml"])
def test_what_is_read_is_not_written_over(
    suite: Path, capsys: pytest.CaptureFixture[str], option: str, name: str
) -> None:
    (suite / "suite.yaml").write_text("jobs: 1\n")
    before = (suite / name).read_bytes()
    assert main(["suite", str(suite), "--target", "http://127.0.0.1:9/", option, str(suite / name)]) == 2
    assert "that file is read; give it another one" in capsys.readouterr().err
    assert (suite / name).read_bytes() == before


def test_a_memory_is_a_file(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is remembered takes the place of the file as a whole: that must not be done to a device."""
    arguments = ["--only", "dsm", "--target", "http://127.0.0.1:9/", "--last"]
    assert main(["suite", str(suite), *arguments, "/dev/null"]) == 2
    assert "--last /dev/null: no file; --forget" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    assert main(["suite", str(suite), *arguments, str(tmp_path / "link")]) == 4
    assert (tmp_path / "link").is_symlink()
    assert "dsm" in json.loads((tmp_path / "real").read_text())["scenarios"]


def test_a_folder_where_nothing_can_be_remembered(
    suite: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the checkout of a build server: the suite is played all the same. (Root may write anywhere.)"""
    monkeypatch.setattr(regression, "why_not_writable", lambda path: "Read-only file system")
    assert main(["suite", str(suite), "--only", "dsm", "--target", "http://127.0.0.1:9/"]) == 4
    assert "Read-only file system; this result is not remembered (--last FILE" in capsys.readouterr().err
    assert not (suite / NAME).exists()


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_output_without_room_does_not_take_the_reports_along(
    suite: Path, tmp_path: Path, more: tuple[str, ...],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    page = tmp_path / "s.html"
    with server() as dsm, open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        command = ["suite", str(suite), "--only", "dsm", "--target", dsm.url, "--html", str(page)]
        assert main([*command, "--junit", "/dev/full", *more]) == 3
    assert "1 scenario as recorded" in page.read_text()
    assert '"same"' in (suite / NAME).read_text()
    assert capsys.readouterr().err.splitlines() == [
        "dsmreplay: standard output: cannot write: No space left on device",
        "dsmreplay: /dev/full: No space left on device",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("often", "ended"), [(("--repeat", "100000"), 130), (("--until-failure",), 0)])
def test_ctrl_c_gives_the_summary_so_far(
    suite: Path, often: tuple[str, ...], ended: int, number: signal.Signals
) -> None:
    with server() as dsm:
        command = [sys.executable, "-m", "replay", "suite", str(suite), "--only", "dsm", "--target", dsm.url]
        child = subprocess.Popen(
            [*command, *often],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            preexec_fn=heeds_ctrl_c,
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        child.send_signal(number)
        rest, _ = child.communicate(timeout=60)
    assert first.startswith("ok    dsm #1")
    assert "interrupted" in rest.splitlines()[-1]
    # Without an end of its own it is over when somebody ends it; else what was not played was not as recorded.
    assert child.returncode == ended
