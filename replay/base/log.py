"""What the emulators say of themselves: entries in order, for people (one line each), for programs (one JSON object
each), and for the story that a test or a caller reads afterwards.

Texts hold what peers sent; they are made harmless for a terminal where they are printed.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TextIO

from dissector.output.text import printable
from dissector.output.times import iso_time
from replay.base.clock import Clock

__all__ = ["Entry", "JsonSink", "Log", "Sink", "TextSink"]

REMEMBERED = 10_000
"""Entries that a log keeps for those who ask later; their bodies only where they are no longer than KEPT_BODY."""

KEPT_BODY = 4096
"""Bytes."""

LONGEST = 2000
"""Characters of one line, and of one text among its facts: peers may send longer names than anybody wants to read."""

MAX_LISTED = 100
"""Texts of one list among the facts."""

BODY_SHOWN = 64 << 10
"""Bytes of one body that ``-v`` prints."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        time: nanoseconds since 1970 UTC.
        kind: ``listening``, ``ready``, ``received``, ``sent``, ``event`` (a notification delivered), ``failed`` (a
            delivery or a request that failed), ``job``, ``image``, ``subscription``, ``behaviour``, ``story`` (how the
            run of a DSM device went), ``note``, ``warning``.
        text: one line.
        facts: the same as data.
        body: the XML, for ``-v``; None where there is none.
    """

    time: int
    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None


class Sink(Protocol):
    """Takes entries."""

    def __call__(self, entry: Entry) -> None:
        """One entry; must not raise for what is in it."""
        ...


class Log:
    """Takes what is said and hands it to its sinks.

    Args:
        clock: for the times.
        sinks: called with each entry, in order.
    """

    def __init__(self, clock: Clock, *sinks: Sink) -> None:
        self._clock = clock
        self._sinks = list(sinks)
        self.entries: deque[Entry] = deque(maxlen=REMEMBERED)
        """The last entries, oldest first."""

    def add(self, sink: Sink) -> None:
        """One more sink, for the entries from now on."""
        self._sinks.append(sink)

    def say(self, kind: str, text: str, *, body: bytes | None = None, **facts: Any) -> None:
        """Something happened."""
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}…"
        facts = {name: _bounded(value) for name, value in facts.items()}
        entry = Entry(self._clock.time_ns(), kind, text, facts, body)
        self.entries.append(entry if body is None or len(body) <= KEPT_BODY else replace(entry, body=None))
        for sink in self._sinks:
            sink(entry)


def _bounded(value: Any) -> Any:
    """A fact that is no larger than a log can keep ten thousand of."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    if isinstance(value, list):
        return [_bounded(one) for one in value[:MAX_LISTED]]
    return value


class TextSink:
    """Lines for people: time, a mark for the kind, the text.

    Args:
        stream: where to.
        bodies: print XML bodies too (``-v``).
        wanted: kinds to print; None: all.
    """

    MARKS: Mapping[str, str] = {
        "received": "<-", "sent": "->", "event": "=>", "failed": "!!", "warning": "!!", "job": "##", "image": "[]",
        "listening": "**", "subscription": "@@", "behaviour": "~~", "note": "--", "story": "==",
    }  # fmt: skip

    def __init__(self, stream: TextIO, *, bodies: bool = False, wanted: Callable[[Entry], bool] | None = None) -> None:
        self._stream = stream
        self._bodies = bodies
        self._wanted = wanted

    def __call__(self, entry: Entry) -> None:
        """Print one entry."""
        if self._wanted is not None and not self._wanted(entry):
            return
        time = (iso_time(entry.time, 3) or "")[11:-1]
        print(f"{time} {self.MARKS.get(entry.kind, '  ')} {printable(entry.text)}", file=self._stream, flush=True)
        if self._bodies and entry.body:
            for line in entry.body[:BODY_SHOWN].decode("utf-8", "replace").splitlines():
                print(f"             {printable(line)}", file=self._stream)
            self._stream.flush()


class JsonSink:
    """One JSON object a line (``dsmreplay.log/1``).

    Args:
        stream: where to.
        bodies: with the XML, as ``body`` (``-v``).
        wanted: kinds to print; None: all.
    """

    def __init__(
        self, stream: TextIO, *, bodies: bool = False, wanted: Callable[[Entry], bool] | None = None
    ) -> None:  # fmt: skip
        self._stream = stream
        self._bodies = bodies
        self._wanted = wanted

    def __call__(self, entry: Entry) -> None:
        """Print one entry."""
        if self._wanted is not None and not self._wanted(entry):
            return
        data = {"time": iso_time(entry.time, 6), "kind": entry.kind, "text": entry.text, **entry.facts}
        if self._bodies and entry.body:
            data["body"] = entry.body[:BODY_SHOWN].decode("utf-8", "replace")
        # DEL is the one control character that the encoder leaves as it is.
        text = json.dumps(data, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")
        print(text, file=self._stream, flush=True)
