"""Captures made to cost: each is bounded by a named limit, and the limit that was hit is a finding."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc

import pytest

import dissector
from dissector.base.limits import Limits
from dissector.messages import Message
from tests.fuzz.drive import within
from tests.support import packets, wsd
from tests.support.stories import Channel, Story
from tests.support.wire import Frame, Wire, frames_of, packet, write_pcap

HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Type: application/soap+xml\r\n"
GOOD = wsd.request("/a", "a", wsd.get("urn:uuid:good", "urn:uuid:device"))


def read(frames: list[Frame], limits: Limits | None = None) -> tuple[list[Message], list[str]]:
    """All messages, and the rules of all findings."""
    with within(60), dissector.open(io.BytesIO(write_pcap(frames)), limits=limits or Limits()) as capture:
        messages = list(capture.all_soap)
        rules = [f.rule for m in messages for f in m.all_findings()] + [f.rule for f in capture.findings]
    return messages, rules


def conversation(*requests: bytes) -> list[Frame]:
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", 5357)})
    for data in requests:
        story.say("c", data)
    return frames_of(story)


def soap(body: bytes, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def bomb() -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 50}">' for n in range(12))
    return wsd.envelope("urn:a", "<x>&a11;</x>", declaration=f"<!DOCTYPE e [{entities}]>")


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (bomb(), "xml."),
        (wsd.envelope("urn:a", "<x/>", declaration='<!DOCTYPE e SYSTEM "file:///etc/passwd">'), "xml."),
        (wsd.envelope("urn:a", "<a>" * 50_000 + "</a>" * 50_000), "xml."),
        (wsd.envelope("urn:a", "<a " + " ".join(f'b{n}="1"' for n in range(20_000)) + "/>"), "xml."),
        (wsd.envelope("urn:a", "<a/>" * 300_000), "xml."),
    ],
    ids=["entities", "external entity", "deep", "attributes", "elements"],
)
def test_hostile_xml(body: bytes, rule: str) -> None:
    messages, rules = read(conversation(soap(body), GOOD))
    assert any(r.startswith(rule) for r in rules), rules
    assert messages[-1].message_id == "urn:uuid:good"


def test_a_gzip_body_that_swells() -> None:
    packed = gzip.compress(b"<a>" + bytes(80 << 20))
    tracemalloc.start()
    messages, rules = read(conversation(soap(packed, HEAD + b"Content-Encoding: gzip\r\n"), GOOD))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert any(r.startswith("http.") for r in rules), rules
    assert messages[-1].message_id == "urn:uuid:good"
    assert peak < 100 << 20


def test_an_endless_head() -> None:
    messages, rules = read(conversation(b"POST /a HTTP/1.1\r\nX: " + b"a" * 3_000_000 + b"\r\n\r\n", GOOD))
    assert any(r.startswith("http.") for r in rules), rules
    assert messages[-1].message_id == "urn:uuid:good"


def test_a_chunk_that_claims_everything() -> None:
    chunk = HEAD + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n<a/>\r\n0\r\n\r\n"
    _, rules = read(conversation(chunk, GOOD))
    assert any(r.startswith("http.") for r in rules), rules


def test_thousands_of_parts() -> None:
    part = b"--b\r\nContent-ID: <x>\r\n\r\n.\r\n"
    body = part * 20_000 + b"--b--\r\n"
    head = b'POST /a HTTP/1.1\r\nContent-Type: multipart/related; boundary=b; type="application/xop+xml"\r\n'
    messages, rules = read(conversation(soap(body, head), GOOD))
    assert any(r.startswith("mime.") for r in rules), rules
    assert messages[-1].message_id == "urn:uuid:good"


def test_many_tiny_connections_and_a_flood_of_syns() -> None:
    frames = conversation(GOOD)
    clock = frames[-1].time
    for n in range(30_000):
        source = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        header = struct.pack(">HHIIBBHHH", 1024 + n % 60000, 5357, n, 0, 0x50, 2, 0, 0, 0)
        frames.append(Frame(clock + n, packet(source, "192.0.2.2", 6, header, sums=False)))
    wire = Wire(sums=False, clock=clock + 40_000)
    for n in range(300):
        story = Story(channels={"c": Channel("192.0.2.9", "192.0.2.2", 5357)})
        story.say("c", wsd.request("/a", "a", wsd.get(f"urn:uuid:{n}", "urn:uuid:device")))
        frames += wire.carry(story)
    messages, _ = read(frames)
    assert len(messages) == 301
    _, rules = read(frames, Limits(streams=5000))
    assert "tcp.streams" in rules


def test_fragments_that_never_complete() -> None:
    frames = conversation(GOOD)
    for n in range(6000):
        raw = packet("192.0.2.7", "192.0.2.8", 17, bytes(64), n)
        frames.append(Frame(frames[0].time + n, raw[:20] + b"\x20\x00" + raw[22:]))
    messages, rules = read(frames)
    assert len(messages) == 1
    assert "ip.fragments-limit" in rules


def test_nested_tunnels() -> None:
    inner = packets.ipv4(packets.udp(b"<a/>"), protocol=packets.UDP)
    for _ in range(40):
        inner = packets.ipv4(inner, protocol=4)
    frames = [*conversation(GOOD), Frame(0, packets.ether(inner))]
    messages, rules = read(frames)
    assert len(messages) == 1
    assert "ip.tunnel-depth" in rules
