"""Files that hold keys for TLS: key logs (which may grow while a capture is under way) and private RSA keys.

What a file is, is told by its bytes: PEM, DER (PKCS#1, PKCS#8) or PKCS#12. A password comes from the caller, who takes
it from the environment and never from the command line, which others can see.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dissector.base.errors import UnreadableInput, UsageError
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
LONGEST_KEY = 1 << 20
"""Bytes of a private key's file."""

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

    Raises:
        UnreadableInput: a file cannot be read, or is no key.
        UsageError: a pre-master secret is none.
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
        self._logs = [_Followed(self.keys, path) for path in keylogs]
        self._told = 0
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
        self.keys.growing = live and bool(self._logs)
        if self._missing is not None and not live:
            raise self._missing

    def refresh(self, secrets: Sequence[tuple[int, bytes]]) -> bool:
        """Take up what is new: lines of the key logs, and secrets blocks of the capture.

        Args:
            secrets: all that were met in this pass, as (type, bytes).

        Returns:
            Whether there are keys, or some may come.
        """
        for kind, text in secrets[self._told :]:
            if kind == TLS_KEY_LOG:
                self.keys.add_log(text)
        self._told = len(secrets)
        self.poll()
        return bool(self.keys) or self.keys.growing

    def poll(self) -> None:
        """Read what was added to the key logs."""
        if self.keys.growing:
            for log in self._logs:
                try:
                    log.poll()
                except UnreadableInput:
                    # Not there yet, or not any more.
                    continue

    def end(self) -> None:
        """The pass is over: nothing is waited for any more."""
        self.poll()
        self.keys.growing = False
        for log in self._logs:
            log.end()


class _Followed:
    """One key log and how far it was read."""

    def __init__(self, keys: KeyMaterial, path: Path) -> None:
        self._path = os.fspath(path)
        self._log = KeyLog(keys, self._path)
        self._at = 0
        self._seen: tuple[int, int] | None = None

    def poll(self) -> None:
        try:
            found = os.stat(self._path)
            # A pipe is read as far as it goes, a file only where it changed.
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

    def end(self) -> None:
        self._log.end()

    def text(self) -> bytes:
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
                return reader(data, secret, unsafe_skip_rsa_key_validation=True)  # type: ignore[operator]
            except TypeError:
                # No password where one is needed, or one where none is.
                if secret is None:
                    raise UsageError(
                        f"{name}: the private key is encrypted: put its password into {PASSWORD}"
                    ) from None
            except UnsupportedAlgorithm as error:
                raise UnreadableInput(f"{name}: the private key cannot be read: {error}") from None
            except ValueError as error:
                if "password" in str(error).lower() and (password is not None or reader is not load_der_private_key):
                    raise UsageError(f"{name}: the private key needs another password than {PASSWORD} has") from None
    return None
