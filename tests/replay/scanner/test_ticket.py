"""Judging tickets: what is done as asked, what is replaced, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dissector.catalog import Field, build, check, decode, findings_of
from replay.devices.scanner.device import Device
from replay.devices.scanner.device_file import device_of, load_device
from replay.devices.scanner.pages import Region
from replay.devices.scanner.ticket import TicketResult, judge_ticket, settings_for

DEVICE = device_of(
    {
        "scanner": {
            "formats": ["jfif", "png", "tiff-single-g4", "tiff-single-uncompressed", "pdf-a", "xps"],
            "quality": [20, 90],
            "scaling": {"width": [50, 200], "height": [50, 200]},
            "rotations": ["0", "90"],
            "contrast": False,
            "platen": {
                "resolutions": [100, 300],
                "colors": ["BlackAndWhite1", "Grayscale8", "RGB24"],
                "maximum": [8500, 11700],
            },
            "adf": {"duplex": True},
        }
    }
)


def ticket(**parameters: Any) -> Field:
    data: dict[str, Any] = {"job_description": {"job_name": "n", "job_originating_user_name": "u"}}
    if parameters:
        data["document_parameters"] = parameters
    return decode(build("wscn:ScanTicket", data))


def judge(device: Device = DEVICE, **parameters: Any) -> TicketResult:
    result = judge_ticket(ticket(**parameters), device)
    if result.fault is None:
        field = decode(build("wscn:DocumentFinalParameters", result.final))
        assert [one for one in [*check(field), *findings_of(field)] if one.severity in ("error", "warn")] == []
        build("wscn:ImageInformation", result.image_information)
    return result


def front(**given: Any) -> dict[str, Any]:
    return {"media_sides": {"media_front": given}}


def region(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {
        "scan_region_x_offset": x,
        "scan_region_y_offset": y,
        "scan_region_width": width,
        "scan_region_height": height,
    }


SIZE = ("input_size", "input_media_size")
REGION = ("media_sides", "media_front", "scan_region")


def test_an_empty_ticket_takes_the_defaults_and_says_so() -> None:
    result = judge()
    assert result.valid
    assert result.corrected is None
    assert result.final["format"] == "jfif"
    assert result.final["format@used_default"] is True
    assert result.final["input_source"] == "Platen"
    assert result.final["images_to_transfer"] == 1
    assert settings_for(result.final, "front").region == Region(0, 0, 8268, 11693)


def test_what_can_be_done_is_done_as_asked() -> None:
    side = front(
        color_processing="Grayscale8",
        resolution={"width": 100, "height": 300},
        scan_region=region(100, 200, 3000, 4000),
    )
    result = judge(
        format="png", input_source="Platen", rotation="90", scaling={"scaling_width": 200, "scaling_height": 50}, **side
    )
    assert result.valid
    settings = settings_for(result.final, "front")
    assert (settings.format, settings.color, settings.resolution) == ("png", "Grayscale8", (100, 300))
    assert settings.region == Region(100, 200, 3000, 4000)
    assert (settings.rotation, settings.scaling) == (90, (200, 50))
    # 3 inches at 100 dpi and 200 %, 4 inches at 300 dpi and 50 %, turned by 90 degrees.
    assert result.image_information["media_front_image_info"] == {
        "pixels_per_line": 600, "number_of_lines": 600, "bytes_per_line": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({"input_source": "Film"}, ("input_source",), "Platen"),
        ({"images_to_transfer": 5, "input_source": "Platen"}, ("images_to_transfer",), 1),
        ({"compression_quality_factor": 5}, ("compression_quality_factor",), 20),
        ({"compression_quality_factor": 100}, ("compression_quality_factor",), 90),
        ({"content_type": "Halftone"}, ("content_type",), "Auto"),
        ({"rotation": "180"}, ("rotation",), "0"),
        ({"scaling": {"scaling_width": 10, "scaling_height": 100}}, ("scaling", "scaling_width"), 50),
        ({"exposure": {"exposure_settings": {"contrast": 300}}}, ("exposure", "exposure_settings", "contrast"), 0),
        (front(resolution={"width": 250}), ("media_sides", "media_front", "resolution", "width"), 300),
        (front(color_processing="Grayscale16"), ("media_sides", "media_front", "color_processing"), "Grayscale8"),
        (front(color_processing="RGB48"), ("media_sides", "media_front", "color_processing"), "RGB24"),
        (front(scan_region=region(0, 0, 9000, 100)), (*REGION, "scan_region_width"), 8268),
        (front(scan_region=region(9000, 0, 10, 10)), (*REGION, "scan_region_x_offset"), 0),
        ({"input_size": {"input_media_size": {"width": 20000, "height": 1}}}, (*SIZE, "width"), 8500),
    ],
)  # fmt: skip
def test_what_cannot_is_replaced_by_the_nearest_and_marked(
    given: dict[str, Any], path: tuple[str, ...], value: Any
) -> None:
    result = judge(**given)
    assert not result.valid
    holder: Any = result.final
    for key in path[:-1]:
        holder = holder[key]
    assert holder[path[-1]] == value
    assert holder[f"{path[-1]}@override"] is True
    # The corrected ticket is one that the device can do.
    assert result.corrected is not None
    again = judge_ticket(decode(build("wscn:ValidScanTicket", result.corrected)), DEVICE)
    assert again.valid
    assert again.problems == []


@pytest.mark.parametrize(
    ("given", "subcode", "path"),
    [
        ({"format": "jpeg2k"}, "ClientErrorFormatNotSupported", "Format"),
        ({"format": "xps"}, "ClientErrorFormatNotSupported", "Format"),
        ({"rotation": "180", "rotation@must_honor": True}, "InvalidArgs", "Rotation"),
        ({"input_source": "Film", "input_source@must_honor": True}, "InvalidArgs", "InputSource"),
        (
            {"input_size": {"@must_honor": True, "document_size_auto_detect": True}},
            "InvalidArgs", "InputSize/DocumentSizeAutoDetect",
        ),
        (front(resolution={"@must_honor": True, "width": 250, "height": 300}), "InvalidArgs", "Resolution/Width"),
        (
            {"format": "tiff-single-g4", "format@must_honor": True,
             **front(**{"color_processing": "RGB24", "color_processing@must_honor": True})},
            "ClientErrorConflictingRequiredParameters", "ColorProcessing",
        ),
    ],
)  # fmt: skip
def test_what_must_be_honoured_is_refused(given: dict[str, Any], subcode: str, path: str) -> None:
    fault = judge(**given).fault
    assert fault is not None
    assert fault.subcode == subcode
    assert fault.path.endswith(path)


@pytest.mark.parametrize("insists", [True, False])
def test_a_refused_format_keeps_the_rest_of_the_ticket(insists: bool) -> None:
    side = front(color_processing="Grayscale8", resolution={"width": 100})
    result = judge(**{"format": "xps", "format@must_honor": insists}, **side)
    assert result.fault is not None
    assert result.corrected is not None
    told = result.corrected["document_parameters"]
    assert (told["format"], told["media_sides"]["media_front"]["color_processing"]) == ("jfif", "Grayscale8")
    assert result.image_information["media_front_image_info"]["pixels_per_line"] == 827


def test_a_colour_that_the_format_cannot_hold_gives_way() -> None:
    result = judge(format="tiff-single-g4", **front(color_processing="RGB24"))
    assert settings_for(result.final, "front").color == "BlackAndWhite1"
    assert not result.valid


def test_duplex_has_a_back_with_the_values_of_the_front_where_none_are_given() -> None:
    result = judge(input_source="ADFDuplex", **front(color_processing="Grayscale8"))
    assert settings_for(result.final, "back").color == "Grayscale8"
    assert set(result.image_information) == {"media_front_image_info", "media_back_image_info"}


def test_lossless_formats_have_quality_100() -> None:
    result = judge(format="png", compression_quality_factor=50)
    assert result.valid
    assert result.final["compression_quality_factor"] == 100


def test_uncompressed_lines_have_their_bytes() -> None:
    result = judge(
        format="tiff-single-uncompressed",
        **front(color_processing="RGB24", resolution={"width": 100}, scan_region=region(0, 0, 1010, 500)),
    )
    assert result.image_information["media_front_image_info"] == {
        "pixels_per_line": 101, "number_of_lines": 50, "bytes_per_line": 303,
    }  # fmt: skip


@pytest.mark.parametrize("source", ["Platen", "ADF", "ADFDuplex"])
@pytest.mark.parametrize("name", ["default", "kyocera-m2040dn", "canon-mf410"])
def test_every_profile_can_do_its_default_ticket(name: str, source: str) -> None:
    device = load_device(name)
    parameters = {**device.default_ticket["document_parameters"], "input_source": source, "images_to_transfer": 0}
    result = judge_ticket(ticket(**parameters), device)
    assert result.fault is None
    assert result.problems == []
