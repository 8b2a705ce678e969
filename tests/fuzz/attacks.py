"""Captures made to cost: each takes a size, and what it costs must grow with that size and no faster.

``ATTACKS`` has those that are about time: n and 2n are read, and the second may take little more than twice as long.
Those about a limit are in ``test_limits``.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterable, Iterator

from tests.support import wsd
from tests.support.wire import START, packet

__all__ = ["ATTACKS", "Line", "capture", "post", "soap_post"]

DEVICE, SERVER = "192.0.2.10", "192.0.2.20"


class Line:
    """A TCP connection by hand: any segment in any order. ``number`` tells the ports and addresses apart."""

    def __init__(self, number: int = 0) -> None:
        self.client = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.port = 40000 + number % 20000
        self.sent = {False: 0, True: 0}

    def segment(self, data: bytes = b"", *, back: bool = False, at: int | None = None, flags: int = 0x10) -> bytes:
        """A frame; ``at``: stream offset, default: behind the last one."""
        place = self.sent[back] if at is None else at
        if at is None:
            self.sent[back] += len(data)
        ports = (5357, self.port) if back else (self.port, 5357)
        ends = (SERVER, self.client) if back else (self.client, SERVER)
        seq = (1000 + place) & 0xFFFFFFFF if flags & 2 == 0 else 999
        ack = (1000 + self.sent[not back]) & 0xFFFFFFFF
        return packet(
            *ends, 6, struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 64240, 0, 0) + data, sums=False
        )

    def say(self, data: bytes, *, back: bool = False, size: int = 1400) -> Iterator[bytes]:
        """Data in segments."""
        for start in range(0, len(data), size):
            yield self.segment(data[start : start + size], back=back)


def capture(frames: Iterable[bytes], tick: int = 1000) -> bytes:
    """A pcap file of Ethernet frames, so many nanoseconds apart."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)]
    for number, frame in enumerate(frames):
        seconds, rest = divmod(START + number * tick, 1_000_000_000)
        out.append(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)
    return b"".join(out)


def post(body: bytes, kind: bytes = b"application/soap+xml", more: bytes = b"") -> bytes:
    """A request."""
    head = b"POST /a HTTP/1.1\r\nContent-Type: " + kind + b"\r\n" + more
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def soap_post(content: str, action: str = "urn:a") -> bytes:
    """A SOAP request with this body."""
    return post(wsd.envelope(action, content))


ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def _one(data: bytes, size: int = 1400) -> bytes:
    return capture(Line().say(data, size=size))


def _tiny_segments(n: int) -> bytes:
    return _one(post(b"<a>" + b"x" * n + b"</a>"), 1)


def _retransmissions(n: int) -> bytes:
    line = Line()
    data = post(b"x" * 100_000)
    frames = list(line.say(data[:20_000], size=1))
    return capture([*frames, *(line.segment(b"x", at=19_000 + k % 900) for k in range(n))])


def _backwards(n: int) -> bytes:
    """Segments in the reverse order, each held until the first one comes."""
    line = Line()
    data = post(b"x" * n * 10)
    frames = [line.segment(data[at : at + 10], at=at) for at in range(10, len(data), 10)]
    return capture([line.segment(data[:1], at=0), *reversed(frames), line.segment(data[:10], at=0)])


def _gaps(n: int) -> bytes:
    line = Line()
    frames = list(line.say(post(b"x" * 50 * n)[:200]))
    frames += [line.segment(b"x" * 10, at=1000 + 40 * k) for k in range(n)]
    return capture(frames, 20_000_000)


def _connections(n: int) -> bytes:
    return capture(frame for k in range(n) for frame in Line(k).say(b"POST /a HTTP/1.1\r\nHost: a\r\n"))


def _pipelined(n: int) -> bytes:
    line = Line()
    up = b"GET / HTTP/1.1\r\n\r\n" * n
    return capture([*line.say(up), *line.say(ACCEPTED * n, back=True)])


def _answers_first(n: int) -> bytes:
    line = Line()
    return capture([*line.say(ACCEPTED * n, back=True), *line.say(b"GET / HTTP/1.1\r\n\r\n" * n)])


def _head_bytes(n: int) -> bytes:
    return _one(b"POST /a HTTP/1.1\r\nX: " + b"a" * n, 1)


def _heads(n: int) -> bytes:
    return _one(b"".join(b"POST /a HTTP/1.1\r\n" + b"A: b\r\n" * 900 + b"\r\n" for _ in range(n)))


def _junk(n: int) -> bytes:
    return _one(b"POST /a HTTP/1.1\r\n\r\n" + b"POST HTTP/ " * n)


def _empty_chunks(n: int) -> bytes:
    head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _one(head + b"1;a=b\r\nx\r\n" * n + b"0\r\n\r\n")


def _chunked_elements(n: int) -> bytes:
    """Elements that came in chunks of a few bytes: each asks for its place among the chunks."""
    body = wsd.envelope("urn:a", "<a/>" * n)
    chunks = b"".join(b"4\r\n" + body[at : at + 4].ljust(4) + b"\r\n" for at in range(0, len(body), 4))
    head = b"POST /a HTTP/1.1\r\nContent-Type: application/soap+xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _one(head + chunks + b"0\r\n\r\n")


def _parts(n: int) -> bytes:
    part = b"--b\r\nContent-ID: <x>\r\n\r\n<a/>\r\n"
    one = post(part * 900 + b"--b--\r\n", b'multipart/related; boundary=b; type="application/xop+xml"')
    return _one(one * n)


def _boundaries(n: int) -> bytes:
    return _one(post(b"--b\r\n\r\n" + b"\r\n--bb" * n, b"multipart/related; boundary=b"))


def _includes(n: int) -> bytes:
    """Elements that include parts, one for each of so many."""
    xop = "http://www.w3.org/2004/08/xop/include"
    body = "".join(f'<x><i:Include xmlns:i="{xop}" href="cid:p{k}"/></x>' for k in range(n))
    root = b"--b\r\nContent-Type: application/xop+xml\r\n\r\n" + wsd.envelope("urn:a", body) + b"\r\n"
    parts = b"".join(b"--b\r\nContent-ID: <p%d>\r\n\r\nx\r\n" % k for k in range(900))
    return _one(post(root + parts + b"--b--", b'multipart/related; boundary=b; type="application/xop+xml"'))


def _elements(n: int) -> bytes:
    return _one(
        soap_post(
            "<s:Thing xmlns:s='http://schemas.microsoft.com/windows/2006/08/wdp/scan'>"
            + "<s:JobId/>" * n
            + "</s:Thing>"
        )
    )


def _namespaces(n: int) -> bytes:
    return _one(soap_post("<a>" + "".join(f"<b xmlns='urn:{k}' xmlns:p{k}='urn:p{k}'/>" for k in range(n)) + "</a>"))


def _long_name(n: int) -> bytes:
    return _one(soap_post(f"<{'a' * n}/>"))


def _text(n: int) -> bytes:
    return _one(soap_post("<a>" + "&lt; \u202e" * n + "</a>"))


def _not_well_formed(n: int) -> bytes:
    return _one(soap_post("<a" + " b='" * n))


def _open_tags(n: int) -> bytes:
    return _one(soap_post("<a><!--" * n))


def _exchanges(n: int) -> bytes:
    line = Line()
    frames: list[bytes] = []
    for k in range(n):
        frames += line.say(wsd.request("/a", "a", wsd.get(f"urn:uuid:{k}", "urn:uuid:device")))
        frames += line.say(ACCEPTED, back=True)
    return capture(frames)


def _asked(line: Line, message: bytes, answer: bytes) -> Iterator[bytes]:
    yield from line.say(wsd.request("/a", "a", message))
    yield from line.say(wsd.response(answer) if answer else ACCEPTED, back=True)


def _subscriptions(n: int) -> bytes:
    """As many subscriptions as events, and no event that belongs to one."""
    line, sink = Line(1), "http://192.0.2.40:5358/events"
    frames: list[bytes] = []
    for k in range(n):
        asked = wsd.subscribe(f"urn:uuid:{k}", "http://a", sink, [f"{wsd.WSCN}/JobStatusEvent"], f"urn:uuid:s{k}")
        answer = wsd.subscribe_response(f"urn:uuid:r{k}", f"urn:uuid:{k}", "http://a/m", f"urn:uuid:m{k}")
        frames += _asked(line, asked, answer)
    for k in range(n):
        inner = wsd.scan_job_status(k, "Started", "JobScanning", 0)
        header = wsd.identifier_header(f"urn:uuid:none{k}")
        frames += _asked(line, wsd.scan_event("JobStatusEvent", inner, f"urn:uuid:e{k}", sink, identifier=header), b"")
    return capture(frames)


def _jobs(n: int) -> bytes:
    """As many jobs as status events, each of another job."""
    line = Line(1)
    frames: list[bytes] = []
    for k in range(n):
        token = f"{k:08x}-0000-0000-0000-000000000000"
        asked = wsd.create_post_scan_job(f"urn:uuid:{k}", "http://a", [])
        frames += _asked(line, asked, wsd.create_post_scan_job_response(f"urn:uuid:r{k}", f"urn:uuid:{k}", token))
    for k in range(n):
        token = f"{n - k - 1:08x}-0000-0000-0000-000000000000"
        event = wsd.status_event(f"urn:uuid:e{k}", "http://a", token, "Active", [], 0)
        frames += _asked(line, event, b"")
    return capture(frames)


def _same_ids(n: int) -> bytes:
    line = Line()
    frames: list[bytes] = []
    for _ in range(n):
        frames += line.say(wsd.request("/a", "a", wsd.get("urn:uuid:same", "urn:uuid:device")))
    return capture(frames)


def _probes(n: int) -> bytes:
    """Datagrams of as many senders."""
    frames = []
    for k in range(n):
        data = wsd.probe(f"urn:uuid:{k}", "wsdp:Device")
        header = struct.pack(">HHHH", 3702, 3702, 8 + len(data), 0)
        frames.append(packet(f"10.0.{k >> 8 & 255}.{k & 255}", "239.255.255.250", 17, header + data, sums=False))
    return capture(frames)


def _fragments(n: int) -> bytes:
    frames = []
    for k in range(n):
        raw = packet("192.0.2.7", "192.0.2.8", 17, bytes(64), k & 0xFFFF)
        # More fragments, at places that never meet.
        frames.append(raw[:20] + struct.pack(">H", 0x2000 | (k * 9) % 8000) + raw[22:])
    return capture(frames)


def _fragments_of_one(n: int) -> bytes:
    frames = []
    for k in range(n):
        raw = packet("192.0.2.7", "192.0.2.8", 17, bytes(8), 7)
        frames.append(raw[:20] + struct.pack(">H", 0x2000 | (2 * k) % 8000) + raw[22:])
    return capture(frames)


def _small_members(n: int) -> bytes:
    """A body of many gzip members."""
    return _one(post(gzip.compress(b"", mtime=0) * n, more=b"Content-Encoding: gzip\r\n"))


def _damaged_records(n: int) -> bytes:
    good = capture([Line().segment(b"x" * 50)])
    return good[:24] + (good[24:] + b"\xff" * 20) * n


def _names(n: int) -> bytes:
    """As many names of one address, each in a block of its own."""
    head = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    blocks = (struct.pack("<IIHHI8sII", 4, 32, 1, 12, 1, b"%08d" % k, 0, 32) for k in range(n))
    return head + struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20) + b"".join(blocks)


def _comments(n: int) -> bytes:
    option = struct.pack("<HH", 1, 4) + b"text"
    options = option * 20 + struct.pack("<HH", 0, 0)
    block = struct.pack("<IIIIIII", 6, 32 + 4 + len(options) - 4 + 4, 0, 0, 0, 4, 4) + b"data" + options
    block += struct.pack("<I", len(block) + 4)
    block = block[:4] + struct.pack("<I", len(block)) + block[8:]
    head = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    return head + struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20) + block * n


ATTACKS: dict[str, tuple[Callable[[int], bytes], int]] = {
    "tiny segments": (_tiny_segments, 8000),
    "retransmissions": (_retransmissions, 1000),
    "backwards": (_backwards, 8000),
    "gaps": (_gaps, 2000),
    "connections": (_connections, 2000),
    "pipelined": (_pipelined, 2000),
    "answers first": (_answers_first, 2000),
    "head byte by byte": (_head_bytes, 8000),
    "header lines": (_heads, 20),
    "junk": (_junk, 20_000),
    "small chunks": (_empty_chunks, 10_000),
    "elements in small chunks": (_chunked_elements, 3000),
    "parts": (_parts, 4),
    "boundaries that are none": (_boundaries, 20_000),
    "includes": (_includes, 1000),
    "elements": (_elements, 6000),
    "namespaces": (_namespaces, 4000),
    "a long name": (_long_name, 200_000),
    "text": (_text, 50_000),
    "quotes that are not closed": (_not_well_formed, 20_000),
    "tags that are not closed": (_open_tags, 20_000),
    "exchanges": (_exchanges, 250),
    "subscriptions": (_subscriptions, 150),
    "jobs": (_jobs, 150),
    "the same message id": (_same_ids, 250),
    "probes": (_probes, 250),
    "fragments": (_fragments, 4000),
    "fragments of one datagram": (_fragments_of_one, 4000),
    "gzip members": (_small_members, 5000),
    "damaged records": (_damaged_records, 2000),
    "comments": (_comments, 1000),
    "names of one address": (_names, 20_000),
}
"""Name → what makes the capture, and the size that is read first."""
