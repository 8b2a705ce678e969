"""What this package makes of a capture: a digest of each direction, and every HTTP message."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from dissector.assembly import MessagePass
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, Gap, StreamRef
from dissector.capture import open_source
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.keyfiles import KeyFiles
from dissector.transport.model import Conversation, Run, StreamConsumer, StreamEnd

__all__ = ["Direction", "HttpFact", "Side", "read"]


@dataclass()
class Direction:
    """One direction of a stream: bytes that are there, their SHA-256 from the first one on, and the gaps. ``missing``:
    bytes that tshark says are not there."""

    source: Endpoint
    size: int = 0
    sha256: str = ""
    gaps: list[Gap] = field(default_factory=list)
    missing: int = 0


@dataclass()
class HttpFact:
    """One HTTP message.

    Attributes:
        start: method and target, or the status, as text.
        frame: the frame at which it became whole.
        size, sha256: of the body as transferred, chunked coding undone; None where unknown.
    """

    stream: int
    is_request: bool
    start: str
    frame: int
    size: int | None
    sha256: str | None
    complete: bool = True
    media_type: str = ""
    lost_by: str = ""
    """What tshark was seen to lose such messages by."""


@dataclass()
class Side:
    """What one of the two programs found. ``rules``: rule identifiers of findings of each stream and its messages;
    ``tls``: the streams whose TLS was opened; ``opened``: those whose beginning is in the capture."""

    streams: dict[int, dict[Endpoint, Direction]] = field(default_factory=dict)
    messages: list[HttpFact] = field(default_factory=list)
    rules: dict[int, set[str]] = field(default_factory=dict)
    tls: set[int] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)


TRAILER = "the message before it has a trailer"
EMPTY_LINES = "empty lines stand before it"
UNTIL_CLOSE = "its body goes to the end of the connection, and its segments came out of order"


class _LostBy:
    """Tells it; knows the message before, in each direction."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, bool], tuple[int, bool]] = {}

    def told(self, http: HttpMessage) -> str:
        """Of the next message of its direction; "" for nothing."""
        ranges = http.origin.stream_ranges()
        if not ranges:
            return ""
        key = (http.stream.number, http.is_request)
        end, trailer = self._ends.get(key, (0, False))
        self._ends[key] = (ranges[-1][1], bool(http.trailers))
        blank = ranges[0][0] > end and not http.findings
        if trailer or blank:
            return TRAILER if trailer else EMPTY_LINES
        framed = http.is_request or http.header("Content-Length") or http.header("Transfer-Encoding")
        if framed or not http.transferred:
            return ""
        frames = [frame for frame in http.frame_map.frames if frame]
        return UNTIL_CLOSE if frames != sorted(frames) else ""


class _Tee:
    """Hands everything on, and keeps a digest."""

    def __init__(self, direction: Direction, consumer: StreamConsumer) -> None:
        self._direction = direction
        self._consumer = consumer
        self._digest = hashlib.sha256()

    @property
    def consumed(self) -> int:
        """As far as the consumer behind is done."""
        return int(getattr(self._consumer, "consumed", 1 << 62))

    def data(self, run: Run) -> None:
        """The next bytes."""
        self._digest.update(run.data)
        self._direction.size += len(run.data)
        self._consumer.data(run)

    def gap(self, gap: Gap) -> None:
        """Missing bytes."""
        self._direction.gaps.append(gap)
        self._consumer.gap(gap)

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """The end."""
        self._direction.sha256 = self._digest.hexdigest()
        self._consumer.end(how, frame, time)


class _Watched(MessagePass):
    """A pass whose streams are digested on the way."""

    def __init__(self, *arguments: object, side: Side, **named: object) -> None:
        self._side = side
        self.conversations: dict[int, Conversation] = {}
        super().__init__(*arguments, **named)  # type: ignore[arg-type]  # handed on

    def _consumer(self, conversation: Conversation, stream: StreamRef) -> StreamConsumer:
        direction = Direction(stream.source)
        self._side.streams.setdefault(stream.number, {})[stream.source] = direction
        self.conversations.setdefault(conversation.number, conversation)
        return _Tee(direction, super()._consumer(conversation, stream))


def read(paths: list[str], limits: Limits = DEFAULT_LIMITS, keyfiles: KeyFiles | None = None) -> Side:
    """Read a capture our way.

    Raises:
        UnreadableInput: it is no capture.
    """
    side = Side()
    lost_by = _LostBy()

    def take(http: HttpMessage) -> None:
        start = f"{http.method} {http.target}" if http.is_request else str(http.status)
        if http.findings:
            side.rules.setdefault(http.stream.number, set()).update(finding.rule for finding in http.findings)
        side.messages.append(
            HttpFact(
                http.stream.number,
                http.is_request,
                start,
                http.trigger,
                http.transferred,
                http.body_sha256,
                http.complete,
                http.media_type,
                lost_by.told(http),
            )
        )

    source = open_source(paths, limits=limits)
    watched = _Watched(
        source,
        policy=BodyPolicy(digest=False, digest_bodies=True),
        limits=limits,
        on_http=take,
        side=side,
        keyfiles=keyfiles,
    )
    for _ in watched:
        pass
    for conversation in watched.conversations.values():
        side.rules.setdefault(conversation.number, set()).update(finding.rule for finding in conversation.findings)
        if conversation.opened:
            side.opened.add(conversation.number)
    for facts in watched.tls_opened:
        side.rules.setdefault(facts.number, set()).update(finding.rule for finding in facts.findings)
    side.tls = {facts.number for facts in watched.tls_opened}
    source.close()
    return side
