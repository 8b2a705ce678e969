"""TLS without sockets: cipher text in, plain text out, and back; and failures in words for people.

Whoever owns the socket sees both sides of the encryption, which the capture of our own traffic needs, and can cut a
connection after any number of bytes. Python's ``ssl`` does the work, over memory.

Rules: whatever the peer sends raises nothing but :class:`TlsFailure`; ``outgoing()`` then still holds the alert that
tells the peer. Plain text that came before a failure is given out first.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dissector.base.errors import UnreadableInput, UnwritableOutput, UsageError
from replay.net.fingerprints import normal_fingerprint
from replay.net.tls_failure import FIRST, TlsFailure, failure_of

if TYPE_CHECKING:
    from replay.net.certificates import Identity

__all__ = [
    "TlsChannel",
    "TlsFailure",
    "client_context",
    "server_context",
]

OLDEST = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
"""What may be given as the oldest version."""

OLD_CIPHERS = "DEFAULT:@SECLEVEL=0"
"""Ciphers where versions before 1.2 are allowed: these need SHA-1, which OpenSSL's level 0 alone permits."""

READ = 1 << 16
"""Plain bytes of one call of OpenSSL; a record holds at most 16 KiB."""

_LEGACY_SERVER_CONNECT = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT: servers without RFC 5746; Python names it from 3.12 on."""


# -- contexts ----------------------------------------------------------------------------------------------------


def server_context(
    identity: Identity,
    client_certificates: str = "none",
    authorities: Path | None = None,
    keylog: Path | None = None,
    oldest: str = "1.2",
) -> ssl.SSLContext:
    """How a server speaks TLS.

    Args:
        identity: its certificate.
        client_certificates: ``none``, ``asked`` (a client without one is served, a wrong one refused) or
            ``required``.
        authorities: PEM of the authorities (or single certificates) that clients' certificates must come from; None for
            those that the system trusts.
        keylog: file that gets the secrets of each connection (NSS format), appended; made with mode 0600.
        oldest: TLS version, ``1.0`` to ``1.3``. Below 1.2 weak ciphers are allowed too: for old
            devices in laboratories.

    Raises:
        UsageError: an argument is wrong.
        UnwritableOutput: the key log cannot be written.
        UnreadableInput: a PEM file cannot be read.
    """
    asked = {"none": ssl.CERT_NONE, "asked": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
    if client_certificates not in asked:
        raise UsageError(f"client certificates are {', '.join(asked)}, not {client_certificates!r}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context, oldest, keylog)
    _load_identity(context, identity)
    context.verify_mode = asked[client_certificates]
    if context.verify_mode != ssl.CERT_NONE:
        _load_trust(context, authorities, ssl.Purpose.CLIENT_AUTH)
    return context


def client_context(
    trust: str | Path = "system",
    identity: Identity | None = None,
    keylog: Path | None = None,
    oldest: str = "1.2",
) -> ssl.SSLContext:
    """How a client speaks TLS.

    Args:
        trust: whose certificates are good: ``system`` (its authorities), a PEM file of authorities or single
            certificates, ``none`` (anybody: no protection against a man in the middle), or a SHA-256 fingerprint. With
            a fingerprint the context verifies nothing: call :func:`~replay.net.fingerprints.check_fingerprint` after
            the handshake, before anything is sent.
        identity: the client's certificate, for servers that ask for one.
        keylog, oldest: as for :func:`server_context`.

    Raises:
        UsageError, UnreadableInput: as :func:`server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _common(context, oldest, keylog)
    if isinstance(trust, str) and trust != "system":
        if trust != "none":
            normal_fingerprint(trust)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_trust(context, trust if isinstance(trust, Path) else None, ssl.Purpose.SERVER_AUTH)
    if identity is not None:
        _load_identity(context, identity)
    return context


def _common(context: ssl.SSLContext, oldest: str, keylog: Path | None) -> None:
    if oldest not in OLDEST:
        raise UsageError(f"TLS versions are {', '.join(OLDEST)}, not {oldest!r}")
    if oldest in ("1.0", "1.1"):
        context.set_ciphers(OLD_CIPHERS)
        context.options |= _LEGACY_SERVER_CONNECT
    with warnings.catch_warnings():
        # Python calls the old versions deprecated; who asks for them has an old device.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = OLDEST[oldest]
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Wireshark shows HTTP inside TLS on any port by this.
    context.set_alpn_protocols(["http/1.1"])
    if keylog is not None:
        try:
            os.close(os.open(keylog, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            context.keylog_filename = str(keylog)
        except OSError as error:
            raise UnwritableOutput(f"{keylog}: the key log cannot be written: {error.strerror or error}") from error


def _load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    def no_passphrase() -> NoReturn:
        # Without this OpenSSL would ask on the terminal, and wait.
        raise UnreadableInput(f"{identity.key_path}: the key is protected by a passphrase; save it without one")

    try:
        context.load_cert_chain(identity.cert_path, identity.key_path, no_passphrase)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror if not isinstance(error, ssl.SSLError) else error.reason
        raise UnreadableInput(f"{identity.cert_path}: certificate and key cannot be used: {why or error}") from error


def _load_trust(context: ssl.SSLContext, file: Path | None, purpose: ssl.Purpose) -> None:
    # A single certificate in the file is trusted too, not only authorities.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if file is None:
        context.load_default_certs(purpose)
        return
    try:
        context.load_verify_locations(file)
    except OSError as error:
        why = "no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise UnreadableInput(f"{file}: {why}") from error


# -- the channel -------------------------------------------------------------------------------------------------


class TlsChannel:
    """One TLS connection over memory.

    Feed it what the socket gave (:meth:`receive`), and after each call put :meth:`outgoing` on the wire.

    Args:
        context: of :func:`server_context` or :func:`client_context`.
        server_side: this end is the server.
        server_hostname: of a client: name or address that the server's certificate must have.

    Raises:
        TlsFailure: the host name cannot be one.
    """

    def __init__(self, context: ssl.SSLContext, server_side: bool, server_hostname: str | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._peer = "client" if server_side else "server"
        self._hostname = (server_hostname or "").strip("[]").partition("%")[0].rstrip(".")
        self._oldest = next((name for name, version in OLDEST.items() if version == context.minimum_version), "1.2")
        try:
            self._tls = context.wrap_bio(
                self._incoming, self._outgoing, server_side, None if server_side else self._hostname or None
            )
        except (ValueError, TypeError) as error:  # TypeError: it holds a null byte
            raise TlsFailure("name", f"{server_hostname!r} is no host name to speak TLS with: {error}") from error
        self._first = b""
        self._waiting: list[bytes] = []
        self._done = self._closed = self._ended = self._truncated = False
        self._error: TlsFailure | None = None

    @property
    def handshake_done(self) -> bool:
        """Keys are agreed on. With TLS 1.3 a server may still refuse the client's certificate after that."""
        return self._done

    @property
    def heard(self) -> bool:
        """The peer said something, whatever it was."""
        return bool(self._first)

    @property
    def closed(self) -> bool:
        """The peer's close_notify came: nothing more comes from it."""
        return self._closed

    @property
    def truncated(self) -> bool:
        """The connection ended without close_notify: what came may be cut short (many devices never send one)."""
        return self._truncated

    @property
    def version(self) -> str | None:
        """Such as ``TLSv1.3``; None before the handshake is over."""
        return self._tls.version() if self._done else None

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite; None before the handshake is over."""
        chosen = self._tls.cipher() if self._done else None
        return chosen[0] if chosen else None

    @property
    def peer_certificate(self) -> bytes | None:
        """DER; None before the handshake is over, and of a client that gave none."""
        return self._tls.getpeercert(True) if self._done else None

    @property
    def error(self) -> TlsFailure | None:
        """Why it failed, None as long as it did not."""
        return self._error

    def start(self) -> None:
        """Begin the handshake: puts the client's hello into :meth:`outgoing`; nothing happens at a server.

        Raises:
            TlsFailure: no TLS version is left that both context and system allow.
        """
        self._raise_failure()
        try:
            self._handshake()
        except ssl.SSLError as error:
            raise self._failed(error) from error

    def receive(self, cipher: bytes) -> bytes:
        """Take bytes of the wire, give the plain bytes that came out of them (b"" where none did).

        Bytes after the peer's close_notify are dropped.

        Raises:
            TlsFailure: now and at each further call. Plain bytes that were readable before the failure come first: then
                the failure is raised at the next call and is in :attr:`error` at once.
        """
        self._raise_failure()
        if self._closed:
            return b""
        if len(self._first) < FIRST:
            self._first = (self._first + cipher[:FIRST])[:FIRST]
        self._incoming.write(cipher)
        plain: list[bytes] = []
        try:
            if self._handshake():
                while data := self._tls.read(READ):
                    plain.append(data)
                self._closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._closed = True
        except ssl.SSLError as error:
            failure = self._failed(error)
            if not plain:
                raise failure from error
        return b"".join(plain)

    def end(self) -> None:
        """The socket gave its end.

        Raises:
            TlsFailure: in the handshake. After it a missing close_notify only sets :attr:`truncated`.
        """
        self._raise_failure()
        if not self._done:
            words = f"the {self._peer} closed the connection in the TLS handshake"
            if self._peer == "client":
                words += "; often because it does not trust our certificate"
            self._error = TlsFailure("cut", words)
            raise self._error
        self._truncated = not self._closed

    def send(self, plain: bytes) -> None:
        """Encrypt; before the handshake is over the bytes wait for its end.

        Raises:
            TlsFailure: the connection failed before, or :meth:`close` was called.
        """
        self._raise_failure()
        if self._ended:
            raise TlsFailure("closed", "nothing can be sent any more: this end has closed the TLS connection")
        if plain:
            self._waiting.append(plain)
        if self._done:
            try:
                self._write()
            except ssl.SSLError as error:
                raise self._failed(error) from error

    def outgoing(self) -> bytes:
        """The bytes to put on the wire now; they are given once."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say the end (close_notify, RFC 8446, 6.1); harmless when it was said, or before the handshake is over."""
        if self._ended:
            return
        self._ended = True
        if not self._done or self._error is not None:
            return
        # Want read: the peer's own close_notify has not come. Others: nobody is left to say it to.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    def _handshake(self) -> bool:
        if not self._done:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            self._done = True
            self._write()
        return True

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        for piece in waiting:
            rest = memoryview(piece)
            while rest:
                rest = rest[self._tls.write(rest) :]

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise self._error

    def _failed(self, error: ssl.SSLError) -> TlsFailure:
        self._error = failure_of(error, self._peer, self._hostname, self._oldest, b"" if self._done else self._first)
        return self._error
