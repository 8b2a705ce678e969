"""A fixed set of seeded damage: never an exception, never a hang, and what was not touched is still read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import dissector
from tests.fuzz.drive import drive, within
from tests.fuzz.mutate import mutate
from tests.support.stories import dsm_two_jobs
from tests.support.wire import frames_of, write_pcap

SAMPLES = [
    "dsm-canceled.pcapng",
    "dsd-events.pcapng",
    "damaged/dsm-quirks.pcap",
    "damaged/dsm-canceled.pcap.gz",
    "damaged/dsm-canceled.pcap.zst",
    "others/wsdd-debian.pcap",
    "others/ip6_fragments.pcap",
]


@pytest.mark.parametrize("name", SAMPLES)
def test_seeded_damage_never_raises(name: str, samples: Path) -> None:
    data = (samples / name).read_bytes()
    assert drive(data)
    for seed in range(40):
        with within(20):
            drive(mutate(data, seed))


def test_messages_of_other_connections_are_not_touched() -> None:
    """Every frame of one connection damaged: the others read as if nothing had happened."""
    frames = frames_of(dsm_two_jobs())

    def names(raw: bytes) -> list[tuple[str, str, int]]:
        with dissector.open(io.BytesIO(raw)) as capture:
            return [(m.name, m.message_id or "", m.frames[-1]) for m in capture.messages if m.stream.number == 0]

    whole = names(write_pcap(frames))
    for seed in range(25):
        hurt = [f for f in frames if f.channel.startswith("two-") and f.payload]
        for n, frame in enumerate(hurt):
            start = len(frame.data) - frame.payload
            frame.data = frame.data[:start] + mutate(frame.data[start:], seed * 1000 + n)[: frame.payload].ljust(
                frame.payload, b"x"
            )
        assert names(write_pcap(frames)) == whole
    assert len(whole) > 5
