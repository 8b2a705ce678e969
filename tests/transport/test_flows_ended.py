"""Connections that have ended: hardly anything of them stays, and what still comes of them is judged as before."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest

from dissector.base.findings import Finding
from dissector.capture import open_source
from dissector.transport.flows import FlowTable
from dissector.transport.model import StreamEnd, TransportStats
from dissector.transport.packets import PacketDecoder
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
    (flow,) = table._flows.values()
    assert flow.pair is None
    assert flow.remains is not None
    assert len(flow.remains) < 50
