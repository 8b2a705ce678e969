"""WS-DSC at the scan server: a control point reads what the server can do and watches or cancels its jobs.

Source: MS-BDSRR 3.2.4; Windows behaviour by its notes (see ``profiles``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml.etree import _Element as Element

from dissector.catalog import build
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, FTR
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Ignored, Operation, Reply
from replay.devices.requested import element_data, requested_names
from replay.devices.scanserver.answers import (
    canceled,
    end_body,
    event_facts,
    find_job,
    job_elements,
    not_found,
    status_body,
)
from replay.devices.scanserver.engine import JobEngine, Listener
from replay.devices.scanserver.jobs import PostScanJob
from replay.devices.scanserver.profiles import Profile
from replay.devices.source import EventSource, Notice
from replay.soap.faults import service_fault

__all__ = ["Configuration"]

DSC_NAME = "WS-DSC"


class Configuration(Listener):
    """The service.

    Args:
        engine: the jobs; the same that WS-DSP works on.
        profile: how this server answers.
        filters: local names of the filters that it has: ``email``, ``fileshare``, ``sharepoint``.
        may_manage: whether a caller is a scan administrator; where not, ClientErrorCurrentUserNotScanAdmin.
    """

    def __init__(
        self,
        engine: JobEngine,
        *,
        profile: Profile,
        filters: tuple[str, ...] = ("email", "fileshare", "sharepoint"),
        may_manage: Callable[[Call], bool] = lambda call: True,
    ) -> None:
        self._engine = engine
        self._profile = profile
        self._filters = filters
        self._may_manage = may_manage
        self.source: EventSource | None = None
        engine.listen(self)

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        return {
            "GetRepositoryElements": self.get_repository,
            "CancelPostScanJob": self.cancel,
            "GetPostScanJobElements": self.get_elements,
            "GetActiveJobs": self.get_active,
            "GetJobHistory": self.get_history,
        }

    async def get_repository(self, call: Call) -> Reply:
        """GetRepositoryElements (3.2.4.1)."""
        known: dict[str, tuple[str, Callable[[], Any]]] = {
            "RepositoryConfiguration": ("repository_configuration", self._configuration),
            "RepositoryStatus": ("repository_status", self._status),
        }
        names = requested_names(call, DSC_NAME)
        for space, local in names:
            if self._profile.ignores_unknown_names and not (space in ("", DSC) and local in known):
                if space == DSC:
                    raise service_fault(
                        DSC_NAME, "InvalidArgs", f"There is no section {local}", "RequestedElements/Name"
                    )
                raise Ignored("an unknown section is asked for (MS-BDSRR note 13)")
        sections = element_data(names, known, DSC)
        return Reply(build("dsc:GetRepositoryElementsResponse", {"repository_elements": {"element_data": sections}}))

    async def cancel(self, call: Call) -> Reply:
        """CancelPostScanJob (3.2.4.2): of an active job, by an administrator."""
        self._guard(call)
        job = find_job(call, self._engine, DSC_NAME)
        if job.over:
            raise not_found(job.token, DSC_NAME)
        return canceled(job, self._engine, DSC_NAME)

    async def get_elements(self, call: Call) -> Reply:
        """GetPostScanJobElements (3.2.4.3)."""
        job = find_job(call, self._engine, DSC_NAME)
        return job_elements(call, job, self._profile, DSC_NAME, self._engine.jobs.other(job))

    async def get_active(self, call: Call) -> Reply:
        """GetActiveJobs (3.2.4.4)."""
        jobs = [job.summary() for job in self._engine.jobs.all_active()]
        return Reply(build("dsc:GetActiveJobsResponse", {"active_jobs": {"job_summary": jobs}}))

    async def get_history(self, call: Call) -> Reply:
        """GetJobHistory (3.2.4.5)."""
        jobs = [job.summary() for job in self._engine.jobs.all_ended()]
        return Reply(build("dsc:GetJobHistoryResponse", {"job_history": {"job_summary": jobs}}))

    # -- events --------------------------------------------------------------------------------------------------

    def changed(self, job: PostScanJob) -> None:
        """PostScanJobStatusEvent (3.2.4.8)."""
        self._notify("PostScanJobStatusEvent", status_body(job, "dsc", self._engine.jobs.other(job)), event_facts(job))

    def ended(self, job: PostScanJob) -> None:
        """PostScanJobEndStateEvent (3.2.4.9)."""
        self._notify("PostScanJobEndStateEvent", end_body(job, "dsc", self._engine.jobs.other(job)), event_facts(job))

    def repository(self, state: str) -> None:
        """RepositoryStatusSummaryEvent (3.2.4.7)."""
        summary = {"repository_state": state, "repository_state_reasons": {"repository_state_reason": ["None"]}}
        made = build("dsc:RepositoryStatusSummaryEvent", {"status_summary": summary})
        self._notify("RepositoryStatusSummaryEvent", lambda effects: made, {"repository_state": state})

    def set_filters(self, filters: tuple[str, ...]) -> None:
        """Another set of filters: RepositoryElementsChangeEvent (3.2.4.6), unless the profile never sends it."""
        self._filters = filters
        if self._profile.change_event:
            changes = {"element_changes": {"repository_configuration": self._configuration()}}
            made = build("dsc:RepositoryElementsChangeEvent", changes)
            self._notify("RepositoryElementsChangeEvent", lambda effects: made, {})

    def _notify(self, name: str, body: Callable[[Effects], Element], facts: dict[str, str]) -> None:
        if self.source is not None:
            self.source.notify(Notice(DSC_NAME, name, body, facts=facts))

    # -- pieces --------------------------------------------------------------------------------------------------

    def _configuration(self) -> dict[str, Any]:
        """RepositoryConfiguration: here a filter is a QName (2.2.3.1.2)."""
        if not self._filters:
            return {}
        return {
            "filters": {"filter": [{"dialect": QName(FTR, name, "ftr"), "filter_config": {}} for name in self._filters]}
        }

    def _status(self) -> dict[str, Any]:
        return {
            "repository_state": self._engine.repository_state,
            "repository_state_reasons": {"repository_state_reason": ["None"]},
        }

    def _guard(self, call: Call) -> None:
        if not self._may_manage(call):
            raise service_fault(DSC_NAME, "ClientErrorCurrentUserNotScanAdmin", "The caller is no scan administrator")
