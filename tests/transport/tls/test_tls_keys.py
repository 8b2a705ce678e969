"""Key material: every form of key log line, pieces, bounds; and what connections teach for those that resume them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.transport.tls import KeyLog, KeyMaterial, keys
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_talk import client_context, identity, server_context, talk

RANDOM, OTHER = bytes(range(32)), bytes(range(32, 64))
MASTER = bytes(48)


def line(*words: bytes | str) -> bytes:
    return b" ".join(word.encode() if isinstance(word, str) else word.hex().encode() for word in words) + b"\n"


def read(text: bytes) -> KeyMaterial:
    made = KeyMaterial()
    made.add_log(text, "keys.log")
    return made


GOOD = {
    "CLIENT_RANDOM": line("CLIENT_RANDOM", RANDOM, MASTER),
    "CLIENT_RANDOM in capitals": line("CLIENT_RANDOM", RANDOM, MASTER).upper(),
    "CLIENT_RANDOM with a carriage return": line("CLIENT_RANDOM", RANDOM, MASTER)[:-1] + b"\r\n",
    "PMS_CLIENT_RANDOM": line("PMS_CLIENT_RANDOM", RANDOM, bytes(32)),
    "RSA": line("RSA", RANDOM[:8], MASTER),
    "RSA Session-ID": b"RSA Session-ID:" + RANDOM.hex().encode() + b" Master-Key:" + MASTER.hex().encode() + b"\n",
    "CLIENT_TRAFFIC_SECRET_0": line("CLIENT_TRAFFIC_SECRET_0", RANDOM, bytes(32)),
    "SERVER_HANDSHAKE_TRAFFIC_SECRET": line("SERVER_HANDSHAKE_TRAFFIC_SECRET", RANDOM, bytes(48)),
}
IGNORED = {
    "comment": b"# SSL/TLS secrets log file\n",
    "empty": b"\n  \n",
    "exporter": line("EXPORTER_SECRET", RANDOM, bytes(32)),
}
BAD = {
    "unknown label": line("CLIENT_RANDOMS", RANDOM, MASTER),
    "short random": line("CLIENT_RANDOM", RANDOM[:31], MASTER),
    "short secret": line("CLIENT_RANDOM", RANDOM, MASTER[:47]),
    "no secret": line("CLIENT_RANDOM", RANDOM),
    "odd digits": line("CLIENT_RANDOM", RANDOM, MASTER)[:-2] + b"\n",
    "no digits": b"CLIENT_RANDOM x y\n",
    "not ASCII": "CLIENT_RANDOM ü ü\n".encode(),
    "long": b"CLIENT_RANDOM " + b"0" * 10_000 + b" 00\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_line_that_is_understood(text: bytes) -> None:
    made = read(b"# first\n" + text)
    assert made
    assert not made.findings
    # Again: nothing new.
    version = made.version
    made.add_log(text)
    assert made.version == version


@pytest.mark.parametrize("text", IGNORED.values(), ids=IGNORED)
def test_a_line_that_is_not_needed(text: bytes) -> None:
    made = read(text)
    assert not made
    assert not made.findings


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_line_that_is_none_is_told_and_skipped(text: bytes) -> None:
    made = read(text + GOOD["CLIENT_RANDOM"])
    assert made.master(RANDOM) == MASTER
    (finding,) = made.findings
    assert finding.text == "keys.log: line 1 of the key log is not understood"


def test_many_bad_lines_are_one_finding() -> None:
    (finding,) = read(BAD["no digits"] * 9).findings
    assert finding.text == "keys.log: holds no secret: lines 1, 2, 3, 4, 5, … of the key log are not understood"


@given(st.lists(st.integers(1, 60), max_size=20), st.sampled_from(sorted(GOOD.values())))
def test_a_key_log_may_come_in_any_pieces(cuts: list[int], text: bytes) -> None:
    whole, made = read(text * 2 + GOOD["RSA"]), KeyMaterial()
    log, at = KeyLog(made, "keys.log"), 0
    data = text * 2 + GOOD["RSA"][:-1]
    for cut in cuts:
        log.feed(data[at : at + cut])
        at += cut
    log.feed(data[at:])
    log.end()
    assert (made._secrets, made.version) == (whole._secrets, whole.version)


def test_the_oldest_secrets_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SECRETS", 2)
    made = read(b"".join(line("CLIENT_RANDOM", bytes([n]) * 32, MASTER) for n in range(4)))
    assert [made.master(bytes([n]) * 32) is not None for n in range(4)] == [False, False, True, True]
    assert [finding.rule for finding in made.findings] == ["tls.keylog-full"]


def test_sessions_are_bounded_and_found_by_id_and_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SESSIONS", 2)
    made = KeyMaterial()
    for name in (b"", b"one", b"two", b"three"):
        made.remember(name, MASTER)
    assert [made.session(name) for name in (b"", b"one", b"two", b"three")] == [None, None, MASTER, MASTER]


@pytest.mark.parametrize(("most", "pairs"), [(1, 1), (2, 2), (3, 2)])
def test_whose_keys_came_too_late_is_kept_of_so_many(monkeypatch: pytest.MonkeyPatch, most: int, pairs: int) -> None:
    made = KeyMaterial()
    made.growing = True
    for number in range(3):
        # Two of the connections are between the same ends.
        ends = Endpoint("192.0.2.1", 49_152 + number // 2), Endpoint("192.0.2.2", 443)
        made.over(bytes([number]) * 32, ends, None)
    monkeypatch.setattr(keys, "SESSIONS", most)
    made.add_log(b"".join(line("CLIENT_RANDOM", bytes([number]) * 32, MASTER) for number in range(3)))
    assert (list(made.missed.values()), made.missed_in_all) == ([2, 1][:pairs], 3)


@pytest.mark.parametrize("text", ["", "xyz", "00:zz", "0011:00", "00" * 32 + ":"])
def test_a_pre_master_secret_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="hexadecimal digits"):
        KeyMaterial().add_premaster(text)


def test_a_session_of_an_openssl_log_opens_a_connection() -> None:
    from tests.support.tls_talk import NO_TICKET

    turns = [(False, b"GET / HTTP/1.1\r\n\r\n")]
    server, client = server_context(identity(), "1.2", "", NO_TICKET), client_context("1.2", "", NO_TICKET)
    done = talk(client, server, turns)
    answer = done.pieces[1][1]
    # Record header, message header, version, random: then the session id.
    session = answer[5 + 4 + 2 + 32 + 1 :][: answer[5 + 4 + 2 + 32]]
    master = done.keylog.split(b"CLIENT_RANDOM ")[1].split()[1]
    log = b"RSA Session-ID:" + session.hex().encode() + b" Master-Key:" + master + b"\n"
    assert read_talk(done.pieces, log).text("client") == turns[0][1]


def test_compressed_records_are_inflated_and_bounded() -> None:
    """DEFLATE of old (RFC 3749): one stream over all records."""
    import zlib

    from tests.support.tls_peer import OldTalk

    made = OldTalk("RC4-SHA", "1.0", compression=1)
    packer = zlib.compressobj()
    request = b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n"
    packed = packer.compress(made.finished) + packer.flush(zlib.Z_SYNC_FLUSH)
    made.say(False, packed, 22)
    for _ in range(2):
        made.say(False, packer.compress(request) + packer.flush(zlib.Z_SYNC_FLUSH))
    feed = read_talk(made.pieces, made.keylog)
    assert feed.text("client") == request * 2
    # Where a compressed byte came from is known by its record.
    assert len(feed.plain["client"].frames.frames_of(0, 2 * len(request))) == 2
    bomb = OldTalk("RC4-SHA", "1.0", compression=1)
    packer = zlib.compressobj()
    bomb.say(False, packer.compress(bomb.finished) + packer.flush(zlib.Z_SYNC_FLUSH), 22)
    bomb.say(False, packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH))
    assert len(read_talk(bomb.pieces, bomb.keylog).text("client")) <= (1 << 14) + 1024


def test_connections_beyond_the_limit_are_counted() -> None:
    from dissector.base.limits import Limits

    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), [])
    for most, kept in ((1, 1), (0, 0)):
        feed = TlsFeed(limits=Limits(tls_connections=most))
        for back, data in done.pieces:
            feed.data(back, data)
        feed.end()
        assert (len(feed.table.facts), feed.table.left_out) == (kept, 1 - kept)
