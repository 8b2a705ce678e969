"""A client that none of us wrote scans on our scanner: sane-airscan, by airscan-discover and scanimage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from replay.devices.scanner.device_file import profiles
from replay.devices.scanner.testpage import read_mark
from tests.support.lab import PAPER, Host, Lab, system_bus

pytestmark = [pytest.mark.lab("tshark", "tcpdump", "airscan-discover", "scanimage", "dbus-daemon")]

PAGES = 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), {"scanner": "192.0.2.10", "client": "192.0.2.20"}) as made:
        made.settled()
        yield made


@pytest.fixture(scope="module")
def bus(lab: Lab) -> Iterator[dict[str, str]]:
    with system_bus(lab["client"], lab.folder) as environment:
        yield environment


@pytest.fixture(scope="module")
def scanner(lab: Lab) -> Iterator[str]:
    """The emulated scanner on its host; gives the address of WS-Scan."""
    with lab["scanner"].replay(
        "emulate", "scanner", "--listen", "0.0.0.0:5357", "--interface", "wire0", "--pages", str(PAGES), *PAPER
    ) as program:
        program.await_text("is ready")
        yield "http://192.0.2.10:5357/wsd/scan"


@pytest.fixture
def sane(tmp_path: Path, scanner: str) -> dict[str, str]:
    """A configuration of SANE that knows the scanner by its address."""
    (tmp_path / "dll.conf").write_text("airscan\n")
    (tmp_path / "airscan.conf").write_text(
        f'[devices]\n"Emulated" = {scanner}, WSD\n[options]\ndiscovery = disable\n[debug]\ntrace = {tmp_path}/trace\n'
    )
    return {"SANE_CONFIG_DIR": str(tmp_path)}


def test_airscan_discover_finds_the_scanner_by_multicast(lab: Lab, scanner: str, bus: dict[str, str]) -> None:
    found = lab["client"].run("airscan-discover", env=bus)
    assert re.search(r"= http://192\.0\.2\.10:5357/wsd/scan, WSD", found), found


def test_scanimage_lists_it_found_by_multicast(lab: Lab, scanner: str, bus: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "dll.conf").write_text("airscan\n")
    (tmp_path / "airscan.conf").write_text("[options]\ndiscovery = enable\n")
    found = lab["client"].run("scanimage", "-L", env={**bus, "SANE_CONFIG_DIR": str(tmp_path)})
    assert "airscan:w" in found, found


@pytest.mark.parametrize(
    ("mode", "resolution", "bands"),
    [("Color", 300, "RGB"), ("Gray", 300, "L"), ("Color", 150, "RGB"), ("Gray", 150, "L")],
)
def test_platen(lab: Lab, sane: dict[str, str], tmp_path: Path, mode: str, resolution: int, bands: str) -> None:
    picture = tmp_path / "page.png"
    scan(lab["client"], sane, "--source", "Flatbed", "--mode", mode, "--resolution", str(resolution),
         "--format=png", "-o", str(picture))  # fmt: skip
    with Image.open(picture) as image:
        assert image.mode == bands
        # The whole platen; the client crops to its own rounding of millimetres.
        assert image.width == pytest.approx(8.5 * resolution, abs=2)
        assert image.height == pytest.approx(11.7 * resolution, abs=2)
        mark = read_mark(image.copy(), resolution)
    assert mark is not None
    assert mark.page == 1
    assert mark.count == PAGES


@pytest.mark.parametrize(
    ("source", "mode", "resolution"),
    [("ADF", "Gray", 150), ("ADF", "Color", 300), ("ADF Duplex", "Gray", 300), ("ADF Duplex", "Color", 150)],
)
def test_feeder_to_the_end(
    lab: Lab, sane: dict[str, str], tmp_path: Path, source: str, mode: str, resolution: int
) -> None:
    out = scan(
        lab["client"], sane, "--source", source, "--mode", mode, "--resolution", str(resolution), "--format=png",
        f"--batch={tmp_path}/page%d.png",
    )  # fmt: skip
    assert f"Batch terminated, {PAGES} pages scanned" in out
    for number in range(1, PAGES + 1):
        with Image.open(tmp_path / f"page{number}.png") as image:
            assert image.mode == ("L" if mode == "Gray" else "RGB")
            mark = read_mark(image.copy(), resolution)
        assert mark is not None
        assert mark.page == number


def scan(client: Host, sane: dict[str, str], *arguments: str, check: bool = True) -> str:
    return client.run("scanimage", "-d", "airscan:w0:Emulated", *arguments, env=sane, check=check)


# sane-airscan knows the Ricoh by its model name, which a device given by its address does not tell: it asks for 0
# images and is refused, as the Ricoh does.
REFUSED = ("ricoh-mp-201",)


@pytest.mark.parametrize("name", [one for one in profiles() if one != "default"])
def test_it_copes_with_the_quirks_that_it_knows(lab: Lab, tmp_path: Path, name: str) -> None:
    with lab["scanner"].replay(
        "emulate", "scanner", "--listen", "192.0.2.10:0", "--no-discovery", "--device", name, "--pages", "2", *PAPER
    ) as program:
        output = program.await_text("WS-Scan  http")
        found = re.search(r"WS-Scan  (http\S+)", output)
        assert found is not None
        (tmp_path / "dll.conf").write_text("airscan\n")
        (tmp_path / "airscan.conf").write_text(
            f'[devices]\n"Emulated" = {found[1]}, WSD\n[options]\ndiscovery = disable\n'
        )
        out = scan(
            lab["client"], {"SANE_CONFIG_DIR": str(tmp_path)}, "--source", "ADF", "--mode", "Gray", "--resolution",
            "200",
            "--format=png", f"--batch={tmp_path}/page%d.png", check=name not in REFUSED,
        )  # fmt: skip
        log = program.output
    pages = 0 if name in REFUSED else 2
    assert f"Batch terminated, {pages} pages scanned" in out
    assert len(list(tmp_path.glob("page*.png"))) == pages
    assert ("InvalidArgs: ImagesToTransfer 0" in log) == (name in REFUSED)


@pytest.mark.parametrize("name", ["scan-debian-adf", "debian-gray-mfp"])  # with metadata, and without
def test_the_scanner_of_a_capture(lab: Lab, tmp_path: Path, samples: Path, name: str) -> None:
    with lab["scanner"].replay(
        "emulate", "scanner", "--listen", "192.0.2.10:0", "--no-discovery", "--from",
        str(samples / "others" / f"{name}.pcap"), "--pages", "2", *PAPER,
    ) as program:  # fmt: skip
        found = re.search(r"WS-Scan  (http\S+)", program.await_text("WS-Scan  http"))
        assert found is not None
        (tmp_path / "dll.conf").write_text("airscan\n")
        (tmp_path / "airscan.conf").write_text(
            f'[devices]\n"Emulated" = {found[1]}, WSD\n[options]\ndiscovery = disable\n'
        )
        sane = {"SANE_CONFIG_DIR": str(tmp_path)}
        out = scan(
            lab["client"], sane, "--source", "ADF", "--mode", "Gray", "--resolution", "200", "--format=png",
            f"--batch={tmp_path}/page%d.png",
        )  # fmt: skip
        scan(lab["client"], sane, "--source", "Flatbed", "--resolution", "200", "--format=png",
             "-o", str(tmp_path / "page3.png"))  # fmt: skip
    assert "Batch terminated, 2 pages scanned" in out
    read = []
    for number in (1, 2, 3):
        with Image.open(tmp_path / f"page{number}.png") as image:
            # What the real device told: 8.504 x 14.016 inches, width and height swapped.
            assert image.size == (1701, 2803)
            mark = read_mark(image.copy(), 200)
        read.append(mark.page if mark is not None else 0)
    assert read == [1, 2, 1]
