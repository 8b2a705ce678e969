"""The recorded messages of a scenario, read again from its files: what is expected, and what was sent."""

from __future__ import annotations

from collections.abc import Mapping

from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.messages import Message
from replay.net.receiver import HttpReceiver
from replay.scenario.files import Folder
from replay.scenario.model import Wire
from replay.scenario.template import names_in
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message

__all__ = ["Recorded", "read_again"]

HERE, THERE = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2)
"""Ends of a connection that is none."""


def read_again(data: bytes, *, request: bool) -> HttpMessage | None:
    """The HTTP message in bytes, None where there is none."""
    receiver = HttpReceiver(HERE, THERE, responses=not request)
    if not request:
        receiver.asked()
    read = receiver.feed(data, 1) + receiver.end()
    return read[0] if read else None


class Recorded:
    """Reads the messages of a scenario.

    Args:
        folder: with its files.
        values: name → recorded text.
    """

    def __init__(self, folder: Folder, values: Mapping[str, str]) -> None:
        self._folder = folder
        self._values = values
        self._read: dict[str, tuple[HttpMessage, Message | None] | None] = {}
        self._names: dict[str, list[str]] = {}

    def message(self, wire: Wire, *, request: bool) -> tuple[HttpMessage, Message | None] | None:
        """A message as recorded, None where its bytes are none. Those with pictures are not kept in memory."""
        if wire.head in self._read:
            return self._read[wire.head]
        http = read_again(b"".join(bytes_of(wire, self._folder, self._values)), request=request)
        found = (http, read_message(http)) if http is not None else None
        if not wire.parts:
            self._read[wire.head] = found
        return found

    def names(self, wire: Wire) -> list[str]:
        """The values that stand in a message."""
        known = self._names.get(wire.head)
        if known is None:
            names = names_in(self._folder.text(wire.head))
            if wire.xml:
                names += names_in(self._folder.read(wire.xml).decode("latin-1"))
            known = self._names[wire.head] = list(dict.fromkeys(names))
        return known

    def path(self, wire: Wire) -> str:
        """The recorded request target."""
        head = bytes_of(Wire(wire.head), self._folder, self._values)[0]
        words = head.partition(b"\r\n")[0].split()
        return words[1].decode("latin-1") if len(words) > 1 else "/"
