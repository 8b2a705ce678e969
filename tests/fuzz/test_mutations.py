"""A fixed set of seeded damage: never an exception, never a hang, and what was not touched is still read."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import dissector
from tests.fuzz import mutations
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
    for seed in range(20):
        with within(20):
            drive(mutate(data, seed))


@pytest.mark.parametrize("kind", mutations.KINDS)
def test_what_the_damage_did_not_touch_is_read(kind: str) -> None:
    """Two damages of each kind to each small sample; ``make fuzz`` goes on from there."""
    due = sum(mutations.case(name, kind, seed) for name in mutations.sample_names(mutations.SMALL) for seed in (0, 1))
    # The oracle has something to say: of most captures most messages are untouched.
    assert due > 200 or kind == "container"


def test_the_oracle_misses_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A damage that hides what it touched is told by the message that is not there."""
    kind = mutations.KINDS["lose"]
    monkeypatch.setitem(mutations.KINDS, "lose", lambda sample, rng: mutations.Damage(kind(sample, rng).frames))
    with pytest.raises(mutations.Broken, match="untouched messages are not read"):
        list(map(partial(mutations.case, "dsm-canceled.pcapng", "lose"), range(20)))


def test_the_scapy_session_takes_damage_too(tmp_path: Path) -> None:
    from scapy.sendrecv import sniff

    from dissector.layers import WsdSession

    def shown(packet: Any) -> None:
        packet.summary()
        packet.show(dump=True)

    for name in ("dsm-create-fault.pcapng", "damaged/dsm-quirks.pcap"):
        for kind in mutations.KINDS.keys() - {"container", "record"}:
            # What is no capture any more is refused by Scapy's own reader: there the file itself is left whole.
            (tmp_path / "damaged").write_bytes(mutations.damaged(name, kind, 3)[0])
            sniff(offline=str(tmp_path / "damaged"), session=WsdSession, store=False, prn=shown)


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
