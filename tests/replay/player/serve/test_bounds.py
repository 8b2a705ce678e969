"""What a virtual device keeps of its clients is bounded: each bound at its edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.soap.build import build_envelope
from replay.base.ids import Ids
from replay.devices.eventing import MAX_PARAMETERS
from replay.net.server import HttpRequest
from replay.player.serve import device as device_module
from replay.player.serve import question as question_module
from replay.player.serve import session as session_module
from replay.player.serve.hearing import LONGEST, MAX_COOKIES, Heard, Hearing
from replay.player.serve.question import question_of
from replay.player.serve.session import AT_ONCE, MAX_AGE, MAX_VALUE, NEAR, UNSPECIFIED, Run, Runs
from replay.player.serve.story import Story
from replay.player.serve.tally import MAX_NAME, MAX_TOLD, Tally
from replay.soap.caller import action_of, read_message
from replay.soap.compose import http_request, pack
from tests.support.judging import message
from tests.support.loopback import ANYWHERE, received
from tests.support.serving import Clock, scenario_folder, story_of

HOST = "192.0.2.1"
STRANGE = "8a2a4d3e-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return story_of("dsm-completed.pcapng", tmp_path_factory.mktemp("job"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runs(story: Story, clock: Clock) -> Runs:
    return Runs(story, frozenset({"server"}), ids=Ids(1), given={}, now=clock, limit=3)


def opened(runs: Runs, story: Story, port: int = 1) -> Run:
    """A run that a Subscribe opened, and that waits for a CreatePostScanJob."""
    (subscribe,) = story.by_name["Subscribe"]
    run = runs.find(subscribe.question, (), Endpoint(HOST, port))
    run.progress.take(subscribe)
    return run


# -- runs ------------------------------------------------------------------------------------------------------------


def test_one_run_more_than_are_remembered_forgets_the_one_that_was_quiet_longest(runs: Runs, story: Story) -> None:
    three = [opened(runs, story) for _ in range(3)]
    token = three[0].values.now["job_token"]
    assert runs.all() == three
    assert runs.holder("JobToken", token) is not None
    fourth = opened(runs, story)
    assert runs.all() == [*three[1:], fourth]
    assert runs.holder("JobToken", token) is None


@pytest.mark.parametrize(("passed", "remembered"), [(MAX_AGE - 1, True), (MAX_AGE, True), (MAX_AGE + 1, False)])
def test_a_run_is_forgotten_when_it_was_quiet_too_long(
    runs: Runs, story: Story, clock: Clock, passed: float, remembered: bool
) -> None:
    first = opened(runs, story)
    clock.now += passed
    opened(runs, story)
    assert (first in runs.all()) == remembered


@pytest.mark.parametrize(("passed", "turn"), [(AT_ONCE - 1, 0), (AT_ONCE, 0), (AT_ONCE + 1, 1)])
def test_runs_go_on_at_once_for_so_many_seconds(
    runs: Runs, story: Story, clock: Clock, passed: float, turn: int
) -> None:
    two = [opened(runs, story, port) for port in (1, 2)]
    clock.now += passed
    create = story.by_name["CreatePostScanJobRequest"][0].question
    assert runs.find(create, (), Endpoint(HOST, 3)) is two[turn]


def test_only_the_last_runs_of_a_host_are_looked_at(story: Story, clock: Clock) -> None:
    runs = Runs(story, frozenset({"server"}), ids=Ids(1), given={}, now=clock, limit=2 * NEAR)
    many = [opened(runs, story, port) for port in range(1, NEAR + 2)]
    create = story.by_name["CreatePostScanJobRequest"][0].question
    # All go on at once: it is the turn of the one that was quiet longest, of those that are looked at.
    assert runs.find(create, (), Endpoint(HOST, 9999)) is many[1]


@pytest.mark.parametrize("most", [2, 3, 4])
def test_of_the_texts_handed_out_in_a_run_the_oldest_are_forgotten(
    runs: Runs, story: Story, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(session_module, "MAX_TEXTS", most)
    run = opened(runs, story)
    (name,) = [value.name for value, element in runs._tokens if element == "JobToken"]
    others = len(runs._tokens) - 1
    step = story.scenario.values[name].step
    tokens = [run.values.now[name]]
    for _ in range(4):
        run.values.renew(step, "answer")
        runs.remember(run)
        tokens.append(run.values.now[name])
    known = [runs.holder("JobToken", one) is not None for one in tokens]
    kept = max(most - others, 1)
    assert known == [False] * (len(tokens) - kept) + [True] * kept
    assert len(run.names) == max(most, others + 1)


@pytest.mark.parametrize(("length", "kept"), [(MAX_VALUE - 1, True), (MAX_VALUE, True), (MAX_VALUE + 1, False)])
def test_a_long_value_of_a_client_is_not_kept(runs: Runs, story: Story, length: int, kept: bool) -> None:
    run = opened(runs, story)
    (create,) = story.by_name["CreatePostScanJobRequest"]
    recorded = story.message(create.step)
    assert recorded is not None
    run.values.hear(create.number, recorded, "m" * length)
    (name,) = run.values._ids_born[create.number]
    assert run.values.now[name] == ("m" * length if kept else UNSPECIFIED)


@pytest.mark.parametrize(("number", "told"), [(MAX_PARAMETERS, True), (MAX_PARAMETERS + 1, False)])
def test_a_subscription_of_too_much_is_told_nothing(tmp_path: Path, number: int, told: bool) -> None:
    device = device_module.VirtualDevice(scenario_folder("dsm-completed.pcapng", tmp_path))
    run = opened(device.runs, device.story)
    parameters = {f"{{urn:x}}p{at}": "" for at in range(number)}
    to = {"address": "http://127.0.0.1:9/", "reference_parameters": parameters}
    body = build("wse:Subscribe", {"delivery": {"notify_to": to}})
    xml = build_envelope(body, action=action_of("Subscribe", "WS-Eventing"), to="urn:x", message_id="urn:m")
    (exchange,) = device.story.by_name["Subscribe"]
    device.delivery.subscribed(run, exchange.number, message(xml), Endpoint(HOST, 1), {})
    assert (exchange.number in run.told) is told


# -- requests --------------------------------------------------------------------------------------------------------


def end(token: str, message_id: str = "urn:uuid:1", *, filler: int = 0, path: str = "/", cookie: str = "") -> bytes:
    """EndPostScanJob, as long as it should be."""
    body = build("dsp:EndPostScanJobRequest", {"job_token": token})
    body.set("filler", "x" * filler)
    xml = build_envelope(body, action=action_of("EndPostScanJobRequest", "WS-DSP"), to="urn:x", message_id=message_id)
    headers = [("Cookie", cookie)] if cookie else []
    return b"".join(http_request(path, "x", pack(xml, [], Ids(1)), headers=headers).pieces)


def request(data: bytes) -> HttpRequest:
    return HttpRequest(received(data), ANYWHERE, Endpoint(HOST, 1))


def hear(hearing: Hearing, data: bytes) -> Heard:
    heard = hearing.hear(request(data))
    assert isinstance(heard, Heard)
    return heard


@pytest.mark.parametrize(("more", "known"), [(-1, True), (0, True), (1, False)])
def test_a_long_envelope_is_not_remembered(runs: Runs, story: Story, more: int, known: bool) -> None:
    token, hearing = opened(runs, story).values.now["job_token"], Hearing(story, runs)
    filler = LONGEST - len(end(token).partition(b"\r\n\r\n")[2]) + more
    hear(hearing, end(token, "urn:uuid:1", filler=filler))
    assert hear(hearing, end(token, "urn:uuid:2", filler=filler)).known == known


@pytest.mark.parametrize(("more", "known"), [(-1, True), (0, True), (1, False)])
def test_a_long_head_is_not_remembered(runs: Runs, story: Story, more: int, known: bool) -> None:
    token, hearing = opened(runs, story).values.now["job_token"], Hearing(story, runs)
    path = "/" + "p" * (LONGEST - len(received(end(token)).head) + more)
    hear(hearing, end(token, "urn:uuid:1", path=path))
    assert hear(hearing, end(token, "urn:uuid:2", path=path)).known == known


def test_an_image_in_the_text_is_heard_again_as_the_first_time(runs: Runs, story: Story) -> None:
    token, hearing = opened(runs, story).values.now["job_token"], Hearing(story, runs)
    for message_id in ("urn:uuid:1", "urn:uuid:2"):
        body = build("dsp:SendImageRequest", {
            "job_token": token, "document_description": {"document_id": 1, "format": "png"}, "image_data": "iVBORw==",
        })  # fmt: skip
        xml = build_envelope(body, action=action_of("SendImageRequest", "WS-DSP"), to="urn:x", message_id=message_id)
        heard = hear(hearing, b"".join(http_request("/", "x", pack(xml, [], Ids(1))).pieces))
        assert heard.message_id == message_id
        assert [size for _, size in heard.images] == [4]


@pytest.mark.parametrize(("before", "found"), [(MAX_COOKIES - 2, 1), (MAX_COOKIES - 1, 1), (MAX_COOKIES, 0)])
def test_so_many_cookies_are_looked_at(runs: Runs, story: Story, before: int, found: int) -> None:
    token = opened(runs, story).values.now["job_token"]
    came = request(end(STRANGE, cookie="c=none; " * before + f"last={token}"))
    read = read_message(came.http)
    assert read is not None
    assert len(Hearing(story, runs).understood(came, read).runs) == found


@pytest.mark.parametrize(("most", "looked_at"), [(3, 3), (4, 4), (5, 4)])
def test_so_many_texts_of_a_request_are_looked_at(monkeypatch: pytest.MonkeyPatch, most: int, looked_at: int) -> None:
    monkeypatch.setattr(question_module, "MAX_LEAVES", most)
    names = [f"wscn:N{number}" for number in range(4)]
    body = build("wscn:GetScannerElementsRequest", {"requested_elements": {"name": names}})
    xml = build_envelope(body, action=action_of("GetScannerElementsRequest", "WS-Scan"), to="urn:x", message_id="urn:m")
    asked = question_of(message(xml), "/", lambda name, text: text)
    assert len(asked.leaves) == looked_at


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_judged_forms_are_remembered_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, kept: int
) -> None:
    monkeypatch.setattr(device_module, "KNOWN_FORMS", most)
    device = device_module.VirtualDevice(scenario_folder("dsm-completed.pcapng", tmp_path))
    run = opened(device.runs, device.story)
    (exchange,) = device.story.by_name["EndPostScanJobRequest"]
    for path, filler in (("/1", 0), ("/2", 0), ("/3", LONGEST)):
        came = request(end(run.values.now["job_token"], filler=filler, path=path))
        heard = device._hearing.hear(came)
        assert isinstance(heard, Heard)
        device._compare(exchange, heard, run, came)
    # The long one is judged and not remembered.
    assert len(device._known) == kept


# -- the account -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "more"), [(MAX_TOLD - 1, 0), (MAX_TOLD, 0), (MAX_TOLD + 1, 1)])
def test_entries_of_each_kind_are_counted_for_themselves(number: int, more: int) -> None:
    tally = Tally()
    tally.differs(3, "SendImageRequest", "DocumentId is 9, was 3")
    for _ in range(number):
        tally.lacks("n" * (MAX_NAME + 1), "ActionNotSupported")
    assert len(tally.unknown) == min(number, MAX_TOLD)
    listed = "n" * MAX_NAME + f" ({min(number, MAX_TOLD)})" + (f" (and {more} more)" if more else "")
    assert tally.lines(1, [], [])[1:] == [
        f"the recording does not have: {listed}", "not as recorded: SendImageRequest: DocumentId is 9, was 3",
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "more"), [(1, 0), (2, 1), (MAX_TOLD, MAX_TOLD - 1), (MAX_TOLD + 2, MAX_TOLD + 1)])
def test_how_many_more_requests_differ(number: int, more: int) -> None:
    tally = Tally()
    for _ in range(number):
        tally.differs(3, "SendImageRequest", "x")
    assert tally.lines(1, [], [])[1] == "not as recorded: SendImageRequest: x" + (f" (and {more} more)" if more else "")
    assert not tally.clean
