"""From the catalogue to Scapy fields: which elements of a message become fields, and where their values belong.

A simple element that can stand only once below the body element is a field named for it (``JobCompletedState``);
where one message has several elements of a name, enough of the path is put before it (``MediaFront_Width``). An
element that can repeat is a list field of plain values or of dictionaries (the JSON form of
``dissector.catalog.field.field_json``). What has no field is kept in the field ``other``, by its path: what the
catalogue does not foresee, and the attributes of simple elements (``…/input_source@must_honor``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from scapy.fields import ConditionalField, Field

from dissector.catalog import ELEMENTS, TYPES, snake_case
from dissector.catalog.model import UNBOUNDED, ElementDecl

__all__ = ["Leaf", "ValueField", "collect", "fields_of", "leaves_of", "shown", "spread"]

DEPTH = 8
"""Nesting of containers that is spread into fields; no message of the catalogue goes deeper."""


@dataclass(frozen=True)
class Leaf:
    """A field: its name, where its value stands in the JSON form, whether it repeats, and whether one value of it is
    a list by its type (``Types``, ``XAddrs``)."""

    name: str
    path: tuple[str, ...]
    many: bool
    listed: bool = False


class ValueField(Field):  # type: ignore[misc]  # Scapy has no types
    """A typed value, or a list of values, that stands in XML and not at a fixed place in bytes."""

    __slots__ = ["islist"]

    def __init__(self, name: str, many: bool = False) -> None:
        Field.__init__(self, name, [] if many else None, "B")
        self.islist = int(many)

    def any2i(self, pkt: Any, x: Any) -> Any:
        """Values are kept as they are given."""
        return x

    def i2h(self, pkt: Any, x: Any) -> Any:
        """The value itself."""
        return x

    def h2i(self, pkt: Any, x: Any) -> Any:
        """The value itself."""
        return x

    def do_copy(self, x: Any) -> Any:
        """A deep copy, so that a copied packet can be changed without changing the first."""
        return deepcopy(x)

    def i2repr(self, pkt: Any, x: Any) -> str:
        """Text bare, everything else as Python writes it."""
        return x if isinstance(x, str) else repr(x)


def leaves_of(decl: ElementDecl | None) -> tuple[Leaf, ...]:
    """The fields of a body element, in the catalogue's order."""
    if decl is None:
        return ()
    found = list(_walk(decl, (), (), 0))
    names = _names([names for names, *_ in found])
    return tuple(Leaf(name, path, many, listed) for name, (_, path, many, listed) in zip(names, found, strict=True))


def _walk(
    decl: ElementDecl, names: tuple[str, ...], path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], bool, bool]]:
    for attribute in decl.attributes:
        if decl.content != "simple" and names:
            yield (*names, attribute.name), (*path, f"@{snake_case(attribute.name)}"), False, False
    if decl.content == "simple":
        yield names, path, False, decl.type is not None and TYPES[decl.type].base.startswith("list-")
        return
    for child in decl.children:
        below = ELEMENTS.get(child.key or "")
        name, step = child.name, snake_case(child.name)
        if child.max == UNBOUNDED or child.max > 1:
            yield (*names, name), (*path, step), True, False
        elif below is not None and depth < DEPTH and name not in names:
            yield from _walk(below, (*names, name), (*path, step), depth + 1)


def _names(paths: list[tuple[str, ...]]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    taken: dict[str, int] = {}
    sizes = [1] * len(paths)
    while True:
        named = ["_".join(path[-size:]) for path, size in zip(paths, sizes, strict=True)]
        taken = {}
        for name in named:
            taken[name] = taken.get(name, 0) + 1
        grown = False
        for place, name in enumerate(named):
            if taken[name] > 1 and sizes[place] < len(paths[place]):
                sizes[place] += 1
                grown = True
        if not grown:
            return named


def fields_of(leaves: tuple[Leaf, ...]) -> list[Any]:
    """Scapy's fields_desc. A field without a value is not shown."""
    made: list[Any] = []
    for leaf in leaves:
        made.append(shown(ValueField(leaf.name, leaf.many or leaf.listed)))
    made.append(shown(ValueField("other")))
    return made


def shown(field: ValueField) -> Any:
    """The field, hidden from ``show()`` while it has no value; it is None then (a list, too)."""
    name = field.name
    return ConditionalField(field, lambda pkt: pkt.fields.get(name) not in (None, [], {}))


def spread(leaves: tuple[Leaf, ...], data: Any) -> dict[str, Any]:
    """The JSON form of a body element → field values; what no field takes goes to ``other`` by its path."""
    if not isinstance(data, Mapping):
        return {} if data is None else {"other": {"": data}}
    by_path = {leaf.path: leaf for leaf in leaves}
    containers = {leaf.path[:size] for leaf in leaves for size in range(1, len(leaf.path))}
    values: dict[str, Any] = {}
    other: dict[str, Any] = {}

    def visit(at: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for key, value in at.items():
            here = (*path, key)
            leaf = by_path.get(here)
            if leaf is not None and isinstance(value, list) == (leaf.many or leaf.listed):
                values[leaf.name] = value
            elif here in containers and isinstance(value, Mapping) and value:
                visit(value, here)
            else:
                other["/".join(here)] = value

    visit(data, ())
    if other:
        values["other"] = other
    return values


def collect(leaves: tuple[Leaf, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Field values → the JSON form of the body element."""
    data: dict[str, Any] = {}

    def put(path: tuple[str, ...], value: Any) -> None:
        at = data
        for step in path[:-1]:
            at = at.setdefault(step, {})
        at[path[-1]] = value

    for leaf in leaves:
        value = values.get(leaf.name)
        if value is not None and (value != [] or leaf.listed):
            put(leaf.path, value)
    for path, value in (values.get("other") or {}).items():
        if path:
            put(tuple(path.split("/")), value)
    return data
