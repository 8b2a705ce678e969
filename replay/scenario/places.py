"""The texts of a message, each with its place, and the bytes that hold a value there.

A text is that of an element without children, of an attribute, of an HTTP header, of a cookie, or the request target.
Byte ranges are found where a file is written: they are exact also where characters are escaped, in CDATA sections and
in UTF-16.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dissector.catalog.field import Field
from dissector.http.model import Header
from dissector.messages import Message
from dissector.soap.spans import element_spans
from replay.scenario.values import GUID, Place, is_url, path_of

__all__ = ["Spotter", "Text", "occurrences", "spans", "texts", "texts_at"]

_TAG = re.compile(r"""<(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
_ATTRIBUTE = re.compile(r"""\s(?:[^\s=:"'<>/]+:)?([^\s=:"'<>/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_UNIT = re.compile(r"<!--.*?-->|<!\[CDATA\[(.*?)\]\]>|<\?.*?\?>|<[^>]*>|&(#?\w+);|.", re.DOTALL)
_COOKIE = re.compile(r"""(?:^|[;,]\s*)([^\s=;,"]+)=("?)([^;,"\s]*)""")
_STRAY = {0xDC00 + byte: chr(byte) for byte in range(0x80, 0x100)}


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a message.

    Attributes:
        where, path: as in :class:`Place`.
        name: local name of the element (the right one where it was misspelt) or attribute; of the header or cookie.
        text: trimmed.
        field: of an element or of an attribute's element, else None.
        attribute: name of the attribute, "" for none.
    """

    where: str
    path: str
    name: str
    text: str
    field: Field | None = None
    attribute: str = ""


def texts(message: Message) -> Iterator[Text]:
    """All texts of a message: request target, HTTP headers, SOAP header blocks, body."""
    if message.http is not None:
        if message.http.is_request:
            yield Text("target", "", "", message.http.target)
        for path, header in _headers(message.http.headers):
            if header.name.lower() in ("cookie", "set-cookie"):
                for name, _, end, value in _cookies(header):
                    yield Text("http", f"{path}/{name}", name, value if end else "")
            else:
                yield Text("http", path, header.name, header.value.strip())
    if message.envelope is None:
        return
    counts: dict[str, int] = {}
    for block in message.headers:
        count = counts[block.name] = counts.get(block.name, 0) + 1
        yield from _below(block, "header", block.name if count == 1 else f"{block.name}[{count}]")
    if message.body is not None:
        yield from _below(message.body, "body", "")


def _below(root: Field, where: str, stem: str) -> Iterator[Text]:
    waiting = [root]
    while waiting:
        field = waiting.pop()
        path = "/".join(part for part in (stem, field.path) if part)
        for name, (_, text) in field.attributes.items():
            yield Text(where, f"{path}/@{name}" if path else f"@{name}", name, text.strip(), field, name)
        if field.children:
            waiting.extend(reversed(field.children))
        elif field.text and not field.text.isspace():
            yield Text(where, path, field.decl.name if field.decl else field.name, field.text.strip(), field)


def _headers(headers: list[Header]) -> Iterator[tuple[str, Header]]:
    counts: dict[str, int] = {}
    for header in headers:
        key = header.name.lower()
        count = counts[key] = counts.get(key, 0) + 1
        yield header.name if count == 1 else f"{header.name}[{count}]", header


def _cookies(header: Header) -> Iterator[tuple[str, int, int, str]]:
    """Name, start, end (in the header's value) and value of each cookie."""
    for found in _COOKIE.finditer(header.value):
        yield found[1], found.start(3), found.end(3), found[3]
        if header.name.lower() == "set-cookie":
            return  # what follows are its attributes


def texts_at(message: Message) -> dict[tuple[str, str], str]:
    """The (trimmed) text at each place (``where``, ``path``); the first one where several are at the same."""
    return {(one.where, one.path): one.text for one in reversed(list(texts(message)))}


def occurrences(text: str, recorded: str) -> list[tuple[int, int]]:
    """Where a value stands in a text as a part: never in the middle of a longer word, number or URL."""
    if recorded.startswith("/"):
        if text == recorded or text.startswith(f"{recorded}?"):
            return [(0, len(recorded))]
        urls = [one for one in re.finditer(r"\S+", text) if is_url(one[0]) and path_of(one[0]) == recorded]
        return [(one.end() - len(recorded), one.end()) for one in urls if one[0].endswith(recorded)]
    plain, flags = re.escape(recorded), re.IGNORECASE if GUID.search(recorded) else 0
    if is_url(recorded) and recorded.count("/") > 2:
        pattern = rf"(?<!\S){plain}(?!\S)"
    else:
        pattern = rf"(?<![\w.-]){plain}(?![\w-]|[.:]\w)"
    return [found.span() for found in re.finditer(pattern, text, flags)] if recorded else []


def spans(message: Message, place: Place, recorded: str) -> list[tuple[int, int]]:
    """Byte ranges that hold a value: in ``message.envelope.xml``, for ``target`` and ``http`` in ``message.http.head``.

    Args:
        message: the one the place is in.
        place: of the value.
        recorded: its recorded text; where ``place.whole``, all of the trimmed text is meant, whatever it is.

    Returns:
        (start, end) in order, entities included; empty where nothing is found.
    """
    return Spotter(message).spans(place, recorded)


class Spotter:
    """:func:`spans` for several places of one message."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._texts = {(one.where, one.path): one for one in reversed(list(texts(message)))}
        self._elements: list[tuple[int, int]] | None = None

    def text(self, place: Place) -> str:
        """The (trimmed) text at a place, "" where there is none."""
        found = self._texts.get((place.where, place.path))
        return found.text if found is not None else ""

    def spans(self, place: Place, recorded: str) -> list[tuple[int, int]]:
        """As :func:`spans`."""
        if place.where in ("target", "http"):
            return self._in_head(place, recorded)
        found = self._texts.get((place.where, place.path))
        envelope = self._message.envelope
        if found is None or found.field is None or envelope is None:
            return []
        if self._elements is None:
            self._elements = element_spans(envelope.xml, envelope.encoding)
        if not 0 <= found.field.index < len(self._elements):
            return []
        low, high = self._elements[found.field.index]
        errors = "surrogateescape" if envelope.encoding in ("utf-8", "ascii") else "replace"
        try:
            raw = envelope.xml[low:high].decode(envelope.encoding, errors)
            ranges = _in_element(raw, found, place.whole, recorded)
            return [
                (low + len(raw[:start].encode(envelope.encoding, errors)),
                 low + len(raw[:end].encode(envelope.encoding, errors)))
                for start, end in ranges
            ]  # fmt: skip
        except (LookupError, UnicodeError):
            return []

    def _in_head(self, place: Place, recorded: str) -> list[tuple[int, int]]:
        http = self._message.http
        if http is None:
            return []
        head = http.head.decode("latin-1")
        if place.where == "target":
            start = head.find(http.target, head.find(http.method) + len(http.method)) if http.target else -1
            return _picked(http.target, start, place.whole, recorded) if start >= 0 else []
        wanted, _, cookie = place.path.partition("/")
        for path, header in _headers(http.headers):
            if path.lower() != wanted.lower():
                continue
            line = head[header.start : header.end]
            colon = line.find(":") + 1
            value = line.find(header.value, colon)
            if value < 0:
                # Folded over lines: the whole of it, but no part, has a place.
                blanks = len(line[colon:]) - len(line[colon:].lstrip())
                whole = place.whole and not cookie
                return [(header.start + colon + blanks, header.end)] if whole else []
            value += header.start
            if not cookie:
                return _picked(header.value, value, place.whole, recorded)
            return [(value + low, value + high) for name, low, high, _ in _cookies(header) if name == cookie]
        return []


def _picked(text: str, start: int, whole: bool, recorded: str) -> list[tuple[int, int]]:
    if whole:
        return [(start, start + len(text))] if text else []
    return [(start + low, start + high) for low, high in occurrences(text, recorded)]


def _in_element(raw: str, found: Text, whole: bool, recorded: str) -> list[tuple[int, int]]:
    """Ranges in the text of an element, from its start tag on."""
    tag = _TAG.match(raw)
    if tag is None:
        return []
    if not found.attribute:
        if tag[0].endswith("/>"):
            return []
        end = raw.rfind("</")
        return _in_content(raw, tag.end(), end if end >= 0 else len(raw), whole, recorded)
    local = found.attribute.rpartition(":")[2]
    for match in _ATTRIBUTE.finditer(tag[0]):
        group = 2 if match[2] is not None else 3
        if match[1] == local and "xmlns:" not in match[0] and html.unescape(match[group]).strip() == found.text:
            return _in_content(raw, match.start(group), match.end(group), whole, recorded)
    return []


def _in_content(raw: str, low: int, high: int, whole: bool, recorded: str) -> list[tuple[int, int]]:
    """Each character with the range it is written in, and with the markers of a CDATA section around it."""
    chars: list[str] = []
    inner: list[tuple[int, int]] = []
    outer: list[tuple[int, int]] = []
    for unit in _UNIT.finditer(raw, low, high):
        start, end = unit.span()
        if unit[1] is not None:
            first, last = unit.span(1)
            for at in range(first, last):
                chars.append(raw[at])
                inner.append((at, at + 1))
                outer.append((start if at == first else at, end if at == last - 1 else at + 1))
        elif unit[2] is not None or unit[0][0] != "<":
            character = html.unescape(unit[0]) if unit[2] is not None else unit[0]
            for one in character:
                chars.append(one)
                inner.append((start, end))
                outer.append((start, end))
    text = "".join(chars).translate(_STRAY)
    if whole:
        filled = [at for at, one in enumerate(text) if not one.isspace()]
        return [(outer[filled[0]][0], outer[filled[-1]][1])] if filled else []
    return [(inner[first][0], inner[last - 1][1]) for first, last in occurrences(text, recorded)]
