"""Which of several elements belongs to which."""

from __future__ import annotations

import pytest

from replay.player import pairing
from replay.player.pairing import pair


def cost(one: str, other: str) -> int:
    return sum(a != b for a, b in zip(one, other, strict=True))


def weight(one: str) -> float:
    return (len(one) + 1) / 2


@pytest.mark.parametrize(
    ("recorded", "received", "pairs", "missing", "new"),
    [
        ("aa bb cc", "aa bb cc", [(0, 0), (1, 1), (2, 2)], [], []),
        ("aa bb cc", "xx aa bb cc", [(0, 1), (1, 2), (2, 3)], [], [0]),
        ("aa bb cc", "aa xx bb cc", [(0, 0), (1, 2), (2, 3)], [], [1]),
        ("aa bb cc", "aa bb", [(0, 0), (1, 1)], [2], []),
        ("aa bb cc", "bb cc", [(1, 0), (2, 1)], [0], []),
        ("aa bb cc", "cc bb aa", [(0, 2), (1, 1), (2, 0)], [], []),
        ("aa bb cc", "aa bx cc", [(0, 0), (1, 1), (2, 2)], [], []),
        ("aa bb cc", "bx cc aa", [(0, 2), (1, 0), (2, 1)], [], []),
        ("aa bb", "xx yy", [(0, 0), (1, 1)], [], []),
        ("aa", "xx", [(0, 0)], [], []),
        ("aa", "", [], [0], []), ("", "aa", [], [], [0]), ("", "", [], [], []),
        ("aa aa aa", "aa", [(0, 0)], [1, 2], []),
    ],
)  # fmt: skip
def test_pairs(recorded: str, received: str, pairs: list[tuple[int, int]], missing: list[int], new: list[int]) -> None:
    assert pair(recorded.split(), received.split(), cost, weight) == (pairs, missing, new)


def test_two_that_have_nothing_in_common_are_no_pair() -> None:
    assert pair(["aa", "bb"], ["xx", "bb"], lambda one, other: 9 * (one != other), weight) == ([(1, 1)], [0], [0])


def test_long_lists_are_paired_by_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairing, "MAX_PAIRS", 3)
    assert pair(["aa", "bb"], ["xx", "aa", "bb"], cost, weight) == ([(0, 0), (1, 1)], [], [2])
