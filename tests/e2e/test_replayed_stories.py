"""Stories of the emulated devices, recorded and sent again from either side: to a new server, to a new device, to a new
scanner at which somebody presses the button; with other tokens, ports, identities and timing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest

import replay
from dissector.catalog import build
from dissector.soap.model import QName
from dissector.soap.namespaces import WSE
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Entry, Log
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.dsmdevice import Story as Told
from replay.devices.emulator import Around, Encryption
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.net.certificates import issue, make_authority, own_certificate
from replay.net.client import HttpClient
from replay.net.tls import client_context, server_context
from replay.player.play import Options, Player
from replay.player.result import Result
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario
from tests.support.dsm import serving
from tests.support.scan_client import ScanClient, scanning, ticket

PATIENCE = 120.0
SLACK = 30.0
"""Seconds that are waited for what comes, so that no busy machine is a difference."""
DENIED = {"fileshare": Outcome("CompletedWithErrors", ("FileShareAccessDenied",))}
GRAY = {
    "format": "jfif",
    "media_sides": {"media_front": {"color_processing": "Grayscale8", "resolution": {"width": 75}}},
}


def written(capture: Path, folder: Path) -> Path:
    scenario, contents = extract(capture)
    assert scenario.missing == []
    save_scenario(scenario, contents, folder)
    return folder


@asynccontextmanager
async def playing(
    folder: Path, target: str, slack: float = SLACK, **options: object
) -> AsyncIterator[tuple[Player, asyncio.Task[Result], str]]:
    """A player at work, and where it listens."""
    scenario, files = load_scenario(folder)
    clock = RealClock()
    log = Log(clock)
    listens: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def heard(entry: Entry) -> None:
        if entry.kind == "listening" and not listens.done():
            listens.set_result(str(entry.facts["address"]))

    log.add(heard)
    player = Player(
        scenario, files, target, options=Options(keep_going=True, slack=slack, **options), clock=clock, log=log,
        ids=Ids(), client=HttpClient(clock=clock, timeout=SLACK),
    )  # fmt: skip
    task = asyncio.create_task(player.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield player, task, await listens
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def bad(result: Result) -> list[dict[str, object]]:
    return [one.to_json() for one in result.steps if one.outcome != "same"]


# -- the scan server's side towards a device ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A whole job between the emulated device and server."""
    folder = tmp_path_factory.mktemp("job")

    async def record() -> Told:
        with (folder / "job.pcapng").open("wb") as file:
            async with ScanServer(outcomes=DENIED, around=Around(pcap=file)) as server, DsmDevice(pages=2) as device:
                return await device.run(Order(server.url(), ScanProcess.example(parameters=GRAY)))

    story = asyncio.run(record())
    return written(folder / "job.pcapng", folder / "scenario"), story


def towards(folder: Path, order: Callable[[str], Order], pages: int = 2, slack: float = SLACK) -> tuple[Result, Told]:
    async def run() -> tuple[Result, Told]:
        scenario, _ = load_scenario(folder)
        path = scenario.values["service_path"].recorded
        async with (
            DsmDevice(pages=pages) as device,
            playing(folder, "", slack, plays="server") as (player, task, address),
        ):
            story = await device.run(order(f"http://{address}{path}"))
            await task
            return player.result, story

    return asyncio.run(run())


def test_the_server_is_played_towards_a_new_device(job: tuple[Path, Told]) -> None:
    folder, recorded = job
    result, story = towards(folder, lambda url: Order(url, ScanProcess.example(parameters=GRAY)))
    assert bad(result) == []
    assert (story.completed_state, story.reasons) == (recorded.completed_state, recorded.reasons)
    assert story.images == recorded.images == 2
    assert story.job_token != recorded.job_token


def test_who_comes_from_elsewhere_is_sent_nothing(job: tuple[Path, Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless --yes was said; that it came is not kept quiet."""
    monkeypatch.setattr("replay.player.play.is_loopback", lambda host: False)
    folder, _ = job
    result, _ = towards(folder, lambda url: Order(url, ScanProcess.example(parameters=GRAY), wait=1.0), slack=1)
    words = "not sent: no target was named for the device, and it came from 127.0.0.1, which was not named as a target"
    assert words in [one.text for one in result.steps]


def test_a_device_that_cancels_is_no_longer_as_recorded(job: tuple[Path, Told]) -> None:
    folder, _ = job
    process = ScanProcess.example(parameters=GRAY)
    result, _ = towards(folder, lambda url: Order(url, process, finish="cancel", cancel_after=1, wait=1.0), slack=1)
    assert not result.same
    assert any(one.outcome == "unexpected" and one.name == "CancelPostScanJobRequest" for one in result.steps)


def test_a_device_that_scans_otherwise_is_told_by_its_request(job: tuple[Path, Told]) -> None:
    folder, _ = job
    process = ScanProcess.example(parameters={**GRAY, "images_to_transfer": 1})
    result, _ = towards(folder, lambda url: Order(url, process, wait=1.0), pages=1, slack=1)
    assert not result.same
    assert any(one.outcome == "missing" and one.name == "SendImageRequest" for one in result.steps)


# -- push scan --------------------------------------------------------------------------------------------------------


async def push(client: ScanClient, scanner: Scanner) -> None:
    """What a computer does that somebody scans to from the device's panel."""
    answer = await client.subscribe("ScanAvailableEvent", "JobEndStateEvent", destinations={"Scan": "Anna's PC"})
    assert answer.body is not None
    token = answer.body.get("DestinationResponses/DestinationResponse/DestinationToken")
    scanner.press("Scan")
    event = await client.event("ScanAvailableEvent")
    job = await client.create(
        ticket(), scan_identifier=event.get("ScanIdentifier"), destination_token=token
    )  # fmt: skip
    await client.picture(job)
    await client.event("JobEndStateEvent")
    await client.drained()
    manager = answer.body.find("SubscriptionManager")
    assert manager is not None
    identifier = str(manager.get("ReferenceParameters/Identifier"))
    await client.ask(
        "Unsubscribe", url=str(manager.get("Address")), body=build("wse:Unsubscribe", {}), action=f"{WSE}/Unsubscribe",
        parameters=[(QName(WSE, "Identifier", "wse"), identifier)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")

    async def record() -> None:
        async with scanning(pcap=folder / "push.pcapng") as (scanner, client):
            await push(client, scanner)

    asyncio.run(record())
    return written(folder / "push.pcapng", folder / "scenario")


@pytest.mark.parametrize("destination", ["Scan", ""])
def test_a_push_scan_is_played_to_a_scanner_at_which_the_button_is_pressed(pushed: Path, destination: str) -> None:
    async def run() -> Result:
        async with Scanner(pages=1) as scanner, playing(pushed, scanner.scan_url) as (player, task, _):
            async with asyncio.timeout(PATIENCE):
                while not any(entry.kind == "subscription" for entry in scanner.log.entries):
                    await asyncio.sleep(0)
            scanner.press(destination)
            await task
            return player.result

    result = asyncio.run(run())
    assert bad(result) == []
    assert [one.name for one in result.steps][:3] == ["Subscribe", "ScanAvailableEvent", "CreateScanJobRequest"]


def test_a_button_that_nobody_presses(pushed: Path) -> None:
    async def run() -> Result:
        async with Scanner(pages=1) as scanner, playing(pushed, scanner.scan_url, 1) as (player, task, _):
            await task
            return player.result

    result = asyncio.run(run())
    assert next((one.name, one.outcome) for one in result.steps if one.outcome != "same") == (
        "ScanAvailableEvent", "missing",
    )  # fmt: skip


# -- where it goes ----------------------------------------------------------------------------------------------------


def test_over_ipv6_though_recorded_over_ipv4(job: tuple[Path, Told]) -> None:
    folder, _ = job

    async def run() -> tuple[Result, str]:
        async with (
            ScanServer(outcomes=DENIED, around=Around(listen=[("::1", 0)])) as server,
            playing(folder, server.url(), listen=("::1", 0)) as (player, task, address),
        ):
            await task
            return player.result, address

    result, address = asyncio.run(run())
    assert bad(result) == []
    assert address.startswith("[::1]:")


def test_only_the_targets_host_is_contacted_though_answers_name_others(job: tuple[Path, Told]) -> None:
    folder, _ = job

    async def run() -> tuple[Result, list[str]]:
        # The server calls itself by a name that nobody resolves; its address was what the user gave.
        around = Around(name="scans.example.test")
        async with ScanServer(outcomes=DENIED, around=around) as server:
            port = server.url().rpartition(":")[2].partition("/")[0]
            path = "/" + server.url().split("/", 3)[3]
            async with playing(folder, f"http://127.0.0.1:{port}{path}") as (player, task, _):
                await task
                notes = [entry.text for entry in player.log.entries if entry.kind == "note"]
                return player.result, notes

    result, notes = asyncio.run(run())
    # It also calls itself so for people; the rest is as recorded.
    assert [one.differences[0].path for one in result.steps if one.outcome != "same"] == [
        "MetadataSection[2]/ThisDevice/FriendlyName"
    ]
    assert any("names scans.example.test" in one and "only 127.0.0.1 is contacted" in one for one in notes)


# -- several parties on one clock -------------------------------------------------------------------------------------


def test_a_device_and_a_control_point_are_played_at_once(tmp_path: Path) -> None:
    async def record() -> None:
        async with serving(pcap=tmp_path / "three.pcapng") as control, DsmDevice(pages=1) as device:
            await control.subscribe("WS-DSC")
            story = await device.run(Order(control.server.url(), ScanProcess.example(parameters=GRAY)))
            assert story.completed_state == "Completed"
            await control.ended(story.job_token)

    async def again(*rules: str) -> Result:
        async with serving(*rules) as new:
            path = "/" + new.server.configuration_url.split("/", 3)[3]
            given = {control_path: path}
            async with playing(
                folder, new.server.url(), plays="device,control", given=given
            ) as (player, task, _):  # fmt: skip
                await task
                return player.result

    asyncio.run(record())
    folder = written(tmp_path / "three.pcapng", tmp_path / "scenario")
    scenario, _ = load_scenario(folder)
    assert {name: one.role for name, one in scenario.parties.items()} == {
        "device": "DSM device", "server": "scan server", "control": "control point",
    }  # fmt: skip
    # The control point knew its service's address: it is a parameter.
    first = next(step for step in scenario.steps if step.sender == "control")
    line = (folder / first.message.head).read_text().split()[1]
    control_path = line.removeprefix("${").removesuffix("}")
    result = asyncio.run(again())
    assert bad(result) == []
    told = [
        (one.name, scenario.steps[one.number - 1].receiver)
        for one in result.steps
        if one.name.endswith("EndStateEvent")
    ]
    assert sorted(told) == [("PostScanJobEndStateEvent", "control"), ("PostScanJobEndStateEvent", "device")]
    other = asyncio.run(again("EndPostScanJob: end_state=Aborted"))
    worse = [one.number for one in other.steps if one.name == "PostScanJobEndStateEvent" and one.outcome == "different"]
    assert len(worse) == 2


# -- https ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [True, False])
def test_https_with_a_client_certificate_and_an_encrypted_sink(tmp_path: Path, shown: bool) -> None:
    authority = make_authority(tmp_path)
    card = issue(authority, tmp_path, "alice@example.test", ["alice@example.test"], client=True)
    identity = own_certificate(tmp_path / "server", ["127.0.0.1"], datetime.now(UTC))

    def around(file: BinaryIO | None = None) -> Around:
        keylog = tmp_path / "keys" if file is not None else None
        context = server_context(identity, "required", authority.cert_path, keylog=keylog)
        return Around(
            encryption=Encryption(context, lambda: client_context("none", card, keylog), keylog=keylog), pcap=file
        )

    async def record() -> None:
        with (tmp_path / "job.pcapng").open("wb") as file:
            async with (
                ScanServer(outcomes=DENIED, around=around(file)) as server,
                DsmDevice(pages=1, around=around()) as device,
            ):
                await device.run(Order(server.url(), ScanProcess.example(parameters=GRAY)))

    async def again() -> Result:
        context = server_context(identity)
        async with ScanServer(outcomes=DENIED, around=around()) as server:
            options = replay.Options(keep_going=True, slack=SLACK, context=context)
            return await replay.play(
                folder, server.url(), options=options, tls=lambda: client_context("none", card if shown else None)
            )

    asyncio.run(record())
    folder = written(tmp_path / "job.pcapng", tmp_path / "scenario")
    scenario, _ = load_scenario(folder)
    assert all(base.startswith("https://") for one in scenario.parties.values() for base in one.bases)
    result = asyncio.run(again())
    if shown:
        assert bad(result) == []
        assert any(one.name == "PostScanJobEndStateEvent" for one in result.steps)
    else:
        assert "certificate" in result.unreachable
