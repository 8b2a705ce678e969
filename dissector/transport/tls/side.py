"""One direction of a TLS connection: its records are opened, and what they carried goes on as a stream of its own.

It takes runs, gaps and the end from the reassembly and gives the same to an inner consumer, so that whoever reads plain
streams reads these too.

What a record needs may come later: the ServerHello, the ClientKeyExchange, a key log line of a live capture. Then this
and the following records wait, up to ``Limits.tls_waiting`` bytes; beyond that they are counted and not opened.

A lost record is a gap; decoding goes on behind it (see :mod:`~dissector.transport.tls.lock`).
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import TYPE_CHECKING

from dissector.base.origin import FrameMap, Gap, StreamRef
from dissector.transport.model import Run, StreamEnd
from dissector.transport.tls.handshake import MessageReader
from dissector.transport.tls.lock import Epoch, Lock, Opened
from dissector.transport.tls.model import Talk
from dissector.transport.tls.names import Content
from dissector.transport.tls.plain import PlainStream
from dissector.transport.tls.records import HEADER, HELLO, SSL2_HELLO, Lost, Record, RecordReader, hello_begins
from dissector.transport.tls.rules import NOT_TLS

if TYPE_CHECKING:
    from dissector.transport.tls.connection import TlsConnection
    from dissector.transport.tls.keyring import Handshake

__all__ = ["Side", "State"]

SHARED = 64 << 20
"""Bytes that wait for keys in all connections together."""
LINE = 100
"""Bytes kept of the beginning, to show it where it is no TLS."""
SIDE = 4000
"""Bytes that one takes as objects."""
FAILURES = 3
"""Records that do not open, before any did: then the keys are wrong."""
INFLATED = (1 << 14) + 1024
"""Plain bytes of one compressed record (RFC 3749 2)."""


class State(Enum):
    """Where a direction stands."""

    PLAIN = auto()
    """Nothing is encrypted yet."""
    PENDING = auto()
    """It changed to keys that the next record will show to be right."""
    OPEN = auto()
    SHUT = auto()
    """Records are counted and not opened."""
    DEAD = auto()
    """It is not TLS, or cannot be read."""


class Side:
    """One direction; a :class:`~dissector.transport.model.StreamConsumer`.

    Args:
        connection: knows keys, handshake and facts.
        stream: the direction.

    Attributes:
        consumed: stream offset below which frames are no longer needed.
        client: it is the client's; None until a hello tells.
        start: its first bytes, at most :data:`LINE`; b"" where they are not in the capture.
        start_frame: the frame that carried the first one.
        joined: whether it begins with them is not known: its beginning was not captured.
        other: the other direction, where there is one.
    """

    def __init__(self, connection: TlsConnection, stream: StreamRef) -> None:
        self.consumed = 0
        self.stream = stream
        self.client: bool | None = None
        self.other: Side | None = None
        self.state = State.PLAIN
        self.plain = PlainStream()
        self.talk = Talk()
        self.messages = MessageReader()
        self.handshake: Handshake | None = None
        """The latest that this side said a hello for."""
        self.lock = Lock(lambda epoch: connection.updated(self, epoch), connection.shared.tries)
        self.frames = FrameMap()
        self.ended = False
        self.damaged = False
        """Something was lost: keys may have changed unseen."""
        self._connection = connection
        self._records = RecordReader()
        self._failures = 0
        self._lost_behind = 0
        """The frame before what is lost."""
        self._held: deque[Record | Lost] = deque()
        self._held_bytes = 0
        self._inflate: zlib._Decompress | None = None
        self._closed = False
        self.start = b""
        self.start_frame = 0
        self.joined = False
        self._starting = True
        """The first bytes are still coming."""
        self._last_frame = 0
        self._last_time = 0
        self._end: tuple[StreamEnd, int, int] | None = None

    # -- what the reassembly calls -----------------------------------------------------------------------------------

    def data(self, run: Run) -> None:
        """The next bytes."""
        self.frames = run.frames
        self.plain.released = max(self.plain.released, run.released)
        if self._starting:
            self.start_frame = self.start_frame or run.frames.carrier(run.offset)[0]
            self.start += bytes(run.data[: LINE - len(self.start)])
            self._starting = len(self.start) < LINE
        if self.state is State.DEAD:
            self.consumed = run.offset + len(run.data)
            return
        self._take(self._records.feed(run.data, run.offset))

    def gap(self, gap: Gap) -> None:
        """Bytes that the capture does not hold."""
        self._starting = self._starting and not gap.length
        self.joined = self.joined or gap.reason == "start"
        self.talk.cut = self.talk.cut or gap.reason == "cut"
        self.plain.released = max(self.plain.released, gap.released)
        if self.state is not State.DEAD:
            self._take(self._records.gap(gap))

    def end(self, how: StreamEnd, frame: int, time: int) -> None:
        """No more bytes."""
        if self.state is not State.DEAD:
            self._take(self._records.end())
        self._end = (how, frame, time)
        self._last_time = time
        self.ended = True
        self.talk.end, self.talk.end_frame, self.talk.end_time = how, frame, time
        if not self._held:
            self._end_plain()
        self._connection.progress()

    # -- records in order --------------------------------------------------------------------------------------------

    def _take(self, items: Iterable[Record | Lost]) -> None:
        for item in items:
            if not self._held and self._read(item):
                continue
            if isinstance(item, Record):
                # A copy: a view would keep the whole block of the capture in memory.
                item = item._replace(fragment=bytes(item.fragment))
                self._held_bytes += len(item.fragment)
                self._connection.shared.waiting += len(item.fragment)
            self._held.append(item)
            if not self._may_wait():
                self.drain(force=True)
        fresh = self.handshake is None and self.state is State.PLAIN and not self.damaged
        if fresh and not self.messages.under_way and not hello_begins(self._records.begun):
            # Much else begins like a record; it is let go before a whole one of it is there.
            self.drop(self._records.at)
        self.plain.flush()
        self.consumed = self._needed()
        self._connection.progress()

    def _may_wait(self) -> bool:
        limit = self._connection.limits.tls_waiting
        return self._held_bytes <= limit and self._connection.shared.waiting <= SHARED

    def _needed(self) -> int:
        if self._held:
            first = self._held[0]
            return first.offset if isinstance(first, Record) else first.start
        return self._records.at

    @property
    def held(self) -> int:
        """Bytes kept: of records and messages that wait or are not whole, of a key stream, by the inner consumer, and
        by what a side is made of."""
        inner = int(getattr(self.plain.consumer, "held", 0))
        return SIDE + self._held_bytes + self._records.held + self.messages.held + self.lock.held + inner

    @property
    def waits(self) -> bool:
        """Records are held."""
        return bool(self._held)

    def drain(self, *, force: bool = False) -> bool:
        """Read what is held as far as that is possible now; ``force``: what still lacks keys is given up.

        Returns:
            Whether anything was read.
        """
        some = False
        while self._held:
            if not self._read(self._held[0]):
                if not force:
                    break
                self.shut()
                continue
            some = True
            item = self._held.popleft()
            if isinstance(item, Record):
                self._held_bytes -= len(item.fragment)
                self._connection.shared.waiting -= len(item.fragment)
        if some:
            self.plain.flush()
            self.consumed = self._needed()
        return some

    def finish(self) -> None:
        """Both sides are over, or wait in vain: what is held is read or given up, and the inner stream ends."""
        self.drain(force=True)
        self._end_plain()
        # A connection's parts know each other, so it goes only when the collector comes by: not with all that it held.
        self._records.forget()
        self.messages.clear()

    def _end_plain(self) -> None:
        if self._end is None:
            return
        how, frame, time = self._end
        self._end = None
        # A side that said close_notify has said all (RFC 8446 6.1), however TCP ended.
        self.plain.end(StreamEnd.FIN if self._closed else how, frame, time)

    # -- one record --------------------------------------------------------------------------------------------------

    def _read(self, item: Record | Lost) -> bool:
        """Read one item; False where it has to wait."""
        if isinstance(item, Lost):
            self._lose(item)
            return True
        state = self.state
        if state is State.PLAIN:
            done = self._read_plain(item)
        elif state is State.OPEN:
            done = self._read_open(item)
        elif state is State.PENDING:
            done = self._read_pending(item)
        else:
            self._count(item, None)
            done = True
        if done and self.state in (State.PLAIN, State.SHUT):
            self.lock.good = item.end
        return done

    def _place(self, record: Record) -> tuple[int, int]:
        """Frame and time at which the record became whole."""
        self._last_frame, self._last_time = place = self.frames.carrier(record.end - 1)
        return place

    def _count(self, record: Record, inner: int | None) -> None:
        self._connection.counted(self, record, inner, *self._place(record))

    def _read_plain(self, record: Record) -> bool:
        type = record.type
        connection = self._connection
        if type in (Content.HANDSHAKE, SSL2_HELLO):
            if self.damaged and self._opens_unseen(record):
                return True
            if self.handshake is None and not self.messages.under_way and not _hello(record, behind_loss=self.damaged):
                self._count(record, None)
                if not self.damaged:
                    self.drop(record.offset)
                return True
            self._count(record, type)
            if type == SSL2_HELLO:
                connection.negotiation.ssl2(self, record)
            else:
                self._shake(record.fragment)
        elif type == Content.CHANGE_CIPHER_SPEC:
            change = connection.change(self)
            if change is None:
                return False
            self._count(record, type)
            if change:
                self._pend(record)
        elif type == Content.ALERT:
            self._count(record, type)
            self._alert(bytes(record.fragment), sealed=False)
        elif type == Content.DATA:
            begun = connection.begin13(self)
            if begun is None:
                return False
            if begun:
                if not self.damaged:
                    self.lock.good = record.offset
                return self._read_open(record)
            if self.damaged and self._opens_unseen(record):
                return True
            if self.state is State.PLAIN:
                self.shut()
            self._count(record, None)
        else:
            self._count(record, None)
        return True

    def _opens_unseen(self, record: Record) -> bool:
        """Behind a loss: the change of keys may have been among what is lost."""
        if record.type == SSL2_HELLO or not self._connection.change(self):
            return False
        openers = self._connection.openers(self)
        found = self.lock.first(openers, record, damaged=True) if openers else None
        if found is None:
            return False
        self.messages.clear()
        self._begun(record, found)
        return True

    def _pend(self, record: Record) -> None:
        """The records behind this one are under new keys."""
        self.state = State.PENDING
        self.lock.good = record.end
        self.messages.clear()

    def _read_pending(self, record: Record) -> bool:
        """The first record under new keys: the keys that open it are the right ones."""
        connection = self._connection
        openers = connection.openers(self)
        if openers is None:
            return False
        found = self.lock.first(openers, record, damaged=self.damaged)
        if found is not None:
            self._begun(record, found)
            return True
        self.talk.finished = self.talk.finished or record.type == Content.HANDSHAKE
        if openers and self.damaged and self._failures < FAILURES:
            # Keys of old open a record only where the end of the one before is there.
            self._failures += 1
            for opener in openers:
                opener.passed(record.fragment)
            self._count(record, None)
            return True
        self.shut()
        self._count(record, None)
        if openers:
            connection.wrong_keys(self, self._last_frame)
        return True

    def _begun(self, record: Record, found: Opened) -> None:
        self.state = State.OPEN
        self.talk.finished = True
        self._inflate = zlib.decompressobj() if self._connection.compressed(self) else None
        self._connection.verified(self)
        # What was lost before was no application data.
        self._opened(record, found._replace(lost=0) if record.type == Content.HANDSHAKE else found)

    def _read_open(self, record: Record) -> bool:
        if self.lock.epochs:
            if record.type != Content.DATA:
                # ChangeCipherSpec for the sake of boxes in the middle (RFC 8446 D.4), or an alert before the keys.
                self._count(record, record.type)
                if record.type == Content.ALERT:
                    self._alert(bytes(record.fragment), sealed=False)
                if self.lock.good == record.offset:
                    self.lock.good = record.end
                return True
            if self._connection.wait13(self):
                return False
        found = self.lock.open(record)
        if found is None:
            self._not_opened(record)
        else:
            self._opened(record, found)
        return True

    def _not_opened(self, record: Record) -> None:
        """A record that no key opens counts as lost."""
        connection = self._connection
        self._count(record, None)
        if self.lock.epochs and not self.talk.opened and connection.early_rejected(self):
            # The client's early data, which the server did not read either: its keys are not asked for.
            self.lock.good = record.end
            return
        self._failures += 1
        if self.talk.opened:
            self.damaged = True
            self.talk.lost += self._failures == 1
            if self._failures == FAILURES:
                connection.not_opened(self, self._last_frame, record.offset)
            return
        self.lock.good = record.end
        if not self.lock.known:
            self.shut()
        elif self._failures >= FAILURES:
            connection.wrong_keys(self, self._last_frame)
            self.shut()

    def _lose(self, item: Lost) -> None:
        self.damaged = True
        self.talk.lost += 1
        self.messages.clear()
        self._lost_behind = self._lost_behind or self._last_frame
        if self.state is State.PLAIN and self.handshake is None:
            self.lock.good = item.end

    # -- what records hold -------------------------------------------------------------------------------------------

    def _opened(self, record: Record, found: Opened) -> None:
        before = self._lost_behind or self._last_frame
        self._failures = 0
        self._lost_behind = 0
        type, plain = found.type, found.plain
        if self.lock.carries:
            self.talk.finished = True
        self._count(record, type)
        if found.lost and self.talk.opened and self.talk.finished:
            self.plain.lose(found.size, before)
            self._connection.lost(self, found, before, self._last_frame)
        self.talk.opened = True
        start: int | None = found.start
        if self._inflate is not None:
            try:
                plain = self._inflate.decompress(plain, INFLATED)
                start = None
            except zlib.error:
                self.shut()
                return
        if type == Content.DATA:
            if plain:
                self.talk.plain += len(plain)
                if self.plain.consumer is None:
                    self._connection.open_inner()
                self.plain.add(plain, self.frames, start, self._last_frame, self._last_time)
        elif type == Content.HANDSHAKE:
            self._shake(plain)
        elif type == Content.ALERT:
            self._alert(plain, sealed=True)
        elif type == Content.CHANGE_CIPHER_SPEC and not self.lock.epochs:
            self._pend(record)

    def _shake(self, fragment: bytes | memoryview) -> None:
        for type, message in self.messages.feed(fragment):
            self._connection.negotiation.message(self, type, message, self._last_frame, self._last_time)
            if self.state is State.DEAD:
                return
        if self.messages.broken:
            self._connection.negotiation.bad_message(self, self._last_frame)

    def _alert(self, plain: bytes, *, sealed: bool) -> None:
        if len(plain) == 2:
            self._connection.alert(self, plain[0], plain[1], self._last_frame, self._last_time)
            self._closed = self._closed or plain[1] == 0
        elif not sealed:
            self._connection.alert(self, None, None, self._last_frame, self._last_time)

    # -- states ------------------------------------------------------------------------------------------------------

    def open13(self, epochs: list[Epoch]) -> None:
        """The keys of TLS 1.3 are at hand."""
        self.lock.begin(epochs)
        self.state = State.OPEN
        self.messages.clear()

    def shut(self) -> None:
        """Records are only counted from here on."""
        if self.state is not State.DEAD:
            self.state = State.SHUT

    def drop(self, offset: int) -> None:
        """It is no TLS."""
        self.state = State.DEAD
        self._connection.dead(self)
        self._connection.say(NOT_TLS(frames=self.frames.frames_of(offset, offset + 1)))


def _hello(record: Record, *, behind_loss: bool) -> bool:
    """Whether a handshake can begin so; behind a loss not with a HelloRequest: an encrypted Finished looks like one."""
    if record.type == SSL2_HELLO:
        return True
    start = bytes(record.fragment[: HELLO - HEADER])
    return bool(start) and not (behind_loss and start[0] == 0) and hello_begins(b"\x16\3\0\0\0" + start)
