"""Client and server of our own over real sockets with TLS: certificates, plain HTTP by mistake, the capture of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import dissector
from dissector.base.errors import TargetUnreachable
from dissector.http.writer import build_request
from dissector.soap.build import build_envelope
from replay.base.clock import ManualClock
from replay.net.certificates import Identity, issue, make_authority, own_certificate
from replay.net.client import HttpClient, target_of
from replay.net.tap import PacketTap
from replay.net.tls import client_context, server_context
from replay.soap.caller import action_of
from tests.support.loopback import Raw, Serving, peer, run, until


@dataclass(frozen=True)
class Papers:
    server: Identity
    authority: Identity
    user: Identity


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority = make_authority(folder)
    return Papers(
        own_certificate(folder / "server", ["localhost", "127.0.0.1"], datetime.now(UTC)),
        authority,
        issue(authority, folder, "anna", ["anna@corp.example"], client=True),
    )


def post(body: bytes = b"hello") -> bytes:
    return build_request("POST", "/", [("Host", "h")], body)


def client(context: Callable[[], Any], **given: Any) -> HttpClient:
    return HttpClient(clock=ManualClock(), tls=context, **given)


def test_a_connection_is_encrypted_kept_and_closed_in_order(papers: Papers) -> None:
    async def story() -> None:
        ours = client(lambda: client_context(papers.server.cert_path))
        async with Serving(context=server_context(papers.server)) as serving:
            target = target_of(f"https://127.0.0.1:{serving.port}/")
            for body in (b"one", bytes(3_000_000)):
                assert (await ours.exchange(target, [post(body)])).body.data() == body
            assert len({one.peer for one in serving.requests}) == 1
            assert serving.requests[0].encrypted
            assert serving.requests[0].certificate is None
            await ours.close()
            await until(lambda: not serving.server._tasks)
            assert serving.warnings == []

    run(story())


@pytest.mark.parametrize("asked", ["asked", "required"])
def test_a_client_certificate_reaches_the_handler(papers: Papers, asked: str) -> None:
    async def story() -> None:
        context = server_context(papers.server, asked, papers.authority.cert_path)
        ours = client(lambda: client_context("none", papers.user))
        async with Serving(context=context) as serving:
            await ours.exchange(target_of(f"https://localhost:{serving.port}/"), [post()])
            der = serving.requests[0].certificate
            assert der is not None
            assert b"anna" in der
        await ours.close()

    run(story())


def test_a_client_without_the_certificate_that_is_required(papers: Papers) -> None:
    async def story() -> None:
        context = server_context(papers.server, "required", papers.authority.cert_path)
        ours = client(lambda: client_context("none"))
        async with Serving(context=context) as serving:
            with pytest.raises(TargetUnreachable, match="wants a client certificate, and none was given"):
                await ours.exchange(target_of(f"https://127.0.0.1:{serving.port}/"), [post()])
            await until(lambda: serving.warnings)
            assert "the client gave no certificate, and one is required" in serving.warnings[0]
            assert serving.requests == []
        await ours.close()

    run(story())


def test_a_server_that_is_not_trusted(papers: Papers) -> None:
    async def story() -> None:
        ours = client(lambda: client_context("system"))
        async with Serving(context=server_context(papers.server)) as serving:
            with pytest.raises(TargetUnreachable, match=r"127\.0\.0\.1:\d+: no TLS connection: .*self-signed"):
                await ours.exchange(target_of(f"https://127.0.0.1:{serving.port}/"), [post()])
            await until(lambda: serving.warnings)
            assert "does not know the authority" in serving.warnings[0]
        await ours.close()

    run(story())


def test_a_pinned_fingerprint(papers: Papers) -> None:
    async def story() -> None:
        async with Serving(context=server_context(papers.server)) as serving:
            target = target_of(f"https://127.0.0.1:{serving.port}/")
            good = client(lambda: client_context(papers.server.fingerprint), pinned=papers.server.fingerprint)
            assert (await good.exchange(target, [post()])).status == 200
            await good.close()
            bad = client(lambda: client_context(papers.user.fingerprint), pinned=papers.user.fingerprint)
            with pytest.raises(TargetUnreachable, match="fingerprint"):
                await bad.exchange(target, [post()])
            await bad.close()
            assert len(serving.requests) == 1

    run(story())


def test_plain_http_to_the_https_port(papers: Papers) -> None:
    async def story() -> None:
        async with Serving(context=server_context(papers.server)) as serving:
            async with Raw(serving.port) as raw:
                await raw.send(post())
                assert await raw.rest() == b""
            await until(lambda: serving.warnings)
            assert "the client speaks plain HTTP to the https port" in serving.warnings[0]

    run(story())


def test_https_to_the_plain_port() -> None:
    async def story() -> None:
        ours = client(lambda: client_context("none"))
        async with Serving() as serving:
            with pytest.raises(TargetUnreachable, match="the server answers in plain HTTP, not TLS"):
                await ours.exchange(target_of(f"https://127.0.0.1:{serving.port}/"), [post()])
            assert "the client speaks TLS to the http port" in serving.warnings[0]
        await ours.close()

    run(story())


def test_our_client_at_a_port_of_the_other_kind(papers: Papers) -> None:
    """Who only closes or resets the connection gives no reason: the likely one is said."""

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async def story() -> None:
        ours = client(lambda: client_context("none"))
        async with Serving(context=server_context(papers.server)) as serving:
            with pytest.raises(TargetUnreachable, match=r"an https port does that .*: does its address begin"):
                await ours.exchange(target_of(f"http://127.0.0.1:{serving.port}/"), [post()])
        async with await asyncio.start_server(closes, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(TargetUnreachable, match=r"port of plain HTTP does that .*: does its address begin"):
                await ours.exchange(target_of(f"https://127.0.0.1:{port}/"), [post()])
        await ours.close()

    run(story())


def test_a_handshake_that_does_not_go_on(papers: Papers) -> None:
    async def story() -> None:
        async with Serving(context=server_context(papers.server)) as serving, Raw(serving.port) as raw:
            await raw.send(b"\x16\x03\x01")
            await until(lambda: serving.clock.next_due == 60)
            await serving.clock.advance(60)
            with pytest.raises(ConnectionResetError):
                await raw.rest()
            assert "no TLS handshake within 60 s" in serving.warnings[0]

    run(story())


def test_the_capture_of_a_server_is_read_by_the_dissector(tmp_path: Path) -> None:
    path = tmp_path / "own.pcapng"

    async def story(file: BinaryIO) -> None:
        tap = PacketTap(file, application="test", clock=ManualClock())
        ours = HttpClient(clock=ManualClock())
        async with Serving(tap=tap) as serving:
            target = target_of(f"http://127.0.0.1:{serving.port}/")
            for number in (1, 2):
                body = build_envelope(None, action=action_of("Get", "WS-Transfer"), message_id=f"urn:{number}")
                await ours.exchange(target, [post(body)])
            await ours.close()
        tap.close()

    with path.open("wb") as file:
        run(story(file))
    with dissector.open(path) as capture:
        seen = [(one.name, one.message_id, one.complete) for one in capture.messages]
    assert seen == [("Get", f"urn:{number}", True) for number in (1, 1, 2, 2)]


def test_https_goes_through_the_tunnel_of_a_proxy(papers: Papers) -> None:
    async def story() -> None:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", serving.port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

            async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
                sink.close()

            await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer), return_exceptions=True)

        async with Serving(context=server_context(papers.server)) as serving, peer(script) as port:
            ours = client(lambda: client_context(papers.server.cert_path), proxy=target_of(f"http://127.0.0.1:{port}/"))
            answer = await ours.exchange(target_of("https://localhost:1/"), [post(b"through")])
            assert answer.body.data() == b"through"
            assert serving.requests[0].http.target == "/"
            await ours.close()

    run(story())
