"""Rules of behaviour: when they fire, and what they order together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from replay.behaviour.effects import WireEffects
from replay.behaviour.file import parse_rule, rule_from_json
from replay.behaviour.rules import MAX_RULES, Behaviour


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


def test_draws_are_made_only_by_rules_that_could_fire() -> None:
    """As the module says: a rule that still waits, or is used up, takes no chance away from the others."""
    chance = "SendImage: delay=1, probability=0.5"
    alone = fired(Behaviour([parse_rule(chance)], seed=5), 40)
    idle = [parse_rule(f"SendImage: slow=1, probability=0.5, {one}") for one in ("after=100", "where.a=b")]
    assert fired(Behaviour([*idle, parse_rule(chance)], seed=5), 40) == alone


def test_rules_change_while_it_runs_and_are_counted() -> None:
    behaviour = Behaviour([parse_rule("SendImage: delay=1, after=1, times=1")])
    assert fired(behaviour, 3) == [False, True, False]
    assert behaviour.report() == [{"on": "SendImage", "orders": "delay 1", "matched": 3, "fired": 1}]
    behaviour.set_rules([parse_rule("*: delay=2")])
    assert fired(behaviour, 1) == [True]
    assert behaviour.report()[0]["matched"] == 1
    behaviour.clear()
    assert fired(behaviour, 1) == [False]
    assert behaviour.report() == []


def test_a_run_without_a_seed_can_be_had_again() -> None:
    rule = parse_rule("SendImage: delay=1, probability=0.5")
    one = Behaviour([rule])
    assert fired(one, 60) == fired(Behaviour([rule], one.seed), 60)
    assert len({Behaviour([rule]).seed for _ in range(20)}) > 1


def test_other_rules_with_a_seed_begin_the_run_anew() -> None:
    rule = parse_rule("SendImage: delay=1, probability=0.5")
    behaviour = Behaviour([rule], seed=1)
    first = fired(behaviour, 30)
    behaviour.set_rules([rule], seed=1)
    assert fired(behaviour, 30) == first


def test_rules_are_bounded_and_the_old_ones_stay() -> None:
    rule = parse_rule("SendImage: delay=1")
    behaviour = Behaviour([rule])
    with pytest.raises(UsageError, match="too many"):
        behaviour.set_rules([rule] * (MAX_RULES + 1))
    assert behaviour.rules == (rule,)
    behaviour.set_rules([rule] * MAX_RULES)
    with pytest.raises(UsageError, match="already"):
        behaviour.add(rule)


def test_nothing_ordered_is_false_and_one_and_the_same() -> None:
    behaviour = Behaviour([parse_rule("EndPostScanJob: delay=1")])
    nothing = behaviour.choose("WS-DSP", "SendImage", "request")
    assert not nothing
    assert nothing.describe() == ""
    assert nothing is Behaviour().choose("WS-DSP", "SendImage", "request")


def test_two_rules_make_one_bundle_and_the_later_one_wins() -> None:
    behaviour = Behaviour([parse_rule("*: delay=1, close_after=5"), parse_rule("SendImage: delay=2, slow=10")])
    effects = behaviour.choose("WS-DSP", "SendImage", "request")
    assert effects.delay == 2
    assert effects.wire == WireEffects(close_after=5, slow=10)
    assert effects.describe() == "delay 1; close_after 5; delay 2; slow 10"
