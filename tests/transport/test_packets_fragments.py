"""IP fragments: put together, with the frames that each byte came from, and bounded."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.model import Interface
from dissector.transport.fragments import LARGEST, TIME_LIMIT, FragmentTable, cut_pieces
from dissector.transport.model import TransportStats
from dissector.transport.packets import PacketDecoder
from tests.support import packets as p
from tests.support.decoding import decode, decode_both, payload

SOAP = b"<?xml version='1.0' encoding='utf-8'?>" + bytes(range(256)) * 12


def fragments4(segment: bytes, size: int = 800, protocol: int = 17, ident: int = 1) -> list[bytes]:
    return [
        p.ether(
            p.ipv4(segment[at : at + size], protocol=protocol, ident=ident, offset=at, more=at + size < len(segment)),
            pad=True,
        )
        for at in range(0, len(segment), size)
    ]


def fragments6(segment: bytes, size: int = 800, following: int = 17, ident: int = 7) -> list[bytes]:
    return [
        p.ether(
            p.ipv6(
                p.fragment_header(segment[at : at + size], following, at, at + size < len(segment), ident),
                protocol=44,
            ),
            pad=True,
        )
        for at in range(0, len(segment), size)
    ]


FAMILIES = pytest.mark.parametrize("cut", [fragments4, fragments6], ids=["ipv4", "ipv6"])


def from_fragments(columns, frames, row=0):
    """The payload as the pieces say it lies in the frames."""
    return b"".join(frames[frame - 1][start : start + length] for frame, start, length in columns.fragments[row])


@FAMILIES
def test_datagram_is_put_together_in_any_order(cut):
    whole = cut(p.udp(SOAP))
    assert len(whole) == 4
    for order in permutations(whole):
        frames = [p.ether(p.ipv4(p.tcp(b"before"))), *order, p.ether(p.ipv6(p.tcp(b"after")))]
        columns, stats = decode_both(frames)
        assert columns.frame.tolist() == [1, 5, 6]
        assert columns.buffer.tolist() == [0, 1, 0]
        assert columns.at[1] == -1
        assert payload(columns, 1) == SOAP
        assert (columns.length[1], columns.wire[1], columns.dport[1]) == (len(SOAP), len(SOAP), 3702)
        assert columns.endpoints(1)[0].address == (p.A4 if cut is fragments4 else p.A6)
        assert columns.endpoints(1)[1].address == (p.B4 if cut is fragments4 else p.B6)
        assert list(columns.fragments) == [1]
        assert from_fragments(columns, frames, 1) == SOAP
        assert (stats.fragments, stats.udp, stats.tcp, stats.other, stats.damaged) == (4, 1, 2, 0, 0)
        assert stats.findings == []


@FAMILIES
def test_fragmented_tcp_segment(cut):
    frames = cut(p.tcp(SOAP, options=bytes(12), seq=77), 400, 6)
    columns, stats = decode_both(frames)
    assert payload(columns) == SOAP
    assert (columns.seq[0], columns.protocol[0], stats.tcp) == (77, 6, 1)
    assert from_fragments(columns, frames) == SOAP


def test_fragment_has_the_flow_of_whole_packets():
    frames = [*fragments4(p.udp(SOAP)), p.ether(p.ipv4(p.udp(b"back", 3702, 40000), p.B4, p.A4, 17))]
    columns, _ = decode_both(frames)
    assert columns.flow[0] == columns.flow[1]
    assert columns.side[0] != columns.side[1]


def test_datagrams_interleaved_and_over_blocks():
    one, two = fragments4(p.udp(SOAP), ident=1), fragments4(p.udp(SOAP[::-1]), ident=2)
    frames = [frame for pair in zip(one, two, strict=True) for frame in pair]
    decoder = PacketDecoder([Interface(0, 1)], TransportStats())
    assert len(decoder.decode(p.block(frames[:5]))) == 0
    columns = decoder.decode(p.block(frames[5:], first=6))
    assert columns.frame.tolist() == [7, 8]
    assert [payload(columns, n) for n in range(2)] == [SOAP, SOAP[::-1]]
    assert from_fragments(columns, frames, 0) == SOAP
    assert from_fragments(columns, frames, 1) == SOAP[::-1]


def test_extension_headers_around_the_fragment_header():
    inner = p.extension(p.udp(SOAP), 17)
    frames = []
    for at in range(0, len(inner), 1000):
        part = p.fragment_header(inner[at : at + 1000], 60, at, at + 1000 < len(inner))
        frames.append(p.ether(p.ipv6(p.extension(part, 44), protocol=0)))
    columns, _ = decode_both(frames)
    assert payload(columns) == SOAP
    assert from_fragments(columns, frames) == SOAP


def test_tunnel_inside_a_fragmented_datagram():
    inner = p.ipv6(p.tcp(SOAP))
    frames = fragments4(p.udp(p.vxlan(p.ether(inner)), dport=4789))
    columns, stats = decode_both(frames)
    assert payload(columns) == SOAP
    assert columns.endpoints(0)[0].address == p.A6
    assert from_fragments(columns, frames) == SOAP
    assert (stats.tcp, stats.udp) == (1, 0)


def test_fragments_inside_a_fragmented_tunnel():
    inner = [frame[14:] for frame in fragments6(p.udp(SOAP), 1600)]
    frames = [f for n, ip in enumerate(inner) for f in fragments4(p.gre(ip, 0x86DD), 304, 47, ident=n)]
    columns, _ = decode_both(frames)
    assert len(columns) == 1
    assert payload(columns) == SOAP
    assert from_fragments(columns, frames) == SOAP


@FAMILIES
def test_repeated_fragment_changes_nothing(cut):
    a, b, c, d = cut(p.udp(SOAP))
    columns, stats = decode_both([a, b, b, c, a, d])
    assert columns.frame.tolist() == [6]
    assert payload(columns) == SOAP
    assert stats.findings == []


def test_first_copy_of_overlapping_bytes_wins():
    segment = p.udp(SOAP)
    a, b, c, d = fragments4(segment)
    other = p.ether(p.ipv4(b"\xff" * 1600, protocol=17, ident=1, offset=400, more=True))
    columns, stats = decode_both([a, other, b, c, d])
    got = p.udp(SOAP)[:8] + payload(columns)
    assert got == segment[:800] + b"\xff" * 1200 + segment[2000:]
    assert [(f.rule, f.frames) for f in stats.findings] == [("ip.fragment-overlap", (2, 3, 4))]


def test_fragment_cut_by_the_capture_length():
    a, b, c, d = fragments4(p.udp(SOAP))
    frames = [a, b[:-100], c, d]
    columns, _ = decode_both(p.block(frames, wirelens=[len(f) for f in (a, b, c, d)]))
    assert payload(columns) == SOAP[: 1600 - 8 - 100]
    assert columns.wire[0] == len(SOAP)
    assert from_fragments(columns, frames) == SOAP[: 1600 - 8 - 100]


@pytest.mark.parametrize("kept", range(9))
def test_first_fragment_cut_in_the_transport_header(kept):
    a, *rest = fragments4(p.udp(SOAP))
    columns, stats = decode_both(p.block([a[: 34 + kept], *rest], wirelens=[len(f) for f in (a, *rest)]))
    assert (len(columns), stats.damaged) == ((1, 0) if kept == 8 else (0, 1))
    if kept == 8:
        assert (columns.length[0], columns.wire[0], columns.fragments[0]) == (0, len(SOAP), ())


def test_missing_fragment_is_a_finding_at_the_end():
    a, b, _, d = fragments4(p.udp(SOAP))
    columns, stats = decode_both([a, b, d])
    assert (len(columns), stats.fragments) == (0, 3)
    assert [(f.rule, f.frames) for f in stats.findings] == [("ip.fragments-missing", (1,))]
    assert decode([a, b, d], finish=False)[1].findings == []


def test_identification_used_again_after_the_time_limit():
    a, b, _, d = fragments4(p.udp(SOAP))
    e, f, g, h = fragments4(p.udp(SOAP[::-1]))
    times = [0, 1, 2, *(TIME_LIMIT + 10 + n for n in range(4))]
    columns, stats = decode_both(p.block([a, b, d, e, f, g, h], times=times))
    assert payload(columns) == SOAP[::-1]
    assert [f.rule for f in stats.findings] == ["ip.fragments-missing"]


def test_number_of_incomplete_datagrams_is_bounded():
    firsts = [fragments4(p.udp(SOAP), ident=n)[0] for n in range(40)]
    rest = fragments4(p.udp(SOAP), ident=39)[1:] + fragments4(p.udp(SOAP), ident=0)[1:]
    columns, stats = decode_both([*firsts, *rest], limits=Limits(fragments=8))
    assert columns.frame.tolist() == [43]
    finding = next(f for f in stats.findings if f.rule == "ip.fragments-limit")
    assert finding.frames[0] == 1
    assert finding.text.startswith("32 ")


def test_bytes_held_are_bounded():
    table = FragmentTable([], Limits(fragment_bytes=100_000))
    for n in range(1000):
        key = n.to_bytes(4, "big")
        table.add(key, 17, 8 * n % 60_000, True, bytes(1000), 1000, [(0, n, 0, 1000)], n, 0)
        assert table.held <= 100_000
    assert 50 < len(table) < 100
    table.finish()
    assert (len(table), table.held) == (0, 0)


def test_datagram_beyond_the_largest_size_is_not_taken():
    table = FragmentTable([], DEFAULT_LIMITS)
    assert table.add(b"k", 17, LARGEST - 7, False, bytes(8), 8, [], 1, 0) is None
    assert len(table) == 0


def test_bytes_behind_the_end_are_left_out():
    table = FragmentTable([], DEFAULT_LIMITS)
    assert table.add(b"k", 17, 8, True, b"B" * 16, 16, [(0, 1, 0, 16)], 1, 0) is None
    assert table.add(b"k", 17, 32, True, b"D" * 8, 8, [(0, 2, 0, 8)], 2, 0) is None
    assert table.add(b"k", 17, 16, False, b"X" * 4, 4, [(0, 3, 0, 4)], 3, 0) is None
    rebuilt = table.add(b"k", 17, 0, True, b"A" * 8, 8, [(0, 4, 0, 8)], 4, 0)
    assert rebuilt is not None
    assert (rebuilt.data, rebuilt.size) == (b"A" * 8 + b"B" * 12, 20)
    assert rebuilt.pieces == [(0, 4, 0, 8), (8, 1, 0, 12)]
    assert table.held == 0


def test_cut_pieces():
    pieces = [(0, 1, 50, 10), (10, 2, 70, 10)]
    assert cut_pieces(pieces, 5, 15) == [(0, 1, 55, 5), (5, 2, 70, 5)]
    assert cut_pieces(pieces, 10, 10) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_fragments_that_cover_the_datagram_give_it(data):
    """Random, overlapping, repeated pieces of one datagram, in random order: complete as soon as all bytes came."""
    whole = data.draw(st.binary(min_size=1, max_size=64))
    table = FragmentTable([], DEFAULT_LIMITS)
    seen: set[int] = set()
    last = False
    for frame in range(1, 60):
        start = data.draw(st.integers(0, len(whole) - 1))
        end = data.draw(st.integers(start + 1, len(whole)))
        part = whole[start:end]
        rebuilt = table.add(
            b"k", 6, start, end < len(whole), part, end - start, [(0, frame, start, end - start)], frame, 0
        )
        seen.update(range(start, end))
        last = last or end == len(whole)
        assert (rebuilt is not None) == (last and len(seen) == len(whole))
        if rebuilt is not None:
            assert rebuilt.data == whole
            assert [p[0] for p in rebuilt.pieces] == sorted(p[0] for p in rebuilt.pieces)
            # Each piece of frame n lies where it lay in the datagram, since the frames hold it at its own offset.
            assert all(at == inside for at, _, inside, _ in rebuilt.pieces)
            assert sum(length for *_, length in rebuilt.pieces) == len(whole)
            assert table.held == 0
            return
