"""Documents: XML and SOAP, messages decoded by the catalogue, single values, pictures.

``xml`` and ``message`` take the document; ``value`` a byte for the type and then the text; ``image`` a file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dissector.base.errors import DsmsharkError, UsageError
from dissector.base.limits import Limits
from dissector.base.origin import Endpoint, FrameMap, StreamRef
from dissector.catalog import TYPES, check, convert, element_of
from dissector.catalog.times import DateTime, Duration
from dissector.messages import MessageBuilder
from dissector.messages.images import fits, real_type
from dissector.output.jsontext import dumps
from dissector.output.plain import message_json
from dissector.output.summary import summary
from dissector.output.tree import message_tree
from dissector.soap.envelope import looks_like_soap, parse_envelope
from dissector.soap.spans import element_spans
from dissector.transport.model import Datagram
from replay.devices.scanner.pages import Region, load_pages
from tests.fuzz.oracles import Broken, fits_schema, harmless, known_rules
from tests.fuzz.targets.target import Target
from tests.support import images
from tests.support.stories import STORIES

__all__ = ["DOCUMENTS"]

_SMALL = Limits(xml=2000, xml_depth=5, xml_elements=20, xml_attributes=4)
_CHARSETS = (None, "utf-8", "utf-16", "iso-8859-1", "utf-16le", "cp037", "nonsense")
_STREAM = StreamRef("udp", 0, Endpoint("192.0.2.1", 3702), Endpoint("239.255.255.250", 3702))
_WORDS = (
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<?xml version='1.0' encoding='utf-16'?>", b"<![CDATA[", b"]]>",
    b"<!--", b"-->", b"xmlns:", b"xsi:nil='true'", b"&#x1b;", b"&#x202e;", b"\xef\xbb\xbf", b"\xff\xfe", b"<soap:Body>",
    b"</soap:Body>", b"<wsa:Action>", b"mustUnderstand='1'", b"<xop:Include href='cid:a'/>", b"99999999999999999999",
    b"PT1H", b"2024-01-01T00:00:00Z", b"urn:uuid:", b"wscn:",
)  # fmt: skip


def _xml(data: bytes) -> None:
    charset = _CHARSETS[len(data) % len(_CHARSETS)]
    looks_like_soap(data)
    for limits in (Limits(), _SMALL):
        envelope, findings = parse_envelope(data, charset=charset, limits=limits)
        known_rules(findings)
        if envelope is not None:
            for start, end in element_spans(envelope.xml, envelope.encoding):
                if not 0 <= start <= end <= len(envelope.xml):
                    raise Broken(f"an element from {start} to {end} of {len(envelope.xml)} bytes")


def _message(data: bytes) -> None:
    frames = FrameMap()
    frames.add(0, len(data), 1, 42, 1_700_000_000_000_000_000)
    message = MessageBuilder(lambda: 6).from_datagram(
        Datagram(_STREAM, data, len(data), 1, 1_700_000_000_000_000_000, frames)
    )
    if message is None:
        return
    known_rules(message.all_findings())
    fits_schema(message_json(message), "dsmshark.message/1")
    harmless(summary(message))
    for line in message_tree(message, origin=True):
        harmless(line)
    for field in [message.body, *message.headers]:
        if field is None:
            continue
        message.place_of(field)
        known_rules(check(field))
        # A name out of a recovered document may be none that can be written.
        with contextlib.suppress(UsageError):
            element_of(field)


def _value(data: bytes) -> None:
    kind = list(TYPES.values())[data[0] % len(TYPES)] if data else TYPES["string"]
    value, _ = convert(data[1:].decode("utf-8", "replace"), kind)
    if isinstance(value, DateTime):
        _ = value.datetime
    if isinstance(value, Duration):
        _ = value.seconds
    dumps(str(value))


def _value_seeds() -> Iterator[bytes]:
    texts = (
        "", "1", "-0", "true", "2024-02-29T24:00:00.000Z", "0001-01-01T00:00:00-14:00", "P1Y2M3DT4H5M6.7S", "-PT0S",
        "wscn:a", "a:b:c", "S-1-5-21-1-2-3-500", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "AAAA==", "a b\nc",
    )  # fmt: skip
    for number in range(len(TYPES)):
        for text in texts:
            yield bytes([number]) + text.encode()


_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")


def _image(data: bytes) -> None:
    real = real_type(data[:64])
    for declared in ("jfif", "tiff-single-g4", "image/png; x", data[:20].decode("latin-1")):
        fits(declared, real)
    path = Path(_FOLDER.name) / "page"
    path.write_bytes(data)
    try:
        for page in load_pages([path])[:2]:
            page.image(10, 10, Region(0, 0, min(page.width, 10_000), min(page.height, 10_000)), "RGB")
    except DsmsharkError as refusal:
        if not str(refusal):
            raise Broken("refused without a word") from refusal


def _image_seeds() -> Iterator[bytes]:
    yield images.jfif(40, 30)
    yield images.png(30, 20)
    yield images.tiff(20, 20)
    yield b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0" + bytes(40)
    yield b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\
3 0 obj<</Type/Page/MediaBox[0 0 99 99]/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>"


def _envelopes() -> Iterator[bytes]:
    for name, story in STORIES.items():
        for turn in story().turns:
            start = turn.data.find(b"<")
            end = turn.data.rfind(b"Envelope>")
            if 0 <= start < end and name not in ("dsm-two-jobs", "dsm-aborted"):
                yield turn.data[start : end + 9]


DOCUMENTS = (
    Target("xml", _xml, _envelopes, 1 << 13, _WORDS),
    Target("message", _message, _envelopes, 1 << 13, _WORDS),
    Target("value", _value, _value_seeds, 256, (b"P", b"T", b"Z", b"+14:00", b"24:00:00")),
    # A few bytes may say that they are 89 million pixels, which is Pillow's limit.
    Target("image", _image, _image_seeds, 1 << 13, (b"\x89PNG\r\n\x1a\n", b"IHDR", b"JFIF", b"II*\0", b"BM"), 1 << 30),
)
