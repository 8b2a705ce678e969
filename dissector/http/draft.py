"""A message under way: what was read of it so far, and the making of the :class:`HttpMessage` in the end."""

from __future__ import annotations

from dissector.base.findings import rule
from dissector.base.limits import Limits
from dissector.base.origin import FrameMap, Gap, Origin, RangeMap, StreamRef
from dissector.http.body import BodyReader
from dissector.http.chunked import ChunkedReader
from dissector.http.content import Content
from dissector.http.head import BARE_LF, BodyPlan, fields_of, parse_headers
from dissector.http.headers import list_items, parse_media_type
from dissector.http.model import HEADER_COST, BodyPolicy, Header, HttpMessage, Part
from dissector.http.pairing import Answer, Request
from dissector.http.part import PARAMETER
from dissector.http.report import Report
from dissector.http.room import Room
from dissector.http.start import StartLine

__all__ = ["SMALL", "Draft", "weight_of"]

SMALL = 64 << 10
"""Body bytes up to this size are copied out of the run, larger ones are passed as a view."""

MAX_PIECES = 100_000
"""Pieces of a body's origin (chunks); with more, only the whole has a place (a chunk of one byte costs 100)."""

PIECE_COST = 150
"""Bytes that one of them takes."""

PLACES = 4
"""All of them may take so small a part of the room for bodies; beyond it only the whole of a body has a place."""

NO_ROOM = Room()
"""Until it is told one."""

HEADERS_LIMIT = rule("http.headers-limit", "warn", "the head has more header lines than are kept")


def weight_of(head: bytes, headers: list[Header]) -> int:
    """Bytes that a head takes, roughly."""
    return len(head) + HEADER_COST * len(headers)


class Draft:
    """A message under way.

    Args:
        head: raw bytes of the head, with the empty line unless it is cut.
        start: stream offset of the first byte.
        line: the start line.
        first: where the header lines begin in ``head``.
        stop: where they end.
        limits: bounds.

    Attributes:
        complete: nothing is known to be missing, apart from ``gaps``.
        passed: bytes of the body that went by, missing ones included.
        answer: of a final response: its place among the answers.
        interim: of an interim response (1xx): the request, where known.
    """

    __slots__ = (
        "_exact", "_media", "_places", "_ranges", "_room", "_weighed", "_weight", "answer", "body", "chunked",
        "complete", "fields", "gaps", "head", "headers", "interim", "limits", "line", "passed", "report",
        "start",
    )  # fmt: skip

    def __init__(self, head: bytes, start: int, line: StartLine, first: int, stop: int, limits: Limits) -> None:
        self.start = start
        self.head = head
        self.line = line
        self.limits = limits
        report = self.report = Report()
        if line.problem is not None:
            report(line.problem, offset=start)
        headers = self.headers = parse_headers(head[:stop].decode("latin-1"), first, report, start)
        if head[first - 2 : first] != b"\r\n":
            report(BARE_LF, offset=start + first - 1)
        if stop == len(head) - 1:
            report(BARE_LF, offset=start + stop)
        fields = self.fields = fields_of(headers)
        if len(headers) > limits.headers:
            report(HEADERS_LIMIT, f"the head has {len(headers)} header lines", offset=start)
            del headers[limits.headers :]
        self._media = parse_media_type(fields.content_type[0]) if fields.content_type else None
        self.gaps: list[Gap] = []
        self.body: BodyReader | None = None
        self.chunked: ChunkedReader | None = None
        self.answer: Answer | None = None
        self.interim: Request | None = None
        self.passed = 0
        self.complete = True
        self._exact = True
        self._ranges: RangeMap | None = None
        self._room = NO_ROOM
        self._places = 0
        self._weight = 0
        self._weighed = 0

    @property
    def request(self) -> Request | None:
        """Of a response: the request that it answers, where that is known by now."""
        return self.answer.request if self.answer is not None else self.interim

    @property
    def may_tunnel(self) -> bool:
        """Of a request: it asks for another protocol."""
        return self.line.method == "CONNECT" or bool(self.fields.upgrade)

    @property
    def wish(self) -> str:
        """Of a request: what it asks for where it wants a tunnel for TLS, else ""."""
        line, upgrade = self.line, ", ".join(self.fields.upgrade)
        return (
            f"CONNECT {line.target}" if line.method == "CONNECT" else f"Upgrade: {upgrade}" * ("TLS" in upgrade.upper())
        )

    @property
    def transferred(self) -> int:
        """Bytes of the body there are."""
        return self.body.transferred if self.body is not None else 0

    @property
    def closed(self) -> bool:
        """The body is a package whose final delimiter was found."""
        return self.body is not None and self.body.closed

    @property
    def whole(self) -> bytes | bytearray | None:
        """Of XML: all bytes of the body so far, None where they are not there."""
        return self.body.whole if self.body is not None else None

    @property
    def held(self) -> int:
        """Bytes in memory, roughly."""
        return self._weight + self._places + (self.body.held if self.body is not None else 0)

    def enter(self, room: Room) -> None:
        """Take its place among all that is in memory."""
        self._room = room
        self._weigh(weight_of(self.head, self.headers))

    def _weigh(self, more: int) -> None:
        self._weight += more
        self._room.load(more)

    def _weigh_body(self) -> None:
        assert self.body is not None
        if self.body.weight != self._weighed:
            self._weigh(self.body.weight - self._weighed)
            self._weighed = self.body.weight

    # -- body ----------------------------------------------------------------------------------------------------

    def open_body(self, plan: BodyPlan, policy: BodyPolicy) -> None:
        """There is a body."""
        fields = self.fields
        codings = [c for c in list_items(fields.content_encoding) if c != "identity"] if fields.content_encoding else []
        codings.extend(plan.codings)
        self._ranges = RangeMap()
        self.body = BodyReader(self._media or parse_media_type(""), codings, policy, self.limits, self.report)
        if plan.chunked:
            self.chunked = ChunkedReader(self._chunks, self.limits, self.report, record=policy.keep)

    def data(self, data: bytes | memoryview, base: int, pos: int, end: int, *, to_close: bool = False) -> int:
        """Body bytes ``data[pos:end]``; ``base + pos`` is the stream offset of the first. ``to_close``: of a package,
        no more than up to its final delimiter. Gives how many were taken."""
        assert self.body is not None
        assert self._ranges is not None
        at, count = self.body.transferred, end - pos
        piece = bytes(data[pos:end]) if count <= SMALL else memoryview(data)[pos:end]
        if to_close:
            count = self.body.write_to_close(piece)
        else:
            self.body.write(piece)
        if count:
            self._ranges.add(at, base + pos, count)
            self.passed += count
        self._weigh_body()
        return count

    def _chunks(self, data: bytes | memoryview, ranges: list[tuple[int, int]]) -> None:
        """Data of chunks, and the stream ranges (start, length) it came from."""
        assert self.body is not None
        assert self._ranges is not None
        at = self.body.transferred
        pieces = self._ranges.pieces
        cost = PIECE_COST * len(ranges)
        if not self._exact or len(pieces) + len(ranges) > MAX_PIECES or not self._room.take(cost, PLACES):
            self._room.free(self._places)
            self._places = 0
            start = pieces[0][1] if pieces else ranges[0][0]
            pieces[:] = [(0, start, ranges[-1][0] + ranges[-1][1] - start)]
            self._exact = False
        else:
            self._places += cost
            # Chunks never touch; only the first of these can go on with the last one of the call before.
            start, length = ranges[0]
            self._ranges.add(at, start, length)
            at += length
            for start, length in ranges[1:]:
                pieces.append((at, start, length))
                at += length
        self.body.write(data)
        self._weigh_body()

    def hole(self, gap: Gap) -> None:
        """Bytes of the body are missing here."""
        self.gaps.append(gap)
        self.passed += gap.length
        if self.body is not None:
            self.body.gap(gap.length, gap.reason)

    # -- result --------------------------------------------------------------------------------------------------

    def message(self, stream: StreamRef, end: int, frames: FrameMap, trigger: int) -> HttpMessage:
        """The message.

        Args:
            stream: the direction.
            end: stream offset of its end.
            frames: of its bytes.
            trigger: see :class:`HttpMessage`.
        """
        line, numbers, times = self.line, frames.frames, frames.times
        first, last = 0, len(numbers) - 1
        if not numbers or not numbers[0] or not numbers[last]:
            # A gap is an entry with frame 0.
            seen = [i for i, number in enumerate(numbers) if number]
            first, last = (seen[0], seen[-1]) if seen else (-1, -1)
        self._room.finish(self._places + self._weight)
        parts: list[Part] = []
        digest = None
        if self.body is not None:
            assert self._ranges is not None
            origin = Origin(stream, self._ranges, frames, self.body.transferred, self._exact)
            body, parts, digest = self.body.finish(origin, complete=self.complete)
        else:
            body = Content(complete=self.complete, data=b"")
        message = HttpMessage(
            is_request=not line.status,
            stream=stream,
            version=line.version,
            headers=self.headers,
            head=self.head,
            origin=Origin.whole(stream, self.start, end, frames),
            body=body,
            method=line.method,
            target=line.target,
            status=line.status,
            reason=line.reason,
            transferred=self.transferred,
            body_sha256=digest,
            parts=parts,
            first_frame=numbers[first] if last >= 0 else 0,
            last_frame=numbers[last] if last >= 0 else 0,
            first_time=times[first] if last >= 0 else 0,
            last_time=times[last] if last >= 0 else 0,
            trigger=trigger,
            complete=self.complete and not self.gaps,
            gaps=self.gaps,
        )
        media = self._media
        if media is not None:
            message.media_type, message.parameters = media.value, dict(media.parameters)
            if media.problems:
                self.report(PARAMETER, f"Content-Type has {', '.join(media.problems)}", offset=self.start)
        if self.chunked is not None:
            message.chunk_runs = self.chunked.runs
            if self.chunked.trailers:
                self._trailers(message, self.chunked)
        if self.report.any:
            message.findings = self.report.findings(frames, (message.first_frame,) if message.first_frame else ())
        if self.answer is not None:
            self.answer.given(message)
        elif self.interim is not None:
            message.answers = self.interim.offset
        return message

    def _trailers(self, message: HttpMessage, chunked: ChunkedReader) -> None:
        message.trailer_bytes = bytes(chunked.trailers)
        text = message.trailer_bytes.decode("latin-1")
        message.trailers = parse_headers(text, 0, self.report, chunked.trailer_start)
        if len(message.trailers) > self.limits.headers:
            self.report(HEADERS_LIMIT, f"the trailer has {len(message.trailers)} lines", offset=chunked.trailer_start)
            del message.trailers[self.limits.headers :]
