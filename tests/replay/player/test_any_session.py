"""Sessions of the emulators: extract, then run against the same behaviour, passes; against another it does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around
from replay.devices.scanserver.filters import Outcome, parse_outcome
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.client import HttpClient
from replay.player.play import Options, Player
from replay.player.result import Result
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario

GRAY = {
    "format": "jfif",
    "media_sides": {"media_front": {"color_processing": "Grayscale8", "resolution": {"width": 75}}},
}

DONE = "fileshare=CompletedSuccessfully"

SESSIONS: dict[str, tuple[list[str], str, str]] = {
    # name: rules of the server, outcome of its filter, how the device ends the job
    "plain": ([], DONE, "end"),
    "errors": ([], "fileshare=CompletedWithErrors:FileShareAccessDenied", "end"),
    "vendor's filter state": ([], "fileshare=vendor:Stapled:vendor:NoStaples", "end"),
    "canceled": ([], DONE, "cancel"),
    "vendor's end": (["EndPostScanJob: end_state=vendor:Parked|vendor:NightShift"], DONE, "end"),
    "second image refused": (["SendImage: fault=OperationFailed, after=1, times=1"], DONE, "end"),
    "creation refused": (["CreatePostScanJob: fault=InvalidArgs"], DONE, "end"),
    "an event is lost": (["PostScanJobStatusEvent: lost, after=2, times=2"], DONE, "end"),
    "an event comes twice": (["PostScanJobEndStateEvent: doubled"], DONE, "end"),
    "HTTP 503": (["EndPostScanJob: status=503"], DONE, "end"),
}  # fmt: skip


def server(rules: list[str], outcome: str, **more: object) -> ScanServer:
    kind, one = parse_outcome(outcome)
    outcomes: dict[str, Outcome] = {kind: one}
    around = Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]), **more)  # type: ignore[arg-type]
    return ScanServer(outcomes=outcomes, around=around)


async def record(capture: Path, rules: list[str], outcome: str, finish: str) -> None:
    process = ScanProcess.example(parameters=GRAY)
    with capture.open("wb") as file:
        async with server(rules, outcome, pcap=file) as peer, DsmDevice(pages=2) as device:
            await device.run(Order(peer.url(), process, finish=finish, wait=2.0))


async def play(folder: Path, rules: list[str], outcome: str) -> Result:
    scenario, files = load_scenario(folder)
    clock = RealClock()
    async with server(rules, outcome) as peer:
        client = HttpClient(clock=clock, timeout=5.0)
        options = Options(keep_going=True, slack=2.0)
        log = Log(clock)
        player = Player(scenario, files, peer.url(), options=options, clock=clock, log=log, ids=Ids(), client=client)
        return await player.run()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_passes_against_the_same_behaviour_and_no_other(name: str, tmp_path: Path) -> None:
    rules, outcome, finish = SESSIONS[name]
    capture = tmp_path / "session.pcapng"
    asyncio.run(record(capture, rules, outcome, finish))
    scenario, contents = extract(capture)
    save_scenario(scenario, contents, tmp_path / "scenario")
    same = asyncio.run(play(tmp_path / "scenario", rules, outcome))
    assert same.same, [one.to_json() for one in same.steps if one.outcome != "same"]
    other = "EndPostScanJob: end_state=Aborted" if finish == "end" else "CancelPostScanJob: fault=OperationFailed"
    if name in ("second image refused", "creation refused"):
        other = "Subscribe: fault=OperationFailed"
    different = asyncio.run(play(tmp_path / "scenario", [other], outcome))
    assert not different.same
