"""The capture of our own traffic: right packets, in order, with secrets before what they open. Wireshark judges."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import dissector
from dissector.base.origin import Endpoint
from dissector.crosscheck.tshark import find_tshark
from replay.base.clock import ManualClock
from replay.net import tap as module
from replay.net.certificates import Identity, own_certificate
from replay.net.tap import PacketTap, TcpTap
from replay.net.tls import TlsChannel, client_context, server_context
from tests.support.packets import ACK, FIN, PSH, RST, SYN, checksum
from tests.support.tls_pair import Pair

CLIENT, SERVER = Endpoint("192.0.2.10", 40001), Endpoint("192.0.2.20", 5362)
CLIENT6, SERVER6 = Endpoint("fe80::1%eth0", 40002), Endpoint("fe80::2%eth0", 5362)
NS = 10**9
START = 1_700_000_000 * NS
REQUEST = b"GET /scan HTTP/1.1\r\nHost: scans.example.test\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
SECRET = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"


class Hands(ManualClock):
    """A clock that is set by hand, backwards too."""

    now = START

    def time_ns(self) -> int:
        return self.now


class Recorded:
    """A tap over a buffer, and what is in it: (block type, body) in order."""

    def __init__(self, keylog: Path | None = None) -> None:
        self.file = io.BytesIO()
        self.clock = Hands()
        self.tap = PacketTap(self.file, application="dsmreplay test", keylog=keylog, clock=self.clock)

    @property
    def blocks(self) -> list[tuple[int, bytes]]:
        data, found, at = self.file.getvalue(), [], 0
        while at < len(data):
            kind, size = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
            assert data[at + size - 4 : at + size] == data[at + 4 : at + 8]
            found.append((kind, data[at + 8 : at + size - 4]))
            at += size
        return found

    @property
    def packets(self) -> list[bytes]:
        return [body[20 : 20 + int.from_bytes(body[12:16], "little")] for kind, body in self.blocks if kind == 6]

    @property
    def times(self) -> list[int]:
        return [
            int.from_bytes(body[4:8], "little") << 32 | int.from_bytes(body[8:12], "little")
            for kind, body in self.blocks
            if kind == 6
        ]

    @property
    def order(self) -> str:
        """A letter for each block after the first two: p packet, s secrets."""
        return "".join({6: "p", 10: "s"}[kind] for kind, _ in self.blocks[2:])


def tcp_of(packet: bytes) -> tuple[int, int, int, int, bytes]:
    """Source port, sequence number, acknowledgement, flags, payload of an IPv4 or IPv6 packet."""
    segment = packet[20:] if packet[0] >> 4 == 4 else packet[40:]
    numbers = (int.from_bytes(segment[i:j], "big") for i, j in ((0, 2), (4, 8), (8, 12)))
    source, seq, ack = numbers
    return source, seq, ack, segment[13], segment[segment[12] >> 4 << 2 :]


def sums_are_right(packet: bytes) -> bool:
    if packet[0] >> 4 == 4:
        ends, segment = packet[12:20], packet[20:]
        if checksum(packet[:20]) or int.from_bytes(packet[2:4], "big") != len(packet):
            return False
        pseudo = ends + bytes([0, packet[9]]) + len(segment).to_bytes(2, "big")
    else:
        ends, segment = packet[8:40], packet[40:]
        pseudo = ends + len(segment).to_bytes(4, "big") + bytes([0, 0, 0, packet[6]])
    return checksum(pseudo + segment) == 0


def fields(file: Path, *names: str, options: Iterable[str] = (), only: str = "") -> list[list[str]]:
    """What tshark says of each packet."""
    command = [find_tshark()[0], "-n", "-r", str(file), *options, "-T", "fields"]
    command += ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    command += [word for name in names for word in ("-e", name)]
    command += ["-Y", only] if only else []
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return [line.split("\t") for line in done.stdout.splitlines()]


BAD = (
    "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0"
    " || udp.checksum.status == 0 || _ws.expert.severity >= 0x600000"
)
"""What Wireshark complains of: warnings and errors, and notes on TCP."""


def test_a_connection_from_its_first_packet_to_its_last() -> None:
    record = Recorded()
    tcp = record.tap.connection(CLIENT, SERVER)
    tcp.sent("client", REQUEST)
    tcp.sent("server", RESPONSE)
    tcp.fin("server")
    tcp.fin("client")
    record.tap.close()
    told = [tcp_of(packet) for packet in record.packets]
    assert [(port, flags) for port, _, _, flags, _ in told] == [
        (40001, SYN), (5362, SYN | ACK), (40001, ACK),
        (40001, ACK | PSH), (5362, ACK | PSH),
        (5362, FIN | ACK), (40001, ACK), (40001, FIN | ACK), (5362, ACK),
    ]  # fmt: skip
    (_, c, _, _, _), (_, s, _, _, _) = told[:2]
    n, m = len(REQUEST), len(RESPONSE)
    assert [(seq, ack) for _, seq, ack, _, _ in told] == [
        (c, 0), (s, c + 1), (c + 1, s + 1),
        (c + 1, s + 1), (s + 1, c + 1 + n),
        (s + 1 + m, c + 1 + n), (c + 1 + n, s + 2 + m), (c + 1 + n, s + 2 + m), (s + 2 + m, c + 2 + n),
    ]  # fmt: skip
    assert (told[3][4], told[4][4]) == (REQUEST, RESPONSE)
    assert all(map(sums_are_right, record.packets))
    assert record.packets[0][40:] == b"\x02\x04\x05\xb4"
    kinds = [kind for kind, _ in record.blocks]
    assert kinds[:2] == [0x0A0D0D0A, 1]
    assert record.blocks[1][1][:2] == (101).to_bytes(2, "little")
    assert b"dsmreplay test" in record.blocks[0][1]


def test_times_grow_strictly_and_follow_the_clock() -> None:
    record = Recorded()
    tcp = record.tap.connection(CLIENT, SERVER)
    record.clock.now = START + 3 * NS // 2
    tcp.sent("client", b"x" * 5000)
    record.clock.now = START + NS
    tcp.sent("server", b"y")
    assert record.times[:4] == [START, START + 1, START + 2, START + 3 * NS // 2]
    assert all(one < two for one, two in zip(record.times, record.times[1:], strict=False))


@pytest.mark.parametrize(("ends", "mss"), [((CLIENT, SERVER), 1460), ((CLIENT6, SERVER6), 1440)])
def test_large_data_are_cut_and_acknowledged_in_time(ends: tuple[Endpoint, Endpoint], mss: int) -> None:
    record = Recorded()
    tcp = record.tap.connection(*ends)
    data = os.urandom(200_001)
    tcp.sent("client", data)
    told = [tcp_of(packet) for packet in record.packets[3:]]
    assert all(map(sums_are_right, record.packets))
    sent = [one for one in told if one[4]]
    assert b"".join(one[4] for one in sent) == data
    assert max(len(one[4]) for one in sent) == mss
    assert [bool(one[3] & PSH) for one in sent] == [False] * (len(sent) - 1) + [True]
    unacknowledged = told[0][1]
    for port, seq, ack, _, payload in told:
        if port == ends[0].port:
            assert seq + len(payload) - unacknowledged <= 32 << 10
        else:
            assert not payload
            assert unacknowledged < ack
            unacknowledged = ack
    assert unacknowledged > told[0][1]


def test_sequence_numbers_wrap() -> None:
    record = Recorded()
    tcp = record.tap.connection(CLIENT, SERVER)
    tcp._client.seq = tcp._server.told = 0xFFFFFFFF - 40_000
    tcp.sent("client", b"x" * 100_000)
    tcp.sent("server", b"y")
    assert tcp_of(record.packets[-1])[2] == 100_000 - 40_001
    assert sum(tcp_of(packet)[0] == 5362 for packet in record.packets) == 5


def test_nothing_is_recorded_after_the_end() -> None:
    record = Recorded()
    tcp = record.tap.connection(CLIENT, SERVER)
    tcp.fin("client")
    tcp.sent("client", b"late")
    tcp.fin("client")
    assert len(record.packets) == 5
    tcp.reset("server")
    tcp.reset("client")
    tcp.sent("server", b"late")
    tcp.fin("server")
    assert [tcp_of(packet)[3] for packet in record.packets[3:]] == [FIN | ACK, ACK, RST | ACK]
    done = record.tap.connection(CLIENT, SERVER)
    done.fin("client")
    done.fin("server")
    count = len(record.packets)
    done.reset("server")
    assert len(record.packets) == count
    record.tap.close()
    record.tap.close()
    record.tap.datagram(CLIENT, SERVER, b"late")
    done.comment("late")
    assert len(record.packets) == count
    assert record.tap.failure is None


def test_a_side_is_client_or_server() -> None:
    tcp = Recorded().tap.connection(CLIENT, SERVER)
    with pytest.raises(ValueError, match="not 'peer'"):
        tcp.sent("peer", b"x")


def test_comments_go_to_the_next_packet_of_the_connection() -> None:
    record = Recorded()
    tcp = record.tap.connection(CLIENT, SERVER)
    tcp.comment("CreatePostScanJob")
    tcp.comment("ä" * 5000 + "\ud800")
    record.tap.datagram(CLIENT, SERVER, b"other")
    tcp.sent("client", REQUEST)
    tcp.sent("server", RESPONSE)
    bodies = [body for kind, body in record.blocks if kind == 6]
    commented = [number for number, body in enumerate(bodies) if "ä".encode() in body]
    assert commented == [4]
    assert b"CreatePostScanJob\n" in bodies[4]
    assert len(bodies[4]) < 4096 + 200


def test_datagrams() -> None:
    record = Recorded()
    record.tap.datagram(Endpoint("0.0.0.0", 3702), Endpoint("239.255.255.250", 3702), b"probe")
    record.tap.datagram(Endpoint("fe80::1%eth0", 3702), Endpoint("ff02::c%eth0", 3702), b"")
    record.tap.datagram(CLIENT, SERVER, b"x" * 65507)
    record.tap.datagram(CLIENT6, SERVER6, b"x" * 65527)
    four, six, large, large6 = record.packets
    assert (four[8], six[7], large[8]) == (1, 1, 64)
    assert four[12:20] == bytes([0, 0, 0, 0, 239, 255, 255, 250])
    assert four[20:28] == (3702).to_bytes(2, "big") * 2 + (13).to_bytes(2, "big") + four[26:28]
    assert len(large) == 65535
    assert len(large6) == 65575
    assert all(map(sums_are_right, record.packets))
    for ends, size in (((CLIENT, SERVER), 65508), ((CLIENT6, SERVER6), 65528)):
        with pytest.raises(ValueError, match="more than a datagram"):
            record.tap.datagram(*ends, b"x" * size)


def test_a_udp_checksum_of_zero_is_written_as_ones() -> None:
    record = Recorded()
    # RFC 768: zero means that none was computed. Among 65536 payloads of two bytes one has the sum zero.
    record.tap.datagram(CLIENT, SERVER, b"\0\0")
    value = int.from_bytes(record.packets[0][26:28], "big")
    record.tap.datagram(CLIENT, SERVER, value.to_bytes(2, "big"))
    assert record.packets[1][26:28] == b"\xff\xff"
    assert sums_are_right(record.packets[1])


@pytest.mark.parametrize(
    ("source", "destination", "version"),
    [
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", 4),
        ("", "192.0.2.2", 4),
        ("", "fe80::1%2", 6),
        ("192.0.2.1", "2001:db8::1", 6),
        ("::", "::1", 6),
        ("", "", 4),
    ],
)
def test_addresses_as_sockets_have_them(source: str, destination: str, version: int) -> None:
    record = Recorded()
    record.tap.connection(Endpoint(source, 1), Endpoint(destination, 2)).sent("client", b"x")
    assert {packet[0] >> 4 for packet in record.packets} == {version}
    assert all(map(sums_are_right, record.packets))


@pytest.mark.parametrize("end", [Endpoint("localhost", 1), Endpoint("192.0.2.1", 65536), Endpoint("192.0.2.1", -1)])
def test_what_is_no_endpoint(end: Endpoint) -> None:
    tap = Recorded().tap
    with pytest.raises(ValueError, match=r"localhost|no port"):
        tap.connection(end, SERVER)
    with pytest.raises(ValueError, match=r"localhost|no port"):
        tap.datagram(SERVER, end, b"")


# -- secrets -----------------------------------------------------------------------------------------------------


def test_packets_wait_for_the_secrets_and_keep_their_order(tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    log.write_bytes(SECRET.replace(b"ab", b"00"))
    record = Recorded(log)
    record.tap.datagram(CLIENT, SERVER, b"before")
    tcp = record.tap.connection(CLIENT, SERVER, encrypted=True)
    record.tap.datagram(CLIENT, SERVER, b"after")
    plain = record.tap.connection(CLIENT6, SERVER6)
    assert record.order == "p"
    with log.open("ab") as file:
        file.write(b"# comment\n" + SECRET + b"rubbish\n" + SECRET[:20])
    tcp.secrets_ready()
    assert record.order == "p" + "s" + "ppp" + "p" + "ppp"
    (secrets,) = [body for kind, body in record.blocks if kind == 10]
    assert secrets[:4] == b"KSLT"
    assert secrets[8 : 8 + int.from_bytes(secrets[4:8], "little")] == SECRET
    assert record.times == sorted(set(record.times))
    tcp.sent("client", b"x")
    plain.sent("client", b"x")
    tcp.secrets_ready()
    assert record.order == "p" + "s" + "p" * 9
    with log.open("ab") as file:
        file.write(SECRET[20:])
    record.tap.close()
    assert record.order == "p" + "s" + "p" * 9 + "s"


def test_each_waits_for_the_one_at_the_head(tmp_path: Path) -> None:
    log = tmp_path / "keys.log"
    record = Recorded(log)
    one = record.tap.connection(CLIENT, SERVER, encrypted=True)
    two = record.tap.connection(CLIENT6, SERVER6, encrypted=True)
    log.write_bytes(SECRET)
    two.secrets_ready()
    assert record.order == "s"
    one.secrets_ready()
    assert record.order == "s" + "p" * 6


@pytest.mark.parametrize("how", ["reset", "fin", "close"])
def test_the_end_of_a_connection_ends_the_waiting(tmp_path: Path, how: str) -> None:
    log = tmp_path / "keys.log"
    record = Recorded(log)
    tcp = record.tap.connection(CLIENT, SERVER, encrypted=True)
    log.write_bytes(SECRET)
    if how == "reset":
        tcp.reset("client")
    elif how == "fin":
        tcp.fin("client")
        assert record.order == ""
        tcp.fin("server")
    else:
        record.tap.close()
    assert record.order == "s" + "p" * {"reset": 4, "fin": 7, "close": 3}[how]


def test_without_a_key_log_nothing_waits() -> None:
    record = Recorded()
    record.tap.connection(CLIENT, SERVER, encrypted=True)
    assert record.order == "ppp"


def test_waiting_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD_BYTES", 10_550)
    record = Recorded(tmp_path / "none.log")
    slow = record.tap.connection(CLIENT, SERVER, encrypted=True)
    later = record.tap.connection(CLIENT6, SERVER6, encrypted=True)
    for _ in range(9):
        record.tap.datagram(CLIENT, SERVER, b"x" * 1000)
    assert record.order == ""
    record.tap.datagram(CLIENT, SERVER, b"x" * 1000)
    assert record.order == "ppp"
    slow.sent("client", b"y")
    assert record.order == "ppp"
    later.secrets_ready()
    assert record.order == "p" * 17
    slow.sent("client", b"y")
    assert record.order == "p" * 18


def test_a_full_disk_ends_the_capture_and_nothing_else(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        full = False

        def write(self, data: Any, /) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(data)

    file = Full()
    log = tmp_path / "keys.log"
    tap = PacketTap(file, application="x", keylog=log, clock=ManualClock())
    tcp = tap.connection(CLIENT, SERVER, encrypted=True)
    file.full = True
    log.write_bytes(SECRET)
    tcp.secrets_ready()
    tcp.sent("client", b"x")
    tap.close()
    assert isinstance(tap.failure, OSError)
    assert tap.failure.errno == 28


def test_a_closed_file_is_told(tmp_path: Path) -> None:
    record = Recorded()
    record.file.close()
    record.tap.datagram(CLIENT, SERVER, b"x")
    assert str(record.tap.failure) == "I/O operation on closed file."
    record = Recorded()
    record.file.close()
    record.tap.close()
    assert record.tap.failure is not None


# -- what others read --------------------------------------------------------------------------------------------


def plain_story(tap: PacketTap) -> None:
    for client, server in ((CLIENT, SERVER), (CLIENT6, SERVER6), (CLIENT, SERVER)):
        tcp = tap.connection(client, server)
        tcp.comment("a request")
        tcp.sent("client", b"POST /scan HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        for _ in range(5):
            tcp.sent("client", b"x" * 60_000)
        tcp.sent("server", RESPONSE)
        tcp.sent("client", REQUEST)
        tcp.sent("server", RESPONSE[:60])
        tcp.sent("server", RESPONSE[60:])
        tcp.fin("server")
        if client is CLIENT6:
            tcp.reset("client")
        else:
            tcp.fin("client")
    tap.datagram(Endpoint("192.0.2.10", 3702), Endpoint("239.255.255.250", 3702), b"<x/>")
    tap.datagram(Endpoint("::", 3702), Endpoint("ff02::c", 3702), b"<x/>")
    tap.datagram(CLIENT, SERVER, b"x" * 60_000)


def test_our_own_reader_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "own.pcapng"
    with path.open("wb") as file:
        tap = PacketTap(file, application="dsmreplay", clock=ManualClock())
        tcp = tap.connection(CLIENT6, SERVER6)
        tcp.sent("client", wsd_request())
        tcp.sent("server", RESPONSE)
        tcp.fin("client")
        tcp.fin("server")
        tap.close()
    with dissector.open(str(path)) as capture:
        messages = list(capture.messages)
    assert [(message.service, message.name) for message in messages] == [
        ("WS-Transfer", "Get"),
        ("WS-Transfer", "HTTP 200"),
    ]
    assert not messages[0].findings


def wsd_request() -> bytes:
    body = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
        b' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header>'
        b"<a:To>urn:uuid:11111111-2222-3333-4444-555555555555</a:To>"
        b"<a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action>"
        b"<a:MessageID>urn:uuid:11111111-2222-3333-4444-666666666666</a:MessageID>"
        b"<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
        b"</s:Header><s:Body/></s:Envelope>"
    )
    head = f"POST /wsd HTTP/1.1\r\nHost: [fe80::2]\r\nContent-Type: application/soap+xml\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.tshark
def test_wireshark_has_no_complaints(tmp_path: Path) -> None:
    path = tmp_path / "plain.pcapng"
    with path.open("wb") as file:
        tap = PacketTap(file, application="dsmreplay", clock=ManualClock())
        plain_story(tap)
        tap.close()
    reading = ("-d", "tcp.port==5362,http")
    bad = fields(path, "frame.number", "_ws.expert.message", options=reading, only=BAD)
    # The same ports twice, and a connection that was cut: the only things to be told.
    known = ("started with the same ports as an earlier session", "Connection reset (RST)")
    assert [words for _, words in bad if not any(one in words for one in known)] == []
    assert len(bad) == 2
    assert {line[0] for line in fields(path, "ip.checksum.status", only="ip")} == {"1"}
    assert {line[0] for line in fields(path, "tcp.checksum.status", only="tcp")} == {"1"}
    methods = fields(path, "http.request.method", options=reading, only="http.request")
    assert [line[0] for line in methods] == ["POST", "GET"] * 3
    assert len(fields(path, "frame.number", only='frame.comment == "a request"')) == 3
    assert [line[0] for line in fields(path, "udp.length", only="udp")] == ["12", "12", "60008"]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return own_certificate(tmp_path_factory.mktemp("identity"), ["scans.example.test"], datetime.now(UTC))


def encrypted_story(tap: PacketTap, identity: Identity, log: Path, version: str, number: int) -> None:
    """A request and a large answer over TLS, keys logged by one side only."""
    client = client_context("none")
    if version == "TLSv1.2":
        client.maximum_version = ssl.TLSVersion.TLSv1_2
    tcp: TcpTap = tap.connection(CLIENT._replace(port=CLIENT.port + number), SERVER, encrypted=True)
    both = Pair(
        TlsChannel(client, False, "scans.example.test"),
        TlsChannel(server_context(identity, keylog=log), True),
        watch=tcp.sent,
    )
    both.run()
    tcp.secrets_ready()
    both.client.send(REQUEST)
    both.run()
    assert both.at_server == REQUEST
    both.server.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200000\r\n\r\n" + b"z" * 200_000)
    both.run()
    for side, channel in (("server", both.server), ("client", both.client)):
        channel.close()
        tcp.sent(side, channel.outgoing())
        tcp.fin(side)


@pytest.mark.tshark
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_wireshark_decrypts_by_the_secrets_inside(tmp_path: Path, identity: Identity, version: str) -> None:
    path, log = tmp_path / "tls.pcapng", tmp_path / "keys.log"
    with path.open("wb") as file:
        tap = PacketTap(file, application="dsmreplay", keylog=log, clock=ManualClock())
        for number in range(2):
            encrypted_story(tap, identity, log, version, number)
        tap.close()
    log.unlink()
    reading = ("-d", "tcp.port==5362,tls")
    assert fields(path, "frame.number", "_ws.expert.message", options=reading, only=BAD) == []
    names = ("http.request.method", "http.response.code", "http.content_length")
    found = fields(path, *names, options=reading, only="http")
    assert found == [["GET", "", ""], ["", "200", "200000"]] * 2
