"""What opens the records of one direction: its keys, and the number of the next record.

Behind a loss the number is found by trying (:data:`TRIES`): the records that open only under the right number tell how
many are missing. Where all of a cipher's records grow by the same amount, that tells how many plain bytes are missing.

TLS 1.3 has keys that follow each other, an :class:`Epoch` each. The change is told by messages; where those are lost,
or the secret that opens them is not known, the first record that opens under the next keys tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dissector.transport.tls.records import HEADER, MOST, Record

if TYPE_CHECKING:
    from dissector.transport.tls.ciphers import Opener

__all__ = ["Epoch", "Lock", "Opened", "Tries"]

TRIES = 4096
"""Records that may be missing at one place for their number to be found."""
ALL_TRIES = 20_000
"""Such tries in a row without success: each costs 3 to 30 µs, and only who has the keys can make one succeed."""
TRIES_OF_A_PASS = 2_000_000
"""Such tries of all connections, successful or not: who has the keys may make each record cost 4096 (10 s in all)."""


@dataclass(slots=True)
class Tries:
    """How many more records all connections of a pass may try."""

    left: int = TRIES_OF_A_PASS


@dataclass(slots=True)
class Epoch:
    """Keys of TLS 1.3: early, handshake, application and what follows by key updates. ``opener`` is None where the
    secret is not known."""

    name: str
    opener: Opener | None = None
    secret: bytes | None = None


class Opened(NamedTuple):
    """An opened record: content type, plain bytes, where they lie in the stream, and what is missing before it: bytes
    of the stream (0: nothing), records, plain bytes (None: not known)."""

    type: int
    plain: bytes
    start: int
    lost: int
    records: int
    size: int | None


class Lock:
    """The keys of one direction.

    Args:
        update: makes the epoch behind one, for key updates.
        shared: how often all connections may try.

    Attributes:
        good: stream offset behind the last record that was read or opened.
        epochs: of TLS 1.3; empty before.
        epoch: index of the present one.
        opener: of a version before.
    """

    def __init__(self, update: Callable[[Epoch], Epoch], shared: Tries) -> None:
        self.good = 0
        self.epochs: list[Epoch] = []
        self.epoch = 0
        self.opener: Opener | None = None
        self._update = update
        self._seq = 0
        self._tries = ALL_TRIES
        self._shared = shared
        self._seen = 0
        """Stream offset behind the last record that the opener saw."""

    @property
    def held(self) -> int:
        """Bytes kept of a key stream."""
        return 0 if self.opener is None else self.opener.held

    # -- up to TLS 1.2 -----------------------------------------------------------------------------------------------

    def first(self, openers: Iterable[Opener], record: Record, *, damaged: bool) -> Opened | None:
        """Open the first record under new keys: the opener that does it is the right one."""
        for opener in openers:
            found = opener.open(record.type, record.version, record.fragment, 0)
            missing = 0
            if found is None and damaged:
                opener.interrupted()
                behind = self._find(opener, record, 0, 1)
                if behind is not None:
                    missing, found = behind
            if found is not None:
                self.opener = opener
                self._seq = 0
                self._seen = record.end
                return self._take(opener, record, missing, found)
        return None

    def open(self, record: Record) -> Opened | None:
        """Open a record; None where it does not open."""
        if self.epochs:
            return self._open13(record)
        opener = self.opener
        if opener is None:
            return None
        if record.offset != self._seen:
            opener.interrupted()
        self._seen = record.end
        found = opener.open(record.type, record.version, record.fragment, self._seq)
        missing = 0
        if found is None and record.offset > self.good:
            behind = self._find(opener, record, self._seq, 1)
            if behind is not None:
                missing, found = behind
        if found is None:
            opener.passed(record.fragment)
            return None
        return self._take(opener, record, missing, found)

    # -- TLS 1.3 -----------------------------------------------------------------------------------------------------

    def begin(self, epochs: list[Epoch]) -> None:
        """The keys, as far as they are known, in their order."""
        self.epochs = epochs
        self.epoch = self._seq = 0

    @property
    def known(self) -> bool:
        """Any of the epochs can be opened."""
        return any(epoch.opener is not None for epoch in self.epochs)

    @property
    def carries(self) -> bool:
        """The present keys are those of application data."""
        return bool(self.epochs) and self.epochs[self.epoch].name == "application"

    def next_epoch(self) -> None:
        """The sender said that its next records are under the next keys."""
        if self.epoch + 1 < len(self.epochs):
            self._enter(self.epoch + 1)

    def update(self) -> None:
        """The sender said that it updates its keys."""
        self.epochs[self.epoch + 1 :] = [self._update(self.epochs[self.epoch])]
        self._enter(self.epoch + 1)

    def _enter(self, index: int) -> None:
        # Those before are not needed any more; a long connection may update a thousand times.
        del self.epochs[:index]
        self.epoch = self._seq = 0

    def _open13(self, record: Record) -> Opened | None:
        candidates = list(self.epochs)
        last = candidates[-1]
        if record.offset > self.good and len(candidates) == 1 and last.secret is not None:
            # A key update may have been among what is lost.
            candidates.append(self._update(last))
        for index, epoch in enumerate(candidates):
            opener = epoch.opener
            if opener is None:
                continue
            seq = 0 if index else self._seq
            found = opener.open(record.type, record.version, record.fragment, seq)
            missing = 0
            if found is None and record.offset > self.good:
                behind = self._find(opener, record, seq, 0 if index else 1)
                if behind is not None:
                    missing, found = behind
            if found is not None:
                if index:
                    self.epochs = candidates
                    self._enter(index)
                return self._take(opener, record, missing, found)
        return None

    # -- numbers -----------------------------------------------------------------------------------------------------

    def _find(self, opener: Opener, record: Record, seq: int, least: int) -> tuple[int, tuple[int, bytes]] | None:
        """Open a record behind a loss by trying how many records are missing."""
        lost = record.offset - self.good
        low = max(least, -(-lost // (HEADER + MOST)) if least else 0)
        high = min(lost // (HEADER + opener.least), low + TRIES)
        if high < low or self._tries <= 0 or self._shared.left <= 0:
            return None
        self._tries -= high - low + 1
        found = opener.find(record.type, record.version, record.fragment, seq, lost, range(low, high + 1))
        self._shared.left -= (high if found is None else found[0]) - low + 1
        if found is not None:
            self._tries = ALL_TRIES
        return found

    def _take(self, opener: Opener, record: Record, missing: int, found: tuple[int, bytes]) -> Opened:
        self._seq += missing + 1
        lost = record.offset - self.good
        self.good = record.end
        size = None if opener.overhead is None else max(lost - missing * (HEADER + opener.overhead), 0)
        return Opened(found[0], found[1], record.offset + HEADER + opener.lead, lost, missing, size)
