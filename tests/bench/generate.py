"""The captures of the benchmark, made from a seed: the same bytes on every machine.

- ``images``: many post-scan jobs with large images, on keep-alive connections, some segments reordered or sent twice;
- ``noise``: a few jobs among a million packets of other traffic (TLS, DNS, file transfer, chatter);
- ``small``: jobs without images, each exchange of two small messages on a connection of its own;
- ``stream``: one job with one image of the whole size, on one connection.

Each file comes with the truth: every job's token, end state, reasons, and its images' size and SHA-256.
"""

from __future__ import annotations

import heapq
import json
import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.stories import PostScan, Story
from tests.support.wire import START, Frame, Wire, packet
from tests.support.wsd import EMAIL, FILESHARE, FilterSpec, Ids

__all__ = ["images", "noise", "small", "stream", "write"]


def job_story(rng: random.Random, number: int, size: int) -> Story:
    """One job with one to five images of about ``size`` bytes."""
    story = Story()
    device = f"192.0.2.{10 + number % 200}"
    dsm = PostScan(story, Ids(rng.getrandbits(60)), device=device, server="198.51.100.20")
    dsm.subscribe()
    filters = [FilterSpec(FILESHARE), FilterSpec(EMAIL)]
    token = dsm.create(filters)
    dsm.status(token, "Creating", filters, 0)
    count = rng.randint(1, 5)
    for page in range(1, count + 1):
        data = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + rng.randbytes(rng.randint(size // 2, size * 3 // 2))
        dsm.image(token, page, "jfif", data, chunk=16384 if rng.random() < 0.3 else None, pause=0.01)
    dsm.finish(token)
    state, reason = rng.choice(
        [("Completed", "PostScanJobCompletedSuccessfully"), ("Aborted", "PostScanJobProcessingFailed")]
    )
    dsm.end(token, state, [reason], filters, count)
    return story


def disorder(frames: Iterator[Frame], rng: random.Random, share: float = 0.002) -> Iterator[Frame]:
    """Some data segments come a few places late, some come twice."""
    late: list[tuple[int, Frame]] = []
    for number, frame in enumerate(frames):
        while late and late[0][0] <= number:
            yield late.pop(0)[1]
        draw = rng.random()
        if frame.payload > 1000 and draw < share:
            late.append((number + rng.randint(2, 5), frame))
            late.sort(key=lambda entry: entry[0])
            if draw > share / 2:
                continue
        yield frame
    for _, frame in late:
        yield frame


def images(total: int, seed: int = 1, size: int = 1_000_000) -> tuple[Iterator[Frame], list[Story]]:
    """Frames of jobs that add up to about ``total`` bytes, three running at a time."""
    rng = random.Random(seed)
    stories: list[Story] = []
    weight = 0
    while weight < total:
        story = job_story(rng, len(stories), size)
        stories.append(story)
        weight += sum(len(turn.data) for turn in story.turns)

    def lane(which: int) -> Iterator[tuple[int, int, Frame]]:
        wire = Wire(sums=False, first_port=20000 + which * 15000, tick=12_000)
        for story in stories[which::3]:
            wire.first_seq = rng.getrandbits(32)
            for frame in wire.carry(story):
                yield frame.time, which, frame

    merged = (frame for _, _, frame in heapq.merge(*(lane(which) for which in range(3)), key=lambda e: e[:2]))
    return disorder(merged, rng), stories


def noise(packets: int, seed: int = 2, jobs: int = 12) -> tuple[Iterator[Frame], list[Story]]:
    """A few jobs in so many packets of other traffic."""
    rng = random.Random(seed)
    stories = [job_story(rng, number, 60_000) for number in range(jobs)]
    gap = 60_000

    def told() -> Iterator[tuple[int, int, Frame]]:
        wire = Wire(sums=False, tick=2_000_000)
        for story in stories:
            wire.first_seq = rng.getrandbits(32)
            for frame in wire.carry(story):
                yield frame.time, 0, frame

    def other() -> Iterator[tuple[int, int, Frame]]:
        clock, sent = START, 0
        blob = rng.randbytes(1 << 20)
        while sent < packets:
            for data in chatter(rng, blob):
                clock += gap
                sent += 1
                yield clock, 1, Frame(clock, data)

    return disorder((frame for _, _, frame in heapq.merge(told(), other(), key=lambda e: e[:2])), rng), stories


def small(connections: int, seed: int = 3) -> tuple[Iterator[Frame], list[Story]]:
    """So many connections with one exchange each, five to a job."""
    rng = random.Random(seed)
    stories: list[Story] = []
    filters = [FilterSpec(FILESHARE), FilterSpec(EMAIL)]

    def frames() -> Iterator[Frame]:
        wire = Wire(sums=False, tick=50_000)
        for number in range(connections // 5):
            story = Story()
            device, server = f"10.{rng.randrange(8)}.{number >> 8 & 255}.{number & 255}", "198.51.100.20"
            dsm = PostScan(story, Ids(rng.getrandbits(60)), device=device, server=server)
            dsm.subscribe()
            token = dsm.create(filters)
            dsm.status(token, "Creating", filters, 0)
            dsm.finish(token)
            dsm.end(token, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 0)
            for turn in story.turns:
                turn.close = turn.back
            wire.first_seq = rng.getrandbits(32)
            yield from wire.carry(story)
            story.turns.clear()
            stories.append(story)

    return frames(), stories


def stream(total: int, seed: int = 4) -> tuple[Iterator[Frame], list[Story]]:
    """One job whose only image has so many bytes."""
    rng = random.Random(seed)
    story = Story()
    dsm = PostScan(story, Ids(rng.getrandbits(60)), server="198.51.100.20")
    dsm.subscribe()
    filters = [FilterSpec(FILESHARE), FilterSpec(EMAIL)]
    token = dsm.create(filters)
    block = rng.randbytes(10_000_000)
    dsm.image(token, 1, "jfif", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + block * (total // len(block)))
    dsm.finish(token)
    dsm.end(token, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 1)
    return Wire(sums=False, tick=12_000).carry(story), [story]


def chatter(rng: random.Random, blob: bytes) -> Iterator[bytes]:
    """One conversation of other traffic."""
    one = f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    two = f"203.0.113.{rng.randrange(1, 255)}"
    draw = rng.random()
    if draw < 0.25:
        port = rng.randrange(1024, 65000)
        query = struct.pack(">HHHH", port, 53, 48, 0) + blob[:40]
        yield packet(one, two, 17, query, sums=False)
        yield packet(two, one, 17, struct.pack(">HHHH", 53, port, 128, 0) + blob[:120], sums=False)
        return
    port, server = rng.randrange(1024, 65000), rng.choice([443, 443, 443, 445, 22, 993])
    tls = server in (443, 993)
    seq = [rng.getrandbits(32), rng.getrandbits(32)]

    def segment(back: bool, flags: int, data: bytes) -> bytes:
        ports = (server, port) if back else (port, server)
        header = struct.pack(">HHIIBBHHH", *ports, seq[back], seq[not back], 0x50, flags, 64240, 0, 0)
        seq[back] = (seq[back] + len(data) + (flags & 3 != 0)) & 0xFFFFFFFF
        return packet(two if back else one, one if back else two, 6, header + data, sums=False)

    yield segment(False, 0x02, b"")
    yield segment(True, 0x12, b"")
    yield segment(False, 0x10, b"")
    yield segment(False, 0x18, (b"\x16\x03\x01\x02\x00" if tls else b"\x00\x00\x00\x90") + blob[:300])
    for _ in range(rng.randrange(4, 60)):
        start = rng.randrange(len(blob) - 1500)
        lead = b"\x17\x03\x03\x05\x00" if tls else b""
        yield segment(True, 0x10, lead + blob[start : start + rng.choice([90, 700, 1400, 1400])])
        if rng.random() < 0.5:
            yield segment(False, 0x10, b"")
    yield segment(False, 0x11, b"")
    yield segment(True, 0x11, b"")


def write(path: Path, made: tuple[Iterator[Frame], list[Story]]) -> None:
    """Write the capture, and the truth beside it as ``.json``."""
    frames, stories = made
    with path.open("wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for frame in frames:
            seconds, rest = divmod(frame.time, 1_000_000_000)
            size = len(frame.data)
            file.write(struct.pack("<IIII", seconds, rest // 1000, size, size) + frame.data)
    truth = [
        {"id": job.id, "completed_state": job.completed_state, "reasons": job.reasons, "images": job.images}
        for story in stories
        for job in story.jobs
    ]
    path.with_suffix(".json").write_text(json.dumps(truth))


def main() -> None:
    """``python -m tests.bench.generate SHAPE SIZE FILE``: a process of its own, see ``run.py``.

    The size is in megabytes for ``images`` and ``stream``, in packets for ``noise``, in connections for ``small``.
    """
    shape, size, path = sys.argv[1:]
    unit = 1_000_000 if shape in ("images", "stream") else 1
    write(Path(path), {"images": images, "noise": noise, "small": small, "stream": stream}[shape](int(size) * unit))


if __name__ == "__main__":
    main()
