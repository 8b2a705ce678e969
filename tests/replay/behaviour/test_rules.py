"""Rules of behaviour: how they are written, when they fire, what they order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from dissector.catalog import FAULTS
from replay.behaviour.effects import Effects, EndState, FaultOrder, ImageOrder, WireEffects
from replay.behaviour.file import ORDERS, help_text, load_behaviour, parse_rule, rule_from_json, rule_to_json
from replay.behaviour.rules import Behaviour

WIRE = WireEffects

CASES: list[tuple[str, Any, str, Effects]] = [
    ("delay", 2.5, "2.5", Effects(delay=2.5)),
    ("fault", "OperationFailed", "OperationFailed", Effects(fault=FaultOrder("OperationFailed"))),
    ("fault", "{urn:v}Jammed", "{urn:v}Jammed", Effects(fault=FaultOrder("Jammed", "urn:v"))),
    ("status", 503, "503", Effects(status=503)),
    ("ignore", True, "", Effects(ignore=True)),
    ("close_after", 0, "0", Effects(wire=WIRE(close_after=0))),
    ("reset_after", 100, "100", Effects(wire=WIRE(reset_after=100))),
    ("truncate", 10, "10", Effects(wire=WIRE(truncate=10))),
    ("slow", 1000, "1000", Effects(wire=WIRE(slow=1000))),
    ("content_length", "+10", "+10", Effects(wire=WIRE(content_length="+10"))),
    ("malformed", True, "", Effects(malformed=True)),
    ("relates_to", "wrong", "wrong", Effects(relates_to="wrong")),
    ("token", "stale", "stale", Effects(token="stale")),
    ("lost", True, "true", Effects(lost=True)),
    ("doubled", True, "", Effects(doubled=True)),
    ("reordered", True, "", Effects(reordered=True)),
    ("expire", True, "", Effects(expire=True)),
    ("end_state", "vendor:Parked|vendor:Late", "vendor:Parked|vendor:Late",
     Effects(end_state=EndState("vendor:Parked", ("vendor:Late",)))),
    ("image", {"cut": 100}, "cut-100", Effects(image=ImageOrder(cut=100))),
    ("image", {"as": "png"}, "as-png", Effects(image=ImageOrder(as_format="png"))),
    ("boundary", "bare", "bare", Effects(wire=WIRE(bare_boundary=True))),
    ("reason", "", "", Effects(wire=WIRE(reason=""))),
    ("split_head", True, "", Effects(wire=WIRE(split_head=True))),
]  # fmt: skip


def bare(effects: Effects) -> Effects:
    from dataclasses import replace

    return replace(effects, said=())


def test_every_order_has_a_case() -> None:
    assert {name for name, *_ in CASES} == set(ORDERS)


@pytest.mark.parametrize(("name", "value", "words", "effects"), CASES, ids=lambda one: str(one)[:20])
def test_orders_in_each_form(name: str, value: Any, words: str, effects: Effects, tmp_path: Path) -> None:
    assert bare(rule_from_json({"on": "SendImage", name: value}).effects) == effects
    assert (
        bare(parse_rule(f"SendImage: {name}={words}" if words or name == "reason" else f"SendImage: {name}").effects)
        == effects
    )
    import json

    (tmp_path / "rules.yaml").write_text(f"rules:\n  - on: SendImage\n    {name}: {json.dumps(value)}\n")
    loaded = load_behaviour(tmp_path / "rules.yaml")
    assert bare(loaded.choose("WS-DSP", "SendImage", "request")) == effects
    assert name in loaded.report()[0]["orders"]


def test_the_plain_form_is_read_back() -> None:
    for name, value, _, _ in CASES:
        rule = rule_from_json({"on": "*", name: value, "times": 2, "after": 1, "probability": 0.5, "where": {"a": "b"}})
        again = rule_from_json(rule_to_json(rule))
        assert bare(again.effects) == bare(rule.effects)
        assert (again.on, again.times, again.after, again.probability, again.where) == ("*", 2, 1, 0.5, {"a": "b"})


def fired(behaviour: Behaviour, count: int, **facts: str) -> list[bool]:
    return [bool(behaviour.choose("WS-DSP", "SendImage", "request", facts)) for _ in range(count)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("delay=1", [True] * 5),
        ("delay=1, times=2", [True, True, False, False, False]),
        ("delay=1, after=2", [False, False, True, True, True]),
        ("delay=1, after=1, times=1", [False, True, False, False, False]),
        ("delay=1, probability=0", [False] * 5),
    ],
)
def test_counting(words: str, expected: list[bool]) -> None:
    assert fired(Behaviour([parse_rule(f"SendImage: {words}")]), 5) == expected


@pytest.mark.parametrize(
    ("on", "fits"),
    [
        ("SendImage", True),
        ("WS-DSP.SendImage", True),
        ("operations", True),
        ("*", True),
        ("events", False),
        ("EndPostScanJob", False),
    ],
)
def test_what_a_rule_is_about(on: str, fits: bool) -> None:
    assert fired(Behaviour([parse_rule(f"{on}: delay=1")]), 1) == [fits]


def test_where_looks_at_the_facts() -> None:
    behaviour = Behaviour([parse_rule("SendImage: delay=1, where.document_id=2")])
    assert fired(behaviour, 1, document_id="1") == [False]
    assert fired(behaviour, 1, document_id="2") == [True]
    assert fired(behaviour, 1) == [False]


@given(st.integers(), st.floats(0.01, 0.99))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_gives_the_same_run(seed: int, chance: float) -> None:
    rule = rule_from_json({"on": "*", "delay": 1, "probability": chance})
    assert fired(Behaviour([rule], seed), 50) == fired(Behaviour([rule], seed), 50)


def test_chances_are_taken() -> None:
    behaviour = Behaviour([parse_rule("SendImage: delay=1, probability=0.5")], seed=3)
    assert 20 < sum(fired(behaviour, 100)) < 80


def test_two_rules_make_one_bundle_and_the_later_one_wins() -> None:
    behaviour = Behaviour([parse_rule("*: delay=1, close_after=5"), parse_rule("SendImage: delay=2, slow=10")])
    effects = behaviour.choose("WS-DSP", "SendImage", "request")
    assert effects.delay == 2
    assert effects.wire == WireEffects(close_after=5, slow=10)
    assert effects.describe() == "delay 1; close_after 5; delay 2; slow 10"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SendImages: delay=1", "near: SendImage"),
        ("SendImage", "is no rule"),
        ("SendImage: times=1", "nothing is ordered"),
        ("SendImage: dalay=1", "near: delay"),
        ("SendImage: delay=soon", "is no number; delay takes SECONDS"),
        ("SendImage: status=99", "is not from 200 to 599"),
        ("SendImage: fault=OperationFaild", "near: OperationFailed"),
        ("SendImage: image=small", "cut-N or as-FORMAT"),
        ("SendImage: delay=1, times=0", "times is a count"),
        ("SendImage: delay=1, probability=2", "from 0 to 1"),
        ("SendImage: reason=a\nb", "cannot stand in a status line"),
    ],
)
def test_wrong_rules_are_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_rule(text)


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("rules:\n  - on: SendImage\n    dalay: 1\n", ":3: ", "near: delay"),
        ("seed: x\n", ":1: ", "a whole number"),
        ("rules:\n  - on: SendImage\n", ":2: ", "nothing is ordered"),
        ("rule: []\n", ":1: ", "seed or rules"),
        ("rules: 3\n", ":1: ", "a list of rules"),
        ("rules: [\n", ":2:1: ", ""),
    ],
)
def test_wrong_files_are_told_with_their_line(tmp_path: Path, text: str, place: str, told: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load_behaviour(path)
    assert f"{path}{place}" in str(error.value)
    assert told in str(error.value)


def test_help_names_every_order() -> None:
    assert all(name in help_text() for name in ORDERS)
    assert "OperationFailed" in FAULTS
