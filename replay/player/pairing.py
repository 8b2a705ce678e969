"""Which of several elements of one name belongs to which: one that is new or missing is one difference, no cascade.

What is the same is paired first, wherever it stands (a schema that allows several of one name does not say what their
order means); of the rest, those that differ least. Hostile lengths end in pairs by order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["MAX_PAIRS", "pair"]

MAX_PAIRS = 4096
"""Pairs that are held against each other for one list: 64 new ones among 64."""

One = TypeVar("One")


def pair(
    recorded: Sequence[One], received: Sequence[One], cost: Callable[[One, One], int], weight: Callable[[One], float]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pair two lists.

    Args:
        recorded, received: the lists.
        cost: of a pair: how many differences it has.
        weight: of one that is left alone; two that have more differences than their weights together are no pair.

    Returns:
        Pairs of places, in the order of ``recorded``; places of ``recorded`` and of ``received`` that are left.
    """
    if len(recorded) == len(received) == 1:
        return [(0, 0)], [], []
    pairs = [(place, place) for place in range(min(len(recorded), len(received)))]
    pairs = [(one, two) for one, two in pairs if cost(recorded[one], received[two]) == 0]
    same = {place for place, _ in pairs}
    left = [place for place in range(len(recorded)) if place not in same]
    new = [place for place in range(len(received)) if place not in same]
    if len(left) * len(new) > MAX_PAIRS:
        both = min(len(left), len(new))
        return sorted(pairs + list(zip(left, new, strict=False))), left[both:], new[both:]
    costs = sorted(
        (cost(recorded[one], received[two]), abs(place - other), one, two)
        for place, one in enumerate(left)
        for other, two in enumerate(new)
    )
    gone: set[int] = set()
    used: set[int] = set()
    for price, _, one, two in costs:
        if one in gone or two in used or (price and price > weight(recorded[one]) + weight(received[two])):
            continue
        gone.add(one)
        used.add(two)
        pairs.append((one, two))
    return sorted(pairs), [one for one in left if one not in gone], [two for two in new if two not in used]
