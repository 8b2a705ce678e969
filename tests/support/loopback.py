"""Both ends of real sockets on loopback: a server under test with a raw client, and a raw server for a client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.http.writer import build_response
from replay.base.clock import ManualClock
from replay.base.log import Log
from replay.net.receiver import HttpReceiver
from replay.net.server import Answer, HttpRequest, HttpServer

PATIENCE = 60.0
"""Seconds of real time after which a test has failed; nothing waits so long when all is well."""

ANYWHERE = Endpoint("127.0.0.1", 1)


async def until(condition: Callable[[], object]) -> None:
    """Let everything run until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


def received(data: bytes) -> HttpMessage:
    """The one request in bytes, as a server gets it."""
    (http,) = HttpReceiver(ANYWHERE, ANYWHERE).feed(data, 1)
    return http


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections: it is held, so that nobody else listens there meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def run(work: Awaitable[Any]) -> Any:
    """Run a test's coroutine; fail rather than hang."""

    async def bounded() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await work

    return asyncio.run(bounded())


class Raw:
    """A client that says what it likes; used as ``async with Raw(port) as raw``."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._at = host, port
        self._receiver = HttpReceiver(ANYWHERE, ANYWHERE, responses=True)
        self._messages: list[HttpMessage] = []
        self.raw = b""

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self._at)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Bytes, as one piece."""
        self.writer.write(data)
        await self.writer.drain()

    def asked(self, method: str = "POST") -> None:
        """The next answer is that to a request with this method."""
        self._receiver.asked(method)

    async def answer(self) -> HttpMessage:
        """The next message, as the dissector reads it."""
        async with asyncio.timeout(PATIENCE):
            while not self._messages:
                data = await self.reader.read(65536)
                self.raw += data
                self._messages += self._receiver.feed(data, 0) if data else self._receiver.end()
                assert data or self._messages, f"closed without an answer: {self.raw!r}"
        return self._messages.pop(0)

    async def rest(self) -> bytes:
        """All that comes until the end; ConnectionResetError where it was cut."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(-1)


class Serving:
    """A server under test; it echoes bodies unless told otherwise."""

    def __init__(self, handler: Callable[[HttpRequest], Awaitable[Answer]] | None = None, **given: Any) -> None:
        self.clock = ManualClock()
        self.log = Log(self.clock)
        self.requests: list[HttpRequest] = []
        self._handler = handler or self._echo
        self.server = HttpServer(self._take, clock=self.clock, log=self.log, **given)

    async def __aenter__(self) -> Self:
        self.port = (await self.server.listen("127.0.0.1", 0)).port
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.stop()

    @property
    def warnings(self) -> list[str]:
        """What was said of troubles."""
        return [entry.text for entry in self.log.entries if entry.kind == "warning"]

    async def _take(self, request: HttpRequest) -> Answer:
        self.requests.append(request)
        return await self._handler(request)

    @staticmethod
    async def _echo(request: HttpRequest) -> Answer:
        body = request.http.body.data() if request.http.complete and request.http.body.size else b""
        return Answer([build_response(200, "OK", [("Content-Type", "text/plain")], body)])


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def peer(script: Script) -> AsyncIterator[int]:
    """A server that does on each connection what the script says, then closes it; gives its port."""
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await script(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request with Content-Length, as bytes."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)
