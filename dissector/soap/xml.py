"""Bytes of an XML document → element tree, whatever a peer wrote.

Rules: no DTD, no external entity, no network; size, nesting, elements and attributes are bounded, and what would cost
too much is refused before libxml2 sees it. The normal path is one strict parse. Only where that fails are the causes
looked for that devices are known for: blanks or junk before the declaration, NULs behind the root, Latin-1 bytes in a
document that says UTF-8, a declaration that contradicts the bytes, attributes without a blank between them. The last
resort is libxml2's recovery, and then the document says so.

Sources: XML 1.0 (5th edition) 2.8 (prolog), 4.3.3 and appendix F (encodings); SOAP 1.2 part 1, 5 (no DTD in a message);
RFC 7303 3.2 (charset parameter).
"""

from __future__ import annotations

import codecs
import contextlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from xml.parsers import expat

from lxml import etree
from lxml.etree import _Element as Element

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits

__all__ = ["ParsedXml", "document_start", "parse_xml", "sniff_encoding"]

EMPTY = rule("xml.empty", "error", "the document is empty")
SIZE = rule("xml.size", "error", "the document is longer than the limit")
DOCTYPE = rule("xml.doctype", "error", "a document type declaration is refused", "SOAP 1.2 part 1, 5")
DEPTH = rule("xml.depth", "warn", "elements are nested too deeply")
ELEMENTS = rule("xml.elements", "error", "the document has too many elements")
ATTRIBUTES = rule("xml.attributes", "error", "an element has too many attributes")
BEFORE = rule("xml.junk-before", "warn", "bytes stand before the XML declaration", "XML 1.0, 2.8")
AFTER = rule("xml.junk-after", "warn", "bytes stand behind the root element", "XML 1.0, 2.1")
ENCODING = rule("xml.encoding", "note", "the encoding is not the one that is declared", "XML 1.0, 4.3.3")
NOT_UTF8 = rule("xml.not-utf-8", "warn", "bytes that are not UTF-8, read as Latin-1", "XML 1.0, 4.3.3")
GLUED = rule("xml.no-blank", "error", "no blank stands between two attributes", "XML 1.0, 3.1")
MALFORMED = rule("xml.not-well-formed", "error", "the document is not well-formed", "XML 1.0, 2.1")

_BLANK = b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n"
"""Byte order marks, and what may stand before a document by mistake."""

MAX_JUNK = 4096
"""Bytes before the document that are skipped."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
)
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_BEGIN = re.compile(rb"<(?:\?xml\s|!--|!DOCTYPE|[A-Za-z_:\x80-\xff])")
# Each branch always matches, also where the end is missing, so that the search is linear.
_OPAQUE = re.compile(rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)", re.DOTALL)
_TAG = re.compile(rb"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+""")
# From a start tag (of which there are not too many, other than of end tags), or the declaration, to the next tag.
_START = re.compile(rb"(?:\A<\?|<(?![/!?]))[^<]++")
# Each value is consumed whole, so that quotes inside of one are not taken for others.
_VALUE = re.compile(rb"""("[^"<]*+"|'[^'<]*+')([A-Za-z_:]?)""")
_PLACE = re.compile(r"(?:,? line \d+)?, line \d+, column \d+\Z")
_ASSIGNED = re.compile(rb"""=\s*+["']""")


def _parser(encoding: str | None, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding, recover=recover, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False,
        dtd_validation=False, attribute_defaults=False,
    )  # fmt: skip


_parser_for = lru_cache(maxsize=32)(_parser)
_STRICT = _parser(None, False)


@dataclass(slots=True)
class ParsedXml:
    """A parsed document.

    Attributes:
        root: the root element, None where nothing could be read.
        encoding: Python's name of the encoding the bytes were read in, such as ``utf-8`` or ``utf-16-le``.
        recovered: it is not well-formed; the tree holds what could be parsed.
        findings: deviations.
    """

    root: Element | None
    encoding: str = "utf-8"
    recovered: bool = False
    findings: list[Finding] = field(default_factory=list)


def parse_xml(data: bytes, *, charset: str | None = None, limits: Limits = DEFAULT_LIMITS) -> ParsedXml:
    """Parse a document; never raises on what the bytes are.

    Args:
        data: the document as sent.
        charset: of the Content-Type header; the last thing that is asked about the encoding.
        limits: ``xml``, ``xml_depth``, ``xml_elements``, ``xml_attributes``.
    """
    # The normal path: begins with "<" and is UTF-8 (or says what else it is), one parse.
    if data[:1] == b"<" and data[1:2] != b"\x00" and len(data) <= limits.xml and b"<!DOCTYPE" not in data:
        encoding, mismatch = sniff_encoding(data, charset)
        # What is refused is looked for in the bytes: they have to be what they seem.
        if not mismatch and (encoding == "utf-8" or _plain_ascii(encoding)) and _refused(data, limits) is None:
            try:
                root = etree.fromstring(data, _STRICT if encoding == "utf-8" else _parser_for(_name(encoding), False))
            except (etree.XMLSyntaxError, ValueError, LookupError):
                pass
            else:
                parsed = ParsedXml(root, encoding)
                _check_depth(parsed, data, limits)
                return parsed
    return _tolerant(data, charset, limits)


def sniff_encoding(data: bytes, charset: str | None = None) -> tuple[str, str | None]:
    """The encoding of a document: byte order mark, then the bytes, then its declaration, then ``charset``.

    Returns:
        Python's name of the encoding, and what is said instead where that contradicts the bytes.
    """
    wide = _wide(data)
    if wide is not None:
        start = data[:512].decode(wide, "ignore").encode("ascii", "replace")
        said = _codec(_declared(start))
        kind = wide[:6]
        return wide, said if said is not None and not said.startswith(kind) else None
    said = _codec(_declared(data[:512]))
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8", said if said not in (None, "utf-8", "ascii") else None
    if said is not None:
        if said.startswith(("utf-16", "utf-32")):
            return "utf-8", said
        return ("utf-8" if said == "ascii" else said), None
    hint = _codec(charset)
    if hint is None or hint in ("utf-8", "ascii") or hint.startswith(("utf-16", "utf-32")) or data.isascii():
        return "utf-8", None
    return ("utf-8", hint) if _is_utf8(data) else (hint, None)


def document_start(data: bytes, encoding: str) -> int:
    """Where the document begins in ``data``: behind a byte order mark, blanks and junk (0 where nothing is found)."""
    head = data[:MAX_JUNK]
    if head[:1] == b"<" and head[1:2] != b"\x00":
        return 0
    unit = 4 if encoding.startswith("utf-32") else 2 if encoding.startswith("utf-16") else 1
    if unit > 1:
        # One byte for each unit, so that places can be told.
        low = unit - 1 if encoding.endswith("be") else 0
        head = head[low::unit]
    blank = len(head) - len(head.lstrip(_BLANK))
    found = _BEGIN.match(head, blank)
    if found is None:
        declared = head.find(b"<?xml ")
        if declared >= 0:
            return declared * unit
        found = _BEGIN.search(head)
    if found is not None:
        return found.start() * unit
    return next((len(mark) for mark, _ in _BOMS if data.startswith(mark)), 0)


# -- the slow path ---------------------------------------------------------------------------------------------------


def _tolerant(data: bytes, charset: str | None, limits: Limits) -> ParsedXml:
    findings: list[Finding] = []
    if len(data) > limits.xml:
        findings.append(SIZE(f"the document has {len(data)} bytes, {limits.xml} are read"))
        data = data[: limits.xml]
    if not data.strip(b"\x00 \t\r\n"):
        findings.append(EMPTY())
        return ParsedXml(None, "utf-8", False, findings)
    encoding, said = sniff_encoding(data, charset)
    if said is not None:
        findings.append(ENCODING(f"{said} is said, the bytes are {encoding}"))
    start = document_start(data, encoding)
    text = _plain(data[start:], encoding, start, findings)
    if start:
        _say_before(data[:start], text, findings)
    refused = DOCTYPE() if _has_doctype(text) else _refused(text, limits)
    if refused is not None:
        findings.append(refused)
        return ParsedXml(None, encoding, False, findings)
    parsed = _parse_plain(text, encoding, findings)
    _check_depth(parsed, text, limits)
    return parsed


def _plain(data: bytes, encoding: str, start: int, findings: list[Finding]) -> bytes:
    """The document as UTF-8, for a parser that is told so."""
    try:
        if encoding == "utf-8":
            data.decode("utf-8")
            return data
        return data.decode(encoding).encode("utf-8")
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            where = start + error.start
            findings.append(NOT_UTF8(f"byte 0x{data[error.start]:02x} is not UTF-8, read as Latin-1", offset=where))
            return _decode_mixed(data).encode("utf-8")
        findings.append(ENCODING(f"bytes that are not {encoding}", offset=start + error.start))
        return data.decode(encoding, "replace").encode("utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("latin-1").encode("utf-8")


def _decode_mixed(data: bytes) -> str:
    """UTF-8 with stray Latin-1 bytes, each of them as the character it most likely is."""
    return data.decode("utf-8", "surrogateescape").translate(_STRAY)


_STRAY = {0xDC00 + byte: chr(byte) for byte in range(0x80, 0x100)}


def _parse_plain(text: bytes, encoding: str, findings: list[Finding]) -> ParsedXml:
    parser = _parser_for("UTF-8", False)
    try:
        return ParsedXml(etree.fromstring(text, parser), encoding, False, findings)
    except (etree.XMLSyntaxError, ValueError) as error:
        # Without its traceback, which would make a circle with this frame: document and message would stay in memory
        # until the garbage collector runs (680 MB for 800 documents that are cut).
        problem = error.with_traceback(None)
    spaced = _spaced(text)
    if spaced is not None:
        # As a discovery client for cameras sends it; expat and libxml2 drop all of it.
        line, column = getattr(problem, "position", (0, 0))
        findings.append(GLUED(f"no blank stands between two attributes, at line {line}, column {column}"))
        return _parse_plain(spaced, encoding, findings)
    end = _root_end(text)
    if end is not None and end < len(text):
        try:
            root = etree.fromstring(text[:end], parser)
        except (etree.XMLSyntaxError, ValueError):
            pass
        else:
            _say_after(text[end:], findings)
            return ParsedXml(root, encoding, False, findings)
    line, column = getattr(problem, "position", (0, 0))
    words = _PLACE.sub("", getattr(problem, "msg", None) or str(problem) or "not parsed")
    findings.append(MALFORMED(f"not well-formed at line {line}, column {column}: {_printable(words)}"))
    try:
        # A NUL would end the document for the recovery.
        recovered = etree.fromstring(text.replace(b"\x00", b""), _parser_for("UTF-8", True))
    except (etree.XMLSyntaxError, ValueError):
        recovered = None
    # In recovery there may be no root at all, and the stubs do not know that.
    return ParsedXml(recovered, encoding, True, findings)


def _spaced(text: bytes) -> bytes | None:
    """The document with blanks between all attributes, None where there are (or where markup may be text)."""
    if b"<![CDATA[" in text or b"<!--" in text:
        return None
    spaced = _START.sub(_spaced_tag, text)
    return spaced if spaced != text else None


def _spaced_tag(start: re.Match[bytes]) -> bytes:
    piece = start[0]
    tag = _TAG.match(piece)
    if tag is None or not any(found[2] for found in _VALUE.finditer(tag[0])):
        return piece
    return _VALUE.sub(_with_blank, tag[0]) + piece[tag.end() :]


def _with_blank(value: re.Match[bytes]) -> bytes:
    return value[1] + b" " + value[2] if value[2] else value[0]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _root_end(text: bytes) -> int | None:
    """Offset of the end of the root element, None where it is not closed."""
    parser = expat.ParserCreate("utf-8")
    depth, starts, ends = 0, -1, -1

    def begin(_name: str, _attributes: object) -> None:
        nonlocal depth, starts
        if depth == 0 and starts < 0:
            starts = parser.CurrentByteIndex
        depth += 1

    def close(_name: str) -> None:
        nonlocal depth, ends
        depth -= 1
        if depth == 0 and ends < 0:
            ends = parser.CurrentByteIndex

    parser.StartElementHandler = begin
    parser.EndElementHandler = close
    with contextlib.suppress(expat.ExpatError, ValueError):
        parser.Parse(text, True)
    # They hold each other, by the closures.
    parser.StartElementHandler = parser.EndElementHandler = None
    if ends < 0:
        return None
    # For <a/> expat tells the place behind the tag, for </a> that of the end tag.
    tag = _TAG.match(text, starts)
    if tag is None or text[tag.end() - 1 : tag.end() + 1] != b"/>":
        tag = _TAG.match(text, ends)
    return tag.end() + 1 if tag else None


def _say_before(junk: bytes, text: bytes, findings: list[Finding]) -> None:
    for mark, _ in _BOMS:
        junk = junk.removeprefix(mark)
    declared = text.startswith(b"<?xml")
    blank = not junk.strip(b"\x00 \t\r\n")
    if not junk or (blank and not declared):
        return
    what = "blanks" if blank else "bytes"
    where = "the XML declaration" if declared else "the document"
    findings.append(BEFORE(f"{len(junk)} {what} stand before {where}: {junk[:16]!r}"))


def _say_after(rest: bytes, findings: list[Finding]) -> None:
    what = "NUL bytes" if not rest.strip(b"\x00") else "bytes"
    findings.append(AFTER(f"{len(rest)} {what} stand behind the root element: {rest[:16]!r}"))


# -- bounds ----------------------------------------------------------------------------------------------------------


def _refused(data: bytes, limits: Limits) -> Finding | None:
    """The finding of a document that must not be parsed.

    Counting bytes is enough for all honest documents and costs about 1 µs; the exact look comes after it. Quotes
    are looked at rather than ``=``, which base64 text has too.
    """
    if data.count(b"<") > limits.xml_elements:
        elements = data.count(b"<") - data.count(b"</") - data.count(b"<!") - data.count(b"<?")
        if elements > limits.xml_elements:
            return ELEMENTS(f"the document has about {elements} elements, {limits.xml_elements} are allowed")
    if data.count(b"=") > limits.xml_attributes:
        for piece in data.split(b"<"):
            if len(piece) > limits.xml_attributes and piece.count(b"=") > limits.xml_attributes:
                tag = _TAG.match(piece)
                if tag is None or piece.startswith((b"!", b"?")):
                    continue
                if next(islice(_ASSIGNED.finditer(tag[0]), limits.xml_attributes, None), None) is not None:
                    return ATTRIBUTES(f"an element has more than {limits.xml_attributes} attributes")
    return None


def _has_doctype(text: bytes) -> bool:
    return b"<!DOCTYPE" in text and b"<!DOCTYPE" in _OPAQUE.sub(b"", text)


@lru_cache(maxsize=8)
def _deeper_than(depth: int) -> etree.XPath:
    return etree.XPath(f"boolean({'/*' * (depth + 1)})")


def _check_depth(parsed: ParsedXml, data: bytes, limits: Limits) -> None:
    # libxml2 itself stops at 256 levels, so what is left here is cheap.
    root = parsed.root
    if root is not None and data.count(b"<") > limits.xml_depth and _deeper_than(min(limits.xml_depth, 256))(root):
        parsed.findings.append(DEPTH(f"elements are nested more than {limits.xml_depth} deep"))


# -- encodings -------------------------------------------------------------------------------------------------------


def _wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32 by its mark or by its NULs."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return None if name == "utf-8" else name
    head = data[:64]
    if b"\x00" not in head:
        return None
    at = head.find(b"<")
    if at < 0:
        return None
    # The unit behind it has its NULs too: else they stand before the document by mistake.
    if at >= 3 and head[at - 3 : at] == b"\x00\x00\x00" and head[at + 1 : at + 4] in (b"", b"\x00\x00\x00"):
        return "utf-32-be"
    if head[at + 1 : at + 4] == b"\x00\x00\x00":
        return "utf-32-le"
    if at % 2 and head[at - 1] == 0 and head[at + 1 : at + 2] in (b"", b"\x00"):
        return "utf-16-be"
    if head[at + 1 : at + 2] == b"\x00":
        return "utf-16-le"
    return None


def _declared(start: bytes) -> str | None:
    found = _DECLARED.search(start) if b"encoding" in start else None
    return found[1].decode("ascii") if found else None


@lru_cache(maxsize=256)
def _codec(name: str | None) -> str | None:
    """Python's name of a text encoding, None where it is not known."""
    if not name:
        return None
    try:
        found = codecs.lookup(name.strip("\"' "))
        "<".encode(found.name)
    except (LookupError, ValueError, TypeError, UnicodeError):
        return None
    return found.name


@lru_cache(maxsize=64)
def _plain_ascii(encoding: str) -> bool:
    """Whether a byte of ASCII is that character, and nothing else is. UTF-7 writes "<" as ``+ADw-``, EBCDIC as "L"."""
    try:
        return all(bytes([byte]).decode(encoding) == chr(byte) for byte in range(0x20, 0x7F))
    except (LookupError, ValueError):
        return False


@lru_cache(maxsize=64)
def _name(encoding: str) -> str:
    """libxml2's name of an encoding."""
    return {"utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "iso8859-1": "ISO-8859-1", "cp1252": "windows-1252"}.get(
        encoding, encoding
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
