"""A connection of which one direction was captured is told as that; one whose peer is silent is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dissector.base.findings import Finding
from dissector.transport import oneway
from tests.support.streams import pass_over
from tests.support.wire import Frame, frames_of
from tests.transport.test_flows_streams import ANSWER, REQUEST, talk

WHOLE = frames_of(talk((REQUEST, False), (ANSWER, True), (REQUEST, False), (ANSWER, True)), mss=1000)
SILENT = frames_of(talk((REQUEST, False)), mss=1000)
"""The server acknowledges the request, and says nothing."""
FLAGS = 47


def sent_by(frames: Sequence[Frame], *, server: bool) -> list[Frame]:
    return [frame for frame in frames if frame.back == server]


def with_data(frames: Sequence[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.payload]


def one_way(frames: Sequence[Frame], *, block: int = 8 << 20, bulk: bool = True) -> list[Finding]:
    found = pass_over(list(frames), block=block, bulk=bulk).stats.findings
    return [finding for finding in found if finding.rule == "tcp.one-way"]


@pytest.mark.parametrize(("block", "bulk"), [(1, True), (8 << 20, True), (8 << 20, False)])
@pytest.mark.parametrize(
    ("frames", "seen", "told"),
    [
        (sent_by(WHOLE, server=False), "192.0.2.1", f"acknowledged {2 * len(ANSWER) + 1:,} bytes that are missing"),
        (sent_by(WHOLE, server=True), "192.0.2.2", f"acknowledged {2 * len(REQUEST) + 1:,} bytes that are missing"),
        (with_data(sent_by(WHOLE, server=False)), "192.0.2.1", f"acknowledged {len(ANSWER):,} bytes that are missing"),
        (with_data(sent_by(WHOLE, server=True)), "192.0.2.2", f"acknowledged {len(REQUEST):,} bytes that are missing"),
        (sent_by(SILENT, server=False), "192.0.2.1", "it seems, said no more: 192.0.2.1 acknowledged no byte"),
    ],
    ids=["client", "server", "client in its midst", "server in its midst", "client of a silent server"],
)
def test_one_direction_is_told(frames: list[Frame], seen: str, told: str, block: int, bulk: bool) -> None:
    found = one_way(frames, block=block, bulk=bulk)
    assert len(found) == 1
    assert f"only what {seen} sent" in found[0].text
    assert told in found[0].text


@pytest.mark.parametrize("block", [1, 8 << 20])
@pytest.mark.parametrize(
    "frames",
    [
        WHOLE,
        SILENT,
        [frame for frame in SILENT if not frame.back or frame.data[FLAGS] & 2],
        [*SILENT[:3], *with_data(SILENT), *with_data(SILENT)],
        with_data(SILENT) * 2,
        with_data(sent_by(WHOLE, server=True))[:1],
    ],
    ids=["whole", "silent", "gone after the SYN/ACK", "repeats it", "in its midst", "one answer"],
)
def test_what_is_whole_or_proves_nothing_is_not(frames: list[Frame], block: int) -> None:
    assert one_way(frames, block=block) == []


@pytest.mark.parametrize("block", [1, 8 << 20])
def test_what_was_acknowledged_while_it_was_noise_does_not_count(block: int) -> None:
    frames = frames_of(talk((b"\x01" * 900, False), (b"\x02" * 900, True), (REQUEST[:900], False)))
    assert one_way([frame for frame in frames if frame.payload], block=block) == []


@pytest.mark.parametrize("block", [1, 8 << 20])
def test_packets_of_the_other_side_behind_a_reset_count(block: int) -> None:
    seen = sent_by(WHOLE, server=False)
    reset = replace(seen[-1], data=seen[-1].data[:FLAGS] + b"\x04" + seen[-1].data[FLAGS + 1 :])
    assert len(one_way([*seen[:-1], reset], block=block)) == 1
    assert one_way([*seen[:-1], reset, *sent_by(WHOLE, server=True)[-1:]], block=block) == []


def test_pairs_beyond_those_told_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneway, "SHOWN", 1)
    monkeypatch.setattr(oneway, "MOST", 4)
    frames = []
    for host, times in (("192.0.2.7", 1), ("192.0.2.8", 3), ("192.0.2.9", 1)):
        for client in range(times):
            story = talk((REQUEST, False), (ANSWER, True))
            story.channels["c"].server = host
            frames += sent_by(frames_of(story, first_port=50_000 + client), server=False)
    texts = [finding.text for finding in one_way(frames)]
    assert texts[0].startswith("3 connections (TCP streams 1, 2, 3): nothing that 192.0.2.8 sent")
    assert texts[1:] == ["of 2 more connections only one direction is in the capture"]
