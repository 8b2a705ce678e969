"""What the decoder knows about an element before it sees one: made from the catalogue, kept by tag.

A :class:`Plan` belongs to an element declaration (or to none). It answers, for a child's tag as sent, with an
:class:`Edge`: which declaration the child has here, its JSON name, and what is odd about it. Looking that up means
canonical namespaces, other spellings and fall-backs, and costs some microseconds; the answer is kept with the plan, so
that each further element of the same tag costs one dictionary access (200 elements of a configuration: 0.6 ms in all).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dissector.base.findings import Rule, rule
from dissector.catalog.convert import Converter, converter
from dissector.catalog.model import AttributeDecl, ElementDecl, EnumDecl, SimpleType
from dissector.catalog.names import snake_case
from dissector.catalog.prefixes import FAMILIES, NAMESPACES
from dissector.catalog.registry import ALIASES, BY_NAME, ELEMENTS, ENUMS, TYPES
from dissector.soap.namespaces import canonical

__all__ = ["REMEMBERED", "Attribute", "Edge", "Plan", "element_plan", "root_edge", "split_tag"]

REMEMBERED = 4096
"""Unknown tags and attribute names remembered for all plans together; beyond, new ones are looked up each time."""

_LONG = 256
"""Longer names come from nobody honest, and are not remembered."""

UNKNOWN = rule("element.unknown", "warn", "the catalogue knows no such element here", "WS-Scan rule S06")
MISPLACED = rule("element.misplaced", "note", "a known element stands where the catalogue does not list it")
SPELLING = rule("element.spelling", "note", "a known element under another spelling")
NAMESPACE = rule(
    "element.namespace", "note", "a known element in another namespace than its own", "WS-DSD rule D03, WS-DSP Q04"
)
VENDOR = rule("element.vendor", "chat", "a vendor's own element", "MS-BDSRR 1.8")

_GLOBAL_ATTRIBUTES = {
    "{http://www.w3.org/XML/1998/namespace}lang": "string",
    "{http://www.w3.org/2003/05/soap-envelope}mustUnderstand": "bool",
    "{http://www.w3.org/2003/05/soap-envelope}relay": "bool",
    "{http://www.w3.org/2003/05/soap-envelope}role": "anyURI",
    "{http://www.w3.org/2003/05/soap-envelope}encodingStyle": "anyURI",
    "{http://www.w3.org/2005/08/addressing}IsReferenceParameter": "bool",
    "{http://www.w3.org/2005/05/xmlmime}contentType": "string",
    "{http://www.w3.org/2001/XMLSchema-instance}type": "qname",
}

_remembered = 0


class Attribute(NamedTuple):
    """An attribute name as sent on some element: local name, its declaration, and how its text becomes a value."""

    local: str
    namespace: str
    decl: AttributeDecl | None
    convert: Converter
    type: SimpleType


class Edge(NamedTuple):
    """A tag as sent below some element: what is behind it.

    Attributes:
        plan: of the element.
        name, namespace: local name as sent, canonical namespace.
        key: JSON name.
        vendor: a vendor's own.
        problem: rule and text of what is odd about it here.
    """

    plan: Plan
    name: str
    namespace: str
    key: str
    vendor: bool = False
    problem: tuple[Rule, str] | None = None


class Plan:
    """How elements of one declaration are read.

    Attributes:
        decl: None for elements that the catalogue does not know.
        also: another namespace that stands for the element's own: a message whose whole body is in an odd namespace
            is odd once, not at each element.
        convert, type, scoped: for simple content: how the text becomes a value, and whether that needs the prefixes
            in scope.
        enum: the known values.
        keys: JSON names of the declared children.
        many: JSON names of children that may occur more than once.
        required: attributes that have to be there.
        open: children that are not declared need no comment.
    """

    __slots__ = (
        "_attributes",
        "_edges",
        "_locals",
        "also",
        "convert",
        "decl",
        "enum",
        "keys",
        "many",
        "open",
        "required",
        "scoped",
        "type",
    )

    def __init__(self, decl: ElementDecl | None, also: str = "") -> None:
        self.decl = decl
        self.also = also
        self._edges: dict[str, Edge] = {}
        self._attributes: dict[str, Attribute] = {}
        self._locals: dict[str, list[tuple[str, str]]] = {}
        self.convert: Converter | None = None
        self.type: SimpleType = TYPES["string"]
        self.enum: EnumDecl | None = None
        self.required: tuple[str, ...] = ()
        children = decl.children if decl is not None else ()
        self.keys = frozenset([snake_case(child.name) for child in children])
        self.many = frozenset([snake_case(child.name) for child in children if child.max != 1])
        self.open = decl is None or decl.content == "any"
        for child in children:
            self._locals.setdefault(child.name, []).append((child.namespace, child.key))
        if decl is not None:
            self.required = tuple([a.name for a in decl.attributes if a.required])
            if decl.enum is not None:
                self.enum = ENUMS[decl.enum]
            if decl.type is not None and decl.content == "simple":
                self.type = TYPES[decl.type]
                self.convert = converter(self.type.base)
        self.scoped = self.type.base in ("qname", "list-qname")

    # -- children --------------------------------------------------------------------------------------------------

    def edge(self, tag: str) -> Edge:
        """What is behind a child's tag as sent."""
        found = self._edges.get(tag)
        if found is None:
            found = self._find(tag)
            # Known names in their own namespaces are few; they are kept even when others have used up the room.
            known = found.plan is not _STRANGE and tag == f"{{{found.namespace}}}{found.name}"
            if (known and found.namespace in NAMESPACES) or _room(tag):
                self._edges[tag] = found
        return found

    def _find(self, tag: str) -> Edge:
        namespace, name = split_tag(tag)
        known = namespace in NAMESPACES
        right, problem = name, None
        if (namespace, name) in ALIASES and name not in self._locals:
            target, right = ALIASES[namespace, name]
            problem = (SPELLING, f"{name} is another spelling of {right}")
            if target != namespace:
                namespace = target
        for place, key in self._locals.get(right, ()):
            if place == namespace:
                return Edge(element_plan(key, self.also), name, namespace, snake_case(right), problem=problem)
        for place, key in self._locals.get(right, ()):
            if known or namespace in ("", self.also):
                if not (self.also and namespace == self.also) and FAMILIES.get(namespace, namespace) != FAMILIES.get(
                    place, place
                ):
                    said = f"namespace {_short(namespace)}" if namespace else "no namespace"
                    problem = (NAMESPACE, f"{name} has {said}, {NAMESPACES[place]} is its own")
                also = self.also if known else namespace
                return Edge(element_plan(key, also), name, namespace, snake_case(right), problem=problem)
        return self._stray(name, namespace, right, problem)

    def _stray(self, name: str, namespace: str, right: str, problem: tuple[Rule, str] | None) -> Edge:
        """The edge of an element that is not declared here."""
        key = snake_case(right)
        own = self.decl.namespace if self.decl is not None else ""
        foreign = FAMILIES.get(namespace, namespace) != FAMILIES.get(own, own)
        elsewhere = BY_NAME.get((namespace, right))
        if elsewhere is not None:
            if problem is None and not self.open and not (foreign and self.decl and self.decl.any_child):
                problem = (MISPLACED, f"{name} is not known inside {self._name()}")
            return Edge(element_plan(elsewhere[0].key, self.also), name, namespace, key, problem=problem)
        if key in self.keys:
            key += "_vendor"
        if namespace in NAMESPACES or (namespace in ("", self.also) and not self.open):
            problem = None if self.open else (UNKNOWN, f"{_short(name)} is not known inside {self._name()}")
            return Edge(_STRANGE, name, namespace, key, problem=problem)
        if self is not _STRANGE:
            problem = (VENDOR, f"{_short(name)} of {_short(namespace) or 'no namespace'} is a vendor's own element")
        return Edge(_STRANGE, name, namespace, key, vendor=True, problem=problem)

    def _name(self) -> str:
        return self.decl.name if self.decl is not None else "an unknown element"

    # -- attributes ------------------------------------------------------------------------------------------------

    def attribute(self, name: str) -> Attribute:
        """What is behind an attribute's name as sent. Both the qualified and the bare spelling of a declared one are
        taken: the sources disagree (WS-Scan shows ``wscn:Id``, WS-DSD a bare ``Id``)."""
        found = self._attributes.get(name)
        if found is None:
            found = self._find_attribute(name)
            if _room(name):
                self._attributes[name] = found
        return found

    def _find_attribute(self, name: str) -> Attribute:
        namespace, local = split_tag(name)
        decl = self.decl
        if decl is not None:
            for declared in decl.attributes:
                near = ("", declared.namespace, decl.namespace, self.also)
                if declared.name == local and (
                    namespace in near or FAMILIES.get(namespace, 0) == FAMILIES.get(near[2])
                ):
                    kind = TYPES[declared.type]
                    return Attribute(local, namespace, declared, converter(kind.base), kind)
        kind = TYPES[_GLOBAL_ATTRIBUTES.get(f"{{{namespace}}}{local}", "string")]
        return Attribute(local, namespace, None, converter(kind.base), kind)


def _room(name: str) -> bool:
    global _remembered
    if len(name) > _LONG:
        return False
    _remembered += 1
    return _remembered <= REMEMBERED


def _short(name: str) -> str:
    return name if len(name) <= _LONG else name[:80] + "…"


_plans: dict[tuple[str, str], Plan] = {}
_STRANGE = Plan(None)


def element_plan(key: str, also: str = "") -> Plan:
    """The plan of a declaration."""
    found = _plans.get((key, also))
    if found is None:
        found = Plan(ELEMENTS[key], also)
        if not also or _room(also):
            _plans[key, also] = found
    return found


def split_tag(tag: str) -> tuple[str, str]:
    """lxml's ``{namespace}local`` → (canonical namespace, local name)."""
    if tag[:1] != "{":
        return "", tag
    namespace, _, local = tag[1:].rpartition("}")
    return canonical(namespace)[0], local


def _first(decls: tuple[ElementDecl, ...]) -> ElementDecl:
    for parent in ("soap:Body", "soap:Header"):
        for decl in decls:
            if parent in decl.parents:
                return decl
    return decls[0]


_roots: dict[tuple[str, tuple[str, str] | None], Edge] = {}


def root_edge(tag: str, name: Any = None) -> Edge:
    """What is behind the tag of an element that is read by itself: a body element or a header block.

    Args:
        tag: as sent.
        name: the qualified name that it stands for, where that is known better than the tag tells.
    """
    # Without the prefix, which a peer may vary for ever.
    key = (tag, None if name is None else (name.namespace, name.local))
    found = _roots.get(key)
    if found is None:
        found = _find_root(tag, name)
        known = found.plan is not _STRANGE and tag == f"{{{found.namespace}}}{found.name}" and name is None
        if known or _room(tag):
            _roots[key] = found
    return found


def _find_root(tag: str, name: Any) -> Edge:
    namespace, local = split_tag(tag)
    target, right = (name.namespace, name.local) if name is not None else (namespace, local)
    target, right = ALIASES.get((target, right), (target, right))
    decls = BY_NAME.get((target, right))
    if decls is None:
        vendor = namespace not in NAMESPACES
        return Edge(_STRANGE, local, namespace, snake_case(local), vendor)
    problem = (SPELLING, f"{local} is another spelling of {right}") if right != local else None
    also = namespace if namespace != target else ""
    return Edge(element_plan(_first(decls).key, also), local, namespace, snake_case(right), problem=problem)
