"""Keys on the command line, and ``dsmshark tls``: what people and programs are told of TLS."""

from __future__ import annotations

import base64
import json
import os
import select
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from cryptography.hazmat.primitives import serialization as ser

import dissector
from dissector.base.errors import UnreadableInput, UsageError
from tests.output.test_output_schemas_complete import closed, every_key_is_required
from tests.support.stories import Channel, Story
from tests.support.tls_talk import client_context, identity, server_context, talk
from tests.support.wire import frames_of, write_pcap


def gist(text: str) -> list[tuple[object, ...]]:
    """What does not depend on how it was carried."""
    return [
        (job["id"], job["completed_state"], [(i["format"], i["size"], i["sha256"]) for i in job["images"]])
        for job in json.loads(text)["jobs"]
    ]


@pytest.mark.parametrize(
    "options",
    [
        ["1.3.pcap", "--keylog", "1.3.keys"],
        ["1.3.pcap", "--keylog", "1.2.keys", "--keylog", "1.3.keys"],
        ["1.3.pcapng"],
        ["1.2.pcapng"],
        ["1.2.pcap", "--rsa-key", "key.pem"],
        ["1.2.pcap", "--rsa-key", "key.der"],
        ["1.2.pcap", "--rsa-key", "key.pkcs1"],
        ["1.2.pcap", "--rsa-key", "locked.pem"],
        ["1.2.pcap", "--rsa-key", "locked.p12"],
    ],
    ids=" ".join,
)
def test_jobs_over_tls_are_the_jobs(options: list[str], folder: Path, cli, monkeypatch) -> None:
    monkeypatch.setenv("DSMSHARK_KEY_PASSWORD", "secret")
    plain = gist(cli("jobs", "--json", str(folder / "plain.pcap")).out)
    paths = [str(folder / word) if (folder / word).exists() else word for word in options]
    result = cli("jobs", "--json", *paths)
    assert gist(result.out) == plain
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["notes"] == []


def test_the_key_log_of_the_environment_counts(folder: Path, cli, monkeypatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(folder / "1.3.keys"))
    assert "Completed" in cli("jobs", str(folder / "1.3.pcap")).out


def test_a_pre_master_secret_opens_a_connection(folder: Path, cli) -> None:
    """Read off the recorded handshake with the private key, as a debugger would have shown it."""
    with dissector.open(folder / "1.2.pcap", rsa_key=folder / "key.pem") as capture:
        capture.run()
        first = capture.tls_opened[0]
    # The pre-master secret is not among the facts: it is decrypted here.
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    done = talk(client_context("1.2", "AES128-SHA"), server_context(identity(), "1.2", "AES128-SHA"),
                [(False, b"GET / HTTP/1.1\r\n\r\n"), (True, b"HTTP/1.1 204 No Content\r\n\r\n")])  # fmt: skip
    flight = done.pieces[2][1]
    assert flight[5] == 16
    encrypted = flight[11 : 11 + 256]
    key = ser.load_pem_private_key(identity().key, None)
    premaster = key.decrypt(encrypted, PKCS1v15()).hex()
    random = done.keylog.split(b"CLIENT_RANDOM ")[1].split()[0].decode()
    capture_file = folder / "one.pcap"
    capture_file.write_bytes(write_pcap(frames_of(done.story())))
    for given in (premaster, f"{random}:{premaster}"):
        with dissector.open(capture_file, pre_master=given) as capture:
            seen = []
            capture.on_http = seen.append
            capture.run()
            assert [http.is_request for http in seen] == [True, False]
    assert first.keys == "RSA key"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--keylog", "nowhere"], 3, "nowhere: the key log cannot be read: No such file"),
        (["--rsa-key", "nowhere"], 3, "nowhere: the private key cannot be read"),
        (["--rsa-key", "1.3.keys"], 3, "is no private key in PEM, DER or PKCS#12"),
        (["--rsa-key", "ec.pem"], 3, "only RSA keys open recorded connections"),
        (["--rsa-key", "locked.pem"], 2, "the private key is encrypted: put its password into DSMSHARK_KEY_PASSWORD"),
        (["--pre-master", "xyz"], 2, "a pre-master secret is given in hexadecimal digits"),
    ],
)
def test_keys_that_are_none(options: list[str], code: int, words: str, folder: Path, cli) -> None:
    paths = [str(folder / word) if not word.startswith("--") and word != "xyz" else word for word in options]
    result = cli("jobs", *paths, str(folder / "1.2.pcap"))
    assert result.code == code
    assert words in result.err
    assert "Traceback" not in result.err


def test_another_password_is_said(folder: Path, cli, monkeypatch) -> None:
    monkeypatch.setenv("DSMSHARK_KEY_PASSWORD", "wrong")
    for name in ("locked.pem", "locked.p12"):
        result = cli("jobs", "--rsa-key", str(folder / name), str(folder / "1.2.pcap"))
        assert result.code == 2
        assert "another password" in result.err


LUCKY_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIIC5TBfBgkqhkiG9w0BBQ0wUjAxBgkqhkiG9w0BBQwwJAQQjRIrM9Goio1iHTpf
aWFbdgICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEEK4goQRddrLA5gZ
t1v2u7oEggKARDlo4zjICxg/v45SxdsX5TVeC6abBKWhYItAwpDXdFrqHoTWrdxC
0olL9UfiE8zn+fGuVTCs5GVBVxH3LKLAAWGcRE3QdqIOY58kSZhaLTa8EX7W6TPl
MjnFvQHgSWfOt44g2xCu0D2PkvSxWJHeaKcQNH8KsgdfzecrwmMqR350dcQNh2+e
LQZ5rgc/CPNF0z9JQjmdBBQK90xVFJqpVQfZhcw+nC11MrRFo9cCvrK1NtbhIrfN
UI1MssGTktrTK5sI00+1BkBhBPk66pmAk5iMkJrXyxoV6HUMUbAZ8ArrzAwsdrbP
T+vJ87yj0RcfdMvAGgxc6pzBunDZjVJCIkEMCLCZPhsnW8HvcTsuUrCTHda7D0Ls
Gi51ZbUtEK9KwFGKeFn897FnH09H7KJxxEVbH+twbQ4tfZNgde/HdoCc0sl7MzoJ
vgukrA6FtDFd+JQTLBRaII1HI+bvp8JuZvEN3+6nckdQh/60frB4SiS6RoJft6jZ
ynTarOr5a+ldahhiLdh7g/peLbHM+sYY77cpYMpGM1y/gpJTfcXd85jV8MZGVHgS
gRNnKOXMRxk4wS09PRv72VBkDdQFCrAtmYTdkuG5ktDPKb909rC4iXI9HS2xLseh
ZtZ+WK/TxZ1GGJJF5fvBPUWB7fQuUjCf4rv1cFWyyC33sbxdX0GD79YFllZp3Vz6
J/IyY+/aj4+LDQbjq+7R8YsP6tfQGPPbDEc/qXPHM0GwtzgkghMuIkfPkG2usQU8
MBi7HXpYJbq1t7swYYA2PpcxNPv6MfCREIX19KslTY8NjUJAOZRXqPw0lWAw83ec
CE7vvLJ+ddm9M+ti6ObaRXV9WXMNygKdgw==
-----END ENCRYPTED PRIVATE KEY-----
"""
"""An RSA key of 1,024 bits, locked with "secret". What "wrong224" decrypts ends as padding does, and is no key."""


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("wrong224", "needs another password"),
        ("wrong355", "needs another password"),
        ("wrong", "needs another password"),
        (None, "put its password into"),
    ],
)
def test_a_password_that_is_nearly_right_is_another(
    password: str | None, words: str, encoding: str, cli, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.delenv("DSMSHARK_KEY_PASSWORD", raising=False)
    if password:
        monkeypatch.setenv("DSMSHARK_KEY_PASSWORD", password)
    key = tmp_path / "lucky"
    body = "".join(LUCKY_KEY.splitlines()[1:-1])
    key.write_bytes(LUCKY_KEY.encode() if encoding == "PEM" else base64.b64decode(body))
    result = cli("jobs", "--rsa-key", str(key), str(folder / "1.2.pcap"))
    assert result.code == 2
    assert words in result.err


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_key_log_as_shells_of_windows_write_it(encoding: str, folder: Path, cli, tmp_path: Path) -> None:
    log = tmp_path / "odd.keys"
    secrets = [line for line in (folder / "1.3.keys").read_text().splitlines() if not line.startswith("#")]
    log.write_bytes("\r\n".join(secrets).encode(encoding))
    data = json.loads(cli("jobs", "--json", "--keylog", str(log), str(folder / "1.3.pcap")).out)
    assert [job["completed_state"] for job in data["jobs"]] == ["Completed"]
    assert data["findings"] == []


def test_a_key_log_that_holds_nothing_is_told(folder: Path, cli, tmp_path: Path) -> None:
    log = tmp_path / "odd.keys"
    for text, words in (
        (b"", None),
        (b"# only\n", None),
        (b"<html>\n</html>\n", "lines 1, 2 of the key log are not understood"),
    ):
        log.write_bytes(text)
        out = cli("jobs", "--keylog", str(log), str(folder / "1.3.pcap")).out
        assert ("holds no secret" in out) is bool(words)
        assert not words or words in out


def test_a_private_key_that_cannot_help_is_told(folder: Path, cli, tmp_path: Path) -> None:
    """The classic question: why does the server's key not open it?"""
    story = Story()
    talks = [talk(client_context("1.2", cipher), server_context(identity(), "1.2", cipher), [])
             for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "AES128-SHA")]  # fmt: skip
    for number, done in enumerate(talks):
        story.channels[f"{number}"] = Channel("192.0.2.10", "192.0.2.20", 5362)
        for back, data in done.pieces:
            story.say(f"{number}", data, back=back)
    (tmp_path / "mixed.pcap").write_bytes(write_pcap(frames_of(story)))
    key = str(folder / "key.pem")
    words = "a private RSA key opens only connections whose secret was encrypted with it; "
    for options in ([], ["--jobs", "2"]):
        out = cli("jobs", *options, "--rsa-key", key, str(tmp_path / "mixed.pcap")).out
        assert f"{words}2 of its server agree on the secret by Diffie-Hellman: those need a key log" in out
    assert f"{words}2 are of TLS 1.3, which" in cli("jobs", "--rsa-key", key, str(folder / "1.3.pcap")).out
    assert words not in cli("jobs", "--rsa-key", key, str(folder / "1.2.pcap")).out


def test_what_is_no_key_log_line_is_counted(folder: Path, cli, tmp_path: Path) -> None:
    odd = tmp_path / "odd.keys"
    odd.write_bytes(b"# fine\n\nCLIENT_RANDOM 00 11\nhello\n" + (folder / "1.3.keys").read_bytes() + b"CLIENT_RANDOM")
    with dissector.open(folder / "1.3.pcap", keylog=odd) as capture:
        assert len(capture.jobs) == 1
        (finding,) = capture.findings
    assert finding.rule == "tls.keylog-line"
    assert "lines 3, 4," in finding.text


@pytest.mark.parametrize("command", [["jobs", "--json"], ["info"], ["read"]])
def test_more_processes_give_the_same(command: list[str], folder: Path, cli) -> None:
    for options in (["1.3.pcap", "--keylog", "1.3.keys"], ["1.3.pcapng"], ["1.2.pcap", "--rsa-key", "key.pem"]):
        paths = [str(folder / word) if (folder / word).exists() else word for word in options]
        one, three = cli(*command, *paths), cli(*command, "--jobs", "3", *paths)
        assert (one.code, one.out, one.err) == (three.code, three.out, three.err)


def test_info_counts_what_was_decrypted(folder: Path, cli) -> None:
    assert "decrypted     2 TLS connections" in cli("info", str(folder / "1.3.pcapng")).out
    assert json.loads(cli("info", "--json", str(folder / "1.3.pcap")).out)["decrypted"] == 0


def test_without_keys_a_note_says_where_to_look(folder: Path, cli) -> None:
    for command in ("jobs", "read", "info"):
        result = cli(command, str(folder / "1.3.pcap"))
        said = result.out + result.err
        assert (
            "1 TLS connection from 192.0.2.10 to 192.0.2.20:5362 (DSM scan server) could not be read: no keys" in said
        )
        assert "“dsmshark tls” says what can be seen of them" in said


def test_every_command_tells_why_a_handshake_failed(folder: Path, cli, tmp_path: Path) -> None:
    """Without keys, and with keys for others."""
    client = client_context("1.2")
    client.verify_mode = ssl.CERT_REQUIRED
    done = talk(client, server_context(identity(), "1.2"), [])
    file = tmp_path / "failed.pcap"
    file.write_bytes(write_pcap(frames_of(done.story())))
    why = (
        "TCP stream 0, 192.0.2.10:49153 → 192.0.2.20:5362: the client broke the handshake off with unknown_ca: it does "
        "not know, or does not trust, the authority that signed the certificate; the server's certificate is signed by "
        "itself (CN=scanner.example, O=Example)"
    )
    for keys in ([], ["--keylog", str(folder / "1.2.keys")], ["--jobs", "2"]):
        for command in (["jobs"], ["read"], ["info"], ["jobs", "--json"]):
            result = cli(*command, *keys, str(file))
            assert (result.out + result.err).count(json.dumps(why)[1:-1] if "--json" in command else why) == 1
            assert "1 TLS connection from 192.0.2.10 to 192.0.2.20:5362 (DSM scan server) failed" in (
                result.out + result.err
            )
            assert result.code == 0


# -- dsmshark tls ----------------------------------------------------------------------------------------------------


def test_tls_shows_connections(folder: Path, cli) -> None:
    result = cli("tls", str(folder / "1.2.pcap"))
    assert "TLS 1.2, no keys" in result.out
    assert "“scanner.example”" in result.out
    assert "certificate CN=scanner.example, O=Example (signed by itself)" in result.out
    assert "valid 2026-01-31 to 2027-01-31; RSA 2048, sha256; serial 7" in result.out
    assert result.code == 0
    opened = cli("tls", "--keylog", str(folder / "1.3.keys"), "--stream", "1", "--records", str(folder / "1.3.pcap"))
    assert opened.out.count("TLS 1.3, opened (traffic secrets)") == 1
    assert "handshake (in application data)  EncryptedExtensions\n" in opened.out
    assert "handshake  ClientHello\n" in opened.out


@pytest.mark.parametrize("options", [["1.3.pcap", "--records"], ["1.3.pcapng", "--records"], ["1.2.pcap"]])
def test_tls_json_fits_its_closed_schema(options: list[str], folder: Path, cli, tmp_path: Path) -> None:
    from dissector.output.jsontext import schema

    (tmp_path / "own.pem").write_bytes(identity().certificate)
    options = [*options, "--trust", str(tmp_path / "own.pem")] if len(options) == 1 else options

    result = cli("tls", "--json", str(folder / options[0]), *options[1:])
    data = json.loads(result.out)
    jsonschema.Draft202012Validator(closed(schema("dsmshark.tls/1"))).validate(data)
    assert every_key_is_required(schema("dsmshark.tls/1"))
    assert {one["state"] for one in data["connections"]} == {"opened" if options[0] == "1.3.pcapng" else "no keys"}
    assert all((one["records"] is not None) == ("--records" in options) for one in data["connections"])


def test_a_failed_handshake_is_the_exit_code_of_tls_alone(folder: Path, cli, tmp_path: Path) -> None:
    done = talk(client_context("1.1"), server_context(identity(), "1.2"), [])
    file = tmp_path / "failed.pcap"
    file.write_bytes(write_pcap(frames_of(done.story())))
    result = cli("tls", str(file))
    assert result.code == 1
    assert "protocol_version" in result.out
    assert "No TLS connections." in cli("tls", str(folder / "plain.pcap")).out
    # With keys for others it is a warning: the capture may hold what has nothing to do with scanning.
    (tmp_path / "any.keys").write_bytes((folder / "1.2.keys").read_bytes())
    assert cli("jobs", "--keylog", str(tmp_path / "any.keys"), str(file)).code == 0


def test_trust_says_whether_clients_would_trust(folder: Path, cli, tmp_path: Path, monkeypatch) -> None:
    own, other = tmp_path / "own.pem", tmp_path / "others"
    own.write_bytes(b"# of the device\n" + identity().certificate)
    other.mkdir()
    (other / "a.der").write_bytes(identity("ec", "authority.example").der)
    (other / "readme").write_bytes(b"no certificate")
    capture = str(folder / "1.2.pcap")
    result = cli("tls", "--trust", str(own), capture)
    assert result.code == 0
    assert result.out.count("    trust       server: trusted, by CN=scanner.example, O=Example (own.pem)\n") == 2
    assert "                not checked: revocation, certificate policies\n" in result.out
    result = cli("tls", "--trust", str(other), capture)
    assert result.code == 1
    assert "server: not trusted: it is signed by itself and is not in others" in result.out
    assert "[tls.untrusted]" in result.out
    assert cli("tls", "--trust", str(other), "--trust", str(own), capture).code == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert "trusted, by CN=scanner.example, O=Example (the store of this machine)" in (
        cli("tls", "--trust", "system", capture).out
    )
    # In TLS 1.3 the certificate is encrypted.
    assert "no certificate of the server was seen" in cli("tls", "--trust", str(own), str(folder / "1.3.pcap")).out


def test_http_for_https_and_the_other_way_round(folder: Path, cli, tmp_path: Path) -> None:
    story = Story(channels={name: Channel("192.0.2.10", "192.0.2.20", 5358) for name in ("tls", "plain", "more")})
    story.say("tls", talk(client_context("1.2"), server_context(identity(), "1.2"), []).pieces[0][1])
    story.say("tls", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", back=True)
    for name, answer in (("plain", b"\x15\3\1\0\2\2\x46"), ("more", b"\x16\3\3\0\x40" + b"\n" * 64)):
        story.say(name, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        story.say(name, answer, back=True)
    file = tmp_path / "mixed.pcap"
    file.write_bytes(write_pcap(frames_of(story)))
    for keys in ([], ["--keylog", str(folder / "1.2.keys")], ["--jobs", "2"]):
        out = cli("jobs", *keys, str(file)).out
        assert out.count("5358: the server answered the ClientHello in the clear, with “HTTP/1.1 400 Bad Request”") == 1
        assert out.count("192.0.2.20:5358 answers HTTP in the clear with TLS: it expects https on this port") == 2
    assert "error  the server answered the ClientHello in the clear" in cli("tls", str(file)).out


def test_what_failed_is_told_first_and_what_was_shown_before_is_named(folder: Path, cli, tmp_path: Path) -> None:
    client = client_context("1.2")
    client.verify_mode = ssl.CERT_REQUIRED
    story = Story()
    for number, context in enumerate((client_context("1.2"), client, client_context("1.1"))):
        story.channels[f"{number}"] = Channel("192.0.2.10", "192.0.2.20", 5362)
        for back, data in talk(context, server_context(identity(), "1.2"), []).pieces:
            story.say(f"{number}", data, back=back)
    file = tmp_path / "three.pcap"
    file.write_bytes(write_pcap(frames_of(story)))
    lines = cli("tls", str(file)).out.splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("Stream ")]
    assert [lines[place].split("  ")[-1] for place in heads] == [
        "TLS 1.2, no keys", "TLS 1.2, failed", "ClientHello refused, failed"
    ]  # fmt: skip
    assert lines[heads[1] + 1].startswith("    error  the client broke the handshake off with unknown_ca")
    assert "    certificate CN=scanner.example, O=Example, as in stream 0" in lines[heads[1] :]
    assert lines[-1] == "3 TLS connections: 2 failed (streams 1, 2), 1 without keys"
    only = cli("tls", "--failed", str(file)).out
    assert [line.split("  ")[0] for line in only.splitlines() if line.startswith("Stream")] == ["Stream 1", "Stream 2"]
    assert cli("tls", "--failed", str(folder / "1.2.pcap")).out == "No TLS connection failed.\n"
    none = cli("tls", "--stream", "9", str(file))
    assert (none.out, none.err) == ("None of 3 TLS connections is in stream 9.\n", "")
    assert cli("tls", "--stream", "0", "--failed", str(file)).out == "None of 3 TLS connections failed in stream 0.\n"


@pytest.mark.parametrize("name", ["nowhere", "empty", "folder"])
def test_what_holds_no_certificate(name: str, folder: Path, cli, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    result = cli("tls", "--trust", str(tmp_path / name), str(folder / "1.2.pcap"))
    assert result.code == 3
    assert ("No such file" if name == "nowhere" else "holds no certificate") in result.err


@pytest.mark.parametrize("by", ["option", "environment", "pipe"])
def test_a_live_capture_is_read_as_its_key_log_grows(by: str, folder: Path, tmp_path: Path) -> None:
    """The packets of a connection come before its secrets: it waits, and is read when they are there."""
    raw = (folder / "1.3.pcap").read_bytes()
    log = tmp_path / "growing.keys"
    if by == "pipe":
        os.mkfifo(log)
    command = [sys.executable, "-m", "dissector", "read", "--ndjson", "-"]
    named = {**os.environ, "SSLKEYLOGFILE": str(log)} if by == "environment" else {**os.environ}
    command[5:5] = ["--keylog", str(log)] if by != "environment" else []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=named
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        half = len(raw) // 2
        process.stdin.write(raw[:half])
        process.stdin.flush()
        # The discovery before it is no TLS, and shows that the first half was read.
        assert json.loads(process.stdout.readline())["message"] == "Probe"
        log.write_bytes((folder / "1.3.keys").read_bytes())
        process.stdin.write(raw[half : half + 3000])
        process.stdin.flush()
        names = []
        # The input is still open: what comes now was waited for.
        while "CreatePostScanJobRequest" not in names:
            assert select.select([process.stdout], [], [], 30)[0], names
            names.append(json.loads(process.stdout.readline())["message"])
        process.stdin.write(raw[half + 3000 :])
        process.stdin.close()
        names += [json.loads(line)["message"] for line in process.stdout]
        assert process.wait(60) == 0
    with dissector.open(folder / "plain.pcap") as capture:
        assert sorted([*names, "Probe"]) == sorted(message.name for message in capture.messages)


def test_keys_open_no_handshake_that_failed(cli, tmp_path: Path) -> None:
    client = client_context("1.2")
    client.verify_mode = ssl.CERT_REQUIRED
    story = Story()
    story.channels["one"] = Channel("192.0.2.10", "192.0.2.20", 5362)
    for back, data in talk(client, server_context(identity(), "1.2"), []).pieces:
        story.say("one", data, back=back)
    file = tmp_path / "failed.pcap"
    file.write_bytes(write_pcap(frames_of(story)))
    said = cli("jobs", str(file)).out
    assert "1 TLS connection from 192.0.2.10 to 192.0.2.20:5362 (DSM scan server) failed: see the findings" in said
    assert said.endswith("“dsmshark tls” says what can be seen of them\n")


def test_keys_of_another_connection_are_no_lack_of_keys(cli, pcap) -> None:
    capture = pcap("others/scan-tls-rsa.pcap")
    without = cli("jobs", capture).out
    assert "could not be read: no keys (178 packets)" in without
    assert "keys (--keylog, --rsa-key) open those whose handshake is in the capture" in without
    for keys in (("--rsa-key", pcap("others/rsasnakeoil2.key")), ("--keylog", pcap("others/tls13-rfc8446.keys"))):
        for jobs in ("1", "2"):
            said = cli("jobs", "--jobs", jobs, *keys, capture).out
            assert "could not be read: none of the keys fits, or the handshake is not in the capture (178 pa" in said
            assert "their own keys open those whose handshake is in the capture" in said


def test_python_takes_keys(folder: Path) -> None:
    with dissector.open(folder / "1.3.pcap", keylog=[folder / "1.2.keys", folder / "1.3.keys"]) as capture:
        assert [job.completed_state for job in capture.jobs] == ["Completed"]
        # Again, from the beginning.
        assert len(list(capture.messages)) > 10
    with pytest.raises(UnreadableInput):
        dissector.open(folder / "1.3.pcap", keylog="nowhere")
    with pytest.raises(UsageError):
        dissector.open(folder / "1.3.pcap", pre_master="abc")


def test_connections_without_a_handshake_are_not_none(cli, tmp_path: Path) -> None:
    done = talk(client_context("1.2"), server_context(identity(), "1.2"), [(False, b"GET / HTTP/1.1\r\n\r\n")])
    file = tmp_path / "cut.pcap"
    file.write_bytes(write_pcap([replace(f, data=f.data[:80], wirelen=len(f.data)) for f in frames_of(done.story())]))
    result = cli("tls", str(file))
    assert result.out == "No TLS handshake is in the capture: it began later, or its packets are cut.\n"
    assert "1 TLS connection from 192.0.2.10 to 192.0.2.20:5362" in result.err
    assert "“dsmshark tls”" not in result.err


@pytest.mark.parametrize("command", ["jobs", "events", "read", "info", "tls"])
def test_connections_opened_before_the_capture_are_told(cli, tmp_path: Path, command: str) -> None:
    done = talk(client_context("1.2"), server_context(identity(), "1.2"), [(False, b"GET / HTTP/1.1\r\n\r\n")])
    story = done.story()
    for channel in story.channels.values():
        channel.port = 5362
    file, log = tmp_path / "late.pcap", tmp_path / "keys"
    late = [frame for frame in frames_of(story) if frame.data[54:55] == b"\x17"]
    file.write_bytes(write_pcap(late))
    log.write_bytes(done.keylog)
    for keys, lack in (((), "no keys"), (("--keylog", str(log)), "the handshake is not in the capture")):
        result = cli(command, *keys, str(file))
        said = result.out + result.err
        assert ":5362 (DSM scan server) could not be read: " in said
        assert f"{lack} (1 packet)" in said
        assert command != "tls" or "No TLS handshake is in the capture" in said


def test_a_server_that_accepts_and_says_nothing_is_in_the_capture(cli, tmp_path: Path) -> None:
    story = Story(channels={"one": Channel("192.0.2.10", "192.0.2.20", 5362)})
    done = talk(client_context("1.2"), server_context(identity(), "1.2"), [])
    story.say("one", done.pieces[0][1])
    story.say("one", b"", close=True)
    flags = 14 + 20 + 13
    silent = [frame for frame in frames_of(story) if not frame.back or frame.data[flags] & 2]
    file = tmp_path / "silent.pcap"
    for frames, one_way in ((silent, False), ([frame for frame in silent if not frame.back], True)):
        file.write_bytes(write_pcap(frames))
        result = cli("tls", str(file))
        assert ("tls.one-way" in result.out) is one_way
        assert ("before the server answered its ClientHello" in result.out) is not one_way
