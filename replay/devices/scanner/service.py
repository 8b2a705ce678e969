"""WS-Scan at the scanner: a client reads what it can do, creates a job, fetches its images.

Sources: the WS-Scan pages of windows-driver-docs, one page an operation; faults by fact table wsscan.yaml faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml.etree import _Element as Element

from dissector.catalog import build
from replay.base.clock import Clock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Operation, Reply
from replay.devices.scanner.button import Button
from replay.devices.scanner.describing import DescribingService
from replay.devices.scanner.device import Device
from replay.devices.scanner.engine import ScannerEngine
from replay.devices.scanner.feeder import FEEDER
from replay.devices.scanner.imaging import image_information, scan_picture
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.pages import Page
from replay.devices.scanner.retold import plain_ticket
from replay.devices.scanner.sections import job_of
from replay.devices.scanner.ticket import TicketFault, judge_ticket
from replay.devices.source import EventSource
from replay.net.server import lasting
from replay.soap.compose import Picture
from replay.soap.faults import SoapFault, service_fault

__all__ = ["ScanService"]

SCAN = "WS-Scan"


class ScanService(DescribingService):
    """The service.

    Args:
        engine: carries out.
        clock, ids, log: of the whole emulator.
    """

    service, prefix = SCAN, "wscn"

    def __init__(self, engine: ScannerEngine, *, clock: Clock, ids: Ids, log: Log) -> None:
        super().__init__(engine)
        self._ids = ids
        self._stale_token = ""
        quirk = engine.device.quirk
        misspelt = {"invalid_token": "ClientErrorInvalidDetinationToken"} if quirk("misspelt-destination-fault") else {}
        self.button = Button(clock=clock, ids=ids, log=log, **misspelt)
        self.pressed = not quirk("panel-first")

    def subscribed(self, source: EventSource) -> None:
        """Tell the subscribers of this source from now on, the button's chosen one among them."""
        super().subscribed(source)
        self.button.source = source

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        jobs: dict[str, Operation] = {
            "CreateScanJob": self.create,
            "RetrieveImage": self.retrieve,
            "CancelJob": self.cancel,
        }
        return super().operations() | jobs

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
        except BaseException:
            # Whatever it was, the scan is over: a job that is rendering for ever would keep the scanner busy.
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
