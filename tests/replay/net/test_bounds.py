"""What sockets are given and what is kept of them is bounded: each bound at its edge."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dissector.base.errors import TargetUnreachable, UsageError
from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock, RealClock
from replay.base.log import Log
from replay.net import client as client_module
from replay.net import interfaces, probing, tap, udp
from replay.net.certificates import MAX_COMMON_NAME, MAX_NAMES, own_certificate
from replay.net.client import HttpClient, target_of
from replay.net.proxy import LONGEST
from replay.net.server import HttpServer
from replay.net.tap import COMMENT, PacketTap
from tests.support.loopback import Serving, peer, read_request, run, until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("most", "closed"), [(1, 2), (2, 1), (3, 0), (4, 0)])
def test_connections_that_are_kept(monkeypatch: pytest.MonkeyPatch, most: int, closed: int) -> None:
    monkeypatch.setattr(client_module, "MAX_KEPT", most)
    ended: list[int] = []

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            ports: list[int] = []
            for place in range(3):

                async def script(
                    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: int = place
                ) -> None:
                    await read_request(reader)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    await reader.read()
                    ended.append(place)

                ports.append(await stack.enter_async_context(peer(script)))
            client = HttpClient(clock=ManualClock())
            for port in ports:
                await client.exchange(target_of(f"http://127.0.0.1:{port}/"), [POST])
            await until(lambda: len(ended) == closed)
            assert ended == list(range(closed))
            assert len(client._kept) == len(client._open) == 3 - closed
            await client.close()
            assert (client._kept, client._open) == ({}, {})

    run(story())


def test_a_connection_that_ends_leaves_no_trace() -> None:
    async def story() -> None:
        client = HttpClient(clock=ManualClock())
        async with Serving() as serving:
            await client.exchange(target_of(f"http://127.0.0.1:{serving.port}/"), [POST])
            assert len(client._kept) == 1
        await until(lambda: not client._kept)
        assert client._open == {}
        await client.close()

    run(story())


@pytest.mark.parametrize(("more", "words"), [(-1, "200"), (0, "200"), (1, "gives no tunnel$")])
def test_the_answer_of_a_proxy(more: int, words: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n"
    answer = head % (b"x" * (LONGEST - len(head % b"") + more))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(OSError):
            await writer.drain()

    async def story() -> None:
        async with peer(script) as port:
            client = HttpClient(
                clock=ManualClock(), proxy=target_of(f"http://127.0.0.1:{port}/"), tls=ssl.create_default_context
            )
            with pytest.raises(TargetUnreachable) as error:
                await client.exchange(target_of("https://192.0.2.7:5362/"), [POST])
            told = str(error.value)
            # With a tunnel it is TLS that fails: the proxy ends there.
            assert ("gives no tunnel" in told) == (words != "200"), told
            await client.close()

    run(story())


@pytest.mark.parametrize(("length", "kept"), [(COMMENT - 1, COMMENT - 1), (COMMENT, COMMENT), (COMMENT + 1, COMMENT)])
def test_a_comment_in_the_capture(length: int, kept: int) -> None:
    file = io.BytesIO()
    made = PacketTap(file, application="test", clock=ManualClock())
    tcp = made.connection(Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2))
    tcp.comment("c" * length)
    tcp.sent("client", b"x")
    assert file.getvalue().count(b"c" * kept) == 1
    assert b"c" * (kept + 1) not in file.getvalue()


@pytest.mark.parametrize(("size", "whole"), [(70, True), (71, True), (60, False)])
def test_so_much_of_a_key_log_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, whole: bool
) -> None:
    line = b"CLIENT_RANDOM " + b"ab" * 16 + b" " + b"cd" * 11 + b"\n"
    assert len(line) == 70
    monkeypatch.setattr(tap, "KEYLOG_READ", size)
    log = tmp_path / "keys"
    log.write_bytes(b"")
    keys = tap._KeyLog(log)
    log.write_bytes(line * 2)
    # What is longer than is read at once is no key log; whole lines are read one after the other.
    assert (keys.new_lines() == line) is whole
    assert (keys.new_lines() == line) is whole


@pytest.mark.parametrize(("most", "answers"), [(2, 2), (3, 3), (4, 3)])
def test_answers_to_one_question(monkeypatch: pytest.MonkeyPatch, most: int, answers: int) -> None:
    monkeypatch.setattr(probing, "MAX_ANSWERS", most)

    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.bind(("127.0.0.1", 0))
            there.setblocking(False)
            clock = ManualClock()
            asked = asyncio.create_task(
                probing.probe_unicast(
                    Endpoint("127.0.0.1", there.getsockname()[1]), b"?", clock, 4.0, 1, rng=random.Random(1),
                    enough=probing.every,
                )
            )  # fmt: skip
            _, at = await asyncio.get_running_loop().sock_recvfrom(there, 10)
            for number in range(3):
                there.sendto(b"%d" % number, at)
            seen: list[Any] = []
            await until(lambda: asked.done() or _pending(asked, seen) >= answers)
            await clock.advance(4.0)
            assert [data for data, _ in await asked] == [b"%d" % number for number in range(answers)]

    def _pending(asked: asyncio.Task[Any], seen: list[Any]) -> int:
        frame = asked.get_stack()[0]
        return len(frame.f_locals["question"]._answers)

    run(story())


@pytest.mark.parametrize(("most", "asked"), [(1, 1), (2, 2), (3, 2)])
def test_addresses_of_one_name(monkeypatch: pytest.MonkeyPatch, most: int, asked: int) -> None:
    monkeypatch.setattr(probing, "MAX_ADDRESSES", most)

    async def story() -> None:
        loop = asyncio.get_running_loop()

        async def known(host: str, port: int, **more: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (f"127.0.0.{last}", port)) for last in (1, 2)]

        monkeypatch.setattr(loop, "getaddrinfo", known)
        sent: list[Endpoint] = []

        class Tap:
            def datagram(self, source: Endpoint, destination: Endpoint, data: bytes) -> None:
                sent.append(destination)

        # Nobody listens: that is known at once, or when the time is over.
        clock = ManualClock()
        task = asyncio.create_task(
            probing.probe_unicast(Endpoint("two.test", 9), b"?", clock, 1.0, 1, tap=Tap(), rng=random.Random(1))
        )
        await until(lambda: len(sent) == asked)
        await clock.advance(1.0)
        assert await task == []
        assert len(sent) == asked

    run(story())


@pytest.mark.parametrize(("most", "known"), [(1, [2]), (2, [1, 2]), (3, [0, 1, 2])])
def test_senders_that_are_remembered(monkeypatch: pytest.MonkeyPatch, most: int, known: list[int]) -> None:
    monkeypatch.setattr(udp, "MAX_HEARD", most)

    async def story() -> None:
        heard: list[bytes] = []
        async with udp.DiscoverySockets(
            (), extra_ports=(0,), on_datagram=lambda data, *rest: heard.append(data), families=("ipv4",)
        ) as sockets:
            (at,) = sockets.endpoints
            with contextlib.ExitStack() as stack:
                senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
                for number, one in enumerate(senders):
                    one.sendto(b"x", (at.address, at.port))
                    await until(lambda number=number: len(heard) == number + 1)
                ports = [one.getsockname()[1] for one in senders]
            assert [ports.index(one.port) for one in sockets._heard] == known

    run(story())


@pytest.mark.parametrize("length", [MAX_COMMON_NAME - 1, MAX_COMMON_NAME, MAX_COMMON_NAME + 1])
def test_a_common_name(tmp_path: Path, length: int) -> None:
    name = "h" * length
    subject = own_certificate(tmp_path, [name], NOW).subject
    assert subject == ("CN=dsmreplay" if length > MAX_COMMON_NAME else f"CN={name}")


@pytest.mark.parametrize("number", [MAX_NAMES - 1, MAX_NAMES, MAX_NAMES + 1])
def test_names_of_a_certificate(tmp_path: Path, number: int) -> None:
    made = own_certificate(tmp_path, [f"host{place}.test" for place in range(number)], NOW)
    assert len(made.names) == min(number, MAX_NAMES)
    # Too many are no reason to make another one at each start.
    again = own_certificate(tmp_path, [f"host{place}.test" for place in range(number)], NOW)
    assert again.fingerprint == made.fingerprint


def test_a_sandbox_without_netlink_has_no_addresses_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*given: Any) -> Any:
        raise PermissionError("not here")

    monkeypatch.setattr(interfaces.socket, "socket", forbidden)
    assert interfaces.local_addresses() == []
    assert interfaces.choose(["127.0.0.1"])[0].address == "127.0.0.1"


@pytest.mark.parametrize("host", ["a..b", "h" * 70, "\udc80"])
def test_a_name_that_no_host_can_have(host: str) -> None:
    async def story() -> None:
        clock = RealClock()
        server = HttpServer(lambda request: None, clock=clock, log=Log(clock))  # type: ignore[arg-type,return-value]  # never asked
        with pytest.raises(UsageError, match="cannot listen on"):
            await server.listen(host, 0)

    run(story())
