"""Decoded elements, and their form as plain data.

The plain form (``fields`` of ``--json`` and ``--ndjson``) is stable; what it is, :func:`field_json` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dissector.base.findings import Finding
from dissector.catalog.convert import WHITE
from dissector.catalog.model import ElementDecl
from dissector.catalog.names import snake_case
from dissector.catalog.plans import element_plan
from dissector.catalog.times import DateTime, Duration
from dissector.soap.model import QName

__all__ = ["Field", "field_json", "value_json"]

_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Field:
    """One decoded element.

    Attributes:
        name: local name as sent; ``key`` is its JSON name (snake_case).
        namespace: canonical.
        prefix: as sent.
        decl: its row, None for an element that the catalogue does not know here.
        value: typed value of a simple element (str, int, bool, QName, DateTime, Duration, list), else None. Text
            that does not fit its type is given as str, with a finding.
        text: the text as sent, untouched ("" for none).
        attributes: local name → (typed value, text as sent).
        children: in document order.
        vendor: the element or its value is a vendor's own.
        nil: xsi:nil.
        path: element path from the body element, such as ``JobStatus/JobState``; repeated siblings as ``[2]``.
        index: position of the element in document order (root element 0): key of its byte span.
    """

    name: str
    key: str
    namespace: str
    prefix: str
    decl: ElementDecl | None
    value: Any
    text: str
    attributes: dict[str, tuple[Any, str]]
    children: list[Field]
    path: str
    index: int
    vendor: bool = False
    nil: bool = False
    findings: list[Finding] = field(default_factory=list)

    def find(self, path: str) -> Field | None:
        """The first descendant by path of local names, such as ``JobStatus/JobState``.

        A misspelt element is found by its right name, and an element of the catalogue before a vendor's own one of
        the same name.
        """
        at: Field | None = self
        for name in path.split("/"):
            if at is None:
                return None
            first = None
            for child in at.children:
                decl = child.decl
                if decl is not None:
                    if decl.name == name:
                        first = child
                        break
                elif first is None and child.name == name:
                    first = child
            at = first
        return at

    def find_all(self, path: str) -> list[Field]:
        """All descendants by path of local names; a misspelt element is found by its right name."""
        found = [self]
        for name in path.split("/"):
            found = [c for f in found for c in f.children if (c.decl.name if c.decl else c.name) == name]
        return found

    def get(self, path: str, default: Any = None) -> Any:
        """The value of the first descendant by path, or the default."""
        hit = self.find(path)
        return default if hit is None else hit.value

    def to_json(self) -> Any:
        """The field as plain data, see :func:`field_json`."""
        return field_json(self)


def value_json(value: Any) -> Any:
    """A typed value as plain data: bool, int and str as they are, dates and durations as their text, a QName as
    ``{namespace}local`` (``local`` without namespace), a list as a list."""
    if isinstance(value, QName):
        return str(value)
    if isinstance(value, (DateTime, Duration)):
        return value.text
    if isinstance(value, list):
        return [value_json(one) for one in value]
    return value


def field_json(field: Field) -> Any:
    """A field as plain data.

    * A simple element is its typed value (:func:`value_json`); a text that does not fit its type is that text. An
      element with ``xsi:nil`` is None.
    * An element that can have children is an object, its children by ``Field.key`` (the name in snake_case; a vendor's
      element whose name is that of a known sibling has ``_vendor`` added). So is an element without children that
      the catalogue declares with children, or as empty: ``{}``. Text in such an element is ``#text``.
    * A child that may occur more than once by the catalogue is always a list; any other one only if it does occur
      more than once.
    * Attributes of an object are its members ``@name``. Attributes of a simple element are members ``key@name`` beside
      it. In a list, a simple element that has attributes, or for which the catalogue knows some, is an object of
      ``#text`` and ``@name``; so is a field that is asked for by itself.
    * Names of attributes are in snake_case too. Namespace declarations are no attributes.
    """
    if _is_object(field):
        return _object(field)
    return _item(field)


def _is_object(field: Field) -> bool:
    """It has members of its own, rather than one value."""
    if field.children:
        return True
    decl = field.decl
    if decl is None or decl.content == "simple":
        return False
    # Binary content may stand in the element itself, in base64.
    return not (decl.content == "xop" and field.value) and not field.nil


def _simple(field: Field) -> Any:
    return None if field.nil else value_json(field.value)


def _attributes(field: Field, prefix: str = "@") -> dict[str, Any]:
    return {prefix + snake_case(name): value_json(value) for name, (value, _) in field.attributes.items()}


def _item(field: Field) -> Any:
    if field.attributes or (field.decl is not None and field.decl.attributes):
        return {"#text": _simple(field), **_attributes(field)}
    return _simple(field)


def _object(field: Field) -> dict[str, Any]:
    data = _attributes(field)
    text = field.text.strip(WHITE)
    if text:
        data["#text"] = text
    many = element_plan(field.decl.key).many if field.decl is not None else _NONE
    groups: dict[str, list[Field]] = {}
    for child in field.children:
        groups.setdefault(child.key, []).append(child)
    for key, members in groups.items():
        if key in many or len(members) > 1:
            data[key] = [field_json(one) for one in members]
            continue
        only = members[0]
        if _is_object(only):
            data[key] = _object(only)
        else:
            data[key] = _simple(only)
            if only.attributes:
                data.update(_attributes(only, f"{key}@"))
    return data
