"""Messages that lack what their receiver needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dissector.base.origin import Endpoint, StreamRef
from dissector.messages.judging import MAX_ADDRESSES
from tests.messages.test_message_builder import BUILDER, built, datagram, http, told
from tests.support import wsd

JUDGED = ("wsa.no-", "wsa.same-id", "discovery.")


def judged(rules: list[str]) -> list[str]:
    return [rule for rule in rules if rule.startswith(JUDGED)]


def match(
    addresses: str = "http://192.0.2.1/a", ident: str = "urn:uuid:1", related: str | None = "urn:uuid:2"
) -> bytes:
    inner = (
        f'<d:ProbeMatches xmlns:d="{wsd.WSD}"><d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:d'
        f"</wsa:Address></wsa:EndpointReference><d:XAddrs>{addresses}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
        "</d:ProbeMatch></d:ProbeMatches>"
    )
    return wsd.envelope(f"{wsd.WSD}/ProbeMatches", inner, message_id=ident, relates_to=related)


def of_datagram(data: bytes) -> list[str]:
    found = BUILDER.from_datagram(datagram(data))
    assert found is not None
    return judged(told(found))


@pytest.mark.parametrize(
    ("addresses", "rules"),
    [
        ("http://192.0.2.1:80/a https://printer.example/ http://[fe80::1]:5357/a http://[2001:db8::1]/", []),
        ("", []),
        ("192.0.2.1:80/a", ["discovery.xaddrs"]),
        ("/onvif/device", ["discovery.xaddrs"]),
        ("http:///a", ["discovery.xaddrs"]),
        ("http://192.0.2.1/a,http://192.0.2.2/b", ["discovery.xaddrs"]),
        ("http://192.0.2.1/a; http://192.0.2.2/b", ["discovery.xaddrs"]),
        ("http://0.0.0.0/a", ["discovery.xaddrs"]),
        ("http://[::]/a", ["discovery.xaddrs"]),
        ("http://127.0.0.1/a http://[::1]/a", ["discovery.xaddrs", "discovery.xaddrs"]),
        ("http://[::ffff:127.0.0.1]/a", ["discovery.xaddrs"]),
        ("http://[fe80::1%25eth0]:80/a", ["discovery.zone"]),
        ("http://[fe80::1%5]:80/a", ["discovery.zone"]),
        ("http://[nonsense]/a", ["discovery.xaddrs"]),
    ],
)
def test_addresses(addresses: str, rules: list[str]) -> None:
    assert of_datagram(match(addresses)) == rules


def test_the_addresses_of_one_message_are_bounded() -> None:
    many = "<d:XAddrs>x</d:XAddrs>".join(["http://192.0.2.1/"] + [""] * 500)
    data = match(" x y").replace(b"<d:MetadataVersion>", f"{many}<d:MetadataVersion>".encode())
    assert len(of_datagram(data)) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("ident", "related", "rules"),
    [
        ("urn:uuid:1", "urn:uuid:2", []),
        ("urn:uuid:1", None, ["wsa.no-relates-to"]),
        ("urn:uuid:1", "", ["wsa.no-relates-to"]),
        ("urn:uuid:2", "urn:uuid:2", ["wsa.same-id"]),
        # An answer may go without an id of its own over HTTP, and nobody minds over UDP.
        ("", "urn:uuid:2", []),
    ],
)
def test_ids_of_matches(ident: str, related: str | None, rules: list[str]) -> None:
    data = match(ident=ident, related=related)
    if related == "":
        data = data.replace(b"</soap:Header>", b"<wsa:RelatesTo/></soap:Header>")
    assert of_datagram(data) == rules


def test_ids_of_requests_and_answers() -> None:
    asked = wsd.get("urn:uuid:1", "urn:uuid:d")
    bare = asked.replace(b"<wsa:MessageID>urn:uuid:1</wsa:MessageID>", b"")
    assert len(bare) < len(asked)
    assert judged(told(built(http(asked)))) == []
    assert judged(told(built(http(bare)))) == ["wsa.no-message-id"]
    answer = wsd.envelope(f"{wsd.WXF}/GetResponse", "", message_id="urn:uuid:2")
    assert judged(told(built(http(answer, status=200)))) == ["wsa.no-relates-to"]
    fault = wsd.fault("urn:uuid:1", "urn:uuid:2", "Sender", "ClientErrorJobIdNotFound", wsd.WSCN, "no")
    assert judged(told(built(http(fault, status=400)))) == []


def test_events_need_neither() -> None:
    event = wsd.envelope(f"{wsd.WSCN}/JobStatusEvent", f'<s:JobStatusEvent xmlns:s="{wsd.WSCN}"/>')
    assert judged(told(built(http(event)))) == []


def test_nothing_is_said_of_what_is_damaged() -> None:
    assert of_datagram(match("http://0.0.0.0/")[:-30]) == []


def test_loopback_is_reached_by_its_own_host() -> None:
    own = datagram(match("http://127.0.0.1/a"))
    own = replace(own, stream=StreamRef("udp", 0, Endpoint("127.0.0.1", 3702), Endpoint("127.0.0.1", 50000)))
    found = BUILDER.from_datagram(own)
    assert found is not None
    assert judged(told(found)) == []
