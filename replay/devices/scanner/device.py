"""What an emulated scanner is: names, configuration, default ticket, quirks.

Configuration, description and ticket are kept in the plain form of the catalogue (what ``Field.to_json`` gives and
``build`` takes), so that a real device's own can be used as they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dissector.soap.model import QName

__all__ = ["Device", "JobLimits", "Source"]


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
        widths, heights: resolutions, dots per inch.
        colors: ColorEntry values.
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
        found: Mapping[str, Any] = self.configuration.get("device_settings", {})
        return found

    @property
    def formats(self) -> tuple[str, ...]:
        """FormatsSupported."""
        return _texts(self.settings.get("formats_supported", {}).get("format_value"))

    @property
    def sources(self) -> tuple[str, ...]:
        """InputSource values that it has."""
        found = [
            name for name, key in (("Platen", "platen"), ("ADF", "adf"), ("Film", "film")) if key in self.configuration
        ]
        adf = self.configuration.get("adf", {})
        if adf.get("adf_supports_duplex") or "adf_back" in adf:
            found.append("ADFDuplex")
        return tuple(found)

    def source(self, name: str, side: str = "front") -> Source | None:
        """One side of a source; the back takes the front's values where it is not described (rule C04)."""
        if name == "Platen":
            return _source(self.configuration.get("platen"), "platen", self.quirk("swapped-size"))
        if name == "Film":
            return _source(self.configuration.get("film"), "film", False)
        adf = self.configuration.get("adf", {})
        data = adf.get("adf_back") if side == "back" else adf.get("adf_front")
        return _source(data or adf.get("adf_front"), "adf", self.quirk("swapped-size"))


def stable_address(*names: str) -> str:
    """An address made of names: the same at each start."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(names))}"


def _source(data: Mapping[str, Any] | None, prefix: str, swapped: Any) -> Source | None:
    if data is None:
        return None
    resolutions = data.get(f"{prefix}_resolutions", {})
    widths = _numbers(resolutions.get("widths", {}).get("width"))
    heights = _numbers(resolutions.get("heights", {}).get("height"))
    maximum = _size(data.get(f"{prefix}_maximum_size"), (8500, 11700))
    if swapped and maximum[0] > maximum[1]:
        maximum = (maximum[1], maximum[0])
    return Source(
        widths or (300,), heights or widths or (300,), _texts(data.get(f"{prefix}_color", {}).get("color_entry")),
        _size(data.get(f"{prefix}_minimum_size"), (1, 1)), maximum,
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return value.get("#text") if isinstance(value, Mapping) else value


def _many(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(_plain(one)) for one in _many(value))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(sorted(one for one in map(_plain, _many(value)) if isinstance(one, int)))


def _size(data: Any, default: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(data, Mapping):
        return default
    width, height = _plain(data.get("width")), _plain(data.get("height"))
    return (width, height) if isinstance(width, int) and isinstance(height, int) else default
