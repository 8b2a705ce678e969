"""Changing what was dissected: nothing else of the message changes, and what is damaged never raises."""

from __future__ import annotations

import gzip
import logging
import random
from pathlib import Path

import pytest
from scapy.packet import Padding, Raw

from dissector.layers import (
    EndPostScanJobRequest,
    Hello,
    HTTPMessage,
    PostScanJobEndStateEvent,
    Probe,
    SendImageRequest,
    SOAPEnvelope,
    SOAPFault,
    read_wsd,
)

HELLO = b"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<s:Header><a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Hello</a:Action>
<a:RelatesTo RelationshipType="d:Suppression">urn:1</a:RelatesTo><a:RelatesTo>urn:2</a:RelatesTo>
<a:ReplyTo><a:Address>http://x</a:Address><a:ReferenceParameters><z xmlns="urn:z">k</z></a:ReferenceParameters>
</a:ReplyTo><d:AppSequence InstanceId="5" MessageNumber="7"/><v:Mark xmlns:v="urn:v">m</v:Mark></s:Header><s:Body>
<d:Hello><a:EndpointReference><a:Address>urn:uuid:1</a:Address></a:EndpointReference>
<d:MetadataVersion>1</d:MetadataVersion></d:Hello></s:Body></s:Envelope>"""


def end_request(**fields: str) -> SOAPEnvelope:
    return SOAPEnvelope(MessageID="urn:uuid:1") / EndPostScanJobRequest(JobToken="a", **fields)


def test_a_changed_header_leaves_the_others() -> None:
    packet = SOAPEnvelope(HELLO)
    before = dict(packet.fields)
    packet.To = "urn:new"
    again = SOAPEnvelope(bytes(packet))
    assert again.fields == {**before, "To": "urn:new"}
    assert (again.RelatesTo, again.RelationshipType, again.AlsoRelatesTo) == ("urn:1", "d:Suppression", [("", "urn:2")])
    assert again.ReplyToParameters == [("{urn:z}z", "k")]
    assert again.ReferenceParameters == [("{urn:v}Mark", "m")]
    (sequence,) = again.Headers
    assert 'InstanceId="5"' in sequence
    assert again[Hello].MetadataVersion == 1


def test_every_header_of_the_samples_is_kept(samples: Path) -> None:
    for name in ("dsm-create-fault.pcapng", "scan-pull-events.pcapng", "others/disc-debian.pcap"):
        for packet in read_wsd(samples / name):
            if SOAPEnvelope in packet:
                soap = packet[SOAPEnvelope]
                soap.To = "urn:elsewhere"
                assert SOAPEnvelope(bytes(soap)) == soap


def test_a_list_changed_in_place_is_built(samples: Path) -> None:
    (end,) = [p for p in read_wsd(samples / "dsm-completed.pcapng") if PostScanJobEndStateEvent in p]
    copied = end.copy()
    copied[PostScanJobEndStateEvent].JobStateReason.append("acme:Archived")
    assert HTTPMessage(bytes(copied))[PostScanJobEndStateEvent].JobStateReason[-1] == "acme:Archived"
    assert "acme:Archived" not in end[PostScanJobEndStateEvent].JobStateReason


def test_content_coding_is_undone_when_written_anew() -> None:
    packed = gzip.compress(bytes(end_request()))
    head = b"POST /x HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    packet = HTTPMessage(head % len(packed) + packed)
    packet[EndPostScanJobRequest].JobToken = "b"
    built = bytes(packet)
    assert b"gzip" not in built
    assert built.endswith(bytes(packet[SOAPEnvelope]))
    assert HTTPMessage(built)[EndPostScanJobRequest].JobToken == "b"


def test_what_follows_a_message_is_padding() -> None:
    one = bytes(HTTPMessage() / end_request())
    packet = HTTPMessage(one + b"POST /second")
    assert packet[Padding].load == b"POST /second"
    assert bytes(packet) == one + b"POST /second"
    packet[EndPostScanJobRequest].JobToken = "bc"
    assert bytes(packet).endswith(b"</soap:Envelope>POST /second")
    assert HTTPMessage(bytes(packet))[EndPostScanJobRequest].JobToken == "bc"


def test_equal_packets_say_the_same() -> None:
    packet = HTTPMessage() / end_request()
    assert HTTPMessage(bytes(packet)) == packet
    assert packet != HTTPMessage(target="/other") / end_request()
    assert packet != HTTPMessage() / SOAPEnvelope(MessageID="urn:uuid:2") / EndPostScanJobRequest(JobToken="a")
    assert end_request() != SOAPEnvelope(MessageID="urn:uuid:1") / EndPostScanJobRequest(JobToken="b")
    assert end_request() != HTTPMessage() / end_request()


def test_a_changed_fault_keeps_headers_and_detail() -> None:
    fault = SOAPFault(
        Code="Sender", Subcode="InvalidArgs", SubcodeNamespace="urn:x", Reason="no", Detail="<a>1</a><b/>"
    )
    packet = SOAPEnvelope(RelatesTo="urn:uuid:1", To="urn:to", ReplyTo="urn:me") / fault
    again = SOAPEnvelope(bytes(packet))
    assert again == packet
    assert again.Action == "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault"
    again[SOAPFault].Reason = "yes"
    changed = SOAPEnvelope(bytes(again))
    assert (changed[SOAPFault].Detail, changed[SOAPFault].Reason) == ("<a>1</a><b/>", "yes")
    assert (changed.To, changed.ReplyTo) == ("urn:to", "urn:me")
    with pytest.raises(ValueError, match="no XML"):
        bytes(SOAPFault(Detail="<a>"))


def test_a_boundary_that_occurs_in_the_image() -> None:
    image = b"\x89PNG\r\n--dsmshark-boundary\r\n\r\n" * 3
    body = SendImageRequest(JobToken="t", DocumentId=1, href="cid:p@h")
    packet = HTTPMessage(attachments=[("p@h", "image/png", image)]) / SOAPEnvelope() / body
    assert HTTPMessage(bytes(packet)).attachments == [("p@h", "image/png", image)]


def test_a_list_that_is_one_value_is_a_field() -> None:
    types = ["{http://schemas.xmlsoap.org/ws/2006/02/devprof}Device"]
    again = SOAPEnvelope(bytes(SOAPEnvelope() / Probe(Types=types)))
    assert again[Probe].Types == types


def test_summary_tells_the_start_line() -> None:
    packet = HTTPMessage(bytes(HTTPMessage(target="/wsd") / end_request()))
    assert packet.summary() == "POST /wsd / SOAPEnvelope / EndPostScanJobRequest a"


def test_damage_never_raises_and_is_given_back(samples: Path, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(5)
    names = ("dsm-completed", "scan-pull-events", "dsm-create-fault")
    packets = [p for name in names for p in read_wsd(samples / f"{name}.pcapng")]
    caplog.set_level(logging.INFO)
    for _ in range(400):
        packet = dice.choice(packets)
        layers = [layer for layer in (packet, packet.getlayer(SOAPEnvelope)) if layer is not None]
        if SOAPEnvelope in packet:
            layers.append(packet[SOAPEnvelope].payload)
        layer = dice.choice(layers)
        data = bytearray(bytes(layer))
        for _ in range(dice.randrange(1, 5)):
            at = dice.randrange(len(data) + 1)
            data[at : at + dice.randrange(20)] = dice.randbytes(dice.randrange(3))
        again = type(layer)(bytes(data))
        assert again.show(dump=True) is not None
        assert again.summary() is not None
        assert bytes(again) == bytes(data)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_junk_in_a_message_can_be_changed() -> None:
    packet = HTTPMessage(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk")
    packet[Raw].load = b"other junk"
    again = HTTPMessage(bytes(packet))
    assert (again.complete, again[Raw].load) == (True, b"other junk")
