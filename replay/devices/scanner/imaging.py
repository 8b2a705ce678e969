"""From a job to the picture that is sent: the settings of its ticket, and where a device's pictures differ from them.

Sources: imageinformation.md, mediaback.md; notes-wsscan.md 57, 63, 64 (quirks).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from replay.behaviour.effects import ImageOrder, cut_image, other_image
from replay.devices.scanner.device import Device
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.pages import Page, Region
from replay.devices.scanner.render import Settings, bytes_per_line, media_type, pixel_size, render
from replay.devices.scanner.ticket import settings_for

__all__ = ["HALVED_FROM", "image_information", "scan_picture"]

HALVED_FROM = 600
"""Dots per inch from which a device with the quirk ``other-resolution`` scans with half of them."""


def image_information(device: Device, source: str, final: Mapping[str, Any]) -> dict[str, Any]:
    """The plain form of ImageInformation for final parameters."""
    made = {"media_front_image_info": _side_information(_promised(device, source, final, "front"))}
    if source == "ADFDuplex":
        made["media_back_image_info"] = _side_information(_promised(device, source, final, "back"))
    return made


async def scan_picture(
    device: Device, job: ScanJob, pages: Sequence[Page], ordered: ImageOrder | None = None
) -> tuple[bytes, str]:
    """Scan the pages of the next file of a job.

    Args:
        ordered: what is to be wrong with it.

    Returns:
        The file, and the media type of the part that carries it.

    Raises:
        OSError: a page cannot be read any more.
        ValueError: the picture is too large to be made.
    """
    made = _promised(device, job.source, job.final, "back" if job.next_is_back else "front")
    if device.quirk("ignores-scan-region"):
        made = replace(made, region=Region(0, 0, pages[0].width, pages[0].height))
    if device.quirk("feeder-as-one-pdf") and len(pages) > 1:
        made = replace(made, format="pdf-a")
    if device.quirk("other-resolution"):
        across, down = (one // 2 if one >= HALVED_FROM else one for one in made.resolution)
        made = replace(made, resolution=(across, down))
    data = await asyncio.to_thread(render, pages, made)
    if ordered is not None:
        if ordered.cut is not None:
            data = cut_image(data, ordered.cut)
        if ordered.as_format:
            data = other_image(data, ordered.as_format)
    return data, "application/octet-stream" if device.quirk("no-image-type") else media_type(made.format)


def _promised(device: Device, source: str, final: Mapping[str, Any], side: str) -> Settings:
    made = settings_for(final, side)
    whole = device.source(source, side) if device.quirk("size-of-image") else None
    return replace(made, region=Region(0, 0, *whole.maximum)) if whole is not None else made


def _side_information(settings: Settings) -> dict[str, int]:
    wide, high = pixel_size(settings)
    return {"pixels_per_line": wide, "number_of_lines": high, "bytes_per_line": bytes_per_line(settings)}
