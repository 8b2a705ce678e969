"""SHA-256 on a thread: whatever the pieces, the digest is that of all bytes."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from dissector import hashing
from dissector.hashing import HashThread


@pytest.fixture(scope="module")
def thread():
    return HashThread()


@pytest.fixture(params=[1, 1000, 1 << 20])
def gathered(monkeypatch, request):
    monkeypatch.setattr(hashing, "GATHERED", request.param)


@pytest.mark.usefixtures("gathered")
@pytest.mark.parametrize("seed", range(4))
def test_pieces_of_all_kinds(thread, seed):
    rng = Random(seed)
    made = []
    for _ in range(5):
        digest, plain = thread(), hashlib.sha256()
        for _ in range(rng.randrange(8)):
            whole = rng.randbytes(rng.randrange(1, 3000))
            cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(4))
            # Neighbours in one buffer, places left out, a copy of a buffer that is changed afterwards, plain bytes.
            for low, high in [(0, cuts[0]), (cuts[0], cuts[1]), (cuts[2], cuts[3])]:
                digest.update(memoryview(whole)[low:high])
                plain.update(whole[low:high])
            changing = bytearray(whole)
            digest.update(memoryview(changing))
            changing[:] = bytes(len(changing))
            digest.update(whole)
            plain.update(whole * 2)
        made.append((digest.hexdigest(), plain.hexdigest()))
    for promise, text in made:
        assert str(promise) == text


def test_who_is_too_fast_waits(thread, monkeypatch):
    monkeypatch.setattr(hashing, "WAITING", 1)
    monkeypatch.setattr(hashing, "GATHERED", 1)
    digest = thread()
    for _ in range(50):
        digest.update(b"x" * 1000)
    assert str(digest.hexdigest()) == hashlib.sha256(b"x" * 50_000).hexdigest()
