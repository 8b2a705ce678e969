"""Plain data → element: the other direction of ``decode`` and ``field_json``.

``build`` writes children in the catalogue's order, whatever the order of the data, with the usual prefixes declared on
the root. ``element_of`` writes a decoded field again, vendor's elements too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lxml import etree
from lxml.etree import _Element as Element

from dissector.base.errors import UsageError
from dissector.catalog.field import Field
from dissector.catalog.model import AttributeDecl, ElementDecl, MessageDecl
from dissector.catalog.names import snake_case
from dissector.catalog.prefixes import NAMESPACES, PREFIXES
from dissector.catalog.registry import BY_NAME, ELEMENTS, TYPES, body_decl, by_key, message
from dissector.catalog.times import DateTime, Duration
from dissector.soap.model import QName

__all__ = ["build", "element_of"]

What: TypeAlias = ElementDecl | MessageDecl | QName | str

_NIL = f"{{{PREFIXES['xsi']}}}nil"


class _Prefixes:
    """Prefixes that the document uses, those in the text of QNames too."""

    def __init__(self) -> None:
        self.used: dict[str, str] = {}

    def of(self, namespace: str, wanted: str = "") -> str:
        """The prefix of a namespace; one that the catalogue does not know keeps the wanted prefix if that is free."""
        for prefix, uri in self.used.items():
            if uri == namespace:
                return prefix
        prefix = NAMESPACES.get(namespace) or wanted or "ns1"
        number = 1
        while prefix in self.used or (prefix in PREFIXES and PREFIXES[prefix] != namespace):
            prefix, number = f"ns{number}", number + 1
        if prefix != "xml":
            self.used[prefix] = namespace
        return prefix


def build(what: What, data: Any = None) -> Element:
    """Build an element from plain data.

    Args:
        what: an element (``ELEMENTS[…]`` or its key such as ``dsp:JobStatus``), or a message (its row, or its name such
            as ``SendImageRequest``, of the first service that has it) for its body element.
        data: as ``dissector.catalog.field.field_json`` gives it, or with typed values (bool, int, QName, DateTime,
            Duration, lists of these). A Mapping for an element with children, ``{}`` for an empty one; None for
            ``xsi:nil``. A key may also be ``{namespace}local``: for elements that the catalogue does not know, and
            where two known ones have the same JSON name (``ThisModel`` of two device profiles; the plain key is
            the first).

    Returns:
        The element, root of its own tree.

    Raises:
        UsageError: no such element, or data that do not fit the content model's form.
    """
    decl = _decl(what)
    prefixes = _Prefixes()
    element = _element(decl, data, prefixes, None)
    return _declared(element, prefixes)


def element_of(field: Field) -> Element:
    """The element of a decoded field: names, texts and attributes as sent, in the order as sent; canonical
    namespaces.

    Raises:
        UsageError: it comes from a message that was recovered from damage, and cannot be written as XML.
    """
    prefixes = _Prefixes()
    element = _copy(field, prefixes, None)
    return _declared(element, prefixes)


def _declared(element: Element, prefixes: _Prefixes) -> Element:
    """The element with its namespaces declared at the top."""
    try:
        etree.cleanup_namespaces(element, top_nsmap=dict(prefixes.used), keep_ns_prefixes=list(prefixes.used))
    except ValueError as error:
        # Of damaged messages: what was recovered can be anything.
        raise UsageError(f"a namespace cannot stand in XML: {str(error)[:200]}") from error
    return element


def _decl(what: What) -> ElementDecl:
    if isinstance(what, ElementDecl):
        return what
    found: ElementDecl | None
    if isinstance(what, MessageDecl):
        found = body_decl(what)
    elif isinstance(what, QName):
        decls = BY_NAME.get((what.namespace, what.local), ())
        found = decls[0] if decls else None
    else:
        found = ELEMENTS.get(what)
        if found is None:
            row = message(what)
            found = body_decl(row) if row is not None else None
    if found is None:
        raise UsageError(
            f"the catalogue has no element {what if isinstance(what, str) else getattr(what, 'name', what)}"
        )
    return found


def _new(namespace: str, name: str, wanted: str, prefixes: _Prefixes, parent: Element | None) -> Element:
    tag = f"{{{namespace}}}{name}" if namespace else name
    nsmap = {prefixes.of(namespace, wanted): namespace} if namespace else None
    try:
        return etree.Element(tag, nsmap=nsmap) if parent is None else etree.SubElement(parent, tag, nsmap=nsmap)
    except ValueError as error:
        raise UsageError(f"{tag!r} is no name of an element: {error}") from error


def _element(decl: ElementDecl, data: Any, prefixes: _Prefixes, parent: Element | None) -> Element:
    element = _new(decl.namespace, decl.name, "", prefixes, parent)
    if isinstance(data, Mapping):
        _fill(element, decl, data, prefixes)
    elif decl.content not in ("simple", "xop") and data not in (None, ""):
        raise UsageError(f"{decl.name} has children: a mapping is due, not {type(data).__name__}")
    elif data is not None:
        _set_text(element, decl, data, prefixes)
    elif decl.content == "simple":
        _set_nil(element, prefixes)
    return element


def _set_text(element: Element, decl: ElementDecl | None, value: Any, prefixes: _Prefixes) -> None:
    base = TYPES[decl.type].base if decl is not None and decl.type is not None else "string"
    _write(element, None, _text(value, base, prefixes))


def _write(element: Element, attribute: str | None, text: str) -> None:
    """Set the text of an element, or an attribute. What was recovered from damage can hold what XML cannot."""
    try:
        if attribute is None:
            element.text = text
        else:
            element.set(attribute, text)
    except ValueError as error:
        where = element.tag if attribute is None else f"{attribute} of {element.tag}"
        raise UsageError(f"the text of {where} cannot stand in XML: {error}") from error


def _set_nil(element: Element, prefixes: _Prefixes) -> None:
    prefixes.of(PREFIXES["xsi"])
    element.set(_NIL, "true")


def _fill(element: Element, decl: ElementDecl, data: Mapping[str, Any], prefixes: _Prefixes) -> None:
    children: dict[str, ElementDecl] = {}
    for known in decl.children:
        children.setdefault(snake_case(known.name), ELEMENTS[known.key])
    beside: dict[str, dict[str, Any]] = {}
    for key, value in data.items():
        owner, at, name = key.partition("@")
        if key[0] == "@":
            _attribute(element, decl, name, value, prefixes)
        elif at and key[0] != "{":
            beside.setdefault(owner, {})[f"@{name}"] = value
    if "#text" in data:
        if data["#text"] is None:
            _set_nil(element, prefixes)
        else:
            _set_text(element, decl, data["#text"], prefixes)
    own = [key for key in data if key[0] not in "@#{" and "@" not in key]
    places = {key: place for place, key in enumerate(children)}
    for key in sorted(own, key=lambda key: places.get(key, len(places))):
        child = children.get(key) or _anywhere(key, decl)
        for one in _members(data[key], child):
            if key in beside and not isinstance(one, Mapping):
                one = {"#text": one, **beside[key]}
            _element(child, one, prefixes, element)
    for key in data:
        if key[0] == "{":
            qualified = _qualified(key, decl)
            for one in _members(data[key], qualified):
                if qualified is not None:
                    _element(qualified, one, prefixes, element)
                else:
                    _foreign(key, one, prefixes, element)


def _qualified(key: str, decl: ElementDecl) -> ElementDecl | None:
    namespace, _, name = key[1:].rpartition("}")
    for child in decl.children:
        if (child.namespace, child.name) == (namespace, name):
            return ELEMENTS[child.key]
    return BY_NAME.get((namespace, name), (None,))[0]


def _members(value: Any, decl: ElementDecl | None) -> Sequence[Any]:
    """The occurrences that a value stands for; a list is one occurrence where the element's own type is a list."""
    if not isinstance(value, (list, tuple)) or isinstance(value, (QName, DateTime, Duration)):
        return [value]
    if decl is not None and decl.type is not None and TYPES[decl.type].base.startswith("list-"):
        nested = bool(value) and all(isinstance(one, (list, Mapping)) for one in value)
        return value if nested else [value]
    return value


def _anywhere(key: str, decl: ElementDecl) -> ElementDecl:
    found = by_key().get(key)
    if found is None or not (decl.any_child or decl.content == "any"):
        raise UsageError(f"{decl.name} has no child {key}")
    return found[0]


def _foreign(key: str, data: Any, prefixes: _Prefixes, parent: Element) -> None:
    namespace, _, name = key[1:].rpartition("}")
    element = _new(namespace, name, "", prefixes, parent)
    if not isinstance(data, Mapping):
        _set_text(element, None, "" if data is None else data, prefixes)
        return
    for inner, value in data.items():
        if inner[0] == "@":
            _write(element, inner[1:], _text(value, "string", prefixes))
        elif inner == "#text":
            _set_text(element, None, value, prefixes)
        elif inner[0] == "{":
            for one in _members(value, None):
                _foreign(inner, one, prefixes, element)
        else:
            raise UsageError(f"{name} is not in the catalogue: its child {inner} must be written {{namespace}}name")


def _attribute(element: Element, decl: ElementDecl, name: str, value: Any, prefixes: _Prefixes) -> None:
    if name[:1] == "{":
        _write(element, name, _text(value, "string", prefixes))
        return
    declared = next((a for a in decl.attributes if snake_case(a.name) == name), None) or _GLOBAL.get(name)
    if declared is None:
        raise UsageError(f"{decl.name} has no attribute {name}")
    if declared.namespace:
        prefixes.of(declared.namespace)
    full = f"{{{declared.namespace}}}{declared.name}" if declared.namespace else declared.name
    _write(element, full, _text(value, TYPES[declared.type].base, prefixes))


_GLOBAL = {
    "lang": AttributeDecl("lang", PREFIXES["xml"], "string"),
    "must_understand": AttributeDecl("mustUnderstand", PREFIXES["soap"], "bool"),
    "is_reference_parameter": AttributeDecl("IsReferenceParameter", PREFIXES["wsa10"], "bool"),
}


def _text(value: Any, base: str, prefixes: _Prefixes) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, QName):
        return f"{prefixes.of(value.namespace, value.prefix)}:{value.local}" if value.namespace else value.local
    if isinstance(value, (DateTime, Duration)):
        return value.text
    if isinstance(value, (list, tuple)):
        return " ".join(_text(one, base, prefixes) for one in value)
    text = str(value)
    if base in ("qname", "list-qname") and text[:1] == "{":
        namespace, _, local = text[1:].rpartition("}")
        return f"{prefixes.of(namespace)}:{local}"
    return text


def _copy(field: Field, prefixes: _Prefixes, parent: Element | None) -> Element:
    element = _new(field.namespace, field.name, field.prefix, prefixes, parent)
    decl = field.decl
    base = TYPES[decl.type].base if decl is not None and decl.type is not None else "string"
    as_value = base in ("qname", "list-qname") and field.value is not None
    _write(element, None, _text(field.value, base, prefixes) if as_value else field.text)
    for name, (value, text) in field.attributes.items():
        declared = next((a for a in decl.attributes if a.name == name), None) if decl is not None else None
        if declared is None:
            declared = _GLOBAL.get(snake_case(name))
        space = declared.namespace if declared is not None else ""
        if space:
            prefixes.of(space)
        scoped = _text(value, "qname", prefixes) if isinstance(value, QName) else text
        _write(element, f"{{{space}}}{name}" if space else name.rpartition(":")[2], scoped)
    if field.nil:
        _set_nil(element, prefixes)
    for child in field.children:
        _copy(child, prefixes, element)
    return element
