"""What a request asks for, in a form that is compared with what was recorded.

Two requests of one operation are told apart by what they ask for (:data:`KEYS`: which job, which document, which
sections), by the path they came to, and else by whatever is in their bodies. What this device handed out stands there
under its name, so that the request of a second client equals that of the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dissector.catalog import Field
from dissector.messages import Message
from dissector.soap.model import QName

__all__ = ["KEYS", "Question", "key_distance", "leaf_distance", "question_of"]

KEYS = frozenset({
    "JobToken", "JobId", "DestinationToken", "ScanIdentifier", "DocumentId", "Name", "PSP_Identifier",
    "ClientContext", "Types",
})  # fmt: skip
"""Elements that say what a request is about."""

OTHER_PATH = 1
"""A request to another path counts as so many other keys."""

MAX_LEAVES = 5000
"""Texts of one request that are looked at."""

Leaf = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it is matched.

    Attributes:
        name: message of the catalogue; for a request without SOAP its method.
        service: of the catalogue.
        path: of the HTTP request.
        keys: those leaves that say what it is about, header blocks that echo reference parameters among them.
        leaves: (path of the element, text), sorted.
    """

    name: str
    service: str
    path: str
    keys: tuple[Leaf, ...]
    leaves: tuple[Leaf, ...]


def question_of(message: Message, path: str, named: Callable[[str, str], str]) -> Question:
    """A request as a question.

    Args:
        message: the request.
        path: it came to.
        named: (element, text) → the text, or ``${name}`` of the value that the text is.
    """
    leaves: list[Leaf] = []
    keys: list[Leaf] = []
    envelope = message.envelope
    for qname, text in envelope.addressing.parameters if envelope is not None else ():
        keys.append((qname.local, named(qname.local, text.strip())))
    if message.body is not None:
        todo: list[tuple[str, Field]] = [("", message.body)]
        while todo and len(leaves) < MAX_LEAVES:
            above, field = todo.pop()
            at = f"{above}/{field.name}"
            if field.children:
                todo += [(at, child) for child in field.children]
                continue
            text = named(field.name, _text(field))
            leaves.append((at, text))
            if field.name in KEYS:
                keys.append((field.name, text))
    return Question(message.name, message.service, path, tuple(sorted(keys)), tuple(sorted(leaves)))


def _text(field: Field) -> str:
    """The text without what only its writing makes: a prefix."""
    return field.value.local if isinstance(field.value, QName) else field.text.strip()


def key_distance(recorded: Question, asked: Question) -> int:
    """How far apart what two requests ask for is: keys that only one of them has, and the path."""
    off = 0 if recorded.path == asked.path else OTHER_PATH
    if recorded.keys == asked.keys:
        return off
    one, other = Counter(recorded.keys), Counter(asked.keys)
    return off + 2 * ((one - other).total() + (other - one).total())


def leaf_distance(recorded: Question, asked: Question) -> int:
    """How many texts only one of two requests has."""
    one, other = Counter(recorded.leaves), Counter(asked.leaves)
    return (one - other).total() + (other - one).total()
