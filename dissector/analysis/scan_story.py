"""The story of a scan job: what WS-Scan and WS-DSD tell of it beyond what every job has, and how its end is
inferred where no JobEndStateEvent tells it (most clients pull scans without a subscription)."""

from __future__ import annotations

from dissector.analysis.resting import Resting
from dissector.analysis.story import Call, Report, Story
from dissector.analysis.words import MULTI_PAGE, is_end_state
from dissector.messages import Message

__all__ = ["FLAT", "NO_MORE", "ScanStory"]

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
        announced: frames of the ScanAvailableEvents; ``context`` their ClientContext.
        destination: DestinationToken of CreateScanJob, None without one; the same for ``identifier``.
        format, source, transfer: of the ticket, or what the device made of it.
        reused: frame where the job number was given before, 0 where it was not.
        fetched: number of images so far.
        strangers: RetrieveImage requests with the token of another job.
        again: frames of further CreateScanJob requests with the same ScanIdentifier.
    """

    __slots__ = ("client", "host", "port")

    def __init__(self, message: Message, resting: Resting, host: str, port: int = 0) -> None:
        super().__init__("scan", message, resting)
        self.host = host
        self.port = port
        self.client = ""
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
        self.strangers: list[Call] = []
        self.fetched = 0

    @property
    def images(self) -> list[Call]:
        """The RetrieveImage requests that were answered with an image."""
        return [call for call in self.called("RetrieveImage") if call.image is not None]

    @property
    def over(self) -> bool:
        """An end was told, or the last page was fetched."""
        return bool(self._ends())

    def open_at(self, frame: int) -> bool:
        """It had begun by that frame, and was not over: of what waited behind a gap more is known when it is read."""
        return self.job.first_frame <= frame and not any(end.frame < frame for end in self._ends())

    def _ends(self) -> list[Call | Report]:
        last = self.last_page()
        told = [report for report in self.reports if is_end_state(report.state)]
        return [*self.finals, *told, *([last] if last is not None else [])]

    @property
    def multi_page(self) -> bool:
        """One file holds all pages."""
        return (self.format or "").lower().startswith(MULTI_PAGE)

    def last_page(self) -> Call | None:
        """The request that shows that every image was fetched, None where that is not known: the fault that says
        so after at least one image, the last of ImagesToTransfer, the one image of a flatbed or file of all pages.
        """
        fetched = [call for call in self.images if _whole(call)]
        if not fetched:
            return None
        for call in self.called("RetrieveImage"):
            if call.fault in NO_MORE:
                return call
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
            self.client = self.client or other.client
            self.port = self.port or other.port


def _whole(call: Call) -> bool:
    """The image came to its end, whether or not the capture holds all of it."""
    image = call.image
    return image is not None and (image.complete or image.missing > 0)
