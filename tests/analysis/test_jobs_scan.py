from __future__ import annotations

import pytest

from dissector.analysis import outcome
from tests.support.fake_jobs import ScanJob
from tests.support.fakes import CLIENT, SCANNER, picture

NO_MORE = "ClientErrorNoImagesAvailable"


def rules(job):
    return [finding.rule for finding in job.findings]


def test_flatbed(play, analysed):
    scan = ScanJob(play)
    play.ask("WS-Scan", "GetScannerElements", {}, {}, client=CLIENT, server=SCANNER)
    play.ask("WS-Scan", "ValidateScanTicket", {}, {}, client=CLIENT, server=SCANNER)
    scan.create("Platen", 1)
    scan.retrieve()
    (job,) = analysed(play.messages).jobs
    assert (job.kind, job.id, job.push, job.device, job.server) == ("scan", "7", False, f"{SCANNER}:80", CLIENT)
    assert (job.state, job.completed_state, job.completed_by) == ("Completed", None, "inferred")
    assert job.created == play.messages[4].time
    assert job.ended == play.messages[-1].time
    assert (job.user, job.document_name) == ("anna", "letter")
    assert job.instructions == ["jfif", "Platen", "300×300 dpi", "RGB24", "1 image"]
    (image,) = job.images
    assert (image.document_id, image.format, image.accepted) == (1, "jfif", True)
    assert [(s.name, s.text) for s in job.timeline] == [
        ("CreateScanJobRequest", "jfif, Platen, 300×300 dpi, RGB24, 1 image"),
        ("CreateScanJobResponse", "job 7"),
        ("RetrieveImageRequest", "image 1"),
        ("RetrieveImageResponse", "image 1 (jfif, 10 bytes)"),
    ]
    assert (job.partial, rules(job), outcome(job)) == ("", [], "Completed")


@pytest.mark.parametrize("subcode", [NO_MORE, "ClientErrorJobIdNotFound"])
@pytest.mark.parametrize("source", ["ADF", "ADFDuplex"])
def test_feeder_ends_with_a_fault(play, analysed, source, subcode):
    scan = ScanJob(play)
    scan.create(source)
    for _ in range(4):
        scan.retrieve()
    scan.refused("RetrieveImage", subcode)
    (job,) = analysed(play.messages).jobs
    assert [i.document_id for i in job.images] == [1, 2, 3, 4]
    assert [(f.subcode, f.normal) for f in job.faults] == [(subcode, True)]
    assert (job.completed_by, job.state, rules(job)) == ("inferred", "Completed", [])
    assert job.timeline[-1].text == "no more images"


def test_empty_feeder(play, analysed):
    scan = ScanJob(play)
    scan.create("ADF")
    scan.refused("RetrieveImage", NO_MORE)
    (job,) = analysed(play.messages).jobs
    assert [(f.subcode, f.normal) for f in job.faults] == [(NO_MORE, False)]
    assert (job.partial, job.completed_by, outcome(job)) == ("no-end", None, "no end seen")
    assert sorted(rules(job)) == ["job.fault", "job.no-images", "job.no-scan-end"]


@pytest.mark.parametrize(
    ("source", "images", "format", "fetched", "complete"),
    [
        ("ADF", 2, "jfif", 2, True),
        ("ADF", 3, "jfif", 2, False),
        ("ADF", 0, "jfif", 1, False),
        ("ADF", 0, "pdf-a", 1, True),
        ("ADF", 0, "tiff-multi-g4", 1, True),
        ("Film", 0, "jfif", 1, True),
        ("Platen", 0, "jfif", 0, False),
        (None, "many", "jfif", 1, False),
    ],
)
def test_when_the_end_is_inferred(play, analysed, source, images, format, fetched, complete):
    scan = ScanJob(play)
    scan.create(source, images, format=format)
    for _ in range(fetched):
        scan.retrieve()
    (job,) = analysed(play.messages).jobs
    assert job.completed_by == ("inferred" if complete else None)
    assert job.partial == ("" if complete else "no-end")
    assert rules(job) == ([] if complete else ["job.no-scan-end"])


def test_image_that_broke_off_does_not_end_the_job(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    scan.retrieve(picture(cut=True))
    (job,) = analysed(play.messages).jobs
    assert job.completed_by is None
    assert rules(job) == ["job.image-incomplete", "job.no-scan-end"]


def test_image_with_a_gap_was_fetched(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    scan.retrieve(picture(lost=100))
    (job,) = analysed(play.messages).jobs
    assert (job.completed_by, rules(job)) == ("inferred", ["job.image-incomplete"])


@pytest.mark.parametrize(
    ("state", "reasons", "expected"),
    [
        ("Completed", ["None"], []),
        ("Completed", ["JobCompletedWithWarnings"], ["job.ended-badly"]),
        ("Aborted", ["JobTimedOut"], ["job.ended-badly"]),
        ("Canceled", ["JobCanceledAtDevice"], ["job.ended-badly"]),
        ("Terminating", ["None"], ["job.completed-state"]),
        ("acme:Gone", ["None"], ["job.vendor-state"]),
        ("", ["None"], ["job.completed-state"]),
    ],
)
@pytest.mark.parametrize("service", ["WS-Scan", "WS-DSD"])
def test_end_events(play, analysed, service, state, reasons, expected):
    scan = ScanJob(play)
    scan.create("Platen")
    scan.status("Started", service=service)
    scan.retrieve()
    scan.status("Processing", 1, service=service)
    scan.final(state, 1, reasons, service=service)
    (job,) = analysed(play.messages).jobs
    assert (job.completed_by, job.completed_state) == ("event", state or None)
    assert rules(job) == expected
    assert job.images_received == 1
    assert [s for _, s, _ in job.states] == ["Started", "Processing", *([state] if state else [])]


def test_end_event_alone(play, analysed):
    ScanJob(play).final(service="WS-DSD")
    (job,) = analysed(play.messages).jobs
    assert (job.id, job.device, job.partial, outcome(job)) == ("7", SCANNER, "no-start", "Completed")
    assert rules(job) == ["job.no-scan-create"]


def test_events_overtake_the_answer(play, analysed):
    scan = ScanJob(play)
    asked = scan.create("Platen", answer=False)
    scan.status("Started")
    scan.created(asked)
    scan.retrieve()
    scan.final()
    (job,) = analysed(play.messages).jobs
    assert (job.id, job.partial, rules(job)) == ("7", "", [])
    assert [s for _, s, _ in job.states] == ["Started", "Completed"]


def test_push(play, analysed):
    scan = ScanJob(play)
    play.subscribe(["ScanAvailableEvent", "JobEndStateEvent"], service="WS-Scan", client=CLIENT, server=SCANNER,
                   contexts={"Scan": "dest-1"}, parameter="push")  # fmt: skip
    scan.available(parameters=[("Identifier", "push")])
    scan.create("ADF", ScanIdentifier="scan-1", DestinationToken="dest-1")
    scan.retrieve()
    scan.refused("RetrieveImage", NO_MORE)
    scan.final(parameters=[("Identifier", "push")])
    analysis = analysed(play.messages)
    (job,) = analysis.jobs
    assert (job.push, job.id, job.scan_identifier) == (True, "7", "scan-1")
    assert job.timeline[0].name == "ScanAvailableEvent"
    assert job.timeline[0].text == "scan scan-1 for Scan"
    assert job.created == play.messages[4].time
    assert job.first_time == play.messages[2].time - 1_000
    assert (job.device, job.server, job.partial, rules(job)) == (f"{SCANNER}:80", CLIENT, "", [])
    assert analysis.subscriptions[0].destinations == {"Scan": "dest-1"}


def test_push_that_nobody_follows(play, analysed):
    ScanJob(play).available()
    ScanJob(play).available()  # delivered again: still one
    (job,) = analysed(play.messages).jobs
    assert (job.id, job.push, job.partial, outcome(job)) == ("", True, "no-end", "failed to start")
    assert rules(job) == ["job.push-not-followed"]
    assert job.findings[0].frames == (10, 30)


def test_push_refused_then_taken(play, analysed):
    scan = ScanJob(play)
    scan.available()
    ticket = {"ScanIdentifier": "scan-1", "DestinationToken": "d"}
    play.fault(scan.create(answer=False, **ticket), "ServerErrorNotAcceptingJobs", code="Receiver")
    scan.create("Platen", **ticket)
    scan.retrieve()
    (job,) = analysed(play.messages).jobs
    assert (job.id, job.completed_by, len(job.faults)) == ("7", "inferred", 1)
    assert sorted(rules(job)) == ["job.fault", "job.push-repeated"]


def test_push_without_announcement_or_token(play, analysed):
    scan = ScanJob(play)
    play.subscribe(["ScanAvailableEvent"], service="WS-Scan", client=CLIENT, server=SCANNER, contexts={"Scan": "good"})
    scan.create("Platen", ScanIdentifier="scan-9", DestinationToken="stale")
    scan.retrieve()
    other = ScanJob(play, 8)
    other.create("Platen", DestinationToken="good")
    other.retrieve()
    one, two = analysed(play.messages).jobs
    assert (one.push, set(rules(one))) == (True, {"job.push-not-announced", "job.destination-unknown"})
    assert (two.push, rules(two)) == (False, ["job.push-incomplete"])


def test_create_refused(play, analysed):
    scan = ScanJob(play)
    play.fault(scan.create(answer=False), "ServerErrorNotAcceptingJobs", code="Receiver")
    (job,) = analysed(play.messages).jobs
    assert (job.id, outcome(job), rules(job)) == ("", "failed to start", ["job.fault"])
    assert "somebody at its panel" in job.findings[0].text


def test_job_ids_begin_anew(play, analysed):
    for _ in range(2):
        scan = ScanJob(play, 1)
        scan.create("Platen")
        scan.retrieve()
        scan.final()
        play.wait(60)
    one, two = analysed(play.messages).jobs
    assert [(j.id, len(j.images), j.completed_state) for j in (one, two)] == [("1", 1, "Completed")] * 2
    assert (rules(one), rules(two)) == ([], ["job.id-reused"])


def test_job_ids_begin_anew_seen_by_events_only(play, analysed):
    for _ in range(2):
        scan = ScanJob(play, 1)
        scan.status("Started", service="WS-DSD")
        scan.final(service="WS-DSD")
        play.wait(60)
    assert [j.completed_state for j in analysed(play.messages).jobs] == ["Completed", "Completed"]


def test_same_number_at_two_scanners_and_two_ports(play, analysed):
    jobs = [
        ScanJob(play, 1),
        ScanJob(play, 1, scanner="192.0.2.51", stream=12),
        ScanJob(play, 1, port=8080, stream=13, client="192.0.2.41"),
    ]
    for scan in jobs:
        scan.create("ADF")
    for scan in jobs:
        scan.retrieve()
    for scan in reversed(jobs):
        scan.refused("RetrieveImage", NO_MORE)
        scan.final()
    found = analysed(play.messages).jobs
    assert [j.device for j in found] == [f"{SCANNER}:80", "192.0.2.51:80", f"{SCANNER}:8080"]
    assert [(len(j.images), rules(j), j.completed_by) for j in found] == [(1, [], "event")] * 3


def test_event_is_placed_by_its_subscription(play, analysed):
    """The device sends events from its other address; the subscription tells whose they are."""
    scan = ScanJob(play)
    play.subscribe(["JobEndStateEvent"], service="WS-Scan", client=CLIENT, server=SCANNER, parameter="me")
    scan.create("ADF")
    scan.retrieve()
    scan.scanner = "2001:db8::50"
    scan.final(parameters=[("Identifier", "me")])
    (job,) = analysed(play.messages).jobs
    assert (job.completed_by, job.device) == ("event", f"{SCANNER}:80")


def test_cancel(play, analysed):
    scan = ScanJob(play)
    scan.create("ADF")
    scan.retrieve()
    scan.cancel()
    scan.refused("RetrieveImage", "ClientErrorJobCancelled")
    (job,) = analysed(play.messages).jobs
    assert (job.state, job.completed_by, outcome(job)) == ("Canceled", "inferred", "Canceled")
    assert rules(job) == ["job.fault"]


def test_cancel_after_the_last_page_is_still_completed(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    scan.retrieve()
    scan.cancel()
    (job,) = analysed(play.messages).jobs
    assert (job.state, rules(job)) == ("Completed", [])


def test_cancel_too_late(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    scan.retrieve()
    scan.final()
    scan.refused("CancelJob", "ClientErrorJobIdNotFound")
    (job,) = analysed(play.messages).jobs
    assert set(rules(job)) == {"job.cancel-after-end", "job.fault"}


def test_slow_client_and_wrong_token(play, analysed):
    scan = ScanJob(play)
    scan.create("ADF", 2)
    play.wait(61)
    scan.retrieve()
    scan.retrieve(token="token-6")
    (job,) = analysed(play.messages).jobs
    assert sorted(rules(job)) == ["job.slow-client", "job.token-mismatch"]


def test_answer_whose_request_is_lost(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    lost = scan.retrieve()
    play.messages.remove(lost)
    (job,) = analysed(play.messages).jobs
    assert (len(job.images), job.completed_by) == (1, "inferred")


def test_counts_of_the_device(play, analysed):
    scan = ScanJob(play)
    scan.create("ADF")
    scan.status("Processing", 2)
    scan.status("Processing", 1)
    scan.retrieve()
    scan.final(scans=3)
    (job,) = analysed(play.messages).jobs
    assert rules(job) == ["job.scans-completed", "job.scans-count"]
    assert job.findings[1].severity == "warn"


def test_lists_and_questions(play, analysed):
    scan = ScanJob(play)
    scan.create("Platen")
    status = {"JobId": 7, "JobState": "Processing", "ScansCompleted": 0}
    asked = scan.ask("GetJobElements", {"JobId": 7, "RequestedElements": {"Name": "wscn:JobStatus"}})
    play.answer(asked, {"JobElements": {"ElementData": {"JobStatus": status}}})
    summaries = [
        {"JobId": 7, "JobName": "letter", "JobState": "Completed", "ScansCompleted": 1},
        {"JobId": 6, "JobName": "old", "JobOriginatingUserName": "bert", "JobState": "Aborted"},
    ]
    play.answer(scan.ask("GetJobHistory", {}), {"JobHistory": {"JobSummary": summaries}})
    mine, old = analysed(play.messages).jobs
    assert (mine.completed_by, mine.state, [s for _, s, _ in mine.states]) == (
        "history", "Completed", ["Processing", "Completed"],
    )  # fmt: skip
    assert (old.id, old.user, old.document_name, old.state) == ("6", "bert", "old", "Aborted")


def test_loopback_devices_that_share_an_address(play, analysed):
    one, two = ScanJob(play, 1, port=9001, stream=1), ScanJob(play, 1, port=9002, stream=2)
    one.create("Platen")
    two.create("Platen")
    one.retrieve()
    two.retrieve()
    assert [len(j.images) for j in analysed(play.messages).jobs] == [1, 1]


def test_jobs_of_a_dsm_device_begin_at_its_panel(play, analysed):
    scan = ScanJob(play, 253)
    scan.status("Started", service="WS-DSD")
    scan.final(service="WS-DSD")
    other = ScanJob(play, 254)
    other.status("Processing", service="WS-DSD")
    whole, late = analysed(play.messages).jobs
    assert (whole.partial, whole.created, rules(whole)) == ("", play.messages[0].time, [])
    assert (late.partial, late.created, rules(late)) == ("no-start", None, ["job.no-scan-create"])
    assert outcome(late) == "incomplete"


def test_events_before_an_answer_whose_request_is_lost_are_of_its_job(play, analysed):
    scan = ScanJob(play, 1)
    asked = scan.ask("CreateScanJob", {})
    play.messages.remove(asked)
    scan.status("Processing")
    scan.created(asked).request = None
    scan.retrieve()
    scan.final()
    (found,) = analysed(play.messages).jobs
    assert "job.id-reused" not in rules(found)
    assert found.completed_state == "Completed"
