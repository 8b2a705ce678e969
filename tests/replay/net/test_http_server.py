"""The HTTP server over real sockets: what clients do, well and badly."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
from collections.abc import Awaitable, Callable

import pytest

from dissector.base.errors import UsageError
from dissector.http.writer import build_request, build_response
from replay.base.clock import ManualClock
from replay.base.log import Log
from replay.net.server import Answer, HttpRequest, HttpServer, ServerLimits
from tests.support.loopback import Raw, Serving, run, until

HOST = ("Host", "h")


def post(body: bytes, *headers: tuple[str, str], chunk: int | None = None, path: str = "/") -> bytes:
    return build_request("POST", path, [HOST, ("Content-Type", "text/plain"), *headers], body, chunk)


async def forever(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()


async def ended(raw: Raw) -> bool:
    """The server closed in order: nothing more comes."""
    return await raw.rest() == b""


def test_a_connection_is_kept_for_the_next_request() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            for text in (b"one", b"two"):
                await raw.send(post(text))
                answer = await raw.answer()
                assert (answer.status, answer.body.data(), answer.complete) == (200, text, True)
            assert [one.http.target for one in serving.requests] == ["/", "/"]
            assert serving.requests[0].peer == serving.requests[1].peer

    run(story())


@pytest.mark.parametrize(
    ("request_", "kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive, close\r\n\r\n", False),
    ],
)
def test_who_wants_the_end_gets_it(request_: bytes, kept: bool) -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(request_)
            assert (await raw.answer()).status == 200
            if kept:
                await raw.send(request_)
                assert (await raw.answer()).status == 200
            else:
                assert await ended(raw)

    run(story())


@pytest.mark.parametrize(("close", "reset"), [("close", False), ("reset", True)])
def test_an_answer_can_end_the_connection(close: str, reset: bool) -> None:
    async def handler(request: HttpRequest) -> Answer:
        return Answer([build_response(200, "OK", [], b"x")] if not reset else [], close)

    async def story() -> None:
        async with Serving(handler) as serving, Raw(serving.port) as raw:
            await raw.send(post(b"hello"))
            if reset:
                with pytest.raises(ConnectionResetError):
                    await raw.rest()
            else:
                assert (await raw.answer()).body.data() == b"x"
                assert await ended(raw)

    run(story())


def test_requests_in_a_row_are_answered_in_order() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(post(b"1") + post(b"2", chunk=1) + b"\r\n" + post(b"3"))
            assert [(await raw.answer()).body.data() for _ in range(3)] == [b"1", b"2", b"3"]

    run(story())


def test_a_request_byte_by_byte() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            raw.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in post(b"slowly said", chunk=4):
                await raw.send(bytes([byte]))
                await asyncio.sleep(0)
            answer = await raw.answer()
            assert answer.body.data() == b"slowly said"
            assert len(serving.requests) == 1

    run(story())


def test_a_large_chunked_request_is_whole_in_a_file() -> None:
    data = bytes(range(256)) * 12_000

    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(post(data, chunk=7000))
            assert (await raw.answer()).body.data() == data

    run(story())


def test_leave_to_send_the_body_is_given_once() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            whole = post(b"a long body", ("Expect", "100-continue"))
            head, body = whole[:-11], whole[-11:]
            await raw.send(head)
            assert (await raw.answer()).status == 100
            await raw.send(body[:4])
            await raw.send(body[4:])
            answer = await raw.answer()
            assert (answer.status, answer.body.data()) == (200, b"a long body")
            assert raw.raw.count(b"100 Continue") == 1

    run(story())


@pytest.mark.parametrize("expect", [False, True])
def test_a_request_that_says_it_is_too_large_is_refused_before_it_came(expect: bool) -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(request=1000)) as serving, Raw(serving.port) as raw:
            more = b"Expect: 100-continue\r\n" if expect else b""
            await raw.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n" + more + b"\r\n")
            answer = await raw.answer()
            assert (answer.status, answer.header("Connection")) == (413, "close")
            assert await ended(raw)
            assert serving.requests == []
            assert "a request of more than 1000 bytes, refused" in serving.warnings[0]

    run(story())


@pytest.mark.parametrize("more", [b"", b"Content-Length: 4\r\n"], ids=["alone", "with a length"])
@pytest.mark.parametrize("body", [b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"f" * 30 + b"\r\n"], ids=str)
def test_chunks_that_are_none_are_refused_and_named(body: bytes, more: bytes) -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + more + b"\r\n" + body)
            answer = await raw.answer()
            assert (answer.status, answer.header("Connection")) == (400, "close")
            raw.writer.write_eof()
            assert await ended(raw)
            assert serving.requests == []
            assert "a request that cannot be read: " in serving.warnings[0]

    run(story())


def test_requests_that_arrive_at_once_are_bounded_together() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n"

    async def story() -> None:
        async with Serving(limits=ServerLimits(arriving=1500)) as serving:
            async with Raw(serving.port) as first, Raw(serving.port) as second, Raw(serving.port) as third:
                await first.send(head + bytes(900))
                await until(lambda: sum(serving.server._arriving.values()) > 900)
                await second.send(head + bytes(900))
                assert (await second.answer()).status == 503
                second.writer.write_eof()
                assert await ended(second)
                assert "more than 1500 bytes of requests are arriving" in serving.warnings[0]
                await first.send(bytes(100))
                assert (await first.answer()).status == 200
                await third.send(head + bytes(1000))
                assert (await third.answer()).status == 200
            await until(lambda: not serving.server._arriving)

    run(story())


def test_a_client_that_goes_on_sending_still_reads_the_refusal() -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(request=1000)) as serving, Raw(serving.port) as raw:
            await raw.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(40):
                await raw.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            answer = await raw.answer()
            assert answer.status == 413
            raw.writer.write_eof()
            assert await ended(raw)

    run(story())


def test_who_does_not_stop_sending_after_a_refusal_is_cut_off() -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(request=1000)) as serving, Raw(serving.port) as raw:
            await raw.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n")
            assert (await raw.answer()).status == 413
            await serving.clock.advance(5)
            with pytest.raises(ConnectionResetError):
                await forever(lambda: raw.send(bytes(1000)))

    run(story())


def test_a_client_that_breaks_off() -> None:
    async def story() -> None:
        async with Serving() as serving:
            async with Raw(serving.port) as raw:
                await raw.send(post(b"hello")[:-2])
                raw.writer.write_eof()
                assert await raw.rest() == b""
            await until(lambda: serving.requests)
            assert not serving.requests[0].http.complete

    run(story())


def test_a_client_that_goes_away_before_its_answer() -> None:
    told: list[bool] = []
    go = asyncio.Event()

    async def handler(request: HttpRequest) -> Answer:
        await go.wait()
        return Answer([bytes(1 << 20)] * 20, after=told.append)

    async def story() -> None:
        async with Serving(handler) as serving:
            async with Raw(serving.port) as raw:
                await raw.send(post(b"hello"))
                await until(lambda: serving.requests)
                raw.writer.transport.abort()
            go.set()
            await until(lambda: told)
            assert told == [False]
            assert "the client went away" in serving.warnings[0]

    run(story())


def test_an_idle_connection_is_closed_in_order_and_without_a_word() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(post(b"hello"))
            await raw.answer()
            await until(lambda: serving.clock.next_due == 300)
            await serving.clock.advance(299)
            await raw.send(post(b"still there"))
            assert (await raw.answer()).body.data() == b"still there"
            await until(lambda: serving.clock.next_due == 300)
            await serving.clock.advance(300)
            assert await ended(raw)
            assert serving.warnings == []

    run(story())


def test_a_client_that_stops_inside_its_request_is_cut_off() -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            whole = post(b"hello")
            await raw.send(whole[:10])
            await until(lambda: serving.clock.next_due == 60)
            await serving.clock.advance(59)
            await raw.send(whole[10:20])
            # Each byte that comes gives another minute.
            await until(lambda: serving.clock.next_due == 60)
            await serving.clock.advance(60)
            with pytest.raises(ConnectionResetError):
                await raw.rest()
            assert "20 bytes of a request and then nothing for 60 s" in serving.warnings[0]

    run(story())


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async def handler(request: HttpRequest) -> Answer:
        return Answer([bytes(30 << 20)])

    async def story() -> None:
        async with Serving(handler) as serving, Raw(serving.port) as raw:
            raw.writer.transport.pause_reading()
            await raw.send(post(b"hello"))
            await until(lambda: serving.requests)
            await serving.clock.settle(200)
            while not serving.warnings:
                await serving.clock.advance(60)
            assert "takes no bytes of its answer for 60 s" in serving.warnings[0]

    run(story())


def test_the_connection_that_is_silent_for_longest_makes_room() -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(connections=2)) as serving:
            async with Raw(serving.port) as one, Raw(serving.port) as two:
                for raw in (one, two, one):
                    await raw.send(post(b"x"))
                    await raw.answer()
                async with Raw(serving.port) as three:
                    await three.send(post(b"z"))
                    assert (await three.answer()).status == 200
                    assert "more than 2 connections: this one, silent for longest, is cut" in serving.warnings[0]
                    with pytest.raises(ConnectionResetError):
                        await two.rest()
                    await one.send(post(b"y"))
                    assert (await one.answer()).status == 200
            await until(lambda: not serving.server._tasks and not serving.server._silent)

    run(story())


def test_many_that_are_cut_are_told_in_few_lines() -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(connections=5)) as serving:
            idle = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(100)]
            await until(lambda: serving.server._cut == 94)
            assert len(serving.warnings) == 1
            await serving.clock.advance(1)
            idle.append(await asyncio.open_connection("127.0.0.1", serving.port))
            await until(lambda: len(serving.warnings) == 2)
            assert serving.warnings[1].endswith("is cut (and 94 before it)")
            for _, writer in idle:
                writer.close()

    run(story())


def test_connections_leave_descriptors_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one left nobody would be let in, and nothing could be written."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))

    async def story() -> None:
        async with Serving(limits=ServerLimits(connections=1000)) as serving:
            idle = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(50)]
            await until(lambda: serving.warnings)
            assert "more than 32 connections: this one, silent for longest, is cut" in serving.warnings[0]
            for _, writer in idle:
                writer.close()

    run(story())


def test_descriptors_that_were_asked_for_since_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a virtual device does, which is made before it runs."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (16, 64))
    serving = Serving(limits=ServerLimits(connections=1000))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))

    async def story() -> None:
        async with serving:
            idle = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(50)]
            await until(lambda: serving.warnings)
            assert "more than 32 connections: this one, silent for longest, is cut" in serving.warnings[0]
            for _, writer in idle:
                writer.close()

    run(story())


def test_where_all_are_being_answered_a_further_connection_is_closed() -> None:
    answering = asyncio.Event()

    async def slow(request: HttpRequest) -> Answer:
        await answering.wait()
        return Answer([build_response(200, "OK", [], b"late")])

    async def story() -> None:
        async with Serving(slow, limits=ServerLimits(connections=1)) as serving, Raw(serving.port) as one:
            await one.send(post(b"x"))
            await until(lambda: serving.requests)
            for _ in range(10):
                async with Raw(serving.port) as another:
                    assert await another.rest() == b""
            # One line of many: more come when a second has passed.
            (line,) = serving.warnings
            assert line.endswith("more than 1 connections, closed")
            await serving.clock.advance(1)
            async with Raw(serving.port) as another:
                assert await another.rest() == b""
            assert serving.warnings[1].endswith("more than 1 connections, closed (and 9 before it)")
            answering.set()
            assert (await one.answer()).body.data() == b"late"

    run(story())


def test_hundreds_that_never_end_their_heads_lock_nobody_out() -> None:
    async def story() -> None:
        async with Serving(limits=ServerLimits(connections=20)) as serving:
            slow = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(200)]
            for _, writer in slow:
                writer.write(b"POST / HTTP/1.1\r\nX: ")
            for _ in range(5):
                async with Raw(serving.port) as good:
                    await good.send(post(b"served"))
                    assert (await good.answer()).body.data() == b"served"
            assert len(serving.server._tasks) < 250
            for _, writer in slow:
                writer.close()

    run(story())


def test_bodies_that_swell_count_as_what_they_become() -> None:
    packed = gzip.compress(bytes(3 << 20))

    async def story() -> None:
        async with Serving(limits=ServerLimits(request=1 << 20)) as serving:
            async with Raw(serving.port) as raw:
                await raw.send(post(packed, ("Content-Encoding", "gzip"))[:-8])
                assert (await raw.answer()).status == 413
                raw.writer.write_eof()
                assert await ended(raw)
            async with Raw(serving.port) as raw:
                await raw.send(post(b"small"))
                assert (await raw.answer()).status == 200
            assert "more than 1048576 bytes, refused" in serving.warnings[0]

    run(story())


@pytest.mark.parametrize(
    "said",
    [
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 60_000,
        b"POST / HTTP/1.1\r\nX: " + b"y" * 300_000,
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 10_000,
    ],
    ids=["header lines", "a long line", "a huge length", "a huge chunk", "a long chunk line"],
)
def test_what_has_no_end_is_refused_and_others_are_served(said: bytes) -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw, Raw(serving.port) as good:
            await raw.send(said)
            assert (await raw.answer()).status in (400, 413)
            raw.writer.write_eof()
            assert await ended(raw)
            assert serving.warnings
            await good.send(post(b"served"))
            assert (await good.answer()).body.data() == b"served"

    run(story())


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "speaks TLS to the http port"),
        (b"\0\1\2\3" * 10, "no HTTP request: it begins with 00 01 02 03"),
        (b"hello there\r\n\r\n", "no HTTP request"),
    ],
)
def test_what_is_no_request_is_refused(first: bytes, words: str) -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(first)
            assert (await raw.answer()).status == 400
            assert await ended(raw)
            assert words in serving.warnings[0]

    run(story())


def test_a_fault_of_a_handler_is_said_and_does_no_more_harm() -> None:
    async def handler(request: HttpRequest) -> Answer:
        raise AssertionError("a fault of ours")

    async def story() -> None:
        async with Serving(handler) as serving:
            for _ in range(2):
                async with Raw(serving.port) as raw:
                    await raw.send(post(b"x"))
                    assert (await raw.answer()).status == 500
                    assert await ended(raw)
            assert "internal error: AssertionError: a fault of ours" in serving.warnings[0]

    run(story())


def test_a_slow_answer_takes_its_time_by_the_clock() -> None:
    async def handler(request: HttpRequest) -> Answer:
        head = build_response(200, "OK", [("Content-Length", "100")])
        return Answer([head, bytes(100)], rate=20)

    async def story() -> None:
        async with Serving(handler) as serving, Raw(serving.port) as raw:
            await raw.send(post(b"x"))
            start = serving.clock.monotonic()
            head = await raw.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert serving.clock.monotonic() == start
            got = b""
            while len(got) < 100:
                await until(lambda: 0 < (serving.clock.next_due or 0) < 0.11)
                got += await raw.reader.read(100)
                await serving.clock.advance(0.1)
            assert serving.clock.monotonic() == pytest.approx(5)

    run(story())


def test_stop_ends_open_connections() -> None:
    waiting = asyncio.Event()

    async def handler(request: HttpRequest) -> Answer:
        if request.path == "/waits":
            waiting.set()
            await asyncio.Event().wait()
        if request.path == "/large":
            return Answer([bytes(30 << 20)])
        return Answer([build_response(200, "OK", [], b"x")])

    async def story() -> None:
        serving = Serving(handler)
        async with serving:
            idle, waits, inside, large = (Raw(serving.port) for _ in range(4))
            async with idle, waits, inside, large:
                await idle.send(post(b"x"))
                await idle.answer()
                await waits.send(post(b"x", path="/waits"))
                await inside.send(b"POST / HT")
                large.writer.transport.pause_reading()
                await large.send(post(b"x", path="/large"))
                await waiting.wait()
                await until(lambda: len(serving.requests) == 3)
                await serving.server.stop()
                assert await idle.rest() == b""
                assert await waits.rest() == b""
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", serving.port)

    run(story())


def test_addresses_that_cannot_be_listened_on() -> None:
    async def story() -> None:
        async with Serving() as serving:
            other = HttpServer(serving._echo, clock=ManualClock(), log=Log(ManualClock()))
            with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1:{serving.port}: .*in use"):
                await other.listen("127.0.0.1", serving.port)
            with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1"):
                await other.listen("203.0.113.1", 0)
            with pytest.raises(UsageError, match="cannot listen"):
                await other.listen("127.0.0.1", 70000)
            await other.stop()

    run(story())


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a/b?c=d", "/a/b"), ("http://h:80/a", "/a"), ("http://h", "/"), ("*", "*"), ("/", "/"), ("?x", "/")],
)
def test_the_path_of_a_target(target: str, path: str) -> None:
    async def story() -> None:
        async with Serving() as serving, Raw(serving.port) as raw:
            await raw.send(f"OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert (await raw.answer()).status == 200
            assert serving.requests[0].path == path

    run(story())
