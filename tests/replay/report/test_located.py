"""Where what came is in the capture of the replay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissector.base.origin import Endpoint
from replay.player.step import Heard
from replay.report.located import NEAR, locate, located_words
from replay.report.text import summary_lines
from tests.support.results import END, result, step

SAMPLE = Path(__file__).parent.parent.parent.parent / "pcaps" / "dsm-completed.pcapng"


def test_the_nearest_message_of_the_connection() -> None:
    import dissector

    with dissector.open(str(SAMPLE)) as capture:
        messages = list(capture.messages)
    chosen = messages[5]
    ends = chosen.stream.source, chosen.stream.destination
    bad = step(1, "different", differences=[END], heard=Heard(*ends, chosen.time + 100))
    zone = Endpoint(f"{ends[0].address}%eth0", ends[0].port)
    scoped = step(2, "different", differences=[END], heard=Heard(zone, ends[1], chosen.time))
    late = step(3, "different", differences=[END], heard=Heard(*ends, messages[-1].time + 3_000_000_000))
    other = step(4, "different", differences=[END], heard=Heard(Endpoint("192.0.2.99", 1), ends[1], chosen.time))
    good = step(5, "same", heard=Heard(*ends, chosen.time))
    nothing = step(6, "missing")
    found = result(bad, scoped, late, other, good, nothing)
    locate(found, SAMPLE)
    frames = chosen.frames
    told = f"frames {frames[0]}–{frames[-1]}" if len(frames) > 1 else f"frame {frames[0]}"
    assert [one.came for one in found.steps] == [f"{told} of dsm-completed.pcapng"] * 2 + [""] * 4
    assert f"in dsm-completed.pcapng: step 1: {told}, step 2: {told}" in summary_lines(found)


@pytest.mark.parametrize(
    ("off", "told"), [(0, True), (NEAR - 1, True), (NEAR, True), (NEAR + 1, False), (-1, True)], ids=str
)
def test_a_message_is_near_within_a_second(off: int, told: bool) -> None:
    """Behind the last message of its connection there is no other one to be nearer."""
    import dissector

    with dissector.open(str(SAMPLE)) as capture:
        messages = list(capture.messages)
    stream = messages[0].stream
    last = [
        one for one in messages if (one.stream.source, one.stream.destination) == (stream.source, stream.destination)
    ][-1]
    found = result(
        step(1, "different", differences=[END], heard=Heard(stream.source, stream.destination, last.time + off))
    )
    locate(found, SAMPLE)
    assert found.steps[0].came.startswith(f"frame{'s' * (len(last.frames) > 1)} {last.frames[0]}") == told


def test_a_capture_that_is_none_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no capture")
    found = result(step(1, "different", differences=[END], heard=Heard(Endpoint("h", 1), Endpoint("h", 2), 1)))
    locate(found, tmp_path / "x")
    locate(found, tmp_path / "none")
    assert found.steps[0].came == ""


def test_many_places_are_cut() -> None:
    steps = [
        step(number, "different", differences=[END], came=f"frame {number} of a of b.pcapng") for number in range(12)
    ]
    assert list(located_words(steps[:2])) == ["frame 0", "step 1: frame 1"]
    line = next(line for line in summary_lines(result(*steps)) if line.startswith("in "))
    assert line.startswith("in a of b.pcapng: step 1: frame 1, ")
    assert line.endswith("step 8: frame 8, …")


def test_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*given: object, **more: object) -> None:
        raise AssertionError("nobody writes it any more")

    monkeypatch.setattr("replay.report.located.dissector.open", opened)
    os.mkfifo(tmp_path / "pipe")
    one = step(1, "different", differences=[END], heard=Heard(Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2), 3))
    locate(result(one), tmp_path / "pipe")
    assert one.came == ""
