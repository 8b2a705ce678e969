"""WS-DSP at the scan server: a device opens a post-scan job, sends its images, ends or cancels it, asks for its state.

Sources: the WS-DSP pages of windows-driver-docs; faults by analogy with MS-BDSRR 3.1.4.1; fact table dsp.yaml.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lxml import etree
from lxml.etree import _Element as Element

from dissector.catalog import build
from dissector.http.content import Content
from dissector.soap.model import QName
from dissector.soap.namespaces import DSC, DSP
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Ignored, Operation, Reply
from replay.devices.scanserver.engine import JobEngine, Listener
from replay.devices.scanserver.instructions import Instructions, compare, read_instructions
from replay.devices.scanserver.jobs import Document, PostScanJob
from replay.devices.scanserver.processes import ScanProcess, same_guid
from replay.devices.scanserver.profiles import Profile
from replay.devices.source import EventSource, Notice
from replay.soap.faults import SoapFault, addressing_fault, service_fault

__all__ = ["Processing", "find_job", "requested_names"]

DSP_NAME = "WS-DSP"
PREFIX = {"WS-DSP": "dsp", "WS-DSC": "dsc"}
NAMESPACE = {"WS-DSP": DSP, "WS-DSC": DSC}
_GUID = re.compile(r"\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?")

Who = Callable[[Call, str], str]
"""Gives the user's name for a call and a UserIdentifier."""


class Processing(Listener):
    """The service.

    Args:
        engine: carries out.
        ids, log: of the whole server.
        profile: how this server answers.
        processes: the directory: PSP_Identifier → scan process; None: any identifier is taken, instructions are not
            compared.
        user: who a SID is.
        owner: who a call comes from (certificate or address).
    """

    def __init__(
        self,
        engine: JobEngine,
        *,
        ids: Ids,
        log: Log,
        profile: Profile,
        processes: Mapping[str, ScanProcess] | None,
        user: Who,
        owner: Callable[[Call], str],
    ) -> None:
        self._engine = engine
        self._ids = ids
        self._log = log
        self._profile = profile
        self._processes = processes
        self._user = user
        self._owner = owner
        self.source: EventSource | None = None
        self._stale = ""
        engine.listen(self)

    def operations(self) -> dict[str, Operation]:
        """What is offered."""
        return {
            "CreatePostScanJob": self.create,
            "SendImage": self.send_image,
            "EndPostScanJob": self.end,
            "CancelPostScanJob": self.cancel,
            "GetPostScanJobElements": self.get_elements,
        }

    # -- operations ----------------------------------------------------------------------------------------------

    async def create(self, call: Call) -> Reply:
        """CreatePostScanJob."""
        body = call.body
        user_identifier = str(body.get("UserIdentifier") or "").strip()
        process_id = str(body.get("PSP_Identifier") or "").strip()
        given = body.find("PostScanInstructions")
        assert given is not None  # the content model was checked
        instructions, problems = read_instructions(given)
        if problems:
            # A dialect that is not known is none of these: that job is taken, and its end event says it.
            raise service_fault(
                DSP_NAME, "InvalidArgs", f"{problems[0].text} (at {problems[0].path})", problems[0].path
            )
        name = self._judge(process_id, instructions)
        if self._engine.jobs.full:
            raise service_fault(DSP_NAME, "OperationFailed", f"No more than {self._engine.jobs.limit} jobs at once")
        token = self._ids.guid()
        job = self._engine.create(
            token, process_id, name, self._user(call, user_identifier), user_identifier, self._owner(call), instructions
        )
        answered = call.effects.token
        said = token
        if answered:
            said = self._stale or self._ids.guid() if answered == "stale" else answered
            said = self._ids.guid() if answered == "unknown" else said
        self._stale = token

        def after(written: bool) -> None:
            self._engine.announce(job)

        return Reply(build("dsp:CreatePostScanJobResponse", {"job_token": said}), after=after)

    async def send_image(self, call: Call) -> Reply:
        """SendImage."""
        job = self._mine(call)
        body = call.body
        if job.state != "Creating":
            raise service_fault(DSP_NAME, "OperationFailed", "EndPostScanJob came before: no further image is taken")
        document_id = body.get("DocumentDescription/DocumentId")
        format_name = str(body.get("DocumentDescription/Format") or "")
        if not isinstance(document_id, int):
            raise service_fault(DSP_NAME, "InvalidArgs", "DocumentId is no number", "DocumentDescription/DocumentId")
        if any(one.document_id == document_id for one in job.documents):
            raise service_fault(
                DSP_NAME,
                "InvalidArgs",
                f"The job has a document {document_id} already",
                "DocumentDescription/DocumentId",
            )
        image = next((one for one in call.message.attachments if one.element), None)
        if image is None or not image.content.kept:
            raise service_fault(DSP_NAME, "InvalidArgs", "ImageData names no part that came with it", "ImageData")
        if len(job.documents) >= self._engine.most_images:
            raise service_fault(DSP_NAME, "OperationFailed", f"More than {self._engine.most_images} images")
        if image.content.size > self._engine.room:
            raise service_fault(DSP_NAME, "OperationFailed", "There is no room for the image")
        self._engine.image_begins(job)
        document = None
        try:
            path = job.folder / f"{document_id:05d}"
            digest = await asyncio.to_thread(_write, image.content, path)
            if not job.over:
                document = Document(document_id, format_name, path, image.content.size, digest)
        except OSError as error:
            raise service_fault(DSP_NAME, "OperationFailed", f"The image cannot be kept: {error.strerror}") from error
        finally:
            self._engine.image_ends(job, document)
        if document is None:
            raise self._gone(job)
        return Reply(build("dsp:SendImageResponse", {}))

    async def end(self, call: Call) -> Reply:
        """EndPostScanJob."""
        job = self._mine(call)
        if job.state != "Creating":
            raise service_fault(DSP_NAME, "OperationFailed", "EndPostScanJob came before")
        if job.sending:
            raise service_fault(DSP_NAME, "OperationFailed", f"{job.sending} images are still being sent")
        ordered = call.effects.end_state
        self._engine.end(job, (ordered.state, tuple(ordered.reasons)) if ordered is not None else None)
        return Reply(build("dsp:EndPostScanJobResponse", {}))

    async def cancel(self, call: Call) -> Reply:
        """CancelPostScanJob."""
        job = self._mine(call)
        self._engine.cancel(job)
        return Reply(build("dsp:CancelPostScanJobResponse", {}))

    async def get_elements(self, call: Call) -> Reply:
        """GetPostScanJobElements: of a job that is running or over."""
        return job_elements(call, self._engine, self._profile, DSP_NAME)

    # -- events --------------------------------------------------------------------------------------------------

    def changed(self, job: PostScanJob) -> None:
        """PostScanJobStatusEvent."""
        self._notify("PostScanJobStatusEvent", job, status_body(job, "dsp"))

    def ended(self, job: PostScanJob) -> None:
        """PostScanJobEndStateEvent."""
        self._notify("PostScanJobEndStateEvent", job, end_body(job, "dsp"))

    def _notify(self, name: str, job: PostScanJob, body: Callable[[Effects], Element]) -> None:
        if self.source is not None:
            facts = {"job_token": job.token, "job_state": job.state, "psp_identifier": job.process}
            self.source.notify(Notice(DSP_NAME, name, body, facts=facts))

    # -- pieces --------------------------------------------------------------------------------------------------

    def _judge(self, process_id: str, instructions: Instructions) -> str:
        """Compare with the directory; gives the display name of the scan process."""
        if self._processes is None:
            return process_id
        kept = next((one for key, one in self._processes.items() if same_guid(key, process_id)), None)
        if kept is None:
            raise service_fault(
                DSP_NAME, "InvalidArgs", f"The directory has no scan process {process_id}", "PSP_Identifier"
            )
        differing = compare(instructions, kept.instructions)
        if differing:
            raise service_fault(
                DSP_NAME, "InvalidArgs", f"Not as in the directory: {differing[0].text} (at {differing[0].path})",
                differing[0].path,
            )  # fmt: skip
        return kept.display_name

    def _mine(self, call: Call) -> PostScanJob:
        """The job under way that a request is about, if it is the caller's."""
        job = find_job(call, self._engine, self._profile, DSP_NAME)
        if job.over:
            raise self._gone(job)
        if job.owner != self._owner(call):
            # No fault is named for it; MS-BDSRR 3 lets authorization be told by HTTP status or fault.
            fault = service_fault(DSP_NAME, "OperationFailed", "The job belongs to another user")
            fault.status = 403
            raise fault
        return job

    def _gone(self, job: PostScanJob) -> SoapFault:
        if job.state == "Canceled":
            return service_fault(DSP_NAME, "ServerErrorPostScanJobCanceled", "The job was cancelled")
        return not_found(job.token, DSP_NAME)


def status_body(job: PostScanJob, prefix: str) -> Callable[[Effects], Element]:
    """The body of a status event: as the job is now, not as it is when the event goes out."""
    made = build(f"{prefix}:PostScanJobStatusEvent", {"job_status": job.status()})
    return lambda effects: made


def end_body(job: PostScanJob, prefix: str) -> Callable[[Effects], Element]:
    """The body of an end event; the behaviour may order another end state."""

    def make(effects: Effects) -> Element:
        other = effects.end_state
        data = job.end_state(other.state, other.reasons) if other is not None else job.end_state()
        if effects.token:
            data["job_token"] = effects.token
        return build(f"{prefix}:PostScanJobEndStateEvent", {"post_scan_job_end_state": data})

    return make


def not_found(token: str, service: str) -> SoapFault:
    """ClientErrorJobTokenNotFound, with the token as Detail (MS-BDSRR 3.1.4.1.6, note 12)."""
    detail = etree.Element(f"{{{NAMESPACE[service]}}}JobToken")
    detail.text = token
    return service_fault(service, "ClientErrorJobTokenNotFound", "There is no job with this token", detail)


def find_job(call: Call, engine: JobEngine, profile: Profile, service: str) -> PostScanJob:
    """The job that a request names, running or over.

    Raises:
        SoapFault: there is none; of a token that is no GUID, what the profile says (MS-BDSRR notes 14 and 15).
    """
    field = call.body.find("JobToken")
    token = field.text.strip() if field is not None else ""
    if _GUID.fullmatch(token) is None:
        if profile.token_must_be_guid and call.operation in ("CancelPostScanJob", "GetPostScanJobElements"):
            raise addressing_fault("EndpointUnavailable", "The endpoint is not available")
        if not token:
            raise service_fault(service, "InvalidArgs", "JobToken is empty", "JobToken")
    job = engine.jobs.find(token)
    if job is None:
        raise not_found(token, service)
    return job


def requested_names(call: Call, service: str) -> list[tuple[str, str]]:
    """The QNames in RequestedElements as (namespace, local name)."""
    names = []
    for one in call.body.find_all("RequestedElements/Name"):
        if not isinstance(one.value, QName):
            raise service_fault(
                service, "InvalidArgs", f"{one.text.strip()[:80]!r} is no name", "RequestedElements/Name"
            )
        names.append((one.value.namespace, one.value.local))
    return names


def job_elements(call: Call, engine: JobEngine, profile: Profile, service: str) -> Reply:
    """GetPostScanJobElements of either service."""
    job = find_job(call, engine, profile, service)
    names = requested_names(call, service)
    sections = job.sections(names, NAMESPACE[service])
    if profile.ignores_unknown_names and not all(one["@valid"] for one in sections):
        raise Ignored("an unknown section is asked for, and this server does not answer then (MS-BDSRR note 16)")
    prefix = PREFIX[service]
    return Reply(build(f"{prefix}:GetPostScanJobElementsResponse", {"job_elements": {"element_data": sections}}))


def _write(content: Content, path: Path) -> str:
    """Write content to a file; gives its SHA-256."""
    digest = hashlib.sha256() if content.sha256 is None else None
    with open(path, "xb") as file:
        for piece in content.pieces():
            file.write(piece)
            if digest is not None:
                digest.update(piece)
    return content.sha256 or (digest.hexdigest() if digest is not None else "")
