from __future__ import annotations

import errno
import hashlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import dissector
from dissector.base.errors import UnwritableOutput
from dissector.output.export import Folder
from dissector.output.jsontext import schema
from tests.support.wire import Frame, write_pcap

ERRORS = "dsm-completed-with-errors.pcapng"
PULL = "scan-pull-events.pcapng"


def valid(text: str, name: str):
    data = json.loads(text)
    jsonschema.Draft202012Validator(schema(name)).validate(data)
    return data


# -- jobs -----------------------------------------------------------------------------------------------------------


def test_jobs(cli, pcap):
    result = cli("jobs", pcap(ERRORS))
    assert result.code == 0
    assert "Completed with errors" in result.out.splitlines()[1]
    assert "FileShareAccessDenied (the server has no right" in result.out
    assert "\x1b" not in result.out
    assert result.err == ""


def test_jobs_exit_code_tells_findings_of_severity_error(cli, pcap):
    result = cli("jobs", pcap("dsm-wrong-end-state.pcapng"))
    assert result.code == 1
    assert "job.completed-state" in result.out


def test_jobs_json(cli, pcap):
    data = valid(cli("jobs", "--json", pcap(ERRORS)).out, "dsmshark.jobs/1")
    (job,) = data["jobs"]
    assert (job["kind"], job["completed_state"], job["completed_by"]) == ("post-scan", "Completed", "event")
    assert [image["document_id"] for image in job["images"]] == [1, 2, 3]
    assert all(len(image["sha256"]) == 64 for image in job["images"])
    assert job["timeline"][0]["message"] == "CreatePostScanJobRequest"


def test_story_of_one_job(cli, pcap):
    job = valid(cli("jobs", "--json", pcap(PULL)).out, "dsmshark.jobs/1")["jobs"][0]
    result = cli("jobs", "--job", job["id"], pcap(PULL))
    assert result.out.startswith(f"scan job {job['id']}\n")
    assert "RetrieveImageResponse" in result.out


def test_a_prefix_that_fits_two_jobs_lists_them(cli, pcap):
    result = cli("jobs", "--job", "1", pcap(PULL))
    assert result.code == 2
    assert result.err == "dsmshark: 2 jobs have an id that begins with 1: scan 17, scan 18\n"
    missing = cli("jobs", "--job", "zz", pcap(PULL))
    assert missing.code == 2
    assert missing.err == "dsmshark: no job's id begins with zz; there are 17, 18\n"


def test_jobs_that_damage_or_a_limit_hides(cli, pcap):
    result = cli("jobs", "--limit", "xml_elements=5", pcap(ERRORS))
    assert result.out.startswith("No jobs.\n")
    assert "WSD messages, 20 of them with errors (see “dsmshark read -V”)" in result.out


@pytest.mark.parametrize(
    "command",
    [
        ["jobs", ERRORS],
        ["read", "--ndjson", ERRORS],
        ["export", "pcap", "--force", "--secrets", "others/tls12-dsb.pcapng"],
    ],
)
def test_an_output_that_cannot_be_written(cli, tmp_path, pcap, command):
    for where, why in ((tmp_path, "Is a directory"), (tmp_path / "no" / "file", "No such file or directory")):
        result = cli(*command[:-1], "-o", str(where), pcap(command[-1]))
        assert (result.code, result.out) == (3, "")
        assert result.err == f"dsmshark: {where}: cannot write: {why}\n"


@pytest.mark.parametrize("what", ["images", "messages", "bodies"])
def test_a_folder_that_cannot_be_made(cli, tmp_path, pcap, what):
    (tmp_path / "file").touch()
    result = cli("export", what, "-o", str(tmp_path / "file"), pcap(ERRORS))
    assert (result.code, result.err) == (3, f"dsmshark: {tmp_path}/file: cannot be made a folder: File exists\n")


# -- read -----------------------------------------------------------------------------------------------------------


def test_read(cli, pcap):
    result = cli("read", pcap(ERRORS))
    lines = result.out.splitlines()
    assert any("SendImageRequest" in line and "image 1 (jfif, 9.6 KiB)" in line for line in lines)
    # In a pipe there is no heading: every line is a message.
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))


def test_read_strictly(cli, pcap):
    name = pcap("others/airscand-push.pcap")
    mild, strict = (cli("read", "--json", *option, name) for option in ([], ["--strict"]))
    told = [
        (message["number"], finding["rule"], finding["text"])
        for message in json.loads(strict.out)["messages"]
        for finding in message["findings"]
        if finding["rule"].startswith("content.")
    ]
    assert [(rule, text) for _, rule, text in told] == [
        ("content.order", "Expires stands after ScanDestinations in Subscribe"),
        ("content.order", "Expires stands after ScanDestinations in Subscribe"),
        ("content.missing", "ValidationInfo has no ImageInformation"),
        ("content.missing", "DocumentDescription has no DocumentName"),
    ]
    assert "content." not in mild.out
    assert strict.code == 1
    # Faults of SOAP 1.1 lack what SOAP 1.2 asks for, and are told as such; damaged bodies lack what is damaged.
    for other in ("others/faultstring.pcap", "damaged/dsm-cut-packets.pcap", "dsm-completed.pcapng"):
        assert "content." not in cli("read", "--json", "--strict", pcap(other)).out


def test_read_names_the_frame_that_completed_the_message(cli, pcap):
    with dissector.open(pcap(ERRORS)) as capture:
        frames = [message.frames[-1] for message in capture.messages]
    assert [int(line.split()[2]) for line in cli("read", pcap(ERRORS)).out.splitlines() if line[6] == " "] == frames


def test_origin_shows_the_tree_and_is_refused_with_json(cli, pcap):
    assert "Frames" in cli("read", "--origin", pcap(ERRORS)).out
    refused = cli("read", "--origin", "--json", pcap(ERRORS))
    assert (refused.code, refused.out) == (2, "")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--kind", "event"], 4),
        (["--service", "dsp", "--kind", "request"], 5),
        (["--service", "WS-Eventing"], 2),
        (["--host", "192.0.2.10"], 24),
        (["--host", "192.0.2.99"], 0),
        (["--stream", "0", "--kind", "request"], 7),
    ],
)
def test_read_filters(cli, pcap, options, count):
    result = cli("read", "--ndjson", *options, pcap(ERRORS))
    assert len(result.out.splitlines()) == count


def test_read_of_one_job_holds_its_answers_too(cli, pcap):
    result = cli("read", "--ndjson", "--job", "17", pcap(PULL))
    messages = [json.loads(line) for line in result.out.splitlines()]
    assert {"CreateScanJobRequest", "RetrieveImageResponse", "JobEndStateEvent", "HTTP 202"} <= {
        message["message"] for message in messages
    }
    assert "18" not in {str((message["fields"] or {}).get("job_id")) for message in messages}


def test_ndjson(cli, pcap):
    for line in cli("read", "--ndjson", pcap(ERRORS)).out.splitlines():
        message = valid(line, "dsmshark.message/1")
    assert message["message"] == "HTTP 202"


def test_json(cli, pcap):
    data = valid(cli("read", "--json", pcap(ERRORS)).out, "dsmshark.messages/1")
    sent = [m for m in data["messages"] if m["message"] == "SendImageRequest"]
    assert sent[0]["fields"]["document_description"] == {"document_id": 1, "format": "jfif"}
    assert sent[0]["attachments"][0]["real_type"] == "jfif"


def test_json_without_messages_is_json(cli, pcap):
    data = valid(cli("read", "--json", "--kind", "fault", pcap(ERRORS)).out, "dsmshark.messages/1")
    assert data["messages"] == []


def test_tree_with_origin(cli, pcap):
    text = cli("read", "-V", "--origin", "--kind", "event", pcap(ERRORS)).out
    assert "JobCompletedState: Completed  (normal end)  <" in text
    assert "Content-Type: " in text
    plain = cli("read", "-V", "--kind", "event", pcap(ERRORS)).out
    assert "JobCompletedState: Completed  (normal end)\n" in plain


@pytest.mark.parametrize(("style", "first"), [("relative", "0.000"), ("delta", "0.000000"), ("absolute", "2026-")])
def test_times(cli, pcap, style, first):
    line = cli("read", "--time", style, pcap(PULL)).out.splitlines()[0]
    assert f" {first}" in line


def test_colours(cli, pcap, monkeypatch):
    assert "\x1b[35m" in cli("read", "--color", "always", pcap(ERRORS)).out
    assert "\x1b" not in cli("read", "--color", "never", pcap(ERRORS)).out


def test_output_file(cli, pcap, tmp_path):
    target = tmp_path / "jobs.json"
    result = cli("jobs", "--json", "-o", str(target), pcap(ERRORS))
    assert result.out == ""
    valid(target.read_text(), "dsmshark.jobs/1")


def test_the_capture_is_never_overwritten(cli, tmp_path, pcap):
    copy = tmp_path / "a.pcapng"
    copy.write_bytes(Path(pcap(ERRORS)).read_bytes())
    result = cli("read", "-o", str(copy), str(copy))
    assert result.code == 2
    assert copy.read_bytes() == Path(pcap(ERRORS)).read_bytes()


# -- events, info, rules -----------------------------------------------------------------------------------------------


def test_events(cli, pcap):
    text = cli("events", pcap(ERRORS)).out
    assert "JobCompletedState: Completed" in text
    assert "answer: HTTP 202, subscription 1, job " in text
    data = valid(cli("events", "--json", pcap(ERRORS)).out, "dsmshark.events/1")
    assert [event["event"] for event in data["events"]] == ["PostScanJobStatusEvent"] * 3 + ["PostScanJobEndStateEvent"]
    end = data["events"][-1]["fields"]["post_scan_job_end_state"]
    assert end["job_completed_state"] == "Completed"


def test_info(cli, pcap):
    text = cli("info", pcap(ERRORS)).out
    assert "192.0.2.10  discovery client, event sink, DSM device" in text
    assert "serves WS-Transfer, WS-Eventing, WS-DSP on port 5362" in text
    data = valid(cli("info", "--json", pcap(ERRORS)).out, "dsmshark.info/1")
    assert data["jobs"] == [{"kind": "post-scan", "count": 1}]
    assert data["packets"]["total"] > 0


@pytest.mark.parametrize(("name", "code"), [("damaged/dsm-lost-segment.pcap", 1), ("dsm-completed.pcapng", 0)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_info_counts_what_is_wrong_with_messages(cli, pcap, name, code, form):
    result = cli("info", *form, pcap(name))
    assert result.code == code
    assert ("error" in result.out) == bool(code)


def test_rules(cli):
    data = valid(cli("rules", "--json").out, "dsmshark.rules/1")
    ids = [rule["id"] for rule in data["rules"]]
    assert ids == sorted(ids)
    assert {"job.image-incomplete", "udp.not-soap"} <= set(ids)
    assert "job.image-incomplete" in cli("rules").out


# -- export ---------------------------------------------------------------------------------------------------------


def test_export_images(cli, pcap, tmp_path):
    job = json.loads(cli("jobs", "--json", pcap(ERRORS)).out)["jobs"][0]
    result = cli("export", "images", pcap(ERRORS), "-o", str(tmp_path / "out"))
    assert result.code == 0
    assert "hold people's documents" in result.err
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()}
    short = job["id"][:8]
    endings = ("jpg", "png", "tif")
    assert files == {
        f"post-scan-{short}-doc{image['document_id']}.{ending}": image["sha256"]
        for image, ending in zip(job["images"], endings, strict=True)
    }


def test_export_overwrites_only_when_asked(cli, pcap, tmp_path):
    cli("export", "images", pcap(PULL), "-o", str(tmp_path))
    victim = sorted(tmp_path.iterdir())[0]
    victim.write_bytes(b"mine")
    again = cli("export", "images", pcap(PULL), "-o", str(tmp_path))
    assert again.code == 2
    assert victim.read_bytes() == b"mine"
    assert "left as they are: 2 files" in again.err
    assert cli("export", "images", pcap(PULL), "-o", str(tmp_path), "--force").code == 0
    assert victim.read_bytes() != b"mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("words", [("jobs",), ("read",), ("read", "--json"), ("events",), ("info",)])
def test_what_has_no_room_is_told_by_its_name(cli, pcap, words):
    done = cli(*words, pcap(PULL), "-o", "/dev/full")
    assert (done.code, done.err) == (3, "dsmshark: /dev/full: cannot write: No space left on device\n")


def test_a_folder_is_not_standard_output(cli, pcap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = cli("export", "images", pcap(PULL), "-o", "-")
    assert (done.code, done.err) == (2, "dsmshark: -o -: several files are written; name a folder\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 1000, 1 << 20])
@pytest.mark.parametrize("what", ["images", "messages", "bodies"])
def test_what_finds_no_room_is_told_and_the_rest_is_written(cli, pcap, tmp_path, what, limit):
    """By a bound of the system on the size of a file."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert cli("export", what, pcap(ERRORS), "-o", str(whole)).code == 0
    files = {path.name: path.read_bytes() for path in whole.iterdir()}
    small = {name: data for name, data in files.items() if len(data) <= limit}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        result = cli("export", what, pcap(ERRORS), "-o", str(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == small
    lost = sorted(files.keys() - small.keys())
    assert result.code == (3 if lost else 0)
    told = sorted(line.removeprefix("dsmshark: not written: ") for line in result.err.splitlines() if "not wr" in line)
    assert set(told) <= set(lost)
    assert len(told) == min(len(lost), 20)
    assert (f"{len(lost)} files could not be written to {out}: File too large" in result.err) == bool(lost)


def test_a_full_disk_costs_no_more_than_what_it_has_no_room_for(tmp_path):
    def pieces(*, room):
        yield b"half"
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")

    folder = Folder(str(tmp_path))
    held = [folder.hold(pieces(room=room)) for room in (True, False, True)]
    assert held[1] is None
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "c.jpg").mkdir()
    folder.force = True
    for place, stem in zip(held, "abc", strict=True):
        folder.name(place, stem, ".jpg")
    folder.clean()
    assert ([name for name, _ in folder.written], folder.lost, folder.refused) == (["a.jpg"], ["b.jpg", "c.jpg"], [])
    assert folder.why == "No space left on device"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "c.jpg"]


def test_where_nothing_can_be_written_the_capture_is_not_read_to_its_end(tmp_path):
    def pieces():
        yield b""
        raise OSError(errno.EROFS, "Read-only file system")

    with pytest.raises(UnwritableOutput, match="Read-only file system"):
        Folder(str(tmp_path)).hold(pieces())


def test_export_messages_and_bodies(cli, pcap, tmp_path):
    raw, pretty, bodies = tmp_path / "raw", tmp_path / "pretty", tmp_path / "bodies"
    assert cli("export", "messages", pcap(PULL), "-o", str(raw)).code == 0
    assert cli("export", "messages", "--pretty", pcap(PULL), "-o", str(pretty)).code == 0
    assert cli("export", "bodies", pcap(PULL), "-o", str(bodies)).code == 0
    names = sorted(path.name for path in raw.iterdir())
    assert names == sorted(path.name for path in pretty.iterdir())
    create = next(name for name in names if "CreateScanJobRequest" in name)
    assert len((pretty / create).read_text().splitlines()) > len((raw / create).read_text().splitlines())
    assert any(path.suffix == ".mime" for path in bodies.iterdir())


# -- wrong use, wrong input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ([], 2, "required"),
        (["frobnicate"], 2, "there is no command 'frobnicate'; there are read, jobs,"),
        (["job", "x"], 2, "there is no command 'job'; near: jobs; there are"),
        (["export", "image", "x"], 2, "near: images; there are images, messages, bodies, pcap (see “dsmshark export"),
        ([__file__], 2, "a command stands before "),
        ([__file__, "jobs"], 2, f"such as dsmshark jobs {__file__} (see"),
        (
            ["--json", "jobs", "x"],
            2,
            "--json stands behind the command: dsmshark jobs --json (see “dsmshark jobs --help”)",
        ),
        (["jobs", "x", "--jsn"], 2, "unrecognized arguments: --jsn; near: --json (see “dsmshark jobs --help”)"),
        (["rules", "x"], 2, "unrecognized arguments: x (see “dsmshark rules --help”)"),
        (["jobs"], 2, "FILE"),
        (["jobs", "/nonexistent.pcap"], 3, "/nonexistent.pcap"),
        (["jobs", ""], 3, "'': cannot be opened"),
        (["jobs", "--limit", "nope=1", "x"], 2, "there is no limit"),
        (["jobs", "--limit", "xml=many", "x"], 2, "needs a number"),
        (["read", "--service", "nope", "x"], 2, "there is no service"),
        (["read", "--host", "nope", "x"], 2, "IP address"),
        (["crosscheck", "-"], 2, "standard input"),
        (["jobs", "-", "-"], 2, "only once"),
    ],
)
def test_one_sentence_and_an_exit_code(cli, argv, code, says):
    result = cli(*argv)
    assert result.code == code
    assert result.out == ""
    assert result.err.startswith("dsmshark: ")
    assert result.err.count("\n") == 1
    assert says in result.err


def test_a_file_whose_name_begins_like_an_option(cli, pcap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-x.pcapng").write_bytes(Path(pcap(PULL)).read_bytes())
    assert cli("jobs", "-x.pcapng").err.endswith("of the file -x.pcapng say ./-x.pcapng\n")
    assert cli("jobs", "./-x.pcapng").code == cli("jobs", "--", "-x.pcapng").code == cli("jobs", pcap(PULL)).code


def test_a_file_that_is_given_twice(cli, pcap):
    assert f"{pcap(PULL)} is given 2 times" in cli("jobs", pcap(PULL), pcap(PULL)).err


@pytest.mark.parametrize("words", [(), ("jobs",), ("export", "images")])
def test_help_may_stand_first(cli, words):
    assert cli("help", *words) == cli(*words, "--help")


@pytest.mark.parametrize(
    ("options", "code"),
    [(("--host", "203.0.113.9", "--kind", "fault"), 0), (("--stream", "99", "--json"), 0), (("--kind", "event"), 0)],
)
def test_a_choice_that_leaves_nothing_is_told(cli, pcap, options, code):
    """Silence would be taken for a capture without messages."""
    result = cli("read", *options, pcap("dsm-create-fault.pcapng"))
    wanted = " ".join(one for one in options if one != "--json")
    assert result.code == code
    assert result.err == f"dsmshark: none of 6 messages is left by {wanted}\n"


@pytest.mark.parametrize(
    "content", [b"", b"no capture", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a" + b"\xff" * 40, bytes(2000)]
)
def test_input_that_is_no_capture(cli, tmp_path, content):
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(content)
    for command in (["jobs"], ["read"], ["events"], ["info"], ["export", "images", "-o", str(tmp_path / "out")]):
        result = cli(*command, str(bad))
        assert result.code == 3
        assert result.err.count("\n") == 1
        assert "bad.pcap" in result.err


def test_an_unexpected_error_is_one_sentence(cli, pcap, monkeypatch):
    def broken(*args, **more):
        raise ZeroDivisionError("oops\x1b[2J")

    monkeypatch.setattr("dissector.cli.jobs.opened", broken)
    result = cli("jobs", pcap(PULL))
    assert (result.code, result.err) == (
        3, "dsmshark: internal error: ZeroDivisionError: oops\\x1b[2J (--debug shows where)\n",
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        cli("jobs", "--debug", pcap(PULL))


def test_a_limit_changes_what_is_read(cli, pcap):
    result = cli("read", "--ndjson", "--limit", "xml=200", pcap(ERRORS))
    assert result.code == 1
    assert "soap.no-body" in result.out


# -- whole processes -------------------------------------------------------------------------------------------


def dsmshark(*argv: str, **more) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "dissector", *argv], capture_output=True, timeout=60, **more)


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys\n"
        "from dissector.cli import main\n"
        "for argv in (['--help'], ['--version'], ['jobs', '--help']):\n"
        "    assert main(argv) == 0\n"
        "heavy = {'numpy', 'lxml', 'scapy', 'pyshark', 'dissector.reader', 'dissector.catalog'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_standard_input(pcap):
    data = Path(pcap(ERRORS)).read_bytes()
    done = dsmshark("read", "--ndjson", "--job", "e", "-", input=data)
    whole = dsmshark("jobs", "--json", "-", input=data)
    assert whole.returncode == 0
    job = json.loads(whole.stdout)["jobs"][0]
    of_job = dsmshark("read", "--ndjson", "--job", job["id"], "-", input=data)
    assert of_job.returncode == 0
    assert len(of_job.stdout.splitlines()) > len(job["timeline"])
    assert done.returncode in (0, 2)


def test_a_closed_pipe_is_silent(pcap):
    command = f"'{sys.executable}' -m dissector read -V '{pcap(ERRORS)}' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
    assert done.stdout.startswith(b"Message 1")
    assert done.stderr == b""


def test_a_terminal_without_utf8_gets_escapes(pcap):
    done = dsmshark("read", pcap(ERRORS), env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert b"\\u201c" in done.stdout


def test_a_capture_of_unknown_link_types_only_is_unreadable_but_info_tells_of_it(cli, tmp_path):
    path = tmp_path / "user0.pcap"
    raw = write_pcap([Frame(0, bytes(60))] * 3)
    path.write_bytes(raw[:20] + (147).to_bytes(4, "little") + raw[24:])
    result = cli("jobs", str(path))
    assert result.code == 3
    assert "all 3 packets have link type 147 (USER0)" in result.err
    assert "USER0" in cli("info", str(path)).out


# -- what is never done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["trace.pcap", "keys.log", "server.key", "link.pcap"])
@pytest.mark.parametrize("command", [["jobs"], ["read"], ["tls"], ["export", "pcap", "--decrypted", "--force"]])
def test_what_is_read_is_not_written_over(cli, pcap, tmp_path, which, command):
    given = {"trace.pcap": "others/scan-tls-1.2.pcap", "keys.log": "others/scan-tls-1.2.keys",
             "server.key": "others/scan-tls-rsa.key"}  # fmt: skip
    for name, sample in given.items():
        (tmp_path / name).write_bytes(Path(pcap(sample)).read_bytes())
    (tmp_path / "link.pcap").symlink_to("trace.pcap")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    keys = ["--keylog", str(tmp_path / "keys.log"), "--rsa-key", str(tmp_path / "server.key")]
    result = cli(*command, *keys, str(tmp_path / "trace.pcap"), "-o", str(tmp_path / which))
    assert result.code == 2
    assert "is the capture itself" in result.err or "is one of the keys that are read" in result.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_names_of_thousands_of_images_are_found_at_once(tmp_path):
    """Each with one look: a capture can name ten thousands of images alike."""

    class Taken(set):
        looks = 0

        def __contains__(self, name):
            self.looks += 1
            return super().__contains__(name)

    folder = Folder(str(tmp_path))
    folder._taken = Taken()
    names = [folder._free("scan-1-page1", ".jpg") for _ in range(3000)]
    assert names[:3] == ["scan-1-page1.jpg", "scan-1-page1-2.jpg", "scan-1-page1-3.jpg"]
    assert len(set(names)) == 3000
    assert folder._taken.looks == 3000
    # A stem that looks like another one with its number.
    assert folder._free("scan-1-page1-2", ".jpg") == "scan-1-page1-2-2.jpg"
    assert folder._free("SCAN-1-page1", ".jpg") == "SCAN-1-page1-3001.jpg"
