"""How one parameter of a ticket is decided."""

from __future__ import annotations

from typing import Any

import pytest

from dissector.catalog import build, decode
from replay.devices.scanner.choosing import Clash, Refusal, TicketReader, always, clamp, one_of, within
from replay.devices.scanner.device_file import load_device

DEVICE = load_device("default")


def reader(*, relaxed: bool = False, **parameters: Any) -> TicketReader:
    description = {"job_name": "n", "job_originating_user_name": "u"}
    ticket = build("wscn:ScanTicket", {"job_description": description, "document_parameters": parameters})
    return TicketReader(decode(ticket), DEVICE, relaxed=relaxed)


def choose(of: TicketReader, default: Any = 75, **more: Any) -> tuple[Any, dict[str, Any]]:
    out: dict[str, Any] = {}
    path, key = "CompressionQualityFactor", "compression_quality_factor"
    return of.choose(path, key, out, default, within(20, 90), clamp(20, 90, 75), **more), out


@pytest.mark.parametrize(
    ("given", "default", "value", "mark"),
    [
        (50, 75, 50, ""),
        (5, 75, 20, "override"),
        (100, 75, 90, "override"),
        (None, 75, 75, "used_default"),
        (None, 99, 90, "used_default"),
        (None, None, 75, "used_default"),
        (None, "high", 75, "used_default"),
    ],
)
def test_taken_replaced_or_filled_in(given: int | None, default: Any, value: int, mark: str) -> None:
    asked = {} if given is None else {"compression_quality_factor": given}
    of = reader(**asked)
    chosen, out = choose(of, default)
    assert chosen == out.pop("compression_quality_factor") == value
    assert out == ({f"compression_quality_factor@{mark}": True} if mark else {})
    assert len(of.problems) == (mark == "override")


def test_replaced_without_a_word() -> None:
    of = reader(compression_quality_factor=5)
    assert choose(of, quiet=True)[0] == 20
    assert of.problems == []


INSISTED = {"compression_quality_factor": 5, "compression_quality_factor@must_honor": True}


def test_insisted_on() -> None:
    with pytest.raises(Refusal) as refusal:
        choose(reader(**INSISTED))
    fault = refusal.value.fault
    assert fault.subcode == "InvalidArgs"
    assert fault.path == "ScanTicket/DocumentParameters/CompressionQualityFactor"
    assert "5 cannot be done" in fault.reason
    assert choose(reader(relaxed=True, **INSISTED))[0] == 20


@pytest.mark.parametrize(
    ("format", "alone", "conflict"),
    [
        ({"format": "png", "format@must_honor": True}, True, True),
        ({"format": "png", "format@must_honor": True}, False, False),
        ({"format": "png"}, True, False),
    ],
)
def test_two_that_are_insisted_on_and_exclude_each_other(format: dict[str, Any], alone: bool, conflict: bool) -> None:
    with pytest.raises(Refusal) as refusal:
        choose(reader(**INSISTED, **format), clashes=(Clash("Format", lambda one: alone),))
    assert (refusal.value.fault.subcode == "ClientErrorConflictingRequiredParameters") == conflict


def test_what_stands_in_something_insisted_on_is_insisted_on() -> None:
    size = {"@must_honor": True, "input_media_size": {"width": 1000, "height": 2000}}
    of = reader(input_size=size, media_sides={"media_front": {"resolution": {"@must_honor": True, "width": 300}}})
    assert of.insists("InputSize/InputMediaSize/Width")
    assert not of.insists("Format")
    assert of.insists_within("MediaSides") == "MediaSides/MediaFront/Resolution"
    assert of.insists_within("InputSize") == "InputSize"
    assert of.insists_within("MediaSides/MediaBack") is None


def test_the_default_ticket_is_read_as_deep_as_it_goes() -> None:
    of = reader()
    assert of.fallback("input_source") == "Platen"
    assert of.fallback("input_size", "input_media_size", "width") == 8268
    assert of.fallback("input_source", "width") is None
    assert of.fallback("nothing", "there") is None


def test_tests_and_mends() -> None:
    assert [within(1, 3)(one) for one in (0, 1, 3, 4, True, "2", None, 2.0)] == [
        False, True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert [clamp(1, 3, 2)(one) for one in (0, 5, True, "x", None)] == [1, 3, 2, 2, 2]
    assert [one_of(("a",))(one) for one in ("a", "b", None, 1)] == [True, False, False, False]
    assert always("x")(3) == "x"
