"""Writes handshakes byte by byte, of TLS 1.3 (sealed under secrets that its key log tells) and before: what no library
can be made to say. Shares no code with what reads it."""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Peer13", "extension", "hello", "message", "record", "server_hello", "vector"]

CLIENT_RANDOM = hashlib.sha256(b"client").digest()
SERVER_RANDOM = hashlib.sha256(b"server").digest()
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def vector(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(number: int, data: bytes = b"") -> bytes:
    return struct.pack(">H", number) + vector(data, 2)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def record(kind: int, fragment: bytes) -> bytes:
    return struct.pack(">BH", kind, 0x0303) + vector(fragment, 2)


def hello(*extensions: bytes, suites: bytes = b"\x13\x01\x00\x2f") -> bytes:
    body = b"\3\3" + CLIENT_RANDOM + b"\0" + vector(suites, 2) + b"\1\0" + vector(b"".join(extensions), 2)
    return record(22, message(1, body))


def server_hello(*extensions: bytes, suite: int = 0x1301, random: bytes = SERVER_RANDOM) -> bytes:
    body = b"\3\3" + random + b"\0" + struct.pack(">H", suite) + b"\0" + vector(b"".join(extensions), 2)
    return record(22, message(2, body))


VERSIONS = extension(43, b"\2\3\4")
CHOSEN = extension(43, b"\3\4")
SHARE = extension(51, b"\0\x1d" + vector(b"k" * 32, 2))


class Peer13:
    """A conversation under TLS_AES_128_GCM_SHA256; ``pieces`` has what goes over the wire."""

    def __init__(self) -> None:
        self.pieces: list[tuple[bool, bytes]] = []
        labels = (
            ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"),
            ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"),
        )
        self._secrets = [[hashlib.sha256(label.encode()).digest() for label in pair] for pair in labels]
        self.keylog = b"".join(
            f"{label} {CLIENT_RANDOM.hex()} {secret.hex()}\n".encode()
            for pair, secrets in zip(labels, self._secrets, strict=True)
            for label, secret in zip(pair, secrets, strict=True)
        )
        self._numbers = [[0, 0], [0, 0]]

    def say(self, back: bool, data: bytes) -> None:
        """In the clear."""
        self.pieces.append((back, data))

    def seal(self, back: bool, data: bytes, kind: int = 22, *, application: bool = False) -> None:
        """Under the keys of the handshake, or of application data."""
        secret = self._secrets[application][back]
        number = self._numbers[application][back]
        self._numbers[application][back] += 1
        key, iv = self._expand(secret, b"key", 16), self._expand(secret, b"iv", 12)
        nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
        head = struct.pack(">BHH", 23, 0x0303, len(data) + 17)
        self.pieces.append((back, head + AESGCM(key).encrypt(nonce, data + bytes([kind]), head)))

    def skip(self, records: int) -> None:
        """So many records of the client's application data that nobody sees."""
        self._numbers[True][False] += records

    @staticmethod
    def _expand(secret: bytes, label: bytes, size: int) -> bytes:
        info = size.to_bytes(2, "big") + vector(b"tls13 " + label, 1) + b"\0\1"
        return hmac.new(secret, info, "sha256").digest()[:size]

    def end(self, request: bytes = b"GET / HTTP/1.1\r\n\r\n") -> None:
        """Both Finished, and a request."""
        for back in (True, False):
            self.seal(back, message(20, b"f" * 32))
        self.seal(False, request, 23, application=True)
