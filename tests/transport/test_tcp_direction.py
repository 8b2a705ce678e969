"""One direction alone: segments in any order in, contiguous bytes and gaps out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import StreamEnd
from dissector.transport.tcp import Direction
from tests.support.streams import Taken

STREAM = StreamRef("tcp", 0, Endpoint("192.0.2.1", 49152), Endpoint("192.0.2.2", 5357))
TEXT = bytes(i * 7 % 251 for i in range(3000))
ISN = 1000


class Bench:
    """A direction with its consumer and findings. ``give`` takes offsets; frames count from 1."""

    def __init__(self, isn: int | None = ISN, limits: Limits = DEFAULT_LIMITS) -> None:
        self.taken = Taken(STREAM)
        self.findings: list[Finding] = []
        self.direction = Direction(self.taken, self.findings.append, limits)
        self.first = ((ISN if isn is None else isn) + 1) & 0xFFFFFFFF
        self.frame = 0
        if isn is not None:
            self.direction.open(isn)

    def give(self, offset: int, data: bytes, wire: int | None = None) -> None:
        self.frame += 1
        seq = (self.first + offset) & 0xFFFFFFFF
        wire = len(data) if wire is None else wire
        self.direction.segment(seq, memoryview(data), wire, self.frame, 54, self.frame * 1000)

    def fin(self, offset: int) -> None:
        self.frame += 1
        self.direction.fin((self.first + offset) & 0xFFFFFFFF, self.frame, self.frame * 1000)

    def stop(self) -> Taken:
        self.direction.flush()
        self.direction.stop(StreamEnd.CAPTURE, 0, 0)
        return self.taken

    @property
    def rules(self) -> list[str]:
        return [finding.rule for finding in self.findings]


@pytest.mark.parametrize("size", [1, 2, 7, 1460, 5000])
@pytest.mark.parametrize("isn", [ISN, 0xFFFFFFFF, 0xFFFFFF00, 0])
def test_any_segment_size_gives_the_same_bytes(size: int, isn: int) -> None:
    bench = Bench(isn)
    for start in range(0, len(TEXT), size):
        bench.give(start, TEXT[start : start + size])
    bench.fin(len(TEXT))
    assert bench.taken.events[:-1] == [("data", 0, TEXT)]
    assert bench.taken.events[-1][1] == StreamEnd.FIN
    assert bench.rules == []


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([ISN, 0xFFFFFC00]))
def test_any_order_with_copies_and_overlaps_gives_the_same_bytes(rng: random.Random, isn: int) -> None:
    cuts = sorted(rng.sample(range(1, len(TEXT)), rng.randrange(1, 30)))
    pieces = list(zip([0, *cuts], [*cuts, len(TEXT)], strict=True))
    for _ in range(rng.randrange(10)):
        low = rng.randrange(len(TEXT) - 1)
        pieces.append((low, rng.randrange(low + 1, len(TEXT) + 1)))
    rng.shuffle(pieces)
    bench = Bench(isn)
    for low, high in pieces:
        bench.give(low, TEXT[low:high])
    assert bench.stop().bytes == TEXT
    assert bench.taken.gaps == []
    assert bench.rules == []
    assert bench.taken.frames.end == len(TEXT)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_lost_pieces_are_gaps_and_everything_else_is_delivered(rng: random.Random) -> None:
    size = 100
    starts = list(range(0, len(TEXT), size))
    lost = set(rng.sample(starts[1:-1], rng.randrange(1, 8)))
    kept = [start for start in starts if start not in lost]
    rng.shuffle(kept)
    bench = Bench()
    for start in kept:
        bench.give(start, TEXT[start : start + size])
    taken = bench.stop()
    assert taken.bytes == b"".join(TEXT[s : s + size] for s in starts if s not in lost)
    missing = {offset for gap in taken.gaps for offset in range(gap.offset, gap.offset + gap.length, size)}
    assert missing == lost
    for gap in taken.gaps:
        assert gap.before == 1 + kept.index(gap.offset - size)
        assert gap.after == 1 + kept.index(gap.offset + gap.length)


def test_the_first_copy_of_a_held_byte_wins_and_a_differing_one_is_named() -> None:
    bench = Bench()
    bench.give(0, b"aaaa")
    bench.give(8, b"cccc")
    bench.give(6, b"bbXXXXdd")
    bench.give(4, b"bb")
    assert bench.stop().bytes == b"aaaabbbbccccdd"
    (finding,) = bench.findings
    assert (finding.rule, finding.offset, finding.frames) == ("tcp.differing-copy", 8, (2, 3))


def test_a_gap_is_given_up_by_acknowledgement_and_segments_and_late_data_is_not_used() -> None:
    bench = Bench(limits=Limits(gap_wait_segments=3))
    bench.give(0, b"aaaa")
    bench.give(8, b"cccc")
    for frame in range(10, 14):
        bench.direction.passed(frame, 0)
    assert bench.taken.gaps == []
    bench.direction.acknowledge((bench.first + 12) & 0xFFFFFFFF)
    for frame in range(20, 24):
        assert bench.taken.gaps == []
        bench.direction.passed(frame, 0)
    assert [(g.offset, g.length, g.released) for g in bench.taken.gaps] == [(4, 4, 23)]
    bench.give(4, b"bbbb")
    assert bench.stop().bytes == b"aaaacccc"
    assert bench.rules == ["tcp.gap", "tcp.late-segment"]


def test_a_direction_that_began_earlier_says_so_before_its_first_byte() -> None:
    bench = Bench(isn=None)
    bench.give(700, b"abc")
    taken = bench.stop()
    assert [event[0] for event in taken.events] == ["gap", "data", "end"]
    assert (taken.gaps[0].offset, taken.gaps[0].length, taken.gaps[0].reason) == (0, 0, "start")


def test_a_cut_segment_leaves_a_gap_of_what_is_missing() -> None:
    bench = Bench()
    bench.give(0, b"abc", wire=10)
    bench.give(10, b"def")
    taken = bench.stop()
    assert taken.bytes == b"abcdef"
    assert [(g.offset, g.length, g.reason) for g in taken.gaps] == [(3, 7, "cut")]


def test_data_after_the_end_is_a_note() -> None:
    bench = Bench()
    bench.give(0, b"abc")
    bench.fin(3)
    bench.give(3, b"more")
    assert bench.taken.bytes == b"abc"
    assert bench.rules == ["tcp.after-end"]


def test_a_gap_has_an_entry_without_a_frame_in_the_map() -> None:
    bench = Bench()
    bench.give(0, b"aaaa")
    bench.give(8, b"cccc")
    bench.direction.stop(StreamEnd.CAPTURE, 0, 0)
    assert bench.taken.frames.frames_of(0, 12) == (1, 2)
    assert bench.taken.frames.frames_of(4, 8) == ()


@pytest.mark.parametrize(("size", "given_up"), [(8999, False), (9000, False), (9001, True)])
def test_a_gap_is_given_up_when_too_much_waits_behind_it(size: int, given_up: bool) -> None:
    bench = Bench(limits=Limits(out_of_order=9000))
    for start in range(0, size, 1000):
        bench.give(100 + start, bytes(min(1000, size - start)))
    assert [(gap.offset, gap.length) for gap in bench.taken.gaps] == ([(0, 100)] if given_up else [])
