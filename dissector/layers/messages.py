"""The layers around a body: SOAP envelope with addressing, and HTTP message.

Both dissect from bytes and build to bytes. What was dissected and not changed builds to the bytes it came from;
anything else is written anew in the usual form (prefixes, header order), with lengths computed. Two packets are equal
when they say the same: a field that building fills in (version, action, content type, lengths) counts with the value
that it gets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from lxml import etree
from lxml.etree import _Element as Element
from scapy.packet import Packet, Raw

from dissector.base.origin import Endpoint, FrameMap, StreamRef
from dissector.catalog import recognise
from dissector.http.connection import HttpConnection
from dissector.http.content import Content
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.writer import build_multipart, build_request, build_response
from dissector.layers.bodies import SOAPFault, WsdBody, body_class, xml_of
from dissector.layers.fields import ValueField, shown
from dissector.layers.layer import CARRIERS, Layer, untouched
from dissector.soap.addressing import split_tag
from dissector.soap.build import ADDRESSINGS, build_envelope
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import EndpointReference, Envelope, QName
from dissector.soap.namespaces import canonical
from dissector.soap.xml import parse_xml
from dissector.transport.model import Conversation, Run, StreamEnd

__all__ = ["HTTPMessage", "SOAPEnvelope", "http_fields", "xml_content"]

DEFAULT_BOUNDARY = "dsmshark-boundary"
DEFAULT_ROOT = "root@dsmshark"

Pairs = list[tuple[str, str]]


class SOAPEnvelope(Layer):
    """A SOAP message with its WS-Addressing headers. The payload is the body element's layer.

    Fields: ``version`` of SOAP, ``addressing`` ("2004/08" or "2005/08"), and the message addressing headers.
    ``RelatesTo`` is the first one, with its ``RelationshipType``; others are in ``AlsoRelatesTo`` as pairs of type and
    message id. ``ReplyTo``, ``FaultTo`` and ``From`` are addresses, their reference parameters stand in
    ``ReplyToParameters`` and so on, as pairs of Clark name and text. ``ReferenceParameters`` are those of the
    receiver, echoed as header blocks. ``Headers`` are all other header blocks, as XML.
    """

    name = "SOAP"
    fields_desc: ClassVar[list[Any]] = [
        shown(ValueField("version")),
        shown(ValueField("addressing")),
        shown(ValueField("Action")),
        shown(ValueField("To")),
        shown(ValueField("MessageID")),
        shown(ValueField("RelatesTo")),
        shown(ValueField("RelationshipType")),
        shown(ValueField("AlsoRelatesTo", many=True)),
        shown(ValueField("ReplyTo")),
        shown(ValueField("ReplyToParameters", many=True)),
        shown(ValueField("FaultTo")),
        shown(ValueField("FaultToParameters", many=True)),
        shown(ValueField("From")),
        shown(ValueField("FromParameters", many=True)),
        shown(ValueField("ReferenceParameters", many=True)),
        shown(ValueField("Headers", many=True)),
    ]

    def do_dissect(self, s: bytes) -> bytes:
        """Read the envelope; the body element is left for the payload."""
        envelope, _ = parse_envelope(s)
        if envelope is None:
            self.remember(s)
            return s
        self._below = self._fill(envelope)
        self.remember(s)
        return b""

    def do_dissect_payload(self, s: bytes) -> None:
        """The body element's layer; an empty Body has one too."""
        below = self.__dict__.pop("_below", None)
        if below is not None:
            self.add_payload(below)
        elif s:
            self.add_payload(Raw(s))

    @classmethod
    def of(cls, envelope: Envelope) -> SOAPEnvelope:
        """The layers of an envelope that was parsed already."""
        packet = cls()
        below = packet._fill(envelope)
        packet.remember(envelope.xml)
        packet.add_payload(below)
        return packet

    def _fill(self, envelope: Envelope) -> Packet:
        """Fill the fields; gives the body's layer."""
        a = envelope.addressing
        kind, related = a.relates_to[0] if a.relates_to else ("", None)
        self.fields.update(
            version=envelope.version,
            addressing=a.version or None,
            Action=a.action,
            To=a.to,
            MessageID=a.message_id,
            RelatesTo=related,
            RelationshipType=kind or None,
            AlsoRelatesTo=a.relates_to[1:],
            Headers=_other_headers(envelope),
        )
        for name, reference in (("ReplyTo", a.reply_to), ("FaultTo", a.fault_to), ("From", a.source)):
            self.fields[name] = reference.address if reference is not None else None
            self.fields[f"{name}Parameters"] = _pairs(reference.parameters if reference is not None else [])
        self.fields["ReferenceParameters"] = _pairs(a.parameters)
        body = etree.tostring(envelope.content, with_tail=False) if envelope.content is not None else b""
        layer = SOAPFault if envelope.fault is not None else body_class(recognise(envelope.name, a.action).message)
        if body:
            return layer(body)
        below = layer()
        if isinstance(below, Layer):
            below.remember(b"")
        return below

    def do_build(self) -> bytes:
        """The document: as it came where nothing was changed, else written anew.

        Raises:
            ValueError: the body or one of ``Headers`` is no XML.
        """
        if untouched(self):
            return bytes(self.raw_packet_cache)
        related = [(self.RelationshipType or "", self.RelatesTo)] if self.RelatesTo is not None else []
        text = self.payload.do_build() if self.payload else b""
        return build_envelope(
            _element(text) if text else None,
            action=self._action() or "",
            to=self.To,
            message_id=self.MessageID,
            relates_to=[*related, *(tuple(pair) for pair in self.AlsoRelatesTo or [])],
            reply_to=_reference(self.ReplyTo, self.ReplyToParameters),
            fault_to=_reference(self.FaultTo, self.FaultToParameters),
            source=_reference(self.From, self.FromParameters),
            addressing=self._addressing(),
            version=self._version(),
            parameters=_qnames(self.ReferenceParameters),
            headers=[_element(block.encode()) for block in self.Headers or []],
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SOAPEnvelope)
            and self._meaning() == other._meaning()
            and bool(self.payload == other.payload)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by value, and can change

    def _meaning(self) -> dict[str, Any]:
        said = {name: value for name, value in self.fields.items() if value not in (None, [])}
        return {**said, "version": self._version(), "addressing": self._addressing(), "Action": self._action() or ""}

    def _version(self) -> str:
        # A changed fault is written in its 1.2 form.
        changed_fault = isinstance(self.payload, SOAPFault) and not self.payload.unchanged()
        return "1.1" if self.version == "1.1" and not changed_fault else "1.2"

    def _addressing(self) -> str:
        return self.addressing if self.addressing in ADDRESSINGS else "2004/08"

    def _action(self) -> str | None:
        """The action, by default that of the payload's message."""
        below = self.payload
        if self.Action is not None:
            return str(self.Action)
        if isinstance(below, SOAPFault):
            return f"{ADDRESSINGS[self._addressing()]}/fault"
        return below.row.actions[0] if isinstance(below, WsdBody) and below.row and below.row.actions else None

    def mysummary(self) -> str:
        """The action, where no layer below says more."""
        return f"SOAP {self.Action or ''}".rstrip()


def _other_headers(envelope: Envelope) -> list[str]:
    """The header blocks that no field stands for, as XML."""
    parameters = {(name.namespace, name.local) for name, _ in envelope.addressing.parameters}
    found = []
    for block in envelope.headers:
        sent, local = split_tag(str(block.tag))
        namespace = canonical(sent)[0] if sent else ""
        if namespace not in ADDRESSINGS.values() and (namespace, local) not in parameters:
            found.append(xml_of(block))
    return found


def _pairs(parameters: Iterable[tuple[QName, str]]) -> Pairs:
    return [(str(name), text) for name, text in parameters]


def _qnames(pairs: Pairs | None) -> list[tuple[QName, str]]:
    return [(QName(*split_tag(name)), text) for name, text in pairs or []]


def _reference(address: str | None, parameters: Pairs | None) -> EndpointReference | None:
    return EndpointReference(address, _qnames(parameters)) if address is not None else None


def _element(text: bytes) -> Element:
    root = parse_xml(text).root
    if root is None:
        raise ValueError(f"no XML: {text[:80]!r}")
    return root


class HTTPMessage(Layer):
    """An HTTP request or response with a SOAP message.

    Fields: ``method`` and ``target`` of a request, ``status`` and ``reason`` of a response; ``headers`` as pairs in
    order; ``attachments`` as (Content-ID, media type, bytes): a message with attachments is an MTOM package;
    ``chunk``: size of the chunks to send it in. ``complete`` is False where bytes of it were lost (nothing is
    filled in), ``frames`` tells the frames that carried it, and the attribute ``wsd`` holds the dissector's message
    where the packet came out of a session. Bytes behind the message are kept as padding.
    """

    name = "HTTP message"
    fields_desc: ClassVar[list[Any]] = [
        shown(ValueField("method")),
        shown(ValueField("target")),
        shown(ValueField("status")),
        shown(ValueField("reason")),
        shown(ValueField("headers", many=True)),
        shown(ValueField("attachments", many=True)),
        shown(ValueField("chunk")),
        shown(ValueField("complete")),
        shown(ValueField("frames", many=True)),
    ]

    def do_dissect(self, s: bytes) -> bytes:
        """Read the first message of the bytes; the envelope is left for the payload."""
        http = first_message(s)
        self._rest = b""
        if http is None:
            self.remember(s)
            return s
        self.fields.update(http_fields(http))
        pieces = http.origin.ranges.pieces
        end = max((at + size for _, at, size in pieces), default=len(s)) if http.complete else len(s)
        self.remember(s[:end])
        self._rest = s[end:]
        content = xml_content(http)
        return content.data() if content.kept else b""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """What follows the message."""
        return s, self.__dict__.pop("_rest", b"")

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """A SOAP envelope, where it is one."""
        found = (self.method or self.status) and parse_envelope(payload)[0] is not None
        return SOAPEnvelope if found else Raw

    def do_build(self) -> bytes:
        """The message: as it came where nothing was changed, else written anew with the right lengths, without
        content coding."""
        if untouched(self):
            return bytes(self.raw_packet_cache)
        body = self.payload.do_build() if self.payload else b""
        headers = self._headers()
        if self.attachments:
            parts = [
                (
                    [
                        ("Content-Type", media or "application/octet-stream"),
                        ("Content-Transfer-Encoding", "binary"),
                        ("Content-ID", f"<{ident}>"),
                    ],
                    data,
                )
                for ident, media, data in self.attachments
            ]
            boundary = _boundary([body, *(data for _, _, data in self.attachments)])
            kind, body = build_multipart(body, parts, boundary, root_id=DEFAULT_ROOT)
            headers.append(("Content-Type", kind))
        if self.status:
            return build_response(self.status, self.reason or "", headers, body, self.chunk)
        return build_request(self.method or "POST", self.target or "/", headers, body, self.chunk)

    def _headers(self) -> Pairs:
        """The headers but those that follow from the rest of the packet."""
        framing = {"content-length", "transfer-encoding", "content-encoding"}
        if self.attachments:
            framing.add("content-type")
        headers = [(name, value) for name, value in self.headers or [] if name.lower() not in framing]
        typed = any(name.lower() == "content-type" for name, _ in headers)
        if self.payload and not typed and not self.attachments:
            headers.append(("Content-Type", "application/soap+xml"))
        return headers

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, HTTPMessage)
            and self._meaning() == other._meaning()
            and bool(self.payload == other.payload)
        )

    __hash__ = None  # type: ignore[assignment]  # compared by value, and can change

    def _meaning(self) -> tuple[Any, ...]:
        start = (self.status, self.reason or "") if self.status else (self.method or "POST", self.target or "/")
        sent = self.attachments or []
        attachments = [(ident, media or "application/octet-stream", data) for ident, media, data in sent]
        return start, self._headers(), attachments, self.complete in (None, True)

    def mysummary(self) -> str:
        """Start line in short."""
        start = f"HTTP {self.status} {self.reason or ''}" if self.status else f"{self.method} {self.target}"
        lost = "" if self.complete in (None, True) else " [incomplete]"
        return start.rstrip() + lost


CARRIERS.append(HTTPMessage)


def _boundary(contents: list[bytes]) -> str:
    """A boundary that occurs in none of the contents: the same one always, where possible."""
    boundary, number = DEFAULT_BOUNDARY, 0
    while any(b"--" + boundary.encode() in content for content in contents):
        number += 1
        boundary = f"{number}-{DEFAULT_BOUNDARY}"
    return boundary


def xml_content(http: HttpMessage) -> Content:
    """The content that holds the envelope."""
    return http.root.content if http.root is not None else http.body


def http_fields(http: HttpMessage) -> dict[str, Any]:
    """The field values of an HTTP message; attachments only where their bytes were kept."""
    return {
        "method": http.method or None,
        "target": http.target or None,
        "status": http.status or None,
        "reason": http.reason or None,
        "headers": [(h.name, h.value) for h in http.headers],
        "attachments": [
            (p.content_id or "", p.media_type, p.content.data()) for p in http.parts if not p.root and p.content.kept
        ],
        "complete": http.complete,
    }


def first_message(data: bytes) -> HttpMessage | None:
    """The first HTTP message in some bytes."""
    found: list[HttpMessage] = []
    nowhere = Endpoint("", 0)
    connection = HttpConnection(Conversation(0, nowhere, nowhere), found.append, BodyPolicy(False, False, True))
    reader = connection.direction(StreamRef("tcp", 0, nowhere, nowhere))
    frames = FrameMap()
    frames.add(0, len(data), 1, 0, 0)
    reader.data(Run(0, data, frames))
    reader.end(StreamEnd.FIN, 1, 0)
    return found[0] if found else None
