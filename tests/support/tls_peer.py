"""Writes TLS of old with ciphers that no OpenSSL offers any more (RC4, 3DES), byte by byte; shares no code with what
reads it."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

__all__ = ["SUITES", "OldTalk"]

SUITES = {"RC4-MD5": 0x0004, "RC4-SHA": 0x0005, "DES-CBC3-SHA": 0x000A, "DES-CBC-SHA": 0x0009}
VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303}


def prf(version: int, secret: bytes, seed: bytes, size: int) -> bytes:
    def p(name: str, key: bytes) -> bytes:
        out, a = b"", seed
        while len(out) < size:
            a = hmac.new(key, a, name).digest()
            out += hmac.new(key, a + seed, name).digest()
        return out[:size]

    if version == 0x0303:
        return p("sha256", secret)
    half = len(secret) // 2
    return bytes(x ^ y for x, y in zip(p("md5", secret[:half]), p("sha1", secret[half:]), strict=True))


class OldTalk:
    """A handshake of a suite and what follows it; ``pieces`` has what goes over the wire."""

    finished = b"\x14\0\0\x0c" + b"finished...."

    def __init__(self, suite: str, version: str = "1.2", compression: int = 0) -> None:
        self.version = VERSIONS[version]
        self.random = hashlib.sha256(f"client {suite} {version}".encode()).digest()
        server = hashlib.sha256(f"server {suite} {version}".encode()).digest()
        master = hashlib.sha384(f"master {suite} {version}".encode()).digest()
        self.keylog = b"CLIENT_RANDOM " + self.random.hex().encode() + b" " + master.hex().encode() + b"\n"
        self.pieces: list[tuple[bool, bytes]] = []
        self.digest = "md5" if suite.endswith("MD5") else "sha1"
        number = struct.pack(">H", SUITES[suite])
        field = struct.pack(">H", self.version)
        hello = field + self.random + b"\0" + b"\0\2" + number + bytes([1, compression])
        answer = field + server + b"\0" + number + bytes([compression])
        self._plain(False, 22, b"\1" + len(hello).to_bytes(3, "big") + hello)
        self._plain(True, 22, b"\2" + len(answer).to_bytes(3, "big") + answer + b"\x0e\0\0\0")
        self._plain(False, 22, b"\x10\0\0\x02\0\0")
        mac = hashlib.new(self.digest).digest_size
        key, iv = (16, 0) if "RC4" in suite else (24 if "CBC3" in suite else 8, 8)
        iv = iv if self.version == 0x0301 else 0
        block = prf(self.version, master, b"key expansion" + server + self.random, 2 * (mac + key + iv))
        cuts = [mac, mac, key, key, iv, iv]
        parts = []
        for size in cuts:
            parts.append(block[:size])
            block = block[size:]
        self.macs = parts[:2]
        self.numbers = [0, 0]
        self.seal: list[Callable[[bytes], bytes]] = []
        for side in (0, 1):
            if "RC4" in suite:
                self.seal.append(Cipher(ARC4(parts[2 + side]), None).encryptor().update)
            else:
                whole = parts[2 + side] * (3 if key == 8 else 1)
                self.seal.append(self._cbc(whole, parts[4 + side]))
        for side in (0, 1):
            self._plain(bool(side), 20, b"\1")
            if not compression:
                self.say(bool(side), self.finished, 22)

    def _cbc(self, key: bytes, iv: bytes) -> Callable[[bytes], bytes]:
        state = [iv]

        def seal(data: bytes) -> bytes:
            pad = 7 - len(data) % 8
            data += bytes([pad]) * (pad + 1)
            first = state[0] or hashlib.md5(data).digest()[:8]
            done = Cipher(TripleDES(key), modes.CBC(first)).encryptor().update(data)
            if state[0]:
                state[0] = done[-8:]
                return done
            return first + done

        return seal

    def _plain(self, back: bool, type: int, fragment: bytes) -> None:
        self.pieces.append((back, struct.pack(">BHH", type, self.version, len(fragment)) + fragment))

    def say(self, back: bool, data: bytes, type: int = 23) -> None:
        """One record."""
        head = struct.pack(">QBHH", self.numbers[back], type, self.version, len(data))
        self.numbers[back] += 1
        self._plain(back, type, self.seal[back](data + hmac.new(self.macs[back], head + data, self.digest).digest()))
