"""Our reading against tshark's, on every sample; and the explanations of differences."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from dissector.base.errors import ExitCode, UnreadableInput, UsageError
from dissector.base.origin import Endpoint, Gap
from dissector.cli import main
from dissector.crosscheck import compare as comparing
from dissector.crosscheck import ours, run
from dissector.crosscheck.compare import compare
from dissector.crosscheck.ours import Direction, HttpFact, Side
from tests.support.sample_keys import key_files
from tests.support.stories import Channel, Story
from tests.support.wire import frames_of, write_pcap

SAMPLES = sorted(p for p in (Path(__file__).parent.parent.parent / "pcaps").rglob("*.pcap*") if p.is_file())
DEVICE, SERVER = Endpoint("192.0.2.10", 49152), Endpoint("192.0.2.20", 5362)


@pytest.mark.tshark
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.name)
def test_every_difference_on_the_samples_is_explained(sample: Path) -> None:
    out = io.StringIO()
    code = run([str(sample)], as_json=True, out=out, keyfiles=key_files(sample))
    result = json.loads(out.getvalue())
    assert [line for line in result["lines"] if line["verdict"] != "same" and not line["why"]] == []
    assert code == ExitCode.OK
    if "damaged" not in str(sample) and "others" not in str(sample) and not sample.name.startswith("tls"):
        verdicts = {line["verdict"] for line in result["lines"]}
        assert verdicts == {"same"}
        assert sum(line["kind"] == "message" for line in result["lines"]) >= 4


@pytest.mark.tshark
def test_options_of_the_other_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample, out = next(str(one) for one in SAMPLES if one.name == "dsm-completed.pcapng"), tmp_path / "out"
    assert main(["crosscheck", sample, "-o", str(out), "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("dsmshark: --jobs 2 makes nothing faster here: ")
    assert "HTTP messages: 22 same, 0 differ and are explained, 0 not explained\n" in out.read_text()
    # A head of more bytes than that is none that we read.
    assert main(["crosscheck", sample, "--limit", "head=100"]) == 0
    assert "HTTP messages: 4 same, 18 differ and are explained" in capsys.readouterr().out
    assert main(["crosscheck", sample, "-o", sample]) == 2
    assert "is the capture itself" in capsys.readouterr().err


def side(
    *, gaps: list[Gap] | None = None, body: str = "aa", size: int = 10, starts: tuple[str, ...] = ("POST /",)
) -> Side:
    return Side(
        {0: {DEVICE: Direction(DEVICE, 100, "ff", gaps or [])}},
        [HttpFact(0, True, start, 5, 10, body) for start in starts],
    )


def test_the_same_is_the_same() -> None:
    assert {line.verdict for line in compare(side(), side())} == {"same"}


def test_a_different_body_without_a_reason_is_not_explained() -> None:
    (line,) = [line for line in compare(side(), side(body="bb")) if line.verdict != "same"]
    assert line.verdict == "differs"
    assert line.unexplained


def test_a_lost_segment_explains_a_different_body() -> None:
    ours = side(gaps=[Gap(10, 20, "lost", 3, 4, 9)])
    ours.messages[0] = replace(ours.messages[0], complete=False)
    (line,) = [line for line in compare(ours, side(body="bb")) if line.verdict != "same"]
    assert "20 bytes of the stream were lost after frame 3" in line.why


def test_a_message_that_only_one_side_has() -> None:
    lines = compare(side(starts=("POST /", "POST /b")), side())
    (line,) = [line for line in lines if line.verdict != "same"]
    assert (line.verdict, line.what, line.unexplained) == ("only ours", "POST /b", True)
    lines = compare(side(gaps=[Gap(10, 20, "lost")]), side(starts=("POST /", "POST /b")))
    (line,) = [line for line in lines if line.verdict != "same"]
    assert (line.verdict, line.unexplained) == ("only tshark", False)


@pytest.mark.parametrize("lost", [0, 1, 3, 5])
def test_a_message_that_is_lost_among_others_alike(lost: int) -> None:
    starts = ["POST /a", "POST /b", "POST /a", "POST /c", "POST /a", "POST /a"]
    theirs = side(starts=tuple(starts[:lost] + starts[lost + 1 :]))
    lines = [line for line in compare(side(starts=tuple(starts)), theirs) if line.kind == "message"]
    assert [line.what for line in lines if line.verdict != "same"] == [starts[lost]]
    assert [line.what for line in lines] == starts


def test_comparing_takes_time_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is looked at a few times; the matcher, which is quadratic, gets none where all are alike."""
    looks = 0

    class Counted(HttpFact):
        def __getattribute__(self, name: str) -> object:
            nonlocal looks
            looks += name == "stream"
            return super().__getattribute__(name)

    given: list[int] = []

    class Matcher(SequenceMatcher[str]):
        def __init__(self, junk: None, one: list[str], two: list[str], autojunk: bool) -> None:
            given.append(len(one))
            super().__init__(junk, one, two, autojunk)

    monkeypatch.setattr(comparing, "SequenceMatcher", Matcher)
    many: list[HttpFact] = [Counted(number, False, "200", 5, 10, "aa") for number in [*range(1000), *[1000] * 1000]]
    assert {line.verdict for line in compare(Side({}, many), Side({}, many))} == {"same"}
    assert looks < 10 * len(many)
    assert max(given) == 0


def test_findings_of_messages_are_known_to_the_comparison(tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    head = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    story.ask("c", head, answer + b"<a/>")
    story.ask("c", head.replace(b"HEAD", b"GET"), answer + b"<b/>")
    capture = tmp_path / "head.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    side = ours.read([str(capture)])
    assert [(fact.start, fact.size) for fact in side.messages if not fact.is_request] == [("200", 4), ("200", 4)]
    assert side.rules == {0: {"http.head-body"}}
    assert side.opened == {0}


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (b"\r\n", "empty lines stand before it"),
        (b"POST /0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", "has a trailer"),
        (b"POST /0 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ""),
    ],
    ids=["empty lines", "trailer", "nothing"],
)
def test_what_stands_before_a_message_that_tshark_loses(before: bytes, why: str, tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    story.say("c", before + b"POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n<a/>")
    capture = tmp_path / "before.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    found = ours.read([str(capture)])
    theirs = replace(found, messages=found.messages[:-1])
    (line,) = [line for line in compare(found, theirs) if line.verdict != "same"]
    assert (line.verdict, line.what, line.unexplained) == ("only ours", "POST /1", not why)
    assert why in line.why
    theirs.messages = [*found.messages[:-1], replace(found.messages[-1], size=2, sha256="bb")]
    (line,) = [line for line in compare(found, theirs) if line.verdict != "same"]
    assert (line.verdict, line.what, line.unexplained) == ("differs", "POST /1", not why)
    assert why in line.why


HEAD_BODY = (
    b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
)  # fmt: skip
NOT_CHUNKED = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
)

TOO_LONG = (
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 6\r\n\r\n",
)


@pytest.mark.tshark
@pytest.mark.parametrize("odd", [HEAD_BODY, NOT_CHUNKED, TOO_LONG], ids=["head-body", "not-chunked", "length-exceeds"])
def test_a_body_that_tshark_does_not_follow_is_explained(odd: tuple[bytes, bytes], tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    for request, answer in (odd, (b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n", HEAD_BODY[1])):
        story.say("c", request)
        story.say("c", answer, back=True)
        story.say("c", b"<a/>", back=True)
    capture = tmp_path / "odd.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    out = io.StringIO()
    assert run([str(capture)], as_json=True, out=out) == ExitCode.OK
    lines = [line for line in json.loads(out.getvalue())["lines"] if line["verdict"] != "same"]
    assert [(line["what"], line["verdict"], bool(line["why"])) for line in lines] == [
        ("200", "differs", True), ("200", "only ours", True),
    ]  # fmt: skip


def test_a_body_that_was_not_sent_is_only_ours() -> None:
    mine, its = side(starts=("PUT /",)), side(starts=())
    mine.messages = [replace(mine.messages[0], complete=False, size=0)]
    mine.rules[0] = {"http.body-not-sent"}
    (line,) = [line for line in compare(mine, its) if line.verdict != "same"]
    assert "did not send it" in line.why


def test_bytes_between_messages_explain_what_tshark_joins() -> None:
    """A server that answers HEAD with a body: the next answer stands behind it."""
    ours = side(starts=("200", "200"))
    (line,) = [line for line in compare(ours, side(starts=("200",))) if line.verdict != "same"]
    assert line.unexplained
    ours.rules[0] = {"http.no-start-line"}
    (line,) = [line for line in compare(ours, side(starts=("200",))) if line.verdict != "same"]
    assert "bytes stand where a message has to begin" in line.why
    assert not line.unexplained


@pytest.mark.tshark
@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
def test_an_answer_without_length_on_a_lasting_connection_is_explained(length: bytes, tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    asked = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n<a/>"
    story.ask("c", asked, b"HTTP/1.1 202 Accepted\r\n" + length + b"\r\n")
    story.ask("c", asked, b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    capture = tmp_path / "length.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    out = io.StringIO()
    assert run([str(capture)], as_json=True, out=out) == ExitCode.OK
    lines = [line for line in json.loads(out.getvalue())["lines"] if line["verdict"] != "same"]
    assert [(line["what"], line["verdict"], "does not say its length" in line["why"]) for line in lines] == (
        [] if length else [("202", "differs", True), ("202", "only ours", True)]
    )


def test_http_inside_of_a_tunnel_is_only_ours(tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 3128)
    story.ask("c", b"CONNECT h:80 HTTP/1.1\r\n\r\n", b"HTTP/1.0 200 Connection established\r\n\r\n")
    story.say("c", b"POST /in HTTP/1.1\r\nContent-Length: 4\r\n\r\n<a/>")
    capture = tmp_path / "tunnel.pcap"
    capture.write_bytes(write_pcap(frames_of(story)))
    found = ours.read([str(capture)])
    theirs = replace(found, messages=[fact for fact in found.messages if fact.start != "POST /in"])
    (line,) = [line for line in compare(found, theirs) if line.verdict != "same"]
    assert (line.verdict, line.what) == ("only ours", "POST /in")
    assert "inside of a tunnel" in line.why


def test_an_answer_without_length_whose_end_came_early(tmp_path: Path) -> None:
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    story.ask("c", b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + b"<a/>" * 1000, close=True)
    frames = frames_of(story)
    (second,) = [at for at, frame in enumerate(frames) if len(frame.data) > 1000][1:2]
    late = [*frames[:second], *frames[second + 1 : -2], frames[second], *frames[-2:]]
    for order, reason in ((frames, ""), (late, "its body goes to the end of the connection")):
        capture = tmp_path / "close.pcap"
        capture.write_bytes(write_pcap(order))
        (answer,) = [fact for fact in ours.read([str(capture)]).messages if not fact.is_request]
        assert (answer.size, answer.complete) == (4000, True)
        assert answer.lost_by.startswith(reason)
        assert bool(answer.lost_by) is bool(reason)


def test_data_behind_the_end_explains_a_shorter_stream() -> None:
    mine, its = side(), side(body="bb")
    its.streams[0][DEVICE] = Direction(DEVICE, 120, "ee")
    assert any(line.unexplained for line in compare(mine, its) if line.kind == "stream")
    mine.rules[0] = {"tcp.after-end"}
    assert not any(line.unexplained for line in compare(mine, its) if line.kind == "stream")


def test_a_carriage_return_in_a_header_explains_a_longer_body() -> None:
    """lighttpd 1.4 makes a header line of a trailer, and ends it with CR CR LF."""
    mine = side()
    mine.rules[0] = {"http.header-value"}
    (line,) = [line for line in compare(mine, side(body="bb", size=33)) if line.verdict != "same"]
    assert "control characters" in line.why


def test_a_stream_that_begins_with_a_method_nobody_knows() -> None:
    ours, theirs = side(gaps=[Gap(0, 0, "start")]), side()
    theirs.streams[0][DEVICE] = Direction(DEVICE, 475, "ee")
    theirs.messages = side(body="bb").messages
    (line,) = [line for line in compare(ours, theirs) if line.kind == "stream"]
    assert "the capture began inside this stream" in line.why
    ours.opened.add(0)
    (line,) = [line for line in compare(ours, theirs) if line.kind == "stream"]
    assert "begins with no HTTP start line that we look for" in line.why


def test_a_stream_that_contradicts_its_own_messages() -> None:
    theirs = side()
    theirs.streams[0][DEVICE] = Direction(DEVICE, 90, "ee")
    (line,) = [line for line in compare(side(), theirs) if line.verdict != "same"]
    assert "contradicts its own HTTP reassembly" in line.why
    theirs.messages = side(body="bb").messages
    assert all(line.unexplained for line in compare(side(), theirs) if line.verdict != "same")


@pytest.mark.tshark
@pytest.mark.parametrize("late", [False, True])
def test_data_captured_behind_its_acknowledgement_is_explained(late: bool, tmp_path: Path) -> None:
    """As several receive queues deliver it. One body differs, so that the messages do not speak for us."""
    story = Story()
    story.channels["c"] = Channel("192.0.2.1", "192.0.2.2", 5357)
    story.ask("c", b"POST / HTTP/1.1\r\nContent-Length: 4000\r\n\r\n" + b"<a/>" * 1000, b"HTTP/1.1 204 No\r\n\r\n")
    story.ask("c", *HEAD_BODY)
    story.say("c", b"<a/>", back=True)
    frames = frames_of(story)
    if late:
        # The second of three segments comes behind the acknowledgement of all.
        frames.insert(7, frames.pop(4))
    capture = tmp_path / "late.pcap"
    capture.write_bytes(write_pcap(frames))
    out = io.StringIO()
    assert run([str(capture)], as_json=True, out=out) == ExitCode.OK
    lines = [line for line in json.loads(out.getvalue())["lines"] if line["kind"] == "stream"]
    assert [(line["verdict"], "1460 bytes are missing" in line["why"]) for line in lines] == [
        ("differs", True) if late else ("same", False), ("same", False),
    ]  # fmt: skip


@pytest.mark.parametrize("other", ["none.pcap", "text.pcap"])
def test_one_of_several_files_that_cannot_be_read_is_told(tmp_path: Path, other: str) -> None:
    """Both sides would leave it out, and nothing would differ."""
    (tmp_path / "text.pcap").write_text("no capture")
    with pytest.raises(UnreadableInput, match=other):
        run([str(SAMPLES[0]), str(tmp_path / other)], out=io.StringIO())


def test_standard_input_cannot_be_read_twice() -> None:
    with pytest.raises(UsageError, match="needs a file"):
        run(["-"], out=io.StringIO())
