"""The writer of captures, against bytes made by hand; and the names of link types."""

from __future__ import annotations

import io
import struct

import pytest

from dissector.base.errors import UsageError
from dissector.capture import PcapngWriter, link_name


def test_enhanced_packet_block_byte_by_byte() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface(1, tsresol=6)
    begin = file.tell()
    writer.write_packet(0x12345678_9ABCDEF0 * 1000, b"abcde", wirelen=70, comment="hi")
    assert file.getvalue()[begin:] == (
        struct.pack("<IIIIIII", 6, 52, 0, 0x12345678, 0x9ABCDEF0, 5, 70)
        + b"abcde\0\0\0"
        + struct.pack("<HH", 1, 2)
        + b"hi\0\0"
        + bytes(4)
        + struct.pack("<I", 52)
    )


def test_section_and_interface_byte_by_byte() -> None:
    file = io.BytesIO()
    PcapngWriter(file, big_endian=True).add_interface(113, tsresol=9, tsoffset=-1, snaplen=96, name="any")
    assert file.getvalue() == (
        struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
        + struct.pack(">IIHHI", 1, 52, 113, 0, 96)
        + struct.pack(">HH4s", 2, 3, b"any\0")
        + struct.pack(">HH4s", 9, 1, b"\x09\0\0\0")
        + struct.pack(">HHq", 14, 8, -1)
        + bytes(4)
        + struct.pack(">I", 52)
    )


def test_packet_without_interface_is_misuse() -> None:
    with pytest.raises(UsageError, match="add_interface"):
        PcapngWriter(io.BytesIO()).write_packet(0, b"")


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "NULL"),
        (1, "ETHERNET"),
        (12, "RAW"),
        (101, "RAW"),
        (113, "LINUX_SLL"),
        (276, "LINUX_SLL2"),
        (9999, "unknown"),
    ],
)
def test_link_names(number: int, name: str) -> None:
    assert name == link_name(number)
