"""Every way in which a message can differ from the recorded one, each told exactly; and what is no difference."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest

from dissector.messages import Message
from dissector.soap.build import build_fault
from dissector.soap.model import QName
from dissector.soap.namespaces import DSP, WSA04, WSCN
from replay.base.ids import Ids
from replay.net.receiver import HttpReceiver
from replay.player.judge import MAX_DIFFERENCES, Judge, ValueRule
from replay.soap.caller import read_message
from replay.soap.compose import Picture, http_request, pack
from tests.support.judging import HERE, OTHER, THERE, TOKEN, message, told

ANSWER = """<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"
    xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:v="urn:vendor"
    xmlns:dsp="http://schemas.microsoft.com/windows/2008/12/wdp/distributedscan/processing"><soap:Header>
  <wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsa:To>
  <wsa:Action>DSP/GetPostScanJobElementsResponse</wsa:Action>
  <wsa:MessageID>urn:uuid:11111111-0000-4000-8000-000000000001</wsa:MessageID>
  <wsa:RelatesTo>urn:uuid:22222222-0000-4000-8000-000000000001</wsa:RelatesTo>
  <v:Track soap:mustUnderstand="false">blue</v:Track></soap:Header><soap:Body>
  <dsp:GetPostScanJobElementsResponse><dsp:JobElements>
    <dsp:ElementData Name="dsp:JobStatus" Valid="true"><dsp:JobStatus>
      <dsp:JobToken>TOKEN</dsp:JobToken>
      <dsp:JobState>Completed</dsp:JobState>
      <dsp:JobStateReasons><dsp:JobStateReason>PostScanJobCompletedSuccessfully</dsp:JobStateReason></dsp:JobStateReasons>
      <dsp:FilterStatuses>
        <dsp:FilterStatus><dsp:Dialect>urn:one</dsp:Dialect><dsp:FilterState>CompletedSuccessfully</dsp:FilterState>
          <dsp:FilterStateReasons><dsp:FilterStateReason>None</dsp:FilterStateReason></dsp:FilterStateReasons>
        </dsp:FilterStatus>
        <dsp:FilterStatus><dsp:Dialect>urn:two</dsp:Dialect><dsp:FilterState>CompletedSuccessfully</dsp:FilterState>
          <dsp:FilterStateReasons><dsp:FilterStateReason>None</dsp:FilterStateReason></dsp:FilterStateReasons>
        </dsp:FilterStatus>
      </dsp:FilterStatuses>
      <dsp:ImagesReceived>3</dsp:ImagesReceived>
      <dsp:JobCreatedTime>2026-11-23T10:00:00.000</dsp:JobCreatedTime>
      <v:Extra level="1"><v:Inner>x</v:Inner><v:When>2026-11-23T10:00:00</v:When><v:Link>http://h/TOKEN/y</v:Link></v:Extra>
    </dsp:JobStatus></dsp:ElementData></dsp:JobElements></dsp:GetPostScanJobElementsResponse></soap:Body></soap:Envelope>
""".replace("DSP/", f"{DSP}/").replace("TOKEN", TOKEN)
RECORDED = message(ANSWER)
STATUS = "JobElements/ElementData/JobStatus"
REASONS = f"{STATUS}/FilterStatuses/FilterStatus[2]/FilterStateReasons"
THIRD = """<dsp:FilterStatus><dsp:Dialect>urn:three</dsp:Dialect><dsp:FilterState>Canceled</dsp:FilterState>
<dsp:FilterStateReasons><dsp:FilterStateReason>None</dsp:FilterStateReason></dsp:FilterStateReasons></dsp:FilterStatus>"""
FILTERS = re.findall(r"<dsp:FilterStatus>.*?</dsp:FilterStatus>", ANSWER, re.DOTALL)


def changed(old: str, new: str, count: int = 1) -> Message:
    assert old in ANSWER, old
    return message(ANSWER.replace(old, new, count))


WAYS: dict[str, tuple[str, str, list[tuple[str, str, str | None, str | None]], str]] = {
    # name: what is replaced, by what, what is told, and the first sentence
    "a value": ("<dsp:JobState>Completed", "<dsp:JobState>Aborted",
                [("body", f"{STATUS}/JobState", "Completed", "Aborted")], "JobState is Aborted, was Completed"),
    "a number": (">3<", ">2<", [("body", f"{STATUS}/ImagesReceived", "3", "2")], "ImagesReceived is 2, was 3"),
    "no date": ("2026-11-23T10:00:00.000", "yesterday",
                [("body", f"{STATUS}/JobCreatedTime", "2026-11-23T10:00:00.000", "yesterday")],
                "JobCreatedTime is yesterday, a date was expected"),
    "a value is empty": (">3<", "><", [("body", f"{STATUS}/ImagesReceived", "3", "")],
                         "ImagesReceived is empty, was 3"),
    "an element is missing": ("<dsp:ImagesReceived>3</dsp:ImagesReceived>", "",
                              [("missing", f"{STATUS}/ImagesReceived", "3", None)], "ImagesReceived is missing (3)"),
    "an element is new": ("<v:Extra", "<v:More>z</v:More><v:Extra",
                          [("unexpected", f"{STATUS}/More", None, "z")], "More is new (z)"),
    "two elements changed places": (
        "<dsp:JobState>Completed</dsp:JobState>\n", "",
        [("missing", f"{STATUS}/JobState", "Completed", None)], "JobState is missing (Completed)"),
    "an attribute": ('Valid="true"', 'Valid="false"',
                     [("body", "JobElements/ElementData/@Valid", "true", "false")],
                     "attribute Valid of ElementData is false, was true"),
    "an attribute is missing": ('level="1"', "", [("missing", f"{STATUS}/Extra/@level", "1", None)],
                                "attribute level of Extra is missing (1)"),
    "an attribute is new": ('level="1"', 'level="1" more="2"', [("unexpected", f"{STATUS}/Extra/@more", None, "2")],
                            "attribute more of Extra is new (2)"),
    "a vendor's value": (">x<", ">y<", [("body", f"{STATUS}/Extra/Inner", "x", "y")], "Inner is y, was x"),
    "a vendor's date": ("<v:When>2026-11-23T10:00:00", "<v:When>soon",
                        [("body", f"{STATUS}/Extra/When", "2026-11-23T10:00:00", "soon")],
                        "When is soon, a date was expected"),
    "a vendor's namespace": ('xmlns:v="urn:vendor"', 'xmlns:v="urn:other"',
                             [("missing", "Header/Track", "blue", None), ("unexpected", "Header/Track", None, "blue"),
                              ("missing", f"{STATUS}/Extra", None, None),
                              ("unexpected", f"{STATUS}/Extra", None, None)], "Track is missing (blue)"),
    "text between elements": ("<v:Inner>", "word<v:Inner>", [("body", f"{STATUS}/Extra", "", "word")],
                              "Extra is word, was empty"),
    "nil": ("<dsp:ImagesReceived>3", '<dsp:ImagesReceived xsi:nil="true">',
            [("body", f"{STATUS}/ImagesReceived", "3", "xsi:nil")], "ImagesReceived is nil, was 3"),
    "one more of several, at the end": (FILTERS[1], FILTERS[1] + THIRD,
                                        [("unexpected", f"{STATUS}/FilterStatuses/FilterStatus[3]", None, None)],
                                        "FilterStatus 3 is new"),
    "one more of several, in front": (FILTERS[0], THIRD + FILTERS[0],
                                      [("unexpected", f"{STATUS}/FilterStatuses/FilterStatus", None, None)],
                                      "FilterStatus is new"),
    "one of several is missing": (FILTERS[0], "", [("missing", f"{STATUS}/FilterStatuses/FilterStatus", None, None)],
                                  "FilterStatus is missing"),
    "a value in one of several": (FILTERS[1], FILTERS[1].replace(">None<", ">UnknownError<"),
                                  [("body", f"{REASONS}/FilterStateReason", "None", "UnknownError")],
                                  "FilterStateReason of FilterStatus 2 is UnknownError, was None"),
    "a reason more": ("</dsp:JobStateReason>", "</dsp:JobStateReason><dsp:JobStateReason>None</dsp:JobStateReason>",
                      [("unexpected", f"{STATUS}/JobStateReasons/JobStateReason[2]", None, "None")],
                      "JobStateReason 2 is new (None)"),
    "a header block is missing": ("<wsa:RelatesTo>urn:uuid:22222222-0000-4000-8000-000000000001</wsa:RelatesTo>", "",
                                  [("missing", "Header/RelatesTo", "urn:uuid:22222222-0000-4000-8000-000000000001",
                                    None)], "RelatesTo is missing (urn:uuid:22222222-0000-4000-8000-000000000001)"),
    "a header block is new": ("<wsa:To>", "<v:Id>7</v:Id><wsa:To>", [("unexpected", "Header/Id", None, "7")],
                              "Id is new (7)"),
    "a header block": (">blue<", ">red<", [("body", "Header/Track", "blue", "red")], "Track is red, was blue"),
    "an address of another kind": (
        "<wsa:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", "<wsa:To>somewhere",
        [("body", "Header/To", "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous", "somewhere")],
        "To is somewhere, an address was expected"),
    "the action": (f"{DSP}/GetPostScanJobElementsResponse", "urn:other",
                   [("action", "", f"{DSP}/GetPostScanJobElementsResponse", "urn:other")],
                   "the action is urn:other, was GetPostScanJobElementsResponse"),
    "no action": (f"<wsa:Action>{DSP}/GetPostScanJobElementsResponse</wsa:Action>", "",
                  [("action", "", f"{DSP}/GetPostScanJobElementsResponse", None)],
                  "the action is missing, was GetPostScanJobElementsResponse"),
    "the version of WS-Addressing": (
        "http://schemas.xmlsoap.org/ws/2004/08/addressing\"", "http://www.w3.org/2005/08/addressing\"",
        [("envelope", "", "2004/08", "2005/08")], "WS-Addressing 2005/08 came, WS-Addressing 2004/08 was recorded"),
    "the version of SOAP": ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/",
                            [("envelope", "", "1.2", "1.1")], "SOAP 1.1 came, SOAP 1.2 was recorded"),
    "damaged XML": ("</dsp:JobStatus>", "", [("envelope", "", "well-formed", "damaged")],
                    "the XML that came is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_differ(way: str) -> None:
    old, new, expected, text = WAYS[way]
    found = Judge().compare(RECORDED, changed(old, new))
    assert told(found) == expected
    assert found[0].text == text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2026-11-23T10:00:00.000", "2027-01-01T00:00:00Z"),
        (TOKEN, OTHER),
        (">3<", ">\n   03 <"),
        ('Valid="true"', 'Valid="1"'),
        ('Valid="true"', "Valid = 'true'"),
        ('Name="dsp:JobStatus" Valid="true"', 'Valid="true" Name="dsp:JobStatus"'),
        ('<dsp:ElementData Name="dsp:JobStatus"', f'<dsp:ElementData xmlns:q="{DSP}" Name="q:JobStatus"'),
        ("<v:Inner>x</v:Inner>", '<w:Inner xmlns:w="urn:vendor">x</w:Inner>'),
        (FILTERS[0] + "\n        " + FILTERS[1], FILTERS[1] + FILTERS[0]),
        ("11111111-0000", "33333333-0000"),
        ("22222222-0000", "33333333-0000"),
        ('soap:mustUnderstand="false"', ""),
        ("<wsa:To>", "<wsa:ReplyTo><wsa:Address>http://x/</wsa:Address></wsa:ReplyTo><wsa:To>"),
        ("<v:When>2026-11-23T10:00:00", "<v:When>2020-01-01T00:00:00"),
        ("<dsp:JobState>", "<dsp:JobState><!-- done -->"),
    ],
)
def test_what_is_no_difference(old: str, new: str) -> None:
    again = message(ANSWER.replace(TOKEN, OTHER, 1)) if old == TOKEN else changed(old, new)
    assert told(Judge().compare(RECORDED, again)) == []


def test_the_order_of_elements_counts_where_the_specification_fixes_it() -> None:
    token, state = re.search(r"(<dsp:JobToken>.*?)(<dsp:JobState>.*?</dsp:JobState>)", ANSWER, re.DOTALL).groups()
    found = Judge().compare(RECORDED, changed(token + state, state + token))
    assert [(one.what, one.path) for one in found] == [("order", STATUS)]
    assert found[0].recorded is not None
    assert found[0].recorded.startswith("JobToken, JobState, ")
    assert found[0].received is not None
    assert found[0].received.startswith("JobState, JobToken, ")
    # A vendor's elements, and header blocks, have no order.
    inner, when = "<v:Inner>x</v:Inner>", "<v:When>2026-11-23T10:00:00</v:When>"
    assert told(Judge().compare(RECORDED, changed(inner + when, when + inner))) == []
    to, track = re.findall(r"<wsa:To>.*?</wsa:To>|<v:Track.*?</v:Track>", ANSWER)
    assert told(Judge().compare(RECORDED, message(ANSWER.replace(track, "").replace(to, track + to)))) == []


def test_the_order_that_no_source_tells_does_not_count() -> None:
    def of(*sides: str) -> Message:
        lines = "<s:PixelsPerLine>1</s:PixelsPerLine>"
        inner = "".join(f"<s:Media{side}ImageInfo>{lines}</s:Media{side}ImageInfo>" for side in sides)
        start = ANSWER.partition("<soap:Body>")[0]
        return message(
            f'{start}<soap:Body><s:CreateScanJobResponse xmlns:s="{WSCN}"><s:ImageInformation>{inner}'
            "</s:ImageInformation></s:CreateScanJobResponse></soap:Body></soap:Envelope>"
        )

    assert told(Judge().compare(of("Front", "Back"), of("Back", "Front"))) == []


def test_an_element_after_a_missing_one_is_not_out_of_order() -> None:
    extra = re.search(r"<v:Extra.*?</v:Extra>", ANSWER, re.DOTALL)
    assert extra is not None
    moved = ANSWER.replace(extra[0], "").replace("<dsp:JobToken>", extra[0] + "<dsp:JobToken>")
    assert told(Judge().compare(RECORDED, message(moved))) == []


# -- bodies, faults, status ------------------------------------------------------------------------------------------


def simple(name: str) -> str:
    start, _, _ = ANSWER.partition("<soap:Body>")
    body = f"<dsp:{name}/>" if name else ""
    return start + "<soap:Body>" + body + "</soap:Body></soap:Envelope>"


def fault(subcode: str = "ClientErrorJobTokenNotFound", **more: object) -> Message:
    given = {"code": "Sender", "reason": "no such job", "status": 400, **more}
    data = build_fault(given["code"], QName(DSP, subcode, "p"), given["reason"], action=given.get("action"))
    if "detail" in given:
        data = data.replace(b"</soap:Fault>", f"<soap:Detail>{given['detail']}</soap:Detail></soap:Fault>".encode())
    return message(data, given["status"])


def test_another_body() -> None:
    one, other, nothing = (message(simple(name)) for name in ("EndPostScanJobResponse", "Odd", ""))
    assert told(Judge().compare(one, other)) == [("body", "", "EndPostScanJobResponse", "Odd")]
    assert told(Judge().compare(one, nothing)) == [("body", "", "EndPostScanJobResponse", None)]
    assert told(Judge().compare(nothing, one)) == [("body", "", None, "EndPostScanJobResponse")]
    assert told(Judge().compare(nothing, nothing)) == []
    vendor = message(simple("Odd").replace("<dsp:Odd", '<o:Odd xmlns:o="urn:odd"'))
    assert told(Judge().compare(other, vendor)) == [("body", "", f"Odd of {DSP}", "Odd of urn:odd")]
    worded = message(simple("Odd").replace("<dsp:Odd/>", "<dsp:Odd>word</dsp:Odd>"))
    assert told(Judge().compare(other, worded)) == [("body", "", "", "word")]


def test_status() -> None:
    found = Judge().compare(RECORDED, message(ANSWER, 202))
    assert told(found) == [("status", "", "200", "202")]
    assert found[0].text == "HTTP status 202 came, 200 was recorded"


def test_a_fault_that_was_recorded_passes_with_other_words() -> None:
    assert Judge().compare(fault(), fault(reason="Auftrag unbekannt")) == []
    assert Judge().compare(fault(), fault(action="http://schemas.xmlsoap.org/ws/2004/08/addressing/fault")) == []


@pytest.mark.parametrize(
    ("other", "expected", "text"),
    [
        (fault("InvalidArgs"), [("fault", "Code/Subcode/Value", "ClientErrorJobTokenNotFound", "InvalidArgs")],
         "the fault is InvalidArgs (no such job), was ClientErrorJobTokenNotFound"),
        (fault(code="Receiver"), [("fault", "Code/Value", "Sender", "Receiver")],
         "the fault code is Receiver, was Sender"),
        (fault(status=500), [("status", "", "400", "500")], "HTTP status 500 came, 400 was recorded"),
        (fault(detail="<x>1</x>"), [("unexpected", "Detail/x", None, "1")], "x is new (1)"),
        (fault(action="urn:fault"), [("action", "", "fault", "urn:fault")], "the action is urn:fault, was fault"),
    ],
)  # fmt: skip
def test_faults_differ(other: Message, expected: list[tuple[str, str, str | None, str | None]], text: str) -> None:
    found = Judge().compare(fault(), other)
    assert told(found) == expected
    assert found[0].text == text


def test_the_detail_of_a_fault_is_compared_by_element() -> None:
    one, other = fault(detail="<x><y>1</y></x>"), fault(detail="<x><y>2</y></x>")
    assert told(Judge().compare(one, other)) == [("body", "Detail/x/y", "1", "2")]
    assert told(Judge([ValueRule("Detail/x", "ignore")]).compare(one, other)) == []


def test_a_fault_instead_of_an_answer_is_one_difference() -> None:
    found = Judge().compare(RECORDED, fault())
    assert [one.text for one in found] == [
        "the fault ClientErrorJobTokenNotFound came (no such job), GetPostScanJobElementsResponse was recorded"
    ]
    assert [one.what for one in Judge().compare(fault(), RECORDED)] == ["fault"]


@pytest.mark.parametrize("known", [True, False])
def test_the_prefix_of_a_subcode_means_nothing_but_a_vendors_namespace_does(known: bool) -> None:
    name = "ClientErrorJobTokenNotFound" if known else "OutOfStaples"
    one, other = (message(build_fault("Sender", QName(ns, name, "p"), "no"), 400) for ns in (DSP, "urn:other"))
    assert len(Judge().compare(one, other)) == (0 if known else 1)


def test_a_fault_of_soap_11_form_is_the_same_fault() -> None:
    start = ANSWER.partition("<soap:Body>")[0].replace(f"{DSP}/GetPostScanJobElementsResponse", f"{WSA04}/fault")

    def of(inner: str) -> Message:
        return message(f"{start}<soap:Body><soap:Fault>{inner}</soap:Fault></soap:Body></soap:Envelope>", 400)

    def old(code: str) -> Message:
        return of(f"<faultcode>{code}</faultcode><faultstring>no</faultstring>")

    def new(code: str, inner: str = "") -> Message:
        return of(f"<soap:Code><soap:Value>{code}</soap:Value>{inner}</soap:Code>")

    refused = new("soap:Sender", "<soap:Subcode><soap:Value>dsp:InvalidArgs</soap:Value></soap:Subcode>")
    assert told(Judge().compare(refused, old("dsp:InvalidArgs"))) == []
    assert [one.what for one in Judge().compare(refused, old("dsp:OperationFailed"))] == ["fault"]
    assert told(Judge().compare(old("soap:Client"), new("soap:Sender"))) == []
    assert [one.what for one in Judge().compare(old("soap:Client"), new("soap:Receiver"))] == ["fault"]


def test_an_answer_that_is_cut() -> None:
    assert told(Judge().compare(RECORDED, message(ANSWER, cut=1))) == [("envelope", "", "whole", "cut")]
    # What the recording lacks is not held against the peer.
    assert told(Judge().compare(message(ANSWER, cut=1), RECORDED)) == []


def request(envelope: bytes | str) -> Message:
    """A message that is no answer: an event, say."""
    data = envelope.encode() if isinstance(envelope, str) else envelope
    dress = http_request("/", "h", pack(data, (), Ids(1)))
    found = read_message(HttpReceiver(HERE, THERE).feed(dress.head + dress.body, 1)[0])
    assert found is not None
    return found


def test_requests_have_no_status() -> None:
    one = request(ANSWER)
    assert told(Judge().compare(one, one)) == []
    assert told(Judge().compare(RECORDED, one)) == []
    assert told(Judge().compare(one, RECORDED)) == []


def test_what_cannot_be_read_as_xml() -> None:
    nothing = message("<soap:Envelope")
    assert nothing.envelope is None
    found = Judge().compare(RECORDED, nothing)
    assert [(told(found)[0], found[0].text)] == [
        (("envelope", "", "1.2", "unreadable"), "what came cannot be read as XML")
    ]
    found = Judge().compare(nothing, RECORDED)
    assert [(told(found)[0], found[0].text)] == [
        (("envelope", "", "unreadable", "1.2"), "what was recorded cannot be read as XML")
    ]
    assert told(Judge().compare(nothing, nothing)) == []


def test_damage_that_was_recorded_is_no_difference() -> None:
    damaged = changed("</dsp:JobStatus>", "")
    assert told(Judge().compare(damaged, damaged)) == []
    other = message(ANSWER.replace("</dsp:JobStatus>", "").replace(">Completed<", ">Aborted<"))
    assert [one[0] for one in told(Judge().compare(damaged, other))] == ["body"]


def test_no_element_is_missed_that_a_damaged_recording_only_seems_to_have() -> None:
    """A capture that lacks bytes in the midst leaves names that nobody sent."""
    at = ANSWER.index("<dsp:JobStatus>")
    damaged = message(ANSWER[:at] + "<dsp:Jo" + ANSWER[at + 150 :])
    assert damaged.envelope is not None
    assert damaged.envelope.recovered
    (found,) = Judge().compare(damaged, RECORDED)
    assert found.what == "envelope"
    assert found.text.startswith("what was recorded is no well-formed XML")


def test_no_addressing_at_all_is_told_header_by_header() -> None:
    bare = message(re.sub(r"<soap:Header>.*?</soap:Header>", "", ANSWER, flags=re.DOTALL))
    assert [one[:2] for one in told(Judge().compare(RECORDED, bare))] == [
        ("action", ""), ("missing", "Header/To"), ("missing", "Header/MessageID"), ("missing", "Header/RelatesTo"),
        ("missing", "Header/Track"),
    ]  # fmt: skip
    found = Judge().compare(bare, RECORDED)
    assert [one[0] for one in told(found)] == ["action"] + ["unexpected"] * 4
    assert found[0].text == "the action is GetPostScanJobElementsResponse, was none"


def test_actions_that_end_alike_are_shown_whole() -> None:
    found = Judge().compare(RECORDED, changed(f"{DSP}/GetPostScan", "urn:other/GetPostScan"))
    (text,) = (one.text for one in found)
    assert text.startswith(f"the action is urn:other/GetPostScanJobElementsResponse, was {DSP}")


def test_the_action_of_a_fault_on_something_else_is_an_action_like_others() -> None:
    one, other = (
        changed(f"{DSP}/GetPostScanJobElementsResponse", action)
        for action in (f"{WSA04}/fault", "http://www.w3.org/2005/08/addressing/fault")
    )
    assert [each[0] for each in told(Judge().compare(one, other))] == ["action"]


def test_words_for_what_is_not_there() -> None:
    end, nothing = message(simple("EndPostScanJobResponse")), message(simple(""))
    assert Judge().compare(end, nothing)[0].text == "the Body holds nothing, was EndPostScanJobResponse"
    assert Judge().compare(nothing, end)[0].text == "the Body holds EndPostScanJobResponse, was empty"
    plain = message(simple("Odd").replace("<dsp:Odd/>", "<Odd/>"))
    assert Judge().compare(message(simple("Odd")), plain)[0].text.startswith("Odd of no namespace came, Odd of http://")
    quiet = fault("InvalidArgs", reason="")
    assert Judge().compare(fault(), quiet)[0].text == "the fault is InvalidArgs, was ClientErrorJobTokenNotFound"
    assert Judge().compare(RECORDED, quiet)[0].text == (
        "the fault InvalidArgs came, GetPostScanJobElementsResponse was recorded"
    )


def bare_fault(inner: str) -> Message:
    start = ANSWER.partition("<soap:Body>")[0].replace(f"{DSP}/GetPostScanJobElementsResponse", f"{WSA04}/fault")
    return message(f"{start}<soap:Body><soap:Fault>{inner}</soap:Fault></soap:Body></soap:Envelope>", 400)


def test_faults_without_codes() -> None:
    none, sender = bare_fault(""), bare_fault("<soap:Code><soap:Value>soap:Sender</soap:Value></soap:Code>")
    found = Judge().compare(none, sender)
    assert [one.text for one in found] == ["the fault code is Sender, was none"]
    assert [one.text for one in Judge().compare(sender, none)] == ["the fault code is missing, was Sender"]
    assert Judge().compare(RECORDED, none)[0].text.startswith("the fault without a code came")
    inner = "<soap:Subcode><soap:Value>{}</soap:Value></soap:Subcode>"
    code = "<soap:Code><soap:Value>soap:Sender</soap:Value>{}</soap:Code>"
    known = bare_fault(code.format(inner.format("dsp:InvalidArgs")))
    assert [one.text for one in Judge().compare(sender, known)] == ["the fault is InvalidArgs, was Sender"]
    assert [one.text for one in Judge().compare(known, sender)] == ["the fault is Sender, was InvalidArgs"]
    vendors = [bare_fault(code.format(inner.format(name))) for name in ("v:Stapled", "dsp:Stapled")]
    told_of = [one.text for one in Judge().compare(*vendors)]
    assert told_of == [f"the fault is {{{DSP}}}St…, was {{urn:vendor}}Stapled"]


def test_a_short_value_is_a_value_where_it_is_the_whole_text() -> None:
    one, other = (changed("<v:Inner>x", f"<v:Inner>{text}") for text in ("t-1", "t-2"))
    judge = Judge(translate={"t-1": "t-2"})
    assert told(judge.compare(one, other)) == []
    assert [each.expected for each in judge.compare(one, one)] == ["t-2"]
    # … and not inside another one.
    one, other = (changed("<v:Inner>x", f"<v:Inner>about {text} pages") for text in ("t-1", "t-2"))
    assert [each[0] for each in told(judge.compare(one, other))] == ["body"]


def test_a_text_with_a_new_value_and_a_known_one() -> None:
    def of(known: str, new: str) -> Message:
        return changed("<v:Inner>x", f"<v:Inner>http://{known}/jobs/{new}/end")

    judge = Judge(translate={"192.0.2.1:80": "127.0.0.1:9", "job-number-1": None})
    recorded = of("192.0.2.1:80", "job-number-1")
    assert told(judge.compare(recorded, of("127.0.0.1:9", "anything"))) == []
    found = judge.compare(recorded, of("elsewhere", "anything"))
    assert [one.expected for one in found] == ["http://127.0.0.1:9/jobs/…/end"]
    emptied = Judge(translate={"job-number-1": ""})
    assert told(emptied.compare(recorded, of("192.0.2.1:80", ""))) == []


# -- images ----------------------------------------------------------------------------------------------------------

JPEG, PNG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"x" * 50, b"\x89PNG\r\n\x1a\n" + b"x" * 50
INCLUDE = '<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:%s"/>'


def page(*inner: str, parts: tuple[Picture, ...] = (), status: int = 200) -> Message:
    data = "".join(f"<s:ScanData>{one}</s:ScanData>" for one in inner)
    return message(
        '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:s="http://schemas.microsoft.com/windows/2006/08/wdp/scan"><soap:Body>'
        f"<s:RetrieveImageResponse>{data}</s:RetrieveImageResponse></soap:Body></soap:Envelope>", status, parts,
    )  # fmt: skip


def test_an_image_in_a_part_and_one_in_the_text_are_the_same() -> None:
    part, other = Picture("a@b", JPEG), Picture("c@d", JPEG + b"more")
    packed = page(INCLUDE % "a@b", parts=(part,))
    inline = page(base64.b64encode(JPEG).decode())
    for one, two in ((packed, inline), (inline, packed), (packed, page(INCLUDE % "c@d", parts=(other,)))):
        assert told(Judge([ValueRule("attachments", "type")]).compare(one, two)) == []
    assert told(Judge([ValueRule("attachments", "exact")]).compare(packed, inline)) == []


@pytest.mark.parametrize("packed", [True, False])
def test_images_differ_once(packed: bool) -> None:
    def of(*data: bytes) -> Message:
        if not packed:
            return page(*(base64.b64encode(one).decode() for one in data))
        parts = tuple(Picture(f"i{number}", one) for number, one in enumerate(data))
        return page(*(INCLUDE % one.content_id for one in parts), parts=parts)

    assert told(Judge().compare(of(JPEG), of(PNG))) == [("attachment", "ScanData", "jfif", "png")]
    assert told(Judge().compare(of(JPEG), of(JPEG, JPEG))) == [("attachment", "", "1", "2")]
    assert told(Judge().compare(of(JPEG, JPEG), of(JPEG))) == [("attachment", "", "2", "1")]
    assert [one[0] for one in told(Judge().compare(of(JPEG), page("")))] == ["attachment"]
    assert [one[0] for one in told(Judge().compare(of(JPEG), page()))] == ["attachment"]
    rule = [ValueRule("attachments", "ignore")]
    assert told(Judge(rule).compare(of(JPEG), of(PNG))) == []
    assert [one[0] for one in told(Judge().compare(page(""), page()))] == ["missing"]


# -- what is known of the run ----------------------------------------------------------------------------------------


def test_what_is_handed_out_now_is_expected_now() -> None:
    judge = Judge(translate={TOKEN: OTHER})
    assert judge.compare(RECORDED, message(ANSWER.replace(TOKEN, OTHER))) == []
    found = judge.compare(RECORDED, RECORDED)
    assert [(one.path.rpartition("/")[2], one.expected) for one in found] == [
        ("JobToken", OTHER), ("Link", f"http://h/{OTHER}/y"),
    ]  # fmt: skip
    assert found[0].text == f"JobToken is {TOKEN}, {OTHER} was expected"


def test_a_value_that_is_handed_out_here_may_be_anything_but_nothing() -> None:
    judge = Judge(translate={TOKEN: None})
    assert judge.compare(RECORDED, message(ANSWER.replace(TOKEN, OTHER))) == []
    assert [one.path for one in judge.compare(RECORDED, message(ANSWER.replace(TOKEN, "")))] == [
        f"{STATUS}/JobToken", f"{STATUS}/Extra/Link",
    ]  # fmt: skip
    elsewhere = message(ANSWER.replace(f"http://h/{TOKEN}/y", f"http://h/{OTHER}/z"))
    assert [one.path for one in judge.compare(RECORDED, elsewhere)] == [f"{STATUS}/Extra/Link"]


def test_a_rule_still_says_of_what_kind_a_new_value_has_to_be() -> None:
    judge = Judge([ValueRule("JobToken", "uuid"), ValueRule("Link", "any")], translate={TOKEN: None})
    assert judge.compare(RECORDED, message(ANSWER.replace(TOKEN, OTHER))) == []
    found = judge.compare(RECORDED, message(ANSWER.replace(TOKEN, "seven")))
    assert [one.text for one in found] == ["JobToken is seven, a UUID was expected"]


def test_what_is_as_recorded_is_no_difference_unless_a_rule_says_so() -> None:
    odd = changed("2026-11-23T10:00:00.000", "yesterday")
    assert told(Judge().compare(odd, odd)) == []
    assert len(Judge([ValueRule("JobCreatedTime", "date")]).compare(odd, odd)) == 1


def test_what_is_expected_now_may_be_written_otherwise() -> None:
    judge = Judge(translate={TOKEN: OTHER})
    shouted = message(
        ANSWER.replace(f"<dsp:JobToken>{TOKEN}", f"<dsp:JobToken>{{{OTHER.upper()}}}").replace(TOKEN, OTHER)
    )
    assert told(judge.compare(RECORDED, shouted)) == []
    # An address that is known is still the peer's own.
    anonymous = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    moved = Judge(translate={anonymous: "http://127.0.0.1:9/"})
    assert told(moved.compare(RECORDED, changed(anonymous, "http://127.0.0.1:9/x"))) == []
    assert [one.expected for one in moved.compare(RECORDED, changed(anonymous, "x"))] == [None]


def test_an_attribute_that_says_what_holds_without_it_may_be_missing() -> None:
    def of(attribute: str) -> Message:
        start = ANSWER.partition("<soap:Body>")[0]
        return message(
            f'{start}<soap:Body><s:CreateScanJobRequest xmlns:s="{WSCN}"><s:ScanTicket><s:DocumentParameters>'
            f"<s:Format{attribute}>jfif</s:Format></s:DocumentParameters></s:ScanTicket></s:CreateScanJobRequest>"
            "</soap:Body></soap:Envelope>"
        )

    for said in (' s:MustHonor="false"', ' s:MustHonor="0"', ' MustHonor=" false "'):
        assert told(Judge().compare(of(said), of(""))) == []
        assert told(Judge().compare(of(""), of(said))) == []
    assert [one[0] for one in told(Judge().compare(of(""), of(' s:MustHonor="true"')))] == ["unexpected"]


def test_an_answer_relates_to_what_was_asked_in_this_run() -> None:
    asked, now = "urn:uuid:22222222-0000-4000-8000-000000000001", "urn:uuid:44444444-0000-4000-8000-000000000001"
    judge = Judge(translate={asked: now})
    assert judge.compare(RECORDED, changed(asked, now)) == []
    assert told(judge.compare(RECORDED, RECORDED)) == [("body", "Header/RelatesTo", asked, asked)]


def test_a_number_that_is_handed_out_is_held_against_this_run() -> None:
    def of(number: int) -> Message:
        start = ANSWER.partition("<soap:Body>")[0]
        body = f'<s:CreateScanJobResponse xmlns:s="{WSCN}"><s:JobId>{number}</s:JobId></s:CreateScanJobResponse>'
        return message(f"{start}<soap:Body>{body}</soap:Body></soap:Envelope>")

    judge = Judge(translate={"3": "17"})
    assert told(judge.compare(of(3), of(17))) == []
    assert [one.expected for one in judge.compare(of(3), of(4))] == ["17"]
    assert told(Judge().compare(of(3), of(4))) == []


def test_a_number_is_not_taken_for_a_value_that_looks_like_it() -> None:
    assert Judge(translate={"3": "17"}).compare(RECORDED, RECORDED) == []


def test_the_peers_addresses_are_its_own() -> None:
    form = (
        '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:wse="http://schemas.xmlsoap.org/ws/2004/08/eventing"><soap:Body><wse:SubscribeResponse>'
        "<wse:SubscriptionManager><wsa:Address>{address}</wsa:Address><wsa:ReferenceParameters>"
        "<wse:Identifier>{name}</wse:Identifier></wsa:ReferenceParameters></wse:SubscriptionManager>"
        "<wse:Expires>{expires}</wse:Expires></wse:SubscribeResponse></soap:Body></soap:Envelope>"
    )

    def of(address: str = "http://192.0.2.9:5357/a", name: str = "urn:uuid:" + TOKEN, expires: str = "PT1H") -> Message:
        return message(form.format(address=address, name=name, expires=expires))

    judge = Judge()
    assert told(judge.compare(of(), of("http://bench:80/other", "urn:uuid:" + OTHER, "PT59M"))) == []
    own = [name + f'</wse:Identifier><v:Mark xmlns:v="urn:v">{name}</v:Mark><wse:Identifier>x' for name in "ab"]
    assert told(judge.compare(of(name=own[0]), of(name=own[1]))) == []
    wrong = judge.compare(of(), of("nowhere", "", "PT1M"))
    assert [(one.path.rpartition("/")[2], one.received) for one in wrong] == [
        ("Address", "nowhere"), ("Identifier", ""), ("Expires", "PT1M"),
    ]  # fmt: skip
    assert [one.received for one in judge.compare(of("urn:uuid:" + TOKEN), of())] == ["http://192.0.2.9:5357/a"]


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_a_flood_of_differences_is_cut_and_counted() -> None:
    flood = "".join(f"<v:Odd>{number}</v:Odd>" for number in range(5000))
    found = Judge().compare(RECORDED, changed("<v:Extra", flood + "<v:Extra"))
    assert len(found) == MAX_DIFFERENCES + 1
    assert found[-1].text == "4900 more differences, which are not listed"


def nest(depth: int, value: str) -> str:
    inner = f"<v:N>{value}</v:N>"
    for _ in range(depth):
        inner = f"<v:N>{inner}<v:N>{value}</v:N></v:N>"
    return inner


@pytest.mark.parametrize("wide", [True, False])
def test_hostile_shapes_take_no_time(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    from replay.player.elements import Elements

    plain = Elements._compare

    def counted(*given: object) -> object:
        nonlocal compared
        compared += 1
        return plain(*given)

    monkeypatch.setattr(Elements, "_compare", counted)
    shapes: list[Callable[[str], str]] = [
        lambda value: nest(30, value),
        lambda value: "".join(f"<v:G>{'<v:I>%s%d</v:I>' * 1 % (value, n) * 60}</v:G>" for n in range(60)),
    ]
    one, other = (changed("<v:Extra", shapes[wide](value) + "<v:Extra") for value in "ab")
    assert Judge().compare(one, other)
    assert compared < 70_000


@pytest.mark.parametrize(
    ("how", "good", "bad"),
    [
        ("ignore", "anything", None), ("any", "anything", ""), ("uuid", OTHER, "x"),
        ("date", "2026-01-01T00:00:00", "soon"), ("number", "17", "many"), ("number 1..20", "17", "21"),
        ("one of Completed|Aborted", "Aborted", "Canceled"), ("equal", "Completed", "Aborted"),
        ("url", "http://h/p", "h p"), ("text", "x", ""),
    ],
)  # fmt: skip
def test_rules_of_a_scenario(how: str, good: str, bad: str | None) -> None:
    path = "JobStatus/JobCreatedTime" if how == "date" else "*/JobState"
    old = "2026-11-23T10:00:00.000" if how == "date" else "Completed</dsp:JobState>"
    judge = Judge([ValueRule(path, how)])
    end = "" if how == "date" else "</dsp:JobState>"
    assert told(judge.compare(RECORDED, changed(old, good + end))) == []
    if bad is not None:
        assert len(judge.compare(RECORDED, changed(old, bad + end))) == 1


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("FilterStatus[2]", 0), ("FilterStatus", 0), ("FilterStatuses/**", 0), ("FilterStatus[1]", 1),
        ("FilterStatus/FilterState", 1),
    ],
)  # fmt: skip
def test_what_is_ignored_may_be_missing_or_new(path: str, left: int) -> None:
    judge = Judge([ValueRule(path, "ignore")])
    assert len(judge.compare(RECORDED, changed(FILTERS[1], ""))) == left
    assert len(judge.compare(changed(FILTERS[1], ""), RECORDED)) == left


def test_any_for_an_element_with_elements_is_about_all_in_it() -> None:
    judge = Judge([ValueRule("Extra", "any")])
    assert told(judge.compare(RECORDED, changed(">x<", ">y<"))) == []
    assert [one.what for one in judge.compare(RECORDED, changed('level="1"', 'level="2"'))] == ["body"]
