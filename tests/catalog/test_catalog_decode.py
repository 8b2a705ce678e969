"""Elements → fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from lxml import etree

from dissector.base.limits import Limits
from dissector.catalog import DateTime, Field, decode, decode_all, findings_of
from dissector.catalog.plans import REMEMBERED
from dissector.soap.model import QName
from tests.support.strategies import trees
from tests.support.wsd import DSC, DSD, DSP, PSP, WSA, WSCN, WSD, WSE, XOP

ACME = "http://acme.example/wsd"
PREFIXES = (
    f'xmlns:dsp="{DSP}" xmlns:dsc="{DSC}" xmlns:dsd="{DSD}" xmlns:w="{WSCN}" xmlns:psp="{PSP}" xmlns:a="{WSA}" '
    f'xmlns:d="{WSD}" xmlns:e="{WSE}" xmlns:xop="{XOP}" xmlns:acme="{ACME}" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def read(text: str, **more: Any) -> Field:
    """Decode a body element whose prefixes are the ones above."""
    root = etree.fromstring(f"<Envelope {PREFIXES}><Body>{text}</Body></Envelope>")
    return decode(root[0][0], **more)


def rules(field: Field) -> list[str]:
    return [finding.rule for finding in findings_of(field)]


END = """
<dsp:PostScanJobEndStateEvent>
  <dsp:PostScanJobEndState>
    <dsp:JobToken> 0c349cb0-59ed-4d02-b6d5-ebc729c73830 </dsp:JobToken>
    <dsp:PSP_Identifier>614655A4-38A5-46C4-B768-B6329EC5F318</dsp:PSP_Identifier>
    <dsp:PSP_DisplayName>To the archive</dsp:PSP_DisplayName>
    <dsp:JobOriginatingUserName>anna@example.com</dsp:JobOriginatingUserName>
    <dsp:JobCompletedState>
        Completed
    </dsp:JobCompletedState>
    <dsp:JobCompletedStateReasons>
      <dsp:JobStateReason>PostScanJobCompletedWithWarnings</dsp:JobStateReason>
    </dsp:JobCompletedStateReasons>
    <dsp:FilterCompletedStatuses>
      <dsp:FilterStatus>
        <dsp:Dialect>http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/email</dsp:Dialect>
        <dsp:FilterState>CompletedWithWarnings</dsp:FilterState>
      </dsp:FilterStatus>
      <dsp:FilterStatus>
        <dsp:Dialect>http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/fileshare</dsp:Dialect>
        <dsp:FilterState>CompletedSuccessfully</dsp:FilterState>
      </dsp:FilterStatus>
    </dsp:FilterCompletedStatuses>
    <dsp:ImagesReceived>3</dsp:ImagesReceived>
    <dsp:JobCompletedTime>2009-04-28T18:37:19.519</dsp:JobCompletedTime>
  </dsp:PostScanJobEndState>
</dsp:PostScanJobEndStateEvent>"""


def test_a_completion_event() -> None:
    event = read(END.strip())

    assert rules(event) == []
    assert event.get("PostScanJobEndState/JobToken") == "0c349cb0-59ed-4d02-b6d5-ebc729c73830"
    assert event.get("PostScanJobEndState/JobCompletedState") == "Completed"
    assert event.get("PostScanJobEndState/ImagesReceived") == 3
    time = event.get("PostScanJobEndState/JobCompletedTime")
    assert isinstance(time, DateTime)
    assert time.zone is None
    state = event.find("PostScanJobEndState/JobCompletedState")
    assert state is not None
    assert state.text == "\n        Completed\n    "
    filters = event.find_all("PostScanJobEndState/FilterCompletedStatuses/FilterStatus")
    assert [one.get("FilterState") for one in filters] == ["CompletedWithWarnings", "CompletedSuccessfully"]
    assert [one.path for one in filters] == [
        "PostScanJobEndState/FilterCompletedStatuses/FilterStatus",
        "PostScanJobEndState/FilterCompletedStatuses/FilterStatus[2]",
    ]
    assert event.to_json()["post_scan_job_end_state"]["filter_completed_statuses"]["filter_status"][1] == {
        "dialect": "http://schemas.microsoft.com/windows/2007/10/imaging/postscan/filter/fileshare",
        "filter_state": "CompletedSuccessfully",
    }


def test_index_is_the_position_in_the_document() -> None:
    root = etree.fromstring(
        f"<Envelope {PREFIXES}><!-- one --><Header><a:To/><a:Action/></Header><Body><?pi x?><dsp:EndPostScanJobRequest>"
        "<!-- two --><dsp:JobToken/></dsp:EndPostScanJobRequest></Body></Envelope>"
    )

    body = decode(root[2][1])

    everything = list(root.iter("*"))
    assert everything[body.index].tag == f"{{{DSP}}}EndPostScanJobRequest"
    assert everything[body.children[0].index].tag == f"{{{DSP}}}JobToken"
    assert decode(root[1][1]).index == 3
    assert decode(root[2][1], index=40).children[0].index == 41


def test_comments_do_not_split_a_value() -> None:
    field = read("<w:CancelJobRequest><w:JobId>1<!-- x -->2<?y?>3</w:JobId></w:CancelJobRequest>")

    assert field.get("JobId") == 123


def test_names_mean_what_their_parent_says() -> None:
    field = read(
        "<w:GetScannerElementsResponse><w:ScannerElements>"
        '<w:ElementData w:Name="w:ScannerStatus" Valid="1"><w:ScannerStatus><w:ActiveConditions>'
        '<w:DeviceCondition Id="7"><w:Name>CoverOpen</w:Name></w:DeviceCondition>'
        "</w:ActiveConditions></w:ScannerStatus></w:ElementData>"
        "</w:ScannerElements></w:GetScannerElementsResponse>"
    )

    assert rules(field) == []
    data = field.find("ScannerElements/ElementData")
    assert data is not None
    assert data.decl is not None
    assert data.decl.key == "wscn:ElementData@scanner"
    assert data.attributes == {"Name": (QName(WSCN, "ScannerStatus", "w"), "w:ScannerStatus"), "Valid": (True, "1")}
    condition = data.find("ScannerStatus/ActiveConditions/DeviceCondition")
    assert condition is not None
    assert condition.attributes["Id"] == (7, "7")
    assert condition.children[0].decl is not None
    assert condition.children[0].decl.key == "wscn:Name@condition"


def test_qnames_are_resolved_where_they_stand() -> None:
    field = read(
        '<d:ProbeMatches><d:ProbeMatch><d:Types xmlns:w="urn:other" xmlns:p="http://schemas.xmlsoap.org/ws/2006/02/'
        'devprof">p:Device w:Thing</d:Types></d:ProbeMatch></d:ProbeMatches>'
    )

    assert [str(name) for name in field.get("ProbeMatch/Types")] == [
        "{http://schemas.xmlsoap.org/ws/2006/02/devprof}Device",
        "{urn:other}Thing",
    ]


def test_misspelt_namespaces_in_qnames_are_mended() -> None:
    field = read(
        '<w:GetJobElementsRequest xmlns:s="https://schemas.microsoft.com/windows/2006/01/wdp/scan"><w:RequestedElements>'
        "<w:Name>s:JobStatus</w:Name><w:Name>acme:Toner</w:Name><w:Name>w:Nonsense</w:Name><w:Name>JobStatus</w:Name>"
        "</w:RequestedElements></w:GetJobElementsRequest>"
    )

    names = field.find_all("RequestedElements/Name")
    assert names[0].value == QName(WSCN, "JobStatus", "s")
    assert [one.vendor for one in names] == [False, True, False, False]
    assert rules(field) == ["value.vendor", "value.enum"]


@pytest.mark.parametrize(
    ("body", "found", "vendor"),
    [
        ("<dsp:JobState>Started</dsp:JobState>", [], False),
        ("<dsp:JobState>acme:Parked</dsp:JobState>", ["value.vendor"], True),
        ("<dsp:JobState>Resting</dsp:JobState>", ["value.enum"], True),
        ("<dsp:JobState>processing</dsp:JobState>", ["value.spelling"], False),
        ("<dsp:JobState></dsp:JobState>", ["value.enum"], False),
        ("<dsp:JobToken>job 7</dsp:JobToken>", ["value.type"], False),
        ("<dsp:ImagesReceived>-1</dsp:ImagesReceived>", ["value.range"], False),
        ("<dsp:ImagesReceived>many</dsp:ImagesReceived>", ["value.type"], False),
        ("<dsp:JobCreatedTime>yesterday</dsp:JobCreatedTime>", ["value.type"], False),
        ("<dsp:JobCreatedTime>0001-01-01T00:00:00</dsp:JobCreatedTime>", [], False),
        ('<dsp:JobState xsi:nil="true"/>', [], False),
        ("<dsp:PSP_Identifer>x</dsp:PSP_Identifer>", ["element.spelling", "value.type"], False),
        ("<dsp:ScanTicket/>", ["element.unknown"], False),
        ("<acme:Ink>low</acme:Ink>", ["element.vendor"], True),
        ("<dsp:DocumentId>1</dsp:DocumentId>", ["element.misplaced"], False),
        ("<dsc:JobState>Started</dsc:JobState>", ["element.namespace"], False),
        ("<JobState>Started</JobState>", ["element.namespace"], False),
    ],
)
def test_values_and_names_of_a_job_status(body: str, found: list[str], vendor: bool) -> None:
    field = read(f"<dsp:PostScanJobStatusEvent><dsp:JobStatus>{body}</dsp:JobStatus></dsp:PostScanJobStatusEvent>")

    child = field.children[0].children[0]
    assert (found, vendor) == (rules(field), child.vendor)
    assert child.text in body


def test_reasons_of_filters_are_known_in_both_spellings() -> None:
    text = (
        "<{0}:PostScanJobStatusEvent><{0}:JobStatus><{0}:FilterStatuses><{0}:FilterStatus><{0}:FilterStateReasons>"
        "<{0}:FilterStateReason>SharePointAccessDenied</{0}:FilterStateReason>"
        "<{0}:FilterStateReason>SharepointAccessDenied</{0}:FilterStateReason>"
        "</{0}:FilterStateReasons></{0}:FilterStatus></{0}:FilterStatuses></{0}:JobStatus></{0}:PostScanJobStatusEvent>"
    )

    assert [rules(read(text.format(prefix))) for prefix in ("dsp", "dsc")] == [["value.spelling"]] * 2


def test_a_value_where_none_may_be_added_is_still_shown() -> None:
    field = read(
        "<w:JobEndStateEvent><w:JobEndState><w:JobCompletedState>acme:Lost</w:JobCompletedState></w:JobEndState>"
        "</w:JobEndStateEvent>"
    )

    assert field.get("JobEndState/JobCompletedState") == "acme:Lost"
    assert "allows none" in next(findings_of(field)).text
    assert next(findings_of(field)).path == "JobEndStateEvent/JobEndState/JobCompletedState"


def test_a_vendors_format_looks_like_a_media_type() -> None:
    field = read(
        "<dsp:SendImageRequest><dsp:DocumentDescription><dsp:Format>image/webp</dsp:Format></dsp:DocumentDescription>"
        "</dsp:SendImageRequest>"
    )

    assert rules(field) == ["value.vendor"]


def test_vendor_elements_are_kept_whole() -> None:
    field = read(
        "<dsp:PostScanJobStatusEvent><dsp:JobStatus><dsp:JobState>Started</dsp:JobState>"
        '<acme:JobState level="2">warm</acme:JobState><acme:Box><acme:Inner/><w:JobId>4</w:JobId></acme:Box>'
        "</dsp:JobStatus></dsp:PostScanJobStatusEvent>"
    )

    status = field.children[0]
    assert [(child.key, child.vendor) for child in status.children] == [
        ("job_state", False),
        ("job_state_vendor", True),
        ("box", True),
    ]
    assert status.get("JobState") == "Started"
    assert status.to_json() == {
        "job_state": "Started",
        "job_state_vendor": "warm",
        "job_state_vendor@level": "2",
        "box": {"inner": "", "job_id": 4},
    }
    assert rules(field) == ["element.vendor", "element.vendor"]


def test_ws_dsd_changes_the_namespace_inside_and_either_is_read() -> None:
    inner = "<{0}:JobId>253</{0}:JobId><{0}:JobState>Processing</{0}:JobState>"
    texts = [
        f"<dsd:JobStatusEvent><{first}:JobStatus>{inner.format(second)}</{first}:JobStatus></dsd:JobStatusEvent>"
        for first in ("dsd", "w")
        for second in ("w", "dsd")
    ]

    fields = [read(text) for text in texts]

    assert [field.get("JobStatus/JobId") for field in fields] == [253] * 4
    assert [rules(field) for field in fields] == [[]] * 4


def test_versions_of_addressing_stand_for_one_another() -> None:
    field = read(
        '<e:SubscribeResponse xmlns:b="http://www.w3.org/2005/08/addressing"><e:SubscriptionManager>'
        "<b:Address>http://192.0.2.9/</b:Address><b:ReferenceParameters><e:Identifier>uuid:1</e:Identifier>"
        "<acme:Key>k</acme:Key></b:ReferenceParameters></e:SubscriptionManager><e:Expires>PT1H</e:Expires>"
        "</e:SubscribeResponse>"
    )

    assert rules(field) == ["element.vendor"]
    assert field.to_json() == {
        "subscription_manager": {
            "address": "http://192.0.2.9/",
            "reference_parameters": {"identifier": "uuid:1", "key": "k"},
        },
        "expires": "PT1H",
    }


def test_destinations_of_a_push_scan() -> None:
    field = read(
        "<e:Subscribe><e:Filter>http://a/One http://a/Two</e:Filter><w:ScanDestinations><w:ScanDestination>"
        "<w:ClientDisplayString>Desk</w:ClientDisplayString><w:ClientContext>Scan</w:ClientContext></w:ScanDestination>"
        "</w:ScanDestinations></e:Subscribe>"
    )

    assert rules(field) == ["element.spelling"]
    assert field.get("ScanDestinations/ScanDestination/ClientDisplayName") == "Desk"
    assert field.to_json() == {
        "filter": ["http://a/One", "http://a/Two"],
        "scan_destinations": {"scan_destination": [{"client_display_name": "Desk", "client_context": "Scan"}]},
    }


def test_binary_content_by_reference_and_in_place() -> None:
    around = "<w:RetrieveImageResponse><w:ScanData>{}</w:ScanData></w:RetrieveImageResponse>"

    assert read(around.format('<xop:Include href="cid:a%40b"/>')).to_json() == {
        "scan_data": {"include": {"@href": "cid:a%40b"}}
    }
    assert read(around.format("\nAAEC\n")).to_json() == {"scan_data": "AAEC"}


def test_lists_and_attributes_in_json() -> None:
    field = read(
        "<w:ScannerElementsChangeEvent><w:ElementChanges><w:ScannerDescription>"
        '<w:ScannerName xml:lang="en">Mary</w:ScannerName><w:ScannerInfo>third floor</w:ScannerInfo>'
        "</w:ScannerDescription></w:ElementChanges></w:ScannerElementsChangeEvent>"
    )

    assert field.to_json()["element_changes"]["scanner_description"] == {
        "scanner_name": [{"#text": "Mary", "@lang": "en"}],
        "scanner_info": [{"#text": "third floor"}],
    }
    ticket = read(
        '<w:ValidateScanTicketRequest><w:ScanTicket><w:DocumentParameters><w:Format w:MustHonor="true">jfif</w:Format>'
        '<w:InputSize w:MustHonor="0"/><w:Rotation xsi:nil="1"/></w:DocumentParameters></w:ScanTicket>'
        "</w:ValidateScanTicketRequest>"
    )
    assert ticket.to_json()["scan_ticket"]["document_parameters"] == {
        "format": "jfif",
        "format@must_honor": True,
        "input_size": {"@must_honor": False},
        "rotation": None,
    }


def test_what_may_repeat_is_a_list_even_once_and_what_repeats_wrongly_too() -> None:
    field = read(
        "<dsc:GetActiveJobsResponse><dsc:ActiveJobs><dsc:JobSummary><dsc:ImagesReceived>1</dsc:ImagesReceived>"
        "<dsc:ImagesReceived>2</dsc:ImagesReceived></dsc:JobSummary></dsc:ActiveJobs></dsc:GetActiveJobsResponse>"
    )

    assert field.to_json() == {"active_jobs": {"job_summary": [{"images_received": [1, 2]}]}}


def test_empty_elements_with_known_children_are_objects() -> None:
    assert read("<dsc:GetActiveJobsResponse/>").to_json() == {}
    assert read("<dsc:GetActiveJobsResponse>eh</dsc:GetActiveJobsResponse>").to_json() == {"#text": "eh"}
    assert read("<dsc:GetActiveJobsResponse><dsc:ActiveJobs/></dsc:GetActiveJobsResponse>").to_json() == {
        "active_jobs": {}
    }


def test_required_attributes() -> None:
    field = read(
        "<dsc:GetPostScanJobElementsResponse><dsc:JobElements><dsc:ElementData dsc:Valid='true'/></dsc:JobElements>"
        "</dsc:GetPostScanJobElementsResponse>"
    )

    assert [finding.text for finding in findings_of(field)] == ["ElementData has no attribute Name"]


def test_header_blocks() -> None:
    root = etree.fromstring(
        f'<Envelope {PREFIXES}><Header><d:AppSequence InstanceId="77" MessageNumber="x" acme:n="1"/>'
        '<a:MessageId>uuid:1</a:MessageId><acme:Trace acme:mustUnderstand="1">t</acme:Trace></Header></Envelope>'
    )
    sequence, message_id, trace = decode_all(root[0])

    assert [block.index for block in (sequence, message_id, trace)] == [2, 3, 4]
    assert sequence.attributes["InstanceId"] == (77, "77")
    assert rules(sequence) == ["value.type"]
    assert (message_id.key, rules(message_id)) == ("message_id", ["element.spelling"])
    assert (trace.vendor, trace.value, trace.decl) == (True, "t", None)


def test_a_body_in_an_odd_namespace_is_odd_once() -> None:
    odd = "http://schemas.microsoft.com/windows/2031/01/wdp/scan"
    field = read(
        f'<o:CancelJobRequest xmlns:o="{odd}"><o:JobId>7</o:JobId></o:CancelJobRequest>',
        qname=QName(WSCN, "CancelJobRequest"),
    )

    assert field.get("JobId") == 7
    assert rules(field) == []
    assert field.namespace == odd


def test_nesting_is_bounded() -> None:
    deep = "<acme:X>" * 50 + "</acme:X>" * 50
    field = read(f"<dsp:SendImageResponse>{deep}</dsp:SendImageResponse>", limits=Limits(xml_depth=10))

    assert "element.depth" in rules(field)
    depth = 0
    while field.children:
        field, depth = field.children[0], depth + 1
    assert depth == 10


def test_long_names_do_not_make_longer_paths() -> None:
    name = "x" * 300
    field = read("<dsp:SendImageResponse>" + f"<{name}>" * 20 + f"</{name}>" * 20 + "</dsp:SendImageResponse>")

    paths = []
    while field.children:
        field = field.children[0]
        paths.append(len(field.path))
    assert max(paths) < 1600


def test_ever_new_names_do_not_fill_the_memory() -> None:
    from dissector.catalog import plans

    names = "".join(f"<acme:N{number}/>" for number in range(REMEMBERED + 50))
    field = read(f"<dsp:SendImageResponse>{names}</dsp:SendImageResponse>")

    assert len(field.children) == REMEMBERED + 50
    assert len(plans.element_plan("dsp:SendImageResponse")._edges) <= REMEMBERED


def build_tree(tree: Any, parent: Any) -> None:
    tag, text, attributes, children = tree
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    for child in children:
        build_tree(child, element)


@settings(max_examples=100, deadline=None)
@given(trees())
def test_known_names_in_wrong_places_never_raise(tree: Any) -> None:
    root = etree.Element("Body", nsmap={"wscn": WSCN})
    build_tree(tree, root)

    field = decode(root[0])

    indexes = []

    def walk(one: Field) -> None:
        indexes.append(one.index)
        one.to_json()
        for child in one.children:
            walk(child)

    walk(field)
    assert indexes == list(range(1, 1 + len(list(root[0].iter("*")))))
    assert all(finding.path for finding in findings_of(field))
