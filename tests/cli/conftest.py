from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dissector.cli import main

PCAPS = Path(__file__).parents[2] / "pcaps"


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def pcap() -> Callable[[str], str]:
    return lambda name: str(PCAPS / name)


@pytest.fixture
def cli(capsys, monkeypatch) -> Callable[..., Result]:
    """Runs the command in this process."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*argv: str) -> Result:
        code = main(list(argv))
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return run
