"""Events go out in order, are tried again, and end in order; a slow sink holds up nobody else."""

from __future__ import annotations

import asyncio

import pytest

from dissector.catalog import check
from dissector.soap.namespaces import DSP, WSCN, WSE
from replay.devices.emulator import Around
from replay.devices.scanner.scanner import Scanner
from replay.devices.source import ATTEMPTS, BACKOFF, FAREWELL, QUEUE
from tests.support.event_rig import EVENT, Rig, identifier_of
from tests.support.loopback import closed_port, run, until


def test_events_come_in_order_with_the_reference_parameters_of_the_sink() -> None:
    async def story() -> None:
        async with Rig() as rig:
            sink = await rig.sink()
            await rig.subscribe(sink)
            rig.notify(20)
            await rig.told(sink, *range(1, 21))
            assert len({one.message_id for one in sink.events}) == 20
            for one in sink.events:
                assert one.envelope is not None
                addressing = one.envelope.addressing
                assert (addressing.action, addressing.to) == (EVENT, sink.url)
                assert [(name.namespace, name.local, text) for name, text in addressing.parameters] == [
                    (WSE, "Identifier", "urn:mine"), (DSP, "Odd", "<&>"),
                ]  # fmt: skip
                assert one.findings == []
                assert one.body is not None
                assert check(one.body) == []
                # One connection serves them all.
                assert one.stream == sink.events[0].stream

    run(story())


def test_a_slow_sink_holds_up_nobody_else() -> None:
    async def story() -> None:
        async with Rig() as rig:
            slow, quick = await rig.sink(), await rig.sink()
            for one in (slow, quick):
                await rig.subscribe(one)
            slow.hold.clear()
            rig.notify(3)
            await rig.told(quick, 1, 2, 3)
            await rig.told(slow, 1)
            slow.hold.set()
            await rig.told(slow, 1, 2, 3)
            await rig.source.drained()

    run(story())


@pytest.mark.parametrize("status", [404, 500, 503])
def test_what_fails_is_tried_again_by_the_clock_with_the_same_message_id(status: int) -> None:
    async def story() -> None:
        async with Rig() as rig:
            sink = await rig.sink()
            await rig.subscribe(sink)
            sink.statuses = [status, status]
            rig.notify(2)
            for number, seconds in enumerate(BACKOFF, start=1):
                await until(lambda number=number: len(sink.events) == number)
                await until(lambda seconds=seconds: seconds in (rig.clock.next_due, round(rig.clock.next_due or 0, 3)))
                await rig.clock.advance(seconds)
            await rig.told(sink, 1, 1, 1, 2)
            assert len({one.message_id for one in sink.events[:3]}) == 1
            failed = [line for line in rig.said if line.startswith("failed")]
            assert [f"try {n} of {ATTEMPTS}: HTTP {status}" in line for n, line in enumerate(failed, 1)] == [True, True]
            assert len(rig.source.table) == 1

    run(story())


async def fail_all(rig: Rig) -> None:
    """Let the clock run until the subscription is given up."""
    while len(rig.source.table):
        await rig.clock.settle()
        if rig.clock.next_due is not None and rig.clock.next_due <= max(BACKOFF):
            await rig.clock.advance(rig.clock.next_due)


def test_who_cannot_be_told_is_given_up_and_end_to_hears_why() -> None:
    async def story() -> None:
        async with Rig() as rig:
            dead, end_to = await rig.sink(), await rig.sink()
            answer = await rig.subscribe(dead, end_to={"address": end_to.url})
            dead.statuses = [500] * ATTEMPTS
            rig.notify(4)
            await fail_all(rig)
            await rig.source.drained()
            await until(lambda: end_to.events)
            assert end_to.ends == ["DeliveryFailure"]
            end = end_to.events[0]
            assert end.findings == []
            assert end.body is not None
            assert check(end.body) == []
            inner = end.body.find("SubscriptionManager/ReferenceParameters/Identifier")
            assert inner is not None
            assert inner.text == identifier_of(answer)
            assert end.get("SubscriptionManager/Address") == f"http://127.0.0.1:{rig.port}/manager"
            assert dead.told == ["1"] * ATTEMPTS
            rig.notify()
            status = await rig.manage("GetStatus", identifier_of(answer))
            assert status.fault is not None

    run(story())


def test_a_sink_that_is_not_there() -> None:
    async def story(port: int) -> None:
        async with Rig() as rig:
            other = await rig.sink()
            await rig.subscribe(f"http://127.0.0.1:{port}/", ends=False)
            await rig.subscribe(other)
            rig.notify()
            await rig.told(other, 1)
            while len(rig.source.table) == 2:
                await rig.clock.settle()
                if (due := rig.clock.next_due) is not None and due <= max(BACKOFF):
                    await rig.clock.advance(due)
            assert [one.notify_to.address for one in rig.source.table.all()] == [other.url]
            assert sum("Connection refused" in line for line in rig.said if "of 3" in line) == ATTEMPTS

    with closed_port() as port:
        run(story(port))


@pytest.mark.parametrize(
    "address", ["mailto:a@b", "http://127.0.0.1:99999/", "http:///", "urn:x", "http://127.0.0.1/\u202e"]
)
def test_a_sink_that_is_no_address_hurts_nobody(address: str) -> None:
    async def story() -> None:
        async with Rig() as rig:
            other = await rig.sink()
            await rig.subscribe(address, ends=False)
            await rig.subscribe(other)
            rig.notify()
            await rig.told(other, 1)
            while len(rig.source.table) == 2:
                await rig.clock.settle()
                if (due := rig.clock.next_due) is not None and due <= max(BACKOFF):
                    await rig.clock.advance(due)
            assert any("is not told any more: 3 tries failed" in line for line in rig.said)

    run(story())


def test_too_many_events_wait() -> None:
    async def story() -> None:
        async with Rig() as rig:
            sink = await rig.sink()
            await rig.subscribe(sink)
            sink.hold.clear()
            rig.notify(1)
            await until(lambda: sink.told)
            rig.notify(QUEUE + 1)
            assert len(rig.source.table) == 0
            sink.hold.set()
            await until(lambda: sink.ends)
            assert sink.ends == ["DeliveryFailure"]
            assert any(f"more than {QUEUE} notifications wait" in line for line in rig.said)
            await rig.source.drained()

    run(story())


def test_the_life_of_a_subscription() -> None:
    async def story() -> None:
        async with Rig() as rig:
            sink = await rig.sink()
            answer = await rig.subscribe(sink, expires="PT60S")
            assert (answer.name, answer.findings) == ("SubscribeResponse", [])
            assert str(answer.get("Expires")) == "PT1M"
            assert answer.get("SubscriptionManager/Address") == f"http://127.0.0.1:{rig.port}/manager"
            mine = identifier_of(answer)
            await rig.clock.advance(45)
            status = await rig.manage("GetStatus", mine)
            assert (status.name, str(status.get("Expires"))) == ("GetStatusResponse", "PT15S")
            renewed = await rig.manage("Renew", mine, {"expires": "PT2M"})
            assert (renewed.name, str(renewed.get("Expires"))) == ("RenewResponse", "PT2M")
            await rig.clock.advance(119)
            rig.notify()
            await rig.told(sink, 1)
            gone = await rig.manage("Unsubscribe", mine)
            assert (gone.name, gone.findings) == ("UnsubscribeResponse", [])
            rig.notify()
            for operation in ("GetStatus", "Renew", "Unsubscribe"):
                again = await rig.manage(operation, mine)
                assert again.fault is not None
                assert (again.fault.code, again.fault.subcode) == ("Sender", "InvalidMessage")
            await rig.source.stop()
            assert (sink.told, sink.ends) == (["1"], [])

    run(story())


def test_what_has_expired_is_told_nothing_and_takes_no_room() -> None:
    async def story() -> None:
        async with Rig(limit=2) as rig:
            sink = await rig.sink()
            answers = [await rig.subscribe(sink, expires="PT10S") for _ in range(2)]
            refused = await rig.subscribe(sink)
            assert refused.fault is not None
            rig.notify()
            await until(lambda: len(sink.told) == 2)
            await rig.clock.advance(10)
            assert (await rig.subscribe(sink)).name == "SubscribeResponse"
            assert len(rig.source._sending) == 0
            assert list(rig.source._managers) == [one.identifier for one in rig.source.table.all()]
            gone = await rig.manage("GetStatus", identifier_of(answers[0]))
            assert gone.fault is not None
            rig.notify()
            await until(lambda: len(sink.told) == 3)
            assert sink.ends == []

    run(story())


def test_nothing_is_kept_of_those_who_have_left() -> None:
    async def story() -> None:
        async with Rig() as rig:
            sink = await rig.sink()
            for _ in range(5):
                answer = await rig.subscribe(sink)
                rig.notify()
                await rig.source.drained()
                await rig.manage("Unsubscribe", identifier_of(answer))
            assert (rig.source._sending, rig.source._managers, len(rig.source.table)) == ({}, {}, 0)

    run(story())


def test_the_end_is_told_when_the_device_stops() -> None:
    async def story() -> None:
        async with Rig() as rig:
            one, two, silent = await rig.sink(), await rig.sink(), await rig.sink()
            for sink in (one, two):
                await rig.subscribe(sink)
            await rig.subscribe(silent, ends=False)
            rig.notify()
            await rig.source.drained()
            await rig.source.stop()
            assert [sink.ends for sink in (one, two, silent)] == [["SourceShuttingDown"], ["SourceShuttingDown"], []]
            end = one.events[-1]
            assert end.envelope is not None
            assert end.envelope.addressing.action == f"{WSE}/SubscriptionEnd"
            assert [text for _, text in end.envelope.addressing.parameters] == ["urn:mine", "<&>"]
            assert len(rig.source.table) == 0

    run(story())


def test_a_sink_that_does_not_answer_does_not_hold_up_the_end() -> None:
    async def story() -> None:
        async with Rig() as rig:
            stuck, good = await rig.sink(), await rig.sink()
            for sink in (stuck, good):
                await rig.subscribe(sink)
            stuck.hold.clear()
            rig.notify()
            await until(lambda: stuck.told)
            stopping = asyncio.create_task(rig.source.stop())
            await until(lambda: stuck.ends and good.ends)
            await rig.clock.settle()
            assert not stopping.done()
            await rig.clock.advance(FAREWELL)
            await stopping
            stuck.hold.set()

    run(story())


def test_loopback_only_sinks_of_a_device_on_loopback() -> None:
    scanner = Scanner(around=Around())
    good = ("http://127.0.0.1/", "http://127.3.4.5:80/x", "http://[::1]/", "http://localhost:1/", "https://LOCALHOST/")
    bad = (
        "http://192.0.2.1/", "http://example.test/", "http://[2001:db8::1]/", "http://0.0.0.0/", "", "urn:x",
        "http://127.0.0.1@192.0.2.1/", "http://localhost.example.test/", "http://[::1", "http://2130706433/",
        "http://[::ffff:192.0.2.1]/",
    )  # fmt: skip
    assert [one for one in good if not scanner.may_contact(one)] == []
    assert [one for one in bad if scanner.may_contact(one)] == []
    open_ = Scanner(around=Around(listen=[("127.0.0.1", 0), ("0.0.0.0", 0)]))
    assert open_.may_contact("http://192.0.2.1/")


@pytest.mark.parametrize("place", ["notify_to", "end_to"])
def test_a_sink_elsewhere_is_refused_at_once(place: str) -> None:
    async def story() -> None:
        async with Rig(may_notify=lambda address: "127.0.0.1" in address) as rig:
            sink = await rig.sink()
            far = "http://192.0.2.1/sink"
            if place == "notify_to":
                answer = await rig.subscribe(far, ends=False)
            else:
                answer = await rig.subscribe(sink, end_to={"address": far})
            assert answer.fault is not None
            assert answer.fault.subcode == "DestinationUnreachable"
            assert far in answer.fault.reason
            assert len(rig.source.table) == 0

    run(story())


def test_only_those_who_want_an_event_get_it() -> None:
    async def story() -> None:
        async with Rig() as rig:
            all_, other = await rig.sink(), await rig.sink()
            await rig.subscribe(all_)
            dialect = "http://schemas.xmlsoap.org/ws/2006/02/devprof/Action"
            await rig.subscribe(other, filter=[f"{WSCN}/JobStatusEvent"], **{"filter@dialect": dialect})
            rig.notify(2)
            await rig.told(all_, 1, 2)
            await rig.source.drained()
            assert other.told == []

    run(story())
