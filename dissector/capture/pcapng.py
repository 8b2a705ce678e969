"""Reads pcapng files: draft-ietf-opsawg-pcapng.

A file is one section or several; each has its own byte order and counts its own interfaces from 0. The length of a
section is not used, since writers leave it at -1 or get it wrong. Packets are in enhanced, simple and (obsolete) packet
blocks; interfaces, names and secrets are kept, all other blocks are skipped.

A block says its length at both ends. Where the two disagree, the first is believed if a block or the end of the file
follows there, else the place counts as damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Rule, Severity, rule
from dissector.base.limits import Limits
from dissector.capture.model import Block, Interface, SourceInfo
from dissector.capture.pcapng_parts import Clock, Notes, name_records, options, text
from dissector.capture.records import STRIDE, Incomplete, Lost, RecordReader, Stop, Unstartable
from dissector.capture.walk import Chain, gather

__all__ = ["PCAPNG_MAGIC", "PcapngReader"]

I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]

PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
"""First four bytes of a pcapng file: the type of a section header, the same in both byte orders."""

VERSION = rule("pcapng.version", Severity.WARN, "A version of the pcapng format that does not exist")
LENGTHS = rule("pcapng.length", Severity.WARN, "A block's length at its end is not that at its beginning")
NO_INTERFACE = rule("pcapng.no-interface", Severity.ERROR, "A packet of an interface that no block describes")
SHORT = rule("pcapng.short", Severity.ERROR, "A block that is too short for what it should hold")
NO_TIME = rule("pcapng.no-time", Severity.NOTE, "Packets without a time (simple packet blocks)")
TOO_MANY = rule("pcapng.interfaces", Severity.ERROR, "More interfaces than are kept")

SECTION, INTERFACE, PACKET, SIMPLE, NAMES, ENHANCED, SECRETS = 0x0A0D0D0A, 1, 2, 3, 4, 6, 10
_CUSTOM = (0x00000BAD, 0x40000BAD)


class PcapngReader(RecordReader):
    """Reads one pcapng file."""

    _smallest = 12

    def __init__(self, info: SourceInfo, interfaces: list[Interface], limits: Limits, notes: Notes) -> None:
        super().__init__(info, interfaces, limits)
        self._notes = notes
        self._numbers: list[int] = []
        self._clocks: list[Clock] = []
        self._snaplens: list[int] = []
        self._said: set[str] = set()
        self._sections = 0
        self._last_time = 0
        self._set_order("<")

    @staticmethod
    def head_size(data: bytes) -> int:
        """Bytes of a section header up to its byte order."""
        return 12

    def start(self, data: bytes) -> None:
        """Look at the first section header; it is read with the blocks.

        Raises:
            Unstartable: its byte order is not told.
        """
        order = _byte_order(data[8:12])
        if order is None:
            raise Unstartable(
                "the file ends inside the first pcapng section header"
                if len(data) < 12
                else f"the first pcapng section header has the byte-order magic {data[8:12].hex(' ')}, "
                "expected 1a 2b 3c 4d or the reverse"
            )
        self._set_order(order)
        self.container = "pcapng"

    def _set_order(self, order: str) -> None:
        self._order = order
        self._chain = Chain(order, header=12, length_at=4, extra=0, pattern=self._pattern, plausible=self._entry)
        self._block_head = struct.Struct(order + "II").unpack_from
        self._word = struct.Struct(order + "I").unpack_from

    # -- blocks -------------------------------------------------------------------------------------------------

    def _records(self, data: bytes, at: int, last: bool) -> Generator[Block, None, Stop]:
        while at < len(data):
            if at + 12 > len(data):
                return Incomplete(at, 12)
            if data[at : at + 4] == PCAPNG_MAGIC:
                at = self._section(data, at, last)
                continue
            places = self._chain.walk(data, at, self._stride)
            self._stride *= 8
            heads = gather(data, places, 8, self._order)
            count, at, stop = self._extent(data, places, heads[:, 0], heads[:, 1], last)
            if count:
                types = heads[:count, 0]
                block = self._batch(data, places[:count], types, heads[:count, 1].astype(np.int64))
                if block is not None:
                    yield block
            if stop is not None:
                return stop
        return None

    def _extent(self, data: bytes, places: I64, types: U32, lengths: U32, last: bool) -> tuple[int, int, Stop]:
        """How many of the blocks are whole and of this section, where the next one begins, and what ends them."""
        stop: Stop
        section = types == SECTION
        count = int(np.argmax(section)) if section.any() else len(places)
        long = lengths[:count].astype(np.int64)
        ends = places[:count] + long
        at, stop = int(ends[-1]), None
        bad = (long < 12) | (long % 4 != 0) | (long > self.limits.record)
        if bad.any():
            count = int(np.argmax(bad))
            at = int(places[count])
            stop = Lost(at, f"it says that it is {int(long[count])} bytes long")
        elif ends[-1] > len(data):
            count -= 1
            at = int(places[count])
            stop = Incomplete(at, int(long[count]))
        trailers = gather(data, ends[:count] - 4, 4, self._order)[:, 0]
        differ = trailers != lengths[:count]
        if differ.any():
            # The first length is believed where a block of a known type follows, as the walk mostly shows.
            follows = np.zeros(len(long), bool)
            follows[:-1] = ~bad[1:] & (types[1 : len(long)] - np.uint32(1) < SECRETS)
            for i in np.flatnonzero(differ & ~follows[:count]).tolist():
                try:
                    believed = self._follows(data, int(ends[i]), last)
                except Incomplete as need:
                    count, at = i, int(places[i])
                    stop = Incomplete(at, int(long[i]) + need.need)
                    break
                if not believed:
                    count, at = i, int(places[i])
                    stop = Lost(at, _lengths(int(long[i]), int(trailers[i])))
                    break
            if differ[:count].any():
                i = int(np.argmax(differ))
                where = int(places[i])
                said = _lengths(int(long[i]), int(trailers[i]))
                self._say(LENGTHS, f"The block at offset {self.base + where}: {said}; the first was believed", where)
        return count, at, stop

    def _section(self, data: bytes, at: int, last: bool) -> int:
        """Read a section header; the place behind it."""
        order = _byte_order(data[at + 8 : at + 12])
        if order is None:
            raise Lost(at, f"a section header with the byte-order magic {data[at + 8 : at + 12].hex(' ')}")
        length: int = struct.unpack_from(order + "I", data, at + 4)[0]
        if not 28 <= length <= self.limits.record or length % 4:
            raise Lost(at, f"a section header that says that it is {length} bytes long")
        if at + length > len(data):
            raise Incomplete(at, length)
        end = at + length
        (trailer,) = struct.unpack_from(order + "I", data, end - 4)
        before = self._order
        self._set_order(order)
        if trailer != length:
            said = _lengths(length, trailer)
            try:
                follows = self._follows(data, end, last)
            except Incomplete as need:
                self._set_order(before)
                raise Incomplete(at, length + need.need) from None
            if not follows:
                self._set_order(before)
                raise Lost(at, said)
            self._say(LENGTHS, f"The section header at offset {self.base + at}: {said}; the first was believed", at)
        major, minor = struct.unpack_from(order + "HH", data, at + 12)
        if major != 1:
            self._say(VERSION, f"A section says it is pcapng {major}.{minor}; it was read as 1.0", at)
        self._sections += 1
        most = self.limits.sections
        if self._sections > most:
            self._abandon(at, f"More than {most} sections in one file")
            raise Lost(at, "too many sections")
        self._numbers, self._clocks, self._snaplens = [], [], []
        self._stride = STRIDE
        for code, value in options(memoryview(data)[at + 24 : end - 4], order):
            if code == 1:
                self._notes.comment(value)
        return end

    def _follows(self, data: bytes, at: int, last: bool) -> bool:
        """Whether a block of a known type begins at a place, or the file ends there."""
        if at + 12 > len(data):
            if not last:
                raise Incomplete(at, 12)
            return at == len(data)
        return self._block_size(data, at) is not None

    def _block_size(self, data: bytes, at: int) -> tuple[int, str] | None:
        """Length and byte order of the block of a known type that begins at a place, None where none does."""
        kind, length = self._block_head(data, at)
        order = self._order
        if kind == SECTION:
            told = _byte_order(data[at + 8 : at + 12])
            if told is None:
                return None
            order = told
            (length,) = struct.unpack_from(order + "I", data, at + 4)
        elif not 1 <= kind <= SECRETS and kind not in _CUSTOM:
            return None
        return (length, order) if 12 <= length <= self.limits.record and length % 4 == 0 else None

    def _good(self, data: bytes, at: int, last: bool) -> bool:
        """Whether a block of a known type, with its length at both ends, lies at a place."""
        found = self._block_size(data, at)
        if found is None:
            return False
        length, order = found
        if at + length > len(data):
            if not last:
                raise Incomplete(at, length)
            return False
        (trailer,) = struct.unpack_from(order + "I", data, at + length - 4)
        return bool(trailer == length)

    # -- what blocks hold ---------------------------------------------------------------------------------------

    def _batch(self, data: bytes, places: I64, types: U32, lengths: I64) -> Block | None:
        """The frames of blocks that are whole; the others are read on the way."""
        known = len(self._numbers)
        described: list[int] = []
        # Not copied: one block may have 64 MB.
        view = memoryview(data)
        for i in np.flatnonzero((types == INTERFACE) | (types == NAMES) | (types == SECRETS)).tolist():
            body = view[int(places[i]) + 8 : int(places[i] + lengths[i]) - 4]
            if types[i] == INTERFACE:
                if self._interface(body, int(places[i])):
                    described.append(i)
            elif types[i] == NAMES:
                for address, names in name_records(body, self._order):
                    self._notes.names(address, names)
            elif len(body) >= 8:
                kind, size = self._block_head(body, 0)
                self._notes.secrets(kind, bytes(body[8 : 8 + size]))
        simple = types == SIMPLE
        packets = np.flatnonzero((types == ENHANCED) | (types == PACKET) | simple & (lengths >= 16))
        full = ~simple[packets]
        short = full & (lengths[packets] < 32)
        if short.any():
            where = int(places[packets[np.argmax(short)]])
            self._say(SHORT, f"The packet block at offset {self.base + where} is too short for its fields", where)
            packets = packets[~short]
            full = full[~short]
        if not len(packets):
            return None
        at = places[packets]
        room = lengths[packets]
        # Interfaces described before each packet.
        there = known + np.searchsorted(np.array(described, np.int64), packets) if described else known
        if full.all():
            words = gather(data, at, 28, self._order)
        else:
            words = np.zeros((len(at), 7), np.uint32)
            words[full] = gather(data, at[full], 28, self._order)
        interface = words[:, 2].astype(np.int64)
        old = types[packets] == PACKET
        if old.any():
            interface[old] = interface[old] >> 16 if self._order == ">" else interface[old] & 0xFFFF
        caplen = words[:, 5].astype(np.int64)
        wirelen = words[:, 6].astype(np.int64)
        offset = at + 28
        if not full.all():
            bare = ~full
            offset[bare] = at[bare] + 12
            wirelen[bare] = gather(data, at[bare] + 8, 4, self._order)[:, 0]
            caplen[bare] = wirelen[bare]
            snaplen = self._snaplens[0] if self._snaplens else 0
            caplen[bare] = np.minimum(caplen[bare], room[bare] - 16)
            if snaplen:
                caplen[bare] = np.minimum(caplen[bare], snaplen)
        most = np.where(full, room - 32, room - 16)
        over = caplen > most
        if over.any():
            where = int(at[np.argmax(over)])
            self._say(SHORT, f"The packet block at offset {self.base + where} is too short for its packet", where)
            caplen = np.minimum(caplen, most)
        foreign = interface >= there
        if foreign.any():
            i = int(np.argmax(foreign))
            self._say(
                NO_INTERFACE,
                f"The packet block at offset {self.base + int(at[i])} is of interface {int(interface[i])}, which no "
                "block describes; such packets are left out",
                int(at[i]),
            )
            mine = ~foreign
            if not mine.any():
                return None
            at, room, offset, caplen, wirelen = at[mine], room[mine], offset[mine], caplen[mine], wirelen[mine]
            interface, words, full = interface[mine], words[mine], full[mine]
        time = self._times(words, interface, full)
        if full.any():
            first = self.info.frames + 1
            after = offset + (caplen + 3 & -4)
            has = full & (after + 4 <= at + room - 4)
            if has.any():
                frames = np.flatnonzero(has)
                self._packet_comments(data, after[frames], (at + room - 4)[frames], frames + first)
        numbers = np.array(self._numbers, np.int64)[interface]
        return self._block(data, offset, caplen, wirelen, time, numbers)

    def _times(self, words: U32, interface: I64, full: npt.NDArray[np.bool_]) -> I64:
        ticks = words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4]
        if len(set(self._clocks)) == 1:
            time = self._clocks[0].nanoseconds(ticks)
        else:
            time = np.empty(len(ticks), np.int64)
            for number in np.flatnonzero(np.bincount(interface)).tolist():
                mine = interface == number
                time[mine] = self._clocks[number].nanoseconds(ticks[mine])
        if not full.all():
            self._say(NO_TIME, "Simple packet blocks have no time: their frames are given that of the frame before")
            # Index of the last frame with a time, -1 before the first.
            source = np.maximum.accumulate(np.where(full, np.arange(len(full)), -1))
            time = np.where(source >= 0, time[source], self._last_time)
        self._last_time = int(time[-1])
        return time

    def _interface(self, body: bytes | memoryview, at: int) -> bool:
        if len(body) < 8:
            self._say(SHORT, f"The interface description at offset {self.base + at} is too short", at)
            return False
        most = self.limits.interfaces
        if len(self.interfaces) >= most:
            self._say(TOO_MANY, f"More than {most} interfaces: packets of the others are left out", at)
            return False
        link_type, _, snaplen = struct.unpack_from(self._order + "HHI", body)
        made = Interface(len(self.interfaces), link_type, snaplen)
        resolution, offset = 6, 0
        for code, value in options(body[8:], self._order):
            if code == 1:
                self._notes.comment(value)
            elif code == 2:
                made.name = text(value)
            elif code == 3:
                made.description = text(value)
            elif code == 9 and value:
                resolution = value[0]
            elif code == 12:
                made.os = text(value)
            elif code == 14 and len(value) == 8:
                (offset,) = struct.unpack(self._order + "q", value)
        clock = Clock(resolution, offset)
        made.digits = clock.digits
        self.interfaces.append(made)
        self._numbers.append(made.number)
        self._clocks.append(clock)
        self._snaplens.append(snaplen)
        return True

    def _packet_comments(self, data: bytes, at: I64, ends: I64, frames: I64) -> None:
        """Walk the options of many packets at once: most have some (flags), few have a comment."""
        found: list[tuple[int, int, int]] = []
        for _ in range(16):
            words = gather(data, at, 4, self._order)[:, 0].astype(np.int64)
            code, length = (words & 0xFFFF, words >> 16) if self._order == "<" else (words >> 16, words & 0xFFFF)
            comment = (code == 1) & (at + 4 + length <= ends)
            for i in np.flatnonzero(comment).tolist():
                found.append((int(frames[i]), int(at[i]) + 4, int(length[i])))
            at = at + 4 + (length + 3 & -4)
            more = (code != 0) & (at + 4 <= ends)
            if not more.any():
                break
            at, ends, frames = at[more], ends[more], frames[more]
        for frame, begin, size in sorted(found):
            self._notes.comment(data[begin : begin + size], frame)

    # -- findings -----------------------------------------------------------------------------------------------

    def _say(self, kind: Rule, said: str, at: int | None = None) -> None:
        """A finding of this kind, once a file: where one block is so, many are."""
        if kind.id not in self._said:
            self._said.add(kind.id)
            self._add(kind(said, offset=None if at is None else self.base + at))

    # -- finding some block -------------------------------------------------------------------------------------

    def _pattern(self, data: bytes, at: int) -> tuple[bytes, int]:
        return struct.pack(self._order + "I", ENHANCED), 0

    def _entry(self, data: bytes, at: int, pattern: bytes) -> bool:
        if at + 8 > len(data):
            return False
        length = self._word(data, at + 4)[0]
        end = at + length
        return length >= 32 and end <= len(data) and data[end - 4 : end] == data[at + 4 : at + 8]

    def _search(self, data: bytes, low: int, high: int, last: bool) -> int | None:
        kinds = np.ndarray((high - low,), self._order + "u4", data, offset=low, strides=(1,)).astype(np.uint32)
        likely = (kinds - np.uint32(1) < SECRETS) | (kinds == SECTION)
        for custom in _CUSTOM:
            likely |= kinds == custom
        for place in (np.flatnonzero(likely) + low).tolist():
            self._looked += 1
            try:
                if self._good(data, place, last):
                    return int(place)
            except Incomplete as need:
                raise Incomplete(int(place), need.need) from None
        return None


def _lengths(first: int, second: int) -> str:
    return f"it says at its beginning that it is {first} bytes long, at its end {second}"


def _byte_order(magic: bytes) -> str | None:
    return {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)
