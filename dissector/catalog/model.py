"""The shape of the catalogue: what a row says. The rows are in the tables beside this module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dissector.base.findings import Finding
from dissector.soap.model import QName

__all__ = [
    "AttributeDecl",
    "Child",
    "ElementDecl",
    "EnumDecl",
    "FaultDecl",
    "MessageDecl",
    "Service",
    "SimpleType",
]

UNBOUNDED = -1
_SHAPES = {
    "keyword": re.compile(r"\w+:[\w.\-]+", re.ASCII).fullmatch,
    "format": re.compile(r"\w+[\w:/;\\+.\-]*", re.ASCII).fullmatch,
    "uri": re.compile(r"\S+").fullmatch,
}


@dataclass(frozen=True, slots=True)
class SimpleType:
    """A simple type: ``base`` is one of string, int, bool, dateTime, duration, expires (duration or dateTime),
    anyURI, qname, guid, sid, base64, list-uri, list-qname."""

    name: str
    base: str
    min: int | None = None
    max: int | None = None
    max_length: int | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class EnumDecl:
    """Enumerated values.

    Attributes:
        values: value → meaning.
        accept: other spellings and later values → meaning.
        terminal: values that are end states.
        extensible: vendors may add values.
        shape: what vendors' values look like: "keyword" (``prefix:word``), "format" (like a media type), "uri"
            (any), "" (the source gives no shape).
    """

    name: str
    values: Mapping[str, str]
    accept: Mapping[str, str] = field(default_factory=dict)
    terminal: frozenset[str] = frozenset()
    extensible: bool = True
    source: str = ""
    shape: str = "keyword"

    def is_vendors(self, value: str) -> bool:
        """Whether a value that is not listed has the form of a vendor's own."""
        shape = _SHAPES.get(self.shape)
        return shape is not None and shape(value) is not None


@dataclass(frozen=True, slots=True)
class AttributeDecl:
    """An attribute: local name, namespace ("" for unqualified; both spellings are accepted), simple type name."""

    name: str
    namespace: str
    type: str
    required: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """A child in a content model; ``max`` is UNBOUNDED (-1) for no bound, ``key`` the key of its declaration."""

    namespace: str
    name: str
    min: int = 1
    max: int = 1
    key: str = ""


@dataclass(frozen=True, slots=True)
class ElementDecl:
    """An element in a context.

    Attributes:
        key: unique name such as ``dsp:JobStatus`` or, where one name has several contents, ``wscn:ElementData@job``.
        parents: keys of the elements it stands in ("soap:Body" for body elements).
        content: "sequence", "choice", "simple", "empty", "xop" or "any".
        type: simple type name, for simple content; ``enum`` names an EnumDecl where type is "enum", and also where
            the values of a QName or URI are known.
        ordered: the order of children is known (else a validator must not report it).
        any_child, any_attribute: foreign elements or attributes are allowed.
        unit: such as "1/1000 inch".
    """

    key: str
    namespace: str
    name: str
    parents: tuple[str, ...] = ()
    content: str = "sequence"
    children: tuple[Child, ...] = ()
    attributes: tuple[AttributeDecl, ...] = ()
    type: str | None = None
    enum: str | None = None
    ordered: bool = True
    any_child: bool = False
    any_attribute: bool = False
    unit: str | None = None
    gloss: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class FaultDecl:
    """A fault: subcode's local name, the namespace it should have, the code that goes with it, and its meaning.

    Attributes:
        operations: that it belongs to, empty for all.
        normal_for: operations that it ends in the normal course of things.
        aliases: misspelt or second names of it.
    """

    subcode: str
    namespace: str
    code: str
    meaning: str
    operations: tuple[str, ...] = ()
    normal_for: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class MessageDecl:
    """A message of a service.

    Attributes:
        name: for people and JSON: the body element's name (``CreatePostScanJobRequest``,
            ``PostScanJobEndStateEvent``), or for the messages of the lower layers their name (``Get``,
            ``GetResponse``, ``Subscribe``, ``Hello``).
        kind: "request", "response", "event", "discovery" (one-way announcements and UDP messages of
            WS-Discovery), "fault".
        operation: the operation or event it belongs to, such as ``CreatePostScanJob``.
        namespace, body: of the body element; body "" for an empty Body.
        actions: action URIs accepted, the usual one first.
        one_way: no SOAP answer is due (events).
        any_body: the Body may hold anything (WS-Transfer's representations).
        gloss: what it is for.
    """

    name: str
    service: str
    kind: str
    operation: str
    namespace: str
    body: str
    actions: tuple[str, ...] = ()
    one_way: bool = False
    any_body: bool = False
    gloss: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service.

    Attributes:
        name: ``WS-DSP``, ``WS-Scan``, ``WS-DSD``, ``WS-DSC``, ``WS-Discovery``, ``WS-Transfer``,
            ``WS-MetadataExchange``, ``WS-Eventing``.
        prefix: the usual prefix (dsp, wscn, dsd, dsc, wsd, wxf, wsx, wse).
        namespace: canonical.
        roles: who calls and who serves, such as ("DSM device", "scan server").
    """

    name: str
    prefix: str
    namespace: str
    messages: tuple[MessageDecl, ...]
    faults: tuple[FaultDecl, ...] = ()
    roles: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a body element and an action say together.

    Attributes:
        message: the row, None where nothing is known.
        by: "body", "action" (empty or unknown body) or "fault".
        findings: such as an action that contradicts the body.
    """

    message: MessageDecl | None
    by: str
    findings: tuple[Finding, ...] = ()


def body_name(qname: QName | None) -> str:
    """Local name of a body element, "" for an empty body."""
    return qname.local if qname is not None else ""
