"""What the files of a scenario hold: bytes, or a slice of a body that is not in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dissector.http.content import Content

__all__ = ["Material", "Slice"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of a kept body.

    A picture of many megabytes is in a temporary file of the reader: it is copied from there to the scenario in pieces.

    Attributes:
        content: the body.
        start, end: offsets in its data.
    """

    content: Content
    start: int
    end: int

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in pieces."""
        return self.content.pieces(start=self.start, end=self.end)

    def data(self) -> bytes:
        """The bytes."""
        return b"".join(self.pieces())


Material = bytes | Slice
"""What is written to a file."""
