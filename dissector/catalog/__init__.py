"""What the protocols are, as data: services, messages, elements, enumerations, faults, and how to read and write them.

The rows are in ``tables``, in the notation of ``rows``. The decoder, the Scapy layers, the names of fields, the rules
and whatever else needs to know a protocol read it off here.
"""

from __future__ import annotations

from dissector.catalog.check import check
from dissector.catalog.convert import convert
from dissector.catalog.decode import decode, decode_all, findings_of
from dissector.catalog.encode import build, element_of
from dissector.catalog.field import Field, field_json, value_json
from dissector.catalog.model import (
    UNBOUNDED,
    AttributeDecl,
    Child,
    ElementDecl,
    EnumDecl,
    FaultDecl,
    MessageDecl,
    Recognised,
    Service,
    SimpleType,
)
from dissector.catalog.names import snake_case
from dissector.catalog.prefixes import NAMESPACES, PREFIXES, WSD_NAMESPACES, qname
from dissector.catalog.recognise import canonical_action, recognise
from dissector.catalog.registry import (
    ALIASES,
    BY_ACTION,
    BY_BODY,
    BY_NAME,
    ELEMENTS,
    ENUMS,
    FAULT,
    FAULTS,
    SERVICES,
    TYPES,
    body_decl,
    by_key,
    fault,
    message,
)
from dissector.catalog.states import END_STATES, FILTER_NAMES, end_state, filter_name, is_known_state
from dissector.catalog.times import DateTime, Duration

__all__ = [
    "ALIASES",
    "BY_ACTION",
    "BY_BODY",
    "BY_NAME",
    "ELEMENTS",
    "END_STATES",
    "ENUMS",
    "FAULT",
    "FAULTS",
    "FILTER_NAMES",
    "NAMESPACES",
    "PREFIXES",
    "SERVICES",
    "TYPES",
    "UNBOUNDED",
    "WSD_NAMESPACES",
    "AttributeDecl",
    "Child",
    "DateTime",
    "Duration",
    "ElementDecl",
    "EnumDecl",
    "FaultDecl",
    "Field",
    "MessageDecl",
    "Recognised",
    "Service",
    "SimpleType",
    "body_decl",
    "build",
    "by_key",
    "canonical_action",
    "check",
    "convert",
    "decode",
    "decode_all",
    "element_of",
    "end_state",
    "fault",
    "field_json",
    "filter_name",
    "findings_of",
    "is_known_state",
    "message",
    "qname",
    "recognise",
    "snake_case",
    "value_json",
]
