"""Captures with a bit of everything that their file format knows, for damage."""

from __future__ import annotations

import io

from dissector.capture import PcapngWriter
from tests.support.capture_files import FRAMES


def rich_pcapng() -> bytes:
    """Two sections in both byte orders, comments, names, secrets, every kind of packet block."""
    file = io.BytesIO()
    writer = PcapngWriter(file, comment="section")
    writer.add_interface(1, name="eth0", comment="interface")
    writer.add_interface(113, tsresol=0x8A, tsoffset=7)
    writer.write_names({"192.0.2.1": ["a"]})
    writer.write_secrets(1, b"secret")
    for i, (time, data, wirelen) in enumerate(FRAMES):
        writer.write_packet(time, data, i % 2, wirelen=wirelen, comment="c" if i == 3 else None, obsolete=i == 5)
    writer.write_simple(b"simple")
    writer.new_section(big_endian=True)
    writer.add_interface(1)
    for time, data, wirelen in FRAMES:
        writer.write_packet(time, data, wirelen=wirelen)
    return file.getvalue()
