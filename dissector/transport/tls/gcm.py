"""Galois/counter mode over any block cipher: OpenSSL, and so the library, has it for some ciphers alone.

A record of 16 KiB takes some 3 ms for its tag, and what the cipher takes for its key stream.

Source: NIST SP 800-38D (blocks 6.3 to 6.5, algorithm 5).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidTag

__all__ = ["Gcm"]

BLOCK = TAG = 16
_REMAINDER = 0xE1 << 120
"""R of SP 800-38D 6.3: the polynomial of the field, x¹²⁸ itself left out; the first bit is x⁰."""
KEYS = 64
"""Keys whose tables are kept (some 10 KB each); others are made anew."""


class Gcm:
    """GCM with nonces of 96 bits and tags of 128, as TLS uses it.

    Args:
        encrypt: encrypts whole blocks, each by itself.
    """

    def __init__(self, encrypt: Callable[[bytes], bytes]) -> None:
        self._encrypt = encrypt
        self._hash_key = int.from_bytes(encrypt(bytes(BLOCK)), "big")

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes | None) -> bytes:
        """The plain bytes of ``data``, at whose end the tag stands.

        Raises:
            InvalidTag: it is not authentic.
        """
        sealed, tag = bytes(data[:-TAG]), bytes(data[-TAG:])
        extra = associated_data or b""
        count = -(-len(sealed) // BLOCK)
        stream = self._encrypt(b"".join([nonce + number.to_bytes(4, "big") for number in range(1, count + 2)]))
        made = _hashed(self._hash_key, extra, sealed) ^ int.from_bytes(stream[:BLOCK], "big")
        if len(tag) < TAG or made.to_bytes(TAG, "big") != tag:
            raise InvalidTag
        size = len(sealed)
        mask = int.from_bytes(stream[BLOCK : BLOCK + size], "big")
        return (int.from_bytes(sealed, "big") ^ mask).to_bytes(size, "big")


def _hashed(key: int, extra: bytes, sealed: bytes) -> int:
    """GHASH of both, each filled up with zeros, and of their lengths in bits."""
    table = _table(key)
    text = b"".join(
        [
            extra.ljust(-(-len(extra) // BLOCK) * BLOCK, b"\0"),
            sealed.ljust(-(-len(sealed) // BLOCK) * BLOCK, b"\0"),
            (len(extra) * 8).to_bytes(8, "big"),
            (len(sealed) * 8).to_bytes(8, "big"),
        ]
    )
    value = 0
    for at in range(0, len(text), BLOCK):
        value ^= int.from_bytes(text[at : at + BLOCK], "big")
        product = 0
        # From the highest power of x on; each byte further is eight powers less.
        for byte in value.to_bytes(BLOCK, "little"):
            product = product >> 8 ^ _REDUCED[product & 0xFF] ^ table[byte]
        value = product
    return value


@lru_cache(KEYS)
def _table(key: int) -> list[int]:
    """The key times each byte of the powers x⁰ to x⁷."""
    table = [0] * 256
    power, bit = key, 0x80
    while bit:
        table[bit] = power
        power, bit = _times_x(power), bit >> 1
    for byte in range(1, 256):
        low = byte & -byte
        if byte != low:
            table[byte] = table[low] ^ table[byte ^ low]
    return table


def _times_x(value: int) -> int:
    return value >> 1 ^ (_REMAINDER if value & 1 else 0)


def _reduced(value: int) -> int:
    for _ in range(8):
        value = _times_x(value)
    return value


_REDUCED = [_reduced(byte) for byte in range(256)]
"""What the eight highest powers become when they are multiplied by x⁸."""
