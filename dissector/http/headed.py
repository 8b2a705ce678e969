"""What is told of answers to HEAD: they have no body, and say how long one would be (RFC 9110 9.3.2).

Some servers send the body all the same. What stands behind the head tells, whether the request is known or not: a start
line, or bytes, which are the body then. So it makes no difference for the body at what time the request becomes known,
only for what is said.
"""

from __future__ import annotations

from dissector.base.findings import rule
from dissector.http.model import HttpMessage

__all__ = ["HEAD_ANSWER", "HEAD_BODY", "answers_another", "answers_head"]

HEAD_ANSWER = rule("http.head-answer", "note", "taken for the answer to HEAD: it says a length and has no body")
HEAD_BODY = rule("http.head-body", "warn", "the answer to HEAD has a body", "RFC 9110 9.3.2")


def answers_head(message: HttpMessage) -> None:
    """Tell of an answer, made already, that its request is HEAD."""
    message.findings = [finding for finding in message.findings if finding.rule != HEAD_ANSWER.id]
    if message.transferred:
        text = f"the answer to HEAD has a body of {message.transferred} bytes: it is kept as the body"
        pieces = message.body.origin.stream_ranges() if message.body.origin is not None else []
        offset = pieces[0][0] if pieces else None
        frames = message.frame_map.frames_of(offset, offset + 1) if offset is not None else (message.first_frame,)
        message.findings.append(HEAD_BODY(text, frames=frames, offset=offset))


def answers_another(message: HttpMessage) -> None:
    """Take back what was told: its request is another one."""
    message.findings = [finding for finding in message.findings if finding.rule != HEAD_BODY.id]
