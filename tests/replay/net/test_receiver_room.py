"""A live connection keeps what comes, however much came before on this and on other connections."""

from __future__ import annotations

from dataclasses import replace

from dissector.base.limits import DEFAULT_LIMITS
from dissector.base.origin import Endpoint
from dissector.http.writer import build_request
from replay.net.receiver import HttpReceiver

HERE, THERE = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
LIMITS = replace(DEFAULT_LIMITS, held=1000)
POST = build_request("POST", "/", [("Host", "h")], b"x" * 600)


def test_what_was_given_out_takes_no_room() -> None:
    receiver = HttpReceiver(HERE, THERE, limits=LIMITS)
    for _ in range(10):
        (http,) = receiver.feed(POST, 1)
        assert http.body.kept
        assert http.body.data() == b"x" * 600


def test_a_connection_that_broke_off_takes_nothing_from_the_others() -> None:
    broken = [HttpReceiver(HERE, THERE, limits=LIMITS) for _ in range(5)]
    for one in broken:
        assert one.feed(POST[:-1], 1) == []
    (http,) = HttpReceiver(HERE, THERE, limits=LIMITS).feed(POST, 1)
    assert http.body.kept


def test_what_one_connection_holds_is_bounded() -> None:
    receiver = HttpReceiver(HERE, THERE, limits=LIMITS)
    long = build_request("POST", "/", [("Host", "h")], b"x" * 1001)
    (http,) = receiver.feed(long, 1)
    # In a file: only what could be XML has to be in memory.
    assert http.body.data() == b"x" * 1001
    (http,) = receiver.feed(build_request("POST", "/", [("Host", "h")], b"<" * 1001), 1)
    assert not http.body.kept
    (http,) = receiver.feed(POST, 1)
    assert http.body.kept
