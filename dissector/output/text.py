"""Text for terminals: what came from the network is made harmless, numbers and lists are made short.

Rule: whatever a peer sent passes :func:`printable` before it is written as text. Control characters, terminal escapes
and characters that reorder or hide text (bidirectional controls, zero width, marks on marks without end) are shown as
``\\x1b`` or ``\\u202e``. JSON needs none of this: its encoder escapes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "MARKS",
    "PLAIN",
    "Palette",
    "clip",
    "count",
    "frames_text",
    "host_of",
    "printable",
    "short_id",
    "short_uri",
    "size_text",
    "width",
]

_UNSAFE = re.compile(
    # Controls, surrogates, line and paragraph separators, and all format characters (general category Cf) of Unicode:
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff0-\uffff\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    # Fillers that take no room or are blank, variation selectors, tags:
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)


MARKS = 8
"""Marks on one character. Languages have four at most; thousands would cover the lines around."""

_MAYBE_MARKS = re.compile(f"[\u0300-\U0010ffff]{{{MARKS + 1},}}")
"""What may be more: no mark comes before U+0300."""


def printable(text: str) -> str:
    """The text on one line, with everything that a terminal could obey or hide shown as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return _MAYBE_MARKS.sub(_few_marks, _UNSAFE.sub(_escape, text))


def _few_marks(match: re.Match[str]) -> str:
    """Marks beyond :data:`MARKS` of one character as escapes."""
    text = match.group()
    shown, marks = [], 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        shown.append(character if marks <= MARKS else _escaped(character))
    return "".join(shown)


def _is_mark(character: str) -> bool:
    """It takes no column of its own."""
    return unicodedata.category(character) in ("Mn", "Me")


def _escape(match: re.Match[str]) -> str:
    return _escaped(match.group())


def _escaped(character: str) -> str:
    code = ord(character)
    named = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if named:
        return named
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns that the text takes on a terminal: wide characters two, marks on others none, up to :data:`MARKS`."""
    return len(text) if text.isascii() else sum(_widths(text))


def _widths(text: str) -> Iterator[int]:
    marks = 0
    for character in text:
        marks = marks + 1 if _is_mark(character) else 0
        yield 0 if 0 < marks <= MARKS else 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, columns: int) -> str:
    """The text cut to so many columns, the cut shown as ``…``."""
    if width(text) <= columns:
        return text
    taken, used = 0, 0
    for one in _widths(text):
        used += one
        if used > columns - 1:
            break
        taken += 1
    return text[:taken] + "…"


def short_id(text: str) -> str:
    """A job token or message id, short enough for a line: the first eight digits of a UUID, else 16 characters."""
    bare = re.sub(r"(?i)^urn:uuid:|^uuid:", "", text.strip())
    if re.match(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-", bare):
        return bare[:8]
    return printable(clip(bare, 16))


def short_uri(text: str) -> str:
    """The last step of a URI, such as an action's or a dialect's name."""
    return printable(text.rstrip("/").rsplit("/", 1)[-1].rsplit("}", 1)[-1])


def host_of(endpoint: str) -> str:
    """The address of ``address:port`` as text."""
    return endpoint.rsplit(":", 1)[0].strip("[]") if endpoint.count(":") == 1 or endpoint.startswith("[") else endpoint


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 image``, ``3 images``, ``2,000 bytes``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size_text(size: int) -> str:
    """A size in bytes for a table: ``812 B``, ``24.3 KiB``, ``1.2 MiB``."""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024 or unit == "GiB":
            break
    return f"{amount:.1f} {unit}"


def frames_text(frames: Sequence[int], most: int = 6) -> str:
    """Frame numbers as runs: ``4-9, 12``; long lists are cut."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    shown = [f"{low}-{high}" if high > low else str(low) for low, high in runs[:most]]
    return ", ".join(shown) + (f", … {frames[-1]}" if len(runs) > most else "")


_CODES = {
    "error": "31;1",
    "warn": "33",
    "note": "36",
    "chat": "2",
    "good": "32",
    "title": "1",
    "dim": "2",
    "event": "35",
    "fault": "31",
    "response": "32",
    "discovery": "34",
    "request": "0",
}


class Palette:
    """Colours by meaning; without colour every text stays as it is."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, role: str, text: str) -> str:
        """The text in the colour of a role (a severity, a kind of message, "title", "dim", "good")."""
        code = _CODES.get(role) if self.color and text else None
        return f"\x1b[{code}m{text}\x1b[0m" if code and code != "0" else text


PLAIN = Palette(False)
"""No colours."""


def columns(rows: Iterable[Sequence[str]]) -> list[int]:
    """The widths that a table's columns need."""
    widths: list[int] = []
    for row in rows:
        for place, cell in enumerate(row):
            if place == len(widths):
                widths.append(0)
            widths[place] = max(widths[place], width(cell))
    return widths
