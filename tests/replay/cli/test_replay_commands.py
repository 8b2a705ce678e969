"""``dsmreplay extract`` and ``run``, as they are called."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

import dissector
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.cli import main
from replay.cli.outputs import key_log_of, why_not_writable
from replay.devices.emulator import Around
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.server import ScanServer
from replay.pytest_plugin import Running
from replay.report.jsontext import schema
from tests.support.loopback import closed_port
from tests.support.schemas import closed

DONE = Outcome("CompletedSuccessfully", ())
USER = {"S-1-5-21-1004336348-1177238915-682003330-1109": "alice@example.test"}


@pytest.fixture
def scenario(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder = str(tmp_path / "scenario")
    assert main(["extract", str(samples / "emulated" / "device-completed.pcap"), "-o", folder]) == 0
    assert "20 steps (12 events)" in capsys.readouterr().out
    return folder


def server(**more: object) -> Running[ScanServer]:
    return Running(lambda: ScanServer(outcomes={"fileshare": DONE, "email": DONE}, users=USER, **more))


def test_what_could_be_extracted(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = str(samples / "dsm-two-jobs.pcapng")
    assert main(["extract", capture, "--list"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("1  WS-DSP: 32 messages, 6 events in 0.013 s, from 2026-")
    assert "     device    DSM device     192.0.2.10  listens at http://192.0.2.10:5357\n" in told
    assert "     server    scan server    192.0.2.20  listens at http://192.0.2.20:5362\n" in told
    assert main(["extract", capture, "--list", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(closed(schema("dsmreplay.stories/1"))).validate(data)
    assert len(data["stories"][0]["jobs"]) == 2
    assert main(["extract", capture, "--list", "--job", "8a2a"]) == 0
    assert main(["extract", capture, "--list", "--host", "192.0.2.99"]) == 0
    assert "no sequence in this capture fits" in capsys.readouterr().out
    assert main(["extract", capture, "--list", "--service", "WS-X"]) == 2


def test_every_value_is_explained(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", str(samples / "dsm-completed.pcapng"), "--explain"]) == 0
    told = capsys.readouterr().out
    assert "job_token = afbd67f9-6196-49cf-a198-8ad9f06c144a  (token, made by the server)" in told
    assert "    born  CreatePostScanJobResponse (step 3, frame 19): body JobToken" in told
    assert main(["extract", str(samples / "dsm-completed.pcapng"), "--explain", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(closed(schema("dsmreplay.extracted/1"))).validate(data)
    assert {one["name"]: one["born"] for one in data["values"]}["job_token"]["frame"] == 19


def test_what_cannot_be_read_is_said(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = samples / "others" / "scan-tls-1.2.pcap"
    assert main(["extract", str(scan), "--list"]) == 0
    told = capsys.readouterr()
    assert "no sequence in this capture" in told.out
    assert "could not be read: no keys" in told.err
    keys = ["--keylog", str(scan.with_suffix(".keys"))]
    assert main(["extract", str(scan), *keys, "-o", str(tmp_path / "scenario")]) == 0
    assert "scanner   scanner at https://10.77.0.2:5358" in capsys.readouterr().out


def test_where_to_is_looked_at_before_the_capture_is_read(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", "/nonexistent.pcap", "-o", scenario]) == 2
    assert "holds a scenario, which may have been edited: --force" in capsys.readouterr().err
    assert main(["extract", "/nonexistent.pcap", "-o", scenario, "--force"]) == 3
    assert "/nonexistent.pcap" in capsys.readouterr().err


def test_nowhere_to_write(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", str(samples / "dsm-completed.pcapng")]) == 2
    assert "-o DIR" in capsys.readouterr().err
    assert main(["extract", str(samples / "others" / "windows-hello.pcap"), "-o", "x"]) == 3


def test_a_run_that_is_as_recorded(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, junit = tmp_path / "own.pcapng", tmp_path / "junit.xml"
    with server() as peer:
        assert main(["run", scenario, "--target", peer.url, "--pcap", str(own), "--junit", str(junit)]) == 0
    told = capsys.readouterr().out
    assert told.count("  ok  ") == 20
    assert told.endswith("as recorded (20 steps)\n")
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("20", "0", "0")
    with dissector.open(str(own)) as capture:
        assert [job.completed_state for job in capture.jobs] == ["Completed"]
        assert [one for m in capture.messages for one in m.all_findings() if one.severity == "error"] == []


def test_quietly_what_differs_and_the_end(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as peer:
        assert main(["run", scenario, "--target", peer.url, "-q"]) == 0
    assert capsys.readouterr().out == "DSM device and scan server: as recorded (20 steps)\n"
    around = Around(behaviour=Behaviour([parse_rule("EndPostScanJob: end_state=Aborted")]))
    with server(around=around) as peer:
        assert main(["run", scenario, "--target", peer.url, "--keep-going", "-q"]) == 1
    told = capsys.readouterr().out
    assert [line[:11] for line in told.splitlines() if "device  Post" in line] == [" 18  DIFF  ", " 19  DIFF  "]
    assert told.endswith("the job ended Aborted, recorded was Completed (1 other step differs)\n")
    assert "  ok  " not in told


def test_a_target_of_another_path_is_told(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A target is the address of the first request: who names another one is told so."""
    with server() as peer:
        assert main(["run", scenario, "--target", f"{peer.url}/other"]) == 1
    assert "the target's path; it was recorded at /ScanServer: --target is the address that" in capsys.readouterr().err


def test_a_run_that_differs(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit = tmp_path / "junit.xml"
    failed = {"fileshare": Outcome("CompletedWithErrors", ("FileShareAccessDenied",)), "email": DONE}
    with Running(lambda: ScanServer(outcomes=failed, users=USER)) as peer:
        arguments = ["run", scenario, "--target", peer.url, "--keep-going"]
        assert main([*arguments, "--junit", str(junit)]) == 1
        told = capsys.readouterr().out
        assert main([*arguments, "--json"]) == 1
        data = json.loads(capsys.readouterr().out)
    assert "DIFF" in told
    assert "recorded: frame" in told
    assert "of device-completed.pcap, after 0." in told
    assert "was CompletedSuccessfully" in told
    assert data["same"] is False
    assert data["headline"] == told.splitlines()[-1]
    assert int(ElementTree.parse(junit).getroot().get("failures", "0")) > 0


def test_what_differs_is_found_in_the_capture_of_the_replay(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(tmp_path / "own.pcapng")
    around = Around(behaviour=Behaviour([parse_rule("EndPostScanJob: end_state=Aborted")]))
    with server(around=around) as peer:
        arguments = ["run", scenario, "--target", peer.url, "--keep-going", "--pcap", own, "--json"]
        assert main(arguments) == 1
    steps = {one["name"]: one for one in json.loads(capsys.readouterr().out)["steps"]}
    with dissector.open(own) as capture:
        frames = next(one.frames for one in capture.messages if one.name == "PostScanJobEndStateEvent")
    told = f"frames {frames[0]}–{frames[-1]}" if len(frames) > 1 else f"frame {frames[0]}"
    assert steps["PostScanJobEndStateEvent"]["came_in"] == f"{told} of own.pcapng"
    assert steps["Get"]["came_in"] is None


def test_a_capture_is_no_scenario(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("emulated/airscan-platen.pcap", "dsm-completed.pcapng"):
        path = samples / name
        assert main(["run", str(path), "--target", "http://127.0.0.1:9/"]) == 2
        told = f"dsmreplay: {path}: is a capture and no scenario; dsmreplay extract makes one of it\n"
        assert capsys.readouterr().err == told


def test_whom_to_trust_is_looked_at_first(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["run", scenario, "--target", "http://127.0.0.1:9/"], ["emulate", "scan-server", "--http"]):
        assert main([*command, "--trust", "nosuch.pem"]) == 3
        told = capsys.readouterr()
        assert (told.out, told.err) == ("", "dsmreplay: nosuch.pem: No such file or directory\n")


def test_a_target_that_is_not_there(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/"]) == 4
    assert "cannot be reached" in capsys.readouterr().out


def test_another_machine_is_asked_for(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scenario, "--target", "http://192.0.2.99/"]) == 2
    assert "--yes says that it may be sent to" in capsys.readouterr().err


def test_a_pipe_of_the_shell_is_written_to() -> None:
    """``>(cat)`` is a link that leads to no path."""
    read, write = os.pipe()
    try:
        assert why_not_writable(Path(f"/dev/fd/{write}")) == ""
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize(("there", "code"), [(True, 3), (False, 4)])
def test_a_capture_without_room_does_not_take_the_report_along(
    scenario: str, capsys: pytest.CaptureFixture[str], there: bool, code: int
) -> None:
    with server() as peer, closed_port() as port:
        url = peer.url if there else f"http://127.0.0.1:{port}/"
        assert main(["run", scenario, "--target", url, "--pcap", "/dev/full"]) == code
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].startswith("DSM device and scan server: ")
    assert told.out.endswith(": as recorded (20 steps)\n") is there
    assert "dsmreplay: /dev/full: not all could be written: No space left on device\n" in told.err


@pytest.mark.parametrize(("there", "code"), [(True, 3), (False, 4)])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_output_without_room_does_not_take_the_reports_along(
    scenario: str, tmp_path: Path, there: bool, code: int, more: tuple[str, ...],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    page = tmp_path / "r.html"
    with server() as peer, closed_port() as port, open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        url = peer.url if there else f"http://127.0.0.1:{port}/"
        command = ["run", scenario, "--target", url, "--junit", "/dev/full", "--html", str(page), *more]
        assert main(command) == code
    assert page.read_text().endswith("</html>\n")
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("dsmreplay: ")] == [
        "dsmreplay: standard output: cannot write: No space left on device",
        "dsmreplay: /dev/full: No space left on device",
    ]


def test_ctrl_c_while_frames_are_looked_up_takes_nothing_but_these(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locate(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("replay.cli.run.locate", locate)
    with closed_port() as port:
        own = str(tmp_path / "own.pcapng")
        assert main(["run", scenario, "--target", f"http://127.0.0.1:{port}/", "--pcap", own]) == 4
    assert "not played: " in capsys.readouterr().out


@pytest.mark.parametrize("typed", [b"", b"\n", b"n\n", b"yes please\n", b"j\xe4\n"])
def test_no_yes_is_a_no(
    scenario: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: bytes
) -> None:
    keyboard = io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    assert main(["run", scenario, "--target", "http://192.0.2.99/", "--json"]) == 2
    told = capsys.readouterr()
    question = "dsmreplay: the scenario will be sent to http://192.0.2.99/. Go on? [y/N] "
    # What is typed is shown by the terminal, with its end; the end of the input is not.
    end = "" if typed else "\n"
    assert (told.out, told.err) == ("", f"{question}{end}dsmreplay: nothing was sent\n")


def test_a_dry_run_sends_nothing(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scenario, "--target", "http://192.0.2.99/ScanServer", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told.count(" send ") == 8
    assert told.count("await") == 12
    assert " 1  send   Get to http://192.0.2.99/ScanServer  (at" in told
    assert main(["run", scenario, "--target", "http://192.0.2.99", "--dry-run"]) == 0
    assert " 1  send   Get to http://192.0.2.99/ScanServer  (at" in capsys.readouterr().out
    assert main(["run", scenario, "--target", "http://192.0.2.99/", "--dry-run", "--only", "3-4,20"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[:2] for line in told.splitlines()[1:]] == [["3", "send"], ["4", "await"], ["20", "send"]]
    assert main(["run", scenario, "--target", "http://192.0.2.99/", "--dry-run", "--from-step", "21"]) == 2
    assert "has nothing to do in these steps; there are 1 to 20" in capsys.readouterr().err


def test_a_part_that_needs_what_is_left_out(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["run", scenario, "--target", "http://127.0.0.1:9/", "--only", "5,18-20"]
    assert main(run) == 4
    told = capsys.readouterr().err
    assert "as recorded, since step 3, which hands it out, is not played: job_token (--set NAME=VALUE" in told
    assert "since step 2, which hands it out, is not played: subscription" in told
    assert main([*run, "--set", "job_token=x"]) == 4
    assert "job_token" not in capsys.readouterr().err
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/"]) == 4
    assert "is not played" not in capsys.readouterr().err


def test_who_has_to_begin_is_said(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scenario, "--as", "server", "--listen", "127.0.0.1:0", "--wait", "0.1"]) == 1
    told = capsys.readouterr()
    assert "waiting for Get of the DSM device, 0.1 s at most" in told.err
    assert "did not come within 0.1 s\n" in told.out
    # Nobody was named as a target.
    assert any(line.startswith("1 missing in ") and "against" not in line for line in told.out.splitlines())


def test_only_events_of_a_story_without(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", str(samples / "emulated" / "airscan-platen.pcap"), "-o", str(tmp_path / "scan")]) == 0
    assert main(["run", str(tmp_path / "scan"), "--target", "http://127.0.0.1:9/", "--only", "events"]) == 2
    assert "--only events: scan client and scanner has none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--as", "printer"], "the parties are device, server"),
        (["--set", "x"], "NAME=VALUE is expected"),
        (["--set", "x=1"], "the scenario has no such value"),
        (["--set", "x=1", "--set", "x="], "--set x: it is given twice, with 1 and "),
        (["--target", "server=http://a/", "--target", "server=http://b/"], "--target server: it is given twice"),
        (["--only", "a"], "numbers of steps"),
        (["--only", "7-3"], "numbers of steps"),
        (["--trust", "sha256:zz"], "fingerprint"),
        (["--target", "server=ftp://x"], "is no URL"),
        (["--target", "http://127.0.0.1:8/"], "needs the name of its party"),
        (["--target", "device=http://127.0.0.1:8/"], "device is not played against; server is"),
        (["--as", "device,server"], "nobody is left to play against"),
        (["--only", "99"], "has nothing to do"),
    ],
)
def test_wrong_options(scenario: str, capsys: pytest.CaptureFixture[str], wrong: list[str], told: str) -> None:
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", *wrong]) == 2
    assert told in capsys.readouterr().err


def test_a_plan_has_no_json_and_reports_are_files(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", "--dry-run", "--json"]) == 2
    assert "--dry-run has no JSON" in capsys.readouterr().err
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", "--junit", "-"]) == 2
    assert "--junit -: standard output is taken; give a file" in capsys.readouterr().err
    assert not Path("-").exists()


def test_a_folder_without_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path), "--target", "http://127.0.0.1:9/"]) == 3
    assert f"{tmp_path}: there is no scenario.yaml in it; dsmreplay extract makes one" in capsys.readouterr().err


def test_secrets_on_their_way_into_a_pipe(tmp_path: Path) -> None:
    """Beside a pipe no key log can stand."""
    file = tmp_path / "own.pcapng"
    assert key_log_of(None) is None
    assert key_log_of(str(file)) == tmp_path / "own.pcapng.keys"
    os.mkfifo(tmp_path / "pipe")
    keys = key_log_of(str(tmp_path / "pipe"))
    assert keys is not None
    assert keys.parent.is_dir()
    assert tmp_path not in keys.parents
    assert key_log_of(str(tmp_path / "pipe")) == keys


@pytest.mark.parametrize("option", ["--junit", "--html", "--pcap"])
def test_outputs_are_looked_at_before_anything_is_sent(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """The result of a long run must not be lost to a folder that is not there."""
    file = tmp_path / "no" / "such"
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", option, str(file)]) == 3
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == f"dsmreplay: {option} {file}: No such file or directory"
    assert "not played" not in told.out


def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("real")
    assert why_not_writable(link) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]
    assert why_not_writable(tmp_path / "a\0b") == "embedded null byte"


def test_two_outputs_in_one_file(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "result"
    outputs = ["--junit", str(file), "--html", f"{tmp_path}/./result"]
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", *outputs]) == 2
    assert "--junit and --html name the same file" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("option", ["--junit", "--html", "--pcap"])
def test_a_scenario_is_not_written_over(scenario: str, capsys: pytest.CaptureFixture[str], option: str) -> None:
    file = Path(scenario) / "scenario.yaml"
    before = file.read_bytes()
    for given in (scenario, str(file)):
        assert main(["run", given, "--target", "http://127.0.0.1:9/", option, str(file)]) == 2
        assert f"{option} {file}: that file is read; give it another one" in capsys.readouterr().err
    assert main(["serve", scenario, "--for", "0", "--pcap", str(file)]) == 2
    assert file.read_bytes() == before


def test_outputs_that_are_no_files(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = ["--junit", "/dev/null", "--html", "/dev/null"]
    assert main(["run", scenario, "--target", "http://127.0.0.1:9/", *outputs]) == 4
