"""Virtual devices out of captures, before clients that none of us wrote and before our own: sane-airscan scans on them
as on the recorded scanner, and the emulated DSM device does its job with the recorded scan server."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

import dissector
from replay.devices.scanserver.processes import ScanProcess
from tests.support.lab import PAPER, Lab, Program, system_bus
from tests.support.serving import scenario_folder

pytestmark = [pytest.mark.lab("tcpdump", "airscan-discover", "scanimage", "dbus-daemon")]

SAMPLES = Path(__file__).parent.parent.parent / "pcaps"
SERVER, CLIENT = "192.0.2.10", "192.0.2.20"

RECORDED: dict[str, tuple[str, str, int, int]] = {
    # capture: source, mode, resolution, pages; as sane-airscan was told when it was recorded
    "emulated/airscan-platen.pcap": ("Flatbed", "Gray", 75, 1),
    "emulated/airscan-duplex.pcap": ("ADF Duplex", "Gray", 75, 2),
    "others/scan-debian-adf.pcap": ("ADF", "Color", 200, 2),
    "others/debian-gray-mfp.pcap": ("Flatbed", "Gray", 200, 1),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), {"server": SERVER, "client": CLIENT}) as made:
        made.settled()
        yield made


def serve(lab: Lab, folder: Path, *more: str) -> Program:
    program = lab["server"].replay("serve", str(folder), "--listen", f"{SERVER}:5357", "--speed", "0", "--json", *more)
    program.await_text('"ready"')
    return program


def entries(program: Program, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in program.output.splitlines() if line.startswith("{")]
    return [one for one in lines if one["kind"] == kind]


def pictures(capture: str) -> list[Image.Image]:
    """The pictures that were recorded."""
    found = []
    with dissector.open(str(SAMPLES / capture), keep=True) as opened:
        for message in opened.messages:
            for one in message.attachments:
                found.append(Image.open(io.BytesIO(one.content.data())).convert("RGB"))
    return found


def is_grey(picture: Image.Image) -> bool:
    red, green, blue = picture.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def alike(one: Image.Image, other: Image.Image) -> bool:
    """The same picture; the client crops to its own rounding, and decodes JPEG in its own way."""
    assert abs(one.width - other.width) <= 4
    assert abs(one.height - other.height) <= 4
    box = (0, 0, min(one.width, other.width), min(one.height, other.height))
    # One scanner sends colours where grey was asked for: the client makes grey of them.
    if is_grey(one):
        one, other = one.convert("L"), other.convert("L")
    return max(ImageStat.Stat(ImageChops.difference(one.crop(box), other.crop(box))).mean) < 2


def scan(lab: Lab, folder: Path, capture: str, path: str) -> list[Image.Image]:
    """What scanimage gets, told the same as when it was recorded."""
    source, mode, resolution, pages = RECORDED[capture]
    folder.mkdir()
    (folder / "dll.conf").write_text("airscan\n")
    (folder / "airscan.conf").write_text(
        f'[devices]\n"Virtual" = http://{SERVER}:5357{path}, WSD\n[options]\ndiscovery = disable\n'
    )
    many = ["-o", str(folder / "page1.png")] if source == "Flatbed" else [f"--batch={folder}/page%d.png"]
    out = lab["client"].run(
        "scanimage", "-d", "airscan:w0:Virtual", "--source", source, "--mode", mode, "--resolution", str(resolution),
        "--format=png", *many, env={"SANE_CONFIG_DIR": str(folder)},
    )  # fmt: skip
    assert source == "Flatbed" or f"Batch terminated, {pages} pages scanned" in out
    files = sorted(folder.glob("page*.png"))
    assert len(files) == pages
    return [Image.open(file).convert("RGB") for file in files]


@pytest.mark.parametrize("capture", RECORDED)
def test_sane_airscan_scans_the_recorded_pages_twice(lab: Lab, tmp_path: Path, capture: str) -> None:
    folder = scenario_folder(capture, tmp_path)
    path = "/WSScan" if "mfp" in capture else "/scan" if "adf" in capture else "/wsd/scan"
    wanted = pictures(capture)
    if "mfp" in capture or "platen" in capture:
        wanted = wanted[:1]
    with serve(lab, folder, *PAPER) as program:
        for number in (1, 2):
            got = scan(lab, tmp_path / f"client{number}", capture, path)
            assert all(alike(one, other) for one, other in zip(got, wanted, strict=True))
        assert program.stop() == 0
        said = entries(program, "served")[0]
    assert said["unknown"] == []
    assert said["different"] == []
    assert said["failed"] == []
    # A scanner that was told by its address is not asked who it is.
    assert {one.split()[1] for one in said["never_came"]} <= {"Get"}
    assert said["runs"] == 2


def test_airscan_finds_it_by_multicast_and_scans_once(lab: Lab, tmp_path: Path) -> None:
    folder = scenario_folder("emulated/airscan-duplex.pcap", tmp_path)
    config = tmp_path / "sane"
    config.mkdir()
    (config / "dll.conf").write_text("airscan\n")
    (config / "airscan.conf").write_text("[options]\ndiscovery = enable\n")
    with (
        system_bus(lab["client"], tmp_path) as bus,
        serve(
            lab, folder, "--interface", "wire0", "--once", "--pcap", str(tmp_path / "served.pcapng"), *PAPER
        ) as program,
    ):
        environment = {**bus, "SANE_CONFIG_DIR": str(config)}
        found = lab["client"].run("airscan-discover", env=environment)
        assert re.search(rf"= http://{SERVER}:5357/wsd/scan, WSD", found), found
        listed = re.search(r"`(airscan:[^']+)'", lab["client"].run("scanimage", "-L", env=environment))
        assert listed is not None
        lab["client"].run(
            "scanimage", "-d", listed[1], "--source", "ADF Duplex", "--mode", "Gray", "--resolution", "75",
            "--format=png", f"--batch={config}/page%d.png", env=environment,
        )  # fmt: skip
        assert program.wait() == 0, program.output
    assert len(list(config.glob("page*.png"))) == 2
    with dissector.open(str(tmp_path / "served.pcapng")) as opened:
        names = [one.name for one in opened.messages]
        assert [len(job.images) for job in opened.jobs] == [2]
    assert {"Hello", "ProbeMatches", "Bye", "RetrieveImageResponse"} <= set(names)


def test_another_way_to_scan_is_said_and_ends_with_1(lab: Lab, tmp_path: Path) -> None:
    folder = scenario_folder("emulated/airscan-platen.pcap", tmp_path)
    config = tmp_path / "sane"
    config.mkdir()
    (config / "dll.conf").write_text("airscan\n")
    (config / "airscan.conf").write_text(
        f'[devices]\n"Virtual" = http://{SERVER}:5357/wsd/scan, WSD\n[options]\ndiscovery = disable\n'
    )
    with serve(lab, folder, "--once") as program:
        lab["client"].run(
            "scanimage", "-d", "airscan:w0:Virtual", "--source", "Flatbed", "--mode", "Color", "--resolution", "75",
            "--format=png", "-o", str(config / "page.png"), env={"SANE_CONFIG_DIR": str(config)}, check=False,
        )  # fmt: skip
        assert program.wait() == 1
        said = entries(program, "served")[0]
    assert any("ColorProcessing is RGB24, was Grayscale8" in one["text"] for one in said["different"])


def device(lab: Lab, folder: Path, *more: str) -> Program:
    """The emulated DSM device; its exit code tells how its job ended."""
    process = folder / "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61.xml"
    process.write_bytes(ScanProcess.example(identifier=process.stem).xml())
    return lab["client"].replay(
        "emulate", "dsm-device", "--listen", f"{CLIENT}:0", "--server", f"http://{SERVER}:5357/ScanServer",
        "--process", str(process), "--pages", "3", "--json", *more,
    )  # fmt: skip


def test_the_emulated_dsm_device_and_a_recorded_scan_server(lab: Lab, tmp_path: Path) -> None:
    folder = scenario_folder("dsm-completed.pcapng", tmp_path)
    with serve(lab, folder) as program:
        for _ in range(2):
            with device(lab, tmp_path) as one:
                assert one.wait() == 0, one.output
                story = entries(one, "story")[0]
            assert story["completed_state"] == "Completed"
        with device(lab, tmp_path) as one, device(lab, tmp_path) as other:
            assert (one.wait(), other.wait()) == (0, 0), one.output + other.output
            stories = [entries(it, "story")[0] for it in (one, other)]
        assert program.stop() == 0
        said = entries(program, "served")[0]
    assert [one["completed_state"] for one in stories] == ["Completed", "Completed"]
    assert len({one["job_token"] for one in [*stories, story]}) == 3
    assert said["sent"] == 16
    assert said["runs"] == 4
    assert said["failed"] == []
    assert {one["name"] for one in said["unknown"]} == {"Unsubscribe"}
