"""Playing a scenario from Python: what ``dsmreplay run`` does, in one call."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from dissector import __version__
from replay.base.clock import Clock, RealClock
from replay.base.ids import Ids
from replay.base.log import Log
from replay.net.client import HttpClient
from replay.net.tap import PacketTap
from replay.net.tls import client_context
from replay.player.options import Options
from replay.player.play import Player
from replay.player.result import Result
from replay.player.rules import ValueRule
from replay.player.step import StepResult
from replay.scenario.files import load_scenario

__all__ = ["play"]


async def play(
    scenario: str | Path,
    target: str = "",
    *,
    options: Options | None = None,
    tls: Callable[[], ssl.SSLContext] | None = None,
    pcap: BinaryIO | None = None,
    clock: Clock | None = None,
    log: Log | None = None,
    seed: int | None = None,
    timeout: float = 30.0,
    progress: Callable[[StepResult], None] = lambda result: None,
) -> Result:
    """Play a scenario once, and judge what comes.

    Args:
        scenario: folder, or its ``scenario.yaml``.
        target: URL of the peer; "" where it comes by itself.
        options: how it is played.
        tls: gives the context for https; default: the authorities that the system trusts.
        pcap: binary file for the traffic of the replay, None for none.
        clock, log: None: the real clock, a log that nobody reads.
        seed: makes identifiers the same at each run.
        timeout: seconds of silence after which an answer is given up.
        progress: called with each result as it comes.

    Returns:
        The result: ``same``, ``headline``, ``steps`` with their differences; ``unreachable`` where nobody was there.

    Raises:
        UsageError, UnreadableInput: the scenario or an option is wrong.
    """
    loaded, folder = load_scenario(scenario, ValueRule)
    clock = clock or RealClock()
    with contextlib.ExitStack() as stack:
        tap = None
        if pcap is not None:
            tap = PacketTap(pcap, application=f"dsmreplay {__version__}", clock=clock)
            stack.callback(tap.close)
        player = Player(
            loaded, folder, target, options=options or Options(), clock=clock, log=log or Log(clock), ids=Ids(seed),
            client=HttpClient(clock=clock, tls=tls or (lambda: client_context()), tap=tap, timeout=timeout), tap=tap,
            progress=progress,
        )  # fmt: skip
        return await player.run()
