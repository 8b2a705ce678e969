"""What an image is by its first bytes, and whether that fits what was declared.

Sources: JFIF 1.02; Exif 2.3 4.5; PNG 5.2; TIFF 6.0 section 2; PDF 32000-1 7.5.2; JPEG 2000 annex I; WS-Scan's and
WS-DSP's values of Format.
"""

from __future__ import annotations

__all__ = ["fits", "real_type"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"%PDF-", "pdf"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2k"),
    (b"\xff\x4f\xff\x51", "jpeg2k"),
    (b"PK\x03\x04", "xps"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_SMALLEST = 12
"""Fewer bytes than this may be the beginning of anything."""

_FAMILY: dict[str, str] = {
    "jfif": "jpeg", "exif": "jpeg", "jpeg": "jpeg", "jpg": "jpeg", "pjpeg": "jpeg",
    "png": "png", "x-png": "png",
    "tiff": "tiff", "tif": "tiff", "x-tiff": "tiff",
    "pdf": "pdf", "x-pdf": "pdf",
    "bmp": "bmp", "dib": "bmp", "x-bmp": "bmp", "x-ms-bmp": "bmp",
    "jpeg2k": "jpeg2k", "jp2": "jpeg2k", "jpx": "jpeg2k",
    "xps": "xps", "oxps": "xps", "vnd.ms-xpsdocument": "xps", "openxps": "xps", "zip": "xps",
    "gif": "gif",
}  # fmt: skip
"""Word of a declared format or media type → family; words that are not here contradict nothing."""


def real_type(head: bytes) -> str | None:
    """The type told from the first bytes: jfif, exif, jpeg (another JPEG), png, tiff, pdf, bmp, jpeg2k, xps (any zip),
    gif; None where it is none of them or too few bytes are there."""
    if head.startswith(b"\xff\xd8\xff"):
        if head[6:10] == b"JFIF":
            return "jfif"
        return "exif" if head[6:10] == b"Exif" else "jpeg"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "bmp"
    if b"%PDF-" in head[:64] and not head[: head.find(b"%PDF-")].strip(b" \t\r\n\xef\xbb\xbf\x00"):
        return "pdf"
    return None


def fits(declared: str, real: str | None) -> bool:
    """Whether a declared format or media type agrees with the type of the bytes.

    Args:
        declared: a format such as ``jfif``, ``tiff-single-g4``, ``pdf-a``, or a media type such as ``image/jpeg``.
        real: of :func:`real_type`.

    Returns:
        False only for a contradiction: what says nothing (``application/octet-stream``, a vendor's format, bytes of an
        unknown type) fits.
    """
    if real is None:
        return True
    word = declared.strip().lower().partition(";")[0].strip()
    word = word.rpartition("/")[2]
    family = _FAMILY.get(word) or _FAMILY.get(word.partition("-")[0])
    if family is None:
        return True
    # JFIF and Exif are checked as far as a file can be only one of them; both are often declared for the other.
    return family == _FAMILY[real]


def too_short(size: int) -> bool:
    """So few bytes that nothing can be told."""
    return size < _SMALLEST
