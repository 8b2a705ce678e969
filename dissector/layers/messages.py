"""The layers around a body: SOAP envelope with addressing, and HTTP message.

Both dissect from bytes and build to bytes. What was dissected and not changed builds to the bytes it came from;
anything else is written anew in the usual form (prefixes, header order), with lengths computed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lxml import etree
from scapy.packet import Packet, Raw

from dissector.base.origin import Endpoint, FrameMap, StreamRef
from dissector.catalog import recognise
from dissector.http.connection import HttpConnection
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.writer import build_multipart, build_request, build_response
from dissector.layers.bodies import SOAPFault, UnknownBody, WsdBody, body_class, untouched
from dissector.layers.fields import ValueField, shown
from dissector.soap.build import build_envelope, build_fault
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import Envelope, QName
from dissector.soap.xml import parse_xml
from dissector.transport.model import Conversation, Run, StreamEnd

__all__ = ["HTTPMessage", "SOAPEnvelope", "envelope_layers"]

DEFAULT_BOUNDARY = "dsmshark-boundary"
DEFAULT_ROOT = "root@dsmshark"


class SOAPEnvelope(Packet):  # type: ignore[misc]
    """A SOAP message with its WS-Addressing headers. The payload is the body element's layer.

    Fields: ``version`` of SOAP, ``addressing`` ("2004/08" or "2005/08"), the message addressing headers, and
    ``ReferenceParameters``: pairs of Clark name and text, echoed from an endpoint reference.
    """

    name = "SOAP"
    match_subclass = True
    fields_desc: ClassVar[list[Any]] = [
        shown(ValueField("version")),
        shown(ValueField("addressing")),
        shown(ValueField("Action")),
        shown(ValueField("To")),
        shown(ValueField("MessageID")),
        shown(ValueField("RelatesTo")),
        shown(ValueField("ReplyTo")),
        shown(ValueField("FaultTo")),
        shown(ValueField("From")),
        shown(ValueField("ReferenceParameters", many=True)),
    ]

    def do_dissect(self, s: bytes) -> bytes:
        """Read the envelope; the body element is left for the payload."""
        envelope, _ = parse_envelope(s)
        if envelope is None:
            self.raw_packet_cache = b""
            return s
        layer, body = envelope_layers(self, envelope)
        self._below = layer
        self.raw_packet_cache = s
        return body

    def do_dissect_payload(self, s: bytes) -> None:
        """The body element's layer; an empty Body has one too."""
        layer = self.__dict__.pop("_below", None)
        if layer is None:
            if s:
                self.add_payload(Raw(s))
            return
        below = layer(s) if s else layer()
        if not s:
            below.raw_packet_cache = b""
        self.add_payload(below)

    def do_build(self) -> bytes:
        """The document: as it came where nothing was changed, else written anew."""
        if self.raw_packet_cache and untouched(self):
            return bytes(self.raw_packet_cache)
        headers = {
            "to": self.To,
            "message_id": self.MessageID,
            "relates_to": self.RelatesTo,
            "addressing": self.addressing or "2004/08",
        }
        below = self.payload
        if isinstance(below, SOAPFault) and below.raw_packet_cache is None:
            subcode = QName(below.SubcodeNamespace or "", below.Subcode) if below.Subcode else None
            detail = parse_xml(below.Detail.encode()).root if below.Detail else None
            return build_fault(
                below.Code or "Sender", subcode, below.Reason or "", detail, action=self.Action, **headers
            )
        text = bytes(below) if below else b""
        action = self.Action
        if action is None and isinstance(below, WsdBody) and below.row is not None and below.row.actions:
            action = below.row.actions[0]
        names = [etree.QName(name) for name, _ in self.ReferenceParameters or []]
        return build_envelope(
            parse_xml(text).root if text else None,
            action=action or "",
            reply_to=self.ReplyTo,
            fault_to=self.FaultTo,
            source=self.From,
            version=self.version if self.version == "1.1" else "1.2",
            parameters=[
                (QName(name.namespace or "", name.localname), value)
                for name, (_, value) in zip(names, self.ReferenceParameters or [], strict=True)
            ],
            **headers,
        )

    def mysummary(self) -> str:
        """The action's last part, where no layer below says more."""
        return "SOAP" if not isinstance(self.payload, UnknownBody) else f"SOAP {self.Action or ''}"


def envelope_layers(packet: SOAPEnvelope, envelope: Envelope) -> tuple[type[Packet], bytes]:
    """Fill the envelope's fields; gives the body's layer and XML (empty for an empty Body)."""
    a = envelope.addressing
    packet.fields.update(
        version=envelope.version,
        addressing=a.version or None,
        Action=a.action,
        To=a.to,
        MessageID=a.message_id,
        RelatesTo=a.relates_to[0][1] if a.relates_to else None,
        ReplyTo=a.reply_to.address if a.reply_to else None,
        FaultTo=a.fault_to.address if a.fault_to else None,
        From=a.source.address if a.source else None,
        ReferenceParameters=[(str(name), text) for name, text in a.parameters],
    )
    body = etree.tostring(envelope.content, with_tail=False) if envelope.content is not None else b""
    if envelope.fault is not None:
        return SOAPFault, body
    return body_class(recognise(envelope.name, a.action).message), body


class HTTPMessage(Packet):  # type: ignore[misc]
    """An HTTP request or response with a SOAP message.

    Fields: ``method`` and ``target`` of a request, ``status`` and ``reason`` of a response; ``headers`` as pairs in
    order; ``attachments`` as (Content-ID, media type, bytes): a message with attachments is an MTOM package;
    ``chunk``: size of the chunks to send it in. ``complete`` is False where bytes of it were lost (nothing is
    filled in), ``frames`` tells the frames that carried it, and the attribute ``wsd`` holds the dissector's message
    where the packet came out of a session.
    """

    name = "HTTP message"
    match_subclass = True
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
        if http is None:
            self.raw_packet_cache = b""
            return s
        self.fields.update(http_fields(http))
        self.raw_packet_cache = s
        content = http.root.content if http.root is not None else http.body
        return content.data() if content.kept else b""

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """A SOAP envelope, where it is one."""
        return SOAPEnvelope if self.raw_packet_cache and parse_envelope(payload)[0] is not None else Raw

    def do_build(self) -> bytes:
        """The message: as it came where nothing was changed, else written anew with the right lengths."""
        if self.raw_packet_cache and untouched(self):
            return bytes(self.raw_packet_cache)
        body = bytes(self.payload) if self.payload else b""
        headers = [
            (name, value)
            for name, value in self.headers or []
            if name.lower() not in ("content-length", "transfer-encoding")
        ]
        kind = "application/soap+xml"
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
            kind, body = build_multipart(body, parts, DEFAULT_BOUNDARY, root_id=DEFAULT_ROOT)
            headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
        if body and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", kind))
        if self.status:
            return build_response(self.status, self.reason or "", headers, body, self.chunk)
        return build_request(self.method or "POST", self.target or "/", headers, body, self.chunk)

    def mysummary(self) -> str:
        """Start line in short."""
        start = f"HTTP {self.status} {self.reason or ''}" if self.status else f"{self.method} {self.target}"
        lost = "" if self.complete in (None, True) else " [incomplete]"
        return start.rstrip() + lost


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
