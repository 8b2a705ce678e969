"""Rows of size lines: read, written, and what a person may write there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.scenario.chunks import chunked, chunks_text, is_chunk_line
from tests.support.http_feed import read

HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("runs", "row"),
    [
        ([(b"1000", 12), (b"6c5", 1), (b"0", 1)], ["1000 x 12", "6c5", "0"]),
        ([(b'5;a="b x 3"', 1), (b"0", 1)], ['5;a="b x 3"', "0"]),
        ([(b"5;a=b x 3", 1), (b"0", 1)], ["5;a=b x 3 x 1", "0"]),
        ([(b"4\n", 2), (b"0\n", 1)], ["4\n x 2", "0\n"]),
    ],
)
def test_a_row_of_size_lines(runs: list[tuple[bytes, int]], row: list[str]) -> None:
    assert chunks_text(runs) == row
    assert all(is_chunk_line(entry) for entry in row)


@pytest.mark.parametrize("entry", ["", "x", "12z", "-1", "1 000", "fffffffffffffffff", "12;\u20ac", " x 3"])
def test_what_is_no_size_line(entry: str) -> None:
    assert not is_chunk_line(entry)


@pytest.mark.parametrize(
    "row", [["1 x 999999999", "0"], ["fffffffffffffff"], ["0"], ["1", "1 x 999999999", "0"], ["0 x 999999999"]]
)
def test_an_absurd_row_costs_no_more_than_the_body(row: list[str]) -> None:
    made = b"".join(chunked([b"x" * 20], row))
    assert len(made) < 1000
    (message,) = read(HEAD + made).messages
    assert message.body.data() == b"x" * 20


@given(
    st.binary(max_size=300), st.lists(st.integers(1, 80).map(lambda size: (b"%x" % size, 1)), max_size=6),
    st.sampled_from([b"", b"X-Sum: 1\r\n"]),
)  # fmt: skip
def test_any_body_is_read_back(body: bytes, sizes: list[tuple[bytes, int]], trailer: bytes) -> None:
    row = chunks_text([*sizes, (b"0", 1)])
    (message,) = read(HEAD + b"".join(chunked([body], row, trailer))).messages
    assert message.complete
    assert (message.body.data(), message.trailer_bytes, message.findings) == (body, trailer, [])
