"""Captures made to cost: four times the size may cost little more than four times the time of the processor."""

from __future__ import annotations

import gc
import time

import pytest

from tests.fuzz.attacks import ATTACKS
from tests.fuzz.drive import drive

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
