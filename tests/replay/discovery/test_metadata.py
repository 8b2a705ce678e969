"""Metadata of an emulated device: what is put in is read back, and nothing is missing."""

from __future__ import annotations

from typing import Any

import pytest
from lxml.etree import _Element as Element

from dissector.base.errors import UsageError
from dissector.catalog import Field, build, check, decode, findings_of, qname
from dissector.soap.build import build_envelope
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import QName
from dissector.soap.namespaces import DF, PNPX, WPRT, WSCN, WSDP06
from replay.devices.metadata import (
    DeviceInfo,
    HostedService,
    asked_dialects,
    device_metadata,
    service_metadata,
)

ADDRESS = "urn:uuid:4509a320-00a0-008f-00b6-002507510eca"
INFO = DeviceInfo(
    ADDRESS, (qname("wsdp:Device"), qname("wscn:ScanDeviceType")), ("http://example.com/floor/1",), 3, "Example & Sons",
    "http://example.com", "Büroscanner <2>", "S-2", "http://example.com/s2", "http://192.0.2.20/", "Scanner, hall",
    "1.0.7", "SN1", "Scanners MFP", "{4509a320-00a0-008f-00b6-006a7023f0bb}",
)  # fmt: skip
SCAN = HostedService(
    "uri:scan", (qname("wscn:ScannerServiceType"), QName("urn:example", "Other", "wscn")), (),
    f"{WSCN}/ScannerServiceType", "VEN_0103&DEV_069D",
).at("http://192.0.2.20:5358/scan", "http://[2001:db8::20]:5358/scan")  # fmt: skip
PRINT = HostedService("uri:print", (QName(WPRT, "PrinterServiceType"),), ("http://192.0.2.20:5358/print",))


def reread(body: Element) -> Field:
    """The body after a journey in an envelope."""
    envelope, findings = parse_envelope(build_envelope(body, action="urn:a"))
    assert envelope is not None
    assert envelope.content is not None
    assert findings == []
    field = decode(envelope.content)
    assert [*check(field), *findings_of(field)] == []
    return field


def section(field: Field, name: str) -> Field:
    found = [one for one in field.find_all("MetadataSection") if one.attributes["Dialect"][0] == f"{WSDP06}/{name}"]
    assert len(found) == 1
    inner = found[0].find(name)
    assert inner is not None
    return inner


def texts(field: Field) -> dict[str, str]:
    return {child.name: child.text for child in field.children}


def test_all_facts_are_read_back() -> None:
    field = reread(device_metadata(INFO, [SCAN, PRINT]))
    assert texts(section(field, "ThisModel")) == {
        "Manufacturer": "Example & Sons", "ManufacturerUrl": "http://example.com", "ModelName": "Büroscanner <2>",
        "ModelNumber": "S-2", "ModelUrl": "http://example.com/s2", "PresentationUrl": "http://192.0.2.20/",
        "DeviceCategory": "Scanners MFP",
    }  # fmt: skip
    assert texts(section(field, "ThisDevice")) == {
        "FriendlyName": "Scanner, hall", "FirmwareVersion": "1.0.7", "SerialNumber": "SN1",
        "ContainerId": "{4509a320-00a0-008f-00b6-006a7023f0bb}",
    }  # fmt: skip
    relationship = section(field, "Relationship")
    assert relationship.attributes["Type"][0] == f"{WSDP06}/host"
    host = relationship.find("Host")
    assert host is not None
    assert [one.text for one in host.find_all("EndpointReference/Address")] == [ADDRESS]
    assert [str(one) for one in host.get("Types")] == [str(one) for one in INFO.types]
    scan, printer = relationship.find_all("Hosted")
    assert [one.text for one in scan.find_all("EndpointReference/Address")] == list(SCAN.addresses)
    # The second type's wanted prefix belongs to another namespace; the name is the same all the same.
    assert [str(one) for one in scan.get("Types")] == [str(one) for one in SCAN.types]
    assert scan.get("ServiceId") == "uri:scan"
    assert scan.get("HardwareId") == ["VEN_0103&DEV_069D"]
    assert scan.get("CompatibleId") == [f"{WSCN}/ScannerServiceType"]
    assert printer.find("CompatibleId") is None
    assert printer.get("ServiceId") == "uri:print"


def test_additions_of_windows_stand_in_their_namespaces() -> None:
    body = device_metadata(INFO, [SCAN])
    for name in (f"{{{PNPX}}}DeviceCategory", f"{{{DF}}}ContainerId", f"{{{PNPX}}}HardwareId"):
        assert body.find(f".//{name}") is not None, name


def test_what_is_not_told_is_left_out() -> None:
    bare = DeviceInfo(ADDRESS, (), manufacturer="M", model_name="N", friendly_name="F")
    field = reread(device_metadata(bare))
    assert texts(section(field, "ThisModel")) == {"Manufacturer": "M", "ModelName": "N"}
    assert texts(section(field, "ThisDevice")) == {"FriendlyName": "F"}
    assert [child.name for child in section(field, "Relationship").children] == ["Host"]


@pytest.mark.parametrize("dialects", [("ThisDevice",), (f"{WSDP06}/ThisDevice",)])
def test_one_dialect(dialects: tuple[str, ...]) -> None:
    field = reread(device_metadata(INFO, [SCAN], dialects=dialects))
    assert [one.children[0].name for one in field.find_all("MetadataSection")] == ["ThisDevice"]


def test_host_at_other_addresses() -> None:
    field = reread(device_metadata(INFO, host_addresses=["http://192.0.2.20/a", "http://192.0.2.21/a"]))
    found = section(field, "Relationship").find_all("Host/EndpointReference/Address")
    assert [one.text for one in found] == ["http://192.0.2.20/a", "http://192.0.2.21/a"]


def test_service_tells_its_host_and_itself() -> None:
    field = reread(service_metadata(INFO, PRINT))
    assert [one.children[0].name for one in field.find_all("MetadataSection")] == ["Relationship"]
    relationship = section(field, "Relationship")
    assert [one.text for one in relationship.find_all("Host/EndpointReference/Address")] == [ADDRESS]
    assert [one.get("ServiceId") for one in relationship.find_all("Hosted")] == ["uri:print"]


@pytest.mark.parametrize("field", ["model_name", "serial_number"])
def test_text_that_xml_does_not_allow(field: str) -> None:
    facts: dict[str, Any] = {field: "bell \x07"}
    with pytest.raises(UsageError, match="cannot stand in XML"):
        device_metadata(DeviceInfo(ADDRESS, (), **facts))


@pytest.mark.parametrize(
    ("question", "of_device", "of_service"),
    [
        (None, ["ThisModel", "ThisDevice", "Relationship"], ["Relationship"]),
        ({}, ["ThisModel", "ThisDevice", "Relationship"], ["Relationship"]),
        ({"dialect": f"{WSDP06}/ThisModel"}, ["ThisModel"], []),
        ({"dialect": f" {WSDP06}/Relationship\n"}, ["Relationship"], ["Relationship"]),
        ({"dialect": "http://schemas.xmlsoap.org/wsdl/"}, [], []),
        ({"dialect": f"{WSDP06}/ThisModel", "identifier": "urn:x"}, [], []),
    ],
)
def test_get_metadata_asks_for_the_sections_of_a_dialect(
    question: dict[str, str] | None, of_device: list[str], of_service: list[str]
) -> None:
    wanted = asked_dialects(None if question is None else decode(build("wsx:GetMetadata", question)))
    told = [
        [one.attributes["Dialect"][0].removeprefix(f"{WSDP06}/") for one in reread(body).find_all("MetadataSection")]
        for body in (device_metadata(INFO, [SCAN], dialects=wanted), service_metadata(INFO, SCAN, dialects=wanted))
    ]
    assert told == [of_device, of_service]
