"""Event notifications: ``dsmshark.events/1`` (see ``schemas/events.json``), and text.

The analysis keeps no bodies, so the decoded fields are collected while the pass runs: :class:`EventBodies` is a sink
for :meth:`dissector.reader.Capture.run`. An event's body is a few hundred bytes as sent and some kilobytes decoded:
where there are thousands they are packed. Images are never kept.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dissector.analysis.model import Notification
from dissector.analysis.resting import Archive
from dissector.base.findings import Finding
from dissector.messages import Message
from dissector.output.findings import finding_line, findings_json
from dissector.output.jsontext import pieces
from dissector.output.plain import fields_json
from dissector.output.summary import summary
from dissector.output.text import PLAIN, Palette, printable, short_id
from dissector.output.times import iso_time
from dissector.output.tree import field_lines

__all__ = [
    "SCHEMA",
    "EventBodies",
    "Kept",
    "KeptEvents",
    "all_findings",
    "answer_lines",
    "event_json",
    "event_lines",
    "events_json",
    "events_text",
    "keep",
    "said_lines",
]

SCHEMA = "dsmshark.events/1"


@dataclass(slots=True)
class Kept:
    """What is kept of an event's message."""

    digits: int
    action: str | None
    source: str
    destination: str
    stream: int
    frames: Sequence[int]
    summary: str
    fields: Any
    lines: list[str]
    findings: list[Finding]


def keep(message: Message, *, text: bool, paint: Palette = PLAIN) -> Kept:
    """What is kept of an event: the lines for people (``text``), in these colours, or the plain data."""
    body = message.body
    return Kept(
        message.digits,
        message.action,
        str(message.source),
        str(message.destination),
        message.stream.number,
        message.frames,
        summary(message),
        None if text else fields_json(body),
        list(field_lines(body, 1, paint)) if text and body is not None else [],
        message.all_findings(),
    )


class KeptEvents(Mapping[int, Kept]):
    """By message number, in order; old ones are packed."""

    def __init__(self) -> None:
        # Nothing in it is changed again, and each item is some kilobytes.
        self._archive: Archive[Kept] = Archive(opened=2)
        self._numbers = array("q")

    def add(self, number: int, kept: Kept) -> None:
        """One more, of a higher number."""
        self._numbers.append(number)
        self._archive.append(kept)

    def __getitem__(self, number: int) -> Kept:
        place = bisect_left(self._numbers, number)
        if place == len(self._numbers) or self._numbers[place] != number:
            raise KeyError(number)
        return self._archive[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class EventBodies:
    """A sink that keeps what an event says, by message number.

    Args:
        wanted: which messages; default: all events.
        text: keep the lines for people, else the plain data.
        paint: colours of those lines.
    """

    def __init__(
        self, wanted: Callable[[Message], bool] | None = None, *, text: bool = False, paint: Palette = PLAIN
    ) -> None:
        self.kept = KeptEvents()
        self.seen = 0
        self._wanted = wanted
        self._text = text
        self._paint = paint

    def __call__(self, message: Message) -> None:
        """Take the next message."""
        self.seen += 1
        if message.kind != "event" or (self._wanted is not None and not self._wanted(message)):
            return
        self.kept.add(message.number, keep(message, text=self._text, paint=self._paint))


def all_findings(event: Notification, kept: Kept | None) -> list[Finding]:
    """Of the notification and of its message."""
    return [*event.findings, *(f for f in (kept.findings if kept else ()) if f not in event.findings)]


def event_json(event: Notification, kept: Kept | None) -> dict[str, Any]:
    """One event; ``kept``: what the sink kept of its message."""
    return {
        "number": event.message,
        "time": iso_time(event.time, kept.digits if kept else 6),
        "frame": event.frame,
        "frames": list(kept.frames) if kept else [],
        "stream": kept.stream if kept else None,
        "source": kept.source if kept else None,
        "destination": kept.destination if kept else None,
        "event": event.event,
        "action": kept.action if kept else None,
        "service": event.service,
        "job_id": event.job_id,
        "subscription": event.subscription,
        "http_status": event.http_status,
        "fields": kept.fields if kept else None,
        "findings": findings_json(all_findings(event, kept)),
    }


def events_json(
    events: Iterable[tuple[Notification, Kept | None]],
    notes: Iterable[str],
    findings: Iterable[Finding],
    *,
    interrupted: bool,
) -> dict[str, Any]:
    """The whole answer."""
    return {
        "schema": SCHEMA,
        "events": [event_json(event, kept) for event, kept in events],
        "notes": list(notes),
        "findings": findings_json(findings),
        "interrupted": interrupted,
    }


def events_text(
    events: Iterable[tuple[Notification, Kept | None]],
    notes: Iterable[str],
    findings: Iterable[Finding],
    *,
    interrupted: bool,
) -> Iterator[str]:
    """:func:`events_json` as indented JSON, in pieces and event by event."""
    answer = events_json((), notes, findings, interrupted=interrupted)
    answer["events"] = (event_json(event, kept) for event, kept in events)
    return pieces(answer, indent=2)


def event_lines(event: Notification, kept: Kept | None, clock: str, paint: Palette = PLAIN) -> Iterator[str]:
    """One event for people: a line, its fields, how it was taken, its findings."""
    yield from said_lines(event, kept, clock, paint)
    yield from answer_lines(event, all_findings(event, kept), paint)


def said_lines(event: Notification, kept: Kept | None, clock: str, paint: Palette = PLAIN) -> Iterator[str]:
    """A line, and the event's fields: what is known when it comes."""
    way = f"{printable(kept.source)} → {printable(kept.destination)}" if kept else ""
    head = f"{clock}  frame {event.frame}  {way}  {printable(event.service)}  "
    yield head + paint("event", printable(event.event)) + (f"  {kept.summary}" if kept and kept.summary else "")
    if kept is not None:
        yield from kept.lines


def answer_lines(
    event: Notification, findings: Iterable[Finding], paint: Palette = PLAIN, *, apart: bool = False, over: bool = True
) -> Iterator[str]:
    """How the event was taken, and its findings.

    Args:
        event: the event.
        findings: to be shown.
        paint: colours.
        apart: it stands below what is about another event, so that it says of which it is.
        over: its answer cannot come any more.
    """
    missing = "no answer in the capture" if over else "none yet"
    answer = missing if event.http_status is None else f"HTTP {event.http_status}"
    of = f", subscription {event.subscription}" if event.subscription is not None else ""
    job = f", job {short_id(event.job_id)}" if event.job_id else ""
    whose = f"{printable(event.event)} of frame {event.frame}, " if apart else ""
    yield f"    {paint('dim', f'{whose}answer: {answer}{of}{job}')}"
    for finding in findings:
        yield f"    {finding_line(finding, paint)}"
