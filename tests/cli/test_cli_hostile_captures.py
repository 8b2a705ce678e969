"""Captures of the ill-disposed, through the whole command: no terminal escape reaches the terminal, no file name leaves
the folder, no flipped byte gives a traceback, Ctrl-C ends cleanly."""

from __future__ import annotations

import re
import shlex
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.commands import heeds_ctrl_c
from tests.support.stories import STORIES, Story
from tests.support.wire import frames_of, write_pcap

PCAPS = Path(__file__).parent.parent.parent / "pcaps"
EVIL = "\u202eevil\u200b\x9b31m\x85."
"""Right-to-left override, zero width space, and the one-byte forms of CSI and NEL, all legal in XML."""
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]")
TEXTS = (
    "anna@example.com",
    "Invoices to archive",
    "PostScanJobCompletedWithErrors",
    "FileShareAccessDenied",
    "Completed",
    "Processing",
    "SCAN01",
    "Scan Server",
)
FACES = (
    ["jobs"],
    ["read"],
    ["read", "-V", "--origin"],
    ["events"],
    ["info"],
    ["jobs", "--json"],
    ["read", "--json"],
    ["read", "--ndjson"],
    ["events", "--json"],
    ["info", "--json"],
)


def poisoned(story: Story) -> Story:
    """The story with harmful characters in its values, its headers and its status lines."""
    for turn in story.turns:
        data = turn.data.replace(b"HTTP/1.1 202 Accepted", b"HTTP/1.1 202 \x1b]0;owned\x07")
        data = data.replace(b"\r\nServer: ", b"\r\nServer: \x1b[31m")
        head, blank, body = data.partition(b"\r\n\r\n")
        if b"multipart" not in head:
            for text in TEXTS:
                body = body.replace(f">{text}<".encode(), f">{text}{EVIL}<".encode())
            head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head)
        turn.data = head + blank + body
    return story


@pytest.fixture
def hostile(tmp_path) -> str:
    path = tmp_path / "hostile.pcap"
    path.write_bytes(write_pcap(frames_of(poisoned(STORIES["dsm-completed-with-errors"]()))))
    return str(path)


@pytest.mark.parametrize("face", FACES, ids=" ".join)
def test_nothing_that_a_terminal_obeys_is_printed(cli, hostile, face):
    result = cli(*face, hostile)
    assert "evil" in result.out or face[0] == "info"
    assert HARMFUL.findall(result.out + result.err) == []


def test_the_story_of_a_job_is_harmless_too(cli, hostile):
    token = cli("jobs", hostile).out.splitlines()[1].split()[0]
    result = cli("jobs", "--job", token, hostile)
    assert "\\u202eevil\\u200b\\x9b31m\\x85." in result.out
    assert HARMFUL.findall(result.out + result.err) == []


def test_names_from_the_network_do_not_leave_the_folder(cli, tmp_path):
    story = STORIES["dsm-completed"]()
    token = story.jobs[0].id.encode()
    for turn in story.turns:
        turn.data = turn.data.replace(
            token, b"/../../../../../../../../tmp/owned.jpg"[: len(token)].ljust(len(token), b"x")
        )
    capture = tmp_path / "names.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    cli("export", "images", str(capture), "-o", str(tmp_path / "out" / "images"))
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != capture]
    assert len(written) == 3
    assert {tmp_path / "out" / "images"} == {path.parent for path in written}
    assert all(re.fullmatch(r"[A-Za-z0-9][\w.-]*", path.name, re.ASCII) for path in written)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=30),
    cut=st.none() | st.integers(0, 1 << 20),
)
def test_flipped_bytes_never_give_an_internal_error(cli, tmp_path, flips, cut):
    data = bytearray(write_pcap(frames_of(STORIES["dsm-completed-with-errors"]())))
    for at, value in flips:
        data[at % len(data)] = value
    capture = tmp_path / "flipped.pcap"
    capture.write_bytes(data[: None if cut is None else cut % len(data)])
    for face in (["jobs"], ["read", "-V", "--origin"], ["events", "--json"], ["info"]):
        result = cli(*face, str(capture))
        assert result.code in (0, 1, 3)
        assert "internal error" not in result.err
        assert HARMFUL.findall(result.out + result.err) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_on_a_pipe_ends_with_what_was_read(hostile, number):
    data = Path(hostile).read_bytes()
    command = [sys.executable, "-m", "dissector", "read", "--ndjson", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heeds_ctrl_c,
    ) as running:  # fmt: skip
        assert running.stdin
        assert running.stdout
        assert running.stderr
        running.stdin.write(data)
        running.stdin.flush()
        first = running.stdout.readline()
        running.send_signal(number)
        if number is not signal.SIGINT:
            # Wrappers hand on what the group got, too.
            running.send_signal(number)
        running.wait(60)
        rest, said = running.stdout.read(), running.stderr.read()
    assert running.returncode in (0, 1)
    assert first.startswith(b'{"number": 1,')
    assert rest.endswith(b"}\n")
    assert b"interrupted" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(hostile, closed):
    line = f'"{sys.executable}" -m dissector jobs "{hostile}" {closed}'
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert "error" not in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        "dissector jobs FILE", "dissector --help", "dissector --version", "dissector jobs --help", "replay --help",
        "replay --version", "replay run --help", "replay run --rules",
    ],
)  # fmt: skip
def test_a_full_disk_is_one_sentence(hostile, words):
    line = f'"{sys.executable}" -m {words.replace("FILE", shlex.quote(str(hostile)))} > /dev/full'
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    name = {"dissector": "dsmshark", "replay": "dsmreplay"}[words.partition(" ")[0]]
    assert ended.stderr == f"{name}: cannot write: No space left on device\n"


def test_notes_without_room_end_nothing():
    """What is told beside the work neither ends it nor changes its exit code."""
    capture = shlex.quote(str(PCAPS / "others" / "scan-tls-1.2.pcap"))
    words = f'"{sys.executable}" -m dissector events {capture}'
    ended = [
        subprocess.run(["sh", "-c", f"{words} {where}"], capture_output=True, text=True, check=False)
        for where in ("", "2> /dev/full")
    ]
    assert ended[0].stderr
    assert ended[1].stderr == ""
    assert (ended[1].stdout, ended[1].returncode) == (ended[0].stdout, ended[0].returncode)


@pytest.mark.parametrize("name", ["dissector", "replay"])
def test_help_whose_reader_has_gone_is_no_error(name):
    line = f'("{sys.executable}" -m {name} --help; echo $? >&2) | true'
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert ended.stderr == "0\n"


def test_long_names_do_not_hide_what_info_tells(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """An interface's name and a comment may have 60,000 characters."""

    def block(kind: int, body: bytes) -> bytes:
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    def option(kind: int, text: bytes) -> bytes:
        return struct.pack("<HH", kind, len(text)) + text + bytes(4)

    head = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(1, b"c" * 60_000))
    file = tmp_path / "long.pcapng"
    file.write_bytes(head + block(1, struct.pack("<HHI", 1, 0, 0) + option(2, b"n" * 60_000)))
    lines = [line for line in cli("info", str(file)).out.splitlines() if "nnn" in line or "ccc" in line]
    assert list(map(len, lines)) == [len("interface     ") + 160, len("  ") + 2000]
