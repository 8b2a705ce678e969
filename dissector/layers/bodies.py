"""One Scapy layer for each message of the catalogue, made from its row.

A class is named for the message (``PostScanJobEndStateEvent``, ``SendImageRequest``, ``Probe``). Where services share a
name, WS-DSP and WS-Scan have the bare one, the others carry their prefix (``DSC_PostScanJobEndStateEvent``,
``DSD_JobStatusEvent``, ``WSD11_Hello``) and are subclasses of the bare class, so that
``packet[PostScanJobEndStateEvent]`` finds both.
"""

from __future__ import annotations

from typing import Any, ClassVar

from lxml import etree
from scapy.fields import StrField
from scapy.packet import NoPayload, Packet

from dissector.catalog import SERVICES, body_decl, build, decode
from dissector.catalog.model import MessageDecl
from dissector.layers.fields import Leaf, ValueField, collect, fields_of, leaves_of, shown, spread
from dissector.soap.faults import read_fault
from dissector.soap.model import QName
from dissector.soap.xml import parse_xml

__all__ = ["BODIES", "SOAPFault", "UnknownBody", "WsdBody", "body_class", "untouched"]

FIRST = ("WS-DSP", "WS-Scan")
"""Services whose messages have the bare names."""


def untouched(packet: Any) -> bool:
    """The packet and all below it are as they were dissected."""
    while packet is not None and not isinstance(packet, NoPayload):
        if packet.raw_packet_cache is None:
            return False
        packet = packet.payload
    return True


class WsdBody(Packet):  # type: ignore[misc]
    """A body element. Dissects from the element's XML, builds to it."""

    name = "WSD body"
    match_subclass = True
    row: ClassVar[MessageDecl | None] = None
    leaves: ClassVar[tuple[Leaf, ...]] = ()
    fields_desc: ClassVar[list[Any]] = []

    def do_dissect(self, s: bytes) -> bytes:
        """Fill the fields from the element; nothing is left over."""
        parsed = parse_xml(s)
        if parsed.root is not None and self.row is not None:
            qname = QName(self.row.namespace, self.row.body) if self.row.body else None
            self.fields.update(spread(self.leaves, decode(parsed.root, qname=qname).to_json()))
        self.raw_packet_cache = s
        return b""

    def do_build(self) -> bytes:
        """The element's XML: as it came where nothing was changed, else in the catalogue's order."""
        if self.raw_packet_cache is not None:
            return bytes(self.raw_packet_cache)
        if self.row is None or not self.row.body:
            return b""
        return etree.tostring(build(self.row, collect(self.leaves, self.fields)))

    def mysummary(self) -> str:
        """Name, job and state."""
        told = [self.fields.get(key) for key in ("JobToken", "JobId", "JobState", "JobCompletedState", "DocumentId")]
        return " ".join([self.name, *(str(value) for value in told if value is not None)])


class UnknownBody(Packet):  # type: ignore[misc]
    """A body element that the catalogue does not know, as XML."""

    name = "unknown body"
    match_subclass = True
    fields_desc: ClassVar[list[Any]] = [StrField("xml", b"")]


class SOAPFault(Packet):  # type: ignore[misc]
    """A SOAP fault, 1.2 or 1.1 form. ``Subcode`` is the most specific one's local name, ``Detail`` its XML."""

    name = "SOAP Fault"
    match_subclass = True
    fields_desc: ClassVar[list[Any]] = [
        shown(ValueField("Code")),
        shown(ValueField("Subcode")),
        shown(ValueField("SubcodeNamespace")),
        shown(ValueField("Reason")),
        shown(ValueField("Detail")),
    ]

    def do_dissect(self, s: bytes) -> bytes:
        """Fill the fields from the Fault element."""
        root = parse_xml(s).root
        fault = read_fault(root, "1.2", []) if root is not None else None
        if fault is not None:
            detail = etree.tostring(fault.detail).decode() if fault.detail is not None else None
            self.fields.update(
                Code=fault.code,
                Subcode=fault.subcode,
                SubcodeNamespace=fault.subcodes[-1].namespace if fault.subcodes else None,
                Reason=fault.reason,
                Detail=detail,
            )
        self.raw_packet_cache = s
        return b""

    def do_build(self) -> bytes:
        """As it came; a new or changed one is built by the envelope around it."""
        return bytes(self.raw_packet_cache or b"")

    def mysummary(self) -> str:
        """Code and reason."""
        return f"Fault {self.Subcode or self.Code or ''} {self.Reason or ''}".rstrip()


def _make() -> dict[tuple[str, str], type[WsdBody]]:
    made: dict[tuple[str, str], type[WsdBody]] = {}
    by_name: dict[str, type[WsdBody]] = {}
    order = sorted(SERVICES.values(), key=lambda s: FIRST.index(s.name) if s.name in FIRST else len(FIRST))
    for service in order:
        for row in service.messages:
            base = by_name.get(row.name)
            prefix = service.prefix.upper()
            if base is not None and base.row is not None and base.row.service == service.name:
                prefix += "11"
            name = row.name if base is None else f"{prefix}_{row.name}"
            leaves = leaves_of(body_decl(row))
            members = {
                "__doc__": f"{service.name} {row.name}. Fields: {', '.join(leaf.name for leaf in leaves) or 'none'}.",
                "__module__": __name__,
                "name": name,
                "row": row,
                "leaves": leaves,
                "fields_desc": fields_of(leaves),
            }
            layer = type(name, (base or WsdBody,), members)
            by_name.setdefault(row.name, layer)
            made[row.namespace, row.name] = layer
            globals()[name] = layer
            __all__.append(name)
    return made


BODIES = _make()
"""(namespace, message name) → layer."""


def body_class(row: MessageDecl | None) -> type[Packet]:
    """The layer of a message."""
    if row is None:
        return UnknownBody
    return BODIES.get((row.namespace, row.name), UnknownBody)
