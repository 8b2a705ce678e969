"""Numbers of the protocol and their words.

Sources: RFC 8446 B (and the registries it names), RFC 5246 A, RFC 6101.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "COMPRESSIONS", "RAW_PUBLIC_KEY", "RETRY_RANDOM", "SSL30", "TLS10", "TLS11", "TLS12", "TLS13", "Content",
    "Extension", "Shake", "group_name", "signature_name", "version_name",
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
    SUPPORTED_GROUPS = 10
    SIGNATURE_ALGORITHMS = 13
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


_GROUPS = {
    19: "P-192", 21: "P-224", 23: "P-256", 24: "P-384", 25: "P-521", 29: "X25519", 30: "X448",
    256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
    0x11EB: "SecP256r1MLKEM768", 0x11EC: "X25519MLKEM768", 0x11ED: "SecP384r1MLKEM1024", 0x6399: "X25519Kyber768",
}  # fmt: skip
"""Groups of a key exchange (RFC 8446 4.2.7, RFC 8422 5.1.1, and the registry)."""


_SIGNATURES = {
    0x0201: "rsa_pkcs1_sha1", 0x0203: "ecdsa_sha1", 0x0401: "rsa_pkcs1_sha256", 0x0501: "rsa_pkcs1_sha384",
    0x0601: "rsa_pkcs1_sha512", 0x0403: "ecdsa_secp256r1_sha256", 0x0503: "ecdsa_secp384r1_sha384",
    0x0603: "ecdsa_secp521r1_sha512", 0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512", 0x0807: "ed25519", 0x0808: "ed448", 0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384", 0x080B: "rsa_pss_pss_sha512",
}  # fmt: skip
"""Signature algorithms (RFC 8446 4.2.3)."""


def signature_name(number: int) -> str:
    """``ecdsa_secp256r1_sha256``; unknown ones as numbers."""
    return _SIGNATURES.get(number, f"0x{number:04x}")


def group_name(group: int) -> str:
    """``X25519``; unknown ones as numbers."""
    return _GROUPS.get(group, f"group 0x{group:04x}")


def version_name(version: int) -> str:
    """``TLS 1.2``; drafts of 1.3 and unknown ones as they are."""
    if version >> 8 == 0x7F:
        return f"TLS 1.3 draft {version & 0xFF}"
    return _VERSIONS.get(version, f"0x{version:04x}")
