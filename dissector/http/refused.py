"""How a server of https meets a request of HTTP in the clear: by TLS, by a 400 that says so, or without a word.

Nothing else of such an answer is of WSD, so without a finding it would be told nowhere why the device gets no further.
"""

from __future__ import annotations

from collections.abc import Sequence

from dissector.base.findings import Finding, rule
from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.http.tunnel import Ended
from dissector.transport.model import Conversation, StreamEnd

__all__ = ["begins_tls", "by_400", "by_tls", "without_a_word"]

TLS_ANSWER = rule(
    "http.tls-answer", "warn", "the server answers HTTP in the clear with TLS: it expects https on this port"
)
WANTS_HTTPS = rule(
    "http.wants-https", "warn", "the server refuses HTTP in the clear with a 400 that says that it expects https"
)
NO_ANSWER = rule("http.no-answer", "warn", "the server ended the connection without a word to the request")

_SAYS_HTTPS = (
    b"plain http request was sent to https port",
    b"plain http to an ssl-enabled",
    b"http request to an https server",
    b"host and port requires tls",
)
"""What nginx, Apache, Go and Tomcat write in the body of such a 400, in lower case."""
_SHORT = 4096
"""Bytes of the body of such a 400 at most."""


def begins_tls(start: bytes) -> bool:
    """Whether the first three bytes of an answer are those of an alert, or of a handshake."""
    return len(start) >= 3 and start[:2] in (b"\x15\3", b"\x16\3")


def by_tls(server: Endpoint, frames: Sequence[int], offset: int) -> Finding:
    """TLS stands in place of an answer, from the stream offset on."""
    words = f"{server} answers HTTP in the clear with TLS: it expects https on this port"
    return TLS_ANSWER(words, frames=frames, offset=offset)


def by_400(server: Endpoint, message: HttpMessage) -> Finding | None:
    """The answer is such a 400."""
    if message.status != 400 or message.body.size > _SHORT:
        return None
    said = (message.body.data() if message.body.kept else message.body.head).lower()
    if not any(part in said for part in _SAYS_HTTPS):
        return None
    words = f"{server} answers HTTP in the clear with 400: it expects https on this port"
    return WANTS_HTTPS(words, frames=message.origin.frame_numbers()[:1])


def without_a_word(conversation: Conversation, one: Ended, other: Ended, *, sealed: bool) -> Finding | None:
    """One side said nothing at all to the request of the other one, and ended the connection; ``sealed``: in TLS."""
    left = other.how is StreamEnd.FIN and other.frame < one.frame
    if one.said or left or not other.asked or not conversation.both:
        return None
    if one.how is StreamEnd.RESET and conversation.reset_by == one.source:
        ended = "reset"
    elif one.how is StreamEnd.FIN:
        ended = "closed"
    else:
        return None
    hint = "" if sealed else ": it may expect https on this port, or nothing was ready to answer"
    return NO_ANSWER(f"{one.source} {ended} the connection without a word to the request{hint}", frames=(one.frame,))
