"""``make bench``: messages a second of ``dsmreplay serve`` with images of 1 MB, next to a plain asyncio server.

Two recorded stories are served, their images replaced by ones of 1 MB: a scanner that is asked for pages, and a scan
server that gets them. The same client then asks the virtual device, and a server that does nothing but read a request
by its length and write the bytes that the virtual device answered it with. Both are processes of their own, asked in
turn; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from replay.scenario.extract import extract
from replay.scenario.files import load_scenario, save_scenario
from replay.scenario.wires import bytes_of

FOLDER = Path(__file__).parent.parent.parent / ".bench"
PCAPS = Path(__file__).parent.parent.parent / "pcaps"
STORIES = {
    "pages out": ("others/scan-debian-adf.pcap", "scanner"),
    "pages out, chunked": ("emulated/airscan-duplex.pcap", "scanner"),
    "pages in": ("dsm-completed.pcapng", "server"),
}
"""What is measured → capture, and the party that is served."""

IMAGE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 4096
PAGES = 20
"""Images of a job: a full feeder."""

LEFT_OUT = ("Subscribe", "Unsubscribe")
"""Requests that would bring events, which are not measured here."""

ENOUGH = 0.7
"""Ratio that is wanted."""

PLAIN = """
import asyncio, pickle, sys

with open(sys.argv[1], "rb") as file:
    answers = pickle.load(file)

async def serve(reader, writer):
    place = 0
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            at = head.lower().find(b"content-length:")
            await reader.readexactly(int(head[at + 15 : head.find(b"\\r\\n", at)]))
            writer.write(answers[place % len(answers)])
            await writer.drain()
            place += 1
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    print("http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
"""The peer: what any server has to do at least."""

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_TOKEN = re.compile(rb"<(?:\w+:)?(JobToken|JobId)>([^<]+)<")
_REPLACED = re.compile(rb"@(JobToken|JobId)@")
_CLOSE = re.compile(rb"(?im)^connection:.*\r\n")


class Server:
    """A process that serves, and says its URL on a line of its output."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found[1])
                break

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def scenario(name: str, folder: Path, size: int) -> Path:
    """A story with images of another size, and with :data:`PAGES` of them."""
    made, contents = extract(PCAPS / name)
    for file in contents:
        if file.startswith("images/"):
            contents[file] = IMAGE[:size]
    first = next(one for one in made.steps if one.name in ("RetrieveImageRequest", "SendImageRequest"))
    more = PAGES - sum(one.name == first.name for one in made.steps)
    for value in made.values.values():
        value.step += more if value.step > first.number else 0
    for step in made.steps[first.number :]:
        step.number += more
    made.steps[first.number : first.number] = [
        replace(first, number=first.number + number) for number in range(1, more + 1)
    ]
    save_scenario(made, contents, folder)
    return folder


def requests_of(folder: Path, party: str) -> list[bytes]:
    """What the client says, in order; tokens are marked."""
    made, files = load_scenario(folder)
    values = {}
    for name, value in made.values.items():
        element = value.path.rpartition("/")[2].partition("[")[0]
        mine = value.maker == party and element in ("JobToken", "JobId")
        values[name] = f"@{element}@" if mine else value.recorded
    steps = [one for one in made.steps if one.receiver == party and one.name not in LEFT_OUT]
    # Kept open in both cases: what is measured is not how fast connections are made.
    return [_CLOSE.sub(b"", b"".join(bytes_of(one.message, files, values))) for one in steps]


async def answer(reader: asyncio.StreamReader) -> bytes:
    """One answer as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is not None:
        return head + await reader.readexactly(int(length[1]))
    pieces = [head]
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        pieces += (line, await reader.readexactly(size + 2))
        if not size:
            return b"".join(pieces)


async def client(port: int, requests: list[bytes], jobs: int) -> list[bytes]:
    """Some jobs one after the other on one connection; gives the answers of the last one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    answers: list[bytes] = []
    for _ in range(jobs):
        tokens: dict[bytes, bytes] = {}
        answers = []
        for data in requests:
            writer.write(_filled(data, tokens) if tokens else data)
            await writer.drain()
            got = await answer(reader)
            answers.append(got)
            if not tokens and len(got) < 100_000:
                tokens = dict(_TOKEN.findall(got))
    writer.close()
    await writer.wait_closed()
    return answers


def _filled(data: bytes, tokens: dict[bytes, bytes]) -> bytes:
    """A request with the tokens of today: they stand in its first bytes."""
    head, mark, body = data[:16384].partition(b"\r\n\r\n")
    made = _REPLACED.sub(lambda match: tokens[match[1]], body)
    rest = data[16384:]
    size = len(made) + len(rest)
    return _LENGTH.sub(b"Content-Length: %d" % size, head, count=1) + mark + made + rest


async def load(port: int, requests: list[bytes], clients: int, jobs: int) -> float:
    """All clients at once; seconds."""
    start = time.perf_counter()
    await asyncio.gather(*(client(port, requests, jobs) for _ in range(clients)))
    return time.perf_counter() - start


def bench(title: str, clients: int, jobs: int, size: int, rounds: int) -> float:
    """One story; gives the ratio."""
    name, party = STORIES[title]
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as temporary:
        folder = scenario(name, Path(temporary) / "scenario", size)
        requests = requests_of(folder, party)
        ours = Server(
            ["-m", "replay", "serve", str(folder), "--listen", "127.0.0.1:0", "--speed", "0", "--quiet", "--as", party]
        )
        kept = Path(temporary) / "answers"
        kept.write_bytes(pickle.dumps(asyncio.run(client(ours.port, requests, 1))))
        plain = Server(["-c", PLAIN, str(kept)])
        try:
            times: dict[str, list[float]] = {"ours": [], "plain": []}
            for _ in range(rounds):
                for which, server in (("ours", ours), ("plain", plain)):
                    times[which].append(asyncio.run(load(server.port, requests, clients, jobs)))
        finally:
            ours.stop()
            plain.stop()
    # The best rounds: what else the machine does at the time slows a round down, and nothing speeds it up.
    best = [min(times[which]) for which in ("ours", "plain")]
    ratio = best[1] / best[0]
    speeds = [clients * jobs * len(requests) / one for one in best]
    print(f"  {title:20} {speeds[0]:9.0f} {speeds[1]:9.0f} {ratio:8.2f}   {len(requests)} messages a job")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=4, help="at once")
    parser.add_argument("--jobs", type=int, default=10, help="of each client")
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of an image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit code 1 where a ratio is too low (a quiet machine!)")
    parser.add_argument("--only", choices=STORIES, action="append", help="this story; may be repeated")
    arguments = parser.parse_args()
    size = min(arguments.size, len(IMAGE))
    print(f"\nserve: {arguments.clients} clients at once, images of {size / 1e6:.2g} MB, {arguments.rounds} rounds")
    print(f"  {'messages a second':20} {'serve':>9} {'plain':>9} {'ratio':>8}")
    ratios = {
        title: bench(title, arguments.clients, arguments.jobs, size, arguments.rounds)
        for title in arguments.only or STORIES
    }
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "serve.jsonl").open("a") as file:
        file.write(json.dumps({"size": size, "clients": arguments.clients, "ratios": ratios}) + "\n")
    slow = [title for title, ratio in ratios.items() if ratio < ENOUGH]
    if slow and size >= 1 << 20:
        print(f"  less than {ENOUGH:g} of the plain server: {', '.join(slow)}")
    return int(bool(slow) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
