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

Buffering: START holds the head (``Limits.head``), RESYNC a tail of :data:`TAIL` bytes, PEEK 16 bytes. Body bytes are passed
on as they come.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto

from dissector.base.findings import Finding, Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import FrameMap, Gap, Origin, RangeMap, StreamRef
from dissector.http.body import BodyReader
from dissector.http.chunked import ChunkedReader
from dissector.http.chunked import State as ChunkState
from dissector.http.content import Content
from dissector.http.head import BARE_LF, HEAD_END, BodyPlan, HeadFields, fields_of, parse_headers, plan_body
from dissector.http.headers import list_items, parse_media_type
from dissector.http.model import BodyPolicy, Header, HttpMessage
from dissector.http.multipart import PARAMETER
from dissector.http.pairing import Answer, Pairing, Request
from dissector.http.report import Report
from dissector.http.start import RESYNC_LINE, RESYNC_TAIL, StartLine, begins_message, find_start, parse_start_line
from dissector.transport.model import Conversation, Run, StreamEnd

__all__ = ["MessageReader"]

TAIL = RESYNC_LINE + RESYNC_TAIL
"""Bytes that RESYNC holds: the longest request line it looks for, and what may be incomplete."""

PEEK = 16
"""Bytes that tell whether a start line begins."""

SMALL = 64 << 10
"""Body bytes up to this size are copied out of the run, larger ones are passed as a view."""

MAX_PIECES = 100_000
"""Pieces of a body's origin (chunks); with more, only the whole has a place (a chunk of one byte costs 100)."""

SKIPPED = rule("http.skipped", "note", "bytes behind a gap were skipped up to the next start line")
JOINED = rule(
    "http.joined", "note", "the capture begins inside a message; bytes were skipped up to the first start line"
)
NO_START_LINE = rule(
    "http.no-start-line", "warn", "bytes where a message has to begin are no start line", "RFC 9112 2.1"
)
HEAD_LIMIT = rule("http.head-limit", "error", "the head is longer than is read")
HEADERS_LIMIT = rule("http.headers-limit", "warn", "the head has more header lines than are kept")
HEAD_CUT = rule("http.head-cut", "error", "the head is not whole")
BODY_CUT = rule("http.body-cut", "error", "the body is not whole")
NO_LAST_CHUNK = rule("http.no-last-chunk", "error", "the chunked body ends without the last chunk", "RFC 9112 8")
NOT_SENT = rule(
    "http.body-not-sent", "note", "the client announced a body, waited for leave and did not send it", "RFC 9110 10.1.1"
)
HEAD_ANSWER = rule("http.head-answer", "note", "taken for the answer to HEAD: it says a length and has no body")
TUNNEL = rule("http.tunnel", "note", "from here on the connection carries another protocol", "RFC 9110 7.8, 9.3.6")

_EMPTY_LINES = re.compile(rb"[\r\n]*")
_FEED = re.compile(rb"\n")


class _State(Enum):
    START = auto()
    LENGTH = auto()
    PEEK = auto()
    CHUNKS = auto()
    CLOSE = auto()
    RESYNC = auto()
    OPAQUE = auto()


class _Draft:
    """A message under way."""

    __slots__ = (
        "answer", "body", "chunked", "complete", "exact", "fields", "gaps", "head", "headers", "interim", "lengths", "line",
        "passed", "ranges", "report", "start",
    )  # fmt: skip

    def __init__(self, start: int, head: bytes, line: StartLine, headers: list[Header], report: Report) -> None:
        self.start = start
        self.head = head
        self.line = line
        self.headers = headers
        self.report = report
        self.fields: HeadFields | None = None
        self.gaps: list[Gap] = []
        self.ranges: RangeMap | None = None
        self.body: BodyReader | None = None
        self.chunked: ChunkedReader | None = None
        self.lengths: tuple[int | None, ...] = ()
        self.answer: Answer | None = None
        self.interim: Request | None = None
        self.passed = 0
        self.exact = True
        self.complete = True


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

    Attributes:
        consumed: stream offset below which frames are no longer needed.
        tunnel: set from outside: the other direction saw that the connection became a tunnel.
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
    ) -> None:
        self.consumed = 0
        self.tunnel = False
        self.other: MessageReader | None = None
        self._conversation = conversation
        self._stream = stream
        self._emit = emit
        self._policy = policy
        self._limits = limits
        self._asking = asking
        self._answering = answering
        self._frames = FrameMap()
        self._state = _State.START
        self._steps: dict[_State, Callable[[bytes | memoryview, int, int, int], int]] = {
            _State.START: self._read_head,
            _State.LENGTH: self._read_length,
            _State.PEEK: self._read_peek,
            _State.CHUNKS: self._read_chunks,
            _State.CLOSE: self._read_until_close,
            _State.RESYNC: self._read_resync,
            _State.OPAQUE: self._read_opaque,
        }
        self._draft: _Draft | None = None
        self._left = 0
        self._buffer = bytearray()
        """START: the head so far. PEEK: the bytes looked at. RESYNC: the tail."""
        self._at = 0
        """Stream offset of the first byte of the buffer."""
        self._line_seen = False
        self._region = 0
        self._region_rule = SKIPPED
        self._skipped: dict[str, tuple[Rule, int, int]] = {}
        self._requests_seen = False
        self._responses_seen = False
        self._lost = False
        self._may_tunnel = False
        self._high = 0
        """The highest frame so far: a receiver has a message when all bytes up to its end are there."""

    # -- what the transport calls --------------------------------------------------------------------------------

    def data(self, run: Run) -> None:
        """The next bytes."""
        self._frames = run.frames
        self._feed(run.data, run.offset)
        if self._draft is not None:
            self.consumed = self._draft.start
        elif self._buffer:
            self.consumed = self._at
        else:
            self.consumed = run.offset + len(run.data)

    def gap(self, gap: Gap) -> None:
        """Bytes that the capture does not hold."""
        self._high = max(self._high, gap.released)
        state = self._state
        if state is _State.OPAQUE:
            return
        if state is _State.PEEK:
            # Undecided: the longer reading keeps the bytes behind the gap in the body.
            self._peeked_no()
            self.gap(gap)
            return
        draft = self._draft
        if draft is None:
            self._gap_between(gap)
            return
        end = gap.offset + gap.length
        if state is _State.CLOSE:
            self._hole(draft, gap)
        elif state is _State.LENGTH and 0 < gap.length <= self._left:
            self._hole(draft, gap)
            self._left -= gap.length
            self._passed(draft, gap.length)
            if not self._left:
                self._boundary(end)
        elif state is _State.CHUNKS and draft.chunked is not None and 0 < gap.length <= draft.chunked.left:
            self._hole(draft, gap)
            draft.chunked.hole(gap.length)
        else:
            inside = self._left if state is _State.LENGTH else draft.chunked.left if draft.chunked is not None else 0
            part = replace(gap, length=min(inside, gap.length) if gap.length else 0)
            if inside:
                self._hole(draft, part)
            else:
                draft.gaps.append(part)
            self._lost = True
            self._cut(draft, gap.offset + part.length, "a gap hides where it ends")
            self._resync(end, SKIPPED)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes."""
        self._high = max(self._high, frame)
        if self._state is _State.PEEK:
            self._end_peek(how)
        draft = self._draft
        offset = self._at + len(self._buffer) if self._buffer else max(self._frames.end, self.consumed)
        if draft is not None:
            draft.complete = draft.complete and self._state is _State.CLOSE and how is StreamEnd.FIN
            if draft.complete:
                self._finish(offset)
            else:
                self._cut(draft, offset, _END_WORDS[how])
        elif self._state is _State.START and self._buffer:
            if self._line_seen:
                self._head_cut(_END_WORDS[how])
            else:
                self._skip(NO_START_LINE, self._at, len(self._buffer))
        elif self._state is _State.RESYNC:
            self._skip(self._region_rule, self._region, self._at + len(self._buffer) - self._region)
        self._buffer = bytearray()
        self._state = _State.OPAQUE
        self._conversation.findings.extend(self._skip_findings(self._frames))

    # -- the machine ---------------------------------------------------------------------------------------------

    def _feed(self, data: bytes | memoryview, offset: int) -> None:
        pos, size = 0, len(data)
        while pos < size:
            pos = self._steps[self._state](data, offset, pos, size)

    def _read_opaque(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        return size

    def _read_head(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self.tunnel:
            self._state = _State.OPAQUE
            return size
        buffer = self._buffer
        limit = self._limits.head
        if not buffer:
            blank = _EMPTY_LINES.match(data, pos, size)
            pos = blank.end() if blank else pos
            if pos == size:
                return size
            found = HEAD_END.search(data, pos, min(size, pos + limit))
            if found:
                end = found.end()
                if self._take_head(bytes(data[pos:end]), base + pos):
                    return end
                return self._no_start_line(b"", base + pos, pos)
            self._at = base + pos
            self._line_seen = False
        before = len(buffer)
        end = min(size, pos + limit - before)
        buffer += data[pos:end]
        found = HEAD_END.search(buffer, max(before - 2, 0))
        stop = found.end() if found else len(buffer)
        if not self._line_seen:
            feed = buffer.find(b"\n", max(before - 1, 0), stop)
            if feed >= 0:
                if parse_start_line(bytes(buffer[: feed + 1])) is None:
                    return self._no_start_line(bytes(buffer[:before]), self._at, pos)
                self._line_seen = True
            elif stop >= limit:
                return self._no_start_line(bytes(buffer[:before]), self._at, pos)
        if found:
            head = bytes(buffer[:stop])
            self._buffer = bytearray()
            self._take_head(head, self._at)
            return pos + stop - before
        if len(buffer) >= limit:
            self._head_too_long()
        return end

    def _no_start_line(self, before: bytes, at: int, pos: int) -> int:
        """No message begins here. ``before``: the bytes from ``at`` on that earlier runs held."""
        if self._may_tunnel:
            self._state = _State.OPAQUE
            self._buffer = bytearray()
            return pos
        self._resync(at, NO_START_LINE)
        self._buffer = bytearray(before)
        self._at = at
        return pos

    def _take_head(self, head: bytes, at: int) -> bool:
        """Begin the message of a whole head; False where it does not begin with a start line."""
        feed = head.find(b"\n") + 1
        line = parse_start_line(head[:feed])
        if line is None:
            return False
        draft = self._begin(head, at, line, feed, len(head) - (2 if head.endswith(b"\r\n") else 1))
        self._plan(draft, at + len(head))
        return True

    def _begin(self, head: bytes, at: int, line: StartLine, feed: int, stop: int) -> _Draft:
        report = Report()
        if line.problem is not None:
            report(line.problem, offset=at)
        headers = parse_headers(head[:stop].decode("latin-1"), feed, report, at)
        if head[feed - 2 : feed] != b"\r\n" or (stop == len(head) - 1):
            report(BARE_LF, offset=at + feed - 1)
        draft = _Draft(at, head, line, headers, report)
        self._draft = draft
        fields = draft.fields = fields_of(headers)
        if len(headers) > self._limits.headers:
            report(HEADERS_LIMIT, f"the head has {len(headers)} header lines", offset=at)
            del headers[self._limits.headers :]
        frame = self._frame_at(at)
        if line.status:
            self._responses_seen = True
            if line.status < 200 and line.status != 101:
                draft.interim = self._answering.peek(frame, lost=self._lost)
            else:
                draft.answer = self._answering.response(at, frame, lost=self._lost)
            self._lost = False
            return draft
        self._requests_seen = True
        self._may_tunnel = line.method == "CONNECT" or bool(fields.upgrade)
        self._asking.request(Request(at, frame, line.method))
        return draft

    def _plan(self, draft: _Draft, offset: int) -> None:
        """Decide how the body ends; ``offset``: where it begins."""
        line, fields = draft.line, draft.fields
        assert fields is not None
        request = draft.interim or (draft.answer.request if draft.answer else None)
        plan: BodyPlan = plan_body(
            fields,
            status=line.status,
            version=line.version,
            method=request.method if request else None,
            report=draft.report,
            base=draft.start,
        )
        if line.status == 101 or (request and request.method == "CONNECT" and 200 <= line.status < 300):
            draft.report(TUNNEL, offset=offset)
            self._finish(offset)
            self._state = _State.OPAQUE
            if self.other is not None:
                self.other.tunnel = True
            return
        if plan.chunked:
            self._open_body(draft, plan)
            draft.chunked = ChunkedReader(self._chunk_data, self._limits, draft.report)
            self._state = _State.CHUNKS
            return
        first = plan.lengths[0]
        if first == 0 and len(plan.lengths) == 1:
            self._finish(offset)
            return
        self._open_body(draft, plan)
        draft.lengths = plan.lengths[1:]
        if first is None:
            self._state = _State.CLOSE
        elif first:
            self._left = first
            self._state = _State.LENGTH
        else:
            self._start_peek(offset)

    def _open_body(self, draft: _Draft, plan: BodyPlan) -> None:
        fields = draft.fields
        assert fields is not None
        media = parse_media_type(fields.content_type[0] if fields.content_type else "")
        codings = [c for c in list_items(fields.content_encoding) if c != "identity"] if fields.content_encoding else []
        draft.ranges = RangeMap()
        draft.body = BodyReader(media, codings + list(plan.codings), self._policy, self._limits, draft.report)

    # -- bodies --------------------------------------------------------------------------------------------------

    def _body_data(self, draft: _Draft, data: bytes | memoryview, base: int, pos: int, end: int) -> None:
        assert draft.body is not None
        assert draft.ranges is not None
        draft.ranges.add(draft.body.transferred, base + pos, end - pos)
        draft.body.write(bytes(data[pos:end]) if end - pos <= SMALL else memoryview(data)[pos:end])

    def _passed(self, draft: _Draft, length: int) -> None:
        draft.passed += length

    def _read_length(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        draft = self._draft
        assert draft is not None
        end = min(size, pos + self._left)
        self._body_data(draft, data, base, pos, end)
        self._left -= end - pos
        draft.passed += end - pos
        if not self._left:
            self._boundary(base + end)
        return end

    def _boundary(self, offset: int) -> None:
        """The body ends here, by the present reading."""
        draft = self._draft
        assert draft is not None
        if draft.lengths:
            self._start_peek(offset)
        else:
            self._finish(offset)

    def _read_until_close(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        assert self._draft is not None
        self._body_data(self._draft, data, base, pos, size)
        return size

    def _read_chunks(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        draft = self._draft
        assert draft is not None
        chunked = draft.chunked
        assert chunked is not None
        pos = chunked.feed(data, base, pos, size)
        if chunked.state < ChunkState.DONE:
            return pos
        back = chunked.back
        if chunked.state == ChunkState.DONE:
            self._finish(base + pos - len(back))
            self._buffer = bytearray(back)
            self._line_seen = False
        else:
            draft.complete = False
            self._finish(base + pos - len(back))
            self._lost = True
            self._resync(base + pos - len(back), SKIPPED)
            self._buffer = bytearray(back)
        self._at = base + pos - len(back)
        return pos

    def _chunk_data(self, data: bytes | memoryview, ranges: list[tuple[int, int]]) -> None:
        draft = self._draft
        assert draft is not None
        assert draft.body is not None
        assert draft.ranges is not None
        at = draft.body.transferred
        pieces = draft.ranges.pieces
        if len(pieces) + len(ranges) > MAX_PIECES:
            start = pieces[0][1] if pieces else ranges[0][0]
            pieces[:] = [(0, start, ranges[-1][0] + ranges[-1][1] - start)]
            draft.exact = False
        elif len(ranges) == 1 or not pieces:
            for start, length in ranges:
                draft.ranges.add(at, start, length)
                at += length
        else:
            draft.ranges.add(at, *ranges[0])
            at += ranges[0][1]
            for start, length in ranges[1:]:
                pieces.append((at, start, length))
                at += length
        draft.body.write(data)

    def _hole(self, draft: _Draft, gap: Gap) -> None:
        draft.gaps.append(gap)
        if draft.body is not None:
            draft.body.gap(gap.length, gap.reason)

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
        if draft.line.status and draft.passed == 0 and draft.lengths[0] is not None:
            draft.report(HEAD_ANSWER, offset=draft.start)
        elif not draft.line.status and draft.passed == 0:
            draft.report(NOT_SENT, offset=draft.start)
            draft.complete = False
        self._finish(self._at)
        self._buffer = bytearray(before)
        self._at = base + pos - len(before)
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

    def _end_peek(self, how: StreamEnd) -> None:
        draft = self._draft
        assert draft is not None
        if draft.lengths[0] is not None and draft.passed and not self._buffer:
            # Of two lengths the shorter one fits.
            self._finish(self._at)
            return
        self._peeked_no()
        if self._state is _State.PEEK:
            self._end_peek(how)

    # -- gaps and damage -------------------------------------------------------------------------------------------

    def _gap_between(self, gap: Gap) -> None:
        """A gap outside a message, or in a head."""
        self._lost = True
        end = gap.offset + gap.length
        why = JOINED if gap.reason == "start" else SKIPPED
        if self._state is _State.RESYNC:
            self._skip(self._region_rule, self._region, self._at + len(self._buffer) - self._region)
        elif self._buffer:
            if self._line_seen:
                self._head_cut("bytes of it are lost", gap)
            else:
                self._skip(SKIPPED, self._at, len(self._buffer))
        self._resync(end, why)

    def _head_cut(self, why: str, gap: Gap | None = None) -> None:
        """Give the message of a head that is not whole."""
        head, at = bytes(self._buffer), self._at
        self._buffer = bytearray()
        draft = self._begin_partial(head, at)
        if gap is not None:
            draft.gaps.append(replace(gap, length=0) if gap.length == 0 else gap)
        draft.report(HEAD_CUT, f"the head is not whole: {why}", offset=at)
        self._finish(at + len(head))

    def _head_too_long(self) -> None:
        head, at = bytes(self._buffer), self._at
        draft = self._begin_partial(head, at)
        draft.report(HEAD_LIMIT, f"the head is longer than {self._limits.head} bytes", offset=at)
        self._finish(at + len(head))
        self._resync(at + len(head), SKIPPED)

    def _begin_partial(self, head: bytes, at: int) -> _Draft:
        feed = head.find(b"\n") + 1
        line = parse_start_line(head[:feed])
        assert line is not None
        stop = head.rfind(b"\n") + 1
        draft = self._begin(head, at, line, feed, stop)
        draft.complete = False
        return draft

    def _cut(self, draft: _Draft, offset: int, why: str) -> None:
        """Give the message in progress, whose end is not known."""
        draft.complete = False
        if draft.chunked is not None:
            state = draft.chunked.state
            if state == ChunkState.TRAILERS:
                draft.report(BODY_CUT, f"the end of the chunked body is missing: {why}", offset=offset)
            else:
                draft.report(NO_LAST_CHUNK, f"the chunked body ends without the last chunk: {why}", offset=offset)
        elif self._state is _State.LENGTH:
            there = draft.body.transferred if draft.body else 0
            total = draft.passed + self._left
            draft.report(BODY_CUT, f"{there} of {total} bytes of the body are there: {why}", offset=offset)
        else:
            draft.report(BODY_CUT, f"the end of the body is not known: {why}", offset=offset)
        self._finish(offset)

    def _resync(self, offset: int, why: Rule) -> None:
        self._state = _State.RESYNC
        self._buffer = bytearray()
        self._at = self._region = offset
        self._region_rule = why

    def _read_resync(self, data: bytes | memoryview, base: int, pos: int, size: int) -> int:
        if self.tunnel:
            self._state = _State.OPAQUE
            return size
        before = len(self._buffer)
        window = bytes(self._buffer) + bytes(data[pos:size]) if before else data[pos:size]
        either = self._requests_seen == self._responses_seen
        found = find_start(
            window,
            before - RESYNC_TAIL,
            line_start=self._at == self._region,
            requests=either or self._requests_seen,
            responses=either or self._responses_seen,
        )
        if found < 0:
            # Copied only now and then, so that single bytes do not copy the tail each time.
            if before:
                self._buffer += data[pos:size]
            else:
                self._buffer = bytearray(window[-TAIL:])
                self._at = base + size - len(self._buffer)
            if len(self._buffer) > 4 * TAIL:
                drop = len(self._buffer) - TAIL
                del self._buffer[:drop]
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
        if count <= 0:
            return
        _, first, total = self._skipped.get(why.id, (why, offset, 0))
        self._skipped[why.id] = (why, first, total + count)

    def _skip_findings(self, frames: FrameMap) -> list[Finding]:
        made = []
        for why, offset, count in self._skipped.values():
            text = f"{count} bytes were skipped up to the next start line: {why.summary}"
            made.append(why(text, frames=frames.frames_of(offset, offset + 1), offset=offset))
        self._skipped.clear()
        return made

    # -- giving out ------------------------------------------------------------------------------------------------

    def _frame_at(self, offset: int) -> int:
        numbers = self._frames.frames_of(offset, offset + 1)
        return numbers[0] if numbers else 0

    def _finish(self, end: int) -> None:
        """Give the message in progress, which ends at the stream offset ``end``; a message may begin there."""
        draft = self._draft
        assert draft is not None
        self._draft = None
        self._state = _State.START
        self._buffer = bytearray()
        frames = self._frames.cut(draft.start, end)
        numbers = frames.frames
        if numbers:
            self._high = max(self._high, max(numbers))
        seen = [i for i in (0, len(numbers) - 1) if numbers and numbers[i]] or [i for i, n in enumerate(numbers) if n]
        first, last = (seen[0], seen[-1]) if seen else (-1, -1)
        line = draft.line
        media = parse_media_type(draft.fields.content_type[0]) if draft.fields and draft.fields.content_type else None
        complete = draft.complete and not draft.gaps
        message = HttpMessage(
            is_request=not line.status,
            stream=self._stream,
            version=line.version,
            headers=draft.headers,
            head=draft.head,
            origin=Origin.whole(self._stream, draft.start, end, frames),
            body=_NOTHING,
            method=line.method,
            target=line.target,
            status=line.status,
            reason=line.reason,
            first_frame=numbers[first] if seen else 0,
            last_frame=numbers[last] if seen else 0,
            first_time=frames.times[first] if seen else 0,
            last_time=frames.times[last] if seen else 0,
            trigger=self._high,
            complete=complete,
            gaps=draft.gaps,
        )
        if media is not None:
            message.media_type, message.parameters = media.value, dict(media.parameters)
            if media.problems:
                draft.report(PARAMETER, f"Content-Type has {', '.join(media.problems)}", offset=draft.start)
        if draft.body is not None:
            assert draft.ranges is not None
            origin = Origin(self._stream, draft.ranges, frames, draft.body.transferred, draft.exact)
            message.transferred = draft.body.transferred
            message.body, message.parts, message.body_sha256 = draft.body.finish(origin, complete=draft.complete)
        else:
            message.body = Content(complete=complete, data=b"")
        if draft.chunked is not None and draft.chunked.trailers:
            text = bytes(draft.chunked.trailers).decode("latin-1")
            message.trailers = parse_headers(text, 0, draft.report, draft.chunked.trailer_start)
            if len(message.trailers) > self._limits.headers:
                draft.report(HEADERS_LIMIT, f"the trailer has {len(message.trailers)} lines", offset=end)
                del message.trailers[self._limits.headers :]
        if draft.answer is not None:
            draft.answer.message = message
            request = draft.answer.request
        else:
            request = draft.interim
        if request is not None:
            message.answers = request.offset
        first_frame = (message.first_frame,) if message.first_frame else ()
        findings = draft.report.findings(frames, first_frame)
        message.findings = self._skip_findings(self._frames) + findings if self._skipped else findings
        self._emit(message)


_NOTHING = Content(data=b"")

_END_WORDS = {
    StreamEnd.FIN: "the connection was closed",
    StreamEnd.RESET: "the connection was reset",
    StreamEnd.REUSED: "a new connection uses the same ports",
    StreamEnd.CAPTURE: "the capture ends",
}
