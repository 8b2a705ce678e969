"""Decryption secrets blocks that stand behind the packets they open: a pcapng file may have them anywhere.

The specification wants them before the packets, but tools append them after the capture, or write them while the keys
become known. Where the file can be read twice, they are looked for by their type before the packets are read: by the
bytes of the key log's type (0x544c534b), which nearly nothing else has, and then by both lengths of the block around
them. Walking from block to block would take as long as reading the packets. Source: draft-ietf-opsawg-pcapng 4.7.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture.inputs import STANDARD_INPUT
from dissector.capture.pcapng import PCAPNG_MAGIC
from dissector.capture.writer import TLS_KEY_LOG

__all__ = ["secrets_ahead"]

BLOCK = 10
HEAD = 16
"""Bytes before the secrets: type and length of the block, type and length of the secrets."""
ORDER = 8
"""Where the byte order of a section stands: 1a2b3c4d."""
PIECE = 4 << 20
LOOKS = 10_000
"""Places of one file that are looked at and hold no secrets: each costs 2 µs."""
AHEAD = 256 << 20
"""Bytes of a file that are searched, which takes 0.1 s; of a longer one its beginning (a piece) and its end."""
AHEAD_IN_ALL = 1 << 30
"""Of all files of a rotated capture, in equal shares."""


def secrets_ahead(paths: Iterable[str], limits: Limits = DEFAULT_LIMITS) -> tuple[list[bytes], bool]:
    """The key logs inside files.

    Args:
        paths: of the files; what is no pcapng file that can be read twice is left out.
        limits: ``notes`` bounds the bytes of secrets.

    Returns:
        The key logs in order, and whether all files were searched whole.
    """
    found: list[bytes] = []
    whole = True
    paths = list(paths)
    share = min(AHEAD, AHEAD_IN_ALL // max(len(paths), 1))
    for path in paths:
        searched = False
        if path != STANDARD_INPUT:
            with suppress(OSError, ValueError):
                searched = _file(path, share, found, limits.notes)
        whole = whole and searched
    return found, whole


def _file(path: str, share: int, found: list[bytes], limit: int) -> bool:
    # A pipe must not even be opened.
    if not stat.S_ISREG(os.stat(path).st_mode):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        magic = os.pread(descriptor, 4, 0)
        if magic != PCAPNG_MAGIC:
            # A pcap file holds none; a compressed one is read once.
            return magic[:2] not in (b"\x1f\x8b", b"\x28\xb5", b"\xfd7", b"\x04\x22")
        size = os.fstat(descriptor).st_size
        if size <= share:
            return _search(descriptor, 0, size, found, limit)
        # Tools put secrets into a file that is whole before all packets, or behind them.
        first = min(PIECE, share // 2)
        _search(descriptor, 0, first, found, limit)
        _search(descriptor, size - (share - first), size, found, limit)
        return False
    finally:
        os.close(descriptor)


def _search(descriptor: int, at: int, end: int, found: list[bytes], limit: int) -> bool:
    """Whether all places were looked at."""
    room = limit - sum(map(len, found))
    looks = LOOKS
    # The byte order of the first section; looking for both takes three times as long.
    order: Literal["little", "big"] = "little" if os.pread(descriptor, 1, ORDER) == b"\x4d" else "big"
    word = re.compile(TLS_KEY_LOG.to_bytes(4, order))
    while at < end and (piece := os.pread(descriptor, min(PIECE, end - at) + 3, at)):
        for match in word.finditer(piece, 0, PIECE + 3):
            place = match.start()
            text = _block(descriptor, at + place - HEAD // 2, order, room)
            if text:
                # What is taken has its own bound: a file may have a block for each connection.
                room -= len(text)
                found.append(text)
                continue
            looks -= 1
            if not looks:
                return False
        at += PIECE
    return True


def _block(descriptor: int, at: int, order: Literal["little", "big"], room: int) -> bytes | None:
    """The secrets of the block at this offset, None where there is no such block."""
    if at < 0:
        return None
    head = os.pread(descriptor, HEAD, at)
    numbers = [int.from_bytes(head[n : n + 4], order) for n in range(0, HEAD, 4)]
    kind, length, _, size = numbers
    if len(head) < HEAD or kind != BLOCK or length % 4 or size > length - HEAD - 4 or size > room:
        return None
    if os.pread(descriptor, 4, at + length - 4) != head[4:8]:
        return None
    return os.pread(descriptor, size, at + HEAD)
