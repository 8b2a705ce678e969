"""SHA-256 computed on a thread of its own, while the streams are followed further (``--jobs``).

Half of the time on images is their SHA-256, and hashlib computes it without the lock of the interpreter. So the bytes
are put in a queue, and who asks for the digest is given a promise, which waits when its text is asked for.

Many small updates would lose all again, since the thread waits for the lock after each: neighbours in one buffer are
joined to one update, and what is small is gathered.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import deque
from typing import Any, cast

import numpy as np

__all__ = ["HashThread"]

GATHERED = 1 << 20
"""Bytes of one digest that are gathered before the thread is given them."""
WAITING = 32 << 20
"""Bytes that may wait for the thread: they are held in memory."""
SWITCH = 0.0005
"""Seconds after which the thread is given the lock of the interpreter. By default it would wait longer (5 ms) than it
computes (1 ms)."""


class HashThread:
    """The thread; calling it gives what ``hashlib.sha256()`` gives, as far as that is used here."""

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH)
        self._work: deque[tuple[Any, list[bytes | memoryview], int, Promise | None]] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="sha256", daemon=True).start()

    def __call__(self) -> Digest:
        """A new digest."""
        return Digest(self)

    def put(self, sha256: Any, data: list[bytes | memoryview], size: int, promise: Promise | None = None) -> None:
        """Have the thread hash these pieces, in order, and keep the promise."""
        with self._changed:
            while self._waiting > WAITING:
                self._changed.wait()
            self._waiting += size
            self._work.append((sha256, data, size, promise))
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    self._changed.wait()
                sha256, data, size, promise = self._work.popleft()
            for piece in data:
                sha256.update(piece)
            data.clear()
            if promise is not None:
                promise.keep(sha256.hexdigest())
            with self._changed:
                self._waiting -= size
                self._changed.notify_all()


class Digest:
    """One SHA-256 under way."""

    __slots__ = ("_end", "_pieces", "_sha256", "_size", "_thread")

    def __init__(self, thread: HashThread) -> None:
        self._thread = thread
        self._sha256 = hashlib.sha256()
        self._pieces: list[bytes | memoryview] = []
        self._size = 0
        self._end = 0

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        size = len(data)
        if isinstance(data, memoryview):
            if not isinstance(data.obj, bytes):
                # The buffer may be changed before the thread comes to it.
                data = bytes(data)
            else:
                start = _address(data)
                whole = data.obj
                if start == self._end and self._pieces:
                    last = self._pieces[-1]
                    if isinstance(last, memoryview) and last.obj is whole:
                        at = start - len(last) - _address(memoryview(whole))
                        data = memoryview(whole)[at : at + len(last) + size]
                        self._pieces.pop()
                self._end = start + size
        self._pieces.append(data)
        self._size += size
        if self._size >= GATHERED:
            self._give(None)

    def hexdigest(self) -> str:
        """The digest, as a promise."""
        promise = Promise()
        self._give(promise)
        return cast("str", promise)

    def _give(self, promise: Promise | None) -> None:
        pieces, self._pieces = self._pieces, []
        if len(pieces) > 1:
            pieces = [b"".join(pieces)]
        self._thread.put(self._sha256, pieces, self._size, promise)
        self._size = 0


class Promise:
    """A digest that is still computed. ``str()`` waits for its text."""

    __slots__ = ("_kept", "_text")

    def __init__(self) -> None:
        self._text = ""
        self._kept = threading.Lock()
        self._kept.acquire()

    def keep(self, text: str) -> None:
        """It was computed."""
        self._text = text
        self._kept.release()

    def __str__(self) -> str:
        with self._kept:
            return self._text


def _address(data: memoryview) -> int:
    """Of the first byte."""
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0])
