"""Bytes of a live connection → HTTP messages, by the dissector's own reader.

What reads captures reads sockets: the bytes are fed in runs, each read of the socket counts as a frame.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, FrameMap, StreamRef
from dissector.http.connection import HttpConnection
from dissector.http.headers import list_items
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.room import Room
from dissector.http.start import begins_message
from dissector.transport.model import Conversation, Run, StreamEnd

__all__ = ["ALL", "HttpReceiver"]

ALL = BodyPolicy(digest=True, keep=True)
"""Everything that comes is kept: small bodies in memory, large ones in temporary files."""

LOOKED_AT = 64
"""First bytes of a message that tell whether it is one."""

_UNKNOWN_METHOD = re.compile(rb"[A-Z-]{1,32}( |\Z)")


class HttpReceiver:
    """The messages that one side of a connection gets.

    Args:
        source: who sends.
        destination: who gets.
        responses: this side is a client: what comes are answers.
        limits: bounds of heads and bodies in memory; larger bodies go to temporary files as they come.
        policy: what is kept of bodies; the XML is in any case.
    """

    def __init__(
        self, source: Endpoint, destination: Endpoint, *, responses: bool = False, limits: Limits = DEFAULT_LIMITS,
        policy: BodyPolicy = ALL,
    ) -> None:  # fmt: skip
        self._messages: deque[HttpMessage] = deque()
        # Each connection has a room of its own: one that breaks off takes nothing from the others.
        self._room = Room(limits.held)
        self._connection = HttpConnection(
            Conversation(0, source, destination, opened=True, client=destination if responses else source),
            self._messages.append,
            replace(policy, room=self._room),
            limits,
        )
        stream = StreamRef("tcp", 0, source, destination)
        if responses:
            # The first direction is that of the requests; they are known without being read.
            self._connection.direction(stream.reversed())
        self._reader = self._connection.direction(stream)
        self._frames = FrameMap()
        self._offset = 0
        self._reads = 0
        self._asked_for = -1
        self._first = b""
        """The first bytes of a message of which the head is not whole."""

    def asked(self, method: str = "POST") -> None:
        """A request went out: the next response answers it."""
        self._connection.asked(method)

    def feed(self, data: bytes, time: int) -> list[HttpMessage]:
        """Bytes that came at ``time`` (nanoseconds since 1970): the messages they complete."""
        self._reads += 1
        self._frames.add(self._offset, len(data), self._reads, 0, time)
        run = Run(self._offset, data, self._frames)
        self._offset += len(data)
        self._reader.data(run)
        self._frames.drop_before(self._reader.consumed)
        pending = self.pending if self._reader.under_way is None else 0
        self._first = (self._first + data)[-pending:][:LOOKED_AT] if pending else b""
        return self._taken()

    def end(self, *, reset: bool = False, time: int = 0) -> list[HttpMessage]:
        """No more bytes: the messages that the end completes, or cuts."""
        self._reader.end(StreamEnd.RESET if reset else StreamEnd.FIN, self._reads, time)
        return self._taken()

    def _taken(self) -> list[HttpMessage]:
        taken = list(self._messages)
        self._messages.clear()
        self._room.give_out()
        return taken

    @property
    def pending(self) -> int:
        """Bytes of the message under way that came so far, its head included."""
        return self._offset - self._reader.consumed

    @property
    def decoded(self) -> int:
        """Bytes that its body has become so far, content codings undone."""
        draft = self._reader.under_way
        return draft.body.decoded if draft is not None and draft.body is not None else 0

    @property
    def declared(self) -> int:
        """Content-Length of the message under way, 0 where there is none."""
        draft = self._reader.under_way
        given = draft.fields.content_length if draft is not None else ()
        return max((int(one) for one in given if one.isdecimal() and len(one) < 20), default=0)

    @property
    def junk(self) -> bytes:
        """The first bytes of what should be a request and is none; b"" where all is well so far."""
        first = self._first.lstrip(b"\r\n")
        if not first or begins_message(first, request=True) is not False or _UNKNOWN_METHOD.match(first):
            return b""
        return first

    @property
    def waits_for_leave(self) -> bool:
        """The client asks whether it may send the body (Expect: 100-continue, RFC 9110 10.1.1); once a message."""
        draft = self._reader.under_way
        if draft is None or draft.start == self._asked_for or draft.passed:
            return False
        if not draft.fields.expect or "100-continue" not in list_items(draft.fields.expect):
            return False
        self._asked_for = draft.start
        return True
