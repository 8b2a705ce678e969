"""Messages that are as they should be, made in one step: what most of them are.

A device sends the same few heads again and again. One that leaves no doubt (every line well-formed, a plain
Content-Length, XML or no body at all, no coding, nothing that changes the connection) is read once and remembered; a
message with such a head that is there whole is made at once, at half the cost (45 µs). Everything else takes the long
way by the states of the reader, which gives the same: the tests feed all messages also byte by byte.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dissector.base.limits import Limits
from dissector.base.origin import FrameMap, Origin
from dissector.http.content import HEAD_SIZE, Content
from dissector.http.draft import SMALL, weight_of
from dissector.http.head import MAX_LENGTH_DIGITS, fields_of, parse_headers
from dissector.http.headers import MediaType, could_be_xml, parse_media_type
from dissector.http.model import BodyPolicy, Header, HttpMessage
from dissector.http.report import Report
from dissector.http.speaker import Speaker
from dissector.http.start import StartLine, parse_start_line

__all__ = ["PlainHead", "plain_head", "plain_message"]

KNOWN = 1024
"""Heads remembered; with more all are forgotten."""

LONGEST = 2048
"""Bytes of a head that is remembered."""

_LENGTH = re.compile(rf"[0-9]{{1,{MAX_LENGTH_DIGITS}}}\Z", re.ASCII)
_BLANKS = b" \t\r\n"
_ODD = frozenset(["HEAD", "CONNECT"])


class PlainHead(NamedTuple):
    """A head without doubts: start line, header lines, Content-Type, and the length of the body."""

    line: StartLine
    headers: list[Header]
    media: MediaType | None
    length: int


_known: dict[bytes, PlainHead] = {}


def plain_head(head: bytes) -> PlainHead | None:
    """What a head says; None where the long way has to be taken."""
    found = _known.get(head)
    if found is None and len(head) <= LONGEST and b"multipart" not in head:
        found = _read(head)
        if found is not None:
            if len(_known) >= KNOWN:
                _known.clear()
            _known[head] = found
    return found


def _read(head: bytes) -> PlainHead | None:
    first = head.find(b"\n") + 1
    line = parse_start_line(head[:first])
    if line is None or line.problem is not None or line.method in _ODD or not _has_body(line.status):
        return None
    if head[first - 2 : first] != b"\r\n" or not head.endswith(b"\r\n\r\n"):
        return None
    report = Report()
    headers = parse_headers(head[:-2].decode("latin-1"), first, report, None)
    fields = fields_of(headers)
    if report.any or fields.transfer_encoding or fields.content_encoding or fields.upgrade or fields.expect:
        return None
    if len(fields.content_length) != 1 or len(fields.content_type) > 1 or not _LENGTH.match(fields.content_length[0]):
        return None
    length = int(fields.content_length[0])
    media = parse_media_type(fields.content_type[0]) if fields.content_type else None
    if media is not None and media.problems:
        return None
    if length and (media is None or not could_be_xml(media.value)):
        return None
    return PlainHead(line, headers, media, length)


def _has_body(status: int) -> bool:
    """Of a request, or of a response that says its length (RFC 9112 6.3)."""
    return status == 0 or (status >= 200 and status not in (204, 304))


def plain_message(
    plain: PlainHead,
    head: bytes,
    at: int,
    data: bytes | memoryview,
    frames: FrameMap,
    speaker: Speaker,
    policy: BodyPolicy,
    limits: Limits,
) -> HttpMessage | None:
    """The message of such a head whose body is there; None: the long way has to be taken.

    Args:
        plain: what the head says.
        head: its bytes.
        at: stream offset of the first.
        data: the body.
        frames: of the direction.
        speaker: who says it.
        policy: what is done with the bytes of bodies.
        limits: bounds.
    """
    line, length = plain.line, plain.length
    if length > SMALL or policy.digest_bodies or len(plain.headers) > limits.headers:
        return None
    kept = bytes(data)
    if length and (kept[:2] == b"--" or not kept.rstrip(_BLANKS).endswith(b">") or b"HTTP/1." in kept):
        # It may be a package of parts, or shorter than is said.
        return None
    start, end = at + len(head), at + len(head) + length
    frames = frames.cut(at, end)
    numbers, times = frames.frames, frames.times
    if not numbers or not numbers[0] or not numbers[-1] or at < frames.starts[0]:
        return None
    frame = numbers[0]
    known = frame if len(numbers) == 1 else max(frames.column(at, start))
    if line.status:
        request = speaker.next_answered(frame, known)
        if request is None or request.method in ("HEAD", "CONNECT"):
            return None
    if length > limits.xml or not policy.room.take(length):
        return None
    weight = weight_of(head, plain.headers)
    policy.room.load(weight)
    policy.room.finish(length + weight)
    answer = None
    if line.status:
        answer = speaker.answer(at, frame, known)
    else:
        speaker.ask(at, frame, line.method, known)
    speaker.high = max(speaker.high, max(numbers))
    stream, media = speaker.stream, plain.media
    if length:
        origin = Origin.whole(stream, start, end, frames)
        body = Content(size=length, head=kept[:HEAD_SIZE], origin=origin, data=kept)
    else:
        body = Content(data=b"")
    message = HttpMessage(
        is_request=not line.status,
        stream=stream,
        version=line.version,
        headers=plain.headers.copy(),
        head=head,
        origin=Origin.whole(stream, at, end, frames),
        body=body,
        method=line.method,
        target=line.target,
        status=line.status,
        reason=line.reason,
        transferred=length,
        media_type=media.value if media is not None else "",
        parameters=media.parameters.copy() if media is not None else {},
        first_frame=frame,
        last_frame=numbers[-1],
        first_time=times[0],
        last_time=times[-1],
        trigger=speaker.high,
    )
    if answer is not None:
        answer.given(message)
    return message
