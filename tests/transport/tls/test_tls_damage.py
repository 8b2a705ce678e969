"""Lost bytes, damaged bytes, trailing bytes: what the damage did not touch is still decoded, and nothing raises."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.transport.tls.records import HEADER, Lost, Record, RecordReader
from tests.support.tls_feed import TlsFeed, read_talk
from tests.support.tls_talk import NO_ENCRYPT_THEN_MAC, Talk, client_context, identity, server_context, talk

REQUEST = b"GET /a HTTP/1.1\r\n\r\n"
PARTS = [bytes([65 + n]) * 3000 for n in range(8)]
TURNS = [(False, REQUEST), *((True, part) for part in PARTS)]

EXACT = [("1.2", "ECDHE-RSA-AES256-GCM-SHA384", 0), ("1.2", "AES128-CCM8", 0), ("1.2", "NULL-SHA256", 0),
         ("1.2", "ECDHE-RSA-CHACHA20-POLY1305", 0), ("1.3", "", 0)]  # fmt: skip
"""Ciphers whose records all grow by the same amount: the size of a gap is known."""
VARYING = [("1.2", "AES128-SHA", 0), ("1.2", "AES128-SHA256", NO_ENCRYPT_THEN_MAC), ("1.1", "AES128-SHA", 0)]
CHAINED = [("1.0", "AES128-SHA", NO_ENCRYPT_THEN_MAC), ("1.0", "AES128-SHA", 0)]


@cache
def made(version: str, cipher: str, options: int = 0) -> Talk:
    done = talk(
        client_context(version, cipher, options),
        server_context(identity(), version, cipher, options),
        TURNS,
        close=False,
    )
    assert done.failure is None
    # One record for each part; TLS 1.0 puts one of a single byte before each.
    return done


def parts_of(done: Talk) -> list[int]:
    """Which pieces are the answer's parts."""
    return [number for number, (back, data) in enumerate(done.pieces) if back and len(data) > 2900][-len(PARTS) :]


def with_gap(done: Talk, lost: dict[int, tuple[int, int]]) -> TlsFeed:
    """Read it with bytes low..high of some pieces missing."""
    feed = TlsFeed(done.keylog)
    for number, (back, data) in enumerate(done.pieces):
        low, high = lost.get(number, (0, 0))
        if high > low:
            if low:
                feed.data(back, data[:low], 500)
            feed.gap(back, high - low)
            data = data[high:]
        if data:
            feed.data(back, data, 500)
    feed.end()
    return feed


@pytest.mark.parametrize("where", ["inside", "header", "whole", "two"])
@pytest.mark.parametrize(("version", "cipher", "options"), [*EXACT, *VARYING, *CHAINED])
def test_a_lost_record_costs_itself_and_decoding_goes_on(version: str, cipher: str, options: int, where: str) -> None:
    done = made(version, cipher, options)
    places = parts_of(done)
    size = len(done.pieces[places[2]][1])
    low, high = {"inside": (700, 1900), "header": (size - 1000, size), "whole": (0, size), "two": (700, size)}[where]
    lost = {places[2]: (low, high)}
    if where == "header":
        lost[places[3]] = (0, 3)
    elif where == "two":
        lost[places[3]] = (0, 100)
    feed = with_gap(done, lost)
    taken = feed.plain["server"]
    missing = 1 if where in ("inside", "whole") else 2
    chained = (version, cipher, options) in CHAINED
    # A record of CBC of old needs the end of the one before: that is lost with it, unless that end is there.
    first_behind = 2 + missing + (chained and where != "inside")
    assert b"".join(PARTS[:2]) == taken.bytes[:6000]
    assert taken.bytes[6000:].endswith(b"".join(PARTS[first_behind:]))
    assert len(taken.gaps) == 1
    gap = taken.gaps[0]
    assert gap.offset == 6000
    assert gap.length == (missing * 3000 if (version, cipher, options) in EXACT else 0)
    assert gap.before
    assert gap.after > gap.before
    assert "tls.lost-records" in feed.rules()
    assert feed.facts.state == "opened"
    assert feed.text("client") == REQUEST


@pytest.mark.parametrize(("version", "cipher", "options"), [*EXACT, *VARYING, *CHAINED])
def test_a_damaged_record_is_a_gap(version: str, cipher: str, options: int) -> None:
    done = made(version, cipher, options)
    place = parts_of(done)[4]
    pieces = list(done.pieces)
    back, data = pieces[place]
    pieces[place] = (back, data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    feed = read_talk(pieces, done.keylog)
    taken = feed.plain["server"]
    assert taken.bytes.startswith(b"".join(PARTS[:4]))
    assert taken.bytes.endswith(b"".join(PARTS[5 + ((version, cipher, options) in CHAINED) :]))
    assert len(taken.gaps) == 1


@pytest.mark.parametrize(("version", "cipher"), [("1.2", "AES128-GCM-SHA256"), ("1.2", "AES128-SHA"), ("1.3", "")])
def test_lost_handshake_messages_cost_the_handshake_only(version: str, cipher: str) -> None:
    """The client's Finished (and, before 1.3, the change of keys) is lost: what it says behind it is read."""
    done = made(version, cipher)
    client = [number for number, (back, _) in enumerate(done.pieces) if not back]
    second = client[1]
    feed = with_gap(done, {second: (0, len(done.pieces[second][1]))})
    assert feed.text("client") == REQUEST
    assert feed.text("server") == b"".join(PARTS)


def test_a_damaged_record_in_the_middle_of_many_lost_ones_is_found_again() -> None:
    done = made("1.3", "")
    places = parts_of(done)
    lost = {place: (0, len(done.pieces[place][1])) for place in places[1:6]}
    lost[places[6]] = (0, 10)
    feed = with_gap(done, lost)
    taken = feed.plain["server"]
    assert taken.bytes == PARTS[0] + PARTS[7]
    assert [gap.length for gap in taken.gaps] == [6 * 3000]


def test_bytes_behind_the_last_record_are_not_held_against_it() -> None:
    done = made("1.2", "AES128-GCM-SHA256")
    whole = read_talk(done.pieces, done.keylog)
    for junk in (b"\x00", b"\x17\x03\x03\x40\x00half", b"junk" * 5000, b"\x16\x03\x01" * 7):
        feed = read_talk([*done.pieces, (True, junk)], done.keylog)
        assert feed.text("server") == whole.text("server")
        assert feed.text("client") == whole.text("client")


# -- anything at all -------------------------------------------------------------------------------------------------

TALKS = [("1.0", "AES128-SHA", 0), ("1.2", "AES128-GCM-SHA256", 0), ("1.2", "AES128-SHA256", 0), ("1.3", "", 0)]


@settings(max_examples=40, deadline=None)
@given(which=st.sampled_from(TALKS), seed=st.integers(0, 1 << 32), step=st.sampled_from([40, 400, 100_000]))
def test_no_damage_raises_and_nothing_that_was_not_sent_comes_out(
    which: tuple[str, str, int], seed: int, step: int
) -> None:
    rng = random.Random(seed)
    done = made(*which)
    feed = TlsFeed(done.keylog if rng.random() < 0.9 else b"")
    for back, data in done.pieces:
        chance = rng.random()
        if chance < 0.1:
            feed.gap(back, len(data))
            continue
        if chance < 0.2:
            cut = rng.randrange(len(data))
            feed.gap(back, cut or 1)
            data = data[cut or 1 :]
        elif chance < 0.3:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif chance < 0.35:
            data = data + rng.randbytes(rng.randrange(1, 40))
        if data:
            feed.data(back, data, step)
    feed.end()
    for who, sent in (("client", REQUEST), ("server", b"".join(PARTS))):
        for piece in feed.plain[who].events if who in feed.plain else ():
            if piece[0] == "data":
                assert isinstance(piece[2], bytes)
                assert piece[2] in sent or set(piece[2]) <= set(sent)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.integers(1, 60)), max_size=12), st.booleans())
def test_the_record_reader_takes_anything(parts: list[bytes | int], tls: bool) -> None:
    reader = RecordReader()
    from dissector.base.origin import Gap

    at = 0
    items: list[Record | Lost] = []
    for part in parts:
        if isinstance(part, int):
            items += reader.gap(Gap(at, part))
            at += part
        else:
            data = (b"\x17\x03\x03" + len(part).to_bytes(2, "big") + part) if tls else part
            items += reader.feed(data, at)
            at += len(data)
    items += reader.end()
    edge = 0
    for item in items:
        begin, end = (item.offset, item.end) if isinstance(item, Record) else (item.start, item.end)
        assert begin >= edge or isinstance(item, Lost)
        assert end >= begin
        edge = max(edge, end)
    assert edge <= at + 0x8000 + HEADER


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_records_do_not_depend_on_how_they_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    raw = b""
    for _ in range(rng.randrange(1, 6)):
        size = rng.choice([1, 5, 200, 3000])
        raw += (
            bytes([rng.choice([20, 21, 22, 23]), 3, rng.choice([1, 3])]) + size.to_bytes(2, "big") + rng.randbytes(size)
        )
    if rng.random() < 0.5:
        raw = raw[:-3] + b"\xff" * rng.randrange(0, 300) + raw[-3:]
    whole = RecordReader()
    expected = [*whole.feed(raw, 0), *whole.end()]
    reader = RecordReader()
    found: list[Record | Lost] = []
    at = 0
    while at < len(raw):
        step = rng.choice([1, 2, 30, 400])
        found += [
            item._replace(fragment=bytes(item.fragment)) if isinstance(item, Record) else item
            for item in reader.feed(raw[at : at + step], at)
        ]
        at += step
    found += reader.end()
    assert found == expected
