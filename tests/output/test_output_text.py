from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.origin import FrameNumbers
from dissector.output.jsontext import dumps, pieces
from dissector.output.table import Column, table
from dissector.output.text import MARKS, Palette, clip, frames_text, host_of, printable, short_id, size_text, width
from dissector.output.times import Clock, duration_text, iso_time, seconds_text

NOON = 1_764_417_901_123_456_789


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("größe 日本", "größe 日本"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\tb\r\nc", "a\\tb\\r\\nc"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\x9b2J", "\\x9b2J"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(given, shown):
    assert printable(given) == shown


@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u0e34", "\U0001d167"])
@pytest.mark.parametrize("number", [1, MARKS, MARKS + 1, 10_000])
def test_marks_on_one_character_have_a_bound(mark, number):
    """Thousands of them would cover the lines above and below."""
    escape = f"\\u{ord(mark):04x}" if ord(mark) < 0x10000 else f"\\U{ord(mark):08x}"
    kept = min(number, MARKS)
    assert printable(f"<{mark * number}>{mark}") == f"<{mark * kept}{escape * (number - kept)}>{mark}"
    assert width(f"<{mark * number}>{mark}") == 2 + number - kept
    assert len(clip("a" + mark * number, 16)) <= 1 + MARKS + 16
    assert len(short_id("a" + mark * number)) <= 1 + MARKS + 16 * len(escape)


@given(st.text(st.sampled_from("ab\u0301\u20dd\u0e34\u65e5\x1b"), max_size=60), st.integers(1, 20))
def test_what_is_clipped_has_its_columns(text, columns):
    shown = clip(printable(text), columns)
    assert width(shown) <= columns
    assert shown == printable(text) or shown.endswith("…")


@given(st.text())
def test_nothing_harmful_is_left(text):
    shown = printable(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) <= 0x202E for c in shown)
    assert printable(shown) == shown


@given(st.text())
def test_json_is_ascii_without_controls(text):
    shown = dumps({"a": text})
    assert shown.isascii()
    assert shown.isprintable()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.lists(st.integers()).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_indented_json_is_that_of_the_standard_library(data):
    assert dumps(data, indent=2) == json.dumps(data, indent=2).replace("\x7f", "\\u007f")


@pytest.mark.parametrize("count", [0, 1, 20_001])
def test_frame_numbers_and_iterators_are_arrays(count):
    numbers = list(range(count))
    text = "".join(pieces({"frames": FrameNumbers(numbers), "jobs": (n for n in numbers)}, indent=2))
    assert text == json.dumps({"frames": numbers, "jobs": numbers}, indent=2)


@pytest.mark.parametrize(
    ("ns", "digits", "text"),
    [
        (NOON, 6, "2025-11-29T12:05:01.123456Z"),
        (NOON, 9, "2025-11-29T12:05:01.123456789Z"),
        (NOON, 3, "2025-11-29T12:05:01.123Z"),
        (NOON, 0, "2025-11-29T12:05:01Z"),
        (NOON, 12, "2025-11-29T12:05:01.123456789Z"),
        (0, 6, "1970-01-01T00:00:00.000000Z"),
        (1 << 62, 0, "2116-02-20T23:53:38Z"),
        (10**20 * 9, 0, "@900000000000Z"),
    ],
)
def test_iso_time(ns, digits, text):
    assert iso_time(ns, digits) == text


def test_no_time_is_none():
    assert iso_time(None) is None


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "–"), (1_500, "2 µs"), (7_000_000, "7 ms"), (4_200_000_000, "4.2 s"), (125 * 10**9, "2 min 05 s"),
        (3720 * 10**9, "1 h 02 min"), (10**9 * 86400 * 3, "3 d 0 h"),
        (999_499, "999 µs"), (999_600, "1 ms"), (999_499_999, "999 ms"), (999_600_000, "1.0 s"),
        (59_940_000_000, "59.9 s"), (59_960_000_000, "1 min 00 s"), (60 * 10**9, "1 min 00 s"),
        (3600 * 10**9 - 1, "59 min 59 s"), (3600 * 10**9, "1 h 00 min"), (48 * 3600 * 10**9 - 1, "47 h 59 min"),
        (0, "0 µs"), (-5 * 10**9, "-5.0 s"),
    ],
)  # fmt: skip
def test_duration(ns, text):
    assert duration_text(ns) == text


def test_clock_styles():
    relative, delta, absolute = Clock("relative", 10**9), Clock("delta"), Clock("absolute")
    assert [relative(t) for t in (10**9, 2 * 10**9 + 5000)] == ["0.000000", "1.000005"]
    assert relative(5 * 10**8) == "-0.500000"
    assert [delta(t, 3) for t in (10**9, 3 * 10**9)] == ["0.000", "2.000"]
    assert absolute(0, 0) == "1970-01-01T00:00:00Z"
    assert seconds_text(-1, 9) == "-0.000000001"


@pytest.mark.parametrize(
    ("frames", "text"),
    [((), ""), ((4,), "4"), ((4, 5, 6, 9), "4-6, 9"), (tuple(range(1, 30, 2)), "1, 3, 5, 7, 9, 11, … 29")],
)
def test_frames(frames, text):
    assert frames_text(frames) == text


def test_short_names():
    assert short_id("urn:uuid:264A19BF-0000-4000-8000-000000000000") == "264A19BF"
    assert short_id("17") == "17"
    assert short_id("x" * 40) == "x" * 15 + "…"
    assert (host_of("192.0.2.1:80"), host_of("[2001:db8::1]:80"), host_of("2001:db8::1")) == (
        "192.0.2.1", "2001:db8::1", "2001:db8::1",
    )  # fmt: skip
    assert (size_text(812), size_text(24_883), size_text(5 << 30)) == ("812 B", "24.3 KiB", "5.0 GiB")


def test_widths_count_columns():
    assert width("日本") == 4
    assert clip("日本語", 5) == "日本…"
    assert width("e\u0301") == 1


def test_a_table_cuts_only_what_may_be_cut():
    lines = list(table([Column("Id"), Column("Long", least=4), Column("Empty")], [["12345678", "x" * 50, ""]], 20))
    assert lines == ["Id        Long", "12345678  xxxxxxxxx…"]
    long = "x" * 1_000_000
    heads = [Column("Id"), Column("Long", least=4), Column("Longer", least=8)]
    assert list(table(heads, [["12345678", long, long * 2]], 32))[1] == f"12345678  {'x' * 9}…  {'x' * 9}…"


def test_colours_only_where_asked():
    assert Palette(False)("error", "x") == "x"
    assert Palette(True)("error", "x") == "\x1b[31;1mx\x1b[0m"
