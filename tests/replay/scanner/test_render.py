"""Image files of the emulated scanner, opened again by Pillow and PDFium."""

from __future__ import annotations

import io
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageCms

from replay.devices.scanner import tiff
from replay.devices.scanner.formats import TABLE
from replay.devices.scanner.pages import DrawnPage, Region
from replay.devices.scanner.pages import test_pages as drawn_pages
from replay.devices.scanner.pdf import srgb_profile
from replay.devices.scanner.render import (
    COLORS,
    FORMATS,
    MULTI_PAGE,
    ScanTooLarge,
    Settings,
    bytes_per_line,
    fits,
    lossless,
    media_type,
    pixel_size,
    render,
)
from replay.devices.scanner.testpage import Mark, read_mark

TOP = Region(0, 0, 4200, 1000)
PAIRS = sorted((format, color) for format in FORMATS for color in COLORS if fits(format, color))
MODES = {
    "BlackAndWhite1": "1", "Grayscale4": "L", "Grayscale8": "L", "Grayscale16": "I;16", "RGB24": "RGB",
    "RGBa32": "RGBA",
}  # fmt: skip


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def drawn_pdf(data: bytes, dpi: int, index: int = 0) -> Image.Image:
    document = pypdfium2.PdfDocument(data)
    try:
        return document[index].render(scale=dpi / 72).to_pil().convert("RGB")
    finally:
        document.close()


@pytest.mark.parametrize("dpi", [75, 300])
@pytest.mark.parametrize(("format", "color"), PAIRS)
def test_every_format_and_color_holds_the_page(format: str, color: str, dpi: int) -> None:
    made = Settings(format, color, (dpi, dpi), TOP)
    data = render([DrawnPage(8267, 11692, 3, 5)], made)
    assert data == render([DrawnPage(8267, 11692, 3, 5)], made)
    if format == "pdf-a":
        image = drawn_pdf(data, dpi)
    else:
        image = opened(data)
        assert image.mode == ("P" if (format, color) == ("dib", "Grayscale4") else MODES[color])
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
        assert getattr(image, "n_frames", 1) == 1
    assert image.size == pixel_size(made) == (dpi * 42 // 10, dpi)
    mark = read_mark(image, dpi)
    assert mark == Mark(3, 5)
    assert mark.resolution == (dpi, dpi)


@pytest.mark.parametrize(("format", "color"), [pair for pair in PAIRS if lossless(pair[0])])
def test_lossless_formats_keep_every_pixel(format: str, color: str) -> None:
    region = Region(600, 500, 3333, 777)
    mode = {"BlackAndWhite1": "1", "RGB24": "RGB", "RGBa32": "RGB"}.get(color, "L")
    expected = drawn_pages(1)[0].image(150, 150, region, mode)
    image = opened(render(drawn_pages(1), Settings(format, color, (150, 150), region)))
    if color == "Grayscale16":
        assert image.tobytes() == b"".join(bytes([value, value]) for value in expected.tobytes())
        return
    if color == "Grayscale4":
        expected = expected.point([(value + 8) // 17 * 17 for value in range(256)])
    if color == "RGBa32":
        assert image.getchannel("A").getextrema() == (255, 255)
    assert ImageChops.difference(image.convert(mode), expected).getbbox() is None


@pytest.mark.parametrize("format", sorted(name for name in FORMATS if not lossless(name)))
@pytest.mark.parametrize("quality", [5, 100])
def test_lossy_formats_stay_readable_and_quality_counts(format: str, quality: int) -> None:
    page = drawn_pages(1)[0]
    region = Region(0, 0, 8267, 5000)
    made = Settings(format, "RGB24", (75, 75), region, quality=quality)
    data = render([page], made)
    image = drawn_pdf(data, 75) if format == "pdf-a" else opened(data)
    assert read_mark(image, 75) == Mark(1, 1)
    assert len(data) < len(render([page], Settings(format, "RGB24", (75, 75), region, quality=100))) or quality == 100
    red, green, blue = image.getpixel((60, 300))
    assert (red > 200, green < 60, blue < 60) == (True, True, True)
    render([page], Settings(format, "RGB24", (75, 75), TOP, quality=0))


@pytest.mark.parametrize("format", sorted(MULTI_PAGE))
def test_several_pages_in_one_file(format: str) -> None:
    color = "BlackAndWhite1" if fits(format, "BlackAndWhite1") else "RGB24"
    made = Settings(format, color, (100, 100), TOP)
    data = render(drawn_pages(3), made)
    if format == "pdf-a":
        assert [read_mark(drawn_pdf(data, 100, index), 100) for index in range(3)] == [Mark(n, 3) for n in (1, 2, 3)]
        return
    image = opened(data)
    assert image.n_frames == 3
    for index in range(3):
        image.seek(index)
        assert read_mark(image, 100) == Mark(index + 1, 3)
        assert image.info["dpi"] == (100, 100)
        assert image.tag_v2[297] == (index, 3)


def test_one_page_formats_refuse_more() -> None:
    for format in FORMATS - MULTI_PAGE:
        color = next(iter(TABLE[format].colors))
        with pytest.raises(ValueError, match="holds one"):
            render(drawn_pages(2), Settings(format, color, (75, 75), TOP))
    with pytest.raises(ValueError, match="no page"):
        render([], Settings("png", "RGB24", (75, 75), TOP))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="format 'tiff-single-g4' needs BlackAndWhite1"):
        render(drawn_pages(1), Settings("tiff-single-g4", "RGB24", (75, 75), TOP))
    with pytest.raises(ValueError, match="'xps' cannot be made"):
        bytes_per_line(Settings("xps", "RGB24", (75, 75), TOP))
    with pytest.raises(ValueError, match="'jbig' cannot be made"):
        media_type("jbig")
    assert not fits("xps", "RGB24")
    assert not fits("png", "RGB48")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": 45}, {"quality": 101}, {"scaling": (0, 100)}, {"scaling": (100, 1001)}, {"resolution": (0, 75)},
        {"region": Region(0, 0, 0, 10)}, {"brightness": -1001}, {"contrast": 1001}, {"sharpness": 101},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**{"format": "png", "color": "RGB24", "resolution": (75, 75), "region": TOP, **wrong})


def test_media_types() -> None:
    assert {format: media_type(format) for format in ("dib", "exif", "jfif", "png", "pdf-a", "tiff-multi-g4")} == {
        "dib": "image/bmp", "exif": "image/jpeg", "jfif": "image/jpeg", "png": "image/png", "pdf-a": "application/pdf",
        "tiff-multi-g4": "image/tiff",
    }  # fmt: skip


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_clockwise(rotation: int) -> None:
    made = Settings("png", "Grayscale8", (100, 150), TOP, rotation=rotation)
    image = opened(render(drawn_pages(1), made))
    turned = rotation in (90, 270)
    assert image.size == pixel_size(made) == ((150, 420) if turned else (420, 150))
    assert image.info["dpi"] == pytest.approx((150, 100) if turned else (100, 150), abs=0.02)
    upright = image.rotate(rotation, expand=True)  # Pillow's rotate is counter-clockwise
    assert read_mark(upright, (100, 150)) == Mark(1, 1)
    assert image.getpixel({0: (0, 0), 90: (149, 0), 180: (419, 149), 270: (0, 419)}[rotation]) == 0  # page's corner


def test_scaling_is_along_the_page() -> None:
    made = Settings("png", "RGB24", (150, 150), TOP, scaling=(50, 200), rotation=90)
    image = opened(render(drawn_pages(1), made))
    assert image.size == pixel_size(made) == (300, 315)
    assert read_mark(image.rotate(90, expand=True), (75, 300)) == Mark(1, 1)


def test_exposure() -> None:
    def grey(**exposure: int) -> Image.Image:
        return opened(
            render(drawn_pages(1), Settings("png", "Grayscale8", (50, 50), Region(0, 0, 8000, 5000), **exposure))
        )

    def wedge(image: Image.Image) -> list[int]:
        return [image.getpixel(((700 + 441 * index + 220) // 20, 160)) for index in range(16)]

    plain = wedge(grey())
    assert plain == [17 * index for index in range(16)]
    assert all(a < b for a, b in zip(plain[:-1], wedge(grey(brightness=100))[:-1], strict=True))
    assert wedge(grey(brightness=1000))[1:] == [255] * 15
    assert wedge(grey(brightness=-1000)) == [0] * 16
    assert wedge(grey(contrast=-1000)) == [128] * 16
    assert set(wedge(grey(contrast=1000))) == {0, 255}
    harder = wedge(grey(contrast=500))
    assert harder[5] < plain[5]
    assert harder[10] > plain[10]
    assert grey(sharpness=50).tobytes() != grey().tobytes() != grey(sharpness=-50).tobytes()


def test_brightness_moves_the_border_of_black_and_white() -> None:
    def black(brightness: int) -> int:
        made = Settings("png", "BlackAndWhite1", (75, 75), Region(0, 0, 8000, 5000), brightness=brightness)
        return opened(render(drawn_pages(1), made)).convert("L").histogram()[0]

    assert black(-300) > black(0) > black(300) > 0


def test_too_large_is_refused_before_anything_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    big = Settings("png", "RGB24", (300, 300), Region(0, 0, 8267, 11692), scaling=(1000, 1000))
    with pytest.raises(ScanTooLarge):
        render(drawn_pages(1), big)
    monkeypatch.setattr(tiff, "MAX_FILE", 40_000)
    with pytest.raises(ScanTooLarge, match="page 2"):
        render(drawn_pages(3), Settings("tiff-multi-uncompressed", "Grayscale8", (75, 75), TOP))


def test_bytes_per_line_is_that_of_the_file() -> None:
    for color in sorted(COLORS):
        made = Settings("tiff-single-uncompressed", color, (75, 75), Region(0, 0, 1234, 500))
        image = opened(render(drawn_pages(1), made))
        assert bytes_per_line(made) * pixel_size(made)[1] == sum(image.tag_v2[279])
        if fits("dib", color):
            made = Settings("dib", color, (75, 75), Region(0, 0, 1234, 500))
            data = render(drawn_pages(1), made)
            size, start = struct.unpack("<2xI4xI", data[:14])
            assert size == len(data)
            assert bytes_per_line(made) * pixel_size(made)[1] == len(data) - start
    assert bytes_per_line(Settings("jfif", "RGB24", (75, 75), TOP)) == 0
    assert bytes_per_line(Settings("tiff-single-g4", "BlackAndWhite1", (75, 75), TOP)) == 0


@settings(max_examples=60, deadline=None)
@given(
    pair=st.sampled_from([pair for pair in PAIRS if pair[0] != "pdf-a"]),
    dpi=st.tuples(st.integers(20, 400), st.integers(20, 400)),
    region=st.builds(Region, st.integers(0, 3000), st.integers(0, 3000), st.integers(1, 700), st.integers(1, 700)),
    rotation=st.sampled_from([0, 90, 180, 270]),
    scaling=st.tuples(st.integers(1, 250), st.integers(1, 250)),
)
def test_the_size_that_is_told_is_the_size_of_the_file(
    pair: tuple[str, str], dpi: tuple[int, int], region: Region, rotation: int, scaling: tuple[int, int]
) -> None:
    made = Settings(*pair, dpi, region, rotation=rotation, scaling=scaling)
    assert opened(render(drawn_pages(1), made)).size == pixel_size(made)


def test_exif_comes_first_and_says_size_and_resolution() -> None:
    data = render(drawn_pages(1), Settings("exif", "RGB24", (150, 300), TOP))
    assert data[:4] == b"\xff\xd8\xff\xe1"
    assert data[6:12] == b"Exif\0\0"
    assert b"JFIF" not in data[:200]
    tags = opened(data).getexif()
    assert (tags[0x011A], tags[0x011B], tags[0x0128]) == (150, 300, 2)
    more = tags.get_ifd(0x8769)
    assert (more[0x9000], more[0xA002], more[0xA003]) == (b"0230", 630, 300)
    assert render(drawn_pages(1), Settings("jfif", "RGB24", (150, 300), TOP))[6:11] == b"JFIF\0"


@pytest.mark.parametrize(("kind", "compression"), [("g4", 4), ("g3mh", 3), ("jpeg-tn2", 7), ("uncompressed", 1)])
def test_tiff_says_how_it_is_compressed(kind: str, compression: int) -> None:
    color = "BlackAndWhite1" if kind.startswith("g") else "RGB24"
    data = render(drawn_pages(1), Settings(f"tiff-single-{kind}", color, (75, 150), TOP))
    tags = opened(data).tag_v2
    assert tags[259] == compression
    assert (tags[282], tags[283], tags[296]) == (75, 150, 2)
    start = struct.unpack("<I", data[4:8])[0]
    (count,) = struct.unpack("<H", data[start : start + 2])
    numbers = [struct.unpack("<H", data[start + 2 + 12 * n : start + 4 + 12 * n])[0] for n in range(count)]
    assert numbers == sorted(set(numbers))
    if kind == "g3mh":
        assert tags[292] == 0
    if color == "BlackAndWhite1":
        assert tags[262] == 0


def test_reversible_jpeg_2000_at_full_quality() -> None:
    image = opened(render(drawn_pages(1), Settings("jpeg2k", "RGB24", (75, 100), TOP, quality=100)))
    expected = drawn_pages(1)[0].image(75, 100, TOP, "RGB")
    assert ImageChops.difference(image, expected).getbbox() is None
    assert image.info["dpi"] == pytest.approx((75, 100))


def test_pdf_has_what_level_b_asks() -> None:
    data = render(drawn_pages(2), Settings("pdf-a", "Grayscale8", (150, 100), TOP))
    assert re.match(rb"%PDF-1\.4\n%[\x80-\xff]{4}\n", data)
    assert b"<pdfaid:part>1</pdfaid:part>" in data
    assert b"<pdfaid:conformance>B</pdfaid:conformance>" in data
    assert b"/S/GTS_PDFA1" in data
    assert re.search(rb"/ID\[<[0-9a-f]{32}><[0-9a-f]{32}>\]", data)
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", data)[1])
    assert data[start:].startswith(b"xref\n0 12\n")
    entries = data[start:].split(b"\n")[2:14]
    for number, entry in enumerate(entries):
        assert len(entry) == 19
        if number:
            assert data[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    for found in re.finditer(rb"/Length (\d+)>>\nstream\n", data):
        assert data[found.end() + int(found[1]) :].startswith(b"\nendstream\nendobj\n")
    document = pypdfium2.PdfDocument(data)
    assert len(document) == 2
    assert document[0].get_size() == pytest.approx((4.2 * 72, 72))
    document.close()


def test_the_color_profile_is_srgb_of_version_2() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    assert profile.profile.version == pytest.approx(2.1)
    colors = drawn_pages(1)[0].image(75, 75, Region(0, 2900, 8000, 1600), "RGB")
    same = ImageCms.profileToProfile(colors, profile, ImageCms.createProfile("sRGB"))
    assert max(high for _, high in ImageChops.difference(colors, same).getextrema()) <= 1


def test_threads_do_not_disturb_each_other() -> None:
    wanted = [Settings(format, color, (75, 75), TOP) for format, color in PAIRS]
    alone = [render(drawn_pages(1), one) for one in wanted]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: render(drawn_pages(1), one), wanted)) == alone
