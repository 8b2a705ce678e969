"""A document → the SOAP envelope in it.

Tolerant: any prefix, any order, known misspellings of namespaces; what deviates is a finding. Only what is not SOAP at
all gives None.

Sources: SOAP 1.2 part 1, 5; SOAP 1.1, 4; XOP 1.0, 2.1 (Include).
"""

from __future__ import annotations

import re
from functools import lru_cache

from lxml.etree import _Element as Element

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.soap.addressing import qname_of, read_addressing, split_tag, unquoted
from dissector.soap.faults import read_fault
from dissector.soap.model import Addressing, Envelope, Fault, Include
from dissector.soap.namespaces import SOAP11, SOAP12, XOP, canonical
from dissector.soap.xml import ParsedXml, parse_xml

__all__ = ["looks_like_soap", "parse_envelope"]

NOT_SOAP = rule("soap.no-envelope", "error", "the document is no SOAP envelope", "SOAP 1.2 part 1, 5.1")
BARE_FAULT = rule("soap.bare-fault", "error", "a Fault stands without an envelope", "SOAP 1.2 part 1, 5.1")
VERSION_11 = rule("soap.version-1.1", "warn", "the envelope is one of SOAP 1.1", "DPWS R0034")
NAMESPACE = rule("soap.envelope-namespace", "error", "the namespace of the envelope is not SOAP's")
MENDED = rule("soap.namespace-mended", "note", "a namespace is misspelt", "fact table rule X10")
HEADER_ORDER = rule("soap.header-order", "warn", "the Header does not stand before the Body", "SOAP 1.2 part 1, 5.1")
REPEATED = rule("soap.repeated", "error", "the envelope has more than one Header or Body", "SOAP 1.2 part 1, 5.1")
NO_BODY = rule("soap.no-body", "error", "the envelope has no Body", "SOAP 1.2 part 1, 5.1")
CHILDREN = rule("soap.body-children", "warn", "the Body has more than one child; the first one counts", "DPWS R0042")
STRAY = rule("soap.stray-element", "warn", "the envelope has a child that is neither Header nor Body")
INCLUDE = rule("soap.include-href", "warn", "an xop:Include does not name a part by cid:", "XOP 1.0, 2.1")

_VERSIONS = {SOAP12: "1.2", SOAP11: "1.1"}
_ROOT = re.compile(rb"<(?:[^\s<>/:!?]+:)?(?:Envelope|Fault)(?:[\s>/]|\Z)")
_ANY_ROOT = re.compile(rb"<[^\s<>/!?]")
# A prefix has no colon: with one, each of many "xmlns:" in a row would look at all that follows it.
_XMLNS = re.compile(rb"""xmlns(?::[^\s=<>"':]++)?+\s*+=\s*+(?:"([^"<]*+)"|'([^'<]*+)')""")
MAX_NAMESPACES = 200


def looks_like_soap(first_bytes: bytes) -> bool:
    """Whether a document that begins with these bytes can be a SOAP envelope (or a fault without one).

    Args:
        first_bytes: some 64 bytes or more; where they end before the root element, the answer is yes for XML.
    """
    head = first_bytes[:2048].replace(b"\x00", b"")
    if _ROOT.search(head) is not None:
        return True
    start = head.lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    return start.startswith(b"<?xml") and _ANY_ROOT.search(start) is None


def parse_envelope(
    data: bytes, *, charset: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> tuple[Envelope | None, list[Finding]]:
    """Parse a SOAP envelope.

    Args:
        data: the document as sent.
        charset: of the Content-Type header, a hint.
        limits: bounds of the XML.

    Returns:
        The envelope, None where the document is no SOAP; and the findings (those of the envelope are the same list).
    """
    parsed = parse_xml(data, charset=charset, limits=limits)
    root = parsed.root
    if root is None:
        return None, parsed.findings
    sent, local = split_tag(str(root.tag))
    if local == "Fault" and canonical(sent)[0] in _VERSIONS:
        return _bare_fault(data, parsed, root, _VERSIONS[canonical(sent)[0]]), parsed.findings
    version = _version(root, parsed.findings)
    if version is None:
        return None, parsed.findings
    return _read(data, parsed, root, version), parsed.findings


def _bare_fault(data: bytes, parsed: ParsedXml, root: Element, version: str) -> Envelope:
    """A Fault as the root element: what a printer was seen to answer junk on the discovery port with."""
    findings = parsed.findings
    findings.append(BARE_FAULT())
    fault = read_fault(root, version, findings)
    return Envelope(
        version, data, parsed.encoding, root, None, None, root, qname_of(root), Addressing(), fault,
        recovered=parsed.recovered, findings=findings,
    )  # fmt: skip


def _version(root: Element, findings: list[Finding]) -> str | None:
    sent, local = split_tag(str(root.tag))
    namespace = canonical(sent)[0]
    if local == "Envelope":
        version = _VERSIONS.get(namespace)
        if version is not None:
            if version == "1.1":
                findings.append(VERSION_11())
            return version
        inner = {split_tag(str(child.tag))[1] for child in root.iterchildren("*")}
        if "soap" in namespace.lower() or "Body" in inner:
            findings.append(NAMESPACE(f"the envelope is in {namespace[:200] or 'no namespace'}"))
            return "unknown"
    findings.append(NOT_SOAP(f"the root element is {str(root.tag)[:200]}"))
    return None


def _read(data: bytes, parsed: ParsedXml, root: Element, version: str) -> Envelope:
    findings = parsed.findings
    header: Element | None = None
    body: Element | None = None
    order: list[str] = []
    for child in root.iterchildren("*"):
        local = split_tag(str(child.tag))[1]
        order.append(local)
        if local == "Header" and header is None:
            header = child
        elif local == "Body" and body is None:
            body = child
    if order not in (["Header", "Body"], ["Body"]):
        _judge_order(order, findings)
    headers = list(header.iterchildren("*")) if header is not None else []
    content: Element | None = None
    if body is not None:
        children = body.iterchildren("*")
        content = next(children, None)
        if content is not None and next(children, None) is not None:
            findings.append(CHILDREN())
    name = qname_of(content) if content is not None else None
    _report_mended(data, parsed.encoding, root, content, findings)
    addressing = read_addressing(headers, findings)
    fault: Fault | None = None
    if content is not None and name is not None and name.local == "Fault":
        envelope_namespace = split_tag(str(root.tag))[0]
        if name.namespace in _VERSIONS or split_tag(str(content.tag))[0] in (envelope_namespace, ""):
            fault = read_fault(content, version, findings)
    includes: list[Include] = []
    if body is not None and (b"Include" in data or parsed.encoding.startswith(("utf-16", "utf-32"))):
        includes = _includes(body, findings)
    return Envelope(
        version, data, parsed.encoding, root, header, body, content, name, addressing, fault, includes, headers,
        parsed.recovered, findings,
    )  # fmt: skip


def _judge_order(order: list[str], findings: list[Finding]) -> None:
    for local in ("Header", "Body"):
        if order.count(local) > 1:
            findings.append(REPEATED(f"the envelope has {order.count(local)} {local} elements, the first one counts"))
    if "Body" not in order:
        findings.append(NO_BODY())
    elif "Header" in order and order.index("Header") > order.index("Body"):
        findings.append(HEADER_ORDER())
    others = [local for local in order if local not in ("Header", "Body")]
    if others:
        findings.append(STRAY(f"the envelope has a child {others[0][:80]}"))


def _report_mended(data: bytes, encoding: str, root: Element, content: Element | None, findings: list[Finding]) -> None:
    """One finding for each misspelt namespace that the document declares."""
    if encoding.startswith(("utf-16", "utf-32")):
        maps = [root.nsmap, content.nsmap if content is not None else {}]
        uris = list(dict.fromkeys(uri for one in maps for uri in one.values()))
    else:
        # One regular expression over the bytes costs a tenth of asking every element for its prefixes.
        found = dict.fromkeys(double or single for double, single in _XMLNS.findall(data))
        if len(found) > MAX_NAMESPACES:
            found = dict.fromkeys(list(found)[:MAX_NAMESPACES])
        uris = [uri for uri in map(_uri, found) if uri is not None]
    for uri in uris:
        right, why = canonical(uri)
        if why is not None:
            findings.append(MENDED(f"the namespace {uri} is read as {right}: {why}"))


@lru_cache(maxsize=1024)
def _mendable(raw: bytes) -> str | None:
    """The URI where something would be mended."""
    uri = raw.decode("utf-8", "replace")
    return uri if canonical(uri)[1] is not None else None


def _uri(raw: bytes) -> str | None:
    return _mendable(raw) if len(raw) <= 512 else None


def _includes(body: Element, findings: list[Finding]) -> list[Include]:
    found = []
    for element in body.iter("{*}Include"):
        if canonical(split_tag(str(element.tag))[0])[0] != XOP:
            continue
        parent = element.getparent()
        if parent is None:
            continue
        href = (element.get("href") or "").strip()
        content_id = ""
        if href[:4].lower() == "cid:":
            content_id = unquoted(href[4:]).strip().removeprefix("<").removesuffix(">")
        if not content_id:
            findings.append(INCLUDE(f"an xop:Include has the href {href[:80]!r}"))
        found.append(Include(parent, content_id, href))
    return found
