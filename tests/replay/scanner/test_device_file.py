"""Device files: profiles, short form, whole form, wrong edits; devices out of captures."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import UnreadableInput, UsageError
from dissector.catalog import build, check, decode, findings_of
from replay.base.yamlfile import parse_yaml
from replay.devices.scanner.device_file import device_of, device_to_yaml, load_device, profiles
from replay.devices.scanner.from_capture import Told, device_from_capture
from replay.devices.scanner.quirks import QUIRKS
from replay.devices.scanner.scanner import Scanner

SECTIONS = [
    ("wscn:ScannerConfiguration", "configuration"),
    ("wscn:DefaultScanTicket", "default_ticket"),
    ("wscn:ScannerDescription", "description"),
]


@pytest.mark.parametrize("name", profiles())
def test_profiles_are_sound_and_survive_a_round_trip(name: str) -> None:
    device = load_device(name)
    for element, attribute in SECTIONS:
        field = decode(build(element, getattr(device, attribute)))
        bad = [one for one in [*check(field), *findings_of(field)] if one.severity in ("error", "warn")]
        assert bad == []
    assert device_of(parse_yaml(device_to_yaml(device))) == device
    Scanner(device)


def test_profiles_have_a_line_and_one_is_the_default() -> None:
    assert all(10 < len(text) < 110 for text in profiles().values())
    assert load_device("default").quirks == {}


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_text("device: {model_name: M1}\nscanner: {adf: {duplex: true}}\nquirks: [{busy-after-job: 5}]\n")
    device = load_device(path)
    assert device.friendly_name == "M1"
    assert device.sources == ("ADF", "ADFDuplex")
    assert device.quirk("busy-after-job") == 5
    assert device.quirk("bare-boundary") is False
    assert device.address == load_device(path).address
    assert device.address != device_of({"device": {"model_name": "M2"}}).address


def test_the_back_takes_the_values_of_the_front_where_it_is_not_described() -> None:
    device = device_of({"scanner": {"adf": {"duplex": True}}, "quirks": ["duplex-without-back"]})
    assert "adf_back" not in device.configuration["adf"]
    assert device.source("ADFDuplex", "back") == device.source("ADF")


def test_swapped_sizes_are_told_wrong_and_meant_right() -> None:
    device = load_device("kyocera-m2040dn")
    assert device.configuration["platen"]["platen_maximum_size"] == {"width": 14016, "height": 8504}
    side = device.source("Platen")
    assert side is not None
    assert side.maximum == (8504, 14016)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("devise: {}", 1, "expected device"),
        ("device:\n  modelname: x", 2, "expected model_name"),
        ("scanner:\n  formats: [jfiff]", 2, "expected jfif"),
        ("scanner:\n  formats: jfif", 2, "a list of Format values"),
        ("scanner:\n  platen:\n    resolutions: [300, -1]", 3, "dots per inch"),
        ("scanner:\n  platen:\n    maximum: [1]", 3, "1/1000 inch"),
        ("scanner:\n  platen:\n    colours: []", 3, "expected colors"),
        ("scanner:\n  quality: [9, 1]", 2, "[lowest, highest]"),
        ("quirks: [bare-boundry]", 1, "expected bare-boundary"),
        ("quirks:\n  - busy-after-job: long", 2, "expected seconds"),
        ("quirks: bare-boundary", 1, "a list"),
        ("jobs:\n  active: 0", 2, "a whole number from 1"),
        ("scanner:\n  configuration: {platten: {}}", 2, "plain form of wscn:ScannerConfiguration"),
        ("- x", 1, "a mapping with device"),
        ("device:\n  serial_number: 0012", 2, "stands in quotes"),
        ("device:\n  model_name: 1.10", 2, "stands in quotes"),
        ("device:\n  model_name: [a]", 2, "a text"),
        ('device:\n  model_name: "\\x01"', 2, "printable characters"),
        ("device:\n  uuid: no uuid", 2, "a UUID, such as"),
        ("device:\n  types: [nobody:Computer]", 2, "prefix:Name, such as pub:Computer"),
        ("device:\n  scopes: [two words]", 2, "URIs without blanks"),
        ("device: x", 1, "a mapping with manufacturer"),
        ("scanner:\n  size_auto_detect: sometimes", 2, "true or false"),
        ("scanner:\n  formats: [xps, jbig]", 2, "none of these can be made here"),
        ("scanner:\n  formats: []", 2, "a list of Format values"),
        ("scanner:\n  rotations: ['90']", 2, "0 among them"),
        ("scanner:\n  scaling: {width: [120, 200]}", 2, "with 100 inside"),
        ("scanner:\n  platen: {minimum: [9000, 1]}", 2, "no more than maximum"),
        ("scanner:\n  platen: {maximum: [true, 1]}", 2, "1/1000 inch"),
        ("scanner:\n  platen: {optical: 100000}", 2, "a whole number from 1"),
        ("scanner:\n  film: {modes: [SlideFilm]}", 2, "expected ColorSlideFilm"),
        ("scanner:\n  adf: {front: {resolutions: {width: [1]}}}", 2, "expected widths"),
        ("scanner:\n  configuration:\n    platen:\n      platen_color:\n        color_entry: [Colour]", 5, "Colour"),
        ("scanner:\n  default_ticket: ''", 2, "the plain form of wscn:DefaultScanTicket, a mapping"),
        ("scanner:\n  platen: {colors: ['http://x/']}", 2, "no ColorEntry"),
        ("scanner:\n  configuration: {device_settings: {}}", 2, "platen, adf or film"),
        ("quirks:\n  - bare-boundary\n  - busy-after-job: 1000000", 3, "at most 86400"),
        ("quirks:\n  - bare-boundary: 3", 2, "its name alone"),
        ("jobs:\n  first_image_timeout: 0", 2, "above 0"),
        ("jobs:\n  next_image_timeout: .inf", 2, "above 0"),
    ],
)
def test_wrong_edits_are_told_with_their_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    path = tmp_path / "device.yaml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError) as error:
        load_device(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert told in str(error.value)


def test_values_that_are_left_empty_have_their_defaults() -> None:
    text = "device: {model_name: }\nscanner: {formats: , platen: {resolutions: }, default_ticket: }\njobs: \nquirks: \n"
    assert device_of(parse_yaml(text)) == device_of({"scanner": {"platen": {}}})


def test_numbers_may_be_texts_where_no_sign_of_them_is_lost() -> None:
    device = device_of(parse_yaml("device: {serial_number: 12, firmware_version: '0012'}"))
    assert (device.serial_number, device.firmware_version) == ("12", "0012")


def test_vendors_values_are_kept() -> None:
    device = device_of(
        {"scanner": {"formats": ["jfif", "application/x-own"], "platen": {"colors": ["v:Own", "RGB24"]}}}
    )
    assert device.formats == ("jfif", "application/x-own")
    side = device.source("Platen")
    assert side is not None
    assert side.colors == ("v:Own", "RGB24")


def test_film_and_feeder_alone() -> None:
    device = device_of({"scanner": {"film": {"modes": ["ColorNegativeFilm"]}, "adf": {"back": {"colors": ["RGB24"]}}}})
    assert device.sources == ("ADF", "Film", "ADFDuplex")
    assert device.film_modes == ("ColorNegativeFilm",)
    assert device.default_ticket["document_parameters"]["input_source"] == "ADF"
    back = device.source("ADFDuplex", "back")
    assert back is not None
    assert back.colors == ("RGB24",)


def test_an_unknown_profile_is_told_with_its_neighbours() -> None:
    with pytest.raises(UsageError, match="near: canon-mf410"):
        load_device("canon-mf41")


def test_quirks_have_their_meaning_and_source() -> None:
    assert all(one.meaning and one.seen and one.value in ("", "seconds") for one in QUIRKS.values())


def test_a_device_out_of_a_capture(samples: Path) -> None:
    device = device_from_capture(samples / "others" / "scan-debian-adf.pcap")
    assert (device.manufacturer, device.model_name) == ("Kyocera", "ECOSYS M2040dn")
    assert device.firmware_version == "2S0_2000.001.828"
    assert device.quirk("swapped-size") is True
    assert "xps" in device.formats
    assert device.default_ticket["document_parameters"]["format"] == "pdf-a"
    Scanner(device)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("scan-tls-1.3-dsb.pcapng", {}),
        ("scan-tls-1.2.pcap", {"keylog": "scan-tls-1.2.keys"}),
        ("scan-tls-rsa.pcap", {"rsa_key": "scan-tls-rsa.key"}),
    ],
)
def test_a_device_out_of_a_capture_of_tls(samples: Path, name: str, keys: dict[str, str]) -> None:
    others = samples / "others"
    device = device_from_capture(others / name, **{key: [str(others / file)] for key, file in keys.items()})
    assert device.sources == ("Platen", "ADF", "ADFDuplex")
    if keys:
        with pytest.raises(UnreadableInput, match=r"no scanner in it told its config.*could not be read: no keys"):
            device_from_capture(others / name)


def test_a_capture_without_a_scanner(samples: Path) -> None:
    with pytest.raises(
        UnreadableInput, match=r"no scanner in it told its config.*\(GetScannerElementsResponse with .*\)$"
    ):
        device_from_capture(samples / "dsm-completed.pcapng")
    with pytest.raises(UsageError, match="told no scanner configuration; there is"):
        device_from_capture(samples / "others" / "scan-debian-adf.pcap", address="192.0.2.77")


@pytest.mark.parametrize(
    ("configuration", "quirks"),
    [
        ({"adf": {"adf_supports_duplex": False, "adf_front": {}, "adf_back": {}}}, {"duplex-flag-false"}),
        ({"adf": {"adf_supports_duplex": True, "adf_front": {}}}, {"duplex-without-back"}),
        ({"adf": {"adf_supports_duplex": True, "adf_front": {}, "adf_back": {}}}, set()),
        ({"adf": {"adf_front": {}}}, set()),
        ({"platen": {"platen_maximum_size": {"width": 11700, "height": 8500}}}, {"swapped-size"}),
        ({"platen": {"platen_maximum_size": {"width": 8500, "height": 11700}}}, set()),
        ({"platen": {}}, set()),
    ],
)
def test_quirks_are_seen_in_a_configuration(configuration: dict[str, object], quirks: set[str]) -> None:
    device = Told({}, sections={"scanner_configuration": configuration}).device("a.pcap")
    assert set(device.quirks) == quirks
    assert device.model_name == device.friendly_name == "Scanner"
    assert device.default_ticket["document_parameters"]["format"] == "jfif"


def test_what_a_configuration_says_in_another_language_counts_as_not_said() -> None:
    settings = {"content_types_supported": {"content_type_value": ["", "no type", "Photo", "v:Own"]}}
    side = {"platen_color": {"color_entry": ["Colour", 3]}, "platen_resolutions": {"widths": {"width": ["fine", 200]}}}
    sections = {"scanner_configuration": {"device_settings": settings, "platen": side}}
    device = Told({}, sections=sections).device("a.pcap")
    assert device.content_types == ("Photo", "v:Own")
    bed = device.source("Platen")
    assert bed is not None
    assert (bed.colors, bed.widths, bed.heights) == (("RGB24",), (200,), (200,))
