"""The Scapy session: whatever Scapy reads from, it gives the messages that the dissector's own reader gives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.sendrecv import sniff
from scapy.utils import PcapReader

import dissector
from dissector.layers import (
    HTTPMessage,
    PostScanJobEndStateEvent,
    SOAPEnvelope,
    WsdSession,
    read_wsd,
    to_scapy,
)
from dissector.messages import Message
from tests.support.stories import STORIES
from tests.support.wire import Frame, frames_of, write_pcap

READABLE = (".pcap", ".pcapng", ".gz")
"""What Scapy opens."""


def told(messages: list[Message]) -> list[tuple[Any, ...]]:
    return [(m.number, m.name, m.frames, m.complete, m.time, m.first_time) for m in messages]


def expected(path: Path) -> list[tuple[Any, ...]]:
    with dissector.open(path) as capture:
        return told(list(capture.messages))


@pytest.fixture
def story_frames() -> list[Frame]:
    return frames_of(STORIES["dsm-completed"]())


@pytest.fixture
def pcap(tmp_path: Path, story_frames: list[Frame]) -> Path:
    path = tmp_path / "story.pcap"
    path.write_bytes(write_pcap(story_frames, nanoseconds=True))
    return path


class Live:
    """Stands for a live socket: one packet at a time, and no end of file."""

    def __init__(self, path: Path) -> None:
        with PcapReader(str(path)) as reader:
            self._packets = iter(list(reader))

    def recv(self) -> Any:
        return next(self._packets, None)


def test_every_sample_as_the_reader_reads_it(samples: Path) -> None:
    paths = [p for p in sorted(samples.rglob("*")) if p.suffix in READABLE]
    assert len(paths) > 30
    for path in paths:
        packets = sniff(offline=str(path), session=WsdSession)
        assert told([p.wsd for p in packets]) == expected(path), path.name


def test_times_are_exact(pcap: Path) -> None:
    for packet in sniff(offline=str(pcap), session=WsdSession):
        assert Decimal(packet.time) * 10**9 == packet.wsd.time


def test_a_file_object_is_read_through_scapy(samples: Path) -> None:
    for name in ("dsm-completed.pcapng", "others/scan-any-sll2.pcap"):
        with (samples / name).open("rb") as file:
            packets = sniff(offline=_Nameless(file), session=WsdSession)
        assert told([p.wsd for p in packets]) == expected(samples / name)


class _Nameless:
    """A file that has no path: what a pipe looks like."""

    name = "no name"

    def __init__(self, file: Any) -> None:
        self.read, self.close, self.fileno, self.tell, self.seek = (
            file.read,
            file.close,
            file.fileno,
            file.tell,
            file.seek,
        )


def test_several_files_are_captures_of_their_own(samples: Path) -> None:
    paths = [samples / "dsm-completed.pcapng", samples / "dsm-two-jobs.pcapng"]
    packets = sniff(offline=[str(path) for path in paths], session=WsdSession)
    for path in paths:
        assert told([p.wsd for p in packets if p.sniffed_on == str(path)]) == expected(path)


def test_a_list_of_packets(story_frames: list[Frame], pcap: Path) -> None:
    names = [entry[1] for entry in expected(pcap)]
    for packets in ([Ether(f.data) for f in story_frames], [IP(f.data[14:]) for f in story_frames]):
        assert [p.wsd.name for p in sniff(offline=packets, session=WsdSession)] == names


def test_a_count_ends_the_reading_early(pcap: Path) -> None:
    assert len(sniff(offline=str(pcap), session=WsdSession, count=3)) == 3


def test_a_damaged_file_gives_what_was_whole(tmp_path: Path, pcap: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(pcap.read_bytes()[:30_000])
    whole = expected(cut)
    assert 3 < len(whole) < len(expected(pcap))
    assert told([p.wsd for p in sniff(offline=str(cut), session=WsdSession)]) == whole
    with cut.open("rb") as file:
        assert len(sniff(offline=_Nameless(file), session=WsdSession)) == len(whole)


def test_live_each_message_comes_with_the_packet_that_completes_it(pcap: Path, story_frames: list[Frame]) -> None:
    socket, session = Live(pcap), WsdSession()
    given: list[tuple[int, Message]] = []
    for frame in range(1, len(story_frames) + 1):
        given += [(frame, p.wsd) for p in session.recv(socket)]
    late = [p.wsd for p in session.finish()]
    assert told([m for _, m in given] + late) == expected(pcap)
    for frame, message in given:
        if message.http is not None and message.http.trigger == message.frames[-1]:
            assert frame == message.frames[-1]
    assert not list(session.finish())


def test_what_is_open_when_live_sniffing_ends(tmp_path: Path, story_frames: list[Frame]) -> None:
    size = next(n for n, f in enumerate(story_frames) if f.payload == 1460) + 1
    path = tmp_path / "open.pcap"
    path.write_bytes(write_pcap(story_frames[:size], nanoseconds=True))
    socket, session = Live(path), WsdSession()
    before = [p.wsd for _ in range(size) for p in session.recv(socket)]
    (open_one,) = session.finish()
    assert not open_one.complete
    assert told([*before, open_one.wsd]) == expected(path)


def test_a_lost_segment_is_missing_and_not_zeros(tmp_path: Path, story_frames: list[Frame]) -> None:
    full = [n for n, f in enumerate(story_frames) if f.payload == 1460 and b"\r\n--" not in f.data]
    lost = full[len(full) // 2]
    path = tmp_path / "lost.pcap"
    path.write_bytes(write_pcap(story_frames[:lost] + story_frames[lost + 1 :]))
    packets = sniff(offline=str(path), session=WsdSession)
    (damaged,) = [p for p in packets if not p.wsd.complete]
    assert damaged.complete is False
    assert bytes(100) not in bytes(damaged)
    (whole,) = [p for p in read_wsd(_written(tmp_path, story_frames)) if p.wsd.number == damaged.wsd.number]
    assert len(damaged.attachments[0][2]) == len(whole.attachments[0][2]) - 1460
    assert "[incomplete]" in damaged.summary()


def _written(folder: Path, frames: list[Frame]) -> Path:
    path = folder / "whole.pcap"
    path.write_bytes(write_pcap(frames))
    return path


def test_what_is_no_readable_envelope_is_kept_raw(samples: Path) -> None:
    with dissector.open(samples / "dsm-completed.pcapng") as capture:
        messages = list(capture.messages)
    probe = next(m for m in messages if m.datagram is not None)
    assert SOAPEnvelope in to_scapy(probe)
    bare = to_scapy(replace(probe, envelope=None))
    assert bare[Raw].load == probe.datagram
    asked = next(m for m in messages if m.http is not None and not m.attachments and m.envelope is not None)
    unread = to_scapy(replace(asked, envelope=None))
    assert HTTPMessage in unread
    assert asked.envelope is not None
    assert unread[Raw].load == asked.envelope.xml


def test_each_layer_of_a_session_knows_its_message(samples: Path) -> None:
    (end,) = [p for p in read_wsd(samples / "dsm-completed.pcapng") if PostScanJobEndStateEvent in p]
    assert end[PostScanJobEndStateEvent].wsd is end[SOAPEnvelope].wsd is end.wsd
    assert end.copy().wsd is end.wsd
    assert HTTPMessage().wsd is None


def test_importing_is_quiet_and_leaves_most_of_scapy_alone(samples: Path) -> None:
    code = (
        "import sys; import dissector, dissector.reader, dissector.cli.main; assert 'scapy' not in sys.modules\n"
        "from dissector.layers import *\n"
        "from scapy.sendrecv import sniff\n"
        f"assert len(sniff(offline={str(samples / 'others/scan-any-sll2.pcap')!r}, session=WsdSession)) == 52\n"
        "assert 'scapy.all' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
