"""Fingerprints of certificates: what a person compares, and pins a device by."""

from __future__ import annotations

import hashlib
import re

from dissector.base.errors import UsageError
from replay.net.tls_failure import TlsFailure

__all__ = ["check_fingerprint", "fingerprint", "normal_fingerprint"]


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, upper-case hex with colons."""
    return hashlib.sha256(der).digest().hex(":").upper()


def check_fingerprint(der: bytes, pinned: str) -> None:
    """Compare a peer's certificate with the fingerprint that it must have.

    Args:
        der: the certificate; b"" where the peer gave none.
        pinned: SHA-256 in hex, with or without colons, spaces and ``sha256:`` before it.

    Raises:
        TlsFailure: it is another certificate.
        UsageError: ``pinned`` is no SHA-256 fingerprint.
    """
    wanted = normal_fingerprint(pinned)
    if not der:
        raise TlsFailure("no-certificate", "the peer gave no certificate, so its fingerprint cannot be compared")
    found = fingerprint(der)
    if found != wanted:
        raise TlsFailure("fingerprint", f"the peer's certificate has the fingerprint {found}, expected is {wanted}")


def normal_fingerprint(text: str) -> str:
    """A fingerprint as a person writes it, as :func:`fingerprint` gives it.

    Raises:
        UsageError: it is none.
    """
    digits = re.sub(r"[:\s]", "", re.sub(r"(?i)^\s*sha-?256:", "", text))
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        raise UsageError(f"{text!r} is no SHA-256 fingerprint (64 hex digits), nor “system”, “none” or a PEM file")
    return bytes.fromhex(digits).hex(":").upper()
