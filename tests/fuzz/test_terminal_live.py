"""Texts from the network, through the commands that live on sockets: what clients and servers say reaches neither the
terminal nor a report raw, and what they name no file outside of its folder."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.fuzz.oracles import harmless
from tests.fuzz.test_terminal import _harmless_report, dsmreplay
from tests.support.commands import Command
from tests.support.poison import WIRE, poisoned, poisoned_pcapng

LISTEN = ("--listen", "127.0.0.1:0", "-v")
STORIES = ("dsm-completed-with-errors", "scan-pull-events", "dsm-create-fault")
ODD = (b"POST /" + WIRE + b" HTTP/1.1\r\nHost: " + WIRE + b"\r\n\r\n", WIRE + b" / HTTP/1.1\r\n\r\n", WIRE * 100)


@cache
def said(*, asked: bool) -> list[bytes]:
    """All harmful requests, or all harmful answers."""
    turns = [
        turn.data for name in STORIES for actions in (False, True) for turn in poisoned(name, actions=actions).turns
    ]
    return [data for data in turns if data.startswith(b"POST" if asked else b"HTTP/")]


def safe(command: Command, errors: str = "") -> None:
    text = "\n".join(command.lines)
    for output in (text, errors):
        harmless(output, lines=True)
        assert "internal error" not in output
        assert "Traceback" not in output


def shown(command: Command) -> None:
    """The texts came so far that they were to be seen."""
    assert any("\\u202eevil" in line for line in command.lines)


async def tell(port: int, data: bytes) -> None:
    """One request on a connection of its own; what is answered does not matter."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        writer.write(data)
        writer.write_eof()
        await reader.read(-1)
        writer.close()
        await writer.wait_closed()


async def told_all(command: Command, until_line: str) -> None:
    """Say everything to every address that the command told of."""
    await command.line(until_line)
    places = {
        (int(found[1]), found[2])
        for line in command.lines
        for found in re.finditer(r"http://127\.0\.0\.1:(\d+)(/\S*)?", line)
    }
    assert places
    for port, path in places:
        begin = b"POST " + (path or "/").encode()
        for data in (*said(asked=True), *ODD):
            await tell(port, begin + re.sub(rb"^POST \S+", b"", data) if data.startswith(b"POST") else data)


def lived(*arguments: str | Path, until_line: str = "http://127.0.0.1") -> Command:
    async def story() -> Command:
        async with Command(*arguments) as command:
            await told_all(command, until_line)
            await command.ended(signal.SIGTERM)
            return command

    command = asyncio.run(story())
    safe(command, command.errors)
    return command


def test_an_emulated_scanner_tells_harmless_lines() -> None:
    shown(lived("emulate", "scanner", "--no-discovery", *LISTEN, until_line="WS-Scan"))


def test_an_emulated_scan_server_writes_and_tells_nothing_harmful(tmp_path: Path) -> None:
    """Also not where a share filter takes names and folders from the network."""
    shares = tmp_path / "shares"
    command = lived(
        "emulate", "scan-server", "--http", "--no-discovery", "--output", tmp_path / "out", "--share",
        f"\\\\fileserver\\scans={shares}", *LISTEN, until_line="WS-DSP",
    )  # fmt: skip
    shown(command)
    for path in tmp_path.rglob("*"):
        assert path.is_relative_to(shares) or path.is_relative_to(tmp_path / "out")
        harmless(path.name)
        assert path.name not in ("", ".", "..")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in.pcapng").write_bytes(poisoned_pcapng("dsm-completed-with-errors"))
    code, _, err = dsmreplay("extract", "--all", "-o", str(folder / "s"), str(folder / "in.pcapng"))
    assert code in (0, 1), err
    return folder / "s"


def test_a_served_scenario_tells_harmless_lines(scenario: Path) -> None:
    shown(lived("serve", *LISTEN, scenario))


# -- servers that answer so --------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[int]:
    """A server that gives one harmful answer after the other, whatever it is asked."""
    answers: Iterator[bytes] = iter(said(asked=False) * 50)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(next(answers))
            writer.write_eof()
            await reader.read(-1)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def asked(*arguments: str | Path) -> tuple[int, Command]:
    """Run a command to its end; URL stands for the server's address."""

    async def story() -> tuple[int, Command]:
        async with answering() as port:
            url = f"http://127.0.0.1:{port}/x"
            async with Command(*(url if one == "URL" else one for one in arguments)) as command:
                assert command.process.stdout is not None
                assert command.process.stderr is not None
                out, err = await command.process.communicate()
                command.lines = out.decode().splitlines()
                safe(command, err.decode())
                assert command.process.returncode is not None
                return command.process.returncode, command

    return asyncio.run(story())


def test_a_played_scenario_and_its_reports_are_harmless(scenario: Path, tmp_path: Path) -> None:
    reports = ("--junit", tmp_path / "r.xml", "--html", tmp_path / "r.html", "--pcap", tmp_path / "r.pcapng")
    code, _ = asked("run", *reports, "--timeout", "5", "--wait", "0.1", "--speed", "0", "--target", "URL", scenario)
    assert code in (1, 2, 4)
    for path in tmp_path.glob("r.[xh]*"):
        _harmless_report(path)


def test_a_played_suite_and_its_reports_are_harmless(scenario: Path, tmp_path: Path) -> None:
    reports = ("--junit", tmp_path / "r.xml", "--html", tmp_path / "r.html", "--last", tmp_path / "last.json")
    code, _ = asked(
        "suite", *reports, "--timeout", "5", "--wait", "0.1", "--slack", "0.1", "--target", "URL", scenario.parent
    )
    assert code in (1, 2, 4)
    for path in tmp_path.glob("r.*"):
        _harmless_report(path)


@pytest.mark.parametrize("words", [("status",), ("do", "SendImage: delay=1")], ids=["status", "do"])
def test_control_shows_harmless_answers(words: tuple[str, ...]) -> None:
    code, _ = asked("control", "URL", *words)
    assert code != 0


def test_an_emulated_dsm_device_tells_harmless_lines() -> None:
    code, _ = asked("emulate", "dsm-device", "--server", "URL", "--direct", "--wait", "1", "--no-discovery", *LISTEN)
    assert code != 0
