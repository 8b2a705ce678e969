"""What lies on the platen or in the feeder of the emulated scanner: pages with a size, seen at any resolution.

Rules:

* A page is measured in 1/1000 inch, the unit of ScanRegion and InputSize (scanregion.md, inputsize.md).
* Nothing large is kept: a page of a file is read again each time it is scanned.
* A region may reach beyond the page; what is not paper is white, as the lid of a scanner is.
* Memory is bounded: by :data:`MAX_PIXELS` for what is made, by Pillow's limit for decompression bombs for what is read.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dissector.base.errors import UnreadableInput, UsageError
from replay.devices.scanner.testpage import MAX_NUMBER, draw_page, to_pixels

__all__ = [
    "A4",
    "DEFAULT_DPI",
    "MAX_PAGES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "DrawnPage",
    "Page",
    "PageUnreadable",
    "PdfPage",
    "PicturePage",
    "Region",
    "ScanTooLarge",
    "check_size",
    "load_pages",
    "test_pages",
    "to_bits",
]

A4 = (8267, 11692)
"""Width and height of A4."""
MAX_PIXELS = 150_000_000
"""Pixels of one picture; A4 at 1200 dpi has 139 million."""
MAX_SIDE = 65_500
"""Pixels of one side of a picture: what a JPEG file can hold (libjpeg's limit)."""
MAX_PAGES = 1_000
"""Pages that are taken from files."""
DEFAULT_DPI = 300
"""Resolution of a picture file that names none, or none that can be (10 to 10000)."""
BLACK_BELOW = 128
"""Grey values below this are black in a scan of one bit. A threshold, no dither: a place looks alike in any region."""

_PDFIUM = threading.Lock()
"""PDFium must not be called from two threads at once, pictures are rendered in several."""


class ScanTooLarge(UsageError, ValueError):
    """The picture that is asked for has more pixels, or the file more bytes, than are made."""


class PageUnreadable(UnreadableInput, OSError):
    """A file with pages cannot be read, or was changed since: says the file and why."""


@dataclass(frozen=True)
class Region:
    """A part of a page, in 1/1000 inch from its upper left corner; it may reach beyond the page."""

    x: int
    y: int
    width: int
    height: int


def check_size(width: int, height: int) -> None:
    """Refuse a picture with too many pixels.

    Raises:
        ScanTooLarge: more than :data:`MAX_PIXELS`, or a side of more than :data:`MAX_SIDE`.
    """
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ScanTooLarge(
            f"a picture of {width} x {height} pixels is too large (at most {MAX_PIXELS} pixels, {MAX_SIDE} a side): "
            "ask for a lower resolution or a smaller region"
        )


@dataclass(frozen=True)
class Page(ABC):
    """One side of a sheet.

    Attributes:
        width, height: its size, 1/1000 inch.
    """

    width: int
    height: int

    def image(self, dpi_x: int, dpi_y: int, region: Region, mode: str) -> Image.Image:
        """The page as scanned.

        Args:
            dpi_x, dpi_y: pixels per inch.
            region: what part. Its first pixel is that of the whole page at ``to_pixels(x, dpi_x)``, its size is
                ``to_pixels(width, dpi_x)``, at least one.
            mode: ``1`` (black below half of the brightness), ``L`` or ``RGB``.

        Raises:
            ScanTooLarge: too many pixels.
            PageUnreadable: its file cannot be read any more.
            ValueError: another mode, or a resolution below 1.
        """
        made = self.tones(dpi_x, dpi_y, region, mode)
        return to_bits(made) if mode == "1" else made

    def tones(self, dpi_x: int, dpi_y: int, region: Region, mode: str) -> Image.Image:
        """As :meth:`image`, but grey for mode ``1``: what the sensor sees before it decides between black and white."""
        if mode not in ("1", "L", "RGB"):
            raise ValueError(f"mode {mode!r} of a scan; expected 1, L or RGB")
        if dpi_x < 1 or dpi_y < 1:
            raise ValueError(f"a resolution of {dpi_x} x {dpi_y} pixels per inch; expected 1 and more")
        size = max(1, to_pixels(region.width, dpi_x)), max(1, to_pixels(region.height, dpi_y))
        check_size(*size)
        offset = to_pixels(region.x, dpi_x), to_pixels(region.y, dpi_y)
        paper = max(1, to_pixels(self.width, dpi_x)), max(1, to_pixels(self.height, dpi_y))
        left, top = max(0, offset[0]), max(0, offset[1])
        right, bottom = min(paper[0], offset[0] + size[0]), min(paper[1], offset[1] + size[1])
        if left >= right or top >= bottom:
            return Image.new("RGB" if mode == "RGB" else "L", size, "white")
        part = self._part((dpi_x, dpi_y), (left, top), (right - left, bottom - top), mode)
        if part.size == size:
            return part
        whole = Image.new(part.mode, size, "white")
        whole.paste(part, (left - offset[0], top - offset[1]))
        return whole

    @abstractmethod
    def _part(self, dpi: tuple[int, int], offset: tuple[int, int], size: tuple[int, int], mode: str) -> Image.Image:
        """A part that lies within the page, in pixels of that resolution; mode RGB, or L for ``L`` and ``1``."""


def to_bits(grey: Image.Image) -> Image.Image:
    """Grey as black and white."""
    return grey.point([0 if value < BLACK_BELOW else 255 for value in range(256)], "1")


@dataclass(frozen=True)
class DrawnPage(Page):
    """A drawn test page; see :mod:`replay.devices.scanner.testpage`."""

    number: int = 1
    count: int = 1

    def _part(self, dpi: tuple[int, int], offset: tuple[int, int], size: tuple[int, int], mode: str) -> Image.Image:
        return draw_page(self.number, self.count, (self.width, self.height), dpi, offset, size, mode)


@dataclass(frozen=True)
class PicturePage(Page):
    """A picture file, or one frame of a TIFF file."""

    path: Path
    frame: int
    pixels: tuple[int, int]

    def _part(self, dpi: tuple[int, int], offset: tuple[int, int], size: tuple[int, int], mode: str) -> Image.Image:
        with _opened(self.path) as file:
            if self.frame:
                file.seek(self.frame)
            picture = _flat(file, "RGB" if mode == "RGB" else "L")
        if picture.size != self.pixels:
            raise PageUnreadable(f"{self.path}: was changed since it was loaded")
        # Pixels of the file for one pixel of the scan; at the file's own resolution 1, and then nothing is resampled.
        ratio_x = picture.width / max(1, to_pixels(self.width, dpi[0]))
        ratio_y = picture.height / max(1, to_pixels(self.height, dpi[1]))
        box = (
            offset[0] * ratio_x,
            offset[1] * ratio_y,
            min(float(picture.width), (offset[0] + size[0]) * ratio_x),
            min(float(picture.height), (offset[1] + size[1]) * ratio_y),
        )
        return picture.resize(size, Image.Resampling.BICUBIC, box=box)


@dataclass(frozen=True)
class PdfPage(Page):
    """A page of a PDF file, drawn by PDFium at the resolution that is asked for."""

    path: Path
    index: int

    def _part(self, dpi: tuple[int, int], offset: tuple[int, int], size: tuple[int, int], mode: str) -> Image.Image:
        whole = max(1, to_pixels(self.width, dpi[0])), max(1, to_pixels(self.height, dpi[1]))
        with _pdf(self.path) as (pdfium, document):
            if self.index >= len(document):
                raise PageUnreadable(f"{self.path}: was changed since it was loaded")
            raw = pdfium.raw
            page = document[self.index]
            bitmap = pdfium.PdfBitmap.new_native(*size, raw.FPDFBitmap_BGR)
            try:
                bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
                raw.FPDF_RenderPageBitmap(bitmap, page, -offset[0], -offset[1], *whole, 0, raw.FPDF_ANNOT)
                # A copy in any case: the bitmap's memory is given back below.
                made: Image.Image = bitmap.to_pil().convert("RGB" if mode == "RGB" else "L").copy()
            finally:
                bitmap.close()
                page.close()
        return made


def test_pages(count: int, width: int = A4[0], height: int = A4[1]) -> list[Page]:  # noqa: PT028 - no test
    """Drawn test pages, "page 1 of count" and so on; each says its resolution and color mode.

    Args:
        count: how many, 0 to 4095 (what the mark on the page can carry).
        width, height: size of each, 1/1000 inch; default A4.

    Raises:
        UsageError: the count or the size cannot be.
    """
    if not 0 <= count <= MAX_NUMBER:
        raise UsageError(f"{count} test pages; expected 0 to {MAX_NUMBER}")
    if width < 1 or height < 1:
        raise UsageError(f"test pages of {width} x {height}/1000 inch; expected 1 and more")
    return [DrawnPage(width, height, number, count) for number in range(1, count + 1)]


test_pages.__test__ = False  # type: ignore[attr-defined]  # its name is no test's


def load_pages(paths: Sequence[str | Path]) -> list[Page]:
    """The pages of files: PNG, JPEG, BMP one each, TIFF each frame, PDF each page.

    The size of a picture comes from the resolution that its file names, else :data:`DEFAULT_DPI`. Transparent parts are
    paper, an Exif orientation is followed. Every picture is decoded once, so that a damaged file is told now.

    Raises:
        UnreadableInput: a file cannot be read or is none of these, is larger than Pillow's limit for decompression
            bombs, is encrypted, or there are more than :data:`MAX_PAGES` pages.
    """
    pages: list[Page] = []
    for path in map(Path, paths):
        for page in _pages_of(path):
            if len(pages) == MAX_PAGES:
                raise UnreadableInput(f"{path}: more than {MAX_PAGES} pages in all files together")
            pages.append(page)
    return pages


def _pages_of(path: Path) -> Iterator[Page]:
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise PageUnreadable(f"{path}: {error.strerror or error}") from error
    if b"%PDF-" in start:
        yield from _pdf_pages(path)
        return
    with _opened(path, first=True) as file:
        # Only a TIFF file has pages; the frames of an APNG are an animation, those of an MPO views of one scene.
        for frame in range(getattr(file, "n_frames", 1) if file.format == "TIFF" else 1):
            if frame:
                file.seek(frame)
            dpi_x, dpi_y = _dpi(file)
            picture = _flat(file, "L")
            if file.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # Orientation: lies on its side
                dpi_x, dpi_y = dpi_y, dpi_x
            yield PicturePage(
                max(1, round(picture.width * 1000 / dpi_x)),
                max(1, round(picture.height * 1000 / dpi_y)),
                path,
                frame,
                picture.size,
            )


def _pdf_pages(path: Path) -> list[Page]:
    with _pdf(path) as (_, document):
        if len(document) > MAX_PAGES:
            raise PageUnreadable(f"{path}: {len(document)} pages, more than {MAX_PAGES}")
        sizes = [document.get_page_size(index) for index in range(len(document))]
    return [
        PdfPage(max(1, round(width * 1000 / 72)), max(1, round(height * 1000 / 72)), path, index)
        for index, (width, height) in enumerate(sizes)
    ]


@contextmanager
def _opened(path: Path, *, first: bool = False) -> Iterator[Image.Image]:
    """A picture file; whatever Pillow raises inside, in words.

    ``first``: it is being loaded. Only then are warnings looked at (too many pixels) or kept away (damaged metadata):
    the filters of warnings belong to the whole process, and pictures are rendered in threads.
    """
    try:
        with warnings.catch_warnings() if first else nullcontext():
            if first:
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG", "TIFF", "BMP")) as file:
                yield file
    except (PageUnreadable, ScanTooLarge):
        raise
    except UnidentifiedImageError as error:
        raise PageUnreadable(f"{path}: is no PNG, JPEG, TIFF, BMP or PDF file") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PageUnreadable(f"{path}: more than {Image.MAX_IMAGE_PIXELS} pixels, too large to be opened") from error
    except MemoryError as error:
        raise PageUnreadable(f"{path}: too large for the memory") from error
    except Exception as error:  # damaged files raise nearly anything (struct.error, SyntaxError, KeyError)
        raise PageUnreadable(f"{path}: cannot be read: {error or type(error).__name__}") from error


def _flat(file: Image.Image, mode: str) -> Image.Image:
    """The current frame upright on white paper, in mode L or RGB; independent of the file."""
    picture: Image.Image = file
    if picture.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would cut instead of scale
        values = np.clip(np.asarray(picture).astype(np.int64), 0, 65535) // 257
        picture = Image.fromarray(values.astype(np.uint8))
    elif picture.has_transparency_data:
        colors = picture.convert("RGBA")
        picture = Image.new("RGB", colors.size, "white")
        picture.paste(colors, mask=colors.getchannel("A"))
    made = picture.convert(mode)
    orientation = file.getexif().get(0x0112, 1)
    if orientation != 1:
        made.getexif()[0x0112] = orientation
        made = ImageOps.exif_transpose(made)
    return made.copy() if made is file else made


def _dpi(file: Image.Image) -> tuple[float, float]:
    try:
        dpi_x, dpi_y = (float(one) for one in file.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return DEFAULT_DPI, DEFAULT_DPI
    if not (10 <= dpi_x <= 10_000 and 10 <= dpi_y <= 10_000):
        return DEFAULT_DPI, DEFAULT_DPI
    return dpi_x, dpi_y


@contextmanager
def _pdf(path: Path) -> Iterator[tuple[Any, Any]]:
    """PDFium (module) and an open document; no other thread has PDFium meanwhile."""
    try:
        pdfium: Any = import_module("pypdfium2")
    except ImportError as error:
        raise PageUnreadable(f"{path}: PDF files need the package pypdfium2") from error
    with _PDFIUM:
        document = None
        try:
            document = pdfium.PdfDocument(path)
            yield pdfium, document
        except pdfium.PdfiumError as error:
            why = "is encrypted, a password is needed" if "assword" in str(error) else f"cannot be read: {error}"
            raise PageUnreadable(f"{path}: {why}") from error
        except FileNotFoundError as error:
            raise PageUnreadable(f"{path}: No such file or directory") from error
        finally:
            if document is not None:
                document.close()
