"""HTTP messages as files of a scenario, and back to bytes.

With the recorded values a message comes back to the byte: heads, MIME layout, chunk sizes, trailers, the encoding of
the XML and how each value is written in it. With other values, lengths are made anew and the rest stays. What cannot
come back to the byte has a reason, :func:`exceptions` names it.

Sources: RFC 9112 6 and 7.1, RFC 2046 5.1, RFC 2045 6, XML 1.0 4.3.3.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from dissector.http.headers import list_items, parse_media_type
from dissector.http.inflate import CODINGS
from dissector.http.model import Header, HttpMessage
from dissector.messages import Message
from replay.scenario.chunks import chunked, chunks_text
from replay.scenario.files import Folder
from replay.scenario.material import Material, Slice
from replay.scenario.model import Part, Wire
from replay.scenario.template import LENGTH, fill, plain, put

__all__ = ["Span", "bytes_of", "exceptions", "take"]


class Span(NamedTuple):
    """Bytes that hold a value: ``start``, ``end``, the value's name and its recorded text."""

    start: int
    end: int
    name: str
    recorded: str


EXTENSIONS = {"jfif": "jpg", "exif": "jpg", "png": "png", "tiff": "tif", "pdf": "pdf", "bmp": "bmp", "jpeg2k": "jp2"}
TYPES = {"text/html": "html", "text/plain": "txt", "text/xml": "xml", "application/xml": "xml"}

MAX_GZIP = 9
"""Level of compression."""

_UTF8 = ("utf-8", "ascii")
_STRAY = "surrogateescape"
"""Bytes that are no UTF-8 stay what they are."""


def exceptions(http: HttpMessage, message: Message | None) -> list[str]:
    """Why a message does not come back to the byte with the recorded values; empty where it does."""
    rules = {one.rule for one in [*http.findings, *(one for part in http.parts for one in part.findings)]}
    reasons = []
    if not http.complete:
        reasons.append("bytes of it are not in the capture")
    if _codings(http):
        reasons.append("a compressed body is compressed anew")
    if http.chunk_runs and rules & {"http.chunk-end", "http.bare-lf", "http.trailer-end"}:
        reasons.append("line ends of its chunks are mended")
    if "http.chunk-line" in rules or "http.chunk-limit" in rules:
        reasons.append("its chunks cannot be read")
    if _is_chunked(http) and not http.chunk_runs and http.body.size:
        reasons.append("it has more sizes of chunks than are kept")
    if rules & {"http.xml-limit", "mime.xml-limit", "soap.too-long"}:
        reasons.append("the envelope is longer than is read")
    root = http.root
    if root is not None and message is not None and message.envelope is not None and _transfer_coding(root.headers):
        reasons.append("an envelope in a transfer coding is coded anew")
    return reasons


# -- taking ---------------------------------------------------------------------------------------------------------


def take(
    http: HttpMessage, message: Message | None, stem: str, head_spans: Iterable[Span], xml_spans: Iterable[Span]
) -> tuple[Wire, dict[str, Material]]:
    """A recorded message as files. Bodies have to be kept by the reader.

    Args:
        http, message: as read; ``message`` None or without envelope for a bare one.
        stem: of the files' names, such as ``003-SendImage``.
        head_spans: values in the head, as offsets in ``http.head``.
        xml_spans: values in the envelope, as offsets in its bytes.

    Returns:
        The message, and file name → what is in it.
    """
    contents: dict[str, Material] = {}
    wire = Wire(f"heads/{stem}.head")
    head = http.head.decode("latin-1")
    spans = _apart([*head_spans, *_lengths(http)])
    contents[wire.head] = put(head, [one[:3] for one in spans]).encode("utf-8")
    for span in spans:
        _note_form(wire, span, head[span.start : span.end], xml=False)
    envelope = message.envelope if message is not None else None
    if envelope is not None:
        wire.xml = f"bodies/{stem}.xml"
        contents[wire.xml] = _marked(wire, envelope.xml, envelope.encoding, xml_spans)
    if http.parts:
        _take_parts(wire, http, message, stem, contents)
    elif envelope is None and http.body.size:
        wire.file = f"bodies/{stem}.{TYPES.get(http.media_type, 'bin')}"
        contents[wire.file] = Slice(http.body, 0, http.body.size)
    wire.codings = _codings(http)
    if _is_chunked(http):
        wire.chunks = chunks_text(http.chunk_runs) or [f"{http.body.size:x}", "0"]
        wire.trailer = http.trailer_bytes.decode("latin-1")
    return wire, contents


def _take_parts(
    wire: Wire, http: HttpMessage, message: Message | None, stem: str, contents: dict[str, Material]
) -> None:
    kinds = {id(one.part): one.real_type for one in message.attachments} if message is not None else {}
    usual = _delimiter(http.head)
    at = number = 0
    for place, part in enumerate(http.parts):
        low, start, end = part.bounds
        before = Slice(http.body, at, low).data()
        made = Part(part.head.decode("latin-1"))
        if before != (usual if place else usual.removeprefix(b"\r\n")):
            made.before = before.decode("latin-1")
        coding = _transfer_coding(part.headers)
        if part.root and wire.xml:
            made.coding = coding
        else:
            number += 1
            extension = f"{EXTENSIONS.get(kinds.get(id(part)) or '', 'bin')}{f'.{coding}' if coding else ''}"
            made.file = f"images/{stem}-{number}.{extension}"
            contents[made.file] = Slice(http.body, start, end)
        wire.parts.append(made)
        at = end
    wire.final = Slice(http.body, at, http.body.size).data().decode("latin-1")


def _delimiter(head: bytes) -> bytes:
    """The usual bytes between two parts."""
    found = re.search(rb"(?im)^content-type[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", head)
    if found is None:
        return b""
    value = " ".join(found[1].decode("latin-1").split())
    boundary = parse_media_type(value).parameters.get("boundary", "")
    return b"\r\n--%b\r\n" % boundary.rstrip(" \t").encode("latin-1")


def _lengths(http: HttpMessage) -> list[Span]:
    """Where the head says the length of the body; a wrong one (of an answer to HEAD) stays as it is."""
    size = str(http.transferred)
    found = []
    for header in http.headers:
        if header.name.lower() == "content-length" and not _is_chunked(http):
            line = http.head[header.start : header.end].decode("latin-1")
            at = line.rfind(header.value)
            cut = http.transferred and not http.complete
            if at >= 0 and header.value.isdigit() and (cut or header.value == size):
                start = header.start + at
                found.append(Span(start, start + len(header.value), LENGTH, header.value))
    return found


def _is_chunked(http: HttpMessage) -> bool:
    codings = [one.value for one in http.headers if one.name.lower() == "transfer-encoding"]
    return bool(codings) and "chunked" in list_items(codings)


def _codings(http: HttpMessage) -> list[str]:
    """Content and transfer codings that the reader has undone."""
    named = [one.value for one in http.headers if one.name.lower() == "content-encoding"]
    below = [one.value for one in http.headers if one.name.lower() == "transfer-encoding"]
    found = [one for one in [*list_items(named), *list_items(below)] if one not in ("identity", "chunked")]
    still_coded = ("http.coding-unknown", "http.codings-limit", "http.coding-wrong")
    if not http.body.size or any(one.rule in still_coded for one in http.findings):
        return []
    return [one for one in found if one in CODINGS]


def _transfer_coding(headers: Iterable[Header]) -> str:
    for header in headers:
        if header.name.lower() == "content-transfer-encoding":
            coding = header.value.split(";", 1)[0].strip().lower()
            return coding if coding in ("base64", "quoted-printable") else ""
    return ""


def _marked(wire: Wire, xml: bytes, encoding: str, spans: Iterable[Span]) -> bytes:
    """An envelope with names in it, in UTF-8 whatever it was sent in. Bytes that are none in its encoding stay."""
    kept = _apart(spans)
    edges = [0, *(edge for span in kept for edge in span[:2]), len(xml)]
    pieces = None
    if encoding not in _UTF8:
        pieces = _decoded(xml, edges, encoding, "strict")
        wire.encoding = encoding if pieces is not None else ""
    if pieces is None:
        pieces = _decoded(xml, edges, "utf-8", "surrogateescape") or []
    moved, at = [], 0
    for place, piece in enumerate(pieces):
        if place % 2:
            moved.append(kept[place // 2]._replace(start=at, end=at + len(piece)))
            _note_form(wire, moved[-1], piece, xml=True)
        at += len(piece)
    return put("".join(pieces), [one[:3] for one in moved]).encode("utf-8", _STRAY)


def _apart(spans: Iterable[Span]) -> list[Span]:
    """Those that do not overlap an earlier one, in order."""
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _decoded(data: bytes, edges: list[int], encoding: str, errors: str) -> list[str] | None:
    """The pieces between the edges as text, None where they would not come back as the same bytes."""
    cuts = [data[low:high] for low, high in pairwise(edges)]
    try:
        pieces = [cut.decode(encoding, errors) for cut in cuts]
        same = all(piece.encode(encoding, errors) == cut for piece, cut in zip(pieces, cuts, strict=True))
    except (UnicodeError, LookupError):
        return None
    return pieces if same else None


def _note_form(wire: Wire, span: Span, raw: str, *, xml: bool) -> None:
    if span.name != LENGTH and raw != plain(span.recorded, xml=xml):
        wire.written.setdefault(span.name, raw)


# -- giving back ----------------------------------------------------------------------------------------------------


def bytes_of(wire: Wire, folder: Folder, values: Mapping[str, str]) -> list[bytes]:
    """A message as bytes, in pieces to write: the head first, then the body.

    Raises:
        KeyError: a value that is not known yet.
        UnreadableInput: a file is missing.
    """
    body = _body(wire, folder, values)
    size = sum(map(len, body))
    text = folder.text(wire.head)
    head = fill(text, {**values, LENGTH: str(size)}, written=wire.written).encode("latin-1", "replace")
    if wire.chunks:
        # One write for all chunks of a small body, as a device does it.
        body = [b"".join(chunked(body, wire.chunks, wire.trailer.encode("latin-1")))]
    return [head, *(piece for piece in body if piece)]


def _body(wire: Wire, folder: Folder, values: Mapping[str, str]) -> list[bytes]:
    xml = _xml(wire, folder, values) if wire.xml else b""
    if not wire.parts:
        body = [folder.read(wire.file)] if wire.file else [xml]
    else:
        body = []
        usual = _delimiter(folder.text(wire.head).encode("latin-1", "replace"))
        for place, part in enumerate(wire.parts):
            default = usual if place else usual.removeprefix(b"\r\n")
            before = default if part.before is None else part.before.encode("latin-1")
            body.append(before + part.head.encode("latin-1"))
            body.append(folder.read(part.file) if part.file else _coded(xml, part.coding))
        body.append(wire.final.encode("latin-1"))
        if sum(map(len, body)) <= SMALL:
            body = [b"".join(body)]
    for coding in wire.codings:
        body = [_compressed(b"".join(body), coding)]
    return body


SMALL = 64 << 10
"""Bytes of a package that is joined: one write costs less than five."""


def _xml(wire: Wire, folder: Folder, values: Mapping[str, str]) -> bytes:
    text = fill(folder.read(wire.xml).decode("utf-8", _STRAY), values, xml=True, written=wire.written)
    if wire.encoding:
        return text.encode(wire.encoding, "xmlcharrefreplace")
    return text.encode("utf-8", _STRAY)


def _coded(data: bytes, coding: str) -> bytes:
    if coding == "base64":
        return base64.encodebytes(data).replace(b"\n", b"\r\n")
    return binascii.b2a_qp(data) if coding == "quoted-printable" else data


def _compressed(data: bytes, coding: str) -> bytes:
    return gzip.compress(data, MAX_GZIP, mtime=0) if CODINGS.get(coding) == "gzip" else zlib.compress(data, MAX_GZIP)
