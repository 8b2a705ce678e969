"""The file formats that the emulated scanner makes, as a table: which color entries each can hold, how it is sent.

Names are the values of Format and ColorEntry (format.md, colorentry.md). Not made: ``jbig`` and ``xps`` (nothing here
writes them), the 48 and 64 bit color entries (Pillow has no such pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from PIL import features

__all__ = ["BITS", "COLORS", "FORMATS", "MULTI_PAGE", "TABLE", "Made", "fits", "lossless", "media_type"]

BITS = MappingProxyType(
    {"BlackAndWhite1": 1, "Grayscale4": 4, "Grayscale8": 8, "Grayscale16": 16, "RGB24": 24, "RGBa32": 32}
)
"""Bits of a pixel, for each color entry that can be made."""


@dataclass(frozen=True)
class Made:
    """What is known of a format.

    Attributes:
        media_type: of the MIME part that carries it.
        colors: the color entries that it can hold.
        multi_page: one file can hold several pages.
        lossless: the pixels come out as they went in.
        row_bytes: an uncompressed format pads its rows to a multiple of so many bytes; 0: compressed.
    """

    media_type: str
    colors: frozenset[str]
    multi_page: bool = False
    lossless: bool = True
    row_bytes: int = 0


_BITS = frozenset({"BlackAndWhite1"})
_JPEG = frozenset({"Grayscale8", "RGB24"})
_ALL = frozenset(BITS)


def _table() -> dict[str, Made]:
    made = {
        "dib": Made("image/bmp", _ALL - {"Grayscale16", "RGBa32"}, row_bytes=4),
        "exif": Made("image/jpeg", _JPEG, lossless=False),
        "jfif": Made("image/jpeg", _JPEG, lossless=False),
        "png": Made("image/png", _ALL),
    }
    if features.check("jpg_2000"):
        made["jpeg2k"] = Made("image/jp2", _ALL - {"BlackAndWhite1", "Grayscale4"}, lossless=False)
    fax = features.check("libtiff")
    for pages in ("single", "multi"):
        multi = pages == "multi"
        made[f"tiff-{pages}-uncompressed"] = Made("image/tiff", _ALL, multi, row_bytes=1)
        made[f"tiff-{pages}-jpeg-tn2"] = Made("image/tiff", _JPEG, multi, lossless=False)
        if fax:
            made[f"tiff-{pages}-g4"] = Made("image/tiff", _BITS, multi)
            made[f"tiff-{pages}-g3mh"] = Made("image/tiff", _BITS, multi)
    made["pdf-a"] = Made("application/pdf", _JPEG | (_BITS if fax else frozenset()), True, lossless=False)
    return made


TABLE = MappingProxyType(_table())
"""The formats that can be made here; ``jpeg2k``, ``g4`` and ``g3mh`` where Pillow was built with their libraries."""

FORMATS = frozenset(TABLE)
"""The values of Format that can be made."""
COLORS = frozenset(BITS)
"""The values of ColorEntry that can be made, in one format or another; see :func:`fits`."""
MULTI_PAGE = frozenset(name for name, made in TABLE.items() if made.multi_page)
"""The formats whose files can hold several pages."""


def fits(format: str, color: str) -> bool:
    """Whether this format can be made with this color entry."""
    return format in TABLE and color in TABLE[format].colors


def media_type(format: str) -> str:
    """The media type of a format.

    Raises:
        ValueError: the format cannot be made.
    """
    return _known(format).media_type


def lossless(format: str) -> bool:
    """Whether pixels come out as they went in; False where that depends on the colors or the quality.

    (``pdf-a`` is lossless for BlackAndWhite1, ``jpeg2k`` at quality 100.)

    Raises:
        ValueError: the format cannot be made.
    """
    return _known(format).lossless


def _known(format: str) -> Made:
    made = TABLE.get(format)
    if made is None:
        raise ValueError(f"format {format!r} cannot be made; expected one of {', '.join(sorted(FORMATS))}")
    return made
