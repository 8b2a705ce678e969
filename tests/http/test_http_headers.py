"""Header values with parameters, start lines, and the way back to a start line."""

from __future__ import annotations

import pytest

from dissector.http.headers import MAX_VALUE, could_be_xml, list_items, parse_media_type
from dissector.http.start import begins_message, find_start, parse_start_line
from tests.support.http_feed import read

# value: (media type, parameters, problems)
VALUES: dict[str, tuple[str, dict[str, str], int]] = {
    "application/soap+xml": ("application/soap+xml", {}, 0),
    "Application/SOAP+XML; Charset=UTF-8": ("application/soap+xml", {"charset": "UTF-8"}, 0),
    'a/b; x="1;2"; y="q\\"r"': ("a/b", {"x": "1;2", "y": 'q"r'}, 0),
    "a/b; x=<y@z>": ("a/b", {"x": "<y@z>"}, 0),
    "a/b; boundary==_Part/1?(2):3": ("a/b", {"boundary": "=_Part/1?(2):3"}, 0),
    'a/b; start="<SOAP-ENV:Envelope>"': ("a/b", {"start": "<SOAP-ENV:Envelope>"}, 0),
    "a/b; type=application/soap+xml   charset=UTF-8": ("a/b", {"type": "application/soap+xml", "charset": "UTF-8"}, 1),
    "a/b; x=1;": ("a/b", {"x": "1"}, 1),
    "a/b;x = 1": ("a/b", {"x": "1"}, 1),
    "a/b; x=one two": ("a/b", {"x": "one two"}, 2),
    'a/b; x="open': ("a/b", {"x": "open"}, 1),
    "a/b; x=1; X=2": ("a/b", {"x": "1"}, 1),
    "a/b; word; x=1": ("a/b", {"x": "1"}, 1),
    'a/b; "; x=1': ("a/b", {"x": "1"}, 1),
    "a/b x=1": ("a/b", {"x": "1"}, 1),
    "a/b;\r\n\tx=1": ("a/b", {"x": "1"}, 0),
    "a/b; x=": ("a/b", {"x": ""}, 0),
    ";x=1": ("", {"x": "1"}, 0),
    "": ("", {}, 0),
    "  ": ("", {}, 0),
}


@pytest.mark.parametrize("text", VALUES)
def test_media_types(text: str) -> None:
    value, parameters, problems = VALUES[text]
    media = parse_media_type(text)
    assert (media.value, media.parameters) == (value, parameters)
    assert len(media.problems) == problems, media.problems


def test_a_value_without_end_is_cut() -> None:
    media = parse_media_type("a/b; x=" + "y" * MAX_VALUE)
    assert len(media.parameters["x"]) == MAX_VALUE - 7


def test_lists() -> None:
    assert list_items(["gzip;q=1, Chunked", "", " x ,"]) == ["gzip", "chunked", "x"]


@pytest.mark.parametrize(
    ("media", "expected"), [("application/soap+xml", True), ("text/xml", True), ("image/jpeg", False), ("", False)]
)
def test_could_be_xml(media: str, expected: bool) -> None:
    assert could_be_xml(media) is expected


# line: (method, target, status, reason, version, rule)
LINES: dict[bytes, tuple[str, str, int, str, str, str | None] | None] = {
    b"GET / HTTP/1.1\r\n": ("GET", "/", 0, "", "1.1", None),
    b"POST http://h:1/x?y HTTP/1.0\n": ("POST", "http://h:1/x?y", 0, "", "1.0", None),
    b"X-Own! * HTTP/1.9\r\n": ("X-Own!", "*", 0, "", "1.9", None),
    b"GET  /a b  HTTP/1.1 \r\n": ("GET", "/a b", 0, "", "1.1", "http.start-line"),
    b"GET /\xe4 HTTP/1.1\r\n": ("GET", "/\xe4", 0, "", "1.1", None),
    b"HTTP/1.1 200 OK\r\n": ("", "", 200, "OK", "1.1", None),
    b"HTTP/1.1 200 \r\n": ("", "", 200, "", "1.1", None),
    b"HTTP/1.1 200\r\n": ("", "", 200, "", "1.1", "http.no-reason"),
    b"HTTP/1.1  404\tNot here\r\n": ("", "", 404, "Not here", "1.1", "http.start-line"),
    b"HTTP/1.1 000 Nothing\r\n": None,
    b"HTTP/2 200 OK\r\n": None,
    b"GET /\r\n": None,
    b"GET / HTTP/2.0\r\n": None,
    b" HTTP/1.1\r\n": None,
    b"\r\n": None,
    b"ICY 200 OK\r\n": None,
}


@pytest.mark.parametrize("line", LINES)
def test_start_lines(line: bytes) -> None:
    found = parse_start_line(line)
    expected = LINES[line]
    if expected is None or found is None:
        assert found is expected
        return
    rule = found.problem.id if found.problem else None
    assert (found.method, found.target, found.status, found.reason, found.version, rule) == expected


@pytest.mark.parametrize(
    ("prefix", "request_line", "response"),
    [
        (b"", None, None),
        (b"PO", None, False),
        (b"POST ", True, False),
        (b"POSTAL", False, False),
        (b"HTTP/1", False, None),
        (b"HTTP/1.", False, True),
        (b"H", None, None),
        (b"<", False, False),
        (b"M-POST /", True, False),
    ],
)
def test_what_begins_a_message(prefix: bytes, request_line: bool | None, response: bool | None) -> None:
    assert begins_message(prefix, request=True) is request_line
    assert begins_message(prefix, request=False) is response


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (b"POST /a HTTP/1.1\r\n", 0),
        (b"xx\r\nPOST /a HTTP/1.1\r\n", 4),
        (b"</a>POST /a HTTP/1.1\r\n", 4),
        (b"</a>\nODD-ONE /a HTTP/1.1\r\n", 5),
        (b"</a>ODD-ONE /a HTTP/1.1\r\n", -1),
        (b"OST /a HTTP/1.1\r\n", -1),
        (b"xxHTTP/1.1 200 OK\r\n", 2),
        (b"xxHTTP/1.1 200 \r\n", 2),
        (b"xxHTTP/1.1 200 OK", -1),
        (b"xxHTTP/1.1 20 OK\r\n", -1),
        (b"see HTTP/1.1 and\r\nGET / HTTP/1.1\r\n", 18),
        (b"POST /a HTTP/1.1 and so on\r\n", -1),
    ],
)
def test_finding_a_start_line(data: bytes, at: int) -> None:
    assert find_start(data, 0, line_start=True, requests=True, responses=True) == at
    assert find_start(memoryview(data), 0, line_start=True, requests=True, responses=True) == at


def test_what_is_found_is_read() -> None:
    """The reader depends on it to make progress."""
    line = b"HTTP/1.1\t200\tOK\r\n"
    assert find_start(line, 0, line_start=True, requests=True, responses=True) == 0
    assert parse_start_line(line) is not None


def test_the_published_example_with_a_broken_part_header() -> None:
    """The layout of the SendImage example in the protocol's documentation: LF, folding, lines of one blank."""
    boundary = "e1ac1c8d-11be-4313-999f-a8b0857d5360-3c31c1fe-39ef-4c34-8efd-918cf79f6"
    body = (
        f"--{boundary}\n"
        "Content-Type: application/xop+xml; type=application/soap+xml\n"
        "                                   charset=UTF-8\n"
        "Content-Transfer-Encoding: binary\n"
        "Content-ID: <xml@example.org>\n"
        " \n"
        "<a/>\n"
        f"--{boundary}\n"
        "Content-Type: application/octet-stream;\n"
        "Content-Transfer-Encoding: binary\n"
        "Content-ID: <i@uuid>\n"
        " \n"
        "data\n"
        f"--{boundary}--"
    )
    head = (
        "POST / HTTP/1.1\r\nContent-Type: Multipart/Related;\r\n"
        f'        boundary={boundary};\r\n        type="application/xop+xml";\r\n        start="<xml@example.org>"\r\n'
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    (message,) = read((head + body).encode()).messages
    root, image = message.parts
    assert (root.root, root.content_id, root.content.data()) == (True, "xml@example.org", b"<a/>")
    assert root.parameters == {"type": "application/soap+xml", "charset": "UTF-8"}
    assert (image.content_id, image.media_type, image.content.data()) == ("i@uuid", "application/octet-stream", b"data")
    assert image.head.decode()[image.headers[2].start : image.headers[2].end] == "Content-ID: <i@uuid>"
    assert {f.rule for f in root.findings} == {"mime.parameter", "mime.bare-lf"}
    assert {f.rule for f in message.findings} == {"http.folded", "mime.bare-lf", "mime.blank-line"}
