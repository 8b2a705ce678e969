"""Content: the bytes of a body or part, without holding more of them than was asked for."""

from __future__ import annotations

import hashlib
import tempfile
from typing import IO

from dissector.base.errors import ContentNotKept
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Gap, Origin

__all__ = ["HEAD_SIZE", "Content", "ContentWriter"]

HEAD_SIZE = 64
"""First bytes that are always kept, enough to tell the type of an image."""


class Content:
    """What is known of some content.

    Attributes:
        size: bytes there are (gaps not counted).
        head: the first bytes, at most :data:`HEAD_SIZE`.
        sha256: hex digest, None where it was not computed or bytes are missing.
        gaps: missing bytes, offsets in this content.
        complete: its end was seen and nothing is missing.
        origin: where the bytes came from.
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
        file: IO[bytes] | None = None,
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
        """The bytes that were captured, gaps left out.

        Raises:
            ContentNotKept: the capture was read without keeping them.
        """
        if self._bytes is not None:
            return self._bytes
        if self._file is not None:
            self._file.seek(0)
            return self._file.read()
        raise ContentNotKept(
            f"the {self.size} bytes were not kept: open the capture with keep=True to have bodies and attachments"
        )


class ContentWriter:
    """Takes content as it streams by, and makes the :class:`Content` of it.

    Args:
        digest: compute SHA-256.
        keep: keep the bytes, the first ``limits.keep`` in memory, more in a temporary file.
        cap: keep at most so many bytes at all (None: no bound); :attr:`overflow` says that there were more.
    """

    __slots__ = ("_chunks", "_digest", "_file", "_held", "cap", "gaps", "head", "keep", "limits", "overflow", "size")

    def __init__(
        self, *, digest: bool, keep: bool, cap: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.keep = keep
        self.cap = cap
        self.limits = limits
        self.size = 0
        self.head = b""
        self.gaps: list[Gap] = []
        self.overflow = False
        self._digest = hashlib.sha256() if digest else None
        self._chunks: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if len(self.head) < HEAD_SIZE:
            self.head += bytes(data[: HEAD_SIZE - len(self.head)])
        self.size += len(data)
        if self._digest is not None:
            self._digest.update(data)
        if not self.keep:
            return
        if self.cap is not None and self._held + len(data) > self.cap:
            self.overflow = True
            data = data[: max(self.cap - self._held, 0)]
        self._held += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._chunks.append(bytes(data))
        if self.cap is None and self._held > self.limits.keep:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the Content
            self._file.writelines(self._chunks)
            self._chunks = []

    def gap(self, length: int, reason: str = "lost") -> None:
        """Bytes are missing here."""
        missing = sum(g.length for g in self.gaps)
        self.gaps.append(Gap(self.size + missing, length, reason))

    def close(self, *, complete: bool, origin: Origin | None = None) -> Content:
        """The content. ``complete``: its end was seen."""
        whole = complete and not self.gaps
        return Content(
            size=self.size,
            head=self.head,
            sha256=self._digest.hexdigest() if self._digest is not None and whole else None,
            gaps=self.gaps,
            complete=whole,
            origin=origin,
            data=b"".join(self._chunks) if self.keep and self._file is None else None,
            file=self._file,
        )
