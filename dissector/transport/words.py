"""The first four bytes of segments, and which of them begin something of interest."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from dissector.transport.gather import one_of
from dissector.transport.model import TCP, PacketColumns

__all__ = ["Words", "first_words", "look_up"]

U32 = npt.NDArray[np.uint32]


def first_words(c: PacketColumns, rows: npt.NDArray[np.int64]) -> U32:
    """The first four payload bytes of each row, as a little-endian number; 0 where there are fewer."""
    if c.words is not None:
        return c.words[rows]
    word = np.zeros(len(rows), np.uint32)
    long = c.length[rows] >= 4
    which = c.buffer[rows]
    for number, buffer in enumerate(c.buffers):
        here = np.flatnonzero(long & (which == number) if len(c.buffers) > 1 else long)
        if len(here):
            words: npt.NDArray[np.uint32] = np.ndarray((len(buffer) - 3,), "<u4", buffer, strides=(1,))
            word[here] = words[c.payload[rows[here]]]
    return word


def look_up(c: PacketColumns) -> None:
    """Have the first words of all TCP rows at hand: for another process, which then need not look at most packets."""
    rows = np.flatnonzero(c.protocol == TCP)
    words = np.zeros(len(c), np.uint32)
    words[rows] = first_words(c, rows)
    c.words = words


class Words:
    """Tells the words of :class:`~dissector.transport.model.Interest` from all others.

    Args:
        words: four bytes each.
    """

    def __init__(self, words: Collection[bytes]) -> None:
        self._words = sorted(int.from_bytes(word, "little") for word in words)
        self._halves = np.zeros(1 << 16, np.bool_)
        self._halves[[word & 0xFFFF for word in self._words]] = True

    def among(self, word: U32) -> npt.NDArray[np.bool_]:
        """Which of the numbers are words. Their lower half alone tells nearly all that are none."""
        found = self._halves[word.astype(np.uint16)]
        likely = np.flatnonzero(found)
        if len(likely):
            found[likely] = one_of(word[likely], self._words)
        return found
