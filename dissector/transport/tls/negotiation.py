"""The handshakes of one connection: messages understood, and what they say noted down.

Which message belongs to which: the n-th handshake of the client is the n-th of the server; a ClientHello that is not
encrypted is part of the first one (RFC 8446 4.1.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissector.transport.tls.certificates import name_text, read_certificate, read_raw_key
from dissector.transport.tls.handshake import (
    UNPACKED,
    ClientHello,
    ServerHello,
    authorities,
    certificate_type,
    certificates,
    client_hello,
    decompressed,
    extensions_of,
    protocol_names,
    raw_key,
    server_hello,
    ssl2_hello,
    ticket_of,
)
from dissector.transport.tls.keyring import Early, Handshake, Keyring
from dissector.transport.tls.model import Flight
from dissector.transport.tls.names import RAW_PUBLIC_KEY, SSL20, SSL30, TLS12, TLS13, Content, Extension, Shake
from dissector.transport.tls.records import Record
from dissector.transport.tls.rules import BAD_MESSAGE, COMPRESSION, EARLY_REJECTED, PSK_ONLY, RENEGOTIATED
from dissector.transport.tls.side import Side, State
from dissector.transport.tls.suites import suite

if TYPE_CHECKING:
    from dissector.transport.tls.connection import TlsConnection

__all__ = ["Negotiation"]

SSL2_SERVER_HELLO = b"\4"
"""Its type."""
HANDSHAKES = 1000
"""Handshakes of one connection; each is remembered."""
TRANSCRIPT = 512 << 10
"""Bytes of handshake messages kept of one side, for the extended master secret."""
MESSAGES = 100
"""Handshake messages of one connection whose order is kept."""
KEPT = 200
"""Versions and suites kept of a ClientHello."""


class Negotiation:
    """The handshakes of one connection.

    Args:
        connection: takes findings, and is told who is the client.
        keyring: learns tickets.

    Attributes:
        handshakes: in order; more than one where the connection was renegotiated.
    """

    def __init__(self, connection: TlsConnection, keyring: Keyring) -> None:
        self.handshakes: list[Handshake] = []
        self._connection = connection
        self._facts = connection.facts
        self._shared = connection.shared
        self._keys = connection.shared.keys
        self._keyring = keyring
        self._shown: dict[bool, list[bytes]] = {}
        """Certificates not read yet, by whether they are the client's."""
        self._raw: set[bool] = set()
        """Whose certificates are raw public keys: the client's (True), the server's."""

    @property
    def version(self) -> int:
        """Of the latest handshake, 0 where it is not known."""
        return self.handshakes[-1].version if self.handshakes else 0

    def ssl2(self, side: Side, record: Record) -> None:
        """A ClientHello in the form of SSL 2.0, or (a server's) one of SSL 2.0 itself, behind which nothing is read."""
        hello = ssl2_hello(record.fragment)
        if hello is not None:
            self._client_hello(side, hello, bytes(record.fragment))
        elif side.client is False and record.fragment[:1] == SSL2_SERVER_HELLO:
            self._facts.version = SSL20
            for each in self._connection.sides:
                each.shut()
                each.talk.finished = True
        elif side.handshake is None and not (side.other is not None and side.other.handshake is not None):
            side.drop(record.offset)

    def bad_message(self, side: Side, frame: int) -> None:
        """Handshake messages cannot be read any more."""
        if not self.version and Content.CHANGE_CIPHER_SPEC in side.talk.records:
            # They are encrypted: the hello that would have said so is not in the capture.
            side.shut()
            return
        self._connection.say(BAD_MESSAGE(f"a handshake message of {side.stream.source} is too long", frames=(frame,)))
        if side.handshake is None:
            side.state = State.DEAD
            self._connection.dead(side)

    def message(self, side: Side, type: int, message: bytes, frame: int, time: int) -> None:
        """A handshake message, with its header."""
        body = message[4:]
        facts = self._facts
        if type == Shake.CLIENT_HELLO:
            hello = client_hello(body)
            if hello is None:
                self._connection.say(
                    BAD_MESSAGE(f"the ClientHello of {side.stream.source} cannot be read", frames=(frame,))
                )
                return
            self._client_hello(side, hello, message)
        elif type == Shake.SERVER_HELLO:
            answer = server_hello(body)
            if answer is None:
                self._connection.say(
                    BAD_MESSAGE(f"the ServerHello of {side.stream.source} cannot be read", frames=(frame,))
                )
                return
            self._server_hello(side, answer, message)
        if self._shared.watch and len(facts.messages) < MESSAGES and self._shared.messages:
            self._shared.messages -= 1
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
            self._certificate(side, handshake, body, frame)
        elif type == Shake.COMPRESSED_CERTIFICATE:
            plain, facts.compression = decompressed(body)
            if plain is not None:
                self._certificate(side, handshake, plain, frame)
            else:
                if side.client:
                    facts.given = True
                why = "and damaged" if facts.compression in UNPACKED else "which is not read here"
                words = f"they are compressed ({facts.compression}, {why})"
                self._connection.say(
                    COMPRESSION(f"certificates of {side.stream.source} cannot be read: {words}", frames=(frame,))
                )
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
        elif type == Shake.NEW_SESSION_TICKET:
            side.talk.spoke = True
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
        self._connection.role(side, client=True)
        facts = self._facts
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
            facts.hidden = Extension.ENCRYPTED_CLIENT_HELLO in hello.extensions
            facts.offered, facts.suites, facts.alpn_offered = (
                self._shared.one(hello.versions[:KEPT]),
                self._shared.one(hello.suites[:KEPT]),
                self._shared.one(hello.alpn),
            )
            facts.groups, facts.signatures = (
                self._shared.one(hello.groups[:KEPT]),
                self._shared.one(hello.signatures[:KEPT]),
            )
        # Inside of HTTP nobody else looks why it fails.
        followed = self._shared.watch or self._connection.tunnelled
        if len(self.handshakes) == 1 and not followed and not self._hopeful(hello):
            for each in self._connection.sides:
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
        if number >= HANDSHAKES:
            self._connection.say(
                RENEGOTIATED(f"more than {HANDSHAKES:,} handshakes of one connection: what follows is not opened")
            )
            for each in self._connection.sides:
                each.shut()
            return self.handshakes[-1]
        while len(self.handshakes) <= number:
            self.handshakes.append(Handshake())
            # One that is over needs no more than what opens its records.
            if len(self.handshakes) > 2:
                self.handshakes[-3].lighten()
        return self.handshakes[number]

    def _server_hello(self, side: Side, answer: ServerHello, message: bytes) -> None:
        self._connection.role(side, client=False)
        facts = self._facts
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
            facts.wanted_group = int.from_bytes(answer.extensions.get(Extension.KEY_SHARE, b"")[:2], "big")
            if handshake.early is not Early.NONE:
                handshake.early = Early.REJECTED
                facts.early = "rejected"
            return
        handshake.server = answer
        self._note_said(side, handshake, message)
        facts.alpn = answer.alpn
        facts.extended_master = answer.extended_master
        facts.encrypt_then_mac = answer.encrypt_then_mac
        self._types(answer.extensions)
        if answer.psk:
            facts.resumed = "psk"
            facts.asked = False
            if Extension.KEY_SHARE not in answer.extensions and handshake.version == TLS13:
                self._connection.say(PSK_ONLY("the keys come from the pre-shared key alone: who has it can read all"))
        if handshake.version == TLS13 and handshake.early is Early.ASKED and not answer.psk:
            self._reject_early(handshake)

    def _types(self, found: dict[int, bytes]) -> None:
        """What the server says of the types of certificates."""
        for client, extension in (
            (False, Extension.SERVER_CERTIFICATE_TYPE),
            (True, Extension.CLIENT_CERTIFICATE_TYPE),
        ):
            if certificate_type(found.get(extension, b"")) == RAW_PUBLIC_KEY:
                self._raw.add(client)

    def _reject_early(self, handshake: Handshake) -> None:
        handshake.early = Early.REJECTED
        self._facts.early = "rejected"
        self._connection.say(
            EARLY_REJECTED("the server refused the client's early data: it was sent again, or not at all")
        )

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
        self._types(found)
        names = protocol_names(found.get(Extension.ALPN, b""))
        if names:
            self._facts.alpn = names[0]
        if handshake.early is Early.ASKED:
            if Extension.EARLY_DATA in found:
                handshake.early = Early.ACCEPTED
                self._facts.early = "accepted"
            else:
                self._reject_early(handshake)

    def _certificate(self, side: Side, handshake: Handshake, body: bytes, frame: int) -> None:
        raw = bool(side.client) in self._raw
        ders = (raw_key if raw else certificates)(body, contexts=handshake.version >= TLS13)
        facts = self._facts
        if not facts.shown[bool(side.client)]:
            facts.shown[bool(side.client)] = frame
        if side.client:
            facts.given = bool(ders)
        self._shown[bool(side.client)] = ders
        if self._shared.watch or (self._keys.opens_premaster and not side.client):
            self.read_certificates(always=True)
            handshake.modulus = facts.certificates[0].modulus if facts.certificates else None

    def read_certificates(self, *, always: bool = False) -> None:
        """Read the certificates that were shown, if anybody asks: where the handshake failed, they may be the reason.
        Reading one takes as long as the rest of a handshake."""
        facts = self._facts
        if not always and facts.finished and not facts.alerts:
            return
        for client, ders in self._shown.items():
            chain = [(read_raw_key if client in self._raw else read_certificate)(der) for der in ders]
            if client:
                facts.client_certificates = chain
            else:
                facts.certificates = chain
        self._shown.clear()

    def _authorities(self, handshake: Handshake, body: bytes) -> None:
        if self._shared.watch:
            names = authorities(body, extensions=handshake.version >= TLS13, algorithms=handshake.version == TLS12)
            self._facts.authorities = [name_text(name) for name in names[:50]]
