"""What a file is that is no capture, and what to do with it: for a clear message."""

from __future__ import annotations

import re

__all__ = ["describe"]

_EDITCAP = "convert it with: editcap -F pcapng IN OUT.pcapng"
_UNPACK = "decompress it first"

_KNOWN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"snoop\0\0\0", "a snoop capture (Solaris)", _EDITCAP),
    (0, b"btsnoop\0", "a Bluetooth btsnoop capture", ""),
    (0, b"RTSS", "a Microsoft Network Monitor 1 capture", _EDITCAP),
    (0, b"GMBU", "a Microsoft Network Monitor 2 capture", _EDITCAP),
    (0, b"XCP\0", "a NetXRay or Sniffer capture", _EDITCAP),
    (0, b"TRSNIFF data", "a DOS Sniffer capture", _EDITCAP),
    (0, b"\x7fver", "a Savvius Peek capture", _EDITCAP),
    (0, b"\x05VNF", "a Visual Networks capture", _EDITCAP),
    (0, b"iptrace ", "an AIX iptrace capture", _EDITCAP),
    (0, b"nettl", "an HP-UX nettl trace", _EDITCAP),
    (0, b"\x54\x00\x01\x01", "an HP-UX nettl trace", _EDITCAP),
    (0, b"\x00\x00\x02\x00\x12\x05\x00\x10", "a Tektronix K12 capture", _EDITCAP),
    (0, b"\xaa\xaa\xaa\xaa", "a 5View capture", _EDITCAP),
    (0, b"\xa1\xb2\x34\xcd", "a pcap variant that was never documented", ""),
    (0, b"\xcd\x34\xb2\xa1", "a pcap variant that was never documented", ""),
    (0, b"BZh", "a bzip2 file", _UNPACK),
    (0, b"PK\x03\x04", "a ZIP archive", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (0, b"Rar!", "a RAR archive", "unpack it first"),
    (257, b"ustar", "a tar archive", "unpack it first"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", "unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz file", "unpack it first"),
    (0, b"\x1f\x9d", "a compress (.Z) file", _UNPACK),
    (0, b"\x5d\0\0", "an .lzma file", _UNPACK),
    (0, b"\x02\x21\x4c\x18", "an lz4 file of the old kind", _UNPACK),
    (0, b"\x89LZO", "an lzop file", _UNPACK),
    (0, b"\xff\x06\0\0sNaPpY", "a snappy file", _UNPACK),
    (0, b"%PDF", "a PDF document", ""),
    (0, b"\x89PNG", "a PNG image", ""),
    (0, b"\xff\xd8\xff", "a JPEG image", ""),
    (0, b"GIF8", "a GIF image", ""),
    (0, b"II*\0", "a TIFF image", ""),
    (0, b"MM\0*", "a TIFF image", ""),
    (0, b"BM", "a BMP image", ""),
    (0, b"RIFF", "a RIFF file (sound, video or WebP)", ""),
    (4, b"ftyp", "an MP4 or HEIF file", ""),
    (0, b"\x7fELF", "a program (ELF)", ""),
    (0, b"MZ", "a program (Windows)", ""),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document or MSI package", ""),
    (0, b"SQLite format 3\0", "an SQLite database", ""),
    (0, b"{\\rtf", "an RTF document", ""),
)

_TEXTS: tuple[tuple[str, str, str], ...] = (
    (
        r"#.*\n|CLIENT_(RANDOM|HANDSHAKE_TRAFFIC_SECRET) ",
        "a TLS key log",
        "it belongs to a capture, and is none itself",
    ),
    (r"-----BEGIN ", "a PEM file (a key or certificate)", ""),
    (r"\s*<(\?xml|!--|[\w:.-]+[ >])", "an XML or HTML text", ""),
    (r"\s*[\[{]", "a JSON text", ""),
    (r"No\.\s+Time\s+Source", "a packet list that Wireshark saved as text", "export it as pcapng instead"),
    (r"Frame \d+:", "packet details that Wireshark saved as text", "export them as pcapng instead"),
    (r"(0x)?[0-9a-fA-F]{4,8}:?\s+([0-9a-fA-F]{2,4}\s+){4}", "a hex dump", "convert it with: text2pcap IN OUT.pcapng"),
    (r"\d\d:\d\d:\d\d\.\d+ IP", "the text that tcpdump prints", "record with: tcpdump -w FILE"),
    (r"(GET|POST|PUT|HEAD|HTTP/1\.\d) ", "the text of an HTTP message", ""),
)


def describe(head: bytes) -> tuple[str, str]:
    """What the first bytes of a file are.

    Args:
        head: the first bytes, 512 or more where there are as many.

    Returns:
        What it is ("a PDF document"), and what to do with it; each empty where that is not known.
    """
    if not head:
        return "nothing: the file is empty", ""
    for offset, magic, name, advice in _KNOWN:
        if head[offset : offset + len(magic)] == magic:
            return name, advice
    if not any(head):
        return "only zeros", "the file was not written to its end, or its disk was full"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "a text (UTF-16)", ""
    text = _text(head)
    if not text[0] and _erf(head):
        # Last: letters make a good time too.
        return "an ERF capture (Endace)", _EDITCAP
    return text


def _erf(head: bytes) -> bool:
    """An ERF record: time (little-endian, its upper half in seconds), type, flags, length, lost, wire length."""
    if len(head) < 16:
        return False
    seconds = int.from_bytes(head[4:8], "little")
    length = int.from_bytes(head[10:12], "big")
    return (
        631_152_000 < seconds < 4_000_000_000
        and 0 < head[8] & 0x7F <= 48
        and 16 <= length <= int.from_bytes(head[14:16], "big") + 64
    )


def _text(head: bytes) -> tuple[str, str]:
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head) or 127 in head:
        return "", ""
    try:
        said = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # Only a character that the end of the head cut in two is forgiven.
        if error.start < max(len(head) - 3, 1):
            return "", ""
        said = head[: error.start].decode("utf-8")
    said = said.removeprefix("\ufeff")
    for pattern, name, advice in _TEXTS:
        if re.match(pattern, said):
            if name == "a TLS key log" and "CLIENT_" not in said:
                continue
            return name, advice
    return "a text file", ""
