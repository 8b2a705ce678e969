"""Where a body ends that is shorter than its Content-Length says, and the next message follows at once.

Who waits for the rest takes the next message for a part of this one, and has lost the place in the protocol behind it.
The length is not believed where two things come together that no body holds that is as it should be: the document is
whole, and a start line of this direction stands behind it, with nothing but blanks between. Whole is an XML document
that a strict parser takes, or a package whose final delimiter was seen. That the peer answers already, or that a start
line stands where a segment begins, proves nothing: it may refuse a request that is still coming in (401, 413), and
documents hold any text.

Of a package nothing is looked at up to its final delimiter, which is looked for anyway; of XML each ``>``. Bodies of
other types, coded ones and chunked ones are not looked at.

Sources: RFC 9112 6.3 (the length of a body), 11.2 (what a body that is longer than thought does); XML 1.0, 2.1 (nothing
but blanks, comments and processing instructions stands behind the root element).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from dissector.http.start import METHODS, parse_start_line

__all__ = ["LONGEST", "Found", "Overrun", "is_document"]

LONGEST = 1024
"""Bytes of a start line that is looked for: as many may be held."""

TRIES = 3
"""Start lines of one body before which it is asked whether the document is whole: each time costs a parse."""

_BLANKS = b" \t\r\n"


def _begun(word: bytes) -> bytes:
    """A pattern for a word, or for what there is of it where the bytes end."""
    made = b""
    for byte in reversed(word):
        one = re.escape(bytes([byte]))
        made = one + b"(?:\\Z|" + made + b")" if made else one
    return made


def _patterns(words: Iterable[bytes]) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    # The capital letter is asked for first: behind nearly all ">" stands something else.
    begun = rb"(?=[A-Z])(?=" + b"|".join(map(_begun, words)) + b")"
    return re.compile(rb"[ \t\r\n]*" + begun), re.compile(rb">[ \t\r\n]*" + begun)


_STATUS = _patterns([b"HTTP/1."])
_REQUEST = _patterns(method + b" " for method in METHODS)


class Found(NamedTuple):
    """A place in a window.

    Attributes:
        place: where a start line begins, or may begin; the end of the body where there is none.
        seen: where the bytes end that tell; 0 where they are not there yet.
        line: a start line stands there.
    """

    place: int
    seen: int
    line: bool


class Overrun:
    """Watches one body of known length.

    Args:
        request: it is that of a request, and so the next message is one.
        package: it is a package of parts, else one document.

    Attributes:
        package: as given.
        open: the document may have ended with the last byte that was passed on, blanks left out.
        held: bytes that may begin a start line, and were not passed on.
        at: stream offset of the first of them.
        tries: left.
    """

    __slots__ = ("_behind", "_here", "_request", "at", "held", "open", "package", "tries")

    def __init__(self, *, request: bool, package: bool) -> None:
        self._request = request
        self._here, self._behind = _REQUEST if request else _STATUS
        self.package = package
        self.open = False
        self.held = b""
        self.at = 0
        self.tries = TRIES

    def look(self, window: bytes, low: int, high: int) -> Found:
        """The first place from ``low`` on where a start line stands behind what may be the end of the document, or may
        stand, as far as the bytes tell. ``high``: the end of the body, or of the window."""
        seen = high
        found = self._here.match(window, low, high) if self.open else None
        while found is not None or not self.package:
            # Up to the end of the body only: what a cut there would show is looked at wherever the cuts are.
            found = found or self._behind.search(window, low, high)
            if found is None:
                break
            low = found.end()
            told, line = self._told(window[low : low + LONGEST])
            if line or not told:
                return Found(low, low + told if told else 0, line)
            seen, found = max(seen, low + told), None
        return Found(high, seen, False)

    def _told(self, text: bytes) -> tuple[int, bool]:
        """How many bytes tell whether the text begins with a start line (0: more are needed), and whether it does."""
        for size in range(1, min(len(text), len(max(METHODS, key=len)) + 1) + 1):
            if not self._here.match(text, 0, size):
                return size, False
        feed = text.find(b"\n") + 1
        if not feed:
            return (LONGEST if len(text) == LONGEST else 0), False
        line = parse_start_line(text[:feed])
        plain = line is not None and line.problem is None and bool(line.status) is not self._request
        # No address holds one: where it does, the end of the body may stand behind it.
        return feed, plain and b">" not in text[:feed]

    def passed(self, data: bytes) -> None:
        """These bytes, which were looked at, are part of the body."""
        bare = data.rstrip(_BLANKS)
        if bare:
            self.open = not self.package and bare.endswith(b">")


def is_document(data: bytes | bytearray) -> bool:
    """Whether the bytes are one whole, well-formed XML document."""
    from xml.parsers import expat

    def refuse(*_: object) -> NoReturn:
        raise ValueError("no DTD")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(bytes(data), True)
    except (expat.ExpatError, ValueError, LookupError):
        return False
    return True
