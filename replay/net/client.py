"""The HTTP client of the emulators and the player: raw requests out, messages back, by the dissector's reader.

Only the address in the URL is contacted; redirections and proxies are not followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from dissector.base.errors import DsmsharkError, TargetUnreachable, UsageError
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from replay.base.clock import Clock
from replay.net.line import Line, open_line
from replay.net.receiver import HttpReceiver
from replay.net.server import Tap, lasting
from replay.net.tls import TlsChannel, check_fingerprint

__all__ = ["HttpClient", "Target", "target_of"]

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads.

    Attributes:
        scheme: ``http`` or ``https``.
        host: name or address, without brackets.
        port: filled in.
        path: with query, at least ``/``.
        authority: as the Host header has it.
    """

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def target_of(url: str) -> Target:
    """The parts of a URL.

    Raises:
        UsageError: it is no http or https URL.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in PORTS or not host or not url.isprintable():
        raise UsageError(f"{url!r} is no URL of http or https, such as http://127.0.0.1:5357/wsd")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = parts.netloc.rpartition("@")[2]
    return Target(
        parts.scheme, host.partition("%25")[0], port or PORTS[parts.scheme], path.replace(" ", "%20"), authority
    )


@dataclass(slots=True)
class _Open:
    line: Line
    receiver: HttpReceiver
    used: int = 0


class HttpClient:
    """Sends requests, keeps connections open in between where both sides want that.

    Args:
        clock: for time-outs.
        tls: gives the context for a host that is spoken to over https; None: https is refused.
        pinned: SHA-256 fingerprint that a server's certificate must have.
        tap: the capture, None for none.
        timeout: seconds without a byte after which an answer is given up.
        keep: keep connections.
        limits: bounds of the reader.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        tls: Callable[[], ssl.SSLContext] | None = None,
        pinned: str | None = None,
        tap: Tap | None = None,
        timeout: float = 30.0,
        keep: bool = True,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._clock = clock
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._pinned = pinned
        self._tap = tap
        self._timeout = timeout
        self._keep = keep
        self._limits = limits
        self._open: dict[tuple[str, str, int], list[_Open]] = {}

    async def exchange(
        self, target: Target, pieces: Sequence[bytes], *, method: str = "POST", reset: bool = False
    ) -> HttpMessage:
        """Send a request as raw bytes and wait for its final answer.

        Args:
            target: who gets it.
            pieces: head and body, written one after the other.
            method: of the request, which tells how the answer ends.
            reset: cut the connection after the pieces instead of waiting; gives TargetUnreachable.

        Raises:
            TargetUnreachable: no connection, or it ended before a whole answer.
        """
        key = (target.scheme, target.host, target.port)
        idle = self._open.get(key, [])
        while idle:
            # A connection that was kept may be closed by the peer in the meantime: then once more, on a new one.
            kept = idle.pop()
            try:
                return await self._on(kept, key, target, pieces, method, reset)
            except TargetUnreachable:
                if kept.receiver.pending or reset:
                    raise
        opened = await self._connect(target)
        return await self._on(opened, key, target, pieces, method, reset)

    async def close(self) -> None:
        """Close all connections that are kept."""
        for kept in self._open.values():
            for one in kept:
                await one.line.close()
        self._open.clear()

    async def _connect(self, target: Target) -> _Open:
        where = Endpoint(target.host, target.port)
        channel = None
        if target.scheme == "https":
            if self._tls is None:
                raise UsageError(f"{target} is https, and nothing was said about certificates")
            if self._context is None:
                self._context = self._tls()
            channel = TlsChannel(self._context, False, target.host)
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await open_line(target.host, target.port)
        except TimeoutError:
            raise TargetUnreachable(f"{where} does not answer: no connection within {self._timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise TargetUnreachable(
                f"{where} cannot be reached: {getattr(error, 'strerror', None) or error}"
            ) from error
        line = Line(reader, writer, side="client", channel=channel)
        if self._tap is not None:
            line.watch(self._tap.connection(line.local, line.peer, encrypted=channel is not None))
        try:
            timer = self._clock.call_later(self._timeout, line.reset)
            try:
                await line.handshake()
            finally:
                timer.cancel()
            if channel is not None and self._pinned is not None:
                check_fingerprint(line.peer_certificate or b"", self._pinned)
        except (OSError, DsmsharkError) as error:
            await line.close()
            raise TargetUnreachable(f"{where}: no TLS connection: {error}") from error
        return _Open(line, HttpReceiver(line.peer, line.local, responses=True, limits=self._limits))

    async def _on(
        self,
        opened: _Open,
        key: tuple[str, str, int],
        target: Target,
        pieces: Sequence[bytes],
        method: str,
        reset: bool,
    ) -> HttpMessage:
        line, receiver = opened.line, opened.receiver
        opened.used += 1
        receiver.asked(method)
        done = False
        try:
            try:
                for piece in pieces:
                    await line.write(piece)
            except (ConnectionError, DsmsharkError):
                # The server may have answered before the end of the request (a refusal): that answer counts. A TLS 1.3
                # server can refuse the client's certificate only now; reading says it in words.
                pass
            if reset:
                line.reset()
                raise TargetUnreachable(f"{target}: the connection was cut on purpose")
            answer = await self._answer(line, receiver, target)
            done = self._keep and answer.complete and lasting(answer) and not line.closed
            return answer
        finally:
            if done:
                self._open.setdefault(key, []).append(opened)
            else:
                with contextlib.suppress(Exception):
                    await line.close()

    async def _answer(self, line: Line, receiver: HttpReceiver, target: Target) -> HttpMessage:
        while True:
            timer = self._clock.call_later(self._timeout, line.reset)
            try:
                data = await line.read()
                messages = (
                    receiver.feed(data, self._clock.time_ns()) if data else receiver.end(time=self._clock.time_ns())
                )
            except (ConnectionError, DsmsharkError) as error:
                data = b""
                messages = receiver.end(reset=True, time=self._clock.time_ns())
                if not messages:
                    why = (
                        f"no answer within {self._timeout:g} s"
                        if line.closed
                        else f"the connection broke: {getattr(error, 'strerror', None) or error}"
                    )
                    raise TargetUnreachable(f"{target}: {why}") from error
            finally:
                timer.cancel()
            for http in messages:
                if http.status >= 200 or http.status == 101:
                    return http
            if not data:
                raise TargetUnreachable(f"{target}: the connection was closed without an answer")


def _words(error: BaseException) -> str:
    """An error of the system in its plain words: asyncio puts the address into them."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0 and not isinstance(error, socket.gaierror):
        return os.strerror(number)
    return str(getattr(error, "strerror", None) or error)
