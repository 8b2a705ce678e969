"""One connection: both directions' readers, joined by what the framing of one needs of the other.

The reader of a response has to know the request's method (HEAD, CONNECT). Which side is the client is learnt from the
content. Relied on: the transport makes both consumers of a conversation on one :class:`HttpConnection`; it feeds each
direction in stream order; within one batch (a block of the capture) one direction may be fed whole before the other.
Where the direction that asks is fed first, all pairs are known at once; in the other order messages, bodies and pairs
are the same (a response already given out gets its ``answers`` when the request is fed), except that the answer to
CONNECT, and one to HEAD that says no length, are framed without knowing so.
"""

from __future__ import annotations

from collections.abc import Callable

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import StreamRef
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.pairing import Pairing, Request
from dissector.http.reader import MessageReader
from dissector.http.speaker import Speaker
from dissector.http.tunnel import Inside, Tunnel
from dissector.transport.model import Conversation

__all__ = ["HttpConnection"]


class HttpConnection:
    """The HTTP messages of one connection.

    Args:
        conversation: the connection; takes findings that belong to no message.
        emit: called with each message when it is whole or given up, in the order of its direction.
        policy: what is done with the bytes of bodies.
        limits: bounds.
        inside: makes what reads TLS that begins inside the connection, behind CONNECT or an upgrade.
        ordered: see :class:`~dissector.http.tunnel.Tunnel`.
    """

    def __init__(
        self,
        conversation: Conversation,
        emit: Callable[[HttpMessage], None],
        policy: BodyPolicy,
        limits: Limits = DEFAULT_LIMITS,
        inside: Inside | None = None,
        *,
        ordered: bool = False,
    ) -> None:
        self._tunnel = Tunnel(conversation, inside, ordered=ordered)
        self._conversation = conversation
        self._emit = emit
        self._policy = policy
        self._limits = limits
        self._pairings = (Pairing(limits.unpaired), Pairing(limits.unpaired))
        self._made = 0

    def asked(self, method: str) -> None:
        """A request went out in the first direction without being read here: a live client knows its own requests."""
        self._pairings[0].request(Request(0, 0, method))

    def direction(self, stream: StreamRef) -> MessageReader:
        """The consumer of one direction; called once for each of the two.

        Raises:
            ValueError: called a third time.
        """
        made = self._made
        if made == 2:
            raise ValueError("a connection has two directions")
        self._made += 1
        speaker = Speaker(stream, self._pairings[made], self._pairings[1 - made], self._tunnel)
        return MessageReader(self._conversation, speaker, self._emit, self._policy, self._limits)
