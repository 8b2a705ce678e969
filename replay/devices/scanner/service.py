"""WS-Scan at the scanner: a client reads what it can do, creates a job, fetches its images.

Sources: the WS-Scan pages of windows-driver-docs, one page an operation; faults by fact table wsscan.yaml faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxml.etree import _Element as Element

from dissector.catalog import build
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Operation, Reply
from replay.devices.scanner.button import Button
from replay.devices.scanner.device import Device
from replay.devices.scanner.engine import Condition, Listener, ScannerEngine
from replay.devices.scanner.feeder import FEEDER
from replay.devices.scanner.imaging import image_information, scan_picture
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.pages import Page
from replay.devices.scanner.retold import plain_ticket
from replay.devices.scanner.sections import (
    changes,
    cleared,
    job_of,
    requested_sections,
    scanner_sections,
    validation,
)
from replay.devices.scanner.ticket import TicketFault, judge_ticket
from replay.devices.source import EventSource, Notice
from replay.net.server import lasting
from replay.soap.compose import Picture
from replay.soap.faults import SoapFault, service_fault

__all__ = ["ScanService"]

SCAN = "WS-Scan"


class ScanService(Listener):
    """The service.

    Args:
        engine: carries out.
        clock, ids, log: of the whole emulator.
    """

    def __init__(self, engine: ScannerEngine, *, clock: Clock, ids: Ids, log: Log) -> None:
        self._engine = engine
        self._ids = ids
        self._stale_token = ""
        quirk = engine.device.quirk
        misspelt = {"invalid_token": "ClientErrorInvalidDetinationToken"} if quirk("misspelt-destination-fault") else {}
        self.button = Button(clock=clock, ids=ids, log=log, **misspelt)
        self.pressed = not quirk("panel-first")
        engine.listen(self)

    @property
    def source(self) -> EventSource | None:
        """The subscriptions; None until there are some."""
        return self.button.source

    @source.setter
    def source(self, source: EventSource) -> None:
        self.button.source = source

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
        job = job_of(call, self._engine, SCAN)
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
        identifier = self.button.check(body)
        if device.quirk("needs-job-information") and not body.find("ScanTicket/JobDescription/JobInformation"):
            raise service_fault(
                SCAN, "InvalidArgs", "JobInformation is missing", "ScanTicket/JobDescription/JobInformation"
            )
        ticket = body.find("ScanTicket")
        assert ticket is not None  # the content model was checked
        judged = judge_ticket(ticket, device)
        if judged.fault is not None:
            raise service_fault(SCAN, judged.fault.subcode, judged.fault.reason, _detail(judged.fault, device))
        final = judged.final
        source, images = str(_value(final, "input_source", "Platen")), int(_value(final, "images_to_transfer", 0))
        asked = body.get("ScanTicket/DocumentParameters/ImagesToTransfer")
        if device.quirk("images-to-transfer-zero-fails") and asked == 0:
            raise service_fault(
                SCAN, "InvalidArgs", "ImagesToTransfer 0", "ScanTicket/DocumentParameters/ImagesToTransfer"
            )
        if not self.pressed:
            raise service_fault(SCAN, "ServerErrorNotAcceptingJobs", "Choose scanning at the panel first")
        if self._engine.empty(source):
            raise self._nothing_there(source)
        if not self._engine.accepting:
            raise service_fault(SCAN, "ServerErrorNotAcceptingJobs", "The scanner is busy")
        job = self._engine.create(
            plain_ticket(ticket), final, source, images, str(_value(final, "format", "jfif")),
            peer=str(call.request.peer),
        )  # fmt: skip
        self.button.use(identifier)
        token = job.token
        if call.effects.token:
            stale = self._stale_token or self._ids.guid()
            token = {"stale": stale, "unknown": self._ids.guid()}.get(call.effects.token, call.effects.token)
        self._stale_token = job.token
        data = {
            "job_id": job.job_id,
            "job_token": token,
            "image_information": image_information(device, source, final),
            "document_final_parameters": final,
        }
        return Reply(build("wscn:CreateScanJobResponse", data))

    async def retrieve(self, call: Call) -> Reply:
        """RetrieveImage: the next file of a job, as an MTOM part."""
        job = job_of(call, self._engine, SCAN)
        if str(call.body.get("JobToken") or "").strip() != job.token:
            raise service_fault(SCAN, "ClientErrorInvalidJobToken")
        if job.state in ("Canceled", "Terminating"):
            raise service_fault(SCAN, "ClientErrorJobCancelled")
        if job.over and job.state == "Aborted":
            raise service_fault(
                SCAN, "ClientErrorJobIdNotFound", "The job was aborted", build("wscn:JobId", job.job_id)
            )
        if job.over or not job.pages:
            self._engine.no_more(job)
            raise service_fault(SCAN, "ClientErrorNoImagesAvailable", "There is no further image")
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
        count, lasts = len(pages), lasting(call.request.http)

        def after(sent: bool) -> None:
            self._engine.image_sent(job, count, name, sent=sent, lasts=lasts)

        return Reply(body, pictures=[picture], after=after)

    async def cancel(self, call: Call) -> Reply:
        """CancelJob: of a job that is not over (rule Q11)."""
        job = job_of(call, self._engine, SCAN)
        if job.over:
            raise service_fault(SCAN, "ClientErrorJobIdNotFound", "The job is over", build("wscn:JobId", job.job_id))

        def after(sent: bool) -> None:
            if not job.over:
                self._engine.cancel(job)

        return Reply(build("wscn:CancelJobResponse", {}), after=after)

    def press(self, wanted: str = "") -> str | None:
        """Press the scan button; see :meth:`Button.press`."""
        self.pressed = True
        return self.button.press(wanted)

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

    def _nothing_there(self, source: str) -> SoapFault:
        if source not in FEEDER:
            return service_fault(SCAN, "ClientErrorNoImagesAvailable", "Nothing lies on the platen")
        quirk = self._engine.device.quirk
        if quirk("empty-feeder-as-job-id-not-found"):
            return service_fault(SCAN, "ClientErrorJobIdNotFound")
        if quirk("empty-feeder-as-not-accepting"):
            return service_fault(SCAN, "ServerErrorNotAcceptingJobs")
        return service_fault(SCAN, "ClientErrorNoImagesAvailable", "The feeder is empty")

    async def _picture(self, job: ScanJob, pages: list[Page], effects: Effects) -> Picture:
        try:
            data, kind = await scan_picture(self._engine.device, job, pages, effects.image)
        except (OSError, ValueError) as error:
            raise service_fault(SCAN, "ServerErrorInternalError", f"The page cannot be scanned: {error}") from error
        return Picture(f"{self._ids.guid()}@wsd", data, kind)


def _detail(fault: TicketFault, device: Device) -> Element | str:
    """What is told with a refusal: the formats that would do (createscanjobrequest.md), or the argument."""
    if fault.subcode == "ClientErrorFormatNotSupported" and device.formats:
        return build("wscn:FormatsSupported", {"format_value": list(device.formats)})
    return fault.path


def _value(final: Mapping[str, Any], key: str, default: Any) -> Any:
    value = final.get(key, default)
    if isinstance(value, Mapping):
        value = value.get("#text", default)
    return default if value is None else value
