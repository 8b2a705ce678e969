"""What the player compares and awaits is bounded: each bound at its edge."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from dissector.http.content import Content
from dissector.messages import Attachment, Message
from dissector.messages.images import real_type
from replay.player import attachments, elements, pairing
from replay.player.attachments import LOOK, SIZE_FACTOR, compare_attachments
from replay.player.awaited import CANDIDATES, Awaited, Deadlines
from replay.player.difference import LONG, shown
from replay.player.judge import MAX_DIFFERENCES, Judge
from replay.player.kinds import Value, kind
from replay.player.translation import SHORT, Translation
from replay.scenario.model import Step, Wire
from tests.support.judging import message


def step(number: int, *, time: float = 0.0, took: float = 0.0) -> Step:
    return Step(number, "PostScanJobStatusEvent", "WS-DSP", True, "server", "device", time, took, Wire("head"))


# -- what is awaited -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nearest", "taken"), [(CANDIDATES - 1, CANDIDATES - 1), (CANDIDATES, CANDIDATES), (CANDIDATES + 1, 1)]
)
def test_a_message_is_held_against_the_next_ones_of_its_name(nearest: int, taken: int) -> None:
    awaited = Awaited([step(number) for number in range(1, CANDIDATES + 3)])
    arrival = awaited.arrive(
        "device", "PostScanJobStatusEvent", "WS-DSP", None, lambda one: 0 if one.number == nearest else 1
    )
    assert arrival.step is not None
    assert arrival.step.number == taken


def test_a_deadline_is_the_recorded_time_after_what_was_done_and_the_slack() -> None:
    deadlines = Deadlines(begun=100.0, slack=10.0, first=120.0)
    # Nothing was done: the other side is given so long to begin.
    assert deadlines.of(step(2, time=3.0)) == 100.0 + 3.0 + 120.0
    deadlines.done(step(1, time=1.0, took=0.5), 200.0)
    assert deadlines.of(step(2, time=3.0)) == 200.0 + 1.5 + 10.0
    assert deadlines.of(step(1, time=1.0)) == 100.0 + 1.0 + 120.0
    # One that overtook the answer is not due in the past.
    assert deadlines.of(step(3, time=1.2)) == 200.0 + 10.0


# -- what is compared ------------------------------------------------------------------------------------------------

ENVELOPE = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>
<v:Body xmlns:v="urn:v">{}</v:Body></s:Body></s:Envelope>"""


def body(inner: str) -> Message:
    return message(ENVELOPE.format(inner))


@pytest.mark.parametrize(
    ("number", "last"),
    [
        (MAX_DIFFERENCES - 1, None), (MAX_DIFFERENCES, None),
        (MAX_DIFFERENCES + 1, "1 more difference, which is not listed"),
        (MAX_DIFFERENCES + 2, "2 more differences, which are not listed"),
    ],
)  # fmt: skip
def test_differences_of_one_message(number: int, last: str | None) -> None:
    def values(text: str) -> Message:
        return body("".join(f"<v:N{place}>{text}</v:N{place}>" for place in range(number)))

    found = Judge().compare(values("was"), values("came"))
    assert len(found) == min(number, MAX_DIFFERENCES) + (last is not None)
    assert (found[-1].text if last is not None else None) == last


def names(*texts: str) -> Message:
    return body("".join(f"<v:A><v:B>{text}</v:B><v:C>{text}</v:C></v:A>" for text in texts))


@pytest.mark.parametrize(("most", "moved"), [(11, False), (12, True), (13, True)])
def test_beyond_so_many_pairs_lists_are_paired_by_their_order(
    monkeypatch: pytest.MonkeyPatch, most: int, moved: bool
) -> None:
    """Four pairs, each with two children, are compared to find that the two have changed places."""
    monkeypatch.setattr(elements, "MAX_COMPARED", most)
    found = Judge().compare(names("one", "two"), names("two", "one"))
    assert (found == []) == moved


@pytest.mark.parametrize(("most", "moved"), [(3, False), (4, True), (5, True)])
def test_so_many_pairs_of_one_list_are_held_against_each_other(
    monkeypatch: pytest.MonkeyPatch, most: int, moved: bool
) -> None:
    monkeypatch.setattr(pairing, "MAX_PAIRS", most)
    pairs, _, _ = pairing.pair(["a", "b"], ["b", "a"], lambda one, other: int(one != other), lambda one: 0)
    assert (pairs == [(0, 1), (1, 0)]) == moved


@pytest.mark.parametrize(("length", "text"), [(LONG - 1, "whole"), (LONG, "whole"), (LONG + 1, "cut")])
def test_a_value_in_a_sentence(length: int, text: str) -> None:
    value = "v" * length
    assert shown(value) == (value if text == "whole" else "v" * (LONG - 1) + "…")


@pytest.mark.parametrize(("length", "found"), [(SHORT - 1, False), (SHORT, True), (SHORT + 1, True)])
def test_a_value_is_looked_for_in_longer_texts_from_so_many_characters_on(length: int, found: bool) -> None:
    value = "7" * length
    expected = Translation({value: "new"}).expect(f"urn:{value}:x")
    assert expected.text == ("urn:new:x" if found else f"urn:{value}:x")


@pytest.mark.parametrize(
    ("came", "fits"), [("PT89S", False), ("PT90S", True), ("PT110S", True), ("PT111S", False), ("PT100S", True)]
)
def test_a_duration_may_differ_by_a_tenth(came: str, fits: bool) -> None:
    assert kind("duration").fits(Value("PT100S"), Value(came)) is fits


# -- images ----------------------------------------------------------------------------------------------------------


def image(data: bytes) -> Attachment:
    return Attachment(Content(size=len(data), head=data[:64], data=data), "a@b", None, "", real_type(data[:64]), "X")


def grey(level: int, width: int = 10, height: int = 10) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height), level).save(out, "PNG")
    return out.getvalue()


def judged(recorded: bytes, received: bytes, how: str) -> list[str]:
    return [one.text for one in compare_attachments([image(recorded)], [image(received)], lambda _: how)]


@pytest.mark.parametrize(
    ("size", "fits"),
    [(99, False), (100, True), (101, True), (9_999, True), (10_000, True), (10_001, False)],
)
def test_how_much_larger_or_smaller_an_image_may_be(size: int, fits: bool) -> None:
    assert SIZE_FACTOR == 10
    assert (judged(b"\xff\xd8\xff" + bytes(997), b"\xff\xd8\xff" + bytes(size - 3), "type") == []) is fits


@pytest.mark.parametrize(("level", "fits"), [(101, True), (100 + int(LOOK), True), (101 + int(LOOK), False)])
def test_how_much_another_a_picture_may_look(level: int, fits: bool) -> None:
    assert (judged(grey(100), grey(level), "pixels") == []) is fits


@pytest.mark.parametrize(("height", "fits"), [(9, True), (10, True), (11, False)])
def test_the_pixels_of_a_picture(monkeypatch: pytest.MonkeyPatch, height: int, fits: bool) -> None:
    monkeypatch.setattr(attachments, "MAX_PIXELS", 100)
    found = judged(grey(100, 10, height), grey(100, 10, height), "pixels")
    assert found == ([] if fits else [
        "attachment 1 cannot be judged by its pixels: what was recorded has more than 100 pixels"
    ])  # fmt: skip


def test_our_bound_of_pixels_comes_before_that_of_the_library() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert attachments.MAX_PIXELS < 2 * Image.MAX_IMAGE_PIXELS
