"""What is done to the bytes of a message."""

from __future__ import annotations

from io import BytesIO

import pytest
from lxml import etree
from PIL import Image

from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.http.writer import build_multipart, build_response
from dissector.messages.images import real_type
from replay.behaviour.effects import WireEffects, WirePlan, apply_to_wire, cut_image, format_of, malform, other_image
from replay.net.receiver import HttpReceiver

BODY = b"<a>hello</a>"


def split(message: bytes) -> tuple[bytes, bytes]:
    end = message.index(b"\r\n\r\n") + 4
    return message[:end], message[end:]


PLAIN = split(build_response(200, "OK", [("Content-Type", "application/soap+xml")], BODY))
CHUNKED = split(build_response(200, "OK", [("Content-Type", "application/soap+xml")], BODY, chunk=5))
PACKAGE_TYPE, PACKAGE = build_multipart(b"<r/>", [([("Content-ID", "<i>")], b"\x00" * 20)], "mark")


def read(plan: WirePlan) -> HttpMessage:
    receiver = HttpReceiver(Endpoint("192.0.2.1", 80), Endpoint("192.0.2.2", 5000), responses=True)
    receiver.asked()
    messages = [one for piece in plan.pieces for one in receiver.feed(piece, 1)]
    messages += receiver.end(reset=plan.close == "reset")
    assert len(messages) == 1
    return messages[0]


@pytest.mark.parametrize("message", [PLAIN, CHUNKED], ids=["length", "chunked"])
def test_nothing_ordered_changes_nothing(message: tuple[bytes, bytes]) -> None:
    plan = apply_to_wire(*message, WireEffects())
    assert b"".join(plan.pieces) == message[0] + message[1]
    assert read(plan).complete


@pytest.mark.parametrize("message", [PLAIN, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("effects", "close", "size"),
    [
        (WireEffects(truncate=4), "close", lambda head, body: len(head) + 4),
        (WireEffects(close_after=20), "close", lambda head, body: 20),
        (WireEffects(reset_after=20), "reset", lambda head, body: 20),
    ],
)
def test_a_cut_message_is_seen_as_cut(
    message: tuple[bytes, bytes], effects: WireEffects, close: str, size: object
) -> None:
    plan = apply_to_wire(*message, effects)
    assert plan.close == close
    assert len(b"".join(plan.pieces)) == size(*message)
    assert not read(plan).complete


def test_nothing_is_sent_before_a_reset_after_0() -> None:
    assert apply_to_wire(*PLAIN, WireEffects(reset_after=0)) == WirePlan([], "reset")


@pytest.mark.parametrize(("order", "said"), [("+10", 22), ("-2", 10), ("-99", 0), ("7", 7)])
def test_a_wrong_content_length(order: str, said: int) -> None:
    head = apply_to_wire(*PLAIN, WireEffects(content_length=order)).pieces[0]
    assert b"Content-Length: %d\r\n" % said in head


def test_a_wrong_chunk_size() -> None:
    plan = apply_to_wire(*CHUNKED, WireEffects(content_length="+1"))
    assert b"\r\n\r\n6\r\n" in b"".join(plan.pieces)
    assert read(plan).findings


@pytest.mark.parametrize("chunk", [None, 30])
def test_bare_boundaries_are_found_and_nothing_else_is_wrong(chunk: int | None) -> None:
    head, body = split(build_response(200, "OK", [("Content-Type", PACKAGE_TYPE)], PACKAGE, chunk=chunk))
    http = read(apply_to_wire(head, body, WireEffects(bare_boundary=True)))
    assert http.complete
    assert {one.rule for one in http.findings} | {f.rule for p in http.parts for f in p.findings} == {"mime.no-crlf"}
    assert http.parts[1].content.data() == b"\x00" * 20


def test_a_head_of_its_own_and_a_reason() -> None:
    plan = apply_to_wire(*PLAIN, WireEffects(split_head=True, reason=""))
    assert len(plan.pieces) == 2
    assert plan.pieces[0].startswith(b"HTTP/1.1 200 \r\n")


def test_a_slow_body_has_a_rate() -> None:
    assert apply_to_wire(*PLAIN, WireEffects(slow=5)) == WirePlan(list(PLAIN), "keep", 5)


@pytest.mark.parametrize(
    ("effects", "end"),
    [
        (WireEffects(slow=5, close_after=len(PLAIN[0]) + 3), "close"),
        (WireEffects(slow=5, reset_after=len(PLAIN[0]) + 3), "reset"),
        (WireEffects(slow=5, truncate=3), "close"),
    ],
)
def test_a_slow_body_is_cut_all_the_same(effects: WireEffects, end: str) -> None:
    assert apply_to_wire(*PLAIN, effects) == WirePlan([PLAIN[0], BODY[:3]], end, 5)


def test_a_head_that_is_cut_is_not_slowed() -> None:
    assert apply_to_wire(*PLAIN, WireEffects(slow=5, close_after=9)) == WirePlan([PLAIN[0][:9]], "close", None)


@pytest.mark.parametrize(("close", "reset", "end"), [(10, 20, "close"), (20, 10, "reset")])
def test_of_close_and_reset_the_first_happens(close: int, reset: int, end: str) -> None:
    plan = apply_to_wire(*PLAIN, WireEffects(close_after=close, reset_after=reset))
    assert plan == WirePlan([PLAIN[0][:10]], end)


def test_a_boundary_is_no_transfer_coding() -> None:
    kind, package = build_multipart(b"<r/>", [([("Content-ID", "<i>")], b"\x00" * 20)], "chunked-mark")
    head, body = split(build_response(200, "OK", [("Content-Type", kind)], package))
    http = read(apply_to_wire(head, body, WireEffects(bare_boundary=True)))
    assert http.complete
    assert http.parts[1].content.data() == b"\x00" * 20


def test_what_has_no_length_and_no_chunks_is_left_alone() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    plan = apply_to_wire(head, b"10\r\nhello", WireEffects(content_length="+1"))
    assert plan.pieces == [head + b"10\r\nhello"]


@pytest.mark.parametrize("start", ["png", "jfif", "tiff", "dib"])
def test_other_images_are_whole_pictures(start: str) -> None:
    with Image.open(BytesIO(other_image(b"", start))) as image:
        image.load()
        assert image.size == (1, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("PNG", "png"), ("exif", "jfif"), ("jpg", "jfif"), ("tif", "tiff"), ("bmp", "dib"), ("jpeg2k", ""), ("xps", "")],
)
def test_names_of_formats(name: str, kind: str) -> None:
    assert format_of(name) == kind


def test_malformed_xml_is_not_well_formed() -> None:
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(malform(b"<a><b/></a>"))


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("png", "png"),
        ("jfif", "jfif"),
        ("tiff-single-g4", "tiff"),
        ("pdf-a", "pdf"),
        ("dib", "bmp"),
        ("unheard", "png"),
    ],
)
def test_other_images_are_what_they_say(wanted: str, kind: str) -> None:
    assert real_type(other_image(b"\xff\xd8\xff\xe0", wanted)) == kind


def test_the_other_of_an_unknown_format_is_never_the_same() -> None:
    assert real_type(other_image(b"\x89PNG\r\n\x1a\n", "unheard")) == "jfif"


def test_a_cut_image() -> None:
    assert cut_image(b"12345", 2) == b"12"
    assert cut_image(b"12345", -1) == b"1234"
