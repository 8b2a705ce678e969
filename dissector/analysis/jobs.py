"""Post-scan jobs: one for each JobToken, followed across connections and across WS-DSP and WS-DSC.

The DSM device calls the scan server (CreatePostScanJob, SendImage, EndPostScanJob); the server's events run the
other way on other connections, and so may be seen before the answer that first names the job. A story that began
with an event and the story that began with CreatePostScanJob become one as soon as that answer comes. The control
point sees the same jobs through WS-DSC, by the same token (notes-dsm 4).
"""

from __future__ import annotations

import re

from dissector.analysis.exchanges import Turn
from dissector.analysis.following import Answer, Following
from dissector.analysis.model import FilterResult
from dissector.analysis.postscan_rules import judge
from dissector.analysis.postscan_story import PostScanStory
from dissector.analysis.reading import (
    frame_of,
    normal_token,
    number_of,
    operation_of,
    seek,
    text_of,
    texts_of,
    truth_of,
)
from dissector.analysis.reports import end_report, status_report
from dissector.analysis.story import Call, Report, refusal
from dissector.analysis.subscriptions import Subscriptions
from dissector.analysis.words import count, filter_name, join, size_text, state_text
from dissector.catalog.field import Field
from dissector.messages import Message

__all__ = ["PostScanJobs"]

SAME_TOKEN = 8
"""Stories remembered under one token, the newest ones (more than one only where a server breaks dsp.yaml P37)."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACTIONS = ("SendImage", "EndPostScanJob", "CancelPostScanJob", "GetPostScanJobElements")
_TARGETS = ("ShareUNC", "EmailAddress", "SaveToSharePointSiteURL")
_FLAGS = {"SendToScanUser": "the scanning user", "SaveToMySite": "the user's own site"}


class PostScanJobs(Following[PostScanStory]):
    """Follows the post-scan jobs."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        super().__init__(subscriptions)
        self._tokens: dict[str, list[PostScanStory]] = {}
        self._requests = {
            "CreatePostScanJob": self._create,
            "SendImage": self._send,
            "EndPostScanJob": self._simple,
            "CancelPostScanJob": self._simple,
            "GetPostScanJobElements": self._elements,
        }
        self._events = {
            "PostScanJobStatusEvent": self._status_event,
            "PostScanJobEndStateEvent": self._end_event,
        }

    def _judge(self, story: PostScanStory, last_time: int) -> None:
        judge(story, self._subscriptions, last_time)

    def _forget_places(self) -> None:
        self._tokens.clear()

    # -- which job ------------------------------------------------------------------------------------------------

    def _new(self, message: Message) -> PostScanStory:
        story = PostScanStory(message, self._resting)
        self._stories.append(story)
        return story

    def _find(self, token: str, server: str) -> PostScanStory | None:
        """The newest story of that token: at that server, or, for a GUID (which is unique everywhere), at any."""
        stories = self._tokens.get(token, [])
        for story in reversed(stories):
            if not story.hosts or server in story.hosts:
                return story
        return stories[-1] if stories and _GUID.fullmatch(token) else None

    def _register(self, story: PostScanStory, token: str, sent: str) -> None:
        story.token, story.job.id = token, sent
        stories = self._tokens.setdefault(token, [])
        stories.append(story)
        del stories[:-SAME_TOKEN]

    def _of(self, message: Message, sent: str | None, server: str) -> PostScanStory | None:
        """The story of a token, a new one where it is not known yet; None without a token."""
        token = normal_token(sent)
        if not token or sent is None:
            return None
        story = self._find(token, server)
        if story is None:
            story = self._new(message)
            self._register(story, token, sent)
        story.hosts.add(server)
        return story

    # -- requests -----------------------------------------------------------------------------------------------

    def _parties(self, story: PostScanStory, message: Message) -> None:
        """Who is who, from a request: the device calls WS-DSP; the control point, which is not of the job, WS-DSC."""
        job = story.job
        if message.service != "WS-DSC":
            job.device = message.source.address
        job.server = str(message.destination)
        story.hosts.add(message.destination.address)

    def _create(self, message: Message) -> None:
        story = self._new(message)
        job, body = story.job, message.body
        story.create = story.call(message, "CreatePostScanJob")
        self._parties(story, message)
        job.user_sid = text_of(body, "UserIdentifier")
        job.process = story.asked_process = text_of(body, "PSP_Identifier")
        instructions = body.find("PostScanInstructions") if body is not None else None
        self._instructions(story, instructions)
        if not message.complete:
            # Of how many filters is not known.
            story.dialects = None
        said = [f"user {job.user_sid}" if job.user_sid else "", f"process {job.process}" if job.process else ""]
        if story.dialects:
            said.append("filters " + join([filter_name(dialect) for dialect in story.dialects]))
        story.step(message, ", ".join(part for part in said if part))
        self._ask(message, story, "CreatePostScanJob")

    def _instructions(self, story: PostScanStory, instructions: Field | None) -> None:
        if instructions is None:
            return
        job = story.job
        job.document_name = text_of(instructions, "DocumentRootName")
        story.continue_on_error = truth_of(instructions, "ContinueOnError")
        story.dialects = []
        for each in instructions.find_all("FiltersToProcess/Filter")[:100]:
            dialect = text_of(each, "Dialect") or ""
            story.dialects.append(dialect)
            targets = [text_of(field) or "" for field in _below(each, _TARGETS)]
            targets += [words for name, words in _FLAGS.items() if truth_of(seek(each, name))]
            job.instructions.append(filter_name(dialect) + (f": {', '.join(targets)}" if targets else ""))

    def _send(self, message: Message) -> None:
        story = self._of(message, _token(message.body), message.destination.address)
        if story is None:
            return
        self._parties(story, message)
        call = story.call(message, "SendImage")
        document = number_of(message.body, "DocumentDescription/DocumentId")
        given = text_of(message.body, "DocumentDescription/DocumentId")
        identity = document if document is not None else given
        image = story.image(message, identity, text_of(message.body, "DocumentDescription/Format"))
        call.image = image
        number = identity if identity is not None else len(story.called("SendImage"))
        kind = image.format or image.real_type or "unknown format"
        text = f"image {number} ({kind}, {size_text(image.size)})" + ("" if image.complete else ", incomplete")
        story.step(message, text)
        self._ask(message, story, call.operation)

    def _simple(self, message: Message) -> None:
        """EndPostScanJob and CancelPostScanJob."""
        story = self._of(message, _token(message.body), message.destination.address)
        if story is None:
            return
        self._parties(story, message)
        sends = len(story.called("SendImage"))
        operation = operation_of(message)
        text = f"after {count(sends, 'image')}" if operation == "EndPostScanJob" else ""
        if message.service == "WS-DSC":
            text = "by the control point"
        story.call(message, operation)
        story.step(message, text)
        self._ask(message, story, operation)

    def _elements(self, message: Message) -> None:
        story = self._of(message, _token(message.body), message.destination.address)
        if story is None:
            return
        if message.service != "WS-DSC":
            self._parties(story, message)
        elif not story.job.server:
            story.job.server = str(message.destination)
        names = [name.rsplit(":", 1)[-1] for name in texts_of(message.body, "RequestedElements/Name")]
        story.step(message, join(names))
        story.call(message, "GetPostScanJobElements")
        self._ask(message, story, "GetPostScanJobElements", tuple(names))

    # -- answers ------------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer[PostScanStory]) -> None:
        message, operation, story, call = answer.message, answer.operation, answer.story, answer.call
        refused = answer.refused
        if operation == "CreatePostScanJob":
            self._created(message, story, call, refused)
            return
        if story is None and refused is not None:
            self._stray_fault(message)
            return
        if story is None:
            if operation == "GetPostScanJobElements":
                story = self._of(message, text_of(seek(message.body, "JobToken")), message.source.address)
            if story is None:
                return
        if call is not None:
            call.answered(message, refused)
            if call.image is not None:
                call.image.accepted = refused is None
        if refused is not None:
            self._refused(message, story, call, operation, refused)
        elif operation == "GetPostScanJobElements":
            self._told(message, story, answer.names)
        else:
            subject = f"image {call.image.document_id} taken" if call is not None and call.image is not None else ""
            story.step(message, subject)

    def _refused(self, message: Message, story: PostScanStory, call: Call | None, operation: str, refused: str) -> None:
        what = operation
        if call is not None and call.image is not None:
            what = f"{operation} of image {call.image.document_id}"
        story.step(message, f"{what} refused: {refused}")
        story.fault(message, operation, subject=what)

    def _stray_fault(self, message: Message) -> None:
        """A fault whose request is not in the capture can still name its job in the Detail (MS-BDSRR, note 12)."""
        detail = message.fault.detail if message.fault is not None else None
        if detail is None or message.service not in ("WS-DSP", "WS-DSC", ""):
            return
        for element in detail.iter():
            if isinstance(element.tag, str) and element.tag.rsplit("}", 1)[-1] == "JobToken":
                story = self._find(normal_token(element.text), message.source.address)
                if story is not None:
                    story.step(message, f"refused: {refusal(message)}")
                    story.fault(message, "a request that is not in the capture")
                return

    def _created(self, message: Message, story: PostScanStory | None, call: Call | None, refused: str | None) -> None:
        if call is not None:
            call.answered(message, refused)
        if refused is not None:
            if story is None:
                story = self._new(message)
                story.job.device, story.job.server = message.destination.address, str(message.source)
            self._refused(message, story, call, "CreatePostScanJob", refused)
            return
        sent = text_of(message.body, "JobToken") or text_of(seek(message.body, "JobToken"))
        token = normal_token(sent)
        if not token or sent is None:
            if story is not None:
                story.step(message, "without a JobToken")
            return
        if story is None:
            story = self._new(message)
            story.job.device, story.job.server = message.destination.address, str(message.source)
            story.hosts.add(message.source.address)
        known = self._find(token, message.source.address)
        if known is not None and known is not story:
            if known.named or known.create is not None:
                story.reused = known.named_frame if message.source.address in known.hosts else 0
            else:
                story.absorb(known)
                self._tokens[token].remove(known)
        story.named, story.named_frame, story.named_time = message.number, frame_of(message), message.time
        self._register(story, token, sent)
        story.step(message, f"job {sent}")

    def _told(self, message: Message, story: PostScanStory, names: tuple[str, ...]) -> None:
        """GetPostScanJobElementsResponse."""
        frame = frame_of(message)
        data = message.body.find_all("JobElements/ElementData") if message.body is not None else []
        said: list[str] = []
        if names and message.body is not None and len(data) != len(names):
            story.differs(frame, f"GetPostScanJobElements asked for {count(len(names), 'element')}, got {len(data)}")
        for element in data:
            status = element.find("JobStatus")
            if status is not None:
                told = normal_token(text_of(status, "JobToken"))
                if told and told != story.token:
                    text = f"GetPostScanJobElements was answered with the status of another job, {told}"
                    story.differs(frame, text)
                    continue
                report = status_report("poll", message, status)
                story.report(report)
                said.append(_said(report))
            description = element.find("JobDescription")
            if description is not None:
                self._description(story, description)
                said.append("description")
            documents = element.find("Documents")
            if documents is not None:
                said.append(count(len(documents.find_all("Document")), "document"))
        story.step(message, "; ".join(said))

    def _description(self, story: PostScanStory, root: Field) -> None:
        job = story.job
        job.process = job.process or text_of(root, "PSP_Identifier")
        job.process_name = text_of(root, "PSP_DisplayName") or job.process_name
        job.user = text_of(root, "JobOriginatingUserName") or job.user

    def _lists(self, message: Message, operation: str) -> None:
        """WS-DSC GetActiveJobsResponse and GetJobHistoryResponse."""
        if message.body is None:
            return
        name = "ActiveJobs" if operation == "GetActiveJobs" else "JobHistory"
        for summary in message.body.find_all(f"{name}/JobSummary"):
            story = self._of(message, text_of(summary, "JobToken"), message.source.address)
            if story is None:
                continue
            if not story.job.server:
                story.job.server = str(message.source)
            self._description(story, summary)
            by = "active" if operation == "GetActiveJobs" else "history"
            report = status_report(by, message, summary)
            story.report(report)
            story.step(message, _said(report))

    # -- events -------------------------------------------------------------------------------------------------

    def _event_story(self, message: Message, root: Field | None) -> PostScanStory | None:
        sent = text_of(root, "JobToken") or text_of(seek(message.body, "JobToken"))
        story = self._of(message, sent, message.source.address)
        if story is None:
            return None
        job = story.job
        if not job.server:
            job.server = message.source.address  # the port of an event's sender says nothing
        if message.service != "WS-DSC" and not job.device:
            job.device = message.destination.address
        return story

    def _status_event(self, message: Message, _: Turn) -> None:
        root = message.body.find("JobStatus") if message.body is not None else None
        story = self._event_story(message, root)
        if story is None:
            return
        report = status_report("event", message, root)
        story.report(report)
        story.step(message, _said(report, images=False))

    def _end_event(self, message: Message, _: Turn) -> None:
        root = message.body.find("PostScanJobEndState") if message.body is not None else None
        story = self._event_story(message, root)
        if story is None:
            return
        final = end_report(message, root)
        story.report(final)
        if root is not None:
            self._description(story, root)
        self._told_end(message, story)
        story.step(message, state_text(final.state, final.reasons, _unhappy(final.filters), final.images))


def _token(body: Field | None) -> str | None:
    return text_of(body, "JobToken") or text_of(seek(body, "JobToken"))


def _below(root: Field, names: tuple[str, ...]) -> list[Field]:
    """Descendants of these names in document order, at most 50."""
    found: list[Field] = []
    stack = [root]
    while stack and len(found) < 50:
        field = stack.pop()
        if field.name in names:
            found.append(field)
        stack.extend(reversed(field.children))
    return found


def _said(report: Report, *, images: bool = True) -> str:
    return state_text(report.state, report.reasons, report.filters, report.images if images else None)


def _unhappy(filters: list[FilterResult]) -> list[FilterResult]:
    return [result for result in filters if result.state != "CompletedSuccessfully"]
