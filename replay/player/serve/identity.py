"""Who the recorded device is, read out of its recorded metadata: what discovery announces."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from dissector.catalog import Field, qname
from dissector.soap.model import QName
from replay.devices.metadata import DeviceInfo
from replay.devices.scanserver.server import DEVICE_TYPE
from replay.player.serve.session import MADE_HERE
from replay.player.serve.story import Exchange, Story

__all__ = ["identity_of"]

TYPES = {
    "WS-Scan": "wscn:ScanDeviceType",
    "WS-DSD": "wscn:ScanDeviceType",
    "WS-DSP": DEVICE_TYPE,
    "WS-DSC": DEVICE_TYPE,
}
"""Service → type of the device that offers it; clients look for it."""


def identity_of(story: Story, party: str, renamed: Callable[[str], str]) -> tuple[DeviceInfo, str]:
    """What a party says of itself, and the path where it does.

    Args:
        story: that is served.
        party: of it.
        renamed: a text with the recorded identities → with those of the virtual device.
    """
    mine = [one for one in story.exchanges if one.step.receiver == party]
    types = tuple(dict.fromkeys(qname(TYPES[one.step.service]) for one in mine if one.step.service in TYPES))
    named = f"{story.scenario.name}/{story.scenario.capture}/{party}"
    usual = DeviceInfo(
        f"urn:uuid:{uuid.uuid5(MADE_HERE, named)}", (qname("wsdp:Device"), *types),
        friendly_name=story.scenario.parties[party].role,
    )  # fmt: skip
    for one in mine:
        if one.step.name in ("Get", "GetMetadata") and (metadata := _metadata(story, one)) is not None:
            found = _told(metadata, usual, renamed)
            if found is not None:
                return found, one.question.path
    return usual, next((one.question.path for one in mine), "/")


def _metadata(story: Story, exchange: Exchange) -> Field | None:
    answer = exchange.step.answer
    found = story.recorded.message(answer, request=False) if answer is not None else None
    body = found[1].body if found is not None and found[1] is not None else None
    return body if body is not None and body.name == "Metadata" else None


def _told(metadata: Field, usual: DeviceInfo, renamed: Callable[[str], str]) -> DeviceInfo | None:
    """The metadata of a device; None for those of a service alone."""

    def text(path: str) -> str:
        return next((one.text.strip() for one in metadata.find_all(f"MetadataSection/{path}")), "")

    if not metadata.find_all("MetadataSection/ThisDevice"):
        return None
    listed = [one.value for one in metadata.find_all("MetadataSection/Relationship/Host/Types")]
    types = [one for value in listed if isinstance(value, list) for one in value if isinstance(one, QName)]
    address = text("Relationship/Host/EndpointReference/Address")
    return replace(
        usual,
        address=renamed(address) if address.startswith("urn:uuid:") else usual.address,
        types=tuple(dict.fromkeys([*types, *usual.types])),
        manufacturer=text("ThisModel/Manufacturer"),
        model_name=text("ThisModel/ModelName"),
        friendly_name=text("ThisDevice/FriendlyName"),
        firmware_version=text("ThisDevice/FirmwareVersion"),
        serial_number=text("ThisDevice/SerialNumber"),
    )
