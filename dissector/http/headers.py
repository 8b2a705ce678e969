"""Header values with parameters, read as devices write them.

Real values have unquoted odd characters, lack semicolons (``type=application/soap+xml charset=UTF-8``), end with a
stray one, or have blanks around ``=``. What can be read is read; what was wrong is said in
:attr:`MediaType.problems`.

Sources: RFC 9110 5.6.6 and 8.3 (HTTP), RFC 2045 5.1 (MIME).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = ["MediaType", "could_be_xml", "list_items", "parse_media_type"]

MAX_VALUE = 4096
"""Characters of one value that are read."""

_BLANKS = " \t\r\n"
_SEPARATOR = re.compile(r"[;\s]*")
_NAME = re.compile(r'[^=;\s"]+')
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^;\s]*")
_PAIR = re.compile(r"\\(.)", re.DOTALL)


class MediaType(NamedTuple):
    """A media type (or disposition, or any value with parameters).

    Attributes:
        value: lower case, without parameters.
        parameters: names in lower case; the first of several of one name.
        problems: what deviates from the grammar, as words for people.
    """

    value: str
    parameters: dict[str, str]
    problems: tuple[str, ...] = ()


def parse_media_type(text: str) -> MediaType:
    """Read a value with parameters, of at most :data:`MAX_VALUE` characters. Never raises.

    The result is shared: copy ``parameters`` before changing it.
    """
    return _parse(text) if len(text) <= MAX_VALUE else _parse(text[:MAX_VALUE])


@lru_cache(maxsize=1024)
def _parse(text: str) -> MediaType:
    main = re.match(r"[^;\s]*", text.strip(_BLANKS))
    value = main[0] if main else ""
    pos = text.find(value) + len(value)
    end = len(text.rstrip(_BLANKS))
    parameters: dict[str, str] = {}
    problems: list[str] = []
    last = ""  # the parameter whose unquoted value may go on behind a blank
    while pos < end:
        gap = _SEPARATOR.match(text, pos, end)
        between = gap[0] if gap else ""
        pos += len(between)
        if pos >= end:
            if ";" in between:
                problems.append("a semicolon at the end")
            break
        if ";" in between:
            last = ""
        else:
            problems.append("a missing semicolon")
        name = _NAME.match(text, pos, end)
        if name is None:
            problems.append(f"a stray {text[pos]!r}")
            pos += 1
            continue
        equals = _EQUALS.match(text, name.end(), end)
        if equals is None:
            if last:
                parameters[last] += between + name[0]
                problems.append(f"an unquoted blank in {last}")
            else:
                problems.append(f"the word {name[0]!r} without a value")
            pos = name.end()
            continue
        if equals[0] != "=":
            problems.append("blanks around =")
        key = name[0].lower()
        pos = equals.end()
        quoted = _QUOTED.match(text, pos, end)
        last = ""
        if quoted:
            content = _PAIR.sub(r"\1", quoted[1]) if "\\" in quoted[1] else quoted[1]
            pos = quoted.end()
        elif text.startswith('"', pos):
            content = text[pos + 1 : end]
            problems.append(f"a missing quote behind {key}")
            pos = end
        else:
            bare = _BARE.match(text, pos, end)
            content = bare[0] if bare else ""
            pos += len(content)
            last = key
        if key in parameters:
            problems.append(f"{key} twice")
            last = ""
        else:
            parameters[key] = content
    return MediaType(value.lower(), parameters, tuple(dict.fromkeys(problems)))


def could_be_xml(media_type: str) -> bool:
    """The (lower case) media type says XML or SOAP."""
    return "xml" in media_type or "soap" in media_type


def list_items(values: Iterable[str]) -> list[str]:
    """The items of comma-separated lists, lower case, without their parameters."""
    items = []
    for value in values:
        for item in value.split(","):
            word = item.split(";", 1)[0].strip(_BLANKS).lower()
            if word:
                items.append(word)
    return items
