"""``make bench`` and ``make soak``: the emulated scan server under load, against nothing but itself over time.

A number of devices send jobs at once, each with images of one MB; what is printed is jobs and bytes a second, and the
server's memory and processor time. The devices here are bare: prepared bytes, with the token put in, so that the server
is what is measured. Each run is kept in ``.bench/server.jsonl`` and compared with the last one of the same shape.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lxml import etree

from dissector.catalog import build as encode
from dissector.soap.build import anonymous, build_envelope
from dissector.soap.namespaces import WSDP06, WSE
from replay.base.ids import Ids
from replay.devices.scanserver.processes import ScanProcess
from replay.soap.caller import action_of
from replay.soap.compose import Picture, http_request, pack

FOLDER = Path(__file__).parent.parent.parent / ".bench"
TOKEN = "00000000-0000-4000-8000-000000000000"
NAMESPACE = "http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing"
IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4096
LEAK = 20.0
"""MB by which the memory of the second half of a soak may grow."""


def request(name: str, inner: str, path: str, authority: str, image: bytes = b"") -> bytes:
    """One request as bytes; :data:`TOKEN` stands where the token goes."""
    body = etree.fromstring(f'<dsp:{name} xmlns:dsp="{NAMESPACE}">{inner}</dsp:{name}>')
    envelope = build_envelope(
        body, action=action_of(name, "WS-DSP"), to="urn:x", message_id=f"urn:uuid:{TOKEN[:-1]}1", reply_to=anonymous()
    )
    pictures = [Picture("image@bench", image)] if image else []
    dress = http_request(path, authority, pack(envelope, pictures, Ids(1)))
    return dress.head + dress.body


def create(path: str, authority: str) -> bytes:
    """CreatePostScanJob as bytes."""
    body = ScanProcess.example().request("S-1-5-21-1-2-3-500")
    envelope = build_envelope(
        body, action=action_of("CreatePostScanJobRequest", "WS-DSP"), to="urn:x", message_id="urn:uuid:1",
        reply_to=anonymous(),
    )  # fmt: skip
    dress = http_request(path, authority, pack(envelope, [], Ids(1)))
    return dress.head + dress.body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None
    return await reader.readexactly(int(length[1]))


async def device(url: str, jobs: int, images: int, size: int) -> None:
    """One device: its jobs one after the other on one connection."""
    host, port, path = _parts(url)
    authority = f"{host}:{port}"
    first = create(path, authority)
    sends = [
        request(
            "SendImageRequest",
            f"<dsp:JobToken>{TOKEN}</dsp:JobToken><dsp:DocumentDescription><dsp:DocumentId>{number}</dsp:DocumentId>"
            "<dsp:Format>jfif</dsp:Format></dsp:DocumentDescription><dsp:ImageData><xop:Include "
            'xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:image@bench"/></dsp:ImageData>',
            path, authority, IMAGE[:size],
        )
        for number in range(1, images + 1)
    ]  # fmt: skip
    last = request("EndPostScanJobRequest", f"<dsp:JobToken>{TOKEN}</dsp:JobToken>", path, authority)
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(jobs):
        answer = await ask(reader, writer, first)
        found = re.search(rb"JobToken>([0-9a-f-]{36})<", answer)
        assert found is not None, answer
        for data in [*sends, last]:
            await ask(reader, writer, data.replace(TOKEN.encode(), found[1], 1))
    writer.close()
    await writer.wait_closed()


class Sink:
    """Takes the end events of all jobs, on a loop of its own run by :func:`soak`."""

    def __init__(self) -> None:
        self.ends = 0
        self.connections = 0

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; fail rather than wait for ever."""
        async with asyncio.timeout(120):
            while not condition():
                await asyncio.sleep(0.02)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the server."""
        self.connections += 1
        while head := await _head(reader):
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length is not None else b""
            self.ends += b"PostScanJobEndStateEvent>" in body
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()
        self.connections -= 1

    async def subscribe(self, url: str, own: int) -> None:
        """Ask the server for them."""
        data = {
            "delivery": {"notify_to": {"address": f"http://127.0.0.1:{own}/"}}, "expires": "PT10H",
            "filter": [f"{NAMESPACE}/PostScanJobEndStateEvent"], "filter@dialect": f"{WSDP06}/Action",
        }  # fmt: skip
        envelope = build_envelope(
            encode("wse:Subscribe", data), action=f"{WSE}/Subscribe", to=url, message_id="urn:uuid:2",
            reply_to=anonymous(),
        )  # fmt: skip
        host, port, path = _parts(url)
        dress = http_request(path, f"{host}:{port}", pack(envelope, [], Ids(1)), headers=[("Connection", "close")])
        reader, writer = await asyncio.open_connection(host, port)
        await ask(reader, writer, dress.head + dress.body)
        writer.close()
        await writer.wait_closed()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _parts(url: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", url)
    assert match is not None
    return match[1], int(match[2]), match[3]


def memory(process: int) -> tuple[float, float]:
    """Resident now and at its highest, MB."""
    text = Path(f"/proc/{process}/status").read_text()
    now, peak = re.search(r"VmRSS:\s+(\d+)", text), re.search(r"VmHWM:\s+(\d+)", text)
    assert now is not None
    assert peak is not None
    return int(now[1]) / 1024, int(peak[1]) / 1024


def busy(process: int) -> float:
    """Seconds of processor time so far: what others do on the machine meanwhile changes it little."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """The emulated server as a process of its own.

    Args:
        filters: run the file share filter; else it has an outcome.
    """

    def __init__(self, *, filters: bool = False) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bench-server-")
        self.share = Path(self.folder.name) / "share"
        self._filter = (
            ["--share", rf"\\files.example.com\scans={self.share}"]
            if filters
            else ["--outcome", "fileshare=CompletedSuccessfully"]
        )

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "replay", "emulate", "scan-server", "--http", "--listen", "127.0.0.1:0",
             "--no-discovery", *self._filter, "--output", str(Path(self.folder.name) / "out"), "--quiet"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = ""
        for line in self.process.stdout:
            if found := re.search(r"WS-DSP\s+(http\S+)", line):
                self.url = found[1]
                break
        # Nobody reads on: what it prints from here on must not fill the pipe.
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def drain(self) -> None:
        """Read what it printed."""
        assert self.process.stdout is not None
        try:
            while os.read(self.process.stdout.fileno(), 1 << 20):
                pass
        except BlockingIOError:
            pass

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.folder.cleanup()


async def load(server: Server, devices: int, jobs: int, images: int, size: int) -> float:
    """All devices at once; seconds."""

    async def drain() -> None:
        while True:
            server.drain()
            await asyncio.sleep(0.05)

    draining = asyncio.create_task(drain())
    start = time.perf_counter()
    await asyncio.gather(*(device(server.url, jobs, images, size) for _ in range(devices)))
    taken = time.perf_counter() - start
    draining.cancel()
    return taken


def bench(devices: int, jobs: int, images: int, size: int) -> None:
    with Server() as server:
        asyncio.run(load(server, 2, 2, 1, size))
        before_it = busy(server.process.pid)
        taken = asyncio.run(load(server, devices, jobs, images, size))
        work = busy(server.process.pid) - before_it
        now, peak = memory(server.process.pid)
    count = devices * jobs
    cost = work / count
    speed, megabytes = count / taken, count * images * size / taken / 1e6
    print(f"\nscan server: {devices} devices at once, {count} jobs of {images} images of {size / 1e6:.2g} MB")
    print(
        f"  {speed:8.1f} jobs a second   {megabytes:8.1f} MB a second   {now:6.0f} MB resident   {peak:6.0f} MB at most"
        f"   {cost * 1000:6.1f} ms of processor time a job"
    )
    FOLDER.mkdir(exist_ok=True)
    history = FOLDER / "server.jsonl"
    shape = [devices, jobs, images, size]
    before = [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []
    same = [one for one in before if one["shape"] == shape]
    if same:
        faster, larger = speed / same[-1]["speed"], peak / same[-1]["peak"]
        dearer = f", {cost / same[-1]['cost']:.2f} times the processor time" if "cost" in same[-1] else ""
        print(f"  {faster:8.2f} times the speed and {larger:.2f} times the memory of the last run{dearer}")
    with history.open("a") as file:
        file.write(
            json.dumps({"shape": shape, "speed": speed, "megabytes": megabytes, "peak": peak, "cost": cost}) + "\n"
        )


async def soak(jobs: int) -> int:
    """Many small jobs: the memory of the second half stays what it was, every end is told, every image written."""
    sink = Sink()
    listening = await asyncio.start_server(sink.take, "127.0.0.1", 0)
    with Server(filters=True) as server:
        await sink.subscribe(server.url, listening.sockets[0].getsockname()[1])
        rounds, each = 10, max(jobs // 100, 1)
        seen = []
        for number in range(rounds):
            taken = await load(server, 10, each, 1, 10_000)
            # The ends are told one after the other, while jobs come ten at a time.
            await sink.until(lambda: sink.ends == (number + 1) * each * 10)  # noqa: B023 (awaited here)
            now, _ = memory(server.process.pid)
            seen.append(now)
            # Folders of jobs come and go meanwhile; os.walk does not mind.
            files = sum(len(found) for _, _, found in os.walk(Path(server.folder.name) / "out"))
            handles = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
            print(
                f"  {(number + 1) * each * 10:6} jobs {each * 10 / taken:7.1f} a second  {now:6.1f} MB  {files} images "
                f"on the disk  {handles} open files  {sink.ends} ends told",
                flush=True,
            )
        written = sum(len(found) for _, _, found in os.walk(server.share))
    listening.close()
    await sink.until(lambda: not sink.connections)
    grown = seen[-1] - seen[rounds // 2 - 1]
    print(f"  {sink.ends} ends told, {written} images on the share")
    print(f"  the second half grew by {grown:.1f} MB, {LEAK:g} MB are allowed")
    return int(grown > LEAK or written != rounds * each * 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=4, help="of each device")
    parser.add_argument("--images", type=int, default=3, help="of each job")
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of an image")
    parser.add_argument("--soak", type=int, metavar="JOBS", help="so many small jobs instead: does anything leak?")
    arguments = parser.parse_args()
    if arguments.soak:
        return asyncio.run(soak(arguments.soak))
    bench(arguments.devices, arguments.jobs, arguments.images, min(arguments.size, len(IMAGE)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
