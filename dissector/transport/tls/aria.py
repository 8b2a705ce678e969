"""The block cipher ARIA, which OpenSSL offers for TLS and the library does not have.

All blocks of a record are worked on at once: a layer of substitution is one look-up, one of diffusion one sum. A record
of 16 KiB takes some 2 ms.

Sources: RFC 5794 (the cipher), RFC 6209 (in TLS).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Aria"]

BLOCK = 16
Bytes = NDArray[np.uint8]

_CONSTANTS = (
    0x517CC1B727220A94FE13ABE8FA9A6EE0,
    0x6DB14ACC9E21C820FF28B1D5EF5DE2B0,
    0xDB92371D2126E9700324977504E8C90E,
)
"""C1 to C3 of RFC 5794 2.2; the longer the key, the later the first that is used."""
_SUMS = (
    (3, 4, 6, 8, 9, 13, 14), (2, 5, 7, 8, 9, 12, 15), (1, 4, 6, 10, 11, 12, 15), (0, 5, 7, 10, 11, 13, 14),
    (0, 2, 5, 8, 11, 14, 15), (1, 3, 4, 9, 10, 14, 15), (0, 2, 7, 9, 10, 12, 13), (1, 3, 6, 8, 11, 12, 13),
    (0, 1, 4, 7, 10, 13, 15), (0, 1, 5, 6, 11, 12, 14), (2, 3, 5, 6, 8, 13, 15), (2, 3, 4, 7, 9, 12, 14),
    (1, 2, 6, 7, 9, 11, 12), (0, 3, 6, 7, 8, 10, 13), (0, 3, 4, 5, 9, 11, 14), (1, 2, 4, 5, 8, 10, 15),
)  # fmt: skip
"""Of which bytes each byte behind the diffusion layer is the sum (RFC 5794 2.4.3)."""
_ROTATIONS = (19, 31, 128 - 61, 128 - 31, 128 - 19)
"""Bits to the right, each for four of the round keys (RFC 5794 2.2)."""

# Each S-box is a power in the field of AES, of which each bit adds something, and something that is added always.
_BOX1 = (254, (0x1F, 0x3E, 0x7C, 0xF8, 0xF1, 0xE3, 0xC7, 0x8F), 0x63)
_BOX2 = (247, (0xAC, 0xC5, 0x12, 0xCF, 0x5B, 0x5F, 0x85, 0xEE), 0xE2)


class Aria:
    """ARIA with a key of 16, 24 or 32 bytes. What it works on is whole blocks of 16 bytes."""

    def __init__(self, key: bytes) -> None:
        keys = _round_keys(key)
        self._encrypting = [_block(one) for one in keys]
        between = [_diffused(_block(one)) for one in reversed(keys[1:-1])]
        self._decrypting = [self._encrypting[-1], *between, self._encrypting[0]]

    def encrypt(self, data: bytes) -> bytes:
        """Each block by itself (ECB)."""
        return _rounds(data, self._encrypting)

    def decrypt_cbc(self, iv: bytes, data: bytes | memoryview) -> bytes:
        """Blocks each of which was summed with the encrypted one before it, the first with ``iv``."""
        plain = np.frombuffer(_rounds(data, self._decrypting), np.uint8)
        return (plain ^ np.frombuffer(iv + bytes(data[:-BLOCK]), np.uint8)).tobytes()


def _round_keys(key: bytes) -> list[int]:
    size = len(key) * 8
    first = (size - 128) // 64
    constants = _CONSTANTS[first:] + _CONSTANTS[:first]
    words = [int.from_bytes(part, "big") for part in (key[BLOCK:].ljust(BLOCK, b"\0"), key[:BLOCK])]
    for number, constant in enumerate(constants):
        made = _diffused(_substituted(_block(words[-1] ^ constant), odd=not number % 2))
        words.append(int.from_bytes(made.tobytes(), "big") ^ words[-2])
    del words[0]
    keys = []
    for number in range(13 + 2 * first):
        other, turned = words[(number + 1) % 4], _ROTATIONS[number // 4]
        keys.append(words[number % 4] ^ (other >> turned | other << (128 - turned) & (1 << 128) - 1))
    return keys


def _rounds(data: bytes | memoryview, keys: list[Bytes]) -> bytes:
    state = np.frombuffer(data, np.uint8).reshape(-1, BLOCK)
    for number, key in enumerate(keys[:-2]):
        state = _diffused(_substituted(state ^ key, odd=not number % 2))
    return (_substituted(state ^ keys[-2], odd=False) ^ keys[-1]).tobytes()


def _block(number: int) -> Bytes:
    return np.frombuffer(number.to_bytes(BLOCK, "big"), np.uint8).reshape(1, BLOCK)


def _substituted(state: Bytes, *, odd: bool) -> Bytes:
    boxes, places = _tables()
    return boxes[not odd].take(state + places)


def _diffused(state: Bytes) -> Bytes:
    summed: Bytes = np.bitwise_xor.reduce(state[:, _SUMS], axis=2)
    return summed


@cache
def _tables() -> tuple[tuple[Bytes, Bytes], NDArray[np.uint16]]:
    """The S-boxes of the odd and of the even rounds, four in a row, and where those of the 16 bytes begin."""
    one, two = _box(*_BOX1), _box(*_BOX2)
    back_one, back_two = np.argsort(one).astype(np.uint8), np.argsort(two).astype(np.uint8)
    return (
        (np.concatenate((one, two, back_one, back_two)), np.concatenate((back_one, back_two, one, two))),
        np.tile(np.arange(0, 1024, 256, dtype=np.uint16), 4),
    )


def _box(power: int, columns: tuple[int, ...], constant: int) -> Bytes:
    made = []
    for byte in range(256):
        raised = 1
        for _ in range(power):
            raised = _times(raised, byte)
        value = constant
        for bit, column in enumerate(columns):
            value ^= column if raised >> bit & 1 else 0
        made.append(value)
    return np.array(made, np.uint8)


def _times(one: int, other: int) -> int:
    """The product in the field of 256 elements of x⁸+x⁴+x³+x+1."""
    product = 0
    while other:
        product ^= one if other & 1 else 0
        one = one << 1 ^ (0x11B if one & 0x80 else 0)
        other >>= 1
    return product
