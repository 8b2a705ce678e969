"""Compressed captures: each format, in one piece or several, cut, damaged, hostile."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
from collections.abc import Callable
from contextlib import suppress

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dissector.base.errors import UnreadableInput
from dissector.base.limits import Limits
from dissector.capture.compressed import Decompressed
from dissector.capture.decompressors import codec_of
from dissector.capture.inputs import ObjectInput
from dissector.capture.model import SourceInfo
from tests.support.capture_files import BEGIN, FRAMES, pcap, pcapng, read


def _zstd_stream(data: bytes) -> bytes:
    """With several blocks, a checksum, and no content size, as a pipe is compressed."""
    compressor = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    made = b"".join(
        compressor.compress(data[at : at + 100]) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for at in range(0, len(data), 100)
    )
    return made + compressor.flush()


def _lz4_stream(data: bytes) -> bytes:
    return lz4.frame.compress(data, content_checksum=True, block_checksum=True, store_size=False)


COMPRESSORS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor(write_checksum=True).compress),
    "zstd-stream": ("zstd", _zstd_stream),
    "lz4": ("lz4", lz4.frame.compress),
    "lz4-stream": ("lz4", _lz4_stream),
    "xz": ("xz", lzma.compress),
}
WHOLE = [frame[1] for frame in FRAMES]
SKIPPED = struct.pack("<II", 0x184D2A53, 5) + b"\x28\xb5\x2f\xfd!"

compressors = pytest.mark.parametrize(("name", "compress"), COMPRESSORS.values(), ids=COMPRESSORS.keys())


@compressors
@pytest.mark.parametrize("make", [pcap, pcapng])
@pytest.mark.parametrize("block_bytes", [8 << 20, 1000, 64])
def test_whole(name: str, compress: Callable[[bytes], bytes], make, block_bytes: int) -> None:
    frames, source = read(compress(make()), block_bytes)
    assert [frame.data for frame in frames] == WHOLE
    assert source.info.findings == []
    assert source.info.containers[0].endswith(f", {name}")
    assert source.info.bytes_read == len(compress(make()))


@compressors
@pytest.mark.parametrize("piece", [1, 50, 333])
def test_many_members(name: str, compress: Callable[[bytes], bytes], piece: int) -> None:
    data = pcap()
    frames, source = read(b"".join(compress(data[at : at + piece]) for at in range(0, len(data), piece)))
    assert [frame.data for frame in frames] == WHOLE
    assert source.info.findings == []


class _Dripping(io.BytesIO):
    def read1(self, size: int | None = -1) -> bytes:
        return self.read(1)


@compressors
def test_byte_by_byte(name: str, compress: Callable[[bytes], bytes]) -> None:
    data = pcap()
    packed = compress(data[:200]) + compress(b"") + compress(data[200:])
    info = SourceInfo()
    codec = codec_of(packed[:4])
    assert codec is not None
    opened = Decompressed(ObjectInput("x", 4096, _Dripping(packed)), codec, b"", info)
    parts = list(iter(lambda: opened.chunk(4096), b""))
    assert data == b"".join(parts)
    assert info.findings == []


@compressors
def test_cut_anywhere_gives_what_was_whole(name: str, compress: Callable[[bytes], bytes]) -> None:
    data = compress(pcap(FRAMES * 3))
    counts = []
    for size in range(len(data)):
        try:
            frames, source = read(data[:size])
        except UnreadableInput:
            assert not counts
            continue
        counts.append(len(frames))
        assert (WHOLE * 3)[: len(frames)] == [frame.data for frame in frames]
        assert "pcap.compressed-cut" in [f.rule for f in source.info.findings]
        assert f"offset {size}" in next(f.text for f in source.info.findings if f.rule == "pcap.compressed-cut")
    assert counts == sorted(counts)
    assert counts[-1] == len(FRAMES) * 3


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_padding_is_no_trouble(name: str) -> None:
    compress = COMPRESSORS[name][1]
    data = pcap()
    frames, source = read(compress(data[:300]) + bytes(8) + compress(data[300:]) + bytes(512))
    assert [frame.data for frame in frames] == WHOLE
    assert source.info.findings == []


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_skippable_frames(name: str) -> None:
    compress = COMPRESSORS[name][1]
    data = pcap()
    frames, source = read(compress(data[:300]) + SKIPPED + compress(data[300:]) + SKIPPED)
    assert [frame.data for frame in frames] == WHOLE
    assert source.info.findings == []


def test_skippable_frame_first() -> None:
    frames, _ = read(SKIPPED + zstandard.ZstdCompressor().compress(pcap()))
    assert [frame.data for frame in frames] == WHOLE


@compressors
def test_bytes_behind_the_end(name: str, compress: Callable[[bytes], bytes]) -> None:
    for stray in (b"and now something else", b"\x28"):
        frames, source = read(compress(pcap()) + stray)
        assert [frame.data for frame in frames] == WHOLE
        assert [f.rule for f in source.info.findings] == ["pcap.compressed-trailing"]


def test_gzip_gives_all_before_the_damage() -> None:
    frames = [(BEGIN, bytes([i % 251] * 7 + [i % 13]) * 20, 160) for i in range(5000)]
    packed = bytearray(gzip.compress(pcap(frames)))
    packed[-6] ^= 1  # the check value at the end: everything was decompressed by then
    read_back, source = read(bytes(packed))
    assert len(frames) == len(read_back)
    assert [f.rule for f in source.info.findings] == ["pcap.compressed-damaged"]


@compressors
def test_what_is_inside_is_no_capture(name: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UnreadableInput, match=f"at offset 0 in the {name} data stands 25 50 44 46.*a PDF document"):
        read(compress(b"%PDF-1.7 and so on"))
    with pytest.raises(UnreadableInput, match=f"a {name} file|an {name} file"):
        read(compress(compress(pcap())))
    with pytest.raises(UnreadableInput, match="is empty in the"):
        read(compress(b""))


def _rle_bomb(blocks: int) -> bytes:
    """A zstd frame of blocks that repeat a zero: 128 KiB for each four bytes."""
    block = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * blocks


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(pcap() + bytes(50 << 20)),
        _zstd_stream(pcap()) + _rle_bomb(400),
        lzma.compress(pcap() + bytes(50 << 20), preset=0),
        lz4.frame.compress(pcap() + bytes(50 << 20)),
    ],
    ids=["gzip", "zstd", "xz", "lz4"],
)
def test_bombs_come_in_small_pieces(bomb: bytes) -> None:
    info = SourceInfo()
    codec = codec_of(bomb[:4])
    assert codec is not None
    opened = Decompressed(ObjectInput("bomb", 1 << 20, io.BytesIO(bomb)), codec, b"", info)
    sizes = [len(part) for part in iter(lambda: opened.chunk(1 << 20), b"")]
    assert sum(sizes) >= 50 << 20
    assert max(sizes) <= (1 << 20) + (128 << 10)


@compressors
def test_what_swells_beyond_the_limit_is_given_up(name: str, compress: Callable[[bytes], bytes]) -> None:
    """At the edge: as much as is allowed is read to its end; one packet more is not."""
    whole = pcap(FRAMES) + bytes(1 << 20)
    limits = Limits(unpack_ratio=2, unpack_free=len(whole))
    _, source = read(compress(whole), limits=limits)
    assert "pcap.compressed-limit" not in [finding.rule for finding in source.info.findings]
    frames, source = read(compress(whole + bytes(16)), limits=limits)
    assert frames[: len(WHOLE)] == read(pcap(FRAMES))[0]
    (finding,) = (one for one in source.info.findings if one.rule == "pcap.compressed-limit")
    assert "over 2 times their size" in finding.text
    # A larger file may hold more: the limit is a ratio.
    ratio = 1 + len(whole) // len(compress(whole))
    _, source = read(compress(whole), limits=Limits(unpack_ratio=ratio, unpack_free=0))
    assert "pcap.compressed-limit" not in [finding.rule for finding in source.info.findings]


@compressors
def test_compressed_in_compressed_is_refused_in_words(name: str, compress: Callable[[bytes], bytes]) -> None:
    """One layer is opened: a file that unpacks to another file has no end of it."""
    with pytest.raises(UnreadableInput, match=f"in the {name} data"):
        read(compress(compress(pcap(FRAMES))))


def test_a_zstd_window_that_is_too_large_is_refused() -> None:
    # Window descriptor of 2 GiB, one empty raw block.
    with pytest.raises(UnreadableInput):
        read(b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\0\0")


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(COMPRESSORS)), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_byte_flipped_never_raises(name: str, place: float, value: int) -> None:
    data = bytearray(COMPRESSORS[name][1](pcap(FRAMES * 2)))
    data[int(place * len(data))] ^= value
    with suppress(UnreadableInput):
        read(bytes(data), 1000)
