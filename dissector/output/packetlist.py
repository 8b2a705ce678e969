"""The packet list: one line a message, in columns that grow with what they must hold, since the rows to come are not
known while a capture is being read."""

from __future__ import annotations

from dissector.base.findings import Severity
from dissector.messages import Message
from dissector.output.summary import summary
from dissector.output.text import PLAIN, Palette, printable, width
from dissector.output.times import Clock

__all__ = ["PacketList"]

_MARKS = {Severity.ERROR: "E", Severity.WARN: "W"}
_TITLES = ("No.", "", "Time", "Frame", "Source", "Destination", "Service", "Message")


class PacketList:
    """Makes the lines.

    Args:
        clock: the time column.
        paint: colours, by kind of message.
    """

    def __init__(self, clock: Clock, paint: Palette = PLAIN) -> None:
        self._clock = clock
        self._paint = paint
        self._widths = [5, 1, 27 if clock.style == "absolute" else 12, 7, 20, 20, 12, 26]

    def heading(self, first: Message) -> str:
        """The line above the list, as wide as the first message needs."""
        self._grow([str(first.source), str(first.destination)], 4)
        return self._paint("title", self._row(_TITLES, "What it says"))

    def line(self, message: Message, severity: Severity | None = None) -> str:
        """One message; ``severity``: the worst of its findings."""
        mark = _MARKS.get(severity, "") if severity is not None else ""
        cells = (
            str(message.number) if message.number else "-",
            mark,
            self._clock(message.time, message.digits),
            # The frame that completed the message is the one in which Wireshark shows it.
            str(message.frames[-1]) if message.frames else "",
            printable(str(message.source)),
            printable(str(message.destination)),
            printable(message.service or "?"),
            printable(message.name),
        )
        self._grow(list(cells[4:7]), 4)
        text = self._row(cells, summary(message))
        role = "error" if mark == "E" else message.kind
        return self._paint(role, text)

    def _grow(self, cells: list[str], first: int) -> None:
        for place, cell in enumerate(cells, first):
            self._widths[place] = max(self._widths[place], min(width(cell), 48))

    def _row(self, cells: tuple[str, ...], said: str) -> str:
        number, mark, time, frame, *others = cells
        widths = self._widths
        start = f"{number:>{widths[0]}} {mark or ' '} {time:>{widths[2]}} {frame:>{widths[3]}}"
        rest = [text + " " * (wide - width(text)) for text, wide in zip(others, widths[4:], strict=True)]
        return "  ".join([start, *rest, said]).rstrip()
