"""What the content models ask for and what is there: the judge beside the tolerant decoder.

Order is judged only where the specifications tell it, and mildly: real scanners take children in any order, and clients
send them so (sane-airscan puts InputSize before InputSource).
"""

from __future__ import annotations

from dissector.base.findings import Finding, rule
from dissector.catalog.field import Field
from dissector.catalog.model import ElementDecl

__all__ = ["check"]

MISSING = rule("content.missing", "error", "a required element is missing", "WS-Scan rule S04, WS-DSP rule P16")
MANY = rule("content.many", "error", "an element occurs more often than allowed", "WS-Scan rule S04")
CHOICE = rule("content.choice", "error", "not exactly one of the alternatives", "WS-Scan rules S07, S08")
ORDER = rule("content.order", "warn", "elements are not in the order of the schema", "WS-Scan rule S05, WS-DSP P17")
EMPTY = rule("content.empty", "error", "a list has no entry", "WS-DSP rule P70, WS-DSC rule C70")
FOREIGN = rule("content.foreign", "note", "a foreign element where the schema allows none", "WS-DSC rule C72")
MORE = rule("content.more", "warn", "more is wrong in the body than is told")

MOST = 1000
"""Findings of one body, after which it is not looked at any further: one of 50,000 elements can lack 300,000 others."""


def check(field: Field) -> list[Finding]:
    """Judge a decoded body element and all below it: children missing, too many, out of order, or not to be there.

    Returns:
        Findings in document order, at most :data:`MOST` and one that says that there are more; their paths begin with
        the field's name.
    """
    found: list[Finding] = []
    _check(field, field.name, found)
    if len(found) > MOST:
        found[MOST:] = [MORE(f"more is wrong in {field.name} than these {MOST:,} findings", path=field.name)]
    return found


def _check(field: Field, path: str, found: list[Finding]) -> None:
    if len(found) > MOST:
        return
    decl = field.decl
    if decl is not None and not field.nil and decl.content in ("sequence", "choice", "xop", "empty"):
        counts: dict[str, int] = {}
        for child in field.children:
            if child.decl is not None:
                counts[child.decl.key] = counts.get(child.decl.key, 0) + 1
        if decl.content == "sequence":
            _sequence(field, decl, counts, path, found)
        elif decl.content == "choice":
            _choice(field, decl, counts, path, found)
        elif decl.content == "xop" and not field.text.strip() and not counts:
            found.append(MISSING(f"{field.name} has neither an xop:Include nor base64", path=path))
        for one in decl.children:
            if one.max >= 0 and counts.get(one.key, 0) > one.max:
                found.append(MANY(f"{field.name} has {counts[one.key]} {one.name}, {one.max} allowed", path=path))
        if not decl.any_child:
            for child in field.children:
                if child.vendor and child.decl is None:
                    found.append(FOREIGN(f"{field.name} may not hold {child.name}, a foreign element", path=path))
    # Paths are made here as the decoder makes them: Field.path leaves out the root's own name.
    root = path.partition("/")[0]
    for child in field.children:
        _check(child, f"{root}/{child.path}" if child.path else path, found)


def _sequence(field: Field, decl: ElementDecl, counts: dict[str, int], path: str, found: list[Finding]) -> None:
    needed = [one for one in decl.children if one.min and not counts.get(one.key)]
    if needed and not counts and len(decl.children) == 1 and decl.children[0].max < 0:
        found.append(EMPTY(f"{field.name} has no {needed[0].name}", path=path))
    else:
        found.extend(MISSING(f"{field.name} has no {one.name}", path=path) for one in needed)
    if not decl.ordered:
        return
    places = {one.key: place for place, one in enumerate(decl.children)}
    last, before = -1, ""
    for child in field.children:
        place = places.get(child.decl.key) if child.decl is not None else None
        if place is None:
            continue
        if place < last:
            found.append(ORDER(f"{child.name} stands after {before} in {field.name}", path=path))
            return
        last, before = place, child.name


def _choice(field: Field, decl: ElementDecl, counts: dict[str, int], path: str, found: list[Finding]) -> None:
    present = [one.name for one in decl.children if counts.get(one.key)]
    names = ", ".join(one.name for one in decl.children)
    if len(present) > 1:
        found.append(CHOICE(f"{field.name} has {' and '.join(present)}, only one is allowed", path=path))
    elif not present and not decl.any_child and all(one.min for one in decl.children):
        found.append(CHOICE(f"{field.name} has none of {names}", path=path))
