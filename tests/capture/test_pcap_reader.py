"""pcap files: every variant, cut, damaged, and read in pieces of any size."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from dissector.base.errors import UnreadableInput
from dissector.base.limits import DEFAULT_LIMITS
from dissector.capture import records as records_module
from dissector.capture.records import MAX_DAMAGE
from tests.support.capture_files import BEGIN, FRAMES, Frame, pcap, pcap_by_hand, read


def expected(unit: int = 1000) -> list[Frame]:
    return [Frame(i + 1, t // unit * unit, data, wire, 0) for i, (t, data, wire) in enumerate(FRAMES)]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize(
    ("how", "unit", "container"),
    [
        ({}, 1000, "microseconds"),
        ({"magic": 0xA1B23C4D}, 1, "nanoseconds"),
        ({"magic": 0xA12B3C4D}, 1, "nanoseconds, Navtel's variant"),
        ({"magic": 0xA1B2CD34, "record_extra": bytes(8)}, 1000, "microseconds, Kuznetsov's variant"),
        ({"magic": 0x1C0001AC, "head_extra": b"\1\2\3\4"}, 1, "nanoseconds, Ixia's hardware variant"),
        ({"magic": 0x1C0001AB, "head_extra": b"\1\2\3\4"}, 1000, "microseconds, Ixia's software variant"),
        ({"version": (2, 2), "swapped": True}, 1000, "microseconds"),
        ({"version": (2, 0), "swapped": True}, 1000, "microseconds"),
        ({"version": (543, 0), "swapped": True}, 1000, "microseconds"),
        ({"version": (2, 3), "swapped": True}, 1000, "microseconds"),
        ({"version": (2, 3)}, 1000, "microseconds"),
    ],
)
def test_variants(order: str, how: dict, unit: int, container: str) -> None:
    data = pcap_by_hand(order, unit=unit, **how)
    for block_bytes in (8 << 20, 1000, 64, 1):
        frames, source = read(data, block_bytes)
        assert expected(unit) == frames
        assert [f"pcap {'little' if order == '<' else 'big'}-endian {container}"] == source.info.containers
        assert source.info.findings == []
        assert source.interfaces[0].digits == (9 if unit == 1 else 6)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_writer_and_reader_agree(big_endian: bool, nanoseconds: bool) -> None:
    data = pcap(big_endian=big_endian, nanoseconds=nanoseconds)
    frames, _ = read(data)
    assert expected(1 if nanoseconds else 1000) == frames
    # Both against bytes made without either.
    unit, magic = (1, 0xA1B23C4D) if nanoseconds else (1000, 0xA1B2C3D4)
    assert pcap_by_hand(">" if big_endian else "<", magic, snaplen=262144, unit=unit) == data


@pytest.mark.parametrize("network", [113, 113 | 0x24000000, 113 | 0xF4000000, 113 | 0x03FF0000])
def test_upper_bits_of_the_link_type_are_not_part_of_it(network: int) -> None:
    _, source = read(pcap_by_hand(network=network, snaplen=96))
    assert [(i.number, i.link_type, i.snaplen) for i in source.interfaces] == [(0, 113, 96)]


def test_time_beyond_2038() -> None:
    frames, _ = read(pcap([(4_000_000_000 * 10**9, b"x", 1)]))
    assert [frame.time for frame in frames] == [4_000_000_000 * 10**9]


def test_version_that_does_not_exist_is_read_with_a_finding() -> None:
    frames, source = read(pcap_by_hand(version=(7, 1)))
    assert expected() == frames
    assert [f.rule for f in source.info.findings] == ["pcap.version"]
    assert "7.1" in source.info.findings[0].text


def test_no_packets() -> None:
    frames, source = read(pcap([]))
    assert (frames, source.info.findings, len(source.interfaces)) == ([], [], 1)


@pytest.mark.parametrize("block_bytes", [8 << 20, 64])
def test_cut_anywhere_gives_all_whole_frames(block_bytes: int) -> None:
    data = pcap()
    ends = [24]
    for _, frame, _ in FRAMES:
        ends.append(ends[-1] + 16 + len(frame))
    for size in range(len(data) + 1):
        if size < 24:
            with pytest.raises(UnreadableInput):
                read(data[:size], block_bytes)
            continue
        whole = sum(end <= size for end in ends) - 1
        frames, source = read(data[:size], block_bytes)
        assert expected()[:whole] == frames
        if size in ends:
            assert source.info.findings == []
        else:
            (finding,) = source.info.findings
            assert ("pcap.cut", ends[whole]) == (finding.rule, finding.offset)
            assert f"offset {size}" in finding.text


# -- damage ---------------------------------------------------------------------------------------------------------


def _many(count: int = 40, size: int = 50) -> list[tuple[int, bytes, int]]:
    source = random.Random(7)
    return [(BEGIN + i * 10**6, source.randbytes(size), size) for i in range(count)]


def _record_at(index: int, size: int = 50) -> int:
    return 24 + index * (16 + size)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (8, 0xFFFFFFFF),  # captured length that no limit allows
        (8, 10_000_000),  # within the limit of a record, but far beyond the capture length
        (8, 3000),  # leads behind the end of the file, or into other records
        (0, None),  # sixteen zeros
    ],
)
@pytest.mark.parametrize("block_bytes", [8 << 20, 1000, 64])
def test_damaged_header_is_left_out_and_reading_goes_on(field: int, value: int | None, block_bytes: int) -> None:
    records = _many()
    data = bytearray(pcap(records))
    at = _record_at(20)
    if value is None:
        data[at : at + 16] = bytes(16)
    else:
        struct.pack_into("<I", data, at + field, value)
    frames, source = read(bytes(data), block_bytes)
    held = [frame.data for frame in frames]
    assert [r[1] for r in records[:20]] == held[:20]
    assert [r[1] for r in records[21:]] == held[20:]
    (finding,) = source.info.findings
    assert ("pcap.damaged", at, (20,)) == (finding.rule, finding.offset, finding.frames)
    assert f"offset {_record_at(21)}" in finding.text


def test_wrong_length_within_bounds_loses_only_what_it_swallows() -> None:
    records = _many()
    data = bytearray(pcap(records))
    struct.pack_into("<II", data, _record_at(20) + 8, 61, 61)
    frames, source = read(bytes(data))
    held = [frame.data for frame in frames]
    assert [r[1] for r in records[:20]] == held[:20]
    assert [r[1] for r in records[22:]] == held[21:]
    assert [f.rule for f in source.info.findings] == ["pcap.damaged"]


def test_bytes_that_are_missing_in_the_middle() -> None:
    records = _many()
    data = pcap(records)
    at = _record_at(20)
    frames, source = read(data[: at + 5] + data[at + 30 :])
    held = [frame.data for frame in frames]
    assert [r[1] for r in records[:20]] == held[:20]
    assert [r[1] for r in records[22:]] == held[-18:]
    assert [f.rule for f in source.info.findings] == ["pcap.damaged"]


def test_hole_of_zeros_at_the_end() -> None:
    records = _many()
    frames, source = read(pcap(records) + bytes(100_000))
    assert [r[1] for r in records] == [frame.data for frame in frames]
    (finding,) = source.info.findings
    assert ("pcap.damaged", len(pcap(records))) == (finding.rule, finding.offset)
    assert "zeros" in finding.text


def test_hole_of_zeros_in_the_middle() -> None:
    records = _many()
    data = pcap(records)
    at = _record_at(20)
    frames, _ = read(data[:at] + bytes(3 << 20) + data[at:], block_bytes=1 << 16)
    assert [r[1] for r in records] == [frame.data for frame in frames]


def test_file_appended_to_a_file() -> None:
    records = _many()
    frames, source = read(pcap(records[:20]) + pcap(records[20:]))
    assert [r[1] for r in records] == [frame.data for frame in frames]
    assert "second file header" in source.info.findings[0].text


def test_noise_only_ends_with_a_finding() -> None:
    frames, source = read(pcap(_many(3)) + random.Random(1).randbytes(300_000), block_bytes=5000)
    assert len(frames) == 3
    assert "no further record" in source.info.findings[0].text


def test_damage_everywhere_is_given_up() -> None:
    records = _many(4 * MAX_DAMAGE + 40, 20)
    data = bytearray(pcap(records))
    for index in range(0, len(records), 4):
        struct.pack_into("<I", data, _record_at(index, 20) + 8, 0x7FFFFFFF)
    frames, source = read(bytes(data))
    assert len(frames) == 3 * MAX_DAMAGE
    assert source.info.findings[-1].rule == "pcap.abandoned"
    assert len(source.info.findings) < 120


@pytest.mark.parametrize("block_bytes", [8 << 20, 50_000])
def test_look_alikes_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr(records_module, "MAX_LOOKED", 1000)
    alike = struct.pack("<IIII", BEGIN // 10**9, 5, 40, 40)
    frames, source = read(pcap(_many(3)) + b"\xff" * 16 + alike * 20_000, block_bytes)
    assert len(frames) == 3
    assert [f.rule for f in source.info.findings] == ["pcap.abandoned"]


def test_record_limit() -> None:
    big = [(BEGIN, b"a" * 1000, 1000), (BEGIN, b"b" * 2000, 2000), (BEGIN, b"c" * 900, 900), (BEGIN, b"d", 1)]
    frames, source = read(pcap(big), limits=replace(DEFAULT_LIMITS, record=1000))
    assert [frame.data for frame in frames] == [b"a" * 1000, b"c" * 900, b"d"]
    assert "at most 1000" in source.info.findings[0].text


def test_oddities_of_some_writers_are_no_damage() -> None:
    data = bytearray(pcap(_many(6)))
    struct.pack_into("<I", data, _record_at(2) + 4, 1_000_005)  # more than a second of microseconds
    struct.pack_into("<I", data, _record_at(3) + 12, 0)  # a length on the wire of 0
    frames, source = read(bytes(data))
    assert len(frames) == 6
    assert source.info.findings == []
    assert frames[2].time == BEGIN // 10**9 * 10**9 + 1_000_005_000
    assert frames[3].wirelen == 0
