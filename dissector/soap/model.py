"""The envelope: addressing, header blocks, body element, fault.

Elements are lxml elements whose namespaces are as sent; :class:`QName` values carry canonical namespaces (known
spelling mistakes mended, see ``dissector.soap.namespaces``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lxml.etree import _Element as Element

from dissector.base.findings import Finding

__all__ = ["Addressing", "EndpointReference", "Envelope", "Fault", "Include", "QName"]


class QName(NamedTuple):
    """A qualified name: canonical namespace URI ("" for none), local name, and the prefix it was written with."""

    namespace: str
    local: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{{{self.namespace}}}{self.local}" if self.namespace else self.local


@dataclass(slots=True)
class EndpointReference:
    """WS-Addressing endpoint reference.

    Attributes:
        address: trimmed.
        parameters: reference properties and parameters: (canonical name, text) in order.
    """

    address: str
    parameters: list[tuple[QName, str]] = field(default_factory=list)


@dataclass(slots=True)
class Addressing:
    """The message addressing headers, trimmed; None where absent.

    Attributes:
        version: "2004/08", "2005/08", another known version as its date, or "" where no header was found.
        relates_to: (RelationshipType or "", message id) in order.
        parameters: header blocks that are no addressing header and no other known header: echoes of reference
            parameters (canonical name, text).
    """

    version: str = ""
    action: str | None = None
    to: str | None = None
    message_id: str | None = None
    relates_to: list[tuple[str, str]] = field(default_factory=list)
    reply_to: EndpointReference | None = None
    fault_to: EndpointReference | None = None
    source: EndpointReference | None = None
    parameters: list[tuple[QName, str]] = field(default_factory=list)


@dataclass(slots=True)
class Fault:
    """A SOAP fault, 1.2 or 1.1 form.

    Attributes:
        code: local name of the code, such as ``Sender``; 1.1 ``Client``/``Server`` are given as sent.
        subcodes: outermost first, resolved in the scope of their element.
        reasons: (xml:lang, text) in order.
        node, role: as sent.
        detail: the detail element, None where there is none.
        soap11_form: it has the children of SOAP 1.1 (faultcode, faultstring), in whatever envelope.
    """

    code: str
    code_name: QName
    subcodes: list[QName] = field(default_factory=list)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    node: str | None = None
    role: str | None = None
    detail: Element | None = None
    soap11_form: bool = False

    @property
    def subcode(self) -> str | None:
        """Local name of the most specific subcode."""
        return self.subcodes[-1].local if self.subcodes else None

    @property
    def reason(self) -> str:
        """The first reason text."""
        return self.reasons[0][1] if self.reasons else ""


@dataclass(slots=True)
class Include:
    """An xop:Include: the element that holds it and the Content-ID it names (percent-decoded, no cid:)."""

    parent: Element
    content_id: str
    href: str


@dataclass(slots=True)
class Envelope:
    """One SOAP message.

    Attributes:
        version: "1.2", "1.1", or "unknown" for a misspelt envelope namespace.
        xml: the document's bytes as sent.
        encoding: of the document, such as ``utf-8``.
        root: the Envelope element.
        header, body: the Header and Body elements, None where absent.
        content: first child element of Body, None for an empty body.
        name: canonical qualified name of ``content``.
        headers: all header blocks.
        recovered: the document is not well-formed; what could be parsed is here.
        findings: deviations.
    """

    version: str
    xml: bytes
    encoding: str
    root: Element
    header: Element | None
    body: Element | None
    content: Element | None
    name: QName | None
    addressing: Addressing
    fault: Fault | None = None
    includes: list[Include] = field(default_factory=list)
    headers: list[Element] = field(default_factory=list)
    recovered: bool = False
    findings: list[Finding] = field(default_factory=list)
