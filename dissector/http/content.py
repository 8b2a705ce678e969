"""Content: the bytes of a body or part, without holding more of them than was asked for.

Two kinds of offsets must not be mixed up. ``gaps`` count in the content as it was sent, missing bytes included.
``data()`` leaves the missing bytes out, since nothing is ever filled in for them; ``origin`` speaks of those bytes,
so an index into ``data()`` is an offset for ``origin``. Without gaps the two are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Protocol

from dissector.base.errors import ContentNotKept
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Gap, Origin
from dissector.http.room import Room
from dissector.http.spool import Spooled

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["HEAD_SIZE", "Content", "ContentWriter", "Digest"]

EARLY = 16 << 10
"""Bytes behind which a body goes to a file where many are under way, so that they all find room."""

HEAD_SIZE = 64
"""First bytes that are always kept, enough to tell the type of an image."""


class Digest(Protocol):
    """A SHA-256 under way."""

    def update(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""
        ...

    def hexdigest(self) -> str:
        """That of all bytes; a text, or what ``str()`` makes one of (:class:`~dissector.hashing.Promise`)."""
        ...


def _sha256() -> _Hash:
    from hashlib import sha256

    return sha256()


new_sha256: Callable[[], Digest] = _sha256
"""What computes the SHA-256 of contents. A process that follows streams for another one has it done by a thread."""


class Content:
    """What is known of some content.

    Attributes:
        size: bytes there are (gaps not counted).
        head: the first bytes, at most :data:`HEAD_SIZE`.
        sha256: hex digest, None where it was not computed or bytes are missing.
        gaps: missing bytes, offsets in this content (as sent); length 0 where it is not known how many.
        complete: its end was seen and nothing is missing.
        origin: where the bytes of :meth:`data` came from; None where there are none.
        kept: :meth:`data` gives the bytes.
    """

    __slots__ = ("_bytes", "_file", "complete", "gaps", "head", "origin", "sha256", "size")

    def __init__(
        self,
        *,
        size: int = 0,
        head: bytes = b"",
        sha256: str | None = None,
        gaps: list[Gap] | None = None,
        complete: bool = True,
        origin: Origin | None = None,
        data: bytes | None = None,
        file: IO[bytes] | Spooled | None = None,
    ) -> None:
        self.size = size
        self.head = head
        self.sha256 = sha256
        self.gaps = gaps or []
        self.complete = complete
        self.origin = origin
        self._bytes = data
        self._file = file

    @property
    def kept(self) -> bool:
        """The bytes are there."""
        return self._bytes is not None or self._file is not None

    def data(self) -> bytes:
        """The bytes that were captured, gaps left out; at most ``cap`` of the writer.

        Raises:
            ContentNotKept: the capture was read without keeping them.
        """
        if self._bytes is not None:
            return self._bytes
        return b"".join(self.pieces())

    def pieces(self, size: int = 1 << 20, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``start`` to ``end`` of :meth:`data` (default: all) in pieces of at most ``size``, so that a large
        one need not be in memory.

        Raises:
            ContentNotKept: as for :meth:`data`.
        """
        stop = self.size if end is None else end
        if self._bytes is not None:
            stop = min(stop, len(self._bytes))
            for at in range(start, stop, size):
                yield self._bytes[at : min(at + size, stop)]
        elif isinstance(self._file, Spooled):
            yield from self._file.pieces(size, start, stop)
        elif self._file is not None:
            self._file.seek(start)
            while start < stop and (piece := self._file.read(min(size, stop - start))):
                start += len(piece)
                yield piece
        else:
            raise ContentNotKept(
                f"the {self.size} bytes were not kept: open the capture with keep=True to have bodies and attachments"
            )


class ContentWriter:
    """Takes content as it streams by, and makes the :class:`Content` of it.

    Args:
        digest: compute SHA-256.
        keep: keep the bytes, up to ``limits.keep`` in memory, more in a temporary file.
        cap: keep at most so many bytes at all, in memory (None: no bound); :attr:`overflow` says that there were more.
        room: counts what all writers have in memory; where it is full, the bytes go to a file too, or are not kept.

    Attributes:
        size: bytes written.
        gaps: as of :class:`Content`.
        overflow: bytes that were to be kept were not: more than ``cap``, or no room in memory or on the disk.
    """

    __slots__ = (
        "_digest", "_file", "_kept", "_missing", "_room", "cap", "gaps", "head", "keep", "limits", "overflow", "size",
    )  # fmt: skip

    def __init__(
        self,
        *,
        digest: bool,
        keep: bool,
        cap: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        room: Room | None = None,
    ) -> None:
        self._room = room or Room(limits.held)
        self.keep = keep
        self.cap = cap
        self.limits = limits
        self.size = 0
        self.head = b""
        self.gaps: list[Gap] = []
        self.overflow = False
        self._digest = new_sha256() if digest else None
        self._kept: bytes | bytearray = b""
        self._missing = 0
        self._file: Spooled | None = None

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if len(self.head) < HEAD_SIZE:
            self.head += bytes(data[: HEAD_SIZE - len(self.head)])
        self.size += len(data)
        if self._digest is not None:
            self._digest.update(data)
        if self.keep:
            self._keep(data)

    def _keep(self, data: bytes | memoryview) -> None:
        if self._file is not None:
            self._spool(data)
            return
        if self.cap is not None and len(self._kept) + len(data) > self.cap:
            self.overflow = True
            data = data[: self.cap - len(self._kept)]
        if not self._room.take(len(data)):
            if self.cap is None:
                self._to_file(data)
            else:
                self.overflow = True
                self.forget()
            return
        # The first piece is taken as it is: most bodies come in one, and bytes are not copied again.
        if not self._kept:
            self._kept = bytes(data)
        else:
            if isinstance(self._kept, bytes):
                self._kept = bytearray(self._kept)
            self._kept += data
        if self.cap is None and len(self._kept) > (EARLY if self._room.crowded else self.limits.keep):
            self._to_file()

    def _to_file(self, data: bytes | memoryview = b"") -> None:
        """From now on it goes to a file."""
        kept, self._kept = self._kept, b""
        self._room.free(len(kept))
        self._file = Spooled()
        for piece in (kept, data):
            if piece and self._file is not None:
                self._spool(piece)

    def _spool(self, data: bytes | bytearray | memoryview) -> None:
        try:
            assert self._file is not None
            self._file.write(data)
        except OSError:
            # No room on the disk is no reason to stop reading the capture: these bytes are not kept.
            self.overflow = True
            self.forget()

    def gap(self, length: int, reason: str = "lost") -> None:
        """Bytes are missing here."""
        at = self.size + self._missing
        self._missing += length
        if self.gaps and self.gaps[-1].offset + self.gaps[-1].length == at and self.gaps[-1].reason == reason:
            last = self.gaps.pop()
            at, length = last.offset, last.length + length
        self.gaps.append(Gap(at, length, reason))

    def forget(self) -> None:
        """Keep nothing after all."""
        self.keep = False
        self._room.free(len(self._kept))
        self._kept = b""
        self._file = None

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._kept)

    @property
    def whole(self) -> bytes | bytearray | None:
        """All bytes so far, None where some are missing or not in memory."""
        return self._kept if self.keep and len(self._kept) == self.size and not self.gaps else None

    def __del__(self) -> None:
        # Of a body that was given up without being closed.
        self._room.free(len(self._kept))

    def close(self, *, complete: bool, origin: Origin | None = None) -> Content:
        """The content. ``complete``: its end was seen."""
        whole = complete and not self.gaps
        self._room.finish(len(self._kept))
        kept, self._kept = self._kept, b""
        return Content(
            size=self.size,
            head=self.head,
            sha256=self._digest.hexdigest() if self._digest is not None and whole else None,
            gaps=self.gaps,
            complete=whole,
            origin=origin,
            data=bytes(kept) if self.keep and self._file is None else None,
            file=self._file,
        )
