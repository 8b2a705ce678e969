"""Temporary files for bodies that are to be kept and are too large for memory.

One file for each body would run out of file descriptors on a capture with thousands of images (1,024 is a usual
limit), so bodies share files. A file has no name (nothing is left behind after a crash: scanned pages are private) and
is closed, which frees its space, when the last body in it is forgotten; a new one is begun after :data:`ROTATE` bytes,
so that bodies which are looked at one by one do not pile up.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator

__all__ = ["ROTATE", "Spooled"]

ROTATE = 64 << 20
"""A spool file takes no new bytes behind this size."""

_lock = threading.Lock()
_current: _SpoolFile | None = None


class _SpoolFile:
    def __init__(self) -> None:
        import tempfile

        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as a body needs it
        self.size = 0


@atexit.register
def _close() -> None:
    """The file that new bytes would go to outlives its last body; it is closed in order at the end."""
    if _current is not None:
        _current.file.close()


class Spooled:
    """The bytes of one body, in one or several spool files. Grows by :meth:`write`."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[tuple[_SpoolFile, int, int]] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: no room; what was written before stays readable.
        """
        global _current
        size = len(data)
        with _lock:
            if _current is None or _current.size >= ROTATE:
                _current = _SpoolFile()
            spool, at = _current, _current.size
            spool.size += size
        view, done = memoryview(data), 0
        while done < size:
            done += os.pwrite(spool.file.fileno(), view[done:], at + done)
        if self._pieces:
            last, start, length = self._pieces[-1]
            if last is spool and start + length == at:
                self._pieces[-1] = (spool, start, length + size)
                return
        self._pieces.append((spool, at, size))

    def pieces(self, size: int = 1 << 20, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes ``start`` to ``end`` (default: all), in pieces of at most ``size``."""
        passed = 0
        for spool, place, length in self._pieces:
            at = place + max(start - passed, 0)
            stop = place + (length if end is None else min(end - passed, length))
            while at < stop:
                piece = os.pread(spool.file.fileno(), min(size, stop - at), at)
                if not piece:
                    return
                at += len(piece)
                yield piece
            passed += length
