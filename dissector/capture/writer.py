"""Writes pcap and pcapng files: for sample captures, tests, and what the replayer records.

Bytes go straight to a binary file that the caller opens and closes; nothing is buffered here. Every field of the file
header can be set, so that tests can write each variant that the readers know. The readers are in ``pcap`` and
``pcapng``; neither side uses code of the other, so that a round trip proves something.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Protocol

from dissector.base.errors import UsageError

__all__ = ["TLS_KEY_LOG", "PcapWriter", "PcapngWriter"]

TLS_KEY_LOG = 0x544C534B
"""Type of a decryption secrets block that holds a TLS key log (SSLKEYLOGFILE)."""

_UNKNOWN_SECTION_LENGTH = -1
_NS = 1_000_000_000


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


class PcapWriter:
    """Writes a pcap file; the file header is written at once.

    Args:
        file: where to write.
        link_type: LINKTYPE_ number.
        nanoseconds: times with nanoseconds (magic a1b23c4d) instead of microseconds (a1b2c3d4).
        big_endian: byte order of the headers.
        snaplen: capture length to declare, bytes; frames are not cut to it.
    """

    def __init__(
        self,
        file: _Writable,
        link_type: int = 1,
        nanoseconds: bool = False,
        big_endian: bool = False,
        snaplen: int = 262144,
    ) -> None:
        self._file = file
        order = ">" if big_endian else "<"
        self._record = struct.Struct(order + "IIII")
        self._unit = 1 if nanoseconds else 1000
        magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
        file.write(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link_type))

    def write(self, time_ns: int, data: bytes, wirelen: int | None = None) -> None:
        """Write one frame.

        Args:
            time_ns: nanoseconds since 1970 UTC; cut to microseconds where the file has them.
            data: the frame's bytes.
            wirelen: bytes it had on the wire, default all of ``data``.
        """
        seconds, rest = divmod(time_ns, _NS)
        header = self._record.pack(seconds, rest // self._unit, len(data), len(data) if wirelen is None else wirelen)
        self._file.write(header + data)


class PcapngWriter:
    """Writes a pcapng file; the section header is written at once, an interface has to be added before a packet.

    Args:
        file: where to write.
        big_endian: byte order of the section.
        comment: comment on the section.
        hardware, os, application: what the section header says of its maker.
    """

    def __init__(
        self,
        file: _Writable,
        *,
        big_endian: bool = False,
        comment: str | None = None,
        hardware: str = "",
        os: str = "",
        application: str = "",
    ) -> None:
        self._file = file
        self._resolutions: list[tuple[int, int]] = []
        self.new_section(big_endian=big_endian, comment=comment, hardware=hardware, os=os, application=application)

    def new_section(
        self,
        *,
        big_endian: bool = False,
        comment: str | None = None,
        hardware: str = "",
        os: str = "",
        application: str = "",
        length: int = _UNKNOWN_SECTION_LENGTH,
    ) -> None:
        """Begin a section (block type 0A0D0D0A); its interfaces are counted from 0 again."""
        self._order = ">" if big_endian else "<"
        self._resolutions = []
        options = [(1, comment), (2, hardware), (3, os), (4, application)]
        head = struct.pack(self._order + "IHHq", 0x1A2B3C4D, 1, 0, length)
        self.write_block(0x0A0D0D0A, head + self._options((code, text.encode()) for code, text in options if text))

    def add_interface(
        self,
        link_type: int = 1,
        *,
        tsresol: int = 9,
        tsoffset: int = 0,
        snaplen: int = 0,
        name: str = "",
        description: str = "",
        os: str = "",
        comment: str | None = None,
    ) -> int:
        """Write an interface description block (type 1).

        Args:
            link_type: LINKTYPE_ number.
            tsresol: if_tsresol: times are counted in 10**-tsresol seconds, or 2**-(tsresol & 127) where bit 7 is set.
            tsoffset: if_tsoffset, seconds that are added to each time when read.
            snaplen: capture length limit, 0 for none.
            name, description, os, comment: options, left out where empty.

        Returns:
            The interface's index in this section.
        """
        options: list[tuple[int, bytes]] = [
            (code, text.encode())
            for code, text in ((1, comment), (2, name), (3, description), (12, os))
            if text is not None and text != ""
        ]
        options.append((9, bytes([tsresol])))
        if tsoffset:
            options.append((14, struct.pack(self._order + "q", tsoffset)))
        self.write_block(1, struct.pack(self._order + "HHI", link_type, 0, snaplen) + self._options(options))
        self._resolutions.append((tsresol, tsoffset))
        return len(self._resolutions) - 1

    def write_packet(
        self,
        time_ns: int,
        data: bytes,
        interface: int = 0,
        comment: str | None = None,
        wirelen: int | None = None,
        options: Iterable[tuple[int, bytes]] = (),
        obsolete: bool = False,
    ) -> None:
        """Write an enhanced packet block (type 6).

        Args:
            time_ns: nanoseconds since 1970 UTC; cut to the interface's resolution.
            data: the frame's bytes.
            interface: index in this section.
            comment: comment on the packet.
            wirelen: bytes it had on the wire, default all of ``data``.
            options: further options (code, value).
            obsolete: write the obsolete packet block (type 2) instead.

        Raises:
            UsageError: the section has no such interface.
        """
        if interface >= len(self._resolutions):
            raise UsageError(f"interface {interface} is not in this section: call add_interface() first")
        resolution, offset = self._resolutions[interface]
        per_second = 1 << (resolution & 0x7F) if resolution & 0x80 else int(10**resolution)
        ticks = (time_ns - offset * _NS) * per_second // _NS
        wirelen = len(data) if wirelen is None else wirelen
        first = struct.pack(self._order + ("HH" if obsolete else "I"), interface, *([0xFFFF] if obsolete else []))
        head = struct.pack(self._order + "IIII", ticks >> 32 & 0xFFFFFFFF, ticks & 0xFFFFFFFF, len(data), wirelen)
        said = [(1, comment.encode())] if comment else []
        said.extend(options)
        self.write_block(2 if obsolete else 6, first + head + _padded(data) + self._options(said))

    def write_simple(self, data: bytes, wirelen: int | None = None) -> None:
        """Write a simple packet block (type 3): no time, interface 0."""
        wirelen = len(data) if wirelen is None else wirelen
        self.write_block(3, struct.pack(self._order + "I", wirelen) + _padded(data))

    def write_secrets(self, type: int, data: bytes) -> None:
        """Write a decryption secrets block (type 10), such as :data:`TLS_KEY_LOG` with the text of a key log."""
        self.write_block(10, struct.pack(self._order + "II", type, len(data)) + _padded(data))

    def write_names(self, names: Mapping[str, Iterable[str]]) -> None:
        """Write a name resolution block (type 4): address → names."""
        from ipaddress import IPv4Address, ip_address

        body = b""
        for address, known in names.items():
            parsed = ip_address(address)
            value = parsed.packed + b"".join(name.encode() + b"\0" for name in known)
            kind = 1 if isinstance(parsed, IPv4Address) else 2
            body += struct.pack(self._order + "HH", kind, len(value)) + _padded(value)
        self.write_block(4, body + struct.pack(self._order + "HH", 0, 0))

    def write_block(self, type: int, body: bytes) -> None:
        """Write any block: type, the body padded to four bytes, and the length at both ends."""
        length = len(_padded(body)) + 12
        self._file.write(
            struct.pack(self._order + "II", type, length) + _padded(body) + struct.pack(self._order + "I", length)
        )

    def _options(self, options: Iterable[tuple[int, bytes]]) -> bytes:
        made = b"".join(struct.pack(self._order + "HH", code, len(value)) + _padded(value) for code, value in options)
        return made + struct.pack(self._order + "HH", 0, 0) if made else b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
