"""Reading multipart bodies while they stream by (RFC 2046 5.1, RFC 2387 for multipart/related).

The reader is fed the body (transfer and content coding undone) in pieces of any size and never holds more of it than
a delimiter line or a part's headers. Devices' habits it knows: no final delimiter, no line end before a delimiter
(Xerox 3025), a ``start`` that names no part (Ricoh MP 201), a boundary that is not declared or differs from the one
used, headers with LF alone, parts without headers, the root behind the image.

Offsets of parts count the body's bytes that are there, gaps left out, as :mod:`dissector.http.content` says.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from operator import itemgetter

from dissector.base.findings import Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import Origin, RangeMap
from dissector.http.content import ContentWriter
from dissector.http.delimiter import Delimiter, DelimiterSearch
from dissector.http.head import parse_headers
from dissector.http.headers import could_be_xml, parse_media_type
from dissector.http.model import HEADER_COST, BodyPolicy, Header, Part
from dissector.http.report import Report
from dissector.http.transfer import TransferDecoder, transfer_decoder

__all__ = ["MultipartReader"]

STEP = 128 << 10
"""Bytes looked at at once: they stay in the cache between the search for a delimiter and the digest."""

PART_COST = 2000
"""Bytes that a part takes as an object."""

LARGE = 4096
"""Bytes of content from which a view is cheaper than a copy."""

ALL_HEADERS = 10
"""So many times the header lines of one part are kept of all."""

MAX_LINE = 200
"""Longest line ``--…`` that is taken as a boundary nobody declared (RFC 2046 allows 70 characters)."""

NO_BOUNDARY = rule("mime.no-boundary", "warn", "the multipart type does not declare its boundary", "RFC 2046 5.1.1")
BOUNDARY_DIFFERS = rule(
    "mime.boundary-differs", "error", "the body uses another boundary than was declared", "RFC 2046 5.1.1"
)
UNDECLARED = rule(
    "mime.undeclared", "error", "the body is a package of parts, the Content-Type does not say so", "RFC 2045 5"
)
ROOT_LATER = rule(
    "mime.root-not-first", "warn", "the root part is not the first one, and no start names it", "RFC 2387 3.2"
)
NO_DELIMITER = rule("mime.no-delimiter", "error", "the multipart body has no delimiter line", "RFC 2046 5.1.1")
NO_CRLF = rule("mime.no-crlf", "warn", "the line end before a delimiter is missing", "RFC 2046 5.1.1")
NO_FINAL = rule("mime.no-final", "warn", "the final delimiter is missing", "RFC 2046 5.1.1")
BARE_LF = rule("mime.bare-lf", "warn", "a line of the multipart body ends with LF alone", "RFC 2046 4.1.1")
START_UNMATCHED = rule("mime.start-unmatched", "note", "no part has the Content-ID of start", "RFC 2387 3.2")
PARTS_LIMIT = rule("mime.parts-limit", "error", "the body has more parts than are read")
HEAD_LIMIT = rule("mime.head-limit", "error", "the headers of a part are longer than are read")
HEADERS_LIMIT = rule("mime.headers-limit", "warn", "a part has more header lines than are kept")
NO_HEADERS = rule("mime.no-headers", "warn", "a part begins without headers and empty line", "RFC 2046 5.1.1")
NO_EMPTY_LINE = rule("mime.no-empty-line", "warn", "no empty line ends the headers of a part", "RFC 2046 5.1")
BLANK_LINE = rule("mime.blank-line", "note", "the line that ends the headers of a part holds blanks", "RFC 5322 2.1")
PARAMETER = rule("mime.parameter", "warn", "a media type deviates from the grammar", "RFC 2045 5.1")
PART_CUT = rule("mime.part-cut", "error", "the part is not whole")
XML_LIMIT = rule("mime.xml-limit", "error", "the root part is larger than is kept")

_HEADER_LIKE = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_BOUNDARY = re.compile(rb"--[!-~]*[0-9A-Za-z][!-~]*\Z")

_PREAMBLE, _HEADERS, _DATA, _EPILOGUE = range(4)


_NO_WRITER = ContentWriter(digest=False, keep=False)
"""Stands for the writer of a part whose headers are not over; never written to."""


class _Draft:
    """A part under way."""

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


class MultipartReader:
    """Takes one multipart body.

    Args:
        parameters: of the Content-Type.
        policy: what is done with the bytes of parts.
        limits: bounds.
        report: takes the deviations of the body as a whole.
        declared: the Content-Type says that it is one.
    """

    def __init__(
        self, parameters: dict[str, str], policy: BodyPolicy, limits: Limits, report: Report, *, declared: bool = True
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._report = report
        self._start = _bare_id(parameters.get("start"))
        boundary = parameters.get("boundary", "").rstrip(" \t")
        # Header values are latin-1 in the model, so this gives the bytes that were sent.
        self._search = DelimiterSearch(boundary.encode("latin-1", "replace")) if boundary else None
        if not boundary:
            report(NO_BOUNDARY if declared else UNDECLARED)
        self._state = _PREAMBLE
        self._held = b""
        self._line = bytearray()
        self._head = bytearray()
        self._line_start = True
        self._offset = 0
        self._drafts: list[_Draft] = []
        self._first_line = True
        self._before_lost = False
        self._root: _Draft | None = None
        self._ended = False
        self._complete = False
        self._lines = 0
        self.weight = 0
        """Bytes that the parts take as objects, roughly."""

    @property
    def begun(self) -> bool:
        """A delimiter was found."""
        return bool(self._drafts)

    # -- input ---------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the body."""
        if len(data) <= 2 * STEP:
            self._take(bytes(data))
            return
        for at in range(0, len(data), STEP):
            self._take(bytes(data[at : at + STEP]))

    def gap(self, length: int, reason: str) -> None:
        """Bytes of the body are missing here (length 0: it is not known how many)."""
        held, self._held = self._held, b""
        self._data(held)
        if self._state == _PREAMBLE:
            self._before_lost = True
            self._first_line = False
            self._offset += len(self._line)
            self._line.clear()
        elif self._state == _HEADERS:
            self._end_headers(PART_CUT, bytes(self._line))
        if self._state == _DATA:
            part = self._open_part()
            part.writer.gap(part.decoder.lost(length) if part.decoder else length, reason)
        # What stands behind the gap may begin a line.
        self._line_start = True

    def close(self, *, complete: bool) -> None:
        """No more bytes. ``complete``: the end of the body was seen."""
        self._complete = complete
        line = bytes(self._line)
        self._line.clear()
        if line and self._state == _HEADERS:
            line = b"" if self._header_line(line) else line
        elif line and self._learn(line):
            line = b""
        self._first_line = False
        if line and self._search is not None:
            self._take(line)
        while self._held and self._search is not None:
            window, self._held = self._held, b""
            found, data_end = self._search.find(window, 0, line_start=self._line_start, final=True)
            self._data(window[:data_end])
            if found is not None:
                self._delimiter(found)
                self._take(window[found.end :])
        if self._state == _HEADERS and not self._head and not self._line:
            # A delimiter that nothing follows was meant as the final one.
            self._drafts.pop()
        elif self._state == _HEADERS:
            self._end_headers(NO_EMPTY_LINE if complete else PART_CUT, bytes(self._line))
        if self._state == _DATA:
            self._end_part(closed=complete, end=self._offset)
        if complete and not self._drafts:
            self._report(NO_DELIMITER)
        elif complete and not self._ended:
            self._report(NO_FINAL)

    # -- states --------------------------------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        pos, size = 0, len(data)
        while pos < size:
            if self._state == _HEADERS:
                pos = self._take_headers(data, pos)
            elif self._state == _EPILOGUE:
                self._offset += size - pos
                return
            elif self._first_line or self._search is None:
                pos = self._take_line(data, pos)
            else:
                pos = self._take_data(data, pos, self._search)

    def _take_data(self, data: bytes, pos: int, search: DelimiterSearch) -> int:
        """Preamble or content of a part, up to a delimiter; gives where it stopped."""
        if not self._held:
            found, data_end = search.find(data, pos, line_start=self._line_start, final=False)
            # What is large is mostly counted, or hashed: it is not copied for that.
            self._data(memoryview(data)[pos:data_end] if data_end - pos > LARGE else data[pos:data_end])
            if found is not None:
                self._delimiter(found)
                return found.end
            self._held = data[data_end:]
            return len(data)
        # Join what is held with no more than decides about it.
        held = len(self._held)
        piece = data[pos : pos + search.longest]
        window = self._held + piece
        found, data_end = search.find(window, 0, line_start=self._line_start, final=False)
        self._data(window[:data_end])
        if found is not None:
            self._held = b""
            self._delimiter(found)
            if found.end >= held:
                return pos + found.end - held
            # The beginning of a header name decided that it is a delimiter: it belongs to the part.
            early = window[found.end : held]
            if self._state == _HEADERS:
                self._line += early
            else:
                self._offset += len(early)
            return pos
        if data_end >= held:
            self._held = b""
            return pos + data_end - held
        self._held = window[data_end:]
        return pos + len(piece)

    def _data(self, data: bytes | memoryview) -> None:
        if not data:
            return
        self._offset += len(data)
        self._line_start = False
        if self._state == _DATA:
            part = self._open_part()
            if part.decoder is not None:
                data = part.decoder.feed(bytes(data))
            if data:
                part.writer.write(data)

    def _delimiter(self, found: Delimiter) -> None:
        """A delimiter was found; ``self._offset`` stands at its start."""
        if found.bare_lf:
            self._report(BARE_LF)
        if self._state == _DATA:
            if found.mid_line:
                self._report(NO_CRLF)
            self._end_part(closed=True, end=self._offset)
        self._offset += found.end - found.start
        self._after_delimiter(final=found.final)

    def _after_delimiter(self, *, final: bool) -> None:
        self._line_start = True
        if final:
            self._ended = True
            self._state = _EPILOGUE
        elif len(self._drafts) >= self._limits.parts:
            self._report(PARTS_LIMIT, f"the body has more than {self._limits.parts} parts")
            self._ended = True
            self._state = _EPILOGUE
        else:
            self._drafts.append(_Draft(self._offset))
            self._state = _HEADERS

    def _take_line(self, data: bytes, pos: int) -> int:
        """The first line of the body or, as long as the boundary is not known, each line."""
        feed = data.find(b"\n", pos)
        end = len(data) if feed < 0 else feed + 1
        before = bytes(self._line)
        if feed < 0 and len(before) + end - pos <= MAX_LINE:
            self._line += data[pos:]
            return end
        self._line.clear()
        short = len(before) + end - pos <= MAX_LINE
        if feed >= 0 and short and self._learn(before + data[pos:end]):
            return end
        self._first_line = False
        if self._search is not None:
            self._held = before
            return pos
        self._offset += len(before) + end - pos
        self._line_start = feed >= 0
        return end

    def _learn(self, line: bytes) -> bool:
        """Take the boundary of the first delimiter line, if none or another one was declared."""
        bare = line.rstrip(b" \t\r\n")
        if self._state != _PREAMBLE or not self._line_start or len(line) > MAX_LINE or not _BOUNDARY.match(bare):
            return False
        if self._search is not None:
            if bare.startswith(self._search.needle):
                return False
            used, declared = bare[2:].decode("latin-1"), self._search.boundary.decode("latin-1")
            self._report(BOUNDARY_DIFFERS, f"the body uses the boundary {used!r}, declared was {declared[:200]!r}")
        self._search = DelimiterSearch(bare[2:])
        self._first_line = False
        self._offset += len(line)
        self._after_delimiter(final=False)
        return True

    # -- headers of a part ---------------------------------------------------------------------------------------

    def _take_headers(self, data: bytes, pos: int) -> int:
        feed = data.find(b"\n", pos)
        end = len(data) if feed < 0 else feed + 1
        if len(self._head) + len(self._line) + end - pos > self._limits.head:
            self._report(HEAD_LIMIT, f"the headers of a part are longer than {self._limits.head} bytes")
            before = bytes(self._line)
            self._end_headers(None)
            self._held = before
            return pos
        if feed < 0:
            self._line += data[pos:]
            return end
        before = bytes(self._line)
        self._line.clear()
        if self._header_line(before + data[pos:end]):
            return end
        self._held = before
        return pos

    def _header_line(self, line: bytes) -> bool:
        """Take one line of a part's headers; False where it belongs to the content."""
        bare = line.rstrip(b" \t\r\n")
        if not bare:
            if line.strip(b"\r\n"):
                self._report(BLANK_LINE)
            self._head += line
            self._end_headers(None)
            return True
        search = self._search
        assert search is not None
        if bare.startswith(search.needle) and bare[len(search.needle) :] in (b"", b"--"):
            self._end_headers(NO_EMPTY_LINE)
            self._end_part(closed=True, end=self._offset)
            self._offset += len(line)
            self._after_delimiter(final=bare != search.needle)
            return True
        if line.startswith(b"<") or (not self._head and not _HEADER_LIKE.match(line)):
            self._end_headers(NO_EMPTY_LINE if self._head else NO_HEADERS)
            return False
        self._head += line
        return True

    def _end_headers(self, problem: Rule | None, rest: bytes = b"") -> None:
        """The headers of the part are over (``rest``: a line of them that is cut); open its content."""
        part = self._drafts[-1]
        part.head = bytes(self._head) + rest
        self._offset = part.start = part.head_start + len(part.head)
        self._head.clear()
        self._line.clear()
        if problem is PART_CUT:
            part.report(PART_CUT, "the headers of the part are cut")
        elif problem is not None:
            part.report(problem)
        self._state = _DATA
        self._line_start = True
        part.headers = parse_headers(part.head.decode("latin-1"), 0, part.report, None, folded=None, bare_lf=BARE_LF)
        if len(part.headers) > self._limits.headers:
            part.report(HEADERS_LIMIT, f"the part has {len(part.headers)} header lines")
            del part.headers[self._limits.headers :]
        if self._lines + len(part.headers) > ALL_HEADERS * self._limits.headers:
            part.report(HEADERS_LIMIT, f"the parts have more than {ALL_HEADERS * self._limits.headers} header lines")
            del part.headers[max(ALL_HEADERS * self._limits.headers - self._lines, 0) :]
        self._lines += len(part.headers)
        self.weight += PART_COST + len(part.head) + HEADER_COST * len(part.headers)
        encoding = ""
        for header in reversed(part.headers):
            name = header.name.lower()
            if name == "content-type":
                media = parse_media_type(header.value)
                part.media_type, part.parameters = media.value, dict(media.parameters)
                if media.problems:
                    part.report(PARAMETER, f"Content-Type of a part has {', '.join(media.problems)}")
            elif name == "content-id":
                part.content_id = _bare_id(header.value)
            elif name == "content-transfer-encoding":
                encoding = header.value
        part.decoder = transfer_decoder(encoding, part.report)
        self._open(part)

    def _open(self, part: _Draft) -> None:
        """Decide whether this is the root part, and so whether its bytes are kept."""
        policy, limits = self._policy, self._limits
        first = len(self._drafts) == 1
        root = False
        if self._root is None and self._start is not None:
            root = part.content_id == self._start
        elif self._root is None:
            # An image first, and the envelope behind it: the one that says what it is.
            unsaid = not part.media_type or part.media_type.startswith("text/")
            root = (first and unsaid and not self._before_lost) or could_be_xml(part.media_type)
        if root:
            self._root = part
            part.writer = ContentWriter(digest=False, keep=True, cap=limits.xml, limits=limits, room=policy.room)
        elif self._root is None and first:
            # It becomes the root where start names no part.
            cap = None if policy.keep else limits.xml
            part.writer = ContentWriter(digest=policy.digest, keep=True, cap=cap, limits=limits, room=policy.room)
        else:
            part.writer = ContentWriter(digest=policy.digest, keep=policy.keep, limits=limits, room=policy.room)

    def _open_part(self) -> _Draft:
        return self._drafts[-1]

    def _end_part(self, *, closed: bool, end: int) -> None:
        part = self._open_part()
        part.end = end
        part.closed = closed
        if part.decoder is not None:
            rest = part.decoder.close()
            if rest:
                part.writer.write(rest)

    # -- result --------------------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes of the parts' content in memory, and of what is not read yet."""
        parts = sum(part.writer.held for part in self._drafts)
        return parts + len(self._head) + len(self._line) + len(self._held)

    def parts(self, origin: Origin) -> list[Part]:
        """The parts, in order. ``origin``: of the body."""
        if self._root is None and self._drafts and not self._before_lost:
            self._root = self._drafts[0]
        if self._complete and self._start and self._root is not None and self._root.content_id != self._start:
            self._report(START_UNMATCHED, f"no part has the Content-ID {self._start!r} that start names")
        if self._start is None and self._drafts and not self._before_lost and self._root is not self._drafts[0]:
            self._report(ROOT_LATER, f"the first part is {self._drafts[0].media_type[:80]}, the root is a later one")
        return [self._finished(part, origin) for part in self._drafts]

    def _finished(self, part: _Draft, origin: Origin) -> Part:
        writer = part.writer
        root = part is self._root
        place = _part_of(origin, part.start, part.end)
        if part.decoder is not None:
            place.exact = False
            place.size = writer.size
        if not root and part is self._drafts[0] and not self._policy.keep:
            writer.forget()
        elif root and writer.overflow and writer.keep:
            self._report(XML_LIMIT, f"the root part has {writer.size} bytes, {self._limits.xml} are kept")
        content = writer.close(complete=part.closed, origin=place)
        if not content.complete:
            lost = sum(g.length for g in content.gaps)
            part.report(PART_CUT, f"{lost} bytes of the part are missing" if lost else "the end of the part is missing")
        return Part(
            headers=part.headers,
            content=content,
            content_id=part.content_id,
            media_type=part.media_type,
            parameters=part.parameters,
            root=root,
            findings=part.report.findings(default=place.frame_numbers()[:1]) if part.report.any else [],
            head=part.head,
            head_origin=_part_of(origin, part.head_start, part.start),
            bounds=(part.head_start, part.start, part.end),
        )


def _part_of(origin: Origin, start: int, end: int) -> Origin:
    """As ``origin.part``, without a walk over all pieces: a chunked image has thousands of them."""
    pieces = origin.ranges.pieces
    low = max(bisect_right(pieces, start, key=itemgetter(0)) - 1, 0)
    high = bisect_left(pieces, end, low, key=itemgetter(0))
    near = Origin(origin.stream, RangeMap(pieces[low:high]), origin.frames, origin.size) if origin.exact else origin
    return near.part(start, end)


def _bare_id(value: str | None) -> str | None:
    if value is None:
        return None
    bare = value.strip(" \t\r\n")
    if bare.startswith("<") and bare.endswith(">"):
        bare = bare[1:-1].strip(" \t")
    return bare or None
