"""Device files: a scanner described in YAML, in few lines, and the profiles that ship.

    device:
      manufacturer: Example
      model_name: Model 1
    scanner:
      formats: [jfif, png]
      platen: {resolutions: [150, 300], colors: [Grayscale8, RGB24], maximum: [8500, 11700]}
      adf: {duplex: true, front: {maximum: [8500, 14000]}}
    jobs: {active: 1, first_image_timeout: 60}
    quirks: [bare-boundary, {busy-after-job: 30}]

All parts may be left out. ``scanner.configuration`` may hold the whole ScannerConfiguration in the catalogue's plain
form (``dsmshark read --json`` prints it) in place of the short form; so may ``scanner.description`` and
``scanner.default_ticket``.
"""

from __future__ import annotations

import difflib
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from dissector.base.errors import UsageError
from dissector.catalog import PREFIXES, build, decode, findings_of, snake_case
from dissector.soap.model import QName
from replay.base.yamlfile import dump_yaml, load_yaml, parse_yaml, wrong
from replay.devices.scanner.device import Device, JobLimits, stable_address
from replay.devices.scanner.quirks import QUIRKS
from replay.devices.scanner.section import Section, expected, plain
from replay.devices.scanner.short_form import SCANNER, configuration_of, default_ticket, description_of

__all__ = ["default_ticket", "device_of", "device_to_yaml", "load_device", "profiles"]

LONGEST_WAIT = 86_400.0
"""Seconds: the most that a file can ask for."""

NEAR = 0.4
"""Likeness of a name to that of a profile from which it is told: "kyocera" stands for a whole model."""

MOST_JOBS = 10_000
"""Jobs at once, or remembered."""

REFUSED = frozenset({"value.type", "value.range", "value.enum", "element.unknown", "content.many", "content.choice"})
"""Findings on a whole form for which the file is refused. What is missing is not one: real devices leave things out."""

_TEXTS = (
    "manufacturer", "manufacturer_url", "model_name", "model_number", "model_url", "presentation_url", "friendly_name",
    "firmware_version", "serial_number",
)  # fmt: skip
_JOBS = ("active", "history", "first_image_timeout", "next_image_timeout")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f<>\"]+").fullmatch
_CLARK = re.compile(r"\{([^\s{}]*)\}([^\W\d][\w.\-]*)").fullmatch
_PREFIXED = re.compile(r"([\w\-]+):([^\W\d][\w.\-]*)").fullmatch
_STEP = re.compile(r"([^\[\]]+)(?:\[(\d+)\])?").fullmatch


def profiles() -> dict[str, str]:
    """The profiles that ship: name → what it is."""
    found = {}
    for one in sorted(_shipped().iterdir(), key=lambda one: one.name):
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
        known = profiles()
        if text in known:
            place = _shipped().joinpath(f"{text}.yaml")
            return device_of(parse_yaml(place.read_text(encoding="utf-8"), f"profile {text}"), f"profile {text}")
        if not Path(text).exists():
            near = difflib.get_close_matches(text, known, 3, NEAR)
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
    file = Section(name, data, ("device", "scanner", "jobs", "quirks"))
    who = file.section("device", (*_TEXTS, "uuid", "types", "scopes"))
    what = file.section("scanner", SCANNER)
    texts: dict[str, Any] = {key: who.text(key) for key in _TEXTS if key in who}
    texts.setdefault("friendly_name", texts.get("model_name", "Emulated scanner"))
    quirks = _quirks(file)
    whole = _whole(what, "configuration", "wscn:ScannerConfiguration")
    made = Device(
        **texts,
        address=_address(who, texts),
        types=tuple(_type(who, one) for one in who.items("types")),
        scopes=tuple(_scope(who, one) for one in who.items("scopes")),
        configuration=configuration_of(what, quirks) if whole is None else whole,
        quirks=quirks,
        jobs=_jobs(file),
    )
    if not made.sources:
        raise what.wrong("configuration", "the scanner has no input source", "platen, adf or film")
    description = what.raw("description")
    told = None
    if isinstance(description, Mapping) and "scanner_name" in description:
        told = _whole(what, "description", "wscn:ScannerDescription")
    made = replace(made, description=description_of(what, made.friendly_name) if told is None else told)
    ticket = _whole(what, "default_ticket", "wscn:DefaultScanTicket")
    return replace(made, default_ticket=default_ticket(made) if ticket is None else ticket)


def device_to_yaml(device: Device) -> str:
    """The device file of a device, whole: configuration, ticket and description in the catalogue's plain form."""
    who: dict[str, Any] = {key: getattr(device, key) for key in _TEXTS}
    bare = device.address.removeprefix("urn:uuid:")
    who["uuid"] = bare if _uuid(bare) else device.address
    if device.types:
        who["types"] = [str(one) for one in device.types]
    if device.scopes:
        who["scopes"] = list(device.scopes)
    data: dict[str, Any] = {
        "device": who,
        "scanner": {
            "description": plain(device.description),
            "configuration": plain(device.configuration),
            "default_ticket": plain(device.default_ticket),
        },
        "jobs": {key: getattr(device.jobs, key) for key in _JOBS},
    }
    if device.quirks:
        data["quirks"] = [name if value is True else {name: value} for name, value in device.quirks.items()]
    return dump_yaml(data)


# -- pieces ------------------------------------------------------------------------------------------------------


def _shipped() -> Any:
    return resources.files("replay.devices.scanner").joinpath("profiles")


def _whole(what: Section, key: str, element: str) -> dict[str, Any] | None:
    """A value in the catalogue's plain form, None where there is none."""
    given = what.raw(key)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise what.wrong(key, f"{key} is {given!r}", f"the plain form of {element}, a mapping")
    form: dict[str, Any] = plain(given)
    try:
        field = decode(build(element, form))
    except UsageError as error:
        raise what.wrong(key, str(error), f"the plain form of {element}") from error
    for finding in findings_of(field):
        if finding.rule in REFUSED:
            raise wrong(what.name, *_place(what.data, key, finding.path or ""), finding.text)
    return form


def _place(holder: Any, key: Any, path: str) -> tuple[Any, Any]:
    """Where in the loaded data an element of a finding stands: as deep as it can be followed."""
    for step in path.split("/")[1:]:
        match = _STEP(step)
        found = holder[key]
        if match is None or not isinstance(found, Mapping) or (name := snake_case(match[1])) not in found:
            break
        holder, key = found, name
        number = int(match[2] or 1) - 1
        if isinstance(found[name], list) and number < len(found[name]):
            holder, key = found[name], number
    return holder, key


def _uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _address(who: Section, texts: Mapping[str, str]) -> str:
    if "uuid" not in who:
        return stable_address(
            *(texts.get(key, "") for key in ("manufacturer", "model_name", "friendly_name", "serial_number"))
        )
    given = who.text("uuid")
    bare = given.removeprefix("urn:uuid:").strip("{}")
    if _uuid(bare):
        return f"urn:uuid:{bare}"
    if not _URI(given):
        raise who.wrong("uuid", f"uuid is {given!r}", "a UUID, such as 0d6c6f8e-1111-4222-8333-000000000001, or a URI")
    return given


def _scope(who: Section, value: Any) -> str:
    if not isinstance(value, str) or not _URI(value):
        raise who.wrong("scopes", f"the scope {value!r} is no URI", "URIs without blanks")
    return str(value)


def _type(who: Section, value: Any) -> QName:
    text = str(value)
    if match := _CLARK(text):
        return QName(match[1], match[2])
    match = _PREFIXED(text)
    if match is None or match[1] not in PREFIXES:
        due = "prefix:Name, such as pub:Computer, or {namespace}Name"
        raise who.wrong("types", f"the type {text!r} is not known", due)
    return QName(PREFIXES[match[1]], match[2])


def _quirks(file: Section) -> dict[str, Any]:
    given = file.items("quirks")
    found: dict[str, Any] = {}
    for place, one in enumerate(given):
        for key, value in one.items() if isinstance(one, Mapping) else [(one, True)]:
            name = str(key)
            quirk = QUIRKS.get(name)
            if quirk is None:
                raise _wrong_quirk(file, place, f"there is no quirk {name}", expected(name, QUIRKS))
            if not quirk.value and not isinstance(value, bool):
                raise _wrong_quirk(file, place, f"{name} is {value!r}", "its name alone")
            if not isinstance(value, bool) and not _is_wait(value):
                raise _wrong_quirk(file, place, f"{name} is {value!r}", f"seconds, at most {LONGEST_WAIT:g}")
            if value is not False:
                found[name] = plain(value)
    return found


def _wrong_quirk(file: Section, place: int, problem: str, due: str) -> UsageError:
    return wrong(file.name, file.raw("quirks"), place, problem, due)


def _is_wait(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= LONGEST_WAIT


def _jobs(file: Section) -> JobLimits:
    given, usual = file.section("jobs", _JOBS), JobLimits()
    return JobLimits(
        active=given.integer("active", usual.active, 1, MOST_JOBS),
        history=given.integer("history", usual.history, 0, MOST_JOBS),
        first_image_timeout=given.seconds("first_image_timeout", usual.first_image_timeout, LONGEST_WAIT),
        next_image_timeout=given.seconds("next_image_timeout", usual.next_image_timeout, LONGEST_WAIT),
    )
