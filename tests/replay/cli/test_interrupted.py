"""Ctrl-C: whoever did not come to an end says so, and nobody takes it for a success."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from dissector.base.errors import ExitCode
from replay.base.clock import RealClock
from replay.cli import main
from replay.cli.outputs import Output
from replay.cli.playing import Keyboard
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.server import ScanServer
from replay.pytest_plugin import Running
from replay.report.jsontext import schema
from replay.scenario.files import load_scenario
from tests.support.commands import PATIENCE, Command, heeds_ctrl_c
from tests.support.schemas import closed


@pytest.fixture
def scenario(samples: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    assert main(["extract", str(samples / "emulated" / "device-completed.pcap"), "-o", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_says_how_far_it_came(scenario: Path, tmp_path: Path, number: signal.Signals) -> None:
    junit, page = tmp_path / "r.xml", tmp_path / "r.html"

    async def story() -> tuple[int, list[str]]:
        server = ("run", scenario, "--as", "server", "--listen", "127.0.0.1:0")
        async with Command(*server, "--verbose", "--junit", junit, "--html", page) as command:
            # What listens is there: its device never comes.
            async with asyncio.timeout(PATIENCE):
                assert command.process.stderr is not None
                while b"listens on" not in await command.process.stderr.readline():
                    pass
            return await command.ended(number), command.lines

    code, lines = asyncio.run(story())
    assert code == 130
    assert lines[-1] == "DSM device and scan server: interrupted (no steps until then)"
    root = ElementTree.parse(junit).getroot()
    assert root.get("errors") == "1"
    assert [one.get("type") for one in root.iter("error")] == ["interrupted"]
    assert "interrupted (no steps until then)" in page.read_text()


def test_a_terminal_that_is_closed_does_not_take_the_report_along(scenario: Path, tmp_path: Path) -> None:
    junit = tmp_path / "r.xml"
    ours, theirs = pty.openpty()

    def of_this_terminal() -> None:
        heeds_ctrl_c()
        fcntl.ioctl(0, termios.TIOCSCTTY)

    command = [sys.executable, "-m", "replay", "run", scenario, "--as", "server", "--listen", "127.0.0.1:0"]
    child = subprocess.Popen(
        [*command, "--verbose", "--junit", junit], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=of_this_terminal,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"listens on" not in said:
        said += os.read(ours, 4096)
    os.close(ours)
    assert child.wait(PATIENCE) == 130
    assert [one.get("type") for one in ElementTree.parse(junit).getroot().iter("error")] == ["interrupted"]


def test_a_terminal_that_is_gone_is_no_output_that_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a command that was told to outlive it."""
    ours, theirs = pty.openpty()
    os.close(ours)
    gone: list[bool] = []
    with open(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        output = Output(lambda: gone.append(True))
        output.say("as recorded")
        output.say("in the end")
    assert output.code(ExitCode.OK) is ExitCode.OK
    assert gone == [True]
    assert capsys.readouterr().err == ""


def test_a_run_at_the_keyboard_ends_without_a_key(scenario: Path) -> None:
    async def story() -> tuple[int, dict[str, object]]:
        run = ("run", scenario, "--target", "http://127.0.0.1:9/", "--step-by-step", "--json")
        async with Command(*run, stdin=asyncio.subprocess.PIPE) as command:
            async with asyncio.timeout(PATIENCE):
                assert command.process.stdout is not None
                assert command.process.stderr is not None
                await command.process.stderr.readuntil(b"q quit] ")
            command.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE):
                # Nobody presses Enter, and nobody closes the input.
                said = await command.process.stdout.read()
                return await command.process.wait(), json.loads(said)

    code, said = asyncio.run(story())
    assert code == 130
    jsonschema.Draft202012Validator(closed(schema("dsmreplay.result/1"))).validate(said)
    assert (said["interrupted"], said["same"]) == (True, False)


def test_what_is_typed_ahead_is_for_the_steps_that_follow(
    scenario: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.write(write, b"v\n\nS\nq\n")
    os.close(write)
    step = load_scenario(scenario)[0].steps[0]

    async def answers() -> list[str]:
        ask = Keyboard()
        return [await ask(step, [b"POST / HTTP/1.1\r\n\x1b[31m"]) for _ in range(4)]

    with open(read) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert asyncio.run(answers()) == ["go", "skip", "stop", "stop"]
    assert "     | POST / HTTP/1.1\n     | \\x1b[31m\n" in capsys.readouterr().err


def test_answers_may_come_out_of_a_file(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "typed").write_text("\ns\n")
    step = load_scenario(scenario)[0].steps[0]

    async def answers() -> list[str]:
        ask = Keyboard()
        return [await ask(step, [b""]) for _ in range(3)]

    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert asyncio.run(answers()) == ["go", "skip", "stop"]
    # The end of the input (Ctrl-D) leaves the cursor behind the question: what is said next begins a line.
    assert capsys.readouterr().err.endswith("q quit] \n")


@pytest.mark.parametrize(("typed", "said"), [(b"\ns\n", ["go", "skip"]), (b"q\n\n", ["stop", "stop"])])
def test_steps_at_once_are_asked_for_one_after_the_other(
    scenario: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: bytes, said: list[str]
) -> None:
    read, write = os.pipe()
    step = load_scenario(scenario)[0].steps[0]

    async def answers() -> list[str]:
        ask = Keyboard()
        both = asyncio.gather(ask(step, [b""]), ask(step, [b""]))
        await asyncio.sleep(0)
        os.write(write, typed)
        async with asyncio.timeout(PATIENCE):
            return await both

    with open(read) as keys:
        monkeypatch.setattr("sys.stdin", keys)
        assert asyncio.run(answers()) == said
    os.close(write)
    assert capsys.readouterr().err.count("q quit] ") == len(set(said))


def test_quietly_there_is_no_empty_line_first(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "typed").write_text("q\n")
    with (tmp_path / "typed").open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert main(["run", str(scenario), "--target", "http://127.0.0.1:9/", "-q", "--step-by-step"]) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith("1 skipped")


def test_nobody_can_be_asked_where_there_is_no_input(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    step = load_scenario(scenario)[0].steps[0]
    assert asyncio.run(Keyboard()(step, [b""])) == "stop"
    assert main(["run", str(scenario), "--target", "http://192.0.2.99/"]) == 2


@pytest.mark.parametrize("both", [False, True], ids=["output", "output and log"])
def test_a_run_goes_on_without_its_reader(scenario: Path, both: bool) -> None:
    """Its exit code is its own: that of a pipe would say that all was as recorded."""
    with Running(lambda: ScanServer(outcomes={"fileshare": Outcome("Canceled", ())})) as peer:
        command = [sys.executable, "-m", "replay", "run", str(scenario), "--target", peer.url, "--slack", "1"]
        child = subprocess.Popen(
            [*command, "--keep-going"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT if both else subprocess.DEVNULL
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(60) == 1
        assert peer.do(lambda device: len(device.jobs)) == 1


def test_a_dsm_device_whose_job_has_no_known_end() -> None:
    device = ("emulate", "dsm-device", "--pages", "2", "--pause", "100", "--server")

    async def story() -> int:
        async with Command("emulate", "scan-server", "--http", "--listen", "127.0.0.1:0", "--no-discovery") as server:
            async with Command(*device, await server.value("host")) as command:
                await command.line("file 1 sent")
                code = await command.ended(signal.SIGINT)
            await server.line("Canceled")
            # In order, so that its folder goes with it.
            assert await server.ended(signal.SIGINT) == 0
            return code

    assert asyncio.run(story()) == 130


def test_a_dsm_device_whose_time_is_over_in_the_middle_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(RealClock):
        """Its time is over when it pauses between two files, however busy the machine is."""

        async def sleep(self, seconds: float) -> None:
            if seconds == 100:
                paused.set()
            await (paused.wait() if seconds == 50 else super().sleep(seconds))

    paused = asyncio.Event()
    monkeypatch.setattr("replay.cli.emulate.RealClock", Clock)
    with Running(ScanServer) as peer:
        device = ["emulate", "dsm-device", "--pages", "2", "--pause", "100", "--for", "50", "--server", peer.url]
        assert main(device) == 1
        assert peer.do(lambda server: [job.state for job in server.jobs]) == ["Canceled"]
