"""What an emulated scanner is: names, configuration, default ticket, quirks.

Configuration, description and ticket are kept in the plain form of the catalogue (what ``Field.to_json`` gives and
``build`` takes), so that a real device's own can be used as they are. What a real device said may lack parts, or hold
texts where numbers are due: reading it here never raises, what cannot be read counts as not said.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.catalog import ENUMS
from dissector.soap.model import QName
from replay.devices.scanner.render import MAX_DPI

__all__ = ["Device", "JobLimits", "Source", "is_number", "stable_address"]

MAX_SIZE = (1 << 31) - 1
"""1/1000 inch: the largest xs:int."""

WHOLE = (8500, 11700)
"""Width and height of the largest media where a configuration does not tell: A4 and Letter fit."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Bounds and times of jobs; seconds.

    Attributes:
        active: jobs at once.
        history: ended jobs remembered.
        first_image_timeout, next_image_timeout: createscanjobresponse.md: 60 s each.
    """

    active: int = 1
    history: int = 20
    first_image_timeout: float = 60.0
    next_image_timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """One side of an input source, as the configuration has it.

    Attributes:
        widths, heights: resolutions, dots per inch, ascending; at least one each.
        colors: ColorEntry values; at least one.
        minimum, maximum: (width, height) in 1/1000 inch.
    """

    widths: tuple[int, ...]
    heights: tuple[int, ...]
    colors: tuple[str, ...]
    minimum: tuple[int, int]
    maximum: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Device:
    """A scanner.

    Attributes:
        manufacturer … serial_number: as in ThisModel and ThisDevice.
        address: endpoint address, ``urn:uuid:…``; stable over restarts (DPWS R0004).
        types, scopes: beside wsdp:Device and wscn:ScanDeviceType.
        configuration: plain form of wscn:ScannerConfiguration.
        default_ticket: of wscn:DefaultScanTicket.
        description: of wscn:ScannerDescription.
        quirks: name → value (True for a plain switch).
        jobs: bounds.
    """

    manufacturer: str = "dsmshark"
    manufacturer_url: str = ""
    model_name: str = "Emulated scanner"
    model_number: str = ""
    model_url: str = ""
    presentation_url: str = ""
    friendly_name: str = "Emulated scanner"
    firmware_version: str = "1"
    serial_number: str = "1"
    address: str = ""
    types: tuple[QName, ...] = ()
    scopes: tuple[str, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    default_ticket: Mapping[str, Any] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    quirks: Mapping[str, Any] = field(default_factory=dict)
    jobs: JobLimits = JobLimits()

    def quirk(self, name: str) -> Any:
        """The value of a quirk, False where the device does not have it."""
        return self.quirks.get(name, False)

    # -- the configuration, read --------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Any]:
        """The plain form of DeviceSettings."""
        return _part(self.configuration, "device_settings")

    @property
    def formats(self) -> tuple[str, ...]:
        """FormatsSupported."""
        return _values("Format", _part(self.settings, "formats_supported").get("format_value"))

    @property
    def content_types(self) -> tuple[str, ...]:
        """ContentTypesSupported."""
        return _values("ContentType", _part(self.settings, "content_types_supported").get("content_type_value"))

    @property
    def rotations(self) -> tuple[str, ...]:
        """RotationsSupported; 0 at least (rule V07)."""
        return _values("Rotation", _part(self.settings, "rotations_supported").get("rotation_value")) or ("0",)

    @property
    def film_modes(self) -> tuple[str, ...]:
        """FilmScanModesSupported."""
        modes = _part(self.configuration, "film", "film_scan_modes_supported").get("film_scan_mode_value")
        return _values("FilmScanMode", modes) or ("ColorSlideFilm",)

    @property
    def quality(self) -> tuple[int, int]:
        """CompressionQualityFactorSupported: lowest and highest."""
        return _bounds(_part(self.settings, "compression_quality_factor_supported"), (1, 100), 0, 100)

    def scaling(self, key: str) -> tuple[int, int]:
        """ScalingRangeSupported, percent: lowest and highest of ``scaling_width`` or ``scaling_height``."""
        return _bounds(_part(self.settings, "scaling_range_supported", key), (100, 100), 1, 1000)

    def can(self, what: str, default: bool = False) -> bool:
        """One of the flags: ``document_size_auto_detect``, ``auto_exposure``, ``brightness``, ``contrast``."""
        value = _plain(self.settings.get(f"{what}_supported"))
        return value if isinstance(value, bool) else default

    @property
    def says_duplex(self) -> bool | None:
        """ADFSupportsDuplex; None where it is not told."""
        value = _plain(_part(self.configuration, "adf").get("adf_supports_duplex"))
        return value if isinstance(value, bool) else None

    @property
    def describes_back(self) -> bool:
        """There is an ADFBack."""
        return "adf_back" in _part(self.configuration, "adf")

    @property
    def duplex(self) -> bool:
        """The feeder scans both sides: it says so, or describes its back (rules C03, C04)."""
        return self.says_duplex is True or self.describes_back

    @property
    def sources(self) -> tuple[str, ...]:
        """InputSource values that it has."""
        known = (("Platen", "platen"), ("ADF", "adf"), ("Film", "film"))
        found = [name for name, key in known if key in self.configuration]
        if self.duplex:
            found.append("ADFDuplex")
        return tuple(found)

    def source(self, name: str, side: str = "front") -> Source | None:
        """One side of a source, None where the device does not have it; the back takes the front's values where it is
        not described (rule C04)."""
        swapped = bool(self.quirk("swapped-size"))
        if name not in self.sources:
            return None
        if name in ("Platen", "Film"):
            key = name.lower()
            return _source(_part(self.configuration, key), key, swapped and name == "Platen")
        back = _part(self.configuration, "adf", "adf_back") if side == "back" else {}
        return _source(back or _part(self.configuration, "adf", "adf_front"), "adf", swapped)


def stable_address(*names: str) -> str:
    """An address made of names: the same at each start."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(names))}"


def is_number(value: Any) -> bool:
    """An integer, and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


# -- reading the plain form --------------------------------------------------------------------------------------


def _source(data: Mapping[str, Any], prefix: str, swapped: bool) -> Source:
    resolutions = _part(data, f"{prefix}_resolutions")
    widths = _numbers(_part(resolutions, "widths").get("width"))
    heights = _numbers(_part(resolutions, "heights").get("height"))
    minimum = _size(data.get(f"{prefix}_minimum_size"), (1, 1))
    maximum = _size(data.get(f"{prefix}_maximum_size"), WHOLE)
    if swapped and maximum[0] > maximum[1]:
        maximum = (maximum[1], maximum[0])
    return Source(
        widths or heights or (300,), heights or widths or (300,),
        _values("ColorEntry", _part(data, f"{prefix}_color").get("color_entry")) or ("RGB24",),
        (min(minimum[0], maximum[0]), min(minimum[1], maximum[1])), maximum,
    )  # fmt: skip


def _part(data: Any, *keys: str) -> Mapping[str, Any]:
    """What stands under the keys; the first of several; empty where there is nothing with members."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
        data = next(iter(data), None) if isinstance(data, (list, tuple)) else data
    return data if isinstance(data, Mapping) else {}


def _plain(value: Any) -> Any:
    return value.get("#text") if isinstance(value, Mapping) else value


def _many(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def _values(enum: str, value: Any) -> tuple[str, ...]:
    """Values of an enumeration: known ones, and such as have the form of a vendor's own."""
    decl = ENUMS[f"wscn:{enum}"]
    texts = [str(one) for one in map(_plain, _many(value)) if isinstance(one, str) or is_number(one)]
    return tuple(one for one in texts if one in decl.values or decl.is_vendors(one))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(sorted(one for one in map(_plain, _many(value)) if is_number(one) and 0 < one <= MAX_DPI))


def _size(data: Any, default: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(data, Mapping):
        return default
    width, height = _plain(data.get("width")), _plain(data.get("height"))
    if any(not is_number(one) or not 0 < one <= MAX_SIZE for one in (width, height)):
        return default
    return width, height


def _bounds(data: Mapping[str, Any], default: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    least, most = _plain(data.get("min_value")), _plain(data.get("max_value"))
    if not (is_number(least) and is_number(most) and low <= least <= most <= high):
        return default
    return least, most
