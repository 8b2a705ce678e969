"""What is composed for the wire is read back by the dissector as the same message, without findings."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from dissector.base.origin import Endpoint
from dissector.catalog import SERVICES, build
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.soap.build import anonymous, build_envelope, build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import DSP, WSCN, WSE
from replay.base.ids import Ids
from replay.net.receiver import HttpReceiver
from replay.soap.caller import Refused, Reply, action_of, read_message
from replay.soap.compose import USUAL, Packed, Picture, Style, http_request, http_response, pack
from replay.soap.faults import (
    SoapFault,
    addressing_fault,
    eventing_fault,
    not_understood,
    service_fault,
    version_mismatch,
)

HERE = Endpoint("192.0.2.1", 80)
ACTION = action_of("GetJobElementsRequest", "WS-Scan")
IMAGES = [Picture("one@x", bytes(range(256)) * 300, "image/jpeg"), Picture("two@x", b"\r\n--boundary\r\n")]


def read(data: bytes, *, response: bool) -> HttpMessage:
    receiver = HttpReceiver(HERE, HERE, responses=response)
    if response:
        receiver.asked()
    messages = receiver.feed(data, 0)
    assert len(messages) == 1, messages
    assert receiver.pending == 0
    return messages[0]


def soap(http: HttpMessage) -> Message:
    message = read_message(http)
    assert message is not None
    return message


def image_envelope(count: int) -> bytes:
    include = {"include": {"@href": "cid:one@x"}}
    name, data = ("RetrieveImageResponse", {"scan_data": include}) if count else ("CancelJobResponse", {})
    return build_envelope(
        build(f"wscn:{name}", data), action=action_of(name, "WS-Scan"), to=anonymous(), message_id="urn:uuid:1",
        relates_to="urn:uuid:0",
    )  # fmt: skip


@pytest.mark.parametrize("pictures", [0, 1, 2])
@pytest.mark.parametrize(
    "style",
    [
        USUAL, Style(chunk=None), Style(chunk=1000), Style(chunk_all=True, chunk=7), Style(close=True, server="x/1"),
        Style(empty_reason=True, split_head=True),
    ],
)  # fmt: skip
def test_answers(style: Style, pictures: int) -> None:
    packed = pack(image_envelope(pictures), IMAGES[:pictures], Ids(1))
    dress = http_response(200, packed, style)
    http = read(b"".join(dress.pieces), response=True)
    assert (http.status, http.complete) == (200, True)
    assert http.reason == ("" if style.empty_reason else "OK")
    assert http.header("Server") == (style.server or None)
    assert http.header("Connection") == ("close" if style.close else None)
    chunked = style.chunk is not None and (pictures > 0 or style.chunk_all)
    assert (http.header("Transfer-Encoding") == "chunked") is chunked
    assert (http.header("Content-Length") is None) is chunked
    message = soap(http)
    # The second picture is named by no element.
    assert [one.rule for one in message.findings] == (["mime.part-not-included"] if pictures == 2 else [])
    assert message.envelope is not None
    assert message.envelope.xml == packed.xml
    assert [one.content.data() for one in message.attachments] == [one.data for one in IMAGES[:pictures]]
    assert [one.media_type for one in message.attachments] == [one.media_type for one in IMAGES[:pictures]]


@pytest.mark.parametrize("status", [202, 404, 405, 415, 500, 503])
def test_bare_answers(status: int) -> None:
    http = read(http_response(status, None, USUAL, extra=[("Allow", "POST")]).head, response=True)
    assert (http.status, http.body.size, http.findings) == (status, 0, [])
    assert http.header("Allow") == "POST"


@pytest.mark.parametrize("chunk", [None, 1, 4096])
@pytest.mark.parametrize("pictures", [0, 1])
def test_requests(chunk: int | None, pictures: int) -> None:
    packed = pack(image_envelope(pictures), IMAGES[:pictures], Ids(1))
    dress = http_request("/wsd?x", "h:5357", packed, headers=[("Connection", "Keep-Alive")], chunk=chunk)
    http = read(dress.head + dress.body, response=False)
    assert (http.method, http.target, http.header("Host")) == ("POST", "/wsd?x", "h:5357")
    assert (http.header("MIME-Version") == "1.0") is bool(pictures)
    assert http.findings == []
    assert soap(http).message_id == "urn:uuid:1"


def test_a_package_with_the_start_of_a_certain_device() -> None:
    packed = pack(image_envelope(1), IMAGES[:1], Ids(1), start="<SOAP-ENV:Envelope>")
    assert 'start="<SOAP-ENV:Envelope>"; start-info=' in packed.content_type
    message = soap(read(b"".join(http_response(200, packed, USUAL).pieces), response=True))
    assert message.attachments[0].content.data() == IMAGES[0].data


def test_small_messages_are_one_write_and_large_ones_two() -> None:
    small, large = (http_response(200, Packed("x/y", bytes(size), b""), USUAL) for size in (65536, 65537))
    assert [len(small.pieces), len(large.pieces)] == [1, 2]
    assert b"".join(large.pieces) == large.head + large.body


def test_the_same_seed_makes_the_same_package() -> None:
    assert pack(image_envelope(1), IMAGES, Ids(5)) == pack(image_envelope(1), IMAGES, Ids(5))
    assert pack(image_envelope(1), IMAGES, Ids(5)) != pack(image_envelope(1), IMAGES, Ids(6))


ALL_FAULTS = [(service, row.subcode) for service in ("WS-Scan", "WS-DSP", "WS-DSC") for row in SERVICES[service].faults]


@pytest.mark.parametrize(("service", "name"), ALL_FAULTS)
def test_every_fault_of_a_service(service: str, name: str) -> None:
    fault = service_fault(service, name, detail="a/path")
    found = sent(fault)
    assert found.fault is not None
    assert (found.fault.code, found.fault.subcode, found.fault.reason) == (fault.code, name, fault.reason)
    assert found.fault.reason
    assert found.fault.detail is not None
    assert "a/path" in "".join(found.fault.detail.itertext())
    assert not [one for one in found.findings if one.severity == "error"], found.findings


@pytest.mark.parametrize(
    ("fault", "code", "subcode", "status"),
    [
        (addressing_fault("ActionNotSupported", "no", "urn:x"), "Sender", "ActionNotSupported", 400),
        (addressing_fault("EndpointUnavailable", "no"), "Receiver", "EndpointUnavailable", 500),
        (eventing_fault("InvalidMessage", "no"), "Sender", "InvalidMessage", 400),
        (eventing_fault("EventSourceUnableToProcess", "no"), "Receiver", "EventSourceUnableToProcess", 500),
        (eventing_fault("FilterActionNotSupported", "no"), "Sender", "FilterActionNotSupported", 400),
        (service_fault("WS-DSP", "ServerErrorNamedByNobody"), "Receiver", "ServerErrorNamedByNobody", 500),
        (service_fault("WS-DSP", "NamedByNobody"), "Sender", "NamedByNobody", 400),
        (not_understood(QName("urn:x", "Odd")),
         "MustUnderstand", None, 500),
        (version_mismatch(), "VersionMismatch", None, 500),
        (SoapFault("Sender", None, "bare"), "Sender", None, 400),
    ],
)  # fmt: skip
def test_other_faults(fault: SoapFault, code: str, subcode: str | None, status: int) -> None:
    found = sent(fault)
    assert found.fault is not None
    assert (found.fault.code, found.fault.subcode or None, fault.status) == (code, subcode, status)
    assert fault.name == (subcode or code)


def sent(fault: SoapFault) -> Message:
    """The fault as a client reads it."""
    envelope = build_fault(
        fault.code, fault.subcode, fault.reason, fault.detail, action=fault.action, to=anonymous(), message_id="urn:1",
        relates_to="urn:0",
    )  # fmt: skip
    packed = pack(envelope, (), Ids(1))
    return soap(read(b"".join(http_response(fault.status, packed, USUAL).pieces), response=True))


def reply_of(status: int, envelope: bytes | None) -> Reply:
    packed = pack(envelope, (), Ids(1)) if envelope is not None else None
    http = read(b"".join(http_response(status, packed, USUAL).pieces), response=True)
    return Reply(http, read_message(http), 0.0)


def test_what_counts_as_accepted() -> None:
    good = build_envelope(None, action=f"{WSE}/UnsubscribeResponse")
    assert reply_of(200, good).accepted() is not None
    assert reply_of(202, None).accepted() is None
    for status in (200, 400, 500):
        fault = service_fault("WS-DSP", "ClientErrorJobTokenNotFound", "There is no job")
        with pytest.raises(Refused, match="ClientErrorJobTokenNotFound: There is no job") as refused:
            reply_of(status, build_fault(fault.code, fault.subcode, fault.reason)).accepted()
        assert (refused.value.name, refused.value.status) == ("ClientErrorJobTokenNotFound", status)
    with pytest.raises(Refused, match="HTTP 503: Service Unavailable"):
        reply_of(503, None).accepted()
    with pytest.raises(Refused, match="HTTP 500"):
        reply_of(500, good).accepted()


@pytest.mark.parametrize(
    ("name", "service", "action"),
    [
        ("GetResponse", "WS-Transfer", "http://schemas.xmlsoap.org/ws/2004/09/transfer/GetResponse"),
        ("SendImageRequest", "WS-DSP", f"{DSP}/SendImage"),
        ("RetrieveImageRequest", "WS-Scan", f"{WSCN}/RetrieveImage"),
        ("SubscriptionEnd", "WS-Eventing", f"{WSE}/SubscriptionEnd"),
    ],
)
def test_usual_actions(name: str, service: str, action: str) -> None:
    assert action_of(name, service) == action


@pytest.mark.parametrize(("name", "service"), [("Nothing", "WS-DSP"), ("SendImageRequest", "WS-Scan")])
def test_actions_that_are_not_there(name: str, service: str) -> None:
    with pytest.raises(KeyError, match="no message"):
        action_of(name, service)


def test_details_are_elements_of_the_service() -> None:
    detail: Any = service_fault("WS-DSP", "InvalidArgs", detail="A/B").detail
    assert (etree.QName(detail).namespace, detail.text) == (DSP, "A/B")
    assert addressing_fault("ActionNotSupported", "x", "urn:a").detail.text == "urn:a"
