"""The three filters, against real folders, a real mail sink and a real document library on loopback."""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import socket
import ssl
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from dissector.catalog import ENUMS
from replay.devices.scanserver import email_filter
from replay.devices.scanserver.filenames import MAX_NAME, document_name, extension_of, media_type_of, safe_name
from replay.devices.scanserver.filters import FilterJob, FilterResult, MailServer, Places
from replay.devices.scanserver.instructions import FilterInstructions
from replay.devices.scanserver.jobs import Document
from replay.devices.scanserver.outcome import run_filter
from replay.net.certificates import Identity, own_certificate
from replay.net.tls import client_context, server_context
from tests.support.loopback import closed_port
from tests.support.postscan import CREATED, NAME, email, fileshare, filter_job, images, library, sharepoint

SHARE = r"\\files.example.com\scans"
SITE = "http://portal.example.com/sites/scans/Documents"
ERRORS = "CompletedWithErrors"


def run(instructions: FilterInstructions, job: FilterJob, places: Places) -> FilterResult:
    return asyncio.run(run_filter(instructions, job, places))


def canceled_after(number: int) -> Callable[[], bool]:
    asked = iter(range(1000))
    return lambda: next(asked) >= number


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Invoice 7", "Invoice 7"),
        ("../../etc/passwd", "_._.._etc_passwd"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        (" . ", "_"),
        (".bashrc", "_bashrc"),
        ("C:\\x", "C__x"),
        ("a\r\nb\0c\u202ed\u2028e", "a__b_c_d_e"),
        ("a\u2215b\uff0fc\u2044d\uff3ce", "a_b_c_d_e"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("com1 .x", "_com1 .x"),
        ("LPT¹", "_LPT¹"),
        ("name. . ", "name"),
        ("ä" * 200, "ä" * 127),
        ("\ud800", "_"),
        ("a:stream", "a_stream"),
    ],
)
def test_safe_name(text: str, name: str):
    assert safe_name(text) == name


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(["..", ".", "/", "\\", "con", "\0", "\r\n", "~", " ", "é", "\ud800", "aux.", "𝔄" * 90]))
    .map("".join),
)  # fmt: skip


@given(HOSTILE, HOSTILE, HOSTILE, st.integers(1, 100_000))
def test_names_are_one_harmless_component(root: str, user: str, format: str, number: int):
    for name in (safe_name(root), document_name(root, CREATED, user, format, number)):
        assert 0 < len(name.encode()) <= MAX_NAME
        assert not set(name) & set('/\\:*?"<>|')
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name)
        assert name[0] != "."
        assert name[-1] not in ". "
        assert name.partition(".")[0].strip().casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt1")


def test_every_format_has_an_extension():
    made = {format: extension_of(format) for format in ENUMS["dsp:Format"].values}
    assert set(made.values()) == {"bmp", "jpg", "jbg", "jp2", "pdf", "png", "tif", "xps"}
    assert [extension_of(one) for one in ("image/webp", "acme:raw", "x/../../y", "a/" + "b" * 9)] == [
        "webp", "raw", "y", "bin",
    ]  # fmt: skip
    assert [media_type_of(one) for one in ("jfif", "tiff-multi-g4", "text/html")] == [
        "image/jpeg", "image/tiff", "application/octet-stream",
    ]  # fmt: skip


# -- file share ----------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_images_are_written(spool: Path, share: Path):
    result = run(
        fileshare(r"\\FILES.example.com/scans\In\Box"),
        filter_job(*images(spool, b"one", b"two"), *images(spool, b"png", format="png")[:1]),
        Places(shares={SHARE: share, r"\\files.example.com\scans\other": spool}),
    )
    assert result.state == "CompletedSuccessfully"
    assert result.reasons == ()
    base = f"In/Box/anna@example.com/{NAME}"
    assert set(files(share)) == {f"{base}.jpg", f"{base}_2.jpg", f"{base}.png"}
    assert [Path(one).is_relative_to(share) for one in result.written] == [True] * 3


def test_nothing_is_overwritten(spool: Path, share: Path):
    places = Places(shares={SHARE: share})
    for data in (b"first", b"second"):
        run(fileshare(SHARE), filter_job(*images(spool, data)), places)
    assert files(share) == {
        f"anna@example.com/{NAME}.jpg": b"first",
        f"anna@example.com/{NAME}_2.jpg": b"second",
    }
    assert places.written == 11


def test_large_image_arrives_whole(spool: Path, share: Path):
    data = os.urandom((2 << 20) + 17)
    run(fileshare(SHARE), filter_job(*images(spool, data)), Places(shares={SHARE: share}))
    assert list(files(share).values()) == [data]


def test_longest_prefix_wins_and_ends_at_a_component(spool: Path, share: Path):
    other = share / "other"
    other.mkdir()
    places = Places(shares={SHARE: share, SHARE + r"\deep": other})
    assert run(fileshare(SHARE + r"\deep"), filter_job(*images(spool, b"x")), places).state == "CompletedSuccessfully"
    assert set(files(other)) == {f"anna@example.com/{NAME}.jpg"}
    result = run(fileshare(SHARE + "2"), filter_job(*images(spool, b"x")), places)
    assert result.reasons == ("FileShareAccessDenied",)


def test_every_share_is_tried(spool: Path, share: Path):
    result = run(
        fileshare(r"\\elsewhere\x", "/etc", SHARE), filter_job(*images(spool, b"x")), Places(shares={SHARE: share})
    )
    assert (result.state, result.reasons) == (ERRORS, ("FileShareAccessDenied", "InvalidArgs"))
    assert len(result.written) == 1
    assert "no folder is given" in result.notes[0]


def test_no_share_is_nothing_to_do(spool: Path):
    result = run(fileshare(), filter_job(*images(spool, b"x")), Places())
    assert (result.state, result.reasons) == ("CompletedSuccessfully", ())
    assert "names no share" in result.notes[0]


@pytest.mark.parametrize("hostile", ["link", "file"])
def test_a_link_or_a_file_in_place_of_the_directory(spool: Path, share: Path, tmp_path: Path, hostile: str):
    outside = tmp_path / "outside"
    outside.mkdir()
    if hostile == "link":
        (share / "anna@example.com").symlink_to(outside)
    else:
        (share / "anna@example.com").write_bytes(b"")
    result = run(fileshare(SHARE), filter_job(*images(spool, b"x")), Places(shares={SHARE: share}))
    assert result.reasons == ("FileShareAccessDenied",)
    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_the_file_is_left_alone(spool: Path, share: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    directory = share / "anna@example.com"
    directory.mkdir()
    (directory / f"{NAME}.jpg").symlink_to(outside)
    result = run(fileshare(SHARE), filter_job(*images(spool, b"x")), Places(shares={SHARE: share}))
    assert result.state == "CompletedSuccessfully"
    assert not outside.exists()
    assert (directory / f"{NAME}_2.jpg").read_bytes() == b"x"


@given(
    st.lists(HOSTILE.filter(lambda text: text.replace("/", "\\").strip("\\")), max_size=4), HOSTILE, HOSTILE, HOSTILE
)
@settings(max_examples=60, deadline=None)
def test_hostile_names_stay_inside(parts: list[str], root: str, user: str, format: str):
    with TemporaryDirectory() as name:
        base = Path(name)
        share, spool = base / "share", base / "spool"
        share.mkdir()
        spool.mkdir()
        job = filter_job(*images(spool, b"x", format=format), root=root, user=user)
        result = run(fileshare("\\".join([SHARE, *parts])), job, Places(shares={SHARE: share}))
        assert {one.name for one in base.iterdir()} == {"share", "spool"}
        assert len(list(spool.iterdir())) == 1
        inside = [one for one in share.rglob("*") if one.is_file()]
        assert len(inside) == len(result.written) == (1 if result.state == "CompletedSuccessfully" else 0)
        assert result.state == "CompletedSuccessfully" or result.reasons == ("InvalidArgs",)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "FileShareOutOfDiskSpace"),
        (errno.EDQUOT, "FileShareOutOfDiskSpace"),
        (errno.EACCES, "FileShareAccessDenied"),
        (errno.EROFS, "FileShareAccessDenied"),
        (errno.EIO, "UnknownError"),
    ],
)
def test_trouble_of_the_disk(spool: Path, share: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str):
    """The last step fails: neither a half file nor an empty one is left."""

    def fail(*args: Any, **more: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", fail)
    places = Places(shares={SHARE: share})
    result = run(fileshare(SHARE), filter_job(*images(spool, b"x", b"y")), places)
    assert (result.state, result.reasons, result.written) == (ERRORS, (reason,), ())
    assert os.strerror(number) in result.notes[0]
    assert files(share) == {}
    assert places.written == 0


def test_missing_folder_and_missing_image(spool: Path, share: Path):
    job = filter_job(*images(spool, b"x"))
    assert run(fileshare(SHARE), job, Places(shares={SHARE: share / "no"})).reasons == ("FileShareAccessDenied",)
    gone = filter_job(Document(4, "jfif", spool / "gone", 1))
    result = run(fileshare(SHARE), gone, Places(shares={SHARE: share}))
    assert result.reasons == ("UnknownError",)
    assert "image 4 cannot be read" in result.notes[0]


def test_disk_limit(spool: Path, share: Path):
    places = Places(shares={SHARE: share}, disk=5)
    result = run(fileshare(SHARE), filter_job(*images(spool, b"abc", b"de", b"f")), places)
    assert (result.reasons, len(result.written)) == (("FileShareOutOfDiskSpace",), 2)


def test_what_a_broken_run_left_is_replaced(spool: Path, share: Path):
    job = filter_job(*images(spool, b"x"))
    (share / "anna@example.com").mkdir()
    (share / "anna@example.com" / f".{job.token}.1.part").write_bytes(b"half")
    run(fileshare(SHARE), job, Places(shares={SHARE: share}))
    assert files(share) == {f"anna@example.com/{NAME}.jpg": b"x"}


def test_cancelled_between_images(spool: Path, share: Path):
    job = filter_job(*images(spool, b"x", b"y"), canceled=canceled_after(2))
    result = run(fileshare(SHARE), job, Places(shares={SHARE: share}))
    assert (result.state, len(result.written)) == ("Canceled", 1)
    assert len(files(share)) == 1


# -- e-mail --------------------------------------------------------------------------------------------------------


class Sink:
    """A mail server that says what it is told to; knows RFC 5321 as far as smtplib speaks it."""

    def __init__(self, **answers: str) -> None:
        self.answers = {"connect": "220 sink", **answers}
        self.receivers: list[str] = []
        self.sender = ""
        self.mail = b""
        self.login: list[str] = []
        self.context: ssl.SSLContext | None = None
        self.encrypted = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answers["connect"].encode() + b"\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.partition(" ")[0].upper()
            answer = self.answers.get(word) or self.answers.get(line, "250 OK")
            if word == "MAIL":
                self.sender = line
            elif word == "RCPT" and answer[0] == "2":
                self.receivers.append(line.partition("<")[2].partition(">")[0])
            elif word == "DATA" and answer[0] == "2":
                writer.write(b"354 go on\r\n")
                while (row := await reader.readline()) != b".\r\n":
                    self.mail += row[1:] if row[:2] == b".." else row
            elif word == "AUTH":
                self.login = base64.b64decode(line.split()[-1]).decode().split("\0")[1:]
            writer.write(answer.encode() + b"\r\n")
            if word == "QUIT":
                break
            if word == "STARTTLS" and answer[0] == "2" and self.context is not None:
                await writer.start_tls(self.context)
                self.encrypted = True
        writer.close()

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.mail, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


SOMEWHERE = MailServer("", 0)
"""Where it is is known when it listens."""


def mail(
    instructions: FilterInstructions, job: FilterJob, sink: Sink, *, server: MailServer = SOMEWHERE,
    context: ssl.SSLContext | None = None, **more: Any,
) -> FilterResult:  # fmt: skip
    async def go() -> FilterResult:
        listening = await asyncio.start_server(sink, "127.0.0.1", 0, ssl=context)
        async with listening:
            address = listening.sockets[0].getsockname()
            return await run_filter(
                instructions, job, Places(smtp=replace(server, host=address[0], port=address[1]), **more)
            )

    return asyncio.run(go())


def test_mail_arrives(spool: Path):
    sink = Sink()
    job = filter_job(*images(spool, b"\xff\xd8one", b"two\r\n.\r\n"))
    result = mail(email("archive@example.com", user=True), job, sink, sender="scans@example.com")
    assert (result.state, result.reasons) == ("CompletedSuccessfully", ())
    assert result.written == ("mailto:archive@example.com", "mailto:anna@example.com")
    assert sink.receivers == ["archive@example.com", "anna@example.com"]
    assert sink.sender.lower().startswith("mail from:<scans@example.com>")
    message = sink.message
    assert (message["From"], message["Subject"]) == ("scans@example.com", "Invoice")
    assert message["Date"] == "Mon, 02 Mar 2026 09:15:04 +0000"
    parts = list(message.iter_attachments())
    assert [one.get_filename() for one in parts] == [f"{NAME}.jpg", f"{NAME}_2.jpg"]
    assert [one.get_content_type() for one in parts] == ["image/jpeg", "image/jpeg"]
    assert [one.get_content() for one in parts] == [b"\xff\xd8one", b"two\r\n.\r\n"]


@pytest.mark.parametrize(
    "address", ["a@b\r\nBcc: x@y", "a b@c", "@", "a@", "<a@b>", "a@b, c@d", "a@b\u2028c", "a@b@c", "\0@b", "a@\udc80"]
)
def test_bad_address_is_invalid_and_the_others_get_their_mail(spool: Path, address: str):
    sink = Sink()
    result = mail(email(address, "good@example.com"), filter_job(*images(spool, b"x")), sink)
    assert (result.state, result.reasons) == (ERRORS, ("InvalidArgs",))
    assert sink.receivers == ["good@example.com"]
    assert "bcc" not in sink.message


def test_texts_from_the_network_make_no_header(spool: Path):
    sink = Sink()
    job = filter_job(*images(spool, b"x"), root="a\r\nBcc: x@y.z\r\n\r\nbody", user="b\r\nX: y@c")
    assert mail(email("good@example.com"), job, sink).state == "CompletedSuccessfully"
    assert "bcc" not in sink.message
    assert "x" not in sink.message
    assert sink.message["Subject"] == "a__Bcc_ x@y.z____body"


@given(st.text(max_size=40), st.text(max_size=40), HOSTILE)
@settings(max_examples=60, deadline=None)
def test_no_address_breaks_the_mail(local: str, domain: str, root: str):
    sent: list[bytes] = []

    def deliver(message: EmailMessage, receivers: list[str], *rest: Any) -> dict[str, Any]:
        sent.append(message.as_bytes(policy=policy.SMTP.clone(utf8=True)))
        return {}

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(email_filter, "_deliver", deliver)
        job = filter_job(*images(Path(name), b"x"), root=root)
        result = run(email(f"{local}@{domain}", "good@example.com"), job, Places(smtp=MailServer("127.0.0.1", 1)))
        assert result.reasons in ((), ("InvalidArgs",))
        assert len(sent) == 1
        head = sent[0].partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
        assert sorted(names) == sorted(
            [b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type"]
        )


@pytest.mark.parametrize(
    ("answers", "reason", "told", "received"),
    [
        ({"connect": "554 go away"}, "InvalidSMTPServer", "554", 0),
        ({"EHLO": "502 no", "HELO": "502 no"}, "InvalidSMTPServer", "502", 0),
        ({"MAIL": "550 not you"}, "UnableToSendEmail", "550 not you", 0),
        ({"RCPT": "550 unknown"}, "UnableToSendEmail", "refused all receivers: 550 unknown", 0),
        ({"rcpt TO:<b@example.com>": "550 unknown"}, "UnableToSendEmail", "refused b@example.com: 550 unknown", 1),
        ({"DATA": "552 too large"}, "UnableToSendEmail", "552 too large", 2),
    ],
)
def test_refusing_server(spool: Path, answers: dict[str, str], reason: str, told: str, received: int):
    sink = Sink(**answers)
    result = mail(email("a@example.com", "b@example.com"), filter_job(*images(spool, b"x")), sink)
    assert (result.state, result.reasons, len(sink.receivers)) == (ERRORS, (reason,), received)
    assert told in result.notes[0]
    assert len(result.written) == (1 if received == 1 else 0)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> tuple[Identity, Path]:
    """A certificate for 127.0.0.1, and a PEM file that trusts it."""
    made = own_certificate(tmp_path_factory.mktemp("mail"), ["127.0.0.1"], datetime.now(UTC))
    return made, made.cert_path


@pytest.mark.parametrize(
    ("tls", "trusted", "answers", "reasons", "told"),
    [
        ("starttls", True, {}, (), ""),
        ("tls", True, {}, (), ""),
        ("starttls", False, {}, ("InvalidSMTPServer",), "certificate verify failed"),
        ("tls", False, {}, ("InvalidSMTPServer",), "certificate verify failed"),
        ("starttls", True, {"EHLO": "250 sink"}, ("InvalidSMTPServer",), "STARTTLS"),
        ("starttls", True, {"AUTH": "535 who are you"}, ("UnableToSendEmail",), "535 who are you"),
        ("none", True, {}, (), ""),
    ],
)
def test_mail_over_tls_and_with_a_login(
    spool: Path, secret: tuple[Identity, Path], tls: str, trusted: bool, answers: dict[str, str],
    reasons: tuple[str, ...], told: str,
):  # fmt: skip
    identity, pem = secret
    sink = Sink(
        **{"EHLO": "250-sink\r\n250-STARTTLS\r\n250 AUTH PLAIN", "AUTH": "235 welcome", "STARTTLS": "220 go", **answers}
    )
    sink.context = server_context(identity)
    server = MailServer("", 0, tls, ("anna", "secret"), lambda: client_context(pem if trusted else "system"))
    result = mail(
        email("a@example.com"), filter_job(*images(spool, b"x")), sink, server=server,
        context=sink.context if tls == "tls" else None,
    )  # fmt: skip
    assert result.reasons == reasons
    assert told in "".join(result.notes)
    assert "secret" not in f"{result} {server}"
    assert sink.encrypted is (tls == "starttls" and trusted and "EHLO" not in answers)
    if not reasons:
        assert sink.login == ["anna", "secret"]
        assert sink.receivers == ["a@example.com"]


@pytest.mark.parametrize("given_server", [True, False])
def test_no_mail_server(spool: Path, given_server: bool):
    with closed_port() as port:
        places = Places(smtp=MailServer("127.0.0.1", port) if given_server else None)
        result = run(email("a@example.com"), filter_job(*images(spool, b"x")), places)
    assert (result.state, result.reasons) == (ERRORS, ("InvalidSMTPServer",))


def test_silent_server_is_given_up(spool: Path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        places = Places(smtp=MailServer("127.0.0.1", silent.getsockname()[1]), timeout=0.05)
        result = run(email("a@example.com"), filter_job(*images(spool, b"x")), places)
    assert result.reasons == ("InvalidSMTPServer",)


def test_mail_that_is_not_sent(spool: Path, monkeypatch: pytest.MonkeyPatch):
    # Nobody comes as far as to a mail server.
    places = Places(smtp=MailServer("127.0.0.1", 1))
    job = filter_job(*images(spool, b"xyz"))
    assert "no receiver" in run(email(), job, places).notes[0]
    assert "no image" in run(email("a@example.com"), filter_job(), places).notes[0]
    gone = filter_job(Document(1, "jfif", spool / "gone", 1))
    assert run(email("a@example.com"), gone, places).reasons == ("UnknownError",)
    canceled = filter_job(*job.images, canceled=canceled_after(1))
    assert run(email("a@example.com"), canceled, places).state == "Canceled"
    monkeypatch.setattr(email_filter, "MAX_MAIL", 2)
    assert run(email("a@example.com"), job, places).reasons == ("UnableToSendEmail",)


# -- SharePoint ----------------------------------------------------------------------------------------------------


def test_images_are_put(spool: Path):
    with library() as site:
        result = run(
            sharepoint("HTTP://Portal.example.com:80/sites/Scans/Documents/In%20Box", mine=True),
            filter_job(*images(spool, b"one", b"two")),
            Places(sites={SITE: f"{site.url}/lib/"}, my_site=f"{site.url}/my"),
        )
    assert (result.state, result.reasons) == ("CompletedSuccessfully", ())
    base = f"anna@example.com/{NAME}"
    assert {path: data for path, (_, data) in site.kept.items()} == {
        f"/lib/In%20Box/{base}.jpg": b"one",
        f"/lib/In%20Box/{base}_2.jpg": b"two",
        f"/my/{base}.jpg": b"one",
        f"/my/{base}_2.jpg": b"two",
    }
    assert {one["Content-Type"] for one, _ in site.kept.values()} == {"image/jpeg"}
    assert result.written == tuple(f"{site.url}{path}" for path in site.kept)


def test_directory_is_made_where_it_is_missing(spool: Path):
    with library(directories=True) as site:
        result = run(sharepoint(SITE + "/a"), filter_job(*images(spool, b"x")), Places(sites={SITE: site.url}))
    assert result.state == "CompletedSuccessfully"
    path = "/a/anna@example.com"
    put = f"PUT {path}/{NAME}.jpg"
    assert site.requests == [put, "MKCOL /a/", f"MKCOL {path}/", put]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "SharePointAccessDenied"),
        (403, "SharePointAccessDenied"),
        (507, "SharePointOutOfDiskSpace"),
        (500, "UnknownError"),
        (302, "UnknownError"),
        (404, "UnknownError"),
    ],
)
def test_refusing_library(spool: Path, status: int, reason: str):
    with library(lambda method, path: status if path.startswith("/bad") else 0) as site:
        places = Places(sites={SITE: f"{site.url}/bad", "http://other.example.com": f"{site.url}/good"})
        result = run(sharepoint(SITE, "http://other.example.com/x"), filter_job(*images(spool, b"x", b"y")), places)
    assert (result.state, result.reasons) == (ERRORS, (reason,))
    assert len(result.written) == 2
    assert f"answered with {status}" in result.notes[0]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_library_over_https(spool: Path, secret: tuple[Identity, Path], trusted: bool):
    identity, pem = secret
    with library(context=server_context(identity)) as there:
        places = Places(sites={SITE: there.url}, context=lambda: client_context(pem if trusted else "system"))
        result = run(sharepoint(SITE), filter_job(*images(spool, b"one")), places)
        assert (result.reasons, len(there.kept)) == (((), 1) if trusted else (("UnknownError",), 0))
        assert trusted or "certificate verify failed" in result.notes[0]


def test_nothing_goes_to_the_url_of_the_network(spool: Path):
    with library() as site:
        job = filter_job(*images(spool, b"x"))
        result = run(sharepoint(f"{site.url}/lib", "ftp://x/y", "http://[", mine=True), job, Places())
    assert result.reasons == ("SharePointAccessDenied", "InvalidArgs")
    assert site.requests == []


@given(st.lists(HOSTILE, max_size=3))
@settings(max_examples=40, deadline=None)
def test_hostile_url_stays_below_the_target(parts: list[str]):
    asked: list[str] = []
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        from replay.devices.scanserver import sharepoint as module

        patch.setattr(module, "_send", lambda method, url, image, timeout: asked.append(url) or 201)
        job = filter_job(*images(Path(name), b"x"))
        run(sharepoint("/".join([SITE, *parts])), job, Places(sites={SITE: "http://127.0.0.1:1/lib"}))
    for url in asked:
        assert url.startswith("http://127.0.0.1:1/lib/")
        assert url.isascii()
        assert not {"..", "."} & set(url.split("/"))
        assert not set(url) & set("?#\\ ")


def test_library_that_is_not_there(spool: Path):
    with closed_port() as port:
        places = Places(sites={SITE: f"http://127.0.0.1:{port}"})
        result = run(sharepoint(SITE), filter_job(*images(spool, b"x")), places)
    assert result.reasons == ("UnknownError",)
    gone = filter_job(Document(2, "jfif", spool / "gone", 1))
    assert "image 2 cannot be read" in run(sharepoint(SITE), gone, places).notes[0]


def test_cancelled_between_puts(spool: Path):
    with library() as site:
        job = filter_job(*images(spool, b"x", b"y"), canceled=canceled_after(2))
        result = run(sharepoint(SITE), job, Places(sites={SITE: site.url}))
    assert (result.state, len(site.kept)) == ("Canceled", 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"/mnt/x": Path("/")}},
        {"sites": {SITE: "ftp://x"}},
        {"sites": {"portal": "http://x"}},
        {"sites": {SITE: "http://x:99999"}},
        {"my_site": "x"},
        {"sender": "a\r\n@b"},
    ],
)
def test_wrong_places(wrong: dict[str, Any]):
    with pytest.raises(UsageError, match="expected"):
        Places(**wrong)
