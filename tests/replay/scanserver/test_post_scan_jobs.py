"""Post-scan jobs as data: which state may follow which, what each service is shown, what the table remembers."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dissector.base.findings import Severity
from dissector.catalog import ENUMS, Field, build, check, decode, findings_of
from dissector.soap.namespaces import DSC, DSP
from replay.devices.scanserver.instructions import KINDS
from replay.devices.scanserver.jobs import (
    FINAL,
    Document,
    FilterState,
    JobTable,
    PostScanJob,
    clock_text,
    may_follow,
)

TIME = 1_700_000_000_123_456_789
TOKEN = "0f8c2a4e-0000-4000-8000-00000000000a"
STATES = ENUMS["dsc:JobState"].values


def job(token: str = TOKEN, **given: Any) -> PostScanJob:
    made = PostScanJob(
        token, "1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61", "Invoices", "anna@example.com", "S-1-5-21-1", "127.0.0.1", TIME,
        Path("/nowhere"), [FilterState(KINDS["fileshare"]), FilterState(KINDS["email"])],
    )  # fmt: skip
    for name, value in given.items():
        setattr(made, name, value)
    return made


def read(what: str, data: Any) -> Field:
    """What a peer reads of a plain form; nothing to find fault with."""
    field = decode(build(what, data))
    found = [*check(field), *findings_of(field)]
    assert [str(one) for one in found if one.severity in (Severity.ERROR, Severity.WARN)] == []
    return field


# -- states --------------------------------------------------------------------------------------------------------


def test_the_states_and_what_may_follow() -> None:
    """The edges of fact table dsc.yaml state_machines."""
    may = {before: {after for after in STATES if may_follow(before, after)} for before in STATES}
    ended = {"Terminating", "Canceled", "Aborted"}
    assert may == {
        "Creating": {"Pending", *ended},
        "Pending": {"Pending-Held", "Started", "Processing", *ended},
        "Pending-Held": {"Pending", *ended},
        "Started": {"Processing", *ended},
        "Processing": {"Completed", *ended},
        "Terminating": {"Canceled", "Aborted"},
        "Completed": set(),
        "Canceled": set(),
        "Aborted": set(),
    }
    assert {"Completed", "Canceled", "Aborted"} == FINAL
    assert not may_follow("vendor:Parked", "Completed")


def test_going_on_gives_reasons_and_never_goes_back() -> None:
    it = job()
    it.go("Terminating", ["PostScanJobCanceled"])
    assert (it.state, it.reasons) == ("Terminating", ["PostScanJobCanceled"])
    it.go("Aborted")
    assert it.reasons == ["None"]
    with pytest.raises(ValueError, match="from Aborted to Processing"):
        it.go("Processing")


@pytest.mark.parametrize(
    ("before", "after"),
    [("Processing", "Completed"), ("Creating", "Aborted"), ("Creating", "vendor:Parked"), ("Pending", "Canceled")],
)
def test_the_end_leaves_no_filter_open(before: str, after: str) -> None:
    it = job(state=before)
    it.filters[0].state = "CompletedSuccessfully"
    assert not it.over
    it.end(after, ["PostScanJobTimedOut"], TIME + 1)
    assert it.over
    assert (it.state, it.reasons, it.completed) == (after, ["PostScanJobTimedOut"], TIME + 1)
    assert [one.state for one in it.filters] == ["CompletedSuccessfully", "Canceled"]


def test_a_job_does_not_complete_out_of_nothing() -> None:
    with pytest.raises(ValueError, match="from Creating to Completed"):
        job().end("Completed", (), TIME)


def test_an_image_that_came_keeps_little() -> None:
    """Jobs of 10,000 images each, 200 at once, are allowed: two millions."""
    folder = Path("/nowhere")
    tracemalloc.start()
    try:
        made = [Document(at, "jfif", folder, 1000 + at, f"{at:064x}") for at in range(1000, 2000)]
        assert made[1].path == folder / "01001"
        assert all(os.fspath(one.path) for one in made)
        assert tracemalloc.get_traced_memory()[0] / len(made) < 300
    finally:
        tracemalloc.stop()


# -- plain forms ---------------------------------------------------------------------------------------------------


def test_times_have_milliseconds_and_no_zone() -> None:
    assert clock_text(TIME) == "2023-11-14T22:13:20.123"


@pytest.mark.parametrize("prefix", ["dsp", "dsc"])
def test_what_is_read_of_a_job(prefix: str) -> None:
    it = job(documents=[Document(7, "png", Path("/nowhere"), 9), Document(3, "tiff-single-g4", Path("/nowhere"), 9)])
    status = read(f"{prefix}:PostScanJobStatusEvent", {"job_status": it.status()}).find("JobStatus")
    assert status is not None
    assert (status.get("JobToken"), status.get("JobState"), status.get("ImagesReceived")) == (TOKEN, "Creating", 2)
    assert status.get("JobCompletedTime") is None
    assert [one.text for one in status.find_all("FilterStatuses/FilterStatus/FilterState")] == ["Pending", "Pending"]
    it.filters[0].state, it.filters[0].reasons = "CompletedWithErrors", ["FileShareAccessDenied", "UnknownError"]
    it.end("Aborted", ["PostScanJobProcessingFailed"], TIME)
    status = read(f"{prefix}:PostScanJobStatusEvent", {"job_status": it.status()}).find("JobStatus")
    assert status is not None
    assert status.get("JobCompletedTime").text == "2023-11-14T22:13:20.123"
    reasons = status.find_all("FilterStatuses/FilterStatus/FilterStateReasons/FilterStateReason")
    assert [one.text for one in reasons] == ["FileShareAccessDenied", "UnknownError"]
    end = read(f"{prefix}:PostScanJobEndStateEvent", {"post_scan_job_end_state": it.end_state()})
    inner = end.find("PostScanJobEndState")
    assert inner is not None
    assert inner.get("PSP_DisplayName") == "Invoices"
    assert inner.get("JobOriginatingUserName") == "anna@example.com"
    assert inner.get("JobCompletedStateReasons/JobStateReason") == "PostScanJobProcessingFailed"
    assert inner.get("ImagesReceived") == 2
    assert inner.get("JobCompletedTime").text == "2023-11-14T22:13:20.123"


def test_an_end_may_be_told_otherwise_than_it_was() -> None:
    it = job()
    it.end("Canceled", ["PostScanJobCanceled"], TIME)
    data = it.end_state("vendor:Parked", ["vendor:Late"])
    found = read("dsp:PostScanJobEndStateEvent", {"post_scan_job_end_state": data})
    assert found.get("PostScanJobEndState/JobCompletedState") == "vendor:Parked"
    assert found.get("PostScanJobEndState/JobCompletedStateReasons/JobStateReason") == "vendor:Late"
    assert it.state == "Canceled"


def test_a_summary_for_the_lists_of_the_control_point() -> None:
    found = read("dsc:GetActiveJobsResponse", {"active_jobs": {"job_summary": [job().summary()]}})
    assert found.get("ActiveJobs/JobSummary/JobToken") == TOKEN
    assert found.get("ActiveJobs/JobSummary/PSP_DisplayName") == "Invoices"


@pytest.mark.parametrize(("prefix", "namespace", "other"), [("dsp", DSP, DSC), ("dsc", DSC, DSP)])
def test_sections_come_as_they_were_asked_for(prefix: str, namespace: str, other: str) -> None:
    wanted = [
        ("", "Documents"), (namespace, "JobStatus"), ("urn:x", "JobStatus"), (other, "JobStatus"), (namespace, "X"),
    ]  # fmt: skip
    made = job(documents=[Document(1, "png", Path(), 1)]).sections(wanted, namespace)
    found = read(f"{prefix}:GetPostScanJobElementsResponse", {"job_elements": {"element_data": made}})
    data = found.find_all("JobElements/ElementData")
    assert [one.attributes["Valid"][0] for one in data] == [True, True, False, False, False]
    assert [str(one.attributes["Name"][0]) for one in data] == [
        f"{{{space or namespace}}}{local}" for space, local in wanted
    ]
    assert data[0].get("Documents/Document/DocumentDescription/Format") == "png"
    assert [len(one.children) for one in data] == [1, 1, 0, 0, 0]


def test_a_job_without_images_has_an_empty_list() -> None:
    made = job().sections([("", "Documents")], DSP)
    found = read("dsp:GetPostScanJobElementsResponse", {"job_elements": {"element_data": made}})
    assert found.find("JobElements/ElementData/Documents") is not None


# -- the table -----------------------------------------------------------------------------------------------------


def test_the_table_finds_jobs_however_their_token_is_written() -> None:
    table = JobTable()
    table.add(it := job())
    for token in (TOKEN, TOKEN.upper(), f"{{{TOKEN}}}", f"  {TOKEN}\n"):
        assert table.active(token) is it
        assert table.find(token) is it
    assert table.find("other") is None
    assert table.retire(it) == []
    assert table.active(TOKEN) is None
    assert table.find(TOKEN) is it


@pytest.mark.parametrize(("history", "kept"), [(2, 2), (1, 1), (0, 1)])
def test_the_table_is_full_and_forgets(history: int, kept: int) -> None:
    table = JobTable(active=3, history=history)
    jobs = [job(f"{number:08x}-0000-4000-8000-000000000000") for number in range(3)]
    for one in jobs:
        assert not table.full
        table.add(one)
    assert table.full
    forgotten = [gone for one in jobs for gone in table.retire(one)]
    assert forgotten == jobs[: 3 - kept]
    assert table.all_ended() == jobs[3 - kept :]
    assert (table.all_active(), table.ended, table.full) == ([], 3, False)
