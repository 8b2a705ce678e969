"""The flow table and the reassembly behind it, from frames to bytes."""

from __future__ import annotations

import io
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dissector.assembly import MessagePass
from dissector.base.limits import Limits
from dissector.capture import open_source
from dissector.http.model import BodyPolicy
from dissector.transport.model import StreamEnd
from tests.fuzz.attacks import Line, capture
from tests.fuzz.drive import SMALL, told
from tests.fuzz.oracles import same
from tests.support import wsd
from tests.support.lossy import lossy
from tests.support.stories import Channel, Story, dsm_completed, dsm_two_jobs
from tests.support.streams import Passed, pass_over
from tests.support.wire import Frame, Wire, frames_of, write_pcap

REQUEST = b"POST /a HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + bytes(range(250)) * 36
ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def talk(*turns: tuple[bytes, bool], port: int = 5357) -> Story:
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", port)})
    for data, back in turns:
        story.say("c", data, back=back)
    return story


def two_way(passed: Passed) -> tuple[bytes, bytes]:
    assert len(passed.taken) == 2
    by_port = sorted(passed.taken, key=lambda t: t.stream.destination.port)
    return by_port[0].bytes, by_port[1].bytes


def seq_of(frame: Frame) -> int:
    return int(struct.unpack(">I", frame.data[38:42])[0])


def test_both_directions_are_taken_from_the_first_byte_to_the_fin() -> None:
    passed = pass_over(frames_of(talk((REQUEST, False), (ANSWER, True))))
    assert two_way(passed) == (REQUEST, ANSWER)
    assert [t.events[-1][1] for t in passed.taken] == [StreamEnd.FIN, StreamEnd.FIN]
    assert not passed.taken[0].gaps
    conversation = passed.conversations[0]
    assert conversation.opened
    assert str(conversation.client) == "192.0.2.1:49153"


def test_what_is_before_a_gap_is_not_known_as_late_as_what_is_behind_it() -> None:
    """Also where nothing made the transport hand it over before."""
    asked = [wsd.request("/a", "a", wsd.get(f"urn:uuid:{n}", "urn:uuid:device")) for n in range(9)]
    line = Line(1)
    # The first 4 kB of a file are a block of their own.
    frames = [
        *Line(9).say(bytes(5000)),
        *line.say(asked[0]),
        *(frame for n in range(2, 5) for frame in Line(n).say(asked[n])),
        line.segment(asked[1][50:], at=len(asked[0]) + 50),
        *(frame for n in range(5, 8) for frame in Line(n).say(asked[n])),
        line.segment(asked[1][:50], at=len(asked[0])),
        *Line(8).say(asked[8]),
    ]
    whole = told(capture(frames), 8 << 20)
    assert whole == told(capture(frames), SMALL)
    assert [m["frames"] for m in whole["messages"]] == [[5], [6], [7], [8], [10], [11], [12], [9, 13], [14]]


def test_every_byte_knows_its_frame() -> None:
    frames = frames_of(talk((REQUEST, False)), mss=1000)
    taken = pass_over(frames, bulk=False).taken[0]
    numbers = [n for n, f in enumerate(frames, 1) if f.payload]
    # The map was released at the end of the stream for the transport, but the consumer still holds it.
    assert taken.frames.frames_of(0, len(REQUEST)) == tuple(numbers)
    place = taken.frames.ranges_of(1500, 1502)[0]
    assert frames[place.frame - 1].data[place.start : place.start + 2] == REQUEST[1500:1502]


@pytest.mark.parametrize("mss", [1, 2, 3, 7])
def test_a_start_line_in_tiny_segments_is_still_taken(mss: int) -> None:
    request = b"POST /tiny HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    assert two_way(pass_over(frames_of(talk((request, False), (ANSWER, True)), mss=mss))) == (request, ANSWER)


def test_sequence_numbers_wrap() -> None:
    passed = pass_over(frames_of(talk((REQUEST, False), (ANSWER, True)), first_seq=0xFFFFF000))
    assert two_way(passed) == (REQUEST, ANSWER)


def test_a_lost_segment_is_a_gap_with_its_place_and_frames() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True)), mss=1000)
    lost = [n for n, f in enumerate(frames) if f.payload == 1000][4]
    passed = pass_over(frames[:lost] + frames[lost + 1 :])
    taken = passed.taken[0]
    assert taken.bytes == REQUEST[:4000] + REQUEST[5000:]
    (gap,) = taken.gaps
    assert (gap.offset, gap.length, gap.reason) == (4000, 1000, "lost")
    data = [n for n, f in enumerate(frames[:lost] + frames[lost + 1 :], 1) if f.payload == 1000]
    assert (gap.before, gap.after) == (data[3], data[4])
    assert [f.rule for f in passed.stats.findings] == ["tcp.gap"]


def test_a_gap_is_given_up_when_the_peer_acknowledged_it_and_the_talk_goes_on() -> None:
    turns = [(REQUEST, False), (ANSWER, True)] * 20
    frames = frames_of(talk(*turns), mss=1000)
    lost = [n for n, f in enumerate(frames) if f.payload == 1000][2]
    frames = frames[:lost] + frames[lost + 1 :]
    gap = pass_over(frames).taken[0].gaps[0]
    assert lost < gap.released < lost + 80


@pytest.mark.parametrize("block", [400, 700, 8 << 20])
def test_an_answer_behind_a_gap_is_known_when_the_gap_is_given_up(block: int) -> None:
    """And messages of other connections that became whole meanwhile come before it, in blocks of any size."""
    request = b"POST /a HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)
    story = Story(channels={name: Channel("192.0.2.1", f"192.0.2.{at}", 80) for at, name in ((2, "a"), (3, "b"))})
    for channel in "abba":
        story.ask(channel, request, ANSWER)
    frames = frames_of(story, mss=1000)
    first = frames[[n for n, f in enumerate(frames) if f.payload == 1000][1]]
    frames.remove(first)
    told = []
    with open_source(io.BytesIO(write_pcap(frames)), block_bytes=block) as source:
        reading = MessagePass(
            source, policy=BodyPolicy(), on_http=lambda http: told.append((http.stream.number, http.is_request))
        )
        assert not list(reading)
    assert told == [(1, True), (1, False)] * 2 + [(0, True), (0, False)] * 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([300, 500, 1500]))
@example(95, 300)
@example(96, 500)
@example(155, 300)
@example(419, 300)
def test_losses_of_both_sides_give_the_same_messages_in_blocks_of_any_size(seed: int, block: int) -> None:
    """The same pairs, numbers and order, however long one side's bytes wait for what is missing of the other."""
    data = lossy(seed)
    same(told(data, 8 << 20), told(data, block), f"blocks of 8 MiB and of {block} bytes")


@pytest.mark.parametrize("block", [300, 8 << 20])
@pytest.mark.parametrize("first", [0, 1], ids=["asks", "answers"])
def test_what_was_held_behind_a_gap_waits_for_a_gap_of_the_other_side(block: int, first: int) -> None:
    """A gap of each side, whichever is filled first: the answer comes behind its request."""
    asked = wsd.envelope(f"{wsd.WXF}/Get", "", message_id="urn:uuid:1")
    came = wsd.envelope(f"{wsd.WXF}/GetResponse", "", relates_to="urn:uuid:1")
    turn = wsd.request("/a", "192.0.2.2:5357", asked), wsd.response(came)
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", 5357)})
    for _ in range(2):
        story.ask("c", *turn)
    frames = frames_of(story, mss=2000)
    payload = [frame for frame in frames if frame.payload]
    lost = payload[:2]
    left = [frame for frame in frames if frame not in lost]
    late = left[3:]
    # Each is sent once more, too late: one after the other fills its gap.
    again = lost if first == 0 else lost[::-1]
    where = late.index(payload[3]) + 1
    left = left[:3] + late[:where] + again + late[where:]
    with open_source(io.BytesIO(write_pcap(left)), block_bytes=block) as source:
        told_of = [(message.name, message.request) for message in MessagePass(source, policy=BodyPolicy())]
    assert told_of == [("Get", None), ("GetResponse", 1), ("Get", None), ("GetResponse", 3)]


@pytest.mark.parametrize("start", [b"", b"\r\n", b"\r\n\r\n"])
def test_an_answer_behind_empty_lines_is_found_where_nothing_of_the_client_is(start: bytes) -> None:
    frames = [frame for frame in frames_of(talk((REQUEST, False), (start + ANSWER, True), port=4711)) if frame.back]
    told = []
    with open_source(io.BytesIO(write_pcap(frames))) as source:
        assert not list(MessagePass(source, policy=BodyPolicy(), on_http=lambda http: told.append(http.status)))
    assert told == [202]


def test_retransmissions_are_used_once_and_fill_gaps() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True)), mss=1000)
    data = [n for n, f in enumerate(frames) if f.payload == 1000]
    late = frames.pop(data[1])
    frames.insert(data[6], late)
    frames.insert(data[7], late)
    passed = pass_over(frames)
    assert two_way(passed) == (REQUEST, ANSWER)
    assert not passed.taken[0].gaps
    assert not passed.stats.findings


def test_a_differing_copy_is_reported_and_the_first_one_used() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True)), mss=1000)
    data = [n for n, f in enumerate(frames) if f.payload == 1000]
    forged = replace(frames[data[2]], data=frames[data[2]].data[:-10] + b"X" * 10)
    frames.insert(data[2] + 1, forged)
    passed = pass_over(frames)
    assert two_way(passed)[0] == REQUEST
    (finding,) = passed.stats.findings
    assert finding.rule == "tcp.differing-copy"
    assert finding.frames == (data[2] + 1, data[2] + 2)


def test_keep_alives_tell_nothing() -> None:
    wire = Wire()
    frames = list(wire.carry(talk((REQUEST, False), (ANSWER, True))))
    data = [f for f in frames if f.payload and not f.back]
    last = data[-1]
    probe = bytearray(last.data[:54])
    probe[38:42] = struct.pack(">I", (seq_of(last) + last.payload - 1) & 0xFFFFFFFF)
    probe[16:18] = struct.pack(">H", 41)
    at = frames.index(last) + 2
    frames.insert(at, Frame(last.time, bytes(probe) + b"\x00"))
    passed = pass_over(frames)
    assert two_way(passed) == (REQUEST, ANSWER)
    assert not passed.stats.findings


def test_a_capture_that_began_in_the_middle_says_so() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True), (REQUEST, False), (ANSWER, True)), mss=1000)
    middle = [n for n, f in enumerate(frames) if f.payload == 1000][3]
    passed = pass_over(frames[middle:])
    first = next(t for t in passed.taken if t.bytes.startswith(b"POST"))
    assert first.gaps[0].reason == "start"
    assert first.bytes == REQUEST
    assert passed.conversations[0].client is None


def test_one_direction_only() -> None:
    frames = [f for f in frames_of(talk((REQUEST, False), (ANSWER, True))) if not f.back]
    passed = pass_over(frames)
    assert [t.bytes for t in passed.taken] == [REQUEST, b""]


def test_reset_ends_both_directions() -> None:
    frames = frames_of(talk((REQUEST, False)))
    frames = frames[:-3]
    reset = bytearray(next(f for f in reversed(frames) if f.back).data)
    reset[47] = 0x14
    frames.append(Frame(frames[-1].time + 1000, bytes(reset)))
    assert [t.events[-1][1] for t in pass_over(frames).taken] == [StreamEnd.RESET, StreamEnd.RESET]


@pytest.mark.parametrize("block", [400, 8 << 20])
def test_a_reused_port_pair_is_a_new_conversation(block: int) -> None:
    one = frames_of(talk((REQUEST, False), (ANSWER, True)))
    two = frames_of(talk((REQUEST[:-1] + b"!", False), (ANSWER, True)), first_seq=77_000_000)
    passed = pass_over(one[:-3] + two, block=block)
    assert [t.stream.number for t in passed.taken] == [0, 0, 1, 1]
    assert [t.bytes for t in passed.taken] == [REQUEST, ANSWER, REQUEST[:-1] + b"!", ANSWER]
    assert passed.taken[0].events[-1][1] == StreamEnd.REUSED


def test_segments_cut_by_the_capture_length_leave_gaps() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True)), mss=1000)
    cut = [replace(f, data=f.data[:554], wirelen=len(f.data)) for f in frames]
    passed = pass_over(cut)
    assert passed.taken[0].bytes == b"".join(REQUEST[i : i + 500] for i in range(0, len(REQUEST), 1000))
    assert {g.reason for g in passed.taken[0].gaps} == {"cut"}
    assert [f.rule for f in passed.stats.findings] == ["tcp.cut"]


def test_noise_is_passed_over_and_numbered_like_any_conversation() -> None:
    frames = frames_of(talk((b"SSH-2.0-x\r\n", True), (b"SSH-2.0-y\r\n", False), port=22))
    later = frames_of(talk((REQUEST, False), (ANSWER, True)), first_port=50000)
    passed = pass_over(frames + later)
    assert {t.stream.number for t in passed.taken} == {1}
    assert passed.stats.conversations == 2


def test_noise_that_turns_to_words_is_taken_from_there() -> None:
    frames = frames_of(talk((b"\x01\x02junkjunk", False), (REQUEST, False), (ANSWER, True)))
    for block in (300, 8 << 20):
        passed = pass_over(frames, block=block)
        assert passed.taken[0].gaps[0].reason == "start"
        assert passed.taken[0].bytes == REQUEST


def test_tls_is_counted() -> None:
    hello = b"\x16\x03\x01\x00\x05hello"
    passed = pass_over(frames_of(talk((hello, False), (b"\x17\x03\x03\x00\x02ab", True), port=5362)))
    assert not passed.taken
    (((one, two), (packets, size)),) = passed.stats.opaque["tls"].items()
    assert (one.address, two.port) == ("192.0.2.1", 5362)
    assert size == len(hello) + 7
    assert packets == 10


def test_datagrams_of_interest() -> None:
    passed = pass_over(frames_of(dsm_completed()))
    assert [(d.stream.number, d.frame, d.data[:5]) for d in passed.datagrams] == [(0, 1, b"<?xml"), (0, 2, b"<?xml")]


def test_a_segment_far_ahead_is_not_held() -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True)), mss=1000)
    data = [n for n, f in enumerate(frames) if f.payload == 1000]
    far = bytearray(frames[data[0]].data)
    far[38:42] = struct.pack(">I", (seq_of(frames[data[0]]) + (1 << 30) + 5000) & 0xFFFFFFFF)
    frames.insert(data[1], Frame(0, bytes(far)))
    passed = pass_over(frames)
    assert two_way(passed) == (REQUEST, ANSWER)
    assert [f.rule for f in passed.stats.findings] == ["tcp.far-ahead"]


def test_what_is_held_is_bounded() -> None:
    frames = frames_of(talk((REQUEST * 8, False)), mss=1000, acks=False)
    lost = [n for n, f in enumerate(frames) if f.payload == 1000][1]
    del frames[lost]
    gap = pass_over(frames, limits=Limits(out_of_order=10_000)).taken[0].gaps[0]
    assert gap.released <= lost + 13


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([200, 1000, 1460]), st.sampled_from([500, 4000, 8 << 20]))
def test_any_disorder_gives_the_same_bytes(rng: random.Random, mss: int, block: int) -> None:
    frames = frames_of(talk((REQUEST, False), (ANSWER, True), (REQUEST, False), (ANSWER, True)), mss=mss)
    # Segments move by up to five places, and some come twice; handshake and end stay.
    body = frames[3:-3]
    keys = sorted(((n + rng.uniform(0, 5), f) for n, f in enumerate(body)), key=lambda k: k[0])
    disordered = [f for _, f in keys]
    for frame in rng.sample(body, 5):
        disordered.insert(rng.randrange(len(disordered)), frame)
    passed = pass_over(frames[:3] + disordered + frames[-3:], block=block)
    assert two_way(passed) == (REQUEST * 2, ANSWER * 2)
    assert not [g for t in passed.taken for g in t.gaps]


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_blocks_and_bulk_make_no_difference(rng: random.Random) -> None:
    frames = frames_of(dsm_two_jobs(), mss=rng.choice([100, 536, 1460]))
    for _ in range(rng.randrange(8)):
        where = rng.randrange(len(frames))
        frame = frames.pop(where)
        if rng.random() < 0.6:
            frames.insert(min(len(frames), where + rng.randrange(12)), frame)
    expected = pass_over(frames, bulk=False)
    for block in (3000, 20_000):
        assert pass_over(frames, block=block).events() == expected.events()
    again = pass_over(frames)
    assert again.events() == expected.events()
    assert sorted(map(str, again.stats.findings)) == sorted(map(str, expected.stats.findings))
