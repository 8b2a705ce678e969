"""Emulated devices as pytest fixtures, for projects that test against WSD devices.

In ``conftest.py``::

    pytest_plugins = ["replay.pytest_plugin"]

Then a test asks for ``wsd_scanner``, ``wsd_scan_server``, or for ``emulate`` to make one to its taste::

    def test_my_client(emulate):
        scanner = emulate(Scanner, "ricoh-mp-201", pages=3)
        my_client.scan(scanner.url)
        assert scanner.do(lambda it: len(it.engine.jobs.ended())) == 1

``wsd_virtual_device`` makes one out of a scenario (``dsmreplay extract``)::

    def test_my_client_at_that_customers_scanner(wsd_virtual_device):
        scanner = wsd_virtual_device("scenarios/customer")
        my_client.scan(scanner.url)
        assert scanner.do(lambda it: it.tally.clean and not it.left())

The devices run in a thread of their own with their own event loop, on loopback, on any free port; tests need no
asyncio.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import pytest

from replay.devices.emulator import Emulator
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.server import ScanServer
from replay.player.serve import Served, VirtualDevice

__all__ = ["Emulate", "Running", "emulate", "wsd_scan_server", "wsd_scanner", "wsd_virtual_device"]

E = TypeVar("E", bound=Emulator)
T = TypeVar("T")

PATIENCE = 30.0
"""Seconds that a call into the device's thread may take."""


class Running(Generic[E]):
    """A device that runs in a thread of its own, as a context manager.

    Args:
        make: makes the device; called in its thread.
    """

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._ready: Future[E] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    @property
    def url(self) -> str:
        """Address of the device."""
        return self.do(lambda device: device.url())

    def do(self, what: Callable[[E], T]) -> T:
        """Call something with the device, in its thread; gives what that gives."""

        async def call() -> T:
            return what(self._ready.result())

        return self.wait(lambda device: call())

    def wait(self, what: Callable[[E], Awaitable[T]], timeout: float = PATIENCE) -> T:
        """Wait for something awaitable of the device, such as ``lambda server: server.job_over()``.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds.
        """
        assert self._loop is not None

        async def call() -> T:
            async with asyncio.timeout(timeout):
                return await what(self._ready.result())

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(timeout + PATIENCE)

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._make() as device:
                self._ready.set_result(device)
                await self._stop.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)


class Emulate(Protocol):
    """Makes running devices: ``emulate(Scanner, pages=3)``."""

    def __call__(self, kind: Callable[..., E], /, *arguments: Any, **options: Any) -> Running[E]:
        """A running device; ends with the test."""
        ...


@pytest.fixture
def emulate() -> Iterator[Emulate]:
    """A factory of running devices; they end with the test."""
    running: list[Running[Any]] = []

    def make(kind: Callable[..., E], /, *arguments: Any, **options: Any) -> Running[E]:
        one = Running(lambda: kind(*arguments, **options))
        one.__enter__()
        running.append(one)
        return one

    yield make
    for one in reversed(running):
        one.__exit__(None, None, None)


@pytest.fixture
def wsd_scanner(emulate: Emulate) -> Running[Scanner]:
    """A scanner with one page."""
    return emulate(Scanner)


@pytest.fixture
def wsd_scan_server(emulate: Emulate) -> Running[ScanServer]:
    """A scan server over plain HTTP that keeps what it gets in a temporary folder."""
    return emulate(ScanServer)


@pytest.fixture
def wsd_virtual_device(emulate: Emulate) -> Callable[..., Running[VirtualDevice]]:
    """A maker of virtual devices: called with the folder of a scenario, and with what :class:`Served` takes."""

    def make(scenario: str | Path, **served: Any) -> Running[VirtualDevice]:
        return emulate(VirtualDevice, scenario, Served(**served))

    return make
