"""UDP: which datagrams are taken, and what is known of them."""

from __future__ import annotations

import pytest

from tests.support.columns import fed, udp

OTHER = ("192.0.2.9", 40000)
DISCOVERY = ("239.255.255.250", 3702)


def test_datagrams_are_taken_by_first_byte_or_port() -> None:
    passed = fed(
        [udp(b"<a/>"), udp(b"junk"), udp(b"junk", destination=DISCOVERY), udp(b"x", source=("192.0.2.7", 3702))]
    )
    assert [(d.frame, d.data) for d in passed.datagrams] == [(1, b"<a/>"), (3, b"junk"), (4, b"x")]
    assert passed.stats.taken == 3


def test_an_empty_datagram_is_passed_over() -> None:
    assert fed([udp(b"", destination=DISCOVERY)]).datagrams == []


def test_numbers_count_the_conversations_of_interest_in_both_directions() -> None:
    packets = [udp(b"junk", source=OTHER), udp(b"<a/>"), udp(b"<b/>", source=OTHER), udp(b"<c/>").back(), udp(b"<a/>")]
    for cuts in ([], [1, 2, 3, 4]):
        passed = fed(packets, cuts=cuts)
        assert [d.stream.number for d in passed.datagrams] == [0, 1, 0, 0]
        assert passed.datagrams[2].stream == passed.datagrams[0].stream.reversed()


def test_a_datagram_knows_its_frame_and_group() -> None:
    (datagram,) = fed([udp(b"<a/>", multicast=True, wire=9)]).datagrams
    assert (datagram.wire, datagram.multicast, datagram.time) == (9, True, 1000)
    assert [tuple(r) for r in datagram.frames.ranges_of(1, 3)] == [(1, 55, 2)]


def test_a_rebuilt_datagram_knows_the_frames_of_its_fragments() -> None:
    pieces = ((7, 42, 3), (5, 34, 4), (9, 34, 2))
    (datagram,) = fed([udp(b"<abcdefg>", pieces=pieces)]).datagrams
    assert datagram.data == b"<abcdefg>"
    assert [tuple(r) for r in datagram.frames.ranges_of(0, 9)] == list(pieces)
    assert [tuple(r) for r in datagram.frames.ranges_of(4, 8)] == [(5, 35, 3), (9, 34, 1)]


def test_a_flood_of_senders_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dissector.transport.udp.REMEMBERED", 2)
    packets = [udp(b"<a/>", source=("192.0.2.9", 1000 + n)) for n in (0, 1, 0, 2, 0)]
    assert [d.stream.number for d in fed(packets).datagrams] == [0, 1, 0, 2, 3]
