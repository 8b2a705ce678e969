"""TIFF files of one or many pages, uncompressed, Group 3, Group 4 and JPEG after Technical Note 2.

Pages are written one after another, so that never more than one is in memory as a picture. Little-endian, TIFF 6.0
baseline tags; section numbers are those of TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO

from replay.devices.scanner.encode import Picture, fax, jpeg_data, raw_rows
from replay.devices.scanner.pages import ScanTooLarge

__all__ = ["MAX_FILE", "write_tiff"]

MAX_FILE = 1 << 30
"""Bytes of one file that are made."""
STRIP = 1 << 16
"""Bytes of a strip of an uncompressed page, about: section 3 recommends small ones."""

SHORT, LONG, RATIONAL = 3, 4, 5
SIZES = {SHORT: "H", LONG: "I", RATIONAL: "I"}
NONE, GROUP3, GROUP4, JPEG = 1, 3, 4, 7
COMPRESSIONS = {"uncompressed": NONE, "g3mh": GROUP3, "g4": GROUP4, "jpeg-tn2": JPEG}

Tag = tuple[int, int, list[int]]
"""Number, type, values (a rational is two)."""


def write_tiff(pictures: Iterable[Picture], kind: str, count: int) -> bytes:
    """One file with a page for each picture.

    Args:
        pictures: taken one at a time.
        kind: ``uncompressed``, ``g3mh``, ``g4`` or ``jpeg-tn2``.
        count: how many they are; with more than one, each page says its number (PageNumber, section 8).

    Raises:
        ScanTooLarge: more than :data:`MAX_FILE` bytes.
    """
    out = BytesIO()
    out.write(b"II*\0" + bytes(4))
    link = 4
    for index, picture in enumerate(pictures):
        strips, rows = _strips(picture, kind)
        if out.tell() + sum(map(len, strips)) > MAX_FILE:
            raise ScanTooLarge(f"page {index + 1} would make the file larger than {MAX_FILE} bytes")
        offsets = []
        for strip in strips:
            offsets.append(_aligned(out))
            out.write(strip)
        tags = [
            *_tags(picture, kind),
            (273, LONG, offsets),
            (278, LONG, [rows]),
            (279, LONG, [len(one) for one in strips]),
        ]
        if count > 1:
            tags += [(254, LONG, [2]), (297, SHORT, [index, count])]
        start, link_of_this = _directory(out, sorted(tags))
        out.seek(link)
        out.write(struct.pack("<I", start))
        out.seek(0, 2)
        link = link_of_this
    return out.getvalue()


def _strips(picture: Picture, kind: str) -> tuple[list[bytes], int]:
    """The data of a page and the rows of a strip."""
    height = picture.image.height
    if kind == "jpeg-tn2":
        return [jpeg_data(picture)], height
    if kind in ("g3mh", "g4"):
        return [fax(picture, "group4" if kind == "g4" else "group3")], height
    data = raw_rows(picture)
    row = len(data) // height
    rows = max(1, min(height, STRIP // row))
    return [data[at : at + rows * row] for at in range(0, len(data), rows * row)], rows


def _tags(picture: Picture, kind: str) -> list[Tag]:
    bits, photometric = {
        "BlackAndWhite1": ([1], 0 if kind in ("g3mh", "g4") else 1),  # WhiteIsZero, as fax data is; BlackIsZero
        "Grayscale4": ([4], 1),
        "Grayscale8": ([8], 1),
        "Grayscale16": ([16], 1),
        "RGB24": ([8, 8, 8], 6 if kind == "jpeg-tn2" else 2),  # YCbCr; RGB
        "RGBa32": ([8, 8, 8, 8], 2),
    }[picture.color]
    tags: list[Tag] = [
        (256, LONG, [picture.image.width]),
        (257, LONG, [picture.image.height]),
        (258, SHORT, bits),
        (259, SHORT, [COMPRESSIONS[kind]]),
        (262, SHORT, [photometric]),
        (277, SHORT, [len(bits)]),
        (282, RATIONAL, [picture.dpi[0], 1]),
        (283, RATIONAL, [picture.dpi[1], 1]),
        (284, SHORT, [1]),  # PlanarConfiguration: chunky
        (296, SHORT, [2]),  # ResolutionUnit: inch
    ]
    if kind == "g3mh":
        tags.append((292, LONG, [0]))  # T4Options: one-dimensional
    if photometric == 6:
        tags += [
            (530, SHORT, [2, 2]),  # YCbCrSubSampling, as jpeg_data writes
            (532, RATIONAL, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),  # ReferenceBlackWhite: full range
        ]
    if len(bits) == 4:
        tags.append((338, SHORT, [2]))  # ExtraSamples: unassociated alpha
    return tags


def _directory(out: BytesIO, tags: list[Tag]) -> tuple[int, int]:
    """Write a directory; returns where it starts and where its link to the next one stands."""
    entries = []
    for number, kind, values in tags:
        data = struct.pack(f"<{len(values)}{SIZES[kind]}", *values)
        if len(data) > 4:
            place = _aligned(out)
            out.write(data)
            data = struct.pack("<I", place)
        count = len(values) // 2 if kind == RATIONAL else len(values)
        entries.append(struct.pack("<HHI", number, kind, count) + data.ljust(4, b"\0"))
    start = _aligned(out)
    out.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    return start, out.tell() - 4


def _aligned(out: BytesIO) -> int:
    """Offsets are even (section 2)."""
    if out.tell() % 2:
        out.write(b"\0")
    return out.tell()
