"""The command ``dsmreplay packets``: what it prints, writes, asks and refuses; its sockets are stood in for."""

from __future__ import annotations

import io
import json
import math
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dissector
from dissector.base.errors import UsageError
from dissector.capture.writer import PcapWriter
from replay.cli import ending, main
from replay.net.raw import RawSender, mtu_of

Run = Callable[..., tuple[int, str, str]]

HELLOS = "others/wsdd-debian.pcap"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], samples: Path) -> Run:
    """Runs ``dsmreplay packets SAMPLE --interface lo …`` in this process: exit code, output, errors."""

    def run(sample: str, *arguments: str | Path, interface: str = "lo") -> tuple[int, str, str]:
        path = sample if sample == "-" else str(samples / sample)
        code = main(["packets", path, "--interface", interface, *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What would have gone out."""
    sent: list[bytes] = []

    def send(self: RawSender, packets: list[Any]) -> None:
        sent.extend(map(bytes, packets))

    monkeypatch.setattr(RawSender, "send", send)
    monkeypatch.setattr(RawSender, "__enter__", lambda self: self)
    return sent


def test_a_dry_run_sends_nothing_and_says_what_would_go_where(command: Run, wire: list[bytes]) -> None:
    code, out, error = command(HELLOS, "--only", "Hello,Resolve", "--count", "3", "--dry-run")
    assert (code, wire) == (0, [])
    lines = out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["0.000000", "Hello", "127.0.0.1:39255", "→", "239.255.255.250:3702", "1134", "bytes"],
        ["0.115528", "Hello", "127.0.0.1:39255", "→", "239.255.255.250:3702", "1134", "bytes"],
    ]
    assert lines[3] == "3 datagrams would be sent on lo in 0.346 s: 3 Hello"
    assert error == ""


def test_sending(command: Run, wire: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "sent.pcapng"
    code, out, error = command(HELLOS, "--fast", "--target", "127.0.0.1", "--port", "4444", "--pcap", path)
    assert code == 0
    assert len(wire) == len(out.splitlines()) - 1
    assert re.match(rf"{len(wire)} datagrams sent on lo in \d+\.\d+ s: 8 Hello, ", out.splitlines()[-1])
    assert error == "dsmreplay: 2 messages over TCP left out: see dsmreplay extract and dsmreplay run\n"
    with dissector.open(str(path)) as capture:
        messages = list(capture.messages)
        comments = path.read_bytes()
    assert [bytes(one.datagram or b"") for one in messages] == [packet[28:] for packet in wire]
    assert {one.destination.port for one in messages if not one.multicast} == {4444}
    assert {one.destination.address for one in messages} == {"239.255.255.250", "127.0.0.1"}
    assert any(one.repeat_of for one in messages)
    assert b"Hello of frame 1 in wsdd-debian.pcap" in comments


def test_json(command: Run, wire: list[bytes]) -> None:
    code, out, _ = command(
        "others/disc-debian.pcap", "--only", "ProbeMatches,Probe", "--count", "3", "--fast", "--json"
    )
    assert code == 0
    *lines, summary = map(json.loads, out.splitlines())
    assert len(wire) == 2
    assert lines[0] | {"time": "", "text": "", "seconds": 0} == {
        "time": "", "kind": "sent", "text": "", "seconds": 0, "frame": 1, "name": "Probe", "source": "127.0.0.1:37233",
        "destination": "239.255.255.250:3702", "hops": 1, "bytes": 607, "packets": 1,
    }  # fmt: skip
    assert lines[1]["destination"] == "[ff02::c]:3702"
    assert summary["names"] == {"Probe": 2}
    assert summary["left_out"] == [
        {"frame": 2, "name": "ProbeMatches", "why": "sent to one host, which --target must name"}
    ]
    assert (summary["kind"], summary["datagrams"], summary["ended"]) == ("summary", 2, "done")


def test_json_of_a_dry_run(command: Run) -> None:
    _, out, _ = command(HELLOS, "--count", "1", "--dry-run", "--json")
    assert [json.loads(line)["kind"] for line in out.splitlines()] == ["planned", "summary"]


@pytest.mark.parametrize("keep", [False, True])
def test_ids_are_new_unless_they_are_kept(command: Run, wire: list[bytes], samples: Path, keep: bool) -> None:
    command(HELLOS, "--only", "Bye", "--count", "1", "--fast", *(["--keep-ids"] if keep else []))
    with dissector.open(str(samples / HELLOS)) as capture:
        old = next(one.datagram for one in capture.messages if one.name == "Bye")
    assert (wire[0][28:] == old) is keep
    assert (b'InstanceId="1795425875"' in wire[0]) is keep


def test_xaddrs(command: Run, wire: list[bytes]) -> None:
    command(HELLOS, "--only", "Hello", "--count", "1")
    command(HELLOS, "--only", "Hello", "--count", "1", "--rewrite-xaddrs", "--keep-ids")
    assert b"<wsd:XAddrs>http://10.77.0.2:5357/" in wire[0]
    assert b"<wsd:XAddrs>http://127.0.0.1:5357/" in wire[1]
    assert b'InstanceId="1795425875"' in wire[1]


@pytest.mark.parametrize(
    ("sample", "arguments", "code", "words"),
    [
        (HELLOS, ["--only", "Get"], 2, "dsmreplay run"),
        ("scan-push.pcapng", [], 2, "dsmreplay run"),
        ("others/disc-debian.pcap", ["--only", "ProbeMatches"], 2, "nothing to send: 15 ProbeMatches left out: "),
        (HELLOS, ["--target", "192.0.2.7"], 2, "not reached over lo"),
        (HELLOS, ["--port", "70000"], 2, "1 to 65535"),
        (HELLOS, ["--speed", "0"], 2, "a factor over 0"),
        (HELLOS, ["--speed", "nan"], 2, "a factor over 0"),
        (HELLOS, ["--count", "0"], 2, "a number from 1"),
        (HELLOS, ["--speed", "2", "--fast"], 2, "not allowed with"),
        (HELLOS, ["--pcap", "/nowhere/x"], 3, "/nowhere/x: No such file"),
        ("others/missing.pcap", [], 3, "missing.pcap"),
        ("MANIFEST.md", [], 3, "MANIFEST.md"),
    ],
)  # fmt: skip
def test_refusals(command: Run, wire: list[bytes], sample: str, arguments: list[str], code: int, words: str) -> None:
    got, out, error = command(sample, *arguments)
    assert (got, out, wire) == (code, "", [])
    assert words in error


def test_an_unknown_link_type(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    with open(path, "wb") as file:
        PcapWriter(file, 147).write(0, b"xx")
    code, _, error = command(str(path))
    assert code == 3
    assert "link type 147" in error


def test_the_capture_is_not_written_over(command: Run, wire: list[bytes], samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.pcap"
    path.write_bytes((samples / HELLOS).read_bytes())
    code, _, error = command(str(path), "--pcap", path, "--dry-run")
    assert code == 2
    assert "that file is read" in error
    assert path.read_bytes() == (samples / HELLOS).read_bytes()


def test_no_such_interface(command: Run) -> None:
    code, _, error = command(HELLOS, interface="nowhere7")
    assert code == 2
    assert "no network interface or address nowhere7" in error
    with pytest.raises(UsageError, match="nowhere7: No such device"):
        mtu_of("nowhere7")
    assert mtu_of("lo") > 1000


# -- agreeing --------------------------------------------------------------------------------------------------------


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


FOREIGN = ("--source", "127.0.0.77", "--only", "Bye", "--count", "1", "--fast")


def test_without_anybody_to_ask_it_needs_yes(command: Run, wire: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, _, error = command(HELLOS, *FOREIGN)
    assert (code, wire) == (2, [])
    assert "127.0.0.77 is no address of lo" in error
    assert "--yes" in error
    assert command(HELLOS, *FOREIGN, "--yes")[0] == 0
    assert wire[0][12:16] == bytes([127, 0, 0, 77])


@pytest.mark.parametrize(
    ("answer", "goes"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_person_is_asked(
    command: Run, wire: list[bytes], monkeypatch: pytest.MonkeyPatch, answer: str, goes: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    code, _, error = command(HELLOS, *FOREIGN)
    assert "Go on? [y/N]" in error
    assert (code, len(wire)) == ((0, 1) if goes else (2, 0))


def test_a_dry_run_does_not_ask(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert command(HELLOS, *FOREIGN, "--dry-run")[0] == 0


# -- sockets ---------------------------------------------------------------------------------------------------------


def test_without_the_right_to_send_it_says_so(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("scapy.supersocket.L3RawSocket", refuse)
    code, out, error = command(HELLOS)
    assert (code, out) == (2, "")
    assert "run it as root" in error
    assert "--dry-run" in error


class _Socket:
    """Stands in for Scapy's."""

    def __init__(self, problem: OSError | None) -> None:
        self._problem = problem
        self.outs = self.ins = self
        self.sent: list[tuple[bytes, Any]] = []
        self.closed = 0

    def setsockopt(self, *options: Any) -> None:
        self.options = options

    def sendto(self, data: bytes, to: Any) -> None:
        if self._problem is not None:
            raise self._problem
        self.sent.append((data, to))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> tuple[_Socket, _Socket]:
    four, six = _Socket(None), _Socket(OSError(101, "Network is unreachable"))
    monkeypatch.setattr("scapy.supersocket.L3RawSocket", lambda iface: four)
    monkeypatch.setattr("scapy.layers.inet6.L3RawSocket6", lambda iface: six)
    return four, six


def test_what_the_kernel_refuses_ends_the_command(command: Run, sockets: tuple[_Socket, _Socket]) -> None:
    four, six = sockets
    code, out, error = command("others/disc-debian.pcap", "--fast")
    assert code == 4
    assert "ff02::c cannot be reached over lo: Network is unreachable" in error
    assert out.splitlines()[-1] == "1 datagram sent on lo in 0.000 s: 1 Probe; failed"
    assert [to for _, to in four.sent] == [("239.255.255.250", 0)]
    assert four.options == six.options == (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    assert (four.closed, six.closed) == (2, 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_sent_until_it_was_broken_off(
    command: Run, wire: list[bytes], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupt(self: RawSender, packets: list[Any]) -> None:
        wire.extend(map(bytes, packets))
        signal.raise_signal(number)

    monkeypatch.setattr(ending, "_last", -math.inf)
    monkeypatch.setattr(RawSender, "send", interrupt)
    before = signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_IGN)
    try:
        code, out, error = command(HELLOS, "--fast", "--only", "Hello")
    finally:
        signal.signal(number, before)
    assert (code, error, len(wire)) == (130, "", 1)
    # What went out is told too: it is broken off between two datagrams.
    assert out.splitlines()[-1].endswith(": 1 Hello; interrupted")


class Gone(io.StringIO):
    """A pipe whose reader left after the first line."""

    def write(self, text: str) -> int:
        if "\n" in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_all_is_sent_without_a_reader_too(
    command: Run, wire: list[bytes], monkeypatch: pytest.MonkeyPatch, json: tuple[str, ...]
) -> None:
    """The exit code would say that it was."""
    pipe = Gone()
    monkeypatch.setattr("sys.stdout", pipe)
    assert command(HELLOS, "--fast", "--only", "Hello", *json)[0] == 0
    assert (len(wire), pipe.getvalue().count("\n")) == (8, 1)
