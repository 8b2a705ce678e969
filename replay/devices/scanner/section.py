"""One mapping of a device file, read value by value: what is wrong is told with file, line and what was expected.

A key that is left out, or stands without a value, has its default.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dissector.base.errors import UsageError
from dissector.catalog import ENUMS
from replay.base.yamlfile import line_of, wrong
from replay.devices.scanner.device import MAX_SIZE, is_number
from replay.devices.scanner.render import MAX_DPI

__all__ = ["Section", "expected", "plain"]

LONGEST_TEXT = 4096
"""Characters of one text."""

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_VENDORS = re.compile(r"[^:/]+[:/].+").fullmatch
"""Vendors' own values have a prefix, or the shape of a media type: a slip of the pen has not."""


def expected(given: Any, known: Iterable[str]) -> str:
    """What was due in place of a wrong name: the nearest, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(given), names, 1)
    return near[0] if near else ", ".join(names)


def plain(value: Any) -> Any:
    """Loaded YAML as plain Python."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


class Section:
    """A mapping of the file.

    Args:
        name: of the file, for errors.
        data: the mapping.
        keys: those that it may have.
        parent: what it stands in, and under which key: for its line where ``data`` is no mapping.

    Raises:
        UsageError: ``data`` is no mapping, or has other keys. All methods raise it for wrong values.
    """

    def __init__(self, name: str, data: Any, keys: Sequence[str], parent: tuple[Any, Any] = (None, None)) -> None:
        if not isinstance(data, Mapping):
            holder, key = parent
            raise wrong(name, holder, key, f"{key or 'the file'} is {data!r}", f"a mapping with {', '.join(keys)}")
        self.name = name
        self.data = data
        self._parent = parent
        for key in data:
            if key not in keys:
                raise wrong(name, data, key, f"{key} is not known", expected(key, keys))

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def wrong(self, key: str, problem: str, due: str) -> UsageError:
        """The error of one value."""
        if line_of(self.data) is None:
            return wrong(self.name, *self._parent, problem, due)
        return wrong(self.name, self.data, key, problem, due)

    def raw(self, key: str) -> Any:
        """The value as loaded, None where there is none."""
        return self.data.get(key)

    def section(self, key: str, keys: Sequence[str]) -> Section:
        """A mapping inside; empty where there is none."""
        found = self.data.get(key)
        return Section(self.name, {} if found is None else found, keys, (self.data, key))

    def items(self, key: str) -> list[Any]:
        """A list."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, f"{key} is {value!r}", "a list")
        return list(value)

    def text(self, key: str, default: str = "") -> str:
        """A text. A number counts as one where no sign of it was lost in reading: 0012 and 1.10 need quotes."""
        value = self.data.get(key)
        if value is None:
            return default
        padded = is_number(value) and getattr(value, "_width", None) is not None
        if padded or not (isinstance(value, str) or is_number(value)):
            raise self.wrong(key, f"{key} is {value!r}", "a text; one that looks like something else stands in quotes")
        text = str(value)
        if _NO_XML(text) or len(text) > LONGEST_TEXT:
            raise self.wrong(key, f"{key} cannot stand in XML", f"at most {LONGEST_TEXT} printable characters")
        return text

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, f"{key} is {value!r}", "true or false")
        return bool(value)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self.data.get(key)
        if value is None:
            return default
        if not is_number(value) or not low <= value <= high:
            raise self.wrong(key, f"{key} is {value!r}", f"a whole number from {low} to {high}")
        return int(value)

    def seconds(self, key: str, default: float, high: float) -> float:
        """Seconds above 0."""
        value = self.data.get(key)
        if value is None:
            return default
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not 0 < value <= high:
            raise self.wrong(key, f"{key} is {value!r}", f"seconds, above 0 and at most {high:g}")
        return float(value)

    def pair(self, key: str, default: Sequence[int]) -> tuple[int, int]:
        """Width and height in 1/1000 inch."""
        value = self.data.get(key)
        value = default if value is None else value
        if not _numbers(value, 1, MAX_SIZE) or len(value) != 2:
            raise self.wrong(key, f"{key} is {value!r}", "[width, height] in 1/1000 inch")
        return int(value[0]), int(value[1])

    def range(self, key: str, default: Sequence[int], low: int, high: int, covers: int | None = None) -> dict[str, int]:
        """The plain form of MinValue and MaxValue."""
        value = self.data.get(key)
        value = default if value is None else value
        due = f"[lowest, highest] within {low} to {high}" + (f", with {covers} inside" if covers is not None else "")
        if not _numbers(value, low, high) or len(value) != 2 or value[0] > value[1]:
            raise self.wrong(key, f"{key} is {value!r}", due)
        if covers is not None and not value[0] <= covers <= value[1]:
            raise self.wrong(key, f"{key} is {value!r}", due)
        return {"min_value": int(value[0]), "max_value": int(value[1])}

    def resolutions(self, key: str, default: Sequence[int]) -> list[int]:
        """Dots per inch."""
        value = self.data.get(key)
        value = default if value is None else value
        if not _numbers(value, 1, MAX_DPI):
            raise self.wrong(key, f"{key} is {value!r}", f"a list of dots per inch, 1 to {MAX_DPI}")
        return [int(one) for one in value]

    def values(self, key: str, enum: str, default: Sequence[str]) -> list[str]:
        """Values of an enumeration of WS-Scan, or a vendor's own."""
        value = self.data.get(key)
        value = default if value is None else value
        decl = ENUMS[f"wscn:{enum}"]
        known = decl.values
        if not isinstance(value, (list, tuple)) or not value:
            raise self.wrong(key, f"{key} is {value!r}", f"a list of {enum} values: {', '.join(known)}")
        for one in value:
            if str(one) not in known and not (_VENDORS(str(one)) and decl.is_vendors(str(one))):
                raise self.wrong(key, f"{one} is no {enum}", expected(one, known))
        return [str(one) for one in value]


def _numbers(value: Any, low: int, high: int) -> bool:
    """Whether it is a list of whole numbers within bounds, one at least."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(is_number(one) and low <= one <= high for one in value)
