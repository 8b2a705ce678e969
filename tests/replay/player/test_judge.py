"""Every way in which an answer can differ from the recorded one, and what is no difference."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dissector.base.errors import UsageError
from dissector.base.origin import Endpoint
from dissector.catalog import build
from dissector.messages import Message
from dissector.soap.build import build_envelope, build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import DSP
from replay.base.ids import Ids
from replay.net.receiver import HttpReceiver
from replay.player.judge import DEFAULTS, HOW, Difference, Judge, ValueRule
from replay.soap.caller import action_of, read_message
from replay.soap.compose import USUAL, Picture, http_response, pack

TOKEN, OTHER = "8a2a4d3e-0000-4000-8000-000000000001", "8a2a4d3e-0000-4000-8000-000000000002"


def message(envelope: bytes, status: int = 200, pictures: tuple[Picture, ...] = ()) -> Message:
    dress = http_response(status, pack(envelope, pictures, Ids(1)), USUAL)
    receiver = HttpReceiver(Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2), responses=True)
    receiver.asked()
    found = read_message(receiver.feed(dress.head + dress.body, 1)[0])
    assert found is not None
    return found


def status_answer(**changes: Any) -> dict[str, Any]:
    job = {
        "job_token": TOKEN, "job_state": "Completed",
        "job_state_reasons": {"job_state_reason": ["PostScanJobCompletedSuccessfully"]},
        "filter_statuses": {"filter_status": [
            {"dialect": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/email",
             "filter_state": "CompletedSuccessfully"},
        ]},
        "images_received": 3, "job_created_time": "2026-11-23T10:00:00.000",
    } | changes  # fmt: skip
    section = {"@name": QName(DSP, "JobStatus", "dsp"), "@valid": True, "job_status": job}
    return {"job_elements": {"element_data": [section]}}


def answer(data: dict[str, Any], status: int = 200) -> Message:
    body = build("dsp:GetPostScanJobElementsResponse", data)
    return message(build_envelope(body, action=action_of("GetPostScanJobElementsResponse", "WS-DSP")), status)


RECORDED = answer(status_answer())


def told(*differences: Difference) -> list[tuple[str, str]]:
    return [(one.what, one.path.rpartition("/")[2]) for one in differences]


def test_the_same_is_no_difference() -> None:
    assert Judge().compare(RECORDED, answer(status_answer())) == []


@pytest.mark.parametrize(
    ("changes", "what", "name", "text"),
    [
        ({"job_state": "Aborted"}, "body", "JobState", "JobState is Aborted, was Completed"),
        ({"images_received": 2}, "body", "ImagesReceived", "ImagesReceived is 2, was 3"),
        ({"job_created_time": "yesterday"}, "body", "JobCreatedTime", "JobCreatedTime is yesterday"),
        ({"job_token": OTHER}, "body", "JobToken", f"JobToken is {OTHER}"),
        ({"job_completed_time": "2026-11-23T10:00:00"}, "unexpected", "JobCompletedTime", "is new in JobStatus"),
        ({"{urn:v}Extra": "x"}, "unexpected", "Extra", "Extra is new in JobStatus"),
        (
            {"job_state_reasons": {"job_state_reason": ["PostScanJobCompletedSuccessfully", "None"]}},
            "unexpected", "JobStateReason[2]", "JobStateReason is new in JobStateReasons",
        ),
    ],
)  # fmt: skip
def test_one_value_differs(changes: dict[str, Any], what: str, name: str, text: str) -> None:
    found = Judge().compare(RECORDED, answer(status_answer(**changes)))
    assert told(*found) == [(what, name)]
    assert text in found[0].text
    back = Judge().compare(answer(status_answer(**changes)), RECORDED)
    assert len(back) == 1
    assert back[0].what == {"unexpected": "missing"}.get(what, what)


def test_status_action_fault_and_body_differ() -> None:
    body = build("dsp:EndPostScanJobResponse", {})
    end = message(build_envelope(body, action=action_of("EndPostScanJobResponse", "WS-DSP")))
    wrong = message(build_envelope(body, action="urn:other"))
    fault = message(build_fault("Sender", QName(DSP, "ClientErrorJobTokenNotFound"), "no such job"), 400)
    another = message(build_fault("Sender", QName(DSP, "InvalidArgs"), "wrong"), 400)
    assert told(*Judge().compare(end, answer(status_answer()))) == [("action", ""), ("body", "")]
    assert told(*Judge().compare(end, wrong)) == [("action", "")]
    assert told(*Judge().compare(end, fault)) == [("status", ""), ("fault", "")]
    assert told(*Judge().compare(fault, another)) == [("fault", "")]
    assert (
        Judge().compare(fault, message(build_fault("Sender", QName(DSP, "ClientErrorJobTokenNotFound"), "gone"), 400))
        == []
    )
    assert told(*Judge().compare(answer(status_answer()), answer(status_answer(), 202))) == [("status", "")]


def image(data: bytes, count: int = 1) -> Message:
    body = build("wscn:RetrieveImageResponse", {"scan_data": {"include": {"@href": "cid:i0"}}})
    pictures = tuple(Picture(f"i{number}", data) for number in range(count))
    return message(build_envelope(body, action=action_of("RetrieveImageResponse", "WS-Scan")), 200, pictures)


def test_attachments_are_of_one_kind_and_number() -> None:
    jpeg, png = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"x" * 50, b"\x89PNG\r\n\x1a\n" + b"x" * 50
    assert Judge().compare(image(jpeg), image(jpeg + b"more")) == []
    assert told(*Judge().compare(image(jpeg), image(png))) == [("attachment", "")]
    assert told(*Judge().compare(image(jpeg), image(jpeg, 2))) == [("attachment", "")]


def test_what_is_handed_out_now_is_expected_now() -> None:
    judge = Judge(translate={TOKEN: OTHER})
    assert judge.compare(RECORDED, answer(status_answer(job_token=OTHER))) == []
    assert told(*judge.compare(RECORDED, RECORDED)) == [("body", "JobToken")]
    assert Judge(translate={TOKEN: None}).compare(RECORDED, answer(status_answer(job_token=OTHER))) == []


def test_a_value_inside_a_longer_text_is_translated_too() -> None:
    one, other = (answer(status_answer(**{"{urn:v}Link": f"http://x/{token}/y"})) for token in (TOKEN, OTHER))
    assert told(*Judge(translate={TOKEN: TOKEN}).compare(one, other)) == [("body", "Link")]
    assert Judge([ValueRule("JobToken", "any")], translate={TOKEN: OTHER}).compare(one, other) == []


@pytest.mark.parametrize(
    ("how", "good", "bad"),
    [
        ("ignore", "anything", None), ("any", "anything", ""), ("uuid", OTHER, "x"),
        ("date", "2026-01-01T00:00:00", "soon"),
        ("number", "17", "many"), ("number 1..20", "17", "21"), ("one of Completed|Aborted", "Aborted", "Canceled"),
        ("equal", "Completed", "Aborted"), ("url", "http://h/p", "h p"), ("text", "x", ""),
    ],
)  # fmt: skip
def test_rules_of_a_scenario(how: str, good: str, bad: str | None) -> None:
    path = "*/JobCreatedTime" if how == "date" else "*/JobState"
    key = "job_created_time" if how == "date" else "job_state"
    judge = Judge([ValueRule(path, how)])
    assert judge.compare(RECORDED, answer(status_answer(**{key: good}))) == []
    if bad is not None:
        assert len(judge.compare(RECORDED, answer(status_answer(**{key: bad})))) == 1
    assert how.split()[0] in [one.split()[0] for one in HOW] + ["one"]


def test_a_rule_that_is_none() -> None:
    with pytest.raises(UsageError, match="'maybe' is no rule"):
        ValueRule("JobState", "maybe")


def test_the_defaults_have_their_reasons() -> None:
    assert all(how in HOW and reason for how, reason in DEFAULTS.values())


@given(st.sampled_from(["a", "x1", "other"]), st.booleans(), st.sampled_from(["", "\n  ", "\t"]))
@settings(max_examples=30, deadline=None)
def test_prefixes_attribute_order_and_white_space_mean_nothing(prefix: str, turned: bool, white: str) -> None:
    assert RECORDED.envelope is not None
    xml = RECORDED.envelope.xml.decode()
    xml = (
        re.sub(r"(</?|xmlns:|\s)dsp(?=[:=])", rf"\g<1>{prefix}", xml)
        .replace('"dsp:', f'"{prefix}:')
        .replace(">dsp:", f">{prefix}:")
    )
    root = etree.fromstring(xml.encode())
    for element in root.iter():
        if turned and len(element.attrib) > 1:
            pairs = list(element.attrib.items())[::-1]
            element.attrib.clear()
            element.attrib.update(pairs)
        if element.text and element.text.strip():
            element.text = white + element.text + white
    assert Judge().compare(RECORDED, message(etree.tostring(root))) == []


def test_the_order_of_elements_counts_where_the_specification_fixes_it() -> None:
    assert RECORDED.envelope is not None
    root = etree.fromstring(RECORDED.envelope.xml)
    job = root.find(f".//{{{DSP}}}JobStatus")
    assert job is not None
    job.append(job[0])
    assert told(*Judge().compare(RECORDED, message(etree.tostring(root)))) == [("order", "JobStatus")]


def test_differences_as_plain_data() -> None:
    found = Judge().compare(RECORDED, answer(status_answer(job_state="Aborted")))[0].to_json()
    assert found["recorded"] == "Completed"
    assert found["received"] == "Aborted"
    assert found["path"] == "JobElements/ElementData/JobStatus/JobState"
