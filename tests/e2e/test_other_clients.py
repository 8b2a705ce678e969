"""Other programs that speak WS-Discovery find the emulated scanner, and it is not taken for what it is not."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dissector
from tests.support.lab import Lab
from tests.support.opened import tshark

pytestmark = [pytest.mark.lab("tcpdump", "tshark")]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path, {"scanner": "192.0.2.10", "client": "192.0.2.20"}) as made:
        made.settled()
        yield made


def test_an_untyped_probe_of_the_package_wsdiscovery(lab: Lab, tmp_path: Path) -> None:
    capture = tmp_path / "wire.pcap"
    program = str(Path(sys.executable).parent / "wsdiscover")
    with lab["client"].capture(capture), lab["scanner"].replay(
        "emulate", "scanner", "--listen", "192.0.2.10:5357", "--listen", "[::]:5357", "--interface", "wire0"
    ) as scanner:  # fmt: skip
        scanner.await_text("is ready")
        found = lab["client"].run(program, "--timeout", "2")
        assert scanner.stop() == 0
    assert "address: 192.0.2.10:5357" in found
    with dissector.open(str(capture)) as opened:
        messages = list(opened.messages)
    names = {one.name for one in messages}
    assert {"Hello", "Probe", "ProbeMatches", "Bye"} <= names
    # Both families, on the wire as SOAP-over-UDP has it: announced twice with one MessageID.
    hellos = [one for one in messages if one.name == "Hello"]
    assert {":" in one.source.address for one in hellos} == {True, False}
    assert any(one.repeat_of is not None for one in hellos)
    ours = [one for one in messages if one.source.port == 3702 or one.name in ("Hello", "Bye")]
    bad = [finding for one in ours for finding in one.all_findings() if finding.severity in ("error", "warn")]
    assert bad == []
    assert tshark("-r", str(capture), "-Y", "_ws.malformed", "-T", "fields", "-e", "frame.number") == ""


WATCHING = "joined multicast group ('239.255.255.250', 3702)"
DISCOVER = ("wsdd", "-vvv", "--discovery", "--no-host", "-4", "-i", "wire0")


@pytest.mark.lab("wsdd")
def test_wsdd_hears_hello_reads_the_metadata_and_hears_bye(lab: Lab) -> None:
    with lab["client"].start(*DISCOVER) as client:
        client.await_text(WATCHING)
        with lab["scanner"].replay(
            "emulate", "scanner", "--listen", "192.0.2.10:5357", "--interface", "wire0"
        ) as scanner:  # fmt: skip
            client.await_text("discovered Emulated scanner on 192.0.2.10%wire0")
            assert scanner.stop() == 0
            assert "Hello, by UDP on 192.0.2.10" in scanner.output
            assert re.search(r"192\.0\.2\.20:\d+ Get", scanner.output)
        assert "Bye urn:uuid:" in client.await_text('"Bye urn')


@pytest.mark.lab("wsdd")
def test_wsdd_probes_and_resolves_a_scanner_that_keeps_its_address_back(lab: Lab, tmp_path: Path) -> None:
    device = tmp_path / "device.yaml"
    device.write_text("device: {model_name: Shy}\nquirks: [xaddrs-by-resolve]\n")
    with lab["scanner"].replay(
        "emulate", "scanner", "--listen", "192.0.2.10:5357", "--interface", "wire0", "--device", str(device)
    ) as scanner:  # fmt: skip
        scanner.await_text("is ready")
        with lab["client"].start(*DISCOVER) as client:
            client.await_text("discovered Shy on 192.0.2.10%wire0")
        assert "Probe by UDP, answered with ProbeMatches" in scanner.output
        assert "Resolve by UDP, answered with ResolveMatches" in scanner.output
