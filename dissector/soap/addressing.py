"""The header blocks: WS-Addressing, and what else stands beside it.

Values are trimmed; of a header that occurs twice the first counts, with a finding. A header block of no namespace that
is known here is the echo of a reference parameter (the identifier of a subscription, most often).

Sources: WS-Addressing 2004/08 2.1, 3 (ReferenceProperties, ReferenceParameters), WS-Addressing 1.0 core 3.
"""

from __future__ import annotations

from functools import lru_cache

from lxml.etree import _Element as Element

from dissector.base.findings import Finding, rule
from dissector.soap.model import Addressing, EndpointReference, QName
from dissector.soap.namespaces import SOAP11, SOAP12, WSA04, WSA10, WSD05, WSD11, canonical

__all__ = ["qname_of", "read_addressing", "split_tag", "text_of", "unquoted"]

DUPLICATE = rule("wsa.duplicate", "warn", "an addressing header occurs twice", "WS-Addressing rule A01")
MIXED = rule("wsa.mixed", "warn", "headers of two versions of WS-Addressing in one message")
NO_ACTION = rule("wsa.no-action", "error", "addressing headers without an Action", "WS-Addressing rule A01")

OTHER_NAMESPACE = rule(
    "wsa.namespace", "warn", "addressing headers that are not in the namespace of WS-Addressing", "WS-Addressing 3"
)

_VERSIONS = {WSA04: "2004/08", WSA10: "2005/08"}
_DRAFTS = {"/ws/2003/03/addressing": "2003/03", "/ws/2004/03/addressing": "2004/03"}
_NAMES = frozenset({"Action", "To", "MessageID", "RelatesTo", "ReplyTo", "FaultTo", "From"})
_OWN = frozenset({(WSD05, "AppSequence"), (WSD11, "AppSequence"), (WSD05, "Security"), (WSD11, "Security")})
"""Header blocks with a meaning of their own."""

_LONG = 512
"""Longer tags are none of ours, and are not remembered."""

_OWN_NAMESPACES = ("wss-wssecurity", "schemas.xmlsoap.org/ws/2002/", "schemas.dmtf.org/wbem/")


def split_tag(tag: str) -> tuple[str, str]:
    """``{namespace}local`` → (namespace as sent, local name).

    In a recovered document a prefix that is not declared stays in the tag; it is no part of the local name.
    """
    if tag[:1] == "{":
        namespace, _, local = tag[1:].rpartition("}")
        return namespace, local
    return "", tag.rpartition(":")[2]


def qname_of(element: Element) -> QName:
    """The canonical name of an element."""
    _, local, namespace = _names(str(element.tag))
    return QName(namespace, local, element.prefix or "")


def _names(tag: str) -> tuple[str, str, str]:
    """Namespace as sent, local name, canonical namespace ("" for none). Messages use few tags, so they are remembered:
    the headers of a message are read in two thirds of the time."""
    return _known_names(tag) if len(tag) <= _LONG else _known_names.__wrapped__(tag)


@lru_cache(maxsize=1024)
def _known_names(tag: str) -> tuple[str, str, str]:
    namespace, local = split_tag(tag)
    return namespace, local, canonical(namespace)[0] if namespace else ""


def unquoted(text: str) -> str:
    """Percent-encoding undone (RFC 3986, 2.1)."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def text_of(element: Element) -> str:
    """All text in an element, trimmed; comments are not text."""
    if len(element) == 0:
        return (element.text or "").strip()
    pieces = [element.text or ""]
    for node in element.iterdescendants():
        if isinstance(node.tag, str) and node.text:
            pieces.append(node.text)
        pieces.append(node.tail or "")
    return "".join(pieces).strip()


def read_addressing(headers: list[Element], findings: list[Finding]) -> Addressing:
    """The addressing headers among the header blocks; deviations are added to ``findings``."""
    found = Addressing()
    seen: set[str] = set()
    for block in headers:
        sent, local, namespace = _names(str(block.tag))
        version = _VERSIONS.get(namespace)
        if version is None:
            if not _has_own_meaning(namespace, local):
                found.parameters.append((QName(namespace, local, block.prefix or ""), text_of(block)))
            continue
        if not found.version:
            found.version = next((date for mark, date in _DRAFTS.items() if sent.endswith(mark)), version)
        elif version != found.version and found.version in _VERSIONS.values() and "mixed" not in seen:
            seen.add("mixed")
            findings.append(MIXED(f"headers of WS-Addressing {found.version} and {version} in one message"))
        if local == "RelatesTo":
            kind = (block.get("RelationshipType") or "").strip()
            found.relates_to.append((kind, text_of(block)))
            continue
        if local in seen:
            findings.append(DUPLICATE(f"the header {local} occurs more than once, the first one counts", path=local))
            continue
        if _take(found, local, block):
            seen.add(local)
        elif block.get(f"{{{sent}}}IsReferenceParameter"):
            found.parameters.append((QName(namespace, local, block.prefix or ""), text_of(block)))
    if not found.version:
        _take_foreign(found, headers, findings)
    if found.version and not found.action:
        findings.append(NO_ACTION())
    return found


def _take_foreign(found: Addressing, headers: list[Element], findings: list[Finding]) -> None:
    """Where no header is one of WS-Addressing: those that are by name, in no namespace (a prefix that is not declared)
    or in one that is misspelt in a way nobody knows."""
    told = ""
    for block in headers:
        sent, local, _ = _names(str(block.tag))
        if local not in _NAMES or (sent and "addressing" not in sent.lower()):
            continue
        told = told or f"the header {local} is in {sent[:200] or 'no namespace'}, taken for one of WS-Addressing"
        if local == "RelatesTo":
            found.relates_to.append(((block.get("RelationshipType") or "").strip(), text_of(block)))
        elif not (local == "Action" and found.action) and not (local == "MessageID" and found.message_id):
            _take(found, local, block)
    if told:
        findings.append(OTHER_NAMESPACE(told))


def _has_own_meaning(namespace: str, local: str) -> bool:
    if (namespace, local) in _OWN or namespace in (SOAP12, SOAP11):
        return True
    return any(mark in namespace for mark in _OWN_NAMESPACES)


def _take(found: Addressing, local: str, block: Element) -> bool:
    if local == "Action":
        found.action = text_of(block)
    elif local == "To":
        # Some devices write an endpoint reference where an address belongs.
        found.to = text_of(block) if len(block) == 0 else _reference(block).address
    elif local == "MessageID":
        found.message_id = text_of(block)
    elif local == "ReplyTo":
        found.reply_to = _reference(block)
    elif local == "FaultTo":
        found.fault_to = _reference(block)
    elif local == "From":
        found.source = _reference(block)
    else:
        return False
    return True


def _reference(element: Element) -> EndpointReference:
    """An endpoint reference; one that is written as plain text is its address."""
    address = ""
    parameters: list[tuple[QName, str]] = []
    for child in element.iterchildren("*"):
        local = _names(str(child.tag))[1]
        if local == "Address" and not address:
            address = text_of(child)
        elif local in ("ReferenceProperties", "ReferenceParameters"):
            parameters.extend((qname_of(one), text_of(one)) for one in child.iterchildren("*"))
    return EndpointReference(address or (element.text or "").strip(), parameters)
