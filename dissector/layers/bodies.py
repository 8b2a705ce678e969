"""One Scapy layer for each message of the catalogue, made from its row.

A class is named for the message (``PostScanJobEndStateEvent``, ``SendImageRequest``, ``Probe``). Where services share a
name, WS-DSP and WS-Scan have the bare one, the others carry their prefix (``DSC_PostScanJobEndStateEvent``,
``DSD_JobStatusEvent``, ``WSD11_Hello``) and are subclasses of the bare class, so that
``packet[PostScanJobEndStateEvent]`` finds both.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

from lxml import etree
from scapy.fields import StrField
from scapy.packet import Packet

from dissector.catalog import SERVICES, body_decl, build, decode
from dissector.catalog.model import MessageDecl
from dissector.layers.fields import Leaf, ValueField, collect, fields_of, leaves_of, shown, spread
from dissector.layers.layer import CARRIERS, Layer
from dissector.soap.build import build_fault
from dissector.soap.envelope import parse_envelope
from dissector.soap.faults import read_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import SOAP12
from dissector.soap.xml import parse_xml

__all__ = ["BODIES", "SOAPFault", "UnknownBody", "WsdBody", "body_class", "xml_of"]

FIRST = ("WS-DSP", "WS-Scan")
"""Services whose messages have the bare names."""


class WsdBody(Layer):
    """A body element. Dissects from the element's XML, builds to it."""

    name = "WSD body"
    row: ClassVar[MessageDecl | None] = None
    leaves: ClassVar[tuple[Leaf, ...]] = ()
    fields_desc: ClassVar[list[Any]] = []

    def do_dissect(self, s: bytes) -> bytes:
        """Fill the fields from the element; nothing is left over."""
        parsed = parse_xml(s)
        if parsed.root is not None and self.row is not None:
            qname = QName(self.row.namespace, self.row.body) if self.row.body else None
            self.fields.update(spread(self.leaves, decode(parsed.root, qname=qname).to_json()))
        self.remember(s)
        return b""

    def do_build(self) -> bytes:
        """The element's XML: as it came where nothing was changed, else in the catalogue's order."""
        if self.unchanged():
            return bytes(self.raw_packet_cache)
        if self.row is None or not self.row.body:
            return b""
        return etree.tostring(build(self.row, collect(self.leaves, self.fields)))

    def mysummary(self) -> tuple[str, list[type[Packet]]]:
        """Name, job and state."""
        told = [self.fields.get(key) for key in ("JobToken", "JobId", "JobState", "JobCompletedState", "DocumentId")]
        return " ".join([self.name, *(str(value) for value in told if value is not None)]), CARRIERS


class UnknownBody(Layer):
    """A body element that the catalogue does not know, as XML."""

    name = "unknown body"
    fields_desc: ClassVar[list[Any]] = [StrField("xml", b"")]


class SOAPFault(Layer):
    """A SOAP fault, 1.2 or 1.1 form; a new or changed one is written as SOAP 1.2.

    Fields: ``Code``, ``Subcode`` (the most specific one's local name) and ``SubcodeNamespace``, ``Reason``, and
    ``Detail``: the XML inside the Detail element.
    """

    name = "SOAP Fault"
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
            self.fields.update(
                Code=fault.code,
                Subcode=fault.subcode,
                SubcodeNamespace=(fault.subcodes[-1].namespace or None) if fault.subcodes else None,
                Reason=fault.reason,
                Detail=_inside(fault.detail) if fault.detail is not None else None,
            )
        self.remember(s)
        return b""

    def do_build(self) -> bytes:
        """The Fault element: as it came where nothing was changed, else anew.

        Raises:
            ValueError: ``Detail`` is no XML.
        """
        if self.unchanged():
            return bytes(self.raw_packet_cache)
        subcode = QName(self.SubcodeNamespace or "", self.Subcode) if self.Subcode else None
        made = parse_envelope(build_fault(self.Code or "Sender", subcode, self.Reason or ""))[0]
        assert made is not None
        assert made.content is not None
        if self.Detail:
            try:
                detail = etree.fromstring(f'<s:Detail xmlns:s="{SOAP12}">{self.Detail}</s:Detail>'.encode(), _PARSER)
            except etree.XMLSyntaxError as error:
                raise ValueError(f"the Detail of the fault is no XML: {error}") from error
            made.content.append(detail)
        return etree.tostring(made.content)

    def mysummary(self) -> tuple[str, list[type[Packet]]]:
        """Code and reason."""
        return f"Fault {self.Subcode or self.Code or ''} {self.Reason or ''}".rstrip(), CARRIERS


_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


def xml_of(element: etree._Element) -> str:
    """An element as XML that stands alone, with no more prefixes than it uses (in the text of QNames too)."""
    alone = deepcopy(element)
    alone.tail = None
    values = [str(value) for inner in alone.iter("*") for value in inner.attrib.values()]
    said = " ".join([*map(str, alone.itertext()), *values])
    kept = [prefix for prefix in alone.nsmap if prefix and f"{prefix}:" in said]
    etree.cleanup_namespaces(alone, keep_ns_prefixes=kept)
    return etree.tostring(alone, encoding="unicode")


def _inside(element: etree._Element) -> str:
    """The XML inside an element; white space around elements is left out."""
    children = "".join(xml_of(child) for child in element.iterchildren("*"))
    return children or (element.text or "").strip().replace("&", "&amp;").replace("<", "&lt;")


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
