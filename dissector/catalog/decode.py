"""Element → :class:`~dissector.catalog.field.Field`: the whole subtree, typed by its context.

Rules: nothing is dropped, an element that the catalogue does not know is kept with its text; nothing raises on what a
peer sent; findings are about names and values only and mild. Whether children are missing, too many or out of order is
another matter, see ``check``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml.etree import _Element as Element

from dissector.base.findings import Finding, Rule, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.catalog.convert import WHITE, no_scope
from dissector.catalog.field import Field
from dissector.catalog.model import EnumDecl, SimpleType
from dissector.catalog.plans import Edge, Plan, root_edge
from dissector.catalog.prefixes import NAMESPACES
from dissector.soap.model import QName
from dissector.soap.namespaces import canonical

__all__ = ["decode", "decode_all", "findings_of"]

TYPE = rule("value.type", "note", "a value is not of its type")
RANGE = rule("value.range", "note", "a number is out of its range", "WS-Scan rules V03 to V06")
LENGTH = rule("value.length", "note", "a text is longer than its type allows", "WS-Scan rule V19, MS-BDSRR 2.2.5.19")
PREFIX = rule("value.prefix", "note", "the prefix of a QName is not declared", "WS-Discovery 5.1")
ENUM = rule("value.enum", "warn", "a value is neither known nor of the form of a vendor's own", "MS-BDSRR 1.8")
VALUE_VENDOR = rule("value.vendor", "note", "a vendor's own value", "MS-BDSRR 1.8")
VALUE_SPELLING = rule("value.spelling", "note", "a known value under another spelling")
ATTRIBUTE = rule("attribute.missing", "warn", "a required attribute is missing", "WS-Scan rules S10, S12")
DEPTH = rule("element.depth", "warn", "elements are nested too deeply; the rest is left out")

LONG_PATH = 1000
"""Characters of a path above which the paths of the children begin with … instead."""

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def decode(
    element: Element, *, qname: QName | None = None, index: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Field:
    """Decode a body element or a header block.

    Args:
        element: of a document that ``dissector.soap`` parsed.
        qname: the name that it stands for, where that is known better than its tag tells (a body in a misspelt
            namespace, recognised by its local name).
        index: its position among the elements of the document in document order (root element 0), counted where it is
            not given.
        limits: ``xml_depth`` bounds the nesting.

    Returns:
        The field; each field in it has its own findings (see :func:`findings_of`).
    """
    if index is None:
        index = _position(element)
    tag = element.tag
    edge = root_edge(tag if isinstance(tag, str) else "", qname)
    return _Reader(index, limits.xml_depth, edge.name).read(element, edge, "", 0)


def decode_all(parent: Element, *, limits: Limits = DEFAULT_LIMITS) -> list[Field]:
    """Decode every child of an element by itself, such as all header blocks of a Header, in one pass."""
    index = _position(parent) + 1
    fields = []
    for child in parent:
        tag = child.tag
        if isinstance(tag, str):
            edge = root_edge(tag)
            reader = _Reader(index, limits.xml_depth, edge.name)
            fields.append(reader.read(child, edge, "", 0))
            index = reader.index
    return fields


def findings_of(field: Field) -> Iterator[Finding]:
    """The findings of a field and of all below it, in document order."""
    yield from field.findings
    for child in field.children:
        yield from findings_of(child)


def _position(element: Element) -> int:
    for position, one in enumerate(element.getroottree().getroot().iter("*")):
        if one is element:
            return position
    return 0


class _Scope:
    """The prefixes in scope of an element, looked up when one is asked for."""

    __slots__ = ("_element", "_prefixes")

    def __init__(self, element: Element) -> None:
        self._element = element
        self._prefixes: dict[str | None, str] | None = None

    def __call__(self, prefix: str) -> str | None:
        if self._prefixes is None:
            self._prefixes = dict(self._element.nsmap)
        uri = self._prefixes.get(prefix or None)
        if uri is None:
            return None if prefix else ""
        return canonical(uri)[0]


class _Reader:
    """One subtree. ``read`` is the inner loop of the package's decoding: local names are bound on purpose."""

    __slots__ = ("depth", "index", "root")

    def __init__(self, index: int, depth: int, root: str) -> None:
        self.index = index
        self.depth = depth
        self.root = root

    def read(self, element: Element, edge: Edge, path: str, depth: int) -> Field:
        plan, name, namespace, key, vendor, problem = edge
        text = element.text or ""
        field = Field(
            name, key, namespace, element.prefix or "", plan.decl, None, text, {}, [], path, self.index, vendor
        )
        self.index += 1
        if problem is not None:
            self._say(field, problem[0], problem[1])
        items: list[tuple[str, str]] = element.items()  # type: ignore[assignment]  # lxml's stubs allow bytes
        if items or plan.required:
            self._attributes(field, plan, element, items)
        nodes = len(element)
        if nodes:
            if depth >= self.depth:
                self.index += sum(1 for _ in element.iterdescendants("*"))
                self._say(field, DEPTH, f"elements are nested more than {self.depth} deep; the rest is left out")
                return field
            self._children(field, plan, element, depth + 1)
            text = field.text
        convert = plan.convert
        if convert is not None:
            if not field.nil:
                # Most values are neither names with a prefix nor of a list: nothing more is asked of them.
                value, ok = convert(text, plan.type, _Scope(element) if plan.scoped else no_scope)
                field.value = value
                if not ok:
                    self._misfit(field, plan.type, value, text, field.name)
                elif plan.enum is not None and (value.local if plan.scoped else value) not in plan.enum.values:
                    self._unlisted(field, plan.enum, value)
        elif not field.children and (plan.decl is None or (plan.decl.content == "xop" and text)) and not field.nil:
            field.value = text.strip(WHITE)
        return field

    def _children(self, field: Field, plan: Plan, element: Element, depth: int) -> None:
        counts: dict[str, int] = {}
        read, edge_of, append = self.read, plan.edge, field.children.append
        path = field.path
        # Long names nested deeply would make paths that grow with the square of the document.
        base = (path + "/" if len(path) < LONG_PATH else "…/") if path else ""
        for child in element:
            tag = child.tag
            if isinstance(tag, str):
                edge = edge_of(tag)
                name = edge.name
                count = counts[name] = counts.get(name, 0) + 1
                append(read(child, edge, f"{base}{name}" if count == 1 else f"{base}{name}[{count}]", depth))
            # Text may go on after a comment or, in mixed content, after an element.
            tail = child.tail
            if tail and not tail.isspace():
                field.text += tail

    def _attributes(self, field: Field, plan: Plan, element: Element, items: list[tuple[str, str]]) -> None:
        scope = _Scope(element)
        attributes = field.attributes
        for name, text in items:
            if name == _NIL:
                field.nil = text.strip(WHITE) in ("true", "1")
                continue
            attribute = plan.attribute(name)
            value, ok = attribute.convert(text, attribute.type, scope)
            local = attribute.local
            if local in attributes:
                local = f"{NAMESPACES.get(attribute.namespace, attribute.namespace)}:{local}"
            attributes[local] = (value, text)
            if not ok:
                self._misfit(field, attribute.type, value, text, f"@{local}")
        for name in plan.required:
            if name not in attributes:
                self._say(field, ATTRIBUTE, f"{field.name} has no attribute {name}")

    def _misfit(self, field: Field, kind: SimpleType, value: Any, text: str, name: str) -> None:
        shown = _shown(text)
        if isinstance(value, int):
            low, high = kind.min, kind.max
            self._say(field, RANGE, f"{name} is {shown}, not within {low} to {high}")
        elif kind.base in ("string", "anyURI"):
            self._say(field, LENGTH, f"{name} has {len(value)} characters, {kind.max_length} are allowed")
        elif isinstance(value, (QName, list)):
            self._say(field, PREFIX, f"{name} is {shown}: a prefix in it is not declared")
        else:
            self._say(field, TYPE, f"{name} is {shown}, not of type {kind.name}")

    def _unlisted(self, field: Field, enum: EnumDecl, value: Any) -> None:
        """A value that is not among the known ones: misspelt, a vendor's, or neither."""
        shown = _shown(str(value))
        if isinstance(value, QName):
            # The name of a section, in whatever namespace of ours; else a vendor's section.
            if value.namespace and value.namespace not in NAMESPACES:
                field.vendor = True
                self._say(field, VALUE_VENDOR, f"{field.name} is {shown}, a vendor's own name")
            else:
                self._say(field, ENUM, f"{field.name} is {shown}, which is not among the known names")
            return
        other = enum.accept.get(value)
        if other is not None:
            self._say(field, VALUE_SPELLING, f"{field.name} is {shown}: {other}")
            return
        folded = value.casefold()
        near = next((known for known in enum.values if known.casefold() == folded), None)
        if near is not None:
            self._say(field, VALUE_SPELLING, f"{field.name} is {shown}, spelt {near} in the specification")
            return
        field.vendor = bool(value)
        if enum.is_vendors(value):
            closed = "" if enum.extensible else ", where the specification allows none"
            self._say(field, VALUE_VENDOR, f"{field.name} is {shown}, a vendor's own value{closed}")
        else:
            self._say(field, ENUM, f"{field.name} is {shown}, neither a known value nor of a vendor's form")

    def _say(self, field: Field, kind: Rule, text: str) -> None:
        field.findings.append(kind(text, path=f"{self.root}/{field.path}" if field.path else self.root))


def _shown(text: str) -> str:
    text = text.strip(WHITE)
    return repr(text if len(text) <= 80 else text[:77] + "...")
