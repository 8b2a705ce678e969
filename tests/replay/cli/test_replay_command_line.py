"""The command line of ``dsmreplay``: help, wrong options and files, exit codes."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dissector.base.errors import UsageError
from replay.cli import main
from replay.cli.addresses import endpoints_of
from replay.devices.scanserver.processes import EXAMPLE_IDENTIFIER, ScanProcess, load_processes
from tests.support.loopback import peer, read_request

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, output, errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


SCANNER = ("emulate", "scanner", "--listen", "127.0.0.1:0", "--no-discovery", "--for", "0")
SERVER = ("emulate", "scan-server", "--listen", "127.0.0.1:0", "--no-discovery", "--for", "0")
DEVICE = ("emulate", "dsm-device", "--listen", "127.0.0.1:0", "--no-discovery")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "emulate",
        "emulate scanner",
        "emulate scan-server",
        "emulate dsm-device",
        "extract",
        "run",
        "packets",
        "control",
        "certificate",
        "completion",
    ],
)
def test_help(command: Run, path: str) -> None:
    code, out, error = command(*path.split(), "--help")
    assert (code, error) == (0, "")
    assert out.startswith(f"usage: dsmreplay {path}".rstrip())
    assert "exit codes:" in out
    assert max(map(len, out.splitlines())) <= 120
    assert command("help", *path.split()) == (code, out, error)


def test_help_fits_a_narrow_terminal(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "72")
    _, out, _ = command("run", "--help")
    told = out.partition("examples:")[0]
    assert 60 < max(map(len, told.splitlines())) <= 70
    assert (
        out.count("0    fine; as recorded; the job ended as expected; an emulated scanner or server was stopped") == 1
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_everything(command: Run, shell: str) -> None:
    code, out, _ = command("completion", shell)
    assert code == 0
    for word in ("scan-server", "serve", "until-failure", "client-certificates", "starttls"):
        assert word in out
    assert "dsmshark" not in out.replace("dsmshark.", "").replace("/dsmshark", "")


def test_the_bash_script_completes(command: Run) -> None:
    code, script, _ = command("completion", "bash")

    def ask(*words: str) -> list[str]:
        listed = " ".join(f"'{word}'" for word in words)
        set_up = f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}"
        line = f"{script}\n{set_up}; _dsmreplay; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        return [one for one in done.stdout.splitlines() if one]

    assert code == 0
    assert ask("dsmreplay", "sui") == ["suite"]
    assert ask("dsmreplay", "emulate", "")[:3] == ["scanner", "scan-server", "dsm-device"]
    assert ask("dsmreplay", "emulate", "scan-server", "--smtp-tls", "s") == ["starttls"]
    assert "--step-by-step" in ask("dsmreplay", "run", "--st")
    assert __file__ in ask("dsmreplay", "emulate", "scanner", "--pages", __file__[:-3])
    assert __file__ in ask("dsmreplay", "emulate", "scanner", "--device", __file__[:-3])


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    code = (
        "import sys; from replay.cli import main; main(['emulate', 'scanner', '--help']);"
        "heavy = {'numpy', 'lxml', 'PIL', 'scapy', 'pyshark', 'cryptography', 'ruamel', 'asyncio', 'ssl',"
        " 'pypdfium2', 'dissector.catalog', 'replay.devices'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["--profiles", "--effects"])
def test_lists(command: Run, option: str) -> None:
    code, out, _ = command("emulate", "scanner", option)
    assert code == 0
    assert {"--profiles": "kyocera-m2040dn", "--effects": "close_after=BYTES"}[option] in out


def test_a_scan_process_to_start_from(command: Run, tmp_path: Path) -> None:
    code, shown, error = command("emulate", "dsm-device", "--show-process")
    assert (code, error) == (0, "")
    kept = tmp_path / f"{EXAMPLE_IDENTIFIER}.xml"
    kept.write_text(shown)
    assert load_processes(tmp_path)[EXAMPLE_IDENTIFIER].document == ScanProcess.example().document
    # It may be edited and sent; here nobody takes it.
    code, _, error = command("emulate", "dsm-device", "--process", str(kept), "--server", "http://127.0.0.1:9/")
    assert (code, error) == (4, "dsmreplay: 127.0.0.1:9 cannot be reached: Connection refused\n")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("emulate dsm-device", "the following arguments are required: --server"),
        ("emulate scanner --for x", "argument --for: 'x': seconds from 0 to 31622400 are expected"),
        ("control http://127.0.0.1:9", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(command: Run, wrong: str, told: str) -> None:
    code, out, error = command(*wrong.split())
    assert (code, out) == (2, "")
    path = " ".join(["dsmreplay", *wrong.partition(" --")[0].partition(" http")[0].split()])
    assert error == f"dsmreplay: {told} (see “{path} --help”)\n"


@pytest.mark.parametrize("name", ["scan-debian-adf", "debian-gray-mfp", "scan-any-sll2", "airscand-push"])
def test_the_device_file_of_a_capture_is_one(command: Run, samples: Path, tmp_path: Path, name: str) -> None:
    code, shown, _ = command(*SCANNER, "--from", str(samples / "others" / f"{name}.pcap"), "--show-device")
    assert code == 0
    assert shown.startswith(
        f"# The scanner of {name}.pcap: its names, addresses and serial number are the real ones.\n"
    )
    kept = tmp_path / "device.yaml"
    kept.write_text(shown)
    code, again, error = command(*SCANNER, "--device", str(kept), "--show-device")
    assert (code, error) == (0, "")
    assert again == shown.partition("\n")[2]


def test_version(command: Run) -> None:
    code, out, _ = command("--version")
    assert (code, out.split()[0]) == (0, "dsmreplay")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required"),
        (("emulate",), "required"),
        (("emulate", "toaster"), "there is no command 'toaster'; there are scanner, scan-server, dsm-device"),
        ((*SCANNER, "--nonsense"), "unrecognized arguments: --nonsense"),
        (("--yes", "run", "x"), "--yes stands behind the command: dsmreplay run --yes"),
        ((__file__,), f"a command stands before {__file__}, such as dsmreplay extract --list {__file__}"),
        ((*SCANNER, "--seed", "x"), "invalid int"),
        ((*SCANNER, "--listen", "here"), "'here' is no address to listen on"),
        ((*SCANNER, "--listen", "127.0.0.1:99999"), "is no address to listen on"),
        ((*SCANNER, "--listen", "203.0.113.1:0"), "cannot listen on 203.0.113.1:0"),
        ((*SCANNER, "--device", "unheard-of"), "unheard-of"),
        ((*SCANNER, "--pages", "5000"), "0 to 1000 test pages"),
        ((*SCANNER, "--pages", "-1"), "0 to 1000 test pages"),
        ((*SCANNER, "--host", "192.0.2.1"), "it needs --from"),
        ((*SCANNER, "--keylog", "a.keys"), "they need --from"),
        ((*SCANNER, "--from", "a.pcap", "--device", "default"), "--from and --device exclude each other"),
        ((*SCANNER, "--device", "kyocera"), "near: kyocera-m2040dn"),
        ((*SCANNER, "--do", "nonsense"), "is no rule"),
        ((*SCANNER, "--do", "Nothing: delay=1"), "is no operation and no event"),
        ((*SCANNER, "--do", "SendImage: delay=x"), "'x' is no number"),
        ((*SCANNER[:4], "--interface", "nosuch0"), "nosuch0"),
        ((*SCANNER, "--interface", "lo"), "--interface and --no-discovery exclude each other"),
        ((*DEVICE[:-1], "--server", "x", "--interface", "lo"), "--interface announces the services of a scanner"),
        ((*SERVER, "--http", "--profile", "windows-95"), "there is no profile windows-95"),
        ((*SERVER, "--http", "--client-certificates", "required"), "client certificates need https"),
        ((*SERVER, "--client-certificates", "required"), "--authorities"),
        ((*SERVER, "--http", "--share", "x"), "UNC=DIR is expected"),
        ((*SERVER, "--http", "--smtp", "x"), "HOST:PORT is expected"),
        ((*SERVER, "--http", "--ending", "nan"), "seconds from 0 to"),
        ((*SERVER, "--http", "--do", "SendImage: lost"), "SendImage has no use for this"),
        ((*SCANNER, "--do", "SendImage: delay=2"), "SendImage: the scanner has no such operation or event; it has"),
        ((*SERVER, "--http", "--do", "RetrieveImage: delay=2"), "the scan server has no such operation or event"),
        ((*DEVICE, "--server", "x", "--do", "CreateScanJob: delay=2"), "the DSM device has no such operation or event"),
        ((*DEVICE, "--server", "x", "--wait", "-1"), "seconds from 0 to"),
        ((*DEVICE, "--server", "x", "--cancel-after", "-1"), "a number from 0 on"),
        ((*DEVICE, "--server", "ftp://x"), "is no URL of http"),
        ((*DEVICE, "--server", "http://127.0.0.1:9/", "--leave", "--cancel-after", "1"), "exclude each other"),
        (("control", "nonsense", "status"), "is no URL"),
        ((*SERVER, "--http", "--share", r"\\a\b=x", "--share", r"\\a\b=y"), "it is given twice, with x and y"),
        ((*SERVER, "--http", "--user", "S-1-5=a", "--user", "S-1-5=b"), "--user S-1-5: it is given twice"),
        ((*SERVER, "--http", "--name", "a b"), "'a b' is no host name"),
        ((*SERVER, "--http", "--control", "99999"), "a port from 0 (any) to 65535"),
        ((*DEVICE, "--server", ""), "--server is empty"),
        ((*SCANNER, "--pcap", "-"), "--pcap -: standard output is taken"),
        ((*SERVER, "--http", "--outcome", "email=a:b", "--outcome", "Email=a:c"), "--outcome email: it is given twice"),
        (("run", "x", "--from-step", "0"), "steps are counted from 1"),
    ],
)  # fmt: skip
def test_a_wrong_command_line(command: Run, arguments: tuple[str, ...], words: str) -> None:
    code, _, error = command(*arguments)
    assert code == 2
    assert words in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--http", "--share", r"\\a\b=/proc/x"), "--share /proc/x: No such file or directory"),
        (("--http", "--output", "/proc/nothing"), "/proc/nothing: No such file or directory"),
        (("--certificates", "/proc/nothing"), "/proc/nothing: no folder for certificates: No such file or directory"),
    ],
)
def test_a_folder_that_cannot_be_made(command: Run, arguments: tuple[str, ...], words: str) -> None:
    code, _, error = command(*SERVER, *arguments)
    assert (code, error.count("\n")) == (3, 1)
    assert words in error


def test_the_seed_of_a_run_with_chances_is_told(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("rules:\n  - {on: SendImage, delay: 1, probability: 0.5}\n")
    for given in (("--do", "SendImage: delay=1, probability=0.5"), ("--behaviour", path)):
        code, _, error = command(*SERVER, "--http", *given)
        assert (code, error.partition("--seed ")[0]) == (0, "dsmreplay: chances by ")
        assert command(*SERVER, "--http", *given, "--seed", "5")[2] == ""
    assert command(*SERVER, "--http", "--do", "SendImage: delay=1")[2] == ""


def test_a_password_does_not_travel_in_the_clear(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSMREPLAY_SMTP_USER", "anna")
    code, _, error = command(*SERVER, "--http", "--smtp", "mail.example.test:25")
    assert code == 2
    assert "mail.example.test would get the password unencrypted: add --smtp-tls" in error


def test_a_port_that_is_taken(command: Run) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        address = f"127.0.0.1:{one.getsockname()[1]}"
        code, _, error = command("emulate", "scanner", "--no-discovery", "--listen", address)
    assert (code, error) == (2, f"dsmreplay: cannot listen on {address}: Address already in use\n")


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--behaviour", "rules:\n  - on: SendImage\n    delay: x\n", "f.yaml:3: 'x' is no number"),
        ("--behaviour", "rules:\n  - delay: 1\n", "f.yaml:2: a rule needs on"),
        ("--behaviour", "rulez: []\n", "f.yaml:1: rulez is not known; expected seed or rules"),
        ("--behaviour", "rules: [\n", "f.yaml:2:1: "),
        ("--behaviour", "- 1\n", "no behaviour"),
        ("--device", "device: {}\nscanner: {nonsense: 1}\n", "f.yaml:2: "),
        ("--device", "device: {\n", "f.yaml:2:1: "),
        ("--device", "quirks: [unheard-of]\n", "f.yaml:1: "),
        ("--device", "a: !!python/name:os.system\n", "f.yaml:1:4: the tag"),
    ],
)
def test_wrong_files_are_told_with_their_line(command: Run, tmp_path: Path, option: str, text: str, words: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    code, _, error = command(*SCANNER, option, path)
    assert code == 2, error
    assert error.startswith("dsmreplay: ")
    assert words in error
    assert str(tmp_path) in error


@pytest.mark.parametrize(
    "arguments",
    [
        (*SCANNER, "--behaviour", "/nothing/here.yaml"),
        (*SCANNER, "--pcap", "/nothing/here.pcapng"),
        (*SCANNER, "--from", "/nothing/here.pcap"),
        (*DEVICE, "--server", "http://127.0.0.1:9/", "--process", "/nothing/here.xml"),
    ],
)
def test_files_that_are_not_there(command: Run, arguments: tuple[str, ...]) -> None:
    code, _, error = command(*arguments)
    assert (code, error.count("\n")) == (3, 1), error
    assert "/nothing" in error


@pytest.mark.parametrize(
    "wrong", [("--do", "nonsense"), ("--listen", "x"), ("--limit", "x=1"), ("--trust", "sha256:zz"), ("--outcome", "x")]
)
def test_a_wrong_command_line_leaves_nothing_behind(command: Run, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    path, share = tmp_path / "old.pcapng", tmp_path / "share"
    path.write_bytes(b"old")
    assert command(*SERVER, "--http", "--pcap", path, "--share", rf"\\a\b={share}", *wrong)[0] == 2
    assert path.read_bytes() == b"old"
    assert not share.exists()


def test_what_is_read_is_not_written_over(command: Run, samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes((samples / "emulated" / "airscan-platen.pcap").read_bytes())
    code, _, error = command(*SCANNER, "--from", path, "--pcap", path)
    assert (code, error) == (2, f"dsmreplay: --pcap {path}: that file is read; give it another one\n")
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("option", ["--authorities", "--trust", "--behaviour"])
def test_neither_are_keys_and_rules(command: Run, tmp_path: Path, option: str) -> None:
    path = tmp_path / "file"
    path.write_text("what it was")
    code, _, error = command(*SERVER, option, path, "--pcap", path)
    assert (code, error) == (2, f"dsmreplay: --pcap {path}: that file is read; give it another one\n")
    assert path.read_text() == "what it was"


def test_a_server_that_is_not_there(command: Run) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}/"
        code, out, error = command(*DEVICE, "--server", url)
        assert (code, error.count("\n")) == (4, 1)
        assert "cannot be reached: Connection refused" in error
        assert "Connection refused" in out
        code, _, error = command("control", url, "status")
        assert (code, error.count("\n")) == (4, 1)


def test_certificates(command: Run, tmp_path: Path) -> None:
    code, out, _ = command("certificate", "alice@example.test", "-o", tmp_path / "made")
    assert code == 0
    shown = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(shown) == ["authority", "certificate", "key", "SHA-256"]
    assert all(Path(shown[name]).is_file() for name in ("authority", "certificate", "key"))
    assert Path(shown["key"]).stat().st_mode & 0o077 == 0
    again = command("certificate", "bob@example.test", "-o", tmp_path / "made")[1]
    assert again.splitlines()[0] == out.splitlines()[0]
    (tmp_path / "file").write_text("")
    code, _, error = command("certificate", "alice", "-o", tmp_path / "file")
    assert (code, error.count("\n")) == (3, 1)


def hostile(body: bytes, *arguments: str) -> list[str]:
    """The arguments of ``control`` for a server that answers this; run in a process of its own."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def story() -> Any:
        async with peer(script) as port:
            return await asyncio.to_thread(main, ["control", f"http://127.0.0.1:{port}", *arguments])

    return [str(asyncio.run(story()))]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (json.dumps({"error": "\x1b[31mred\u202e"}).encode(), "dsmreplay: \\x1b[31mred\\u202e\n"),
        (b"<html>", "is no control port: it does not answer in JSON"),
        (b"[" * 100_000, "is no control port: it does not answer in JSON"),
        (b"[]", "dsmreplay: HTTP 400"),
        (b"", "dsmreplay: HTTP 400"),
    ],
)
def test_a_control_port_that_is_none(capsys: pytest.CaptureFixture[str], body: bytes, words: str) -> None:
    assert hostile(body, "status") == ["2"]
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("localhost:5357", ("localhost", 5357)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)  # fmt: skip
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert endpoints_of([text, text]) == [found, found]


@pytest.mark.parametrize("text", ["", ":80", "h", "h:", "h:x", "h:65536", "::1:80", "h:-1", "h:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        endpoints_of([text])
