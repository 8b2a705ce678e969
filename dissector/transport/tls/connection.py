"""One TLS connection: its pace, what is seen of it, and the answers that its two sides ask for.

The two sides (:mod:`~dissector.transport.tls.side`) read records and ask here what opens them
(:mod:`~dissector.transport.tls.keyring`); handshake messages go to :mod:`~dissector.transport.tls.negotiation`. Three
answers run through it: yes, no, and not yet (None), since the other direction, or a key log line, may come later.
Relied on: while ``conversation.ordering`` the reassembly hands over both directions in the order of the frames, so
"not yet" is rare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dissector.base.findings import Finding, Severity
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import Conversation, StreamConsumer
from dissector.transport.tls import diagnosis
from dissector.transport.tls.keyring import Early, Keyring, change
from dissector.transport.tls.lock import Epoch, Opened
from dissector.transport.tls.model import RECORDS, Alert, RecordSeen, TlsFacts
from dissector.transport.tls.names import TLS13, Content
from dissector.transport.tls.negotiation import Negotiation
from dissector.transport.tls.records import Record, first_line
from dissector.transport.tls.rules import LOST, NOT_OPENED, WHY, WRONG_KEYS
from dissector.transport.tls.shared import Shared
from dissector.transport.tls.side import Side, State
from dissector.transport.tls.sizes import Sealed, guess

if TYPE_CHECKING:
    from dissector.transport.tls.ciphers import Opener

__all__ = ["Inner", "TlsConnection"]

FINDINGS = 50
"""Findings of one connection."""
SEALED = 20
"""Records without keys, of one side or the other, by which it is told whether a handshake of TLS 1.3 ended well."""


Inner = Callable[[StreamRef], StreamConsumer]


class TlsConnection:
    """One connection.

    Args:
        conversation: the TCP connection.
        shared: keys and facts of the pass.
        inner: makes what makes the consumer of each direction of the plain stream; called when there is a first byte.
        limits: bounds.
        tunnel: what the client asked for in HTTP before; None: the TCP connection began with TLS.
        depth: how many TLS connections are around it.
    """

    def __init__(
        self,
        conversation: Conversation,
        shared: Shared,
        inner: Callable[[Conversation, int], Inner],
        limits: Limits = DEFAULT_LIMITS,
        tunnel: str | None = None,
        depth: int = 0,
    ) -> None:
        self._depth = depth
        self.tunnelled = tunnel is not None
        self.conversation = conversation
        self.shared = shared
        self.limits = limits
        self.sides: list[Side] = []
        client = conversation.client or conversation.first
        server = conversation.second if client == conversation.first else conversation.first
        self.facts = TlsFacts(
            conversation.number, client, server, tunnel=tunnel or "", depth=depth, state="no handshake"
        )
        self._keyring = Keyring(shared.keys, self.facts, self.say)
        self.negotiation = Negotiation(self, self._keyring)
        self._keys = shared.keys
        self._inner = inner
        self._client: Side | None = None
        self._progressing = False
        self._done = False
        self._kept = False
        self._sealed: list[tuple[int, int, Side, int]] = []
        """Frame, time, sender and size of the first records that were not opened."""
        self._unopened = False
        """Something was not opened that should have been."""
        self._ordered = True
        """Both sides are needed in the order of the frames."""
        conversation.ordering += 1

    def direction(self, stream: StreamRef) -> Side:
        """The consumer of one direction; called once for each of the two."""
        side = Side(self, stream)
        if self.sides:
            side.other, self.sides[0].other = self.sides[0], side
        self.sides.append(side)
        self._order()
        return side

    # -- the pace ----------------------------------------------------------------------------------------------------

    def progress(self) -> None:
        """A side read something: the other one may go on; when both are over, all is."""
        if self._progressing:
            return
        self._progressing = True
        try:
            moved = any(side.waits for side in self.sides)
            while moved:
                moved = any(side.drain() for side in self.sides)
            if len(self.sides) == 2 and all(side.ended for side in self.sides):
                self._finish()
            elif (
                all(
                    side.state is State.DEAD or (side.state is State.SHUT and not self.shared.watch)
                    for side in self.sides
                )
                and not self._followed
            ):
                # Nothing more will be read of it; what is around it is still to be told.
                if not self._depth:
                    self.conversation.released = True
                    if self.tunnelled:
                        # Nobody else hears that it ended.
                        self.conversation.ended = 2
                self._finish()
            elif self._settled():
                self._unorder()
        finally:
            self._progressing = False

    @property
    def _followed(self) -> bool:
        """Why the handshake failed may still be told. (Others than those inside of HTTP are followed elsewhere.)"""
        both = len({side.client for _, _, side, _ in self._sealed}) == 2 and len(self._sealed) > SEALED
        return self.tunnelled and self.negotiation.version == TLS13 and not both

    def _settled(self) -> bool:
        """Each side can be read without the other from here on; what the plain stream needs it asks for itself, as soon
        as there is one."""
        begun = any(side.plain.consumer is not None or side.state is State.SHUT for side in self.sides)
        return (
            begun
            and all(side.state in (State.OPEN, State.SHUT) and not side.waits for side in self.sides)
            and (
                self.negotiation.version < TLS13
                or all(side.talk.finished or side.state is State.SHUT for side in self.sides)
            )
        )

    def _unorder(self) -> None:
        if self._ordered:
            self._ordered = False
            self.conversation.ordering -= 1

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        self._unorder()
        # What one side holds may be what the other one needs.
        for side in self.sides:
            side.drain()
        for side in self.sides:
            side.finish()
        self.shared.open.pop((self.conversation.number, self._depth), None)
        facts = self.facts
        for side in self.sides:
            # Its hello is missing: of what stands before the first bytes that are there nobody knows.
            side.talk.lost += side.joined and side.handshake is None
        if facts.version is None:
            self._note_answer()
        facts.lone = None if self.conversation.both else self.conversation.first == facts.client
        if self.negotiation.version == TLS13 and facts.lone is None:
            # One direction may have been read before the other.
            sealed = sorted(self._sealed, key=lambda one: one[0])
            told = [Sealed(frame, time, bool(side.client), size) for frame, time, side, size in sealed]
            for one in guess(facts, told):
                self._alert(one)
        self._close()
        # One direction may have been read before the other.
        facts.records.sort(key=lambda one: one.frame)
        facts.messages.sort(key=lambda one: one.frame)
        facts.alerts.sort(key=lambda one: one.frame)
        if facts.handshakes or facts.alerts:
            self._judge_state()
            self.negotiation.read_certificates()
            for finding in diagnosis.findings_of(facts):
                facts.findings.append(finding)
                if finding.rule in WHY:
                    self._add(self.shared.failed, 1)
                if finding.severity in (Severity.ERROR, Severity.WARN):
                    self.shared.tell(facts, finding)
            if self.tunnelled and not any(side.talk.opened for side in self.sides):
                self._add(self.shared.sealed, sum(side.talk.bytes for side in self.sides))
        elif self._kept:
            del self.shared.facts[id(facts)]

    def _add(self, table: dict[tuple[Endpoint, Endpoint], int], number: int) -> None:
        """Count the connection by its ends."""
        pair = (self.facts.client, self.facts.server)
        if pair in table or len(table) < self.limits.tls_connections:
            table[pair] = table.get(pair, 0) + number

    def _judge_state(self) -> None:
        facts = self.facts
        opened = any(side.talk.opened for side in self.sides)
        if opened:
            whole = not self._unopened and not any(
                side.state is State.SHUT and side.talk.bytes for side in self.sides if not side.talk.opened
            )
            facts.state = "opened" if whole else "partly"
        elif facts.state == "no handshake" and facts.handshakes:
            facts.state = "no keys"
            for handshake in self.negotiation.handshakes:
                if handshake.client is not None:
                    kept = facts if self._kept else None
                    self._keys.over(handshake.client.random, (facts.client, facts.server), kept)

    # -- what is seen ------------------------------------------------------------------------------------------------

    def say(self, finding: Finding) -> None:
        """A finding on the connection."""
        if len(self.facts.findings) < FINDINGS:
            self.facts.findings.append(finding)
            self.shared.tell(self.facts, finding)

    def counted(self, side: Side, record: Record, inner: int | None, frame: int, time: int) -> None:
        """A record went by."""
        facts, talk = self.facts, side.talk
        if not facts.time:
            facts.frame, facts.time = frame, time
            self._keep()
        facts.last_frame, facts.last_time = max(frame, facts.last_frame), max(time, facts.last_time)
        size = len(record.fragment)
        talk.records[record.type] = talk.records.get(record.type, 0) + 1
        talk.bytes += size
        talk.last = max(time, talk.last)
        if inner is None and record.type == Content.ALERT and side.state is State.SHUT:
            self.alert(side, None, None, frame, time)
        if (
            inner is None
            and side.state is State.SHUT
            and record.type == Content.DATA
            and len(self._sealed) < 2 * SEALED
        ):
            self._sealed.append((frame, time, side, size))
        if self.shared.watch and len(facts.records) < RECORDS and self.shared.records:
            self.shared.records -= 1
            facts.records.append(RecordSeen(self._by_client(side), record.type, inner, size, frame, time))

    def _note_answer(self) -> None:
        """What the server began with in place of its hello."""
        for side in self.sides:
            if side.start_frame < self.facts.frame:
                # It stands before the hello: what was said before STARTTLS.
                continue
            if side.other is not None and side.other.client and (first_line(side.start) or not side.joined):
                self.facts.answered, self.facts.answer_frame = side.start, side.start_frame

    def _close(self) -> None:
        """What is known of how the connection ended."""
        facts = self.facts
        by = self.conversation.reset_by
        facts.reset_by_client = by == facts.client if by is not None else None
        for talk in facts.talks:
            if self.negotiation.version < TLS13:
                talk.spoke = Content.DATA in talk.records
            elif talk.opened:
                talk.spoke = talk.spoke or talk.plain > 0

    def _keep(self) -> None:
        shared = self.shared
        if not shared.watch:
            return
        if len(shared.facts) >= self.limits.tls_connections:
            shared.left_out += 1
            return
        shared.facts[id(self.facts)] = self.facts
        self._kept = True

    def dead(self, side: Side) -> None:
        """A side is no TLS."""
        if side.other is not None and side.other.handshake is None:
            side.other.state = State.DEAD

    def role(self, side: Side, client: bool) -> None:
        """A hello tells which side is the client."""
        if self._client is not None:
            return
        side.client = client
        self._client = side if client else side.other
        if side.other is not None:
            side.other.client = not client
        stream = side.stream if client else side.stream.reversed()
        self.facts.client, self.facts.server = stream.source, stream.destination
        self._order()

    def _by_client(self, side: Side) -> bool:
        """Whether a side is the client's: where the hellos are lost, the one that opened the connection is."""
        return side.stream.source == self.facts.client if side.client is None else side.client

    def _order(self) -> None:
        """Put what both sides said into the facts, the client first."""
        facts = self.facts
        by_client = {side.stream.source == facts.client: side.talk for side in self.sides}
        facts.talks = (by_client.get(True, facts.talks[0]), by_client.get(False, facts.talks[1]))

    def alert(self, side: Side, level: int | None, description: int | None, frame: int, time: int) -> None:
        """An alert; None where it is encrypted."""
        self._alert(Alert(self._by_client(side), level, description, frame, time))

    def _alert(self, alert: Alert) -> None:
        if len(self.facts.alerts) < FINDINGS:
            self.facts.alerts.append(alert)

    # -- what the sides ask ------------------------------------------------------------------------------------------

    def change(self, side: Side) -> bool | None:
        """A side changes to new keys: True; False where that means nothing (TLS 1.3); None: not known yet."""
        return change(side.handshake, client=side.client is not False, may_come=self._may_come(side))

    def openers(self, side: Side) -> list[Opener] | None:
        """What may open the records behind a change of keys, the likeliest first; None: not known yet."""
        if side.handshake is None:
            return []
        return self._keyring.openers(side.handshake, client=bool(side.client), may_come=self._may_come(side))

    def begin13(self, side: Side) -> bool | None:
        """A side's first encrypted record of TLS 1.3: True where keys are at hand, None: not known yet."""
        handshake = side.handshake
        if handshake is None:
            return False
        epochs = self._keyring.epochs(handshake, client=bool(side.client), may_come=self._may_come(side))
        if epochs:
            side.open13(epochs)
        return None if epochs is None else bool(epochs)

    def updated(self, side: Side, last: Epoch) -> Epoch:
        """The keys behind a key update."""
        return self._keyring.updated(side.handshake, last)

    def verified(self, side: Side) -> None:
        """The opener of a side turned out to be the right one."""
        if side.handshake is not None and side.lock.opener is not None:
            self._keyring.verified(side.handshake, side.lock.opener)

    def compressed(self, side: Side) -> bool:
        """The records of a side are compressed."""
        handshake = side.handshake
        return handshake is not None and handshake.server is not None and handshake.server.compression == 1

    def wait13(self, side: Side) -> bool:
        """A record of early data waits until the server said whether it takes it."""
        handshake = side.handshake
        if not side.client or handshake is None or handshake.early is not Early.ASKED or side.talk.opened:
            return False
        other = side.other
        if other is None or other.ended or other.state in (State.SHUT, State.DEAD):
            return False
        # Without the server's handshake keys its word is never read: what opens, opens.
        return not handshake.extensions_seen and not (other.lock.epochs and other.lock.epochs[0].opener is None)

    def early_rejected(self, side: Side) -> bool:
        """The records of the client may be early data that nobody reads."""
        handshake = side.handshake
        return bool(side.client) and handshake is not None and handshake.early is Early.REJECTED

    def _may_come(self, side: Side) -> bool:
        """The other direction may still say what is needed."""
        other = side.other
        return other is not None and not other.ended and other.state is not State.DEAD and not self._done

    def wrong_keys(self, side: Side, frame: int) -> None:
        """The keys do not fit."""
        if self.facts.state != "wrong keys":
            self.facts.state = "wrong keys"
            self.say(
                WRONG_KEYS(
                    f"the keys given do not open the records of {side.stream.source}", frames=(frame,) if frame else ()
                )
            )

    def not_opened(self, side: Side, frame: int, offset: int) -> None:
        """Records do not open, though others did."""
        self._unopened = True
        tired = ": how many are missing was tried too often already" if self.shared.tries.left <= 0 else ""
        self.say(
            NOT_OPENED(
                f"records of {side.stream.source} do not open any more{tired}",
                frames=(frame,) if frame else (),
                offset=offset,
            )
        )

    def lost(self, side: Side, found: Opened, before: int, frame: int) -> None:
        """Records are missing before an opened one."""
        one = found.records == 1
        count = f"{found.records} records" if found.records > 1 else "1 record" if one else "records"
        self.say(
            LOST(
                f"{count} of {side.stream.source} {'is' if one else 'are'} missing or damaged; decoding goes on in "
                f"frame {frame}",
                frames=tuple(f for f in (before, frame) if f),
            )
        )

    # -- the plain stream --------------------------------------------------------------------------------------------

    def open_inner(self) -> None:
        """There is plain data: make the consumers of both directions, the client's first."""
        shared = self.shared
        shared.decrypted += 1
        shared.pairs.add((self.facts.client, self.facts.server))
        if len(shared.opened) < self.limits.tls_connections:
            shared.opened.append(self.facts)
        make = self._inner(self.conversation, self._depth)
        for side in sorted(self.sides, key=lambda each: each.client is False):
            side.plain.consumer = make(side.stream)
