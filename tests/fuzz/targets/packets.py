"""Frames and TCP: link layers, IP, fragments and tunnels on both paths; segments in any order and overlap.

``frames``: a byte for the link type, then frames, each behind two bytes of length. ``tcp``: records of a segment, see
:func:`_segments`; what is put together has to be what was sent.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dissector.base.limits import Limits
from dissector.capture import open_source
from dissector.transport.link import LINK_LAYERS
from tests.fuzz.oracles import Broken, known_rules, same
from tests.fuzz.targets.target import Cutter, Target, samples
from tests.support import packets
from tests.support.decoding import decode, decode_both
from tests.support.streams import Passed, pass_over
from tests.support.wire import START, Frame, packet

__all__ = ["PACKETS"]

LINKS = sorted(LINK_LAYERS)
_STREAM = b"".join(b"POST /%d HTTP/1.1\r\nContent-Length: 40\r\n\r\n" % n + bytes(40) for n in range(2000))
"""What both sides send. It begins with a word of interest, so that the connection is taken."""
_LIMITS = Limits(fragments=8, fragment_bytes=4096, out_of_order=2000, streams=4)


def _frames(data: bytes) -> None:
    cutter = Cutter(data)
    link = LINKS[cutter.byte() % len(LINKS)]
    frames = []
    while cutter and len(frames) < 200:
        frames.append(cutter.take(cutter.word()))
    _, stats = decode_both(frames, link)
    known_rules(stats.findings)
    _, stats = decode(frames, link, limits=_LIMITS)
    known_rules(stats.findings)


def _frames_seeds() -> Iterator[bytes]:
    def packed(link: int, *frames: bytes) -> bytes:
        return bytes([LINKS.index(link)]) + b"".join(struct.pack(">H", len(one)) + one for one in frames)

    import io

    for raw in samples(40_000):
        source = open_source(io.BytesIO(raw))
        block = next(iter(source), None)
        link = source.interfaces[0].link_type if source.interfaces else 1
        if block is not None and link in LINKS:
            ends = zip(block.offset[:12].tolist(), block.caplen[:12].tolist(), strict=True)
            yield packed(link, *(block.data[at : at + min(size, 500)] for at, size in ends))
    p = packets
    inner = p.ipv4(p.tcp(b"POST"))
    ethers = [
        p.ether(inner), p.ether(p.ipv6(p.udp(b"<a/>"))), p.ether(p.vlan(p.vlan(inner))), p.ether(p.pppoe(p.ppp(inner))),
        p.ether(p.mpls(inner)), p.ether(p.ipv4(p.gre(inner), protocol=47)), p.ether(p.ipv4(inner, protocol=4)),
        p.ether(p.ipv4(p.pptp(p.ppp(inner)), protocol=47)), p.ether_llc(p.snap(inner)),
        p.ether(p.ipv4(p.udp(p.vxlan(p.ether(inner)), dport=4789))),
        p.ether(p.ipv6(p.extension(p.tcp(b"GET "), 6), protocol=0)),
        p.ether(p.ipv6(p.fragment_header(p.udp(b"<a/>"), 17, 0, True), protocol=44)),
        p.ether(p.ipv6(p.fragment_header(b"more", 17, 1, False), protocol=44)),
        p.ether(p.ipv6(p.authentication(p.tcp(b"GET "), 6), protocol=51)),
    ]  # fmt: skip
    yield packed(1, *ethers)
    for link, frame in (
        (113, p.sll(inner)), (276, p.sll2(inner)), (0, p.null(inner)), (9, p.ppp(inner)), (101, inner),
        (105, p.wlan(p.snap(inner))), (105, p.wlan(p.amsdu(p.snap(inner), p.snap(inner)), amsdu=True)),
        (127, p.radiotap(p.wlan(p.snap(inner)), flags=0, tsft=True, extended=True)),
    ):  # fmt: skip
        yield packed(link, frame, frame[:-3])


def _segments(data: bytes) -> tuple[list[Frame], set[bool]]:
    """Segments of two sides of one connection; gives also the sides of which a byte was sent wrongly.

    Each record: flags of the record, two bytes of place, one of length. The flags: 1 the other side, 2 SYN, 4 FIN,
    8 RST, 16 the place counts from the last one, 32 the bytes are wrong, 64 the segment is cut by the capture, 128 no
    acknowledgement.
    """
    cutter = Cutter(data)
    frames: list[Frame] = []
    wrong: set[bool] = set()
    # Numbers that run over 2**32 on the way, as they do in life.
    base, at = {False: 0xFFFFF000, True: 0x7FFFFF00}, {False: 0, True: 0}
    sent = {False: 0, True: 0}
    while cutter and len(frames) < 300:
        code, place, size = cutter.byte(), cutter.word(), cutter.byte() * 4
        side = bool(code & 1)
        place = (at[side] + place if code & 16 else place) % (len(_STREAM) - 1024)
        if code & 16 and place < at[side]:
            place = at[side]
        flags = 0x02 * bool(code & 2) | 0x01 * bool(code & 4) | 0x04 * bool(code & 8) | (0 if code & 128 else 0x10)
        payload = b"" if code & 2 else _STREAM[place : place + size]
        if code & 32 and payload:
            payload = bytes(byte ^ 0x20 for byte in payload)
            wrong.add(side)
        at[side] = place + len(payload)
        sent[side] = max(sent[side], at[side])
        ports = (5357, 50000) if side else (50000, 5357)
        number = base[side] + 1 + place if not code & 2 else base[side]
        header = struct.pack(
            ">HHIIBBHHH", *ports, number & 0xFFFFFFFF, (base[not side] + 1 + sent[not side]) & 0xFFFFFFFF, 0x50,
            flags, 64240, 0, 0,
        )  # fmt: skip
        ends = ("192.0.2.2", "192.0.2.1") if side else ("192.0.2.1", "192.0.2.2")
        whole = packet(*ends, 6, header + payload, len(frames), sums=False)
        kept = whole[: len(whole) - len(payload) // 2] if code & 64 else whole
        frames.append(Frame(START + len(frames) * 1000, kept, wirelen=len(whole), back=side))
    return frames, wrong


def _tcp(data: bytes) -> None:
    frames, wrong = _segments(data)
    if not frames:
        return
    whole = pass_over(frames)
    same(whole.events(), pass_over(frames, bulk=False).events(), "in stretches and row by row")
    same(sorted(whole.events(), key=str), sorted(pass_over(frames, block=300).events(), key=str), "blocks of 300 bytes")
    known_rules(whole.stats.findings)
    pass_over(frames, limits=_LIMITS)
    opened = sum(bool(frame.data[47] & 6) for frame in frames)
    if not wrong and not opened:
        _as_sent(whole)


def _as_sent(whole: Passed) -> None:
    """Without SYN and RST there is one connection, and its bytes are those of the stream from some place on."""
    for taken in whole.taken:
        pieces = [event for event in taken.events if event[0] == "data"]
        if not pieces:
            continue
        offset, first = pieces[0][1:]
        assert isinstance(offset, int)
        assert isinstance(first, bytes)
        starts = [at - offset for at in range(len(_STREAM)) if _STREAM.startswith(first[:64], at)]
        for start in starts:
            if all(_STREAM.startswith(piece[2], start + piece[1]) for piece in pieces):
                break
        else:
            raise Broken(f"bytes that were not sent, or not there: {taken.events!r:.600}")


def _tcp_seeds() -> Iterator[bytes]:
    def record(code: int, place: int = 0, size: int = 25) -> bytes:
        return struct.pack(">BHB", code, place, size)

    shake = record(2) + record(3) + record(16, 0, 0)
    on = record(16) + record(17)
    yield shake + on * 10 + record(20) + record(21)
    yield on * 4
    yield shake + record(0, 100) + record(0, 0) + record(0, 50, 100) + on
    yield shake + record(16) + record(16, 500) + record(17) + on * 60
    yield shake + on + record(24, 0, 0) + shake + on
    yield shake + record(16) + record(0) + record(32) + on + record(80) + on
    yield b"".join(record(0, (7919 * n) % 4000, n % 60) for n in range(80))


PACKETS = (
    Target("frames", _frames, _frames_seeds),
    Target("tcp", _tcp, _tcp_seeds, 1200),
)
