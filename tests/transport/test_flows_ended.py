"""Connections that have ended: hardly anything of them stays, and what still comes of them is judged as before."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS
from dissector.capture import open_source
from dissector.transport.flow import TAKEN, Flow
from dissector.transport.flows import FlowTable
from dissector.transport.model import ACK, RST, StreamEnd, TransportStats
from dissector.transport.packets import PacketDecoder
from tests.support.columns import Packet, columns
from tests.support.stories import Channel, Story
from tests.support.streams import INTEREST, Passed, pass_over
from tests.support.wire import Frame, frames_of, write_pcap

REQUEST = b"POST /a HTTP/1.1\r\nContent-Length: 500\r\n\r\n" + bytes(500)
ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def frames_with_late_data(ahead: int, count: int = 1) -> list[Frame]:
    """A connection that ends; then segments of its client come again, ``ahead`` bytes further on in the stream."""
    story = Story(channels={"c": Channel("192.0.2.1", "192.0.2.2", 5357)})
    story.say("c", REQUEST)
    story.say("c", ANSWER, back=True)
    frames = frames_of(story)
    sent = next(frame for frame in frames if frame.payload)
    seq = struct.unpack(">I", sent.data[38:42])[0] + ahead
    data = sent.data[:38] + struct.pack(">I", seq & 0xFFFFFFFF) + sent.data[42:]
    return frames + [replace(sent, data=data, time=frames[-1].time + n + 1) for n in range(count)]


def after_end(findings: list[Finding]) -> list[tuple[tuple[int, ...], int | None]]:
    return [(finding.frames, finding.offset) for finding in findings if finding.rule == "tcp.after-end"]


@pytest.mark.parametrize("ahead", [0, 1, 542, 543, 5000])
def test_data_after_the_end_is_told_the_same_however_late_it_comes(ahead: int) -> None:
    frames = frames_with_late_data(ahead)
    told = after_end(pass_over(frames).stats.findings)
    assert told == ([((len(frames),), len(REQUEST))] if ahead else [])
    for block in (1, 700, 2000):
        passed = pass_over(frames, block=block)
        assert after_end(passed.stats.findings) == told
        assert [taken.events[-1][1] for taken in passed.taken] == [StreamEnd.FIN, StreamEnd.FIN]


def test_findings_on_a_connection_that_has_ended_are_bounded_too() -> None:
    frames = frames_with_late_data(1, 1200)
    told = [len(after_end(pass_over(frames, block=block).stats.findings)) for block in (1, 8 << 20)]
    assert told == [1000, 1000]


def test_hardly_anything_stays_of_a_connection_that_has_ended() -> None:
    done = Passed()
    table = FlowTable(INTEREST, done.factory, done.datagrams.append, stats := TransportStats())
    source = open_source(io.BytesIO(write_pcap(frames_with_late_data(0))))
    decoder = PacketDecoder(source.interfaces, stats)
    for block in source:
        table.feed(decoder.decode(block))
    assert not table._flows
    (packed,) = table._asleep.values()
    assert len(packed) < 80


@given(
    st.integers(0, (1 << 32) - 1), st.booleans(), st.sampled_from([None, False, True]), st.booleans(),
    st.none() | st.integers(0, (1 << 32) - 1), st.none() | st.integers(0, (1 << 32) - 1), st.integers(-1, 1 << 30),
    st.integers(0, (1 << 32) - 1), st.binary(max_size=50),
)  # fmt: skip
def test_a_flow_that_slept_is_as_it_was(
    number: int, first_side: bool, client: bool | None, opened: bool, false: int | None, true: int | None, early: int,
    last: int, remains: bytes,
) -> None:  # fmt: skip
    flow = Flow(number, first_side)
    flow.state, flow.last, flow.early, flow.remains = TAKEN, last, early, remains
    flow.client, flow.opened = client, opened and client is not None
    flow.base_false, flow.base_true = false, true
    packed = flow.asleep()
    assert Flow.idle_since(packed) == (last, number)
    woken = Flow.awake(packed)
    # Told anew by the block that wakes it.
    woken.last = last
    assert [getattr(woken, name) for name in Flow.__slots__] == [getattr(flow, name) for name in Flow.__slots__]


def test_ended_connections_count_for_the_limit_and_the_oldest_are_forgotten() -> None:
    frames: list[Frame] = []
    for number in range(40):
        story = Story(channels={"c": Channel(f"192.0.2.{number}", "192.0.3.2", 5357)})
        story.say("c", REQUEST)
        story.say("c", ANSWER, back=True)
        frames += [replace(frame, time=number) for frame in frames_of(story)]
    done = Passed()
    limits = replace(DEFAULT_LIMITS, streams=20)
    table = FlowTable(INTEREST, done.factory, done.datagrams.append, stats := TransportStats(), limits)
    source = open_source(io.BytesIO(write_pcap(frames)), block_bytes=2000)
    decoder = PacketDecoder(source.interfaces, stats)
    for block in source:
        table.feed(decoder.decode(block))
        assert len(table._flows) + len(table._asleep) <= 20
    assert stats.conversations == 40
    numbers = sorted(Flow.awake(packed).number for packed in table._asleep.values())
    assert numbers == list(range(40 - len(numbers), 40))
    assert [finding.rule for finding in stats.findings] == ["tcp.streams"]


def test_of_those_that_were_idle_for_as_long_the_first_are_forgotten() -> None:
    """Whatever the salt of the hash, by which the flows of a block are put in order."""
    packets = [
        [Packet(data, seq, flags, ack, (f"192.0.2.{number}", 40000)) for number in range(16)]
        for data, seq, flags, ack in ((REQUEST, 1, ACK, 1), (b"", 1 + len(REQUEST), RST, 0), (b"", 2, ACK, 1))
    ]
    done = Passed()
    table = FlowTable(INTEREST, done.factory, done.datagrams.append, done.stats, replace(DEFAULT_LIMITS, streams=16))
    for block in (*packets, [Packet(b"", 1, ACK, 1, ("192.0.2.99", 40000))]):
        table.feed(columns(block))
    assert {Flow.awake(packed).number for packed in table._asleep.values()} == set(range(5, 16))
