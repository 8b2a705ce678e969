"""HTTP: messages of both directions, chunks, MIME packages, content codings. Cuts make no difference.

The first byte says where the bytes are cut; ``http`` has a second one for what is lost or ends in the middle.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from dissector.base.limits import Limits
from dissector.http.headers import parse_media_type
from dissector.http.writer import build_multipart, build_request, build_response
from dissector.transport.model import StreamEnd
from tests.fuzz.oracles import known_rules, same
from tests.fuzz.targets.target import Cutter, Target
from tests.support.http_feed import Feed, outcome, read
from tests.support.stories import STORIES

__all__ = ["HTTP"]

_LIMITS = Limits(head=2048, headers=20, chunk_line=64, xml=4096, parts=8, keep=256, inflated=1 << 20, unpaired=4)
_WORDS = (
    b"HTTP/1.1 200 OK\r\n", b"POST / HTTP/1.1\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n",
    b"Content-Type: multipart/related; boundary=", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"\r\n\r\n",
    b"0\r\n\r\n", b"\r\n--b\r\n", b"--b--", b"Content-ID: <", b"Content-Transfer-Encoding: base64\r\n",
    b"quoted-printable", b"ffffffffff\r\n", b";", b"start=\"<", b"GET ", b"HEAD ", b"CONNECT ",
)  # fmt: skip


def _cuts(seed: int, size: int) -> list[int]:
    """Places to cut at: everywhere, or at distances that the seed says."""
    if seed == 1:
        return list(range(1, min(size, 1500)))
    return list(range(seed, size, seed)) if seed > 1 else []


def _stream(data: bytes) -> None:
    cutter = Cutter(data)
    cut, harm = cutter.byte(), cutter.byte()
    stream = cutter.rest()
    whole = read(stream)
    known_rules(whole.findings)
    if cut:
        same(outcome(whole), outcome(read(stream, _cuts(cut, len(stream)))), f"whole and cut by {cut}")
    known_rules(read(stream, _cuts(cut, len(stream)), limits=_LIMITS).findings)
    if harm:
        _harmed(stream, harm)


def _harmed(stream: bytes, harm: int) -> None:
    """With a piece lost, the end cut, and the rest as the other direction."""
    place = len(stream) * (harm & 15) // 16
    feed = Feed(limits=_LIMITS)
    feed.up.data(stream[:place])
    if harm & 16:
        feed.up.gap(1 << (harm >> 5))
    else:
        feed.down.data(stream[place:])
    feed.up.data(stream[place:])
    feed.up.end(list(StreamEnd)[harm % len(StreamEnd)])
    feed.down.end()
    known_rules(feed.findings)


def _chunked(data: bytes) -> None:
    cutter = Cutter(data)
    cut = cutter.byte()
    body = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + cutter.rest()
    whole = read(body)
    known_rules(whole.findings)
    same(outcome(whole), outcome(read(body, _cuts(cut, len(body)))), f"whole and cut by {cut}")
    read(body, _cuts(cut, len(body)), limits=_LIMITS)


def _multipart(data: bytes) -> None:
    cutter = Cutter(data)
    cut = cutter.byte()
    rest = cutter.rest()
    body = b'POST /a HTTP/1.1\r\nContent-Type: multipart/related; boundary=b; start="<i>"\r\nContent-Length: '
    body += b"%d\r\n\r\n" % len(rest) + rest
    whole = read(body)
    known_rules(whole.findings)
    same(outcome(whole), outcome(read(body, _cuts(cut, len(body)))), f"whole and cut by {cut}")
    read(body, _cuts(cut, len(body)), limits=_LIMITS)


_CODINGS = (b"gzip", b"deflate", b"gzip, deflate", b"gzip, gzip, gzip", b"br")


def _inflate(data: bytes) -> None:
    cutter = Cutter(data)
    coding, cut = _CODINGS[cutter.byte() % len(_CODINGS)], cutter.byte()
    rest = cutter.rest()
    body = b"POST /a HTTP/1.1\r\nContent-Encoding: " + coding + b"\r\nContent-Length: %d\r\n\r\n" % len(rest) + rest
    whole = read(body, limits=_LIMITS)
    known_rules(whole.findings)
    parts = read(body, _cuts(cut, len(body)), limits=_LIMITS)
    same(outcome(whole), outcome(parts), f"whole and cut by {cut}")


def _media_type(data: bytes) -> None:
    parse_media_type(data.decode("latin-1"))


def _turns() -> Iterator[bytes]:
    for name in ("dsm-completed-with-errors", "scan-push"):
        yield from (turn.data[:12_000] for turn in STORIES[name]().turns)


def _stream_seeds() -> Iterator[bytes]:
    turns = list(_turns())
    yield from (b"\x07\x00" + one for one in turns[:12])
    yield from (b"\x01\x35" + one + two for one, two in zip(turns[::2], turns[1::2], strict=False) if len(one) < 3000)
    kind, package = build_multipart(b"<root/>", [([("Content-ID", "<i>")], bytes(range(256)))], "b1")
    yield b"\x03\x18" + build_request("POST", "/a", [("Content-Type", kind)], package, chunk=50)
    yield b"\x02\x28" + b"HTTP/1.1 100 Continue\r\n\r\n" + build_response(200, "OK", [], b"<a/>", chunk=3)
    yield b"\x05\x42" + b"HTTP/1.0 200 OK\r\n\r\n<rest/>"


def _chunk_seeds() -> Iterator[bytes]:
    for body in (b"5\r\nhello\r\n0\r\n\r\n", b"a;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n", b"3\nabc\n0\n\n", b"5\r\nab"):
        yield b"\x01" + body
        yield b"\x03" + body * 3
    yield b"\x02" + b"1\r\na\r\n" * 50 + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"


def _part_seeds() -> Iterator[bytes]:
    _, package = build_multipart(b"<root/>", [([("Content-ID", "<i>")], bytes(range(200))), ([], b"x" * 20)], "b")
    yield b"\x01" + package
    yield b"\x05" + package.replace(b"\r\n", b"\n")
    yield b"\x03--b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\nBB==\r\n--b\r\n\r\n--b--tail"
    yield b"\x03--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc\r\n--b--"
    yield b"\x02preamble\r\n--b  \r\nContent-ID: <i>\r\nContent-Length: 3\r\n\r\nabc\r\n--bx\r\n--b--\r\nepilogue"


def _inflate_seeds() -> Iterator[bytes]:
    text = b"<a>" + b"text " * 60 + b"</a>"
    packed, raw = gzip.compress(text, mtime=0), zlib.compress(text)
    yield b"\x00\x01" + packed
    yield b"\x00\x03" + packed + packed + b"\0\0"
    yield b"\x01\x02" + raw
    yield b"\x01\x05" + raw[2:-4]
    yield b"\x02\x09" + zlib.compress(packed)
    yield b"\x03\x00" + gzip.compress(gzip.compress(gzip.compress(bytes(100_000), mtime=0), mtime=0), mtime=0)
    yield b"\x00\x01" + text


def _media_seeds() -> Iterator[bytes]:
    yield b'multipart/related; boundary="a b"; type="application/xop+xml"; start="<0@x>"; start-info=x'
    yield b'text/xml;charset*=utf-8\'\'utf-8 ; action="\\"a\\\\"'


HTTP = (
    Target("http", _stream, _stream_seeds, words=_WORDS),
    Target("chunked", _chunked, _chunk_seeds, 1 << 12, _WORDS),
    Target("multipart", _multipart, _part_seeds, 1 << 12, _WORDS),
    Target("inflate", _inflate, _inflate_seeds, 1 << 12),
    Target("media-type", _media_type, _media_seeds, 512, (b'="', b"\\", b"boundary", b"*0*=", b"utf-8''")),
)
