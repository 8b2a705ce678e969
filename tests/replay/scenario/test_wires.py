"""Recorded messages as files and back: to the byte with the recorded values, and right with others."""

from __future__ import annotations

import base64
import gzip
import quopri
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.http.model import HttpMessage
from dissector.http.writer import build_multipart, build_request
from dissector.messages import Message
from replay.scenario.correlate import find_values
from replay.scenario.model import Wire
from replay.scenario.places import Spotter
from replay.scenario.values import Place, Value
from replay.scenario.wires import Span, bytes_of, exceptions, take
from replay.soap.caller import read_message
from tests.support.http_feed import read
from tests.support.scenarios import MemoryFolder, conversations

ROOT = Path(__file__).parents[3]
CAPTURES = sorted(
    str(path.relative_to(ROOT / "pcaps"))
    for path in (ROOT / "pcaps").rglob("*.pcap*")
    if path.suffix not in (".gz", ".lz4", ".xz", ".zst")
)

GUID = "4f9d2c1e-7a3b-4c5d-8e6f-0a1b2c3d4e5f"
TOKEN = "dGhpcyBpcyBhIHRva2Vu"
OTHER = "c29tZXRoaW5nIGVsc2UgaXMgaGVyZQ=="
WSDP = "http://schemas.microsoft.com/windows/2008/07/dsm/dsp"


def spans_of(messages: Sequence[Message | None], values: Sequence[Value]) -> dict[int, tuple[list[Span], list[Span]]]:
    """Index of a message → values in its head, and in its envelope."""
    found: dict[int, tuple[list[Span], list[Span]]] = {}
    for value in values:
        for place in value.places:
            message = messages[place.message]
            assert message is not None
            into = found.setdefault(place.message, ([], []))[0 if place.where in ("target", "http") else 1]
            into += [Span(*at, value.name, value.recorded) for at in Spotter(message).spans(place, value.recorded)]
    return found


# -- whole captures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAPTURES)
def test_every_message_of_a_capture_comes_back_to_the_byte(samples: Path, name: str) -> None:
    found = conversations(samples / name)
    known = [message for _, message, _ in found if message is not None]
    values = find_values(known, lambda message: message.source.address)
    recorded = {value.name: value.recorded for value in values}
    spans = spans_of(known, values)
    places = {id(message): place for place, message in enumerate(known)}
    for number, (http, message, raw) in enumerate(found):
        head, xml = spans.get(places.get(id(message), -1), ([], []))
        wire, contents = take(http, message, f"{number:03d}", head, xml)
        made = b"".join(bytes_of(wire, MemoryFolder(contents), recorded))
        if raw is not None and not exceptions(http, message):
            assert made == raw, f"frame {http.first_frame}"


# -- one message by one ---------------------------------------------------------------------------------------------


def envelope(token: str = TOKEN, before: str = "", message_id: str = f"urn:uuid:{GUID}") -> str:
    return (
        f'{before}<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:v="urn:v"><s:Header>'
        f"<a:MessageID>{message_id}</a:MessageID></s:Header>"
        f"<s:Body><v:Ask><v:Session>{token}</v:Session></v:Ask></s:Body></s:Envelope>"
    )


XML = envelope().encode()
SOAP = "Content-Type: application/soap+xml\r\n"
RELATED = 'Content-Type: multipart/related; boundary="b1"; type="application/xop+xml"\r\n'
ROOT_HEAD = b"Content-Type: application/xop+xml\r\nContent-ID: <r>\r\n\r\n"
IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256))
IMAGE_HEAD = b"Content-Type: image/jpeg\r\nContent-ID: <i>\r\n\r\n"
PACKAGE = b"--b1\r\n" + ROOT_HEAD + XML + b"\r\n--b1\r\n" + IMAGE_HEAD + IMAGE + b"\r\n--b1--\r\n"

IN_BASE64 = b"Content-Transfer-Encoding: base64\r\n\r\n"


def post(body: bytes, headers: str = SOAP, line: str = "POST /wsd HTTP/1.1", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"{line}\r\nHost: 192.0.2.1\r\n{headers}Content-Length: {size}\r\n\r\n".encode() + body


def chunked(body: bytes, headers: str = SOAP) -> bytes:
    return f"POST /wsd HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n".encode() + body


def chunk(data: bytes, line: str = "") -> bytes:
    return (line or f"{len(data):x}").encode() + b"\r\n" + data + b"\r\n"


EXACT: dict[str, bytes] = {
    "plain": post(XML),
    "no body": b"GET /wsd HTTP/1.1\r\nHost: h\r\n\r\n",
    "odd heads": post(XML, "hOsT:x\r\nX-A:  b  \r\nX-a:\t\r\ncontent-TYPE : application/soap+xml\r\n"),
    "folded header": post(XML, SOAP + "X-Long: one\r\n two\r\n\tthree\r\n"),
    "bare LF": b"POST /wsd HTTP/1.1\nContent-Type: application/soap+xml\ncontent-length:%d\n\n" % len(XML) + XML,
    "HTTP/1.0": post(XML, line="POST /wsd HTTP/1.0"),
    "absolute form": post(XML, line="POST http://192.0.2.1:5357/wsd HTTP/1.1"),
    "expect": post(XML, SOAP + "Expect: 100-continue\r\n"),
    "length twice": post(XML, SOAP + f"CONTENT-LENGTH: {len(XML)}\r\n"),
    "a dollar": post(envelope("${job_token} $$ ${#length} $").encode(), SOAP + "X-Cost: $5 ${x}\r\n"),
    "UTF-16": post("\ufeff".encode("utf-16-le") + envelope(before="<?xml version='1.0'?>").encode("utf-16-le")),
    "UTF-16 big": post("\ufeff".encode("utf-16-be") + envelope(before="<?xml version='1.0'?>").encode("utf-16-be")),
    "byte order mark": post(b"\xef\xbb\xbf" + XML),
    "latin-1": post(envelope(before='<?xml version="1.0" encoding="ISO-8859-1"?><!--\xe4-->').encode("latin-1")),
    "bytes that are no UTF-8": post(envelope(before="<!--\xe4\xff-->").encode("latin-1")),
    "CDATA": post(envelope(f"<![CDATA[{TOKEN}]]>").encode()),
    "character references": post(envelope("&#x64;" + TOKEN[1:]).encode()),
    "blanks around": post(envelope(f"\r\n  {TOKEN}\t").encode()),
    "junk around": post(b"\r\n" + XML + b"\0\0"),
    "one chunk": chunked(chunk(XML) + b"0\r\n\r\n"),
    "chunks": chunked(chunk(XML[:50]) + chunk(XML[50:100]) + chunk(XML[100:]) + b"0\r\n\r\n"),
    "chunk lines": chunked(chunk(XML[:26], '001A;x="1 x 3"') + chunk(XML[26:], f"{len(XML) - 26:X} ") + b"00\r\n\r\n"),
    "trailers": chunked(chunk(XML) + b"0\r\nX-Sum: 1\r\nx-b:2\r\n\r\n"),
    "package": post(PACKAGE, RELATED),
    "package in chunks": chunked(b"".join(map(chunk, (PACKAGE[:99], PACKAGE[99:]))) + b"0\r\n\r\n", RELATED),
    "preamble and epilogue": post(b"Hello.\r\n" + PACKAGE + b"\r\nBye.\r\n", RELATED),
    "another order": post(
        b"--b1\r\n" + IMAGE_HEAD + IMAGE + b"\r\n--b1 \r\n" + ROOT_HEAD + XML + b"\r\n--b1--",
        RELATED.replace("\r\n", '; start="<r>"\r\n'),
    ),
    "no line end before": post(PACKAGE.replace(b"\r\n--b1--", b"--b1--"), RELATED),
    "no end mark": post(PACKAGE.removesuffix(b"\r\n--b1--\r\n"), RELATED),
    "parts with LF": post(PACKAGE.replace(b"\r\n", b"\n"), RELATED),
    "another boundary": post(PACKAGE, RELATED.replace("b1", "b2")),
    "folded type": post(PACKAGE, RELATED.replace("; ", ";\r\n ")),
    "a part in base64": post(
        PACKAGE.replace(b"<i>\r\n\r\n" + IMAGE, b"<i>\r\n" + IN_BASE64 + base64.encodebytes(IMAGE)), RELATED
    ),
    "no package after all": post(b"nothing", RELATED),
    "no SOAP": post(b"<html>\xff no</html>", "Content-Type: text/html\r\n"),
    "no type": post(b"\0\1\2", ""),
    "empty": post(b""),
}  # fmt: skip

ANSWERS = {
    "an answer": b"HTTP/1.1 200 \r\n" + post(XML).partition(b"\r\n")[2],
    "to the end of the connection": b"HTTP/1.0 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n" + XML,
    "of a sink": b"HTTP/1.1 202 Accepted\r\nServer: s\r\nContent-Length: 0\r\n\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "none": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
}


def one(data: bytes) -> tuple[HttpMessage, Message | None]:
    (http,) = read(data).messages
    return http, read_message(http)


def taken(data: bytes, *values: tuple[str, str, str, str]) -> tuple[Wire, MemoryFolder, dict[str, str]]:
    """A message as files; ``values``: name, recorded, where and path."""
    http, message = one(data)
    found = [Value(name, recorded, "token", "x") for name, recorded, _, _ in values]
    spans: tuple[list[Span], list[Span]] = ([], [])
    if message is not None:
        for value, (_, _, where, path) in zip(found, values, strict=True):
            value.uses = [Place(0, where, path, whole=value.recorded != GUID)]
        spans = spans_of([message], found).get(0, spans)
    wire, contents = take(http, message, "001-Ask", *spans)
    return wire, MemoryFolder(contents), {value.name: value.recorded for value in found}


TAKEN = (("session", TOKEN, "body", "Session"), ("message_id", f"urn:uuid:{GUID}", "header", "MessageID"))


@pytest.mark.parametrize("name", [*EXACT, *ANSWERS])
def test_a_message_comes_back_to_the_byte(name: str) -> None:
    data = EXACT.get(name) or ANSWERS[name]
    wire, folder, recorded = taken(data, *TAKEN[name == "a dollar" :])
    assert b"".join(bytes_of(wire, folder, recorded)) == data
    http, message = one(data)
    assert exceptions(http, message) == []
    if message is not None and message.envelope is not None and "dollar" not in name:
        assert b"${message_id}" in folder.read(wire.xml)
        assert b"${session}" in folder.read(wire.xml)


@pytest.mark.parametrize("name", EXACT)
def test_with_other_values_lengths_are_made_anew_and_the_rest_stays(name: str) -> None:
    data = EXACT[name]
    wire, folder, recorded = taken(data, *TAKEN)
    before, message = one(data)
    if message is None or message.envelope is None or "dollar" in name:
        return
    for new in (OTHER * 20, "x", "a<&\"'>]]>\xe4\u20ac b"):
        made = b"".join(bytes_of(wire, folder, recorded | {"session": new}))
        after, again = one(made)
        assert after.complete
        assert again is not None
        assert again.get("Session") == new
        assert again.message_id == message.message_id
        assert [(h.name, h.value) for h in after.headers if h.name.lower() != "content-length"] == [
            (h.name, h.value) for h in before.headers if h.name.lower() != "content-length"
        ]
        assert after.trailer_bytes == before.trailer_bytes
        assert [part.head for part in after.parts] == [part.head for part in before.parts]
        assert [part.content.data() for part in after.parts if not part.root] == [
            part.content.data() for part in before.parts if not part.root
        ]
        assert {f.rule for f in after.findings} == {f.rule for f in before.findings}


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("base64", base64.encodebytes(XML).replace(b"\n", b"\r\n")),
        ("quoted-printable", quopri.encodestring(XML)),
    ],
)
def test_an_envelope_in_a_transfer_coding_says_the_same(coding: str, body: bytes) -> None:
    head = ROOT_HEAD[:-2] + f"Content-Transfer-Encoding: {coding}\r\n\r\n".encode()
    data = post(b"--b1\r\n" + head + body + b"\r\n--b1--\r\n", RELATED)
    wire, folder, recorded = taken(data, *TAKEN)
    assert wire.parts[0].coding == coding
    http, message = one(b"".join(bytes_of(wire, folder, recorded | {"session": OTHER})))
    assert message is not None
    assert message.get("Session") == OTHER
    assert exceptions(http, message) == ["an envelope in a transfer coding is coded anew"]


@pytest.mark.parametrize("headers", ["Content-Encoding: gzip\r\n", "Content-Encoding: gzip, deflate\r\n"])
def test_a_compressed_body_is_compressed_anew(headers: str) -> None:
    body = gzip.compress(XML)
    data = post(zlib.compress(body) if "deflate" in headers else body, SOAP + headers)
    wire, folder, recorded = taken(data, *TAKEN)
    http, message = one(b"".join(bytes_of(wire, folder, recorded | {"session": OTHER})))
    assert http.complete
    assert message is not None
    assert message.get("Session") == OTHER
    assert exceptions(http, message) == ["a compressed body is compressed anew"]


def test_a_guid_in_capital_letters_is_written_so_only_where_it_is_the_recorded_one() -> None:
    data = post(envelope(message_id=f"UUID:{GUID.upper()}").encode())
    wire, folder, recorded = taken(data, ("message_id", f"urn:uuid:{GUID}", "header", "MessageID"))
    assert b"".join(bytes_of(wire, folder, recorded)) == data
    new = "urn:uuid:00000000-7a3b-4c5d-8e6f-0a1b2c3d4e5f"
    assert f"<a:MessageID>{new}<".encode() in b"".join(bytes_of(wire, folder, {"message_id": new}))


@pytest.mark.parametrize(
    ("written", "new", "said"),
    [
        ("<![CDATA[Bill]]>", "Bill", "<![CDATA[Bill]]>"),
        ("<![CDATA[Bill]]>", "bill", "bill"),
        ("Bi&#108;l", "Bill", "Bi&#108;l"),
        ("Bi&#108;l", "Bi ll", "Bi ll"),
        ('A "quote"', 'A "quote"', 'A "quote"'),
        ('A "quote"', 'B "quote"', "B &quot;quote&quot;"),
    ],
)
def test_a_value_is_written_as_recorded_only_where_it_is_the_recorded_one(written: str, new: str, said: str) -> None:
    _, message = one(post(envelope(written).encode()))
    assert message is not None
    recorded = message.get("Session")
    wire, folder, values = taken(post(envelope(written).encode()), ("session", recorded, "body", "Session"))
    assert f"<v:Session>{said}</v:Session>".encode() in b"".join(bytes_of(wire, folder, values | {"session": new}))


def test_a_value_makes_no_further_headers() -> None:
    wire, folder, _ = taken(post(XML, SOAP + "X-Ticket: a1\r\n"), ("ticket", "a1", "http", "X-Ticket"))
    head = bytes_of(wire, folder, {"ticket": "b2\r\nX-Evil: yes"})[0]
    assert b"X-Ticket: b2 X-Evil: yes\r\n" in head


def test_a_wrong_length_stays_and_that_of_a_cut_body_is_made_anew() -> None:
    wire, folder, _ = taken(ANSWERS["none"])
    assert b"Content-Length: 77\r\n" in bytes_of(wire, folder, {})[0]
    wire, folder, recorded = taken(post(XML, length=len(XML) + 10), *TAKEN)
    assert f"Content-Length: {len(XML)}\r\n".encode() in bytes_of(wire, folder, recorded)[0]


@pytest.mark.parametrize(
    ("recorded", "new", "sizes"),
    [
        ([100, 100, 40], 240, [100, 100, 40]),
        ([100, 100, 40], 243, [100, 100, 43]),
        ([100, 100, 40], 130, [100, 30]),
        ([100, 100, 40], 390, [100, 100, 100, 90]),
        ([100], 250, [250]),
        ([1, 1, 1], 5, [1, 1, 1, 1, 1]),
        ([100, 100], 100, [100]),
    ],
)
def test_a_body_of_another_length_is_cut_at_the_recorded_sizes(recorded: list[int], new: int, sizes: list[int]) -> None:
    data = chunked(b"".join(chunk(b"x" * size) for size in recorded) + b"0\r\n\r\n", "Content-Type: image/png\r\n")
    wire, folder, _ = taken(data)
    folder.contents[wire.file] = b"x" * new
    (http,) = read(b"".join(bytes_of(wire, folder, {}))).messages
    assert [int(line, 16) for line, count in http.chunk_runs for _ in range(count)] == [*sizes, 0]


def test_equal_chunks_are_one_line() -> None:
    wire, _, _ = taken(chunked(chunk(b"<" + b"x" * 15) * 70 + chunk(b"yy") + b"0\r\n\r\n"))
    assert wire.chunks == ["10 x 70", "2", "0"]


def test_values_in_the_head() -> None:
    line = "POST http://192.0.2.1:5357/wsd HTTP/1.1"
    data = post(XML, SOAP + "X-Ticket:\r\n a1\r\n  b2\r\nCookie: a=b; sid=abc\r\n", line)
    wire, folder, recorded = taken(
        data, ("url", "http://192.0.2.1:5357/wsd", "target", ""), ("ticket", "a1 b2", "http", "X-Ticket"),
        ("sid", "abc", "http", "Cookie/sid"), ("host", "192.0.2.1", "http", "Host"),
    )  # fmt: skip
    assert b"".join(bytes_of(wire, folder, recorded)) == data
    new = {"url": "http://127.0.0.1:1/x", "ticket": "c3", "sid": "xyz", "host": "127.0.0.1:1"}
    head = bytes_of(wire, folder, new)[0].decode()
    assert head.splitlines() == [
        "POST http://127.0.0.1:1/x HTTP/1.1", "Host: 127.0.0.1:1", SOAP.strip(), "X-Ticket:", " c3",
        "Cookie: a=b; sid=xyz", f"Content-Length: {len(XML)}", "",
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30),
    st.lists(st.binary(max_size=300), max_size=4),
    st.sampled_from([None, 1, 7, 100, 1000]),
    st.lists(st.tuples(st.from_regex(r"X-[A-Za-z]{1,9}", fullmatch=True), st.sampled_from(["", "$", "a b", "${x}"]))),
)
def test_any_package_comes_back(
    text: str, images: list[bytes], size: int | None, headers: list[tuple[str, str]]
) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    parts = [([("Content-ID", f"<{number}>")], image.replace(b"--b", b"")) for number, image in enumerate(images)]
    kind, body = build_multipart(envelope(escaped).encode(), parts, "b1")
    data = build_request("POST", "/x", [*headers, ("Content-Type", kind)], body, size)
    wire, folder, recorded = taken(data, ("session", text.strip(), "body", "Session"))
    assert b"".join(bytes_of(wire, folder, recorded)) == data
    (http,) = read(b"".join(bytes_of(wire, folder, recorded | {"session": OTHER}))).messages
    assert [part.content.data() for part in http.parts[1:]] == [content for _, content in parts]
