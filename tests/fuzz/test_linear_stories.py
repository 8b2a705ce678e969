"""Stories told to cost, given to the analysis: of four times as many messages it may make little more than four times
the work. As :mod:`tests.fuzz.test_linear`, which looks at single texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dissector.analysis import Analysis
from dissector.analysis.exchanges import Exchanges
from dissector.analysis.model import Job
from dissector.analysis.scan_rules import _retrieval
from dissector.analysis.scan_story import ScanStory
from dissector.analysis.scanjobs import ScanJobs
from dissector.analysis.subscriptions import Subscriptions
from dissector.base.findings import Finding, Severity
from dissector.cli.choose import same_job
from dissector.cli.concerns import concerning
from tests.fuzz.proportion import grows_no_faster
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import Play


def images_of_one_job(play: Play, count: int) -> int:
    """All of them with the same DocumentId."""
    job = DsmJob(play)
    job.create()
    for _ in range(count):
        job.send(1)
    job.end()
    return 0


def announcements_of_one_scan(play: Play, count: int) -> int:
    """To as many destinations."""
    job = ScanJob(play)
    for number in range(count):
        job.available("one", f"destination {number}")
    return 0


def cancels_of_one_job(play: Play, count: int) -> int:
    """Which is never told to be over."""
    job = ScanJob(play)
    job.create("ADF")
    for _ in range(count):
        job.status("Processing")
    for _ in range(count):
        job.cancel()
    return len(play.messages)


def headers_that_name_subscriptions(play: Play, count: int) -> int:
    """Each event has a header block of each subscription."""
    names = [("Identifier", f"sink {number}") for number in range(count)]
    for _, text in names:
        play.subscribe(["PostScanJobStatusEvent"], parameter=text, identifier=text)
    before = len(play.messages)
    for _ in range(3):
        play.event("WS-DSP", "PostScanJobStatusEvent", {}, parameters=names)
    return before


STORIES: dict[str, tuple[Callable[[Play, int], int], int]] = {
    "images of one job": (images_of_one_job, 1200),
    "announcements of one scan": (announcements_of_one_scan, 600),
    "cancels of one job": (cancels_of_one_job, 1600),
    "headers that name subscriptions": (headers_that_name_subscriptions, 1200),
}
"""What is told → who tells it, how often for the larger one. They give how many messages are read before the clock
runs; it runs to the end of the analysis."""


@pytest.mark.parametrize("name", STORIES)
def test_cost_grows_with_size(name: str) -> None:
    tell, size = STORIES[name]

    def told(count: int) -> Callable[[], object]:
        play = Play()
        before = tell(play, count)
        analysis = Analysis()
        for message in play.messages[:before]:
            analysis.feed(message)

        def read() -> None:
            for message in play.messages[before:]:
                analysis.feed(message)
            analysis.finish()

        return read

    grows_no_faster(told, size)


def test_events_of_jobs_of_the_same_number() -> None:
    """A device that counts its jobs badly: ``--job`` means all of them."""

    def told(count: int) -> Callable[[], object]:
        play = Play()
        for _ in range(count):
            ScanJob(play, 7).create()
        analysis = Analysis()
        for message in play.messages:
            analysis.feed(message)
        jobs = analysis.jobs
        assert len(jobs) == count
        return lambda: [same_job("8", jobs) for _ in range(count)]

    grows_no_faster(told, 800)


def test_findings_beside_jobs_of_the_same_number() -> None:
    """Each is compared with when they ran."""
    lost = Finding("tcp.gap", Severity.WARN, "bytes are missing", (10**9,), hosts=("192.0.2.1", "192.0.2.2"))

    def told(count: int) -> Callable[[], object]:
        jobs = [Job("scan", "7", device="192.0.2.1", server="192.0.2.2", created=1) for _ in range(count)]
        for number, job in enumerate(jobs):
            job.first_frame, job.last_frame, job.completed_by = 2 * number, 2 * number, "event"
        return lambda: concerning([lost] * count, jobs)

    grows_no_faster(told, 3000)


def _story(play: Play) -> ScanStory:
    """The only job, fed."""
    followed, exchanges = ScanJobs(Subscriptions()), Exchanges()
    for message in play.messages:
        followed.feed(message, exchanges.feed(message))
    return followed._stories[0]


def test_images_with_the_tokens_of_other_jobs() -> None:
    def told(count: int) -> Callable[[], object]:
        play = Play()
        job = ScanJob(play)
        job.create("ADF")
        for _ in range(count):
            job.retrieve(token="other")
        story = _story(play)
        return lambda: _retrieval(story)

    grows_no_faster(told, 3000)


def test_whether_a_job_is_over() -> None:
    """Asked for each early state that is told of its number: it may be another job."""

    def told(count: int) -> Callable[[], object]:
        play = Play()
        job = ScanJob(play)
        job.create("ADF")
        for _ in range(count):
            job.retrieve()
            job.status("Processing")
        story = _story(play)
        return lambda: [story.over for _ in range(count)]

    grows_no_faster(told, 1000)
