"""Feeds bytes to the HTTP reader as the transport would, one frame for each piece."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, FrameMap, Gap, StreamRef
from dissector.http.connection import HttpConnection
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.transport.model import Conversation, Run, StreamEnd

CLIENT = Endpoint("192.0.2.1", 50000)
SERVER = Endpoint("192.0.2.2", 5357)
UP = StreamRef("tcp", 0, CLIENT, SERVER)
DOWN = UP.reversed()
KEEP = BodyPolicy(digest=True, digest_bodies=True, keep=True)


class Feed:
    """One connection under test. Frames are numbered in the order of the calls."""

    def __init__(self, policy: BodyPolicy = KEEP, limits: Limits = DEFAULT_LIMITS) -> None:
        self.messages: list[HttpMessage] = []
        self.conversation = Conversation(0, CLIENT, SERVER)
        connection = HttpConnection(self.conversation, self.messages.append, policy, limits)
        self.up = _Side(self, connection, UP)
        self.down = _Side(self, connection, DOWN)
        self.frame = 0

    @property
    def findings(self) -> list[Finding]:
        """Of all messages and of the connection."""
        return [f for m in self.messages for f in m.findings] + self.conversation.findings


class _Side:
    def __init__(self, feed: Feed, connection: HttpConnection, stream: StreamRef) -> None:
        self.feed = feed
        self.reader = connection.direction(stream)
        self.frames = FrameMap()
        self.at = 0

    def data(self, data: bytes, frame: int | None = None, cuts: Sequence[int] = ()) -> None:
        """One run; a frame for each piece between the cuts."""
        edges = [0, *cuts, len(data)]
        for low, high in pairwise(edges):
            number = self._next(frame)
            self.frames.add(self.at + low, high - low, number, 54, number * 1000)
        self.reader.data(Run(self.at, data, self.frames))
        self.at += len(data)

    def gap(self, length: int, reason: str = "lost", released: int = 0) -> None:
        if length:
            self.frames.add(self.at, length, 0, -1, 0)
        self.reader.gap(Gap(self.at, length, reason, released=released))
        self.at += length

    def end(self, how: StreamEnd = StreamEnd.FIN, frame: int | None = None) -> None:
        number = self._next(frame)
        self.reader.end(how, number, number * 1000)

    def _next(self, frame: int | None) -> int:
        self.feed.frame = frame if frame is not None else self.feed.frame + 1
        return self.feed.frame


def read(
    data: bytes,
    cuts: Sequence[int] = (),
    how: StreamEnd = StreamEnd.FIN,
    policy: BodyPolicy = KEEP,
    limits: Limits = DEFAULT_LIMITS,
) -> Feed:
    """Read one direction, in runs between the cuts."""
    feed = Feed(policy, limits)
    edges = [0, *cuts, len(data)]
    for low, high in pairwise(edges):
        feed.up.data(data[low:high])
    feed.up.end(how)
    return feed


def bytewise(data: bytes) -> range:
    """Cuts behind every byte."""
    return range(1, len(data))


def facts(message: HttpMessage) -> tuple[object, ...]:
    """What must not depend on how the input was cut."""
    return (
        message.is_request,
        message.method,
        message.target,
        message.status,
        message.reason,
        message.version,
        [(h.name, h.value, h.start, h.end) for h in message.headers],
        message.head,
        message.body.data() if message.body.kept else None,
        message.body.size,
        message.body.sha256,
        message.transferred,
        message.body_sha256,
        message.origin.ranges.pieces,
        [
            (
                p.content_id,
                p.media_type,
                p.root,
                p.content.data() if p.content.kept else None,
                p.content.sha256,
                p.content.complete,
                p.content.origin.stream_ranges() if p.content.origin else None,
                p.bounds,
                [f.rule for f in p.findings],
            )
            for p in message.parts
        ],
        [(h.name, h.value) for h in message.trailers],
        (message.trailer_bytes, message.chunk_runs),
        message.complete,
        sorted((f.rule, f.offset) for f in message.findings),
    )


def outcome(feed: Feed) -> tuple[object, ...]:
    """All messages and the connection's findings."""
    return [facts(m) for m in feed.messages], sorted(f.rule for f in feed.conversation.findings)
