"""Values that no specification of scanning names: cookies, and tokens of a vendor's own.

A vendor's token is a text that looks random and that a later request of another party than the one that said it first
repeats as a whole: that is what makes it a token, and not the name of its element. A short one is doubtful.

Source: RFC 6265 4.1 and 4.2 (Set-Cookie, Cookie).
"""

from __future__ import annotations

from replay.scenario.looks import distinctive, looks_random
from replay.scenario.places import Text
from replay.scenario.story import Story
from replay.scenario.values import GUID, Value, snake

__all__ = ["ADDRESSING", "PLAIN_HEADERS", "can_be_token", "find_cookies", "find_repeated", "find_tokens", "is_typed"]

ADDRESSING = ("Action", "To", "MessageID", "RelatesTo", "ReplyTo", "FaultTo", "From", "AppSequence")
"""Header blocks of WS-Addressing and WS-Discovery."""

PLAIN_HEADERS = frozenset((
    "accept", "accept-charset", "accept-encoding", "accept-language", "age", "allow", "authorization",
    "cache-control", "connection", "content-encoding", "content-id", "content-language", "content-length",
    "content-location", "content-transfer-encoding", "content-type", "cookie", "date", "etag", "expect", "expires",
    "host", "keep-alive", "last-modified", "location", "mime-version", "pragma", "proxy-authorization",
    "proxy-connection", "server", "set-cookie", "soapaction", "te", "trailer", "transfer-encoding", "upgrade",
    "user-agent", "vary", "via",
))  # fmt: skip
"""HTTP headers that never hold a vendor's token."""


def is_typed(text: Text) -> bool:
    """The catalogue says that the text is enumerated, a number, a date, a name or a picture: it is no token."""
    field = text.field
    if field is None:
        return False
    if field.name == "Include" or field.nil:
        return True
    if text.attribute:
        value = field.attributes[text.attribute][0]
        return not isinstance(value, str)
    if field.decl is None:
        return False
    return field.decl.enum is not None or not isinstance(field.value, str | None)


def can_be_token(text: Text) -> bool:
    """A text that could be a vendor's token by its place: no addressing, no common HTTP header, nothing typed."""
    if text.where == "target" or text.name == "ClientContext":
        return False
    if text.where == "header" and text.path.split("/")[0].partition("[")[0] in ADDRESSING:
        return False
    if text.where == "http":
        return "/" not in text.path and text.name.lower() not in PLAIN_HEADERS
    return not is_typed(text)


def find_cookies(story: Story) -> None:
    """Set-Cookie → Cookie; one that is not sent back needs no change."""
    given: dict[tuple[str, str, str], tuple[int, Text]] = {}
    made: dict[tuple[str, str, str], Value] = {}
    for index, text in story.free_texts():
        header = text.path.partition("/")[0].partition("[")[0].lower() if text.where == "http" else ""
        if header not in ("cookie", "set-cookie"):
            continue
        key = (story.server(index), text.name, text.text)
        if header == "set-cookie":
            given.setdefault(key, (index, text))
            continue
        value = made.get(key)
        if value is None:
            birth = given.get(key)
            if birth is not None:
                maker, why = story.senders[birth[0]], "is set by an answer, and later requests send it back."
            else:
                maker, why = "", "is sent, and the answer that set it is not in the capture."
            value = made[key] = story.add(
                f"cookie_{snake(text.name)}", text.text, "cookie", maker, f"The cookie {text.name} {why}",
                sure=birth is not None,
            )  # fmt: skip
            if birth is not None:
                story.born(value, *birth)
        story.use(value, index, text)


def find_tokens(story: Story) -> None:
    """What a party hands out, in an answer or as it likes, and a later request of another party repeats."""
    seen: dict[str, list[tuple[int, Text]]] = {}
    made: dict[str, Value] = {}
    for index, text in story.free_texts():
        if not can_be_token(text):
            continue
        held = made.get(text.text)
        if held is not None:
            story.use(held, index, text)
            continue
        before = seen.get(text.text)
        if before is None:
            if looks_random(text.text)[0]:
                seen[text.text] = [(index, text)]
            continue
        before.append((index, text))
        birth, origin = before[0]
        if story.answer[index] or story.senders[index] == story.senders[birth]:
            continue
        sure = looks_random(text.text)[1]
        value = made[text.text] = story.add(
            snake(origin.name), text.text, "vendor", story.senders[birth],
            f"{origin.name} of {story.messages[birth].name or 'a message'} looks random, and a later request repeats it"
            + ("." if sure else "; it is short, and could be a word."),
            sure=sure,
        )  # fmt: skip
        story.born(value, birth, origin)
        for place, one in before[1:]:
            story.use(value, place, one)


def find_repeated(story: Story) -> None:
    """Long random texts mean the same wherever they stand; GUIDs also within a longer text."""
    known: dict[str, Value] = {}
    for value in story.values:
        if value.kind != "address" and distinctive(value.recorded):
            known[value.recorded.lower()] = value
    if not known:
        return
    for index, text in list(story.free_texts()):
        if text.where == "target":
            continue
        same = known.get(text.text.lower())
        if same is not None and same.recorded == text.text:
            story.use(same, index, text)
            continue
        for found in GUID.findall(text.text) if not story.touched(index, text) else ():
            part = known.get(found.lower())
            if part is not None:
                story.use(part, index, text, whole=False)
