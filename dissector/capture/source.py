"""Opens captures: one file or several, standard input, pipes, file objects.

What kind of file it is is told by its first bytes, never by its name. Several files are one capture that was rotated:
they are put in order of the time of their first packets, and frames are numbered on over all of them. Streams among
them stay where they were given, since their beginning can be read only once.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, cast

from dissector.base.errors import UnreadableInput, UsageError
from dissector.base.findings import Severity, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.compressed import Decompressed
from dissector.capture.decompressors import codec_of
from dissector.capture.formats import describe
from dissector.capture.inputs import STANDARD_INPUT, ByteInput, FileInput, open_input, open_object
from dissector.capture.model import Block, FilePlace, Interface, SourceInfo
from dissector.capture.pcap import PCAP_MAGICS, PcapReader
from dissector.capture.pcapng import PCAPNG_MAGIC, PcapngReader
from dissector.capture.pcapng_parts import Notes
from dissector.capture.records import RecordReader, Unstartable

__all__ = ["CaptureSource", "open_source"]

UNREADABLE = rule("pcap.unreadable", Severity.ERROR, "One of several files is no capture, or cannot be opened")
READ_ERROR = rule("pcap.read-error", Severity.ERROR, "The file could not be read to its end")
ORDER = rule("pcap.order", Severity.NOTE, "The files were not given in the order of their packets")

_HEAD = 4096
"""Bytes read to tell what a file is."""

Paths = Iterable[str | os.PathLike[str]] | str | os.PathLike[str] | IO[bytes]


def open_source(paths: Paths, *, block_bytes: int = 4 << 20, limits: Limits = DEFAULT_LIMITS) -> CaptureSource:
    """Open a capture.

    Args:
        paths: a path, several paths (a rotated capture, in any order), "-" for standard input, or a binary file object
            (read from where it stands, and left open).
        block_bytes: bytes of the file, decompressed, that are read at a time.
        limits: bounds on hostile input.

    Raises:
        UnreadableInput: nothing can be read: says which file, what stands there, what was expected, what to do.
        UsageError: no path, or a file object that gives text.
    """
    if block_bytes < 1:
        raise UsageError(f"block_bytes is {block_bytes}: at least 1 byte has to be read at a time")
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    if hasattr(paths, "read"):
        return CaptureSource([cast("IO[bytes]", paths)], block_bytes, limits)
    names = [os.fsdecode(path) for path in paths]
    if not names:
        raise UsageError("no capture file was named")
    return CaptureSource(names, block_bytes, limits)


class _Opened:
    """One file, its kind told, before its first record."""

    def __init__(self, file: ByteInput, info: SourceInfo, interfaces: list[Interface], limits: Limits, notes: Notes):
        self.file = file
        data, ended = file.more(b"", 4, _HEAD)
        codec = codec_of(data)
        inside = ""
        if codec is not None:
            self.file = file = Decompressed(file, codec, data, info, limits)
            data, ended = file.more(b"", 4, _HEAD)
            inside = f" in the {codec.name} data"
        kind: type[RecordReader]
        if data[:4] in PCAP_MAGICS:
            kind = PcapReader
            self.reader: RecordReader = PcapReader(info, interfaces, limits)
        elif data[:4] == PCAPNG_MAGIC:
            kind = PcapngReader
            self.reader = PcapngReader(info, interfaces, limits, notes)
        else:
            if not ended:
                data, ended = file.more(data, 512, _HEAD)
            raise UnreadableInput(_refusal(file.name, data, inside))
        need = kind.head_size(data)
        if len(data) < need and not ended:
            data, ended = file.more(data, need, _HEAD)
        try:
            self.reader.start(data)
        except Unstartable as why:
            raise UnreadableInput(f"{file.name}: nothing can be read{inside}: {why}") from None
        self.tail = data[self.reader.used :]
        self.ended = ended
        self.container = self.reader.container + (f", {codec.name}" if codec is not None else "")

    def blocks(self) -> Iterator[Block]:
        reader, data, ended = self.reader, self.tail, self.ended
        self.tail = b""
        while True:
            yield from reader.blocks(data, ended)
            if ended or reader.abandoned:
                return
            # Let go before the next one is read: else there are two blocks at a time.
            tail, data = data[reader.used :], b""
            data, ended = self.file.more(tail, reader.need)


def _refusal(name: str, data: bytes, inside: str) -> str:
    what, advice = describe(data)
    said = "standard input" if name == STANDARD_INPUT else name
    if not data:
        return f"{said}: is empty{inside}: expected a pcap or pcapng capture, which has at least a header"
    return (
        f"{said}: is no capture: at offset 0{inside} stands {data[:8].hex(' ')}"
        + (f", {what}" if what else "")
        + "; expected pcap or pcapng, plain or compressed with gzip, zstd, lz4 or xz"
        + (f" ({advice})" if advice else "")
    )


class CaptureSource:
    """An opened capture; a :class:`~dissector.capture.model.FrameSource`. Usable as a context manager.

    Attributes:
        interfaces: interfaces met so far, over all files.
        paths: the files, those that were not opened yet too, in order.
        info: what else is known, growing.
    """

    def __init__(self, inputs: Sequence[str | IO[bytes]], block_bytes: int, limits: Limits) -> None:
        self.interfaces: list[Interface] = []
        self.info = SourceInfo()
        self._block_bytes = block_bytes
        self._limits = limits
        self._notes = Notes(self.info, limits)
        self._done_bytes = 0
        self._closed = False
        self._refusal: UnreadableInput | None = None
        self._current: ByteInput | None = None
        self._waiting = self._ordered(list(inputs))
        named = (item if isinstance(item, str) else getattr(item, "name", None) for item in self._waiting)
        self.paths = [name for name in named if isinstance(name, str)]
        # The first file is opened now, so that what is no capture is refused before anything is begun.
        self._first = self._next()
        if self._first is None and self._refusal is not None:
            raise self._refusal
        self._iterator = self._blocks()

    # -- the files ----------------------------------------------------------------------------------------------

    def _ordered(self, inputs: list[str | IO[bytes]]) -> list[str | IO[bytes]]:
        sizes = [_size(item) for item in inputs]
        known = [size for size in sizes if size is not None]
        self.info.bytes_total = sum(known) if len(known) == len(sizes) else None
        if len(inputs) == 1:
            return inputs
        places = [i for i, size in enumerate(sizes) if size is not None]
        times = {i: self._first_time(inputs[i]) for i in places}
        # Files without a packet, or that cannot be read, come behind the others.
        order = sorted(places, key=lambda i: (times[i] is None, times[i] or 0))
        with_time = [i for i in order if times[i] is not None]
        if with_time != sorted(with_time):
            self.info.findings.append(
                ORDER("The files were put in the order of their first packets, which is not the order given")
            )
        sorted_inputs = list(inputs)
        for place, i in zip(places, order, strict=True):
            sorted_inputs[place] = inputs[i]
        return sorted_inputs

    def _first_time(self, item: str | IO[bytes]) -> int | None:
        """Time of the first packet of a regular file, None where there is none."""
        info = SourceInfo()
        try:
            file = self._open(item, min(self._block_bytes, 1 << 16))
        except UnreadableInput:
            return None
        try:
            opened = _Opened(file, info, [], self._limits, Notes(info, self._limits))
            for block in opened.blocks():
                return int(block.time[0])
        except (UnreadableInput, OSError):
            pass
        finally:
            file.close()
        return None

    def _open(self, item: str | IO[bytes], block_bytes: int) -> ByteInput:
        return open_input(item, block_bytes) if isinstance(item, str) else open_object(item, block_bytes)

    def _next(self) -> _Opened | None:
        """The next file that can be read, None after the last one."""
        while self._waiting and not self._closed:
            item = self._waiting.pop(0)
            file = None
            try:
                file = self._open(item, self._block_bytes)
                opened = _Opened(file, self.info, self.interfaces, self._limits, self._notes)
            except UnreadableInput as refusal:
                self._refuse(refusal, file)
                continue
            except OSError as error:
                self._refuse(UnreadableInput(f"{file.name if file else item}: cannot be read: {error.strerror}"), file)
                continue
            self._current = opened.file
            self.info.paths.append(file.name)
            self.info.containers.append(opened.container)
            self.info.starts.append(self.info.frames + 1)
            return opened
        return None

    def _refuse(self, refusal: UnreadableInput, file: ByteInput | None) -> None:
        self._refusal = self._refusal or refusal
        self.info.findings.append(UNREADABLE(str(refusal)))
        if file is not None:
            self._done_bytes += file.position
            file.close()

    # -- reading ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Block]:
        """The blocks in order. There is one pass: a second iterator goes on where the first one is."""
        return self._iterator

    def _blocks(self) -> Iterator[Block]:
        opened, self._first = self._first, None
        while opened is not None:
            blocks = opened.blocks()
            while not self._closed:
                try:
                    block = next(blocks, None)
                except OSError as error:
                    self.info.findings.append(
                        READ_ERROR(
                            f"{opened.file.name}: cannot be read beyond offset {opened.file.position}: "
                            f"{error.strerror or error}",
                            offset=opened.file.position,
                        )
                    )
                    block = None
                self.info.bytes_read = self._done_bytes + opened.file.position
                if block is None:
                    break
                yield block
                block = None
            if self._closed:
                return
            self._done_bytes += opened.file.position
            opened.file.close()
            self._current = None
            opened = self._next()
        if not self.info.paths and self._refusal is not None:
            raise self._refusal

    def close(self) -> None:
        """Close the files; iterating ends."""
        self._closed = True
        if self._current is not None:
            self._current.close()
            self._current = None

    def __enter__(self) -> CaptureSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def locate(self, frame: int) -> tuple[str, int]:
        """File that holds a frame, and the frame's number in that file (1-based).

        Raises:
            UsageError: no frame read so far has that number.
        """
        if not 1 <= frame <= self.info.frames:
            raise UsageError(f"frame {frame} is not among the {self.info.frames} frames read")
        # Files without frames begin at the same number as the next one: the last of those holds it.
        index = bisect_right(self.info.starts, frame) - 1
        return self.info.paths[index], frame - self.info.starts[index] + 1

    def place(self, block: Block) -> FilePlace | None:
        """Where the bytes of the block just given are: in a plain file that is still open; None where it is compressed
        or a pipe."""
        # What a block points into reaches to where reading stands.
        if not isinstance(self._current, FileInput):
            return None
        return self._current.place(len(block.data))._replace(file=len(self.info.paths))


def _size(item: str | IO[bytes]) -> int | None:
    """Bytes of a regular file, 0 where there is no such file, None for a stream."""
    try:
        if not isinstance(item, str):
            file = open_object(item, 1)
            return file.total
        if item == STANDARD_INPUT:
            return open_input(item, 1).total
        found = os.stat(item)
        return found.st_size if stat.S_ISREG(found.st_mode) else None
    except (OSError, ValueError, UnreadableInput):
        return 0
