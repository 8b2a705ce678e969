"""Reads pcap files: draft-ietf-opsawg-pcap, and the variants that libpcap reads.

Variants, by magic number (each in both byte orders): microseconds, nanoseconds, the records with eight further bytes
of A. Kuznetsov's patched libpcap, Ixia's "lcap" of hardware and software (four further bytes in the file header),
Navtel's nanoseconds. By version: before 2.3, and in 543.0 (DG/UX), the two lengths of a record are interchanged; in
2.3 some files have them so, told by the captured length being above the original one. Versions that do not exist are
read as 2.4, with a finding.

A record is believed unless that makes no sense: see :meth:`PcapReader._nonsense`.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dissector.base.findings import Severity, rule
from dissector.base.limits import Limits
from dissector.capture.linktypes import link_name
from dissector.capture.model import Block, Interface, SourceInfo
from dissector.capture.records import Incomplete, Lost, RecordReader, Stop, Unstartable
from dissector.capture.walk import Chain, gather

__all__ = ["PCAP_MAGICS", "PcapReader"]

I64 = npt.NDArray[np.int64]

VERSION = rule("pcap.version", Severity.WARN, "A version of the pcap format that does not exist")

MAX_STANDARD_SNAPLEN = 262144
"""The capture length that tcpdump and Wireshark use for "everything"; records may have it whatever the file says."""
_MAX_WIRE = 128 << 20
_MONTH = 30 * 86400
_WHOLE = 1 << 30


@dataclass(frozen=True, slots=True)
class _Variant:
    name: str
    nanoseconds: bool = False
    head: int = 24
    record: int = 16


_VARIANTS = {
    0xA1B2C3D4: _Variant("microseconds"),
    0xA1B23C4D: _Variant("nanoseconds", nanoseconds=True),
    0xA1B2CD34: _Variant("microseconds, Kuznetsov's variant", record=24),
    0xA12B3C4D: _Variant("nanoseconds, Navtel's variant", nanoseconds=True),
    0x1C0001AC: _Variant("nanoseconds, Ixia's hardware variant", nanoseconds=True, head=28),
    0x1C0001AB: _Variant("microseconds, Ixia's software variant", head=28),
}

PCAP_MAGICS = {
    magic.to_bytes(4, "little" if order == "<" else "big"): (magic, order) for magic in _VARIANTS for order in "<>"
}
"""First four bytes of a pcap file → (magic number, byte order)."""


class PcapReader(RecordReader):
    """Reads one pcap file."""

    def __init__(self, info: SourceInfo, interfaces: list[Interface], limits: Limits) -> None:
        super().__init__(info, interfaces, limits)
        self._interface = 0
        self._unit = 1000
        self._magic = 0
        self._swap = ""
        self._max_caplen = 0
        self._last_second: int | None = None

    @staticmethod
    def head_size(data: bytes) -> int:
        """Bytes of the file header, told from the magic number."""
        magic, _ = PCAP_MAGICS[data[:4]]
        return _VARIANTS[magic].head

    def start(self, data: bytes) -> None:
        """Read the file header.

        Raises:
            Unstartable: the file ends inside it.
        """
        self._magic, order = PCAP_MAGICS[data[:4]]
        variant = _VARIANTS[self._magic]
        if len(data) < variant.head:
            raise Unstartable(f"the file ends after {len(data)} of the {variant.head} bytes of the pcap file header")
        major, minor, _, _, snaplen, network = struct.unpack_from(order + "HHiIII", data, 4)
        if (major, minor) != (543, 0) and not (major == 2 and minor <= 4):
            self._add(VERSION(f"The file says it is pcap {major}.{minor}; it was read as 2.4", offset=4))
        elif major == 543 or minor < 3:
            self._swap = "always"
        elif minor == 3:
            self._swap = "larger"
        # Upper bits of the link type: length of the frame check sequence, and reserved (pcap draft, section 4).
        link_type = network & 0xFFFF
        self._interface = len(self.interfaces)
        self.interfaces.append(Interface(self._interface, link_type, snaplen, 9 if variant.nanoseconds else 6))
        self._unit = 1 if variant.nanoseconds else 1000
        self._max_caplen = min(self.limits.record, max(MAX_STANDARD_SNAPLEN, snaplen))
        self._order = order
        self._header = variant.record
        self._head = struct.Struct(order + "IIII").unpack_from
        self._chain = Chain(
            order,
            header=variant.record,
            length_at=12 if self._swap == "always" else 8,
            extra=variant.record,
            pattern=self._pattern,
            plausible=self._entry,
        )
        self.container = f"pcap {'little' if order == '<' else 'big'}-endian {variant.name}"
        self.used = self.base = variant.head
        self._stride = _WHOLE

    def __str__(self) -> str:
        return f"{self.container}, {link_name(self.interfaces[self._interface].link_type)}"

    # -- records ------------------------------------------------------------------------------------------------

    def _records(self, data: bytes, at: int, last: bool) -> Generator[Block, None, Stop]:
        header = self._header
        while at < len(data):
            if self._swap == "larger":
                places = self._walk_2_3(data, at)
            else:
                places = self._chain.walk(data, at, self._stride)
            self._stride *= 8
            if not len(places):
                return Incomplete(at, header)
            words = gather(data, places, 16, self._order).astype(np.int64)
            caplen, wirelen = words[:, 2], words[:, 3]
            if self._swap == "always":
                caplen, wirelen = wirelen, caplen
            elif self._swap == "larger":
                caplen, wirelen = np.minimum(caplen, wirelen), np.maximum(caplen, wirelen)
            bad, why = self._nonsense(words[:, 0], words[:, 1], caplen, wirelen)
            count = len(places) if bad is None else bad
            stop: Stop = None
            if bad is not None:
                stop = Lost(int(places[bad]), why)
            else:
                at = int(places[-1]) + header + int(caplen[-1])
                if at > len(data):
                    count -= 1
                    stop = Incomplete(int(places[-1]), header + int(caplen[-1]))
            if count:
                self._last_second = int(words[count - 1, 0])
                yield self._block(
                    data,
                    places[:count] + header,
                    np.ascontiguousarray(caplen[:count]),
                    np.ascontiguousarray(wirelen[:count]),
                    words[:count, 0] * 1_000_000_000 + words[:count, 1] * self._unit,
                    np.full(count, self._interface, np.int64),
                )
            if stop is not None:
                return stop
        return None

    def _walk_2_3(self, data: bytes, at: int) -> I64:
        """The walk where each record says by its own lengths which is which."""
        places = []
        while at + self._header <= len(data):
            places.append(at)
            _, _, one, other = self._head(data, at)
            at += self._header + min(one, other)
        return np.array(places, np.int64)

    def _nonsense(self, seconds: I64, fraction: I64, caplen: I64, wirelen: I64) -> tuple[int | None, str]:
        """The first record that makes no sense, and why.

        That is one that is longer than any can be; or with two oddities that some writers leave, but never in one
        record (a fraction of a second that is more than one, more bytes captured than there were, a size on the wire
        that no link has); or an empty one without time (zeros in a hole of the file) or that repeats the magic
        number (the header of a file that was appended).
        """
        too_long = caplen > self._max_caplen
        short_wire = wirelen < caplen
        odd = (fraction >= 1_000_000_000 // self._unit).view(np.int8) + short_wire + (wirelen > _MAX_WIRE)
        bad = too_long | (odd > 1)
        empty = wirelen == 0
        if empty.any():
            hollow = (seconds == 0) & (fraction == 0) | (seconds == self._magic)
            bad |= empty & (caplen == 0) & hollow
        if not bad.any():
            return None, ""
        first = int(np.argmax(bad))
        if too_long[first]:
            return first, f"it says that {int(caplen[first])} bytes were captured, at most {self._max_caplen} can be"
        if odd[first] > 1:
            return first, (
                f"it says {int(caplen[first])} bytes captured of {int(wirelen[first])}, "
                f"fraction of a second {int(fraction[first])}"
            )
        return first, "zeros" if not seconds[first] else "a second file header"

    # -- finding some record ------------------------------------------------------------------------------------

    def _pattern(self, data: bytes, at: int) -> tuple[bytes, int]:
        # The upper half of the seconds stays the same for 18 hours.
        offset = 2 if self._order == "<" else 0
        return data[at + offset : at + offset + 2], offset

    def _entry(self, data: bytes, at: int, pattern: bytes) -> bool:
        if at + 16 > len(data):
            return False
        _, fraction, caplen, wirelen = self._head(data, at)
        if self._swap == "always":
            caplen, wirelen = wirelen, caplen
        if not caplen <= wirelen <= self._max_caplen or fraction * self._unit >= 1_000_000_000:
            return False
        at += self._header + caplen + (2 if self._order == "<" else 0)
        return data[at : at + 2] == pattern

    def _strict(self, data: bytes, at: int, after: int | None) -> int:
        """Bytes of the record at a place if it looks good in every respect, 0 where not."""
        seconds, fraction, caplen, wirelen = self._head(data, at)
        if self._swap and caplen > wirelen:
            caplen, wirelen = wirelen, caplen
        good = (
            0 < caplen <= min(wirelen, self._max_caplen)
            and wirelen <= _MAX_WIRE
            and fraction * self._unit < 1_000_000_000
            and (after is None or abs(seconds - after) < _MONTH)
        )
        return self._header + caplen if good else 0

    def _search(self, data: bytes, low: int, high: int, last: bool) -> int | None:
        # One comparison for each byte keeps few places: in noise one of 16,000, in zeros and in text none.
        length_at = 12 if self._swap == "always" else 8
        lengths = np.ndarray((high - low,), self._order + "u4", data, offset=low + length_at, strides=(1,))
        places = np.flatnonzero(lengths.astype(np.uint32) - np.uint32(1) < self._max_caplen) + low
        # Another for the fraction of a second keeps one of 4,000 of those.
        places = places[gather(data, places, 8, self._order)[:, 1] < 1_000_000_000 // self._unit]
        for place in places.tolist():
            self._looked += 1
            if self._goes_on(data, place, last):
                return int(place)
        return None

    def _goes_on(self, data: bytes, place: int, last: bool) -> bool:
        """Whether two records in a row begin at a place, or one that the file ends with.

        One header that looks good in every respect is found in noise once in 10**12 bytes, or 10**9 where no time is
        known yet; two never.
        """
        at = place
        after = self._last_second
        for _ in range(2):
            if at == len(data) and last and at > place:
                return True
            if at + 16 > len(data):
                if last:
                    return False
                raise Incomplete(place, at + 16 - place)
            size = self._strict(data, at, after)
            if not size:
                return False
            after = self._head(data, at)[0]
            at += size
        return True
