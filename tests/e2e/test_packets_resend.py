"""``dsmreplay packets`` on a wire: what another host receives, as tcpdump and the dissector see it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet
from scapy.utils import rdpcap

import dissector
from dissector.messages import Message
from tests.support.lab import Lab

pytestmark = [pytest.mark.lab("tcpdump")]

SENDER, LISTENER = "192.0.2.10", "192.0.2.20"
ANOTHER = "192.0.2.77"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), {"sender": SENDER, "listener": LISTENER}) as made:
        made.settled()
        yield made


def resend(lab: Lab, capture: Path | str, *arguments: str) -> str:
    """Send on the wire of the sender; gives what the command printed."""
    return lab["sender"].run(
        sys.executable, "-m", "replay", "packets", str(capture), "--interface", "wire0", *arguments
    )


def received(lab: Lab, tmp_path: Path, capture: Path, *arguments: str) -> tuple[list[Message], list[Packet], str]:
    """What came to the listener: messages as the dissector reads them, packets of UDP and fragments, and what was
    printed at the sender."""
    path = tmp_path / "wire.pcap"
    with lab["listener"].capture(path) as tcpdump:
        printed = resend(lab, capture, *arguments)
        tcpdump.stop()
    with dissector.open(str(path)) as opened:
        messages = [one for one in opened.all_soap if one.datagram is not None]
    packets = [
        one for one in rdpcap(str(path)) if UDP in one or IPv6ExtHdrFragment in one or (IP in one and one[IP].frag)
    ]
    return messages, packets, printed


def originals(capture: Path) -> list[Message]:
    with dissector.open(str(capture)) as opened:
        return [one for one in opened.all_soap if one.datagram is not None]


def errors(messages: list[Message]) -> list[Any]:
    return [finding for one in messages for finding in one.all_findings() if finding.severity == "error"]


def checked(packets: list[Packet]) -> None:
    """Each whole packet has the lengths and checksums that Scapy computes for it."""
    for packet in packets:
        sent = packet[IPv6] if IPv6 in packet else packet[IP]
        again = sent.copy()
        for layer, names in ((again, ("len", "plen", "chksum")), (again[UDP], ("len", "chksum"))):
            for name in names:
                if name in layer.fields:
                    del layer.fields[name]
        assert bytes(again) == bytes(sent)


def test_the_hellos_and_byes_of_a_host(lab: Lab, samples: Path, tmp_path: Path) -> None:
    capture = samples / "others/wsdd-debian.pcap"
    messages, packets, printed = received(lab, tmp_path, capture, "--fast")
    recorded = [one for one in originals(capture) if one.multicast]
    assert [one.name for one in messages] == [one.name for one in recorded]
    assert f"{len(recorded)} datagrams sent on wire0" in printed
    assert "left out: sent to one host, which --target must name" in printed
    # On the link only, from the sender's own address, whole.
    assert {(str(one.source.address), str(one.destination)) for one in messages} == {(SENDER, "239.255.255.250:3702")}
    assert {one[IP].ttl for one in packets} == {1}
    checked(packets)
    # New messages, repeats where repeats were, newer than all that was said before.
    assert not {one.message_id for one in messages} & {one.message_id for one in recorded}
    assert [one.message_id == messages[0].message_id for one in messages] == [
        one.message_id == recorded[0].message_id for one in recorded
    ]
    assert [one.repeat_of is not None for one in messages[:4]] == [False, True, True, True]
    sequences = app_sequences(messages)
    assert len(sequences) == sum(one.name in ("Hello", "Bye") for one in messages)
    assert all(instance > 1_795_425_875 for instance, _ in sequences)
    assert errors(messages) == []


def app_sequences(messages: list[Message]) -> list[tuple[int, int]]:
    found = []
    for one in messages:
        assert one.envelope is not None
        for block in one.envelope.headers:
            if str(block.tag).endswith("}AppSequence"):
                found.append((int(block.get("InstanceId") or 0), int(block.get("MessageNumber") or 0)))
    return found


def test_a_search_over_both_families_at_a_factor(lab: Lab, samples: Path, tmp_path: Path) -> None:
    capture = samples / "others/disc-debian.pcap"
    messages, packets, printed = received(
        lab, tmp_path, capture, "--speed", "4", "--target", LISTENER, "--port", "4567", "--yes", "--json"
    )
    recorded = originals(capture)
    assert [one.name for one in messages] == [one.name for one in recorded]
    checked(packets)
    probes = {one.message_id: one for one in messages if one.name == "Probe"}
    matches = [one for one in messages if one.name == "ProbeMatches"]
    assert all(one.relates_to in probes for one in matches)
    assert {str(one.destination) for one in matches} == {f"{LISTENER}:4567"}
    assert {one[IP].ttl for one in packets if IP in one and one[IP].dst == LISTENER} == {64}
    six = [one for one in packets if IPv6 in one]
    assert {one[IPv6].hlim for one in six} == {1}
    assert all(one[IPv6].src.startswith("fe80:") and one[IPv6].dst == "ff02::c" for one in six)
    assert len(six) == sum(one.destination.address == "ff02::c" for one in recorded)
    # Never earlier than it was due.
    sent = [json.loads(line) for line in printed.splitlines() if '"sent"' in line]
    begin = recorded[0].time
    for line, one in zip(sent, recorded, strict=True):
        assert line["seconds"] >= round((one.time - begin) / 4e9, 6) - 1e-6
    assert (messages[-1].time - messages[0].time) / 1e9 > (recorded[-1].time - begin) / 4e9 * 0.9


def test_what_an_emulated_scanner_makes_of_it(lab: Lab, samples: Path, tmp_path: Path) -> None:
    """Probes sent again are answered, each time anew; with the recorded ids only once."""
    capture = samples / "emulated/airscan-platen.pcap"
    arguments = ("--only", "Probe", "--count", "1", "--fast")
    path = tmp_path / "answers.pcap"
    with lab["listener"].replay(
        "emulate", "scanner", "--listen", f"{LISTENER}:5357", "--interface", "wire0"
    ) as scanner:
        scanner.await_text("is ready")
        with lab["sender"].capture(path) as tcpdump:
            kept = originals(capture)[0].message_id or ""
            for more in ((), ("--keep-ids",), ("--keep-ids",), (), ()):
                resend(lab, capture, *arguments, *more)
            end = _answers(path, 4)
            tcpdump.stop()
        assert scanner.stop() == 0
    assert kept in end
    assert list(end.values()) == [1, 1, 1, 1]


def _answers(path: Path, wanted: int) -> dict[str, int]:
    """RelatesTo → number of answers, as soon as there are so many different ones."""
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, int] = {}
        with dissector.open(str(path)) as capture:
            for one in capture.messages:
                if one.name == "ProbeMatches" and one.repeat_of is None:
                    found[one.relates_to or ""] = found.get(one.relates_to or "", 0) + 1
        if len(found) >= wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def link_local(lab: Lab) -> str:
    told = json.loads(lab["listener"].run("ip", "-j", "-6", "addr", "show", "dev", "wire0", "scope", "link"))
    return str(told[0]["addr_info"][0]["local"])


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_fragments_on_a_narrow_link(lab: Lab, samples: Path, tmp_path: Path, family: str) -> None:
    capture, only = samples / "others/wsdd-debian.pcap", "ResolveMatches"
    target = LISTENER if family == "ipv4" else link_local(lab)
    lab["sender"].run("ip", "link", "set", "wire0", "mtu", "1280")
    try:
        messages, packets, printed = received(
            lab, tmp_path, capture, "--only", only, "--count", "2", "--fast", "--target", target, "--yes"
        )
    finally:
        lab["sender"].run("ip", "link", "set", "wire0", "mtu", "1500")
    recorded = [one for one in originals(capture) if one.name == only][:2]
    assert len(messages) == len(recorded) == 2
    assert {one.destination.address for one in messages} == {target}
    assert "in 2 fragments" in printed
    assert len(packets) == 2 * len(recorded)
    assert max(len(one[IPv6] if IPv6 in one else one[IP]) for one in packets) <= 1280
    assert all(one.complete and len(one.frames) == 2 for one in messages)
    assert [len(one.datagram or b"") for one in messages] == pytest.approx(
        [len(one.datagram or b"") for one in recorded], abs=20
    )
    assert errors(messages) == []


def test_nothing_goes_out_on_another_interface(lab: Lab, samples: Path, tmp_path: Path) -> None:
    """Whatever the routes say."""
    sender, path = lab["sender"], tmp_path / "other.pcap"
    sender.run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
    try:
        sender.run("ip", "addr", "add", "198.51.100.1/24", "dev", "other0")
        sender.run("ip", "link", "set", "other0", "up")
        sender.run("ip", "link", "set", "other1", "up")
        sender.run("ip", "route", "replace", "224.0.0.0/4", "dev", "other0")
        sender.run("ip", "route", "add", f"{LISTENER}/32", "dev", "other0")
        with sender.start("tcpdump", "--immediate-mode", "-U", "-i", "other0", "-w", str(path), "udp") as other:
            other.await_text("listening on")
            messages, _, _ = received(
                lab, tmp_path, samples / "others/disc-debian.pcap", "--count", "3", "--target", LISTENER, "--yes"
            )
            other.stop()
    finally:
        sender.run("ip", "link", "del", "other0")
        sender.run("ip", "route", "replace", "224.0.0.0/4", "dev", "wire0")
    assert [one.name for one in messages] == ["Probe", "ProbeMatches", "Probe"]
    assert len(rdpcap(str(path))) == 0


def test_a_device_that_is_not_there(lab: Lab, samples: Path, tmp_path: Path) -> None:
    """From an address of the network that is not the sender's own, with XAddrs that name it."""
    messages, packets, _ = received(
        lab, tmp_path, samples / "emulated/airscan-platen.pcap", "--only", "Hello,Bye", "--source", ANOTHER,
        "--rewrite-xaddrs", "--fast", "--yes",
    )  # fmt: skip
    assert [one.name for one in messages] == ["Hello", "Hello", "Bye", "Bye"]
    assert {str(one.source) for one in messages} == {f"{ANOTHER}:3702"}
    assert messages[0].get("XAddrs") == [f"http://{ANOTHER}:5357/wsd"]
    checked(packets)


def test_it_is_asked_for_and_refused(lab: Lab, samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "wire.pcap"
    capture = str(samples / "others/disc-debian.pcap")
    with lab["listener"].capture(path) as tcpdump:
        with lab["sender"].replay("packets", capture, "--interface", "wire0", "--target", LISTENER) as program:
            assert program.wait() == 2
            assert "agree to it with --yes" in program.output
        dry = resend(lab, capture, "--target", LISTENER, "--dry-run")
        tcpdump.stop()
    assert "44 datagrams would be sent on wire0" in dry
    assert not any(UDP in one for one in rdpcap(str(path)))
