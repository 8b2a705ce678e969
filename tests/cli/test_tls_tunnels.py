"""TLS that begins inside a connection: behind CONNECT to a proxy, an upgrade of HTTP, STARTTLS. And HTTP in the clear
behind CONNECT."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

import dissector
from dissector.base.limits import Limits
from dissector.http.model import HttpMessage
from tests.cli.test_tls_command import gist
from tests.support.opened import tshark
from tests.support.stories import Story, dsm_completed
from tests.support.tls_talk import Talk, client_context, encrypt, identity, server_context, talk
from tests.support.wire import Wire, frames_of, write_pcap

CONNECT = b"CONNECT scanserver.example:5362 HTTP/1.1\r\nHost: scanserver.example:5362\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
UPGRADE = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.0\r\nConnection: Upgrade\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n\r\n"
GET = [(False, b"GET /a HTTP/1.1\r\n\r\n"), (True, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")]
CONNECTING = [(False, CONNECT), (True, REFUSED), (False, CONNECT), (True, ESTABLISHED)]
BEGINNINGS = {
    "proxy": CONNECTING,
    "upgrade": [(False, UPGRADE), (True, SWITCHING)],
    "smtp": [(True, b"220 mail ESMTP\r\n"), (False, b"EHLO a\r\n"), (True, b"250 STARTTLS\r\n"),
             (False, b"STARTTLS\r\n"), (True, b"220 go ahead\r\n")],
}  # fmt: skip


def tunnelled(story: Story, beginning: list[tuple[bool, bytes]]) -> Story:
    """The story with this before what each TCP connection says."""
    made = Story(channels=dict(story.channels), jobs=story.jobs)
    begun = set()
    for turn in story.turns:
        if turn.channel not in begun and not story.channels[turn.channel].udp:
            begun.add(turn.channel)
            for back, data in beginning:
                made.say(turn.channel, data, back=back)
        made.turns.append(turn)
    return made


def one(done: Talk, beginning: list[tuple[bool, bytes]], port: int = 3128) -> Story:
    return tunnelled(done.story(port=port), beginning)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tunnels") / "plain.pcap"
    file.write_bytes(write_pcap(frames_of(dsm_completed())))
    return file


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("mss", [1460, 61])
def test_jobs_through_a_proxy_are_the_jobs(version: str, mss: int, plain: Path, cli, tmp_path: Path) -> None:
    secret, keys = encrypt(dsm_completed(), client_context(version), server_context(identity("ec"), version))
    file, log, out = tmp_path / "proxy.pcap", tmp_path / "keys", tmp_path / "out.pcapng"
    file.write_bytes(write_pcap(list(Wire(mss=mss).carry(tunnelled(secret, CONNECTING)))))
    log.write_bytes(keys)
    result = cli("jobs", "--json", "--keylog", str(log), str(file))
    assert gist(result.out) == gist(cli("jobs", "--json", str(plain)).out)
    assert json.loads(result.out)["notes"] == []
    assert cli("jobs", "--json", "--keylog", str(log), "--jobs", "2", str(file)).out == result.out
    connections = json.loads(cli("tls", "--json", "--keylog", str(log), str(file)).out)["connections"]
    assert {(c["state"], c["tunnel"]) for c in connections} == {("opened", "CONNECT scanserver.example:5362")}
    # What stands before the TLS is kept.
    assert cli("export", "pcap", "--decrypted", "--keylog", str(log), str(file), "-o", str(out)).code == 0
    assert gist(cli("jobs", "--json", str(out)).out) == gist(result.out)
    assert out.read_bytes().count(b"407 Proxy") == len(connections)
    assert cli("export", "pcap", "--secrets", "--keylog", str(log), str(file), "-o", str(out), "--force").code == 0
    assert gist(cli("jobs", "--json", str(out)).out) == gist(result.out)


@pytest.mark.parametrize("mss", [1460, 61])
def test_http_in_the_clear_through_a_proxy(mss: int, plain: Path, cli, tmp_path: Path) -> None:
    file = tmp_path / "proxy.pcap"
    file.write_bytes(write_pcap(list(Wire(mss=mss).carry(tunnelled(dsm_completed(), CONNECTING)))))
    result = cli("jobs", "--json", str(file))
    assert gist(result.out) == gist(cli("jobs", "--json", str(plain)).out)


def seen(file: Path, keys: bytes) -> list[HttpMessage]:
    log = file.with_suffix(".keys")
    log.write_bytes(keys)
    with dissector.open(file, keylog=log) as capture:
        found: list[HttpMessage] = []
        capture.on_http = found.append
        capture.run()
    return found


@pytest.mark.parametrize("how", ["proxy", "upgrade"])
@pytest.mark.parametrize("mss", [1460, 19, 1])
def test_every_message_knows_its_frames(how: str, mss: int, tmp_path: Path) -> None:
    done = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), GET)
    frames = list(Wire(mss=mss).carry(one(done, BEGINNINGS[how])))
    (tmp_path / "one.pcap").write_bytes(write_pcap(frames))
    messages = seen(tmp_path / "one.pcap", done.keylog)
    names = [message.method or message.status for message in messages]
    assert names == (["CONNECT", 407, "CONNECT", 200] if how == "proxy" else ["OPTIONS", 101]) + ["GET", 200]
    assert all(message.complete for message in messages)
    for message, back in zip(messages[-2:], (False, True), strict=True):
        numbers = message.origin.frame_numbers()
        assert numbers
        assert all(frames[number - 1].back is back and frames[number - 1].payload for number in numbers)
        assert min(numbers) > max(messages[-3].origin.frame_numbers())


def test_starttls_is_followed(cli, tmp_path: Path) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), [(False, b"EHLO a\r\n")])
    file = tmp_path / "mail.pcap"
    file.write_bytes(write_pcap(frames_of(one(done, BEGINNINGS["smtp"], 25))))
    (tmp_path / "keys").write_bytes(done.keylog)
    (tls,) = json.loads(cli("tls", "--json", "--keylog", str(tmp_path / "keys"), str(file)).out)["connections"]
    assert (tls["state"], tls["version"], tls["sent"]["client"]["plain_bytes"]) == ("opened", "TLS 1.2", 8)


@pytest.mark.parametrize("how", BEGINNINGS)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_why_it_failed_is_told_without_keys(how: str, version: str, cli, tmp_path: Path) -> None:
    client = client_context(version)
    client.verify_mode = ssl.CERT_REQUIRED
    done = talk(client, server_context(identity("ec"), version), GET)
    file = tmp_path / "failed.pcap"
    file.write_bytes(write_pcap(frames_of(one(done, BEGINNINGS[how]))))
    said = cli("jobs", str(file)).out
    inside = {"proxy": " (CONNECT scanserver.example:5362)", "upgrade": " (Upgrade: TLS/1.0)", "smtp": ""}[how]
    assert f"192.0.2.20:3128{inside}: the client broke the handshake off with unknown_ca" in said
    assert "1 TLS connection from 192.0.2.10 to 192.0.2.20:3128 failed: see the findings" in said


@pytest.mark.parametrize(("how", "mss"), [*((how, 1460) for how in BEGINNINGS), ("proxy", 1), ("upgrade", 1)])
def test_a_server_that_refuses_the_hello_says_why(how: str, mss: int, cli, tmp_path: Path) -> None:
    """All that it sends is an alert."""
    done = talk(client_context("1.2"), server_context(identity(), "1.3"), [])
    assert [data[:1] for back, data in done.pieces if back] == [b"\x15"]
    file = tmp_path / "refused.pcap"
    file.write_bytes(write_pcap(list(Wire(mss=mss).carry(one(done, BEGINNINGS[how])))))
    (connection,) = json.loads(cli("tls", "--json", str(file)).out)["connections"]
    assert [(alert["from"], alert["name"]) for alert in connection["alerts"]] == [("server", "protocol_version")]
    (told,) = [one["text"] for one in json.loads(cli("jobs", "--json", str(file)).out)["findings"]]
    assert "the server broke the handshake off with protocol_version" in told


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_without_keys_it_is_counted(version: str, cli, tmp_path: Path) -> None:
    done = talk(client_context(version), server_context(identity("ec"), version), GET)
    file = tmp_path / "well.pcap"
    file.write_bytes(write_pcap(frames_of(one(done, CONNECTING))))
    said = cli("jobs", str(file)).out
    assert "1 TLS connection from 192.0.2.10 to 192.0.2.20:3128 could not be read: no keys (inside HTTP)" in said
    assert "warn" not in said


def test_a_lost_answer_of_the_proxy_hides_nothing(tmp_path: Path) -> None:
    done = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), GET)
    frames = frames_of(one(done, CONNECTING[2:]))
    place = next(number for number, frame in enumerate(frames) if ESTABLISHED in frame.data)
    (tmp_path / "one.pcap").write_bytes(write_pcap(frames[:place] + frames[place + 1 :]))
    assert [m.method or m.status for m in seen(tmp_path / "one.pcap", done.keylog)] == ["CONNECT", "GET", 200]


# -- a proxy that is itself reached by TLS ---------------------------------------------------------------------------


def around(inner: Talk, version: str = "1.3") -> Talk:
    """A talk with a proxy over TLS, with another talk through it."""
    return talk(
        client_context(version),
        server_context(identity("ec", "proxy.example"), version),
        [*CONNECTING[2:], *inner.pieces],
        name="proxy.example",
    )


@pytest.mark.parametrize("outer", ["1.2", "1.3"])
@pytest.mark.parametrize("inner", ["1.2", "1.3"])
@pytest.mark.parametrize("mss", [1460, 61])
def test_jobs_through_a_proxy_that_is_reached_by_tls(
    outer: str, inner: str, mss: int, plain: Path, cli, tmp_path: Path
) -> None:
    inside, keys = encrypt(dsm_completed(), client_context(inner), server_context(identity("ec"), inner))
    proxy = server_context(identity("ec", "proxy.example"), outer)
    secret, more = encrypt(tunnelled(inside, CONNECTING), client_context(outer), proxy)
    file, log, out = tmp_path / "proxy.pcap", tmp_path / "keys", tmp_path / "out.pcapng"
    file.write_bytes(write_pcap(list(Wire(mss=mss).carry(secret))))
    log.write_bytes(keys + more)
    result = cli("jobs", "--json", "--keylog", str(log), str(file))
    assert gist(result.out) == gist(cli("jobs", "--json", str(plain)).out)
    assert json.loads(result.out)["notes"] == []
    assert cli("jobs", "--json", "--keylog", str(log), "--jobs", "2", str(file)).out == result.out
    # Both are told, each with what it says.
    connections = json.loads(cli("tls", "--json", "--keylog", str(log), str(file)).out)["connections"]
    assert len(connections) == 2 * len({c["stream"] for c in connections})
    assert {(c["depth"], c["state"], c["version"], c["tunnel"]) for c in connections} == {
        (0, "opened", f"TLS {outer}", None), (1, "opened", f"TLS {inner}", "CONNECT scanserver.example:5362")
    }  # fmt: skip
    assert cli("export", "pcap", "--decrypted", "--keylog", str(log), str(file), "-o", str(out)).code == 0
    assert gist(cli("jobs", "--json", str(out)).out) == gist(result.out)
    assert out.read_bytes().count(b"407 Proxy") == len(connections) // 2
    assert cli("export", "pcap", "--secrets", "--keylog", str(log), str(file), "-o", str(out), "--force").code == 0
    assert gist(cli("jobs", "--json", str(out)).out) == gist(result.out)
    # The keys of the proxy alone: what is inside is counted.
    log.write_bytes(more)
    notes = "".join(json.loads(cli("jobs", "--json", "--keylog", str(log), str(file)).out)["notes"])
    assert "could not be read: none of the keys fits, or the handshake is not in the capture (inside HTTP)" in notes


@pytest.mark.parametrize("mss", [1460, 61, 1])
def test_every_message_in_tls_in_tls_knows_its_frames(mss: int, tmp_path: Path) -> None:
    inner = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), GET)
    outer = around(inner)
    frames = list(Wire(mss=mss).carry(outer.story()))
    (tmp_path / "one.pcap").write_bytes(write_pcap(frames))
    messages = seen(tmp_path / "one.pcap", outer.keylog + inner.keylog)
    assert [message.method or message.status for message in messages] == ["CONNECT", 200, "GET", 200]
    assert all(message.complete for message in messages)
    before = 0
    for message, back in zip(messages, (False, True, False, True), strict=True):
        numbers = message.origin.frame_numbers()
        assert all(frames[number - 1].back is back and frames[number - 1].payload for number in numbers)
        assert min(numbers) > before
        before = max(numbers)
    if mss == 1460:
        # One record each, in a frame of its own: the last two before the ends.
        carriers = [number for number, frame in enumerate(frames, 1) if frame.payload]
        sizes = {number: frames[number - 1].payload for number in carriers}
        asks = messages[2].origin.frame_numbers()
        assert len(asks) == 1
        assert sizes[asks[0]] >= len(GET[0][1]) + 2 * (5 + 16 + 1)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_why_it_failed_inside_is_told(version: str, cli, tmp_path: Path) -> None:
    client = client_context(version)
    client.verify_mode = ssl.CERT_REQUIRED
    inner = talk(client, server_context(identity("ec"), version), GET)
    outer = around(inner)
    file, log = tmp_path / "failed.pcap", tmp_path / "keys"
    file.write_bytes(write_pcap(frames_of(outer.story(port=3128))))
    log.write_bytes(outer.keylog)
    said = cli("jobs", "--keylog", str(log), str(file)).out
    assert (
        "192.0.2.20:3128 (CONNECT scanserver.example:5362): the client broke the handshake off with unknown_ca" in said
    )
    told = cli("tls", "--keylog", str(log), str(file)).out
    assert "inside      HTTP inside TLS: CONNECT scanserver.example:5362" in told
    assert told.splitlines()[-1].startswith("2 TLS connections: 1 failed")


def test_a_gap_in_the_outer_connection_is_one_inside(tmp_path: Path) -> None:
    """A lost segment costs the records in it and no more."""
    long = [(False, b"POST /a HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60000), GET[1], *GET]
    inner = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), long)
    outer = around(inner)
    frames = frames_of(outer.story())
    large = [number for number, frame in enumerate(frames) if frame.payload > 1400 and not frame.back]
    lost = large[len(large) * 3 // 4]
    (tmp_path / "one.pcap").write_bytes(write_pcap(frames[:lost] + frames[lost + 1 :]))
    found = seen(tmp_path / "one.pcap", outer.keylog + inner.keylog)
    assert [m.method or m.status for m in found] == ["CONNECT", 200, "POST", 200, "GET", 200]
    assert [m.complete for m in found] == [True, True, False, True, True, True]


def test_how_deep_is_bounded(tmp_path: Path) -> None:
    made = talk(client_context("1.3"), server_context(identity("ec"), "1.3"), GET)
    keys = made.keylog
    for _ in range(3):
        made = around(made)
        keys += made.keylog
    file, log = tmp_path / "deep.pcap", tmp_path / "keys"
    file.write_bytes(write_pcap(frames_of(made.story())))
    log.write_bytes(keys)
    for depth in (1, 2, 3, 4):
        found: list[HttpMessage] = []
        with dissector.open(file, keylog=log, limits=Limits(tls_depth=depth)) as capture:
            capture.on_http = found.append
            capture.run()
            rules = [finding.rule for finding in capture.findings]
        ways = min(depth, 3)
        assert [m.method or m.status for m in found] == ["CONNECT", 200] * ways + (["GET", 200] if depth == 4 else [])
        assert rules.count("tls.depth") == (depth < 4)


@pytest.mark.tshark
def test_tshark_reads_the_same_through_a_proxy(tmp_path: Path) -> None:
    done = talk(client_context("1.2"), server_context(identity("ec"), "1.2"), GET)
    file = tmp_path / "one.pcap"
    file.write_bytes(write_pcap(frames_of(one(done, CONNECTING))))
    ours = [m.method or m.status for m in seen(file, done.keylog)]
    told = tshark(
        "-r", str(file), "-o", f"tls.keylog_file:{file.with_suffix('.keys')}", "-d", "tcp.port==5362,tls",
        "-Y", "http", "-T", "fields", "-e", "http.request.method", "-e", "http.response.code",
    )  # fmt: skip
    assert [int(word) if word.isdecimal() else word for word in told.split()] == ours
