"""Rows put together by flow: as a stable argsort does, also where hashes differ only in the bits that are given up."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dissector.transport.grouping import by_flow, members
from dissector.transport.pair import _joined
from dissector.transport.words import Words

HASHES = st.one_of(
    st.lists(st.integers(0, 2**64 - 1), max_size=60),
    st.lists(st.sampled_from([0, 1, 2, 63, 64, 2**63, 2**63 + 1, 2**64 - 1]), max_size=200),
)


@given(HASHES)
def test_groups_are_those_of_a_stable_sort(hashes):
    flow = np.array(hashes, np.uint64)
    order = by_flow(flow)
    together = flow[order]
    starts = (
        np.flatnonzero(np.concatenate(([True], together[1:] != together[:-1]))) if hashes else np.zeros(0, np.int64)
    )
    assert len(set(hashes)) == len(starts)
    assert order.tolist() == np.argsort(flow, kind="stable").tolist()
    for groups in ([], list(range(len(starts))), list(range(len(starts)))[::-2]):
        mine, begin = members(order, starts, np.array(groups, np.int64))
        ends = [*begin[1:].tolist(), len(mine)]
        kept = [mine[low:high].tolist() for low, high in zip(begin.tolist(), ends, strict=True)] if groups else []
        wanted = [[n for n, h in enumerate(hashes) if h == together[starts[group]]] for group in groups]
        assert kept == wanted


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=50), st.sets(st.binary(min_size=4, max_size=4)))
def test_words_are_told_by_a_table(seen, words):
    seen += sorted(words)[:5]
    numbers = np.array([int.from_bytes(word, "little") for word in seen], np.uint32)
    assert Words(words).among(numbers).tolist() == [word in words for word in seen]


@given(st.lists(st.tuples(st.sampled_from([1, 5, 5, 5, 7]), st.integers(1, 60)), min_size=1, max_size=4), st.booleans())
def test_payloads_are_joined_in_the_order_of_the_rows(runs, mapped):
    lengths = [size for size, count in runs for _ in range(count)]
    data = bytes(range(251)) * 20
    begins = [(n * 37) % (len(data) - 7) for n in range(len(lengths))]
    begins[-1] = len(data) - lengths[-1]
    whole = _joined(memoryview(data) if mapped else data, np.array(begins), np.array(lengths))
    assert whole == b"".join(data[a : a + size] for a, size in zip(begins, lengths, strict=True))
