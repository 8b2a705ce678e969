"""Each named limit at its edge: what just fits leaves no finding of its rule, one more of what it counts does; and
reading goes on."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable, Iterable
from dataclasses import fields

import pytest

import dissector
from dissector.base.limits import Limits
from dissector.output.text import printable
from tests.fuzz.attacks import ACCEPTED, Line, capture, post, soap_post
from tests.fuzz.drive import SMALL, told
from tests.fuzz.oracles import within
from tests.support import packets, wsd
from tests.support.lossy import lossy_frames
from tests.support.wire import Frame, packet, write_pcap

GOOD = wsd.request("/a", "a", wsd.get("urn:uuid:good", "urn:uuid:device"))


def rules_of(raw: bytes, limits: Limits) -> tuple[set[str], set[str]]:
    """The rules of all findings, and the ids of the messages."""
    with within(30), dissector.open(io.BytesIO(raw), limits=limits) as capture:
        messages = list(capture.all_soap)
        found = [*capture.findings, *(f for m in messages for f in m.all_findings())]
    for finding in found:
        assert printable(finding.text) == finding.text
    return {f.rule for f in found}, {m.message_id or "" for m in messages}


def one(data: bytes) -> Iterable[bytes]:
    return Line(1).say(data)


def chunked(body: bytes, line: bytes) -> bytes:
    head = b"POST /a HTTP/1.1\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x%s\r\n" % (len(body), line) + body + b"\r\n0\r\n\r\n"


def tunnels(count: int) -> Iterable[bytes]:
    inner = packets.ipv4(packets.udp(b"<a/>"), protocol=packets.UDP)
    for _ in range(count):
        inner = packets.ipv4(inner, protocol=4)
    yield packets.ether(inner)


def fragments(count: int) -> Iterable[bytes]:
    """First fragments of so many datagrams, 64 bytes each."""
    for k in range(count):
        raw = packet("192.0.2.7", "192.0.2.8", 17, bytes(64), k)
        yield raw[:20] + b"\x20\x00" + raw[22:]


def begun(count: int) -> Iterable[bytes]:
    """Connections with the beginning of a request."""
    for k in range(count):
        yield from Line(k + 10).say(b"POST /a HTTP/1.1\r\n")


def behind_a_gap(size: int) -> Iterable[bytes]:
    """A request of which the middle is lost, and so many bytes behind it; nothing acknowledges."""
    line = Line(1)
    yield line.segment(b"POST /a HTTP/1.1\r\n")
    yield from (line.segment(bytes(min(1000, size - at)), at=5000 + at) for at in range(0, size, 1000))


def unsettled(count: int, size: int = 1000) -> Iterable[bytes]:
    """Connections whose first byte never comes."""
    for k in range(count):
        line = Line(k + 10)
        yield line.segment(flags=2)
        yield line.segment(bytes(size), at=2)


def gapped(count: int) -> Iterable[bytes]:
    """A connection each with a gap that is given up: a finding each."""
    for k in range(count):
        line = Line(k + 10)
        yield from line.say(b"POST /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
        yield line.segment(b"x", at=90)
        yield line.segment(b"", at=91, flags=0x11)


def pieces(count: int) -> bytes:
    """A package of so many parts, the envelope among them."""
    root = b"--b\r\nContent-Type: application/xop+xml\r\n\r\n" + wsd.envelope("urn:a", "<a/>")
    body = root + b"\r\n--b\r\n\r\nx" * (count - 1) + b"\r\n--b--"
    return post(body, b'multipart/related; boundary=b; type="application/xop+xml"')


def swelling(size: int) -> bytes:
    """So many bytes, coded: an envelope with blanks behind it."""
    packed = gzip.compress(wsd.envelope("urn:a", "<a/>").ljust(size))
    return post(packed, more=b"Content-Encoding: gzip\r\n")


def headed(size: int) -> bytes:
    """A request whose head has so many bytes."""
    start, end = b"GET / HTTP/1.1\r\nX: ", b"\r\n\r\n"
    return start + b"y" * (size - len(start + end)) + end


def chunk_lines(size: int) -> bytes:
    """A request in one chunk, whose line has so many bytes with its end."""
    body = wsd.envelope("urn:a", "<a/>")
    return chunked(body, b";" + b"x" * (size - len(b"%x;\r\n" % len(body))))


def long_xml(size: int) -> bytes:
    """An envelope of so many bytes."""
    usual = len(soap_post("<a></a>").partition(b"\r\n\r\n")[2])
    return soap_post("<a>" + "x" * (size - usual) + "</a>")


def many_elements(count: int) -> bytes:
    """An envelope of so many elements."""
    usual = soap_post("").count(b"</") + soap_post("").count(b"/>")
    return soap_post("<a/>" * (count - usual))


def nested(depth: int) -> str:
    """Elements so deep, Envelope and Body counted."""
    return "<a>" * (depth - 2) + "</a>" * (depth - 2)


EDGES: dict[str, tuple[Limits, str, Callable[[], Iterable[bytes]], Callable[[], Iterable[bytes]]]] = {
    "tunnel_depth": (Limits(tunnel_depth=3), "ip.tunnel-depth", lambda: tunnels(3), lambda: tunnels(4)),
    "fragments": (Limits(fragments=10), "ip.fragments-limit", lambda: fragments(10), lambda: fragments(11)),
    "fragment_bytes": (
        Limits(fragment_bytes=2700), "ip.fragments-limit", lambda: fragments(10), lambda: fragments(11),
    ),
    "streams": (Limits(streams=21), "tcp.streams", lambda: begun(20), lambda: begun(21)),
    "connections": (Limits(connections=21), "tcp.connections", lambda: begun(20), lambda: begun(21)),
    "held": (
        Limits(held=50_000, out_of_order=1 << 20), "tcp.held", lambda: behind_a_gap(20_000),
        lambda: behind_a_gap(60_000),
    ),
    "findings": (Limits(findings=5), "tcp.findings", lambda: gapped(5), lambda: gapped(6)),
    "head": (Limits(head=1000), "http.limits-elsewhere", lambda: one(headed(1000)), lambda: one(headed(1001))),
    "headers": (
        Limits(headers=20), "http.headers-limit",
        lambda: one(post(wsd.envelope("urn:a", "<a/>"), more=b"X: y\r\n" * 18)),
        lambda: one(post(wsd.envelope("urn:a", "<a/>"), more=b"X: y\r\n" * 19)),
    ),
    "chunk_line": (
        Limits(chunk_line=40), "http.limits-elsewhere", lambda: one(chunk_lines(40)), lambda: one(chunk_lines(41)),
    ),
    "xml": (Limits(xml=2000), "soap.too-long", lambda: one(long_xml(2000)), lambda: one(long_xml(2001))),
    "xml_depth": (
        Limits(xml_depth=20), "xml.depth", lambda: one(soap_post(nested(20))), lambda: one(soap_post(nested(21))),
    ),
    "xml_elements": (
        Limits(xml_elements=30), "xml.elements", lambda: one(many_elements(30)), lambda: one(many_elements(31)),
    ),
    "xml_attributes": (
        Limits(xml_attributes=20), "xml.attributes",
        lambda: one(soap_post("<a " + " ".join(f"b{k}=''" for k in range(20)) + "/>")),
        lambda: one(soap_post("<a " + " ".join(f"b{k}=''" for k in range(21)) + "/>")),
    ),
    "parts": (
        Limits(parts=5), "mime.parts-limit",
        lambda: one(pieces(5)), lambda: one(pieces(6)),
    ),
    "inflate_ratio": (
        Limits(inflate_ratio=2), "http.inflate-limit",
        lambda: one(swelling(1 << 20)), lambda: one(swelling((1 << 20) + 1)),
    ),
    "inflated": (
        Limits(inflated=1_200_000, inflate_ratio=10_000), "http.inflate-limit",
        lambda: one(swelling(1_200_000)), lambda: one(swelling(1_200_001)),
    ),
}  # fmt: skip
"""Limit → limits, the rule of what is hit, a capture that just fits, one that does not."""

ELSEWHERE = {
    "record", "notes", "interfaces", "sections", "unpack_ratio", "unpack_free",  # tests/capture
    "gap_wait_segments", "undecided", "out_of_order",  # tests/transport: they lose nothing of their own
    "messages",  # below
    "keep", "unpaired",  # bounds of memory that lose nothing of a message: tests/http, and below
}  # fmt: skip


def test_every_limit_has_an_edge_here_or_elsewhere() -> None:
    named = {field.name for field in fields(Limits) if not field.name.startswith("tls")}
    assert named == set(EDGES) | ELSEWHERE


@pytest.mark.parametrize("name", EDGES)
def test_the_edge(name: str) -> None:
    limits, rule, fits, too_much = EDGES[name]
    # A good message behind each: reading goes on.
    found, ids = rules_of(capture([*fits(), *Line(0).say(GOOD)]), limits)
    assert rule not in found
    assert "urn:uuid:good" in ids
    # Between blocks what all connections hold is looked at, so the capture is read in more than one.
    found, ids = rules_of(capture([*too_much(), *Line(0).say(GOOD)]), limits)
    assert rule in found
    assert "urn:uuid:good" in ids


def test_undecided_connections_are_given_up_together() -> None:
    """A thousand connections may not each hold what one may hold: the idlest are dismissed, and said so."""
    found, ids = rules_of(capture([*unsettled(100), *Line(0).say(GOOD)]), Limits(held=50_000))
    assert "tcp.held" in found
    assert "urn:uuid:good" in ids


def test_bodies_that_swell_have_one_room() -> None:
    """Coded bodies of many connections in one block: each is in its bounds, all of them are not."""
    packed = gzip.compress(b"<a>" + b" " * 900_000)
    body = post(packed, more=b"Content-Encoding: gzip\r\n")
    frames = [frame for k in range(40) for frame in Line(k + 10).say(body)]
    found, ids = rules_of(capture([*frames, *Line(0).say(GOOD)]), Limits(held=10 << 20))
    assert found & {"soap.not-kept", "http.messages-limit"}
    found, ids = rules_of(capture([*Line(0).say(GOOD), *frames]), Limits(held=48 << 20))
    assert not found & {"soap.not-kept", "http.messages-limit"}
    assert "urn:uuid:good" in ids


def test_messages_that_come_at_once() -> None:
    tiny = [*Line(1).say(b"GET / HTTP/1.1\r\n\r\n" * 9)]
    found, ids = rules_of(capture([*Line(0).say(GOOD), *tiny]), Limits(messages=10))
    assert "http.messages-limit" not in found
    found, ids = rules_of(capture([*Line(0).say(GOOD), *tiny]), Limits(messages=9))
    assert "http.messages-limit" in found
    assert "urn:uuid:good" in ids


def test_where_a_long_message_came_from_has_a_room_of_its_own() -> None:
    """The frame map of one image may take more than everything else may: it is no reason to give the image up."""
    frames = [*Line(0).say(GOOD), *Line(1).say(post(bytes(8_000_000), b"image/jpeg"), size=200)]
    raw = capture(frames)
    found, ids = rules_of(raw, Limits(held=900_000))
    assert not found & {"tcp.held", "http.cut-short"}
    # But it has its bound: 40,000 segments of 32 bytes.
    found, ids = rules_of(raw, Limits(held=500_000))
    assert "tcp.held" in found
    assert "urn:uuid:good" in ids


def test_what_copies_are_compared_with_is_forgotten_first() -> None:
    """Connections that said a lot and hold nothing: no finding, and their messages go on."""
    lines = [Line(k + 10) for k in range(100)]
    said = [frame for line in lines for frame in line.say(post(b"x" * 8000, b"text/plain"))]
    rest = [frame for line in lines for frame in line.say(GOOD)]
    found, ids = rules_of(capture([*said, *rest]), Limits(held=500_000))
    assert "tcp.held" not in found
    assert "urn:uuid:good" in ids


def test_places_of_tiny_chunks_have_a_share_of_the_room() -> None:
    """Bodies in chunks of a byte: each keeps its places, all of them do not; nothing else is lost."""
    head = b"POST /a HTTP/1.1\r\nContent-Type: application/soap+xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    envelope = wsd.get("urn:uuid:good", "urn:uuid:device")
    body = head + b"".join(b"1\r\n%c\r\n" % byte for byte in envelope) + b"0\r\n\r\n"
    frames = [frame for k in range(20) for frame in Line(k + 10).say(body)]
    with dissector.open(io.BytesIO(capture(frames)), limits=Limits(held=4 << 20)) as opened:
        bodies = [message.http.body.origin for message in opened.all_soap if message.http is not None]
    assert {origin.exact for origin in bodies if origin is not None} == {True, False}
    assert len(bodies) == 20


def test_requests_without_answers_are_remembered_up_to_a_limit() -> None:
    """The answer to a request that was forgotten is read like any other, and is only not told what it answers."""
    lines = [Line(k + 10) for k in range(30)]
    asked = [frame for line in lines for frame in line.say(GOOD)]
    answered = [frame for line in lines for frame in line.say(ACCEPTED, back=True)]
    with dissector.open(io.BytesIO(capture(asked + answered)), limits=Limits(unpaired=2)) as opened:
        answers = [message for message in opened.all_soap if message.kind == "response"]
    assert len(answers) == 20


def test_secrets_and_comments_are_bounded_together() -> None:
    head = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    text = struct.pack("<HH", 1, 400) + b"c" * 400
    block = struct.pack("<IIHHI", 1, 20 + len(text), 1, 0, 0) + text + struct.pack("<I", 20 + len(text))
    found, _ = rules_of(head + block * 3, Limits(notes=1600))
    assert "pcapng.notes-limit" not in found
    found, _ = rules_of(head + block * 4, Limits(notes=1600))
    assert "pcapng.notes-limit" in found


def test_bodies_that_are_kept_wait_in_files_where_they_are_many() -> None:
    """Uploads at once, each smaller than what is kept in memory of one: all of them are kept whole."""
    lines = [Line(k + 10) for k in range(60)]
    bodies = [bytes([k]) * 60_000 for k in range(60)]
    said = [[*line.say(post(body, b"image/jpeg"))] for line, body in zip(lines, bodies, strict=True)]
    frames = [frame for turn in zip(*said, strict=True) for frame in turn]
    found: list[bytes] = []
    with dissector.open(io.BytesIO(capture(frames)), limits=Limits(held=4 << 20), keep=True) as opened:
        opened.on_http = lambda http: found.append(http.body.data())
        assert list(opened.all_soap) == []
        assert "tcp.held" not in {finding.rule for finding in opened.findings}
    assert sorted(found) == sorted(bodies)


@pytest.mark.parametrize("limits", [Limits(streams=12), Limits(connections=12)], ids=["streams", "connections"])
@pytest.mark.parametrize("seed", [5, 10, 25])
def test_what_is_closed_to_make_room_is_known_from_then_on(seed: int, limits: Limits) -> None:
    """And not since its last frame: others were told meanwhile, and which of them is a matter of the blocks."""
    frames = lossy_frames(seed)
    quiet = [packets.ether(packets.ipv4(packets.udp(b"noise"), protocol=packets.UDP))] * 40
    last = max(frame.time for frame in frames)
    data = write_pcap([*frames, *(Frame(last + at, raw) for at, raw in enumerate([*quiet, *begun(30)]))])
    whole = told(data, 8 << 20, limits)
    assert any("were closed" in text or "idle for longest ended" in text for text in whole["findings"])
    assert whole == told(data, SMALL, limits)
