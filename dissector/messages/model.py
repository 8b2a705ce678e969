"""The message: one SOAP message (or the bare HTTP answer to one), with its origin.

The body and the header blocks are decoded when they are first asked for: a pass that only counts or pairs messages
never pays for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import ByteRange, Endpoint, Origin, StreamRef
from dissector.catalog.decode import decode, decode_all, findings_of
from dissector.catalog.field import Field
from dissector.catalog.model import MessageDecl
from dissector.http.content import Content
from dissector.http.model import HttpMessage, Part
from dissector.soap.model import Envelope, Fault, QName
from dissector.soap.spans import element_spans

__all__ = ["Attachment", "Message"]


@dataclass(slots=True)
class Attachment:
    """A binary part of a message, or inline base64 that stands for one.

    Attributes:
        content: its bytes: size, SHA-256, first bytes, holes.
        content_id: without brackets, None for inline content.
        declared: the format the message declares (``dsp:Format`` and the like), None where it does not.
        media_type: of the part.
        real_type: told from the first bytes: ``jfif``, ``exif``, ``png``, ``tiff``, ``pdf``, ``bmp``,
            ``jpeg2k``, ``xps`` (zip) …, None where unknown.
        element: path of the element that includes it, None for a part that no element includes.
        part: the MIME part, None for inline content.
    """

    content: Content
    content_id: str | None = None
    declared: str | None = None
    media_type: str = ""
    real_type: str | None = None
    element: str | None = None
    part: Part | None = None

    @property
    def frames(self) -> Sequence[int]:
        """Frames that hold its bytes."""
        return self.content.origin.frame_numbers() if self.content.origin else ()


@dataclass(slots=True)
class Message:
    """One message, in the order in which they became whole.

    Attributes:
        number: from 1, over the capture.
        kind: "request", "response", "event", "fault" or "discovery".
        service: name of the service, "" where unknown (vendor's own, or an HTTP answer without SOAP to a
            request that is not known).
        name: what it is: the body element's or message's name; ``HTTP 202`` for an answer without SOAP.
        decl: the catalogue's row, None where unknown.
        wsd: it belongs to WSD (False: some other SOAP protocol).
        stream: direction that carried it.
        time: nanoseconds since 1970 of its last byte (the packet that completed it); ``first_time`` of its first.
        digits: decimal digits of a second that the capture's times have.
        frames: frames that carried it, ascending.
        envelope: None for an answer without SOAP.
        body: decoded body element, None for an empty body, an answer without SOAP or an unreadable one.
        headers: decoded header blocks.
        fault: None unless kind is "fault".
        attachments: images and other parts.
        http: the HTTP message, None for SOAP over UDP.
        datagram: payload of SOAP over UDP, else None.
        request: for an answer on the same connection: number of the message it answers by connection order,
            None where not known.
        repeat_of: number of the first copy of a repeated datagram.
        complete: nothing is missing.
        findings: of all layers below, and of this one; those of the decoded values are in :meth:`all_findings`.
        xml_origin: of the envelope's bytes (``envelope.xml``), None where it is not known.
        body_name: name that the body is decoded as where it is not the one its tag says.
        limits: bounds of the decoding.
    """

    number: int
    kind: str
    service: str
    name: str
    stream: StreamRef
    time: int
    first_time: int
    frames: Sequence[int]
    origin: Origin
    decl: MessageDecl | None = None
    wsd: bool = True
    digits: int = 6
    envelope: Envelope | None = None
    body: Field | None = None
    headers: list[Field] = field(default_factory=list)
    fault: Fault | None = None
    attachments: list[Attachment] = field(default_factory=list)
    http: HttpMessage | None = None
    datagram: bytes | None = None
    multicast: bool = False
    request: int | None = None
    repeat_of: int | None = None
    complete: bool = True
    findings: list[Finding] = field(default_factory=list)
    xml_origin: Origin | None = field(default=None, repr=False)
    body_name: QName | None = field(default=None, repr=False)
    limits: Limits = field(default=DEFAULT_LIMITS, repr=False)
    _spans: list[tuple[int, int]] | None = field(default=None, init=False, repr=False, compare=False)

    def decode_later(self) -> None:
        """Forget body and headers; they are decoded from the envelope when they are asked for."""
        del self.body
        del self.headers

    def __getattr__(self, name: str) -> Any:
        # Called only where the slot is empty, so that a decoded (or given) body costs nothing here.
        if name == "body":
            content = self.envelope.content if self.envelope is not None else None
            self.body = None if content is None else decode(content, qname=self.body_name, limits=self.limits)
            return self.body
        if name == "headers":
            header = self.envelope.header if self.envelope is not None else None
            self.headers = [] if header is None else decode_all(header, limits=self.limits)
            return self.headers
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def all_findings(self) -> list[Finding]:
        """``findings`` and those of the decoded headers and body."""
        found = list(self.findings)
        for block in self.headers:
            found.extend(findings_of(block))
        if self.body is not None:
            found.extend(findings_of(self.body))
        return found

    def place_of(self, field: Field) -> list[ByteRange]:
        """The bytes in frames that hold an element of this message, from ``<`` of its start tag to its end.

        Args:
            field: the body, a header block, or a field below one of them.

        Returns:
            Ranges in order; empty where the place is not known (damaged XML, a message that was not captured).
        """
        if self.envelope is None or self.xml_origin is None:
            return []
        if self._spans is None:
            self._spans = element_spans(self.envelope.xml, self.envelope.encoding)
        if not 0 <= field.index < len(self._spans):
            return []
        return self.xml_origin.byte_ranges(*self._spans[field.index])

    @property
    def source(self) -> Endpoint:
        """Who sent it."""
        return self.stream.source

    @property
    def destination(self) -> Endpoint:
        """Who got it."""
        return self.stream.destination

    @property
    def action(self) -> str | None:
        """wsa:Action."""
        return self.envelope.addressing.action if self.envelope else None

    @property
    def message_id(self) -> str | None:
        """wsa:MessageID."""
        return self.envelope.addressing.message_id if self.envelope else None

    @property
    def relates_to(self) -> str | None:
        """The first wsa:RelatesTo."""
        related = self.envelope.addressing.relates_to if self.envelope else []
        return related[0][1] if related else None

    @property
    def to(self) -> str | None:
        """wsa:To."""
        return self.envelope.addressing.to if self.envelope else None

    @property
    def status(self) -> int | None:
        """HTTP status of an answer, None for requests and datagrams."""
        return self.http.status if self.http is not None and not self.http.is_request else None

    @property
    def operation(self) -> str:
        """The operation or event, such as ``CreatePostScanJob``; "" where unknown."""
        return self.decl.operation if self.decl else ""

    def get(self, path: str, default: Any = None) -> Any:
        """Value of an element below the body element, by path of local names (see :meth:`Field.get`)."""
        return default if self.body is None else self.body.get(path, default)
