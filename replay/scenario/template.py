"""Texts with ``${name}`` in them. ``$$`` stands for one ``$``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

__all__ = ["fill", "names_in", "put"]

_NAME = re.compile(r"\$(?:\$|\{([a-z][a-z0-9_]*)\})")


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


def fill(text: str, values: Mapping[str, str], *, xml: bool = False) -> str:
    """Put values into a text; ``xml``: what is put in is escaped.

    Raises:
        KeyError: a name that has no value.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        value = values[match[1]]
        return escape(value, {'"': "&quot;"}) if xml else value

    return _NAME.sub(one, text)


def names_in(text: str) -> list[str]:
    """The names in a text, each once, in order."""
    return list(dict.fromkeys(match[1] for match in _NAME.finditer(text) if match[1] is not None))
