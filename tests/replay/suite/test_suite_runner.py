"""Scenarios at once, rounds, devices, flaky ones, an interrupt: by players that are none, with a clock that stands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dissector.base.errors import ExitCode, TargetUnreachable, UnreadableInput, UsageError
from replay.base.clock import ManualClock
from replay.player.result import Result
from replay.scenario.model import Scenario
from replay.suite.model import KEPT, Case, CaseResult, Run, Settings, SuiteResult
from replay.suite.runner import Suite
from tests.support.results import REFUSED, result, step

GOOD, BAD = result(step(1, "same")), result(step(1, "different", differences=[REFUSED]))
GONE = result(unreachable="nobody")
Play = Callable[[Case, int], Awaitable[Result]]


def case(name: str, devices: str = "", **settings: Any) -> Case:
    scenario = Scenario(name, "", {}, "", {}, [])
    return Case(name, Path(name), Settings(**settings), scenario, None, frozenset(devices.split()))


def run(cases: list[Case], play: Play, **options: Any) -> SuiteResult:
    return asyncio.run(Suite("bench", cases, play, clock=ManualClock(), **options).run())


class Stage:
    """Plays scenarios as told, and sees who is on it at once."""

    def __init__(self, **outcomes: list[Result]) -> None:
        self.outcomes = outcomes
        self.on: list[str] = []
        self.most = 0
        self.together: set[frozenset[str]] = set()
        self.order: list[str] = []

    async def __call__(self, one: Case, number: int) -> Result:
        self.on.append(one.name)
        self.order.append(f"{one.name}{number}")
        self.most = max(self.most, len(self.on))
        self.together.add(frozenset(self.on))
        for _ in range(3):
            await asyncio.sleep(0)
        self.on.remove(one.name)
        told = self.outcomes.get(one.name, [GOOD])
        return told[min(number, len(told)) - 1]


def test_as_many_at_once_as_may_be() -> None:
    stage = Stage()
    run([case(name, name) for name in "abcde"], stage, jobs=3)
    assert stage.most == 3


def test_never_two_on_one_device() -> None:
    stage = Stage()
    cases = [case("a", "x"), case("b", "x y"), case("c", "y"), case("d", "z")]
    found = run(cases, stage, jobs=4)
    assert found.runs == 4
    for together in stage.together:
        assert not {"a", "b"} <= together
        assert not {"b", "c"} <= together
    # Who has to wait lets others go before.
    assert frozenset({"a", "c", "d"}) in stage.together


def test_a_scenario_is_not_played_twice_at_once() -> None:
    stage = Stage()
    run([case("a", repeat=3)], stage, jobs=3)
    assert stage.order == ["a1", "a2", "a3"]
    assert stage.most == 1


def test_repeats_come_in_rounds() -> None:
    stage = Stage()
    found = run([case("a", "x", repeat=3), case("b", "x"), case("c", "x", repeat=2)], stage, jobs=1)
    assert stage.order == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert [one.played for one in found.cases] == [3, 1, 2]


@pytest.mark.parametrize(
    ("outcomes", "state", "code"),
    [
        ([GOOD], "same", ExitCode.OK), ([BAD], "different", ExitCode.FINDINGS),
        ([GONE], "unreachable", ExitCode.UNREACHABLE),
        ([GOOD, BAD], "flaky", ExitCode.FINDINGS), ([BAD, GOOD], "flaky", ExitCode.FINDINGS),
        ([GOOD, GONE], "flaky", ExitCode.FINDINGS), ([GONE, BAD], "different", ExitCode.FINDINGS),
    ],
)  # fmt: skip
def test_states(outcomes: list[Result], state: str, code: ExitCode) -> None:
    found = run([case("a", repeat=len(outcomes))], Stage(a=outcomes))
    assert found.cases[0].state == state
    assert found.exit_code == code
    assert found.cases[0].text == next((one.verdict for one in outcomes if not one.same), "")
    first_bad = next((one for one in outcomes if not one.same), GOOD)
    assert found.cases[0].shown is first_bad


def test_until_a_failure() -> None:
    stage = Stage(b=[GOOD, GOOD, BAD])
    found = run([case("a", "x", repeat=7), case("b", "x")], stage, until_failure=True)
    assert stage.order == ["a1", "b1", "a2", "b2", "a3", "b3"]
    assert found.cases[1].state == "flaky"
    assert found.headline == "bench: of 2 scenarios, 1 is flaky"


def test_until_a_failure_with_nothing_to_play_ends() -> None:
    assert run([case("a", skip="no")], Stage(), until_failure=True).runs == 0


@pytest.mark.parametrize("until", [True, False])
def test_what_cannot_be_played_is_not_tried_again(until: bool) -> None:
    async def play(one: Case, number: int) -> Result:
        if one.name == "a":
            raise UnreadableInput("a: gone")
        if one.name == "b":
            raise TargetUnreachable("nobody")
        return GOOD

    names = "a" if until else "abc"
    found = run([case(name, repeat=2) for name in names], play, jobs=1, until_failure=until)
    assert [(one.state, one.played) for one in found.cases][:1] == [("broken", 1)]
    assert found.exit_code == (ExitCode.UNREADABLE if until else ExitCode.UNREACHABLE)
    if not until:
        assert [one.state for one in found.cases] == ["broken", "unreachable", "same"]
        assert found.headline == ("bench: of 3 scenarios, 1 could not reach its target and 1 cannot be played")


def test_skipped_and_broken_ones_are_not_played() -> None:
    stage = Stage()
    broken = Case("b", Path("b"), Settings(), problem=UsageError("scenario.yaml:3: wrong"))
    skipped = Case("s", Path("s"), Settings(skip="no paper"))
    found = run([case("a"), broken, skipped], stage)
    assert stage.order == ["a1"]
    assert [(one.state, one.text) for one in found.cases] == [
        ("same", ""), ("broken", "scenario.yaml:3: wrong"), ("skipped", "no paper"),
    ]  # fmt: skip
    assert found.exit_code == ExitCode.USAGE
    assert found.states() == {"same": 1, "broken": 1, "skipped": 1}


def test_an_interrupt_gives_what_is_known_by_then() -> None:
    started: list[str] = []
    cut: list[str] = []

    async def play(one: Case, number: int) -> Result:
        started.append(one.name)
        if one.name == "a":
            return BAD
        try:
            await asyncio.Event().wait()
        finally:
            cut.append(one.name)
        return GOOD

    async def interrupted() -> SuiteResult:
        suite = Suite("bench", [case(name, name) for name in "abc"], play, clock=ManualClock(), jobs=2)
        task = asyncio.create_task(suite.run())
        while "c" not in started:
            await asyncio.sleep(0)
        task.cancel()
        return await task

    found = asyncio.run(interrupted())
    assert found.interrupted
    assert sorted(cut) == ["b", "c"]
    assert [one.state for one in found.cases] == ["different", "not run", "not run"]
    assert found.headline == "bench: of 3 scenarios, 1 differs; interrupted, 2 not run"
    assert found.exit_code == ExitCode.FINDINGS


@pytest.mark.parametrize(
    ("states", "headline"),
    [
        ("same", "bench: 1 scenario as recorded"), ("same same", "bench: all 2 scenarios as recorded"),
        ("same skipped", "bench: 1 scenario as recorded"),
        ("different same", "bench: of 2 scenarios, 1 differs"),
        ("different different flaky unreachable",
         "bench: of 4 scenarios, 2 differ, 1 is flaky and 1 could not reach its target"),
        ("broken broken", "bench: of 2 scenarios, 2 cannot be played"),
    ],
)  # fmt: skip
def test_headlines(states: str, headline: str) -> None:
    cases = []
    for number, state in enumerate(states.split()):
        one = CaseResult(f"c{number}")
        if state == "skipped":
            one.skip = "no"
        elif state == "broken":
            one.problem = UsageError("x")
        else:
            for outcome in ("same", "different") if state == "flaky" else (state,):
                one.add(Run(1, outcome, "", 0, 1.0), None)
        cases.append(one)
    assert [one.state for one in cases] == states.split()
    assert SuiteResult("bench", cases).headline == headline


@pytest.mark.parametrize("good", [KEPT - 1, KEPT, KEPT + 1])
def test_the_first_failure_after_thousands_of_runs_is_kept(good: int) -> None:
    one = CaseResult("a")
    for number in range(good):
        one.add(Run(number, "same", "", 0, 1.0), GOOD)
    for number in range(3):
        one.add(Run(good + number, "different", f"failure {number + 1}", 0, 1.0), BAD)
    assert one.text == "failure 1"
    assert [run.outcome for run in one.runs].count("different") == 1
    assert one.state == "flaky"
    assert one.counts == {"same": good, "different": 3}


def test_a_fault_of_ours_takes_nothing_away_from_the_others() -> None:
    async def play(case: Case, number: int) -> Result:
        if case.name == "a":
            raise KeyError("job_token")
        return GOOD

    result = run([case("a"), case("b")], play)
    assert [one.state for one in result.cases] == ["broken", "same"]
    assert result.cases[0].text == "internal error: KeyError: 'job_token'"
    assert result.exit_code == 3


def test_thousands_of_runs_are_counted_and_not_kept() -> None:
    one = CaseResult("a")
    for number in range(KEPT + 5):
        one.add(Run(number, "same" if number else "different", str(number), 0, float(number)), GOOD if number else BAD)
    assert len(one.runs) == KEPT
    assert one.played == KEPT + 5
    assert one.counts == {"same": KEPT + 4, "different": 1}
    assert one.shown is BAD
    assert one.seconds == KEPT / 2
