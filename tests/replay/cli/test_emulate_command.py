"""``dsmreplay emulate`` as users run it: real processes on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dissector
from dissector.base.errors import TargetUnreachable
from dissector.catalog import build
from replay.base.clock import RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.cli import living
from replay.cli.main import main
from replay.devices.dsmdevice import DsmDevice, Order
from replay.devices.emulator import Around
from replay.devices.scanserver.processes import ScanProcess
from replay.net.client import HttpClient, target_of
from replay.soap.caller import Caller, action_of
from tests.support.commands import Command
from tests.support.event_rig import Sink

ANY = ("--listen", "127.0.0.1:0")
ALONE = (*ANY, "--no-discovery")


def share(folder: Path) -> tuple[str, str]:
    """The share that the example of a scan process writes to."""
    return "--share", rf"\\files.example.com\scans={folder}"


def run(work: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


async def call(url: str, name: str, service: str, body: Any = None) -> Any:
    """One request by a client of our own."""
    client = HttpClient(clock=RealClock(), keep=False)
    caller = Caller(client, clock=RealClock(), ids=Ids(1), log=Log(RealClock()))
    reply = await caller.call(url, body, action_of(name, service), name=name)
    return reply.accepted()


def test_a_scanner_answers_as_soon_as_its_address_is_printed_and_ends_in_order() -> None:
    async def story() -> None:
        async with Command("emulate", "scanner", *ANY) as command:
            url = await command.value("device")
            assert (await call(url, "Get", "WS-Transfer")).name == "GetResponse"
            scan = await command.value("WS-Scan")
            sink = Sink(RealClock())
            await sink.server.listen("127.0.0.1", 0)
            to = {"address": sink.url}
            body = build("wse:Subscribe", {"delivery": {"notify_to": to}, "end_to": to})
            assert (await call(scan, "Subscribe", "WS-Eventing", body)).name == "SubscribeResponse"
            await command.line("SubscribeResponse")
            assert await command.ended(signal.SIGINT) == 0
            assert sink.ends == ["SourceShuttingDown"]
            assert command.errors == ""
            assert any("SubscriptionEnd" in line for line in command.lines)
            assert any("Bye, by UDP" in line or "no discovery" in line for line in command.lines)
            await sink.server.stop()

    run(story())


def test_a_whole_job_with_captures_and_json(tmp_path: Path) -> None:
    own, theirs = tmp_path / "server.pcapng", tmp_path / "device.pcapng"

    async def story() -> None:
        server = Command(
            "emulate", "scan-server", "--http", *ALONE, "--json", "--output", tmp_path / "out", "--pcap", own,
            "--do", "SendImage: delay=0.01", *share(tmp_path / "share"),
        )  # fmt: skip
        async with server:
            ready = json.loads(await server.line('"ready"'))
            job = Command(
                "emulate", "dsm-device", *ALONE, "--server", ready["url"], "--pages", "2", "--pcap", theirs, "--json"
            )
            async with job:
                assert await job.ended() == 0, job.errors
            assert await server.ended(signal.SIGTERM) == 0
        for command in (server, job):
            entries = [json.loads(line) for line in command.lines]
            assert all({"time", "kind", "text"} <= set(one) for one in entries)
        assert {"listening", "ready", "received", "sent", "event", "job", "behaviour"} <= {
            json.loads(line)["kind"] for line in server.lines
        }
        told = next(one for one in map(json.loads, job.lines) if one["kind"] == "story")
        assert (told["completed_state"], told["images"], told["failure"]) == ("Completed", 2, None)
        assert ready["addresses"]["WS-DSP"].startswith(ready["url"])

    run(story())
    for path in (own, theirs):
        with dissector.open(path) as capture:
            names = [one.name for one in capture.messages]
            broken = [one for message in capture.messages for one in message.findings if one.severity == "error"]
        assert names.count("SendImageRequest") == 2
        assert "PostScanJobEndStateEvent" in names
        assert broken == []


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a scan server in a process of its own, for several tests."""
    folder = tmp_path_factory.mktemp("server")
    arguments = ["emulate", "scan-server", "--http", *ALONE, "--json", "--output", str(folder), *share(folder)]
    process = subprocess.Popen([sys.executable, "-m", "replay", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        entries = map(json.loads, process.stdout)
        yield next(one["addresses"] for one in entries if one["kind"] == "ready")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--cancel-after", "1", "--pages", "3"), 0, "job ended Canceled: PostScanJobCanceled; 1 image sent"),
        (("--expect", "Aborted"), 1, "job ended Completed"),
        (("--no-events", "--direct"), 0, "job ended Completed"),
        (("--do", "SendImage: token=unknown"), 1, "ClientErrorJobTokenNotFound"),
        (("--do", "SendImage: close_after=100"), 4, ""),
    ],
)
def test_exit_codes_of_a_device_by_the_end_of_its_job(
    serving: dict[str, str], options: tuple[str, ...], code: int, words: str
) -> None:
    url = serving["WS-DSP" if "--direct" in options else "host"]

    async def story() -> None:
        async with Command("emulate", "dsm-device", *ALONE, "--server", url, "--quiet", *options) as job:
            assert await job.ended() == code, (job.errors, job.lines)
            assert any(words in line for line in job.lines)
            assert ("closed on purpose" in job.errors) is (code == 4)

    run(story())


def test_what_peers_send_does_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text('device: {friendly_name: "title\\u202Eevil\\x9b31m"}\n')
    nasty = "\x1b[31m\u202e\x9b"

    async def story() -> None:
        async with Command("emulate", "scanner", *ALONE, "--device", device, "-v") as command:
            url = await command.value("device")
            client = HttpClient(clock=RealClock(), keep=False)
            request = f"POST /{nasty} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode()
            assert (await client.exchange(target_of(url), [request])).status == 404
            body = build("wse:Subscribe", {"delivery": {"notify_to": {"address": f"http://127.0.0.1/{nasty[4:]}"}}})
            await call(await command.value("WS-Scan"), "Subscribe", "WS-Eventing", body)
            await command.line("SubscribeResponse")
            assert await command.ended(signal.SIGINT) == 0
            text = "\n".join(command.lines)
            assert "title" in text
            assert "answered with HTTP 404" in text
            raw = [c for c in text if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e")]
            assert raw == []

    run(story())


def test_an_end_after_a_time_and_the_end_of_a_reader() -> None:
    async def story() -> None:
        async with Command("emulate", "scanner", *ALONE, "--for", "0.01") as command:
            assert await command.ended() == 0
        async with Command("emulate", "scanner", *ALONE, "-v") as command:
            url = await command.value("device")
            transport = command.process._transport.get_pipe_transport(1)
            transport.close()
            # It ends as soon as it has something to say.
            with contextlib.suppress(TargetUnreachable):
                await call(url, "Get", "WS-Transfer")
            assert await command.process.wait() == 0
            assert command.process.stderr is not None
            assert await command.process.stderr.read() == b""

    run(story())


def test_a_running_emulator_is_told_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> None:
        async with Command("emulate", "scanner", *ALONE, "--control", "--pages", "2") as command:
            url = await command.value("control")

            async def control(*arguments: str) -> tuple[int, str]:
                code = await asyncio.to_thread(main, ["control", url, *arguments])
                shown = capsys.readouterr()
                return code, shown.out + shown.err

            code, text = await control("status")
            assert (code, json.loads(text)["feeder"]) == (0, 2)
            assert json.loads((await control("load", "pages=3"))[1]) == {"feeder": 3}
            number = json.loads((await control("condition", "name=CoverOpen", "severity=Critical"))[1])["id"]
            assert json.loads((await control("clear", f"id={number}"))[1]) == {"cleared": number}
            assert "delay 2" in (await control("do", "RetrieveImage: delay=2"))[1]
            assert "delay 2" in (await control("behaviour"))[1]
            assert json.loads((await control("reset"))[1])["rules"] == []
            for arguments, words in (
                (("press", "destination=Scan"), "dsmreplay: nobody registered such a destination\n"),
                (("cancel", "job=7"), "dsmreplay: there is no active job 7\n"),
                (("do",), "dsmreplay: do takes one rule, such as 'SendImage: delay=2'\n"),
                (("do", "Nothing: delay=2"), "dsmreplay: on: 'Nothing' is no operation and no event"),
                (("load", "pages"), "dsmreplay: 'pages': NAME=VALUE is expected\n"),
                (("load", "pages=99999"), 'dsmreplay: expected {"pages": 0 to 1000} or {"files": [...]}\n'),
            ):
                code, text = await control(*arguments)
                assert (code, text.startswith(words)) == (2, True), text
            assert json.loads((await control("stop"))[1]) == {"stopping": True}
            assert await command.ended() == 0

    run(story())


def test_nothing_is_ready_whose_control_port_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["emulate", "scanner", *ALONE, "--control", port]) == 2
    told = capsys.readouterr()
    assert "is ready" not in told.out
    assert told.err == f"dsmreplay: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_server_elsewhere_cannot_tell_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events would go to the server's own loopback, and the device would wait for an end that nobody tells it."""

    async def nobody(*arguments: object, **more: object) -> None:
        raise TargetUnreachable("nothing is sent here")

    monkeypatch.setattr(DsmDevice, "_say", nobody)

    async def warned(server: str) -> list[str]:
        said: list[str] = []
        log = Log(RealClock())
        log.add(lambda entry: said.append(entry.text) if entry.kind == "warning" else None)
        async with DsmDevice(around=Around(listen=[("127.0.0.1", 0)], discovery=False, log=log)) as device:
            with pytest.raises(TargetUnreachable):
                await device.run(Order(server, ScanProcess.example(), direct=True))
        return said

    assert asyncio.run(warned("http://localhost:5362/dsp")) == []
    assert asyncio.run(warned("http://[::1]:5362/dsp")) == []
    (told,) = asyncio.run(warned("http://192.0.2.20:5362/dsp"))
    assert told.startswith("the server is another machine, and http://127.0.0.1:")
    assert told.endswith("its events cannot come there; --listen ADDRESS:0 takes them")


def test_troubles_of_the_machine_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """asyncio may meet the same one thousands of times a second."""
    said, loop = living._Said(), asyncio.new_event_loop()
    try:
        for number in (24, 24, 23, 24):
            said(loop, {"message": "socket.accept() out of system resource", "exception": OSError(number, "no more")})
    finally:
        loop.close()
    assert [line.partition("Errno ")[2][:2] for line in capsys.readouterr().err.splitlines()] == ["24", "23", "24"]
