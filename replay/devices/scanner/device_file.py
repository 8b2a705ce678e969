"""Device files: a scanner described in YAML, in few lines, and the profiles that ship.

    device:
      manufacturer: Example
      model_name: Model 1
    scanner:
      formats: [jfif, png]
      platen: {resolutions: [150, 300], colors: [Grayscale8, RGB24], maximum: [8500, 11700]}
    quirks: [bare-boundary, {busy-after-job: 30}]

All parts may be left out. ``scanner.configuration`` may hold the whole ScannerConfiguration in the catalogue's plain
form (``dsmshark read --json`` prints it) in place of the short form.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from dissector.base.errors import UsageError
from dissector.catalog import ENUMS, build
from replay.base.yamlfile import dump_yaml, load_yaml, parse_yaml, wrong
from replay.devices.scanner.device import Device, JobLimits, stable_address
from replay.devices.scanner.quirks import QUIRKS

__all__ = ["device_of", "device_to_yaml", "load_device", "profiles"]

SIDE = {
    "optical": 600, "resolutions": [75, 100, 150, 200, 300, 600], "colors": ["BlackAndWhite1", "Grayscale8", "RGB24"],
    "minimum": [100, 100], "maximum": [8500, 11700],
}  # fmt: skip
"""A side of a source where a file says nothing else."""

CONTENT_TYPES = ["Auto", "Text", "Photo", "Mixed"]

_DEVICE = (
    "manufacturer", "manufacturer_url", "model_name", "model_number", "model_url", "presentation_url", "friendly_name",
    "firmware_version", "serial_number", "uuid", "scopes",
)  # fmt: skip
_SCANNER = (
    "description", "formats", "quality", "content_types", "size_auto_detect", "auto_exposure", "brightness", "contrast",
    "scaling", "rotations", "platen", "adf", "film", "default_ticket", "configuration",
)  # fmt: skip
_JOBS = ("active", "history", "first_image_timeout", "next_image_timeout")


def profiles() -> dict[str, str]:
    """The profiles that ship: name → what it is."""
    found = {}
    for one in sorted(
        resources.files("replay.devices.scanner").joinpath("profiles").iterdir(), key=lambda one: one.name
    ):
        if one.name.endswith(".yaml"):
            first = one.read_text(encoding="utf-8").partition("\n")[0]
            found[one.name.removesuffix(".yaml")] = first.lstrip("# ").strip()
    return found


def load_device(name: str | Path) -> Device:
    """A device by file or by the name of a profile.

    Raises:
        UnreadableInput: the file cannot be read.
        UsageError: something in it is wrong; says file, line and what was expected.
    """
    text = str(name)
    if "/" not in text and not text.endswith((".yaml", ".yml")):
        place = resources.files("replay.devices.scanner").joinpath("profiles", f"{text}.yaml")
        if place.is_file():
            return device_of(parse_yaml(place.read_text(encoding="utf-8"), f"profile {text}"), f"profile {text}")
        if not Path(text).exists():
            near = difflib.get_close_matches(text, profiles(), 3)
            raise UsageError(
                f"there is no device file and no profile {text!r}" + (f"; near: {', '.join(near)}" if near else "")
                + "; --profiles lists them"
            )  # fmt: skip
    return device_of(load_yaml(name), text)


def device_of(data: Any, name: str = "device") -> Device:
    """A device from loaded YAML; ``name`` is what errors call it.

    Raises:
        UsageError: something in it is wrong.
    """
    data = {} if data is None else data
    if not isinstance(data, Mapping):
        raise wrong(name, data, None, "no device", "a mapping with device, scanner, jobs, quirks")
    _known(name, data, ("device", "scanner", "jobs", "quirks"))
    who = _mapping(name, data, "device")
    what = _mapping(name, data, "scanner")
    _known(name, who, _DEVICE)
    _known(name, what, _SCANNER)
    texts: dict[str, Any] = {key: str(value) for key, value in who.items() if key not in ("uuid", "scopes")}
    texts.setdefault("friendly_name", texts.get("model_name", "Emulated scanner"))
    quirks = _quirks(name, data)
    configuration = _configuration(name, what, quirks)
    made = Device(
        **texts,
        address=_address(who, texts),
        scopes=tuple(str(one) for one in who.get("scopes", ())),
        configuration=configuration,
        description=_description(what, texts["friendly_name"]),
        quirks=quirks,
        jobs=_jobs(name, data),
    )
    _buildable(name, what, "configuration", "wscn:ScannerConfiguration", made.configuration)
    _buildable(name, what, "description", "wscn:ScannerDescription", made.description)
    if not made.sources:
        raise wrong(name, what, "configuration", "the scanner has no input source", "platen, adf or film")
    ticket = what.get("default_ticket")
    made = replace(made, default_ticket=_plain(ticket) if ticket is not None else default_ticket(made))
    _buildable(name, what, "default_ticket", "wscn:DefaultScanTicket", made.default_ticket)
    return made


def device_to_yaml(device: Device) -> str:
    """The device file of a device, whole: configuration, ticket and description in the catalogue's plain form."""
    who = {key: getattr(device, key) for key in _DEVICE if key not in ("uuid", "scopes") and getattr(device, key)}
    who["uuid"] = device.address.removeprefix("urn:uuid:")
    if device.scopes:
        who["scopes"] = list(device.scopes)
    data: dict[str, Any] = {
        "device": who,
        "scanner": {
            "description": _plain(device.description),
            "configuration": _plain(device.configuration),
            "default_ticket": _plain(device.default_ticket),
        },
        "jobs": {key: getattr(device.jobs, key) for key in _JOBS},
    }
    if device.quirks:
        data["quirks"] = [name if value is True else {name: value} for name, value in device.quirks.items()]
    return dump_yaml(data)


def default_ticket(device: Device) -> dict[str, Any]:
    """A ticket with a value for every option that the configuration offers (defaultscanticket.md)."""
    source = next((one for one in ("Platen", "ADF", "Film") if one in device.sources), "Platen")
    side = device.source(source)
    assert side is not None
    resolution = min(side.widths, key=lambda one: abs(one - 300))
    height = min(side.heights, key=lambda one: abs(one - resolution))
    color = next((one for one in ("RGB24", "Grayscale8") if one in side.colors), (side.colors or ("RGB24",))[0])
    width, length = min(side.maximum[0], 8268), min(side.maximum[1], 11693)
    settings = device.settings
    quality = settings.get("compression_quality_factor_supported", {}).get("max_value", 100)
    types = settings.get("content_types_supported", {}).get("content_type_value", ["Auto"])
    form = next((one for one in ("jfif", "exif", "png") if one in device.formats), (device.formats or ("jfif",))[0])
    front = {
        "scan_region": {
            "scan_region_x_offset": 0, "scan_region_y_offset": 0, "scan_region_width": width,
            "scan_region_height": length,
        },
        "color_processing": color,
        "resolution": {"width": resolution, "height": height},
    }  # fmt: skip
    return {
        "job_description": {"job_name": "Scan", "job_originating_user_name": ""},
        "document_parameters": {
            "format": form,
            "compression_quality_factor": min(75, quality) if isinstance(quality, int) else 75,
            "images_to_transfer": 1 if source == "Platen" else 0,
            "input_source": source,
            "content_type": types[0] if isinstance(types, list) and types else "Auto",
            "input_size": {"input_media_size": {"width": width, "height": length}},
            "exposure": {"exposure_settings": {"contrast": 0, "brightness": 0, "sharpness": 0}},
            "scaling": {"scaling_width": 100, "scaling_height": 100},
            "rotation": "0",
            "media_sides": {"media_front": front},
        },
    }


# -- pieces ------------------------------------------------------------------------------------------------------


def _buildable(name: str, what: Mapping[str, Any], key: str, element: str, value: Any) -> None:
    try:
        build(element, value)
    except UsageError as error:
        raise wrong(name, what, key, str(error), f"the plain form of {element}") from error


def _known(name: str, data: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in data:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, 1)
            raise wrong(name, data, key, f"{key} is not known", near[0] if near else ", ".join(keys))


def _mapping(name: str, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise wrong(name, data, key, f"{key} is {found!r}", "a mapping")
    return found


def _address(who: Mapping[str, Any], texts: Mapping[str, Any]) -> str:
    given = str(who.get("uuid", "")).removeprefix("urn:uuid:").strip("{}")
    if given:
        return f"urn:uuid:{given}"
    return stable_address(
        *(texts.get(key, "") for key in ("manufacturer", "model_name", "friendly_name", "serial_number"))
    )


def _quirks(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    given = data.get("quirks") or []
    if not isinstance(given, list):
        raise wrong(name, data, "quirks", f"quirks is {given!r}", "a list")
    found: dict[str, Any] = {}
    for place, one in enumerate(given):
        pairs = one.items() if isinstance(one, Mapping) else [(one, True)]
        for key, value in pairs:
            quirk = QUIRKS.get(str(key))
            if quirk is None:
                near = difflib.get_close_matches(str(key), QUIRKS, 1)
                raise wrong(name, given, place, f"there is no quirk {key}", near[0] if near else ", ".join(QUIRKS))
            if (
                quirk.value == "seconds"
                and value is not True
                and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0)
            ):
                raise wrong(name, given, place, f"{key} is {value!r}", "seconds")
            found[str(key)] = value
    return found


def _jobs(name: str, data: Mapping[str, Any]) -> JobLimits:
    given = _mapping(name, data, "jobs")
    _known(name, given, _JOBS)
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise wrong(name, given, key, f"{key} is {value!r}", "a number above 0")
    return JobLimits(**given)


def _description(what: Mapping[str, Any], friendly: str) -> dict[str, Any]:
    given = what.get("description") or {}
    if "scanner_name" in given:
        plain: dict[str, Any] = _plain(given)
        return plain
    made: dict[str, Any] = {"scanner_name": [{"#text": str(given.get("name", friendly)), "@lang": "en"}]}
    for key in ("info", "location"):
        if key in given:
            made[f"scanner_{key}"] = [{"#text": str(given[key]), "@lang": "en"}]
    return made


def _configuration(name: str, what: Mapping[str, Any], quirks: Mapping[str, Any]) -> dict[str, Any]:
    given = what.get("configuration")
    if given is not None:
        plain: dict[str, Any] = _plain(given)
        return plain
    scaling = what.get("scaling") or {}
    made: dict[str, Any] = {
        "device_settings": {
            "formats_supported": {"format_value": _values(name, what, "formats", "Format", ["jfif", "png", "pdf-a"])},
            "compression_quality_factor_supported": _range(name, what, "quality", [1, 100]),
            "content_types_supported": {
                "content_type_value": _values(name, what, "content_types", "ContentType", CONTENT_TYPES)
            },
            "document_size_auto_detect_supported": bool(what.get("size_auto_detect", False)),
            "auto_exposure_supported": bool(what.get("auto_exposure", False)),
            "brightness_supported": bool(what.get("brightness", True)),
            "contrast_supported": bool(what.get("contrast", True)),
            "scaling_range_supported": {
                "scaling_width": _range(name, scaling, "width", [100, 100]),
                "scaling_height": _range(name, scaling, "height", [100, 100]),
            },
            "rotations_supported": {"rotation_value": _values(name, what, "rotations", "Rotation", ["0"])},
        }
    }  # fmt: skip
    if "platen" in what or ("adf" not in what and "film" not in what):
        made["platen"] = _side(name, what.get("platen") or {}, "platen", quirks)
    if "adf" in what:
        adf = what["adf"] or {}
        duplex = bool(adf.get("duplex", "back" in adf))
        made["adf"] = {
            "adf_supports_duplex": duplex and "duplex-flag-false" not in quirks,
            "adf_front": _side(name, adf.get("front") or {}, "adf", quirks),
        }
        if duplex and "duplex-without-back" not in quirks:
            made["adf"]["adf_back"] = _side(name, adf.get("back") or adf.get("front") or {}, "adf", quirks)
    if "film" in what:
        film = what["film"] or {}
        modes = _values(name, film, "modes", "FilmScanMode", ["ColorSlideFilm"])
        made["film"] = {
            "film_scan_modes_supported": {"film_scan_mode_value": modes},
            **_side(name, film, "film", quirks),
        }
    return made


def _side(name: str, given: Mapping[str, Any], prefix: str, quirks: Mapping[str, Any]) -> dict[str, Any]:
    _known(name, given, (*SIDE, "modes"))
    optical = given.get("optical", SIDE["optical"])
    resolutions = given.get("resolutions", SIDE["resolutions"])
    if not isinstance(resolutions, list) or not all(isinstance(one, int) and 0 < one <= 9600 for one in resolutions):
        raise wrong(name, given, "resolutions", f"resolutions is {resolutions!r}", "a list of dots per inch")
    minimum, maximum = (_pair(name, given, key) for key in ("minimum", "maximum"))
    if "swapped-size" in quirks:
        maximum = (maximum[1], maximum[0])
    return {
        f"{prefix}_optical_resolution": {"width": optical, "height": optical},
        f"{prefix}_resolutions": {"widths": {"width": list(resolutions)}, "heights": {"height": list(resolutions)}},
        f"{prefix}_color": {"color_entry": _values(name, given, "colors", "ColorEntry", SIDE["colors"])},
        f"{prefix}_minimum_size": {"width": minimum[0], "height": minimum[1]},
        f"{prefix}_maximum_size": {"width": maximum[0], "height": maximum[1]},
    }


def _pair(name: str, given: Mapping[str, Any], key: str) -> tuple[int, int]:
    value = given.get(key, SIDE[key])
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) and one > 0 for one in value)):
        raise wrong(name, given, key, f"{key} is {value!r}", "[width, height] in 1/1000 inch")
    return value[0], value[1]


def _range(name: str, given: Mapping[str, Any], key: str, default: Sequence[int]) -> dict[str, int]:
    value = given.get(key, default)
    if not (isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(one, int) for one in value)
            and value[0] <= value[1]):  # fmt: skip
        raise wrong(name, given, key, f"{key} is {value!r}", "[lowest, highest]")
    return {"min_value": value[0], "max_value": value[1]}


def _values(name: str, given: Mapping[str, Any], key: str, enum: str, default: Any) -> list[str]:
    value = given.get(key, default)
    known = ENUMS[f"wscn:{enum}"].values
    if not isinstance(value, list) or not value:
        raise wrong(name, given, key, f"{key} is {value!r}", f"a list of {enum} values: {', '.join(known)}")
    for one in value:
        # Vendors' own values have a prefix, or the shape of a media type.
        if str(one) not in known and ":" not in str(one) and "/" not in str(one):
            near = difflib.get_close_matches(str(one), known, 1)
            raise wrong(name, given, key, f"{one} is no {enum}", near[0] if near else ", ".join(known))
    return [str(one) for one in value]


def _plain(value: Any) -> Any:
    """Loaded YAML as plain Python."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return str(value)
    return value
