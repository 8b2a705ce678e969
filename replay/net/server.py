"""The HTTP server of the emulators: connections in, whole requests out to a handler, its answers back.

A handler gets a whole request (a body over ``Limits.keep`` is in a temporary file by then) and gives an
:class:`Answer`: bytes in pieces, and what becomes of the connection. So an answer can be slow, cut, or wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dissector.base.errors import DsmsharkError, UsageError
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint
from dissector.http.framing import NOT_CHUNKED
from dissector.http.headers import list_items
from dissector.http.model import BodyPolicy, HttpMessage
from dissector.http.writer import build_response
from replay.base.clock import Clock
from replay.base.log import Log
from replay.net.line import BUFFER, CLOSING, Line, LineTap, words_of
from replay.net.receiver import ALL, HttpReceiver
from replay.net.tls import TlsChannel
from replay.net.tls_failure import TlsFailure

__all__ = ["Answer", "HttpRequest", "HttpServer", "ServerLimits", "Tap"]


class Tap(Protocol):
    """The capture: what :class:`replay.net.tap.PacketTap` is."""

    def connection(self, client: Endpoint, server: Endpoint, encrypted: bool = False) -> LineTap:
        """A new connection."""
        ...


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of a server; sizes in bytes, times in seconds.

    Attributes:
        request: one request with its body, as it comes and as it is when content codings are undone.
        arriving: all requests together that are not whole yet; they are in memory and in temporary files.
        connections: at once, and no more than three quarters of the descriptors that the process may have; for a
            further one that is cut whose client said nothing whole for longest. So a thousand that never end their
            requests do not lock the others out.
        idle: between requests; then the connection is closed in order.
        slow: between two reads inside a request, for a TLS handshake, and for a client to take :data:`BLOCK` bytes of
            an answer; then it is cut.
    """

    request: int = 512 << 20
    arriving: int = 4 << 30
    connections: int = 1000
    idle: float = 300.0
    slow: float = 60.0


BLOCK = 256 << 10
"""Bytes of an answer that are written at once."""

CUT_SAID = 1.0
"""Seconds between two lines about connections that are one too many: thousands may come at once."""

LINGER = 5.0
"""Seconds in which a client may read the refusal of a request that it is still sending."""

STOPPING = 0.5
"""Seconds in which clients may read the rest of their answers when the server stops."""

USUAL_LIMITS = ServerLimits()
"""Bounds that no device meets."""


@dataclass(slots=True)
class HttpRequest:
    """One request as it came.

    Attributes:
        http: the message; not ``complete`` where the client broke off.
        local, peer: the two ends.
        encrypted: it came over TLS.
        certificate: DER of the client's certificate, None where there is none.
    """

    http: HttpMessage
    local: Endpoint
    peer: Endpoint
    encrypted: bool = False
    certificate: bytes | None = None

    @property
    def path(self) -> str:
        """The target's path, without scheme, host and query."""
        target = self.http.target
        if "://" in target[:16]:
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target.partition("?")[0] or "/"


@dataclass(slots=True)
class Answer:
    """What goes back.

    Attributes:
        pieces: bytes to write, one after the other; empty: no answer.
        close: ``keep`` the connection, ``close`` it, or ``reset`` it.
        rate: bytes a second of the last piece (the body, where the head is a piece of its own); None for no limit.
        after: called when the answer was written (True) or could not be (False).
    """

    pieces: Sequence[bytes] = field(default_factory=list)
    close: str = "keep"
    rate: float | None = None
    after: Callable[[bool], None] | None = None


Handler = Callable[[HttpRequest], Awaitable[Answer]]


class HttpServer:
    """Listens, reads requests, writes answers.

    Args:
        handler: called with each request, one after the other on each connection.
        clock: for time-outs and slow answers.
        log: takes connection troubles.
        context: TLS, None for plain HTTP.
        tap: the capture, None for none.
        limits: bounds.
        reading: bounds of the HTTP reader.
        policy: what is kept of the bodies that come.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        clock: Clock,
        log: Log,
        context: ssl.SSLContext | None = None,
        tap: Tap | None = None,
        limits: ServerLimits = USUAL_LIMITS,
        reading: Limits = DEFAULT_LIMITS,
        policy: BodyPolicy = ALL,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._log = log
        self._context = context
        self._tap = tap
        self._limits = limits
        self._reading = reading
        self._policy = policy
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._arriving: dict[Line, int] = {}
        self._most = 1
        """Connections at once; known when it listens: until then the process may ask for more descriptors."""
        self._cut = 0
        """Connections that were one too many, since that was said."""
        self._cut_said = -CUT_SAID
        """When it was said, by the clock."""
        self._silent: dict[Line, None] = {}
        """Connections on which nothing is answered just now; that whose turn was longest ago first."""
        self.addresses: list[Endpoint] = []
        """Where it listens, ports filled in."""
        self.on_tls_failure: Callable[[Endpoint, TlsFailure], None] | None = None
        """Called with the client whose TLS connection failed, and why."""

    async def listen(self, host: str, port: int) -> Endpoint:
        """Listen on an address; port 0 takes any free one.

        Raises:
            UsageError: the address is taken, not of this machine, or not permitted.
        """
        files = _files()
        backlog = max(min(256, files // 8), 1)
        # Each takes a descriptor. A backlog of them may come at once, before those that make room for it are closed;
        # the rest is for files and for what the device itself asks. Without any left nobody would be let in, and
        # asyncio (of Python 3.11) tries again and again.
        self._most = max(min(self._limits.connections, files * 3 // 4 - 2 * backlog), 1)
        try:
            server = await asyncio.start_server(self._accept, host, port, limit=BUFFER, backlog=backlog)
        except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: no host name can look so
            raise UsageError(f"cannot listen on {Endpoint(host, port)}: {words_of(error)}") from error
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        self.addresses.append(Endpoint(str(name[0]).partition("%")[0], int(name[1])))
        return self.addresses[-1]

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        for server in self._servers:
            server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._closing, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        channel = TlsChannel(self._context, True) if self._context is not None else None
        line = Line(reader, writer, side="server", channel=channel)
        patience = CLOSING
        if self._tap is not None:
            line.watch(self._tap.connection(line.peer, line.local, encrypted=channel is not None))
        try:
            if len(self._tasks) > self._most and not self._made_room():
                self._say_cut(line, f"more than {self._most} connections, closed")
                return
            self._silent[line] = None
            words = f"no TLS handshake within {self._limits.slow:g} s, connection cut"
            await self._guarded(self._limits.slow, line, words, line.handshake())
            await self._serve(line)
        except asyncio.CancelledError:
            # The server stops. The connection is closed below; asyncio asks nothing more of this task.
            patience = STOPPING
        except (OSError, TimeoutError, DsmsharkError) as error:
            if isinstance(error, TlsFailure) and self.on_tls_failure is not None:
                self.on_tls_failure(line.peer, error)
            if not isinstance(error, ConnectionError) or not line.closed:
                self._log.say("warning", f"{line.peer}: {words_of(error)}", peer=str(line.peer))
        finally:
            self._arriving.pop(line, None)
            self._silent.pop(line, None)
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await line.close(patience)

    def _made_room(self) -> bool:
        """Cut the connection that is silent for longest; False where all are being answered."""
        line = next(iter(self._silent), None)
        if line is None:
            return False
        del self._silent[line]
        line.reset()
        self._say_cut(line, f"more than {self._most} connections: this one, silent for longest, is cut")
        return True

    def _say_cut(self, line: Line, words: str) -> None:
        """Say that a connection was one too many, once in :data:`CUT_SAID`."""
        self._cut += 1
        if self._clock.monotonic() >= self._cut_said + CUT_SAID:
            before = f" (and {self._cut - 1} before it)" if self._cut > 1 else ""
            self._log.say("warning", f"{line.peer}: {words}{before}", peer=str(line.peer))
            self._cut, self._cut_said = 0, self._clock.monotonic()

    async def _guarded(self, seconds: float, line: Line, words: str, work: Awaitable[None]) -> None:
        """Do something; a peer that takes longer is cut off (by the clock, so that tests can wait in no time)."""

        def cut() -> None:
            if words:
                self._log.say("warning", f"{line.peer}: {words}", peer=str(line.peer))
            line.reset()

        timer = self._clock.call_later(seconds, cut)
        try:
            await work
        finally:
            timer.cancel()

    async def _read(self, line: Line, receiver: HttpReceiver) -> bytes:
        """The next bytes; a client that is silent for too long is cut off or, between requests, left in order."""

        def leave() -> None:
            task = asyncio.get_running_loop().create_task(line.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

        def cut() -> None:
            words = f"{receiver.pending} bytes of a request and then nothing for {self._limits.slow:g} s"
            self._log.say("warning", f"{line.peer}: {words}, connection cut", peer=str(line.peer))
            line.reset()

        pending = receiver.pending
        timer = self._clock.call_later(self._limits.slow if pending else self._limits.idle, cut if pending else leave)
        try:
            return await line.read()
        finally:
            timer.cancel()

    async def _serve(self, line: Line) -> None:
        receiver = HttpReceiver(line.peer, line.local, limits=self._reading, policy=self._policy)
        going = True
        while going:
            try:
                data = await self._read(line, receiver)
            except ConnectionError:
                data, going = b"", False
                messages = receiver.end(reset=True, time=self._clock.time_ns())
            else:
                if data:
                    messages = receiver.feed(data, self._clock.time_ns())
                else:
                    going = False
                    messages = receiver.end(time=self._clock.time_ns())
            for http in messages:
                wrong = not http.complete or any(one.rule == NOT_CHUNKED.id for one in http.findings)
                if going and http.is_request and wrong:
                    # The client has not left: what it says has no end that can be found, or not by the rules: who reads
                    # a capture can take the length that stands beside Transfer-Encoding, a server must not (RFC 9112
                    # 6.3).
                    why = next((one.text for one in http.findings if one.severity == "error"), "its end is not known")
                    await self._refuse(line, 400, "Bad Request", f"a request that cannot be read: {why}")
                    return
                if not await self._answer(line, http):
                    return
            if not going:
                return
            if max(receiver.pending, receiver.declared, receiver.decoded) > self._limits.request:
                words = f"a request of more than {self._limits.request} bytes, refused"
                await self._refuse(line, 413, "Content Too Large", words)
                return
            self._arriving[line] = max(receiver.pending, receiver.decoded)
            if receiver.pending and sum(self._arriving.values()) > self._limits.arriving:
                words = f"more than {self._limits.arriving} bytes of requests are arriving, this one is refused"
                await self._refuse(line, 503, "Service Unavailable", words)
                return
            if junk := receiver.junk:
                await self._refuse(line, 400, "Bad Request", _no_http(junk))
                return
            if receiver.waits_for_leave:
                await line.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _refuse(self, line: Line, status: int, reason: str, words: str) -> None:
        """Answer a request that is not read to its end, and close."""
        self._log.say("warning", f"{line.peer}: {words}", peer=str(line.peer))

        async def tell() -> None:
            await line.write(build_response(status, reason, [("Connection", "close")]))
            await line.linger()

        with contextlib.suppress(ConnectionError):
            await self._guarded(LINGER, line, "", tell())

    async def _answer(self, line: Line, http: HttpMessage) -> bool:
        """Handle one message; whether the connection goes on."""
        if not http.is_request:
            return False
        request = HttpRequest(http, line.local, line.peer, line.encrypted, line.peer_certificate)
        self._silent.pop(line, None)
        try:
            answer = await self._handler(request)
        except Exception as error:
            # A fault of ours must not take the emulator down, nor be kept quiet.
            self._log.say(
                "warning", f"{line.peer}: internal error: {type(error).__name__}: {error}", peer=str(line.peer)
            )
            answer = Answer([build_response(500, "Internal Server Error", [("Connection", "close")])], "close")
        written = False
        try:
            if http.complete:
                written = await self._write(line, answer)
        finally:
            if answer.after is not None:
                answer.after(written)
            self._silent[line] = None
        return written and answer.close == "keep" and http.complete and lasting(http)

    async def _write(self, line: Line, answer: Answer) -> bool:
        try:
            for place, piece in enumerate(answer.pieces, start=1):
                rate = answer.rate if place == len(answer.pieces) else None
                step = BLOCK if rate is None else max(int(rate / 10), 1)
                for at in range(0, len(piece), step):
                    block = piece[at : at + step] if len(piece) > step else piece
                    if not line.put(block):
                        words = f"the client takes no bytes of its answer for {self._limits.slow:g} s, connection cut"
                        await self._guarded(self._limits.slow, line, words, line.drained())
                    if rate is not None:
                        await self._clock.sleep(len(block) / rate)
        except ConnectionError as error:
            self._log.say("warning", f"{line.peer}: the client went away: {words_of(error)}", peer=str(line.peer))
            return False
        if answer.close == "reset":
            line.reset()
        return True


def _files() -> int:
    """Descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def lasting(http: HttpMessage) -> bool:
    """Whether the connection goes on after this message (RFC 9112 9.3)."""
    options = list_items(tuple(h.value for h in http.headers if h.name.lower() == "connection"))
    if "close" in options:
        return False
    return http.version != "1.0" or "keep-alive" in options


def _no_http(first: bytes) -> str:
    if first[0] == 0x16:
        return "the client speaks TLS to the http port: its address must begin with http://"
    return f"no HTTP request: it begins with {first[:20].hex(' ')}"
