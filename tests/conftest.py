"""Options of the test run, and what is left out where a program is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden outputs anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tshark: needs tshark (Debian: tshark)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if shutil.which("tshark"):
        return
    for item in items:
        if item.get_closest_marker("tshark"):
            if os.environ.get("CI"):
                raise pytest.UsageError("tshark is not installed, and nothing is left out in CI")
            item.add_marker(pytest.mark.skip(reason="tshark is not installed; sudo apt-get install tshark"))


@pytest.fixture
def samples() -> Path:
    """The folder of sample captures."""
    return ROOT / "pcaps"
