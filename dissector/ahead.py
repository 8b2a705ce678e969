"""The first stages of a pass in processes of their own (``--jobs``): a pipeline over the blocks of a capture.

    decode (read, records, headers) → follow (streams, HTTP, digests) → this process (SOAP, analysis, output)

Each stage does to each block what it does in one process, in the same order, so the result is the same to the byte. A
partition by connections would balance better, but the stages at both ends see all connections: reading and decoding is
half of the work on noise, pairing and analysis a third of that on small messages.

Threads cannot do this: the stages are thousands of short numpy and Python calls, and the lock of the interpreter goes
back and forth between them.

Processes are forked, since what a stage needs is what the parent has at that moment: opened files, limits, the salt of
the flow hash. Objects come back through a pipe (:class:`Stage`); a block's bytes and columns, 10 MB of them, through
shared memory (:class:`ColumnRing`), one copy in and one out.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any, Generic, TypeVar

import numpy as np

from dissector.base.errors import UnreadableInput
from dissector.transport.model import PacketColumns

__all__ = ["ColumnRing", "Stage"]

T = TypeVar("T")

SLOTS = 3
"""Blocks between the stages: one being filled, one waiting, one being taken."""

SLOT = 24 << 20
"""Bytes of one: a block of 8 MiB and its columns, 100 bytes a packet. What is larger goes through the pipe. Only what
was used of it takes memory."""

_LENGTH = struct.Struct("<Q")
_ALIGNED = 64
_NOT_COLUMNS = ("buffers", "fragments")
_COLUMNS = tuple(field.name for field in fields(PacketColumns) if field.name not in _NOT_COLUMNS)


class Stage(Generic[T]):
    """Runs an iterator in a forked process; iterating gives what it gives, and raises what it raises.

    The pipe between holds what is on the way: the process waits where its reader is slower.

    Args:
        make: called in the new process.
    """

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks beside threads. There are none but those of numpy's BLAS, which is not used.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if not self._child:
            os.close(reading)
            _run(make, writing)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb", buffering=1 << 20)

    def __iter__(self) -> Iterator[T]:
        while True:
            head = self._pipe.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                raise UnreadableInput("a process that reads the capture ended before its time; try --jobs 1")
            kind, item = pickle.loads(self._pipe.read(_LENGTH.unpack(head)[0]))
            if kind == "raised":
                raise item
            if kind == "end":
                return
            yield item

    @property
    def running(self) -> bool:
        """It was not waited for yet."""
        return bool(self._child)

    def close(self) -> None:
        """End the process, if it has not ended."""
        if self._child:
            self._pipe.close()
            # It may wait for a stage before it, or compute: nothing of it is wanted any more.
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            self._child = 0


def _run(make: Callable[[], Iterator[Any]], descriptor: int) -> None:
    """The life of the forked process."""
    # Ctrl-C goes to all processes of the terminal; the first one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with os.fdopen(descriptor, "wb") as pipe:
            try:
                for item in make():
                    _send(pipe, "item", item)
                _send(pipe, "end", None)
            except BrokenPipeError:
                raise
            except Exception as error:
                _send(pipe, "raised", error)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _send(pipe: Any, kind: str, item: object) -> None:
    data = pickle.dumps((kind, item), pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


class ColumnRing:
    """Blocks' bytes and columns on the way from one process to the next, by shared memory. Made before the fork.

    The reader copies: what is made of a block may hold on to its bytes (a held segment, a body), and the slot is filled
    again at once.
    """

    def __init__(self) -> None:
        self._slots = [mmap.mmap(-1, SLOT) for _ in range(SLOTS)]
        self._freed, self._free = os.pipe()
        os.write(self._free, bytes(range(SLOTS)))

    def write_only(self) -> None:
        """In the process that puts. Each side closes the other's end, so that it is told when the other is gone."""
        os.close(self._free)

    def read_only(self) -> None:
        """In the process that takes."""
        os.close(self._freed)

    def put(self, columns: PacketColumns) -> Any:
        """Writer: what is to be sent to the reader for these columns. Waits for a free slot."""
        arrays = [np.ascontiguousarray(getattr(columns, name)) for name in _COLUMNS]
        data = columns.buffers[0]
        size = len(data) + sum(array.nbytes + _ALIGNED for array in arrays) + _ALIGNED
        if size > SLOT:
            return columns
        freed = os.read(self._freed, 1)
        if not freed:
            raise BrokenPipeError
        number = freed[0]
        slot = self._slots[number]
        slot[: len(data)] = data
        at = len(data)
        layout = []
        for array in arrays:
            at = -(-at // _ALIGNED) * _ALIGNED
            target = np.ndarray(array.shape, array.dtype, slot, at)
            target[...] = array
            layout.append((array.dtype.str, at))
            at += array.nbytes
        return number, len(data), len(columns), layout, columns.buffers[1:], columns.fragments

    def take(self, sent: Any) -> PacketColumns:
        """Reader: the columns of what :meth:`put` gave."""
        if isinstance(sent, PacketColumns):
            return sent
        number, size, rows, layout, buffers, fragments = sent
        slot = self._slots[number]
        columns = {
            name: np.ndarray((rows,), dtype, slot, at).copy()
            for name, (dtype, at) in zip(_COLUMNS, layout, strict=True)
        }
        made = PacketColumns(buffers=[slot[:size], *buffers], fragments=fragments, **columns)
        # The writer may be through with the capture.
        with suppress(BrokenPipeError):
            os.write(self._free, bytes([number]))
        return made
