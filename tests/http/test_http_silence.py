"""How servers of https meet a request of http: without a word, or with a 400 that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

import dissector
from tests.support.stories import Channel, Story
from tests.support.tls_talk import client_context, encrypt, identity, server_context
from tests.support.wire import Frame, frames_of, write_pcap

REQUEST = b"POST /ScanServer HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
FLAGS = 14 + 20 + 13
"""Where the flags of TCP are in a frame."""
HINT = ": it may expect https on this port, or nothing was ready to answer"


def asked(*, by_server: bool, answered: bool = False) -> Story:
    """A request, and who closes."""
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    story.say("one", REQUEST)
    if answered:
        story.say("one", ANSWER, back=True)
    story.say("one", b"", back=by_server, close=True)
    return story


def told(frames: Iterable[Frame], folder: Path, keys: bytes = b"") -> list[str]:
    file, log = folder / "one.pcap", folder / "keys"
    file.write_bytes(write_pcap(list(frames)))
    log.write_bytes(keys)
    with dissector.open(file, keylog=log) as capture:
        capture.run()
        return [finding.text for finding in capture.findings if finding.rule == "http.no-answer"]


def reset(frames: list[Frame]) -> list[Frame]:
    """The first FIN as a reset, and nothing behind it."""
    place = next(at for at, frame in enumerate(frames) if frame.data[FLAGS] & 1)
    data = bytearray(frames[place].data)
    data[FLAGS] = 0x14
    frames[place].data = bytes(data)
    return frames[: place + 1]


def reset_late(frames: list[Frame]) -> list[Frame]:
    """The answer to the first FIN as a reset, and nothing behind it."""
    place = [at for at, frame in enumerate(frames) if frame.data[FLAGS] & 1][1]
    data = bytearray(frames[place].data)
    data[FLAGS] = 0x14
    return [*frames[:place], replace(frames[place], data=bytes(data))]


def test_a_server_that_closes_or_resets_is_told(tmp_path: Path) -> None:
    frames = frames_of(asked(by_server=True))
    words = "TCP stream 0: 192.0.2.20:5362 {} the connection without a word to the request" + HINT
    assert told(frames, tmp_path) == [words.format("closed")]
    assert told(reset(frames), tmp_path) == [words.format("reset")]


def test_what_is_no_refusal_of_the_server_is_not_told(tmp_path: Path) -> None:
    # The client gives up, or resets; the server answered; its side was not captured; the capture ends.
    gives_up = frames_of(asked(by_server=False))
    assert told(gives_up, tmp_path) == []
    assert told(reset(gives_up), tmp_path) == []
    assert told(reset_late(frames_of(asked(by_server=False))), tmp_path) == []
    assert told(frames_of(asked(by_server=True, answered=True)), tmp_path) == []
    assert told([frame for frame in frames_of(asked(by_server=True)) if not frame.back], tmp_path) == []
    assert told([frame for frame in frames_of(asked(by_server=True)) if not frame.data[FLAGS] & 1], tmp_path) == []


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_inside_of_tls_it_is_not_https_that_is_missing(version: str, tmp_path: Path) -> None:
    secret, keys = encrypt(asked(by_server=True), client_context(version), server_context(identity("ec"), version))
    (text,) = told(frames_of(secret), tmp_path, keys)
    assert text == "TCP stream 0: 192.0.2.20:5362 closed the connection without a word to the request"


@pytest.mark.parametrize(
    ("status", "body", "is_told"),
    [
        (400, b"<center>The plain HTTP request was sent to HTTPS port</center>", True),
        (400, b"<!DOCTYPE HTML><p>Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />", True),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", True),
        (400, b"Bad Request\r\nThis combination of host and port requires TLS.\r\n", True),
        (400, b"Bad Request: use https for nothing", False),
        (500, b"Client sent an HTTP request to an HTTPS server.\n", False),
        (400, b"Client sent an HTTP request to an HTTPS server.\n" + b" " * 5000, False),
    ],
)
@pytest.mark.parametrize("length", [True, False])
def test_a_server_that_says_that_it_wants_https(
    status: int, body: bytes, is_told: bool, length: bool, tmp_path: Path
) -> None:
    """The words of nginx, Apache, Go and Tomcat. With and without a length: both ways of reading an answer."""
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    story.say("one", REQUEST)
    says = b"Content-Length: %d\r\n" % len(body) if length else b"Connection: close\r\n"
    story.say(
        "one", b"HTTP/1.1 %d No\r\nContent-Type: text/html\r\n%s\r\n%s" % (status, says, body), back=True, close=True
    )
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(frames_of(story)))
    with dissector.open(file) as capture:
        capture.run()
        found = [(one.text, one.frames) for one in capture.findings if one.rule == "http.wants-https"]
    words = "TCP stream 0: 192.0.2.20:5362 answers HTTP in the clear with 400: it expects https on this port"
    assert found == ([(words, (6,))] if is_told else [])


def test_that_a_server_wants_https_is_told_once_a_connection(tmp_path: Path) -> None:
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    body = b"Client sent an HTTP request to an HTTPS server.\n"
    for _ in range(20):
        story.say("one", REQUEST)
        story.say("one", b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body), back=True)
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(frames_of(story)))
    with dissector.open(file) as capture:
        capture.run()
        assert [one.frames for one in capture.findings if one.rule == "http.wants-https"] == [(6,)]


@pytest.mark.parametrize("alert", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15\x03\x01\x00\x02\x02\x0a"])
@pytest.mark.parametrize("mss", [1, 1460])
def test_an_alert_in_place_of_an_answer_is_told_once(alert: bytes, mss: int, tmp_path: Path) -> None:
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    story.say("one", REQUEST)
    story.say("one", alert, back=True, close=True)
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(frames_of(story, mss=mss)))
    with dissector.open(file) as capture:
        capture.run()
        assert [finding.rule for finding in capture.findings] == ["http.tls-answer"]
