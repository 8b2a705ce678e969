"""Reads the authorities that a user trusts: PEM or DER, a file, a folder of files, or those of the machine."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator

from dissector.base.errors import UnreadableInput
from dissector.transport.tls.trust import TrustStore

__all__ = ["SYSTEM", "read_trust"]

SYSTEM = "system"
"""Stands for what OpenSSL of this machine trusts (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` change it)."""

LONGEST = 16 << 20
"""Bytes of one file."""
FILES = 10_000
"""Files of one folder."""

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END")


def read_trust(paths: list[str]) -> TrustStore:
    """The store of all these.

    Raises:
        UnreadableInput: one cannot be read, or holds no certificate.
    """
    found: list[bytes] = []
    names = []
    for path in paths:
        before = len(found)
        for name in _system() if path == SYSTEM else [path]:
            found += _folder(name) if os.path.isdir(name) else _file(name)
        if len(found) == before:
            what = "this machine has" if path == SYSTEM else f"{path}: holds"
            raise UnreadableInput(f"{what} no certificate in PEM or DER")
        names.append("the store of this machine" if path == SYSTEM else os.path.basename(path.rstrip("/")) or path)
    store = TrustStore(", ".join(names), found)
    if not len(store):
        raise UnreadableInput(f"{', '.join(paths)}: no certificate in there can be read")
    return store


def _system() -> list[str]:
    import ssl

    paths = ssl.get_default_verify_paths()
    return [path for path in (paths.cafile, None if paths.cafile else paths.capath) if path]


def _folder(path: str) -> Iterator[bytes]:
    try:
        names = sorted(entry.path for entry in os.scandir(path) if entry.is_file())
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be read: {error.strerror}") from None
    for name in names[:FILES]:
        try:
            yield from _file(name)
        except UnreadableInput:
            # A folder may hold what is no certificate, or not for everybody.
            continue


def _file(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableInput(f"{path}: cannot be read: {reason}") from None
    if len(data) > LONGEST:
        raise UnreadableInput(f"{path}: is longer than certificates can be")
    found = []
    for match in _PEM.finditer(data):
        try:
            found.append(base64.b64decode(match[1]))
        except binascii.Error:
            continue
    # DER: a sequence of the file's length.
    return found or ([data] if data[:2] == b"\x30\x82" else [])
