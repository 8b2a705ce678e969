"""Properties: cuts make no difference, no byte makes it raise, what is built is read back."""

from __future__ import annotations

import gzip

from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.limits import Limits
from dissector.http.start import INTEREST_WORDS
from dissector.http.writer import build_multipart, build_request, build_response
from dissector.transport.model import StreamEnd
from tests.support.http_feed import Feed, outcome, read

KIND, PACKAGE = build_multipart(b"<root/>", [([("Content-ID", "<i>")], bytes(range(256)))], "b1")
STREAM = b"".join(
    [
        build_request("POST", "/a", [("Content-Type", KIND)], PACKAGE, chunk=50),
        build_request("GET", "/b", [("Host", "h")]),
        build_request("POST", "/c", [("Content-Encoding", "gzip")], gzip.compress(b"<a/>" * 50, mtime=0)),
        build_request("POST", "/d", [("Content-Type", KIND)], PACKAGE),
    ]
)
ANSWERS = b"".join(
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        build_response(200, "OK", [("Content-Type", KIND)], PACKAGE, chunk=30),
        b"HTTP/1.1 200 OK\r\n\r\n",
        build_response(500, "Internal Server Error", [], b"<fault/>"),
        b"HTTP/1.0 200 OK\r\n\r\n<rest/>",
    ]
)
WHOLE = {data: outcome(read(data)) for data in (STREAM, ANSWERS)}
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
NAME = st.from_regex(r"X-[A-Za-z0-9-]{1,12}", fullmatch=True)
HEADERS = st.lists(st.tuples(NAME, TEXT), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([STREAM, ANSWERS]), st.data())
def test_any_split_gives_the_same_messages(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(data) - 1), max_size=30)))
    assert outcome(read(data, cuts)) == WHOLE[data]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([STREAM, ANSWERS]), st.data())
def test_any_flipped_byte_never_raises_and_cuts_make_no_difference(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[at] = draw.draw(st.integers(0, 255))
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(data) - 1), max_size=6)))
    assert outcome(read(bytes(changed), cuts)) == outcome(read(bytes(changed)))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([STREAM[:90], ANSWERS[:60], b"\r\n", b"0\r\n\r\n"]))))
def test_noise_never_raises(pieces: list[bytes]) -> None:
    limits = Limits(head=100, headers=3, chunk_line=20, xml=50, parts=2, unpaired=2, keep=10)
    feed = Feed(limits=limits)
    for number, piece in enumerate(pieces):
        side = (feed.up, feed.down)[number % 2]
        if len(piece) % 5 == 4:
            side.gap(len(piece))
        elif piece:
            side.data(piece)
    feed.up.end(StreamEnd.RESET)
    feed.down.end(StreamEnd.FIN)


@settings(max_examples=60, deadline=None)
@given(HEADERS, st.binary(max_size=300), st.one_of(st.none(), st.integers(1, 400)), TEXT)
def test_built_requests_are_read_back(
    headers: list[tuple[str, str]], body: bytes, chunk: int | None, target: str
) -> None:
    feed = read(build_request("POST", target, headers, body, chunk))
    (message,) = feed.messages
    assert feed.findings == []
    assert (message.method, message.target, message.body.data(), message.complete) == ("POST", target, body, True)
    assert [(h.name, h.value) for h in message.headers][: len(headers)] == headers


@settings(max_examples=60, deadline=None)
@given(st.integers(200, 599).filter(lambda s: s not in (204, 304)), TEXT, HEADERS, st.binary(max_size=300))
def test_built_responses_are_read_back(status: int, reason: str, headers: list[tuple[str, str]], body: bytes) -> None:
    feed = read(build_response(status, reason, headers, body))
    (message,) = feed.messages
    assert feed.findings == []
    assert (message.status, message.reason, message.body.data()) == (status, reason, body)


def test_interest_words_are_four_bytes() -> None:
    assert {len(word) for word in INTEREST_WORDS} == {4}
    assert {b"POST", b"HTTP", b"GET ", b"NOTI", b"M-PO", b"SUBS"} <= INTEREST_WORDS
    assert {b"\r\nPO", b"\r\nGE", b"\r\nHT", b"\r\n\r\n"} <= INTEREST_WORDS
