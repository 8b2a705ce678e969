"""The first stages of a pass in processes of their own (``--jobs``): a pipeline over the blocks of a capture.

    decode (read, records, headers) → follow (streams, HTTP) → this process (SOAP, analysis, output)
                                        ↓ digests (:mod:`dissector.hashing`) ↑

Each stage does to each block what it does in one process, in the same order, so the result is the same to the byte. A
partition by connections would balance better, but what sees all connections would be done twice: reading, decoding and
the flow table are all of the work on noise and a quarter of it on images; pairing and analysis are two thirds of it on
small messages.

Threads cannot do this: the stages are thousands of short numpy and Python calls, and the lock of the interpreter goes
back and forth between them.

Processes are forked, since what a stage needs is what the parent has at that moment: opened files, limits, the salt of
the flow hash. Objects come back through a pipe (:class:`Stage`); a block's columns lie in shared memory
(:class:`ColumnRing`), and its bytes are looked at in the file once more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import signal
import socket
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

import numpy as np

from dissector.base.breaking import left_to_the_parent
from dissector.base.errors import UnreadableInput
from dissector.capture.model import FilePlace
from dissector.transport.model import PacketColumns
from dissector.transport.words import look_up

__all__ = ["ColumnRing", "Stage"]

T = TypeVar("T")

PIPE = 1 << 20
"""Bytes on their way from one process to the next, where the system allows so many: the messages of some blocks, so
that neither waits for the other at each block."""

SLOTS = 3
"""Blocks between the stages: one being filled, one waiting, one being taken."""

SLOT = 16 << 20
"""Bytes of one: columns of 100 bytes a packet, and the block of 4 MiB itself where it is in no plain file. What is
larger goes through the pipe. Only what was used of it takes memory."""

_LENGTH = struct.Struct("<Q")
_ALIGNED = 64
_NOT_COLUMNS = ("buffers", "fragments")
_COLUMNS = tuple(name for name in PacketColumns.__slots__ if name not in _NOT_COLUMNS)


class Stage(Generic[T]):
    """Runs an iterator in a forked process; iterating gives what it gives, and raises what it raises.

    The pipe between holds what is on the way: the process waits where its reader is slower.

    Args:
        make: called in the new process.
    """

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        reading, writing = os.pipe()
        with suppress(OSError, AttributeError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
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
                raise UnreadableInput(self._why())
            kind, item = pickle.loads(self._pipe.read(_LENGTH.unpack(head)[0]))
            if kind == "raised":
                raise item
            if kind == "end":
                return
            yield item

    def _why(self) -> str:
        """Why it ended before its time."""
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        self._pipe.close()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS:
            # What is mapped of a file is no more where the file became shorter.
            return "the capture file became shorter while it was read; try --jobs 1"
        return "a process that reads the capture ended before its time; try --jobs 1"

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
                os.kill(self._child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)
            self._child = 0


def _run(make: Callable[[], Iterator[Any]], descriptor: int) -> None:
    """The life of the forked process."""
    left_to_the_parent()
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
    """Blocks' columns on the way from one process to the next, by shared memory. Made before the fork.

    The columns are used where they are, until the reader is through with the block. Bytes are another matter: what is
    made of a block may hold on to them (a held segment, a body). Those of a plain file are mapped anew by the reader,
    block by block, so that no copy is made and what is held costs nothing; others (decompressed) go through the slot
    and are copied out.

    Each file's descriptor is handed over with its first block: one of a ring of captures may have another name by then,
    or none.
    """

    def __init__(self) -> None:
        self._slots = [mmap.mmap(-1, SLOT) for _ in range(SLOTS)]
        self._freed, self._free = os.pipe()
        os.write(self._free, bytes(range(SLOTS)))
        self._giving, self._given = socket.socketpair()
        self._file = -1
        self._descriptor = -1

    def write_only(self) -> None:
        """In the process that puts. Each side closes the other's end, so that it is told when the other is gone."""
        os.close(self._free)
        self._given.close()

    def read_only(self) -> None:
        """In the process that takes."""
        os.close(self._freed)
        self._giving.close()

    def put(self, columns: PacketColumns, place: FilePlace | None = None) -> Any:
        """Writer: what is to be sent to the reader for these columns. Waits for a free slot.

        Args:
            columns: of the block.
            place: where its bytes are in a plain file.
        """
        look_up(columns)
        arrays = [getattr(columns, name) for name in _COLUMNS]
        data = columns.buffers[0]
        at = 0 if place is not None else len(data)
        if at + sum(array.nbytes + _ALIGNED for array in arrays) > SLOT:
            return columns
        freed = os.read(self._freed, 1)
        if not freed:
            raise BrokenPipeError
        if place is not None and place.file != self._file:
            socket.send_fds(self._giving, [b"."], [place.descriptor])
            self._file = place.file
        number = freed[0]
        slot = self._slots[number]
        slot[:at] = data[:at]
        layout = []
        for array in arrays:
            at = -(-at // _ALIGNED) * _ALIGNED
            target = np.ndarray(array.shape, array.dtype, slot, at)
            target[...] = array
            layout.append((array.dtype.str, at))
            at += array.nbytes
        return number, place, len(data), len(columns), layout, columns.buffers[1:], columns.fragments

    @contextmanager
    def taken(self, sent: Any) -> Iterator[PacketColumns]:
        """Reader: the columns of what :meth:`put` gave; behind the ``with`` they are gone.

        Raises:
            UnreadableInput: the file became shorter.
        """
        if isinstance(sent, PacketColumns):
            yield sent
            return
        number, place, size, rows, layout, buffers, fragments = sent
        slot = self._slots[number]
        columns = {
            name: np.ndarray((rows,), dtype, slot, at) for name, (dtype, at) in zip(_COLUMNS, layout, strict=True)
        }
        data: bytes | memoryview = slot[:size] if place is None else _mapped(self._opened(place), size)
        yield PacketColumns(buffers=[data, *buffers], fragments=fragments, **columns)
        # The writer may be through with the capture.
        with suppress(BrokenPipeError):
            os.write(self._free, bytes([number]))

    def _opened(self, place: FilePlace) -> FilePlace:
        """Reader: a place by the descriptor that was handed over for its file."""
        if place.file != self._file:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            _, (self._descriptor, *_), _, _ = socket.recv_fds(self._given, 1, 1)
            self._file = place.file
        return place._replace(descriptor=self._descriptor)


def _mapped(place: FilePlace, size: int) -> memoryview:
    """Bytes of a file, which stay mapped for as long as anything refers to them."""
    before = place.offset % mmap.ALLOCATIONGRANULARITY
    try:
        window = mmap.mmap(place.descriptor, before + size, access=mmap.ACCESS_READ, offset=place.offset - before)
    except (ValueError, OSError) as error:
        raise UnreadableInput(f"the capture file changed while it was read ({error}); try --jobs 1") from None
    return memoryview(window)[before:]
