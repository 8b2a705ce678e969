"""A part of a multipart body under way: what was read of it so far, and the making of the :class:`Part` in the end.

Where it begins and ends is found in :mod:`~dissector.http.multipart`. Sources: RFC 2045 5 and 6, RFC 2392 (Content-ID).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter

from dissector.base.findings import Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import Origin, RangeMap
from dissector.http.content import ContentWriter
from dissector.http.head import parse_headers
from dissector.http.headers import parse_media_type
from dissector.http.model import HEADER_COST, Header, Part
from dissector.http.report import Report
from dissector.http.transfer import TransferDecoder, transfer_decoder

__all__ = ["BARE_LF", "PARAMETER", "PART_CUT", "PartDraft", "bare_id"]

PART_COST = 2000
"""Bytes that a part takes as an object."""

ALL_HEADERS = 10
"""So many times the header lines of one part are kept of all."""

BARE_LF = rule("mime.bare-lf", "warn", "a line of the multipart body ends with LF alone", "RFC 2046 4.1.1")
HEADERS_LIMIT = rule("mime.headers-limit", "warn", "a part has more header lines than are kept")
PARAMETER = rule("mime.parameter", "warn", "a media type deviates from the grammar", "RFC 2045 5.1")
PART_CUT = rule("mime.part-cut", "error", "the part is not whole")

_NO_WRITER = ContentWriter(digest=False, keep=False)
"""Stands for the writer of a part whose headers are not over; never written to."""


class PartDraft:
    """A part under way.

    Args:
        start: offset of its headers in the body.

    Attributes:
        head_start, start, end: offsets in the body at which headers and content begin, and the content ends.
        head: the raw headers, with the empty line.
        headers, content_id, media_type, parameters: see :class:`~dissector.http.model.Part`.
        report: takes its deviations.
        writer: takes its content, transfer encoding undone by ``decoder`` (None: there is none).
        closed: a delimiter stands behind it.
    """

    __slots__ = (
        "closed", "content_id", "decoder", "end", "head", "head_start", "headers", "media_type", "parameters", "report",
        "start", "writer",
    )  # fmt: skip

    def __init__(self, start: int) -> None:
        self.head_start = start
        self.start = start
        self.end = start
        self.head = b""
        self.headers: list[Header] = []
        self.content_id: str | None = None
        self.media_type = ""
        self.parameters: dict[str, str] = {}
        self.report = Report()
        self.writer = _NO_WRITER
        self.decoder: TransferDecoder | None = None
        self.closed = False

    @property
    def weight(self) -> int:
        """Bytes that it takes as objects, roughly; the content is not counted."""
        return PART_COST + len(self.head) + HEADER_COST * len(self.headers)

    def read_head(self, head: bytes, problem: Rule | None, limits: Limits, lines: int) -> None:
        """The headers are over.

        Args:
            head: all of them.
            problem: with how they ended; None: nothing.
            limits: ``headers`` bounds their number.
            lines: header lines that the parts before have.
        """
        report, most = self.report, limits.headers
        self.head = head
        self.start = self.head_start + len(head)
        if problem is PART_CUT:
            report(PART_CUT, "the headers of the part are cut")
        elif problem is not None:
            report(problem)
        self.headers = parse_headers(head.decode("latin-1"), 0, report, None, folded=None, bare_lf=BARE_LF)
        if len(self.headers) > most:
            report(HEADERS_LIMIT, f"the part has {len(self.headers)} header lines")
            del self.headers[most:]
        if lines + len(self.headers) > ALL_HEADERS * most:
            report(HEADERS_LIMIT, f"the parts have more than {ALL_HEADERS * most} header lines")
            del self.headers[max(ALL_HEADERS * most - lines, 0) :]
        encoding = ""
        for header in reversed(self.headers):
            name = header.name.lower()
            if name == "content-type":
                media = parse_media_type(header.value)
                self.media_type, self.parameters = media.value, dict(media.parameters)
                if media.problems:
                    report(PARAMETER, f"Content-Type of a part has {', '.join(media.problems)}")
            elif name == "content-id":
                self.content_id = bare_id(header.value)
            elif name == "content-transfer-encoding":
                encoding = header.value
        self.decoder = transfer_decoder(encoding, report)

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the content."""
        if self.decoder is not None:
            data = self.decoder.feed(bytes(data))
        if data:
            self.writer.write(data)

    def gap(self, length: int, reason: str) -> None:
        """Bytes of the content are missing here (length 0: it is not known how many)."""
        self.writer.gap(self.decoder.lost(length) if self.decoder else length, reason)

    def close(self, *, closed: bool, end: int) -> None:
        """The content ends at the offset ``end``; ``closed``: a delimiter stands there."""
        self.end = end
        self.closed = closed
        if self.decoder is not None:
            rest = self.decoder.close()
            if rest:
                self.writer.write(rest)

    def part(self, origin: Origin, *, root: bool) -> Part:
        """The part. ``origin``: of the body."""
        place = _part_of(origin, self.start, self.end)
        if self.decoder is not None:
            place.exact = False
            place.size = self.writer.size
        content = self.writer.close(complete=self.closed, origin=place)
        if not content.complete:
            lost = sum(g.length for g in content.gaps)
            self.report(PART_CUT, f"{lost} bytes of the part are missing" if lost else "the end of the part is missing")
        return Part(
            headers=self.headers,
            content=content,
            content_id=self.content_id,
            media_type=self.media_type,
            parameters=self.parameters,
            root=root,
            findings=self.report.findings(default=place.frame_numbers()[:1]) if self.report.any else [],
            head=self.head,
            head_origin=_part_of(origin, self.head_start, self.start),
            bounds=(self.head_start, self.start, self.end),
        )


def _part_of(origin: Origin, start: int, end: int) -> Origin:
    """As ``origin.part``, without a walk over all pieces: a chunked image has thousands of them."""
    pieces = origin.ranges.pieces
    low = max(bisect_right(pieces, start, key=itemgetter(0)) - 1, 0)
    high = bisect_left(pieces, end, low, key=itemgetter(0))
    near = Origin(origin.stream, RangeMap(pieces[low:high]), origin.frames, origin.size) if origin.exact else origin
    return near.part(start, end)


def bare_id(value: str | None) -> str | None:
    """A Content-ID without its angle brackets, None where nothing is left."""
    if value is None:
        return None
    bare = value.strip(" \t\r\n")
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1].strip(" \t")
    return bare or None
