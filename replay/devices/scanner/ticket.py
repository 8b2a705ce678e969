"""Judging a scan ticket: what the device will do with it, what it changes, what it refuses.

Rules: a value that the device cannot do is replaced by the nearest one that it can, and says so (Override), unless the
ticket insists (MustHonor): then the ticket is refused. What is missing comes from the default ticket (UsedDefault).
A format that the device does not have is refused, asked for with MustHonor or not. A ticket that insists on a color is
given another format, where it does not insist on that too.

Sources: createscanjobrequest.md, documentfinalparameters.md, validatescanticketrequest.md, format.md, scanregion.md,
imagestotransfer.md; fact table wsscan.yaml rules S07 to S15, V04 to V16, C01, Q09, Q10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.catalog import Field
from replay.devices.scanner.choosing import (
    Clash,
    Refusal,
    TicketFault,
    TicketReader,
    always,
    clamp,
    one_of,
    within,
)
from replay.devices.scanner.device import Device, Source, is_number
from replay.devices.scanner.formats import BITS, COLORS, FORMATS, fits, lossless
from replay.devices.scanner.pages import Region
from replay.devices.scanner.render import Settings, bytes_per_line, pixel_size
from replay.devices.scanner.retold import plain_ticket

__all__ = ["TicketFault", "TicketResult", "judge_ticket", "settings_for"]

ALL_BITS = {**BITS, "RGB48": 48, "RGBa64": 64}
"""Bits of a pixel, of the colors that are not made too (colorentry.md)."""

MOST = (1 << 31) - 1
"""Of ImagesToTransfer from a feeder."""

SIDES = (("front", "MediaFront"), ("back", "MediaBack"))


@dataclass(slots=True)
class TicketResult:
    """What became of a ticket.

    Attributes:
        valid: it can be done as it is.
        final: plain form of DocumentFinalParameters; empty where it is refused.
        corrected: plain form of ValidScanTicket, the nearest that can be done; None where the ticket is valid.
        image_information: plain form of ImageInformation, for what would be scanned by the corrected ticket.
        fault: why CreateScanJob is refused, None where it is not.
        problems: what was changed, in words.
    """

    valid: bool
    final: dict[str, Any]
    corrected: dict[str, Any] | None
    image_information: dict[str, Any]
    fault: TicketFault | None = None
    problems: list[str] = field(default_factory=list)


def judge_ticket(ticket: Field, device: Device) -> TicketResult:
    """Judge a ticket.

    Args:
        ticket: decoded ScanTicket (of WS-Scan, WS-DSD or a scan process).
        device: what it is judged for.
    """
    reader = TicketReader(ticket, device)
    fault = None
    try:
        final = nearest = _final(reader)
    except Refusal as refusal:
        fault = refusal.fault
        final, nearest = {}, _nearest_to(ticket, device)
    problems = [*reader.problems, *([fault.reason] if fault is not None else [])]
    corrected = _corrected(ticket, nearest or _default_parameters(device)) if problems else None
    return TicketResult(not problems, final, corrected, _all_information(nearest), fault, problems)


def settings_for(final: Mapping[str, Any], side: str) -> Settings:
    """What a side is scanned with, out of the plain form of DocumentFinalParameters."""
    sides = final.get("media_sides", {})
    media = sides.get(f"media_{side}") or sides.get("media_front", {})
    region, resolution = media.get("scan_region", {}), media.get("resolution", {})
    scaling = final.get("scaling", {})
    exposure = final.get("exposure", {}).get("exposure_settings", {})
    return Settings(
        format=str(final.get("format", "jfif")),
        color=str(media.get("color_processing", "RGB24")),
        resolution=(resolution.get("width", 300), resolution.get("height", resolution.get("width", 300))),
        region=Region(
            region.get("scan_region_x_offset", 0),
            region.get("scan_region_y_offset", 0),
            region.get("scan_region_width", 8268),
            region.get("scan_region_height", 11693),
        ),
        quality=final.get("compression_quality_factor", 75),
        rotation=int(final.get("rotation", 0)),
        scaling=(scaling.get("scaling_width", 100), scaling.get("scaling_height", 100)),
        brightness=exposure.get("brightness", 0),
        contrast=exposure.get("contrast", 0),
        sharpness=exposure.get("sharpness", 0),
    )


# -- the parameters of a document --------------------------------------------------------------------------------


def _final(reader: TicketReader) -> dict[str, Any]:
    """The plain form of DocumentFinalParameters.

    Raises:
        Refusal: the ticket insists on what cannot be done.
    """
    device, final = reader.device, dict[str, Any]()
    form = _format(reader, final)
    name = _source(reader, final)
    form = _format_for_colors(reader, final, form, name)
    _quality(reader, final, form)
    _images(reader, final, name)
    _film(reader, final, name)
    types = device.content_types or ("Auto",)
    usual = "Auto" if "Auto" in types else types[0]
    reader.choose(
        "ContentType", "content_type", final, reader.fallback("content_type"), one_of(types), always(usual)
    )  # fmt: skip
    front, back = device.source(name), device.source(name, "back")
    assert front is not None, "the source was chosen among the device's own"
    assert back is not None
    _input_size(reader, final, front)
    _exposure(reader, final)
    _scaling(reader, final)
    turns = tuple(one for one in device.rotations if one in ("0", "90", "180", "270")) or ("0",)
    turned = reader.fallback("rotation")
    reader.choose("Rotation", "rotation", final, str(turned), one_of(turns), always("0" if "0" in turns else turns[0]))
    final["media_sides"] = {"media_front": _side(reader, "MediaFront", "front", front, final)}
    if name == "ADFDuplex":
        given = "MediaBack" if reader.given("MediaSides/MediaBack") is not None else "MediaFront"
        final["media_sides"]["media_back"] = _side(reader, given, "back", back, final)
    else:
        _out_of_place(reader, "MediaSides/MediaBack", "ADFDuplex" in device.sources)
    return final


def _format(reader: TicketReader, final: dict[str, Any]) -> str:
    # A device out of a capture can offer formats that are not made here (xps, jbig): they are refused.
    formats = tuple(one for one in reader.device.formats if one in FORMATS)
    found = reader.given("Format")
    asked = str(found.value) if found is not None and found.text.strip() else None
    if not formats or (asked is not None and asked not in formats and not reader.relaxed):
        why = f"Format {asked} cannot be done" if asked else "None of the formats can be done"
        raise reader.refuse("Format", why, "ClientErrorFormatNotSupported")
    default = reader.fallback("format")
    usual = default if default in formats else formats[0]
    made: str = reader.choose("Format", "format", final, default, one_of(formats), always(usual))
    return made


def _source(reader: TicketReader, final: dict[str, Any]) -> str:
    sources = reader.device.sources
    made: str = reader.choose(
        "InputSource", "input_source", final, reader.fallback("input_source"), one_of(sources),
        lambda one: "ADF" if one == "ADFDuplex" and "ADF" in sources else sources[0],
    )  # fmt: skip
    return made


def _format_for_colors(reader: TicketReader, final: dict[str, Any], form: str, source: str) -> str:
    """A format that holds the colors which the ticket insists on, where it does not insist on the format."""
    wanted = []
    for side, name in SIDES:
        path = f"MediaSides/{name}/ColorProcessing"
        found, has = reader.given(path), reader.device.source(source, side)
        if found is None or has is None or (side == "back" and source != "ADFDuplex") or not reader.insists(path):
            continue
        if found.value in has.colors:
            wanted.append((path, str(found.value)))
    missing = next((one for one in wanted if not fits(form, one[1])), None)
    if missing is None:
        return form
    path, color = missing
    if reader.insists("Format"):
        raise reader.conflict(path, f"ColorProcessing {color} cannot be done", "Format")
    known = [one for one in reader.device.formats if all(fits(one, each) for _, each in wanted)]
    if not known:
        raise reader.refuse(path, f"ColorProcessing {color} cannot be done in any of the formats")
    reader.problems.append(f"Format {form} replaced by {known[0]}, which can hold {color}")
    final["format"] = known[0]
    final.pop("format@used_default", None)
    final["format@override"] = True
    return known[0]


def _quality(reader: TicketReader, final: dict[str, Any], form: str) -> None:
    path, key = "CompressionQualityFactor", "compression_quality_factor"
    bounds = within(*reader.device.quality)
    if lossless(form):
        # Any other value is of no use for a lossless format (rule V16), yet no reason to call the ticket invalid.
        reader.choose(
            path, key, final, 100, within(100, 100), always(100), clashes=(Clash("Format", bounds),), quiet=True
        )  # fmt: skip
        return
    low, high = reader.device.quality
    reader.choose(path, key, final, reader.fallback(key), bounds, clamp(low, high, min(max(75, low), high)))


def _images(reader: TicketReader, final: dict[str, Any], source: str) -> None:
    single = source in ("Platen", "Film")
    # The default ticket's number is meant for its own source.
    own = reader.fallback("images_to_transfer") if reader.fallback("input_source") == source else None
    default = own if own is not None else 1 if single else 0
    top = 1 if single else MOST
    many = Clash("InputSource", lambda one: "ADF" in reader.device.sources and within(0, MOST)(one))
    reader.choose(
        "ImagesToTransfer", "images_to_transfer", final, default, within(0, top), clamp(0, top, 1 if single else 0),
        clashes=(many,),
    )  # fmt: skip


def _film(reader: TicketReader, final: dict[str, Any], source: str) -> None:
    modes = reader.device.film_modes
    if source == "Film":
        default = reader.fallback("film_scan_mode")
        reader.choose("FilmScanMode", "film_scan_mode", final, default, one_of(modes), always(modes[0]))
    else:
        _out_of_place(reader, "FilmScanMode", "Film" in reader.device.sources)


def _out_of_place(reader: TicketReader, path: str, elsewhere: bool) -> None:
    """A parameter of another source is left out (rules V10, V11), unless it is insisted on."""
    insisted = reader.insists_within(path)
    if insisted is None:
        return
    why = f"{path.rpartition('/')[2]} cannot be done"
    if elsewhere and reader.insists("InputSource"):
        raise reader.conflict(insisted, why, "InputSource")
    raise reader.refuse(insisted, f"{why} with this InputSource")


def _automatic(reader: TicketReader, path: str, keys: tuple[str, str], cannot: str) -> bool:
    """Whether the device finds out by itself what the element would say.

    Args:
        reader: of the ticket.
        path: element, and its child that asks for it.
        keys: the same in the plain form.
        cannot: what is wrong where the device cannot do it, in words.

    Raises:
        SoapFault: the ticket insists on it, and the device cannot.
    """
    auto = reader.given(path)
    wanted = auto is not None and auto.value is True
    if reader.given(path.partition("/")[0]) is None:
        wanted = reader.fallback(*keys) is True
    if wanted and reader.device.can(keys[1]):
        return True
    if wanted and auto is not None:
        if reader.insists(path):
            raise reader.refuse(path, cannot[0].upper() + cannot[1:])
        reader.problems.append(cannot)
    return False


def _input_size(reader: TicketReader, final: dict[str, Any], source: Source) -> None:
    keys = ("input_size", "document_size_auto_detect")
    if _automatic(reader, "InputSize/DocumentSizeAutoDetect", keys, "the size of the document cannot be detected"):
        final["input_size"] = {"document_size_auto_detect": True}
        return
    size: dict[str, Any] = {}
    for axis, (name, key) in enumerate((("Width", "width"), ("Height", "height"))):
        low, high = source.minimum[axis], source.maximum[axis]
        reader.choose(
            f"InputSize/InputMediaSize/{name}", key, size, reader.fallback("input_size", "input_media_size", key),
            within(low, high), clamp(low, high, high),
        )  # fmt: skip
    final["input_size"] = {"input_media_size": size}


def _exposure(reader: TicketReader, final: dict[str, Any]) -> None:
    keys = ("exposure", "auto_exposure")
    if _automatic(reader, "Exposure/AutoExposure", keys, "the exposure cannot be found automatically"):
        final["exposure"] = {"auto_exposure": True}
        return
    made: dict[str, Any] = {}
    for name, key, limit, can in (
        ("Contrast", "contrast", 1000, reader.device.can("contrast", True)),
        ("Brightness", "brightness", 1000, reader.device.can("brightness", True)),
        ("Sharpness", "sharpness", 100, True),
    ):
        top = limit if can else 0
        default = reader.fallback("exposure", "exposure_settings", key)
        reader.choose(f"Exposure/ExposureSettings/{name}", key, made, default, within(-top, top), clamp(-top, top, 0))
    final["exposure"] = {"exposure_settings": made}


def _scaling(reader: TicketReader, final: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    for name, key in (("ScalingWidth", "scaling_width"), ("ScalingHeight", "scaling_height")):
        low, high = reader.device.scaling(key)
        default = reader.fallback("scaling", key)
        usual = min(max(100, low), high)
        reader.choose(f"Scaling/{name}", key, made, default, within(low, high), clamp(low, high, usual))
    final["scaling"] = made


# -- the sides of the media --------------------------------------------------------------------------------------


def _side(reader: TicketReader, name: str, side: str, source: Source, final: Mapping[str, Any]) -> dict[str, Any]:
    base = f"MediaSides/{name}"
    made: dict[str, Any] = {"scan_region": _region(reader, base, source, final)}
    default = reader.fallback("media_sides", f"media_{side}") or reader.fallback("media_sides", "media_front")
    usual = default if isinstance(default, Mapping) else {}
    # What the format cannot hold gives way; a color that is insisted on chose the format already. A device out of a
    # capture can offer formats that hold none of its colors, and colors that are not made here.
    form = str(final["format"])
    colors = [one for one in source.colors if fits(form, one)] or [one for one in sorted(COLORS) if fits(form, one)]
    reader.choose(
        f"{base}/ColorProcessing", "color_processing", made, usual.get("color_processing"), one_of(tuple(colors)),
        lambda one: _nearest_color(str(one), colors) if one else colors[-1],
    )  # fmt: skip
    pixels = usual.get("resolution")
    resolution: dict[str, Any] = {}
    width = reader.choose(
        f"{base}/Resolution/Width", "width", resolution, pixels.get("width") if isinstance(pixels, Mapping) else None,
        source.widths.__contains__, lambda one: _nearest(one, source.widths),
    )  # fmt: skip
    # No Height means square pixels (resolution.md).
    reader.choose(
        f"{base}/Resolution/Height", "height", resolution, width, source.heights.__contains__,
        lambda one: _nearest(one, source.heights),
    )  # fmt: skip
    made["resolution"] = resolution
    return made


def _region(reader: TicketReader, base: str, source: Source, final: Mapping[str, Any]) -> dict[str, Any]:
    """ScanRegion inside the media and the source (rules V12 to V14)."""
    made: dict[str, Any] = {}
    media = final.get("input_size", {}).get("input_media_size", {})
    for axis, (letter, size) in enumerate((("x", "width"), ("y", "height"))):
        most = source.maximum[axis]
        limit = min(most, media.get(size, most))
        offset = f"{base}/ScanRegion/ScanRegion{letter.upper()}Offset"
        of_media = Clash("InputSize", within(0, most))
        start = reader.choose(
            offset, f"scan_region_{letter}_offset", made, 0, within(0, limit - 1), always(0),
            clashes=(of_media,),
        )  # fmt: skip
        reader.choose(
            f"{base}/ScanRegion/ScanRegion{size.capitalize()}", f"scan_region_{size}", made, limit - start,
            within(1, limit - start), always(limit - start),
            clashes=(Clash("InputSize", within(1, most - start)), Clash(offset, within(1, limit))),
        )  # fmt: skip
    return made


def _nearest(wanted: Any, known: Sequence[int]) -> int:
    number = wanted if is_number(wanted) else 300
    return min(known, key=lambda one: (abs(one - number), one))


def _nearest_color(wanted: str, known: Sequence[str]) -> str:
    """A color for a color, a grey for a grey, then the nearest depth."""
    gray = wanted.startswith(("Gray", "Black"))
    alike = [one for one in known if one.startswith(("Gray", "Black")) == gray] or list(known)
    return min(alike, key=lambda one: abs(ALL_BITS.get(one, 24) - ALL_BITS.get(wanted, 24)))


# -- what is told ------------------------------------------------------------------------------------------------


def _all_information(final: Mapping[str, Any]) -> dict[str, Any]:
    """ImageInformation; of nothing where nothing can be scanned."""
    if not final:
        return {"media_front_image_info": {"pixels_per_line": 0, "number_of_lines": 0, "bytes_per_line": 0}}
    sides = [side for side, _ in SIDES if f"media_{side}" in final["media_sides"]]
    return {f"media_{side}_image_info": _information(settings_for(final, side)) for side in sides}


def _information(settings: Settings) -> dict[str, int]:
    """MediaFrontImageInfo or MediaBackImageInfo: what the picture will be (bytesperline.md: 0 for compressed)."""
    wide, high = pixel_size(settings)
    return {"pixels_per_line": wide, "number_of_lines": high, "bytes_per_line": bytes_per_line(settings)}


def _nearest_to(ticket: Field, device: Device) -> dict[str, Any]:
    """DocumentFinalParameters for a refused ticket, as if it insisted on nothing; empty where nothing can be done."""
    try:
        return _final(TicketReader(ticket, device, relaxed=True))
    except Refusal:
        return {}


def _default_parameters(device: Device) -> Mapping[str, Any]:
    found = device.default_ticket.get("document_parameters")
    return found if isinstance(found, Mapping) else {}


def _corrected(ticket: Field, parameters: Mapping[str, Any]) -> dict[str, Any]:
    job = ticket.find("JobDescription")
    description = plain_ticket(job) if job is not None and job.decl is not None else {}
    return {
        "job_description": {"job_name": "", "job_originating_user_name": "", **description},
        "document_parameters": _without_marks(parameters),
    }


def _without_marks(data: Any) -> Any:
    """Override and UsedDefault stand only in DocumentFinalParameters (rule S14)."""
    if isinstance(data, Mapping):
        return {key: _without_marks(value) for key, value in data.items() if "@" not in key}
    return data
