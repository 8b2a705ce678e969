"""Envelopes: versions, order, addressing, faults, includes; and what is built is read back."""

from __future__ import annotations

import pytest
from lxml import etree

from dissector.soap.build import anonymous, build_envelope, build_fault
from dissector.soap.envelope import looks_like_soap, parse_envelope
from dissector.soap.model import EndpointReference, Envelope, QName
from dissector.soap.namespaces import SOAP11, SOAP12, WSA04, WSA10, WSCN, WSE
from tests.support import wsd

DSP = wsd.DSP


def envelope(inner: str, *, soap: str = SOAP12, wsa: str = WSA04) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{soap}" xmlns:a="{wsa}" xmlns:w="{WSCN}" xmlns:e="{WSE}">{inner}</s:Envelope>'.encode()
    )


def read(data: bytes) -> Envelope:
    found, findings = parse_envelope(data)
    assert found is not None
    assert findings is found.findings
    return found


def told(found: Envelope) -> list[str]:
    return [finding.rule for finding in found.findings]


HEAD = "<s:Header><a:Action>urn:x</a:Action></s:Header>"


@pytest.mark.parametrize(
    ("data", "version", "rules"),
    [
        (envelope(HEAD + "<s:Body><w:X/></s:Body>"), "1.2", []),
        (envelope(HEAD + "<s:Body/>"), "1.2", []),
        (envelope("<s:Body/>"), "1.2", []),
        (envelope(HEAD + "<s:Body/>", soap=SOAP11), "1.1", ["soap.version-1.1"]),
        (envelope("<s:Body/>" + HEAD), "1.2", ["soap.header-order"]),
        (envelope(HEAD), "1.2", ["soap.no-body"]),
        (envelope(HEAD + "<s:Body/><s:Body/>"), "1.2", ["soap.repeated"]),
        (envelope(HEAD + "<s:Body><w:X/><w:Y/></s:Body>"), "1.2", ["soap.body-children"]),
        (envelope(HEAD + "<s:Body/><w:Z/>"), "1.2", ["soap.stray-element"]),
        (envelope(HEAD + "<s:Body/>", soap="urn:soap-envelop"), "unknown", ["soap.envelope-namespace"]),
        (envelope(HEAD + "<s:Body/>", soap=SOAP12.replace("http:", "https:")), "1.2", ["soap.namespace-mended"]),
    ],
)
def test_shapes(data: bytes, version: str, rules: list[str]) -> None:
    found = read(data)
    assert (found.version, told(found)) == (version, rules)


@pytest.mark.parametrize("data", [b"<a/>", b"", b"<Envelope xmlns='urn:gml'><lower/></Envelope>", b"text"])
def test_what_is_no_soap(data: bytes) -> None:
    found, findings = parse_envelope(data)
    assert found is None
    assert findings


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"<soap:Envelope ", True),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<Envelope xmlns=''>", True),
        ("<s:Envelope>".encode("utf-16"), True),
        (b'<?xml version="1.0" encoding="utf-8"?>', True),
        (b'<?xml version="1.0"?><html>', False),
        (b"<Envelopes>", False),
        (b"GET / HTTP/1.1", False),
        (b"", False),
    ],
)
def test_looks_like_soap(head: bytes, expected: bool) -> None:
    assert looks_like_soap(head) is expected


@pytest.mark.parametrize(
    ("wsa", "version"),
    [(WSA04, "2004/08"), (WSA10, "2005/08"), ("http://schemas.xmlsoap.org/ws/2003/03/addressing", "2003/03")],
)
def test_addressing(wsa: str, version: str) -> None:
    inner = (
        "<s:Header><a:To> urn:to\n</a:To><e:Identifier>sub-1</e:Identifier><a:RelatesTo RelationshipType='a:Reply'>"
        "urn:1</a:RelatesTo><a:MessageID>urn:2</a:MessageID><a:Action>urn:act</a:Action><a:ReplyTo><a:Address> urn:r "
        "</a:Address><a:ReferenceProperties><w:P>p</w:P></a:ReferenceProperties><a:ReferenceParameters><w:Q>q</w:Q>"
        "</a:ReferenceParameters></a:ReplyTo><a:From><a:Address>urn:f</a:Address></a:From><a:MessageID>urn:3"
        "</a:MessageID></s:Header><s:Body/>"
    )
    found = read(envelope(inner, wsa=wsa))
    head = found.addressing
    assert (head.version, head.to, head.action, head.message_id) == (version, "urn:to", "urn:act", "urn:2")
    assert head.relates_to == [("a:Reply", "urn:1")]
    assert head.reply_to is not None
    assert head.reply_to.address == "urn:r"
    assert [(name.local, text) for name, text in head.reply_to.parameters] == [("P", "p"), ("Q", "q")]
    assert head.source is not None
    assert head.source.address == "urn:f"
    assert head.parameters == [(QName(WSE, "Identifier", "e"), "sub-1")]
    assert "wsa.duplicate" in told(found)


def test_action_is_missing() -> None:
    assert told(read(envelope("<s:Header><a:To>urn:x</a:To></s:Header><s:Body/>"))) == ["wsa.no-action"]


@pytest.mark.parametrize("wsa", ["", "urn:x:Addressing"])
def test_addressing_in_another_namespace(wsa: str) -> None:
    names = {"Action": "urn:act", "MessageID": "urn:2", "RelatesTo": "urn:1", "To": "urn:to"}
    inner = "".join(f"<{name} xmlns='{wsa}'>{text}</{name}>" for name, text in names.items())
    found = read(envelope(f"<s:Header>{inner}<To xmlns='urn:other'>no</To></s:Header><s:Body/>"))
    head = found.addressing
    assert (head.action, head.message_id, head.relates_to, head.to) == ("urn:act", "urn:2", [("", "urn:1")], "urn:to")
    assert told(found) == ["wsa.namespace"]
    assert (QName("urn:other", "To"), "no") in head.parameters


def test_a_prefix_of_addressing_that_is_not_declared() -> None:
    found = read(
        b"<s:Envelope xmlns:s='%s'><s:Header><a:MessageID>urn:2</a:MessageID></s:Header><s:Body/></s:Envelope>"
        % SOAP12.encode()
    )
    assert found.addressing.message_id == "urn:2"
    assert told(found) == ["xml.not-well-formed", "wsa.namespace"]


def test_a_prefix_that_is_not_declared() -> None:
    found = read(b"<S:Envelope><S:Body><d:X/></S:Body></S:Envelope>")
    assert found.recovered
    assert found.name == QName("", "X")


def test_fault_of_soap_1_2() -> None:
    inner = (
        f"<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:Outer</s:Value><s:Subcode>"
        f'<s:Value xmlns:q="{DSP}">q:Inner</s:Value></s:Subcode></s:Subcode></s:Code><s:Reason>'
        '<s:Text xml:lang="de">nein</s:Text><s:Text xml:lang="en">no</s:Text></s:Reason>'
        "<s:Node>urn:n</s:Node><s:Role>urn:r</s:Role><s:Detail><w:D/></s:Detail></s:Fault></s:Body>"
    )
    found = read(envelope(inner))
    fault = found.fault
    assert fault is not None
    assert told(found) == []
    assert (fault.code, fault.code_name.namespace, fault.subcode) == ("Sender", SOAP12, "Inner")
    assert [(c.namespace, c.local) for c in fault.subcodes] == [(WSCN, "Outer"), (DSP, "Inner")]
    assert fault.reasons == [("de", "nein"), ("en", "no")]
    assert (fault.node, fault.role, fault.soap11_form) == ("urn:n", "urn:r", False)
    assert fault.detail is not None
    assert len(fault.detail) == 1


@pytest.mark.parametrize(("soap", "rule"), [(SOAP12, "soap.fault-form"), (SOAP11, "soap.version-1.1")])
def test_fault_of_soap_1_1_form(soap: str, rule: str) -> None:
    inner = "<s:Body><s:Fault><faultcode>{}</faultcode><faultstring>no</faultstring></s:Fault></s:Body>"
    found = read(envelope(inner.format("s:Client"), soap=soap))
    assert found.fault is not None
    assert found.fault.soap11_form
    assert (found.fault.code, found.fault.reason, found.fault.subcodes) == ("Client", "no", [])
    assert told(found) == [rule]
    found = read(envelope(inner.format("w:ServerErrorInternalError"), soap=soap))
    assert found.fault is not None
    assert found.fault.subcode == "ServerErrorInternalError"


def test_fault_without_an_envelope() -> None:
    data = (
        f"<?xml version='1.0'?><S:Fault xmlns:S='{SOAP12}'><faultcode>S:Client</faultcode><faultstring>Method '\u00aa' "
        "not implemented</faultstring></S:Fault>"
    ).encode("latin-1")
    assert looks_like_soap(data[:64])
    found = read(data)
    assert found.fault is not None
    assert (found.fault.code, found.fault.reason) == ("Client", "Method '\u00aa' not implemented")
    assert told(found) == ["xml.not-utf-8", "soap.bare-fault", "soap.fault-form"]


def test_fault_code_without_a_declared_prefix() -> None:
    found = read(envelope("<s:Body><s:Fault><s:Code><s:Value>z:Sender</s:Value></s:Code></s:Fault></s:Body>"))
    assert found.fault is not None
    assert found.fault.code_name == QName("", "Sender", "z")
    assert told(found) == ["soap.fault-prefix", "soap.fault-reason"]


def test_includes() -> None:
    inner = (
        f'<s:Body><w:X><w:D><x:Include xmlns:x="{wsd.XOP}" href="cid:a%40b"/></w:D><w:E><Include '
        'xmlns="http://www.w3.org/2003/12/xop/include" href="http://x"/></w:E><w:Include href="cid:no"/></w:X></s:Body>'
    )
    found = read(envelope(inner))
    assert [(i.content_id, i.href) for i in found.includes] == [("a@b", "cid:a%40b"), ("", "http://x")]
    assert told(found) == ["soap.namespace-mended", "soap.include-href"]


@pytest.mark.parametrize("addressing", ["2004/08", "2005/08"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_built_envelopes_are_read_back(addressing: str, encoding: str) -> None:
    body = etree.Element(f"{{{WSCN}}}X", nsmap={"wscn": WSCN})
    body.text = "t\u00e4"
    parameter = (QName(WSE, "Identifier", "wse"), "sub-1")
    block = etree.Element("{urn:v}V", nsmap={"v": "urn:v"})
    data = build_envelope(
        body, action="urn:a", to=anonymous(addressing), message_id="urn:m", relates_to=[("", "urn:1"), ("k", "urn:2")],
        reply_to=EndpointReference("urn:r", [parameter]), fault_to="urn:f", source="urn:s", addressing=addressing,
        parameters=[parameter], headers=[block], encoding=encoding,
    )  # fmt: skip
    found = read(data)
    head = found.addressing
    assert told(found) == []
    assert found.name == QName(WSCN, "X", "wscn")
    assert found.content is not None
    assert found.content.text == "t\u00e4"
    assert (head.version, head.action, head.to, head.message_id) == (
        addressing,
        "urn:a",
        anonymous(addressing),
        "urn:m",
    )
    assert head.relates_to == [("", "urn:1"), ("k", "urn:2")]
    assert head.reply_to == EndpointReference("urn:r", [parameter])
    assert (head.fault_to, head.source) == (EndpointReference("urn:f"), EndpointReference("urn:s"))
    assert head.parameters == [parameter, (QName("urn:v", "V", "v"), "")]


def test_built_faults_are_read_back() -> None:
    detail = etree.Element("{urn:v}D")
    subcode = QName(DSP, "InvalidJobToken", "dsp")
    found = read(build_fault("Sender", subcode, "no such job", detail, relates_to="urn:1"))
    fault = found.fault
    assert fault is not None
    assert told(found) == []
    assert (fault.code, fault.subcodes, fault.reasons) == ("Sender", [subcode], [("en", "no such job")])
    assert fault.detail is not None
    assert fault.detail[0].tag == "{urn:v}D"
    assert found.addressing.action == f"{WSA04}/fault"
    assert found.addressing.relates_to == [("", "urn:1")]
    assert read(build_fault("Receiver", None, "no")).fault == read(build_fault("Receiver", None, "no")).fault
