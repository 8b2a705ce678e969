"""Where the body of one message ends, while its bytes go by.

A state machine inside that of the reader, made for each message with a body. States and what ends them::

    LENGTH   in a body of known length               → its last byte → the end, or PEEK where that is in doubt; or a
                                                       start line behind a whole document (see ``overrun``) → the end
    PEEK     where the body ends by one reading      → a start line stands there → the end; else LENGTH, CHUNKS or CLOSE
    CHUNKS   in a chunked body                       → last chunk and trailers, or framing lost → the end; no chunk, and
                                                       a length is told too → PEEK
    CLOSE    in a body that ends with the stream

PEEK holds 16 bytes, LENGTH at most a start line. Which lengths are in doubt says
:class:`~dissector.http.head.BodyPlan` (RFC 9112 6.3). A message whose body turns out not to be there has none: no
coding and no type of it are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum

from dissector.base.findings import rule
from dissector.base.origin import Gap
from dissector.http.chunked import TRAILER_END
from dissector.http.chunked import State as ChunkState
from dissector.http.draft import Draft
from dissector.http.head import BodyPlan
from dissector.http.headed import HEAD_ANSWER
from dissector.http.model import BodyPolicy
from dissector.http.overrun import LONGEST, Overrun, is_document
from dissector.http.start import begins_message

__all__ = ["NOT_CHUNKED", "Framing"]

PEEK = 16
"""Bytes that tell whether a start line begins."""

BODY_CUT = rule("http.body-cut", "error", "the body is not whole")
NO_LAST_CHUNK = rule("http.no-last-chunk", "error", "the chunked body ends without the last chunk", "RFC 9112 8")
NOT_SENT = rule(
    "http.body-not-sent", "note", "the client announced a body, waited for leave and did not send it", "RFC 9110 10.1.1"
)
NOT_CHUNKED = rule(
    "http.not-chunked", "error", "the body is not chunked, as Transfer-Encoding says: it is read by its Content-Length",
    "RFC 9112 6.3",
)  # fmt: skip
LENGTH_EXCEEDS = rule(
    "http.length-exceeds", "error", "the body is shorter than its Content-Length: the next message begins behind it",
    "RFC 9112 6.3",
)  # fmt: skip

_CHUNK_BEGINS = b"0123456789ABCDEFabcdef \t"
"""What a chunk can begin with: its size. Neither XML nor a package of parts nor an image begins so."""


class _State(IntEnum):
    LENGTH = 0
    PEEK = 1
    CHUNKS = 2
    CLOSE = 3


class Framing:
    """The body of a message under way. Nothing is fed any more once it has ended.

    Args:
        draft: the message, which takes the bytes.
        plan: how the end is found; not that of a message without a body.
        policy: what is done with the bytes.
        at: stream offset of the first byte.

    Attributes:
        draft: the message.
        end: stream offset of the end, None while the body goes on.
        back: bytes that were taken and belong to what follows.
        lost: what follows is not known to be the beginning of a message.
        seen: stream offset of the end of the bytes behind the body that tell where it ends; 0 where none do.
    """

    __slots__ = (
        "_at", "_further", "_left", "_overrun", "_peeked", "_plan", "_policy", "_state", "back", "draft", "end", "lost",
        "seen",
    )  # fmt: skip

    def __init__(self, draft: Draft, plan: BodyPlan, policy: BodyPolicy, at: int) -> None:
        self._plan = plan
        self._policy = policy
        self.draft = draft
        self.end: int | None = None
        self.back = b""
        self.lost = False
        self.seen = 0
        self._left = 0
        self._overrun: Overrun | None = None
        self._peeked = b""
        self._at = at
        """PEEK: stream offset at which the body may end, where the bytes looked at begin."""
        self._further = plan.lengths
        """Ends to try."""
        self._state = _State.PEEK
        if not plan.chunked and plan.lengths[0] == 0:
            self._further = plan.lengths[1:]
        elif not plan.doubtful:
            self._begin()

    def _begin(self) -> None:
        """There is a body, or what looks like one."""
        draft, plan = self.draft, self._plan
        draft.open_body(plan, self._policy)
        if plan.chunked:
            self._state = _State.CHUNKS
        else:
            self._try_next()
            body = draft.body
            if self._state is _State.LENGTH and not self._further and body is not None:
                package = body.could_be_package
                if package or body.could_be_xml:
                    self._overrun = Overrun(request=not draft.line.status, package=package)

    def _try_next(self) -> None:
        """The body goes on to the next of the ends to try."""
        length, self._further = self._further[0], self._further[1:]
        if length is None:
            self._state = _State.CLOSE
        else:
            self._left = length - self.draft.passed
            self._state = _State.LENGTH

    @property
    def held(self) -> int:
        """Bytes in memory, roughly."""
        return self.draft.held + len(self._peeked) + (len(self._overrun.held) if self._overrun is not None else 0)

    # -- bytes -----------------------------------------------------------------------------------------------------

    def feed(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        """Take bytes from ``data[pos:size]`` until the body ends; gives where it stopped.

        ``base + pos`` is the stream offset of the first byte.
        """
        while pos < size and self.end is None:
            pos = _STEPS[self._state](self, data, base, pos, size)
        return pos

    def _read_length(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        end = min(size, pos + self._left)
        watch = self._overrun
        if watch is None:
            self.draft.data(data, base, pos, end)
        elif watch.open or not watch.package:
            return self._read_watched(watch, data, base, pos, size)
        else:
            end = pos + self.draft.data(data, base, pos, end, to_close=True)
            watch.open = self.draft.closed
        self._left -= end - pos
        if not self._left:
            self._boundary(base + end)
        return end

    def _read_watched(self, watch: Overrun, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        """As much as may be of a body that can end before its length says so."""
        draft, before, watch.held = self.draft, watch.held, b""
        stop = min(size, pos + max(self._left - len(before), 0) + LONGEST)
        window, start = before + bytes(data[pos:stop]), base + pos - len(before)
        low, high = 0, min(self._left, len(window))
        while True:
            place, seen, line = watch.look(window, low, high)
            if place > low:
                draft.data(window, start, low, place)
                self._left -= place - low
                watch.passed(window[low:place])
            low = place
            if not seen:
                watch.held, watch.at = window[place:], start + place
                return stop
            if not line:
                break
            if watch.package or ((whole := draft.whole) is not None and is_document(whole)):
                said = draft.passed + self._left
                text = f"Content-Length says {said} bytes, the body has {draft.passed}: the next message begins there"
                draft.report(LENGTH_EXCEEDS, text, offset=start + place)
                self._left = 0
                break
            watch.open, watch.tries = False, watch.tries - 1
            if not watch.tries:
                draft.data(window, start, low, high)
                self._left -= high - low
                low = seen = high
                break
        if not watch.tries or (watch.package and not watch.open):
            self._overrun = None
        if not self._left:
            self.end, self.back = start + low, before[low:]
            if seen > low:
                self.seen = start + seen
        return pos + max(low - len(before), 0)

    def _let_go(self) -> None:
        """What was held as the beginning of a start line is none."""
        watch = self._overrun
        if watch is None or (watch.package and not watch.open):
            return
        self._overrun = None
        count = min(self._left, len(watch.held))
        if count:
            self.draft.data(watch.held, watch.at, 0, count)
            self._left -= count
            if not self._left:
                self.end, self.back = watch.at + count, watch.held[count:]

    def _boundary(self, offset: int) -> None:
        """The body ends here, by the present reading."""
        if self._further:
            self._state = _State.PEEK
            self._at = offset
        else:
            self.end = offset

    def _read_until_close(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        self.draft.data(data, base, pos, size)
        return size

    def _read_chunks(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self._further:
            if data[pos] not in _CHUNK_BEGINS:
                self._not_chunked(base + pos)
                return pos
            self._further = ()
        chunked = self.draft.chunked
        assert chunked is not None
        pos = chunked.feed(data, base, pos, size)
        if chunked.state >= ChunkState.DONE:
            self.back, self.seen = chunked.back, chunked.told
            self.end = base + pos - len(self.back)
            if chunked.state == ChunkState.BROKEN:
                self.draft.complete = False
                self.lost = True
        return pos

    def _not_chunked(self, offset: int) -> None:
        """No chunk begins the body, and Content-Length says how long it is."""
        self.draft.report(NOT_CHUNKED, offset=offset)
        self.draft.chunked = None
        self._state = _State.PEEK
        self._at = offset

    # -- where it may end ------------------------------------------------------------------------------------------

    def _read_peek(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        draft, before = self.draft, self._peeked
        end = min(size, pos + PEEK - len(before))
        seen = before + bytes(data[pos:end])
        # Empty lines may stand before a start line. Elsewhere they are a body that is there.
        bare = seen.lstrip(b"\r\n") if self._answers_head else seen
        verdict = begins_message(bare, request=not draft.line.status)
        if verdict is None and len(seen) < PEEK:
            self._peeked = seen
            return end
        if not verdict:
            self._goes_on()
            return pos
        if self._plan.doubtful and draft.body is None:
            if draft.line.status:
                # Taken back where the request is known, or will be.
                draft.report(HEAD_ANSWER, offset=draft.start)
            else:
                self._not_sent()
        self.end, self.back = self._at, before
        blank = len(seen) - len(bare)
        tells = range(1, len(bare) + 1)
        self.seen = self._at + blank + next(n for n in tells if begins_message(bare[:n], request=not draft.line.status))
        return pos

    @property
    def _answers_head(self) -> bool:
        """PEEK: nothing of the body came, and the request, known by now, is HEAD."""
        draft = self.draft
        return draft.body is None and draft.request is not None and draft.request.method == "HEAD"

    @property
    def _only_head(self) -> bool:
        """Nothing but empty lines stands behind the head of an answer to HEAD."""
        return self._state is _State.PEEK and self._answers_head and not self._peeked.strip(b"\r\n")

    def _not_sent(self) -> None:
        self.draft.report(NOT_SENT, offset=self.draft.start)
        self.draft.complete = False

    def _goes_on(self) -> None:
        """PEEK: the body does not end here."""
        held, self._peeked = self._peeked, b""
        if self.draft.body is None:
            self._begin()
        else:
            self._try_next()
        if held:
            self.back = held[self.feed(held, self._at, 0, len(held)) :]

    # -- gaps and the end of the stream ------------------------------------------------------------------------------

    def settle(self) -> None:
        """A gap follows: what is in doubt has to be decided. The longer reading keeps what is behind it in the body."""
        if self._only_head:
            self.end, self.back = self._at, self._peeked
        while self._state is _State.PEEK and self.end is None:
            self._goes_on()
        self._let_go()

    def hole(self, gap: Gap) -> None:
        """Bytes are missing here. A gap that may reach beyond the body ends it."""
        draft, chunked = self.draft, self.draft.chunked
        if self._state is _State.CLOSE:
            draft.hole(gap)
            return
        inside = chunked.left if chunked is not None else self._left
        if not 0 < gap.length <= inside:
            part = replace(gap, length=min(inside, gap.length))
            draft.hole(part)
            self._left -= part.length
            self._cut(gap.offset + part.length, "a gap hides where it ends")
            return
        draft.hole(gap)
        if chunked is not None:
            chunked.hole(gap.length)
            return
        self._left -= gap.length
        if not self._left:
            self._boundary(gap.offset + gap.length)

    def close(self, offset: int, why: str, *, closed: bool, over: bool) -> None:
        """The stream ends, and the body with it.

        Args:
            offset: stream offset of the end.
            why: what ended it.
            closed: it was closed as it should be.
            over: nothing was sent behind it (where the capture ends, that is not known).
        """
        draft, chunked = self.draft, self.draft.chunked
        if self._only_head:
            self.end = self._at
            return
        if over and draft.body is None and not self._peeked and self._plan.doubtful and not draft.line.status:
            self._not_sent()
            self.end = self._at
            return
        while self._state is _State.PEEK and self.end is None:
            if draft.passed and not self._peeked:
                # Of several lengths this one fits.
                self.end = self._at
            else:
                self._goes_on()
        self._let_go()
        if self.end is not None:
            return
        whole = self._state is _State.CLOSE
        if chunked is not None and chunked.state == ChunkState.TRAILERS:
            draft.report(TRAILER_END, offset=offset)
            whole = True
        if whole and closed:
            self.end = offset
        else:
            self._cut(offset, why)

    def _cut(self, offset: int, why: str) -> None:
        """The end of the body is not known; the message goes up to here."""
        draft = self.draft
        draft.complete = False
        if draft.chunked is not None:
            if draft.chunked.state == ChunkState.TRAILERS:
                draft.report(BODY_CUT, f"the end of the chunked body is missing: {why}", offset=offset)
            else:
                draft.report(NO_LAST_CHUNK, f"the chunked body ends without the last chunk: {why}", offset=offset)
        elif self._state is _State.LENGTH:
            total = draft.passed + self._left
            draft.report(BODY_CUT, f"{draft.transferred} of {total} bytes of the body are there: {why}", offset=offset)
        else:
            draft.report(BODY_CUT, f"the end of the body is not known: {why}", offset=offset)
        self.end = offset
        self.lost = True


# In the order of the states' numbers.
_STEPS: tuple[Callable[[Framing, bytes | memoryview, int, int, int], int], ...] = (
    Framing._read_length,
    Framing._read_peek,
    Framing._read_chunks,
    Framing._read_until_close,
)
