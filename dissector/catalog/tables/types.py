"""Simple types by name: base, range, length, pattern.

xs:int ends at 2147483647; the WS-Scan pages print one more as the maximum of every integer, WS-DSD says 2^31-1.
"""

from __future__ import annotations

from dissector.catalog.model import SimpleType

__all__ = ["SIMPLE_TYPES"]

_INT = 2**31 - 1

SIMPLE_TYPES = {
    kind.name: kind
    for kind in (
        SimpleType("string", "string"),
        SimpleType("string255", "string", max_length=255),
        SimpleType("string2048", "string", max_length=2048),
        SimpleType("enum", "string"),
        SimpleType("bool", "bool"),
        SimpleType("int0", "int", 0, _INT),
        SimpleType("int1", "int", 1, _INT),
        SimpleType("quality", "int", 0, 100),
        SimpleType("quality1", "int", 1, 100),
        SimpleType("scale", "int", 1, 1000),
        SimpleType("adj100", "int", -100, 100),
        SimpleType("adj1000", "int", -1000, 1000),
        SimpleType("unsigned", "int", 0, 2**32 - 1),
        SimpleType("dateTime", "dateTime"),
        SimpleType("duration", "duration"),
        SimpleType("expires", "expires"),
        SimpleType("anyURI", "anyURI"),
        SimpleType("uris", "list-uri"),
        SimpleType("tokens", "list-uri"),
        SimpleType("qname", "qname"),
        SimpleType("qnames", "list-qname"),
        SimpleType("guid", "guid", pattern=r"\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?"),
        SimpleType("sid", "sid", pattern=r"S-1-(\d{1,15}|0x[0-9A-Fa-f]{1,12})(-\d{1,10}){1,15}"),
        SimpleType("base64", "base64"),
    )
}
"""Name → type."""
