"""Handshake messages: out of records, and what they say.

Parsers never raise: what is cut or wrong gives None, or what could be read before it. Source: RFC 8446 4, RFC 5246 7.4,
RFC 6066 3 (server name), RFC 7301 3.1 (ALPN), RFC 5077 3.3 (ticket), RFC 5246 E.2 (SSL 2.0 hello), RFC 7250 3 (raw
public keys), RFC 8879 4 (compressed certificates).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dissector.transport.tls.names import COMPRESSIONS, RETRY_RANDOM, SSL20, Extension

if TYPE_CHECKING:
    from dissector.transport.tls.ciphers import Buffer

__all__ = [
    "UNPACKED",
    "ClientHello",
    "MessageReader",
    "ServerHello",
    "authorities",
    "certificate_type",
    "certificates",
    "client_hello",
    "decompressed",
    "extensions_of",
    "protocol_names",
    "raw_key",
    "server_hello",
    "ssl2_hello",
    "ticket_of",
]

UNPACKED = frozenset(["zlib", "zstd"])
"""Compressions of certificates that are read; brotli would be one more package for what no device of WSD sends."""
LONGEST = 256 << 10
"""Bytes of one handshake message; a chain of twenty certificates is about 40 KiB."""
CHAIN = 20
"""Certificates of one chain that are read."""


_GREASE = frozenset(0x0A0A + 0x1010 * n for n in range(16))

NAME = 255
"""Bytes of a host name (RFC 1035 2.3.4)."""
NAMES = 50
"""Application protocols kept of an extension."""


class Short(Exception):
    """The bytes end before what they should hold."""


class Cursor:
    """Takes fields off bytes."""

    __slots__ = ("at", "data")

    def __init__(self, data: Buffer) -> None:
        self.data = bytes(data)
        self.at = 0

    def take(self, size: int) -> bytes:
        """So many bytes."""
        end = self.at + size
        if end > len(self.data):
            raise Short
        part = self.data[self.at : end]
        self.at = end
        return part

    def number(self, size: int) -> int:
        """An unsigned number of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Bytes behind a length of so many bytes."""
        return self.take(self.number(size))

    @property
    def left(self) -> bool:
        """Whether there is more."""
        return self.at < len(self.data)


@dataclass(slots=True)
class ClientHello:
    """What a ClientHello says.

    Attributes:
        version: the field of old; ``versions`` has what is really offered.
        versions: offered by the extension, or the one of the field.
        server_name: SNI, "" where there is none.
        alpn: application protocols offered.
        groups: for the key exchange; ``signatures``: algorithms that it accepts.
        ticket: the session ticket offered, b"" for none.
        psk: identities of pre-shared keys are offered (resumption in TLS 1.3).
        whole: it could be read to its end.
    """

    version: int
    random: bytes
    session: bytes = b""
    suites: tuple[int, ...] = ()
    extensions: dict[int, bytes] = field(default_factory=dict)
    versions: tuple[int, ...] = ()
    server_name: str = ""
    alpn: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    signatures: tuple[int, ...] = ()
    ticket: bytes = b""
    psk: bool = False
    early_data: bool = False
    extended_master: bool = False
    whole: bool = True


@dataclass(slots=True)
class ServerHello:
    """What a ServerHello, or HelloRetryRequest (``retry``), says."""

    version: int
    random: bytes
    session: bytes
    suite: int
    compression: int
    extensions: dict[int, bytes]
    alpn: str = ""
    retry: bool = False
    extended_master: bool = False
    encrypt_then_mac: bool = False
    psk: bool = False


class MessageReader:
    """Handshake messages out of the fragments of one direction; they may be cut and joined in any way (RFC 8446 5.1).

    Attributes:
        broken: a message was too long to be one; nothing more is read until :meth:`clear`.
    """

    __slots__ = ("_buffer", "broken")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.broken = False

    @property
    def held(self) -> int:
        """Bytes of the message that is not whole."""
        return len(self._buffer)

    @property
    def under_way(self) -> bool:
        """A message has begun and is not whole."""
        return bool(self._buffer)

    def feed(self, fragment: Buffer) -> Iterator[tuple[int, bytes]]:
        """The next fragment: gives (type, message with its header of four bytes)."""
        if self.broken:
            return
        buffer = self._buffer
        buffer += fragment
        at = 0
        while len(buffer) - at >= 4:
            size = int.from_bytes(buffer[at + 1 : at + 4], "big")
            if size > LONGEST:
                self.broken = True
                break
            if len(buffer) - at < 4 + size:
                break
            message = bytes(buffer[at : at + 4 + size])
            at += 4 + size
            yield message[0], message
        del buffer[:at]
        if self.broken:
            buffer.clear()

    def clear(self) -> None:
        """Forget what was begun: bytes were lost."""
        self._buffer.clear()
        self.broken = False


# -- messages ------------------------------------------------------------------------------------------------------


def client_hello(body: bytes) -> ClientHello | None:
    """A ClientHello, without its header of four bytes; None where not even its random is there."""
    cursor = Cursor(body)
    try:
        hello = ClientHello(cursor.number(2), cursor.take(32))
    except Short:
        return None
    hello.versions = (hello.version,)
    try:
        hello.session = cursor.vector(1)
        hello.suites = _numbers(cursor.vector(2))
        cursor.vector(1)
        if cursor.left:
            hello.extensions = extensions_of(cursor.vector(2))
    except Short:
        hello.whole = False
    found = hello.extensions
    hello.server_name = _server_name(found.get(Extension.SERVER_NAME, b""))
    hello.alpn = protocol_names(found.get(Extension.ALPN, b""))
    hello.groups = _numbers(found.get(Extension.SUPPORTED_GROUPS, b"")[2:])
    hello.signatures = _numbers(found.get(Extension.SIGNATURE_ALGORITHMS, b"")[2:])
    hello.ticket = found.get(Extension.SESSION_TICKET, b"")
    hello.psk = Extension.PRE_SHARED_KEY in found
    hello.early_data = Extension.EARLY_DATA in found
    hello.extended_master = Extension.EXTENDED_MASTER_SECRET in found
    hello.versions = _numbers(found.get(Extension.SUPPORTED_VERSIONS, b"")[1:]) or hello.versions
    return hello


def _numbers(data: bytes) -> tuple[int, ...]:
    """Numbers of two bytes each, without those that are there to keep servers tolerant, like 0x2a2a (RFC 8701)."""
    numbers = struct.unpack(f">{len(data) // 2}H", data[: len(data) & ~1])
    if _GREASE.isdisjoint(numbers):
        return numbers
    return tuple(number for number in numbers if number not in _GREASE)


def ssl2_hello(body: Buffer) -> ClientHello | None:
    """The SSL 2.0 form of a ClientHello, from its message type on; None where it is none, as most that begins so."""
    cursor = Cursor(body)
    try:
        if cursor.number(1) != 1:
            return None
        version = cursor.number(2)
        suites, session, challenge = cursor.number(2), cursor.number(2), cursor.number(2)
        if not (version == SSL20 or version >> 8 == 3) or suites % 3 or not 16 <= challenge <= 32:
            return None
        numbers = cursor.take(suites)
        found = cursor.take(session)
        # The challenge stands at the end of the random, zeros before it.
        random = cursor.take(challenge)[-32:].rjust(32, b"\0")
    except Short:
        return None
    three = [int.from_bytes(numbers[i : i + 3], "big") for i in range(0, len(numbers) - 2, 3)]
    return ClientHello(version, random, found, tuple(n for n in three if n < 0x10000), versions=(version,))


def server_hello(body: bytes) -> ServerHello | None:
    """A ServerHello, without its header; None where it is cut before the suite."""
    cursor = Cursor(body)
    extensions: dict[int, bytes] = {}
    try:
        version, random, session = cursor.number(2), cursor.take(32), cursor.vector(1)
        suite, compression = cursor.number(2), cursor.number(1)
    except Short:
        return None
    try:
        if cursor.left:
            extensions = extensions_of(cursor.vector(2))
    except Short:
        pass
    chosen = extensions.get(Extension.SUPPORTED_VERSIONS, b"")
    if len(chosen) == 2:
        version = int.from_bytes(chosen, "big")
    names = protocol_names(extensions.get(Extension.ALPN, b""))
    return ServerHello(
        version=version,
        random=random,
        session=session,
        suite=suite,
        compression=compression,
        extensions=extensions,
        alpn=names[0] if names else "",
        retry=random == RETRY_RANDOM,
        extended_master=Extension.EXTENDED_MASTER_SECRET in extensions,
        encrypt_then_mac=Extension.ENCRYPT_THEN_MAC in extensions,
        psk=Extension.PRE_SHARED_KEY in extensions,
    )


def extensions_of(body: bytes) -> dict[int, bytes]:
    """Extensions by type, as far as they can be read; the first of a type counts."""
    cursor = Cursor(body)
    found: dict[int, bytes] = {}
    try:
        while cursor.left:
            type, value = cursor.number(2), cursor.vector(2)
            found.setdefault(type, value)
    except Short:
        pass
    return found


def _server_name(value: bytes) -> str:
    """The host name of the extension, "" where it is empty (as in a server's answer)."""
    cursor = Cursor(value)
    try:
        names = Cursor(cursor.vector(2))
        while names.left:
            kind, name = names.number(1), names.vector(2)
            if kind == 0:
                return name[:NAME].decode("ascii", "backslashreplace")
    except Short:
        pass
    return ""


def protocol_names(value: bytes) -> tuple[str, ...]:
    """The names of an ALPN extension, such as ``http/1.1``."""
    cursor = Cursor(value)
    names: list[str] = []
    try:
        inner = Cursor(cursor.vector(2))
        while inner.left and len(names) < NAMES:
            names.append(inner.vector(1).decode("ascii", "backslashreplace"))
    except Short:
        pass
    return tuple(names)


def certificates(body: bytes, *, contexts: bool) -> list[bytes]:
    """The certificates (DER) of a Certificate message, the sender's own first, at most :data:`CHAIN`.

    Args:
        contexts: the form of TLS 1.3.
    """
    cursor = Cursor(body)
    found: list[bytes] = []
    try:
        if contexts:
            cursor.vector(1)
        entries = Cursor(cursor.vector(3))
        # A compressed message of 300 bytes may list 80,000 empty ones.
        while entries.left and len(found) < CHAIN:
            found.append(entries.vector(3))
            if contexts:
                entries.vector(2)
    except Short:
        pass
    return found


def certificate_type(value: bytes) -> int:
    """What a server's extension says of the type of certificates (RFC 7250 3); 0, X.509, where it is not there."""
    return value[0] if len(value) == 1 else 0


def raw_key(body: bytes, *, contexts: bool) -> list[bytes]:
    """The raw public key (SubjectPublicKeyInfo) of a Certificate message that holds one, in a list."""
    if contexts:
        return certificates(body, contexts=True)[:1]
    try:
        return [Cursor(body).vector(3)]
    except Short:
        return []


def decompressed(body: bytes) -> tuple[bytes | None, str]:
    """The Certificate message inside a CompressedCertificate, None where it cannot be had; and the compression."""
    cursor = Cursor(body)
    try:
        number, size, packed = cursor.number(2), cursor.number(3), cursor.vector(3)
    except Short:
        return None, "?"
    name = COMPRESSIONS.get(number, f"compression {number}")
    if size > LONGEST:
        return None, name
    try:
        if name == "zlib":
            plain = zlib.decompressobj().decompress(packed, LONGEST)
        elif name == "zstd":
            import zstandard

            # What the frame says of its size binds the library: a frame that says more is not opened.
            said = zstandard.get_frame_parameters(packed).content_size
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(packed)
            plain = reader.read(LONGEST) if said <= LONGEST or said == zstandard.CONTENTSIZE_UNKNOWN else b""
        else:
            return None, name
    except Exception:  # both libraries raise, by no single base
        return None, name
    return (plain if len(plain) == size else None), name


def authorities(body: bytes, *, extensions: bool, algorithms: bool) -> list[bytes]:
    """The names (DER) of the authorities that a CertificateRequest accepts.

    Args:
        extensions: the form of TLS 1.3.
        algorithms: the form of TLS 1.2, which lists signature algorithms too.
    """
    cursor = Cursor(body)
    found: list[bytes] = []
    try:
        cursor.vector(1)
        if extensions:
            value = extensions_of(cursor.vector(2)).get(Extension.CERTIFICATE_AUTHORITIES, b"")
            names = Cursor(Cursor(value).vector(2) if value else b"")
        else:
            if algorithms:
                cursor.vector(2)
            names = Cursor(cursor.vector(2))
        while names.left:
            found.append(names.vector(2))
    except Short:
        pass
    return found


def ticket_of(body: bytes) -> bytes:
    """The ticket of a NewSessionTicket up to TLS 1.2, b"" where it is empty or cut."""
    cursor = Cursor(body)
    try:
        cursor.number(4)
        return cursor.vector(2)
    except Short:
        return b""
