"""Sending: emulated devices of WSD scanning, as programs (``dsmreplay``) and for Python and pytest.

    import replay

    async with replay.ScanServer() as server, replay.DsmDevice(pages=3) as device:
        story = await device.run(replay.Order(server.url(), replay.ScanProcess.example()))

The names below are imported when they are asked for: ``dsmreplay --help`` must not wait for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.base.clock import ManualClock
    from replay.behaviour.file import parse_rule
    from replay.behaviour.rules import Behaviour
    from replay.devices.dsmdevice import DsmDevice, Order, Story
    from replay.devices.emulator import Around
    from replay.devices.scanner.device_file import load_device
    from replay.devices.scanner.scanner import Scanner
    from replay.devices.scanserver.filters import Outcome, Places
    from replay.devices.scanserver.processes import ScanProcess
    from replay.devices.scanserver.server import ScanServer
    from replay.player.api import play
    from replay.player.options import Options
    from replay.player.serve import Served, VirtualDevice
    from replay.scenario.api import extract

__all__ = [
    "Around",
    "Behaviour",
    "DsmDevice",
    "ManualClock",
    "Options",
    "Order",
    "Outcome",
    "Places",
    "ScanProcess",
    "ScanServer",
    "Scanner",
    "Served",
    "Story",
    "VirtualDevice",
    "extract",
    "load_device",
    "parse_rule",
    "play",
]

_PLACES = {
    "Around": "devices.emulator", "Behaviour": "behaviour.rules", "DsmDevice": "devices.dsmdevice",
    "ManualClock": "base.clock", "Options": "player.options", "Order": "devices.dsmdevice",
    "Outcome": "devices.scanserver.filters",
    "Places": "devices.scanserver.filters", "ScanProcess": "devices.scanserver.processes",
    "ScanServer": "devices.scanserver.server", "Scanner": "devices.scanner.scanner", "Served": "player.serve",
    "Story": "devices.dsmdevice", "VirtualDevice": "player.serve",
    "extract": "scenario.api", "load_device": "devices.scanner.device_file", "parse_rule": "behaviour.file",
    "play": "player.api",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
