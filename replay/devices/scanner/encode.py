"""Pictures as files of one page: dib, exif, jfif, png, jpeg2k; and the compressed data that TIFF and PDF wrap.

Pillow does the compressing. What it cannot write is written here: 4-bit grey, an Exif file without a JFIF segment, the
resolution of a JPEG 2000 file. The same picture gives the same bytes: no file holds a time.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, TiffImagePlugin

__all__ = ["Picture", "dib", "exif", "fax", "jfif", "jpeg2k", "jpeg_data", "png", "raw_rows"]

EXIF_LIMIT = 65_533


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    Attributes:
        image: mode ``1``, ``L``, ``I;16``, ``RGB`` or ``RGBA``.
        color: its color entry; Grayscale4 is mode ``L`` with values that are multiples of 17.
        dpi: pixels per inch (x, y) that the file says.
        quality: CompressionQualityFactor, 0 to 100, for lossy formats.
    """

    image: Image.Image
    color: str
    dpi: tuple[int, int]
    quality: int


def raw_rows(picture: Picture, multiple: int = 1) -> bytes:
    """The rows from the top, pixels packed from the highest bit, each row filled to a multiple of so many bytes."""
    image = picture.image
    if picture.color == "Grayscale4":
        values = np.asarray(image) >> 4
        if image.width % 2:
            values = np.pad(values, ((0, 0), (0, 1)))
        rows = (values[:, 0::2] << 4) | values[:, 1::2]
        if rows.shape[1] % multiple:
            rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % multiple)))
        return rows.astype(np.uint8).tobytes()
    data = image.tobytes()
    row = len(data) // image.height
    if row % multiple == 0:
        return data
    fill = bytes(-row % multiple)
    return b"".join(data[at : at + row] + fill for at in range(0, len(data), row))


def dib(picture: Picture) -> bytes:
    """A Windows bitmap file: BITMAPINFOHEADER, rows from the bottom up, padded to four bytes, blue first."""
    image = picture.image
    if picture.color == "RGB24":
        red, green, blue = image.split()
        image = Image.merge("RGB", (blue, green, red))
    bits = {"BlackAndWhite1": 1, "Grayscale4": 4, "Grayscale8": 8, "RGB24": 24}[picture.color]
    colors = 1 << bits if bits <= 8 else 0
    palette = b"".join(bytes([value * 255 // (colors - 1)] * 3) + b"\0" for value in range(colors))
    turned = Picture(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), picture.color, picture.dpi, picture.quality)
    rows = raw_rows(turned, 4)
    per_metre = [round(one * 10_000 / 254) for one in picture.dpi]
    head = struct.pack("<IiiHHIIiiII", 40, image.width, image.height, 1, bits, 0, len(rows), *per_metre, colors, 0)
    start = 14 + len(head) + len(palette)
    return b"".join([b"BM", struct.pack("<IHHI", start + len(rows), 0, 0, start), head, palette, rows])


def png(picture: Picture) -> bytes:
    """A PNG file."""
    if picture.color != "Grayscale4":
        return _saved(picture.image, "PNG", dpi=picture.dpi)
    image = picture.image
    row = (image.width + 1) // 2
    packed = np.frombuffer(raw_rows(picture), np.uint8).reshape(image.height, row)
    lines = np.pad(packed, ((0, 0), (1, 0)))  # filter type 0 before each row
    per_metre = [round(one * 10_000 / 254) for one in picture.dpi]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", image.width, image.height, 4, 0, 0, 0, 0)),
            (b"pHYs", struct.pack(">IIB", *per_metre, 1)),
            (b"IDAT", zlib.compress(lines.tobytes(), 6)),
            (b"IEND", b""),
        )
    )


def jfif(picture: Picture) -> bytes:
    """A baseline JPEG file with a JFIF segment."""
    # A sampling factor in a file of one component confuses libtiff.
    options = {"subsampling": "4:2:0"} if picture.image.mode == "RGB" else {}
    return _saved(picture.image, "JPEG", quality=max(1, picture.quality), dpi=picture.dpi, **options)


def jpeg_data(picture: Picture) -> bytes:
    """A JPEG stream without application segments; color is YCbCr, 4:2:0."""
    data = jfif(picture)
    length = int.from_bytes(data[4:6], "big")
    assert data[2:4] == b"\xff\xe0"  # Pillow puts JFIF's APP0 first
    return data[:2] + data[4 + length :]


def exif(picture: Picture) -> bytes:
    """An Exif JPEG file: APP1 comes first, as Exif 2.3 section 4.5.4 asks, and there is no JFIF segment."""
    data = jpeg_data(picture)
    tags = Image.Exif()
    tags[0x011A], tags[0x011B], tags[0x0128] = *picture.dpi, 2  # XResolution, YResolution, ResolutionUnit inch
    tags[0x0213] = 1  # YCbCrPositioning centered
    tags[0x8769] = {
        0x9000: b"0230",  # ExifVersion
        0x9101: b"\1\2\3\0",  # ComponentsConfiguration YCbCr
        0xA000: b"0100",  # FlashpixVersion
        0xA001: 1,  # ColorSpace sRGB
        0xA002: picture.image.width,
        0xA003: picture.image.height,
    }
    segment = tags.tobytes()
    if not segment.startswith(b"Exif\0\0"):
        segment = b"Exif\0\0" + segment
    assert len(segment) <= EXIF_LIMIT
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def jpeg2k(picture: Picture) -> bytes:
    """A JPEG 2000 file (JP2) with its resolution; reversible at quality 100, else 25 to 55 dB."""
    if picture.quality >= 100:
        data = _saved(picture.image, "JPEG2000", no_jp2=False)
    else:
        layers = [25 + 0.3 * picture.quality]
        data = _saved(
            picture.image, "JPEG2000", no_jp2=False, irreversible=True, quality_mode="dB", quality_layers=layers
        )
    return _with_resolution(data, picture.dpi)


def fax(picture: Picture, compression: str) -> bytes:
    """One bit pictures as fax data in one piece, black as 1 bits (WhiteIsZero).

    Args:
        compression: ``group4``, or ``group3`` for one-dimensional (MH) coding with end-of-line codes.
    """
    # Pillow writes 1 for white; turned here, because it takes seconds a page to do that itself (for tag 262).
    file = BytesIO(_saved(ImageChops.invert(picture.image), "TIFF", compression=compression, strip_size=1 << 40))
    with TiffImagePlugin.TiffImageFile(file) as made:
        tags = made.tag_v2
        assert len(tags[TiffImagePlugin.STRIPOFFSETS]) == 1
        assert tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] == 1
        assert tags.get(TiffImagePlugin.FILLORDER, 1) == 1
        start, length = tags[TiffImagePlugin.STRIPOFFSETS][0], tags[TiffImagePlugin.STRIPBYTECOUNTS][0]
    return file.getvalue()[start : start + length]


def _with_resolution(data: bytes, dpi: tuple[int, int]) -> bytes:
    """Put a capture resolution box into the header box of a JP2 file (ISO/IEC 15444-1 I.5.3.7)."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"jp2h" and length >= 8:
            # Pixels per metre, exactly: 10000/254 of pixels per inch; the vertical one comes first.
            resolution = struct.pack(">HHHHbb", dpi[1], 254, dpi[0], 254, 4, 4)
            box = struct.pack(">I4sI4s", 26, b"res ", 18, b"resc") + resolution
            return b"".join(
                [data[:at], struct.pack(">I", length + len(box)), data[at + 4 : at + length], box, data[at + length :]]
            )
        if length < 8:
            break
        at += length
    raise ValueError("the JPEG 2000 library wrote a file without a header box")


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    # What Pillow carries along with a picture (a comment, a profile of a page's file) stays out of the result.
    image.info.clear()
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()
