"""A device out of a capture: the scanner that a customer has, from what it said of itself.

Taken are the metadata of the host (ThisModel, ThisDevice), and the sections of GetScannerElementsResponse:
configuration, description, default ticket. Quirks that can be seen in the traffic are set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dissector
from dissector.base.errors import UnreadableInput, UsageError
from dissector.catalog import Field
from dissector.messages import Message
from dissector.output.notes import notes
from replay.devices.scanner.device import Device, stable_address
from replay.devices.scanner.device_file import default_ticket
from replay.devices.scanner.retold import retold

__all__ = ["Told", "device_from_capture"]


@dataclass(slots=True)
class Told:
    """What one host said of itself.

    Attributes:
        model: attributes of :class:`Device` out of ThisModel and ThisDevice.
        address: its endpoint address.
        sections: plain forms of the sections of its elements, such as can be built again; by their key.
        quirks: those that were seen.
    """

    model: dict[str, str] = field(default_factory=dict)
    address: str = ""
    sections: dict[str, Any] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        """The device that it is; ``name`` is what errors call the capture.

        Raises:
            UnreadableInput: its configuration names no input source.
        """
        model: dict[str, Any] = {"model_name": "Scanner", **self.model}
        model.setdefault("friendly_name", self._scanner_name() or model["model_name"])
        names = (model.get("manufacturer", ""), model["model_name"], model.get("serial_number", ""))
        made = Device(
            **model,
            address=self.address or stable_address(*names),
            configuration=self.sections["scanner_configuration"],
            description=self.sections.get("scanner_description")
            or {"scanner_name": [{"#text": model["friendly_name"]}]},
            default_ticket=self.sections.get("default_scan_ticket") or {},
        )
        if not made.sources:
            raise UnreadableInput(f"{name}: the scanner told a configuration without an input source")
        made = replace(made, quirks={**self.quirks, **_quirks(made)})
        return made if made.default_ticket else replace(made, default_ticket=default_ticket(made))

    def _scanner_name(self) -> str:
        """ScannerName, for a capture without metadata (rule C07: it equals the FriendlyName)."""
        names = self.sections.get("scanner_description", {}).get("scanner_name") or [""]
        name = names[0].get("#text") if isinstance(names[0], Mapping) else names[0]
        return str(name or "").strip()


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


def device_from_capture(
    path: str | Path,
    *,
    address: str | None = None,
    keylog: Sequence[str] = (),
    rsa_key: Sequence[str] = (),
    pre_master: Sequence[str] = (),
    key_password: str | None = None,
) -> Device:
    """The scanner that a capture shows.

    Args:
        path: of the capture.
        address: IP address of the scanner, where the capture has several.
        keylog, rsa_key, pre_master, key_password: keys for TLS, as :func:`dissector.open` takes them.

    Raises:
        UnreadableInput: the capture cannot be read, or no scanner in it told its configuration.
        UsageError: there are several scanners, and none was chosen.
    """
    hosts: dict[str, Told] = {}
    number = 0
    with dissector.open(
        str(path), keylog=keylog, rsa_key=rsa_key, pre_master=pre_master, key_password=key_password
    ) as capture:  # fmt: skip
        for message in capture.messages:
            number += 1
            if message.body is not None and message.kind in ("response", "discovery"):
                _look(message, hosts.setdefault(message.source.address, Told()))
            elif message.fault is not None and message.status == 200:
                hosts.setdefault(message.source.address, Told()).quirks["fault-status-200"] = True
        # What could not be read, such as TLS without keys, may be what is looked for.
        unread = "".join(f"; {text}" for text in notes(capture.stats, number))
    scanners = {host: seen for host, seen in hosts.items() if "scanner_configuration" in seen.sections}
    if address is not None:
        if address not in scanners:
            raise UsageError(
                f"{path}: {address} told no scanner configuration; there is {', '.join(scanners) or 'none'}"
            )
        return scanners[address].device(str(path))
    if not scanners:
        lacking = "no scanner in it told its configuration (GetScannerElementsResponse with ScannerConfiguration)"
        raise UnreadableInput(f"{path}: {lacking}{unread}")
    if len(scanners) > 1:
        raise UsageError(
            f"{path}: several scanners told their configuration: {', '.join(scanners)}; choose one by --host"
        )
    return next(iter(scanners.values())).device(str(path))


def _look(message: Message, seen: Told) -> None:
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
                if inner is not None and inner.decl is not None:
                    seen.sections[key] = retold(inner)


def _texts(section: Field, wanted: Mapping[str, str], out: dict[str, str]) -> None:
    for element, key in wanted.items():
        one = section.find(element)
        if one is not None and one.text.strip():
            out.setdefault(key, one.text.strip())


def _quirks(device: Device) -> dict[str, Any]:
    """What its configuration shows."""
    found: dict[str, Any] = {}
    bed = device.source("Platen")
    if bed is not None and bed.maximum[0] > bed.maximum[1]:
        found["swapped-size"] = True
    if device.says_duplex is False and device.describes_back:
        found["duplex-flag-false"] = True
    if device.says_duplex and not device.describes_back:
        found["duplex-without-back"] = True
    return found
