"""Every sample that holds a sequence is served, and the recorded client, played once more, finds all as recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from replay.player.play import Result
from replay.player.serve import VirtualDevice
from tests.support.serving import CAPTURES, played, scenario_folder


def wrong(results: list[Result]) -> list[object]:
    return [one.to_json() for result in results for one in result.steps if one.outcome not in ("same", "skipped")]


@pytest.mark.parametrize("name", CAPTURES)
def test_the_recorded_client_is_served_as_recorded_twice(name: str, tmp_path: Path) -> None:
    folder = scenario_folder(name, tmp_path)

    async def run() -> tuple[VirtualDevice, list[Result]]:
        async with VirtualDevice(folder) as device:
            results = [await played(device, folder), await played(device, folder)]
            await asyncio.wait_for(device.over(), 60)
            return device, results

    device, results = asyncio.run(run())
    assert wrong(results) == []
    assert device.left() == []
    assert device.unsent() == []
    assert device.tally.clean, device.tally.lines(device.runs.count, [], [])
    # Each run had its own values.
    assert device.runs.count == 2
    one, other = device.runs.all()
    assert one.names.keys().isdisjoint(other.names.keys())


# Not among them: the Kyocera's stand-in, which says one MessageID for ever; and two jobs at once on connections of
# their own, which nothing tells apart from those of another client on the same host.
AT_ONCE = ("dsm-completed.pcapng", "scan-push.pcapng", "emulated/device-polls.pcap", "emulated/airscan-duplex.pcap",
           "others/airscand-push.pcap")  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_three_recorded_clients_at_once(name: str, tmp_path: Path) -> None:
    folder = scenario_folder(name, tmp_path)

    async def run() -> tuple[VirtualDevice, list[Result]]:
        async with VirtualDevice(folder) as device:
            return device, list(await asyncio.gather(*(played(device, folder) for _ in range(3))))

    device, results = asyncio.run(run())
    assert wrong(results) == []
    assert device.tally.clean
    assert device.runs.count == 3
