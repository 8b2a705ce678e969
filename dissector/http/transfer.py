"""Content-Transfer-Encoding of MIME parts (RFC 2045 6): base64 and quoted-printable, undone while they stream by."""

from __future__ import annotations

import binascii
from typing import Protocol

from dissector.base.findings import rule
from dissector.http.report import Report

__all__ = ["TransferDecoder", "transfer_decoder"]

QP_LINE = 64 << 10
"""Bytes of one quoted-printable line held; a longer one (76 are allowed) is decoded in pieces."""

ENCODING_UNKNOWN = rule(
    "mime.encoding-unknown", "warn", "the Content-Transfer-Encoding is unknown; the part stays encoded", "RFC 2045 6.1"
)
BASE64 = rule("mime.base64", "warn", "the base64 part has bytes that do not belong there", "RFC 2045 6.8")
NOT_BASE64 = rule("mime.not-base64", "warn", "the part says base64 and is binary; it is taken as it is", "RFC 2045 6.8")
BASE64_END = rule("mime.base64-end", "warn", "the base64 part ends inside a group of four", "RFC 2045 6.8")

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_FOREIGN = bytes(b for b in range(256) if b not in _ALPHABET)
_BLANK = b" \t\r\n"
FIRST = 4
"""Bytes that tell whether a part is base64 at all: images begin with others (JPEG, PNG, PDF with the first one)."""


class TransferDecoder(Protocol):
    """Undoes one transfer encoding."""

    def feed(self, data: bytes) -> bytes:
        """Decoded bytes of the next input."""
        ...

    def lost(self, length: int) -> int:
        """Input bytes are missing here; the number of decoded bytes that are missing (0: not known)."""
        ...

    def close(self) -> bytes:
        """What is left."""
        ...


class _Base64:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._carry = b""
        self._ended = False
        self._told = False
        """The first bytes were looked at."""
        self._binary = False
        self._skip_line = False
        self._short = False
        """It ends inside a group. Said at the end: else what else is wrong is said before or after, as the cuts are."""

    def feed(self, data: bytes) -> bytes:
        if not self._told:
            data = self._carry + data
            self._carry = b""
            if len(data) < FIRST:
                self._carry = data
                return b""
            self._told = True
            if data[:FIRST].translate(None, _ALPHABET + _BLANK):
                self._binary = True
                self._report(NOT_BASE64)
        if self._binary:
            return data
        return self._decoded(data)

    def _decoded(self, data: bytes) -> bytes:
        if self._skip_line:
            # Behind a gap the groups of four are found again at the next line: lines hold whole groups.
            feed = data.find(b"\n")
            if feed < 0:
                return b""
            data = data[feed + 1 :]
            self._skip_line = False
        clean = data.translate(None, _FOREIGN)
        if len(clean) != len(data) and len(clean) != len(data.translate(None, _BLANK)):
            self._report(BASE64)
        if self._ended:
            if clean.strip(b"="):
                self._report(BASE64)
            return b""
        clean = self._carry + clean
        end = clean.find(b"=")
        if end >= 0:
            self._ended = True
            if clean[end:].strip(b"="):
                self._report(BASE64)
            self._carry = b""
            return self._last(clean[:end])
        whole = len(clean) & ~3
        self._carry = clean[whole:]
        return binascii.a2b_base64(clean[:whole])

    def lost(self, length: int) -> int:
        if self._binary:
            return length
        self._told = True
        self._carry = b""
        self._skip_line = True
        return 0

    def close(self) -> bytes:
        if self._binary:
            return b""
        before = b""
        if not self._told:
            self._told = True
            held, self._carry = self._carry, b""
            before = self._decoded(held)
        carry, self._carry = self._carry, b""
        last = self._last(carry)
        if self._short or (carry and not self._ended):
            self._report(BASE64_END)
        return before + last

    def _last(self, group: bytes) -> bytes:
        if len(group) % 4 == 1:
            self._short = True
            group = group[:-1]
        return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


class _QuotedPrintable:
    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, data: bytes) -> bytes:
        self._line += data
        made = []
        feed = self._line.rfind(b"\n") + 1 if b"\n" in data else 0
        if feed:
            made.append(binascii.a2b_qp(bytes(self._line[:feed])))
            del self._line[:feed]
        while len(self._line) > QP_LINE:
            cut = QP_LINE
            tail = self._line[cut - 2 : cut].find(b"=")
            if tail >= 0:
                cut += tail - 2
            made.append(binascii.a2b_qp(bytes(self._line[:cut])))
            del self._line[:cut]
        return b"".join(made)

    def lost(self, length: int) -> int:
        return 0

    def close(self) -> bytes:
        line, self._line = bytes(self._line), bytearray()
        return binascii.a2b_qp(line)


def transfer_decoder(encoding: str, report: Report) -> TransferDecoder | None:
    """The decoder for a Content-Transfer-Encoding, None where the bytes stand as they are."""
    word = encoding.split(";", 1)[0].strip().lower()
    if word == "base64":
        return _Base64(report)
    if word == "quoted-printable":
        return _QuotedPrintable()
    if word not in ("", "binary", "8bit", "7bit"):
        report(ENCODING_UNKNOWN, f"Content-Transfer-Encoding {encoding[:40]!r} is unknown; the part stays encoded")
    return None
