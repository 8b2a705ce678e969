"""Pages: drawn ones whose ruler and mark can be measured, and those of files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from dissector.base.errors import UnreadableInput, UsageError
from replay.devices.scanner import pages as pages_module
from replay.devices.scanner import testpage
from replay.devices.scanner.pages import (
    A4,
    MAX_PIXELS,
    MAX_SIDE,
    DrawnPage,
    PageUnreadable,
    Region,
    ScanTooLarge,
    load_pages,
)
from replay.devices.scanner.pages import test_pages as drawn_pages
from replay.devices.scanner.render import Settings, render
from replay.devices.scanner.testpage import MARK_BOX, Mark, read_mark, to_pixels

WHOLE = Region(0, 0, *A4)
TOP = Region(0, 0, 4200, 1000)  # rulers' start and mark


def the_page(number: int = 1, count: int = 1) -> pages_module.Page:
    return drawn_pages(count)[number - 1]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
@pytest.mark.parametrize("dpi", [75, 100, 150, 200, 300, 600, 1200])
def test_the_mark_says_page_resolution_and_mode(dpi: int, mode: str) -> None:
    image = the_page(3, 5).image(dpi, dpi, TOP, mode)
    assert image.mode == mode
    assert image.size == (to_pixels(4200, dpi), dpi)
    mark = read_mark(image, dpi)
    assert mark == Mark(3, 5)
    assert (mark.resolution, mark.mode, mark.side) == ((dpi, dpi), mode, "front")


def test_the_mark_carries_its_largest_numbers_and_unlike_resolutions() -> None:
    mark = read_mark(DrawnPage(*A4, 4094, 4095).image(600, 300, TOP, "L"), (600, 300))
    assert mark == Mark(4094, 4095)
    assert (mark.resolution, mark.side) == ((600, 300), "back")


def test_what_is_no_mark_is_not_read() -> None:
    image = the_page().image(150, 150, TOP, "L")
    assert read_mark(Image.new("L", image.size, "white"), 150) is None
    assert read_mark(image, 160) is None
    assert read_mark(image.transpose(Image.Transpose.ROTATE_180), 150) is None
    assert read_mark(image.crop((0, 0, 400, 150)), 150) is None
    assert read_mark(image, 150, origin=(800, 0)) is None
    x, y = to_pixels(MARK_BOX[0], 150), to_pixels(MARK_BOX[1], 150)
    image.paste(0, (x + 12 * 8, y, x + 12 * 9, y + 12))  # one square of the page number blackened: the checksum
    assert read_mark(image, 150) is None


@pytest.mark.parametrize("dpi", [75, 300, 1200])
@pytest.mark.parametrize("origin", [(0, 0), (433, 517), (690, 690), (-100, -250)])
def test_a_region_is_that_part_of_the_page(dpi: int, origin: tuple[int, int]) -> None:
    page = the_page()
    part = page.image(dpi, dpi, Region(*origin, 3900, 1150), "L")
    assert read_mark(part, dpi, origin) == Mark(1, 1)
    left, top = to_pixels(origin[0], dpi), to_pixels(origin[1], dpi)
    whole = page.image(dpi, dpi, Region(0, 0, 4700, 1900), "L")
    inside = part.crop((max(0, -left), max(0, -top), part.width, part.height))
    same = whole.crop((max(0, left), max(0, top), left + part.width, top + part.height))
    assert ImageChops.difference(inside, same).getbbox() is None


@pytest.mark.parametrize("dpi", [100, 300, 600])
def test_ruler_ticks_stand_where_they_should(dpi: int) -> None:
    image = the_page().image(dpi, dpi, Region(0, 0, *A4), "L")
    row, column = to_pixels(30, dpi), to_pixels(30, dpi)
    for mm in range(15, 200):
        place = round(mm * dpi / 25.4)
        assert image.getpixel((place, row)) == 0
        assert image.getpixel((place - 1, row)) == 255
        assert image.getpixel((column, place)) == 0
        assert image.getpixel((column, place - 1)) == 255
    row = column = to_pixels(290, dpi)
    for tenth in range(6, 80):
        place = (tenth * dpi + 5) // 10
        assert image.getpixel((place, row)) == 0
        assert image.getpixel((place - 1, row)) == 255
        assert image.getpixel((column, place)) == 0


def test_the_edges_of_the_paper_are_seen_and_beyond_is_white() -> None:
    image = the_page().image(100, 100, Region(-500, -500, 9267, 12692), "RGB")
    edges = ImageChops.invert(image.convert("L")).getbbox()
    assert edges == (50, 50, 50 + 827, 50 + 1169)
    beyond = the_page().image(100, 100, Region(9000, 0, 1000, 1000), "RGB")
    assert beyond.getcolors() == [(100 * 100, (255, 255, 255))]


def test_wedge_and_bars_have_their_colors() -> None:
    image = the_page().image(100, 100, WHOLE, "RGB")
    step = (A4[0] - 1200) // 16
    wedge = [image.getpixel(((700 + step * index + step // 2) // 10, 325)) for index in range(16)]
    assert wedge == [(17 * index,) * 3 for index in range(16)]
    step = (A4[0] - 1200) // 6
    bars = [image.getpixel(((700 + step * index + step // 2) // 10, 400)) for index in range(6)]
    assert bars == list(testpage.BARS)
    grey = the_page().image(100, 100, WHOLE, "L")
    assert grey.getpixel((100, 400)) == Image.new("RGB", (1, 1), "red").convert("L").getpixel((0, 0))


def test_pages_look_different_and_each_page_always_alike() -> None:
    one, two = drawn_pages(2)
    first = one.image(75, 75, WHOLE, "L")
    assert first.tobytes() == drawn_pages(2)[0].image(75, 75, WHOLE, "L").tobytes()
    assert ImageChops.difference(first, two.image(75, 75, WHOLE, "L")).getbbox() is not None


def test_a_tiny_page_can_be_drawn() -> None:
    image = DrawnPage(100, 50).image(300, 300, Region(0, 0, 100, 50), "L")
    assert image.size == (30, 15)
    assert image.getpixel((0, 0)) == 0


def test_sizes_are_bounded() -> None:
    page = the_page()
    with pytest.raises(ScanTooLarge, match="lower resolution"):
        page.image(2400, 2400, WHOLE, "L")
    with pytest.raises(ScanTooLarge):
        page.image(1200, 100, Region(0, 0, 60_000, 10), "L")
    pages_module.check_size(MAX_SIDE, 1)
    pages_module.check_size(15_000, MAX_PIXELS // 15_000)
    with pytest.raises(ScanTooLarge):
        pages_module.check_size(15_000, MAX_PIXELS // 15_000 + 1)
    with pytest.raises(ScanTooLarge):
        pages_module.check_size(MAX_SIDE + 1, 1)
    with pytest.raises(ValueError, match="mode"):
        page.image(100, 100, TOP, "CMYK")
    with pytest.raises(ValueError, match="resolution"):
        page.image(0, 100, TOP, "L")
    with pytest.raises(UsageError, match="4096"):
        drawn_pages(4096)
    with pytest.raises(UsageError, match="0 x 5"):
        drawn_pages(1, 0, 5)


# -- files -----------------------------------------------------------------------------------------------------------


def a_picture(dpi: int = 150) -> Image.Image:
    return the_page(2, 3).image(dpi, dpi, Region(0, 0, 4200, 1000), "RGB")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp"])
def test_a_picture_file_is_a_page_of_its_size(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"page.{suffix}"
    a_picture().save(path, dpi=(150, 150))
    (page,) = load_pages([str(path)])
    assert (page.width, page.height) == (4200, 1000)
    again = page.image(150, 150, Region(0, 0, 4200, 1000), "RGB")
    assert again.size == (630, 150)
    if suffix != "jpg":
        assert ImageChops.difference(again, a_picture()).getbbox() is None
    finer = page.image(300, 300, Region(600, 600, 3300, 400), "1")
    assert read_mark(finer, 300, (600, 600)) == Mark(2, 3)
    beyond = page.image(100, 100, Region(4000, 500, 400, 1000), "L")
    assert beyond.size == (40, 100)
    assert beyond.crop((21, 0, 40, 100)).getextrema() == (255, 255)
    assert beyond.crop((0, 51, 40, 100)).getextrema() == (255, 255)


def test_without_a_resolution_it_has_300_dpi(tmp_path: Path) -> None:
    plain, odd = tmp_path / "plain.png", tmp_path / "odd.png"
    Image.new("L", (600, 300), "gray").save(plain)
    Image.new("L", (600, 300), "gray").save(odd, dpi=(1, 1))
    assert [(page.width, page.height) for page in load_pages([plain, odd])] == [(2000, 1000)] * 2


def test_each_frame_of_a_tiff_is_a_page(tmp_path: Path) -> None:
    path = tmp_path / "three.tif"
    path.write_bytes(render(drawn_pages(3), Settings("tiff-multi-g4", "BlackAndWhite1", (100, 200), TOP)))
    pages = load_pages([path, path])
    assert len(pages) == 6
    assert [read_mark(page.image(200, 200, TOP, "L"), 200) for page in pages[:3]] == [Mark(n, 3) for n in (1, 2, 3)]
    assert (pages[0].width, pages[0].height) == (4200, 1000)


def test_each_page_of_a_pdf_is_drawn_at_the_resolution(tmp_path: Path) -> None:
    path = tmp_path / "two.pdf"
    path.write_bytes(render(drawn_pages(2), Settings("pdf-a", "RGB24", (300, 300), Region(0, 0, 4200, 1000))))
    pages = load_pages([path])
    assert [(page.width, page.height) for page in pages] == [(4200, 1000)] * 2
    assert read_mark(pages[1].image(150, 150, TOP, "RGB"), 150) == Mark(2, 2)
    assert read_mark(pages[1].image(600, 200, TOP, "1"), (600, 200)) == Mark(2, 2)
    part = Region(600, 500, 3300, 600)
    image = pages[1].image(200, 200, part, "L")
    assert (image.mode, image.size) == ("L", (660, 120))
    assert read_mark(image, 200, (600, 500)) == Mark(2, 2)
    assert image.crop((0, 101, 660, 120)).getextrema() == (255, 255)


def test_lying_transparent_and_deep_pictures(tmp_path: Path) -> None:
    lying = Image.new("L", (100, 50), "white")
    lying.paste(0, (0, 0, 50, 50))
    tags = Image.Exif()
    tags[0x0112] = 6  # the picture's left is the page's top
    lying.save(tmp_path / "lying.jpg", exif=tags, dpi=(100, 200))
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 20, 40))
    clear.save(tmp_path / "clear.png", dpi=(100, 100))
    Image.new("I;16", (20, 20), 32768).save(tmp_path / "deep.png", dpi=(100, 100))
    one, two, three = load_pages([tmp_path / name for name in ("lying.jpg", "clear.png", "deep.png")])
    assert (one.width, one.height) == (250, 1000)
    upright = one.image(100, 100, Region(0, 0, 250, 1000), "L")
    assert upright.getpixel((12, 5)) < 30
    assert upright.getpixel((12, 95)) > 225
    paper = two.image(100, 100, Region(0, 0, 400, 400), "RGB")
    assert (paper.getpixel((5, 5)), paper.getpixel((35, 5))) == ((0, 0, 0), (255, 255, 255))
    assert three.image(100, 100, Region(0, 0, 200, 200), "L").getextrema() == (127, 127)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    text, cut, empty, broken = (tmp_path / name for name in ("text.txt", "cut.png", "empty.png", "broken.pdf"))
    text.write_text("no picture")
    a_picture().save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    empty.write_bytes(b"")
    broken.write_bytes(b"%PDF-1.4\nand nothing more")
    for path in (text, cut, empty, broken, tmp_path / "missing.png", tmp_path):
        with pytest.raises(UnreadableInput, match=path.name):
            load_pages([path])


def test_an_encrypted_pdf_says_so(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    data = render(drawn_pages(1), Settings("pdf-a", "Grayscale8", (75, 75), TOP))
    lock = f"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{'41' * 32}>/U<{'42' * 32}>>>".encode()
    path.write_bytes(data.replace(b"/Root 1 0 R", b"/Root 1 0 R" + lock))
    with pytest.raises(UnreadableInput, match=r"locked\.pdf: is encrypted"):
        load_pages([path])


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(2501 * 100))), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    )
    with pytest.raises(UnreadableInput, match="too large to be opened"):
        load_pages([path])
    path.write_bytes(path.read_bytes().replace(head, struct.pack(">IIBBBBB", 10_000, 9_500, 1, 0, 0, 0, 0)))
    with pytest.raises(UnreadableInput, match="bomb"):
        load_pages([path])


def test_too_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "MAX_PAGES", 2)
    path = tmp_path / "page.png"
    Image.new("L", (10, 10)).save(path)
    assert len(load_pages([path, path])) == 2
    with pytest.raises(UnreadableInput, match="more than 2 pages"):
        load_pages([path, path, path])


def test_a_file_that_went_away_or_changed_is_an_error_of_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    Image.new("L", (10, 10)).save(path)
    (page,) = load_pages([path])
    Image.new("L", (11, 10)).save(path)
    with pytest.raises(PageUnreadable, match="was changed"):
        page.image(100, 100, TOP, "L")
    path.unlink()
    with pytest.raises(OSError, match=r"page\.png"):
        page.image(100, 100, TOP, "L")
