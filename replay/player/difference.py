"""One difference between what was recorded and what came, and the words for it.

The words are for the one who reads the report: what it is now, what it was. Nothing in them is longer than
:data:`LONG`, whatever a peer sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "LONG", "Difference", "shown", "title"]

KINDS = ("status", "envelope", "action", "fault", "body", "attachment", "missing", "unexpected", "order")
"""What can differ: the HTTP status; the envelope (its version, or it is damaged); the action; the fault; a value, or
the body as a whole; an attachment; an element or attribute that is missing, new, or in another place."""

LONG = 80
"""Characters of a value that a sentence repeats."""

_GENERIC = frozenset({
    "Address", "Height", "Heights", "Identifier", "MaxValue", "MinValue", "Name", "Text", "Time", "Types", "Value",
    "Width", "Widths",
})  # fmt: skip
"""Names that say nothing without their parent."""

_NUMBERED = re.compile(r"([^/\[\]]+)\[(\d+)\]").fullmatch


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        what: one of :data:`KINDS`.
        path: element path below the body element, such as ``PostScanJobEndState/JobCompletedState``, the further ones
            of a repeated element as ``[2]``, attributes as ``@Name``; ``Header/…`` for header blocks; "" where it is
            none of an element.
        recorded, received: the two values as sent, None where there is none.
        text: one sentence for people.
        expected: what stands for the recorded value in this run (another token), None where that is the recorded one.
    """

    what: str
    path: str
    recorded: str | None
    received: str | None
    text: str
    expected: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The difference as plain data; an empty path is None."""
        return {
            "what": self.what, "path": self.path or None, "recorded": self.recorded, "received": self.received,
            "expected": self.expected, "text": self.text,
        }  # fmt: skip


def shown(text: str | None) -> str:
    """A value as a sentence shows it: on one line, cut where it is long."""
    words = " ".join((text or "").split())
    return words if len(words) <= LONG else words[: LONG - 1] + "…"


def title(path: str) -> str:
    """What a sentence calls the element of a path: its name, with what it belongs to where that is needed.

    ``JobState``; ``Width of Resolution``; ``FilterState of FilterStatus 2``; ``attribute Valid of ElementData``.
    """
    parts = path.split("/")
    name, above = _word(parts[-1]), parts[:-1]
    owner = next((part for part in reversed(above) if _NUMBERED(part)), "")
    if parts[-1].startswith("@"):
        name, owner = f"attribute {name[1:]}", owner or (above[-1] if above else "")
    elif not owner and above and name.partition(" ")[0] in _GENERIC:
        owner = above[-1]
    return f"{name} of {_word(owner)}" if owner else name


def _word(part: str) -> str:
    match = _NUMBERED(part)
    return shown(f"{match[1]} {match[2]}" if match else part)
