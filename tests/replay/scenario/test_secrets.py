"""What is not written down: it comes from the environment when the scenario is played."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissector.base.errors import UsageError
from replay.cli.main import main
from replay.scenario.extract import extract
from replay.scenario.files import load_scenario
from replay.scenario.secret import MAX_SEARCHED, SHORTEST, Secrets, is_credential, secrets_of
from tests.support.scenarios import plain
from tests.support.talk import Talk
from tests.support.wire import frames_of, write_pcap

BASIC = "Basic c2VjcmV0OnBhc3M="
PASSWORD = "correct-horse"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A client that proves who it is, in three ways."""
    talk = Talk()
    inner = f'<v:FtpPassword>{PASSWORD}</v:FtpPassword><v:Login user="u" pwd="{PASSWORD}2"/>'
    talk.ask(
        "Other", f"{inner}<wscn:EmailAddress>anna@example.com</wscn:EmailAddress><v:To>bob@example.com</v:To>", "",
        http=f"Authorization: {BASIC}\r\nCookie: sid=abcdef\r\n",
    )  # fmt: skip
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    return path


def written(folder: Path) -> str:
    """All that was written."""
    return "".join(path.read_text() for path in sorted(folder.rglob("*")) if path.is_file())


def test_credentials_are_never_written_down(capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenario"
    assert main(["extract", str(capture), "-o", str(folder)]) == 0
    text = written(folder)
    for secret in (BASIC, "c2VjcmV0", PASSWORD):
        assert secret not in text
    assert "Authorization: ${authorization}" in text
    assert "<v:FtpPassword>${ftp_password}</v:FtpPassword>" in text
    scenario, _ = load_scenario(folder)
    assert {value.name: value.secret for value in scenario.values.values() if value.secret} == {
        "authorization": "DSMREPLAY_AUTHORIZATION", "ftp_password": "DSMREPLAY_FTP_PASSWORD",
        "pwd": "DSMREPLAY_PWD",
    }  # fmt: skip
    # What the user does not name stays.
    assert scenario.values["cookie_sid"].recorded == "abcdef"
    assert scenario.values["email_address"].default == "anna@example.com"
    assert scenario.values["to"].recorded == "bob@example.com"


def test_what_the_user_names_is_not_written_down(capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenario"
    options = ["--secret", "cookie_*", "--secret", "email_address=SCAN_MAIL", "--secret", "authorization=TOKEN"]
    assert main(["extract", str(capture), "-o", str(folder), *options]) == 0
    text = written(folder)
    assert "abcdef" not in text
    assert "anna@example.com" not in text
    scenario, _ = load_scenario(folder)
    names = {value.name: value.secret for value in scenario.values.values() if value.secret}
    assert names["cookie_sid"] == "DSMREPLAY_COOKIE_SID"
    assert names["email_address"] == "SCAN_MAIL"
    assert names["authorization"] == "TOKEN"


def test_a_secret_is_not_shown_either(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--json"]):
        assert main(["extract", str(capture), "--explain", "--secret", "cookie_sid", *more]) == 0
        told = capsys.readouterr().out
        assert "(6 characters, not shown)" in told
        for secret in ("c2VjcmV0", PASSWORD, "abcdef"):
            assert secret not in told


def test_a_secret_that_stands_elsewhere_too_is_told(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("Other", f"<v:Password>{PASSWORD}</v:Password><v:Note>it is {PASSWORD}!</v:Note>", "")
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    scenario, contents = extract(path)
    told = [text for text in scenario.missing if "secret" in text]
    assert told == [f"password is secret, and its text stands in {scenario.steps[0].message.xml} too"]
    assert PASSWORD.encode() in plain(contents)[scenario.steps[0].message.xml]


def test_a_secret_that_another_value_holds_is_told(capture: Path, tmp_path: Path) -> None:
    talk = Talk()
    owner = "<wscn:JobOriginatingUserName>anna@example.com</wscn:JobOriginatingUserName>"
    talk.ask("Other", f"<wscn:EmailAddress>anna@example.com</wscn:EmailAddress>{owner}", "")
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    scenario, _ = extract(path, secrets=Secrets({"email_address": ""}))
    told = [text for text in scenario.missing if "secret" in text]
    assert told == ["email_address is secret, and its text stands in the value job_originating_user_name too"]


@pytest.mark.parametrize(
    ("length", "size", "found"),
    [
        (SHORTEST - 1, 0, False), (SHORTEST, 0, True), (SHORTEST + 1, 0, True),
        (SHORTEST, MAX_SEARCHED, True), (SHORTEST, MAX_SEARCHED + 1, False),
    ],
)  # fmt: skip
def test_what_is_searched_for_secrets(length: int, size: int, found: bool) -> None:
    text = "&" * length
    data = f"it is {text.replace('&', '&amp;')}!".encode()
    data += bytes(max(size - len(data), 0))
    assert (Secrets(texts={"password": text}).left({"bodies/1.xml": data}) != []) is found


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"tokn": ""}, "--secret tokn: there is no such value; there are "),
        ({"*": "ONE"}, r"--secret \*=ONE: one variable for \d+ values"),
    ],
)
def test_wrong_secrets(capture: Path, wanted: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        extract(capture, secrets=Secrets(wanted))


@pytest.mark.parametrize("option", ["=X", "name=a-b", "name=1x"])
def test_wrong_options(option: str) -> None:
    with pytest.raises(UsageError, match="NAME of a value, or NAME=VARIABLE"):
        secrets_of([option])


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("authorization", True), ("authorization_2", True), ("proxy_authorization", True), ("smb_password_3", True),
        ("passwd", True), ("password_hint", False), ("user_identifier", False), ("cookie_sid", False),
    ],
)  # fmt: skip
def test_what_a_credential_is_called(name: str, yes: bool) -> None:
    assert is_credential(name) is yes
