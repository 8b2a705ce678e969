"""WS-DSP at the scan server: a device opens a post-scan job, sends its images, ends or cancels it, asks for its state.

Sources: the WS-DSP pages of windows-driver-docs; faults by analogy with MS-BDSRR 3.1.4.1; fact table dsp.yaml.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lxml.etree import _Element as Element

from dissector.catalog import build
from dissector.http.content import Content
from replay.base.ids import Ids
from replay.base.log import Log
from replay.behaviour.effects import Effects
from replay.devices.host import Call, Operation, Reply
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
from replay.devices.scanserver.instructions import MAX_TEXT, Instructions, compare, read_instructions
from replay.devices.scanserver.jobs import Document, PostScanJob, image_path
from replay.devices.scanserver.processes import ScanProcess, same_guid
from replay.devices.scanserver.profiles import Profile
from replay.devices.source import EventSource, Notice
from replay.soap.faults import SoapFault, service_fault

__all__ = ["Processing"]

DSP_NAME = "WS-DSP"

_INT = 1 << 31

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
        if given is None:  # the body is that of another message
            raise service_fault(DSP_NAME, "InvalidArgs", "PostScanInstructions is missing", "PostScanInstructions")
        instructions, problems = read_instructions(given)
        if problems:
            # A dialect that is not known is none of these: that job is taken, and its end event says it.
            raise service_fault(
                DSP_NAME, "InvalidArgs", f"{problems[0].text} (at {problems[0].path})", problems[0].path
            )
        name = self._judge(process_id, instructions)
        if self._engine.jobs.full:
            raise service_fault(DSP_NAME, "OperationFailed", f"No more than {self._engine.jobs.limit} jobs at once")
        if not self._engine.takes(instructions):
            words = f"The filters of the active jobs would take more than {self._engine.most_instructions} bytes"
            raise service_fault(DSP_NAME, "OperationFailed", words)
        token = self._ids.guid()
        user = self._user(call, user_identifier)
        try:
            job = self._engine.create(
                token, process_id, name, user, user_identifier, self._owner(call), instructions
            )  # fmt: skip
        except OSError as error:
            raise service_fault(DSP_NAME, "OperationFailed", f"No room for the job: {error.strerror}") from error
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
        if job.state != "Creating":
            raise service_fault(DSP_NAME, "OperationFailed", "EndPostScanJob came before: no further image is taken")
        document_id = call.body.get("DocumentDescription/DocumentId")
        where = "DocumentDescription/DocumentId"
        if not isinstance(document_id, int) or not -_INT <= document_id < _INT:
            raise service_fault(DSP_NAME, "InvalidArgs", f"DocumentId is no xs:int (at {where})", where)
        if job.has(document_id):
            words = f"The job has a document {document_id} already (at {where})"
            raise service_fault(DSP_NAME, "InvalidArgs", words, where)
        format_name = str(call.body.get("DocumentDescription/Format") or "").strip()
        if len(format_name) > MAX_TEXT:
            words = f"Format has {len(format_name)} characters, {MAX_TEXT} are allowed"
            raise service_fault(DSP_NAME, "InvalidArgs", words, "DocumentDescription/Format")
        image = next((one for one in call.message.attachments if one.element == "ImageData"), None)
        if image is None:
            raise service_fault(DSP_NAME, "InvalidArgs", "ImageData names no part that came with it", "ImageData")
        if not image.content.complete:
            raise service_fault(DSP_NAME, "InvalidArgs", "The part of ImageData has no end", "ImageData")
        if len(job.documents) + len(job.arriving) >= self._engine.most_images:
            raise service_fault(DSP_NAME, "OperationFailed", f"More than {self._engine.most_images} images")
        if image.content.size > self._engine.room or not image.content.kept:
            self._engine.image_lost(job, document_id)
            raise service_fault(DSP_NAME, "OperationFailed", "There is no room for the image")
        self._engine.image_begins(job, document_id, image.content.size)
        document = None
        path = image_path(job.folder, document_id)
        try:
            digest = await asyncio.to_thread(_write, image.content, path)
            if not (job.over or job.canceling):
                # Devices say the same few words all the time.
                format_name = sys.intern(format_name)
                document = Document(document_id, format_name, job.folder, image.content.size, digest)
        except OSError as error:
            raise service_fault(DSP_NAME, "OperationFailed", f"The image cannot be kept: {error.strerror}") from error
        finally:
            if document is None:
                path.unlink(missing_ok=True)
            self._engine.image_ends(job, document_id, document)
        if document is None:
            raise self._gone(job)
        return Reply(build("dsp:SendImageResponse", {}))

    async def end(self, call: Call) -> Reply:
        """EndPostScanJob."""
        job = self._mine(call)
        if job.state != "Creating":
            raise service_fault(DSP_NAME, "OperationFailed", "EndPostScanJob came before")
        if job.arriving:
            raise service_fault(DSP_NAME, "OperationFailed", f"{len(job.arriving)} images are still being sent")
        ordered = call.effects.end_state
        self._engine.end(job, (ordered.state, tuple(ordered.reasons)) if ordered is not None else None)

        def after(written: bool) -> None:
            # What the filters do is told after the answer, steps 10 and 10a of the DSM sequence (P65).
            self._engine.process(job)

        return Reply(build("dsp:EndPostScanJobResponse", {}), after=after)

    async def cancel(self, call: Call) -> Reply:
        """CancelPostScanJob."""
        return canceled(self._mine(call, canceling=True), self._engine, DSP_NAME)

    async def get_elements(self, call: Call) -> Reply:
        """GetPostScanJobElements: of a job of the caller's that is running or over."""
        job = find_job(call, self._engine, DSP_NAME)
        self._guard(call, job)
        return job_elements(call, job, self._profile, DSP_NAME, self._engine.jobs.other(job))

    # -- events --------------------------------------------------------------------------------------------------

    def changed(self, job: PostScanJob) -> None:
        """PostScanJobStatusEvent."""
        self._notify("PostScanJobStatusEvent", job, status_body(job, "dsp", self._engine.jobs.other(job)))

    def ended(self, job: PostScanJob) -> None:
        """PostScanJobEndStateEvent."""
        self._notify("PostScanJobEndStateEvent", job, end_body(job, "dsp", self._engine.jobs.other(job)))

    def _notify(self, name: str, job: PostScanJob, body: Callable[[Effects], Element]) -> None:
        if self.source is not None:
            self.source.notify(Notice(DSP_NAME, name, body, facts=event_facts(job)))

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
        differing = compare(instructions, kept.instructions, extensions=self._profile.extensions)
        if differing:
            raise service_fault(
                DSP_NAME, "InvalidArgs", f"Not as in the directory: {differing[0].text} (at {differing[0].path})",
                differing[0].path,
            )  # fmt: skip
        return kept.display_name

    def _mine(self, call: Call, *, canceling: bool = False) -> PostScanJob:
        """The job under way that a request is about, if it is the caller's.

        Args:
            canceling: the request is another cancel, which does no harm to a job that is being cancelled.
        """
        job = find_job(call, self._engine, DSP_NAME)
        self._guard(call, job)
        if canceling and job.over:
            raise not_found(job.token, DSP_NAME)
        if job.over or (job.canceling and not canceling):
            raise self._gone(job)
        return job

    def _guard(self, call: Call, job: PostScanJob) -> None:
        """A job is its creator's alone (P53)."""
        if job.owner != self._owner(call):
            # No fault is named for it; MS-BDSRR 3 lets authorization be told by HTTP status or fault.
            fault = service_fault(DSP_NAME, "OperationFailed", "The job belongs to another user")
            fault.status = 403
            raise fault

    @staticmethod
    def _gone(job: PostScanJob) -> SoapFault:
        """Why an image or an end comes too late: cancelled (by whomever), or ended otherwise."""
        if job.canceling or job.state == "Canceled":
            return service_fault(DSP_NAME, "ServerErrorPostScanJobCanceled", "The job was cancelled")
        return not_found(job.token, DSP_NAME)


def _write(content: Content, path: Path) -> str:
    """Write content to a file; gives its SHA-256."""
    digest = hashlib.sha256() if content.sha256 is None else None
    with open(path, "xb") as file:
        for piece in content.pieces():
            file.write(piece)
            if digest is not None:
                digest.update(piece)
    return content.sha256 or (digest.hexdigest() if digest is not None else "")
