"""The right fault for what the recording does not have: an operation, or something that was never handed out.

Sources: WS-Addressing 2004/08, 4 (ActionNotSupported); faults of WS-Scan, WS-DSP and WS-DSC as in the catalogue;
WS-Eventing 2004/08, 4 (a subscription that is not known).
"""

from __future__ import annotations

from dissector.http.model import HttpMessage
from dissector.http.writer import build_response
from dissector.messages import Message
from dissector.soap.build import anonymous, build_fault
from replay.base.ids import Ids
from replay.soap.compose import REASONS, USUAL, http_response, pack
from replay.soap.faults import SoapFault, addressing_fault, eventing_fault, service_fault, version_mismatch

__all__ = ["bare_status", "fault_answer", "no_answer", "no_operation", "not_handed_out", "plain_answer"]

UNKNOWN = {
    ("WS-DSP", "JobToken"): "ClientErrorJobTokenNotFound",
    ("WS-DSC", "JobToken"): "ClientErrorJobTokenNotFound",
    ("WS-Scan", "JobId"): "ClientErrorJobIdNotFound",
    ("WS-DSD", "JobId"): "ClientErrorJobIdNotFound",
    ("WS-Scan", "JobToken"): "ClientErrorInvalidJobToken",
    ("WS-Scan", "DestinationToken"): "ClientErrorInvalidDestinationToken",
    ("WS-Scan", "ScanIdentifier"): "ClientErrorInvalidScanIdentifier",
}
"""Service and element → the fault where its text was never handed out."""


def no_operation(message: Message) -> SoapFault:
    """The recording has no such request."""
    if message.envelope is not None and message.envelope.version != "1.2":
        return version_mismatch()
    return addressing_fault("ActionNotSupported", "The recording has no such request", message.action or "")


def no_answer(message: Message) -> SoapFault:
    """The recording has the request, and no answer to it."""
    words = "The recording holds no answer to this request"
    if message.service in ("WS-Scan", "WS-DSD", "WS-DSP", "WS-DSC"):
        return service_fault(message.service, "ServerErrorTemporaryError", words)
    return addressing_fault("EndpointUnavailable", words)


def not_handed_out(message: Message, element: str) -> SoapFault | None:
    """What stands in an element was never handed out; None where no fault says so."""
    if message.service == "WS-Eventing" and element == "Identifier":
        return eventing_fault("InvalidMessage", "There is no such subscription")
    name = UNKNOWN.get((message.service, element))
    return service_fault(message.service, name, f"This {element} was not handed out") if name is not None else None


def bare_status(http: HttpMessage) -> int:
    """The HTTP status for a request that is no SOAP at all, 0 where a fault is due."""
    if http.method != "POST":
        return 405 if http.method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH") else 400
    kind = http.media_type
    return 415 if kind and not any(word in kind for word in ("soap", "multipart", "xml")) else 0


def plain_answer(status: int) -> list[bytes]:
    """An answer without SOAP."""
    extra = [("Allow", "POST")] if status == 405 else []
    return [build_response(status, REASONS.get(status, "Status"), [*extra, ("Content-Length", "0")])]


def fault_answer(fault: SoapFault, message: Message | None, ids: Ids, relates_to: str | None = None) -> list[bytes]:
    """A fault that answers a message; ``relates_to`` is the MessageID of that."""
    version = message.envelope.addressing.version if message is not None and message.envelope is not None else ""
    version = version if version in ("2004/08", "2005/08") else "2004/08"
    envelope = build_fault(
        fault.code, fault.subcode, fault.reason, fault.detail, action=fault.action, to=anonymous(version),
        message_id=ids.urn(), relates_to=relates_to, addressing=version,
    )  # fmt: skip
    return list(http_response(fault.status, pack(envelope, (), ids), USUAL).pieces)
