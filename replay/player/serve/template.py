"""Recorded messages made ready to be sent many times: files are read once, what is always the same is kept as bytes.

A virtual device sends the same image to every client; its file, of megabytes, must not be read, joined and cut into
chunks for each. Values stand in the head and in the envelope only: what comes before and behind the envelope is taken
from the message as :func:`~replay.scenario.wires.bytes_of` builds it once, and goes to the socket in blocks as it is.
Beyond :data:`KEPT` bytes of such blocks, those used longest ago are built again when they are due.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dissector.http.headers import list_items
from replay.net.server import BLOCK
from replay.scenario.files import Folder
from replay.scenario.model import Wire
from replay.scenario.template import LENGTH, cut, plain, says_same
from replay.scenario.wires import bytes_of

__all__ = ["KEPT", "Template", "Templates"]

KEPT = 256 << 20
"""Bytes of built messages that are kept in memory."""

SMALL = 64 << 10
"""Bytes of a message that goes out in one write: many clients expect a small message in one segment."""

Edit = Callable[[bytes], bytes]
"""Changes a filled head or envelope."""

_LENGTH = re.compile(r"(?im)^content-length:")
_CONNECTION = re.compile(r"(?im)^connection:([^\r\n]*)")
_CONTROL = dict.fromkeys(range(32))


class _Text:
    """A text with ``${name}`` in it, cut at the names once.

    Args:
        text: with names.
        written: name → how its recorded value is written here.
        xml: what is put in is escaped.
    """

    __slots__ = ("_first", "_rest", "_written", "_xml")

    def __init__(self, text: str, written: Mapping[str, str], *, xml: bool) -> None:
        pieces, names = cut(text)
        self._first = pieces[0]
        self._rest = list(zip(names, pieces[1:], strict=True))
        self._written = written
        self._xml = xml

    def fill(self, values: Mapping[str, str]) -> str:
        out = [self._first]
        for name, literal in self._rest:
            value = values[name]
            raw = self._written.get(name)
            if raw is None or not says_same(raw, value, xml=self._xml):
                # In a head, what a peer says must not become a line of its own.
                raw = plain(value, xml=True) if self._xml else value.translate(_CONTROL)
            out += (raw, literal)
        return "".join(out)


@dataclass(slots=True)
class _Built:
    """A message cut at its envelope.

    Attributes:
        length: of the envelope that it was built with.
        sizes: of a chunked body: the size lines of the chunks that hold the beginning, with the bytes of each.
        before: what precedes the envelope.
        after: of a chunked body: what follows it in the same chunk.
        blocks: all the rest as it goes over the wire.
        rest: bytes of the body in ``blocks``.
    """

    length: int
    sizes: list[tuple[bytes, int]] | None
    before: bytes
    after: bytes
    blocks: list[bytes]
    rest: int


class Template:
    """A message that can be filled in again and again.

    Args:
        wire: the recorded message.
        folder: with its files; its texts are read now, its parts when they are first sent.

    Attributes:
        closes: the connection ends behind it: it says so, or nothing else tells its end.
        kept: bytes that it keeps.
    """

    def __init__(self, wire: Wire, folder: Folder) -> None:
        self._wire = wire
        self._folder = folder
        head = folder.text(wire.head)
        self._head = _Text(head, wire.written, xml=False)
        xml = folder.read(wire.xml).decode("utf-8", "surrogateescape") if wire.xml else ""
        self._xml = _Text(xml, wire.written, xml=True)
        # A file that a person emptied has no envelope to cut the message at.
        self._bare = not xml
        said = list_items(tuple(_CONNECTION.findall(head)))
        endless = bool(wire.xml or wire.file) and not wire.chunks and _LENGTH.search(head) is None
        self.closes = "close" in said or endless
        self._built: _Built | None = None
        self.kept = 0

    def fill(self, values: Mapping[str, str], *, head: Edit | None = None, xml: Edit | None = None) -> list[bytes]:
        """The message as pieces to write, none of them longer than a block but for the envelope.

        Args:
            values: name → text.
            head, xml: change the filled head or envelope.

        Raises:
            KeyError: a name without a text.
        """
        envelope = self._envelope(values) if not self._bare else b""
        built = self._built
        if not self._bare and (built is None or (built.sizes is not None and built.length != len(envelope))):
            built = self._build(values, envelope)
        if built is None:
            front, *body = bytes_of(self._wire, self._folder, values)
            return _joined([head(front) if head is not None else front, *body])
        if xml is not None:
            envelope = xml(envelope)
        if built.sizes is None:
            start = built.before + envelope
        elif len(envelope) == built.length:
            start = _chunks(built.before + envelope + built.after, built.sizes)
        else:
            # The header of an event was changed; its chunks cannot be as recorded, and are one.
            whole = b"".join((built.before, envelope, built.after))
            start = b"%x\r\n%b\r\n" % (len(whole), whole)
        front = self._front({**values, LENGTH: str(len(start) + built.rest)})
        return _joined([head(front) if head is not None else front, start, *built.blocks])

    def _front(self, values: Mapping[str, str]) -> bytes:
        return self._head.fill(values).encode("latin-1", "replace")

    def _envelope(self, values: Mapping[str, str]) -> bytes:
        text = self._xml.fill(values)
        encoding = self._wire.encoding
        return text.encode(encoding, "xmlcharrefreplace") if encoding else text.encode("utf-8", "surrogateescape")

    def forget(self) -> None:
        """Keep nothing; it is built again when it is due."""
        self._built, self.kept = None, 0

    def _build(self, values: Mapping[str, str], envelope: bytes) -> _Built | None:
        """Cut the message at its envelope; None where the envelope is not found in it."""
        body = b"".join(bytes_of(self._wire, self._folder, values)[1:])
        if self._wire.chunks:
            built = self._build_chunked(body, envelope)
        else:
            before, mark, rest = body.partition(envelope)
            built = _Built(len(envelope), None, before, b"", _blocks(rest), len(rest)) if mark else None
        self._built, self.kept = built, _size(built) if built is not None else 0
        return built

    @staticmethod
    def _build_chunked(body: bytes, envelope: bytes) -> _Built | None:
        sizes: list[tuple[bytes, int]] = []
        plain, at, end = b"", 0, -1
        # Chunks are taken off until the envelope is whole; what follows stays as it is.
        while end < 0 or len(plain) < end:
            eol = body.index(b"\r\n", at)
            size = int(body[at:eol].partition(b";")[0], 16)
            if not size:
                return None
            sizes.append((body[at : eol + 2], size))
            plain += body[eol + 2 : eol + 2 + size]
            at = eol + 2 + size + 2
            found = plain.find(envelope) if end < 0 else -1
            end = found + len(envelope) if found >= 0 else end
        return _Built(len(envelope), sizes, plain[: end - len(envelope)], plain[end:], _blocks(body[at:]), 0)


class Templates:
    """The templates of a scenario, made when they are first asked for.

    Args:
        folder: with the files.
        room: bytes of built messages that are kept.
    """

    def __init__(self, folder: Folder, room: int = KEPT) -> None:
        self._folder = folder
        self._room = room
        self._made: OrderedDict[str, Template] = OrderedDict()

    def of(self, wire: Wire) -> Template:
        """The template of a message.

        Raises:
            UnreadableInput, UsageError: a file of it is missing or damaged.
        """
        made = self._made.get(wire.head)
        if made is None:
            made = self._made[wire.head] = Template(wire, self._folder)
        self._made.move_to_end(wire.head)
        return made

    def trim(self) -> None:
        """Forget the bytes of those used longest ago, where there are too many."""
        left = sum(one.kept for one in self._made.values())
        for one in list(self._made.values())[:-1]:
            if left <= self._room:
                return
            left -= one.kept
            one.forget()


def _size(built: _Built) -> int:
    return len(built.before) + len(built.after) + sum(map(len, built.blocks))


def _chunks(plain: bytes, sizes: list[tuple[bytes, int]]) -> bytes:
    out: list[bytes] = []
    at = 0
    for line, size in sizes:
        out += (line, plain[at : at + size], b"\r\n")
        at += size
    return b"".join(out)


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def _joined(pieces: list[bytes]) -> list[bytes]:
    """Pieces in as few writes as make sense: the small ones at the beginning in one."""
    front, at = pieces[0], 1
    while at < len(pieces) and len(front) + len(pieces[at]) <= SMALL:
        front += pieces[at]
        at += 1
    return [front, *pieces[at:]]
