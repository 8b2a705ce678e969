"""Whatever stands in a device file, in a real device's configuration or in a ticket: a device or a UsageError, and a
judgement; never anything else."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml.etree import _Element as Element

from dissector.base.errors import UnreadableInput, UsageError
from dissector.catalog import ELEMENTS, build, check, decode, findings_of
from dissector.soap.namespaces import WSCN
from replay.base.yamlfile import dump_yaml, parse_yaml
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import device_of, device_to_yaml, load_device, profiles
from replay.devices.scanner.from_capture import Told
from replay.devices.scanner.imaging import image_information
from replay.devices.scanner.retold import plain_ticket, retold
from replay.devices.scanner.scanner import Scanner
from replay.devices.scanner.section import plain
from replay.devices.scanner.sections import scanner_sections
from replay.devices.scanner.ticket import judge_ticket
from tests.support.mangled import mangled_data, mangled_tree
from tests.support.strategies import content

SECTIONS = ["ScannerDescription", "ScannerConfiguration", "ScannerStatus", "DefaultScanTicket"]
DEVICES = {name: load_device(name) for name in profiles()}
WHOLE = [plain(parse_yaml(device_to_yaml(device))) for device in DEVICES.values()]
SHORT: dict[str, Any] = {
    "device": {
        "manufacturer": "E", "model_name": "M", "uuid": "0d6c6f8e-1111-4222-8333-000000000001",
        "types": ["pub:Computer"], "scopes": ["http://example.com/b"],
    },
    "scanner": {
        "description": {"name": "n", "info": "i", "location": "l"}, "formats": ["jfif", "png"], "quality": [1, 100],
        "content_types": ["Auto"], "size_auto_detect": True, "auto_exposure": False, "brightness": True,
        "contrast": True, "scaling": {"width": [50, 200], "height": [100, 100]}, "rotations": ["0", "90"],
        "platen": {
            "optical": 600, "resolutions": [150, 300], "colors": ["RGB24"], "minimum": [1, 1],
            "maximum": [8500, 11700],
        },
        "adf": {"duplex": True, "front": {"resolutions": {"widths": [100], "heights": [200]}}, "back": {}},
        "film": {"modes": ["ColorSlideFilm"]},
    },
    "jobs": {"active": 1, "history": 3, "first_image_timeout": 60, "next_image_timeout": 1.5},
    "quirks": ["bare-boundary", {"busy-after-job": 30}],
}  # fmt: skip
CONFIGURATIONS = [build("wscn:ScannerConfiguration", device.configuration) for device in DEVICES.values()]
TICKETS = [build("wscn:ScanTicket", device.default_ticket) for device in DEVICES.values()]
EMPTY = build("wscn:ScanTicket", {"job_description": {"job_name": "n", "job_originating_user_name": "u"}})

RANDOM = st.randoms(use_true_random=False)


def works(device: Device, *tickets: Element) -> None:
    """The device can be emulated: it tells its sections, and judges tickets."""
    scanner = Scanner(device)
    told = scanner_sections(scanner.engine, [(WSCN, name) for name in SECTIONS])
    build("wscn:GetScannerElementsResponse", {"scanner_elements": {"element_data": told}})
    for ticket in (EMPTY, *tickets):
        judge(ticket, device)


def judge(ticket: Element, device: Device) -> None:
    """The judgement can be sent, and stands: what is told to be the nearest can be done."""
    result = judge_ticket(decode(ticket), device)
    build("wscn:ImageInformation", result.image_information)
    assert (result.corrected is None) == result.valid
    assert result.valid == (result.problems == [])
    if result.fault is None:
        field = decode(build("wscn:DocumentFinalParameters", result.final))
        assert [one for one in [*check(field), *findings_of(field)] if one.severity in ("error", "warn")] == []
        image_information(device, result.final["input_source"], result.final)
    if result.corrected is None:
        return
    again = judge_ticket(decode(build("wscn:ValidScanTicket", result.corrected)), device)
    if result.image_information["media_front_image_info"]["pixels_per_line"]:
        assert again.problems == []
        assert again.image_information == result.image_information
    else:
        assert again.fault is not None
        assert again.fault.subcode == "ClientErrorFormatNotSupported"


@settings(max_examples=100, deadline=None)
@given(RANDOM)
def test_any_device_file_is_a_device_or_is_refused_with_its_line(random: Random) -> None:
    text = dump_yaml(mangled_data(random.choice([*WHOLE, *[SHORT] * 6]), random))
    told = ""
    try:
        device = device_of(parse_yaml(text, "file.yaml"), "file.yaml")
    except UsageError as error:
        told = str(error)
    if told:
        assert re.match(r"file\.yaml:\d+(:\d+)?: .", told), told
        return
    works(device, random.choice(TICKETS))
    assert device_of(parse_yaml(device_to_yaml(device))) == device


@settings(max_examples=100, deadline=None)
@given(RANDOM)
def test_any_configuration_of_a_real_device_can_be_emulated(random: Random) -> None:
    configuration = decode(mangled_tree(random.choice(CONFIGURATIONS), random))
    told = Told({"model_name": "M"}, sections={"scanner_configuration": retold(configuration)})
    if random.random() < 0.5:
        default = build("wscn:DefaultScanTicket", random.choice(list(DEVICES.values())).default_ticket)
        told.sections["default_scan_ticket"] = retold(decode(mangled_tree(default, random)))
    if not Device(configuration=told.sections["scanner_configuration"]).sources:
        with pytest.raises(
            UnreadableInput, match=r"^a\.pcap: the scanner told a configuration without an input source$"
        ):
            told.device("a.pcap")
        return
    device = told.device("a.pcap")
    works(device, random.choice(TICKETS), mangled_tree(random.choice(TICKETS), random))


@settings(max_examples=60, deadline=None)
@given(RANDOM, st.sampled_from(sorted(DEVICES)))
def test_any_ticket_is_judged(random: Random, name: str) -> None:
    judge(mangled_tree(random.choice(TICKETS), random), DEVICES[name])


@settings(max_examples=60, deadline=None)
@given(content(ELEMENTS["wscn:ScanTicket"]), st.sampled_from(sorted(DEVICES)))
def test_any_ticket_of_the_catalogue_is_judged(data: Any, name: str) -> None:
    judge(build("wscn:ScanTicket", data), DEVICES[name])


@settings(max_examples=50, deadline=None)
@given(content(ELEMENTS["wscn:ScannerConfiguration"]))
def test_what_the_catalogue_knows_is_told_again_as_it_was(data: Any) -> None:
    field = decode(build("wscn:ScannerConfiguration", data))
    assert decode(build("wscn:ScannerConfiguration", retold(field))).to_json() == field.to_json()


def test_vendors_elements_of_a_configuration_are_told_again() -> None:
    root = build("wscn:ScannerConfiguration", DEVICES["default"].configuration)
    settings_of = root[0]
    own = settings_of.makeelement("{urn:example:vendor}Glass", {"wide": "1"})
    inner = own.makeelement("{urn:example:vendor}Kind")
    inner.text = "thick"
    own.append(inner)
    settings_of.append(own)
    again = build("wscn:ScannerConfiguration", retold(decode(root)))
    found = again.find(".//{urn:example:vendor}Glass/{urn:example:vendor}Kind")
    assert found is not None
    assert found.text == "thick"


@pytest.mark.parametrize("own", [True, False])
def test_a_ticket_is_told_again_without_marks_and_vendors(own: bool) -> None:
    root = build(
        "wscn:ScanTicket",
        {
            "job_description": {"job_name": "n", "job_originating_user_name": "u"},
            "document_parameters": {"format": "png", "format@must_honor": True, "{urn:example:v}x": "1"},
        },
    )
    told = (plain_ticket if own else retold)(decode(root))
    expected: dict[str, Any] = {"format": "png"}
    if not own:
        expected = {"format": {"#text": "png", "@must_honor": True}, "{urn:example:v}x": ["1"]}
    assert told["document_parameters"] == expected
