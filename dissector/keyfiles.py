"""Files that hold keys for TLS: key logs (which may grow while a capture is under way) and private RSA keys.

A key log may be a pipe, such as a shell's ``<(ssh device cat keys)``, or standard input. Of a capture that is over the
keys are needed before its first packet: the pipe is waited for, until its writer closes it or has been silent for a
while (:data:`SILENT`); what comes later counts for what is still to be read.

What a file is, is told by its bytes: PEM, DER (PKCS#1, PKCS#8) or PKCS#12. A password comes from the caller, who takes
it from the environment and never from the command line, which others can see.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dissector.base.errors import UnreadableInput, UsageError
from dissector.base.findings import rule
from dissector.capture.writer import TLS_KEY_LOG
from dissector.transport.tls import KeyLog, KeyMaterial

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["PASSWORD", "KeyFiles", "load_rsa_key"]

PASSWORD = "DSMSHARK_KEY_PASSWORD"
"""Environment variable with the password of private keys."""

PIECE = 1 << 20
LONGEST_LOG = 64 << 20
"""Bytes of a key log that are passed on."""
STANDARD_INPUT = "-"
FIRST = 10.0
"""Seconds that the first byte of a pipe is waited for."""
SILENT = 2.0
"""Seconds without a byte after which a pipe is not waited for any more."""
LONGEST_WAIT = 60.0
"""Seconds that one pipe is waited for in all."""
LONGEST_KEY = 1 << 20
"""Bytes of a private key's file."""

PIPE = rule(
    "tls.keylog-open",
    "warn",
    "a key log was still being written: secrets that came late, or did not come, opened nothing",
)
LATE = rule(
    "tls.secrets-late",
    "warn",
    "secrets inside the capture stand behind the packets that they may open, which were gone",
)
TOO_LATE = rule(
    "tls.keylog-late", "warn", "a key log that grows got the secrets of connections only when these were over"
)

Path = str | os.PathLike[str]


class KeyFiles:
    """The key material of a user: files are read when it is made, and key logs again at each :meth:`poll`.

    Args:
        keylogs: NSS key logs.
        rsa_keys: private keys.
        premasters: pre-master secrets as text, see :meth:`KeyMaterial.add_premaster`.
        password: of the private keys.

    Attributes:
        keys: the material; grows.
        given: some of it is the user's, and not from inside the capture; known when a pass begins, but for what a
            key log gets later.

    Raises:
        UnreadableInput: a file cannot be read, or is no key.
        UsageError: two key logs are standard input, or a pre-master secret is none.
    """

    def __init__(
        self,
        keylogs: Sequence[Path] = (),
        rsa_keys: Sequence[Path] = (),
        premasters: Sequence[str] = (),
        password: bytes | None = None,
    ) -> None:
        self.keys = KeyMaterial()
        for path in rsa_keys:
            self.keys.add_rsa(load_rsa_key(path, password))
        for text in premasters:
            self.keys.add_premaster(text)
        if sum(os.fspath(path) == STANDARD_INPUT for path in keylogs) > 1:
            raise UsageError("standard input (-) can be given only once")
        self._logs = [_log(self.keys, path) for path in keylogs]
        self.given = False
        self._told = 0
        self._inside: set[bytes] = set()
        """Key logs of the capture that were taken up."""
        self._missing: UnreadableInput | None = None
        for log in self._logs:
            try:
                log.poll()
            except UnreadableInput as refusal:
                self._missing = self._missing or refusal

    def key_logs(self) -> tuple[bytes, ...]:
        """The texts of the key logs, as they are now.

        Raises:
            UnreadableInput: one cannot be read.
        """
        return tuple(log.text() for log in self._logs)

    def pem(self) -> tuple[bytes, ...]:
        """The private keys, as unencrypted PEM."""
        return self.keys.rsa_pem()

    def begin(self, *, live: bool) -> None:
        """A pass begins. ``live``: the capture is under way, and its key logs grow with it or come only later.

        Raises:
            UnreadableInput: a key log cannot be read, and the capture is over.
        """
        self._told = 0
        if self._missing is not None and not live:
            raise self._missing
        if not live:
            for log in self._logs:
                log.wait()
                if not log.open:
                    # Its last line may lack an end.
                    log.end()
        if not self._inside:
            self.given = bool(self.keys)
        self.keys.growing = bool(self._logs) and (live or any(log.open for log in self._logs))

    def ahead(self, logs: Sequence[bytes]) -> None:
        """Take up the key logs inside the capture that are still to come."""
        for text in logs:
            if text not in self._inside:
                self._inside.add(text)
                self.keys.add_log(text)

    def refresh(self, secrets: Sequence[tuple[int, bytes]], *, late: bool = False) -> bool:
        """Take up what is new: lines of the key logs, and secrets blocks of the capture.

        Args:
            secrets: all that were met in this pass, as (type, bytes).
            late: there were packets before the new ones.

        Returns:
            Whether there are keys, or some may come.
        """
        for kind, text in secrets[self._told :]:
            if kind == TLS_KEY_LOG and text not in self._inside:
                self._inside.add(text)
                self.keys.add_log(text, late=late)
                # They come one by one: connections may wait for theirs.
                self.keys.growing = self.keys.growing or late
        self._told = len(secrets)
        self.poll()
        return bool(self.keys) or self.keys.growing

    def poll(self) -> None:
        """Read what was added to the key logs."""
        if self.keys.growing:
            before = self.keys.version
            for log in self._logs:
                try:
                    log.poll()
                except UnreadableInput:
                    # Not there yet, or not any more.
                    continue
            self.given = self.given or self.keys.version > before

    def end(self) -> None:
        """The pass is over: nothing is waited for any more."""
        self.poll()
        self.keys.growing = False
        for log in self._logs:
            if log.open:
                self.keys.findings.append(PIPE(f"{log.name}: the key log was still being written when all was read"))
            log.end()
        if self.keys.missed_in_all:
            count = self.keys.missed_in_all
            self.keys.findings.append(
                TOO_LATE(
                    f"the key log got the secrets of {count} connection{'s' if count > 1 else ''} when "
                    f"{'they were' if count > 1 else 'it was'} over, and opened nothing of "
                    f"{'them' if count > 1 else 'it'}: written to a file, the capture can be read again with all keys"
                )
            )
        if self.keys.late:
            count = len(self.keys.late)
            self.keys.findings.append(
                LATE(
                    f"secrets of {count} connection{'s' if count > 1 else ''} stand behind other packets and opened "
                    "nothing; if their connections came before, they can be read from an uncompressed file, which is "
                    "read twice"
                )
            )


def _log(keys: KeyMaterial, path: Path) -> _Followed | _Piped:
    """The log of a path: a file is read by name and may be replaced, a pipe is read once."""
    name = os.fspath(path)
    try:
        mode = os.fstat(0).st_mode if name == STANDARD_INPUT else os.stat(name).st_mode
    except (OSError, ValueError):
        # Not there, or not yet.
        return _Followed(keys, name)
    return _Followed(keys, name) if stat.S_ISREG(mode) and name != STANDARD_INPUT else _Piped(keys, name)


class _Piped:
    """A key log that can be read only once.

    Attributes:
        open: more may come.
    """

    def __init__(self, keys: KeyMaterial, name: str) -> None:
        self.name = "standard input" if name == STANDARD_INPUT else name
        self.open = True
        self._log = KeyLog(keys, self.name)
        self._text = bytearray()
        try:
            # A named pipe without a writer yet must not hold up the opening. Flags of standard input belong to others.
            self._descriptor = (
                0 if name == STANDARD_INPUT else os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            )
        except OSError as error:
            raise UnreadableInput(f"{self.name}: the key log cannot be read: {error.strerror}") from None

    def wait(self) -> None:
        """Read until its writer closes it, or is silent."""
        begin = time.monotonic()
        patience = SILENT if self._text else FIRST
        while self.open and time.monotonic() - begin < LONGEST_WAIT and self._more(patience):
            patience = SILENT

    def poll(self) -> None:
        """Read what is there."""
        while self.open and self._more(0):
            continue

    def _more(self, seconds: float) -> bool:
        """Read once, where something comes in this time; whether something came."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(int(seconds * 1000)):
            return False
        try:
            piece = os.read(self._descriptor, PIECE)
        except BlockingIOError:
            return False
        except OSError as error:
            raise UnreadableInput(f"{self.name}: the key log cannot be read: {error.strerror}") from None
        if not piece:
            self.open = False
            if self._descriptor:
                os.close(self._descriptor)
        if len(self._text) < LONGEST_LOG:
            self._text += piece
        self._log.feed(piece)
        return True

    def end(self) -> None:
        """No more is waited for."""
        self._log.end()

    def text(self) -> bytes:
        """What was read."""
        self.wait()
        return bytes(self._text)


class _Followed:
    """One key log that is a file, and how far it was read."""

    open = False

    def __init__(self, keys: KeyMaterial, path: str) -> None:
        self.name = self._path = path
        self._log = KeyLog(keys, self._path)
        self._at = 0
        self._seen: tuple[int, int] | None = None

    def poll(self) -> None:
        """Read what was added."""
        try:
            found = os.stat(self._path)
            seen = (found.st_size, found.st_mtime_ns)
            if seen == self._seen:
                return
            self._seen = seen
            if found.st_size < self._at:
                self._at = 0
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                while piece := os.pread(descriptor, PIECE, self._at):
                    self._at += len(piece)
                    self._log.feed(piece)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UnreadableInput(f"{self._path}: the key log cannot be read: {reason}") from None

    def wait(self) -> None:
        """Nothing: it was read as far as it goes."""

    def end(self) -> None:
        """No more is waited for."""
        self._log.end()

    def text(self) -> bytes:
        """The whole file."""
        try:
            with open(self._path, "rb") as file:
                return file.read(LONGEST_LOG)
        except OSError as error:
            raise UnreadableInput(f"{self._path}: the key log cannot be read: {error.strerror}") from None


def load_rsa_key(path: Path, password: bytes | None = None) -> RSAPrivateKey:
    """A private RSA key out of a file.

    Raises:
        UnreadableInput: the file cannot be read, or is no such key.
        UsageError: it needs a password, or another one.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST_KEY + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableInput(f"{name}: the private key cannot be read: {reason}") from None
    if len(data) > LONGEST_KEY:
        raise UnreadableInput(f"{name}: is longer than a private key can be")
    key = _loaded(name, data, password)
    if key is None:
        raise UnreadableInput(
            f"{name}: is no private key in PEM, DER or PKCS#12"
            + (" (it may need a password: set " + PASSWORD + ")" if password is None else "")
        )
    if not isinstance(key, RSAPrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
        raise UnreadableInput(
            f"{name}: is a key of kind {kind}; only RSA keys open recorded connections, the others need a key log"
        )
    return key


def _loaded(name: str, data: bytes, password: bytes | None) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key, pkcs12

    pem = b"-----BEGIN" in data
    readers = [load_pem_private_key] if pem else [load_der_private_key, pkcs12.load_key_and_certificates]
    for reader in readers:
        for secret in dict.fromkeys([password, None]):
            try:
                # A key whose parts do not fit the common checks (p below q) still opens what was encrypted for it.
                if reader is pkcs12.load_key_and_certificates:
                    found: Any = reader(data, secret)
                    return found[0]
                return reader(data, secret, unsafe_skip_rsa_key_validation=True)  # type: ignore[operator]  # PEM, DER
            except TypeError:
                # No password where one is needed, or one where none is.
                if secret is not None:
                    continue
                if password is None:
                    raise UsageError(
                        f"{name}: the private key is encrypted: put its password into {PASSWORD}"
                    ) from None
                # The padding of what a wrong password decrypts is right by chance, once in 256 keys: the reader then
                # says that it is no key, not that the password is wrong.
                raise _other_password(name) from None
            except UnsupportedAlgorithm as error:
                raise UnreadableInput(f"{name}: the private key cannot be read: {error}") from None
            except ValueError as error:
                if "password" in str(error).lower() and (password is not None or reader is not load_der_private_key):
                    raise _other_password(name) from None
    return None


def _other_password(name: str) -> UsageError:
    return UsageError(f"{name}: the private key needs another password than {PASSWORD} has")
