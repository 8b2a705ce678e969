"""Documents of every encoding, damaged documents, hostile documents."""

from __future__ import annotations

import base64
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.limits import Limits
from dissector.soap import xml
from dissector.soap.spans import element_spans
from dissector.soap.xml import ParsedXml, parse_xml
from tests.support import wsd

PLAIN = '<a><b x="1">\u00e4\u20ac</b></a>'
MESSAGE = wsd.get("urn:uuid:1", "http://192.0.2.1/")
END = wsd.end_event("urn:uuid:1", "http://x", "t", "Completed", ["r"], [wsd.FilterSpec(wsd.EMAIL)], 3)


def told(parsed: ParsedXml) -> list[str]:
    return [finding.rule for finding in parsed.findings]


def test_a_sound_document_has_no_findings() -> None:
    parsed = parse_xml(MESSAGE)
    assert parsed.root is not None
    assert parsed.root.tag == f"{{{wsd.SOAP}}}Envelope"
    assert (parsed.encoding, parsed.recovered, parsed.findings) == ("utf-8", False, [])


@pytest.mark.parametrize("declared", [None, "utf-16", "utf-8"])
@pytest.mark.parametrize("mark", [False, True])
@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16(order: str, mark: bool, declared: str | None) -> None:
    start = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    data = (("\ufeff" if mark else "") + start + PLAIN).encode(f"utf-16-{order}")
    parsed = parse_xml(data, charset="utf-8")
    assert parsed.root is not None
    assert parsed.root[0].text == "\u00e4\u20ac"
    assert parsed.encoding == f"utf-16-{order}"
    assert told(parsed) == (["xml.encoding"] if declared == "utf-8" else [])


def utf_7(text: str) -> bytes:
    """All of it in the other writing of UTF-7: no "<" is seen in it."""
    return b"+" + base64.b64encode(text.encode("utf-16-be")).rstrip(b"=") + b"-"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "xml.doctype"),
        (f"<a>{'<b/>' * 50}</a>", "xml.elements"),
        (f"<a {' '.join(f'b{number}=``' for number in range(30))}/>".replace("`", '"'), "xml.attributes"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-7", "UTF7"])
def test_what_is_refused_is_refused_where_it_is_written_otherwise(text: str, rule: str, encoding: str) -> None:
    declared = f"<?xml version='1.0' encoding='{encoding}'?>".encode()
    parsed = parse_xml(declared + utf_7(text), limits=Limits(xml_elements=40, xml_attributes=20))
    assert parsed.root is None
    assert rule in told(parsed)


def test_an_honest_document_in_utf_7_is_read() -> None:
    parsed = parse_xml(b"<?xml version='1.0' encoding='utf-7'?>" + utf_7("<a>\u00e4</a>"))
    assert parsed.root is not None
    assert (parsed.root.text, parsed.encoding, parsed.recovered) == ("\u00e4", "utf-7", False)


@pytest.mark.parametrize(
    ("start", "encoding", "charset", "expected", "rules"),
    [
        ("", "utf-8", None, "utf-8", []),
        ("\ufeff", "utf-8", "utf-16", "utf-8", []),
        ('<?xml version="1.0" encoding="utf-16"?>', "utf-8", None, "utf-8", ["xml.encoding"]),
        ('<?xml version="1.0" encoding="iso-8859-1"?>', "iso-8859-1", "utf-8", "iso8859-1", []),
        ("", "iso-8859-1", "iso-8859-1", "iso8859-1", []),
        ("", "utf-8", "iso-8859-1", "utf-8", ["xml.encoding"]),
        ('<?xml version="1.0" encoding="no-such"?>', "utf-8", None, "utf-8", []),
        ("", "iso-8859-1", None, "utf-8", ["xml.not-utf-8"]),
    ],
)
def test_encodings(start: str, encoding: str, charset: str | None, expected: str, rules: list[str]) -> None:
    parsed = parse_xml((start + "<a>\u00e4</a>").encode(encoding), charset=charset)
    assert parsed.root is not None
    assert parsed.root.text == "\u00e4"
    assert (parsed.encoding, told(parsed)) == (expected, rules)


def test_text_that_looks_like_attributes_stays_as_it_is() -> None:
    parsed = parse_xml(b"""<a b='1'c="x='2'y" >d="3"e</a>""")
    assert parsed.root is not None
    assert (dict(parsed.root.attrib), parsed.root.text) == ({"b": "1", "c": "x='2'y"}, 'd="3"e')
    for hidden in (b"<!-- <x y='1'z='2'> -->", b"<![CDATA[<x y='1'z='2'>]]>"):
        assert told(parse_xml(b"<a b='1'c='2'>" + hidden + b"</a>")) == ["xml.not-well-formed"]


def test_stray_latin_1_beside_utf_8() -> None:
    parsed = parse_xml(b"<a>\xc3\xa4\xe4</a>")
    assert parsed.root is not None
    assert parsed.root.text == "\u00e4\u00e4"
    assert told(parsed) == ["xml.not-utf-8"]
    assert parsed.findings[0].offset == 5


@pytest.mark.parametrize(
    ("data", "rules", "recovered"),
    [
        (b"\r\n" + MESSAGE, ["xml.junk-before"], False),
        (b"1f4\r\n" + MESSAGE, ["xml.junk-before"], False),
        (b" <a/>", [], False),
        (MESSAGE + b"\x00\x00", ["xml.junk-after"], False),
        (b"<a/>\x00", ["xml.junk-after"], False),
        (MESSAGE + MESSAGE, ["xml.junk-after"], False),
        (MESSAGE + b"\r\n", [], False),
        (MESSAGE[:-20], ["xml.not-well-formed"], True),
        (MESSAGE.replace(b"</wsa:To>", b"</wsa:Too>"), ["xml.not-well-formed"], True),
        (b"<a>\x00</a>", ["xml.not-well-formed"], True),
        (b"<a>&undefined;</a>", ["xml.not-well-formed"], True),
        (b"<a><![CDATA[<!DOCTYPE a>]]></a>", [], False),
        (b"\x00" + MESSAGE, ["xml.junk-before"], False),
        (b"\x00\x00\x00" + MESSAGE, ["xml.junk-before"], False),
        (MESSAGE.replace(b'" xmlns', b'"xmlns'), ["xml.no-blank"], False),
        (MESSAGE.replace(b'" xmlns', b'"xmlns') + b"\x00", ["xml.no-blank", "xml.junk-after"], False),
        (b"<?xml version='1.0'encoding='utf-8'?><a/>", ["xml.no-blank"], False),
        (b"<a b='1'c='2'><d></a>", ["xml.no-blank", "xml.not-well-formed"], True),
    ],
)
def test_damage(data: bytes, rules: list[str], recovered: bool) -> None:
    parsed = parse_xml(data)
    assert parsed.root is not None
    assert (told(parsed), parsed.recovered) == (rules, recovered)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "xml.empty"),
        (b" \x00", "xml.empty"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "xml.doctype"),
        (b"<?xml version='1.0'?><!-- --><!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "xml.doctype"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "xml.doctype"),
        (b"<!-- <![CDATA[ --><!DOCTYPE a><a/>", "xml.doctype"),
        (b"no markup", "xml.not-well-formed"),
    ],
)
def test_refused(data: bytes, rule: str) -> None:
    parsed = parse_xml(data)
    assert parsed.root is None
    assert rule in told(parsed)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"<a>" * 1_000_000, "xml.elements"),
        (b"<a>" * 5000 + b"</a>" * 5000, "xml.not-well-formed"),
        (b"<a " + b" ".join(b'a%d=""' % i for i in range(500_000)) + b"/>", "xml.attributes"),
        (b"<a " + b" ".join(b'xmlns:a%d="u"' % i for i in range(300_000)) + b"/>", "xml.attributes"),
        (b"<a>" + b"<b/>" * 1_000_000 + b"</a>", "xml.elements"),
        (b"<a>" + b"<!--" * 1_000_000, "xml.not-well-formed"),
        (b"<?" * 1_000_000 + b"<!DOCTYPE", "xml.not-well-formed"),
    ],
    ids=["open", "deep", "attributes", "namespaces", "elements", "comments", "instructions"],
)
def test_hostile_documents_are_held(data: bytes, rule: str) -> None:
    began = time.process_time()
    parsed = parse_xml(data)
    assert rule in told(parsed)
    assert time.process_time() - began < 10


def test_limits_at_their_edge() -> None:
    limits = Limits(xml=100, xml_depth=3, xml_elements=5, xml_attributes=2)
    assert told(parse_xml(b"<a><a><a/></a></a>", limits=limits)) == []
    assert told(parse_xml(b"<a><a><a><a/></a></a></a>", limits=limits)) == ["xml.depth"]
    assert told(parse_xml(b"<a>" + b"<b/>" * 4 + b"</a>", limits=limits)) == []
    assert told(parse_xml(b"<a>" + b"<b/>" * 5 + b"</a>", limits=limits)) == ["xml.elements"]
    assert told(parse_xml(b"<a b='' c=''/>", limits=limits)) == []
    assert told(parse_xml(b"<a b='' c='' d=''/>", limits=limits)) == ["xml.attributes"]
    assert told(parse_xml(b"<a>" + b" " * 93 + b"</a>", limits=limits)) == []
    assert told(parse_xml(b"<a>" + b" " * 94 + b"</a>", limits=limits))[0] == "xml.size"


def test_base64_is_no_attribute() -> None:
    assert told(parse_xml(b"<a>" + b"QUJD=='" * 1000 + b"</a>")) == []


@given(st.integers(0, len(END) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_raises(at: int, flip: int) -> None:
    data = bytearray(END)
    data[at] ^= flip
    parsed = parse_xml(bytes(data))
    assert parsed.root is not None or parsed.findings
    for low, high in element_spans(bytes(data), parsed.encoding):
        assert 0 <= low <= high <= len(data)


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "utf-16", "ebcdic", "rot13", "\x00"]))
def test_any_bytes_never_raise(data: bytes, charset: str | None) -> None:
    parsed = parse_xml(data, charset=charset)
    element_spans(data, parsed.encoding)


@pytest.mark.parametrize("many", [b"</b", b"</b 'c'", b"<!b", b"<?b "])
def test_end_tags_are_not_searched_for_missing_blanks(many: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """End tags are not among the elements that are counted: a million of them took seconds, and 200 MB."""
    looked: list[bytes] = []

    def seen(start: re.Match[bytes]) -> bytes:
        looked.append(start[0])
        return start[0]

    monkeypatch.setattr(xml, "_spaced_tag", seen)
    assert told(parse_xml(b"<a>" + many * 1000)) == ["xml.not-well-formed"]
    assert looked == [b"<a>"]
