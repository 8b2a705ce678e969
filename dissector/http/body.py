"""The body of one message: from transferred bytes to content and parts, while they stream by.

Framing (chunks, lengths) is undone before the bytes come here. Here content codings are undone, and the decoded
bytes go to the multipart reader or to one content. What could be XML is always kept, up to ``Limits.xml``: the content
type says so, or the first byte that is not blank is ``<``, or a byte order mark stands there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissector.base.findings import rule
from dissector.base.limits import Limits
from dissector.base.origin import Origin
from dissector.http.content import Content, ContentWriter
from dissector.http.headers import MediaType, could_be_xml
from dissector.http.inflate import CODING_UNKNOWN, CODINGS, STATE, Inflater
from dissector.http.model import BodyPolicy, Part
from dissector.http.multipart import MultipartReader
from dissector.http.report import Report

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["BodyReader", "looks_like_xml"]

SNIFF = 1024
"""Blank bytes before the first other one that are held to tell whether the body could be XML."""

MAX_CODINGS = 4
"""Codings on top of each other that are undone."""

XML_LIMIT = rule("http.xml-limit", "error", "the body is larger than is kept of one that could be XML")
CODINGS_LIMIT = rule("http.codings-limit", "warn", "more codings on top of each other than are undone")

_FIRST_PART = re.compile(rb"--[!-~]{1,100}[ \t]*\r?\n(?:content-|mime-)", re.IGNORECASE)
_FIRST_BYTES = 120
"""So many bytes tell whether a part begins."""

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_BLANKS = b" \t\r\n"


def looks_like_xml(first: bytes, *, final: bool) -> bool | None:
    """Whether the first bytes can begin XML; None where they are too few to tell."""
    bare = first.lstrip(_BLANKS)
    if not bare:
        return False if final or len(first) > SNIFF else None
    if bare[:1] == b"<" or bare.startswith(_BOMS) or bare.startswith((b"\0<", b"<\0")):
        return True
    if not final and (bare == b"\0" or any(bom.startswith(bare) for bom in _BOMS)):
        return None
    return False


def begins_parts(first: bytes, *, final: bool) -> bool | None:
    """Whether the first bytes are a delimiter line and a header of a part; None where they are too few to tell."""
    if not first.startswith(b"--"):
        return None if not final and first in (b"", b"-") else False
    if _FIRST_PART.match(first[:_FIRST_BYTES]):
        return True
    return False if final or len(first) >= _FIRST_BYTES else None


class BodyReader:
    """Takes one body.

    Args:
        media: of the Content-Type header; its value is "" where there is none.
        codings: content codings below transfer codings, in the order they were applied.
        policy: what is done with the bytes.
        limits: bounds.
        report: takes the deviations of the message.

    Attributes:
        transferred: bytes taken.
        decoded: bytes that they became, content codings undone.
    """

    __slots__ = (
        "_coders",
        "_decoded",
        "_digest",
        "_first",
        "_gaps",
        "_inflaters",
        "_lead",
        "_limits",
        "_media",
        "_multipart",
        "_policy",
        "_report",
        "_undeclared",
        "_writer",
        "decoded",
        "transferred",
    )

    def __init__(
        self, media: MediaType, codings: list[str], policy: BodyPolicy, limits: Limits, report: Report
    ) -> None:
        self.transferred = 0
        self.decoded = 0
        self._policy = policy
        self._limits = limits
        self._report = report
        self._media = media
        self._gaps = False
        self._digest: _Hash | None = None
        if policy.digest_bodies:
            from hashlib import sha256

            self._digest = sha256()
        self._inflaters: list[Inflater] = []
        self._decoded = True
        for coding in reversed(codings):
            if coding not in CODINGS:
                report(CODING_UNKNOWN, f"the coding {coding[:40]!r} is unknown; the body stays coded")
                self._decoded = False
                break
            if len(self._inflaters) == MAX_CODINGS:
                report(CODINGS_LIMIT)
                self._decoded = False
                break
            self._inflaters.append(Inflater(CODINGS[coding], limits, report))
        self._coders = STATE * len(self._inflaters)
        self._first = b""
        self._undeclared = False
        """It is a package of parts that is not declared as one."""
        self._writer: ContentWriter | None = None
        self._lead: ContentWriter | None = None
        self._multipart: MultipartReader | None = None
        if self._decoded and media.value.startswith("multipart/"):
            self._multipart = MultipartReader(media.parameters, policy, limits, report)
            self._writer = ContentWriter(digest=False, keep=policy.keep, limits=limits, room=policy.room)
            # Should there turn out to be no parts, this is the body.
            self._lead = ContentWriter(digest=policy.digest, keep=True, cap=limits.xml, limits=limits, room=policy.room)

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes as transferred."""
        self.transferred += len(data)
        if self._digest is not None:
            self._digest.update(data)
        if self._inflaters:
            self._inflate(data, 0)
        else:
            self._content(data)

    def write_to_close(self, data: bytes | memoryview) -> int:
        """The next bytes of a declared package without codings, up to its final delimiter; gives how many."""
        package = self._multipart
        assert package is not None
        package.write(data)
        count = len(data) - package.behind
        if package.behind:
            data = data[:count]
        self.transferred += count
        if self._digest is not None:
            self._digest.update(data)
        self._keep(data)
        return count

    @property
    def could_be_xml(self) -> bool:
        """It is declared as one document of XML, without codings."""
        return self._decoded and not self._inflaters and self._multipart is None and could_be_xml(self._media.value)

    @property
    def could_be_package(self) -> bool:
        """It is declared as a package of parts, without codings."""
        return self._multipart is not None and not self._inflaters

    @property
    def closed(self) -> bool:
        """It is a package whose final delimiter was found."""
        return self._multipart is not None and self._multipart.closed

    @property
    def whole(self) -> bytes | bytearray | None:
        """Of XML: all bytes so far, None where they are not there."""
        return self._writer.whole if self._writer is not None else None

    def _inflate(self, data: bytes | memoryview, level: int) -> None:
        last = level + 1 == len(self._inflaters)
        for piece in self._inflaters[level].feed(data):
            if last:
                self._content(piece)
            else:
                self._inflate(piece, level + 1)

    def gap(self, length: int, reason: str) -> None:
        """Bytes as transferred are missing here (length 0: it is not known how many)."""
        self._gaps = True
        if self._inflaters:
            for inflater in self._inflaters:
                inflater.lost()
            length = 0
        if self._writer is None:
            self._open(final=True)
        assert self._writer is not None
        self._writer.gap(length, reason)
        if self._multipart is not None:
            self._multipart.gap(length, reason)
            if self._lead is not None:
                self._lead.gap(length, reason)

    def _content(self, data: bytes | memoryview) -> None:
        """Decoded bytes."""
        if self._multipart is not None:
            self._multipart.write(data)
        self._keep(data)

    def _keep(self, data: bytes | memoryview) -> None:
        """Decoded bytes, beside what a reader of packages made of them."""
        self.decoded += len(data)
        if self._multipart is not None and self._lead is not None:
            if self._multipart.begun:
                self._lead = None
            else:
                self._lead.write(data)
        if self._writer is None:
            self._first = self._first + bytes(data[: SNIFF + 8]) if self._first else bytes(data[: SNIFF + 8])
            rest = data[SNIFF + 8 :]
            if not self._open(final=bool(rest)):
                return
            data = rest
            if self._undeclared and self._multipart is not None:
                self._multipart.write(rest)
            if not data:
                return
        assert self._writer is not None
        self._writer.write(data)

    def _open(self, *, final: bool) -> bool:
        """Make the writer for a body without parts, as soon as its first bytes tell whether it could be XML."""
        policy, limits = self._policy, self._limits
        if self._decoded and self._multipart is None:
            parts = begins_parts(self._first, final=final)
            if parts is None:
                return False
            if parts:
                self._undeclared = True
                self._multipart = MultipartReader({}, policy, limits, self._report, declared=False)
                self._multipart.write(self._first)
        xml = self._decoded and (could_be_xml(self._media.value) or looks_like_xml(self._first, final=final))
        if xml is None:
            return False
        self._writer = ContentWriter(
            digest=policy.digest and not xml,
            keep=xml or policy.keep,
            cap=limits.xml if xml else None,
            limits=limits,
            room=policy.room,
        )
        if self._first:
            self._writer.write(self._first)
        return True

    @property
    def held(self) -> int:
        """Bytes of its content in memory."""
        writers = [self._writer, self._lead]
        held = sum(w.held for w in writers if w is not None)
        return held + (self._multipart.held if self._multipart else 0)

    @property
    def weight(self) -> int:
        """Bytes that everything but content takes, roughly."""
        return self._coders + (self._multipart.weight if self._multipart is not None else 0)

    def finish(self, origin: Origin, *, complete: bool) -> tuple[Content, list[Part], str | None]:
        """The end: body, parts, and the digest of the body as transferred.

        Args:
            origin: of the body as transferred.
            complete: the end of the body was seen.
        """
        if complete and not self._gaps:
            decoded = self._close_inflaters()
        else:
            decoded = not self._inflaters
        if self._writer is None:
            self._open(final=True)
        writer = self._writer
        assert writer is not None
        if self._inflaters:
            origin = Origin(origin.stream, origin.ranges, origin.frames, writer.size, exact=False)
        parts: list[Part] = []
        if self._multipart is not None:
            self._multipart.close(complete=complete and decoded)
            parts = self._multipart.parts(origin)
            if not parts and self._lead is not None:
                writer = self._lead
                if not self._policy.keep and not looks_like_xml(writer.head, final=True):
                    writer.forget()
        if writer.cap is not None and writer.overflow and writer.keep:
            self._report(XML_LIMIT, f"the body has {writer.size} bytes, {self._limits.xml} are kept")
        digest = self._digest.hexdigest() if self._digest is not None and complete and not self._gaps else None
        return writer.close(complete=complete and decoded, origin=origin), parts, digest

    def _close_inflaters(self) -> bool:
        whole = True
        for level, inflater in enumerate(self._inflaters):
            rest, ended = inflater.close()
            whole = whole and ended
            if rest:
                if level + 1 < len(self._inflaters):
                    self._inflate(rest, level + 1)
                else:
                    self._content(rest)
        return whole
