"""The part ``scanner`` of a device file: what the scanner can do, in few lines, and what is made of them.

Made are the plain forms of ScannerConfiguration, ScannerDescription and DefaultScanTicket. What is not said is that of
a good flatbed for A4 and Letter. Sources: scannerconfiguration.md, defaultscanticket.md; rules V05 to V07, C02 to C06.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replay.devices.scanner.device import Device
from replay.devices.scanner.formats import FORMATS, fits
from replay.devices.scanner.render import MAX_DPI
from replay.devices.scanner.section import Section

__all__ = ["SCANNER", "configuration_of", "default_ticket", "description_of"]

SCANNER = (
    "description", "formats", "quality", "content_types", "size_auto_detect", "auto_exposure", "brightness", "contrast",
    "scaling", "rotations", "platen", "adf", "film", "default_ticket", "configuration",
)  # fmt: skip
"""Keys of the part."""

A4 = (8268, 11693)
"""1/1000 inch."""

_SIDE = ("optical", "resolutions", "colors", "minimum", "maximum")
_RESOLUTIONS = (75, 100, 150, 200, 300, 600)
_COLORS = ("BlackAndWhite1", "Grayscale8", "RGB24")
_FORMATS = ("jfif", "png", "pdf-a")
_CONTENT_TYPES = ("Auto", "Text", "Photo", "Mixed")


def configuration_of(what: Section, quirks: Mapping[str, Any]) -> dict[str, Any]:
    """The plain form of ScannerConfiguration.

    Raises:
        UsageError: a value is wrong.
    """
    made: dict[str, Any] = {"device_settings": _settings(what)}
    if "platen" in what or not ("adf" in what or "film" in what):
        made["platen"] = _side(what.section("platen", _SIDE), "platen", quirks)
    if "adf" in what:
        made["adf"] = _feeder(what.section("adf", ("duplex", "front", "back")), quirks)
    if "film" in what:
        film = what.section("film", (*_SIDE, "modes"))
        modes = film.values("modes", "FilmScanMode", ["ColorSlideFilm"])
        made["film"] = {"film_scan_modes_supported": {"film_scan_mode_value": modes}, **_side(film, "film", {})}
    return made


def description_of(what: Section, friendly: str) -> dict[str, Any]:
    """The plain form of ScannerDescription, out of name, info and location.

    Raises:
        UsageError: a value is wrong.
    """
    given = what.section("description", ("name", "info", "location"))
    texts = {"name": given.text("name", friendly), "info": given.text("info"), "location": given.text("location")}
    return {f"scanner_{key}": [{"#text": text, "@lang": "en"}] for key, text in texts.items() if text or key == "name"}


def default_ticket(device: Device) -> dict[str, Any]:
    """A ticket with a value for every option that the configuration offers (defaultscanticket.md)."""
    source = next((one for one in ("Platen", "ADF", "Film") if one in device.sources), "Platen")
    side = device.source(source)
    assert side is not None, "a device has a source"
    resolution = min(side.widths, key=lambda one: abs(one - 300))
    height = min(side.heights, key=lambda one: abs(one - resolution))
    color = next((one for one in ("RGB24", "Grayscale8") if one in side.colors), side.colors[0])
    known = [one for one in ("jfif", "exif", "png", *device.formats) if one in device.formats]
    form = next((one for one in known if fits(one, color)), (known or ["jfif"])[0])
    width, length = min(side.maximum[0], A4[0]), min(side.maximum[1], A4[1])
    low, high = device.quality
    types = device.content_types
    region = {
        "scan_region_x_offset": 0, "scan_region_y_offset": 0, "scan_region_width": width, "scan_region_height": length,
    }  # fmt: skip
    front = {
        "scan_region": region, "color_processing": color, "resolution": {"width": resolution, "height": height},
    }  # fmt: skip
    parameters: dict[str, Any] = {
        "format": form,
        "compression_quality_factor": min(max(75, low), high),
        "images_to_transfer": 0 if source == "ADF" else 1,
        "input_source": source,
        **({"film_scan_mode": device.film_modes[0]} if source == "Film" else {}),
        "content_type": "Auto" if "Auto" in types or not types else types[0],
        "input_size": {"input_media_size": {"width": width, "height": length}},
        "exposure": {"exposure_settings": {"contrast": 0, "brightness": 0, "sharpness": 0}},
        "scaling": {"scaling_width": 100, "scaling_height": 100},
        "rotation": "0",
        "media_sides": {"media_front": front},
    }
    return {
        "job_description": {"job_name": "Scan", "job_originating_user_name": ""},
        "document_parameters": parameters,
    }


# -- pieces ------------------------------------------------------------------------------------------------------


def _settings(what: Section) -> dict[str, Any]:
    formats = what.values("formats", "Format", _FORMATS)
    if not FORMATS.intersection(formats):
        raise what.wrong("formats", "none of these can be made here", f"one of {', '.join(sorted(FORMATS))} at least")
    rotations = what.values("rotations", "Rotation", ["0"])
    if "0" not in rotations:
        raise what.wrong("rotations", f"rotations is {rotations!r}", "0 among them")
    scaling = what.section("scaling", ("width", "height"))
    return {
        "formats_supported": {"format_value": formats},
        "compression_quality_factor_supported": what.range("quality", [1, 100], 1, 100),
        "content_types_supported": {
            "content_type_value": what.values("content_types", "ContentType", _CONTENT_TYPES)
        },
        "document_size_auto_detect_supported": what.flag("size_auto_detect", False),
        "auto_exposure_supported": what.flag("auto_exposure", False),
        "brightness_supported": what.flag("brightness", True),
        "contrast_supported": what.flag("contrast", True),
        "scaling_range_supported": {
            "scaling_width": scaling.range("width", [100, 100], 1, 1000, covers=100),
            "scaling_height": scaling.range("height", [100, 100], 1, 1000, covers=100),
        },
        "rotations_supported": {"rotation_value": rotations},
    }  # fmt: skip


def _feeder(adf: Section, quirks: Mapping[str, Any]) -> dict[str, Any]:
    duplex = adf.flag("duplex", "back" in adf)
    made = {
        "adf_supports_duplex": duplex and "duplex-flag-false" not in quirks,
        "adf_front": _side(adf.section("front", _SIDE), "adf", quirks),
    }
    back = _side(adf.section("back" if "back" in adf else "front", _SIDE), "adf", quirks)
    if duplex and "duplex-without-back" not in quirks:
        made["adf_back"] = back
    return made


def _side(given: Section, prefix: str, quirks: Mapping[str, Any]) -> dict[str, Any]:
    optical = given.integer("optical", 600, 1, MAX_DPI)
    if isinstance(given.raw("resolutions"), Mapping):
        both = given.section("resolutions", ("widths", "heights"))
        widths = both.resolutions("widths", _RESOLUTIONS)
        heights = both.resolutions("heights", widths)
    else:
        widths = heights = given.resolutions("resolutions", _RESOLUTIONS)
    minimum, maximum = given.pair("minimum", (100, 100)), given.pair("maximum", (8500, 11700))
    if minimum[0] > maximum[0] or minimum[1] > maximum[1]:
        raise given.wrong("minimum", f"minimum is {list(minimum)}", f"no more than maximum, which is {list(maximum)}")
    if "swapped-size" in quirks and prefix != "film":
        maximum = (maximum[1], maximum[0])
    return {
        f"{prefix}_optical_resolution": {"width": optical, "height": optical},
        f"{prefix}_resolutions": {"widths": {"width": list(widths)}, "heights": {"height": list(heights)}},
        f"{prefix}_color": {"color_entry": given.values("colors", "ColorEntry", _COLORS)},
        f"{prefix}_minimum_size": {"width": minimum[0], "height": minimum[1]},
        f"{prefix}_maximum_size": {"width": maximum[0], "height": maximum[1]},
    }
