"""One packet of a good job is not in the capture, or too late: nobody is blamed for it, and frames are those that
carried bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import dissector
from dissector.messages import Message
from dissector.output.jobs_text import job_story
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import Play
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


def framed(asked: Message, play: Play, *frames: int) -> None:
    """A request and its answer, the last message, had these frames."""
    asked.frames, play.messages[-1].frames = (frames[0],), (frames[1],)


def created_late(job: DsmJob) -> None:
    asked = job.create(answer=False)
    job.send(1, stream=2)
    job.created(asked).frames = (15,)
    job.end()


def sent_late(job: DsmJob) -> None:
    job.create()
    job.end(stream=2)
    for number in (2, 1):
        framed(job.send(number), job.play, 20 + 2 * number, 21 + 2 * number)


def sent_twice(job: DsmJob) -> None:
    job.create()
    for number in (2, 1):
        framed(job.send(7, stream=number), job.play, 20 + 2 * number, 21 + 2 * number)
    for number in (2, 1):
        framed(job.end(stream=number), job.play, 30 + 2 * number, 31 + 2 * number)


def taken_late(job: DsmJob) -> None:
    job.create()
    sent = job.send(1, answer=False)
    job.end(stream=2)
    job.play.answer(sent, {}).frames = (35,)


@pytest.mark.parametrize(
    ("tell", "found"),
    [
        (created_late, []), (sent_late, []), (taken_late, []),
        (sent_twice, [("job.duplicate-document", "24", "22"), ("job.second-end", "34", "32")]),
    ],
)  # fmt: skip
def test_what_waits_behind_a_gap_of_another_connection_was_sent_before(play, analysed, tell, found):
    tell(DsmJob(play))
    (job,) = analysed(play.messages).jobs
    expected = {"job.not-closed", "job.no-end"}
    told = [(one.rule, *re.findall("frame (\\d+)", one.text)) for one in job.findings if one.rule not in expected]
    assert sorted(told) == found


def test_what_was_told_first_is_what_was_sent_first(play, analysed):
    panel = ScanJob(play, port=5358)
    panel.status("Processing", service="WS-DSD", stream=2)
    panel.status("Pending", service="WS-DSD", stream=3).frames = (5,)
    panel.final(service="WS-DSD")
    ended = DsmJob(play)
    ended.final("Aborted", stream=5)
    ended.final(stream=6).frames = (45,)
    scan, job = analysed(play.messages).jobs
    assert (scan.partial, scan.findings) == ("", [])
    assert (job.completed_state, job.ended) == ("Completed", play.messages[-2].time)


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
