"""Every version and cipher family that this OpenSSL offers, made by Python's ssl and opened by us."""

from __future__ import annotations

import io
import json
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dissector.base.limits import Limits
from dissector.crosscheck import run
from dissector.keyfiles import KeyFiles
from dissector.transport.tls import KeyMaterial
from tests.support.stories import Channel, Story
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_talk import (
    NO_ENCRYPT_THEN_MAC,
    NO_EXTENDED_MASTER,
    NO_TICKET,
    Talk,
    client_context,
    identity,
    server_context,
    talk,
)
from tests.support.wire import frames_of, write_pcap

REQUEST = b"POST /scan HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + b"x" * 20
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + bytes(range(250)) * 160
TURNS = [(False, REQUEST), (True, ANSWER), (False, REQUEST), (True, ANSWER[:100])]
SENT = {"client": REQUEST * 2, "server": ANSWER + ANSWER[:100]}

OLD = [
    ("1.0", "AES128-SHA", 0),
    ("1.0", "AES256-SHA", NO_ENCRYPT_THEN_MAC),
    ("1.0", "ECDHE-RSA-AES128-SHA", 0),
    ("1.0", "CAMELLIA128-SHA", NO_ENCRYPT_THEN_MAC),
    ("1.0", "NULL-SHA", 0),
    ("1.1", "AES128-SHA", 0),
    ("1.1", "AES256-SHA", NO_ENCRYPT_THEN_MAC),
    ("1.1", "CAMELLIA256-SHA", 0),
    ("1.2", "AES128-SHA", 0),
    ("1.2", "AES128-SHA256", NO_ENCRYPT_THEN_MAC),
    ("1.2", "ECDHE-RSA-AES256-SHA384", 0),
    ("1.2", "ECDHE-RSA-AES256-SHA384", NO_ENCRYPT_THEN_MAC),
    ("1.2", "AES128-GCM-SHA256", 0),
    ("1.2", "ECDHE-RSA-AES256-GCM-SHA384", 0),
    ("1.2", "AES256-CCM", 0),
    ("1.2", "AES128-CCM8", 0),
    ("1.2", "ECDHE-RSA-CHACHA20-POLY1305", 0),
    ("1.2", "CAMELLIA128-SHA256", 0),
    ("1.2", "NULL-SHA256", 0),
    ("1.3", "", 0),
]
IDS = [f"{version} {cipher or 'default'}{' MAC first' if options else ''}" for version, cipher, options in OLD]


def made(version: str, cipher: str, options: int = 0) -> Talk:
    done = talk(client_context(version, cipher, options), server_context(identity(), version, cipher, options), TURNS)
    assert done.failure is None
    return done


def outcome(feed: TlsFeed) -> tuple[object, ...]:
    """What must not depend on how the bytes were cut."""
    facts = feed.facts
    return (
        {who: taken.events[:-1] for who, taken in feed.plain.items()},
        facts.state,
        facts.version,
        facts.suite,
        [(talk.records, talk.bytes, talk.plain, talk.finished) for talk in facts.talks],
        [(alert.from_client, alert.description) for alert in facts.alerts],
        feed.rules(),
    )


@pytest.mark.parametrize(("version", "cipher", "options"), OLD, ids=IDS)
def test_what_was_sent_comes_out(version: str, cipher: str, options: int) -> None:
    done = made(version, cipher, options)
    feed = read_talk(done.pieces, done.keylog)
    assert {who: feed.text(who) for who in SENT} == SENT
    assert feed.facts.state == "opened"
    assert feed.facts.server_name == "scanner.example"
    assert not any(taken.gaps for taken in feed.plain.values())
    assert {f.severity.value for f in feed.findings} <= {"note"}
    # Both said close_notify.
    assert [alert.description for alert in feed.facts.alerts] == [0, 0]
    assert outcome(feed) == outcome(read_talk(done.pieces, done.keylog, step=1000))


@pytest.mark.tshark
def test_tshark_reads_all_of_them_the_same(tmp_path: Path) -> None:
    """Every version and cipher in one capture: streams, messages, frames and hashes of bodies."""
    story, keylog = Story(), b""
    for (version, cipher, options), name in zip(OLD, IDS, strict=True):
        done = made(version, cipher, options)
        story.channels[name] = Channel("192.0.2.10", "192.0.2.20", 5362)
        for back, data in done.pieces[:-3]:
            story.say(name, data, back=back)
        keylog += done.keylog
    (tmp_path / "all.pcap").write_bytes(write_pcap(frames_of(story)))
    (tmp_path / "all.keys").write_bytes(keylog)
    out = io.StringIO()
    run([str(tmp_path / "all.pcap")], as_json=True, out=out, keyfiles=KeyFiles([tmp_path / "all.keys"]))
    lines = json.loads(out.getvalue())["lines"]
    assert [line for line in lines if line["verdict"] != "same"] == []
    assert sum(line["kind"] == "message" for line in lines) == 3 * len(OLD)


@pytest.mark.parametrize(("version", "cipher"), [("1.0", "AES128-SHA"), ("1.2", "AES128-GCM-SHA256"), ("1.3", "")])
def test_it_does_not_matter_how_the_bytes_are_cut(version: str, cipher: str) -> None:
    turns = [(False, REQUEST), (True, ANSWER[:300])]
    done = talk(client_context(version, cipher), server_context(identity(), version, cipher), turns)
    whole = outcome(read_talk(done.pieces, done.keylog))
    for step in (1, 7, 1460):
        assert outcome(read_talk(done.pieces, done.keylog, step=step)) == whole


@pytest.mark.parametrize("size", [1, 3, 5, 6, 40, 200])
def test_handshake_messages_may_be_cut_across_records(size: int) -> None:
    """RFC 8446 5.1; what a record begins with is then no message."""
    done = made("1.2", "AES128-SHA")
    pieces = []
    for back, data in done.pieces:
        cut, rest = b"", data
        while rest:
            head, length = rest[:3], int.from_bytes(rest[3:5], "big")
            fragment, rest = rest[5 : 5 + length], rest[5 + length :]
            clear = head[0] == 22 and fragment[0] in (1, 2, 4, 11, 14, 16) and fragment[1] == 0
            step = size if clear else length
            for at in range(0, length, step):
                part = fragment[at : at + step]
                cut += head + len(part).to_bytes(2, "big") + part
        pieces.append((back, cut))
    for step in (None, 7):
        feed = read_talk(pieces, done.keylog, step=step)
        assert {who: feed.text(who) for who in SENT} == SENT


@pytest.mark.parametrize(("version", "cipher"), [("1.2", "AES128-SHA"), ("1.3", "")])
def test_the_directions_may_come_in_any_order(version: str, cipher: str) -> None:
    """Where one direction is fed whole before the other, what needs the other waits for it."""
    done = made(version, cipher)
    for first in (False, True):
        feed = TlsFeed(done.keylog)
        for side in (first, not first):
            for back, data in done.pieces:
                if back == side:
                    feed.data(back, data)
        feed.end()
        assert {who: feed.text(who) for who in SENT} == SENT


def test_every_plain_byte_knows_its_frame() -> None:
    done = made("1.2", "ECDHE-RSA-AES256-GCM-SHA384")
    feed = read_talk(done.pieces, done.keylog, step=1000)
    frames = feed.plain["server"].frames
    carried = frames.frames_of(0, len(ANSWER))
    # Three records, each with a header, a nonce and a tag.
    assert len(carried) == -(-(len(ANSWER) + 3 * (5 + 8 + 16)) // 1000)
    assert carried == tuple(range(carried[0], carried[-1] + 1))
    # A byte lies where its ciphertext byte lies.
    (place,) = frames.ranges_of(0, 10)
    assert place.start == 54 + 5 + 8


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(
    ("version", "cipher"), [("1.0", "AES128-SHA"), ("1.2", "AES256-SHA256"), ("1.2", "AES256-GCM-SHA384")]
)
def test_a_private_rsa_key_opens_rsa_key_exchange(version: str, cipher: str, extended: bool) -> None:
    done = made(version, cipher, 0 if extended else NO_EXTENDED_MASTER)
    keys = KeyMaterial()
    keys.add_rsa(load_pem_private_key(identity("rsa", "other.example").key, None))
    keys.add_rsa(load_pem_private_key(identity().key, None))
    feed = read_talk(done.pieces, keys)
    assert {who: feed.text(who) for who in SENT} == SENT
    assert (feed.facts.keys, feed.facts.extended_master) == ("RSA key", extended)
    # Without watching too: then certificates are looked at for the key only.
    assert read_talk(done.pieces, keys, watch=False).text("client") == SENT["client"]


@pytest.mark.parametrize("version", ["1.0", "1.2", "1.3"])
def test_a_client_certificate_is_part_of_what_was_said(version: str) -> None:
    """The extended master secret is made of all messages, the client's certificate among them."""
    cipher = "" if version == "1.3" else "AES128-SHA"
    server, client = server_context(identity(), version, cipher), client_context(version, cipher)
    who = identity("ec", "client.example", days=36500)
    with who.file() as file:
        client.load_cert_chain(file)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=who.certificate.decode())
    done = talk(client, server, TURNS)
    assert done.failure is None
    keys = KeyMaterial()
    keys.add_rsa(load_pem_private_key(identity().key, None))
    feed = read_talk(done.pieces, done.keylog if version == "1.3" else keys)
    assert {who: feed.text(who) for who in SENT} == SENT
    assert (feed.facts.asked, feed.facts.given) == (True, True)
    assert feed.facts.client_certificates[0].names == ("client.example",)


def test_another_private_key_opens_nothing() -> None:
    done = made("1.2", "AES128-SHA")
    keys = KeyMaterial()
    keys.add_rsa(load_pem_private_key(identity("rsa", "other.example").key, None))
    feed = read_talk(done.pieces, keys)
    assert not feed.plain
    assert feed.facts.state == "no keys"


@pytest.mark.parametrize("tickets", [False, True])
def test_a_resumed_session_is_opened_with_what_the_first_one_taught(tickets: bool) -> None:
    cipher = "AES128-SHA256"
    options = 0 if tickets else NO_TICKET
    server, client = server_context(identity(), "1.2", cipher, options), client_context("1.2", cipher, options)
    first = talk(client, server, TURNS)
    second = talk(client, server, TURNS, session=first.session)
    keys = KeyMaterial()
    keys.add_rsa(load_pem_private_key(identity().key, None))
    assert read_talk(first.pieces, keys).facts.resumed == ""
    feed = read_talk(second.pieces, keys)
    assert (feed.facts.resumed, feed.facts.keys) == ("ticket" if tickets else "id", "session")
    assert {who: feed.text(who) for who in SENT} == SENT
    # The key log has a line for each of them.
    assert read_talk(second.pieces, second.keylog).text("server") == SENT["server"]


def test_tls_13_resumes_with_a_pre_shared_key() -> None:
    server, client = server_context(identity(), "1.3"), client_context("1.3")
    first = talk(client, server, TURNS)
    second = talk(client, server, TURNS, session=first.session)
    feed = read_talk(second.pieces, second.keylog)
    assert feed.facts.resumed == "psk"
    assert not feed.facts.certificates
    assert {who: feed.text(who) for who in SENT} == SENT


def test_a_certificate_asked_for_after_the_handshake_does_not_change_keys() -> None:
    server, client = server_context(identity(), "1.3"), client_context("1.3")
    who = identity("ec", "client.example", days=36500)
    with who.file() as file:
        client.load_cert_chain(file)
    client.post_handshake_auth = server.post_handshake_auth = True
    server.load_verify_locations(cadata=who.certificate.decode())

    def ask(ends: object, number: int) -> None:
        if number == 2:
            ends.server.verify_client_post_handshake()
            ends.server.write(b"")

    server.verify_mode = ssl.CERT_REQUIRED
    done = talk(client, server, TURNS, between=ask)
    assert done.failure is None
    feed = read_talk(done.pieces, done.keylog)
    assert {who: feed.text(who) for who in SENT} == SENT
    assert feed.facts.asked
    assert feed.facts.given
    assert feed.facts.client_certificates[0].subject == "CN=client.example, O=Example"


def test_keys_of_another_connection_open_nothing_and_that_is_said() -> None:
    done, other = made("1.2", "AES128-SHA"), made("1.2", "AES128-SHA")
    random = done.keylog.split(b"CLIENT_RANDOM ")[1].split()[0]
    secret = other.keylog.split(b"CLIENT_RANDOM ")[1].split()[1]
    feed = read_talk(done.pieces, b"CLIENT_RANDOM " + random + b" " + secret + b"\n")
    assert not feed.plain
    assert feed.facts.state == "wrong keys"
    assert "tls.wrong-keys" in feed.rules()


def test_a_key_log_that_comes_late_opens_what_waits() -> None:
    for version in ("1.2", "1.3"):
        done = made(version, "")
        keys = KeyMaterial()
        keys.growing = True
        feed = TlsFeed(keys)
        for number, (back, data) in enumerate(done.pieces):
            feed.data(back, data)
            if number == len(done.pieces) - 2:
                assert not feed.plain
                keys.add_log(done.keylog)
                feed.table.keys_came()
        assert {who: feed.text(who) for who in SENT} == SENT


def test_what_waits_is_bounded() -> None:
    done = made("1.2", "")
    keys = KeyMaterial()
    keys.growing = True
    feed = read_talk(done.pieces[:-2], keys, limits=Limits(tls_waiting=1000))
    keys.add_log(done.keylog)
    feed.table.keys_came()
    assert not feed.plain
    assert feed.facts.state == "late keys"


def test_without_keys_nothing_is_read_but_what_is_clear() -> None:
    done = made("1.2", "ECDHE-RSA-AES256-GCM-SHA384")
    feed = read_talk(done.pieces)
    facts = feed.facts
    assert not feed.plain
    assert facts.finished
    assert (facts.state, facts.server_name, facts.version) == ("no keys", "scanner.example", 0x0303)
    assert facts.certificates[0].names == ("scanner.example",)
    assert facts.talks[1].bytes == sum(len(d) for back, d in done.pieces if back) - 5 * sum(
        facts.talks[1].records.values()
    )


def test_a_connection_that_no_key_can_open_is_let_go() -> None:
    done = made("1.2", "")
    feed = TlsFeed(made("1.2", "").keylog, watch=False)
    feed.data(*done.pieces[0])
    assert feed.conversation.released
