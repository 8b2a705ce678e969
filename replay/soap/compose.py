"""Messages → bytes for the wire: envelope, MTOM package, HTTP head.

Envelopes and packages are built by the code that reads them in the dissector; here they get their HTTP dress. The
dress can be that of a certain device (:class:`Style`).

Sources: DPWS R0001, R0030, R0034 to R0039 (HTTP, MTOM); SOAP 1.2 part 2, 7 (HTTP binding).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dissector.http.writer import Headers, build_multipart, build_request, build_response
from replay.base.ids import Ids

__all__ = ["USUAL", "Dress", "Packed", "Picture", "Style", "http_request", "http_response", "pack"]

SOAP = "application/soap+xml"

REASONS = {
    200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 413: "Content Too Large", 415: "Unsupported Media Type", 500: "Internal Server Error",
    503: "Service Unavailable", 507: "Insufficient Storage",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """A binary part of a message: Content-ID without brackets, bytes, media type ("" for no header)."""

    content_id: str
    data: bytes
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Style:
    """How a device dresses its messages.

    Attributes:
        chunk: chunk size of bodies with pictures, bytes; None: with Content-Length.
        chunk_all: all bodies are chunked, not only those with pictures.
        close: every answer closes the connection.
        fault_status: HTTP status of all faults; None: by the fault (400, 500).
        empty_reason: no reason phrase in the status line (Windows).
        split_head: head and body in two writes (Windows).
        start: the ``start`` parameter of packages, None for the root part's Content-ID (a Ricoh says an element).
        bare_boundary: no line end before the boundaries of packages (a Xerox).
        server: Server header, "" for none.
    """

    chunk: int | None = 32768
    chunk_all: bool = False
    close: bool = False
    fault_status: int | None = None
    empty_reason: bool = False
    split_head: bool = False
    start: str | None = None
    bare_boundary: bool = False
    server: str = ""


USUAL = Style()
"""The style of most devices."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A body with its Content-Type; ``xml`` is its envelope."""

    content_type: str
    body: bytes
    xml: bytes
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Dress:
    """A message as bytes: HTTP head (with its empty line) and body as transferred."""

    head: bytes
    body: bytes

    @property
    def pieces(self) -> list[bytes]:
        """Small messages in one write, since many devices expect a message in one segment; large ones in two."""
        if len(self.body) <= 64 << 10:
            return [self.head + self.body]
        return [self.head, self.body]


def pack(envelope: bytes, pictures: Sequence[Picture], ids: Ids, *, start: str | None = None) -> Packed:
    """An envelope alone, or with its pictures as a multipart/related package."""
    if not pictures:
        return Packed(f"{SOAP}; charset=utf-8", envelope, envelope)
    parts: list[tuple[Headers, bytes]] = []
    for picture in pictures:
        headers = [("Content-Type", picture.media_type)] if picture.media_type else []
        headers += [("Content-Transfer-Encoding", "binary"), ("Content-ID", f"<{picture.content_id}>")]
        parts.append((headers, picture.data))
    content_type, body = build_multipart(envelope, parts, f"{ids.guid()}", root_id=f"{ids.guid()}@wsd")
    if start is not None:
        before, _, rest = content_type.partition('start="')
        content_type = f'{before}start="{start}"{rest.partition(chr(34))[2]}'
    return Packed(content_type, body, envelope, len(pictures))


def http_response(
    status: int, packed: Packed | None, style: Style, *, extra: Iterable[tuple[str, str]] = (), close: bool = False
) -> Dress:
    """The answer as bytes; ``packed`` None for an empty body."""
    headers: list[tuple[str, str]] = []
    if style.server:
        headers.append(("Server", style.server))
    if packed is not None:
        if packed.pictures:
            headers.append(("MIME-Version", "1.0"))
        headers.append(("Content-Type", packed.content_type))
    headers.extend(extra)
    if close or style.close:
        headers.append(("Connection", "close"))
    reason = "" if style.empty_reason else REASONS.get(status, "Status")
    body = packed.body if packed is not None else b""
    chunk = style.chunk if packed is not None and (packed.pictures or style.chunk_all) else None
    if chunk is not None:
        return _split(build_response(status, reason, headers, body, chunk=chunk))
    headers.append(("Content-Length", str(len(body))))
    return Dress(build_response(status, reason, headers), body)


def http_request(
    path: str, authority: str, packed: Packed, *, headers: Iterable[tuple[str, str]] = (), chunk: int | None = None
) -> Dress:
    """A POST as bytes, with the headers that WSD clients send."""
    given = [("Host", authority), ("Content-Type", packed.content_type), ("User-Agent", "WSDAPI"), *headers]
    if packed.pictures:
        given.insert(1, ("MIME-Version", "1.0"))
    if chunk is not None:
        return _split(build_request("POST", path, given, packed.body, chunk=chunk))
    given.append(("Content-Length", str(len(packed.body))))
    return Dress(build_request("POST", path, given), packed.body)


def _split(message: bytes) -> Dress:
    end = message.index(b"\r\n\r\n") + 4
    return Dress(message[:end], message[end:])
