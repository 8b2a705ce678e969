"""Numbers of the protocol and their words.

Sources: RFC 8446 B (and the registries it names), RFC 5246 A, RFC 6101.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "COMPRESSIONS", "RAW_PUBLIC_KEY", "RETRY_RANDOM", "SSL30", "TLS10", "TLS11", "TLS12", "TLS13", "Content",
    "Extension", "Shake", "version_name",
]  # fmt: skip

SSL20, SSL30, TLS10, TLS11, TLS12, TLS13 = 0x0002, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that is a HelloRetryRequest (RFC 8446 4.1.3)."""


class Content(IntEnum):
    """Content types of records."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    DATA = 23
    HEARTBEAT = 24


class Shake(IntEnum):
    """Types of handshake messages."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_URL = 21
    CERTIFICATE_STATUS = 22
    SUPPLEMENTAL_DATA = 23
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25


class Extension(IntEnum):
    """Extensions that are looked at."""

    SERVER_NAME = 0
    ALPN = 16
    CLIENT_CERTIFICATE_TYPE = 19
    SERVER_CERTIFICATE_TYPE = 20
    ENCRYPT_THEN_MAC = 22
    EXTENDED_MASTER_SECRET = 23
    SESSION_TICKET = 35
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    CERTIFICATE_AUTHORITIES = 47
    KEY_SHARE = 51
    ENCRYPTED_CLIENT_HELLO = 0xFE0D


RAW_PUBLIC_KEY = 2
"""Certificate type of a raw public key (RFC 7250 3)."""
COMPRESSIONS = {1: "zlib", 2: "brotli", 3: "zstd"}
"""Of certificates (RFC 8879 3)."""


_VERSIONS = {
    SSL20: "SSL 2.0",
    SSL30: "SSL 3.0",
    TLS10: "TLS 1.0",
    TLS11: "TLS 1.1",
    TLS12: "TLS 1.2",
    TLS13: "TLS 1.3",
}


def version_name(version: int) -> str:
    """``TLS 1.2``; drafts of 1.3 and unknown ones as they are."""
    if version >> 8 == 0x7F:
        return f"TLS 1.3 draft {version & 0xFF}"
    return _VERSIONS.get(version, f"0x{version:04x}")
