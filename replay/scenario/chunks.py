"""Chunked bodies as they were cut: size lines in a row, as text that a person reads.

A row is a list such as ``["1000 x 12", "6c5", "0"]``: twelve chunks of 4096 bytes (hexadecimal, as on the wire), one of
1733, and the last chunk. A line is kept as it was sent, with its leading zeros, capital letters and extensions. A body
that has another length than the recorded one is cut at the same sizes; what is left over goes to the end of the row.

Source: RFC 9112 7.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["chunked", "chunks_text", "is_chunk_line"]

_SIZE = re.compile(r"([ \t]*)([0-9A-Fa-f]{1,15})(?=[ \t]*(?:;|\n|\Z))")
_ENTRY = re.compile(r"(.*?)(?: x ([1-9][0-9]{0,8}))?\Z", re.DOTALL)


def chunks_text(runs: Iterable[tuple[bytes, int]]) -> list[str]:
    """Runs of size lines, as the HTTP reader keeps them, as text."""
    made = []
    for line, count in runs:
        text = line.decode("latin-1")
        plain = count == 1 and _ENTRY.fullmatch(text)[2] is None  # type: ignore[index]  # any text fits
        made.append(text if plain else f"{text} x {count}")
    return made


def is_chunk_line(entry: str) -> bool:
    """Whether an entry of a row can be read."""
    line, _ = _split(entry)
    return _SIZE.match(line) is not None and all(one < "\u0100" for one in line)


def _split(entry: str) -> tuple[str, int]:
    found = _ENTRY.fullmatch(entry)
    assert found is not None
    return found[1], int(found[2] or 1)


def _size(line: str) -> int:
    found = _SIZE.match(line)
    return int(found[2], 16) if found else 0


def chunked(pieces: Sequence[bytes], row: Sequence[str], trailer: bytes = b"") -> Iterator[bytes]:
    """A body with its chunks, in pieces to write.

    Args:
        pieces: of the body.
        row: size lines.
        trailer: lines behind the last chunk, each with its line end.
    """
    runs = [(line, _size(line), count) for line, count in map(_split, row)]
    last = next((line for line, size, _ in reversed(runs) if size == 0), "0")
    data = b"".join(pieces)
    view, at = memoryview(data), 0
    for line, size in _cut(len(data), [one for one in runs if one[1]]):
        end = "" if line.endswith("\n") else "\r\n"
        # A line that ends with LF alone is one of a peer that ends the chunk so too.
        yield f"{line}{end}".encode("latin-1")
        yield bytes(view[at : at + size])
        yield b"\r\n" if end else b"\n"
        at += size
    yield last.encode("latin-1") + (b"" if last.endswith("\n") else b"\r\n")
    yield trailer + (b"\n" if last.endswith("\n") else b"\r\n")


def _cut(total: int, runs: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, int]]:
    """Size lines and sizes for so many bytes."""
    if sum(size * count for _, size, count in runs) == total:
        for line, size, count in runs:
            yield from ((line, size) for _ in range(count))
        return
    left, line = total, runs[-1][0] if runs else "0"
    for place, (text, size, count) in enumerate(runs, start=1):
        for _ in range(count - (place == len(runs))):
            if left <= size:
                break
            yield text, size
            left -= size
    # A body in one chunk stays one; in several, none is larger than those of the recording.
    several = sum(count for _, _, count in runs) > 1
    largest = max(size for _, size, _ in runs) if several else total
    while left:
        size = min(left, largest)
        yield _resized(line, size), size
        left -= size


def _resized(line: str, size: int) -> str:
    """A size line with another size: as many leading zeros and the same case."""

    def digits(match: re.Match[str]) -> str:
        text = f"{size:x}".rjust(len(match[2]), "0") if match[2].startswith("0") else f"{size:x}"
        return match[1] + (text.upper() if match[2].upper() == match[2] and match[2].lower() != match[2] else text)

    return _SIZE.sub(digits, line, count=1)
