"""HTTP messages as found on the wire: head, headers with their places, body as content or parts."""

from __future__ import annotations

from dataclasses import dataclass, field

from dissector.base.findings import Finding
from dissector.base.origin import FrameMap, Gap, Origin, StreamRef
from dissector.http.content import Content
from dissector.http.room import Room

__all__ = ["HEADER_COST", "BodyPolicy", "Header", "HttpMessage", "Part"]

HEADER_COST = 250
"""Bytes that a header line takes as an object, without its text."""


@dataclass(frozen=True, slots=True)
class BodyPolicy:
    """What is done with the bytes of bodies and parts while they stream by.

    A body that can be XML (and the root part of a package) is always kept, up to ``Limits.xml``.

    Attributes:
        digest: compute the SHA-256 of bodies' parts (images).
        digest_bodies: compute the SHA-256 of every body as transferred (after chunked coding is undone, before
            content coding), SOAP or not.
        keep: keep the bytes of parts and bodies, beyond ``Limits.keep`` in a temporary file.
        room: counts what is in memory of all of them.
    """

    digest: bool = True
    digest_bodies: bool = False
    keep: bool = False
    room: Room = field(default_factory=Room, repr=False, compare=False)


@dataclass(slots=True)
class Header:
    """One header line.

    Attributes:
        name: as sent.
        value: without surrounding blanks; folded lines joined by one blank. Bytes above 127 as latin-1.
        start, end: place in the head (offsets from its first byte), without the line end.
    """

    name: str
    value: str
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class Part:
    """One part of a multipart body.

    Attributes:
        headers: of the part.
        content: its bytes, transfer encoding undone.
        content_id: without angle brackets, percent-decoding not applied; None where there is none.
        media_type: lower case, without parameters; "" where there is none.
        parameters: of the media type, names in lower case.
        root: it is the root part.
        findings: deviations in this part.
        head: the raw bytes of its headers, up to and with the empty line; the places of ``headers`` are in it.
        head_origin: of ``head``.
        bounds: where its headers begin, its content begins and its content ends, as offsets in the body's data.
    """

    headers: list[Header]
    content: Content
    content_id: str | None = None
    media_type: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    root: bool = False
    findings: list[Finding] = field(default_factory=list)
    head: bytes = b""
    head_origin: Origin | None = None
    bounds: tuple[int, int, int] = (0, 0, 0)


@dataclass(slots=True, weakref_slot=True)
class HttpMessage:
    """One request or response.

    Attributes:
        is_request: request or response.
        method, target: of a request, else "".
        status, reason: of a response, else 0 and "".
        version: such as "1.1".
        headers: in order.
        head: the raw bytes of the head, up to and with the empty line.
        origin: of all bytes from the start line to the end of the body (as transferred).
        body: content after transfer and content coding; for a multipart body its ``data()`` is what was
            transferred, if kept. Size 0 where there is none.
        transferred: size of the body as transferred, chunked coding undone, content coding not.
        body_sha256: hex digest of the transferred body, if asked for and complete.
        parts: of a multipart body, root part first found at ``root``.
        media_type, parameters: of the Content-Type header, lower case name.
        first_frame, last_frame: frames of the first and last byte.
        first_time, last_time: their capture times, nanoseconds.
        trigger: frame at which the message became whole (an earlier segment may have come late): the order of
            messages.
        complete: nothing of it is missing.
        gaps: missing bytes, as stream offsets.
        answers: for a response: stream offset in the other direction of the request it was framed for, or None.
        behind_loss: for a response: others may have been lost before it, so its place is no proof of ``answers``.
        findings: deviations from HTTP and MIME.
        trailers: header lines behind the last chunk; their places count from the first of them.
        trailer_bytes: these lines as sent, without the empty line.
        chunk_runs: of a chunked body that is kept: size lines as sent (without CRLF), and how many equal ones stood in
            a row.
    """

    is_request: bool
    stream: StreamRef
    version: str
    headers: list[Header]
    head: bytes
    origin: Origin
    body: Content
    method: str = ""
    target: str = ""
    status: int = 0
    reason: str = ""
    transferred: int = 0
    body_sha256: str | None = None
    parts: list[Part] = field(default_factory=list)
    media_type: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    first_frame: int = 0
    last_frame: int = 0
    first_time: int = 0
    last_time: int = 0
    trigger: int = 0
    complete: bool = True
    gaps: list[Gap] = field(default_factory=list)
    answers: int | None = None
    findings: list[Finding] = field(default_factory=list)
    trailers: list[Header] = field(default_factory=list)
    trailer_bytes: bytes = b""
    chunk_runs: list[tuple[bytes, int]] = field(default_factory=list)
    behind_loss: bool = False

    def header(self, name: str) -> str | None:
        """Value of the first header of that name (case does not matter), None where there is none."""
        wanted = name.lower()
        for h in self.headers:
            if h.name.lower() == wanted:
                return h.value
        return None

    @property
    def root(self) -> Part | None:
        """The root part of a package, None for a plain body."""
        return next((p for p in self.parts if p.root), None)

    @property
    def frame_map(self) -> FrameMap:
        """Stream offsets of this message → frames."""
        return self.origin.frames
