"""Envelopes for sending and for tests: what ``parse_envelope`` reads back to the same thing.

Nothing is made up here: message ids and everything else that varies is passed in. Prefixes are the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy

from lxml import etree
from lxml.etree import _Element as Element

from dissector.soap.model import EndpointReference, QName
from dissector.soap.namespaces import SOAP11, SOAP12, WSA04, WSA10, XML

__all__ = ["ADDRESSINGS", "anonymous", "build_envelope", "build_fault"]

ADDRESSINGS: Mapping[str, str] = {"2004/08": WSA04, "2005/08": WSA10}
"""Version of WS-Addressing → namespace."""

_ENVELOPES = {"1.2": SOAP12, "1.1": SOAP11}
_FAULT_ACTIONS = {"2004/08": f"{WSA04}/fault", "2005/08": f"{WSA10}/fault"}


def anonymous(addressing: str = "2004/08") -> str:
    """The anonymous address of a version of WS-Addressing: answer on the same connection."""
    uri = ADDRESSINGS[addressing]
    return f"{uri}/role/anonymous" if addressing == "2004/08" else f"{uri}/anonymous"


def build_envelope(
    body: Element | None,
    *,
    action: str,
    to: str | None = None,
    message_id: str | None = None,
    relates_to: str | Iterable[tuple[str, str]] | None = None,
    reply_to: str | EndpointReference | None = None,
    fault_to: str | EndpointReference | None = None,
    source: str | EndpointReference | None = None,
    addressing: str = "2004/08",
    version: str = "1.2",
    parameters: Iterable[tuple[QName, str]] = (),
    headers: Iterable[Element] = (),
    encoding: str = "utf-8",
    namespaces: Mapping[str, str] | None = None,
) -> bytes:
    """A SOAP message.

    Args:
        body: the body element, None for an empty Body. It is copied.
        action, to, message_id: addressing headers; None leaves one out.
        relates_to: message id, or pairs of RelationshipType ("" for none) and message id.
        reply_to, fault_to, source: address or endpoint reference; ``source`` is the header From.
        addressing: "2004/08" or "2005/08".
        version: of SOAP, "1.2" or "1.1".
        parameters: reference parameters of the receiver, echoed as header blocks.
        headers: further header blocks. They are copied.
        encoding: of the document, which also is declared.
        namespaces: prefixes to declare on the envelope.

    Raises:
        KeyError: an unknown version.
        ValueError: a text holds characters that XML does not allow.
    """
    soap, wsa = _ENVELOPES[version], ADDRESSINGS[addressing]
    envelope = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap": soap, "wsa": wsa, **(namespaces or {})})
    header = etree.SubElement(envelope, f"{{{soap}}}Header")
    for name, value in (("To", to), ("Action", action), ("MessageID", message_id)):
        if value is not None:
            etree.SubElement(header, f"{{{wsa}}}{name}").text = value
    related = [("", relates_to)] if isinstance(relates_to, str) else list(relates_to or ())
    for kind, identifier in related:
        element = etree.SubElement(header, f"{{{wsa}}}RelatesTo")
        element.text = identifier
        if kind:
            element.set("RelationshipType", kind)
    for name, reference in (("From", source), ("ReplyTo", reply_to), ("FaultTo", fault_to)):
        if reference is not None:
            _append_reference(header, f"{{{wsa}}}{name}", reference, wsa)
    for name_of, text in parameters:
        _append_parameter(header, name_of, text)
    header.extend(deepcopy(block) for block in headers)
    holder = etree.SubElement(envelope, f"{{{soap}}}Body")
    if body is not None:
        holder.append(deepcopy(body))
    made = etree.tostring(envelope, xml_declaration=True, encoding=encoding)
    return made if isinstance(made, bytes) else made.encode()


def build_fault(
    code: str,
    subcode: QName | None,
    reason: str,
    detail: Element | None = None,
    *,
    language: str = "en",
    action: str | None = None,
    to: str | None = None,
    message_id: str | None = None,
    relates_to: str | Iterable[tuple[str, str]] | None = None,
    addressing: str = "2004/08",
    encoding: str = "utf-8",
) -> bytes:
    """A SOAP 1.2 fault.

    Args:
        code: local name of the code, such as ``Sender``.
        subcode: None for none; its prefix is used where it has one.
        reason: text in ``language``.
        detail: put into the Detail element; it is copied.
        action: default the fault action of WS-Addressing.
    """
    prefix = (subcode.prefix or "f") if subcode is not None else ""
    if prefix in ("soap", "wsa", "xml"):
        prefix = prefix if subcode is not None and subcode.namespace in (SOAP12, ADDRESSINGS[addressing]) else "f"
    declared = {prefix: subcode.namespace} if subcode is not None and subcode.namespace else {}
    fault = etree.Element(f"{{{SOAP12}}}Fault", nsmap={"soap": SOAP12, **declared})
    code_element = etree.SubElement(fault, f"{{{SOAP12}}}Code")
    etree.SubElement(code_element, f"{{{SOAP12}}}Value").text = f"soap:{code}"
    if subcode is not None:
        inner = etree.SubElement(code_element, f"{{{SOAP12}}}Subcode")
        value = etree.SubElement(inner, f"{{{SOAP12}}}Value")
        value.text = f"{prefix}:{subcode.local}" if subcode.namespace else subcode.local
    text = etree.SubElement(etree.SubElement(fault, f"{{{SOAP12}}}Reason"), f"{{{SOAP12}}}Text")
    text.set(f"{{{XML}}}lang", language)
    text.text = reason
    if detail is not None:
        etree.SubElement(fault, f"{{{SOAP12}}}Detail").append(deepcopy(detail))
    return build_envelope(
        fault, action=action or _FAULT_ACTIONS[addressing], to=to, message_id=message_id, relates_to=relates_to,
        addressing=addressing, encoding=encoding, namespaces=declared,
    )  # fmt: skip


def _append_reference(header: Element, tag: str, reference: str | EndpointReference, wsa: str) -> None:
    if isinstance(reference, str):
        reference = EndpointReference(reference)
    element = etree.SubElement(header, tag)
    etree.SubElement(element, f"{{{wsa}}}Address").text = reference.address
    if reference.parameters:
        holder = etree.SubElement(element, f"{{{wsa}}}ReferenceParameters")
        for name, text in reference.parameters:
            _append_parameter(holder, name, text)


def _append_parameter(parent: Element, name: QName, text: str) -> None:
    nsmap = {name.prefix: name.namespace} if name.prefix and name.namespace else None
    tag = f"{{{name.namespace}}}{name.local}" if name.namespace else name.local
    etree.SubElement(parent, tag, nsmap=nsmap).text = text
