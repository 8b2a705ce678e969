"""Options of the test run, and what is left out where a program is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent


# How long an example takes is a matter of what else the machine does: no test is judged by it.
settings.register_profile("fresh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time: a change is not refused for what another example would have shown before it. New ones are
# tried by "make properties".
settings.register_profile("same", settings.get_profile("fresh"), derandomize=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden outputs anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tshark: needs tshark (Debian: tshark)")
    config.addinivalue_line("markers", "lab(*programs): needs network namespaces (root, iproute2) and these programs")


PACKAGES = {
    "tshark": "tshark", "tcpdump": "tcpdump", "ip": "iproute2", "airscan-discover": "sane-airscan",
    "scanimage": "sane-utils", "dbus-daemon": "dbus-daemon", "wsdd": "wsdd",
}  # fmt: skip
"""Program → Debian package that has it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        wanted = ["tshark"] if item.get_closest_marker("tshark") else []
        lab = item.get_closest_marker("lab")
        if lab is not None:
            wanted += ["ip", *lab.args]
        absent = dict.fromkeys(PACKAGES[name] for name in wanted if not shutil.which(name))
        reason = f"not installed; sudo apt-get install {' '.join(absent)}" if absent else ""
        if lab is not None and os.geteuid() != 0:
            reason = "network namespaces can be made by root only: run the tests as root to have this one"
        if not reason:
            continue
        if os.environ.get("CI"):
            raise pytest.UsageError(f"{item.nodeid}: {reason}; and nothing is left out in CI")
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def samples() -> Path:
    """The folder of sample captures."""
    return ROOT / "pcaps"
