"""Where what came is in the capture of the replay: frames to look at beside those of the recording."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import dissector
from dissector.base.errors import DsmsharkError
from dissector.base.origin import Endpoint
from replay.player.result import Result
from replay.player.step import StepResult

__all__ = ["locate", "located_words"]

NEAR = 1_000_000_000
"""Nanoseconds between a message's last packet and its being read, at most."""

_Ends = tuple[str, int, str, int]
_TIME = itemgetter(0)


def locate(result: Result, capture: str | Path) -> None:
    """Say of each step that differs in which frames of the replay's own capture its message is.

    A capture that cannot be read (the disk was full, it went into a pipe) leaves them without.
    """
    if not Path(capture).is_file():
        # Who reads a pipe waits for who writes it: nobody does any more.
        return
    wanted = [one for one in result.bad if one.heard is not None]
    if not wanted:
        return
    found: dict[_Ends, list[tuple[int, Sequence[int]]]] = {
        _key(one.heard.source, one.heard.destination): [] for one in wanted if one.heard is not None
    }
    try:
        with dissector.open(str(capture), digest=False) as opened:
            for message in opened.messages:
                there = found.get(_key(message.stream.source, message.stream.destination))
                if there is not None and message.frames:
                    there.append((message.time, message.frames))
    except DsmsharkError:
        return
    for there in found.values():
        there.sort(key=_TIME)
    for one in wanted:
        assert one.heard is not None
        there, heard = found[_key(one.heard.source, one.heard.destination)], one.heard.time
        # A connection may have thousands of messages, and all may be wanted.
        at = bisect_left(there, heard, key=_TIME)
        distance, frames = min(
            ((abs(time - heard), frames) for time, frames in there[max(at - 1, 0) : at + 1]),
            key=itemgetter(0), default=(NEAR + 1, ()),
        )  # fmt: skip
        if distance <= NEAR:
            several = f"frames {frames[0]}–{frames[-1]}" if len(frames) > 1 else f"frame {frames[0]}"
            one.came = f"{several} of {Path(capture).name}"


def located_words(steps: list[StepResult]) -> Iterator[str]:
    """``step 7: frames 31–33``, without the name of the capture."""
    for one in steps:
        if one.came:
            yield f"step {one.number}: {one.came.partition(' of ')[0]}" if one.number else one.came.partition(" of ")[0]


def _key(source: Endpoint, destination: Endpoint) -> _Ends:
    """Both ends as the capture has them: without the zone of a link-local address."""
    ends = [(end.address.partition("%")[0].removeprefix("::ffff:"), end.port) for end in (source, destination)]
    return *ends[0], *ends[1]
