"""Whose run of the story a request belongs to, and what is handed out in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from replay.base.ids import Ids
from replay.player.serve.device import served_of
from replay.player.serve.question import Question
from replay.player.serve.session import AT_ONCE, MAX_AGE, Maker, Run, Runs
from replay.player.serve.story import Story
from replay.scenario.files import load_scenario
from replay.scenario.model import Bound
from tests.support.serving import Clock, scenario_folder, story_of

HOST = "192.0.2.1"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return story_of("scan-push.pcapng", tmp_path_factory.mktemp("push"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runs(story: Story, clock: Clock) -> Runs:
    return Runs(story, frozenset({"scanner"}), ids=Ids(1), given={}, now=clock, limit=20)


def asked(story: Story, name: str) -> Question:
    return story.by_name[name][0].question


def happen(runs: Runs, story: Story, name: str, port: int, *carried: Run, host: str = HOST) -> Run:
    """A request comes, and gets its answer."""
    question = asked(story, name)
    run = runs.find(question, carried, Endpoint(host, port))
    found = story.choose(question, run.progress, lambda one: 0)
    assert found is not None
    run.progress.take(found)
    return run


def test_a_run_goes_on_over_connections_of_one_host(runs: Runs, story: Story) -> None:
    run = happen(runs, story, "Subscribe", 1)
    assert happen(runs, story, "CreateScanJobRequest", 2) is run
    assert happen(runs, story, "RetrieveImageRequest", 3) is run


def test_what_opens_the_story_again_begins_another_run(runs: Runs, story: Story) -> None:
    one = happen(runs, story, "Subscribe", 1)
    other = happen(runs, story, "Subscribe", 1)
    assert other is not one
    assert runs.count == 2


def test_a_story_that_is_over_is_not_gone_on_with(runs: Runs, story: Story) -> None:
    run = happen(runs, story, "Subscribe", 1)
    happen(runs, story, "CreateScanJobRequest", 1)
    happen(runs, story, "RetrieveImageRequest", 1)
    assert story.over(run.progress)
    assert happen(runs, story, "RetrieveImageRequest", 1) is not run
    assert happen(runs, story, "RetrieveImageRequest", 9, run) is run


def test_who_leaves_before_the_last_question_leaves_no_story_to_go_on_with(tmp_path: Path, clock: Clock) -> None:
    """Two clients in turn scan all sheets; the first does not ask for the state of the empty feeder, as recorded."""
    scenario, files = load_scenario(scenario_folder("others/scan-debian-adf.pcap", tmp_path))
    story = Story(scenario, files, frozenset(served_of(scenario, "")))
    runs = Runs(story, frozenset(served_of(scenario, "")), ids=Ids(1), given={}, now=clock)
    first, *others, last = [one.question for one in story.exchanges if one.step.name != "Get"]
    assert last.name == first.name
    ours: list[Run] = []
    for question in (first, *others):
        run = runs.find(question, ours[-1:], Endpoint(HOST, 1))
        found = story.choose(question, run.progress, lambda one: 0)
        assert found is not None
        run.progress.take(found)
        ours.append(run)
    assert {run.number for run in ours} == {1}
    assert story.over(run.progress)
    assert runs.find(first, (), Endpoint(HOST, 2)) is not run
    # What was not asked yet still belongs to the first.
    assert runs.find(last, (), Endpoint(HOST, 1)) is run


def test_connections_tell_clients_of_one_host_apart(runs: Runs, story: Story) -> None:
    one, other = happen(runs, story, "Subscribe", 1), happen(runs, story, "Subscribe", 2)
    assert happen(runs, story, "CreateScanJobRequest", 2) is other
    assert happen(runs, story, "CreateScanJobRequest", 1) is one


def test_without_connections_it_is_the_turn_of_who_was_quiet_longest(runs: Runs, story: Story, clock: Clock) -> None:
    one = happen(runs, story, "Subscribe", 1)
    clock.now += 1
    other = happen(runs, story, "Subscribe", 2)
    clock.now += 1
    assert happen(runs, story, "CreateScanJobRequest", 3) is one
    clock.now += 1
    assert happen(runs, story, "CreateScanJobRequest", 4) is other


def test_a_run_that_was_left_long_ago_is_not_taken_up(runs: Runs, story: Story, clock: Clock) -> None:
    left = happen(runs, story, "Subscribe", 1)
    clock.now += AT_ONCE + 1
    run = happen(runs, story, "Subscribe", 2)
    assert happen(runs, story, "CreateScanJobRequest", 3) is run is not left


def test_other_hosts_have_other_runs(runs: Runs, story: Story) -> None:
    one = happen(runs, story, "Subscribe", 1)
    assert happen(runs, story, "CreateScanJobRequest", 1, host="192.0.2.2") is not one


def test_what_was_handed_out_is_known_by_its_element_or_its_length(runs: Runs, story: Story) -> None:
    one, other = happen(runs, story, "Subscribe", 1), happen(runs, story, "Subscribe", 1)
    for run in (one, other):
        job, token = run.values.now["job_id"], run.values.now["destination_token"]
        assert runs.holder("JobId", job) == (run, "job_id")
        assert runs.holder("ImagesToTransfer", job) is None
        assert runs.holder("VendorsOwn", f"{{{token.upper()}}}") == (run, "destination_token")
    assert one.values.now["device_uuid"] == other.values.now["device_uuid"] if "device_uuid" in one.values.now else True


def test_what_is_handed_out_again_is_another_and_the_old_one_is_known(runs: Runs, story: Story) -> None:
    run = happen(runs, story, "Subscribe", 1)
    before = run.values.now["job_token"]
    run.values.renew(3, "answer")
    runs.remember(run)
    after = run.values.now["job_token"]
    assert before != after
    assert runs.holder("JobToken", before) == runs.holder("JobToken", after) == (run, "job_token")


def test_runs_are_bounded_in_number_and_age(runs: Runs, story: Story, clock: Clock) -> None:
    first = happen(runs, story, "Subscribe", 1)
    token = first.values.now["destination_token"]
    for number in range(2, 100):
        happen(runs, story, "Subscribe", number)
        assert len(runs.all()) <= 20
    assert runs.holder("DestinationToken", token) is None
    clock.now += MAX_AGE + 1
    happen(runs, story, "Subscribe", 100)
    assert len(runs.all()) == 1
    assert len(runs._by_text) == len(runs.all()[0].names)


@pytest.mark.parametrize(
    ("recorded", "kind", "form"),
    [
        ("5", "identifier", r"5"),
        ("0007", "identifier", r"0007"),
        ("tok1", "token", r"tok1-[0-9a-f]{8}"),
        ("00ff00ff00ff00ff", "token", r"[0-9a-f]{16}"),
        ("urn:uuid:c9d4d020-3c6e-4096-870d-6796814d31e8", "identifier", r"urn:uuid:[0-9a-f-]{36}"),
        ("anything", "message_id", r"urn:uuid:[0-9a-f-]{36}"),
    ],
)
def test_what_is_made_has_the_form_of_what_was_recorded(recorded: str, kind: str, form: str) -> None:
    import re

    maker = Maker(Ids(1))
    value = Bound("x", recorded, "scanner", kind, step=3, path="JobId")
    one, other = maker.fresh(value), maker.fresh(value)
    assert re.fullmatch(form, one)
    assert one != other


def test_a_device_is_the_same_for_all_and_tomorrow_and_not_the_recorded_one() -> None:
    value = Bound("x", "urn:uuid:c9d4d020-3c6e-4096-870d-6796814d31e8", "scanner", "uuid", step=1, path="Address")
    assert Maker(Ids(1)).fresh(value) == Maker(Ids(2)).fresh(value) != value.recorded
    value.step = 0
    assert Maker(Ids(1)).fresh(value) == value.recorded


def test_a_given_value_that_there_is_none_of(story: Story, clock: Clock) -> None:
    with pytest.raises(UsageError, match="the scenario has no such value"):
        Runs(story, frozenset({"scanner"}), ids=Ids(1), given={"nonsense": "1"}, now=clock)
