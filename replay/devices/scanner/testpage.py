"""The drawn test page: what lies in the emulated scanner when the user names no files.

Rules:

* All places and sizes are in 1/1000 inch from the page's upper left corner. The page is drawn anew at each resolution
  and never resampled, so a ruler tick stands at exactly ``to_pixels(place, dpi)`` and a region of the page has the same
  pixels as that part of the whole page.
* A field of black and white squares says which page this is and how it was scanned; :func:`read_mark` reads it out of
  the picture that arrived, whatever color mode and compression it went through.
* Only Pillow's drawing and its built-in font are used.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["MARK_BOX", "MAX_NUMBER", "Mark", "draw_page", "read_mark", "to_pixels"]

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
BARS: tuple[Color, ...] = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (0, 255, 255),
    (255, 0, 255),
    (255, 255, 0),
)
"""Red, green, blue, cyan, magenta, yellow."""

WEDGE_STEPS = 16
"""Steps of the grey wedge; step n has the grey value 17 n."""

LEFT = 700
"""Where everything but the rulers starts, from the left edge."""
RULER_START = 500
"""Where both rulers start, so that they do not meet in the corner."""
WEDGE_TOP, WEDGE_HEIGHT = 3000, 500
BARS_TOP, BARS_HEIGHT = 3700, 700

SQUARE = 80
"""Side of a square of the mark: 6 pixels at 75 dpi."""
ROWS, COLUMNS = 2, 32
START, STOP = (1, 0, 1), (1, 1, 0)
"""Guard squares before and after each row, 1 is black."""
MARK_BOX = (LEFT, 700, (len(START) + COLUMNS + len(STOP)) * SQUARE, ROWS * SQUARE)
"""Place of the mark: x, y, width, height."""
MAX_NUMBER = 4095
"""Highest page number and count that the mark can carry."""
MAX_MARK_DPI = 16383
"""Highest resolution that the mark can carry; a higher one is carried as this."""
MIN_CONTRAST = 30
"""Difference of the mark's black and white, of 255, below which it is not read."""

MODES = ("", "1", "L", "RGB")
MODE_NAMES = {"1": "black and white", "L": "grey", "RGB": "color"}


@dataclass(frozen=True)
class Mark:
    """What the squares on a test page say.

    Attributes:
        page: number of the page, from 1.
        count: how many pages there are.
        resolution: pixels per inch (x, y) that the page was drawn at; no part of a comparison.
        mode: ``1``, ``L`` or ``RGB``, the kind of scan; no part of a comparison.
    """

    page: int
    count: int
    resolution: tuple[int, int] = field(default=(0, 0), compare=False)
    mode: str = field(default="", compare=False)

    @property
    def side(self) -> str:
        """``front`` or ``back``, if the pages were fed duplex: odd pages are fronts."""
        return "front" if self.page % 2 else "back"


def to_pixels(place: int, dpi: int) -> int:
    """A place or length in 1/1000 inch as pixels, halves rounded up."""
    return (place * dpi + 500) // 1000


def draw_page(
    number: int,
    count: int,
    page_size: tuple[int, int],
    dpi: tuple[int, int],
    offset: tuple[int, int],
    size: tuple[int, int],
    mode: str,
) -> Image.Image:
    """A part of a test page.

    Args:
        number, count: "page number of count", 1 to :data:`MAX_NUMBER`.
        page_size: width and height of the page, 1/1000 inch.
        dpi: pixels per inch, x and y.
        offset: the part's first pixel, counted from the page's upper left corner.
        size: the part's size in pixels; the caller bounds it.
        mode: ``1``, ``L`` or ``RGB``.

    Returns:
        A picture of mode ``RGB``, or ``L`` for the other two.
    """
    canvas = _Canvas(dpi, offset, size, "RGB" if mode == "RGB" else "L")
    width, height = page_size
    line = 10
    for box in (
        (0, 0, width, line),
        (0, height - line, width, line),
        (0, 0, line, height),
        (width - line, 0, line, height),
    ):
        canvas.box(*box, BLACK)
    _ruler(canvas, width, across=False)
    _ruler(canvas, height, across=True)
    for row, bits in enumerate(_mark_rows(number, count, dpi, mode)):
        for column, bit in enumerate(bits):
            if bit:
                canvas.box(MARK_BOX[0] + column * SQUARE, MARK_BOX[1] + row * SQUARE, SQUARE, SQUARE, BLACK)
    inner = max(1, width - LEFT - 500)
    side = "front" if number % 2 else "back"
    canvas.text(LEFT, 1000, min(800, inner // 7), f"page {number} of {count}")
    canvas.text(LEFT, 1900, min(350, inner // 16), f"{side} (duplex: sheet {(number + 1) // 2})")
    canvas.text(LEFT, 2400, min(350, inner // 16), f"{dpi[0]} x {dpi[1]} dpi, {MODE_NAMES[mode]}")
    step = inner // WEDGE_STEPS
    for index in range(WEDGE_STEPS):
        grey = 17 * index
        canvas.box(LEFT + index * step, WEDGE_TOP, step, WEDGE_HEIGHT, (grey, grey, grey))
    step = inner // len(BARS)
    for index, color in enumerate(BARS):
        canvas.box(LEFT + index * step, BARS_TOP, step, BARS_HEIGHT, color)
    return canvas.image


def read_mark(image: Image.Image, dpi: int | tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Mark | None:
    """Read the squares of a test page.

    Args:
        image: the picture that arrived, upright, of any mode.
        dpi: its pixels per inch (x, y), scaling included: 150 for 300 dpi scaled to 50 percent.
        origin: place on the page of the picture's first pixel, 1/1000 inch: the offsets of the scan region.

    Returns:
        The mark; None if it lies outside of the picture or is not there.
    """
    dpi_x, dpi_y = dpi if isinstance(dpi, tuple) else (dpi, dpi)
    x, y, width, height = MARK_BOX
    first_x, first_y = to_pixels(origin[0], dpi_x), to_pixels(origin[1], dpi_y)
    left, top = to_pixels(x, dpi_x) - first_x, to_pixels(y, dpi_y) - first_y
    right, bottom = to_pixels(x + width, dpi_x) - first_x, to_pixels(y + height, dpi_y) - first_y
    if left < 0 or top < 0 or right > image.width or bottom > image.height or right - left < COLUMNS:
        return None
    if bottom - top < ROWS:
        return None
    part = image.crop((left, top, right, bottom))
    if part.mode.startswith("I"):
        grey = np.asarray(part).astype(np.float64) / 257
    else:
        grey = np.asarray(part.convert("L")).astype(np.float64)
    columns = len(START) + COLUMNS + len(STOP)
    levels = np.array([[_middle(grey, row, ROWS, column, columns) for column in range(columns)] for row in range(ROWS)])
    return _decode(levels)


def _middle(grey: np.ndarray, row: int, rows: int, column: int, columns: int) -> float:
    """The mean of the middle half of one square: its edges may be blurred."""
    height, width = grey.shape
    top, bottom = _half(row, rows, height)
    left, right = _half(column, columns, width)
    return float(grey[top:bottom, left:right].mean())


def _half(index: int, count: int, size: int) -> tuple[int, int]:
    first = round((index + 0.25) * size / count)
    return first, max(first + 1, round((index + 0.75) * size / count))


def _decode(levels: np.ndarray) -> Mark | None:
    guards = np.concatenate([levels[:, : len(START)], levels[:, -len(STOP) :]], axis=1)
    expected = np.array([START + STOP] * ROWS, dtype=bool)
    black, white = guards[expected].max(), guards[~expected].min()
    if white - black < MIN_CONTRAST:
        return None
    bits = levels[:, len(START) : -len(STOP)] < (black + white) / 2
    number = int("".join("1" if bit else "0" for bit in bits.ravel()), 2)
    value, check = number >> 10, number & 0x3FF
    if check != _checksum(value):
        return None
    page, count, dpi_x, dpi_y = (
        (value >> 42) & 0xFFF,
        (value >> 30) & 0xFFF,
        (value >> 16) & 0x3FFF,
        (value >> 2) & 0x3FFF,
    )
    return Mark(page, count, (dpi_x, dpi_y), MODES[value & 3])


def _mark_rows(number: int, count: int, dpi: tuple[int, int], mode: str) -> list[tuple[int, ...]]:
    """The squares: 12 bits page, 12 count, 14 and 14 resolution, 2 mode, 10 checksum, in rows between guards."""
    dpi_x, dpi_y = (min(one, MAX_MARK_DPI) for one in dpi)
    value = number << 42 | count << 30 | dpi_x << 16 | dpi_y << 2 | MODES.index(mode)
    bits = [int(bit) for bit in f"{value << 10 | _checksum(value):064b}"]
    return [(*START, *bits[row * COLUMNS : (row + 1) * COLUMNS], *STOP) for row in range(ROWS)]


def _checksum(value: int) -> int:
    return zlib.crc32(value.to_bytes(8, "big")) & 0x3FF


def _ruler(canvas: _Canvas, length: int, *, across: bool) -> None:
    """Millimetres at the page's edge, tenths of an inch further in; ``across``: along the left edge."""
    line = 5

    def tick(place: tuple[int, int], start: int, reach: int) -> None:
        if across:
            canvas.tick_y(start, reach, place, line)
        else:
            canvas.tick_x(start, reach, place, line)

    def label(place: int, start: int, text: str) -> None:
        if across:
            canvas.text(start, place + 10, 60, text)
        else:
            canvas.text(place + 15, start, 60, text)

    for mm in range(RULER_START * 254 // 10000 + 1, (length - 20) * 254 // 10000 + 1):
        # In 1/254 of 1/1000 inch no millimetre is rounded before it becomes pixels.
        tick((mm * 10000, 254), 10, 150 if mm % 10 == 0 else 100 if mm % 5 == 0 else 60)
        if mm % 20 == 0:
            label(mm * 10000 // 254, 165, f"{mm}")
    for tenth in range(RULER_START // 100, (length - 20) // 100 + 1):
        tick((tenth * 100, 1), 260, 160 if tenth % 10 == 0 else 110 if tenth % 5 == 0 else 60)
        if tenth % 10 == 0:
            label(tenth * 100, 430, f'{tenth // 10}"')


class _Canvas:
    """A picture of a part of the page, drawn on in the page's own measure."""

    def __init__(self, dpi: tuple[int, int], offset: tuple[int, int], size: tuple[int, int], mode: str) -> None:
        self._x, self._y = (partial(_shifted, dpi=one, offset=at) for one, at in zip(dpi, offset, strict=True))
        self._dpi = dpi
        self.image = Image.new(mode, size, "white")
        self._draw = ImageDraw.Draw(self.image)
        self._fonts: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def box(self, x: int, y: int, width: int, height: int, color: Color) -> None:
        """A filled box, at least one pixel wide and high."""
        self._fill(self._x(x), self._y(y), self._x(x + width), self._y(y + height), color)

    def tick_x(self, y: int, reach: int, place: tuple[int, int], line: int) -> None:
        """A vertical tick whose left edge is at ``place`` (a fraction)."""
        left = self._x(place[0], part=place[1])
        self._fill(left, self._y(y), left + to_pixels(line, self._dpi[0]), self._y(y + reach), BLACK)

    def tick_y(self, x: int, reach: int, place: tuple[int, int], line: int) -> None:
        """A horizontal tick whose upper edge is at ``place`` (a fraction)."""
        top = self._y(place[0], part=place[1])
        self._fill(self._x(x), top, self._x(x + reach), top + to_pixels(line, self._dpi[1]), BLACK)

    def text(self, x: int, y: int, size: int, text: str) -> None:
        """A line of text of that height, its upper left corner at (x, y)."""
        left, top = self._x(x), self._y(y)
        high = size * self._dpi[1] / 1000
        if high < 2 or left >= self.image.width or top >= self.image.height or top + 2 * high < 0:
            return
        font = self._fonts.get(high)
        if font is None:
            font = self._fonts[high] = ImageFont.load_default(high)
        box = [round(one) for one in font.getbbox(text)]
        mask = Image.new("L", (max(1, box[2] - box[0]), max(1, box[3] - box[1])), 0)
        ImageDraw.Draw(mask).text((-box[0], -box[1]), text, fill=255, font=font)
        if self._dpi[0] != self._dpi[1]:
            mask = mask.resize((max(1, mask.width * self._dpi[0] // self._dpi[1]), mask.height))
        self.image.paste(self._ink(BLACK), (left, top), mask)

    def _fill(self, left: int, top: int, right: int, bottom: int, color: Color) -> None:
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        if right > 0 and bottom > 0 and left < self.image.width and top < self.image.height:
            self._draw.rectangle((left, top, right - 1, bottom - 1), fill=self._ink(color))

    def _ink(self, color: Color) -> Color | int:
        if self.image.mode == "RGB":
            return color
        red, green, blue = color
        return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # as Pillow turns RGB into grey


def _shifted(place: int, *, dpi: int, offset: int, part: int = 1) -> int:
    return (2 * place * dpi + 1000 * part) // (2000 * part) - offset
