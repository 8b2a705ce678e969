"""HTTP messages as files of a scenario, and back to bytes: heads, MIME layout, chunk sizes and XML text as recorded,
values put in, lengths made anew."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dissector.http.headers import parse_media_type
from dissector.http.model import HttpMessage
from dissector.messages import Message
from replay.scenario.files import Folder
from replay.scenario.model import Part, Wire
from replay.scenario.template import fill, put

__all__ = ["bytes_of", "take"]

Span = tuple[int, int, str]
"""Start, end, name of a value."""

_LENGTH = re.compile(rb"(?im)^content-length:[^\r\n]*")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[^\r\n]*chunked")

EXTENSIONS = {"jfif": "jpg", "exif": "jpg", "png": "png", "tiff": "tif", "pdf": "pdf", "bmp": "bmp", "jpeg2k": "jp2"}


def take(
    http: HttpMessage, message: Message | None, stem: str, head_spans: Iterable[Span], xml_spans: Iterable[Span]
) -> tuple[Wire, dict[str, bytes]]:
    """A recorded message as files.

    Args:
        http, message: as read; ``message`` None or without envelope for a bare one.
        stem: of the files' names, such as ``003-SendImage``.
        head_spans: values in the head, as offsets in ``http.head``.
        xml_spans: values in the envelope, as offsets in its bytes.

    Returns:
        The message, and file name → bytes.
    """
    contents: dict[str, bytes] = {}
    wire = Wire(f"heads/{stem}.head")
    contents[wire.head] = put(http.head.decode("latin-1"), head_spans).encode("utf-8")
    envelope = message.envelope if message is not None else None
    if envelope is not None:
        wire.xml = f"bodies/{stem}.xml"
        text = _marked(envelope.xml, xml_spans)
        contents[wire.xml] = text
    root = http.root
    if root is not None:
        wire.root_head = root.head.decode("latin-1")
        others = [part for part in http.parts if part is not root]
        found = [*http.findings, *(one for part in http.parts for one in part.findings)]
        bare = any(one.rule == "mime.no-crlf" for one in found)
        boundary = http.parameters.get("boundary", "")
        kinds = {id(one.part): one.real_type for one in message.attachments} if message is not None else {}
        for number, part in enumerate(others, start=1):
            end = EXTENSIONS.get(kinds.get(id(part)) or "", "bin")
            file = f"images/{stem}-{number}.{end}"
            wire.parts.append(Part(part.head.decode("latin-1"), file))
            contents[file] = part.content.data() if part.content.kept else b""
        wire.final = ("" if bare else "\r\n") + f"--{boundary}--\r\n"
    if _CHUNKED.search(http.head):
        # The reader keeps no chunk sizes; most devices use one size, and the body tells nothing of it.
        wire.chunk = 4096
    return wire, contents


def _marked(xml: bytes, spans: Iterable[Span]) -> bytes:
    """Offsets are of bytes, names are put into text: both in latin-1, which maps one to the other."""
    return put(xml.decode("latin-1"), spans).encode("latin-1")


def bytes_of(wire: Wire, folder: Folder, values: Mapping[str, str]) -> list[bytes]:
    """A message as bytes, in pieces to write: head and body.

    Raises:
        KeyError: a value that is not known yet.
        UnreadableInput: a file is missing.
    """
    head = fill(folder.text(wire.head), values).encode("latin-1", "replace")
    body = b""
    if wire.xml:
        xml = folder.read(wire.xml).decode("latin-1")
        body = fill(xml, {name: _latin(value) for name, value in values.items()}, xml=True).encode("latin-1")
    if wire.root_head:
        content_type = re.search(rb"(?im)^content-type:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", head)
        boundary = (
            parse_media_type(content_type[1].decode("latin-1")).parameters.get("boundary", "") if content_type else ""
        )
        mark = b"--" + boundary.encode("latin-1")
        between = b"" if wire.final.startswith("--") else b"\r\n"
        pieces = [mark, b"\r\n", wire.root_head.encode("latin-1"), body]
        for part in wire.parts:
            pieces += [between, mark, b"\r\n", part.head.encode("latin-1"), folder.read(part.file)]
        body = b"".join([*pieces, wire.final.encode("latin-1")])
    if wire.chunk and body:
        cut = [body[at : at + wire.chunk] for at in range(0, len(body), wire.chunk)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut) + b"0\r\n\r\n"
    else:
        head = _LENGTH.sub(b"Content-Length: %d" % len(body), head) if body else head
    return [head, body] if body else [head]


def _latin(value: str) -> str:
    """A value for a document whose bytes are kept as latin-1: UTF-8 in its place."""
    return value.encode("utf-8").decode("latin-1")
