"""Reading multipart bodies while they stream by (RFC 2046 5.1, RFC 2387 for multipart/related).

The reader is fed the body (transfer and content coding undone) in pieces of any size and never holds more of it than
a delimiter line or a part's headers. Devices' habits it knows: no final delimiter, no line end before a delimiter
(Xerox 3025), a ``start`` that names no part (Ricoh MP 201), a boundary that is not declared or differs from the one
used, headers with LF alone, parts without headers, the root behind the image.

Offsets of parts count the body's bytes that are there, gaps left out, as :mod:`dissector.http.content` says.
"""

from __future__ import annotations

import re

from dissector.base.findings import Rule, rule
from dissector.base.limits import Limits
from dissector.base.origin import Origin
from dissector.http.content import ContentWriter
from dissector.http.delimiter import Delimiter, DelimiterSearch
from dissector.http.headers import could_be_xml
from dissector.http.model import BodyPolicy, Part
from dissector.http.part import BARE_LF, PART_CUT, PartDraft, bare_id
from dissector.http.report import Report

__all__ = ["MultipartReader"]

STEP = 128 << 10
"""Bytes looked at at once: they stay in the cache between the search for a delimiter and the digest."""

LARGE = 4096
"""Bytes of content from which a view is cheaper than a copy."""

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
START_UNMATCHED = rule("mime.start-unmatched", "note", "no part has the Content-ID of start", "RFC 2387 3.2")
PARTS_LIMIT = rule("mime.parts-limit", "error", "the body has more parts than are read")
HEAD_LIMIT = rule("mime.head-limit", "error", "the headers of a part are longer than are read")
NO_HEADERS = rule("mime.no-headers", "warn", "a part begins without headers and empty line", "RFC 2046 5.1.1")
NO_EMPTY_LINE = rule("mime.no-empty-line", "warn", "no empty line ends the headers of a part", "RFC 2046 5.1")
BLANK_LINE = rule("mime.blank-line", "note", "the line that ends the headers of a part holds blanks", "RFC 5322 2.1")
XML_LIMIT = rule("mime.xml-limit", "error", "the root part is larger than is kept")

_HEADER_LIKE = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_BOUNDARY = re.compile(rb"--[!-~]*[0-9A-Za-z][!-~]*\Z")

_PREAMBLE, _HEADERS, _DATA, _EPILOGUE = range(4)


class MultipartReader:
    """Takes one multipart body.

    Args:
        parameters: of the Content-Type.
        policy: what is done with the bytes of parts.
        limits: bounds.
        report: takes the deviations of the body as a whole.
        declared: the Content-Type says that it is one.

    Attributes:
        closed: the final delimiter was found, behind content.
        behind: bytes of the last call of :meth:`write` that stand behind it.
    """

    def __init__(
        self, parameters: dict[str, str], policy: BodyPolicy, limits: Limits, report: Report, *, declared: bool = True
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._report = report
        self._start = bare_id(parameters.get("start"))
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
        self._drafts: list[PartDraft] = []
        self._first_line = True
        self._before_lost = False
        self._root: PartDraft | None = None
        self._ended = False
        self._complete = False
        self._lines = 0
        self.closed = False
        self.behind = 0
        self.weight = 0
        """Bytes that the parts take as objects, roughly."""

    @property
    def begun(self) -> bool:
        """A delimiter was found."""
        return bool(self._drafts)

    # -- input ---------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the body."""
        self.behind = 0
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
            self._drafts[-1].gap(length, reason)
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
            self._drafts[-1].close(closed=complete, end=self._offset)
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
                self.behind += (size - pos) * self.closed
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
            self._drafts[-1].write(data)

    def _delimiter(self, found: Delimiter) -> None:
        """A delimiter was found; ``self._offset`` stands at its start."""
        if found.bare_lf:
            self._report(BARE_LF)
        if self._state == _DATA:
            if found.mid_line:
                self._report(NO_CRLF)
            self._drafts[-1].close(closed=True, end=self._offset)
            # Where no content is before it, earlier calls may have taken what is behind it for a header line.
            self.closed = found.final and self._offset > self._drafts[-1].start
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
            self._drafts.append(PartDraft(self._offset))
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
            self._drafts[-1].close(closed=True, end=self._offset)
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
        part.read_head(bytes(self._head) + rest, problem, self._limits, self._lines)
        self._offset = part.start
        self._head.clear()
        self._line.clear()
        self._state = _DATA
        self._line_start = True
        self._lines += len(part.headers)
        self.weight += part.weight
        self._open(part)

    def _open(self, part: PartDraft) -> None:
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

    def _finished(self, draft: PartDraft, origin: Origin) -> Part:
        writer = draft.writer
        root = draft is self._root
        if not root and draft is self._drafts[0] and not self._policy.keep:
            writer.forget()
        elif root and writer.overflow and writer.keep:
            self._report(XML_LIMIT, f"the root part has {writer.size} bytes, {self._limits.xml} are kept")
        return draft.part(origin, root=root)
