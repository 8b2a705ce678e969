"""``events`` of a capture that is under way: each is shown when it comes."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from dissector.analysis import Analysis
from dissector.cli import events
from dissector.messages import Message
from dissector.output.text import PLAIN
from dissector.output.times import Clock
from tests.support.fakes import Play

PATIENCE = 60
SAMPLES = ["dsm-aborted.pcapng", "dsm-two-jobs.pcapng", "emulated/tls-failed.pcap", "others/airscand-push.pcap"]


@pytest.mark.parametrize("way", ["-", "fifo"])
def test_an_event_is_shown_before_the_capture_ends(way: str, samples: Path, cli, tmp_path: Path) -> None:
    data = (samples / "dsm-aborted.pcapng").read_bytes()
    fifo = tmp_path / "fifo"
    if way == "fifo":
        os.mkfifo(fifo)
    command = [sys.executable, "-m", "dissector", "events", str(fifo) if way == "fifo" else "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        end = fifo.open("wb", buffering=0) if way == "fifo" else running.stdin
        # More than a pipe holds.
        threading.Thread(target=end.write, args=(data,)).start()
        ready, _, _ = select.select([running.stdout], [], [], PATIENCE)
        first = running.stdout.read(1) if ready else b""
        end.close()
        rest = running.stdout.read()
    assert first, "nothing is shown"
    assert (first + rest).decode() == cli("events", str(samples / "dsm-aborted.pcapng")).out


@pytest.mark.parametrize("name", SAMPLES)
def test_in_the_end_it_is_the_same(name: str, samples: Path, cli) -> None:
    same("events", name=name, samples=samples, cli=cli)


@pytest.mark.parametrize("job", ["8a2a", "{8A2AD16E-107A-4806-9B51-C6322463278E}", "nobody"])
def test_of_a_job_it_is_the_same(job: str, samples: Path, cli) -> None:
    same("events", "--job", job, name="dsm-two-jobs.pcapng", samples=samples, cli=cli)


def same(*arguments: str, name: str, samples: Path, cli) -> None:
    whole = cli(*arguments, str(samples / name))
    piped = subprocess.run(
        [sys.executable, "-m", "dissector", *arguments, "-"], input=(samples / name).read_bytes(), capture_output=True,
        check=False,
    )  # fmt: skip
    assert (piped.returncode, piped.stdout.decode(), piped.stderr.decode()) == (whole.code, whole.out, whole.err)


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.mark.parametrize(
    ("job", "early", "all_of_it"), [("A1", ["a1"], ["a1"]), ("a1b", ["a1b"], ["a1b"]), ("a", [], ["a1b", "a1"])]
)
def test_events_with_the_whole_id_of_their_job_are_not_waited_for(
    play: Play, job: str, early: list[str], all_of_it: list[str]
) -> None:
    """Behind one that only begins so another may come that does, too, or is what is given."""
    for token in ("a1b", "b", "a1"):
        play.event("WS-DSP", "PostScanJobStatusEvent", {"JobToken": token})
    out, analysis = io.StringIO(), Analysis()
    lines = events._Lines(out, PLAIN, Clock("relative"), job)

    def told() -> list[str]:
        return [line.split()[-1] for line in out.getvalue().splitlines() if "answer: HTTP 202, job" in line]

    for message in play.messages:
        event = analysis.feed(message)
        if event is not None:
            lines.event(event, message)
    assert told() == early
    analysis.finish()
    lines.end([one for one in analysis.notifications if one.job_id in all_of_it])
    assert told() == all_of_it


def shown(messages: Iterable[Message], awaited: int = 1000) -> tuple[list[str], events._Lines]:
    """The lines below the events' heads, and what is known at the end."""
    out, analysis = io.StringIO(), Analysis()
    lines = events._Lines(out, PLAIN, Clock("relative"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "AWAITED", awaited)
        for message in messages:
            event = analysis.feed(message)
            if event is not None:
                lines.event(event, message)
        analysis.finish()
        lines.end(analysis.notifications)
    return [line.strip() for line in out.getvalue().splitlines() if "answer: " in line], lines


def two(play: Play) -> list[Message]:
    return [play.event("WS-DSP", "PostScanJobStatusEvent", {}, stream=100 + number, status=None) for number in range(2)]


def test_answers_that_come_behind_other_events_say_whose_they_are(play: Play) -> None:
    one, other = two(play)
    play.http(other, 202)
    play.http(one, 500)
    said, _ = shown(play.messages)
    assert said == ["answer: HTTP 202", "PostScanJobStatusEvent of frame 10, answer: HTTP 500"]


def test_an_answer_below_that_to_another_event_says_whose_it_is(play: Play) -> None:
    one, other = two(play)
    play.http(one, 202)
    play.http(other, 500)
    said, _ = shown(play.messages)
    assert said == [f"PostScanJobStatusEvent of frame {frame}, answer: HTTP {status}"
                    for frame, status in ((10, 202), (20, 500))]  # fmt: skip


def test_what_is_not_answered_is_told_at_the_end(play: Play) -> None:
    two(play)
    said, lines = shown(play.messages)
    assert said == ["PostScanJobStatusEvent of frame 10, answer: no answer in the capture",
                    "PostScanJobStatusEvent of frame 20, answer: no answer in the capture"]  # fmt: skip
    assert lines.bad == []


@pytest.mark.parametrize(("most", "early"), [(1, True), (2, False)])
def test_answers_that_are_awaited(play: Play, most: int, early: bool) -> None:
    one, _ = two(play)
    play.http(one, 202)
    said, _ = shown(play.messages, most)
    assert said[: 2 if early else 1] == [
        *(["PostScanJobStatusEvent of frame 10, answer: none yet"] if early else []),
        "PostScanJobStatusEvent of frame 10, answer: HTTP 202",
    ]


def test_a_pipe_without_events(samples: Path) -> None:
    data = (samples / "others/scan-debian-adf.pcap").read_bytes()[:3000]
    done = subprocess.run(
        [sys.executable, "-m", "dissector", "events", "-"], input=data, capture_output=True, check=False
    )
    assert done.stdout == b"No event notifications.\n"
