"""What an image is by its first bytes."""

from __future__ import annotations

import pytest

from dissector.messages.images import fits, real_type


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "jfif"),
        (b"\xff\xd8\xff\xe1\x12\x34Exif\x00", "exif"),
        (b"\xff\xd8\xff\xdb", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"II*\x00\x08", "tiff"),
        (b"MM\x00*", "tiff"),
        (b"%PDF-1.4", "pdf"),
        (b"\xef\xbb\xbf%PDF-1.4", "pdf"),
        (b"BM\x36\x00\x0c\x00\x00\x00\x00\x00", "bmp"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2k"),
        (b"\xff\x4f\xff\x51", "jpeg2k"),
        (b"PK\x03\x04", "xps"),
        (b"GIF89a", "gif"),
        (b"\xff\xd8", None),
        (b"BMW is a car", None),
        (b"text %PDF-", None),
        (b"", None),
    ],
)
def test_real_type(head: bytes, expected: str | None) -> None:
    assert real_type(head) == expected


@pytest.mark.parametrize(
    ("declared", "real", "expected"),
    [
        ("jfif", "jfif", True),
        ("exif", "jfif", True),
        ("image/jpeg", "exif", True),
        ("tiff-multi-g4", "tiff", True),
        ("pdf-a", "pdf", True),
        ("image/tiff; application=faxbw", "tiff", True),
        ("xps", "xps", True),
        ("application/octet-stream", "png", True),
        ("vendor:raw", "png", True),
        ("jfif", None, True),
        ("jfif", "png", False),
        ("image/png", "jfif", False),
        ("PDF-A", "tiff", False),
    ],
)
def test_fits(declared: str, real: str | None, expected: bool) -> None:
    assert fits(declared, real) is expected
