"""Input bytes and what is read from them: whole, byte by byte, in random pieces, with a message behind."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from dissector.http.chunked import MAX_RUNS
from dissector.http.model import BodyPolicy
from dissector.transport.model import StreamEnd
from tests.support.http_feed import bytewise, outcome, read

XML = b"<a>1</a>"
RAW = zlib.compressobj(wbits=-15)
RAW_XML = RAW.compress(XML) + RAW.flush()
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
NEXT_ANSWER = b"HTTP/1.1 204 No Content\r\nServer: s\r\n\r\n"


def coded(coding: str, data: bytes, name: str = "Content-Encoding") -> bytes:
    return (
        b"POST / HTTP/1.1\r\n%s: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), coding.encode(), len(data)) + data
    )


def chunked(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body


# name: input, bodies, findings, may a message follow at once
CASES: dict[str, tuple[bytes, list[bytes], set[str]]] = {
    "no-body": (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", [b""], set()),
    "http-1.0": (b"GET / HTTP/1.0\r\n\r\n", [b""], set()),
    "no-headers": (b"GET / HTTP/1.1\r\n\r\n", [b""], set()),
    "length": (b"POST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\n" + XML, [XML], set()),
    "empty-lines": (b"\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\n" + XML, [XML], set()),
    "two": (b"POST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\n" + XML + b"PUT /y HTTP/1.1\r\n\r\n", [XML, b""], set()),
    "bare-lf": (b"POST /x HTTP/1.1\nContent-Length: 8\n\n" + XML, [XML], {"http.bare-lf"}),
    "folded": (b"POST /x HTTP/1.1\r\nA: b\r\n  c\r\nContent-Length: 8\r\n\r\n" + XML, [XML], {"http.folded"}),
    "space-colon": (
        b"POST /x HTTP/1.1\r\nContent-Length : 8\r\n\r\n" + XML, [XML], {"http.space-before-colon"},
    ),
    "no-colon": (b"POST /x HTTP/1.1\r\nodd\r\nContent-Length: 8\r\n\r\n" + XML, [XML], {"http.no-colon"}),
    "length-twice": (
        b"POST /x HTTP/1.1\r\nContent-Length: 8\r\nContent-Length: 8\r\n\r\n" + XML, [XML], {"http.length-repeated"},
    ),
    "length-bad": (b"GET /x HTTP/1.1\r\nContent-Length: x\r\n\r\n", [b""], {"http.length-invalid"}),
    "length-negative": (b"GET /x HTTP/1.1\r\nContent-Length: -5\r\n\r\n", [b""], {"http.length-invalid"}),
    "length-plus": (b"POST /x HTTP/1.1\r\nContent-Length: +8\r\n\r\n" + XML, [XML], {"http.length-invalid"}),
    "length-huge": (
        b"GET /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", [b""], {"http.length-invalid"},
    ),
    "chunked": (chunked(b"3\r\n<a>\r\n5;x=\"y\"\r\n1</a>\r\n0\r\n\r\n"), [XML], set()),
    "chunked-empty": (chunked(b"0\r\n\r\n"), [b""], set()),
    "chunked-zeros": (chunked(b"0008\r\n" + XML + b"\r\n000\r\n\r\n"), [XML], set()),
    "chunked-trailer": (chunked(b"8\r\n" + XML + b"\r\n0\r\nA: b\r\n\r\n"), [XML], set()),
    "chunked-lf": (chunked(b"8\n" + XML + b"\n0\n\n"), [XML], {"http.bare-lf"}),
    "chunked-and-length": (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + XML + b"\r\n0\r\n\r\n",
        [XML],
        {"http.length-and-coding"},
    ),
    "length-not-chunked": (
        b"POST / HTTP/1.1\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n" + XML,
        [XML],
        {"http.length-and-coding", "http.not-chunked"},
    ),
    "lengths-not-chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + XML,
        [XML],
        {"http.length-and-coding", "http.length-conflict", "http.not-chunked"},
    ),
    "gzip": (coded("gzip", gzip.compress(XML, mtime=0)), [XML], set()),
    "x-gzip": (coded("X-GZIP", gzip.compress(XML, mtime=0)), [XML], set()),
    "two-members": (coded("gzip", gzip.compress(b"<a>", mtime=0) + gzip.compress(b"1</a>", mtime=0)), [XML], set()),
    "zlib": (coded("deflate", zlib.compress(XML)), [XML], set()),
    "raw-deflate": (coded("deflate", RAW_XML), [XML], set()),
    "not-gzip": (coded("gzip", XML), [XML], {"http.coding-wrong"}),
    "unknown-coding": (coded("br", b"\x8b\x03\x80"), [b"\x8b\x03\x80"], {"http.coding-unknown"}),
    "identity": (coded("identity", XML), [XML], set()),
    "answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + XML, [XML], set()),
    "empty-reason": (b"HTTP/1.1 200 \r\nContent-Length: 8\r\n\r\n" + XML, [XML], set()),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 8\r\n\r\n" + XML, [XML], {"http.no-reason"}),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + XML, [b"", XML], set(),
    ),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", [b""], set()),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n", [b""], set()),
    "accepted": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", [b""], set()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_table(name: str) -> None:
    data, bodies, findings = CASES[name]
    feed = read(data)
    assert [m.body.data() for m in feed.messages] == bodies
    assert {f.rule for f in feed.findings} == findings
    assert all(m.complete for m in feed.messages)
    assert [m.transferred for m in feed.messages if not m.header("Content-Encoding")] == [
        len(b) for m, b in zip(feed.messages, bodies, strict=True) if not m.header("Content-Encoding")
    ]


@pytest.mark.parametrize("name", CASES)
def test_pieces_make_no_difference(name: str) -> None:
    data = CASES[name][0]
    expected = outcome(read(data))
    assert outcome(read(data, bytewise(data))) == expected
    rng = random.Random(name)
    for _ in range(20):
        cuts = sorted(rng.sample(range(1, len(data)), min(4, len(data) - 1)))
        assert outcome(read(data, cuts)) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_message_behind_is_read(name: str) -> None:
    data, bodies, _ = CASES[name]
    behind = NEXT_ANSWER if data.startswith(b"HTTP") else NEXT
    feed = read(data + behind)
    assert [m.body.data() for m in feed.messages] == [*bodies, b""]
    assert feed.messages[-1].head == behind
    assert outcome(read(data + behind, bytewise(data + behind))) == outcome(feed)


def test_trailers_and_headers_keep_their_places() -> None:
    message = read(chunked(b"0\r\nX-Sum: 9\r\n\r\n")).messages[0]
    assert [(h.name, h.value) for h in message.trailers] == [("X-Sum", "9")]
    head = message.head.decode()
    assert [head[h.start : h.end] for h in message.headers] == ["Transfer-Encoding: chunked"]


@pytest.mark.parametrize(
    ("sent", "runs", "trailer"),
    [
        (b"4\r\n<a/>\r\n0\r\n\r\n", [(b"4", 1), (b"0", 1)], b""),
        (b"2\r\n<a\r\n2\r\n/>\r\n02\r\n\r\n\r\n0\r\n\r\n", [(b"2", 2), (b"02", 1), (b"0", 1)], b""),
        (b"00A;n=1\r\n<a>..</a>x\r\n000\r\nA: 1\r\nb:2\r\n\r\n", [(b"00A;n=1", 1), (b"000", 1)], b"A: 1\r\nb:2\r\n"),
        (b"4\n<a/>\n0\n\n", [(b"4\n", 1), (b"0\n", 1)], b""),
    ],
)
def test_the_chunks_of_a_kept_body_are_known(sent: bytes, runs: list[tuple[bytes, int]], trailer: bytes) -> None:
    for cuts in ((), bytewise(chunked(sent))):
        message = read(chunked(sent), cuts).messages[0]
        assert (message.chunk_runs, message.trailer_bytes) == (runs, trailer)
    assert read(chunked(sent), policy=BodyPolicy()).messages[0].chunk_runs == []


def test_runs_of_chunks_are_bounded() -> None:
    sizes = [b"1\r\nx\r\n", b"01\r\nx\r\n"]
    for count, kept in ((MAX_RUNS - 1, MAX_RUNS), (MAX_RUNS, 0)):
        sent = b"".join(sizes[at % 2] for at in range(count)) + b"0\r\n\r\n"
        message = read(chunked(sent)).messages[0]
        assert len(message.chunk_runs) == kept
        assert message.body.size == count


def test_conflicting_lengths_are_reported_and_the_next_message_is_found() -> None:
    for body in (b"12345", b"12345678"):
        data = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 8\r\n\r\n" + body + NEXT
        feed = read(data)
        assert [m.body.data() for m in feed.messages] == [body, b""]
        assert "http.length-conflict" in {f.rule for f in feed.findings}
        assert outcome(read(data, bytewise(data))) == outcome(feed)


@pytest.mark.parametrize(
    ("how", "complete"), [(StreamEnd.FIN, True), (StreamEnd.RESET, False), (StreamEnd.CAPTURE, False)]
)
def test_close_delimited(how: StreamEnd, complete: bool) -> None:
    message = read(b"HTTP/1.0 200 OK\r\n\r\n<a/>", how=how).messages[0]
    assert message.body.data() == b"<a/>"
    assert message.complete is complete
    assert (message.body_sha256 is not None) is complete
    assert bool(message.findings) is not complete


HELD_BACK = b"POST /big HTTP/1.1\r\nExpect: 100-continue\r\n"
SAYS_LENGTH = HELD_BACK + b"Content-Length: 8\r\n\r\n"
SAYS_CHUNKED = HELD_BACK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("head", [SAYS_LENGTH, SAYS_CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("behind", [NEXT, b""], ids=["next", "closed"])
def test_a_body_that_was_never_sent(head: bytes, behind: bytes) -> None:
    """The server refused, and the client left the body out (curl does so with 401, 413, 417)."""
    data = head + behind
    first, *others = read(data).messages
    assert (first.complete, first.body.data()) == (False, b"")
    assert [f.rule for f in first.findings] == ["http.body-not-sent"]
    assert [m.target for m in others] == (["/next"] if behind else [])
    assert outcome(read(data, bytewise(data))) == outcome(read(data))


@pytest.mark.parametrize(
    "data", [SAYS_LENGTH + XML, SAYS_CHUNKED + b"8\r\n" + XML + b"\r\n0\r\n\r\n"], ids=["length", "chunked"]
)
def test_a_body_that_was_sent_after_leave(data: bytes) -> None:
    for behind in (b"", NEXT):
        first = read(data + behind).messages[0]
        assert (first.complete, first.body.data(), first.findings) == (True, XML, [])
        assert outcome(read(data + behind, bytewise(data + behind))) == outcome(read(data + behind))


@pytest.mark.parametrize(
    ("head", "rule"), [(SAYS_LENGTH, "http.body-cut"), (SAYS_CHUNKED, "http.no-last-chunk")], ids=["length", "chunked"]
)
def test_where_the_capture_ends_a_body_may_have_followed(head: bytes, rule: str) -> None:
    (message,) = read(head, how=StreamEnd.CAPTURE).messages
    assert [f.rule for f in message.findings] == [rule]


@pytest.mark.parametrize("behind", [b"", NEXT], ids=["closed", "next"])
@pytest.mark.parametrize("length", [0, 4])
def test_no_chunk_and_no_body(behind: bytes, length: int) -> None:
    """A head that says chunked and a length, and nothing behind it."""
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % length
    feed = read(head + behind)
    assert [m.target for m in feed.messages] == (["/", "/next"] if behind else ["/"])
    assert [m.complete for m in feed.messages][1:] == [True] * bool(behind)
    assert outcome(read(head + behind, bytewise(head + behind))) == outcome(feed)


def test_a_length_is_not_reached() -> None:
    message = read(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n<a/>").messages[0]
    assert not message.complete
    assert message.body.data() == b"<a/>"
    assert {f.rule for f in message.findings} == {"http.body-cut"}


def test_a_head_is_cut() -> None:
    message = read(b"POST /cut HTTP/1.1\r\nHost: h\r\nContent-Le").messages[0]
    assert (message.target, message.header("Host"), message.complete) == ("/cut", "h", False)
    assert {f.rule for f in message.findings} == {"http.head-cut"}


@pytest.mark.parametrize("bad", [b"zz\r\n", b"-5\r\n", b"fffffffffffffff\r\n", b"\r\nxx\r\n", b"9" * 5000])
def test_bad_chunk_sizes(bad: bytes) -> None:
    data = chunked(b"4\r\n<a/>\r\n" + bad) + b"\r\nlost\r\n" + NEXT
    feed = read(data)
    first, *others = feed.messages
    assert not first.complete
    assert first.body.data() == b"<a/>"
    assert [m.target for m in others] == ["/next"]
    assert any(f.rule in ("http.chunk-line", "http.chunk-limit") for f in first.findings)
    assert outcome(read(data, bytewise(data))) == outcome(feed)


def test_garbage_is_reported_once_and_skipped() -> None:
    data = b"\x00\x01garbage\r\nmore\r\n" + NEXT + b"\xff\xfe\r\n" + NEXT
    feed = read(data)
    assert [m.target for m in feed.messages] == ["/next", "/next"]
    assert [f.rule for f in feed.messages[0].findings] == ["http.no-start-line"]
    assert outcome(read(data, bytewise(data))) == outcome(feed)
