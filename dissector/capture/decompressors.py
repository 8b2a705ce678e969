"""The decompressors of gzip, zstd, lz4 and xz, all driven in the same way, each step bounded in what it gives.

Formats: RFC 1952 (gzip), RFC 8878 (zstd), the LZ4 frame format 1.6, the .xz file format 1.2.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CODECS", "Codec", "Damaged", "Member", "codec_of", "is_skippable"]

_STEP = 1 << 20
"""Decompressed bytes given by one step."""
_XZ_STEP = 1 << 15
"""The same for xz, where an error takes the bytes of its step with it."""
_XZ_MEMORY = 128 << 20
"""Memory that xz may use; "xz -9" needs 65 MiB. For zstd the library's own limit holds, a window of 128 MiB."""


class Damaged(Exception):
    """Decompression failed: ``args`` are the reason and what could be decompressed before."""


class Member(ABC):
    """One member, stream or frame, in the manner of the standard library's decompressors.

    Attributes:
        eof: it is whole.
        unused_data: the bytes behind it, once it is whole.
    """

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self._held = b""

    @property
    def needs_input(self) -> bool:
        """Whether a step without new bytes would give nothing."""
        return not self._held

    @abstractmethod
    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """One step."""


class _Library(Member):
    """A member that a library's decompressor reads in the way of the standard library's."""

    def __init__(self, decompressor: Any, errors: tuple[type[Exception], ...]) -> None:
        super().__init__()
        self._object = decompressor
        self._errors = errors

    @property
    def needs_input(self) -> bool:
        """Whether a step without new bytes would give nothing."""
        return bool(self._object.needs_input)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """One step.

        Raises:
            Damaged: the bytes of the step are lost.
        """
        try:
            made: bytes = self._object.decompress(data, max_length)
        except self._errors as error:
            raise Damaged(str(error), b"") from None
        self.eof = self._object.eof
        self.unused_data = self._object.unused_data or b""
        return made


def _lz4() -> Member:
    import lz4.frame  # here, since most captures are not compressed

    return _Library(lz4.frame.LZ4FrameDecompressor(), (RuntimeError, EOFError))


def _xz() -> Member:
    import lzma

    return _Library(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), (lzma.LZMAError, EOFError))


class _Gzip(Member):
    """A gzip member. zlib drops the bytes of a step that fails, so the state before each step is kept (5 µs) and what
    comes before the failure is decompressed again."""

    def __init__(self) -> None:
        super().__init__()
        self._zlib = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def needs_input(self) -> bool:
        """Also where the last step was filled: zlib may hold more."""
        return not self._held and not self._full

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """One step.

        Raises:
            Damaged: with what came before the damage.
        """
        data = self._held + data
        before = self._zlib.copy()
        try:
            made = self._zlib.decompress(data, max_length)
        except zlib.error as error:
            good, bad = 0, len(data)
            while bad - good > 1:
                middle = (good + bad) // 2
                try:
                    before.copy().decompress(data[:middle], max_length)
                    good = middle
                except zlib.error:
                    bad = middle
            try:
                saved = before.decompress(data[:good], max_length)
            except zlib.error:
                # It fails on what it took in before: nothing of this step can be had.
                saved = b""
            raise Damaged(str(error), saved) from None
        self._held = self._zlib.unconsumed_tail
        self._full = len(made) == max_length
        self.eof = self._zlib.eof
        self.unused_data = self._zlib.unused_data
        return made


class _Zstd(Member):
    """A zstd frame. The library gives all that its input holds, and a block of four bytes can hold 128 KiB; so it
    is fed one block at a time, which also tells whether the frame was whole."""

    def __init__(self) -> None:
        super().__init__()
        import zstandard  # here, since most captures are not compressed

        self._error = zstandard.ZstdError
        self._object = zstandard.ZstdDecompressor().decompressobj()
        self._part: Callable[[], tuple[int, bool] | None] = self._frame_header
        self._pass = 0
        self._checksum = 0
        self._closing = False

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """One step.

        Raises:
            Damaged: or the window is too large.
        """
        self._held += data
        made: list[bytes] = []
        size = 0
        while size < max_length and not self.eof:
            if not self._pass:
                header = self._part()
                if header is None:
                    break
                self._pass, self._closing = header
            part = self._held[: self._pass]
            if not part:
                break
            self._held = self._held[len(part) :]
            self._pass -= len(part)
            try:
                out = self._object.decompress(part)
            except self._error as error:
                raise Damaged(str(error), b"".join(made)) from None
            made.append(out)
            size += len(out)
            if not self._pass and (self._closing or self._object.eof):
                self.eof = True
                self.unused_data = self._held
                self._held = b""
        self._starved = size < max_length
        return b"".join(made)

    _starved = True

    @property
    def needs_input(self) -> bool:
        """Also where the bytes held are only the beginning of a header."""
        return self._starved

    def _frame_header(self) -> tuple[int, bool] | None:
        # RFC 8878, section 3.1.1.1: magic, descriptor, window, dictionary, content size.
        if len(self._held) < 5:
            return None
        descriptor = self._held[4]
        single = descriptor >> 5 & 1
        content = (single, 2, 4, 8)[descriptor >> 6]
        size = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3] + content
        self._checksum = 4 if descriptor & 4 else 0
        self._part = self._block_header
        return size, False

    def _block_header(self) -> tuple[int, bool] | None:
        # Section 3.1.1.2: last block 1 bit, type 2 bits, size 21 bits; a repeated byte has one byte whatever its size.
        if len(self._held) < 3:
            return None
        header = int.from_bytes(self._held[:3], "little")
        size = 1 if header >> 1 & 3 == 1 else header >> 3
        last = bool(header & 1)
        return 3 + size + (self._checksum if last else 0), last


@dataclass(frozen=True, slots=True)
class Codec:
    """A compression format.

    Attributes:
        name: what people call it.
        magic: how a member begins.
        member: makes a decompressor for one.
        skippable: whether there are frames to be skipped, with the magic numbers 184D2A50 to 184D2A5F.
        padding: whether zeros may stand between members and behind them.
        step: bytes that a step may give.
    """

    name: str
    magic: bytes
    member: Callable[[], Member]
    skippable: bool
    padding: bool
    step: int


CODECS = (
    Codec("gzip", b"\x1f\x8b\x08", _Gzip, skippable=False, padding=True, step=_STEP),
    Codec("zstd", b"\x28\xb5\x2f\xfd", _Zstd, skippable=True, padding=False, step=_STEP),
    Codec("lz4", b"\x04\x22\x4d\x18", _lz4, skippable=True, padding=False, step=_STEP),
    Codec("xz", b"\xfd7zXZ\x00", _xz, skippable=False, padding=True, step=_XZ_STEP),
)


def is_skippable(head: bytes) -> bool:
    """Whether a skippable frame begins here: magic 184D2A5x, little-endian."""
    return len(head) >= 4 and head[0] >> 4 == 5 and head[1:4] == b"\x2a\x4d\x18"


def codec_of(head: bytes) -> Codec | None:
    """The compression whose magic number a file begins with (four bytes are enough), None for none."""
    for codec in CODECS:
        if head and head[: len(codec.magic)] == codec.magic[: len(head)] and len(head) >= min(4, len(codec.magic)):
            return codec
    # A skippable frame comes first in files of parallel compressors; zstd and lz4 skip the same ones.
    return CODECS[1] if is_skippable(head) else None
