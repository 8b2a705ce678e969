"""A whole distributed scan: emulated device and emulated server, each in its own namespace, over HTTPS with a client
certificate; what tcpdump and tshark saw of it tells the same story as the emulators do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

import dissector
from replay.cli import main
from replay.devices.scanserver.instructions import KINDS, FilterInstructions
from replay.devices.scanserver.processes import ScanProcess
from tests.support.lab import Lab, Program
from tests.support.opened import open_tls, tshark

pytestmark = [pytest.mark.lab("tshark", "tcpdump")]

SHARE = r"\\files.example.com\scans"
PROCESS = "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61"
DEVICE, SERVER = "192.0.2.10", "192.0.2.20"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), {"device": DEVICE, "server": SERVER}) as made:
        yield made


@pytest.fixture(scope="module")
def site(lab: Lab) -> Path:
    """Certificates of a user, and a scan process with two filters."""
    folder = lab.folder / "site"
    assert main(["certificate", "alice@example.test", "-o", str(folder)]) == 0
    filters = [
        FilterInstructions(KINDS["fileshare"], "fileshare", shares=(SHARE,)),
        FilterInstructions(KINDS["email"], "email", addresses=("archive@example.test",)),
    ]
    process = ScanProcess.example(identifier=PROCESS, filters=filters, continue_on_error=True)
    (folder / "processes").mkdir()
    (folder / "processes" / f"{PROCESS}.xml").write_bytes(process.xml())
    return folder


def server(lab: Lab, site: Path, out: Path, *more: str, http: bool = False) -> Program:
    (out / "share").mkdir(parents=True, exist_ok=True)
    tls = ["--certificates", str(site / "server"), "--client-certificates", "required", "--authorities",
           str(site / "authority.pem"), "--trust", "none"]  # fmt: skip
    program = lab["server"].replay(
        "emulate", "scan-server", "--listen", f"{SERVER}:5362", "--processes", str(site / "processes"), "--share",
        f"{SHARE}={out / 'share'}", "--output", str(out / "jobs"), "--json", *(["--http"] if http else tls), *more,
    )  # fmt: skip
    program.await_text('"ready"')
    return program


def device(lab: Lab, site: Path, out: Path, *more: str, http: bool = False) -> Program:
    tls = ["--client-certificate", str(site / "client-alice@example.test.pem"),
           str(site / "client-alice@example.test-key.pem"), "--trust", "none", "--https", "--certificates",
           str(site / "device"), "--pcap", str(out / "own.pcapng")]  # fmt: skip
    return lab["device"].replay(
        "emulate", "dsm-device", "--listen", f"{DEVICE}:0", "--process", str(site / "processes" / f"{PROCESS}.xml"),
        "--pages", "3", "--json", *([] if http else tls), *more,
    )  # fmt: skip


MAIL = 2525
MAILED = ("--outcome", "email=CompletedSuccessfully")

STORIES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, list[str], list[tuple[str, str]], int, int]] = {
    # name: options of the server, of the device, end state, reasons, filters, exit code, images
    "completed": (
        ("--smtp", f"{SERVER}:{MAIL}"), (), "Completed", ["PostScanJobCompletedSuccessfully"],
        [("fileshare", "CompletedSuccessfully"), ("email", "CompletedSuccessfully")], 0, 3,
    ),
    "completed-with-errors": (
        ("--outcome", "email=CompletedWithErrors:UnableToSendEmail"), (), "Completed",
        ["PostScanJobCompletedWithErrors"],
        [("fileshare", "CompletedSuccessfully"), ("email", "CompletedWithErrors")], 1, 3,
    ),
    "aborted": (
        (*MAILED, "--ending", "1"), ("--leave",), "Aborted", ["PostScanJobTimedOut"],
        [("fileshare", "Canceled"), ("email", "Canceled")], 1, 3,
    ),
    "canceled": (
        MAILED, ("--cancel-after", "1"), "Canceled", ["PostScanJobCanceled"],
        [("fileshare", "Canceled"), ("email", "Canceled")], 0, 1,
    ),
    "vendor": (
        (*MAILED, "--do", "EndPostScanJob: end_state=vendor:Parked|vendor:NightShift"), (), "vendor:Parked",
        ["vendor:NightShift"], [("fileshare", "CompletedSuccessfully"), ("email", "CompletedSuccessfully")], 1, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_https_with_a_client_certificate(lab: Lab, site: Path, tmp_path: Path, name: str) -> None:
    of_server, of_device, state, reasons, filters, code, images = STORIES[name]
    capture, mails = tmp_path / "wire.pcap", tmp_path / "mails"
    mail = ("-m", "tests.support.mail_sink", SERVER, str(MAIL), str(mails))
    with (
        lab["server"].start(sys.executable, *mail) as sink,
        lab["device"].capture(capture),
        server(lab, site, tmp_path, *of_server) as scans,
    ):
        sink.await_text("listens")
        target = SERVER if name == "completed" else f"https://{SERVER}:5362/ScanServer"
        with device(lab, site, tmp_path, "--server", target, *of_device) as scanner:
            assert scanner.wait() == code, scanner.output
            story = entry(scanner, "story")
        scans.stop()
        ended = [one for one in entries(scans) if one["kind"] == "job" and one.get("state") == state]
    assert (story["completed_state"], story["completed_state_reasons"], story["images"]) == (state, reasons, images)
    assert ended[0]["job_token"] == story["job_token"]
    assert ended[0]["reasons"] == reasons
    assert ended[0]["images"] == images
    written = [one for one in (tmp_path / "share").rglob("*") if one.is_file()]
    assert len(written) == (images if filters[0][1] == "CompletedSuccessfully" else 0)
    if name == "completed":
        sent = message_from_bytes(mails.read_bytes(), policy=policy.default)
        attached = [part.get_content() for part in sent.iter_attachments()]
        assert attached == [path.read_bytes() for path in sorted(written, key=lambda path: (len(path.name), path.name))]
    # The wire, opened by tshark with the keys of the device's own capture, and read by dsmshark.
    keys = tmp_path / "own.pcapng.keys"
    plain = tmp_path / "plain.pcapng"
    assert open_tls(capture, keys, plain) >= 2
    tell(plain, story["job_token"], state, reasons, filters, images)
    # The device's own capture holds its secrets: Wireshark needs nothing else.
    names = tshark("-r", str(tmp_path / "own.pcapng"), "-Y", "http.request", "-T", "fields", "-e", "http.request.uri")
    assert any("/ScanServer/" in one for one in names.split())
    for file in (capture, tmp_path / "own.pcapng"):
        options = ["-r", str(file), "-o", f"tls.keylog_file:{keys}"]
        assert tshark(*options, "-Y", "_ws.malformed", "-T", "fields", "-e", "frame.number") == ""


@pytest.mark.parametrize("name", STORIES)
def test_http_as_tcpdump_sees_it(lab: Lab, site: Path, tmp_path: Path, name: str) -> None:
    of_server, of_device, state, reasons, filters, code, images = STORIES[name]
    capture = tmp_path / "wire.pcap"
    mail = ("-m", "tests.support.mail_sink", SERVER, str(MAIL), str(tmp_path / "mails"))
    with (
        lab["server"].start(sys.executable, *mail) as sink,
        lab["server"].capture(capture),
        server(lab, site, tmp_path, *of_server, http=True),
    ):
        sink.await_text("listens")
        target = f"http://{SERVER}:5362/ScanServer"
        with device(lab, site, tmp_path, "--server", target, *of_device, http=True) as scanner:
            assert scanner.wait() == code, scanner.output
            story = entry(scanner, "story")
    tell(capture, story["job_token"], state, reasons, filters, images)
    with dissector.open(str(capture)) as opened:
        bad = [f for m in opened.messages for f in m.all_findings() if f.severity in ("error", "warn")]
    assert bad == []
    assert tshark("-r", str(capture), "-Y", "_ws.malformed", "-T", "fields", "-e", "frame.number") == ""


def test_without_a_client_certificate_nothing_is_told(lab: Lab, site: Path, tmp_path: Path) -> None:
    with server(lab, site, tmp_path, *MAILED), lab["device"].replay(
        "emulate", "dsm-device", "--listen", f"{DEVICE}:0", "--server", f"https://{SERVER}:5362/ScanServer",
        "--trust", "none",
    ) as scanner:  # fmt: skip
        assert scanner.wait() == 4
        assert "certificate" in scanner.output


def tell(
    capture: Path, token: str, state: str, reasons: list[str], filters: list[tuple[str, str]], images: int
) -> None:
    """What dsmshark tells of a capture."""
    with dissector.open(str(capture)) as opened:
        jobs = [job for job in opened.jobs if job.kind == "post-scan"]
    assert [job.id for job in jobs] == [token]
    job = jobs[0]
    assert (job.completed_state, list(job.completed_state_reasons)) == (state, reasons)
    assert [(one.dialect.rpartition("/")[2], one.state) for one in job.filters] == filters
    assert len(job.images) == images


def entries(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]


def entry(program: Program, kind: str) -> dict[str, Any]:
    return next(one for one in entries(program) if one["kind"] == kind)
