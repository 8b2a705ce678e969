"""The HTTP client of the emulators and the player: raw requests out, messages back, by the dissector's reader.

Only the address in the URL is contacted, or the proxy that was named; redirections are not followed, and proxies of the
environment are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dissector.base.errors import DsmsharkError, TargetUnreachable, UsageError
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.base.origin import Endpoint
from dissector.http.model import HttpMessage
from dissector.http.start import begins_message
from replay.base.clock import Clock
from replay.net.fingerprints import check_fingerprint
from replay.net.line import CLOSING, Line, open_line, words_of
from replay.net.proxy import absolute, tunnel
from replay.net.receiver import HttpReceiver
from replay.net.server import BLOCK, Tap, lasting
from replay.net.target import Target, target_of
from replay.net.tls import TlsChannel
from replay.net.tls_failure import FIRST

__all__ = ["LONGEST", "AnswerCut", "HttpClient", "Target", "in_few_writes", "target_of"]

CLOSED = "the connection was closed"

LONGEST = 600.0
"""Seconds that an answer may take as a whole: one that drips is never silent."""

LARGEST = 4 << 30
"""Bytes of one answer, as it comes and as it is when content codings are undone: it goes to a temporary file, and one
without an end would fill the disk."""

BROKEN_OFF = 0.5
"""Seconds in which a peer may take the rest of a request that is broken off: who breaks off waits for a report."""

SMALL = 64 << 10
"""Bytes of pieces that are joined to one write."""


MAX_KEPT = 500
"""Connections that are kept open for a further request; of more, the one that was used longest ago is closed: sinks
come and go, each on a port of its own."""


class AnswerCut(TargetUnreachable):
    """The answer ended before its end; what came of it is in ``http``."""

    def __init__(self, words: str, http: HttpMessage) -> None:
        super().__init__(words)
        self.http = http


_Key = tuple[str, str, str, int]
"""Lane, scheme, host and port: what a kept connection is good for."""


@dataclass(slots=True, eq=False)
class _Open:
    """A connection. It is read all the time: so the end of one that is kept is noticed before it is used again, and an
    early answer is not lost when the peer then refuses the rest of the request with a reset."""

    line: Line
    receiver: HttpReceiver
    reading: asyncio.Task[bytes] | None = None
    odd: bool = False
    """The peer said more than it was asked for."""

    def read(self) -> asyncio.Task[bytes]:
        """The read under way; a new one where there is none."""
        if self.reading is None:
            self.reading = asyncio.create_task(self.line.read())
            # What nobody asks for any more is not an error of the loop.
            self.reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self.reading

    async def close(self, patience: float = CLOSING) -> None:
        """Close it in order; after so many seconds otherwise."""
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.gather(self.reading, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self.line.close(patience)


class HttpClient:
    """Sends requests, keeps connections open in between where both sides want that.

    Args:
        clock: for time-outs.
        tls: gives the context for a host that is spoken to over https; None: https is refused.
        pinned: SHA-256 fingerprint that a server's certificate must have.
        tap: the capture, None for none.
        timeout: seconds without a byte after which a connection, a request or an answer is given up.
        longest: seconds from the end of a request after which its answer is given up although bytes still come.
        largest: bytes of one answer; of a larger one this is its beginning, and it is cut.
        keep: keep connections.
        proxy: all connections go to this one, None for no proxy.
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
        longest: float = LONGEST,
        largest: int = LARGEST,
        keep: bool = True,
        proxy: Target | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._clock = clock
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._pinned = pinned
        self._tap = tap
        self._timeout = timeout
        self._longest = longest
        self._largest = largest
        self._keep = keep
        self._proxy = proxy
        self._limits = limits
        self._open: dict[_Key, list[_Open]] = {}
        self._kept: dict[_Open, _Key] = {}
        """All that are kept, the one that was used longest ago first."""
        self._closing: set[asyncio.Task[None]] = set()

    async def exchange(
        self,
        target: Target,
        pieces: Sequence[bytes],
        *,
        method: str = "POST",
        end: str = "keep",
        rate: float | None = None,
        lane: str = "",
        longest: float | None = None,
    ) -> HttpMessage:
        """Send a request as raw bytes and wait for its final answer.

        A request is never sent twice: a connection that was kept is used only while it is not known to have ended.

        Args:
            target: who gets it.
            pieces: head and body, written one after the other.
            method: of the request, which tells how the answer ends.
            end: ``close`` or ``reset`` the connection after the pieces instead of waiting; gives TargetUnreachable.
            rate: bytes a second of the last piece, None for no limit.
            lane: requests of different lanes never share a connection.
            longest: seconds that this answer may take as a whole, None: as for all.

        Raises:
            TargetUnreachable: no connection, or no answer.
            AnswerCut: the answer is not whole.
            UsageError: https, and the client has no context for it.
        """
        if self._proxy is not None and target.scheme == "http":
            pieces = absolute(pieces, target)
        longest = self._longest if longest is None else longest
        key = (lane, target.scheme, target.host, target.port)
        if key in self._open:
            # Twice through the loop: what came from the sockets by now is read.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        while idle := self._open.get(key):
            kept = idle[-1]
            self._leave(kept)
            if not kept.read().done():
                return await self._on(kept, key, target, pieces, method, end, rate, longest)
            await kept.close()
        opened = await self._connect(target)
        return await self._on(opened, key, target, pieces, method, end, rate, longest)

    async def close(self) -> None:
        """Close all connections that are kept."""
        kept = list(self._kept)
        self._open.clear()
        self._kept.clear()
        await asyncio.gather(*(one.close() for one in kept), *self._closing, return_exceptions=True)

    def _keep_open(self, key: _Key, opened: _Open) -> None:
        """Keep a connection until its end."""
        self._open.setdefault(key, []).append(opened)
        self._kept[opened] = key

        def ended(task: asyncio.Task[bytes]) -> None:
            if opened in self._kept and not task.cancelled():
                self._close_kept(opened)

        opened.read().add_done_callback(ended)
        if len(self._kept) > MAX_KEPT:
            self._close_kept(next(iter(self._kept)))

    def _leave(self, opened: _Open) -> None:
        """A connection is not kept any more: it is used, or ends."""
        key = self._kept.pop(opened)
        idle = self._open[key]
        idle.remove(opened)
        if not idle:
            del self._open[key]

    def _close_kept(self, opened: _Open) -> None:
        self._leave(opened)
        closing = asyncio.get_running_loop().create_task(opened.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _connect(self, target: Target) -> _Open:
        goes = self._proxy or target
        where = Endpoint(goes.host, goes.port)
        channel = None
        if target.scheme == "https":
            if self._tls is None:
                raise UsageError(f"{target} is https, and nothing was said about certificates")
            if self._context is None:
                self._context = self._tls()
            try:
                channel = TlsChannel(self._context, False, target.host)
            except DsmsharkError as error:
                raise TargetUnreachable(f"{where}: no TLS connection: {error}") from error
        connecting = asyncio.create_task(self._line(target))
        late = False

        def give_up() -> None:
            nonlocal late
            late = connecting.cancel()

        timer = self._clock.call_later(self._timeout, give_up)
        try:
            reader, writer = await connecting
        except asyncio.CancelledError:
            if not late:
                raise
            raise TargetUnreachable(f"{where} does not answer: no connection within {self._timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise TargetUnreachable(f"{where} cannot be reached: {words_of(error)}") from error
        finally:
            timer.cancel()
        line = Line(reader, writer, side="client", channel=channel)
        if self._tap is not None:
            line.watch(self._tap.connection(line.local, line.peer, encrypted=channel is not None))
        cut = _Late(self._clock, self._timeout, line)
        try:
            await line.handshake()
            if channel is not None and self._pinned is not None:
                check_fingerprint(line.peer_certificate or b"", self._pinned)
        except (OSError, DsmsharkError) as error:
            await line.close()
            words = f"no answer within {self._timeout:g} s" if cut else words_of(error)
            if channel is not None and not channel.heard and not cut and isinstance(error, OSError):
                words += "; a port of plain HTTP does that to TLS: does its address begin with http://?"
            raise TargetUnreachable(f"{where}: no TLS connection: {words}") from error
        except asyncio.CancelledError:
            line.reset()
            raise
        finally:
            cut.cancel()
        return _Open(line, HttpReceiver(line.peer, line.local, responses=True, limits=self._limits))

    async def _line(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the target, through the proxy where there is one."""
        goes = self._proxy or target
        reader, writer = await open_line(goes.host, goes.port)
        if self._proxy is not None and target.scheme == "https":
            try:
                await tunnel(reader, writer, target)
            except BaseException:
                writer.close()
                raise
        return reader, writer

    async def _on(
        self,
        opened: _Open,
        key: _Key,
        target: Target,
        pieces: Sequence[bytes],
        method: str,
        end: str,
        rate: float | None,
        longest: float,
    ) -> HttpMessage:
        line, receiver = opened.line, opened.receiver
        receiver.asked(method)
        opened.read()
        keep, patience = False, CLOSING
        try:
            sent = await self._send(line, target, pieces, rate)
            if end == "reset":
                line.reset()
                raise TargetUnreachable(f"{target}: the connection was reset on purpose")
            if end == "close":
                raise TargetUnreachable(f"{target}: the connection was closed on purpose")
            whole = _Late(self._clock, longest, line)
            try:
                answer = await self._answer(opened, target, whole, f"no whole answer within {longest:g} s")
            finally:
                whole.cancel()
            keep = sent and self._keep and lasting(answer) and not line.closed and not opened.odd
            return answer
        except asyncio.CancelledError:
            patience = BROKEN_OFF
            raise
        finally:
            if keep:
                self._keep_open(key, opened)
            else:
                await opened.close(patience)

    async def _send(self, line: Line, target: Target, pieces: Sequence[bytes], rate: float | None) -> bool:
        """Write a request; whether all of it went out."""
        for place, piece in enumerate(pieces, start=1):
            slow = rate if place == len(pieces) else None
            step = BLOCK if slow is None else max(int(slow / 10), 1)
            for at in range(0, len(piece), step):
                block = piece[at : at + step] if len(piece) > step else piece
                late = _Late(self._clock, self._timeout, line)
                broken = False
                try:
                    await line.write(block)
                except (OSError, DsmsharkError):
                    broken = True
                finally:
                    late.cancel()
                if late:
                    raise TargetUnreachable(f"{target}: it takes no bytes of the request for {self._timeout:g} s")
                if broken:
                    # The server may have answered before the end of the request (a refusal): that answer counts. A
                    # TLS 1.3 server can refuse the client's certificate only now; reading says it in words.
                    return False
                if slow is not None:
                    await self._clock.sleep(len(block) / slow)
        return True

    async def _answer(self, opened: _Open, target: Target, whole: _Late, words: str) -> HttpMessage:
        """Read the final answer; ``words`` say that ``whole`` cut it."""
        receiver = opened.receiver
        fresh = opened.line.received == 0
        first = b""
        while True:
            late = _Late(self._clock, self._timeout, opened.line)
            data, why = b"", CLOSED
            try:
                data = await opened.read()
            except (OSError, DsmsharkError) as error:
                why = f"the connection broke: {words_of(error)}"
            finally:
                late.cancel()
                opened.reading = None
            first = first or data[:FIRST]
            came = receiver.pending
            if late:
                why = f"nothing more for {self._timeout:g} s" if came else f"no answer within {self._timeout:g} s"
            elif whole:
                why = words
            now = self._clock.time_ns()
            # Only a connection that was closed in order can be the end of an answer.
            messages = receiver.feed(data, now) if data else receiver.end(reset=why != CLOSED, time=now)
            if max(receiver.pending, receiver.decoded) > self._largest:
                came, data, why = receiver.pending, b"", f"more than {self._largest} bytes"
                opened.line.reset()
                messages += receiver.end(reset=True, time=now)
            for http in messages:
                if http.status >= 200 or http.status == 101:
                    if not http.complete:
                        raise AnswerCut(f"{target}: the answer was cut after {came} bytes: {why}", http)
                    opened.odd = http is not messages[-1] or receiver.pending > 0
                    return http
            if not data:
                if why == CLOSED:
                    why += ", without an answer"
                elif whole and came:
                    why += f", {came} bytes came"
                # What an https port does to plain HTTP: OpenSSL's servers just close, others send an alert first.
                if first[:2] in (b"\x15\x03", b"\x16\x03"):
                    why = "it answers in TLS, not in plain HTTP: use an address that begins with https://"
                elif first and begins_message(first, request=False) is False:
                    why += f"; what came is not HTTP: its first bytes are {first.hex(' ')}"
                elif fresh and not (first or late or whole) and target.scheme == "http" and self._proxy is None:
                    why += "; an https port does that to plain HTTP: does its address begin with https://?"
                raise TargetUnreachable(f"{target}: {why}")


def in_few_writes(pieces: Sequence[bytes]) -> list[bytes]:
    """Small pieces that follow each other as one: many devices expect a message in one segment, and each write wakes
    the peer. What is large stays as it is."""
    found: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for piece in [*pieces, None]:
        if small and (piece is None or size + len(piece) > SMALL):
            found.append(b"".join(small) if len(small) > 1 else small[0])
            small, size = [], 0
        if piece is not None and len(piece) > SMALL:
            found.append(piece)
        elif piece is not None:
            small.append(piece)
            size += len(piece)
    return found


class _Late:
    """Cuts a connection when the time is over; true when it did."""

    def __init__(self, clock: Clock, seconds: float, line: Line) -> None:
        self._line = line
        self._cut = False
        self._timer = clock.call_later(seconds, self._over)

    def _over(self) -> None:
        self._cut = True
        self._line.reset()

    def cancel(self) -> None:
        """In time."""
        self._timer.cancel()

    def __bool__(self) -> bool:
        return self._cut
