"""Scenarios out of captures, played against emulated peers: as recorded, and every way to differ."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import dissector
import replay
from dissector.base.errors import UsageError
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.file import parse_rule
from replay.behaviour.rules import Behaviour
from replay.devices.dsmdevice import DsmDevice
from replay.devices.emulator import Around, Emulator
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.server import ScanServer
from replay.net.client import HttpClient
from replay.player.play import Options, Player
from replay.player.result import Result
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario

DONE = Outcome("CompletedSuccessfully", ())
SID = "S-1-5-21-1004336348-1177238915-682003330-1109"


@pytest.fixture(scope="module")
def samples() -> Path:
    return Path(__file__).parent.parent.parent.parent / "pcaps"


def scenario_of(samples: Path, name: str, folder: Path, plays: str = "") -> Path:
    scenario, contents = extract(samples / name, plays=plays)
    save_scenario(scenario, contents, folder / "scenario")
    return folder / "scenario"


async def play(folder: Path, target: str, **options: Any) -> Result:
    scenario, files = load_scenario(folder)
    clock = RealClock()
    given = Options(**{"slack": 20.0, "keep_going": True, **options})
    client = HttpClient(clock=clock, timeout=60.0)
    player = Player(
        scenario, files, target, options=given, clock=clock, log=Log(clock), ids=Ids(), client=client,
    )  # fmt: skip
    return await player.run()


def around(*rules: str) -> Around:
    return Around(behaviour=Behaviour([parse_rule(rule) for rule in rules]))


def server(*rules: str, **more: Any) -> ScanServer:
    usual: dict[str, Any] = {"outcomes": {"fileshare": DONE, "email": DONE}, "users": {SID: "alice@example.test"}}
    return ScanServer(around=around(*rules), **(usual | more))


def against(folder: Path, emulator: Emulator, path: str = "", **options: Any) -> Result:
    async def run() -> Result:
        async with emulator as peer:
            return await play(folder, peer.url(path), **options)

    return asyncio.run(run())


@pytest.fixture
def job(samples: Path, tmp_path: Path) -> Path:
    return scenario_of(samples, "emulated/device-completed.pcap", tmp_path)


def outcomes(result: Result) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in result.steps:
        found[one.outcome] = found.get(one.outcome, 0) + 1
    return found


def test_a_whole_job_against_a_new_server_passes(job: Path) -> None:
    result = against(job, server())
    assert result.same, [one.to_json() for one in result.steps if one.outcome != "same"]
    assert outcomes(result) == {"same": 20}
    assert result.headline == "DSM device and scan server: as recorded (20 steps)"


def test_a_server_that_aborts_is_told_in_one_line(job: Path) -> None:
    result = against(job, server("EndPostScanJob: end_state=Aborted|PostScanJobProcessingFailed"))
    assert not result.same
    assert "differs: the job ended Aborted, recorded was Completed" in result.headline


@pytest.mark.parametrize(
    ("rule", "outcome", "name", "text"),
    [
        ("PostScanJobEndStateEvent: lost", "missing", "PostScanJobEndStateEvent", "did not come"),
        (
            "SendImage: fault=OperationFailed, after=1, times=1",
            "different",
            "SendImageRequest",
            "the fault OperationFailed",
        ),
        ("EndPostScanJob: status=503", "different", "EndPostScanJobRequest", "HTTP 503 came"),
        ("CreatePostScanJob: fault=InvalidArgs", "failed", "SendImageRequest", "job_token is not known"),
    ],
)
def test_ways_to_differ(job: Path, rule: str, outcome: str, name: str, text: str) -> None:
    result = against(job, server(rule), slack=1.0)
    bad = [one for one in result.steps if one.outcome == outcome]
    assert bad
    assert any(one.name == name and text in one.text for one in bad), [one.to_json() for one in bad]


def test_an_event_that_comes_twice(job: Path) -> None:
    result = against(job, server("PostScanJobEndStateEvent: doubled"))
    (bad,) = [one for one in result.steps if not one.fine]
    assert (bad.outcome, bad.name) == ("doubled", "PostScanJobEndStateEvent")
    assert "came twice" in bad.text


def test_the_first_difference_ends_it_unless_told_otherwise(job: Path) -> None:
    result = against(job, server("CreatePostScanJob: fault=InvalidArgs"), keep_going=False)
    assert result.steps[-1].name == "CreatePostScanJobRequest"
    assert result.steps[-1].outcome == "different"


def test_rules_of_the_scenario_are_heeded(job: Path) -> None:
    path = job / "scenario.yaml"
    text = path.read_text()
    place = text.index("answer:", text.index("event: PostScanJobEndStateEvent"))
    indent = " " * (place - text.rindex("\n", 0, place) - 1)
    rules = (
        f"rules:\n{indent}  - JobCompletedState: one of Aborted|Completed\n{indent}  - JobStateReason: any\n{indent}"
    )
    path.write_text(text[:place] + rules + text[place:])
    result = against(job, server("PostScanJobEndStateEvent: end_state=Aborted|PostScanJobProcessingFailed"))
    assert result.same, result.headline


def test_a_value_of_a_site_can_be_another(job: Path) -> None:
    another = "S-1-5-21-1-2-3-500"

    async def run() -> tuple[Result, str]:
        async with server(users={another: "alice@example.test"}) as peer:
            result = await play(job, peer.url(), given={"user_identifier": another})
            return result, peer.jobs[0].user_identifier

    result, told = asyncio.run(run())
    assert result.same, result.headline
    assert told == another


def test_a_value_that_the_scenario_does_not_have(job: Path) -> None:
    with pytest.raises(UsageError, match="the scenario has no such value"):
        against(job, server(), given={"user": "x"})


def test_nobody_is_there(job: Path) -> None:
    result = asyncio.run(play(job, "http://127.0.0.1:9/ScanServer"))
    assert "cannot be reached" in result.unreachable
    assert not result.same


def test_a_device_that_polls(samples: Path, tmp_path: Path) -> None:
    folder = scenario_of(samples, "emulated/device-polls.pcap", tmp_path)
    result = against(folder, server(users={}), only=frozenset({1, 2, 3, 4, 5, 6}))
    assert result.same, result.headline


@pytest.mark.parametrize(("name", "pages"), [("airscan-platen.pcap", 2), ("airscan-duplex.pcap", 2)])
def test_what_sane_airscan_asked_is_asked_again(samples: Path, tmp_path: Path, name: str, pages: int) -> None:
    folder = scenario_of(samples, f"emulated/{name}", tmp_path)
    result = against(folder, Scanner(pages=pages))
    assert result.same, [one.to_json() for one in result.steps if one.outcome != "same"]


def test_another_page_count_is_seen(samples: Path, tmp_path: Path) -> None:
    folder = scenario_of(samples, "emulated/airscan-duplex.pcap", tmp_path)
    result = against(folder, Scanner(pages=3))
    assert not result.same
    assert any(one.name == "RetrieveImageRequest" and "the fault" in one.text for one in result.steps)


def test_the_servers_events_towards_a_devices_sink(samples: Path, tmp_path: Path) -> None:
    folder = scenario_of(samples, "emulated/device-completed.pcap", tmp_path, plays="server")

    async def run() -> tuple[Result, list[str]]:
        async with DsmDevice(around=Around()) as device:
            events = frozenset(one.number for one in load_scenario(folder)[0].steps if one.event)
            result = await play(folder, device.sink_url(), only=events)
        return result, [name for told in device.sink.told.values() for name in told.names]

    result, told = asyncio.run(run())
    assert result.same, result.headline
    assert told.count("PostScanJobStatusEvent") == 11
    assert told[-1] == "PostScanJobEndStateEvent"


def test_from_python(job: Path, tmp_path: Path) -> None:
    async def run() -> Result:
        async with server() as peer:
            with (tmp_path / "own.pcapng").open("wb") as file:
                return await replay.play(job, peer.url(), options=replay.Options(keep_going=True), pcap=file)

    result = asyncio.run(run())
    assert result.same
    with dissector.open(str(tmp_path / "own.pcapng")) as capture:
        assert [one.completed_state for one in capture.jobs] == ["Completed"]
