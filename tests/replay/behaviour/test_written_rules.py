"""Rules as they are written: on the command line, in files, as JSON; and what is told of wrong ones."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UsageError
from dissector.catalog import FAULTS
from replay.behaviour.effects import Effects, EndState, FaultOrder, ImageOrder, WireEffects
from replay.behaviour.file import ORDERS, help_text, load_behaviour, parse_rule, rule_from_json, rule_to_json

WIRE = WireEffects

CASES: list[tuple[str, Any, str, Effects]] = [
    ("delay", 2.5, "2.5", Effects(delay=2.5)),
    ("fault", "OperationFailed", "OperationFailed", Effects(fault=FaultOrder("OperationFailed"))),
    ("fault", "{urn:v}Jammed", "{urn:v}Jammed", Effects(fault=FaultOrder("Jammed", "urn:v"))),
    ("fault", {"subcode": "{urn:v}Jammed", "code": "Receiver", "reason": "Paper | out"},
     "{urn:v}Jammed|Receiver|Paper | out", Effects(fault=FaultOrder("Jammed", "urn:v", "Receiver", "Paper | out"))),
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
    ("image", {"cut": 100, "as": "png"}, "cut-100|as-png", Effects(image=ImageOrder(100, "png"))),
    ("boundary", "bare", "bare", Effects(wire=WIRE(bare_boundary=True))),
    ("reason", "", "", Effects(wire=WIRE(reason=""))),
    ("reason", "No, not so", '"No, not so"', Effects(wire=WIRE(reason="No, not so"))),
    ("split_head", True, "", Effects(wire=WIRE(split_head=True))),
]  # fmt: skip


def bare(effects: Effects) -> Effects:
    return replace(effects, said=())


def test_every_order_has_a_case() -> None:
    assert {name for name, *_ in CASES} == set(ORDERS)


def test_every_effect_can_be_ordered() -> None:
    names = {one.name for one in [*fields(Effects), *fields(WireEffects)]} - {"wire", "said"}
    assert {"bare_boundary" if name == "boundary" else name for name in ORDERS} == names


@pytest.mark.parametrize(("name", "value", "words", "effects"), CASES, ids=lambda one: str(one)[:20])
def test_orders_in_each_form(name: str, value: Any, words: str, effects: Effects, tmp_path: Path) -> None:
    rule = rule_from_json({"on": "*", name: value})
    assert bare(rule.effects) == effects
    assert parse_rule(f"*: {name}={words}" if words or name == "reason" else f"*: {name}") == rule
    (tmp_path / "rules.yaml").write_text(f"rules:\n  - on: '*'\n    {name}: {json.dumps(value)}\n")
    loaded = load_behaviour(tmp_path / "rules.yaml")
    assert loaded.rules == (rule,)
    assert loaded.choose("WS-DSP", "SendImage", "request") == rule.effects


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ignore, delay=2.50", "delay 2.5; ignore"),
        ("fault={urn:v}Jammed|Sender|no paper", "fault {urn:v}Jammed|Sender|no paper"),
        ("end_state=Aborted", "end_state Aborted"),
        ("end_state=vendor:Parked|vendor:Late", "end_state vendor:Parked|vendor:Late"),
        ("image=as-png|cut-5, boundary", "image cut-5|as-png; boundary bare"),
        ("reason=", 'reason ""'),
    ],
)
def test_orders_are_said_the_same_however_they_came(words: str, said: str) -> None:
    rule = parse_rule(f"*: {words}")
    assert rule.effects.describe() == said
    assert rule_from_json(json.loads(json.dumps(rule_to_json(rule)))).effects.describe() == said


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=20).filter(str.strip)
COUNTS = st.integers(0, 1 << 40)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "delay": st.floats(0.001, 86400) | st.integers(1, 86400),
    "fault": st.sampled_from(sorted(FAULTS))
    | st.fixed_dictionaries(
        {"subcode": st.just("{urn:v}Jammed")},
        optional={"code": st.sampled_from(["Sender", "Receiver"]), "reason": TEXTS},
    ),
    "status": st.integers(200, 599),
    "close_after": COUNTS,
    "reset_after": COUNTS,
    "truncate": COUNTS,
    "slow": st.floats(1, 1e9),
    "content_length": st.from_regex(r"\A[+-]?[0-9]{1,12}\Z"),
    "relates_to": TEXTS,
    "token": TEXTS,
    "end_state": st.fixed_dictionaries({"state": TEXTS}, optional={"reasons": st.lists(TEXTS, max_size=3)}),
    "image": st.fixed_dictionaries({"cut": COUNTS}, optional={"as": st.sampled_from(["png", "tiff-single-g4"])}),
    "boundary": st.just("bare"),
    "reason": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    **dict.fromkeys(("ignore", "malformed", "lost", "doubled", "reordered", "expire", "split_head"), st.just(True)),
}
RULES = st.builds(
    lambda control, orders: {"on": "*", **control, **orders},
    st.fixed_dictionaries(
        {},
        optional={
            "times": st.integers(1, 1000),
            "after": st.integers(0, 1000),
            "probability": st.floats(0, 1),
            "where": st.dictionaries(TEXTS, TEXTS, max_size=2),
        },
    ),
    st.fixed_dictionaries({}, optional=VALUES).filter(bool),
)


def test_every_order_has_a_strategy() -> None:
    assert set(VALUES) == set(ORDERS)


@given(RULES)
@settings(max_examples=200, deadline=None)
def test_the_plain_form_is_read_back(data: dict[str, Any]) -> None:
    rule = rule_from_json(data)
    plain = rule_to_json(rule)
    assert set(plain) >= set(data) & set(ORDERS)
    assert rule_from_json(json.loads(json.dumps(plain))) == rule


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda one: st.lists(one, max_size=2) | st.dictionaries(st.sampled_from(["state", "reasons", "cut", "as"]), one),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*ORDERS, "times", "after", "probability", "where"]), JUNK, min_size=1))
@settings(max_examples=300, deadline=None)
def test_a_rule_is_right_or_told(data: dict[str, Any]) -> None:
    with contextlib.suppress(UsageError):
        rule = rule_from_json({"on": "*", **data})
        assert rule_from_json(rule_to_json(rule)) == rule


@given(st.text(st.sampled_from('SendImage:,="| where.delaytoken1'), max_size=40))
@settings(max_examples=300, deadline=None)
def test_words_are_right_or_told(text: str) -> None:
    for words in (text, f"SendImage: {text}"):
        with contextlib.suppress(UsageError):
            rule = parse_rule(words)
            assert rule_from_json(rule_to_json(rule)) == rule


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
        ("SendImage: delay=0", "is not from 0.001"),
        ("SendImage: delay=1, delay=2", "said twice"),
        ("SendImage: on=Probe, delay=1", "said twice"),
        ("SendImage: delay=1, where.a=1, where.a=2", "said twice"),
        ("SendImage: delay=1, where=5, where.a=2", "names nothing"),
        ("SendImage: delay=1, where.=2", "names nothing"),
        ("SendImage: =5", "names nothing"),
        ("SendImage: fault={urn:v", "NAMESPACE"),
        ("SendImage: fault={urn:v}no name", "NAMESPACE"),
        ("SendImage: fault=OperationFailed|Client", "neither Sender nor Receiver"),
        ("SendImage: image=as-pgn", "png, dib, tiff, jfif, pdf"),
        ("SendImage: token=a\x01", "cannot stand in XML"),
        ("SendImage: token=", "there is no text"),
        ("SendImage: end_state=Aborted|", "there is no text"),
        ("SendImage: content_length=٣", "is no length"),
        ("SendImage: lost", "lost: SendImage has no use for this: do not send the event"),
        ("CreateScanJob: doubled", "has no use for this"),
        ("PostScanJobEndStateEvent: image=cut-5", "has no use for this"),
        ("operations: reordered", "has no use for this"),
        ("events: boundary", "has no use for this"),
        ("Subscribe: expire", "has no use for this"),
        ("CreatePostScanJob: end_state=Aborted", "has no use for this"),
        ("Get: token=unknown", "has no use for this"),
        ("Hello: status=500", "has no use for this"),
        ("Bye: delay=1", "has no use for this"),
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
        ("rules: {}\n", ":1: ", "a list of rules"),
        ("rules:\n  - on: Get\n    content_length: +10\n", ":3: ", "'+10' or '10', in quotes"),
        ("rules:\n  - on: Get\n    delay: 1\n    where: {a: [1]}\n", ":4: ", "no name with a text or a number"),
        ("rules:\n  - on: Gett\n    delay: 1\n", ":2: ", "near: Get"),
        ("rules:\n  - on: Get\n    end_state: {state: A, reasons: 5}\n", ":3: ", "a list of reasons"),
        ("rules:\n  - delay: 1\n", ":2: ", "needs on"),
        ("rules:\n  - SendImage\n", ":2: ", "a rule is a mapping"),
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


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "a rule is a mapping"),
        ({"on": ["Get"], "delay": 1}, "no operation and no event"),
        ({"on": "Get", "delay": 10**5000}, "is not from"),
        ({"on": "Get", "delay": float("nan")}, "is not from"),
        ({"on": "Get", "token": 10**5000}, "needs quotes"),
        ({"on": "Get", "token": "x" * 1001}, "longer than 1000"),
        ({"on": "Get", "x" * 100_000: 1}, "nothing that can be ordered"),
        ({"on": "Get", "delay": 1, "where": {"a": None}}, "where:"),
    ],
    ids=["list", "on", "huge", "nan", "huge-text", "long-text", "long-key", "where"],
)
def test_wrong_plain_rules_are_told_in_few_words(data: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as error:
        rule_from_json(data)
    assert len(str(error.value)) < 400


def test_help_has_a_line_for_every_order() -> None:
    lines = [line.split(maxsplit=1) for line in help_text().splitlines()]
    for name, order in ORDERS.items():
        assert any(line[:1] == [f"{name}={order.argument}"] and line[1].strip() == order.meaning for line in lines)
