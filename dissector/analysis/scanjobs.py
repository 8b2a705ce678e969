"""Scan jobs of WS-Scan and WS-DSD: one for each JobId of a device, until the device gives the number again.

A JobId is a small number that means something within one device only, and a restarted device begins anew: so each
CreateScanJobResponse begins a new job. A push scan begins earlier, with ScanAvailableEvent; its ScanIdentifier
comes back in CreateScanJob. Requests tell the scanner's port, events do not (they come from any port): an event is
placed by its subscription where that is known, else by address and job number.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from dissector.analysis.exchanges import Turn
from dissector.analysis.following import Answer, Following
from dissector.analysis.reading import frame_of, number_of, operation_of, seek, text_of, texts_of
from dissector.analysis.reports import scan_final, scan_report
from dissector.analysis.scan_rules import judge
from dissector.analysis.scan_story import NO_MORE, ScanStory
from dissector.analysis.story import Call, Report
from dissector.analysis.subscriptions import Subscriptions
from dissector.analysis.words import count, join, size_text, state_text
from dissector.catalog.field import Field
from dissector.messages import Message

__all__ = ["ScanJobs"]

SAME_NUMBER = 16
"""Stories remembered under one address and job number, the newest ones."""

SAME_SCAN = 64
"""Stories remembered under one ScanIdentifier, the newest ones: one for each destination that it was announced for."""

LOOKED_AT = 1000
"""Jobs that an image without a request may be of, the newest ones."""

ANNOUNCED = 100_000
"""Scans that were announced and not begun."""

RESTART = 2 * 10**9
"""Nanoseconds after a job's end from which an early state under its number means another job."""

_EARLY = ("Creating", "Pending", "Started")


class ScanJobs(Following[ScanStory]):
    """Follows the scan jobs."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        super().__init__(subscriptions)
        self._numbers: dict[tuple[str, str], list[ScanStory]] = {}
        self._announced: OrderedDict[str, list[ScanStory]] = OrderedDict()
        self._requests = {
            "CreateScanJob": self._create,
            "RetrieveImage": self._simple,
            "CancelJob": self._simple,
            "GetJobElements": self._simple,
        }
        self._events = {
            "ScanAvailableEvent": self._available,
            "JobStatusEvent": self._status_event,
            "JobEndStateEvent": self._end_event,
        }

    def _judge(self, story: ScanStory, last_time: int) -> None:
        judge(story, self._subscriptions, last_time)

    def _forget_places(self) -> None:
        self._numbers.clear()
        self._announced.clear()

    # -- which job ------------------------------------------------------------------------------------------------

    def _new(self, message: Message, host: str, port: int = 0) -> ScanStory:
        story = ScanStory(message, self._resting, host, port)
        self._stories.append(story)
        return story

    def _register(self, story: ScanStory, number: str) -> None:
        story.job.id = number
        stories = self._numbers.setdefault((story.host, number), [])
        stories.append(story)
        del stories[:-SAME_NUMBER]

    def _find(self, host: str, port: int, number: str, client: str = "") -> ScanStory | None:
        """The newest story of that number: on that port; where the port is not known (an event), one that has no
        end event yet, of that client where several services of the host have such a job."""
        stories = self._numbers.get((host, number), [])
        if port:
            fitting = [s for s in stories if s.port in (0, port)]
            return fitting[-1] if fitting else None
        fitting = [s for s in stories if not s.told_end] or stories
        if len({s.port for s in fitting}) > 1:
            fitting = [s for s in fitting if s.client == client] or fitting
        return fitting[-1] if fitting else None

    def _of_request(self, message: Message) -> ScanStory | None:
        number = text_of(message.body, "JobId") or text_of(seek(message.body, "JobId"))
        if number is None:
            return None
        server = message.destination
        story = self._find(server.address, server.port, number)
        if story is None:
            story = self._new(message, server.address, server.port)
            self._register(story, number)
        self._parties(story, message)
        return story

    def _parties(self, story: ScanStory, message: Message) -> None:
        story.port = message.destination.port
        story.job.device = str(message.destination)
        if message.service != "WS-DSD" and operation_of(message) != "GetJobElements":
            story.client = message.source.address
            story.job.server = message.source.address

    # -- requests -----------------------------------------------------------------------------------------------

    def _create(self, message: Message) -> None:
        body, server = message.body, message.destination
        identifier = text_of(body, "ScanIdentifier")
        story = self._announced_by(identifier, server.address) if identifier is not None else None
        if story is not None and story.create is not None:
            story.asked_again(frame_of(message))
            if story.named:
                story = None
        if story is None:
            story = self._new(message, server.address, server.port)
            story.job.push = identifier is not None
            story.job.scan_identifier = identifier
        story.identifier = identifier
        story.destination = text_of(body, "DestinationToken")
        self._rehost(story, server.address)
        self._parties(story, message)
        call = story.call(message, "CreateScanJob")
        story.create = story.create or call
        ticket = body.find("ScanTicket") if body is not None else None
        self._ticket(story, ticket)
        said = list(story.job.instructions)
        if identifier is not None:
            said.insert(0, f"for scan {identifier}")
        story.step(message, ", ".join(said))
        self._ask(message, story, "CreateScanJob")

    def _announced_by(self, identifier: str, host: str) -> ScanStory | None:
        stories = self._announced.get(identifier, [])
        return next((s for s in reversed(stories) if s.host == host), stories[-1] if len(stories) == 1 else None)

    def _rehost(self, story: ScanStory, host: str) -> None:
        """The scanner is reached at another of its addresses than the one it announced the scan from."""
        if not story.job.id:
            story.host = host

    def _ticket(self, story: ScanStory, ticket: Field | None) -> None:
        if ticket is None:
            return
        job = story.job
        job.document_name = text_of(ticket, "JobDescription/JobName") or job.document_name
        job.user = text_of(ticket, "JobDescription/JobOriginatingUserName") or job.user
        self._parameters(story, ticket.find("DocumentParameters"))
        job.instructions = _ticket_words(ticket.find("DocumentParameters"))

    def _parameters(self, story: ScanStory, parameters: Field | None) -> None:
        if parameters is None:
            return
        story.format = text_of(parameters, "Format") or story.format
        story.source = text_of(parameters, "InputSource") or story.source
        transfer = number_of(parameters, "ImagesToTransfer")
        story.transfer = transfer if transfer is not None else story.transfer

    def _simple(self, message: Message) -> None:
        """RetrieveImage, CancelJob and GetJobElements."""
        operation = operation_of(message)
        story = self._of_request(message)
        if story is None:
            if operation == "RetrieveImage":
                self._ask(message, None, operation)
            return
        call = story.call(message, operation)
        text = ""
        if operation == "RetrieveImage":
            text = f"image {story.fetched + 1}"
            token = text_of(message.body, "JobToken")
            if token is not None and story.token is not None and token != story.token:
                text += f", with the token {token} of another job"
                story.strange(call)
        elif operation == "GetJobElements":
            text = join([name.rsplit(":", 1)[-1] for name in texts_of(message.body, "RequestedElements/Name")])
        story.step(message, text)
        self._ask(message, story, operation)

    # -- answers ------------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer[ScanStory]) -> None:
        message, operation, story, call = answer.message, answer.operation, answer.story, answer.call
        refused = answer.refused
        if operation == "CreateScanJob":
            self._created(message, story, call, refused)
        elif operation == "RetrieveImage":
            self._retrieved(message, story, call, refused)
        elif story is not None and call is not None:
            call.answered(message, refused)
            if refused is not None:
                story.step(message, f"{operation} refused: {refused}")
                story.fault(message, operation)
            elif operation == "GetJobElements":
                self._told(message, story)
            else:
                story.step(message)

    def _created(self, message: Message, story: ScanStory | None, call: Call | None, refused: str | None) -> None:
        if story is None:
            story = self._new(message, message.source.address, message.source.port)
            story.job.device, story.job.server = str(message.source), message.destination.address
            story.client = message.destination.address
        if call is not None:
            call.answered(message, refused)
        if refused is not None:
            story.step(message, f"CreateScanJob refused: {refused}")
            story.fault(message, "CreateScanJob")
            return
        number = text_of(message.body, "JobId") or text_of(seek(message.body, "JobId"))
        if number is None:
            story.step(message, "without a JobId")
            return
        known = self._find(story.host, story.port, number)
        if known is not None and known is not story:
            # What waited behind a gap is read late: its events came after this was sent. Else they may have overtaken
            # the answer, or the request is lost.
            behind = known.job.first_frame > (call.frame if call is not None else frame_of(message)) > 0
            overtook = not known.finals and (call is None or known.first > call.number)
            if known.create is None and not known.named and (behind or overtook):
                story.absorb(known)
                self._numbers[(story.host, number)].remove(known)
            else:
                story.reused = known.named_frame or known.job.first_frame
        story.named, story.named_frame, story.named_time = message.number, frame_of(message), message.time
        story.token = text_of(message.body, "JobToken")
        self._parameters(story, message.body.find("DocumentFinalParameters") if message.body is not None else None)
        self._register(story, number)
        story.step(message, f"job {number}")

    def _retrieved(self, message: Message, story: ScanStory | None, call: Call | None, refused: str | None) -> None:
        if story is None or call is None:
            story = self._by_parties(message)
            if story is None or refused is not None:
                return
            call = story.call(message, "RetrieveImage")
        call.answered(message, refused)
        if refused is not None:
            normal = refused in NO_MORE and story.fetched > 0
            story.step(message, "no more images" if normal else f"RetrieveImage refused: {refused}")
            story.fault(message, "RetrieveImage", normal=normal)
            story.retrieved(call)
            return
        story.fetched += 1
        number = story.fetched
        image = story.image(message, number, story.format)
        image.accepted = True
        call.image = image
        story.retrieved(call)
        kind = image.format or image.real_type or "unknown format"
        text = f"image {number} ({kind}, {size_text(image.size)})" + ("" if image.complete else ", incomplete")
        story.step(message, text)

    def _by_parties(self, message: Message) -> ScanStory | None:
        """The only open job between scanner and client, for an image whose request is not in the capture."""
        begun = message.frames[0] if message.frames else 0
        fitting = (
            story
            for story in self._stories[-LOOKED_AT:]
            if story.into is None
            and story.host == message.source.address
            and story.port in (0, message.source.port)
            and story.client in ("", message.destination.address)
            and story.open_at(begun)
        )
        found = list(islice(fitting, 2))
        return found[0] if len(found) == 1 else None

    def _told(self, message: Message, story: ScanStory) -> None:
        """GetJobElementsResponse."""
        said: list[str] = []
        for element in message.body.find_all("JobElements/ElementData") if message.body is not None else []:
            status = element.find("JobStatus")
            if status is not None:
                report = scan_report("poll", message, status)
                story.report(report)
                said.append(_said(report))
            self._ticket(story, element.find("ScanTicket"))
            documents = element.find("Documents")
            if documents is not None:
                said.append(count(len(documents.find_all("Document")), "document"))
        story.step(message, "; ".join(said))

    def _lists(self, message: Message, operation: str) -> None:
        """GetActiveJobsResponse and GetJobHistoryResponse of WS-Scan and WS-DSD."""
        if message.body is None:
            return
        name, by = ("ActiveJobs", "active") if operation == "GetActiveJobs" else ("JobHistory", "history")
        device = message.source
        for summary in message.body.find_all(f"{name}/JobSummary"):
            number = text_of(summary, "JobId")
            if number is None:
                continue
            story = self._find(device.address, device.port, number)
            if story is None:
                story = self._new(message, device.address, device.port)
                self._register(story, number)
                story.job.device = str(device)
            self._description(story, summary)
            report = scan_report(by, message, summary)
            story.report(report)
            story.step(message, _said(report))

    def _description(self, story: ScanStory, root: Field | None) -> None:
        job = story.job
        job.document_name = job.document_name or text_of(root, "JobName")
        job.user = text_of(root, "JobOriginatingUserName") or job.user

    # -- events -------------------------------------------------------------------------------------------------

    def _sender(self, message: Message, turn: Turn) -> tuple[str, int]:
        """The scanner that an event is from: the one its subscription was made with, else the sender's address."""
        number = turn.notification.subscription if turn.notification is not None else None
        watch = self._subscriptions.watch(number) if number is not None else None
        if watch is not None and watch.server is not None:
            return watch.server.address, watch.server.port
        return message.source.address, 0

    def _available(self, message: Message, turn: Turn) -> None:
        identifier = text_of(message.body, "ScanIdentifier") or text_of(seek(message.body, "ScanIdentifier"))
        context = text_of(message.body, "ClientContext") or ""
        host, _ = self._sender(message, turn)
        stories = self._announced.get(identifier or "", [])
        story = next((s for s in reversed(stories) if s.host == host and s.context == context), None)
        if story is None:
            story = self._new(message, host)
            story.job.push, story.job.scan_identifier, story.context = True, identifier, context
            story.job.device, story.job.server = host, message.destination.address
            if identifier is not None:
                stories = self._announced.setdefault(identifier, [])
                stories.append(story)
                del stories[:-SAME_SCAN]
                if len(self._announced) > ANNOUNCED:
                    self._announced.popitem(last=False)
        story.announce(frame_of(message))
        story.step(message, f"scan {identifier or 'without identifier'}" + (f" for {context}" if context else ""))

    def _event_story(self, message: Message, turn: Turn, root: Field | None) -> ScanStory | None:
        number = text_of(root, "JobId") or text_of(seek(message.body, "JobId"))
        if number is None:
            return None
        host, port = self._sender(message, turn)
        story = self._find(host, port, number, message.destination.address)
        if story is None and port:
            # Subscribed at one of the device's services, the job runs at another one.
            story = self._find(host, 0, number, message.destination.address)
        early = text_of(root, "JobState") in _EARLY
        if story is not None and early and story.over and message.time - story.job.last_time > RESTART:
            story = None  # the device counts anew
        if story is None:
            story = self._new(message, host, 0)
            self._register(story, number)
            story.job.device = host
        return story

    def _status_event(self, message: Message, turn: Turn) -> None:
        root = message.body.find("JobStatus") if message.body is not None else None
        story = self._event_story(message, turn, root)
        if story is None:
            return
        report = scan_report("event", message, root)
        story.report(report)
        story.step(message, _said(report))

    def _end_event(self, message: Message, turn: Turn) -> None:
        root = message.body.find("JobEndState") if message.body is not None else None
        story = self._event_story(message, turn, root)
        if story is None:
            return
        final = scan_final(message, root)
        story.report(final)
        self._description(story, root)
        self._told_end(message, story)
        story.step(message, _said(final))


def _said(report: Report) -> str:
    scans = f", {count(report.images, 'scan')}" if report.images is not None else ""
    return state_text(report.state, report.reasons) + scans


def _ticket_words(parameters: Field | None) -> list[str]:
    """The scan ticket in few words: format, source, resolution, colour, number of images."""
    if parameters is None:
        return []
    front = parameters.find("MediaSides/MediaFront")
    width, height = number_of(front, "Resolution/Width"), number_of(front, "Resolution/Height")
    images = number_of(parameters, "ImagesToTransfer")
    words = [
        text_of(parameters, "Format"),
        text_of(parameters, "InputSource"),
        f"{width}×{height} dpi" if width is not None and height is not None else None,
        text_of(front, "ColorProcessing"),
        "all images" if images == 0 else count(images, "image") if images is not None else None,
    ]
    return [word for word in words if word]
