"""Whatever the bytes are, reading gives frames and findings, or refuses; and never depends on how they are cut."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UnreadableInput
from tests.support.capture_files import BEGIN, pcap, pcap_by_hand, read
from tests.support.captures import rich_pcapng

_RANDOM = random.Random(11)
SEEDS = {
    "pcap": pcap([(BEGIN + i, _RANDOM.randbytes(30), 30) for i in range(25)]),
    "swapped": pcap_by_hand(">", version=(2, 3), swapped=True),
    "kuznetsov": pcap_by_hand(magic=0xA1B2CD34, record_extra=bytes(8)),
    "pcapng": rich_pcapng(),
}


def outcome(data: bytes, block_bytes: int) -> object:
    try:
        frames, source = read(data, block_bytes)
    except UnreadableInput as refusal:
        return str(refusal)
    # Notes of the same batch come in another order than those of several.
    return frames, source.interfaces, source.info.names, sorted(map(str, source.info.findings))


flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(sorted(SEEDS)), flips, st.sampled_from([1, 17, 64, 1000]))
def test_flipped_bytes_never_raise_and_pieces_do_not_matter(
    seed: str, changes: list[tuple[float, int]], block_bytes: int
) -> None:
    data = bytearray(SEEDS[seed])
    for place, value in changes:
        data[int(place * len(data))] ^= value
    assert outcome(bytes(data), 8 << 20) == outcome(bytes(data), block_bytes)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(SEEDS)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.binary(max_size=80),
    st.sampled_from([1, 64, 1000]),
)
def test_bytes_replaced_never_raise_and_pieces_do_not_matter(
    seed: str, low: float, high: float, put: bytes, block_bytes: int
) -> None:
    whole = SEEDS[seed]
    first, last = sorted((int(low * len(whole)), int(high * len(whole))))
    data = whole[:first] + put + whole[last:]
    assert outcome(data, 8 << 20) == outcome(data, block_bytes)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(["", *sorted(SEEDS)]), st.binary(max_size=400))
def test_any_bytes_behind_a_header(seed: str, data: bytes) -> None:
    outcome((SEEDS[seed][:28] if seed else b"") + data, 64)
