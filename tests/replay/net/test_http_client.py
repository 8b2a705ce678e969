"""The HTTP client over real sockets: what servers do, well and badly."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import zlib
from typing import Any

import pytest

from dissector.base.errors import ExitCode, TargetUnreachable, UsageError
from dissector.base.origin import Endpoint
from dissector.http.writer import build_request, build_response
from replay.base.clock import ManualClock
from replay.net.client import BROKEN_OFF, AnswerCut, HttpClient, Target, in_few_writes, target_of
from replay.net.line import Line
from tests.support.loopback import Serving, closed_port, peer, read_request, run, until

OK = build_response(200, "OK", [], b"fine")


def make(**given: Any) -> tuple[HttpClient, ManualClock]:
    clock = ManualClock()
    return HttpClient(clock=clock, **given), clock


def at(port: int, path: str = "/") -> Target:
    return target_of(f"http://127.0.0.1:{port}{path}")


def post(body: bytes = b"hello") -> bytes:
    return build_request("POST", "/", [("Host", "h")], body)


def test_connections_are_kept_and_used_again() -> None:
    async def story() -> None:
        client, _ = make()
        async with Serving() as serving:
            for text in (b"one", b"two", b"three"):
                answer = await client.exchange(at(serving.port), [post(text)])
                assert (answer.status, answer.body.data()) == (200, text)
            assert len({one.peer for one in serving.requests}) == 1
            both = await asyncio.gather(*(client.exchange(at(serving.port), [post(b"x")]) for _ in range(2)))
            assert [one.status for one in both] == [200, 200]
            assert len({one.peer for one in serving.requests}) == 2
            await client.close()

    run(story())


@pytest.mark.parametrize("how", ["client", "answer", "HTTP/1.0"])
def test_connections_are_not_kept_where_one_side_does_not_want_it(how: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        headers = [("Connection", "close")] if how == "answer" else []
        answer = build_response(200, "OK", headers, b"fine")
        writer.write(answer.replace(b"HTTP/1.1", b"HTTP/1.0") if how == "HTTP/1.0" else answer)
        ends.append(await reader.read())

    ends: list[bytes] = []

    async def story() -> None:
        client, _ = make(keep=how != "client")
        async with peer(script) as port:
            for _ in range(2):
                assert (await client.exchange(at(port), [post()])).body.data() == b"fine"
            await until(lambda: len(ends) == 2)
        await client.close()

    run(story())


def test_a_kept_connection_that_the_server_closed_is_not_used() -> None:
    closed: list[bool] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()
        closed.append(True)

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            for number in range(3):
                assert (await client.exchange(at(port), [post()])).status == 200
                await until(lambda number=number: len(closed) > number)
        await client.close()

    run(story())


def test_a_request_is_never_sent_twice() -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)
        # The second one is read, and not answered.
        seen.append(await read_request(reader))

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            assert (await client.exchange(at(port), [post()])).status == 200
            # It spoke HTTP before, so nothing is said of https.
            with pytest.raises(TargetUnreachable, match=r"the connection was closed, without an answer$"):
                await client.exchange(at(port), [post()])
        assert len(seen) == 2
        await client.close()

    run(story())


def test_what_a_server_says_unasked_ends_a_kept_connection() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + build_response(408, "Request Timeout", [], b"too late"))
        await reader.read()

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            for _ in range(2):
                assert (await client.exchange(at(port), [post()])).status == 200
        await client.close()

    run(story())


def test_no_answer_in_time() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        with contextlib.suppress(ConnectionError):
            ends.append(await reader.read())
        ends.append(b"over")

    asked, ends = asyncio.Event(), []

    async def story() -> None:
        client, clock = make(timeout=30)
        async with peer(script) as port:
            task = asyncio.create_task(client.exchange(at(port, "/slow"), [post()]))
            await asked.wait()
            await clock.advance(29)
            assert not task.done()
            await clock.advance(1)
            with pytest.raises(TargetUnreachable) as told:
                await task
            assert str(told.value) == f"http://127.0.0.1:{port}/slow: no answer within 30 s"
            assert told.value.exit_code == ExitCode.UNREACHABLE
            await until(lambda: ends)
        await client.close()

    run(story())


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(40)
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(40)


@pytest.mark.parametrize(
    ("answer", "how", "words"),
    [
        (HALF, "close", r"the answer was cut after \d+ bytes: the connection was closed"),
        (HALF, "reset", r"the answer was cut after \d+ bytes: the connection broke: Connection reset by peer"),
        (HALF, "wait", r"the answer was cut after \d+ bytes: nothing more for 5 s"),
        (ENDLESS, "reset", "the answer was cut"),
        (ENDLESS, "wait", "the answer was cut"),
        (ENDLESS[:17], "close", "the answer was cut|without an answer"),
        (b"", "close", "the connection was closed, without an answer; an https port does that to plain HTTP"),
        (b"", "reset", "the connection broke: Connection reset by peer; an https port does that to plain HTTP"),
        (b"", "wait", "no answer within 5 s$"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "close", "it answers in TLS, not in plain HTTP: use an address that begins"),
        (b"SSH-2.0-x", "close", "closed, without an answer; what came is not HTTP: its first bytes are 53 53 48 2d"),
        (b"SSH-2.0-x", "wait", "nothing more for 5 s; what came is not HTTP: its first bytes are 53 53 48 2d"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "close", "without an answer"),
    ],
)
def test_an_answer_that_is_cut(answer: bytes, how: str, words: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()
        sent.set()
        if how == "wait":
            await reader.read()
        if how == "reset":
            await go.wait()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
            writer.transport.abort()

    sent, go = asyncio.Event(), asyncio.Event()

    async def story() -> None:
        client, clock = make(timeout=5)
        async with peer(script) as port:
            task = asyncio.create_task(client.exchange(at(port), [post()]))
            await sent.wait()
            await clock.settle(50)
            go.set()
            if how == "wait":
                await clock.advance(5)
            with pytest.raises(TargetUnreachable, match=words) as told:
                await task
            if answer.startswith(HALF):
                assert isinstance(told.value, AnswerCut)
                assert (told.value.http.status, told.value.http.complete) == (200, False)
        await client.close()

    run(story())


def test_an_answer_that_ends_with_the_connection_is_whole() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ENDLESS)

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            answer = await client.exchange(at(port), [post()])
            assert (answer.complete, answer.body.size) == (True, 40)
        await client.close()

    run(story())


def test_interim_answers_are_passed_over() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK)
        await reader.read()

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            assert (await client.exchange(at(port), [post()])).status == 200
        await client.close()

    run(story())


def test_the_answer_to_head_has_no_body() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            for _ in range(2):
                answer = await client.exchange(at(port), [b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"], method="HEAD")
                assert (answer.complete, answer.body.size) == (True, 0)
        await client.close()

    run(story())


def test_a_refusal_in_the_middle_of_the_request_is_read() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(build_response(413, "Content Too Large", [("Connection", "close")], b"no"))
        await writer.drain()

    async def story() -> None:
        client, _ = make()
        async with peer(script) as port:
            answer = await client.exchange(at(port), [post(bytes(20 << 20))])
            assert (answer.status, answer.body.data()) == (413, b"no")
        await client.close()

    run(story())


def test_a_server_that_takes_nothing() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()
        await over.wait()

    over = asyncio.Event()

    async def story() -> None:
        client, clock = make(timeout=10)
        async with peer(script) as port:
            task = asyncio.create_task(client.exchange(at(port), [post(bytes(40 << 20))]))
            while not task.done():
                await clock.settle(50)
                await clock.advance(10)
            with pytest.raises(TargetUnreachable, match="it takes no bytes of the request for 10 s"):
                await task
            over.set()
        await client.close()

    run(story())


@pytest.mark.parametrize(("end", "words"), [("close", "closed on purpose"), ("reset", "reset on purpose")])
def test_a_request_that_is_broken_off(end: str, words: str) -> None:
    async def story() -> None:
        client, _ = make()
        async with Serving() as serving:
            with pytest.raises(TargetUnreachable, match=words):
                await client.exchange(at(serving.port), [post()[:-2]], end=end)
            await until(lambda: serving.requests)
            assert not serving.requests[0].http.complete
        await client.close()

    run(story())


def test_a_slow_request_takes_its_time_by_the_clock() -> None:
    async def story() -> None:
        client, clock = make()
        async with Serving() as serving:
            whole = post(bytes(100))
            task = asyncio.create_task(client.exchange(at(serving.port), [whole[:-100], whole[-100:]], rate=20))
            while not task.done():
                await clock.settle()
                if (due := clock.next_due) is not None and due < 1:
                    await clock.advance(due)
            assert (await task).body.size == 100
            assert clock.monotonic() == pytest.approx(5)
        await client.close()

    run(story())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{}/", r"127\.0\.0\.1:\d+ cannot be reached: Connection refused"),
        ("http://no.such.host.invalid/", r"no\.such\.host\.invalid:80 cannot be reached"),
        (f"http://{'x' * 70}.invalid/", "cannot be reached"),
    ],
)
def test_who_cannot_be_reached(url: str, words: str) -> None:
    async def story() -> None:
        client, _ = make()
        with closed_port() as port, pytest.raises(TargetUnreachable, match=words):
            await client.exchange(target_of(url.format(port)), [post()])
        await client.close()

    run(story())


def test_nobody_takes_the_connection() -> None:
    async def story() -> None:
        client, clock = make(timeout=7)
        with contextlib.ExitStack() as stack:
            # A listener whose queue is full lets connections wait for ever.
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            port = listener.getsockname()[1]
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            task = asyncio.create_task(client.exchange(at(port), [post()]))
            await until(lambda: clock.next_due == 7)
            await clock.advance(7)
            with pytest.raises(TargetUnreachable, match="does not answer: no connection within 7 s"):
                await task
        await client.close()

    run(story())


def test_who_stops_waiting_leaves_nothing_behind() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        gone.append(await reader.read())

    asked, gone = asyncio.Event(), []

    async def story() -> None:
        client, clock = make()
        async with peer(script) as port:
            task = asyncio.create_task(client.exchange(at(port), [post()]))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: gone)
            assert clock.next_due is None
        await client.close()

    run(story())


def test_https_without_a_word_about_certificates() -> None:
    async def story() -> None:
        client, _ = make()
        with pytest.raises(UsageError, match="is https, and nothing was said about certificates"):
            await client.exchange(target_of("https://127.0.0.1:9/"), [post()])
        await client.close()

    run(story())


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://h", ("http", "h", 80, "/", "h")),
        ("https://h/a?b=c#d", ("https", "h", 443, "/a?b=c", "h")),
        ("http://[::1]:5357/wsd", ("http", "::1", 5357, "/wsd", "[::1]:5357")),
        ("http://[fe80::1%25eth0]:80/x", ("http", "fe80::1%eth0", 80, "/x", "[fe80::1]:80")),
        ("http://[fe80::1%eth0]/x", ("http", "fe80::1%eth0", 80, "/x", "[fe80::1]")),
        (" http://user:secret@h:81/ ", ("http", "h", 81, "/", "h:81")),
        ("http://h/a b/ü?q=日%20", ("http", "h", 80, "/a%20b/%C3%BC?q=%E6%97%A5%20", "h")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example")),
    ],
)
def test_where_a_url_leads(url: str, parts: tuple[str, str, int, str, str]) -> None:
    target = target_of(url)
    assert (target.scheme, target.host, target.port, target.path, target.authority) == parts
    # Whatever it is, it can stand in a request.
    build_request("POST", target.path, [("Host", target.authority)])


@pytest.mark.parametrize(
    "url",
    [
        "", "h", "127.0.0.1:80", "ftp://h/", "http://", "http:///x", "http://h:0/", "http://h:99999/", "http://h:x/",
        "http://[::1/", "http://h/\r\nX: y", "http://h\x00/", "http://a b/", "http://h/\u202e", "http://\u2028/",
        f"http://{'ü' * 80}/",
    ],
)  # fmt: skip
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError):
        target_of(url)


# -- proxies ----------------------------------------------------------------------------------------------------------


def test_a_named_proxy_gets_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def story() -> None:
        async with Serving() as proxy:
            client, _ = make(proxy=at(proxy.port))
            await client.exchange(target_of("http://192.0.2.7:5357/wsd?a=b"), [post(), b""])
            assert proxy.requests[0].http.target == "http://192.0.2.7:5357/"
            await client.close()
        # The one of the environment is not asked.
        async with Serving() as direct:
            client, _ = make()
            assert (await client.exchange(at(direct.port), [post()])).status == 200
            assert direct.requests[0].http.target == "/"
            await client.close()

    run(story())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "gives no tunnel: 403  Forbidden"),
        (b"garbage\r\n\r\n", "gives no tunnel: no HTTP"),
        (b"HTTP/1.1 2", "gives no tunnel"),
        (b"x" * 20000, "gives no tunnel"),
    ],
)
def test_a_proxy_that_gives_no_tunnel(answer: bytes, told: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.write_eof()

    asked: list[bytes] = []

    async def story() -> None:
        async with peer(script) as port:
            client, _ = make(proxy=at(port), tls=lambda: ssl.create_default_context())
            with pytest.raises(TargetUnreachable, match=told):
                await client.exchange(target_of("https://192.0.2.7:5362/"), [post()])
            await client.close()

    run(story())
    assert asked == [b"CONNECT 192.0.2.7:5362 HTTP/1.1\r\nHost: 192.0.2.7:5362\r\n\r\n"]


@pytest.mark.parametrize(
    ("sizes", "joined"),
    [
        ([], []), ([10], [10]), ([10, 20], [30]), ([10, 20, 100, 5], [30, 100, 5]), ([100, 10, 5], [100, 15]),
        ([30, 40, 20], [30, 60]), ([0, 0], [0]), ([64, 1], [64, 1]), ([64], [64]), ([65], [65]),
    ],
)  # fmt: skip
def test_small_pieces_are_one_write(sizes: list[int], joined: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.net.client.SMALL", 64)
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    found = in_few_writes(pieces)
    assert [len(one) for one in found] == joined
    assert b"".join(found) == b"".join(pieces)


class Arrived:
    """A capture that only counts."""

    def __init__(self) -> None:
        self.bytes = {"client": 0, "server": 0}

    def connection(self, client: Endpoint, server: Endpoint, encrypted: bool = False) -> Arrived:
        return self

    def sent(self, side: str, data: bytes) -> None:
        self.bytes[side] += len(data)

    def secrets_ready(self) -> None: ...

    def fin(self, side: str) -> None: ...

    def reset(self, side: str) -> None: ...


LONG = build_response(200, "OK", [], b"x" * 20)


@pytest.mark.parametrize(
    ("first", "longest", "told"),
    [
        (0, None, "no whole answer within 100 s, 5 bytes came$"),
        (len(LONG) - 20, None, f"the answer was cut after {len(LONG) - 15} bytes: no whole answer within 100 s$"),
        (len(LONG) - 20, 1000.0, ""),
    ],
    ids=["head", "body", "allowed"],
)
def test_an_answer_that_drips_is_given_up(first: int, longest: float | None, told: str) -> None:
    """It is never silent for long: a byte every 20 s."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(LONG[:first])
        for at in range(first, len(LONG)):
            await drops.acquire()
            writer.write(LONG[at : at + 1])

    drops = asyncio.Semaphore(0)

    async def story() -> None:
        arrived = Arrived()
        client, clock = make(tap=arrived, longest=100.0)
        async with peer(script) as port:
            asked = asyncio.create_task(client.exchange(at(port), [post()], longest=longest))
            for number in range(first + 1, len(LONG) + 1):
                drops.release()
                await until(lambda number=number: arrived.bytes["server"] == number or asked.done())
                await clock.advance(20.0)
            if told:
                with pytest.raises(TargetUnreachable, match=told):
                    await asked
            else:
                assert (await asked).body.size == 20
        await client.close()

    run(story())


@pytest.mark.parametrize("coded", [False, True])
def test_an_answer_without_end_is_cut(coded: bool) -> None:
    """Chunk by chunk it would fill the disk."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        coding = b"Content-Encoding: gzip\r\n" if coded else b""
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + coding + b"\r\n")
        packer = zlib.compressobj(wbits=31)
        with contextlib.suppress(ConnectionError):
            # It has one, for the day when it is not cut.
            for number in range(60):
                # Coded it is of 630,000 bytes, in three reads at least.
                data = random.Random(number).randbytes(10_000) * 10
                if coded:
                    data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

    async def story() -> None:
        client, _ = make(largest=1_000_000)
        async with peer(script) as port:
            with pytest.raises(AnswerCut, match=r"the answer was cut after \d+ bytes: more than 1000000 bytes$") as cut:
                await client.exchange(at(port), [post()])
        assert 0 < cut.value.http.body.size < 6_000_000
        await client.close()

    run(story())


def test_a_request_that_is_broken_off_does_not_wait_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who pressed Ctrl-C waits for the report."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async def close(self: Line, patience: float = 10.0) -> None:
        patiences.append(patience)
        self.reset()

    over = asyncio.Event()
    patiences: list[float] = []
    monkeypatch.setattr(Line, "close", close)

    async def story() -> None:
        arrived = Arrived()
        client, _ = make(tap=arrived)
        async with peer(script) as port:
            asked = asyncio.create_task(client.exchange(at(port), [post(bytes(50_000_000))]))
            await until(lambda: arrived.bytes["client"])
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            over.set()

    run(story())
    assert patiences == [BROKEN_OFF]
