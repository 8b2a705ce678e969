"""Content models against what is there."""

from __future__ import annotations

import pytest
from lxml import etree

from dissector.catalog import check, decode
from dissector.catalog.check import MOST
from tests.support.wsd import DSC, DSP, PSP, WSCN, XOP

PREFIXES = f'xmlns:dsp="{DSP}" xmlns:dsc="{DSC}" xmlns:w="{WSCN}" xmlns:psp="{PSP}" xmlns:xop="{XOP}" xmlns:v="urn:v"'


def judge(text: str) -> list[tuple[str, str]]:
    root = etree.fromstring(f"<Body {PREFIXES}>{text}</Body>")[0]
    return [(finding.rule, finding.path or "") for finding in check(decode(root))]


TOKEN = "<dsp:JobToken>0c349cb0-59ed-4d02-b6d5-ebc729c73830</dsp:JobToken>"
DESCRIPTION = (
    "<dsp:DocumentDescription><dsp:DocumentId>1</dsp:DocumentId><dsp:Format>jfif</dsp:Format></dsp:DocumentDescription>"
)
IMAGE = '<dsp:ImageData><xop:Include href="cid:x"/></dsp:ImageData>'


@pytest.mark.parametrize(
    ("inner", "rules"),
    [
        (TOKEN + DESCRIPTION + IMAGE, []),
        (TOKEN + IMAGE, ["content.missing"]),
        (DESCRIPTION + TOKEN + IMAGE, ["content.order"]),
        (TOKEN * 2 + DESCRIPTION + IMAGE, ["content.many"]),
        (TOKEN + DESCRIPTION + IMAGE + "<v:More/>", ["content.foreign"]),
        (TOKEN + DESCRIPTION + "<dsp:ImageData/>", ["content.missing"]),
        (TOKEN + DESCRIPTION + "<dsp:ImageData>AAEC</dsp:ImageData>", []),
        ("", ["content.missing"] * 3),
    ],
)
def test_send_image(inner: str, rules: list[str]) -> None:
    assert [rule for rule, _ in judge(f"<dsp:SendImageRequest>{inner}</dsp:SendImageRequest>")] == rules


SIZE = "<w:InputMediaSize><w:Width>1</w:Width><w:Height>1</w:Height></w:InputMediaSize>"
TWO_SIZES = f"<w:InputSize><w:DocumentSizeAutoDetect>1</w:DocumentSizeAutoDetect>{SIZE}</w:InputSize>"


@pytest.mark.parametrize(
    ("inner", "rules"),
    [
        ("<w:InputSize><w:DocumentSizeAutoDetect>1</w:DocumentSizeAutoDetect></w:InputSize>", []),
        ("<w:InputSize/>", ["content.choice"]),
        (TWO_SIZES, ["content.choice"]),
        ("<w:InputSource>ADF</w:InputSource><w:Format>jfif</w:Format>", ["content.order"]),
        ("<v:Anything/>", []),
        ("<w:Scaling><w:ScalingWidth>100</w:ScalingWidth></w:Scaling>", ["content.missing"]),
    ],
)
def test_ticket(inner: str, rules: list[str]) -> None:
    text = (
        "<w:ValidateScanTicketRequest><w:ScanTicket><w:JobDescription><w:JobName>n</w:JobName>"
        "<w:JobOriginatingUserName>u</w:JobOriginatingUserName></w:JobDescription>"
        f"<w:DocumentParameters>{inner}</w:DocumentParameters></w:ScanTicket></w:ValidateScanTicketRequest>"
    )

    assert [rule for rule, _ in judge(text)] == rules


def test_lists_that_may_and_may_not_be_empty() -> None:
    assert judge("<dsc:GetActiveJobsResponse><dsc:ActiveJobs/></dsc:GetActiveJobsResponse>") == []
    assert judge("<dsc:GetActiveJobsResponse/>") == [("content.missing", "GetActiveJobsResponse")]
    found = judge(
        "<dsc:GetRepositoryElementsRequest><dsc:RequestedElements/></dsc:GetRepositoryElementsRequest>"
    )  # fmt: skip
    assert found == [("content.empty", "GetRepositoryElementsRequest/RequestedElements")]


def test_order_that_no_source_tells_is_not_judged() -> None:
    text = (
        "<w:ScannerElementsChangeEvent><w:ElementChanges><w:DefaultScanTicket><w:JobDescription><w:JobName/>"
        "<w:JobOriginatingUserName/></w:JobDescription></w:DefaultScanTicket><w:ScannerDescription><w:ScannerName/>"
        "</w:ScannerDescription></w:ElementChanges></w:ScannerElementsChangeEvent>"
    )

    assert judge(text) == []


def test_an_answer_that_is_not_valid_has_no_section() -> None:
    text = (
        '<dsc:GetPostScanJobElementsResponse><dsc:JobElements><dsc:ElementData dsc:Name="v:X" dsc:Valid="false"/>'
        "</dsc:JobElements></dsc:GetPostScanJobElementsResponse>"
    )

    assert judge(text) == []


def test_no_more_is_told_of_one_body_than_people_read() -> None:
    jobs = "<w:JobSummary/>" * 500
    found = judge(f"<w:GetActiveJobsResponse><w:ActiveJobs>{jobs}</w:ActiveJobs></w:GetActiveJobsResponse>")
    assert len(found) == MOST + 1
    assert {rule for rule, _ in found[:MOST]} == {"content.missing"}
    assert found[MOST] == ("content.more", "GetActiveJobsResponse")
    # Six are missing in each.
    few = "<w:JobSummary/>" * (MOST // 6)
    found = judge(f"<w:GetActiveJobsResponse><w:ActiveJobs>{few}</w:ActiveJobs></w:GetActiveJobsResponse>")
    assert {rule for rule, _ in found} == {"content.missing"}
