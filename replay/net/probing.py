"""A client's questions over UDP: a datagram to one endpoint or to all, repeated; the answers that come in time.

Only what the caller named is sent anything. Time goes by the clock that is passed in. A socket of a unicast question is
connected, so that nobody else's datagram is taken for an answer, and a closed port is known at once (ICMP).

Sources: SOAP-over-UDP appendix A (repeats); WS-Discovery 2005/04 5.2, DPWS 2006/02 appendix I (how long to wait).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dissector.base.errors import TargetUnreachable
from dissector.base.origin import Endpoint
from replay.base.clock import Clock, Timer
from replay.base.repeats import DPWS_2006
from replay.net.datagram import DISCOVERY_PORT, GROUPS, MAX_DATAGRAM, bind_address, socket_name, unzoned
from replay.net.interfaces import FAMILIES, choose

__all__ = ["MATCH_TIMEOUT", "Answers", "DatagramTap", "probe_multicast", "probe_unicast"]

MATCH_TIMEOUT = 4.0
"""Seconds that answers are waited for where nothing else is said: what the firewall of Windows allows."""

MAX_ADDRESSES = 4
"""Addresses of one host name that are asked."""

MAX_ANSWERS = 1000
"""Answers to one question that are taken."""

Answers = list[tuple[bytes, Endpoint]]
"""Answers as they came: payload and sender (with its zone)."""


class DatagramTap(Protocol):
    """The packet capture."""

    def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> object:
        """Take a datagram."""
        ...


def first(answer: bytes, source: Endpoint) -> bool:
    """One answer is enough."""
    return True


def every(answer: bytes, source: Endpoint) -> bool:
    """More may come until the time is over."""
    return False


async def probe_unicast(
    destination: Endpoint,
    data: bytes,
    clock: Clock,
    timeout: float = MATCH_TIMEOUT,
    repeats: int = DPWS_2006.unicast,
    *,
    tap: DatagramTap | None = None,
    rng: random.Random | None = None,
    enough: Callable[[bytes, Endpoint], bool] = first,
) -> Answers:
    """Ask one endpoint.

    Args:
        destination: address or host name, and port. Of a name with several addresses all are asked.
        data: the question.
        clock: times repeats and the end.
        timeout: seconds after which it is over.
        repeats: how often it is sent, the first one included.
        tap: takes what is sent and received.
        rng: of the waits between the repeats.
        enough: told of each answer; True ends the wait. Default: the first one does.

    Returns:
        The answers; none after the timeout, or as soon as the port is known to be closed.

    Raises:
        TargetUnreachable: the name is not known, or there is no route.
    """
    loop = asyncio.get_running_loop()
    try:
        known = await loop.getaddrinfo(destination.address, destination.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise TargetUnreachable(f"{destination.address}: {why}") from error
    problem = "no address"
    async with _Question(clock, tap, enough) as question:
        for family, _, _, _, name in list(dict.fromkeys(known))[:MAX_ADDRESSES]:
            sock = None
            try:
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.setblocking(False)
                sock.connect(name)
            except OSError as error:
                problem = error.strerror or str(error)
                if sock is not None:
                    sock.close()
                continue
            question.add(sock, None, Endpoint(str(name[0]), int(name[1])))
        if not question.lines:
            raise TargetUnreachable(f"{destination}: {problem}")
        return await question.ask(data, timeout, DPWS_2006.offsets(repeats, rng or random.Random()))


async def probe_multicast(
    interfaces: Sequence[str],
    data: bytes,
    clock: Clock,
    timeout: float = MATCH_TIMEOUT,
    repeats: int = DPWS_2006.multicast,
    *,
    port: int = DISCOVERY_PORT,
    families: Sequence[str] = FAMILIES,
    tap: DatagramTap | None = None,
    rng: random.Random | None = None,
    enough: Callable[[bytes, Endpoint], bool] = every,
) -> Answers:
    """Ask everybody on interfaces (names or addresses, see :func:`replay.net.interfaces.choose`).

    Returns:
        The answers until the timeout, or until there are enough.

    Raises:
        UsageError: there is no such interface.
        TargetUnreachable: nothing could be sent on any of them.
    """
    async with _Question(clock, tap, enough) as question:
        done = set()
        for at in choose(interfaces, families):
            if (at.interface or at.address, at.family) not in done:
                done.add((at.interface or at.address, at.family))
                group = Endpoint(GROUPS[at.family], port)
                question.add(bind_address(at, 0), socket_name(group, at), group)
        return await question.ask(data, timeout, DPWS_2006.offsets(repeats, rng or random.Random()))


@dataclass(slots=True)
class _Line:
    """One socket of a question: where it sends to (None: connected), and how that is shown."""

    sock: socket.socket
    name: Any
    shown: Endpoint

    @property
    def source(self) -> Endpoint:
        name = self.sock.getsockname()
        return unzoned(Endpoint(str(name[0]), int(name[1])))


class _Question:
    """Sends a question on its lines and gathers the answers; closes the sockets at the end."""

    def __init__(self, clock: Clock, tap: DatagramTap | None, enough: Callable[[bytes, Endpoint], bool]) -> None:
        self._clock = clock
        self._tap = tap
        self._enough = enough
        self._answers: Answers = []
        self._timers: list[Timer] = []
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._problem = ""
        self._sent = 0
        self.lines: list[_Line] = []

    async def __aenter__(self) -> _Question:
        return self

    async def __aexit__(self, *error: object) -> None:
        for timer in self._timers:
            timer.cancel()
        for line in list(self.lines):
            self._drop(line)

    def add(self, sock: socket.socket, name: Any, shown: Endpoint) -> None:
        """Ask by this socket as well."""
        line = _Line(sock, name, shown)
        self.lines.append(line)
        asyncio.get_running_loop().add_reader(sock, self._ready, line)

    async def ask(self, data: bytes, timeout: float, offsets: Sequence[float]) -> Answers:
        """Send at these offsets; the answers, when it is over."""
        for offset in offsets:
            if offset <= 0:
                self._send(data)
            else:
                self._timers.append(self._clock.call_later(offset, lambda: self._send(data)))
        if not self._sent and self._problem:
            raise TargetUnreachable(self._problem)
        self._timers.append(self._clock.call_later(timeout, self._end))
        await self._over
        return self._answers

    def _send(self, data: bytes) -> None:
        for line in list(self.lines):
            try:
                if line.name is None:
                    line.sock.send(data)
                else:
                    line.sock.sendto(data, line.name)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                self._problem = f"{line.shown}: {error.strerror or error}"
                if line.name is None:
                    self._lost(line)
                continue
            self._sent += 1
            if self._tap is not None:
                self._tap.datagram(line.source, unzoned(line.shown), data)

    def _ready(self, line: _Line) -> None:
        while not self._over.done():
            try:
                data, name = line.sock.recvfrom(MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # The port is closed.
                self._lost(line)
                return
            source = Endpoint(str(name[0]), int(name[1]))
            if self._tap is not None:
                self._tap.datagram(unzoned(source), line.source, data)
            self._answers.append((data, source))
            if self._enough(data, source) or len(self._answers) >= MAX_ANSWERS:
                self._end()

    def _lost(self, line: _Line) -> None:
        self._drop(line)
        if not self.lines:
            self._end()

    def _drop(self, line: _Line) -> None:
        if line in self.lines:
            self.lines.remove(line)
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(line.sock)
            line.sock.close()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
