"""Properties: the result does not depend on how connections interleave, and nothing that a peer says raises."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.analysis import Analysis, Job, duration, following, notifications, outcome, subscriptions
from dissector.messages import Message
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import CONTROL, FILESHARE, Play, element, picture, reordered


def analyse(messages: list[Message]) -> Analysis:
    analysis = Analysis()
    for message in messages:
        analysis.feed(message)
    analysis.finish()
    return analysis


def result(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "device": job.device,
        "server": job.server,
        "state": job.state,
        "completed": (job.completed_state, job.completed_state_reasons, job.completed_by),
        "filters": [(f.dialect, f.state, f.reasons) for f in job.filters],
        "images": [(i.document_id, i.sha256, i.accepted) for i in job.images],
        "received": job.images_received,
        "user": (job.user, job.user_sid, job.process, job.process_name),
        "faults": [(f.operation, f.subcode) for f in job.faults],
        "partial": job.partial,
        "outcome": outcome(job),
        "steps": sorted(step.name for step in job.timeline),
    }


def story() -> Play:
    """Two post-scan jobs and a control point: requests on one connection for each job, events on others."""
    play = Play()
    for token, stream in (("11111111-1111-1111-1111-111111111111", 1), ("22222222-2222-2222-2222-222222222222", 2)):
        job = DsmJob(play, token, stream=stream)
        job.create()
        job.status("Creating", stream=100 + stream)
        job.send(1, picture(f"one of {token}".encode()))
        job.send(2, picture(f"two of {token}".encode()))
        job.end()
        job.status("Processing", 2, [(FILESHARE, "Processing")], stream=100 + stream)
        job.final(images=2, stream=100 + stream)
        job.final(images=2, service="WS-DSC", sink=CONTROL, stream=200 + stream)
    return play


EXPECTED = [result(job) for job in analyse(story().messages).jobs]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_interleaving_of_connections_gives_the_same_jobs(data):
    """Events may overtake answers, and even (in captures put together of two) the requests that caused them."""
    queues: dict[int, list[Message]] = {}
    for message in story().messages:
        queues.setdefault(message.stream.number, []).append(message)
    order: list[Message] = []
    while queues:
        stream = data.draw(st.sampled_from(sorted(queues)))
        order.append(queues[stream].pop(0))
        if not queues[stream]:
            del queues[stream]
    jobs = analyse(reordered(order)).jobs
    assert sorted((result(job) for job in jobs), key=lambda r: r["id"]) == EXPECTED


@given(st.integers(0, 4))
def test_scan_events_may_overtake_the_answer(place):
    play = Play()
    scan = ScanJob(play)
    asked = scan.create("Platen", answer=False)
    scan.status("Started", stream=100)
    scan.status("Processing", stream=100)
    answer = scan.created(asked)
    scan.retrieve()
    scan.final(stream=100)
    events, rest = play.messages[1:5], play.messages[6:]
    order = [*events[:place], answer, *events[place:]]
    (job,) = analyse(reordered([asked, *order, *rest])).jobs
    assert (job.id, job.completed_state, job.partial, job.findings) == ("7", "Completed", "", [])


NAMES = [
    "JobToken", "JobId", "JobStatus", "JobState", "PostScanJobEndState", "JobCompletedState", "FilterStatuses",
    "FilterStatus", "Dialect", "FilterState", "ImagesReceived", "DocumentDescription", "DocumentId", "Format",
    "ScanTicket", "DocumentParameters", "ImagesToTransfer", "InputSource", "JobElements", "ElementData", "JobEndState",
    "JobHistory", "ActiveJobs", "JobSummary", "ScanIdentifier", "DestinationToken", "ClientContext", "Delivery",
    "NotifyTo", "Address", "Filter", "Expires", "ReferenceParameters", "Identifier", "SubscriptionManager", "Status",
    "ScanDestinations", "ScanDestination", "MetadataSection", "ThisModel", "Relationship", "Hosted", "Types", "Unheard",
    "PostScanInstructions", "FiltersToProcess", "JobStateReasons", "JobStateReason", "RequestedElements", "Name",
]  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.sampled_from(["Completed", "7", "x:y", "PT1H"]),
    st.floats(), st.just("9" * 5000), st.binary(max_size=4), st.lists(st.integers(), max_size=2),
)  # fmt: skip
BODIES = st.one_of(
    st.none(),
    st.recursive(
        VALUES, lambda below: st.dictionaries(st.sampled_from(NAMES), below, max_size=4), max_leaves=15
    ).filter(lambda body: body is None or isinstance(body, dict)),
)
SERVICES = ["WS-DSP", "WS-DSC", "WS-Scan", "WS-DSD", "WS-Eventing", "WS-Transfer", "WS-Discovery", ""]
OPERATIONS = [
    "CreatePostScanJob", "SendImage", "EndPostScanJob", "CancelPostScanJob", "GetPostScanJobElements", "GetActiveJobs",
    "GetJobHistory", "CreateScanJob", "RetrieveImage", "CancelJob", "GetJobElements", "Subscribe", "Renew",
    "Unsubscribe", "SubscriptionEnd", "Get", "Probe", "Hello", "Unheard",
]  # fmt: skip
EVENTS = ["PostScanJobStatusEvent", "PostScanJobEndStateEvent", "JobStatusEvent", "JobEndStateEvent",
          "ScanAvailableEvent"]  # fmt: skip


@st.composite
def noise(draw):
    play = Play()
    requests: list[Message] = []
    for _ in range(draw(st.integers(1, 25))):
        service = draw(st.sampled_from(SERVICES))
        body = draw(BODIES)
        kind = draw(st.sampled_from(["request", "answer", "fault", "http", "event", "datagram"]))
        ids = draw(st.sampled_from(["", None, "same"]))
        if kind == "event":
            made = play.event("WS-DSP", draw(st.sampled_from(EVENTS)), None, status=None, message_id=ids)
            made.service = service
        elif kind == "datagram":
            made = play.datagram(draw(st.sampled_from(OPERATIONS)), None, source=CONTROL, message_id=ids)
        elif kind == "request" or not requests:
            made = play.request(service, draw(st.sampled_from(OPERATIONS)), None, message_id=ids,
                                stream=draw(st.integers(1, 3)),
                                attachments=draw(st.sampled_from([[], [picture()], [picture(cut=True)]])))  # fmt: skip
        else:
            asked = draw(st.sampled_from(requests))
            link = draw(st.sampled_from([asked.number, None, 999]))
            if kind == "answer":
                made = play.answer(asked, None, request=link, message_id=ids)
            elif kind == "fault":
                made = play.fault(asked, draw(st.sampled_from(["InvalidArgs", "ClientErrorNoImagesAvailable", ""])),
                                  request=link)  # fmt: skip
            else:
                made = play.http(asked, draw(st.sampled_from([202, 200, 404])), linked=link is not None)
        if kind in ("request", "event"):
            requests.append(made)
        if kind != "http" and body is not None:
            made.body = element(made.name, body)
        if draw(st.integers(0, 9)) == 0:
            made.frames = ()
            made.http = None
        if draw(st.integers(0, 9)) == 0:
            made.envelope = None
    for made in play.messages:
        if draw(st.integers(0, 3)) == 0:
            made.decl = None
    return play.messages


@given(noise())
@settings(max_examples=80, deadline=None)
def test_nothing_raises(messages):
    analysis = analyse(messages)
    for job in analysis.jobs:
        outcome(job)
        duration(job)
        assert job.timeline
    for host in analysis.endpoints:
        host.to_json()
    assert all(e.request is not None or e.response is not None for e in analysis.exchanges)


def test_no_message_is_kept_alive():
    play = story()

    class Marker:
        pass

    marks = []
    analysis = Analysis()
    while play.messages:
        message = play.messages.pop(0)
        marker = Marker()
        marks.append(weakref.ref(marker))
        message.origin = marker
        analysis.feed(message)
        del message, marker
    gc.collect()
    assert [mark for mark in marks if mark() is not None] == []
    analysis.finish()
    assert len(analysis.jobs) == 2


def test_what_waits_is_bounded(monkeypatch):
    for module, name in ((notifications, "WAITING"), (subscriptions, "WAITING"), (following, "ASKED")):
        monkeypatch.setattr(module, name, 5)
    play = Play()
    for number in range(50):
        DsmJob(play, f"job-{number}").final(status=None)
        play.subscribe([], identifier=str(number))
        play.request("WS-Eventing", "Renew", {}, parameters=[("Identifier", str(number))])
    analysis = Analysis()
    for message in play.messages:
        analysis.feed(message)
    assert len(analysis._notifications._waiting) == 5
    assert len(analysis._subscriptions._asked) == 5
    assert len(analysis._post_scan._finals) == 5
    analysis.finish()
    assert len(analysis.jobs) == 50


def test_finish_twice_and_nothing():
    analysis = Analysis()
    analysis.finish()
    analysis.finish()
    assert (analysis.jobs, analysis.exchanges, analysis.notifications, analysis.endpoints) == ([], [], [], [])


def test_long_story_is_cut():
    play = Play()
    job = DsmJob(play)
    job.create()
    status = job.status("Processing", status=None)
    analysis = Analysis()
    for message in play.messages:
        analysis.feed(message)
    for number in range(10_050):
        status.number = 10 + number
        analysis.feed(status)
    job.final(filter_states=[(FILESHARE, "CompletedSuccessfully")])
    play.messages[-2].number = 20_000
    analysis.feed(play.messages[-2])
    analysis.finish()
    (found,) = analysis.jobs
    assert len(found.timeline) == 10_000
    assert found.completed_state == "Completed"
    assert "job.story-cut" in [f.rule for f in found.findings]
