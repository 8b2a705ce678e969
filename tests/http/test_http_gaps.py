"""Missing bytes: holes in bodies, and the way back to the next start line."""

from __future__ import annotations

import pytest

from dissector.http.writer import build_multipart, build_request, build_response
from dissector.transport.model import StreamEnd
from tests.support.http_feed import Feed, outcome

FIRST_BODY = b"<a>" + bytes(range(32, 127)) + b"</a>"
SECOND = build_request("POST", "/second", [("Host", "h")], b"<second/>")
KIND, PACKAGE = build_multipart(b"<root/>", [([("Content-ID", "<i>")], b"\x00\xffimage" * 5)], "b1")
FIRST = {
    "length": build_request("POST", "/first", [("Host", "h")], FIRST_BODY),
    "chunked": build_request("POST", "/first", [("Host", "h")], FIRST_BODY, chunk=40),
    "multipart": build_request("POST", "/first", [("Content-Type", KIND)], PACKAGE),
    "gap-in-chunked-package": build_request("POST", "/first", [("Content-Type", KIND)], PACKAGE, chunk=64),
}


def with_gap(data: bytes, start: int, length: int, step: int = 1 << 20) -> Feed:
    feed = Feed()
    for low, high in ((0, start), (start + length, len(data))):
        if low:
            feed.up.gap(length)
        for at in range(low, high, step):
            feed.up.data(data[at : min(at + step, high)])
    feed.up.end()
    return feed


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("length", [1, 3, 30])
def test_the_second_message_survives_any_gap_in_the_first(name: str, length: int) -> None:
    first = FIRST[name]
    data = first + SECOND
    for start in range(1, len(first) - length + 1):
        feed = with_gap(data, start, length)
        last = feed.messages[-1]
        assert (last.target, last.body.data(), last.complete) == ("/second", b"<second/>", True), start
        assert not any(m.complete for m in feed.messages[:-1]), start
        if start > first.index(b"\n"):
            assert feed.messages[0].target == "/first", start
        if start % 5 == 0:
            assert outcome(with_gap(data, start, length, step=1)) == outcome(feed), start


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_a_hole_in_a_body_leaves_the_rest_in_place(name: str) -> None:
    data = FIRST[name] + SECOND
    start = data.index(b"<a>") + 10
    message = with_gap(data, start, 5).messages[0]
    assert message.body.data() == FIRST_BODY[:10] + FIRST_BODY[15:]
    assert [(g.offset, g.length) for g in message.body.gaps] == [(10, 5)]
    assert [(g.offset, g.length) for g in message.gaps] == [(start, 5)]
    assert message.body.sha256 is None
    assert message.body_sha256 is None
    assert message.body.origin is not None
    (low, _), *_ = message.body.origin.stream_ranges(10, 11)
    assert low == start + 5


def test_a_hole_in_a_part_is_in_that_part() -> None:
    data = FIRST["multipart"] + SECOND
    start = data.index(b"\x00\xffimage") + 7
    root, part = with_gap(data, start, 7).messages[0].parts
    assert root.content.complete
    assert root.content.data() == b"<root/>"
    assert part.content.data() == b"\x00\xffimage" * 4
    assert [(g.offset, g.length) for g in part.content.gaps] == [(7, 7)]
    assert not part.content.complete


def test_gap_longer_than_the_body() -> None:
    data = FIRST["length"] + SECOND + SECOND
    start = len(FIRST["length"]) - 10
    feed = with_gap(data, start, 40)
    first, last = feed.messages
    assert not first.complete
    assert first.target == "/first"
    assert last.target == "/second"
    assert last.complete
    assert "http.skipped" in {f.rule for f in last.findings}


@pytest.mark.parametrize("lost", [0, 50, 200])
def test_a_body_that_a_gap_cuts_says_its_length(lost: int) -> None:
    feed = Feed()
    feed.up.data(build_request("POST", "/first", [("Host", "h")], bytes(100))[:-60])
    feed.up.gap(lost)
    feed.up.end()
    (found,) = [f for m in feed.messages for f in m.findings if f.rule == "http.body-cut"]
    assert found.text.startswith("40 of 100 bytes of the body are there: ")


def test_capture_begins_inside_a_message() -> None:
    feed = Feed()
    feed.up.gap(0, "start")
    feed.up.data(b"rest of a body HTTP/1.1 \r\n more" + SECOND)
    feed.up.data(SECOND)
    feed.up.end()
    assert [m.target for m in feed.messages] in (["/second"], ["/second", "/second"])
    feed = Feed()
    feed.up.gap(0, "start")
    feed.up.data(b"rest of a body\r\n" + SECOND)
    feed.up.end()
    (message,) = feed.messages
    assert message.complete
    (finding,) = message.findings
    assert finding.severity == "note"
    assert "16 bytes" in finding.text


def test_gap_in_a_body_up_to_the_end_of_the_connection() -> None:
    feed = Feed()
    feed.down.data(b"HTTP/1.0 200 OK\r\n\r\n<a>")
    feed.down.gap(5)
    feed.down.data(b"</a>")
    feed.down.end()
    (message,) = feed.messages
    assert message.body.data() == b"<a></a>"
    assert [(g.offset, g.length) for g in message.body.gaps] == [(3, 5)]
    assert not message.complete


def test_the_trigger_is_the_frame_that_made_it_whole() -> None:
    feed = Feed()
    feed.up.data(SECOND[:20], frame=7)
    feed.up.data(SECOND[20:], frame=4)
    feed.up.data(SECOND[:-3], frame=9)
    feed.up.gap(3, released=30)
    feed.up.end(StreamEnd.CAPTURE, frame=31)
    first, second = feed.messages
    assert (first.first_frame, first.last_frame, first.trigger) == (7, 4, 7)
    assert (first.first_time, first.last_time) == (7000, 4000)
    assert (second.first_frame, second.last_frame, second.trigger) == (9, 9, 30)


def test_frames_of_a_message_can_be_dropped_when_it_ended() -> None:
    feed = Feed()
    feed.up.data(SECOND[:30])
    assert feed.up.reader.consumed == 0
    feed.up.data(SECOND[30:])
    assert feed.up.reader.consumed == len(SECOND)
    feed.up.data(SECOND[:5])
    assert feed.up.reader.consumed == len(SECOND)


def test_gap_in_the_answers_pairs_with_the_newest_request() -> None:
    feed = Feed()
    feed.up.data(SECOND, frame=1)
    feed.down.data(build_response(200, "OK", [], b"<a/>")[:10], frame=2)
    feed.down.gap(60)
    feed.up.data(SECOND, frame=4)
    feed.down.data(build_response(200, "OK", [], b"<b/>"), frame=5)
    assert feed.messages[-1].answers == len(SECOND)
