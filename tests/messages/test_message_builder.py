"""Messages from HTTP messages and datagrams that are made by hand."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.origin import ByteRange, Endpoint, FrameMap, Gap, Origin, StreamRef
from dissector.http.content import Content
from dissector.http.model import HttpMessage, Part
from dissector.messages import Message, MessageBuilder
from dissector.soap.model import QName
from dissector.transport.model import Datagram
from tests.support import wsd

CLIENT, SERVER = Endpoint("192.0.2.10", 50000), Endpoint("192.0.2.20", 5362)
REQUEST = StreamRef("tcp", 0, CLIENT, SERVER)
BUILDER = MessageBuilder(digits=lambda: 6)
TOKEN = "5b7fa4ec-7bf4-4e34-9b5e-3ba1cd1b6b9a"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"image" * 20
XOP = "http://www.w3.org/2004/08/xop/include"
FRAME = 10
"""Bytes of a frame in the maps made here."""


def frame_map(size: int, step: int = FRAME) -> FrameMap:
    made = FrameMap()
    for number, start in enumerate(range(0, size, step), 1):
        made.add(start, min(step, size - start), number, 54, 1000 * number)
    return made


def content(data: bytes, start: int = 0, **more: Any) -> Content:
    frames = frame_map(start + len(data))
    origin = Origin.whole(REQUEST, start, start + len(data), frames)
    return Content(
        size=len(data), head=data[:64], sha256=hashlib.sha256(data).hexdigest(), data=data, origin=origin, **more
    )


def http(body: bytes = b"", *, status: int = 0, media_type: str = "application/soap+xml", **more: Any) -> HttpMessage:
    carried = more.pop("carried", None) or content(body, 100)
    assert carried.origin is not None
    frames = carried.origin.frames
    return HttpMessage(
        is_request=not status, stream=REQUEST.reversed() if status else REQUEST, version="1.1", headers=[], head=b"",
        origin=Origin.whole(REQUEST, 0, 100 + len(body), frames), body=carried, status=status, media_type=media_type,
        first_frame=1, last_frame=len(frames), first_time=1000, last_time=9000, **more,
    )  # fmt: skip


def package(
    root: bytes, parts: list[tuple[str | None, bytes]], media_type: str = "image/jpeg", **more: Any
) -> HttpMessage:
    made = [Part([], content(root, 100), "root", "application/xop+xml", {"charset": "utf-8"}, True)]
    made += [Part([], content(data, 900, **more), content_id, media_type) for content_id, data in parts]
    return http(root, media_type="multipart/related", parameters={"type": "application/xop+xml"}, parts=made)


def built(message: HttpMessage) -> Message:
    found = BUILDER.from_http(message)
    assert found is not None
    return found


def told(message: Message) -> list[str]:
    return [finding.rule for finding in message.findings]


def datagram(data: bytes, *, port: int = 3702, wire: int | None = None) -> Datagram:
    stream = StreamRef("udp", 0, CLIENT, Endpoint("239.255.255.250", port))
    frames = FrameMap()
    frames.add(0, len(data), 7, 42, 5000)
    return Datagram(stream, data, len(data) if wire is None else wire, 7, 5000, frames, True)


END = wsd.token_request("EndPostScanJob", "urn:uuid:1", "http://x/", TOKEN)
IMAGE = wsd.send_image("urn:uuid:1", "http://x/", TOKEN, 1, "jfif", "image@wsd")


def test_request() -> None:
    found = built(http(END))
    assert (found.number, found.kind, found.service, found.name) == (0, "request", "WS-DSP", "EndPostScanJobRequest")
    assert (found.wsd, found.complete, found.digits) == (True, True, 6)
    assert (found.first_time, found.time, found.message_id) == (1000, 9000, "urn:uuid:1")
    assert found.frames == tuple(range(1, (100 + len(END) + 9) // 10 + 1))
    assert found.get("JobToken") is not None
    assert found.operation == "EndPostScanJob"
    assert told(found) == []
    assert found.all_findings() == []


def test_body_and_headers_are_decoded_when_asked_for() -> None:
    found = built(http(END))
    for name in ("body", "headers"):
        with pytest.raises(AttributeError):
            object.__getattribute__(found, name)
    body = found.body
    assert body is not None
    assert body is found.body
    assert body.name == "EndPostScanJobRequest"
    assert [block.name for block in found.headers] == ["To", "Action", "MessageID", "ReplyTo"]
    assert found.headers is found.headers
    found.body = None
    assert found.body is None
    with pytest.raises(AttributeError, match="nothing"):
        found.nothing  # noqa: B018 (asking is what raises)


def test_place_of_a_field() -> None:
    found = built(http(END))
    assert found.body is not None
    field = found.body.find("JobToken")
    assert field is not None
    at, size = END.index(b"<dsp:JobToken>"), len(f"<dsp:JobToken>{TOKEN}</dsp:JobToken>")
    ranges = found.place_of(field)
    assert sum(one.length for one in ranges) == size
    first = 100 + at
    assert ranges[0] == ByteRange(first // FRAME + 1, 54 + first % FRAME, FRAME - first % FRAME)
    assert found.place_of(found.headers[0]) != ranges


def test_utf_16_is_placed_too() -> None:
    data = END.decode().replace("utf-8", "utf-16").encode("utf-16")
    found = built(http(data))
    assert found.body is not None
    assert found.service == "WS-DSP"
    assert sum(one.length for one in found.place_of(found.body)) == 2 * len(
        END[END.index(b"<dsp:End") : END.index(b"</soap:Body>")]
    )


@pytest.mark.parametrize("content_id", ["image@wsd", "image%40wsd"])
def test_attachment_by_content_id(content_id: str) -> None:
    found = built(package(IMAGE, [("other", b"text"), (content_id, JPEG)]))
    image, other = found.attachments
    assert (image.content_id, image.declared, image.real_type) == (content_id, "jfif", "jfif")
    assert (image.element, image.media_type) == ("ImageData", "image/jpeg")
    assert image.frames
    assert (other.content_id, other.element, other.declared) == ("other", None, None)
    assert told(found) == ["mime.part-not-included"]


@pytest.mark.parametrize(
    ("includes", "parts", "joined", "alone"),
    [
        (["a", "b"], ["b", "a"], [1, 0], []),
        (["a"], ["a", "a"], [0], [1]),
        (["a", "a"], ["a", "a"], [0, 1], []),
        (["a", "a", "a"], ["a", "a"], [0, 1, 0], []),
        (["a", "a"], ["b", "a"], [1, 1], [0]),
        (["%41"], ["A"], [0], []),
        (["A"], ["%41", "A"], [1], [0]),
        (["A", "A"], ["%41", "A"], [1, 0], []),
        (["A", "A", "A"], ["%41", "A"], [1, 0, 1], []),
        (["A", "A"], ["%41", "<A>"], [0, 1], []),
        (["A", "b"], [None, "A", "c"], [1], [0, 2]),
        (["", "A"], ["A", ""], [0], [1]),
    ],
)
def test_which_part_goes_to_which_include(
    includes: list[str], parts: list[str | None], joined: list[int], alone: list[int]
) -> None:
    """A part is given once while others of its name are left; the very same spelling goes first."""
    names = "".join(f'<x:Include xmlns:x="{XOP}" href="cid:{one.replace("%", "%25")}"/>' for one in includes)
    root = wsd.envelope("urn:a", f"<a><b>{names}</b></a>")
    found = built(package(root, [(name, b"%d" % at) for at, name in enumerate(parts)]))
    given = [(int(one.content.data()), one.element) for one in found.attachments]
    assert given == [(at, "b") for at in joined] + [(at, None) for at in alone]


def test_the_only_part_is_joined() -> None:
    found = built(package(IMAGE, [("misspelt", JPEG)]))
    assert [a.element for a in found.attachments] == ["ImageData"]
    assert told(found) == ["mime.include-by-position"]


def test_include_without_part() -> None:
    found = built(package(IMAGE, []))
    assert found.attachments == []
    assert told(found) == ["mime.include-unresolved"]


@pytest.mark.parametrize(
    ("declared", "media_type", "data", "rules"),
    [
        ("jfif", "image/jpeg", JPEG, []),
        ("tiff-single-g4", "image/jpeg", JPEG, ["image.type-mismatch"]),
        ("jfif", "image/tiff", JPEG, ["image.type-mismatch"]),
        ("jfif", "application/octet-stream", JPEG, []),
        ("vendor:raw", "application/binary", JPEG, []),
        ("png", "image/png", b"\xff\xd8\xff", []),
        ("jfif", "image/jpeg", b"", ["image.empty"]),
    ],
)
def test_type_of_images(declared: str, media_type: str, data: bytes, rules: list[str]) -> None:
    root = wsd.send_image("urn:uuid:1", "http://x/", TOKEN, 1, declared, "i@x")
    assert told(built(package(root, [("i@x", data)], media_type))) == rules


def test_holes_of_images() -> None:
    found = built(package(IMAGE, [("image@wsd", JPEG)], gaps=[Gap(50, 1460, "lost", 93, 95)], complete=False))
    finding = found.findings[0]
    assert (finding.rule, finding.frames) == ("image.hole", (93, 95))
    assert "1460 bytes" in finding.text
    assert told(built(package(IMAGE, [("image@wsd", JPEG)], complete=False))) == ["image.cut"]


def test_inline_image() -> None:
    text = base64.encodebytes(JPEG).decode()
    root = IMAGE.decode()
    low, high = root.index("<xop:Include"), root.index("</dsp:ImageData>")
    found = built(http((root[:low] + text + root[high:]).encode()))
    (image,) = found.attachments
    assert image.content.data() == JPEG
    assert image.content.sha256 == hashlib.sha256(JPEG).hexdigest()
    assert (image.real_type, image.declared, image.element, image.part) == ("jfif", "jfif", "ImageData", None)
    damaged = built(http((root[:low] + "QU*JD" + root[high:]).encode()))
    assert "image.base64" in told(damaged)


def fault_message(subcode: str, uri: str, status: int = 500, action: str | None = None) -> Message:
    data = wsd.fault("urn:uuid:1", "urn:uuid:2", "Sender", subcode, uri, "no")
    if action is not None:
        data = data.replace(f"{wsd.WSA}/fault".encode(), action.encode())
    return built(http(data, status=status))


def test_faults() -> None:
    found = fault_message("InvalidJobToken", wsd.DSP)
    assert (found.kind, found.name, found.service, found.wsd) == ("fault", "Fault", "WS-DSP", True)
    assert found.fault is not None
    assert found.fault.subcode == "InvalidJobToken"
    assert told(found) == []
    assert told(fault_message("InvalidJobToken", wsd.DSP, 200)) == ["soap.H05"]
    unknown = fault_message("X", "urn:vendor", action="urn:vendor/fault")
    assert (unknown.service, unknown.wsd) == ("", False)
    data = wsd.fault("urn:uuid:1", "urn:uuid:2", "Sender", "X", "urn:v", "no").replace(wsd.WSA.encode(), b"urn:a")
    udp = BUILDER.from_datagram(datagram(data))
    assert udp is not None
    assert (udp.kind, udp.wsd) == ("fault", True)


def test_bodies_under_a_misspelt_namespace_are_decoded() -> None:
    old = "http://schemas.microsoft.com/windows/2008/02/wdp/repository/processing"
    found = built(http(END.replace(wsd.DSP.encode(), old.encode())))
    assert found.name == "EndPostScanJobRequest"
    assert "soap.namespace-mended" in told(found)
    elsewhere = END.replace(f'xmlns:dsp="{wsd.DSP}"'.encode(), f'xmlns:dsp="{wsd.DSC}"'.encode())
    found = built(http(elsewhere))
    assert found.body_name == QName(wsd.DSP, "EndPostScanJobRequest", "dsp")
    assert found.body is not None
    assert found.body.decl is not None


@pytest.mark.parametrize(
    ("body", "service", "name", "known"),
    [
        (f'<w:NewRequest xmlns:w="{wsd.WSCN}"/>', "WS-Scan", "NewRequest", True),
        ('<v:Do xmlns:v="urn:vendor"/>', "", "Do", False),
        ('<w:Identify xmlns:w="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/>', "WS-Management",
         "Identify", False),
    ],
)  # fmt: skip
def test_other_soap(body: str, service: str, name: str, known: bool) -> None:
    found = built(http(wsd.envelope("urn:vendor/Do", body)))
    assert (found.kind, found.service, found.name, found.wsd) == ("request", service, name, known)


def test_ws_management_that_uses_ws_transfer() -> None:
    uri = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
    data = wsd.envelope(f"{wsd.WXF}/Get", "", headers=f'<m:ResourceURI xmlns:m="{uri}">urn:x</m:ResourceURI>')
    found = built(http(data))
    assert (found.service, found.wsd, found.name) == ("WS-Management", False, "Get")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (http(b""), None),
        (http(b"<html><body/></html>", media_type="text/html"), None),
        (http(b'<?xml version="1.0" encoding="utf-8"?><!-- c --><device/>', media_type="text/xml"), None),
        (http(b"nothing that is XML"), ("unreadable", False)),
        (http(b"<soap:Envelope <" + wsd.DSP.encode(), media_type="text/plain"), ("unreadable", True)),
        (http(b"", status=200, carried=content(b"", gaps=[Gap(0, 800)], complete=False)), ("unreadable", False)),
        (http(b"", carried=Content(size=9, head=b"<Envelope", origin=content(b"").origin)), ("unreadable", False)),
    ],
)
def test_what_is_no_soap(message: HttpMessage, expected: tuple[str, bool] | None) -> None:
    found = BUILDER.from_http(message)
    assert (None if found is None else (found.name, found.wsd)) == expected
    if found is not None:
        assert found.findings
        assert found.body is None
        assert found.headers == []
        assert found.kind == ("request" if message.is_request else "response")


def test_damage_that_takes_the_body_away() -> None:
    found = built(http(END[: END.index(b"<dsp:JobToken")]))
    assert (found.name, found.wsd) == ("EndPostScanJobRequest", True)
    found = built(http(END[: END.index(b"<soap:Header>") + 20]))
    assert (found.kind, found.name, found.service, found.wsd) == ("request", "unreadable", "", True)
    assert found.body is None


def test_content_type() -> None:
    assert told(built(http(END, media_type="text/xml"))) == ["soap.H01"]
    assert told(built(http(END, parameters={"action": f"{wsd.DSP}/SendImage"}))) == ["soap.H02"]
    assert told(built(http(END, parameters={"action": f"{wsd.DSP}/EndPostScanJob"}))) == []


def test_bare_answer() -> None:
    request = built(http(END))
    found = BUILDER.bare_answer(http(b"", status=202, media_type=""), request.service, wsd=request.wsd)
    assert (found.kind, found.name, found.service, found.wsd) == ("response", "HTTP 202", "WS-DSP", True)
    assert (found.status, found.body, found.headers, found.envelope) == (202, None, [], None)


def test_datagrams() -> None:
    body = f'<d:Probe xmlns:d="{wsd.WSD}"><d:Types/></d:Probe>'
    data = wsd.envelope(f"{wsd.WSD}/Probe", body, message_id="urn:uuid:1", to=wsd.DISCOVERY_TO)
    found = BUILDER.from_datagram(datagram(data))
    assert found is not None
    assert (found.kind, found.service, found.name, found.wsd) == ("discovery", "WS-Discovery", "Probe", True)
    assert (found.frames, found.time, found.multicast, found.datagram) == ((7,), 5000, True, data)
    assert found.body is not None
    at = data.index(b"<d:Probe")
    assert found.place_of(found.body) == [ByteRange(7, 42 + at, data.index(b"</d:Probe>") + 10 - at)]
    assert BUILDER.from_datagram(datagram(b"M-SEARCH * HTTP/1.1\r\n")) is None
    assert BUILDER.from_datagram(datagram(b"<?xml version='1.0'?>")) is None
    cut = BUILDER.from_datagram(datagram(data[:300], wire=len(data)))
    assert cut is not None
    assert not cut.complete
    assert "udp.cut" in told(cut)


@given(st.integers(0, len(IMAGE) - 1), st.integers(0, 255))
def test_a_changed_byte_never_raises(at: int, byte: int) -> None:
    data = IMAGE[:at] + bytes([byte]) + IMAGE[at + 1 :]
    for found in (BUILDER.from_http(package(data, [("image@wsd", JPEG)])), BUILDER.from_datagram(datagram(data))):
        if found is not None:
            found.all_findings()
            if found.body is not None:
                found.place_of(found.body)


def test_a_response_that_is_of_scanning_by_its_action_alone_is_kept() -> None:
    # An airscand answers ScanAvailableEvent so: an empty Body, and a namespace of WS-Management that nothing uses.
    spaces = wsd.ns(wsman="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd")
    text = wsd.envelope(f"{wsd.WSCN}/ScanAvailableEventResponse", "", message_id="urn:uuid:1", namespaces=spaces)
    message = BUILDER.from_http(http(text, status=200))
    assert message is not None
    assert (message.wsd, message.service, message.name) == (True, "WS-Scan", "ScanAvailableEventResponse")
    other = wsd.envelope(f"{wsd.WXF}/GetResponse", "", message_id="urn:uuid:1", namespaces=spaces)
    message = BUILDER.from_http(http(other, status=200))
    assert message is not None
    assert (message.wsd, message.service) == (False, "WS-Management")
