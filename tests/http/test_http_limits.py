"""Limits, each at its edge: what is just within is read, one more is a finding, and the next message is found."""

from __future__ import annotations

import gzip
import zlib
from random import Random

import pytest

from dissector.base.limits import Limits
from dissector.http.content import ContentWriter
from dissector.http.draft import MAX_PIECES
from dissector.http.inflate import MEMBERS, TRY
from dissector.http.model import BodyPolicy
from dissector.http.spool import ROTATE, Spooled
from dissector.http.writer import build_request
from dissector.transport.model import StreamEnd
from tests.support.http_feed import Feed, bytewise, outcome, read

NEXT = b"GET /next HTTP/1.1\r\n\r\n"


def both(data: bytes, limits: Limits) -> Feed:
    feed = read(data, limits=limits)
    assert outcome(read(data, bytewise(data), limits=limits)) == outcome(feed)
    return feed


def found(feed: Feed) -> set[str]:
    return {f.rule for f in feed.findings}


@pytest.mark.parametrize("more", [0, 1])
def test_head(more: int) -> None:
    head = b"GET /long HTTP/1.1\r\nA: " + b"x" * (100 - 27 + more) + b"\r\n\r\n"
    feed = both(head + NEXT, Limits(head=100))
    assert len(head) == 100 + more
    assert [m.target for m in feed.messages] == ["/long", "/next"]
    assert [m.complete for m in feed.messages] == [not more, True]
    assert ("http.head-limit" in found(feed)) is bool(more)


@pytest.mark.parametrize("more", [0, 1])
def test_header_lines(more: int) -> None:
    head = b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * (4 + more) + b"Content-Length: 2\r\n\r\nxx"
    feed = both(head + NEXT, Limits(headers=5))
    first, last = feed.messages
    assert len(first.headers) == 5
    assert first.body.data() == b"xx"
    assert last.complete
    assert found(feed) == ({"http.headers-limit"} if more else set())


@pytest.mark.parametrize("more", [0, 1])
def test_chunk_line(more: int) -> None:
    line = b"1;" + b"x" * (46 + more) + b"\r\n"
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + line + b"<\r\n0\r\n\r\n" + NEXT
    feed = both(data, Limits(chunk_line=50))
    first, last = feed.messages
    assert first.complete is not bool(more)
    assert last.target == "/next"
    assert ("http.chunk-limit" in found(feed)) is bool(more)


@pytest.mark.parametrize("more", [0, 1])
def test_trailers(more: int) -> None:
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * (93 + more) + b"\r\n\r\n" + NEXT
    feed = both(data, Limits(head=100))
    assert feed.messages[-1].target == "/next"
    assert ("http.trailer-limit" in found(feed)) is bool(more)


def test_a_start_line_without_end_holds_no_more_than_a_head() -> None:
    feed = Feed(limits=Limits(head=100))
    for _ in range(1000):
        feed.up.data(b"x" * 1000)
    assert len(feed.up.reader._buffer) < 100_000
    feed.up.data(b"\r\n" + NEXT)
    (message,) = feed.messages
    assert message.complete
    (finding,) = message.findings
    assert finding.rule == "http.no-start-line"
    assert "1000002 bytes" in finding.text


@pytest.mark.parametrize("more", [0, 1])
def test_xml(more: int) -> None:
    feed = both(build_request("POST", "/", [], b"<" * (40 + more)), Limits(xml=40))
    (message,) = feed.messages
    assert len(message.body.data()) == 40
    assert message.body.size == 40 + more
    assert found(feed) == ({"http.xml-limit"} if more else set())


@pytest.mark.parametrize("more", [0, 1])
def test_part_headers(more: int) -> None:
    part = b"A: " + b"x" * (193 + more) + b"\r\n\r\n"
    body = b"--b1\r\n" + part + b"<a/>\r\n--b1--\r\n"
    feed = both(build_request("POST", "/", [("Content-Type", "multipart/x; boundary=b1")], body), Limits(head=200))
    (message,) = feed.messages
    assert len(message.parts) == 1
    assert ("mime.head-limit" in found(feed)) is bool(more)
    assert message.parts[0].content.data().endswith(b"<a/>")


def test_requests_without_answer_are_forgotten() -> None:
    feed = Feed(limits=Limits(unpaired=3))
    for number in range(5):
        feed.up.data(NEXT, frame=number + 1)
    for number in range(4):
        feed.down.data(b"HTTP/1.1 204 No\r\n\r\n", frame=number + 10)
    assert [m.answers for m in feed.messages[5:]] == [2 * len(NEXT), 3 * len(NEXT), 4 * len(NEXT), None]


def test_members_of_gzip() -> None:
    member = gzip.compress(b"x", mtime=0)
    for count in (MEMBERS, MEMBERS + 1):
        data = build_request("POST", "/", [("Content-Encoding", "gzip")], member * count)
        feed = read(data)
        assert feed.messages[0].body.size == MEMBERS
        assert found(feed) == (set() if count == MEMBERS else {"http.coding-junk"})


def test_inflated() -> None:
    for size in (3 << 20, (3 << 20) + 1):
        data = build_request("POST", "/", [("Content-Encoding", "deflate")], zlib.compress(b"\1" * size))
        feed = read(data, policy=BodyPolicy(), limits=Limits(inflated=3 << 20, inflate_ratio=10_000))
        assert (found(feed) == {"http.inflate-limit"}) is (size > 3 << 20)
        assert feed.messages[0].body.size <= 3 << 20


@pytest.mark.parametrize("more", [0, 1])
def test_what_is_no_gzip_after_all_is_taken_as_it_is(more: int) -> None:
    """The name in its head is long, and behind it stands no deflate."""
    content = b"\x1f\x8b\x08\x08\0\0\0\0\0\3" + b"n" * (TRY - 11 + more) + b"\0" + b"\xff" * 3000
    data = build_request("POST", "/", [("Content-Encoding", "gzip")], content)
    whole = both(data, Limits())
    assert whole.messages[0].body.size == (0 if more else len(content))
    assert found(whole) == {"http.coding-damaged" if more else "http.coding-wrong"}
    for step in (9, 4000, TRY + len(data) - len(content)):
        assert outcome(read(data, list(range(step, len(data), step)))) == outcome(whole)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("end", ["bomb", "damaged", "second member"])
def test_where_a_bomb_is_given_up_does_not_depend_on_the_cuts(seed: int, end: str) -> None:
    rng = Random(seed)
    content = gzip.compress(rng.randbytes(rng.randrange(60_000)) + bytes(rng.randrange(5 << 20, 12 << 20)), mtime=0)
    if end == "damaged":
        content = content[:-6] + b"\xff" * 600
    elif end == "second member":
        content = gzip.compress(rng.randbytes(20_000), mtime=0) + content
    data = build_request("POST", "/", [("Content-Encoding", "gzip")], content)
    limits = Limits(inflate_ratio=rng.choice([2, 10, 40]))
    whole = read(data, policy=BodyPolicy(), limits=limits)
    assert "http.inflate-limit" in found(whole)
    for _ in range(3):
        cuts = sorted(rng.sample(range(1, len(data)), rng.randrange(1, 60)))
        assert outcome(read(data, cuts, policy=BodyPolicy(), limits=limits)) == outcome(whole)


def test_many_chunks_have_one_place() -> None:
    count = MAX_PIECES + 10
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * count + b"0\r\n\r\n"
    (message,) = read(data).messages
    assert message.body.size == count
    origin = message.body.origin
    assert origin is not None
    assert not origin.exact
    ((low, high),) = origin.stream_ranges()
    assert data[low:high].startswith(b"x\r\n1\r\n")
    assert high == len(data) - len(b"\r\n0\r\n\r\n")


def test_chunks_said_to_be_huge_hold_nothing() -> None:
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc"
    (message,) = read(data, how=StreamEnd.CAPTURE).messages
    assert message.body.size == 3
    assert not message.complete


def test_kept_content_goes_to_disk_above_the_limit() -> None:
    for size in (10, 11):
        writer = ContentWriter(digest=True, keep=True, limits=Limits(keep=10))
        for at in range(size):
            writer.write(bytes([at]))
        content = writer.close(complete=True)
        assert content.data() == bytes(range(size))
        assert b"".join(content.pieces(4)) == bytes(range(size))
        assert isinstance(content._file, Spooled) is (size > 10)


def test_bodies_share_spool_files() -> None:
    first, second = Spooled(), Spooled()
    for number in range(50):
        first.write(bytes([number]) * 100)
        second.write(bytes([255 - number]) * 50)
    assert b"".join(first.pieces(30)) == b"".join(bytes([n]) * 100 for n in range(50))
    assert b"".join(second.pieces()) == b"".join(bytes([255 - n]) * 50 for n in range(50))
    assert ROTATE > 1 << 20
