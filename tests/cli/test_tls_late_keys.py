"""Keys that come late or by a pipe: secrets blocks behind their packets, key logs that can be read only once."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest

import dissector
from dissector import keyfiles
from dissector.base.origin import Endpoint
from dissector.capture import TLS_KEY_LOG, PcapngWriter, open_source, secrets
from dissector.capture.secrets import secrets_ahead
from dissector.output.jsontext import schema
from dissector.output.notes import notes
from dissector.output.tls_json import tls_json
from dissector.output.tls_text import connection_lines, summary
from dissector.transport.model import TransportStats
from tests.cli.test_tls_command import gist
from tests.output.test_output_schemas_complete import closed
from tests.support.stories import dsm_completed
from tests.support.tls_talk import client_context, encrypt, identity, server_context
from tests.support.wire import Frame, frames_of

MADE = encrypt(dsm_completed(), client_context("1.3"), server_context(identity("ec"), "1.3"))
FRAMES, KEYS = frames_of(MADE[0]), MADE[1]


def pcapng(frames: list[Frame], at: int, order: str = "little") -> bytes:
    """A file with the secrets before this frame, and half of what it holds once more at the end."""
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface(1)
    for number, frame in enumerate(frames):
        if number == at:
            writer.write_secrets(TLS_KEY_LOG, KEYS)
        writer.write_packet(frame.time, frame.data)
    if at >= len(frames):
        writer.write_secrets(TLS_KEY_LOG, KEYS)
    return file.getvalue()


@contextmanager
def small_blocks() -> Iterator[None]:
    """Captures are read a few packets at a time."""
    from dissector import reader

    before = reader.open_source
    reader.open_source = lambda paths, **options: before(paths, **{**options, "block_bytes": 2000})
    try:
        yield
    finally:
        reader.open_source = before


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    with dissector.open(io.BytesIO(pcapng(FRAMES, 0))) as capture:
        return [job.completed_state for job in capture.jobs]


@pytest.mark.parametrize("at", [5, len(FRAMES) // 2, len(FRAMES)])
def test_secrets_behind_their_packets_open_them(at: int, cli, tmp_path: Path) -> None:
    file, out = tmp_path / "late.pcapng", tmp_path / "out.pcapng"
    file.write_bytes(pcapng(FRAMES, at))
    with small_blocks():
        result = cli("jobs", "--json", str(file))
        assert [job["completed_state"] for job in json.loads(result.out)["jobs"]] == ["Completed"]
        assert json.loads(result.out)["findings"] == []
        assert cli("jobs", "--json", "--jobs", "2", str(file)).out == result.out
        assert cli("tls", str(file)).out.count("opened (traffic secrets)") == 2
        for how in ("--decrypted", "--secrets"):
            assert cli("export", "pcap", how, "--force", str(file), "-o", str(out)).code == 0
            assert gist(cli("jobs", "--json", str(out)).out) == gist(result.out)


def test_where_it_is_read_once_they_are_waited_for_or_it_is_said(cli, tmp_path: Path) -> None:
    # The first connection, of two, was gone when its secrets came.
    for at, states, gone in ((9, ["Completed"], "1 connection"), (len(FRAMES), [], "2 connections")):
        file = tmp_path / "late.pcapng.gz"
        file.write_bytes(gzip.compress(pcapng(FRAMES, at)))
        with small_blocks():
            data = json.loads(cli("jobs", "--json", str(file)).out)
        assert [job["completed_state"] for job in data["jobs"]] == states
        said = [one["text"] for one in data["findings"] if one["rule"] == "tls.secrets-late"]
        assert [text.split(" stand")[0] for text in said] == [f"secrets of {gone}"]


@pytest.mark.parametrize("damage", ["type", "length", "trailer", "size", "cut"])
def test_what_only_looks_like_secrets_is_none(damage: str, tmp_path: Path) -> None:
    raw = bytearray(pcapng(FRAMES[:3], 3))
    at = raw.rfind(b"KSLT")
    edges = {"type": at - 8, "length": at - 4, "trailer": len(raw) - 4, "size": at + 4}
    if damage == "cut":
        del raw[at + 6 :]
    else:
        raw[edges[damage]] ^= 0x40 if damage != "size" else 0x01
        raw[edges[damage] + 3] ^= 0x01 * (damage == "size")
    file = tmp_path / "odd.pcapng"
    file.write_bytes(raw)
    assert secrets_ahead([str(file)]) == ([], True)


def test_where_secrets_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = pcapng(FRAMES, 7)
    file, packed, old = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    file.write_bytes(raw)
    packed.write_bytes(gzip.compress(raw))
    old.write_bytes(b"\xd4\xc3\xb2\xa1" + raw)
    assert secrets_ahead([str(file)]) == ([KEYS], True)
    for names in ([str(packed)], ["-"], ["nowhere"], [str(tmp_path)]):
        assert secrets_ahead(names) == ([], False)
    assert secrets_ahead([str(old)]) == ([], True)
    # Wherever a piece ends.
    place = raw.find(b"KSLT")
    for piece in range(place - 1, place + 6):
        monkeypatch.setattr(secrets, "PIECE", piece)
        assert secrets_ahead([str(file)]) == ([KEYS], True)
    # Places that hold none are bounded, blocks are not: there may be one for each connection.
    monkeypatch.setattr(secrets, "LOOKS", 3)
    assert secrets_ahead([str(file)]) == ([KEYS], True)
    several = tmp_path / "d"
    several.write_bytes(raw + raw[place - 8 : place - 8 + int.from_bytes(raw[place - 4 : place], "little")] * 5)
    assert secrets_ahead([str(several)]) == ([KEYS] * 6, True)
    several.write_bytes(raw[: place - 8] + b"KSLT" * 3 + raw[place - 8 :])
    assert secrets_ahead([str(several)]) == ([], False)
    monkeypatch.setattr(secrets, "AHEAD", 100)
    monkeypatch.setattr(secrets, "PIECE", 100)
    assert secrets_ahead([str(file)]) == ([], False)


@pytest.mark.parametrize("at", [0, len(FRAMES)])
def test_of_long_files_beginning_and_end_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(pcapng(FRAMES, at))
    size = paths[0].stat().st_size
    monkeypatch.setattr(secrets, "PIECE", len(KEYS) + 300)
    monkeypatch.setattr(secrets, "AHEAD_IN_ALL", 3 * 2 * secrets.PIECE)
    assert size > 2 * secrets.PIECE
    read, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda *place: read.append(place) or pread(*place))
    assert secrets_ahead(map(str, paths)) == ([KEYS] * 3, False)
    # With what is looked at besides: 3 bytes of each piece, the first bytes of each file, each place that was found.
    assert sum(count for _, count, _ in read) < secrets.AHEAD_IN_ALL + 3 * (len(KEYS) + 100)


@pytest.mark.parametrize("at", [0, 4])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_secrets_in_a_later_file_open_what_is_in_the_ones_before(cli, tmp_path: Path, at: int, jobs: str) -> None:
    half = len(FRAMES) // 2
    paths = [tmp_path / "1.pcapng", tmp_path / "2.pcapng"]
    paths[0].write_bytes(pcapng(FRAMES[:half], -1))
    paths[1].write_bytes(pcapng(FRAMES[half:], at))
    with small_blocks():
        data = json.loads(cli("jobs", "--json", "--jobs", jobs, *map(str, paths)).out)
    assert [job["completed_state"] for job in data["jobs"]] == ["Completed"]
    assert data["findings"] == []


def test_secrets_of_a_big_endian_file(tmp_path: Path) -> None:
    body = (0x544C534B).to_bytes(4, "big") + len(KEYS).to_bytes(4, "big") + KEYS + bytes(-len(KEYS) % 4)
    size = (12 + len(body)).to_bytes(4, "big")
    file = tmp_path / "big.pcapng"
    head = bytes.fromhex("0a0d0d0a0000001c1a2b3c4d00010000ffffffffffffffff0000001c")
    file.write_bytes(head + (10).to_bytes(4, "big") + size + body + size)
    assert secrets_ahead([str(file)]) == ([KEYS], True)
    with open_source([str(file)]) as source:
        list(source)
        assert source.info.secrets == [(TLS_KEY_LOG, KEYS)]


# -- pipes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    file = tmp_path / "bare.pcapng"
    file.write_bytes(pcapng(FRAMES, 0).replace(KEYS, b"#" * len(KEYS)))
    return file


def piped(write: Callable[[int], None]) -> tuple[str, threading.Thread, list[int]]:
    ends = list(os.pipe())
    thread = threading.Thread(target=write, args=(ends[1],))
    thread.start()
    return f"/dev/fd/{ends[0]}", thread, ends


def test_a_key_log_may_be_a_pipe(capture: Path, cli, tmp_path: Path) -> None:
    """As ``<(…)`` of a shell gives."""

    def write(end: int) -> None:
        os.write(end, KEYS[:500])
        os.write(end, KEYS[500:])
        os.close(end)

    for command in (["jobs", "--json"], ["jobs", "--json", "--jobs", "2"], ["export", "pcap", "--decrypted"]):
        name, thread, ends = piped(write)
        out = ["-o", str(tmp_path / "out.pcapng")] if command[0] == "export" else []
        result = cli(*command, "--keylog", name, str(capture), *out)
        thread.join()
        os.close(ends[0])
        text = cli("jobs", "--json", out[1]).out if out else result.out
        assert [job["completed_state"] for job in json.loads(text)["jobs"]] == ["Completed"], result.err


def test_a_pipe_that_stays_open_holds_up_nothing(capture: Path, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfiles, "SILENT", 0.02)
    monkeypatch.setattr(keyfiles, "FIRST", 0.02)
    for text, states in ((KEYS, ["Completed"]), (b"", [])):
        name, thread, ends = piped(lambda end, text=text: os.write(end, text) and None)
        thread.join()
        data = json.loads(cli("jobs", "--json", "--keylog", name, str(capture)).out)
        for end in ends:
            os.close(end)
        assert [job["completed_state"] for job in data["jobs"]] == states
        assert any("the key log was still being written when all was read" in one["text"] for one in data["findings"])


def test_a_named_pipe_that_nobody_writes(capture: Path, cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keyfiles, "FIRST", 0.02)
    os.mkfifo(tmp_path / "fifo")
    assert "could not be read: no keys" in cli("jobs", "--keylog", str(tmp_path / "fifo"), str(capture)).out


def test_standard_input_may_be_the_key_log(capture: Path, cli) -> None:
    command = [sys.executable, "-m", "dissector", "jobs", "--json", "--keylog", "-", str(capture)]
    done = subprocess.run(command, input=KEYS, capture_output=True, check=True)
    assert [job["completed_state"] for job in json.loads(done.stdout)["jobs"]] == ["Completed"]
    for twice in (["--keylog", "-", "-"], ["--keylog", "-", "--keylog", "-", str(capture)]):
        result = cli("jobs", *twice)
        assert (result.code, "standard input (-) can be given only once" in result.err) == (2, True)


def test_what_is_no_key_log_at_all(capture: Path, cli, tmp_path: Path) -> None:
    result = cli("jobs", "--keylog", str(tmp_path), str(capture))
    assert (result.code, "Is a directory" in result.err) == (3, True)


@pytest.mark.parametrize("others", [b"", b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"])
@pytest.mark.parametrize(("late", "gone"), [(False, 0), (True, 2)])
def test_keys_that_a_growing_log_gets_too_late_are_told(late: bool, gone: int, others: bytes, tmp_path: Path) -> None:
    raw, log = pcapng(FRAMES, -1), tmp_path / "keys"
    # Of connections that are not in the capture, if any.
    log.write_bytes(others)

    class Live:
        """A pipe: the log grows while it is read, or when all was."""

        def __init__(self) -> None:
            self.file, self.grown = io.BytesIO(raw), False

        def read(self, size: int = -1) -> bytes:
            data = self.file.read(min(size, 2000) if size > 0 else 2000)
            if not self.grown and not (late and data):
                self.grown = True
                with log.open("ab") as file:
                    file.write(KEYS)
            return data

    with small_blocks(), dissector.open(Live(), keylog=log, watch_tls=True) as capture:
        capture.run()
        # What is said beside it does not say that there were no keys.
        assert [facts.state for facts in capture.tls] == ["late keys" if late else "opened"] * 2
        told = tls_json(capture.tls, 6, records=False, left_out=0, notes=[], findings=[], interrupted=False)
        jsonschema.Draft202012Validator(closed(schema("dsmshark.tls/1"))).validate(told)
        assert summary(capture.tls) == f"2 TLS connections: 2 {'with keys that came too late' if late else 'opened'}"
        encrypted = [line for facts in capture.tls for line in connection_lines(facts, 6) if "encrypted, as" in line]
        assert len(encrypted) == gone
        beside = notes(capture.stats, 1)
        assert [text.partition("could not be read: ")[2].split(" (")[0] for text in beside[:-1]] == (
            ["the keys came too late"] * gone
        )
        assert ("their own keys open those" in " ".join(beside)) is late
        said = [finding.text for finding in capture.findings if finding.rule == "tls.keylog-late"]
        assert capture.tls_decrypted == 2 - gone
    assert [text.split(" when ")[0] for text in said] == (
        [f"the key log got the secrets of {gone} connections"] if gone else []
    )


def test_of_some_connections_the_keys_came_too_late() -> None:
    pair = Endpoint("192.0.2.1", 50_000), Endpoint("192.0.2.2", 443)
    other = Endpoint("192.0.2.1", 50_001), pair[1]
    stats = TransportStats(opaque={"tls": {pair: (7, 700), other: (8, 800)}}, late={pair: 1}, keyed=True)
    assert notes(stats, 1)[0] == (
        "2 TLS connections from 192.0.2.1 to 192.0.2.2:443 could not be read: none of the keys fits, or the handshake "
        "is not in the capture (15 packets; the keys of 1 of them came too late)"
    )
