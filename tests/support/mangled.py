"""Damage for properties: plain data and XML trees that were right, changed at some places."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from lxml import etree
from lxml.etree import _Element as Element

from dissector.soap.namespaces import WSCN

__all__ = ["mangled_data", "mangled_tree"]

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 300, 10**9, 10**20, 1.5, float("inf"), float("nan"), "", "x", "0", " ", "\x01", "a:b",
    "http://x/", [], {}, [[]], [None], {"a": 1}, {"#text": 5}, {"@must_honor": True}, [1, 2], [300, 300, 300],
    ["RGB24"], "jfif", {"width": 1}, {"min_value": 5, "max_value": 1},
]  # fmt: skip
TEXTS = ["", "x", "-1", "0", "9" * 20, "300", " 3 0 ", "true", "RGB24", "RGB48", "xps", "1.5", "NaN", "{", "a:b"]
NAMES = ["zz", "#text", "@must_honor", "platen", "adf", "film", "width", "configuration"]
MOST = 2000
"""Elements of a tree, beyond which it does not grow."""


def mangled_data(data: Any, random: Random) -> Any:
    """A copy with one to three changes: a value replaced, left out, wrapped, or put where nothing was."""
    data = copy.deepcopy(data)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        places = list(_places(data))
        if not places:
            break
        holder, key = random.choice(places)
        change = random.randrange(10)
        if change < 5:
            holder[key] = copy.deepcopy(random.choice(VALUES))
        elif change < 7:
            del holder[key]
        elif change == 7:
            holder[key] = [holder[key]]
        elif change == 8 and isinstance(holder, dict):
            holder[random.choice(NAMES)] = copy.deepcopy(random.choice(VALUES))
        else:
            holder[key] = {"x": holder[key]}
    return data


def mangled_tree(root: Element, random: Random) -> Element:
    """A copy with one to eight changes: elements left out, doubled, renamed, filled, with other texts."""
    root = copy.deepcopy(root)
    for _ in range(random.choice([1, 2, 4, 8])):
        elements = [one for one in root.iter() if one is not root]
        if not elements:
            break
        one, other = random.choice(elements), random.choice(elements)
        change = random.randrange(10)
        if change < 3:
            holder = one.getparent()
            assert holder is not None
            holder.remove(one)
        elif change < 6:
            one.text = random.choice(TEXTS)
        elif change == 6:
            one.addnext(copy.deepcopy(one))
        elif change == 7:
            one.tag = other.tag
        elif change == 8:
            one.append(copy.deepcopy(other) if len(elements) < MOST else etree.Element("x"))
        else:
            name = random.choice([f"{{{WSCN}}}MustHonor", f"{{{WSCN}}}UsedDefault", "Width", "x"])
            one.set(name, random.choice(["true", "1", "x", ""]))
    return root


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """All (holder, key) within."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(pairs):
        yield data, key
        yield from _places(value)
