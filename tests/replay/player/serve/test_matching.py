"""Which recorded exchange a request is: by what it asks, and by whose turn it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.player.serve.device import served_of
from replay.player.serve.question import Question, key_distance, leaf_distance
from replay.player.serve.story import Exchange, Progress, Story
from replay.scenario.files import load_scenario
from tests.support.serving import CAPTURES, scenario_folder


def story_of(folder: Path) -> Story:
    scenario, files = load_scenario(folder)
    return Story(scenario, files, frozenset(served_of(scenario, "")))


def never(exchange: Exchange) -> int:
    raise AssertionError("the judge was asked, though the requests are told apart without it")


def ask(story: Story, progress: Progress, question: Question) -> int:
    """Number of the exchange that a request gets; it happens."""
    found = story.choose(question, progress, lambda one: leaf_distance(one.question, question))
    assert found is not None
    progress.take(found)
    return found.number


@pytest.mark.parametrize("name", CAPTURES)
def test_what_was_recorded_gets_its_own_answer(name: str, tmp_path: Path) -> None:
    story = story_of(scenario_folder(name, tmp_path))
    progress = Progress()
    for exchange in story.exchanges:
        found = story.choose(exchange.question, progress, never)
        assert found is exchange
        assert progress.take(found)
    assert story.over(progress)


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Get, CreatePostScanJob, SendImage, EndPostScanJob, and polls until the job is over."""
    return story_of(scenario_folder("emulated/device-polls.pcap", tmp_path_factory.mktemp("polls")))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Three documents."""
    return story_of(scenario_folder("dsm-completed.pcapng", tmp_path_factory.mktemp("job")))


def number_of(story: Story, name: str) -> list[int]:
    return [one.number for one in story.by_name[name]]


def test_polls_go_on_with_the_story_and_stay_at_its_end(polls: Story) -> None:
    progress = Progress()
    numbers = number_of(polls, "GetPostScanJobElementsRequest")
    for exchange in polls.exchanges:
        if exchange.number < numbers[0]:
            ask(polls, progress, exchange.question)
    question = polls.by_number[numbers[0]].question
    got = [ask(polls, progress, question) for _ in range(len(numbers) + 3)]
    assert got == [*numbers, *[numbers[-1]] * 3]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_however_often_is_polled_the_answers_fit_the_point_that_is_reached(polls: Story, data: st.DataObject) -> None:
    question = polls.by_name["GetPostScanJobElementsRequest"][0].question
    progress = Progress()
    seen: list[int] = []
    for exchange in polls.exchanges:
        for _ in range(data.draw(st.integers(0, 3))):
            seen.append(ask(polls, progress, question))
            chosen = polls.by_number[seen[-1]]
            assert chosen.since <= progress.front or chosen.number == number_of(polls, question.name)[0]
        if not exchange.reading:
            assert ask(polls, progress, exchange.question) == exchange.number
    assert seen == sorted(seen)


@settings(max_examples=40, deadline=None)
@given(order=st.permutations([0, 1, 2]), repeats=st.integers(0, 2))
def test_documents_in_another_order_get_their_own_answers(job: Story, order: list[int], repeats: int) -> None:
    images = job.by_name["SendImageRequest"]
    progress = Progress()
    for place in order:
        for _ in range(repeats + 1):
            assert ask(job, progress, images[place].question) == images[place].number


def test_a_page_more_gets_the_last_answer(tmp_path: Path) -> None:
    story = story_of(scenario_folder("others/scan-debian-adf.pcap", tmp_path))
    pages = number_of(story, "RetrieveImageRequest")
    question = story.by_number[pages[0]].question
    progress = Progress()
    assert [ask(story, progress, question) for _ in range(5)] == [*pages, pages[-1], pages[-1]]


def test_sections_are_told_apart_in_any_order(tmp_path: Path) -> None:
    story = story_of(scenario_folder("others/scan-debian-adf.pcap", tmp_path))
    one, other, last = story.by_name["GetScannerElementsRequest"]
    assert key_distance(one.question, other.question) > 0
    progress = Progress()
    assert ask(story, progress, other.question) == other.number
    assert ask(story, progress, one.question) == one.number
    # The status once more before the scan is that before the scan; the one behind it comes behind it.
    assert ask(story, progress, other.question) == other.number
    for exchange in story.exchanges:
        if not exchange.reading:
            ask(story, progress, exchange.question)
    assert ask(story, progress, other.question) == last.number


def test_two_services_are_told_apart_by_their_paths() -> None:
    one, other = (Question("Get", "WS-Transfer", path, (), ()) for path in ("/device", "/device/scan"))
    assert key_distance(one, other) > 0


def test_an_operation_that_was_not_recorded(job: Story) -> None:
    assert job.choose(Question("CancelPostScanJobRequest", "WS-DSP", "/", (), ()), Progress(), never) is None


def test_where_nothing_else_tells_the_nearest_is_taken(tmp_path: Path) -> None:
    story = story_of(scenario_folder("scan-pull-events.pcapng", tmp_path))
    one, other = story.by_name["CreateScanJobRequest"]
    assert one.question.leaves != other.question.leaves
    assert ask(story, Progress(), other.question) == other.number
    assert story.alike(other.question) == [other]
