"""What begins inside a connection whose HTTP gave way to another protocol: TLS behind CONNECT (a proxy) or an upgrade.

Both directions read TLS from the same moment on, however they see it: one by its first record, the other perhaps only
behind a gap. HTTP in the clear inside a tunnel needs nothing: it is read on. Sources: RFC 9110 9.3.6 (CONNECT), 7.8
(Upgrade), RFC 2817 3 (TLS by an upgrade).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import Conversation, StreamConsumer, StreamEnd

__all__ = ["TLS_ALERT", "TLS_RECORD", "Ended", "Inside", "Tunnel"]

TLS_RECORD = 0x16
"""First byte of TLS: a handshake record. No start line of HTTP begins so."""
TLS_ALERT = 0x15
"""First byte of a server that refuses the client's hello."""

WORDS = 300
"""Characters kept of what the client asked for."""

Inside = Callable[[Conversation, str], Callable[[StreamRef], StreamConsumer]]
"""Called with the connection and what the client asked for when there is a first byte of TLS; gives what makes the
consumer of each direction, called at once for both."""


class Ended(NamedTuple):
    """How a direction ended: whose it is, how, by which frame; whether anything came in it, and a request."""

    source: Endpoint
    how: StreamEnd
    frame: int
    said: bool
    asked: bool


class Tunnel:
    """What both directions of a connection know of a tunnel in it.

    Args:
        conversation: the connection.
        inside: see :data:`Inside`; None: what is inside is not read.
        ordered: (what is in TLS) ask for both directions in order from the beginning, until the first request tells
            that it asks for no tunnel. Without, an answer that is in the same block of the capture may be read before
            it.

    Attributes:
        agreed: the server agreed to one.
        begun: TLS began in one of the directions.
        readable: TLS in it is read.
        sealed: the HTTP itself is in TLS.
        over: how the direction ended that ended first, until the other one does.
    """

    __slots__ = (
        "_conversation", "_inside", "_made", "_ordered", "_words", "agreed", "begun", "over", "readable", "sealed"
    )  # fmt: skip

    def __init__(self, conversation: Conversation, inside: Inside | None, *, ordered: bool = False) -> None:
        self.agreed = False
        self.begun = False
        self.readable = inside is not None
        self.sealed = ordered
        self.over: Ended | None = None
        self._conversation = conversation
        self._inside = inside
        self._words = ""
        self._ordered = False
        self._made: dict[StreamRef, StreamConsumer] = {}
        if ordered and self.readable:
            self._order(True)

    def ask(self, words: str) -> None:
        """The client asked for a tunnel, ``""``: for something else. The answer decides what its next bytes are."""
        if self.readable and (words or self._ordered):
            self._words = words[:WORDS]
            self._order(bool(words))

    def give_up(self) -> None:
        """A direction is no HTTP."""
        if self._ordered:
            self._order(False)

    def _order(self, ordered: bool) -> None:
        self._conversation.ordering += ordered - self._ordered
        self._ordered = ordered

    def enter(self, stream: StreamRef) -> StreamConsumer:
        """The reader of one direction, where it is readable."""
        if not self.begun:
            assert self._inside is not None
            self.begun = True
            make = self._inside(self._conversation, self._words)
            for one in (stream, stream.reversed()):
                self._made[one] = make(one)
        return self._made[stream]
