"""The fixtures, as another project would use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.serving import scenario_folder

PROJECT = """
import asyncio
import urllib.request

import pytest

from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.processes import ScanProcess


def test_scanner(wsd_scanner):
    assert wsd_scanner.url.startswith("http://127.0.0.1:")
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(wsd_scanner.url)
    assert answer.value.code == 405
    answer.value.close()


def test_server(wsd_scan_server):
    async def send():
        async with DsmDevice(pages=1) as device:
            return await device.run(Order(wsd_scan_server.url, ScanProcess.example()))

    story = asyncio.run(send())
    job = wsd_scan_server.wait(lambda server: server.job_over())
    assert job.token == story.job_token


def test_several(emulate):
    one, two = emulate(Scanner, pages=2), emulate(Scanner, "default", 3)
    assert one.url != two.url
    assert two.do(lambda scanner: len(scanner.engine.feeder.pages)) == 3


def test_a_scenario(wsd_virtual_device):
    device = wsd_virtual_device(SCENARIO, speed=0)

    async def send():
        async with DsmDevice(pages=3) as client:
            return await client.run(Order(device.url, ScanProcess.example(), wait=60))

    assert asyncio.run(send()).completed_state == "Completed"
    assert device.do(lambda served: served.left()) == []


def test_what_cannot_be_made_is_told(emulate):
    from dissector.base.errors import UsageError

    with pytest.raises(UsageError, match="no profile"):
        emulate(Scanner, "unheard-of")
"""


def test_another_project_uses_the_fixtures(tmp_path: Path) -> None:
    folder = scenario_folder("dsm-completed.pcapng", tmp_path)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["replay.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(f"SCENARIO = {str(folder)!r}\n{PROJECT}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
