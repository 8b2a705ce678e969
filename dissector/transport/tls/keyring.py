"""Keys of one connection: what its handshakes and the key material make.

Three answers: a list of what may open records, an empty one (nothing ever will), and None: not known yet, since the
other direction or the key log may still say what is missing.

The ciphers, and with them the library that does them, are imported where a handshake got as far as needing them:
start-up is most of the time on a small capture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from dissector.base.findings import Finding
from dissector.transport.tls.handshake import ClientHello, ServerHello
from dissector.transport.tls.kdf import extended_master, master_secret, next_secret, transcript_hash
from dissector.transport.tls.keys import KeyMaterial
from dissector.transport.tls.lock import Epoch
from dissector.transport.tls.model import TlsFacts
from dissector.transport.tls.names import TLS13
from dissector.transport.tls.rules import UNSUPPORTED
from dissector.transport.tls.suites import Suite, suite, suite_name

if TYPE_CHECKING:
    from dissector.transport.tls.ciphers import Opener

__all__ = ["Early", "Handshake", "Keyring", "change"]

SECRETS = 100
"""Key log lines kept of one connection: one for each renegotiation, five for TLS 1.3."""


class Early(Enum):
    """What became of the client's early data."""

    NONE = auto()
    ASKED = auto()
    ACCEPTED = auto()
    REJECTED = auto()


@dataclass(slots=True, eq=False)
class Handshake:
    """One handshake: what both sides said. Equal is only the same one: thousands may follow each other."""

    client: ClientHello | None = None
    server: ServerHello | None = None
    suite: Suite | None = None
    version: int = 0
    retried: bool = False
    done: bool = False
    """ServerHelloDone was seen: it is a full handshake."""
    exchanged: bool = False
    """ClientKeyExchange was seen."""
    encrypted: bytes = b""
    """The encrypted pre-master secret."""
    modulus: int | None = None
    ticket: bytes = b""
    """The new session ticket."""
    client_said: bytearray = field(default_factory=bytearray)
    server_said: bytearray = field(default_factory=bytearray)
    masters: list[tuple[bytes, str]] | None = None
    """Candidates, and where each comes from."""
    made: dict[bytes, tuple[Opener, Opener]] = field(default_factory=dict)
    early: Early = Early.NONE
    extensions_seen: bool = False
    """EncryptedExtensions was seen."""
    traffic: bool = False
    """The openers of TLS 1.3 were made."""

    def lighten(self) -> None:
        """Others follow it: keep no more than what may still open records of a side that lags behind."""
        self.client_said, self.server_said = bytearray(), bytearray()
        self.made.clear()
        self.ticket = b""
        if self.client is not None:
            self.client = ClientHello(self.client.version, self.client.random, self.client.session)
        if self.server is not None:
            self.server = replace(self.server, extensions={})


def change(handshake: Handshake | None, *, client: bool, may_come: bool) -> bool | None:
    """Whether a ChangeCipherSpec changes keys: not in TLS 1.3 (RFC 8446 D.4). None: the version is not known yet."""
    if handshake is None:
        return False
    if not handshake.version:
        if client and handshake.client is not None and TLS13 not in handshake.client.versions:
            return True
        return None if may_come else False
    return handshake.version < TLS13


class Keyring:
    """Finds the keys of one connection.

    Args:
        keys: key material.
        facts: of the connection; where the keys came from, and that it was resumed, is noted there.
        say: takes findings.
    """

    def __init__(self, keys: KeyMaterial, facts: TlsFacts, say: Callable[[Finding], None]) -> None:
        self._keys = keys
        self._facts = facts
        self._say = say

    # -- up to TLS 1.2 -----------------------------------------------------------------------------------------------

    def openers(self, handshake: Handshake, *, client: bool, may_come: bool) -> list[Opener] | None:
        """What may open the records of a side behind a change of keys, the likeliest first."""
        if handshake.server is None or handshake.client is None:
            return None if may_come else []
        from dissector.transport.tls.ciphers import openers12, supported

        known = handshake.suite
        if known is None or not supported(known):
            self._unsupported(handshake.server.suite)
            return []
        masters = self._masters(handshake, may_come)
        if masters is None:
            return None
        found: list[Opener] = []
        for master, _ in masters:
            made = handshake.made.get(master)
            if made is None:
                made = handshake.made[master] = openers12(
                    known,
                    handshake.version,
                    master,
                    handshake.client.random,
                    handshake.server.random,
                    handshake.server.encrypt_then_mac,
                )
            found.append(made[0 if client else 1])
        return found

    def _masters(self, handshake: Handshake, may_come: bool) -> list[tuple[bytes, str]] | None:
        if handshake.masters is not None:
            return handshake.masters
        hello, answer, keys = handshake.client, handshake.server, self._keys
        assert hello is not None
        assert answer is not None
        found: list[tuple[bytes, str]] = []
        logged = keys.master(hello.random)
        if logged is not None:
            found.append((logged, "key log"))
        resumed = not handshake.done and not handshake.exchanged
        if resumed:
            self._note_resumed(hello, answer)
        for name in (hello.ticket, answer.session):
            known = keys.session(name)
            if known is not None and (resumed or name == answer.session):
                found.append((known, "session"))
        if not found and not resumed and keys.opens_premaster:
            if not handshake.exchanged and may_come:
                return None
            found += self._from_premasters(handshake, hello, answer)
        if not found and keys.growing and may_come:
            return None
        handshake.masters = found
        other = handshake.suite is not None and handshake.suite.exchange != "RSA"
        if not found and keys.has_rsa and not resumed and other and handshake.modulus is not None:
            keys.not_by_rsa(handshake.modulus)
        # They are not needed any more.
        handshake.client_said, handshake.server_said = bytearray(), bytearray()
        return found

    def _note_resumed(self, hello: ClientHello, answer: ServerHello) -> None:
        if not self._facts.resumed:
            # With a ticket the server may repeat the id too, to say that it took it (RFC 5077 3.4).
            same = bool(answer.session) and answer.session == hello.session
            self._facts.resumed = "ticket" if hello.ticket else "id" if same else ""

    def _from_premasters(
        self, handshake: Handshake, hello: ClientHello, answer: ServerHello
    ) -> list[tuple[bytes, str]]:
        keys, version = self._keys, handshake.version
        assert handshake.suite is not None
        digest = handshake.suite.prf
        found: list[tuple[bytes, str]] = []
        for premaster in keys.premasters(hello.random, handshake.encrypted, hello.version, handshake.modulus):
            if answer.extended_master:
                said = bytes(handshake.client_said)
                # ClientHello, then all that the server said, then the rest of what the client said.
                first = 4 + int.from_bytes(said[1:4], "big")
                whole = said[:first] + bytes(handshake.server_said) + said[first:]
                master = extended_master(version, digest, premaster, transcript_hash(version, digest, whole))
            else:
                master = master_secret(version, digest, premaster, hello.random, answer.random)
            found.append((master, "RSA key" if handshake.encrypted else "pre-master secret"))
        return found

    def verified(self, handshake: Handshake, opener: Opener) -> None:
        """An opener turned out to be the right one."""
        for master, source in handshake.masters or ():
            if any(opener is one for one in handshake.made.get(master, ())):
                handshake.masters = [(master, source)]
                self._facts.keys = self._facts.keys or source
                self._keys.rsa_opened = self._keys.rsa_opened or source == "RSA key"
                if handshake.client is not None:
                    self._note_secret("CLIENT_RANDOM", handshake.client.random, master)
                if handshake.server is not None:
                    self._keys.remember(handshake.server.session, master)
                self.remember(handshake)

    def _note_secret(self, label: str, random: bytes, secret: bytes) -> None:
        line = f"{label} {random.hex()} {secret.hex()}"
        if line not in self._facts.secrets and len(self._facts.secrets) < SECRETS:
            self._facts.secrets.append(line)

    def remember(self, handshake: Handshake) -> None:
        """Keep what a new ticket stands for, once that is known."""
        if handshake.ticket and handshake.masters and len(handshake.masters) == 1:
            self._keys.remember(handshake.ticket, handshake.masters[0][0])

    def _unsupported(self, number: int) -> None:
        if self._facts.state != "unsupported":
            self._facts.state = "unsupported"
            known = suite(number)
            cipher = f"{known.algorithm} in {known.mode} mode is not read here" if known else "the suite is not known"
            self._say(
                UNSUPPORTED(f"records of {suite_name(number)} cannot be opened, whatever keys there are: {cipher}")
            )

    # -- TLS 1.3 -----------------------------------------------------------------------------------------------------

    def epochs(self, handshake: Handshake, *, client: bool, may_come: bool) -> list[Epoch] | None:
        """The keys of a side, in their order."""
        if handshake.server is None:
            return None if may_come else []
        if handshake.version != TLS13:
            return []
        hello, known, keys = handshake.client, handshake.suite, self._keys
        if hello is None:
            return None if may_come else []
        from dissector.transport.tls.ciphers import openers13, supported

        # A suite of TLS 1.2 that is named in a handshake of 1.3 makes no sense (RFC 8446 B.4: AEAD only).
        if known is None or not supported(known) or known.mode not in ("GCM", "CCM", "AEAD"):
            self._unsupported(handshake.server.suite)
            return []
        names = (b"SERVER_HANDSHAKE_TRAFFIC_SECRET", b"SERVER_TRAFFIC_SECRET_0")
        if client:
            names = (b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"CLIENT_TRAFFIC_SECRET_0")
        secrets = [("handshake", names[0]), ("application", names[1])]
        if client and handshake.early in (Early.ASKED, Early.ACCEPTED):
            secrets.insert(0, ("early", b"CLIENT_EARLY_TRAFFIC_SECRET"))
        found: list[Epoch] = []
        for name, label in secrets:
            secret = keys.traffic(label, hello.random)
            if secret is None and keys.growing and may_come and name != "early":
                return None
            found.append(Epoch(name, openers13(known, secret) if secret is not None else None, secret))
            if secret is not None:
                self._note_secret(label.decode(), hello.random, secret)
        if not any(epoch.secret for epoch in found):
            if keys.has_rsa and client:
                keys.not_by_rsa(None)
            return []
        self._facts.keys = "traffic secrets"
        return found

    def updated(self, handshake: Handshake | None, last: Epoch) -> Epoch:
        """The keys behind a key update."""
        if last.secret is None or handshake is None or handshake.suite is None:
            return Epoch("application")
        from dissector.transport.tls.ciphers import openers13

        secret = next_secret(handshake.suite.prf, last.secret)
        return Epoch("application", openers13(handshake.suite, secret), secret)
