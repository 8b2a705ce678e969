"""What is at rest is the same when it wakes: jobs, exchanges and events, whatever is packed and when."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dissector
from dissector.analysis import Analysis, resting
from dissector.analysis.model import Job, Notification
from dissector.analysis.resting import Archive, JobList, Resting
from dissector.messages import Message
from tests.support.fake_jobs import ScanJob
from tests.support.fakes import CLIENT, SCANNER, picture

SAMPLES = sorted(Path("pcaps").glob("*.pcap*"))


def told(path: Path) -> tuple[list[object], ...]:
    with dissector.open(path) as capture:
        return [*capture.jobs], [*capture.exchanges], [*capture.events], [*capture.subscriptions]


def woken_by(analysis: Analysis, messages: Sequence[Message], before: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many that rest are woken by the messages from this one on."""
    for message in messages[:before]:
        analysis.feed(message)
    woken: list[bytes] = []
    unpack = resting.Packer.unpack
    with monkeypatch.context() as patch:
        patch.setattr(resting.Packer, "unpack", lambda self, packed: woken.append(packed) or unpack(self, packed))
        for message in messages[before:]:
            analysis.feed(message)
    return len(woken)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_nothing_is_told_differently(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(path)
    for name, value in (("AWAKE", 0), ("BLOCK", 2), ("OPEN", 3)):
        monkeypatch.setattr(resting, name, value)
    assert told(path) == before


def event(number: int) -> Notification:
    return Notification(number, number, number, "JobStatusEvent", "WS-Scan")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 500)), max_size=60))
def test_an_archive_is_a_list(steps: list[tuple[bool, int]]) -> None:
    archive: Archive[Notification] = Archive(opened=2)
    plain: list[Notification] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resting, "BLOCK", 3)
        patch.setattr(resting, "LOOSE", 2)
        for add, value in steps:
            if add or not plain:
                assert archive.append(event(value)) == len(plain)
                plain.append(event(value))
            else:
                place = value % len(plain)
                assert archive.edit(place) == plain[place]
                archive.edit(place).http_status = plain[place].http_status = value
        assert len(archive) == len(plain)
        assert list(archive) == plain
        assert archive[1:] == plain[1:]
        assert all(archive[place] == one for place, one in enumerate(plain))
        assert isinstance(archive.items, Archive) == (len(plain) > 6)


def test_many_jobs_are_packed_and_read_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "AWAKE", 3)
    jobs = JobList(Job("scan", str(number), states=[(number, "Pending", [])]) for number in range(5))
    assert jobs.packed
    assert [job.id for job in jobs] == ["0", "1", "2", "3", "4"]
    assert jobs[1] == jobs[1:2][0] == jobs[-4]
    jobs.sort([5, 4, 3, 2, 1])
    assert [job.states[0][0] for job in jobs] == [4, 3, 2, 1, 0]


def test_those_that_woke_longest_ago_are_put_to_rest() -> None:
    class Sleeper:
        def __init__(self) -> None:
            self.rested = 0

        def rest(self) -> None:
            self.rested += 1

    keeper = Resting(2)
    sleepers = [Sleeper() for _ in range(4)]
    for one in sleepers:
        keeper.awake(one)
    keeper.settle()
    assert [one.rested for one in sleepers] == [1, 1, 0, 0]


def test_an_image_without_request_wakes_no_job_that_is_over(play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand jobs at rest that it could be of, each woke for each such image: a tenth of a second."""
    monkeypatch.setattr(resting, "AWAKE", 2)
    for number in range(9):
        job = ScanJob(play, number)
        job.create("Platen")
        job.retrieve()
    open_one = ScanJob(play, 9)
    open_one.create("ADF")
    before = len(play.messages)
    asked = play.request("WS-Scan", "RetrieveImage", {}, client=CLIENT, server=SCANNER, port=80, stream=11)
    play.answer(asked, {"ScanData": None}, attachments=[picture(where="ScanData")])
    analysis = Analysis()
    woken = woken_by(analysis, play.messages, before, monkeypatch)
    assert woken <= 1
    monkeypatch.undo()
    analysis.finish()
    assert [len(job.images) for job in analysis.jobs] == [1] * 10


def test_an_event_wakes_no_subscription_that_is_not_its_own(play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those with the same sink: what tells them apart is known without."""
    monkeypatch.setattr(resting, "AWAKE", 2)
    for number in range(9):
        play.subscribe([f"Event{number}"], parameter=None, sink="http://192.0.2.10/sink", identifier=f"sub-{number}")
    before = len(play.messages)
    play.event("WS-DSP", "Event3", {}, to="http://192.0.2.10/sink")
    analysis = Analysis()
    woken = woken_by(analysis, play.messages, before, monkeypatch)
    assert woken == 1
    assert [one.subscription for one in analysis.notifications] == [4]


def test_items_that_are_changed_in_turn_open_no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to requests that wait since long, on connections that take turns: each opened 256 exchanges."""
    for name, value in (("BLOCK", 8), ("LOOSE", 3)):
        monkeypatch.setattr(resting, name, value)
    archive: Archive[Notification] = Archive(opened=2)
    for number in range(64):
        archive.append(event(number))
    opened: list[object] = []
    loads = pickle.loads
    monkeypatch.setattr(resting.pickle, "loads", lambda raw: opened.append(thing := loads(raw)) or thing)
    for turn in range(8):
        for block in range(7):
            archive.edit(8 * block + turn).http_status = turn
        if turn == 1:
            opened.clear()
    # Two blocks are open as they are.
    assert 5 * 6 <= len(opened) <= 7 * 6
    assert not any(isinstance(thing, list) for thing in opened)
    # Of the others three items are objects, of six that take turns.
    opened.clear()
    for block in range(7):
        archive.edit(8 * block + 7)
    assert len(opened) == 6
    opened.clear()
    assert archive[7].http_status == 7
    assert len(opened) == 1
    assert not isinstance(opened[0], list)
    assert [one.http_status for one in archive] == [*[number % 8 for number in range(56)], *[None] * 8]


def test_an_event_without_a_port_wakes_the_job_that_it_is_of(play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each of the sixteen that services of the scanner gave the same number."""
    monkeypatch.setattr(resting, "AWAKE", 2)
    for port in range(80, 90):
        ScanJob(play, 7, port=port).create("Platen")
    before = len(play.messages)
    ScanJob(play, 7).status("Processing")
    analysis = Analysis()
    woken = woken_by(analysis, play.messages, before, monkeypatch)
    assert woken <= 1
