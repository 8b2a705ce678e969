"""``--jobs``: the stages of a pass in processes of their own give what one process gives, to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import dissector
from dissector import ahead
from dissector.assembly import MessagePass
from dissector.base.errors import UnreadableInput
from dissector.capture import open_source
from dissector.http.model import BodyPolicy

PCAPS = Path(__file__).parent.parent.parent / "pcaps"
SAMPLES = ["dsm-two-jobs.pcapng", "dsm-aborted.pcapng", "others/scan-debian-adf.pcap"]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("command", [["jobs", "--json"], ["read"], ["info", "--json"]])
def test_more_processes_say_the_same(cli, command, sample):
    one, two = (cli(*command, "--jobs", jobs, str(PCAPS / sample)) for jobs in ("1", "2"))
    assert one == two


def passed(path: Path, jobs: int) -> tuple[list[object], object]:
    """All that is told of the messages, read in many small blocks."""
    source = open_source([path], block_bytes=20_000)
    made = MessagePass(source, policy=BodyPolicy(), jobs=jobs)
    seen: list[object] = [
        (
            m.number,
            m.name,
            m.request,
            m.stream,
            m.time,
            m.digits,
            tuple(m.frames),
            m.findings,
            m.envelope and m.envelope.xml,
        )
        for m in made
    ]
    source.close()
    return seen, (made.findings, made.stats, source.info, source.interfaces)


@pytest.mark.parametrize("slot", [ahead.SLOT, 1])
@pytest.mark.parametrize("sample", SAMPLES)
def test_blocks_go_through_shared_memory_or_the_pipe(monkeypatch, sample, slot):
    monkeypatch.setattr(ahead, "SLOT", slot)
    assert passed(PCAPS / sample, 1) == passed(PCAPS / sample, 2)


def test_what_a_stage_raises_is_raised_here():
    def stage():
        yield 1
        raise UnreadableInput("gone")

    made = ahead.Stage(stage)
    given = iter(made)
    assert next(given) == 1
    with pytest.raises(UnreadableInput, match="gone"):
        next(given)
    made.close()


def test_a_stage_that_dies_is_told():
    def stage():
        yield 1
        os._exit(3)

    made = ahead.Stage(stage)
    with pytest.raises(UnreadableInput, match="--jobs 1"):
        list(made)
    made.close()


def test_a_pass_that_is_left_leaves_no_process(monkeypatch):
    made: list[ahead.Stage[object]] = []

    def kept(make):
        made.append(ahead.Stage(make))
        return made[-1]

    monkeypatch.setattr("dissector.assembly.Stage", kept)
    with dissector.open(PCAPS / SAMPLES[0], jobs=2) as capture:
        next(iter(capture.messages))
        capture._stream.close()
    assert [stage.running for stage in made] == [False]


def test_a_pass_that_is_stopped_ends_as_if_the_capture_ended():
    with dissector.open(PCAPS / SAMPLES[0], jobs=2) as capture:
        capture.stop()
        capture.run()
        assert capture.stats.frames
        assert capture.jobs
