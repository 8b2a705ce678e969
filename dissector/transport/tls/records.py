"""Records out of the bytes of one direction, and the way back to a record's edge behind a loss.

A record's header says how long it is, so a gap inside one record costs that record and nothing else. Where a gap hides
a header, the next edge is searched: bytes that read as a header, with another one where the first says that its record
ends. Chance makes such a pair about once in 10¹² bytes.

Memory: one record of ciphertext, or as much of a search. Source: RFC 8446 5.1, RFC 5246 6.2.1, RFC 5246 E.2 (the
ClientHello in a record of SSL 2.0, which old clients begin with).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dissector.base.origin import Gap

if TYPE_CHECKING:
    from dissector.transport.tls.ciphers import Buffer

__all__ = [
    "HEADER", "MOST", "SSL2_HELLO", "Lost", "Record", "RecordReader", "begins_record", "first_line", "hello_begins"
]  # fmt: skip

HEADER = 5
HELLO = HEADER + 6
"""Bytes by which a hello is told from chance: header, message type, length, major version."""
MOST = (1 << 14) + 2048
"""Longest fragment of a record (RFC 5246 6.2.3)."""
SSL2_HELLO = 128
"""Type given to the record of an SSL 2.0 ClientHello; its fragment begins with the message type."""

_HEAD = struct.Struct(">BHH").unpack_from
_TEXT = re.compile(rb"[\t\n\r -~]{4}")
"""How an answer in the clear begins, and no record."""
_CANDIDATE = re.compile(rb"[\x14-\x18]\x03[\x00-\x04]")


class Record(NamedTuple):
    """One record. ``offset`` is that of its header in the stream, ``version`` what the header says."""

    type: int
    version: int
    offset: int
    fragment: Buffer

    @property
    def end(self) -> int:
        """Stream offset behind it."""
        return self.offset + len(self.fragment) + (2 if self.type == SSL2_HELLO else HEADER)


class Lost(NamedTuple):
    """Records that are not there, or not whole: stream offsets start..end, how many (None: not known)."""

    start: int
    end: int
    records: int | None


def hello_begins(start: bytes) -> bool:
    """Whether a record that begins so, with its header, can be the first of a handshake; True where nothing tells.

    A HelloRequest is empty; the others have a length that fits, and begin with a version.
    """
    body = start[HEADER:HELLO]
    if start[:1] != b"\x16" or not body:
        return True
    if body[0] not in (0, 1, 2):
        return False
    return len(body) < HELLO - HEADER or body[0] == 0 or (body[1] == 0 and body[4] == 3)


def _plausible(type: int, version: int, length: int) -> bool:
    return 20 <= type <= 24 and 0x300 <= version <= 0x304 and length <= MOST and (length > 0 or type == 23)


def first_line(start: bytes) -> str:
    """The first line of text that something begins with; "" where it is no text."""
    return start.lstrip().split(b"\r")[0].split(b"\n")[0].decode("latin-1") if _TEXT.match(start) else ""


def begins_record(start: bytes) -> bool:
    """Whether a record can begin so; True where nothing tells."""
    return not start or (20 <= start[0] <= 24 and start[1:2] in (b"", b"\3"))


class RecordReader:
    """Reads the records of one direction, whatever pieces it comes in.

    Attributes:
        at: stream offset of the first byte that is still needed.
    """

    __slots__ = ("_buffer", "_first", "_from", "_need", "_skip", "at")

    def __init__(self) -> None:
        self.at = 0
        self._buffer = bytearray()
        """The bytes from ``at`` on, where they are no whole record yet."""
        self._need = HEADER
        """Bytes from ``at`` on without which nothing can be told."""
        self._skip = 0
        """Bytes of a damaged record that are still to come."""
        self._from: int | None = None
        """Where the loss began whose end is searched."""
        self._first = True

    @property
    def begun(self) -> bytes:
        """The first bytes of the record that is not whole: its header, and what a hello begins with."""
        return bytes(self._buffer[:HELLO])

    @property
    def held(self) -> int:
        """Bytes kept."""
        return len(self._buffer)

    def forget(self) -> None:
        """Nothing comes any more: what is not whole is dropped."""
        self._buffer = bytearray()

    def feed(self, data: Buffer, offset: int) -> Iterator[Record | Lost]:
        """The next bytes. The fragments given out may be views of ``data``."""
        if self._skip:
            step = min(self._skip, len(data))
            self._skip -= step
            data, offset = data[step:], offset + step
            self.at = offset
        if not self._buffer:
            self.at = offset
        if len(self._buffer) + len(data) < self._need:
            self._buffer += data
            return
        if self._buffer:
            data, offset = b"".join((self._buffer, data)), self.at
            self._buffer = bytearray()
        yield from self._read(data, offset, last=False)

    def gap(self, gap: Gap) -> Iterator[Lost]:
        """Bytes that the capture does not hold."""
        after = gap.offset + gap.length
        had, self._buffer, self._need = self._buffer, bytearray(), HEADER
        if self._from is not None:
            self.at = after
            return
        if self._skip:
            left, self._skip, begin = self._skip, 0, gap.offset + self._skip
        elif len(had) >= HEADER and not self._first:
            size = HEADER + _HEAD(had)[2]
            left, begin = size - len(had), self.at + size
            yield Lost(self.at, begin, 1)
        else:
            left, begin = 0, gap.offset - len(had)
        self.at = after
        if gap.length <= left:
            self._skip = left - gap.length
        elif gap.length or had:
            self._from = begin

    def end(self) -> Iterator[Record | Lost]:
        """No more bytes: what a search holds is read if it ends at an edge."""
        if self._from is not None:
            data = bytes(self._buffer)
            yield from self._read(data, self.at, last=True)
            if self._from is not None:
                yield Lost(self._from, self.at + len(self._buffer), None)

    def _read(self, data: Buffer, offset: int, *, last: bool) -> Iterator[Record | Lost]:
        # Views: a slice of bytes would copy each record.
        data = memoryview(data)
        pos, size = 0, len(data)
        while True:
            if self._from is not None:
                found, keep, need = _edge(data, pos, last)
                if not found:
                    self._keep(data, keep, offset, need)
                    return
                yield Lost(self._from, offset + keep, None)
                self._from = None
                pos = keep
            if self._first and size - pos >= HEADER:
                self._first = False
                if data[pos] & 0x80:
                    want = 2 + ((data[pos] & 0x7F) << 8 | data[pos + 1])
                    if pos + want > size:
                        self._first = True
                        self._keep(data, pos, offset, want)
                        return
                    yield Record(SSL2_HELLO, 2, offset + pos, data[pos + 2 : pos + want])
                    pos += want
            need = HEADER
            while size - pos >= HEADER:
                type, version, length = _HEAD(data, pos)
                if not _plausible(type, version, length):
                    self._from = offset + pos
                    break
                end = pos + HEADER + length
                if end > size:
                    need = HEADER + length
                    break
                yield Record(type, version, offset + pos, data[pos + HEADER : end])
                pos = end
            if self._from is None:
                self._keep(data, pos, offset, need)
                return

    def _keep(self, data: Buffer, pos: int, offset: int, need: int) -> None:
        self._buffer = bytearray(data[pos:])
        self.at = offset + pos
        self._need = need


def _edge(data: Buffer, start: int, last: bool) -> tuple[bool, int, int]:
    """Find a record's edge: (found, place, 0), or (not found, what is to be kept from here on, bytes needed of it)."""
    size = len(data)
    for match in _CANDIDATE.finditer(data, start):
        at = match.start()
        if at + HEADER > size:
            return False, at, HEADER
        type, version, length = _HEAD(data, at)
        if not _plausible(type, version, length):
            continue
        follows = at + HEADER + length
        if follows + HEADER <= size:
            if _plausible(*_HEAD(data, follows)):
                return True, at, 0
        elif last:
            if follows == size:
                return True, at, 0
        elif follows >= size or 20 <= data[follows] <= 24:
            return False, at, HEADER + length + HEADER
    keep = max(start, size - 2)
    return False, keep, size - keep + HEADER
