"""One packet of a good job is not in the capture, or too late: nobody is blamed for it, and frames are those that
carried bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import dissector
from dissector.output.jobs_text import job_story
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.stories import Story, dsm_completed, scan_pull_events, scan_push
from tests.support.wire import frames_of, write_pcap

FRAMES = frames_of(dsm_completed())
BLAME_SCANS = {"job.id-reused", "job.cancel-after-end", "job.state-backwards", "job.status-after-end"}
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


@pytest.mark.parametrize("story", [scan_pull_events, scan_push])
@pytest.mark.parametrize("part", range(2))
def test_any_packet_of_scans_may_be_lost(story: Callable[[], Story], part: int, tmp_path: Path) -> None:
    """What waits behind the gap, on one connection, is read after the events on the other one."""
    whole = frames_of(story())
    for lost in range(part, len(whole), 2):
        path = tmp_path / "lost.pcap"
        path.write_bytes(write_pcap(whole[:lost] + whole[lost + 1 :]))
        with dissector.open(str(path)) as capture:
            jobs = list(capture.jobs)
        for job in jobs:
            assert not BLAME_SCANS & {finding.rule for finding in job.findings}, lost
            assert 0 < job.first_frame <= min(step.frame for step in job.timeline), lost
            assert not (job.id == "18" and job.images), lost
        numbers = [job.id for job in jobs if job.id]
        assert len(numbers) == len(set(numbers)), lost


@pytest.mark.parametrize("many", [5, 8])
def test_any_packets_in_a_row_may_be_lost(many: int, tmp_path: Path) -> None:
    """An answer and the next request among them: the answer to that is none to the request before."""
    for lost in range(0, len(FRAMES), 2):
        path = tmp_path / "lost.pcap"
        path.write_bytes(write_pcap(FRAMES[:lost] + FRAMES[lost + many :]))
        with dissector.open(str(path)) as capture:
            found = {one.rule for each in capture.exchanges for one in each.findings}
        assert not {"exchange.operation", "exchange.disagreement"} & found, lost


@pytest.mark.parametrize("part", range(4))
def test_any_packet_may_be_captured_late(part: int, tmp_path: Path) -> None:
    """Behind the answer to what it carries, too: all further answers of the connection stay with their requests."""
    for late in range(part, len(FRAMES) - 2, 4):
        path = tmp_path / "late.pcap"
        path.write_bytes(write_pcap([*FRAMES[:late], *FRAMES[late + 1 : late + 3], FRAMES[late], *FRAMES[late + 3 :]]))
        with dissector.open(str(path)) as capture:
            found = {one.rule for each in capture.exchanges for one in each.findings}
            assert not BLAME & {one.rule for job in capture.jobs for one in job.findings}, late
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
    assert [state for _, state, _ in found.states] == ["Processing", "Completed"]


@pytest.mark.parametrize("late", [True, False])
def test_what_was_told_before_is_not_fewer_where_it_is_read_late(late: bool, play, analysed) -> None:
    job = ScanJob(play, 1)
    job.created(job.ask("CreateScanJob", {}))
    counts = (1, 2) if late else (2, 1)
    early, _ = (job.status("Processing", number) for number in counts)
    if late:
        play.messages.remove(early)
        early.number = play.messages[-1].number + 1
        play.messages.append(early)
    (found,) = analysed(play.messages).jobs
    assert ("job.scans-completed" in {one.rule for one in found.findings}) is not late
