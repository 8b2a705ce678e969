"""Attachments: the parts of a package joined to the elements that include them, and inline base64.

Sources: XOP 1.0, 3 and 4; MTOM 1.0; RFC 2392 (cid: URLs); MS-BDSRR 2.2.4 (ImageData); WS-Scan rules on RetrieveImage.
"""

from __future__ import annotations

import binascii
from collections import deque
from dataclasses import replace

from lxml.etree import _Element as Element

from dissector.base.findings import Finding, rule
from dissector.base.origin import Origin
from dissector.http.content import HEAD_SIZE, Content
from dissector.http.model import Part
from dissector.messages.images import fits, real_type, too_short
from dissector.messages.model import Attachment
from dissector.soap.addressing import split_tag, text_of, unquoted
from dissector.soap.model import Envelope, Include

__all__ = ["attachments_of"]

UNRESOLVED = rule("mime.include-unresolved", "error", "an xop:Include names a part that is not there", "XOP 1.0, 3.2")
NOT_INCLUDED = rule("mime.part-not-included", "note", "a part is included by no element", "XOP 1.0, 3.1")
BY_POSITION = rule("mime.include-by-position", "warn", "the only part is not named by the only xop:Include", "RFC 2392")
BASE64 = rule("image.base64", "warn", "the inline base64 of an image is damaged", "XML Schema part 2, 3.2.16")
MISMATCH = rule("image.type-mismatch", "warn", "an image is not what was declared")
EMPTY = rule("image.empty", "warn", "an image has no bytes")
HOLE = rule("image.hole", "error", "bytes of an image are not in the capture")
CUT = rule("image.cut", "error", "the end of an image was not captured")

_HOLDERS = ("ImageData", "ScanData")
MAX_HOLES = 20
"""Holes of one attachment that get a finding of their own."""


def attachments_of(
    envelope: Envelope, parts: list[Part], xml_origin: Origin | None, findings: list[Finding]
) -> list[Attachment]:
    """The attachments of a message, in the order of the elements that include them, then those without one.

    Args:
        envelope: with its includes.
        parts: all parts of the package but the root part.
        xml_origin: of the envelope's bytes.
        findings: deviations are added.
    """
    found: list[Attachment] = []
    declared = _declared_format(envelope)
    named_parts = _Named(parts)
    unresolved: list[Include] = []
    for include in envelope.includes:
        part = named_parts.take(include.content_id)
        if part is None:
            unresolved.append(include)
            continue
        found.append(_of_part(part, _path(include.parent, envelope), declared))
    free = named_parts.free()
    if len(unresolved) == 1 and len(free) == 1 and len(parts) == 1:
        part, include = free.pop(), unresolved.pop()
        named, own = include.content_id[:80], (part.content_id or "")[:80]
        findings.append(BY_POSITION(f"the include names {named!r}, the only part is {own!r}"))
        found.append(_of_part(part, _path(include.parent, envelope), declared))
    for include in unresolved[:MAX_HOLES]:
        named = include.content_id[:80]
        findings.append(UNRESOLVED(f"no part has the Content-ID {named!r}", path=_local(include.parent)))
    for part in free:
        own = (part.content_id or "without Content-ID")[:80]
        findings.append(NOT_INCLUDED(f"no element includes the part {own!r}"))
        found.append(_of_part(part, None, None))
    if b"ImageData" in envelope.xml or b"ScanData" in envelope.xml or envelope.encoding.startswith("utf-16"):
        found.extend(_inline(envelope, xml_origin, declared, findings))
    for attachment in found:
        _judge(attachment, findings)
    return found


class _Named:
    """The parts of a package by their Content-ID. Includes and parts may be many: no look-up goes through all."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._taken: set[int] = set()
        self._exact: dict[str, deque[int]] = {}
        self._plain: dict[str, deque[int]] = {}
        for place, part in enumerate(parts):
            if part.content_id is not None:
                self._exact.setdefault(part.content_id, deque()).append(place)
                self._plain.setdefault(_plain(part.content_id), deque()).append(place)
        self._first = [{name: same[0] for name, same in one.items()} for one in (self._exact, self._plain)]

    def take(self, content_id: str) -> Part | None:
        """The part of a Content-ID: one that nothing took yet, if there is one; of the very same spelling, if there is.

        Percent-encoding may be on either side (RFC 2392 2).
        """
        if not content_id:
            return None
        names = content_id, _plain(content_id)
        for name, one in zip(names, (self._exact, self._plain), strict=True):
            same = one.get(name)
            while same:
                place = same.popleft()
                if place not in self._taken:
                    self._taken.add(place)
                    return self._parts[place]
        for name, first in zip(names, self._first, strict=True):
            if name in first:
                return self._parts[first[name]]
        return None

    def free(self) -> list[Part]:
        """The parts that nothing took."""
        return [part for place, part in enumerate(self._parts) if place not in self._taken]


def _plain(content_id: str) -> str:
    return unquoted(content_id).strip().strip("<>")


def _of_part(part: Part, element: str | None, declared: str | None) -> Attachment:
    return Attachment(
        part.content, part.content_id, declared, part.media_type, real_type(part.content.head), element, part
    )


def _inline(
    envelope: Envelope, origin: Origin | None, declared: str | None, findings: list[Finding]
) -> list[Attachment]:
    if envelope.content is None:
        return []
    found = []
    for name in _HOLDERS:
        for element in envelope.content.iter(f"{{*}}{name}"):
            if len(element) or not (element.text or "").strip():
                continue
            text = text_of(element).encode("ascii", "replace")
            try:
                data = binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
            except binascii.Error as error:
                findings.append(BASE64(f"the base64 of {name} is damaged: {error}", path=name))
                data = _lenient(text)
            from hashlib import sha256

            content = Content(
                size=len(data), head=data[:HEAD_SIZE], sha256=sha256(data).hexdigest(), data=data,
                origin=None if origin is None else replace(origin, exact=False), complete=not envelope.recovered,
            )  # fmt: skip
            found.append(Attachment(content, None, declared, "", real_type(data[:HEAD_SIZE]), _path(element, envelope)))
    return found


def _lenient(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text + b"===")
    except binascii.Error:
        return b""


def _declared_format(envelope: Envelope) -> str | None:
    """dsp:Format of a SendImageRequest."""
    content = envelope.content
    if content is None or _local(content) != "SendImageRequest":
        return None
    element = next(content.iter("{*}Format"), None)
    return (text_of(element) or None) if element is not None else None


def _local(element: Element) -> str:
    return split_tag(str(element.tag))[1]


def _path(element: Element, envelope: Envelope) -> str:
    """Path of local names below the body element."""
    names: list[str] = []
    at: Element | None = element
    while at is not None and at is not envelope.content and at is not envelope.body:
        names.append(_local(at))
        at = at.getparent()
    return "/".join(reversed(names))


def _judge(attachment: Attachment, findings: list[Finding]) -> None:
    content = attachment.content
    path = attachment.element or None
    for gap in content.gaps[:MAX_HOLES]:
        around = tuple(frame for frame in (gap.before, gap.after) if frame)
        place = f"between frames {around[0]} and {around[1]}" if len(around) == 2 else f"at byte {gap.offset}"
        size = f"{gap.length} bytes" if gap.length else "an unknown number of bytes"
        findings.append(HOLE(f"{size} of the image are missing {place}", frames=around, offset=gap.offset, path=path))
    if not content.complete and not content.gaps:
        findings.append(CUT(f"the image ends after {content.size} bytes", frames=attachment.frames[-1:], path=path))
    if content.size == 0 and not content.gaps:
        findings.append(EMPTY(frames=attachment.frames[:1], path=path))
        return
    lost_head = any(gap.offset == 0 for gap in content.gaps) or too_short(content.size)
    if attachment.real_type is None or lost_head:
        return
    for word in (attachment.declared, attachment.media_type):
        if word and not fits(word, attachment.real_type):
            text = f"the image is declared as {word[:80]}, its bytes are {attachment.real_type}"
            findings.append(MISMATCH(text, frames=attachment.frames[:1], path=path))
            return
