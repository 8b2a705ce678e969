"""Kinds of values: when two values are the same, and when one is of the kind that is asked for.

A value is judged as what its type says: ``1`` is ``true``, ``07`` is ``7``, ``PT60M`` is ``PT1H``, a QName is its
namespace and local name, a list of URIs or QNames is a set (WS-Discovery 2005/04, 5.1), a GUID has no case and no
braces (RFC 4122, 3). White space around a value means nothing (MS-BDSRR 4.1 wraps values in line breaks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from dissector.catalog import DateTime, Duration
from dissector.catalog.convert import WHITE
from dissector.catalog.times import parse_date_time, parse_duration
from dissector.soap.model import QName

__all__ = ["HOW", "TOLERANCE", "Kind", "Value", "is_url", "is_uuid", "kind", "same"]

TOLERANCE = 0.1
"""Part of a duration by which it may differ: an event source grants about what was asked for."""

_HEX = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID = re.compile(rf"(?:urn:)?(?:uuid:)?(?:\{{({_HEX})\}}|({_HEX}))", re.IGNORECASE | re.ASCII).fullmatch
_URL = re.compile(r"[a-z][a-z0-9+.\-]*://[^\s/?#]+\S*", re.IGNORECASE | re.ASCII).fullmatch
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII).fullmatch
_RANGE = re.compile(r"number (-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?", re.ASCII).fullmatch

HOW: Mapping[str, str] = {
    "equal": "the same value, by its type: 1 is true, 07 is 7, prefixes mean nothing",
    "ignore": "not looked at; it may also be missing, or new",
    "any": "any value of the same type",
    "uuid": "any UUID, also as urn:uuid:…",
    "date": "any date with time",
    "duration": f"a duration that differs by {TOLERANCE:.0%} at most; a date where a date was recorded",
    "url": "any URL",
    "address": "a URL where a URL was recorded, a UUID where a UUID was, else the same",
    "number": "any number; number 1..10, number 1.. and number ..10 say from where to where",
    "text": "any text that is not empty",
    "one of": "one of A|B|C: one of the values named",
}
"""What can be said of a value → what it means."""


class Value(NamedTuple):
    """A value: its text without the white space around it, what the decoder made of it, and the base of its type
    (:class:`~dissector.catalog.SimpleType`), "" where the catalogue knows none."""

    text: str
    value: Any = None
    base: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked of a value.

    Attributes:
        how: as it was written.
        phrase: for sentences: what was expected, "" where that is the recorded value.
        fits: expected and received value → whether that will do.
    """

    how: str
    phrase: str
    fits: Callable[[Value, Value], bool]


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal by their type."""
    left, right = _plain(one), _plain(other)
    return type(left) is type(right) and bool(left == right)


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in one of its spellings: bare, in braces, as ``urn:uuid:`` or ``uuid:``."""
    return _UUID(text) is not None


def is_url(text: str) -> bool:
    """Whether a text is a URL with an authority, such as ``http://192.0.2.1:5357/``."""
    return _URL(text) is not None


@lru_cache(maxsize=256)
def kind(how: str) -> Kind:
    """The kind that a word of :data:`HOW` asks for.

    Args:
        how: such as ``date``, ``number 1..10`` or ``one of Completed|Aborted``.

    Raises:
        ValueError: it is none of them; the message says what there is.
    """
    how = how.strip()
    simple = _SIMPLE.get(how)
    if simple is not None:
        return Kind(how, *simple)
    if how.startswith("one of "):
        values = [word.strip() for word in how[7:].split("|")]
        if all(values):
            return Kind(how, f"one of {', '.join(values)}", lambda was, came: not _spellings(came).isdisjoint(values))
    limits = _RANGE(how)
    if limits is not None and (limits[1] or limits[2]):
        low, high = float(limits[1] or "-inf"), float(limits[2] or "inf")
        if low <= high:
            said = f"{f' from {limits[1]}' if limits[1] else ''}{f' to {limits[2]}' if limits[2] else ''}"
            return Kind(how, f"a number{said}", lambda was, came: _is_number(came) and low <= float(came.text) <= high)
    words = ", ".join(word for word in HOW if word != "one of")
    raise ValueError(f"{how!r} is no way to judge a value; there is {words}, number 1..10, one of A|B")


def _plain(value: Value) -> Any:
    """A value that equals another one exactly where both mean the same."""
    given = value.value
    if isinstance(given, QName):
        return (given.namespace, given.local)
    if isinstance(given, list):
        return frozenset((one.namespace, one.local) if isinstance(one, QName) else str(one) for one in given)
    if isinstance(given, DateTime):
        moment = given.datetime
        return given.text if moment is None else (moment, given.zone is None)
    if isinstance(given, Duration):
        return ("duration", given.seconds)
    if isinstance(given, (bool, int)):
        return given
    if value.base in ("guid", "anyURI"):
        match = _UUID(value.text)
        if match is not None:
            return ("uuid", (match[1] or match[2]).lower())
    if value.base == "base64":
        return "".join(value.text.split())
    return value.text.strip(WHITE)


def _alike(was: Value, came: Value) -> bool:
    """Of the same type as what was recorded: a number for a number, a GUID for a GUID, something for something."""
    if isinstance(was.value, bool) or isinstance(came.value, bool):
        return isinstance(was.value, bool) and isinstance(came.value, bool)
    for form in (int, DateTime, Duration, QName, list):
        if isinstance(was.value, form):
            return isinstance(came.value, form) and bool(came.text or not was.text)
    if was.base == "guid" and is_uuid(was.text):
        return is_uuid(came.text)
    return bool(came.text) or not was.text


def _date(was: Value, came: Value) -> bool:
    return parse_date_time(came.text) is not None


def _duration(was: Value, came: Value) -> bool:
    one, other = parse_duration(was.text), parse_duration(came.text)
    if one is None:
        # A point in time was recorded (or nothing that can be read): today's lies elsewhere.
        return _date(was, came) or (other is not None and not _date(was, was))
    return other is not None and abs(one.seconds - other.seconds) <= TOLERANCE * abs(one.seconds)


def _words(value: Value) -> list[str]:
    return value.text.split()


def _url(was: Value, came: Value) -> bool:
    return bool(came.text) and all(is_url(word) for word in _words(came))


def _address(was: Value, came: Value) -> bool:
    words, now = _words(was), _words(came)
    if words and all(is_url(word) for word in words):
        return _url(was, came)
    if words and all(is_uuid(word) for word in words):
        return bool(now) and all(is_uuid(word) for word in now)
    return same(was, came)


def _is_number(value: Value) -> bool:
    return _NUMBER(value.text) is not None


def _spellings(value: Value) -> set[str]:
    """The texts that a value may be named by."""
    found = {value.text}
    if isinstance(value.value, bool):
        found |= {"true", "1"} if value.value else {"false", "0"}
    elif isinstance(value.value, int):
        found.add(str(value.value))
    elif isinstance(value.value, QName):
        found |= {value.value.local, str(value.value)}
    return found


_SIMPLE: dict[str, tuple[str, Callable[[Value, Value], bool]]] = {
    "equal": ("", same),
    "ignore": ("", lambda was, came: True),
    "any": ("a value of its type", _alike),
    "uuid": ("a UUID", lambda was, came: is_uuid(came.text)),
    "date": ("a date", _date),
    "duration": ("", _duration),
    "url": ("a URL", _url),
    "address": ("an address", _address),
    "number": ("a number", lambda was, came: _is_number(came)),
    "text": ("a text", lambda was, came: bool(came.text)),
}
