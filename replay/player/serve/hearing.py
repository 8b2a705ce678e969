"""Understanding requests: a request over HTTP → what it asks, and which runs it carries something of.

Clients say the same again and again: the next page, the state of their jobs. Such a request differs from one before in
its MessageID, in the tokens that were handed out, in the Content-ID of an image; it is known by the rest of its bytes,
and not parsed, decoded and told apart once more.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dissector.base.errors import ContentNotKept
from dissector.http.model import HttpMessage
from dissector.messages import Message, real_type
from dissector.output.summary import summary
from dissector.output.text import short_id, size_text
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
"""Bytes of a head and of an envelope that are remembered, and of the images that are kept with them."""

MAX_COOKIES = 64
"""Cookies of one request that are looked at."""

_ID = re.compile(rb"<(?:[\w.-]+:)?MessageID[^<>]*>([^<>&]*)</")
_VARIES = re.compile(
    rb"(<(?:[\w.-]+:)?([\w.-]*(?:Token|JobId|Identifier))(?: [^<>]*)?>)([^<>&]{1,200})(?=</)"
    rb"|MessageID[^<>]*>[^<>&]*(?=</)|(cid:)[^\"'<>&]*"
)
"""What differs between equal requests: the text of an element that may hold what was handed out, the MessageID, and the
name of an image."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it is understood.

    Attributes:
        message: decoded; for a request that was known again, the first of its kind: its MessageID, its tokens and its
            images are those of that one.
        known: it was known again.
        message_id: its own, None for none.
        xml: its envelope.
        question: what it asks.
        said: in short, for the log.
        images: type and size of the images in it.
        runs: of which it carries something that was handed out.
        texts: what was handed out, by the names of the values.
    """

    message: Message
    known: bool
    message_id: str | None
    xml: bytes
    question: Question
    said: str
    images: tuple[tuple[str | None, int], ...]
    runs: tuple[Run, ...]
    texts: Mapping[str, str]

    @property
    def names(self) -> Collection[str]:
        """Of the values that stand in it."""
        return self.texts.keys()


@dataclass(frozen=True, slots=True)
class _Form:
    """What a request is known again by (``key``), and what is its own."""

    key: tuple[object, ...]
    xml: bytes
    message_id: str
    images: tuple[tuple[str | None, int], ...]
    runs: tuple[Run, ...]
    texts: Mapping[str, str]


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
        form = self._form(request.http)
        known = self._known.get(form.key) if form is not None else None
        if form is not None and known is not None and form.texts.keys() == known.names:
            self._known.move_to_end(form.key)
            return replace(
                known, known=True, message_id=form.message_id, xml=form.xml, images=form.images, runs=form.runs,
                texts=form.texts, said=_retold(known, form),
            )  # fmt: skip
        message = read_message(request.http)
        if message is None or message.envelope is None or message.envelope.recovered:
            return message
        heard = self.understood(request, message)
        # What opens a run is looked at itself: the values of its client are read out of it.
        opening = message.name == "Subscribe" or message.name.startswith("Create")
        kept = sum(one.content.size for one in message.attachments if one.content.kept)
        # An image in the text, in base64, is none of the parts that a form is known by.
        alike = form is not None and (
            (heard.message_id, heard.texts, heard.images) == (form.message_id, form.texts, form.images)
        )
        if form is not None and alike and not opening and kept <= LONGEST:
            self._known[form.key] = heard
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return heard

    def understood(self, request: HttpRequest, message: Message) -> Heard:
        """A message as it is understood by itself, whatever was before."""
        assert message.envelope is not None
        runs: dict[Run, None] = {}
        texts: dict[str, str] = {}

        def named(element: str, text: str) -> str:
            found = self._runs.holder(element, text) if text else None
            if found is None:
                return text
            runs[found[0]] = None
            texts[found[1]] = text
            return f"${{{found[1]}}}"

        question = question_of(message, request.path.rstrip("/") or "/", named)
        for cookie in (request.http.header("Cookie") or "").split(";")[:MAX_COOKIES]:
            name, _, text = cookie.strip().partition("=")
            named(name, text.strip('"'))
        return Heard(
            message, False, message.message_id, message.envelope.xml, question,
            f"{message.name} {summary(message)}".rstrip(),
            tuple((one.real_type, one.content.size) for one in message.attachments),
            tuple(runs), texts,
        )  # fmt: skip

    def _form(self, http: HttpMessage) -> _Form | None:
        """What a request is known again by, None for one that is not remembered."""
        root = http.root
        content = root.content if root is not None else http.body
        if not http.complete or not 0 < content.size <= LONGEST or (root is None and http.parts):
            return None
        if len(http.head) > LONGEST:
            # Its target and its cookies would be kept.
            return None
        try:
            xml = content.data()
            ids = _ID.findall(xml)
            if len(ids) != 1:
                return None
            message_id = ids[0].strip().decode("ascii")
        except (ContentNotKept, UnicodeDecodeError):
            return None
        runs: dict[Run, None] = {}
        texts: dict[str, str] = {}

        def blank(match: re.Match[bytes]) -> bytes:
            if match[2] is not None:
                text = match[3].decode("utf-8", "replace").strip()
                found = self._runs.holder(match[2].decode("latin-1"), text)
                if found is None:
                    return match[0]
                runs[found[0]] = None
                texts[found[1]] = text
                return b"%b${%b}" % (match[1], found[1].encode("latin-1"))
            return b"MessageID>" if match[4] is None else b"cid:"

        bare = _VARIES.sub(blank, xml)
        images = tuple(
            (real_type(part.content.head), part.content.size) for part in http.parts if part is not root
        )  # fmt: skip
        media = http.header("Content-Type") if root is None else root.parameters.get("charset")
        key = (http.method, http.target, media, http.header("Cookie"), tuple(kind for kind, _ in images), bare)
        return _Form(key, xml, message_id, images, tuple(runs), texts)

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


def _retold(known: Heard, form: _Form) -> str:
    """What was said of the first of its kind, said of another one: its job, and its images."""
    said = known.said
    for name, text in known.texts.items():
        said = said.replace(f"job {short_id(text)}", f"job {short_id(form.texts[name])}")
    for (kind, size), (other, now) in zip(known.images, form.images, strict=True):
        said = said.replace(f"{kind}, {size_text(size)}", f"{other}, {size_text(now)}")
    return said
