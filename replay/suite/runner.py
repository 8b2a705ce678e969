"""Playing a suite: rounds of all its scenarios, as many at once as may be, never two on the same device.

Scenarios go out in the order of the suite; one whose device is busy lets others go before it. Repeats come in rounds,
so that what one scenario leaves behind meets the others. An interrupt ends the runs under way; what is known by then is
the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from dissector.base.errors import DsmsharkError, TargetUnreachable, UnreadableInput
from replay.base.clock import Clock
from replay.player.result import Result
from replay.suite.model import Case, CaseResult, Run, SuiteResult

__all__ = ["Suite"]

Play = Callable[[Case, int], Awaitable[Result]]
Progress = Callable[[CaseResult, Run], None]


class Suite:
    """Plays scenarios.

    Args:
        name: for people.
        cases: the scenarios.
        play: plays one for the nth time.
        clock: tells the time.
        jobs: scenarios at once.
        until_failure: play on until one is not as recorded; otherwise each as often as its settings say.
        progress: called with each run as it is over.
    """

    def __init__(
        self,
        name: str,
        cases: Sequence[Case],
        play: Play,
        *,
        clock: Clock,
        jobs: int = 1,
        until_failure: bool = False,
        progress: Progress = lambda case, run: None,
    ) -> None:
        self._play = play
        self._clock = clock
        self._jobs = jobs
        self._until_failure = until_failure
        self._progress = progress
        self._cases = {one.name: one for one in cases}
        self._results = {
            one.name: CaseResult(one.name, one.settings.tags, one.settings.skip, problem=one.problem) for one in cases
        }
        self._round = 0
        self._failed = any(one.problem is not None for one in cases)
        self.result = SuiteResult(name, list(self._results.values()), endless=until_failure)

    async def run(self) -> SuiteResult:
        """Play; an interrupt (the cancelling of this task) ends it early and is no error."""
        self.result.began, begun = self._clock.time_ns(), self._clock.monotonic()
        flying: dict[asyncio.Task[None], frozenset[str]] = {}
        waiting: list[tuple[Case, int]] = []
        try:
            while True:
                if not waiting and not (flying and self._until_failure):
                    waiting = self._next_round()
                self._start(waiting, flying)
                if not flying:
                    break
                done, _ = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del flying[task]
                    task.result()
                if self._until_failure and self._failed:
                    waiting.clear()
        except asyncio.CancelledError:
            self.result.interrupted = True
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
            self.result.seconds = self._clock.monotonic() - begun
        return self.result

    def _next_round(self) -> list[tuple[Case, int]]:
        """The scenarios that are due once more."""
        if self._until_failure and self._failed:
            return []
        self._round += 1
        return [
            (one, self._round) for one in self._cases.values()
            if one.scenario is not None
            and not one.settings.skip
            and (self._until_failure or self._round <= one.settings.repeat)
        ]  # fmt: skip

    def _start(self, waiting: list[tuple[Case, int]], flying: dict[asyncio.Task[None], frozenset[str]]) -> None:
        """Start what may be played now."""
        for one in list(waiting):
            if len(flying) >= self._jobs:
                return
            busy = frozenset().union(*flying.values())
            case, number = one
            if case.scenario is None:
                waiting.remove(one)
                continue
            # Its own name too: two rounds of one scenario are not played at once, whatever it touches.
            needs = case.devices | {f"scenario {case.name}"}
            if busy.isdisjoint(needs):
                waiting.remove(one)
                flying[asyncio.create_task(self._one(case, number))] = needs

    async def _one(self, case: Case, number: int) -> None:
        """One run."""
        into = self._results[case.name]
        began, begun = self._clock.time_ns(), self._clock.monotonic()
        result: Result | None = None
        try:
            result = await self._play(case, number)
            outcome = "unreachable" if result.unreachable else "same" if result.same else "different"
            text = result.verdict
        except TargetUnreachable as error:
            outcome, text = "unreachable", str(error)
        except Exception as error:
            # It will not get better by trying again; a fault of ours must not take away what is known of the others.
            words = f"internal error: {type(error).__name__}: {error}"
            problem = error if isinstance(error, DsmsharkError) else UnreadableInput(words)
            outcome, text = "broken", str(problem)
            into.problem = problem
            self._cases[case.name].scenario = None
        run = Run(number, outcome, text, began, self._clock.monotonic() - begun)
        into.add(run, result)
        self._failed = self._failed or outcome != "same"
        self._progress(into, run)
