"""Which request a response answers, and framing that depends on it."""

from __future__ import annotations

import pytest

from dissector.http.pairing import SWAPPED, Pairing, Request
from dissector.http.writer import build_request, build_response
from dissector.transport.model import StreamEnd
from replay.net.receiver import HttpReceiver
from tests.support.http_feed import CLIENT, SERVER, Feed

GET = build_request("GET", "/a", [("Host", "h")])
POST = build_request("POST", "/b", [("Host", "h")], b"<b/>")
HEAD = build_request("HEAD", "/c", [("Host", "h")])
OK = build_response(200, "OK", [], b"<ok/>")
HEADED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def answers(feed: Feed) -> list[int | None]:
    return [m.answers for m in feed.messages if not m.is_request]


def test_in_turn() -> None:
    feed = Feed()
    for _ in range(3):
        feed.up.data(POST)
        feed.down.data(OK)
    assert answers(feed) == [0, len(POST), 2 * len(POST)]


@pytest.mark.parametrize("first", ["up", "down"])
def test_a_batch_of_one_direction_at_a_time(first: str) -> None:
    """All requests before all responses, or the other way round: frames tell."""
    feed = Feed()
    count = 5

    def up() -> None:
        for i in range(count):
            feed.up.data(POST, frame=10 * i + 1)

    def down() -> None:
        for i in range(count):
            feed.down.data(OK, frame=10 * i + 2)

    for turn in (up, down) if first == "up" else (down, up):
        turn()
    assert answers(feed) == [i * len(POST) for i in range(count)]


@pytest.mark.parametrize("begun", [True, False])
def test_a_later_request_is_not_answered(begun: bool) -> None:
    """Unless none is missing, and it is a few frames later only: those a capture can swap."""
    for lost, frame in ((True, 10), (False, 5 + SWAPPED + 1)):
        feed = Feed()
        side = feed.up if begun else feed.down
        if lost:
            side.gap(0, "start")
        feed.up.data(POST, frame=frame)
        feed.down.data(OK, frame=5)
        feed.down.data(OK, frame=frame + 1)
        assert answers(feed) == [None, 0]


@pytest.mark.parametrize("first", ["up", "down"])
@pytest.mark.parametrize("late", [1, SWAPPED])
def test_a_request_that_was_captured_behind_its_answer(late: int, first: str) -> None:
    """It is its request all the same, and that of no other answer."""
    feed = Feed()

    def up() -> None:
        for frame in (1, 9 + late, 100):
            feed.up.data(POST, frame=frame)

    def down() -> None:
        for frame in (2, 9, 101):
            feed.down.data(OK, frame=frame)

    for turn in (up, down) if first == "up" else (down, up):
        turn()
    assert answers(feed) == [0, len(POST), 2 * len(POST)]


def test_pipelined() -> None:
    feed = Feed()
    feed.up.data(GET + POST + GET)
    feed.down.data(OK + OK + OK)
    assert answers(feed) == [0, len(GET), len(GET + POST)]


def test_interim_answers_do_not_use_up_the_request() -> None:
    feed = Feed()
    feed.up.data(POST)
    feed.down.data(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert [m.status for m in feed.messages] == [0, 100, 200]
    assert feed.messages[-1].answers == 0


def test_answer_to_head_has_no_body() -> None:
    feed = Feed()
    feed.up.data(HEAD)
    feed.up.data(POST)
    feed.down.data(HEADED)
    feed.down.data(OK)
    assert [(m.status, m.body.size, m.complete) for m in feed.messages if not m.is_request] == [
        (200, 0, True),
        (200, 5, True),
    ]


@pytest.mark.parametrize("first", ["up", "down"])
@pytest.mark.parametrize(
    ("headed", "body"),
    [
        (HEADED, b"<oh/>"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n<oh/>\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n", b"<oh/>"),
    ],
    ids=["length", "chunked", "gzip"],
)
def test_a_body_behind_an_answer_to_head(headed: bytes, body: bytes, first: str) -> None:
    """What Python's cheroot sends; the same however late the request is known."""
    for cuts in (False, True):
        feed = Feed()
        sent = [(headed, 2), (body, 4), (OK, 6)]

        def up(feed: Feed = feed) -> None:
            feed.up.data(HEAD, frame=1)
            feed.up.data(POST, frame=5)

        if first == "up":
            up()
        for data, frame in sent:
            for piece in (data[at : at + 1] for at in range(len(data))) if cuts else (data,):
                feed.down.data(piece, frame=frame)
        if first == "down":
            up()
        feed.down.end(frame=9)
        one, two = [m for m in feed.messages if not m.is_request]
        assert (one.body.data(), one.complete, one.answers) == (b"<oh/>", True, 0)
        (finding,) = [f for f in one.findings if f.rule.startswith("http.head")]
        assert (finding.rule, finding.frames) == ("http.head-body", (4,))
        assert (two.body.size, two.findings, two.answers) == (5, [], len(HEAD))


@pytest.mark.parametrize("first", ["up", "down"])
@pytest.mark.parametrize("kind", ["Content-Encoding: gzip", "Content-Encoding: br", "Content-Type: multipart/related"])
def test_nothing_is_said_of_a_body_that_is_not_there(kind: str, first: str) -> None:
    for behind in (OK, b"\r\n" + OK, b"\r\n", b""):
        feed = Feed()
        turns = [lambda feed=feed: feed.up.data(HEAD, frame=1)]
        turns.append(lambda feed=feed: feed.down.data(HEADED[:-2] + kind.encode() + b"\r\n\r\n", frame=2))
        for turn in turns if first == "up" else reversed(turns):
            turn()
        if behind:
            feed.down.data(behind, frame=4)
        feed.down.end(StreamEnd.RESET, frame=9)
        answered = [m for m in feed.messages if not m.is_request]
        assert [(m.body.size, m.complete, m.findings) for m in answered] == [(0, True, [])] + [(5, True, [])] * (
            OK in behind
        )
        assert feed.conversation.findings == []


def test_a_body_of_an_empty_line_is_one() -> None:
    """Of an answer whose request is not in the capture, and of a request that waited for leave."""
    feed = Feed()
    feed.down.data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\r\n" + OK)
    feed.up.data(b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n\r\n" + POST)
    assert [m.body.size for m in feed.messages] == [2, 5, 2, 4]
    assert feed.findings == []


def test_what_follows_an_answer_to_head_that_says_no_length() -> None:
    """Nothing tells where it ends: it is skipped up to the next start line, or goes to the end of the connection."""
    feed = Feed()
    feed.up.data(HEAD)
    feed.down.data(b"HTTP/1.1 200 OK\r\n\r\n<oh/>")
    feed.up.data(POST)
    feed.down.data(OK)
    assert [m.body.size for m in feed.messages if not m.is_request] == [0, 5]
    assert [f.rule for f in feed.findings] == ["http.no-start-line"]
    feed = Feed()
    feed.up.data(HEAD)
    feed.down.data(b"HTTP/1.0 200 OK\r\n\r\n<oh/>")
    feed.down.end()
    assert feed.messages[-1].body.data() == b"<oh/>"
    assert [f.rule for f in feed.findings] == ["http.head-body"]


def test_a_live_client_has_the_answer_to_head_with_its_head() -> None:
    receiver = HttpReceiver(SERVER, CLIENT, responses=True)
    receiver.asked("HEAD")
    (answer,) = receiver.feed(HEADED, 0)
    assert (answer.status, answer.body.size, receiver.pending) == (200, 0, 0)


HEADED_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("headed", [HEADED, HEADED_CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("how", [StreamEnd.FIN, StreamEnd.RESET, StreamEnd.CAPTURE])
def test_the_last_answer_to_head_whose_request_is_known_later(headed: bytes, how: StreamEnd) -> None:
    feed = Feed()
    feed.down.data(headed, frame=2)
    feed.up.data(HEAD, frame=1)
    feed.down.end(how, frame=9)
    (answer,) = [m for m in feed.messages if not m.is_request]
    assert (answer.body.size, answer.complete, answer.findings) == (0, True, [])


@pytest.mark.parametrize("headed", [HEADED, HEADED_CHUNKED], ids=["length", "chunked"])
def test_a_gap_behind_an_answer_to_head(headed: bytes) -> None:
    feed = Feed()
    feed.down.data(headed, frame=2)
    feed.up.data(HEAD, frame=1)
    feed.down.gap(100)
    feed.down.data(OK, frame=4)
    assert [(m.body.size, m.complete) for m in feed.messages if not m.is_request] == [(0, True), (5, True)]


@pytest.mark.parametrize("headed", [HEADED, HEADED_CHUNKED], ids=["length", "chunked"])
def test_answer_to_head_before_the_request_is_known(headed: bytes) -> None:
    feed = Feed()
    feed.down.data(headed, frame=2)
    feed.down.data(OK, frame=4)
    feed.up.data(HEAD, frame=1)
    feed.up.data(POST, frame=3)
    feed.down.end(frame=9)
    answered = [m for m in feed.messages if not m.is_request]
    assert [m.body.size for m in answered] == [0, 5]
    assert [m.answers for m in answered] == [0, len(HEAD)]


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (b"CONNECT h:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Connection established\r\n\r\n"),
        (
            b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ),
    ],
)
def test_a_tunnel_is_opaque(request_head: bytes, answer: bytes) -> None:
    feed = Feed()
    feed.up.data(request_head)
    feed.down.data(answer)
    feed.up.data(b"\x16\x03\x01\x00\x05hello" + POST)
    feed.down.data(b"\x16\x03\x01\x00\x05hello" + OK)
    feed.up.end()
    feed.down.end()
    assert len(feed.messages) == 2
    assert all(m.complete for m in feed.messages)
    assert {f.severity for f in feed.findings} <= {"note"}


def test_connect_that_failed_is_no_tunnel() -> None:
    feed = Feed()
    feed.up.data(b"CONNECT h:443 HTTP/1.1\r\n\r\n")
    feed.down.data(build_response(403, "Forbidden", [], b"no"))
    feed.up.data(POST)
    feed.down.data(OK)
    assert [m.status for m in feed.messages] == [0, 403, 0, 200]


def test_answers_in_turn_without_length() -> None:
    """An answer that says no length, on a connection that goes on."""
    feed = Feed()
    feed.up.data(POST)
    feed.down.data(b"HTTP/1.1 202 Accepted\r\nServer: s\r\n\r\n")
    feed.up.data(POST)
    feed.down.data(b"HTTP/1.1 200 OK\r\nServer: s\r\n\r\n")
    feed.up.data(POST)
    feed.down.data(OK)
    assert [(m.status, m.body.size) for m in feed.messages if not m.is_request] == [(202, 0), (200, 0), (200, 5)]
    assert answers(feed) == [0, len(POST), 2 * len(POST)]


@pytest.mark.parametrize("late", [False, True])
def test_behind_a_loss_the_newest_request_is_answered_also_where_it_is_fed_later(late: bool) -> None:
    """What the client says while the server's gap is open is handed over after what the server said."""
    feed = Feed()

    def up(numbers: range) -> None:
        for i in numbers:
            feed.up.data(POST, frame=10 * i + 1)

    up(range(1))
    if not late:
        up(range(1, 4))
    feed.down.gap(100)
    for i in (1, 2, 3):
        feed.down.data(OK, frame=10 * i + 2)
    if late:
        up(range(1, 4))
    feed.up.data(POST, frame=51)
    feed.down.data(OK, frame=52)
    assert answers(feed) == [i * len(POST) for i in range(1, 5)]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("newer", "rules"), [(POST, []), (HEAD, ["http.head-body"])], ids=["post", "head"])
def test_behind_a_loss_what_is_said_of_head_is_that_of_the_newest(newer: bytes, rules: list[str], late: bool) -> None:
    feed = Feed()
    feed.up.data(HEAD, frame=1)
    if not late:
        feed.up.data(newer, frame=11)
    feed.down.gap(50)
    feed.down.data(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<oh/>" + OK, frame=12)
    if late:
        feed.up.data(newer, frame=11)
    answer = next(m for m in feed.messages if not m.is_request)
    assert (answer.answers, [f.rule for f in answer.findings]) == (len(HEAD), rules)


@pytest.mark.parametrize(
    ("sent", "heard", "answered"), [(8, 15, 372), (9, 15, 372), (10, 15, 0), (15, 15, 0), (8, 14, 0), (8, 9, 0)]
)
@pytest.mark.parametrize("late", [False, True])
def test_behind_a_loss_a_request_whose_head_comes_later_is_not_answered(
    sent: int, heard: int, answered: int, late: bool
) -> None:
    """Sent behind frame 9, or known (in frame 15) later than the answer; whether the newer request is handed over
    before the answer, or behind it."""
    pairing = Pairing(10)
    newer = Request(372, 7, "POST", 15, sent)
    pairing.request(Request(0, 1, "POST", 2, 2))
    if not late:
        pairing.request(newer)
    answer = pairing.response(0, 9, heard, lost=True)
    if late:
        pairing.request(newer)
    assert answer.request is not None
    assert answer.request.offset == answered


@pytest.mark.parametrize(("known", "answered"), [(47, [615, 1230]), (78, [615, 1230]), (79, [None, 1230])])
@pytest.mark.parametrize("late", [False, True])
def test_a_request_that_is_known_too_late_is_answered_all_the_same(
    known: int, answered: list[int | None], late: bool
) -> None:
    """It was sent before the answer in frame 13, whose head is known at 46; the next answer is none to it."""
    pairing = Pairing(10)
    requests = Request(615, 10, "POST", known, 10), Request(1230, 80, "POST", 80, 80)
    answers = []
    if not late:
        pairing.request(requests[0])
    answers.append(pairing.response(544, 13, 46, lost=False))
    if late:
        pairing.request(requests[0])
    pairing.request(requests[1])
    answers.append(pairing.response(1088, 81, 81, lost=False))
    assert [one.request and one.request.offset for one in answers] == answered
