"""Threads of their own: results, errors, and nobody who waits for them at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from replay.base.threads import in_thread


def test_results_and_errors() -> None:
    async def story() -> None:
        assert await in_thread(divmod, 7, 2) == (3, 1)
        assert await in_thread(int, "ff", base=16) == 255
        with pytest.raises(ZeroDivisionError):
            await in_thread(divmod, 1, 0)
        assert await in_thread(threading.current_thread) is not threading.main_thread()

    asyncio.run(story())


def test_many_at_once_do_not_wait_for_each_other() -> None:
    barrier = threading.Barrier(64)

    async def story() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(in_thread(barrier.wait) for _ in range(64)))

    asyncio.run(story())


def test_what_nobody_waits_for_is_dropped() -> None:
    go = threading.Event()
    problems = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        waiting = asyncio.create_task(in_thread(go.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        await in_thread(lambda: None)

    asyncio.run(story())
    assert problems == []


def test_the_program_ends_without_it() -> None:
    program = (
        "import asyncio, threading\n"
        "from replay.base.threads import in_thread\n"
        "async def main():\n"
        "    asyncio.create_task(in_thread(threading.Event().wait))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
