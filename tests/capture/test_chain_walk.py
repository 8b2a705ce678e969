"""The walk in lanes gives what the plain loop gives, whatever the bytes are."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.capture.walk import Chain, gather
from tests.support.capture_files import BEGIN, pcap, pcapng, read


def _pattern(order: str) -> Chain:
    head = struct.Struct(order + "8xII").unpack_from
    offset = 2 if order == "<" else 0

    def plausible(data: bytes, at: int, pattern: bytes) -> bool:
        if at + 16 > len(data):
            return False
        caplen, wirelen = head(data, at)
        after = at + 16 + caplen + offset
        return bool(caplen <= wirelen and data[after : after + 2] == pattern)

    return Chain(order, 16, 8, 16, lambda data, at: (data[at + offset : at + offset + 2], offset), plausible)


def _records(seed: int, count: int, low: int, high: int, order: str = "<") -> bytes:
    source = random.Random(seed)
    parts = []
    for i in range(count):
        size = source.randint(low, high)
        parts.append(struct.pack(order + "IIII", 1_700_000_000 + i // 1000, i % 1000, size, size))
        parts.append(source.randbytes(size))
    return b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("count", "low", "high"), [(20_000, 0, 90), (5_000, 60, 1400), (3_000, 0, 0), (10, 5, 9)])
def test_lanes_are_the_loop(order: str, count: int, low: int, high: int) -> None:
    data = _records(1, count, low, high, order)
    chain = _pattern(order)
    walked = chain.walk(data, 0)
    assert len(walked) == count
    assert np.array_equal(chain._loop(data, 0, len(data)), walked)


def test_lanes_were_used() -> None:
    data = _records(1, 20_000, 0, 90)
    proved = _pattern("<")._lanes(data, 0, 200)
    assert len(proved) > 19_000


def test_records_inside_records_do_not_mislead() -> None:
    # A capture of the transfer of a capture: every lane finds a chain in the payload before the true one.
    inner = _records(2, 200, 20, 60)
    parts = [struct.pack("<IIII", 1_700_000_000, i, len(inner), len(inner)) + inner for i in range(100)]
    parts.append(_records(3, 4000, 0, 40))
    data = b"".join([_records(4, 3000, 10, 20), *parts])
    chain = _pattern("<")
    walked = chain.walk(data, 0)
    assert len(walked) == 3000 + 100 + 4000
    assert np.array_equal(chain._loop(data, 0, len(data)), walked)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=30))
def test_damage_gives_what_the_loop_gives(seed: int, flips: list[tuple[float, int]]) -> None:
    data = bytearray(_records(seed % 5, 4000, 0, 40))
    for place, value in flips:
        data[min(int(place * len(data)), len(data) - 1)] ^= value
    chain = _pattern("<")
    assert np.array_equal(chain._loop(bytes(data), 0, len(data)), chain.walk(bytes(data), 0))


def test_no_stretch_with_a_likely_header() -> None:
    # Only blocks that are no packets: the pattern of a packet is found nowhere.
    made = pcapng([])
    frames, source = read(made + struct.pack("<III", 5, 12, 12) * 50_000)
    assert (frames, source.info.findings) == ([], [])


def test_zeros_are_not_walked_for_ever() -> None:
    chain = Chain("<", 12, 4, 0, lambda data, at: (b"\0\0\0\0", 0), lambda data, at, pattern: True)
    blocks = struct.pack("<III", 5, 12, 12) * 5000
    assert len(chain.walk(blocks + bytes(1 << 20), 0)) == 5001


def test_gather_is_unaligned_and_knows_byte_order() -> None:
    data = bytes(range(40))
    assert gather(data, np.array([1, 29]), 8, "<").tolist() == [
        [0x04030201, 0x08070605],
        [0x20_1F_1E_1D, 0x24_23_22_21],
    ]
    assert gather(data, np.array([1]), 4, ">").tolist() == [[0x01020304]]
    assert gather(data, np.array([], np.int64), 16, "<").shape == (0, 4)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_many_frames_in_blocks_of_any_size(make) -> None:
    source = random.Random(5)
    records = [(BEGIN // 1000 * 1000 + i * 1000, source.randbytes(i % 90), i % 90) for i in range(12_000)]
    data = make(records)
    for block_bytes in (8 << 20, 100_000):
        frames, opened = read(data, block_bytes)
        assert records == [(frame.time, frame.data, frame.wirelen) for frame in frames]
        assert opened.info.findings == []
