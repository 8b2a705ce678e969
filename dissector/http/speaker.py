"""One side of a connection as a partner in the dialogue: what it asked and answered so far.

The framing of what one side says depends on what the other said (an answer to HEAD, a tunnel), and so does what may
stand where a message is looked for. Messages are told here when their head is whole.
"""

from __future__ import annotations

from dissector.base.origin import StreamRef
from dissector.http.pairing import Answer, Pairing, Request
from dissector.http.tunnel import Tunnel

__all__ = ["Speaker"]


class Speaker:
    """What one direction said.

    Args:
        stream: the direction.
        asking: its requests.
        answering: the requests of the other direction.
        tunnel: of the connection.

    Attributes:
        stream, answering, tunnel: as given.
        answered: a response was read.
        lost: messages may have been lost before the next one.
        whole: all messages so far were read.
        may_tunnel: its last request asks for another protocol.
        high: the highest frame so far: a receiver has a message when all bytes up to its end are there.
    """

    __slots__ = ("_asking", "answered", "answering", "high", "lost", "may_tunnel", "stream", "tunnel", "whole")

    def __init__(self, stream: StreamRef, asking: Pairing, answering: Pairing, tunnel: Tunnel) -> None:
        self.stream = stream
        self.tunnel = tunnel
        self.answering = answering
        self.answered = False
        self.lost = False
        self.whole = True
        self.may_tunnel = False
        self.high = 0
        self._asking = asking

    @property
    def asked(self) -> bool:
        """It sent a request."""
        return self._asking.read

    @property
    def asks(self) -> bool:
        """Its messages may be requests: it asked, or it is not known what it does."""
        return self._asking.read or not self.answered

    @property
    def answers(self) -> bool:
        """Its messages may be responses."""
        return self.answered or not self._asking.read

    def ask(
        self, offset: int, frame: int, method: str, known: int, wish: str = "", *, may_tunnel: bool = False
    ) -> None:
        """A request began.

        Args:
            offset: stream offset of the request.
            frame: of its first byte.
            method: of the request.
            known: the frame with the last byte of its head.
            wish: what it asks for where it wants a tunnel for TLS.
            may_tunnel: it asks for another protocol.
        """
        self.may_tunnel = may_tunnel
        self.tunnel.ask(wish)
        self._asking.read = True
        self._asking.request(Request(offset, frame, method, max(known, self.high), known, self.whole))

    def answer(self, offset: int, frame: int, known: int) -> Answer:
        """A final response began, whose first byte is in ``frame``; ``known``: the frame with the last of its head."""
        self.answered = True
        heard = max(known, self.high)
        answer = self.answering.response(offset, frame, heard, lost=self.lost, whole=self.whole)
        self.lost = False
        return answer

    def interim(self, frame: int, known: int) -> Request | None:
        """An interim response (1xx) began: the request that it belongs to, where that is known."""
        self.answered = True
        request = self.next_answered(frame, known)
        self.lost = False
        return request

    def next_answered(self, frame: int, known: int) -> Request | None:
        """What a response would answer that begins in ``frame``; ``known``: the frame with the last of its head."""
        return self.answering.peek(frame, max(known, self.high), lost=self.lost, whole=self.whole)
