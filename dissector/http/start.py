"""Start lines: how a message begins, and how the next one is found again after damage.

Two places ask. At the place where a message has to begin, :func:`parse_start_line` is tolerant: whatever can be told
apart is read, with findings. Somewhere behind a gap, :func:`find_start` is strict, since there any bytes may stand: a
request line of an unknown method counts at a line start only, one of a known method and a status line anywhere. What
``find_start`` accepts ``parse_start_line`` accepts too; the reader depends on it to make progress.

Sources: RFC 9112 3 (request line), 4 (status line); methods: RFC 9110 9, RFC 5789, RFC 4918, UPnP Device
Architecture 2.0 (4).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dissector.base.findings import Rule, rule

__all__ = [
    "INTEREST_WORDS",
    "METHODS",
    "RESYNC_LINE",
    "RESYNC_TAIL",
    "StartLine",
    "begins_message",
    "find_start",
    "parse_start_line",
]

METHODS = (
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
    b"SUBSCRIBE", b"UNSUBSCRIBE", b"NOTIFY", b"M-POST",
    b"PROPFIND", b"PROPPATCH", b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH",
)  # fmt: skip
"""Methods that are met on networks with WSD devices: HTTP, UPnP eventing (SUBSCRIBE …), WebDAV."""

INTEREST_WORDS: frozenset[bytes] = frozenset(
    {(method + b" ")[:4] for method in METHODS} | {b"\r\n" + method[:2] for method in METHODS}
) | {b"HTTP", b"\r\nHT", b"\r\n\r\n"}
"""The first four bytes of every start line, also behind empty lines: what the transport looks for."""

RESYNC_LINE = 8192
"""Longest request line (up to its version) that is looked for behind damage, in bytes."""

RESYNC_REASON = 1000
"""Longest reason phrase of a status line that is looked for behind damage, in bytes."""

RESYNC_TAIL = RESYNC_REASON + 32
"""A start line that began more than so many bytes (from its ``HTTP/``) before the end of the data is whole."""

START_LINE = rule("http.start-line", "warn", "the start line has blanks where it should not", "RFC 9112 3, 4")
NO_REASON = rule("http.no-reason", "note", "the status line lacks the blank behind the code", "RFC 9112 4")

MAX_METHOD = max(len(method) for method in METHODS)

_CONTROL = re.compile(rb"[\x00-\x20\x7f]")
_METHODS_SP = tuple(method + b" " for method in METHODS)
_STATUS_BEGIN = b"HTTP/1."

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST = re.compile(rb"(" + _TOKEN + rb"{1,64}) ([^\x00-\x20\x7f]+) HTTP/(1\.[0-9])\r?\n\Z")
_STATUS = re.compile(rb"HTTP/(1\.[0-9]) ([1-9][0-9]{2})(?: ([^\n]*))?\n\Z")
_LOOSE_STATUS = re.compile(rb"HTTP/(1\.[0-9])[ \t]+([1-9][0-9]{2})(?:[ \t]([^\n]*))?\s*\n\Z")
_VERSION = re.compile(rb"[ \t]HTTP/(1\.[0-9])\Z")
_METHOD = re.compile(_TOKEN + rb"{1,64}\Z")

_HIT = re.compile(
    rb"HTTP/1\.[0-9](?:([ \t]{1,8}[1-9][0-9]{2}(?:[ \t][^\r\n]{0,%d}+)?\r?\n)|[ \t]{0,8}\r?\n)" % RESYNC_REASON
)
_RESYNC_REQUEST = re.compile(rb"([A-Z][A-Z-]{2,31}) ([^\x00-\x20\x7f]+) \Z")


class StartLine(NamedTuple):
    """A request line or status line; of a status line method and target are "", of a request line status is 0."""

    method: str
    target: str
    status: int
    reason: str
    version: str
    problem: Rule | None = None


def parse_start_line(line: bytes) -> StartLine | None:
    """The start line in ``line`` (which ends with the line feed), None where it is none."""
    found = _REQUEST.match(line)
    if found:
        method, target, version = found.groups()
        return StartLine(method.decode("ascii"), target.decode("latin-1"), 0, "", version.decode("ascii"))
    found = _STATUS.match(line)
    if found:
        version, code, reason = found.groups()
        text = "" if reason is None else reason.decode("latin-1").rstrip("\r").strip(" \t")
        return StartLine("", "", int(code), text, version.decode("ascii"))
    return _loose(line)


def _loose(line: bytes) -> StartLine | None:
    found = _LOOSE_STATUS.match(line)
    if found:
        version, code, reason = found.groups()
        text = (reason or b"").decode("latin-1").strip(" \t\r")
        problem = NO_REASON if line.startswith(b"HTTP/%s %s\r" % (version, code)) else START_LINE
        return StartLine("", "", int(code), text, version.decode("ascii"), problem)
    # No regular expression here: one that allows blanks inside the target takes quadratic time on a line of blanks.
    bare = line.strip(b" \t\r\n")
    end = _VERSION.search(bare[-9:])
    if not end:
        return None
    method, _, target = bare[:-9].strip(b" \t").partition(b" ")
    if not target or not _METHOD.match(method):
        return None
    return StartLine(
        method.decode("ascii"), target.strip(b" \t").decode("latin-1"), 0, "", end[1].decode("ascii"), START_LINE
    )


def begins_message(prefix: bytes, *, request: bool) -> bool | None:
    """Whether the bytes begin a start line; None where they are too few to tell (16 are always enough)."""
    if not request:
        if len(prefix) >= len(_STATUS_BEGIN):
            return prefix.startswith(_STATUS_BEGIN)
        return None if _STATUS_BEGIN.startswith(prefix) else False
    if prefix.startswith(_METHODS_SP):
        return True
    return None if any(word.startswith(prefix) for word in _METHODS_SP) else False


def find_start(
    data: bytes | bytearray | memoryview, start: int, *, line_start: bool, requests: bool, responses: bool
) -> int:
    """Where the first start line begins, -1 where there is none that is whole.

    Args:
        data: bytes at hand.
        start: look at each ``HTTP/`` from this index on (the request line that it ends may begin before).
        line_start: the first byte of ``data`` stands behind a gap or at the beginning, so that a request line with
            a method of :data:`METHODS` may begin there.
        requests, responses: which kinds to look for.
    """
    hit = None
    # Each place is looked at, also inside of what another one took for its reason: which of them are asked for depends
    # on where the bytes were cut.
    while hit := _HIT.search(data, hit.start() + 1 if hit else max(start, 0)):
        at = hit.start()
        if hit[1] is not None:
            if responses:
                return at
            continue
        # Without a status code "HTTP/1.x" ends what may be a request line.
        if not requests or bytes(data[max(at - 1, 0) : at]) != b" ":
            continue
        low = max(at - RESYNC_LINE, 0)
        before = bytes(data[low:at])
        feed = before.rfind(b"\n")
        if feed >= 0 or (low == 0 and line_start):
            line = _RESYNC_REQUEST.match(before, feed + 1)
            if line and (feed >= 0 or line[1] in METHODS):
                return low + feed + 1
        method = _known_method(before)
        if method is not None:
            return low + method
    return -1


def _known_method(before: bytes) -> int | None:
    """Where the known method begins in ``before``, which stands before the version of a request line."""
    # Bodies of XML or images end without a line end, and the next request line follows at once. No regular expression:
    # this is asked at each "HTTP/1.x", and has to be cheap where there are many.
    if not before.endswith(b" "):
        return None
    blank = before.rfind(b" ", 0, -1)
    target = before[blank + 1 : -1]
    if blank < 0 or not target or _CONTROL.search(target):
        return None
    word = before[max(blank - MAX_METHOD, 0) : blank]
    sizes = [len(method) for method in METHODS if word.endswith(method)]
    return blank - max(sizes) if sizes else None
