"""Heads without doubts: the short way gives exactly what the long way gives."""

from __future__ import annotations

import pytest

from dissector.http import plain, reader
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.plain import plain_head
from tests.http.test_http_table import CASES
from tests.support.http_feed import Feed, facts

XML = b"<a>&#169; 1</a>"
SOAP = b'Content-Type: application/soap+xml; charset=utf-8; action="urn:a"\r\n'


def head(line: bytes, *headers: bytes, length: int = len(XML)) -> bytes:
    return line + b"\r\n" + b"".join(headers) + b"Content-Length: %d\r\n\r\n" % length


POST = head(b"POST /a HTTP/1.1", b"Host: h\r\n", SOAP)
OK = head(b"HTTP/1.1 200 OK", SOAP)
TAKEN = head(b"HTTP/1.1 202 Accepted", length=0)
HEAD_ASKED = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"

TALKS: dict[str, tuple[bytes, bytes]] = {
    "exchange": (POST + XML, OK + XML),
    "two in a row": ((POST + XML) * 2, OK + XML + TAKEN),
    "answer to HEAD": (HEAD_ASKED + POST + XML, OK + OK + XML),
    "request not known": (b"", OK + XML),
    "empty lines between": (POST + XML + b"\r\n\r\n" + POST + XML, TAKEN * 2),
    "body cut": (POST + XML[:5], TAKEN),
    "interim": (POST + XML, b"HTTP/1.1 100 Continue\r\n\r\n" + OK + XML),
    "junk before": (b"junk\r\n" + POST + XML, TAKEN),
    "tunnel": (b"CONNECT a:1 HTTP/1.1\r\n\r\n" + POST + XML, head(b"HTTP/1.1 200 OK", length=0) + OK + XML),
    "upgrade": (head(b"POST /a HTTP/1.1", b"Upgrade: x\r\n", SOAP) + XML + POST + XML, OK + XML + OK + XML),
}


def everything(message: HttpMessage) -> tuple[object, ...]:
    origins = (message.origin, message.body.origin)
    return (
        facts(message),
        [(one.stream, one.frame_numbers(), one.byte_ranges(), one.size, one.exact) if one else None for one in origins],
        (message.media_type, message.parameters, message.stream, message.parts, message.gaps, message.answers),
        (message.first_frame, message.last_frame, message.first_time, message.last_time, message.trigger),
        (message.body.head, message.body.complete, message.body.gaps, message.body.kept),
    )


def read(up: bytes, down: bytes, policy: BodyPolicy) -> tuple[object, ...]:
    feed = Feed(policy)
    for side, data in ((feed.up, up), (feed.down, down)):
        # Two frames for each run: heads and bodies are not always in one.
        side.data(data, cuts=[len(data) // 2] if len(data) > 1 else [])
        side.end()
    room = (policy.room.under_way, policy.room.done)
    return [everything(one) for one in feed.messages], feed.conversation.findings, room


@pytest.mark.parametrize("name", [*TALKS, *CASES])
@pytest.mark.parametrize("keep", [False, True])
def test_both_ways_give_the_same(name: str, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    up, down = TALKS[name] if name in TALKS else (CASES[name][0], b"")
    short = read(up, down, BodyPolicy(keep=keep))
    again = read(up, down, BodyPolicy(keep=keep))
    monkeypatch.setattr(reader, "plain_head", lambda head: None)
    assert short == again == read(up, down, BodyPolicy(keep=keep))


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Draft", None)
    feed = Feed(BodyPolicy())
    feed.up.data(POST + XML)
    feed.down.data(OK + XML)
    assert [one.body.data() for one in feed.messages] == [XML, XML]


@pytest.mark.parametrize(
    "odd",
    [
        head(b"POST /a HTTP/1.1", SOAP).replace(b"\r\n", b"\n"),
        head(b"POST  /a HTTP/1.1", SOAP),
        head(b"POST /a HTTP/1.1", SOAP, b"Content-Length: 15\r\n"),
        head(b"POST /a HTTP/1.1", SOAP, b"Expect: 100-continue\r\n"),
        head(b"POST /a HTTP/1.1", SOAP, b"Upgrade: x\r\n"),
        head(b"POST /a HTTP/1.1", SOAP, b"Content-Encoding: gzip\r\n"),
        head(b"POST /a HTTP/1.1", SOAP, b"Transfer-Encoding: chunked\r\n"),
        head(b"POST /a HTTP/1.1", b"Content-Type: image/jpeg\r\n"),
        head(b"POST /a HTTP/1.1", b"Content-Type: multipart/related; type=a\r\n"),
        head(b"POST /a HTTP/1.1", b"Content-Type: text/xml;\r\n"),
        head(b"POST /a HTTP/1.1", SOAP, b"X-Long: " + b"a" * 2048 + b"\r\n"),
        head(b"CONNECT a:1 HTTP/1.1", length=0),
        head(b"HEAD /a HTTP/1.1", length=0),
        head(b"HTTP/1.1 204 No Content", length=0),
        head(b"HTTP/1.1 101 Switching", length=0),
        b"POST /a HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST /a HTTP/1.1\r\n\r\n",
    ],
)
def test_whatever_is_in_doubt_takes_the_long_way(odd: bytes) -> None:
    assert plain_head(odd) is None


def test_few_heads_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "KNOWN", 3)
    monkeypatch.setattr(plain, "_known", {})
    for number in range(10):
        assert plain_head(head(b"GET /%d HTTP/1.1" % number, length=0)) is not None
        assert len(plain._known) <= 3
