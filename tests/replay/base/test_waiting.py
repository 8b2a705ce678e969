"""Waiting for conditions: woken by changes, forgotten when nobody waits any more, told when nothing changes."""

from __future__ import annotations

import asyncio

import pytest

from replay.base.waiting import Waiting


def test_who_waits_is_woken_by_the_change_that_is_waited_for() -> None:
    async def story() -> None:
        waiting, value = Waiting(), 0
        await waiting.until(lambda: True)
        tasks = [asyncio.create_task(waiting.until(lambda wanted=wanted: value >= wanted)) for wanted in (1, 2)]
        await asyncio.sleep(0)
        for value in (1, 2):
            waiting.changed()
            await asyncio.sleep(0)
            assert [one.done() for one in tasks] == [True, value == 2]

    asyncio.run(story())


def test_who_waits_no_longer_is_not_asked_for() -> None:
    asked: list[int] = []

    def never() -> bool:
        asked.append(1)
        return False

    async def story() -> None:
        waiting = Waiting()
        task = asyncio.create_task(waiting.until(never))
        await asyncio.sleep(0)
        waiting.changed()
        assert len(asked) == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        waiting.changed()
        assert len(asked) == 2

    asyncio.run(story())


def test_at_the_end_who_waits_is_told_so() -> None:
    async def story() -> None:
        waiting = Waiting()
        task = asyncio.create_task(waiting.until(lambda: False))
        await asyncio.sleep(0)
        waiting.stop()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
