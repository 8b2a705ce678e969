"""A message counts as known from the frame on that tells where it ends, also where that is behind it: what comes on
other connections meanwhile is told before, however the capture is cut into blocks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.fuzz.attacks import Line, capture
from tests.fuzz.drive import SMALL, told
from tests.support import wsd

ADDRESS = "192.0.2.2:5357"
BODY = wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to="urn:uuid:x")
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)


def asked(name: str) -> bytes:
    return wsd.request("/a", ADDRESS, wsd.envelope(f"{wsd.WXF}/Get", "", message_id=f"urn:uuid:{name}"))


def answer(name: str) -> bytes:
    return wsd.response(wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to=f"urn:uuid:{name}"))


def others(first: int) -> Iterable[bytes]:
    """Exchanges on connections of their own."""
    for number in range(first, first + 3):
        line = Line(number)
        yield from line.say(asked(str(number)))
        yield from line.say(answer(str(number)), back=True)


def head(*lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/soap+xml", *lines, "", ""]).encode()


FIRST = {
    "no length": (head(), b""),
    "two lengths": (head(f"Content-Length: {len(BODY)}", f"Content-Length: {len(BODY) + 900}") + BODY, b""),
    "no chunk line": (head("Transfer-Encoding: chunked") + CHUNK, b"zz\r\n"),
    "no last chunk": (head("Transfer-Encoding: chunked") + CHUNK, b""),
    "no end of trailers": (head("Transfer-Encoding: chunked") + CHUNK + b"0\r\n", b""),
    "a length that says too much": (head(f"Content-Length: {len(BODY) + 900}") + BODY, b""),
}


@pytest.mark.parametrize("cut", [0, 3])
@pytest.mark.parametrize("name", FIRST)
def test_what_tells_its_end_comes_later(name: str, cut: int) -> None:
    before, then = FIRST[name]
    then += answer("y")
    line = Line(1)
    frames = [
        *line.say(asked("x") + asked("y")),
        *line.say(before + then[:cut], back=True),
        *others(10),
        *line.say(then[cut:], back=True),
        *others(20),
    ]
    whole = told(capture(frames), 8 << 20)
    assert whole == told(capture(frames), SMALL)
    assert [m["frames"] for m in whole["messages"]][7:10] == [[8], [2], [10]]
