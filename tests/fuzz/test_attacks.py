"""Captures made to cost: four times the size may cost little more than four times the time of the processor, and what
thousands leave behind stays in its bounds."""

from __future__ import annotations

import gc
import time
from functools import cache
from pathlib import Path

import pytest

from tests.fuzz.attacks import ATTACKS
from tests.fuzz.drive import drive
from tests.fuzz.hoards import HOARDS, peak, write

FACTOR = 2.5
"""How much worse than in proportion the larger one may be; what is quadratic is worse by 4."""
FREE = 0.15
"""Seconds that tell nothing."""


def _seconds(data: bytes) -> float:
    gc.collect()
    gc.disable()
    start = time.process_time()
    try:
        drive(data)
        return time.process_time() - start
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ATTACKS)
def test_cost_grows_with_size(name: str) -> None:
    make, size = ATTACKS[name]
    small, large = make(size // 3), make(size // 3 * 4)
    for _ in range(3):
        # The machine may have been busy with something else: what is quadratic is so each time.
        one, four = _seconds(small), _seconds(large)
        if four < 4 * FACTOR * one + FREE:
            return
    raise AssertionError(f"{one:.2f} s for a size, {four:.2f} s for four times that")


TIGHT = {"held": 4 << 20, "connections": 500, "messages": 2000, "fragment_bytes": 1_000_000}
"""Limits so small that a capture read in half a second is far too much for them."""
GROWTH = 50
"""MiB that it may take more than a sample capture does. With the limits these take 43 at most, most of it blocks of
the file under way; without them (for documents: without those of XML too) 55 to 140."""


def _limited(*words: str) -> list[str]:
    return [*words, *(word for name, value in TIGHT.items() for word in ("--limit", f"{name}={value}"))]


@cache
def _usual() -> int:
    return peak(_limited("jobs", str(Path(__file__).parents[2] / "pcaps" / "dsm-completed.pcapng")))[0]


@pytest.mark.parametrize("name", [name for name, hoard in HOARDS.items() if hoard.few])
def test_what_is_held_is_bounded(name: str, tmp_path: Path) -> None:
    hoard = HOARDS[name]
    write(hoard.frames(hoard.few), tmp_path / "hoard.pcap")
    held, _, _ = peak(_limited(*hoard.command, str(tmp_path / "hoard.pcap")))
    assert (held - _usual()) >> 20 < GROWTH
