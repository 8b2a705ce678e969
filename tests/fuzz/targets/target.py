"""The shape of a target, and how it takes its bytes apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SAMPLES", "Cutter", "Target", "samples"]

SAMPLES = Path(__file__).parent.parent.parent.parent / "pcaps"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to be fuzzed.

    Attributes:
        name: for the command line, and of its files.
        run: takes an input; raises what went wrong.
        seeds: inputs to begin with, made or read from ``pcaps/``.
        longest: bytes of an input.
        words: what the fuzzer may put in.
        memory: bytes by which an input may raise the peak of the process.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 1 << 14
    words: tuple[bytes, ...] = ()
    memory: int = 256 << 20


class Cutter:
    """Takes numbers and pieces from the front of an input; zeros where it is at its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """A number of 8 bits."""
        return int.from_bytes(self.take(1), "big")

    def word(self) -> int:
        """A number of 16 bits."""
        return int.from_bytes(self.take(2).ljust(2, b"\0"), "big")

    def take(self, size: int) -> bytes:
        """So many bytes, or what is left."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


def samples(longest: int) -> list[bytes]:
    """The sample captures up to a size, the smallest first."""
    found = [path.read_bytes() for path in sorted(SAMPLES.rglob("*.pcap*")) if 24 < path.stat().st_size <= longest]
    return sorted(found, key=len)
