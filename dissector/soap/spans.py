"""Where each element stands in the bytes of its document.

lxml does not know byte offsets, so they are found on demand by a second pass with expat, which does: only the question
'which bytes, which frame' pays for it (about 1 µs an element).
"""

from __future__ import annotations

import re
from xml.parsers import expat

from dissector.soap.xml import document_start

__all__ = ["element_spans"]

_TAG = re.compile(rb"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")


def element_spans(data: bytes, encoding: str = "utf-8") -> list[tuple[int, int]]:
    """Byte spans of the elements in document order: from the ``<`` of the start tag to behind the end tag.

    Args:
        data: the document as sent, byte order mark and junk before it included.
        encoding: as ``parse_xml`` told it.

    Returns:
        (start, end) by position of the element, the root element at 0. Where the document is not well-formed the list
        ends with the last element that began before that place, and elements that are not closed there end there.
    """
    start = document_start(data, encoding)
    if encoding.startswith(("utf-16", "utf-32")):
        return _wide_spans(data, start, encoding)
    spans, whole = _spans(data[start:], "utf-8" if encoding == "ascii" else encoding)
    if not whole:
        # Stray Latin-1 bytes, or an encoding that expat does not know: markup is ASCII in all that are left.
        others, other_whole = _spans(data[start:], "iso-8859-1")
        if other_whole or len(others) > len(spans):
            spans = others
    return [(low + start, high + start) for low, high in spans] if start else spans


def _wide_spans(data: bytes, start: int, encoding: str) -> list[tuple[int, int]]:
    # Read as UTF-8, offsets are mapped back: whatever the declaration says, and expat knows no UTF-32.
    text = data[start:].decode(encoding, "replace")
    plain = text.encode("utf-8", "replace")
    spans, _ = _spans(plain, "utf-8")
    unit = 4 if encoding.startswith("utf-32") else 2
    if len(plain) == len(text):
        return [(start + low * unit, start + high * unit) for low, high in spans]
    wanted = sorted({offset for span in spans for offset in span})
    places: dict[int, int] = {}
    done_plain, done_wide = 0, start
    for offset in wanted:
        done_wide += len(plain[done_plain:offset].decode("utf-8", "replace").encode(encoding, "replace"))
        done_plain = offset
        places[offset] = done_wide
    return [(places[low], places[high]) for low, high in spans]


def _spans(data: bytes, encoding: str) -> tuple[list[tuple[int, int]], bool]:
    """Spans, and whether the root element was closed."""
    try:
        parser = expat.ParserCreate(encoding)
    except (ValueError, LookupError):
        return [], False
    starts: list[int] = []
    ends: list[int] = []
    open_elements: list[int] = []
    match = _TAG.match

    def begin(_name: str, _attributes: object) -> None:
        open_elements.append(len(starts))
        starts.append(parser.CurrentByteIndex)
        ends.append(-1)

    def close(_name: str) -> None:
        # For <a/> expat gives the place behind the tag here, for </a> that of the end tag.
        index = open_elements.pop()
        tag = match(data, starts[index])
        if tag is None or data[tag.end() - 2 : tag.end()] != b"/>":
            tag = match(data, parser.CurrentByteIndex)
        ends[index] = tag.end() if tag else len(data)

    def refuse(*_: object) -> None:
        raise ValueError("a document type declaration")

    parser.StartElementHandler = begin
    parser.EndElementHandler = close
    parser.StartDoctypeDeclHandler = refuse
    stopped = len(data)
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        stopped = max(parser.ErrorByteIndex, 0)
    except (ValueError, LookupError):
        stopped = max(parser.CurrentByteIndex, 0)
    spans = [(low, high if high >= 0 else max(stopped, low)) for low, high in zip(starts, ends, strict=True)]
    return spans, bool(ends) and ends[0] >= 0
