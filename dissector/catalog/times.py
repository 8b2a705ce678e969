"""xs:dateTime and xs:duration as values.

Devices send times that Python's own types refuse: years 0001 of a clock that counts from power-on, 24:00:00, no zone,
fractions of any length. So the text and its parts are kept, and ``datetime`` is there where it can be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

__all__ = ["DateTime", "Duration", "parse_date_time", "parse_duration"]

_DATE_TIME = re.compile(
    r"(-?\d{4,9})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,100}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
_DURATION = re.compile(
    r"(-)?P(?:(\d{1,18})Y)?(?:(\d{1,18})M)?(?:(\d{1,18})D)?"
    r"(?:T(?:(\d{1,18})H)?(?:(\d{1,18})M)?(?:(\d{1,18}(?:\.\d{1,100})?)S)?)?",
    re.ASCII,
).fullmatch

_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class DateTime:
    """A point in time, of the sender's clock.

    Attributes:
        text: as sent, trimmed.
        fraction: digits after the point, "" for none.
        zone: minutes east of UTC, None where the text has no zone (local time of the sender).
    """

    text: str
    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: str = ""
    zone: int | None = None

    @property
    def datetime(self) -> datetime | None:
        """As Python's datetime, without zone where there is none, cut to microseconds; None for years that it does
        not know."""
        microsecond = int(f"{self.fraction[:6]:0<6}") if self.fraction else 0
        try:
            zone = None if self.zone is None else timezone(timedelta(minutes=self.zone))
            if self.hour == 24:
                midnight = datetime(self.year, self.month, self.day, tzinfo=zone)
                return midnight + timedelta(days=1)
            return datetime(
                self.year, self.month, self.day, self.hour, self.minute, self.second, microsecond, tzinfo=zone
            )
        except (ValueError, OverflowError):
            return None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time.

    Attributes:
        text: as sent, trimmed.
        whole_seconds: the seconds component, with its fraction.
    """

    text: str
    negative: bool = False
    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    whole_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """The whole length in seconds; a year is taken as 365 days, a month as 30."""
        days = self.years * 365 + self.months * 30 + self.days
        total = days * 86400 + self.hours * 3600 + self.minutes * 60 + self.whole_seconds
        return -total if self.negative else total

    def __str__(self) -> str:
        return self.text


def parse_date_time(text: str) -> DateTime | None:
    """An xs:dateTime (XML Schema part 2, 3.2.7), None where the text is none. Year 0001 is legal."""
    match = _DATE_TIME(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, zone = match[7] or "", match[8]
    if not (year and 1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1]):
        return None
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    if not ((hour < 24 and minute < 60 and second < 60) or (hour == 24 and minute == second == 0)):
        return None
    offset: int | None = None
    if zone == "Z":
        offset = 0
    elif zone:
        offset = int(zone[1:3]) * 60 + int(zone[4:6])
        if offset > 14 * 60 or int(zone[4:6]) > 59:
            return None
        offset = -offset if zone[0] == "-" else offset
    return DateTime(text, year, month, day, hour, minute, second, fraction, offset)


def parse_duration(text: str) -> Duration | None:
    """An xs:duration (XML Schema part 2, 3.2.6), None where the text is none."""
    match = _DURATION(text)
    if match is None or text[-1] in "PT":
        return None
    sign, years, months, days, hours, minutes, seconds = match.groups()
    return Duration(
        text,
        sign is not None,
        int(years or 0),
        int(months or 0),
        int(days or 0),
        int(hours or 0),
        int(minutes or 0),
        float(seconds or 0),
    )
