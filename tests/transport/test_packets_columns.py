"""Lengths, flow hashes, order and counts of the columns."""

from __future__ import annotations

import numpy as np
import pytest

from dissector.capture.model import Interface
from dissector.transport.model import TransportStats
from dissector.transport.packets import PacketDecoder
from tests.support import packets as p
from tests.support.decoding import decode, decode_both, payload, plain

DATA = b"0123456789" * 10


def test_padding_is_no_payload():
    columns, _ = decode_both([p.ether(p.ipv4(p.tcp()), pad=True), p.ether(p.ipv4(p.tcp(b"x")), pad=True)])
    assert columns.length.tolist() == [0, 1]
    assert columns.wire.tolist() == [0, 1]


@pytest.mark.parametrize("family", [4, 6])
def test_payload_cut_by_the_capture_length(family):
    frame = p.ether(p.ipv4(p.tcp(DATA)) if family == 4 else p.ipv6(p.tcp(DATA)))
    block = p.block([frame[:-30]], wirelens=[len(frame)])
    columns, stats = decode_both(block)
    assert (columns.length[0], columns.wire[0]) == (70, 100)
    assert payload(columns) == DATA[:70]
    assert (stats.cut, stats.bytes) == (1, len(frame))


def test_options_cut_by_the_capture_length_leave_an_empty_payload():
    frame = p.ether(p.ipv4(p.tcp(DATA, options=bytes(12))))
    columns, stats = decode_both(p.block([frame[: 14 + 20 + 24]], wirelens=[len(frame)]))
    assert (columns.length[0], columns.wire[0]) == (0, 100)
    assert columns.payload[0] <= len(columns.buffers[0])
    assert stats.damaged == 0


def test_headers_cut_by_the_capture_length_are_damaged():
    frame = p.ether(p.ipv4(p.tcp(DATA)))
    columns, stats = decode_both(p.block([frame[:53], frame[:30]], wirelens=[len(frame)] * 2))
    assert (len(columns), stats.damaged, stats.cut) == (0, 2, 2)


@pytest.mark.parametrize("ip", [p.ipv4(p.tcp(DATA), total=0), p.ipv6(p.tcp(DATA), length=0)], ids=["ipv4", "ipv6"])
def test_length_zero_of_segmentation_offload_takes_the_frame(ip):
    columns, _ = decode_both([p.ether(ip), p.ether(p.vlan(ip), 0x8100)])
    assert columns.wire.tolist() == [100, 100]
    assert payload(columns, 1) == DATA


def test_length_zero_in_a_cut_frame_takes_the_length_on_the_wire():
    frame = p.ether(p.ipv4(p.tcp(DATA), total=0))
    columns, _ = decode_both(p.block([frame[:-10]], wirelens=[len(frame)]))
    assert (columns.length[0], columns.wire[0]) == (90, 100)


def test_large_segment_above_the_mtu():
    big = bytes(60000)
    columns, _ = decode_both([p.ether(p.ipv4(p.tcp(big)))])
    assert (columns.length[0], columns.wire[0]) == (60000, 60000)


def test_udp_length_bounds_the_payload():
    short = p.ipv4(p.udp(DATA, length=8 + 40), protocol=17)
    long = p.ipv4(p.udp(DATA, length=8 + 400), protocol=17)
    zero = p.ipv4(p.udp(DATA, length=0), protocol=17)
    columns, _ = decode_both([p.ether(ip) for ip in (short, long, zero)])
    assert columns.wire.tolist() == [40, 100, 100]
    assert payload(columns) == DATA[:40]


def test_last_frame_may_end_with_the_buffer():
    """A record is gathered whole; behind the end of the block there is nothing to gather."""
    for ip in (p.ipv4(p.udp(), protocol=17), p.ipv6(p.udp(), protocol=17), p.ipv4(p.tcp())):
        for frames in ([p.ether(ip)], [p.ether(p.ipv4(p.tcp(DATA))), p.ether(ip)]):
            columns, stats = decode_both(frames)
            assert (len(columns), stats.damaged) == (len(frames), 0)
            assert (columns.length[-1], columns.sport[-1]) == (0, 40000)


def test_numbers_wrap_to_32_bits():
    columns, _ = decode_both([p.ether(p.ipv4(p.tcp(b"x", seq=0xFFFFFFFF, ack=0xFFFFFFFE, flags=0xFF)))])
    assert (columns.seq[0], columns.ack[0], columns.flags[0]) == (0xFFFFFFFF, 0xFFFFFFFE, 0xFF)


def _flow(*ips: bytes) -> tuple[list[int], list[bool]]:
    columns, _ = decode_both([p.ether(ip) for ip in ips])
    assert len(columns) == len(ips)
    return columns.flow.tolist(), columns.side.tolist()


@pytest.mark.parametrize("family", [4, 6])
def test_flow_is_the_same_in_both_directions_and_no_other(family):
    ip, a, b, c = (p.ipv4, p.A4, p.B4, "192.0.2.99") if family == 4 else (p.ipv6, p.A6, p.B6, "2001:db8:1::1")
    there = ip(p.tcp(sport=1000, dport=80), a, b)
    back = ip(p.tcp(sport=80, dport=1000), b, a)
    others = [
        ip(p.tcp(sport=80, dport=1000), a, b),  # the ports exchanged, the addresses not
        ip(p.tcp(sport=1001, dport=80), a, b),
        ip(p.tcp(sport=1000, dport=81), a, b),
        ip(p.tcp(sport=1000, dport=80), a, c),
        ip(p.tcp(sport=1000, dport=80), c, b),
        ip(p.udp(sport=1000, dport=80), a, b, 17),
    ]
    flows, sides = _flow(there, back, there, *others)
    assert flows[0] == flows[1] == flows[2]
    assert sides[0] == sides[2] != sides[1]
    assert len(set(flows)) == 1 + len(others)


def test_packet_to_oneself_has_no_sides():
    _, sides = _flow(p.ipv4(p.tcp(sport=7, dport=7), p.A4, p.A4))
    assert sides == [False]


def test_many_flows_do_not_collide():
    frames = [
        p.ether(p.ipv4(p.tcp(sport=port, dport=port + 1), f"10.0.0.{host}", "10.0.1.1"))
        for host in range(40)
        for port in range(1, 50)
    ]
    columns, _ = decode(frames)
    assert len(set(columns.flow.tolist())) == len(frames)


def test_flow_is_salted_anew_and_stays_the_same_over_blocks():
    frames = [p.ether(p.ipv4(p.tcp())), p.ether(p.ipv6(p.tcp()))]
    decoder = PacketDecoder([Interface(0, 1)], TransportStats())
    first, second = decoder.decode(p.block(frames)), decoder.decode(p.block(frames[::-1], first=3))
    assert first.flow.tolist() == second.flow.tolist()[::-1]
    assert second.frame.tolist() == [3, 4]
    assert decode(frames)[0].flow.tolist() != first.flow.tolist()


@pytest.mark.parametrize(
    ("ip", "multicast"),
    [
        (p.ipv4(p.udp(), dst="239.255.255.250", protocol=17), True),
        (p.ipv4(p.udp(), dst="224.0.0.1", protocol=17), True),
        (p.ipv4(p.udp(), dst="255.255.255.255", protocol=17), True),
        (p.ipv4(p.udp(), dst="223.255.255.255", protocol=17), False),
        (p.ipv4(p.udp(), dst="240.0.0.1", protocol=17), False),
        (p.ipv6(p.udp(), dst="ff02::c", protocol=17), True),
        (p.ipv6(p.udp(), dst="fe80::1", protocol=17), False),
        (p.ipv4(p.udp(), src="239.255.255.250", protocol=17), False),
    ],
)
def test_multicast_is_told_by_the_destination(ip, multicast):
    assert decode_both([p.ether(ip)])[0].multicast.tolist() == [multicast]


MIXED = [
    p.ether(p.ipv4(p.tcp(b"1"))),
    p.ether(p.gre(b""), 0x0806),
    p.ether(p.ipv6(p.extension(p.tcp(b"3"), 6), protocol=0)),
    p.ether(p.vlan(p.ipv4(p.udp(b"4"), protocol=17)), 0x8100),
    p.ether(p.ipv4(p.udp(p.vxlan(p.ether(p.ipv4(p.tcp(b"5")))), dport=4789), protocol=17)),
    p.ether(p.ipv6(p.udp(b"6"), protocol=17)),
    p.ether(p.ipv4(b"7", protocol=1)),
    p.ether(p.ipv4(p.tcp(b"8"), options=b"\1")),
]


def test_rows_are_in_frame_order_whatever_path_they_took():
    columns, stats = decode_both(MIXED * 3)
    assert columns.frame.tolist() == [n + 8 * i for i in range(3) for n in (1, 3, 4, 5, 6, 8)]
    assert b"".join(payload(columns, n) for n in range(6)) == b"134568"
    assert (stats.frames, stats.tcp, stats.udp, stats.other, stats.damaged) == (24, 12, 6, 6, 0)


def test_result_does_not_depend_on_the_batches(monkeypatch):
    block = p.block(MIXED * 3)
    whole, _ = decode(block)
    monkeypatch.setattr("dissector.transport.packets._BATCH", 5)
    cut, _ = decode(block)
    fresh = {name for name in plain(whole) if name not in {"flow", "side"}}
    assert {name: plain(cut)[name] for name in fresh} == {name: plain(whole)[name] for name in fresh}
    assert (np.unique(cut.flow, return_inverse=True)[1].max()) == np.unique(whole.flow, return_inverse=True)[1].max()


def test_interfaces_of_several_link_types_in_one_block():
    ip = p.ipv4(p.tcp(DATA))
    frames = [p.ether(ip), ip, p.sll2(ip), b"\0" * 50, p.ether(p.ipv4(b"", protocol=1)), p.radiotap(p.wlan(p.snap(ip)))]
    block = p.block(frames, interfaces=[0, 1, 2, 3, 0, 4])
    columns, stats = decode_both(block, [1, 101, 276, 147, 127])
    assert columns.frame.tolist() == [1, 2, 3, 6]
    assert [payload(columns, n) for n in range(4)] == [DATA] * 4
    assert stats.link_types == {1: 2, 101: 1, 276: 1, 147: 1, 127: 1}
    assert (stats.tcp, stats.other, stats.unknown_link, stats.damaged) == (4, 1, 1, 0)


def test_unknown_link_type_is_named_once():
    stats = TransportStats()
    interfaces = [Interface(0, 189)]
    decoder = PacketDecoder(interfaces, stats)
    decoder.decode(p.block([b"abc"] * 3, first=5))
    interfaces.append(Interface(1, 4242))
    columns = decoder.decode(p.block([b"abc", b"def"], interfaces=[1, 0], first=8))
    assert len(columns) == 0
    assert (stats.unknown_link, stats.frames) == (5, 5)
    assert [(f.rule, f.frames) for f in stats.findings] == [("link.unknown", (5,)), ("link.unknown", (8,))]
    assert "189 (USB_LINUX)" in stats.findings[0].text
    assert "4242" in stats.findings[1].text


def test_times_are_the_smallest_and_the_greatest():
    stats = TransportStats()
    decoder = PacketDecoder([Interface(0, 1)], stats)
    frames = [p.ether(p.ipv4(p.tcp()))] * 2
    decoder.decode(p.block(frames, times=[500, 100]))
    decoder.decode(p.block([]))
    decoder.decode(p.block(frames, times=[300, 900]))
    assert (stats.first_time, stats.last_time) == (100, 900)


def test_empty_block_gives_empty_columns():
    columns, stats = decode_both([])
    assert len(columns) == 0
    assert (stats.frames, stats.first_time) == (0, None)
