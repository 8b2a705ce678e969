"""Captures as scenarios: which messages, whose, and everything that must change has a name."""

from __future__ import annotations

import gzip
import hashlib
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

import dissector
from dissector.base.errors import UnreadableInput, UsageError
from dissector.base.origin import Endpoint
from dissector.http.writer import build_multipart
from replay.cli.main import main
from replay.net.receiver import HttpReceiver
from replay.scenario.extract import Choice, extract, extracted, recorded
from replay.scenario.files import Folder, load_scenario, save_scenario
from replay.scenario.material import Slice
from replay.scenario.model import Scenario, Wire
from replay.scenario.wires import bytes_of
from replay.soap.caller import read_message
from tests.support import wsd
from tests.support.scenarios import MemoryFolder, plain
from tests.support.talk import Talk
from tests.support.wire import frames_of, write_pcap

SAMPLES = Path(__file__).parents[3] / "pcaps"

WHOLE = [
    "dsm-completed.pcapng", "dsm-completed-with-warnings.pcapng", "dsm-canceled.pcapng", "scan-push.pcapng",
    "scan-pull-events.pcapng", "emulated/device-completed.pcap", "emulated/device-polls.pcap",
    "emulated/airscan-duplex.pcap", "others/debian-gray-mfp.pcap",
]  # fmt: skip


def saved(samples: Path, name: str, folder: Path, choice: Choice | None = None) -> tuple[Scenario, Folder]:
    scenario, contents = extract(samples / name, choice)
    save_scenario(scenario, contents, folder)
    return load_scenario(folder)


@pytest.mark.parametrize("name", WHOLE)
def test_messages_are_kept_to_the_byte(samples: Path, tmp_path: Path, name: str) -> None:
    scenario, folder = saved(samples, name, tmp_path)
    recorded = {value.name: value.recorded for value in scenario.values.values()}
    with dissector.open(str(samples / name), keep=True) as capture:
        messages = [one for one in capture.messages if one.http is not None]
    kept = {(one.http.head, one.envelope.xml if one.envelope else b"") for one in messages if one.http is not None}

    def again(wire: Wire, request: bool) -> None:
        receiver = HttpReceiver(Endpoint("192.0.2.1", 1), Endpoint("192.0.2.2", 2), responses=not request)
        if not request:
            receiver.asked()
        read = receiver.feed(b"".join(bytes_of(wire, folder, recorded)), 1) + receiver.end()
        assert len(read) == 1
        assert read[0].complete
        message = read_message(read[0])
        xml = message.envelope.xml if message is not None and message.envelope is not None else b""
        assert (read[0].head, xml) in kept

    for step in scenario.steps:
        again(step.message, request=True)
        if step.answer is not None:
            again(step.answer, request=False)
    images = {one.content.sha256 for message in messages for one in message.attachments}
    stored = {hashlib.sha256(one.read_bytes()).hexdigest() for one in (tmp_path / "images").glob("*")}
    assert stored == images


@pytest.mark.parametrize("name", ["dsm-completed.pcapng", "scan-push.pcapng", "emulated/device-completed.pcap"])
def test_what_is_handed_out_stands_nowhere_any_more(samples: Path, tmp_path: Path, name: str) -> None:
    scenario, _ = saved(samples, name, tmp_path)
    texts = [one.read_bytes() for kind in ("bodies", "heads") for one in (tmp_path / kind).iterdir()]
    handed = [v.recorded for v in scenario.values.values() if v.maker and v.kind in ("token", "identifier")]
    assert handed
    for value in handed:
        if len(value) > 6:
            assert not any(value.encode() in text for text in texts), value


def test_who_says_what(samples: Path) -> None:
    scenario, _ = extract(samples / "emulated" / "device-completed.pcap")
    assert {one.role for one in scenario.parties.values()} == {"DSM device", "scan server"}
    assert scenario.plays == "device"
    assert all(step.sender == ("server" if step.event else "device") for step in scenario.steps)
    assert scenario.steps[0].name == "Get"
    assert scenario.steps[-2].name == "PostScanJobEndStateEvent"
    assert scenario.steps[-1].name == "Unsubscribe"
    assert scenario.values["job_token"].step == 3
    assert scenario.values["user_identifier"].maker == ""
    assert scenario.parties["server"].bases == ("http://192.0.2.30:5362",)
    assert len(scenario.parties["device"].bases) == 1
    assert scenario.missing == []


def test_a_scenario_is_the_same_whoever_is_played(samples: Path) -> None:
    scenario, contents = extract(samples / "emulated" / "device-completed.pcap")
    other, same = extract(samples / "emulated" / "device-completed.pcap", plays="server")
    assert other.plays == "server"
    other.plays = scenario.plays
    assert other == scenario
    assert plain(same) == plain(contents)
    token, sink = scenario.values["job_token"], scenario.values["sink_address"]
    assert (token.maker, token.step, token.part) == ("server", 3, "answer")
    assert (sink.maker, sink.step, sink.part) == ("device", 2, "message")
    with pytest.raises(UsageError, match="the parties are device and server"):
        extract(samples / "emulated" / "device-completed.pcap", plays="scanner")


def test_one_job_of_two(samples: Path) -> None:
    with dissector.open(str(samples / "dsm-two-jobs.pcapng")) as capture:
        first, second = (job.id for job in capture.jobs)
    assert first is not None
    assert second is not None
    _, contents = extract(samples / "dsm-two-jobs.pcapng", Choice(job=first))
    assert not any(second.encode() in data for data in plain(contents).values())


def test_what_a_capture_does_not_hold_is_said(samples: Path) -> None:
    scenario, _ = extract(samples / "damaged" / "dsm-one-direction.pcap")
    assert any("holds no answer" in text for text in scenario.missing)
    scenario, _ = extract(samples / "damaged" / "dsm-lost-segment.pcap")
    assert any("bytes are not in the capture (between frames" in text for text in scenario.missing)


def test_nothing_to_extract(samples: Path) -> None:
    with pytest.raises(UnreadableInput, match="no sequence in it fits"):
        extract(samples / "others" / "windows-hello.pcap")
    with pytest.raises(UnreadableInput, match="no sequence in it fits"):
        extract(samples / "dsm-completed.pcapng", Choice(host="192.0.2.99"))


def test_where_nothing_tells_of_scanning_the_metadata_are_a_story(samples: Path) -> None:
    scenario, _ = extract(samples / "others" / "disc-debian.pcap")
    assert [one.name for one in scenario.steps] == ["Get"]
    # A capture that has a scan has no such stories beside it.
    scenario, _ = extract(samples / "others" / "scan-debian-adf.pcap")
    assert {one.role for one in scenario.parties.values()} == {"scan client", "scanner"}


def test_an_encrypted_capture_is_as_good_as_a_plain_one(samples: Path) -> None:
    scenario, contents = extract(samples / "emulated" / "device-https.pcapng")
    assert scenario.parties["server"].bases == ("https://192.0.2.30:5362",)
    assert scenario.parties["device"].bases[0].startswith("https://192.0.2.10:")
    assert scenario.steps[-1].name == "Unsubscribe"
    assert scenario.missing == []
    assert scenario.values["sink_address"].recorded.startswith("https://")
    assert b"POST ${service_path}" in plain(contents)[scenario.steps[0].message.head]


def test_interim_answers_are_no_steps_and_expect_is_kept(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "", http="Expect: 100-continue\r\n")
    request, answer = talk.story.turns
    head, _, body = request.data.partition(b"\r\n\r\n")
    talk.story.turns[:] = [
        replace(request, data=head + b"\r\n\r\n"), replace(answer, data=b"HTTP/1.1 100 Continue\r\n\r\n"),
        replace(request, data=body), answer,
    ]  # fmt: skip
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    scenario, contents = extract(path)
    assert scenario.missing == []
    (step,) = scenario.steps
    assert step.answer is not None
    recorded = {value.name: value.recorded for value in scenario.values.values()}
    assert b"".join(bytes_of(step.message, MemoryFolder(contents), recorded)) == request.data
    assert b"".join(bytes_of(step.answer, MemoryFolder(contents), recorded)) == answer.data


def test_bodies_without_soap_are_kept(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "")
    page = b"<html>\xff busy ${x}</html>"
    head = b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
    talk.story.turns[1].data = head + page
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    scenario, contents = extract(path)
    answer = scenario.steps[0].answer
    assert answer is not None
    assert answer.file == "bodies/001-GetScannerElementsRequest-answer.html"
    assert plain(contents)[answer.file] == page
    assert b"".join(bytes_of(answer, MemoryFolder(contents), {})) == head + page
    save_scenario(scenario, contents, tmp_path / "scenario")
    assert load_scenario(tmp_path / "scenario")[0].steps[0].answer == answer


def test_what_does_not_come_back_to_the_byte_is_said(tmp_path: Path) -> None:
    talk = Talk()
    talk.ask("GetScannerElements", "", "")
    head, _, body = talk.story.turns[1].data.partition(b"\r\n\r\n")
    packed = gzip.compress(body)
    lines = [one for one in head.split(b"\r\n") if not one.startswith(b"Content-Length")]
    lines += [b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed)]
    talk.story.turns[1].data = b"\r\n".join(lines) + b"\r\n\r\n" + packed
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    recording = recorded(path)
    made = extracted(recording, recording.story(Choice()))
    assert made.scenario.missing == []
    assert made.inexact == ["step 1, GetScannerElementsResponse (answer): a compressed body is compressed anew"]
    whole = recorded(SAMPLES / "dsm-completed.pcapng")
    assert extracted(whole, whole.story(Choice())).inexact == []


def test_large_pictures_are_not_held(tmp_path: Path) -> None:
    """Those above the reader's bound go from its temporary file to the scenario's in pieces."""
    picture = random.Random(1).randbytes(3 << 20)
    talk = Talk()
    talk.ask("RetrieveImage", "<wscn:JobId>4</wscn:JobId>", "<wscn:ScanData/>")
    request, answer = talk.story.turns
    root = answer.data.partition(b"\r\n\r\n")[2]
    kind, body = build_multipart(root, [([("Content-ID", "<1>")], picture)], "b1")
    answer.data = wsd.response(body, content_type=kind, chunk=5000)
    path = tmp_path / "told.pcap"
    path.write_bytes(write_pcap(frames_of(talk.story)))
    scenario, contents = extract(path)
    assert all(isinstance(one, Slice) or len(one) < 5000 for one in contents.values())
    tracemalloc.start()
    save_scenario(scenario, contents, tmp_path / "scenario")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20
    (image,) = (tmp_path / "scenario" / "images").iterdir()
    assert image.read_bytes() == picture
    assert request.data.startswith(b"POST")


def test_a_second_recording_settles_the_doubtful(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for number, session in enumerate(("A7fK2q", "Zk19pQ")):
        talk = Talk(number + 1)
        talk.ask("Other", "", f"<v:Session>{session}</v:Session><v:Word>x9K2p7</v:Word><v:Lot>{number}</v:Lot>")
        talk.ask("Other", f"<v:Session>{session}</v:Session><v:Word>x9K2p7</v:Word>", "")
        talk.ask("GetScannerElements", "", "")
        paths.append(tmp_path / f"{number}.pcap")
        paths[-1].write_bytes(write_pcap(frames_of(talk.story)))
    alone, _ = extract(paths[0])
    assert {name: alone.values[name].sure for name in ("session", "word")} == {"session": False, "word": False}
    assert main(["extract", str(paths[0]), "-o", str(tmp_path / "alone")]) == 0
    assert "  doubtful  session, word (--with a second recording settles them)\n" in capsys.readouterr().out
    assert main(["extract", str(paths[0]), "--with", str(paths[1]), "-o", str(tmp_path / "s")]) == 0
    settled, _ = load_scenario(tmp_path / "s")
    assert settled.values["session"].sure
    assert "word" not in settled.values
    assert settled.values["lot"].maker == "scanner"
    assert main(["extract", str(paths[0]), "--with", str(SAMPLES / "dsm-completed.pcapng"), "--explain"]) == 2
    assert "it holds nothing of WS-Scan" in capsys.readouterr().err
