"""Text → typed value, by simple type.

Rules: white space around a value never matters (published samples wrap values in line breaks even where the type keeps
white space, MS-BDSRR 4.1); the raw text is the caller's to keep. A text that does not fit its type is given back as
str, with ``ok`` False. A number outside its range is still a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from dissector.catalog.model import SimpleType
from dissector.catalog.times import parse_date_time, parse_duration
from dissector.soap.model import QName

__all__ = ["WHITE", "Converter", "Resolve", "convert", "converter", "no_scope"]

WHITE = " \t\r\n"
"""White space of XML; Unicode's other blanks are part of a value."""

Resolve: TypeAlias = Callable[[str], str | None]
"""Prefix ("" for none) → canonical namespace in scope: "" where no default is declared, None for an unknown prefix."""

Converter: TypeAlias = Callable[[str, SimpleType, Resolve], tuple[Any, bool]]

_INT = re.compile(r"[+-]?[0-9]{1,30}").fullmatch
_NAME = re.compile(r"(?:([^\W\d][\w.\-]*):)?([^\W\d][\w.\-]*)").fullmatch
_BASE64 = re.compile(r"[A-Za-z0-9+/= \t\r\n]*").fullmatch
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_PATTERNS: dict[str, Callable[[str], Any]] = {}


def _string(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    return value, kind.max_length is None or len(value) <= kind.max_length


def _int(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    if _INT(value) is None:
        return value, False
    number = int(value)
    return number, (kind.min is None or number >= kind.min) and (kind.max is None or number <= kind.max)


def _bool(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    known = _BOOLEANS.get(value)
    return (value, False) if known is None else (known, True)


def _date_time(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    parsed = parse_date_time(value)
    return (value, False) if parsed is None else (parsed, True)


def _duration(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    parsed = parse_duration(value)
    return (value, False) if parsed is None else (parsed, True)


def _expires(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value, ok = _duration(text, kind, resolve)
    return (value, ok) if ok else _date_time(text, kind, resolve)


def _pattern(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    matches = _PATTERNS.get(kind.name)
    if matches is None:
        matches = _PATTERNS[kind.name] = re.compile(kind.pattern or "", re.ASCII).fullmatch
    return value, matches(value) is not None


def _qname(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    value = text.strip(WHITE)
    match = _NAME(value)
    if match is None:
        return value, False
    prefix, local = match[1] or "", match[2]
    namespace = resolve(prefix)
    # Without its namespace the local name still tells what is meant, so an unbound prefix leaves a QName.
    return QName(namespace or "", local, prefix), namespace is not None


def _uris(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    return text.split(), True


def _qnames(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    pairs = [_qname(word, kind, resolve) for word in text.split()]
    return [value for value, _ in pairs], all(ok for _, ok in pairs)


def _base64(text: str, kind: SimpleType, resolve: Resolve) -> tuple[Any, bool]:
    return text.strip(WHITE), _BASE64(text) is not None


_CONVERTERS: dict[str, Converter] = {
    "string": _string,
    "int": _int,
    "bool": _bool,
    "dateTime": _date_time,
    "duration": _duration,
    "expires": _expires,
    "anyURI": _string,
    "qname": _qname,
    "guid": _pattern,
    "sid": _pattern,
    "base64": _base64,
    "list-uri": _uris,
    "list-qname": _qnames,
}


def converter(base: str) -> Converter:
    """The function that converts texts of a base type (see :class:`~dissector.catalog.model.SimpleType`)."""
    return _CONVERTERS[base]


def no_scope(prefix: str) -> str | None:
    """The scope of a text outside any document: no prefix is declared."""
    return None if prefix else ""


def convert(text: str, simple_type: SimpleType, resolve_prefix: Resolve = no_scope) -> tuple[Any, bool]:
    """The typed value of a text.

    Args:
        text: as sent.
        simple_type: its type.
        resolve_prefix: gives the namespace of a prefix in the scope of the element; needed for QNames only.

    Returns:
        The value (str, int, bool, QName, DateTime, Duration, or a list of str or QName), and whether it fits the type:
        False for a text of another form (given as str), a number out of range, a text too long, a QName whose prefix is
        not bound (its namespace is then "").
    """
    return _CONVERTERS[simple_type.base](text, simple_type, resolve_prefix)
