"""What begins inside a connection whose HTTP gave way to another protocol: TLS behind CONNECT (a proxy) or an upgrade.

Both directions read TLS from the same moment on, however they see it: one by its first record, the other perhaps only
behind a gap. HTTP in the clear inside a tunnel needs nothing: it is read on. Sources: RFC 9110 9.3.6 (CONNECT), 7.8
(Upgrade), RFC 2817 3 (TLS by an upgrade).
"""

from __future__ import annotations

from collections.abc import Callable

from dissector.base.origin import StreamRef
from dissector.transport.model import Conversation, StreamConsumer

__all__ = ["TLS_RECORD", "Inside", "Tunnel"]

TLS_RECORD = 0x16
"""First byte of TLS: a handshake record. No start line of HTTP begins so."""

WORDS = 300
"""Characters kept of what the client asked for."""

Inside = Callable[[Conversation, str], Callable[[StreamRef], StreamConsumer]]
"""Called with the connection and what the client asked for when there is a first byte of TLS; gives what makes the
consumer of each direction, called at once for both."""


class Tunnel:
    """What both directions of a connection know of a tunnel in it.

    Args:
        conversation: the connection.
        inside: see :data:`Inside`.
    """

    __slots__ = ("_conversation", "_inside", "_made", "_ordered", "_words")

    def __init__(self, conversation: Conversation, inside: Inside) -> None:
        self._conversation = conversation
        self._inside = inside
        self._words = ""
        self._ordered = False
        self._made: dict[StreamRef, StreamConsumer] = {}

    @property
    def begun(self) -> bool:
        """TLS began in one of the directions."""
        return bool(self._made)

    def ask(self, words: str) -> None:
        """The client asked for a tunnel, ``""``: for something else. The answer decides what its next bytes are."""
        if words or self._ordered:
            self._words = words[:WORDS]
            self._ordered = self._conversation.in_order = bool(words)

    def enter(self, stream: StreamRef) -> StreamConsumer:
        """The reader of one direction."""
        if not self._made:
            make = self._inside(self._conversation, self._words)
            for one in (stream, stream.reversed()):
                self._made[one] = make(one)
        return self._made[stream]
