"""The clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio

import pytest

from replay.base.clock import ManualClock, RealClock


def test_what_is_due_is_called_in_order_and_on_time() -> None:
    async def story() -> None:
        clock, called = ManualClock(), []
        for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 1.0), ("now", 0.0), ("past", -5.0)):
            clock.call_later(seconds, lambda name=name: called.append((name, clock.monotonic())))
        assert called == []
        await clock.advance(0)
        assert called == [("now", 0), ("past", 0)]
        await clock.advance(2.5)
        assert called[2:] == [("a", 1), ("b", 1)]
        assert clock.next_due == pytest.approx(0.5)
        await clock.advance(0.5)
        assert called[4:] == [("c", 3)]
        assert clock.next_due is None

    asyncio.run(story())


def test_times_go_on_together() -> None:
    async def story() -> None:
        clock = ManualClock(start_ns=5_000_000_000)
        await clock.advance(1.5)
        assert (clock.time_ns(), clock.monotonic()) == (6_500_000_000, 1.5)

    asyncio.run(story())


def test_what_is_called_off_is_not_called() -> None:
    async def story() -> None:
        clock, called = ManualClock(), []
        first, second = (clock.call_later(n, lambda n=n: called.append(n)) for n in (1, 2))
        first.cancel()
        assert clock.next_due == 2
        await clock.advance(5)
        second.cancel()
        first.cancel()
        assert called == [2]

    asyncio.run(story())


def test_what_a_call_orders_is_done_in_the_same_advance() -> None:
    async def story() -> None:
        clock, called = ManualClock(), []

        def again() -> None:
            called.append(clock.monotonic())
            if len(called) < 5:
                clock.call_later(1, again)

        clock.call_later(1, again)
        await clock.advance(3)
        assert called == [1, 2, 3]
        await clock.advance(10)
        assert called == [1, 2, 3, 4, 5]

    asyncio.run(story())


def test_sleepers_wake_in_turn_and_run_before_time_goes_on() -> None:
    async def story() -> None:
        clock, woken = ManualClock(), []

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((seconds, clock.monotonic()))
            await clock.sleep(0.25)
            woken.append((seconds + 0.25, clock.monotonic()))

        async with asyncio.TaskGroup() as group:
            for seconds in (2, 1, 0, -1):
                group.create_task(sleeper(seconds))
            await clock.settle()
            assert woken == [(0, 0), (-1, 0)]
            await clock.advance(3)
        assert [at for _, at in woken] == [0, 0, 0.25, 0.25, 1, 1.25, 2, 2.25]

    asyncio.run(story())


def test_a_sleeper_that_is_cancelled_leaves_nothing() -> None:
    async def story() -> None:
        clock = ManualClock()
        task = asyncio.create_task(clock.sleep(5))
        await clock.settle()
        assert clock.next_due == 5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert clock.next_due is None

    asyncio.run(story())


def test_the_real_clock() -> None:
    async def story() -> None:
        clock, called = RealClock(), asyncio.Event()
        before = clock.monotonic(), clock.time_ns()
        clock.call_later(-1, called.set)
        await clock.sleep(0)
        await clock.sleep(0.001)
        await called.wait()
        clock.call_later(0.0, lambda: pytest.fail("called off")).cancel()
        await clock.sleep(0.001)
        assert clock.monotonic() > before[0]
        assert clock.time_ns() > before[1]

    asyncio.run(story())
