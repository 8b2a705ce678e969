"""A recording in which several parties are asked something: each is served, at an address of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dissector.soap.model import QName
from dissector.soap.namespaces import WSCN
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around
from replay.devices.scanserver.processes import ScanProcess
from replay.devices.scanserver.server import ScanServer
from replay.player.play import Result
from replay.player.serve import Served, VirtualDevice
from replay.scenario.extract import extract
from replay.scenario.files import save_scenario
from tests.support.dsm import ALL_GOOD
from tests.support.scan_client import ScanClient
from tests.support.serving import played


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client asks a scanner for its state, which sends a job to a scan server."""
    capture = tmp_path_factory.mktemp("parties") / "capture.pcapng"

    async def record() -> None:
        with capture.open("wb") as file:
            scanner = DsmDevice(pages=1, host=True, around=Around(pcap=file))
            async with ScanServer(outcomes=ALL_GOOD) as server, scanner, ScanClient(scanner) as client:
                status = {"requested_elements": {"name": [QName(WSCN, "ScannerStatus", "wscn")]}}
                await client.ask("GetScannerElements", status)
                await scanner.run(Order(server.url(), ScanProcess.example(), wait=60.0))

    asyncio.run(record())
    scenario, contents = extract(capture)
    save_scenario(scenario, contents, capture.parent / "scenario")
    return capture.parent / "scenario"


def served(folder: Path, **options: object) -> tuple[VirtualDevice, Result]:
    async def run() -> tuple[VirtualDevice, Result]:
        async with VirtualDevice(folder, Served(**options)) as device:
            return device, await played(device, folder)

    return asyncio.run(run())


def test_all_that_were_asked_are_served(folder: Path) -> None:
    device, result = served(folder)
    assert device.parties == ["scanner", "server"]
    assert result.same, result.headline
    assert device.left() == []
    assert device.tally.clean
    one, other = (device.url_of(party) for party in device.parties)
    assert one.rpartition(":")[2] != other.rpartition(":")[2]
    # What the server says of itself is at its own port.
    (run,) = {run.number: run for run in device.runs.all() if 2 in run.progress.used}.values()
    addresses = [text for name, text in run.values.now.items() if name.startswith("service_address")]
    assert addresses
    assert all(text.startswith(other.rpartition("/")[0]) for text in addresses)


def test_one_of_them_alone(folder: Path) -> None:
    device, result = served(folder, parties="server")
    assert device.parties == ["server"]
    assert {one.step.receiver for one in device.story.exchanges} == {"server"}
    # The scanner is among the others now, and is told how its job goes on.
    assert result.same, result.headline
    assert device.tally.sent == len(device.story.notices) > 0
