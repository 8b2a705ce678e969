"""The device's half of WS-Discovery, and the client's, without sockets."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.findings import Finding
from dissector.base.origin import Endpoint
from dissector.catalog import check, decode, decode_all, findings_of, qname
from dissector.soap.build import build_envelope
from dissector.soap.envelope import parse_envelope
from dissector.soap.model import Envelope, QName
from dissector.soap.namespaces import WSD05, WSD11
from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.base.repeats import DPWS_2006, SOAP_OVER_UDP_2004
from replay.devices.discovery import (
    APP_MAX_DELAY,
    LATEST_MATCH,
    MAX_DATAGRAM,
    REMEMBERED,
    DiscoveryHost,
    Transmission,
    build_probe,
    build_resolve,
    read_matches,
    transmit,
)
from replay.devices.metadata import DeviceInfo
from replay.devices.wsdiscovery import VERSIONS, compose
from replay.soap.faults import SoapFault

ADDRESS = "urn:uuid:4509a320-00a0-008f-00b6-002507510eca"
DEVICE, SCANNER, PRINTER = qname("wsdp:Device"), qname("wscn:ScanDeviceType"), qname("wprt:PrintDeviceType")
INFO = DeviceInfo(ADDRESS, (DEVICE, SCANNER), ("http://example.com/floor/1",), 7)
PEER = Endpoint("192.0.2.10", 40000)
LOCAL = "192.0.2.20"
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"


def host(**quirks: Any) -> DiscoveryHost:
    given_: dict[str, Any] = {
        "xaddrs": lambda local: (f"http://{local or 'any'}:5357/wsd",), "ids": Ids(1), "instance_id": 100,
        "rng": random.Random(1),
    }  # fmt: skip
    return DiscoveryHost(given_.pop("info", quirks.pop("info", INFO)), **{**given_, **quirks})


def read(data: bytes) -> Envelope:
    """An envelope of ours; nothing is wrong with it."""
    envelope, findings = parse_envelope(data)
    assert envelope is not None
    assert envelope.content is not None
    assert envelope.header is not None
    body = decode(envelope.content)
    found: list[Finding] = [*findings, *check(body), *findings_of(body)]
    found += [one for block in decode_all(envelope.header) for one in (*check(block), *findings_of(block))]
    assert found == []
    return envelope


def sequence(envelope: Envelope) -> dict[str, Any]:
    block = next(one for one in envelope.headers if str(one.tag).endswith("}AppSequence"))
    return {name: value for name, (value, _) in decode(block).attributes.items()}


def probe(types: Sequence[QName] = (), scopes: Sequence[str] = (), seed: int = 5, **more: Any) -> tuple[str, bytes]:
    return build_probe(types, scopes, Ids(seed), **more)


# -- announcing ------------------------------------------------------------------------------------------------------


def test_hello() -> None:
    sent = host().hello([LOCAL, "2001:db8::20", LOCAL])
    assert {(one.destination, one.kind, one.data) for one in sent} == {(None, "Hello", sent[0].data)}
    assert len(sent) == DPWS_2006.multicast == 2
    assert 0 <= sent[0].delay <= LATEST_MATCH
    envelope = read(sent[0].data)
    headers = envelope.addressing
    assert (headers.to, headers.action) == ("urn:schemas-xmlsoap-org:ws:2005:04:discovery", f"{WSD05}/Hello")
    assert headers.message_id
    assert sequence(envelope) == {"InstanceId": 100, "MessageNumber": 1}
    assert envelope.content is not None
    assert decode(envelope.content).to_json() == {
        "endpoint_reference": {"address": ADDRESS},
        "types": [str(DEVICE), str(SCANNER)],
        "scopes": ["http://example.com/floor/1"],
        "xaddrs": ["http://192.0.2.20:5357/wsd", "http://2001:db8::20:5357/wsd"],
        "metadata_version": 7,
    }


def test_bye_at_once_with_the_next_number() -> None:
    device = host(sequence_id="urn:uuid:1")
    device.hello()
    sent = device.bye()
    assert sent[0].delay == 0
    envelope = read(sent[0].data)
    assert envelope.addressing.action == f"{WSD05}/Bye"
    assert sequence(envelope) == {"InstanceId": 100, "SequenceId": "urn:uuid:1", "MessageNumber": 2}
    assert envelope.content is not None
    assert decode(envelope.content).to_json() == {"endpoint_reference": {"address": ADDRESS}}


def test_changed_metadata_are_announced_again() -> None:
    device = host()
    device.info = replace(INFO, metadata_version=8, types=(DEVICE,))
    content = read(device.hello()[0].data).content
    assert content is not None
    assert decode(content).get("MetadataVersion") == 8


@pytest.mark.parametrize("quirk", ["xaddrs_in_hello", "resolve_only_xaddrs"])
def test_hello_without_addresses(quirk: str) -> None:
    device = host(**{quirk: quirk == "resolve_only_xaddrs"})
    content = read(device.hello()[0].data).content
    assert content is not None
    assert decode(content).find("XAddrs") is None


def test_both_versions_are_announced() -> None:
    sent = host(versions=("2005/04", "2009/01"), max_delay=0).hello()
    names = [read(one.data).name for one in sent]
    assert [(name.namespace, name.local) for name in names if name is not None] == [
        (WSD05, "Hello"), (WSD05, "Hello"), (WSD11, "Hello"), (WSD11, "Hello"),
    ]  # fmt: skip
    newer = read(sent[2].data)
    assert newer.addressing.version == "2005/08"
    assert newer.addressing.to == "urn:docs-oasis-open-org:ws-dd:ns:discovery:2009:01"
    assert sequence(newer)["MessageNumber"] == 2


def test_silent_device() -> None:
    device = host(udp=False)
    _, data = probe()
    assert device.hello() == device.bye() == device.receive(data, PEER, LOCAL, True) == []
    envelope, _ = parse_envelope(data)
    assert envelope is not None
    assert device.answer_probe(envelope, LOCAL) is not None


# -- Probe -----------------------------------------------------------------------------------------------------------


def test_probe_is_answered_in_the_form_of_the_specification() -> None:
    message_id, data = probe([SCANNER])
    sent = host().receive(data, PEER, LOCAL, True)
    assert [(one.destination, one.kind) for one in sent] == [(PEER, "ProbeMatches")] * DPWS_2006.unicast
    envelope = read(sent[0].data)
    headers = envelope.addressing
    assert (headers.to, headers.action) == (ANONYMOUS, f"{WSD05}/ProbeMatches")
    assert headers.relates_to == [("", message_id)]
    assert headers.message_id not in (None, message_id)
    assert sequence(envelope) == {"InstanceId": 100, "MessageNumber": 1}
    (match,) = read_matches(sent[0].data, message_id)
    assert match.address == ADDRESS
    assert [str(one) for one in match.types] == [str(DEVICE), str(SCANNER)]
    assert (match.scopes, match.xaddrs) == (INFO.scopes, ("http://192.0.2.20:5357/wsd",))
    assert match.metadata_version == 7
    assert read_matches(sent[0].data, "urn:uuid:another") == []


@pytest.mark.parametrize(
    ("types", "scopes", "match_by", "answered"),
    [
        ([], [], None, True),
        ([DEVICE, SCANNER], [], None, True),
        ([QName(SCANNER.namespace, "ScanDeviceType", "other")], [], None, True),
        ([DEVICE, PRINTER], [], None, False),
        ([QName("urn:example", "ScanDeviceType", "wscn")], [], None, False),
        ([], ["http://EXAMPLE.com/floor"], None, True),
        ([], ["http://EXAMPLE.com/floor"], f"{WSD05}/strcmp0", False),
        ([], ["http://example.com/floor/1"], f"{WSD05}/strcmp0", True),
        ([], ["http://example.com/floor", "http://example.com/2"], None, False),
        ([DEVICE], ["http://example.com"], f"{WSD05}/rfc2396", True),
        ([], ["http://example.com"], "urn:vendor:rule", False),
        ([], [], "urn:vendor:rule", False),
    ],
)
def test_matching(types: list[QName], scopes: list[str], match_by: str | None, answered: bool) -> None:
    _, data = probe(types, scopes, match_by=match_by)
    assert bool(host().receive(data, PEER, LOCAL, True)) is answered


@pytest.mark.parametrize("types", ["wscn:ScanDeviceType", "!", "<x/>"])
def test_types_that_are_no_names_match_nothing(types: str) -> None:
    _, data = probe([DEVICE])
    data = data.replace(b"wsdp:Device<", types.encode() + b"<")
    assert host().receive(data, PEER, LOCAL, True) == []


def test_unknown_rule_is_refused_over_unicast_only() -> None:
    message_id, data = probe((), ["urn:a"], match_by="urn:vendor:rule")
    assert host().receive(data, PEER, LOCAL, True) == []
    sent = host().receive(data, PEER, LOCAL, False)
    assert {(one.kind, one.destination) for one in sent} == {("Fault", PEER)}
    envelope, findings = parse_envelope(sent[0].data)
    assert envelope is not None
    assert envelope.fault is not None
    assert findings == []
    assert (envelope.fault.code, envelope.fault.subcodes[0]) == (
        "Sender", QName(WSD05, "MatchingRuleNotSupported", "wsd"),
    )  # fmt: skip
    assert envelope.addressing.action == f"{WSD05}/fault"
    assert envelope.addressing.relates_to == [("", message_id)]
    assert envelope.fault.detail is not None
    rules = decode(envelope.fault.detail[0]).value
    assert {f"{WSD05}/rfc2396", f"{WSD05}/strcmp0"} <= set(rules)


def test_multicast_waits_at_random_and_unicast_does_not() -> None:
    device, delays = host(), []
    for seed in range(200):
        _, data = probe(seed=seed)
        delays.append(device.receive(data, PEER, LOCAL, True)[0].delay)
    assert 0 <= min(delays) < 0.3
    assert LATEST_MATCH - 0.3 < max(delays) <= LATEST_MATCH
    _, data = probe(seed=1000)
    assert device.receive(data, PEER, LOCAL, False)[0].delay == 0


def test_no_match_comes_later_than_windows_waits() -> None:
    device = host(max_delay=60)
    assert APP_MAX_DELAY > LATEST_MATCH
    for seed in range(50):
        _, data = probe(seed=seed)
        assert device.receive(data, PEER, LOCAL, True)[0].delay <= LATEST_MATCH
        assert device.hello()[0].delay <= APP_MAX_DELAY


def test_seed_makes_the_delays_the_same() -> None:
    _, data = probe()
    first, second = (
        host(rng=None, seed=4, ids=Ids(1)).receive(data, PEER, LOCAL, True),
        host(rng=None, seed=4, ids=Ids(1)).receive(data, PEER, LOCAL, True),
    )
    assert first == second


def test_question_is_answered_once() -> None:
    device = host()
    _, data = probe()
    assert device.receive(data, PEER, LOCAL, True)
    assert device.receive(data, Endpoint("192.0.2.99", 1), LOCAL, False) == []
    for seed in range(6, 6 + REMEMBERED):
        device.receive(probe(seed=seed)[1], PEER, LOCAL, True)
    # Memory is bounded: the first one is forgotten by now.
    assert device.receive(data, PEER, LOCAL, True)


def test_answers_go_to_the_sender_only() -> None:
    for multicast in (True, False):
        _, data = probe()
        asked = data.replace(
            b"</soap:Header>",
            b"<wsa:ReplyTo><wsa:Address>http://198.51.100.1/</wsa:Address></wsa:ReplyTo></soap:Header>",
        )
        assert host().receive(asked, PEER, LOCAL, multicast) == []
        asked = asked.replace(b"http://198.51.100.1/", ANONYMOUS.encode())
        assert host().receive(asked, PEER, LOCAL, multicast)


def test_addresses_in_resolve_matches_only() -> None:
    device = host(resolve_only_xaddrs=True)
    message_id, data = probe()
    (match,) = read_matches(device.receive(data, PEER, LOCAL, True)[0].data, message_id)
    assert match.xaddrs == ()
    message_id, data = build_resolve(match.address, Ids(9))
    (match,) = read_matches(device.receive(data, PEER, LOCAL, True)[0].data, message_id)
    assert match.xaddrs == ("http://192.0.2.20:5357/wsd",)


def test_fixed_addresses() -> None:
    message_id, data = probe()
    sent = host(xaddrs=("http://a/", "http://b/")).receive(data, PEER, LOCAL, True)
    assert read_matches(sent[0].data, message_id)[0].xaddrs == ("http://a/", "http://b/")


# -- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoken", "asked", "answered"),
    [
        (("2005/04",), "2005/04", True),
        (("2005/04",), "2009/01", False),
        (("2005/04", "2009/01"), "2009/01", True),
        (("2009/01",), "2005/04", False),
    ],
)
def test_probe_is_answered_in_its_version(spoken: tuple[str, ...], asked: str, answered: bool) -> None:
    message_id, data = probe(version=asked)
    sent = host(versions=spoken).receive(data, PEER, LOCAL, True)
    assert bool(sent) is answered
    if sent:
        envelope = read(sent[0].data)
        assert envelope.name is not None
        assert envelope.name.namespace == VERSIONS[asked].namespace
        assert envelope.addressing.version == VERSIONS[asked].addressing
        assert read_matches(sent[0].data, message_id)[0].address == ADDRESS


# -- Resolve ---------------------------------------------------------------------------------------------------------


def test_resolve_is_answered_at_once_by_its_owner() -> None:
    message_id, data = build_resolve(ADDRESS.upper().replace("URN:UUID", "urn:uuid"), Ids(3))
    sent = host().receive(data, PEER, LOCAL, True)
    assert [one.kind for one in sent] == ["ResolveMatches"] * DPWS_2006.unicast
    assert sent[0].delay == 0
    envelope = read(sent[0].data)
    assert envelope.addressing.action == f"{WSD05}/ResolveMatches"
    (match,) = read_matches(sent[0].data, message_id)
    assert (match.address, match.xaddrs) == (ADDRESS, ("http://192.0.2.20:5357/wsd",))
    _, data = build_resolve("urn:uuid:another", Ids(4))
    assert host().receive(data, PEER, LOCAL, True) == []


# -- Probe over HTTP -------------------------------------------------------------------------------------------------


def test_directed_probe() -> None:
    device = host()
    for types, matches in (([SCANNER], True), ([PRINTER], False)):
        _, data = probe(types)
        envelope, _ = parse_envelope(data)
        assert envelope is not None
        for _ in range(2):
            body = device.answer_probe(envelope, LOCAL)
            assert (body is not None) is matches
        if body is not None:
            field = decode(body)
            assert [*check(field), *findings_of(field)] == []
            assert field.get("ProbeMatch/XAddrs") == ["http://192.0.2.20:5357/wsd"]
    first, second = (decode(device.app_sequence()).attributes["MessageNumber"][0] for _ in range(2))
    assert second == first + 1


def test_directed_probe_with_an_unknown_rule() -> None:
    envelope, _ = parse_envelope(probe((), ["urn:a"], match_by="urn:vendor:rule")[1])
    assert envelope is not None
    with pytest.raises(SoapFault) as refused:
        host().answer_probe(envelope)
    assert (refused.value.name, refused.value.action) == ("MatchingRuleNotSupported", f"{WSD05}/fault")


# -- hostile and strange ---------------------------------------------------------------------------------------------


def test_what_is_no_question_is_not_answered() -> None:
    device = host()
    _, data = probe()
    hello = device.hello()[0].data
    for junk in (
        b"", b"\x00" * 100, b"<a/>", hello, device.bye()[0].data, data[:-20],
        data.replace(b"<soap:Body>", b"<soap:Bo>"),
        data.replace(b"2003/05/soap-envelope", b"2003/05/soap-other"), data.replace(b"/Probe<", b"/Resolve<"),
        data.replace(b"MessageID", b"MessageIX"),
        build_envelope(None, action=f"{WSD05}/Probe", message_id="urn:uuid:1"),
    ):  # fmt: skip
        assert device.receive(junk, PEER, LOCAL, True) == [], junk
    assert device.receive(data, PEER, LOCAL, True)


def test_longest_datagram() -> None:
    _, data = probe()
    fits = data.replace(b"</soap:Envelope>", b" " * (MAX_DATAGRAM - len(data)) + b"</soap:Envelope>")
    assert len(fits) == MAX_DATAGRAM
    assert host().receive(fits, PEER, LOCAL, True)
    assert host().receive(fits.replace(b"</soap:Env", b" </soap:Env"), PEER, LOCAL, True) == []


def test_longest_message_id() -> None:
    for length, answered in ((2048, True), (2049, False)):
        data = compose(VERSIONS["2005/04"], "Probe", {}, "m" * length)
        assert bool(host().receive(data, PEER, LOCAL, True)) is answered


@given(st.binary(max_size=40), st.integers(0, 900), st.booleans())
def test_damage_never_raises(junk: bytes, at: int, multicast: bool) -> None:
    _, data = probe([SCANNER], ["http://example.com"])
    damaged = data[:at] + junk + data[at + len(junk) :]
    host().receive(damaged, PEER, LOCAL, multicast)
    read_matches(damaged, None)
    sent = host().receive(data, PEER, LOCAL, False)[0].data
    read_matches(sent[:at] + junk + sent[at + len(junk) :], None)


def test_answers_of_strangers_are_read_tolerantly() -> None:
    answer = (
        b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns="http://schemas.xmlsoap.org/ws/2005/04/'
        b'discovery" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><e:Header><a:RelatesTo> uuid:ABC '
        b"</a:RelatesTo></e:Header><e:Body><ProbeMatches><ProbeMatch><XAddrs>\n http://a/ http://b/</XAddrs>"
        b"<MetadataVersion>new</MetadataVersion><Types>x:Unbound !</Types></ProbeMatch><ProbeMatch/></ProbeMatches>"
        b"</e:Body></e:Envelope>"
    )
    first, second = read_matches(answer, "urn:uuid:abc")
    assert (first.address, first.xaddrs, first.metadata_version) == ("", ("http://a/", "http://b/"), None)
    assert (second.types, second.scopes, second.xaddrs) == ((), (), ())
    assert read_matches(answer, "urn:uuid:abd") == []


# -- repeats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("repeats", "waits"), [(DPWS_2006, 1), (SOAP_OVER_UDP_2004, 3)])
def test_waits_double_up_to_the_upper_delay(repeats: Any, waits: int) -> None:
    for seed in range(50):
        offsets = repeats.offsets(repeats.multicast, random.Random(seed))
        steps = [after - before for before, after in itertools.pairwise(offsets)]
        assert offsets[0] == 0
        assert len(steps) == waits
        assert repeats.min_delay <= steps[0] <= repeats.max_delay
        for before, after in itertools.pairwise(steps):
            assert after == pytest.approx(min(before * 2, repeats.upper_delay))


def test_transmissions_go_out_when_they_are_due() -> None:
    async def story() -> None:
        clock = ManualClock()
        sent: list[tuple[float, bytes, Endpoint | None]] = []
        planned = [
            Transmission(0.5, b"b", None, "Hello"),
            Transmission(0.0, b"a", PEER, "ProbeMatches"),
            Transmission(0.75, b"c", None, "Hello"),
        ]
        going = asyncio.create_task(transmit(planned, lambda d, to: sent.append((clock.monotonic(), d, to)), clock))
        await clock.settle()
        assert sent == [(0.0, b"a", PEER)]
        await clock.advance(0.7)
        assert sent[1:] == [(0.5, b"b", None)]
        await clock.advance(0.1)
        assert sent[2:] == [(0.75, b"c", None)]
        await going

    asyncio.run(story())
