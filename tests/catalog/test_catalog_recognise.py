"""Body element and action → message."""

from __future__ import annotations

import pytest

from dissector.catalog import canonical_action, recognise
from dissector.soap.model import QName
from tests.support.wsd import DSC, DSD, DSP, SOAP, WSA, WSCN, WSD, WSE, WSX, WXF

END = "PostScanJobEndStateEvent"
OLD_DSP = "http://schemas.microsoft.com/windows/2008/02/wdp/repository/processing"


@pytest.mark.parametrize(
    ("namespace", "body", "action", "response", "expected"),
    [
        (DSP, "SendImageRequest", f"{DSP}/SendImage", None, "WS-DSP SendImageRequest body"),
        (DSP, "SendImageResponse", f"{DSP}/SendImageResponse", None, "WS-DSP SendImageResponse body"),
        (DSP, "SendImageRequest", None, None, "WS-DSP SendImageRequest body"),
        (DSP, "SendImageRequest", f" {DSP}/SendImage\n", None, "WS-DSP SendImageRequest body"),
        # The namespace tells the four services apart, whatever the action says.
        (DSP, END, f"{DSP}/{END}", None, f"WS-DSP {END} body"),
        (DSP, END, f"{DSC}/{END}", None, f"WS-DSP {END} body"),
        (DSC, END, f"{DSC}/{END}", None, f"WS-DSC {END} body"),
        (WSCN, "JobStatusEvent", f"{WSCN}/JobStatusEvent", None, "WS-Scan JobStatusEvent body"),
        (DSD, "JobStatusEvent", f"{WSCN}/JobStatusEvent", None, "WS-DSD JobStatusEvent body"),
        (DSD, "JobStatusEvent", f"{DSD}/JobStatusEvent", None, "WS-DSD JobStatusEvent body"),
        (DSD, "GetActiveJobsRequest", f"{WSCN}/GetActiveJobs", None, "WS-DSD GetActiveJobsRequest body"),
        (DSC, "GetActiveJobsRequest", f"{DSC}/GetActiveJobs", None, "WS-DSC GetActiveJobsRequest body"),
        # Responses with the action of their request.
        (WSCN, "RetrieveImageResponse", f"{WSCN}/RetrieveImage", None, "WS-Scan RetrieveImageResponse body"),
        # Other spellings.
        (WSCN, "GetJobElements", f"{WSCN}/GetJobElements", None, "WS-Scan GetJobElementsRequest body"),
        (DSC, "GetJobsHistoryRequest", f"{DSC}/GetJobHistory", None, "WS-DSC GetJobHistoryRequest body"),
        (DSP, "GetPostScanJobElementRequest", None, None, "WS-DSP GetPostScanJobElementsRequest body"),
        (DSD, "ScannerElementsChangedEvent", None, None, "WS-DSD ScannerElementsChangeEvent body"),
        # One body, two messages.
        (WSX, "Metadata", f"{WXF}/GetResponse", None, "WS-Transfer GetResponse body"),
        (WSX, "Metadata", f"{WSX}/GetMetadata/Response", None, "WS-MetadataExchange GetMetadataResponse body"),
        (WSX, "Metadata", None, True, "WS-Transfer GetResponse body"),
        # Empty bodies.
        (None, None, f"{WXF}/Get", False, "WS-Transfer Get action"),
        (None, None, f"{WSE}/UnsubscribeResponse", True, "WS-Eventing UnsubscribeResponse action"),
        (None, None, None, True, "None action"),
        (None, None, "http://elsewhere.example/Do", None, "None action"),
        # A Body that may hold anything.
        ("urn:any", "Thing", f"{WXF}/Put", False, "WS-Transfer Put action"),
        # Other protocols.
        ("http://docs.oasis-open.org/wsn/b-2", "Subscribe", None, None, "None action"),
        ("urn:any", "Hello", "urn:any/Hello", None, "None action"),
        (WSD, "Hello", f"{WSD}/Hello", None, "WS-Discovery Hello body"),
        (WSD, "ProbeMatches", f"{WSD}/ProbeMatches", True, "WS-Discovery ProbeMatches body"),
    ],
)  # fmt: skip
def test_without_contradiction(
    namespace: str | None, body: str | None, action: str | None, response: bool | None, expected: str
) -> None:
    name = QName(namespace or "", body) if body else None

    found = recognise(name, action, is_fault=False, is_response=response)

    said = f"{found.message.service} {found.message.name}" if found.message else "None"
    assert (expected, ()) == (f"{said} {found.by}", found.findings)


@pytest.mark.parametrize(
    ("name", "action", "expected", "rule"),
    [
        (QName(DSP, "EndPostScanJobRequest"), f"{DSP}/SendImage", "EndPostScanJobRequest", "soap.action-mismatch"),
        (QName(DSP, "EndPostScanJobRequest"), "urn:other", "EndPostScanJobRequest", "soap.action-mismatch"),
        (QName(DSC, "SendImageRequest"), f"{DSP}/SendImage", "SendImageRequest", "soap.body-namespace"),
        (QName(DSC, "SendImageRequest"), None, "SendImageRequest", "soap.body-namespace"),
        (QName("urn:odd", "CancelJobRequest"), f"{WSCN}/CancelJob", "CancelJobRequest", "soap.body-namespace"),
        (
            QName("http://schemas.microsoft.com/windows/2031/01/wdp/scan", "CancelJobRequest"),
            None,
            "CancelJobRequest",
            "soap.body-namespace",
        ),
        (QName(DSP, "Nonsense"), f"{DSP}/SendImage", "SendImageRequest", "soap.body-unknown"),
        (None, f"{DSP}/SendImage", "SendImageRequest", "soap.body-unknown"),
        (
            QName(DSP, "SendImageRequest"),
            f"{OLD_DSP}/SendImage",
            "SendImageRequest",
            "soap.action-spelling",
        ),
        (
            QName(WSCN, "CancelJobRequest"),
            "https://schemas.microsoft.com/windows/2006/01/wdp/scan/CancelJob",
            "CancelJobRequest",
            "soap.action-spelling",
        ),
    ],
)
def test_with_a_finding(name: QName | None, action: str | None, expected: str, rule: str) -> None:
    found = recognise(name, action, is_fault=False, is_response=None)

    assert found.message is not None
    assert (expected, [rule]) == (found.message.name, [finding.rule for finding in found.findings])


def test_an_operation_of_ws_scan_under_ws_dsd_is_named_ws_scan() -> None:
    found = recognise(QName(DSD, "CreateScanJobRequest"), None)

    assert found.message is not None
    assert found.message.service == "WS-Scan"


def test_an_empty_body_is_a_request_or_response_by_its_way() -> None:
    action = f"{WSCN}/CancelJob"

    names = [found.message and found.message.name for found in (
        recognise(None, action, is_response=False), recognise(None, action, is_response=True))]  # fmt: skip

    assert names == ["CancelJobRequest", "CancelJobResponse"]


def test_faults() -> None:
    plain = recognise(QName(SOAP, "Fault"), f"{WSA}/fault", is_fault=True)
    odd = recognise(QName(SOAP, "Fault"), f"{WSCN}/RetrieveImageResponse", is_fault=True)

    assert plain.message is not None
    assert (plain.message.kind, plain.by, plain.findings) == ("fault", "fault", ())
    assert [finding.rule for finding in odd.findings] == ["soap.fault-action"]


def test_canonical_actions() -> None:
    assert canonical_action("https://schemas.xmlsoap.org/ws/2004/09/mex/GetMetadata/Request")[0] == (
        f"{WSX}/GetMetadata/Request"
    )
    assert canonical_action("urn:x") == ("urn:x", None)
    assert canonical_action("") == ("", None)
