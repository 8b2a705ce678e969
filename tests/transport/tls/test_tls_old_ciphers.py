"""RC4, 3DES, DES, IDEA, SEED and export suites, which old devices use and no OpenSSL makes any more; tshark judges."""

from __future__ import annotations

import hmac
import io
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from dissector.crosscheck import run
from dissector.keyfiles import KeyFiles
from dissector.transport.tls import ciphers
from dissector.transport.tls.ciphers import openers13, supported
from dissector.transport.tls.suites import suite
from tests.support.stories import Channel, Story
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_peer import EXPORT, SUITES, VERSIONS, OldTalk
from tests.support.wire import frames_of, write_pcap

REQUEST = b"POST /scan HTTP/1.1\r\nContent-Length: 6000\r\n\r\n"
PARTS = [bytes([65 + n]) * 1000 for n in range(6)]
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


NOT_IN_TSHARK = ("EXP1024-DES-CBC-SHA",)
"""Its key has all 56 bits and is made anew as those of the others are; tshark 4.0 takes it as it is."""


def made(suite: str, version: str) -> OldTalk:
    talk = OldTalk(suite, version)
    talk.say(False, REQUEST)
    for part in PARTS:
        talk.say(False, part)
    talk.say(True, ANSWER)
    return talk


ALL = [(suite, version) for suite in SUITES for version in VERSIONS] + [(suite, "1.0") for suite in EXPORT]


@pytest.mark.parametrize(("suite", "version"), ALL)
def test_what_was_sent_comes_out(suite: str, version: str) -> None:
    talk = made(suite, version)
    for step in (None, 100):
        feed = read_talk(talk.pieces, talk.keylog, step=step)
        assert feed.text("client") == REQUEST + b"".join(PARTS)
        assert feed.text("server") == ANSWER
        assert ("tls.weak-suite" in feed.rules()) is (suite != "SEED-SHA")


@pytest.mark.parametrize("lost", [(0, None), (0, 900), (400, 700), (1010, None)])
@pytest.mark.parametrize(("suite", "version"), [("RC4-SHA", "1.2"), ("RC4-MD5", "1.0")])
def test_the_key_stream_is_found_again_behind_a_loss(suite: str, version: str, lost: tuple[int, int | None]) -> None:
    """RC4's key stream runs on from record to record: how far follows from how many records are missing."""
    talk = made(suite, version)
    places = [number for number, (back, data) in enumerate(talk.pieces) if not back and len(data) > 1000]
    feed = TlsFeed(talk.keylog)
    for number, (back, data) in enumerate(talk.pieces):
        if number == places[1]:
            high = lost[1] or len(data)
            if lost[0]:
                feed.data(back, data[: lost[0]])
            feed.gap(back, high - lost[0])
            data = data[high:]
        if number == places[2] and lost[0] == 1010:
            # The next record's header is lost too.
            feed.gap(back, 4)
            data = data[4:]
        if data:
            feed.data(back, data)
    feed.end()
    missing = 2 if lost[0] == 1010 else 1
    taken = feed.plain["client"]
    assert taken.bytes == REQUEST + PARTS[0] + b"".join(PARTS[1 + missing :])
    assert [gap.length for gap in taken.gaps] == [1000 * missing]


@pytest.mark.tshark
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    """So what was written is TLS, and not just what we read."""
    story = Story()
    keys = b""
    judged = [one for one in ALL if one[0] not in NOT_IN_TSHARK]
    for which, version in judged:
        talk = made(which, version)
        name = f"{which} {version}"
        story.channels[name] = Channel("192.0.2.10", "192.0.2.20", 5362)
        for back, data in talk.pieces:
            story.say(name, data, back=back)
        keys += talk.keylog
    (tmp_path / "old.pcap").write_bytes(write_pcap(frames_of(story)))
    (tmp_path / "old.keys").write_bytes(keys)
    out = io.StringIO()
    run([str(tmp_path / "old.pcap")], as_json=True, out=out, keyfiles=KeyFiles([tmp_path / "old.keys"]))
    lines = json.loads(out.getvalue())["lines"]
    assert {line["verdict"] for line in lines} == {"same"}
    assert sum(line["kind"] == "message" for line in lines) == 2 * len(judged)


def test_sm4_as_in_its_specification() -> None:
    """RFC 8998 appendix A.1, and a record of TLS 1.3 sealed here."""
    nonce, associated = bytes.fromhex("00001234567800000000abcd"), bytes.fromhex("feedfacedeadbeef" * 2 + "abaddad2")
    sealed = bytes.fromhex(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397"
        "b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec"
    )
    machine = ciphers._Sm4Gcm(bytes.fromhex("0123456789abcdeffedcba9876543210"))
    plain = "".join(2 * digit * 8 for digit in "abcdef").encode() + b"e" * 16 + b"a" * 16
    assert machine.decrypt(nonce, sealed, associated) == bytes.fromhex(plain.decode())
    known, secret = suite(0x00C6), bytes(range(32))
    assert known is not None
    assert (known.name, supported(known), known.prf) == ("TLS_SM4_GCM_SM3", True, "sm3")

    def expand(label: bytes, size: int) -> bytes:
        info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0\1"
        return hmac.digest(secret, info, "sm3")[:size]

    head = b"\x17\3\3\0\x16"
    seal = Cipher(SM4(expand(b"key", 16)), modes.GCM(expand(b"iv", 12))).encryptor()
    seal.authenticate_additional_data(head)
    record = seal.update(b"hello\x17") + seal.finalize() + seal.tag
    opener = openers13(known, secret)
    assert opener.open(23, 0x0303, record, 0) == (23, b"hello")
    assert opener.open(23, 0x0303, record, 1) is None
    other = suite(0x00C7)
    assert other is not None
    assert not supported(other)


def test_a_fatal_alert_behind_the_handshake() -> None:
    talk = made("RC4-SHA", "1.2")
    talk.say(True, b"\x02\x14", 21)
    feed = read_talk(talk.pieces, talk.keylog)
    (finding,) = [finding for finding in feed.findings if finding.rule == "tls.alert"]
    assert finding.text == "the server ended the connection with bad_record_mac: a record was not authentic"
    assert "tls.handshake-failed" not in feed.rules()


def test_records_that_do_not_open_any_more_are_told_once() -> None:
    talk = made("DES-CBC3-SHA", "1.2")
    pieces = list(talk.pieces)
    places = [number for number, (back, data) in enumerate(pieces) if not back and len(data) > 1000]
    for number in places[1:]:
        back, data = pieces[number]
        pieces[number] = (back, data[:-1] + bytes([data[-1] ^ 1]))
    feed = read_talk(pieces, talk.keylog)
    assert feed.text("client") == REQUEST + PARTS[0]
    assert feed.text("server") == ANSWER
    assert feed.rules().count("tls.not-opened") == 1
    assert feed.facts.state == "partly"


def test_behind_a_damaged_record_the_key_stream_goes_on() -> None:
    talk = made("RC4-SHA", "1.2")
    pieces = list(talk.pieces)
    places = [number for number, (back, data) in enumerate(pieces) if not back and len(data) > 1000]
    for number in (places[1], places[2], places[4]):
        back, data = pieces[number]
        pieces[number] = (back, data[:-1] + bytes([data[-1] ^ 1]))
    feed = read_talk(pieces, talk.keylog)
    assert feed.plain["client"].bytes == REQUEST + PARTS[0] + PARTS[3] + PARTS[5]


def test_of_a_long_loss_no_key_stream_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet with a number far ahead would take as many bytes as it says are missing."""
    monkeypatch.setattr(ciphers, "LONGEST_LOSS", 5000)
    talk = made("RC4-SHA", "1.2")
    feed = TlsFeed(talk.keylog)
    places = [number for number, (back, data) in enumerate(talk.pieces) if not back and len(data) > 1000]
    held = []
    for number, (back, data) in enumerate(talk.pieces):
        if number == places[2]:
            feed.gap(back, 1 << 30)
        else:
            feed.data(back, data)
        held.append(feed.ends[0].consumer.lock.held)
    feed.end()
    assert feed.plain["client"].bytes == REQUEST + b"".join(PARTS[:2])
    assert max(held) < 8000
    assert "tls.not-opened" in feed.rules()
