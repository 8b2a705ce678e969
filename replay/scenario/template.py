"""Texts with ``${name}`` in them. ``$$`` stands for one ``$``, ``${#length}`` for the length of a body.

A value can be written in other ways than the plain one: with character references, in a CDATA section, a GUID in
capital letters, a header folded over lines. Where the recorded value is put in, it is put in as it was written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from replay.scenario.values import GUID

__all__ = ["LENGTH", "cut", "fill", "names_in", "plain", "put", "says_same"]

LENGTH = "#length"
"""Stands for the length of the body as it is sent; never the name of a value."""

_NAME = re.compile(r"\$(?:\$|\{(#length|[a-z][a-z0-9_]*)\})")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_URN = re.compile(r"(?:urn:)?uuid:", re.IGNORECASE)


def put(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """Put names into a text.

    Args:
        text: as recorded.
        spans: (start, end, name); those that overlap an earlier one are left out.
    """
    pieces, at = [], 0
    for start, end, name in sorted(spans):
        if start < at:
            continue
        pieces += [text[at:start].replace("$", "$$"), f"${{{name}}}"]
        at = end
    pieces.append(text[at:].replace("$", "$$"))
    return "".join(pieces)


def fill(text: str, values: Mapping[str, str], *, xml: bool = False, written: Mapping[str, str] | None = None) -> str:
    """Put values into a text.

    Args:
        text: with names.
        values: name → text.
        xml: what is put in is escaped.
        written: name → how its recorded value is written here, where that is not the plain way.

    Raises:
        KeyError: a name that has no value.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        value = values[match[1]]
        raw = written.get(match[1]) if written else None
        if raw is not None and says_same(raw, value, xml=xml):
            return raw
        return plain(value, xml=xml)

    return _NAME.sub(one, text)


def names_in(text: str) -> list[str]:
    """The names in a text, each once, in order."""
    found = dict.fromkeys(match[1] for match in _NAME.finditer(text))
    return [name for name in found if name is not None and name != LENGTH]


def cut(text: str) -> tuple[list[str], list[str]]:
    """A text cut at its names: the pieces between them (one more than names, ``$$`` undone), and the names in order."""
    pieces, names, at = [""], [], 0
    for match in _NAME.finditer(text):
        pieces[-1] += text[at : match.start()]
        at = match.end()
        if match[1] is None:
            pieces[-1] += "$"
        else:
            names.append(match[1])
            pieces.append("")
    pieces[-1] += text[at:]
    return pieces, names


def plain(value: str, *, xml: bool) -> str:
    """How a value is written that was not written otherwise. In a head it is one line: what a peer handed out must not
    make further headers."""
    if xml:
        return escape(value, {'"': "&quot;"})
    return " ".join(value.split()) if "\n" in value or "\r" in value else value


def says_same(raw: str, value: str, *, xml: bool) -> bool:
    """Whether a raw text says a value; the forms of a UUID (prefix, braces, case) are one."""
    if xml:
        raw = html.unescape(_CDATA.sub(lambda match: escape(match[1]), raw))
    if raw == value or (not xml and raw.split() == value.split()):
        return True
    return GUID.search(value) is not None and _bare(raw) == _bare(value)


def _bare(text: str) -> str:
    return _URN.sub("", text.strip(), count=1).strip("{}").lower()
