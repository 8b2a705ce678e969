"""Where bytes come from: regular files, pipes and standard input, file objects.

Two needs pull apart. A file is read in large blocks, since each block costs the same for few frames as for many. A
pipe that is being written must give each frame as soon as it is whole. So a pipe is read for as long as bytes come
without waiting (:data:`GRACE`), and no longer than :data:`PATIENCE`: a slow capture gives small blocks, a fast one
large ones.

Plain reads are used, not mmap: mapped pages count as resident memory, which would grow with the capture.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import IO, Any

from dissector.base.errors import UnreadableInput, UsageError
from dissector.capture.model import FilePlace

__all__ = ["STANDARD_INPUT", "ByteInput", "FileInput", "ObjectInput", "PipeInput", "open_input", "open_object"]

STANDARD_INPUT = "-"

GRACE = 0.005
"""Seconds without a byte after which what a pipe has given is passed on."""
PATIENCE = 0.05
"""Seconds that bytes of a pipe are gathered at most."""
_PIPE_CHUNK = 1 << 20


class ByteInput(ABC):
    """A source of bytes, read once from beginning to end.

    Attributes:
        name: path, or "-".
        total: size in bytes, None where it is not known.
        position: bytes consumed so far (of the file itself: compressed ones where it is compressed).
    """

    total: int | None = None

    def __init__(self, name: str, block_bytes: int) -> None:
        self.name = name
        self.block_bytes = block_bytes
        self.position = 0
        self._ended = False

    @abstractmethod
    def chunk(self, size: int, wait: bool = True) -> bytes | None:
        """Up to ``size`` bytes, b"" at the end; None where nothing is there now and ``wait`` is false."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened here."""

    def more(self, tail: bytes, need: int, size: int | None = None) -> tuple[bytes, bool]:
        """``tail`` with what follows it.

        Args:
            tail: the end of what was read before.
            need: bytes wanted in all; fewer come only where the input ends.
            size: bytes to read, if they come at once (default: a block).

        Returns:
            The bytes, and whether the input ends with them.
        """
        size = size or self.block_bytes
        parts = [tail] if tail else []
        have = len(tail)
        need = max(need, have + 1)
        while have < need and not self._ended:
            part = self.chunk(max(size, need - have))
            if part:
                parts.append(part)
                have += len(part)
            else:
                self._ended = True
        deadline = time.monotonic() + PATIENCE
        while have - len(tail) < size and not self._ended:
            part = self.chunk(size - (have - len(tail)), wait=False)
            if part is None:
                break
            if part:
                parts.append(part)
                have += len(part)
            else:
                self._ended = True
            if time.monotonic() > deadline:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts), self._ended


class FileInput(ByteInput):
    """A regular file. It is read to where it ends now; a file that grows is not followed."""

    def __init__(self, name: str, block_bytes: int, descriptor: int, begin: int = 0, owned: bool = True) -> None:
        super().__init__(name, block_bytes)
        self._descriptor = descriptor
        self._begin = begin
        self._owned = owned
        self.total = max(0, os.fstat(descriptor).st_size - begin)

    def chunk(self, size: int, wait: bool = True) -> bytes | None:
        """See :meth:`ByteInput.chunk`; a file never waits."""
        part = os.pread(self._descriptor, size, self._begin + self.position)
        self.position += len(part)
        return part

    def more(self, tail: bytes, need: int, size: int | None = None) -> tuple[bytes, bool]:
        """See :meth:`ByteInput.more`. The tail is read again with what follows it, which saves copying the block."""
        if self._ended:
            return tail, True
        want = max(need, len(tail) + 1, size or self.block_bytes)
        start = self.position - len(tail)
        data = os.pread(self._descriptor, want, self._begin + start)
        while len(data) < want:
            # The end, or one read gives no more at a time (2 GiB, some network file systems).
            part = os.pread(self._descriptor, want - len(data), self._begin + start + len(data))
            if not part:
                self._ended = True
                break
            data += part
        if len(data) < len(tail):
            # The file was cut short while it was read.
            return tail, True
        self.position = start + len(data)
        return data, self._ended

    def place(self, size: int) -> FilePlace:
        """Where the last ``size`` bytes read are."""
        return FilePlace(self._descriptor, self._begin + self.position - size)

    def close(self) -> None:
        """Close the file."""
        if self._owned:
            os.close(self._descriptor)


class PipeInput(ByteInput):
    """A pipe, a named pipe, a socket or a terminal."""

    def __init__(self, name: str, block_bytes: int, descriptor: int, owned: bool = True) -> None:
        super().__init__(name, block_bytes)
        self._descriptor = descriptor
        self._owned = owned
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        # A pipe holds 64 KiB; with more, writer and reader take turns less often.
        with suppress(OSError, AttributeError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_CHUNK)

    def chunk(self, size: int, wait: bool = True) -> bytes | None:
        """See :meth:`ByteInput.chunk`."""
        while True:
            if not wait and not self._poll.poll(GRACE * 1000):
                return None
            try:
                part = os.read(self._descriptor, min(size, _PIPE_CHUNK))
            except BlockingIOError:
                # Standard input that another program has set to non-blocking.
                self._poll.poll(None if wait else GRACE * 1000)
                if not wait:
                    return None
                continue
            self.position += len(part)
            return part

    def close(self) -> None:
        """Close the pipe."""
        if self._owned:
            os.close(self._descriptor)


class ObjectInput(ByteInput):
    """A binary file object, read through its own methods. It stays open: the caller opened it."""

    def __init__(self, name: str, block_bytes: int, file: IO[bytes], descriptor: int | None = None) -> None:
        super().__init__(name, block_bytes)
        self._read: Any = getattr(file, "read1", None) or file.read
        self._poll = None
        if descriptor is not None:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)

    def chunk(self, size: int, wait: bool = True) -> bytes | None:
        """See :meth:`ByteInput.chunk`. Where it cannot be told whether a read would wait, none is made."""
        if not wait and (self._poll is None or not self._poll.poll(GRACE * 1000)):
            return None
        part = self._read(size)
        if isinstance(part, str):
            raise UsageError(f"{self.name} was opened as text: open it with mode 'rb'")
        part = bytes(part or b"")
        self.position += len(part)
        return part

    def close(self) -> None:
        """Nothing is closed."""


def open_input(path: str, block_bytes: int) -> ByteInput:
    """Open a path, or "-" for standard input. A named pipe waits for its writer.

    Raises:
        UnreadableInput: it cannot be opened: says why.
    """
    if path == STANDARD_INPUT:
        stdin = getattr(sys.stdin, "buffer", None)
        if stdin is None:
            raise UnreadableInput("standard input: is closed, or is no stream of bytes")
        return open_object(stdin, block_bytes, STANDARD_INPUT)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableInput(f"{path or repr(path)}: cannot be opened: {reason}") from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise UnreadableInput(
            f"{path}: is a directory; name the capture files in it, such as {os.path.join(path, '*.pcap*')}"
        )
    if stat.S_ISREG(mode):
        return FileInput(path, block_bytes, descriptor)
    return PipeInput(path, block_bytes, descriptor)


def open_object(file: IO[bytes], block_bytes: int, name: str | None = None) -> ByteInput:
    """Read a binary file object from where it stands; a regular file's own position does not move."""
    said = getattr(file, "name", None)
    name = name or (said if isinstance(said, str) else "file object")
    descriptor = None
    # Only an object that passes on a file's own bytes: a GzipFile has a descriptor too, of what it decompresses.
    if isinstance(getattr(file, "raw", file), io.FileIO):
        with suppress(OSError, ValueError):
            descriptor = file.fileno()
    if descriptor is None:
        return ObjectInput(name, block_bytes, file)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        with suppress(OSError, ValueError):
            file.flush()
        return FileInput(name, block_bytes, descriptor, begin=file.tell(), owned=False)
    if name == STANDARD_INPUT:
        return PipeInput(name, block_bytes, descriptor, owned=False)
    # The object may have read ahead, so its descriptor is only asked whether there is more.
    return ObjectInput(name, block_bytes, file, descriptor)
