"""From pages and the settings of a scan ticket to the bytes of an image file.

The order is that of a device: the page is seen at the resolution, exposure is applied, then scaling (in the page's own
directions), then rotation, then the colors are reduced to what was asked for, then the file is made. What
:func:`pixel_size` and :func:`bytes_per_line` say (ImageInformation of CreateScanJobResponse) is what the file has.

No global state: pictures are rendered in several threads. The same pages and settings give the same bytes.
Sources: pixelsperline.md, numberoflines.md, bytesperline.md, rotation.md, scalingwidth.md, exposuresettings.md,
compressionqualityfactor.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from replay.devices.scanner.encode import Picture, dib, exif, jfif, jpeg2k, png
from replay.devices.scanner.formats import BITS, COLORS, FORMATS, MULTI_PAGE, TABLE, fits, lossless, media_type
from replay.devices.scanner.pages import Page, Region, ScanTooLarge, check_size, to_bits
from replay.devices.scanner.pdf import write_pdf
from replay.devices.scanner.testpage import to_pixels
from replay.devices.scanner.tiff import write_tiff

__all__ = [
    "COLORS",
    "FORMATS",
    "MAX_DPI",
    "MULTI_PAGE",
    "ScanTooLarge",
    "Settings",
    "bytes_per_line",
    "fits",
    "lossless",
    "media_type",
    "pixel_size",
    "render",
]

MAX_DPI = 19_200
"""Highest resolution that a scan can have."""

_SINGLE = {"dib": dib, "exif": exif, "jfif": jfif, "jpeg2k": jpeg2k, "png": png}
_TURNS = {
    90: Image.Transpose.ROTATE_270,  # Pillow turns counter-clockwise
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Settings:
    """How to scan; the names are the ticket's.

    Attributes:
        format: a value of Format, one of :data:`FORMATS`.
        color: a value of ColorEntry, one of :data:`COLORS`, that fits the format (:func:`fits`).
        resolution: pixels per inch (x, y).
        region: what part of the page, 1/1000 inch.
        quality: CompressionQualityFactor, 0 to 100; 100 compresses least.
        rotation: 0, 90, 180 or 270 degrees clockwise, after the scan.
        scaling: ScalingWidth and ScalingHeight, percent, 1 to 1000, before the rotation.
        brightness, contrast: -1000 to 1000; 0 changes nothing.
        sharpness: -100 to 100; 0 changes nothing.

    Raises:
        ValueError: a number is out of its range. Whether format and color can be made is told by :func:`render`.
    """

    format: str
    color: str
    resolution: tuple[int, int]
    region: Region
    quality: int = 75
    rotation: int = 0
    scaling: tuple[int, int] = (100, 100)
    brightness: int = 0
    contrast: int = 0
    sharpness: int = 0

    def __post_init__(self) -> None:
        for name, values, low, high in (
            ("resolution", self.resolution, 1, MAX_DPI),
            ("region width and height", (self.region.width, self.region.height), 1, 1 << 31),
            ("region offset", (self.region.x, self.region.y), -(1 << 31), 1 << 31),
            ("quality", (self.quality,), 0, 100),
            ("scaling", self.scaling, 1, 1000),
            ("brightness", (self.brightness,), -1000, 1000),
            ("contrast", (self.contrast,), -1000, 1000),
            ("sharpness", (self.sharpness,), -100, 100),
        ):
            if any(not low <= value <= high for value in values):
                raise ValueError(f"{name} {', '.join(map(str, values))}; expected {low} to {high}")
        if self.rotation not in (0, *_TURNS):
            raise ValueError(f"rotation {self.rotation}; expected 0, 90, 180 or 270")


def pixel_size(settings: Settings) -> tuple[int, int]:
    """PixelsPerLine and NumberOfLines of the file, scaling and rotation included."""
    width, height = _scaled(settings, _seen(settings))
    return (height, width) if settings.rotation in (90, 270) else (width, height)


def bytes_per_line(settings: Settings) -> int:
    """BytesPerLine: of a row in the file with its padding; 0 for compressed formats (bytesperline.md).

    Raises:
        ValueError: the format cannot be made with the color entry.
    """
    _check(settings)
    multiple = TABLE[settings.format].row_bytes
    if not multiple:
        return 0
    used = (pixel_size(settings)[0] * BITS[settings.color] + 7) // 8
    return used + -used % multiple


def render(pages: Sequence[Page], settings: Settings) -> bytes:
    """One image file.

    Args:
        pages: one page; several for the formats in :data:`MULTI_PAGE` only.
        settings: how to scan each of them.

    Raises:
        ScanTooLarge: too many pixels or bytes.
        PageUnreadable: the file of a page cannot be read any more.
        ValueError: the format cannot be made, or not with this color entry or number of pages.
    """
    _check(settings)
    if not pages:
        raise ValueError("no page to render")
    if len(pages) > 1 and settings.format not in MULTI_PAGE:
        raise ValueError(f"{len(pages)} pages in one file of format {settings.format!r}; it holds one")
    # Both before the first page is drawn.
    check_size(*_seen(settings))
    check_size(*pixel_size(settings))
    single = _SINGLE.get(settings.format)
    if single is not None:
        return single(_picture(pages[0], settings))
    pictures: Iterator[Picture] = (_picture(page, settings) for page in pages)
    if settings.format == "pdf-a":
        return write_pdf(pictures)
    return write_tiff(pictures, settings.format.split("-", 2)[2], len(pages))


def _check(settings: Settings) -> None:
    media_type(settings.format)  # says what can be made
    if not fits(settings.format, settings.color):
        needed = ", ".join(sorted(TABLE[settings.format].colors))
        raise ValueError(f"format {settings.format!r} needs {needed}; not {settings.color!r}")


def _seen(settings: Settings) -> tuple[int, int]:
    """Pixels that the sensor sees."""
    region, (dpi_x, dpi_y) = settings.region, settings.resolution
    return max(1, to_pixels(region.width, dpi_x)), max(1, to_pixels(region.height, dpi_y))


def _scaled(settings: Settings, size: tuple[int, int]) -> tuple[int, int]:
    (width, height), (scale_x, scale_y) = size, settings.scaling
    return max(1, (width * scale_x + 50) // 100), max(1, (height * scale_y + 50) // 100)


def _picture(page: Page, settings: Settings) -> Picture:
    dpi_x, dpi_y = settings.resolution
    mode = "1" if settings.color == "BlackAndWhite1" else "RGB" if settings.color.startswith("RGB") else "L"
    image = _exposed(page.tones(dpi_x, dpi_y, settings.region, mode), settings)
    size = _scaled(settings, image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    if settings.rotation:
        image = image.transpose(_TURNS[settings.rotation])
    dpi = (dpi_y, dpi_x) if settings.rotation in (90, 270) else (dpi_x, dpi_y)
    return Picture(_reduced(image, settings.color), settings.color, dpi, settings.quality)


def _exposed(image: Image.Image, settings: Settings) -> Image.Image:
    """Contrast about the middle grey, then brightness, then sharpness; -1000 and 1000 are the ends of sight."""
    if settings.brightness or settings.contrast:
        part = settings.contrast / 1000
        slope = 1 + part if part <= 0 else 1 / max(1 - part, 1 / 256)
        shift = 255 * settings.brightness / 1000
        curve = [min(255, max(0, round((value - 127.5) * slope + 127.5 + shift))) for value in range(256)]
        image = image.point(curve * len(image.getbands()))
    if settings.sharpness:
        image = ImageEnhance.Sharpness(image).enhance(1 + settings.sharpness / 100)
    return image


def _reduced(image: Image.Image, color: str) -> Image.Image:
    """The picture in the mode of its color entry."""
    if color == "BlackAndWhite1":
        return to_bits(image)
    if color == "Grayscale4":
        return image.point([(value + 8) // 17 * 17 for value in range(256)])
    if color == "Grayscale16":
        return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    if color == "RGBa32":
        return image.convert("RGBA")  # opaque: paper has no holes
    return image
