"""Every command tells that the capture holds one direction only: whose answers are missing did not fail to answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissector import reader


@pytest.mark.parametrize("command", ["jobs", "info", "read", "events"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_every_command_tells(cli, samples: Path, monkeypatch: pytest.MonkeyPatch, command: str, jobs: str) -> None:
    monkeypatch.setattr(reader, "DIVIDED", 0)
    monkeypatch.setattr(reader, "processors", lambda: 2)
    path = str(samples / "damaged" / "dsm-one-direction.pcap")
    done = cli(command, "--jobs", jobs, path)
    assert (done.out + done.err).count("tcp.one-way") == 1
    rules = [one["rule"] for one in json.loads(cli(command, "--jobs", jobs, "--json", path).out)["findings"]]
    assert rules.count("tcp.one-way") == 1
