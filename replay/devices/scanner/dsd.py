"""WS-DSD at the scanner: a control point reads the DSM device and watches its scans.

Body element and its child are in the namespace of WS-DSD, everything deeper in that of WS-Scan; events have actions in
the scan namespace. No request or response was ever published: their first level is taken to be WS-DSD's, and the
dissector's catalogue accepts both.

Sources: the WS-DSD pages of windows-driver-docs; fact table wsdsd.yaml (quirks K01, K02, open questions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dissector.catalog import build
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Operation, Reply
from replay.devices.scanner.engine import Condition, Listener, ScannerEngine
from replay.devices.scanner.jobs import ScanJob
from replay.devices.scanner.sections import (
    changes,
    cleared,
    job_of,
    requested_sections,
    scanner_sections,
    validation,
)
from replay.devices.source import EventSource, Notice

__all__ = ["DeviceService"]

DSD = "WS-DSD"


class DeviceService(Listener):
    """The service; it shows the scans that the device itself began.

    Args:
        engine: the scanner, the same that WS-Scan works on.
    """

    def __init__(self, engine: ScannerEngine) -> None:
        self._engine = engine
        self.source: EventSource | None = None
        engine.listen(self)

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        return {
            "GetScannerElements": self.get_scanner_elements,
            "GetActiveJobs": self.get_active,
            "GetJobHistory": self.get_history,
            "GetJobElements": self.get_job_elements,
            "ValidateScanTicket": self.validate,
        }

    async def get_scanner_elements(self, call: Call) -> Reply:
        """GetScannerElements."""
        sections = scanner_sections(self._engine, requested_sections(call, DSD))
        return Reply(build("dsd:GetScannerElementsResponse", {"scanner_elements": {"element_data": sections}}))

    async def get_active(self, call: Call) -> Reply:
        """GetActiveJobs."""
        jobs = [job.summary() for job in self._engine.jobs.active(DSD)]
        return Reply(build("dsd:GetActiveJobsResponse", {"active_jobs": {"job_summary": jobs}}))

    async def get_history(self, call: Call) -> Reply:
        """GetJobHistory."""
        jobs = [job.summary() for job in self._engine.jobs.ended(DSD)]
        return Reply(build("dsd:GetJobHistoryResponse", {"job_history": {"job_summary": jobs}}))

    async def get_job_elements(self, call: Call) -> Reply:
        """GetJobElements."""
        job = job_of(call, self._engine, DSD)
        sections = job.sections(requested_sections(call, DSD))
        return Reply(build("dsd:GetJobElementsResponse", {"job_elements": {"element_data": sections}}))

    async def validate(self, call: Call) -> Reply:
        """ValidateScanTicket: before the ticket goes into a scan process."""
        data = validation(call, self._engine, DSD)
        return Reply(build("dsd:ValidateScanTicketResponse", {"validation_info": data}))

    # -- events --------------------------------------------------------------------------------------------------

    def job_changed(self, job: ScanJob) -> None:
        """JobStatusEvent."""
        if job.service == DSD and not job.over:
            self._notify("JobStatusEvent", {"job_status": job.status()}, {"job_id": str(job.job_id)})

    def job_ended(self, job: ScanJob) -> None:
        """JobEndStateEvent: the last image is digitized; what the scan server makes of it comes later."""
        if job.service != DSD or self.source is None:
            return

        def body(effects: Effects) -> Any:
            other = effects.end_state
            data = job.end_state(other.state, other.reasons) if other is not None else job.end_state()
            return build("dsd:JobEndStateEvent", {"job_end_state": data})

        self.source.notify(Notice(DSD, "JobEndStateEvent", body, facts={"job_id": str(job.job_id)}))

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
            made = build(f"dsd:{name}", data)
            self.source.notify(Notice(DSD, name, lambda effects: made, facts=facts))
