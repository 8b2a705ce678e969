"""Small real images, made from a seed: what the sample captures and the benchmark send."""

from __future__ import annotations

import random
import struct
import zlib

__all__ = ["jfif", "pdf", "png", "tiff"]


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def png(width: int, height: int, seed: int = 1) -> bytes:
    """An 8-bit grey PNG with a ruler on the left edge and noise elsewhere, so that it does not compress away."""
    noise = _noise(seed, width * height)
    rows = bytearray()
    for y in range(height):
        row = bytearray(noise[y * width : (y + 1) * width])
        row[0:8] = b"\x00" * 8 if y % 10 == 0 else b"\xff" * 8
        rows += b"\x00" + row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(rows), 1))
        + chunk(b"IEND", b"")
    )


def tiff(width: int, height: int, seed: int = 1) -> bytes:
    """An uncompressed 8-bit grey TIFF, one strip."""
    pixels = _noise(seed, width * height)
    entries = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8 + 2 + 9 * 12 + 4),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(pixels)),
    ]
    ifd = struct.pack("<H", len(entries))
    ifd += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\x00" + struct.pack("<I", 8) + ifd + b"\x00\x00\x00\x00" + pixels


def jfif(width: int, height: int, seed: int = 1) -> bytes:
    """A baseline grey JPEG in JFIF wrapper: every block is one DC value drawn from the seed."""
    # One Huffman code for each DC category 0..11, all 4 bits long, and end-of-block as the only AC code.
    dc = bytes([0, 0, 0, 12] + [0] * 12) + bytes(range(12))
    ac = bytes([1] + [0] * 15) + b"\x00"
    bits: list[str] = []
    rng = random.Random(seed)
    last = 0
    for _ in range(((width + 7) // 8) * ((height + 7) // 8)):
        value = rng.randint(-60, 60)
        step, last = value - last, value
        size = abs(step).bit_length()
        bits.append(f"{size:04b}")
        if size:
            bits.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}")
        bits.append("0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    return (
        b"\xff\xd8"
        + segment(0xE0, b"JFIF\x00\x01\x02\x01\x01\x2c\x01\x2c\x00\x00")
        + segment(0xDB, b"\x00" + b"\x08" * 64)
        + segment(0xC0, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
        + segment(0xC4, b"\x00" + dc)
        + segment(0xC4, b"\x10" + ac)
        + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
        + scan
        + b"\xff\xd9"
    )


def pdf(size: int, seed: int = 1) -> bytes:
    """A one-page PDF whose only object of weight is a stream of noise."""
    noise = _noise(seed, size)
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>endobj\n"
        + b"4 0 obj<</Length %d>>stream\n" % size
        + noise
        + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )
