"""What a device tells of itself when it is asked: model, device, the services that it hosts.

Rules: the sections are those of the device profile of WSD (2006/02); the address of the host is its ``urn:uuid:…``,
the addresses of the services are URLs. Facts come in as values; where a service is to be found is said by the caller,
who knows on which address the question arrived.

Sources: DPWS 2006/02, R2012, R2014, R2029, R2038 to R2044 and appendix II; WS-MetadataExchange 1.1, 4; the PnP-X
additions of Windows (``pnpxdevicecategory.md``, ``container-ids-for-dpws-devices.md`` of the win32 documentation).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lxml.etree import _Element as Element

from dissector.catalog import Field, build
from dissector.soap.model import QName
from dissector.soap.namespaces import WSDP06

__all__ = ["DIALECTS", "DeviceInfo", "HostedService", "asked_dialects", "device_metadata", "service_metadata"]

DIALECTS = ("ThisModel", "ThisDevice", "Relationship")
"""Sections that there are, in the order in which they are told."""

HOST = f"{WSDP06}/host"
"""Type of the relationship between a device and its services."""


@dataclass(frozen=True, slots=True)
class HostedService:
    """A service of a device.

    Attributes:
        service_id: URI, unique on the device.
        types: of the service, such as ``wscn:ScannerServiceType``.
        addresses: its URLs.
        compatible_id, hardware_id: of PnP-X, "" for none; several are parted by blanks.
    """

    service_id: str
    types: tuple[QName, ...]
    addresses: tuple[str, ...]
    compatible_id: str = ""
    hardware_id: str = ""

    def at(self, *addresses: str) -> HostedService:
        """The same service at these URLs."""
        return replace(self, addresses=addresses)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device; texts that are "" are left out, save those that the profile asks for.

    Attributes:
        address: ``urn:uuid:…``, the same over restarts, interfaces and versions of IP (R0004 to R0006).
        types: of the device, ``wsdp:Device`` among them.
        scopes: URIs.
        metadata_version: grows at each change of the metadata.
        manufacturer, model_name, friendly_name: always told.
        device_category: of PnP-X, such as ``Scanners``; several are parted by blanks.
        container_id: GUID that joins the functions of one box, "" for none.
    """

    address: str
    types: tuple[QName, ...]
    scopes: tuple[str, ...] = ()
    metadata_version: int = 1
    manufacturer: str = ""
    manufacturer_url: str = ""
    model_name: str = ""
    model_number: str = ""
    model_url: str = ""
    presentation_url: str = ""
    friendly_name: str = ""
    firmware_version: str = ""
    serial_number: str = ""
    device_category: str = ""
    container_id: str = ""


def device_metadata(
    info: DeviceInfo,
    services: Sequence[HostedService] = (),
    *,
    host_addresses: Sequence[str] = (),
    dialects: Collection[str] = DIALECTS,
) -> Element:
    """The answer to a Get at the device: ``wsx:Metadata``.

    Args:
        info: the device.
        services: what it hosts, with their addresses.
        host_addresses: addresses of the host; none: its ``urn:uuid:…``.
        dialects: sections that are wanted, by name or by the URI of their dialect.

    Raises:
        UsageError: a text holds characters that XML does not allow.
    """
    sections = [
        ("ThisModel", {"this_model": _model(info)}),
        ("ThisDevice", {"this_device": _device(info)}),
        ("Relationship", {"relationship": _relationship(info, services, host_addresses)}),
    ]
    return _metadata([one for one in sections if _wanted(one[0], dialects)])


def service_metadata(info: DeviceInfo, service: HostedService, *, dialects: Collection[str] = DIALECTS) -> Element:
    """The answer to a Get or GetMetadata at a hosted service: its relationship with the host, where that is wanted.

    WSDL is left out, as the services of Windows do.
    """
    sections = [("Relationship", {"relationship": _relationship(info, [service], ())})]
    return _metadata([one for one in sections if _wanted(one[0], dialects)])


def asked_dialects(question: Field | None) -> Collection[str]:
    """The sections that a question wants: those of the Dialect that a GetMetadata names (WS-MetadataExchange 1.1, 5.2;
    of those with an Identifier there are none here), all of them for anything else."""
    named = question.find("Dialect") if question is not None else None
    if question is None or named is None:
        return DIALECTS
    return () if question.find("Identifier") is not None else (named.text.strip(),)


def _wanted(name: str, dialects: Collection[str]) -> bool:
    return name in dialects or f"{WSDP06}/{name}" in dialects


def _metadata(sections: Sequence[tuple[str, Mapping[str, Any]]]) -> Element:
    told = [{"@dialect": f"{WSDP06}/{name}", **content} for name, content in sections]
    return build("wsx:Metadata", {"metadata_section": told})


def _model(info: DeviceInfo) -> dict[str, Any]:
    return {
        "manufacturer": info.manufacturer,
        "model_name": info.model_name,
        **_given(info, "manufacturer_url", "model_number", "model_url", "presentation_url", "device_category"),
    }


def _device(info: DeviceInfo) -> dict[str, Any]:
    return {
        "friendly_name": info.friendly_name,
        **_given(info, "firmware_version", "serial_number", "container_id"),
    }


def _relationship(info: DeviceInfo, services: Sequence[HostedService], host_addresses: Sequence[str]) -> dict[str, Any]:
    host = {
        "endpoint_reference": [{"address": one} for one in host_addresses or (info.address,)],
        # The schema of 2006/02 asks for a ServiceId here as well, the text only for that of Hosted.
        "service_id": "uri:" + info.address.removeprefix("urn:uuid:"),
        **({"types": list(info.types)} if info.types else {}),
    }
    hosted = [
        {
            "endpoint_reference": [{"address": one} for one in service.addresses],
            **({"types": list(service.types)} if service.types else {}),
            "service_id": service.service_id,
            **_given(service, "compatible_id", "hardware_id"),
        }
        for service in services
    ]
    return {"@type": HOST, "host": host, **({"hosted": hosted} if hosted else {})}


def _given(facts: DeviceInfo | HostedService, *names: str) -> dict[str, str]:
    return {name: getattr(facts, name) for name in names if getattr(facts, name)}
