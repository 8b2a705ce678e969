"""Heads: header lines with their places, and what they say about the length of the body.

The length rules are those of RFC 9112 6.3, each deviation a finding. Where RFC 9112 tells a recipient to refuse, a
dissector goes on with the reading that explains most of what follows; the doubt is left to the reader as further
:attr:`BodyPlan.lengths`, which it decides by looking whether a start line stands there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dissector.base.findings import Rule, rule
from dissector.http.headers import list_items
from dissector.http.model import Header
from dissector.http.report import Report

__all__ = ["HEAD_END", "BodyPlan", "HeadFields", "fields_of", "parse_headers", "plan_body"]

HEAD_END = re.compile(rb"\n\r?\n")
"""The line end before the empty line, and the empty line."""

MAX_LENGTH_DIGITS = 18
"""A length with more digits is no length: it would be beyond 2^59 bytes."""

MAX_LENGTHS = 4
"""Differing lengths of one message that are tried."""

BARE_LF = rule("http.bare-lf", "warn", "a line ends with LF alone", "RFC 9112 2.2")
FOLDED = rule("http.folded", "warn", "a header is folded over lines", "RFC 9112 5.2")
SPACE_BEFORE_COLON = rule("http.space-before-colon", "warn", "blanks before the colon of a header", "RFC 9112 5.1")
NO_COLON = rule("http.no-colon", "warn", "a header line has no colon", "RFC 9112 5")
HEADER_NAME = rule("http.header-name", "warn", "a header name is no token", "RFC 9110 5.1")
HEADER_VALUE = rule("http.header-value", "warn", "a header value has control characters", "RFC 9110 5.5")
LENGTH_REPEATED = rule("http.length-repeated", "note", "Content-Length is given more than once", "RFC 9110 8.6")
LENGTH_CONFLICT = rule("http.length-conflict", "error", "Content-Length is given with differing values", "RFC 9112 6.3")
LENGTH_INVALID = rule("http.length-invalid", "warn", "Content-Length is no plain decimal number", "RFC 9110 8.6")
LENGTH_AND_CODING = rule(
    "http.length-and-coding", "warn", "Content-Length and Transfer-Encoding in one message", "RFC 9112 6.2"
)
TRANSFER_CODING = rule(
    "http.transfer-coding", "warn", "the transfer coding is unknown or does not end with chunked", "RFC 9112 6.1"
)
NO_LENGTH = rule(
    "http.no-length", "note", "a 202 on a lasting connection does not say its length: taken as empty", "RFC 9112 6.3"
)

_Reporter = Callable[..., None]

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\r\n(?![ \t])")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(r"[0-9]+\Z", re.ASCII)
_LOOSE_DIGITS = re.compile(r"\+?([0-9]+)\b", re.ASCII)


def parse_headers(
    text: str, start: int, report: Report, base: int | None, *, folded: Rule | None = FOLDED, bare_lf: Rule = BARE_LF
) -> list[Header]:
    """The header lines of a head (or the trailer lines behind the last chunk).

    Args:
        text: the head as latin-1, so that an index is a byte offset.
        start: where the first header line begins.
        report: takes the deviations.
        base: stream offset of the first byte of ``text``, None where findings have no offset.
        folded, bare_lf: the rules that these break; None: no rule (MIME allows folding).
    """
    headers: list[Header] = []
    pos, end = start, len(text)
    match, append = _HEADER.match, headers.append
    while pos < end:
        found = match(text, pos)
        if found is not None:
            name, value = found.groups()
            after = found.end()
            append(Header(name, value.rstrip(" \t"), pos, after - 2))
            pos = after
            continue

        def where(rule: Rule, at: int, text: str | None = None) -> None:
            report(rule, text, offset=None if base is None else base + at)

        header, pos = _loose_line(text, pos, end, where, folded, bare_lf)
        if header is not None:
            headers.append(header)
    return headers


def _loose_line(
    text: str, pos: int, end: int, report: _Reporter, folded: Rule | None, bare_lf: Rule
) -> tuple[Header | None, int]:
    """One header with its folded lines, and where the next begins; None for an empty line."""
    start = last = pos
    lines: list[str] = []
    while True:
        feed = text.find("\n", pos, end)
        stop = end if feed < 0 else feed
        line = text[pos:stop]
        if feed >= 0 and not line.endswith("\r"):
            report(bare_lf, stop)
        line = line.removesuffix("\r")
        bare = line.strip(" \t")
        if bare or not lines:
            last = pos + len(line)
        lines.append(bare)
        pos = stop + 1
        # The empty line ends a head, also one of blanks and CRLF before it is not folded onto it.
        if not line or pos >= end or text[pos] not in " \t":
            break
        if folded is not None:
            report(folded, pos)
    whole = " ".join(part for part in lines if part)
    if not whole:
        return None, pos
    name, colon, value = whole.partition(":")
    if not colon:
        report(NO_COLON, start, f"the header line {whole[:60]!r} has no colon")
        return Header(whole, "", start, last), pos
    bare = name.rstrip(" \t")
    if bare != name:
        report(SPACE_BEFORE_COLON, start, f"blanks between the header name {bare[:60]!r} and its colon")
    if not _TOKEN.match(bare):
        report(HEADER_NAME, start, f"the header name {bare[:60]!r} is no token")
    value = value.strip(" \t")
    if _CONTROL.search(value):
        report(HEADER_VALUE, start, f"the value of {bare[:60]!r} has control characters")
    return Header(bare, value, start, last), pos


class HeadFields:
    """Values of the headers that framing and decoding look at, in order; empty where there is none."""

    __slots__ = (
        "connection", "content_encoding", "content_length", "content_type", "expect", "transfer_encoding", "upgrade",
    )  # fmt: skip

    def __init__(self) -> None:
        none: tuple[str, ...] = ()
        self.content_length = none
        self.transfer_encoding = none
        self.content_encoding = none
        self.content_type = none
        self.connection = none
        self.expect = none
        self.upgrade = none


_WANTED = {name.replace("_", "-"): name for name in HeadFields.__slots__}


def fields_of(headers: list[Header]) -> HeadFields:
    """Pick the values that matter out of all headers."""
    found = HeadFields()
    wanted = _WANTED.get
    for header in headers:
        name = wanted(header.name.lower())
        if name is not None:
            setattr(found, name, (*getattr(found, name), header.value))
    return found


@dataclass(slots=True)
class BodyPlan:
    """How the end of the body is found.

    Attributes:
        lengths: ends to try in ascending order (bytes of body); the last holds where no start line stands at an
            earlier one. None stands for the end of the connection. Where ``chunked``: those of a Content-Length beside
            it, for a body that turns out not to be chunked; empty where there is none.
        chunked: chunked coding says it.
        codings: transfer codings below chunked, outermost last.
        doubtful: the body may not be there at all: a client waits for leave to send it, or this answers HEAD, or it is
            not known whether it does. Where not ``chunked`` the first of ``lengths`` is 0 then.
    """

    lengths: tuple[int | None, ...] = (0,)
    chunked: bool = False
    codings: tuple[str, ...] = ()
    doubtful: bool = False


def plan_body(
    fields: HeadFields, *, status: int, version: str, method: str | None, report: Report, base: int
) -> BodyPlan:
    """How the end of the body is found (RFC 9112 6.3).

    Args:
        fields: of the head.
        status: of a response, 0 for a request.
        version: HTTP version.
        method: of the request; for a response of the request that it answers, None where that is not known.
        report: takes the deviations.
        base: stream offset of the head.
    """
    # "Any response to a HEAD request and any response with a 1xx, 204, or 304 status code is always terminated by
    # the first empty line after the header fields"; "Any 2xx (Successful) response to a CONNECT request implies
    # that the connection will become a tunnel" (RFC 9112 6.3).
    if status and (status < 200 or status in (204, 304) or (method == "CONNECT" and status < 300)):
        return BodyPlan()
    # Some servers send a body with the answer to HEAD all the same. Where that is the request, or may be, what stands
    # behind the head tells.
    headed = bool(status) and method in (None, "HEAD")
    coded = fields.transfer_encoding
    codings = [c for c in list_items(coded) if c != "identity"] if coded else []
    lengths = _lengths(fields.content_length, report, base) if fields.content_length else []
    # "A server that responds with a final status code instead of reading the entire request content"
    # (RFC 9110 10.1.1): the client may have left out the body.
    withheld = not status and bool(fields.expect) and "100-continue" in list_items(fields.expect)
    if codings:
        chunked = codings[-1] == "chunked"
        below = tuple(c for c in codings if c != "chunked")
        if fields.content_length:
            report(LENGTH_AND_CODING, offset=base)
        if chunked:
            return BodyPlan(lengths=tuple(lengths), chunked=True, codings=below, doubtful=withheld or headed)
        report(TRANSFER_CODING, f"transfer coding {', '.join(codings)!r} does not end with chunked", offset=base)
        if not lengths:
            if headed:
                return BodyPlan(lengths=(0, None), codings=below, doubtful=True)
            return BodyPlan(lengths=(None,) if status else (0,), codings=below)
    if lengths:
        if (headed or withheld) and lengths[0]:
            return BodyPlan(lengths=(0, *lengths), doubtful=True)
        return BodyPlan(lengths=tuple(lengths))
    if not status:
        return BodyPlan()
    lasting = version != "1.0" and "close" not in list_items(fields.connection)
    if lasting and method == "HEAD":
        # Nothing says that there is a body, nor where one would end.
        return BodyPlan()
    if lasting and status == 202:
        # Devices answer events with 202, no length and no body, and keep the connection. To the letter the body
        # goes to the end of the connection; the answer would not be known before that.
        report(NO_LENGTH, offset=base)
        return BodyPlan()
    return BodyPlan(lengths=(0, None))


def _lengths(values: tuple[str, ...], report: Report, base: int) -> list[int]:
    if len(values) == 1 and len(values[0]) <= MAX_LENGTH_DIGITS and _DIGITS.match(values[0]):
        return [int(values[0])]
    found: list[int] = []
    items = [item.strip(" \t") for value in values for item in value.split(",")]
    for item in items:
        loose = None if _DIGITS.match(item) else _LOOSE_DIGITS.match(item)
        digits = loose[1] if loose else item if _DIGITS.match(item) else ""
        if not digits or len(digits) > MAX_LENGTH_DIGITS:
            report(LENGTH_INVALID, f"Content-Length {item[:40]!r} is no length; it is ignored", offset=base)
            continue
        if loose:
            report(LENGTH_INVALID, f"Content-Length {item[:40]!r} is taken as {digits}", offset=base)
        number = int(digits)
        if number not in found and len(found) < MAX_LENGTHS:
            found.append(number)
    if len(items) > 1 and len(found) == 1:
        report(LENGTH_REPEATED, f"Content-Length {found[0]} is given {len(items)} times", offset=base)
    elif len(found) > 1:
        said = ", ".join(str(n) for n in found)
        report(LENGTH_CONFLICT, f"Content-Length is given with differing values: {said}", offset=base)
    return sorted(found)
