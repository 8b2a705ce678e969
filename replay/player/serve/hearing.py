"""Understanding requests: a request over HTTP → what it asks, and which runs it carries something of.

A client says the same again and again: the next page, the state of its job. Such a request differs from the one before
in its MessageID alone; it is known by the rest of its bytes, and not parsed, decoded and told apart once more.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace

from dissector.base.errors import ContentNotKept
from dissector.http.model import HttpMessage
from dissector.messages import Message
from dissector.output.summary import summary
from replay.net.server import HttpRequest
from replay.player.serve.question import Question, question_of
from replay.player.serve.refusals import not_handed_out
from replay.player.serve.session import Run, Runs
from replay.player.serve.story import Story
from replay.soap.caller import read_message
from replay.soap.faults import SoapFault

__all__ = ["Heard", "Hearing"]

REMEMBERED = 500
"""Requests that are known again."""

LONGEST = 16 << 10
"""Bytes of an envelope that is remembered."""

MAX_COOKIES = 64

_ID = re.compile(rb"<(?:[\w.-]+:)?MessageID[^<>]*>\s*([^<>&]*?)\s*</")


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it is understood.

    Attributes:
        message: decoded; one that was known again has the MessageID of the first of its kind.
        message_id: its own, None for none.
        xml: its envelope.
        question: what it asks.
        said: in short, for the log.
        pairs: (element, text) of what was handed out to somebody and stands in it.
        runs: of whom that is.
        names: of the values.
    """

    message: Message
    message_id: str | None
    xml: bytes
    question: Question
    said: str
    pairs: tuple[tuple[str, str], ...]
    runs: tuple[Run, ...]
    names: tuple[str, ...]


class Hearing:
    """Understands requests.

    Args:
        story: that is served.
        runs: of the clients.
    """

    def __init__(self, story: Story, runs: Runs) -> None:
        self._story = story
        self._runs = runs
        self._known: OrderedDict[tuple[object, ...], Heard] = OrderedDict()

    def hear(self, request: HttpRequest) -> Heard | Message | None:
        """What a request asks; the message where it cannot be taken, None where there is none."""
        key, xml, message_id = _key(request.http)
        known = self._known.get(key) if key else None
        if known is not None:
            found = [self._runs.holder(*pair) for pair in known.pairs]
            held = [one for one in found if one is not None]
            if len(held) == len(found):
                self._known.move_to_end(key)
                runs, names = tuple(run for run, _ in held), tuple(name for _, name in held)
                if names == known.names:
                    return replace(known, message_id=message_id, xml=xml, runs=runs)
        message = read_message(request.http)
        if message is None or message.envelope is None or message.envelope.recovered:
            return message
        heard = self._understood(request, message)
        if key and message.name != "Subscribe" and not message.attachments and heard.message_id == message_id:
            self._known[key] = heard
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return heard

    def _understood(self, request: HttpRequest, message: Message) -> Heard:
        assert message.envelope is not None
        pairs: list[tuple[str, str]] = []
        held: list[tuple[Run, str]] = []

        def named(element: str, text: str) -> str:
            found = self._runs.holder(element, text) if text else None
            if found is None:
                return text
            pairs.append((element, text))
            held.append(found)
            return f"${{{found[1]}}}"

        question = question_of(message, request.path.rstrip("/") or "/", named)
        for cookie in (request.http.header("Cookie") or "").split(";")[:MAX_COOKIES]:
            name, _, text = cookie.strip().partition("=")
            named(name, text.strip('"'))
        return Heard(
            message, message.message_id, message.envelope.xml, question, f"{message.name} {summary(message)}".rstrip(),
            tuple(pairs), tuple(run for run, _ in held), tuple(name for _, name in held),
        )  # fmt: skip

    def strange(self, heard: Heard) -> SoapFault | None:
        """The fault for a token that was never handed out, None where all is known, or was recorded so."""
        asked = heard.question
        for element, text in asked.keys:
            if element not in self._runs.holders or text.startswith("${") or not text:
                continue
            recorded = [one.question.keys for one in self._story.by_name.get(asked.name, ())]
            if any((element, text) in keys for keys in recorded):
                continue
            if any(key == element and value.startswith("${") for keys in recorded for key, value in keys):
                return not_handed_out(heard.message, element)
        return None


def _key(http: HttpMessage) -> tuple[tuple[object, ...], bytes, str | None]:
    """What a request is known again by (() for one that is not remembered), its envelope, and its MessageID."""
    if http.parts or not 0 < http.body.size <= LONGEST or not http.complete:
        return (), b"", None
    try:
        xml = http.body.data()
    except ContentNotKept:
        return (), b"", None
    found = list(_ID.finditer(xml))
    if len(found) != 1:
        return (), b"", None
    start, end = found[0].span(1)
    try:
        message_id = xml[start:end].decode("ascii")
    except UnicodeDecodeError:
        return (), b"", None
    key = (http.method, http.target, http.header("Content-Type"), http.header("Cookie"), xml[:start], xml[end:])
    return key, xml, message_id
