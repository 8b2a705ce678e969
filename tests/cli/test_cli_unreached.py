"""Every command tells that a port of WSD refused a connection: there are no messages, and that is why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissector import reader
from tests.fuzz.attacks import capture
from tests.transport.test_unreached import ASK, REFUSE


@pytest.mark.parametrize("command", ["jobs", "info", "read", "events", "tls"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_every_command_tells(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, jobs: str) -> None:
    monkeypatch.setattr(reader, "DIVIDED", 0)
    monkeypatch.setattr(reader, "processors", lambda: 2)
    path = tmp_path / "refused.pcap"
    path.write_bytes(capture([ASK, REFUSE]))
    done = cli(command, "--jobs", jobs, str(path))
    assert "tcp.refused" in done.out + done.err
    assert done.code == 0
    assert [one["rule"] for one in json.loads(cli(command, "--json", str(path)).out)["findings"]] == ["tcp.refused"]
