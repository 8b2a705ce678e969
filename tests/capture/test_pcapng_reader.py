"""pcapng files: sections, interfaces, clocks, every kind of packet block, damage."""

from __future__ import annotations

import io
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dissector.base.errors import UnreadableInput
from dissector.base.limits import DEFAULT_LIMITS
from dissector.capture import TLS_KEY_LOG, PcapngWriter, open_source
from dissector.capture.pcapng_parts import Clock
from tests.support.capture_files import BEGIN, FRAMES, Frame, pcapng, read

NS = 10**9


class Made:
    """A file under the writer's hands: ``write`` is the writer, ``bytes`` what it wrote so far."""

    def __init__(self, **how) -> None:
        self.file = io.BytesIO()
        self.write = PcapngWriter(self.file, **how)

    @property
    def bytes(self) -> bytes:
        return self.file.getvalue()


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("block_bytes", [8 << 20, 1000, 64, 1])
def test_round_trip(big_endian: bool, block_bytes: int) -> None:
    frames, source = read(pcapng(big_endian=big_endian), block_bytes)
    assert [Frame(i + 1, t, data, wire, 0) for i, (t, data, wire) in enumerate(FRAMES)] == frames
    assert (source.info.containers, source.info.findings) == (["pcapng"], [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_made_without_the_writer(order: str) -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    packet = struct.pack(order + "IIIII", 0, 0x00060A24, 0x181CD115, 5, 70) + b"hello\0\0\0"
    data = (
        block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        + block(1, struct.pack(order + "HHI", 101, 0, 5))
        + block(6, packet)
    )
    frames, source = read(data)
    # Without if_tsresol times count microseconds.
    assert [Frame(1, 0x00060A24181CD115 * 1000, b"hello", 70, 0)] == frames
    assert [(i.link_type, i.snaplen, i.digits) for i in source.interfaces] == [(101, 5, 6)]


def test_sections_of_both_byte_orders_and_interfaces_counted_on() -> None:
    made = Made(comment="first section")
    made.write.add_interface(1, name="eth0", description="an interface", os="Linux", comment="of eth0")
    made.write.add_interface(113, name="any", snaplen=96)
    made.write.write_packet(BEGIN, b"a", interface=1)
    made.write.new_section(big_endian=True, comment="second section")
    made.write.add_interface(276, tsresol=6, name="wlan0")
    made.write.write_packet(BEGIN, b"b", comment="on b")
    made.write.write_packet(BEGIN, b"c")
    made.write.new_section()
    made.write.add_interface(101)
    made.write.write_packet(BEGIN, b"d", interface=0, comment="on d")
    for block_bytes in (8 << 20, 64):
        frames, source = read(made.bytes, block_bytes)
        assert [(f.data, f.interface) for f in frames] == [(b"a", 1), (b"b", 2), (b"c", 2), (b"d", 3)]
        assert [i.number for i in source.interfaces] == [0, 1, 2, 3]
        assert [(i.name, i.link_type) for i in source.interfaces] == [
            ("eth0", 1),
            ("any", 113),
            ("wlan0", 276),
            ("", 101),
        ]
        assert (
            source.interfaces[0].description,
            source.interfaces[0].os,
            source.interfaces[1].snaplen,
        ) == ("an interface", "Linux", 96)
        assert sorted(source.info.comments) == [
            (0, "first section"),
            (0, "of eth0"),
            (0, "second section"),
            (2, "on b"),
            (4, "on d"),
        ]
        assert source.info.findings == []


@pytest.mark.parametrize(
    ("resolution", "tick", "digits"),
    [(9, 1, 9), (6, 1000, 6), (3, 10**6, 3), (0, NS, 0), (0x80 | 10, None, 4), (0x80 | 20, None, 7), (0x80, NS, 0)],
)
def test_resolutions(resolution: int, tick: int | None, digits: int) -> None:
    made = Made()
    made.write.add_interface(tsresol=resolution)
    made.write.write_packet(BEGIN, b"x")
    (frame,), source = read(made.bytes)
    tick = tick or NS // (1 << (resolution & 0x7F)) + 1
    assert 0 <= BEGIN - frame.time < tick
    assert digits == source.interfaces[0].digits


@pytest.mark.parametrize(
    ("clock", "ticks", "nanoseconds"),
    [
        (Clock(9), 123, 123),
        (Clock(12), 123_456_789, 123_456),
        (Clock(127), 2**64 - 1, 0),
        (Clock(0x80 | 1), 5, 2_500_000_000),
        (Clock(0x80 | 32), (7 << 32) + (1 << 31), 7_500_000_000),
        (Clock(0x80 | 40), (7 << 40) + (1 << 39), 7_500_000_000),
        (Clock(0x80 | 127), 2**64 - 1, 0),
        (Clock(6, 3), 1, 3_000_001_000),
        (Clock(6, -3), 1, -2_999_999_000),
        (Clock(0), 2**64 - 1, 9_223_372_036 * NS),
        (Clock(9), 2**64 - 1, 2**63 - 1),
    ],
)
def test_clocks(clock: Clock, ticks: int, nanoseconds: int) -> None:
    assert [nanoseconds] == clock.nanoseconds(np.array([ticks], np.uint64)).tolist()


@pytest.mark.parametrize("offset", [2**63 - 1, -(2**63), 10**12])
def test_absurd_offsets_do_not_wrap_around(offset: int) -> None:
    early, late = Clock(9, offset).nanoseconds(np.array([0, 2**64 - 1], np.uint64)).tolist()
    assert early < late
    assert (early > 0) == (offset > 0)


def test_offsets_and_resolutions_mixed_in_one_block() -> None:
    made = Made()
    for resolution, offset in ((9, 0), (6, 1000), (0x80 | 30, -1000), (3, 0)):
        made.write.add_interface(tsresol=resolution, tsoffset=offset)
    for i in range(40):
        made.write.write_packet(BEGIN + i * NS, b"x", interface=i % 4)
    frames, _ = read(made.bytes)
    assert all(abs(frame.time - BEGIN - i * NS) < 10**6 for i, frame in enumerate(frames))
    assert [frame.time % 1000 for frame in frames[:2]] == [789, 0]


@pytest.mark.parametrize("big_endian", [False, True])
def test_obsolete_packet_blocks(big_endian: bool) -> None:
    made = Made(big_endian=big_endian)
    made.write.add_interface()
    made.write.add_interface(113)
    made.write.write_packet(BEGIN, b"old", interface=1, wirelen=9, obsolete=True, comment="kept")
    made.write.write_packet(BEGIN + 1, b"new")
    frames, source = read(made.bytes)
    assert [Frame(1, BEGIN, b"old", 9, 1), Frame(2, BEGIN + 1, b"new", 3, 0)] == frames
    assert source.info.comments == [(1, "kept")]


def test_simple_packet_blocks_take_the_time_before_them() -> None:
    made = Made()
    made.write.add_interface(snaplen=4)
    made.write.write_simple(b"abc")
    made.write.write_packet(BEGIN, b"full")
    made.write.write_simple(b"abcd", wirelen=900)
    # Without a snaplen in the way, the block's length is the bound.
    made.write.write_simple(b"abcdefgh", wirelen=8)
    frames, source = read(made.bytes)
    assert [
        Frame(1, 0, b"abc", 3, 0),
        Frame(2, BEGIN, b"full", 4, 0),
        Frame(3, BEGIN, b"abcd", 900, 0),
        Frame(4, BEGIN, b"abcd", 8, 0),
    ] == frames
    assert [f.rule for f in source.info.findings] == ["pcapng.no-time"]


def test_names_secrets_and_comments() -> None:
    made = Made()
    made.write.add_interface()
    made.write.write_names({"192.0.2.1": ["scanner", "mfp"], "2001:db8::1": ["server"]})
    made.write.write_names({"192.0.2.1": ["mfp", "other"]})
    made.write.write_secrets(TLS_KEY_LOG, b"CLIENT_RANDOM 1 2\n")
    made.write.write_packet(BEGIN, b"abcde", options=[(2, b"\1\0\0\0"), (1, "später".encode()), (1, b"twice")])
    made.write.write_packet(BEGIN, b"", options=[(2, b"\1\0\0\0")])
    made.write.write_packet(BEGIN, b"x", comment="third")
    _, source = read(made.bytes)
    assert source.info.names == {"192.0.2.1": ["scanner", "mfp", "other"], "2001:db8::1": ["server"]}
    assert source.info.secrets == [(TLS_KEY_LOG, b"CLIENT_RANDOM 1 2\n")]
    assert source.info.comments == [(1, "später"), (1, "twice"), (3, "third")]


def test_other_blocks_are_skipped() -> None:
    made = Made()
    made.write.write_block(0xBAD, struct.pack("<I", 32473) + b"custom")
    made.write.add_interface()
    for kind in (0x40000BAD, 5, 7, 8, 9, 0x12345678, 0x80000001):
        made.write.write_block(kind, bytes(30))
        made.write.write_packet(BEGIN, bytes([kind & 0xFF]))
    frames, source = read(made.bytes)
    assert [bytes([k]) for k in (0xAD, 5, 7, 8, 9, 0x78, 1)] == [frame.data for frame in frames]
    assert source.info.findings == []


def test_cut_anywhere_gives_all_whole_frames() -> None:
    data = pcapng()
    ends = []
    at = 28 + struct.unpack_from("<I", data, 32)[0]
    for _, frame, _ in FRAMES:
        at += 32 + len(frame) + -len(frame) % 4
        ends.append(at)
    assert at == len(data)
    boundaries = {28, ends[0] - 92, *ends}
    for block_bytes in (8 << 20, 64):
        for size in range(len(data) + 1):
            if size < 12:
                with pytest.raises(UnreadableInput):
                    read(data[:size], block_bytes)
                continue
            frames, source = read(data[:size], block_bytes)
            assert [f[1] for f in FRAMES][: sum(end <= size for end in ends)] == [f.data for f in frames]
            assert ([] if size in boundaries else ["pcap.cut"]) == [f.rule for f in source.info.findings]


# -- damage ---------------------------------------------------------------------------------------------------------


def _thirty(**how) -> tuple[bytearray, list[int]]:
    """Thirty packets of 20 bytes, and the places of their blocks."""
    made = Made(**how)
    made.write.add_interface()
    places = []
    for i in range(30):
        places.append(len(made.bytes))
        made.write.write_packet(BEGIN + i, bytes([i]) * 20)
    return bytearray(made.bytes), places


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("block_bytes", [8 << 20, 64])
def test_wrong_length_at_the_end_only_is_overlooked(order: str, block_bytes: int) -> None:
    data, places = _thirty(big_endian=order == ">")
    for index in (10, 11, 29):
        struct.pack_into(order + "I", data, places[index] + 48, 51)
    frames, source = read(bytes(data), block_bytes)
    assert [bytes([i]) * 20 for i in range(30)] == [frame.data for frame in frames]
    assert [("pcapng.length", places[10])] == [(f.rule, f.offset) for f in source.info.findings]


@pytest.mark.parametrize("value", [0, 8, 51, 56, 1 << 31, 4000])
@pytest.mark.parametrize("block_bytes", [8 << 20, 64])
def test_wrong_length_at_the_beginning_loses_one_block(value: int, block_bytes: int) -> None:
    data, places = _thirty()
    struct.pack_into("<I", data, places[10] + 4, value)
    frames, source = read(bytes(data), block_bytes)
    assert [bytes([i]) * 20 for i in range(30) if i != 10] == [frame.data for frame in frames]
    (finding,) = source.info.findings
    assert ("pcap.damaged", places[10], (10,)) == (finding.rule, finding.offset, finding.frames)


def test_bytes_that_are_missing_in_the_middle() -> None:
    data, places = _thirty()
    frames, _ = read(bytes(data[: places[10] + 7] + data[places[11] + 2 :]))
    assert [bytes([i]) * 20 for i in range(30) if i not in (10, 11)] == [frame.data for frame in frames]


def test_damaged_section_header_in_the_middle() -> None:
    made = Made()
    made.write.add_interface()
    made.write.write_packet(BEGIN, b"a")
    at = len(made.bytes)
    made.write.new_section()
    made.write.add_interface()
    made.write.write_packet(BEGIN, b"b")
    data = bytearray(made.bytes)
    data[at + 9] ^= 0xFF
    frames, source = read(bytes(data))
    assert [frame.data for frame in frames] == [b"a", b"b"]
    assert "byte-order magic" in source.info.findings[0].text


def test_first_section_without_byte_order_is_refused() -> None:
    with pytest.raises(UnreadableInput, match="byte-order magic 00 00 00 00"):
        read(b"\x0a\x0d\x0d\x0a\x1c\0\0\0" + bytes(20))


def test_packet_of_an_unknown_interface_is_left_out() -> None:
    made = Made()
    made.write.add_interface()
    made.write.write_packet(BEGIN, b"a")
    at = len(made.bytes)
    made.write.write_block(6, struct.pack("<IIIII", 5, 0, 0, 1, 1) + b"?\0\0\0")
    made.write.write_packet(BEGIN, b"b")
    # Described only behind the packet.
    made.write.write_block(6, struct.pack("<IIIII", 1, 0, 0, 1, 1) + b"?\0\0\0")
    made.write.add_interface()
    made.write.write_packet(BEGIN, b"c", interface=1)
    for block_bytes in (8 << 20, 64):
        frames, source = read(made.bytes, block_bytes)
        assert [(f.number, f.data) for f in frames] == [(1, b"a"), (2, b"b"), (3, b"c")]
        assert [("pcapng.no-interface", at)] == [(f.rule, f.offset) for f in source.info.findings]


@pytest.mark.parametrize(
    ("kind", "body", "given"),
    [
        (6, bytes(16), []),  # no room for the fields
        (6, struct.pack("<IIIII", 0, 0, 0, 500, 500) + b"abcd", [b"abcd"]),  # more than there is room for
        (1, bytes(4), []),
        (10, bytes(4), []),
        (10, struct.pack("<II", 1, 500) + b"abcd", []),
        (4, struct.pack("<HH", 1, 500) + b"abcd", []),
        (3, b"", []),
    ],
)
def test_blocks_too_short_for_what_they_say(kind: int, body: bytes, given: list[bytes]) -> None:
    made = Made()
    made.write.add_interface()
    made.write.write_block(kind, body)
    made.write.write_packet(BEGIN, b"after")
    frames, _ = read(made.bytes)
    assert [*given, b"after"] == [frame.data for frame in frames]


def test_version_that_does_not_exist() -> None:
    data = bytearray(pcapng())
    data[12] = 9
    frames, source = read(bytes(data))
    assert len(FRAMES) == len(frames)
    assert [f.rule for f in source.info.findings] == ["pcapng.version"]


def test_notes_are_limited() -> None:
    made = Made()
    made.write.add_interface()
    for _ in range(50):
        made.write.write_packet(BEGIN, b"x", comment="c" * 900)
    frames, source = read(made.bytes, limits=replace(DEFAULT_LIMITS, notes=10_000))
    assert (len(frames), len(source.info.comments)) == (50, 10)
    assert [f.rule for f in source.info.findings] == ["pcapng.notes-limit"]


def test_nothing_but_section_headers_is_quick() -> None:
    head = pcapng([])[:28]
    _, source = read(head * 5000)
    assert source.info.findings == []


@pytest.mark.parametrize("most", [2, 3])
def test_sections_are_bounded(most: int) -> None:
    one = pcapng()
    frames, source = read(one * 3, limits=replace(DEFAULT_LIMITS, sections=most))
    assert len(frames) == most * len(FRAMES)
    told = [(finding.rule, finding.offset) for finding in source.info.findings]
    assert told == ([] if most == 3 else [("pcap.abandoned", 2 * len(one))])


@pytest.mark.parametrize("most", [2, 3])
def test_interfaces_are_bounded(most: int) -> None:
    """Over all sections: packets of those that are beyond are left out, and it is told once."""
    frames, source = read(pcapng() * 3 + pcapng(), limits=replace(DEFAULT_LIMITS, interfaces=most))
    assert len(frames) == most * len(FRAMES)
    assert len(source.interfaces) == most
    assert {finding.rule for finding in source.info.findings} >= {"pcapng.interfaces"}


def test_a_large_block_is_not_copied(tmp_path: Path) -> None:
    """Of names, as of secrets and interfaces: one block may have 64 MB."""
    name = b"a" * 59_995
    body = 200 * (struct.pack("<HH", 1, 60_000) + bytes([192, 0, 2, 1]) + name + b"\0")
    path = tmp_path / "names.pcapng"
    path.write_bytes(pcapng() + struct.pack("<II", 4, len(body) + 12) + body + struct.pack("<I", len(body) + 12))
    with open_source(path, block_bytes=1 << 20) as source:
        tracemalloc.start()
        frames = sum(len(block) for block in source)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert frames == len(FRAMES)
    assert source.info.names == {"192.0.2.1": [name.decode()]}
    assert peak < 1.5 * len(body)
