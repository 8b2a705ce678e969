"""Names and typed values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.catalog import TYPES, DateTime, Duration, convert, snake_case, value_json
from dissector.catalog.times import parse_date_time, parse_duration
from dissector.soap.model import QName
from tests.support.strategies import DATE_TIME, DURATION


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("PSP_Identifier", "psp_identifier"),
        ("PSP_DisplayName", "psp_display_name"),
        ("ADFBack", "adf_back"),
        ("ADFSupportsDuplex", "adf_supports_duplex"),
        ("ADF", "adf"),
        ("ShareUNC", "share_unc"),
        ("ScanRegionXOffset", "scan_region_x_offset"),
        ("JobId", "job_id"),
        ("MessageID", "message_id"),
        ("XAddrs", "xaddrs"),
        ("EndpointReference", "endpoint_reference"),
        ("SaveToSharePointSiteURL", "save_to_share_point_site_url"),
        ("SendToScanUser", "send_to_scan_user"),
        ("InputSize", "input_size"),
        ("RGB", "rgb"),
        ("RGB24", "rgb24"),
        ("href", "href"),
        ("CanAddAddresses", "can_add_addresses"),
        ("mustUnderstand", "must_understand"),
        ("vendor-Thing.x", "vendor_thing_x"),
        ("Größe", "größe"),
        ("faultcode", "faultcode"),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


WEST = timezone(-timedelta(minutes=330))


def scope(prefix: str) -> str | None:
    return {"": "", "dsp": "urn:dsp"}.get(prefix)


@pytest.mark.parametrize(
    ("text", "kind", "value", "ok"),
    [
        (" 7\n", "int1", 7, True),
        ("+7", "int1", 7, True),
        ("0", "int1", 0, False),
        ("-1001", "adj1000", -1001, False),
        ("-1000", "adj1000", -1000, True),
        ("2147483648", "int0", 2147483648, False),
        ("1_000", "int0", "1_000", False),
        ("٣", "int0", "٣", False),
        ("9" * 5000, "int0", "9" * 5000, False),
        ("", "int0", "", False),
        ("4294967295", "unsigned", 4294967295, True),
        ("true", "bool", True, True),
        ("\n0 ", "bool", False, True),
        ("TRUE", "bool", "TRUE", False),
        (" a b ", "string", "a b", True),
        ("\u00a0x", "string", "\u00a0x", True),
        ("x" * 255, "string255", "x" * 255, True),
        ("x" * 256, "string255", "x" * 256, False),
        ("0c349cb0-59ed-4d02-b6d5-ebc729c73830", "guid", "0c349cb0-59ed-4d02-b6d5-ebc729c73830", True),
        ("{4509A320-00A0-008F-00B6-006A7023F0BB}", "guid", "{4509A320-00A0-008F-00B6-006A7023F0BB}", True),
        ("job 1", "guid", "job 1", False),
        ("S-1-5-21-917267712-1342860078-1792151419-500", "sid", "S-1-5-21-917267712-1342860078-1792151419-500", True),
        ("S-2-5", "sid", "S-2-5", False),
        ("dsp:JobStatus", "qname", QName("urn:dsp", "JobStatus", "dsp"), True),
        ("JobStatus", "qname", QName("", "JobStatus", ""), True),
        ("nope:JobStatus", "qname", QName("", "JobStatus", "nope"), False),
        ("a:b:c", "qname", "a:b:c", False),
        ("", "qname", "", False),
        (
            "dsp:A\n B",
            "qnames",
            [QName("urn:dsp", "A", "dsp"), QName("", "B", "")],
            True,
        ),
        ("dsp:A nope:B", "qnames", [QName("urn:dsp", "A", "dsp"), QName("", "B", "nope")], False),
        ("", "qnames", [], True),
        (" http://a/ \n http://b/ ", "uris", ["http://a/", "http://b/"], True),
        (" AAEC\n", "base64", "AAEC", True),
        ("%%%", "base64", "%%%", False),
    ],
)
def test_convert(text: str, kind: str, value: Any, ok: bool) -> None:
    found = convert(text, TYPES[kind], scope)

    assert found == (value, ok)
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("text", "moment", "zone"),
    [
        ("2009-04-28T18:37:19.519", datetime(2009, 4, 28, 18, 37, 19, 519000), None),
        ("2006-01-24T11:34:35.8345Z", datetime(2006, 1, 24, 11, 34, 35, 834500, tzinfo=UTC), 0),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), 0),
        ("2024-02-29T23:59:59-05:30", datetime(2024, 2, 29, 23, 59, 59, tzinfo=WEST), -330),
        ("2024-12-31T24:00:00", datetime(2025, 1, 1), None),
        ("12024-01-01T00:00:00", None, None),
        ("-0001-01-01T00:00:00", None, None),
        ("9999-12-31T24:00:00", None, None),
    ],
)  # fmt: skip
def test_date_times(text: str, moment: datetime | None, zone: int | None) -> None:
    parsed = parse_date_time(text)

    assert parsed is not None
    assert (text, moment, zone) == (parsed.text, parsed.datetime, parsed.zone)
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    ["", "2009-04-28", "2009-04-28 18:37:19", "2009-13-01T00:00:00", "2023-02-29T00:00:00", "2009-04-31T00:00:00",
     "0000-01-01T00:00:00", "2009-04-28T24:00:01", "2009-04-28T18:60:00", "2009-04-28T18:37:19+15:00", "now",
     "2009-04-28T18:37:19.", "1900-02-29T00:00:00"],
)  # fmt: skip
def test_no_date_times(text: str) -> None:
    assert parse_date_time(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H", 3600),
        ("P0Y0M0DT30H0M0S", 108000),
        ("P1Y2M3DT4H5M6.5S", (365 + 60 + 3) * 86400 + 4 * 3600 + 5 * 60 + 6.5),
        ("-PT90S", -90),
        ("P1D", 86400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    parsed = parse_duration(text)

    assert parsed is not None
    assert (text, seconds) == (str(parsed), parsed.seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1H", "PT1", "1H", "P1DT", "PT1.5H", "P-1D"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


def test_expires_is_a_duration_or_a_time() -> None:
    assert isinstance(convert(" PT1H ", TYPES["expires"])[0], Duration)
    assert isinstance(convert("2009-04-28T18:37:19Z", TYPES["expires"])[0], DateTime)
    assert convert("soon", TYPES["expires"]) == ("soon", False)


@given(DATE_TIME)
def test_every_date_time_of_python_is_read_back(text: str) -> None:
    parsed = parse_date_time(text)

    assert parsed is not None
    assert parsed.datetime is not None
    assert text.startswith(f"{parsed.datetime.year:04}-{parsed.datetime:%m-%dT%H:%M:%S}")


@given(st.sampled_from(sorted(TYPES)), st.one_of(st.text(max_size=30), DATE_TIME, DURATION))
def test_any_text_has_some_value(kind: str, text: str) -> None:
    value, ok = convert(text, TYPES[kind], scope)

    assert ok in (True, False)
    assert ok or isinstance(value, (str, int, list))
    value_json(value)
