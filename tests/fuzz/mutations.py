"""Captures damaged in seeded ways that know which frames they touch, and what has to be read nonetheless.

Each kind of damage works on the frames of a capture, and says which frames it touched (by their places in the whole
one). A message is held to be untouched if neither its frames nor any other of its connection were touched; where the
damage only moves or doubles frames, or cuts the file, nothing but what is gone is touched. What was read of the
untouched ones in the whole capture has to be read in the damaged one: the same messages with the same values.
"""

from __future__ import annotations

import io
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from dissector.assembly import MessagePass
from dissector.base.errors import UnreadableInput
from dissector.capture import PcapngWriter, open_source
from dissector.http.model import BodyPolicy
from dissector.output.plain import message_json
from tests.fuzz.drive import drive
from tests.fuzz.mutate import mutate
from tests.fuzz.oracles import Broken, bounded
from tests.fuzz.targets.target import SAMPLES

__all__ = ["KINDS", "SMALL", "Broken", "Damage", "case", "damaged", "run_for", "sample_names"]

LARGEST = 200_000
"""Samples above this size are left out: the damage is the same, and each case takes longer."""
SMALL = 60_000
"""Samples for the tests; ``make fuzz`` takes the others too."""
SECONDS = 10.0
"""CPU time of one case: the slowest of the whole samples takes 0.3 s."""
GROWTH = 128 << 20
SWAPPED = 1_000_000
"""Nanoseconds between frames that a capture swaps: receive queues are emptied within microseconds."""
_NEW = frozenset({"number", "frames", "stream", "time", "request", "repeat_of", "relates_to"})
"""What of a message may be another where frames are taken out or put in."""


@dataclass
class Packet:
    """A frame of a capture; ``place`` is that in the whole one, -1 for what was put in."""

    time: int
    data: bytes
    wirelen: int
    interface: int
    place: int


@dataclass
class Damage:
    """A damaged capture.

    Attributes:
        frames: what is left, moved, changed or added.
        touched: places of frames whose connections are touched.
        gone: places of frames that are no more; only the messages that they carried are touched.
        raw: the file's bytes, where the damage is done to those.
    """

    frames: list[Packet]
    touched: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    raw: bytes | None = None


@dataclass(frozen=True)
class Whole:
    """A sample as it is: its frames, the link types of its interfaces, the secrets inside, and what it says.

    ``messages``: the text of each message with its frames; ``connections``: place of a frame → its connection.
    """

    name: str
    frames: tuple[Packet, ...]
    links: tuple[int, ...]
    secrets: tuple[tuple[int, bytes], ...]
    messages: tuple[tuple[str, frozenset[int]], ...]
    connections: dict[int, object]


@cache
def sample_names(largest: int = LARGEST) -> tuple[str, ...]:
    """The samples with frames, by their path below ``pcaps``."""
    found = sorted(path for path in SAMPLES.rglob("*.pcap*") if 100 < path.stat().st_size < largest)
    return tuple(str(path.relative_to(SAMPLES)) for path in found)


@cache
def whole(name: str) -> Whole:
    """Read a sample."""
    data = (SAMPLES / name).read_bytes()
    frames, links, secrets = _frames(data)
    said = _said(data)
    connections: dict[int, object] = {}
    for _, numbers, connection in said:
        connections.update(dict.fromkeys((number - 1 for number in numbers), connection))
    # All frames between the same ends belong together, handshakes and acknowledgements too.
    same_ends: dict[object, object] = {
        _ends(packet.data): connections[packet.place] for packet in frames if packet.place in connections
    }
    for packet in frames:
        connections.setdefault(packet.place, _ends(packet.data))
    for packet in frames:
        ends = _ends(packet.data)
        if ends is not None:
            connections[packet.place] = same_ends.setdefault(ends, connections[packet.place])
    messages = tuple((text, frozenset(number - 1 for number in numbers)) for text, numbers, _ in said)
    return Whole(name, tuple(frames), tuple(links), tuple(secrets), messages, connections)


def _ends(data: bytes) -> object:
    """Both ends of an Ethernet frame of IPv4 or IPv6, None for others: read without the code under test."""
    for at, kind, protocol, addresses, size in ((14, b"\x08\x00", 23, 26, 8), (14, b"\x86\xdd", 20, 22, 32)):
        if data[12:14] == kind and len(data) >= addresses + size + 4 and data[protocol] in (6, 17):
            header = addresses + size if kind == b"\x86\xdd" else at + (data[at] & 15) * 4
            half = size // 2
            one = data[addresses : addresses + half] + data[header : header + 2]
            two = data[addresses + half : addresses + size] + data[header + 2 : header + 4]
            return (data[protocol], frozenset((one, two)))
    return None


def _both_ways(packets: Sequence[Packet]) -> set[int]:
    """The places of those whose connection has both directions among them."""
    found: dict[object, set[bytes]] = {}
    for packet in packets:
        # The address of the sender, behind Ethernet and in both versions of IP.
        sender = packet.data[26:30] if packet.data[12:14] == b"\x08\x00" else packet.data[22:38]
        found.setdefault(_ends(packet.data), set()).add(sender)
    return {packet.place for packet in packets if len(found[_ends(packet.data)]) > 1}


def _frames(data: bytes) -> tuple[list[Packet], list[int], list[tuple[int, bytes]]]:
    frames: list[Packet] = []
    with open_source(io.BytesIO(data)) as source:
        for block in source:
            for i in range(len(block)):
                at, size = int(block.offset[i]), int(block.caplen[i])
                frames.append(
                    Packet(
                        int(block.time[i]), block.data[at : at + size], int(block.wirelen[i]), int(block.interface[i]),
                        len(frames),
                    )
                )  # fmt: skip
        return frames, [interface.link_type for interface in source.interfaces], source.info.secrets


def _said(data: bytes) -> list[tuple[str, tuple[int, ...], object]]:
    """What each message says, its frames, and its connection."""
    made = []
    with open_source(io.BytesIO(data)) as source:
        for message in MessagePass(source, policy=BodyPolicy(digest=True)):
            told: dict[str, Any] = {k: v for k, v in message_json(message).items() if k not in _NEW}
            # What was before the first message that is known is told with it.
            told["findings"] = sorted(
                {finding["rule"] for finding in told["findings"]} - {"http.joined", "http.skipped"}
            )
            for attachment in told["attachments"]:
                del attachment["frames"], attachment["gaps"]
            ends = frozenset((str(message.source), str(message.destination)))
            made.append((json.dumps(told), message.frames, (message.stream.protocol, message.stream.number, ends)))
    return made


def write(sample: Whole, frames: Iterable[Packet]) -> bytes:
    """The frames as pcapng, with the interfaces of the sample."""
    file = io.BytesIO()
    writer = PcapngWriter(file)
    for link in sample.links:
        writer.add_interface(link, tsresol=9)
    for kind, secret in sample.secrets:
        writer.write_secrets(kind, secret)
    for packet in frames:
        writer.write_packet(packet.time, packet.data, packet.interface, wirelen=packet.wirelen)
    return file.getvalue()


# -- kinds of damage -------------------------------------------------------------------------------------------------


def _cut(sample: Whole, rng: Random) -> Damage:
    """The file ends early: what came before is all there."""
    kept = rng.randrange(len(sample.frames) + 1)
    raw = write(sample, sample.frames[:kept])
    tail = write(sample, sample.frames)[len(raw) :]
    gone = {packet.place for packet in sample.frames[kept:]}
    # Inside the next record, which is gone with it.
    return Damage([], gone=gone, raw=raw + tail[: rng.randrange(min(28, len(tail)) or 1)])


def _lose(sample: Whole, rng: Random) -> Damage:
    """Frames that were not captured, as rings that overflow lose them: some in a row."""
    first = rng.randrange(len(sample.frames))
    gone = set(range(first, first + rng.choice([1, 1, 2, 5])))
    return Damage([p for p in sample.frames if p.place not in gone], touched=gone)


def _flip(sample: Whole, rng: Random) -> Damage:
    """Bits of one to three frames, headers as well as payload."""
    frames = list(sample.frames)
    touched = set()
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(len(frames))
        data = bytearray(frames[at].data)
        for _ in range(rng.choice([1, 1, 8])):
            if data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        frames[at] = replace(frames[at], data=bytes(data))
        touched.add(at)
    return Damage(frames, touched)


def _text(sample: Whole, rng: Random) -> Damage:
    """The text in a frame, as :mod:`tests.fuzz.mutate` does it, behind the headers; the length is kept."""
    frames = list(sample.frames)
    long = [packet.place for packet in frames if len(packet.data) > 120] or [0]
    at = rng.choice(long)
    data = frames[at].data
    hurt = mutate(data[66:], rng.randrange(1 << 30))[: len(data) - 66].ljust(len(data) - 66, b"x") if data[66:] else b""
    frames[at] = replace(frames[at], data=data[:66] + hurt)
    return Damage(frames, {at})


def _reorder(sample: Whole, rng: Random) -> Damage:
    """Neighbours in time change places, as several receive queues make it; the times stay ascending.

    A connection of which both directions changed places is touched: which answer belongs to which request is told by
    their order alone where the answer is a bare HTTP one.
    """
    frames = list(sample.frames)
    touched = set()
    for _ in range(rng.choice([1, 4, 20])):
        at = rng.randrange(len(frames))
        other = min(len(frames) - 1, at + rng.choice([1, 1, 2, 3]))
        if abs(frames[at].time - frames[other].time) < SWAPPED:
            passed = [packet.place for packet in frames[at : other + 1]]
            touched.update(_both_ways([sample.frames[place] for place in passed]))
            frames[at], frames[other] = frames[other], frames[at]
    times = sorted(packet.time for packet in frames)
    return Damage([replace(packet, time=moment) for packet, moment in zip(frames, times, strict=True)], touched)


def _double(sample: Whole, rng: Random) -> Damage:
    """Frames that were captured twice (at two ports of a switch), or retransmitted a little later."""
    frames = list(sample.frames)
    for _ in range(rng.choice([1, 5, 30])):
        at = rng.randrange(len(frames))
        later = min(len(frames) - 1, at + rng.choice([0, 0, 1, 4]))
        frames.insert(later + 1, replace(frames[at], time=frames[later].time, place=-1))
    return Damage(frames)


def _splice(sample: Whole, rng: Random) -> Damage:
    """Another capture's frames in between; connections between the same ends are touched."""
    other = whole(rng.choice([name for name in sample_names(SMALL) if name != sample.name]))
    frames = list(sample.frames)
    if other.links[:1] != sample.links[:1] or len(other.links) > len(sample.links):
        return Damage(frames)
    first = rng.randrange(max(len(other.frames) - 1, 1))
    put = other.frames[first : first + rng.choice([1, 10, 100])]
    at = rng.randrange(len(frames) + 1)
    moment = frames[min(at, len(frames) - 1)].time
    theirs = {_ends(packet.data) for packet in put}
    touched = {packet.place for packet in frames if (ends := _ends(packet.data)) is None or ends in theirs}
    new = [replace(packet, time=moment, interface=0, place=-1) for packet in put]
    return Damage([*frames[:at], *new, *frames[at:]], touched)


_FIELDS = (
    (16, 2), (18, 2), (20, 2), (14, 1), (23, 1), (34, 2), (36, 2), (38, 4), (42, 4), (46, 1), (47, 1), (48, 2), (12, 2),
)  # fmt: skip
"""Places and sizes of header fields behind Ethernet: total length, identification, fragment, version and header length,
protocol, both ports, both numbers, data offset, flags, window, EtherType."""


def _extreme(sample: Whole, rng: Random) -> Damage:
    """A header field is the least, the greatest, or something else that it should not be."""
    frames = list(sample.frames)
    touched = set()
    for _ in range(rng.choice([1, 1, 4])):
        at = rng.randrange(len(frames))
        place, size = rng.choice(_FIELDS)
        value = rng.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * size
        value = rng.choice([value, value[:-1] + b"\x01", rng.randbytes(size)])
        data = frames[at].data
        frames[at] = replace(frames[at], data=data[:place] + value[: max(len(data) - place, 0)] + data[place + size :])
        touched.add(at)
    return Damage(frames, touched)


def _container(sample: Whole, rng: Random) -> Damage:
    """Bytes of the file itself: nothing is said of what has to be left, but that nothing raises."""
    frames = list(sample.frames)
    return Damage(frames, set(range(len(frames))), raw=mutate(write(sample, frames), rng.randrange(1 << 30)))


def _record(sample: Whole, rng: Random) -> Damage:
    """The header of one record of the file is overwritten; the reader finds the next one."""
    frames = list(sample.frames)
    at = rng.randrange(len(frames))
    before, behind = write(sample, frames[:at]), write(sample, frames)
    start = len(before)
    size = rng.randint(1, 28)
    value = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])
    touched = set(range(at, min(at + 2, len(frames))))
    return Damage(frames, touched, raw=behind[:start] + value + behind[start + size :])


KINDS: dict[str, Callable[[Whole, Random], Damage]] = {
    "cut": _cut, "lose": _lose, "flip": _flip, "text": _text, "reorder": _reorder, "double": _double,
    "splice": _splice, "extreme": _extreme, "container": _container, "record": _record,
}  # fmt: skip


# -- a case ----------------------------------------------------------------------------------------------------------


def damaged(name: str, kind: str, seed: int) -> tuple[bytes, Counter[str]]:
    """The bytes of a damaged sample, and the messages that have to be in it."""
    sample = whole(name)
    damage = KINDS[kind](sample, Random(f"{name} {kind} {seed}"))
    raw = damage.raw if damage.raw is not None else write(sample, damage.frames)
    # A frame that was changed may now speak for another connection.
    hurt = {sample.connections[place] for place in damage.touched if place in sample.connections}
    moved = {_ends(packet.data) for packet in damage.frames if packet.place in damage.touched}
    hurt |= {
        sample.connections[p.place] for p in sample.frames if _ends(p.data) in moved and p.place in sample.connections
    }
    if any(sample.connections.get(place) is None for place in damage.touched):
        # Of another link type, or no connection at all: nobody knows whose it was.
        return raw, Counter()
    due = Counter(
        text
        for text, frames in sample.messages
        if not frames & damage.gone and not any(sample.connections[place] in hurt for place in frames)
    )
    return raw, due


def case(name: str, kind: str, seed: int) -> int:
    """One damaged capture; gives how many messages had to be read.

    Raises:
        Broken: one of them was not, or a bound was not kept.
    """
    raw, due = damaged(name, kind, seed)
    bounded(lambda: drive(raw), SECONDS, GROWTH)
    try:
        found = Counter(text for text, _, _ in _said(raw))
    except UnreadableInput:
        found = Counter()
    missing = due - found
    if missing:
        text = next(iter(missing))
        raise Broken(
            f"{name} {kind} {seed}: {missing.total()} of {due.total()} untouched messages are not read: {text[:1500]}"
        )
    return due.total()


def run_for(seconds: float, found: Path, first: int = 0) -> bool:
    """Cases for so many seconds; those that go wrong are kept in a folder."""
    end = time.monotonic() + seconds
    names = sample_names()
    count, due, bad = 0, 0, 0
    kinds = list(KINDS)
    seed = first
    while time.monotonic() < end:
        name, kind = names[seed % len(names)], kinds[seed // len(names) % len(kinds)]
        try:
            due += case(name, kind, seed)
        except Exception:  # every kind of exception is what is looked for
            bad += 1
            found.mkdir(parents=True, exist_ok=True)
            path = found / f"mutation-{Path(name).stem}-{kind}-{seed}"
            path.write_bytes(damaged(name, kind, seed)[0])
            print(f"{name} {kind} {seed}, kept as {path.name}:\n{traceback.format_exc()[-3000:]}", flush=True)
        seed += 1
        count += 1
    print(f"mutations    {seconds:>5} s  {count:>9} captures  {bad} FOUND, {due} untouched messages read", flush=True)
    return not bad
