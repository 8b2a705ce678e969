"""Plain data → elements, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from dissector.base.errors import UsageError
from dissector.catalog import ELEMENTS, build, check, decode, element_of, findings_of, message
from dissector.catalog.times import parse_date_time
from dissector.soap.model import QName
from tests.support.strategies import content
from tests.support.wsd import DSP, WSCN

BODIES = sorted(key for key, decl in ELEMENTS.items() if "soap:Body" in decl.parents)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.sampled_from(BODIES).flatmap(lambda key: st.tuples(st.just(key), content(ELEMENTS[key]))))
def test_what_is_built_is_read_back(pair: tuple[str, Any]) -> None:
    key, data = pair

    element = build(key, data)
    again = decode(etree.fromstring(etree.tostring(element)))

    assert again.to_json() == data
    assert list(findings_of(again)) == []
    assert check(again) == []
    assert decode(element_of(again)).to_json() == data


def test_order_and_prefixes_are_the_catalogues() -> None:
    element = build(
        "PostScanJobStatusEvent",
        {
            "job_status": {
                "job_created_time": parse_date_time("2009-04-28T18:37:19.519"),
                "images_received": 1,
                "job_state": "Creating",
                "job_token": "0c349cb0-59ed-4d02-b6d5-ebc729c73830",
            }
        },
    )

    assert etree.tostring(element).decode() == (
        f'<dsp:PostScanJobStatusEvent xmlns:dsp="{DSP}"><dsp:JobStatus>'
        "<dsp:JobToken>0c349cb0-59ed-4d02-b6d5-ebc729c73830</dsp:JobToken><dsp:JobState>Creating</dsp:JobState>"
        "<dsp:ImagesReceived>1</dsp:ImagesReceived><dsp:JobCreatedTime>2009-04-28T18:37:19.519</dsp:JobCreatedTime>"
        "</dsp:JobStatus></dsp:PostScanJobStatusEvent>"
    )


def test_qnames_get_prefixes_that_are_declared() -> None:
    element = build(
        message("GetScannerElementsRequest", "WS-Scan") or "",
        {"requested_elements": {"name": [QName(WSCN, "ScannerStatus"), "{urn:v}Ink", QName("urn:w", "X", "vendor")]}},
    )

    assert [name.text for name in element[0]] == ["wscn:ScannerStatus", "ns1:Ink", "vendor:X"]
    assert element.nsmap == {"wscn": WSCN, "ns1": "urn:v", "vendor": "urn:w"}
    names = decode(etree.fromstring(etree.tostring(element))).find_all("RequestedElements/Name")
    assert [str(name.value) for name in names] == [f"{{{WSCN}}}ScannerStatus", "{urn:v}Ink", "{urn:w}X"]


def test_attributes_of_simple_elements() -> None:
    element = build(
        "wscn:DocumentParameters", {"format": "jfif", "format@must_honor": True, "input_size": {"@must_honor": False}}
    )

    assert element[0].attrib == {f"{{{WSCN}}}MustHonor": "true"}
    assert element[1].attrib == {f"{{{WSCN}}}MustHonor": "false"}


def test_vendor_elements_are_written_with_their_namespace() -> None:
    element = build(
        "dsp:JobStatus",
        {"job_state": "Started", "{urn:v}JobState": {"@level": 2, "#text": "warm", "{urn:v}Inner": ["a", "b"]}},
    )
    field = decode(etree.fromstring(etree.tostring(element)))

    assert [child.key for child in field.children] == ["job_state", "job_state_vendor"]
    assert [child.text for child in field.children[1].children] == ["a", "b"]
    assert etree.tostring(element_of(field), method="c14n") == etree.tostring(element, method="c14n")


def test_two_elements_of_one_json_name_are_told_by_namespace() -> None:
    profile = "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"
    element = build("wsx:MetadataSection", {f"{{{profile}}}ThisDevice": {"friendly_name": ["S"]}})

    assert element[0].tag == f"{{{profile}}}ThisDevice"
    assert element[0][0].text == "S"


def test_nil_and_empty() -> None:
    element = build("dsp:JobStatus", {"job_state": None, "job_token": "", "filter_statuses": {}})

    assert [(child.tag.rpartition("}")[2], child.text or "", len(child.attrib)) for child in element] == [
        ("JobToken", "", 0),
        ("JobState", "", 1),
        ("FilterStatuses", "", 0),
    ]
    assert decode(element).to_json() == {"job_token": "", "job_state": None, "filter_statuses": {}}


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("Nonsense", {}),
        (QName("urn:x", "Y"), {}),
        ("dsp:JobStatus", "text"),
        ("dsp:FilterStatuses", {"nonsense": 1}),
        ("dsp:JobStatus", {"@nonsense": 1}),
        ("dsp:JobStatus", {"job_token": "\x00"}),
        ("dsp:JobStatus", {"{urn:v}a b": "x"}),
        ("dsp:JobStatus", {"{urn:v}X": {"y": 1}}),
    ],
)
def test_misuse_is_told(what: Any, data: Any) -> None:
    with pytest.raises(UsageError):
        build(what, data)
