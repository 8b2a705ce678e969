"""HTTP messages and datagrams → :class:`Message`.

Sources: DPWS R0034 (content type), SOAP 1.2 part 2, 7.5 (HTTP binding, status of faults), RFC 3902 (action parameter),
SOAP-over-UDP 1.1.
"""

from __future__ import annotations

from collections.abc import Callable

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Origin
from dissector.http.content import Content
from dissector.http.model import HttpMessage, Part
from dissector.messages.attachments import attachments_of
from dissector.messages.judging import judge
from dissector.messages.kinds import kind_of, mentions_wsd
from dissector.messages.model import Message
from dissector.soap.envelope import looks_like_soap, parse_envelope
from dissector.soap.model import Envelope
from dissector.transport.model import Datagram

__all__ = ["MessageBuilder"]

CONTENT_TYPE = rule("soap.H01", "warn", "the content type is not that of SOAP 1.2", "DPWS R0034, rule H01")
ACTION_PARAMETER = rule(
    "soap.H02", "warn", "the action of the content type is not the Action header", "WS-Transfer 3.1, rule H02"
)
FAULT_STATUS = rule("soap.H05", "note", "a fault under a good HTTP status", "SOAP 1.2 part 2, 7.5.2.2, rule H05")
NOT_KEPT = rule("soap.not-kept", "error", "the bytes of the envelope are not there")
LONG = rule("soap.too-long", "error", "the envelope is longer than the limit; its end is not read")
CUT = rule("udp.cut", "error", "the capture holds only the beginning of the datagram")

DISCOVERY_PORT = 3702
UNREADABLE = "unreadable"
_SOAP12 = "application/soap+xml"
_XOP = "application/xop+xml"


class MessageBuilder:
    """Makes messages; the numbers are given by the one who asks for them (here 0).

    Args:
        digits: tells how many decimal digits of a second the capture's times have.
        limits: bounds of XML.
    """

    def __init__(self, digits: Callable[[], int], limits: Limits = DEFAULT_LIMITS) -> None:
        self._digits = digits
        self._limits = limits

    def from_http(self, http: HttpMessage) -> Message | None:
        """The SOAP message that an HTTP message carries, None where it carries none."""
        root = _root_part(http)
        content = root.content if root is not None else http.body
        if content.size == 0 and not content.gaps:
            return None
        said = _says_soap(http, root)
        if not said and not looks_like_soap(content.head):
            return None
        findings = list(http.findings)
        for part in http.parts:
            findings.extend(part.findings)
        message = self._from_http(http, content, findings)
        data = self._bytes(content, findings)
        charset = root.parameters.get("charset") if root is not None else http.parameters.get("charset")
        envelope, deviations = parse_envelope(data, charset=charset, limits=self._limits)
        findings.extend(deviations)
        if envelope is None:
            if not said and not _starts_soap(content.head):
                return None
            self._unreadable(message, data)
            return message
        self._fill(message, envelope, is_response=not http.is_request)
        others = [part for part in http.parts if part is not root]
        message.attachments = attachments_of(envelope, others, content.origin, findings)
        _judge_http(http, root, envelope, findings)
        return message

    def bare_answer(self, http: HttpMessage, service: str, *, wsd: bool) -> Message:
        """The message of an HTTP answer without SOAP, such as ``HTTP 202``, to a request of this service."""
        message = self._from_http(http, http.body, list(http.findings))
        message.kind = "response"
        message.service = service
        message.name = f"HTTP {http.status}"
        message.wsd = wsd
        return message

    def from_datagram(self, datagram: Datagram) -> Message | None:
        """The SOAP message in a datagram, None where there is none."""
        data = datagram.data
        if not looks_like_soap(data[:2048]):
            return None
        findings: list[Finding] = []
        whole = datagram.wire <= len(data)
        origin = Origin.whole(datagram.stream, 0, len(data), datagram.frames)
        if not whole:
            findings.append(
                CUT(f"the datagram has {datagram.wire} bytes, {len(data)} were captured", frames=(datagram.frame,))
            )
        times = [time for time in datagram.frames.times if time]
        message = Message(
            0, "request", "", UNREADABLE, datagram.stream, datagram.time, min(times, default=datagram.time),
            origin.frame_numbers() or (datagram.frame,), origin, wsd=False, digits=self._digits(), datagram=data,
            multicast=datagram.multicast, complete=whole, findings=findings, xml_origin=origin, limits=self._limits,
        )  # fmt: skip
        envelope, deviations = parse_envelope(data, limits=self._limits)
        findings.extend(deviations)
        ports = (datagram.stream.source.port, datagram.stream.destination.port)
        if envelope is None:
            if not _starts_soap(data[:2048]):
                return None
            message.kind = "discovery" if DISCOVERY_PORT in ports else "request"
            self._unreadable(message, data)
            return message
        self._fill(message, envelope, is_response=None, discovery_port=DISCOVERY_PORT in ports)
        message.attachments = attachments_of(envelope, [], origin, findings)
        return message

    # -- making ------------------------------------------------------------------------------------------------------

    def _from_http(self, http: HttpMessage, content: Content, findings: list[Finding]) -> Message:
        return Message(
            0, "request" if http.is_request else "response", "", UNREADABLE, http.stream, http.last_time,
            http.first_time, http.origin.frame_numbers(), http.origin, wsd=False, digits=self._digits(), http=http,
            complete=http.complete, findings=findings, xml_origin=content.origin, limits=self._limits,
        )  # fmt: skip

    def _bytes(self, content: Content, findings: list[Finding]) -> bytes:
        if not content.kept:
            if content.size:
                findings.append(
                    NOT_KEPT(
                        f"the {content.size} bytes of the envelope were not kept: all bodies together would have held "
                        f"more than {self._limits.held} bytes at once"
                    )
                )
            return b""
        data = content.data()
        if len(data) < content.size:
            findings.append(LONG(f"the envelope has {content.size} bytes, the first {len(data)} are read"))
        return data

    def _unreadable(self, message: Message, data: bytes) -> None:
        message.wsd = mentions_wsd(data)
        message.complete = False

    def _fill(
        self, message: Message, envelope: Envelope, *, is_response: bool | None, discovery_port: bool = False
    ) -> None:
        told = kind_of(envelope, is_response=is_response, discovery_port=discovery_port)
        message.kind, message.service, message.name = told.kind, told.service, told.name
        message.decl, message.wsd, message.body_name = told.decl, told.wsd, told.body_name
        message.envelope = envelope
        message.fault = envelope.fault
        message.findings.extend(told.findings)
        if told.wsd and not envelope.recovered and message.complete:
            message.findings.extend(judge(told, envelope, message.source.address))
        if envelope.recovered and not (told.wsd or told.service) and mentions_wsd(envelope.xml):
            # What would tell was lost with the damage.
            message.wsd = True
            message.name = told.name or UNREADABLE
        message.decode_later()


def _root_part(http: HttpMessage) -> Part | None:
    root = http.root
    if root is not None:
        return root
    return next((part for part in http.parts if looks_like_soap(part.content.head)), None)


def _says_soap(http: HttpMessage, root: Part | None) -> bool:
    types = (http.media_type, root.media_type if root is not None else "", http.parameters.get("type", "").lower())
    return any("soap" in one or "xop" in one for one in types)


def _starts_soap(head: bytes) -> bool:
    """Stricter than ``looks_like_soap``: an Envelope is seen."""
    return b"Envelope" in head[:2048].replace(b"\x00", b"")


def _judge_http(http: HttpMessage, root: Part | None, envelope: Envelope, findings: list[Finding]) -> None:
    """What HTTP says of the message against what the message is."""
    frames = (http.first_frame,) if http.first_frame else ()
    media_type = http.media_type
    if root is None:
        good = media_type == _SOAP12 or (envelope.version == "1.1" and media_type == "text/xml")
    else:
        good = media_type == "multipart/related" and root.media_type in (_XOP, _SOAP12)
        if media_type == "multipart/related" and not good:
            media_type = f"multipart/related with {root.media_type or 'no type'}"
    if not good:
        findings.append(CONTENT_TYPE(f"the content type is {media_type[:80] or 'missing'}", frames=frames))
    said = http.parameters.get("action") or (root.parameters.get("action") if root is not None else None)
    action = envelope.addressing.action
    if said and action and said.strip() != action:
        findings.append(
            ACTION_PARAMETER(
                f"the content type says the action {said[:200]}, the header says {action[:200]}", frames=frames
            )
        )
    if envelope.fault is not None and http.status == 200:
        findings.append(FAULT_STATUS(f"the fault came with HTTP status {http.status}", frames=frames))
