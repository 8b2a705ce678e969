"""``dsmreplay`` as users run it: a process, its lines as they come, an end by signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Self

__all__ = ["PATIENCE", "Command", "heeds_ctrl_c"]

PATIENCE = 60.0
"""Seconds after which a test has failed; nothing waits so long when all is well."""


def heeds_ctrl_c() -> None:
    """For ``preexec_fn``: a shell that starts the tests in the background hands down that SIGINT is ignored, ``nohup``
    that SIGHUP is."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Command:
    """A command that runs; used as ``async with Command("emulate", "scanner") as command``.

    Attributes:
        lines: what it printed so far.
    """

    def __init__(self, *arguments: str | Path, stdin: int = asyncio.subprocess.DEVNULL) -> None:
        self._arguments = [str(one) for one in arguments]
        self._stdin = stdin
        self._read = 0
        self.lines: list[str] = []

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "replay", *self._arguments, stdin=self._stdin,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=1 << 22,
            preexec_fn=heeds_ctrl_c,
        )  # fmt: skip
        return self

    async def __aexit__(self, *error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.communicate()

    async def line(self, *words: str) -> str:
        """The next line that holds these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while True:
                while self._read < len(self.lines):
                    self._read += 1
                    if all(word in self.lines[self._read - 1] for word in words):
                        return self.lines[self._read - 1]
                data = await self.process.stdout.readline()
                if not data:
                    _, said = await self.process.communicate()
                    raise AssertionError(f"{words} did not come: {self.lines} {said.decode()}")
                self.lines.append(data.decode().rstrip("\n"))

    async def value(self, name: str) -> str:
        """The value of a line such as ``  WS-Scan  http://…``."""
        return (await self.line(f"  {name} ")).split()[-1]

    async def ended(self, number: signal.Signals | None = None) -> int:
        """Its exit code; first a signal where one is given. The rest of the lines are read."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            out, error = await self.process.communicate()
        self.lines += out.decode().splitlines()
        self.errors = error.decode()
        assert self.process.returncode is not None
        return self.process.returncode
