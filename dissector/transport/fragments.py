"""IP fragments put together again, with the frames that each byte came from.

RFC 791 (3.2) and RFC 8200 (4.5). Of bytes that come twice the first copy wins; a copy that differs is a finding.
A fragment that the capture length cut keeps its place, but the datagram ends for us where the first cut byte is
missing. Memory is bounded: the oldest datagram is given up first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

from dissector.base.findings import Finding, rule
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.transport.tally import Tally

__all__ = ["FragmentTable", "Piece", "Rebuilt", "cut_pieces"]

Piece = tuple[int, int, int, int]
"""Start in the rebuilt bytes, frame, start in the frame, length."""

INCOMPLETE = rule(
    "ip.fragments-missing", "warn", "IP datagrams of which fragments are missing were given up", "RFC 8200 4.5"
)
GIVEN_UP = rule(
    "ip.fragments-limit", "warn", "IP datagrams were given up since too many were incomplete at once", "RFC 8200 4.5"
)
OVERLAP = rule(
    "ip.fragment-overlap",
    "warn",
    "IP fragments overlap and their bytes differ; the first copy was taken",
    "RFC 1858 3, RFC 5722 4",
)

LARGEST = 65535
"""Bytes of the largest datagram."""

TIME_LIMIT = 60_000_000_000
"""Nanoseconds after the first fragment until a datagram is given up (RFC 8200, 4.5: 60 seconds). Identifications
are used again, so fragments of long ago must not be joined to new ones."""

_OVERHEAD = 200
"""Bytes counted for the bookkeeping of one fragment, so that many tiny ones are bounded too."""


@dataclass(slots=True)
class Rebuilt:
    """A datagram put together.

    Attributes:
        protocol: what it begins with, as its first fragment says.
        data: its bytes from the first on, up to the first that the capture length cut away.
        size: the bytes it had.
        pieces: where the bytes of ``data`` came from, in order, starts counted from 0.
    """

    protocol: int
    data: bytes
    size: int
    pieces: list[Piece]


@dataclass(slots=True)
class _Part:
    """Bytes of one fragment: ``start`` and ``end`` in the datagram, fewer ``data`` where it was cut."""

    start: int
    end: int
    data: bytes
    pieces: list[Piece]


@dataclass(slots=True)
class _Pending:
    """A datagram under reassembly. ``parts`` do not overlap and are in order of ``start``."""

    frame: int
    time: int
    protocol: int = -1
    size: int = -1
    covered: int = 0
    held: int = 0
    starts: list[int] = field(default_factory=list)
    parts: list[_Part] = field(default_factory=list)


def cut_pieces(pieces: list[Piece], start: int, end: int) -> list[Piece]:
    """The pieces that hold the bytes start..end, with starts counted from ``start``."""
    found = []
    for at, frame, inside, length in pieces:
        low, high = max(at, start), min(at + length, end)
        if high > low:
            found.append((low - start, frame, inside + low - at, high - low))
    return found


class FragmentTable:
    """The datagrams under reassembly.

    Args:
        findings: where findings go.
        limits: ``fragments`` and ``fragment_bytes`` bound it.
    """

    def __init__(self, findings: list[Finding], limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._pending: OrderedDict[bytes, _Pending] = OrderedDict()
        self._held = 0
        self._incomplete = Tally(
            findings, INCOMPLETE, lambda n: f"{n} IP datagrams lack fragments and could not be put together"
        )
        self._given_up = Tally(
            findings, GIVEN_UP, lambda n: f"{n} incomplete IP datagrams were given up, too many at once"
        )
        self._overlap = Tally(
            findings, OVERLAP, lambda n: f"{n} IP fragments overlap earlier ones with other bytes; the first were taken"
        )

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def held(self) -> int:
        """Bytes counted for the datagrams under reassembly."""
        return self._held

    def add(
        self,
        key: bytes,
        protocol: int,
        offset: int,
        more: bool,
        data: bytes,
        wire: int,
        pieces: list[Piece],
        frame: int,
        time: int,
    ) -> Rebuilt | None:
        """Take one fragment.

        Args:
            key: names the datagram.
            protocol: what the datagram begins with, as this fragment says.
            offset: bytes before it.
            more: others follow.
            data: its bytes, as far as captured.
            wire: bytes it had.
            pieces: where its bytes came from.
            frame, time: of the fragment.

        Returns:
            The datagram, if this fragment completed it.
        """
        self._expire(time)
        if offset + wire > LARGEST:
            return None
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(frame, time)
        if offset == 0 and pending.protocol < 0:
            pending.protocol = protocol
        if not more and pending.size < 0:
            pending.size = offset + wire
            self._clip(pending)
        stop = offset + wire if pending.size < 0 else min(offset + wire, pending.size)
        if stop > offset:
            self._insert(pending, _Part(offset, stop, data[: stop - offset], pieces), frame)
        if pending.covered == pending.size and pending.protocol >= 0:
            self._forget(key, pending)
            return self._join(pending)
        self._bound()
        return None

    def finish(self) -> None:
        """The capture ended: what is still incomplete becomes a finding."""
        for pending in self._pending.values():
            self._incomplete.add(pending.frame)
        self._pending.clear()
        self._held = 0

    def _insert(self, pending: _Pending, part: _Part, frame: int) -> None:
        """Put in what of the part is not there yet."""
        at = max(bisect_right(pending.starts, part.start) - 1, 0)
        low = part.start
        differs = False
        while low < part.end:
            there = pending.parts[at] if at < len(pending.parts) else None
            if there is not None and there.end <= low:
                at += 1
            elif there is not None and there.start <= low:
                high = min(there.end, part.end)
                old, new = (p.data[low - p.start : max(high - p.start, 0)] for p in (there, part))
                common = min(len(old), len(new))
                differs = differs or old[:common] != new[:common]
                low = high
            else:
                high = part.end if there is None else min(there.start, part.end)
                skip = low - part.start
                whole = low == part.start and high == part.end
                fresh = (
                    part
                    if whole
                    else _Part(
                        low,
                        high,
                        part.data[skip : high - part.start],
                        cut_pieces(part.pieces, skip, high - part.start),
                    )
                )
                pending.starts.insert(at, low)
                pending.parts.insert(at, fresh)
                pending.covered += high - low
                size = len(fresh.data) + _OVERHEAD
                pending.held += size
                self._held += size
                low = high
                at += 1
        if differs:
            self._overlap.add(frame)

    @staticmethod
    def _clip(pending: _Pending) -> None:
        """The size became known: bytes behind it are none of the datagram's."""
        while pending.parts and pending.parts[-1].end > pending.size:
            last = pending.parts[-1]
            if last.start < pending.size:
                pending.covered -= last.end - pending.size
                last.end = pending.size
                last.data = last.data[: last.end - last.start]
                return
            pending.covered -= last.end - last.start
            pending.parts.pop()
            pending.starts.pop()

    @staticmethod
    def _join(pending: _Pending) -> Rebuilt:
        """The datagram, as far as it was captured."""
        chunks: list[bytes] = []
        pieces: list[Piece] = []
        for part in pending.parts:
            chunks.append(part.data)
            pieces.extend(
                (part.start + at, frame, inside, length)
                for at, frame, inside, length in cut_pieces(part.pieces, 0, len(part.data))
            )
            if len(part.data) < part.end - part.start:
                break
        return Rebuilt(pending.protocol, b"".join(chunks), pending.size, pieces)

    def _forget(self, key: bytes, pending: _Pending) -> None:
        del self._pending[key]
        self._held -= pending.held

    def _expire(self, now: int) -> None:
        while self._pending:
            key, oldest = next(iter(self._pending.items()))
            if now - oldest.time <= TIME_LIMIT:
                return
            self._forget(key, oldest)
            self._incomplete.add(oldest.frame)

    def _bound(self) -> None:
        while len(self._pending) > self._limits.fragments or self._held > self._limits.fragment_bytes:
            key, oldest = next(iter(self._pending.items()))
            self._forget(key, oldest)
            self._given_up.add(oldest.frame)
