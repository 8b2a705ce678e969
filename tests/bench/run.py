"""``make bench``: dsmshark against tshark, pyshark and Scapy on the same captures, in the same run.

Prints time on the wall and of the processors as whole processes, the ratio to dsmshark, and peak memory (of the largest
process). Times of one run on a busy machine mean little; the ratios, taken in turn, hold; where the machine has fewer
idle processors than a command uses, only those of processor time do. "cat" is the floor: the file read once. "table" is
``dsmshark jobs`` without ``--json``, which does not hash the images; "--jobs 2" is a pipeline of processes, meant for
captures of gigabytes; two dsmshark that read the file at once tell what a second processor is worth on this machine.

pyshark (about 2 ms a packet) and Scapy's TCPSession are timed on the first part of each capture, and dsmshark again on
the same part.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from dissector.capture import PcapWriter, open_source

FOLDER = Path(__file__).parent.parent.parent / ".bench"
PART = 20_000
"""Packets of the part that the slow peers read."""

TSHARK = [
    "tshark", "-2", "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "xml or mime_multipart", "-T", "fields",
    "-e", "frame.number", "-e", "http.request.line", "-e", "xml.cdata", "-e", "mime_multipart.header.content-type",
]  # fmt: skip
PYSHARK = """
import sys, pyshark
capture = pyshark.FileCapture(sys.argv[1], display_filter="http", keep_packets=False)
print(sum(1 for packet in capture if hasattr(packet, "http")))
capture.close()
"""
SCAPY = """
import sys
from scapy.all import TCPSession, sniff
from scapy.layers.http import HTTP
print(len(sniff(offline=sys.argv[1], session=TCPSession, lfilter=lambda p: HTTP in p)))
"""


JOBS = [sys.executable, "-m", "dissector", "jobs"]
OTHERS = {"table": JOBS, "--jobs 2": [*JOBS, "--json", "--jobs", "2"], "cat": ["cat"]}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As installed: compiling all modules anew takes 0.1 s."""


@dataclass
class Timing:
    name: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0
    ok: bool = True


def timed(timing: Timing, command: list[str], output: Path = Path(os.devnull)) -> None:
    """Run a command and add what it took."""
    with output.open("wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        _, status, usage = os.wait4(child.pid, 0)
        timing.wall.append(time.perf_counter() - start)
        timing.cpu.append(usage.ru_utime + usage.ru_stime)
    child.returncode = os.waitstatus_to_exitcode(status)
    timing.peak = max(timing.peak, usage.ru_maxrss // 1024)
    timing.ok = timing.ok and child.returncode in (0, 1)


def compare(title: str, path: Path, peers: dict[str, list[str]], rounds: int) -> None:
    ours = Timing("dsmshark")
    timings = [Timing(name) for name in peers]
    worth: list[float] = []
    for _ in range(rounds):
        timed(ours, [*JOBS, "--json", str(path)], FOLDER / "output")
        for timing in timings:
            last = ["-r", str(path)] if timing.name == "tshark" else [str(path)]
            timed(timing, [*peers[timing.name], *last])
        if "--jobs 2" in peers:
            worth.append(2 * ours.wall[-1] / at_once(2, [*JOBS, "--json", str(path)]))
    found = json.loads((FOLDER / "output").read_text())["jobs"]
    print(f"\n{title}: {path.stat().st_size / 1e6:.0f} MB, {len(found)} jobs, {rounds} rounds")
    print(f"  {'':10} {'seconds':>9} {'times dsmshark':>15} {'processor':>10} {'times':>6} {'peak MiB':>9}")
    for timing in (ours, *timings):
        wall, cpu = statistics.median(timing.wall), statistics.median(timing.cpu)
        ratio, cpus = (
            statistics.median(a / b for a, b in zip(one, other, strict=True))
            for one, other in ((timing.wall, ours.wall), (timing.cpu, ours.cpu))
        )
        print(
            f"  {timing.name:10} {wall:9.2f} {ratio:15.2f} {cpu:10.2f} {cpus:6.2f} {timing.peak:9}"
            f"{'' if timing.ok else '  failed'}"
        )
    if worth:
        bound = statistics.median(worth)
        print(f"  two dsmshark at once do {bound:.2f} times the work of one: the bound of --jobs 2 on this machine")
    check(path, found)


def at_once(count: int, command: list[str]) -> float:
    """Seconds until all of so many of the same have ended."""
    start = time.perf_counter()
    children = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        for _ in range(count)
    ]
    for child in children:
        child.wait()
    return time.perf_counter() - start


def check(path: Path, found: list[dict[str, object]]) -> None:
    """A wrong answer is not fast: hold the jobs against the truth, where it is known for the whole file."""
    truth_file = path.with_suffix(".json")
    if not truth_file.exists():
        return
    jobs = {job["id"]: job for job in found}
    wrong = 0
    for truth in json.loads(truth_file.read_text()):
        job = jobs.get(truth["id"])
        seen = job and [[i["document_id"], i["format"], i["size"], i["sha256"]] for i in job["images"]]
        if not job or job["completed_state"] != truth["completed_state"] or seen != truth["images"]:
            wrong += 1
    print(f"  {len(jobs)} jobs read, {wrong} differ from what was written")
    if wrong:
        sys.exit(1)


def part_of(path: Path) -> Path:
    """The first packets of a capture as a file of its own."""
    part = path.with_name(f"{path.stem}-part.pcap")
    if part.exists():
        return part
    with part.open("wb") as file:
        writer = PcapWriter(file)
        left = PART
        for block in open_source([path]):
            for n in range(min(left, len(block))):
                start = int(block.offset[n])
                writer.write(int(block.time[n]), block.data[start : start + int(block.caplen[n])])
            left -= len(block)
            if left <= 0:
                break
    return part


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300, help="size of the image-heavy capture")
    parser.add_argument("--packets", type=int, default=1_000_000, help="packets of the noise-heavy capture")
    parser.add_argument("--connections", type=int, default=10_000, help="of the capture of small messages")
    parser.add_argument("--stream", type=int, default=0, metavar="MB", help="one connection with an image of this size")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    shapes = {
        "images": arguments.megabytes,
        "noise": arguments.packets,
        "small": arguments.connections,
        "stream": arguments.stream,
    }
    for title, size in shapes.items():
        if not size:
            continue
        path = FOLDER / f"{title}-{size}.pcap"
        if not path.exists():
            print(f"making {path.name} …", flush=True)
            # Not in this process: the peak memory of a child counts what its parent held when it was forked.
            maker = [sys.executable, "-m", "tests.bench.generate", title, str(size), str(path)]
            subprocess.run(maker, check=True)
        if shutil.which("tshark"):
            compare(title, path, {"tshark": TSHARK, **OTHERS}, arguments.rounds)
        else:
            print("tshark is not installed: sudo apt-get install tshark")
            compare(title, path, OTHERS, arguments.rounds)
        if title not in ("images", "noise"):
            continue
        slow = {"pyshark": [sys.executable, "-c", PYSHARK], "scapy": [sys.executable, "-c", SCAPY]}
        compare(f"{title}, first {PART} packets", part_of(path), slow, 1)


if __name__ == "__main__":
    main()
