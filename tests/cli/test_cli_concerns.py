"""``jobs --job``: what is told of the capture is what concerns the job."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import dissector
from dissector.analysis.model import Job, Step
from dissector.base.findings import Finding, Severity
from dissector.cli.concerns import concerning

DEVICE, SERVER, OTHER = "192.0.2.10", "fe80::20", "192.0.2.30"


def job(**more: object) -> Job:
    """Of frames 100 to 200, seen from its beginning to its end."""
    made = Job("post-scan", "a", device=DEVICE, server=f"[{SERVER}]:5362", created=1, completed_by="event")
    made.first_frame, made.last_frame = 100, 200
    made.timeline = [Step(1, 100, 1, "CreatePostScanJobRequest", "", f"{DEVICE}:49152", f"[{SERVER}]:5362")]
    for name, value in more.items():
        setattr(made, name, value)
    return made


def finding(*frames: int, hosts: tuple[str, ...] = (DEVICE, SERVER)) -> Finding:
    return Finding("tcp.gap", Severity.WARN, "bytes are missing", frames, hosts=hosts)


@pytest.mark.parametrize(
    ("found", "more", "concerned"),
    [
        (finding(100), {}, True),
        (finding(90, 110), {}, True),
        (finding(200, 210), {}, True),
        (finding(90, 99), {}, False),
        (finding(201, 210), {}, False),
        (finding(), {}, True),
        # The other way round, as events come.
        (finding(150, hosts=(SERVER, DEVICE)), {}, True),
        (finding(150, hosts=(DEVICE, OTHER)), {}, False),
        (finding(1, hosts=()), {}, True),
        # What is not in the capture may have been anywhere before, or behind.
        (finding(90), {"partial": "no-start"}, True),
        (finding(90), {"created": None}, True),
        (finding(210), {"completed_by": None}, True),
        (finding(210), {"completed_by": "inferred"}, True),
        (finding(210), {"partial": "no-start"}, False),
    ],
)
def test_which_findings_concern_a_job(found: Finding, more: dict[str, object], concerned: bool) -> None:
    assert (concerning([found], [job(**more)]) == [found]) is concerned


def test_of_several_jobs_of_one_id_each_counts() -> None:
    # Out of order, within one another, touching, and two of which only one host is the same.
    spans = [(300, 400), (40, 60), (45, 50), (60, 70), (310, 320)]
    jobs = [job(first_frame=first, last_frame=last) for first, last in spans]
    jobs += [job(timeline=[], first_frame=80, last_frame=200, **{end: OTHER}) for end in ("device", "server")]
    within = {frame for first, last in spans for frame in range(first, last + 1)}
    found = [finding(frame) for frame in range(1, 500)]
    assert concerning(found, jobs) == [one for one in found if one.frames[0] in within]
    assert concerning([finding(71, 299)], jobs) == []
    assert len(concerning([finding(71, 300), finding(1, 40)], jobs)) == 2


def test_lost_data_of_the_job_are_told_with_it(samples: Path, cli) -> None:
    file = str(samples / "damaged/dsm-lost-head.pcap")
    (known,) = json.loads(cli("jobs", "--json", file).out)["jobs"]
    told = cli("jobs", "--job", known["id"], file).out
    assert "The capture\n  warn   TCP stream 0: 1460 bytes of the stream are not in the capture" in told
    assert "other hosts" not in told


def test_a_broken_file_is_told_with_each_job(samples: Path, cli) -> None:
    file = str(samples / "damaged/dsm-cut-file.pcap")
    (known,) = json.loads(cli("jobs", "--json", file).out)["jobs"]
    result = cli("jobs", "--job", known["id"], file)
    assert "The file ends at offset 44014" in result.out


@pytest.mark.parametrize(("severity", "code"), [(Severity.WARN, 0), (Severity.ERROR, 1)])
def test_the_exit_code_is_of_what_is_shown(
    samples: Path, cli, monkeypatch: pytest.MonkeyPatch, severity: Severity, code: int
) -> None:
    from dissector.cli import concerns

    monkeypatch.setattr(concerns, "concerning", lambda found, jobs: [replace(one, severity=severity) for one in found])
    file = str(samples / "damaged/dsm-cut-file.pcap")
    (known,) = json.loads(cli("jobs", "--json", file).out)["jobs"]
    assert cli("jobs", "--job", known["id"], file).code == code


def test_what_does_not_concern_the_job_is_left_out_and_said(samples: Path, cli, monkeypatch) -> None:
    """Of two jobs between other hosts, one lost something."""
    from dissector.cli import concerns

    monkeypatch.setattr(concerns, "_hosts", lambda job: {OTHER})
    file = str(samples / "damaged/dsm-lost-head.pcap")
    (known,) = json.loads(cli("jobs", "--json", file).out)["jobs"]
    result = cli("jobs", "--job", known["id"], file)
    assert "TCP stream 0" not in result.out
    assert "note: 1 more finding of other hosts' connections, or of another time (see “dsmshark jobs”)" in result.out
    data = json.loads(cli("jobs", "--json", "--job", known["id"], file).out)
    assert (data["findings"], len(data["notes"])) == ([], 1)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("damaged/dsm-lost-head.pcap", "tcp.gap"), ("emulated/tls-failed.pcap", "tls.handshake-failed"),
        ("emulated/tls-failed.pcap", "http.tls-answer"), ("damaged/dsm-one-direction.pcap", "tcp.one-way"),
    ],
)  # fmt: skip
def test_findings_of_connections_know_their_hosts(name: str, rule: str, samples: Path) -> None:
    with dissector.open(samples / name) as capture:
        capture.run()
        found = [finding for finding in capture.findings if finding.rule == rule]
    assert found
    assert all(len(finding.hosts) == 2 for finding in found)
