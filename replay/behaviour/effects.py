"""What a rule can order, as data, and the pure functions that do it to bytes.

Delays, lost events and the like are carried out by those who send; what can be done to bytes is done here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from xml.sax.saxutils import escape

__all__ = [
    "Effects",
    "EndState",
    "FaultOrder",
    "ImageOrder",
    "WireEffects",
    "WirePlan",
    "apply_to_wire",
    "cut_image",
    "format_of",
    "malform",
    "other_image",
    "relate_otherwise",
]


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """A SOAP fault. ``namespace``, ``code`` and ``reason`` are "" where the catalogue is to say them."""

    subcode: str
    namespace: str = ""
    code: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The subcode as it is written, ``{namespace}name`` where it is a vendor's own."""
        return f"{{{self.namespace}}}{self.subcode}" if self.namespace else self.subcode

    def __str__(self) -> str:
        return "|".join((self.name, self.code, self.reason)).rstrip("|")


@dataclass(frozen=True, slots=True)
class EndState:
    """Another end state of a job, with reasons."""

    state: str
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "|".join((self.state, *self.reasons))


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """What is done to an image: cut after so many bytes, or replaced by one of another format."""

    cut: int | None = None
    as_format: str = ""

    def __str__(self) -> str:
        cut = [f"cut-{self.cut}"] if self.cut is not None else []
        return "|".join(cut + ([f"as-{self.as_format}"] if self.as_format else []))


@dataclass(frozen=True, slots=True)
class WireEffects:
    """What is done to the bytes of a message on their way. False where nothing is.

    Attributes:
        close_after, reset_after: bytes after which the connection is closed or reset.
        truncate: bytes of the body that are sent; the head speaks of all of them.
        slow: bytes a second of the body.
        content_length: another Content-Length: ``+10``, ``-10``, or a number.
        bare_boundary: MIME boundaries without the line end before them.
        reason: another reason phrase, None for none.
        split_head: head and body in two writes.
    """

    close_after: int | None = None
    reset_after: int | None = None
    truncate: int | None = None
    slow: float | None = None
    content_length: str = ""
    bare_boundary: bool = False
    reason: str | None = None
    split_head: bool = False

    def __bool__(self) -> bool:
        return self != _NOTHING

    def with_bare_boundary(self) -> WireEffects:
        """The same, and boundaries without line ends."""
        return replace(self, bare_boundary=True)


_NOTHING = WireEffects()


@dataclass(frozen=True, slots=True)
class Effects:
    """All that is ordered for one occasion. False where nothing is.

    Attributes:
        delay: seconds before it is answered or sent.
        fault: a SOAP fault instead of an answer.
        status: a bare HTTP status instead of an answer.
        ignore: no answer at all.
        malformed: the XML is not well-formed.
        relates_to: "wrong", "none", or a text.
        token: "unknown", "stale", or a text, in place of the token that is handed out or sent.
        lost, doubled, reordered, expire: of events.
        end_state: another end state.
        image: what is done to the image.
        wire: what is done to the bytes.
        said: the orders in words.
    """

    delay: float = 0.0
    fault: FaultOrder | None = None
    status: int | None = None
    ignore: bool = False
    malformed: bool = False
    relates_to: str | None = None
    token: str = ""
    lost: bool = False
    doubled: bool = False
    reordered: bool = False
    expire: bool = False
    end_state: EndState | None = None
    image: ImageOrder | None = None
    wire: WireEffects = field(default=_NOTHING)
    said: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.said)

    def describe(self) -> str:
        """The orders on one line, for the log."""
        return "; ".join(self.said)

    def without_delay(self) -> Effects:
        """The same without the delay, which was waited for already."""
        return replace(self, delay=0.0) if self.delay else self

    @property
    def for_answers(self) -> tuple[str, ...]:
        """The orders that only who answers can carry out."""
        given = (("fault", self.fault), ("status", self.status), ("ignore", self.ignore or None))
        return tuple(name for name, value in given if value is not None)

    def related(self, mine: str | None, other: Callable[[], str]) -> str | None:
        """What a message relates to.

        Args:
            mine: what it should relate to, None for nothing.
            other: makes the id of a message that nobody sent.
        """
        if self.relates_to is None or self.relates_to == "none":
            return mine if self.relates_to is None else None
        return other() if self.relates_to == "wrong" else self.relates_to


@dataclass(frozen=True, slots=True)
class WirePlan:
    """What to write: pieces in order; then ``keep``, ``close`` or ``reset``; ``rate`` in bytes a second."""

    pieces: Sequence[bytes]
    close: str = "keep"
    rate: float | None = None


_LENGTH = re.compile(rb"(?im)^(content-length:[ \t]*)(\d+)")
_BOUNDARY = re.compile(rb'(?is)content-type:[^\r\n]*?boundary="?([^"\r\n;]{1,70})')
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[^\r\n]*chunked")
_STATUS = re.compile(rb"\A(HTTP/1\.\d \d{3} )[^\r\n]*")


def apply_to_wire(head: bytes, body: bytes, effects: WireEffects) -> WirePlan:
    """A message as bytes, harmed as ordered.

    Args:
        head: start line and headers with the empty line.
        body: as transferred.
        effects: what to do.
    """
    if effects.bare_boundary:
        head, body = _bare(head, body)
    if effects.reason is not None:
        head = _STATUS.sub(lambda match: match[1] + (effects.reason or "").encode("latin-1"), head, count=1)
    if effects.content_length:
        head, body = _wrong_length(head, body, effects.content_length)
    close = "keep"
    if effects.truncate is not None:
        body, close = body[: effects.truncate], "close"
    # Only a piece of its own can be slowed.
    pieces = [head, body] if effects.split_head or effects.slow is not None else [head + body]
    ends = ((effects.close_after, "close"), (effects.reset_after, "reset"))
    reached = [(limit, end) for limit, end in ends if limit is not None]
    if reached:
        limit, close = min(reached)
        pieces = [pieces[0][:limit], *(piece[: max(limit - len(head), 0)] for piece in pieces[1:])]
    rate = effects.slow if len(pieces) == 2 and pieces[1] else None
    return WirePlan([piece for piece in pieces if piece], close, rate)


def _bare(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    found = _BOUNDARY.search(head)
    if found is None:
        return head, body
    if _CHUNKED.search(head) is not None:
        plain = _unchunked(body)
        if plain is None:
            return head, body
        made = _without_line_ends(plain, found[1])
        return head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(made), made)
    made = _without_line_ends(body, found[1])
    return _LENGTH.sub(lambda match: match[1] + b"%d" % len(made), head, count=1), made


def _without_line_ends(body: bytes, boundary: bytes) -> bytes:
    return body.replace(b"\r\n--" + boundary, b"--" + boundary)


def _unchunked(body: bytes) -> bytes | None:
    """What a chunked body holds; None where its chunks are harmed already."""
    parts, at = [], 0
    try:
        while size := int(body[at : (end := body.index(b"\r\n", at))].partition(b";")[0], 16):
            parts.append(body[end + 2 : end + 2 + size])
            at = end + 2 + size + 2
    except ValueError:
        return None
    return b"".join(parts)


def _wrong_length(head: bytes, body: bytes, order: str) -> tuple[bytes, bytes]:
    def other(right: int) -> int:
        return max(right + int(order), 0) if order[:1] in "+-" else int(order)

    if _CHUNKED.search(head) is None:
        return _LENGTH.sub(lambda match: match[1] + b"%d" % other(int(match[2])), head, count=1), body
    size, mark, rest = body.partition(b"\r\n")
    # A chunked body has no length in its head: the size of the first chunk is wrong instead.
    try:
        return head, b"%x" % other(int(size.partition(b";")[0], 16)) + mark + rest
    except ValueError:
        return head, body


def malform(xml: bytes) -> bytes:
    """The document without its last end tag: not well-formed, yet to be recognised."""
    cut = xml.rstrip().rfind(b"</")
    return xml[:cut] if cut > 0 else xml + b"<"


_RELATES_TO = re.compile(rb"(<((?:[\w.-]+:)?RelatesTo)\b[^<>]*>)[^<]*(</\2>)")


def relate_otherwise(xml: bytes, effects: Effects, other: Callable[[], str]) -> bytes:
    """A message that is bytes already, with another RelatesTo where that is ordered."""
    if effects.relates_to is None:
        return xml

    def put(match: re.Match[bytes]) -> bytes:
        to = effects.related(None, other)
        return b"" if to is None else match[1] + escape(to).encode() + match[3]

    return _RELATES_TO.sub(put, xml, count=1)


def cut_image(data: bytes, size: int) -> bytes:
    """The first bytes of an image; below 0: all but so many."""
    return data[:size]


_IMAGES = {
    "png": bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f80f0001"
        "010100b138f6140000000049454e44ae426082"
    ),
    "dib": bytes.fromhex(
        "424d3a0000000000000036000000280000000100000001000000010018000000000004000000c40e0000c40e00000000"
        "000000000000ffffff00"
    ),
    "tiff": bytes.fromhex(
        "49492a000800000009000001040001000000010000000101040001000000010000000201030001000000080000000301"
        "0300010000000100000006010300010000000100000011010400010000007a0000001601040001000000010000001701"
        "040001000000010000001c010300010000000100000000000000ff"
    ),
    "jfif": bytes.fromhex(
        "ffd8ffe000104a46494600010100000100010000ffdb004300281c1e231e19282321232d2b28303c64413c37373c7b58"
        "5d4964918099968f808c8aa0b4e6c3a0aadaad8a8cc8ffcbdaeef5ffffff9bc1fffffffaffe6fdfff8ffc0000b080001"
        "000101011100ffc40014000100000000000000000000000000000005ffc4001410010000000000000000000000000000"
        "0000ffda0008010100003f0065ffd9"
    ),
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n",
}
"""The smallest files of each kind, enough for those who look at the first bytes."""


_OTHER_NAMES = {"jpeg": "jfif", "jpg": "jfif", "exif": "jfif", "bmp": "dib", "tif": "tiff"}


def format_of(name: str) -> str:
    """Which of ``png``, ``dib``, ``tiff``, ``jfif`` and ``pdf`` a Format value, or a usual name, is; "" for none of
    them."""
    kind = name.lower()
    return next((one for one in _IMAGES if kind == one or kind.startswith(one + "-")), _OTHER_NAMES.get(kind, ""))


def other_image(data: bytes, wanted: str) -> bytes:
    """A file of another format than the one that was declared: a whole picture of 1 by 1 pixels.

    Args:
        data: the right image.
        wanted: a Format value, or a usual name of one. For others there is PNG, and JPEG where the image is one
            already.
    """
    small = _IMAGES.get(format_of(wanted))
    if small is not None:
        return small
    return _IMAGES["jfif"] if data.startswith(b"\x89PNG") else _IMAGES["png"]
