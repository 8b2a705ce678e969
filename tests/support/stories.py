"""Whole conversations, as turns that any back end can carry: real sockets (``pcaps/record.py``) or built packets
(``tests/support/wire.py``). A story says who connects to whom and who says what, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support import images as pictures
from tests.support import wsd
from tests.support.wsd import EMAIL, FILESHARE, SHAREPOINT, FilterSpec, Ids

__all__ = ["STORIES", "PostScan", "Story", "Turn", "post_scan"]

DEVICE = "192.0.2.10"
SERVER = "192.0.2.20"
CONTROL = "192.0.2.30"
CLIENT = "192.0.2.40"


@dataclass
class Turn:
    """``data`` goes over ``channel`` from its client (or, ``back``, its server) after ``pause`` seconds."""

    channel: str
    data: bytes
    back: bool = False
    pause: float = 0.0
    close: bool = False
    """Close the channel after it, by the sender."""


@dataclass
class Channel:
    client: str
    server: str
    port: int
    udp: bool = False


@dataclass
class Expected:
    """What is known of a job, to hold the analysis against."""

    id: str
    completed_state: str | None
    reasons: list[str] = field(default_factory=list)
    filters: list[tuple[str, str, list[str]]] = field(default_factory=list)
    images: list[tuple[int, str, int, str]] = field(default_factory=list)
    """document id, format, size, SHA-256."""


@dataclass
class Story:
    channels: dict[str, Channel] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    jobs: list[Expected] = field(default_factory=list)

    def say(self, channel: str, data: bytes, *, back: bool = False, pause: float = 0.0, close: bool = False) -> None:
        self.turns.append(Turn(channel, data, back, pause, close))

    def ask(
        self,
        channel: str,
        request: bytes,
        response: bytes,
        *,
        pause: float = 0.0,
        think: float = 0.0,
        close: bool = False,
    ) -> None:
        self.say(channel, request, pause=pause)
        self.say(channel, response, back=True, pause=think, close=close)


class PostScan:
    """Writes the turns of post-scan jobs between one device and one scan server."""

    def __init__(self, story: Story, ids: Ids, *, device: str = DEVICE, server: str = SERVER, name: str = "") -> None:
        self.story = story
        self.ids = ids
        self.name = name
        self.host = f"{server}:5362"
        self.path = f"/ScanServer/{ids.uuid()}"
        self.url = f"http://{self.host}{self.path}"
        self.sink_host = f"{device}:5357"
        self.sink_path = f"/sink/{ids.uuid()}"
        self.sink = f"http://{self.sink_host}{self.sink_path}"
        self.sink_id = ids.message()
        self.calls = f"{name}calls"
        self.events = f"{name}events"
        story.channels[self.calls] = Channel(device, server, 5362)
        story.channels[self.events] = Channel(server, device, 5357)
        self.device = device
        self.server = server

    def discover(self) -> None:
        ids = self.ids
        channel = f"{self.name}probe"
        self.story.channels[channel] = Channel(self.device, self.server, 3702, udp=True)
        asked = ids.message()
        self.story.say(channel, wsd.probe(asked, "wsdp:Device"))
        host = ids.message()
        self.story.say(
            channel,
            wsd.probe_matches(ids.message(), asked, host, "wsdp:Device", f"http://{self.host}/ScanServer", 1),
            back=True,
            pause=0.01,
        )
        asked = ids.message()
        hosted = [(self.url, "dsp:ScanProcessingServiceType", "http://example.com/ScanServer/processing")]
        self.story.ask(
            self.calls,
            wsd.request("/ScanServer", self.host, wsd.get(asked, host)),
            wsd.response(
                wsd.get_response(
                    ids.message(),
                    asked,
                    host,
                    "http://example.com/ScanServer",
                    hosted,
                    maker="Example",
                    model="Scan Server",
                    name="SCAN01",
                    namespaces=wsd.ns(dsp=wsd.DSP),
                )
            ),
        )

    def subscribe(self) -> None:
        ids = self.ids
        asked = ids.message()
        actions = [f"{wsd.DSP}/PostScanJobStatusEvent", f"{wsd.DSP}/PostScanJobEndStateEvent"]
        self.manager_id = ids.message()
        self.story.ask(
            self.calls,
            wsd.request(self.path, self.host, wsd.subscribe(asked, self.url, self.sink, actions, self.sink_id)),
            wsd.response(wsd.subscribe_response(ids.message(), asked, self.url, self.manager_id)),
        )

    def event(self, body: bytes, pause: float = 0.0) -> None:
        self.story.ask(
            self.events,
            wsd.request(self.sink_path, self.sink_host, body),
            wsd.response(b"", "202 Accepted", server="Example-MFP/1.0"),
            pause=pause,
        )

    def status(
        self,
        token: str,
        state: str,
        filters: list[FilterSpec],
        images: int,
        *,
        reason: str | None = None,
        pause: float = 0.0,
    ) -> None:
        self.event(
            wsd.status_event(
                self.ids.message(),
                self.sink,
                token,
                state,
                filters,
                images,
                reason=reason,
                identifier=wsd.identifier_header(self.sink_id),
            ),
            pause,
        )

    def end(
        self,
        token: str,
        state: str,
        reasons: list[str],
        filters: list[FilterSpec],
        images: int,
        *,
        extra: str = "",
        pause: float = 0.0,
    ) -> None:
        self.event(
            wsd.end_event(
                self.ids.message(),
                self.sink,
                token,
                state,
                reasons,
                filters,
                images,
                identifier=wsd.identifier_header(self.sink_id),
                extra=extra,
            ),
            pause,
        )
        for expected in self.story.jobs:
            if expected.id == token:
                expected.completed_state = state
                expected.reasons = reasons
                expected.filters = [(f.dialect, f.state, f.reasons) for f in filters]

    def create(self, filters: list[FilterSpec], *, before_answer: Callable[[str], None] | None = None) -> str:
        token, asked = self.ids.uuid(), self.ids.message()
        self.story.jobs.append(Expected(token, None))
        self.story.say(
            self.calls, wsd.request(self.path, self.host, wsd.create_post_scan_job(asked, self.url, filters))
        )
        if before_answer is not None:
            before_answer(token)
        self.story.say(
            self.calls, wsd.response(wsd.create_post_scan_job_response(self.ids.message(), asked, token)), back=True
        )
        return token

    def image(
        self,
        token: str,
        document_id: int,
        format: str,
        data: bytes,
        *,
        chunk: int | None = None,
        fault: tuple[str, str, str] | None = None,
        pause: float = 0.0,
        answer: bool = True,
    ) -> None:
        asked, content_id = self.ids.message(), f"{self.ids.uuid()}@device"
        root = wsd.send_image(asked, self.url, token, document_id, format, content_id)
        kind, body = wsd.package(root, data, content_id, f"----=_Part_{self.ids.uuid()}", "application/octet-stream")
        self.story.say(
            self.calls,
            wsd.request(self.path, self.host, body, kind, chunk=chunk, extra="MIME-Version: 1.0\r\n"),
            pause=pause,
        )
        for expected in self.story.jobs:
            if expected.id == token:
                expected.images.append((document_id, format, len(data), hashlib.sha256(data).hexdigest()))
        if not answer:
            return
        if fault:
            code, subcode, reason = fault
            answer_body = wsd.fault(asked, self.ids.message(), code, subcode, wsd.DSP, reason, f"<d>{token}</d>")
            status = "400 Bad Request" if code == "Sender" else "500 Internal Server Error"
            self.story.say(self.calls, wsd.response(answer_body, status), back=True)
        else:
            self.story.say(
                self.calls, wsd.response(wsd.empty_response("SendImage", self.ids.message(), asked)), back=True
            )

    def finish(self, token: str, name: str = "EndPostScanJob", *, pause: float = 0.0) -> None:
        asked = self.ids.message()
        self.story.ask(
            self.calls,
            wsd.request(self.path, self.host, wsd.token_request(name, asked, self.url, token)),
            wsd.response(wsd.empty_response(name, self.ids.message(), asked)),
            pause=pause,
        )


def pending(filters: list[FilterSpec], state: str = "Pending") -> list[FilterSpec]:
    return [FilterSpec(f.dialect, state) for f in filters]


def post_scan(
    seed: int,
    state: str,
    reasons: list[str],
    filters: list[FilterSpec],
    documents: list[tuple[str, bytes]],
    *,
    extra: str = "",
    cancel: bool = False,
    end: bool = True,
    chunk: int | None = None,
) -> Story:
    """One whole job: discovery, subscription, creation, images, end, events."""
    story = Story()
    dsm = PostScan(story, Ids(seed))
    dsm.discover()
    dsm.subscribe()
    token = dsm.create(filters)
    dsm.status(token, "Creating", pending(filters), 0, reason="None")
    for number, (format, data) in enumerate(documents, 1):
        dsm.image(token, number, format, data, pause=0.02, chunk=chunk)
    if end:
        dsm.finish(token, "CancelPostScanJob" if cancel else "EndPostScanJob", pause=0.02)
    count = len(documents)
    if state in ("Completed",) or ":" in state:
        dsm.status(token, "Processing", pending(filters, "Processing"), count, reason="None")
        for number in range(1, len(filters)):
            dsm.status(
                token, "Processing", filters[:number] + pending(filters[number:], "Processing"), count, pause=0.02
            )
    dsm.end(token, state, reasons, filters, count, extra=extra, pause=0.05)
    return story


def _documents() -> list[tuple[str, bytes]]:
    return [
        ("jfif", pictures.jfif(800, 600, 1)),
        ("png", pictures.png(120, 100, 2)),
        ("tiff-single-uncompressed", pictures.tiff(100, 90, 3)),
    ]


def dsm_completed() -> Story:
    filters = [FilterSpec(FILESHARE), FilterSpec(EMAIL)]
    return post_scan(1, "Completed", ["PostScanJobCompletedSuccessfully"], filters, _documents())


def dsm_completed_with_errors() -> Story:
    filters = [FilterSpec(FILESHARE, "CompletedWithErrors", ["FileShareAccessDenied"]), FilterSpec(EMAIL)]
    return post_scan(2, "Completed", ["PostScanJobCompletedWithErrors"], filters, _documents())


def dsm_completed_with_warnings() -> Story:
    filters = [FilterSpec(SHAREPOINT, "CompletedWithWarnings", ["SharepointOutOfDiskSpace"]), FilterSpec(FILESHARE)]
    return post_scan(3, "Completed", ["PostScanJobCompletedWithWarnings"], filters, _documents()[:2], chunk=4096)


def dsm_canceled() -> Story:
    filters = [FilterSpec(FILESHARE, "Canceled"), FilterSpec(EMAIL, "Canceled")]
    return post_scan(4, "Canceled", ["PostScanJobCanceled"], filters, _documents()[:1], cancel=True)


def dsm_aborted() -> Story:
    """The server ends the job while the device still sends; the last image gets a fault."""
    story = Story()
    dsm = PostScan(story, Ids(5))
    dsm.discover()
    dsm.subscribe()
    filters = [FilterSpec(FILESHARE, "Canceled")]
    token = dsm.create(filters)
    dsm.status(token, "Creating", pending(filters), 0)
    dsm.image(token, 9, "jfif", pictures.jfif(640, 480, 4))
    dsm.end(token, "Aborted", ["PostScanJobTimedOut"], filters, 1, pause=0.1)
    dsm.image(
        token,
        10,
        "jfif",
        pictures.jfif(640, 480, 5),
        fault=("Sender", "ClientErrorJobTokenNotFound", "The job token is not known."),
    )
    return story


def dsm_vendor_state() -> Story:
    filters = [FilterSpec(FILESHARE), FilterSpec(EMAIL, "acme:Deferred", ["acme:QuietHours"])]
    extra = '<acme:ArchiveReference xmlns:acme="http://example.com/acme/scan">A-2026-000317</acme:ArchiveReference>'
    return post_scan(6, "acme:Archived", ["acme:ArchivedForReview"], filters, _documents()[:1], extra=extra)


def dsm_wrong_end_state() -> Story:
    """A server that puts a JobState that is no end state into JobCompletedState."""
    filters = [FilterSpec(FILESHARE, "Processing")]
    return post_scan(7, "Processing", ["None"], filters, _documents()[:1])


def dsm_two_jobs() -> Story:
    """Two jobs at once from one device; the first status event overtakes the response that names its job."""
    story = Story()
    ids = Ids(8)
    one = PostScan(story, ids, name="one-")
    two = PostScan(story, ids, name="two-")
    one.discover()
    one.subscribe()
    two.subscribe()
    share, mail = [FilterSpec(FILESHARE)], [FilterSpec(EMAIL, "CompletedWithErrors", ["UnableToSendEmail"])]
    first = one.create(share, before_answer=lambda token: one.status(token, "Creating", pending(share), 0))
    one.image(first, 1, "jfif", pictures.jfif(800, 600, 11))
    second = two.create(mail, before_answer=lambda token: two.status(token, "Creating", pending(mail), 0))
    one.image(first, 2, "jfif", pictures.jfif(800, 600, 12))
    two.image(second, 1, "pdf-a", pictures.pdf(9000, 13), chunk=2048)
    one.finish(first)
    one.status(first, "Processing", pending(share, "Processing"), 2)
    two.finish(second)
    two.status(second, "Processing", pending(mail, "Processing"), 1)
    two.end(second, "Completed", ["PostScanJobCompletedWithErrors"], mail, 1)
    one.end(first, "Completed", ["PostScanJobCompletedSuccessfully"], share, 2)
    return story


def dsm_create_fault() -> Story:
    story = Story()
    ids = Ids(9)
    dsm = PostScan(story, ids)
    dsm.discover()
    asked = ids.message()
    body = wsd.create_post_scan_job(asked, dsm.url, [FilterSpec(FILESHARE)])
    answer = wsd.fault(
        asked, ids.message(), "Sender", "InvalidArgs", wsd.DSP, "An argument is not valid.", "<d>PSP_Identifier</d>"
    )
    story.ask(dsm.calls, wsd.request(dsm.path, dsm.host, body), wsd.response(answer, "400 Bad Request"))
    story.jobs.append(Expected("", None))
    return story


def dsc_management() -> Story:
    """A control point watches a job through WS-DSC: active jobs, status and end events, history by token."""
    story = Story()
    ids = Ids(10)
    dsm = PostScan(story, ids)
    dsm.subscribe()
    story.channels["console"] = Channel(CONTROL, SERVER, 5362)
    story.channels["console-events"] = Channel(SERVER, CONTROL, 5357)
    path = f"/ScanServer/{ids.uuid()}"
    url, host = f"http://{SERVER}:5362{path}", f"{SERVER}:5362"
    sink, sink_id, manager = f"http://{CONTROL}:5357/console", ids.message(), ids.message()
    asked = ids.message()
    actions = [f"{wsd.DSC}/PostScanJobStatusEvent", f"{wsd.DSC}/PostScanJobEndStateEvent"]
    story.ask(
        "console",
        wsd.request(path, host, wsd.subscribe(asked, url, sink, actions, sink_id)),
        wsd.response(wsd.subscribe_response(ids.message(), asked, url, manager)),
    )
    filters = [FilterSpec(FILESHARE)]
    token = dsm.create(filters)

    def tell(body: bytes) -> None:
        story.ask("console-events", wsd.request("/console", f"{CONTROL}:5357", body), wsd.accepted())

    header = wsd.identifier_header(sink_id)
    tell(wsd.status_event(ids.message(), sink, token, "Creating", pending(filters), 0, identifier=header, uri=wsd.DSC))
    asked = ids.message()
    story.ask(
        "console",
        wsd.request(
            path,
            host,
            wsd.envelope(
                f"{wsd.DSC}/GetActiveJobs",
                "<dsc:GetActiveJobsRequest/>",
                message_id=asked,
                to=url,
                reply_to=True,
                namespaces=wsd.ns(dsc=wsd.DSC),
            ),
        ),
        wsd.response(
            wsd.envelope(
                f"{wsd.DSC}/GetActiveJobsResponse",
                "<dsc:GetActiveJobsResponse><dsc:ActiveJobs><dsc:JobSummary><dsc:JobToken>"
                f"{token}</dsc:JobToken><dsc:PSP_Identifier>1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61</dsc:PSP_Identifier>"
                "<dsc:PSP_DisplayName>Invoices to archive</dsc:PSP_DisplayName><dsc:JobOriginatingUserName>anna@example.com"
                "</dsc:JobOriginatingUserName><dsc:JobState>Creating</dsc:JobState>"
                f"{wsd.filter_statuses('FilterStatuses', pending(filters), 'dsc')}<dsc:ImagesReceived>0</dsc:ImagesReceived>"
                "</dsc:JobSummary></dsc:ActiveJobs></dsc:GetActiveJobsResponse>",
                message_id=ids.message(),
                relates_to=asked,
                namespaces=wsd.ns(dsc=wsd.DSC),
            )
        ),
    )
    dsm.image(token, 1, "png", pictures.png(100, 80, 21))
    dsm.finish(token)
    dsm.end(token, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 1)
    tell(
        wsd.end_event(
            ids.message(),
            sink,
            token,
            "Completed",
            ["PostScanJobCompletedSuccessfully"],
            filters,
            1,
            identifier=header,
            uri=wsd.DSC,
        )
    )
    return story


def _scan_subscribe(
    story: Story,
    ids: Ids,
    url: str,
    host: str,
    path: str,
    sink: str,
    actions: list[str],
    channel: str,
    extra: str = "",
    answer: str = "",
) -> str:
    asked, sink_id = ids.message(), ids.message()
    story.ask(
        channel,
        wsd.request(path, host, wsd.subscribe(asked, url, sink, actions, sink_id, extra=extra)),
        wsd.response(wsd.subscribe_response(ids.message(), asked, f"{url}/subscriptions", ids.message(), extra=answer)),
    )
    return sink_id


def _retrieve(
    story: Story,
    ids: Ids,
    url: str,
    host: str,
    path: str,
    job: int,
    token: str,
    data: bytes,
    media: str,
    *,
    chunk: int | None = None,
) -> None:
    asked, content_id = ids.message(), f"{ids.uuid()}@scanner"
    body = wsd.scan_request(
        "RetrieveImage",
        f"<wscn:JobId>{job}</wscn:JobId><wscn:JobToken>{token}</wscn:JobToken><wscn:DocumentDescription>"
        "<wscn:DocumentName>page</wscn:DocumentName></wscn:DocumentDescription>",
        asked,
        url,
    )
    root = wsd.scan_response(
        "RetrieveImage",
        f'<wscn:ScanData><xop:Include xmlns:xop="{wsd.XOP}" href="cid:{content_id}"/></wscn:ScanData>',
        ids.message(),
        asked,
    )
    kind, packed = wsd.package(root, data, content_id, f"wsd-{ids.uuid()}", media)
    story.ask("scan", wsd.request(path, host, body), wsd.response(packed, content_type=kind, chunk=chunk), think=0.02)


def _create_scan_job(story: Story, ids: Ids, url: str, host: str, path: str, job: int, token: str, inner: str) -> None:
    asked = ids.message()
    story.ask(
        "scan",
        wsd.request(path, host, wsd.scan_request("CreateScanJob", inner, asked, url)),
        wsd.response(
            wsd.scan_response(
                "CreateScanJob",
                f"<wscn:JobId>{job}</wscn:JobId><wscn:JobToken>{token}</wscn:JobToken>{wsd.image_information()}"
                f"{wsd.scan_ticket('wscn:T').replace('wscn:T>', 'wscn:DocumentFinalParameters>').replace(JOB_DESCRIPTION, '')}".replace(
                    "<wscn:DocumentParameters>", ""
                ).replace("</wscn:DocumentParameters>", ""),
                ids.message(),
                asked,
            )
        ),
        pause=0.01,
    )


JOB_DESCRIPTION = (
    "<wscn:JobDescription><wscn:JobName>Scan at the desk</wscn:JobName><wscn:JobOriginatingUserName>anna"
    "</wscn:JobOriginatingUserName></wscn:JobDescription>"
)


def scan_pull_events() -> Story:
    """A client pulls two pages from the feeder and gets the job's events; a second job is cancelled."""
    story = Story()
    ids = Ids(20)
    story.channels["scan"] = Channel(CLIENT, DEVICE, 5357)
    story.channels["events"] = Channel(DEVICE, CLIENT, 5358)
    path = "/wsd/scan"
    url, host, sink = f"http://{DEVICE}:5357{path}", f"{DEVICE}:5357", f"http://{CLIENT}:5358/events"
    actions = [f"{wsd.WSCN}/JobStatusEvent", f"{wsd.WSCN}/JobEndStateEvent", f"{wsd.WSCN}/ScannerStatusSummaryEvent"]
    sink_id = _scan_subscribe(story, ids, url, host, path, sink, actions, "scan")
    header = wsd.identifier_header(sink_id)

    def tell(name: str, inner: str) -> None:
        body = wsd.scan_event(name, inner, ids.message(), sink, identifier=header)
        story.ask("events", wsd.request("/events", f"{CLIENT}:5358", body), wsd.accepted())

    token = "token-17"
    _create_scan_job(story, ids, url, host, path, 17, token, wsd.scan_ticket())
    tell("JobStatusEvent", wsd.scan_job_status(17, "Started", "JobScanning", 0))
    tell(
        "ScannerStatusSummaryEvent",
        "<wscn:StatusSummary><wscn:ScannerState>Processing</wscn:ScannerState>"
        "<wscn:ScannerStateReasons><wscn:ScannerStateReason>None</wscn:ScannerStateReason></wscn:ScannerStateReasons>"
        "</wscn:StatusSummary>",
    )
    expected = Expected("17", "Completed", ["None"])
    for page in (1, 2):
        data = pictures.jfif(800, 600, 30 + page)
        _retrieve(story, ids, url, host, path, 17, token, data, "image/jpeg", chunk=3000 if page == 2 else None)
        expected.images.append((page, "jfif", len(data), hashlib.sha256(data).hexdigest()))
    asked = ids.message()
    body = wsd.scan_request(
        "RetrieveImage",
        f"<wscn:JobId>17</wscn:JobId><wscn:JobToken>{token}</wscn:JobToken><wscn:DocumentDescription>"
        "<wscn:DocumentName>page</wscn:DocumentName></wscn:DocumentDescription>",
        asked,
        url,
    )
    nothing = wsd.fault(asked, ids.message(), "Sender", "ClientErrorNoImagesAvailable", wsd.WSCN, "No images available")
    story.ask("scan", wsd.request(path, host, body), wsd.response(nothing, "400 Bad Request"))
    tell("JobEndStateEvent", wsd.scan_job_end(17, "Completed", "None", 2))
    story.jobs.append(expected)

    _create_scan_job(story, ids, url, host, path, 18, "token-18", wsd.scan_ticket(source="Platen", images=1))
    tell("JobStatusEvent", wsd.scan_job_status(18, "Started", "JobScanning", 0))
    asked = ids.message()
    story.ask(
        "scan",
        wsd.request(path, host, wsd.scan_request("CancelJob", "<wscn:JobId>18</wscn:JobId>", asked, url)),
        wsd.response(wsd.scan_response("CancelJob", "", ids.message(), asked)),
    )
    tell("JobEndStateEvent", wsd.scan_job_end(18, "Canceled", "JobCanceledAtDevice", 0))
    story.jobs.append(Expected("18", "Canceled", ["JobCanceledAtDevice"]))
    return story


def scan_push() -> Story:
    """The user presses the button: ScanAvailableEvent, then the client fetches the page."""
    story = Story()
    ids = Ids(21)
    story.channels["scan"] = Channel(CLIENT, DEVICE, 5357)
    story.channels["events"] = Channel(DEVICE, CLIENT, 5358)
    path = "/wsd/scan"
    url, host, sink = f"http://{DEVICE}:5357{path}", f"{DEVICE}:5357", f"http://{CLIENT}:5358/events"
    destination = ids.uuid()
    extra = (
        f'<wscn:ScanDestinations xmlns:wscn="{wsd.WSCN}"><wscn:ScanDestination><wscn:ClientDisplayName>Desk 12'
        "</wscn:ClientDisplayName><wscn:ClientContext>Scan</wscn:ClientContext></wscn:ScanDestination>"
        "</wscn:ScanDestinations>"
    )
    answer = (
        f'<wscn:DestinationResponses xmlns:wscn="{wsd.WSCN}"><wscn:DestinationResponse><wscn:ClientContext>Scan'
        f"</wscn:ClientContext><wscn:DestinationToken>{destination}</wscn:DestinationToken></wscn:DestinationResponse>"
        "</wscn:DestinationResponses>"
    )
    actions = [f"{wsd.WSCN}/ScanAvailableEvent", f"{wsd.WSCN}/JobEndStateEvent"]
    sink_id = _scan_subscribe(story, ids, url, host, path, sink, actions, "scan", extra, answer)
    header = wsd.identifier_header(sink_id)
    identifier = ids.uuid()

    def tell(name: str, inner: str) -> None:
        body = wsd.scan_event(name, inner, ids.message(), sink, identifier=header)
        story.ask("events", wsd.request("/events", f"{CLIENT}:5358", body), wsd.accepted(), pause=0.02)

    tell(
        "ScanAvailableEvent",
        f"<wscn:ClientContext>Scan</wscn:ClientContext><wscn:ScanIdentifier>{identifier}</wscn:ScanIdentifier>",
    )
    _create_scan_job(
        story,
        ids,
        url,
        host,
        path,
        5,
        "token-5",
        f"<wscn:ScanIdentifier>{identifier}</wscn:ScanIdentifier><wscn:DestinationToken>{destination}"
        f"</wscn:DestinationToken>{wsd.scan_ticket(source='Platen', images=1)}",
    )
    data = pictures.jfif(1000, 800, 41)
    _retrieve(story, ids, url, host, path, 5, "token-5", data, "image/jpeg")
    tell("JobEndStateEvent", wsd.scan_job_end(5, "Completed", "None", 1))
    story.jobs.append(
        Expected("5", "Completed", ["None"], [], [(1, "jfif", len(data), hashlib.sha256(data).hexdigest())])
    )
    return story


def dsd_events() -> Story:
    """WS-DSD: a control point watches a DSM device."""
    story = Story()
    ids = Ids(22)
    story.channels["console"] = Channel(CONTROL, DEVICE, 5357)
    story.channels["events"] = Channel(DEVICE, CONTROL, 5358)
    path = "/dsm"
    url, host, sink = f"http://{DEVICE}:5357{path}", f"{DEVICE}:5357", f"http://{CONTROL}:5358/events"
    actions = [
        f"{wsd.WSCN}/{name}"
        for name in (
            "JobStatusEvent",
            "JobEndStateEvent",
            "ScannerStatusConditionEvent",
            "ScannerStatusConditionClearedEvent",
        )
    ]
    sink_id = _scan_subscribe(story, ids, url, host, path, sink, actions, "console")
    header = wsd.identifier_header(sink_id)

    def tell(name: str, inner: str) -> None:
        body = wsd.scan_event(name, inner, ids.message(), sink, identifier=header, uri=wsd.DSD)
        story.ask("events", wsd.request("/events", f"{CONTROL}:5358", body), wsd.accepted(), pause=0.01)

    asked = ids.message()
    story.ask(
        "console",
        wsd.request(
            path,
            host,
            wsd.envelope(
                f"{wsd.DSD}/GetActiveJobs",
                "<dsd:GetActiveJobsRequest/>",
                message_id=asked,
                to=url,
                reply_to=True,
                namespaces=wsd.ns(dsd=wsd.DSD),
            ),
        ),
        wsd.response(
            wsd.envelope(
                f"{wsd.DSD}/GetActiveJobsResponse",
                "<dsd:GetActiveJobsResponse><dsd:ActiveJobs/></dsd:GetActiveJobsResponse>",
                message_id=ids.message(),
                relates_to=asked,
                namespaces=wsd.ns(dsd=wsd.DSD),
            )
        ),
    )
    tell("JobStatusEvent", wsd.scan_job_status(253, "Started", "JobScanning", 0, "e:JobStatus"))
    tell(
        "ScannerStatusConditionEvent",
        '<e:DeviceCondition Id="12"><wscn:Time>2026-03-02T09:15:06Z</wscn:Time><wscn:Name>CoverOpen</wscn:Name>'
        "<wscn:Component>ADF</wscn:Component><wscn:Severity>Critical</wscn:Severity></e:DeviceCondition>",
    )
    tell(
        "ScannerStatusConditionClearedEvent",
        "<e:DeviceConditionCleared><wscn:ConditionId>12</wscn:ConditionId><wscn:ConditionClearTime>"
        "2026-03-02T09:15:21Z</wscn:ConditionClearTime></e:DeviceConditionCleared>",
    )
    tell("JobEndStateEvent", wsd.scan_job_end(253, "Completed", "JobCompletedWithWarnings", 7, "e:JobEndState"))
    story.jobs.append(Expected("253", "Completed", ["JobCompletedWithWarnings"]))
    return story


STORIES: dict[str, Callable[[], Story]] = {
    "dsm-completed": dsm_completed,
    "dsm-completed-with-errors": dsm_completed_with_errors,
    "dsm-completed-with-warnings": dsm_completed_with_warnings,
    "dsm-canceled": dsm_canceled,
    "dsm-aborted": dsm_aborted,
    "dsm-vendor-state": dsm_vendor_state,
    "dsm-wrong-end-state": dsm_wrong_end_state,
    "dsm-two-jobs": dsm_two_jobs,
    "dsm-create-fault": dsm_create_fault,
    "dsc-management": dsc_management,
    "scan-pull-events": scan_pull_events,
    "scan-push": scan_push,
    "dsd-events": dsd_events,
}
"""Each sample capture's story, by the capture's name."""
