"""Opening: several files, streams while they are written, what is refused and how it is said."""

from __future__ import annotations

import gc
import gzip
import io
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import pytest

from dissector.base.errors import UnreadableInput, UsageError
from dissector.capture import CaptureSource, open_source
from dissector.capture.formats import describe
from tests.support.capture_files import BEGIN, FRAMES, frames_of, pcap, pcapng, read

WHOLE = [frame[1] for frame in FRAMES]
HOUR = 3600 * 10**9


def rotated(directory: Path) -> list[Path]:
    """Three files: the packets of the second come first, of the third last."""
    paths = []
    for name, hour, link_type in (("b.pcap", 1, 1), ("a.pcap", 0, 113), ("c.pcap.gz", 2, 1)):
        data = pcap([(BEGIN + hour * HOUR + i, f"{name[0]}{i}".encode(), 2) for i in range(3)], link_type)
        path = directory / name
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        paths.append(path)
    return paths


def test_rotated_files_in_order_of_time(tmp_path: Path) -> None:
    paths = rotated(tmp_path)
    source = open_source(paths)
    frames = frames_of(source)
    assert [frame.data for frame in frames] == [b"a0", b"a1", b"a2", b"b0", b"b1", b"b2", b"c0", b"c1", b"c2"]
    assert [str(paths[i]) for i in (1, 0, 2)] == source.info.paths
    assert [interface.link_type for interface in source.interfaces] == [113, 1, 1]
    assert [frame.interface for frame in frames] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert source.info.containers[2] == "pcap little-endian microseconds, gzip"
    assert [f.rule for f in source.info.findings] == ["pcap.order"]
    assert (str(paths[1]), 1) == source.locate(1)
    assert (str(paths[1]), 3) == source.locate(3)
    assert (str(paths[0]), 1) == source.locate(4)
    assert (str(paths[2]), 3) == source.locate(9)
    for outside in (0, 10, -1):
        with pytest.raises(UsageError):
            source.locate(outside)


def test_progress_counts_bytes_of_the_files(tmp_path: Path) -> None:
    paths = rotated(tmp_path)
    source = open_source(paths, block_bytes=64)
    sizes = sum(path.stat().st_size for path in paths)
    assert sizes == source.info.bytes_total
    seen = [source.info.bytes_read for _ in source]
    assert seen == sorted(seen)
    assert 0 < seen[0] < sizes
    assert sizes == source.info.bytes_read


def test_unreadable_file_among_others_is_a_finding(tmp_path: Path) -> None:
    paths = rotated(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("see the captures beside this\n")
    source = open_source([paths[0], text, tmp_path / "missing.pcap", paths[2]])
    assert len(frames_of(source)) == 6
    assert [str(paths[0]), str(paths[2])] == source.info.paths
    assert [f.rule for f in source.info.findings] == ["pcap.unreadable"] * 2
    assert "notes.txt" in source.info.findings[0].text


def test_no_file_of_several_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"one\.pcap: cannot be opened: No such file"):
        open_source([tmp_path / "one.pcap", tmp_path / "two.pcap"])


def test_files_without_packets_are_behind_the_others(tmp_path: Path) -> None:
    paths = rotated(tmp_path)
    empty = tmp_path / "0.pcap"
    empty.write_bytes(pcap([]))
    source = open_source([empty, *paths])
    assert len(frames_of(source)) == 9
    assert str(empty) == source.info.paths[-1]
    assert (str(paths[2]), 3) == source.locate(9)


@pytest.mark.parametrize("what", ["path", "string", "list", "file", "raw", "bytes", "offset"])
def test_what_can_be_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pcap())
    if what in ("path", "string", "list"):
        source = open_source({"path": path, "string": str(path), "list": [str(path)]}[what])
        assert [frame.data for frame in frames_of(source)] == WHOLE
    elif what == "bytes":
        assert [frame.data for frame in frames_of(open_source(io.BytesIO(pcap())))] == WHOLE
    else:
        path.write_bytes(b"skip" * (what == "offset") + pcap())
        with path.open("rb", buffering=0 if what == "raw" else -1) as file:
            if what == "offset":
                file.read(4)
            source = open_source(file)
            assert [frame.data for frame in frames_of(source)] == WHOLE
            source.close()
            assert not file.closed
        assert ([str(path)], len(pcap())) == (source.info.paths, source.info.bytes_total)


def test_file_object_that_decompresses(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(pcap()))
    with gzip.open(path) as file:
        assert [frame.data for frame in frames_of(open_source(file))] == WHOLE


def test_close_ends_iterating(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap())
    with open_source(path, block_bytes=64) as source:
        assert next(iter(source)).first == 1
        source.close()
        assert list(source) == []


def test_one_pass_only() -> None:
    source = open_source(io.BytesIO(pcap()), block_bytes=64)
    first = next(iter(source))
    rest = list(source)
    assert len(first) + sum(map(len, rest)) == len(FRAMES)
    assert list(source) == []


def test_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(FRAMES * 50))
    source = open_source(path, block_bytes=64)
    blocks = iter(source)
    next(blocks)
    os.truncate(path, 30)
    assert sum(map(len, blocks)) == 0
    assert [f.rule for f in source.info.findings] == ["pcap.cut"]


# -- streams --------------------------------------------------------------------------------------------------------


class Pipe:
    """A pipe, and a reader of it on a thread that puts the frames of each block into ``blocks``."""

    def __init__(self, path: str) -> None:
        self.blocks: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self.source: CaptureSource | None = None
        self.thread = threading.Thread(target=self._read, args=(path,), daemon=True)
        self.thread.start()

    def _read(self, path: str) -> None:
        self.source = open_source(path)
        for block in self.source:
            ends = zip(block.offset.tolist(), block.caplen.tolist(), strict=True)
            self.blocks.put([block.data[at : at + size] for at, size in ends])
        self.blocks.put(None)

    def __iter__(self) -> Iterator[bytes]:
        while (block := self.blocks.get(timeout=60)) is not None:
            yield from block


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes a descriptor standard input."""
    with ExitStack() as opened:

        def become(descriptor: int) -> None:
            file = opened.enter_context(io.TextIOWrapper(os.fdopen(descriptor, "rb")))
            monkeypatch.setattr(sys, "stdin", file)

        yield become


@pytest.mark.parametrize("make", [pcap, pcapng, lambda: gzip.compress(pcap())], ids=["pcap", "pcapng", "gzip"])
def test_standard_input_byte_by_byte(standard_input, make) -> None:
    reading, writing = os.pipe()
    standard_input(reading)
    pipe = Pipe("-")
    for byte in make():
        os.write(writing, bytes([byte]))
    os.close(writing)
    assert list(pipe) == WHOLE
    pipe.thread.join(60)
    assert pipe.source is not None
    assert (pipe.source.info.paths, pipe.source.info.bytes_total) == (["-"], None)
    assert pipe.source.info.bytes_read == len(make())
    assert pipe.source.info.findings == []


@pytest.mark.parametrize("make", [pcap, pcapng], ids=["pcap", "pcapng"])
def test_named_pipe_gives_each_frame_before_more_is_written(tmp_path: Path, make) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = Pipe(str(path))
    whole = make()
    # The next frame, and half of the one after it, is written only when the one before was given.
    sent = 0
    with path.open("wb", buffering=0) as file:
        for count in range(1, len(FRAMES) + 1):
            upto = len(make(FRAMES[:count]))
            beyond = min(upto + 10, len(whole))
            file.write(whole[sent:beyond])
            sent = beyond
            assert [WHOLE[count - 1]] == pipe.blocks.get(timeout=60)
    assert list(pipe) == []


def test_compressed_pipe_gives_what_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = Pipe(str(path))
    whole = pcap()
    with path.open("wb", buffering=0) as file, gzip.GzipFile(fileobj=file, mode="wb") as packed:
        packed.write(whole[:110])
        packed.flush()
        assert WHOLE[:1] == pipe.blocks.get(timeout=60)
        packed.write(whole[110:])
        packed.flush()
        assert WHOLE[1:] == pipe.blocks.get(timeout=60)
    assert list(pipe) == []


def test_standard_input_from_a_file_has_a_size(standard_input, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap())
    standard_input(os.open(path, os.O_RDONLY))
    source = open_source("-")
    assert [frame.data for frame in frames_of(source)] == WHOLE
    assert len(pcap()) == source.info.bytes_total == source.info.bytes_read


def test_pipe_of_a_process_as_file_object() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x" + pcap())
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        # The object reads ahead: nothing of that may be lost.
        assert file.read(1) == b"x"
        assert [frame.data for frame in frames_of(open_source(file))] == WHOLE


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty"),
        (b"hello, this is text\n", "68 65 6c 6c 6f 2c 20 74, a text file; expected pcap or pcapng"),
        (b"%PDF-1.4\n%\xe2\xe3", "a PDF document"),
        (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "a snoop capture.*editcap"),
        (b"GMBU\0\2", "Network Monitor 2"),
        (b"BZh91AY&SY", "a bzip2 file.*decompress it first"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"\0" * 600, "only zeros"),
        (b"<?xml version='1.0'?>", "an XML or HTML text"),
        (b'{"a": 1}', "a JSON text"),
        (b"CLIENT_RANDOM 00 11\n", "a TLS key log"),
        (b"-----BEGIN PRIVATE KEY-----\n", "a PEM file"),
        (b"0000  00 11 22 33 44 55\n", "text2pcap"),
        (b"\xff\xfeh\0i\0", r"a text \(UTF-16\)"),
        (b"\xde\xad\xbe\xef\x80\x81", "stands de ad be ef 80 81; expected"),
        (b"\x00\x00\x00\x00\x60\x66\x6c\x63\x02\x04\x00\x60\x00\x00\x00\x40", "an ERF capture"),
        (
            b"# Sample captures\n\nHow each was made, and what is in it.\n",
            "stands 23 20 53 61 6d 70 6c 65, a text file",
        ),
        (b"\xd4\xc3", "stands d4 c3; expected"),
        (b"\xd4\xc3\xb2\xa1\2\0\4\0", "ends after 8 of the 24 bytes of the pcap file header"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", "ends inside the first pcapng section header"),
        (b"\x1f\x8b\x08\0\0\0", "is empty in the gzip data"),
    ],
)
def test_what_is_no_capture_is_named(tmp_path: Path, head: bytes, said: str) -> None:
    path = tmp_path / "looks-like.pcap"
    path.write_bytes(head)
    with pytest.raises(UnreadableInput, match=said) as refusal:
        open_source(path)
    assert str(refusal.value).startswith(str(path))


def test_directory_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match="is a directory; name the capture files in it"):
        open_source(tmp_path)
    with pytest.raises(UnreadableInput, match="cannot be opened: No such file or directory"):
        open_source(tmp_path / "nothing")
    with pytest.raises(UnreadableInput, match="cannot be opened"):
        open_source("a\0b")


def test_refusal_of_standard_input_names_it(standard_input) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"just words\n")
    os.close(writing)
    standard_input(reading)
    with pytest.raises(UnreadableInput, match=r"^standard input: is no capture.*a text file"):
        open_source("-")


def test_misuse() -> None:
    with pytest.raises(UsageError, match="at least 1 byte"):
        open_source(io.BytesIO(pcap()), block_bytes=0)
    with pytest.raises(UsageError, match="no capture file"):
        open_source([])
    with pytest.raises(UsageError, match="mode 'rb'"):
        open_source(io.StringIO("text"))


def test_text_with_a_character_cut_at_the_end_is_text() -> None:
    assert describe("größer".encode() * 100 + "ö".encode()[:1]) == ("a text file", "")
    assert describe(b"\xc3(" * 50) == ("", "")


def test_blocks_go_without_the_garbage_collector() -> None:
    gc.disable()
    try:
        seen: list[weakref.ref] = []
        for block in open_source(io.BytesIO(pcap(FRAMES * 200)), block_bytes=4000):
            seen.append(weakref.ref(block.offset))
            assert sum(ref() is not None for ref in seen) <= 2
        assert len(seen) > 20
    finally:
        gc.enable()


def test_frames_read_so_far_are_in_the_info() -> None:
    _, source = read(pcap())
    assert len(FRAMES) == source.info.frames
