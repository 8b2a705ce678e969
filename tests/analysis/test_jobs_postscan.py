from __future__ import annotations

import hashlib

import pytest

from dissector.analysis import duration, outcome
from tests.support.fake_jobs import PROCESS, SID, DsmJob
from tests.support.fakes import CONTROL, DEVICE, EMAIL, FILESHARE, SERVER, SHAREPOINT, TOKEN, filters, picture


def rules(job, *, but=()):
    return [finding.rule for finding in job.findings if finding.rule not in but]


def whole(play, **final):
    """A job as it should be, with one image."""
    job = DsmJob(play)
    job.subscribe()
    job.create()
    job.status("Creating")
    job.send(1, picture(b"\xff\xd8\xff\xe0" + b"x" * 1996))
    job.end()
    job.status("Processing", 1, [(FILESHARE, "Processing")])
    job.final(**final)
    return job


def test_a_whole_job(play, analysed):
    whole(play)
    analysis = analysed(play.messages)
    (job,) = analysis.jobs
    assert (job.kind, job.id, job.device, job.server) == ("post-scan", TOKEN, DEVICE, f"{SERVER}:5362")
    assert (job.state, job.completed_state, job.completed_by) == ("Completed", "Completed", "event")
    assert job.completed_state_reasons == ["PostScanJobCompletedSuccessfully"]
    assert [(f.dialect, f.state, f.reasons) for f in job.filters] == [(FILESHARE, "CompletedSuccessfully", [])]
    assert job.images_received == 1
    (image,) = job.images
    assert (image.document_id, image.format, image.real_type, image.size) == (1, "jfif", "jfif", 2000)
    assert image.sha256 == hashlib.sha256(b"\xff\xd8\xff\xe0" + b"x" * 1996).hexdigest()
    assert (image.accepted, image.complete, image.missing) == (True, True, 0)
    assert (job.user, job.user_sid, job.process, job.process_name) == ("anna@EXAMPLE", SID, PROCESS, "Invoices")
    assert job.document_name == "scan"
    assert job.instructions == [r"fileshare: \\files\scans"]
    assert [state for _, state, _ in job.states] == ["Creating", "Processing", "Completed"]
    assert job.created == play.messages[2].time
    assert job.ended == play.messages[-2].time
    assert duration(job) == job.ended - job.created
    assert job.completed_time == "2026-01-02T03:04:05.678"
    assert (job.partial, job.faults, job.findings) == ("", [], [])
    assert outcome(job) == "Completed"
    assert [(step.name, step.text) for step in job.timeline] == [
        ("CreatePostScanJobRequest", f"user {SID}, process {PROCESS}, filters fileshare"),
        ("CreatePostScanJobResponse", f"job {TOKEN}"),
        ("PostScanJobStatusEvent", "Creating; fileshare Pending"),
        ("SendImageRequest", "image 1 (jfif, 2,000 bytes)"),
        ("SendImageResponse", "image 1 taken"),
        ("EndPostScanJobRequest", "after 1 image"),
        ("EndPostScanJobResponse", ""),
        ("PostScanJobStatusEvent", "Processing; fileshare Processing"),
        ("PostScanJobEndStateEvent", "Completed (PostScanJobCompletedSuccessfully), 1 image"),
    ]
    assert (job.timeline[0].source, job.timeline[0].destination) == (f"{DEVICE}:50001", f"{SERVER}:5362")
    assert [n.http_status for n in analysis.notifications] == [202] * 3
    assert [n.job_id for n in analysis.notifications] == [TOKEN] * 3
    assert {n.subscription for n in analysis.notifications} == {1}
    assert (job.first_frame, job.last_frame) == (30, play.messages[-2].frames[0])


@pytest.mark.parametrize(
    ("state", "reasons", "filter_states", "word", "found"),
    [
        ("Completed", ["PostScanJobCompletedSuccessfully"], [(FILESHARE, "CompletedSuccessfully")], "Completed", []),
        (
            "Completed", ["PostScanJobCompletedWithErrors"],
            [(FILESHARE, "CompletedWithErrors", "FileShareAccessDenied")],
            "Completed with errors", ["job.ended-badly", "job.filter-failed"],
        ),
        (
            "Completed", ["PostScanJobCompletedWithWarnings"], [(FILESHARE, "CompletedWithWarnings", "UnknownError")],
            "Completed with warnings", ["job.ended-badly", "job.filter-failed"],
        ),
        ("Canceled", ["PostScanJobCanceled"], [(FILESHARE, "Canceled")], "Canceled",
         ["job.ended-badly", "job.filter-failed"]),
        ("Aborted", ["PostScanJobProcessingFailed"], [(FILESHARE, "CompletedWithErrors", "OutOfDiskSpace")],
         "Aborted", ["job.ended-badly", "job.filter-failed"]),
        ("acme:Parked", ["None"], [(FILESHARE, "CompletedSuccessfully")], "acme:Parked", ["job.vendor-state"]),
        ("Processing", ["None"], [(FILESHARE, "CompletedSuccessfully")], "Processing", ["job.completed-state"]),
        ("Terminating", ["None"], [(FILESHARE, "CompletedSuccessfully")], "Terminating", ["job.completed-state"]),
        ("Cancelled", ["None"], [(FILESHARE, "Canceled")], "Cancelled", ["job.unknown-state", "job.filter-failed"]),
        ("completed", ["None"], [(FILESHARE, "CompletedSuccessfully")], "completed", ["job.state-case"]),
        ("CANCELED", ["None"], [(FILESHARE, "CompletedSuccessfully")], "CANCELED", ["job.state-case"]),
        ("processing", ["None"], [(FILESHARE, "CompletedSuccessfully")], "processing", ["job.completed-state"]),
        ("Done", ["None"], [(FILESHARE, "CompletedSuccessfully")], "Done", ["job.unknown-state"]),
        ("Completed", ["None"], [(FILESHARE, "completedsuccessfully")], "Completed", ["job.filter-open"]),
    ],
)  # fmt: skip
def test_every_end_state(play, analysed, state, reasons, filter_states, word, found):
    whole(play, state=state, reasons=reasons, filter_states=filter_states)
    (job,) = analysed(play.messages).jobs
    assert (job.completed_state, outcome(job)) == (state, word)
    assert rules(job) == found
    errors = [f.rule for f in job.findings if f.severity == "error"]
    assert errors == (["job.completed-state"] if state in ("Processing", "Terminating", "processing") else [])


def test_what_is_meant_by_a_state_in_another_case_is_told(play, analysed):
    whole(play, state="completed", reasons=["None"], filter_states=[(FILESHARE, "completedsuccessfully")])
    (job,) = analysed(play.messages).jobs
    assert [one.text for one in job.findings] == [
        "JobCompletedState is completed, Completed in another case: receivers may take it for an unknown one",
        "filter fileshare is completedsuccessfully at the end of the job, CompletedSuccessfully in another case",
    ]


def test_filter_reasons_in_words(play, analysed):
    whole(play, reasons=["PostScanJobCompletedWithErrors"],
          filter_states=[(FILESHARE, "CompletedWithErrors", "FileShareAccessDenied")])  # fmt: skip
    (job,) = analysed(play.messages).jobs
    text = job.findings[-1].text
    assert text == (
        "filter fileshare ended CompletedWithErrors: FileShareAccessDenied "
        "(the server has no right to write to the share)"
    )
    assert job.findings[-1].frames == (play.messages[-2].frames[0],)


def test_events_overtake_the_answer_that_names_the_job(play, analysed):
    job = DsmJob(play)
    asked = job.create(answer=False)
    job.status("Creating")
    job.status("Pending")
    job.created(asked)
    job.send()
    job.end()
    job.final()
    (found,) = analysed(play.messages).jobs
    assert found.id == TOKEN
    assert [s for _, s, _ in found.states] == ["Creating", "Pending", "Completed"]
    assert found.timeline[0].name == "CreatePostScanJobRequest"
    assert found.created is not None
    assert found.partial == ""
    assert rules(found) == []


def test_tokens_compare_without_case_and_braces(play, analysed):
    job = DsmJob(play)
    job.create()
    job.token = "{" + TOKEN.upper() + "}"
    job.send()
    job.end()
    job.final()
    (found,) = analysed(play.messages).jobs
    assert found.id == TOKEN
    assert (len(found.images), found.completed_state) == (1, "Completed")


def test_two_jobs_interleaved(play, analysed):
    one = DsmJob(play, "aaaaaaaa-0000-0000-0000-000000000001", stream=1)
    two = DsmJob(play, "aaaaaaaa-0000-0000-0000-000000000002", stream=2)
    one_asked, two_asked = one.create(answer=False), two.create(answer=False)
    two.created(two_asked)
    one.created(one_asked)
    for document in (1, 2):
        one.send(document)
        two.send(document)
    two.end()
    one.end()
    one.final(images=2)
    two.final("Canceled", images=2, reasons=["PostScanJobCanceled"], filter_states=[(FILESHARE, "Canceled")])
    first, second = analysed(play.messages).jobs
    assert [(j.id[-1], j.completed_state, len(j.images)) for j in (first, second)] == [
        ("1", "Completed", 2),
        ("2", "Canceled", 2),
    ]


def test_capture_began_late(play, analysed):
    job = DsmJob(play)
    job.send(4)
    job.end()
    job.final(images=4)
    (found,) = analysed(play.messages).jobs
    assert (found.partial, found.created, found.completed_state) == ("no-start", None, "Completed")
    assert rules(found) == ["job.no-create", "job.images-received"]
    assert [one.text for one in found.findings] == [
        f"the capture holds no CreatePostScanJob of this job: it was created before frame {found.first_frame}",
        "the server received 4 images; only 1 of them is in the capture, the others were sent before it began",
    ]


def test_only_events_can_be_read(play, analysed):
    """DSM over https, as a capture without keys has it: nothing says that the capture began late."""
    job = DsmJob(play)
    job.status("Creating", 1)
    job.final(images=4)
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.no-create", "job.images-received"]
    create, images = (one.text for one in found.findings)
    assert create == (
        "the capture holds no request of this job, only what the server told of it: the requests were sent before "
        f"frame {found.first_frame}, or on connections that could not be read"
    )
    assert images == "the server received 4 images; none of them is in the capture, which holds no request of this job"
    assert {f.severity for f in found.findings} == {"note"}
    assert "3" not in found.findings[1].text
    assert outcome(found) == "Completed"


def test_only_the_end_event(play, analysed):
    DsmJob(play).final("Aborted", 0, [], ["PostScanJobTimedOut"])
    (found,) = analysed(play.messages).jobs
    assert (found.id, found.server, found.device) == (TOKEN, SERVER, DEVICE)
    assert (found.partial, outcome(found)) == ("no-start", "Aborted")
    assert "10 minutes" in next(f.text for f in found.findings if f.rule == "job.ended-badly")


@pytest.mark.parametrize(
    ("subscribed", "wait", "severity", "word"),
    [(False, 0, "note", "no subscription"), (True, 1, "note", "the capture ends"), (True, 100, "warn", "did not come")],
)
def test_missing_end_event(play, analysed, subscribed, wait, severity, word):
    job = DsmJob(play)
    if subscribed:
        job.subscribe()
    job.create()
    job.send()
    job.end()
    play.wait(wait)
    play.request("WS-Transfer", "Get")
    (found,) = analysed(play.messages).jobs
    assert (found.partial, found.completed_state, outcome(found)) == ("no-end", None, "no end seen")
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("job.no-end", severity)
    assert word in finding.text


@pytest.mark.parametrize("how", ["unsubscribe", "expired", "source"])
def test_end_event_missing_because_the_subscription_was_lost(play, analysed, how):
    job = DsmJob(play)
    job.subscribe(expires="PT2M" if how == "expired" else "PT1H")
    job.create()
    job.send()
    identifier = [("Identifier", "sub-1")]
    if how == "unsubscribe":
        play.ask("WS-Eventing", "Unsubscribe", {}, client=DEVICE, server=SERVER, parameters=identifier, stream=90)
    elif how == "source":
        status = "http://schemas.xmlsoap.org/ws/2004/08/eventing/DeliveryFailure"
        body = {"SubscriptionManager": {"ReferenceParameters": {"Identifier": "sub-1"}}, "Status": status}
        play.request("WS-Eventing", "SubscriptionEnd", body, client=SERVER, server=DEVICE, stream=91)
    job.end()
    play.wait(300)
    play.request("WS-Transfer", "Get")
    analysis = analysed(play.messages)
    (found,) = analysis.jobs
    finding = next(f for f in found.findings if f.rule == "job.no-end")
    assert finding.severity == "warn"
    assert "had nobody to tell" in finding.text
    words = {"unsubscribe": "Unsubscribe", "expired": "ran out", "source": "DeliveryFailure"}
    assert words[how] in finding.text


def test_create_refused(play, analysed):
    play.fault(DsmJob(play).create(answer=False), "InvalidArgs", "PSP unknown")
    (found,) = analysed(play.messages).jobs
    assert (found.id, found.partial, outcome(found)) == ("", "", "failed to start")
    (fault,) = found.faults
    assert (fault.operation, fault.code, fault.subcode, fault.reason) == (
        "CreatePostScanJob", "Sender", "InvalidArgs", "PSP unknown",
    )  # fmt: skip
    assert rules(found) == ["job.fault"]
    assert found.ended == play.messages[1].time


def test_create_unanswered(play, analysed):
    DsmJob(play).create(answer=False)
    (found,) = analysed(play.messages).jobs
    assert (found.id, found.partial, rules(found)) == ("", "no-end", ["job.unanswered"])


def test_send_refused_and_repeated(play, analysed):
    job = DsmJob(play)
    job.create()
    play.fault(job.send(1, answer=False), "ServerErrorTemporaryError", code="Receiver")
    job.send(1)
    play.http(job.send(2, answer=False), 503, "Service Unavailable")
    job.end()
    job.final(images=1)
    (found,) = analysed(play.messages).jobs
    assert [i.accepted for i in found.images] == [False, True, False]
    assert [(f.operation, f.code, f.subcode) for f in found.faults] == [
        ("SendImage", "Receiver", "ServerErrorTemporaryError"),
        ("SendImage", "HTTP 503", None),
    ]
    assert rules(found) == ["job.fault", "job.fault"]
    assert "SendImage of image 2 was refused with HTTP 503" in found.findings[1].text


def test_end_refused(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    play.fault(job.end(answer=False), "ClientErrorJobTokenNotFound")
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.fault", "job.not-closed", "job.no-end"]
    assert found.partial == "no-end"


def test_unknown_token(play, analysed):
    play.fault(DsmJob(play).send(answer=False), "ClientErrorJobTokenNotFound")
    (found,) = analysed(play.messages).jobs
    assert "job.token-unknown" in rules(found)
    assert outcome(found) == "incomplete"


def test_stray_fault_names_its_job_in_the_detail(play, analysed):
    job = DsmJob(play)
    job.create()
    asked = job.send(answer=False)
    detail = f"<Detail xmlns:d='urn:x'><d:JobToken>{TOKEN}</d:JobToken></Detail>"
    play.fault(asked, "ClientErrorJobTokenNotFound", detail=detail, request=None, relates_to="urn:uuid:lost")
    (found,) = analysed(play.messages).jobs
    assert [f.operation for f in found.faults] == ["a request that is not in the capture"]


def test_cancel(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    job.cancel()
    job.final("Canceled", 1, [(FILESHARE, "Canceled")], ["PostScanJobCanceled"])
    (found,) = analysed(play.messages).jobs
    assert (found.completed_state, outcome(found)) == ("Canceled", "Canceled")
    assert rules(found) == ["job.ended-badly", "job.filter-failed"]
    assert {f.severity for f in found.findings} == {"note"}


@pytest.mark.parametrize(
    ("state", "host", "rule"),
    [
        ("Completed", DEVICE, "job.cancel-late"),
        ("Aborted", DEVICE, "job.cancel-aborted"),
        ("Canceled", "192.0.2.99", "job.cancel-by-other"),
    ],
)
def test_cancel_that_goes_another_way(play, analysed, state, host, rule):
    job = DsmJob(play)
    job.create()
    job.send()
    job.end()
    job.cancel(client=host, stream=5)
    job.final(state, 1, [], ["None"])
    (found,) = analysed(play.messages).jobs
    assert rule in rules(found)


def test_the_control_point_sees_the_same_job(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    to_control = {"service": "WS-DSC", "sink": CONTROL, "stream": 200, "parameters": [("Identifier", "smc")]}
    job.status("Creating", 1, **to_control)
    names = {"JobToken": TOKEN, "RequestedElements": {"Name": ["dsc:JobStatus", "dsc:JobDescription"]}}
    status = {"JobToken": TOKEN, "JobState": "Creating", "FilterStatuses": filters((FILESHARE, "Pending"))}
    description = {"PSP_DisplayName": "Invoices", "JobOriginatingUserName": "anna@EXAMPLE"}
    play.ask(
        "WS-DSC", "GetPostScanJobElements", names,
        {"JobElements": {"ElementData": [{"JobStatus": status}, {"JobDescription": description}]}},
        client=CONTROL, stream=40,
    )  # fmt: skip
    job.end()
    job.final()
    job.final(**to_control)
    summary = {"JobToken": TOKEN.upper(), "JobState": "Completed", "ImagesReceived": 1}
    old = {"JobToken": "other", "JobState": "Aborted", "JobOriginatingUserName": "bert@EXAMPLE"}
    play.ask("WS-DSC", "GetJobHistory", {}, {"JobHistory": {"JobSummary": [summary, old]}}, client=CONTROL, stream=40)
    found, listed = analysed(play.messages).jobs
    assert (found.device, found.server, found.completed_by) == (DEVICE, f"{SERVER}:5362", "event")
    assert rules(found) == []
    assert [s.name for s in found.timeline].count("PostScanJobEndStateEvent") == 2
    assert (listed.id, listed.completed_by, listed.state, listed.completed_state) == (
        "other", "history", "Aborted", None,
    )  # fmt: skip
    assert (rules(listed), listed.findings[0].severity, outcome(listed)) == (["job.no-create"], "note", "Aborted")


def test_cancelled_by_the_control_point(play, analysed):
    job = DsmJob(play)
    job.create()
    asked = play.ask("WS-DSC", "CancelPostScanJob", {"JobToken": TOKEN}, {}, client=CONTROL, stream=40)
    job.final("Canceled", 0, [(FILESHARE, "Canceled")], ["PostScanJobCanceled"])
    (found,) = analysed(play.messages).jobs
    assert found.device == DEVICE
    assert "job.cancel-by-other" not in rules(found)
    assert next(s.text for s in found.timeline if s.message == asked.number) == "by the control point"


def test_polling_tells_the_end(play, analysed):
    job = DsmJob(play)
    job.create()
    job.end()
    status = {"JobToken": TOKEN, "JobState": "Completed", "ImagesReceived": 0}
    play.ask("WS-DSP", "GetPostScanJobElements", {"JobToken": TOKEN, "RequestedElements": {"Name": "JobStatus"}},
             {"JobElements": {"ElementData": {"JobStatus": status}}})  # fmt: skip
    (found,) = analysed(play.messages).jobs
    assert (found.completed_by, found.completed_state, found.state) == ("history", None, "Completed")
    assert (found.partial, outcome(found)) == ("", "Completed")
    assert rules(found) == ["job.empty", "job.no-end"]


def test_answer_about_another_job(play, analysed):
    job = DsmJob(play)
    job.create()
    status = {"JobToken": "other", "JobState": "Completed"}
    asked = {"JobToken": TOKEN, "RequestedElements": {"Name": ["JobStatus", "JobDescription"]}}
    play.ask("WS-DSP", "GetPostScanJobElements", asked, {"JobElements": {"ElementData": {"JobStatus": status}}})
    (found,) = analysed(play.messages).jobs
    assert rules(found).count("job.answer-mismatch") == 2
    assert found.state is None


def test_incomplete_image(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send(1, picture(lost=2920))
    job.send(2, picture(cut=True), answer=False)
    job.end()
    job.final(images=2)
    (found,) = analysed(play.messages).jobs
    one, two = found.images
    assert (one.complete, one.missing, one.sha256) == (False, 2920, None)
    assert (two.complete, two.missing) == (False, 0)
    texts = [f.text for f in found.findings if f.rule == "job.image-incomplete"]
    assert "2,920 bytes missing between frames 3 and 5" in texts[0]
    assert "its end is missing" in texts[1]
    assert next(f for f in found.findings if f.rule == "job.image-incomplete").frames[:2] == (3, 5)


def test_order_of_requests(play, analysed):
    job = DsmJob(play)
    job.create()
    late = job.send(1, answer=False, stream=2)
    job.end()
    play.answer(late, {})
    job.send(1)
    job.send(3, format="tiff-single-g4")
    job.end()
    job.final(images=3)
    (found,) = analysed(play.messages).jobs
    assert sorted(rules(found)) == [
        "job.duplicate-document",
        "job.end-too-early",
        "job.image-after-end",
        "job.image-after-end",
        "job.mixed-formats",
        "job.second-end",
    ]


@pytest.mark.parametrize(
    ("stream", "after", "told"), [(1, 999_999, []), (1, 10**6, ["job.end-too-early"]), (2, 0, ["job.end-too-early"])]
)
def test_an_answer_that_the_capture_swapped_with_the_next_request(play, analysed, stream, after, told):
    """Its time says so, which is that of its arrival: only on one connection, and close together."""
    job = DsmJob(play)
    job.create()
    sent = job.send(answer=False, stream=1)
    ended = job.end(answer=False, stream=stream)
    play.answer(sent, {}).time = ended.time + after
    play.answer(ended, {})
    job.final()
    (found,) = analysed(play.messages).jobs
    assert rules(found) == told


def test_token_used_before_it_was_given(play, analysed):
    job = DsmJob(play)
    asked = job.create(answer=False)
    job.send(stream=2)
    job.created(asked)
    job.end()
    job.final()
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.before-create"]


def test_token_given_twice(play, analysed):
    whole(play)
    whole(play)
    one, two = analysed(play.messages).jobs
    assert (one.id, two.id) == (TOKEN, TOKEN)
    assert rules(one) == []
    assert rules(two) == ["job.token-reused"]
    assert [len(j.images) for j in (one, two)] == [1, 1]


def test_same_guid_at_two_servers(play, analysed):
    for server in (SERVER, "192.0.2.21"):
        job = DsmJob(play, server=server)
        job.create()
        job.send()
        job.end()
        job.final()
    one, two = analysed(play.messages).jobs
    assert [rules(j) for j in (one, two)] == [[], []]
    assert [j.server for j in (one, two)] == [f"{SERVER}:5362", "192.0.2.21:5362"]


def test_ten_minutes(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    play.wait(601)
    job.final("Aborted", 1, [], ["PostScanJobTimedOut"])
    (found,) = analysed(play.messages).jobs
    assert "job.time-out" in rules(found)
    assert "10.0 minutes passed after SendImage" in next(f.text for f in found.findings if f.rule == "job.time-out")


def test_no_time_out_where_images_keep_coming(play, analysed):
    job = DsmJob(play)
    job.create()
    for document in (1, 2, 3):
        play.wait(500)
        job.send(document)
    job.end()
    job.final(images=3)
    (found,) = analysed(play.messages).jobs
    assert rules(found) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"images": 5}, ["job.images-received"]),
        ({"images": 0}, ["job.images-received", "job.images-count"]),
        ({"process": "ffffffff-0000-0000-0000-000000000000"}, ["job.process-mismatch"]),
        ({"process": "{" + PROCESS.lower() + "}"}, []),
        ({"filter_states": [(EMAIL, "CompletedSuccessfully")]}, ["job.filters-mismatch"]),
        ({"filter_states": [(FILESHARE, "Processing")]}, ["job.filter-open"]),
        (
            {"filter_states": [(FILESHARE, "CompletedWithErrors", "UnableToSendEmail")],
             "reasons": ["PostScanJobCompletedWithErrors"]},
            ["job.filter-reason", "job.ended-badly", "job.filter-failed"],
        ),
        (
            {"filter_states": [(FILESHARE, "CompletedWithErrors")]},
            ["job.filter-no-reason", "job.inconsistent", "job.filter-failed"],
        ),
        ({"reasons": ["PostScanJobCompletedWithErrors"]}, ["job.inconsistent", "job.ended-badly"]),
        ({"reasons": ["PostScanJobTimedOut"]}, ["job.reason-mismatch"]),
        ({"reasons": []}, ["job.reason-mismatch"]),
        ({"reasons": ["acme:Other"]}, []),
    ],
)  # fmt: skip
def test_end_event_that_does_not_fit(play, analysed, change, expected):
    whole(play, **change)
    (found,) = analysed(play.messages).jobs
    assert sorted(rules(found)) == sorted(expected)


def test_several_subscribers_and_contradiction(play, analysed):
    whole(play)
    job = DsmJob(play)
    job.final(service="WS-DSC", sink=CONTROL, stream=200)
    job.final("Aborted", reasons=["PostScanJobProcessingFailed"], sink="192.0.2.31", stream=201)
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.end-contradiction"]
    assert "state Completed and Aborted" in found.findings[0].text
    assert found.completed_state == "Completed"


@pytest.mark.parametrize(("status", "expected"), [(202, ["job.end-repeated"]), (503, [])])
def test_end_event_twice_to_one_subscriber(play, analysed, status, expected):
    whole(play, status=status)
    DsmJob(play).final()
    (found,) = analysed(play.messages).jobs
    assert rules(found) == expected


def test_no_way_back_from_the_end(play, analysed):
    job = whole(play)
    job.status("Processing", 1)
    job.status("Completed", 1)
    job.status("Processing", 1, service="WS-DSC", sink=CONTROL)  # a slower listener, which was not told the end yet
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.state-backwards", "job.status-after-end"]
    assert found.state == "Completed"


def test_filters_of_a_request_that_is_not_whole_are_not_counted(play, analysed):
    job = DsmJob(play)
    asked = job.create()
    job.send()
    job.end()
    job.final(filter_states=[(FILESHARE, "CompletedSuccessfully"), (EMAIL, "CompletedSuccessfully")])
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.filters-mismatch"]
    asked.complete = False
    (found,) = analysed(play.messages).jobs
    assert "job.filters-mismatch" not in rules(found)


def test_completed_before_the_device_was_done(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    job.final()
    (found,) = analysed(play.messages).jobs
    assert rules(found) == ["job.end-early"]


def test_filters_ran_on_after_an_error(play, analysed):
    job = DsmJob(play)
    job.create([EMAIL, FILESHARE, SHAREPOINT])
    job.send()
    job.end()
    job.final(reasons=["PostScanJobCompletedWithErrors"], filter_states=[
        (EMAIL, "CompletedWithErrors", "InvalidSMTPServer"), (FILESHARE, "CompletedSuccessfully"),
        (SHAREPOINT, "Canceled"),
    ])  # fmt: skip
    (found,) = analysed(play.messages).jobs
    assert rules(found).count("job.continue-on-error") == 1


def test_terminal_status_without_end_event(play, analysed):
    job = DsmJob(play)
    job.create()
    job.send()
    job.end()
    job.status("Completed", 1, [(FILESHARE, "CompletedSuccessfully")])
    (found,) = analysed(play.messages).jobs
    assert (found.completed_by, found.completed_state, found.state) == ("inferred", None, "Completed")
    assert rules(found) == ["job.no-end"]


@pytest.mark.parametrize(("taken", "severity"), [(True, "error"), (False, "note")])
def test_server_ends_the_job_while_the_device_still_sends(play, analysed, taken, severity):
    job = DsmJob(play)
    job.create()
    job.send(9)
    job.final("Aborted", 1, [(FILESHARE, "Canceled")], ["SendImageFailed"])
    asked = job.send(10, answer=taken)
    if not taken:
        play.fault(asked, "ClientErrorJobTokenNotFound")
    (found,) = analysed(play.messages).jobs
    late = [f for f in found.findings if f.rule == "job.image-after-end"]
    assert [f.severity for f in late] == [severity]
    assert (found.completed_state, [i.document_id for i in found.images]) == ("Aborted", [9, 10])


def test_two_subscriptions_with_one_sink(play, analysed):
    whole(play)
    DsmJob(play).final(parameters=[("Identifier", "sink-2")])
    (found,) = analysed(play.messages).jobs
    assert rules(found) == []
