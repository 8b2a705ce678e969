"""Bodies that are shorter than their Content-Length, with the next message behind them."""

from __future__ import annotations

import random

import pytest

from dissector.http.overrun import LONGEST, TRIES
from dissector.http.writer import build_multipart, build_request
from dissector.transport.model import StreamEnd
from tests.fuzz.drive import SMALL, told
from tests.support import wsd
from tests.support.http_feed import Feed, bytewise, outcome, read
from tests.support.stories import Channel, Story
from tests.support.wire import frames_of, write_pcap

XML = b"<?xml version='1.0'?><e:E xmlns:e='urn:e'><a>1</a></e:E>"
KIND, PACKAGE = build_multipart(XML, [([("Content-ID", "<i>")], b"\x00\xffHTTP/1.1 200 OK\r\n" * 5)], "b1")
NEXT = build_request("POST", "/next", [("Content-Type", "text/xml")], b"<next/>")
LAST = b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n"
RULE = "http.length-exceeds"


def too_long(body: bytes, more: int, kind: str = "text/xml") -> bytes:
    """A request whose Content-Length says ``more`` than there is."""
    head = f"POST /first HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body) + more}\r\n\r\n"
    return head.encode() + body


def targets(feed: Feed) -> list[tuple[str, bool]]:
    return [(m.target, m.complete) for m in feed.messages]


BODIES = {
    "xml": (XML, "text/xml"),
    "blanks": (XML + b"\r\n \r\n", "application/soap+xml"),
    "comment": (XML + b"<!-- > -->", "text/xml"),
    "package": (PACKAGE, KIND),
    "no-line-end": (PACKAGE[:-2], KIND),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("more", [1, 2, 4, 7, 9, len(NEXT) - 3, len(NEXT), len(NEXT) + 12, 5000])
def test_the_next_message_is_found(name: str, more: int) -> None:
    body, kind = BODIES[name]
    data = too_long(body, more, kind) + NEXT + LAST
    whole = read(data)
    assert targets(whole) == [("/first", True), ("/next", True), ("/last", True)]
    first = whole.messages[0]
    assert first.body.data() == body
    (finding,) = first.findings
    assert finding.rule == RULE
    assert f"says {len(body) + more} bytes, the body has {len(body)}:" in finding.text
    assert data[finding.offset :].startswith(NEXT)
    assert outcome(read(data, bytewise(data))) == outcome(whole)
    rng = random.Random(name)
    for _ in range(20):
        assert outcome(read(data, sorted(rng.sample(range(1, len(data)), 3)))) == outcome(whole)


@pytest.mark.parametrize("more", [2, 20, 5000])
def test_an_answer_behind_an_answer(more: int) -> None:
    feed = Feed()
    head = b"HTTP/1.1 %d OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
    feed.up.data(LAST * 2)
    feed.down.data(head % (200, len(XML) + more) + XML + head % (201, len(XML)) + XML)
    assert [(m.status, m.body.data(), m.complete) for m in feed.messages[2:]] == [(200, XML, True), (201, XML, True)]


NOT = {
    "a request in place of an answer": (XML + NEXT, "text/xml", True),
    "not whole": (XML[:-4] + b">" + NEXT, "text/xml", False),
    "text": (b"<a><![CDATA[<b/>" + NEXT + b"]]></a>", "text/xml", False),
    "comment": (b"<a><!--<b/>" + NEXT + b"--></a>", "text/xml", False),
    "DTD": (b"<!DOCTYPE a><a/>" + NEXT, "text/xml", False),
    "another type": (XML + NEXT, "text/plain", False),
    "not at once": (XML + b"x" + NEXT, "text/xml", False),
    "no start line": (XML + b"POST /a HTTP/2.0\r\n\r\n", "text/xml", False),
    "an odd address": (XML + b"POST /a> HTTP/1.1\r\n\r\n", "text/xml", False),
    "a long line": (XML + b"POST /" + b"a" * LONGEST + b" HTTP/1.1\r\n\r\n", "text/xml", False),
    "package not closed": (PACKAGE[:-6] + b"\r\n" + NEXT, KIND, False),
    "not at once behind a package": (PACKAGE + b"epilogue\r\n" + NEXT, KIND, False),
    "package of nothing": (b"--b1--" + NEXT, KIND, False),
    "package without content": (b"--b1\r\n--b1--" + NEXT, KIND, False),
    "another one in a package": (PACKAGE[:-4] + b"x--\r\n" + NEXT, KIND, False),
}


@pytest.mark.parametrize("name", NOT)
def test_a_body_that_is_as_long_as_it_says(name: str) -> None:
    body, kind, answer = NOT[name]
    data = too_long(body, 0, kind)
    if answer:
        data = data.replace(b"POST /first HTTP/1.1", b"HTTP/1.1 200 OK", 1)
    whole = read(data + data)
    assert [m.body.data() for m in whole.messages] == [body, body]
    assert RULE not in {f.rule for f in whole.findings}
    assert outcome(read(data + data, bytewise(data + data))) == outcome(whole)


@pytest.mark.parametrize("end", range(1, NEXT.index(b"\n") + 1))
def test_a_start_line_that_never_is_whole_stays_in_the_body(end: int) -> None:
    line = NEXT[:end]
    data = too_long(XML, end) + line
    feeds = [read(data, cuts) for cuts in ((), bytewise(data))]
    assert outcome(feeds[0]) == outcome(feeds[1])
    assert feeds[0].messages[0].complete
    assert feeds[0].messages[0].body.data() == XML + line


@pytest.mark.parametrize("lost", [3, len(XML) + 10])
def test_a_gap_in_the_body(lost: int) -> None:
    """Of a document that lacks bytes nobody knows whether it is whole; a package is closed all the same."""
    for body, kind in ((XML, "text/xml"), (PACKAGE, KIND)):
        data = too_long(body, len(NEXT), kind)
        at = len(data) - len(body) + 20
        feed = Feed()
        feed.up.data(data[:at])
        feed.up.gap(lost)
        feed.up.data((data + NEXT + LAST)[at + lost :])
        feed.up.end()
        assert feed.messages[0].target == "/first"
        assert feed.messages[-1].target == "/last"
        assert (RULE in {f.rule for f in feed.findings}) == (kind == KIND)


@pytest.mark.parametrize("at", range(1, 24))
def test_a_gap_in_the_start_line(at: int) -> None:
    data = too_long(XML, 500) + NEXT[:at]
    feeds = []
    for step in (len(data), 1):
        feed = Feed()
        for low in range(0, len(data), step):
            feed.up.data(data[low : low + step])
        feed.up.gap(500 - at)
        feed.up.data(LAST)
        feed.up.end(StreamEnd.FIN)
        feeds.append(feed)
    assert outcome(feeds[0]) == outcome(feeds[1])
    assert [m.target for m in feeds[0].messages][-1] == "/last"


@pytest.mark.parametrize("gap", [True, False])
def test_what_was_held_first_for_another_reason(gap: bool) -> None:
    """Whether an answer to an unknown request has a body is told by what stands behind its head."""
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 500\r\n\r\n"
    feed = Feed()
    feed.down.data(start + b"<a/>HTTP/")
    if gap:
        feed.down.gap(491)
    feed.down.end()
    (message,) = feed.messages
    assert message.body.data() == b"<a/>HTTP/"
    assert [(g.offset, g.length) for g in message.body.gaps] == [(9, 491)] * gap


def test_it_is_asked_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("dissector.http.framing.is_document", lambda data: asked.append(len(data)) or False)
    data = too_long(b"<a>" + NEXT * 20, 0)
    assert outcome(read(data)) == outcome(read(data, bytewise(data)))
    assert len(asked) == 2 * TRIES


def test_it_is_known_with_the_start_line_behind_it() -> None:
    """Not before: what another connection said meanwhile was told."""
    feed = Feed()
    feed.up.data(too_long(XML, 100), frame=5)
    feed.up.data(NEXT[:10], frame=90)
    feed.up.data(NEXT[10:], frame=95)
    assert [(m.last_frame, m.trigger) for m in feed.messages] == [(5, 95), (95, 95)]
    assert feed.messages[0].findings[0].frames == (5,)


@pytest.mark.parametrize("more", [2, 300, 5000])
def test_it_does_not_depend_on_the_blocks(more: int) -> None:
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", 5357)})
    for number in range(3):
        asked = wsd.envelope(f"{wsd.WXF}/Get", "", message_id=f"urn:uuid:{number}")
        came = wsd.response(wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to=f"urn:uuid:{number}"))
        length = len(came.partition(b"\r\n\r\n")[2])
        came = came.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % (length + more * (not number)))
        story.ask("c", wsd.request("/a", "192.0.2.2:5357", asked), came)
    data = write_pcap(frames_of(story, mss=300))
    whole = told(data, 8 << 20)
    assert whole == told(data, SMALL)
    assert [m["request"] for m in whole["messages"] if m["kind"] == "response"] == [1, 2, 5]
