"""Images against those that were recorded: type, size, bytes or look."""

from __future__ import annotations

import hashlib
import io

import pytest
from PIL import Image, ImageDraw

from dissector.http.content import Content
from dissector.messages import Attachment
from dissector.messages.images import real_type
from replay.player import attachments as module
from replay.player.attachments import compare_attachments
from replay.player.rules import ATTACHMENT_CHECKS


def image(
    data: bytes, *, kept: bool = True, complete: bool = True, declared: str | None = None, media: str = ""
) -> Attachment:
    content = Content(
        size=len(data), head=data[:64], sha256=hashlib.sha256(data).hexdigest(), data=data if kept else None,
        complete=complete,
    )  # fmt: skip
    return Attachment(content, "a@b", declared, media, real_type(data[:64]), "ScanData")


def picture(colour: int = 255, size: tuple[int, int] = (40, 30), form: str = "PNG", text: str = "") -> bytes:
    drawn = Image.new("L", size, colour)
    if text:
        ImageDraw.Draw(drawn).text((2, 2), text, fill=0)
    out = io.BytesIO()
    drawn.save(out, form)
    return out.getvalue()


PNG, JPEG = picture(), picture(form="JPEG")
LONG = PNG + bytes(len(PNG) * 20)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("how", "recorded", "received", "text"),
    [
        ("type", image(PNG), image(PNG), None),
        ("type", image(PNG), image(PNG + b"more"), None),
        ("type", image(PNG), image(JPEG), "attachment 1 is jfif, was png"),
        ("type", image(PNG), image(b"words"), "attachment 1 is of no known type, was png"),
        ("type", image(PNG), image(LONG),
         f"attachment 1 has {len(LONG)} bytes, had {len(PNG)}: not within a factor of 10"),
        ("type", image(LONG), image(PNG),
         f"attachment 1 has {len(PNG)} bytes, had {len(LONG)}: not within a factor of 10"),
        ("type", image(b""), image(b""), None),
        ("type", image(b"a"), image(b""), "attachment 1 has 0 bytes, had 1"),
        ("type", image(PNG, media="image/png"), image(PNG, media="image/tiff"),
         "attachment 1 has the type image/tiff, had image/png"),
        ("type", image(PNG, media="image/png"), image(PNG, media="application/binary"), None),
        ("type", image(PNG, media="Image/PNG; a=b"), image(PNG, media="image/png"), None),
        ("type", image(PNG, declared="png"), image(PNG, declared="exif"), "attachment 1 is declared as exif, was png"),
        ("size", image(PNG), image(PNG + b"x"), f"attachment 1 has {len(PNG) + 1} bytes, had {len(PNG)}"),
        ("size", image(PNG), image(PNG[:-1] + b"x"), None),
        ("exact", image(PNG), image(PNG), None),
        ("exact", image(PNG), image(PNG[:-1] + b"x"), "attachment 1 has other bytes than recorded"),
        ("pixels", image(PNG), image(picture(252)), None),
        ("pixels", image(PNG), image(picture(0)),
         "attachment 1 looks different: its pixels differ by 255 of 255 on average"),
        ("pixels", image(PNG), image(picture(size=(40, 31))), "attachment 1 has 40 x 31 pixels, had 40 x 30"),
        ("pixels", image(PNG), image(PNG[:40] + bytes(len(PNG))), "attachment 1 cannot be read as a picture"),
        # Pillow would start another program for this one.
        ("pixels", image(EPS), image(EPS + b" "),
         "attachment 1 cannot be judged by its pixels: what was recorded cannot be read as a picture"),
        ("pixels", image(PNG[:40] + bytes(len(PNG))), image(PNG),
         "attachment 1 cannot be judged by its pixels: what was recorded cannot be read as a picture"),
        ("pixels", image(PNG), image(PNG, kept=False),
         "attachment 1 cannot be judged by pixels: its bytes were not kept"),
        ("exact", image(PNG), image(PNG, kept=False), None),
        ("ignore", image(PNG), image(JPEG), None),
        ("exact", image(PNG), image(LONG), "attachment 1 has other bytes than recorded"),
        ("type", image(PNG, media="application/octet-stream"), image(PNG, media="image/tiff"), None),
        ("type", image(b"words"), image(PNG), "attachment 1 is png, was unknown"),
        ("type", image(PNG[:50], complete=False), image(JPEG), "attachment 1 is jfif, was png"),
        ("type", image(PNG, declared="png"), image(PNG), "attachment 1 is declared as nothing, was png"),
        ("type", image(PNG), image(PNG[:50], complete=False), "attachment 1 ends after 50 bytes, before its end"),
        ("type", image(PNG[:50], complete=False), image(LONG), None),
        ("exact", image(PNG[:50], complete=False), image(PNG[:50], complete=False), None),
        ("type", image(PNG[:50], complete=False), image(PNG[:49], complete=False),
         "attachment 1 ends after 49 bytes, before its end"),
        ("type", image(PNG[:50], complete=False), image(PNG[:49] + b"x", complete=False),
         "attachment 1 ends after 50 bytes, before its end"),
        ("size", image(PNG[:50], complete=False), image(PNG),
         "attachment 1 cannot be judged by size: the recording lacks a part of it"),
        ("type", image(b"", complete=False), image(PNG), None),
    ],
)  # fmt: skip
def test_one_attachment(how: str, recorded: Attachment, received: Attachment, text: str | None) -> None:
    found = compare_attachments([recorded], [received], lambda number: how)
    assert len(found) == (text is not None)
    if text is not None:
        assert found[0].text.partition(" (")[0] == text
        assert found[0].what == "attachment"
        assert found[0].path == "ScanData"


def test_every_check_is_tested() -> None:
    assert {how for how, *_ in test_one_attachment.pytestmark[0].args[1]} == set(ATTACHMENT_CHECKS)


def test_what_is_declared_is_left_alone_where_elements_are_compared() -> None:
    pair = [image(PNG, declared="png")], [image(PNG, declared="exif")]
    assert compare_attachments(*pair, declared=False) == []


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((1, 0), "no attachment came, 1 was recorded"), ((0, 1), "1 attachment came, none were recorded"),
        ((2, 3), "3 attachments came, 2 were recorded"), ((2, 2), None),
    ],
)  # fmt: skip
def test_their_number(counts: tuple[int, int], text: str | None) -> None:
    lists = [[image(PNG)] * count for count in counts]
    assert [one.text for one in compare_attachments(*lists)] == ([text] if text else [])
    assert compare_attachments(*lists, lambda number: "ignore") == []


def test_each_has_its_own_check() -> None:
    two = [image(PNG), image(PNG)]

    def checks(number: int) -> str:
        return "exact" if number == 2 else "type"

    found = compare_attachments(two, [image(PNG + b"x"), image(PNG + b"x")], checks)
    assert [one.text for one in found] == ["attachment 2 has other bytes than recorded"]


def test_one_of_several_is_not_looked_at() -> None:
    pairs = [image(PNG), image(PNG)], [image(JPEG), image(JPEG)]
    found = compare_attachments(*pairs, lambda number: "ignore" if number == 2 else "type")
    assert [one.text for one in found] == ["attachment 1 is jfif, was png"]


def test_bytes_without_a_digest_are_read() -> None:
    one, same, other = (image(data) for data in (PNG, PNG, PNG[:-1] + b"x"))
    for each in (one, same, other):
        each.content.sha256 = None
    assert compare_attachments([one], [same], lambda number: "exact") == []
    assert len(compare_attachments([one], [other], lambda number: "exact")) == 1


def test_a_picture_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 40 * 30 - 1)
    found = compare_attachments([image(PNG)], [image(picture(250))], lambda number: "pixels")
    assert [one.text for one in found] == [
        "attachment 1 cannot be judged by its pixels: what was recorded has more than 1199 pixels"
    ]
