"""The order of messages, where answers come before their requests, and that of findings."""

from __future__ import annotations

import io

import pytest

import dissector
from dissector import assembly
from dissector.base.findings import Finding
from dissector.base.limits import DEFAULT_LIMITS
from dissector.http.model import HttpMessage
from dissector.http.pairing import SWAPPED
from dissector.messages import MessageBuilder
from dissector.order import Entry, MessageOrder
from tests.fuzz.drive import told
from tests.support import wsd
from tests.support.stories import Channel, Story, dsm_completed
from tests.support.wire import frames_of, write_pcap


def _exchanges() -> list[tuple[HttpMessage, HttpMessage]]:
    """The requests of one connection, with their answers."""
    seen: list[HttpMessage] = []
    with dissector.open(io.BytesIO(write_pcap(frames_of(dsm_completed()))), keep=True) as capture:
        capture.on_http = seen.append
        capture.run()
    mine = [http for http in seen if http.stream.number == seen[0].stream.number]
    asked = {http.origin.ranges.pieces[0][1]: http for http in mine if http.is_request}
    return [(asked[http.answers], http) for http in mine if not http.is_request and http.answers is not None]


@pytest.mark.parametrize("says_first", [True, False])
def test_an_answer_whose_place_another_took_is_told_in_time(says_first: bool) -> None:
    """Two answers wait for one request: the one that says so (RelatesTo) is its answer, the other one, which has its
    place only, is let go, whichever came first."""
    (request, answer), (_, other), *_ = _exchanges()
    other.answers, answer.answers = answer.answers, None
    told: list[Finding] = []
    order = MessageOrder(MessageBuilder(lambda: 6), DEFAULT_LIMITS, told)

    def give(frame: int, http: HttpMessage) -> list[tuple[str, int | None]]:
        http.trigger = frame
        entry: Entry = (frame, frame, frame, http)
        return [(message.name, message.request) for message in order.told([entry])]

    for frame, early in enumerate((answer, other) if says_first else (other, answer), 1):
        assert not give(frame, early)
    met = give(3, request)
    assert [number for _, number in met] == [None, 1]
    (released, last) = give(2 + SWAPPED + 1, _exchanges()[2][0])
    assert released[1] is None
    assert released[0] != met[1][0] != last[0]
    assert not list(order.finish())


def test_findings_of_a_capture_stand_by_their_frames_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many connections those that are over are forgotten meanwhile, which ones goes by the blocks; here the first
    connection is over last, and what is found on it stands first."""
    monkeypatch.setattr(assembly, "PRUNED", 0)
    story = Story(channels={name: Channel("192.0.2.1", f"192.0.2.{host}", 80) for host, name in enumerate("abc", 2)})
    asked = wsd.request("/", "h", b"<a/>")
    for channel in "abc":
        story.say(channel, asked, pause=0.1)
        story.say(channel, b"junk" * 999, close=channel != "a")
    story.say("a", b"junk", close=True)
    data = write_pcap(frames_of(story))
    whole, pieces = told(data, 8 << 20), told(data, 200)
    assert whole == pieces
    assert [finding[6:19] for finding in whole["findings"]] == ["TCP stream 0:", "TCP stream 1:", "TCP stream 2:"]
