"""Record captures of the emulated devices: ``sudo python -m pcaps.emulate [NAME…]``.

The devices run in network namespaces, each host its own; tcpdump listens on the wire. sane-airscan scans on the
emulated scanner; the emulated DSM device sends jobs to the emulated scan server. Needs root, iproute2, tcpdump,
sane-airscan, sane-utils. Seeds make the devices say the same at each run; ports and times differ, so the recordings are
committed.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from replay.cli import main as dsmreplay
from replay.devices.scanserver.instructions import KINDS, FilterInstructions
from replay.devices.scanserver.processes import ScanProcess
from tests.support.lab import Host, Lab, system_bus

HERE = Path(__file__).parent / "emulated"
SCANNER, CLIENT, SERVER = "192.0.2.10", "192.0.2.20", "192.0.2.30"
SHARE = r"\\files.example.com\scans"
GRAY = {
    "format": "jfif", "input_source": "ADF", "compression_quality_factor": 30,
    "media_sides": {"media_front": {"color_processing": "Grayscale8", "resolution": {"width": 75, "height": 75}}},
}  # fmt: skip


def airscan(lab: Lab, folder: Path, source: str) -> None:
    """sane-airscan finds the scanner by multicast and scans all there is."""
    with (
        lab["scanner"].replay(
            "emulate", "scanner", "--listen", "0.0.0.0:5357", "--interface", "wire0", "--pages", "2", "--seed", "1"
        ) as scanner,
        system_bus(lab["client"], folder) as bus,
    ):
        scanner.await_text("is ready")
        (folder / "dll.conf").write_text("airscan\n")
        (folder / "airscan.conf").write_text("[options]\ndiscovery = enable\n")
        environment = {**bus, "SANE_CONFIG_DIR": str(folder)}
        listed = lab["client"].run("scanimage", "-L", env=environment)
        found = re.search(r"`(airscan:[^']+)'", listed)
        assert found is not None, listed
        many = [f"--batch={folder}/page%d.png"] if source != "Flatbed" else ["-o", str(folder / "page.png")]
        lab["client"].run(
            "scanimage", "-d", found[1], "--source", source, "--mode", "Gray", "--resolution", "75", "--format=png",
            *many, env=environment,
        )  # fmt: skip


def post_scan(lab: Lab, folder: Path, of_server: list[str], of_device: list[str]) -> None:
    """The DSM device finds the server, subscribes, and sends a job with two filters."""
    filters = [
        FilterInstructions(KINDS["fileshare"], "fileshare", shares=(SHARE,)),
        FilterInstructions(KINDS["email"], "email", addresses=("archive@example.test",)),
    ]
    process = ScanProcess.example(filters=filters, continue_on_error=True, parameters=GRAY)
    path = folder / f"{process.identifier}.xml"
    path.write_bytes(process.xml())
    tls = "--http" not in of_server
    if tls:
        dsmreplay(["certificate", "alice@example.test", "-o", str(folder)])
        own, authority = str(folder / "own"), str(folder / "authority.pem")
        of_server = [*of_server, "--client-certificates", "required", "--authorities", authority, "--certificates", own]
        of_server += ["--trust", "none"]
        card = [str(folder / f"client-alice@example.test{end}.pem") for end in ("", "-key")]
        of_device = [*of_device, "--https", "--certificates", str(folder / "device"), "--trust", "none"]
        of_device += ["--client-certificate", *card, "--pcap", str(folder / "own.pcapng")]
    (folder / "share").mkdir()
    with lab["server"].replay(
        "emulate", "scan-server", "--listen", f"{SERVER}:5362", "--share", f"{SHARE}={folder / 'share'}",
        "--seed", "2", "--user", "S-1-5-21-1004336348-1177238915-682003330-1109=alice@example.test", *of_server,
    ) as server:  # fmt: skip
        server.await_text("is ready")
        with lab["scanner"].replay(
            "emulate", "dsm-device", "--listen", f"{SCANNER}:0", "--server", SERVER, "--process", str(path),
            "--pages", "3", "--seed", "3", *of_device,
        ) as device:  # fmt: skip
            device.wait()


MAILED = ["--outcome", "email=CompletedSuccessfully"]
RECORDINGS: dict[str, Callable[[Lab, Path], None]] = {
    "airscan-platen": lambda lab, folder: airscan(lab, folder, "Flatbed"),
    "airscan-duplex": lambda lab, folder: airscan(lab, folder, "ADF Duplex"),
    "device-completed": lambda lab, folder: post_scan(lab, folder, ["--http", *MAILED], []),
    "device-mail-failed": lambda lab, folder: post_scan(lab, folder, ["--http"], []),
    "device-polls": lambda lab, folder: post_scan(lab, folder, ["--http", *MAILED], ["--no-events"]),
    "device-parked": lambda lab, folder: post_scan(
        lab, folder, ["--http", *MAILED, "--do", "EndPostScanJob: end_state=vendor:Parked|vendor:NightShift"], []
    ),
    "device-misbehaves": lambda lab, folder: post_scan(
        lab, folder,
        ["--http", *MAILED, "--do", "PostScanJobStatusEvent: doubled, times=1",
         "--do", "PostScanJobStatusEvent: lost, after=3"],
        ["--do", "SendImage: image=as-png, where.document_id=2"],
    ),
    "device-https": lambda lab, folder: post_scan(lab, folder, MAILED, []),
}  # fmt: skip


def wire(host: Host, target: Path, work: Callable[[], None]) -> None:
    raw = target.with_suffix(".raw")
    with host.capture(raw):
        work()
    shutil.move(raw, target)


def main(names: list[str]) -> None:
    HERE.mkdir(exist_ok=True)
    for name in names or RECORDINGS:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        with Lab(folder, {"scanner": SCANNER, "client": CLIENT, "server": SERVER}) as lab:
            lab.settled()
            if name == "device-https":
                # The device's own capture holds the keys; that of the wire would be of no use without them.
                RECORDINGS[name](lab, folder)
                shutil.copy(folder / "own.pcapng", HERE / f"{name}.pcapng")
            else:
                wire(
                    lab["scanner"],
                    HERE / f"{name}.pcap",
                    lambda name=name, lab=lab, folder=folder: RECORDINGS[name](lab, folder),
                )  # type: ignore[misc]
        shutil.rmtree(folder)
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
