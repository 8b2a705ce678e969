"""Requests that are known again mean what they mean when they are looked at anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.soap.build import build_envelope
from replay.base.ids import Ids
from replay.net.receiver import HttpReceiver
from replay.net.server import HttpRequest
from replay.player.serve.device import served_of
from replay.player.serve.hearing import REMEMBERED, Heard, Hearing
from replay.player.serve.session import Run, Runs
from replay.player.serve.story import Story
from replay.scenario.files import load_scenario
from replay.soap.caller import action_of
from replay.soap.compose import Picture, http_request, pack
from tests.support.images import png
from tests.support.serving import scenario_folder

HERE, PEER = Endpoint("127.0.0.1", 5362), Endpoint("192.0.2.1", 40000)


class Rig:
    """A hearing with two runs of one story."""

    def __init__(self, folder: Path) -> None:
        scenario, files = load_scenario(folder)
        self.story = Story(scenario, files, frozenset(served_of(scenario, "")))
        self.runs = Runs(self.story, frozenset({"server"}), ids=Ids(1), given={}, now=lambda: 1.0)
        self.hearing = Hearing(self.story, self.runs)
        subscribe = self.story.by_name["Subscribe"][0]
        self.one, self.other = (self._begin(subscribe.question) for _ in range(2))

    def _begin(self, question: object) -> Run:
        run = self.runs.find(question, (), PEER)
        run.progress.take(self.story.by_name["Subscribe"][0])
        return run

    def hear(self, data: bytes) -> Heard:
        receiver = HttpReceiver(PEER, HERE)
        (http,) = receiver.feed(data, 1)
        heard = self.hearing.hear(HttpRequest(http, HERE, PEER))
        assert isinstance(heard, Heard)
        anew = Hearing(self.story, self.runs).hear(HttpRequest(http, HERE, PEER))
        assert isinstance(anew, Heard)
        for name in ("message_id", "xml", "question", "images", "runs", "texts", "said"):
            assert getattr(heard, name) == getattr(anew, name), name
        return heard


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(scenario_folder("dsm-completed.pcapng", tmp_path_factory.mktemp("job")))


def image(token: str, number: int, message_id: str, picture: bytes, cid: str = "i@x") -> bytes:
    body = build("dsp:SendImageRequest", {
        "job_token": token, "document_description": {"document_id": number, "format": "png"},
        "image_data": {"include": {"@href": f"cid:{cid}"}},
    })  # fmt: skip
    xml = build_envelope(body, action=action_of("SendImageRequest", "WS-DSP"), to="urn:x", message_id=message_id)
    package = pack(xml, [Picture(cid, picture, "image/png")], Ids(message_id))
    return b"".join(http_request("/ScanServer", "x", package).pieces)


def end(token: str, message_id: str) -> bytes:
    body = build("dsp:EndPostScanJobRequest", {"job_token": token})
    xml = build_envelope(body, action=action_of("EndPostScanJobRequest", "WS-DSP"), to="urn:x", message_id=message_id)
    return b"".join(http_request("/ScanServer", "x", pack(xml, [], Ids(1))).pieces)


def test_another_message_of_another_run_is_known_and_told_apart(rig: Rig) -> None:
    first = rig.hear(end(rig.one.values.now["job_token"], "urn:uuid:1"))
    second = rig.hear(end(rig.other.values.now["job_token"], "urn:uuid:2"))
    assert not first.known
    assert second.known
    assert first.question == second.question
    assert (first.runs, second.runs) == ((rig.one,), (rig.other,))
    assert (first.message_id, second.message_id) == ("urn:uuid:1", "urn:uuid:2")


def test_a_token_that_nobody_got_is_not_known(rig: Rig) -> None:
    rig.hear(end(rig.one.values.now["job_token"], "urn:uuid:3"))
    strange = rig.hear(end("8a2a4d3e-0000-4000-8000-000000000001", "urn:uuid:4"))
    assert not strange.known
    assert strange.runs == ()
    fault = rig.hearing.strange(strange)
    assert fault is not None
    assert fault.name == "ClientErrorJobTokenNotFound"


@settings(max_examples=40, deadline=None)
@given(
    asked=st.lists(
        st.tuples(st.booleans(), st.integers(1, 3), st.integers(1, 2), st.sampled_from(["a@x", "b@y"])), max_size=6
    )
)
def test_whatever_came_before_each_is_heard_as_by_itself(rig: Rig, asked: list[tuple[bool, int, int, str]]) -> None:
    for place, (first, number, width, cid) in enumerate(asked):
        token = (rig.one if first else rig.other).values.now["job_token"]
        heard = rig.hear(image(token, number, f"urn:uuid:{place}", png(width * 10, 10), cid))
        assert heard.runs == (rig.one if first else rig.other,)
        assert ("DocumentId", str(number)) in heard.question.keys


def test_what_is_remembered_is_bounded(rig: Rig) -> None:
    token = rig.one.values.now["job_token"]
    for number in range(REMEMBERED + 20):
        rig.hear(image(token, number + 10, "urn:uuid:1", b"x"))
    assert len(rig.hearing._known) == REMEMBERED
