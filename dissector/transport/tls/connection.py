"""One TLS connection: what both sides say to each other, understood and noted down.

The two sides (:mod:`~dissector.transport.tls.side`) read records and ask here what opens them
(:mod:`~dissector.transport.tls.keyring`). Three answers run through it: yes, no, and not yet (None), since the other
direction, or a key log line, may come later. Relied on: while ``conversation.in_order`` the reassembly hands over both
directions in the order of the frames, so "not yet" is rare.

Which handshake message belongs to which: the n-th handshake of the client is the n-th of the server; a ClientHello that
is not encrypted is part of the first one (RFC 8446 4.1.4).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dissector.base.findings import Finding, Severity
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint, StreamRef
from dissector.transport.model import Conversation, StreamConsumer
from dissector.transport.tls import diagnosis
from dissector.transport.tls.certificates import name_text, read_certificate
from dissector.transport.tls.ciphers import Opener
from dissector.transport.tls.handshake import (
    ClientHello,
    ServerHello,
    authorities,
    certificates,
    client_hello,
    extensions_of,
    protocol_names,
    server_hello,
    ssl2_hello,
    ticket_of,
)
from dissector.transport.tls.keyring import Early, Handshake, Keyring, change
from dissector.transport.tls.keys import KeyMaterial
from dissector.transport.tls.lock import Epoch, Opened
from dissector.transport.tls.model import RECORDS, Alert, Flight, RecordSeen, TlsFacts
from dissector.transport.tls.names import SSL30, TLS12, TLS13, Content, Extension, Shake
from dissector.transport.tls.records import Record
from dissector.transport.tls.rules import BAD_MESSAGE, EARLY_REJECTED, LOST, NOT_OPENED, WRONG_KEYS
from dissector.transport.tls.side import Side, State
from dissector.transport.tls.suites import suite

__all__ = ["ALL_RECORDS", "Inner", "Shared", "TlsConnection"]

TRANSCRIPT = 512 << 10
"""Bytes of handshake messages kept of one side, for the extended master secret."""
SAID = 1000
"""Findings of all connections."""
FINDINGS = 50
"""Findings of one connection."""
SEALED_ALERT = 19
"""Bytes of the fragment of an alert in TLS 1.3: two, the type, and the tag."""
MESSAGES = 100
"""Handshake messages of one connection whose order is kept."""
ALL_RECORDS = 200_000
"""Records of all connections whose sizes and times are kept; each takes about 150 bytes."""
ALL_MESSAGES = 200_000
KEPT = 200
"""Versions and suites kept of a ClientHello."""

SAME = 1000
"""Different offers of which one object each is kept."""

Inner = Callable[[StreamRef], StreamConsumer]
T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class Shared:
    """What all connections of a pass share.

    Attributes:
        keys: key material.
        watch: keep the facts of every connection; without, those that cannot be opened are let go.
        waiting: bytes that wait for keys.
        facts: of the connections, in the order of their first record.
        open: connections that are not over, by number.
        left_out: connections whose facts were not kept.
        decrypted: connections that were opened.
        records, messages: how many more of them are kept.
        opened: facts of the connections whose plain streams were read; pairs: client and server of all of them.
        said: findings, with the connections' numbers.
    """

    keys: KeyMaterial
    watch: bool = False
    waiting: int = 0
    facts: list[TlsFacts] = field(default_factory=list)
    open: dict[int, TlsConnection] = field(default_factory=dict)
    left_out: int = 0
    decrypted: int = 0
    records: int = 0
    messages: int = ALL_MESSAGES
    opened: list[TlsFacts] = field(default_factory=list)
    pairs: set[tuple[Endpoint, Endpoint]] = field(default_factory=set)
    said: list[tuple[int, Finding]] = field(default_factory=list)
    same: dict[Any, Any] = field(default_factory=dict)

    def one(self, value: T) -> T:
        """The same object for equal values: most clients offer the same."""
        if len(self.same) > SAME:
            self.same.clear()
        found: T = self.same.setdefault(value, value)
        return found

    def tell(self, number: int, finding: Finding) -> None:
        """A finding on the connection of that number."""
        if len(self.said) < SAID:
            self.said.append((number, finding))


class TlsConnection:
    """One connection.

    Args:
        conversation: the TCP connection.
        shared: keys and facts of the pass.
        inner: makes what makes the consumer of each direction of the plain stream; called when there is a first byte.
        limits: bounds.
    """

    def __init__(
        self,
        conversation: Conversation,
        shared: Shared,
        inner: Callable[[Conversation], Inner],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.conversation = conversation
        self.shared = shared
        self.limits = limits
        self.sides: list[Side] = []
        self.handshakes: list[Handshake] = []
        client = conversation.client or conversation.first
        server = conversation.second if client == conversation.first else conversation.first
        self.facts = TlsFacts(conversation.number, client, server, state="no handshake")
        self._keyring = Keyring(shared.keys, self.facts, self.say)
        self._keys = shared.keys
        self._inner = inner
        self._client: Side | None = None
        self._progressing = False
        self._done = False
        self._kept = False
        self._answered = False
        """TLS 1.3 without keys: the server said something behind the handshake."""
        self._unopened = False
        """Something was not opened that should have been."""
        conversation.in_order = True

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
            elif all(
                side.state is State.DEAD or (side.state is State.SHUT and not self.shared.watch) for side in self.sides
            ):
                # Nothing more will be read of it.
                self.conversation.released = True
                self._finish()
            elif self.conversation.in_order and self._settled():
                self.conversation.in_order = False
        finally:
            self._progressing = False

    def _settled(self) -> bool:
        """Each side can be read without the other from here on."""
        return all(side.state in (State.OPEN, State.SHUT) and not side.waits for side in self.sides) and (
            not self.handshakes
            or self.handshakes[-1].version < TLS13
            or all(side.talk.finished or side.state is State.SHUT for side in self.sides)
        )

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        # What one side holds may be what the other one needs.
        for side in self.sides:
            side.drain()
        for side in self.sides:
            side.finish()
        self.shared.open.pop(self.conversation.number, None)
        facts = self.facts
        # One direction may have been read before the other.
        facts.records.sort(key=lambda one: one.frame)
        facts.messages.sort(key=lambda one: one.frame)
        facts.alerts.sort(key=lambda one: one.frame)
        if facts.handshakes or facts.alerts:
            self._judge_state()
            for finding in diagnosis.findings_of(facts):
                facts.findings.append(finding)
                if finding.severity in (Severity.ERROR, Severity.WARN):
                    self.shared.tell(facts.number, finding)
        elif self._kept:
            self.shared.facts.remove(facts)

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

    # -- what is seen ------------------------------------------------------------------------------------------------

    def say(self, finding: Finding) -> None:
        """A finding on the connection."""
        if len(self.facts.findings) < FINDINGS:
            self.facts.findings.append(finding)
            self.shared.tell(self.facts.number, finding)

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
        if inner is None and record.type == Content.ALERT and side.state is State.SHUT:
            self.alert(side, None, None, frame, time)
        if inner is None and side.state is State.SHUT and record.type == Content.DATA:
            self._guess13(side, size, frame, time)
        if self.shared.watch and len(facts.records) < RECORDS and self.shared.records:
            self.shared.records -= 1
            facts.records.append(RecordSeen(side.client is not False, record.type, inner, size, frame, time))

    def _guess13(self, side: Side, size: int, frame: int, time: int) -> None:
        """TLS 1.3 without keys: by their sizes, an alert and the client's Finished can be told."""
        if self.version != TLS13 or self._answered:
            return
        if self.facts.finished:
            # The server's first word behind the handshake is a ticket or an answer; as short as an alert, it refuses.
            if not side.client:
                self._answered = True
                if size == SEALED_ALERT:
                    self.alert(side, None, None, frame, time)
        elif size == SEALED_ALERT:
            self.alert(side, None, None, frame, time)
        elif side.client and self.facts.early != "accepted":
            for talk in self.facts.talks:
                talk.finished = True

    def _keep(self) -> None:
        shared = self.shared
        if not shared.watch:
            return
        if len(shared.facts) >= self.limits.tls_connections:
            shared.left_out += 1
            return
        shared.facts.append(self.facts)
        self._kept = True

    def dead(self, side: Side) -> None:
        """A side is no TLS."""
        if side.other is not None and side.other.handshake is None:
            side.other.state = State.DEAD

    @property
    def version(self) -> int:
        """Of the latest handshake, 0 where it is not known."""
        return self.handshakes[-1].version if self.handshakes else 0

    def _role(self, side: Side, client: bool) -> None:
        if self._client is not None:
            return
        side.client = client
        self._client = side if client else side.other
        if side.other is not None:
            side.other.client = not client
        stream = side.stream if client else side.stream.reversed()
        self.facts.client, self.facts.server = stream.source, stream.destination
        self._order()

    def _order(self) -> None:
        """Put what both sides said into the facts, the client first."""
        facts = self.facts
        by_client = {side.stream.source == facts.client: side.talk for side in self.sides}
        facts.talks = (by_client.get(True, facts.talks[0]), by_client.get(False, facts.talks[1]))

    # -- handshake messages ------------------------------------------------------------------------------------------

    def ssl2(self, side: Side, record: Record) -> None:
        """A ClientHello in the form of SSL 2.0."""
        hello = ssl2_hello(record.fragment)
        if hello is not None:
            self._client_hello(side, hello, bytes(record.fragment))

    def bad_message(self, side: Side, frame: int) -> None:
        """Handshake messages cannot be read any more."""
        self.say(BAD_MESSAGE(f"a handshake message of {side.stream.source} is too long", frames=(frame,)))
        if side.handshake is None:
            side.state = State.DEAD
            self.dead(side)

    def message(self, side: Side, type: int, message: bytes, frame: int, time: int) -> None:
        """A handshake message, with its header."""
        body = message[4:]
        facts = self.facts
        if type == Shake.CLIENT_HELLO:
            hello = client_hello(body)
            if hello is None:
                self.say(BAD_MESSAGE(f"the ClientHello of {side.stream.source} cannot be read", frames=(frame,)))
                return
            self._client_hello(side, hello, message)
        elif type == Shake.SERVER_HELLO:
            answer = server_hello(body)
            if answer is None:
                self.say(BAD_MESSAGE(f"the ServerHello of {side.stream.source} cannot be read", frames=(frame,)))
                return
            self._server_hello(side, answer, message)
        if self.shared.watch and len(facts.messages) < MESSAGES and self.shared.messages:
            self.shared.messages -= 1
            facts.messages.append(Flight(side.client is not False, type, frame, time))
            # It was counted just before.
            last = facts.records[-1] if facts.records else None
            if last is not None and (last.from_client, last.frame) == (side.client is not False, frame):
                facts.records[-1] = last._replace(messages=(*last.messages, type))
        handshake = side.handshake or (self.handshakes[-1] if self.handshakes else None)
        if handshake is None or type in (Shake.CLIENT_HELLO, Shake.SERVER_HELLO):
            return
        if handshake.version < TLS13 and type not in (Shake.HELLO_REQUEST, Shake.FINISHED):
            self._note_said(side, handshake, message)
        if type == Shake.CERTIFICATE:
            self._certificate(side, handshake, body)
        elif type == Shake.CERTIFICATE_REQUEST:
            facts.asked = True
            self._authorities(handshake, body)
        elif type == Shake.SERVER_HELLO_DONE:
            handshake.done = True
            if facts.asked is None:
                facts.asked = False
        elif type == Shake.CLIENT_KEY_EXCHANGE:
            handshake.exchanged = True
            if handshake.suite is not None and handshake.suite.exchange == "RSA":
                # SSL 3.0 has no length before it (RFC 6101 5.6.7.1).
                handshake.encrypted = body if handshake.version <= SSL30 else body[2:]
        elif type == Shake.NEW_SESSION_TICKET and handshake.version < TLS13:
            handshake.ticket = ticket_of(body)
            self._keyring.remember(handshake)
        elif type == Shake.ENCRYPTED_EXTENSIONS:
            self._encrypted_extensions(handshake, body)
        elif type == Shake.FINISHED:
            # A second one answers a request for a certificate after the handshake (RFC 8446 4.6.2).
            if side.lock.epochs and not side.talk.finished:
                if side.client is False and facts.asked is None:
                    facts.asked = False
                side.lock.next_epoch()
            side.talk.finished = True
        elif type == Shake.END_OF_EARLY_DATA:
            side.lock.next_epoch()
        elif type == Shake.KEY_UPDATE and side.lock.carries:
            facts.key_updates += 1
            side.lock.update()

    def _client_hello(self, side: Side, hello: ClientHello, message: bytes) -> None:
        self._role(side, client=True)
        facts = self.facts
        if side.handshake is None or side.state is not State.PLAIN:
            # Encrypted: a renegotiation.
            number = 0 if side.handshake is None else self.handshakes.index(side.handshake) + 1
            side.handshake = self._nth(number)
        handshake = side.handshake
        if handshake.client is None:
            facts.handshakes = len(self.handshakes)
        elif not handshake.retried:
            handshake.client_said.clear()
        handshake.client = hello
        self._note_said(side, handshake, message)
        if hello.early_data:
            handshake.early = Early.ASKED if handshake.early is Early.NONE else handshake.early
            facts.early = facts.early or "offered"
        if facts.handshakes <= 1:
            facts.server_name = hello.server_name
            facts.offered, facts.suites, facts.alpn_offered = (
                self.shared.one(hello.versions[:KEPT]),
                self.shared.one(hello.suites[:KEPT]),
                self.shared.one(hello.alpn),
            )
        if len(self.handshakes) == 1 and not self._hopeful(hello) and not self.shared.watch:
            for each in self.sides:
                each.shut()

    def _hopeful(self, hello: ClientHello) -> bool:
        """Whether any key could ever open it."""
        keys = self._keys
        return (
            keys.growing
            or keys.master(hello.random) is not None
            or keys.knows13(hello.random)
            or keys.opens_premaster
            or keys.session(hello.session) is not None
            or keys.session(hello.ticket) is not None
        )

    def _nth(self, number: int) -> Handshake:
        while len(self.handshakes) <= number:
            self.handshakes.append(Handshake())
            # One that is over needs no more than what opens its records.
            if len(self.handshakes) > 2:
                old = self.handshakes[-3]
                old.client_said, old.server_said = bytearray(), bytearray()
                old.made.clear()
        return self.handshakes[number]

    def _server_hello(self, side: Side, answer: ServerHello, message: bytes) -> None:
        self._role(side, client=False)
        facts = self.facts
        if side.handshake is None or side.state is not State.PLAIN:
            number = 0 if side.handshake is None else self.handshakes.index(side.handshake) + 1
            side.handshake = self._nth(number)
        handshake = side.handshake
        handshake.version = TLS13 if answer.version >> 8 == 0x7F else answer.version
        handshake.suite = suite(answer.suite)
        facts.version, facts.suite = handshake.version, answer.suite
        facts.handshakes = max(facts.handshakes, len(self.handshakes))
        if answer.retry:
            handshake.retried = facts.retried = True
            if handshake.early is not Early.NONE:
                handshake.early = Early.REJECTED
                facts.early = "rejected"
            return
        handshake.server = answer
        self._note_said(side, handshake, message)
        facts.alpn = answer.alpn
        facts.extended_master = answer.extended_master
        facts.encrypt_then_mac = answer.encrypt_then_mac
        if answer.psk:
            facts.resumed = "psk"
            facts.asked = False
        if handshake.version == TLS13 and handshake.early is Early.ASKED and not answer.psk:
            self._reject_early(handshake)

    def _reject_early(self, handshake: Handshake) -> None:
        handshake.early = Early.REJECTED
        self.facts.early = "rejected"
        self.say(EARLY_REJECTED("the server refused the client's early data: it was sent again, or not at all"))

    def _note_said(self, side: Side, handshake: Handshake, message: bytes) -> None:
        """Keep what the extended master secret is made of: up to ServerHelloDone and ClientKeyExchange."""
        if not self._keys.opens_premaster:
            return
        said = handshake.client_said if side.client else handshake.server_said
        over = handshake.exchanged if side.client else handshake.done
        if not over and len(said) + len(message) <= TRANSCRIPT:
            said += message

    def _encrypted_extensions(self, handshake: Handshake, body: bytes) -> None:
        handshake.extensions_seen = True
        found = extensions_of(body[2:])
        names = protocol_names(found.get(Extension.ALPN, b""))
        if names:
            self.facts.alpn = names[0]
        if handshake.early is Early.ASKED:
            if Extension.EARLY_DATA in found:
                handshake.early = Early.ACCEPTED
                self.facts.early = "accepted"
            else:
                self._reject_early(handshake)

    def _certificate(self, side: Side, handshake: Handshake, body: bytes) -> None:
        ders = certificates(body, contexts=handshake.version >= TLS13)
        facts = self.facts
        if side.client:
            facts.given = bool(ders)
        if not self.shared.watch and not (self._keys.opens_premaster and not side.client):
            return
        chain = [read_certificate(der) for der in ders[:20]]
        if side.client:
            facts.client_certificates = chain
        else:
            facts.certificates = chain
            handshake.modulus = chain[0].modulus if chain else None

    def _authorities(self, handshake: Handshake, body: bytes) -> None:
        if self.shared.watch:
            names = authorities(body, extensions=handshake.version >= TLS13, algorithms=handshake.version == TLS12)
            self.facts.authorities = [name_text(name) for name in names[:50]]

    def alert(self, side: Side, level: int | None, description: int | None, frame: int, time: int) -> None:
        """An alert; None where it is encrypted."""
        if len(self.facts.alerts) < FINDINGS:
            self.facts.alerts.append(Alert(side.client is not False, level, description, frame, time))

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
        self.say(
            NOT_OPENED(
                f"records of {side.stream.source} do not open any more", frames=(frame,) if frame else (), offset=offset
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
        make = self._inner(self.conversation)
        for side in sorted(self.sides, key=lambda each: each.client is False):
            side.plain.consumer = make(side.stream)
