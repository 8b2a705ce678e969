"""What WS-DSP and WS-DSC say alike: the same jobs, each service in its own namespace.

Sources: MS-BDSRR 3.1.4.1, 3.2.4.2, 3.2.4.3, 3.2.4.8, 3.2.4.9 and its notes 12 to 16; the WS-DSP pages of
windows-driver-docs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lxml import etree
from lxml.etree import _Element as Element

from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.namespaces import DSC, DSP
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Ignored, Reply
from replay.devices.requested import requested_names
from replay.devices.scanserver.engine import JobEngine
from replay.devices.scanserver.jobs import PostScanJob
from replay.devices.scanserver.profiles import Profile
from replay.soap.faults import SoapFault, addressing_fault, service_fault

__all__ = [
    "canceled",
    "end_body",
    "event_facts",
    "find_job",
    "job_elements",
    "no_endpoint",
    "not_found",
    "status_body",
]

PREFIX = {"WS-DSP": "dsp", "WS-DSC": "dsc"}
NAMESPACE = {"WS-DSP": DSP, "WS-DSC": DSC}
_GUID = re.compile(r"\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?")
_BY_TOKEN = ("CancelPostScanJob", "GetPostScanJobElements")
_UNKNOWN = "00000000-0000-4000-8000-000000000000"
"""A token that no server hands out."""


def status_body(job: PostScanJob, prefix: str, stale: str) -> Callable[[Effects], Element]:
    """The body of a status event: as the job is now, not as it is when the event goes out.

    Args:
        job: what is told of.
        prefix: of the service.
        stale: the token of another job, for a behaviour that orders one.
    """
    status = job.status()

    def make(effects: Effects) -> Element:
        return build(f"{prefix}:PostScanJobStatusEvent", {"job_status": {**status, **_token(effects, stale)}})

    return make


def end_body(job: PostScanJob, prefix: str, stale: str) -> Callable[[Effects], Element]:
    """The body of an end event; the behaviour may order another end state."""

    def make(effects: Effects) -> Element:
        other = effects.end_state
        data = job.end_state(other.state, other.reasons) if other is not None else job.end_state()
        return build(
            f"{prefix}:PostScanJobEndStateEvent", {"post_scan_job_end_state": {**data, **_token(effects, stale)}}
        )

    return make


def _token(effects: Effects, stale: str) -> dict[str, str]:
    """Another token than the job's, where the behaviour orders one."""
    if not effects.token:
        return {}
    return {"job_token": {"unknown": _UNKNOWN, "stale": stale or _UNKNOWN}.get(effects.token, effects.token)}


def event_facts(job: PostScanJob) -> dict[str, str]:
    """What rules of behaviour can ask about an event of a job."""
    return {"job_token": job.token, "job_state": job.state, "psp_identifier": job.process}


def canceled(job: PostScanJob, engine: JobEngine, service: str) -> Reply:
    """The answer to CancelPostScanJob of either service; the job ends when the answer is out."""
    job.canceling = True

    def after(written: bool) -> None:
        engine.cancel(job)

    return Reply(build(f"{PREFIX[service]}:CancelPostScanJobResponse", {}), after=after)


def not_found(token: str, service: str) -> SoapFault:
    """ClientErrorJobTokenNotFound, with the token as Detail (MS-BDSRR 3.1.4.1.6, note 12)."""
    detail = etree.Element(f"{{{NAMESPACE[service]}}}JobToken")
    detail.text = token
    return service_fault(service, "ClientErrorJobTokenNotFound", "There is no job with this token", detail)


def no_endpoint(message: Message) -> SoapFault | None:
    """EndpointUnavailable for a token that is no GUID, where these two operations name one (MS-BDSRR notes 14, 15)."""
    decl = message.decl
    if decl is None or decl.service not in PREFIX or decl.operation not in _BY_TOKEN or message.body is None:
        return None
    field = message.body.find("JobToken")
    if field is None or _GUID.fullmatch(field.text.strip()):
        return None
    return addressing_fault("EndpointUnavailable", "The endpoint is not available")


def find_job(call: Call, engine: JobEngine, service: str) -> PostScanJob:
    """The job that a request names, running or over.

    Raises:
        SoapFault: there is none.
    """
    field = call.body.find("JobToken")
    token = field.text.strip() if field is not None else ""
    if not token:
        raise service_fault(service, "InvalidArgs", "JobToken is empty", "JobToken")
    job = engine.jobs.find(token)
    if job is None:
        raise not_found(token, service)
    return job


def job_elements(call: Call, job: PostScanJob, profile: Profile, service: str, stale: str) -> Reply:
    """GetPostScanJobElements of either service."""
    names = requested_names(call, service)
    sections = job.sections(names, NAMESPACE[service])
    for one in sections:
        if "job_status" in one:
            one["job_status"] |= _token(call.effects, stale)
    if profile.ignores_unknown_names and not all(one["@valid"] for one in sections):
        raise Ignored("an unknown section is asked for, and this server does not answer then (MS-BDSRR note 16)")
    prefix = PREFIX[service]
    return Reply(build(f"{prefix}:GetPostScanJobElementsResponse", {"job_elements": {"element_data": sections}}))
