"""Building messages: the other way round, for replies, tests and captures made by code.

What is built here is read back by :mod:`dissector.http.connection` as the same message, without findings. Nothing is
added that the caller did not ask for but the length: Content-Length, or chunked coding.

Sources: RFC 9112 2.1, 6.1, 7.1; RFC 2046 5.1; RFC 2387 (multipart/related).
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["build_multipart", "build_request", "build_response"]

Headers = Iterable[tuple[str, str]]

_FRAMING = ("content-length", "transfer-encoding")
_BODILESS = (204, 304)


def build_request(method: str, target: str, headers: Headers, body: bytes = b"", chunk: int | None = None) -> bytes:
    """An HTTP/1.1 request.

    Args:
        method: such as "POST".
        target: such as "/wsd".
        headers: in order; Content-Length or Transfer-Encoding is added unless one of them is there.
        body: whole.
        chunk: size of the chunks; None: not chunked.

    Raises:
        ValueError: a line end or a blank where the grammar has none, or a chunk size below 1.
    """
    if not method or any(c.isspace() for c in method + target) or not target:
        raise ValueError(f"no method or target: {method!r} {target!r}")
    # A request without body needs no length (RFC 9110 8.6).
    return _message(f"{method} {target} HTTP/1.1", headers, body, chunk, sized=bool(body) or chunk is not None)


def build_response(status: int, reason: str, headers: Headers, body: bytes = b"", chunk: int | None = None) -> bytes:
    """An HTTP/1.1 response; see :func:`build_request`.

    Raises:
        ValueError: also where a body is given to a response that has none by its status (1xx, 204, 304).
    """
    if not 100 <= status <= 999:
        raise ValueError(f"no status: {status}")
    bodiless = status < 200 or status in _BODILESS
    if bodiless and (body or chunk is not None):
        raise ValueError(f"a response {status} has no body")
    return _message(f"HTTP/1.1 {status} {reason}", headers, body, chunk, sized=not bodiless)


def build_multipart(
    root: bytes,
    parts: Iterable[tuple[Headers, bytes]],
    boundary: str,
    *,
    root_id: str = "root@dsmshark",
    root_type: str = "application/xop+xml",
    type: str = "application/xop+xml",
    start_info: str = "application/soap+xml",
) -> tuple[str, bytes]:
    """A multipart/related package (MTOM): the value of its Content-Type, and the body.

    Args:
        root: bytes of the root part.
        parts: headers and bytes of the other parts; a header such as ``("Content-ID", "<image@host>")``.
        boundary: 1–70 characters; must not occur in the parts.
        root_id: Content-ID of the root part, without angle brackets.
        root_type: media type of the root part.
        type: the ``type`` parameter.
        start_info: the ``start-info`` parameter.

    Raises:
        ValueError: the boundary is no boundary or occurs in a part, or a header holds a line end.
    """
    mark = boundary.encode("ascii")
    if not 0 < len(mark) <= 70 or mark != mark.strip() or b'"' in mark or b"\\" in mark or not boundary.isprintable():
        raise ValueError(f"no boundary: {boundary!r}")
    root_headers = [
        ("Content-Type", f'{root_type}; charset=UTF-8; type="{start_info}"'),
        ("Content-Transfer-Encoding", "binary"),
        ("Content-ID", f"<{root_id}>"),
    ]
    pieces = []
    for headers, content in [(root_headers, root), *((list(h), c) for h, c in parts)]:
        if b"--" + mark in content:
            raise ValueError(f"the boundary {boundary!r} occurs in a part")
        pieces += [b"--", mark, b"\r\n", _lines(headers), b"\r\n", content, b"\r\n"]
    pieces += [b"--", mark, b"--\r\n"]
    content_type = (
        f'multipart/related; boundary="{boundary}"; type="{type}"; start="<{root_id}>"; start-info="{start_info}"'
    )
    return content_type, b"".join(pieces)


def _message(line: str, headers: Headers, body: bytes, chunk: int | None, *, sized: bool) -> bytes:
    _check(line)
    given = list(headers)
    if not any(name.lower() in _FRAMING for name, _ in given):
        if chunk is not None:
            given.append(("Transfer-Encoding", "chunked"))
        elif sized:
            given.append(("Content-Length", str(len(body))))
    if chunk is not None:
        if chunk < 1:
            raise ValueError(f"no chunk size: {chunk}")
        cut = [body[at : at + chunk] for at in range(0, len(body), chunk)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in cut) + b"0\r\n\r\n"
    return b"".join([line.encode("latin-1"), b"\r\n", _lines(given), b"\r\n", body])


def _lines(headers: Headers) -> bytes:
    lines = []
    for name, value in headers:
        _check(name + value)
        if not name or ":" in name or any(c.isspace() for c in name):
            raise ValueError(f"no header name: {name!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _check(text: str) -> None:
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"a line end inside a line: {text!r}")
