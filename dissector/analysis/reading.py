"""Reading messages tolerantly: what the trackers ask of a decoded body, whatever a peer put there.

A value may be missing, of the wrong type, empty or absurdly long; a reader here gives None then, and never raises.
All texts are trimmed (samples wrap values in line breaks, notes-dsm 56) and cut at :data:`LONGEST`, since they are
kept as long as the capture is read.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache

from dissector.base.origin import Endpoint
from dissector.catalog.field import Field
from dissector.messages import Message
from dissector.messages.ids import normal_id

__all__ = [
    "end_text",
    "frame_of",
    "is_event",
    "normal_token",
    "number_of",
    "operation_of",
    "parameters_of",
    "seek",
    "text_of",
    "texts_of",
    "truth_of",
]

LONGEST = 2048
"""Characters kept of one value; the longest that a specification allows (SharePoint URL)."""

SEEK_LIMIT = 500
"""Elements looked at when an element is searched that does not stand in its place."""

_SUFFIX = re.compile(r"(?:Request|Response)$")


def _text(field: Field | None) -> str | None:
    if field is None:
        return None
    text = field.text.strip() if field.text else ""
    if not text and field.value is not None and not isinstance(field.value, (list, tuple, dict)):
        text = str(field.value).strip()
    return text[:LONGEST] or None


def text_of(root: Field | None, path: str = "") -> str | None:
    """Trimmed text of the first element at the path below ``root`` (of ``root`` itself without one), None where it
    is absent or empty."""
    if root is None:
        return None
    return _text(root.find(path) if path else root)


def texts_of(root: Field | None, path: str) -> list[str]:
    """Trimmed texts of all elements at the path, empty ones left out."""
    if root is None:
        return []
    return [text for field in root.find_all(path) if (text := _text(field)) is not None]


def number_of(root: Field | None, path: str = "") -> int | None:
    """The integer at the path, None where there is none (or one of more than 18 digits)."""
    text = text_of(root, path)
    if text is None or len(text) > 19:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def truth_of(root: Field | None, path: str = "") -> bool | None:
    """The xs:boolean at the path, None where there is none."""
    text = text_of(root, path)
    return None if text is None else {"true": True, "1": True, "false": False, "0": False}.get(text.lower())


def seek(root: Field | None, name: str) -> Field | None:
    """The first element of that local name anywhere below ``root``, nearest first: for values that link messages
    and must be found even where a wrapper is missing or new."""
    if root is None:
        return None
    queue = deque(root.children)
    for _ in range(SEEK_LIMIT):
        if not queue:
            return None
        field = queue.popleft()
        if field.name == name:
            return field
        queue.extend(field.children)
    return None


def operation_of(message: Message) -> str:
    """The operation or event, such as ``CreatePostScanJob``; from the name where the catalogue has no row.

    Page titles of WS-DSP write GetPostScanJobElement (dsp.yaml Q05); that is folded into the usual name.
    """
    operation = message.operation or _SUFFIX.sub("", message.name)
    return "GetPostScanJobElements" if operation == "GetPostScanJobElement" else operation


def is_event(message: Message) -> bool:
    """An event notification (SubscriptionEnd is none: it is about a subscription, not from its source's service)."""
    return message.kind == "event" and message.name != "SubscriptionEnd"


@lru_cache(maxsize=4096)
def end_text(endpoint: Endpoint) -> str:
    """Address and port as text: one object for all messages of a connection."""
    return str(endpoint)


def frame_of(message: Message) -> int:
    """The last frame that carried bytes of the message, as ``read`` shows it, 0 where unknown. (Where it became whole
    behind a gap that is given up is a frame of something else.)"""
    return message.frames[-1] if message.frames else 0


def normal_token(text: str | None) -> str:
    """A JobToken or PSP_Identifier in the form for comparing: without case and braces (dsp.yaml, guid)."""
    return normal_id(text).strip("{} \t\r\n")


def parameters_of(message: Message) -> Iterable[tuple[str, str]]:
    """(local name, text) of header blocks that can be echoes of reference parameters, such as wse:Identifier."""
    if message.envelope is not None:
        for name, text in message.envelope.addressing.parameters:
            yield name.local, (text or "").strip()[:LONGEST]
        for block in message.envelope.headers:
            # As _text of the decoded header: without decoding the nine others of an event, 0.1 ms.
            text = block.text or ""
            for node in block:
                tail = node.tail
                if tail and not tail.isspace():
                    text += tail
            text = text.strip()[:LONGEST]
            if text:
                yield str(block.tag).rpartition("}")[2], text
