"""Every way that a TCP or UDP packet can lie in a frame, and every frame that holds none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.limits import Limits
from dissector.transport.link import LINK_LAYERS
from tests.support import packets as p
from tests.support.decoding import decode, decode_both, payload

HTTP = b"POST /wsd HTTP/1.1\r\n\r\n"
SOAP = b"<?xml version='1.0'?><e/>"

FCS = b"\xee" * 4

NETWORK = {
    "ipv4 tcp": p.ipv4(p.tcp(HTTP)),
    "ipv4 tcp options": p.ipv4(p.tcp(HTTP, options=b"\1\1\x08\x0a" + bytes(8))),
    "ipv4 tcp, ip options": p.ipv4(p.tcp(HTTP), options=b"\x94\x04\0\0"),
    "ipv4 udp": p.ipv4(p.udp(SOAP), protocol=p.UDP),
    "ipv6 tcp": p.ipv6(p.tcp(HTTP)),
    "ipv6 udp": p.ipv6(p.udp(SOAP), protocol=p.UDP),
}

LINKS = {
    "ethernet": (1, p.ether),
    "ethernet, padded": (1, lambda ip: p.ether(ip, pad=True)),
    "802.1Q": (1, lambda ip: p.ether(p.vlan(ip), 0x8100)),
    "802.1ad, 802.1Q": (1, lambda ip: p.ether(p.vlan(p.vlan(ip), 0x8100), 0x88A8)),
    "9100, 802.1Q": (1, lambda ip: p.ether(p.vlan(p.vlan(ip), 0x8100), 0x9100)),
    "three tags": (1, lambda ip: p.ether(p.vlan(p.vlan(p.vlan(ip), 0x8100), 0x8100), 0x8100)),
    "802.3 SNAP": (1, p.ether_llc),
    "802.1Q, SNAP": (1, lambda ip: p.ether(p.vlan(p.snap(ip), len(ip) + 8), 0x8100)),
    "PPPoE": (1, lambda ip: p.ether(p.pppoe(ip), 0x8864)),
    "802.1Q, PPPoE": (1, lambda ip: p.ether(p.vlan(p.pppoe(ip), 0x8864), 0x8100)),
    "MPLS": (1, lambda ip: p.ether(p.mpls(ip), 0x8847)),
    "MPLS pseudowire without control word": (1, lambda ip: p.ether(p.mpls(p.ether(ip)), 0x8847)),
    "MPLS pseudowire": (1, lambda ip: p.ether(p.mpls(bytes(4) + p.ether(ip)), 0x8847)),
    "cooked": (113, p.sll),
    "cooked, 802.1Q": (113, lambda ip: p.sll(p.vlan(ip), 0x8100)),
    "cooked, SNAP": (113, lambda ip: p.sll(p.snap(ip), 4)),
    "cooked v2": (276, p.sll2),
    "cooked v2, 802.1Q": (276, lambda ip: p.sll2(p.vlan(ip), 0x8100)),
    "raw 12": (12, bytes),
    "raw 14": (14, bytes),
    "raw 101": (101, bytes),
    "raw 228": (228, bytes),
    "raw 229": (229, bytes),
    "null, little-endian": (0, p.null),
    "null, big-endian": (0, lambda ip: p.null(ip, ">", 24)),
    "null, FreeBSD": (0, lambda ip: p.null(ip, "<", 28)),
    "loop": (108, lambda ip: p.null(ip, ">", 24)),
    "PPP": (9, p.ppp),
    "PPP without framing": (9, lambda ip: p.ppp(ip, framed=False)),
    "PPP, one byte": (9, lambda ip: p.ppp(ip, framed=False, compressed=True)),
    "PPP HDLC": (50, p.ppp),
    "PPP HDLC, Cisco": (50, lambda ip: b"\x0f\0" + p.ether(ip)[12:]),
    "PPP with direction": (204, lambda ip: b"\1" + p.ppp(ip)),
    "PPPoE link": (51, p.pppoe),
    "Cisco HDLC": (104, lambda ip: b"\x8f\0" + p.ether(ip)[12:]),
    "802.11": (105, lambda ip: p.wlan(p.snap(ip), qos=False)),
    "802.11 QoS": (105, lambda ip: p.wlan(p.snap(ip))),
    "802.11 QoS, HT control": (105, lambda ip: p.wlan(p.snap(ip), ht_control=True)),
    "802.11 four addresses": (105, lambda ip: p.wlan(p.snap(ip), four_addresses=True)),
    "radiotap": (127, lambda ip: p.radiotap(p.wlan(p.snap(ip)))),
    "radiotap, padded header": (127, lambda ip: p.radiotap(p.wlan(p.snap(ip), padded=True), flags=0x20, tsft=True)),
    "radiotap, extended": (127, lambda ip: p.radiotap(p.wlan(p.snap(ip)) + FCS, flags=0x10, tsft=True, extended=True)),
    "prism, little-endian": (119, lambda ip: struct.pack("<II", 0x44, 144) + bytes(136) + p.wlan(p.snap(ip))),
    "prism, big-endian": (119, lambda ip: struct.pack(">II", 0x44, 144) + bytes(136) + p.wlan(p.snap(ip))),
    "AVS": (163, lambda ip: struct.pack(">II", 0x80211001, 64) + bytes(56) + p.wlan(p.snap(ip))),
    "AVS under prism's number": (119, lambda ip: struct.pack(">II", 0x80211001, 64) + bytes(56) + p.wlan(p.snap(ip))),
    "PPI": (192, lambda ip: struct.pack("<BBHI", 0, 0, 8, 105) + p.wlan(p.snap(ip))),
}

TUNNELS = {
    "GRE": lambda ip: p.ipv4(p.gre(ip, _ethertype(ip)), protocol=47),
    "GRE, all fields": lambda ip: p.ipv4(p.gre(ip, _ethertype(ip), checked=True, key=True, seq=True), protocol=47),
    "GRE, Ethernet": lambda ip: p.ipv6(p.gre(p.ether(ip), 0x6558, key=True), protocol=47),
    "GRE, MPLS": lambda ip: p.ipv4(p.gre(p.mpls(ip), 0x8847), protocol=47),
    "PPTP": lambda ip: p.ipv4(p.pptp(p.ppp(ip)), protocol=47),
    "PPTP with acknowledgement": lambda ip: p.ipv4(p.pptp(p.ppp(ip, framed=False), ack=True), protocol=47),
    "ERSPAN I": lambda ip: p.ipv4(p.gre(p.ether(ip), 0x88BE), protocol=47),
    "ERSPAN II": lambda ip: p.ipv4(p.gre(b"\x10" + bytes(7) + p.ether(ip), 0x88BE, seq=True), protocol=47),
    "ERSPAN III": lambda ip: p.ipv4(p.gre(b"\x20" + bytes(11) + p.ether(ip), 0x22EB, seq=True), protocol=47),
    "VXLAN": lambda ip: p.ipv4(p.udp(p.vxlan(p.ether(ip)), dport=4789), protocol=p.UDP),
    "VXLAN, Linux port, IPv6": lambda ip: p.ipv6(p.udp(p.vxlan(p.ether(ip)), dport=8472), protocol=p.UDP),
    "VXLAN, tagged": lambda ip: p.ipv4(p.udp(p.vxlan(p.ether(p.vlan(ip), 0x8100)), dport=4789), protocol=p.UDP),
    "IP in IPv4": lambda ip: p.ipv4(ip, protocol=4 if ip[0] >> 4 == 4 else 41),
    "IP in IPv6": lambda ip: p.ipv6(ip, protocol=4 if ip[0] >> 4 == 4 else 41),
    "MPLS in IP": lambda ip: p.ipv4(p.mpls(ip), protocol=137),
    "hop-by-hop": lambda ip: _extended(ip, 0),
    "routing": lambda ip: _extended(ip, 43),
    "destination options": lambda ip: _extended(ip, 60),
    "mobility": lambda ip: _extended(ip, 135),
    "atomic fragment": lambda ip: _behind(ip, 44, lambda rest, following: p.fragment_header(rest, following, 0, False)),
    "authentication": lambda ip: _behind(ip, 51, p.authentication),
}


def _ethertype(ip: bytes) -> int:
    return 0x0800 if ip[0] >> 4 == 4 else 0x86DD


def _behind(ip, number, header):
    """Puts an extension header into an IPv6 packet (or an authentication header into an IPv4 packet)."""
    if ip[0] >> 4 == 6:
        return ip[:4] + struct.pack(">HB", *_longer(ip, header, number)) + ip[7:40] + header(ip[40:], ip[6])
    if number != 51:
        return ip
    size = (ip[0] & 15) * 4
    return p.ipv4(header(ip[size:], ip[9]), protocol=51)


def _longer(ip, header, number):
    return len(header(ip[40:], ip[6])), number


def _extended(ip, number):
    return _behind(ip, number, lambda rest, following: p.extension(rest, following, 16))


def _check(frame: bytes, link: int, ip: bytes) -> None:
    columns, stats = decode_both([frame], link)
    assert len(columns) == 1, stats
    four = ip[0] >> 4 == 4
    is_udp = SOAP in ip
    expected = SOAP if is_udp else HTTP
    source, destination = columns.endpoints(0)
    assert (source.address, destination.address) == ((p.A4, p.B4) if four else (p.A6, p.B6))
    assert (source.port, destination.port) == (40000, 3702 if is_udp else 80)
    assert int(columns.family[0]) == (4 if four else 6)
    assert int(columns.protocol[0]) == (17 if is_udp else 6)
    assert (columns.seq[0], columns.ack[0], columns.flags[0]) == ((0, 0, 0) if is_udp else (1000, 2000, p.ACK))
    assert payload(columns) == expected
    assert (columns.length[0], columns.wire[0]) == (len(expected), len(expected))
    at = int(columns.at[0])
    assert frame[at : at + len(expected)] == expected
    assert (columns.frame[0], columns.time[0], columns.buffer[0]) == (1, 1_000_000_000, 0)
    assert (stats.tcp, stats.udp) == (not is_udp, is_udp)
    assert (stats.other, stats.damaged, stats.unknown_link, stats.fragments) == (0, 0, 0, 0)
    assert stats.findings == []


@pytest.mark.parametrize("network", NETWORK)
@pytest.mark.parametrize("name", LINKS)
def test_packet_behind_each_link_header(name, network):
    link, wrap = LINKS[name]
    _check(wrap(NETWORK[network]), link, NETWORK[network])


@pytest.mark.parametrize("network", NETWORK)
@pytest.mark.parametrize("name", TUNNELS)
def test_packet_inside_each_tunnel(name, network):
    _check(p.ether(TUNNELS[name](NETWORK[network])), 1, NETWORK[network])


def test_every_known_link_type_is_tested():
    assert {link for link, _ in LINKS.values()} == set(LINK_LAYERS)


FREQUENT = [
    name
    for name in LINKS
    if name.startswith(("ethernet", "802.1Q", "802.1ad", "9100", "cooked", "raw", "null", "loop"))
]


@pytest.mark.parametrize("name", [n for n in FREQUENT if "SNAP" not in n and "PPPoE" not in n])
def test_frequent_frames_are_not_walked_one_by_one(name, monkeypatch):
    monkeypatch.setattr("dissector.transport.walk.Walker.walk", None)
    link, wrap = LINKS[name]
    frames = [wrap(ip) for ip in NETWORK.values()]
    columns, _ = decode(frames, link)
    assert len(columns) == len(frames)
    if link == 1:
        columns, stats = decode([p.ether(bytes(28), 0x0806), p.ether(p.ipv4(bytes(16), protocol=1))])
        assert stats.other == 2


OTHERS = {
    "ARP": (1, p.ether(bytes(28), 0x0806)),
    "ICMP": (1, p.ether(p.ipv4(bytes(16), protocol=1))),
    "ICMPv6": (1, p.ether(p.ipv6(bytes(16), protocol=58))),
    "hop-by-hop, ICMPv6": (1, p.ether(p.ipv6(p.extension(bytes(16), 58), protocol=0))),
    "no next header": (1, p.ether(p.ipv6(b"", protocol=59))),
    "spanning tree": (1, p.ether(b"\x42\x42\x03" + bytes(35), 38)),
    "LLC, other organisation": (1, p.ether(b"\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(30), 38)),
    "tagged ARP": (1, p.ether(p.vlan(bytes(28), 0x0806), 0x8100)),
    "PPPoE discovery": (1, p.ether(bytes(20), 0x8863)),
    "PPPoE PADT": (1, p.ether(b"\x11\xa7" + bytes(20), 0x8864)),
    "PPP LCP": (9, b"\xff\x03\xc0\x21" + bytes(8)),
    "VXLAN, ARP": (1, p.ether(p.ipv4(p.udp(p.vxlan(p.ether(bytes(28), 0x0806)), dport=4789), protocol=17))),
    "GRE keep-alive": (1, p.ether(p.ipv4(p.gre(b"", 0), protocol=47))),
    "GRE version 2": (1, p.ether(p.ipv4(b"\0\2\x08\0" + bytes(20), protocol=47))),
    "GRE source route": (1, p.ether(p.ipv4(b"\x40\0\x08\0" + bytes(20), protocol=47))),
    "null, other family": (0, b"\x07\0\0\0" + bytes(20)),
    "cooked, ARP": (113, p.sll(bytes(28), 0x0806)),
    "cooked v2, ARP": (276, p.sll2(bytes(28), 0x0806)),
    "802.11 beacon": (105, b"\x80\0" + bytes(60)),
    "802.11 no data": (105, b"\x48\1" + bytes(24)),
    "802.11 protected": (105, p.wlan(p.snap(p.ipv4(p.tcp())), protected=True)),
    "802.11 later fragment": (105, b"\x08\1" + bytes(20) + b"\1\0" + bytes(40)),
    "PPI, other": (192, struct.pack("<BBHI", 0, 0, 8, 195) + bytes(40)),
    "MPLS, unknown payload": (1, p.ether(p.mpls(b"\x50" + bytes(30)), 0x8847)),
    "endless labels": (1, p.ether(bytes(200), 0x8847)),
}

DAMAGED = {
    "empty Ethernet": (1, b""),
    "empty raw": (101, b""),
    "raw, version 5": (101, b"\x55" + bytes(40)),
    "IPv4 type, IPv6 packet": (1, p.ether(p.ipv6(p.tcp()), 0x0800)),
    "IPv6 type, IPv4 packet": (1, p.ether(p.ipv4(p.tcp()), 0x86DD)),
    "header length 4": (101, b"\x41" + p.ipv4(p.tcp())[1:]),
    "header longer than the packet": (101, b"\x4f" + p.ipv4(p.tcp())[1:]),
    "total length 19": (101, p.ipv4(p.tcp(), total=19)),
    "TCP header of 16": (101, p.ipv4(p.tcp()[:12] + b"\x40" + p.tcp()[13:])),
    "TCP header longer than the packet": (101, p.ipv4(p.tcp()[:12] + b"\xf0" + p.tcp()[13:])),
    "TCP header in 12 bytes": (101, p.ipv4(p.tcp()[:12])),
    "UDP length 7": (101, p.ipv4(p.udp(b"abc", length=7), protocol=17)),
    "UDP header in 4 bytes": (101, p.ipv6(p.udp()[:4], protocol=17)),
    "extension header longer than the packet": (101, p.ipv6(p.extension(b"", 6, 64)[:16], protocol=0)),
    "endless extension headers": (101, p.ipv6(p.extension(b"", 60) * 100, protocol=60)),
    "radiotap longer than the frame": (127, b"\0\0\xff\0" + bytes(40)),
    "prism length 0": (119, bytes(200)),
    "AVS length 2": (163, b"\x80\x21\x10\x01\0\0\0\2" + bytes(80)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_frame_without_tcp_or_udp_is_other(name):
    link, frame = OTHERS[name]
    columns, stats = decode_both([frame], link)
    assert (len(columns), stats.other, stats.damaged, stats.tcp, stats.udp) == (0, 1, 0, 0, 0)


@pytest.mark.parametrize("name", DAMAGED)
def test_contradicting_header_is_damaged(name):
    link, frame = DAMAGED[name]
    columns, stats = decode_both([frame], link)
    assert (len(columns), stats.other, stats.damaged, stats.tcp, stats.udp) == (0, 0, 1, 0, 0)


def test_udp_to_vxlan_port_that_is_no_vxlan_stays_udp():
    for data in (SOAP, b"\x08\0\0\1" + bytes(40), b"\x08" + bytes(6) + b"\1" + bytes(40)):
        columns, _ = decode_both([p.ether(p.ipv4(p.udp(data, dport=4789), protocol=17))])
        assert columns.dport.tolist() == [4789]
        assert payload(columns) == data


def test_aggregated_frame_gives_each_packet():
    ips = [p.ipv4(p.tcp(b"one", sport=1)), p.ipv4(p.udp(b"three"), protocol=17), p.ipv6(p.tcp(b"four", sport=3))]
    columns, stats = decode_both([p.wlan(p.amsdu(*map(p.snap, ips)), amsdu=True), p.wlan(p.snap(ips[0]))], 105)
    assert columns.frame.tolist() == [1, 1, 1, 2]
    assert [payload(columns, n) for n in range(4)] == [b"one", b"three", b"four", b"one"]
    assert (stats.tcp, stats.udp, stats.other, stats.damaged) == (3, 1, 0, 0)


def _nested(depth: int) -> bytes:
    ip = p.ipv4(p.tcp(HTTP))
    for _ in range(depth):
        ip = p.ipv4(ip, protocol=4)
    return p.ether(ip)


def test_tunnels_are_opened_to_the_limit_and_no_deeper():
    limits = Limits(tunnel_depth=3)
    columns, stats = decode_both([_nested(3), _nested(4), _nested(40)], limits=limits)
    assert columns.frame.tolist() == [1]
    assert stats.other == 2
    assert [(f.rule, f.frames) for f in stats.findings] == [("ip.tunnel-depth", (2, 3))]


def test_tags_count_as_encapsulations():
    frame = LINKS["802.1ad, 802.1Q"][1](NETWORK["ipv4 tcp"])
    for depth, found in ((0, 0), (1, 0), (2, 1)):
        columns, stats = decode_both([frame], limits=Limits(tunnel_depth=depth))
        assert len(columns) == found
        assert stats.other == 1 - found


ALL = [(link, wrap(ip)) for link, wrap in LINKS.values() for ip in (NETWORK["ipv4 tcp options"], NETWORK["ipv6 udp"])]
ALL += [(1, p.ether(wrap(ip))) for wrap in TUNNELS.values() for ip in (NETWORK["ipv4 udp"], NETWORK["ipv6 tcp"])]
BY_LINK = {link: [frame for number, frame in ALL if number == link] for link in LINK_LAYERS}


@pytest.mark.parametrize("link", LINK_LAYERS)
def test_frames_cut_at_every_length(link):
    """All cuts of all frames in one block: nothing raises, and both paths say the same."""
    frames = [frame[:size] for frame in BY_LINK[link] for size in range(len(frame) + 1)]
    columns, stats = decode_both(frames, link)
    assert len(columns) == stats.tcp + stats.udp
    assert stats.tcp + stats.udp + stats.other + stats.damaged == len(frames)
    assert (columns.length <= columns.wire).all()
    assert (columns.length >= 0).all()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_never_raise(data):
    link = data.draw(st.sampled_from(sorted(LINK_LAYERS)))
    frames = []
    for frame in data.draw(st.lists(st.sampled_from(BY_LINK[link]), min_size=1, max_size=8)):
        changed = bytearray(frame)
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=4)
        ):
            changed[at] = value
        frames.append(bytes(changed))
    _consistent(*decode_both(frames, link), frames)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LINK_LAYERS)), st.lists(st.binary(max_size=120), max_size=6))
def test_random_frames_never_raise(link, frames):
    _consistent(*decode_both(frames, link), frames)


def _consistent(columns, stats, frames):
    assert stats.frames == len(frames)
    for row in range(len(columns)):
        size = len(columns.buffers[columns.buffer[row]])
        assert 0 <= columns.payload[row] <= columns.payload[row] + columns.length[row] <= size
        assert columns.length[row] <= columns.wire[row]
        assert len(columns.endpoints(row)) == 2
        if columns.at[row] >= 0:
            frame = frames[columns.frame[row] - 1]
            start = int(columns.at[row])
            assert frame[start : start + int(columns.length[row])] == payload(columns, row)
        else:
            assert sum(length for _, _, length in columns.fragments[row]) == columns.length[row]
