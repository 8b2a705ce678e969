"""The flow table on rows that no real sender makes: numbering, bounds, and independence of blocks and paths."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.limits import Limits
from dissector.transport.flows import segments
from dissector.transport.model import ACK, FIN, RST, SYN, StreamEnd
from dissector.transport.tcp import Direction
from tests.support.columns import CLIENT, SERVER, Packet, columns, fed
from tests.support.streams import Passed, Taken

POST = b"POST /x HTTP/1.1\r\n"


def outcome(passed: Passed) -> tuple[object, ...]:
    stats = passed.stats
    return (
        sorted(passed.events(), key=str),
        sorted(map(str, stats.findings)),
        stats.taken,
        stats.conversations,
        stats.opaque,
        [(c.number, c.first, c.client, c.opened) for c in passed.conversations],
    )


def stretch(seq: int, size: int, count: int, fill: bytes = b"y") -> list[Packet]:
    return [Packet(fill * size, seq + n * size) for n in range(count)]


# -- numbers, as tshark 4.0 gives them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([(100, SYN), (100, SYN)], 1),
        ([(100, SYN), (200, SYN)], 2),
        ([(100, SYN), (101, FIN | ACK), (100, SYN)], 1),
        ([(101, ACK), (100, SYN)], 1),
        ([(101, ACK), (101, SYN)], 2),
        ([(100, SYN), (200, SYN), (100, SYN)], 3),
        ([(100, SYN | ACK), (300, SYN | ACK), (300, SYN)], 1),
        ([(100, SYN | ACK), (300, SYN | ACK), (100, SYN)], 2),
    ],
)
def test_a_syn_off_the_base_of_its_side_starts_a_new_conversation(rows: list[tuple[int, int]], count: int) -> None:
    packets = [Packet(seq=seq, flags=flags, ack=501) for seq, flags in rows]
    assert fed(packets).stats.conversations == count
    assert fed(packets, cuts=range(len(packets))).stats.conversations == count


def test_the_peers_acknowledgement_tells_the_base_too() -> None:
    told = Packet(seq=1, flags=ACK, ack=501).back()
    assert fed([told, Packet(seq=500, flags=SYN)]).stats.conversations == 1
    assert fed([told, Packet(seq=501, flags=SYN)]).stats.conversations == 2


# -- bounds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(), range(80)])
def test_more_flows_than_the_limit_in_one_block_or_many(cuts: range) -> None:
    packets = []
    for port in range(40):
        packets += [Packet(seq=5, flags=SYN, source=("192.0.2.1", 1000 + port))]
        packets += [Packet(POST, 6, source=("192.0.2.1", 1000 + port))]
    passed = fed(packets, cuts=cuts, limits=Limits(streams=10))
    assert [t.bytes for t in passed.taken if t.stream.source != SERVER] == [POST] * 40
    assert [f.rule for f in passed.stats.findings] == ["tcp.streams"]


def test_the_flow_idle_for_longest_is_the_one_that_is_closed() -> None:
    old = [Packet(POST, 6), Packet(b"a", 6 + len(POST)), Packet(b"b", 7 + len(POST))]
    idle = Packet(POST, 6, source=("192.0.2.1", 999))
    noise = [Packet(b"noise", 6, source=("192.0.2.1", port)) for port in range(2000, 2004)]
    packets = [old[0], idle, *noise[:2], old[1], *noise[2:], old[2]]
    passed = fed(packets, cuts=range(len(packets)), limits=Limits(streams=5))
    assert passed.taken[0].bytes == POST + b"ab"
    assert passed.taken[2].bytes == POST


def test_what_is_held_does_not_keep_the_block_in_memory() -> None:
    packets = [Packet(POST, 6), Packet(b"late", 600)]
    rows = columns(packets)
    rows.buffers[0] = rows.buffers[0] + bytes(1 << 20)
    made = segments(rows, rows.frame - 1)
    direction = Direction(Taken(None), lambda finding: None)
    for s in made:
        direction.segment(s.seq, s.data, s.wire, s.frame, s.at, s.time)
    assert direction.held[0].data == b"late"
    assert isinstance(direction.held[0].data, bytes)


# -- out of the window -------------------------------------------------------------------------------------------


def test_the_payload_of_a_reset_is_no_part_of_the_stream() -> None:
    passed = fed([Packet(POST, 6), Packet(b"No tcp connection", 6 + len(POST), flags=RST)])
    assert passed.taken[0].bytes == POST
    assert passed.taken[0].events[-1][1] == StreamEnd.RESET


@pytest.mark.parametrize("seq", [6, 6 + (1 << 30) + 100])
def test_a_fin_out_of_the_window_does_not_end_the_stream(seq: int) -> None:
    passed = fed([Packet(POST, 6), Packet(seq=seq, flags=FIN | ACK), Packet(b"rest", 6 + len(POST))])
    assert passed.taken[0].bytes == POST + b"rest"


def test_an_equal_copy_of_a_large_segment_is_no_finding() -> None:
    large = POST + bytes(n * 7 % 251 for n in range(40_000))
    passed = fed([Packet(large, 6), Packet(large, 6)])
    assert passed.taken[0].bytes == large
    assert passed.stats.findings == []


# -- what is known of a conversation ---------------------------------------------------------------------------


def test_a_syn_ack_tells_the_client() -> None:
    passed = fed([Packet(seq=5, flags=SYN | ACK, ack=9).back(), Packet(POST, 9)])
    (conversation,) = passed.conversations
    assert conversation.client == CLIENT
    assert not conversation.opened


def test_tls_is_counted_from_its_handshake_and_by_its_client_however_the_blocks_are_cut() -> None:
    packets = [
        Packet(seq=5, flags=SYN | ACK, ack=9).back(),
        Packet(seq=9),
        Packet(b"\x16\x03\x01hello", 9),
        Packet(b"\x17\x03\x03x", 6).back(),
    ]
    for cuts in ([], [1], [2], [3], [1, 2, 3]):
        assert fed(packets, cuts=cuts).stats.opaque == {"tls": {(CLIENT, SERVER): (4, 12)}}


@pytest.mark.parametrize("opened", [False, True])
def test_tls_that_was_opened_before_the_capture_is_counted_as_from_its_client(opened: bool) -> None:
    packets = [Packet(b"\x17\x03\x03answer", 50).back(), Packet(b"\x17\x03\x03more", 6), Packet(b"more", 13)]
    if opened:
        # Whose beginning is there and is no handshake is none.
        packets = [Packet(seq=49, flags=SYN | ACK, ack=6).back(), *packets]
    expected = {} if opened else {"tls": {(CLIENT, SERVER): (3, 20)}}
    for cuts in ([], [1], [2], [1, 2]):
        assert fed(packets, cuts=cuts).stats.opaque == expected


def test_rows_rebuilt_from_fragments_know_the_frames_of_every_byte() -> None:
    pieces = ((4, 54, 10), (2, 34, 8))
    passed = fed([Packet(POST, 6, pieces=pieces), Packet(b"rest", 6 + len(POST))])
    assert [tuple(r) for r in passed.taken[0].frames.ranges_of(0, 22)] == [*pieces, (2, 54, 4)]


# -- both paths, any blocks ------------------------------------------------------------------------------------


def test_a_fin_behind_a_gap_waits_as_long_on_both_paths() -> None:
    packets = [Packet(seq=5, flags=SYN), Packet(seq=50, flags=SYN | ACK, ack=6).back(), Packet(POST, 6, ack=51)]
    packets += [Packet(seq=34, flags=FIN | ACK, ack=51)]
    packets += [Packet(b"HTTP" + b"x" * 96, 51 + n * 100, ack=35).back() for n in range(200)]
    assert outcome(fed(packets)) == outcome(fed(packets, bulk=False))


def test_a_differing_copy_is_found_behind_a_stretch_on_both_paths() -> None:
    packets = [Packet(POST + b"x" * (1400 - len(POST)), 6), *stretch(1406, 1400, 4)]
    packets += [packets[-1], *stretch(7006, 100, 14), Packet(b"D" * 1400, 2806)]
    for bulk in (True, False):
        assert [f.rule for f in fed(packets, bulk=bulk).stats.findings] == ["tcp.differing-copy"]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_neither_blocks_nor_path_change_anything(rng: random.Random) -> None:
    packets: list[Packet] = []
    for source in [CLIENT, ("192.0.2.1", 50000)][: rng.randrange(1, 3)]:
        at, back = 6, 51
        opening = [Packet(seq=5, flags=SYN), Packet(seq=50, flags=SYN | ACK, ack=6).back()]
        mine = opening[: rng.randrange(3)]
        start = rng.choice([POST, POST, b"PO", b"\x16\x03\x01abc", b"\x17\x03\x03abc", b"junkjunk"])
        mine.append(Packet(start, at, ack=back))
        at += len(start)
        for _ in range(rng.randrange(1, 5)):
            size = rng.choice([1, 3, 100])
            for _ in range(rng.choice([1, 2, 30])):
                data = rng.choice([b"y" * size, POST])
                mine.append(Packet(data, at, ack=back))
                at += len(data)
            answer = rng.choice([b"HTTP/1.1 200 OK\r\n", b"z"])
            mine.append(Packet(answer, back, ack=at).back())
            back += len(answer)
        if rng.random() < 0.5:
            mine.append(Packet(seq=at, flags=rng.choice([FIN | ACK, RST]), ack=back))
        for _ in range(rng.randrange(4)):
            where = rng.randrange(len(mine))
            packet = mine.pop(where)
            if rng.random() < 0.7:
                mine.insert(min(len(mine), where + rng.randrange(6)), packet)
        if rng.random() < 0.2:
            mine += [Packet(seq=rng.choice([5, 900]), flags=SYN), Packet(POST, 901)]
        packets += [
            Packet(**{**vars(p), "source": source})
            if p.source == CLIENT
            else Packet(**{**vars(p), "destination": source})
            for p in mine
        ]
    limits = Limits(gap_wait_segments=rng.choice([2, 64]))
    expected = outcome(fed(packets, cuts=range(len(packets)), bulk=False, limits=limits))
    assert outcome(fed(packets, limits=limits)) == expected
    cuts = sorted(rng.sample(range(len(packets)), min(3, len(packets))))
    assert outcome(fed(packets, cuts=cuts, limits=limits)) == expected
