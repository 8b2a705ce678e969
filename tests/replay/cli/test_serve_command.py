"""``dsmreplay serve`` as users run it."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

import dissector
from replay.cli import main
from tests.support.commands import Command
from tests.support.serving import scenario_folder


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenario_folder("emulated/airscan-duplex.pcap", tmp_path_factory.mktemp("scenario"))


async def run(scenario: Path, url: str, *more: str) -> int:
    """The recorded client, by ``dsmreplay run``."""
    async with Command("run", scenario, "--target", url, *more) as command:
        return await command.ended()


def test_once_as_recorded(scenario: Path, tmp_path: Path) -> None:
    pcap = tmp_path / "served.pcapng"

    async def story() -> tuple[int, list[str]]:
        async with Command("serve", scenario, "--once", "--speed", "0", "--pcap", pcap) as command:
            url = await command.value("scanner")
            assert await run(scenario, url) == 0
            return await command.ended(), command.lines

    code, lines = asyncio.run(story())
    assert code == 0
    assert any("RetrieveImageRequest" in line for line in lines)
    assert lines[-1] == "9 requests answered, 0 events sent, 1 run"
    with dissector.open(str(pcap)) as capture:
        assert [len(job.images) for job in capture.jobs] == [2]


def test_once_and_something_else_came(scenario: Path) -> None:
    async def story() -> tuple[int, list[str]]:
        async with Command("serve", scenario, "--once", "--speed", "0", "-q") as command:
            url = await command.value("scanner")
            # A client that says another name of its user elsewhere is as recorded; another first step is not.
            await run(scenario, url, "--only", "1-3")
            await run(scenario, url, "--only", "5-9", "--keep-going")
            return await command.ended(signal.SIGINT), command.lines

    code, lines = asyncio.run(story())
    # The story did not come to its end.
    assert code == 130
    assert any(line.startswith("  never came") and "GetScannerElementsRequest" in line for line in lines)


@pytest.mark.parametrize(
    ("often", "number", "ended"), [((), signal.SIGINT, 0), ((), signal.SIGHUP, 0), (("--once",), signal.SIGTERM, 130)]
)
def test_ctrl_c_ends_it_with_an_account(
    scenario: Path, often: tuple[str, ...], number: signal.Signals, ended: int
) -> None:
    async def story() -> tuple[int, dict[str, object]]:
        async with Command("serve", scenario, "--json", *often) as command:
            await command.line('"ready"')
            code = await command.ended(number)
            return code, json.loads(command.lines[-1])

    code, said = asyncio.run(story())
    assert code == ended
    assert said["kind"] == "served"
    assert said["schema"] == "dsmreplay.served/1"
    assert len(said["never_came"]) == 9
    assert said["clean"] is False


def test_https_as_recorded_to_a_dsm_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording was https: so is what is served, with a certificate of its own, and events go to an https sink."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = scenario_folder("emulated/device-https.pcapng", tmp_path)

    async def story() -> tuple[int, int, list[str]]:
        async with Command("serve", folder, "--speed", "0", "--once") as command:
            url = await command.value("scan server")
            assert url.startswith("https://127.0.0.1:")
            device = Command(
                "emulate", "dsm-device", "--server", url, "--trust", "none", "--https", "--certificates",
                tmp_path / "device", "--pages", "3",
            )  # fmt: skip
            async with device:
                ended = await device.ended()
            # Its images are others: it ends with the story, and says so.
            return ended, await command.ended(), command.lines

    device, code, lines = asyncio.run(story())
    assert device == 0, lines
    assert code == 1
    assert any("events sent" in line and not line.startswith("0") for line in lines)
    assert not any("not delivered" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--as", "nobody"], "the parties are"),
        (["--listen", "nowhere"], "is no address to listen on"),
        (["--listen", "printer=127.0.0.1:0"], "printer is not served"),
        (["--set", "x=1"], "the scenario has no such value"),
        (["--do", "Get: end_state=Aborted"], "no use for"),
        (["--allow", "300.0.0.0/8"], "--allow"),
        (["--certificate", "none.pem", "none.pem"], "none.pem"),
    ],
)
def test_wrong_options_are_told(
    scenario: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(scenario), *options]) in (2, 3)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("once", [(), ("--once",)])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_output_that_takes_nothing_more_ends_it(
    scenario: Path, once: tuple[str, ...], more: tuple[str, ...],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["serve", str(scenario), *once, *more]) == 3
    assert capsys.readouterr().err == "dsmreplay: standard output: cannot write: No space left on device\n"


def test_a_capture_without_room_is_told(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(scenario), "--for", "0", "--pcap", "/dev/full"]) == 3
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].startswith("  never came")
    assert told.err == "dsmreplay: /dev/full: not all could be written: No space left on device\n"


def test_no_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none")]) == 3
    assert "none" in capsys.readouterr().err
