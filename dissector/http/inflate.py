"""Content codings gzip and deflate, undone while the bytes stream by.

The result does not depend on how the input was cut, nor does the place where a bomb is given up: how much is allowed
goes by steps of the input, and just as much is passed on. Deflate means zlib (RFC 9110 8.4.1.2), but raw deflate is met
too, and both names are met on bodies that are not coded at all: those are passed on as they are, with a finding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dissector.base.findings import rule
from dissector.base.limits import Limits
from dissector.http.report import Report

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["CODINGS", "CODING_UNKNOWN", "STATE", "Inflater"]

CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
"""Names of the codings that are undone."""

STEP = 16 << 10
"""Input bytes inflated at once, counted from the beginning: behind an error so many are fed again one by one."""

PIECE = 1 << 20
"""Output bytes made at once."""

TRY = 4096
"""Input bytes remembered until the first output, to be passed on if they turn out to be not coded."""

MEMBERS = 1000
"""Gzip members of one body that are read."""

STATE = 48 << 10
"""Bytes that zlib takes: a window of 32 KiB, its tables, and what it copies."""

RATIO_FREE = 1 << 20
"""Output up to this size is never a bomb."""

CODING_UNKNOWN = rule(
    "http.coding-unknown", "note", "the content coding is unknown; the body stays coded", "RFC 9110 8.4"
)
CODING_WRONG = rule("http.coding-wrong", "warn", "the body is not coded as Content-Encoding says", "RFC 9110 8.4")
CODING_DAMAGED = rule("http.coding-damaged", "error", "the coded body is damaged", "RFC 1952 2.3")
CODING_JUNK = rule("http.coding-junk", "warn", "bytes follow the end of the coded body", "RFC 1952 2.2")
INFLATE_LIMIT = rule("http.inflate-limit", "error", "the coded body grows beyond the limit")

_SNIFF, _CODED, _BETWEEN, _PLAIN, _DEAD = range(5)


class Inflater:
    """Undoes one coding.

    Args:
        coding: "gzip" or "deflate".
        limits: ``inflated`` and ``inflate_ratio`` bound the output.
        report: takes the deviations.
    """

    __slots__ = (
        "_bits",
        "_fed",
        "_first",
        "_held",
        "_in",
        "_limits",
        "_members",
        "_out",
        "_report",
        "_state",
        "_whole",
        "_zip",
        "coding",
    )

    def __init__(self, coding: str, limits: Limits, report: Report) -> None:
        self.coding = coding
        self._limits = limits
        self._report = report
        self._state = _SNIFF
        self._first = b""
        """Too few bytes to tell what they begin."""
        self._held: bytes | None = b""
        """The raw input, until the first output shows that it is coded; None from then on."""
        self._zip: _Decompress | None = None
        self._bits = 31
        self._members = 0
        self._fed = 0
        self._in = 0
        self._out = 0
        self._whole = True

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The decoded bytes of the next input."""
        if self._state == _PLAIN:
            yield data
            return
        at = 0
        while at < len(data):
            piece = bytes(data[at : at + STEP - self._fed % STEP])
            at += len(piece)
            self._fed += len(piece)
            yield from self._take(piece)

    def lost(self) -> None:
        """Bytes are missing here; nothing behind them can be decoded."""
        if self._state != _PLAIN:
            self._state = _DEAD
            self._whole = False

    def close(self) -> tuple[bytes, bool]:
        """What is left to pass on, and whether the end of the coded data was seen."""
        if self._state == _SNIFF:
            return self._first, True
        if self._state == _CODED:
            self._report(CODING_DAMAGED, f"the {self.coding} body ends early, after {self._out} decoded bytes")
            self._whole = False
        elif self._state == _BETWEEN and self._first:
            self._report(CODING_JUNK)
        return b"", self._whole

    def _take(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self._state == _CODED:
                before = len(piece)
                out, piece = self._inflate(piece)
                if out:
                    yield out
                elif len(piece) == before:
                    return
            elif self._state == _PLAIN:
                yield piece
                return
            elif self._state == _DEAD:
                return
            else:
                piece = self._begin(piece)

    def _begin(self, piece: bytes) -> bytes:
        """Tell what begins here by its first two bytes: gzip, zlib, raw deflate or plain bytes."""
        between = self._state == _BETWEEN
        data = self._first + piece
        self._first = b""
        if between:
            data = data.lstrip(b"\0")  # padding behind a member (RFC 1952 leaves it open, gzip(1) skips it)
        if len(data) < 2:
            self._first = data
            return b""
        gzip = data[:2] == b"\x1f\x8b"
        if between:
            if not gzip or self._members >= MEMBERS:
                self._report(CODING_JUNK)
                self._state = _DEAD
                return b""
        elif gzip:
            bits = 31
        elif data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0:
            bits = 15
        elif self.coding == "deflate" and data[:1] != b"<" and data[:2] not in (b"\xef\xbb", b"\xff\xfe", b"\xfe\xff"):
            bits = -15
        else:
            self._plain()
            return data
        if not between:
            self._bits = bits
            if gzip != (self.coding == "gzip"):
                self._report(CODING_WRONG, f"the body is {'gzip' if gzip else 'deflate'}, not {self.coding}")
        self._zip = zlib.decompressobj(self._bits)
        self._members += 1
        self._state = _CODED
        return data

    def _plain(self) -> None:
        self._report(CODING_WRONG, f"the body is not {self.coding}, as Content-Encoding says; it is taken as it is")
        self._state = _PLAIN

    def _inflate(self, piece: bytes) -> tuple[bytes, bytes]:
        """Output, and the input that is left."""
        coder = self._zip
        assert coder is not None
        if self._held is not None:
            self._held = self._held + piece if self._in <= TRY else None
        before = coder.copy()
        try:
            out = coder.decompress(piece, PIECE)
            if len(out) == PIECE and not coder.unconsumed_tail:
                # A copy under way stopped at the end of the room, and has no input left that would make it go on.
                out += coder.decompress(b"", PIECE)
        except zlib.error as error:
            return self._salvage(before, piece, error), b""
        if coder.eof:
            rest = coder.unused_data
            self._state = _BETWEEN
            self._held = None
        else:
            rest = coder.unconsumed_tail
        self._in += len(piece) - len(rest)
        if not out:
            return b"", rest
        self._held = None
        return self._allowed(out), rest

    def _salvage(self, coder: _Decompress, piece: bytes, error: zlib.error) -> bytes:
        """An error loses the output of its call: feed the piece again, byte by byte up to the bad one."""
        made = bytearray()
        for at in range(len(piece)):
            try:
                made += coder.decompress(piece[at : at + 1])
            except zlib.error:
                break
        # By where the bad byte is, not by where its piece begins: that goes by how the input was cut.
        if not made and self._held is not None and self._in + at <= TRY:
            self._plain()
            return self._held
        self._state = _DEAD
        self._whole = False
        out = self._allowed(bytes(made))
        if len(out) == len(made):
            self._report(CODING_DAMAGED, f"the {self.coding} body is damaged after {self._out} decoded bytes: {error}")
        return out

    def _allowed(self, out: bytes) -> bytes:
        """What may be passed on of further output; where that is not all, it ends there."""
        # By whole steps of the input and one more, so that a cut just behind a dense place makes no bomb of it.
        steps = -(-self._fed // STEP) + 1
        most = min(self._limits.inflated, max(RATIO_FREE, self._limits.inflate_ratio * steps * STEP))
        if self._out + len(out) > most:
            self._report(INFLATE_LIMIT, f"the {self.coding} body grows beyond the limit: to more than {most} bytes")
            self._state = _DEAD
            self._whole = False
            out = out[: most - self._out]
        self._out += len(out)
        return out
