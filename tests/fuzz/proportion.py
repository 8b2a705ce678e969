"""What costs in proportion: four times the size takes little more than four times the time of the processor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

__all__ = ["grows_no_faster"]

FACTOR, FREE = 2.5, 0.02
"""How much worse than in proportion the larger one may be (what is quadratic is so by 4), and seconds that tell
nothing."""


def grows_no_faster(make: Callable[[int], Callable[[], object]], size: int) -> None:
    """Do what is made for a quarter of the size, and for the size; the machine may have been busy with something else,
    so thrice if need be.

    Args:
        make: gives what is to be done, once; making it does not count.
        size: of the larger one.
    """
    for _ in range(3):
        one, four = _seconds(make(size // 4)), _seconds(make(size))
        if four < 4 * FACTOR * one + FREE:
            return
    raise AssertionError(f"{one:.3f} s for a size, {four:.3f} s for four times that")


def _seconds(do: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    do()
    return time.process_time() - start
