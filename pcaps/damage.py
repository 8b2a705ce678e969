"""Build the samples that no healthy network gives: ``python -m pcaps.damage``.

The stories of ``tests/support/stories.py`` are carried by built packets (``tests/support/wire.py``) and then harmed:
segments lost, moved, doubled, cut; other link layers, byte orders, tunnels and compressions. Everything comes from
seeds, so the files are the same at each run.
"""

from __future__ import annotations

import gzip
import io
import lzma
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lz4.frame
import zstandard

from dissector.capture import PcapngWriter
from tests.support import wsd
from tests.support.images import jfif
from tests.support.stories import PostScan, Story, dsm_canceled, dsm_completed, scan_push
from tests.support.wire import Frame, frames_of, packet, write_pcap
from tests.support.wsd import FILESHARE, FilterSpec, Ids

HERE = Path(__file__).parent

IPV6 = {"192.0.2.10": "2001:db8::10", "192.0.2.20": "2001:db8::20"}


def image_frames(frames: list[Frame]) -> list[int]:
    """Places of the full segments that the device sent."""
    return [n for n, f in enumerate(frames) if f.channel == "calls" and not f.back and f.payload == 1460]


def lost_segment(first: int = 13) -> bytes:
    """Two segments inside image 2; from 10 on, the head of its MIME part is among them."""
    frames = frames_of(dsm_completed())
    full = image_frames(frames)
    gone = {full[first], full[first + 1]}
    return write_pcap([f for n, f in enumerate(frames) if n not in gone])


def lost_head() -> bytes:
    frames = frames_of(dsm_completed())
    gone = next(n for n, f in enumerate(frames) if b"Content-Type: multipart/related" in f.data)
    return write_pcap([f for n, f in enumerate(frames) if n != gone])


def reordered() -> bytes:
    rng = random.Random(11)
    frames = frames_of(dsm_completed())
    moved = [f for _, f in sorted(((n + rng.uniform(0, 4), f) for n, f in enumerate(frames)), key=lambda e: e[0])]
    for frame in rng.sample(image_frames(moved), 6):
        moved.insert(min(frame + rng.randrange(1, 9), len(moved)), moved[frame])
    times = sorted(f.time for f in moved)
    return write_pcap([replace(f, time=t) for f, t in zip(moved, times, strict=True)])


def differing_copy() -> bytes:
    frames = frames_of(dsm_completed())
    at = image_frames(frames)[8]
    forged = replace(frames[at], data=frames[at].data[:-700] + bytes(700), time=frames[at].time + 9000)
    return write_pcap([*frames[: at + 1], forged, *frames[at + 1 :]])


def cut_packets() -> bytes:
    frames = frames_of(dsm_completed())
    return write_pcap([replace(f, data=f.data[:900], wirelen=len(f.data)) for f in frames])


def cut_file() -> bytes:
    raw = write_pcap(frames_of(dsm_completed()))
    return raw[: len(raw) * 2 // 3 + 7]


def one_direction() -> bytes:
    frames = frames_of(dsm_completed())
    device = bytes([192, 0, 2, 10])
    return write_pcap([f for f in frames if f.data[26:30] == device])


def began_late() -> bytes:
    frames = frames_of(dsm_completed())
    return write_pcap(frames[image_frames(frames)[5] :])


def ended_early() -> bytes:
    frames = frames_of(dsm_completed())
    last = next(n for n, f in enumerate(frames) if b"PostScanJobEndStateEvent</wsa:Action>" in f.data)
    return write_pcap(frames[:last])


def reused_ports() -> bytes:
    """The same ports twice, the first connections without their end."""
    one = [f for f in frames_of(dsm_completed()) if f.channel == "" or not f.data[47] & 1 or f.data[23] != 6]
    later = one[-1].time + 5_000_000_000 - one[0].time
    two = [replace(f, time=f.time + later) for f in frames_of(dsm_canceled(), first_seq=3_000_000_000)]
    return write_pcap(one + two)


def ipv6() -> bytes:
    return write_pcap(frames_of(dsm_completed(), addresses=IPV6))


def qinq_bigendian() -> bytes:
    tags = bytes.fromhex("88a80064" + "8100000a")
    frames = [replace(f, data=f.data[:12] + tags + f.data[12:]) for f in frames_of(dsm_completed())]
    return write_pcap(frames, nanoseconds=True, order=">")


def vxlan() -> bytes:
    outer = []
    for f in frames_of(dsm_completed()):
        inner = struct.pack(">II", 0x08000000, 42 << 8) + f.data
        header = struct.pack(">HHHH", 49999, 4789, 8 + len(inner), 0)
        outer.append(replace(f, data=packet("198.51.100.1", "198.51.100.2", 17, header + inner)))
    return write_pcap(outer)


def sections() -> bytes:
    """pcapng: two sections, three interfaces of other link types and clocks, comments, names."""
    out = io.BytesIO()
    one, two = frames_of(dsm_completed()), frames_of(scan_push())
    writer = PcapngWriter(out, comment="two segments of one office")
    writer.add_interface(1, tsresol=6, name="eth0")
    raw = writer.add_interface(101, tsresol=9, name="tun0")
    writer.write_names({"192.0.2.10": ["mfp-12.example.com"]})
    for n, f in enumerate(one):
        if n % 2:
            writer.write_packet(f.time, f.data[14:], raw)
        else:
            writer.write_packet(f.time, f.data, 0, comment="the scan starts here" if n == 6 else None)
    writer.new_section()
    writer.add_interface(276, tsresol=0x8A, name="any")
    for f in two:
        sll2 = struct.pack(">HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, b"\x02\0\0\0\0\x0a\0\0")
        writer.write_packet(f.time + 60_000_000_000, sll2 + f.data[14:])
    return out.getvalue()


def quirks() -> bytes:
    """What real devices and documentation do to HTTP, MIME, XML and namespaces, in one job."""
    story = Story()
    dsm = PostScan(story, Ids(50))
    dsm.subscribe()
    filters = [FilterSpec(FILESHARE)]
    token = dsm.create(filters)
    dsm.image(token, 1, "jfif", jfif(400, 300, 51))
    dsm.image(token, 2, "png", jfif(400, 300, 52))
    dsm.image(token, 3, "jfif", jfif(400, 300, 53))
    dsm.image(token, 4, "jfif", jfif(400, 300, 54))
    dsm.finish(token)
    dsm.end(token, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 4)
    images = [n for n, t in enumerate(story.turns) if b"multipart/related" in t.data]

    def edit(turn: int, change: Callable[[bytes, bytes], tuple[bytes, bytes]]) -> None:
        head, _, body = story.turns[turn].data.partition(b"\r\n\r\n")
        head, body = change(head, body)
        lines = [
            b"Content-Length: %d" % len(body) if line.startswith(b"Content-Length") else line
            for line in head.split(b"\r\n")
        ]
        story.turns[turn].data = b"\r\n".join(lines) + b"\r\n\r\n" + body

    def no_line_end(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        at = body.rindex(b"\r\n--", 0, len(body) - 4)
        return head, body[:at] + body[at + 2 :]

    def no_final_boundary(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return head, body[: body.rindex(b"\r\n--")]

    def loose_header(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        head = head.replace(b"User-Agent: WSDAPI", b"User-Agent: WSDAPI\r\n  (folded)").replace(
            b'start="<root@wsd>"; ', b""
        )
        return head.replace(b'start-info="', b'startinfo="'), body.replace(
            b'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"',
            b"Content-Type: application/xop+xml; type=application/soap+xml\r\n   charset=UTF-8",
        )

    def misspelt(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return head, body.replace(wsd.DSP.encode(), b"https" + wsd.DSP[4:].encode())

    def in_utf16(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        return head, body.decode().replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16")

    edit(images[0], no_line_end)
    edit(images[2], no_final_boundary)
    edit(images[3], loose_header)
    for turn in story.turns:
        if b"EndPostScanJob</wsa:Action>" in turn.data:
            edit(story.turns.index(turn), misspelt)
        elif b"PostScanJobEndStateEvent</wsa:Action>" in turn.data:
            edit(story.turns.index(turn), in_utf16)
    return write_pcap(frames_of(story))


def small() -> bytes:
    return write_pcap(frames_of(dsm_canceled()))


def lz4_of(data: bytes) -> bytes:
    packed: bytes = lz4.frame.compress(data, store_size=False)
    return packed


BUILT: dict[str, Callable[[], bytes]] = {
    "dsm-lost-segment.pcap": lost_segment,
    "dsm-lost-part-head.pcap": lambda: lost_segment(10),
    "dsm-lost-head.pcap": lost_head,
    "dsm-reordered.pcap": reordered,
    "dsm-differing-copy.pcap": differing_copy,
    "dsm-cut-packets.pcap": cut_packets,
    "dsm-cut-file.pcap": cut_file,
    "dsm-one-direction.pcap": one_direction,
    "dsm-began-late.pcap": began_late,
    "dsm-ended-early.pcap": ended_early,
    "dsm-reused-ports.pcap": reused_ports,
    "dsm-ipv6.pcap": ipv6,
    "dsm-qinq-bigendian.pcap": qinq_bigendian,
    "dsm-vxlan.pcap": vxlan,
    "dsm-sections.pcapng": sections,
    "dsm-quirks.pcap": quirks,
    "dsm-canceled.pcap.gz": lambda: gzip.compress(small(), mtime=0),
    "dsm-canceled.pcap.xz": lambda: lzma.compress(small()),
    "dsm-canceled.pcap.zst": lambda: zstandard.ZstdCompressor().compress(small()),
    "dsm-canceled.pcap.lz4": lambda: lz4_of(small()),
}
"""File name → maker."""


def main() -> None:
    for name, make in BUILT.items():
        path = HERE / "damaged" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make())
        print(f"{name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
