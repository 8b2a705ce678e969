"""One direction of a connection: bytes and gaps in, HTTP messages out.

The reader is a state machine fed with runs of any size; its result does not depend on how the bytes were cut into runs.
States and what ends them::

    START    at the place where a message begins     → the head is whole → a body state, or START
    LENGTH   in a body of known length               → its last byte → START, or PEEK where that is in doubt
    PEEK     where the body ends by one reading      → a start line stands there → START; else LENGTH or CLOSE
    CHUNKS   in a chunked body                       → last chunk and trailers → START; framing lost → RESYNC
    CLOSE    in a body that ends with the stream
    RESYNC   the place in the protocol is not known  → a start line is found → START
    OPAQUE   another protocol from here on, or ended

A gap inside a body of which the framing is known leaves a hole there and nothing more. Any other gap ends the message
in progress, which is given as far as it is known, and RESYNC follows.

Buffering: START holds the head (``Limits.head``), RESYNC a tail of a few times :data:`TAIL` bytes, PEEK 16 bytes. Body
bytes are passed on as they come. Each byte that comes alone costs a bounded time, also in a long head.

This file is long since the states share their place in the stream; what is made of a message is in ``draft``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import IntEnum

from dissector.base.findings import Finding, Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import NO_FRAMES, Gap, Origin, StreamRef
from dissector.http.chunked import TRAILER_END
from dissector.http.chunked import State as ChunkState
from dissector.http.content import HEAD_SIZE, Content
from dissector.http.draft import SMALL, Draft, weight_of
from dissector.http.head import HEAD_END, plan_body
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.pairing import Pairing, Request
from dissector.http.plain import PlainHead, plain_head
from dissector.http.start import RESYNC_LINE, RESYNC_TAIL, StartLine, begins_message, find_start, parse_start_line
from dissector.http.tunnel import TLS_RECORD, Tunnel
from dissector.transport.model import Conversation, Run, StreamConsumer, StreamEnd

__all__ = ["MessageReader"]

TAIL = RESYNC_LINE + RESYNC_TAIL
"""Bytes that RESYNC holds: the longest request line it looks for, and what may be incomplete."""

PEEK = 16
"""Bytes that tell whether a start line begins."""

SKIPPED = rule("http.skipped", "note", "behind a gap")
JOINED = rule("http.joined", "note", "the capture begins inside a message")
NO_START_LINE = rule("http.no-start-line", "warn", "a message has to begin there", "RFC 9112 2.1")
HEAD_LIMIT = rule("http.head-limit", "error", "the head is longer than is read")
HEAD_CUT = rule("http.head-cut", "error", "the head is not whole")
BODY_CUT = rule("http.body-cut", "error", "the body is not whole")
NO_LAST_CHUNK = rule("http.no-last-chunk", "error", "the chunked body ends without the last chunk", "RFC 9112 8")
NOT_SENT = rule(
    "http.body-not-sent", "note", "the client announced a body, waited for leave and did not send it", "RFC 9110 10.1.1"
)
HEAD_ANSWER = rule("http.head-answer", "note", "taken for the answer to HEAD: it says a length and has no body")
TLS_ANSWER = rule(
    "http.tls-answer", "warn", "the server answers HTTP in the clear with TLS: it expects https on this port"
)
TUNNEL = rule("http.tunnel", "note", "from here on the connection carries another protocol", "RFC 9110 7.8, 9.3.6")

_EMPTY_LINES = re.compile(rb"[\r\n]*")


class _State(IntEnum):
    START = 0
    LENGTH = 1
    PEEK = 2
    CHUNKS = 3
    CLOSE = 4
    RESYNC = 5
    OPAQUE = 6


class MessageReader:
    """Takes one direction (a :class:`~dissector.transport.model.StreamConsumer`) and emits its messages.

    Args:
        conversation: takes findings that belong to no message.
        stream: the direction.
        emit: called with each message as soon as it is whole or given up.
        policy: what is done with the bytes of bodies.
        limits: bounds.
        asking: the requests of this direction.
        answering: the requests of the other direction.
        tunnel: where TLS that begins in the connection is read, None: not at all.

    Attributes:
        consumed: stream offset below which frames are no longer needed.
        tunnel: the connection became a tunnel, as the answer says.
        tunnelled: stream offset from which on it is TLS, None where it is not.
        other: the reader of the other direction, where there is one.
    """

    def __init__(
        self,
        conversation: Conversation,
        stream: StreamRef,
        emit: Callable[[HttpMessage], None],
        policy: BodyPolicy,
        limits: Limits,
        asking: Pairing,
        answering: Pairing,
        tunnel: Tunnel | None = None,
    ) -> None:
        self.consumed = 0
        self.tunnel = False
        self.tunnelled: int | None = None
        self._way = tunnel
        self._inner: StreamConsumer | None = None
        self.other: MessageReader | None = None
        self._conversation = conversation
        self._stream = stream
        self._emit = emit
        self._policy = policy
        self._limits = limits
        self._asking = asking
        self._answering = answering
        self._frames = NO_FRAMES
        self._end = 0
        self._state = _State.START
        self._draft: Draft | None = None
        self._left = 0
        self._buffer = bytearray()
        """START: the head so far. PEEK: the bytes looked at. RESYNC: the tail."""
        self._at = 0
        """Stream offset of the first byte of the buffer."""
        self._line_seen = False
        self._region = 0
        self._region_rule = SKIPPED
        self._skipped: dict[str, tuple[Rule, int, Sequence[int], int]] = {}
        self._requests_seen = False
        self._responses_seen = False
        self._lost = False
        self._may_tunnel = False
        self._high = 0
        """The highest frame so far: a receiver has a message when all bytes up to its end are there."""

    @property
    def under_way(self) -> Draft | None:
        """The message whose head was read and whose end was not: a live server looks at it for Expect and size."""
        return self._draft

    @property
    def held(self) -> int:
        """Bytes of the unfinished message in memory."""
        inner = getattr(self._inner, "held", 0) if self._inner is not None else 0
        return len(self._buffer) + (self._draft.held if self._draft is not None else 0) + inner

    # -- what the transport calls --------------------------------------------------------------------------------

    def data(self, run: Run) -> None:
        """The next bytes."""
        self._frames = run.frames
        self._high = max(self._high, run.released)
        self._end = run.offset + len(run.data)
        self._feed(run.data, run.offset)
        if self._draft is not None:
            self.consumed = self._draft.start
        elif self._buffer:
            self.consumed = self._at
        elif self._inner is not None:
            self.consumed = getattr(self._inner, "consumed", self._end)
        else:
            self.consumed = self._end

    def gap(self, gap: Gap) -> None:
        """Bytes that the capture does not hold."""
        self._high = max(self._high, gap.released)
        self._end = gap.offset + gap.length
        while self._state is _State.PEEK:
            # Undecided: the longer reading keeps the bytes behind the gap in the body.
            self._peeked_no()
        state, draft = self._state, self._draft
        if draft is None and self._inner is None and self._way is not None and self._way.begun:
            self._enter(gap.offset)
        if self._inner is not None:
            self._inner.gap(gap)
            return
        if state is _State.OPAQUE:
            return
        if draft is None:
            self._gap_between(gap)
            return
        chunked = draft.chunked
        if state is _State.CLOSE:
            draft.hole(gap)
            return
        inside = self._left if state is _State.LENGTH else chunked.left if chunked is not None else 0
        if not 0 < gap.length <= inside:
            part = replace(gap, length=min(inside, gap.length))
            draft.hole(part)
            self._lost = True
            self._cut(draft, gap.offset + part.length, "a gap hides where it ends")
            self._resync(self._end, SKIPPED)
            return
        draft.hole(gap)
        if chunked is not None:
            chunked.hole(gap.length)
            return
        self._left -= gap.length
        if not self._left:
            self._boundary(self._end)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes."""
        self._high = max(self._high, frame)
        while self._state is _State.PEEK:
            self._end_peek()
        draft = self._draft
        if draft is not None:
            whole = self._state is _State.CLOSE
            if draft.chunked is not None and draft.chunked.state == ChunkState.TRAILERS:
                draft.report(TRAILER_END, offset=self._end)
                whole = True
            if whole and how is StreamEnd.FIN:
                self._finish(self._end)
            else:
                self._cut(draft, self._end, _END_WORDS[how])
        elif self._state is _State.START and self._buffer:
            if self._line_seen:
                self._head_cut(_END_WORDS[how])
            else:
                if not self._may_be_tls(self._at, self._buffer[:3]):
                    self._skip(NO_START_LINE, self._at, len(self._buffer))
        elif self._state is _State.RESYNC:
            self._skip(self._region_rule, self._region, self._at + len(self._buffer) - self._region)
        self._buffer = bytearray()
        self._state = _State.OPAQUE
        if self._way is not None and self._way.begun:
            self._way.enter(self._stream).end(how, frame, time)
            self._inner = None
        self._conversation.findings.extend(self._skip_findings())
        self._conversation.ended += 1
        # The two readers hold each other: without this they stay until the garbage collector looks for circles.
        self.other = None

    # -- heads -----------------------------------------------------------------------------------------------------

    def _feed(self, data: bytes | memoryview, offset: int) -> None:
        pos, size = 0, len(data)
        while pos < size:
            pos = _STEPS[self._state](self, data, offset, pos, size)

    def _read_opaque(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self._inner is not None:
            self._inner.data(Run(base + pos, data[pos:size], self._frames, self._high))
        return size

    def _enter(self, at: int) -> None:
        """TLS from here on."""
        assert self._way is not None
        self._inner = self._way.enter(self._stream)
        self._state = _State.OPAQUE
        self._buffer = bytearray()
        self.tunnelled = at

    def _tunnels(self, data: bytes | memoryview, base: int, pos: int) -> bool:
        """Where a message has to begin another protocol does; HTTP in the clear inside a tunnel is read on."""
        first = data[pos]
        if first == TLS_RECORD and self._way is not None:
            self._enter(base + pos)
        elif self.tunnel and not (0x41 <= first <= 0x5A or first in b"\r\n"):
            self._state = _State.OPAQUE
        return self._state is _State.OPAQUE

    def _read_head(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        buffer = self._buffer
        limit = self._limits.head
        if not buffer:
            blank = _EMPTY_LINES.match(data, pos, size)
            pos = blank.end() if blank else pos
            if pos == size:
                return size
            if (self.tunnel or self._may_tunnel) and self._tunnels(data, base, pos):
                return pos
            found = HEAD_END.search(data, pos, min(size, pos + limit))
            if found:
                end = found.end()
                head = bytes(data[pos:end])
                plain = plain_head(head)
                if plain is not None and end + plain.length <= size:
                    stop = end + plain.length
                    if self._take_plain(plain, head, base + pos, data[end:stop]):
                        return stop
                line = parse_start_line(head[: head.find(b"\n") + 1])
                if line is None:
                    return self._no_start_line(b"", base + pos, pos, data[pos : pos + 3])
                self._take_head(head, base + pos, line)
                return end
            self._at = base + pos
            self._line_seen = False
        before = len(buffer)
        end = min(size, pos + limit - before)
        buffer += data[pos:end]
        found = HEAD_END.search(buffer, max(before - 2, 0))
        stop = found.end() if found else len(buffer)
        if not self._line_seen:
            feed = buffer.find(b"\n", max(before - 1, 0), stop)
            if feed >= 0 and parse_start_line(bytes(buffer[: feed + 1])) is not None:
                self._line_seen = True
            elif feed >= 0 or stop >= limit:
                return self._no_start_line(bytes(buffer[:before]), self._at, pos, buffer[:3])
        if found:
            head = bytes(buffer[:stop])
            line = parse_start_line(head[: head.find(b"\n") + 1])
            assert line is not None
            self._buffer = bytearray()
            self._take_head(head, self._at, line)
            return pos + stop - before
        if len(buffer) >= limit:
            draft = self._begin_partial()
            draft.report(HEAD_LIMIT, f"the head is longer than {limit} bytes", offset=draft.start)
            self._finish(draft.start + limit)
            self._lost = True
            self._resync(draft.start + limit, SKIPPED)
        return end

    def _no_start_line(self, before: bytes, at: int, pos: int, start: bytes | bytearray | memoryview) -> int:
        """No message begins here. ``before``: the bytes from ``at`` on that earlier runs held; ``start``: the first."""
        self._may_be_tls(at, start)
        if self._may_tunnel or self.tunnel:
            self._conversation.findings.append(TUNNEL(frames=self._frames_at(at), offset=at))
            self._state = _State.OPAQUE
            self._buffer = bytearray()
            return pos
        self._resync(at, NO_START_LINE)
        self._buffer = bytearray(before)
        return pos

    def _may_be_tls(self, at: int, start: bytes | bytearray | memoryview) -> bool:
        """What stands in place of an answer may be an alert, or all of a handshake."""
        asked = self.other is not None and self.other._requests_seen and not self._responses_seen
        if not asked or bytes(start[:2]) not in (b"\x15\3", b"\x16\3") or len(start) < 3:
            return False
        words = f"{self._stream.source} answers HTTP in the clear with TLS: it expects https on this port"
        self._conversation.findings.append(TLS_ANSWER(words, frames=self._frames_at(at), offset=at))
        return True

    def _begin(self, head: bytes, at: int, line: StartLine, stop: int) -> Draft:
        draft = self._draft = Draft(head, at, line, head.find(b"\n") + 1, stop, self._limits)
        draft.enter(self._policy.room)
        numbers = self._frames_at(at)
        frame = numbers[0] if numbers else 0
        if not line.status:
            self._requests_seen = True
            self._may_tunnel = line.method == "CONNECT" or bool(draft.fields.upgrade)
            known = max(self._frames.frames_of(at, at + len(head)), default=0) if frame else 0
            self._ask(at, frame, line.method, known, _wish(draft) if self._may_tunnel else "")
            return draft
        self._responses_seen = True
        if line.status < 200 and line.status != 101:
            draft.interim = self._answering.peek(frame, lost=self._lost)
        else:
            draft.answer = self._answering.response(at, frame, lost=self._lost)
        self._lost = False
        return draft

    def _begin_partial(self) -> Draft:
        """Begin the message of a head in the buffer that is not whole."""
        head, at = bytes(self._buffer), self._at
        line = parse_start_line(head[: head.find(b"\n") + 1])
        assert line is not None
        draft = self._begin(head, at, line, head.rfind(b"\n") + 1)
        draft.complete = False
        return draft

    def _take_head(self, head: bytes, at: int, line: StartLine) -> None:
        """Begin the message of a whole head, and decide how its body ends."""
        draft = self._begin(head, at, line, len(head) - (2 if head.endswith(b"\r\n") else 1))
        offset = at + len(head)
        request, status = draft.request, line.status
        method = request.method if request else None
        plan = plan_body(draft.fields, status=status, version=line.version, method=method, report=draft.report, base=at)
        if status == 101 or (method == "CONNECT" and 200 <= status < 300):
            draft.report(TUNNEL, offset=offset)
            self._finish(offset)
            self.tunnel = True
            if self.other is not None:
                self.other.tunnel = True
            return
        first = plan.lengths[0]
        if not plan.chunked and first == 0 and len(plan.lengths) == 1:
            self._finish(offset)
            return
        draft.open_body(plan, self._policy)
        draft.lengths = plan.lengths[1:]
        if plan.chunked:
            self._state = _State.CHUNKS
        elif first is None:
            self._state = _State.CLOSE
        elif first:
            self._left = first
            self._state = _State.LENGTH
        else:
            self._start_peek(offset)

    def _take_plain(self, plain: PlainHead, head: bytes, at: int, data: bytes | memoryview) -> bool:
        """Make the message of a head without doubts whose body is there; False: the long way has to be taken."""
        line, policy, length = plain.line, self._policy, plain.length
        if length > SMALL or policy.digest_bodies or len(plain.headers) > self._limits.headers:
            return False
        start, end = at + len(head), at + len(head) + length
        frames = self._frames.cut(at, end)
        numbers, times = frames.frames, frames.times
        if not numbers or not numbers[0] or not numbers[-1] or at < frames.starts[0]:
            return False
        frame = numbers[0]
        if line.status:
            request = self._answering.peek(frame, lost=self._lost)
            if request is None or request.method in ("HEAD", "CONNECT"):
                return False
        if length > self._limits.xml or not policy.room.take(length):
            return False
        weight = weight_of(head, plain.headers)
        policy.room.load(weight)
        policy.room.finish(length + weight)
        answer = None
        if line.status:
            self._responses_seen = True
            answer = self._answering.response(at, frame, lost=self._lost)
            self._lost = False
        else:
            self._requests_seen = True
            self._may_tunnel = False
            self._ask(at, frame, line.method, frame if len(numbers) == 1 else max(frames.column(at, start)), "")
        self._high = max(self._high, max(numbers))
        stream, media = self._stream, plain.media
        if length:
            kept = bytes(data)
            origin = Origin.whole(stream, start, end, frames)
            body = Content(size=length, head=kept[:HEAD_SIZE], origin=origin, data=kept)
        else:
            body = Content(data=b"")
        message = HttpMessage(
            is_request=not line.status,
            stream=stream,
            version=line.version,
            headers=plain.headers.copy(),
            head=head,
            origin=Origin.whole(stream, at, end, frames),
            body=body,
            method=line.method,
            target=line.target,
            status=line.status,
            reason=line.reason,
            transferred=length,
            media_type=media.value if media is not None else "",
            parameters=media.parameters.copy() if media is not None else {},
            first_frame=frame,
            last_frame=numbers[-1],
            first_time=times[0],
            last_time=times[-1],
            trigger=self._high,
        )
        if answer is not None:
            answer.given(message)
        if self._skipped:
            message.findings = self._skip_findings()
        self._emit(message)
        return True

    def _ask(self, at: int, frame: int, method: str, known: int, wish: str) -> None:
        """A request began whose head was whole at frame ``known``."""
        if self._way is not None:
            self._way.ask(wish)
        self._asking.request(Request(at, frame, method, max(known, self._high)))

    # -- bodies --------------------------------------------------------------------------------------------------

    def _read_length(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        assert self._draft is not None
        end = min(size, pos + self._left)
        self._draft.data(data, base, pos, end)
        self._left -= end - pos
        if not self._left:
            self._boundary(base + end)
        return end

    def _boundary(self, offset: int) -> None:
        """The body ends here, by the present reading."""
        assert self._draft is not None
        if self._draft.lengths:
            self._start_peek(offset)
        else:
            self._finish(offset)

    def _read_until_close(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        assert self._draft is not None
        self._draft.data(data, base, pos, size)
        return size

    def _read_chunks(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        draft = self._draft
        assert draft is not None
        chunked = draft.chunked
        assert chunked is not None
        pos = chunked.feed(data, base, pos, size)
        if chunked.state < ChunkState.DONE:
            return pos
        end = base + pos - len(chunked.back)
        if chunked.state == ChunkState.BROKEN:
            draft.complete = False
            self._lost = True
            self._finish(end)
            self._resync(end, SKIPPED)
        else:
            self._finish(end)
            self._line_seen = False
        self._buffer = bytearray(chunked.back)
        self._at = end
        return pos

    # -- where the body may end ------------------------------------------------------------------------------------

    def _start_peek(self, offset: int) -> None:
        self._state = _State.PEEK
        self._buffer = bytearray()
        self._at = offset

    def _read_peek(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        draft = self._draft
        assert draft is not None
        before = bytes(self._buffer)
        end = min(size, pos + PEEK - len(before))
        self._buffer += data[pos:end]
        verdict = begins_message(bytes(self._buffer), request=not draft.line.status)
        if verdict is None:
            return end
        self._buffer = bytearray(before)
        if not verdict:
            self._peeked_no()
            return pos
        if not draft.passed and draft.lengths[0] is not None:
            if draft.line.status:
                draft.report(HEAD_ANSWER, offset=draft.start)
            else:
                draft.report(NOT_SENT, offset=draft.start)
                draft.complete = False
        at = self._at
        self._finish(at)
        self._buffer = bytearray(before)
        self._at = at
        self._line_seen = False
        return pos

    def _peeked_no(self) -> None:
        """The body goes on."""
        draft = self._draft
        assert draft is not None
        held, self._buffer = bytes(self._buffer), bytearray()
        length, draft.lengths = draft.lengths[0], draft.lengths[1:]
        if length is None:
            self._state = _State.CLOSE
        else:
            self._left = length - draft.passed
            self._state = _State.LENGTH
        if held:
            self._feed(held, self._at)

    def _end_peek(self) -> None:
        draft = self._draft
        assert draft is not None
        if draft.passed and not self._buffer:
            # Of several lengths this one fits.
            self._finish(self._at)
        else:
            self._peeked_no()

    # -- gaps and damage -------------------------------------------------------------------------------------------

    def _gap_between(self, gap: Gap) -> None:
        """A gap outside a message, or in a head."""
        self._lost = True
        if self._state is _State.RESYNC:
            self._skip(self._region_rule, self._region, self._at + len(self._buffer) - self._region)
        elif self._buffer:
            if self._line_seen:
                self._head_cut("bytes of it are lost", gap)
            else:
                self._skip(SKIPPED, self._at, len(self._buffer))
        self._resync(self._end, JOINED if gap.reason == "start" else SKIPPED)

    def _head_cut(self, why: str, gap: Gap | None = None) -> None:
        """Give the message of a head that is not whole."""
        draft = self._begin_partial()
        if gap is not None:
            draft.gaps.append(gap)
        draft.report(HEAD_CUT, f"the head is not whole: {why}", offset=draft.start)
        self._finish(draft.start + len(draft.head))

    def _cut(self, draft: Draft, offset: int, why: str) -> None:
        """Give the message in progress, whose end is not known."""
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
        self._finish(offset)

    def _resync(self, offset: int, why: Rule) -> None:
        self._state = _State.RESYNC
        self._buffer = bytearray()
        self._at = self._region = offset
        self._region_rule = why

    def _read_resync(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self._way is not None and self._way.begun:
            self._enter(base + pos)
            return pos
        if self.tunnel:
            self._state = _State.OPAQUE
            self._buffer = bytearray()
            return size
        buffer = self._buffer
        before = len(buffer)
        window: bytes | bytearray | memoryview = data[pos:size]
        if before and size - pos > TAIL:
            window = bytes(buffer) + bytes(window)
        elif before:
            buffer += window
            window = buffer
        either = self._requests_seen == self._responses_seen
        found = find_start(
            window,
            before - RESYNC_TAIL,
            line_start=self._at == self._region,
            requests=either or self._requests_seen,
            responses=either or self._responses_seen,
        )
        if found < 0:
            if window is not buffer:
                self._buffer = bytearray(window[-TAIL:])
                self._at = base + size - len(self._buffer)
            elif len(buffer) > 4 * TAIL:
                # Cut now and then only, so that single bytes do not move the tail each time.
                drop = len(buffer) - TAIL
                del buffer[:drop]
                self._at += drop
            return size
        start = self._at + found if before else base + pos + found
        self._skip(self._region_rule, self._region, start - self._region)
        self._buffer = bytearray(window[found:before]) if found < before else bytearray()
        self._at = start
        self._state = _State.START
        self._line_seen = False
        return pos + max(found - before, 0)

    def _skip(self, why: Rule, offset: int, count: int) -> None:
        """Remember skipped bytes: they are told with the next message, or with the connection."""
        if count <= 0:
            return
        _, first, frames, total = self._skipped.get(why.id, (why, offset, self._frames_at(offset), 0))
        self._skipped[why.id] = (why, first, frames, total + count)

    def _skip_findings(self) -> list[Finding]:
        made = [
            why(f"{count} bytes are no start line and were skipped: {why.summary}", frames=frames, offset=offset)
            for why, offset, frames, count in self._skipped.values()
        ]
        self._skipped.clear()
        return made

    # -- giving out ------------------------------------------------------------------------------------------------

    def _frames_at(self, offset: int) -> Sequence[int]:
        frames = self._frames
        return frames.frames_of(offset, offset + 1) if frames.starts and offset >= frames.starts[0] else ()

    def _finish(self, end: int) -> None:
        """Give the message in progress, which ends at the stream offset ``end``; a message may begin there."""
        draft = self._draft
        assert draft is not None
        self._draft = None
        self._state = _State.START
        self._buffer = bytearray()
        frames = self._frames.cut_off(draft.start, end)
        if frames.frames:
            self._high = max(self._high, max(frames.frames))
        message = draft.message(self._stream, end, frames, self._high)
        if self._skipped:
            message.findings = self._skip_findings() + message.findings
        self._emit(message)


def _wish(draft: Draft) -> str:
    """What a client asks for that wants a tunnel for TLS, "" where it wants another upgrade."""
    line, upgrade = draft.line, ", ".join(draft.fields.upgrade)
    return f"CONNECT {line.target}" if line.method == "CONNECT" else f"Upgrade: {upgrade}" * ("TLS" in upgrade.upper())


# In the order of the states' numbers. Of the class, not bound to an object, which would hold itself by them.
_STEPS: tuple[Callable[[MessageReader, bytes | memoryview, int, int, int], int], ...] = (
    MessageReader._read_head,
    MessageReader._read_length,
    MessageReader._read_peek,
    MessageReader._read_chunks,
    MessageReader._read_until_close,
    MessageReader._read_resync,
    MessageReader._read_opaque,
)

_END_WORDS = {
    StreamEnd.FIN: "the connection was closed",
    StreamEnd.RESET: "the connection was reset",
    StreamEnd.REUSED: "a new connection uses the same ports",
    StreamEnd.CAPTURE: "the capture ends",
}
