"""Which messages are one story, who took part in it, and choosing a part of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dissector.base.errors import UnreadableInput, UsageError
from replay.scenario.extract import Recording, extracted, recorded
from replay.scenario.model import Scenario
from replay.scenario.parties import named
from replay.scenario.stories import Choice, Story, choose
from tests.support import wsd
from tests.support.stories import STORIES, Channel
from tests.support.stories import Story as Told
from tests.support.talk import CLIENT, DEVICE, Talk
from tests.support.wire import frames_of, write_pcap

SERVER, CONTROL, SINK = "192.0.2.20", "192.0.2.30", "192.0.2.50"
TOKEN = "dc2c2e2c-c491-44d0-b4f9-42cb220adb0a"


def captured(told: Told, folder: Path) -> Recording:
    path = folder / "told.pcap"
    path.write_bytes(write_pcap(frames_of(told)))
    return recorded(path)


def cast(story: Story) -> dict[str, tuple[str, str]]:
    """Names of the parties, with host and role."""
    return {name: (actor.host, actor.role) for name, actor in named(story.actors).items()}


def made(told: Told, folder: Path, choice: Choice | None = None, plays: str = "") -> Scenario:
    recording = captured(told, folder)
    return extracted(recording, recording.story(choice or Choice()), plays=plays).scenario


def management(told: Told) -> None:
    """A control point asks the DSM device itself."""
    told.channels["dsd"] = Channel(CONTROL, DEVICE, 5357)
    body = wsd.envelope(
        f"{wsd.DSD}/GetActiveJobs", "<d:GetActiveJobsRequest/>", message_id="urn:uuid:1", to=f"http://{DEVICE}:5357/dsm",
        namespaces=wsd.ns(d=wsd.DSD),
    )  # fmt: skip
    told.ask("dsd", wsd.request("/dsm", f"{DEVICE}:5357", body), wsd.response(body))


# -- parties --------------------------------------------------------------------------------------------------------


def test_three_parties_of_a_management_console(tmp_path: Path) -> None:
    recording = captured(STORIES["dsc-management"](), tmp_path)
    (story,) = recording.stories
    assert cast(story) == {
        "device": (DEVICE, "DSM device"), "server": (SERVER, "scan server"), "control": (CONTROL, "control point"),
    }  # fmt: skip
    scenario = extracted(recording, story).scenario
    assert scenario.name == "DSM device, scan server and control point"
    assert {name: one.bases for name, one in scenario.parties.items()} == {
        "device": ("http://192.0.2.10:5357",), "server": ("http://192.0.2.20:5362",),
        "control": ("http://192.0.2.30:5357",),
    }  # fmt: skip
    assert {(one.sender, one.receiver) for one in scenario.steps if one.event} == {
        ("server", "device"), ("server", "control"),
    }  # fmt: skip
    assert scenario.missing == []
    token = scenario.values["job_token"]
    assert (token.maker, token.step, token.part) == ("server", 3, "answer")
    # The console was told the token by an event: played alone, it knows it from there.
    assert [(one.step, one.part, one.path) for one in token.again] == [(4, "message", "JobStatus/JobToken")]


def test_a_control_point_of_server_and_device_is_one_party(tmp_path: Path) -> None:
    told = STORIES["dsc-management"]()
    management(told)
    (story,) = captured(told, tmp_path).stories
    assert cast(story) == {
        "device": (DEVICE, "DSM device"), "server": (SERVER, "scan server"), "control": (CONTROL, "control point"),
    }  # fmt: skip
    assert story.services == ["WS-DSP", "WS-DSC", "WS-DSD"]


def sink_elsewhere() -> Talk:
    talk = Talk()
    sink = f"http://{SINK}:5358/events"
    talk.story.channels[talk.events] = Channel(DEVICE, SINK, 5358)
    talk.subscribe(sink, "urn:uuid:0", f"{talk.url}/subs", "urn:uuid:1")
    talk.tell("JobStatusEvent", "<wscn:JobStatus><wscn:JobId>3</wscn:JobId></wscn:JobStatus>", sink, "urn:uuid:0")
    return talk


def test_an_event_sink_on_another_host_is_a_party_of_its_own(tmp_path: Path) -> None:
    scenario = made(sink_elsewhere().story, tmp_path)
    assert {name: one.role for name, one in scenario.parties.items()} == {
        "client": "scan client", "scanner": "scanner", "sink": "event sink",
    }  # fmt: skip
    assert scenario.parties["sink"].bases == (f"http://{SINK}:5358",)
    assert scenario.steps[1].receiver == "sink"
    assert scenario.values["sink_address"].maker == "sink"
    assert scenario.values["sink_address"].step == 1
    assert scenario.values["sink_identifier"].maker == "client"


def test_a_sink_that_subscribed_before_the_capture_began_is_still_the_clients(samples: Path) -> None:
    recording = recorded(samples / "damaged" / "dsm-began-late.pcap")
    (story,) = recording.stories
    assert cast(story) == {"device": (DEVICE, "DSM device"), "server": (SERVER, "scan server")}
    told = extracted(recording, story).scenario.missing
    assert any(text.startswith("job_token: what handed it out is not in the capture") for text in told)


def test_on_one_machine_roles_tell_the_parties_apart(tmp_path: Path) -> None:
    told = STORIES["dsc-management"]()
    told.channels = {
        name: Channel("127.0.0.1", "127.0.0.1", port)
        for (name, _), port in zip(told.channels.items(), (5362, 6001, 5362, 6002), strict=True)
    }
    for turn in told.turns:
        turn.data = turn.data.replace(b"192.0.2.20", b"127.0.0.1")
        turn.data = turn.data.replace(b"192.0.2.10:5357", b"127.0.0.1:6001")
        turn.data = turn.data.replace(b"192.0.2.30:5357", b"127.0.0.1:6002")
    scenario = made(told, tmp_path)
    assert {name: one.bases for name, one in scenario.parties.items()} == {
        "device": ("http://127.0.0.1:6001",), "server": ("http://127.0.0.1:5362",),
        "control": ("http://127.0.0.1:6002",),
    }  # fmt: skip
    assert [one.sender for one in scenario.steps[:3]] == ["device", "control", "device"]


def test_two_roles_at_one_end_are_one_party(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "")
    management(talk.story)
    (story,) = captured(talk.story, tmp_path).stories
    assert cast(story)["scanner"] == (DEVICE, "scanner and DSM device")


def test_several_clients_have_numbers(tmp_path: Path) -> None:
    one = Talk(1)
    one.ask("GetScannerElements", "", "")
    one.story.channels["second"] = Channel("192.0.2.41", DEVICE, 5357)
    one.calls = "second"
    one.ask("GetScannerElements", "", "")
    (story,) = captured(one.story, tmp_path).stories
    assert list(cast(story)) == ["client", "scanner", "client_2"]


# -- stories --------------------------------------------------------------------------------------------------------


def two_pairs() -> Told:
    """Two clients, each with its own device."""
    one = Talk(1)
    one.ask("CreateScanJob", "", "<wscn:JobId>1</wscn:JobId>")
    one.story.channels["second"] = Channel("192.0.2.41", "192.0.2.11", 5357)
    one.calls = "second"
    one.ask("GetScannerElements", "", "")
    return one.story


def test_hosts_that_say_nothing_to_each_other_are_two_stories(tmp_path: Path) -> None:
    recording = captured(two_pairs(), tmp_path)
    assert [list(cast(story).values()) for story in recording.stories] == [
        [(CLIENT, "scan client"), (DEVICE, "scanner")],
        [("192.0.2.41", "scan client"), ("192.0.2.11", "scanner")],
    ]
    with pytest.raises(UsageError, match=r"several sequences fit: scan client 192.0.2.40 and scanner 192.0.2.10; scan"):
        recording.story(Choice())
    for choice in (Choice(host="192.0.2.11"), Choice(stream=1)):
        assert recording.story(choice).actors == recording.stories[1].actors
    whole = recording.story(Choice(everything=True))
    assert list(named(whole.actors)) == ["client", "scanner", "client_2", "scanner_2"]
    assert len(whole.rounds) == 2


@pytest.mark.parametrize(("count", "end"), [(10, "scanner 192.0.2.10"), (11, "; 1 more"), (5000, "; 4990 more")])
def test_an_error_names_ten_of_many(tmp_path: Path, count: int, end: str) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "")
    story = captured(talk.story, tmp_path).stories[0]
    with pytest.raises(UsageError) as told:
        choose([story] * count, Choice(), [], [], "a.pcap")
    assert told.value.args[0].partition("; choose one")[0].endswith(end)
    assert len(str(told.value)) < 1000


def test_a_job_token_joins_what_no_host_joins(tmp_path: Path) -> None:
    told = STORIES["dsm-aborted"]()
    jobs = told.jobs[0].id
    told.channels["other"] = Channel(CONTROL, "192.0.2.21", 5362)
    body = wsd.envelope(
        f"{wsd.DSC}/GetJobHistory", f"<d:GetJobHistoryRequest><d:JobToken>{jobs}</d:JobToken></d:GetJobHistoryRequest>",
        message_id="urn:uuid:1", namespaces=wsd.ns(d=wsd.DSC),
    )  # fmt: skip
    told.ask("other", wsd.request("/dsc", "192.0.2.21:5362", body), wsd.response(body))
    (story,) = captured(told, tmp_path).stories
    assert {actor.host for actor in story.actors} == {DEVICE, SERVER, CONTROL, "192.0.2.21"}


def test_several_connections_of_one_story_are_one(samples: Path) -> None:
    recording = recorded(samples / "others" / "airscand-push.pcap")
    scenario = extracted(recording, recording.story(Choice(stream=3))).scenario
    assert len({step.connection for step in scenario.steps}) == 10


@pytest.mark.parametrize(
    ("choice", "steps", "parties"),
    [
        (Choice(), 9, ["device", "server", "control"]),
        (Choice(service="WS-DSP"), 5, ["device", "server"]),
        (Choice(service="WS-DSC"), 4, ["control", "server"]),
        (Choice(host=CONTROL), 4, ["control", "server"]),
        (Choice(host=DEVICE, service="WS-DSP"), 5, ["device", "server"]),
        (Choice(stream=1), 4, ["control", "server"]),
        (Choice(stream=3), 5, ["device", "server"]),
        (Choice(job="dc2c"), 9, ["device", "server", "control"]),
    ],
)
def test_a_part_of_a_story(samples: Path, choice: Choice, steps: int, parties: list[str]) -> None:
    recording = recorded(samples / "dsc-management.pcapng")
    scenario = extracted(recording, recording.story(choice)).scenario
    assert (len(scenario.steps), list(scenario.parties)) == (steps, parties)
    assert scenario.missing == []


@pytest.mark.parametrize("choice", [Choice(host="192.0.2.99"), Choice(service="WS-DSD"), Choice(stream=77)])
def test_what_is_not_there(samples: Path, choice: Choice) -> None:
    with pytest.raises(UnreadableInput, match=r"no sequence in it fits; “--list” shows what there is \(one sequence\)"):
        recorded(samples / "dsc-management.pcapng").story(choice)
    with pytest.raises(UsageError, match="no job's id begins with ffff"):
        recorded(samples / "dsc-management.pcapng").story(Choice(job="ffff"))


def test_a_job_takes_its_own_subscription_with_it_and_no_other(samples: Path) -> None:
    recording = recorded(samples / "dsm-two-jobs.pcapng")
    for job, other in zip(recording.jobs, reversed(recording.jobs), strict=True):
        story = recording.story(Choice(job=job.id[:6]))
        assert [one.request.name for one in story.rounds][:3] == ["Get", "Subscribe", "CreatePostScanJobRequest"]
        assert len(story.rounds) == (9 if job is recording.jobs[0] else 8)
        assert [one.id for one in story.jobs] == [job.id]
        scenario = extracted(recording, story).scenario
        assert not any(other.id in value.recorded for value in scenario.values.values())
        assert {value.recorded for value in scenario.values.values() if value.kind == "token"} == {job.id}


def test_jobs_in_a_row_keep_what_stands_near_them(tmp_path: Path) -> None:
    talk = Talk()
    for job in ("7", "8", "9"):
        talk.ask("GetScannerElements", f"<wscn:Note>{job}</wscn:Note>", "")
        talk.ask("CreateScanJob", "", f"<wscn:JobId>{job}</wscn:JobId><wscn:JobToken>t{job}</wscn:JobToken>")
        talk.ask("CancelJob", f"<wscn:JobId>{job}</wscn:JobId>", "")
    recording = captured(talk.story, tmp_path)
    assert [job.id for job in recording.jobs] == ["7", "8", "9"]
    story = recording.story(Choice(job="8"))
    names = [one.request.name.removesuffix("Request") for one in story.rounds]
    assert names == ["GetScannerElements", "CreateScanJob", "CancelJob", "GetScannerElements"]
    assert b"<wscn:Note>8<" in story.rounds[0].request.envelope.xml


def test_a_subscription_that_nothing_came_for_stays_where_it_was_made(tmp_path: Path) -> None:
    """A device whose sink was never reached unsubscribes after its job, and so right before the next one."""
    talk = Talk()
    for job in ("7", "8"):
        sink, manager = f"http://192.0.2.40:5358/{job}", "http://192.0.2.10:5357/wsd/scan/events"
        talk.subscribe(sink, f"urn:x:{job}", manager, f"urn:uuid:0000000{job}-0000-4000-8000-000000000000")
        talk.ask("CreateScanJob", "", f"<wscn:JobId>{job}</wscn:JobId><wscn:JobToken>t{job}</wscn:JobToken>")
        talk.ask("CancelJob", f"<wscn:JobId>{job}</wscn:JobId>", "")
        talk.manage("Unsubscribe", manager, f"urn:uuid:0000000{job}-0000-4000-8000-000000000000")
    recording = captured(talk.story, tmp_path)
    story = recording.story(Choice(job="8"))
    names = [one.request.name.removesuffix("Request") for one in story.rounds]
    assert names == ["Subscribe", "CreateScanJob", "CancelJob", "Unsubscribe"]
    assert extracted(recording, story).scenario.missing == []


# -- what is missing ------------------------------------------------------------------------------------------------

DAMAGED: dict[str, Callable[[list[str]], bool]] = {
    "dsm-one-direction.pcap": lambda told: sum("the capture holds no answer" in one for one in told) == 7,
    "dsm-lost-segment.pcap": lambda told: any("bytes are not in the capture (between frames" in one for one in told),
    "dsm-lost-head.pcap": lambda told: any("holds no answer" in one or "left out" in one for one in told),
    "dsm-lost-part-head.pcap": lambda told: any("of the part" in one or "not in the capture" in one for one in told),
    "dsm-cut-file.pcap": lambda told: len(told) > 0,
    "dsm-cut-packets.pcap": lambda told: any("bytes are not in the capture" in one for one in told),
    "dsm-ended-early.pcap": lambda told: any("holds no answer" in one or "end" in one for one in told),
    "dsm-began-late.pcap": lambda told: any("what handed it out is not in the capture" in one for one in told),
}  # fmt: skip


def test_every_damaged_sample_gives_a_scenario_that_says_what_is_missing(samples: Path) -> None:
    said = {}
    for path in sorted((samples / "damaged").iterdir()):
        recording = recorded(path)
        scenario = extracted(recording, recording.story(Choice())).scenario
        assert scenario.steps
        said[path.name] = scenario.missing
        placed = [one for one in scenario.missing if one.startswith("step ") and not one.endswith("more of that kind")]
        assert all("(frame" in text or "(between frames" in text for text in placed), placed
    for name, right in DAMAGED.items():
        assert right(said[name]), (name, said[name])
    for name in ("dsm-reordered.pcap", "dsm-ipv6.pcap", "dsm-vxlan.pcap", "dsm-canceled.pcap.gz"):
        assert said[name] == [], name


def test_an_answer_without_request_is_told(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "")
    told = talk.story
    told.turns[:0] = [type(told.turns[0])(talk.calls, told.turns[1].data, True)]
    scenario = made(told, tmp_path)
    assert [text for text in scenario.missing if "its request is not in the capture" in text]
    assert len(scenario.steps) == 1


def test_the_end_of_a_subscription_is_told_to_its_party(tmp_path: Path) -> None:
    talk = Talk()
    sink = f"http://{CLIENT}:5358/events"
    talk.subscribe(sink, "urn:uuid:0", f"{talk.url}/subs", "urn:uuid:1")
    talk.ask("GetScannerElements", "", "")
    end = wsd.envelope(
        f"{wsd.WSE}/SubscriptionEnd", "<wse:SubscriptionEnd/>", message_id="urn:uuid:9", to=sink,
        namespaces=wsd.ns(wse=wsd.WSE),
    )  # fmt: skip
    talk.story.ask(talk.events, wsd.request("/events", f"{CLIENT}:5358", end), wsd.accepted())
    scenario = made(talk.story, tmp_path)
    last = scenario.steps[-1]
    assert (last.name, last.event, last.sender, last.receiver) == ("SubscriptionEnd", True, "scanner", "client")
    assert list(scenario.parties) == ["client", "scanner"]


def test_the_party_that_is_played_unless_told_otherwise(tmp_path: Path, samples: Path) -> None:
    assert made(sink_elsewhere().story, tmp_path).plays == "client"
    recording = recorded(samples / "dsc-management.pcapng")
    assert extracted(recording, recording.story(Choice())).scenario.plays == "device"
    assert extracted(recording, recording.story(Choice(service="WS-DSC"))).scenario.plays == "control"
    with pytest.raises(UsageError, match="--as printer: the parties are device and server and control"):
        extracted(recording, recording.story(Choice()), plays="printer")


@pytest.mark.parametrize(("device", "port"), [(DEVICE, 5358), (DEVICE, 5360), (CLIENT, 5358)])
def test_a_device_that_asks_back_is_still_the_device(tmp_path: Path, device: str, port: int) -> None:
    """A scanner looks at the metadata of who subscribed, at its sink's end or another; also on one machine."""
    talk = Talk(device=device)
    sink = f"http://{CLIENT}:5358/events"
    talk.ask("GetScannerElements", "", "")
    talk.subscribe(sink, "urn:uuid:0", f"{talk.url}/subs", "urn:uuid:1")
    talk.tell("JobStatusEvent", "<wscn:JobStatus><wscn:JobId>3</wscn:JobId></wscn:JobStatus>", sink, "urn:uuid:0")
    talk.story.channels["back"] = Channel(device, CLIENT, port)
    get = wsd.envelope(
        "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get", "", message_id="urn:uuid:7", to="urn:uuid:8"
    )
    talk.story.ask("back", wsd.request("/", f"{CLIENT}:{port}", get), wsd.response(get))
    scenario = made(talk.story, tmp_path)
    assert list(scenario.parties) == ["client", "scanner"]
    assert [(one.name, one.sender) for one in scenario.steps if one.name == "Get"] == [("Get", "scanner")]
