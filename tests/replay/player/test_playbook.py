"""The player against scripted peers, by a clock that stands still: order, deadlines, what comes late or too often."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dissector.http.model import HttpMessage
from replay.net.client import HttpClient
from replay.player import play as play_module
from replay.player.play import Result
from replay.scenario.extract import extract
from replay.scenario.files import save_scenario
from tests.support import wsd
from tests.support.playbook import Answers, Came, Gets, Passes, Tells, play
from tests.support.stories import PostScan, Story
from tests.support.wire import frames_of, write_pcap

STATUS, END = "PostScanJobStatusEvent", "PostScanJobEndStateEvent"


def written(folder: Path, story: Story) -> Path:
    """A story as the folder of a scenario."""
    capture = folder / "story.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    scenario, contents = extract(capture)
    save_scenario(scenario, contents, folder / "scenario")
    return folder / "scenario"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subscribe, create, an event, an image 2 s later, the end; 3 s later an event, and the last one after 4 s more."""
    story = Story()
    dsm = PostScan(story, wsd.Ids(5))
    dsm.subscribe()
    filters = [wsd.FilterSpec(wsd.FILESHARE)]
    token = dsm.create(filters)
    dsm.status(token, "Creating", [wsd.FilterSpec(wsd.FILESHARE, "Pending")], 0, reason="None")
    dsm.image(token, 1, "jfif", b"\xff\xd8\xff\xe0" + b"x" * 400, pause=2.0)
    dsm.finish(token)
    dsm.status(token, "Processing", [wsd.FilterSpec(wsd.FILESHARE, "Processing")], 1, reason="None", pause=3.0)
    dsm.end(token, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 1, pause=4.0)
    return written(tmp_path_factory.mktemp("job"), story)


BEGIN = [Gets("Subscribe"), Answers(), Gets("CreatePostScanJobRequest"), Answers()]
SENT = [Gets("SendImageRequest"), Answers(), Gets("EndPostScanJobRequest"), Answers()]
WHOLE = [*BEGIN, Tells(STATUS), *SENT, Tells(STATUS, 2), Tells(END)]


def told(result: Result) -> list[tuple[int, str]]:
    """Step and outcome of what was not as recorded."""
    return [(one.number, one.outcome) for one in result.steps if one.outcome != "same"]


def text_of(result: Result) -> str:
    """What is said of the first of these."""
    return next(one.text for one in result.steps if one.outcome != "same")


def replaced(was: str, now: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert was.encode() in data
        return data.replace(was.encode(), now.encode())

    return change


def test_a_story_that_goes_as_recorded_passes_at_once(job: Path) -> None:
    result, book = play(job, WHOLE)
    assert told(result) == []
    assert len(result.steps) == 7
    assert book.statuses == [202, 202, 202]
    assert book.clock.monotonic() == 0.0


def test_another_token_is_taken_over_everywhere(job: Path) -> None:
    scenario = play(job, [], ends=False)[1].scenario
    token, new = scenario.values["job_token"].recorded, "5ce1c1c1-0000-4000-8000-00000000beef"
    fresh = replaced(token, new)
    script = [
        *BEGIN[:3], Answers(fresh), Tells(STATUS, change=fresh), *SENT, Tells(STATUS, 2, fresh),
        Tells(END, change=fresh),
    ]  # fmt: skip
    result, book = play(job, script)
    assert told(result) == []
    sent = [one.get("JobToken") for one in book.asked if one.get("JobToken")]
    assert sent == [new, new]
    stale, _ = play(job, [*script[:-1], Tells(END)])
    assert told(stale) == [(7, "different")]


def test_what_was_recorded_before_a_step_is_awaited_before_it(job: Path) -> None:
    result, book = play(job, [*BEGIN, Passes(3.0)], ends=False)
    assert [one.name for one in book.asked] == ["Subscribe", "CreatePostScanJobRequest"]
    result, book = play(job, [*BEGIN, Passes(3.0), Tells(STATUS), *SENT, Tells(STATUS, 2), Tells(END)])
    assert told(result) == []


def test_a_missing_event_is_a_difference_and_the_story_goes_on(job: Path) -> None:
    result, _ = play(job, [*BEGIN, Passes(5.1), *SENT, Tells(STATUS, 2), Tells(END)])
    assert told(result) == [(3, "missing")]
    assert "did not come within 5 s of its time" in text_of(result)


@pytest.mark.parametrize(("after", "outcomes"), [(8.9, []), (9.1, [(7, "missing")])])
def test_a_deadline_is_relative_to_the_recorded_time(job: Path, after: float, outcomes: list[tuple[int, str]]) -> None:
    # Recorded 4 s after the event before it, and 5 s of slack.
    script = [*WHOLE[:-1], Passes(after)]
    result, _ = play(job, script if outcomes else [*script, Tells(END)])
    assert told(result) == outcomes


def test_an_event_after_its_deadline_is_late(job: Path) -> None:
    script = [*BEGIN, Passes(5.1), Gets("SendImageRequest"), Tells(STATUS), Answers(), *SENT[2:], Tells(STATUS, 2)]
    result, _ = play(job, [*script, Tells(END)])
    assert told(result) == [(3, "late")]


def test_an_event_that_comes_twice(job: Path) -> None:
    result, book = play(job, [*WHOLE[:-2], Tells(STATUS, 2), Tells(STATUS, 2), Tells(END)])
    assert told(result) == [(0, "doubled")]
    assert book.statuses == [202] * 4


def test_an_event_too_many(job: Path) -> None:
    another = replaced("MessageID>urn:uuid:", "MessageID>urn:uuid:0")
    result, _ = play(job, [*WHOLE[:-1], Tells(STATUS, 2, another), Tells(END)])
    assert told(result) == [(0, "unexpected")]
    assert "has not so many of it" in text_of(result)


def test_a_request_that_the_recording_does_not_have_is_refused(job: Path) -> None:
    other = replaced("PostScanJobStatusEvent", "PostScanJobOtherEvent")
    result, book = play(job, [*BEGIN, Tells(STATUS, change=other), Tells(STATUS), *SENT, Tells(STATUS, 2), Tells(END)])
    assert told(result) == [(0, "unexpected")]
    assert book.statuses[0] == 400


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f"<wse:Status>{wsd.WSE}/SourceShuttingDown</wse:Status><wse:Reason>no paper</wse:Reason>",
         "SourceShuttingDown (no paper)"),
        ("<wse:Code>wse:DeliveryFailure</wse:Code>", "DeliveryFailure"),
        ("", "no status"),
    ],
)  # fmt: skip
def test_the_end_of_a_subscription_that_was_not_recorded_is_accepted(job: Path, said: str, words: str) -> None:
    def ending(data: bytes) -> bytes:
        end = wsd.envelope(
            f"{wsd.WSE}/SubscriptionEnd", f"<wse:SubscriptionEnd>{said}</wse:SubscriptionEnd>",
            message_id="urn:uuid:9", to="http://192.0.2.9/", namespaces=wsd.ns(wse=wsd.WSE),
        )  # fmt: skip
        return data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + end

    result, book = play(job, [*BEGIN, Tells(STATUS, change=ending), Tells(STATUS), *SENT, Tells(STATUS, 2), Tells(END)])
    assert told(result) == [(0, "unexpected")]
    assert text_of(result) == f"the subscription was ended: {words}; the recording has no such message"
    assert book.statuses == [202] * 4


def test_the_first_difference_ends_the_run_unless_it_keeps_going(job: Path) -> None:
    aborted = replaced(">Creating<", ">Aborted<")
    result, book = play(job, [*BEGIN, Tells(STATUS, change=aborted)], keep_going=False)
    assert told(result) == [(3, "different")]
    assert book.asked[-1].name == "CreatePostScanJobRequest"


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 2.0), (2.0, 1.0), (0.5, 4.0)])
def test_the_recorded_pace_by_a_factor(job: Path, speed: float, seconds: float) -> None:
    a_bit = Passes(0.01 / speed)
    script = [*BEGIN[:2], a_bit, *BEGIN[2:], a_bit, Tells(STATUS)]
    _, book = play(job, [*script, Passes(seconds - 0.1)], ends=False, speed=speed)
    assert book.asked[-1].name == "CreatePostScanJobRequest"
    _, book = play(job, [*script, Passes(seconds + 0.1), Gets("SendImageRequest")], ends=False, speed=speed)
    assert book.asked[-1].name == "SendImageRequest"


def test_what_is_being_answered_when_nothing_more_is_due_is_judged_too(job: Path, tmp_path: Path) -> None:
    slow = shutil.copytree(job, tmp_path / "slow")
    before, took, after = (slow / "scenario.yaml").read_text().rpartition("took: ")
    (slow / "scenario.yaml").write_text(before + took + "2.5" + after[after.index("\n") :])
    a_bit, aborted = Passes(0.01), replaced(">Completed<", ">Aborted<")
    script = [
        *BEGIN[:2], a_bit, *BEGIN[2:], a_bit, Tells(STATUS), Came(3), Passes(2.1), *SENT[:2], a_bit, *SENT[2:],
        Passes(3.1), Tells(END, change=aborted), Came(7), Tells(STATUS, 2), Came(6), Passes(2.6),
    ]  # fmt: skip
    result, _ = play(slow, script, speed=1.0)
    assert told(result) == [(7, "different")]
    assert len(result.steps) == 7


@pytest.mark.parametrize(("number", "listed"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_messages_too_many_are_listed_up_to_a_number(
    job: Path, monkeypatch: pytest.MonkeyPatch, number: int, listed: int
) -> None:
    """The peer may send them without end: of more, one line says so."""
    monkeypatch.setattr(play_module, "MAX_EXTRA", 2)
    monkeypatch.setattr(play_module, "MAX_NAME", 10)
    result, book = play(job, [*BEGIN, *[Tells(STATUS)] * (1 + number), *SENT, Tells(STATUS, 2), Tells(END)])
    extra = [one for one in result.steps if one.number == 0]
    assert [(one.name, one.outcome) for one in extra] == [(STATUS[:10], "doubled")] * listed
    assert [one.text.endswith("further ones are not listed") for one in extra] == [False, False, True][:listed]
    assert book.statuses == [202] * (3 + number)


def test_a_peer_that_falls_silent_is_a_difference(job: Path) -> None:
    nothing = Answers(lambda data: b"")
    result, _ = play(job, [*BEGIN, Tells(STATUS), Gets("SendImageRequest"), nothing, Passes(31), *SENT[2:],
                           Tells(STATUS, 2), Tells(END)])  # fmt: skip
    assert told(result) == [(4, "different")]
    assert "no answer came" in text_of(result)
    assert result.unreachable == ""


@pytest.mark.parametrize(("given", "wanted"), [(None, [600.0, 600.0, 900.0, 600.0]), (5.0, [5.0] * 4)])
def test_what_was_slow_in_the_recording_may_be_so_again(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: float | None, wanted: list[float]
) -> None:
    folder = tmp_path / "slow"
    shutil.copytree(job, folder)
    text = (folder / "scenario.yaml").read_text()
    before, step, after = text.partition("step: SendImageRequest")
    (folder / "scenario.yaml").write_text(before + step + re.sub(r"took: [\d.e-]+", "took: 300", after, count=1))
    exchange, allowed = HttpClient.exchange, []

    async def watched(self: HttpClient, *args: Any, longest: float | None = None, **more: Any) -> HttpMessage:
        allowed.append(longest)
        return await exchange(self, *args, longest=longest, **more)

    monkeypatch.setattr(HttpClient, "exchange", watched)
    result, _ = play(folder, WHOLE, max_time=given)
    assert told(result) == []
    # None: of the events that the peer tells.
    assert [one for one in allowed if one is not None] == wanted


def test_a_cut_answer_is_a_difference(job: Path) -> None:
    cut = Answers(raw=lambda data: data.replace(b"Content-Length: ", b"Content-Length: 9"))
    result, _ = play(job, [*BEGIN[:3], cut, Passes(31)], keep_going=False)
    assert told(result) == [(2, "different")]


@pytest.mark.parametrize("kept", [0, 1, 60, 400, -1])
def test_an_answer_is_told_as_cut_wherever_that_is(job: Path, kept: int) -> None:
    """And not as one that cannot be read: that is what comes of it."""

    def ends(data: bytes) -> bytes:
        body = data.index(b"\r\n\r\n") + 4
        return data[: body + kept] if kept >= 0 else data[:kept]

    result, _ = play(job, [*BEGIN[:3], Answers(raw=ends), Passes(31)], keep_going=False)
    assert told(result) == [(2, "different")]
    assert re.search(r"CreatePostScanJob: http\S+ the answer was cut after \d+ bytes: nothing more", result.headline)
    assert [one.received for one in result.bad[0].differences] == ["cut"]


def test_a_fault_that_is_cut_is_a_fault(job: Path) -> None:
    said = wsd.fault("urn:1", "urn:2", "Sender", "InvalidArgs", wsd.DSP, "no")
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: application/soap+xml\r\nContent-Length: 99999\r\n\r\n"
    refused = Answers(raw=lambda data: head + said)
    result, _ = play(job, [*BEGIN[:3], refused, Passes(31)], keep_going=False)
    assert [one.what for one in result.bad[0].differences] == ["fault", "envelope"]
    assert "CreatePostScanJob was refused with InvalidArgs" in result.headline


@pytest.mark.parametrize(
    ("said", "steps"), [("skip", ["skipped"] * 3 + ["same"]), ("stop", ["skipped"])],
)  # fmt: skip
def test_a_person_decides_before_each_step(job: Path, said: str, steps: list[str]) -> None:
    async def gate(step: object, pieces: object) -> str:
        asked.append(step)
        return said if len(asked) < 4 else "go"

    asked: list[object] = []
    script = [Gets("EndPostScanJobRequest"), Answers()] if said == "skip" else []
    result, _ = play(job, script, gate=gate, only=frozenset({1, 2, 4, 5}), given={"job_token": "t"})
    assert [one.outcome for one in result.steps] == steps


def test_values_that_nothing_hands_out_in_the_steps_played_are_as_recorded(job: Path) -> None:
    result, book = play(job, [Gets("EndPostScanJobRequest"), Answers()], only=frozenset({5}))
    assert told(result) == []
    assert book.asked[0].get("JobToken") == book.scenario.values["job_token"].recorded


def test_clean_messages_say_the_same(job: Path) -> None:
    result, book = play(job, WHOLE, normalise=True)
    assert told(result) == []
    assert all(b"User-Agent: WSDAPI" in head for head in book.heads)
    _, as_recorded = play(job, WHOLE)
    assert [one.body.to_json() for one in book.asked if one.body and one.name != "Subscribe"] == [
        one.body.to_json() for one in as_recorded.asked if one.body and one.name != "Subscribe"
    ]


# -- several things at once -----------------------------------------------------------------------------------------


def two_jobs(folder: Path) -> Path:
    """Two jobs on two connections: the second is created while the first one's answer is still to come."""
    story = Story()
    first = PostScan(story, wsd.Ids(8), name="one ")
    second = PostScan(story, wsd.Ids(9), name="two ")
    second.path, second.url = first.path, first.url
    filters = [wsd.FilterSpec(wsd.FILESHARE)]
    first.subscribe()
    second.sink, second.sink_path, second.sink_id, second.events = (
        first.sink,
        first.sink_path,
        first.sink_id,
        first.events,
    )
    tokens: list[str] = []
    tokens.append(first.create(filters, before_answer=lambda _: tokens.append(second.create(filters))))
    other, one = tokens
    for token in (one, other):
        first.status(token, "Creating", [wsd.FilterSpec(wsd.FILESHARE, "Pending")], 0, reason="None", pause=0.01)
    first.end(one, "Completed", ["PostScanJobCompletedSuccessfully"], filters, 0, pause=0.1)
    first.end(other, "Aborted", ["PostScanJobProcessingFailed"], filters, 0, pause=0.1)
    return written(folder, story)


def test_what_was_under_way_at_once_is_so_again(tmp_path: Path) -> None:
    folder = two_jobs(tmp_path)
    create = Gets("CreatePostScanJobRequest")
    script = [Gets("Subscribe"), Answers(), create, create, Answers(), Answers(), Tells(STATUS), Tells(STATUS, 2)]
    result, book = play(folder, [*script, Tells(END), Tells(END, 2)])
    assert told(result) == []
    assert len(book.connections) == 2


def test_events_of_two_jobs_in_another_order_belong_to_their_own_steps(tmp_path: Path) -> None:
    folder = two_jobs(tmp_path)
    create = Gets("CreatePostScanJobRequest")
    script = [Gets("Subscribe"), Answers(), create, create, Answers(), Answers(), Tells(STATUS, 2), Tells(STATUS)]
    result, _ = play(folder, [*script, Tells(END, 2), Tells(END)])
    assert told(result) == []
    swapped = replaced("Aborted", "Completed")
    result, _ = play(folder, [*script, Tells(END, 2, swapped), Tells(END)])
    assert [outcome for _, outcome in told(result)] == ["different"]


def test_one_connection_where_that_is_wanted(job: Path) -> None:
    _, kept = play(job, WHOLE, connections="one")
    assert len(kept.connections) == 1


def test_a_run_that_could_compare_nothing_is_no_pass(tmp_path: Path) -> None:
    story = Story()
    dsm = PostScan(story, wsd.Ids(5))
    token = "5ce1c1c1-0000-4000-8000-00000000beef"
    dsm.image(token, 1, "jfif", b"\xff\xd8\xff\xe0" + b"x" * 40, answer=False)
    folder = written(tmp_path, story)
    result, _ = play(folder, [Gets("SendImageRequest"), Passes(31)])
    assert (result.same, result.verdict) == (False, "not played: " + result.unreachable)

    async def skip(step: object, pieces: object) -> str:
        return "skip"

    result, _ = play(folder, [], gate=skip)
    assert (result.same, result.verdict) == (False, "nothing was compared (1 step skipped)")
