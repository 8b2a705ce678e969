"""What a text looks like: random enough to be a token that somebody made, or a word that means something.

Only the look is judged here; that an answer handed it out and a later request sent it back is looked for elsewhere.
"""

from __future__ import annotations

import re

from replay.scenario.values import GUID

__all__ = ["LONGEST", "SHORTEST", "distinctive", "is_date", "looks_random"]

SHORTEST = 6
"""Characters of a text that can be taken for a token."""

SURE = 16
"""Characters from which chance is ruled out: 64 bits in hexadecimal digits."""

LONGEST = 2048
"""Characters; what is longer is a picture or a document."""

SHORT_RUN = 2.0
"""Mean length of runs of one kind of character up to which a text looks random: ``A7fK2q`` has runs of one, words and
numbers with units (``tiff-single-g4``, ``Grayscale8``) have longer ones."""

PLAIN_RUN = 3.0
"""The same for long texts of both cases and digits without a separator, as base64 without padding is."""

_PREFIX = re.compile(r"(?:urn:)?(?:uuid:)?\{?", re.IGNORECASE)
_ALPHABET = re.compile(r"[A-Za-z0-9+/=_.~:%-]+")
_DATE = re.compile(r"\d{4}-\d\d(?:-\d\d)?(?:T[\d:.]+)?(?:Z|[+-]\d\d:?\d\d)?|-?P(?=[\dT])[\dYMDTHS.]+")
_NUMBERS = re.compile(r"[vV]?[\d.,:+-]+")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)")
_PLAIN = re.compile(r"(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9+/]+")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


def looks_random(text: str) -> tuple[bool, bool]:
    """Whether a (trimmed) text looks like a token, and whether that is sure.

    GUIDs, hexadecimal, base64 and mixtures of letters and digits do; dates, durations, versions, addresses, short
    numbers and words do not.
    """
    if not SHORTEST <= len(text) <= LONGEST or not _ALPHABET.fullmatch(text.strip("{}")) or "://" in text:
        return False, False
    bare = _PREFIX.sub("", text, count=1)
    if GUID.match(bare):
        return True, True
    if is_date(text):
        return False, False
    if _NUMBERS.fullmatch(text):
        return text.isdigit() and len(text) >= 9, False
    letters, digits = any(one.isalpha() for one in bare), any(one.isdigit() for one in bare)
    long = len(bare) >= SURE
    if letters and digits and len(bare) >= 8 and re.fullmatch(r"[0-9A-Fa-f]+", bare):
        return True, long
    runs = _RUN.findall(bare)
    if _BASE64.fullmatch(bare) and len(bare) >= 8:
        return True, long
    if long and letters and digits and _PLAIN.fullmatch(bare) and len(bare) <= PLAIN_RUN * len(runs):
        return True, True
    mixed = letters and digits and len(runs) >= 4 and sum(map(len, runs)) <= SHORT_RUN * len(runs)
    return mixed, mixed and long


def is_date(text: str) -> bool:
    """A date, a time or a duration of XML Schema."""
    return _DATE.fullmatch(text) is not None


def distinctive(text: str) -> bool:
    """So long and random that the same text elsewhere means the same."""
    return looks_random(text) == (True, True)
