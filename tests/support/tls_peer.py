"""Writes TLS of old with ciphers that no OpenSSL offers any more (RC4, 3DES, export), byte by byte; shares no code with
what reads it."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, IDEA, RC2, SEED, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes

__all__ = ["EXPORT", "SUITES", "VERSIONS", "OldTalk"]

SUITES = {"RC4-MD5": 0x0004, "RC4-SHA": 0x0005, "DES-CBC3-SHA": 0x000A, "DES-CBC-SHA": 0x0009, "IDEA-CBC-SHA": 0x0007,
          "SEED-SHA": 0x0096}  # fmt: skip
EXPORT = {"EXP-RC4-MD5": 0x0003, "EXP-RC2-CBC-MD5": 0x0006, "EXP-DES-CBC-SHA": 0x0008, "EXP1024-RC4-SHA": 0x0064,
          "EXP1024-DES-CBC-SHA": 0x0062}  # fmt: skip
"""Suites of export strength, of TLS 1.0 and before."""
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
    # The middle byte of an odd length belongs to both halves.
    half = (len(secret) + 1) // 2
    return bytes(x ^ y for x, y in zip(p("md5", secret[:half]), p("sha1", secret[len(secret) - half :]), strict=True))


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
        number = struct.pack(">H", {**SUITES, **EXPORT}[suite])
        field = struct.pack(">H", self.version)
        hello = field + self.random + b"\0" + b"\0\2" + number + bytes([1, compression])
        answer = field + server + b"\0" + number + bytes([compression])
        self._plain(False, 22, b"\1" + len(hello).to_bytes(3, "big") + hello)
        self._plain(True, 22, b"\2" + len(answer).to_bytes(3, "big") + answer + b"\x0e\0\0\0")
        self._plain(False, 22, b"\x10\0\0\x02\0\0")
        mac = hashlib.new(self.digest).digest_size
        block_size = 0 if "RC4" in suite else 16 if "SEED" in suite else 8
        key = 16 if set(suite.split("-")) & {"RC4", "IDEA", "SEED", "RC2"} else 24 if "CBC3" in suite else 8
        final, export = key, suite.startswith("EXP")
        if export:
            key = 5 if suite.startswith("EXP-") else 7 if "RC4" in suite else 8
        iv = block_size if self.version == 0x0301 else 0
        block = prf(self.version, master, b"key expansion" + server + self.random, 2 * (mac + key + iv * (not export)))
        if export:
            block += prf(self.version, b"", b"IV block" + self.random + server, 2 * iv)
        cuts = [mac, mac, key, key, iv, iv]
        parts = []
        for size in cuts:
            parts.append(block[:size])
            block = block[size:]
        self.macs = parts[:2]
        for side, label in enumerate((b"client write key", b"server write key") if export else ()):
            parts[2 + side] = prf(self.version, parts[2 + side], label + self.random + server, final)
        self.numbers = [0, 0]
        self.seal: list[Callable[[bytes], bytes]] = []
        for side in (0, 1):
            if "RC4" in suite:
                self.seal.append(Cipher(ARC4(parts[2 + side]), None).encryptor().update)
            else:
                one = parts[2 + side]
                cipher = {"IDEA": IDEA, "SEED": SEED}.get(suite.split("-")[0], RC2 if "RC2" in suite else TripleDES)
                self.seal.append(self._cbc(cipher(one * 3 if len(one) == 8 else one), block_size, parts[4 + side]))
        for side in (0, 1):
            self._plain(bool(side), 20, b"\1")
            if not compression:
                self.say(bool(side), self.finished, 22)

    def _cbc(self, cipher: CipherAlgorithm, size: int, iv: bytes) -> Callable[[bytes], bytes]:
        state = [iv]

        def seal(data: bytes) -> bytes:
            pad = size - 1 - len(data) % size
            data += bytes([pad]) * (pad + 1)
            first = state[0] or hashlib.md5(data).digest()[:size]
            done = Cipher(cipher, modes.CBC(first)).encryptor().update(data)
            if state[0]:
                state[0] = done[-size:]
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
