"""Where what came is in the capture of the replay: frames to look at beside those of the recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import dissector
from dissector.base.errors import DsmsharkError
from dissector.base.origin import Endpoint
from replay.player.result import Result
from replay.player.step import StepResult

__all__ = ["locate", "located_words"]

NEAR = 1_000_000_000
"""Nanoseconds between a message's last packet and its being read, at most."""


def locate(result: Result, capture: str | Path) -> None:
    """Say of each step that differs in which frames of the replay's own capture its message is.

    A capture that cannot be read (the disk was full) leaves them without.
    """
    wanted = [one for one in result.bad if one.heard is not None]
    if not wanted:
        return
    found: dict[tuple[str, int, str, int], list[tuple[int, Sequence[int]]]] = {}
    try:
        with dissector.open(str(capture), digest=False) as opened:
            for message in opened.messages:
                key = _key(message.stream.source, message.stream.destination)
                found.setdefault(key, []).append((message.time, message.frames))
    except DsmsharkError:
        return
    for one in wanted:
        assert one.heard is not None
        near = [
            (abs(time - one.heard.time), frames)
            for time, frames in found.get(_key(one.heard.source, one.heard.destination), [])
            if frames and abs(time - one.heard.time) <= NEAR
        ]
        if near:
            frames = min(near)[1]
            several = f"frames {frames[0]}–{frames[-1]}" if len(frames) > 1 else f"frame {frames[0]}"
            one.came = f"{several} of {Path(capture).name}"


def located_words(steps: list[StepResult]) -> Iterator[str]:
    """``step 7: frames 31–33``, without the name of the capture."""
    for one in steps:
        if one.came:
            yield f"step {one.number}: {one.came.partition(' of ')[0]}" if one.number else one.came.partition(" of ")[0]


def _key(source: Endpoint, destination: Endpoint) -> tuple[str, int, str, int]:
    """Both ends as the capture has them: without the zone of a link-local address."""
    ends = [(end.address.partition("%")[0].removeprefix("::ffff:"), end.port) for end in (source, destination)]
    return *ends[0], *ends[1]
