"""What somebody else said, in a plain form that ``build`` takes: a client's ticket told back to it, a real device's
configuration told as the emulated one's own.

The plain form of a decoded element is for reading, and not always one that can be built again: an element that the
catalogue does not know stands there by its bare name, a number may hold elements, what may stand once may stand twice.
Here every element that the catalogue knows has the shape that it gives it, and vendors' elements have their namespace.
"""

from __future__ import annotations

from typing import Any

from dissector.catalog import ElementDecl, Field, snake_case, value_json

__all__ = ["plain_ticket", "retold"]


def retold(field: Field) -> dict[str, Any]:
    """The plain form of an element with children, vendors' elements and the catalogue's attributes among them.

    Left out are attributes that the catalogue does not know, what stands inside a simple element, and the second of
    what may stand once.
    """
    return _members(field, own=False)


def plain_ticket(field: Field) -> dict[str, Any]:
    """The plain form of a client's ticket, or a part of it, as it is told again: without what the catalogue does not
    know there, and without MustHonor, which stands only in requests (rule S13)."""
    return _members(field, own=True)


def _members(field: Field, *, own: bool) -> dict[str, Any]:
    """The form of an element that has children by the catalogue; ``own``: nothing of vendors, no attributes."""
    assert field.decl is not None, "an element of the catalogue"
    made: dict[str, Any] = {} if own else _attributes(field.decl, field)
    places = {child.key: child for child in field.decl.children}
    for child in field.children:
        decl = child.decl
        place = places.get(decl.key) if decl is not None else None
        if decl is None or place is None:
            if not own:
                made.setdefault(f"{{{child.namespace}}}{child.name}", []).append(_foreign(child))
            continue
        key = snake_case(decl.name)
        if place.max != 1:
            made.setdefault(key, []).append(_form(decl, child, own=own))
        elif key not in made:
            made[key] = _form(decl, child, own=own)
    return made


def _form(decl: ElementDecl, child: Field, *, own: bool) -> Any:
    if decl.content != "simple":
        return _members(child, own=own)
    value = None if child.nil else value_json(child.value)
    attributes = {} if own else _attributes(decl, child)
    return {"#text": value, **attributes} if attributes else value


def _attributes(decl: ElementDecl, field: Field) -> dict[str, Any]:
    known = {one.name for one in decl.attributes}
    return {f"@{snake_case(name)}": value_json(one) for name, (one, _) in field.attributes.items() if name in known}


def _foreign(field: Field) -> Any:
    """An element that the catalogue does not know here: by its children, or its text."""
    if field.decl is not None:
        return _form(field.decl, field, own=False)
    if not field.children:
        return field.text
    made: dict[str, Any] = {}
    for child in field.children:
        made.setdefault(f"{{{child.namespace}}}{child.name}", []).append(_foreign(child))
    return made
