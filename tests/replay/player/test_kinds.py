"""When two values are the same, and when one is of the kind that is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from dissector.catalog import TYPES, convert
from replay.player.kinds import HOW, Value, is_url, is_uuid, kind, same

GUID, SECOND = "8a2a4d3e-0000-4000-8000-00000000000a", "8a2a4d3e-0000-4000-8000-00000000000b"
SCOPES = {"p": "urn:p", "q": "urn:p", "r": "urn:r"}


def value(text: str, type_name: str = "") -> Value:
    if not type_name:
        return Value(text, text)
    kind_of = next(one for one in TYPES.values() if one.base == type_name)
    return Value(text, convert(text, kind_of, SCOPES.get)[0], type_name)


@pytest.mark.parametrize(
    ("base", "one", "other", "equal"),
    [
        ("int", "7", "07", True), ("int", "7", "8", False), ("bool", "1", "true", True), ("bool", "0", "true", False),
        ("string", "a", "a", True), ("string", "a", "A", False), ("string", "1", "true", False),
        ("duration", "PT60M", "PT1H", True), ("duration", "PT60M", "PT2H", False),
        ("dateTime", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00+01:00", True),
        ("dateTime", "2026-01-01T10:00:00Z", "2026-01-01T10:00:00", False),
        ("qname", "p:x", "q:x", True), ("qname", "p:x", "r:x", False), ("qname", "p:x", "p:y", False),
        ("list-qname", "p:x r:y", "r:y q:x", True), ("list-qname", "p:x", "p:x r:y", False),
        ("list-uri", "http://a http://b", "http://b http://a", True), ("list-uri", "http://a", "http://b", False),
        ("guid", GUID, f"{{{GUID.upper()}}}", True), ("guid", GUID, SECOND, False),
        ("anyURI", f"urn:uuid:{GUID}", f"uuid:{GUID.upper()}", True), ("anyURI", "http://a/", "http://A/", False),
        ("base64", "QUJD", "QU\n JD", True), ("base64", "QUJD", "QUJE", False),
        ("", " x\n", "x", True), ("", "1", "01", False),
    ],
)  # fmt: skip
def test_same_by_type(base: str, one: str, other: str, equal: bool) -> None:
    assert same(value(one, base), value(other, base)) is equal
    assert same(value(other, base), value(one, base)) is equal


def test_a_number_and_a_truth_are_not_the_same() -> None:
    assert not same(value("1", "int"), value("1", "bool"))


D = "2026-01-01T10:00:00Z"


@pytest.mark.parametrize(
    ("how", "recorded", "good", "bad"),
    [
        ("equal", value("a"), [value("a")], [value("b"), value("")]),
        ("ignore", value("a"), [value("b"), value("")], []),
        ("any", value("a"), [value("b")], [value("")]),
        ("any", value("3", "int"), [value("17", "int")], [value("x", "int"), value("", "int")]),
        ("any", value("true", "bool"), [value("0", "bool")], [value("7", "int")]),
        ("any", value(GUID, "guid"), [value(SECOND, "guid")], [value("x", "guid")]),
        ("any", value(D, "dateTime"), [value("2020-01-01T00:00:00", "dateTime")], [value("soon", "dateTime")]),
        ("uuid", value("x"), [value(GUID), value(f"urn:uuid:{GUID}"), value(f"{{{GUID}}}")],
         [value("x"), value(GUID + "0"), value(f"{{{GUID}")]),
        ("date", value(D), [value("1999-12-31T23:59:59.5+02:00")], [value("PT1H"), value("")]),
        ("duration", value("PT100S"), [value("PT90S"), value("PT110S")],
         [value("PT89S"), value("PT111S"), value(D), value("")]),
        ("duration", value(D), [value("2020-01-01T00:00:00Z")], [value("PT1H"), value("x")]),
        ("duration", value("x"), [value("PT1H"), value(D)], [value("y")]),
        ("url", value("x"), [value("http://h/p"), value("urn://a"), value("http://a/ http://b/")],
         [value("http:///p"), value("h/p"), value(""), value("http://a/ b")]),
        ("address", value("http://a/"), [value("https://b:1/c")], [value(f"urn:uuid:{GUID}"), value("b"), value("")]),
        ("address", value(f"urn:uuid:{GUID}"), [value(f"urn:uuid:{SECOND}")], [value("http://b/"), value("")]),
        ("address", value("here"), [value("here")], [value("there")]),
        ("number", value("x"), [value("1"), value("-2.5"), value("+3")], [value("1e9"), value(""), value("one")]),
        ("number 1..10", value("x"), [value("1"), value("10"), value("2.5")], [value("0"), value("11"), value("x")]),
        ("number 1..", value("x"), [value("1"), value("99")], [value("0")]),
        ("number ..-1", value("x"), [value("-1"), value("-99")], [value("0")]),
        ("text", value(""), [value("x")], [value("")]),
        ("one of A| B|true|7|x", value("A"),
         [value("B"), value("1", "bool"), value("07", "int"), value("p:x", "qname")],
         [value("C"), value(""), value("A|B"), value("false", "bool")]),
    ],
)  # fmt: skip
def test_kinds(how: str, recorded: Value, good: list[Value], bad: list[Value]) -> None:
    asked = kind(how)
    assert [one.text for one in good if not asked.fits(recorded, one)] == []
    assert [one.text for one in bad if asked.fits(recorded, one)] == []


def test_every_kind_is_tested_and_documented() -> None:
    rows: list[Any] = test_kinds.pytestmark[0].args[1]
    tested = {"one of" if how.startswith("one of") else how.split()[0] for how, *_ in rows}
    assert tested == set(HOW)
    assert all(HOW.values())


@pytest.mark.parametrize(
    "how", ["", "maybe", "number 5..1", "number ..", "number a..b", "one of ", "one of A||B", "number1..2"]
)
def test_what_is_no_kind(how: str) -> None:
    with pytest.raises(ValueError, match="is no way to judge a value; there is equal, ignore, any, uuid"):
        kind(how)


def test_looks() -> None:
    assert is_uuid(f"uuid:{GUID}")
    assert not is_uuid("uuid:x")
    assert is_url("soap.udp://239.255.255.250:3702")
    assert not is_url(f"urn:uuid:{GUID}")
