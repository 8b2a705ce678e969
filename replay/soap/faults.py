"""Refusals: exceptions in our own code that become SOAP faults for the peer.

Code, namespace and meaning come from the catalogue. Sources: SOAP 1.2 part 1, 5.4; SOAP 1.2 part 2, 7.5.2.2 (HTTP
status); WS-Addressing 2004/08, 4.
"""

from __future__ import annotations

from typing import Any

from lxml import etree
from lxml.etree import _Element as Element

from dissector.catalog import NAMESPACES, SERVICES, fault
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, DSD, DSP, SOAP12, WSA04, WSCN, WSDP06, WSE

__all__ = ["SoapFault", "addressing_fault", "eventing_fault", "service_fault"]

NAMESPACE_OF = {"WS-Scan": WSCN, "WS-DSD": DSD, "WS-DSP": DSP, "WS-DSC": DSC}
"""Namespace of each service's own subcodes. That of WS-DSD is an open question of the sources; its own is taken."""


class SoapFault(Exception):
    """An operation is refused.

    Args:
        code: ``Sender``, ``Receiver``, ``MustUnderstand``, ``VersionMismatch``.
        subcode: None for none.
        reason: for people.
        detail: element for Detail, None for none.
        action: None: that of WS-Addressing's faults.
        status: HTTP status, default 400 for Sender and 500 for the others.
    """

    def __init__(
        self,
        code: str,
        subcode: QName | None,
        reason: str,
        detail: Element | None = None,
        *,
        action: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.subcode = subcode
        self.reason = reason
        self.detail = detail
        self.action = action
        self.status = status if status is not None else 400 if code == "Sender" else 500

    @property
    def name(self) -> str:
        """Local name of the subcode, or of the code where there is none."""
        return self.subcode.local if self.subcode is not None else self.code


def service_fault(service: str, subcode: str, reason: str = "", detail: Any = None) -> SoapFault:
    """A fault of a service, such as ``service_fault("WS-DSP", "ClientErrorJobTokenNotFound", detail=…)``.

    Args:
        service: name of the service.
        subcode: local name; a row of the catalogue gives its code and meaning, other names count as Sender faults.
        reason: default what the catalogue says.
        detail: an element; a text is put into the offending argument's place as an element ``Argument``; None: none.
    """
    row = fault(subcode, service)
    namespace = row.namespace if row is not None and row in SERVICES[service].faults else NAMESPACE_OF[service]
    code = row.code if row is not None else "Receiver" if subcode.startswith("Server") else "Sender"
    words = reason or (row.meaning if row is not None and row.meaning else subcode)
    if isinstance(detail, str):
        element = etree.Element(f"{{{NAMESPACE_OF[service]}}}Argument")
        element.text = detail
        detail = element
    return SoapFault(
        code, QName(namespace, subcode, NAMESPACES.get(namespace, "")), words[:1].upper() + words[1:], detail
    )


def addressing_fault(name: str, reason: str, detail: str | None = None) -> SoapFault:
    """A fault of WS-Addressing 2004/08 (section 4), such as ActionNotSupported; ``detail`` is the offending value."""
    element = None
    if detail is not None:
        element = etree.Element(f"{{{WSA04}}}{'Action' if name == 'ActionNotSupported' else 'ProblemHeader'}")
        element.text = detail
    code = "Receiver" if name == "EndpointUnavailable" else "Sender"
    return SoapFault(code, QName(WSA04, name, "wsa"), reason, element)


def eventing_fault(name: str, reason: str, detail: Element | None = None) -> SoapFault:
    """A fault of WS-Eventing (section 5), or FilterActionNotSupported of the device profile (R3020)."""
    if name == "FilterActionNotSupported":
        return SoapFault("Sender", QName(WSDP06, name, "wsdp"), reason, detail, action=f"{WSDP06}/Fault")
    row = fault(name, "WS-Eventing")
    return SoapFault(row.code if row is not None else "Sender", QName(WSE, name, "wse"), reason, detail)


def not_understood(header: QName) -> SoapFault:
    """A header block with mustUnderstand that is not known (SOAP 1.2 part 1, 5.4.8)."""
    return SoapFault("MustUnderstand", None, f"The header {header.local} is not understood", status=500)


def version_mismatch() -> SoapFault:
    """An envelope of another SOAP version (SOAP 1.2 part 1, 2.8)."""
    return SoapFault("VersionMismatch", None, f"The envelope must be in the namespace {SOAP12}", status=500)
