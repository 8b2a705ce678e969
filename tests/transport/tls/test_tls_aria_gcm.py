"""ARIA, and GCM over ciphers for which OpenSSL has none, held against what others make of the same bytes."""

from __future__ import annotations

import hmac
import io
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from dissector.crosscheck import run
from dissector.reader import open_capture
from dissector.transport.tls.aria import Aria
from dissector.transport.tls.ciphers import openers12, supported
from dissector.transport.tls.gcm import Gcm
from dissector.transport.tls.kdf import key_block
from dissector.transport.tls.suites import suite
from tests.support.tls_feed import read_talk
from tests.support.tls_talk import client_context, identity, server_context, talk

CAMELLIA = Path(__file__).parent / "recorded" / "camellia-gcm.pcapng"
"""By GnuTLS 3.7.9, the secrets inside: two answers with the same body, by TLS_RSA_WITH_CAMELLIA_128_GCM_SHA256 and
TLS_ECDHE_RSA_WITH_CAMELLIA_256_GCM_SHA384."""
BODY = "c7359e48ca6828a241ca32c95ad3a43dd5ad30450e150031cdd6bb7af9ce72b2"
REQUEST = b"POST /scan HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + b"x" * 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + bytes(range(250)) * 160


def openssl(bits: int, mode: str, key: bytes, data: bytes, iv: bytes = b"") -> bytes:
    """What OpenSSL encrypts with ARIA."""
    command = ["openssl", "enc", f"-aria-{bits}-{mode}", "-nopad", "-K", key.hex(), *(["-iv", iv.hex()] if iv else [])]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("size", "sealed"),
    [
        (16, "d718fbd6ab644c739da95f3be6451778"),
        (24, "26449c1805dbe7aa25a468ce263a9e79"),
        (32, "f92bd7c79fb72e2f2b8f80c1972d24fc"),
    ],
)
def test_aria_as_in_its_specification(size: int, sealed: str) -> None:
    """RFC 5794 appendix A."""
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert Aria(bytes(range(size))).encrypt(plain).hex() == sealed
    assert Aria(bytes(range(size))).decrypt_cbc(bytes(16), bytes.fromhex(sealed)) == plain


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_aria_as_openssl_has_it(bits: int) -> None:
    key, iv, plain = bytes(range(7, 7 + bits // 8)), bytes(range(90, 106)), bytes(range(256)) * 3
    assert Aria(key).encrypt(plain) == openssl(bits, "ecb", key, plain)
    assert Aria(key).decrypt_cbc(iv, memoryview(openssl(bits, "cbc", key, plain, iv))) == plain


@given(st.binary(max_size=70), st.binary(max_size=40), st.binary(min_size=16, max_size=16), st.integers(0))
def test_gcm_as_the_library_has_it_for_aes(plain: bytes, extra: bytes, key: bytes, flip: int) -> None:
    nonce = bytes(range(12))
    sealed = AESGCM(key).encrypt(nonce, plain, extra)
    machine = Gcm(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update)
    assert machine.decrypt(nonce, memoryview(sealed), extra) == plain
    bit = flip % (8 * len(sealed))
    broken = bytearray(sealed)
    broken[bit // 8] ^= 1 << bit % 8
    for wrong, beside in ((bytes(broken), extra), (sealed, extra + b"x"), (sealed[:-1], extra), (b"", extra)):
        with pytest.raises(InvalidTag):
            machine.decrypt(nonce, wrong, beside)


@pytest.mark.parametrize("cipher", ["ARIA128-GCM-SHA256", "ECDHE-ARIA256-GCM-SHA384"])
@pytest.mark.parametrize("step", [1 << 20, 1000])
def test_aria_of_openssl_is_opened(cipher: str, step: int) -> None:
    turns = [(False, REQUEST), (True, ANSWER)]
    done = talk(client_context("1.2", cipher), server_context(identity(), "1.2", cipher), turns)
    feed = read_talk(done.pieces, done.keylog, step=step)
    assert (feed.text("client"), feed.text("server")) == (REQUEST, ANSWER)
    assert feed.facts.state == "opened"


def test_aria_in_cbc_is_opened() -> None:
    """RFC 6209 2.3; no library at hand offers it, so the record is sealed here, by OpenSSL's ARIA."""
    known = suite(0xC03C)
    assert known is not None
    assert (known.name, supported(known)) == ("TLS_RSA_WITH_ARIA_128_CBC_SHA256", True)
    master, mine, his = bytes(48), b"c" * 32, b"s" * 32
    block = key_block(0x0303, "sha256", master, mine, his, 2 * (32 + 16))
    plain, iv = b"GET / HTTP/1.1\r\n\r\n", bytes(range(16))
    mac = hmac.digest(block[:32], bytes(8) + b"\x17\3\3" + len(plain).to_bytes(2, "big") + plain, "sha256")
    padding = 16 - (len(plain) + len(mac)) % 16
    padded = plain + mac + bytes([padding - 1]) * padding
    record = iv + openssl(128, "cbc", block[64:80], padded, iv)
    opener, _ = openers12(known, 0x0303, master, mine, his, encrypt_then_mac=False)
    assert opener.open(23, 0x0303, record, 0) == (23, plain)
    assert opener.open(23, 0x0303, record, 1) is None


def test_camellia_gcm_of_gnutls_is_opened() -> None:
    with open_capture(CAMELLIA, watch_tls=True, digest_bodies=True) as capture:
        bodies: list[str | None] = []
        capture.on_http = lambda http: bodies.append(http.body_sha256 if http.status else None)
        capture.run()
        assert bodies == [None, BODY, None, BODY]
        assert [facts.state for facts in capture.tls] == ["opened", "opened"]


@pytest.mark.tshark
def test_tshark_reads_camellia_gcm_the_same() -> None:
    out = io.StringIO()
    run([str(CAMELLIA)], as_json=True, out=out)
    lines = json.loads(out.getvalue())["lines"]
    assert {line["verdict"] for line in lines} == {"same"}
    assert sum(line["kind"] == "message" for line in lines) == 4
