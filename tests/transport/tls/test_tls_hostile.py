"""Connections made to cost: what they take is bounded, also where the capture brings the keys along."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from dissector.base.limits import DEFAULT_LIMITS
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import Conversation, StreamEnd
from dissector.transport.tls import KeyMaterial, keys, lock, negotiation, shared
from dissector.transport.tls.handshake import certificates, decompressed
from dissector.transport.tls.table import TlsTable
from tests.fuzz.proportion import grows_no_faster
from tests.support import tls_feed
from tests.support.streams import Taken
from tests.support.tls_feed import SERVER, TlsFeed, read_talk
from tests.support.tls_peer13 import (
    CHOSEN,
    CLIENT_RANDOM,
    SERVER_RANDOM,
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


def opened() -> Peer13:
    peer = Peer13()
    peer.say(False, hello(VERSIONS, SHARE))
    peer.say(True, server_hello(CHOSEN, SHARE))
    peer.end(b"POST /a HTTP/1.1\r\n")
    return peer


def test_who_has_the_keys_cannot_make_every_record_cost_thousands_of_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loss is as long as thousands of records, and each record opens under the last number that is tried."""
    peer = opened()
    monkeypatch.setattr(lock.Tries, "__init__", lambda self: setattr(self, "left", 250))
    feed = TlsFeed(peer.keylog)
    for back, data in peer.pieces:
        feed.data(back, data)
    for _ in range(5):
        peer.skip(99)
        peer.pieces.clear()
        peer.seal(False, b"x", 23, application=True)
        peer.seal(False, b"y", 23, application=True)
        feed.gap(False, 3000)
        feed.data(False, b"".join(data for _, data in peer.pieces))
    feed.end()
    assert feed.plain["client"].bytes.endswith(b"\r\n" + b"xy" * 3)
    (told,) = [one for one in feed.findings if one.rule == "tls.not-opened"]
    assert told.text.endswith("do not open any more: how many are missing was tried too often already")


def log_of(count: int) -> bytes:
    return b"".join(b"CLIENT_RANDOM %064x %s\n" % (number, b"ab" * 48) for number in range(count))


def test_a_connection_does_not_go_through_a_key_log_of_others() -> None:
    def asked(count: int) -> Callable[[], object]:
        material = KeyMaterial()
        material.add_log(log_of(count))
        return lambda: [material.opens_premaster for _ in range(count)]

    grows_no_faster(asked, 8000)


def test_pre_master_secrets_are_known_until_they_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SECRETS", 5)
    material = KeyMaterial()
    premaster = b"PMS_CLIENT_RANDOM %064x abcd\n" % 1
    material.add_log(log_of(3))
    assert not material.opens_premaster
    for text in (premaster, premaster, premaster.replace(b"abcd", b"abce")):
        material.add_log(text)
    material.add_log(b"CLIENT_RANDOM %064x %s\n" % (77, b"ab" * 48))
    assert material.opens_premaster
    material.add_log(log_of(9))
    assert not material.opens_premaster


def test_connections_that_turn_out_to_be_none_are_not_searched_for() -> None:
    """They end in the reverse order."""

    def ended(count: int) -> Callable[[], object]:
        table = TlsTable(KeyMaterial(), lambda _, __: Taken, DEFAULT_LIMITS, watch=True)
        last = []
        for number in range(count):
            client = Endpoint("192.0.2.10", 1000 + number)
            conversation = Conversation(number, client, SERVER, True, client, both=True)
            feed = TlsFeed.__new__(TlsFeed)
            up = StreamRef("tcp", number, client, SERVER)
            sides = [table.consumer(conversation, one) for one in (up, up.reversed())]
            feed.ends = [tls_feed._End(side) for side in sides]
            feed.frame = number
            feed.data(False, record(22, message(0, b"")) + record(23, bytes(32)))
            last.append(sides)

        def end() -> None:
            for sides in reversed(last):
                for side in sides:
                    side.end(StreamEnd.FIN, 1, 1)
            assert not table.facts

        assert len(table.facts) == count
        return end

    grows_no_faster(ended, 2000)


def test_of_a_list_of_certificates_no_more_are_told_apart_than_are_read() -> None:
    listed = b"\0" + vector(bytes(5) * 50_000, 3)
    packed = b"\0\1" + len(listed).to_bytes(3, "big") + vector(zlib.compress(listed), 3)
    assert len(packed) < 600
    plain, _ = decompressed(packed)
    assert plain == listed
    assert certificates(plain, contexts=True) == [b""] * 20


def test_handshakes_of_one_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "HANDSHAKES", 10)
    again = b"\3\3" + bytes(32) + b"\0" + vector(b"\x13\1", 2) + b"\1\0" + vector(extension(99, bytes(1000)), 2)
    peer = opened()
    for _ in range(12):
        peer.seal(False, message(1, again), application=True)
    peer.seal(False, b"GET / HTTP/1.1\r\n\r\n", 23, application=True)
    feed = read_talk(peer.pieces, peer.keylog)
    assert feed.text("client") == b"POST /a HTTP/1.1\r\n"
    (told,) = [one for one in feed.findings if one.rule == "tls.handshakes"]
    assert told.text == "more than 10 handshakes of one connection: what follows is not opened"
    made = feed.ends[0].consumer._connection.negotiation.handshakes
    assert [len(one.client.extensions) for one in made] == [0] * 8 + [1, 1]
    assert made[0].client.random == CLIENT_RANDOM
    assert (made[0].server.random, made[0].server.extensions) == (SERVER_RANDOM, {})


def test_tickets_are_remembered_by_their_digest_where_they_are_long() -> None:
    material = KeyMaterial()
    names = [bytes(60_000) + bytes([number]) for number in range(3)] + [b"id", b"x" * 64]
    for number, name in enumerate(names):
        material.remember(name, bytes([number]) * 48)
    assert [material.session(name) for name in names] == [bytes([number]) * 48 for number in range(5)]
    assert sum(map(len, material._sessions)) < 200


def test_findings_that_are_not_told_one_by_one_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "SAID", 2)
    peer = Peer13()
    peer.say(False, b"\x16\3\1\0\4\1\0\0\0" * 4)
    told = read_talk(peer.pieces).table.said()
    assert [one.rule for one in told] == ["tls.bad-message"] * 2 + ["tls.more"]
    assert told[-1].text == "2 more findings on TLS connections (“dsmshark tls” tells what was found on each)"
