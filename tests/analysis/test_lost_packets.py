"""One packet of a good job is not in the capture, or too late: nobody is blamed for it, and frames are those that
carried bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

import dissector
from dissector.output.jobs_text import job_story
from tests.support.fake_jobs import DsmJob
from tests.support.stories import dsm_completed
from tests.support.wire import frames_of, write_pcap

FRAMES = frames_of(dsm_completed())
BLAME = {"job.end-too-early", "job.filters-mismatch", "job.state-backwards", "job.status-after-end"}


@pytest.mark.parametrize("part", range(4))
def test_any_packet_may_be_lost(part: int, tmp_path: Path) -> None:
    for lost in range(part, len(FRAMES), 4):
        path = tmp_path / "lost.pcap"
        path.write_bytes(write_pcap(FRAMES[:lost] + FRAMES[lost + 1 :]))
        with dissector.open(str(path)) as capture:
            frames = {message.number: tuple(message.frames) for message in capture.messages}
            jobs, exchanges = list(capture.jobs), list(capture.exchanges)
        for job in jobs:
            told = {finding.rule: finding.text for finding in job.findings}
            assert not BLAME & set(told), (lost, told)
            assert all(step.frame in frames[step.message] for step in job.timeline), lost
            lines = list(job_story(job))
            steps = lines[lines.index("Steps") + 2 :]
            assert not [line for line in steps if line.startswith("   -")], lost
        assert not [one for each in exchanges for one in each.findings if one.rule == "exchange.operation"], lost


@pytest.mark.parametrize("part", range(4))
def test_any_packet_may_be_captured_late(part: int, tmp_path: Path) -> None:
    """Behind the answer to what it carries, too: all further answers of the connection stay with their requests."""
    for late in range(part, len(FRAMES) - 2, 4):
        path = tmp_path / "late.pcap"
        path.write_bytes(write_pcap([*FRAMES[:late], *FRAMES[late + 1 : late + 3], FRAMES[late], *FRAMES[late + 3 :]]))
        with dissector.open(str(path)) as capture:
            found = {one.rule for each in capture.exchanges for one in each.findings}
        # Of datagrams the order is all that there is.
        assert found <= ({"exchange.no-request"} if late == 0 else set()), late


def test_a_state_that_came_before_is_no_way_back_where_it_is_read_late(play, analysed) -> None:
    """An answer behind a gap is read after what came later on another connection."""
    job = DsmJob(play)
    job.create()
    job.send()
    job.end()
    poll = job.status("Processing", 1)
    job.final()
    play.messages.remove(poll)
    poll.number = play.messages[-1].number + 1
    play.messages.append(poll)
    (found,) = analysed(play.messages).jobs
    assert not BLAME & {one.rule for one in found.findings}
