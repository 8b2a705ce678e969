"""Judging a scan ticket: what the device will do with it, what it changes, what it refuses.

Rules: a value that the device cannot do is replaced by the nearest one that it can, and says so (Override), unless the
ticket insists (MustHonor): then the ticket is refused. What is missing comes from the default ticket (UsedDefault).

Sources: createscanjobrequest.md, documentfinalparameters.md, validatescanticketrequest.md, format.md, scanregion.md,
imagestotransfer.md; fact table wsscan.yaml rules S07 to S15, V04 to V16, C01, Q09, Q10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.catalog import Field
from replay.devices.scanner.device import Device, Source
from replay.devices.scanner.formats import COLORS, FORMATS, fits, lossless
from replay.devices.scanner.pages import Region
from replay.devices.scanner.render import Settings, bytes_per_line, pixel_size

__all__ = ["TicketFault", "TicketResult", "judge_ticket", "settings_for"]

BITS = {
    "BlackAndWhite1": 1, "Grayscale4": 4, "Grayscale8": 8, "Grayscale16": 16, "RGB24": 24, "RGB48": 48, "RGBa32": 32,
    "RGBa64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TicketFault:
    """A ticket is refused: subcode, why, and the element path."""

    subcode: str
    reason: str
    path: str


@dataclass(slots=True)
class TicketResult:
    """What became of a ticket.

    Attributes:
        valid: it can be done as it is.
        final: plain form of DocumentFinalParameters.
        corrected: plain form of ValidScanTicket, None where the ticket is valid.
        image_information: plain form of ImageInformation.
        fault: why CreateScanJob is refused, None where it is not.
        problems: what was changed, in words.
    """

    valid: bool
    final: dict[str, Any]
    corrected: dict[str, Any] | None
    image_information: dict[str, Any]
    fault: TicketFault | None = None
    problems: list[str] = field(default_factory=list)


Test = Callable[[Any], bool]
Mend = Callable[[Any], Any]


def _within(low: int, high: int) -> Test:
    return lambda one: isinstance(one, int) and low <= one <= high


def _clamp(low: int, high: int, default: int) -> Mend:
    return lambda one: min(max(one, low), high) if isinstance(one, int) else default


def _always(value: Any) -> Mend:
    return lambda one: value


class _Refusal(Exception):
    def __init__(self, fault: TicketFault) -> None:
        self.fault = fault


class _Judge:
    """One ticket under judgement."""

    def __init__(self, ticket: Field, device: Device) -> None:
        self.ticket = ticket
        self.device = device
        self.parameters = ticket.find("DocumentParameters")
        self.default: Mapping[str, Any] = device.default_ticket.get("document_parameters", {})
        self.problems: list[str] = []
        self.insisted: list[str] = []

    # -- asking ------------------------------------------------------------------------------------------------

    def given(self, path: str) -> Field | None:
        return self.parameters.find(path) if self.parameters is not None else None

    def insists(self, path: str) -> bool:
        """Whether an element or one that it stands in has MustHonor."""
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            found = self.given("/".join(names[:depth]))
            if found is not None and found.attributes.get("MustHonor", (False, ""))[0] is True:
                return True
        return False

    def fallback(self, *keys: str) -> Any:
        value: Any = self.default
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value.get("#text") if isinstance(value, Mapping) and "#text" in value else value

    def refuse(self, path: str, why: str, subcode: str = "InvalidArgs") -> _Refusal:
        return _Refusal(TicketFault(subcode, why, f"ScanTicket/DocumentParameters/{path}"))

    # -- deciding ----------------------------------------------------------------------------------------------

    def choose(
        self, path: str, key: str, out: dict[str, Any], default: Any, fits: Callable[[Any], bool],
        nearest: Callable[[Any], Any], *, subcode: str = "InvalidArgs",
    ) -> Any:  # fmt: skip
        """One simple parameter: as given, replaced, or by default; noted in ``out`` under ``key``."""
        found = self.given(path)
        name = path.rpartition("/")[2]
        if found is None or found.value is None or found.text.strip() == "":
            out[key] = default
            out[f"{key}@used_default"] = True
            return default
        value = found.value
        if fits(value):
            out[key] = value
            if self.insists(path):
                self.insisted.append(path)
            return value
        if self.insists(path) or subcode != "InvalidArgs":
            raise self.refuse(path, f"{name} {value} cannot be done", subcode)
        other = nearest(value)
        self.problems.append(f"{name} {value} replaced by {other}")
        out[key] = other
        out[f"{key}@override"] = True
        return other


def judge_ticket(ticket: Field, device: Device) -> TicketResult:
    """Judge a ticket.

    Args:
        ticket: decoded ScanTicket (of WS-Scan, WS-DSD or a scan process).
        device: what it is judged for.
    """
    judge = _Judge(ticket, device)
    try:
        return _judged(judge)
    except _Refusal as refusal:
        nothing = {"pixels_per_line": 0, "number_of_lines": 0, "bytes_per_line": 0}
        return TicketResult(
            False, {}, _corrected(ticket, dict(judge.default)), {"media_front_image_info": nothing}, refusal.fault,
            [*judge.problems, refusal.fault.reason],
        )  # fmt: skip


def _judged(judge: _Judge) -> TicketResult:
    device, final = judge.device, dict[str, Any]()
    # A device out of a capture can offer formats that are not made here (xps, jbig): they are refused.
    formats = [one for one in device.formats if one in FORMATS]
    form = str(
        judge.choose(
            "Format", "format", final, judge.fallback("format") or (formats or ("jfif",))[0],
            lambda one: str(one) in formats, lambda one: one, subcode="ClientErrorFormatNotSupported",
        )
    )  # fmt: skip
    _quality(judge, final, form)
    sources = device.sources
    source_name = str(
        judge.choose(
            "InputSource", "input_source", final, judge.fallback("input_source") or (sources or ("Platen",))[0],
            lambda one: one in sources, lambda one: "ADF" if one == "ADFDuplex" and "ADF" in sources else sources[0],
        )
    )  # fmt: skip
    most = 1 if source_name in ("Platen", "Film") else 1 << 31
    judge.choose(
        "ImagesToTransfer", "images_to_transfer", final, 1 if most == 1 else 0,
        _within(0, most), lambda one: most if isinstance(one, int) and one > most else 0,
    )  # fmt: skip
    if source_name == "Film":
        modes = (
            device.configuration.get("film", {}).get("film_scan_modes_supported", {}).get("film_scan_mode_value", [])
        )
        judge.choose(
            "FilmScanMode", "film_scan_mode", final, (modes or ["ColorSlideFilm"])[0], lambda one: one in modes,
            lambda one: (modes or ["ColorSlideFilm"])[0],
        )  # fmt: skip
    types = device.settings.get("content_types_supported", {}).get("content_type_value", [])
    judge.choose(
        "ContentType", "content_type", final, judge.fallback("content_type") or "Auto", lambda one: one in types,
        lambda one: "Auto" if "Auto" in types or not types else types[0],
    )  # fmt: skip
    front = device.source(source_name)
    assert front is not None
    _input_size(judge, final, front)
    _exposure(judge, final)
    _scaling(judge, final)
    turns = [str(one) for one in device.settings.get("rotations_supported", {}).get("rotation_value", ["0"])]
    judge.choose(
        "Rotation", "rotation", final, "0", lambda one: str(one) in turns, lambda one: "0",
    )  # fmt: skip
    final["media_sides"] = {"media_front": _side(judge, "MediaFront", front, final, form)}
    if source_name == "ADFDuplex":
        back = device.source(source_name, "back")
        assert back is not None
        name = "MediaBack" if judge.given("MediaSides/MediaBack") is not None else "MediaFront"
        final["media_sides"]["media_back"] = _side(judge, name, back, final, form)
    information = {"media_front_image_info": _information(settings_for(final, "front"))}
    if source_name == "ADFDuplex":
        information["media_back_image_info"] = _information(settings_for(final, "back"))
    valid = not judge.problems
    corrected = None if valid else _corrected(judge.ticket, _without_marks(final))
    return TicketResult(valid, final, corrected, information, None, judge.problems)


def _quality(judge: _Judge, final: dict[str, Any], form: str) -> None:
    if lossless(form):
        judge.choose(
            "CompressionQualityFactor",
            "compression_quality_factor",
            final,
            100,
            lambda one: one == 100,
            lambda one: 100,
        )
        # For a lossless format any other value is of no use (rule V16), yet no reason to call the ticket invalid.
        judge.problems[:] = [one for one in judge.problems if not one.startswith("CompressionQualityFactor")]
        return
    bounds = judge.device.settings.get("compression_quality_factor_supported", {})
    low, high = bounds.get("min_value", 1), bounds.get("max_value", 100)
    default = judge.fallback("compression_quality_factor")
    judge.choose(
        "CompressionQualityFactor", "compression_quality_factor", final,
        min(max(default if isinstance(default, int) else 75, low), high),
        lambda one: isinstance(one, int) and low <= one <= high,
        lambda one: min(max(one, low), high) if isinstance(one, int) else high,
    )  # fmt: skip


def _input_size(judge: _Judge, final: dict[str, Any], source: Source) -> None:
    auto = judge.given("InputSize/DocumentSizeAutoDetect")
    if auto is not None and auto.value is True:
        if judge.device.settings.get("document_size_auto_detect_supported"):
            final["input_size"] = {"document_size_auto_detect": True}
            return
        if judge.insists("InputSize"):
            raise judge.refuse("InputSize", "The size of the document cannot be detected")
        judge.problems.append("the size of the document cannot be detected")
    size: dict[str, Any] = {}
    most = source.maximum
    for name, key, limit in (("Width", "width", most[0]), ("Height", "height", most[1])):
        default = judge.fallback("input_size", "input_media_size", key)
        judge.choose(
            f"InputSize/InputMediaSize/{name}", key, size,
            min(default, limit) if isinstance(default, int) else limit,
            _within(1, limit), _always(limit),
        )  # fmt: skip
    final["input_size"] = {"input_media_size": size}


def _exposure(judge: _Judge, final: dict[str, Any]) -> None:
    auto = judge.given("Exposure/AutoExposure")
    if auto is not None and auto.value is True and judge.device.settings.get("auto_exposure_supported"):
        final["exposure"] = {"auto_exposure": True}
        return
    if auto is not None and auto.value is True:
        if judge.insists("Exposure"):
            raise judge.refuse("Exposure/AutoExposure", "The exposure cannot be found automatically")
        judge.problems.append("the exposure cannot be found automatically")
    made: dict[str, Any] = {}
    settings = judge.device.settings
    for name, key, limit, can in (
        ("Contrast", "contrast", 1000, settings.get("contrast_supported", True)),
        ("Brightness", "brightness", 1000, settings.get("brightness_supported", True)),
        ("Sharpness", "sharpness", 100, True),
    ):
        top = limit if can else 0
        judge.choose(
            f"Exposure/ExposureSettings/{name}", key, made, 0,
            _within(-top, top), _clamp(-top, top, 0),
        )  # fmt: skip
    final["exposure"] = {"exposure_settings": made}


def _scaling(judge: _Judge, final: dict[str, Any]) -> None:
    made: dict[str, Any] = {}
    ranges = judge.device.settings.get("scaling_range_supported", {})
    for name, key in (("ScalingWidth", "scaling_width"), ("ScalingHeight", "scaling_height")):
        bounds = ranges.get(key, {})
        low, high = bounds.get("min_value", 100), bounds.get("max_value", 100)
        judge.choose(
            f"Scaling/{name}", key, made, 100,
            _within(low, high), _clamp(low, high, 100),
        )  # fmt: skip
    final["scaling"] = made


def _side(judge: _Judge, name: str, source: Source, final: Mapping[str, Any], form: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    base = f"MediaSides/{name}"
    made["scan_region"] = _region(judge, base, source, final)
    colors = [one for one in source.colors if one in BITS] or list(source.colors) or ["RGB24"]
    fallback = judge.fallback("media_sides", "media_front", "color_processing")
    color = judge.choose(
        f"{base}/ColorProcessing", "color_processing", made, fallback if fallback in colors else colors[-1],
        lambda one: one in colors, lambda one: _nearest_color(str(one), colors),
    )  # fmt: skip
    _fit_format(judge, made, form, str(color), colors, base)
    resolution: dict[str, Any] = {}
    width = judge.choose(
        f"{base}/Resolution/Width", "width", resolution,
        _nearest(judge.fallback("media_sides", "media_front", "resolution", "width") or 300, source.widths),
        lambda one: one in source.widths, lambda one: _nearest(one, source.widths),
    )  # fmt: skip
    # No Height means square pixels (resolution.md).
    judge.choose(
        f"{base}/Resolution/Height", "height", resolution, _nearest(width, source.heights),
        lambda one: one in source.heights, lambda one: _nearest(one, source.heights),
    )  # fmt: skip
    made["resolution"] = resolution
    return made


def _fit_format(judge: _Judge, made: dict[str, Any], form: str, color: str, colors: Sequence[str], base: str) -> None:
    """A colour that the file format cannot hold gives way; where both are insisted on, they conflict."""
    if fits(form, color):
        return
    path = f"{base}/ColorProcessing"
    if judge.insists(path) and judge.insists("Format"):
        raise judge.refuse(path, f"{form} cannot hold {color}", "ClientErrorConflictingRequiredParameters")
    known = [one for one in [*colors, *COLORS] if fits(form, one)]
    other = _nearest_color(color, [one for one in known if one in colors] or known)
    judge.problems.append(f"ColorProcessing {color} replaced by {other}, which {form} can hold")
    made["color_processing"] = other
    made.pop("color_processing@used_default", None)
    made["color_processing@override"] = True


def _region(judge: _Judge, base: str, source: Source, final: Mapping[str, Any]) -> dict[str, Any]:
    """ScanRegion inside the media and the source (rules V12 to V14)."""
    made: dict[str, Any] = {}
    media = final.get("input_size", {}).get("input_media_size", {})
    for offset, extent, axis, size in (
        ("ScanRegionXOffset", "ScanRegionWidth", 0, "width"), ("ScanRegionYOffset", "ScanRegionHeight", 1, "height"),
    ):  # fmt: skip
        limit = min(source.maximum[axis], media.get(size, source.maximum[axis]))
        start = judge.choose(
            f"{base}/ScanRegion/{offset}", f"scan_region_{'xy'[axis]}_offset", made, 0,
            _within(0, limit - 1), _always(0),
        )  # fmt: skip
        judge.choose(
            f"{base}/ScanRegion/{extent}", f"scan_region_{size}", made, limit - start,
            _within(1, limit - start), _always(limit - start),
        )  # fmt: skip
    return made


def _nearest(wanted: Any, known: Sequence[int]) -> int:
    number = wanted if isinstance(wanted, int) else 300
    return min(known, key=lambda one: (abs(one - number), one))


def _nearest_color(wanted: str, known: Sequence[str]) -> str:
    """A colour for a colour, a grey for a grey, then the nearest depth."""
    gray = wanted.startswith(("Gray", "Black"))
    alike = [one for one in known if one.startswith(("Gray", "Black")) == gray] or list(known)
    return min(alike, key=lambda one: abs(BITS.get(one, 24) - BITS.get(wanted, 24)))


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


def _information(settings: Settings) -> dict[str, int]:
    """MediaFrontImageInfo or MediaBackImageInfo: what the picture will be (bytesperline.md: 0 for compressed)."""
    wide, high = pixel_size(settings)
    return {"pixels_per_line": wide, "number_of_lines": high, "bytes_per_line": bytes_per_line(settings)}


def _corrected(ticket: Field, parameters: dict[str, Any]) -> dict[str, Any]:
    job = ticket.find("JobDescription")
    description = job.to_json() if job is not None else {"job_name": "", "job_originating_user_name": ""}
    return {"job_description": description, "document_parameters": parameters}


def _without_marks(data: Any) -> Any:
    """Override and UsedDefault stand only in DocumentFinalParameters (rule S14)."""
    if isinstance(data, Mapping):
        return {key: _without_marks(value) for key, value in data.items() if "@" not in key}
    return data
