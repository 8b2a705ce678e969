from __future__ import annotations

import pytest

from dissector.analysis.expiry import nanoseconds
from tests.support.fake_jobs import DsmJob
from tests.support.fakes import ACTIONS, CLIENT, DEVICE, SCANNER, SERVER, Play

BOTH = ("PostScanJobStatusEvent", "PostScanJobEndStateEvent")


def rules(thing):
    return [finding.rule for finding in thing.findings]


def manage(play: Play, operation: str, body=None, *, identifier: str | None = "sub-1", **more):
    parameters = [("Identifier", identifier)] if identifier else []
    return play.request(
        "WS-Eventing", operation, body or {}, client=DEVICE, server=SERVER, stream=90, parameters=parameters, **more
    )


def test_life_of_a_subscription(play, analysed):
    play.subscribe(BOTH)
    play.answer(manage(play, "Renew", {"Expires": "PT2H"}), {"Expires": "PT90M"})
    play.answer(manage(play, "GetStatus"), {"Expires": "PT80M"})
    DsmJob(play).final()
    play.answer(manage(play, "Unsubscribe"))
    analysis = analysed(play.messages)
    (one,) = analysis.subscriptions
    assert (one.number, one.source, one.identifier) == (1, f"{SERVER}:5362", "sub-1")
    assert (one.manager, one.notify_to) == (f"http://{SERVER}/manager", f"http://{DEVICE}:5357/sink")
    assert one.notify_parameters == [("Identifier", "sink-1")]
    assert one.actions == [ACTIONS["WS-DSP"] + name for name in BOTH]
    assert (one.requested, one.granted, len(one.renewals)) == ("PT1H", "PT90M", 1)
    assert (one.ended, one.ended_time) == ("Unsubscribe", play.messages[-1].time)
    assert one.events == [7]
    assert one.messages == [1, 2, 3, 4, 5, 6, 9, 10]
    assert one.findings == []
    (event,) = analysis.notifications
    assert (event.message, event.event, event.service, event.subscription, event.http_status) == (
        7, "PostScanJobEndStateEvent", "WS-DSP", 1, 202,
    )  # fmt: skip


def test_refused_and_unanswered(play, analysed):
    asked = play.request("WS-Eventing", "Subscribe", {"Expires": "PT1H"}, stream=1)
    play.fault(asked, "FilterActionNotSupported")
    play.request("WS-Eventing", "Subscribe", {}, stream=2)
    refused, open_end = analysed(play.messages).subscriptions
    assert (refused.ended, rules(refused)) == ("refused", ["subscription.refused"])
    assert (open_end.ended, rules(open_end)) == (None, ["subscription.no-answer"])


def test_managed_by_address_where_there_is_no_identifier(play, analysed):
    manager = "http://192.0.2.20/subs/77"
    play.ask("WS-Eventing", "Subscribe", {}, {"SubscriptionManager": {"Address": manager}, "Expires": "PT1M"})
    play.answer(manage(play, "Unsubscribe", identifier=None, to=manager))
    (one,) = analysed(play.messages).subscriptions
    assert (one.identifier, one.manager, one.ended) == (None, manager, "Unsubscribe")


def test_only_the_end_of_it_is_in_the_capture(play, analysed):
    play.answer(manage(play, "Renew"), {"Expires": "PT1H"})
    play.fault(manage(play, "Renew"), "UnableToRenew")
    one = analysed(play.messages).subscriptions[0]
    assert (one.identifier, one.granted, rules(one)) == ("sub-1", "PT1H", ["subscription.renew-refused"])
    assert len(analysed(play.messages).subscriptions) == 1


def test_answer_only(play, analysed):
    asked = play.subscribe(BOTH)
    play.messages.remove(asked)
    (one,) = analysed(play.messages).subscriptions
    assert (one.identifier, one.granted, one.source) == ("sub-1", "PT1H", f"{SERVER}:5362")
    assert one.findings == []


def test_source_ends_it(play, analysed):
    play.subscribe(BOTH)
    body = {
        "SubscriptionManager": {"Address": "x", "ReferenceProperties": {"Identifier": "sub-1"}},
        "Status": "http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceCancelling",
        "Reason": "going down",
    }
    end = play.request("WS-Eventing", "SubscriptionEnd", body, client=SERVER, server=DEVICE)
    end.kind = "event"
    analysis = analysed(play.messages)
    (one,) = analysis.subscriptions
    assert (one.ended, rules(one)) == ("SourceCancelling", ["subscription.source-ended"])
    assert "going down" in one.findings[0].text
    assert analysis.notifications == []


def test_runs_out(play, analysed):
    play.subscribe(BOTH, expires="PT10M")
    play.wait(700)
    DsmJob(play).final()
    analysis = analysed(play.messages)
    assert rules(analysis.subscriptions[0]) == ["subscription.expired"]
    assert rules(analysis.notifications[0]) == ["event.after-end"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H", 3600), ("P0Y0M0DT30H0M0S", 108000), ("P1D", 86400), ("PT0.5S", 0), ("PT5.9S", 5), ("P", None),
        ("PT", None), ("-PT1H", None), ("2026-01-01T00:00:00Z", None), ("", None), (None, None), ("PT1H ", 3600),
        ("P" + "9" * 1000 + "D", None),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert nanoseconds(text) == (None if seconds is None else seconds * 10**9)


# -- whose event is it -------------------------------------------------------------------------------------------


def test_event_goes_to_the_subscription_that_its_parameters_name(play, analysed):
    play.subscribe(BOTH, parameter="a", identifier="1", stream=90)
    play.subscribe(BOTH, parameter="b", identifier="2", stream=91)
    DsmJob(play).final(parameters=[("Identifier", "b")])
    analysis = analysed(play.messages)
    assert [n.subscription for n in analysis.notifications] == [2]


def test_event_goes_by_to_and_filter(play, analysed):
    sink = f"http://{DEVICE}:5357/sink"
    play.subscribe(BOTH[:1], parameter=None, identifier="1", stream=90)
    play.subscribe(BOTH[1:], parameter=None, identifier="2", stream=91)
    job = DsmJob(play)
    job.status("Creating", to=sink, parameters=[])
    job.final(to=sink, parameters=[])
    assert [n.subscription for n in analysed(play.messages).notifications] == [1, 2]


def test_ambiguous_and_unknown(play, analysed):
    sink = f"http://{DEVICE}:5357/sink"
    play.subscribe(BOTH, parameter=None, identifier="1", stream=90)
    play.subscribe(BOTH, parameter=None, identifier="2", stream=91)
    job = DsmJob(play)
    job.final(to=sink, parameters=[])
    job.final(to="http://elsewhere/", parameters=[("Identifier", "?")])
    one, two = analysed(play.messages).notifications
    assert (one.subscription, rules(one)) == (None, ["event.ambiguous"])
    assert (two.subscription, rules(two)) == (None, ["event.unknown-subscription"])


def test_the_one_that_still_lives_gets_it(play, analysed):
    play.subscribe(BOTH, parameter="same", identifier="1", stream=90)
    play.answer(manage(play, "Unsubscribe", identifier="1"))
    play.subscribe(BOTH, parameter="same", identifier="2", stream=91)
    DsmJob(play).final(parameters=[("Identifier", "same")])
    assert [n.subscription for n in analysed(play.messages).notifications] == [2]


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (ACTIONS["WS-DSP"] + "PostScanJobEndStateEvent", True),
        (ACTIONS["WS-DSP"].rstrip("/"), True),
        (ACTIONS["WS-DSP"].replace("http:", "https:") + "PostScanJobEndStateEvent", True),
        ("PostScanJobEndStateEvent", True),
        (ACTIONS["WS-DSP"] + "PostScanJob", False),
        (ACTIONS["WS-DSP"] + "PostScanJobStatusEvent", False),
        ("", True),
    ],
)
def test_filters(play, analysed, wanted, passes):
    asked = play.subscribe(BOTH)
    field = asked.body.find("Filter")
    field.text = field.value = wanted
    DsmJob(play).final()
    (event,) = analysed(play.messages).notifications
    assert rules(event) == ([] if passes else ["event.filter"])
    assert event.subscription == 1


def test_other_dialects_cannot_be_judged(play, analysed):
    asked = play.subscribe(BOTH)
    field = asked.body.find("Filter")
    field.attributes["Dialect"] = ("http://www.w3.org/TR/1999/REC-xpath-19991116",) * 2
    field.text = field.value = "boolean(/x)"
    DsmJob(play).final()
    assert rules(analysed(play.messages).notifications[0]) == []


@pytest.mark.parametrize(
    ("status", "found"), [(202, []), (200, ["event.answer"]), (404, ["event.refused"]), (None, ["event.unanswered"])]
)
def test_what_the_sink_said(play, analysed, status, found):
    play.subscribe(BOTH)
    DsmJob(play).final(status=status)
    (event,) = analysed(play.messages).notifications
    assert (event.http_status, rules(event)) == (status, found)


def test_sink_answers_with_a_fault_or_a_body(play, analysed):
    play.subscribe(BOTH)
    job = DsmJob(play)
    play.fault(job.final(status=None), "DeliveryFailed", status=500)
    play.answer(job.final(status=None), {}, status=202)
    one, two = analysed(play.messages).notifications
    assert (one.http_status, rules(one)) == (500, ["event.refused"])
    assert "HTTP 500 DeliveryFailed" in one.findings[0].text
    assert rules(two) == ["event.answer"]


def test_answer_that_comes_later(play, analysed):
    play.subscribe(BOTH)
    job = DsmJob(play)
    one, two = job.status("Creating", status=None, stream=7), job.status("Pending", status=None, stream=8)
    play.http(two, 202)
    play.http(one, 503)
    assert [n.http_status for n in analysed(play.messages).notifications] == [503, 202]


def test_push_destinations(play, analysed):
    scan = {"service": "WS-Scan", "client": CLIENT, "server": SCANNER}
    asked = play.subscribe(["ScanAvailableEvent"], contexts={"Scan": "t1", "Mail": "t2"}, **scan)
    play.subscribe(["ScanAvailableEvent"], identifier="2", parameter="other", **scan)
    body = {"ClientContext": "Fax", "ScanIdentifier": "1"}
    play.event(
        "WS-Scan", "ScanAvailableEvent", body, source=SCANNER, sink=CLIENT, parameters=[("Identifier", "sink-1")]
    )
    analysis = analysed(play.messages)
    one, two = analysis.subscriptions
    assert (one.destinations, rules(one)) == ({"Scan": "t1", "Mail": "t2"}, [])
    assert rules(two) == ["subscription.no-destinations"]
    assert rules(analysis.notifications[0]) == ["event.client-context"]
    asked.body.find("ScanDestinations").children.pop()
    assert rules(analysed(play.messages).subscriptions[0]) == ["subscription.destinations"]
    # What is missing of the Subscribe may be the others.
    asked.complete = False
    assert rules(analysed(play.messages).subscriptions[0]) == []
    asked.body.find("ScanDestinations").children.clear()
    assert rules(analysed(play.messages).subscriptions[0]) == []
