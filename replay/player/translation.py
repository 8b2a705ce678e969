"""Recorded text → the text that is expected of this run: tokens, identifiers and addresses are others by now.

What the scenario calls a value stands for itself where it is the whole text, and inside a longer one (a URL that ends
in an identifier, a vendor's link). A value that is handed out right here has no text yet: anything will do for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Expected", "Translation"]

SHORT = 6
"""Characters that a value needs to be looked for inside longer texts: ``3`` is in too many of them."""

OPEN = "…"
"""Shown for a part that is not known yet."""


class Expected(NamedTuple):
    """What is expected where something was recorded.

    Attributes:
        text: the whole text, for people where ``known`` is False.
        known: False where the text holds something that is handed out right here.
        moved: it is not what was recorded.
        bound: a value of the scenario, or something that holds one; also where its text is the recorded one again.
        pattern: fits the texts that will do, None where only ``text`` does.
    """

    text: str
    known: bool = True
    moved: bool = False
    pattern: re.Pattern[str] | None = None
    bound: bool = False


class Translation:
    """What is known of this run.

    Args:
        texts: recorded text → text that is expected now, None for what is handed out here.
    """

    __slots__ = ("_texts",)

    def __init__(self, texts: Mapping[str, str | None]) -> None:
        self._texts = texts

    def expect(self, recorded: str) -> Expected:
        """What is expected for a recorded text (trimmed)."""
        texts = self._texts
        if recorded in texts:
            now = texts[recorded]
            if now is None:
                return Expected(OPEN, False, True, _ANYTHING, bound=True)
            return Expected(now, True, now != recorded, bound=True)
        # Most texts hold none: one pattern of all values would cost more to make than it saves.
        inside = [one for one in texts if len(one) >= SHORT and one in recorded] if len(recorded) > SHORT else ()
        if not inside:
            return Expected(recorded)
        # The longest first: the address of a subscription holds the address of its host.
        parts = re.compile("|".join(map(re.escape, sorted(inside, key=len, reverse=True))))
        shown = parts.sub(lambda match: OPEN if (now := texts[match[0]]) is None else now, recorded)
        if all(texts[one] is not None for one in parts.findall(recorded)):
            return Expected(shown, True, shown != recorded, bound=True)
        pattern, at = "", 0
        for match in parts.finditer(recorded):
            now = texts[match[0]]
            pattern += re.escape(recorded[at : match.start()]) + ("(?s:.+)" if now is None else re.escape(now))
            at = match.end()
        return Expected(shown, False, True, re.compile(pattern + re.escape(recorded[at:])), bound=True)


_ANYTHING = re.compile(r"(?s).+")
