"""``--jobs``: the stages of a pass in processes of their own give what one process gives, to the byte."""

from __future__ import annotations

import faulthandler
import gzip
import math
import os
import pickle
import select
import signal
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

import dissector
from dissector import ahead, hashing, reader
from dissector.assembly import MessagePass
from dissector.base import breaking
from dissector.base.errors import UnreadableInput
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture import open_source
from dissector.capture.model import FilePlace
from dissector.hashing import HashProcess
from dissector.http.model import BodyPolicy
from dissector.stages import DividedPass
from dissector.transport.flows import FlowTable
from dissector.transport.packets import PacketDecoder
from tests.fuzz.attacks import Line
from tests.fuzz.attacks import capture as plain_capture
from tests.fuzz.mutations import KINDS, SMALL, damaged, sample_names
from tests.fuzz.test_limits import EDGES, fragments, gapped
from tests.support import wsd
from tests.support.lossy import lossy
from tests.support.wire import Frame, write_pcap


def capture(frames: Iterable[bytes]) -> bytes:
    """A capture whose frames come in blocks as small as is asked for: its first 4 kB are read at once. They are of a
    request that goes on, as what the limits are tried with comes behind others."""
    head = b"POST /b HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"
    return plain_capture([*Line(5).say(head + bytes(5000)), *frames])


PCAPS = Path(__file__).parent.parent.parent / "pcaps"


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(reader, "DIVIDED", 0)
    monkeypatch.setattr(reader, "processors", lambda: 2)


SAMPLES = ["dsm-two-jobs.pcapng", "dsm-aborted.pcapng", "others/scan-debian-adf.pcap"]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("command", [["jobs", "--json"], ["read"], ["info", "--json"]])
def test_more_processes_say_the_same(cli, command, sample):
    one, two = (cli(*command, "--jobs", jobs, str(PCAPS / sample)) for jobs in ("1", "2"))
    assert one == two


def passed(
    paths: Path | list[Path], jobs: int, block_bytes: int = 20_000, limits: Limits = DEFAULT_LIMITS
) -> tuple[list[object], object]:
    """All that is told of the messages, read in many small blocks."""
    paths = paths if isinstance(paths, list) else [paths]
    source = open_source(paths, block_bytes=block_bytes, limits=limits)
    made = (DividedPass if jobs > 1 else MessagePass)(source, policy=BodyPolicy(), limits=limits)
    seen: list[object] = [
        (
            m.number,
            m.name,
            m.request,
            m.stream,
            m.time,
            m.digits,
            tuple(m.frames),
            m.findings,
            m.envelope and m.envelope.xml,
            [(a.content.sha256, a.content.size) for a in m.attachments],
        )
        for m in made
    ]
    source.close()
    return seen, (made.findings, made.stats, source.info, source.interfaces)


@pytest.mark.parametrize("slot", [ahead.SLOT, 1])
@pytest.mark.parametrize("sample", SAMPLES)
def test_blocks_go_through_shared_memory_or_the_pipe(monkeypatch, sample, slot):
    monkeypatch.setattr(ahead, "SLOT", slot)
    assert passed(PCAPS / sample, 1) == passed(PCAPS / sample, 2)


@pytest.mark.parametrize("sample", sorted(str(p.relative_to(PCAPS)) for p in PCAPS.rglob("*.pcap*")))
def test_all_samples_in_blocks_of_any_size(sample):
    path = PCAPS / sample
    size = Random(sample).randrange(300, 60_000)
    jobs = 2 + size % 2
    assert passed(path, 1, size) == passed(path, jobs, size)


def rotated(folder: Path) -> list[Path]:
    """A sample in five files, one of them compressed, in the wrong order; one has no frames, one is no capture."""
    source = open_source([PCAPS / SAMPLES[2]])
    frames = [
        Frame(int(time), bytes(block.data[offset : offset + length]))
        for block in source
        for time, offset, length in zip(block.time, block.offset.tolist(), block.caplen.tolist(), strict=True)
    ]
    source.close()
    cuts = [0, len(frames) // 7, len(frames) // 3, len(frames) // 2, len(frames)]
    paths = []
    for number, (low, high) in enumerate(pairwise(cuts)):
        paths.append(folder / f"{number}.pcap")
        raw = write_pcap(frames[low:high], nanoseconds=True)
        paths[-1].write_bytes(gzip.compress(raw) if number == 1 else raw)
    (folder / "empty.pcap").write_bytes(write_pcap([]))
    (folder / "none.pcap").write_bytes(b"nothing")
    return [paths[2], paths[0], folder / "empty.pcap", paths[3], folder / "none.pcap", paths[1]]


@pytest.mark.parametrize("seed", [95, 96, 100, 155, 419])
@pytest.mark.parametrize("block", [300, 4 << 20])
def test_losses_of_both_sides(tmp_path, seed, block):
    """Pairs that are known only when a gap is given up, some of them at the end of the capture (100)."""
    path = tmp_path / "lossy.pcap"
    path.write_bytes(lossy(seed))
    assert passed(path, 2, block) == passed(path, 1)


@pytest.mark.parametrize("block", [3000, 4 << 20])
def test_a_rotated_capture(tmp_path, block):
    paths = rotated(tmp_path)
    one, two = (passed(paths, jobs, block) for jobs in (1, 2))
    assert one == two
    assert len(one[0]) == len(passed(PCAPS / SAMPLES[2], 1)[0])
    with dissector.open(paths, jobs=2) as capture:
        capture.run()
        told = [capture.locate(frame) for frame in range(1, capture.info.frames + 1)]
    with dissector.open(paths) as capture:
        capture.run()
        assert told == [capture.locate(frame) for frame in range(1, capture.info.frames + 1)]


def test_what_goes_between_the_processes_is_in_proportion_to_the_files(tmp_path, monkeypatch):
    names = []
    for number in range(80):
        names.append(tmp_path / f"rotated-{number:05}.pcap")
        names[-1].write_bytes(plain_capture([Line(5).segment(b"x", at=number)]))
    sizes: list[int] = []

    class Counting:
        HIGHEST_PROTOCOL, dumps = pickle.HIGHEST_PROTOCOL, staticmethod(pickle.dumps)

        @staticmethod
        def loads(data: bytes) -> object:
            sizes.append(len(data))
            return pickle.loads(data)

    monkeypatch.setattr(ahead, "pickle", Counting)
    came = []
    for count in (40, 80):
        sizes.clear()
        with dissector.open(names[:count], jobs=2) as capture:
            capture.run()
            assert len(capture.info.paths) == count
        came.append(sum(sizes))
    assert came[1] < 2.2 * came[0]


def test_files_that_are_deleted_while_they_are_read(tmp_path, monkeypatch):
    # A ring of captures: what is opened is read, whatever becomes of its name.
    paths = rotated(tmp_path)
    whole = passed(paths, 1, 3000)
    put = ahead.ColumnRing.put

    def deleting(self, columns, place=None):
        for path in paths:
            if place is not None and path.exists() and os.path.samestat(os.fstat(place.descriptor), path.stat()):
                path.unlink()
        return put(self, columns, place)

    monkeypatch.setattr(ahead.ColumnRing, "put", deleting)
    assert passed(paths, 2, 3000) == whole
    assert not paths[0].exists()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_captures(tmp_path, kind):
    rng = Random(kind)
    names = sample_names(SMALL)
    for seed in range(3):
        path = tmp_path / f"{seed}.pcap"
        path.write_bytes(damaged(rng.choice(names), kind, seed)[0])
        try:
            one: object = passed(path, 1)
        except UnreadableInput as refused:
            one = str(refused)
        try:
            two: object = passed(path, 2)
        except UnreadableInput as refused:
            two = str(refused)
        assert one == two


@pytest.mark.parametrize("name", EDGES)
def test_limits_are_hit_at_the_same_places(tmp_path, name):
    limits, rule, _, beyond = EDGES[name]
    path = tmp_path / "beyond.pcap"
    path.write_bytes(capture(beyond()))
    one = passed(path, 1, 2000, limits)
    assert one == passed(path, 2, 2000, limits)
    assert rule in repr(one)


def test_findings_beyond_the_limit_are_the_same_ones(tmp_path):
    # Some are found where packets are decoded, others where streams are followed.
    path = tmp_path / "many.pcap"
    lost = list(gapped(6))
    for k in range(6):
        lost.insert(k * 4 + 3, Line(k + 10).segment(b"", at=91, flags=0x14))
    path.write_bytes(capture([*lost[:12], *fragments(9), *lost[12:]]))
    for most in range(1, 9):
        limits = Limits(findings=most, fragments=2)
        assert passed(path, 1, 500, limits) == passed(path, 2, 500, limits)


@pytest.mark.parametrize("block", [100, 1500, 1 << 20])
def test_an_answer_before_the_head_of_its_request(tmp_path, block):
    # The answer has been given to the next process when it becomes known which request it belongs to.
    ask = wsd.request("/a", "a", wsd.get("urn:uuid:good", "urn:uuid:device"))
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    frames = []
    for k in range(3):
        line = Line(k + 10)
        frames += [line.segment(ask[:10]), line.segment(answer, back=True), *line.say(ask[10:])]
    path = tmp_path / "early.pcap"
    path.write_bytes(capture(frames))
    one = passed(path, 1, block)
    assert one == passed(path, 2, block)
    assert "HTTP 202" in repr(one)


def test_what_a_stage_raises_is_raised_here():
    def stage():
        yield 1
        raise UnreadableInput("gone")

    made = ahead.Stage(stage)
    given = iter(made)
    assert next(given) == 1
    with pytest.raises(UnreadableInput, match="gone"):
        next(given)
    made.close()


def test_a_stage_that_dies_is_told():
    def stage():
        yield 1
        os._exit(3)

    made = ahead.Stage(stage)
    with pytest.raises(UnreadableInput, match="--jobs 1"):
        list(made)
    made.close()


def test_a_file_cut_behind_the_back_of_a_stage_is_told():
    def stage():
        # What pytest prints of such a signal would look like a failure.
        faulthandler.disable()
        yield 1
        os.kill(os.getpid(), signal.SIGBUS)

    made = ahead.Stage(stage)
    with pytest.raises(UnreadableInput, match="became shorter"):
        list(made)
    assert not made.running
    made.close()


def gone(pid: int) -> bool:
    """The process ends within ten seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = bool(poll.poll(10_000))
    os.close(descriptor)
    return ended


@pytest.mark.parametrize(
    ("owner", "method"), [(PacketDecoder, "decode"), (FlowTable, "feed"), (HashProcess, "tell"), (hashing, "_work")]
)
def test_a_killed_process_is_told_and_none_is_left(monkeypatch, tmp_path, owner, method):
    before = getattr(owner, method)
    pids = tmp_path / "pids"

    def counted(*args):
        with pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(pids.read_text().splitlines()) > 3 or method == "_work":
            os.kill(os.getpid(), signal.SIGKILL)
        return before(*args)

    monkeypatch.setattr(owner, method, counted)
    source = open_source([PCAPS / SAMPLES[2]], block_bytes=20_000)
    with pytest.raises(UnreadableInput, match="--jobs 1"):
        list(DividedPass(source, policy=BodyPolicy()))
    source.close()
    found = set(map(int, pids.read_text().split()))
    assert os.getpid() not in found
    assert all(map(gone, found))


@pytest.fixture
def heeding():
    """SIGINT is Ctrl-C also where a shell started the tests in the background, and had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def quiet_until_now(monkeypatch):
    """No signal came just before."""
    monkeypatch.setattr(breaking, "_last", -math.inf)
    before = [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)]
    yield
    for number, handler in zip((signal.SIGTERM, signal.SIGHUP), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("quiet_until_now")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_goes_to_the_whole_group_is_the_first_ones(monkeypatch, number):
    """Of ``timeout`` and of a closed terminal: each stage gets it, the first one twice."""
    made: list[ahead.Stage[object]] = []

    def kept(make):
        made.append(ahead.Stage(make))
        return made[-1]

    monkeypatch.setattr("dissector.stages.Stage", kept)
    breaking.as_ctrl_c()
    with dissector.open(PCAPS / SAMPLES[2], jobs=2) as capture:
        seen = []

        def sink(message):
            if not seen:
                os.kill(made[0]._child, number)
                signal.raise_signal(number)
                signal.raise_signal(number)
            seen.append(message.number)

        capture.run(sink)
        assert capture.interrupted
        assert capture.stats.frames
    # The report is under way.
    signal.raise_signal(number)


@pytest.mark.usefixtures("quiet_until_now")
def test_a_signal_outside_of_a_pass_is_ctrl_c(monkeypatch):
    breaking.as_ctrl_c()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    monkeypatch.setattr(breaking, "AT_ONCE", 0.0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGHUP)


@pytest.mark.usefixtures("quiet_until_now")
def test_what_is_ignored_or_taken_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    breaking.as_ctrl_c()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.SIGHUP not in breaking.heeded()


@pytest.mark.usefixtures("heeding")
def test_ctrl_c_ends_the_pass_as_if_the_capture_ended(monkeypatch):
    with dissector.open(PCAPS / SAMPLES[2], jobs=2) as capture:
        seen = []

        def sink(message):
            if not seen:
                signal.raise_signal(signal.SIGINT)
            seen.append(message.number)

        capture.run(sink)
        assert capture.interrupted
        assert seen
        assert capture.stats.frames
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_file_that_became_shorter_is_told(tmp_path):
    path = tmp_path / "short"
    path.write_bytes(b"x" * 100)
    with path.open("rb") as file, pytest.raises(UnreadableInput, match="changed while it was read"):
        ahead._mapped(FilePlace(file.fileno(), 50), 100_000)


@pytest.mark.parametrize(
    ("keep", "least", "processors"),
    [(False, 1 << 30, 2), (False, 0, 1), (True, 0, 2)],
    ids=["a small file", "one processor", "what is kept of bodies stays in a process"],
)
def test_where_processes_are_not_worth_it_or_cannot_be_there_are_none(monkeypatch, keep, least, processors):
    monkeypatch.setattr(reader, "DIVIDED", least)
    monkeypatch.setattr(reader, "processors", lambda: processors)
    monkeypatch.setattr("dissector.stages.Stage", None)
    with dissector.open(PCAPS / SAMPLES[0], jobs=2, keep=keep) as capture:
        assert capture.jobs


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("tls", "A"), "TLS connections are watched by one process"),
        (("export", "images", "-o", "OUT", "A"), "whole bodies are written by one process"),
        (("jobs", "A"), ""),
        (("jobs", "A", "B"), ""),
    ],
)
def test_where_one_process_does_it_all_that_is_said(cli, tmp_path, command, why):
    names = {"A": str(PCAPS / SAMPLES[0]), "B": str(PCAPS / SAMPLES[1]), "OUT": str(tmp_path / "out")}
    done = cli(*(names.get(one, one) for one in command), "--jobs", "2")
    assert done.err.partition("\n")[0] == (f"dsmshark: --jobs 2 makes nothing faster here: {why}" if why else "")


def test_of_a_small_capture_it_is_not_said(cli, monkeypatch):
    monkeypatch.setattr(reader, "DIVIDED", 16 << 20)
    assert cli("jobs", "--jobs", "2", *(str(PCAPS / one) for one in SAMPLES[:2])).err == ""


def test_encrypted_ones_too(cli):
    path = PCAPS / "others/scan-tls-1.2.pcap"
    command = ["read", "--json", "--keylog", str(path.with_suffix(".keys")), str(path), "--jobs"]
    one = cli(*command, "1")
    assert one == cli(*command, "2")
    assert '"messages"' in one.out


def test_a_pass_that_is_left_leaves_no_process(monkeypatch):
    made: list[ahead.Stage[object]] = []

    def kept(make):
        made.append(ahead.Stage(make))
        return made[-1]

    monkeypatch.setattr("dissector.stages.Stage", kept)
    with dissector.open(PCAPS / SAMPLES[0], jobs=2) as capture:
        next(iter(capture.messages))
        capture._stream.close()
    assert [stage.running for stage in made] == [False]


def test_a_pass_that_is_stopped_ends_as_if_the_capture_ended():
    with dissector.open(PCAPS / SAMPLES[0], jobs=2) as capture:
        capture.stop()
        capture.run()
        assert capture.stats.frames
        assert capture.jobs
