"""What WS-Scan and WS-DSD have in common: both describe the one scanner and the jobs of their own, and tell of both.

Sources: the pages of windows-driver-docs, one an operation; the WS-DSD pages give operations of the same names, events
and elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lxml.etree import _Element as Element

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

__all__ = ["DescribingService"]


class DescribingService(Listener):
    """A service of the scanner.

    Args:
        engine: the scanner, which all services work on.

    Attributes:
        service: its name in the catalogue.
        prefix: that of its namespace there.
        source: the subscriptions; None until there are some.
    """

    service: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self, engine: ScannerEngine) -> None:
        self._engine = engine
        self.source: EventSource | None = None
        engine.listen(self)

    def subscribed(self, source: EventSource) -> None:
        """Tell the subscribers of this source from now on."""
        self.source = source

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        return {
            "GetScannerElements": self.get_scanner_elements,
            "GetActiveJobs": self.get_active,
            "GetJobHistory": self.get_history,
            "GetJobElements": self.get_job_elements,
            "ValidateScanTicket": self.validate,
        }

    def _build(self, name: str, data: Mapping[str, Any]) -> Element:
        return build(f"{self.prefix}:{name}", data)

    # -- reading -------------------------------------------------------------------------------------------------

    async def get_scanner_elements(self, call: Call) -> Reply:
        """GetScannerElements: all sections, or those that are asked for."""
        sections = scanner_sections(self._engine, requested_sections(call, self.service))
        return Reply(self._build("GetScannerElementsResponse", {"scanner_elements": {"element_data": sections}}))

    async def validate(self, call: Call) -> Reply:
        """ValidateScanTicket: also before a ticket goes into a scan process."""
        data = validation(call, self._engine, self.service)
        return Reply(self._build("ValidateScanTicketResponse", {"validation_info": data}))

    async def get_job_elements(self, call: Call) -> Reply:
        """GetJobElements."""
        sections = job_of(call, self._engine, self.service).sections(requested_sections(call, self.service))
        return Reply(self._build("GetJobElementsResponse", {"job_elements": {"element_data": sections}}))

    async def get_active(self, call: Call) -> Reply:
        """GetActiveJobs."""
        jobs = [job.summary() for job in self._engine.jobs.active(self.service)]
        return Reply(self._build("GetActiveJobsResponse", {"active_jobs": {"job_summary": jobs}}))

    async def get_history(self, call: Call) -> Reply:
        """GetJobHistory."""
        jobs = [job.summary() for job in self._engine.jobs.ended(self.service)]
        return Reply(self._build("GetJobHistoryResponse", {"job_history": {"job_summary": jobs}}))

    # -- events --------------------------------------------------------------------------------------------------

    def job_changed(self, job: ScanJob) -> None:
        """JobStatusEvent."""
        if job.service == self.service and not job.over:
            self._notify("JobStatusEvent", {"job_status": job.status()}, _facts(job))

    def job_ended(self, job: ScanJob) -> None:
        """JobEndStateEvent. Of WS-DSD: the last image is digitized; what the scan server makes of it comes later."""
        if job.service != self.service or self.source is None:
            return

        def body(effects: Effects) -> Element:
            other = effects.end_state
            data = job.end_state(other.state, other.reasons) if other is not None else job.end_state()
            return self._build("JobEndStateEvent", {"job_end_state": data})

        self.source.notify(Notice(self.service, "JobEndStateEvent", body, facts=_facts(job)))

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
            made = self._build(name, data)
            self.source.notify(Notice(self.service, name, lambda effects: made, facts=facts))


def _facts(job: ScanJob) -> dict[str, str]:
    """What a rule of behaviour can ask of an event of a job."""
    return {"job_id": str(job.job_id), "job_state": job.state}
