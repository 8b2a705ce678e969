"""What the readers of both containers share: giving blocks, waiting for more bytes, and going on behind damage.

A reader does no I/O. It is given the bytes of a file piece by piece and gives the frames whose records are whole::

    for block in reader.blocks(data, last):  # data[0] is byte reader.base of the (decompressed) file
        ...
    tail = data[reader.used :]  # to be given again, with at least reader.need bytes unless the file ends

What is given must not depend on how the file was cut into pieces. So a decision is put off until the bytes that it
rests on are there, and is then the same for any pieces.

Damage: where a record makes no sense, the reader searches for the next place that a chain of records can start from,
says what was left out, and goes on. Work is bounded: what is searched is searched once, in windows that grow, and
after :data:`MAX_DAMAGE` places the rest of the file is given up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Finding, Severity, rule
from dissector.base.limits import Limits
from dissector.capture.model import Block, Interface, SourceInfo

__all__ = ["MAX_DAMAGE", "MAX_LOOKED", "STRIDE", "Incomplete", "Lost", "RecordReader", "Stop", "Unstartable"]

I64 = npt.NDArray[np.int64]

CUT = rule("pcap.cut", Severity.WARN, "The capture file ends inside a record")
DAMAGED = rule("pcap.damaged", Severity.ERROR, "A record of the capture file makes no sense and was left out")
ABANDONED = rule("pcap.abandoned", Severity.ERROR, "The rest of the capture file was not read: too many damaged places")

MAX_DAMAGE = 1000
"""Damaged places in one file before its rest is given up."""
MAX_LOOKED = 1_000_000
"""Places looked at, in search of the next record, before the rest of the file is given up; each costs 2 µs."""
_LISTED = 100
"""Damaged places in one file that get a finding of their own."""
STRIDE = 32
"""Records walked at first from a new start (a section, the place behind damage); eight times more with each batch.
So a file of nothing but new starts is not walked to its end from each of them."""
_WINDOW = 4096
"""Bytes searched first for the next record; the window doubles up to :data:`_MAX_WINDOW`."""
_MAX_WINDOW = 1 << 18


class Unstartable(Exception):
    """The beginning of the file is not that of the container; ``args[0]`` says why."""


class Incomplete(Exception):
    """Internal: the record at ``at`` needs ``need`` bytes in all, which are not there yet."""

    def __init__(self, at: int, need: int) -> None:
        self.at = at
        self.need = need


class Lost(Exception):
    """Internal: the record at ``at`` makes no sense."""

    def __init__(self, at: int, why: str) -> None:
        self.at = at
        self.why = why


Stop = Incomplete | Lost | None
"""What ended a walk over records. It is returned, not raised, where a local variable holds it: raised, it would make a
circle with its frame, and blocks would stay in memory until the garbage collector runs (460 MB instead of 60 on a
capture of 100 MB)."""


class RecordReader(ABC):
    """Reads one file. See the module's text for how it is driven.

    Attributes:
        base: offset in the file of the first byte that :meth:`blocks` is given next.
        used: bytes of the data last given that are done with.
        need: bytes that have to be there, from ``base`` on, before it makes sense to go on.
        frames: frames given of this file.
        abandoned: the rest of the file is not worth reading.
        container: what the file is, for people; known after :meth:`start`.
    """

    container = ""

    def __init__(self, info: SourceInfo, interfaces: list[Interface], limits: Limits) -> None:
        self.info = info
        self.interfaces = interfaces
        self.limits = limits
        self.base = 0
        self.used = 0
        self.need = 1
        self.frames = 0
        self._lost: Lost | None = None
        self._lost_at = 0
        self._fresh = False
        self._damages = 0
        self._looked = 0
        self._stride = STRIDE
        self.abandoned = False

    @staticmethod
    @abstractmethod
    def head_size(data: bytes) -> int:
        """Bytes that :meth:`start` needs, told from the first four."""

    @abstractmethod
    def start(self, data: bytes) -> None:
        """Read the file's header from its first bytes; ``used`` says how many are done with.

        Raises:
            Unstartable: it is none.
        """

    @abstractmethod
    def _records(self, data: bytes, at: int, last: bool) -> Generator[Block, None, Stop]:
        """The frames from offset ``at`` of the data on; ends where the data ends with a whole record.

        Returns or raises:
            Incomplete: more bytes are needed; with ``last`` the file is cut there.
            Lost: no record begins there.
        """

    @abstractmethod
    def _search(self, data: bytes, low: int, high: int, last: bool) -> int | None:
        """The first place in low..high that records go on from, None where there is none.

        Raises:
            Incomplete: that depends on bytes that are not there yet; ``at`` is the place it is about.
        """

    def blocks(self, data: bytes, last: bool) -> Iterator[Block]:
        """The frames that are whole in the data.

        Args:
            data: bytes of the file from :attr:`base` on.
            last: the file ends with them.
        """
        at = 0
        while True:
            if self._lost is not None and not self.abandoned:
                at, found = self._resume(data, at, last)
                if not found:
                    break
            if self.abandoned:
                at = len(data)
                self.need = 1
                break
            try:
                stop = yield from self._records(data, at, last)
            except (Incomplete, Lost) as raised:
                # Without its traceback, which holds the frames of the functions and so a whole block's bytes.
                stop = raised.with_traceback(None)
            if stop is None:
                at = len(data)
                self.need = 1
                break
            at = stop.at
            if isinstance(stop, Lost):
                self._lose(stop)
            else:
                self.need = stop.need
                if not last:
                    break
                # Either the file was cut, or the length is wrong and whole records are still behind it.
                if self._ends_well(data, at):
                    self._lose(Lost(at, "its length leads behind the end of the file, but records go on before it"))
                    continue
                self._cut(data, at, stop.need)
                at = len(data)
                break
        self.used = at
        self.base += at

    _smallest = 16
    """Bytes of a record from which its length can be told."""

    def _cut(self, data: bytes, at: int, size: int) -> None:
        there = len(data) - at
        inside = (
            f"the record that begins at offset {self.base + at}: {there} of its {size} bytes are there"
            if there >= self._smallest
            else f"the header of the record that begins at offset {self.base + at}"
        )
        self._add(
            CUT(
                f"The file ends at offset {self.base + len(data)} inside {inside}",
                frames=[self.info.frames] if self.frames else (),
                offset=self.base + at,
            )
        )

    # -- damage -------------------------------------------------------------------------------------------------

    def _ends_well(self, data: bytes, at: int) -> bool:
        try:
            return self._scan(data, at + 1, True)[1]
        except Incomplete:
            return False

    def _lose(self, lost: Lost) -> None:
        self._lost = lost
        self._lost_at = self.base + lost.at
        self._fresh = True
        self._stride = STRIDE
        self._damages += 1
        if self._damages > MAX_DAMAGE and not self.abandoned:
            self._abandon(lost.at, f"More than {MAX_DAMAGE} places of the file make no sense")

    def _abandon(self, at: int, why: str) -> None:
        self.abandoned = True
        self._add(
            ABANDONED(
                f"{why}; it was not read from offset {self.base + at} on",
                frames=[self.info.frames] if self.frames else (),
                offset=self.base + at,
            )
        )

    def _resume(self, data: bytes, at: int, last: bool) -> tuple[int, bool]:
        """Search on for a record; (place to go on from, whether records go on there)."""
        assert self._lost is not None
        if self._fresh:
            # The damaged record's own first byte is not where records go on.
            at += 1
            self._fresh = False
        try:
            at, found = self._scan(data, at, last)
        except Incomplete as need:
            at, found = need.at, False
            self.need = need.need
            if last:
                at = len(data)
        else:
            self.need = len(data) - at + 1
            if last and not found:
                at = len(data)
        if found or last:
            self._report(self.base + at, found)
            self._lost = None
        return at, found

    def _scan(self, data: bytes, at: int, last: bool) -> tuple[int, bool]:
        window = _WINDOW
        # A place can be judged only where the smallest record lies in the data.
        end = len(data) - self._smallest + 1
        while at < end:
            high = min(at + window, end)
            place = self._search(data, at, high, last)
            if place is not None:
                return place, True
            at = high
            if self._looked > MAX_LOOKED:
                self._abandon(at, f"More than {MAX_LOOKED} places look like a record, and are none")
                return at, False
            window = min(window * 2, _MAX_WINDOW)
        return at, False

    def _report(self, resumed: int, found: bool) -> None:
        assert self._lost is not None
        if self._damages > _LISTED:
            if self._damages == _LISTED + 1:
                self._add(DAMAGED("More damaged places follow, which are not listed", offset=self._lost_at))
            return
        skipped = resumed - self._lost_at
        where = f"reading went on at offset {resumed}" if found else "no further record was found"
        self._add(
            DAMAGED(
                f"The record at offset {self._lost_at} makes no sense ({self._lost.why}); "
                f"{skipped} bytes were left out, {where}",
                frames=[self.info.frames] if self.frames else (),
                offset=self._lost_at,
            )
        )

    def _add(self, finding: Finding) -> None:
        self.info.findings.append(finding)

    # -- blocks -------------------------------------------------------------------------------------------------

    def _block(self, data: bytes, offset: I64, caplen: I64, wirelen: I64, time: I64, interface: I64) -> Block:
        """A block of the next frames."""
        first = self.info.frames + 1
        self.info.frames += len(offset)
        self.frames += len(offset)
        return Block(data, offset, caplen, wirelen, time, interface, first)
