"""How many bytes messages take in memory at once, over all connections.

Each message has its own bounds, but there may be thousands of them, and a few bytes can become many (coded content, a
MIME part, a header line): so what all of them take together is counted too. A body for which there is no more room is
not kept; reading goes on without it.
"""

from __future__ import annotations

__all__ = ["Room"]

BOUNDLESS = 1 << 62


class Room:
    """The bytes of messages in memory.

    Args:
        most: ``Limits.held``; by default no bound, for those who do not say that they took the messages.

    Attributes:
        under_way: of messages whose end was not seen yet.
        done: of those that are whole and wait for the end of the block, where :meth:`give_out` is called.
    """

    __slots__ = ("done", "most", "under_way")

    def __init__(self, most: int = BOUNDLESS) -> None:
        self.most = most
        self.under_way = 0
        self.done = 0

    def take(self, size: int, share: int = 1) -> bool:
        """So many more bytes are to be kept; whether there is room for them, in one of so many shares."""
        if self.under_way + self.done + size > self.most // share:
            return False
        self.under_way += size
        return True

    @property
    def crowded(self) -> bool:
        """Much of it is taken: what can wait in a file should."""
        return self.under_way > self.most // 8

    @property
    def full(self) -> bool:
        """The messages that wait take more than they may."""
        return self.done > self.most

    def load(self, size: int) -> None:
        """A message under way takes so many more bytes, whether there is room or not."""
        self.under_way += size

    def free(self, size: int) -> None:
        """So many bytes of a message under way are kept no longer."""
        self.under_way -= size

    def finish(self, size: int) -> None:
        """A message, or its body, of so many bytes is whole."""
        self.under_way -= size
        self.done += size

    def give_out(self) -> None:
        """The messages of the block were given out."""
        self.done = 0
