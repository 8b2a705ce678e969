"""Compressed captures, decompressed while they are read.

Several members, streams or frames in a row are one capture. Memory is bounded whatever the compressed bytes say: each
step gives at most a stated number of bytes, and windows are limited. Time is bounded by the size of the file: what
swells beyond ``Limits.unpack_ratio`` is given up (a frame of zstd can hold 30,000 times its size).
What was decompressed before damage, before a cut or before that limit is given.
"""

from __future__ import annotations

from dissector.base.findings import Severity, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.decompressors import Codec, Damaged, Member, is_skippable
from dissector.capture.inputs import ByteInput
from dissector.capture.model import SourceInfo

__all__ = ["Decompressed"]

CUT = rule("pcap.compressed-cut", Severity.WARN, "The compressed file ends before its end mark")
BROKEN = rule("pcap.compressed-damaged", Severity.ERROR, "The compressed file is damaged")
SWOLLEN = rule(
    "pcap.compressed-limit", Severity.ERROR, "The compressed file grows beyond the limit; the rest is not read"
)
TRAILING = rule("pcap.compressed-trailing", Severity.NOTE, "Bytes behind the end of the compressed data")

_CHUNK = 1 << 18
"""Compressed bytes read at a time."""


class Decompressed(ByteInput):
    """The decompressed bytes of another input. Damage is a finding, and ends the input."""

    def __init__(
        self, below: ByteInput, codec: Codec, begin: bytes, info: SourceInfo, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(below.name, below.block_bytes)
        self._limits = limits
        self._made = 0
        self.codec = codec
        self.total = below.total
        self._below = below
        self._info = info
        self._fresh = begin
        self._member: Member | None = None
        self._between = b""
        self._skip = 0
        self._members = 0
        self._done = False

    @property
    def position(self) -> int:
        """Compressed bytes consumed."""
        return self._below.position

    @position.setter
    def position(self, value: int) -> None:
        pass

    def close(self) -> None:
        """Close what lies below."""
        self._below.close()

    def chunk(self, size: int, wait: bool = True) -> bytes | None:
        """See :meth:`ByteInput.chunk`; gives at most one step."""
        while not self._done:
            if self._hungry() and not self._fresh:
                fresh = self._below.chunk(_CHUNK, wait)
                if fresh is None:
                    return None
                if not fresh:
                    self._end()
                    break
                self._fresh = fresh
            fresh, self._fresh = self._fresh, b""
            try:
                made = self._step(fresh, min(size, self.codec.step))
            except Damaged as damage:
                self._damage(str(damage.args[0]))
                return bytes(damage.args[1])
            if made:
                self._made += len(made)
                if self._made > max(self._limits.unpack_free, self._limits.unpack_ratio * self.position):
                    self._give_up()
                    break
                return made
        return b""

    def _give_up(self) -> None:
        self._done = True
        self._info.findings.append(
            SWOLLEN(
                f"{self.name}: {self.position} bytes of {self.codec.name} data give {self._made} bytes and more, "
                f"over {self._limits.unpack_ratio} times their size; what follows is not read "
                "(--limit unpack_ratio=N allows more)",
                offset=self.position,
            )
        )

    def _hungry(self) -> bool:
        return self._member.needs_input if self._member is not None else not self._between or self._waiting

    _waiting = False

    def _step(self, fresh: bytes, size: int) -> bytes:
        if self._member is None:
            fresh = self._between + fresh
            self._between = b""
            self._waiting = False
            if self._skip:
                drop = min(self._skip, len(fresh))
                self._skip -= drop
                fresh = fresh[drop:]
            if self.codec.padding and self._members:
                fresh = fresh.lstrip(b"\0")
            if not fresh or not self._begins(fresh):
                return b""
            self._member = self.codec.member()
            self._members += 1
        made = self._member.decompress(fresh, size)
        if self._member.eof:
            self._between = self._member.unused_data
            self._member = None
        return made

    def _begins(self, head: bytes) -> bool:
        """Whether a member begins here; else says what is to be done with the bytes."""
        magic = self.codec.magic
        if head[: len(magic)] == magic:
            return True
        if self.codec.skippable and is_skippable(head):
            if len(head) < 8:
                self._between, self._waiting = head, True
                return False
            self._skip = int.from_bytes(head[4:8], "little")
            self._between = head[8:]
            if self._skip and self._between:
                drop = min(self._skip, len(self._between))
                self._skip -= drop
                self._between = self._between[drop:]
            return False
        if magic.startswith(head) or (self.codec.skippable and len(head) < 4):
            self._between, self._waiting = head, True
            return False
        self._done = True
        self._info.findings.append(
            TRAILING(
                f"{self.name}: behind the end of the {self.codec.name} data stand bytes that are none "
                f"({head[:8].hex(' ')}); they were left out"
            )
        )
        return False

    def _end(self) -> None:
        self._done = True
        if self._member is not None or self._skip or (self._between and not self._members):
            self._info.findings.append(
                CUT(
                    f"{self.name}: the {self.codec.name} data ends at offset {self.position} of the compressed file "
                    "before its end mark: the file was cut, or is still being written",
                    offset=self.position,
                )
            )
        elif self._between:
            self._info.findings.append(
                TRAILING(f"{self.name}: {len(self._between)} stray bytes behind the end of the {self.codec.name} data")
            )

    def _damage(self, reason: str) -> None:
        self._done = True
        self._info.findings.append(
            BROKEN(
                f"{self.name}: the {self.codec.name} data is damaged before offset {self.position} of the compressed "
                f"file ({reason}); what comes after it cannot be decompressed",
                offset=self.position,
            )
        )
