"""Are the images that came those that were recorded? By type, size, bytes or look, as the scenario asks.

A scanner never scans the same page twice to the same bytes, so the usual check is the type and about the size. What the
recording lacks (a hole in the capture) is not held against the peer.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dissector.base.errors import ContentNotKept
from dissector.messages import Attachment
from replay.player.difference import Difference, shown

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["LOOK", "MAX_PIXELS", "SIZE_FACTOR", "compare_attachments"]

SIZE_FACTOR = 10.0
"""How many times larger or smaller an image may be: a page of text and a photograph are that far apart."""

LOOK = 8.0
"""Mean difference of the samples (0 to 255) below which two pictures look alike."""

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "JPEG2000")
"""What is opened as a picture. Pillow knows more, and for PostScript it starts another program."""

MAX_PIXELS = 150_000_000
"""Pixels of one picture that are compared; A4 at 1200 dpi has 139 million. Larger ones are refused, so that none eats
the memory. (Pillow itself refuses 179 million and more, in other words.)"""

_NOTHING = frozenset({"", "application/octet-stream", "application/binary", "binary/octet-stream"})
"""Media types that say nothing."""


def compare_attachments(
    recorded: Sequence[Attachment],
    received: Sequence[Attachment],
    how: Callable[[int], str] = lambda number: "type",
    *,
    declared: bool = True,
) -> list[Difference]:
    """What differs between the attachments of two messages, in order.

    Args:
        recorded, received: the attachments.
        how: number of an attachment (from 1, 0 for all together) → how it is judged, one of
            :data:`~replay.player.rules.ATTACHMENT_CHECKS`.
        declared: compare the declared formats too (False where the elements that declare them are compared anyway).

    Returns:
        At most one difference for each attachment, and one where their number differs.
    """
    if how(0) == "ignore":
        return []
    if len(recorded) != len(received):
        came = "no attachment" if not received else _count(len(received))
        text = f"{came} came, {len(recorded) or 'none'} {'was' if len(recorded) == 1 else 'were'} recorded"
        return [Difference("attachment", "", str(len(recorded)), str(len(received)), text)]
    found = []
    for number, (one, other) in enumerate(zip(recorded, received, strict=True), start=1):
        check = how(number)
        if check != "ignore":
            difference = _compare(one, other, f"attachment {number}", check, declared)
            if difference is not None:
                found.append(difference)
    return found


def _count(number: int) -> str:
    return "1 attachment" if number == 1 else f"{number} attachments"


def _compare(one: Attachment, other: Attachment, name: str, check: str, declared: bool) -> Difference | None:
    def differs(was: object, came: object, text: str) -> Difference:
        path = one.element or ""
        return Difference("attachment", path, None if was is None else str(was), None if came is None else str(came),
                          f"{name} {text}")  # fmt: skip

    alike = _end_alike(one, other)
    if not other.content.complete and not alike:
        return differs(one.content.size, other.content.size, f"ends after {other.content.size} bytes, before its end")
    was, came = _kind(one), _kind(other)
    if declared and one.declared != other.declared:
        told = f"is declared as {shown(other.declared) or 'nothing'}, was {shown(one.declared)}"
        return differs(one.declared, other.declared, told)
    if one.real_type != other.real_type and not (one.real_type is None and not one.content.complete):
        told = f"is {other.real_type or 'of no known type'}, was {one.real_type or 'unknown'}"
        return differs(one.real_type, other.real_type, told)
    if was and came and was != came:
        return differs(was, came, f"has the type {shown(came)}, had {shown(was)}")
    if alike:
        return None
    size, now = one.content.size, other.content.size
    if not one.content.complete:
        missing = f"cannot be judged by {check}: the recording lacks a part of it"
        return differs(size, now, missing) if check in ("exact", "size", "pixels") else None
    if bool(size) != bool(now) or (check == "size" and size != now):
        return differs(size, now, f"has {now} bytes, had {size}")
    if check == "type" and not size / SIZE_FACTOR <= now <= size * SIZE_FACTOR:
        return differs(size, now, f"has {now} bytes, had {size}: not within a factor of {SIZE_FACTOR:g}")
    try:
        if check == "exact":
            marks = _digest(one), _digest(other)
            return differs(*marks, "has other bytes than recorded") if marks[0] != marks[1] else None
        if check == "pixels":
            text = _look(one, other)
            return differs(size, now, text) if text else None
    except ContentNotKept:
        return differs(size, now, f"cannot be judged by {check}: its bytes were not kept")
    return None


def _end_alike(one: Attachment, other: Attachment) -> bool:
    """Both end before their end, with the same bytes: a sender that never ends its package does so again."""
    if one.content.complete or other.content.complete or one.content.size != other.content.size:
        return False
    try:
        return _digest(one) == _digest(other)
    except ContentNotKept:
        return False


def _kind(one: Attachment) -> str:
    """The media type where it says something."""
    word = one.media_type.partition(";")[0].strip().lower()
    return "" if word in _NOTHING else word


def _digest(one: Attachment) -> str:
    if one.content.sha256 is not None:
        return one.content.sha256
    digest = hashlib.sha256()
    for piece in one.content.pieces():
        digest.update(piece)
    return digest.hexdigest()


def _look(one: Attachment, other: Attachment) -> str:
    """What is other about a picture, "" where it looks alike."""
    from PIL import ImageChops, ImageStat

    was, came = _picture(one), _picture(other)
    if isinstance(was, str):
        return f"cannot be judged by its pixels: what was recorded {was}"
    if isinstance(came, str):
        return came
    if was.size != came.size:
        return f"has {came.width} x {came.height} pixels, had {was.width} x {was.height}"
    mean = max(ImageStat.Stat(ImageChops.difference(was, came)).mean)
    return "" if mean <= LOOK else f"looks different: its pixels differ by {mean:.0f} of 255 on average"


def _picture(one: Attachment) -> Image.Image | str:
    """The picture in RGB, or why there is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow's own bound is meant for web servers; ours is tested before a pixel is read.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(one.content.data()), formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return f"has more than {MAX_PIXELS} pixels"
                return picture.convert("RGB")
    except ContentNotKept:
        raise
    except Exception as error:  # a damaged picture makes Pillow's readers raise whatever comes to their mind
        return f"cannot be read as a picture ({shown(str(error)) or type(error).__name__})"
