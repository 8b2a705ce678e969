"""One TCP connection: bytes out and in, TLS undone, everything shown to the capture.

TLS runs here over memory (see ``tls``) rather than inside asyncio: only so are the bytes of the wire known, for the
capture, and only so can a connection be cut after so many of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Protocol

from dissector.base.origin import Endpoint

__all__ = ["Channel", "Line", "LineTap", "endpoint_of", "open_line", "words_of"]

READ = 256 << 10
"""Bytes of one read."""

BUFFER = 1 << 20
"""Bytes that asyncio holds of a connection before it stops reading."""

ROOM = 64 << 10
"""Bytes that may wait in a connection before its writer waits: what asyncio calls its high-water mark."""

CLOSING = 10.0
"""Seconds that a peer has to take what is still to be sent when a connection is closed. These are of the machine's own
clock, as all that sockets do by themselves."""

_RESET = struct.pack("ii", 1, 0)


class Channel(Protocol):
    """TLS over memory: what :class:`replay.net.tls.TlsChannel` is."""

    @property
    def handshake_done(self) -> bool:
        """Keys are agreed on."""
        ...

    @property
    def closed(self) -> bool:
        """The peer closed it in order."""
        ...

    @property
    def peer_certificate(self) -> bytes | None:
        """DER, None where the peer gave none."""
        ...

    def start(self) -> None:
        """Begin (the client's hello)."""
        ...

    def receive(self, cipher: bytes) -> bytes:
        """Bytes of the wire → plain bytes."""
        ...

    def send(self, plain: bytes) -> None:
        """Plain bytes to send."""
        ...

    def outgoing(self) -> bytes:
        """Bytes that are to go on the wire."""
        ...

    def close(self) -> None:
        """Say the end."""
        ...


class LineTap(Protocol):
    """The capture's view of one connection: what :meth:`replay.net.tap.PacketTap.connection` gives."""

    def sent(self, side: str, data: bytes) -> None:
        """Bytes of the wire, by ``client`` or ``server``."""
        ...

    def secrets_ready(self) -> None:
        """The handshake is over: the keys are in the key log."""
        ...

    def fin(self, side: str) -> None:
        """That side ended its direction."""
        ...

    def reset(self, side: str) -> None:
        """That side cut the connection."""
        ...


def words_of(error: BaseException) -> str:
    """An error of the system in its plain words: asyncio puts the address into them."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(number)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def endpoint_of(name: object) -> Endpoint:
    """A socket's address as :class:`Endpoint`, zone ids left out."""
    if isinstance(name, tuple) and len(name) >= 2:
        return Endpoint(str(name[0]).partition("%")[0], int(name[1]))
    return Endpoint("", 0)


class Line:
    """A connection with a peer.

    Args:
        reader, writer: of asyncio.
        side: which side this end is: ``client`` or ``server``.
        channel: TLS, None for plain.
        tap: takes what goes over the wire, None for nobody.

    Attributes:
        local, peer: the two ends.
        received: plain bytes so far.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        side: str,
        channel: Channel | None = None,
        tap: LineTap | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._side = side
        self._other = "server" if side == "client" else "client"
        self._channel = channel
        self._tap = tap
        self._ended = False
        self._closed = False
        self._early = b""
        """Plain bytes that came with the last words of the handshake."""
        self.received = 0
        self.local = endpoint_of(writer.get_extra_info("sockname"))
        self.peer = endpoint_of(writer.get_extra_info("peername"))

    def watch(self, tap: LineTap) -> None:
        """Show everything from now on to the capture."""
        self._tap = tap

    @property
    def encrypted(self) -> bool:
        """It is a TLS connection."""
        return self._channel is not None

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's certificate, None where it gave none."""
        return self._channel.peer_certificate if self._channel is not None else None

    async def handshake(self) -> None:
        """Agree on keys; returns at once for a plain connection.

        Raises:
            ConnectionError, or replay.net.tls.TlsFailure with words for people.
        """
        channel = self._channel
        if channel is None:
            return
        try:
            channel.start()
            await self._flush()
            while not channel.handshake_done:
                data = await self._raw()
                if not data:
                    raise ConnectionResetError("the peer closed the connection in the TLS handshake")
                try:
                    self._early += channel.receive(data)
                finally:
                    await self._flush()
        finally:
            if self._tap is not None:
                self._tap.secrets_ready()

    async def read(self) -> bytes:
        """The next plain bytes, b"" at the end.

        Raises:
            ConnectionError: the peer cut the connection.
        """
        if self._early:
            data, self._early = self._early, b""
            self.received += len(data)
            return data
        while not self._ended:
            data = await self._raw()
            if not data:
                break
            if self._channel is not None:
                try:
                    data = self._channel.receive(data)
                finally:
                    # Alerts and key updates of TLS go out whatever came of it.
                    await self._flush()
                if not data:
                    if self._channel.closed:
                        break
                    continue
            self.received += len(data)
            return data
        self._ended = True
        return b""

    def put(self, data: bytes) -> bool:
        """Send plain bytes as far as that goes at once; whether there is room for more. Where there is not,
        :meth:`drained` is waited for.

        Raises:
            ConnectionError: the connection is closed.
        """
        if self._channel is not None:
            self._channel.send(data)
            data = self._channel.outgoing()
        self._out(data)
        transport = self._writer.transport
        return not transport.is_closing() and transport.get_write_buffer_size() <= ROOM

    async def drained(self) -> None:
        """Return when the system has taken most of what was put.

        Raises:
            ConnectionError: the peer cut the connection.
        """
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """Send plain bytes; returns when the system has taken them.

        Raises:
            ConnectionError: the peer cut the connection.
        """
        if self._channel is not None:
            self._channel.send(data)
            await self._flush()
            return
        await self._put(data)

    async def linger(self) -> None:
        """End our direction and drop what the peer still sends, until it ends its own: closed at once, the answer to a
        request that was not read whole would be lost in a reset (RFC 9112 9.6). The caller bounds it.

        Raises:
            ConnectionError: the peer cut the connection.
        """
        await self._say_end()
        self._writer.write_eof()
        while await self._raw():
            pass

    async def _say_end(self) -> None:
        """The end of our direction, in TLS and in the capture."""
        if self._channel is not None:
            with contextlib.suppress(Exception):
                self._channel.close()
            await self._flush()
        if self._tap is not None:
            self._tap.fin(self._side)

    async def close(self, patience: float = CLOSING) -> None:
        """Close in order; harmless when it is closed.

        Args:
            patience: seconds after which a peer that does not take the rest is cut off.
        """
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(RuntimeError):
                async with asyncio.timeout(patience):
                    await self._say_end()
                    self._writer.close()
                    await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise

    def reset(self) -> None:
        """Cut the connection with a reset."""
        if self._closed:
            return
        self._closed = True
        if self._tap is not None:
            self._tap.reset(self._side)
        with contextlib.suppress(OSError, AttributeError):
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    @property
    def closed(self) -> bool:
        """This end has closed it."""
        return self._closed

    async def _raw(self) -> bytes:
        try:
            data = await self._reader.read(READ)
        except OSError:
            if self._tap is not None:
                self._tap.reset(self._other)
            raise
        if self._tap is not None:
            if data:
                self._tap.sent(self._other, data)
            elif not self._closed:
                self._tap.fin(self._other)
        return data

    async def _flush(self) -> None:
        assert self._channel is not None
        data = self._channel.outgoing()
        if data:
            await self._put(data)

    async def _put(self, data: bytes) -> None:
        self._out(data)
        await self._writer.drain()

    def _out(self, data: bytes) -> None:
        if self._closed and self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        if self._tap is not None:
            self._tap.sent(self._side, data)
        self._writer.write(data)


async def open_line(
    host: str, port: int, *, source: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a peer; ``source`` is a local address to connect from.

    Raises:
        OSError: as asyncio gives it.
    """
    local = (source, 0) if source else None
    return await asyncio.open_connection(host, port, limit=BUFFER, local_addr=local)
