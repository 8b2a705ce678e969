"""SOAP faults: the form of SOAP 1.2 and that of 1.1, each inside either envelope, since real printers mix them.

Sources: SOAP 1.2 part 1, 5.4; SOAP 1.1, 4.4; DPWS R0014 and the fact table's rule X07.
"""

from __future__ import annotations

from lxml.etree import _Element as Element

from dissector.base.findings import Finding, rule
from dissector.soap.addressing import split_tag, text_of
from dissector.soap.model import Fault, QName
from dissector.soap.namespaces import SOAP11, SOAP12, XML, canonical

__all__ = ["read_fault"]

FORM = rule("soap.fault-form", "warn", "a fault of SOAP 1.1 form in a SOAP 1.2 envelope", "SOAP 1.2 part 1, 5.4")
CODE = rule("soap.fault-code", "warn", "the code of the fault is missing or none of the five", "SOAP 1.2 part 1, 5.4.6")
PREFIX = rule("soap.fault-prefix", "warn", "the prefix of a fault code is not declared", "SOAP 1.2 part 1, 5.4.1.1")
REASON = rule("soap.fault-reason", "warn", "the fault has no reason text with a language", "SOAP 1.2 part 1, 5.4.2")

CODES = frozenset({"VersionMismatch", "MustUnderstand", "DataEncodingUnknown", "Sender", "Receiver"})
MAX_SUBCODES = 20


def read_fault(element: Element, version: str, findings: list[Finding]) -> Fault:
    """The fault that the element holds; what is missing is "" or None, with a finding."""
    children: dict[str, Element] = {}
    for child in element.iterchildren("*"):
        children.setdefault(split_tag(str(child.tag))[1], child)
    if "faultcode" in children or ("faultstring" in children and "Code" not in children):
        return _soap11(children, version, findings)
    return _soap12(children, findings)


def _soap12(children: dict[str, Element], findings: list[Finding]) -> Fault:
    code = children.get("Code")
    name = QName("", "")
    subcodes: list[QName] = []
    if code is not None:
        name = _value(code, findings)
        inner = _child(code, "Subcode")
        while inner is not None and len(subcodes) < MAX_SUBCODES:
            subcodes.append(_value(inner, findings))
            inner = _child(inner, "Subcode")
    if name.local not in CODES:
        findings.append(CODE(f"the code of the fault is {name.local!r}" if name.local else "the fault has no code"))
    reasons: list[tuple[str, str]] = []
    reason = children.get("Reason")
    if reason is not None:
        texts = [t for t in reason.iterchildren("*") if split_tag(str(t.tag))[1] == "Text"]
        reasons = [(t.get(f"{{{XML}}}lang") or "", text_of(t)) for t in texts]
        if not texts and text_of(reason):
            reasons = [("", text_of(reason))]
    if not any(language for language, _ in reasons):
        findings.append(REASON())
    return Fault(
        name.local, name, subcodes, reasons, _text(children.get("Node")), _text(children.get("Role")),
        children.get("Detail", children.get("detail")),
    )  # fmt: skip


def _soap11(children: dict[str, Element], version: str, findings: list[Finding]) -> Fault:
    if version == "1.2":
        findings.append(FORM())
    code = children.get("faultcode")
    name = _resolve(code, findings) if code is not None else QName("", "")
    if not name.local:
        findings.append(CODE("the fault has no code"))
    reason = children.get("faultstring")
    reasons = [(reason.get(f"{{{XML}}}lang") or "", text_of(reason))] if reason is not None else []
    # WS-Addressing for SOAP 1.1: faultcode carries the subcode where there is one.
    subcodes = [name] if name.namespace and name.namespace not in (SOAP11, SOAP12) else []
    actor = children.get("faultactor")
    return Fault(
        name.local, name, subcodes, reasons, None, _text(actor), children.get("detail", children.get("Detail")), True
    )


def _value(element: Element, findings: list[Finding]) -> QName:
    value = _child(element, "Value")
    return _resolve(value, findings) if value is not None else QName("", "")


def _resolve(element: Element, findings: list[Finding]) -> QName:
    """The QName in the element's text, in the scope of that element."""
    text = text_of(element)
    prefix, colon, local = text.partition(":")
    if not colon:
        return QName(canonical(element.nsmap.get(None) or "")[0], text)
    uri = element.nsmap.get(prefix)
    if uri is None:
        findings.append(PREFIX(f"the prefix of {text[:80]!r} is not declared"))
        return QName("", local.strip(), prefix)
    return QName(canonical(uri)[0], local.strip(), prefix)


def _child(element: Element, local: str) -> Element | None:
    return next((c for c in element.iterchildren("*") if split_tag(str(c.tag))[1] == local), None)


def _text(element: Element | None) -> str | None:
    return None if element is None else text_of(element)
