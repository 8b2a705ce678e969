"""Identifiers that are made: message ids, job tokens, subscription identifiers; the same again from the same seed."""

from __future__ import annotations

import random
import uuid

__all__ = ["Ids"]


class Ids:
    """A maker of identifiers.

    Args:
        seed: None: different at each run.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        self._random = random.Random(seed)

    def guid(self) -> str:
        """A random UUID, lower case, without braces."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def urn(self) -> str:
        """``urn:uuid:…``, the form of message ids and device addresses (DPWS R0004)."""
        return f"urn:uuid:{self.guid()}"

    def word(self, length: int = 16) -> str:
        """Hexadecimal digits."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"
