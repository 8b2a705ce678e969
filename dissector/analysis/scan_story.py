"""The story of a scan job: what WS-Scan and WS-DSD tell of it beyond what every job has, and how its end is
inferred where no JobEndStateEvent tells it (most clients pull scans without a subscription)."""

from __future__ import annotations

from bisect import insort
from operator import attrgetter

from dissector.analysis.resting import Resting
from dissector.analysis.story import KEPT, Call, Final, Report, Story
from dissector.analysis.words import MULTI_PAGE, is_end_state
from dissector.messages import Message

__all__ = ["FLAT", "FRAMES", "NO_MORE", "ScanStory"]

FRAMES = 100
"""Frames kept of what came again and again: a finding names them all."""

FLAT = ("Platen", "Film")
"""Sources that give one image (wsscan.yaml Q09)."""

NO_MORE = ("ClientErrorNoImagesAvailable", "ClientErrorJobIdNotFound")
"""Faults that end a feeder job normally, once there was an image: the specified one, and the one that Ricoh sends
(wsscan.yaml Q08, notes-wsscan 22, 60)."""


class ScanStory(Story):
    """A scan job under way.

    Attributes:
        host, port: of the scanner; port 0 while only its events were seen.
        client: who created the job or pulled its images.
        named: number of the CreateScanJobResponse, 0 where the capture has none; its frame and time.
        token: JobToken of that answer.
        announced: frames of the ScanAvailableEvents, up to :data:`FRAMES`; ``context`` their ClientContext.
        destination: DestinationToken of CreateScanJob, None without one; the same for ``identifier``.
        format, source, transfer: of the ticket, or what the device made of it.
        reused: frame where the job number was given before, 0 where it was not.
        fetched: number of images so far.
        strangers: numbers of the RetrieveImage requests with the token of another job.
        pages: those that were answered with an image that came to its end, in order.
        none_left: the first that was told that there are no more images.
        told_over: the first frame that told an end state, None while none did.
        told_end: an end event came.
        again: frames of further CreateScanJob requests with the same ScanIdentifier, up to :data:`FRAMES`.
    """

    # What is asked of many stories to find one: slots, so that those at rest are not woken for it.
    __slots__ = ("_fetched_by", "client", "context", "host", "port", "told_end", "told_over")

    def __init__(self, message: Message, resting: Resting, host: str, port: int = 0) -> None:
        super().__init__("scan", message, resting)
        self.host = host
        self.port = port
        self.client = ""
        self.told_over: int | None = None
        self.told_end = False
        self._fetched_by: int | None = None
        self.named = 0
        self.named_frame = 0
        self.named_time = 0
        self.token: str | None = None
        self.announced: list[int] = []
        self.context = ""
        self.destination: str | None = None
        self.identifier: str | None = None
        self.format: str | None = None
        self.source: str | None = None
        self.transfer: int | None = None
        self.reused = 0
        self.again: list[int] = []
        self.strangers: set[int] = set()
        self.fetched = 0
        self.pages: list[Call] = []
        self.none_left: Call | None = None

    def rest(self) -> None:
        """See :meth:`Story.rest`."""
        if self.awake:
            self._fetched_by = self._fetched_frame()
        super().rest()

    def report(self, report: Report) -> None:
        """See :meth:`Story.report`."""
        super().report(report)
        self.told_end = self.told_end or isinstance(report, Final)
        if isinstance(report, Final) or is_end_state(report.state):
            self._over_at(report.frame)

    def announce(self, frame: int) -> None:
        """A ScanAvailableEvent came."""
        if len(self.announced) < FRAMES:
            self.announced.append(frame)

    def asked_again(self, frame: int) -> None:
        """A further CreateScanJob with its ScanIdentifier came."""
        if len(self.again) < FRAMES:
            self.again.append(frame)

    def strange(self, call: Call) -> None:
        """A RetrieveImage has the token of another job."""
        if len(self.strangers) < KEPT:
            self.strangers.add(call.number)

    def _over_at(self, frame: int) -> None:
        self.told_over = frame if self.told_over is None else min(self.told_over, frame)

    def retrieved(self, call: Call) -> None:
        """A RetrieveImage was answered."""
        if call.fault is not None:
            if call.fault in NO_MORE and (self.none_left is None or call.number < self.none_left.number):
                self.none_left = call
        elif _whole(call) and len(self.pages) < KEPT:
            insort(self.pages, call, key=_number)

    @property
    def images(self) -> list[Call]:
        """The RetrieveImage requests that were answered with an image."""
        return [call for call in self.called("RetrieveImage") if call.image is not None]

    @property
    def over(self) -> bool:
        """An end was told, or the last page was fetched."""
        return self.told_over is not None or self.last_page() is not None

    def open_at(self, frame: int) -> bool:
        """It had begun by that frame, and was not over: of what waited behind a gap more is known when it is read."""
        if self.begun > frame or (self.told_over is not None and self.told_over < frame):
            return False
        fetched = self._fetched_frame() if self.awake else self._fetched_by
        return fetched is None or fetched >= frame

    def _fetched_frame(self) -> int | None:
        """The frame of the request that showed that every image was fetched."""
        last = self.last_page()
        return last.frame if last is not None else None

    @property
    def multi_page(self) -> bool:
        """One file holds all pages."""
        return (self.format or "").lower().startswith(MULTI_PAGE)

    def last_page(self) -> Call | None:
        """The request that shows that every image was fetched, None where that is not known: the fault that says
        so after at least one image, the last of ImagesToTransfer, the one image of a flatbed or file of all pages.
        """
        fetched = self.pages
        if not fetched:
            return None
        if self.none_left is not None:
            return self.none_left
        if self.source in FLAT or self.multi_page:
            return fetched[0]
        if self.transfer and len(fetched) >= self.transfer:
            return fetched[self.transfer - 1]
        return None

    def absorb(self, other: Story) -> None:
        """See :meth:`Story.absorb`."""
        super().absorb(other)
        if isinstance(other, ScanStory):
            self.fetched += other.fetched
            for call in other.pages:
                self.retrieved(call)
            if other.none_left is not None:
                self.retrieved(other.none_left)
            self.told_end = self.told_end or other.told_end
            if other.told_over is not None:
                self._over_at(other.told_over)
            self.client = self.client or other.client
            self.port = self.port or other.port


_number = attrgetter("number")


def _whole(call: Call) -> bool:
    """The image came to its end, whether or not the capture holds all of it."""
    image = call.image
    return image is not None and (image.complete or image.missing > 0)
