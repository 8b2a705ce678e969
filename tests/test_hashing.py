"""SHA-256 in another process: whatever the pieces, the digest is that of all bytes."""

from __future__ import annotations

import hashlib
import os
import signal
from contextlib import closing
from random import Random

import pytest

from dissector import hashing
from dissector.base.errors import UnreadableInput
from dissector.hashing import HashProcess


@pytest.fixture
def process():
    with closing(HashProcess()) as made:
        yield made


@pytest.mark.parametrize("ring", [3000, 40_000, 1 << 20])
@pytest.mark.parametrize("told", [1, 5000])
def test_pieces_of_all_kinds(monkeypatch, process, ring, told):
    monkeypatch.setattr(hashing, "RING", ring)
    monkeypatch.setattr(hashing, "PIECE", ring // 3)
    monkeypatch.setattr(hashing, "TOLD", told)
    monkeypatch.setattr(hashing, "SMALL", 100)
    rng = Random(ring + told)
    open_ones = []
    made = []
    for _ in range(300):
        if not open_ones or rng.random() < 0.2:
            open_ones.append((process(), hashlib.sha256()))
        digest, plain = one = rng.choice(open_ones)
        # A buffer that is used again at once.
        data = bytearray(rng.randbytes(rng.choice([0, 1, 90, 1000, 10_000])))
        digest.update(memoryview(data))
        plain.update(data)
        data[:] = bytes(len(data))
        if rng.random() < 0.2:
            open_ones.remove(one)
            # Some are not wanted in the end.
            if rng.random() < 0.7:
                made.append((digest.hexdigest(), plain.hexdigest()))
    rng.shuffle(made)
    for promise, text in made:
        assert str(promise) == text
        assert str(promise) == text


def test_many_digests_that_nobody_asks_for_yet(monkeypatch, process):
    monkeypatch.setattr(hashing, "SMALL", 0)
    promises = []
    for number in range(3 * hashing.OUTSTANDING):
        digest = process()
        digest.update(b"%d" % number)
        promises.append(digest.hexdigest())
    for number, promise in enumerate(promises):
        assert str(promise) == hashlib.sha256(b"%d" % number).hexdigest()


def test_small_contents_need_no_process(process):
    digest = process()
    digest.update(b"abc")
    assert digest.hexdigest() == hashlib.sha256(b"abc").hexdigest()
    assert not process.running


def test_a_process_that_is_gone_is_told(process):
    digest = process()
    digest.update(bytes(100_000))
    os.kill(process.running, signal.SIGKILL)
    with pytest.raises((UnreadableInput, BrokenPipeError)):
        str(digest.hexdigest())


def test_closed_it_is_gone():
    process = HashProcess()
    digest = process()
    digest.update(bytes(100_000))
    child = process.running
    process.close()
    del digest
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
