"""What is remembered while jobs and events are followed is bounded: each bound at its edge."""

from __future__ import annotations

import pytest

from dissector.analysis import (
    endpoints,
    exchanges,
    jobs,
    notifications,
    postscan_story,
    reading,
    reports,
    scan_story,
    scanjobs,
    story,
    subscriptions,
)
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import ACTIONS, CLIENT, SCANNER


@pytest.mark.parametrize(("most", "answered"), [(2, 2), (3, 3), (4, 3)])
def test_events_that_wait_for_the_answers_of_their_sinks(play, analysed, monkeypatch, most, answered):
    """Sinks on connections of their own, all of them slow: each answer still belongs to its event."""
    monkeypatch.setattr(notifications, "WAITING", most)
    events = [
        play.event("WS-DSP", "PostScanJobStatusEvent", {"JobStatus": {"JobToken": f"job-{number}"}},
                   stream=100 + number, status=None)
        for number in range(3)
    ]  # fmt: skip
    for one in events:
        play.http(one, 202)
    found = analysed(play.messages).notifications
    assert sum(one.http_status == 202 for one in found) == answered
    unanswered = [one.message for one in found if "event.unanswered" in {each.rule for each in one.findings}]
    assert unanswered == [one.number for one in events[: 3 - answered]]


def test_a_thousand_slow_sinks_are_all_heard(play, analysed):
    events = [play.event("WS-DSP", "PostScanJobStatusEvent", {}, stream=number, status=None) for number in range(1001)]
    for one in events:
        play.http(one, 202)
    assert {one.http_status for one in analysed(play.messages).notifications} == {202}


@pytest.mark.parametrize(("most", "told"), [(1, 1), (2, 2), (3, 2)])
def test_questions_to_event_sources_that_wait(play, analysed, monkeypatch, most, told):
    monkeypatch.setattr(subscriptions, "WAITING", most)
    asked = [play.request("WS-Eventing", "Renew", {}, stream=number) for number in (1, 2)]
    for one in asked:
        play.answer(one, {"Expires": "PT5M"})
    found = analysed(play.messages).subscriptions
    assert sum(one.granted == "PT5M" for one in found) == told


@pytest.mark.parametrize(("most", "known"), [(1, 1), (2, 2), (3, 2)])
def test_hosts(play, analysed, monkeypatch, most, known):
    monkeypatch.setattr(endpoints, "HOSTS", most)
    play.ask("WS-DSP", "EndPostScanJob", {}, {})
    assert len(analysed(play.messages).endpoints) == known


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_what_is_kept_of_a_host(play, analysed, monkeypatch, most, kept):
    monkeypatch.setattr(endpoints, "KEPT", most)
    for number in (1, 2):
        play.datagram("Hello", {"XAddrs": f"http://192.0.2.9:{number}/"}, source="192.0.2.9")
    (host,) = analysed(play.messages).endpoints
    assert len(host.xaddrs) == kept


@pytest.mark.parametrize(("most", "known"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_answered_requests_that_are_remembered(play, analysed, monkeypatch, most, known):
    """A second answer is known as one where the first is remembered."""
    monkeypatch.setattr(exchanges, "ANSWERED", most)
    asked = [play.request("WS-DSP", "EndPostScanJob", {}, stream=number) for number in range(3)]
    for one in (*asked, *asked):
        play.answer(one, {})
    found = analysed(play.messages).exchanges
    assert sum("exchange.second-answer" in {each.rule for each in one.findings} for one in found) == known


@pytest.mark.parametrize(("most", "paired"), [(1, False), (2, True), (3, True)])
def test_requests_of_one_message_id_that_are_looked_at(play, analysed, monkeypatch, most, paired):
    """The oldest ones: one that went to another server is passed over, if there is another to look at."""
    monkeypatch.setattr(exchanges, "SAME_ID", most)
    play.request("WS-DSP", "EndPostScanJob", {}, stream=1, server="192.0.2.99", message_id="urn:uuid:same")
    asked = play.request("WS-DSP", "EndPostScanJob", {}, stream=2, message_id="urn:uuid:same")
    play.answer(asked, {}, request=None, relates_to="urn:uuid:same")
    one = analysed(play.messages).exchanges[1]
    assert (one.by == "relates-to") is paired


@pytest.mark.parametrize(("waiting", "given_up"), [(2, 1), (3, 0), (4, 0)])
def test_requests_of_all_connections_that_wait(play, analysed, monkeypatch, waiting, given_up):
    monkeypatch.setattr(exchanges, "WAITING", waiting)
    asked = [play.request("WS-DSP", "EndPostScanJob", {}, stream=number) for number in range(3)]
    for one in asked:
        play.answer(one, {})
    found = analysed(play.messages).exchanges
    assert sum("exchange.unanswered" in {each.rule for each in one.findings} for one in found) == given_up


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_stories_of_one_token(play, monkeypatch, most, kept):
    monkeypatch.setattr(jobs, "SAME_TOKEN", most)
    followed = jobs.PostScanJobs(subscriptions.Subscriptions())
    for number in (1, 2):
        followed._register(followed._new(play.request("WS-DSP", "CreatePostScanJob", {}, stream=number)), "t", "t")
    assert len(followed._tokens["t"]) == kept


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_subscriptions_of_one_identifier(monkeypatch, most, kept):
    monkeypatch.setattr(subscriptions, "SAME_KEY", most)
    index = subscriptions._Index()
    for number in range(3):
        index.add("same", subscriptions.Watch(number, b"", None))
    assert [watch.number for watch in index.of("same")] == list(range(3))[-kept:]


@pytest.mark.parametrize(("before", "found"), [(reading.SEEK_LIMIT - 1, True), (reading.SEEK_LIMIT, False)])
def test_elements_that_are_looked_at_for_one_that_is_not_in_its_place(play, before, found):
    many = {f"V{number}": "x" for number in range(before)}
    message = play.request("WS-DSP", "EndPostScanJob", {**many, "JobToken": "t"})
    assert (reading.seek(message.body, "JobToken") is not None) is found


@pytest.mark.parametrize(("most", "cut"), [(1, True), (2, False)])
def test_what_is_kept_of_a_subscription(play, analysed, monkeypatch, most, cut):
    """Of what is not kept nothing is concluded."""
    monkeypatch.setattr(subscriptions, "MANY", most)
    names = ["ScannerStatusSummaryEvent", "ScanAvailableEvent"]
    contexts = {"Scan": "token 1", "Mail": "token 2"}
    play.subscribe(names, service="WS-Scan", client=CLIENT, server=SCANNER, contexts=contexts)
    job = ScanJob(play)
    job.available("scan-1", "Mail", parameters=[("Identifier", "sink-1")])
    job.create(ScanIdentifier="scan-1", DestinationToken="token 2")
    job.available("scan-2", "None", parameters=[("Identifier", "sink-1")])
    job.create(ScanIdentifier="scan-2", DestinationToken="token 3")
    analysis = analysed(play.messages)
    (one,) = analysis.subscriptions
    assert (len(one.actions), len(one.destinations)) == (most, most)
    assert [finding.rule for finding in one.findings] == []
    events = [[finding.rule for finding in event.findings] for event in analysis.notifications]
    assert events == ([[], []] if cut else [[], ["event.client-context"]])
    of_jobs = [{finding.rule for finding in job.findings} for job in analysis.jobs]
    assert ["job.destination-unknown" in rules for rules in of_jobs] == [False, not cut]


@pytest.mark.parametrize(("names", "asked", "answered"), [(2, 1, 1), (1, 2, 2), (1, 2, 1), (1, 1, 2)])
def test_whatever_is_cut_of_a_subscription(play, analysed, monkeypatch, names, asked, answered):
    monkeypatch.setattr(subscriptions, "MANY", 1)
    contexts = [{"ClientContext": str(number)} for number in range(2)]
    given = [{**context, "DestinationToken": "t"} for context in contexts]
    events = [ACTIONS["WS-Scan"] + name for name in ("ScanAvailableEvent", "JobStatusEvent")]
    body = {
        "Delivery": {"NotifyTo": {"Address": f"http://{CLIENT}/"}},
        "Filter": {"#": " ".join(events[:names])},
        "ScanDestinations": {"ScanDestination": contexts[:asked]},
    }
    answer = {"DestinationResponses": {"DestinationResponse": given[:answered]}}
    play.ask("WS-Eventing", "Subscribe", body, answer, client=CLIENT, server=SCANNER)
    for name in ("ScanAvailableEvent", "JobStatusEvent"):
        play.event("WS-Scan", name, {"ClientContext": "other"}, source=SCANNER, to=f"http://{CLIENT}/")
    analysis = analysed(play.messages)
    assert [finding.rule for one in analysis.subscriptions for finding in one.findings] == []
    assert [event.findings for event in analysis.notifications] == [[], []]


@pytest.mark.parametrize("between", [" ", "\n" + " " * reading.LONGEST])
def test_a_filter_is_as_long_as_its_actions(play, analysed, between):
    """Not as the white space between them; and its actions are no longer than one value."""
    names = ["PostScanJobStatusEvent" + between, "PostScanJobEndStateEvent"]
    play.subscribe(names, parameter="whole")
    play.subscribe([name + between + "x" * reading.LONGEST for name in names], parameter="cut", identifier="sub-2")
    for parameter in ("whole", "cut"):
        play.event("WS-DSP", "PostScanJobEndStateEvent", {}, parameters=[("Identifier", parameter)])
    analysis = analysed(play.messages)
    assert [one.subscription for one in analysis.notifications] == [1, 2]
    assert [event.findings for event in analysis.notifications] == [[], []]
    assert [len(one.actions) for one in analysis.subscriptions] == [2, 1]


@pytest.mark.parametrize(("most", "named"), [(1, 2), (2, 3), (3, 3)])
def test_subscriptions_that_fit_an_event(play, analysed, monkeypatch, most, named):
    """One more is enough to see that there are more."""
    monkeypatch.setattr(notifications, "FITTING", most)
    parameters = [("Identifier", f"sink-{number}") for number in range(3)]
    for number, (_, text) in enumerate(parameters):
        play.subscribe(["PostScanJobStatusEvent"], parameter=text, identifier=f"sub-{number}")
    play.event("WS-DSP", "PostScanJobStatusEvent", {}, parameters=parameters)
    (event,) = analysed(play.messages).notifications
    numbers = ", ".join(str(number + 1) for number in range(named))
    assert event.findings[0].text == f"subscriptions {numbers} all fit this event; it is counted for none of them"


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_answers_about_other_jobs(play, analysed, monkeypatch, most, kept):
    monkeypatch.setattr(postscan_story, "KEPT", most)
    job = DsmJob(play)
    job.create()
    for _ in range(2):
        job.ask("GetPostScanJobElements", {"JobToken": job.token, "RequestedElements": {"Name": "JobStatus"}})
    (one,) = analysed(play.messages).jobs
    assert sum(finding.rule == "job.answer-mismatch" for finding in one.findings) == kept


@pytest.mark.parametrize(("most", "frames"), [(4, 1), (9, 2), (100, 100)])
def test_what_is_kept_of_one_job_where_it_turns_out_to_be_several(play, monkeypatch, most, frames):
    """Each of many answers to requests for one scan names another job that was heard of."""
    for module in (story, scan_story):
        monkeypatch.setattr(module, "KEPT", most)
    monkeypatch.setattr(scan_story, "FRAMES", frames)
    jobs = [ScanJob(play, number) for number in range(1, 4)]
    for _ in range(3):
        jobs[0].available("scan-1")
    asked = [job.create(answer=False, ScanIdentifier="scan-1", DestinationToken="t") for job in jobs]
    for job in jobs:
        for _ in range(2):
            job.retrieve()
            job.status("Processing")
        job.final()
    for job, request in zip(jobs, asked, strict=True):
        job.created(request)
    for _ in range(5):
        jobs[-1].retrieve(token="other")
    followed, paired = scanjobs.ScanJobs(subscriptions.Subscriptions()), exchanges.Exchanges()
    for message in play.messages:
        followed.feed(message, paired.feed(message))
    one = followed._stories[0]
    assert len(followed._stories) == 4
    assert (len(one.announced), len(one.again)) == (min(3, frames), min(2, frames))
    told = {"reports": 6, "finals": 3, "strangers": 5, "pages": 11}
    assert {name: len(getattr(one, name)) for name in told} == {name: min(size, most) for name, size in told.items()}
    assert {name: len(calls) for name, calls in one.calls.items()} == {
        "CreateScanJob": min(3, most), "RetrieveImage": min(11, most)
    }  # fmt: skip
    # Announcements, requests, images with their answers, states, ends, answers, strangers with their answers.
    every = 3 + 3 + 12 + 6 + 3 + 3 + 10
    assert (len(one.job.timeline), one._left_out) == (min(every, most), max(every - most, 0))


@pytest.mark.parametrize(("most", "kept"), [(1, 1), (2, 2), (3, 2)])
def test_reference_parameters_of_a_sink(play, monkeypatch, most, kept):
    monkeypatch.setattr(subscriptions, "MANY", most)
    body = {"NotifyTo": {"ReferenceParameters": {"A": "1", "B": "2"}}}
    message = play.request("WS-Eventing", "Subscribe", body)
    assert len(subscriptions.references(message.body, "NotifyTo")) == kept


@pytest.mark.parametrize(("most", "known"), [(1, False), (2, True)])
def test_destinations_of_one_scan(play, analysed, monkeypatch, most, known):
    """One that is announced again is known as the same, if it is remembered."""
    monkeypatch.setattr(scanjobs, "SAME_SCAN", most)
    job = ScanJob(play)
    for context in ("Scan", "Mail", "Scan"):
        job.available("scan-1", context)
    assert len(analysed(play.messages).jobs) == (2 if known else 3)


def test_a_listener_is_known_by_the_beginning_of_its_name(play, monkeypatch):
    monkeypatch.setattr(reports, "LONGEST", 20)
    message = play.event("WS-DSP", "PostScanJobStatusEvent", {}, to="http://192.0.2.1/" + "x" * 100)
    assert reports.status_report("event", message, message.body).to == "WS-DSP http://192.0."
