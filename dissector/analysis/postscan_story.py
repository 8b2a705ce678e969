"""The story of a post-scan job: what WS-DSP and WS-DSC tell of it beyond what every job has."""

from __future__ import annotations

from dissector.analysis.resting import Resting
from dissector.analysis.story import KEPT, Story
from dissector.messages import Message

__all__ = ["PostScanStory"]


class PostScanStory(Story):
    """A post-scan job under way.

    Attributes:
        token: as compared, "" while unknown.
        named: number of the CreatePostScanJobResponse, 0 where the capture has none; its frame and time.
        hosts: addresses of the scan server.
        dialects: filters that the instructions name, in order; None where they are not in the capture.
        continue_on_error: psp:ContinueOnError, None where it was not said.
        asked_process: PSP_Identifier of the request.
        reused: frame of the answer that gave the same token before, 0 where none did.
        mismatches: (frame, text) of answers that are about something else than was asked.
    """

    __slots__ = ()

    def __init__(self, message: Message, resting: Resting) -> None:
        super().__init__("post-scan", message, resting)
        self.token = ""
        self.named = 0
        self.named_frame = 0
        self.named_time = 0
        self.hosts: set[str] = set()
        self.dialects: list[str] | None = None
        self.continue_on_error: bool | None = None
        self.asked_process: str | None = None
        self.reused = 0
        self.mismatches: list[tuple[int, str]] = []

    def differs(self, frame: int, text: str) -> None:
        """An answer is about something else than was asked."""
        if len(self.mismatches) < KEPT:
            self.mismatches.append((frame, text))

    def absorb(self, other: Story) -> None:
        """See :meth:`Story.absorb`."""
        super().absorb(other)
        if isinstance(other, PostScanStory):
            self.hosts |= other.hosts
            for frame, text in other.mismatches:
                self.differs(frame, text)
