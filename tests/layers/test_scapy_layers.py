"""The Scapy layers: made from the catalogue, reading what they build, standing on our own streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.packet import Raw
from scapy.sendrecv import sniff

import dissector
from dissector import layers
from dissector.catalog import SERVICES, body_decl
from dissector.catalog.model import MessageDecl
from dissector.layers import (
    DSC_PostScanJobEndStateEvent,
    EndPostScanJobRequest,
    Get,
    HTTPMessage,
    PostScanJobEndStateEvent,
    SendImageRequest,
    SOAPEnvelope,
    SOAPFault,
    UnknownBody,
    WsdSession,
    read_wsd,
)
from dissector.layers.bodies import BODIES, spread
from tests.support.strategies import content

ROWS = [row for service in SERVICES.values() for row in service.messages if row.body]


def test_every_message_of_the_catalogue_has_a_layer() -> None:
    rows = {(row.namespace, row.name) for service in SERVICES.values() for row in service.messages}
    assert set(BODIES) == rows
    for layer in BODIES.values():
        assert getattr(layers, layer.__name__) is layer
        assert layer.__name__ in layers.__all__


def test_field_access_show_and_summary(samples: Path) -> None:
    packets = sniff(offline=str(samples / "dsm-completed.pcapng"), session=WsdSession)
    (end,) = [p for p in packets if PostScanJobEndStateEvent in p]
    assert end[PostScanJobEndStateEvent].JobCompletedState == "Completed"
    assert end[PostScanJobEndStateEvent].ImagesReceived == 3
    assert end[PostScanJobEndStateEvent].JobStateReason == ["PostScanJobCompletedSuccessfully"]
    assert end[SOAPEnvelope].Action.endswith("/PostScanJobEndStateEvent")
    shown = end.show(dump=True)
    assert "JobCompletedState= Completed" in shown
    assert "RelatesTo" not in shown
    assert "PostScanJobEndStateEvent" in end.summary()
    assert "Completed" in end.summary()


def test_the_session_gives_the_messages_of_the_reader(samples: Path) -> None:
    for name in ("dsm-two-jobs.pcapng", "scan-push.pcapng", "damaged/dsm-lost-segment.pcap", "damaged/dsm-ipv6.pcap"):
        packets = sniff(offline=str(samples / name), session=WsdSession)
        with dissector.open(samples / name) as capture:
            expected = [(m.number, m.name, m.frames, m.complete) for m in capture.messages]
        assert [(p.wsd.number, p.wsd.name, p.wsd.frames, p.wsd.complete) for p in packets] == expected


def test_lost_bytes_are_not_filled_in(samples: Path) -> None:
    packets = sniff(offline=str(samples / "damaged/dsm-lost-segment.pcap"), session=WsdSession)
    (damaged,) = [p for p in packets if p.wsd.attachments and not p.complete]
    (_, _, image) = damaged.attachments[0]
    assert len(image) == 11516 - 2920
    assert "[incomplete]" in damaged.mysummary()


def test_what_was_not_changed_builds_to_the_same_bytes(samples: Path) -> None:
    for packet in read_wsd(samples / "dsm-completed.pcapng"):
        if SOAPEnvelope in packet:
            assert bytes(packet[SOAPEnvelope]) == packet.wsd.envelope.xml
        if HTTPMessage in packet:
            again = HTTPMessage(bytes(packet))
            assert bytes(again) == bytes(packet)
            assert again.attachments == packet.attachments
            assert [layer.__name__ for layer in again.layers()] == [layer.__name__ for layer in packet.layers()]


def test_a_changed_field_is_sent_with_the_right_length(samples: Path) -> None:
    (end,) = [p for p in read_wsd(samples / "dsm-completed.pcapng") if PostScanJobEndStateEvent in p]
    end[PostScanJobEndStateEvent].JobCompletedState = "acme:Archived"
    again = HTTPMessage(bytes(end))
    assert again.complete
    assert again[PostScanJobEndStateEvent].JobCompletedState == "acme:Archived"
    assert again[SOAPEnvelope].ReferenceParameters == end[SOAPEnvelope].ReferenceParameters


def test_a_package_with_an_image() -> None:
    body = SendImageRequest(JobToken="t-1", DocumentId=4, Format="png", href="cid:picture@here")
    soap = SOAPEnvelope(MessageID="urn:uuid:1", To="http://192.0.2.1/")
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    packet = HTTPMessage(method="POST", target="/a", attachments=[("picture@here", "image/png", picture)]) / soap / body
    for chunk in (None, 50):
        packet.chunk = chunk
        again = HTTPMessage(bytes(packet))
        assert again.attachments == [("picture@here", "image/png", picture)]
        assert again[SendImageRequest].DocumentId == 4
        assert again[SOAPEnvelope].Action.endswith("/SendImage")


def test_faults() -> None:
    fault = SOAPFault(Code="Sender", Subcode="InvalidArgs", SubcodeNamespace="urn:x", Reason="no", Detail="<a>1</a>")
    again = SOAPEnvelope(bytes(SOAPEnvelope(RelatesTo="urn:uuid:1") / fault))[SOAPFault]
    assert (again.Code, again.Subcode, again.SubcodeNamespace, again.Reason) == ("Sender", "InvalidArgs", "urn:x", "no")
    assert "<a>1</a>" in again.Detail


def test_an_empty_body_has_its_layer() -> None:
    assert Get in SOAPEnvelope(bytes(SOAPEnvelope(MessageID="urn:uuid:1") / Get()))


def test_a_shared_name_finds_both_services() -> None:
    packet = SOAPEnvelope() / DSC_PostScanJobEndStateEvent(JobToken="t", JobCompletedState="Completed")
    again = SOAPEnvelope(bytes(packet))
    assert again[PostScanJobEndStateEvent].JobToken == "t"
    assert type(again[PostScanJobEndStateEvent]) is DSC_PostScanJobEndStateEvent
    assert DSC_PostScanJobEndStateEvent not in SOAPEnvelope() / EndPostScanJobRequest()


def test_what_the_catalogue_does_not_know_is_kept(samples: Path) -> None:
    packets = read_wsd(samples / "dsm-vendor-state.pcapng")
    (end,) = [p for p in packets if PostScanJobEndStateEvent in p]
    (kept,) = [v for k, v in end[PostScanJobEndStateEvent].other.items() if "archive_reference" in k]
    assert "A-2026-000317" in str(kept)
    unknown = SOAPEnvelope(bytes(SOAPEnvelope(Action="urn:a") / UnknownBody(xml=b'<x xmlns="urn:v"><y/></x>')))
    assert UnknownBody in unknown


@pytest.mark.parametrize(
    "junk", [b"", b"\x00\xff" * 40, b"<a", b"POST / HTTP/1.1\r\n\r\n<a/>", b"HTTP/1.1 200\r\n\r\n"]
)
def test_junk_is_kept_raw(junk: bytes) -> None:
    for layer in (HTTPMessage, SOAPEnvelope):
        packet = layer(junk)
        packet.show(dump=True)
        assert packet.summary()
        if junk and layer is SOAPEnvelope:
            assert packet[Raw].load == junk


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_dissecting_what_was_built_gives_the_same(data: st.DataObject) -> None:
    row: MessageDecl = data.draw(st.sampled_from(ROWS))
    decl = body_decl(row)
    assert decl is not None
    layer = BODIES[row.namespace, row.name]
    values: dict[str, Any] = spread(layer.leaves, data.draw(content(decl)))
    packet = SOAPEnvelope(MessageID="urn:uuid:1") / layer(**values)
    again = SOAPEnvelope(bytes(packet))
    assert type(again.payload) is layer
    assert {k: v for k, v in again.payload.fields.items() if v != []} == {k: v for k, v in values.items() if v != []}
    assert again == packet
    carried = HTTPMessage(target="/wsd", headers=[("Host", "192.0.2.1")]) / packet
    assert HTTPMessage(bytes(carried)) == carried
