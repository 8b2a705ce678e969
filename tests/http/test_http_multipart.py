"""MIME packages: parts, the root part, quirks of devices, places of bytes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import quopri

import pytest

from dissector.base.errors import ContentNotKept
from dissector.base.limits import Limits
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.writer import build_multipart, build_request
from tests.support.http_feed import bytewise, outcome, read

IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 3 + b"\r\n--b\r\n--bound\r\n-- b1 \n--b1x\r\n--b1-\r\n"
ROOT = b"<Envelope/>"
QUOTED = quopri.encodestring(b"a=b\xe4\n" * 40)


def package(body: bytes, kind: str = "multipart/related; boundary=b1", chunk: int | None = None) -> bytes:
    return build_request("POST", "/", [("Content-Type", kind)], body, chunk)


def one(data: bytes, policy: BodyPolicy | None = None, limits: Limits | None = None) -> HttpMessage:
    feed = read(data, policy=policy or BodyPolicy(keep=True), limits=limits or Limits())
    (message,) = feed.messages
    if policy is None and limits is None:
        assert outcome(read(data, bytewise(data))) == outcome(read(data))
    return message


def rules(message: HttpMessage) -> set[str]:
    return {f.rule for f in message.findings} | {f.rule for p in message.parts for f in p.findings}


def body(*parts: bytes, end: bytes = b"\r\n--b1--\r\n", before: bytes = b"") -> bytes:
    return before + b"--b1\r\n" + b"\r\n--b1\r\n".join(parts) + end


ROOT_PART = b"Content-Type: application/xop+xml\r\nContent-ID: <root>\r\n\r\n" + ROOT
IMAGE_PART = b"Content-Type: image/jpeg\r\nContent-ID: <image>\r\n\r\n" + IMAGE

# name: (content type parameters, body, contents, index of the root, rules)
CASES: dict[str, tuple[str, bytes, list[bytes], int, set[str]]] = {
    "plain": ("boundary=b1", body(ROOT_PART, IMAGE_PART), [ROOT, IMAGE], 0, set()),
    "quoted": ('boundary="b1"', body(ROOT_PART, IMAGE_PART), [ROOT, IMAGE], 0, set()),
    "start": ('boundary=b1; start="<root>"', body(IMAGE_PART, ROOT_PART), [IMAGE, ROOT], 1, set()),
    "start-bare": ("boundary=b1; start=root", body(IMAGE_PART, ROOT_PART), [IMAGE, ROOT], 1, set()),
    "start-nowhere": ("boundary=b1; start=x", body(ROOT_PART, IMAGE_PART), [ROOT, IMAGE], 0, {"mime.start-unmatched"}),
    "preamble": ("boundary=b1", body(ROOT_PART, before=b"hello\r\n"), [ROOT], 0, set()),
    "epilogue": ("boundary=b1", body(ROOT_PART) + b"bye\r\n--b1\r\n", [ROOT], 0, set()),
    "no-final": ("boundary=b1", body(ROOT_PART, IMAGE_PART, end=b""), [ROOT, IMAGE], 0, {"mime.no-final"}),
    "no-boundary": ("type=x", body(ROOT_PART, IMAGE_PART), [ROOT, IMAGE], 0, {"mime.no-boundary"}),
    "other-boundary": ("boundary=zz", body(ROOT_PART), [ROOT], 0, {"mime.boundary-differs"}),
    "no-headers": ("boundary=b1", body(b"\r\n" + ROOT), [ROOT], 0, set()),
    "no-crlf": (
        "boundary=b1",
        b"--b1\r\n" + ROOT_PART + b"--b1\r\n" + IMAGE_PART + b"\xff\xd9--b1--\r\n",
        [ROOT, IMAGE + b"\xff\xd9"],
        0,
        {"mime.no-crlf"},
    ),
    "lf": ("boundary=b1", body(ROOT_PART).replace(b"\r", b""), [ROOT], 0, {"mime.bare-lf"}),
    "folded": ("boundary=b1", body(b"Content-ID:\r\n <root>\r\n\r\n" + ROOT), [ROOT], 0, set()),
    "no-semicolon": (
        "boundary=b1",
        body(b"Content-Type: application/xop+xml; type=application/soap+xml\r\n  charset=UTF-8\r\n\r\n" + ROOT),
        [ROOT],
        0,
        {"mime.parameter"},
    ),
    "base64": (
        "boundary=b1",
        body(ROOT_PART, b"Content-Transfer-Encoding: BASE64\r\n\r\n" + base64.encodebytes(IMAGE)),
        [ROOT, IMAGE],
        0,
        set(),
    ),
    "quoted-printable": (
        "boundary=b1",
        body(ROOT_PART, b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + QUOTED),
        [ROOT, b"a=b\xe4\n" * 40],
        0,
        set(),
    ),
    "base64-that-is-binary": (
        "boundary=b1",
        body(ROOT_PART, b"Content-Transfer-Encoding: base64\r\n\r\n" + IMAGE),
        [ROOT, IMAGE],
        0,
        {"mime.not-base64"},
    ),
    "base64-that-is-tiff": (
        "boundary=b1",
        body(ROOT_PART, b"Content-Transfer-Encoding: base64\r\n\r\nII*\x00" + IMAGE),
        [ROOT, b"II*\x00" + IMAGE],
        0,
        {"mime.not-base64"},
    ),
    "image-first": ("boundary=b1", body(IMAGE_PART, ROOT_PART), [IMAGE, ROOT], 1, {"mime.root-not-first"}),
    "no-root-at-all": ("boundary=b1", body(IMAGE_PART, IMAGE_PART), [IMAGE, IMAGE], 0, set()),
    "empty-part": ("boundary=b1", body(ROOT_PART, b"Content-ID: <e>\r\n\r\n"), [ROOT, b""], 0, set()),
}  # fmt: skip


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("name", CASES)
def test_table(name: str, chunk: int | None) -> None:
    parameters, content, contents, root, expected = CASES[name]
    message = one(package(content, f"multipart/related; {parameters}", chunk))
    assert [p.content.data() for p in message.parts] == contents
    assert [i for i, p in enumerate(message.parts) if p.root] == [root]
    assert rules(message) == expected
    assert all(p.content.complete for p in message.parts)
    assert message.body.data() == content
    assert message.transferred == len(content)
    for part in message.parts:
        low, start, end = part.bounds
        assert content[low:start] == part.head
        if not any(h.name == "Content-Transfer-Encoding" for h in part.headers):
            assert content[start:end] == part.content.data()


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("kind", [None, "text/xml", "application/xop+xml", "application/octet-stream"])
def test_a_package_that_is_not_declared(kind: str | None, chunk: int | None) -> None:
    headers = [("Content-Type", kind)] if kind else []
    message = one(build_request("POST", "/", headers, body(ROOT_PART, IMAGE_PART), chunk))
    assert [p.content.data() for p in message.parts] == [ROOT, IMAGE]
    assert [p.root for p in message.parts] == [True, False]
    assert rules(message) == {"mime.undeclared"}


@pytest.mark.parametrize(
    "text", [b"--", b"-- \r\nContent-Type: a/b\r\n\r\n", b"--b1\r\nwords", b"--" + b"b" * 200 + b"\r\nContent-"]
)
def test_what_is_no_package(text: bytes) -> None:
    message = one(build_request("POST", "/", [("Content-Type", "text/plain")], text))
    assert (message.parts, message.body.data(), rules(message)) == ([], text, set())


@pytest.mark.parametrize("chunk", [None, 1, 100])
def test_the_places_of_parts_are_exact(chunk: int | None) -> None:
    data = package(body(ROOT_PART, IMAGE_PART), chunk=chunk)
    message = one(data)
    for part in message.parts:
        origin = part.content.origin
        assert origin is not None
        assert origin.exact
        assert origin.size == part.content.size
        assert b"".join(data[low:high] for low, high in origin.stream_ranges()) == part.content.data()
        low, high = origin.stream_ranges(3, 5)[0][0], origin.stream_ranges(3, 5)[-1][1]
        assert data[low:high].startswith(part.content.data()[3:4])


def test_digests() -> None:
    message = one(package(body(ROOT_PART, IMAGE_PART)), BodyPolicy(digest=True, digest_bodies=True))
    root, image = message.parts
    assert root.content.sha256 is None
    assert root.content.data() == ROOT
    assert image.content.sha256 == hashlib.sha256(IMAGE).hexdigest()
    assert image.content.head == IMAGE[:64]
    assert message.body_sha256 == hashlib.sha256(body(ROOT_PART, IMAGE_PART)).hexdigest()
    with pytest.raises(ContentNotKept):
        image.content.data()
    assert not message.body.kept


def test_a_gzipped_package_has_no_exact_places() -> None:
    content = gzip.compress(body(ROOT_PART, IMAGE_PART))
    message = one(
        build_request(
            "POST", "/", [("Content-Type", "multipart/related; boundary=b1"), ("Content-Encoding", "gzip")], content
        )
    )
    assert [p.content.data() for p in message.parts] == [ROOT, IMAGE]
    assert all(p.content.origin is not None and not p.content.origin.exact for p in message.parts)
    assert message.transferred == len(content)
    assert [message.body.data()[part.bounds[1] : part.bounds[2]] for part in message.parts] == [ROOT, IMAGE]


def test_large_parts_are_kept_on_disk() -> None:
    image = bytes(range(251)) * 5000
    message = one(
        package(body(ROOT_PART, b"\r\n" + image, b"\r\n" + image[::-1])), BodyPolicy(keep=True), Limits(keep=1000)
    )
    assert [p.content.data() for p in message.parts] == [ROOT, image, image[::-1]]


def test_limits() -> None:
    message = one(package(body(*[ROOT_PART] * 5)), BodyPolicy(), Limits(parts=3))
    assert len(message.parts) == 3
    assert "mime.parts-limit" in rules(message)
    message = one(package(body(b"\r\n" + b"<a>" * 100)), BodyPolicy(), Limits(xml=50))
    assert message.parts[0].content.size == 300
    assert len(message.parts[0].content.data()) == 50
    assert "mime.xml-limit" in rules(message)
    message = one(build_request("POST", "/", [], b"<a>" * 100), BodyPolicy(), Limits(xml=50))
    assert len(message.body.data()) == 50
    assert rules(message) == {"http.xml-limit"}


@pytest.mark.parametrize("ratio", [10, 200])
def test_a_bomb_is_given_up(ratio: int) -> None:
    content = gzip.compress(b"<" + bytes(30 << 20))
    data = build_request("POST", "/", [("Content-Encoding", "gzip")], content)
    message = one(data, BodyPolicy(), Limits(inflate_ratio=ratio, xml=1 << 20))
    assert "http.inflate-limit" in rules(message)
    assert message.body.size < len(content) * ratio + (8 << 20)
    assert not message.body.complete


@pytest.mark.parametrize("start", [b"<a/>", b" \r\n<a/>", b"\xef\xbb\xbf<a/>", b"\xff\xfe<\0a\0", b"\0<\0a"])
def test_what_could_be_xml_is_kept(start: bytes) -> None:
    message = one(build_request("POST", "/", [], start), BodyPolicy())
    assert message.body.data() == start
    assert message.body.sha256 is None


def test_a_package_without_parts_that_is_xml() -> None:
    message = one(package(ROOT), BodyPolicy())
    assert message.parts == []
    assert message.body.data() == ROOT
    assert "mime.no-delimiter" in rules(message)


def test_other_bodies_are_digested_not_kept() -> None:
    message = one(build_request("POST", "/", [("Content-Type", "image/jpeg")], IMAGE), BodyPolicy())
    assert message.body.sha256 == hashlib.sha256(IMAGE).hexdigest()
    assert not message.body.kept


def test_built_packages_are_read_back() -> None:
    kind, content = build_multipart(ROOT, [([("Content-ID", "<i@h>")], IMAGE), ([], b"")], "=_odd'()+_,-./:=?")
    message = one(package(content, kind))
    assert [(p.content_id, p.root, p.content.data()) for p in message.parts] == [
        ("root@dsmshark", True, ROOT), ("i@h", False, IMAGE), (None, False, b""),
    ]  # fmt: skip
    assert rules(message) == set()
    with pytest.raises(ValueError, match="occurs"):
        build_multipart(b"--x", [], "x")


@pytest.mark.parametrize("blanks", [0, 8, 30, 200])
def test_a_package_that_is_not_declared_is_told_however_it_is_cut(blanks: int) -> None:
    """Blanks may stand behind the boundary; where they are more than anyone sends, it is none for any cut."""
    line = b"--" + b"b" * 100
    body = line + b" " * blanks + b"\r\nContent-Type: text/xml\r\n\r\n<a/>\r\n" + line + b"--\r\n"
    data = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert outcome(read(data, bytewise(data))) == outcome(read(data))
    assert bool(read(data).messages[0].parts) is (blanks < 10)
