"""A whole message as an indented tree, for ``read -V``: frames, HTTP, addressing, header blocks, body, fault,
attachments, findings. With origin, each line says which frames and bytes it comes from (``frame:start+length``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dissector.base.origin import ByteRange
from dissector.catalog.field import Field
from dissector.catalog.model import ElementDecl, EnumDecl
from dissector.catalog.registry import ENUMS
from dissector.messages import Attachment, Message
from dissector.output.findings import finding_lines
from dissector.output.summary import attachment_text, summary
from dissector.output.text import PLAIN, Palette, count, frames_text, printable
from dissector.output.times import duration_text, iso_time
from dissector.soap.model import EndpointReference, QName

__all__ = ["field_lines", "message_tree"]

_STEP = "    "
_RANGES = 4


def message_tree(message: Message, paint: Palette = PLAIN, *, origin: bool = False) -> Iterator[str]:
    """The lines of the tree.

    Args:
        message: a message.
        paint: colours.
        origin: say for each line which bytes of which frames it comes from.
    """
    said = summary(message)
    service = f" ({message.service} {message.kind})" if message.service else f" ({message.kind})"
    title = f"Message {message.number}: {printable(message.name)}{service}" if message.number else (
        f"{printable(message.name)}{service}, no WSD message"
    )  # fmt: skip
    yield paint("title", title) + (f": {said}" if said else "")
    yield from _transport(message, origin)
    yield from _http(message, origin)
    yield from _soap(message)
    if message.headers:
        yield f"{_STEP}Header"
        for block in message.headers:
            yield from field_lines(block, 2, paint, message if origin else None)
    else:
        yield from _addressing(message)
    if message.body is not None:
        yield f"{_STEP}Body"
        yield from field_lines(message.body, 2, paint, message if origin else None)
    elif message.envelope is not None and message.fault is None:
        yield f"{_STEP}Body: empty"
    yield from _fault(message)
    for number, attachment in enumerate(message.attachments, 1):
        yield from _attachment(number, attachment, origin)
    found = message.all_findings()
    if found:
        yield f"{_STEP}Findings"
        for line in finding_lines(found, paint):
            yield f"{_STEP * 2}{line}"


def _ranges(ranges: Sequence[ByteRange]) -> str:
    """``  <12:54+100, 13:54+1460>``; an unknown place in the frame is shown as ``?``."""
    if not ranges:
        return ""
    shown = [f"{r.frame}:{r.start if r.start >= 0 else '?'}+{r.length}" for r in ranges[:_RANGES]]
    more = f", {len(ranges) - _RANGES} more" if len(ranges) > _RANGES else ""
    return f"  <{', '.join(shown)}{more}>"


def _transport(message: Message, origin: bool) -> Iterator[str]:
    word = "Frame" if len(message.frames) == 1 else "Frames"
    place = _ranges(message.origin.byte_ranges()) if origin else ""
    yield f"{_STEP}{word} {frames_text(message.frames) or 'unknown'}, {printable(str(message.stream))}{place}"
    took = message.time - message.first_time
    arrived = f", {duration_text(took)} from first to last byte" if took > 0 else ""
    yield f"{_STEP}Time {iso_time(message.time, message.digits)}{arrived}"
    if message.request is not None:
        yield f"{_STEP}Answers message {message.request}"
    if message.repeat_of is not None:
        yield f"{_STEP}Repeat of message {message.repeat_of}"


def _http(message: Message, origin: bool) -> Iterator[str]:
    http = message.http
    if http is None:
        yield f"{_STEP}SOAP over UDP{', multicast' if message.multicast else ''}"
        return
    start = f"{http.method} {http.target}" if http.is_request else f"{http.status} {http.reason}"
    yield f"{_STEP}HTTP/{printable(http.version)} {printable(start)}, body {count(http.transferred, 'byte')}"
    for header in http.headers:
        place = _ranges(http.origin.byte_ranges(header.start, header.end)) if origin and header.end else ""
        yield f"{_STEP * 2}{printable(header.name)}: {printable(header.value)}{place}"
    for number, part in enumerate(http.parts, 1):
        root = ", root" if part.root else ""
        identity = f" {part.content_id}" if part.content_id else ""
        kind = printable(f"{identity}, {part.media_type or 'no type'}")
        yield f"{_STEP * 2}Part {number}{kind}{root}, {count(part.content.size, 'byte')}"
        for header in part.headers:
            yield f"{_STEP * 3}{printable(header.name)}: {printable(header.value)}"


def _reference(label: str, reference: EndpointReference) -> Iterator[str]:
    yield f"{_STEP * 2}{label}: {printable(reference.address)}"
    for name, text in reference.parameters:
        yield f"{_STEP * 3}{printable(name.local)}: {printable(text)}"


def _soap(message: Message) -> Iterator[str]:
    if message.envelope is None:
        return
    envelope = message.envelope
    recovered = ", not well-formed" if envelope.recovered else ""
    addressing = f", WS-Addressing {envelope.addressing.version}" if envelope.addressing.version else ""
    yield f"{_STEP}SOAP {envelope.version}, {printable(envelope.encoding)}{addressing}{recovered}"


def _addressing(message: Message) -> Iterator[str]:
    """Where the header blocks could not be decoded: what is known of addressing all the same."""
    if message.envelope is None or not message.envelope.addressing.version:
        return
    addressing = message.envelope.addressing
    yield f"{_STEP}Addressing"
    for label, text in (("Action", addressing.action), ("To", addressing.to), ("MessageID", addressing.message_id)):
        if text is not None:
            yield f"{_STEP * 2}{label}: {printable(text)}"
    for kind, identity in addressing.relates_to:
        yield f"{_STEP * 2}RelatesTo: {printable(identity)}{f' ({printable(kind)})' if kind else ''}"
    for label, reference in (
        ("From", addressing.source),
        ("ReplyTo", addressing.reply_to),
        ("FaultTo", addressing.fault_to),
    ):
        if reference is not None:
            yield from _reference(label, reference)
    for name, text in addressing.parameters:
        yield f"{_STEP * 2}{printable(name.local)}: {printable(text)} (reference parameter)"


def _fault(message: Message) -> Iterator[str]:
    fault = message.fault
    if fault is None:
        return
    yield f"{_STEP}Fault{' in the form of SOAP 1.1' if fault.soap11_form else ''}"
    yield f"{_STEP * 2}Code: {printable(fault.code)}"
    for subcode in fault.subcodes:
        yield f"{_STEP * 2}Subcode: {printable(subcode.local)}  {printable('{' + subcode.namespace + '}')}"
    for language, text in fault.reasons:
        yield f"{_STEP * 2}Reason{f' ({printable(language)})' if language else ''}: {printable(text)}"


def _attachment(number: int, attachment: Attachment, origin: bool) -> Iterator[str]:
    content = attachment.content
    place = _ranges(content.origin.byte_ranges()) if origin and content.origin else ""
    yield f"{_STEP}Attachment {number}: {printable(attachment_text(attachment))}{place}"
    facts = (
        ("Content-ID", attachment.content_id),
        ("Media type", attachment.media_type),
        ("Declared", attachment.declared),
        ("Element", attachment.element),
        ("Size", count(content.size, "byte")),
        ("SHA-256", content.sha256),
        ("Frames", frames_text(attachment.frames)),
    )
    for label, text in facts:
        if text:
            yield f"{_STEP * 2}{label}: {printable(text)}"
    for gap in content.gaps:
        length = count(gap.length, "byte") if gap.length else "unknown length"
        around = f" between frames {gap.before} and {gap.after}" if gap.before and gap.after else ""
        yield f"{_STEP * 2}Missing: {length} at {gap.offset}{around} ({gap.reason})"


# -- elements -------------------------------------------------------------------------------------------------------


def field_lines(field: Field, depth: int = 0, paint: Palette = PLAIN, message: Message | None = None) -> Iterator[str]:
    """An element and all below it.

    Args:
        field: the element.
        depth: indentation steps of its own line.
        paint: colours.
        message: to which it belongs, where byte ranges are wanted.
    """
    pending: list[tuple[Field, int]] = [(field, depth)]
    while pending:
        at, level = pending.pop()
        yield _STEP * level + _element(at, paint) + (_ranges(message.place_of(at)) if message is not None else "")
        for finding in at.findings:
            severity = finding.severity.value
            yield f"{_STEP * (level + 1)}{paint(severity, '! ' + printable(finding.text))}"
        pending.extend((child, level + 1) for child in reversed(at.children))


def _element(field: Field, paint: Palette) -> str:
    name = printable(f"{field.prefix}:{field.name}" if field.vendor and field.prefix else field.name)
    line = paint("title", name) if field.children else name
    if field.nil:
        line += ": nil"
    elif field.text.strip():
        line += f": {printable(field.text.strip())}" + _explained(field)
    for attribute, (_, text) in field.attributes.items():
        line += f" @{printable(attribute)}={printable(text)}"
    if field.vendor:
        line += paint("note", " (vendor)")
    return line


def _explained(field: Field) -> str:
    """Unit, meaning of an enumerated value, namespace of a qualified name."""
    decl = field.decl
    if decl is None:
        return ""
    said = f" {decl.unit}" if decl.unit and decl.content == "simple" else ""
    meaning = _meaning(decl, field)
    if meaning:
        said += f"  ({meaning})"
    elif isinstance(field.value, QName) and field.value.namespace:
        said += f"  {{{printable(field.value.namespace)}}}"
    return said


def _meaning(decl: ElementDecl, field: Field) -> str:
    enum: EnumDecl | None = ENUMS.get(decl.enum) if decl.enum else None
    if enum is None:
        return ""
    value = field.value.local if isinstance(field.value, QName) else str(field.value)
    return enum.values.get(value) or enum.accept.get(value) or ""
