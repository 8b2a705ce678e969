"""Which request a response answers, as far as framing needs it.

A response is the answer to the oldest request on its connection that has none yet and that began before it. Frames tell
what began before: the transport feeds one direction for a whole batch, then the other, so calls are not in the order of
the wire. A capture can swap packets of the two directions: where neither lacks a message, the oldest may also begin a
few frames behind its answer, which else would be left alone, and all further ones be one too far. Either order of the
directions gives the same pairs: a response that is fed before its request waits here for it, and is told when it comes.
Only the framing of an answer to CONNECT, or of one to HEAD that says no length, needs the request first (any other
answer to HEAD is told by what stands behind its head).
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import ref

from dissector.http.headed import answers_another, answers_head
from dissector.http.model import HttpMessage

__all__ = ["SWAPPED", "Answer", "Pairing", "Request"]

WAIT_BYTES = 16 << 20
"""A response waits for its request until so many bytes of its direction have gone by: two batches."""

SWAPPED = 32
"""Frames by which a response may precede its request in the capture (which can swap packets of the two directions), and
by which its head may be known before that of the request. A bound in frames, so that pairs do not depend on how the
capture is cut into blocks."""


class Request(NamedTuple):
    """What is remembered of a request: stream offset, frame of its first byte (0: not known), method, the frame at
    which its head, and all before it, was whole, the last frame of the head itself, and whether all requests before it
    were read."""

    offset: int
    frame: int
    method: str
    known: int = 0
    sent: int = 0
    whole: bool = False


class Answer:
    """The place of a final response in the order of the connection.

    Attributes:
        offset: of the response in its direction.
        frame: of its first byte.
        heard: the frame at which its head, and all before it, was whole.
        request: the request it answers, None where that is not known (yet).
        lost: responses may have been lost before it: a newer request, fed later, may be the one.
        whole: all responses before it were read.
    """

    __slots__ = ("_message", "frame", "heard", "lost", "offset", "request", "whole")

    def __init__(
        self, offset: int, frame: int, heard: int, request: Request | None, *, lost: bool = False, whole: bool = False
    ) -> None:
        self.offset = offset
        self.frame = frame
        self.heard = heard
        self.request = request
        self.lost = lost
        self.whole = whole
        self._message: ref[HttpMessage] | None = None

    def given(self, message: HttpMessage) -> None:
        """The response was given out."""
        message.behind_loss = self.lost
        if self.request is not None:
            self._tell(message, self.request)
        if self.request is None or self.lost:
            # For as long as somebody has it: connections of nothing but answers would keep thousands of them each.
            self._message = ref(message)

    def fits(self, request: Request) -> bool:
        """Whether a request that is fed later is the one."""
        return request.frame > 0 and _sent_before(request, self.frame, whole=self.whole)

    def found(self, request: Request) -> None:
        """The request turned up; the response is told, where that still matters."""
        before, self.request = self.request, request
        message = self._message() if self._message is not None else None
        if message is not None:
            if before is not None and before.method == "HEAD":
                answers_another(message)
            self._tell(message, request)

    def _tell(self, message: HttpMessage, request: Request) -> None:
        message.answers = request.offset
        if request.method == "HEAD":
            answers_head(message)


class Pairing:
    """The requests of one direction and the answers in the other.

    Args:
        limit: requests remembered, and answers that wait.

    Attributes:
        read: requests were read in that direction (a live client knows its own without reading them).
    """

    __slots__ = ("_answers", "_behind_loss", "_limit", "_requests", "read")

    def __init__(self, limit: int) -> None:
        self.read = False
        self._limit = limit
        # Lists: an empty deque takes 600 bytes, each connection has four, and most never wait for anything.
        self._requests: list[Request] = []
        self._answers: list[Answer] = []
        self._behind_loss: Answer | None = None
        """The last one that had a request and may answer a newer one."""

    def request(self, request: Request) -> None:
        """A request began. The answer that was fed before it is told."""
        behind, self._behind_loss = self._behind_loss, None
        if behind is not None and behind.fits(request) and _newer(request, behind.frame, behind.heard):
            behind.found(request)
            self._behind_loss = behind
            return
        # Requests come in the order of the wire: an answer that began before this one waits in vain.
        while self._answers:
            answer = self._answers.pop(0)
            if answer.fits(request):
                if _known_in_time(request, answer.heard):
                    answer.found(request)
                    self._behind_loss = answer if answer.lost else None
                return
        self._requests.append(request)
        if len(self._requests) > self._limit:
            del self._requests[0]

    def peek(self, frame: int, heard: int, *, lost: bool, whole: bool = False) -> Request | None:
        """The request that a response beginning in ``frame`` answers; it goes on waiting (for the final response)."""
        request = self._choose(frame, heard, lost, whole)
        return request if request is not None and _known_in_time(request, heard) else None

    def response(self, offset: int, frame: int, heard: int, *, lost: bool, whole: bool = False) -> Answer:
        """A final response began.

        Args:
            offset: stream offset of the response.
            frame: of its first byte.
            heard: the frame at which its head, and all before it, was whole.
            lost: responses may have been lost before it. Then it answers the newest request: clients of WSD do not
                send the next request before the answer.
            whole: all responses before it were read.
        """
        request = self._choose(frame, heard, lost, whole)
        known = request is not None and _known_in_time(request, heard)
        answer = Answer(offset, frame, heard, request if known else None, lost=lost, whole=whole)
        if request is not None:
            # Also where it is known too late to be told: it is answered, and the next response answers another one.
            del self._requests[0]
            self._behind_loss = answer if lost and known else None
        else:
            while self._answers and self._answers[0].offset < offset - WAIT_BYTES:
                del self._answers[0]
            self._answers.append(answer)
            if len(self._answers) > self._limit:
                del self._answers[0]
        return answer

    def _choose(self, frame: int, heard: int, lost: bool, whole: bool) -> Request | None:
        waiting = self._requests
        if lost:
            while len(waiting) > 1 and _newer(waiting[1], frame, heard):
                del waiting[0]
        return waiting[0] if waiting and _sent_before(waiting[0], frame, whole=whole) else None


def _newer(request: Request, frame: int, heard: int) -> bool:
    """Whether an answer behind a loss is one to this request and not to an older one. It is not where the head was sent
    later (where a gap before it was given up says nothing of that), or is known later than that of the answer: by then
    the answer may have been told as one to the older."""
    return request.sent <= frame and request.known <= heard


def _sent_before(request: Request, frame: int, *, whole: bool) -> bool:
    """Whether a request was sent before the response that begins in ``frame``; ``whole``: see :class:`Answer`."""
    return request.frame <= frame + (SWAPPED if whole and request.whole else 0)


def _known_in_time(request: Request, heard: int) -> bool:
    """Whether the head of a request is known before its answer is told without it."""
    return request.known <= heard + SWAPPED
