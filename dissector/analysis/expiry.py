"""wse:Expires: how long a subscription lives.

Only a duration is counted: it runs from the answer that granted it. A dateTime is told by the clock of the event
source (WS-Eventing 3.1), which the capture does not know, so nothing is concluded from one.
"""

from __future__ import annotations

import re

__all__ = ["nanoseconds"]

_DURATION = re.compile(
    r"P(?:(\d{1,6})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.\d*)?S)?)?"
)
_SECONDS = (365 * 86400, 30 * 86400, 86400, 3600, 60, 1)


def nanoseconds(text: str | None) -> int | None:
    """Length of an xs:duration, years as 365 and months as 30 days; None for anything else.

    Devices write PT1H as well as P0Y0M0DT30H0M0S (notes-wsscan 76).
    """
    match = _DURATION.fullmatch(text.strip()) if text else None
    if match is None or not any(match.groups()):
        return None
    return 10**9 * sum(int(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part)
