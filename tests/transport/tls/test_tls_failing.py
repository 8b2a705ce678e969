"""Failed TLS connections told by every command, without keys; and that those which are well cost nothing."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.assembly import INTEREST as INTEREST_OF_ALL
from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS
from dissector.base.origin import Endpoint
from dissector.capture.model import Interface
from dissector.output.notes import notes
from dissector.transport.flows import FlowTable
from dissector.transport.model import TransportStats
from dissector.transport.opaque import OTHERS
from dissector.transport.packets import PacketDecoder
from dissector.transport.tls import failing
from dissector.transport.tls.failing import Failing
from tests.support.packets import block
from tests.support.stories import Channel, Story
from tests.support.streams import INTEREST, Taken
from tests.support.tls_talk import NOW, Talk, client_context, identity, server_context, talk
from tests.support.wire import START, Wire

MASKED = INTEREST_OF_ALL.masked
GET = [(False, b"GET / HTTP/1.1\r\n\r\n"), (True, b"HTTP/1.1 204 No Content\r\n\r\n")]
AUTHORITY = identity("ec", "authority.example")
EXPIRED = identity("ec", "old.example", NOW.replace(year=2024), 365, 8)


def trusting(version: str) -> ssl.SSLContext:
    context = client_context(version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=EXPIRED.certificate.decode())
    return context


def wanting(version: str) -> ssl.SSLContext:
    """A server that wants a client certificate."""
    context = server_context(identity("ec"), version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=AUTHORITY.certificate.decode())
    return context


def made() -> dict[str, Talk]:
    talks = {"version": talk(client_context("1.1"), server_context(identity(), "1.2"), [])}
    for version in ("1.2", "1.3"):
        talks["expired " + version] = talk(trusting(version), server_context(EXPIRED, version), GET)
        talks["unknown " + version] = talk(trusting(version), server_context(identity("ec"), version), GET)
        talks["wanted " + version] = talk(client_context(version), wanting(version), GET)
        talks["well " + version] = talk(client_context(version), server_context(identity("ec"), version), GET)
        talks["quiet " + version] = talk(client_context(version), server_context(identity("ec"), version), [])
    return talks


TALKS = made()
WORDS = {
    "version": "the server broke the handshake off with protocol_version",
    "expired 1.2": "the certificate has expired or is not valid yet; the server's certificate expired on 2025-03-02",
    "expired 1.3": "the client broke the handshake off with certificate_expired",
    "unknown 1.2": "with unknown_ca: it does not know, or does not trust, the authority that signed the certificate; "
    "the server's certificate is signed by itself (CN=scanner.example",
    "unknown 1.3": "the client broke the handshake off with unknown_ca",
    "wanted 1.2": "the server asked for a client certificate and got none",
    "wanted 1.3": "the server asked for a client certificate and got none (as the sizes of the encrypted records tell)",
}


def frames(*names: str, mss: int = 1460, port: int = 5362, sides: Iterable[bool] = (False, True)) -> list[bytes]:
    """The packets of the client (False) and of the server (True)."""
    story = Story()
    for number, name in enumerate(names):
        story.channels[f"{number}"] = Channel("192.0.2.10", "192.0.2.20", port)
        for back, data in TALKS[name].pieces:
            story.say(f"{number}", data, back=back)
    return [frame.data for frame in Wire(mss=mss).carry(story) if frame.back in sides]


def watched(packets: list[bytes], cuts: Iterable[int] = ()) -> tuple[list[Finding], TransportStats, Failing]:
    """What is told of packets, in blocks that are cut so."""
    stats = TransportStats()
    watch = Failing(stats, DEFAULT_LIMITS, MASKED)
    flows = FlowTable(INTEREST, lambda _, stream: Taken(stream), lambda _: None, stats, DEFAULT_LIMITS, observer=watch)
    decoder = PacketDecoder([Interface(0, 1)], stats, DEFAULT_LIMITS)
    edges = sorted({0, len(packets), *(cut for cut in cuts if 0 < cut < len(packets))})
    for low, high in pairwise(edges):
        flows.feed(decoder.decode(block(packets[low:high], first=low + 1, times=[START] * (high - low))))
    flows.finish()
    return watch.findings(), stats, watch


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("mss", [1460, 250])
def test_why_a_handshake_failed_is_told(name: str, mss: int) -> None:
    packets = frames(name, mss=mss)
    (finding,), stats, _ = watched(packets)
    assert finding.text.startswith("TCP stream 0, 192.0.2.10:49153 → 192.0.2.20:5362: the ")
    assert WORDS[name] in finding.text
    assert finding.severity.value == "warn"
    assert finding.frames
    assert sum(stats.failed.values()) == 1
    # However the capture is cut into blocks.
    for cuts in (range(len(packets)), [len(packets) // 2]):
        assert watched(packets, cuts)[0] == [finding]


@pytest.mark.parametrize("name", ["well 1.2", "well 1.3", "quiet 1.2", "quiet 1.3"])
@pytest.mark.parametrize("mss", [1460, 250])
def test_of_one_that_is_well_nothing_is_told(name: str, mss: int) -> None:
    packets = frames(name, mss=mss)
    for cuts in ([], range(len(packets))):
        assert watched(packets, cuts)[:2][0] == []


@pytest.mark.parametrize("name", sorted(TALKS))
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("mss", [1460, 250])
def test_of_a_connection_with_one_side_captured_nothing_is_made_up(name: str, back: bool, mss: int) -> None:
    """A mirror port that gives one direction: that no answer is seen, or an end that is encrypted, says nothing."""
    packets = frames(name, mss=mss, sides={back})
    found = watched(packets)[0]
    for cuts in (range(len(packets)), [len(packets) // 2]):
        assert watched(packets, cuts)[0] == found
    # What a side says in the clear counts all the same.
    clear = {("expired 1.2", False), ("expired 1.3", False), ("unknown 1.2", False), ("unknown 1.3", False),
             ("wanted 1.2", True)}  # fmt: skip
    told = [one.text.split(": ", 1)[1] for one in found]
    if (name, back) in clear:
        assert told[0].startswith(f"the {'server' if back else 'client'} broke the handshake off with ")
    else:
        assert told == []


def test_those_that_are_well_are_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "_group", None)
    assert watched(frames(*["well 1.2", "well 1.3"] * 20))[0] == []


def test_one_that_is_closed_without_an_answer() -> None:
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5358)})
    story.say("one", TALKS["well 1.2"].pieces[0][1])
    (finding,), _, _ = watched([frame.data for frame in Wire().carry(story)])
    assert finding.rule == "tls.handshake-unfinished"
    assert finding.text.endswith("the client closed the connection before the server answered its ClientHello")


@pytest.mark.parametrize("mss", [1460, 250])
def test_a_server_that_speaks_in_the_clear_is_told(mss: int) -> None:
    """An address with https where http is meant."""
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5358)})
    story.say("one", TALKS["well 1.3"].pieces[0][1])
    story.say("one", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", back=True)
    packets = [frame.data for frame in Wire(mss=mss).carry(story)]
    for cuts in ([], range(len(packets)), [5]):
        (finding,) = watched(packets, cuts)[0]
        assert finding.text.endswith(
            "5358: the server answered the ClientHello in the clear, with “HTTP/1.1 400 Bad Request”: it expects http "
            "on this port, not https"
        )


@pytest.mark.parametrize("version", [b"\3\1", b"\0\2"])
@pytest.mark.parametrize(("size", "told"), [(0, True), (1, False)])
def test_a_hello_of_ssl_2_is_one_and_what_begins_so_by_chance_is_not(
    version: bytes, size: int, told: bool, monkeypatch
) -> None:
    body = b"\1" + version + b"\0\3\0\0\0\x10" + b"\0\0\x35" + b"c" * 16
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    story.say("one", bytes([0x80, len(body) - size]) + body)
    story.say("one", b"\x15\3\1\0\2\2\x46", back=True)
    packets = [frame.data for frame in Wire().carry(story)]
    for cuts in ([], range(len(packets))):
        found = watched(packets, cuts)[0]
        assert ["protocol_version" in finding.text for finding in found] == [True] * told
    if not told:
        monkeypatch.setattr(Failing, "_group", None)
        watched(packets)


@given(st.sampled_from(sorted(TALKS)), st.sets(st.integers(1, 60)), st.sampled_from([90, 536, 1460]))
def test_blocks_make_no_difference(name: str, cuts: set[int], mss: int) -> None:
    packets = frames(name, "well 1.3", name, mss=mss)
    assert watched(packets, cuts)[0] == watched(packets)[0]


def test_the_same_again_is_told_once_and_the_ports_of_wsd_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "SHOWN", 1)
    others = frames("unknown 1.2", "unknown 1.2", port=443)
    wire = Wire(first_port=50000)
    story = Story(channels={"dsm": Channel("192.0.2.10", "192.0.2.20", 5362)})
    for back, data in TALKS["expired 1.2"].pieces:
        story.say("dsm", data, back=back)
    packets = others + [frame.data for frame in wire.carry(story)]
    one, rest = watched(packets)[0]
    assert "192.0.2.20:5362: the client broke" in one.text
    assert (rest.rule, rest.text.split(" (")[0]) == ("tls.more-failed", "2 more TLS connections failed")
    monkeypatch.setattr(failing, "SHOWN", 2)
    first = watched(packets)[0][0]
    assert "(and so did 1 more connection between the two)" in first.text
    assert len(first.frames) == 2


def test_what_is_read_and_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "LOOKS", 2)
    found = watched(frames(*["unknown 1.2"] * 5, port=443))[0]
    assert found[1].text.startswith("3 that look as if they failed were not looked at")
    # Those at other ports do not shut out those at ports of WSD.
    monkeypatch.setattr(failing, "PORTS", {5362: ""})
    assert len(watched(frames(*["unknown 1.2"] * 2, port=443) + frames("expired 1.2"))[0]) == 2
    monkeypatch.setattr(failing, "ALL_HELD", 100)
    packets = frames(*["unknown 1.2"] * 3)
    found, _, watch = watched(packets, range(len(packets)))
    assert not found
    assert watch._size <= 100


def test_notes_name_hosts_and_ports_and_count_the_rest() -> None:
    stats = TransportStats()
    client, ends = Endpoint("192.0.2.1", 50000), [Endpoint(f"192.0.2.{n}", port) for n, port in enumerate(
        [443, 443, 443, 443, 443, 8443, 5362], 10)]  # fmt: skip
    stats.opaque["tls"] = {(client, end): (100 - n, 1) for n, end in enumerate(ends)}
    stats.opaque["tls"][OTHERS] = (7000, 1)
    stats.failed = {(client, ends[6]): 1}
    said = notes(stats, 1)
    assert said[0] == "1 TLS connection from 192.0.2.1 to 192.0.2.16:5362 (DSM scan server) failed: see the findings"
    assert said[1] == "7,000 packets of still more TLS connections could not be read"
    assert said[2].startswith(
        "1 TLS connection from 192.0.2.1 to 192.0.2.10:443 could not be read: no keys (100 packets)"
    )
    assert said[5] == "3 more TLS connections between 3 other pairs of hosts could not be read either"
    assert said[6].startswith("“dsmshark tls” says what can be seen of them")


def test_ports_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = frames("expired 1.2")
    again = [frame.data for frame in Wire(first_seq=9_000_000).carry(_story("unknown 1.2"))]
    for packets in (first + again, first[:-3] + again):
        for cuts in ([], [len(first) // 2], [len(first) + 2]):
            found = watched(packets, cuts)[0]
            assert [finding.text.split(": ")[2][:40] for finding in found] == [
                "the certificate has expired or is not va",
                "it does not know, or does not trust, the",
            ]


def _story(name: str) -> Story:
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    for back, data in TALKS[name].pieces:
        story.say("one", data, back=back)
    return story
