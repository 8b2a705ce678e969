"""SHA-256 computed in a process of its own, while the streams are followed further (``--jobs``).

A third of the time on images is their SHA-256. A thread would do as hashlib computes without the lock of the
interpreter, but it needs that lock before and after each piece: 20,000 changes of hands on 2.7 GB of images cost 1.0 s,
as much as the hashing. Copying the bytes to shared memory, hot as they are, costs 0.2 s.

Who asks for a digest is given a promise, which waits when its text is asked for.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from dissector.base.breaking import left_to_the_parent
from dissector.base.errors import UnreadableInput

if TYPE_CHECKING:
    from dissector.http.content import Digest

__all__ = ["HashProcess", "Promise"]

RING = 16 << 20
"""Bytes on their way to the process."""
PIECE = 1 << 20
"""Bytes that are put at once."""
TOLD = 512 << 10
"""Bytes put before the process is told of them."""
SMALL = 8 << 10
"""Bytes up to which content is hashed here: sending it would take longer."""
OUTSTANDING = 1000
"""Orders that may wait. The process answers each at most once, and both pipes hold so many (64 KiB): so neither side
ever waits for room in a pipe while the other does."""

_ORDER = struct.Struct("<BIQI")
"""What (below), number of the digest, where in the ring the bytes begin (never wrapped), how many."""
_DATA, _END, _FORGET = range(3)
_ANSWER = struct.Struct("<IQI32s")
"""Orders done since the last answer, bytes of the ring that are free again up to, number of a digest (or 0), the
digest."""


class HashProcess:
    """The process; calling it gives what ``hashlib.sha256()`` gives, as far as that is used here. It is forked where
    the first content comes that is worth it."""

    def __init__(self) -> None:
        self._child = 0
        self._next = 0
        self._head = self._tail = 0
        self._orders: list[bytes] = []
        self._put = 0
        self._outstanding = 0
        self._digests: dict[int, str] = {}
        self._rest = b""

    def __call__(self) -> Digest:
        """A new digest."""
        return _Digest(self)

    @property
    def running(self) -> int:
        """The number of the process, 0 where there is none."""
        return self._child

    def begin(self) -> int:
        """The number of a new digest."""
        if not self._child:
            self._fork()
        self._next += 1
        return self._next

    def put(self, number: int, data: bytes | memoryview) -> None:
        """The next bytes of a digest."""
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            piece = view[start : start + PIECE]
            size = len(piece)
            at = self._head % RING
            if at + size > RING:
                self._head += RING - at
                at = 0
            while self._head + size - self._tail > RING:
                self._listen()
            self._ring[at : at + size] = piece
            self._order(_DATA, number, self._head, size)
            self._head += size
            self._put += size
            if self._put >= TOLD:
                self.tell()

    def end(self, number: int) -> Promise:
        """The digest is to be made."""
        self._order(_END, number, self._head, 0)
        return Promise(self, number)

    def forget(self, number: int) -> None:
        """The digest is not wanted any more."""
        if self._child:
            self._order(_FORGET, number, self._head, 0)

    def digest(self, number: int) -> str:
        """The digest, once it is there."""
        while number not in self._digests:
            self._listen()
        return self._digests.pop(number)

    def tell(self) -> None:
        """Have the process work on what was put."""
        if self._orders:
            told, self._orders, self._put = b"".join(self._orders), [], 0
            while told:
                told = told[os.write(self._commands, told) :]

    def close(self) -> None:
        """End the process."""
        if self._child:
            os.close(self._commands)
            os.close(self._answers)
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            self._child = 0

    # -- inside --------------------------------------------------------------------------------------------------

    def _fork(self) -> None:
        self._ring = mmap.mmap(-1, RING)
        orders, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._child = os.fork()
        if not self._child:
            os.close(self._commands)
            os.close(self._answers)
            left_to_the_parent()
            with suppress(BaseException):
                _work(self._ring, orders, answers)
            os._exit(0)
        os.close(orders)
        os.close(answers)

    def _order(self, what: int, number: int, at: int, size: int) -> None:
        while self._outstanding >= OUTSTANDING:
            self._listen()
        self._orders.append(_ORDER.pack(what, number, at, size))
        self._outstanding += 1

    def _listen(self) -> None:
        """Wait for answers."""
        self.tell()
        data = os.read(self._answers, 1 << 16)
        if not data:
            raise UnreadableInput("the process that computes digests ended before its time; try --jobs 1")
        data = self._rest + data
        whole = len(data) - len(data) % _ANSWER.size
        self._rest = data[whole:]
        for done, tail, number, digest in _ANSWER.iter_unpack(data[:whole]):
            self._outstanding -= done
            self._tail = tail
            if number:
                self._digests[number] = digest.hex()


def _work(ring: mmap.mmap, orders: int, answers: int) -> None:
    """The life of the process."""
    view = memoryview(ring)
    under_way: dict[int, hashlib._Hash] = {}
    rest = b""
    while data := os.read(orders, 64 * _ORDER.size):
        data = rest + data
        whole = len(data) - len(data) % _ORDER.size
        rest = data[whole:]
        done, free = 0, 0
        answer = b""
        for what, number, at, size in _ORDER.iter_unpack(data[:whole]):
            done += 1
            free = at + size
            if what == _DATA:
                sha256 = under_way.get(number)
                if sha256 is None:
                    sha256 = under_way[number] = hashlib.sha256()
                at %= RING
                sha256.update(view[at : at + size])
            elif what == _END:
                answer += _ANSWER.pack(done, free, number, under_way.pop(number).digest())
                done = 0
            else:
                under_way.pop(number, None)
        if done:
            answer += _ANSWER.pack(done, free, 0, b"")
        while answer:
            answer = answer[os.write(answers, answer) :]


class _Digest:
    """One SHA-256 under way."""

    __slots__ = ("_first", "_number", "_process")

    def __init__(self, process: HashProcess) -> None:
        self._process = process
        self._first = b""
        self._number = 0

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        if not self._number:
            if len(self._first) + len(data) <= SMALL:
                self._first += data
                return
            self._number = self._process.begin()
            if self._first:
                self._process.put(self._number, self._first)
        self._process.put(self._number, data)

    def hexdigest(self) -> str:
        """The digest, or a promise of it."""
        if not self._number:
            return hashlib.sha256(self._first).hexdigest()
        number, self._number, self._first = self._number, 0, b""
        return cast("str", self._process.end(number))

    def __del__(self) -> None:
        if self._number:
            self._process.forget(self._number)


class Promise:
    """A digest that is still computed. ``str()`` waits for its text."""

    __slots__ = ("_number", "_process", "_text")

    def __init__(self, process: HashProcess, number: int) -> None:
        self._process = process
        self._number = number
        self._text = ""

    def __str__(self) -> str:
        if not self._text:
            self._text = self._process.digest(self._number)
        return self._text
