"""A device out of a capture: the scanner that a customer has, from what it said of itself.

Taken are the metadata of the host (ThisModel, ThisDevice), and the sections of GetScannerElementsResponse:
configuration, description, default ticket. Quirks that can be seen in the traffic are set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dissector
from dissector.base.errors import UnreadableInput, UsageError
from dissector.catalog import Field
from dissector.messages import Message
from replay.devices.scanner.device import Device, stable_address
from replay.devices.scanner.device_file import default_ticket

__all__ = ["device_from_capture"]


@dataclass(slots=True)
class _Seen:
    """What one host said."""

    model: dict[str, str] = field(default_factory=dict)
    address: str = ""
    sections: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)


_TEXTS = {
    "ThisModel": {
        "Manufacturer": "manufacturer", "ManufacturerUrl": "manufacturer_url", "ModelName": "model_name",
        "ModelNumber": "model_number", "ModelUrl": "model_url", "PresentationUrl": "presentation_url",
    },
    "ThisDevice": {
        "FriendlyName": "friendly_name", "FirmwareVersion": "firmware_version", "SerialNumber": "serial_number",
    },
}  # fmt: skip
_SECTIONS = {
    "ScannerDescription": "scanner_description", "ScannerConfiguration": "scanner_configuration",
    "DefaultScanTicket": "default_scan_ticket",
}  # fmt: skip


def device_from_capture(path: str | Path, *, address: str | None = None) -> Device:
    """The scanner that a capture shows.

    Args:
        path: of the capture.
        address: IP address of the scanner, where the capture has several.

    Raises:
        UnreadableInput: the capture cannot be read, or no scanner in it told its configuration.
        UsageError: there are several scanners, and none was chosen.
    """
    hosts: dict[str, _Seen] = {}
    with dissector.open(str(path)) as capture:
        for message in capture.messages:
            if message.body is not None and message.kind in ("response", "discovery"):
                _look(message, hosts.setdefault(message.source.address, _Seen()))
            elif message.fault is not None and message.status == 200:
                hosts.setdefault(message.source.address, _Seen()).quirks["fault-status-200"] = True
    scanners = {host: seen for host, seen in hosts.items() if "scanner_configuration" in seen.sections}
    if address is not None:
        if address not in scanners:
            raise UsageError(
                f"{path}: {address} told no scanner configuration; there is {', '.join(scanners) or 'none'}"
            )
        return _device(scanners[address])
    if not scanners:
        raise UnreadableInput(
            f"{path}: no scanner in it told its configuration (GetScannerElementsResponse with ScannerConfiguration)"
        )
    if len(scanners) > 1:
        raise UsageError(
            f"{path}: several scanners told their configuration: {', '.join(scanners)}; choose one by --host"
        )
    return _device(next(iter(scanners.values())))


def _look(message: Message, seen: _Seen) -> None:
    body = message.body
    assert body is not None
    if any(one.rule == "mime.no-crlf" for one in message.findings):
        seen.quirks["bare-boundary"] = True
    if message.name == "GetResponse":
        for section, texts in _TEXTS.items():
            for one in body.find_all(f"MetadataSection/{section}"):
                _texts(one, texts, seen.model)
    elif message.name in ("ProbeMatches", "ResolveMatches", "Hello") and not seen.address:
        found = next((one for one in body.children if one.find("EndpointReference/Address")), body)
        told = found.find("EndpointReference/Address")
        seen.address = told.text.strip() if told is not None else ""
    elif message.name == "GetScannerElementsResponse":
        for data in body.find_all("ScannerElements/ElementData"):
            for section, key in _SECTIONS.items():
                inner = data.find(section)
                if inner is not None:
                    seen.sections[key] = inner.to_json()


def _texts(section: Field, wanted: Mapping[str, str], out: dict[str, str]) -> None:
    for element, key in wanted.items():
        one = section.find(element)
        if one is not None and one.text.strip():
            out.setdefault(key, one.text.strip())


def _device(seen: _Seen) -> Device:
    quirks = dict(seen.quirks)
    configuration = seen.sections["scanner_configuration"]
    largest = configuration.get("platen", {}).get("platen_maximum_size", {})
    if largest.get("width", 0) > largest.get("height", 1 << 30):
        quirks["swapped-size"] = True
    adf = configuration.get("adf", {})
    if "adf_back" in adf and adf.get("adf_supports_duplex") is False:
        quirks["duplex-flag-false"] = True
    if adf.get("adf_supports_duplex") and "adf_back" not in adf:
        quirks["duplex-without-back"] = True
    model: dict[str, Any] = {"model_name": "Scanner", **seen.model}
    model.setdefault("friendly_name", model["model_name"])
    names = (model.get("manufacturer", ""), model["model_name"], model.get("serial_number", ""))
    made = Device(
        **model,
        address=seen.address or stable_address(*names),
        configuration=configuration,
        description=seen.sections.get("scanner_description") or {"scanner_name": [{"#text": model["friendly_name"]}]},
        default_ticket=seen.sections.get("default_scan_ticket") or {},
        quirks=quirks,
    )
    if made.default_ticket:
        return made
    return replace(made, default_ticket=default_ticket(made))
