"""Subscriptions: what clients ask for, what they are granted, what they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from dissector.catalog import Field, build, decode
from dissector.soap.namespaces import DSP, WSCN, WSE
from replay.base.ids import Ids
from replay.devices.eventing import ACTION_DIALECT, DEFAULT_EXPIRES, MAX_EXPIRES, SubscriptionTable, duration
from replay.soap.faults import SoapFault

STATUS, END = f"{DSP}/PostScanJobStatusEvent", f"{DSP}/PostScanJobEndStateEvent"
SINK = "http://127.0.0.1:8/sink"


def subscribe(**given: Any) -> Field:
    data: dict[str, Any] = {"delivery": {"notify_to": {"address": SINK}}, **given}
    return decode(build("wse:Subscribe", data))


@pytest.fixture
def table() -> SubscriptionTable:
    return SubscriptionTable(Ids(1), (STATUS, END), limit=3)


@pytest.mark.parametrize(
    ("filter_", "status", "end"),
    [
        (None, True, True),
        ([STATUS], True, False),
        ([STATUS, END], True, True),
        ([DSP], True, True),
        ([f"{DSP}/"], True, True),
        ([f"{DSP}/PostScanJobStatus"], None, None),
        ([f"{WSCN}/JobStatusEvent"], None, None),
    ],
)
def test_the_filter_is_a_list_of_actions_or_prefixes_by_whole_segments(
    table: SubscriptionTable, filter_: list[str] | None, status: bool | None, end: bool | None
) -> None:
    given = {} if filter_ is None else {"filter": filter_, "filter@dialect": ACTION_DIALECT}
    if status is None:
        with pytest.raises(SoapFault) as refused:
            table.subscribe(subscribe(**given), 0, 0)
        assert refused.value.name == "FilterActionNotSupported"
        return
    table.subscribe(subscribe(**given), 0, 0)
    assert bool(table.wanting(STATUS, 0)) is status
    assert bool(table.wanting(END, 0)) is end


def test_bare_event_names_are_those_of_the_scan_service() -> None:
    table = SubscriptionTable(Ids(1), (f"{WSCN}/ScanAvailableEvent",))
    table.subscribe(subscribe(filter=["ScanAvailableEvent"]), 0, 0)
    assert table.wanting(f"{WSCN}/ScanAvailableEvent", 0)


@pytest.mark.parametrize(
    ("expires", "granted"),
    [
        (None, DEFAULT_EXPIRES),
        ("PT90S", 90),
        ("P0Y0M0DT30H0M0S", MAX_EXPIRES),
        ("1970-01-01T00:10:00Z", 600),
        ("1970-01-01T00:10:00", 600),
        ("PT0S", None),
        ("-PT5S", None),
        ("1969-12-31T23:59:00Z", None),
        ("soon", None),
    ],
)
def test_times_are_granted_as_asked_for_up_to_a_day(
    table: SubscriptionTable, expires: str | None, granted: float | None
) -> None:
    body = subscribe(**({} if expires is None else {"expires": expires}))
    if granted is None:
        with pytest.raises(SoapFault) as refused:
            table.subscribe(body, 100, 0)
        assert refused.value.name == "InvalidExpirationTime"
    else:
        assert table.subscribe(body, 100, 0).expires == 100 + granted


def test_an_expired_subscription_is_told_nothing_and_is_gone(table: SubscriptionTable) -> None:
    table.subscribe(subscribe(expires="PT10S"), 0, 0)
    assert len(table.wanting(END, 9.9)) == 1
    assert table.wanting(END, 10) == []
    assert len(table) == 0


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"delivery": {}}, "InvalidMessage"),
        ({"delivery": {"@mode": "urn:pull", "notify_to": {"address": SINK}}}, "DeliveryModeRequestedUnavailable"),
        ({"filter": ["x"], "filter@dialect": "urn:xpath"}, "FilteringRequestedUnavailable"),
        ({"filter": []}, "FilterActionNotSupported"),
    ],
)
def test_refusals(table: SubscriptionTable, body: dict[str, Any], fault: str) -> None:
    with pytest.raises(SoapFault) as refused:
        table.subscribe(subscribe(**body), 0, 0)
    assert refused.value.name == fault


def test_no_more_than_the_limit(table: SubscriptionTable) -> None:
    for _ in range(3):
        table.subscribe(subscribe(), 0, 0)
    with pytest.raises(SoapFault) as refused:
        table.subscribe(subscribe(), 0, 0)
    assert refused.value.name == "EventSourceUnableToProcess"


def test_a_sink_that_may_not_be_contacted_is_refused() -> None:
    table = SubscriptionTable(Ids(1), (END,), may_notify=lambda address: "127." in address)
    table.subscribe(subscribe(), 0, 0)
    with pytest.raises(SoapFault) as refused:
        table.subscribe(subscribe(end_to={"address": "http://192.0.2.1/"}), 0, 0)
    assert refused.value.name == "DestinationUnreachable"


def test_destinations_get_tokens_by_their_context() -> None:
    table = SubscriptionTable(Ids(1), (f"{WSCN}/ScanAvailableEvent",))
    destinations = [{"client_display_name": name, "client_context": name.lower()} for name in ("Scan", "Fax")]
    made = table.subscribe(subscribe(scan_destinations={"scan_destination": destinations}), 0, 0)
    response = table.response(made, "http://127.0.0.1/manager", 0)
    told = response["destination_responses"]["destination_response"]
    assert [one["client_context"] for one in told] == ["scan", "fax"]
    assert table.destination(told[1]["destination_token"]) == (made, "fax")
    assert table.destination("other") is None
    decoded = decode(build("wse:SubscribeResponse", response))
    assert decoded.find("SubscriptionManager/ReferenceParameters/Identifier") is not None
    assert decoded.children[0].find("ReferenceParameters") is not None


def test_one_only_ends_the_one_before() -> None:
    table = SubscriptionTable(Ids(1), (END,), one_only=True)
    first = table.subscribe(subscribe(), 0, 0)
    second = table.subscribe(subscribe(), 0, 0)
    assert table.all() == [second]
    assert first.identifier != second.identifier


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "PT0S"), (59.6, "PT1M"), (3600, "PT1H"), (3661, "PT1H1M1S"), (-1, "PT0S")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_reference_parameters_of_the_sink_are_kept_for_echoing(table: SubscriptionTable) -> None:
    parameters = {f"{{{WSE}}}Identifier": "urn:uuid:1"}
    body = subscribe(delivery={"notify_to": {"address": SINK, "reference_parameters": parameters}})
    made = table.subscribe(body, 0, 0)
    assert [(name.namespace, name.local, text) for name, text in made.notify_to.parameters] == [
        (WSE, "Identifier", "urn:uuid:1")
    ]
