"""The parts of pcapng blocks: options, clocks, name records, and what is kept of them.

draft-ietf-opsawg-pcapng, sections 3.5 (options), 4.2 (interface description), 4.5 (name resolution).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Severity, rule
from dissector.base.limits import Limits
from dissector.capture.model import SourceInfo

__all__ = ["Clock", "Notes", "name_records", "options", "text"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

NOTES_LIMIT = rule("pcapng.notes-limit", Severity.NOTE, "Comments, names or secrets of the capture were left out")

_MAX_OPTIONS = 1000
_MAX_TIME = (1 << 63) - 1
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """How an interface counts time.

    Attributes:
        resolution: if_tsresol: ticks of 10**-resolution s, or of 2**-(resolution & 127) s where bit 7 is set.
        offset: if_tsoffset, seconds added to each time.
    """

    resolution: int = 6
    offset: int = 0

    @property
    def digits(self) -> int:
        """Decimal digits of a second, at most 9."""
        if self.resolution & 0x80:
            return min(9, math.ceil((self.resolution & 0x7F) * math.log10(2)))
        return min(9, self.resolution)

    def nanoseconds(self, ticks: U64) -> I64:
        """Times in nanoseconds since 1970; what lies behind the year 2262 stays there."""
        if self.resolution & 0x80:
            bits = self.resolution & 0x7F
            if bits > 32:
                # 2**-32 s is finer than a nanosecond.
                ticks = ticks >> np.uint64(min(bits - 32, 63))
                bits = 32
            seconds = np.minimum(ticks >> np.uint64(bits), np.uint64(_MAX_TIME // _NS - 1))
            rest = ticks & np.uint64((1 << bits) - 1)
            made = seconds * np.uint64(_NS) + (rest * np.uint64(_NS) >> np.uint64(bits))
        elif self.resolution <= 9:
            unit = 10 ** (9 - self.resolution)
            made = np.minimum(ticks, np.uint64(_MAX_TIME // unit)) * np.uint64(unit)
        else:
            # 10**20 is more than any count of ticks.
            exponent = self.resolution - 9
            made = ticks // np.uint64(10**exponent) if exponent < 20 else np.zeros_like(ticks)
            made = np.minimum(made, np.uint64(_MAX_TIME))
        times: I64 = made.astype(np.int64)
        if self.offset:
            # Kept within ±146 years, and the sum within int64.
            offset = max(-(1 << 62) // _NS, min((1 << 62) // _NS, self.offset)) * _NS
            times = np.minimum(times, _MAX_TIME - max(offset, 0)) + offset
        return times


def options(body: bytes | memoryview, order: str) -> Iterator[tuple[int, bytes]]:
    """The options of a block, as (code, value), up to the end mark or the first that does not fit."""
    at = 0
    for _ in range(_MAX_OPTIONS):
        if at + 4 > len(body):
            return
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == 0 or at + 4 + length > len(body):
            return
        yield code, bytes(body[at + 4 : at + 4 + length])
        at += 4 + length + (-length % 4)


def text(value: bytes) -> str:
    """A text option: UTF-8, which some writers end with zeros."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def name_records(body: bytes | memoryview, order: str) -> Iterator[tuple[str, list[str]]]:
    """The records of a name resolution block, as (address, names)."""
    from ipaddress import ip_address

    at = 0
    while at + 4 <= len(body):
        kind, length = struct.unpack_from(order + "HH", body, at)
        size = {1: 4, 2: 16}.get(kind)
        if kind == 0 or at + 4 + length > len(body):
            return
        if size is not None and length > size:
            value = bytes(body[at + 4 : at + 4 + length])
            names = [text(name) for name in value[size:].split(b"\0") if name]
            yield str(ip_address(value[:size])), names
        at += 4 + length + (-length % 4)


class Notes:
    """Puts comments, secrets and names into a :class:`SourceInfo`, up to ``limits.notes`` bytes in all."""

    def __init__(self, info: SourceInfo, limits: Limits) -> None:
        self._info = info
        self._limit = limits.notes
        self._left = limits.notes
        self._named: set[tuple[str, str]] = set()

    def _take(self, size: int) -> bool:
        if self._left < 0:
            return False
        # What an entry costs besides its bytes, roughly.
        self._left -= size + 100
        if self._left < 0:
            self._info.findings.append(
                NOTES_LIMIT(f"Comments, names and secrets beyond {self._limit} bytes were left out")
            )
            return False
        return True

    def comment(self, value: bytes, frame: int = 0) -> None:
        """Keep a comment on a frame, or (0) on a section or interface."""
        if self._take(len(value)):
            self._info.comments.append((frame, text(value)))

    def secrets(self, type: int, value: bytes) -> None:
        """Keep decryption secrets."""
        if self._take(len(value)):
            self._info.secrets.append((type, value))

    def names(self, address: str, names: list[str]) -> None:
        """Keep names of an address, each once."""
        for name in names:
            # Not looked for in the list: an address may have ten thousands.
            if (address, name) not in self._named and self._take(len(name)):
                self._named.add((address, name))
                self._info.names.setdefault(address, []).append(name)
