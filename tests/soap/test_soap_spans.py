"""The bytes of an element are where ``element_spans`` says."""

from __future__ import annotations

import pytest

from dissector.soap.spans import element_spans
from dissector.soap.xml import parse_xml

DOCUMENT = (
    '<p:a xmlns:p="urn:p" x=\'>"\'><!-- <c/> --><b y="</b>"/><p:b>t\u00e4\u20ac\U0001f600<![CDATA[</p:b>]]></p:b\n>'
    "<?pi <d/>?><e  ><f /></e></p:a>"
).replace('y="</b>"', 'y="&lt;/b>"')
TEXTS = [
    DOCUMENT,
    '<b y="&lt;/b>"/>',
    "<p:b>t\u00e4\u20ac\U0001f600<![CDATA[</p:b>]]></p:b\n>",
    "<e  ><f /></e>",
    "<f />",
]


@pytest.mark.parametrize("before", ["", "\ufeff", '<?xml version="1.0"?>\n', "\r\n", "junk"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_slices(before: str, encoding: str) -> None:
    data = (before + DOCUMENT).encode(encoding) + b"\x00\x00"
    parsed = parse_xml(data)
    assert parsed.root is not None
    assert parsed.encoding == encoding
    spans = element_spans(data, parsed.encoding)
    assert [data[low:high].decode(encoding) for low, high in spans] == TEXTS
    assert len(spans) == sum(1 for _ in parsed.root.iter("*"))


def test_declaration_that_contradicts_the_bytes() -> None:
    data = ('<?xml version="1.0" encoding="utf-8"?>' + DOCUMENT).encode("utf-16")
    spans = element_spans(data, parse_xml(data).encoding)
    assert data[slice(*spans[4])].decode("utf-16-le") == "<f />"


def test_latin_1() -> None:
    data = b'<?xml version="1.0" encoding="iso-8859-1"?><a>\xe4<b/></a>'
    assert data[slice(*element_spans(data, "iso8859-1")[1])] == b"<b/>"
    stray = b"<a>\xe4<b/></a>"
    assert stray[slice(*element_spans(stray, "utf-8")[1])] == b"<b/>"


def test_damage_gives_what_was_there() -> None:
    data = b"<a><b>1</b><c></d></a>"
    assert [data[low:high] for low, high in element_spans(data, "utf-8")][1] == b"<b>1</b>"
    assert element_spans(b"", "utf-8") == []
    assert element_spans(b"<!DOCTYPE a><a/>", "utf-8") == []
