"""What a second recording of the same story settles."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.scenario.correlate import find_values
from replay.scenario.two import align, settle
from replay.scenario.values import Place, Value
from tests.support.stories import Story, post_scan
from tests.support.talk import Talk, decoded, party, read
from tests.support.wsd import FILESHARE, FilterSpec


def job(seed: int) -> Story:
    return post_scan(
        seed, "Completed", ["PostScanJobCompletedSuccessfully"], [FilterSpec(FILESHARE)], [("png", b"\x89PNG")]
    )


def talk(session: str, extra: str = "", asked: str = "") -> Talk:
    made = Talk()
    made.ask("Other", "", f"<v:Session>{session}</v:Session>{extra}")
    made.ask("Other", f"<v:Session>{session}</v:Session>{asked}", "")
    return made


def settled(first: Talk, second: Talk) -> dict[str, Value]:
    messages = first.messages()
    values = find_values(messages, party)
    found = settle(messages, second.messages(), values, party)
    return {one.name: one for one in found if one.kind == "vendor"}


def test_a_doubtful_value_that_differs_is_sure() -> None:
    value = settled(talk("A7fK2q"), talk("Zk19pQ"))["session"]
    assert value.sure
    assert value.why.endswith("and it differs between the two recordings.")
    assert value.born == Place(1, "body", "Session")
    assert value.uses == [Place(2, "body", "Session")]


def test_a_doubtful_value_that_is_the_same_is_dropped() -> None:
    assert settled(talk("A7fK2q"), talk("A7fK2q")) == {}


@pytest.mark.parametrize("cookies", ["lang=en", "lang=en; lang=de"])
def test_a_cookie_that_is_the_same_is_dropped_however_often_it_stands(cookies: str) -> None:
    """The first one of a name counts, in both recordings."""
    told = Talk()
    told.ask("Other", "", "", http=f"Cookie: {cookies}\r\n")
    messages = told.messages()
    values = find_values(messages, party)
    assert [(one.recorded, one.sure) for one in values if one.kind == "cookie"] == [("en", False)]
    assert not [one for one in settle(messages, told.messages(), values, party) if one.kind == "cookie"]


def test_a_doubtful_value_without_its_like_stays_doubtful() -> None:
    second = Talk()
    second.ask("CancelJob", "<wscn:JobId>4</wscn:JobId>", "")
    assert settled(talk("A7fK2q"), second)["session"].sure is False


def test_the_values_that_were_given_are_not_changed() -> None:
    messages = talk("A7fK2q").messages()
    values = find_values(messages, party)
    settle(messages, talk("Zk19pQ").messages(), values, party)
    assert [one.sure for one in values if one.name == "session"] == [False]


def test_what_differs_elsewhere_is_a_value() -> None:
    first = talk(
        "same", "<v:Lot>blue</v:Lot><v:Same>x</v:Same><v:When>2026-01-01T00:00:00Z</v:When>", "<v:Lot>blue</v:Lot>"
    )
    second = talk(
        "same", "<v:Lot>green</v:Lot><v:Same>x</v:Same><v:When>2026-01-02T00:00:00Z</v:When>", "<v:Lot>green</v:Lot>"
    )
    values = settled(first, second)
    assert values.keys() == {"lot"}
    lot = values["lot"]
    assert (lot.recorded, lot.maker, lot.sure) == ("blue", "device", True)
    assert lot.why == "Lot of OtherResponse differs between the two recordings."
    assert lot.born == Place(1, "body", "Lot")
    assert lot.uses == [Place(2, "body", "Lot")]


def test_what_the_playing_side_sends_differently_is_a_parameter() -> None:
    values = settled(talk("same", asked="<v:Title>one</v:Title>"), talk("same", asked="<v:Title>two</v:Title>"))
    assert {name: one.maker for name, one in values.items()} == {"title": ""}


def test_equal_changes_of_short_texts_are_one_value_only_in_one_element() -> None:
    values = settled(talk("same", "<v:A>on</v:A><v:B>on</v:B>"), talk("same", "<v:A>off</v:A><v:B>off</v:B>"))
    assert values.keys() == {"a", "b"}


def test_a_name_that_is_taken_gets_a_number() -> None:
    first = talk("9f86d081884c7d65", "<w:Session xmlns:w='urn:w'>red</w:Session>")
    second = talk("1f86d081884c7d66", "<w:Session xmlns:w='urn:w'>tan</w:Session>")
    assert {one.recorded for one in settled(first, second).values()} == {"9f86d081884c7d65", "red"}
    assert settled(first, second).keys() == {"session", "session_2"}


def test_two_recordings_of_a_job_leave_nothing_to_find() -> None:
    first, second = decoded(job(1)), decoded(job(2))
    assert first[6].message_id != second[6].message_id
    values = find_values(first, party)
    assert settle(first, second, values, party) == values


def test_every_text_that_differs_is_a_value() -> None:
    """Without one of the finders, a second recording finds what it left out."""
    first, second = decoded(job(1)), decoded(job(2))
    values = [one for one in find_values(first, party) if one.name != "job_token"]
    found = [one for one in settle(first, second, values, party) if one.kind == "vendor"]
    assert [(one.name, one.maker, len(one.uses)) for one in found] == [("job_token", "server", 5)]


def test_states_and_numbers_differ_by_what_happened(samples: Path) -> None:
    first = read(samples / "emulated" / "device-completed.pcap")
    second = read(samples / "emulated" / "device-misbehaves.pcap")
    values = find_values(first, party)
    assert settle(first, second, values, party) == values


def test_messages_are_aligned_by_operation_and_order() -> None:
    first, second = talk("x").messages(), Talk()
    second.ask("CancelJob", "<wscn:JobId>4</wscn:JobId>", "")
    second.ask("Other", "", "")
    second.ask("Other", "", "")
    assert align(first, second.messages()) == {0: 2, 1: 3, 2: 4, 3: 5}
