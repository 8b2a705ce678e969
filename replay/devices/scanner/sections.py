"""What WS-Scan and WS-DSD both say of the scanner: sections of its description, tickets judged, conditions and changes.

Plain forms of the catalogue, out of the engine. Sources: getscannerelementsresponse.md, validationinfo.md,
scannerelementschangeevent.md, scannerstatusconditionclearedevent.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dissector.catalog import build
from dissector.soap.namespaces import DSD, WSCN
from replay.devices.host import Call
from replay.devices.requested import element_data, requested_names
from replay.devices.scanner.engine import Condition, ScannerEngine
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.ticket import judge_ticket
from replay.soap.faults import service_fault

__all__ = ["changes", "cleared", "job_of", "requested_sections", "scanner_sections", "validation"]


def requested_sections(call: Call, service: str) -> list[tuple[str, str]]:
    """The names that are asked for, each once: an answer is never longer than what was asked for and the four
    sections.

    Raises:
        SoapFault: InvalidArgs for what is no name.
    """
    return list(dict.fromkeys(requested_names(call, service)))


def scanner_sections(engine: ScannerEngine, names: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """ElementData for the sections that are asked for; Valid false where there is none."""
    device = engine.device
    known: dict[str, tuple[str, Callable[[], Any]]] = {
        "ScannerDescription": ("scanner_description", lambda: device.description),
        "ScannerConfiguration": ("scanner_configuration", lambda: device.configuration),
        "ScannerStatus": ("scanner_status", engine.status),
        "DefaultScanTicket": ("default_scan_ticket", lambda: device.default_ticket),
    }
    return element_data(names, known, WSCN, DSD)


def job_of(call: Call, engine: ScannerEngine, service: str) -> ScanJob:
    """The job of the service that a request is about.

    Raises:
        SoapFault: ClientErrorJobIdNotFound, with the value that is unknown; InvalidArgs where it is no number.
    """
    number = call.body.get("JobId")
    if not isinstance(number, int):
        raise service_fault(service, "InvalidArgs", f"{str(number)[:80]!r} is no number", "JobId")
    job = engine.jobs.find(number, service)
    if job is None:
        raise service_fault(service, "ClientErrorJobIdNotFound", "", build("wscn:JobId", number))
    return job


def validation(call: Call, engine: ScannerEngine, service: str) -> dict[str, Any]:
    """The plain form of ValidationInfo; a ticket that insists on what cannot be done is not valid, and the nearest one
    is told.

    Raises:
        SoapFault: ClientErrorConflictingRequiredParameters.
    """
    ticket = call.body.find("ScanTicket")
    assert ticket is not None  # the content model was checked
    judged = judge_ticket(ticket, engine.device)
    fault = judged.fault
    if fault is not None and fault.subcode == "ClientErrorConflictingRequiredParameters":
        raise service_fault(service, fault.subcode, fault.reason, fault.path)
    data: dict[str, Any] = {"valid_ticket": judged.valid, "image_information": judged.image_information}
    if judged.corrected is not None:
        data["valid_scan_ticket"] = judged.corrected
    return data


def cleared(condition: Condition) -> dict[str, Any]:
    """The plain form of DeviceConditionCleared."""
    return {"condition_id": condition.number, "condition_clear_time": condition.plain()["clear_time"]}


def changes(engine: ScannerEngine, names: Sequence[str]) -> dict[str, Any]:
    """The plain form of ElementChanges: each section whole (scannerelementschangeevent.md)."""
    device = engine.device
    sections = {
        "ScannerDescription": ("scanner_description", device.description),
        "ScannerConfiguration": ("scanner_configuration", device.configuration),
        "DefaultScanTicket": ("default_scan_ticket", device.default_ticket),
    }
    return {sections[name][0]: sections[name][1] for name in names if name in sections}
