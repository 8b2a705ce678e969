"""Frame numbers of large messages, which are arrays, are those of small ones, which are tuples."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from dissector.base import origin
from dissector.base.origin import Endpoint, FrameMap, FrameNumbers, Origin, StreamRef

STREAM = StreamRef("tcp", 0, Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2))
ENTRIES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=60)


def mapped(entries: list[tuple[int, int]]) -> FrameMap:
    made = FrameMap()
    for length, frame in entries:
        made.add(made.end, length, frame, 54, 1000 + frame)
    return made


@given(ENTRIES, st.data())
def test_large_and_small_messages_tell_the_same_frames(entries, data):
    frames = mapped(entries)
    low = data.draw(st.integers(0, frames.end - 1))
    high = data.draw(st.integers(low + 1, frames.end))
    small = Origin.whole(STREAM, low, high, frames).frame_numbers()
    before = origin.FEW, origin.MANY
    try:
        origin.FEW = 0
        middle = Origin.whole(STREAM, low, high, frames).frame_numbers()
        origin.MANY = 0
        large = Origin.whole(STREAM, low, high, frames).frame_numbers()
    finally:
        origin.FEW, origin.MANY = before
    assert isinstance(small, tuple)
    assert isinstance(middle, tuple)
    assert small == middle
    assert isinstance(large, FrameNumbers)
    assert small == large
    assert (list(small), small[:1], len(small)) == (list(large), large[:1], len(large))


@given(st.sets(st.integers(1, 1 << 9) | st.integers(1, 1 << 17) | st.integers(1, 1 << 40), max_size=40).map(sorted))
def test_any_frame_numbers_are_held_as_they_are(numbers):
    held = FrameNumbers(numbers)
    assert list(held) == numbers
    assert pickle.loads(pickle.dumps(held)) == held == tuple(numbers)
    assert [held[at] for at in range(-len(numbers), len(numbers))] == numbers * 2
    assert held[1:-1] == tuple(numbers[1:-1])
    assert all(number in held for number in numbers)
    assert 0 not in held


def test_frames_of_an_image_take_a_byte_each():
    numbers = range(5_000_000_000, 5_000_200_000, 200)
    assert len(pickle.dumps(FrameNumbers(numbers))) < 1200


@given(ENTRIES, st.data())
def test_a_map_that_is_handed_on_is_the_one_that_is_cut_out(entries, data):
    frames = mapped(entries)
    end = data.draw(st.integers(1, frames.end))
    copied = frames.cut(0, end)
    before = origin.MANY, origin.KEPT
    origin.MANY, origin.KEPT = 0, 5
    try:
        given_up = frames.cut_off(0, end)
    finally:
        origin.MANY, origin.KEPT = before
    for part in (given_up, copied):
        part.end = 0
    assert all(getattr(given_up, name) == getattr(copied, name) for name in FrameMap.__slots__)
    # What is left still tells the frames of the last bytes, and goes on.
    low = max(end - 5, 0)
    whole = mapped(entries)
    assert frames.frames_of(low, frames.end) == whole.frames_of(low, whole.end)
    assert frames.ranges_of(low, frames.end) == whole.ranges_of(low, whole.end)


def test_numbers_beyond_32_bits():
    assert list(FrameNumbers([1, 1 << 33])) == [1, 1 << 33]
