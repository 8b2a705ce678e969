"""``dsmshark export pcap``: the same jobs come out of what it writes, read by us and by tshark, without keys."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dissector.capture import open_source
from tests.cli.test_tls_command import gist
from tests.support.sample_keys import key_options
from tests.support.stories import dsm_completed
from tests.support.tls_talk import client_context, identity, server_context, talk
from tests.support.wire import frames_of, write_pcap

PCAPS = Path(__file__).parents[2] / "pcaps"
HOWS = ["--decrypted", "--secrets"]


@pytest.mark.parametrize("how", HOWS)
def test_what_is_written_needs_no_keys(how: str, folder: Path, cli, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    plain = gist(cli("jobs", "--json", str(folder / "plain.pcap")).out)
    result = cli("export", "pcap", how, "--rsa-key", str(folder / "key.pem"), str(folder / "1.2.pcap"), "-o", str(out))
    assert result.code == 0
    assert "2 TLS connections" in result.err
    assert os.stat(out).st_mode & 0o777 == 0o600
    assert gist(cli("jobs", "--json", str(out)).out) == plain
    tls = json.loads(cli("tls", "--json", str(out)).out)["connections"]
    assert [one["state"] for one in tls] == ([] if how == "--decrypted" else ["opened", "opened"])
    with open_source([str(out)]) as source:
        times = [time for block in source for time in block.time.tolist()]
        secrets = b"".join(text for _, text in source.info.secrets)
    assert times == sorted(times)
    # The secrets of these connections, and nothing of the private key.
    assert secrets.count(b"CLIENT_RANDOM") == (0 if how == "--decrypted" else 2)


@pytest.mark.tshark
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["scan-tls-1.3-dsb.pcapng", "rsasnakeoil2.pcap", "tls13-rfc8446.pcap"])
def test_tshark_reads_it(how: str, name: str, cli, tmp_path: Path) -> None:
    sample = PCAPS / "others" / name
    out = tmp_path / "out.pcapng"
    assert cli("export", "pcap", how, *key_options(sample), str(sample), "-o", str(out)).code == 0
    result = cli("crosscheck", "--json", str(out))
    lines = json.loads(result.out)["lines"]
    assert {line["verdict"] for line in lines} == {"same"}
    assert sum(line["kind"] == "message" for line in lines) >= 6
    flags = ["tshark", "-r", str(out), "-Y", "tcp.analysis.flags && !tcp.analysis.window_full"]
    if how == "--decrypted":
        done = subprocess.run(flags, capture_output=True, text=True, check=True)
        assert done.stdout == ""


def test_lost_records_are_a_hole_in_the_plain_stream(cli, tmp_path: Path) -> None:
    request = b"POST /a HTTP/1.1\r\nContent-Length: 90000\r\n\r\n" + b"x" * 90000
    done = talk(client_context("1.3"), server_context(identity(), "1.3"), [(False, request)])
    frames = frames_of(done.story())
    large = [number for number, frame in enumerate(frames) if frame.payload > 1000]
    del frames[large[40]]
    (tmp_path / "in.pcap").write_bytes(write_pcap(frames))
    (tmp_path / "keys").write_bytes(done.keylog)
    out = tmp_path / "out.pcapng"
    arguments = ["--decrypted", "--keylog", str(tmp_path / "keys"), str(tmp_path / "in.pcap"), "-o", str(out)]
    assert cli("export", "pcap", *arguments).code == 0
    import dissector

    with dissector.open(out) as capture:
        seen = []
        capture.on_http = seen.append
        capture.run()
    (http,) = seen
    assert not http.complete
    assert [gap.length for gap in http.gaps] == [16384]


def test_what_it_refuses(folder: Path, cli, tmp_path: Path) -> None:
    capture, out = str(folder / "1.3.pcapng"), tmp_path / "out.pcapng"
    assert cli("export", "pcap", "--decrypted", capture, "-o", capture).code == 2
    assert cli("export", "pcap", "--decrypted", "-", "-o", str(out)).code == 2
    assert cli("export", "pcap", capture, "-o", str(out)).code == 2
    out.write_bytes(b"mine")
    assert "--force" in cli("export", "pcap", "--decrypted", capture, "-o", str(out)).err
    assert out.read_bytes() == b"mine"
    assert cli("export", "pcap", "--decrypted", "--force", capture, "-o", str(out)).code == 0
    nothing = cli("export", "pcap", "--decrypted", str(folder / "1.3.pcap"), "-o", str(tmp_path / "none.pcapng"))
    assert nothing.code == 1
    assert "no TLS connection could be opened" in nothing.err
    assert not (tmp_path / "none.pcapng").exists()


def test_other_packets_stay_where_they_were(folder: Path, cli, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    cli("export", "pcap", "--decrypted", str(folder / "1.3.pcapng"), "-o", str(out))
    probes = [line for line in cli("read", str(out)).out.splitlines() if "WS-Discovery" in line]
    assert len(probes) == sum(turn.channel.endswith("probe") for turn in dsm_completed().turns)
