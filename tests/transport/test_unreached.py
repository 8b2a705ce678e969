"""Connections to ports of WSD that never came about are told; nothing is made up of others."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.capture import open_source
from dissector.transport import unreached
from dissector.transport.model import TransportStats
from dissector.transport.packets import PacketDecoder
from tests.fuzz.attacks import capture
from tests.support.packets import ACK, FIN, RST, SYN, ether, ipv4, tcp

DEVICE, SERVER = "192.0.2.1", "198.51.100.2"
SECOND = 1_000_000_000


def frame(
    flags: int, *, back: bool = False, seq: int = 1000, ack: int = 0, port: int = 5362, client: int = 40_000
) -> bytes:
    sport, dport = (port, client) if back else (client, port)
    source, destination = (SERVER, DEVICE) if back else (DEVICE, SERVER)
    return ether(ipv4(tcp(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags), source, destination))


ASK = frame(SYN)
REFUSE = frame(RST | ACK, back=True, seq=0, ack=1001)
AGREE = frame(SYN | ACK, back=True, seq=5000, ack=1001)
GO_ON = frame(ACK, seq=1001, ack=5001)


def said(frames: Sequence[bytes], tick: int = 1000, block: int = 4 << 20) -> list[tuple[str, str, tuple[int, ...]]]:
    source = open_source(io.BytesIO(capture(frames, tick)), block_bytes=block)
    watch = unreached.Unreached()
    decoder = PacketDecoder(source.interfaces, TransportStats())
    for part in source:
        watch.feed(decoder.decode(part))
    watch.finish()
    found = watch.findings()
    assert all(one.hosts == (DEVICE, SERVER) for one in found if one.rule != unreached.MORE.id)
    return [(one.rule, one.text, one.frames) for one in found]


@pytest.mark.parametrize("block", [1, 4 << 20])
@pytest.mark.parametrize(
    ("frames", "tick", "rule", "told", "which"),
    [
        ([ASK, REFUSE], 1000, "tcp.refused", "the connection was refused", (1, 2)),
        ([ASK, REFUSE] * 3, 1000, "tcp.refused", "3 connections were refused", (1, 2, 3, 4, 5, 6)),
        ([ASK, ASK, ASK], SECOND, "tcp.unanswered", "asked for 3 times within 2.0 s and not answered", (1, 2, 3)),
        ([ASK, frame(ACK, port=80)], 3 * SECOND, "tcp.unanswered", "asked for once and not answered", (1,)),
        ([frame(SYN, port=5357)] * 2, SECOND, "tcp.unanswered", "(WSD): the connection was asked for 2 times", (1, 2)),
    ],
)  # fmt: skip
def test_what_never_came_about(
    frames: list[bytes], tick: int, rule: str, told: str, which: tuple[int, ...], block: int
) -> None:
    ((found, text, numbers),) = said(frames, tick, block)
    assert (found, numbers) == (rule, which)
    assert told in text
    assert text.startswith(f"{DEVICE} → {SERVER}:")


@pytest.mark.parametrize("block", [1, 4 << 20])
@pytest.mark.parametrize(
    "frames",
    [
        [ASK, AGREE, GO_ON],
        [ASK, AGREE, GO_ON, frame(RST | ACK, back=True, seq=5001, ack=1001)],
        # Captured in one direction, or with the answer lost.
        [ASK, GO_ON],
        [ASK, ASK, GO_ON, frame(FIN | ACK, seq=1001, ack=5001)],
        [frame(ACK, back=True, seq=5001, ack=1500), ASK, AGREE],
        # The capture ends too early to tell.
        [ASK],
        # The client itself gave it up.
        [ASK, frame(RST, seq=1001)],
        # Of a connection before it.
        [ASK, frame(RST | ACK, back=True, seq=7000, ack=9000), AGREE],
        [frame(SYN, port=80), frame(RST | ACK, back=True, ack=1001, port=80)],
    ],
)  # fmt: skip
def test_of_others_nothing_is_made_up(frames: list[bytes], block: int) -> None:
    assert said(frames, 4 * SECOND if len(frames) > 1 else 1, block) == []


def test_a_connection_behind_one_with_the_same_ports() -> None:
    assert [one[0] for one in said([GO_ON, ASK, ASK], SECOND)] == ["tcp.unanswered"]


@pytest.mark.parametrize("waiting", [unreached.WAITING, 2])
def test_blocks_make_no_difference(waiting: int) -> None:
    @given(st.lists(st.tuples(st.sampled_from([ASK, REFUSE, AGREE, GO_ON]), st.integers(0, 3)), max_size=16))
    def check(picked: list[tuple[bytes, int]]) -> None:
        frames = [one[:35] + bytes([n]) + one[36:] if n else one for one, n in picked]
        assert said(frames, SECOND, 1) == said(frames, SECOND, 200) == said(frames, SECOND)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unreached, "WAITING", waiting)
        check()


def test_many_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreached, "SHOWN", 1)
    monkeypatch.setattr(unreached, "GROUPS", 2)
    frames = [frame(flags, back=back, ack=1001 * back, port=port)
              for port in (5357, 5358, 5362) for flags, back in ((SYN, False), (RST | ACK, True))]  # fmt: skip
    assert [one[0] for one in said(frames)] == ["tcp.refused", "tcp.more-unreached"]
    assert said(frames)[1][1] == "2 more connections to ports of WSD did not come about"


MORE = ("tcp.more-unreached", "of 1 connections to ports of WSD it is not known whether they came about", ())


@pytest.mark.parametrize("block", [1, 4 << 20])
@pytest.mark.parametrize(
    ("frames", "tick", "told"),
    [
        # The quietest is judged for the third: it had its time, or was asked again.
        ([frame(SYN, client=n) for n in (1, 2, 3, 4, 5)], 2 * SECOND, [("tcp.unanswered", "3 connections", (1, 2, 3))]),
        ([frame(SYN, client=n) for n in (1, 1, 2, 3)], 1, [("tcp.unanswered", "asked for 2 times", (1, 2))]),
        # Too early to tell: the room was too small.
        ([frame(SYN, client=n) for n in (1, 2, 3)], 1, [MORE]),
        # Asked for once more, it is not the quietest.
        ([frame(SYN, client=n) for n in (1, 2, 1, 3)], 1,
         [("tcp.unanswered", "asked for 2 times", (1, 3)), MORE]),
        # Behind those that wait a refusal is seen, and what came about is not made up.
        ([frame(SYN, client=n) for n in (1, 2)] + [ASK, REFUSE], 1,
         [("tcp.refused", "the connection was refused", (3, 4)), MORE]),
        ([frame(SYN, client=1), ASK, AGREE, GO_ON, frame(SYN, client=2), frame(SYN, client=1)], 1,
         [("tcp.unanswered", "asked for 2 times", (1, 6))]),
    ],
)  # fmt: skip
def test_of_more_that_wait_the_quietest_is_judged(
    frames: list[bytes], tick: int, told: list[tuple[str, str, tuple[int, ...]]], block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(unreached, "WAITING", 2)
    found = said(frames, tick, block)
    assert [(rule, which) for rule, _, which in found] == [(rule, which) for rule, _, which in told]
    for (_, text, _), (_, part, _) in zip(found, told, strict=True):
        assert part in text
