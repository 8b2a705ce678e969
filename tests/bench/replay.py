"""``make bench``: ``dsmreplay run`` at full speed against the emulated scan server, next to a plain asyncio client that
sends the same bytes.

Both send one job with images of one MB to the same server, in turns. The plain client has all bytes ready in memory and
reads no more of an answer than its length; ``run`` reads the scenario's files, puts values in, reads answers as
messages and judges them. Then ``dsmreplay serve`` stands in the emulator's place, made from the same scenario, and the
plain client sends it the same bytes. What is printed is messages a second of each in its fastest round (others may use
the machine too) and the ratios to the plain client at the emulator, which have to be 0.7 at least.
(``tests.bench.serve`` holds ``serve`` against a server that reads nothing but lengths.)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import sys
import time
from pathlib import Path

from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.devices.emulator import Around
from replay.devices.scanserver.filters import Outcome
from replay.devices.scanserver.server import ScanServer
from replay.net.client import HttpClient
from replay.player.judge import ValueRule
from replay.player.options import Options
from replay.player.play import Player
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario
from replay.scenario.folder import Folder
from replay.scenario.model import Scenario
from replay.scenario.wires import bytes_of
from tests.bench.serve import Server as Virtual
from tests.bench.server import FOLDER, IMAGE, Server, ask, device

LEAST = 0.7
"""Messages a second of ``run``, as a part of those of the plain client."""

DONE = {"fileshare": Outcome("CompletedSuccessfully", ())}


async def record(capture: Path, images: int, size: int) -> None:
    """One job of the bare device, with the server's own capture."""
    with capture.open("wb") as file:
        async with ScanServer(outcomes=DONE, around=Around(pcap=file)) as server:
            await device(server.processing_url, 1, images, size)


def scenario_of(images: int, size: int) -> Path:
    """The folder of the scenario, made anew: it belongs to the code of now."""
    folder = FOLDER / f"replay-{images}-{size}"
    shutil.rmtree(folder, ignore_errors=True)
    capture = folder.with_suffix(".pcapng")
    asyncio.run(record(capture, images, size))
    scenario, contents = extract(capture)
    save_scenario(scenario, contents, folder)
    capture.unlink()
    return folder


async def run_once(scenario: Scenario, folder: Folder, url: str) -> float:
    """One run; seconds."""
    clock = RealClock()
    player = Player(
        scenario, folder, url, options=Options(), clock=clock, log=Log(clock), ids=Ids(),
        client=HttpClient(clock=clock),
    )  # fmt: skip
    start = time.perf_counter()
    result = await player.run()
    taken = time.perf_counter() - start
    if not result.same:
        raise SystemExit(result.headline)
    return taken


async def plain_once(requests: list[list[bytes]], token: bytes, url: str) -> float:
    """The same bytes by a plain client, with the token of this run in them; seconds."""
    match = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", url)
    assert match is not None
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(match[1], int(match[2]))
    now = token
    for number, pieces in enumerate(requests):
        for piece in pieces[:-1]:
            writer.write(piece.replace(token, now))
        last = pieces[-1]
        answer = await ask(reader, writer, last.replace(token, now) if len(last) < 1 << 16 else last)
        if number == 0:
            found = re.search(rb"JobToken>([0-9a-f-]{36})<", answer)
            assert found is not None
            now = found[1]
    taken = time.perf_counter() - start
    writer.close()
    await writer.wait_closed()
    return taken


def serve(path: Path, scenario: Scenario, folder: Folder, rounds: int) -> list[float]:
    """The plain client at the virtual device of the scenario; seconds of each round."""
    values = {name: value.recorded for name, value in scenario.values.items()}
    requests = [bytes_of(step.message, folder, values) for step in scenario.of(scenario.plays)]
    command = ["-m", "replay", "serve", str(path), "--listen", "127.0.0.1:0", "--speed", "0", "--quiet"]
    server = Virtual(command)
    target = scenario.values["service_path"].recorded
    url, token = f"http://127.0.0.1:{server.port}{target}", values["job_token"].encode()
    try:
        return [asyncio.run(plain_once(requests, token, url)) for _ in range(rounds + 1)][1:]
    finally:
        server.stop()


def bench(images: int, size: int, rounds: int) -> int:
    """Print the ratio; 1 where it is too small."""
    path = scenario_of(images, size)
    scenario, folder = load_scenario(path, ValueRule)
    values = {name: value.recorded for name, value in scenario.values.items()}
    token = values["job_token"].encode()
    ours, plain = [], []
    with Server() as server:
        values["service_path"] = "/" + server.url.split("/", 3)[3]
        requests = [bytes_of(step.message, folder, values) for step in scenario.of(scenario.plays)]
        count = len(requests)
        for number in range(rounds + 1):
            pair = (
                asyncio.run(plain_once(requests, token, server.url)),
                asyncio.run(run_once(scenario, folder, server.url)),
            )
            server.drain()
            if number:
                plain.append(pair[0])
                ours.append(pair[1])
    served = serve(path, scenario, folder, rounds)
    speeds = [count / min(times) for times in (ours, plain, served)]
    ratio, of_serve = speeds[0] / speeds[1], speeds[2] / speeds[1]
    print(f"\nreplay: {count} messages with {images} images of {size / 1e6:.2g} MB, {rounds} rounds")
    print(
        f"  run {speeds[0]:8.1f} messages a second   plain client {speeds[1]:8.1f}   ratio {ratio:.2f} "
        f"(at least {LEAST})"
    )
    print(f"  serve {speeds[2]:6.1f} messages a second of the plain client   ratio {of_serve:.2f} (at least {LEAST})")
    with (FOLDER / "replay.jsonl").open("a") as file:
        file.write(
            json.dumps({"shape": [images, size], "run": speeds[0], "plain": speeds[1], "serve": speeds[2]}) + "\n"
        )
    return int(min(ratio, of_serve) < LEAST)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of an image")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    return bench(arguments.images, min(arguments.size, len(IMAGE)), arguments.rounds)


if __name__ == "__main__":
    sys.exit(main())
