"""What a command imports: start-up is most of the time on a small capture, and a heavy module comes in unseen."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "scapy", "pyshark", "PIL", "pypdfium2", "ruamel", "jsonschema",
    "cryptography", "dissector.transport.tls.connection", "dissector.transport.tls.certificates",
    "numpy.ma", "asyncio", "multiprocessing", "concurrent", "email", "http", "ssl", "socket", "hashlib", "tempfile",
    "shutil", "lz4", "zstandard", "lzma", "json", "logging", "subprocess",
    "dissector.capture.building", "dissector.crosscheck", "dissector.layers", "dissector.output.tree",
}  # fmt: skip

SHOW = """
import sys
from dissector.cli import main
main()
print(*sys.modules, file=sys.stderr)
"""


CAPTURE = "pcaps/emulated/device-completed.pcap"


def imported(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *words], capture_output=True, text=True, timeout=60, check=True, env={}
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["jobs", CAPTURE], {"lxml", "numpy", "dissector.analysis"}),
        (["jobs", "--json", CAPTURE], {"json", "hashlib"}),
        (["read", CAPTURE], {"json"}),
        (["events", CAPTURE], {"json", "dissector.output.tree"}),
        (["info", CAPTURE], set()),
        (["--version"], {"argparse"}),
    ],
)
def test_heavy_modules_stay_out(words, needed):
    found = imported(*words)
    assert needed <= found
    assert sorted(found & HEAVY - needed) == []


def test_help_needs_no_numpy():
    assert "numpy" not in imported("--help")
