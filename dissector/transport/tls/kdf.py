"""From secrets to keys: the pseudorandom functions of SSL 3.0 to TLS 1.2 and the HKDF of TLS 1.3.

Sources: RFC 6101 5.2.8, 6.1, 6.2 (SSL 3.0); RFC 2246 5, 6.3 (TLS 1.0); RFC 5246 5, 6.3, 8.1 (TLS 1.2); RFC 7627 4
(extended master secret); RFC 8446 7.1–7.3 (TLS 1.3).
"""

from __future__ import annotations

import hashlib
import hmac

from dissector.transport.tls.names import SSL30, TLS12

__all__ = [
    "expand_label", "export_ivs", "export_key", "extended_master", "key_block", "master_secret", "next_secret",
    "transcript_hash",
]  # fmt: skip

MASTER = 48


def _p_hash(digest: str, secret: bytes, seed: bytes, size: int) -> bytes:
    out = b""
    step = seed
    while len(out) < size:
        step = hmac.digest(secret, step, digest)
        out += hmac.digest(secret, step + seed, digest)
    return out[:size]


def _prf(version: int, digest: str, secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """The pseudorandom function of TLS 1.0 to 1.2; ``digest`` counts from 1.2 on."""
    if version >= TLS12:
        return _p_hash(digest, secret, label + seed, size)
    half = (len(secret) + 1) // 2
    one = _p_hash("md5", secret[:half], label + seed, size)
    two = _p_hash("sha1", secret[len(secret) - half :], label + seed, size)
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


def _ssl3(secret: bytes, seed: bytes, size: int) -> bytes:
    out = b""
    step = 1
    # 26 letters: more is never asked for (RFC 6101 6.2.2).
    while len(out) < size and step <= 26:
        salt = bytes([64 + step]) * step
        inner = hashlib.sha1(salt + secret + seed, usedforsecurity=False).digest()
        out += hashlib.md5(secret + inner, usedforsecurity=False).digest()
        step += 1
    return out[:size]


def master_secret(version: int, digest: str, premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """The master secret of a pre-master secret."""
    if version <= SSL30:
        return _ssl3(premaster, client_random + server_random, MASTER)
    return _prf(version, digest, premaster, b"master secret", client_random + server_random, MASTER)


def extended_master(version: int, digest: str, premaster: bytes, session_hash: bytes) -> bytes:
    """The extended master secret (RFC 7627): bound to the handshake up to ClientKeyExchange."""
    return _prf(version, digest, premaster, b"extended master secret", session_hash, MASTER)


def transcript_hash(version: int, digest: str, messages: bytes) -> bytes:
    """The session hash of RFC 7627 3: of all handshake messages, their headers included."""
    if version >= TLS12:
        return hashlib.new(digest, messages).digest()
    return (
        hashlib.md5(messages, usedforsecurity=False).digest() + hashlib.sha1(messages, usedforsecurity=False).digest()
    )


def key_block(version: int, digest: str, master: bytes, client_random: bytes, server_random: bytes, size: int) -> bytes:
    """The bytes that MAC keys, keys and IVs are cut from."""
    if version <= SSL30:
        return _ssl3(master, server_random + client_random, size)
    return _prf(version, digest, master, b"key expansion", server_random + client_random, size)


def export_key(
    version: int, client: bool, material: bytes, client_random: bytes, server_random: bytes, size: int
) -> bytes:
    """The key of an export suite, out of the few bytes that were allowed (RFC 2246 6.3.1, RFC 6101 6.2.2.1)."""
    if version <= SSL30:
        seed = client_random + server_random if client else server_random + client_random
        return hashlib.md5(material + seed, usedforsecurity=False).digest()[:size]
    label = b"client write key" if client else b"server write key"
    return _prf(version, "sha256", material, label, client_random + server_random, size)


def export_ivs(version: int, client_random: bytes, server_random: bytes, size: int) -> bytes:
    """The IVs of an export suite, the client's first: they are no secret."""
    if version <= SSL30:
        seeds = (client_random + server_random, server_random + client_random)
        return b"".join(hashlib.md5(seed, usedforsecurity=False).digest()[:size] for seed in seeds)
    return _prf(version, "sha256", b"", b"IV block", client_random + server_random, 2 * size)


def expand_label(digest: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 7.1)."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    out = step = b""
    number = 1
    while len(out) < size:
        step = hmac.digest(secret, step + info + bytes([number]), digest)
        out += step
        number += 1
    return out[:size]


def next_secret(digest: str, secret: bytes) -> bytes:
    """The traffic secret after a key update (RFC 8446 7.2)."""
    return expand_label(digest, secret, b"traffic upd", hashlib.new(digest).digest_size)
