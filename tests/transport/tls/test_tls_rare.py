"""What is rare in handshakes: named right, and never taken for something else."""

from __future__ import annotations

import zlib

import pytest
import zstandard
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from dissector.output.tls_text import connection_lines
from dissector.transport.model import StreamEnd
from dissector.transport.tls import handshake
from dissector.transport.tls.handshake import decompressed
from tests.support.packets import A4, B4, block, ether, ipv4, udp
from tests.support.streams import INTEREST
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_peer13 import (
    CHOSEN,
    RETRY,
    SHARE,
    VERSIONS,
    Peer13,
    extension,
    hello,
    message,
    record,
    server_hello,
    vector,
)
from tests.support.tls_talk import client_context, identity, server_context, talk

DER = identity("ec").der
SPKI = load_pem_private_key(identity("ec").key, None).public_key().public_bytes(
    Encoding.DER, PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
CERTIFICATE = b"\0" + vector(vector(DER, 3) + b"\0\0", 3)
"""Body of a Certificate message of TLS 1.3."""


def text(feed: TlsFeed) -> str:
    return "\n".join(connection_lines(feed.facts, 6))


def conversation(*flight: bytes, chosen: tuple[bytes, ...] = (CHOSEN, SHARE), encrypted: bytes = b"") -> TlsFeed:
    """A handshake of TLS 1.3 with this in the server's flight."""
    peer = Peer13()
    peer.say(False, hello(VERSIONS, SHARE))
    peer.say(True, server_hello(*chosen))
    peer.seal(True, message(8, vector(encrypted, 2)))
    for one in flight:
        peer.seal(True, one)
    peer.end()
    feed = read_talk(peer.pieces, peer.keylog)
    assert feed.text("client") == b"GET / HTTP/1.1\r\n\r\n"
    assert feed.facts.state == "opened"
    return feed


def compressed(number: int, packed: bytes, size: int) -> bytes:
    return message(25, number.to_bytes(2, "big") + size.to_bytes(3, "big") + vector(packed, 3))


@pytest.mark.parametrize("inner", [b"\1", b"\0" + b"x" * 100, b""])
def test_encrypted_client_hello_says_that_the_name_is_the_outer_one(inner: bytes) -> None:
    name = extension(0, vector(b"\0" + vector(b"public.example", 2), 2))
    feed = read_talk([(False, hello(VERSIONS, SHARE, name, extension(0xFE0D, inner)))], end=StreamEnd.CAPTURE)
    assert (feed.facts.hidden, feed.facts.server_name) == (True, "public.example")
    assert "Encrypted Client Hello (the name may be that of another server)" in text(feed)
    assert not read_talk([(False, hello(VERSIONS, SHARE, name))]).facts.hidden


def test_what_only_keeps_servers_tolerant_is_not_shown() -> None:
    """RFC 8701."""
    versions = extension(43, b"\4\x7a\x7a\3\4")
    feed = read_talk([(False, hello(extension(0x0A0A), versions, suites=b"\x2a\x2a\x13\x01"))])
    assert (feed.facts.offered, feed.facts.suites) == ((0x0304,), (0x1301,))


def test_hello_retry_request_with_keys_and_without() -> None:
    peer = Peer13()
    peer.say(False, hello(VERSIONS, extension(51, vector(b"", 2))))
    peer.say(True, server_hello(CHOSEN, extension(51, b"\0\x17"), random=RETRY) + record(20, b"\1"))
    peer.say(False, record(20, b"\1") + hello(VERSIONS, SHARE))
    peer.say(True, server_hello(CHOSEN, SHARE))
    peer.seal(True, message(8, b"\0\0"))
    peer.seal(True, message(11, CERTIFICATE))
    peer.end()
    for keys in (peer.keylog, b""):
        feed = read_talk(peer.pieces, keys)
        assert feed.facts.retried
        assert feed.facts.finished
        assert "second ClientHello asked for" in text(feed)
        assert feed.text("client") == (b"GET / HTTP/1.1\r\n\r\n" if keys else b"")
        assert not {"tls.handshake-failed", "tls.handshake-unfinished"} & set(feed.rules())


def test_a_retry_of_openssl_is_read() -> None:
    server = server_context(identity("ec"), "1.3")
    server.set_ecdh_curve("secp384r1")
    done = talk(client_context("1.3"), server, [(False, b"GET / HTTP/1.1\r\n\r\n")])
    feed = read_talk(done.pieces, done.keylog)
    assert (feed.facts.retried, feed.facts.state, feed.text("client")) == (True, "opened", b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    ("name", "number", "packed"),
    [("zlib", 1, zlib.compress(CERTIFICATE)), ("zstd", 3, zstandard.compress(CERTIFICATE))],
    ids=["zlib", "zstd"],
)
def test_compressed_certificates_are_read(name: str, number: int, packed: bytes) -> None:
    feed = conversation(compressed(number, packed, len(CERTIFICATE)))
    assert feed.facts.certificates[0].subject == "CN=scanner.example, O=Example"
    assert feed.facts.compression == name
    assert f"certificates compressed ({name})" in text(feed)


@pytest.mark.parametrize(
    ("number", "packed", "size"),
    [
        (2, b"brotli", len(CERTIFICATE)),
        (9, b"?", len(CERTIFICATE)),
        (1, zlib.compress(CERTIFICATE), len(CERTIFICATE) + 1),
        (1, zlib.compress(CERTIFICATE)[:-9], len(CERTIFICATE)),
        (1, b"", 0xFFFFFF),
        (3, b"junk", 4),
        (3, zstandard.compress(bytes(64 << 20)), 1000),
    ],
    ids=["brotli", "unknown", "too short", "cut", "empty", "junk", "bomb"],
)
def test_those_that_cannot_be_read_are_told(number: int, packed: bytes, size: int) -> None:
    feed = conversation(compressed(number, packed, size))
    (finding,) = [one for one in feed.findings if one.rule == "tls.certificate-compression"]
    assert finding.text.startswith("certificates of 192.0.2.20:5362 cannot be read: they are compressed (")
    ours = {1: "(zlib, and damaged)", 2: "(brotli, which is not read here)", 3: "(zstd, and damaged)"}
    assert finding.text.endswith(ours.get(number, "(compression 9, which is not read here)"))
    assert finding.text in text(feed)
    assert not feed.facts.certificates


@given(st.binary(max_size=60), st.sampled_from([1, 2, 3]), st.integers(0, 1 << 24))
def test_decompression_is_bounded_and_raises_nothing(packed: bytes, number: int, size: int) -> None:
    body = number.to_bytes(2, "big") + (size & 0xFFFFFF).to_bytes(3, "big") + vector(packed, 3)
    plain, _ = decompressed(body)
    assert plain is None or len(plain) <= handshake.LONGEST
    assert decompressed(body[:-1] if packed else b"")[0] is None


def test_raw_public_keys_of_tls_13() -> None:
    feed = conversation(message(11, b"\0" + vector(vector(SPKI, 3) + b"\0\0", 3)), encrypted=extension(20, b"\2"))
    (one,) = feed.facts.certificates
    assert (one.raw, one.key, one.problem) == (True, "EC secp256r1", "")
    assert "certificate none, but a raw public key: EC secp256r1" in text(feed)
    assert "tls.certificate-unreadable" not in feed.rules()


@pytest.mark.parametrize("key", [SPKI, b"junk"], ids=["a key", "junk"])
def test_raw_public_keys_of_tls_12(key: bytes) -> None:
    """Of the server and of the client."""
    chosen = server_hello(extension(20, b"\2"), extension(19, b"\2"), suite=0x2F)
    shown = record(22, message(11, vector(key, 3)))
    feed = read_talk([(False, hello()), (True, chosen + shown), (False, shown)], end=StreamEnd.CAPTURE)
    for (one,) in (feed.facts.certificates, feed.facts.client_certificates):
        assert one.raw
        assert (one.key == "EC secp256r1") is (key is SPKI)
    assert "a raw public key" in text(feed)


def test_a_pre_shared_key_alone() -> None:
    feed = conversation(chosen=(CHOSEN, extension(41, b"\0\0")))
    assert feed.facts.resumed == "psk"
    assert "by a pre-shared key (of a session before, or agreed upon)" in text(feed)
    assert "tls.psk-only" in feed.rules()
    assert "tls.psk-only" not in conversation(chosen=(CHOSEN, SHARE, extension(41, b"\0\0"))).rules()


def test_where_there_is_no_certificate_none_is_blamed() -> None:
    for suite, blamed in ((0x00A8, False), (0x0018, False), (0x002F, True)):
        feed = read_talk([(False, hello()), (True, server_hello(suite=suite))])
        (finding,) = [one for one in feed.findings if one.rule == "tls.handshake-unfinished"]
        assert ("did not accept the server's certificate" in finding.text) is blamed


def dtls(version: bytes, kind: int, message: int) -> bytes:
    return bytes([kind]) + version + bytes(8) + b"\0\x30" + bytes([message]) + bytes(47)


def test_dtls_is_named_and_not_read() -> None:
    from dissector.base.limits import DEFAULT_LIMITS
    from dissector.capture.model import Interface
    from dissector.output.notes import notes
    from dissector.transport.flows import FlowTable
    from dissector.transport.model import TransportStats
    from dissector.transport.packets import PacketDecoder

    taken: list[object] = []
    stats = TransportStats()
    flows = FlowTable(INTEREST, lambda *_: None, taken.append, stats, DEFAULT_LIMITS)  # type: ignore[arg-type]  # no stream is taken
    datagrams = [
        (A4, B4, dtls(b"\xfe\xfd", 22, 1)),
        (B4, A4, dtls(b"\xfe\xfd", 22, 3)),
        (A4, B4, dtls(b"\xfe\xff", 22, 1)),
        (B4, A4, dtls(b"\xfe\xfd", 23, 1)),
        (A4, B4, dtls(b"\xfe\xfc", 22, 1)),
        (A4, B4, b"\x16\xfe\xfd"),
    ]
    packets = []
    for source, destination, data in datagrams:
        ports = (40000, 5684) if source == A4 else (5684, 40000)
        packets.append(ether(ipv4(udp(data, *ports), source, destination, 17)))
    flows.feed(PacketDecoder([Interface(0, 1)], stats, DEFAULT_LIMITS).decode(block(packets)))
    assert not taken
    (((client, server), (packets_seen, _)),) = stats.opaque["dtls"].items()
    assert (client.port, server.port, packets_seen) == (40000, 5684, 2)
    assert f"1 DTLS connection from {A4} to {server}: DTLS is not read here" in notes(stats, 1)
