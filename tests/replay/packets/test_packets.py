"""Datagrams sent again: which are taken, what of their bytes changes, where they go, when, and as what packets."""

from __future__ import annotations

import asyncio
import io
import itertools
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dissector
from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.net.interfaces import LocalAddress
from replay.packets import (
    Chosen,
    Identities,
    Planned,
    Recorded,
    Route,
    choose,
    packets_of,
    plan,
    play,
    rewritten,
    route_of,
)
from tests.support.capture_files import pcap
from tests.support.packets import UDP, checksum, ether, ipv4, ipv6, tcp, udp, vlan
from tests.support.wsd import DISCOVERY_TO, SOAP, WSD, envelope, ns

NOW = 1_800_000_000
GROUP, GROUP6 = "239.255.255.250", "ff02::c"
WIRE = (
    LocalAddress("wire0", 3, "192.0.2.10", 24),
    LocalAddress("wire0", 3, "fe80::10", 64),
    LocalAddress("wire0", 3, "2001:db8::10", 64),
)
ROUTE = Route("wire0", WIRE)
SAMPLES = ["others/disc-debian.pcap", "others/wsdd-debian.pcap", "others/windows-hello.pcap",
           "others/ip6_fragments.pcap", "emulated/airscan-platen.pcap"]  # fmt: skip


def chosen(path: Path, *only: str, count: int | None = None) -> Chosen:
    with dissector.open(str(path)) as capture:
        return choose(capture.all_soap, only=only, count=count)


def recorded(*frames: bytes | tuple[float, bytes]) -> list[Recorded]:
    """What is chosen of IP packets; a time in seconds may stand before each."""
    timed = [one if isinstance(one, tuple) else (0.0, one) for one in frames]
    file = pcap([(NOW * 10**9 + round(at * 10**9), ether(data), 0) for at, data in timed])
    with dissector.open(io.BytesIO(file)) as capture:
        return choose(capture.all_soap).datagrams


def hello(
    message_id: str, instance: str = "7", number: str = "1", *, device: str = "urn:uuid:d", sequence: str = "",
    xaddrs: str = "", name: str = "Hello", relates_to: str | None = None,
) -> bytes:  # fmt: skip
    said = f' SequenceId="{sequence}"' if sequence else ""
    app = f'<wsd:AppSequence InstanceId="{instance}"{said} MessageNumber="{number}"/>'
    where = f"<wsd:XAddrs>{xaddrs}</wsd:XAddrs>" if xaddrs else ""
    body = (
        f"<wsd:{name}><wsa:EndpointReference><wsa:Address>{device}</wsa:Address></wsa:EndpointReference>{where}"
        f"<wsd:MetadataVersion>1</wsd:MetadataVersion></wsd:{name}>"
    )
    return envelope(
        f"{WSD}/{name}", body, message_id=message_id, to=DISCOVERY_TO, headers=app, namespaces=ns(wsd=WSD),
        relates_to=relates_to,
    )  # fmt: skip


def multicast(payload: bytes, source: str = "198.51.100.1", group: str = GROUP) -> bytes:
    return ipv4(udp(payload, 40000, 3702), source, group, UDP, ttl=1)


def unicast(payload: bytes, source: str = "198.51.100.1", to: str = "198.51.100.2") -> bytes:
    return ipv4(udp(payload, 3702, 40001), source, to, UDP)


def renewed(many: Sequence[Recorded], now: int = NOW) -> tuple[list[bytes], Identities]:
    identities = Identities(many, Ids("new"), now)
    return [rewritten(one, identities) for one in many], identities


def values(payload: bytes, kind: str) -> list[str]:
    """The values of a datagram, read anew."""
    (one,) = recorded(multicast(payload))
    return [slot.value for slot in one.slots if slot.kind == kind]


# -- what is taken ---------------------------------------------------------------------------------------------------


def test_all_soap_datagrams_are_taken_and_what_came_over_tcp_is_counted(samples: Path) -> None:
    found = chosen(samples / "others/wsdd-debian.pcap")
    names = {one.name for one in found.datagrams}
    assert names == {"Hello", "Bye", "Probe", "ProbeMatches", "Resolve", "ResolveMatches"}
    assert dict(found.over_tcp) == {"Get": 1, "GetResponse": 1}
    assert [one.frame for one in found.datagrams[:3]] == [1, 2, 3]
    assert not found.more


def test_only_some_of_them(samples: Path) -> None:
    path = samples / "others/wsdd-debian.pcap"
    assert {one.name for one in chosen(path, "hello", " Bye ").datagrams} == {"Hello", "Bye"}
    assert len(chosen(path, "Hello", count=2).datagrams) == 2
    assert not chosen(path, count=2).more


@pytest.mark.parametrize(
    ("name", "only", "words"),
    [
        ("others/wsdd-debian.pcap", ["Get"], ["Get came over TCP (1 message)", "dsmreplay run"]),
        ("others/wsdd-debian.pcap", ["Hello", "Get"], ["Get came over TCP", "dsmreplay run"]),
        ("others/wsdd-debian.pcap", ["Hallo"], ["no datagram is a Hallo", "Probe (", "ResolveMatches ("]),
        ("scan-push.pcapng", [], ["over TCP", "dsmreplay run"]),
        ("others/empty.pcap", [], ["no datagram of SOAP"]),
        ("others/empty.pcap", ["Hello"], ["no datagram is a Hello; there are no datagrams"]),
    ],
)
def test_what_cannot_be_taken_is_refused(samples: Path, name: str, only: list[str], words: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        chosen(samples / name, *only)
    assert all(word in str(error.value) for word in words)


def test_more_than_can_be_held(monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    monkeypatch.setattr("replay.packets.recorded.MAX_DATAGRAMS", 3)
    path = samples / "others/wsdd-debian.pcap"
    found = chosen(path)
    assert (len(found.datagrams), found.more) == (3, True)
    assert chosen(path, count=4).more
    assert not chosen(path, count=3).more


def test_other_soap_over_udp_and_link_layers() -> None:
    payload = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><Ask xmlns="urn:x"/></s:Body></s:Envelope>'.encode()
    tagged = vlan(multicast(payload))
    file = pcap([(NOW * 10**9, ether(tagged, 0x8100), 0)])
    with dissector.open(io.BytesIO(file)) as capture:
        (one,) = choose(capture.all_soap).datagrams
    assert (one.name, one.payload, one.slots, one.device) == ("Ask", payload, (), "198.51.100.1")


# -- what changes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_changes_but_the_values(samples: Path, name: str) -> None:
    many = chosen(samples / name).datagrams
    new, identities = renewed(many)
    assert identities.notes == []
    for one, payload in zip(many, new, strict=True):
        assert rewritten(one) == one.payload
        # What stands between the values is the same, in the same order.
        at, rest = 0, payload
        for slot in one.slots:
            between = one.payload[at : slot.start]
            assert rest.startswith(between)
            value = identities.value(one, slot).encode()
            assert rest[len(between) :].startswith(value)
            rest = rest[len(between) + len(value) :]
            at = slot.end
        assert rest == one.payload[at:]
        assert {slot.kind for slot in one.slots} >= {"MessageID"}


@pytest.mark.parametrize("name", SAMPLES)
def test_message_ids_are_new_and_consistent(samples: Path, name: str) -> None:
    many = chosen(samples / name).datagrams
    new, _ = renewed(many)
    old_ids = [one.value("MessageID") or "" for one in many]
    ids = [values(payload, "MessageID")[0] for payload in new]
    assert not set(old_ids) & set(ids)
    assert len(set(old_ids)) == len(set(ids)) == len(set(zip(old_ids, ids, strict=True)))
    by_old = dict(zip(old_ids, ids, strict=True))
    answers = 0
    for one, payload in zip(many, new, strict=True):
        related = one.value("RelatesTo")
        if related:
            answers += 1
            assert values(payload, "RelatesTo") == [by_old[related]]
    assert answers or name in ("others/windows-hello.pcap", "others/ip6_fragments.pcap")


def test_repeats_have_the_same_bytes(samples: Path) -> None:
    many = chosen(samples / "others/wsdd-debian.pcap", "Hello").datagrams
    new, _ = renewed(many)
    assert many[0].payload == many[3].payload
    assert len(set(new[:4])) == 1
    assert len(set(new)) == len({one.payload for one in many})


def test_the_form_of_an_id_stays() -> None:
    guid = "0930E772-E5C1-55EB-EC82-C2C2E92F117F"
    forms = [f"urn:uuid:{guid}", f"uuid:{guid}", f"{{{guid}}}", "anything"]
    new, _ = renewed(recorded(*(multicast(hello(form)) for form in forms)))
    ids = [values(payload, "MessageID")[0] for payload in new]
    assert [one.partition("-")[0][:-8] for one in ids] == ["urn:uuid:", "uuid:", "{", "urn:uuid:"]
    assert ids[2].endswith("}")


def test_an_answer_to_what_is_not_sent_keeps_its_relation() -> None:
    payload = hello("urn:uuid:1", name="ProbeMatches", relates_to="urn:uuid:elsewhere")
    new, _ = renewed(recorded(multicast(payload)))
    assert values(new[0], "RelatesTo") == ["urn:uuid:elsewhere"]


@pytest.mark.parametrize(
    ("recorded_ones", "now", "expected"),
    [
        (["7"], NOW, [NOW]),
        (["7", "7", "9"], NOW, [NOW, NOW, NOW + 1]),
        (["9", "7"], NOW, [NOW + 1, NOW]),
        ([str(NOW + 5)], NOW, [NOW + 6]),
        (["4294967294"], NOW, [4294967295]),
    ],
)
def test_instance_ids_are_raised(recorded_ones: list[str], now: int, expected: list[int]) -> None:
    frames = [multicast(hello(f"urn:uuid:{place}", one)) for place, one in enumerate(recorded_ones)]
    many = recorded(*frames)
    new, identities = renewed(many, now)
    assert [values(payload, "InstanceId") for payload in new] == [[str(one)] for one in expected]
    assert identities.notes == []


@pytest.mark.parametrize("largest", ["4294967295", "99999999999999"])
def test_an_instance_id_that_cannot_be_raised_is_told(largest: str) -> None:
    new, identities = renewed(recorded(multicast(hello("urn:uuid:1", largest)), multicast(hello("urn:uuid:2", "3"))))
    assert [values(payload, "InstanceId") for payload in new] == [[largest], ["3"]]
    (note,) = identities.notes
    assert largest in note
    assert "urn:uuid:d" in note


def test_devices_are_raised_each_for_itself() -> None:
    many = recorded(
        multicast(hello("urn:uuid:1", "5", device="urn:a")), multicast(hello("urn:uuid:2", "9", device="urn:b"))
    )
    new, _ = renewed(many)
    assert [values(payload, "InstanceId") for payload in new] == [[str(NOW)], [str(NOW)]]


@pytest.mark.parametrize(
    ("numbers", "ids", "sequences", "expected"),
    [
        ("1 2 5", "a b c", "- - -", "1 2 5"),
        ("1 1 1", "a b c", "- - -", "1 2 3"),
        ("1 1 2", "a a b", "- - -", "1 1 2"),
        ("5 4 6", "a b c", "- - -", "5 6 7"),
        ("1 1 2", "a b c", "x y x", "1 1 2"),
        ("4294967295 4294967295", "a b", "- -", "4294967295 4294967295"),
    ],
)
def test_message_numbers_ascend(numbers: str, ids: str, sequences: str, expected: str) -> None:
    rows = zip(numbers.split(), ids.split(), sequences.split(), strict=True)
    frames = [multicast(hello(f"urn:{one}", number=number, sequence=in_)) for number, one, in_ in rows]
    new, _ = renewed(recorded(*frames))
    assert [values(payload, "MessageNumber")[0] for payload in new] == expected.split()


def test_xaddrs_stay_unless_they_are_to_change() -> None:
    old = (
        "http://198.51.100.1:5357/wsd?a=1&amp;b https://printer.example.test/x http://[2001:db8::9]:80/ "
        "http://198.51.100.9:5357/wsd?a=1&amp;b"
    )
    (one,) = recorded(multicast(hello("urn:uuid:1", xaddrs=f"\n  {old}\n")))
    assert f"\n  {old}\n".encode() in renewed([one])[0][0]
    new = rewritten(one, None, "192.0.2.10")
    assert b">\n  http://192.0.2.10:5357/wsd?a=1&amp;b https://192.0.2.10/x http://192.0.2.10:80/\n<" in new
    assert values(new, "XAddrs") == ["http://192.0.2.10:5357/wsd?a=1&b https://192.0.2.10/x http://192.0.2.10:80/"]
    assert b"http://[fe80::10]:5357/wsd" in rewritten(one, None, "fe80::10")
    both = rewritten(one, Identities([one], Ids("new"), NOW), "192.0.2.10")
    assert (values(both, "InstanceId"), values(both, "XAddrs")) == ([str(NOW)], values(new, "XAddrs"))


def test_a_value_that_holds_elements_is_none() -> None:
    """Its place would hold the places of others: bytes would be sent twice."""
    inner = "http://198.51.100.1/a<wsd:XAddrs>http://198.51.100.2/b</wsd:XAddrs>http://198.51.100.3/c"
    (one,) = recorded(multicast(hello("urn:uuid:1", xaddrs=inner)))
    low, high = one.payload.index(b"198.51.100.2"), one.payload.index(b"/b</wsd")
    assert rewritten(one, None, "192.0.2.10") == one.payload[:low] + b"192.0.2.10" + one.payload[high:]
    assert all(left.end <= right.start for left, right in itertools.pairwise(one.slots))
    (one,) = recorded(multicast(hello("urn:uuid:<x>1</x>", xaddrs="http://h/<!-- a comment -->a")))
    assert [slot.value for slot in one.slots if slot.kind in ("MessageID", "XAddrs")] == ["http://h/a"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "iso-8859-1"])
def test_other_encodings(encoding: str) -> None:
    name = "utf-16" if encoding == "utf-16-be" else encoding.removesuffix("-sig")
    text = hello("urn:uuid:1", xaddrs="http://h/ü").decode().replace('encoding="utf-8"', f'encoding="{name}"')
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    (one,) = recorded(multicast(mark + text.encode(encoding)))
    ((payload,), identities) = renewed([one])
    new = {slot.kind: identities.value(one, slot) for slot in one.slots}
    assert set(new) == {"MessageID", "InstanceId", "MessageNumber", "XAddrs"}
    expected = text.replace("urn:uuid:1", new["MessageID"]).replace('"7"', f'"{NOW}"')
    assert payload == mark + expected.encode(encoding)
    elsewhere = text.replace("http://h/ü", "http://192.0.2.10/ü")
    assert rewritten(one, None, "192.0.2.10") == mark + elsewhere.encode(encoding)


def test_forms_of_writing() -> None:
    text = hello("\n <![CDATA[urn:uuid:1]]> ").decode().replace('InstanceId="7"', "\n InstanceId = ' 7 '")
    text = text.replace("<soap:Header>", "<soap:Header><!-- <wsa:MessageID>no</wsa:MessageID> -->")
    ((payload,), identities) = renewed(recorded(multicast(text.encode())))
    assert f"<wsa:MessageID>\n {identities._messages['urn:uuid:1']} </wsa:MessageID>".encode() in payload
    assert f"InstanceId = '{NOW}'".encode() in payload
    assert b"<!-- <wsa:MessageID>no" in payload


@pytest.mark.parametrize("odd", ['InstanceId="-7"', 'InstanceId=""', 'InstanceId="seven"', 'InstanceId="٣"'])
def test_what_is_no_number_stays(odd: str) -> None:
    text = hello("urn:uuid:1").decode().replace('InstanceId="7"', odd)
    ((payload,), _) = renewed(recorded(multicast(text.encode())))
    assert odd.encode() in payload


def test_characters_that_the_encoding_does_not_have() -> None:
    text = hello("urn:uuid:1", xaddrs="http://h/&#8364;").decode().replace('encoding="utf-8"', 'encoding="iso-8859-1"')
    (one,) = recorded(multicast(text.encode("iso-8859-1")))
    assert b"http://192.0.2.10/&#8364;<" in rewritten(one, None, "192.0.2.10")


@given(st.binary(max_size=40), st.integers(250, 900), st.integers(0, 60))
def test_damaged_datagrams_are_sent_again_too(junk: bytes, at: int, cut: int) -> None:
    """The beginning, by which they are known to be SOAP, is there."""
    text = hello("urn:uuid:1", xaddrs="http://h/")
    for one in recorded(multicast(text[:at] + junk + text[at + cut :])):
        assert rewritten(one) == one.payload
        renewed([one])
        rewritten(one, None, "192.0.2.10")


def test_a_damaged_end_leaves_the_values_before_it_known() -> None:
    ((payload,), _) = renewed(recorded(multicast(hello("urn:uuid:1")[:-30])))
    assert b"urn:uuid:1<" not in payload
    assert f'InstanceId="{NOW}"'.encode() in payload


# -- where it goes ---------------------------------------------------------------------------------------------------


def ends(one: Planned) -> tuple[str, str, int]:
    return str(one.source), str(one.destination), one.hops


def test_multicast_goes_out_from_the_interfaces_own_address() -> None:
    payload = hello("urn:uuid:1")
    six = ipv6(udp(payload, 50000, 3702), "fe80::99", GROUP6, UDP, hops=1)
    made = plan(recorded(multicast(payload), six), ROUTE)
    assert [ends(one) for one in made.sent] == [
        ("192.0.2.10:40000", f"{GROUP}:3702", 1),
        ("[fe80::10]:50000", f"[{GROUP6}]:3702", 1),
    ]
    assert made.left_out == []


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (unicast(hello("urn:uuid:1")), "--target"),
        (unicast(hello("urn:uuid:1"), "127.0.0.1", "127.0.0.1"), "--target"),
        (multicast(hello("urn:uuid:1"), group="239.1.2.3"), "239.1.2.3 is no group"),
        (multicast(hello("urn:uuid:1"), group="255.255.255.255"), "255.255.255.255 is no group"),
        (ipv6(udp(hello("urn:uuid:1"), 5, 3702), "fe80::9", "ff05::c", UDP), "ff05::c is no group"),
        (ipv6(udp(hello("urn:uuid:1"), 5, 3702), "fe80::9", GROUP6, UDP), "wire0 has no IPv6 address"),
    ],
)
def test_what_is_not_sent_is_told(frame: bytes, why: str) -> None:
    made = plan(recorded(frame), Route("wire0", WIRE[:1]))
    assert made.sent == []
    assert why in made.left_out[0].why


def test_a_cut_datagram_is_not_sent() -> None:
    frame = ether(multicast(hello("urn:uuid:1")))
    file = pcap([(NOW * 10**9, frame[:500], len(frame))])
    with dissector.open(io.BytesIO(file)) as capture:
        many = choose(capture.all_soap).datagrams
    assert "only its beginning" in plan(many, ROUTE).left_out[0].why


@pytest.mark.parametrize(
    ("target", "port", "expected"),
    [
        ("192.0.2.20", None, ("192.0.2.10:3702", "192.0.2.20:40001", 64)),
        ("192.0.2.20", 777, ("192.0.2.10:3702", "192.0.2.20:777", 64)),
        ("fe80::20%wire0", None, ("[fe80::10]:3702", "[fe80::20]:40001", 64)),
        ("2001:db8::20", None, ("[2001:db8::10]:3702", "[2001:db8::20]:40001", 64)),
        ("2001:db8:5::20", None, ("[2001:db8::10]:3702", "[2001:db8:5::20]:40001", 64)),
    ],
)
def test_unicast_goes_to_the_target_alone(target: str, port: int | None, expected: tuple[str, str, int]) -> None:
    route = route_of("wire0", target=target, port=port, there=WIRE)
    many = recorded(unicast(hello("urn:uuid:1")), unicast(hello("urn:uuid:2"), to="203.0.113.9"))
    assert [ends(one) for one in plan(many, route).sent] == [expected, expected]


def test_the_port_of_multicast_stays() -> None:
    route = route_of("wire0", target="192.0.2.20", port=777, there=WIRE)
    assert plan(recorded(multicast(hello("urn:uuid:1"))), route).sent[0].destination.port == 3702


def test_another_source_counts_for_its_family() -> None:
    route = route_of("wire0", source="192.0.2.77", there=WIRE)
    six = ipv6(udp(hello("urn:uuid:1"), 50000, 3702), "fe80::99", GROUP6, UDP)
    made = plan(recorded(multicast(hello("urn:uuid:1")), six), route, rewrite_xaddrs=True)
    assert [one.source.address for one in made.sent] == ["192.0.2.77", "fe80::10"]


@pytest.mark.parametrize(
    ("given_", "consents"),
    [
        ({}, []),
        ({"source": "192.0.2.10"}, []),
        ({"source": "192.0.2.77"}, ["192.0.2.77 is no address of wire0"]),
        ({"target": "192.0.2.20"}, ["unicast datagrams go to 192.0.2.20"]),
        ({"target": "fe80::20"}, ["unicast datagrams go to fe80::20"]),
        ({"target": "8.8.8.8", "source": "192.0.2.77"}, ["go to 8.8.8.8", "192.0.2.77"]),
    ],
)
def test_what_a_person_must_agree_to(given_: dict[str, str], consents: list[str]) -> None:
    asked = route_of("wire0", there=WIRE, source=given_.get("source"), target=given_.get("target")).consents()
    assert len(asked) == len(consents)
    assert all(words in one for one, words in zip(asked, consents, strict=True))


def test_loopback_needs_no_consent() -> None:
    there = (LocalAddress("lo", 1, "127.0.0.1", 8), LocalAddress("lo", 1, "::1", 128))
    assert route_of("lo", target="127.0.0.1", there=there).consents() == []
    assert route_of("lo", target="::1", there=there).consents() == []


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"target": "printer"}, "an IP address is expected"),
        ({"target": GROUP}, "the address of one host"),
        ({"target": "255.255.255.255"}, "the address of one host"),
        ({"target": "192.0.2.255"}, "the address of one host"),
        ({"target": "0.0.0.0"}, "the address of one host"),
        ({"target": "fe80::1%eth7"}, "eth7 is not the interface"),
        ({"target": "127.0.0.1"}, "not reached over wire0"),
        ({"source": "198.51.100.1"}, "not of a network of wire0 (192.0.2.10/24"),
        ({"source": "192.0.2.255"}, "the address of one host"),
        ({"port": 0}, "1 to 65535"),
        ({"port": 65536}, "1 to 65535"),
    ],
)
def test_a_way_that_makes_no_sense(given_: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        route_of("wire0", there=WIRE, **given_)
    assert words in str(error.value)


def test_other_ways_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="no address of its family"):
        route_of("wire0", target="fe80::1", there=WIRE[:1])
    with pytest.raises(UsageError, match="not reached over lo"):
        route_of("lo", target="192.0.2.1", there=(LocalAddress("lo", 1, "127.0.0.1", 8),))
    with pytest.raises(UsageError, match="no network interface or address nowhere7"):
        route_of("nowhere7")


def test_the_interface_of_an_address() -> None:
    assert route_of("127.0.0.1").interface == "lo"


def test_identities_are_those_of_what_is_sent() -> None:
    """A restart that is left out does not count."""
    many = recorded(unicast(hello("urn:uuid:1", "3")), multicast(hello("urn:uuid:2", "5")))
    made = plan(many, ROUTE, identities=lambda taken: Identities(taken, Ids("new"), NOW))
    assert values(made.sent[0].payload, "InstanceId") == [str(NOW)]
    assert plan(many, ROUTE).sent[0].payload == many[1].payload


def test_a_datagram_that_has_become_too_long_is_not_sent() -> None:
    one = Recorded(1, 0, "Hello", Endpoint("::1", 5), Endpoint(GROUP6, 3702), True, bytes(65520))
    to_four = Recorded(2, 0, "Hello", Endpoint("::1", 5), Endpoint("::2", 6), False, bytes(65520))
    made = plan([one, to_four], route_of("wire0", target="192.0.2.20", there=WIRE))
    assert [planned.recorded.frame for planned in made.sent] == [1]
    assert "65520 bytes are more" in made.left_out[0].why


# -- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(1.0, [0, 0.25, 2, 2, 3]), (2.0, [0, 0.125, 1, 1, 1.5]), (0.5, [0, 0.5, 4, 4, 6]), (None, [0] * 5)],
)
def test_the_times(speed: float | None, expected: list[float]) -> None:
    # The first is not sent, and the clock of the capture steps back once.
    times = [0.0, 5.0, 5.25, 7.0, 6.5, 8.0]
    frames = [(at, (multicast if place else unicast)(hello(f"urn:{place}"))) for place, at in enumerate(times)]
    assert [one.due for one in plan(recorded(*frames), ROUTE, speed=speed).sent] == pytest.approx(expected)


def test_each_is_sent_when_it_is_due() -> None:
    frames = [(at, multicast(hello(f"urn:{at}"))) for at in (0.0, 0.5, 0.5, 300.0)]
    planned = plan(recorded(*frames), ROUTE).sent
    sent: list[tuple[int, float]] = []

    async def run() -> None:
        clock = ManualClock()
        task = asyncio.create_task(play(planned, lambda one, at: sent.append((one.recorded.frame, at)), clock))
        await clock.settle()
        assert sent == [(1, 0.0)]
        await clock.advance(0.49)
        assert len(sent) == 1
        await clock.advance(0.02)
        assert sent[1:] == [(2, pytest.approx(0.5)), (3, pytest.approx(0.5))]
        await clock.advance(299)
        assert len(sent) == 3
        await clock.advance(1)
        assert sent[3] == (4, pytest.approx(300))
        await task

    asyncio.run(run())


def test_playing_can_be_broken_off_at_full_speed() -> None:
    planned = plan(recorded(*(multicast(hello(f"urn:{place}")) for place in range(50))), ROUTE, speed=None).sent
    sent: list[Planned] = []

    async def run() -> None:
        def send(one: Planned, at: float) -> None:
            sent.append(one)
            if len(sent) == 5:
                task.cancel()

        task = asyncio.create_task(play(planned, send, ManualClock()))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(sent) == 5


# -- packets ---------------------------------------------------------------------------------------------------------


def planned(payload: bytes, *, six: bool = False) -> Planned:
    source, destination = (Endpoint("fe80::10", 4000), Endpoint(GROUP6, 3702)) if six else (
        Endpoint("192.0.2.10", 4000), Endpoint(GROUP, 3702))  # fmt: skip
    return Planned(0.0, source, destination, 1, payload, Recorded(1, 0, "Hello", source, destination, True, payload))


@pytest.mark.parametrize("size", [0, 1, 1000, 1001])
def test_a_packet_is_the_one_that_was_built_by_hand(size: int) -> None:
    payload = bytes(place % 251 for place in range(size))
    (packet,) = packets_of(planned(payload), mtu=1500, identification=1)
    assert bytes(packet) == ipv4(udp(payload, 4000, 3702), "192.0.2.10", GROUP, UDP, ttl=1)
    (packet,) = packets_of(planned(payload, six=True), mtu=1500, identification=1)
    assert bytes(packet) == ipv6(udp(payload, 4000, 3702), "fe80::10", GROUP6, UDP, hops=1)


def test_identifications_are_within_their_fields() -> None:
    assert packets_of(planned(b""), mtu=1500, identification=0x10000)[0].id == 1
    assert packets_of(planned(b""), mtu=1500, identification=0x12345678)[0].id == 0x5678


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize(("size", "mtu"), [(1472, 1500), (1473, 1500), (2000, 1283), (65507, 1500), (600, 1280)])
def test_fragments_are_put_together_again(size: int, mtu: int, six: bool) -> None:
    head, end = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><A>',
        b"</A></s:Body></s:Envelope>",
    )
    payload = head + bytes(ord("a") + place % 26 for place in range(size - len(head) - len(end))) + end
    packets = [bytes(one) for one in packets_of(planned(payload, six=six), mtu=mtu, identification=77)]
    headers = 48 if six else 28
    assert (len(packets) > 1) == (size + headers > mtu)
    assert max(map(len, packets)) <= mtu
    assert len(packets) <= -(-(size + 8) // (mtu - 48 - 8)) + 1
    if len(packets) > 1:
        named = {packet[44:48] if six else packet[4:6] for packet in packets}
        assert named == {struct.pack(">I" if six else ">H", 77)}
    if not six:
        assert [checksum(packet[:20]) for packet in packets] == [0] * len(packets)
    (one,) = recorded(*packets)
    assert one.payload == payload
    # The checksum of UDP is over all fragments.
    body = b"".join(packet[48 if six and len(packets) > 1 else 40 if six else 20 :] for packet in packets)
    addresses = packets[0][8:40] if six else packets[0][12:20]
    pseudo = addresses + (struct.pack(">II", len(body), UDP) if six else struct.pack(">HH", UDP, len(body)))
    assert checksum(pseudo + body) == 0


def test_tcp_of_the_same_capture_stays_out() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Type: application/soap+xml\r\nContent-Length: %d\r\n\r\n" % len(
        hello("urn:1")
    )
    file = pcap(
        [(NOW * 10**9, ether(one), 0) for one in (ipv4(tcp(request + hello("urn:1"))), multicast(hello("urn:2")))]
    )
    with dissector.open(io.BytesIO(file)) as capture:
        found = choose(capture.all_soap)
    assert [one.value("MessageID") for one in found.datagrams] == ["urn:2"]
    assert found.over_tcp.total() == 1
