"""Key material: what opens connections, as text and keys that someone else read.

- The NSS key log: ``CLIENT_RANDOM``, the traffic secrets of TLS 1.3, ``RSA`` and ``PMS_CLIENT_RANDOM`` (pre-master
  secrets), ``RSA Session-ID:… Master-Key:…`` (as OpenSSL's tools print it). It may come in pieces, and grow while the
  capture does.
- Private RSA keys, for key exchanges that encrypt the pre-master secret with the certificate's key.
- Pre-master secrets by themselves: each is tried, and the record that follows shows whether it fits.
- Sessions learnt on the way: by id and by ticket, for the connections that resume them.

Sources: NSS Key Log Format (draft-ietf-tls-keylogfile), RFC 5246 7.4.7.1 (RSA), RFC 5246 7.3 and RFC 5077 (resumption).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from dissector.base.errors import UsageError
from dissector.base.findings import Finding, rule

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from dissector.base.origin import Endpoint
    from dissector.transport.tls.model import TlsFacts

__all__ = ["KeyLog", "KeyMaterial"]

SECRETS = 200_000
"""Secrets kept of all key logs; the oldest make room. Each costs about 250 bytes."""
SESSIONS = 10_000
"""Sessions remembered for resumption; connections without keys that are over, while some may come."""
NAME = 64
"""Bytes of a session's name that are kept; of a longer one, a ticket of up to 64 KiB, its digest is."""
RANDOM = 32
LINE = 4096
"""Bytes of one key log line; the longest secrets make lines of about 250."""

LINES = rule("tls.keylog-line", "note", "lines of a key log are not understood and were skipped", "NSS Key Log Format")
NONE = rule("tls.keylog-empty", "warn", "a file given as a key log holds no secret", "NSS Key Log Format")
RSA_ONLY = rule(
    "tls.rsa-key-useless",
    "warn",
    "a private RSA key opens only connections that encrypt the secret with it",
    "RFC 5246 F.1.1",
)
FULL = rule("tls.keylog-full", "warn", "more secrets than are kept: the oldest were forgotten")

_TRAFFIC = frozenset(
    [
        b"CLIENT_EARLY_TRAFFIC_SECRET",
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        b"SERVER_HANDSHAKE_TRAFFIC_SECRET",
        b"CLIENT_TRAFFIC_SECRET_0",
        b"SERVER_TRAFFIC_SECRET_0",
    ]
)
_PREMASTER = frozenset([b"RSA", b"PMS_CLIENT_RANDOM"])
_NOT_NEEDED = frozenset(
    [
        b"EXPORTER_SECRET", b"EARLY_EXPORTER_SECRET", b"ECH_SECRET", b"ECH_CONFIG",
        # Of key updates, as OpenSSL writes them: each follows from the one before.
        b"CLIENT_TRAFFIC_SECRET_N", b"SERVER_TRAFFIC_SECRET_N",
    ]
)  # fmt: skip


class KeyMaterial:
    """All that may open a connection of a capture.

    Attributes:
        version: grows with every secret, so that those who wait know when to look again.
        growing: more may come later (a live capture): what has no keys yet waits a while.
        findings: on key logs.
        late: client randoms of secrets that came behind packets, and opened nothing yet.
        missed: client and server → connections that were over before the key log got their secrets, of up to
            :data:`SESSIONS` such pairs; ``missed_in_all``: of all.
    """

    def __init__(self) -> None:
        self.version = 0
        self.growing = False
        self.findings: list[Finding] = []
        self.late: set[bytes] = set()
        self.missed: dict[tuple[Endpoint, Endpoint], int] = {}
        self.missed_in_all = 0
        self._over: dict[bytes, tuple[tuple[Endpoint, Endpoint], TlsFacts | None]] = {}
        """Client randoms of connections that are over and had no keys, while some may come → whose they are."""
        self._is_late = False
        self.rsa_opened = False
        """A private key opened something."""
        self.useless = {False: 0, True: 0}
        """Connections that a private key does not open: of TLS 1.3 (of any server), of its own server before."""
        self._secrets: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
        """(label, what it is for) → secret."""
        self._logged_premasters = 0
        """How many of them are pre-master secrets: every connection asks, and a key log has a line for each."""
        self._full = False
        self._rsa: list[RSAPrivateKey] = []
        self._premasters: list[bytes] = []
        self._sessions: OrderedDict[bytes, bytes] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._secrets or self._rsa or self._premasters)

    # -- what is given -----------------------------------------------------------------------------------------------

    def add_log(self, text: bytes, name: str = "the capture", *, late: bool = False) -> None:
        """A whole key log, such as that of a decryption secrets block; ``late``: it stood behind packets."""
        log = KeyLog(self, name)
        self._is_late = late
        log.feed(text)
        log.end()
        self._is_late = False

    def add_rsa(self, key: RSAPrivateKey) -> None:
        """A private key."""
        self._rsa.append(key)
        self.version += 1

    def rsa_pem(self) -> tuple[bytes, ...]:
        """The private keys as unencrypted PEM, for another program."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return tuple(
            key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()) for key in self._rsa
        )

    def add_premaster(self, text: str) -> None:
        """A pre-master secret in hexadecimal digits; ``RANDOM:SECRET`` for the connection of one client random.

        Raises:
            UsageError: it is none.
        """
        random, _, secret = text.rpartition(":")
        try:
            value, client = bytes.fromhex(secret), bytes.fromhex(random)
        except ValueError:
            value = client = b""
        if not value or len(client) not in (0, 32):
            raise UsageError(
                "a pre-master secret is given in hexadecimal digits, if need be behind the 64 digits of the client "
                "random and a colon"
            )
        if client:
            self._keep(b"PMS_CLIENT_RANDOM", client, value)
        else:
            self._premasters.append(value)
            self.version += 1

    @property
    def has_rsa(self) -> bool:
        """There are private keys."""
        return bool(self._rsa)

    def not_by_rsa(self, modulus: int | None) -> None:
        """A connection agrees on its secret in another way; ``modulus``: of the server's certificate, where seen."""
        if modulus is None:
            self.useless[False] += 1
        elif any(key.public_key().public_numbers().n == modulus for key in self._rsa):
            self.useless[True] += 1

    def said(self) -> list[Finding]:
        """Findings on key logs and keys."""
        found = list(self.findings)
        own, others = self.useless[True], self.useless[False]
        if own or (others and not self.rsa_opened):
            which = f"{own} of its server agree on" if own else f"{others} are of TLS 1.3, which agrees on"
            found.append(
                RSA_ONLY(
                    f"a private RSA key opens only connections whose secret was encrypted with it; {which} the secret "
                    "by Diffie-Hellman: those need a key log"
                )
            )
        return found

    def _keep(self, label: bytes, what: bytes, secret: bytes) -> None:
        key = (label, what)
        before = self._secrets.get(key)
        if before == secret:
            return
        self._secrets[key] = secret
        self._logged_premasters += before is None and label in _PREMASTER
        self.version += 1
        if what in self._over:
            pair, facts = self._over.pop(what)
            self.missed_in_all += 1
            if pair in self.missed or len(self.missed) < SESSIONS:
                self.missed[pair] = self.missed.get(pair, 0) + 1
            if facts is not None:
                facts.state = "late keys"
        if self._is_late and len(what) == RANDOM and len(self.late) < SECRETS:
            self.late.add(what)
        if len(self._secrets) > SECRETS:
            (forgotten, _), _ = self._secrets.popitem(last=False)
            self._logged_premasters -= forgotten in _PREMASTER
            if not self._full:
                self._full = True
                self.findings.append(FULL(f"more than {SECRETS} secrets: the oldest were forgotten"))

    def take_line(self, line: bytes) -> bool:
        """One line of a key log; False where it is none."""
        words = line.split()
        if not words or words[0].startswith(b"#"):
            return True
        label = words[0]
        try:
            if label == b"RSA" and len(words) >= 3 and words[1].startswith(b"Session-ID:"):
                if not words[2].startswith(b"Master-Key:"):
                    return False
                self._keep(b"SESSION", _hex(words[1][11:]), _hex(words[2][11:]))
                return True
            if label in _NOT_NEEDED:
                return True
            if len(words) != 3:
                return False
            what, secret = _hex(words[1]), _hex(words[2])
        except ValueError:
            return False
        sizes = (len(what), len(secret))
        if (
            (label == b"CLIENT_RANDOM" and sizes == (32, 48))
            or (label == b"RSA" and sizes == (8, 48))
            or (label == b"PMS_CLIENT_RANDOM" and sizes[0] == 32 and secret)
            or (label in _TRAFFIC and sizes[0] == 32 and sizes[1] in (32, 48))
        ):
            self._keep(label, what, secret)
        else:
            return False
        return True

    def over(self, client_random: bytes, pair: tuple[Endpoint, Endpoint], facts: TlsFacts | None) -> None:
        """A connection is over, and had no keys.

        Args:
            client_random: of it.
            pair: client and server.
            facts: what is told of it, None where nothing is.
        """
        if self.growing and len(self._over) < SESSIONS:
            self._over[client_random] = pair, facts

    # -- what is asked -----------------------------------------------------------------------------------------------

    def traffic(self, label: bytes, client_random: bytes) -> bytes | None:
        """A traffic secret of TLS 1.3."""
        self.late.discard(client_random)
        return self._secrets.get((label, client_random))

    def knows13(self, client_random: bytes) -> bool:
        """Whether any traffic secret of the connection is there."""
        return any((label, client_random) in self._secrets for label in _TRAFFIC)

    def master(self, client_random: bytes) -> bytes | None:
        """The master secret that the key log has."""
        self.late.discard(client_random)
        return self._secrets.get((b"CLIENT_RANDOM", client_random))

    def session(self, name: bytes) -> bytes | None:
        """The master secret of a session, by its id or its ticket."""
        return (self._sessions.get(_short(name)) or self._secrets.get((b"SESSION", name))) if name else None

    def remember(self, name: bytes, master: bytes) -> None:
        """A session was made: its id or ticket, and its master secret."""
        if name:
            name = _short(name)
            self._sessions[name] = master
            self._sessions.move_to_end(name)
            if len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)

    @property
    def opens_premaster(self) -> bool:
        """Whether pre-master secrets could be had at all: without, no handshake needs to be kept."""
        return bool(self._rsa or self._premasters or self._logged_premasters)

    def premasters(self, client_random: bytes, encrypted: bytes, offered: int, modulus: int | None) -> list[bytes]:
        """The pre-master secrets that may be that of a handshake, the likeliest first.

        Args:
            client_random: of the ClientHello.
            encrypted: the encrypted pre-master secret of an RSA key exchange, b"" for another one.
            offered: version of the ClientHello, which the secret begins with.
            modulus: of the server's certificate, where it is known: says which private key it is.
        """
        found: list[bytes] = []
        known = self._secrets.get((b"PMS_CLIENT_RANDOM", client_random))
        if known is not None:
            found.append(known)
        if encrypted:
            known = self._secrets.get((b"RSA", encrypted[:8]))
            if known is not None:
                found.append(known)
            for key in self._rsa:
                if modulus is None or key.public_key().public_numbers().n == modulus:
                    opened = _decrypted(key, encrypted)
                    if opened is not None and opened[:2] == offered.to_bytes(2, "big"):
                        found.append(opened)
        return found + self._premasters


class KeyLog:
    """A key log that comes in pieces; lines count when they are whole.

    Args:
        keys: takes the secrets.
        name: of the file, for findings.
    """

    def __init__(self, keys: KeyMaterial, name: str) -> None:
        self._keys = keys
        self._name = name
        self._rest = b""
        self._number = 0
        self._bad: list[int] = []
        self._count = 0
        self._good = 0

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()[:LINE]
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """No more bytes: a last line without an end counts, and what was not understood is told."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        if self._count:
            where = ", ".join(map(str, self._bad)) + (", …" if self._count > len(self._bad) else "")
            one = self._count == 1
            words = f"line{'' if one else 's'} {where} of the key log {'is' if one else 'are'} not understood"
            if self._good:
                self._keys.findings.append(LINES(f"{self._name}: {words}"))
            else:
                self._keys.findings.append(NONE(f"{self._name}: holds no secret: {words}"))
            self._count = 0

    def _line(self, line: bytes) -> None:
        self._number += 1
        if b"\0" in line or self._number == 1:
            # As shells of Windows write: UTF-16, marks of order.
            line = line.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe")
        if len(line) > LINE or not self._keys.take_line(line):
            self._count += 1
            if len(self._bad) < 5:
                self._bad.append(self._number)
        elif line.strip() and not line.lstrip().startswith(b"#"):
            self._good += 1


def _short(name: bytes) -> bytes:
    if len(name) <= NAME:
        return name
    # Captures without long names, nearly all, do not wait for it.
    import hashlib

    return hashlib.sha256(name).digest()


def _hex(word: bytes) -> bytes:
    return bytes.fromhex(word.decode("ascii"))


def _decrypted(key: RSAPrivateKey, encrypted: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    try:
        secret = key.decrypt(encrypted, PKCS1v15())
    except ValueError:
        return None
    # Where the padding is wrong, some versions of OpenSSL give chance bytes instead of an error.
    return secret if len(secret) == 48 else None
