"""The judge and its reports: what a peer sends is compared with what was recorded, and what is said of it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree

from dissector.base.origin import Endpoint
from dissector.messages import Message
from dissector.output.jsontext import dumps
from replay.net.receiver import HttpReceiver
from replay.player.judge import MAX_DIFFERENCES, Judge, ValueRule
from replay.player.result import Result
from replay.player.step import StepResult
from replay.report.html import run_page
from replay.report.junit import run_suite
from replay.report.text import step_lines, summary_lines
from replay.soap.caller import read_message
from tests.fuzz.oracles import Broken, harmless
from tests.fuzz.targets.target import Cutter, Target
from tests.support.stories import STORIES

__all__ = ["JUDGING"]

_CLIENT, _SERVER = Endpoint("127.0.0.1", 50000), Endpoint("127.0.0.1", 5357)
_RULES = [
    ValueRule("**/JobToken", "uuid"),
    ValueRule("attachments", "pixels"),
    ValueRule("FilterStatus[2]/**", "ignore"),
]
_LONGEST = 1000
"""Characters of a sentence."""


def _read(data: bytes, *, responses: bool) -> Message | None:
    receiver = HttpReceiver(_SERVER, _CLIENT, responses=responses)
    if responses:
        receiver.asked()
    for http in [*receiver.feed(data, 1), *receiver.end()]:
        return read_message(http)
    return None


@cache
def _recorded() -> list[Message]:
    found = []
    for name in STORIES:
        for turn in STORIES[name]().turns:
            message = _read(turn.data, responses=turn.data.startswith(b"HTTP/")) if len(turn.data) < 9000 else None
            if message is not None:
                found.append(message)
    return found


def _judge(data: bytes) -> None:
    """Two bytes for the recorded message, then what comes."""
    cutter = Cutter(data)
    recorded = _recorded()[cutter.word() % len(_recorded())]
    received = _read(cutter.rest(), responses=recorded.http is not None and not recorded.http.is_request)
    if received is None:
        return
    judges = Judge(), Judge(_RULES, translate={"urn:uuid": "x", "http://": None, "Completed": "Aborted"})
    steps = []
    for judge in judges:
        for one, other in ((recorded, received), (received, recorded), (received, received)):
            found = judge.compare(one, other)
            if len(found) > MAX_DIFFERENCES + 1 or any(len(each.text) > _LONGEST for each in found):
                raise Broken("more is told than anybody reads")
            steps.append(StepResult(1, other.name, "different" if found else "same", differences=found))
    if received.complete and judges[0].compare(received, received):
        raise Broken("a message differs from itself")
    result = Result("s", "http://h/", steps, parties={"a": "A"})
    for line in [line for one in steps for line in step_lines(one)] + list(summary_lines(result)):
        harmless(line)
    json.loads(dumps(result.to_json()))
    ElementTree.fromstring(ElementTree.tostring(run_suite(result)))
    page = run_page(result)
    if page.count("<script") or page.count("<img") or page.count("<style") != 1:
        raise Broken("a peer's markup is in the page")
    page.encode()


def _seeds() -> Iterator[bytes]:
    number = 0
    for name in STORIES:
        for turn in STORIES[name]().turns:
            if len(turn.data) < 9000 and _read(turn.data, responses=turn.data.startswith(b"HTTP/")) is not None:
                yield number.to_bytes(2, "big") + turn.data
                number += 1


JUDGING = (
    Target("judge", _judge, _seeds, 1 << 14, (b"<dsp:", b"/>", b'xsi:nil="true"', b"<!--", b"</soap:Body>", b"&#0;")),
)
