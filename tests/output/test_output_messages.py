from __future__ import annotations

import jsonschema
import pytest

from dissector.output.events import EventBodies, event_lines, events_json
from dissector.output.jobs_json import jobs_json
from dissector.output.jobs_text import job_findings, job_story, jobs_table
from dissector.output.jsontext import SCHEMAS, schema
from dissector.output.packetlist import PacketList
from dissector.output.plain import message_json
from dissector.output.summary import LONGEST, summary
from dissector.output.text import Palette
from dissector.output.times import Clock
from dissector.output.tree import message_tree
from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import FILESHARE, TOKEN, picture

SHORT = TOKEN[:8]
FILTER = "fileshare CompletedWithErrors (FileShareAccessDenied)"


def told(play):
    job = DsmJob(play)
    job.subscribe()
    job.create()
    job.status("Creating")
    job.send(1, picture(b"\xff\xd8\xff\xe0" + b"x" * 1996))
    job.send(2, picture(lost=70))
    job.end()
    job.final(
        "Completed", 2, [(FILESHARE, "CompletedWithErrors", "FileShareAccessDenied")],
        ["PostScanJobCompletedWithErrors"],
    )  # fmt: skip
    scan = ScanJob(play)
    scan.create()
    scan.retrieve()
    scan.refused("RetrieveImage", "ClientErrorNoImagesAvailable")
    return play.messages


def by_name(messages, name):
    return next(message for message in messages if message.name == name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CreatePostScanJobRequest", "filters fileshare; document scan; process 0C9C1A4E"),
        ("CreatePostScanJobResponse", f"job {SHORT}"),
        ("SendImageRequest", f"job {SHORT}; image 1 (jfif, 2.0 KiB)"),
        ("SendImageResponse", "answers message 7"),
        ("HTTP 202", ""),
        ("PostScanJobStatusEvent", f"job {SHORT}; Creating; fileshare Pending; 0 images"),
        (
            "PostScanJobEndStateEvent",
            f"job {SHORT}; Completed (PostScanJobCompletedWithErrors); {FILTER}; 2 images",
        ),
        ("Subscribe", "PostScanJobStatusEvent, PostScanJobEndStateEvent; to 192.0.2.10:5357; expires PT1H"),
        ("SubscribeResponse", "expires PT1H; subscription sub-1"),
        ("CreateScanJobRequest", "Platen, RGB24, 300 dpi, jfif; “letter”"),
        ("CreateScanJobResponse", "job 7"),
        ("RetrieveImageRequest", "job 7"),
        ("RetrieveImageResponse", "jfif, 10 B"),
        ("Fault", "ClientErrorNoImagesAvailable: no"),
    ],
)
def test_summaries(play, name, text):
    assert summary(by_name(told(play), name)) == text


def test_a_summary_says_what_is_missing(play):
    job = DsmJob(play)
    message = job.send(1, picture(lost=70), complete=False)
    assert summary(message) == f"[incomplete] job {SHORT}; image 1 (jfif, 10 B, 70 bytes missing)"


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("Hello", {"EndpointReference": {"Address": "urn:uuid:264a19bf-0000-4000-8000-000000000000"},
                   "Types": "wsdp:Device wscn:ScanDeviceType", "XAddrs": "http://192.0.2.1/a http://192.0.2.1/b"},
         "264a19bf; Device, ScanDeviceType; http://192.0.2.1/a and 1 more"),
        ("Probe", {"Types": "wsdp:Device"}, "for Device"),
        ("Probe", {}, "for anything"),
        ("ProbeMatches", {"ProbeMatch": [{}, {}]}, "2 matches"),
        ("Resolve", {"EndpointReference": {"Address": "x"}}, "where is x?"),
    ],
)  # fmt: skip
def test_discovery(play, name, body, text):
    assert summary(play.datagram(name, body, source="192.0.2.1")) == text


def test_a_message_without_row_says_its_first_values(play):
    message = play.request("WS-Scan", "FrobnicateThis", {"Deep": {"One": 1, "Two": "\x1b[2J"}, "Three": "c", "Four": 4})
    assert summary(message) == "One 1; Two \\x1b[2J; Three c"


def test_hostile_texts_stay_short_and_harmless(play):
    text = summary(play.request("WS-DSP", "SendImage", {"JobToken": "\x1b]0;" + "x" * 5000}, attachments=[picture()]))
    assert len(text) <= LONGEST
    assert "\x1b" not in text


def test_all_messages_fit_the_schema_and_the_faces(play):
    messages = told(play)
    valid = jsonschema.Draft202012Validator(schema("dsmshark.message/1"))
    lines = PacketList(Clock("relative"))
    for message in messages:
        valid.validate(message_json(message))
        tree = list(message_tree(message, Palette(True), origin=True))
        assert tree[0].startswith("\x1b[1mMessage")
        assert lines.line(message).split()[0] == str(message.number)


def test_jobs_fit_the_schema(play, analysed):
    jobs = analysed(told(play)).jobs
    data = jobs_json(jobs, ["note"], [], interrupted=False)
    jsonschema.Draft202012Validator(schema("dsmshark.jobs/1")).validate(data)
    post, scan = data["jobs"]
    assert (post["kind"], post["id"], post["completed_state"], post["outcome"]) == (
        "post-scan", TOKEN, "Completed", "Completed with errors",
    )  # fmt: skip
    assert post["filters"] == [
        {"dialect": FILESHARE, "state": "CompletedWithErrors", "reasons": ["FileShareAccessDenied"]}
    ]
    assert [image["document_id"] for image in post["images"]] == [1, 2]
    assert [image["complete"] for image in post["images"]] == [True, False]
    assert post["images"][1]["sha256"] is None
    assert post["timeline"][0]["message"] == "CreatePostScanJobRequest"
    assert post["created"].endswith("Z")
    assert (scan["id"], scan["completed_by"]) == ("7", "inferred")


def test_the_table(play, analysed):
    jobs = analysed(told(play)).jobs
    lines = list(jobs_table(jobs, 140))
    assert lines[0].split() == [
        "Job",
        "Kind",
        "Device",
        "Server",
        "User",
        "Images",
        "Outcome",
        "Filters",
        "Took",
        "Frame",
        "Findings",
    ]
    assert SHORT in lines[1]
    assert "Completed with errors" in lines[1]
    assert "Completed (inferred)" in lines[2]
    assert max(map(len, lines)) <= 140
    assert any("FileShareAccessDenied" in line for line in job_findings(jobs))


def test_the_story(play, analysed):
    text = "\n".join(job_story(analysed(told(play)).jobs[0]))
    for part in (
        f"post-scan job {TOKEN}",
        "Completed with errors (told by the completion event)",
        "the server has no right to write to the share",
        "incomplete (70 bytes missing)",
        "CreatePostScanJobRequest",
        "job.image-incomplete",
    ):
        assert part in text


def test_events(play, analysed):
    messages = told(play)
    analysis = analysed(messages)
    plain, text = EventBodies(), EventBodies(text=True)
    for message in messages:
        plain(message)
        text(message)
    pairs = [(event, plain.kept.get(event.message)) for event in analysis.notifications]
    data = events_json(pairs, [], [], interrupted=False)
    jsonschema.Draft202012Validator(schema("dsmshark.events/1")).validate(data)
    first, last = data["events"]
    assert (first["event"], first["job_id"], first["http_status"]) == ("PostScanJobStatusEvent", TOKEN, 202)
    assert last["action"].endswith("/PostScanJobEndStateEvent")
    lines = list(event_lines(analysis.notifications[0], text.kept[analysis.notifications[0].message], "0.0"))
    assert lines[0].startswith("0.0  frame ")
    assert any("JobState: Creating" in line for line in lines)
    assert f"answer: HTTP 202, subscription 1, job {SHORT}" in lines[-1]


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
