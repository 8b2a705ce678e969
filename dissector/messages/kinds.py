"""What a message is: its row of the catalogue, its service, its kind, and whether it belongs to WSD."""

from __future__ import annotations

from typing import NamedTuple

from dissector.base.findings import Finding
from dissector.catalog.model import MessageDecl
from dissector.catalog.prefixes import PREFIXES, WSD_NAMESPACES
from dissector.catalog.recognise import canonical_action, recognise
from dissector.catalog.registry import FAULT, FAULTS, SERVICES
from dissector.soap.addressing import split_tag
from dissector.soap.model import Envelope, Fault, QName

__all__ = ["Kind", "kind_of", "mentions_wsd"]

WBEM = "http://schemas.dmtf.org/wbem/"
WS_MANAGEMENT = "WS-Management"

SCANNING = frozenset(PREFIXES[prefix] for prefix in ("wscn", "dsd", "dsp", "dsc", "psp"))
"""Namespaces that nobody but scanning devices uses."""

_SERVICE_OF = {namespace: s.name for s in SERVICES.values() for namespace in {m.namespace for m in s.messages}}
_SERVICE_OF.update({s.namespace: s.name for s in SERVICES.values()})
_FAULT_SERVICE_OF = {uri: name for uri, name in _SERVICE_OF.items() if uri in WSD_NAMESPACES}
_MARKS = tuple(sorted({uri.encode() for uri in WSD_NAMESPACES} | {b"/wdp/scan", b"/wdp/distributedscan/"}))


class Kind(NamedTuple):
    """What was told: ``body_name`` where the body is decoded under another name than its tag's."""

    kind: str
    service: str
    name: str
    decl: MessageDecl | None
    wsd: bool
    body_name: QName | None
    findings: tuple[Finding, ...]


def mentions_wsd(data: bytes) -> bool:
    """The bytes of a document that cannot be parsed hold a namespace of WSD."""
    plain = data.replace(b"\x00", b"") if b"\x00" in data[:64] else data
    return any(mark in plain for mark in _MARKS)


def kind_of(envelope: Envelope, *, is_response: bool | None, discovery_port: bool = False) -> Kind:
    """Tell what a message is.

    Args:
        envelope: the message.
        is_response: HTTP response (True), request (False), or datagram (None).
        discovery_port: a datagram from or to port 3702.
    """
    name, action = envelope.name, envelope.addressing.action
    fault = envelope.fault
    direction = "response" if is_response else "request"
    if _is_management(envelope):
        plain = "fault" if fault is not None else direction
        return Kind(plain, WS_MANAGEMENT, _plain_name(name, action), None, False, None, ())
    told = recognise(name, action, is_fault=fault is not None, is_response=is_response)
    if fault is not None:
        known = action is not None and canonical_action(action)[0] in FAULT.actions
        wsd = known or _known_subcode(fault) or discovery_port
        return Kind("fault", _fault_service(fault), "Fault", FAULT, wsd, None, told.findings if wsd else ())
    decl = told.message
    if decl is not None:
        other = None
        if told.by == "body" and name is not None and (name.namespace, name.local) != (decl.namespace, decl.body):
            other = QName(decl.namespace, decl.body, name.prefix)
        return Kind(decl.kind, decl.service, decl.name, decl, True, other, told.findings)
    # An empty Body leaves the action: sinks answer events with a “ScanAvailableEventResponse” of their own.
    namespace = name.namespace if name is not None else _namespace_of(action)
    wsd = namespace in WSD_NAMESPACES
    service = _SERVICE_OF.get(namespace, "") if wsd else ""
    return Kind(direction, service, _plain_name(name, action), None, wsd, None, told.findings if wsd else ())


def _plain_name(name: QName | None, action: str | None) -> str:
    if name is not None:
        return name.local
    return (action or "").rstrip("/").rpartition("/")[2][:200]


def _namespace_of(action: str | None) -> str:
    """The namespace that an action URI is under, "" for none."""
    return canonical_action(action)[0].rpartition("/")[0] if action else ""


def _known_subcode(fault: Fault) -> bool:
    return any(subcode.local in FAULTS or subcode.namespace in WSD_NAMESPACES for subcode in fault.subcodes)


def _fault_service(fault: Fault) -> str:
    for subcode in reversed(fault.subcodes):
        service = _FAULT_SERVICE_OF.get(subcode.namespace)
        if service is not None:
            return service
    return ""


def _is_management(envelope: Envelope) -> bool:
    """WS-Management uses WS-Transfer and WS-Eventing too; a DMTF namespace on the envelope or in a header tells.

    Scanning programs declare it as well (an airscand does, in what its sink answers): a message that is under a
    namespace of scanning is none of WS-Management's.
    """
    if b"schemas.dmtf.org" not in envelope.xml and not envelope.encoding.startswith(("utf-16", "utf-32")):
        return False
    if {envelope.name.namespace if envelope.name else "", _namespace_of(envelope.addressing.action)} & SCANNING:
        return False
    uris = [*envelope.root.nsmap.values(), *(split_tag(str(block.tag))[0] for block in envelope.headers)]
    if envelope.content is not None:
        uris.append(split_tag(str(envelope.content.tag))[0])
    return any(uri.startswith(WBEM) for uri in uris)
