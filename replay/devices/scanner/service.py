"""WS-Scan at the scanner: a client reads what it can do, creates a job, fetches its images.

Sources: the WS-Scan pages of windows-driver-docs, one page an operation; faults by fact table wsscan.yaml faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lxml.etree import _Element as Element

from dissector.catalog import Field, build
from dissector.soap.model import QName
from dissector.soap.namespaces import DSD, WSCN
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects, cut_image, other_image
from replay.devices.eventing import Subscription
from replay.devices.host import Call, Operation, Reply
from replay.devices.scanner.engine import Condition, Listener, ScannerEngine
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.pages import Page, Region
from replay.devices.scanner.render import media_type, render
from replay.devices.scanner.ticket import judge_ticket, settings_for
from replay.devices.source import EventSource, Notice
from replay.soap.compose import Picture
from replay.soap.faults import SoapFault, service_fault

__all__ = [
    "ScanService",
    "changes",
    "cleared",
    "requested_sections",
    "scanner_sections",
    "validation",
]

SCAN = "WS-Scan"
IDENTIFIER_LIFE = 60.0
"""Seconds for which a ScanIdentifier may be used: as long as the first RetrieveImage may take."""


class ScanService(Listener):
    """The service.

    Args:
        engine: carries out.
        clock, ids, log: of the whole emulator.
    """

    def __init__(self, engine: ScannerEngine, *, clock: Clock, ids: Ids, log: Log) -> None:
        self._engine = engine
        self._clock = clock
        self._ids = ids
        self._log = log
        self._identifiers: dict[str, tuple[str, float]] = {}
        self._stale_token = ""
        self.source: EventSource | None = None
        self.pressed = not engine.device.quirk("panel-first")
        engine.listen(self)

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        return {
            "GetScannerElements": self.get_scanner_elements,
            "ValidateScanTicket": self.validate,
            "CreateScanJob": self.create,
            "RetrieveImage": self.retrieve,
            "CancelJob": self.cancel,
            "GetJobElements": self.get_job_elements,
            "GetActiveJobs": self.get_active,
            "GetJobHistory": self.get_history,
        }

    # -- reading -------------------------------------------------------------------------------------------------

    async def get_scanner_elements(self, call: Call) -> Reply:
        """GetScannerElements: all sections, or those that are asked for."""
        sections = scanner_sections(self._engine, requested_sections(call, SCAN))
        return Reply(build("wscn:GetScannerElementsResponse", {"scanner_elements": {"element_data": sections}}))

    async def validate(self, call: Call) -> Reply:
        """ValidateScanTicket."""
        data = validation(call, self._engine, SCAN)
        return Reply(build("wscn:ValidateScanTicketResponse", {"validation_info": data}))

    async def get_job_elements(self, call: Call) -> Reply:
        """GetJobElements."""
        job = self._job(call)
        names = requested_sections(call, SCAN)
        return Reply(build("wscn:GetJobElementsResponse", {"job_elements": {"element_data": job.sections(names)}}))

    async def get_active(self, call: Call) -> Reply:
        """GetActiveJobs."""
        jobs = [job.summary() for job in self._engine.jobs.active(SCAN)]
        return Reply(build("wscn:GetActiveJobsResponse", {"active_jobs": {"job_summary": jobs}}))

    async def get_history(self, call: Call) -> Reply:
        """GetJobHistory."""
        jobs = [job.summary() for job in self._engine.jobs.ended(SCAN)]
        return Reply(build("wscn:GetJobHistoryResponse", {"job_history": {"job_summary": jobs}}))

    # -- a job ---------------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> Reply:
        """CreateScanJob, for a client that pulls, or one that was told by a ScanAvailableEvent."""
        device, body = self._engine.device, call.body
        self._destination(body)
        if device.quirk("needs-job-information") and not body.find("ScanTicket/JobDescription/JobInformation"):
            raise service_fault(
                SCAN, "InvalidArgs", "JobInformation is missing", "ScanTicket/JobDescription/JobInformation"
            )
        ticket = body.find("ScanTicket")
        assert ticket is not None  # the content model was checked
        judged = judge_ticket(ticket, device)
        if judged.fault is not None:
            raise service_fault(SCAN, judged.fault.subcode, judged.fault.reason, judged.fault.path)
        final = judged.final
        source, images = str(_value(final, "input_source", "Platen")), int(_value(final, "images_to_transfer", 0))
        asked = body.get("ScanTicket/DocumentParameters/ImagesToTransfer")
        if device.quirk("images-to-transfer-zero-fails") and asked == 0:
            raise service_fault(
                SCAN, "InvalidArgs", "ImagesToTransfer 0", "ScanTicket/DocumentParameters/ImagesToTransfer"
            )
        if not self.pressed:
            raise service_fault(SCAN, "ServerErrorNotAcceptingJobs", "Choose scanning at the panel first")
        if source in ("ADF", "ADFDuplex") and self._engine.feeder.empty:
            raise self._empty_feeder()
        if not self._engine.accepting:
            raise service_fault(SCAN, "ServerErrorNotAcceptingJobs", "The scanner is busy")
        job = self._engine.create(
            ticket.to_json(), final, source, images, str(_value(final, "format", "jfif")), peer=str(call.request.peer)
        )
        self._identifiers.pop(str(body.get("ScanIdentifier") or ""), None)
        token = job.token
        if call.effects.token:
            stale = self._stale_token or self._ids.guid()
            token = {"stale": stale, "unknown": self._ids.guid()}.get(call.effects.token, call.effects.token)
        self._stale_token = job.token
        data = {
            "job_id": job.job_id,
            "job_token": token,
            "image_information": judged.image_information,
            "document_final_parameters": final,
        }
        return Reply(build("wscn:CreateScanJobResponse", data))

    async def retrieve(self, call: Call) -> Reply:
        """RetrieveImage: the next file of a job, as an MTOM part."""
        job = self._job(call)
        if str(call.body.get("JobToken") or "").strip() != job.token:
            raise service_fault(SCAN, "ClientErrorInvalidJobToken")
        if job.state in ("Canceled", "Terminating"):
            raise service_fault(SCAN, "ClientErrorJobCancelled")
        if job.over and job.state == "Aborted":
            raise service_fault(
                SCAN, "ClientErrorJobIdNotFound", "The job was aborted", build("wscn:JobId", job.job_id)
            )
        if job.over or not job.pages:
            raise service_fault(SCAN, "ClientErrorNoImagesAvailable")
        if job.rendering:
            raise service_fault(SCAN, "OperationFailed", "An image of this job is being sent")
        pages = self._engine.begin_image(job)
        name = str(call.body.get("DocumentDescription/DocumentName") or "")
        try:
            picture = await self._picture(job, pages, call.effects)
        except SoapFault:
            self._engine.image_sent(job, 0, name, sent=False)
            raise
        if job.over:
            raise service_fault(SCAN, "ClientErrorJobCancelled")
        body = build("wscn:RetrieveImageResponse", {"scan_data": {"include": {"@href": f"cid:{picture.content_id}"}}})
        count = len(pages)
        return Reply(body, pictures=[picture], after=lambda sent: self._engine.image_sent(job, count, name, sent=sent))

    async def cancel(self, call: Call) -> Reply:
        """CancelJob: of a job that is not over (rule Q11)."""
        job = self._job(call)
        if job.over:
            raise service_fault(SCAN, "ClientErrorJobIdNotFound", "The job is over", build("wscn:JobId", job.job_id))

        def after(sent: bool) -> None:
            if not job.over:
                self._engine.cancel(job)

        return Reply(build("wscn:CancelJobResponse", {}), after=after)

    # -- the button ----------------------------------------------------------------------------------------------

    def destinations(self) -> list[tuple[Subscription, str, str]]:
        """What the panel offers: subscription, ClientContext, ClientDisplayName."""
        if self.source is None:
            return []
        self.source.table.expired(self._clock.monotonic())
        return [
            (one, context, name) for one in self.source.table.all() for context, (name, _) in one.destinations.items()
        ]

    def press(self, wanted: str = "") -> str | None:
        """The user chooses a destination and presses scan: ScanAvailableEvent to its subscriber alone.

        Args:
            wanted: ClientContext or ClientDisplayName; "" for the first there is.

        Returns:
            The ScanIdentifier, None where nobody registered such a destination.
        """
        self.pressed = True
        found = next((one for one in self.destinations() if wanted in ("", one[1], one[2])), None)
        if found is None or self.source is None:
            self._log.say("note", f"scan pressed, but nobody registered {wanted or 'a destination'}")
            return None
        subscription, context, name = found
        identifier = self._ids.guid()
        token = subscription.destinations[context][1]
        self._identifiers[identifier] = (token, self._clock.monotonic() + IDENTIFIER_LIFE)
        made = build("wscn:ScanAvailableEvent", {"client_context": context, "scan_identifier": identifier})
        notice = Notice(SCAN, "ScanAvailableEvent", lambda effects: made, facts={"client_context": context})
        self._log.say("note", f"scan pressed for “{name}”", client_context=context, scan_identifier=identifier)
        self.source.notify(notice, only=lambda one: one is subscription)
        return identifier

    def _destination(self, body: Field) -> None:
        """ScanIdentifier and DestinationToken: both or none, and known (rules Q02 to Q04)."""
        token, identifier = body.find("DestinationToken"), body.find("ScanIdentifier")
        if token is None and identifier is None:
            return
        wrong = "ClientErrorInvalidDestinationToken"
        if self._engine.device.quirk("misspelt-destination-fault"):
            wrong = "ClientErrorInvalidDetinationToken"
        given = token.text.strip() if token is not None else ""
        known = self.source.table.destination(given) if self.source is not None else None
        if known is None:
            raise service_fault(SCAN, wrong)
        issued, until = self._identifiers.get(identifier.text.strip() if identifier is not None else "", ("", 0.0))
        if issued != given or until < self._clock.monotonic():
            raise service_fault(SCAN, "ClientErrorInvalidScanIdentifier")

    # -- events --------------------------------------------------------------------------------------------------

    def job_changed(self, job: ScanJob) -> None:
        """JobStatusEvent."""
        if job.service == SCAN and not job.over:
            self._notify(
                "JobStatusEvent", {"job_status": job.status()}, {"job_id": str(job.job_id), "job_state": job.state}
            )

    def job_ended(self, job: ScanJob) -> None:
        """JobEndStateEvent."""
        if job.service != SCAN or self.source is None:
            return

        def body(effects: Effects) -> Element:
            other = effects.end_state
            data = job.end_state(other.state, other.reasons) if other is not None else job.end_state()
            return build("wscn:JobEndStateEvent", {"job_end_state": data})

        facts = {"job_id": str(job.job_id), "job_state": job.state}
        self.source.notify(Notice(SCAN, "JobEndStateEvent", body, facts=facts))

    def status_changed(self) -> None:
        """ScannerStatusSummaryEvent."""
        self._notify("ScannerStatusSummaryEvent", {"status_summary": self._engine.summary()})

    def condition_set(self, condition: Condition) -> None:
        """ScannerStatusConditionEvent."""
        self._notify("ScannerStatusConditionEvent", {"device_condition": condition.plain()})

    def condition_cleared(self, condition: Condition) -> None:
        """ScannerStatusConditionClearedEvent."""
        self._notify("ScannerStatusConditionClearedEvent", {"device_condition_cleared": cleared(condition)})

    def elements_changed(self, names: Sequence[str]) -> None:
        """ScannerElementsChangeEvent."""
        self._notify("ScannerElementsChangeEvent", {"element_changes": changes(self._engine, names)})

    def _notify(self, name: str, data: Mapping[str, Any], facts: Mapping[str, str] | None = None) -> None:
        if self.source is not None:
            made = build(f"wscn:{name}", data)
            self.source.notify(Notice(SCAN, name, lambda effects: made, facts=facts))

    # -- pieces --------------------------------------------------------------------------------------------------

    def _job(self, call: Call) -> ScanJob:
        number = call.body.get("JobId")
        job = self._engine.jobs.find(number, SCAN) if isinstance(number, int) else None
        if job is None:
            text = call.body.find("JobId")
            detail = build("wscn:JobId", text.text.strip() if text is not None else "")
            raise service_fault(SCAN, "ClientErrorJobIdNotFound", "", detail)
        return job

    def _empty_feeder(self) -> SoapFault:
        quirk = self._engine.device.quirk
        if quirk("empty-feeder-as-job-id-not-found"):
            return service_fault(SCAN, "ClientErrorJobIdNotFound")
        if quirk("empty-feeder-as-not-accepting"):
            return service_fault(SCAN, "ServerErrorNotAcceptingJobs")
        return service_fault(SCAN, "ClientErrorNoImagesAvailable", "The feeder is empty")

    async def _picture(self, job: ScanJob, pages: list[Page], effects: Effects) -> Picture:
        made = settings_for(job.final, "back" if _is_back(job) else "front")
        if self._engine.device.quirk("ignores-scan-region"):
            made = replace(made, region=Region(0, 0, pages[0].width, pages[0].height))
        if self._engine.device.quirk("feeder-as-one-pdf") and len(pages) > 1:
            made = replace(made, format="pdf-a")
        try:
            data = await asyncio.to_thread(render, pages, made)
        except (OSError, ValueError) as error:
            raise service_fault(SCAN, "ServerErrorInternalError", f"The page cannot be scanned: {error}") from error
        kind = media_type(made.format)
        ordered = effects.image
        if ordered is not None:
            if ordered.cut is not None:
                data = cut_image(data, ordered.cut)
            if ordered.as_format:
                data = other_image(data, ordered.as_format)
        if self._engine.device.quirk("no-image-type"):
            kind = "application/octet-stream"
        return Picture(f"{self._ids.guid()}@wsd", data, kind)


def requested_sections(call: Call, service: str) -> list[tuple[str, str]]:
    """The QNames in RequestedElements as (namespace, local name).

    Raises:
        SoapFault: InvalidArgs for what is no name.
    """
    names = []
    for one in call.body.find_all("RequestedElements/Name"):
        if not isinstance(one.value, QName):
            raise service_fault(
                service, "InvalidArgs", f"{one.text.strip()[:80]!r} is no name", "RequestedElements/Name"
            )
        names.append((one.value.namespace, one.value.local))
    return names


def scanner_sections(engine: ScannerEngine, names: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """ElementData for the sections that are asked for; Valid false where there is none."""
    device = engine.device
    known: dict[str, tuple[str, Callable[[], Any]]] = {
        "ScannerDescription": ("scanner_description", lambda: device.description),
        "ScannerConfiguration": ("scanner_configuration", lambda: device.configuration),
        "ScannerStatus": ("scanner_status", engine.status),
        "DefaultScanTicket": ("default_scan_ticket", lambda: device.default_ticket),
    }
    made = []
    for space, local in names:
        one: dict[str, Any] = {"@name": f"{{{space or WSCN}}}{local}", "@valid": False}
        if space in ("", WSCN, DSD) and local in known:
            key, make = known[local]
            one["@valid"] = True
            one[key] = make()
        made.append(one)
    return made


def validation(call: Call, engine: ScannerEngine, service: str) -> dict[str, Any]:
    """The plain form of ValidationInfo.

    Raises:
        SoapFault: the ticket cannot be judged, or what must be honoured conflicts.
    """
    ticket = call.body.find("ScanTicket")
    assert ticket is not None  # the content model was checked
    judged = judge_ticket(ticket, engine.device)
    if judged.fault is not None and judged.fault.subcode in ("InvalidArgs", "ClientErrorConflictingRequiredParameters"):
        raise service_fault(service, judged.fault.subcode, judged.fault.reason, judged.fault.path)
    data: dict[str, Any] = {"valid_ticket": judged.valid, "image_information": judged.image_information}
    if judged.corrected is not None and not judged.valid:
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


def _is_back(job: ScanJob) -> bool:
    """Whether the side under way is a back: every second one of a duplex job."""
    return job.source == "ADFDuplex" and job.scans_completed % 2 == 1


def _value(final: Mapping[str, Any], key: str, default: Any) -> Any:
    value = final.get(key, default)
    if isinstance(value, Mapping):
        value = value.get("#text", default)
    return default if value is None else value
