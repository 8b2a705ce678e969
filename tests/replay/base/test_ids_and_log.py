"""Identifiers and what the emulators say of themselves."""

from __future__ import annotations

import io
import json
import uuid

import pytest

from replay.base.clock import ManualClock
from replay.base.ids import Ids
from replay.base.log import KEPT_BODY, LONGEST, MAX_LISTED, REMEMBERED, Entry, JsonSink, Log, TextSink


def test_identifiers_are_the_same_again_from_the_same_seed() -> None:
    one, two, other, free = Ids(7), Ids(7), Ids(8), Ids()
    made = [one.guid(), one.urn(), one.word(), one.word(5)]
    assert made == [two.guid(), two.urn(), two.word(), two.word(5)]
    assert len({made[0], other.guid(), free.guid(), Ids().guid()}) == 4
    assert uuid.UUID(made[0]).version == 4
    assert made[1].startswith("urn:uuid:")
    assert [len(made[2]), len(made[3])] == [16, 5]
    assert len({free.guid() for _ in range(1000)}) == 1000


def test_entries_go_to_all_sinks_in_order() -> None:
    log, seen, late = Log(ManualClock()), [], []
    log.add(lambda entry: seen.append(entry.text))
    log.say("note", "one")
    log.add(lambda entry: late.append(entry.text))
    log.say("note", "two", number=2)
    assert (seen, late) == (["one", "two"], ["two"])
    assert [entry.facts for entry in log.entries] == [{}, {"number": 2}]


def test_memory_is_bounded() -> None:
    log, seen = Log(ManualClock()), []
    log.add(seen.append)
    log.say("sent", "short", body=b"x" * KEPT_BODY)
    log.say("sent", "long", body=b"x" * (KEPT_BODY + 1))
    log.say("note", "n" * (LONGEST + 5))
    assert [entry.body is None for entry in log.entries] == [False, True, True]
    assert len(seen[1].body or b"") == KEPT_BODY + 1
    assert log.entries[-1].text == "n" * LONGEST + "…"
    for _ in range(REMEMBERED + 5):
        log.say("note", "x")
    assert len(log.entries) == REMEMBERED


@pytest.mark.parametrize(("length", "kept"), [(LONGEST - 1, LONGEST - 1), (LONGEST, LONGEST), (LONGEST + 1, LONGEST)])
def test_facts_are_bounded_too(length: int, kept: int) -> None:
    log = Log(ManualClock())
    log.say("received", "x", message_id="m" * length, actions=["a" * length] * (MAX_LISTED + 1), status=200)
    facts = log.entries[-1].facts
    text = "m" * kept + ("…" if length > kept else "")
    assert facts["message_id"] == text
    assert facts["actions"] == [text.replace("m", "a")] * MAX_LISTED
    assert facts["status"] == 200


def test_lines_for_people() -> None:
    out = io.StringIO()
    log = Log(ManualClock(1_700_000_000_123_456_789), TextSink(out))
    log.say("received", "Get", body=b"<a/>")
    log.say("unheard-of", "x")
    assert out.getvalue() == "22:13:20.123 <- Get\n22:13:20.123    x\n"


def test_bodies_and_a_choice_of_kinds() -> None:
    out = io.StringIO()
    sink = TextSink(out, bodies=True, wanted=lambda entry: entry.kind != "note")
    sink(Entry(0, "note", "not wanted"))
    sink(Entry(0, "sent", "Get", body=b"<a>\n  \xff</a>"))
    assert [line.strip() for line in out.getvalue().splitlines()] == ["00:00:00.000 -> Get", "<a>", r"\ufffd</a>"]


def test_what_peers_say_cannot_steer_the_terminal() -> None:
    out = io.StringIO()
    nasty = "\x1b]0;title\x07\r\n\u202eevil\x9b31m"
    TextSink(out, bodies=True)(Entry(0, "received", nasty, body=nasty.encode()))
    for line in out.getvalue().splitlines():
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in line)


def test_one_json_object_a_line() -> None:
    out = io.StringIO()
    log = Log(ManualClock(), JsonSink(out))
    log.say("received", "a\n\x1b“b”", body=b"<a/>", number=1, odd=object, places=["x"])
    log.say("note", "two")
    one, two = (json.loads(line) for line in out.getvalue().splitlines())
    assert (one["kind"], one["text"], one["number"], one["places"]) == ("received", "a\n\x1b“b”", 1, ["x"])
    assert one["time"].startswith("2023-11-14T22:13:20")
    assert two["text"] == "two"
    assert out.getvalue().isascii()
    assert "\x1b" not in out.getvalue()


def test_json_has_bodies_and_leaves_out_what_is_not_wanted() -> None:
    out = io.StringIO()
    log = Log(ManualClock(), JsonSink(out, bodies=True, wanted=lambda entry: entry.kind == "sent"))
    log.say("received", "not wanted", body=b"<b/>")
    log.say("sent", "wanted", body="<a>\u00e9\xff</a>".encode("latin-1"))
    log.say("sent", "without")
    one, two = (json.loads(line) for line in out.getvalue().splitlines())
    assert one["body"] == "<a>\ufffd\ufffd</a>"
    assert "body" not in two
