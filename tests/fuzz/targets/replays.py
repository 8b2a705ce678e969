"""The replayer's doors: requests to an emulated device, and the files that people edit.

Nothing leaves the process: connections to others are refused before they are made.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dissector.base.errors import DsmsharkError
from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock
from replay.base.log import Log, TextSink
from replay.base.yamlfile import parse_yaml
from replay.behaviour.file import load_behaviour, parse_rule
from replay.devices.emulator import Around, Emulator
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanserver.server import ScanServer
from replay.net.receiver import HttpReceiver
from replay.net.server import HttpRequest
from replay.scenario.files import load_scenario
from tests.fuzz.oracles import Broken, harmless
from tests.fuzz.targets.target import Cutter, Target
from tests.support.stories import STORIES

__all__ = ["REPLAYS"]

_CLIENT, _SERVER = Endpoint("127.0.0.1", 50000), Endpoint("127.0.0.1", 5357)
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")
_LOOP = asyncio.new_event_loop()


async def _refuse(*_: object, **__: object) -> Any:
    raise ConnectionRefusedError("nothing leaves the fuzzer")


class _Lines:
    """A log that has to be harmless, whatever is said."""

    def write(self, text: str) -> int:
        harmless(text, lines=True)
        return len(text)

    def flush(self) -> None:
        pass


def _emulator(kind: int) -> Emulator:
    clock = ManualClock()
    log = Log(clock, TextSink(_Lines(), bodies=True))
    around = Around(clock=clock, log=log, discovery=False, seed=1)
    if kind & 1:
        return ScanServer(Path(_FOLDER.name) / "out", around=around)
    return Scanner(around=around)


def _server(data: bytes) -> None:
    """A byte for the device and one for the pieces, then what a client sends."""
    cutter = Cutter(data)
    kind, step = cutter.byte(), cutter.byte() or 1 << 20
    stream = cutter.rest()
    emulator = _emulator(kind)
    emulator.server.addresses.append(_SERVER)
    # Requests find the way to a service whatever their path is.
    points = list(emulator.host._points)

    async def story() -> None:
        receiver = HttpReceiver(_CLIENT, _SERVER)
        messages = []
        for at in range(0, len(stream), step):
            messages += receiver.feed(stream[at : at + step], at)
            _ = (receiver.pending, receiver.declared, receiver.junk, receiver.waits_for_leave)
        messages += receiver.end()
        for number, http in enumerate(messages[:8]):
            if not http.is_request:
                continue
            http.target = points[(kind // 2 + number) % len(points)] if kind & 128 else http.target
            answer = await asyncio.wait_for(emulator.host.handle(HttpRequest(http, _SERVER, _CLIENT)), 60)
            if answer.after is not None:
                answer.after(bool(kind & 64))
            if http.complete and answer.pieces and not b"".join(answer.pieces).startswith(b"HTTP/1."):
                raise Broken(f"no HTTP answer: {answer.pieces[0][:80]!r}")

    _LOOP.run_until_complete(_quietly(story(), emulator))


async def _quietly(story: Any, emulator: Emulator) -> None:
    loop = asyncio.get_running_loop()
    loop.create_connection = loop.getaddrinfo = _refuse
    loop.set_exception_handler(lambda loop, context: None)
    try:
        await story
    finally:
        await emulator.stopping()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await emulator._closing.aclose()


def _server_seeds() -> Iterator[bytes]:
    for name in STORIES:
        for turn in STORIES[name]().turns:
            if turn.data.startswith(b"POST") and len(turn.data) < 9000:
                yield b"\x80\x00" + turn.data
                yield b"\x83\x40" + turn.data


def _yaml(data: bytes) -> None:
    """The text, for each of those that read such files. None of them says more than one sentence."""
    text = data.decode("utf-8", "replace")
    place = Path(_FOLDER.name) / "scenario"
    place.mkdir(exist_ok=True)
    (place / "scenario.yaml").write_bytes(data)
    file = place / "scenario.yaml"
    readers: tuple[Callable[[], object], ...] = (
        lambda: parse_yaml(text), lambda: parse_rule(text), lambda: load_behaviour(file), lambda: load_scenario(place),
    )  # fmt: skip
    for load in readers:
        try:
            load()
        except DsmsharkError as refusal:
            if not str(refusal):
                raise Broken("refused without a word") from refusal


def _yaml_seeds() -> Iterator[bytes]:
    yield b"seed: 7\nrules:\n  - on: SendImage\n    where: {document_id: 2}\n    fault: OperationFailed\n"
    yield b"rules: [{on: Get, delay: 1.5, times: 2, probability: 0.5}]\n"
    yield b"a: &x [1, 2]\nb: *x\nc: !!str 7\nd: 2024-01-01\n<<: {e: f}\n"
    for path in sorted(Path(__file__).parent.parent.parent.rglob("scenario.yaml")):
        yield path.read_bytes()


REPLAYS = (
    Target("server", _server, _server_seeds, 1 << 14, (b"POST /", b" HTTP/1.1\r\n", b"Expect: 100-continue\r\n")),
    Target("yaml", _yaml, _yaml_seeds, 1 << 12, (b"!!python", b"&a ", b"*a", b"<<: ", b"? ", b"|+\n", b"---\n")),
)
