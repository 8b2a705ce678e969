"""Captures made to fill the memory: what each of thousands of connections, jobs or hosts leaves behind for later.

``HOARDS`` has those that could go on without end. ``python -m tests.fuzz.hoards [NAME …]`` writes each at its full
size, reads it with ``dsmshark`` in a process of its own, and says what that held at its peak.
"""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.attacks import ACCEPTED, Line, post
from tests.support import wsd
from tests.support.wire import START, packet

__all__ = ["HOARDS", "Hoard", "peak", "write"]

MEASURE = """
import sys
from dissector.cli import main
code = main()
sys.stdout.flush()
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


class Hoard(NamedTuple):
    """What makes the frames of so many, how many make it full, how many are enough for the tests (0: these leave it),
    and the command that reads them."""

    frames: Callable[[int], Iterable[bytes]]
    full: int
    few: int = 0
    command: tuple[str, ...] = ("jobs",)


def write(frames: Iterable[bytes], path: Path) -> None:
    """A pcap file of Ethernet frames, a microsecond apart."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(frames):
            seconds, rest = divmod(START + number * 1000, 1_000_000_000)
            file.write(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)


def peak(words: Iterable[str]) -> tuple[int, str, str]:
    """Run ``dsmshark`` in a process of its own: its peak of resident memory in bytes, its output, its messages."""
    made = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    said, _, kilobytes = made.stderr.rstrip("\n").rpartition("\n")
    return int(kilobytes) << 10, made.stdout, said


def _opened(n: int) -> Iterator[Line]:
    for k in range(n):
        yield Line(k)


def _bytes_that_decide_nothing(n: int) -> Iterator[bytes]:
    for line in _opened(n):
        yield line.segment(flags=2)
        yield line.segment(b"P")


def _half_open(n: int) -> Iterator[bytes]:
    for line in _opened(n):
        yield line.segment(flags=2)
        yield line.segment(b"POST /a HTTP/1.1\r\nHost: a\r\n")


def _behind_gaps(n: int, size: int = 64 << 10) -> Iterator[bytes]:
    """Connections of interest with a lost segment, and so much behind it."""
    for line in _opened(n):
        yield line.segment(b"POST /a HTTP/1.1\r\n")
        yield from (line.segment(bytes(1400), at=2000 + at) for at in range(0, size, 1400))


def _undecided(n: int, size: int = 60 << 10) -> Iterator[bytes]:
    """Connections whose first byte never comes, and what is held until it does."""
    for line in _opened(n):
        yield line.segment(flags=2)
        yield from (line.segment(bytes(1400), at=2 + at) for at in range(0, size, 1400))


def _tiny_pieces(n: int) -> Iterator[bytes]:
    """Every second byte of long streams."""
    for line in _opened(n // 1000):
        yield line.segment(b"POST /a HTTP/1.1\r\n")
        yield from (line.segment(b"x", at=2000 + 2 * k) for k in range(1000))


def _open_documents(n: int) -> Iterator[bytes]:
    body = b"<a>" + b"<b>" * 10_000
    head = b"POST /a HTTP/1.1\r\nContent-Type: application/soap+xml\r\nContent-Length: 8000000\r\n\r\n"
    for line in _opened(n):
        yield from line.say(head + body)


def _deep_documents(n: int) -> Iterator[bytes]:
    """Documents at the edge of what is read, whole, in turn on one connection."""
    body = wsd.envelope("urn:a", ("<a b='1' c='2'>" * 90 + "</a>" * 90) * 2000)
    yield from (frame for line in _opened(n) for frame in line.say(post(body)))


def _open_parts(n: int) -> Iterator[bytes]:
    head = b'POST /a HTTP/1.1\r\nContent-Type: multipart/related; boundary=b; type="application/xop+xml"\r\n'
    part = b"--b\r\nContent-Type: application/xop+xml\r\n" + b"X-Long: " + b"y" * 50 + b"\r\n"
    for line in _opened(n):
        yield from line.say(head + b"Content-Length: 8000000\r\n\r\n" + part + b"Z: " + b"z" * 20_000)


def _small_parts(n: int) -> Iterator[bytes]:
    head = b'POST /a HTTP/1.1\r\nContent-Type: multipart/related; boundary=b; type="application/xop+xml"\r\n'
    parts = b"--b\r\nA: b\r\n\r\nx\r\n" * 900
    for line in _opened(n):
        yield from line.say(head + b"Content-Length: 8000000\r\n\r\n" + parts)


def _open_inflaters(n: int) -> Iterator[bytes]:
    """Coded bodies that each need a window of 32 KB."""
    packed = gzip.compress(b"<a>" + bytes(k * 7919 >> 3 & 255 for k in range(40_000)), 1)[:-20]
    head = b"POST /a HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 800000\r\n\r\n"
    for line in _opened(n):
        yield from line.say(head + packed)


def _codings_of_codings(n: int) -> Iterator[bytes]:
    packed = b"<a/>" * 10
    for _ in range(4):
        packed = gzip.compress(packed)
    more = b"Content-Encoding: gzip, gzip, gzip, gzip\r\n"
    for line in _opened(n):
        yield from line.say(post(packed, b"text/plain", more)[:-4])


def _swelling_bodies(n: int) -> Iterator[bytes]:
    packed = gzip.compress(b"<a>" + b" " * 900_000)
    for line in _opened(n):
        yield from line.say(post(packed, more=b"Content-Encoding: gzip\r\n"))


def _swelling_open(n: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9)
    packed = packer.compress(b"<a>" + b" " * 900_000) + packer.flush(zlib.Z_FULL_FLUSH)
    for line in _opened(n):
        yield from line.say(post(packed, more=b"Content-Encoding: deflate\r\n")[:-4] + b"    ")


def _long_heads(n: int) -> Iterator[bytes]:
    for line in _opened(n):
        yield from line.say(b"POST /a HTTP/1.1\r\n" + b"A: b\r\n" * 30_000)


def _lines_of_heads(n: int) -> Iterator[bytes]:
    """Whole heads of as many lines as are kept; their bodies never end."""
    head = b"POST /a HTTP/1.1\r\n" + b"A: b\r\n" * 990 + b"Content-Length: 100\r\n\r\n"
    for line in _opened(n):
        yield from line.say(head)


def _handshakes(n: int, size: int = 16_000) -> Iterator[bytes]:
    """TLS handshakes of which one long record began."""
    start = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + bytes(size)
    for line in _opened(n):
        yield line.segment(flags=2)
        yield from line.say(start)


def _handshake_messages(n: int) -> Iterator[bytes]:
    """Handshake messages that go on over several records."""
    start = b"\x01\x00\xff\xf0\x03\x03" + bytes(16_000)
    record = b"\x16\x03\x01" + len(start).to_bytes(2, "big") + start
    for line in _opened(n):
        yield line.segment(flags=2)
        yield from line.say(record + b"\x16\x03\x01\x3e\x80" + bytes(16_000))


def _fragments(n: int) -> Iterator[bytes]:
    for k in range(n):
        raw = packet(f"10.0.{k >> 8 & 255}.{k & 255}", "192.0.2.8", 17, bytes(1400), k & 0xFFFF, sums=False)
        yield raw[:20] + struct.pack(">H", 0x2000 | (k * 9) % 8000) + raw[22:]


def _tiny_messages(n: int) -> Iterator[bytes]:
    """Requests of a few bytes, one behind the other."""
    yield from Line().say(b"GET / HTTP/1.1\r\n\r\n" * n)


def _tiny_chunks(n: int) -> Iterator[bytes]:
    """Bodies in chunks of a byte, each with a place of its own; none ends."""
    head = b"POST /a HTTP/1.1\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    for line in _opened(n):
        yield from line.say(head + b"1\r\nx\r\n" * 50_000)


def _syn_flood(n: int) -> Iterator[bytes]:
    """Connections of which nothing but the first packet is there."""
    for line in _opened(n):
        yield line.segment(flags=2)


def _requests(n: int) -> Iterator[bytes]:
    """Requests that nobody answers, on as many connections as make sense of them."""
    for line in _opened(max(n // 1000, 1)):
        for k in range(1000):
            yield from line.say(wsd.request("/a", "a", wsd.get(f"urn:uuid:{line.port}-{k}", "urn:uuid:device")))


def _answers(n: int) -> Iterator[bytes]:
    """Answers to nothing."""
    for line in _opened(max(n // 1000, 1)):
        for _ in range(1000):
            yield from line.say(wsd.response(b"<a/>"), back=True)


def _asked(line: Line, message: bytes, answer: bytes) -> Iterator[bytes]:
    yield from line.say(wsd.request("/a", "a", message))
    yield from line.say(wsd.response(answer) if answer else ACCEPTED, back=True)


def _jobs(n: int) -> Iterator[bytes]:
    """Jobs that nobody ends."""
    line = Line(1)
    for k in range(n):
        token = f"{k:08x}-0000-0000-0000-000000000000"
        asked = wsd.create_post_scan_job(f"urn:uuid:{k}", "http://a", [])
        yield from _asked(line, asked, wsd.create_post_scan_job_response(f"urn:uuid:r{k}", f"urn:uuid:{k}", token))


def _subscriptions(n: int) -> Iterator[bytes]:
    line, sink = Line(1), "http://192.0.2.40:5358/events"
    for k in range(n):
        asked = wsd.subscribe(f"urn:uuid:{k}", "http://a", sink, [f"{wsd.WSCN}/JobStatusEvent"], f"urn:uuid:s{k}")
        answer = wsd.subscribe_response(f"urn:uuid:r{k}", f"urn:uuid:{k}", "http://a/m", f"urn:uuid:m{k}")
        yield from _asked(line, asked, answer)


def _datagram(k: int, data: bytes) -> bytes:
    header = struct.pack(">HHHH", 3702, 3702, 8 + len(data), 0)
    source = f"10.{k >> 16 & 255}.{k >> 8 & 255}.{k & 255}"
    return packet(source, "239.255.255.250", 17, header + data, sums=False)


def _hosts(n: int) -> Iterator[bytes]:
    """Hello of as many devices, each from an address of its own."""
    for k in range(n):
        body = (
            f"<wsd:Hello><wsa:EndpointReference><wsa:Address>urn:uuid:{k:08x}-0000-0000-0000-000000000000</wsa:Address>"
            f"</wsa:EndpointReference><wsd:Types>wsdp:Device</wsd:Types><wsd:XAddrs>http://10.0.0.1:5357/{k}</wsd:XAddrs>"
            "<wsd:MetadataVersion>1</wsd:MetadataVersion></wsd:Hello>"
        )
        names = wsd.ns(wsd=wsd.WSD, wsdp=wsd.WSDP)
        yield _datagram(k, wsd.envelope(f"{wsd.WSD}/Hello", body, message_id=f"urn:uuid:h{k}", namespaces=names))


def _long_ids(n: int) -> Iterator[bytes]:
    """Messages with identifiers of a thousand characters."""
    for k in range(n):
        yield _datagram(k, wsd.probe(f"urn:uuid:{k}" + "x" * 990, "wsdp:Device"))


def _job_events(n: int) -> Iterator[bytes]:
    """One job that has as many status events, each with other reasons."""
    line = Line(1)
    token = "00000001-0000-0000-0000-000000000000"
    asked = wsd.create_post_scan_job("urn:uuid:0", "http://a", [])
    yield from _asked(line, asked, wsd.create_post_scan_job_response("urn:uuid:r", "urn:uuid:0", token))
    for k in range(n):
        yield from _asked(
            line, wsd.status_event(f"urn:uuid:e{k}", "http://a", token, "Active", [], k, reason=f"R{k}"), b""
        )


HOARDS: dict[str, Hoard] = {
    "bytes that decide nothing": Hoard(_bytes_that_decide_nothing, 100_000),
    "half-open requests": Hoard(_half_open, 100_000, 10_000),
    "behind gaps": Hoard(_behind_gaps, 5000, 1200),
    "undecided": Hoard(_undecided, 5000, 1200),
    "tiny pieces": Hoard(_tiny_pieces, 1_000_000, 160_000),
    "open documents": Hoard(_open_documents, 10_000, 1500),
    "deep documents": Hoard(_deep_documents, 20),
    "open parts": Hoard(_open_parts, 10_000, 1600),
    "small parts": Hoard(_small_parts, 5000, 60),
    "open inflaters": Hoard(_open_inflaters, 10_000, 800),
    "codings of codings": Hoard(_codings_of_codings, 50_000, 2000),
    "swelling bodies": Hoard(_swelling_bodies, 3000, 80),
    "swelling bodies under way": Hoard(_swelling_open, 3000, 80),
    "long heads": Hoard(_long_heads, 1500),
    "lines of heads": Hoard(_lines_of_heads, 20_000, 400),
    "handshakes": Hoard(_handshakes, 10_000, command=("tls",)),
    "handshake messages": Hoard(_handshake_messages, 5000, command=("tls",)),
    "fragments": Hoard(_fragments, 100_000, 60_000),
    "tiny messages": Hoard(_tiny_messages, 1_000_000, 40_000),
    "tiny chunks": Hoard(_tiny_chunks, 200, 8),
    "first packets": Hoard(_syn_flood, 1_000_000),
    "requests": Hoard(_requests, 100_000),
    "answers": Hoard(_answers, 100_000, 40_000),
    "jobs": Hoard(_jobs, 100_000),
    "subscriptions": Hoard(_subscriptions, 100_000),
    "hosts": Hoard(_hosts, 100_000),
    "long identifiers": Hoard(_long_ids, 50_000),
    "events of a job": Hoard(_job_events, 100_000),
}
"""Name → what makes it, how many, and what reads it."""


def main(names: list[str]) -> None:
    """Measure the named ones, or all."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names or HOARDS:
            hoard = HOARDS[name]
            path = Path(folder) / "hoard.pcap"
            write(hoard.frames(hoard.full), path)
            held, _, said = peak([*hoard.command, str(path)])
            print(f"{held / 1e6:6.0f} MB  {path.stat().st_size / 1e6:6.0f} MB read  {name} ({hoard.full})", flush=True)
            for line in said.splitlines()[:3]:
                print(f"           {line[:140]}")


if __name__ == "__main__":
    main(sys.argv[1:])
