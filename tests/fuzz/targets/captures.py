"""Capture files: pcap, pcapng, and the decompressors. However they are cut into blocks, the frames are the same."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator

import lz4.frame
import zstandard

from dissector.base.errors import UnreadableInput
from dissector.base.limits import Limits
from tests.fuzz.oracles import known_rules, same
from tests.fuzz.targets.target import Target, samples
from tests.support.capture_files import pcap_by_hand, read
from tests.support.captures import rich_pcapng

__all__ = ["CAPTURES"]

_LIMITS = Limits(unpack_free=1 << 20, unpack_ratio=50)
_MAGICS = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a", b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")


def _outcome(data: bytes, block_bytes: int) -> object:
    try:
        frames, source = read(data, block_bytes, _LIMITS)
    except UnreadableInput as refusal:
        return str(refusal)
    known_rules(source.info.findings)
    return frames, source.interfaces, source.info.names, sorted(map(str, source.info.findings))


def _pieces(data: bytes) -> None:
    same(_outcome(data, 8 << 20), _outcome(data, 64), "blocks of 8 MiB and of 64 bytes")


def _compressed(data: bytes) -> None:
    # How much comes out before damage depends on the steps of the library, and those on the blocks.
    _outcome(data, 8 << 20)
    _outcome(data, 1000)


def _pcap_seeds() -> Iterator[bytes]:
    yield from (one for one in samples(9000) if one[:4] != b"\n\r\r\n")
    yield pcap_by_hand(">", version=(2, 3), swapped=True)
    yield pcap_by_hand(magic=0xA1B2CD34, record_extra=bytes(8))
    yield pcap_by_hand(magic=0xA1B23C4D, unit=1)


def _pcapng_seeds() -> Iterator[bytes]:
    yield from (one for one in samples(14_000) if one[:4] == b"\n\r\r\n")
    yield rich_pcapng()


def _compressed_seeds() -> Iterator[bytes]:
    for plain in (rich_pcapng(), pcap_by_hand()):
        packed = [
            gzip.compress(plain, mtime=0), lzma.compress(plain), lz4.frame.compress(plain),
            zstandard.compress(plain), zstandard.ZstdCompressor(write_checksum=True).compress(plain),
        ]  # fmt: skip
        yield from packed
        yield from (one + one for one in packed)
        yield b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + packed[3]
        yield gzip.compress(packed[3], mtime=0)
    yield gzip.compress(bytes(200_000), mtime=0)


CAPTURES = (
    Target("pcap", _pieces, _pcap_seeds, words=_MAGICS),
    Target("pcapng", _pieces, _pcapng_seeds, words=_MAGICS),
    Target(
        "compressed", _compressed, _compressed_seeds, 1 << 12,
        (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xfd7zXZ\x00", b"\x50\x2a\x4d\x18"),
    ),
)  # fmt: skip
